/* SPDX-License-Identifier: MIT */
/* What a focal loss does to probabilities: which logit is best where the true probability
 * is eta, and which eta a logit is best for. */

#include "focal_handle.h"

#include <float.h>
#include <math.h>

#include "check.h"

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* log |dFL/dz| of an element with margin z, but for a_t: log(q^gamma (q + gamma p L)). */
static double log_slope(double z, double gamma) {
    const double loss = softplus(-z);
    const double log_q = -softplus(z);
    const double q = exp(log_q);
    const double p = exp(-loss);
    /* Where q is too small for its type, L is q, and p is 1. */
    const double rest = z > 700 ? log_q + log1p(gamma) : log(q + gamma * p * loss);
    return gamma * log_q + rest;
}

/* logit of the eta for which x is the best logit: log(dFL/dx(x, 0) / -dFL/dx(x, 1)). */
static double best_for(const fghm_focal *focal, double x) {
    const double alpha = focal->alpha_enabled ? log(1 - focal->alpha) - log(focal->alpha) : 0;
    if (focal->rule == FGHM_RULE_STAR) {
        return alpha + focal->gamma * x;
    }
    return alpha + log_slope(-x, focal->negative_gamma) - log_slope(x, focal->gamma);
}

static fghm_status check_gamma(const fghm_focal *focal) {
    FGHM_REQUIRE(focal->rule != FGHM_RULE_STAR || focal->gamma > 0, FGHM_ERROR_GAMMA);
    return FGHM_OK;
}

/* best_for rises with x, at least as fast as x far from 0, and alpha adds less than 750 to
 * it: so for any two doubles the root is within the bounds. */
fghm_status fghm_focal_best_constant(const fghm_focal *focal, double positives, double negatives,
                                     double *logit) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(logit != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(positives > 0 && positives <= DBL_MAX && negatives > 0 && negatives <= DBL_MAX,
                 FGHM_ERROR_WEIGHT);
    FGHM_REQUIRE(check_gamma(focal) == FGHM_OK, FGHM_ERROR_GAMMA);
    FGHM_REQUIRE(!focal->alpha_enabled || (focal->alpha > 0 && focal->alpha < 1), FGHM_ERROR_ALPHA);
    const double wanted = log(positives) - log(negatives);
    if (focal->rule == FGHM_RULE_STAR) {
        *logit = (wanted - best_for(focal, 0)) / focal->gamma;
        return FGHM_OK;
    }
    double low = -4096;
    double high = 4096;
    for (double middle = 0; low < middle && middle < high; middle = low + (high - low) / 2) {
        if (best_for(focal, middle) < wanted) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *logit = high;
    return FGHM_OK;
}

static double calibrated(const fghm_focal *focal, double x) {
    /* Only one of the two has a weight: eta is that everywhere, also where its slope is 0. */
    if (focal->alpha_enabled && (focal->alpha <= 0 || focal->alpha >= 1)) {
        return x == x ? 1 - focal->alpha : x;
    }
    const double bounded = fmin(fmax(x, -DBL_MAX), DBL_MAX);
    const double eta = exp(-softplus(-best_for(focal, bounded)));
    return x == x ? eta : x;
}

fghm_status fghm_focal_calibrate_f32(const fghm_focal *focal, size_t n, const float *logits,
                                     float *probabilities) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(n == 0 || (logits != NULL && probabilities != NULL), FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(check_gamma(focal) == FGHM_OK, FGHM_ERROR_GAMMA);
    for (size_t i = 0; i < n; i++) {
        probabilities[i] = (float)calibrated(focal, (double)logits[i]);
    }
    return FGHM_OK;
}

fghm_status fghm_focal_calibrate_f64(const fghm_focal *focal, size_t n, const double *logits,
                                     double *probabilities) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(n == 0 || (logits != NULL && probabilities != NULL), FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(check_gamma(focal) == FGHM_OK, FGHM_ERROR_GAMMA);
    for (size_t i = 0; i < n; i++) {
        probabilities[i] = calibrated(focal, logits[i]);
    }
    return FGHM_OK;
}
