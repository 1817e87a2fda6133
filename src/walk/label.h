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

/* The columns of neighbouring labels of one type, LABELS at a time, and whether all are classes: a
 * difference to the first label is one if neither it nor what it leaves to the last is negative.
 * Out of line, since compilers see only then that the two arrays are apart, and take several at a
 * time. */
#define LABELS 16
#define SUBTRACT_FIRST(name, type)                                                                 \
    OUT_OF_LINE bool name(const struct labelling *labelling, size_t n, const type *restrict from,  \
                          int32_t *restrict columns) {                                             \
        const uint64_t first = labelling->first_label, last = labelling->classes - 1;              \
        uint64_t signs = 0;                                                                        \
        for (size_t at = 0; at < n; at += LABELS) {                                                \
            for (size_t k = 0; k < LABELS; k++) {                                                  \
                const uint64_t column = (uint64_t)(int64_t)from[at + k] - first;                   \
                columns[at + k] = (int32_t)column;                                                 \
                signs |= column | (last - column);                                                 \
            }                                                                                      \
        }                                                                                          \
        return (int64_t)signs >= 0;                                                                \
    }
SUBTRACT_FIRST(subtract_first_u8, uint8_t)
SUBTRACT_FIRST(subtract_first_i32, int32_t)
SUBTRACT_FIRST(subtract_first_i64, int64_t)
#undef SUBTRACT_FIRST

/* The columns of a run of labels of one type, and their sign bits.  Most runs have classes alone;
 * the others are gone through once more. */
#define LOAD_COLUMNS(type, subtract_first)                                                         \
    do {                                                                                           \
        const type *const from = (const type *)labels->data + run.offset;                          \
        const size_t whole = plain && run.stride == 1 ? run.n - run.n % LABELS : 0;                \
        const size_t start = subtract_first(&labelling, whole, from, columns) ? whole : 0;         \
        for (size_t k = start; k < run.n; k++) {                                                   \
            const int32_t column =                                                                 \
                column_of(&labelling, (int64_t)from[(ptrdiff_t)k * run.stride]);                   \
            columns[k] = column;                                                                   \
            signs |= column;                                                                       \
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
            LOAD_COLUMNS(uint8_t, subtract_first_u8);
            break;
        case FGHM_I32:
            LOAD_COLUMNS(int32_t, subtract_first_i32);
            break;
        default:
            LOAD_COLUMNS(int64_t, subtract_first_i64);
        }
    }
    return signs >= 0;
}

#undef LOAD_COLUMNS
#undef LABELS

#endif
