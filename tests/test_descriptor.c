/* SPDX-License-Identifier: MIT */

/* What a batch and a result are as structs: initializers, sizes of other versions, what nobody
 * has set; and, for each field, what is refused with which words.  Values of arrays and of
 * settings are in test_batch_errors, shapes and strides that are fine in test_shapes. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/guarded.h"
#include "support/suite.h"

enum { N = 2, C = 3, H = 2, ELEMENTS = N * C * H, SAMPLES = N * H };
enum { SIZES = 8192, SIZE_MOST = 4096 };

/* A call that is fine, until a test changes something. */
struct request {
    fghm_focal *focal;
    fghm_batch b;
    fghm_result result;
    float logits[ELEMENTS], targets[ELEMENTS], weights[ELEMENTS], scores[SAMPLES];
    float element_loss[ELEMENTS], gradient[ELEMENTS], hessian[ELEMENTS];
    int32_t labels[SAMPLES];
};

#define GIVEN(array)                                                                               \
    { .data = (array), .dtype = FGHM_F32 }

static void poison_result(struct request *q) {
    memset(&q->result, 0x5a, sizeof q->result);
    q->result.size = sizeof q->result;
}

static struct request *request_new(void) {
    struct request *const q = calloc(1, sizeof *q);
    assert_non_null(q);
    q->focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    for (size_t k = 0; k < ELEMENTS; k++) {
        q->logits[k] = (float)k / 4.0f - 1.5f;
        q->targets[k] = k % 3 == 0 ? 1.0f : 0.0f;
        q->weights[k] = 1.0f + (float)k / 8.0f;
        q->scores[k % SAMPLES] = 0.5f;
        q->labels[k % SAMPLES] = (int32_t)(k % C);
    }
    q->b = (fghm_batch)FGHM_BATCH_INIT;
    q->b.ndim = 3;
    q->b.class_axis = 1;
    q->b.shape[0] = N;
    q->b.shape[1] = C;
    q->b.shape[2] = H;
    q->b.logits = (fghm_input)GIVEN(q->logits);
    q->b.targets = (fghm_input)GIVEN(q->targets);
    q->b.weights = (fghm_input)GIVEN(q->weights);
    q->b.element_loss = (fghm_output)GIVEN(q->element_loss);
    q->b.gradient = (fghm_output)GIVEN(q->gradient);
    q->b.hessian = (fghm_output)GIVEN(q->hessian);
    poison_result(q);
    return q;
}

static void request_free(struct request *q) {
    fghm_focal_destroy(q->focal);
    free(q);
}

static void use_labels(struct request *q, fghm_activation activation) {
    q->b.activation = activation;
    q->b.target_form = FGHM_TARGET_LABEL;
    q->b.targets = (fghm_input){.data = q->labels, .dtype = FGHM_I32};
}

static fghm_status run(struct request *q) {
    return fghm_focal_batch(q->focal, NULL, &q->b, &q->result);
}

static void assert_taken_at(struct request *q, int line) {
    const struct descriptor_error fine = descriptor_error_of(FGHM_OK, FGHM_FIELD_NONE);
    descriptor_assert_error(run(q), &q->result, &fine, line);
    assert_int_equal(q->result.filled, FGHM_RESULT_SIZE_0_2);
    assert_int_equal(q->result.size, sizeof q->result);
}

#define assert_taken(q) assert_taken_at(q, __LINE__)

static void refused(struct request *q, struct descriptor_error want, int line) {
    struct request *const before = malloc(sizeof *before);
    assert_non_null(before);
    poison_result(q);
    *before = *q;
    const fghm_status status = run(q);
    descriptor_assert_refused(status, &q->result, &before->result, &want, line);
    before->result = q->result;
    assert_memory_equal(before, q, sizeof *q); /* nothing else has been written */
    free(before);
}

#define assert_refused(q, status, field) refused(q, descriptor_error_of(status, field), __LINE__)
#define assert_combination(q, a, b)                                                                \
    refused(q, descriptor_error_of_two(FGHM_ERROR_COMBINATION, a, b), __LINE__)
#define assert_axis_refused(q, status, axis)                                                       \
    refused(q, (struct descriptor_error){status, FGHM_FIELD_SHAPE, 0, FGHM_PLACE_AXIS, axis},      \
            __LINE__)

/* -------------------------------------------------------------------------
 * Initializers. */

static void no_padding(void **state) {
    (void)state;
    assert_int_equal(FGHM_BATCH_SIZE_0_2 % 8, 0);
    assert_int_equal(FGHM_RESULT_SIZE_0_2 % 8, 0);
    assert_int_equal(FGHM_BATCH_SIZE_0_2, sizeof(fghm_batch));
    assert_int_equal(FGHM_RESULT_SIZE_0_2, sizeof(fghm_result));
    assert_int_equal(offsetof(fghm_batch, size), 0);
    assert_int_equal(offsetof(fghm_batch, tag), 4);
    assert_int_equal(offsetof(fghm_result, size), 0);
    assert_int_equal(offsetof(fghm_result, filled), 4);
}

