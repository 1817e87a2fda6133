/* SPDX-License-Identifier: MIT */

/* What calls over batches refuse, field by field, what they say about it, and that outputs,
 * counts and handle are then as they were; and which arrays may be in one place.  For every
 * call of every loss, but for what concerns one alone. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/descriptor.h"
#include "support/loss.h"
#include "support/strided.h"
#include "support/suite.h"

enum { OUTER = 2, CLASSES = 3, INNER = 2, ELEMENTS = OUTER * CLASSES * INNER, BINS = 10 };
enum { SAMPLES = OUTER * INNER, COUNTS = CLASSES * (BINS + 1), STATE_MAX = 4096 };
enum { INPUTS = 3, KEPT = INPUTS + RESULTS };

enum pass { WHOLE, COUNT, APPLY, PASSES };

struct call {
    const struct loss *loss;
    enum pass pass;
};

static const struct call focal_call = {&all_losses[FOCAL], WHOLE};

/* A call that is fine, until a test changes something. */
struct request {
    const struct loss *loss;
    enum pass pass;
    void *handle;
    bool with_result;
    fghm_batch b;
    fghm_result result;
    struct strided arrays[KEPT]; /* inputs, then outputs */
    double class_alpha[CLASSES], class_weights[CLASSES];
    uint64_t counts[COUNTS], *counted; /* of the first pass */
    size_t capacity;
};

static const fghm_field fields[KEPT] = {
    FGHM_FIELD_LOGITS,   FGHM_FIELD_TARGETS, FGHM_FIELD_WEIGHTS,           FGHM_FIELD_ELEMENT_LOSS,
    FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN, FGHM_FIELD_HARMONIZING_WEIGHT};

static fghm_input *input_at(struct request *q, int k) {
    fghm_input *const inputs[] = {&q->b.logits, &q->b.targets, &q->b.weights};
    return inputs[k];
}

/* An output by its place among the arrays. */
static fghm_output *output_at(struct request *q, int k) {
    fghm_output *const outputs[] = {&q->b.element_loss, &q->b.gradient, &q->b.hessian,
                                    &q->b.harmonizing_weight};
    return outputs[k - INPUTS];
}

static int64_t *strides_at(struct request *q, int k) {
    return k < INPUTS ? input_at(q, k)->strides : output_at(q, k)->strides;
}

static fghm_layout *layout_at(struct request *q, int k) {
    return k < INPUTS ? &input_at(q, k)->layout : &output_at(q, k)->layout;
}

static fghm_dtype *dtype_at_place(struct request *q, int k) {
    return k < INPUTS ? &input_at(q, k)->dtype : &output_at(q, k)->dtype;
}

/* How many arrays the loss has. */
static int kept(const struct request *q) {
    return q->loss->counts ? KEPT : KEPT - 1;
}

static void set_arrays(struct request *q) {
    for (int k = 0; k < kept(q); k++) {
        if (k < INPUTS) {
            *input_at(q, k) = strided_input(&q->arrays[k]);
        } else {
            *output_at(q, k) = strided_output(&q->arrays[k]);
        }
    }
}

static void new_array(struct request *q, int k, fghm_dtype dtype, bool of_samples) {
    strided_free(&q->arrays[k]);
    q->arrays[k] = strided_plain(dtype, (size_t)q->b.shape[0],
                                 of_samples ? 1 : (size_t)q->b.shape[1], (size_t)q->b.shape[2]);
}

static void fill_weights(struct request *q) {
    for (size_t k = 0; k < strided_count(&q->arrays[WEIGHTS]); k++) {
        strided_set(&q->arrays[WEIGHTS], k, 1.0 + (double)(k % 5) / 8.0);
    }
}

/* Labels of the samples, of this dtype. */
static void use_labels(struct request *q, fghm_dtype dtype) {
    new_array(q, TARGETS, dtype, true);
    for (size_t k = 0; k < strided_count(&q->arrays[TARGETS]); k++) {
        strided_set(&q->arrays[TARGETS], k, (double)(k % CLASSES));
    }
    q->b.target_form = FGHM_TARGET_LABEL;
    set_arrays(q);
}

/* The loss belongs to the samples. */
static void use_softmax(struct request *q, fghm_dtype dtype) {
    const fghm_dtype real = q->arrays[LOGITS].dtype;
    use_labels(q, dtype);
    new_array(q, WEIGHTS, real, true);
    new_array(q, LOSSES, real, true);
    if (q->loss->counts) {
        new_array(q, KEPT - 1, real, true);
    }
    fill_weights(q);
    q->b.activation = FGHM_SOFTMAX;
    set_arrays(q);
}

