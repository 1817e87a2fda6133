/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_FOCAL_WALK_H
#define FGHM_WALK_FOCAL_WALK_H

/* Focal losses of elements, probabilities and samples. */

#include <math.h>

#include "walk/softmax_soft.h"

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

/* Focal-star: logits times gamma, where finite ones stay finite.  A target that is neither
 * 0 nor 1 becomes NaN. */
static int star_inputs(const struct fghm_focal_plan *plan, size_t first, struct tile *tile,
                       struct fghm_span *span, struct fghm_part *part) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real star = (real)plan->losses->star;
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
                        struct fghm_span *span, struct fghm_sum *sum, struct fghm_part *part) {
    int bad = 0;
    const struct fghm_focal_losses *const losses = plan->losses;
    if (losses->star > 0) {
        bad = star_inputs(plan, first, tile, span, part);
    }
    losses->kernel(&losses->constants, plan->scale, span, sum, &bad);
    /* The kernel's Hessian is that of logits which were gamma times as large. */
    real *const hessian = span->hessian;
    const bool scaled = losses->star > 0 && !losses->constants.of_gradient;
    for (size_t k = 0; scaled && hessian != NULL && k < span->n; k++) {
        hessian[k] *= (real)losses->star;
    }
    return bad;
}

static bool is_split(const struct fghm_focal_plan *plan) {
    return plan->losses->constants.soft == FGHM_SOFT_SPLIT;
}

static struct tile_needs focal_needs(const struct fghm_focal_plan *plan) {
    struct tile_needs needs = needs_of(&plan->batch);
    needs.logits = needs.logits || plan->losses->star > 0;
    needs.targets = needs.targets || plan->losses->star > 0;
    needs.shares =
        is_split(plan) && plan->batch.arrays != NULL && plan->batch.arrays->factors.alpha != NULL;
    return needs;
}

static struct fghm_span focal_load(const struct fghm_focal_plan *plan, size_t first, size_t n,
                                   struct tile *tile, struct fghm_part *part) {
    const struct fghm_plan *const batch = &plan->batch;
    const struct fghm_arrays *const arrays = batch->arrays;
    struct fghm_span span = tile_load(batch, false, first, n, tile, part);
    if (fghm_have_class_factors(arrays) || (arrays != NULL && arrays->gammas != NULL)) {
        add_factors_of_classes(batch, is_split(plan), first, tile, &span);
    }
    tile_outputs(batch, first, tile, &span);
    return span;
}

/* A tile with elements in error once more, without them: inputs are where they were, in
 * arrays that no output replaces, or in the tile. */
static __attribute__((noinline, cold)) void
focal_tile_again(const struct fghm_focal_plan *plan, size_t first, size_t n, struct tile *tile,
                 struct fghm_sum *sum, struct fghm_part *part) {
    const struct tile_needs needs = focal_needs(plan);
    uint8_t marked[TILE_MAX];
    tile_arrange_all(tile);
    for (size_t at = 0; at < n; at += tile->length) {
        const size_t length = n - at < tile->length ? n - at : tile->length;
        struct fghm_span span = focal_load(plan, first + at, length, tile, part);
        find_offender(FGHM_BAD_TARGET | (plan->losses->probability ? FGHM_BAD_PROBABILITY : 0),
                      first + at, &span, part);
        blank_offenders(plan->losses->star > 0, plan->losses->probability, tile, &span);
        memcpy(marked, tile->ignored, length);
        (void)compute_tile(plan, first + at, tile, &span, sum, part);
        spoil_marked(marked, &span);
        tile_store(&plan->batch, plan->losses->kernels, first + at, &span);
    }
    tile_arrange(tile, &needs);
}

/* Elements of the sigmoid form, or probabilities. */
static void focal_tile(const struct fghm_focal_plan *plan, size_t first, size_t n,
                       struct tile *tile, struct fghm_sum *sum, struct fghm_part *part) {
    const struct fghm_part before = *part;
    struct fghm_sum sum_before;
    sum_copy(&sum_before, sum);
    struct fghm_span span = focal_load(plan, first, n, tile, part);
    const int bad = compute_tile(plan, first, tile, &span, sum, part);
    if (bad == 0 || plan->batch.arrays == NULL) {
        /* Of contiguous elements, results may have replaced inputs.  Those of elements in error
         * are NaN, and nobody asks which they were. */
        part->bad = bad == 0 ? part->bad : FGHM_BAD_DENSE;
        tile_store(&plan->batch, plan->losses->kernels, first, &span);
        return;
    }
    const bool found = part->bad != before.bad;
    const size_t offender = part->offender;
    const enum fghm_bad kind = part->bad;
    *part = before;
    sum_copy(sum, &sum_before);
    if (found) {
        part->bad = kind;
        part->offender = offender;
    }
    focal_tile_again(plan, first, n, tile, sum, part);
}

