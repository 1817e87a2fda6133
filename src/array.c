/* SPDX-License-Identifier: MIT */
/* Arrays: layouts, folding, overlaps.
 *
 * Whether two strided arrays share a byte is a hard question (a system of Diophantine
 * inequalities), and whether one meets itself is another.  What stands here are rules that are
 * sufficient, cheap, and true for what people do: slices, transposed arrays, columns of one
 * table.  They are documented in batch.h (of one array) and focal.h (of two); tests hold them
 * against brute force. */
#include "array.h"

#include "check.h"

size_t fghm_dtype_size(fghm_dtype dtype) {
    static const uint8_t sizes[] = {[FGHM_F32] = 4, [FGHM_F64] = 8, [FGHM_F16] = 2, [FGHM_BF16] = 2,
                                    [FGHM_U8] = 1,  [FGHM_I32] = 4, [FGHM_I64] = 8};
    return sizes[dtype];
}

bool fghm_dtype_is_floating(fghm_dtype dtype) {
    return dtype >= FGHM_F32 && dtype <= FGHM_BF16;
}

bool fghm_dtype_is_integer(fghm_dtype dtype) {
    return dtype >= FGHM_U8 && dtype <= FGHM_I64;
}

/* Layouts ---------------------------------------------------------------------- */

/* Without llabs, which is undefined for the least number. */
static uint64_t magnitude(int64_t stride) {
    return stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
}

/* How far the array goes along an axis. */
static inline int64_t extent_of(const struct fghm_axes *axes, enum fghm_array_kind kind, int axis) {
    const bool absent = kind == FGHM_ARRAY_OF_SAMPLES && axis == axes->class_axis;
    return absent ? 1 : axes->extents[axis];
}

/* Finds the bytes that an array reaches over; false if it does not fit into memory. */
static bool set_range(struct fghm_view *view) {
    const ptrdiff_t size = (ptrdiff_t)fghm_dtype_size(view->dtype);
    ptrdiff_t low = 0;
    ptrdiff_t high = 0;
    for (int axis = 0; axis < view->ndim; axis++) {
        ptrdiff_t reach;
        if (__builtin_mul_overflow(view->extents[axis] - 1, view->strides[axis], &reach) ||
            __builtin_mul_overflow(reach, size, &reach) ||
            __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high)) {
            return false;
        }
    }
    ptrdiff_t bytes;
    if (__builtin_sub_overflow(high, low, &bytes) || __builtin_add_overflow(bytes, size, &bytes)) {
        return false;
    }
    const uintptr_t first = (uintptr_t)view->data + (uintptr_t)low;
    view->range = (struct fghm_range){first, (size_t)bytes};
    return (low == 0 || first < (uintptr_t)view->data) && (size_t)bytes - 1 <= UINTPTR_MAX - first;
}

/* Whether no two elements of an array share a place: sorted by stride, each axis has to step
 * over all that the axes before it reach. */
static bool is_injective(const struct fghm_view *view) {
    uint64_t reach = 0;
    bool used[FGHM_AXES_MAX] = {false};
    for (int round = 0; round < view->ndim; round++) {
        int next = -1;
        for (int axis = 0; axis < view->ndim; axis++) {
            if (!used[axis] && view->extents[axis] > 1 &&
                (next < 0 || magnitude(view->strides[axis]) < magnitude(view->strides[next]))) {
                next = axis;
            }
        }
        if (next < 0) {
            return true;
        }
        const uint64_t stride = magnitude(view->strides[next]);
        if (stride <= reach) {
            return false;
        }
        reach += stride * (uint64_t)(view->extents[next] - 1);
        used[next] = true;
    }
    return true;
}

bool fghm_array_steps_along_classes(const struct fghm_axes *axes, enum fghm_array_kind kind,
                                    const struct fghm_owned *array) {
    const int class_axis = axes->class_axis;
    return array->layout == FGHM_LAYOUT_STRIDED && kind == FGHM_ARRAY_OF_SAMPLES &&
           class_axis >= 0 && axes->extents[class_axis] > 1 && array->strides[class_axis] != 0;
}

