/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SURVEY_H
#define FGHM_WALK_SURVEY_H

/* Counting before anything is computed: what the divisor depends on, and labels that are none,
 * which stop a call before it writes. */

#include "walk/softmax_soft.h"

/* Scores of labelled samples: their sum, and the first that is none. */
static void survey_scores(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                          size_t first, size_t n, const int32_t *columns, struct fghm_part *part) {
    real scores[CHUNK];
    load_compared(kernels, &plan->arrays->scores, false, first, n, scores);
    for (size_t k = 0; k < n; k++) {
        scores[k] = columns[k] >= 0 ? scores[k] : 0;
    }
    find_outside(first, n, scores, FGHM_BAD_SCORE, part);
    kernels->total(0, 1, n, scores, &part->targets.sum, &part->targets.sum_error);
}

static void survey_labels(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                          size_t first, size_t n, struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    /* With softmax, background is one of the columns. */
    const int64_t background =
        arrays->has_background ? arrays->background - arrays->first_label : BACKGROUND;
    int32_t columns[CHUNK];
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        const bool are_classes = load_columns(plan, first + at, length, columns);
        if (are_classes && !arrays->has_background && arrays->scores.data == NULL) {
            part->targets.positives += length;
            part->targets.sum += (double)length;
            continue;
        }
        uint32_t ignored = 0;
        uint32_t positives = 0;
        uint32_t labelled = 0;
        uint32_t unknown = 0;
        for (size_t k = 0; k < length; k++) {
            unknown += columns[k] == NO_LABEL;
            ignored += columns[k] == IGNORED;
            positives += columns[k] >= 0 && columns[k] != background;
            labelled += columns[k] >= 0;
        }
        for (size_t k = 0; unknown > 0 && k < length; k++) {
            if (columns[k] == NO_LABEL) {
                part->bad = FGHM_BAD_NOTHING; /* more than a score */
                found_offender(FGHM_BAD_LABEL, part, first + at + k);
                return;
            }
        }
        if (arrays->scores.data != NULL) {
            survey_scores(kernels, plan, first + at, length, columns, part);
        } else {
            part->targets.sum += (double)labelled;
        }
        part->ignored += ignored;
        part->targets.positives += positives;
    }
}

static void survey_targets(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                           size_t first, size_t n, struct fghm_part *part) {
    struct tile tile;
    struct tile_needs needs = needs_of(plan);
    needs.targets = true;
    tile.kernels = kernels;
    tile_arrange(&tile, &needs);
    size_t ignored;
    for (size_t at = 0; at < n; at += tile.length) {
        const size_t length = n - at < tile.length ? n - at : tile.length;
        (void)load_targets(plan, first + at, length, &tile, &ignored, part);
    }
}

static void survey(const struct fghm_kernels *kernels, const struct fghm_plan *plan, size_t first,
                   size_t n, struct fghm_part *part) {
    if (fghm_have_labels(plan->arrays)) {
        survey_labels(kernels, plan, first, n, part);
    } else if (plan->softmax) {
        survey_soft_samples(kernels, plan, first, n, part);
    } else {
        survey_targets(kernels, plan, first, n, part);
    }
}

_Static_assert(SOFT_CLASSES *SUM_LANES <= SAMPLES_ROOM, "targets of a part have room");

static void survey_weights(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                           size_t first, size_t n, struct fghm_part *part) {
    struct fghm_plan counting = *plan;
    counting.counting = plan->arrays != NULL;
    struct fghm_part own = {0};
    struct tile tile;
    tile.kernels = kernels;
    tile_arrange_all(&tile);
    if (plan->arrays == NULL && plan->span->weights != NULL) {
        add_weights(kernels, n, (const real *)plan->span->weights + first, &own);
    } else if (plan->softmax) {
        /* As many at a time as where losses are computed, so that both sums are the same. */
        const size_t tile_length = has_soft_samples(plan) ? SUM_LANES : SOFTMAX_TILE;
        int32_t columns[SOFTMAX_TILE];
        for (size_t at = 0; at < n; at += tile_length) {
            const size_t length = n - at < tile_length ? n - at : tile_length;
            struct fghm_part unused = {0};
            soft_judge_samples(plan, kernels, first + at, length,
                               tile.room + TILE_ROOM - SAMPLES_ROOM, columns, &unused);
            load_sample_weights(plan, kernels, false, first + at, length, columns, tile.weights,
                                &own);
        }
    } else if (plan->arrays != NULL) {
        for (size_t at = 0; at < n; at += tile.length) {
            const size_t length = n - at < tile.length ? n - at : tile.length;
            (void)tile_load(&counting, false, first + at, length, &tile, &own);
        }
    }
    part->sum_weights = own.sum_weights;
    part->sum_weights_error = own.sum_weights_error;
}

#endif