/* Out of line for the sake of the stack, which only softmax needs. */
static __attribute__((noinline)) void focal_samples(const struct fghm_focal_plan *plan,
                                                    size_t first, size_t n, struct tile *tile,
                                                    struct fghm_sum *sum, struct fghm_part *part) {
    struct softmax_samples samples;
    samples.kept = true;
    struct fghm_span span = samples_load(&plan->batch, false, first, n, &samples, tile, part);
    const double *const gammas = plan->batch.arrays->gammas;
    real gamma[SOFTMAX_TILE], gamma_low[SOFTMAX_TILE];
    for (size_t k = 0; gammas != NULL && k < n; k++) {
        const double own = gammas[samples.columns[k] < 0 ? 0 : samples.columns[k]];
        gamma[k] = (real)own;
        gamma_low[k] = (real)(own - (double)(real)own);
    }
    const struct fghm_own own = {.gamma = gamma, .gamma_low = gamma_low};
    span.own = gammas == NULL ? NULL : &own;
    /* The Hessian's mode is for the Hessian of the logits. */
    const struct fghm_focal_constants *const logits = &plan->losses->constants;
    struct fghm_focal_losses of_margins = *plan->losses;
    of_margins.constants.absolute = false;
    of_margins.constants.hessian_floor = -DBL_MAX;
    struct fghm_focal_plan margins = *plan;
    margins.losses = &of_margins;
    (void)compute_tile(&margins, first, tile, &span, sum, part);
    struct fghm_spread spread = {
        .absolute = logits->absolute,
        .of_gradient = plan->losses->of_gradient,
        .hessian_factor = plan->losses->hessian_factor,
        /* The margins' Hessians are focal-star's by now. */
        .hessian_floor = fghm_floor_times(logits->hessian_floor,
                                          plan->losses->star > 0 ? plan->losses->star : 1),
    };
    samples_store(&plan->batch, logits->positive * plan->scale, first, &samples, tile, &span,
                  &spread);
}

/* Out of line for the sake of the stack, which contiguous elements do not need. */
static __attribute__((noinline)) void focal_tiles(const struct fghm_focal_plan *plan, size_t first,
                                                  size_t n, struct fghm_part *part) {
    struct tile tile;
    tile.kernels = plan->losses->kernels;
    const struct tile_needs needs = focal_needs(plan);
    tile_arrange(&tile, &needs);
    if (plan->batch.softmax) {
        tile_arrange_samples(&tile, softmax_tile(plan->batch.shape.classes));
    }
    struct fghm_sum sum;
    sum_start(&sum);
    for (size_t at = 0; at < n; at += tile.length) {
        const size_t length = n - at < tile.length ? n - at : tile.length;
        if (plan->batch.softmax) {
            focal_samples(plan, first + at, length, &tile, &sum, part);
        } else {
            focal_tile(plan, first + at, length, &tile, &sum, part);
        }
    }
    part_add(part, &sum);
}

/* Arrays that kernels work on as they are.  Returns whether nothing is wrong in them. */
static bool focal_direct(const struct fghm_focal_plan *plan, size_t first, size_t n,
                         struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->batch.arrays;
    const struct fghm_kernels *const kernels = plan->losses->kernels;
    int bad = 0;
    struct fghm_sum sum;
    sum_start(&sum);
    for (size_t at = 0; at < n; at += DIRECT_TILE) {
        const size_t from = first + at;
        const struct fghm_span span = {
            .n = n - at < DIRECT_TILE ? n - at : DIRECT_TILE,
            .logits = offset_const(arrays->logits.data, from),
            .targets = offset_const(arrays->targets.data, from),
            .weights = offset_const(arrays->weights.data, from),
            .element_loss = offset(arrays->element_loss.data, from),
            .gradient = offset(arrays->gradient.data, from),
            .hessian = offset(arrays->hessian.data, from),
        };
        count_dense(&plan->batch, kernels, span.n, span.targets, NULL, part);
        if (plan->batch.counting && span.weights != NULL) {
            add_weights(kernels, span.n, span.weights, part);
        }
        plan->losses->kernel(&plan->losses->constants, plan->scale, &span, &sum, &bad);
    }
    part_add(part, &sum);
    return bad == 0;
}

static void focal_span(const struct fghm_focal_losses *losses, double scale,
                       const struct fghm_span *span, struct fghm_part *part) {
    int bad = 0;
    struct fghm_sum sum;
    sum_start(&sum);
    losses->kernel(&losses->constants, scale, span, &sum, &bad);
    part->sum = sum_of_lanes(&sum, sizeof(real));
    part->sum_huge = huge_of(&sum, sizeof(real));
    part->bad = bad == 0 ? FGHM_BAD_NOTHING : FGHM_BAD_DENSE;
}

static void focal(const struct fghm_focal_plan *plan, size_t first, size_t n,
                  struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->batch.arrays;
    const bool star = plan->losses->star > 0;
    if (arrays == NULL && !star) {
        const struct fghm_span span = sub_span(plan->batch.span, first, n);
        focal_span(plan->losses, plan->scale, &span, part);
        return;
    }
    if (arrays != NULL && arrays->direct && !star) {
        if (focal_direct(plan, first, n, part)) {
            return;
        }
        fghm_part_start(part);
    }
    if (has_soft_samples(&plan->batch)) {
        focal_soft_samples(plan, first, n, part);
    } else {
        focal_tiles(plan, first, n, part);
    }
}

#endif
