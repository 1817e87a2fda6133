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

/* A sample of an array. */
struct row {
    const struct fghm_array *array;
    ptrdiff_t offset;
    real *dense; /* its classes, if they are neighbours of the kernels' type and nothing is added to
                    them; else NULL */
    const double *offsets;
};

/* Samples, one after the other. */
struct row_walk {
    const struct fghm_array *array;
    const double *offsets;
    bool dense;
    struct cursor cursor;
};

KERNEL_RARE void row_walk_start(struct row_walk *walk, const struct fghm_array *array,
                                const double *offsets, size_t first) {
    walk->array = array;
    walk->offsets = offsets;
    walk->dense = array->data != NULL && array->dtype == REAL_DTYPE && array->class_stride == 1 &&
                  offsets == NULL;
    if (array->data != NULL) {
        walk->cursor = cursor_at(array, first);
    }
}

static struct row row_of(const struct row_walk *walk) {
    struct row row = {.array = walk->array, .offsets = walk->offsets};
    if (walk->array->data != NULL) {
        row.offset = walk->cursor.offset;
    }
    if (walk->dense) {
        row.dense = (real *)walk->array->data + row.offset;
    }
    return row;
}

static void row_walk_next(struct row_walk *walk) {
    if (walk->array->data != NULL) {
        cursor_next(&walk->cursor, 1);
    }
}

/* The rows of a sample. */
struct sample_rows {
    struct row logits, gradient, hessian;
    real *room; /* where its exponentials wait, or NULL */
};

/* The rows of the samples of a tile. */
struct sample_walk {
    struct row_walk logits, gradient, hessian;
};

KERNEL_RARE void sample_walk_start(struct sample_walk *walk, const struct class_arrays *arrays,
                                   size_t first) {
    row_walk_start(&walk->logits, arrays->logits, arrays->offsets, first);
    row_walk_start(&walk->gradient, arrays->gradient, NULL, first);
    row_walk_start(&walk->hessian, arrays->hessian, NULL, first);
}

KERNEL_RARE void sample_walk_next(struct sample_walk *walk) {
    row_walk_next(&walk->logits);
    row_walk_next(&walk->gradient);
    row_walk_next(&walk->hessian);
}

KERNEL_RARE struct sample_rows sample_rows_of(const struct sample_walk *walk, size_t classes,
                                              size_t k, struct softmax_samples *samples) {
    struct sample_rows rows = {
        .logits = row_of(&walk->logits),
        .gradient = row_of(&walk->gradient),
        .hessian = row_of(&walk->hessian),
    };
    if (samples->kept) {
        rows.room = rows.gradient.dense != NULL ? rows.gradient.dense : rows.hessian.dense;
    }
    if (rows.room == NULL && (k + 1) * classes <= SAMPLES_ROOM) {
        rows.room = samples->block + k * classes;
    }
    return rows;
}

