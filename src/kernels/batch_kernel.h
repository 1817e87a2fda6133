/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_BATCH_KERNEL_H
#define FGHM_KERNELS_BATCH_KERNEL_H

/* Focal loss over batches: load a tile, compute it with the kernels for contiguous
 * elements, store it. */

#include "kernels/focal_kernel.h"
#include "kernels/ghmr_kernel.h"
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

/* The mode of a Hessian that is a sum of two terms and has its factors, of which weights
 * may be negative. */
static inline void split_hessian(const struct fghm_focal_plan *plan, size_t n, const real *factors,
                                 real *hessian) {
    for (size_t k = 0; plan->split_absolute && k < n; k++) {
        hessian[k] = (hessian[k] < 0) == (factors[k] < 0) ? hessian[k] : -hessian[k];
    }
    const real least = (real)plan->split_floor;
    for (size_t k = 0; plan->split_floor >= 0 && k < n; k++) {
        const real floor = least * factors[k];
        const bool below = factors[k] < 0 ? hessian[k] > floor : hessian[k] < floor;
        hessian[k] = below ? floor : hessian[k];
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

static inline bool has_class_factors(const struct fghm_plan *plan) {
    return plan->class_alpha != NULL || plan->class_weights != NULL;
}

/* The loss t positive(x) + (1 - t) negative(x): both terms, one after the other, with t
 * and 1 - t as weights.  A target out of [0, 1] becomes NaN. */
static __attribute__((noinline)) double split_tile(const struct fghm_focal_plan *plan, size_t first,
                                                   const struct fghm_span *span, int *bad) {
    real target[TILE], weight[TILE];
    real loss[TILE], gradient[TILE], hessian[TILE];
    real factors[TILE] = {0};
    const real *const targets = span->targets;
    const real *weights = span->weights;
    double sum = 0;
    for (int positive = 1; positive >= 0; positive--) {
        for (size_t k = 0; k < span->n; k++) {
            target[k] = (real)positive;
        }
        if (has_class_factors(&plan->batch)) {
            weigh_classes(&plan->batch, first, span->n, target, span->weights, weight);
            weights = weight;
        }
        for (size_t k = 0; k < span->n; k++) {
            const bool outside = targets[k] < 0 || targets[k] > 1;
            const real t = outside ? (real)NAN : targets[k];
            weight[k] = (positive ? t : 1 - t) * (weights == NULL ? 1 : weights[k]);
            *bad |= outside ? FGHM_BAD_TARGET : 0;
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
        const struct fghm_focal_constants *const constants = &plan->constants;
        const double alpha = positive ? constants->positive : constants->negative;
        const real factor = (real)(alpha * constants->scale);
        for (size_t k = 0; span->hessian != NULL && k < span->n; k++) {
            factors[k] += weight[k] * factor;
        }
    }
    real *const to[] = {span->element_loss, span->gradient, span->hessian};
    const real *const from[] = {loss, gradient, hessian};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; to[i] != NULL && k < span->n; k++) {
            to[i][k] += from[i][k];
        }
    }
    if (span->hessian != NULL) {
        split_hessian(plan, span->n, factors, span->hessian);
    }
    return sum;
}

/* Focal-star: logits times gamma, where finite ones stay finite.  A target that is neither
 * 0 nor 1 becomes NaN. */
static inline void star_inputs(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                               struct fghm_span *span, struct fghm_part *part) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real star = (real)plan->star;
    for (size_t k = 0; k < span->n; k++) {
        const real product = logits[k] * star;
        const bool overflows =
            fabs((double)product) > (double)REAL_MAX && fabs((double)logits[k]) <= (double)REAL_MAX;
        const bool soft = targets[k] != 0 && targets[k] != 1;
        if (soft && targets[k] == targets[k]) {
            found_offender(&part->bad_target, part, first + k);
        }
        tile->logits[k] = overflows ? (product > 0 ? REAL_MAX : -REAL_MAX) : product;
        tile->targets[k] = soft ? (real)NAN : targets[k];
    }
    span->logits = tile->logits;
    span->targets = tile->targets;
}