/* Row-major over the axes that the array has, but for classes that repeat. */
static fghm_status place_row_major(const struct fghm_axes *axes, enum fghm_array_kind kind,
                                   const struct fghm_owned *array, bool written,
                                   struct fghm_view *view) {
    const int class_axis = axes->class_axis;
    const bool has_classes =
        kind == FGHM_ARRAY_OF_ELEMENTS && class_axis >= 0 && axes->extents[class_axis] > 1;
    const bool repeats = has_classes && array->layout == FGHM_LAYOUT_PER_SAMPLE;
    FGHM_REQUIRE(!fghm_has_strides(array->strides), FGHM_ERROR_LAYOUT);
    FGHM_REQUIRE(!(repeats && written), FGHM_ERROR_LAYOUT);
    const int repeated = repeats ? class_axis : -1;
    int64_t count = 1;
    for (int axis = axes->ndim - 1; axis >= 0; axis--) {
        const int64_t extent = extent_of(axes, kind, axis);
        const bool moves = axis != repeated && extent > 1;
        view->extents[axis] = extent;
        view->strides[axis] = moves ? count : 0;
        count *= moves ? extent : 1;
    }
    /* No more numbers than the batch has elements, so their size does not overflow. */
    const size_t bytes = (size_t)count * fghm_dtype_size(array->dtype);
    view->range = (struct fghm_range){(uintptr_t)array->data, bytes};
    view->packed = repeats ? 0 : (size_t)count;
    FGHM_REQUIRE(bytes - 1 <= UINTPTR_MAX - (uintptr_t)array->data, FGHM_ERROR_STRIDE);
    return FGHM_OK;
}

static fghm_status place_strided(const struct fghm_axes *axes, enum fghm_array_kind kind,
                                 const struct fghm_owned *array, bool written,
                                 struct fghm_view *view) {
    for (int axis = 0; axis < axes->ndim; axis++) {
        view->extents[axis] = extent_of(axes, kind, axis);
        view->strides[axis] = view->extents[axis] > 1 ? array->strides[axis] : 0;
    }
    view->packed = 0;
    FGHM_REQUIRE(set_range(view), FGHM_ERROR_STRIDE);
    FGHM_REQUIRE(!written || is_injective(view), FGHM_ERROR_STRIDE);
    return FGHM_OK;
}

fghm_status fghm_view_make(const struct fghm_axes *axes, enum fghm_array_kind kind,
                           const struct fghm_owned *array, bool written, struct fghm_view *view) {
    FGHM_REQUIRE(array->layout >= FGHM_LAYOUT_CONTIGUOUS && array->layout <= FGHM_LAYOUT_PER_SAMPLE,
                 FGHM_ERROR_CONSTANT);
    view->data = array->data;
    view->dtype = array->dtype;
    view->ndim = axes->ndim;
    view->class_axis = axes->class_axis;
    return array->layout == FGHM_LAYOUT_STRIDED ? place_strided(axes, kind, array, written, view)
                                                : place_row_major(axes, kind, array, written, view);
}

void fghm_view_fold(const struct fghm_view *view, bool by_sample, struct fghm_array *array) {
    const bool by_class = by_sample && view->class_axis >= 0 && view->extents[view->class_axis] > 1;
    array->data = view->data;
    array->dtype = view->dtype;
    array->axes = 0;
    array->class_stride = 0;
    array->direct = false;
    if (view->packed > 0 && !by_class) {
        array->axes = 1;
        array->extents[0] = view->packed;
        array->strides[0] = 1;
        array->contiguous = true;
        return;
    }
    for (int axis = 0; axis < view->ndim; axis++) {
        const ptrdiff_t stride = (ptrdiff_t)view->strides[axis];
        const size_t extent = (size_t)view->extents[axis];
        if (by_sample && axis == view->class_axis) {
            array->class_stride = stride;
            continue;
        }
        if (extent == 1) {
            continue;
        }
        const int last = array->axes - 1;
        if (last >= 0 && array->strides[last] == stride * (ptrdiff_t)extent) {
            array->extents[last] *= extent;
            array->strides[last] = stride;
        } else {
            array->extents[array->axes] = extent;
            array->strides[array->axes] = stride;
            array->axes++;
        }
    }
    if (array->axes == 0) {
        array->axes = 1;
        array->extents[0] = 1;
        array->strides[0] = 1;
    }
    array->contiguous = array->axes == 1 && array->strides[0] == 1;
}

