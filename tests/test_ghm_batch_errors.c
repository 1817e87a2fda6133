/* SPDX-License-Identifier: MIT */

/* What GHM over batches refuses, and that outputs, counts, result and handle are then as they
 * were.  What it has in common with fghm_focal_batch is in test_batch_errors at length, and
 * here once for each status. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/strided.h"
#include "support/suite.h"

enum { OUTER = 3, CLASSES = 4, INNER = 2, BINS = 10, RESULTS = 4 };
enum { SAMPLES = OUTER * INNER, ELEMENTS = SAMPLES * CLASSES };
enum { SIZE_ALL = CLASSES * (BINS + 1), STATE_MAX = 4096, COUNT_FILL = 1000 };

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
    q->b = (fghm_batch){.size = sizeof q->b, .outer = OUTER, .classes = CLASSES, .inner = INNER};
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

/* An offender that is not promised. */
#define ANY_OFFENDER INT64_MIN

static void assert_refused(struct request *q, enum call call, const char *what, fghm_status status,
                           int64_t offender) {
    const struct state state = state_of(q->ghm);
    fghm_result before = q->result;
    const fghm_status got = run(q, call);
    const struct state after = state_of(q->ghm);
    if (got != status) {
        fail_msg("%s, GHM-%c %s: \"%s\", expected \"%s\"", what, q->regression ? 'R' : 'C',
                 call_names[call], fghm_status_string(got), fghm_status_string(status));
    }
    if (offender != ANY_OFFENDER && q->with_result && q->result.offender != offender) {
        fail_msg("%s, %s: offender %lld, expected %lld", what, call_names[call],
                 (long long)q->result.offender, (long long)offender);
    }
    before.offender = q->result.offender;
    assert_memory_equal(&before, &q->result, sizeof before);
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

static void reserved_field(struct request *q) {
    q->b.harmonizing_weight.reserved = 1;
}

static void unknown_activation(struct request *q) {
    q->b.activation = 3;
}

static void unknown_target_form(struct request *q) {
    q->b.target_form = 2;
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
    q->b.harmonizing_weight.strides[0] = 0;
    q->b.harmonizing_weight.strides[2] = 1;
}

static void too_many(struct request *q) {
    q->b.outer = SIZE_MAX / 4;
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

static void probabilities(struct request *q) {
    q->b.activation = FGHM_ACTIVATION_PROBABILITY;
}

static void background_without_labels(struct request *q) {
    q->b.background = FGHM_BACKGROUND_LAST;
}

static void softmax_without_labels(struct request *q) {
    q->b.activation = FGHM_ACTIVATION_SOFTMAX;
}

static void labels(struct request *q) {
    q->b.target_form = FGHM_TARGET_LABEL;
    q->b.targets = (fghm_input){.data = q->labels, .dtype = FGHM_I32};
}

static void softmax(struct request *q) {
    labels(q);
    q->b.activation = FGHM_ACTIVATION_SOFTMAX;
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

static void softmax_apart(struct request *q) {
    softmax(q);
    set_histograms(q, CLASSES);
}

static void histograms_unlike_classes(struct request *q) {
    set_histograms(q, CLASSES - 1);
}

static void wrong_label(struct request *q) {
    labels(q);
    q->labels[2] = CLASSES;
    q->labels[4] = -1;
}

static void wrong_label_of_softmax(struct request *q) {
    wrong_label(q);
    q->b.activation = FGHM_ACTIVATION_SOFTMAX;
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
    int64_t offender;
} trials[] = {
    {"no handle", no_handle, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_HANDLE, ALL_CALLS,
     ANY_OFFENDER},
    {"no batch", no_batch, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS, -1},
    {"no counts", no_counts, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, 1u << COUNT,
     ANY_OFFENDER},
    {"no logits", no_logits, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS, -1},
    {"no targets", no_targets, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_NULL_POINTER, ALL_CALLS, -1},
    {"no outputs", no_outputs, FGHM_ERROR_NO_OUTPUT, FGHM_ERROR_NO_OUTPUT, 1u << APPLY, -1},
    {"capacity", small_capacity, FGHM_ERROR_CAPACITY, FGHM_ERROR_CAPACITY, 1u << COUNT,
     ANY_OFFENDER},
    {"capacity, apart", small_capacity_apart, FGHM_ERROR_CAPACITY, FGHM_ERROR_CAPACITY, 1u << COUNT,
     ANY_OFFENDER},
    {"descriptor", small_descriptor, FGHM_ERROR_DESCRIPTOR, FGHM_ERROR_DESCRIPTOR, ALL_CALLS, -1},
    {"result", small_result, FGHM_ERROR_DESCRIPTOR, FGHM_ERROR_DESCRIPTOR, ALL_CALLS, ANY_OFFENDER},
    {"reserved", reserved_field, FGHM_ERROR_DESCRIPTOR, FGHM_ERROR_DESCRIPTOR, ALL_CALLS, -1},
    {"activation", unknown_activation, FGHM_ERROR_ACTIVATION, FGHM_ERROR_ACTIVATION, ALL_CALLS, -1},
    {"target form", unknown_target_form, FGHM_ERROR_TARGET_FORM, FGHM_ERROR_TARGET_FORM, ALL_CALLS,
     -1},
    {"background", unknown_background, FGHM_ERROR_BACKGROUND, FGHM_ERROR_BACKGROUND, ALL_CALLS, -1},
    {"smoothing above 1", smoothing_above_1, FGHM_ERROR_LABEL_SMOOTHING, FGHM_ERROR_LABEL_SMOOTHING,
     ALL_CALLS, -1},
    {"integer logits", integer_logits, FGHM_ERROR_DTYPE, FGHM_ERROR_DTYPE, ALL_CALLS, -1},
    {"integer weights", integer_weights_out, FGHM_ERROR_DTYPE, FGHM_ERROR_DTYPE, ALL_CALLS, -1},
    {"repeating weights", repeating_weights_out, FGHM_ERROR_STRIDE, FGHM_ERROR_STRIDE, ALL_CALLS,
     -1},
    {"too many", too_many, FGHM_ERROR_SIZE, FGHM_ERROR_SIZE, ALL_CALLS, -1},
    {"outputs in one place", outputs_in_one_place, FGHM_ERROR_ALIASING, FGHM_ERROR_ALIASING,
     ALL_CALLS, -1},
    {"shifted in place", shifted_in_place, FGHM_ERROR_ALIASING, FGHM_ERROR_ALIASING, ALL_CALLS, -1},
    {"class_alpha", class_alpha, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"class_weights", class_weights, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"probabilities", probabilities, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"background without labels", background_without_labels, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"softmax without labels", softmax_without_labels, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"labels", labels, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"softmax", softmax, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"smoothing", smoothing, FGHM_OK, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"softmax with smoothing", softmax_with_smoothing, FGHM_ERROR_COMBINATION,
     FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"softmax with -1", softmax_with_minus_one, FGHM_ERROR_COMBINATION, FGHM_ERROR_COMBINATION,
     ALL_CALLS, -1},
    {"softmax apart", softmax_apart, FGHM_ERROR_HISTOGRAMS, FGHM_ERROR_COMBINATION, ALL_CALLS, -1},
    {"histograms", histograms_unlike_classes, FGHM_ERROR_HISTOGRAMS, FGHM_ERROR_HISTOGRAMS,
     ALL_CALLS, -1},
    {"label", wrong_label, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION, ALL_CALLS, 2},
    {"label of softmax", wrong_label_of_softmax, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION,
     ALL_CALLS, 2},
    {"label apart", wrong_label_apart, FGHM_ERROR_LABEL, FGHM_ERROR_COMBINATION, ALL_CALLS, 2},
};

static void changes_are_refused(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(trials); k++) {
        for (unsigned n = 0; n < 2 * CALLS; n++) {
            const enum call call = (enum call)(n / 2);
            const bool regression = n % 2 == 1;
            const fghm_status status = regression ? trials[k].ghmr : trials[k].ghmc;
            const int64_t offender =
                status == FGHM_ERROR_LABEL || trials[k].offender == ANY_OFFENDER
                    ? trials[k].offender
                    : -1;
            struct request *const q = request_new(regression);
            trials[k].change(q);
            if (status == FGHM_OK) {
                assert_int_equal(run(q, call), FGHM_OK);
            } else if (trials[k].calls & (1u << call)) {
                assert_refused(q, call, trials[k].name, status, offender);
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
            assert_refused(q, (enum call)call, "target", FGHM_ERROR_TARGET, FIRST_BAD);
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
        fghm_result before = bad->result;
        before.offender = FIRST_BAD;
        assert_int_equal(run(good, APPLY), FGHM_OK);
        assert_int_equal(run(bad, APPLY), FGHM_ERROR_TARGET);
        assert_int_equal(bad->result.offender, FIRST_BAD);
        assert_memory_equal(&before, &bad->result, sizeof before);
        const struct state state_after = state_of(bad->ghm);
        assert_memory_equal(state_before.bytes, state_after.bytes, state_before.size);
        for (int output = 0; output < RESULTS; output++) {
            for (size_t k = 0; k < ELEMENTS; k++) {
                const double want = strided_at(&good->outputs[output], k);
                const double got = strided_at(&bad->outputs[output], k);
                if (k != FIRST_BAD && k != SECOND_BAD && !(got == want)) {
                    fail_msg("%zu histograms: output %d of %zu is %g, want %g", histograms, output,
                             k, got, want);
                }
            }
        }
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
                q->b.ignoring = 1;
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

/* 0 along any axis: a step like others, loss 0. */
static void no_elements(void **state) {
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        for (int regression = 0; regression < 2; regression++) {
            struct request *const q = request_new(regression == 1);
            size_t *const extents[] = {&q->b.outer, &q->b.classes, &q->b.inner};
            uint64_t before = 0, after = 0;
            *extents[axis] = 0;
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

int main(void) {
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
    return suite_run("ghm_batch_errors", tests, SUITE_COUNT(tests));
}
