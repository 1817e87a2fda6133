/* SPDX-License-Identifier: MIT */

/* Calls with any settings over any batches.  The arrays are as large as their strides reach, with
 * pages beside them that cannot be touched.  Whatever the call returns is held against what the
 * headers say of it:
 *
 *  - an error that is found before anything is computed leaves outputs and handle as they were;
 *  - nothing is written but elements of outputs, and the bytes of the result that it says;
 *  - ordinary inputs have results that are numbers, finite ones finite results, if no factor is
 *    large;
 *  - neither a pool nor another instruction set changes a bit of them, nor do the parts of a step
 *    one by one;
 *  - errno stays, and no flag of the floating-point environment tells of what has not happened. */

#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "input.h"
#include "memory.h"
#include "numbers.h"
#include "rows.h"
#include "settings.h"

enum { LOGITS, TARGETS, SCORES, WEIGHTS, ELEMENT_LOSS, GRADIENT, HESSIAN, HARMONIZING, ARRAYS };
enum { CLASS_ALPHA = ARRAYS, CLASS_GAMMA, CLASS_WEIGHTS, CLASS_OFFSETS, COUNTS };
#define INPUTS ELEMENT_LOSS

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct call {
    fghm_batch batch;
    size_t slots[ARRAYS];  /* where the array's memory is */
    size_t origin[ARRAYS]; /* the byte in it of the element with index 0 */
    double factor;         /* the largest of the batch's own */
    bool fitting;          /* constants, types and layouts are such that go together */
    bool ordinary, finite; /* what inputs are */
    bool ends;             /* probabilities of 0 and 1 are among them */
};

static bool has_labels(const fghm_batch *batch) {
    return batch->target_form != FGHM_TARGET_DENSE;
}

/* Numbers -------------------------------------------------------------------------- */

/* An ordinary number for this array; `ends`: targets are 0 and 1, and probabilities may be. */
static double ordinary(const struct call *call, int array, bool ends, uint64_t *state) {
    const fghm_batch *const batch = &call->batch;
    const uint64_t draw = number_next(state) >> 20;
    if (array == TARGETS && has_labels(batch)) {
        return (double)(draw % (call->fitting ? (uint64_t)batch->shape[batch->class_axis] : 3));
    }
    if (array == TARGETS && ends) {
        return (double)(draw % 2);
    }
    if (array == TARGETS || array == SCORES) {
        return (double)(draw % 5) / 4;
    }
    if (array == WEIGHTS) {
        return (double)(draw % 4);
    }
    return batch->activation != FGHM_PROBABILITY ? (double)(draw % 64) / 4 - 8
           : ends                                ? (double)(draw % 5) / 4
                                                 : (double)(1 + draw % 3) / 4;
}

/* Kinds from 5 on are other bits: finite logits, numbers of any size, none with a small magnitude.
 */
static void fill(struct input *in, struct call *call, int array, fghm_dtype dtype) {
    struct memory *const memory = memory_slot(call->slots[array]);
    const size_t step = number_size(dtype);
    size_t kind = input_below(in, 8);
    kind = kind == 5 && (array != LOGITS || call->batch.activation == FGHM_PROBABILITY) ? 0 : kind;
    const bool ends = array == TARGETS ? kind >= 2
                                       : kind == 4 && array == LOGITS &&
                                             call->batch.activation == FGHM_PROBABILITY;
    uint64_t state = input_bits(in, 2) * 2 + 1;
    for (size_t at = 0; at + step <= memory->size; at += step) {
        unsigned char *const to = memory->bytes + at;
        const uint64_t bits = number_next(&state) * (kind == 7 ? UINT64_C(0x8000000080008080) : 1);
        memcpy(to, &bits, step);
        if (kind < 5 || (kind == 5 && !number_is_finite(dtype, to))) {
            number_put(dtype, to, ordinary(call, array, ends, &state));
        }
    }
    if (array == WEIGHTS && call->factor < 3) {
        call->factor = 3;
    }
    call->ordinary = call->ordinary && (kind < 5 || array >= INPUTS);
    call->finite = call->finite && (kind < 6 || array >= INPUTS);
    call->ends = call->ends || (ends && array == LOGITS);
}

/* Batches --------------------------------------------------------------------------- */