/* Again with a history, so that a handle which has changed is seen. */
static void set_histograms(struct request *q, size_t histograms) {
    uint64_t counts[COUNTS];
    for (size_t k = 0; k < COUNTS; k++) {
        counts[k] = k % 7;
    }
    assert_int_equal(fghm_ghm_reset(q->handle), FGHM_OK);
    assert_int_equal(fghm_ghm_set_histograms(q->handle, histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_update(q->handle, COUNTS, counts), FGHM_OK);
}

static struct request *request_of(const struct call *call, size_t outer, size_t classes,
                                  size_t inner, fghm_dtype dtype) {
    struct request *const q = calloc(1, sizeof *q);
    assert_non_null(q);
    q->loss = call->loss;
    q->pass = call->pass;
    q->handle = q->loss->create(BINS, FGHM_REDUCTION_MEAN);
    q->with_result = true;
    q->b = descriptor_of(outer, classes, inner);
    for (int k = 0; k < kept(q); k++) {
        new_array(q, k, dtype, false);
    }
    for (size_t k = 0; k < strided_count(&q->arrays[LOGITS]); k++) {
        strided_set(&q->arrays[LOGITS], k, (double)(k % 13) / 16.0);
        strided_set(&q->arrays[TARGETS], k, k % 3 == 0 ? 1.0 : 0.0);
    }
    fill_weights(q);
    set_arrays(q);
    if (q->loss->softmax) {
        use_softmax(q, FGHM_I32);
    }
    for (size_t c = 0; c < CLASSES; c++) {
        q->class_alpha[c] = 0.25;
        q->class_weights[c] = 1.0;
    }
    if (q->loss->counts) {
        assert_int_equal(fghm_ghm_set_momentum(q->handle, 0.5), FGHM_OK);
        set_histograms(q, 1);
    } else {
        q->b.class_alpha = q->class_alpha;
        q->b.class_weights = q->class_weights;
    }
    for (size_t k = 0; k < COUNTS; k++) {
        q->counts[k] = 1000 + k;
    }
    q->counted = q->counts;
    q->capacity = COUNTS;
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
    return q;
}

static struct request *request_new(const struct call *call) {
    return request_of(call, OUTER, CLASSES, INNER, FGHM_F32);
}

static void request_free(struct request *q) {
    for (int k = 0; k < kept(q); k++) {
        strided_free(&q->arrays[k]);
    }
    q->loss->destroy(q->handle);
    free(q);
}

static fghm_status run_with(struct request *q, void *handle, fghm_pool *pool, const fghm_batch *b) {
    fghm_result *const result = q->with_result ? &q->result : NULL;
    switch (q->pass) {
    case COUNT:
        return fghm_ghm_count_batch(handle, pool, b, q->capacity, q->counted, result);
    case APPLY:
        return q->loss->apply(handle, pool, b, result);
    default:
        return q->loss->batch(handle, pool, b, result);
    }
}

static fghm_status run(struct request *q) {
    return run_with(q, q->handle, NULL, &q->b);
}

/* What a call that is refused leaves as it was. */
struct memory {
    unsigned char *arrays[KEPT], state[STATE_MAX];
    uint64_t counts[COUNTS];
};

static void save_state(const struct request *q, unsigned char state[STATE_MAX]) {
    memset(state, 0, STATE_MAX);
    if (q->loss->counts) {
        assert_int_equal(fghm_ghm_save(q->handle, STATE_MAX, state), FGHM_OK);
    }
}

static struct memory remember(const struct request *q) {
    struct memory m;
    for (int k = 0; k < kept(q); k++) {
        const struct guarded *const g = &q->arrays[k].memory;
        m.arrays[k] = malloc(g->room);
        assert_non_null(m.arrays[k]);
        memcpy(m.arrays[k], g->start, g->room);
    }
    memcpy(m.counts, q->counts, sizeof m.counts);
    save_state(q, m.state);
    return m;
}

static void assert_remembered(const struct request *q, struct memory *m) {
    unsigned char state[STATE_MAX];
    for (int k = 0; k < kept(q); k++) {
        const struct guarded *const g = &q->arrays[k].memory;
        assert_memory_equal(m->arrays[k], g->start, g->room);
        free(m->arrays[k]);
    }
    save_state(q, state);
    assert_memory_equal(m->state, state, sizeof state);
    assert_memory_equal(m->counts, q->counts, sizeof m->counts);
}

/* Where the error is, which is not promised. */
#define ANYWHERE FGHM_FIELD_INVALID

#define assert_refused(q, status, field) refused(q, descriptor_error_of(status, field), __LINE__)
#define assert_combination(q, a, b)                                                                \
    refused(q, descriptor_error_of_two(FGHM_ERROR_COMBINATION, a, b), __LINE__)
#define assert_overlap(q, a, b)                                                                    \
    refused(q, descriptor_error_of_two(FGHM_ERROR_ALIASING, a, b), __LINE__)
#define assert_histograms(q, other)                                                                \
    refused(q, descriptor_error_of_two(FGHM_ERROR_HISTOGRAMS, FGHM_FIELD_HISTOGRAMS, other),       \
            __LINE__)
#define assert_refused_at(q, status, field, place, offender)                                       \
    refused(q, (struct descriptor_error){status, field, 0, place, offender}, __LINE__)

/* Refused, and nothing written but the head of the result. */
static void refused(struct request *q, struct descriptor_error want, int line) {
    struct memory m = remember(q);
    const fghm_result before = q->result;
    const fghm_status got = run(q);
    if (want.field == ANYWHERE || !q->with_result) {
        if (got != want.status) {
            fail_msg("line %d: \"%s\", expected \"%s\"", line, fghm_status_string(got),
                     fghm_status_string(want.status));
        }
    } else {
        descriptor_assert_refused(got, &q->result, &before, &want, line);
    }
    assert_remembered(q, &m);
}

#define assert_taken(q) taken(q, __LINE__)

static void taken(struct request *q, int line) {
    const fghm_status status = run(q);
    if (status != FGHM_OK) {
        fail_msg("line %d: \"%s\" of %s", line, fghm_status_string(status),
                 fghm_field_name(q->result.field));
    }
    if (q->with_result) {
        assert_int_equal(q->result.status, FGHM_OK);
        assert_int_equal(q->result.field, FGHM_FIELD_NONE);
        assert_int_equal(q->result.other_field, FGHM_FIELD_NONE);
        assert_int_equal(q->result.place, FGHM_PLACE_NONE);
        assert_int_equal(q->result.offender, -1);
        assert_int_equal(q->result.filled, FGHM_RESULT_SIZE_0_2);
    }
}

/* -------------------------------------------------------------------------
 * Pointers, sizes, enumerators. */

static void the_request_is_fine(void **state) {
    struct request *q = request_new(*state);
    assert_taken(q);
    assert_int_equal(q->result.size, sizeof q->result);
    assert_int_equal(q->result.elements, q->loss->softmax ? SAMPLES : ELEMENTS);
    request_free(q);
}

static void null_pointers(void **state) {
    struct request *q = request_new(*state);
    struct memory m = remember(q);
    assert_int_equal(run_with(q, NULL, NULL, &q->b), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(q->result.status, FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(q->result.field, FGHM_FIELD_NONE);
    assert_int_equal(run_with(q, q->handle, NULL, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(q->result.status, FGHM_ERROR_NULL_POINTER);
    assert_int_equal(q->result.field, FGHM_FIELD_BATCH);
    q->with_result = false;
    assert_int_equal(run_with(q, NULL, NULL, NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(run_with(q, q->handle, NULL, NULL), FGHM_ERROR_NULL_POINTER);
    assert_remembered(q, &m);
    q->with_result = true;
    for (int k = 0; k < INPUTS; k++) {
        input_at(q, k)->data = NULL;
        if (k == WEIGHTS) {
            assert_taken(q);
        } else {
            assert_refused(q, FGHM_ERROR_NULL_POINTER, fields[k]);
        }
        set_arrays(q);
    }
    q->counted = NULL;
    if (q->pass == COUNT) {
        assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_COUNTS);
    }
    request_free(q);
}

static void small_capacities(void **state) {
    struct request *q = request_new(*state);
    q->capacity = BINS + 1;
    assert_taken(q);
    q->capacity = BINS;
    if (q->pass == COUNT) {
        assert_refused(q, FGHM_ERROR_CAPACITY, FGHM_FIELD_CAPACITY);
    }
    if (q->pass == COUNT && !q->loss->softmax) {
        set_histograms(q, CLASSES);
        q->capacity = COUNTS - 1;
        assert_refused(q, FGHM_ERROR_CAPACITY, FGHM_FIELD_CAPACITY);
    }
    request_free(q);
}

static uint64_t steps_of(const struct request *q) {
    uint64_t steps = 0;
    if (q->loss->counts) {
        assert_int_equal(fghm_ghm_get_steps(q->handle, &steps), FGHM_OK);
    }
    return steps;
}

/* A pass that changes the handle, or counts, may be all that is wanted. */
static void no_output(void **state) {
    struct request *q = request_new(*state);
    const bool is_needed = !q->loss->counts || q->pass == APPLY;
    for (int k = INPUTS; k < kept(q); k++) {
        output_at(q, k)->data = NULL;
    }
    assert_taken(q);
    q->with_result = false;
    for (int empty = 0; empty < 2; empty++) {
        if (is_needed) {
            assert_refused(q, FGHM_ERROR_NO_OUTPUT, ANYWHERE);
        } else {
            const uint64_t steps = steps_of(q);
            assert_taken(q);
            assert_int_equal(steps_of(q), steps + (q->pass == WHOLE));
        }
        q->b.shape[0] = 0;
    }
    request_free(q);
}

/* 0 along any axis but the classes': loss 0, no array is looked at; still a step. */
static void no_elements(void **state) {
    const struct call *const call = *state;
    for (int axis = 0; axis < 3; axis += 2) {
        for (fghm_reduction reduction = 0; reduction < (call->loss->counts ? 3 : 6); reduction++) {
            struct request *q = request_new(call);
            q->loss->destroy(q->handle);
            q->handle = q->loss->create(BINS, reduction);
            q->b.shape[axis] = 0;
            q->b.logits.data = NULL;
            q->b.targets.data = NULL;
            q->b.class_alpha = NULL;
            struct memory m = remember(q);
            const uint64_t before = steps_of(q);
            assert_taken(q);
            assert_int_equal(steps_of(q), before + (q->loss->counts && q->pass == WHOLE));
            if (q->loss->counts && q->pass == WHOLE) {
                save_state(q, m.state);
            }
            assert_remembered(q, &m);
            assert_true(q->result.loss == 0.0 && q->result.sum == 0.0);
            assert_true(q->result.elements == 0 && q->result.valid == 0 &&
                        q->result.positives == 0);
            assert_true(q->result.divisor == 1.0);
            request_free(q);
        }
    }
}

#define MEMBER(member) offsetof(fghm_batch, member), sizeof(((fghm_batch *)0)->member)
#define WRONG(first_unknown)                                                                       \
    { first_unknown, -1, 1000, INT32_MAX, INT32_MIN }

/* One number instead of what stands there. */
static void fields_that_are_wrong(void **state) {
    const struct {
        size_t offset, size;
        int64_t values[5]; /* the rest 0, which is the first again */
        fghm_status status;
        fghm_field field;
        int axis;
    } trials[] = {
        {MEMBER(size), {FGHM_BATCH_SIZE_0_2 - 1}, FGHM_ERROR_STRUCT, FGHM_FIELD_SIZE, -1},
        {MEMBER(tag), {1}, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG, -1},
        {MEMBER(flags),
         {-1, 4, 7, INT32_MAX, INT32_MIN},
         FGHM_ERROR_CONSTANT,
         FGHM_FIELD_FLAGS,
         -1},
        {MEMBER(class_axis), {3, -4, 8}, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_AXIS, -1},
        {MEMBER(shape[2]), {FGHM_UNSET}, FGHM_ERROR_UNSET, FGHM_FIELD_SHAPE, 2},
        {MEMBER(activation), WRONG(3), FGHM_ERROR_CONSTANT, FGHM_FIELD_ACTIVATION, -1},
        {MEMBER(target_form), WRONG(3), FGHM_ERROR_CONSTANT, FGHM_FIELD_TARGET_FORM, -1},
        {MEMBER(background), WRONG(4), FGHM_ERROR_CONSTANT, FGHM_FIELD_BACKGROUND, -1},
    };
    struct request *q = request_new(*state);
    for (size_t k = 0; k < SUITE_COUNT(trials); k++) {
        for (size_t i = 0; i < SUITE_COUNT(trials[k].values); i++) {
            const int64_t i64 =
                trials[k].values[i] != 0 ? trials[k].values[i] : trials[k].values[0];
            const int32_t i32 = (int32_t)i64;
            unsigned char *const at = (unsigned char *)&q->b + trials[k].offset;
            unsigned char kept_value[sizeof i64];
            memcpy(kept_value, at, trials[k].size);
            memcpy(at, trials[k].size == sizeof i32 ? (const void *)&i32 : (const void *)&i64,
                   trials[k].size);
            assert_refused_at(q, trials[k].status, trials[k].field,
                              trials[k].axis < 0 ? FGHM_PLACE_NONE : FGHM_PLACE_AXIS,
                              trials[k].axis);
            memcpy(at, kept_value, trials[k].size);
        }
    }
    assert_taken(q);
    q->result.size--;
    assert_refused(q, FGHM_ERROR_STRUCT, ANYWHERE);
    request_free(q);
}

/* Contiguous arrays have no strides, and results of elements are not those of samples. */
static void layouts_that_are_wrong(void **state) {
    struct request *q = request_new(*state);
    for (int k = 0; k < kept(q); k++) {
        strides_at(q, k)[2] = 1;
        assert_refused(q, FGHM_ERROR_LAYOUT, fields[k]);
        strides_at(q, k)[2] = 0;
        if (k >= INPUTS && q->arrays[k].extents[1] > 1) {
            *layout_at(q, k) = FGHM_LAYOUT_PER_SAMPLE;
            assert_refused(q, FGHM_ERROR_LAYOUT, fields[k]);
        }
        set_arrays(q);
    }
    request_free(q);
}

static void label_smoothing_bounds(void **state) {
    struct request *q = request_new(*state);
    const double bad[] = {-DBL_MIN,          -1.0,        nextafter(1.0, 2.0), (double)INFINITY,
                          -(double)INFINITY, (double)NAN, -DBL_TRUE_MIN,       DBL_MAX};
    const double good[] = {0.0, -0.0, DBL_MIN, DBL_TRUE_MIN, 0.5, nextafter(1.0, 0.0), 1.0};
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        q->b.label_smoothing = bad[k];
        assert_refused(q, FGHM_ERROR_RANGE, FGHM_FIELD_LABEL_SMOOTHING);
    }
    for (size_t k = 0; k < SUITE_COUNT(good); k++) {
        q->b.label_smoothing = good[k];
        const bool ghm_of_samples = q->loss->softmax && q->loss->counts;
        if (good[k] == 0.0 || !(ghm_of_samples || q->loss->regression)) {
            assert_taken(q);
        } else {
            assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING,
                               q->loss->softmax ? FGHM_FIELD_ACTIVATION : FGHM_FIELD_KIND);
        }
    }
    request_free(q);
}

static void dtypes_of_arrays(void **state) {
    struct request *q = request_new(*state);
    const fghm_dtype unknown[] = {-1, 8, 100, INT32_MAX, INT32_MIN};
    for (int k = 0; k < kept(q); k++) {
        fghm_dtype *const dtype = dtype_at_place(q, k), own = *dtype;
        for (fghm_dtype d = FGHM_U8; d <= FGHM_I64 && k != TARGETS; d++) {
            *dtype = d;
            assert_refused(q, FGHM_ERROR_DTYPE, fields[k]);
        }
        for (size_t i = 0; i < SUITE_COUNT(unknown); i++) {
            *dtype = unknown[i];
            assert_refused(q, FGHM_ERROR_CONSTANT, fields[k]);
        }
        *dtype = FGHM_DTYPE_UNSET;
        assert_refused(q, FGHM_ERROR_UNSET, fields[k]);
        *dtype = own;
    }
    if (!q->loss->regression) {
        use_labels(q, FGHM_I32);
        for (fghm_dtype d = FGHM_F32; d <= FGHM_BF16; d++) {
            q->b.targets.dtype = d;
            assert_refused(q, FGHM_ERROR_DTYPE, FGHM_FIELD_TARGETS);
        }
    }
    request_free(q);
}

static void combinations_of_focal(void **state) {
    struct request *q = request_new(&focal_call);
    double room[ELEMENTS];
    (void)state;
    q->b.harmonizing_weight = (fghm_output){.data = room, .dtype = FGHM_F64};
    assert_combination(q, FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_RULE);
    q->b.harmonizing_weight.data = NULL;
    q->b.class_offsets = q->class_weights;
    assert_taken(q);
    q->b.activation = FGHM_PROBABILITY;
    assert_combination(q, FGHM_FIELD_CLASS_OFFSETS, FGHM_FIELD_ACTIVATION);
    q->b.class_offsets = NULL;
    q->b.activation = FGHM_SIGMOID;
    q->b.flags = FGHM_CLASS_WEIGHTS_OF_TERMS;
    assert_combination(q, FGHM_FIELD_FLAGS, FGHM_FIELD_ACTIVATION);
    q->b.flags = 0;
    for (fghm_background k = 1; k < 4; k++) {
        q->b.background = k;
        assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_TARGET_FORM);
    }
    q->b.background = 0;
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_QUALITY; rule <= FGHM_FOCAL_RULE_STAR; rule++) {
        assert_int_equal(fghm_focal_set_rule(q->handle, rule), FGHM_OK);
        assert_taken(q);
        q->b.activation = FGHM_PROBABILITY;
        assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE);
        q->b.activation = FGHM_SIGMOID;
        assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 3.0), FGHM_OK);
        assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE);
        assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 2.0), FGHM_OK);
        assert_taken(q); /* which is the other one */
        assert_int_equal(fghm_focal_clear_negative_gamma(q->handle), FGHM_OK);
    }
    q->b.label_smoothing = 0.5;
    assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE); /* focal-star */
    q->b.label_smoothing = 0.0;
    const double too_small[] = {0.0, 5e-324, nextafter(0x1p-10, 0.0)};
    for (size_t k = 0; k < SUITE_COUNT(too_small); k++) {
        assert_int_equal(fghm_focal_set_gamma(q->handle, too_small[k]), FGHM_OK);
        assert_combination(q, FGHM_FIELD_GAMMA, FGHM_FIELD_RULE); /* focal-star */
    }
    assert_int_equal(fghm_focal_set_gamma(q->handle, 0x1p-10), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_LINEAR), FGHM_OK);
    use_softmax(q, FGHM_I32);
    assert_taken(q);
    q->b.label_smoothing = 0.1;
    assert_taken(q);
    q->b.label_smoothing = 0.0;
    q->b.background = FGHM_BACKGROUND_MINUS_ONE;
    assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_ACTIVATION);
    request_free(q);
}

