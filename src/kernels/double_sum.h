/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_DOUBLE_SUM_H
#define FGHM_KERNELS_DOUBLE_SUM_H

#include <math.h>

#include "kernels/kernels.h"

/* Sums of sums: Neumaier's summation. */
struct double_sum {
    double high;
    double low;
};

static inline void double_sum_add(struct double_sum *sum, double x) {
    const double high = sum->high + x;
    const double error =
        fabs(sum->high) >= fabs(x) ? (sum->high - high) + x : (x - high) + sum->high;
    /* The error is NaN once the sum is infinite. */
    sum->low += error == error ? error : 0;
    sum->high = high;
}

/* The lanes of a sum as one. */
static inline double sum_of_lanes(const struct fghm_sum *sum) {
    double lanes[16];
    for (int lane = 0; lane < 16; lane++) {
        /* The error is NaN once a sum is infinite. */
        const double error = sum->error[lane];
        lanes[lane] = sum->total[lane] + (error == error ? error : 0);
    }
    for (int width = 8; width > 0; width /= 2) {
        for (int lane = 0; lane < width; lane++) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

#endif
