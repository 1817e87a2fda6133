/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_DENSITY_H
#define TESTS_SUPPORT_DENSITY_H

#include <stdbool.h>
#include <stddef.h>

/* The weights of the exact gradient density, straight from ghm.h's formula in long double. */

/* |p - t|; NaN for NaN. */
long double density_norm(double logit, double target);

/* The bounds of w of element i: elements within 2^-51 of an end of the window may be inside it or
 * not.  Norms that are NaN are in no window. */
void density_weight(const long double *norms, size_t n, size_t total, size_t i, size_t bins,
                    double cap, long double bounds[2]);

/* The relative error that ghm.h allows, with that of rounding to float. */
long double density_promised(size_t bins, bool is_double);

#endif