/* Soft targets of softmax: dense ones, whose arrays are those of a sigmoid call but for losses and
 * weights, and labels that are smoothed. */
static void combinations_of_soft_samples(void **state) {
    struct request *q = request_new(&focal_call);
    (void)state;
    use_softmax(q, FGHM_I32);
    q->b.label_smoothing = 0.1;
    q->b.class_gamma = q->class_weights;
    assert_combination(q, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_LABEL_SMOOTHING);
    q->b.class_gamma = NULL;
    for (int32_t flags = 0; flags <= FGHM_CLASS_WEIGHTS_OF_TERMS; flags += 2) {
        q->b.flags = flags;
        assert_taken(q);
    }
    q->b.flags = FGHM_NAN_TARGETS_IGNORED;
    assert_combination(q, FGHM_FIELD_FLAGS, FGHM_FIELD_TARGET_FORM);
    q->b.flags = 0;
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_QUALITY; rule <= FGHM_FOCAL_RULE_STAR; rule++) {
        assert_int_equal(fghm_focal_set_rule(q->handle, rule), FGHM_OK);
        assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE);
    }
    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_LINEAR), FGHM_OK);
    assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 3.0), FGHM_OK);
    assert_taken(q);
    q->b.label_smoothing = 0.0;
    assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_ACTIVATION);
    new_array(q, TARGETS, FGHM_F32, false);
    for (size_t k = 0; k < strided_count(&q->arrays[TARGETS]); k++) {
        strided_set(&q->arrays[TARGETS], k, 0.125);
    }
    set_arrays(q);
    q->b.target_form = FGHM_TARGET_DENSE;
    assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_ACTIVATION);
    assert_int_equal(fghm_focal_clear_negative_gamma(q->handle), FGHM_OK);
    for (int32_t flags = 0; flags < 4; flags++) {
        q->b.flags = flags;
        assert_taken(q);
    }
    q->b.label_smoothing = 0.1;
    assert_taken(q);
    q->b.label_smoothing = 0.0;
    q->b.ignore_index = 7;
    assert_combination(q, FGHM_FIELD_IGNORE_INDEX, FGHM_FIELD_TARGET_FORM);
    q->b.ignore_index = FGHM_IGNORE_NONE;
    q->b.background = FGHM_BACKGROUND_LAST;
    assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_TARGET_FORM);
    q->b.background = FGHM_BACKGROUND_NONE;
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_QUALITY; rule <= FGHM_FOCAL_RULE_STAR; rule++) {
        assert_int_equal(fghm_focal_set_rule(q->handle, rule), FGHM_OK);
        assert_combination(q, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_RULE);
    }
    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_SPLIT), FGHM_OK);
    assert_taken(q);
    q->b.target_form = FGHM_TARGET_LABEL_SCORE;
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM);
    request_free(q);
}

