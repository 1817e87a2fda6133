/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_TILE_KERNEL_H
#define FGHM_KERNELS_TILE_KERNEL_H

/* Tiles: a batch in any storage, layout and target form, a few kilobytes at a
 * time, as contiguous arrays of the kernels' own type, and back.
 *
 * These loops are plain C: the compiler makes vectors of those that matter.  All
 * of them convert, compare or multiply element by element, so the results are the
 * same bits whatever it does. */

#include "kernels/double_sum.h"
#include "kernels/kernels.h"
#include "kernels/span_walk.h"
#include "kernels/storage_kernel.h"
#include "vec/real.h"

/* Elements of a tile: as many as the level 1 cache holds of the few arrays that one call
 * has; the fewer, the more the start of each kernel weighs. */
#define TILE (4096 / sizeof(real))

/* Elements of a tile that needs no room, since kernels work on the caller's memory: it is
 * there for its targets to be counted while they are at hand. */
#define DIRECT_TILE ((size_t)8192)

/* Layout --------------------------------------------------------------------- */

/* Neighbours along the last axis of a shape: the elements of one sample where inner
 * is 1, else those of one class. */
struct run {
    size_t first; /* of the walk */
    size_t length;
    size_t outer, class_index, inner; /* of its first element */
};

static inline bool runs_along_classes(const struct fghm_shape *shape) {
    return shape->inner == 1;
}