static void initial_values(void **state) {
    const fghm_batch b = FGHM_BATCH_INIT;
    const fghm_result result = FGHM_RESULT_INIT;
    (void)state;
    assert_int_equal(b.size, sizeof b);
    assert_int_equal(b.tag, FGHM_TAG);
    assert_int_equal(b.class_axis, FGHM_AXIS_NONE);
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        assert_true(b.shape[axis] == FGHM_UNSET);
    }
    assert_true(b.ignore_index == FGHM_IGNORE_NONE);
    assert_int_equal(result.size, sizeof result);
    assert_int_equal(result.filled, 0);
    assert_int_equal(result.offender, -1);
}

static int is_accepted(size_t size, size_t least) {
    return size >= least && size <= SIZE_MOST && size % 8 == 0;
}

/* The struct ends at a page that cannot be touched. */
static void functions_do_what_the_macros_do(void **state) {
    const fghm_batch batch = FGHM_BATCH_INIT;
    const fghm_result result = FGHM_RESULT_INIT;
    struct guarded memory = guarded_new(SIZES);
    (void)state;
    assert_int_equal(fghm_batch_init(NULL, sizeof batch), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_result_init(NULL, sizeof result), FGHM_ERROR_NULL_POINTER);
    for (size_t size = 0; size <= SIZES; size++) {
        for (int is_result = 0; is_result < 2; is_result++) {
            const size_t known = is_result ? sizeof result : sizeof batch;
            const void *const want = is_result ? (const void *)&result : (const void *)&batch;
            const int fits = is_accepted(size, known);
            unsigned char *const at = guarded_high(&memory, fits ? size : 8, 0);
            uint32_t written;
            guarded_fill(&memory, 0x77);
            const fghm_status status = is_result ? fghm_result_init((fghm_result *)(void *)at, size)
                                                 : fghm_batch_init((fghm_batch *)(void *)at, size);
            assert_int_equal(status, fits ? FGHM_OK : FGHM_ERROR_STRUCT);
            assert_true(guarded_untouched_outside(&memory, at, fits ? size : 0, 0x77));
            if (fits) {
                memcpy(&written, at, sizeof written);
                assert_int_equal(written, size);
                assert_memory_equal(at + 4, (const unsigned char *)want + 4, known - 4);
                for (size_t k = known; k < size && !is_result; k++) {
                    assert_int_equal(at[k], 0);
                }
            }
        }
    }
    assert_int_equal(fghm_batch_init((fghm_batch *)(void *)memory.start, SIZE_MAX),
                     FGHM_ERROR_STRUCT);
    guarded_free(&memory);
}

/* -------------------------------------------------------------------------
 * Sizes of other versions. */

static const uint32_t wild_sizes[] = {SIZE_MOST + 8, 65536, 0x80000000u, 0xfffffff8u, 0xffffffffu};

/* `q` with a batch of that size, of which no more than a library may read is there. */
static fghm_status run_with_batch_of(struct request *q, const struct guarded *memory, uint32_t size,
                                     const unsigned char **tail) {
    const int fits = is_accepted(size, FGHM_BATCH_SIZE_0_2);
    const size_t there = fits ? size : 8;
    unsigned char *const at = guarded_high(memory, there, 0);
    memset(at, 0, there);
    memcpy(at, &q->b, there < sizeof q->b ? there : sizeof q->b);
    memcpy(at, &size, sizeof size);
    *tail = at + sizeof q->b;
    return fghm_focal_batch(q->focal, NULL, (const fghm_batch *)(void *)at, &q->result);
}

static void sizes_of_the_batch(void **state) {
    struct request *const q = request_new();
    struct guarded memory = guarded_new(SIZES);
    const struct descriptor_error fine = descriptor_error_of(FGHM_OK, FGHM_FIELD_NONE);
    const struct descriptor_error wrong = descriptor_error_of(FGHM_ERROR_STRUCT, FGHM_FIELD_SIZE);
    const unsigned char *tail;
    (void)state;
    for (uint32_t size = 0; size <= SIZES; size++) {
        const fghm_status status = run_with_batch_of(q, &memory, size, &tail);
        descriptor_assert_error(status, &q->result,
                                is_accepted(size, FGHM_BATCH_SIZE_0_2) ? &fine : &wrong, __LINE__);
    }
    for (size_t k = 0; k < SUITE_COUNT(wild_sizes); k++) {
        const fghm_status status = run_with_batch_of(q, &memory, wild_sizes[k], &tail);
        descriptor_assert_error(status, &q->result, &wrong, __LINE__);
    }
    guarded_free(&memory);
    request_free(q);
}

