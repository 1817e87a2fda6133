/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_TILE_H
#define FGHM_WALK_TILE_H

/* Tiles: the inputs of a few thousand elements in any storage, layout and target form, as
 * contiguous arrays of the kernels' own type, and their results on the way back. */

#include <stdint.h>
#include <string.h>

#include "array.h"
#include "focalghm/batch.h"
#include "kernels/double_sum.h"
#include "kernels/samples.h"
#include "kernels/span.h"
#include "walk/label.h"

/* How many elements are taken at a time where a step needs room of its own: the sums' chunks. */
#define CHUNK 256

/* Elements of a tile at most: so many that what starting a kernel costs does not count, and so few
 * that its arrays stay in the level 1 cache. */
#define TILE_MAX (8192 / sizeof(real))

/* The room of a tile's arrays, which share it: the fewer a call needs, the longer its tiles.  It is
 * what the stack of a call leaves, which has 64 KiB. */
#define TILE_ROOM (5 * 4096 / sizeof(real))

/* Elements of a tile that needs no room, since kernels work on the caller's memory: it is
 * there for its targets to be counted while they are at hand. */
#define DIRECT_TILE ((size_t)8192)

struct tile {
    const struct fghm_kernels *kernels;
    size_t length; /* of the tiles of this walk, a multiple of CHUNK */
    /* Each in its part of the room; NULL if the walk needs none. */
    real *logits, *targets, *weights;
    real *element_loss, *gradient, *hessian;
    real *gamma, *gamma_low, *positive_share, *negative_share;
    struct fghm_own own;
    uint8_t ignored[TILE_MAX];
    int32_t columns[TILE_MAX / 2 + 2]; /* samples have two classes at least where these are read */
    real room[TILE_ROOM];
};

/* Which arrays a walk needs room for. */
struct tile_needs {
    bool logits, targets, weights;
    bool element_loss, gradient, hessian;
    bool gammas, shares;
};

static void tile_arrange(struct tile *tile, const struct tile_needs *needs) {
    const struct {
        bool needed;
        real **array;
    } arrays[] = {
        {needs->logits, &tile->logits},         {needs->targets, &tile->targets},
        {needs->weights, &tile->weights},       {needs->element_loss, &tile->element_loss},
        {needs->gradient, &tile->gradient},     {needs->hessian, &tile->hessian},
        {needs->gammas, &tile->gamma},          {needs->gammas, &tile->gamma_low},
        {needs->shares, &tile->positive_share}, {needs->shares, &tile->negative_share},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        count += arrays[i].needed;
    }
    const size_t share = count == 0 ? DIRECT_TILE : TILE_ROOM / count / CHUNK * CHUNK;
    tile->length = count > 0 && share > TILE_MAX ? TILE_MAX : share;
    real *room = tile->room;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = arrays[i].needed ? room : NULL;
        room += arrays[i].needed ? tile->length : 0;
    }
}

static void tile_arrange_all(struct tile *tile) {
    const struct tile_needs all = {true, true, true, true, true, true, true, true};
    tile_arrange(tile, &all);
}

/* The same for samples, of which a tile has few: room is left for logits of classes. */
#define SAMPLES_ROOM (TILE_ROOM - (size_t)6 * CHUNK)

static void tile_arrange_samples(struct tile *tile, size_t samples) {
    real **const arrays[] = {&tile->logits,       &tile->targets,  &tile->weights,
                             &tile->element_loss, &tile->gradient, &tile->hessian};
    tile->length = samples;
    for (size_t i = 0; i < 6; i++) {
        *arrays[i] = tile->room + i * CHUNK;
    }
}

static inline bool needs_room(const struct fghm_array *array) {
    return array->data != NULL && !array->direct;
}

