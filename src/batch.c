/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* More classes than this have no exact index in float. */
#define SOFTMAX_CLASSES_MAX ((size_t)1 << 24)

static size_t dtype_size(int32_t dtype) {
    switch (dtype) {
    case FGHM_F64:
    case FGHM_I64:
        return 8;
    case FGHM_F32:
    case FGHM_I32:
        return 4;
    case FGHM_F16:
    case FGHM_BF16:
        return 2;
    default:
        return 1;
    }
}

static bool is_floating(int32_t dtype) {
    return dtype == FGHM_F32 || dtype == FGHM_F64 || dtype == FGHM_F16 || dtype == FGHM_BF16;
}

static bool is_integer(int32_t dtype) {
    return dtype == FGHM_U8 || dtype == FGHM_I32 || dtype == FGHM_I64;
}

static bool is_between(int32_t value, int32_t last) {
    return value >= 0 && value <= last;
}

/* The caller's descriptor with the fields that it has, and 0 for those it does not know;
 * false if it has fields, not 0, that this version does not know. */
static bool read_descriptor(const fghm_batch *batch, fghm_batch *known) {
    const unsigned char *const bytes = (const unsigned char *)batch;
    if (batch->size < sizeof *known) {
        return false;
    }
    for (size_t i = sizeof *known; i < batch->size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    memcpy(known, batch, sizeof *known);
    return true;
}

/* Arrays --------------------------------------------------------------------- */

/* The bytes that an array reaches over, from `first` on; none for no elements. */
struct extent {
    uintptr_t first;
    size_t bytes;
};

static bool overlap(struct extent a, struct extent b) {
    return a.bytes > 0 && b.bytes > 0 && a.first < b.first + b.bytes && b.first < a.first + a.bytes;
}

static void axes_of(const struct fghm_shape *shape, size_t extents[3]) {
    extents[0] = shape->outer;
    extents[1] = shape->classes;
    extents[2] = shape->inner;
}

/* False if the array does not fit into memory. */
static bool extent_of(const struct fghm_array *array, struct extent *extent) {
    const ptrdiff_t size = (ptrdiff_t)dtype_size(array->dtype);
    size_t extents[3];
    ptrdiff_t low = 0;
    ptrdiff_t high = 0;
    axes_of(&array->shape, extents);
    for (int axis = 0; axis < 3; axis++) {
        ptrdiff_t reach;
        if (__builtin_mul_overflow((ptrdiff_t)(extents[axis] - 1), array->strides[axis], &reach) ||
            __builtin_mul_overflow(reach, size, &reach) ||
            __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high)) {
            return false;
        }
    }
    ptrdiff_t bytes;
    if (__builtin_sub_overflow(high, low, &bytes) || __builtin_add_overflow(bytes, size, &bytes)) {
        return false;
    }
    const uintptr_t first = (uintptr_t)array->data + (uintptr_t)low;
    *extent = (struct extent){first, (size_t)bytes};
    return first <= (uintptr_t)array->data && (size_t)bytes - 1 <= UINTPTR_MAX - first;
}

/* What an array reaches over modulo `period`: axes that step by multiples of it do not count. */
static struct extent folded(const struct fghm_array *array, size_t period) {
    const size_t size = dtype_size(array->dtype);
    size_t extents[3];
    struct extent extent = {(uintptr_t)array->data, size};
    axes_of(&array->shape, extents);
    for (int axis = 0; axis < 3; axis++) {
        const size_t step = (size_t)llabs(array->strides[axis]) * size;
        if (extents[axis] > 1 && step % period != 0) {
            const size_t reach = (extents[axis] - 1) * step;
            extent.first -= array->strides[axis] < 0 ? reach : 0;
            extent.bytes += reach;
        }
    }
    return extent;
}

/* Whether the bytes of the two differ modulo `period`. */
static bool apart_modulo(const struct fghm_array *a, const struct fghm_array *b, size_t period) {
    const struct extent x = folded(a, period);
    const struct extent y = folded(b, period);
    const size_t behind = y.first >= x.first ? (y.first - x.first) % period
                                             : period - 1 - (x.first - y.first - 1) % period;
    return x.bytes <= behind && y.bytes <= period - behind;
}