static void draw_fitting_shape(struct input *in, fghm_batch *batch) {
    static const int32_t axes[] = {1, 2, 2, 2, 3, 4};
    static const int64_t extents[] = {1, 2, 3, 4, 5, 7, 16, 17, 33, 40, 2, 3, 100, 300};
    batch->ndim = axes[input_below(in, sizeof axes / sizeof axes[0])];
    for (int axis = 0; axis < batch->ndim; axis++) {
        batch->shape[axis] = extents[input_below(in, sizeof extents / sizeof extents[0])];
    }
    if (input_below(in, 4) > 0) {
        batch->class_axis = (int32_t)input_below(in, (size_t)batch->ndim);
    }
}

static void draw_shape(struct input *in, fghm_batch *batch) {
    static const int32_t axes[] = {1, 2, 3, 2, 4, 1, 8, 2, 0, 9, -1, 5};
    static const int64_t extents[] = {1, 2, 3, 4, 5, 7, 16, 17, 33, 0, 2, 3, 4, 5, 300, 2100};
    const size_t count = sizeof extents / sizeof extents[0];
    batch->ndim = axes[input_below(in, sizeof axes / sizeof axes[0])];
    for (int axis = 0; axis < batch->ndim && axis < FGHM_AXES_MAX; axis++) {
        const size_t choice = input_below(in, count + 1);
        batch->shape[axis] = choice < count ? extents[choice] : input_integer(in);
    }
    if (input_below(in, 4) > 0) {
        batch->class_axis = (int32_t)input_below(in, 11) - 3;
    }
}

/* An array with one number for each sample. */
static bool is_of_samples(const fghm_batch *batch, int array) {
    return array == TARGETS  ? has_labels(batch)
           : array == SCORES ? true
           : array != LOGITS && array != GRADIENT && array != HESSIAN
               ? batch->activation == FGHM_SOFTMAX
               : false;
}

/* Row-major strides, in another order, twice as far, or backwards; or any. */
static void draw_strides(struct input *in, const struct call *call, int array, int64_t *strides) {
    const fghm_batch *const batch = &call->batch;
    const size_t kind = input_below(in, call->fitting ? 7 : 8);
    int64_t stride = 1 + (int64_t)(kind == 1);
    for (int k = FGHM_AXES_MAX - 1; k >= 0; k--) {
        const int axis = kind == 2 ? FGHM_AXES_MAX - 1 - k : k;
        if (axis >= batch->ndim) {
            continue;
        }
        if (call->fitting && axis == batch->class_axis && is_of_samples(batch, array)) {
            continue;
        }
        const int64_t extent = batch->shape[axis];
        strides[axis] = kind == 7 ? input_integer(in) : kind == 3 ? -stride : stride;
        if (__builtin_mul_overflow(stride, extent > 0 ? extent : 1, &stride)) {
            stride = 1;
        }
    }
}

static fghm_input *input_of(fghm_batch *batch, int array) {
    fghm_input *const inputs[] = {&batch->logits, &batch->targets, &batch->scores, &batch->weights};
    return inputs[array];
}

static fghm_output *output_of(fghm_batch *batch, int array) {
    fghm_output *const outputs[] = {&batch->element_loss, &batch->gradient, &batch->hessian,
                                    &batch->harmonizing_weight};
    return outputs[array - INPUTS];
}

static void set_data(struct call *call, int array, size_t slot, size_t origin) {
    unsigned char *const data = memory_slot(slot)->bytes + origin;
    call->slots[array] = slot;
    call->origin[array] = origin;
    if (array < INPUTS) {
        input_of(&call->batch, array)->data = data;
    } else {
        output_of(&call->batch, array)->data = data;
    }
}

/* How far the array reaches, in bytes; false if that is more than it is worth. */
static bool reach(const fghm_batch *batch, int array, size_t step, size_t *before, size_t *after) {
    *before = *after = 0;
    const fghm_status status = fghm_batch_reach(batch, FGHM_FIELD_LOGITS + array, before, after);
    if (status == FGHM_OK && (*before > MEMORY_BYTES || *after > MEMORY_BYTES ||
                              (*before + *after) * step > MEMORY_BYTES)) {
        return false;
    }
    *before *= step;
    *after *= step;
    return true;
}

static fghm_dtype draw_dtype(struct input *in, const struct call *call, bool labels) {
    const size_t choice = input_below(in, 16);
    if (call->fitting) {
        return labels ? FGHM_U8 + (fghm_dtype)(choice % 3) : FGHM_F32 + (fghm_dtype)(choice % 4);
    }
    return choice < 8    ? (labels ? FGHM_I64 : FGHM_F32)
           : choice < 11 ? (labels ? FGHM_U8 : FGHM_F64)
                         : (fghm_dtype)(choice - 11 + 2 * (choice == 11));
}

