/* SPDX-License-Identifier: MIT */

/* What fghm_focal_batch refuses, field by field, what it says about it, and that it
 * writes nothing then; and which arrays may be in one place. */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/strided.h"
#include "support/suite.h"

enum { OUTER = 2, CLASSES = 3, INNER = 2, ELEMENTS = OUTER * CLASSES * INNER };

/* A call that is fine, until a test changes something. */
struct request {
    fghm_focal *focal;
    fghm_batch b;
    fghm_result result;
    struct strided logits, targets, weights, outputs[OUTPUTS];
    double class_alpha[CLASSES], class_weights[CLASSES];
};

static void set_arrays(struct request *q) {
    q->b.logits = strided_input(&q->logits);
    q->b.targets = strided_input(&q->targets);
    q->b.weights = strided_input(&q->weights);
    q->b.element_loss = strided_output(&q->outputs[ELEMENT_LOSS]);
    q->b.gradient = strided_output(&q->outputs[GRADIENT]);
    q->b.hessian = strided_output(&q->outputs[HESSIAN]);
}

static struct request *request_of(size_t outer, size_t classes, size_t inner, fghm_dtype dtype) {
    struct request *const q = calloc(1, sizeof *q);
    assert_non_null(q);
    q->focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    q->logits = strided_plain(dtype, outer, classes, inner);
    q->targets = strided_plain(dtype, outer, classes, inner);
    q->weights = strided_plain(dtype, outer, classes, inner);
    for (int k = 0; k < OUTPUTS; k++) {
        q->outputs[k] = strided_plain(dtype, outer, classes, inner);
    }
    for (size_t k = 0; k < strided_count(&q->logits); k++) {
        strided_set(&q->logits, k, (double)(k % 13) / 16.0);
        strided_set(&q->targets, k, k % 3 == 0 ? 1.0 : 0.0);
        strided_set(&q->weights, k, 1.0 + (double)(k % 5) / 8.0);
    }
    for (size_t c = 0; c < CLASSES; c++) {
        q->class_alpha[c] = 0.25;
        q->class_weights[c] = 1.0;
    }
    q->b = descriptor_of(outer, classes, inner);
    q->b.class_alpha = q->class_alpha;
    q->b.class_weights = q->class_weights;
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
    set_arrays(q);
    return q;
}

static struct request *request_new(void) {
    return request_of(OUTER, CLASSES, INNER, FGHM_F32);
}

static void request_free(struct request *q) {
    strided_free(&q->logits);
    strided_free(&q->targets);
    strided_free(&q->weights);
    for (int k = 0; k < OUTPUTS; k++) {
        strided_free(&q->outputs[k]);
    }
    fghm_focal_destroy(q->focal);
    free(q);
}

static size_t outer_of(const struct request *q) {
    return (size_t)q->b.shape[0];
}

static size_t inner_of(const struct request *q) {
    return (size_t)q->b.shape[2];
}

/* Labels of the samples instead, of this dtype. */
static void use_labels(struct request *q, fghm_dtype dtype) {
    strided_free(&q->targets);
    q->targets = strided_plain(dtype, outer_of(q), 1, inner_of(q));
    for (size_t k = 0; k < strided_count(&q->targets); k++) {
        strided_set(&q->targets, k, (double)(k % CLASSES));
    }
    q->b.target_form = FGHM_TARGET_LABEL;
    q->b.targets = strided_input(&q->targets);
}

/* The loss belongs to the samples. */
static void use_softmax(struct request *q, fghm_dtype dtype) {
    const fghm_dtype real = q->logits.dtype;
    use_labels(q, dtype);
    strided_free(&q->weights);
    strided_free(&q->outputs[ELEMENT_LOSS]);
    q->weights = strided_plain(real, outer_of(q), 1, inner_of(q));
    q->outputs[ELEMENT_LOSS] = strided_plain(real, outer_of(q), 1, inner_of(q));
    for (size_t k = 0; k < strided_count(&q->weights); k++) {
        strided_set(&q->weights, k, 1.0 + (double)(k % 5) / 8.0);
    }
    q->b.activation = FGHM_SOFTMAX;
    set_arrays(q);
}

static fghm_status run(struct request *q) {
    return fghm_focal_batch(q->focal, NULL, &q->b, &q->result);
}

enum { KEPT = 6 };

struct memories {
    unsigned char *bytes[KEPT];
};

static const struct strided *kept(const struct request *q, int k) {
    const struct strided *const all[KEPT] = {&q->logits,     &q->targets,    &q->weights,
                                             &q->outputs[0], &q->outputs[1], &q->outputs[2]};
    return all[k];
}

static struct memories remember(const struct request *q) {
    struct memories m;
    for (int k = 0; k < KEPT; k++) {
        const struct guarded *const g = &kept(q, k)->memory;
        m.bytes[k] = malloc(g->room);
        assert_non_null(m.bytes[k]);
        memcpy(m.bytes[k], g->start, g->room);
    }
    return m;
}

static void assert_remembered(const struct request *q, struct memories *m) {
    for (int k = 0; k < KEPT; k++) {
        const struct guarded *const g = &kept(q, k)->memory;
        assert_memory_equal(m->bytes[k], g->start, g->room);
        free(m->bytes[k]);
    }
}

#define assert_refused(q, status, field) refused(q, descriptor_error_of(status, field), __LINE__)
#define assert_combination(q, a, b)                                                                \
    refused(q, descriptor_error_of_two(FGHM_ERROR_COMBINATION, a, b), __LINE__)
#define assert_overlap(q, a, b)                                                                    \
    refused(q, descriptor_error_of_two(FGHM_ERROR_ALIASING, a, b), __LINE__)
#define assert_refused_at(q, status, field, place, offender)                                       \
    refused(q, (struct descriptor_error){status, field, 0, place, offender}, __LINE__)

