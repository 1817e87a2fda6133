/* SPDX-License-Identifier: MIT */
#ifndef FGHM_PLAN_H
#define FGHM_PLAN_H

/* From the descriptor of a batch to the plan that kernels walk over, and how the walk's parts
 * become one result. */

#include <stdbool.h>
#include <stddef.h>

#include "drive.h"
#include "focalghm/batch.h"
#include "focalghm/reduction.h"
#include "kernels/kernels.h"
#include "report.h"

/* What a loss can do, so that nothing that a descriptor says is silently ignored.  What it
 * cannot do does not go together with `because`. */
struct fghm_batch_limits {
    bool softmax, probability, labels, scores, smoothing, class_factors, harmonizing_weight;
    fghm_field because;
};

/* Checks `batch` and makes the plan of it: for a walk class by class where `by_class` says so,
 * else over elements, or, with softmax, over samples. */
fghm_status fghm_plan_make(const fghm_batch *batch, const struct fghm_batch_limits *limits,
                           bool by_class, const fghm_result *result, struct fghm_plan *plan,
                           struct fghm_report *report);

/* Whether the plan's numbers are computed in double. */
bool fghm_plan_is_double(const struct fghm_plan *plan);

/* How many losses the batch has: elements, or samples with softmax; and samples. */
size_t fghm_plan_losses(const struct fghm_plan *plan);
size_t fghm_plan_samples(const struct fghm_plan *plan);

/* Leaves one class of a plan that was made for a walk by classes; and the index in the batch of
 * an element of that class. */
void fghm_plan_take_class(struct fghm_plan *plan, size_t class_index);
int64_t fghm_plan_place(const struct fghm_plan *plan, size_t class_index, int64_t element);

/* Calls work(context, segment, first, n) for all losses of the plan.  Returns the number
 * of segments. */
size_t fghm_plan_drive(fghm_pool *pool, const struct fghm_plan *plan, fghm_range_work *work,
                       void *context);

/* The parts of a walk as one. */
struct fghm_part fghm_merge_parts(const struct fghm_part *parts, size_t segments);

/* The status of a part, and its place. */
fghm_status fghm_part_status(const struct fghm_part *part, struct fghm_report *report);

/* Counts of the whole batch: by a walk of their own if `needed` or if the targets are
 * labels, which is when a label that is none is found; else all 0.  *counted tells
 * which. */
fghm_status fghm_plan_survey(fghm_pool *pool, const struct fghm_kernels *kernels,
                             const struct fghm_plan *plan, bool needed, struct fghm_part *part,
                             bool *counted, struct fghm_report *report);

/* D. */
double fghm_plan_divisor(const struct fghm_plan *plan, fghm_reduction reduction, double normalizer,
                         const struct fghm_part *part);

/* The numbers of a result. */
fghm_result fghm_result_of(const struct fghm_plan *plan, const struct fghm_part *counts,
                           const struct fghm_part *sums, double divisor);

/* Hands the result of a call to the caller, as much of it as both know; after an error that left
 * nothing computed (value->filled is 0), the head alone.  A result that is no struct of this
 * library is left as it is, and NULL is fine.  Returns the status. */
fghm_status fghm_result_end(fghm_result *result, fghm_status status,
                            const struct fghm_report *report, const fghm_result *value);

#endif
