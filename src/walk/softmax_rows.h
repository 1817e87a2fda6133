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
        row->cursor = cursor_at(array, first);
    }
}

static inline void row_next(struct row *row) {
    if (row->array->data != NULL) {
        cursor_next(&row->cursor, 1);
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

/* Where the exponentials of sample k of the tile wait. */
static inline void rows_find_room(struct sample_rows *rows, size_t classes, size_t k,
                                  const struct softmax_samples *samples) {
    rows->room = NULL;
    if (samples->kept) {
        rows->room =
            rows->gradient.base != NULL ? row_dense(&rows->gradient) : row_dense(&rows->hessian);
    }
    if (rows->room == NULL && (k + 1) * classes <= SAMPLES_ROOM) {
        rows->room = samples->block + k * classes;
    }
}

OUT_OF_LINE void rows_start(struct sample_rows *rows, const struct class_arrays *arrays,
                            size_t first, const struct softmax_samples *samples) {
    row_start(&rows->logits, arrays->logits, arrays->offsets, first);
    row_start(&rows->gradient, arrays->gradient, NULL, first);
    row_start(&rows->hessian, arrays->hessian, NULL, first);
    rows_find_room(rows, arrays->classes, 0, samples);
}

/* From sample k to the next. */
OUT_OF_LINE void rows_next(struct sample_rows *rows, size_t classes, size_t k,
                           const struct softmax_samples *samples) {
    row_next(&rows->logits);
    row_next(&rows->gradient);
    row_next(&rows->hessian);
    rows_find_room(rows, classes, k + 1, samples);
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

/* Rows are walked in parts where there is no room for all of their numbers. */
#define FOR_ROW_PARTS(start, n, classes)                                                           \
    for (size_t start = 0, n;                                                                      \
         n = (classes)-start < CHUNK ? (classes)-start : CHUNK, start < (classes); start += n)

static inline void set_sum(double sum, real *high, real *low) {
    *high = (real)sum;
    *low = (real)(sum - (double)*high);
}

/* The sum of exponentials of a sample. */
OUT_OF_LINE void row_reduce(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                            size_t classes, size_t k, struct softmax_samples *samples) {
    const size_t own = (size_t)samples->columns[k];
    real *const largest = &samples->largest[k];
    struct fghm_sum sum;
    sum_start(&sum);
    if (rows->room != NULL || rows->logits.base != NULL) {
        const real *const logits = row_read(kernels, &rows->logits, 0, classes, rows->room);
        samples->own[k] = logits[own];
        kernels->row_reduce(classes, own, logits, largest, rows->room, &sum);
    } else {
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
    }
    set_sum(sum_of_lanes(&sum, sizeof(real)), &samples->sum[k], &samples->sum_low[k]);
}

OUT_OF_LINE void rows_reduce(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                             size_t first, size_t n, struct softmax_samples *samples) {
    struct sample_rows rows;
    rows_start(&rows, arrays, first, samples);
    for (size_t k = 0; k % SUM_LANES != 0 || k < n; k++) {
        samples->rest[k] = 0;
        if (k < n && samples->columns[k] >= 0) {
            row_reduce(kernels, &rows, arrays->classes, k, samples);
        } else {
            samples->own[k] = samples->sum[k] = samples->sum_low[k] = 0;
            samples->largest[k] = -REAL_MAX;
        }
        if (k < n) {
            rows_next(&rows, arrays->classes, k, samples);
        }
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

/* The sum of the exponentials without that of the largest logit. */
OUT_OF_LINE real row_rest(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                          size_t classes, size_t k, const struct softmax_samples *samples) {
    real part[CHUNK];
    struct fghm_sum sum;
    sum_start(&sum);
    FOR_ROW_PARTS(start, n, classes) {
        kernels->row_rest(n, row_exponentials(kernels, rows, start, n, k, samples, part), &sum);
    }
    return (real)sum_of_lanes(&sum, sizeof(real));
}

OUT_OF_LINE void row_write(const struct fghm_kernels *kernels, const struct row *row, size_t start,
                           size_t n, const real *from) {
    const struct fghm_array *const array = row->array;
    if (array->data != NULL && row->base == NULL) {
        const ptrdiff_t offset = row->cursor.offset + (ptrdiff_t)start * array->class_stride;
        kernels->write(array->dtype, array->data, offset, array->class_stride, n, from);
    }
}

/* Where n derivatives of a row go, from class `start` on; NULL if nobody wants them. */
static real *row_place(const struct row *row, size_t start, real *part) {
    return row->array->data == NULL ? NULL : row->base != NULL ? row_dense(row) + start : part;
}

OUT_OF_LINE void row_spread(const struct fghm_kernels *kernels, const struct fghm_spread *spread,
                            const struct sample_rows *rows, size_t classes, size_t k) {
    const struct softmax_samples *const samples = spread->samples;
    const size_t own = (size_t)samples->columns[k];
    const struct row *const outputs[] = {&rows->gradient, &rows->hessian};
    if (rows->room != NULL && (rows->gradient.base != NULL || rows->gradient.array->data == NULL) &&
        (rows->hessian.base != NULL || rows->hessian.array->data == NULL)) {
        kernels->row_spread(spread, k, classes, own, rows->room, row_dense(&rows->gradient),
                            row_dense(&rows->hessian));
        return;
    }
    real exponentials[CHUNK], parts[2][CHUNK];
    FOR_ROW_PARTS(start, n, classes) {
        real *const to[] = {row_place(outputs[0], start, parts[0]),
                            row_place(outputs[1], start, parts[1])};
        kernels->row_spread(spread, k, n, own - start,
                            row_exponentials(kernels, rows, start, n, k, samples, exponentials),
                            to[0], to[1]);
        row_write(kernels, outputs[0], start, n, to[0]);
        row_write(kernels, outputs[1], start, n, to[1]);
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
    for (size_t k = 0; k < n; k++) {
        if (samples->columns[k] < 0) {
            row_clear(kernels, &rows.gradient, arrays->classes);
            row_clear(kernels, &rows.hessian, arrays->classes);
        } else {
            if (arrays->hessian->data != NULL && samples->sum[k] < 2 * LIFT) {
                samples->rest[k] = row_rest(kernels, &rows, arrays->classes, k, samples);
            }
            row_spread(kernels, spread, &rows, arrays->classes, k);
        }
        rows_next(&rows, arrays->classes, k, samples);
    }
}

#undef FOR_ROW_PARTS

#endif
