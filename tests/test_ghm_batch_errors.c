/* SPDX-License-Identifier: MIT */

/* What GHM over batches refuses, and that outputs, counts, result and handle are then as they
 * were.  What it has in common with fghm_focal_batch is in test_batch_errors at length, and
 * here once for each status. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/strided.h"
#include "support/suite.h"

enum { OUTER = 3, CLASSES = 4, INNER = 2, BINS = 10, RESULTS = 4 };
enum { SAMPLES = OUTER * INNER, ELEMENTS = SAMPLES * CLASSES };
enum { SIZE_ALL = CLASSES * (BINS + 1), STATE_MAX = 4096, COUNT_FILL = 1000 };

enum { HARMONIZING = RESULTS - 1 };
enum call { STEP, COUNT, APPLY, CALLS };

static const char *const call_names[] = {"step", "count", "apply"};

/* A call that is fine, until a test changes something. */
struct request {
    fghm_ghm *ghm;
    bool regression, with_handle, with_batch, with_counts, with_result;
    fghm_batch b;
    fghm_result result;
    struct strided logits, targets, outputs[RESULTS];
    int32_t labels[SAMPLES];
    double factors[CLASSES];
    uint64_t counts[SIZE_ALL];
    size_t capacity;
};

static void set_arrays(struct request *q) {
    fghm_output *const outputs[RESULTS] = {&q->b.element_loss, &q->b.gradient, &q->b.hessian,
                                           &q->b.harmonizing_weight};
    q->b.logits = strided_input(&q->logits);
    q->b.targets = strided_input(&q->targets);
    for (int k = 0; k < RESULTS; k++) {
        *outputs[k] = strided_output(&q->outputs[k]);
    }
}

/* With a history, so that a handle which has changed is seen. */
static struct request *request_new(bool regression) {
    struct request *const q = calloc(1, sizeof *q);
    assert_non_null(q);
    q->ghm = regression ? ghmr_handle(BINS, FGHM_REDUCTION_MEAN)
                        : ghmc_handle(BINS, FGHM_REDUCTION_MEAN);
    q->regression = regression;
    q->with_handle = q->with_batch = q->with_counts = q->with_result = true;
    assert_int_equal(fghm_ghm_set_momentum(q->ghm, 0.5), FGHM_OK);
    q->b = descriptor_of(OUTER, CLASSES, INNER);
    q->logits = strided_plain(FGHM_F32, OUTER, CLASSES, INNER);
    q->targets = strided_plain(FGHM_F32, OUTER, CLASSES, INNER);
    for (int k = 0; k < RESULTS; k++) {
        q->outputs[k] = strided_plain(FGHM_F32, OUTER, CLASSES, INNER);
    }
    for (size_t k = 0; k < ELEMENTS; k++) {
        strided_set(&q->logits, k, (double)(k % 13) / 4.0 - 1.5);
        strided_set(&q->targets, k, k % 3 == 0 ? 1.0 : 0.0);
        q->labels[k % SAMPLES] = (int32_t)(k % CLASSES);
        q->factors[k % CLASSES] = 0.5;
    }
    set_arrays(q);
    assert_int_equal(fghm_ghm_step_batch(q->ghm, NULL, &q->b, NULL), FGHM_OK);
    for (int k = 0; k < RESULTS; k++) {
        guarded_fill(&q->outputs[k].memory, STRIDED_FILL);
    }
    for (size_t k = 0; k < SIZE_ALL; k++) {
        q->counts[k] = COUNT_FILL + k;
    }
    q->capacity = SIZE_ALL;
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
    return q;
}

