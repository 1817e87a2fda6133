/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_BATCH_KERNEL_H
#define FGHM_KERNELS_BATCH_KERNEL_H

/* Focal loss over batches: load a tile, compute it with the kernels for contiguous
 * elements, store it. */

#include "kernels/focal_kernel.h"
#include "kernels/softmax_kernel.h"
#include "kernels/tile_kernel.h"

static inline void survey_labels(const struct fghm_plan *plan, size_t first, size_t n,
                                 struct fghm_part *part) {
    const struct fghm_array *const labels = &plan->targets;
    /* With softmax, background is one of the columns. */
    const int64_t background = plan->has_background ? plan->background - plan->first_label : -1;
    int32_t columns[TILE];
    for (size_t at = 0; at < n;) {
        const size_t most = n - at < TILE ? n - at : TILE;
        const struct run run = run_at(&labels->shape, first + at, most);
        read_columns(plan, run_offset(labels, &run), run_stride(labels), run.length, columns);
        uint32_t bad = 0;
        uint32_t ignored = 0;
        uint32_t positives = 0;
        for (size_t k = 0; k < run.length; k++) {
            bad |= columns[k] == NO_LABEL;
            ignored += columns[k] == IGNORED;
            positives += columns[k] >= 0 && columns[k] != background;
        }
        for (size_t k = 0; bad && k < run.length; k++) {
            if (columns[k] == NO_LABEL) {
                found_offender(&part->bad_target, part, first + at + k);
                return;
            }
        }
        part->ignored += ignored;
        part->positives += positives;
        at += run.length;
    }
}

static void survey(const struct fghm_plan *plan, size_t first, size_t n, struct fghm_part *part) {
    if (plan->labels) {
        survey_labels(plan, first, n, part);
        return;
    }
    struct tile tile;
    for (size_t at = 0; at < n; at += TILE) {
        const size_t length = n - at < TILE ? n - at : TILE;
        const real *const targets = reading(&plan->targets, first + at, length, tile.targets);
        dense_targets(plan, length, targets, &tile, part);
    }
}

/* What the kernels found wrong in elements from `first` on. */
static inline void report(int bad, size_t first, const struct fghm_span *span,
                          struct fghm_part *part) {
    if (bad & FGHM_BAD_TARGET) {
        find_outside(first, span->n, span->targets, &part->bad_target, part);
    }
    if (bad & FGHM_BAD_PROBABILITY) {
        find_outside(first, span->n, span->logits, &part->bad_probability, part);
    }
}

/* The loss t positive(x) + (1 - t) negative(x): both terms, one after the other, with t
 * and 1 - t as weights.  What is out of [0, 1] becomes NaN. */
static __attribute__((noinline)) double split_tile(const struct fghm_focal_plan *plan,
                                                   const struct fghm_span *span, int *bad) {
    real target[TILE], weight[TILE];
    real loss[TILE], gradient[TILE], hessian[TILE];
    const real *const targets = span->targets;
    const real *const weights = span->weights;
    double sum = 0;
    for (int positive = 1; positive >= 0; positive--) {
        for (size_t k = 0; k < span->n; k++) {
            const bool fits = targets[k] >= 0 && targets[k] <= 1;
            const real t = fits ? targets[k] : (real)NAN;
            target[k] = (real)positive;
            weight[k] = (positive ? t : 1 - t) * (weights == NULL ? 1 : weights[k]);
            *bad |= targets[k] < 0 || targets[k] > 1 ? FGHM_BAD_TARGET : 0;
        }
        const struct fghm_span term = {
            .n = span->n,
            .logits = span->logits,
            .targets = target,
            .weights = weight,
            .element_loss = positive ? span->element_loss : loss,
            .gradient = span->gradient == NULL ? NULL
                        : positive             ? span->gradient
                                               : gradient,
            .hessian = span->hessian == NULL ? NULL
                       : positive            ? span->hessian
                                             : hessian,
        };
        sum += positive ? plan->kernel(&plan->constants, &term, bad)
                        : plan->negative_kernel(&plan->negative_constants, &term, bad);
    }
    real *const to[] = {span->element_loss, span->gradient, span->hessian};
    const real *const from[] = {loss, gradient, hessian};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; to[i] != NULL && k < span->n; k++) {
            to[i][k] += from[i][k];
        }
    }
    return sum;
}

/* Logits times gamma, as focal-star has it; finite ones stay finite. */
static inline void star_logits(const struct fghm_focal_plan *plan, struct tile *tile,
                               struct fghm_span *span) {
    const real *const logits = span->logits;
    const real star = (real)plan->star;
    for (size_t k = 0; k < span->n; k++) {
        const real product = logits[k] * star;
        const bool overflows =
            fabs((double)product) > (double)REAL_MAX && fabs((double)logits[k]) <= (double)REAL_MAX;
        tile->logits[k] = overflows ? (product > 0 ? REAL_MAX : -REAL_MAX) : product;
    }
    span->logits = tile->logits;
}

