/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SPAN_H
#define FGHM_KERNELS_SPAN_H

/* Parts of spans. */

#include "kernels/kernels.h"
#include "vec/real.h"

static inline const void *offset_const(const void *array, size_t elements) {
    return array == NULL ? NULL : (const real *)array + elements;
}

static inline void *offset(void *array, size_t elements) {
    return array == NULL ? NULL : (real *)array + elements;
}

/* The elements of `span` from `first` on, `n` of them. */
KERNEL_INLINE struct fghm_span sub_span(const struct fghm_span *span, size_t first, size_t n) {
    return (struct fghm_span){
        .n = n,
        .logits = offset_const(span->logits, first),
        .targets = offset_const(span->targets, first),
        .weights = offset_const(span->weights, first),
        .element_loss = offset(span->element_loss, first),
        .gradient = offset(span->gradient, first),
        .hessian = offset(span->hessian, first),
        .own = span->own,
        .own_first = span->own_first + first,
    };
}

#endif
