/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SAMPLES_H
#define FGHM_KERNELS_SAMPLES_H

/* The samples of a tile of the softmax form, between the walk, which reads their labels, and the
 * kernels. */

#include <stdbool.h>

#include "vec/real.h"

/* Exponentials are those of the differences to the largest logit, times this: whatever is not far
 * too small to be seen in a share is a normal number. */
#if FGHM_REAL_BITS == 32
#define LIFT_EXPONENT 64
#define LIFT 0x1p64f
#else
#define LIFT_EXPONENT 512
#define LIFT 0x1p512
#endif

/* Classes whose exponentials are added in fours. */
#define FOURS ((size_t)4 * SUM_LANES)

/* Samples of a tile, at most. */
#define SOFTMAX_TILE ((size_t)64)

/* What a label can be besides the index of a class. */
#define BACKGROUND (-1)
#define IGNORED (-2)
#define NO_LABEL (-3)

struct softmax_samples {
    int32_t columns[SOFTMAX_TILE];
    /* Whether the derivatives of the same samples follow, so that exponentials may wait where
     * gradients or Hessians will be. */
    bool kept;
    real column[SOFTMAX_TILE];  /* as numbers */
    real own[SOFTMAX_TILE];     /* the logit of the sample's own class */
    real largest[SOFTMAX_TILE]; /* of the others */
    real sum[SOFTMAX_TILE];     /* of the lifted exponentials of the others, */
    real sum_low[SOFTMAX_TILE]; /* and what rounding took from it */
    real rest[SOFTMAX_TILE];    /* without the largest, where that is more than half of it */
    /* Room of the tile for rows that have no other place, or columns: logits, then exponentials. */
    real *block;
};

/* A sum in two parts. */
static inline void set_sum(double sum, real *high, real *low) {
    *high = (real)sum;
    *low = (real)(sum - (double)*high);
}

#endif