/* Any byte that a later version may have given a meaning. */
static void unknown_fields_of_the_batch(void **state) {
    struct request *const q = request_new();
    struct guarded memory = guarded_new(SIZES);
    const unsigned char *tail;
    (void)state;
    for (uint32_t size = FGHM_BATCH_SIZE_0_2 + 8; size <= SIZE_MOST;
         size += size < 900 ? 8 : 1064) {
        assert_int_equal(run_with_batch_of(q, &memory, size, &tail), FGHM_OK);
        const size_t extra = size - sizeof q->b;
        for (size_t k = 0; k < extra; k++) {
            unsigned char *const byte = memory.end - extra + k;
            *byte = (unsigned char)(1u << (k % 8));
            const fghm_batch *const batch = (const fghm_batch *)(void *)(memory.end - size);
            assert_int_equal(fghm_focal_batch(q->focal, NULL, batch, &q->result),
                             FGHM_ERROR_STRUCT);
            assert_int_equal(q->result.status, FGHM_ERROR_STRUCT);
            *byte = 0;
        }
    }
    guarded_free(&memory);
    request_free(q);
}

/* Of a result that is larger no more is written than is known; of one that is none, nothing. */
static void sizes_of_the_result(void **state) {
    struct request *const q = request_new();
    struct guarded memory = guarded_new(SIZES);
    (void)state;
    assert_taken(q);
    for (uint32_t k = 0; k <= SIZES + SUITE_COUNT(wild_sizes) - 1; k++) {
        const uint32_t size = k < SIZES ? k : wild_sizes[k - SIZES];
        const int fits = is_accepted(size, FGHM_RESULT_SIZE_0_2);
        unsigned char *const at = guarded_high(&memory, fits ? size : 8, 0);
        fghm_result got;
        guarded_fill(&memory, 0x77);
        memcpy(at, &size, sizeof size);
        const fghm_status status =
            fghm_focal_batch(q->focal, NULL, &q->b, (fghm_result *)(void *)at);
        if (fits) {
            assert_int_equal(status, FGHM_OK);
            memcpy(&got, at, sizeof got);
            assert_int_equal(got.size, size);
            assert_int_equal(got.filled, FGHM_RESULT_SIZE_0_2);
            got.size = q->result.size;
            assert_memory_equal(&got, &q->result, sizeof got);
        } else {
            assert_int_equal(status, size == 0 ? FGHM_ERROR_UNINITIALIZED : FGHM_ERROR_STRUCT);
        }
        assert_true(guarded_untouched_outside(&memory, at, fits ? sizeof got : 4, 0x77));
    }
    guarded_free(&memory);
    request_free(q);
}

/* -------------------------------------------------------------------------
 * What nobody has set. */

static void zeroed_structs(void **state) {
    struct request *const q = request_new();
    const fghm_batch fine = q->b;
    fghm_result zero;
    char zeros[sizeof zero];
    (void)state;
    memset(&q->b, 0, sizeof q->b);
    assert_refused(q, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG);
    q->b.size = sizeof q->b;
    assert_refused(q, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG);
    q->b = fine;
    q->b.tag = 0;
    assert_refused(q, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG);
    q->b.tag = FGHM_TAG + 1;
    assert_refused(q, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG);
    q->b = fine;
    q->b.size = 0;
    assert_refused(q, FGHM_ERROR_STRUCT, FGHM_FIELD_SIZE);
    q->b = fine;
    memset(&zero, 0, sizeof zero);
    assert_int_equal(fghm_focal_batch(q->focal, NULL, &q->b, &zero), FGHM_ERROR_UNINITIALIZED);
    assert_memory_equal(&zero, memset(zeros, 0, sizeof zeros), sizeof zero);
    request_free(q);
}

