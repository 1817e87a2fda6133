/* SPDX-License-Identifier: MIT */
/* Reductions, one row each: which number is divided by, and what it has to be counted for. */
#include "divisor.h"

#include <float.h>

static double samples(const struct fghm_plan *plan, const struct fghm_part *counts) {
    (void)counts;
    return (double)fghm_plan_samples(plan);
}

static double positives(const struct fghm_plan *plan, const struct fghm_part *counts) {
    (void)plan;
    return (double)counts->targets.positives;
}

static double valid(const struct fghm_plan *plan, const struct fghm_part *counts) {
    return (double)(fghm_plan_losses(plan) - counts->ignored);
}

static double targets(const struct fghm_plan *plan, const struct fghm_part *counts) {
    (void)plan;
    return fghm_plan_sum_targets(counts);
}

/* Those that are not here are of a count. */
static const struct row {
    double (*number)(const struct fghm_plan *plan, const struct fghm_part *counts);
    fghm_field sum_of;     /* what it is a sum of */
    bool is_sum;           /* not a count, of which there is at least 1 */
    bool targets, weights; /* what has to be counted */
    bool only_if_ignoring; /* and where it does not otherwise */
} rows[] = {
    [FGHM_REDUCTION_MEAN_SAMPLES] = {.number = samples},
    [FGHM_REDUCTION_MEAN_POSITIVES] = {.number = positives, .targets = true},
    [FGHM_REDUCTION_MEAN_VALID] = {.number = valid, .targets = true, .only_if_ignoring = true},
    [FGHM_REDUCTION_MEAN_WEIGHTS] = {.number = fghm_plan_sum_weights,
                                     .is_sum = true,
                                     .sum_of = FGHM_FIELD_WEIGHTS,
                                     .targets = true,
                                     .weights = true,
                                     .only_if_ignoring = true},
    [FGHM_REDUCTION_MEAN_TARGETS] = {.number = targets,
                                     .is_sum = true,
                                     .sum_of = FGHM_FIELD_TARGETS,
                                     .targets = true},
};

_Static_assert(sizeof rows / sizeof rows[0] == FGHM_REDUCTION_LAST + 1,
               "FGHM_REDUCTION_LAST is the last of the table, and setters take it");

struct fghm_reduction_needs fghm_reduction_needs(fghm_reduction reduction,
                                                 const struct fghm_plan *plan) {
    const struct row *const row = &rows[reduction];
    const struct fghm_arrays *const arrays = plan->arrays;
    const bool ignoring = arrays != NULL && (arrays->ignoring || arrays->nan_ignored);
    return (struct fghm_reduction_needs){
        .targets = row->targets && (ignoring || !row->only_if_ignoring),
        .weights = row->weights,
    };
}

fghm_status fghm_reduction_divisor(fghm_reduction reduction, double normalizer,
                                   const struct fghm_plan *plan, const struct fghm_part *counts,
                                   double *divisor, struct fghm_report *report) {
    const struct row *const row = &rows[reduction];
    const size_t losses = fghm_plan_losses(plan);
    if (fghm_reduction_is_of_count(reduction)) {
        *divisor = fghm_reduction_divisor_of_count(reduction, normalizer, losses);
        return FGHM_OK;
    }
    const double number = row->number(plan, counts);
    if (!row->is_sum || losses == 0) {
        *divisor = number > 1 ? number : 1;
        return FGHM_OK;
    }
    if (!(number > 0 && number <= DBL_MAX)) {
        return fghm_fail_both(report, FGHM_ERROR_DIVISOR, FGHM_FIELD_REDUCTION, row->sum_of);
    }
    *divisor = number;
    return FGHM_OK;
}