/* Computes a tile that has been loaded. */
static inline void compute_tile(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                                struct fghm_span *span, struct fghm_part *part) {
    int bad = 0;
    if (plan->star > 0) {
        star_logits(plan, tile, span);
    }
    part_add(part, plan->split ? split_tile(plan, span, &bad)
                               : plan->kernel(&plan->constants, span, &bad));
    if (bad != 0) {
        report(bad, first, span, part);
    }
    /* The kernel's Hessian is that of logits which were gamma times as large. */
    real *const hessian = span->hessian;
    for (size_t k = 0; plan->star > 0 && hessian != NULL && k < span->n; k++) {
        hessian[k] *= (real)plan->star;
    }
}

/* Elements of the sigmoid form, or probabilities. */
static inline void focal_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                              struct tile *tile, struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    struct fghm_span span = tile_load(batch, first, n, tile, part);
    if (span.weights != NULL) {
        check_weights(first, n, span.weights, part);
    }
    if (batch->class_alpha != NULL || batch->class_weights != NULL) {
        weigh_classes(batch, first, n, span.targets, span.weights, tile->weights);
        span.weights = tile->weights;
    }
    /* The terms of a split loss must not overwrite what both read. */
    const bool in_place = !plan->split;
    span.element_loss = batch->element_loss.data == NULL && !plan->split ? NULL
                        : in_place ? writing(&batch->element_loss, first, tile->element_loss)
                                   : tile->element_loss;
    span.gradient = batch->gradient.data == NULL ? NULL
                    : in_place                   ? writing(&batch->gradient, first, tile->gradient)
                                                 : tile->gradient;
    span.hessian = batch->hessian.data == NULL ? NULL
                   : in_place                  ? writing(&batch->hessian, first, tile->hessian)
                                               : tile->hessian;
    compute_tile(plan, first, tile, &span, part);
    written(&batch->element_loss, first, n, span.element_loss);
    written(&batch->gradient, first, n, span.gradient);
    written(&batch->hessian, first, n, span.hessian);
}

/* Samples of the softmax form: their margins are elements with target 1. */
static __attribute__((noinline)) void softmax_tile(const struct fghm_focal_plan *plan, size_t first,
                                                   size_t n, struct tile *tile,
                                                   struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    struct softmax_samples samples;
    softmax_margins(batch, first, n, &samples, tile->logits);
    if (batch->weights.data != NULL) {
        load(&batch->weights, first, n, tile->weights);
        check_weights(first, n, tile->weights, part);
    }
    struct fghm_focal_plan elements = *plan;
    elements.constants.absolute = false;
    elements.constants.hessian_floor = -DBL_MAX;
    for (size_t k = 0; k < n; k++) {
        const int32_t column = samples.columns[k];
        double factors[2] = {0, 0};
        if (column >= 0) {
            class_factors(batch, (size_t)column, factors);
        } else {
            tile->logits[k] = IGNORED_LOGIT;
        }
        const double weight = batch->weights.data == NULL ? 1 : (double)tile->weights[k];
        tile->targets[k] = 1;
        tile->weights[k] = column >= 0 ? (real)(factors[0] * weight) : 0;
    }
    const bool derivatives = batch->gradient.data != NULL || batch->hessian.data != NULL;
    struct fghm_span span = {
        .n = n,
        .logits = tile->logits,
        .targets = tile->targets,
        .weights = tile->weights,
        .element_loss = tile->element_loss,
        .gradient = derivatives ? tile->gradient : NULL,
        .hessian = batch->hessian.data == NULL ? NULL : tile->hessian,
    };
    compute_tile(&elements, first, tile, &span, part);
    if (batch->element_loss.data != NULL) {
        store(&batch->element_loss, first, n, tile->element_loss);
    }
    if (derivatives) {
        const double factor = plan->constants.positive * plan->constants.scale;
        for (size_t k = 0; k < SOFTMAX_TILE; k++) {
            tile->weights[k] = k < n ? (real)(factor * (double)tile->weights[k]) : 0;
        }
        softmax_spread(batch, &plan->constants, first, n, &samples, tile->gradient, span.hessian,
                       tile->weights);
    }
}

static void focal_batch(const struct fghm_focal_plan *plan, size_t first, size_t n,
                        struct fghm_part *part) {
    struct tile tile;
    size_t length;
    const bool direct = is_direct(&plan->batch) && !plan->split && !(plan->star > 0);
    const size_t most = plan->batch.softmax ? SOFTMAX_TILE : direct ? DIRECT_TILE : TILE;
    for (size_t at = 0; at < n; at += length) {
        length = n - at < most ? n - at : most;
        if (plan->batch.softmax) {
            softmax_tile(plan, first + at, length, &tile, part);
        } else {
            focal_tile(plan, first + at, length, &tile, part);
        }
    }
}

#endif