/* What the arrays ask for. */
static struct tile_needs needs_of(const struct fghm_plan *plan) {
    const struct fghm_arrays *const arrays = plan->arrays;
    if (arrays == NULL) {
        return (struct tile_needs){0};
    }
    const bool blanks = arrays->ignoring || arrays->nan_ignored;
    return (struct tile_needs){
        .logits = blanks || arrays->offsets != NULL || needs_room(&arrays->logits),
        .targets =
            blanks || arrays->labels || arrays->label_smoothing > 0 || needs_room(&arrays->targets),
        .weights = blanks || fghm_have_class_factors(plan->arrays) || needs_room(&arrays->weights),
        .element_loss = needs_room(&arrays->element_loss),
        .gradient = needs_room(&arrays->gradient),
        .hessian = needs_room(&arrays->hessian),
        .gammas = arrays->gammas != NULL,
    };
}

/* Storage --------------------------------------------------------------------- */

/* The n elements of an array from `first` on. */
static void load(const struct fghm_kernels *kernels, const struct fghm_array *array, size_t first,
                 size_t n, real *to) {
    for (struct array_run run = array_run_at(array, first, n); run.n > 0; array_run_next(&run, n)) {
        kernels->read(array->dtype, array->data, run.offset, run.stride, run.n, to + run.index);
    }
}

static void store(const struct fghm_kernels *kernels, const struct fghm_array *array, size_t first,
                  size_t n, const real *from) {
    for (struct array_run run = array_run_at(array, first, n); run.n > 0; array_run_next(&run, n)) {
        kernels->write(array->dtype, array->data, run.offset, run.stride, run.n, from + run.index);
    }
}

/* A logit and its class's offset, rounded once; where both are finite, so is their sum. */
static inline real offset_logit(real logit, double offset) {
    const double sum = (double)logit + offset;
    const double most = (double)REAL_MAX;
    const bool overflows = (sum > most || sum < -most) && logit >= -REAL_MAX && logit <= REAL_MAX;
    return overflows ? (sum > 0 ? REAL_MAX : -REAL_MAX) : (real)sum;
}

/* Adds offsets to logits: of the same class if step is 0, of neighbours if it is 1. */
OUT_OF_LINE void add_offsets(const double *offsets, size_t step, size_t n, real *logits) {
    for (size_t k = 0; k < n; k++) {
        logits[k] = offset_logit(logits[k], offsets[k * step]);
    }
}

/* Whether the n numbers of an array of integers are `label`. */
static void load_matches(const struct fghm_kernels *kernels, const struct fghm_array *labels,
                         size_t first, size_t n, int64_t label, real *to) {
    for (struct array_run run = array_run_at(labels, first, n); run.n > 0;
         array_run_next(&run, n)) {
        kernels->match(labels->dtype, labels->data, run.offset, run.stride, run.n, label,
                       to + run.index);
    }
}

/* Numbers that are compared with something: the comparison is that of the caller's number, which
 * may be a double where the kernels have floats. */
static inline bool is_wider(const struct fghm_array *array) {
    return FGHM_REAL_BITS == 32 && array->dtype == FGHM_F64;
}

/* Up to CHUNK doubles. */
static void load_doubles(const struct fghm_array *array, size_t first, size_t n, double *to) {
    for (struct array_run run = array_run_at(array, first, n); run.n > 0; array_run_next(&run, n)) {
        const double *const from = (const double *)array->data + run.offset;
        for (size_t k = 0; k < run.n; k++) {
            to[run.index + k] = from[(ptrdiff_t)k * run.stride];
        }
    }
}

/* A double as a real that is on the same side of 0, of 1/2 and, for those above it, of 1: in range
 * or not, positive or not.  Where only 1 is positive, also below 1. */
static inline real on_its_side(bool one, double x) {
    const real near = (real)x;
    const real little = REAL_EPSILON / 4; /* takes 1 and 1/2 to the number below */
    if ((x > 0 && near == 0) || (x < 0 && near == 0)) {
        return x > 0 ? REAL_SMALLEST : -REAL_SMALLEST;
    }
    if (x > 1 && near == 1) {
        return 1 + REAL_EPSILON;
    }
    if ((x < (double)0.5 && near == (real)0.5) || (one && x < 1 && near == 1)) {
        return near - (near == 1 ? 2 * little : little);
    }
    return near;
}

