/* SPDX-License-Identifier: MIT */
#ifndef FGHM_PLAN_H
#define FGHM_PLAN_H

/* From the arrays of a call to the plan that is walked over, and from the parts of the walk to
 * one result. */

#include <stdbool.h>
#include <stddef.h>

#include "drive.h"
#include "focalghm/batch.h"
#include "focalghm/reduction.h"
#include "report.h"
#include "walk/walk.h"

/* What a loss can do, so that nothing that a descriptor says is silently ignored.  What it
 * cannot do does not go together with `because`. */
struct fghm_batch_limits {
    bool softmax, soft_samples, probability, labels, scores, smoothing, class_factors, class_gamma;
    bool harmonizing_weight;
    fghm_field because;
};

/* Two things that do not go together. */
struct fghm_conflict {
    bool there;
    fghm_field field, other;
};

/* FGHM_ERROR_COMBINATION with the fields of the first that is there. */
fghm_status fghm_check_conflicts(const struct fghm_conflict *conflicts, size_t count,
                                 struct fghm_report *report);

/* Checks `batch` and makes the plan of it, with its arrays: for a walk class by class where
 * `by_class` says so, else over elements, or, with softmax, over samples.  result and loss are what
 * the call writes besides; either may be NULL. */
fghm_status fghm_plan_make(const fghm_batch *batch, const struct fghm_batch_limits *limits,
                           bool by_class, const fghm_result *result, const double *loss,
                           struct fghm_plan *plan, struct fghm_arrays *arrays,
                           struct fghm_report *report);

/* Checks contiguous arrays of elements: that what is needed is there, that it fits in memory, and
 * that outputs overlap nothing but, exactly, an input.  loss may be NULL. */
fghm_status fghm_check_span(const struct fghm_span *span, bool is_double, const double *loss);

/* The plan of them, which keeps the pointer. */
void fghm_plan_of_span(const struct fghm_span *span, bool is_double, struct fghm_plan *plan);

/* How many losses the batch has: elements, or samples with softmax; and samples. */
static inline size_t fghm_plan_samples(const struct fghm_plan *plan) {
    return plan->shape.outer * plan->shape.inner;
}

static inline size_t fghm_plan_losses(const struct fghm_plan *plan) {
    return plan->softmax ? fghm_plan_samples(plan)
                         : plan->shape.outer * plan->shape.classes * plan->shape.inner;
}

/* Leaves one class of a plan that was made for a walk by classes, with the arrays of that class;
 * and the index in the batch of an element of that class. */
void fghm_plan_take_class(size_t class_index, struct fghm_plan *plan, struct fghm_arrays *arrays);
int64_t fghm_plan_place(const struct fghm_plan *plan, size_t class_index, int64_t element);

/* Calls work(context, segment, first, n) for all losses of the plan.  Returns the number
 * of segments. */
static inline size_t fghm_plan_drive(fghm_pool *pool, const struct fghm_plan *plan,
                                     fghm_range_work *work, void *context) {
    const size_t width = plan->softmax ? plan->shape.classes : 1;
    return fghm_drive_range(pool, fghm_plan_losses(plan), width, work, context);
}

/* The parts of a walk as one, which is put into the place of the first. */
struct fghm_part *fghm_merge_parts(struct fghm_part *parts, size_t segments);

/* The status of a part, and its place. */
fghm_status fghm_part_status(const struct fghm_part *part, struct fghm_report *report);

/* Counts of the whole plan before it is computed: by a walk of their own if `targets`, or the
 * targets are labels, which is when a label that is none is found, else 0; and the sum of weights
 * if `weights`. */
fghm_status fghm_plan_survey(fghm_pool *pool, const struct fghm_kernels *kernels,
                             const struct fghm_plan *plan, bool targets, bool weights,
                             struct fghm_part *part, struct fghm_report *report);

/* The sums of weights (the number of valid elements, if there are none) and of targets. */
double fghm_plan_sum_weights(const struct fghm_plan *plan, const struct fghm_part *part);
double fghm_plan_sum_targets(const struct fghm_part *part);

/* The numbers of a result, from all that a call has counted and added up. */
void fghm_result_of(const struct fghm_plan *plan, const struct fghm_part *all, double divisor,
                    fghm_result *value);

/* Hands the result of a call to the caller, with the head that it gets here; after an error that
 * left nothing computed (value->filled is 0), the head alone.  A result that is no struct of this
 * library is left as it is, and NULL is fine.  Returns the status. */
fghm_status fghm_result_end(fghm_result *result, fghm_status status,
                            const struct fghm_report *report, fghm_result *value);

#endif
