/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SOFTMAX_ROWS_H
#define FGHM_WALK_SOFTMAX_ROWS_H

/* Softmax where the classes of a sample are neighbours: sample after sample. */

#include "walk/tile.h"

#define REAL_DTYPE (FGHM_REAL_BITS == 32 ? FGHM_F32 : FGHM_F64)

/* The arrays of elements; data of outputs NULL where they are not wanted. */
struct class_arrays {
    size_t classes;
    const struct fghm_array *logits, *gradient, *hessian;
    const double *offsets; /* of the logits; or NULL */
};

/* A sample of an array, and the way to the next one. */
struct row {
    const struct fghm_array *array;
    const double *offsets; /* to be added to the logits; or NULL */
    struct cursor cursor;
    real *
        base; /* the array's data, if the classes of a sample are neighbours of the kernels' type */
};

OUT_OF_LINE void row_start(struct row *row, const struct fghm_array *array, const double *offsets,
                           size_t first) {
    const bool dense = array->data != NULL && array->dtype == REAL_DTYPE &&
                       array->class_stride == 1 && offsets == NULL;
    row->array = array;
    row->offsets = offsets;
    row->base = dense ? array->data : NULL;
    if (array->data != NULL) {
        cursor_start(&row->cursor, array, first);
    }
}

static inline void row_next(struct row *row, size_t samples) {
    if (row->array->data != NULL) {
        cursor_next(&row->cursor, samples);
    }
}

/* Its classes in the caller's memory, or NULL. */
static inline real *row_dense(const struct row *row) {
    return row->base == NULL ? NULL : row->base + row->cursor.offset;
}

/* The rows of a sample. */
struct sample_rows {
    struct row logits, gradient, hessian;
    real *room; /* where its exponentials wait, or NULL */
};

/* The one whose place exponentials take, or NULL. */
static inline const struct row *rows_kept(const struct sample_rows *rows,
                                          const struct softmax_samples *samples) {
    return !samples->kept                ? NULL
           : rows->gradient.base != NULL ? &rows->gradient
           : rows->hessian.base != NULL  ? &rows->hessian
                                         : NULL;
}

/* Where the exponentials of sample k of the tile wait. */
static inline void rows_find_room(struct sample_rows *rows, size_t classes, size_t k,
                                  const struct softmax_samples *samples) {
    const struct row *const kept = rows_kept(rows, samples);
    const bool has_block = (k + 1) * classes <= SAMPLES_ROOM;
    rows->room = kept != NULL ? row_dense(kept) : has_block ? samples->block + k * classes : NULL;
}

OUT_OF_LINE void rows_start(struct sample_rows *rows, const struct class_arrays *arrays,
                            size_t first, const struct softmax_samples *samples) {
    row_start(&rows->logits, arrays->logits, arrays->offsets, first);
    row_start(&rows->gradient, arrays->gradient, NULL, first);
    row_start(&rows->hessian, arrays->hessian, NULL, first);
    rows_find_room(rows, arrays->classes, 0, samples);
}

/* From sample k on by a run. */
OUT_OF_LINE void rows_next(struct sample_rows *rows, size_t classes, size_t k, size_t run,
                           const struct softmax_samples *samples) {
    row_next(&rows->logits, run);
    row_next(&rows->gradient, run);
    row_next(&rows->hessian, run);
    rows_find_room(rows, classes, k + run, samples);
}

static inline size_t row_run(const struct row *row, size_t n) {
    return row->array->data == NULL ? n : cursor_run(&row->cursor, n);
}

/* How many samples from k on, of at most n that the tile has, none of which is ignored, have rows
 * that are a step apart; or 1. */