/* Loads targets, scores or a mask. */
static void load_compared(const struct fghm_kernels *kernels, const struct fghm_array *array,
                          bool one, size_t first, size_t n, real *to) {
    if (!is_wider(array)) {
        load(kernels, array, first, n, to);
        return;
    }
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        double numbers[CHUNK];
        load_doubles(array, first + at, length, numbers);
        for (size_t k = 0; k < length; k++) {
            to[at + k] = on_its_side(one, numbers[k]);
        }
    }
}

/* Elements as the kernels want them: in place, or in `buffer`. */
static const real *reading(const struct fghm_kernels *kernels, const struct fghm_array *array,
                           size_t first, size_t n, real *buffer) {
    if (array->direct) {
        return (const real *)array->data + first;
    }
    load(kernels, array, first, n, buffer);
    return buffer;
}

/* Brings results to the caller, unless they are there already. */
static void written(const struct fghm_kernels *kernels, const struct fghm_array *array,
                    size_t first, size_t n, const real *from) {
    if (array->data != NULL && !(array->direct && from == (const real *)array->data + first)) {
        store(kernels, array, first, n, from);
    }
}

/* Targets ---------------------------------------------------------------------- */

/* One offence is reported: the one that is found first. */
static inline void found_offender(enum fghm_bad bad, struct fghm_part *part, size_t place) {
    if (part->bad == FGHM_BAD_NOTHING) {
        part->offender = place;
        part->bad = bad;
    }
}

/* The first of n numbers that is outside [0, 1], if there is one. */
static void find_outside(size_t first, size_t n, const real *numbers, enum fghm_bad bad,
                         struct fghm_part *part) {
    for (size_t k = 0; k < n; k++) {
        if (numbers[k] < 0 || numbers[k] > 1) {
            found_offender(bad, part, first + k);
            return;
        }
    }
}

/* Rows: the samples' classes are neighbours in the order of elements, and the labels of all
 * samples of the tile are read at once. */
static size_t label_rows(const struct fghm_plan *plan, size_t first, size_t n, struct tile *tile) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct fghm_shape *const shape = &plan->shape;
    const size_t row = first / shape->classes;
    const size_t samples = (first + n - 1) / shape->classes - row + 1;
    size_t ignored = 0;
    size_t sample = 0;
    (void)load_columns(plan, row, samples, tile->columns);
    memset(tile->targets, 0, n * sizeof(real));
    FOR_SHAPE_RUNS(run, shape, first, n) {
        const size_t at = run.first - first;
        const int32_t column = tile->columns[sample];
        const size_t place = (size_t)column - run.class_index;
        if (column >= 0 && place < run.length) {
            tile->targets[at + place] = 1;
            if (arrays->scores.data != NULL) {
                real *const target = &tile->targets[at + place];
                load_compared(tile->kernels, &arrays->scores, false, row + sample, 1, target);
                *target = arrays->zero_scores && *target == 0 ? REAL_SMALLEST : *target;
            }
        }
        if (arrays->ignoring) {
            memset(tile->ignored + at, column == IGNORED, run.length);
            ignored += column == IGNORED ? run.length : 0;
        }
        sample++;
    }
    return ignored;
}

/* Planes: the samples of one class are neighbours. */
static size_t label_planes(const struct fghm_plan *plan, size_t first, size_t n,
                           struct tile *tile) {
    const struct fghm_arrays *const arrays = plan->arrays;
    size_t ignored = 0;
    FOR_SHAPE_RUNS(run, &plan->shape, first, n) {
        const size_t sample = run.outer * plan->shape.inner + run.inner;
        const int64_t own = arrays->first_label + (int64_t)run.class_index;
        load_matches(tile->kernels, &arrays->targets, sample, run.length, own,
                     tile->targets + (run.first - first));
        for (size_t at = 0; at < run.length; at += CHUNK) {
            const size_t place = run.first - first + at;
            const size_t length = run.length - at < CHUNK ? run.length - at : CHUNK;
            real *const targets = tile->targets + place;
            real other[CHUNK];
            if (arrays->scores.data != NULL) {
                load_compared(tile->kernels, &arrays->scores, false, sample + at, length, other);
                for (size_t k = 0; k < length; k++) {
                    const real score =
                        arrays->zero_scores && other[k] == 0 ? REAL_SMALLEST : other[k];
                    targets[k] = targets[k] > 0 ? score : 0;
                }
            }
            if (arrays->ignoring) {
                load_matches(tile->kernels, &arrays->targets, sample + at, length,
                             arrays->ignore_index, other);
                for (size_t k = 0; k < length; k++) {
                    tile->ignored[place + k] = other[k] > 0;
                    ignored += tile->ignored[place + k];
                }
            }
        }
    }
    return ignored;
}