/* Set one thing after the other: each error names what is still missing. */
static void what_is_forgotten_is_named(void **state) {
    struct request *const q = request_new();
    const fghm_batch fine = q->b;
    (void)state;
    q->b = (fghm_batch)FGHM_BATCH_INIT;
    assert_refused(q, FGHM_ERROR_UNSET, FGHM_FIELD_NDIM);
    q->b = fine;
    q->b.ndim = 0;
    assert_refused(q, FGHM_ERROR_UNSET, FGHM_FIELD_NDIM);
    q->b = fine;
    for (int axis = 0; axis < 3; axis++) {
        q->b.shape[axis] = FGHM_UNSET;
        assert_axis_refused(q, FGHM_ERROR_UNSET, axis);
        q->b.shape[axis] = fine.shape[axis];
    }
    q->b.logits.data = NULL;
    assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_LOGITS);
    q->b = fine;
    q->b.targets.data = NULL;
    assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_TARGETS);
    q->b = fine;
    const struct {
        fghm_dtype *dtype;
        fghm_field field;
    } dtypes_set[] = {
        {&q->b.logits.dtype, FGHM_FIELD_LOGITS},
        {&q->b.targets.dtype, FGHM_FIELD_TARGETS},
        {&q->b.weights.dtype, FGHM_FIELD_WEIGHTS},
        {&q->b.element_loss.dtype, FGHM_FIELD_ELEMENT_LOSS},
        {&q->b.gradient.dtype, FGHM_FIELD_GRADIENT},
        {&q->b.hessian.dtype, FGHM_FIELD_HESSIAN},
    };
    for (size_t k = 0; k < SUITE_COUNT(dtypes_set); k++) {
        *dtypes_set[k].dtype = FGHM_DTYPE_UNSET;
        assert_refused(q, FGHM_ERROR_UNSET, dtypes_set[k].field);
        *dtypes_set[k].dtype = FGHM_F32;
    }
    use_labels(q, FGHM_SIGMOID);
    q->b.target_form = FGHM_TARGET_LABEL_SCORE;
    assert_refused(q, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_SCORES);
    q->b.scores = (fghm_input){.data = q->scores};
    assert_refused(q, FGHM_ERROR_UNSET, FGHM_FIELD_SCORES);
    q->b.scores.dtype = FGHM_F32;
    assert_taken(q);
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Shapes. */

static void numbers_of_axes(void **state) {
    struct request *const q = request_new();
    const int32_t bad[] = {-1, 9, 10, 100, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        q->b.ndim = bad[k];
        assert_refused(q, FGHM_ERROR_RANGE, FGHM_FIELD_NDIM);
    }
    request_free(q);
}

static void places_of_the_class_axis(void **state) {
    struct request *const q = request_new();
    const int32_t bad[] = {3, 4, 8, 127, -4, -5, -127, -129, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        q->b.class_axis = bad[k];
        assert_refused(q, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_AXIS);
    }
    for (int32_t axis = -3; axis < 3; axis++) {
        q->b.class_axis = axis;
        assert_taken(q);
    }
    q->b.class_axis = FGHM_AXIS_NONE;
    assert_taken(q);
    request_free(q);
}

static void what_needs_a_class_axis(void **state) {
    struct request *const q = request_new();
    (void)state;
    use_labels(q, FGHM_SIGMOID);
    assert_taken(q);
    q->b.class_axis = FGHM_AXIS_NONE;
    assert_combination(q, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_CLASS_AXIS);
    q->b.scores = (fghm_input)GIVEN(q->scores);
    q->b.target_form = FGHM_TARGET_LABEL_SCORE;
    assert_combination(q, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_CLASS_AXIS);
    use_labels(q, FGHM_SOFTMAX);
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_CLASS_AXIS);
    request_free(q);
}

static void extents(void **state) {
    struct request *const q = request_new();
    const fghm_batch fine = q->b;
    const int64_t negative[] = {-1, -2, INT64_MIN + 1};
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        for (size_t k = 0; k < SUITE_COUNT(negative); k++) {
            q->b.shape[axis] = negative[k];
            assert_axis_refused(q, FGHM_ERROR_RANGE, axis);
        }
        q->b.shape[axis] = fine.shape[axis];
    }
    for (int axis = 3; axis < FGHM_AXES_MAX; axis++) {
        const int64_t set[] = {0, 1, 2, -1, INT64_MAX};
        for (size_t k = 0; k < SUITE_COUNT(set); k++) {
            q->b.shape[axis] = set[k];
            refused(q,
                    (struct descriptor_error){FGHM_ERROR_RANGE, FGHM_FIELD_SHAPE, FGHM_FIELD_NDIM,
                                              FGHM_PLACE_AXIS, axis},
                    __LINE__);
        }
        q->b.shape[axis] = FGHM_UNSET;
    }
    q->b.shape[1] = 0; /* there are classes */
    assert_axis_refused(q, FGHM_ERROR_RANGE, 1);
    q->b.class_axis = -3;
    q->b.shape[1] = C;
    q->b.shape[0] = 0;
    assert_axis_refused(q, FGHM_ERROR_RANGE, 0);
    request_free(q);
}

static void empty_batches(void **state) {
    struct request *const q = request_new();
    const fghm_batch fine = q->b;
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        q->b = fine;
        q->b.class_axis = axis == 1 ? FGHM_AXIS_NONE : 1;
        q->b.shape[axis] = 0;
        q->b.shape[(axis + 2) % 3] = axis == 1 ? INT64_MAX : q->b.shape[(axis + 2) % 3];
        assert_taken(q);
        assert_true(q->result.loss == 0.0 && q->result.sum == 0.0 && q->result.elements == 0);
        assert_true(q->result.valid == 0 && q->result.positives == 0);
        assert_true(q->result.sum_weights == 0.0 && q->result.sum_targets == 0.0);
        assert_true(q->result.divisor >= 1.0);
        for (int k = 0; k < ELEMENTS; k++) {
            assert_true(q->gradient[k] == 0.0f); /* as calloc left it */
        }
    }
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Layouts. */