OUT_OF_LINE size_t rows_run(const struct sample_rows *rows, size_t classes, size_t k, size_t n,
                            const struct softmax_samples *samples) {
    size_t most = row_run(&rows->hessian, row_run(&rows->gradient, row_run(&rows->logits, n - k)));
    const bool has_gradient = rows->gradient.array->data != NULL;
    const bool has_hessian = rows->hessian.array->data != NULL;
    const bool outputs_are_dense =
        rows->hessian.base != NULL && (!has_gradient || rows->gradient.base != NULL);
    const bool needs_room = rows->logits.base == NULL || has_gradient || has_hessian;
    if ((has_hessian && !outputs_are_dense) || (rows->room == NULL && needs_room)) {
        most = 1;
    } else if (rows->room != NULL && rows_kept(rows, samples) == NULL) {
        const size_t fit = SAMPLES_ROOM / classes - k;
        most = most < fit ? most : fit;
    }
    size_t run = 1;
    while (run < most && samples->columns[k] >= 0 && samples->columns[k + run] >= 0) {
        run++;
    }
    return run;
}

static inline struct fghm_rows dense_rows(const struct row *row) {
    return row->base == NULL ? (struct fghm_rows){NULL, 0}
                             : (struct fghm_rows){row_dense(row), cursor_stride(&row->cursor)};
}

/* Where the exponentials of a run wait. */
static inline struct fghm_rows rows_room(const struct sample_rows *rows, size_t classes,
                                         const struct softmax_samples *samples) {
    const struct row *const kept = rows_kept(rows, samples);
    return kept != NULL ? dense_rows(kept) : (struct fghm_rows){rows->room, (ptrdiff_t)classes};
}

/* n logits from class `start` on: where they are, or read into `to`. */
OUT_OF_LINE const real *row_read(const struct fghm_kernels *kernels, const struct row *row,
                                 size_t start, size_t n, real *to) {
    const struct fghm_array *const array = row->array;
    if (row->base != NULL) {
        return row_dense(row) + start;
    }
    const ptrdiff_t offset = row->cursor.offset + (ptrdiff_t)start * array->class_stride;
    /* They may be where they are read to. */
    if (array->dtype != REAL_DTYPE || to != (const real *)array->data + offset) {
        kernels->read(array->dtype, array->data, offset, array->class_stride, n, to);
    }
    if (row->offsets != NULL) {
        add_offsets(row->offsets + start, 1, n, to);
    }
    return to;
}

/* Whether rows of an array, whose classes are neighbours, follow each other as they do in memory
 * where a row is so many numbers behind the one before. */
static inline bool rows_follow(const struct row *row, size_t classes, ptrdiff_t step) {
    return row->array->class_stride == 1 && cursor_stride(&row->cursor) == (ptrdiff_t)classes &&
           step == (ptrdiff_t)classes;
}

/* Reads the logits of a run. */
OUT_OF_LINE void rows_read(const struct fghm_kernels *kernels, const struct row *row,
                           size_t classes, size_t run, const struct fghm_rows *to) {
    const struct fghm_array *const array = row->array;
    real *const first = to->first;
    if (row->offsets == NULL && rows_follow(row, classes, to->step)) {
        kernels->read(array->dtype, array->data, row->cursor.offset, 1, run * classes, first);
        return;
    }
    struct row one = *row;
    for (size_t k = 0; k < run; k++) {
        (void)row_read(kernels, &one, 0, classes, first + (ptrdiff_t)k * to->step);
        one.cursor.offset += cursor_stride(&row->cursor);
    }
}

/* Rows are walked in parts where there is no room for all of their numbers. */
#define FOR_ROW_PARTS(start, n, classes)                                                           \
    for (size_t start = 0, n;                                                                      \
         n = (classes)-start < CHUNK ? (classes)-start : CHUNK, start < (classes); start += n)

