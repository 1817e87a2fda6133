/* SPDX-License-Identifier: MIT */
#ifndef CONSUMERS_REFERENCE_H
#define CONSUMERS_REFERENCE_H

/* Focal loss of one element with target 0 or 1 and no alpha, in double, from formulas that
 * share nothing with the library. */
struct reference {
    double gradient;
    double exact_hessian;
    double gauss_newton;
    double hessian_scale; /* the sum of the magnitudes of the terms of exact_hessian */
};

struct reference focal_reference(double gamma, double logit, double target);

/* Mean negative log-likelihood of the targets. */
double mean_logloss(unsigned long count, const double *probabilities, const float *targets);

#endif