/* Type, layout and strides; then as much memory as those reach over. */
static bool draw_array(struct input *in, struct call *call, int array) {
    fghm_batch *const batch = &call->batch;
    const fghm_dtype dtype = draw_dtype(in, call, array == TARGETS && has_labels(batch));
    const size_t form = input_below(in, 16);
    const fghm_layout layout =
        form < 8 ? FGHM_LAYOUT_CONTIGUOUS : (fghm_layout)(form % (call->fitting ? 2 : 4));
    int64_t strides[FGHM_AXES_MAX] = {0};
    if (layout == FGHM_LAYOUT_STRIDED || (!call->fitting && input_below(in, 64) == 1)) {
        draw_strides(in, call, array, strides);
    }
    if (array < INPUTS) {
        fghm_input *const to = input_of(batch, array);
        to->dtype = dtype;
        to->layout = layout;
        memcpy(to->strides, strides, sizeof strides);
    } else {
        fghm_output *const to = output_of(batch, array);
        to->dtype = dtype;
        to->layout = layout;
        memcpy(to->strides, strides, sizeof strides);
    }
    size_t before, after;
    if (!reach(batch, array, number_size(dtype), &before, &after)) {
        return false;
    }
    memory_take((size_t)array, before + after, input_below(in, 2) == 0);
    set_data(call, array, (size_t)array, before);
    fill(in, call, array, dtype);
    return true;
}

static const double *draw_class_numbers(struct input *in, struct call *call, int array) {
    size_t before, after;
    const fghm_field field = FGHM_FIELD_CLASS_ALPHA + (array - CLASS_ALPHA);
    if (fghm_batch_reach(&call->batch, field, &before, &after) != FGHM_OK ||
        after > MEMORY_BYTES / sizeof(double)) {
        return NULL;
    }
    struct memory *const memory =
        memory_take((size_t)array, after * sizeof(double), input_below(in, 2) == 0);
    double *const numbers = (double *)(void *)memory->bytes;
    const size_t kind = input_below(in, 4);
    for (size_t c = 0; c < after; c++) {
        numbers[c] = kind == 0 ? input_number(in) : (double)(c % 3) / 2;
        if (array == CLASS_WEIGHTS && numbers[c] > call->factor) {
            call->factor = numbers[c];
        }
        call->finite = call->finite && isfinite(numbers[c]);
        call->ordinary = call->ordinary && fabs(numbers[c]) < 0x1p60;
    }
    return numbers;
}

static bool has_array(const struct call *call, int array) {
    return memory_slot(call->slots[array])->bytes != NULL;
}

/* An output in the place of another array, or as far from it as there is room. */
static void share(struct input *in, struct call *call) {
    const int array = INPUTS + (int)input_below(in, ARRAYS - INPUTS);
    const int other = (int)input_below(in, ARRAYS);
    fghm_output *const output = output_of(&call->batch, array);
    if (other == array || !has_array(call, array) || !has_array(call, other)) {
        return;
    }
    const fghm_output before = *output;
    if (input_below(in, 4) != 1) {
        if (other < INPUTS) {
            const fghm_input *const from = input_of(&call->batch, other);
            output->dtype = from->dtype;
            output->layout = from->layout;
            memcpy(output->strides, from->strides, sizeof output->strides);
        } else {
            *output = *output_of(&call->batch, other);
        }
    }
    const size_t step = number_size(output->dtype);
    const size_t origin =
        call->origin[other] + step * (input_below(in, 4) == 1 ? input_below(in, 16) : 0);
    size_t back, ahead;
    if (!reach(&call->batch, array, step, &back, &ahead) || back > origin ||
        ahead > memory_slot(call->slots[other])->size ||
        origin > memory_slot(call->slots[other])->size - ahead || origin % step != 0) {
        *output = before;
        return;
    }
    set_data(call, array, call->slots[other], origin);
}

/* Gradient and Hessian as columns of one table. */
static void interleave(struct call *call) {
    fghm_output *const gradient = &call->batch.gradient;
    if (!has_array(call, GRADIENT) || !has_array(call, HESSIAN) ||
        gradient->layout != FGHM_LAYOUT_CONTIGUOUS) {
        return;
    }
    const fghm_output before = *gradient;
    gradient->layout = FGHM_LAYOUT_STRIDED;
    int64_t stride = 2;
    for (int axis = call->batch.ndim - 1; axis >= 0 && axis < FGHM_AXES_MAX; axis--) {
        gradient->strides[axis] = stride;
        if (__builtin_mul_overflow(stride, call->batch.shape[axis], &stride)) {
            stride = 0;
        }
    }
    const size_t step = number_size(gradient->dtype);
    size_t back, ahead;
    if (!reach(&call->batch, GRADIENT, step, &back, &ahead) || back > 0 || ahead == 0 ||
        ahead + step > MEMORY_BYTES) {
        *gradient = before;
        return;
    }
    struct memory *const memory = memory_take(COUNTS + 1, ahead + step, true);
    memset(memory->bytes, 0x11, memory->size);
    call->batch.hessian = *gradient;
    set_data(call, GRADIENT, COUNTS + 1, 0);
    set_data(call, HESSIAN, COUNTS + 1, step);
}