/* Whether two arrays that reach over each other lie between each other's elements, or are
 * columns of the same rows: a stride of one of them shows it. */
static bool are_apart(const struct fghm_array *a, const struct fghm_array *b) {
    const struct fghm_array *const arrays[] = {a, b};
    for (int i = 0; i < 6; i++) {
        const struct fghm_array *const array = arrays[i / 3];
        const size_t period = (size_t)llabs(array->strides[i % 3]) * dtype_size(array->dtype);
        if (period > 0 && apart_modulo(a, b, period)) {
            return true;
        }
    }
    return false;
}

/* Whether no two elements of an array share a place: sorted by stride, each axis has to
 * step over all that the axes before it reach. */
static bool is_injective(const struct fghm_array *array) {
    size_t extents[3];
    ptrdiff_t reach = 0;
    bool used[3] = {false, false, false};
    axes_of(&array->shape, extents);
    for (int round = 0; round < 3; round++) {
        int next = -1;
        for (int axis = 0; axis < 3; axis++) {
            if (!used[axis] && extents[axis] > 1 &&
                (next < 0 || llabs(array->strides[axis]) < llabs(array->strides[next]))) {
                next = axis;
            }
        }
        if (next < 0) {
            return true;
        }
        const ptrdiff_t stride = (ptrdiff_t)llabs(array->strides[next]);
        if (stride <= reach) {
            return false;
        }
        reach += stride * (ptrdiff_t)(extents[next] - 1);
        used[next] = true;
    }
    return true;
}

static bool is_contiguous(const struct fghm_array *array) {
    const struct fghm_shape *const shape = &array->shape;
    const ptrdiff_t *const strides = array->strides;
    return (shape->inner == 1 || strides[2] == 1) &&
           (shape->classes == 1 || strides[1] == (ptrdiff_t)shape->inner) &&
           (shape->outer == 1 || strides[0] == (ptrdiff_t)(shape->classes * shape->inner));
}

/* See struct fghm_plan. */
static void turn_shape(struct fghm_shape *shape) {
    if (shape->classes == 1 && shape->inner == 1) {
        shape->inner = shape->outer;
        shape->outer = 1;
    }
}

static fghm_status make_array(const void *data, fghm_dtype dtype, int32_t reserved,
                              const int64_t strides[3], struct fghm_shape shape,
                              struct fghm_array *array) {
    *array = (struct fghm_array){.shape = shape};
    if (data == NULL) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(reserved == 0, FGHM_ERROR_DESCRIPTOR);
    array->data = (void *)(uintptr_t)data;
    array->dtype = dtype;
    const bool unset = strides[0] == 0 && strides[1] == 0 && strides[2] == 0;
    array->strides[0] = unset ? (ptrdiff_t)(shape.classes * shape.inner) : (ptrdiff_t)strides[0];
    array->strides[1] = unset ? (ptrdiff_t)shape.inner : (ptrdiff_t)strides[1];
    array->strides[2] = unset ? 1 : (ptrdiff_t)strides[2];
    if (shape.classes == 1 && shape.inner == 1) {
        array->strides[2] = array->strides[0];
        turn_shape(&array->shape);
    }
    array->contiguous = is_contiguous(array);
    return FGHM_OK;
}

static fghm_status make_input(const fghm_input *input, struct fghm_shape shape,
                              struct fghm_array *array) {
    return make_array(input->data, input->dtype, input->reserved, input->strides, shape, array);
}

static fghm_status make_output(const fghm_output *output, struct fghm_shape shape,
                               struct fghm_array *array) {
    const fghm_status status =
        make_array(output->data, output->dtype, output->reserved, output->strides, shape, array);
    FGHM_REQUIRE(status == FGHM_OK && array->data != NULL, status);
    FGHM_REQUIRE(is_floating(array->dtype), FGHM_ERROR_DTYPE);
    return FGHM_OK;
}

