/* SPDX-License-Identifier: MIT */
#ifndef FGHM_ARRAY_H
#define FGHM_ARRAY_H

/* Arrays as their owners describe them: what their layouts mean, how they are folded for the
 * walk, and which of them meet in memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "focalghm/batch.h"
#include "kernels/kernels.h"
#include "range.h"

/* The shape of a batch. */
struct fghm_axes {
    int ndim;
    int class_axis; /* -1: none */
    int64_t extents[FGHM_AXES_MAX];
};

/* An array in that shape.  Axes on which its index does not move have extent 1; the strides of
 * axes with extent 1 are 0. */
struct fghm_view {
    void *data; /* NULL: there is no such array */
    int32_t dtype;
    int ndim;
    int class_axis;
    int64_t extents[FGHM_AXES_MAX];
    int64_t strides[FGHM_AXES_MAX];
    struct fghm_range range; /* what it reaches over */
    size_t packed; /* how many numbers there are, if each follows the one before; else 0 */
};

/* What its owner says of an array: the fields of fghm_input and fghm_output, in their order. */
struct fghm_owned {
    void *data; /* inputs are only read */
    fghm_dtype dtype;
    fghm_layout layout;
    const int64_t *strides;
};

/* What an array is, besides what its owner says of it. */
enum fghm_array_kind { FGHM_ARRAY_OF_ELEMENTS, FGHM_ARRAY_OF_SAMPLES };

size_t fghm_dtype_size(fghm_dtype dtype);
bool fghm_dtype_is_floating(fghm_dtype dtype);
bool fghm_dtype_is_integer(fghm_dtype dtype);

static inline bool fghm_has_strides(const int64_t strides[FGHM_AXES_MAX]) {
    int64_t any = 0;
#pragma GCC unroll 8
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        any |= strides[axis];
    }
    return any != 0;
}

/* Whether an array of samples has a stride for the classes, which it does not have. */
bool fghm_array_steps_along_classes(const struct fghm_axes *axes, enum fghm_array_kind kind,
                                    const struct fghm_owned *array);

/* Makes the view of an array that is there and does not step along classes that it has not.
 * FGHM_ERROR_CONSTANT, FGHM_ERROR_LAYOUT or FGHM_ERROR_STRIDE. */
fghm_status fghm_view_make(const struct fghm_axes *axes, enum fghm_array_kind kind,
                           const struct fghm_owned *array, bool written, struct fghm_view *view);

/* Folds a view for a walk over elements, or (by_sample) over samples. */
void fghm_view_fold(const struct fghm_view *view, bool by_sample, struct fghm_array *array);

/* The array of n numbers, one after the other, that kernels work on themselves. */
static inline void fghm_array_direct(void *data, int32_t dtype, size_t n,
                                     struct fghm_array *array) {
    array->data = data;
    array->dtype = dtype;
    array->contiguous = array->direct = true;
    array->axes = 1;
    array->extents[0] = n;
    array->strides[0] = 1;
    array->class_stride = 0;
}

/* Whether both are there, and are the same elements of the same type in the same order. */
bool fghm_views_are_same(const struct fghm_view *a, const struct fghm_view *b);

/* Whether certainly no byte belongs to both; where arrays reach over each other, a stride of one
 * of them has to show it.  Views that are not there meet nothing. */
bool fghm_views_are_apart(const struct fghm_view *a, const struct fghm_view *b);

/* The same of a range and of an array that has been folded, `classes` times along its
 * class_stride. */
bool fghm_array_is_apart_from(const struct fghm_array *array, size_t classes,
                              struct fghm_range range);

#endif