/* Repeated values make many elements of little memory.  Of too many there is an error at once. */
static bool takes_long(const fghm_batch *batch) {
    double elements = 1;
    for (int axis = 0; axis < batch->ndim && axis < FGHM_AXES_MAX; axis++) {
        elements *= batch->shape[axis] > 0 ? (double)batch->shape[axis] : 1;
    }
    return elements > 0x1p14 && elements < 0x1p62;
}

static int32_t draw_constant(struct input *in, int32_t usual, size_t others) {
    return input_below(in, 4) != 1 ? usual : (int32_t)input_below(in, others);
}

/* Constants that most calls with this activation take; `kind`: of GHM, or FGHM_GHM_INVALID. */
static void fit(struct input *in, fghm_batch *batch, fghm_ghm_kind kind) {
    const bool is_focal = kind == FGHM_GHM_INVALID;
    batch->activation = kind == FGHM_GHM_REGRESSION ? FGHM_SIGMOID
                        : is_focal                  ? (fghm_activation)input_below(in, 3)
                                                    : (fghm_activation)input_below(in, 2);
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    batch->target_form = kind == FGHM_GHM_REGRESSION ? FGHM_TARGET_DENSE
                         : softmax
                             ? (is_focal ? (fghm_target_form)input_below(in, 2) : FGHM_TARGET_LABEL)
                             : (fghm_target_form)input_below(in, 3);
    const bool labels = has_labels(batch);
    if ((softmax || labels) && batch->class_axis == FGHM_AXIS_NONE) {
        batch->class_axis = batch->ndim - 1;
    }
    const fghm_background background = (fghm_background)input_below(in, softmax ? 3 : 4);
    batch->background = labels && input_below(in, 4) == 1 ? background : FGHM_BACKGROUND_NONE;
    batch->flags = (labels ? 0 : (int32_t)input_below(in, 2)) |
                   (softmax && is_focal && input_below(in, 4) == 1 ? 2 : 0);
    batch->ignore_index = labels && input_below(in, 4) == 1 ? 1 : FGHM_IGNORE_NONE;
    batch->label_smoothing = is_focal && input_below(in, 4) == 1 ? 0.125 : 0;
}

/* The same of settings, where it is not the sigmoid's. */
static void fit_focal(const fghm_batch *batch, fghm_focal *focal) {
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    const bool soft = batch->label_smoothing > 0 || !has_labels(batch);
    fghm_focal_rule rule = 0;
    if (batch->activation == FGHM_SIGMOID) {
        return;
    }
    REQUIRE(fghm_focal_get_rule(focal, &rule) == FGHM_OK);
    const fghm_focal_rule most = softmax && !soft ? FGHM_FOCAL_RULE_STAR : FGHM_FOCAL_RULE_SPLIT;
    fghm_focal_set_rule(focal, rule > most ? rule % (most + 1) : rule);
    fghm_focal_set_margin(focal, 0);
    if (softmax) {
        fghm_focal_clear_positive_weight(focal);
        fghm_focal_clear_alpha(focal);
        fghm_focal_clear_negative_gamma(focal);
        fghm_focal_set_hessian_factor(focal, 1);
        fghm_focal_set_hessian_mode(focal, rule % 4);
        fghm_focal_set_detached(focal, 0);
    }
}