/* Refused, and nothing written but the head of the result. */
static void refused(struct request *q, struct descriptor_error want, int line) {
    struct memories m = remember(q);
    const fghm_result before = q->result;
    const fghm_status got = run(q);
    descriptor_assert_refused(got, &q->result, &before, &want, line);
    assert_remembered(q, &m);
}

static void assert_taken(struct request *q) {
    const fghm_status status = run(q);
    if (status != FGHM_OK) {
        fail_msg("\"%s\" of %s", fghm_status_string(status), fghm_field_name(q->result.field));
    }
    assert_int_equal(q->result.status, FGHM_OK);
    assert_int_equal(q->result.field, FGHM_FIELD_NONE);
    assert_int_equal(q->result.other_field, FGHM_FIELD_NONE);
    assert_int_equal(q->result.place, FGHM_PLACE_NONE);
    assert_int_equal(q->result.offender, -1);
    assert_int_equal(q->result.filled, FGHM_RESULT_SIZE_0_2);
}

/* -------------------------------------------------------------------------
 * Pointers, sizes, enumerators. */

static void the_request_is_fine(void **state) {
    struct request *q = request_new();
    (void)state;
    assert_taken(q);
    assert_int_equal(q->result.size, sizeof q->result);
    assert_int_equal(q->result.elements, ELEMENTS);
    request_free(q);
}

static void null_pointers(void **state) {
    struct request *q = request_new();
    fghm_focal *const focal = q->focal;
    (void)state;
    q->focal = NULL;
    assert_refused(q, FGHM_ERROR_NULL_HANDLE, FGHM_FIELD_NONE);
    assert_int_equal(fghm_focal_batch(NULL, NULL, NULL, NULL), FGHM_ERROR_NULL_HANDLE);
    q->focal = focal;
    assert_int_equal(fghm_focal_batch(focal, NULL, NULL, &q->result), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(q->result.status, FGHM_ERROR_NULL_POINTER);
    assert_int_equal(q->result.field, FGHM_FIELD_BATCH);
    assert_int_equal(fghm_focal_batch(focal, NULL, NULL, NULL), FGHM_ERROR_NULL_POINTER);
    q->b.logits.data = NULL;
    assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_LOGITS);
    set_arrays(q);
    q->b.targets.data = NULL;
    assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_TARGETS);
    set_arrays(q);
    q->b.weights.data = NULL;
    assert_taken(q);
    request_free(q);
}

static void no_output(void **state) {
    struct request *q = request_new();
    (void)state;
    q->b.element_loss.data = q->b.gradient.data = q->b.hessian.data = NULL;
    assert_taken(q);
    assert_int_equal(fghm_focal_batch(q->focal, NULL, &q->b, NULL), FGHM_ERROR_NO_OUTPUT);
    q->b.shape[0] = 0;
    assert_int_equal(fghm_focal_batch(q->focal, NULL, &q->b, NULL), FGHM_ERROR_NO_OUTPUT);
    request_free(q);
}

/* 0 along any axis but the classes': loss 0, no array is looked at. */
static void no_elements(void **state) {
    (void)state;
    for (int softmax = 0; softmax < 2; softmax++) {
        for (int axis = 0; axis < 3; axis += 2) {
            for (fghm_reduction reduction = 0; reduction < 6; reduction++) {
                struct request *q = request_new();
                if (softmax) {
                    use_softmax(q, FGHM_I32);
                }
                q->b.shape[axis] = 0;
                q->b.logits.data = NULL;
                q->b.targets.data = NULL;
                q->b.class_alpha = NULL;
                assert_int_equal(fghm_focal_set_reduction(q->focal, reduction), FGHM_OK);
                struct memories m = remember(q);
                assert_taken(q);
                assert_remembered(q, &m);
                assert_true(q->result.loss == 0.0 && q->result.sum == 0.0);
                assert_true(q->result.elements == 0 && q->result.valid == 0 &&
                            q->result.positives == 0);
                assert_true(q->result.divisor >= 1.0);
                request_free(q);
            }
        }
    }
}

static void unknown_flags(void **state) {
    struct request *q = request_new();
    const int32_t flags[] = {-1, 2, 3, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(flags); k++) {
        q->b.flags = flags[k];
        assert_refused(q, FGHM_ERROR_CONSTANT, FGHM_FIELD_FLAGS);
    }
    request_free(q);
}

static void unknown_enumerators(void **state) {
    struct request *q = request_new();
    const struct {
        int32_t *field;
        int32_t first_unknown;
        fghm_field name;
    } fields[] = {
        {&q->b.activation, 3, FGHM_FIELD_ACTIVATION},
        {&q->b.target_form, 3, FGHM_FIELD_TARGET_FORM},
        {&q->b.background, 4, FGHM_FIELD_BACKGROUND},
    };
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(fields); k++) {
        const int32_t bad[] = {fields[k].first_unknown, -1, 1000, INT32_MAX, INT32_MIN};
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            *fields[k].field = bad[i];
            assert_refused(q, FGHM_ERROR_CONSTANT, fields[k].name);
        }
        *fields[k].field = 0;
    }
    request_free(q);
}

static void label_smoothing_bounds(void **state) {
    struct request *q = request_new();
    const double bad[] = {-DBL_MIN,          -1.0,       nextafter(1.0, 2.0), (double)INFINITY,
                          -(double)INFINITY, (double)NAN};
    const double good[] = {0.0, -0.0, DBL_MIN, 0.5, 1.0};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        q->b.label_smoothing = bad[k];
        assert_refused(q, FGHM_ERROR_RANGE, FGHM_FIELD_LABEL_SMOOTHING);
    }
    for (size_t k = 0; k < SUITE_COUNT(good); k++) {
        q->b.label_smoothing = good[k];
        assert_taken(q);
    }
    request_free(q);
}