/* The rules with positives of their own, gammas of classes, detached factors, positive weights. */
static void combinations_of_family(void **state) {
    struct request *q = request_new(&focal_call);
    const double too_large[CLASSES] = {65.0};
    (void)state;
    q->b.class_alpha = NULL;
    q->b.class_gamma = q->class_weights;
    assert_taken(q);
    assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 3.0), FGHM_OK);
    assert_combination(q, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_NEGATIVE_GAMMA);
    assert_int_equal(fghm_focal_clear_negative_gamma(q->handle), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    assert_combination(q, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_RULE);
    q->b.class_gamma = too_large;
    assert_refused_at(q, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_GAMMA, FGHM_PLACE_CLASS, 0);
    q->b.class_gamma = NULL;
    assert_int_equal(fghm_focal_set_detached(q->handle, 1), FGHM_OK);
    assert_combination(q, FGHM_FIELD_DETACHED, FGHM_FIELD_RULE);
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_VARIFOCAL; rule <= FGHM_FOCAL_RULE_HEATMAP;
         rule++) {
        const bool heatmap = rule == FGHM_FOCAL_RULE_HEATMAP;
        assert_int_equal(fghm_focal_set_rule(q->handle, rule), FGHM_OK);
        assert_taken(q);
        q->b.label_smoothing = 0.5;
        assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE);
        q->b.label_smoothing = 0.0;
        q->b.class_alpha = q->class_alpha;
        assert_combination(q, FGHM_FIELD_CLASS_ALPHA, FGHM_FIELD_RULE);
        q->b.class_alpha = NULL;
        if (heatmap) {
            assert_int_equal(fghm_focal_set_alpha(q->handle, 0.5), FGHM_OK);
            assert_combination(q, FGHM_FIELD_ALPHA, FGHM_FIELD_RULE);
            assert_int_equal(fghm_focal_clear_alpha(q->handle), FGHM_OK);
            assert_taken(q);
        } else {
            q->b.activation = FGHM_PROBABILITY;
            assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE);
            q->b.activation = FGHM_SIGMOID;
            assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 3.0), FGHM_OK);
            assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE);
            assert_int_equal(fghm_focal_clear_negative_gamma(q->handle), FGHM_OK);
            q->b.class_gamma = q->class_weights;
            assert_combination(q, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_RULE);
            q->b.class_gamma = NULL;
        }
    }
    q->b.class_gamma = q->b.class_alpha = NULL;
    assert_int_equal(fghm_focal_set_detached(q->handle, 0), FGHM_OK);
    assert_int_equal(fghm_focal_set_margin(q->handle, 0.05), FGHM_OK);
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_LINEAR; rule <= FGHM_FOCAL_RULE_HEATMAP; rule++) {
        assert_int_equal(fghm_focal_set_rule(q->handle, rule), FGHM_OK);
        if (rule <= FGHM_FOCAL_RULE_SPLIT) {
            assert_taken(q);
            q->b.activation = FGHM_PROBABILITY;
            assert_combination(q, FGHM_FIELD_MARGIN, FGHM_FIELD_ACTIVATION);
            q->b.activation = FGHM_SIGMOID;
        } else {
            assert_combination(q, FGHM_FIELD_MARGIN, FGHM_FIELD_RULE);
        }
    }
    assert_int_equal(fghm_focal_set_margin(q->handle, 0.0), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_LINEAR), FGHM_OK);
    assert_int_equal(fghm_focal_set_positive_weight(q->handle, 3.0), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_alpha(q->handle, 0.5), FGHM_OK);
    assert_combination(q, FGHM_FIELD_ALPHA, FGHM_FIELD_POSITIVE_WEIGHT);
    assert_int_equal(fghm_focal_set_alpha(q->handle, 0.25), FGHM_OK);
    assert_taken(q);
    q->b.class_alpha = q->class_alpha;
    assert_combination(q, FGHM_FIELD_CLASS_ALPHA, FGHM_FIELD_POSITIVE_WEIGHT);
    q->b.class_alpha = NULL;
    use_softmax(q, FGHM_I32);
    assert_combination(q, FGHM_FIELD_POSITIVE_WEIGHT, FGHM_FIELD_ACTIVATION);
    assert_int_equal(fghm_focal_clear_positive_weight(q->handle), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_margin(q->handle, 0.05), FGHM_OK);
    assert_combination(q, FGHM_FIELD_MARGIN, FGHM_FIELD_ACTIVATION);
    request_free(q);
}

/* What is set for negatives, which softmax does not have. */
static void settings_that_softmax_has_not(void **state) {
    struct request *q = request_new(&focal_call);
    (void)state;
    use_softmax(q, FGHM_I32);
    assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 3.0), FGHM_OK);
    assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_ACTIVATION);
    assert_int_equal(fghm_focal_set_gamma(q->handle, 3.0), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_gamma(q->handle, 2.0), FGHM_OK);
    assert_int_equal(fghm_focal_clear_negative_gamma(q->handle), FGHM_OK);
    for (int k = 0; k < 3; k++) {
        const double alphas[] = {0.0, 0.5, 1.0};
        assert_int_equal(fghm_focal_set_alpha(q->handle, alphas[k]), FGHM_OK);
        q->b.class_alpha = NULL;
        assert_combination(q, FGHM_FIELD_ALPHA, FGHM_FIELD_ACTIVATION);
        q->b.class_alpha = q->class_alpha;
        assert_taken(q);
    }
    q->b.class_alpha = NULL;
    assert_int_equal(fghm_focal_set_alpha(q->handle, 0.25), FGHM_OK);
    assert_taken(q);
    const double loss = q->result.loss;
    assert_int_equal(fghm_focal_clear_alpha(q->handle), FGHM_OK);
    assert_taken(q);
    assert_true(q->result.loss == loss);
    request_free(q);
}

static void combinations_of_ghm(void **state) {
    struct request *q = request_new(*state);
    const bool regression = q->loss->regression, softmax = q->loss->softmax;
    const struct {
        const double **array;
        fghm_field field, other;
    } arrays[] = {
        {&q->b.class_alpha, FGHM_FIELD_CLASS_ALPHA, FGHM_FIELD_KIND},
        {&q->b.class_weights, FGHM_FIELD_CLASS_WEIGHTS, FGHM_FIELD_KIND},
        {&q->b.class_gamma, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_KIND},
        {&q->b.class_offsets, FGHM_FIELD_CLASS_OFFSETS, FGHM_FIELD_KIND},
    };
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        *arrays[k].array = q->class_weights;
        assert_combination(q, arrays[k].field, arrays[k].other);
        *arrays[k].array = NULL;
    }
    if (softmax) {
        q->b.background = FGHM_BACKGROUND_MINUS_ONE;
        assert_refused(q, FGHM_ERROR_COMBINATION, ANYWHERE);
        q->b.background = FGHM_BACKGROUND_NONE;
        set_histograms(q, CLASSES);
        assert_histograms(q, FGHM_FIELD_ACTIVATION);
        request_free(q);
        return;
    }
    q->b.activation = FGHM_PROBABILITY;
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_KIND);
    q->b.activation = FGHM_SOFTMAX;
    assert_combination(q, FGHM_FIELD_ACTIVATION,
                       regression ? FGHM_FIELD_KIND : FGHM_FIELD_TARGET_FORM);
    q->b.activation = FGHM_SIGMOID;
    q->b.background = FGHM_BACKGROUND_LAST;
    assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_TARGET_FORM);
    q->b.background = FGHM_BACKGROUND_NONE;
    set_histograms(q, CLASSES - 1);
    assert_histograms(q, FGHM_FIELD_SHAPE);
    set_histograms(q, CLASSES);
    assert_taken(q);
    q->b.class_axis = FGHM_AXIS_NONE;
    assert_histograms(q, FGHM_FIELD_CLASS_AXIS);
    q->b.class_axis = 1;
    set_histograms(q, 1);
    use_labels(q, FGHM_I32);
    if (regression) {
        assert_combination(q, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_KIND);
    } else {
        assert_taken(q);
    }
    use_softmax(q, FGHM_I32);
    q->b.class_axis = FGHM_AXIS_NONE;
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_CLASS_AXIS);
    q->b.class_axis = 1;
    if (regression) {
        assert_refused(q, FGHM_ERROR_COMBINATION, ANYWHERE);
        strided_set(&q->arrays[TARGETS], 2, CLASSES); /* it does not come to that */
        assert_refused(q, FGHM_ERROR_COMBINATION, ANYWHERE);
    } else {
        assert_taken(q);
    }
    request_free(q);
}

/* A plain call has no classes. */
static void plain_calls_have_one_histogram(void **state) {
    const float x[2] = {1.0f, 2.0f};
    float out[2] = {7.0f, 7.0f};
    double loss = 7.0;
    uint64_t counts[2 * (BINS + 1)] = {7};
    fghm_ghm *const ghm = ghmc_handle(BINS, FGHM_REDUCTION_MEAN);
    (void)state;
    assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
    const fghm_status got[] = {
        fghm_ghm_step_f32(ghm, NULL, 2, x, x, NULL, &loss, out, NULL, NULL),
        fghm_ghm_count_f32(ghm, NULL, 2, x, x, NULL, SUITE_COUNT(counts), counts),
        fghm_ghm_apply_f32(ghm, NULL, 2, x, x, NULL, &loss, out, NULL, NULL),
    };
    for (size_t k = 0; k < SUITE_COUNT(got); k++) {
        assert_int_equal(got[k], FGHM_ERROR_HISTOGRAMS);
    }
    assert_true(loss == 7.0 && out[0] == 7.0f && counts[0] == 7);
    fghm_ghm_destroy(ghm);
}

static void sizes(void **state) {
    const int64_t half = (int64_t)1 << 31;
    const int64_t bad[][3] = {
        {INT64_MAX, 1, 1},   {1, INT64_MAX, 1},         {1, 1, INT64_MAX},
        {INT64_MAX, 2, 1},   {INT64_MAX, 3, INT64_MAX}, {INT64_MAX / 2, 1, 3},
        {half * 2, half, 2}, {(int64_t)1 << 61, 1, 1},  {1, 1, half << 29},
        {half << 30, 2, 1},  {half, half, half},        {half << 2, half << 2, 1},
    };
    struct request *q = request_new(*state);
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        memcpy(q->b.shape, bad[k], sizeof bad[k]);
        assert_refused(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE);
    }
    /* Not too many elements, but too many classes. */
    descriptor_set_shape(&q->b, 1, (size_t)half, 1);
    assert_refused_at(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS, 1);
    if (q->loss->softmax) {
        q->b.shape[1] = ((int64_t)1 << 24) + 1;
        assert_refused_at(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS, 1);
    }
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Strides. */

static void strides_of_outputs(void **state) {
    const int64_t bad[][3] = {{6, 2, 0}, {6, 0, 1}, {0, 2, 1}, {1, 1, 1},  {2, 2, 1}, {0, 0, 0},
                              {5, 2, 1}, {6, 1, 1}, {6, 2, 2}, {-5, 2, 1}, {6, -1, 1}};
    struct request *q = request_new(*state);
    for (int k = INPUTS; k < kept(q); k++) {
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            if (q->arrays[k].extents[1] > 1) {
                descriptor_stride_output(output_at(q, k), bad[i][0], bad[i][1], bad[i][2]);
                assert_refused(q, FGHM_ERROR_STRIDE, fields[k]);
            }
        }
        set_arrays(q);
    }
    request_free(q);
}