static bool draw_call(struct input *in, struct call *call, fghm_ghm_kind kind) {
    memset(call, 0, sizeof *call);
    call->ordinary = call->finite = true;
    call->factor = 1;
    fghm_batch *const batch = &call->batch;
    REQUIRE(fghm_batch_init(batch, sizeof *batch) == FGHM_OK);
    call->fitting = input_below(in, 2) == 1;
    if (call->fitting) {
        draw_fitting_shape(in, batch);
    } else {
        draw_shape(in, batch);
    }
    if (takes_long(batch)) {
        return false;
    }
    for (size_t array = 0; array < ARRAYS; array++) {
        call->slots[array] = array;
    }
    const size_t form = input_below(in, 32);
    batch->activation = form == 31 ? FGHM_ACTIVATION_INVALID : (fghm_activation)(form % 3);
    batch->target_form = (fghm_target_form)(input_below(in, 16) % 4);
    batch->background = draw_constant(in, FGHM_BACKGROUND_NONE, 5);
    batch->flags = draw_constant(in, 0, 5);
    batch->ignore_index = input_below(in, 4) != 1 ? FGHM_IGNORE_NONE : input_integer(in);
    batch->label_smoothing = input_below(in, 4) == 1 ? input_number(in) : 0;
    if (call->fitting) {
        fit(in, batch, kind);
    }
    const size_t absent = input_bits(in, 1);
    bool fits = true;
    for (int array = 0; array < ARRAYS && fits; array++) {
        if (call->fitting && kind == FGHM_GHM_INVALID && array == HARMONIZING) {
            continue;
        }
        const bool wanted = array == SCORES && ((absent & 1) == 0 || call->fitting)
                                ? batch->target_form == FGHM_TARGET_LABEL_SCORE
                            : array == HARMONIZING || array == WEIGHTS ? (absent >> array & 1) != 0
                                                                       : (absent >> array & 1) == 0;
        if (array <= TARGETS || wanted) {
            fits = draw_array(in, call, array);
        }
    }
    if (!fits) {
        return false;
    }
    const size_t drawn = input_bits(in, 1);
    const bool takes_factors = !call->fitting || kind == FGHM_GHM_INVALID;
    const size_t factors = takes_factors ? drawn : 0;
    if ((factors & 3) == 1) {
        batch->class_alpha = draw_class_numbers(in, call, CLASS_ALPHA);
    }
    if ((factors >> 2 & 3) == 1) {
        batch->class_gamma = draw_class_numbers(in, call, CLASS_GAMMA);
    }
    if ((factors >> 4 & 3) == 1) {
        batch->class_weights = draw_class_numbers(in, call, CLASS_WEIGHTS);
    }
    if ((factors >> 6 & 3) == 1 && (!call->fitting || batch->activation != FGHM_PROBABILITY)) {
        batch->class_offsets = draw_class_numbers(in, call, CLASS_OFFSETS);
    }
    switch (input_below(in, 8)) {
    case 1:
        share(in, call);
        break;
    case 2:
        interleave(call);
        break;
    case 3:
        if (input_below(in, 16) == 1) {
            batch->size = (uint32_t)input_bits(in, 2);
        }
        break;
    default:
        break;
    }
    return true;
}

/* What was there, and what is ----------------------------------------------------------- */

/* Calls `visit` with the place of each element of an output. */
static void each_element(const struct call *call, int array, void *data,
                         void (*visit)(void *data, struct memory *memory, size_t at, int array,
                                       fghm_dtype dtype)) {
    const fghm_batch *const batch = &call->batch;
    const fghm_output *const output = output_of((fghm_batch *)(uintptr_t)batch, array);
    const size_t step = number_size(output->dtype);
    struct memory *const memory = memory_slot(call->slots[array]);
    int class_axis = batch->class_axis;
    class_axis += class_axis < 0 && class_axis != FGHM_AXIS_NONE ? batch->ndim : 0;
    const bool of_samples = batch->activation == FGHM_SOFTMAX && array != GRADIENT &&
                            array != HESSIAN && class_axis >= 0;
    int64_t extents[FGHM_AXES_MAX];
    size_t count = 1;
    for (int axis = 0; axis < batch->ndim; axis++) {
        extents[axis] = of_samples && axis == class_axis ? 1 : batch->shape[axis];
        count *= (size_t)extents[axis];
    }
    for (size_t k = 0; k < count; k++) {
        int64_t rest = (int64_t)k, at = output->layout == FGHM_LAYOUT_STRIDED ? 0 : (int64_t)k;
        for (int axis = batch->ndim - 1; axis >= 0 && output->layout == FGHM_LAYOUT_STRIDED;
             axis--) {
            at += rest % extents[axis] * output->strides[axis];
            rest /= extents[axis];
        }
        visit(data, memory, (size_t)((int64_t)call->origin[array] + at * (int64_t)step), array,
              output->dtype);
    }
}

static void mark(void *data, struct memory *memory, size_t at, int array, fghm_dtype dtype) {
    (void)data;
    (void)array;
    REQUIRE(at + number_size(dtype) <= memory->size);
    memset(memory->is_element + at, 1, number_size(dtype));
}

