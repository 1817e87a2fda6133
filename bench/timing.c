/* SPDX-License-Identifier: MIT */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif

#include "timing.h"

#include <stdlib.h>
#include <time.h>

/* Long enough for the clock, short enough to fall between two disturbances. */
#define SAMPLE_SECONDS 100e-6

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double sample(const struct contender *contender, size_t calls) {
    const double start = seconds_now();
    for (size_t i = 0; i < calls; i++) {
        contender->run(contender->context);
    }
    return (seconds_now() - start) / (double)calls;
}

/* How many calls make a sample.  The first calls also warm the caches up. */
static size_t calls_per_sample(const struct contender *contender) {
    size_t calls = 1;
    double seconds = sample(contender, calls);
    while (seconds * (double)calls < SAMPLE_SECONDS / 2) {
        calls *= 2;
        seconds = sample(contender, calls);
    }
    return seconds * (double)calls < SAMPLE_SECONDS ? 2 * calls : calls;
}

size_t time_in_turns(struct contender *contenders, size_t count, double seconds) {
    size_t calls[CONTENDERS_MAX];
    for (size_t i = 0; i < count; i++) {
        calls[i] = calls_per_sample(&contenders[i]);
    }
    const double start = seconds_now();
    size_t rounds = 0;
    while (rounds < 3 || (rounds < SAMPLES_MAX && seconds_now() - start < seconds)) {
        for (size_t i = 0; i < count; i++) {
            contenders[i].samples[rounds] = sample(&contenders[i], calls[i]);
        }
        rounds++;
    }
    for (size_t i = 0; i < count; i++) {
        double sorted[SAMPLES_MAX];
        for (size_t round = 0; round < rounds; round++) {
            sorted[round] = contenders[i].samples[round];
        }
        contenders[i].seconds = median(sorted, rounds);
    }
    return rounds;
}

double median_quotient(const struct contender *above, const struct contender *below,
                       size_t rounds) {
    double quotients[SAMPLES_MAX];
    for (size_t i = 0; i < rounds; i++) {
        quotients[i] = above->samples[i] / below->samples[i];
    }
    return median(quotients, rounds);
}
