/* SPDX-License-Identifier: MIT */
#include "promise.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "dispatch.h"
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
    const double least =
        varifocal || loss->gamma != loss->negative_gamma || loss->margin > 0.0 ? 10.0 : 8.0;
    double bound = is_short(loss->gamma) && is_short(loss->negative_gamma) ? least : 16.0;
    bound = gamma > 10.0 ? fmax(bound, gamma) : bound;
    if (of->activation == FGHM_PROBABILITY) {
        bound = soft ? 48.0 : 16.0;
    } else if (loss->margin > 0.0 && target < 1.0) {
        bound = fmax(bound, 10.0 + 6.0 * loss->negative_gamma) * (soft ? 2.0 : 1.0);
    } else if (soft) {
        bound *= 2.0;
    }
    bound *= output == HESSIAN ? 1.5 : 1.0;
    if (loss->rule == FGHM_FOCAL_RULE_STAR) {
        bound += 2.0 * loss->gamma * fabs(logit);
    }
    /* Of quality focal loss: a unit or two of p, of which 2.04 have been found. */
    return loss->margin > 0.0 ? bound : bound + (gamma + 2.0) * 2.5 * condition;
}

double promised_of_margin(const struct promise_of *of, bool is_double, double condition) {
    const double error = is_double ? 0x1p-51 * 0x1p53 : 0x1p-42 * 0x1p24;
    return of->loss.margin > 0.0 ? (of->loss.negative_gamma + 2.0) * error * condition : 0.0;
}

double promised_of_label(double gamma, double margin, size_t classes) {
    return (gamma + 1.0) * (fabs(margin) + log((double)classes));
}

double promised_of_other(double below, size_t classes) {
    return 2.0 * below + log((double)classes) + 4.0;
}

double promised_soft(double gamma, size_t classes, double ahead, double below, bool is_double) {
    const bool fused = fghm_row()->has_fma;
    const double m = ahead * (!fused ? 7.0 / 3.0 : is_double ? 4.0 / 3.0 : 1.0);
    const double d = below * (!fused ? 7.0 / 3.0 : 1.0);
    return 12.0 + below + (gamma + 1.0) * (4.0 + log((double)classes) + m + d);
}

double promised_calibrated(const struct reference_loss *loss, bool is_double, double logit) {
    if (!is_double) {
        return 1.0;
    }
    if (loss->margin > 0.0) {
        const double p = 1.0 / (1.0 + exp(-logit)), near = p / fabs(p - loss->margin);
        return 16.0 + loss->gamma + loss->negative_gamma * (2.0 + 4.0 * near);
    }
    return 8.0 + fabs(loss->gamma - loss->negative_gamma);
}

double promised_calibrated_row(double gamma, bool is_double) {
    return is_double ? 8.0 + 2.0 * gamma : 1.0;
}