/* But for what is an input, too. */
static void forget(void *data, struct memory *memory, size_t at, int array, fghm_dtype dtype) {
    const struct call *const call = data;
    for (int input = 0; input < INPUTS; input++) {
        if (call->slots[input] == call->slots[array]) {
            return;
        }
    }
    memory_forget(memory, at, number_size(dtype));
}

/* What results are; in all types but F16, or in the one that is computed in alone. */
enum expected { ANYTHING, NUMBERS, FINITE, FINITE_IN_F32, FINITE_IN_F64 };

static void look_at(void *data, struct memory *memory, size_t at, int array, fghm_dtype dtype) {
    const enum expected expected = *(const enum expected *)data;
    memory_require_written(memory, at, number_size(dtype));
    (void)array;
    REQUIRE(expected == ANYTHING || !number_is_nan(dtype, memory->bytes + at));
    const bool finite = expected == FINITE ? dtype != FGHM_F16
                        : expected == FINITE_IN_F32
                            ? dtype == FGHM_F32 || dtype == FGHM_F64
                            : expected == FINITE_IN_F64 && dtype == FGHM_F64;
    REQUIRE(!finite || number_is_finite(dtype, memory->bytes + at));
}

static void equals_kept(void *data, struct memory *memory, size_t at, int array, fghm_dtype dtype) {
    (void)data;
    (void)array;
    REQUIRE(number_equal(dtype, memory->bytes + at, memory->after + at));
}

static void each_output(const struct call *call, void *data,
                        void (*visit)(void *data, struct memory *memory, size_t at, int array,
                                      fghm_dtype dtype)) {
    for (int array = INPUTS; array < ARRAYS; array++) {
        if (has_array(call, array)) {
            each_element(call, array, data, visit);
        }
    }
}

/* Results ------------------------------------------------------------------------------- */

#define UNTOUCHED 0x5a

/* As initialized, but for what no error may write. */
static fghm_result fresh_result(void) {
    fghm_result result;
    REQUIRE(fghm_result_init(&result, sizeof result) == FGHM_OK);
    memset((unsigned char *)&result + offsetof(fghm_result, loss), UNTOUCHED,
           sizeof result - offsetof(fghm_result, loss));
    return result;
}

static bool same_double(const double *a, const double *b) {
    return number_equal(FGHM_F64, a, b);
}

static void require_same_results(const fghm_result *a, const fghm_result *b) {
    REQUIRE(a->status == b->status && a->filled == b->filled && a->field == b->field);
    REQUIRE(a->other_field == b->other_field && a->place == b->place);
    REQUIRE(a->offender == b->offender);
    REQUIRE(same_double(&a->loss, &b->loss) && same_double(&a->sum, &b->sum));
    REQUIRE(same_double(&a->divisor, &b->divisor));
    REQUIRE(same_double(&a->sum_weights, &b->sum_weights));
    REQUIRE(same_double(&a->sum_targets, &b->sum_targets));
    REQUIRE(a->elements == b->elements && a->valid == b->valid && a->positives == b->positives);
}

static void check_result(fghm_status status, const fghm_result *result, bool computed) {
    REQUIRE(result->size == sizeof *result && result->status == status);
    REQUIRE(result->filled > 0 && result->filled <= sizeof *result);
    REQUIRE(status == FGHM_OK ? result->offender == -1 : fghm_field_name(result->field) != NULL);
    REQUIRE(fghm_field_name(result->other_field) != NULL && fghm_place_name(result->place) != NULL);
    const unsigned char *const bytes = (const unsigned char *)result;
    REQUIRE(computed || result->filled <= offsetof(fghm_result, loss));
    for (size_t at = offsetof(fghm_result, loss); !computed && at < sizeof *result; at++) {
        REQUIRE(bytes[at] == UNTOUCHED);
    }
    REQUIRE(!computed || (result->valid <= result->elements && result->positives <= result->valid));
}

/* Calls ------------------------------------------------------------------------------------ */

static bool is_element_error(fghm_status status) {
    return status == FGHM_ERROR_TARGET || status == FGHM_ERROR_PROBABILITY ||
           status == FGHM_ERROR_SCORE;
}

static void begin(void) {
    errno = 17;
    feclearexcept(FE_ALL_EXCEPT);
}

/* What a call has done.  `factor` is by how much losses and derivatives may be larger than those of
 * a new handle. */
