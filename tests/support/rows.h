/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include <stdbool.h>

#include "dispatch.h"
#include "dtype.h"
#include "kernels/kernels.h"
#include "suite.h"

/* The rows of the dispatch table under test.  The scalar row is what the others are
 * compared with. */
struct row_case {
    const struct fghm_row *row;
    const struct dtype *d;
    const struct fghm_kernels *kernels; /* of the row, for this type */
    const struct fghm_kernels *scalar;
};

/* Runs each typed test for every row, or for every one but the scalar row, and for both types,
 * *state a const struct row_case; a row that this processor cannot run is skipped.  Returns what
 * main returns. */
int rows_run(int argument_count, char **arguments, const char *name, bool with_scalar,
             const struct suite_test *tests, size_t count);

/* Any scale and constants of the focal kernels. */
double rows_scale(struct random *r);
struct fghm_focal_constants rows_constants(struct random *r, double gamma);

#endif