static void unknown_layouts(void **state) {
    struct request *const q = request_new();
    const struct {
        fghm_layout *layout;
        fghm_field field;
    } arrays[] = {
        {&q->b.logits.layout, FGHM_FIELD_LOGITS},
        {&q->b.targets.layout, FGHM_FIELD_TARGETS},
        {&q->b.weights.layout, FGHM_FIELD_WEIGHTS},
        {&q->b.element_loss.layout, FGHM_FIELD_ELEMENT_LOSS},
        {&q->b.gradient.layout, FGHM_FIELD_GRADIENT},
        {&q->b.hessian.layout, FGHM_FIELD_HESSIAN},
    };
    const fghm_layout bad[] = {-1, 3, 100, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
            *arrays[k].layout = bad[i];
            assert_refused(q, FGHM_ERROR_CONSTANT, arrays[k].field);
        }
        *arrays[k].layout = FGHM_LAYOUT_CONTIGUOUS;
    }
    request_free(q);
}

/* Strides that no one would look at, also of axes that the shape has not. */
static void strides_without_use(void **state) {
    struct request *const q = request_new();
    (void)state;
    for (int axis = 0; axis < FGHM_AXES_MAX; axis++) {
        q->b.logits.strides[axis] = 1;
        assert_refused(q, FGHM_ERROR_LAYOUT, FGHM_FIELD_LOGITS);
        q->b.logits.strides[axis] = 0;
        q->b.gradient.strides[axis] = -1;
        assert_refused(q, FGHM_ERROR_LAYOUT, FGHM_FIELD_GRADIENT);
        q->b.gradient.strides[axis] = 0;
        q->b.weights.layout = FGHM_LAYOUT_PER_SAMPLE;
        q->b.weights.strides[axis] = INT64_MIN;
        assert_refused(q, FGHM_ERROR_LAYOUT, FGHM_FIELD_WEIGHTS);
        q->b.weights.strides[axis] = 0;
        assert_taken(q);
    }
    request_free(q);
}

/* Labels are an array of samples: along the classes, wherever their axis is, they do not move. */
static void strides_along_classes(void **state) {
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        struct request *const q = request_new();
        use_labels(q, FGHM_SIGMOID);
        q->b.class_axis = axis;
        q->b.shape[1] = N;
        q->b.shape[axis] = C;
        q->b.targets.layout = FGHM_LAYOUT_STRIDED;
        for (int k = 0, stride = 1; k < 3; k++) {
            q->b.targets.strides[k] = k == axis ? 0 : stride;
            stride *= k == axis ? 1 : N;
        }
        assert_taken(q);
        q->b.targets.strides[axis] = axis == 1 ? -1 : INT64_MAX;
        refused(q,
                (struct descriptor_error){FGHM_ERROR_STRIDE, FGHM_FIELD_TARGETS, FGHM_FIELD_NONE,
                                          FGHM_PLACE_AXIS, axis},
                __LINE__);
        request_free(q);
    }
}

static void outputs_per_sample(void **state) {
    struct request *const q = request_new();
    fghm_layout *const layouts[] = {&q->b.element_loss.layout, &q->b.gradient.layout,
                                    &q->b.hessian.layout};
    const fghm_field fields[] = {FGHM_FIELD_ELEMENT_LOSS, FGHM_FIELD_GRADIENT, FGHM_FIELD_HESSIAN};
    (void)state;
    for (int k = 0; k < 3; k++) {
        *layouts[k] = FGHM_LAYOUT_PER_SAMPLE;
        assert_refused(q, FGHM_ERROR_LAYOUT, fields[k]);
        *layouts[k] = FGHM_LAYOUT_CONTIGUOUS;
    }
    /* Softmax has one loss for each sample. */
    use_labels(q, FGHM_SOFTMAX);
    q->b.element_loss.layout = FGHM_LAYOUT_PER_SAMPLE;
    assert_taken(q);
    q->b.gradient.layout = FGHM_LAYOUT_PER_SAMPLE;
    assert_refused(q, FGHM_ERROR_LAYOUT, FGHM_FIELD_GRADIENT);
    request_free(q);
}

/* -------------------------------------------------------------------------
 * Elements that are in error, and what the result counts. */

