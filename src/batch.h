/* SPDX-License-Identifier: MIT */
#ifndef FGHM_BATCH_CHECK_H
#define FGHM_BATCH_CHECK_H

/* From the descriptor of a batch to the plan that kernels walk over, and how the
 * walk's parts become one result. */

#include <stdbool.h>
#include <stddef.h>

#include "drive.h"
#include "focalghm/batch.h"
#include "focalghm/reduction.h"
#include "kernels/kernels.h"

/* What a loss can do, so that nothing that a descriptor says is silently ignored. */
struct fghm_batch_limits {
    bool softmax, probability, labels, class_factors, harmonizing_weight;
};

/* Checks `batch` and makes the plan of it.  Where the status has a place, *offender
 * becomes it. */
fghm_status fghm_plan_make(const fghm_batch *batch, const struct fghm_batch_limits *limits,
                           const fghm_result *result, struct fghm_plan *plan, int64_t *offender);

/* Whether the plan's numbers are computed in double. */
bool fghm_plan_is_double(const struct fghm_plan *plan);

/* How many losses the batch has: elements, or samples with softmax; and samples. */
size_t fghm_plan_losses(const struct fghm_plan *plan);
size_t fghm_plan_samples(const struct fghm_plan *plan);

/* Leaves of a plan without softmax one class; and the index in the batch of an element of
 * that class. */
void fghm_plan_take_class(struct fghm_plan *plan, size_t class_index);
int64_t fghm_plan_place(const struct fghm_plan *plan, size_t class_index, int64_t element);

/* Calls work(context, segment, first, n) for all losses of the plan.  Returns the number
 * of segments. */
size_t fghm_plan_drive(fghm_pool *pool, const struct fghm_plan *plan, fghm_range_work *work,
                       void *context);

/* The parts of a walk as one. */
struct fghm_part fghm_merge_parts(const struct fghm_part *parts, size_t segments);

/* The status of a part, and its place. */
fghm_status fghm_part_status(const struct fghm_plan *plan, const struct fghm_part *part,
                             int64_t *offender);

/* Counts of the whole batch: by a walk of their own if `needed` or if the targets are
 * labels, which is when a label that is none is found; else all 0.  *counted tells
 * which. */
fghm_status fghm_plan_survey(fghm_pool *pool, const struct fghm_kernels *kernels,
                             const struct fghm_plan *plan, bool needed, struct fghm_part *part,
                             bool *counted, int64_t *offender);

/* D. */
double fghm_plan_divisor(const struct fghm_plan *plan, fghm_reduction reduction, double normalizer,
                         const struct fghm_part *part);

/* Hands the result to the caller, as much of it as the caller knows.  NULL is fine. */
void fghm_result_give(fghm_result *result, const fghm_result *value);

/* The same of the offender where `status` is an error; result->size has not been checked
 * yet.  Returns the status. */
fghm_status fghm_result_end(fghm_result *result, fghm_status status, int64_t offender);

#endif
