/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_CALIBRATED_H
#define TESTS_SUPPORT_CALIBRATED_H

#include <stdbool.h>

#include "reference.h"

/* Calibrated probabilities and best constants as focal.h has them, with 320 bits. */

/* eta = dFL/dx(x, 0) / (dFL/dx(x, 0) - dFL/dx(x, 1)) */
void calibrated(mpfr_t eta, const struct reference_loss *loss, mpfr_srcptr x);

/* log(eta / (1 - eta)); -inf where eta is 0. */
void calibrated_log_odds(mpfr_t odds, const struct reference_loss *loss, mpfr_srcptr x);

/* How far that is above the odds that a best constant has to have. */
void constant_gap(mpfr_t gap, const struct reference_loss *loss, mpfr_srcptr x, double positives,
                  double negatives);

/* What softmax calibration depends on: gammas and weights of the classes, or NULL. */
struct calibrated_setting {
    double gamma;
    bool detached;
    const double *gammas, *weights;
};

/* eta of each class of a row; counts as for reference_margin. */
void calibrated_row(mpfr_t *eta, const struct calibrated_setting *s, const mpfr_t *x,
                    const size_t *counts, size_t classes);

/* The largest gamma. */
double calibrated_gamma(const struct calibrated_setting *s, size_t classes);

#endif