static void dtypes_of_arrays(void **state) {
    struct request *q = request_new();
    const struct {
        fghm_dtype *dtype;
        fghm_field name;
    } floating[] = {
        {&q->b.logits.dtype, FGHM_FIELD_LOGITS},
        {&q->b.weights.dtype, FGHM_FIELD_WEIGHTS},
        {&q->b.element_loss.dtype, FGHM_FIELD_ELEMENT_LOSS},
        {&q->b.gradient.dtype, FGHM_FIELD_GRADIENT},
        {&q->b.hessian.dtype, FGHM_FIELD_HESSIAN},
    };
    const fghm_dtype unknown[] = {-1, 8, 100, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(floating); k++) {
        const fghm_dtype kept_dtype = *floating[k].dtype;
        for (fghm_dtype d = FGHM_U8; d <= FGHM_I64; d++) {
            *floating[k].dtype = d;
            assert_refused(q, FGHM_ERROR_DTYPE, floating[k].name);
        }
        for (size_t i = 0; i < SUITE_COUNT(unknown); i++) {
            *floating[k].dtype = unknown[i];
            assert_refused(q, FGHM_ERROR_CONSTANT, floating[k].name);
        }
        *floating[k].dtype = FGHM_DTYPE_UNSET;
        assert_refused(q, FGHM_ERROR_UNSET, floating[k].name);
        *floating[k].dtype = kept_dtype;
    }
    for (size_t i = 0; i < SUITE_COUNT(unknown); i++) {
        q->b.targets.dtype = unknown[i];
        assert_refused(q, FGHM_ERROR_CONSTANT, FGHM_FIELD_TARGETS);
    }
    q->b.targets.dtype = FGHM_DTYPE_UNSET;
    assert_refused(q, FGHM_ERROR_UNSET, FGHM_FIELD_TARGETS);
    use_labels(q, FGHM_I32);
    for (fghm_dtype d = FGHM_F32; d <= FGHM_BF16; d++) {
        q->b.targets.dtype = d;
        assert_refused(q, FGHM_ERROR_DTYPE, FGHM_FIELD_TARGETS);
    }
    request_free(q);
}

static void combinations(void **state) {
    struct request *q = request_new();
    double room[ELEMENTS];
    (void)state;
    q->b.harmonizing_weight = (fghm_output){.data = room, .dtype = FGHM_F64};
    assert_combination(q, FGHM_FIELD_HARMONIZING_WEIGHT, FGHM_FIELD_RULE);
    q->b.harmonizing_weight.data = NULL;
    q->b.class_gamma = q->class_weights;
    assert_combination(q, FGHM_FIELD_CLASS_GAMMA, FGHM_FIELD_RULE);
    q->b.class_gamma = NULL;
    q->b.class_offsets = q->class_weights;
    assert_combination(q, FGHM_FIELD_CLASS_OFFSETS, FGHM_FIELD_ACTIVATION);
    q->b.class_offsets = NULL;
    q->b.activation = FGHM_SOFTMAX;
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM);
    q->b.activation = FGHM_SIGMOID;
    for (fghm_background k = 1; k < 4; k++) {
        q->b.background = k;
        assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_TARGET_FORM);
    }
    q->b.background = 0;
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_QUALITY; rule <= FGHM_FOCAL_RULE_STAR; rule++) {
        assert_int_equal(fghm_focal_set_rule(q->focal, rule), FGHM_OK);
        assert_taken(q);
        q->b.activation = FGHM_PROBABILITY;
        assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE);
        q->b.activation = FGHM_SIGMOID;
        assert_int_equal(fghm_focal_set_negative_gamma(q->focal, 3.0), FGHM_OK);
        assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE);
        assert_int_equal(fghm_focal_set_negative_gamma(q->focal, 2.0), FGHM_OK);
        assert_taken(q); /* which is the other one */
        assert_int_equal(fghm_focal_clear_negative_gamma(q->focal), FGHM_OK);
    }
    q->b.label_smoothing = 0.5;
    assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE); /* focal-star */
    q->b.label_smoothing = 0.0;
    const double too_small[] = {0.0, 5e-324, nextafter(0x1p-10, 0.0)};
    for (size_t k = 0; k < SUITE_COUNT(too_small); k++) {
        assert_int_equal(fghm_focal_set_gamma(q->focal, too_small[k]), FGHM_OK);
        assert_combination(q, FGHM_FIELD_GAMMA, FGHM_FIELD_RULE); /* focal-star */
    }
    assert_int_equal(fghm_focal_set_gamma(q->focal, 0x1p-10), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_rule(q->focal, FGHM_FOCAL_RULE_LINEAR), FGHM_OK);
    use_softmax(q, FGHM_I32);
    assert_taken(q);
    q->b.label_smoothing = 0.1;
    assert_combination(q, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_ACTIVATION);
    q->b.label_smoothing = 0.0;
    q->b.background = FGHM_BACKGROUND_MINUS_ONE;
    assert_combination(q, FGHM_FIELD_BACKGROUND, FGHM_FIELD_ACTIVATION);
    request_free(q);
}

/* What is set for negatives, which softmax does not have. */
static void settings_that_softmax_has_not(void **state) {
    struct request *q = request_new();
    (void)state;
    use_softmax(q, FGHM_I32);
    assert_int_equal(fghm_focal_set_negative_gamma(q->focal, 3.0), FGHM_OK);
    assert_combination(q, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_ACTIVATION);
    assert_int_equal(fghm_focal_set_gamma(q->focal, 3.0), FGHM_OK);
    assert_taken(q);
    assert_int_equal(fghm_focal_set_gamma(q->focal, 2.0), FGHM_OK);
    assert_int_equal(fghm_focal_clear_negative_gamma(q->focal), FGHM_OK);
    for (int k = 0; k < 3; k++) {
        const double alphas[] = {0.0, 0.5, 1.0};
        assert_int_equal(fghm_focal_set_alpha(q->focal, alphas[k]), FGHM_OK);
        q->b.class_alpha = NULL;
        assert_combination(q, FGHM_FIELD_ALPHA, FGHM_FIELD_ACTIVATION);
        q->b.class_alpha = q->class_alpha;
        assert_taken(q);
    }
    q->b.class_alpha = NULL;
    assert_int_equal(fghm_focal_set_alpha(q->focal, 0.25), FGHM_OK);
    assert_taken(q);
    const double loss = q->result.loss;
    assert_int_equal(fghm_focal_clear_alpha(q->focal), FGHM_OK);
    assert_taken(q);
    assert_true(q->result.loss == loss);
    request_free(q);
}