static void scores_out_of_range(void **state) {
    const float bad[] = {-0.125f, 1.5f, INFINITY, -INFINITY};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        for (int64_t at = 0; at < SAMPLES; at++) {
            struct request *const q = request_new();
            double sum = 0.0;
            use_labels(q, FGHM_SIGMOID);
            q->b.target_form = FGHM_TARGET_LABEL_SCORE;
            q->b.scores = (fghm_input)GIVEN(q->scores);
            q->scores[at] = bad[k];
            q->scores[SAMPLES - 1] = bad[k]; /* a later one, too */
            const struct descriptor_error want = {FGHM_ERROR_SCORE, FGHM_FIELD_SCORES,
                                                  FGHM_FIELD_NONE, FGHM_PLACE_SAMPLE, at};
            descriptor_assert_error(run(q), &q->result, &want, __LINE__);
            assert_int_equal(q->result.filled, sizeof q->result);
            for (int n = 0; n < ELEMENTS; n++) {
                const int sample = n / H / C * H + n % H;
                const int labelled = q->labels[sample] == n / H % C;
                const int wrong = labelled && (sample == at || sample == SAMPLES - 1);
                assert_int_equal(isnan(q->element_loss[n]) != 0, wrong);
                assert_int_equal(isnan(q->gradient[n]) != 0, wrong);
                assert_int_equal(isnan(q->hessian[n]) != 0, wrong);
                sum += wrong ? 0.0 : (double)q->element_loss[n];
            }
            assert_true(fabs(q->result.sum - sum) <= 1e-6 * sum);
            request_free(q);
        }
    }
}

/* t = s for the labelled class, 0 for the others: as dense targets have it. */
static void scores_are_targets(void **state) {
    struct request *const q = request_new(), *const dense = request_new();
    (void)state;
    use_labels(q, FGHM_SIGMOID);
    q->b.target_form = FGHM_TARGET_LABEL_SCORE;
    q->b.scores = (fghm_input)GIVEN(q->scores);
    for (int n = 0; n < ELEMENTS; n++) {
        const int sample = n / H / C * H + n % H;
        q->scores[sample] = (float)(sample + 1) / 8.0f;
        dense->targets[n] = q->labels[sample] == n / H % C ? q->scores[sample] : 0.0f;
    }
    assert_taken(q);
    assert_taken(dense);
    assert_memory_equal(q->element_loss, dense->element_loss, sizeof q->element_loss);
    assert_memory_equal(q->gradient, dense->gradient, sizeof q->gradient);
    assert_memory_equal(q->hessian, dense->hessian, sizeof q->hessian);
    assert_true(q->result.sum_targets == dense->result.sum_targets);
    assert_int_equal(q->result.positives, SAMPLES); /* those of the labelled class */
    use_labels(q, FGHM_SOFTMAX);
    q->b.target_form = FGHM_TARGET_LABEL_SCORE;
    assert_combination(q, FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM);
    request_free(q);
    request_free(dense);
}

static void nan_targets(void **state) {
    struct request *const q = request_new();
    (void)state;
    q->targets[5] = NAN;
    assert_taken(q);
    assert_true(isnan(q->gradient[5]) && isnan(q->result.sum));
    q->b.flags = FGHM_NAN_TARGETS_IGNORED;
    q->logits[5] = INFINITY;
    q->weights[5] = NAN;
    assert_taken(q);
    assert_true(q->gradient[5] == 0.0f && q->element_loss[5] == 0.0f && q->hessian[5] == 0.0f);
    assert_true(isfinite(q->result.sum));
    assert_int_equal(q->result.valid, ELEMENTS - 1);
    request_free(q);
}

/* Any value, in the targets' own type; no value until one is set. */
static void ignored_values(void **state) {
    const double values[] = {255.0, -1.0, 0.5, 1.0, 0.0, -9007199254740992.0};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(values); k++) {
        struct request *const q = request_new();
        q->targets[7] = (float)values[k];
        q->logits[7] = NAN;
        q->b.ignore_index = (int64_t)values[k];
        const int is_whole = (double)(int64_t)values[k] == values[k];
        const fghm_status status = run(q);
        assert_int_equal(status, FGHM_OK);
        assert_int_equal(q->gradient[7] == 0.0f, is_whole);
        request_free(q);
    }
    struct request *const q = request_new();
    q->targets[7] = -1.0f;
    assert_int_equal(run(q), FGHM_ERROR_TARGET);
    request_free(q);
}

static void sums_of_the_result(void **state) {
    struct request *const q = request_new();
    double weights = 0.0, targets = 0.0;
    (void)state;
    q->targets[1] = 0.25f;
    q->targets[4] = -7.0f;
    q->b.ignore_index = -7;
    q->weights[2] = NAN;
    q->b.label_smoothing = 0.5;
    for (int k = 0; k < ELEMENTS; k++) {
        weights += k == 2 || k == 4 ? 0.0 : (double)q->weights[k];
        targets += k == 4 ? 0.0 : (double)q->targets[k];
    }
    assert_taken(q);
    assert_true(q->result.sum_weights == weights);
    assert_true(q->result.sum_targets == targets);
    assert_int_equal(q->result.elements, ELEMENTS);
    assert_int_equal(q->result.valid, ELEMENTS - 1);
    q->b.weights.data = NULL;
    assert_taken(q);
    assert_true(q->result.sum_weights == (double)(ELEMENTS - 1));
    q->targets[1] = NAN;
    assert_taken(q);
    assert_true(q->result.sum_targets == targets - 0.25);
    request_free(q);
}