/* Computes a tile that has been loaded. */
static inline void compute_tile(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                                struct fghm_span *span, struct fghm_part *part) {
    int bad = 0;
    if (plan->star > 0) {
        star_inputs(plan, first, tile, span, part);
    }
    part_add(part, plan->split ? split_tile(plan, first, span, &bad)
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

/* Where the results of a tile go: to the caller's memory where kernels can, and where
 * `in_place` allows. */
static inline void tile_outputs(const struct fghm_plan *plan, size_t first, bool in_place,
                                struct tile *tile, struct fghm_span *span) {
    const struct fghm_array *const arrays[] = {&plan->element_loss, &plan->gradient,
                                               &plan->hessian};
    real *const buffers[] = {tile->element_loss, tile->gradient, tile->hessian};
    void **const outputs[] = {&span->element_loss, &span->gradient, &span->hessian};
    for (int i = 0; i < 3; i++) {
        const bool direct = in_place && arrays[i]->direct;
        real *const to = direct ? (real *)arrays[i]->data + first : buffers[i];
        *outputs[i] = arrays[i]->data == NULL ? NULL : to;
    }
}

static inline void tile_store(const struct fghm_plan *plan, size_t first,
                              const struct fghm_span *span) {
    written(&plan->element_loss, first, span->n, span->element_loss);
    written(&plan->gradient, first, span->n, span->gradient);
    written(&plan->hessian, first, span->n, span->hessian);
}

/* Elements of the sigmoid form, or probabilities. */
static inline void focal_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                              struct tile *tile, struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    struct fghm_span span = tile_load(batch, first, n, tile, part);
    if (span.weights != NULL && !batch->any_weights) {
        check_weights(first, n, span.weights, part);
    }
    if (has_class_factors(batch) && !plan->split) {
        weigh_classes(batch, first, n, span.targets, span.weights, tile->weights);
        span.weights = tile->weights;
    }
    /* The terms of a split loss must not overwrite what both read. */
    tile_outputs(batch, first, !plan->split, tile, &span);
    compute_tile(plan, first, tile, &span, part);
    tile_store(batch, first, &span);
}

/* Samples of the softmax form: their margins are elements with target 1, to be computed
 * into the tile. */
static __attribute__((noinline)) struct fghm_span softmax_load(const struct fghm_plan *plan,
                                                               size_t first, size_t n,
                                                               struct softmax_samples *samples,
                                                               struct tile *tile) {
    softmax_margins(plan, first, n, samples, tile->logits);
    if (plan->weights.data != NULL) {
        load(&plan->weights, first, n, tile->weights);
    }
    for (size_t k = 0; k < n; k++) {
        const int32_t column = samples->columns[k];
        double factors[2] = {0, 0};
        if (column >= 0) {
            class_factors(plan, (size_t)column, factors);
        } else {
            tile->logits[k] = IGNORED_LOGIT;
        }
        const double weight = plan->weights.data == NULL ? 1 : (double)tile->weights[k];
        tile->targets[k] = 1;
        /* A weight that is none stays one, for check_weights(). */
        const double product = weight >= 0 ? factors[0] * weight : weight;
        tile->weights[k] = column >= 0 ? (real)product : 0;
        tile->ignored[k] = column < 0;
    }
    const bool derivatives = plan->gradient.data != NULL || plan->hessian.data != NULL;
    return (struct fghm_span){
        .n = n,
        .logits = tile->logits,
        .targets = tile->targets,
        .weights = tile->weights,
        .element_loss = plan->element_loss.data == NULL ? NULL : tile->element_loss,
        .gradient = derivatives ? tile->gradient : NULL,
        .hessian = plan->hessian.data == NULL ? NULL : tile->hessian,
    };
}

/* Brings the results of samples to the caller. */
static inline void softmax_store(const struct fghm_plan *plan,
                                 const struct fghm_focal_constants *constants, size_t first,
                                 const struct softmax_samples *samples, struct tile *tile,
                                 const struct fghm_span *span) {
    written(&plan->element_loss, first, span->n, span->element_loss);
    if (span->gradient != NULL) {
        const double factor = constants->positive * constants->scale;
        for (size_t k = 0; k < SOFTMAX_TILE; k++) {
            tile->weights[k] = k < span->n ? (real)(factor * (double)tile->weights[k]) : 0;
        }
        softmax_spread(plan, constants, first, span->n, samples, tile->gradient, span->hessian,
                       tile->weights);
    }
}

static inline void focal_softmax_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                                      struct tile *tile, struct fghm_part *part) {
    struct softmax_samples samples;
    struct fghm_span span = softmax_load(&plan->batch, first, n, &samples, tile);
    check_weights(first, n, tile->weights, part);
    /* The Hessian's mode is for the Hessian of the logits. */
    struct fghm_focal_plan margins = *plan;
    margins.constants.absolute = false;
    margins.constants.hessian_floor = -DBL_MAX;
    compute_tile(&margins, first, tile, &span, part);
    struct fghm_focal_constants logits = plan->constants;
    /* The margins' Hessians are focal-star's by now. */
    logits.hessian_floor *= plan->star > 0 ? plan->star : 1;
    softmax_store(&plan->batch, &logits, first, &samples, tile, &span);
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
            focal_softmax_tile(plan, first + at, length, &tile, part);
        } else {
            focal_tile(plan, first + at, length, &tile, part);
        }
    }
}

