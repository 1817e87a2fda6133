/* SPDX-License-Identifier: MIT */
#ifndef CONSUMERS_LIGHTGBM_OBJECTIVE_H
#define CONSUMERS_LIGHTGBM_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

#include <focalghm/focalghm.h>

#include "lightgbm.h"

/* Ends the program with the message of the library unless the call succeeded. */
void require_lightgbm(int result, const char *call);

/* Examples of several classes, each class against the rest. */
struct examples {
    size_t count;
    size_t classes;
    const int32_t *labels;
};

/* Makes the examples start from the best constant logit of each class, and returns these
 * in `start`, one for each class: LightGBM does not add them to later predictions. */
void start_from_best_constants(const fghm_focal *focal, DatasetHandle dataset,
                               const struct examples *examples, double *start);

/* One round of boosting.  The arrays have room for classes * count values, which are left
 * in them: the scores that the booster had before the round, and what it was given. */
void boost_with_focal(const fghm_focal *focal, BoosterHandle booster,
                      const struct examples *examples, double *scores, float *gradient,
                      float *hessian);

#endif
