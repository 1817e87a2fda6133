/* SPDX-License-Identifier: MIT */

/* Calls with any settings over any batches.  The arrays are as large as their strides reach, so
 * that AddressSanitizer sees one byte more.  Whatever the call returns is held against what the
 * headers say of it:
 *
 *  - an error that is found before anything is computed leaves outputs and handle as they were;
 *  - nothing is written between the elements of an output;
 *  - ordinary inputs have results that are numbers;
 *  - a pool changes no bit of them;
 *  - errno stays. */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "input.h"

#define BYTES_MOST ((size_t)1 << 16)
enum { LOGITS, TARGETS, SCORES, WEIGHTS, ELEMENT_LOSS, GRADIENT, HESSIAN, HARMONIZING, ARRAYS };
#define INPUTS ELEMENT_LOSS

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Memory that an array reaches over: all of it, and nothing else. */
struct memory {
    unsigned char *bytes;
    size_t size, first; /* of the element with index 0 */
    bool shared;        /* that of another array */
};

struct call {
    fghm_batch batch;
    struct memory arrays[ARRAYS];
    double *class_alpha, *class_weights, *class_offsets;
    bool ordinary; /* what inputs are */
};

/* Numbers -------------------------------------------------------------------------- */

static size_t size_of(fghm_dtype dtype) {
    static const size_t sizes[] = {[FGHM_F32] = 4, [FGHM_F64] = 8, [FGHM_F16] = 2, [FGHM_BF16] = 2,
                                   [FGHM_U8] = 1,  [FGHM_I32] = 4, [FGHM_I64] = 8};
    return dtype > 0 && (size_t)dtype < sizeof sizes / sizeof sizes[0] ? sizes[dtype] : 8;
}

/* An xorshift for what there are too many of to take them from the input. */
static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void put(fghm_dtype dtype, void *to, double number) {
    const float f32 = (float)number;
    const int32_t i32 = (int32_t)number;
    const int64_t i64 = (int64_t)number;
    const uint8_t u8 = (uint8_t)(int32_t)number;
    uint32_t bits;
    uint16_t half;
    switch (dtype) {
    case FGHM_F32:
        memcpy(to, &f32, sizeof f32);
        break;
    case FGHM_F16:
        /* Multiples of a quarter below 64 alone: exact with the digits cut off. */
        memcpy(&bits, &f32, sizeof bits);
        half = (uint16_t)(f32 == 0 ? 0
                                   : (bits >> 16 & 0x8000u) |
                                         ((bits & 0x7fffffffu) - (112u << 23)) >> 13);
        memcpy(to, &half, sizeof half);
        break;
    case FGHM_BF16:
        memcpy(&bits, &f32, sizeof bits);
        half = (uint16_t)(bits >> 16);
        memcpy(to, &half, sizeof half);
        break;
    case FGHM_U8:
        memcpy(to, &u8, sizeof u8);
        break;
    case FGHM_I32:
        memcpy(to, &i32, sizeof i32);
        break;
    case FGHM_I64:
        memcpy(to, &i64, sizeof i64);
        break;
    default:
        memcpy(to, &number, sizeof number);
        break;
    }
}

/* An ordinary number for this array. */
static double ordinary(const fghm_batch *batch, int array, uint64_t *state) {
    const uint64_t draw = next(state) >> 20;
    const bool labels = batch->target_form != FGHM_TARGET_DENSE;
    if (array == TARGETS && labels) {
        return (double)(draw % 3);
    }
    if (array == TARGETS || array == SCORES) {
        return (double)(draw % 5) / 4;
    }
    if (array == WEIGHTS) {
        return (double)(draw % 4);
    }
    return batch->activation == FGHM_PROBABILITY ? (double)(1 + draw % 3) / 4
                                                 : (double)(draw % 64) / 4 - 8;
}

