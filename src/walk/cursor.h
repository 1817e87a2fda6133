/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_CURSOR_H
#define FGHM_WALK_CURSOR_H

/* Places in arrays and in shapes, and the runs that start there: what lies one stride apart, or
 * belongs to one class or sample. */

#include "walk/walk.h"

/* A place in an array that is walked in the order of its index. */
struct cursor {
    const struct fghm_array *array;
    size_t at[FGHM_ARRAY_AXES];
    ptrdiff_t offset; /* in elements */
};

/* Through a pointer: tiles feel what copying a value of this size costs. */
static __attribute__((noinline)) void cursor_start(struct cursor *cursor,
                                                   const struct fghm_array *array, size_t index) {
    cursor->array = array;
    ptrdiff_t offset = 0;
    for (int axis = array->axes - 1; axis > 0; axis--) {
        cursor->at[axis] = index % array->extents[axis];
        offset += (ptrdiff_t)cursor->at[axis] * array->strides[axis];
        index /= array->extents[axis];
    }
    cursor->at[0] = index;
    cursor->offset = offset + (ptrdiff_t)index * array->strides[0];
}

/* How many elements from here on, of at most n, are one stride apart; and which. */
static inline size_t cursor_run(const struct cursor *cursor, size_t n) {
    const int last = cursor->array->axes - 1;
    const size_t rest = cursor->array->extents[last] - cursor->at[last];
    return rest < n ? rest : n;
}

static inline ptrdiff_t cursor_stride(const struct cursor *cursor) {
    return cursor->array->strides[cursor->array->axes - 1];
}

/* Goes on by a run. */
static __attribute__((noinline)) void cursor_next(struct cursor *cursor, size_t run) {
    const struct fghm_array *const array = cursor->array;
    int axis = array->axes - 1;
    cursor->at[axis] += run;
    cursor->offset += (ptrdiff_t)run * array->strides[axis];
    while (axis > 0 && cursor->at[axis] == array->extents[axis]) {
        cursor->offset -= (ptrdiff_t)cursor->at[axis] * array->strides[axis];
        cursor->at[axis] = 0;
        axis--;
        cursor->at[axis]++;
        cursor->offset += array->strides[axis];
    }
}

/* A run of an array: `n` elements that are `stride` apart, the first of which is element `index`
 * of what is asked for. */
struct array_run {
    size_t index, n;
    ptrdiff_t offset, stride;
    struct cursor cursor; /* where the array is not contiguous */
};

/* Out of line, like the step to the next run: many callers. */
static __attribute__((noinline)) void
array_run_start(struct array_run *run, const struct fghm_array *array, size_t first, size_t n) {
    run->index = 0;
    cursor_start(&run->cursor, array, first);
    run->offset = run->cursor.offset;
    run->stride = cursor_stride(&run->cursor);
    run->n = n == 0 ? 0 : cursor_run(&run->cursor, n);
}

/* The runs of the n elements of an array from `first` on; the last has n = 0. */
static inline struct array_run array_run_at(const struct fghm_array *array, size_t first,
                                            size_t n) {
    if (array->contiguous) {
        return (struct array_run){.n = n, .offset = (ptrdiff_t)first, .stride = 1};
    }
    struct array_run run;
    array_run_start(&run, array, first, n);
    return run;
}

static __attribute__((noinline)) void array_run_go_on(struct array_run *run, size_t left) {
    cursor_next(&run->cursor, run->n);
    run->offset = run->cursor.offset;
    run->n = cursor_run(&run->cursor, left);
}

static inline void array_run_next(struct array_run *run, size_t n) {
    run->index += run->n;
    const size_t left = n - run->index;
    if (left == 0) {
        run->n = 0;
        return;
    }
    array_run_go_on(run, left);
}

/* Neighbours along the last axis of a shape: the elements of one sample where inner
 * is 1, else those of one class. */
struct shape_run {
    size_t first; /* of the walk */
    size_t length;
    size_t outer, class_index, inner; /* of its first element */
};

static inline bool runs_along_classes(const struct fghm_shape *shape) {
    return shape->inner == 1;
}

/* The run that starts with element `first` of a shape and has at most n elements. */
static inline struct shape_run shape_run_at(const struct fghm_shape *shape, size_t first,
                                            size_t n) {
    struct shape_run run = {.first = first, .inner = first % shape->inner};
    const size_t row = first / shape->inner;
    run.class_index = row % shape->classes;
    run.outer = row / shape->classes;
    const size_t rest =
        runs_along_classes(shape) ? shape->classes - run.class_index : shape->inner - run.inner;
    run.length = rest < n ? rest : n;
    return run;
}

/* The next run; `end` is behind the last element.  No division: shapes with short
 * rows have many runs. */
static inline void shape_run_next(const struct fghm_shape *shape, struct shape_run *run,
                                  size_t end) {
    run->first += run->length;
    run->inner = 0;
    if (runs_along_classes(shape) || ++run->class_index == shape->classes) {
        run->class_index = 0;
        run->outer++;
    }
    const size_t rest = runs_along_classes(shape) ? shape->classes : shape->inner;
    run->length = rest < end - run->first ? rest : end - run->first;
}

#define FOR_SHAPE_RUNS(run, shape, from, count)                                                    \
    for (struct shape_run run = shape_run_at(shape, from, count); run.first < (from) + (count);    \
         shape_run_next(shape, &run, (from) + (count)))

#endif
