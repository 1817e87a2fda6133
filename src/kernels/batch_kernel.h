/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_BATCH_KERNEL_H
#define FGHM_KERNELS_BATCH_KERNEL_H

/* Focal loss over batches: load a tile, compute it with the kernels for contiguous
 * elements, store it. */

#include "kernels/focal_kernel.h"
#include "kernels/ghmr_kernel.h"
#include "kernels/softmax_kernel.h"
#include "kernels/tile_kernel.h"

/* Scores of labelled samples: their sum, and the first that is none. */
KERNEL_RARE void survey_scores(const struct fghm_plan *plan, size_t first, size_t n,
                               const int32_t *columns, struct fghm_part *part) {
    real scores[TILE];
    load(&plan->scores, first, n, scores);
    for (size_t k = 0; k < n; k++) {
        scores[k] = columns[k] >= 0 ? scores[k] : 0;
        if (scores[k] < 0 || scores[k] > 1) {
            found_offender(FGHM_BAD_SCORE, part, first + k);
        }
    }
    add_numbers(&part->sum_targets, &part->sum_targets_error, 0, 1, n, scores);
}

static inline void survey_labels(const struct fghm_plan *plan, size_t first, size_t n,
                                 struct fghm_part *part) {
    /* With softmax, background is one of the columns. */
    const int64_t background = plan->has_background ? plan->background - plan->first_label : -1;
    int32_t columns[TILE];
    for (size_t at = 0; at < n; at += TILE) {
        const size_t length = n - at < TILE ? n - at : TILE;
        load_columns(plan, first + at, length, columns);
        uint32_t bad = 0;
        uint32_t ignored = 0;
        uint32_t positives = 0;
        uint32_t labelled = 0;
        for (size_t k = 0; k < length; k++) {
            bad |= columns[k] == NO_LABEL;
            ignored += columns[k] == IGNORED;
            positives += columns[k] >= 0 && columns[k] != background;
            labelled += columns[k] >= 0;
        }
        for (size_t k = 0; bad && k < length; k++) {
            if (columns[k] == NO_LABEL) {
                part->bad = FGHM_BAD_NOTHING; /* more than a score */
                found_offender(FGHM_BAD_LABEL, part, first + at + k);
                return;
            }
        }
        if (plan->scores.data != NULL) {
            survey_scores(plan, first + at, length, columns, part);
        } else {
            part->sum_targets += (double)labelled;
        }
        part->ignored += ignored;
        part->positives += positives;
    }
}

static void survey(const struct fghm_plan *plan, size_t first, size_t n, struct fghm_part *part) {
    if (plan->labels) {
        survey_labels(plan, first, n, part);
        return;
    }
    struct tile tile;
    tile.results = NULL;
    for (size_t at = 0; at < n; at += TILE) {
        const size_t length = n - at < TILE ? n - at : TILE;
        const real *const targets = reading(&plan->targets, first + at, length, tile.targets);
        dense_targets(plan, length, targets, &tile, part);
    }
}

/* The mode of a Hessian that is a sum of two terms and has its factors, of which weights
 * may be negative. */
static __attribute__((noinline)) void split_hessian(const struct fghm_focal_plan *plan, size_t n,
                                                    const real *factors, real *hessian) {
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
        find_outside(first, span->n, span->targets, FGHM_BAD_DENSE, part);
    }
    if (bad & FGHM_BAD_PROBABILITY) {
        find_outside(first, span->n, span->logits, FGHM_BAD_LOGIT, part);
    }
}

static inline bool has_class_factors(const struct fghm_plan *plan) {
    return plan->class_alpha != NULL || plan->class_weights != NULL;
}

/* The loss t positive(x) + (1 - t) negative(x) of up to CHUNK elements: both terms, one after
 * the other, with t and 1 - t as weights, each with a sum of its own.  A target out of [0, 1]
 * becomes NaN. */
static __attribute__((noinline)) void split_chunk(const struct fghm_focal_plan *plan, size_t first,
                                                  const struct fghm_span *span,
                                                  struct fghm_sum sums[2], int *bad) {
    real target[CHUNK], weight[CHUNK];
    real loss[CHUNK], gradient[CHUNK], hessian[CHUNK];
    real factors[CHUNK] = {0};
    const real *const targets = span->targets;
    const real *weights = span->weights;
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
        if (positive) {
            plan->kernel(&plan->constants, &term, &sums[0], bad);
        } else {
            plan->negative_kernel(&plan->negative_constants, &term, &sums[1], bad);
        }
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
}

