/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_DOUBLE_SUM_H
#define FGHM_KERNELS_DOUBLE_SUM_H

#include <math.h>

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

#endif