static bool same_place(const struct fghm_array *a, const struct fghm_array *b) {
    return a->data == b->data && a->dtype == b->dtype &&
           memcmp(&a->shape, &b->shape, sizeof a->shape) == 0 &&
           memcmp(a->strides, b->strides, sizeof a->strides) == 0;
}

/* Outputs overlap nothing but, exactly, an input; that input is then copied before
 * kernels look at it. */
static fghm_status check_overlaps(struct fghm_plan *plan, const fghm_result *result) {
    struct fghm_array *const arrays[] = {
        &plan->logits,   &plan->targets, &plan->weights,           &plan->element_loss,
        &plan->gradient, &plan->hessian, &plan->harmonizing_weight};
    struct extent extents[9] = {{0, 0}};
    for (int i = 0; i < 7; i++) {
        const struct fghm_array *const array = arrays[i];
        if (array->data != NULL) {
            FGHM_REQUIRE(extent_of(array, &extents[i]), FGHM_ERROR_STRIDE);
            FGHM_REQUIRE(i < 3 || is_injective(array), FGHM_ERROR_STRIDE);
        }
    }
    const size_t classes = plan->shape.classes * sizeof(double);
    if (plan->class_alpha != NULL) {
        extents[7] = (struct extent){(uintptr_t)plan->class_alpha, classes};
    }
    if (plan->class_weights != NULL) {
        extents[8] = (struct extent){(uintptr_t)plan->class_weights, classes};
    }
    const struct extent results = {(uintptr_t)result, result == NULL ? 0 : sizeof *result};
    for (int i = 0; i < 9; i++) {
        FGHM_REQUIRE(!overlap(results, extents[i]), FGHM_ERROR_ALIASING);
        for (int output = 3; output < 7; output++) {
            const bool replaced = i < 3 && same_place(arrays[i], arrays[output]);
            if (replaced && arrays[output]->data != NULL) {
                arrays[i]->direct = false;
            }
            FGHM_REQUIRE(i == output || replaced || !overlap(extents[i], extents[output]) ||
                             (i < 7 && are_apart(arrays[i], arrays[output])),
                         FGHM_ERROR_ALIASING);
        }
    }
    return FGHM_OK;
}

/* The descriptor -------------------------------------------------------------- */

