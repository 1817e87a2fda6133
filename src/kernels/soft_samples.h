/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SOFT_SAMPLES_H
#define FGHM_KERNELS_SOFT_SAMPLES_H

/* Samples of the softmax form whose targets are soft, between the walk and the kernels of
 * soft_kernel.h: SUM_LANES of them, one in each lane. */

#include "kernels/samples.h"

/* Classes of a part, which all arrays have room for: 8 KiB each. */
#define SOFT_CLASSES (512 / sizeof(real))

/* Sums over the classes but the top one, in two parts: high + low. */
enum soft_sum {
    SOFT_REST, /* of lifted exponentials e */
    /* The factor is that of the sample: */
    SOFT_WRONG,  /* of (1 - t) e */
    SOFT_RIGHT,  /* of t e */
    SOFT_CROSS,  /* of u (largest - x) */
    SOFT_WEIGHT, /* of u */
    SOFT_SUMS,
    /* The factor is that of the class: */
    SOFT_SLOPES = SOFT_WRONG, /* of v */
    SOFT_STEEPNESS,           /* of |v| */
    SOFT_BENDS,               /* of b / q */
    SOFT_LOSSES               /* of losses, that of the top class with them */
};

struct soft_samples {
    /* By the walk: the index of the label's class, or -1; what derivatives are multiplied by. */
    real label[SUM_LANES], factor[SUM_LANES];
    /* The largest logit, and the index of the first class that has it: the top class. */
    real largest[SUM_LANES], top[SUM_LANES];
    real high[SOFT_SUMS][SUM_LANES], low[SOFT_SUMS][SUM_LANES];
    real top_first[SUM_LANES], top_second[SUM_LANES]; /* of the top class: t and u, or v and b */
    /* The sum of all exponentials, its reciprocal, and -log p of the top class. */
    real total[SUM_LANES], total_low[SUM_LANES], reciprocal[SUM_LANES];
    real top_log[SUM_LANES], top_log_low[SUM_LANES];
    /* The factor of the sample: Q^gamma, and sum of u (-log p) where that is differentiated. */
    real power[SUM_LANES], cross[SUM_LANES];
    real loss[SUM_LANES];
    /* Of a part, class after class: logits, then v or Hessians; exponentials, then gradients;
     * targets, then b. */
    real logits[SOFT_CLASSES * SUM_LANES];
    real exponentials[SOFT_CLASSES * SUM_LANES];
    real targets[SOFT_CLASSES * SUM_LANES];
};

#endif
