/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_LANE_SUM_H
#define FGHM_KERNELS_LANE_SUM_H

/* A long sum in SUM_LANES lanes of double, exact to a few ulp at any length:
 * chunks of elements are added up plainly (a vsum), and the sums of chunks with
 * the error of each addition carried along. */

#include "vec/real.h"

struct lane_sum {
    double sum[SUM_LANES];
    double error[SUM_LANES];
};

static inline void lane_sum_zero(struct lane_sum *total) {
    memset(total, 0, sizeof *total);
}

static inline void lane_sum_add(struct lane_sum *total, const vsum *chunk) {
    double added[SUM_LANES];
    v_sum_store(added, chunk);
    for (int lane = 0; lane < SUM_LANES; lane++) {
        const double before = total->sum[lane];
        const double after = before + added[lane];
        const double from_added = after - before;
        const double from_before = after - from_added;
        total->error[lane] += (before - from_before) + (added[lane] - from_added);
        total->sum[lane] = after;
    }
}

static inline double lane_sum_total(const struct lane_sum *total) {
    double lanes[SUM_LANES];
    for (int lane = 0; lane < SUM_LANES; lane++) {
        /* The error is NaN once a sum is infinite. */
        const double error = total->error[lane];
        lanes[lane] = total->sum[lane] + (error == error ? error : 0);
    }
    for (int width = SUM_LANES / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; lane++) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

#endif
