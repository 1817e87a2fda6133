/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_PROMISE_H
#define TESTS_SUPPORT_PROMISE_H

/* The errors that focal.h allows. */

#include <focalghm/focalghm.h>
#include <stdbool.h>

#include "batch.h"
#include "reference.h"

struct promise_of {
    struct reference_loss loss;
    fghm_activation activation;
};

/* In ulp of the value, or of the sum of its terms' magnitudes, of an output before weights and
 * 1 / D, for a target and a logit or probability; `condition` is that of the reference. */
double promised(const struct promise_of *of, int output, double logit, double target,
                double condition);

/* What the error of a margin adds to that, with the reference's condition. */
double promised_of_margin(const struct promise_of *of, bool is_double, double condition);

/* What softmax of so many classes adds to the error of the element that the margin is the logit of;
 * and, for another class than the label's, whose logit is so far below the largest of the others,
 * to that.  Twice as much for Hessians. */
double promised_of_label(double gamma, double margin, size_t classes);
double promised_of_other(double below, size_t classes);

/* Softmax with soft targets: with the larger gamma, how far the largest logit is above the second
 * and above that of the class (0 for losses).  Twice as much for Hessians. */
double promised_soft(double gamma, size_t classes, double ahead, double below, bool is_double);

/* Calibrated probabilities; those of softmax, with the largest gamma. */
double promised_calibrated(const struct reference_loss *loss, bool is_double, double logit);
double promised_calibrated_row(double gamma, bool is_double);

#endif
