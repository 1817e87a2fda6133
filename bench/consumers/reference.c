/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

struct reference focal_reference(double gamma, double logit, double target) {
    const double sign = target > 0.5 ? 1.0 : -1.0;
    const double q = 1.0 / (1.0 + exp(sign * logit));
    const double p = 1.0 / (1.0 + exp(-sign * logit));
    const double loss = fmax(-sign * logit, 0.0) + log1p(exp(-fabs(logit)));
    const double factor = pow(q, gamma);
    const double slope = factor * (q + gamma * p * loss);
    return (struct reference){
        .gradient = -sign * slope,
        .exact_hessian =
            p * factor * ((2.0 * gamma + 1.0) * q - gamma * loss * (1.0 - (1.0 + gamma) * p)),
        .gauss_newton = p * slope,
        .hessian_scale =
            p * factor * ((2.0 * gamma + 1.0) * q + gamma * loss * (1.0 + (1.0 + gamma) * p)),
    };
}

double mean_logloss(unsigned long count, const double *probabilities, const float *targets) {
    double sum = 0.0;
    for (unsigned long i = 0; i < count; i++) {
        sum -= targets[i] > 0.5F ? log(probabilities[i]) : log1p(-probabilities[i]);
    }
    return sum / (double)count;
}