/* n logits from class `start` on: where they are, or read into `to`. */
KERNEL_RARE const real *row_read(const struct fghm_kernels *kernels, const struct row *row,
                                 size_t start, size_t n, real *to) {
    const struct fghm_array *const array = row->array;
    if (row->dense != NULL) {
        return row->dense + start;
    }
    const ptrdiff_t offset = row->offset + (ptrdiff_t)start * array->class_stride;
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

static void set_sum(struct softmax_samples *samples, size_t k, double sum) {
    samples->sum[k] = (real)sum;
    samples->sum_low[k] = (real)(sum - (double)samples->sum[k]);
}

/* The sum of exponentials of a sample. */
KERNEL_RARE void row_reduce(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                            size_t classes, size_t k, struct softmax_samples *samples) {
    const size_t own = (size_t)samples->columns[k];
    real *const largest = &samples->largest[k];
    struct fghm_sum sum;
    sum_start(&sum);
    if (rows->room != NULL || rows->logits.dense != NULL) {
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
    set_sum(samples, k, sum_of_lanes(&sum, sizeof(real)));
}

KERNEL_RARE void rows_reduce(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                             size_t first, size_t n, struct softmax_samples *samples) {
    struct sample_walk walk;
    sample_walk_start(&walk, arrays, first);
    for (size_t k = 0; k % SUM_LANES != 0 || k < n; k++) {
        samples->rest[k] = 0;
        if (k < n && samples->columns[k] >= 0) {
            const struct sample_rows rows = sample_rows_of(&walk, arrays->classes, k, samples);
            row_reduce(kernels, &rows, arrays->classes, k, samples);
        } else {
            samples->own[k] = samples->sum[k] = samples->sum_low[k] = 0;
            samples->largest[k] = -REAL_MAX;
        }
        if (k < n) {
            sample_walk_next(&walk);
        }
    }
}

/* The exponentials of n classes from `start` on: where they wait, or computed again. */
KERNEL_RARE const real *row_exponentials(const struct fghm_kernels *kernels,
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
KERNEL_RARE real row_rest(const struct fghm_kernels *kernels, const struct sample_rows *rows,
                          size_t classes, size_t k, const struct softmax_samples *samples) {
    real part[CHUNK];
    struct fghm_sum sum;
    sum_start(&sum);
    FOR_ROW_PARTS(start, n, classes) {
        kernels->row_rest(n, row_exponentials(kernels, rows, start, n, k, samples, part), &sum);
    }
    return (real)sum_of_lanes(&sum, sizeof(real));
}

KERNEL_RARE void row_write(const struct fghm_kernels *kernels, const struct row *row, size_t start,
                           size_t n, const real *from) {
    const struct fghm_array *const array = row->array;
    if (array->data != NULL && row->dense == NULL) {
        const ptrdiff_t offset = row->offset + (ptrdiff_t)start * array->class_stride;
        kernels->write(array->dtype, array->data, offset, array->class_stride, n, from);
    }
}

/* Where n derivatives of a row go, from class `start` on; NULL if nobody wants them. */
static real *row_place(const struct row *row, size_t start, real *part) {
    return row->array->data == NULL ? NULL : row->dense != NULL ? row->dense + start : part;
}

KERNEL_RARE void row_spread(const struct fghm_kernels *kernels, const struct fghm_spread *spread,
                            const struct sample_rows *rows, size_t classes, size_t k) {
    const struct softmax_samples *const samples = spread->samples;
    const size_t own = (size_t)samples->columns[k];
    const struct row *const outputs[] = {&rows->gradient, &rows->hessian};
    if (rows->room != NULL &&
        (rows->gradient.dense != NULL || rows->gradient.array->data == NULL) &&
        (rows->hessian.dense != NULL || rows->hessian.array->data == NULL)) {
        kernels->row_spread(spread, k, classes, own, rows->room, rows->gradient.dense,
                            rows->hessian.dense);
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
KERNEL_RARE void row_clear(const struct fghm_kernels *kernels, const struct row *row,
                           size_t classes) {
    const real zeros[CHUNK] = {0};
    if (row->array->data == NULL) {
        return;
    }
    FOR_ROW_PARTS(start, n, classes) {
        if (row->dense != NULL) {
            memcpy(row->dense + start, zeros, n * sizeof(real));
        }
        row_write(kernels, row, start, n, zeros);
    }
}

KERNEL_RARE void rows_spread(const struct fghm_kernels *kernels, const struct class_arrays *arrays,
                             const struct fghm_spread *spread, size_t first, size_t n,
                             struct softmax_samples *samples) {
    struct sample_walk walk;
    sample_walk_start(&walk, arrays, first);
    for (size_t k = 0; k < n; k++) {
        const struct sample_rows rows = sample_rows_of(&walk, arrays->classes, k, samples);
        if (samples->columns[k] < 0) {
            row_clear(kernels, &rows.gradient, arrays->classes);
            row_clear(kernels, &rows.hessian, arrays->classes);
        } else {
            if (arrays->hessian->data != NULL && samples->sum[k] < 2 * LIFT) {
                samples->rest[k] = row_rest(kernels, &rows, arrays->classes, k, samples);
            }
            row_spread(kernels, spread, &rows, arrays->classes, k);
        }
        sample_walk_next(&walk);
    }
}

#undef FOR_ROW_PARTS

#endif
