/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SOFTMAX_COLUMNS_H
#define FGHM_WALK_SOFTMAX_COLUMNS_H

/* Softmax where the samples of a class are neighbours, or classes are few: class after class of a
 * whole tile, or of SUM_LANES samples where there are more than FOURS classes. */

#include "vec/transpose.h"
#include "walk/softmax_rows.h"

/* The samples of each class in the caller's memory, if they are neighbours. */
OUT_OF_LINE struct fghm_columns columns_at(const struct fghm_array *array, size_t first,
                                           size_t samples) {
    struct fghm_columns columns = {NULL, 0};
    if (array->data != NULL && array->dtype == REAL_DTYPE && samples % SUM_LANES == 0 &&
        array->strides[array->axes - 1] == 1) {
        struct cursor cursor;
        cursor_start(&cursor, array, first);
        if (cursor_run(&cursor, samples) == samples) {
            columns.first = (real *)array->data + cursor.offset;
            columns.step = array->class_stride;
        }
    }
    return columns;
}

static struct fghm_columns columns_from(const struct fghm_columns *all, size_t start) {
    return (struct fghm_columns){(real *)all->first + (ptrdiff_t)start * all->step, all->step};
}

/* Two classes of samples, or BLOCK, whose rows are `stride` apart: to columns that are `step`
 * apart, or from them.  The last blocks may overlap. */
KERNEL_INLINE void transpose(bool writes, int classes, size_t samples, real *rows, ptrdiff_t stride,
                             real *columns, ptrdiff_t step) {
    for (size_t k = 0; k < samples; k += BLOCK) {
        const size_t at = k + BLOCK <= samples ? k : samples - BLOCK;
        real *const row = rows + (ptrdiff_t)at * stride;
        if (writes) {
            transpose_block(classes, BLOCK, columns + at, step, row, stride);
        } else {
            transpose_block(BLOCK, classes, row, stride, columns + at, step);
        }
    }
}

/* Returns how many classes, from the first on, it has read or written. */
OUT_OF_LINE size_t transpose_classes(bool writes, size_t classes, size_t samples, real *rows,
                                     ptrdiff_t stride, real *columns, ptrdiff_t step) {
    size_t c = 0;
    if (samples < BLOCK) {
        return 0;
    }
    for (; c + BLOCK <= classes; c += BLOCK) {
        real *const at = columns + (ptrdiff_t)c * step;
        if (writes) {
            transpose(true, BLOCK, samples, rows + c, stride, at, step);
        } else {
            transpose(false, BLOCK, samples, rows + c, stride, at, step);
        }
    }
    if (BLOCK > 2 && c + 2 <= classes) {
        real *const at = columns + (ptrdiff_t)c * step;
        if (writes) {
            transpose(true, 2, samples, rows + c, stride, at, step);
        } else {
            transpose(false, 2, samples, rows + c, stride, at, step);
        }
        c += 2;
    }
    return c;
}

/* Reads, or writes, `classes` classes from `start` on of samples of an array. */
OUT_OF_LINE void move_columns(const struct fghm_kernels *kernels, const struct fghm_array *array,
                              size_t first, size_t samples, size_t start, size_t classes,
                              bool writes, const struct fghm_columns *columns) {
    struct cursor cursor;
    cursor_start(&cursor, array, first);
    size_t length;
    for (size_t lane = 0; lane < samples; lane += length) {
        length = cursor_run(&cursor, samples - lane);
        const ptrdiff_t stride = cursor_stride(&cursor);
        ptrdiff_t offset = cursor.offset + (ptrdiff_t)start * array->class_stride;
        real *at = (real *)columns->first + lane;
        size_t c = 0;
        if (array->dtype == REAL_DTYPE && array->class_stride == 1) {
            c = transpose_classes(writes, classes, length, (real *)array->data + offset, stride, at,
                                  columns->step);
            offset += (ptrdiff_t)c;
            at += (ptrdiff_t)c * columns->step;
        }
        for (; c < classes; c++) {
            if (writes) {
                kernels->write(array->dtype, array->data, offset, stride, length, at);
            } else {
                kernels->read(array->dtype, array->data, offset, stride, length, at);
            }
            offset += array->class_stride;
            at += columns->step;
        }
        if (lane + length < samples) {
            cursor_next(&cursor, length);
        }
    }
}

/* Samples on the walk over their classes, FOURS at a time. */
struct column_walk {
    const struct fghm_kernels *kernels;
    const struct class_arrays *arrays;
    size_t first, samples; /* of the batch */
    struct fghm_columns_part part;
    struct fghm_columns logits; /* in the caller's memory, if nothing is added to them */
    struct fghm_columns kept;   /* where exponentials wait */
    struct fghm_columns block;  /* what has been read: classes from `start` on */
    size_t start;               /* SIZE_MAX: nothing */
};

/* Sums of exponentials of each SUM_LANES samples.  Where all are added at once, so are the first
 * halves of those that sum_of_sixteen has. */