/* GHM: what the mask says is in no bin, like what is ignored; without any of it there is no
 * mask. */
static inline void mask_tile(struct tile *tile, struct fghm_span *span) {
    const real *const mask = span->weights;
    uint32_t invalid = 0;
    for (size_t k = 0; mask != NULL && k < span->n; k++) {
        tile->ignored[k] = !(mask[k] > 0);
        invalid += tile->ignored[k];
    }
    if (invalid > 0) {
        blank_ignored(span->n, tile, span);
    } else {
        span->weights = NULL;
    }
}

static __attribute__((noinline)) struct fghm_span
ghm_load(const struct fghm_plan *plan, size_t first, size_t n, struct softmax_samples *samples,
         struct tile *tile, struct fghm_part *part) {
    struct fghm_span span = plan->softmax ? softmax_load(plan, first, n, samples, tile)
                                          : tile_load(plan, first, n, tile, part);
    mask_tile(tile, &span);
    /* The logits of a sample that is not valid reach no result. */
    if (plan->softmax && span.weights != NULL) {
        for (size_t k = 0; k < n; k++) {
            if (tile->ignored[k]) {
                samples->columns[k] = IGNORED;
                samples->column[k] = (real)IGNORED;
            }
        }
    }
    return span;
}

static inline size_t ghm_tile_length(const struct fghm_plan *plan) {
    return plan->softmax ? SOFTMAX_TILE : TILE;
}

static void ghm_count_batch(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                            uint64_t *counts, uint64_t *valid, struct fghm_part *part) {
    struct tile tile;
    struct softmax_samples samples;
    const size_t most = ghm_tile_length(&plan->batch);
    for (size_t at = 0; at < n; at += most) {
        const size_t length = n - at < most ? n - at : most;
        const struct fghm_span span =
            ghm_load(&plan->batch, first + at, length, &samples, &tile, part);
        int bad = 0;
        if (plan->mu > 0) {
            ghmr_count(plan->bins, &span, counts, valid, &bad);
        } else {
            ghm_count(plan->bins, &span, counts, valid, &bad);
        }
        if (bad != 0) {
            report(FGHM_BAD_TARGET, first + at, &span, part);
        }
    }
}

/* Computes a tile that has been loaded. */
static inline double ghm_compute(const struct fghm_ghm_plan *plan, const struct fghm_span *span,
                                 int *bad) {
    return plan->mu > 0 ? ghmr_apply(plan->bins, plan->bin_weights, plan->mu, plan->scale, span)
                        : ghm_apply(plan->bins, plan->bin_weights, plan->scale, span, bad);
}

static void ghm_apply_batch(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                            struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    /* What softmax_store has to know: no floor, no mode. */
    const struct fghm_focal_constants constants = {.hessian_floor = -DBL_MAX};
    struct tile tile;
    struct softmax_samples samples;
    const size_t most = ghm_tile_length(batch);
    for (size_t at = 0; at < n; at += most) {
        const size_t length = n - at < most ? n - at : most;
        struct fghm_span span = ghm_load(batch, first + at, length, &samples, &tile, part);
        if (batch->harmonizing_weight.data != NULL) {
            real weights[TILE];
            ghm_weigh(plan->mu > 0 ? REGRESSION : CLASSIFICATION, plan->bins,
                      plan->harmonizing_weights, &span, weights);
            store(&batch->harmonizing_weight, first + at, length, weights);
        }
        if (!batch->softmax) {
            tile_outputs(batch, first + at, true, &tile, &span);
        }
        int bad = 0;
        part_add(part, ghm_compute(plan, &span, &bad));
        if (bad != 0) {
            report(FGHM_BAD_TARGET, first + at, &span, part);
        }
        if (batch->softmax) {
            softmax_store(batch, &constants, first + at, &samples, &tile, &span);
        } else {
            tile_store(batch, first + at, &span);
        }
    }
}

#endif