static void check_call(struct call *call, fghm_status status, bool computed, double factor) {
    const int raised = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
    REQUIRE(errno == 17);
    memory_require_surroundings();
    if (!computed) {
        memory_require_untouched();
        return;
    }
    const bool small = factor * call->factor <= 1, mild = factor * call->factor < 0x1p100;
    enum expected expected = ANYTHING;
    if (status == FGHM_OK && call->ordinary) {
        expected = mild && !call->ends ? FINITE : NUMBERS;
    } else if (status == FGHM_OK && call->finite && small &&
               call->batch.activation != FGHM_SOFTMAX) {
        expected = call->batch.logits.dtype == FGHM_F64 ? FINITE_IN_F64 : FINITE_IN_F32;
    }
    each_output(call, call, mark);
    each_output(call, &expected, look_at);
    memory_require_gaps();
    if (expected != ANYTHING && call->ordinary) {
        REQUIRE((raised & (FE_INVALID | FE_DIVBYZERO)) == 0);
        /* Results may be too large: for half precision, and where the probability is 0 or 1. */
        bool large = call->ends;
        for (int array = INPUTS; array < ARRAYS; array++) {
            large = large || output_of(&call->batch, array)->dtype == FGHM_F16;
        }
        REQUIRE(raised == 0 || !mild || large);
    }
}

/* The inputs as they were, the outputs, under MemorySanitizer, as if nobody had written them. */
static void prepare_again(struct call *call, bool computed) {
    memory_keep_results();
    memory_put_back();
    if (computed) {
        each_output(call, call, forget);
    }
    begin();
}

/* Every output has the bits of the first call. */
static void check_again(struct call *call, bool computed) {
    REQUIRE(errno == 17);
    memory_require_surroundings();
    if (!computed) {
        memory_require_untouched();
        return;
    }
    each_output(call, NULL, equals_kept);
    memory_require_gaps();
}

/* The scalar row, if the one that has computed is promised to equal it. */
static void use_another_row(void) {
    if (rows_equal_scalar()) {
        rows_use_scalar();
    }
}

static void call_focal(struct input *in, fghm_pool *pool) {
    struct call call;
    fghm_focal *const focal = settings_focal(in);
    if (draw_call(in, &call, FGHM_GHM_INVALID)) {
        if (call.fitting) {
            fit_focal(&call.batch, focal);
        }
        const struct focal_settings settings = settings_read(focal);
        fghm_result result = fresh_result(), again = fresh_result();
        memory_remember();
        begin();
        const fghm_status status = fghm_focal_batch(focal, NULL, &call.batch, &result);
        const bool computed = status == FGHM_OK || is_element_error(status);
        check_call(&call, status, computed, settings_focal_factor(focal));
        check_result(status, &result, computed);
        prepare_again(&call, computed);
        use_another_row();
        REQUIRE(fghm_focal_batch(focal, pool, &call.batch, &again) == status);
        check_again(&call, computed);
        require_same_results(&result, &again);
        const struct focal_settings now = settings_read(focal);
        settings_require_equal(&settings, &now);
    }
    memory_release();
    fghm_focal_destroy(focal);
}

static uint64_t *draw_counts(struct input *in, const fghm_ghm *ghm, size_t *capacity) {
    size_t size = 0;
    REQUIRE(fghm_ghm_get_counts_size(ghm, &size) == FGHM_OK);
    *capacity = size;
    if (size * sizeof(uint64_t) > MEMORY_BYTES) {
        return NULL;
    }
    *capacity -= input_below(in, 16) == 1;
    uint64_t *const counts =
        (uint64_t *)(void *)memory_take(COUNTS, *capacity * sizeof *counts, true)->bytes;
    const uint64_t before = input_below(in, 8) == 1 ? input_bits(in, 8) : 0;
    for (size_t k = 0; k < *capacity; k++) {
        counts[k] = before;
    }
    return counts;
}

