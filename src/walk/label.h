/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_LABEL_H
#define FGHM_WALK_LABEL_H

/* Labels of samples: which class each one names. */

#include "focalghm/batch.h"
#include "kernels/samples.h"
#include "walk/cursor.h"

/* What labels mean. */
struct labelling {
    uint64_t first_label, classes;
    int64_t ignore_index, background;
    bool ignoring, has_background;
};

static inline struct labelling labelling_of(const struct fghm_plan *plan) {
    const struct fghm_arrays *const arrays = plan->arrays;
    return (struct labelling){(uint64_t)arrays->first_label,
                              plan->shape.classes,
                              arrays->ignore_index,
                              arrays->background,
                              arrays->ignoring,
                              arrays->has_background};
}

/* The index of the label's class, or BACKGROUND, IGNORED or NO_LABEL. */
static inline int32_t column_of(const struct labelling *labelling, int64_t label) {
    const uint64_t column = (uint64_t)label - labelling->first_label;
    if (labelling->ignoring && label == labelling->ignore_index) {
        return IGNORED;
    }
    if (column < labelling->classes) {
        return (int32_t)column;
    }
    return labelling->has_background && label == labelling->background ? BACKGROUND : NO_LABEL;
}

/* The columns of a run of labels of one type, and their sign bits.  Most runs have classes alone,
 * which the largest difference tells; the others are gone through once more. */
#define LOAD_COLUMNS(type)                                                                         \
    do {                                                                                           \
        const type *from = (const type *)labels->data + run.offset;                                \
        uint64_t most = plain ? 0 : UINT64_MAX;                                                    \
        for (size_t k = 0; plain && k < run.n; k++) {                                              \
            const uint64_t column =                                                                \
                (uint64_t)(int64_t)from[(ptrdiff_t)k * run.stride] - labelling.first_label;        \
            columns[k] = (int32_t)column;                                                          \
            most = column > most ? column : most;                                                  \
        }                                                                                          \
        for (size_t k = 0; most >= labelling.classes && k < run.n; k++) {                          \
            const int32_t column = column_of(&labelling, (int64_t)*from);                          \
            columns[k] = column;                                                                   \
            signs |= column;                                                                       \
            from += run.stride;                                                                    \
        }                                                                                          \
    } while (0)

/* The columns of n samples from `first` on.  Returns whether all of them are classes. */
static bool load_columns(const struct fghm_plan *plan, size_t first, size_t n, int32_t *to) {
    const struct fghm_array *const labels = &plan->arrays->targets;
    const struct labelling labelling = labelling_of(plan);
    /* Whether no class is what is ignored. */
    const bool plain =
        !labelling.ignoring ||
        (uint64_t)labelling.ignore_index - labelling.first_label >= labelling.classes;
    int32_t signs = 0;
    for (struct array_run run = array_run_at(labels, first, n); run.n > 0;
         array_run_next(&run, n)) {
        int32_t *const columns = to + run.index;
        switch (labels->dtype) {
        case FGHM_U8:
            LOAD_COLUMNS(uint8_t);
            break;
        case FGHM_I32:
            LOAD_COLUMNS(int32_t);
            break;
        default:
            LOAD_COLUMNS(int64_t);
        }
    }
    return signs >= 0;
}

#undef LOAD_COLUMNS

#endif