static void fill(struct input *in, struct call *call, int array, fghm_dtype dtype) {
    struct memory *const memory = &call->arrays[array];
    const size_t step = size_of(dtype);
    const size_t kind = input_below(in, 8);
    uint64_t state = input_bits(in, 2) * 2 + 1;
    for (size_t at = 0; at + step <= memory->size; at += step) {
        if (kind < 6) {
            put(dtype, memory->bytes + at, ordinary(&call->batch, array, &state));
        } else {
            const uint64_t bits = next(&state) * (kind == 6 ? 1 : UINT64_C(0x8000000080008080));
            memcpy(memory->bytes + at, &bits, step);
        }
    }
    call->ordinary = call->ordinary && (kind < 6 || array >= INPUTS);
}

/* Batches --------------------------------------------------------------------------- */

static void draw_shape(struct input *in, fghm_batch *batch) {
    static const int32_t axes[] = {1, 2, 3, 2, 4, 1, 8, 2, 0, 9, -1, 5};
    static const int64_t extents[] = {1, 2, 3, 4, 5, 7, 16, 17, 33, 0, 300, 2100};
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

/* Row-major strides, in another order, twice as far, or backwards; or any. */
static void draw_strides(struct input *in, const fghm_batch *batch, int64_t *strides) {
    const size_t kind = input_below(in, 8);
    int64_t stride = 1 + (int64_t)(kind == 1);
    for (int k = FGHM_AXES_MAX - 1; k >= 0; k--) {
        const int axis = kind == 2 ? FGHM_AXES_MAX - 1 - k : k;
        if (axis >= batch->ndim) {
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

/* Type, layout and strides; then as much memory as those reach over. */
static bool draw_array(struct input *in, struct call *call, int array) {
    fghm_batch *const batch = &call->batch;
    const bool labels = array == TARGETS && batch->target_form != FGHM_TARGET_DENSE;
    const size_t choice = input_below(in, 16);
    const fghm_dtype dtype = choice < 8    ? (labels ? FGHM_I64 : FGHM_F32)
                             : choice < 11 ? (labels ? FGHM_U8 : FGHM_F64)
                                           : (fghm_dtype)(choice - 11 + 2 * (choice == 11));
    const fghm_layout layout = (fghm_layout)(input_below(in, 16) % 5);
    int64_t strides[FGHM_AXES_MAX] = {0};
    if (layout == FGHM_LAYOUT_STRIDED || input_below(in, 64) == 1) {
        draw_strides(in, batch, strides);
    }
    struct memory *const memory = &call->arrays[array];
    void **data;
    if (array < INPUTS) {
        fghm_input *const to = input_of(batch, array);
        to->dtype = dtype;
        to->layout = layout;
        memcpy(to->strides, strides, sizeof strides);
        data = (void **)(uintptr_t)&to->data;
    } else {
        fghm_output *const to = output_of(batch, array);
        to->dtype = dtype;
        to->layout = layout;
        memcpy(to->strides, strides, sizeof strides);
        data = &to->data;
    }
    size_t before = 0, after = 0;
    const fghm_status status = fghm_batch_reach(batch, FGHM_FIELD_LOGITS + array, &before, &after);
    if (status == FGHM_OK && (before > BYTES_MOST || after > BYTES_MOST)) {
        return false; /* more than it is worth */
    }
    memory->size = (before + after) * size_of(dtype);
    memory->first = before * size_of(dtype);
    memory->bytes = malloc(memory->size > 0 ? memory->size : 1);
    REQUIRE(memory->bytes != NULL);
    *data = memory->bytes + memory->first;
    fill(in, call, array, dtype);
    return true;
}

static double *draw_class_numbers(struct input *in, const fghm_batch *batch, fghm_field field) {
    size_t before, after;
    if (fghm_batch_reach(batch, field, &before, &after) != FGHM_OK || after > BYTES_MOST) {
        return NULL;
    }
    double *const numbers = malloc(after * sizeof *numbers);
    REQUIRE(numbers != NULL);
    const size_t kind = input_below(in, 4);
    for (size_t c = 0; c < after; c++) {
        numbers[c] = kind == 0 ? input_number(in) : (double)(c % 3) / 2;
    }
    return numbers;
}

/* The gradient, or another output, in the place of the logits. */
static void share(struct input *in, struct call *call) {
    const int array = INPUTS + (int)input_below(in, ARRAYS - INPUTS);
    fghm_output *const output = output_of(&call->batch, array);
    const fghm_input *const logits = &call->batch.logits;
    if (call->arrays[array].bytes == NULL || call->arrays[LOGITS].bytes == NULL) {
        return;
    }
    free(call->arrays[array].bytes);
    call->arrays[array] = call->arrays[LOGITS];
    call->arrays[array].shared = true;
    output->data = (void *)(uintptr_t)logits->data;
    output->dtype = logits->dtype;
    output->layout = logits->layout;
    memcpy(output->strides, logits->strides, sizeof output->strides);
}

/* Repeated values make many elements of little memory.  Of too many there is an error at once. */
static bool takes_long(const fghm_batch *batch) {
    double elements = 1;
    for (int axis = 0; axis < batch->ndim && axis < FGHM_AXES_MAX; axis++) {
        elements *= batch->shape[axis] > 0 ? (double)batch->shape[axis] : 1;
    }
    return elements > 0x1p17 && elements < 0x1p62;
}

static bool draw_call(struct input *in, struct call *call) {
    memset(call, 0, sizeof *call);
    call->ordinary = true;
    fghm_batch *const batch = &call->batch;
    REQUIRE(fghm_batch_init(batch, sizeof *batch) == FGHM_OK);
    draw_shape(in, batch);
    if (takes_long(batch)) {
        return false;
    }
    const size_t form = input_below(in, 32);
    batch->activation = (fghm_activation)(form % 4) - (form == 31);
    batch->target_form = (fghm_target_form)(input_below(in, 16) % 4);
    batch->background = (fghm_background)(input_below(in, 16) % 5);
    batch->flags = (int32_t)(input_below(in, 16) % 3);
    batch->ignore_index = input_below(in, 2) == 0 ? FGHM_IGNORE_NONE : input_integer(in);
    batch->label_smoothing = input_below(in, 4) == 0 ? input_number(in) : 0;
    const size_t present = input_bits(in, 1) | 1u << LOGITS | 1u << TARGETS;
    bool fits = true;
    for (int array = 0; array < ARRAYS && fits; array++) {
        if ((present >> array & 1) != 0) {
            fits = draw_array(in, call, array);
        }
    }
    const size_t factors = input_below(in, 8);
    if (factors == 1 || factors == 3) {
        batch->class_alpha = call->class_alpha =
            draw_class_numbers(in, batch, FGHM_FIELD_CLASS_ALPHA);
    }
    if (factors == 2 || factors == 3) {
        batch->class_weights = call->class_weights =
            draw_class_numbers(in, batch, FGHM_FIELD_CLASS_WEIGHTS);
    }
    if (input_below(in, 8) == 1) {
        batch->class_offsets = call->class_offsets =
            draw_class_numbers(in, batch, FGHM_FIELD_CLASS_OFFSETS);
    }
    if (fits && input_below(in, 8) == 1) {
        share(in, call);
    }
    if (input_below(in, 64) == 1) {
        batch->size = (uint32_t)input_bits(in, 2);
    }
    return fits;
}

static void free_call(struct call *call) {
    for (int array = 0; array < ARRAYS; array++) {
        if (!call->arrays[array].shared) {
            free(call->arrays[array].bytes);
        }
    }
    free(call->class_alpha);
    free(call->class_weights);
    free(call->class_offsets);
}

/* What was there, and what is ----------------------------------------------------------- */

struct copies {
    unsigned char *arrays[ARRAYS];
};

static struct copies copies_of(const struct call *call) {
    struct copies copies = {{NULL}};
    for (int array = 0; array < ARRAYS; array++) {
        const struct memory *const memory = &call->arrays[array];
        if (memory->bytes != NULL) {
            copies.arrays[array] = malloc(memory->size > 0 ? memory->size : 1);
            REQUIRE(copies.arrays[array] != NULL);
            memcpy(copies.arrays[array], memory->bytes, memory->size);
        }
    }
    return copies;
}

static void free_copies(struct copies *copies) {
    for (int array = 0; array < ARRAYS; array++) {
        free(copies->arrays[array]);
    }
}

/* Inputs too, if `written` is false. */
static void require_same(const struct call *call, const struct copies *copies, bool written) {
    for (int array = written ? INPUTS : 0; array < ARRAYS; array++) {
        const struct memory *const memory = &call->arrays[array];
        REQUIRE(memory->bytes == NULL ||
                memcmp(memory->bytes, copies->arrays[array], memory->size) == 0);
    }
}

static void put_back(const struct call *call, const struct copies *copies) {
    for (int array = 0; array < ARRAYS; array++) {
        const struct memory *const memory = &call->arrays[array];
        if (memory->bytes != NULL) {
            memcpy(memory->bytes, copies->arrays[array], memory->size);
        }
    }
}

static bool is_nan(fghm_dtype dtype, const unsigned char *from) {
    uint16_t half;
    float f32;
    double f64;
    switch (dtype) {
    case FGHM_F16:
        memcpy(&half, from, sizeof half);
        return (half & 0x7fffu) > 0x7c00u;
    case FGHM_BF16:
        memcpy(&half, from, sizeof half);
        return (half & 0x7fffu) > 0x7f80u;
    case FGHM_F32:
        memcpy(&f32, from, sizeof f32);
        return f32 != f32;
    default:
        memcpy(&f64, from, sizeof f64);
        return f64 != f64;
    }
}

/* Inputs that no output replaces, and gaps of outputs, are as they were; and there is no NaN
 * where none can be. */
static void check_written(const struct call *call, const struct copies *copies, bool numbers) {
    const fghm_batch *const batch = &call->batch;
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    int class_axis = batch->class_axis == FGHM_AXIS_NONE ? -1 : batch->class_axis;
    class_axis += class_axis < 0 && batch->class_axis != FGHM_AXIS_NONE ? batch->ndim : 0;
    for (int array = INPUTS; array < ARRAYS; array++) {
        const struct memory *const memory = &call->arrays[array];
        if (memory->bytes == NULL) {
            continue;
        }
        const fghm_output *const output = output_of((fghm_batch *)(uintptr_t)batch, array);
        const size_t step = size_of(output->dtype);
        const bool of_samples = softmax && (array == ELEMENT_LOSS || array == HARMONIZING);
        unsigned char *const is_element = calloc(memory->size + 1, 1);
        REQUIRE(is_element != NULL);
        size_t count = 1;
        for (int axis = 0; axis < batch->ndim; axis++) {
            count *= of_samples && axis == class_axis ? 1 : (size_t)batch->shape[axis];
        }
        for (size_t k = 0; k < count; k++) {
            size_t rest = k;
            ptrdiff_t at = output->layout == FGHM_LAYOUT_STRIDED ? 0 : (ptrdiff_t)k;
            for (int axis = batch->ndim - 1; axis >= 0 && output->layout == FGHM_LAYOUT_STRIDED;
                 axis--) {
                const size_t extent =
                    of_samples && axis == class_axis ? 1 : (size_t)batch->shape[axis];
                at += (ptrdiff_t)(rest % extent) * (ptrdiff_t)output->strides[axis];
                rest /= extent;
            }
            const size_t place = (size_t)((ptrdiff_t)memory->first + at * (ptrdiff_t)step);
            REQUIRE(place + step <= memory->size);
            memset(is_element + place, 1, step);
            REQUIRE(!numbers || !is_nan(output->dtype, memory->bytes + place));
        }
        for (size_t at = 0; at < memory->size; at++) {
            REQUIRE(is_element[at] || memory->bytes[at] == copies->arrays[array][at]);
        }
        free(is_element);
    }
    for (int array = 0; array < INPUTS; array++) {
        const struct memory *const memory = &call->arrays[array];
        bool replaced = array == LOGITS;
        for (int other = INPUTS; other < ARRAYS && replaced; other++) {
            replaced = !call->arrays[other].shared;
        }
        REQUIRE(memory->bytes == NULL || (array == LOGITS && !replaced) ||
                memcmp(memory->bytes, copies->arrays[array], memory->size) == 0);
    }
}

/* Handles --------------------------------------------------------------------------------- */

static fghm_focal *draw_focal(struct input *in) {
    fghm_focal *focal;
    REQUIRE(fghm_focal_create(&focal) == FGHM_OK);
    for (size_t k = input_below(in, 5); k > 0; k--) {
        switch (input_below(in, 9)) {
        case 0:
            fghm_focal_set_gamma(focal, input_number(in));
            break;
        case 1:
            fghm_focal_set_negative_gamma(focal, input_number(in));
            break;
        case 2:
            fghm_focal_set_alpha(focal, input_number(in));
            break;
        case 3:
            fghm_focal_clear_alpha(focal);
            break;
        case 4:
            fghm_focal_set_loss_weight(focal, input_number(in));
            break;
        case 5:
            fghm_focal_set_reduction(focal, (fghm_reduction)input_integer(in));
            break;
        case 6:
            fghm_focal_set_normalizer(focal, input_number(in));
            break;
        case 7:
            fghm_focal_set_rule(focal, (fghm_focal_rule)input_integer(in));
            break;
        default:
            fghm_focal_set_hessian_mode(focal, (fghm_hessian_mode)input_integer(in));
            fghm_focal_set_hessian_floor(focal, input_number(in));
        }
    }
    return focal;
}

static fghm_ghm *draw_ghm(struct input *in, fghm_ghm_kind kind) {
    fghm_ghm *ghm;
    REQUIRE(fghm_ghm_create(&ghm, kind) == FGHM_OK);
    const double edges[] = {0, input_number(in), 0.5, 1};
    for (size_t k = input_below(in, 5); k > 0; k--) {
        switch (input_below(in, 9)) {
        case 0:
            fghm_ghm_set_bins(ghm, 1 + input_below(in, 300));
            break;
        case 1:
            fghm_ghm_set_edges(ghm, 3, edges);
            break;
        case 2:
            fghm_ghm_set_histograms(ghm, input_below(in, 8));
            break;
        case 3:
            fghm_ghm_set_momentum(ghm, input_number(in));
            fghm_ghm_set_momentum_rule(ghm, (fghm_ghm_momentum_rule)input_integer(in));
            break;
        case 4:
            fghm_ghm_set_divisor(ghm, (fghm_ghm_divisor)input_integer(in));
            break;
        case 5:
            fghm_ghm_set_weight_cap(ghm, input_number(in));
            break;
        case 6:
            fghm_ghm_set_loss_weight(ghm, input_number(in));
            break;
        case 7:
            fghm_ghm_set_reduction(ghm, (fghm_reduction)input_integer(in));
            fghm_ghm_set_normalizer(ghm, input_number(in));
            break;
        default:
            fghm_ghm_set_mu(ghm, input_number(in));
        }
    }
    return ghm;
}

/* Calls ------------------------------------------------------------------------------------ */

static bool is_element_error(fghm_status status) {
    return status == FGHM_ERROR_TARGET || status == FGHM_ERROR_PROBABILITY ||
           status == FGHM_ERROR_SCORE;
}

static void check_call(const struct call *call, const struct copies *before, fghm_status status,
                       const fghm_result *result) {
    REQUIRE(errno == 17);
    REQUIRE(result->size == sizeof *result && result->status == status);
    REQUIRE(result->filled > 0 && result->filled <= sizeof *result);
    REQUIRE(status == FGHM_OK || fghm_field_name(result->field) != NULL);
    if (status != FGHM_OK && !is_element_error(status)) {
        require_same(call, before, false);
        return;
    }
    /* The largest settings take ordinary logits out of the range of half precision, but never to
     * NaN. */
    check_written(call, before, status == FGHM_OK && call->ordinary);
}

static void call_focal(struct input *in, fghm_pool *pool) {
    struct call call;
    fghm_focal *const focal = draw_focal(in);
    if (draw_call(in, &call)) {
        fghm_result result = FGHM_RESULT_INIT, again = FGHM_RESULT_INIT;
        struct copies before = copies_of(&call);
        errno = 17;
        const fghm_status status = fghm_focal_batch(focal, NULL, &call.batch, &result);
        check_call(&call, &before, status, &result);
        struct copies after = copies_of(&call);
        put_back(&call, &before);
        REQUIRE(fghm_focal_batch(focal, pool, &call.batch, &again) == status);
        require_same(&call, &after, true);
        REQUIRE(memcmp(&result, &again, result.filled) == 0);
        free_copies(&before);
        free_copies(&after);
    }
    free_call(&call);
    fghm_focal_destroy(focal);
}

static size_t state_size_of(const fghm_ghm *ghm) {
    size_t size = 0;
    REQUIRE(fghm_ghm_get_state_size(ghm, &size) == FGHM_OK);
    return size;
}

static void require_same_handles(const fghm_ghm *a, const fghm_ghm *b) {
    const size_t size = state_size_of(a);
    REQUIRE(state_size_of(b) == size);
    unsigned char *const states = malloc(2 * size);
    REQUIRE(states != NULL);
    REQUIRE(fghm_ghm_save(a, size, states) == FGHM_OK);
    REQUIRE(fghm_ghm_save(b, size, states + size) == FGHM_OK);
    REQUIRE(memcmp(states, states + size, size) == 0);
    free(states);
}

/* A step, and the same in three parts. */
static void call_ghm(struct input *in, fghm_pool *pool, fghm_ghm_kind kind) {
    fghm_ghm *const ghm = draw_ghm(in, kind);
    for (size_t steps = 1 + input_below(in, 3); steps > 0; steps--) {
        struct call call;
        if (draw_call(in, &call)) {
            fghm_result result = FGHM_RESULT_INIT, again = FGHM_RESULT_INIT;
            struct copies before = copies_of(&call);
            fghm_ghm *copy;
            REQUIRE(fghm_ghm_clone(ghm, &copy) == FGHM_OK);
            errno = 17;
            const fghm_status status = fghm_ghm_step_batch(ghm, NULL, &call.batch, &result);
            check_call(&call, &before, status, &result);
            if (status != FGHM_OK) {
                require_same_handles(ghm, copy);
            }
            struct copies after = copies_of(&call);
            put_back(&call, &before);
            REQUIRE(fghm_ghm_step_batch(copy, pool, &call.batch, &again) == status);
            require_same(&call, &after, true);
            REQUIRE(memcmp(&result, &again, result.filled) == 0);
            require_same_handles(ghm, copy);
            free_copies(&before);
            free_copies(&after);
            fghm_ghm_destroy(copy);
        }
        free_call(&call);
    }
    fghm_ghm_destroy(ghm);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static fghm_pool *pool;
    struct input in = {bytes, size};
    if (pool == NULL) {
        REQUIRE(fghm_pool_create(&pool, 3) == FGHM_OK);
    }
    switch (input_below(&in, 4)) {
    case 0:
        call_ghm(&in, pool, FGHM_GHM_CLASSIFICATION);
        break;
    case 1:
        call_ghm(&in, pool, FGHM_GHM_REGRESSION);
        break;
    default:
        call_focal(&in, pool);
    }
    return 0;
}