static inline void split_tile(const struct fghm_focal_plan *plan, size_t first,
                              const struct fghm_span *span, struct fghm_sum sums[2], int *bad) {
    for (size_t at = 0; at < span->n; at += CHUNK) {
        const size_t n = span->n - at < CHUNK ? span->n - at : CHUNK;
        const struct fghm_span chunk = sub_span(span, at, n);
        split_chunk(plan, first + at, &chunk, sums, bad);
    }
}

/* Focal-star: logits times gamma, where finite ones stay finite.  A target that is neither
 * 0 nor 1 becomes NaN. */
static inline int star_inputs(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                              struct fghm_span *span, struct fghm_part *part) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real star = (real)plan->star;
    int bad = 0;
    for (size_t k = 0; k < span->n; k++) {
        const real product = logits[k] * star;
        const bool overflows =
            fabs((double)product) > (double)REAL_MAX && fabs((double)logits[k]) <= (double)REAL_MAX;
        const bool soft = targets[k] != 0 && targets[k] != 1;
        if (soft && targets[k] == targets[k]) {
            found_offender(FGHM_BAD_DENSE, part, first + k);
            bad = FGHM_BAD_TARGET;
        }
        tile->logits[k] = overflows ? (product > 0 ? REAL_MAX : -REAL_MAX) : product;
        tile->targets[k] = soft ? (real)NAN : targets[k];
    }
    span->logits = tile->logits;
    span->targets = tile->targets;
    return bad;
}

/* Computes a tile that has been loaded.  Returns what is wrong in it. */
static inline int compute_tile(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                               struct fghm_span *span, struct fghm_sum sums[2],
                               struct fghm_part *part) {
    int bad = 0;
    if (plan->star > 0) {
        bad = star_inputs(plan, first, tile, span, part);
    }
    if (plan->split) {
        split_tile(plan, first, span, sums, &bad);
    } else {
        plan->kernel(&plan->constants, span, &sums[0], &bad);
    }
    /* The kernel's Hessian is that of logits which were gamma times as large. */
    real *const hessian = span->hessian;
    for (size_t k = 0; plan->star > 0 && hessian != NULL && k < span->n; k++) {
        hessian[k] *= (real)plan->star;
    }
    return bad;
}

/* Where the results of a tile go: to the caller's memory where kernels can, and where
 * `in_place` allows. */
static __attribute__((noinline)) void tile_outputs(const struct fghm_plan *plan, size_t first,
                                                   bool in_place, struct tile *tile,
                                                   struct fghm_span *span) {
    const struct fghm_array *const arrays[] = {&plan->element_loss, &plan->gradient,
                                               &plan->hessian};
    real *const buffers[] = {tile->results->element_loss, tile->results->gradient,
                             tile->results->hessian};
    void **const outputs[] = {&span->element_loss, &span->gradient, &span->hessian};
    for (int i = 0; i < 3; i++) {
        const bool direct = in_place && arrays[i]->direct;
        real *const to = direct ? (real *)arrays[i]->data + first : buffers[i];
        *outputs[i] = arrays[i]->data == NULL ? NULL : to;
    }
}

static __attribute__((noinline)) void tile_store(const struct fghm_plan *plan, size_t first,
                                                 const struct fghm_span *span) {
    written(&plan->element_loss, first, span->n, span->element_loss);
    written(&plan->gradient, first, span->n, span->gradient);
    written(&plan->hessian, first, span->n, span->hessian);
}

/* Puts harmless elements of weight 0 in the place of those that are in error, which are
 * marked. */
KERNEL_RARE void blank_offenders(bool star, bool probability, size_t n, struct tile *tile,
                                 struct fghm_span *span) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    for (size_t k = 0; k < n; k++) {
        const bool soft = star && targets[k] > 0 && targets[k] < 1;
        const bool outside = targets[k] < 0 || targets[k] > 1;
        const bool improbable = probability && (logits[k] < 0 || logits[k] > 1);
        tile->ignored[k] = soft || outside || improbable;
    }
    blank_ignored(n, tile, span);
}

/* NaN for the results of what is marked. */
KERNEL_RARE void spoil_marked(const struct tile *tile, const struct fghm_span *span) {
    real *const outputs[] = {span->element_loss, span->gradient, span->hessian};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; outputs[i] != NULL && k < span->n; k++) {
            outputs[i][k] = tile->ignored[k] ? (real)NAN : outputs[i][k];
        }
    }
}