/* Marks the numbers of an array that are `index`, which is compared with the caller's numbers. */
static void mark_index(const struct fghm_kernels *kernels, const struct fghm_array *array,
                       size_t first, size_t n, const real *numbers, int64_t index,
                       uint8_t *ignored) {
    const bool is_integer = fghm_dtype_is_integer(array->dtype);
    const double value = (double)index;
    /* What no double is, no number of any floating-point type is. */
    const bool exists = value < 0x1p63 && (int64_t)value == index;
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        if (is_integer) {
            real matches[CHUNK];
            load_matches(kernels, array, first + at, length, index, matches);
            for (size_t k = 0; k < length; k++) {
                ignored[at + k] |= matches[k] > 0;
            }
        } else if (is_wider(array)) {
            double wide[CHUNK];
            load_doubles(array, first + at, length, wide);
            for (size_t k = 0; k < length; k++) {
                ignored[at + k] |= exists && wide[k] == value;
            }
        } else {
            const bool is_real = exists && (double)(real)value == value;
            const real own = (real)value;
            for (size_t k = 0; k < length; k++) {
                ignored[at + k] |= is_real && numbers[at + k] == own;
            }
        }
    }
}

/* Marks the dense targets that are ignored; returns how many. */
static size_t mark_ignored(const struct fghm_plan *plan, size_t first, size_t n,
                           const real *targets, struct tile *tile) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const bool missing = arrays->nan_ignored;
    for (size_t k = 0; k < n; k++) {
        tile->ignored[k] = missing && targets[k] != targets[k];
    }
    if (arrays->ignoring) {
        mark_index(tile->kernels, &arrays->targets, first, n, targets, arrays->ignore_index,
                   tile->ignored);
    }
    uint32_t ignored = 0;
    for (size_t k = 0; k < n; k++) {
        ignored += tile->ignored[k];
    }
    return ignored;
}

/* Counts dense targets where that is wanted; `ignored` marks what is left out, or is NULL. */
static void count_dense(const struct fghm_plan *plan, const struct fghm_kernels *kernels, size_t n,
                        const real *targets, const uint8_t *ignored, struct fghm_part *part) {
    if (plan->counting) {
        const double least[] = {0.5, 1, (double)REAL_SMALLEST};
        kernels->tally(least[plan->positive], plan->regression, n, targets, ignored,
                       &part->targets);
    }
}

/* The targets of a tile; *ignored is how many are ignored, which are marked then. */
static const real *load_targets(const struct fghm_plan *plan, size_t first, size_t n,
                                struct tile *tile, size_t *ignored, struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    *ignored = 0;
    if (arrays == NULL) {
        const real *const targets = (const real *)plan->span->targets + first;
        count_dense(plan, tile->kernels, n, targets, NULL, part);
        return targets;
    }
    if (arrays->labels) {
        *ignored = runs_along_classes(&plan->shape) ? label_rows(plan, first, n, tile)
                                                    : label_planes(plan, first, n, tile);
        return tile->targets;
    }
    const real *targets = tile->targets;
    if (arrays->targets.direct) {
        targets = (const real *)arrays->targets.data + first;
    } else {
        load_compared(tile->kernels, &arrays->targets, plan->positive == FGHM_POSITIVE_ONE, first,
                      n, tile->targets);
    }
    if (arrays->ignoring || arrays->nan_ignored) {
        *ignored = mark_ignored(plan, first, n, targets, tile);
    }
    count_dense(plan, tile->kernels, n, targets, *ignored > 0 ? tile->ignored : NULL, part);
    part->ignored += *ignored;
    return targets;
}

/* Inputs ------------------------------------------------------------------------ */

