/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_GHM_WALK_H
#define FGHM_WALK_GHM_WALK_H

/* GHM: the walks that count and that apply weights, for GHM-C and GHM-R. */

#include "walk/focal_walk.h"

/* What the mask says is in no bin, like what is ignored; without any of it there is no
 * mask. */
static void mask_tile(struct tile *tile, struct fghm_span *span) {
    const real *const mask = span->weights;
    uint32_t invalid = 0;
    for (size_t k = 0; mask != NULL && k < span->n; k++) {
        tile->ignored[k] = !(mask[k] > 0);
        invalid += tile->ignored[k];
    }
    if (invalid > 0) {
        blank_marked(tile, span);
    } else {
        span->weights = NULL;
    }
}

static struct tile_needs ghm_needs(const struct fghm_ghm_plan *plan, bool applies) {
    const struct fghm_arrays *const arrays = plan->batch.arrays;
    struct tile_needs needs = needs_of(&plan->batch);
    if (arrays->weights.data != NULL) {
        needs.logits = needs.targets = needs.weights = true;
    }
    /* Harmonizing weights go into the room of losses, which are computed later. */
    needs.element_loss = applies && (needs.element_loss || arrays->harmonizing_weight.data != NULL);
    needs.gradient = applies && needs.gradient;
    needs.hessian = applies && needs.hessian;
    return needs;
}

static void ghm_arrange(const struct fghm_ghm_plan *plan, bool applies, struct tile *tile) {
    tile->kernels = plan->kernels;
    if (plan->batch.softmax) {
        tile_arrange_samples(tile, softmax_tile(plan->batch.shape.classes));
        return;
    }
    const struct tile_needs needs = ghm_needs(plan, applies);
    tile_arrange(tile, &needs);
}