static void strides_beyond_the_address_space(void **state) {
    const int64_t bad[] = {INT64_MAX,     INT64_MIN,     INT64_MAX / 2, INT64_MIN / 2,
                           INT64_MAX / 4, INT64_MIN / 4, INT64_MIN / 8, INT64_MAX / 4 + 1};
    struct request *q = request_new(*state);
    for (int k = 0; k < kept(q); k++) {
        const int64_t plain[] = {6, q->arrays[k].extents[1] > 1 ? 2 : 0, 1};
        int64_t *const strides = strides_at(q, k);
        *layout_at(q, k) = FGHM_LAYOUT_STRIDED;
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            for (int axis = 0; axis < 3; axis++) {
                memcpy(strides, plain, sizeof plain);
                strides[axis] = bad[i];
                /* An array of samples has no stride there at all. */
                const bool of_class = axis == 1 && plain[1] == 0;
                assert_refused_at(q, FGHM_ERROR_STRIDE, fields[k],
                                  of_class ? FGHM_PLACE_AXIS : FGHM_PLACE_NONE, of_class ? 1 : -1);
            }
        }
        /* the sum of two axes */
        const int64_t half = INT64_MAX / 8 + 1;
        memcpy(strides, (const int64_t[]){half, plain[1], half}, sizeof plain);
        assert_refused(q, FGHM_ERROR_STRIDE, fields[k]);
        set_arrays(q);
    }
    request_free(q);
}

/* Along an axis with one element no stride matters. */
static void strides_of_single_elements(void **state) {
    struct request *q = request_of(*state, 1, CLASSES, 1, FGHM_F32);
    descriptor_stride_input(&q->b.logits, INT64_MIN, 1, INT64_MAX);
    descriptor_stride_output(&q->b.gradient, 0, 1, INT64_MIN);
    descriptor_stride_output(&q->b.element_loss, INT64_MAX, q->loss->softmax ? 0 : 1, 0);
    assert_taken(q);
    request_free(q);
}

/* Labels, and softmax weights and losses, have none along the class axis. */
static void class_strides_of_samples(void **state) {
    struct request *q = request_new(*state);
    if (q->loss->softmax) {
        for (int given = 0; given < 4; given++) {
            descriptor_stride_input(&q->b.targets, INNER, given == 1, 1);
            descriptor_stride_input(&q->b.weights, INNER, given == 2 ? INT64_MIN : 0, 1);
            descriptor_stride_output(&q->b.element_loss, INNER, given == 3 ? -1 : 0, 1);
            if (given == 0) {
                struct request *plain = request_new(*state);
                assert_taken(plain);
                assert_taken(q);
                assert_memory_equal(&plain->result, &q->result, sizeof q->result);
                request_free(plain);
            } else {
                assert_refused_at(q, FGHM_ERROR_STRIDE, fields[given], FGHM_PLACE_AXIS, 1);
            }
        }
    }
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Places. */

static void overlaps_are_refused(void **state) {
    struct request *q = request_new(*state);
    for (int k = INPUTS; k < kept(q); k++) {
        for (int i = 0; i < INPUTS; i++) {
            unsigned char *const at = q->arrays[i].first;
            const size_t last = (strided_count(&q->arrays[i]) - 1) * sizeof(float);
            const bool alike = strided_count(&q->arrays[i]) == strided_count(&q->arrays[k]);
            fghm_output *const to = output_at(q, k);
            const unsigned char *const shifted[] = {at + 4, at - 4, at + last, at - last, at + 1};
            for (size_t n = 0; n < SUITE_COUNT(shifted); n++) {
                to->data = (void *)(uintptr_t)shifted[n];
                if (alike) {
                    assert_overlap(q, fields[i], fields[k]);
                }
            }
            to->data = at;
            to->dtype = FGHM_F16;
            assert_overlap(q, fields[i], fields[k]);
            to->dtype = FGHM_F32;
            if (alike && q->arrays[k].extents[1] > 1) {
                descriptor_stride_output(to, 2, 4, 1); /* other places of the same elements */
                assert_overlap(q, fields[i], fields[k]);
                /* backwards: as many bytes */
                to->data = at + last;
                descriptor_stride_output(to, -6, -2, -1);
                assert_overlap(q, fields[i], fields[k]);
            }
            set_arrays(q);
        }
    }
    request_free(q);
}

/* Between each other's elements, but for a byte. */
static void outputs_that_meet_are_refused(void **state) {
    struct request *q = request_new(&focal_call);
    float rows[2 * ELEMENTS + 8];
    unsigned char *const bytes = (unsigned char *)rows;
    (void)state;
    q->b.gradient.data = rows;
    q->b.hessian.data = rows + 1;
    descriptor_stride_output(&q->b.gradient, 12, 4, 2);
    descriptor_stride_output(&q->b.hessian, 12, 4, 2);
    assert_taken(q);
    const size_t meeting[] = {0, 1, 2, 3, 5, 6, 7, 8};
    for (size_t k = 0; k < SUITE_COUNT(meeting); k++) {
        q->b.hessian.data = bytes + meeting[k];
        assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    }
    /* Narrower ones have more room. */
    q->b.hessian.dtype = FGHM_F16;
    descriptor_stride_output(&q->b.hessian, 24, 8, 4);
    const size_t between[] = {4, 6};
    for (size_t k = 0; k < SUITE_COUNT(between); k++) {
        q->b.hessian.data = bytes + between[k];
        assert_taken(q);
        q->b.hessian.data = bytes + between[k] + 4;
        assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    }
    /* Columns of rows: 6 elements each, then one in common. */
    q->b.hessian.dtype = FGHM_F32;
    descriptor_stride_output(&q->b.gradient, 12, 2, 1);
    descriptor_stride_output(&q->b.hessian, 12, 2, 1);
    q->b.hessian.data = rows + 6;
    assert_taken(q);
    q->b.hessian.data = rows + 5;
    assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    q->b.hessian.data = rows + 7;
    assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    /* Columns that go backwards. */
    descriptor_stride_output(&q->b.hessian, 12, -2, -1);
    q->b.hessian.data = rows + 11;
    assert_taken(q);
    q->b.hessian.data = rows + 6;
    assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    /* An input, too: from one side and from the other. */
    q->b.hessian.data = NULL;
    q->b.gradient.data = rows + 6;
    for (size_t k = 0; k < SUITE_COUNT(rows); k++) {
        rows[k] = 0.5f;
    }
    descriptor_stride_input(&q->b.logits, 12, 2, 1);
    for (int k = 0; k < 12; k++) {
        q->b.logits.data = rows + k;
        if (k == 0 || k == 6) { /* beside it, and in its place */
            assert_taken(q);
        } else {
            assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_LOGITS);
        }
    }
    q->b.logits = strided_input(&q->arrays[LOGITS]);
    q->b.gradient.data = rows;
    /* Rows of different lengths. */
    q->b.hessian.data = rows + 6;
    descriptor_stride_output(&q->b.hessian, 11, 2, 1);
    assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    request_free(q);
}

static void outputs_in_one_place_are_refused(void **state) {
    struct request *q = request_new(*state);
    for (int k = INPUTS; k < kept(q); k++) {
        for (int other = INPUTS; other < kept(q); other++) {
            if (k != other) {
                output_at(q, k)->data = q->arrays[other].first;
                assert_overlap(q, fields[k], fields[other]);
                output_at(q, k)->data = q->arrays[other].first + 4;
                assert_overlap(q, fields[k], fields[other]);
                if (q->arrays[k].extents[1] > 1 && q->arrays[other].extents[1] > 1) {
                    output_at(q, k)->data = q->arrays[0].first; /* two in one input's place */
                    output_at(q, other)->data = q->arrays[0].first;
                    assert_overlap(q, fields[k], fields[other]);
                }
                set_arrays(q);
            }
        }
    }
    request_free(q);
}

static void class_arrays_in_outputs_are_refused(void **state) {
    struct request *q = request_new(&focal_call);
    (void)state;
    for (int k = INPUTS; k < kept(q); k++) {
        double *const room = (double *)(void *)q->arrays[k].first;
        for (size_t c = 0; c < CLASSES; c++) {
            room[c] = 0.5;
        }
        q->b.class_alpha = room;
        assert_overlap(q, FGHM_FIELD_CLASS_ALPHA, fields[k]);
        q->b.class_alpha = q->class_alpha;
        q->b.class_weights = room;
        assert_overlap(q, FGHM_FIELD_CLASS_WEIGHTS, fields[k]);
        q->b.class_weights = q->class_weights;
        q->b.class_offsets = room;
        assert_overlap(q, FGHM_FIELD_CLASS_OFFSETS, fields[k]);
        q->b.class_offsets = NULL;
    }
    request_free(q);
}