static size_t class_sums_of(size_t classes) {
    size_t sums = classes <= FOURS ? SUM_LANES / 2 : SUM_LANES;
    while (sums > 1 && sums >= classes) {
        sums /= 2;
    }
    return sums;
}

/* From sample `at` of a tile of n on. */
OUT_OF_LINE void column_walk_start(struct column_walk *walk, const struct fghm_kernels *kernels,
                                   const struct class_arrays *arrays, size_t first, size_t at,
                                   size_t n, struct softmax_samples *of) {
    const struct fghm_columns none = {NULL, 0};
    const size_t samples = n - at < SUM_LANES || arrays->classes <= FOURS ? n - at : SUM_LANES;
    const size_t lanes = (samples + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
    const struct fghm_columns block = {of->block, (ptrdiff_t)lanes};
    walk->kernels = kernels;
    walk->arrays = arrays;
    walk->first = first + at;
    walk->samples = samples;
    walk->part.first = at;
    walk->part.lanes = lanes;
    walk->part.start = 0;
    walk->part.classes = 0;
    walk->part.sums = class_sums_of(arrays->classes);
    walk->start = SIZE_MAX;
    walk->logits = arrays->offsets == NULL ? columns_at(arrays->logits, first + at, samples) : none;
    walk->block = block;
    walk->kept = arrays->classes <= FOURS ? block : none;
    if (arrays->classes > FOURS && of->kept) {
        walk->kept = columns_at(arrays->gradient, first + at, samples);
        if (walk->kept.first == NULL) {
            walk->kept = columns_at(arrays->hessian, first + at, samples);
        }
    }
}

/* The next classes; false if there are none. */
OUT_OF_LINE bool column_walk_next(struct column_walk *walk) {
    walk->part.start += walk->part.classes;
    const size_t left = walk->arrays->classes - walk->part.start;
    walk->part.classes = left < FOURS ? left : FOURS;
    if (left == 0) {
        walk->part.start = 0;
    }
    return left != 0;
}

/* The logits of a part. */
OUT_OF_LINE struct fghm_columns column_walk_read(struct column_walk *walk) {
    const struct fghm_columns_part *const part = &walk->part;
    if (walk->logits.first != NULL) {
        return columns_from(&walk->logits, part->start);
    }
    if (walk->start != part->start) {
        move_columns(walk->kernels, walk->arrays->logits, walk->first, walk->samples, part->start,
                     part->classes, false, &walk->block);
        for (size_t c = 0; walk->arrays->offsets != NULL && c < part->classes; c++) {
            add_offsets(walk->arrays->offsets + part->start + c, 0, walk->samples,
                        (real *)walk->block.first + (ptrdiff_t)c * walk->block.step);
        }
        walk->start = part->start;
    }
    return walk->block;
}

static struct fghm_columns column_walk_place(const struct column_walk *walk) {
    return walk->kept.first != NULL ? columns_from(&walk->kept, walk->part.start) : walk->block;
}

OUT_OF_LINE void column_walk_lift(struct column_walk *walk, const struct softmax_samples *samples,
                                  double *sums) {
    const struct fghm_columns logits = column_walk_read(walk);
    const struct fghm_columns to = column_walk_place(walk);
    walk->kernels->columns_lift(&walk->part, &logits, &to, samples, sums);
    walk->start = to.first == walk->block.first ? SIZE_MAX : walk->start;
}

/* Sums of exponentials, SUM_LANES of each sample; of more than CHUNK classes, which SUM_LANES
 * samples have at most, those of each chunk are added to the others with what rounding takes. */
union class_sums {
    double chunk[SOFTMAX_TILE * SUM_LANES];
    struct {
        double chunk[SUM_LANES * SUM_LANES];
        double total[SUM_LANES * SUM_LANES], error[SUM_LANES * SUM_LANES];
    } many;
};

static void class_sums_start(union class_sums *sums, const struct column_walk *walk) {
    if (walk->arrays->classes > CHUNK) {
        memset(&sums->many, 0, sizeof sums->many);
    }
}

/* After each part. */
OUT_OF_LINE void class_sums_next(union class_sums *sums, const struct column_walk *walk) {
    if (FGHM_REAL_BITS == 32 || walk->arrays->classes <= CHUNK) {
        return;
    }
    const size_t end = walk->part.start + walk->part.classes;
    if (end % CHUNK != 0 && end != walk->arrays->classes) {
        return;
    }
    for (size_t k = 0; k < SUM_LANES * SUM_LANES; k++) {
        const double before = sums->many.total[k], added = sums->chunk[k];
        const double after = before + added;
        const double from_added = after - before;
        const double from_before = after - from_added;
        sums->many.error[k] += (before - from_before) + (added - from_added);
        sums->many.total[k] = after;
        sums->chunk[k] = end == walk->arrays->classes ? after + sums->many.error[k] : 0;
    }
}

/* Out of line, since compilers see only then that the two are apart, and add several at a time. */
OUT_OF_LINE void add_sixteen(double *restrict to, const double *restrict from) {
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        to[lane] += from[lane];
    }
}