/* The three parts of a step one by one; true if it is the step. */
static bool step_in_parts(struct input *in, fghm_ghm *ghm, fghm_pool *pool, struct call *call) {
    size_t capacity = 0;
    uint64_t *const counts = draw_counts(in, ghm, &capacity);
    if (counts == NULL) {
        return false;
    }
    const bool fresh = capacity > 0 && counts[0] == 0;
    fghm_result counted = fresh_result(), applied = fresh_result();
    memory_remember();
    begin();
    const fghm_status status =
        fghm_ghm_count_batch(ghm, pool, &call->batch, capacity, counts, &counted);
    REQUIRE(errno == 17);
    memory_require_surroundings();
    check_result(status, &counted, status == FGHM_OK);
    memset(memory_slot(COUNTS)->is_element, status == FGHM_OK, memory_slot(COUNTS)->size);
    memory_require_written(memory_slot(COUNTS), 0, memory_slot(COUNTS)->size);
    if (status != FGHM_OK) {
        memory_require_untouched();
        return false;
    }
    struct state before = state_of(ghm);
    if (fghm_ghm_update(ghm, capacity, counts) != FGHM_OK) {
        struct state after = state_of(ghm);
        state_require_equal(&before, &after);
        state_free(&after);
        state_free(&before);
        return false;
    }
    state_free(&before);
    const fghm_status last = fghm_ghm_apply_batch(ghm, pool, &call->batch, &applied);
    REQUIRE(errno == 17 && last == FGHM_OK);
    REQUIRE(counted.elements == applied.elements && counted.valid == applied.valid);
    REQUIRE(counted.positives == applied.positives);
    REQUIRE(same_double(&counted.sum_weights, &applied.sum_weights));
    REQUIRE(same_double(&counted.sum_targets, &applied.sum_targets));
    memory_require_surroundings();
    return fresh;
}

/* Applying alone, with whatever weights there are. */
static void apply(const fghm_ghm *ghm, fghm_pool *pool, struct call *call) {
    fghm_result result = fresh_result(), again = fresh_result();
    struct state before = state_of(ghm);
    memory_remember();
    begin();
    const fghm_status status = fghm_ghm_apply_batch(ghm, NULL, &call->batch, &result);
    const bool computed = status == FGHM_OK || is_element_error(status);
    check_call(call, status, computed, settings_ghm_factor(ghm));
    check_result(status, &result, computed);
    prepare_again(call, computed);
    use_another_row();
    REQUIRE(fghm_ghm_apply_batch(ghm, pool, &call->batch, &again) == status);
    check_again(call, computed);
    require_same_results(&result, &again);
    struct state after = state_of(ghm);
    state_require_equal(&before, &after);
    state_free(&before);
    state_free(&after);
}

static void step(struct input *in, fghm_ghm *ghm, fghm_pool *pool, struct call *call) {
    fghm_result result = fresh_result(), again = fresh_result();
    fghm_ghm *copy = NULL, *parts = NULL;
    REQUIRE(fghm_ghm_clone(ghm, &copy) == FGHM_OK && fghm_ghm_clone(ghm, &parts) == FGHM_OK);
    memory_remember();
    begin();
    const fghm_status status = fghm_ghm_step_batch(ghm, NULL, &call->batch, &result);
    const bool computed = status == FGHM_OK;
    check_call(call, status, computed, settings_ghm_factor(ghm));
    check_result(status, &result, computed);
    if (!computed) {
        ghm_require_equal(ghm, copy);
    }
    prepare_again(call, computed);
    use_another_row();
    REQUIRE(fghm_ghm_step_batch(copy, pool, &call->batch, &again) == status);
    check_again(call, computed);
    require_same_results(&result, &again);
    ghm_require_equal(ghm, copy);
    bool outputs = false;
    for (int array = INPUTS; array < ARRAYS; array++) {
        outputs = outputs || has_array(call, array);
    }
    if (computed && outputs && input_below(in, 4) == 1) {
        memory_put_back();
        if (step_in_parts(in, parts, pool, call)) {
            each_output(call, NULL, equals_kept);
            ghm_require_equal(ghm, parts);
        }
    }
    fghm_ghm_destroy(copy);
    fghm_ghm_destroy(parts);
}

static void call_ghm(struct input *in, fghm_pool *pool, fghm_ghm_kind kind) {
    fghm_ghm *const ghm = settings_ghm(in, kind);
    for (size_t steps = 1 + input_below(in, 3); steps > 0; steps--) {
        struct call call;
        const size_t what = input_below(in, 8);
        if (draw_call(in, &call, kind)) {
            if (what == 1) {
                apply(ghm, pool, &call);
            } else {
                step(in, ghm, pool, &call);
            }
        }
        memory_release();
        if (what == 2) {
            settings_change_ghm(in, ghm);
        }
    }
    fghm_ghm_destroy(ghm);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input in = {bytes, size};
    const size_t what = input_below(&in, 8);
    rows_use(input_below(&in, 2) == 0 ? 0 : input_below(&in, rows_count()));
    fghm_pool *const some = settings_pool(&in);
    if (what == 1 || what == 2) {
        call_ghm(&in, some, FGHM_GHM_CLASSIFICATION);
    } else if (what == 3) {
        call_ghm(&in, some, FGHM_GHM_REGRESSION);
    } else {
        call_focal(&in, some);
    }
    return 0;
}