static void sizes(void **state) {
    const int64_t half = (int64_t)1 << 31;
    const int64_t bad[][3] = {
        {INT64_MAX, 1, 1},   {1, INT64_MAX, 1},         {1, 1, INT64_MAX},
        {INT64_MAX, 2, 1},   {INT64_MAX, 3, INT64_MAX}, {INT64_MAX / 2, 1, 3},
        {half * 2, half, 2}, {(int64_t)1 << 61, 1, 1},  {1, 1, half << 29},
        {half << 30, 2, 1},  {half, half, half},
    };
    struct request *q = request_new();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        memcpy(q->b.shape, bad[k], sizeof bad[k]);
        assert_refused(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE);
    }
    /* Not too many elements, but too many classes. */
    descriptor_set_shape(&q->b, 1, (size_t)half, 1);
    assert_refused_at(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS, 1);
    descriptor_set_shape(&q->b, 1, 1, 1);
    use_softmax(q, FGHM_I32);
    q->b.shape[1] = ((int64_t)1 << 24) + 1;
    assert_refused_at(q, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS, 1);
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Strides. */

static fghm_output *output_of(struct request *q, int k) {
    fghm_output *const outputs[] = {&q->b.element_loss, &q->b.gradient, &q->b.hessian};
    return outputs[k];
}

static fghm_input *input_of(struct request *q, int k) {
    fghm_input *const inputs[] = {&q->b.logits, &q->b.targets, &q->b.weights};
    return inputs[k];
}

static const struct strided *input_array(const struct request *q, int k) {
    const struct strided *const arrays[] = {&q->logits, &q->targets, &q->weights};
    return arrays[k];
}

static const fghm_field output_fields[] = {FGHM_FIELD_ELEMENT_LOSS, FGHM_FIELD_GRADIENT,
                                           FGHM_FIELD_HESSIAN};
static const fghm_field input_fields[] = {FGHM_FIELD_LOGITS, FGHM_FIELD_TARGETS,
                                          FGHM_FIELD_WEIGHTS};

static void strides_of_outputs(void **state) {
    const int64_t bad[][3] = {{6, 2, 0}, {6, 0, 1}, {0, 2, 1}, {1, 1, 1},  {2, 2, 1}, {0, 0, 0},
                              {5, 2, 1}, {6, 1, 1}, {6, 2, 2}, {-5, 2, 1}, {6, -1, 1}};
    struct request *q = request_new();
    (void)state;
    for (int k = 0; k < OUTPUTS; k++) {
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            descriptor_stride_output(output_of(q, k), bad[i][0], bad[i][1], bad[i][2]);
            assert_refused(q, FGHM_ERROR_STRIDE, output_fields[k]);
        }
        set_arrays(q);
    }
    request_free(q);
}

static void strides_beyond_the_address_space(void **state) {
    const int64_t bad[] = {INT64_MAX,     INT64_MIN,     INT64_MAX / 2, INT64_MIN / 2,
                           INT64_MAX / 4, INT64_MIN / 4, INT64_MIN / 8, INT64_MAX / 4 + 1};
    struct request *q = request_new();
    (void)state;
    for (int k = 0; k < 3 + OUTPUTS; k++) {
        const fghm_field field = k < 3 ? input_fields[k] : output_fields[k - 3];
        int64_t *const strides = k < 3 ? input_of(q, k)->strides : output_of(q, k - 3)->strides;
        fghm_layout *const layout = k < 3 ? &input_of(q, k)->layout : &output_of(q, k - 3)->layout;
        *layout = FGHM_LAYOUT_STRIDED;
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            for (int axis = 0; axis < 3; axis++) {
                memcpy(strides, (const int64_t[]){6, 2, 1}, 3 * sizeof *strides);
                strides[axis] = bad[i];
                assert_refused(q, FGHM_ERROR_STRIDE, field);
            }
        }
        /* the sum of two axes */
        memcpy(strides, (const int64_t[]){INT64_MAX / 8, INT64_MAX / 8, 1}, 3 * sizeof *strides);
        assert_refused(q, FGHM_ERROR_STRIDE, field);
        set_arrays(q);
    }
    request_free(q);
}

/* Along an axis with one element no stride matters. */
static void strides_of_single_elements(void **state) {
    struct request *q = request_of(1, CLASSES, 1, FGHM_F32);
    (void)state;
    descriptor_stride_input(&q->b.logits, INT64_MIN, 1, INT64_MAX);
    descriptor_stride_output(&q->b.gradient, 0, 1, INT64_MIN);
    descriptor_stride_output(&q->b.element_loss, INT64_MAX, 1, 0);
    assert_taken(q);
    request_free(q);
}

