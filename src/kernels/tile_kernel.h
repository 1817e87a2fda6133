/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_TILE_KERNEL_H
#define FGHM_KERNELS_TILE_KERNEL_H

/* Tiles: a batch in any storage, layout and target form, a few kilobytes at a
 * time, as contiguous arrays of the kernels' own type, and back.
 *
 * These loops are plain C: the compiler makes vectors of those that matter.  All
 * of them convert, compare or multiply element by element, so the results are the
 * same bits whatever it does. */

#include "focalghm/batch.h"
#include "kernels/double_sum.h"
#include "kernels/kernels.h"
#include "vec/real.h"

/* Elements of a tile: as many as the level 1 cache holds of the few arrays that one call
 * has; the fewer, the more the start of each kernel weighs. */
#define TILE (8192 / sizeof(real))

/* Elements of a tile that needs no room, since kernels work on the caller's memory: it is
 * there for its targets to be counted while they are at hand. */
#define DIRECT_TILE ((size_t)8192)

/* Storage -------------------------------------------------------------------- */

static inline uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* binary16 has 5 bits of exponent and 10 of fraction; binary32 8 and 23.  Subnormal
 * numbers come out of a subtraction, so that no arithmetic meets one: it works also
 * where those are flushed to zero. */
static inline float float_of_f16(uint16_t half) {
    const uint32_t sign = ((uint32_t)half & 0x8000u) << 16;
    const uint32_t magnitude = ((uint32_t)half & 0x7fffu) << 13;
    const uint32_t exponent = magnitude & 0x0f800000u;
    const uint32_t normal = magnitude + ((127u - 15u) << 23);
    const uint32_t special = magnitude | 0x7f800000u;
    const uint32_t subnormal =
        bits_of_float(float_of_bits(magnitude + ((127u - 14u) << 23)) - 0x1p-14f);
    const uint32_t bits = exponent == 0 ? subnormal : exponent == 0x0f800000u ? special : normal;
    return float_of_bits(bits | sign);
}

static inline uint16_t f16_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    /* Half of the last place, or a bit less where that makes it even. */
    const uint32_t odd = (magnitude >> 13) & 1u;
    const uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + odd) >> 13;
    /* Below 2^-14 the sum with 1/2 has the rounded fraction in its last bits. */
    const uint32_t subnormal = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    const uint32_t infinity = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    const uint32_t half = magnitude < ((127u - 14u) << 23)    ? subnormal
                          : magnitude >= ((127u + 16u) << 23) ? infinity
                                                              : normal;
    return (uint16_t)(half | sign);
}

static inline float float_of_bf16(uint16_t upper) {
    return float_of_bits((uint32_t)upper << 16);
}

static inline uint16_t bf16_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/* To float on the way to something narrower: a double is rounded to odd, so that
 * the second rounding sees on which side of a tie it was. */
static inline float narrower(real x) {
#if FGHM_REAL_BITS == 32
    return x;
#else
    const float near = (float)x;
    const double magnitude = fabs(x);
    const uint32_t bits = bits_of_float(near);
    const uint32_t down = (double)fabsf(near) > magnitude ? bits - 1 : bits;
    const uint32_t odd = (double)fabsf(near) == magnitude || x != x ? down : down | 1u;
    return float_of_bits(odd);
#endif
}

/* The body of a conversion of n elements `stride` apart, with a loop of its own for
 * neighbours. */