/* Again with a history. */
static void set_histograms(struct request *q, size_t histograms) {
    uint64_t counts[SIZE_ALL];
    for (size_t k = 0; k < SIZE_ALL; k++) {
        counts[k] = k % 7;
    }
    assert_int_equal(fghm_ghm_reset(q->ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_set_histograms(q->ghm, histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_update(q->ghm, SIZE_ALL, counts), FGHM_OK);
}

static void request_free(struct request *q) {
    strided_free(&q->logits);
    strided_free(&q->targets);
    for (int k = 0; k < RESULTS; k++) {
        strided_free(&q->outputs[k]);
    }
    fghm_ghm_destroy(q->ghm);
    free(q);
}

static fghm_status run(struct request *q, enum call call) {
    fghm_ghm *const ghm = q->with_handle ? q->ghm : NULL;
    const fghm_batch *const b = q->with_batch ? &q->b : NULL;
    fghm_result *const result = q->with_result ? &q->result : NULL;
    uint64_t *const counts = q->with_counts ? q->counts : NULL;
    switch (call) {
    case STEP:
        return fghm_ghm_step_batch(ghm, NULL, b, result);
    case COUNT:
        return fghm_ghm_count_batch(ghm, NULL, b, q->capacity, counts, result);
    default:
        return fghm_ghm_apply_batch(ghm, NULL, b, result);
    }
}

struct state {
    size_t size;
    unsigned char bytes[STATE_MAX];
};

static struct state state_of(const fghm_ghm *ghm) {
    struct state s = {.size = 0};
    assert_int_equal(fghm_ghm_get_state_size(ghm, &s.size), FGHM_OK);
    assert_true(s.size <= sizeof s.bytes);
    assert_int_equal(fghm_ghm_save(ghm, sizeof s.bytes, s.bytes), FGHM_OK);
    return s;
}

/* Where the error is, which is not promised. */
#define ANYWHERE FGHM_FIELD_INVALID

static void assert_refused(struct request *q, enum call call, const char *what,
                           const struct descriptor_error *want) {
    const struct state state = state_of(q->ghm);
    const fghm_result before = q->result;
    const fghm_status got = run(q, call);
    const struct state after = state_of(q->ghm);
    if (got != want->status) {
        fail_msg("%s, GHM-%c %s: \"%s\", expected \"%s\"", what, q->regression ? 'R' : 'C',
                 call_names[call], fghm_status_string(got), fghm_status_string(want->status));
    }
    if (want->field != ANYWHERE && q->with_result) {
        descriptor_assert_refused(got, &q->result, &before, want, __LINE__);
    }
    assert_int_equal(after.size, state.size);
    assert_memory_equal(after.bytes, state.bytes, state.size);
    for (size_t k = 0; k < SIZE_ALL; k++) {
        assert_int_equal(q->counts[k], COUNT_FILL + k);
    }
    for (int k = 0; k < RESULTS; k++) {
        if (!strided_untouched(&q->outputs[k])) {
            fail_msg("%s, %s: output %d is written", what, call_names[call], k);
        }
    }
}

/* -------------------------------------------------------------------------
 * One change, one status. */

static void no_handle(struct request *q) {
    q->with_handle = false;
}

static void no_batch(struct request *q) {
    q->with_batch = false;
}

static void no_counts(struct request *q) {
    q->with_counts = false;
}

static void no_logits(struct request *q) {
    q->b.logits.data = NULL;
}

static void no_targets(struct request *q) {
    q->b.targets.data = NULL;
}

static void no_outputs(struct request *q) {
    q->b.element_loss.data = q->b.gradient.data = q->b.hessian.data = NULL;
    q->b.harmonizing_weight.data = NULL;
    q->with_result = false;
}

static void small_capacity(struct request *q) {
    q->capacity = BINS;
}

static void small_capacity_apart(struct request *q) {
    set_histograms(q, CLASSES);
    q->capacity = SIZE_ALL - 1;
}

static void small_descriptor(struct request *q) {
    q->b.size--;
}

static void small_result(struct request *q) {
    q->result.size--;
}

static void no_tag(struct request *q) {
    q->b.tag = 0;
}

static void unknown_flag(struct request *q) {
    q->b.flags = 2;
}

static void strides_unused(struct request *q) {
    q->b.harmonizing_weight.strides[2] = 1;
}

static void weights_per_sample(struct request *q) {
    q->b.harmonizing_weight.layout = FGHM_LAYOUT_PER_SAMPLE;
}

static void class_axis_beyond(struct request *q) {
    q->b.class_axis = 3;
}

static void extent_unset(struct request *q) {
    q->b.shape[2] = FGHM_UNSET;
}

static void unknown_activation(struct request *q) {
    q->b.activation = 3;
}

static void unknown_target_form(struct request *q) {
    q->b.target_form = 3;
}

static void unknown_background(struct request *q) {
    q->b.background = 4;
}

static void smoothing_above_1(struct request *q) {
    q->b.label_smoothing = 1.5;
}

static void integer_logits(struct request *q) {
    q->b.logits.dtype = FGHM_I32;
}

static void integer_weights_out(struct request *q) {
    q->b.harmonizing_weight.dtype = FGHM_U8;
}

static void repeating_weights_out(struct request *q) {
    descriptor_stride_output(&q->b.harmonizing_weight, 0, INNER, 1);
}

static void too_many(struct request *q) {
    q->b.shape[0] = INT64_MAX / 4;
}

static void outputs_in_one_place(struct request *q) {
    q->b.harmonizing_weight = q->b.gradient;
}

static void shifted_in_place(struct request *q) {
    q->b.harmonizing_weight.data = q->logits.first + sizeof(float);
}

static void class_alpha(struct request *q) {
    q->b.class_alpha = q->factors;
}

static void class_weights(struct request *q) {
    q->b.class_weights = q->factors;
}

static void class_gamma(struct request *q) {
    q->b.class_gamma = q->factors;
}

static void class_offsets(struct request *q) {
    q->b.class_offsets = q->factors;
}

static void probabilities(struct request *q) {
    q->b.activation = FGHM_PROBABILITY;
}

static void background_without_labels(struct request *q) {
    q->b.background = FGHM_BACKGROUND_LAST;
}

static void softmax_without_labels(struct request *q) {
    q->b.activation = FGHM_SOFTMAX;
}

static void labels(struct request *q) {
    q->b.target_form = FGHM_TARGET_LABEL;
    q->b.targets = (fghm_input){.data = q->labels, .dtype = FGHM_I32};
}

static void softmax(struct request *q) {
    labels(q);
    q->b.activation = FGHM_SOFTMAX;
}

static void smoothing(struct request *q) {
    q->b.label_smoothing = 0.25;
}

static void softmax_with_smoothing(struct request *q) {
    softmax(q);
    smoothing(q);
}

static void softmax_with_minus_one(struct request *q) {
    softmax(q);
    q->b.background = FGHM_BACKGROUND_MINUS_ONE;
}

static void softmax_without_class_axis(struct request *q) {
    softmax(q);
    q->b.class_axis = FGHM_AXIS_NONE;
}

static void softmax_apart(struct request *q) {
    softmax(q);
    set_histograms(q, CLASSES);
}

static void histograms_unlike_classes(struct request *q) {
    set_histograms(q, CLASSES - 1);
}

static void histograms_without_classes(struct request *q) {
    set_histograms(q, CLASSES);
    q->b.class_axis = FGHM_AXIS_NONE;
}

static void wrong_label(struct request *q) {
    labels(q);
    q->labels[2] = CLASSES;
    q->labels[4] = -1;
}

static void wrong_label_of_softmax(struct request *q) {
    wrong_label(q);
    q->b.activation = FGHM_SOFTMAX;
}

static void wrong_label_apart(struct request *q) {
    wrong_label(q);
    set_histograms(q, CLASSES);
}

#define ALL_CALLS ((1u << CALLS) - 1)

/* FGHM_OK: it is fine there. */
static const struct trial {
    const char *name;
    void (*change)(struct request *q);
    fghm_status ghmc, ghmr;
    unsigned calls;
    fghm_field field, other_field;
    fghm_place place;
    int64_t offender;
} trials[] = {
    {"no handle", no_handle, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_HANDLE, ALL_CALLS, ANYWHERE,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"no batch", no_batch, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS,
     FGHM_FIELD_BATCH, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"no counts", no_counts, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, 1u << COUNT,
     FGHM_FIELD_COUNTS, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"no logits", no_logits, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS,
     FGHM_FIELD_LOGITS, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"no targets", no_targets, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS,
     FGHM_FIELD_TARGETS, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"no outputs", no_outputs, FGHM_ERROR_NO_OUTPUT, FGHM_ERROR_NO_OUTPUT, 1u << APPLY, ANYWHERE,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"capacity", small_capacity, FGHM_ERROR_CAPACITY, FGHM_ERROR_CAPACITY, 1u << COUNT,
     FGHM_FIELD_CAPACITY, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"capacity, apart", small_capacity_apart, FGHM_ERROR_CAPACITY, FGHM_ERROR_CAPACITY, 1u << COUNT,
     FGHM_FIELD_CAPACITY, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"size", small_descriptor, FGHM_ERROR_STRUCT, FGHM_ERROR_STRUCT, ALL_CALLS, FGHM_FIELD_SIZE,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"size of the result", small_result, FGHM_ERROR_STRUCT, FGHM_ERROR_STRUCT, ALL_CALLS, ANYWHERE,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"tag", no_tag, FGHM_ERROR_UNINITIALIZED, FGHM_ERROR_UNINITIALIZED, ALL_CALLS, FGHM_FIELD_TAG,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"flags", unknown_flag, FGHM_ERROR_CONSTANT, FGHM_ERROR_CONSTANT, ALL_CALLS, FGHM_FIELD_FLAGS,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"unused strides", strides_unused, FGHM_ERROR_LAYOUT, FGHM_ERROR_LAYOUT, ALL_CALLS,
     FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"weights per sample", weights_per_sample, FGHM_ERROR_LAYOUT, FGHM_ERROR_LAYOUT, ALL_CALLS,
     FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"class axis", class_axis_beyond, FGHM_ERROR_RANGE, FGHM_ERROR_RANGE, ALL_CALLS,
     FGHM_FIELD_CLASS_AXIS, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"activation", unknown_activation, FGHM_ERROR_CONSTANT, FGHM_ERROR_CONSTANT, ALL_CALLS,
     FGHM_FIELD_ACTIVATION, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"target form", unknown_target_form, FGHM_ERROR_CONSTANT, FGHM_ERROR_CONSTANT, ALL_CALLS,
     FGHM_FIELD_TARGET_FORM, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"background", unknown_background, FGHM_ERROR_CONSTANT, FGHM_ERROR_CONSTANT, ALL_CALLS,
     FGHM_FIELD_BACKGROUND, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"smoothing above 1", smoothing_above_1, FGHM_ERROR_RANGE, FGHM_ERROR_RANGE, ALL_CALLS,
     FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"integer logits", integer_logits, FGHM_ERROR_DTYPE, FGHM_ERROR_DTYPE, ALL_CALLS,
     FGHM_FIELD_LOGITS, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"integer weights", integer_weights_out, FGHM_ERROR_DTYPE, FGHM_ERROR_DTYPE, ALL_CALLS,
     FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"repeating weights", repeating_weights_out, FGHM_ERROR_STRIDE, FGHM_ERROR_STRIDE, ALL_CALLS,
     FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"too many", too_many, FGHM_ERROR_SIZE, FGHM_ERROR_SIZE, ALL_CALLS, FGHM_FIELD_SHAPE,
     FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"outputs in one place", outputs_in_one_place, FGHM_ERROR_ALIASING, FGHM_ERROR_ALIASING,
     ALL_CALLS, FGHM_FIELD_GRADIENT, FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_PLACE_NONE, -1},
    {"shifted in place", shifted_in_place, FGHM_ERROR_ALIASING, FGHM_ERROR_ALIASING, ALL_CALLS,
     FGHM_FIELD_LOGITS, FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_PLACE_NONE, -1},
    {"class_alpha", class_alpha, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_CLASS_ALPHA, FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"class_weights", class_weights, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_CLASS_WEIGHTS, FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"class_gamma", class_gamma, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"class_offsets", class_offsets, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_CLASS_OFFSETS, FGHM_FIELD_ACTIVATION, FGHM_PLACE_NONE, -1},
    {"probabilities", probabilities, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_ACTIVATION, FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"background without labels", background_without_labels, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_BACKGROUND, FGHM_FIELD_TARGET_FORM,
     FGHM_PLACE_NONE, -1},
    {"softmax without labels", softmax_without_labels, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM,
     FGHM_PLACE_NONE, -1},
    {"softmax without class axis", softmax_without_class_axis, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_ACTIVATION, FGHM_FIELD_CLASS_AXIS,
     FGHM_PLACE_NONE, -1},
    {"labels", labels, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_TARGET_FORM,
     FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"softmax", softmax, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, ANYWHERE, FGHM_FIELD_NONE,
     FGHM_PLACE_NONE, -1},
    {"smoothing", smoothing, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_LABEL_SMOOTHING,
     FGHM_FIELD_KIND, FGHM_PLACE_NONE, -1},
    {"softmax with smoothing", softmax_with_smoothing, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, ANYWHERE, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"softmax with -1", softmax_with_minus_one, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION,
     ALL_CALLS, ANYWHERE, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1},
    {"softmax apart", softmax_apart, FGHM_ERROR_HISTOGRAMS, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_HISTOGRAMS, FGHM_FIELD_ACTIVATION, FGHM_PLACE_NONE, -1},
    {"histograms", histograms_unlike_classes, FGHM_ERROR_HISTOGRAMS, FGHM_ERROR_HISTOGRAMS,
     ALL_CALLS, FGHM_FIELD_HISTOGRAMS, FGHM_FIELD_SHAPE, FGHM_PLACE_NONE, -1},
    {"histograms without class axis", histograms_without_classes, FGHM_ERROR_HISTOGRAMS,
     FGHM_ERROR_HISTOGRAMS, ALL_CALLS, FGHM_FIELD_HISTOGRAMS, FGHM_FIELD_CLASS_AXIS,
     FGHM_PLACE_NONE, -1},
    {"label", wrong_label, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION, ALL_CALLS, FGHM_FIELD_TARGETS,
     FGHM_FIELD_NONE, FGHM_PLACE_SAMPLE, 2},
    {"label of softmax", wrong_label_of_softmax, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION,
     ALL_CALLS, FGHM_FIELD_TARGETS, FGHM_FIELD_NONE, FGHM_PLACE_SAMPLE, 2},
    {"label apart", wrong_label_apart, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION, ALL_CALLS,
     FGHM_FIELD_TARGETS, FGHM_FIELD_NONE, FGHM_PLACE_SAMPLE, 2},
    {"extent", extent_unset, FGHM_ERROR_UNSET, FGHM_ERROR_UNSET, ALL_CALLS, FGHM_FIELD_SHAPE,
     FGHM_FIELD_NONE, FGHM_PLACE_AXIS, 2},
};

static void changes_are_refused(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(trials); k++) {
        const struct trial *const trial = &trials[k];
        for (unsigned n = 0; n < 2 * CALLS; n++) {
            const enum call call = (enum call)(n / 2);
            const bool regression = n % 2 == 1;
            struct descriptor_error want = {regression ? trial->ghmr : trial->ghmc, trial->field,
                                            trial->other_field, trial->place, trial->offender};
            struct request *const q = request_new(regression);
            if (regression && trial->ghmr != trial->ghmc && trial->ghmc != FGHM_OK) {
                want.field = ANYWHERE; /* it does not come to that */
            }
            trial->change(q);
            if (want.status == FGHM_OK) {
                assert_int_equal(run(q, call), FGHM_OK);
            } else if (trial->calls & (1u << call)) {
                assert_refused(q, call, trial->name, &want);
            }
            request_free(q);
        }
    }
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

/* -------------------------------------------------------------------------
 * Targets outside [0, 1]. */

/* Two of them, in an order that is not that of the classes. */
enum { FIRST_BAD = 1 * INNER + 1, SECOND_BAD = (2 * CLASSES + 0) * INNER + 0 };

static void put_bad_targets(struct request *q) {
    strided_set(&q->targets, FIRST_BAD, 1.5);
    strided_set(&q->targets, SECOND_BAD, -0.5);
}

static void targets_out_of_range(void **state) {
    (void)state;
    for (size_t histograms = 1; histograms <= CLASSES; histograms += CLASSES - 1) {
        for (int call = STEP; call <= COUNT; call++) {
            struct request *const q = request_new(false);
            set_histograms(q, histograms);
            put_bad_targets(q);
            const struct descriptor_error want = {FGHM_ERROR_TARGET, FGHM_FIELD_TARGETS,
                                                  FGHM_FIELD_NONE, FGHM_PLACE_ELEMENT, FIRST_BAD};
            assert_refused(q, (enum call)call, "target", &want);
            request_free(q);
        }
    }
}

/* Applying does the rest before it says so. */
static void apply_does_the_rest(void **state) {
    (void)state;
    for (size_t histograms = 1; histograms <= CLASSES; histograms += CLASSES - 1) {
        struct request *const good = request_new(false), *const bad = request_new(false);
        struct request *const both[] = {good, bad};
        for (int k = 0; k < 2; k++) {
            set_histograms(both[k], histograms);
            assert_int_equal(run(both[k], STEP), FGHM_OK);
            memset(&both[k]->result, 0x5a, sizeof both[k]->result);
            both[k]->result.size = sizeof both[k]->result;
            for (int output = 0; output < RESULTS; output++) {
                guarded_fill(&both[k]->outputs[output].memory, STRIDED_FILL);
            }
        }
        put_bad_targets(bad);
        const struct state state_before = state_of(bad->ghm);
        const struct descriptor_error want = {FGHM_ERROR_TARGET, FGHM_FIELD_TARGETS,
                                              FGHM_FIELD_NONE, FGHM_PLACE_ELEMENT, FIRST_BAD};
        double sum = 0.0;
        assert_int_equal(run(good, APPLY), FGHM_OK);
        descriptor_assert_error(run(bad, APPLY), &bad->result, &want, __LINE__);
        assert_int_equal(bad->result.filled, sizeof bad->result);
        const struct state state_after = state_of(bad->ghm);
        assert_memory_equal(state_before.bytes, state_after.bytes, state_before.size);
        for (int output = 0; output < RESULTS; output++) {
            for (size_t k = 0; k < ELEMENTS; k++) {
                const double right = strided_at(&good->outputs[output], k);
                const double got = strided_at(&bad->outputs[output], k);
                const bool is_bad = k == FIRST_BAD || k == SECOND_BAD;
                if (is_bad ? !isnan(got) : !(got == right)) {
                    fail_msg("%zu histograms: output %d of %zu is %g, want %g", histograms, output,
                             k, got, right);
                }
                sum += output == ELEMENT_LOSS && !is_bad ? got : 0.0;
            }
        }
        assert_true(fabs(bad->result.sum - sum) <= 1e-6 * sum);
        request_free(good);
        request_free(bad);
    }
}

/* A target that is ignored, or masked, is not looked at; GHM-R takes any. */
static void targets_that_do_not_matter(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        for (int call = 0; call < CALLS; call++) {
            struct request *const q = request_new(way == 2);
            float mask[ELEMENTS];
            for (size_t k = 0; k < ELEMENTS; k++) {
                mask[k] = k == FIRST_BAD || k == SECOND_BAD ? 0.0f : 1.0f;
            }
            put_bad_targets(q);
            if (way == 0) {
                q->b.weights = (fghm_input){.data = mask, .dtype = FGHM_F32};
            } else if (way == 1) {
                q->b.ignore_index = -7;
                strided_set(&q->targets, FIRST_BAD, -7.0);
                strided_set(&q->targets, SECOND_BAD, -7.0);
            }
            assert_int_equal(run(q, (enum call)call), FGHM_OK);
            assert_int_equal(q->result.offender, -1);
            request_free(q);
        }
    }
}

/* -------------------------------------------------------------------------
 * What is fine. */

/* 0 along any axis but that of the classes: a step like others, loss 0. */
static void no_elements(void **state) {
    (void)state;
    for (int axis = 0; axis < 3; axis += 2) {
        for (int regression = 0; regression < 2; regression++) {
            struct request *const q = request_new(regression == 1);
            uint64_t before = 0, after = 0;
            q->b.shape[axis] = 0;
            q->b.logits.data = q->b.targets.data = NULL;
            assert_int_equal(fghm_ghm_get_steps(q->ghm, &before), FGHM_OK);
            assert_int_equal(run(q, COUNT), FGHM_OK);
            assert_int_equal(q->counts[0], COUNT_FILL);
            assert_int_equal(run(q, STEP), FGHM_OK);
            assert_int_equal(fghm_ghm_get_steps(q->ghm, &after), FGHM_OK);
            assert_int_equal(after, before + 1);
            assert_true(q->result.loss == 0.0 && q->result.sum == 0.0);
            assert_true(q->result.divisor == 1.0 && q->result.elements == 0);
            for (int k = 0; k < RESULTS; k++) {
                assert_true(strided_untouched(&q->outputs[k]));
            }
            request_free(q);
        }
    }
}

/* Without outputs and result a step still counts; all of a capacity is fine. */
static void nothing_asked_for(void **state) {
    struct request *const q = request_new(false);
    uint64_t steps = 0;
    (void)state;
    no_outputs(q);
    assert_int_equal(run(q, STEP), FGHM_OK);
    assert_int_equal(fghm_ghm_get_steps(q->ghm, &steps), FGHM_OK);
    assert_int_equal(steps, 2);
    q->capacity = BINS + 1;
    assert_int_equal(run(q, COUNT), FGHM_OK);
    request_free(q);
}

/* An output in the place of an input, of one histogram and of several. */
static void outputs_in_place_of_inputs(void **state) {
    (void)state;
    for (int output = 0; output < RESULTS; output++) {
        for (int n = 0; n < 8; n++) {
            struct request *const apart = request_new((n & 1) != 0);
            struct request *const place = request_new((n & 1) != 0);
            struct request *const both[] = {apart, place};
            struct strided *const input = n & 2 ? &place->targets : &place->logits;
            fghm_output *const to[RESULTS] = {&place->b.element_loss, &place->b.gradient,
                                              &place->b.hessian, &place->b.harmonizing_weight};
            *to[output] = strided_output(input);
            for (int k = 0; k < 2; k++) {
                set_histograms(both[k], n & 4 ? CLASSES : 1);
                assert_int_equal(run(both[k], STEP), FGHM_OK);
            }
            for (size_t k = 0; k < ELEMENTS; k++) {
                for (int other = 0; other < RESULTS; other++) {
                    const struct strided *const from =
                        other == output ? input : &place->outputs[other];
                    assert_true(strided_at(from, k) == strided_at(&apart->outputs[other], k));
                }
            }
            assert_true(apart->result.sum == place->result.sum);
            request_free(apart);
            request_free(place);
        }
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"changes_are_refused", changes_are_refused, 0},
        {"plain_calls_have_one_histogram", plain_calls_have_one_histogram, 0},
        {"targets_out_of_range", targets_out_of_range, 0},
        {"apply_does_the_rest", apply_does_the_rest, 0},
        {"targets_that_do_not_matter", targets_that_do_not_matter, 0},
        {"no_elements", no_elements, 0},
        {"nothing_asked_for", nothing_asked_for, 0},
        {"outputs_in_place_of_inputs", outputs_in_place_of_inputs, 0},
    };
    return suite_run(argument_count, arguments, "ghm_batch_errors", tests, SUITE_COUNT(tests));
}