/* The result is that of the last call alone. */
static void results_are_used_again(void **state) {
    struct request *const q = request_new();
    (void)state;
    q->targets[3] = 2.0f;
    assert_int_equal(run(q), FGHM_ERROR_TARGET);
    assert_int_equal(q->result.offender, 3);
    q->targets[3] = 1.0f;
    assert_taken(q);
    request_free(q);
}

/* -------------------------------------------------------------------------
 * What an array reaches. */

enum { ROOM = 4096, TRIALS = 2000 };

/* Draws how an array lies; its strides are small enough for the room. */
static void draw_layout(struct random *r, int32_t ndim, fghm_layout *layout, int64_t *strides) {
    *layout = (fghm_layout)random_below(r, 3);
    for (int32_t axis = 0; axis < ndim && *layout == FGHM_LAYOUT_STRIDED; axis++) {
        strides[axis] = (int64_t)random_below(r, 61) - 30;
        strides[axis] = random_below(r, 4) == 0 ? 0 : strides[axis];
    }
}

/* The first and the last number over all indices, from their definition. */
static void walk_indices(const fghm_batch *b, bool of_samples, fghm_layout layout,
                         const int64_t *strides, int64_t reach[2]) {
    size_t elements = 1;
    for (int32_t axis = 0; axis < b->ndim; axis++) {
        elements *= (size_t)b->shape[axis];
    }
    reach[0] = 0;
    reach[1] = -1;
    for (size_t k = 0; k < elements; k++) {
        size_t rest = k;
        int64_t at = 0, step = 1;
        for (int32_t axis = b->ndim - 1; axis >= 0; axis--) {
            const int64_t index = (int64_t)(rest % (size_t)b->shape[axis]);
            const bool absent =
                axis == b->class_axis && (of_samples || layout == FGHM_LAYOUT_PER_SAMPLE);
            at += absent ? 0 : index * (layout == FGHM_LAYOUT_STRIDED ? strides[axis] : step);
            step *= absent ? 1 : b->shape[axis];
            rest /= (size_t)b->shape[axis];
        }
        reach[0] = at < reach[0] ? at : reach[0];
        reach[1] = at > reach[1] ? at : reach[1];
    }
}

static void reach_is_what_indices_say(void **state) {
    static float memory[4][2 * ROOM];
    static int32_t labels[2 * ROOM];
    struct random r = random_for(41);
    size_t taken = 0, refused = 0;
    fghm_focal *const focal = focal_handle(2.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    (void)state;
    for (int trial = 0; trial < TRIALS; trial++) {
        fghm_batch b = FGHM_BATCH_INIT;
        b.ndim = 1 + (int32_t)random_below(&r, 4);
        for (int32_t axis = 0; axis < b.ndim; axis++) {
            b.shape[axis] = (int64_t)random_below(&r, 4);
        }
        b.class_axis = (int32_t)random_below(&r, (size_t)b.ndim);
        b.activation = random_bits(&r) & 1 ? FGHM_SOFTMAX : FGHM_SIGMOID;
        b.target_form = FGHM_TARGET_LABEL;
        b.logits = (fghm_input){.data = memory[0] + ROOM, .dtype = FGHM_F32};
        b.targets = (fghm_input){.data = labels + ROOM, .dtype = FGHM_I32};
        b.weights = (fghm_input){.data = memory[1] + ROOM, .dtype = FGHM_F32};
        b.element_loss = (fghm_output){.data = memory[2] + ROOM, .dtype = FGHM_F32};
        b.gradient = (fghm_output){.data = memory[3] + ROOM, .dtype = FGHM_F32};
        const bool softmax = b.activation == FGHM_SOFTMAX;
        const struct {
            fghm_field field;
            bool of_samples;
            fghm_layout *layout;
            int64_t *strides;
        } arrays[] = {
            {FGHM_FIELD_LOGITS, false, &b.logits.layout, b.logits.strides},
            {FGHM_FIELD_TARGETS, true, &b.targets.layout, b.targets.strides},
            {FGHM_FIELD_WEIGHTS, softmax, &b.weights.layout, b.weights.strides},
            {FGHM_FIELD_ELEMENT_LOSS, softmax, &b.element_loss.layout, b.element_loss.strides},
            {FGHM_FIELD_GRADIENT, false, &b.gradient.layout, b.gradient.strides},
        };
        fghm_status status = FGHM_OK;
        fghm_field field = FGHM_FIELD_NONE;
        for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
            size_t before = 77, after = 78;
            int64_t want[2];
            if (random_bits(&r) & 1) {
                draw_layout(&r, b.ndim, arrays[k].layout, arrays[k].strides);
            }
            const fghm_status got = fghm_batch_reach(&b, arrays[k].field, &before, &after);
            if (got == FGHM_OK) {
                walk_indices(&b, arrays[k].of_samples, *arrays[k].layout, arrays[k].strides, want);
                assert_int_equal(before, -want[0]);
                assert_int_equal(after, want[1] + 1);
            } else {
                assert_true(before == 77 && after == 78);
            }
            field = status == FGHM_OK && got != FGHM_OK ? arrays[k].field : field;
            status = status == FGHM_OK ? got : status;
        }
        /* The same error, in the first array that has one. */
        fghm_result result = FGHM_RESULT_INIT;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), status);
        const bool of_array = result.field >= FGHM_FIELD_LOGITS;
        assert_true(!of_array || status == FGHM_OK || result.field == field);
        taken += status == FGHM_OK ? 1 : 0;
        refused += status != FGHM_OK ? 1 : 0;
    }
    assert_true(taken > TRIALS / 8 && refused > TRIALS / 8);
    fghm_focal_destroy(focal);
}