/* Overlaps ---------------------------------------------------------------------- */

bool fghm_views_are_same(const struct fghm_view *a, const struct fghm_view *b) {
    if (a->data == NULL || a->data != b->data || a->dtype != b->dtype) {
        return false; /* of a view that is not there, nothing else is set */
    }
    for (int axis = 0; axis < a->ndim; axis++) {
        if (a->extents[axis] != b->extents[axis] || a->strides[axis] != b->strides[axis]) {
            return false;
        }
    }
    return true;
}

/* What an array reaches over modulo `period`: axes that step by multiples of it do not count. */
static struct fghm_range folded(const struct fghm_view *view, size_t period) {
    const size_t size = fghm_dtype_size(view->dtype);
    struct fghm_range extent = {(uintptr_t)view->data, size};
    for (int axis = 0; axis < view->ndim; axis++) {
        const size_t step = (size_t)magnitude(view->strides[axis]) * size;
        if (view->extents[axis] > 1 && step % period != 0) {
            const size_t reach = (size_t)(view->extents[axis] - 1) * step;
            extent.first -= view->strides[axis] < 0 ? reach : 0;
            extent.bytes += reach;
        }
    }
    return extent;
}

/* Whether the bytes of the two differ modulo `period`. */
static bool apart_modulo(const struct fghm_view *a, const struct fghm_view *b, size_t period) {
    const struct fghm_range x = folded(a, period);
    const struct fghm_range y = folded(b, period);
    const size_t behind = y.first >= x.first ? (y.first - x.first) % period
                                             : period - 1 - (x.first - y.first - 1) % period;
    return x.bytes <= behind && y.bytes <= period - behind;
}

bool fghm_views_are_apart(const struct fghm_view *a, const struct fghm_view *b) {
    if (a->data == NULL || b->data == NULL || !fghm_ranges_meet(a->range, b->range)) {
        return true;
    }
    const struct fghm_view *const views[] = {a, b};
    for (int i = 0; i < 2; i++) {
        const size_t size = fghm_dtype_size(views[i]->dtype);
        for (int axis = 0; axis < views[i]->ndim; axis++) {
            const size_t period = (size_t)magnitude(views[i]->strides[axis]) * size;
            if (period > 0 && apart_modulo(a, b, period)) {
                return true;
            }
        }
    }
    return false;
}

bool fghm_array_is_apart_from(const struct fghm_array *array, size_t classes,
                              struct fghm_range range) {
    if (array->data == NULL) {
        return true;
    }
    /* That these do not overflow was found when the view was made. */
    const ptrdiff_t element = (ptrdiff_t)fghm_dtype_size((fghm_dtype)array->dtype);
    const ptrdiff_t over_classes = array->class_stride * (ptrdiff_t)(classes - 1);
    ptrdiff_t low = over_classes < 0 ? over_classes : 0;
    ptrdiff_t high = over_classes < 0 ? 0 : over_classes;
    for (int axis = 0; axis < (int)array->axes; axis++) {
        const ptrdiff_t reach = array->strides[axis] * (ptrdiff_t)(array->extents[axis] - 1);
        low += reach < 0 ? reach : 0;
        high += reach < 0 ? 0 : reach;
    }
    const struct fghm_range extent = {(uintptr_t)array->data + (uintptr_t)(low * element),
                                      (size_t)((high - low + 1) * element)};
    return !fghm_ranges_meet(extent, range);
}