/* Labels, and softmax weights and losses, have none along the class axis. */
static void class_strides_of_samples(void **state) {
    struct request *q = request_new();
    (void)state;
    use_softmax(q, FGHM_U8);
    assert_taken(q);
    const fghm_result plain = q->result;
    for (int given = 0; given < 4; given++) {
        descriptor_stride_input(&q->b.targets, INNER, given == 1, 1);
        descriptor_stride_input(&q->b.weights, INNER, given == 2 ? INT64_MIN : 0, 1);
        descriptor_stride_output(&q->b.element_loss, INNER, given == 3 ? -1 : 0, 1);
        if (given == 0) {
            assert_taken(q);
            assert_memory_equal(&plain, &q->result, sizeof plain);
        } else {
            const fghm_field fields[] = {FGHM_FIELD_TARGETS, FGHM_FIELD_WEIGHTS,
                                         FGHM_FIELD_ELEMENT_LOSS};
            assert_refused_at(q, FGHM_ERROR_STRIDE, fields[given - 1], FGHM_PLACE_AXIS, 1);
        }
    }
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Places. */

static void overlaps_are_refused(void **state) {
    (void)state;
    for (int k = 0; k < OUTPUTS; k++) {
        for (int i = 0; i < 3; i++) {
            struct request *q = request_new();
            unsigned char *const at = input_array(q, i)->first;
            const size_t last = (ELEMENTS - 1) * sizeof(float);
            fghm_output *const to = output_of(q, k);
            const unsigned char *const shifted[] = {at + 4, at - 4, at + last, at - last, at + 1};
            for (size_t n = 0; n < SUITE_COUNT(shifted); n++) {
                to->data = (void *)(uintptr_t)shifted[n];
                assert_overlap(q, input_fields[i], output_fields[k]);
            }
            to->data = at;
            to->dtype = FGHM_F16;
            assert_overlap(q, input_fields[i], output_fields[k]);
            to->dtype = FGHM_F32;
            descriptor_stride_output(to, 2, 4, 1); /* other places of the same elements */
            assert_overlap(q, input_fields[i], output_fields[k]);
            /* backwards: as many bytes */
            to->data = at + last;
            descriptor_stride_output(to, -6, -2, -1);
            assert_overlap(q, input_fields[i], output_fields[k]);
            request_free(q);
        }
    }
}

/* Between each other's elements, but for a byte. */
static void outputs_that_meet_are_refused(void **state) {
    struct request *q = request_new();
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
    q->b.logits = strided_input(&q->logits);
    q->b.gradient.data = rows;
    /* Rows of different lengths. */
    q->b.hessian.data = rows + 6;
    descriptor_stride_output(&q->b.hessian, 11, 2, 1);
    assert_overlap(q, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN);
    request_free(q);
}

static void outputs_in_one_place_are_refused(void **state) {
    struct request *q = request_new();
    (void)state;
    for (int k = 0; k < OUTPUTS; k++) {
        for (int other = 0; other < OUTPUTS; other++) {
            if (k != other) {
                output_of(q, k)->data = q->outputs[other].first;
                assert_overlap(q, output_fields[k], output_fields[other]);
                output_of(q, k)->data = q->outputs[other].first + 4;
                assert_overlap(q, output_fields[k], output_fields[other]);
                output_of(q, k)->data = q->logits.first; /* two in the place of one input */
                output_of(q, other)->data = q->logits.first;
                assert_overlap(q, output_fields[k], output_fields[other]);
                set_arrays(q);
            }
        }
    }
    request_free(q);
}

static void class_arrays_in_outputs_are_refused(void **state) {
    struct request *q = request_new();
    (void)state;
    for (int k = 0; k < OUTPUTS; k++) {
        double *const room = (double *)(void *)q->outputs[k].first;
        for (size_t c = 0; c < CLASSES; c++) {
            room[c] = 0.5;
        }
        q->b.class_alpha = room;
        assert_overlap(q, FGHM_FIELD_CLASS_ALPHA, output_fields[k]);
        q->b.class_alpha = q->class_alpha;
        q->b.class_weights = room;
        assert_overlap(q, FGHM_FIELD_CLASS_WEIGHTS, output_fields[k]);
        q->b.class_weights = q->class_weights;
    }
    request_free(q);
}

/* Everything but the head is then as it was. */
static void results_in_arrays_are_refused(void **state) {
    (void)state;
    for (int k = 0; k < KEPT + 2; k++) {
        union {
            fghm_result result;
            float numbers[64];
            double doubles[32];
        } room;
        struct request *q = request_new();
        memset(&room, 0, sizeof room);
        room.result.size = sizeof room.result;
        fghm_field field = FGHM_FIELD_CLASS_WEIGHTS;
        if (k < 3) {
            input_of(q, k)->data = room.numbers + 4;
            field = input_fields[k];
        } else if (k < KEPT) {
            output_of(q, k - 3)->data = room.numbers + 4;
            field = output_fields[k - 3];
        } else if (k == KEPT) {
            q->b.class_alpha = room.doubles + 3;
            field = FGHM_FIELD_CLASS_ALPHA;
        } else {
            q->b.class_weights = room.doubles + 3;
        }
        const fghm_result before = room.result;
        const fghm_status status = fghm_focal_batch(q->focal, NULL, &q->b, &room.result);
        const struct descriptor_error want =
            descriptor_error_of_two(FGHM_ERROR_ALIASING, FGHM_FIELD_RESULT, field);
        descriptor_assert_refused(status, &room.result, &before, &want, __LINE__);
        for (size_t n = offsetof(fghm_result, loss) / sizeof(float); n < SUITE_COUNT(room.numbers);
             n++) {
            assert_true(room.numbers[n] == 0.0f);
        }
        request_free(q);
    }
}

/* Results of the call with output k in the place of input i against those of a call
 * with arrays of their own. */
static void check_in_place(size_t outer, size_t classes, size_t inner, fghm_dtype dtype, int rule,
                           int softmax, int k, int i) {
    struct request *q = request_of(outer, classes, inner, dtype);
    struct request *own = request_of(outer, classes, inner, dtype);
    struct request *const both[] = {q, own};
    for (int n = 0; n < 2; n++) {
        both[n]->b.class_alpha = both[n]->b.class_weights = NULL;
        if (softmax) {
            use_softmax(both[n], FGHM_I64);
        }
        assert_int_equal(fghm_focal_set_rule(both[n]->focal, rule), FGHM_OK);
    }
    output_of(q, k)->data = input_array(q, i)->first;
    assert_taken(own);
    assert_taken(q);
    for (int n = 0; n < OUTPUTS; n++) {
        const struct strided *const got = n == k ? input_array(q, i) : &q->outputs[n];
        assert_int_equal(strided_count(got), strided_count(&own->outputs[n]));
        assert_memory_equal(got->first, own->outputs[n].first,
                            strided_count(got) * strided_size(dtype));
    }
    const double bound = dtype == FGHM_F64 ? 0x1p-48 : 0x1p-22;
    assert_true(fabs(q->result.loss - own->result.loss) <= bound * fabs(own->result.loss));
    request_free(q);
    request_free(own);
}

static void outputs_in_the_place_of_inputs(void **state) {
    const size_t shapes[][3] = {
        {OUTER, CLASSES, INNER}, {1, 1, 5003}, {2203, CLASSES, 1}, {3, CLASSES, 900}};
    (void)state;
    for (size_t s = 0; s < SUITE_COUNT(shapes); s++) {
        for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
            for (int k = 0; k < OUTPUTS; k++) {
                for (int i = 0; i < 3; i++) {
                    for (int rule = 0; rule < 4; rule++) {
                        check_in_place(shapes[s][0], shapes[s][1], shapes[s][2], dtype, rule, 0, k,
                                       i);
                    }
                }
            }
            if (shapes[s][1] > 1) {
                check_in_place(shapes[s][0], shapes[s][1], shapes[s][2], dtype, 0, 1, ELEMENT_LOSS,
                               2);
                check_in_place(shapes[s][0], shapes[s][1], shapes[s][2], dtype, 0, 1, GRADIENT, 0);
                check_in_place(shapes[s][0], shapes[s][1], shapes[s][2], dtype, 0, 1, HESSIAN, 0);
            }
        }
    }
}