/* Everything but the head is then as it was. */
static void results_in_arrays_are_refused(void **state) {
    for (int k = 0; k < KEPT + 3; k++) {
        union {
            fghm_result result;
            float numbers[64];
            double doubles[32];
        } room;
        struct request *q = request_new(*state);
        fghm_field field = k < KEPT ? fields[k] : FGHM_FIELD_CLASS_ALPHA;
        memset(&room, 0, sizeof room);
        room.result.size = sizeof room.result;
        if (k < INPUTS) {
            input_at(q, k)->data = room.numbers + 4;
        } else if (k < kept(q)) {
            output_at(q, k)->data = room.numbers + 4;
        } else if (k == KEPT && !q->loss->counts) {
            q->b.class_alpha = room.doubles + 3;
        } else if (k == KEPT + 1 && !q->loss->counts) {
            q->b.class_weights = room.doubles + 3;
            field = FGHM_FIELD_CLASS_WEIGHTS;
        } else if (k == KEPT + 2 && !q->loss->counts) {
            q->b.class_offsets = room.doubles + 3;
            field = FGHM_FIELD_CLASS_OFFSETS;
        } else {
            request_free(q);
            continue;
        }
        const fghm_result before = room.result;
        const struct descriptor_error want =
            descriptor_error_of_two(FGHM_ERROR_ALIASING, FGHM_FIELD_RESULT, field);
        fghm_status status;
        if (q->pass == COUNT) {
            status = fghm_ghm_count_batch(q->handle, NULL, &q->b, COUNTS, q->counts, &room.result);
        } else {
            status = (q->pass == APPLY) ? q->loss->apply(q->handle, NULL, &q->b, &room.result)
                                        : q->loss->batch(q->handle, NULL, &q->b, &room.result);
        }
        descriptor_assert_refused(status, &room.result, &before, &want, __LINE__);
        for (size_t n = offsetof(fghm_result, loss) / sizeof(float); n < SUITE_COUNT(room.numbers);
             n++) {
            assert_true(room.numbers[n] == 0.0f);
        }
        request_free(q);
    }
}

/* Results of the call with output k in the place of input i against those of a call with arrays
 * of their own. */
static void check_in_place(const struct call *call, const size_t shape[3], fghm_dtype dtype,
                           int variant, int k, int i) {
    struct request *q = request_of(call, shape[0], shape[1], shape[2], dtype);
    struct request *own = request_of(call, shape[0], shape[1], shape[2], dtype);
    struct request *const both[] = {q, own};
    if (q->arrays[k].extents[1] == q->arrays[i].extents[1] &&
        q->arrays[k].dtype == q->arrays[i].dtype) {
        for (int n = 0; n < 2; n++) {
            both[n]->b.class_alpha = both[n]->b.class_weights = NULL;
            if (!call->loss->counts && !call->loss->softmax) {
                assert_int_equal(fghm_focal_set_rule(both[n]->handle, variant), FGHM_OK);
            } else if (call->loss->counts && !call->loss->softmax && shape[1] == CLASSES) {
                set_histograms(both[n], variant ? CLASSES : 1);
            }
        }
        output_at(q, k)->data = q->arrays[i].first;
        assert_taken(own);
        assert_taken(q);
        for (int n = INPUTS; n < kept(q) && q->pass != COUNT; n++) {
            const struct strided *const got = &q->arrays[n == k ? i : n];
            assert_int_equal(strided_count(got), strided_count(&own->arrays[n]));
            assert_memory_equal(got->first, own->arrays[n].first,
                                strided_count(got) * strided_size(dtype));
        }
        assert_memory_equal(&q->result, &own->result, sizeof q->result);
    }
    request_free(q);
    request_free(own);
}

static void outputs_in_the_place_of_inputs(void **state) {
    const size_t shapes[][3] = {
        {OUTER, CLASSES, INNER}, {1, 1, 5003}, {2203, CLASSES, 1}, {3, CLASSES, 900}};
    const struct call *const call = *state;
    const int variants = call->loss->softmax ? 1 : call->loss->counts ? 2 : 4;
    for (size_t s = 0; s < SUITE_COUNT(shapes); s++) {
        for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
            if (call->loss->softmax && shapes[s][1] < CLASSES) {
                continue; /* there is no such label */
            }
            for (int k = INPUTS; k < (call->loss->counts ? KEPT : KEPT - 1); k++) {
                for (int i = 0; i < INPUTS; i++) {
                    for (int variant = 0; variant < variants; variant++) {
                        check_in_place(call, shapes[s], dtype, variant, k, i);
                    }
                }
            }
        }
    }
}

/* Three at once, and with strides. */
static void all_outputs_in_the_places_of_inputs(void **state) {
    struct request *q = request_new(*state), *own = request_new(*state);
    if (!q->loss->softmax) {
        assert_taken(own);
        for (int k = 0; k < INPUTS; k++) {
            output_at(q, INPUTS + k)->data = q->arrays[k].first;
            descriptor_stride_input(input_at(q, k), CLASSES * INNER, INNER, 1);
            descriptor_stride_output(output_at(q, INPUTS + k), CLASSES * INNER, INNER, 1);
        }
        assert_taken(q);
        for (int k = 0; k < INPUTS && q->pass != COUNT; k++) {
            assert_memory_equal(q->arrays[k].first, own->arrays[INPUTS + k].first,
                                ELEMENTS * sizeof(float));
        }
    }
    request_free(q);
    request_free(own);
}

/* -------------------------------------------------------------------------
 * Numbers. */

/* Every edge of every range, and what is just beyond, for each class. */
static void class_arrays_out_of_range(void **state) {
    double gamma[CLASSES] = {0};
    struct request *q = request_new(&focal_call);
    const struct {
        double *array;
        fghm_field field;
        double least, most;
    } factors[] = {
        {q->class_alpha, FGHM_FIELD_CLASS_ALPHA, 0x1p-40, 1.0},
        {q->class_weights, FGHM_FIELD_CLASS_WEIGHTS, 0x1p-40, 0x1p40},
        {gamma, FGHM_FIELD_CLASS_GAMMA, 0.0, 64.0},
    };
    const double inf = (double)INFINITY;
    (void)state;
    q->b.class_gamma = gamma;
    for (size_t k = 0; k < SUITE_COUNT(factors); k++) {
        const double least = factors[k].least, most = factors[k].most;
        const double list[] = {least,
                               nextafter(least, -inf),
                               nextafter(least, inf),
                               -least,
                               most,
                               nextafter(most, -inf),
                               nextafter(most, inf),
                               -most,
                               0.0,
                               -0.0,
                               DBL_TRUE_MIN,
                               -DBL_TRUE_MIN,
                               DBL_MIN,
                               -DBL_MIN,
                               1.0,
                               -1.0,
                               DBL_MAX,
                               -DBL_MAX,
                               inf,
                               -inf,
                               (double)NAN,
                               -(double)NAN};
        for (size_t c = 0; c < CLASSES; c++) {
            for (size_t i = 0; i < SUITE_COUNT(list); i++) {
                factors[k].array[c] = list[i];
                if ((list[i] >= least && list[i] <= most) || list[i] == 0.0) {
                    assert_taken(q);
                } else {
                    assert_refused_at(q, FGHM_ERROR_RANGE, factors[k].field, FGHM_PLACE_CLASS,
                                      (int64_t)c);
                }
            }
            factors[k].array[c] = 1.0;
        }
    }
    q->b.class_gamma = NULL;
    request_free(q);
}

static void offsets_of_classes(void **state) {
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    const double good[] = {0.0, -0.0, DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, -7.5};
    double offsets[CLASSES] = {0};
    struct request *q = request_new(&focal_call);
    (void)state;
    q->b.class_offsets = offsets;
    for (size_t c = 0; c < CLASSES; c++) {
        for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
            offsets[c] = bad[k];
            assert_refused_at(q, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_OFFSETS, FGHM_PLACE_CLASS,
                              (int64_t)c);
        }
        for (size_t k = 0; k < SUITE_COUNT(good); k++) {
            offsets[c] = good[k];
            assert_taken(q);
        }
    }
    request_free(q);
}

/* Labels that are no class, for each dtype and convention. */
static void check_labels(const struct call *call, fghm_dtype dtype, fghm_background background) {
    const bool softmax = call->loss->softmax;
    const int64_t low = background == FGHM_BACKGROUND_FIRST && !softmax ? 1 : 0;
    const int64_t last = CLASSES - 1 + low;
    const int64_t bad[] = {CLASSES + 1,
                           CLASSES,
                           -1,
                           -2,
                           255,
                           INT32_MAX,
                           INT32_MIN,
                           INT64_C(0x100000000),
                           INT64_C(0x100000001),
                           INT64_MAX - 1023};
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        const bool is_background =
            !softmax && ((background == FGHM_BACKGROUND_LAST && bad[k] == CLASSES) ||
                         (background == FGHM_BACKGROUND_MINUS_ONE && bad[k] == -1));
        const bool fits = dtype == FGHM_I64 ||
                          (dtype == FGHM_I32 && bad[k] >= INT32_MIN && bad[k] <= INT32_MAX) ||
                          (dtype == FGHM_U8 && bad[k] >= 0 && bad[k] <= 255);
        if (is_background || !fits || (bad[k] >= low && bad[k] <= last)) {
            continue;
        }
        for (size_t at = 0; at < SAMPLES; at++) {
            struct request *q = request_new(call);
            if (softmax) {
                use_softmax(q, dtype);
            } else {
                use_labels(q, dtype);
            }
            if (call->loss->counts && !softmax && at % 2) {
                set_histograms(q, CLASSES);
            }
            for (size_t n = 0; n < SAMPLES; n++) {
                strided_set(&q->arrays[TARGETS], n, (double)(n % CLASSES) + (double)low);
            }
            q->b.background = background;
            assert_taken(q);
            strided_set(&q->arrays[TARGETS], at, (double)bad[k]);
            strided_set(&q->arrays[TARGETS], SAMPLES - 1, (double)bad[k]); /* a later one, too */
            assert_refused_at(q, FGHM_ERROR_LABEL, FGHM_FIELD_TARGETS, FGHM_PLACE_SAMPLE,
                              (int64_t)at);
            q->b.ignore_index = bad[k]; /* unless it is ignored */
            assert_taken(q);
            request_free(q);
        }
    }
}