static __attribute__((noinline)) struct fghm_span focal_load(const struct fghm_focal_plan *plan,
                                                             size_t first, size_t n,
                                                             struct tile *tile,
                                                             struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    struct fghm_span span = tile_load(batch, first, n, tile, part);
    if (has_class_factors(batch) && !plan->split) {
        weigh_classes(batch, first, n, span.targets, span.weights, tile->weights);
        span.weights = tile->weights;
    }
    /* The terms of a split loss must not overwrite what both read. */
    tile_outputs(batch, first, !plan->split, tile, &span);
    return span;
}

/* A tile with elements in error once more, without them: inputs are where they were, in
 * arrays that no output replaces, or in the tile. */
KERNEL_RARE void focal_tile_again(const struct fghm_focal_plan *plan, size_t first, size_t n,
                                  struct tile *tile, struct fghm_sum sums[2],
                                  struct fghm_part *part) {
    for (size_t at = 0; at < n; at += TILE) {
        const size_t length = n - at < TILE ? n - at : TILE;
        struct fghm_span span = focal_load(plan, first + at, length, tile, part);
        report(FGHM_BAD_TARGET | (plan->probability ? FGHM_BAD_PROBABILITY : 0), first + at, &span,
               part);
        blank_offenders(plan->star > 0, plan->probability, length, tile, &span);
        uint8_t marked[TILE];
        memcpy(marked, tile->ignored, length);
        (void)compute_tile(plan, first + at, tile, &span, sums, part);
        memcpy(tile->ignored, marked, length);
        spoil_marked(tile, &span);
        tile_store(&plan->batch, first + at, &span);
    }
}

/* Elements of the sigmoid form, or probabilities. */
static inline void focal_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                              struct tile *tile, struct fghm_sum sums[2], struct fghm_part *part) {
    const struct fghm_part before = *part;
    const struct fghm_sum sums_before[2] = {sums[0], sums[1]};
    struct fghm_span span = focal_load(plan, first, n, tile, part);
    if (compute_tile(plan, first, tile, &span, sums, part) == 0) {
        tile_store(&plan->batch, first, &span);
        return;
    }
    const bool found = part->bad != before.bad;
    const size_t offender = part->offender;
    const enum fghm_bad bad = part->bad;
    *part = before;
    memcpy(sums, sums_before, sizeof sums_before);
    if (found) {
        part->bad = bad;
        part->offender = offender;
    }
    focal_tile_again(plan, first, n, tile, sums, part);
}

/* Samples of the softmax form: their margins are elements with target 1, to be computed
 * into the tile. */
static __attribute__((noinline)) struct fghm_span
softmax_load(const struct fghm_plan *plan, size_t first, size_t n, struct softmax_samples *samples,
             struct tile *tile, struct fghm_part *part) {
    softmax_margins(plan, first, n, samples, tile->logits);
    if (plan->weights.data != NULL) {
        load(&plan->weights, first, n, tile->weights);
        for (size_t k = 0; k < n; k++) {
            tile->weights[k] = samples->columns[k] >= 0 ? tile->weights[k] : 0;
        }
        add_numbers(&part->sum_weights, &part->sum_weights_error, -(real)INFINITY, (real)INFINITY,
                    n, tile->weights);
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
        tile->weights[k] = column >= 0 ? (real)(factors[0] * weight) : 0;
        tile->ignored[k] = column < 0;
    }
    struct fghm_span span = {
        .n = n, .logits = tile->logits, .targets = tile->targets, .weights = tile->weights};
    if (tile->results != NULL) {
        const bool derivatives = plan->gradient.data != NULL || plan->hessian.data != NULL;
        span.element_loss = plan->element_loss.data == NULL ? NULL : tile->results->element_loss;
        span.gradient = derivatives ? tile->results->gradient : NULL;
        span.hessian = plan->hessian.data == NULL ? NULL : tile->results->hessian;
    }
    return span;
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
        softmax_spread(plan, constants, first, span->n, samples, tile->results->gradient,
                       span->hessian, tile->weights);
    }
}