/* The sums of exponentials of a run of samples. */
OUT_OF_LINE void rows_reduce_run(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                                 size_t classes, size_t k, size_t run,
                                 struct softmax_samples *samples) {
    struct fghm_rows logits = dense_rows(&rows->logits);
    if (rows->room != NULL || logits.first != NULL) {
        const struct fghm_rows room = rows_room(rows, classes, samples);
        if (logits.first == NULL) {
            logits = room;
            rows_read(kernels, &rows->logits, classes, run, &room);
        }
        kernels->rows_reduce(k, run, classes, &logits, &room, samples);
        return;
    }
    const size_t own = (size_t)samples->columns[k];
    real *const largest = &samples->largest[k];
    struct fghm_sum sum;
    sum_start(&sum);
    real part[CHUNK];
    *largest = -REAL_MAX;
    FOR_ROW_PARTS(start, n, classes) {
        (void)row_read(kernels, &rows->logits, start, n, part);
        samples->own[k] = own - start < n ? part[own - start] : samples->own[k];
        kernels->row_largest(n, own - start, part, largest);
    }
    FOR_ROW_PARTS(start, n, classes) {
        (void)row_read(kernels, &rows->logits, start, n, part);
        kernels->row_lift(n, own - start, part, largest, NULL, &sum);
    }
    set_sum(sum_of_lanes(&sum, sizeof(real)), &samples->sum[k], &samples->sum_low[k]);
}

OUT_OF_LINE void rows_reduce(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                             size_t first, size_t n, struct softmax_samples *samples) {
    /* Of what is ignored, or no sample. */
    for (size_t k = 0; k % SUM_LANES != 0 || k < n; k++) {
        samples->own[k] = samples->sum[k] = samples->sum_low[k] = samples->rest[k] = 0;
        samples->largest[k] = -REAL_MAX;
    }
    struct sample_rows rows;
    rows_start(&rows, arrays, first, samples);
    for (size_t k = 0, run; k < n; k += run) {
        run = rows_run(&rows, arrays->classes, k, n, samples);
        if (samples->columns[k] >= 0) {
            rows_reduce_run(kernels, &rows, arrays->classes, k, run, samples);
        }
        rows_next(&rows, arrays->classes, k, run, samples);
    }
}

/* The exponentials of n classes from `start` on: where they wait, or computed again. */
OUT_OF_LINE const real *row_exponentials(const struct fghm_kernels *kernels,
                                         const struct sample_rows *rows, size_t start, size_t n,
                                         size_t k, const struct softmax_samples *samples,
                                         real *to) {
    if (rows->room != NULL) {
        return rows->room + start;
    }
    struct fghm_sum unused;
    sum_start(&unused);
    const real *const logits = row_read(kernels, &rows->logits, start, n, to);
    kernels->row_lift(n, (size_t)samples->columns[k] - start, logits, &samples->largest[k], to,
                      &unused);
    return to;
}

/* The sums of the exponentials of a run without that of the largest logit, where they are needed.
 */
OUT_OF_LINE void rows_rest(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                           size_t classes, size_t k, size_t run, struct softmax_samples *samples) {
    const struct fghm_rows room = rows_room(rows, classes, samples);
    real part[CHUNK];
    for (size_t i = 0; i < run; i++) {
        if (samples->sum[k + i] >= 2 * LIFT) {
            continue;
        }
        struct fghm_sum sum;
        sum_start(&sum);
        if (rows->room != NULL) {
            kernels->row_rest(classes, (const real *)room.first + (ptrdiff_t)i * room.step, &sum);
        } else {
            FOR_ROW_PARTS(start, n, classes) {
                kernels->row_rest(n, row_exponentials(kernels, rows, start, n, k, samples, part),
                                  &sum);
            }
        }
        samples->rest[k + i] = (real)sum_of_lanes(&sum, sizeof(real));
    }
}

OUT_OF_LINE void row_write(const struct fghm_kernels *kernels, const struct row *row, size_t start,
                           size_t n, const real *from) {
    const struct fghm_array *const array = row->array;
    if (array->data != NULL && row->base == NULL) {
        const ptrdiff_t offset = row->cursor.offset + (ptrdiff_t)start * array->class_stride;
        kernels->write(array->dtype, array->data, offset, array->class_stride, n, from);
    }
}