/* Puts harmless elements of weight 0 in the place of those that are marked. */
static void blank_marked(struct tile *tile, struct fghm_span *span) {
    tile->kernels->blank(tile->ignored, span, tile->logits, tile->targets, tile->weights);
    span->logits = tile->logits;
    span->targets = tile->targets;
    span->weights = tile->weights;
}

static void add_weights(const struct fghm_kernels *kernels, size_t n, const real *weights,
                        struct fghm_part *part) {
    kernels->total(-(double)INFINITY, (double)INFINITY, n, weights, &part->sum_weights,
                   &part->sum_weights_error);
}

/* Targets out of range are left for the kernels to find. */
static void smooth(double label_smoothing, size_t n, const real *targets, real *to) {
    const real keep = (real)(1 - label_smoothing);
    const real half = (real)(label_smoothing / 2);
    for (size_t k = 0; k < n; k++) {
        const bool fits = targets[k] >= 0 && targets[k] <= 1;
        to[k] = fits ? targets[k] * keep + half : targets[k];
    }
}

/* Adds the offsets of the classes to logits. */
static void offset_classes(const struct fghm_plan *plan, size_t first, size_t n, real *logits) {
    const size_t step = runs_along_classes(&plan->shape) ? 1 : 0;
    FOR_SHAPE_RUNS(run, &plan->shape, first, n) {
        add_offsets(plan->arrays->offsets + run.class_index, step, run.length,
                    logits + (run.first - first));
    }
}

/* The inputs of a tile of elements.  `is_mask` says what weights are. */
static struct fghm_span tile_load(const struct fghm_plan *plan, bool is_mask, size_t first,
                                  size_t n, struct tile *tile, struct fghm_part *part) {
    const struct fghm_arrays *const arrays = plan->arrays;
    struct fghm_span span = {.n = n};
    size_t ignored;
    span.targets = load_targets(plan, first, n, tile, &ignored, part);
    if (arrays == NULL) {
        span.logits = offset_const(plan->span->logits, first);
        span.weights = offset_const(plan->span->weights, first);
        return span;
    }
    if (arrays->offsets == NULL) {
        span.logits = reading(tile->kernels, &arrays->logits, first, n, tile->logits);
    } else {
        load(tile->kernels, &arrays->logits, first, n, tile->logits);
        offset_classes(plan, first, n, tile->logits);
        span.logits = tile->logits;
    }
    if (arrays->weights.data != NULL && is_mask && !arrays->weights.direct) {
        load_compared(tile->kernels, &arrays->weights, false, first, n, tile->weights);
        span.weights = tile->weights;
    } else if (arrays->weights.data != NULL) {
        span.weights = reading(tile->kernels, &arrays->weights, first, n, tile->weights);
    }
    if (ignored > 0) {
        blank_marked(tile, &span);
    }
    if (plan->counting && arrays->weights.data != NULL) {
        add_weights(tile->kernels, n, span.weights, part);
    }
    if (arrays->label_smoothing > 0) {
        smooth(arrays->label_smoothing, n, span.targets, tile->targets);
        span.targets = tile->targets;
    }
    return span;
}

/* Weights times the factors of the classes, and gammas of the classes, as far as there are any.
 * `split`: soft targets have a loss of two terms, each with its own alpha. */
static void add_factors_of_classes(const struct fghm_plan *plan, bool split, size_t first,
                                   struct tile *tile, struct fghm_span *span) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct fghm_class_factors *const all = &arrays->factors;
    const size_t step = runs_along_classes(&plan->shape) ? 1 : 0;
    const bool weighed = fghm_have_class_factors(arrays);
    const bool shared = weighed && split && all->alpha != NULL;
    const real *const targets = span->targets;
    const real *const weights = span->weights;
    FOR_SHAPE_RUNS(run, &plan->shape, first, span->n) {
        const size_t at = run.first - first;
        for (size_t k = 0; arrays->gammas != NULL && k < run.length; k++) {
            const double gamma = arrays->gammas[run.class_index + k * step];
            tile->gamma[at + k] = (real)gamma;
            tile->gamma_low[at + k] = (real)(gamma - (double)(real)gamma);
        }
        if (weighed) {
            const struct fghm_class_factors factors = {
                all->alpha == NULL ? NULL : all->alpha + run.class_index,
                all->weights == NULL ? NULL : all->weights + run.class_index, all->common};
            void *const shares[2] = {shared ? tile->positive_share + at : NULL,
                                     shared ? tile->negative_share + at : NULL};
            tile->kernels->weigh(&factors, step, run.length, targets + at,
                                 weights == NULL ? NULL : weights + at, tile->weights + at, shares);
        }
    }
    span->weights = weighed ? tile->weights : weights;
    tile->own = (struct fghm_own){
        .gamma = arrays->gammas != NULL ? tile->gamma : NULL,
        .gamma_low = arrays->gammas != NULL ? tile->gamma_low : NULL,
        .positive_share = shared ? tile->positive_share : NULL,
        .negative_share = shared ? tile->negative_share : NULL,
    };
    span->own = &tile->own;
}