/* Three at once, and with strides. */
static void all_outputs_in_the_places_of_inputs(void **state) {
    struct request *q = request_new(), *own = request_new();
    (void)state;
    assert_taken(own);
    for (int k = 0; k < OUTPUTS; k++) {
        output_of(q, k)->data = input_array(q, k)->first;
        for (int n = 0; n < 2; n++) {
            if (n == 0) {
                descriptor_stride_input(input_of(q, k), CLASSES * INNER, INNER, 1);
            } else {
                descriptor_stride_output(output_of(q, k), CLASSES * INNER, INNER, 1);
            }
        }
    }
    assert_taken(q);
    for (int k = 0; k < OUTPUTS; k++) {
        assert_memory_equal(input_array(q, k)->first, own->outputs[k].first,
                            ELEMENTS * sizeof(float));
    }
    request_free(q);
    request_free(own);
}

/* -------------------------------------------------------------------------
 * Numbers. */

static void class_arrays_out_of_range(void **state) {
    const double alphas[] = {
        -DBL_MIN, nextafter(1.0, 2.0), (double)NAN, (double)INFINITY, -1.0, 0x1p-41, DBL_MIN};
    const double weights[] = {-DBL_MIN, (double)NAN, -(double)INFINITY, -1.0,   0x1p-41,
                              0x1p41,   DBL_MIN,     (double)INFINITY,  DBL_MAX};
    const double good[] = {0.0, 0x1p-40, 1.0, 0x1p40};
    struct request *q = request_new();
    (void)state;
    for (size_t c = 0; c < CLASSES; c++) {
        for (size_t k = 0; k < SUITE_COUNT(alphas); k++) {
            q->class_alpha[c] = alphas[k];
            assert_refused_at(q, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_ALPHA, FGHM_PLACE_CLASS,
                              (int64_t)c);
        }
        q->class_alpha[c] = 1.0;
        for (size_t k = 0; k < SUITE_COUNT(weights); k++) {
            q->class_weights[c] = weights[k];
            assert_refused_at(q, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_WEIGHTS, FGHM_PLACE_CLASS,
                              (int64_t)c);
        }
        for (size_t k = 0; k < SUITE_COUNT(good); k++) {
            q->class_weights[c] = good[k];
            q->class_alpha[c] = fmin(good[k], 1.0);
            assert_taken(q);
        }
        q->class_weights[c] = 0x1p40;
        assert_taken(q);
        q->class_alpha[c] = q->class_weights[c] = 0x1p-40;
        assert_taken(q);
        q->class_alpha[c] = q->class_weights[c] = 0.0;
    }
    assert_taken(q);
    request_free(q);
}

/* Labels that are no class, for each dtype and convention. */
static void check_labels(int softmax, fghm_dtype dtype, fghm_background background) {
    const int64_t low = background == FGHM_BACKGROUND_FIRST && !softmax ? 1 : 0;
    int64_t last = CLASSES - 1 + low;
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
        const int is_background =
            !softmax && ((background == FGHM_BACKGROUND_LAST && bad[k] == CLASSES) ||
                         (background == FGHM_BACKGROUND_MINUS_ONE && bad[k] == -1));
        const int fits = dtype == FGHM_I64 ||
                         (dtype == FGHM_I32 && bad[k] >= INT32_MIN && bad[k] <= INT32_MAX) ||
                         (dtype == FGHM_U8 && bad[k] >= 0 && bad[k] <= 255);
        if (is_background || !fits || (bad[k] >= low && bad[k] <= last)) {
            continue;
        }
        for (size_t at = 0; at < OUTER * INNER; at++) {
            struct request *q = request_new();
            if (softmax) {
                use_softmax(q, dtype);
            } else {
                use_labels(q, dtype);
            }
            for (size_t n = 0; n < OUTER * INNER; n++) {
                strided_set(&q->targets, n, (double)(n % CLASSES) + (double)low);
            }
            q->b.background = background;
            assert_taken(q);
            strided_set(&q->targets, at, (double)bad[k]);
            strided_set(&q->targets, OUTER * INNER - 1, (double)bad[k]); /* a later one, too */
            assert_refused_at(q, FGHM_ERROR_LABEL, FGHM_FIELD_TARGETS, FGHM_PLACE_SAMPLE,
                              (int64_t)at);
            q->b.ignore_index = bad[k]; /* unless it is ignored */
            assert_taken(q);
            request_free(q);
        }
    }
}

static void labels_out_of_range(void **state) {
    (void)state;
    for (fghm_dtype dtype = FGHM_U8; dtype <= FGHM_I64; dtype++) {
        for (fghm_background background = 0; background < 4; background++) {
            check_labels(0, dtype, background);
            if (background != FGHM_BACKGROUND_MINUS_ONE) {
                check_labels(1, dtype, background);
            }
        }
    }
}