/* The run that starts with element `first` of a shape and has at most n elements. */
static inline struct run run_at(const struct fghm_shape *shape, size_t first, size_t n) {
    struct run run = {.first = first, .inner = first % shape->inner};
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
static inline void run_next(const struct fghm_shape *shape, struct run *run, size_t end) {
    run->first += run->length;
    run->inner = 0;
    if (runs_along_classes(shape)) {
        run->class_index = 0;
        run->outer++;
    } else if (++run->class_index == shape->classes) {
        run->class_index = 0;
        run->outer++;
    }
    const size_t rest = runs_along_classes(shape) ? shape->classes : shape->inner;
    run->length = rest < end - run->first ? rest : end - run->first;
}

#define FOR_RUNS(run, shape, from, count)                                                          \
    for (struct run run = run_at(shape, from, count); run.first < (from) + (count);                \
         run_next(shape, &run, (from) + (count)))

/* A place in an array that is walked in the order of its index. */
struct cursor {
    const struct fghm_array *array;
    size_t at[FGHM_ARRAY_AXES];
    ptrdiff_t offset; /* in elements */
};

static inline struct cursor cursor_at(const struct fghm_array *array, size_t index) {
    struct cursor cursor = {.array = array};
    for (int axis = array->axes - 1; axis >= 0; axis--) {
        cursor.at[axis] = index % array->extents[axis];
        index /= array->extents[axis];
        cursor.offset += (ptrdiff_t)cursor.at[axis] * array->strides[axis];
    }
    return cursor;
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
static inline void cursor_next(struct cursor *cursor, size_t run) {
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

/* The n elements of an array from `first` on. */
static __attribute__((noinline)) void load(const struct fghm_array *array, size_t first, size_t n,
                                           real *to) {
    if (array->contiguous) {
        read_reals(array->dtype, array->data, (ptrdiff_t)first, 1, n, to);
        return;
    }
    struct cursor cursor = cursor_at(array, first);
    for (size_t at = 0; at < n;) {
        const size_t run = cursor_run(&cursor, n - at);
        read_reals(array->dtype, array->data, cursor.offset, cursor_stride(&cursor), run, to + at);
        cursor_next(&cursor, run);
        at += run;
    }
}

static __attribute__((noinline)) void store(const struct fghm_array *array, size_t first, size_t n,
                                            const real *from) {
    if (array->contiguous) {
        write_reals(array->dtype, array->data, (ptrdiff_t)first, 1, n, from);
        return;
    }
    struct cursor cursor = cursor_at(array, first);
    for (size_t at = 0; at < n;) {
        const size_t run = cursor_run(&cursor, n - at);
        write_reals(array->dtype, array->data, cursor.offset, cursor_stride(&cursor), run,
                    from + at);
        cursor_next(&cursor, run);
        at += run;
    }
}

/* The columns of the labels of n samples. */
static __attribute__((noinline)) void load_columns(const struct fghm_plan *plan, size_t first,
                                                   size_t n, int32_t *to) {
    const struct fghm_array *const labels = &plan->targets;
    if (labels->contiguous) {
        read_columns(plan, (ptrdiff_t)first, 1, n, to);
        return;
    }
    struct cursor cursor = cursor_at(labels, first);
    for (size_t at = 0; at < n;) {
        const size_t run = cursor_run(&cursor, n - at);
        read_columns(plan, cursor.offset, cursor_stride(&cursor), run, to + at);
        cursor_next(&cursor, run);
        at += run;
    }
}

/* Whether the labels of n samples are `label`. */
static __attribute__((noinline)) void load_matches(const struct fghm_array *labels, size_t first,
                                                   size_t n, int64_t label, real *to) {
    if (labels->contiguous) {
        match_labels(labels, (ptrdiff_t)first, 1, n, label, to);
        return;
    }
    struct cursor cursor = cursor_at(labels, first);
    for (size_t at = 0; at < n;) {
        const size_t run = cursor_run(&cursor, n - at);
        match_labels(labels, cursor.offset, cursor_stride(&cursor), run, label, to + at);
        cursor_next(&cursor, run);
        at += run;
    }
}

/* Elements as the kernels want them: in place, or in `buffer`. */
static inline const real *reading(const struct fghm_array *array, size_t first, size_t n,
                                  real *buffer) {
    if (array->direct) {
        return (const real *)array->data + first;
    }
    load(array, first, n, buffer);
    return buffer;
}

/* Brings results to the caller, unless they are there already. */
static inline void written(const struct fghm_array *array, size_t first, size_t n,
                           const real *from) {
    if (array->data != NULL && !(array->direct && from == (const real *)array->data + first)) {
        store(array, first, n, from);
    }
}

/* Tiles ---------------------------------------------------------------------- */

/* Where results go that cannot go to the caller's memory at once. */
struct tile_results {
    real element_loss[TILE];
    real gradient[TILE];
    real hessian[TILE];
};

struct tile {
    real logits[TILE];
    real targets[TILE];
    real weights[TILE];
    uint8_t ignored[TILE];
    int32_t columns[TILE + 1];
    struct tile_results *results; /* NULL where there are none: counting has less stack so */
};

/* Whether tiles need no arrays of their own. */
static inline bool is_direct(const struct fghm_plan *plan) {
    return !plan->labels && !plan->ignoring && !plan->nan_ignored && !(plan->label_smoothing > 0) &&
           plan->class_alpha == NULL && plan->class_weights == NULL && plan->logits.direct &&
           plan->targets.direct && (plan->weights.data == NULL || plan->weights.direct) &&
           (plan->element_loss.data == NULL || plan->element_loss.direct) &&
           (plan->gradient.data == NULL || plan->gradient.direct) &&
           (plan->hessian.data == NULL || plan->hessian.direct);
}

/* Rows: the samples' classes are neighbours in the order of elements, and the labels of all
 * samples of the tile are read at once. */
static inline size_t label_rows(const struct fghm_plan *plan, size_t first, size_t n,
                                struct tile *tile) {
    const struct fghm_shape *const shape = &plan->shape;
    const size_t row = first / shape->classes;
    const size_t samples = (first + n - 1) / shape->classes - row + 1;
    size_t ignored = 0;
    size_t sample = 0;
    load_columns(plan, row, samples, tile->columns);
    memset(tile->targets, 0, n * sizeof(real));
    FOR_RUNS(run, shape, first, n) {
        const size_t at = run.first - first;
        const int32_t column = tile->columns[sample];
        const size_t place = (size_t)column - run.class_index;
        if (column >= 0 && place < run.length) {
            tile->targets[at + place] = 1;
            if (plan->scores.data != NULL) {
                load(&plan->scores, row + sample, 1, &tile->targets[at + place]);
            }
        }
        if (plan->ignoring) {
            memset(tile->ignored + at, column == IGNORED, run.length);
            ignored += column == IGNORED ? run.length : 0;
        }
        sample++;
    }
    return ignored;
}

/* Planes: the samples of one class are neighbours. */
static inline size_t label_planes(const struct fghm_plan *plan, size_t first, size_t n,
                                  struct tile *tile) {
    size_t ignored = 0;
    FOR_RUNS(run, &plan->shape, first, n) {
        const size_t place = run.first - first;
        const size_t sample = run.outer * plan->shape.inner + run.inner;
        const int64_t own = plan->first_label + (int64_t)run.class_index;
        real *const targets = tile->targets + place;
        load_matches(&plan->targets, sample, run.length, own, targets);
        real other[TILE];
        if (plan->scores.data != NULL) {
            load(&plan->scores, sample, run.length, other);
            for (size_t k = 0; k < run.length; k++) {
                targets[k] = targets[k] > 0 ? other[k] : 0;
            }
        }
        if (plan->ignoring) {
            load_matches(&plan->targets, sample, run.length, plan->ignore_index, other);
            for (size_t k = 0; k < run.length; k++) {
                tile->ignored[place + k] = other[k] > 0;
                ignored += tile->ignored[place + k];
            }
        }
    }
    return ignored;
}

/* Targets of labels; returns how many elements are ignored. */
static __attribute__((noinline)) size_t label_targets(const struct fghm_plan *plan, size_t first,
                                                      size_t n, struct tile *tile) {
    return runs_along_classes(&plan->shape) ? label_rows(plan, first, n, tile)
                                            : label_planes(plan, first, n, tile);
}

/* Marks the dense targets that are ignored; returns how many. */
KERNEL_RARE size_t mark_ignored(const struct fghm_plan *plan, size_t n, const real *targets,
                                struct tile *tile) {
    const real value = (real)plan->ignore_index;
    uint32_t ignored = 0;
    for (size_t k = 0; k < n; k++) {
        const bool missing = plan->nan_ignored && targets[k] != targets[k];
        tile->ignored[k] = missing || (plan->ignoring && targets[k] == value);
        ignored += tile->ignored[k];
    }
    return ignored;
}

/* One offence is reported: the one that is found first. */
static inline void found_offender(enum fghm_bad bad, struct fghm_part *part, size_t place) {
    if (part->bad == FGHM_BAD_NOTHING) {
        part->offender = place;
        part->bad = bad;
    }
}

/* The factors of a class for t = 1 and t = 0, but for those of the kernel. */
static inline void class_factors(const struct fghm_plan *plan, size_t class_index,
                                 double factors[2]) {
    const double weight = plan->class_weights == NULL ? 1 : plan->class_weights[class_index];
    const double *const alpha = plan->class_alpha;
    factors[0] = alpha == NULL ? weight : weight * alpha[class_index];
    factors[1] = alpha == NULL ? weight : weight * (1 - alpha[class_index]);
}

/* Weights times the factors of the classes; NULL stands for 1. */
static __attribute__((noinline)) void weigh_classes(const struct fghm_plan *plan, size_t first,
                                                    size_t n, const real *targets,
                                                    const real *weights, real *to) {
    FOR_RUNS(run, &plan->shape, first, n) {
        const size_t step = runs_along_classes(&plan->shape) ? 1 : 0;
        double factors[2];
        class_factors(plan, run.class_index, factors);
        for (size_t k = 0; k < run.length; k++) {
            const size_t at = run.first - first + k;
            const double t = (double)targets[at];
            if (k > 0 && step > 0) {
                class_factors(plan, run.class_index + k, factors);
            }
            const double factor = t * factors[0] + (1 - t) * factors[1];
            to[at] = (real)(factor * (weights == NULL ? 1 : (double)weights[at]));
        }
    }
}

/* The sum of up to CHUNK numbers from `least` to `most`, in SUM_LANES lanes. */
static inline double chunk_total(real least, real most, size_t n, const real *numbers) {
    double lanes[SUM_LANES];
    vsum sum;
    v_sum_zero(&sum);
    const size_t whole = n - n % SUM_LANES;
    for (size_t i = 0; i < whole; i += V_LANES) {
        const vreal x = v_load(numbers + i);
        const vmask fits = m_and(v_le(v_set(least), x), v_le(x, v_set(most)));
        v_sum_add(&sum, (int)(i % SUM_LANES) / V_LANES, v_keep(fits, x));
    }
    v_sum_store(lanes, &sum);
    for (size_t i = whole; i < n; i++) {
        lanes[i - whole] += numbers[i] >= least && numbers[i] <= most ? (double)numbers[i] : 0;
    }
    for (size_t width = SUM_LANES / 2; width > 0; width /= 2) {
        for (size_t lane = 0; lane < width; lane++) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

/* Adds those of n numbers that are from `least` to `most` to a sum and its error; the first is
 * the first of a chunk. */
static __attribute__((noinline)) void add_numbers(double *high, double *low, real least, real most,
                                                  size_t n, const real *numbers) {
    struct double_sum sum = {*high, *low};
    for (size_t at = 0; at < n; at += CHUNK) {
        double_sum_add(&sum,
                       chunk_total(least, most, n - at < CHUNK ? n - at : CHUNK, numbers + at));
    }
    *high = sum.high;
    *low = sum.low;
}

/* Puts a harmless element of weight 0 in the place of each ignored one: its results
 * are 0 whatever stands in the caller's arrays.  1 is a logit and a probability. */
#define IGNORED_LOGIT ((real)1)

static __attribute__((noinline)) void blank_ignored(size_t n, struct tile *tile,
                                                    struct fghm_span *span) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real *const weights = span->weights;
    for (size_t k = 0; k < n; k++) {
        const bool ignored = tile->ignored[k];
        tile->logits[k] = ignored ? IGNORED_LOGIT : logits[k];
        tile->targets[k] = ignored ? (real)1 : targets[k];
        tile->weights[k] = ignored ? (real)0 : weights == NULL ? (real)1 : weights[k];
    }
    span->logits = tile->logits;
    span->targets = tile->targets;
    span->weights = tile->weights;
}

/* Counts targets from `least` on among up to CHUNK.  Returns whether all are 0 or 1. */
static inline bool count_targets(real least, size_t n, const real *targets, uint32_t *positives) {
    const size_t whole = n - n % V_LANES;
    vtally tally = v_tally_zero();
    vreal soft = v_set(0);
    for (size_t i = 0; i < whole; i += V_LANES) {
        const vreal t = v_load(targets + i);
        tally = v_tally_add(tally, v_le(v_set(least), t));
        soft = v_or(soft, v_mulsub(t, t, t));
    }
    bool hard = m_all(v_eq(soft, v_set(0)));
    *positives = v_tally_total(tally);
    for (size_t i = whole; i < n; i++) {
        *positives += targets[i] >= least;
        hard = hard && (targets[i] == 0 || targets[i] == 1);
    }
    return hard;
}

/* Counts dense targets and adds them up, chunk by chunk, so that the sum does not depend on how
 * many are at hand; `ignored` marks those that are left out, or is NULL.  The sum of targets of
 * 0 and 1 is their count. */
static __attribute__((noinline)) void count_dense(const struct fghm_plan *plan, size_t n,
                                                  const real *targets, const uint8_t *ignored,
                                                  struct fghm_part *part) {
    const real least = plan->star ? (real)1 : (real)0.5;
    struct double_sum sum = {part->sum_targets, part->sum_targets_error};
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        const real *chunk = targets + at;
        real valid[CHUNK];
        for (size_t k = 0; ignored != NULL && k < length; k++) {
            valid[k] = ignored[at + k] ? 0 : chunk[k];
        }
        chunk = ignored == NULL ? chunk : valid;
        uint32_t positives;
        const bool hard = count_targets(least, length, chunk, &positives);
        part->positives += positives;
        double_sum_add(&sum, hard ? (double)positives : chunk_total(0, 1, length, chunk));
    }
    part->sum_targets = sum.high;
    part->sum_targets_error = sum.low;
}

/* Dense targets: returns how many are ignored, and marks them; counts where that is wanted. */
static __attribute__((noinline)) size_t dense_targets(const struct fghm_plan *plan, size_t n,
                                                      const real *targets, struct tile *tile,
                                                      struct fghm_part *part) {
    size_t ignored = 0;
    if (plan->ignoring || plan->nan_ignored) {
        ignored = mark_ignored(plan, n, targets, tile);
    }
    if (plan->counting) {
        count_dense(plan, n, targets, ignored > 0 ? tile->ignored : NULL, part);
    }
    part->ignored += ignored;
    return ignored;
}

/* The inputs of a tile of elements. */
static __attribute__((noinline)) struct fghm_span tile_load(const struct fghm_plan *plan,
                                                            size_t first, size_t n,
                                                            struct tile *tile,
                                                            struct fghm_part *part) {
    struct fghm_span span = {.n = n};
    size_t ignored;
    span.logits = reading(&plan->logits, first, n, tile->logits);
    if (plan->labels) {
        ignored = label_targets(plan, first, n, tile);
        span.targets = tile->targets;
    } else {
        span.targets = reading(&plan->targets, first, n, tile->targets);
        ignored = dense_targets(plan, n, span.targets, tile, part);
    }
    if (plan->weights.data != NULL) {
        span.weights = reading(&plan->weights, first, n, tile->weights);
    }
    if (ignored > 0) {
        blank_ignored(n, tile, &span);
    }
    if (plan->counting && plan->weights.data != NULL) {
        add_numbers(&part->sum_weights, &part->sum_weights_error, -(real)INFINITY, (real)INFINITY,
                    n, span.weights);
    }
    if (plan->label_smoothing > 0) {
        const real *const targets = span.targets;
        const real keep = (real)(1 - plan->label_smoothing);
        const real half = (real)(plan->label_smoothing / 2);
        for (size_t k = 0; k < n; k++) {
            const bool fits = targets[k] >= 0 && targets[k] <= 1;
            tile->targets[k] = fits ? targets[k] * keep + half : targets[k];
        }
        span.targets = tile->targets;
    }
    return span;
}

/* The first of n numbers that is outside [0, 1], if there is one. */
static inline void find_outside(size_t first, size_t n, const real *numbers, enum fghm_bad bad,
                                struct fghm_part *part) {
    for (size_t k = 0; k < n; k++) {
        if (numbers[k] < 0 || numbers[k] > 1) {
            found_offender(bad, part, first + k);
            return;
        }
    }
}

static inline void part_add(struct fghm_part *part, double loss) {
    struct double_sum sum = {part->sum, part->sum_error};
    double_sum_add(&sum, loss);
    part->sum = sum.high;
    part->sum_error = sum.low;
}

#endif
