/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

/* Timing on a machine that others use too: many short samples, the contenders
 * taking turns, and medians. */

#include <stddef.h>

#define SAMPLES_MAX 400
#define CONTENDERS_MAX 16

struct contender {
    const char *name;
    void (*run)(const void *context);
    const void *context;
    double seconds; /* of one call: the median */
    double samples[SAMPLES_MAX];
};

double seconds_now(void);

/* Reorders the values. */
double median(double *values, size_t count);

/* Times the contenders in turn, for about `seconds` altogether, and at least
 * three times each.  Returns how many samples each has got. */
size_t time_in_turns(struct contender *contenders, size_t count, double seconds);

/* The median of the quotients of their times, round by round: what slows the
 * machine down for a while slows down both. */
double median_quotient(const struct contender *above, const struct contender *below, size_t rounds);

#endif