static struct fghm_span ghm_load(const struct fghm_plan *plan, size_t first, size_t n,
                                 struct softmax_samples *samples, struct tile *tile,
                                 struct fghm_part *part) {
    struct fghm_span span = plan->softmax ? samples_load(plan, true, first, n, samples, tile, part)
                                          : tile_load(plan, true, first, n, tile, part);
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

static void count_contiguous(const struct fghm_ghm_plan *plan, const struct fghm_span *span,
                             uint64_t *counts, uint64_t *valid, int *bad) {
    fghm_count_kernel *const count =
        plan->mu > 0 ? plan->kernels->ghmr_count : plan->kernels->ghm_count;
    count(plan->bins, span, counts, valid, bad);
}

/* Out of line for the sake of the stack: what is known of samples is not needed to count. */
static __attribute__((noinline)) struct fghm_span ghm_load_margins(const struct fghm_ghm_plan *plan,
                                                                   size_t first, size_t n,
                                                                   struct tile *tile,
                                                                   struct fghm_part *part) {
    struct softmax_samples samples;
    samples.kept = false;
    return ghm_load(&plan->batch, first, n, &samples, tile, part);
}

static __attribute__((noinline)) void ghm_count_tiles(const struct fghm_ghm_plan *plan,
                                                      size_t first, size_t n, uint64_t *counts,
                                                      uint64_t *valid, struct fghm_part *part) {
    struct tile tile;
    ghm_arrange(plan, false, &tile);
    for (size_t at = 0; at < n; at += tile.length) {
        const size_t length = n - at < tile.length ? n - at : tile.length;
        const struct fghm_span span =
            plan->batch.softmax ? ghm_load_margins(plan, first + at, length, &tile, part)
                                : ghm_load(&plan->batch, first + at, length, NULL, &tile, part);
        int bad = 0;
        count_contiguous(plan, &span, counts, valid, &bad);
        find_offender(bad, first + at, &span, part);
    }
}

static void ghm_count(const struct fghm_ghm_plan *plan, size_t first, size_t n, uint64_t *counts,
                      uint64_t *valid, struct fghm_part *part) {
    if (plan->batch.arrays != NULL) {
        ghm_count_tiles(plan, first, n, counts, valid, part);
        return;
    }
    const struct fghm_span span = sub_span(plan->batch.span, first, n);
    int bad = 0;
    count_contiguous(plan, &span, counts, valid, &bad);
    part->bad = bad == 0 ? FGHM_BAD_NOTHING : FGHM_BAD_DENSE;
}

static void apply_contiguous(const struct fghm_ghm_plan *plan, const struct fghm_span *span,
                             struct fghm_sum *sum, int *bad) {
    if (plan->mu > 0) {
        plan->kernels->ghmr_apply(plan->bins, plan->bin_weights, plan->mu, plan->scale, span, sum);
    } else {
        plan->kernels->ghm_apply(plan->bins, plan->bin_weights, plan->scale, span, sum, bad);
    }
}

/* `spoiled` marks elements in error, or is NULL. */
static void store_harmonizing_weights(const struct fghm_ghm_plan *plan, size_t first,
                                      const struct fghm_span *span, const uint8_t *spoiled,
                                      struct tile *tile) {
    const struct fghm_array *const array = &plan->batch.arrays->harmonizing_weight;
    fghm_harmonize_kernel *const harmonize =
        plan->mu > 0 ? plan->kernels->ghmr_harmonize : plan->kernels->ghm_harmonize;
    if (array->data != NULL) {
        real *const weights = tile->element_loss;
        harmonize(plan->bins, plan->harmonizing_weights, span, weights);
        for (size_t k = 0; spoiled != NULL && k < span->n; k++) {
            weights[k] = spoiled[k] ? (real)NAN : weights[k];
        }
        store(plan->kernels, array, first, span->n, weights);
    }
}

/* A tile whose targets are not all in range, once more without these. */
static __attribute__((noinline, cold)) void ghm_tile_again(const struct fghm_ghm_plan *plan,
                                                           size_t first, size_t n,
                                                           struct tile *tile, struct fghm_sum *sum,
                                                           struct fghm_part *part) {
    struct fghm_part counted = *part;
    tile_arrange_all(tile);
    for (size_t at = 0; at < n; at += tile->length) {
        const size_t length = n - at < tile->length ? n - at : tile->length;
        struct fghm_span span = ghm_load(&plan->batch, first + at, length, NULL, tile, &counted);
        tile_outputs(&plan->batch, first + at, tile, &span);
        find_offender(FGHM_BAD_TARGET, first + at, &span, part);
        blank_offenders(false, false, tile, &span);
        store_harmonizing_weights(plan, first + at, &span, tile->ignored, tile);
        int bad = 0;
        apply_contiguous(plan, &span, sum, &bad);
        spoil_marked(tile->ignored, &span);
        tile_store(&plan->batch, plan->kernels, first + at, &span);
    }
    ghm_arrange(plan, true, tile);
}

static void ghm_elements(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                         struct tile *tile, struct fghm_sum *sum, struct fghm_part *part) {
    const struct fghm_sum before = *sum;
    struct fghm_span span = ghm_load(&plan->batch, first, n, NULL, tile, part);
    store_harmonizing_weights(plan, first, &span, NULL, tile);
    tile_outputs(&plan->batch, first, tile, &span);
    int bad = 0;
    apply_contiguous(plan, &span, sum, &bad);
    if (bad != 0) {
        *sum = before;
        ghm_tile_again(plan, first, n, tile, sum, part);
    } else {
        tile_store(&plan->batch, plan->kernels, first, &span);
    }
}

static __attribute__((noinline)) void ghm_samples(const struct fghm_ghm_plan *plan, size_t first,
                                                  size_t n, struct tile *tile, struct fghm_sum *sum,
                                                  struct fghm_part *part) {
    struct fghm_spread spread = {.hessian_floor = -DBL_MAX, .hessian_factor = 1};
    struct softmax_samples samples;
    samples.kept = true;
    const struct fghm_span span = ghm_load(&plan->batch, first, n, &samples, tile, part);
    int bad = 0;
    store_harmonizing_weights(plan, first, &span, NULL, tile);
    apply_contiguous(plan, &span, sum, &bad);
    samples_store(&plan->batch, 0, first, &samples, tile, &span, &spread);
}

static __attribute__((noinline)) void
ghm_apply_tiles(const struct fghm_ghm_plan *plan, size_t first, size_t n, struct fghm_part *part) {
    struct tile tile;
    struct fghm_sum sum;
    sum_start(&sum);
    ghm_arrange(plan, true, &tile);
    for (size_t at = 0; at < n; at += tile.length) {
        const size_t length = n - at < tile.length ? n - at : tile.length;
        if (plan->batch.softmax) {
            ghm_samples(plan, first + at, length, &tile, &sum, part);
        } else {
            ghm_elements(plan, first + at, length, &tile, &sum, part);
        }
    }
    part_add(part, &sum);
}

static void ghm_apply(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                      struct fghm_part *part) {
    if (plan->batch.arrays != NULL) {
        ghm_apply_tiles(plan, first, n, part);
        return;
    }
    const struct fghm_span span = sub_span(plan->batch.span, first, n);
    int bad = 0;
    struct fghm_sum sum;
    sum_start(&sum);
    apply_contiguous(plan, &span, &sum, &bad);
    part->sum = sum_of_lanes(&sum, sizeof(real));
    part->sum_huge = huge_of(&sum, sizeof(real));
    part->bad = bad == 0 ? FGHM_BAD_NOTHING : FGHM_BAD_DENSE;
}

#endif
