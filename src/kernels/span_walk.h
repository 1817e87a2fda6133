/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SPAN_WALK_H
#define FGHM_KERNELS_SPAN_WALK_H

#include <stdbool.h>

#include "kernels/span.h"

/* How many elements go through a kernel's sweeps at a time: its working arrays, up to five, stay
 * in the level 1 cache beside the caller's, in double, too (10 KiB of 32).  With 128 GHM-C takes 4
 * to 17 % longer and focal loss 9 %; with 512 they gain up to 9 and 2 % (Zen 3, AVX2, float).  Sums
 * of double depend on it (lane_sum.h): another number is another numerics revision. */
#define CHUNK 256

/* Stands in for a logit that is not to be looked at.  With target 1 it is so right that its
 * results are 0, whatever its weight, and of an ordinary size: nothing overflows, and the
 * chunk that has it goes the common way. */
#define HARMLESS_LOGIT REAL(0x1p15)

/* Walks over a span in parts of at most CHUNK elements, each a multiple of
 * SUM_LANES: the last few are handed out in a padded copy. */
struct span_walk {
    const struct fghm_span *span;
    size_t first; /* elements before the current part */
    size_t n;     /* elements of the caller's in the current part */
    bool padded;
    real filling;                 /* the logit of an element with target 1 whose results are 0 */
    const struct fghm_span *part; /* the span itself, if it is one part, else what is behind */
    struct fghm_span of_part;
    /* Registers as they are stored and loaded cross no line of the cache. */
    _Alignas(V_LANES * sizeof(real)) real logits[SUM_LANES];
    real targets[SUM_LANES], weights[SUM_LANES];
    real element_loss[SUM_LANES], gradient[SUM_LANES], hessian[SUM_LANES];
    real own_numbers[4][SUM_LANES];
    struct fghm_own own;
};

/* n < SUM_LANES numbers, and `filling` behind them.  Stored register by register, as they will be
 * loaded: loads of what is still on its way in smaller pieces would have to wait. */
KERNEL_INLINE void pad(const real *from, size_t n, real filling, real *to) {
    for (size_t i = 0; i < SUM_LANES; i += V_LANES) {
        v_store(to + i, i < n ? v_load_first(from + i, n - i, filling) : v_set(filling));
    }
}

OUT_OF_LINE void walk_pad_own(struct span_walk *walk) {
    const struct fghm_own *const from = walk->span->own;
    const void *const arrays[] = {from->gamma, from->gamma_low, from->positive_share,
                                  from->negative_share};
    const void **const own[] = {&walk->own.gamma, &walk->own.gamma_low, &walk->own.positive_share,
                                &walk->own.negative_share};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *own[i] = NULL;
        if (arrays[i] != NULL) {
            pad(offset_const(arrays[i], walk->span->own_first + walk->first), walk->n, 0,
                walk->own_numbers[i]);
            *own[i] = walk->own_numbers[i];
        }
    }
}

/* The filling is a positive of weight 0: its loss, gradient and Hessian are 0. */
static inline void walk_pad(struct span_walk *walk) {
    const struct fghm_span *const span = walk->span;
    pad((const real *)span->logits + walk->first, walk->n, walk->filling, walk->logits);
    pad((const real *)span->targets + walk->first, walk->n, 1, walk->targets);
    if (span->weights != NULL) {
        pad((const real *)span->weights + walk->first, walk->n, 0, walk->weights);
    }
    if (span->own != NULL) {
        walk_pad_own(walk);
    }
    walk->of_part = (struct fghm_span){
        .n = SUM_LANES,
        .logits = walk->logits,
        .targets = walk->targets,
        .weights = span->weights == NULL ? NULL : walk->weights,
        .element_loss = span->element_loss == NULL ? NULL : walk->element_loss,
        .gradient = span->gradient == NULL ? NULL : walk->gradient,
        .hessian = span->hessian == NULL ? NULL : walk->hessian,
        .own = span->own == NULL ? NULL : &walk->own,
    };
}

static inline void walk_start(struct span_walk *walk, const struct fghm_span *span) {
    walk->span = span;
    walk->first = 0;
    walk->n = 0;
    walk->filling = HARMLESS_LOGIT;
}

static __attribute__((noinline)) void walk_part(struct span_walk *walk, size_t left) {
    const size_t whole = left - left % SUM_LANES;
    walk->padded = whole == 0;
    walk->n = walk->padded ? left : whole < CHUNK ? whole : CHUNK;
    walk->part = &walk->of_part;
    if (walk->padded) {
        walk_pad(walk);
    } else {
        walk->of_part = sub_span(walk->span, walk->first, walk->n);
    }
}

/* Goes on to the next part; false at the end. */
KERNEL_INLINE bool walk_next(struct span_walk *walk) {
    walk->first += walk->n;
    const size_t left = walk->span->n - walk->first;
    if (left == 0) {
        return false;
    }
    if (walk->first == 0 && left <= CHUNK && left % SUM_LANES == 0) {
        /* Small calls: no call, and no copy, which would wait for what has just been written. */
        walk->n = left;
        walk->padded = false;
        walk->part = walk->span;
        return true;
    }
    walk_part(walk, left);
    return true;
}

static __attribute__((noinline)) void walk_unpad(const struct span_walk *walk) {
    const struct fghm_span *const span = walk->span;
    const size_t bytes = walk->n * sizeof(real);
    if (span->element_loss != NULL) {
        memcpy(offset(span->element_loss, walk->first), walk->element_loss, bytes);
    }
    if (span->gradient != NULL) {
        memcpy(offset(span->gradient, walk->first), walk->gradient, bytes);
    }
    if (span->hessian != NULL) {
        memcpy(offset(span->hessian, walk->first), walk->hessian, bytes);
    }
}

/* Brings the results of a padded part to the caller. */
KERNEL_INLINE void walk_finish_part(const struct span_walk *walk) {
    if (walk->padded) {
        walk_unpad(walk);
    }
}

#endif