static void labels_out_of_range(void **state) {
    const struct call *const call = *state;
    for (fghm_dtype dtype = FGHM_U8; dtype <= FGHM_I64 && !call->loss->regression; dtype++) {
        for (fghm_background background = 0; background < 4; background++) {
            if (!(call->loss->softmax && background == FGHM_BACKGROUND_MINUS_ONE)) {
                check_labels(call, dtype, background);
            }
        }
    }
}

/* Far into a batch that several threads work on, the first of several. */
static void offenders_of_many_samples(void **state) {
    enum { MANY = 40000 };
    const struct call *const call = *state;
    fghm_pool *const pool = pool_of(3);
    if (call->loss->regression) {
        return;
    }
    struct request *q = request_of(call, MANY, CLASSES, 1, FGHM_F32);
    if (!call->loss->softmax) {
        use_labels(q, FGHM_I32);
    }
    strided_set(&q->arrays[TARGETS], 31234, -7);
    strided_set(&q->arrays[TARGETS], 22345, 3);
    strided_set(&q->arrays[TARGETS], 39999, 3);
    assert_refused_at(q, FGHM_ERROR_LABEL, FGHM_FIELD_TARGETS, FGHM_PLACE_SAMPLE, 22345);
    assert_int_equal(run_with(q, q->handle, pool, &q->b), FGHM_ERROR_LABEL);
    assert_int_equal(q->result.offender, 22345);
    request_free(q);
    fghm_pool_destroy(pool);
}

/* The first of its kind, also of many and with threads. */
static void offenders_of_many_elements(void **state) {
    enum { MANY = 50000 };
    const struct call *const call = *state;
    fghm_pool *const pool = pool_of(3);
    if (call->loss->softmax || call->loss->regression) {
        return;
    }
    struct request *q = request_of(call, MANY, 1, 1, FGHM_F32);
    strided_set(&q->arrays[TARGETS], 49999, 2.0);
    strided_set(&q->arrays[TARGETS], 31313, 2.0); /* another tile of the same segment */
    strided_set(&q->arrays[TARGETS], 29001, 2.0);
    strided_set(&q->arrays[TARGETS], 29000, (double)NAN);
    for (int threads = 0; threads < 2; threads++) {
        assert_int_equal(run_with(q, q->handle, threads ? pool : NULL, &q->b), FGHM_ERROR_TARGET);
        assert_int_equal(q->result.offender, 29001);
    }
    request_free(q);
    fghm_pool_destroy(pool);
}

/* The call does the rest: like one where nothing is wrong at `at`, except there.  `good` is what
 * stands there in that one. */
static void assert_rest_done(struct request *q, int array, size_t at, double bad, double good,
                             fghm_status status) {
    const struct strided *const a = &q->arrays[array];
    const size_t count = strided_count(&q->arrays[LOSSES]);
    const size_t results = (size_t)(kept(q) - INPUTS);
    const struct descriptor_error want = {status, fields[array], FGHM_FIELD_NONE,
                                          FGHM_PLACE_ELEMENT, (int64_t)at};
    unsigned char state[STATE_MAX], after[STATE_MAX];
    double *const before = malloc(results * count * sizeof *before), sum = 0.0;
    assert_non_null(before);
    strided_set(a, at, good);
    assert_taken(q);
    for (size_t k = 0; k < results * count; k++) {
        before[k] = strided_at(&q->arrays[INPUTS + k / count], k % count);
    }
    strided_set(a, at, bad);
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
    save_state(q, state);
    descriptor_assert_error(run(q), &q->result, &want, __LINE__);
    save_state(q, after);
    assert_memory_equal(state, after, sizeof state);
    assert_int_equal(q->result.filled, sizeof q->result);
    for (size_t k = 0; k < results * count; k++) {
        const double got = strided_at(&q->arrays[INPUTS + k / count], k % count);
        if (k % count != at) {
            assert_true(got == before[k]);
            sum += k < count ? got : 0.0;
        } else {
            assert_true(isnan(got));
        }
    }
    /* The sum is of the losses before they are rounded. */
    assert_true(fabs(q->result.sum - sum) <= 0.01 * sum);
    assert_true(q->result.loss == q->result.sum / q->result.divisor);
    assert_int_equal(q->result.elements, count);
    free(before);
    strided_set(a, at, good);
}

enum { VARIANTS = 6 };

static struct request *request_for_numbers(const struct call *call, fghm_dtype dtype, int variant) {
    struct request *q = request_of(call, OUTER, CLASSES, INNER, dtype);
    const double smoothings[] = {0.0, 0.0, 0.5, 1.0, 0.0, 0.0};
    q->b.label_smoothing = smoothings[variant];
    if (variant == 2) {
        q->b.class_alpha = q->b.class_weights = NULL;
    }
    if (call->loss->counts) {
        set_histograms(q, variant % 2 ? CLASSES : 1);
        return q;
    }
    q->b.activation = variant == 4 ? FGHM_PROBABILITY : FGHM_SIGMOID;
    if (variant == 1) {
        assert_int_equal(fghm_focal_set_negative_gamma(q->handle, 0.5), FGHM_OK);
    }
    if (variant == 5) {
        assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    }
    return q;
}

/* Counting writes nothing then; every other pass does the rest. */
static void check_target(struct request *q, size_t at, double bad) {
    if (q->loss->counts && q->pass != APPLY) {
        strided_set(&q->arrays[TARGETS], at, bad);
        assert_refused_at(q, FGHM_ERROR_TARGET, FGHM_FIELD_TARGETS, FGHM_PLACE_ELEMENT,
                          (int64_t)at);
        strided_set(&q->arrays[TARGETS], at, 1.0);
    } else {
        assert_rest_done(q, TARGETS, at, bad, 1.0, FGHM_ERROR_TARGET);
    }
}

static void targets_out_of_range(void **state) {
    const double bad[] = {-0.125, 1.0625, 2.0, -1.0, (double)INFINITY, -(double)INFINITY};
    const struct call *const call = *state;
    const bool dense = !call->loss->softmax && !call->loss->regression;
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16 && dense; dtype++) {
        for (int variant = 0; variant < VARIANTS; variant++) {
            for (size_t at = 0; at < ELEMENTS; at++) {
                struct request *q = request_for_numbers(call, dtype, variant);
                for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
                    check_target(q, at, bad[k]);
                }
                request_free(q);
            }
        }
    }
}

static void integer_targets_out_of_range(void **state) {
    const double bad[] = {2.0, 255.0, -1.0, -2147483648.0, 4294967296.0};
    const struct call *const call = *state;
    const bool dense = !call->loss->softmax && !call->loss->regression;
    for (fghm_dtype dtype = FGHM_U8; dtype <= FGHM_I64 && dense; dtype++) {
        for (size_t at = 0; at < ELEMENTS; at++) {
            struct request *q = request_new(call);
            const size_t kinds[] = {2, 4, 5};
            new_array(q, TARGETS, dtype, false);
            for (size_t k = 0; k < ELEMENTS; k++) {
                strided_set(&q->arrays[TARGETS], k, (double)(k % 2));
            }
            set_arrays(q);
            for (size_t k = 0; k < kinds[dtype - FGHM_U8]; k++) {
                check_target(q, at, bad[k]);
            }
            request_free(q);
        }
    }
}

/* Of two, in an order that is not that of the classes, the first is told. */
static void first_of_two_targets(void **state) {
    const struct call *const call = *state;
    const size_t first = 1 * INNER + 1, second = CLASSES * INNER;
    for (size_t histograms = 1; histograms <= CLASSES; histograms += CLASSES - 1) {
        struct request *q = request_new(call);
        if (!call->loss->softmax && !call->loss->regression) {
            if (call->loss->counts) {
                set_histograms(q, histograms);
            }
            strided_set(&q->arrays[TARGETS], first, 1.5);
            strided_set(&q->arrays[TARGETS], second, -0.5);
            assert_int_equal(run(q), FGHM_ERROR_TARGET);
            assert_int_equal(q->result.offender, first);
        }
        request_free(q);
    }
}

/* A target that is ignored, or masked, is not looked at; GHM-R takes any. */
static void targets_that_do_not_matter(void **state) {
    const struct call *const call = *state;
    for (int masked = 0; masked < 2; masked++) {
        struct request *q = request_new(call);
        if (!call->loss->softmax && (call->loss->counts || !masked)) {
            strided_set(&q->arrays[TARGETS], 3, masked ? 1.5 : -7.0);
            strided_set(&q->arrays[TARGETS], 8, masked ? -0.5 : -7.0);
            q->b.ignore_index = masked ? FGHM_IGNORE_NONE : -7;
            for (size_t k = 3; k < ELEMENTS && masked && !call->loss->regression; k += 5) {
                strided_set(&q->arrays[WEIGHTS], k, 0.0);
            }
            assert_taken(q);
        }
        request_free(q);
    }
}

