/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_FOCAL_WALK_H
#define FGHM_WALK_FOCAL_WALK_H

/* Focal losses of elements, probabilities and samples. */

#include <math.h>

#include "walk/softmax_soft.h"

/* The mode of a Hessian that is a sum of two terms and has its factors, of which weights
 * may be negative. */
static void split_hessian(const struct fghm_focal_plan *plan, size_t n, const real *factors,
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
static void find_offender(int bad, size_t first, const struct fghm_span *span,
                          struct fghm_part *part) {
    if (bad & FGHM_BAD_TARGET) {
        find_outside(first, span->n, span->targets, FGHM_BAD_DENSE, part);
    }
    if (bad & FGHM_BAD_PROBABILITY) {
        find_outside(first, span->n, span->logits, FGHM_BAD_LOGIT, part);
    }
}

/* The weights of the positive, or of the negative term: t, or 1 - t, times those that there are,
 * with the factors of the classes for that term.  A target out of [0, 1] becomes NaN.  Returns
 * whether one is so small that products with it would lose digits: t is no weight. */
static bool term_weights(const struct fghm_focal_plan *plan, size_t first, bool positive,
                         const struct fghm_span *span, const real *target, real *weight, int *bad) {
    const real *const targets = span->targets;
    const real *weights = span->weights;
    if (fghm_have_class_factors(plan->batch.arrays)) {
        weigh_classes(plan->kernels, &plan->batch, first, span->n, target, weights, weight);
        weights = weight;
    }
    int tiny = 0;
    for (size_t k = 0; k < span->n; k++) {
        const bool outside = targets[k] < 0 || targets[k] > 1;
        const real t = outside ? (real)NAN : targets[k];
        weight[k] = (positive ? t : 1 - t) * (weights == NULL ? 1 : weights[k]);
        *bad |= outside ? FGHM_BAD_TARGET : 0;
        tiny |= weight[k] != 0 && weight[k] < REAL_TINY && weight[k] > -REAL_TINY;
    }
    return tiny != 0;
}

/* The loss t positive(x) + (1 - t) negative(x) of up to CHUNK elements: both terms, one after
 * the other, each with a sum of its own. */
static void split_chunk(const struct fghm_focal_plan *plan, size_t first,
                        const struct fghm_span *span, struct fghm_sum sums[2], int *bad) {
    real target[CHUNK], weight[CHUNK];
    real loss[CHUNK], gradient[CHUNK], hessian[CHUNK];
    real factors[CHUNK] = {0};
    for (int positive = 1; positive >= 0; positive--) {
        for (size_t k = 0; k < span->n; k++) {
            target[k] = (real)positive;
        }
        struct fghm_focal_constants own = positive ? plan->constants : plan->negative_constants;
        own.careful = term_weights(plan, first, positive != 0, span, target, weight, bad);
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
            plan->kernel(&own, &term, &sums[0], bad);
        } else {
            plan->negative_kernel(&own, &term, &sums[1], bad);
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

static void split_tile(const struct fghm_focal_plan *plan, size_t first,
                       const struct fghm_span *span, struct fghm_sum sums[2], int *bad) {
    for (size_t at = 0; at < span->n; at += CHUNK) {
        const size_t n = span->n - at < CHUNK ? span->n - at : CHUNK;
        const struct fghm_span chunk = sub_span(span, at, n);
        split_chunk(plan, first + at, &chunk, sums, bad);
    }
}

/* Focal-star: logits times gamma, where finite ones stay finite.  A target that is neither
 * 0 nor 1 becomes NaN. */
static int star_inputs(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                       struct fghm_span *span, struct fghm_part *part) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real star = (real)plan->star;
    const real most = star > 1 ? REAL_MAX / star * (1 - REAL_EPSILON) : REAL_MAX;
    int bad = 0;
    for (size_t k = 0; k < span->n; k++) {
        const bool overflows = (logits[k] > most && logits[k] <= REAL_MAX) ||
                               (logits[k] < -most && logits[k] >= -REAL_MAX);
        const real product = (overflows ? 1 : logits[k]) * star;
        const bool soft = targets[k] != 0 && targets[k] != 1;
        if (soft && targets[k] == targets[k]) {
            found_offender(FGHM_BAD_DENSE, part, first + k);
            bad = FGHM_BAD_TARGET;
        }
        tile->logits[k] = overflows ? (logits[k] > 0 ? REAL_MAX : -REAL_MAX) : product;
        tile->targets[k] = soft ? (real)NAN : targets[k];
    }
    span->logits = tile->logits;
    span->targets = tile->targets;
    return bad;
}

/* Computes a tile that has been loaded.  Returns what is wrong in it. */
static int compute_tile(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                        struct fghm_span *span, struct fghm_sum sums[2], struct fghm_part *part) {
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

static struct tile_needs focal_needs(const struct fghm_focal_plan *plan) {
    struct tile_needs needs = needs_of(&plan->batch);
    needs.logits = needs.logits || plan->star > 0;
    needs.targets = needs.targets || plan->star > 0;
    if (plan->split) {
        /* The terms must not overwrite what both read. */
        needs.element_loss = needs.gradient = needs.hessian = true;
    }
    return needs;
}

static struct fghm_span focal_load(const struct fghm_focal_plan *plan, size_t first, size_t n,
                                   struct tile *tile, struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    struct fghm_span span = tile_load(batch, false, first, n, tile, part);
    if (fghm_have_class_factors(batch->arrays) && !plan->split) {
        weigh_classes(tile->kernels, batch, first, n, span.targets, span.weights, tile->weights);
        span.weights = tile->weights;
    }
    tile_outputs(batch, first, tile, &span);
    return span;
}

/* A tile with elements in error once more, without them: inputs are where they were, in
 * arrays that no output replaces, or in the tile. */
static __attribute__((noinline, cold)) void
focal_tile_again(const struct fghm_focal_plan *plan, size_t first, size_t n, struct tile *tile,
                 struct fghm_sum sums[2], struct fghm_part *part) {
    const struct tile_needs needs = focal_needs(plan);
    uint8_t marked[TILE_MAX];
    tile_arrange_all(tile);
    for (size_t at = 0; at < n; at += tile->length) {
        const size_t length = n - at < tile->length ? n - at : tile->length;
        struct fghm_span span = focal_load(plan, first + at, length, tile, part);
        find_offender(FGHM_BAD_TARGET | (plan->probability ? FGHM_BAD_PROBABILITY : 0), first + at,
                      &span, part);
        blank_offenders(plan->star > 0, plan->probability, tile, &span);
        memcpy(marked, tile->ignored, length);
        (void)compute_tile(plan, first + at, tile, &span, sums, part);
        spoil_marked(marked, &span);
        tile_store(&plan->batch, plan->kernels, first + at, &span);
    }
    tile_arrange(tile, &needs);
}

/* Elements of the sigmoid form, or probabilities. */
static void focal_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                       struct tile *tile, struct fghm_sum sums[2], struct fghm_part *part) {
    const struct fghm_part before = *part;
    struct fghm_sum sums_before[2];
    sum_copy(&sums_before[0], &sums[0]);
    sum_copy(&sums_before[1], &sums[1]);
    struct fghm_span span = focal_load(plan, first, n, tile, part);
    const int bad = compute_tile(plan, first, tile, &span, sums, part);
    if (bad == 0 || plan->batch.arrays == NULL) {
        /* Of contiguous elements, results may have replaced inputs.  Those of elements in error
         * are NaN, and nobody asks which they were. */
        part->bad = bad == 0 ? part->bad : FGHM_BAD_DENSE;
        tile_store(&plan->batch, plan->kernels, first, &span);
        return;
    }
    const bool found = part->bad != before.bad;
    const size_t offender = part->offender;
    const enum fghm_bad kind = part->bad;
    *part = before;
    sum_copy(&sums[0], &sums_before[0]);
    sum_copy(&sums[1], &sums_before[1]);
    if (found) {
        part->bad = kind;
        part->offender = offender;
    }
    focal_tile_again(plan, first, n, tile, sums, part);
}

/* Out of line for the sake of the stack, which only softmax needs. */
static __attribute__((noinline)) void focal_samples(const struct fghm_focal_plan *plan,
                                                    size_t first, size_t n, struct tile *tile,
                                                    struct fghm_sum sums[2],
                                                    struct fghm_part *part) {
    struct softmax_samples samples;
    samples.kept = true;
    struct fghm_span span = samples_load(&plan->batch, false, first, n, &samples, tile, part);
    /* The Hessian's mode is for the Hessian of the logits. */
    struct fghm_focal_plan margins = *plan;
    margins.constants.absolute = false;
    margins.constants.hessian_floor = -DBL_MAX;
    (void)compute_tile(&margins, first, tile, &span, sums, part);
    struct fghm_focal_constants logits = plan->constants;
    /* The margins' Hessians are focal-star's by now. */
    logits.hessian_floor *= plan->star > 0 ? plan->star : 1;
    samples_store(&plan->batch, &logits, first, &samples, tile, &span);
}

/* Out of line for the sake of the stack, which contiguous elements do not need. */
static __attribute__((noinline)) void focal_tiles(const struct fghm_focal_plan *plan, size_t first,
                                                  size_t n, struct fghm_part *part) {
    struct tile tile;
    tile.kernels = plan->kernels;
    const struct tile_needs needs = focal_needs(plan);
    tile_arrange(&tile, &needs);
    if (plan->batch.softmax) {
        tile_arrange_samples(&tile, softmax_tile(plan->batch.shape.classes));
    }
    struct fghm_sum sums[2];
    sum_start(&sums[0]);
    sum_start(&sums[1]);
    for (size_t at = 0; at < n; at += tile.length) {
        const size_t length = n - at < tile.length ? n - at : tile.length;
        if (plan->batch.softmax) {
            focal_samples(plan, first + at, length, &tile, sums, part);
        } else {
            focal_tile(plan, first + at, length, &tile, sums, part);
        }
    }
    part_add(part, &sums[0]);
    if (plan->split) {
        part_add(part, &sums[1]);
    }
}

static void focal(const struct fghm_focal_plan *plan, size_t first, size_t n,
                  struct fghm_part *part) {
    if (plan->batch.softmax && has_soft_samples(&plan->batch)) {
        focal_soft_samples(plan, first, n, part);
        return;
    }
    if (plan->batch.arrays != NULL || plan->split || plan->star > 0) {
        focal_tiles(plan, first, n, part);
        return;
    }
    const struct fghm_span *span = plan->batch.span;
    struct fghm_span part_of_it;
    if (n < span->n) {
        part_of_it = sub_span(span, first, n);
        span = &part_of_it;
    }
    int bad = 0;
    struct fghm_sum sum;
    sum_start(&sum);
    plan->kernel(&plan->constants, span, &sum, &bad);
    part->sum = sum_of_lanes(&sum, sizeof(real));
    part->sum_huge = huge_of(&sum, sizeof(real));
    part->bad = bad == 0 ? FGHM_BAD_NOTHING : FGHM_BAD_DENSE;
}

#endif
