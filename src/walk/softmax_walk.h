/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SOFTMAX_WALK_H
#define FGHM_WALK_SOFTMAX_WALK_H

/* Softmax: the loss of a sample is that of one element, its margin, with target 1. */

#include <float.h>

#include "walk/softmax_columns.h"
#include "walk/softmax_rows.h"

static struct class_arrays class_arrays_of(const struct fghm_plan *plan) {
    return (struct class_arrays){.classes = plan->shape.classes,
                                 .logits = &plan->arrays->logits,
                                 .gradient = &plan->arrays->gradient,
                                 .hessian = &plan->arrays->hessian,
                                 .offsets = plan->arrays->offsets};
}

/* Up to so many classes are columns in any case: what a row costs besides is more than moving it.
 * A row costs less where several of them are worked on together, and a column more where logits are
 * converted or a register has fewer lanes. */
static inline size_t few_classes(const struct class_arrays *arrays) {
    const struct fghm_array *const hessian = arrays->hessian;
    const bool one_by_one = arrays->logits->class_stride != 1 || arrays->offsets != NULL ||
                            (hessian->data != NULL && hessian->dtype != REAL_DTYPE);
    return one_by_one ? 32 : FGHM_REAL_BITS == 32 && arrays->logits->dtype == REAL_DTYPE ? 24 : 15;
}

/* Whether classes of a sample lie nearer to each other than the samples of a class. */
static inline bool are_rows(const struct class_arrays *arrays) {
    const struct fghm_array *const array = arrays->logits;
    const ptrdiff_t class_stride = array->class_stride;
    const ptrdiff_t sample_stride = array->strides[array->axes - 1];
    return arrays->classes > few_classes(arrays) &&
           (class_stride < 0 ? -class_stride : class_stride) <=
               (sample_stride < 0 ? -sample_stride : sample_stride);
}

/* Samples of a tile, which the order of losses in their sum depends on: columns of up to FOURS
 * classes have room, and logits and gradients of rows stay in the level 1 cache from the one step
 * to the other, or those of one sample in the next. */
static inline size_t softmax_tile(size_t classes) {
    const size_t room = classes <= FOURS ? SAMPLES_ROOM / classes : 16384 / sizeof(real) / classes;
    const size_t tile = room < SUM_LANES ? room : room / SUM_LANES * SUM_LANES;
    return tile > SOFTMAX_TILE ? SOFTMAX_TILE : tile > 0 ? tile : 1;
}

_Static_assert(FOURS *SUM_LANES <= SAMPLES_ROOM, "FOURS classes of some samples have room");