/* Outputs ----------------------------------------------------------------------- */

/* Where the results of a tile go: to its room where it has some, else to the caller's memory. */
static void tile_outputs(const struct fghm_plan *plan, size_t first, const struct tile *tile,
                         struct fghm_span *span) {
    const struct fghm_arrays *const arrays = plan->arrays;
    void *const callers[] = {arrays == NULL ? plan->span->element_loss : arrays->element_loss.data,
                             arrays == NULL ? plan->span->gradient : arrays->gradient.data,
                             arrays == NULL ? plan->span->hessian : arrays->hessian.data};
    real *const rooms[] = {tile->element_loss, tile->gradient, tile->hessian};
    void **const outputs[] = {&span->element_loss, &span->gradient, &span->hessian};
    for (int i = 0; i < 3; i++) {
        *outputs[i] = callers[i] == NULL ? NULL
                      : rooms[i] != NULL ? (void *)rooms[i]
                                         : offset(callers[i], first);
    }
}

/* Brings what is in the room to the caller. */
static void tile_store(const struct fghm_plan *plan, const struct fghm_kernels *kernels,
                       size_t first, const struct fghm_span *span) {
    const struct fghm_arrays *const arrays = plan->arrays;
    const size_t bytes = span->n * sizeof(real);
    if (arrays != NULL) {
        written(kernels, &arrays->element_loss, first, span->n, span->element_loss);
        written(kernels, &arrays->gradient, first, span->n, span->gradient);
        written(kernels, &arrays->hessian, first, span->n, span->hessian);
        return;
    }
    void *const callers[] = {plan->span->element_loss, plan->span->gradient, plan->span->hessian};
    const void *const results[] = {span->element_loss, span->gradient, span->hessian};
    for (int i = 0; i < 3; i++) {
        if (callers[i] != NULL && results[i] != offset(callers[i], first)) {
            memcpy(offset(callers[i], first), results[i], bytes);
        }
    }
}

/* Puts harmless elements of weight 0 in the place of those that are in error, which are
 * marked. */
static void blank_offenders(bool star, bool probability, struct tile *tile,
                            struct fghm_span *span) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    for (size_t k = 0; k < span->n; k++) {
        const bool soft = star && targets[k] > 0 && targets[k] < 1;
        const bool outside = targets[k] < 0 || targets[k] > 1;
        const bool improbable = probability && (logits[k] < 0 || logits[k] > 1);
        tile->ignored[k] = soft || outside || improbable;
    }
    blank_marked(tile, span);
}

/* NaN for the results of what is marked. */
static void spoil_marked(const uint8_t *marked, const struct fghm_span *span) {
    real *const outputs[] = {span->element_loss, span->gradient, span->hessian};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; outputs[i] != NULL && k < span->n; k++) {
            outputs[i][k] = marked[k] ? (real)NAN : outputs[i][k];
        }
    }
}

static void part_add(struct fghm_part *part, const struct fghm_sum *losses) {
    struct double_sum sum = {part->sum, part->sum_error};
    double_sum_add(&sum, sum_of_lanes(losses, sizeof(real)));
    part->sum_huge += huge_of(losses, sizeof(real));
    part->sum = sum.high;
    part->sum_error = sum.low;
}

#endif
