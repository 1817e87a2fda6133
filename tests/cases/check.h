/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CASES_CHECK_H
#define TESTS_CASES_CHECK_H

#include "cases/reader.h"

/* What the wide model says of the calls of a case: losses with 320 bits, histograms in long
 * double.  Each call that has run is given to it; a result beyond the documented bounds is
 * printed, and counted. */

enum { CHECK_BINS_MAX = 32 };

struct check_histogram {
    uint64_t counts[CHECK_BINS_MAX + 1];
    uint64_t total;
    long double averages[CHECK_BINS_MAX], average_total;
};

struct check {
    /* The updates that the handle has seen.  A clone and a restored handle have the same. */
    struct check_histogram histograms[4];
    uint64_t counted[CASES_NUMBERS_MAX]; /* what the case's counts should be */
    unsigned long failures;
};

/* After a line that has run without an error. */
void check_line(struct check *c, struct cases_reader *r, const char *line);

#endif
