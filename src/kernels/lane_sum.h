/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_LANE_SUM_H
#define FGHM_KERNELS_LANE_SUM_H

/* The sum of a segment, in SUM_LANES lanes of double.  Four elements of a lane are
 * added in their own type first, in pairs, which loses 2^-23 of a float sum at
 * the very most: widening and adding each took a fifth of the whole kernel's
 * time.  From there on, double is exact enough for float: 2^18 additions in a
 * lane lose 2^-35.  For double, a chunk is added up plainly, and the chunks' sums
 * with the error of each addition carried along.  Chunks of losses that could overflow
 * where they meet go another way. */

#include <stdbool.h>

#include "kernels/double_sum.h"
#include "kernels/kernels.h"
#include "vec/real.h"

struct lane_sum {
    vsum sum;
#if FGHM_REAL_BITS == 64
    real total[SUM_LANES];
    real error[SUM_LANES];
    struct double_sum huge;
#endif
};

/* Goes on with a sum, and puts it back. */
KERNEL_INLINE void lane_sum_start(struct lane_sum *lanes, const struct fghm_sum *from) {
#if FGHM_REAL_BITS == 64
    v_sum_zero(&lanes->sum);
    if (from->started) {
        memcpy(lanes->total, from->total, sizeof lanes->total);
        memcpy(lanes->error, from->error, sizeof lanes->error);
        lanes->huge = from->huge;
    } else {
        memset(lanes->total, 0, sizeof lanes->total);
        memset(lanes->error, 0, sizeof lanes->error);
        lanes->huge = (struct double_sum){0, 0};
    }
#else
    if (from->started) {
        v_sum_load(&lanes->sum, from->total);
    } else {
        v_sum_zero(&lanes->sum);
    }
#endif
}

KERNEL_INLINE void lane_sum_end(const struct lane_sum *lanes, struct fghm_sum *to) {
    to->started = true;
#if FGHM_REAL_BITS == 64
    memcpy(to->total, lanes->total, sizeof lanes->total);
    memcpy(to->error, lanes->error, sizeof lanes->error);
    to->huge = lanes->huge;
#else
    v_sum_store(to->total, &lanes->sum);
#endif
}

/* At the end of each chunk. */
#if FGHM_REAL_BITS == 64
static __attribute__((noinline)) void lane_sum_end_chunk(struct lane_sum *lanes) {
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
}
#else
KERNEL_INLINE void lane_sum_end_chunk(struct lane_sum *lanes) {
    (void)lanes;
}
#endif

/* Adds blocks of SUM_LANES. */
KERNEL_INLINE void add_blocks(vsum *sum, size_t blocks, const real *from) {
    for (size_t i = 0; i < blocks * SUM_LANES; i += SUM_LANES) {
        KERNEL_UNROLL
        for (int part = 0; part < SUM_LANES / V_LANES; part++) {
            v_sum_add(sum, part, v_load(from + i + (size_t)part * V_LANES));
        }
    }
}

/* Adds four blocks at a time. */
KERNEL_INLINE void add_fours(vsum *sum, size_t fours, const real *from) {
    for (size_t i = 0; i < fours * 4 * SUM_LANES; i += 4 * SUM_LANES) {
        KERNEL_UNROLL
        for (int part = 0; part < SUM_LANES / V_LANES; part++) {
            const real *const at = from + i + (size_t)part * V_LANES;
            const vreal first = v_add(v_load(at), v_load(at + SUM_LANES));
            const vreal second = v_add(v_load(at + 2 * SUM_LANES), v_load(at + 3 * SUM_LANES));
            v_sum_add(sum, part, v_add(first, second));
        }
    }
}

/* Out of line, like the other functions below that are: each loss, gamma and set of outputs
 * has a loop of its own, and these would be most of it. */
static __attribute__((noinline)) void lane_sum_add_many(struct lane_sum *lanes, size_t n,
                                                        const real *from) {
    const size_t fours = n / (4 * SUM_LANES);
    vsum sum = lanes->sum;
    add_fours(&sum, fours, from);
    add_blocks(&sum, n / SUM_LANES - 4 * fours, from + 4 * fours * SUM_LANES);
    lanes->sum = sum;
    lane_sum_end_chunk(lanes);
}

/* Adds numbers that are so large that doubles would overflow where they meet, in other units;
 * false, with nothing added, if none is. */
static inline bool add_huge(struct lane_sum *lanes, size_t n, const real *from) {
    bool found = false;
#if FGHM_REAL_BITS == 64
    for (size_t i = 0; i < n; i++) {
        found = found || (fabs(from[i]) > REAL_MODERATE_LOSS && fabs(from[i]) <= REAL_MAX);
    }
    for (size_t i = 0; found && i < n; i++) {
        double_sum_add(&lanes->huge, from[i] * HUGE_UNIT);
    }
#else
    (void)lanes;
    (void)n;
    (void)from;
#endif
    return found;
}

/* Adds n numbers of any size, a multiple of SUM_LANES, one after the other: floats do not
 * overflow in double. */
static __attribute__((noinline)) void lane_sum_add_singly(struct lane_sum *lanes, size_t n,
                                                          const real *from) {
    if (!add_huge(lanes, n, from)) {
        add_blocks(&lanes->sum, n / SUM_LANES, from);
        lane_sum_end_chunk(lanes);
    }
}

KERNEL_RARE void lane_sum_add_large(struct lane_sum *lanes, size_t n, const real *from) {
    if (FGHM_REAL_BITS == 32) {
        lane_sum_add_singly(lanes, n, from);
    } else if (!add_huge(lanes, n, from)) {
        lane_sum_add_many(lanes, n, from);
    }
}

/* Adds n numbers, a multiple of SUM_LANES; `moderate` if none is larger than
 * REAL_MODERATE_LOSS.  Few floats, those of a small call, without a call; with the errors of
 * double, it would be too much code. */
KERNEL_INLINE void lane_sum_add_chunk(struct lane_sum *lanes, size_t n, const real *from,
                                      bool moderate) {
    if (FGHM_REAL_BITS == 32 && n == SUM_LANES) {
        add_blocks(&lanes->sum, 1, from);
        lane_sum_end_chunk(lanes);
    } else if (__builtin_expect(moderate, 1)) {
        lane_sum_add_many(lanes, n, from);
    } else {
        lane_sum_add_large(lanes, n, from);
    }
}

#endif
