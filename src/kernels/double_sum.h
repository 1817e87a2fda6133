/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_DOUBLE_SUM_H
#define FGHM_KERNELS_DOUBLE_SUM_H

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

/* Sums of sums: struct double_sum, by Neumaier's summation. */
static inline void double_sum_add(struct double_sum *sum, double x) {
    const double high = sum->high + x;
    const double error =
        fabs(sum->high) >= fabs(x) ? (sum->high - high) + x : (x - high) + sum->high;
    /* The error is NaN once the sum is infinite. */
    sum->low += error == error ? error : 0;
    sum->high = high;
}

/* Sixteen numbers as one: halves are added as long as there are two.  Loops would cost a small call
 * a tenth of its time. */
static inline double sum_of_sixteen(const double *numbers) {
    double eight[8], four[4];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        eight[i] = numbers[i] + numbers[i + 8];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        four[i] = eight[i] + eight[i + 4];
    }
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Nothing yet. */
static inline void sum_start(struct fghm_sum *sum) {
    sum->started = false;
}

/* What has not started is not looked at. */
static inline void sum_copy(struct fghm_sum *to, const struct fghm_sum *from) {
    if (from->started) {
        *to = *from;
    } else {
        sum_start(to);
    }
}

/* What is added up in units of 1 / HUGE_UNIT, so that no number of doubles overflows. */
#define HUGE_UNIT 0x1p-64

static inline double huge_of(const struct fghm_sum *sum, size_t real_size) {
    return real_size == sizeof(float) ? 0 : sum->huge.high + sum->huge.low;
}

/* A sum and what is in those units, divided.  (No overflow on the way to a quotient that is
 * none.) */
static inline double quotient_of(double sum, double huge, double divisor) {
    return huge == 0 ? sum / divisor : (sum * HUGE_UNIT + huge) / divisor / HUGE_UNIT;
}

/* The lanes of a sum as one. */
static inline double sum_of_lanes(const struct fghm_sum *sum, size_t real_size) {
    if (!sum->started) {
        return 0;
    }
    if (real_size == sizeof(float)) {
        return sum_of_sixteen(sum->total);
    }
    double lanes[16];
    for (int lane = 0; lane < 16; lane++) {
        /* The error is NaN once a sum is infinite. */
        const double error = sum->error[lane];
        lanes[lane] = sum->total[lane] + (error == error ? error : 0);
    }
    return sum_of_sixteen(lanes);
}

#endif