static void reach_of_other_things(void **state) {
    size_t before = 77, after = 78;
    fghm_batch b = FGHM_BATCH_INIT;
    (void)state;
    b.ndim = 2;
    b.shape[0] = 5;
    b.shape[1] = 3;
    assert_int_equal(fghm_batch_reach(NULL, FGHM_FIELD_LOGITS, &before, &after),
                     FGHM_ERROR_NULL_POINTER);
    for (fghm_field field = -1; field < 300; field++) {
        const bool has_reach =
            field >= FGHM_FIELD_CLASS_ALPHA && field <= FGHM_FIELD_HARMONIZING_WEIGHT;
        const fghm_status want = !has_reach                  ? FGHM_ERROR_CONSTANT
                                 : field < FGHM_FIELD_LOGITS ? FGHM_OK
                                                             : FGHM_ERROR_UNSET;
        assert_int_equal(fghm_batch_reach(&b, field, &before, &after), want);
    }
    /* Whether it is there or not. */
    b.gradient.dtype = FGHM_F16;
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_GRADIENT, &before, &after), FGHM_OK);
    assert_true(before == 0 && after == 15);
    b.gradient.layout = FGHM_LAYOUT_STRIDED;
    b.gradient.strides[0] = -3;
    b.gradient.strides[1] = 1;
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_GRADIENT, &before, &after), FGHM_OK);
    assert_true(before == 12 && after == 3);
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_CLASS_WEIGHTS, &before, &after), FGHM_OK);
    assert_true(before == 0 && after == 1);
    b.class_axis = -1;
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_CLASS_WEIGHTS, &before, &after), FGHM_OK);
    assert_true(before == 0 && after == 3);
    b.shape[1] = FGHM_UNSET;
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_LOGITS, &before, &after), FGHM_ERROR_UNSET);
    b.tag = 0;
    assert_int_equal(fghm_batch_reach(&b, FGHM_FIELD_LOGITS, &before, &after),
                     FGHM_ERROR_UNINITIALIZED);
    assert_true(before == 0 && after == 3);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"no_padding", no_padding, 0},
        {"initial_values", initial_values, 0},
        {"functions_do_what_the_macros_do", functions_do_what_the_macros_do, 0},
        {"sizes_of_the_batch", sizes_of_the_batch, 0},
        {"unknown_fields_of_the_batch", unknown_fields_of_the_batch, 0},
        {"sizes_of_the_result", sizes_of_the_result, 0},
        {"zeroed_structs", zeroed_structs, 0},
        {"what_is_forgotten_is_named", what_is_forgotten_is_named, 0},
        {"numbers_of_axes", numbers_of_axes, 0},
        {"places_of_the_class_axis", places_of_the_class_axis, 0},
        {"what_needs_a_class_axis", what_needs_a_class_axis, 0},
        {"extents", extents, 0},
        {"empty_batches", empty_batches, 0},
        {"unknown_layouts", unknown_layouts, 0},
        {"strides_without_use", strides_without_use, 0},
        {"strides_along_classes", strides_along_classes, 0},
        {"outputs_per_sample", outputs_per_sample, 0},
        {"scores_out_of_range", scores_out_of_range, 0},
        {"scores_are_targets", scores_are_targets, 0},
        {"nan_targets", nan_targets, 0},
        {"ignored_values", ignored_values, 0},
        {"sums_of_the_result", sums_of_the_result, 0},
        {"results_are_used_again", results_are_used_again, 0},
        {"reach_is_what_indices_say", reach_is_what_indices_say, 0},
        {"reach_of_other_things", reach_of_other_things, 0},
    };
    return suite_run(argument_count, arguments, "descriptor", tests, SUITE_COUNT(tests));
}
