/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_REPORT_H
#define TESTS_SUPPORT_REPORT_H

#include "batch.h"

/* Where a value came from, for the line that a failing check prints. */
struct place {
    const struct dtype *d;
    double gamma, alpha, target, logit;
    const char *output;
};

/* Largest errors seen, normal and subnormal true values apart. */
struct worst {
    double normal[OUTPUTS], subnormal[OUTPUTS];
};

/* Compares one value with the exact one, in ulp of `scale`; above `bound` it
 * prints everything needed to repeat it and counts a failure.  Returns the
 * error. */
double report_check(const struct place *place, double got, mpfr_srcptr exact, mpfr_srcptr scale,
                    double bound);

/* Counts a failure and prints it, unless `good`. */
void report_require(const struct place *place, double got, const char *wanted, int good);

/* Counts a failure that the caller prints; returns how many there were before. */
unsigned long report_count(void);

/* Forgets what a test counted that ended before report_end.  A cmocka setup
 * function: suite_run gives it to every test. */
int report_start(void **state);

/* Fails the running test if anything was counted since the last call. */
void report_end(void);

#endif
