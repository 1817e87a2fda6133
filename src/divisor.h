/* SPDX-License-Identifier: MIT */
#ifndef FGHM_DIVISOR_H
#define FGHM_DIVISOR_H

/* D, the divisor of a loss: the one place that knows the reductions. */

#include "focalghm/reduction.h"
#include "plan.h"

/* The last one. */
#define FGHM_REDUCTION_LAST FGHM_REDUCTION_MEAN_TARGETS

/* Whether the number of losses is all that D can depend on. */
static inline bool fghm_reduction_is_of_count(fghm_reduction reduction) {
    return reduction == FGHM_REDUCTION_SUM || reduction == FGHM_REDUCTION_MEAN ||
           reduction == FGHM_REDUCTION_NORMALIZER;
}

/* D of these, for a mean over `count` elements.  GHM has no other. */
static inline double fghm_reduction_divisor_of_count(fghm_reduction reduction, double normalizer,
                                                     uint64_t count) {
    if (reduction == FGHM_REDUCTION_MEAN) {
        return count > 0 ? (double)count : 1;
    }
    return reduction == FGHM_REDUCTION_NORMALIZER ? normalizer : 1;
}

/* What has to be counted before anything is computed. */
struct fghm_reduction_needs {
    bool targets, weights;
};
struct fghm_reduction_needs fghm_reduction_needs(fghm_reduction reduction,
                                                 const struct fghm_plan *plan);

/* D, from what has been counted.  FGHM_ERROR_DIVISOR if it is a sum that nothing can be divided
 * by. */
fghm_status fghm_reduction_divisor(fghm_reduction reduction, double normalizer,
                                   const struct fghm_plan *plan, const struct fghm_part *counts,
                                   double *divisor, struct fghm_report *report);

#endif
