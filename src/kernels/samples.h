/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SAMPLES_H
#define FGHM_KERNELS_SAMPLES_H

/* The samples of a tile of the softmax form, between the walk, which reads their labels, and the
 * kernels. */

#include "vec/real.h"

#define SOFTMAX_TILE 64

/* What a label can be besides the index of a class. */
#define BACKGROUND (-1)
#define IGNORED (-2)
#define NO_LABEL (-3)

struct softmax_samples {
    int32_t columns[SOFTMAX_TILE]; /* by the walk; what follows, by the kernels */
    real column[SOFTMAX_TILE];     /* the same as numbers */
    real own[SOFTMAX_TILE];        /* the logit of the sample's own class */
    real largest[SOFTMAX_TILE];    /* of the others */
    real sum[SOFTMAX_TILE];        /* of exp(logit - largest) of the others, */
    real sum_low[SOFTMAX_TILE];    /* and what rounding took from it */
};

#endif