/* The margins of n samples. */
OUT_OF_LINE void load_margins(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                              size_t first, size_t n, struct softmax_samples *samples,
                              real *margins) {
    const size_t lanes = (n + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
    for (size_t k = n; k < lanes; k++) {
        samples->columns[k] = IGNORED;
    }
    if (are_rows(arrays)) {
        rows_reduce(kernels, arrays, first, n, samples);
    } else {
        if (n < lanes) {
            /* Lanes that nobody has. */
            memset(samples->block, 0, SAMPLES_ROOM * sizeof(real));
        }
        struct column_walk walk;
        for (size_t at = 0; at < n; at += walk.samples) {
            column_walk_start(&walk, kernels, arrays, first, at, n, samples);
            columns_reduce(&walk, samples);
        }
    }
    kernels->margins(lanes, samples, margins);
}

/* Brings the derivatives of the margins to the logits. */
OUT_OF_LINE void store_derivatives(const struct fghm_kernels *kernels,
                                   const struct class_arrays *arrays,
                                   const struct fghm_spread *spread, size_t first, size_t n,
                                   struct softmax_samples *samples) {
    if (are_rows(arrays)) {
        rows_spread(kernels, arrays, spread, first, n, samples);
        return;
    }
    struct column_walk walk;
    for (size_t at = 0; at < n; at += walk.samples) {
        column_walk_start(&walk, kernels, arrays, first, at, n, samples);
        if (arrays->hessian->data != NULL) {
            columns_rest(&walk, samples);
            columns_spread_both(&walk, spread, samples);
        } else {
            columns_spread(&walk, spread, samples, NULL);
        }
    }
}

/* The factor of a class whose target is 1. */
static inline double own_factor(const struct fghm_class_factors *factors, size_t class_index) {
    const double own = factors->weights == NULL ? 1 : factors->weights[class_index];
    const double weight = own * factors->common;
    return factors->alpha == NULL ? weight : weight * factors->alpha[class_index];
}

/* A number for each of n samples, and to the next multiple of SUM_LANES. */
OUT_OF_LINE void fill_samples(real number, size_t n, real *to) {
    for (size_t at = 0; at < n; at += SUM_LANES) {
        for (size_t lane = 0; lane < SUM_LANES; lane++) {
            to[at + lane] = number;
        }
    }
}

/* The weights of samples, and the sum of them.  `columns` is NULL if all labels are classes. */
static void load_sample_weights(const struct fghm_plan *plan, const struct fghm_kernels *kernels,
                                bool is_mask, size_t first, size_t n, const int32_t *columns,
                                real *to, struct fghm_part *part) {
    const struct fghm_array *const weights = &plan->arrays->weights;
    if (weights->data == NULL) {
        fill_samples(1, n, to);
    } else if (is_mask) {
        load_compared(kernels, weights, false, first, n, to);
    } else {
        load(kernels, weights, first, n, to);
    }
    for (size_t k = 0; columns != NULL && k < n; k++) {
        to[k] = columns[k] >= 0 ? to[k] : 0;
    }
    if (weights->data != NULL) {
        add_weights(kernels, n, to, part);
    }
}

/* The weights of samples times the factors of their classes. */
static void weigh_samples(const struct fghm_class_factors *factors, size_t n,
                          const int32_t *columns, real *weights) {
    const bool alike = factors->weights == NULL && factors->alpha == NULL;
    if (alike && factors->common == 1) {
        return;
    }
    for (size_t k = 0; k < n; k++) {
        const double factor =
            alike || columns[k] < 0 ? factors->common : own_factor(factors, (size_t)columns[k]);
        weights[k] = columns[k] < 0 ? 0 : (real)(factor * (double)weights[k]);
    }
}

/* The margins of samples as elements, to be computed into the tile. */
static struct fghm_span samples_load(const struct fghm_plan *plan, bool is_mask, size_t first,
                                     size_t n, struct softmax_samples *samples, struct tile *tile,
                                     struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct class_arrays classes = class_arrays_of(plan);
    const int32_t *const columns = samples->columns;
    samples->block = tile->room + TILE_ROOM - SAMPLES_ROOM;
    const bool are_classes = load_columns(plan, first, n, samples->columns);
    load_margins(tile->kernels, &classes, first, n, samples, tile->logits);
    load_sample_weights(plan, tile->kernels, is_mask, first, n, are_classes ? NULL : columns,
                        tile->weights, part);
    weigh_samples(&arrays->factors, n, columns, tile->weights);
    fill_samples(1, n, tile->targets);
    memset(tile->ignored, 0, n);
    for (size_t k = 0; !are_classes && k < n; k++) {
        tile->ignored[k] = columns[k] < 0;
        tile->logits[k] = columns[k] < 0 ? 1 : tile->logits[k];
    }
    const bool derivatives = arrays->gradient.data != NULL || arrays->hessian.data != NULL;
    return (struct fghm_span){
        .n = n,
        .logits = tile->logits,
        .targets = tile->targets,
        .weights = tile->weights,
        .element_loss = arrays->element_loss.data == NULL ? NULL : tile->element_loss,
        .gradient = derivatives ? tile->gradient : NULL,
        .hessian = arrays->hessian.data == NULL ? NULL : tile->hessian,
    };
}

/* Brings the results of samples to the caller; of the spread, the Hessian's mode is there.
 * `factor` is that of all of them. */
static void samples_store(const struct fghm_plan *plan, double factor, size_t first,
                          struct softmax_samples *samples, struct tile *tile,
                          const struct fghm_span *span, struct fghm_spread *spread) {
    written(tile->kernels, &plan->arrays->element_loss, first, span->n, span->element_loss);
    if (span->gradient != NULL) {
        const struct class_arrays classes = class_arrays_of(plan);
        for (size_t k = 0; span->hessian != NULL && k < span->n; k++) {
            tile->weights[k] = (real)(factor * (double)tile->weights[k]);
        }
        /* What the registers have besides samples. */
        for (size_t k = span->n; k % SUM_LANES != 0; k++) {
            tile->gradient[k] = tile->hessian[k] = tile->weights[k] = 0;
        }
        spread->samples = samples;
        spread->gradient = tile->gradient;
        spread->hessian = span->hessian;
        spread->factors = tile->weights;
        store_derivatives(tile->kernels, &classes, spread, first, span->n, samples);
    }
}

#endif
