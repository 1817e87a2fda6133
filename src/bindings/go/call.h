/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_GO_CALL_H
#define FOCALGHM_GO_CALL_H

/* Calls as cgo can make them without an allocation.
 *
 * A struct that Go passes must not hold pointers to Go memory that is not pinned, while
 * arguments may be such pointers: cgo keeps them where they are for the time of the call.  So a
 * descriptor comes from Go without its pointers, by value, and is completed here, on C's stack.
 * What a call finds goes back by value, so that nothing of Go's has to be moved to the heap. */

#include <focalghm/focalghm.h>
#include <math.h>
#include <stdbool.h>

#if FGHM_VERSION_MAJOR != 0 || FGHM_VERSION_MINOR != 2
#error "this module is for libfocalghm 0.2"
#endif

typedef struct {
    fghm_status status;
    double loss;
} fgo_loss;

/* An array, and of its slice how long it is and which number has index 0. */
typedef struct {
    int32_t dtype, layout;
    int64_t strides[FGHM_AXES_MAX];
    int64_t length, first;
} fgo_array;

/* Status of a call that has not been made, since an array would lead out of its slice. */
enum { FGO_OUTSIDE = 1 };

/* The arrays of a batch. */
enum {
    FGO_LOGITS,
    FGO_TARGETS,
    FGO_SCORES,
    FGO_WEIGHTS,
    FGO_ELEMENT_LOSS,
    FGO_GRADIENT,
    FGO_HESSIAN,
    FGO_HARMONIZING_WEIGHT,
    FGO_ARRAYS
};

typedef struct {
    uint32_t tag;
    int32_t ndim, class_axis;
    int32_t activation, target_form, background, flags;
    int64_t shape[FGHM_AXES_MAX];
    int64_t ignore_index;
    double label_smoothing;
    int64_t factor_lengths[4]; /* class_alpha and those behind it */
    fgo_array arrays[FGO_ARRAYS];
} fgo_batch;

/* What to do with a batch. */
enum { FGO_FOCAL, FGO_GHM_STEP, FGO_GHM_COUNT, FGO_GHM_APPLY };

static inline fghm_input fgo_input(const fgo_array *array, const void *data) {
    fghm_input input = {data, array->dtype, array->layout, {0}};
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        input.strides[axis] = array->strides[axis];
    }
    return input;
}

static inline fghm_output fgo_output(const fgo_array *array, void *data) {
    fghm_output output = {data, array->dtype, array->layout, {0}};
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        output.strides[axis] = array->strides[axis];
    }
    return output;
}

static inline bool fgo_fits(const fgo_array *array, size_t before, size_t after) {
    if (array->layout != FGHM_LAYOUT_STRIDED) {
        return (uint64_t)array->length == after;
    }
    return array->first >= 0 && array->first <= array->length && (uint64_t)array->first >= before &&
           (uint64_t)(array->length - array->first) >= after;
}

/* The first array that leads out of its slice.  What is wrong with the batch itself is the call's
 * to say. */
static inline fghm_field fgo_outside(const fghm_batch *batch, const fgo_batch *given) {
    const void *const factors[] = {batch->class_alpha, batch->class_gamma, batch->class_weights,
                                   batch->class_offsets};
    const void *const arrays[] = {batch->logits.data,       batch->targets.data,
                                  batch->scores.data,       batch->weights.data,
                                  batch->element_loss.data, batch->gradient.data,
                                  batch->hessian.data,      batch->harmonizing_weight.data};
    size_t before, after;
    for (int i = 0; i < 4; i++) {
        const fghm_field field = FGHM_FIELD_CLASS_ALPHA + i;
        if (factors[i] != NULL && fghm_batch_reach(batch, field, &before, &after) == FGHM_OK &&
            (uint64_t)given->factor_lengths[i] != after) {
            return field;
        }
    }
    for (int i = 0; i < FGO_ARRAYS; i++) {
        const fghm_field field = FGHM_FIELD_LOGITS + i;
        if (arrays[i] != NULL && fghm_batch_reach(batch, field, &before, &after) == FGHM_OK &&
            after > 0 && !fgo_fits(&given->arrays[i], before, after)) {
            return field;
        }
    }
    return FGHM_FIELD_NONE;
}

