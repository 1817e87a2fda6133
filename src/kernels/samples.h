/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SAMPLES_H
#define FGHM_KERNELS_SAMPLES_H

/* The samples of a tile of the softmax form, between the walk, which reads their labels, and the
 * kernels. */

#include <stdbool.h>

#include "vec/real.h"

/* Classes whose exponentials are added in fours; so many of columns stay in the tile. */
#define FOURS (4 * SUM_LANES)

/* Samples of a tile, at most, and numbers that it has room for.  The stack of a call is what
 * limits both. */
#define SOFTMAX_TILE (FGHM_REAL_BITS == 32 ? 64 : 16)
#define SOFTMAX_ROOM ((size_t)FOURS * SUM_LANES)

/* What a label can be besides the index of a class. */
#define BACKGROUND (-1)
#define IGNORED (-2)
#define NO_LABEL (-3)

struct softmax_samples {
    int32_t columns[SOFTMAX_TILE]; /* by the walk */
    /* By the walk: whether the derivatives of the same samples follow, so that exponentials may
     * wait where gradients or Hessians will be.  What comes next is by the kernels. */
    bool kept;
    real own[SOFTMAX_TILE];     /* the logit of the sample's own class */
    real largest[SOFTMAX_TILE]; /* of the others */
    real sum[SOFTMAX_TILE];     /* of the lifted exponentials of the others, */
    real sum_low[SOFTMAX_TILE]; /* and what rounding took from it */
    /* Columns: of up to FOURS classes the logits, then the exponentials; of more classes, room for
     * the logits of FOURS of them and SUM_LANES samples. */
    real block[SOFTMAX_ROOM];
};

/* Samples of a tile: a block of columns has room, and logits and gradients of rows stay in the
 * level 1 cache from the one step to the other, or those of one sample in the next. */
static inline size_t softmax_tile(size_t classes) {
    const size_t room = classes <= FOURS ? SOFTMAX_ROOM / classes / SUM_LANES * SUM_LANES
                                         : 16384 / sizeof(real) / classes;
    return room > SOFTMAX_TILE ? SOFTMAX_TILE : room > 0 ? room : 1;
}

#endif