/* The sums of SUM_LANES samples, in the order of sum_of_sixteen. */
static double *class_sums_end(union class_sums *sums, const struct column_walk *walk, size_t at) {
    double *const total = sums->chunk + at * SUM_LANES;
    for (size_t width = walk->part.sums / 2; width > 0; width /= 2) {
        for (size_t c = width; c < 2 * width; c++) {
            add_sixteen(total + (c - width) * SUM_LANES, total + c * SUM_LANES);
        }
    }
    return total;
}

/* Out of line as add_sixteen is. */
OUT_OF_LINE void set_sums(const double *restrict sums, real *restrict high, real *restrict low) {
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        set_sum(sums[lane], &high[lane], &low[lane]);
    }
}

/* The sums of exponentials of samples. */
static void columns_reduce(struct column_walk *walk, struct softmax_samples *samples) {
    union class_sums sums;
    while (column_walk_next(walk)) {
        const struct fghm_columns logits = column_walk_read(walk);
        walk->kernels->columns_largest(&walk->part, &logits, samples);
    }
    class_sums_start(&sums, walk);
    while (column_walk_next(walk)) {
        column_walk_lift(walk, samples, sums.chunk);
        class_sums_next(&sums, walk);
    }
    for (size_t at = 0; at < walk->part.lanes; at += SUM_LANES) {
        const size_t k = walk->part.first + at;
        set_sums(class_sums_end(&sums, walk, at), samples->sum + k, samples->sum_low + k);
    }
}

/* The exponentials of a part, as they waited, or computed again. */
OUT_OF_LINE struct fghm_columns column_walk_exponentials(struct column_walk *walk,
                                                         const struct softmax_samples *samples) {
    if (walk->kept.first == NULL) {
        double unused[SUM_LANES * SUM_LANES];
        column_walk_lift(walk, samples, unused);
    }
    return column_walk_place(walk);
}

/* The same without those of the largest logits. */
OUT_OF_LINE void columns_rest(struct column_walk *walk, struct softmax_samples *samples) {
    union class_sums sums;
    class_sums_start(&sums, walk);
    while (column_walk_next(walk)) {
        const struct fghm_columns exponentials = column_walk_exponentials(walk, samples);
        walk->kernels->columns_rest(&walk->part, &exponentials, sums.chunk);
        class_sums_next(&sums, walk);
    }
    for (size_t at = 0; at < walk->part.lanes; at += SUM_LANES) {
        const double *const total = class_sums_end(&sums, walk, at);
        for (size_t lane = 0; lane < SUM_LANES; lane++) {
            samples->rest[walk->part.first + at + lane] = (real)total[lane];
        }
    }
}

/* An output of samples on the way to the caller. */
struct column_output {
    const struct fghm_array *array;
    struct fghm_columns direct, block;
};

OUT_OF_LINE struct column_output column_output_of(const struct column_walk *walk,
                                                  const struct fghm_array *array, real *block) {
    return (struct column_output){
        .array = array,
        .direct = columns_at(array, walk->first, walk->samples),
        .block = {array->data == NULL ? NULL : block, (ptrdiff_t)walk->part.lanes},
    };
}

/* Where a part goes. */
static struct fghm_columns column_output_at(const struct column_output *output, size_t start) {
    return output->direct.first != NULL ? columns_from(&output->direct, start) : output->block;
}

OUT_OF_LINE void column_output_end(const struct column_walk *walk,
                                   const struct column_output *output) {
    if (output->direct.first == NULL && output->array->data != NULL) {
        move_columns(walk->kernels, output->array, walk->first, walk->samples, walk->part.start,
                     walk->part.classes, true, &output->block);
    }
}

/* The gradients of a part may take the place of its exponentials; Hessians, if anybody wants them,
 * need `block`. */
OUT_OF_LINE void columns_spread(struct column_walk *walk, const struct fghm_spread *spread,
                                struct softmax_samples *samples, real *block) {
    const struct column_output gradient =
        column_output_of(walk, walk->arrays->gradient, samples->block);
    const struct column_output hessian = column_output_of(walk, walk->arrays->hessian, block);
    while (column_walk_next(walk)) {
        const struct fghm_columns exponentials = column_walk_exponentials(walk, samples);
        const struct fghm_columns to[] = {column_output_at(&gradient, walk->part.start),
                                          column_output_at(&hessian, walk->part.start)};
        walk->kernels->columns_spread(spread, &walk->part, &exponentials, &to[0], &to[1]);
        column_output_end(walk, &gradient);
        column_output_end(walk, &hessian);
        walk->start = SIZE_MAX;
    }
}

/* Out of line for the sake of the stack. */
OUT_OF_LINE void columns_spread_both(struct column_walk *walk, const struct fghm_spread *spread,
                                     struct softmax_samples *samples) {
    real block[SAMPLES_ROOM];
    columns_spread(walk, spread, samples, block);
}

#endif
