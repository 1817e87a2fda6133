/* SPDX-License-Identifier: MIT */
#include "promise.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "suite.h"

static bool is_short(double gamma) {
    static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0};
    for (size_t i = 0; i < SUITE_COUNT(gammas); i++) {
        if (gamma == gammas[i]) {
            return true;
        }
    }
    return false;
}

double promised(const struct promise_of *of, int output, double logit, double target,
                double condition) {
    const struct reference_loss *const loss = &of->loss;
    const double gamma = fmax(loss->gamma, loss->negative_gamma);
    const bool soft = target > 0.0 && target < 1.0;
    const bool varifocal =
        loss->rule >= FGHM_FOCAL_RULE_VARIFOCAL && loss->rule <= FGHM_FOCAL_RULE_MATCHABILITY;
    const double least = varifocal || loss->gamma != loss->negative_gamma ? 10.0 : 8.0;
    double bound = is_short(loss->gamma) && is_short(loss->negative_gamma) ? least : 16.0;
    bound = gamma > 10.0 ? fmax(bound, gamma) : bound;
    if (of->activation == FGHM_PROBABILITY) {
        bound = soft ? 48.0 : 16.0;
    } else if (soft) {
        bound *= 2.0;
    }
    bound *= output == HESSIAN ? 1.5 : 1.0;
    if (loss->rule == FGHM_FOCAL_RULE_STAR) {
        bound += 2.0 * loss->gamma * fabs(logit);
    }
    return bound + (gamma + 2.0) * 2.0 * condition;
}