/* Focal-star is defined for 0 and 1 alone. */
static void soft_targets_of_star(void **state) {
    struct request *q = request_for_numbers(&focal_call, FGHM_F32, 5);
    (void)state;
    assert_rest_done(q, TARGETS, 7, 0.5, 1.0, FGHM_ERROR_TARGET);
    request_free(q);
}

/* NaN stays in its own element, and out of the sum of the weights. */
static void any_weight_is_fine(void **state) {
    const double any[] = {-1.0, -0.125, -0.0, 0.0, 0x1p-14, (double)NAN};
    (void)state;
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
        for (int variant = 0; variant < VARIANTS; variant++) {
            for (size_t at = 0; at < ELEMENTS; at++) {
                struct request *q = request_for_numbers(&focal_call, dtype, variant);
                double others = 0.0, before[OUTPUTS * ELEMENTS];
                assert_taken(q);
                for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                    before[k] = strided_at(&q->arrays[INPUTS + k / ELEMENTS], k % ELEMENTS);
                    others += k < ELEMENTS && k != at ? strided_at(&q->arrays[WEIGHTS], k) : 0.0;
                }
                for (size_t n = 0; n < SUITE_COUNT(any); n++) {
                    strided_set(&q->arrays[WEIGHTS], at, any[n]);
                    assert_taken(q);
                    assert_int_equal(isnan(q->result.loss) != 0, isnan(any[n]) != 0);
                    assert_true(q->result.sum_weights == others + (isnan(any[n]) ? 0.0 : any[n]));
                    for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                        const double got =
                            strided_at(&q->arrays[INPUTS + k / ELEMENTS], k % ELEMENTS);
                        assert_true(k % ELEMENTS != at ? got == before[k]
                                                       : !isnan(got) == !isnan(any[n]));
                    }
                }
                request_free(q);
            }
        }
    }
}

static void any_weight_of_softmax_is_fine(void **state) {
    const double any[] = {-1.0, 0.0, (double)NAN};
    (void)state;
    for (size_t at = 0; at < OUTER * INNER; at++) {
        for (size_t n = 0; n < SUITE_COUNT(any); n++) {
            struct request *q = request_new(&focal_call);
            use_softmax(q, FGHM_I32);
            strided_set(&q->arrays[WEIGHTS], at, any[n]);
            assert_taken(q);
            for (size_t k = 0; k < ELEMENTS; k++) {
                const size_t sample = k / INNER / CLASSES * INNER + k % INNER;
                const int wrong = isnan(any[n]) && sample == at;
                assert_int_equal(isnan(strided_at(&q->arrays[GRADIENTS], k)) != 0, wrong);
                assert_int_equal(isnan(strided_at(&q->arrays[LOSSES], sample)) != 0, wrong);
            }
            request_free(q);
        }
    }
}

static void probabilities_out_of_range(void **state) {
    const double bad[] = {-0.125, 1.125, (double)INFINITY, -(double)INFINITY, -1e-7};
    (void)state;
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
        for (size_t at = 0; at < ELEMENTS; at++) {
            for (int split = 0; split < 2; split++) {
                struct request *q = request_for_numbers(&focal_call, dtype, 4);
                if (split) {
                    assert_int_equal(fghm_focal_set_rule(q->handle, FGHM_FOCAL_RULE_SPLIT),
                                     FGHM_OK);
                }
                for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
                    assert_rest_done(q, LOGITS, at, bad[k], 0.5, FGHM_ERROR_PROBABILITY);
                }
                request_free(q);
            }
        }
    }
}

/* NaN among logits, probabilities or targets is no error: NaN there, and in the loss. */
static void nan_is_no_error(void **state) {
    (void)state;
    for (int variant = 0; variant < VARIANTS; variant++) {
        for (int i = 0; i < 2; i++) {
            struct request *q = request_for_numbers(&focal_call, FGHM_F32, variant);
            strided_set(&q->arrays[i], 5, (double)NAN);
            assert_taken(q);
            assert_true(isnan(q->result.loss));
            for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                const double got = strided_at(&q->arrays[INPUTS + k / ELEMENTS], k % ELEMENTS);
                assert_int_equal(isnan(got) != 0, k % ELEMENTS == 5);
            }
            request_free(q);
        }
    }
}

/* The plain calls have no weights that are wrong, whatever the rule. */
static void plain_calls_take_any_weight(void **state) {
    (void)state;
    for (fghm_focal_rule rule = 0; rule < 4; rule++) {
        for (int mode = 0; mode < 4; mode++) {
            const struct dtype *const d = &dtypes[mode / 2];
            fghm_focal *focal = focal_handle(
                2.0, 0.25, mode % 2 ? FGHM_REDUCTION_MEAN_POSITIVES : FGHM_REDUCTION_MEAN);
            struct batch b = batch_new(d, 40);
            assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
            b.weights = dtype_array(d, b.n);
            for (size_t k = 0; k < b.n; k++) {
                batch_put(&b, k, (double)k / 8.0, (double)(k % 2));
                d->put(b.weights, k, k == 3 ? -2.0 : 1.0);
            }
            assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
            assert_true(d->get(b.out[ELEMENT_LOSS], 3) < 0.0);
            assert_true(isfinite(b.loss));
            d->put(b.weights, 5, (double)NAN);
            assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
            assert_true(isnan(d->get(b.out[GRADIENT], 5)) && isnan(b.loss));
            batch_free(&b);
            fghm_focal_destroy(focal);
        }
    }
}

static void for_ghm(void **state) {
    const struct call *const call = *state;
    if (call->loss->counts) {
        combinations_of_ghm(state);
    }
}

int main(int argument_count, char **arguments) {
    static const char *const passes[] = {"", "_count", "_apply"};
    static struct call calls[LOSS_COUNT * PASSES];
    static struct suite_variant variants[LOSS_COUNT * PASSES];
    static char names[LOSS_COUNT * PASSES][32];
    const struct suite_test tests[] = {
        {"the_request_is_fine", the_request_is_fine, 1},
        {"null_pointers", null_pointers, 1},
        {"small_capacities", small_capacities, 1},
        {"no_output", no_output, 1},
        {"no_elements", no_elements, 1},
        {"fields_that_are_wrong", fields_that_are_wrong, 1},
        {"layouts_that_are_wrong", layouts_that_are_wrong, 1},
        {"label_smoothing_bounds", label_smoothing_bounds, 1},
        {"dtypes_of_arrays", dtypes_of_arrays, 1},
        {"sizes", sizes, 1},
        {"strides_of_outputs", strides_of_outputs, 1},
        {"strides_beyond_the_address_space", strides_beyond_the_address_space, 1},
        {"strides_of_single_elements", strides_of_single_elements, 1},
        {"class_strides_of_samples", class_strides_of_samples, 1},
        {"overlaps_are_refused", overlaps_are_refused, 1},
        {"outputs_in_one_place_are_refused", outputs_in_one_place_are_refused, 1},
        {"results_in_arrays_are_refused", results_in_arrays_are_refused, 1},
        {"outputs_in_the_place_of_inputs", outputs_in_the_place_of_inputs, 1},
        {"all_outputs_in_the_places_of_inputs", all_outputs_in_the_places_of_inputs, 1},
        {"labels_out_of_range", labels_out_of_range, 1},
        {"offenders_of_many_samples", offenders_of_many_samples, 1},
        {"offenders_of_many_elements", offenders_of_many_elements, 1},
        {"targets_out_of_range", targets_out_of_range, 1},
        {"integer_targets_out_of_range", integer_targets_out_of_range, 1},
        {"first_of_two_targets", first_of_two_targets, 1},
        {"targets_that_do_not_matter", targets_that_do_not_matter, 1},
        {"combinations_of_ghm", for_ghm, 1},
        {"offsets_of_classes", offsets_of_classes, 0},
        {"combinations_of_focal", combinations_of_focal, 0},
        {"combinations_of_soft_samples", combinations_of_soft_samples, 0},
        {"combinations_of_family", combinations_of_family, 0},
        {"settings_that_softmax_has_not", settings_that_softmax_has_not, 0},
        {"plain_calls_have_one_histogram", plain_calls_have_one_histogram, 0},
        {"outputs_that_meet_are_refused", outputs_that_meet_are_refused, 0},
        {"class_arrays_in_outputs_are_refused", class_arrays_in_outputs_are_refused, 0},
        {"class_arrays_out_of_range", class_arrays_out_of_range, 0},
        {"soft_targets_of_star", soft_targets_of_star, 0},
        {"any_weight_is_fine", any_weight_is_fine, 0},
        {"any_weight_of_softmax_is_fine", any_weight_of_softmax_is_fine, 0},
        {"probabilities_out_of_range", probabilities_out_of_range, 0},
        {"nan_is_no_error", nan_is_no_error, 0},
        {"plain_calls_take_any_weight", plain_calls_take_any_weight, 0},
    };
    const int verdict = suite_check_isa();
    size_t n = 0;
    for (size_t k = 0; k < SUITE_COUNT(calls); k++) {
        const struct loss *const loss = &all_losses[k / PASSES];
        if (loss->counts || k % PASSES == WHOLE) {
            calls[n] = (struct call){loss, (enum pass)(k % PASSES)};
            snprintf(names[n], sizeof names[n], "%s%s", loss->name, passes[k % PASSES]);
            variants[n] = (struct suite_variant){names[n], &calls[n], NULL};
            n++;
        }
    }
    return verdict != 0 ? verdict
                        : suite_run_variants(argument_count, arguments, "batch_errors", variants, n,
                                             tests, SUITE_COUNT(tests));
}