#define CONVERT(type, to_at, value)                                                                \
    do {                                                                                           \
        if (stride == 1) {                                                                         \
            for (size_t k = 0; k < n; k++) {                                                       \
                const ptrdiff_t at = (ptrdiff_t)k;                                                 \
                to_at = (value);                                                                   \
            }                                                                                      \
        } else {                                                                                   \
            for (size_t k = 0; k < n; k++) {                                                       \
                const ptrdiff_t at = (ptrdiff_t)k * stride;                                        \
                to_at = (value);                                                                   \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Out of line, like the other two conversions: many loops, and many callers. */
static __attribute__((noinline)) void read_reals(int32_t dtype, const void *data, ptrdiff_t offset,
                                                 ptrdiff_t stride, size_t n, real *to) {
    const float *const f32 = (const float *)data + offset;
    const double *const f64 = (const double *)data + offset;
    const uint16_t *const half = (const uint16_t *)data + offset;
    const uint8_t *const u8 = (const uint8_t *)data + offset;
    const int32_t *const i32 = (const int32_t *)data + offset;
    const int64_t *const i64 = (const int64_t *)data + offset;
    switch (dtype) {
    case FGHM_F32:
        CONVERT(float, to[k], (real)f32[at]);
        break;
    case FGHM_F64:
        CONVERT(double, to[k], (real)f64[at]);
        break;
    case FGHM_F16:
        CONVERT(uint16_t, to[k], (real)float_of_f16(half[at]));
        break;
    case FGHM_BF16:
        CONVERT(uint16_t, to[k], (real)float_of_bf16(half[at]));
        break;
    case FGHM_U8:
        CONVERT(uint8_t, to[k], (real)u8[at]);
        break;
    case FGHM_I32:
        CONVERT(int32_t, to[k], (real)i32[at]);
        break;
    case FGHM_I64:
        CONVERT(int64_t, to[k], (real)i64[at]);
        break;
    }
}

static __attribute__((noinline)) void write_reals(int32_t dtype, void *data, ptrdiff_t offset,
                                                  ptrdiff_t stride, size_t n, const real *from) {
    float *const f32 = (float *)data + offset;
    double *const f64 = (double *)data + offset;
    uint16_t *const half = (uint16_t *)data + offset;
    switch (dtype) {
    case FGHM_F32:
        CONVERT(float, f32[at], (float)from[k]);
        break;
    case FGHM_F64:
        CONVERT(double, f64[at], (double)from[k]);
        break;
    case FGHM_F16:
        CONVERT(uint16_t, half[at], f16_of_float(narrower(from[k])));
        break;
    case FGHM_BF16:
        CONVERT(uint16_t, half[at], bf16_of_float(narrower(from[k])));
        break;
    }
}

/* What a label can be besides the index of a class. */
#define BACKGROUND (-1)
#define IGNORED (-2)
#define NO_LABEL (-3)

static inline int32_t column_of(const struct fghm_plan *plan, int64_t label, size_t classes) {
    const uint64_t column = (uint64_t)label - (uint64_t)plan->first_label;
    const int32_t other = plan->has_background && label == plan->background ? BACKGROUND : NO_LABEL;
    const int32_t known = column < classes ? (int32_t)column : other;
    return plan->ignoring && label == plan->ignore_index ? IGNORED : known;
}

static __attribute__((noinline)) void read_columns(const struct fghm_plan *plan, ptrdiff_t offset,
                                                   ptrdiff_t stride, size_t n, int32_t *to) {
    const size_t classes = plan->shape.classes;
    const uint8_t *const u8 = (const uint8_t *)plan->targets.data + offset;
    const int32_t *const i32 = (const int32_t *)plan->targets.data + offset;
    const int64_t *const i64 = (const int64_t *)plan->targets.data + offset;
    switch (plan->targets.dtype) {
    case FGHM_U8:
        CONVERT(uint8_t, to[k], column_of(plan, u8[at], classes));
        break;
    case FGHM_I32:
        CONVERT(int32_t, to[k], column_of(plan, i32[at], classes));
        break;
    case FGHM_I64:
        CONVERT(int64_t, to[k], column_of(plan, i64[at], classes));
        break;
    }
}

/* 1 for labels that are `label`, 0 for others.  Compared in their own type, in which
 * `label` may not exist: then none is. */
static __attribute__((noinline)) void match_labels(const struct fghm_array *labels,
                                                   ptrdiff_t offset, ptrdiff_t stride, size_t n,
                                                   int64_t label, real *to) {
    const uint8_t *const u8 = (const uint8_t *)labels->data + offset;
    const int32_t *const i32 = (const int32_t *)labels->data + offset;
    const int64_t *const i64 = (const int64_t *)labels->data + offset;
    const bool exists = (labels->dtype != FGHM_U8 || (label >= 0 && label <= UINT8_MAX)) &&
                        (labels->dtype != FGHM_I32 || (label >= INT32_MIN && label <= INT32_MAX));
    const real match = exists ? 1 : 0;
    const uint8_t label_u8 = (uint8_t)label;
    const int32_t label_i32 = (int32_t)label;
    switch (labels->dtype) {
    case FGHM_U8:
        CONVERT(uint8_t, to[k], u8[at] == label_u8 ? match : 0);
        break;
    case FGHM_I32:
        CONVERT(int32_t, to[k], i32[at] == label_i32 ? match : 0);
        break;
    case FGHM_I64:
        CONVERT(int64_t, to[k], i64[at] == label ? match : 0);
        break;
    }
}

#undef CONVERT

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

static inline ptrdiff_t run_offset(const struct fghm_array *array, const struct run *run) {
    return (ptrdiff_t)run->outer * array->strides[0] +
           (ptrdiff_t)run->class_index * array->strides[1] +
           (ptrdiff_t)run->inner * array->strides[2];
}

static inline ptrdiff_t run_stride(const struct fghm_array *array) {
    return array->strides[runs_along_classes(&array->shape) ? 1 : 2];
}

static inline void load(const struct fghm_array *array, size_t first, size_t n, real *to) {
    if (array->contiguous) {
        read_reals(array->dtype, array->data, (ptrdiff_t)first, 1, n, to);
        return;
    }
    FOR_RUNS(run, &array->shape, first, n) {
        read_reals(array->dtype, array->data, run_offset(array, &run), run_stride(array),
                   run.length, to + (run.first - first));
    }
}

static inline void store(const struct fghm_array *array, size_t first, size_t n, const real *from) {
    if (array->contiguous) {
        write_reals(array->dtype, array->data, (ptrdiff_t)first, 1, n, from);
        return;
    }
    FOR_RUNS(run, &array->shape, first, n) {
        write_reals(array->dtype, array->data, run_offset(array, &run), run_stride(array),
                    run.length, from + (run.first - first));
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

struct tile {
    real logits[TILE];
    real targets[TILE];
    real weights[TILE];
    real element_loss[TILE];
    real gradient[TILE];
    real hessian[TILE];
    uint8_t ignored[TILE];
    int32_t columns[TILE + 1];
};

/* Whether tiles need no arrays of their own. */
static inline bool is_direct(const struct fghm_plan *plan) {
    return !plan->labels && !plan->ignoring && !(plan->label_smoothing > 0) &&
           plan->class_alpha == NULL && plan->class_weights == NULL && plan->logits.direct &&
           plan->targets.direct && (plan->weights.data == NULL || plan->weights.direct) &&
           (plan->element_loss.data == NULL || plan->element_loss.direct) &&
           (plan->gradient.data == NULL || plan->gradient.direct) &&
           (plan->hessian.data == NULL || plan->hessian.direct);
}

/* Targets of labels; returns how many elements are ignored.  Along rows, the labels
 * of the tile's samples are read at once. */
static __attribute__((noinline)) size_t label_targets(const struct fghm_plan *plan, size_t first,
                                                      size_t n, struct tile *tile) {
    const struct fghm_shape *const shape = &plan->shape;
    const struct fghm_array *const labels = &plan->targets;
    const bool rows = runs_along_classes(shape);
    size_t ignored = 0;
    if (rows) {
        const size_t row = first / shape->classes;
        const size_t last = (first + n - 1) / shape->classes;
        read_columns(plan, (ptrdiff_t)row * labels->strides[2], labels->strides[2], last - row + 1,
                     tile->columns);
        memset(tile->targets, 0, n * sizeof(real));
        size_t sample = 0;
        FOR_RUNS(run, shape, first, n) {
            const size_t at = run.first - first;
            const int32_t column = tile->columns[sample++];
            const size_t place = (size_t)column - run.class_index;
            if (column >= 0 && place < run.length) {
                tile->targets[at + place] = 1;
            }
            if (plan->ignoring) {
                memset(tile->ignored + at, column == IGNORED, run.length);
                ignored += column == IGNORED ? run.length : 0;
            }
        }
        return ignored;
    }
    FOR_RUNS(run, shape, first, n) {
        const size_t place = run.first - first;
        const ptrdiff_t offset =
            (ptrdiff_t)run.outer * labels->strides[0] + (ptrdiff_t)run.inner * labels->strides[2];
        const int64_t own = plan->first_label + (int64_t)run.class_index;
        match_labels(labels, offset, labels->strides[2], run.length, own, tile->targets + place);
        if (plan->ignoring) {
            real found[TILE];
            match_labels(labels, offset, labels->strides[2], run.length, plan->ignore_index, found);
            for (size_t k = 0; k < run.length; k++) {
                tile->ignored[place + k] = found[k] > 0;
                ignored += tile->ignored[place + k];
            }
        }
    }
    return ignored;
}

/* Counts dense targets; returns how many are ignored, and marks them. */
static __attribute__((noinline)) size_t dense_targets(const struct fghm_plan *plan, size_t n,
                                                      const real *targets, struct tile *tile,
                                                      struct fghm_part *part) {
    uint32_t positives = 0;
    uint32_t ignored = 0;
    if (!plan->counting && !plan->ignoring) {
        return 0;
    }
    if (plan->ignoring) {
        const real value = (real)plan->ignore_index;
        for (size_t k = 0; k < n; k++) {
            tile->ignored[k] = targets[k] == value;
            ignored += tile->ignored[k];
            positives += targets[k] >= (real)0.5 && !tile->ignored[k];
        }
    } else {
        for (size_t k = 0; k < n; k++) {
            positives += targets[k] >= (real)0.5;
        }
    }
    part->positives += positives;
    part->ignored += ignored;
    return ignored;
}

/* One kind of offence is reported: the one that is found first. */
static inline void found_offender(bool *kind, struct fghm_part *part, size_t place) {
    if (!part->bad_target && !part->bad_weight && !part->bad_probability) {
        part->offender = place;
        *kind = true;
    }
}

/* Weights are >= 0. */
static inline void check_weights(size_t first, size_t n, const real *weights,
                                 struct fghm_part *part) {
    uint32_t bad = 0;
    for (size_t k = 0; k < n; k++) {
        bad |= !(weights[k] >= 0);
    }
    for (size_t k = 0; bad && k < n; k++) {
        if (!(weights[k] >= 0)) {
            found_offender(&part->bad_weight, part, first + k);
            return;
        }
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
static inline void find_outside(size_t first, size_t n, const real *numbers, bool *kind,
                                struct fghm_part *part) {
    for (size_t k = 0; k < n; k++) {
        if (numbers[k] < 0 || numbers[k] > 1) {
            found_offender(kind, part, first + k);
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
