/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_LANE_SUM_H
#define FGHM_KERNELS_LANE_SUM_H

/* The sum of a segment, in SUM_LANES lanes of double.  For float that is exact
 * enough: 2^20 additions in a lane lose 2^-33.  For double, chunks of elements
 * are added up plainly, and the chunks' sums with the error of each addition
 * carried along. */

#include "vec/real.h"

struct lane_sum {
    vsum sum;
#if FGHM_REAL_BITS == 64
    real total[SUM_LANES];
    real error[SUM_LANES];
#endif
};

static inline void lane_sum_zero(struct lane_sum *lanes) {
    v_sum_zero(&lanes->sum);
#if FGHM_REAL_BITS == 64
    memset(lanes->total, 0, sizeof lanes->total);
    memset(lanes->error, 0, sizeof lanes->error);
#endif
}

/* At the end of each chunk. */
static inline void lane_sum_end_chunk(struct lane_sum *lanes) {
#if FGHM_REAL_BITS == 64
    real chunk[SUM_LANES];
    v_sum_store(chunk, &lanes->sum);
    v_sum_zero(&lanes->sum);
    for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
        const vreal before = v_load(lanes->total + lane);
        const vreal added = v_load(chunk + lane);
        const vreal after = v_add(before, added);
        const vreal from_added = v_sub(after, before);
        const vreal from_before = v_sub(after, from_added);
        const vreal error = v_add(v_sub(before, from_before), v_sub(added, from_added));
        v_store(lanes->error + lane, v_add(v_load(lanes->error + lane), error));
        v_store(lanes->total + lane, after);
    }
#else
    (void)lanes;
#endif
}

static inline double lane_sum_total(const struct lane_sum *lanes) {
    double sums[SUM_LANES];
#if FGHM_REAL_BITS == 64
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        /* The error is NaN once a sum is infinite. */
        const double error = lanes->error[lane];
        sums[lane] = lanes->total[lane] + (error == error ? error : 0);
    }
#else
    v_sum_store(sums, &lanes->sum);
#endif
    for (size_t width = SUM_LANES / 2; width > 0; width /= 2) {
        for (size_t lane = 0; lane < width; lane++) {
            sums[lane] += sums[lane + width];
        }
    }
    return sums[0];
}

#endif