/* Out of line for the sake of the stack, of which only softmax needs that much. */
static __attribute__((noinline)) void focal_softmax_tile(const struct fghm_focal_plan *plan,
                                                         size_t first, size_t n, struct tile *tile,
                                                         struct fghm_sum sums[2],
                                                         struct fghm_part *part) {
    struct softmax_samples samples;
    struct fghm_span span = softmax_load(&plan->batch, first, n, &samples, tile, part);
    /* The Hessian's mode is for the Hessian of the logits. */
    struct fghm_focal_plan margins = *plan;
    margins.constants.absolute = false;
    margins.constants.hessian_floor = -DBL_MAX;
    (void)compute_tile(&margins, first, tile, &span, sums, part);
    struct fghm_focal_constants logits = plan->constants;
    /* The margins' Hessians are focal-star's by now. */
    logits.hessian_floor *= plan->star > 0 ? plan->star : 1;
    softmax_store(&plan->batch, &logits, first, &samples, tile, &span);
}

static void focal_batch(const struct fghm_focal_plan *plan, size_t first, size_t n,
                        struct fghm_part *part) {
    struct tile_results results;
    struct tile tile;
    tile.results = &results;
    struct fghm_sum sums[2] = {{{0}, {0}}, {{0}, {0}}};
    size_t length;
    const bool direct = is_direct(&plan->batch) && !plan->split && !(plan->star > 0);
    const size_t most = plan->batch.softmax ? SOFTMAX_TILE : direct ? DIRECT_TILE : TILE;
    for (size_t at = 0; at < n; at += length) {
        length = n - at < most ? n - at : most;
        if (plan->batch.softmax) {
            focal_softmax_tile(plan, first + at, length, &tile, sums, part);
        } else {
            focal_tile(plan, first + at, length, &tile, sums, part);
        }
    }
    part_add(part, sum_of_lanes(&sums[0], sizeof(real)));
    if (plan->split) {
        part_add(part, sum_of_lanes(&sums[1], sizeof(real)));
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
    struct fghm_span span = plan->softmax ? softmax_load(plan, first, n, samples, tile, part)
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
    tile.results = NULL;
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

/* Computes a tile that has been loaded.  What ghm_apply does about a mask is done where the
 * inputs are: with a mask they are in the tile. */
static inline void ghm_compute(const struct fghm_ghm_plan *plan, struct tile *tile,
                               const struct fghm_span *span, struct fghm_sum *sum, int *bad) {
    if (plan->mu > 0) {
        ghmr_apply(plan->bins, plan->bin_weights, plan->mu, plan->scale, span, sum);
        return;
    }
    const real *const mask = span->weights;
    struct fghm_span all = *span;
    all.weights = NULL;
    for (size_t k = 0; mask != NULL && k < span->n; k++) {
        const bool valid = mask[k] > 0;
        tile->logits[k] = valid ? tile->logits[k] : MASKED_LOGIT;
        tile->targets[k] = valid ? tile->targets[k] : 1;
    }
    apply_valid(plan->bins, plan->bin_weights, plan->scale, &all, sum, bad);
}

static void ghm_apply_batch(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                            struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    /* What softmax_store has to know: no floor, no mode. */
    const struct fghm_focal_constants constants = {.hessian_floor = -DBL_MAX};
    struct tile_results results;
    struct tile tile;
    tile.results = &results;
    struct fghm_sum sum = {{0}, {0}};
    struct softmax_samples samples;
    const size_t most = ghm_tile_length(batch);
    for (size_t at = 0; at < n; at += most) {
        const size_t length = n - at < most ? n - at : most;
        struct fghm_span span = ghm_load(batch, first + at, length, &samples, &tile, part);
        if (batch->harmonizing_weight.data != NULL) {
            /* In room that the losses need later. */
            real *const weights = results.element_loss;
            ghm_weigh(plan->mu > 0 ? REGRESSION : CLASSIFICATION, plan->bins,
                      plan->harmonizing_weights, &span, weights);
            store(&batch->harmonizing_weight, first + at, length, weights);
        }
        if (!batch->softmax) {
            tile_outputs(batch, first + at, true, &tile, &span);
        }
        int bad = 0;
        const struct fghm_sum before = sum;
        ghm_compute(plan, &tile, &span, &sum, &bad);
        if (bad != 0) {
            report(FGHM_BAD_TARGET, first + at, &span, part);
            blank_offenders(false, false, length, &tile, &span);
            sum = before;
            ghm_compute(plan, &tile, &span, &sum, &bad);
            spoil_marked(&tile, &span);
        }
        if (batch->softmax) {
            softmax_store(batch, &constants, first + at, &samples, &tile, &span);
        } else {
            tile_store(batch, first + at, &span);
        }
    }
    part_add(part, sum_of_lanes(&sum, sizeof(real)));
}

#endif
