/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_LABEL_H
#define FGHM_WALK_LABEL_H

/* Labels of samples: which class each one names. */

#include "focalghm/batch.h"
#include "kernels/samples.h"
#include "walk/cursor.h"

/* The index of the label's class, or BACKGROUND, IGNORED or NO_LABEL. */
static inline int32_t column_of(const struct fghm_arrays *arrays, size_t classes, int64_t label) {
    const uint64_t column = (uint64_t)label - (uint64_t)arrays->first_label;
    const int32_t other =
        arrays->has_background && label == arrays->background ? BACKGROUND : NO_LABEL;
    const int32_t known = column < classes ? (int32_t)column : other;
    return arrays->ignoring && label == arrays->ignore_index ? IGNORED : known;
}

/* The columns of n samples from `first` on. */
static void load_columns(const struct fghm_plan *plan, size_t first, size_t n, int32_t *to) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct fghm_array *const labels = &arrays->targets;
    const size_t classes = plan->shape.classes;
    for (struct array_run run = array_run_at(labels, first, n); run.n > 0;
         array_run_next(&run, n)) {
        const uint8_t *const u8 = (const uint8_t *)labels->data + run.offset;
        const int32_t *const i32 = (const int32_t *)labels->data + run.offset;
        const int64_t *const i64 = (const int64_t *)labels->data + run.offset;
        for (size_t k = 0; k < run.n; k++) {
            const ptrdiff_t at = (ptrdiff_t)k * run.stride;
            const int64_t label = labels->dtype == FGHM_U8    ? u8[at]
                                  : labels->dtype == FGHM_I32 ? i32[at]
                                                              : i64[at];
            to[run.index + k] = column_of(arrays, classes, label);
        }
    }
}

#endif