/* Data is char here: cgo does not look through pointers to it for others. */
static inline fghm_result
fgo_batch_call(int32_t call, fghm_focal *focal, fghm_ghm *ghm, fghm_pool *pool, fgo_batch given,
               const char *logits, const char *targets, const char *scores, const char *weights,
               char *element_loss, char *gradient, char *hessian, char *harmonizing_weight,
               const double *class_alpha, const double *class_gamma, const double *class_weights,
               const double *class_offsets, size_t capacity, uint64_t *counts) {
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.tag = given.tag;
    batch.ndim = given.ndim;
    batch.class_axis = given.class_axis;
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        batch.shape[axis] = axis < given.ndim ? given.shape[axis] : FGHM_UNSET;
    }
    batch.activation = given.activation;
    batch.target_form = given.target_form;
    batch.background = given.background;
    batch.flags = given.flags;
    batch.ignore_index = given.ignore_index;
    batch.label_smoothing = given.label_smoothing;
    batch.class_alpha = class_alpha;
    batch.class_gamma = class_gamma;
    batch.class_weights = class_weights;
    batch.class_offsets = class_offsets;
    batch.logits = fgo_input(&given.arrays[FGO_LOGITS], logits);
    batch.targets = fgo_input(&given.arrays[FGO_TARGETS], targets);
    batch.scores = fgo_input(&given.arrays[FGO_SCORES], scores);
    batch.weights = fgo_input(&given.arrays[FGO_WEIGHTS], weights);
    batch.element_loss = fgo_output(&given.arrays[FGO_ELEMENT_LOSS], element_loss);
    batch.gradient = fgo_output(&given.arrays[FGO_GRADIENT], gradient);
    batch.hessian = fgo_output(&given.arrays[FGO_HESSIAN], hessian);
    batch.harmonizing_weight =
        fgo_output(&given.arrays[FGO_HARMONIZING_WEIGHT], harmonizing_weight);

    result.field = fgo_outside(&batch, &given);
    if (result.field != FGHM_FIELD_NONE) {
        result.status = FGO_OUTSIDE;
        return result;
    }
    fghm_status status = FGHM_ERROR_CONSTANT;
    switch (call) {
    case FGO_FOCAL:
        status = fghm_focal_batch(focal, pool, &batch, &result);
        break;
    case FGO_GHM_STEP:
        status = fghm_ghm_step_batch(ghm, pool, &batch, &result);
        break;
    case FGO_GHM_COUNT:
        status = fghm_ghm_count_batch(ghm, pool, &batch, capacity, counts, &result);
        break;
    case FGO_GHM_APPLY:
        status = fghm_ghm_apply_batch(ghm, pool, &batch, &result);
        break;
    default:
        break;
    }
    result.status = status;
    return result;
}

/* After an error the loss is NaN. */
#define FGO_ELEMENTS(NAME, CALL, HANDLE, TYPE)                                                     \
    static inline fgo_loss NAME(HANDLE *handle, fghm_pool *pool, size_t n, const TYPE *inputs,     \
                                const TYPE *targets, const TYPE *weights, TYPE *element_loss,      \
                                TYPE *gradient, TYPE *hessian) {                                   \
        fgo_loss found = {FGHM_OK, NAN};                                                           \
        found.status = CALL(handle, pool, n, inputs, targets, weights, &found.loss, element_loss,  \
                            gradient, hessian);                                                    \
        return found;                                                                              \
    }
FGO_ELEMENTS(fgo_focal_f32, fghm_focal_f32, fghm_focal, float)
FGO_ELEMENTS(fgo_focal_f64, fghm_focal_f64, fghm_focal, double)
FGO_ELEMENTS(fgo_ghm_step_f32, fghm_ghm_step_f32, fghm_ghm, float)
FGO_ELEMENTS(fgo_ghm_step_f64, fghm_ghm_step_f64, fghm_ghm, double)
FGO_ELEMENTS(fgo_ghm_apply_f32, fghm_ghm_apply_f32, fghm_ghm, float)
FGO_ELEMENTS(fgo_ghm_apply_f64, fghm_ghm_apply_f64, fghm_ghm, double)

#define FGO_SOFTMAX(NAME, CALL, TYPE)                                                              \
    static inline fgo_loss NAME(fghm_focal *focal, fghm_pool *pool, size_t samples,                \
                                size_t classes, const TYPE *logits, const int64_t *labels,         \
                                int64_t ignore_index, const TYPE *weights, TYPE *element_loss,     \
                                TYPE *gradient, TYPE *hessian) {                                   \
        fgo_loss found = {FGHM_OK, NAN};                                                           \
        found.status = CALL(focal, pool, samples, classes, logits, labels, ignore_index, weights,  \
                            &found.loss, element_loss, gradient, hessian);                         \
        return found;                                                                              \
    }
FGO_SOFTMAX(fgo_softmax_f32, fghm_focal_softmax_f32, float)
FGO_SOFTMAX(fgo_softmax_f64, fghm_focal_softmax_f64, double)

/* In pool_run.c: makes a pool whose tasks the Go function behind `handle` runs. */
fghm_status fgo_pool_create_from(fghm_pool **pool, size_t threads, uintptr_t handle);

static inline void fgo_call_task(fghm_task task, void *context, size_t index) {
    task(context, index);
}

#endif
