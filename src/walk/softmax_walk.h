/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SOFTMAX_WALK_H
#define FGHM_WALK_SOFTMAX_WALK_H

/* Softmax: the loss of a sample is that of one element, its margin, with target 1. */

#include <float.h>

#include "walk/tile.h"

static struct fghm_class_arrays class_arrays_of(const struct fghm_plan *plan) {
    return (struct fghm_class_arrays){.classes = plan->shape.classes,
                                      .logits = &plan->arrays->logits,
                                      .gradient = &plan->arrays->gradient,
                                      .hessian = &plan->arrays->hessian};
}

/* The factor of a class whose target is 1. */
static inline double own_factor(const struct fghm_class_factors *factors, size_t class_index) {
    const double own = factors->weights == NULL ? 1 : factors->weights[class_index];
    const double weight = own * factors->common;
    return factors->alpha == NULL ? weight : weight * factors->alpha[class_index];
}

/* The weights of samples, and the sum of them. */
static void load_sample_weights(const struct fghm_plan *plan, bool is_mask, size_t first, size_t n,
                                const int32_t *columns, struct tile *tile, struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    if (arrays->weights.data == NULL) {
        for (size_t k = 0; k < n; k++) {
            tile->weights[k] = columns[k] >= 0 ? 1 : 0;
        }
        return;
    }
    if (is_mask) {
        load_compared(tile->kernels, &arrays->weights, false, first, n, tile->weights);
    } else {
        load(tile->kernels, &arrays->weights, first, n, tile->weights);
    }
    for (size_t k = 0; k < n; k++) {
        tile->weights[k] = columns[k] >= 0 ? tile->weights[k] : 0;
    }
    add_weights(tile->kernels, n, tile->weights, part);
}

/* The margins of samples as elements, to be computed into the tile. */
static struct fghm_span samples_load(const struct fghm_plan *plan, bool is_mask, size_t first,
                                     size_t n, struct softmax_samples *samples, struct tile *tile,
                                     struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct fghm_class_arrays classes = class_arrays_of(plan);
    load_columns(plan, first, n, samples->columns);
    tile->kernels->margins(&classes, first, n, samples, tile->logits);
    load_sample_weights(plan, is_mask, first, n, samples->columns, tile, part);
    for (size_t k = 0; k < n; k++) {
        const int32_t column = samples->columns[k];
        const bool is_ignored = column < 0;
        const double factor = is_ignored ? 0 : own_factor(&arrays->factors, (size_t)column);
        tile->logits[k] = is_ignored ? 1 : tile->logits[k];
        tile->targets[k] = 1;
        tile->weights[k] = is_ignored ? 0 : (real)(factor * (double)tile->weights[k]);
        tile->ignored[k] = is_ignored;
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

/* Brings the results of samples to the caller. */
static void samples_store(const struct fghm_plan *plan,
                          const struct fghm_focal_constants *constants, size_t first,
                          struct softmax_samples *samples, struct tile *tile,
                          const struct fghm_span *span) {
    written(tile->kernels, &plan->arrays->element_loss, first, span->n, span->element_loss);
    if (span->gradient != NULL) {
        const struct fghm_class_arrays classes = class_arrays_of(plan);
        const double factor = constants->positive * constants->scale;
        /* What the registers have besides samples. */
        for (size_t k = span->n; k < SOFTMAX_TILE; k++) {
            tile->gradient[k] = tile->hessian[k] = 0;
        }
        for (size_t k = 0; k < SOFTMAX_TILE; k++) {
            tile->weights[k] = k < span->n ? (real)(factor * (double)tile->weights[k]) : 0;
        }
        tile->kernels->spread(&classes, constants, first, span->n, samples, tile->gradient,
                              span->hessian, tile->weights);
    }
}

#endif
