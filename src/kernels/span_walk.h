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
#define HARMLESS_LOGIT ((real)0x1p15)

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
    real logits[SUM_LANES], targets[SUM_LANES], weights[SUM_LANES];
    real element_loss[SUM_LANES], gradient[SUM_LANES], hessian[SUM_LANES];
    real own_numbers[4][SUM_LANES];
    struct fghm_own own;
};

static void walk_pad_own(struct span_walk *walk) {
    const struct fghm_span *const rest = &walk->of_part;
    const void *const arrays[] = {rest->own->gamma, rest->own->gamma_low, rest->own->positive_share,
                                  rest->own->negative_share};
    const void **const own[] = {&walk->own.gamma, &walk->own.gamma_low, &walk->own.positive_share,
                                &walk->own.negative_share};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *own[i] = NULL;
        if (arrays[i] != NULL) {
            memset(walk->own_numbers[i], 0, sizeof walk->own_numbers[i]);
            memcpy(walk->own_numbers[i], offset_const(arrays[i], rest->own_first),
                   rest->n * sizeof(real));
            *own[i] = walk->own_numbers[i];
        }
    }
}

/* The filling is a positive of weight 0: its loss, gradient and Hessian are 0. */
static __attribute__((noinline)) void walk_pad(struct span_walk *walk) {
    const struct fghm_span *const rest = &walk->of_part;
    for (size_t i = 0; i < SUM_LANES; i++) {
        walk->logits[i] = walk->filling;
        walk->targets[i] = 1;
        walk->weights[i] = 0;
    }
    const size_t bytes = rest->n * sizeof(real);
    memcpy(walk->logits, rest->logits, bytes);
    memcpy(walk->targets, rest->targets, bytes);
    if (rest->weights != NULL) {
        memcpy(walk->weights, rest->weights, bytes);
    }
    if (rest->own != NULL) {
        walk_pad_own(walk);
    }
    walk->of_part = (struct fghm_span){
        .n = SUM_LANES,
        .logits = walk->logits,
        .targets = walk->targets,
        .weights = rest->weights == NULL ? NULL : walk->weights,
        .element_loss = rest->element_loss == NULL ? NULL : walk->element_loss,
        .gradient = rest->gradient == NULL ? NULL : walk->gradient,
        .hessian = rest->hessian == NULL ? NULL : walk->hessian,
        .own = rest->own == NULL ? NULL : &walk->own,
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
    walk->of_part = sub_span(walk->span, walk->first, walk->n);
    if (walk->padded) {
        walk_pad(walk);
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
    const size_t bytes = walk->n * sizeof(real);
    const struct fghm_span to = sub_span(walk->span, walk->first, walk->n);
    if (to.element_loss != NULL) {
        memcpy(to.element_loss, walk->element_loss, bytes);
    }
    if (to.gradient != NULL) {
        memcpy(to.gradient, walk->gradient, bytes);
    }
    if (to.hessian != NULL) {
        memcpy(to.hessian, walk->hessian, bytes);
    }
}

/* Brings the results of a padded part to the caller. */
KERNEL_INLINE void walk_finish_part(const struct span_walk *walk) {
    if (walk->padded) {
        walk_unpad(walk);
    }
}

#endif