/* Writes the gradients of a run. */
OUT_OF_LINE void rows_write(const struct fghm_kernels *kernels, const struct row *row,
                            size_t classes, size_t run, const struct fghm_rows *from) {
    const struct fghm_array *const array = row->array;
    const real *const first = from->first;
    if (rows_follow(row, classes, from->step)) {
        kernels->write(array->dtype, array->data, row->cursor.offset, 1, run * classes, first);
        return;
    }
    struct row one = *row;
    for (size_t k = 0; k < run; k++) {
        row_write(kernels, &one, 0, classes, first + (ptrdiff_t)k * from->step);
        one.cursor.offset += cursor_stride(&row->cursor);
    }
}

/* Where n derivatives of a row go, from class `start` on; NULL if nobody wants them. */
static real *row_place(const struct row *row, size_t start, real *part) {
    return row->array->data == NULL ? NULL : row->base != NULL ? row_dense(row) + start : part;
}

OUT_OF_LINE void rows_spread_run(const struct fghm_kernels *kernels,
                                 const struct fghm_spread *spread, const struct sample_rows *rows,
                                 size_t classes, size_t k, size_t run) {
    const struct softmax_samples *const samples = spread->samples;
    if (rows->room != NULL && (rows->gradient.base != NULL || rows->gradient.array->data == NULL) &&
        (rows->hessian.base != NULL || rows->hessian.array->data == NULL)) {
        const struct fghm_rows room = rows_room(rows, classes, samples);
        const struct fghm_rows gradient = dense_rows(&rows->gradient);
        const struct fghm_rows hessian = dense_rows(&rows->hessian);
        kernels->rows_spread(spread, k, run, 0, classes, &room, &gradient, &hessian);
        return;
    }
    if (rows->room != NULL && rows->hessian.array->data == NULL) {
        const struct fghm_rows room = rows_room(rows, classes, samples), none = {NULL, 0};
        kernels->rows_spread(spread, k, run, 0, classes, &room, &room, &none);
        rows_write(kernels, &rows->gradient, classes, run, &room);
        return;
    }
    real exponentials[CHUNK], parts[2][CHUNK];
    FOR_ROW_PARTS(start, n, classes) {
        const struct fghm_rows from = {
            (real *)row_exponentials(kernels, rows, start, n, k, samples, exponentials), 0};
        const struct fghm_rows gradient = {row_place(&rows->gradient, start, parts[0]), 0};
        const struct fghm_rows hessian = {row_place(&rows->hessian, start, parts[1]), 0};
        kernels->rows_spread(spread, k, 1, start, n, &from, &gradient, &hessian);
        row_write(kernels, &rows->gradient, start, n, gradient.first);
        row_write(kernels, &rows->hessian, start, n, hessian.first);
    }
}

/* The results of a sample that is ignored. */
OUT_OF_LINE void row_clear(const struct fghm_kernels *kernels, const struct row *row,
                           size_t classes) {
    const real zeros[CHUNK] = {0};
    if (row->array->data == NULL) {
        return;
    }
    FOR_ROW_PARTS(start, n, classes) {
        if (row->base != NULL) {
            memcpy(row_dense(row) + start, zeros, n * sizeof(real));
        }
        row_write(kernels, row, start, n, zeros);
    }
}

OUT_OF_LINE void rows_spread(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                             const struct fghm_spread *spread, size_t first, size_t n,
                             struct softmax_samples *samples) {
    struct sample_rows rows;
    rows_start(&rows, arrays, first, samples);
    for (size_t k = 0, run; k < n; k += run) {
        run = rows_run(&rows, arrays->classes, k, n, samples);
        if (samples->columns[k] < 0) {
            row_clear(kernels, &rows.gradient, arrays->classes);
            row_clear(kernels, &rows.hessian, arrays->classes);
        } else {
            if (arrays->hessian->data != NULL) {
                rows_rest(kernels, &rows, arrays->classes, k, run, samples);
            }
            rows_spread_run(kernels, spread, &rows, arrays->classes, k, run);
        }
        rows_next(&rows, arrays->classes, k, run, samples);
    }
}

#undef FOR_ROW_PARTS

#endif
