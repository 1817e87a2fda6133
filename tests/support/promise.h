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

#endif