static fghm_status check_values(const fghm_batch *batch, const struct fghm_batch_limits *limits) {
    FGHM_REQUIRE(is_between(batch->activation, FGHM_ACTIVATION_PROBABILITY), FGHM_ERROR_ACTIVATION);
    FGHM_REQUIRE(is_between(batch->target_form, FGHM_TARGET_LABEL), FGHM_ERROR_TARGET_FORM);
    FGHM_REQUIRE(is_between(batch->background, FGHM_BACKGROUND_MINUS_ONE), FGHM_ERROR_BACKGROUND);
    FGHM_REQUIRE(is_between(batch->ignoring, 1), FGHM_ERROR_DESCRIPTOR);
    FGHM_REQUIRE(batch->label_smoothing >= 0 && batch->label_smoothing <= 1,
                 FGHM_ERROR_LABEL_SMOOTHING);

    const bool softmax = batch->activation == FGHM_ACTIVATION_SOFTMAX;
    const bool labels = batch->target_form == FGHM_TARGET_LABEL;
    FGHM_REQUIRE(limits->softmax || !softmax, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(limits->probability || batch->activation != FGHM_ACTIVATION_PROBABILITY,
                 FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(limits->labels || !labels, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(!softmax || labels, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(!softmax || batch->label_smoothing == 0, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(!softmax || batch->background != FGHM_BACKGROUND_MINUS_ONE,
                 FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(labels || batch->background == FGHM_BACKGROUND_NONE, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(limits->class_factors ||
                     (batch->class_alpha == NULL && batch->class_weights == NULL),
                 FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(limits->harmonizing_weight || batch->harmonizing_weight.data == NULL,
                 FGHM_ERROR_COMBINATION);
    return FGHM_OK;
}

static fghm_status check_class_factors(const fghm_batch *batch, int64_t *offender) {
    for (size_t c = 0; c < batch->classes; c++) {
        const double alpha = batch->class_alpha == NULL ? 1 : batch->class_alpha[c];
        const double weight = batch->class_weights == NULL ? 1 : batch->class_weights[c];
        *offender = (int64_t)c;
        FGHM_REQUIRE(alpha == 0 || (alpha >= 0x1p-40 && alpha <= 1), FGHM_ERROR_RANGE);
        FGHM_REQUIRE(weight == 0 || (weight >= 0x1p-40 && weight <= 0x1p40), FGHM_ERROR_RANGE);
    }
    *offender = -1;
    return FGHM_OK;
}

static void set_labels(const fghm_batch *batch, struct fghm_plan *plan) {
    const int64_t classes = (int64_t)batch->classes;
    plan->labels = batch->target_form == FGHM_TARGET_LABEL;
    plan->has_background = batch->background != FGHM_BACKGROUND_NONE;
    switch (batch->background) {
    case FGHM_BACKGROUND_LAST:
        plan->background = plan->softmax ? classes - 1 : classes;
        break;
    case FGHM_BACKGROUND_FIRST:
        plan->first_label = plan->softmax ? 0 : 1;
        plan->background = 0;
        break;
    default:
        plan->background = -1;
        break;
    }
}

static fghm_status make_arrays(const fghm_batch *batch, struct fghm_plan *plan) {
    const struct fghm_shape all = {batch->outer, batch->classes, batch->inner};
    const struct fghm_shape samples = {batch->outer, 1, batch->inner};
    const struct fghm_shape losses = plan->softmax ? samples : all;
    fghm_status status;
    FGHM_REQUIRE((status = make_input(&batch->logits, all, &plan->logits)) == FGHM_OK, status);
    FGHM_REQUIRE((status = make_input(&batch->targets, plan->labels ? samples : all,
                                      &plan->targets)) == FGHM_OK,
                 status);
    FGHM_REQUIRE((status = make_input(&batch->weights, losses, &plan->weights)) == FGHM_OK, status);
    FGHM_REQUIRE(plan->logits.data != NULL && plan->targets.data != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(is_floating(plan->logits.dtype), FGHM_ERROR_DTYPE);
    FGHM_REQUIRE(is_integer(plan->targets.dtype) ||
                     (!plan->labels && is_floating(plan->targets.dtype)),
                 FGHM_ERROR_DTYPE);
    FGHM_REQUIRE(plan->weights.data == NULL || is_floating(plan->weights.dtype), FGHM_ERROR_DTYPE);
    FGHM_REQUIRE((status = make_output(&batch->element_loss, losses, &plan->element_loss)) ==
                     FGHM_OK,
                 status);
    FGHM_REQUIRE((status = make_output(&batch->gradient, all, &plan->gradient)) == FGHM_OK, status);
    FGHM_REQUIRE((status = make_output(&batch->hessian, all, &plan->hessian)) == FGHM_OK, status);
    FGHM_REQUIRE((status = make_output(&batch->harmonizing_weight, losses,
                                       &plan->harmonizing_weight)) == FGHM_OK,
                 status);
    const int32_t real = plan->logits.dtype == FGHM_F64 ? FGHM_F64 : FGHM_F32;
    struct fghm_array *const arrays[] = {
        &plan->logits,   &plan->targets, &plan->weights,           &plan->element_loss,
        &plan->gradient, &plan->hessian, &plan->harmonizing_weight};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        arrays[i]->direct = arrays[i]->contiguous && arrays[i]->dtype == real;
    }
    return FGHM_OK;
}

fghm_status fghm_plan_make(const fghm_batch *caller_batch, const struct fghm_batch_limits *limits,
                           const fghm_result *result, struct fghm_plan *plan, int64_t *offender) {
    fghm_batch known;
    const fghm_batch *const batch = &known;
    *offender = -1;
    FGHM_REQUIRE(caller_batch != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(read_descriptor(caller_batch, &known), FGHM_ERROR_DESCRIPTOR);
    FGHM_REQUIRE(result == NULL || result->size >= sizeof *result, FGHM_ERROR_DESCRIPTOR);
    fghm_status status = check_values(batch, limits);
    FGHM_REQUIRE(status == FGHM_OK, status);

    size_t elements;
    FGHM_REQUIRE(!__builtin_mul_overflow(batch->outer, batch->classes, &elements) &&
                     !__builtin_mul_overflow(elements, batch->inner, &elements) &&
                     elements <= PTRDIFF_MAX / sizeof(double) && batch->outer <= PTRDIFF_MAX &&
                     batch->inner <= PTRDIFF_MAX && batch->classes <= INT32_MAX,
                 FGHM_ERROR_SIZE);
    *plan = (struct fghm_plan){
        .shape = {batch->outer, batch->classes, batch->inner},
        .counting = result != NULL,
        .softmax = batch->activation == FGHM_ACTIVATION_SOFTMAX,
        .ignoring = batch->ignoring == 1,
        .ignore_index = batch->ignore_index,
        .label_smoothing = batch->label_smoothing,
        .class_alpha = batch->class_alpha,
        .class_weights = batch->class_weights,
    };
    FGHM_REQUIRE(!plan->softmax || batch->classes <= SOFTMAX_CLASSES_MAX, FGHM_ERROR_SIZE);
    set_labels(batch, plan);
    if (elements == 0) {
        return FGHM_OK;
    }
    status = check_class_factors(batch, offender);
    FGHM_REQUIRE(status == FGHM_OK, status);
    status = make_arrays(batch, plan);
    FGHM_REQUIRE(status == FGHM_OK, status);
    turn_shape(&plan->shape);
    return check_overlaps(plan, result);
}

bool fghm_plan_is_double(const struct fghm_plan *plan) {
    return plan->logits.dtype == FGHM_F64;
}

size_t fghm_plan_samples(const struct fghm_plan *plan) {
    return plan->shape.classes == 0 ? 0 : plan->shape.outer * plan->shape.inner;
}

size_t fghm_plan_losses(const struct fghm_plan *plan) {
    return plan->softmax ? fghm_plan_samples(plan)
                         : plan->shape.outer * plan->shape.classes * plan->shape.inner;
}

static void take_class(struct fghm_array *array, size_t class_index, bool input, int32_t real) {
    if (array->data == NULL || array->shape.classes == 1) {
        array->direct = array->direct && !input;
        return;
    }
    const ptrdiff_t offset = (ptrdiff_t)class_index * array->strides[1];
    array->data = (char *)array->data + offset * (ptrdiff_t)dtype_size(array->dtype);
    array->shape.classes = 1;
    if (array->shape.inner == 1) {
        array->strides[2] = array->strides[0];
    }
    turn_shape(&array->shape);
    array->contiguous = is_contiguous(array);
    array->direct = array->contiguous && array->dtype == real && !input;
}

void fghm_plan_take_class(struct fghm_plan *plan, size_t class_index) {
    const int32_t real = fghm_plan_is_double(plan) ? FGHM_F64 : FGHM_F32;
    struct fghm_array *const inputs[] = {&plan->logits, &plan->targets, &plan->weights};
    struct fghm_array *const outputs[] = {&plan->element_loss, &plan->gradient, &plan->hessian,
                                          &plan->harmonizing_weight};
    /* Inputs are copied: what is known of their overlaps is about the whole array. */
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        take_class(inputs[i], class_index, true, real);
    }
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        take_class(outputs[i], class_index, false, real);
    }
    plan->first_label += (int64_t)class_index;
    plan->shape.classes = 1;
    turn_shape(&plan->shape);
}

int64_t fghm_plan_place(const struct fghm_plan *plan, size_t class_index, int64_t element) {
    const int64_t inner = (int64_t)plan->shape.inner;
    const int64_t row = element / inner * (int64_t)plan->shape.classes + (int64_t)class_index;
    return row * inner + element % inner;
}

/* The walk --------------------------------------------------------------------- */

size_t fghm_plan_drive(fghm_pool *pool, const struct fghm_plan *plan, fghm_range_work *work,
                       void *context) {
    const size_t width = plan->softmax ? plan->shape.classes : 1;
    return fghm_drive_range(pool, fghm_plan_losses(plan), width, work, context);
}

struct fghm_part fghm_merge_parts(const struct fghm_part *parts, size_t segments) {
    struct fghm_part all = {0};
    double sums[FGHM_SEGMENTS_MAX];
    for (size_t i = 0; i < segments; i++) {
        const struct fghm_part *const part = &parts[i];
        const bool found = all.bad_target || all.bad_probability;
        if (!found) {
            all.offender = part->offender;
            all.bad_target = part->bad_target;
            all.bad_probability = part->bad_probability;
        }
        all.positives += part->positives;
        all.ignored += part->ignored;
        sums[i] = part->sum + part->sum_error;
    }
    all.sum = fghm_sum_segments(sums, segments);
    return all;
}

fghm_status fghm_part_status(const struct fghm_plan *plan, const struct fghm_part *part,
                             int64_t *offender) {
    *offender = (int64_t)part->offender;
    FGHM_REQUIRE(!part->bad_target, plan->labels ? FGHM_ERROR_LABEL : FGHM_ERROR_TARGET);
    FGHM_REQUIRE(!part->bad_probability, FGHM_ERROR_PROBABILITY);
    *offender = -1;
    return FGHM_OK;
}

struct survey {
    const struct fghm_kernels *kernels;
    const struct fghm_plan *plan;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void survey_segment(void *context, size_t segment, size_t first, size_t n) {
    struct survey *const survey = context;
    survey->parts[segment] = (struct fghm_part){0};
    survey->kernels->survey(survey->plan, first, n, &survey->parts[segment]);
}

fghm_status fghm_plan_survey(fghm_pool *pool, const struct fghm_kernels *kernels,
                             const struct fghm_plan *plan, bool needed, struct fghm_part *part,
                             bool *counted, int64_t *offender) {
    *part = (struct fghm_part){0};
    *counted = needed || plan->labels;
    if (!*counted) {
        return FGHM_OK;
    }
    struct fghm_plan counting = *plan;
    counting.counting = true;
    struct survey survey = {.kernels = kernels, .plan = &counting};
    const size_t units = plan->labels ? fghm_plan_samples(plan) : fghm_plan_losses(plan);
    const size_t segments = fghm_drive_range(pool, units, 1, survey_segment, &survey);
    *part = fghm_merge_parts(survey.parts, segments);
    const fghm_status status = fghm_part_status(plan, part, offender);
    /* A sample of the sigmoid form has `classes` elements that can be ignored. */
    if (plan->labels && !plan->softmax) {
        part->ignored *= plan->shape.classes;
    }
    return status;
}

double fghm_plan_divisor(const struct fghm_plan *plan, fghm_reduction reduction, double normalizer,
                         const struct fghm_part *part) {
    const uint64_t losses = fghm_plan_losses(plan);
    uint64_t count = losses;
    if (reduction == FGHM_REDUCTION_MEAN_SAMPLES) {
        count = fghm_plan_samples(plan);
    } else if (reduction == FGHM_REDUCTION_MEAN_POSITIVES) {
        count = part->positives;
    } else if (reduction == FGHM_REDUCTION_MEAN_VALID) {
        count = losses - part->ignored;
    }
    return fghm_divisor_of(reduction, normalizer, count);
}

void fghm_result_give(fghm_result *result, const fghm_result *value) {
    if (result != NULL) {
        const size_t size = result->size;
        *result = *value;
        result->size = size;
    }
}

fghm_status fghm_result_end(fghm_result *result, fghm_status status, int64_t offender) {
    if (status != FGHM_OK && result != NULL && result->size >= sizeof *result) {
        result->offender = offender;
    }
    return status;
}