/* Far into a batch that several threads work on, the first of several. */
static void offenders_of_many_samples(void **state) {
    enum { MANY = 40000 };
    fghm_pool *pool = NULL;
    (void)state;
    assert_int_equal(fghm_pool_create(&pool, 3), FGHM_OK);
    for (int softmax = 0; softmax < 2; softmax++) {
        struct request *q = request_of(MANY, CLASSES, 1, FGHM_F32);
        if (softmax) {
            use_softmax(q, FGHM_I32);
        } else {
            use_labels(q, FGHM_I32);
        }
        strided_set(&q->targets, 31234, -7);
        strided_set(&q->targets, 22345, 3);
        strided_set(&q->targets, 39999, 3);
        assert_refused_at(q, FGHM_ERROR_LABEL, FGHM_FIELD_TARGETS, FGHM_PLACE_SAMPLE, 22345);
        assert_int_equal(fghm_focal_batch(q->focal, pool, &q->b, &q->result), FGHM_ERROR_LABEL);
        assert_int_equal(q->result.offender, 22345);
        request_free(q);
    }
    fghm_pool_destroy(pool);
}

/* The call does the rest: like one where nothing is wrong at `at`, except there.
 * `good` is what stands there in that one. */
static void assert_rest_done(struct request *q, const struct strided *a, size_t at, double bad,
                             double good, fghm_status status) {
    const size_t count = strided_count(&q->outputs[ELEMENT_LOSS]);
    const struct descriptor_error want = {status,
                                          a == &q->logits ? FGHM_FIELD_LOGITS : FGHM_FIELD_TARGETS,
                                          FGHM_FIELD_NONE, FGHM_PLACE_ELEMENT, (int64_t)at};
    double *const before = malloc(OUTPUTS * ELEMENTS * sizeof *before), sum = 0.0;
    assert_non_null(before);
    strided_set(a, at, good);
    assert_taken(q);
    for (size_t k = 0; k < OUTPUTS * count; k++) {
        before[k] = strided_at(&q->outputs[k / count], k % count);
    }
    strided_set(a, at, bad);
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
    descriptor_assert_error(run(q), &q->result, &want, __LINE__);
    assert_int_equal(q->result.filled, sizeof q->result);
    for (size_t k = 0; k < OUTPUTS * count; k++) {
        const double got = strided_at(&q->outputs[k / count], k % count);
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

static struct request *request_for_numbers(fghm_dtype dtype, int variant) {
    struct request *q = request_of(OUTER, CLASSES, INNER, dtype);
    const double smoothings[] = {0.0, 0.0, 0.5, 1.0, 0.0, 0.0};
    q->b.label_smoothing = smoothings[variant];
    q->b.activation = variant == 4 ? FGHM_PROBABILITY : FGHM_SIGMOID;
    if (variant == 1) {
        assert_int_equal(fghm_focal_set_negative_gamma(q->focal, 0.5), FGHM_OK);
    }
    if (variant == 5) {
        assert_int_equal(fghm_focal_set_rule(q->focal, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    }
    if (variant == 2) {
        q->b.class_alpha = q->b.class_weights = NULL;
    }
    return q;
}

static void targets_out_of_range(void **state) {
    const double bad[] = {-0.125, 1.0625, 2.0, -1.0, (double)INFINITY, -(double)INFINITY};
    (void)state;
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
        for (int variant = 0; variant < 6; variant++) {
            for (size_t at = 0; at < ELEMENTS; at++) {
                struct request *q = request_for_numbers(dtype, variant);
                for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
                    assert_rest_done(q, &q->targets, at, bad[k], 1.0, FGHM_ERROR_TARGET);
                }
                request_free(q);
            }
        }
    }
}

static void integer_targets_out_of_range(void **state) {
    const double bad[] = {2.0, 255.0, -1.0, -2147483648.0, 4294967296.0};
    (void)state;
    for (fghm_dtype dtype = FGHM_U8; dtype <= FGHM_I64; dtype++) {
        for (size_t at = 0; at < ELEMENTS; at++) {
            struct request *q = request_new();
            strided_free(&q->targets);
            q->targets = strided_plain(dtype, OUTER, CLASSES, INNER);
            for (size_t k = 0; k < ELEMENTS; k++) {
                strided_set(&q->targets, k, (double)(k % 2));
            }
            set_arrays(q);
            const size_t kinds[] = {2, 4, 5};
            for (size_t k = 0; k < kinds[dtype - FGHM_U8]; k++) {
                assert_rest_done(q, &q->targets, at, bad[k], 1.0, FGHM_ERROR_TARGET);
            }
            request_free(q);
        }
    }
}

/* Focal-star is defined for 0 and 1 alone. */
static void soft_targets_of_star(void **state) {
    struct request *q = request_for_numbers(FGHM_F32, 5);
    (void)state;
    assert_rest_done(q, &q->targets, 7, 0.5, 1.0, FGHM_ERROR_TARGET);
    request_free(q);
}

/* NaN stays in its own element, and out of the sum of the weights. */
static void any_weight_is_fine(void **state) {
    const double any[] = {-1.0, -0.125, -0.0, 0.0, 0x1p-14, (double)NAN};
    (void)state;
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_BF16; dtype++) {
        for (int variant = 0; variant < 6; variant++) {
            for (size_t at = 0; at < ELEMENTS; at++) {
                struct request *q = request_for_numbers(dtype, variant);
                double others = 0.0, before[OUTPUTS * ELEMENTS];
                assert_taken(q);
                for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                    before[k] = strided_at(&q->outputs[k / ELEMENTS], k % ELEMENTS);
                    others += k < ELEMENTS && k != at ? strided_at(&q->weights, k) : 0.0;
                }
                for (size_t n = 0; n < SUITE_COUNT(any); n++) {
                    strided_set(&q->weights, at, any[n]);
                    assert_taken(q);
                    assert_int_equal(isnan(q->result.loss) != 0, isnan(any[n]) != 0);
                    assert_true(q->result.sum_weights == others + (isnan(any[n]) ? 0.0 : any[n]));
                    for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                        const double got = strided_at(&q->outputs[k / ELEMENTS], k % ELEMENTS);
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
            struct request *q = request_new();
            use_softmax(q, FGHM_I32);
            strided_set(&q->weights, at, any[n]);
            assert_taken(q);
            for (size_t k = 0; k < ELEMENTS; k++) {
                const size_t sample = k / INNER / CLASSES * INNER + k % INNER;
                const int wrong = isnan(any[n]) && sample == at;
                assert_int_equal(isnan(strided_at(&q->outputs[GRADIENT], k)) != 0, wrong);
                assert_int_equal(isnan(strided_at(&q->outputs[ELEMENT_LOSS], sample)) != 0, wrong);
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
                struct request *q = request_for_numbers(dtype, 4);
                if (split) {
                    assert_int_equal(fghm_focal_set_rule(q->focal, FGHM_FOCAL_RULE_SPLIT), FGHM_OK);
                }
                for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
                    assert_rest_done(q, &q->logits, at, bad[k], 0.5, FGHM_ERROR_PROBABILITY);
                }
                request_free(q);
            }
        }
    }
}

/* NaN among logits, probabilities or targets is no error: NaN there, and in the loss. */
static void nan_is_no_error(void **state) {
    (void)state;
    for (int variant = 0; variant < 6; variant++) {
        for (int i = 0; i < 2; i++) {
            struct request *q = request_for_numbers(FGHM_F32, variant);
            strided_set(input_array(q, i), 5, (double)NAN);
            assert_taken(q);
            assert_true(isnan(q->result.loss));
            for (size_t k = 0; k < OUTPUTS * ELEMENTS; k++) {
                const double got = strided_at(&q->outputs[k / ELEMENTS], k % ELEMENTS);
                assert_int_equal(isnan(got) != 0, k % ELEMENTS == 5);
            }
            request_free(q);
        }
    }
}

/* The first of its kind, also of many and with threads. */
static void offenders_of_many_elements(void **state) {
    enum { MANY = 50000 };
    struct request *q = request_of(MANY, 1, 1, FGHM_F32);
    fghm_pool *pool = NULL;
    (void)state;
    assert_int_equal(fghm_pool_create(&pool, 3), FGHM_OK);
    strided_set(&q->targets, 49999, 2.0);
    strided_set(&q->targets, 31313, 2.0);
    strided_set(&q->targets, 31312, (double)NAN);
    assert_int_equal(run(q), FGHM_ERROR_TARGET);
    assert_int_equal(q->result.offender, 31313);
    assert_int_equal(fghm_focal_batch(q->focal, pool, &q->b, &q->result), FGHM_ERROR_TARGET);
    assert_int_equal(q->result.offender, 31313);
    fghm_pool_destroy(pool);
    request_free(q);
}

/* The plain calls have no weights that are wrong, whatever the rule. */
static void plain_calls_take_any_weight(void **state) {
    const struct dtype *d = *state;
    for (fghm_focal_rule rule = 0; rule < 4; rule++) {
        for (int mode = 0; mode < 2; mode++) {
            fghm_focal *focal =
                focal_handle(2.0, 0.25, mode ? FGHM_REDUCTION_MEAN_POSITIVES : FGHM_REDUCTION_MEAN);
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

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"the_request_is_fine", the_request_is_fine, 0},
        {"null_pointers", null_pointers, 0},
        {"no_output", no_output, 0},
        {"no_elements", no_elements, 0},
        {"unknown_flags", unknown_flags, 0},
        {"unknown_enumerators", unknown_enumerators, 0},
        {"label_smoothing_bounds", label_smoothing_bounds, 0},
        {"dtypes_of_arrays", dtypes_of_arrays, 0},
        {"combinations", combinations, 0},
        {"settings_that_softmax_has_not", settings_that_softmax_has_not, 0},
        {"sizes", sizes, 0},
        {"strides_of_outputs", strides_of_outputs, 0},
        {"strides_beyond_the_address_space", strides_beyond_the_address_space, 0},
        {"strides_of_single_elements", strides_of_single_elements, 0},
        {"class_strides_of_samples", class_strides_of_samples, 0},
        {"overlaps_are_refused", overlaps_are_refused, 0},
        {"outputs_that_meet_are_refused", outputs_that_meet_are_refused, 0},
        {"outputs_in_one_place_are_refused", outputs_in_one_place_are_refused, 0},
        {"class_arrays_in_outputs_are_refused", class_arrays_in_outputs_are_refused, 0},
        {"results_in_arrays_are_refused", results_in_arrays_are_refused, 0},
        {"outputs_in_the_place_of_inputs", outputs_in_the_place_of_inputs, 0},
        {"all_outputs_in_the_places_of_inputs", all_outputs_in_the_places_of_inputs, 0},
        {"class_arrays_out_of_range", class_arrays_out_of_range, 0},
        {"labels_out_of_range", labels_out_of_range, 0},
        {"offenders_of_many_samples", offenders_of_many_samples, 0},
        {"targets_out_of_range", targets_out_of_range, 0},
        {"integer_targets_out_of_range", integer_targets_out_of_range, 0},
        {"soft_targets_of_star", soft_targets_of_star, 0},
        {"any_weight_is_fine", any_weight_is_fine, 0},
        {"any_weight_of_softmax_is_fine", any_weight_of_softmax_is_fine, 0},
        {"probabilities_out_of_range", probabilities_out_of_range, 0},
        {"nan_is_no_error", nan_is_no_error, 0},
        {"offenders_of_many_elements", offenders_of_many_elements, 0},
        {"plain_calls_take_any_weight", plain_calls_take_any_weight, 1},
    };
    return suite_run(argument_count, arguments, "batch_errors", tests, SUITE_COUNT(tests));
}
