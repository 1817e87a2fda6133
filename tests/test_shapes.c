/* SPDX-License-Identifier: MIT */

/* Batches of one to eight axes with the class axis anywhere, and arrays that lie in memory in
 * any way: the results of a contiguous copy of the same shape, bit for bit, elements and sums.
 * Then the rule that says which outputs may lie how, against brute force. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/guarded.h"
#include "support/strided.h"
#include "support/suite.h"

/* Arrays ---------------------------------------------------------------------------- */

/* An array of a batch with any number of axes.  On an axis that it does not have, that of the
 * classes in an array of samples, its extent is 1. */
struct array {
    fghm_dtype dtype;
    int ndim;
    int64_t extents[FGHM_AXES_MAX];
    int64_t strides[FGHM_AXES_MAX]; /* 0 on axes of extent 1 */
    struct guarded memory;
    size_t places; /* from the lowest element to the highest */
    int64_t first; /* where the first element is among them */
    unsigned char *data;
};

static size_t count_of(const struct array *a) {
    size_t count = 1;
    for (int axis = 0; axis < a->ndim; axis++) {
        count *= (size_t)a->extents[axis];
    }
    return count;
}

/* The place of the k-th element, row-major, seen from the first. */
static int64_t step_of(const struct array *a, size_t k) {
    int64_t step = 0;
    for (int axis = a->ndim - 1; axis >= 0; axis--) {
        step += (int64_t)(k % (size_t)a->extents[axis]) * a->strides[axis];
        k /= (size_t)a->extents[axis];
    }
    return step;
}

static unsigned char *element_of(const struct array *a, size_t k) {
    return a->data + step_of(a, k) * (int64_t)strided_size(a->dtype);
}

static double get(const struct array *a, size_t k) {
    return strided_load(a->dtype, element_of(a, k));
}

static void put(const struct array *a, size_t k, double value) {
    strided_save(a->dtype, element_of(a, k), value);
}

/* Memory for an array with these strides, which starts or ends at a page that cannot be
 * touched. */
static void place_array(struct array *a, bool at_end) {
    const size_t size = strided_size(a->dtype);
    int64_t low = 0, high = 0;
    for (int axis = 0; axis < a->ndim; axis++) {
        const int64_t reach = (a->extents[axis] - 1) * a->strides[axis];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    a->places = (size_t)(high - low + 1);
    a->first = -low;
    a->memory = guarded_new(a->places * size);
    guarded_fill(&a->memory, STRIDED_FILL);
    a->data = at_end ? guarded_high(&a->memory, a->places * size, 0) : guarded_low(&a->memory, 0);
    a->data += (size_t)a->first * size;
}

static void free_array(struct array *a) {
    if (a->data != NULL) {
        guarded_free(&a->memory);
        a->data = NULL;
    }
}

/* The axes in an order, from the fastest on; gaps between elements, axes backwards. */
static void order_axes(struct random *r, struct array *a, const size_t *order, bool gaps) {
    int64_t step = 1;
    for (int k = 0; k < a->ndim; k++) {
        const size_t axis = order[k];
        const bool back = gaps && random_below(r, 4) == 0;
        step *= gaps && random_below(r, 4) == 0 ? 2 : 1;
        a->strides[axis] = a->extents[axis] == 1 ? 0 : back ? -step : step;
        step *= a->extents[axis] + (gaps && random_below(r, 3) == 0 ? 1 : 0);
    }
}

enum lying { ROW_MAJOR, TRANSPOSED, CROPPED, ANYHOW, REPEATED, ONE_NUMBER, LYINGS };

static struct array new_array(struct random *r, fghm_dtype dtype, int ndim, const int64_t *shape,
                              int absent, enum lying lying) {
    struct array a = {.dtype = dtype, .ndim = ndim};
    size_t order[FGHM_AXES_MAX] = {0};
    for (int axis = 0; axis < ndim; axis++) {
        a.extents[axis] = axis == absent ? 1 : shape[axis];
        order[axis] = (size_t)(ndim - 1 - axis);
    }
    if (lying == TRANSPOSED || lying == ANYHOW) {
        random_permutation(r, (size_t)ndim, order);
    }
    order_axes(r, &a, order, lying == CROPPED || lying == ANYHOW || lying == REPEATED);
    for (int axis = 0; axis < ndim; axis++) {
        if (lying == ONE_NUMBER || (lying == REPEATED && random_bits(r) & 1)) {
            a.strides[axis] = 0;
        }
    }
    place_array(&a, random_bits(r) & 1);
    return a;
}

/* The same elements, contiguous. */
static struct array copy_array(struct random *r, const struct array *from) {
    struct array a = new_array(r, from->dtype, from->ndim, from->extents, -1, ROW_MAJOR);
    for (size_t k = 0; k < count_of(from); k++) {
        memcpy(element_of(&a, k), element_of(from, k), strided_size(from->dtype));
    }
    return a;
}

static void assert_only_elements(const struct array *a) {
    const size_t size = strided_size(a->dtype);
    bool *const own = calloc(a->memory.room, sizeof *own);
    assert_non_null(own);
    for (size_t k = 0; k < count_of(a); k++) {
        memset(own + (element_of(a, k) - a->memory.start), true, size);
    }
    for (size_t k = 0; k < a->memory.room; k++) {
        assert_true(own[k] || a->memory.start[k] == STRIDED_FILL);
    }
    free(own);
}

/* Strides as a caller may give them: anything on an axis of extent 1, but for that of the
 * classes, where an array of samples has none. */
static void give_strides(struct random *r, const struct array *a, const int64_t *shape, int absent,
                         int64_t *strides) {
    const int64_t garbage[] = {INT64_MAX, INT64_MIN, 0, -1, 12345};
    for (int axis = 0; axis < a->ndim; axis++) {
        strides[axis] = a->strides[axis];
        if (shape[axis] == 1 && axis != absent) {
            strides[axis] = garbage[random_below(r, SUITE_COUNT(garbage))];
        }
    }
}

/* Batches ---------------------------------------------------------------------------- */

enum form { DENSE, LABELS, SCORES, SOFTMAX, PROBABILITIES, FORMS };
enum { LOGITS_AT, TARGETS_AT, SCORES_AT, WEIGHTS_AT, OUTPUTS_AT, ARRAYS = OUTPUTS_AT + OUTPUTS };

struct shape {
    int ndim, class_axis; /* class_axis -1: none */
    int64_t extents[FGHM_AXES_MAX];
};

struct form_of_batch {
    struct shape shape;
    enum form form;
    struct array arrays[ARRAYS];
    int absent[ARRAYS]; /* the class axis for arrays of samples, else -1 */
};

static size_t classes_of(const struct shape *s) {
    return s->class_axis < 0 ? 1 : (size_t)s->extents[s->class_axis];
}

static fghm_dtype any_of(struct random *r, const fghm_dtype *dtypes_of_array, size_t count) {
    return dtypes_of_array[random_below(r, count)];
}

static void draw_arrays(struct random *r, struct form_of_batch *b, fghm_dtype real) {
    const fghm_dtype narrow[] = {real, real, FGHM_F16, FGHM_BF16};
    const fghm_dtype integers[] = {FGHM_U8, FGHM_I32, FGHM_I64};
    const bool labels = b->form == LABELS || b->form == SCORES || b->form == SOFTMAX;
    for (int k = 0; k < ARRAYS; k++) {
        const bool of_loss = k == WEIGHTS_AT || k == OUTPUTS_AT + ELEMENT_LOSS;
        const bool of_samples =
            k == SCORES_AT || (k == TARGETS_AT && labels) || (of_loss && b->form == SOFTMAX);
        const fghm_dtype dtype = k == LOGITS_AT              ? real
                                 : k == TARGETS_AT && labels ? any_of(r, integers, 3)
                                                             : any_of(r, narrow, 4);
        const size_t lyings = k < OUTPUTS_AT ? LYINGS : REPEATED;
        b->absent[k] = of_samples ? b->shape.class_axis : -1;
        if (k == SCORES_AT && b->form != SCORES) {
            continue;
        }
        b->arrays[k] = new_array(r, dtype, b->shape.ndim, b->shape.extents, b->absent[k],
                                 (enum lying)random_below(r, lyings));
    }
}

static double draw_number(struct random *r, const struct form_of_batch *b, int array,
                          fghm_dtype dtype) {
    switch (array) {
    case LOGITS_AT:
        return b->form == PROBABILITIES ? random_uniform(r, 0.01, 0.99) : 4.0 * random_normal(r);
    case TARGETS_AT:
        if (dtype >= FGHM_U8) {
            const size_t classes = classes_of(&b->shape);
            return (double)random_below(r, dtype == FGHM_U8 && classes > 256 ? 256 : classes);
        }
        return random_bits(r) & 1 ? random_uniform(r, 0.0, 1.0) : (double)(random_bits(r) & 1);
    default:
        return random_uniform(r, 0.0, 1.0);
    }
}

static void fill_arrays(struct random *r, struct form_of_batch *b) {
    for (int k = 0; k < OUTPUTS_AT; k++) {
        for (size_t i = 0; b->arrays[k].data != NULL && i < count_of(&b->arrays[k]); i++) {
            put(&b->arrays[k], i, draw_number(r, b, k, b->arrays[k].dtype));
        }
    }
}

/* The descriptor; contiguous ones say so in words. */
static fghm_batch describe(struct random *r, const struct form_of_batch *b, bool in_words) {
    static const fghm_activation activations[] = {FGHM_SIGMOID, FGHM_SIGMOID, FGHM_SIGMOID,
                                                  FGHM_SOFTMAX, FGHM_PROBABILITY};
    static const fghm_target_form forms[] = {FGHM_TARGET_DENSE, FGHM_TARGET_LABEL,
                                             FGHM_TARGET_LABEL_SCORE, FGHM_TARGET_LABEL,
                                             FGHM_TARGET_DENSE};
    const struct shape *const s = &b->shape;
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_input *const inputs[] = {&batch.logits, &batch.targets, &batch.scores, &batch.weights};
    fghm_output *const outputs[] = {&batch.element_loss, &batch.gradient, &batch.hessian};
    batch.ndim = s->ndim;
    if (s->class_axis >= 0) {
        batch.class_axis = random_bits(r) & 1 ? s->class_axis : s->class_axis - s->ndim;
    }
    memcpy(batch.shape, s->extents, (size_t)s->ndim * sizeof batch.shape[0]);
    batch.activation = activations[b->form];
    batch.target_form = forms[b->form];
    for (int k = 0; k < ARRAYS; k++) {
        const struct array *const a = &b->arrays[k];
        const fghm_layout layout = in_words ? FGHM_LAYOUT_CONTIGUOUS : FGHM_LAYOUT_STRIDED;
        if (a->data == NULL) {
            continue;
        }
        int64_t *const strides =
            k < OUTPUTS_AT ? inputs[k]->strides : outputs[k - OUTPUTS_AT]->strides;
        if (k < OUTPUTS_AT) {
            *inputs[k] = (fghm_input){.data = a->data, .dtype = a->dtype, .layout = layout};
        } else {
            *outputs[k - OUTPUTS_AT] =
                (fghm_output){.data = a->data, .dtype = a->dtype, .layout = layout};
        }
        if (!in_words) {
            give_strides(r, a, s->extents, b->absent[k], strides);
        }
    }
    return batch;
}

static fghm_result run(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch) {
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_status status = fghm_focal_batch(focal, pool, batch, &result);
    if (status != FGHM_OK) {
        fail_msg("%s of %s, seed %llu", fghm_status_string(status), fghm_field_name(result.field),
                 (unsigned long long)random_run_seed());
    }
    return result;
}

static void assert_same_elements(const struct form_of_batch *b, const struct array *got,
                                 const struct array *want, const char *what) {
    for (size_t k = 0; k < count_of(got); k++) {
        if (memcmp(element_of(got, k), element_of(want, k), strided_size(got->dtype)) != 0) {
            fail_msg("%s, %d axes, class axis %d, form %d: element %zu of %zu is %a, want %a, "
                     "seed %llu",
                     what, b->shape.ndim, b->shape.class_axis, b->form, k, count_of(got),
                     get(got, k), get(want, k), (unsigned long long)random_run_seed());
        }
    }
}

/* As outer x classes x inner: the results of the elements do not depend on the shape. */
static void check_folded(const fghm_focal *focal, const struct form_of_batch *contiguous,
                         const fghm_batch *batch, double divisor) {
    const struct shape *const s = &contiguous->shape;
    struct form_of_batch folded = *contiguous;
    fghm_batch three = *batch;
    size_t extents[3] = {1, 1, 1};
    for (int axis = 0; axis < s->ndim; axis++) {
        const int part = s->class_axis < 0 || axis < s->class_axis ? 0
                         : axis > s->class_axis                    ? 2
                                                                   : 1;
        extents[part] *= (size_t)s->extents[axis];
    }
    for (int axis = 3; axis < FGHM_AXES_MAX; axis++) {
        three.shape[axis] = FGHM_UNSET;
    }
    descriptor_set_shape(&three, extents[0], extents[1], extents[2]);
    fghm_output *const outputs[] = {&three.element_loss, &three.gradient, &three.hessian};
    for (int k = 0; k < OUTPUTS; k++) {
        folded.arrays[OUTPUTS_AT + k].data = malloc(count_of(&folded.arrays[OUTPUTS_AT + k]) * 8);
        assert_non_null(folded.arrays[OUTPUTS_AT + k].data);
        outputs[k]->data = folded.arrays[OUTPUTS_AT + k].data;
    }
    const fghm_result result = run(focal, NULL, &three);
    assert_true(result.divisor == divisor);
    for (int k = 0; k < OUTPUTS; k++) {
        assert_same_elements(contiguous, &contiguous->arrays[OUTPUTS_AT + k],
                             &folded.arrays[OUTPUTS_AT + k], "folded");
        free(folded.arrays[OUTPUTS_AT + k].data);
    }
}

/* GHM-C, with one histogram or with one for each class. */
static void check_ghm(const struct form_of_batch *b, const struct form_of_batch *copy,
                      fghm_pool *pool, const fghm_batch *strided, const fghm_batch *contiguous,
                      bool by_class) {
    enum { BINS = 10 };
    const size_t histograms = by_class ? classes_of(&b->shape) : 1;
    const fghm_batch *const batches[] = {contiguous, strided};
    fghm_result results[2] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    uint64_t *counts[2];
    for (int k = 0; k < 2; k++) {
        fghm_ghm *ghm = NULL;
        assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, BINS), FGHM_OK);
        assert_int_equal(fghm_ghm_set_histograms(ghm, histograms), FGHM_OK);
        assert_int_equal(fghm_ghm_step_batch(ghm, k ? pool : NULL, batches[k], &results[k]),
                         FGHM_OK);
        counts[k] = calloc(histograms * (BINS + 1), sizeof *counts[k]);
        assert_non_null(counts[k]);
        assert_int_equal(fghm_ghm_get_counts(ghm, histograms * (BINS + 1), counts[k]), FGHM_OK);
        fghm_ghm_destroy(ghm);
    }
    assert_memory_equal(&results[0], &results[1], sizeof results[0]);
    assert_memory_equal(counts[0], counts[1], histograms * (BINS + 1) * sizeof *counts[0]);
    for (int k = OUTPUTS_AT; k < ARRAYS; k++) {
        assert_same_elements(b, &b->arrays[k], &copy->arrays[k], "GHM");
        assert_only_elements(&b->arrays[k]);
    }
    free(counts[0]);
    free(counts[1]);
}

static void check_shape(struct random *r, fghm_pool *pool, struct shape shape, enum form form,
                        fghm_dtype real) {
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct form_of_batch b = {.shape = shape, .form = form}, copy;
    draw_arrays(r, &b, real);
    fill_arrays(r, &b);
    copy = b;
    for (int k = 0; k < ARRAYS; k++) {
        if (b.arrays[k].data != NULL) {
            copy.arrays[k] = copy_array(r, &b.arrays[k]);
        }
    }
    const fghm_batch strided = describe(r, &b, false), contiguous = describe(r, &copy, true);
    const fghm_result want = run(focal, NULL, &contiguous);
    const fghm_result got = run(focal, pool, &strided);
    assert_memory_equal(&got, &want, sizeof got);
    assert_int_equal(got.elements, count_of(&b.arrays[form == SOFTMAX ? TARGETS_AT : LOGITS_AT]));
    for (int k = OUTPUTS_AT; k < ARRAYS; k++) {
        assert_same_elements(&b, &b.arrays[k], &copy.arrays[k], output_names[k - OUTPUTS_AT]);
        assert_only_elements(&b.arrays[k]);
    }
    check_folded(focal, &copy, &contiguous, want.divisor);
    if (form == DENSE || form == LABELS || form == SOFTMAX) {
        check_ghm(&b, &copy, pool, &strided, &contiguous, form != SOFTMAX && random_bits(r) & 1);
    }
    for (int k = 0; k < ARRAYS; k++) {
        free_array(&b.arrays[k]);
        free_array(&copy.arrays[k]);
    }
    fghm_focal_destroy(focal);
}

static fghm_dtype real_of(const struct dtype *d) {
    return d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
}

/* Without a class axis there are no labels. */
static bool is_possible(const struct shape *s, enum form form) {
    return s->class_axis >= 0 || form == DENSE || form == PROBABILITIES;
}

static void every_place_of_the_class_axis(void **state) {
    struct combinations all = combinations(401);
    fghm_pool *const pool = pool_of(3);
    for (int ndim = 1; ndim <= FGHM_AXES_MAX; ndim++) {
        for (int class_axis = -1; class_axis < ndim; class_axis++) {
            for (int form = 0; form < FORMS; form++) {
                for (int round = 0; round < 3; round++) {
                    if (!combinations_next(&all)) {
                        continue;
                    }
                    struct shape s = {.ndim = ndim, .class_axis = class_axis};
                    for (int axis = 0; axis < ndim; axis++) {
                        s.extents[axis] = 1 + (int64_t)random_below(&all.random, ndim > 5 ? 3 : 6);
                    }
                    if (is_possible(&s, (enum form)form)) {
                        check_shape(&all.random, round == 2 ? pool : NULL, s, (enum form)form,
                                    real_of(*state));
                    }
                }
            }
        }
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
}

/* More than a tile and than a segment. */
static void large_shapes(void **state) {
    const struct shape shapes[] = {
        {4, 1, {2, 5, 40, 61}},     {5, 2, {2, 3, 7, 19, 23}},     {2, 1, {3001, 9}},
        {2, 0, {9, 3001}},          {3, 1, {1, 2100, 9}},          {3, -1, {70, 3, 130}},
        {2, 1, {3, 5003}},          {6, 3, {2, 1, 3, 11, 20, 14}}, {1, -1, {20011}},
        {4, -2 + 5, {6, 9, 31, 8}},
    };
    struct combinations all = combinations(402);
    fghm_pool *const pool = pool_of(3);
    for (size_t k = 0; k < SUITE_COUNT(shapes); k++) {
        for (int form = 0; form < FORMS; form++) {
            if (is_possible(&shapes[k], (enum form)form) && combinations_next(&all)) {
                check_shape(&all.random, k & 1 ? pool : NULL, shapes[k], (enum form)form,
                            real_of(*state));
            }
        }
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
}

/* Strides that reach over megabytes. */
static void distant_elements(void **state) {
    enum { FAR = 1 << 20 };
    const fghm_dtype real = real_of(*state);
    struct random r = random_for(403);
    struct array far = {.dtype = real, .ndim = 2, .extents = {3, 2}, .strides = {FAR, -7}};
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct array gradient = far;
    gradient.strides[0] = -FAR;
    place_array(&far, true);
    place_array(&gradient, false);
    for (size_t k = 0; k < 6; k++) {
        put(&far, k, random_normal(&r));
    }
    struct array near = copy_array(&r, &far), near_gradient = copy_array(&r, &gradient);
    fghm_result results[2] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    for (int k = 0; k < 2; k++) {
        const float target = 1.0f;
        fghm_batch b = FGHM_BATCH_INIT;
        b.ndim = 2;
        b.class_axis = -1;
        b.shape[0] = 3;
        b.shape[1] = 2;
        b.targets = (fghm_input){.data = &target, .dtype = FGHM_F32, .layout = FGHM_LAYOUT_STRIDED};
        b.logits = (fghm_input){.data = k ? near.data : far.data, .dtype = real};
        b.gradient = (fghm_output){.data = k ? near_gradient.data : gradient.data, .dtype = real};
        if (k == 0) {
            b.logits.layout = b.gradient.layout = FGHM_LAYOUT_STRIDED;
            memcpy(b.logits.strides, far.strides, sizeof far.strides);
            memcpy(b.gradient.strides, gradient.strides, sizeof gradient.strides);
        }
        results[k] = run(focal, NULL, &b);
    }
    assert_memory_equal(&results[0], &results[1], sizeof results[0]);
    for (size_t k = 0; k < 6; k++) {
        assert_true(get(&gradient, k) == get(&near_gradient, k));
    }
    free_array(&far);
    free_array(&gradient);
    free_array(&near);
    free_array(&near_gradient);
    fghm_focal_destroy(focal);
}

/* A weight for each sample, in words and by strides. */
static void per_sample_is_a_stride_of_0(void **state) {
    enum { N = 5, C = 7, H = 3 };
    const struct dtype *const d = *state;
    struct random r = random_for(404);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    for (int32_t axis = -3; axis < 3; axis++) {
        struct batch plain = batch_new(d, N * C * H), b = batch_new(d, N * C * H);
        const int64_t shape[] = {N, C, H};
        fghm_result results[2];
        void *const weights = dtype_array(d, N * C * H);
        for (size_t k = 0; k < N * C * H; k++) {
            batch_put(&plain, k, random_normal(&r), (double)(random_bits(&r) & 1));
            d->put(weights, k, random_uniform(&r, 0.0, 2.0));
        }
        for (int k = 0; k < 2; k++) {
            const fghm_dtype dtype = real_of(d);
            const struct batch *const to = k ? &b : &plain;
            const int at = axis < 0 ? axis + 3 : axis;
            fghm_batch batch = descriptor_of(N, C, H);
            batch.class_axis = axis;
            batch.logits = (fghm_input){.data = plain.logits, .dtype = dtype};
            batch.targets = (fghm_input){.data = plain.targets, .dtype = dtype};
            batch.weights = (fghm_input){.data = weights, .dtype = dtype};
            batch.weights.layout = k ? FGHM_LAYOUT_STRIDED : FGHM_LAYOUT_PER_SAMPLE;
            int64_t step = 1;
            for (int n = 2; n >= 0 && k; n--) {
                batch.weights.strides[n] = n == at ? 0 : step;
                step *= n == at ? 1 : shape[n];
            }
            batch.element_loss = (fghm_output){.data = to->out[ELEMENT_LOSS], .dtype = dtype};
            batch.gradient = (fghm_output){.data = to->out[GRADIENT], .dtype = dtype};
            batch.hessian = (fghm_output){.data = to->out[HESSIAN], .dtype = dtype};
            results[k] = run(focal, NULL, &batch);
        }
        assert_memory_equal(&results[0], &results[1], sizeof results[0]);
        b.loss = plain.loss;
        batch_assert_same(&plain, &b);
        free(weights);
        batch_free(&plain);
        batch_free(&b);
    }
    fghm_focal_destroy(focal);
}

/* The offender is counted in the batch's own shape. */
static void offenders_of_any_shape(void **state) {
    struct combinations all = combinations(405);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    for (int round = 0; round < 200; round++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct form_of_batch b = {.shape = {.ndim = 1 + (int)random_below(&all.random, 5)}};
        b.shape.class_axis = (int)random_below(&all.random, (size_t)b.shape.ndim);
        for (int axis = 0; axis < b.shape.ndim; axis++) {
            b.shape.extents[axis] = 1 + (int64_t)random_below(&all.random, 5);
        }
        b.form = round & 1 ? LABELS : DENSE;
        draw_arrays(&all.random, &b, real_of(*state));
        struct array *const targets = &b.arrays[TARGETS_AT];
        free_array(targets);
        *targets = new_array(&all.random, b.form == LABELS ? FGHM_I32 : FGHM_F32, b.shape.ndim,
                             b.shape.extents, b.absent[TARGETS_AT], ANYHOW);
        fill_arrays(&all.random, &b);
        const size_t at = random_below(&all.random, count_of(targets));
        const size_t later = at + random_below(&all.random, count_of(targets) - at);
        put(targets, later, 77.0);
        put(targets, at, 77.0);
        const fghm_batch batch = describe(&all.random, &b, false);
        fghm_result result = FGHM_RESULT_INIT;
        const struct descriptor_error want = {
            b.form == LABELS ? FGHM_ERROR_LABEL : FGHM_ERROR_TARGET, FGHM_FIELD_TARGETS,
            FGHM_FIELD_NONE, b.form == LABELS ? FGHM_PLACE_SAMPLE : FGHM_PLACE_ELEMENT,
            (int64_t)at};
        descriptor_assert_error(fghm_focal_batch(focal, NULL, &batch, &result), &result, &want,
                                __LINE__);
        for (int k = 0; k < ARRAYS; k++) {
            free_array(&b.arrays[k]);
        }
    }
    fghm_focal_destroy(focal);
    combinations_end(&all);
}

/* Overlaps --------------------------------------------------------------------------- */

enum { ROOM = 1024, MIDDLE = ROOM / 2, AXES = 3 };

/* An output among the bytes of `room`. */
struct placed {
    fghm_output output;
    int64_t extents[AXES];
    size_t size;
};

/* Marks the bytes of its elements; false if one is marked already. */
static bool mark(const struct placed *p, const unsigned char *room, bool *marks) {
    bool apart = true;
    for (int64_t a = 0; a < p->extents[0]; a++) {
        for (int64_t b = 0; b < p->extents[1]; b++) {
            for (int64_t c = 0; c < p->extents[2]; c++) {
                const int64_t at =
                    a * p->output.strides[0] + b * p->output.strides[1] + c * p->output.strides[2];
                const int64_t byte =
                    (const unsigned char *)p->output.data - room + at * (int64_t)p->size;
                assert_true(byte >= 0 && byte + (int64_t)p->size <= ROOM);
                for (size_t k = 0; k < p->size; k++) {
                    apart = apart && !marks[byte + (int64_t)k];
                    marks[byte + (int64_t)k] = true;
                }
            }
        }
    }
    return apart;
}

/* One axis after the other steps over all that those before it reach. */
static bool is_nested(const struct placed *p) {
    bool used[AXES] = {false};
    int64_t reach = 0;
    for (int round = 0; round < AXES; round++) {
        int next = -1;
        for (int axis = 0; axis < AXES; axis++) {
            const bool smaller =
                next < 0 || llabs(p->output.strides[axis]) < llabs(p->output.strides[next]);
            if (!used[axis] && p->extents[axis] > 1 && smaller) {
                next = axis;
            }
        }
        if (next < 0) {
            break;
        }
        if (llabs(p->output.strides[next]) <= reach) {
            return false;
        }
        reach += llabs(p->output.strides[next]) * (p->extents[next] - 1);
        used[next] = true;
    }
    return true;
}

static struct placed random_placed(struct random *r, unsigned char *room, const int64_t *extents,
                                   const struct placed *like) {
    struct placed p = {.output = {.dtype = random_bits(r) & 1 ? FGHM_F32 : FGHM_F16,
                                  .layout = FGHM_LAYOUT_STRIDED}};
    p.size = strided_size(p.output.dtype);
    memcpy(p.extents, extents, sizeof p.extents);
    for (int axis = 0; axis < AXES; axis++) {
        p.output.strides[axis] = (int64_t)random_below(r, 25) - 12;
        if (like != NULL && random_below(r, 4) != 0) {
            p.output.strides[axis] = like->output.strides[axis] * (int64_t)like->size /
                                     (int64_t)p.size * (random_below(r, 8) == 0 ? -1 : 1);
        }
    }
    /* As far from alignment as the type may be. */
    p.output.data = room + MIDDLE + (int64_t)(random_below(r, 40) / p.size * p.size) - 20;
    return p;
}

static fghm_status try_outputs(const fghm_focal *focal, const struct placed *a,
                               const struct placed *b) {
    static const float zero;
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    batch.ndim = AXES;
    memcpy(batch.shape, a->extents, sizeof a->extents);
    batch.logits = batch.targets =
        (fghm_input){.data = &zero, .dtype = FGHM_F32, .layout = FGHM_LAYOUT_STRIDED};
    batch.gradient = a->output;
    if (b != NULL) {
        batch.hessian = b->output;
    }
    return fghm_focal_batch(focal, NULL, &batch, &result);
}

static void one_output_against_brute_force(void **state) {
    static unsigned char room[ROOM] __attribute__((aligned(16)));
    struct combinations all = combinations(406);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    unsigned accepted = 0, apart = 0;
    (void)state;
    for (int round = 0; round < 40000; round++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const int64_t extents[AXES] = {1 + (int64_t)random_below(&all.random, 4),
                                       1 + (int64_t)random_below(&all.random, 3),
                                       1 + (int64_t)random_below(&all.random, 3)};
        const struct placed p = random_placed(&all.random, room, extents, NULL);
        bool marks[ROOM] = {false};
        const bool is_apart = mark(&p, room, marks);
        const fghm_status status = try_outputs(focal, &p, NULL);
        assert_true(status == FGHM_OK || status == FGHM_ERROR_STRIDE);
        assert_true(status != FGHM_OK || is_apart);
        /* What the rule promises to take. */
        assert_int_equal(status == FGHM_OK, is_nested(&p));
        accepted += status == FGHM_OK;
        apart += is_apart;
    }
    assert_true(!combinations_end(&all) || (accepted > 10000 && accepted <= apart));
    fghm_focal_destroy(focal);
}

static void two_outputs_against_brute_force(void **state) {
    static unsigned char room[ROOM] __attribute__((aligned(16)));
    struct combinations all = combinations(407);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    unsigned accepted = 0, refused = 0, among_each_other = 0;
    (void)state;
    for (int round = 0; round < 200000; round++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const int64_t extents[AXES] = {1 + (int64_t)random_below(&all.random, 4),
                                       1 + (int64_t)random_below(&all.random, 3),
                                       1 + (int64_t)random_below(&all.random, 3)};
        const struct placed a = random_placed(&all.random, room, extents, NULL);
        const struct placed b = random_placed(&all.random, room, extents, &a);
        bool marks[ROOM] = {false};
        if (!is_nested(&a) || !is_nested(&b)) {
            continue;
        }
        mark(&a, room, marks);
        size_t first = 0, last = ROOM - 1;
        for (; !marks[first]; first++) {
        }
        for (; !marks[last]; last--) {
        }
        const bool is_apart = mark(&b, room, marks);
        const fghm_status status = try_outputs(focal, &a, &b);
        const int64_t at = (const unsigned char *)b.output.data - room;
        assert_true(status == FGHM_OK || status == FGHM_ERROR_ALIASING);
        if (status == FGHM_OK && !is_apart) {
            fail_msg("accepted: %lld x %lld x %lld, strides %lld %lld %lld of %zu bytes and %lld "
                     "%lld %lld of %zu bytes, %lld bytes on",
                     (long long)extents[0], (long long)extents[1], (long long)extents[2],
                     (long long)a.output.strides[0], (long long)a.output.strides[1],
                     (long long)a.output.strides[2], a.size, (long long)b.output.strides[0],
                     (long long)b.output.strides[1], (long long)b.output.strides[2], b.size,
                     (long long)((const unsigned char *)b.output.data -
                                 (const unsigned char *)a.output.data));
        }
        accepted += status == FGHM_OK;
        refused += status != FGHM_OK;
        among_each_other += status == FGHM_OK && at > (int64_t)first && at < (int64_t)last;
    }
    assert_true(!combinations_end(&all) ||
                (accepted > 1000 && refused > 1000 && among_each_other > 100));
    fghm_focal_destroy(focal);
}

/* Rows of several arrays' columns; their elements in turn; one behind the other. */
static void arrays_beside_each_other(void **state) {
    static unsigned char room[ROOM] __attribute__((aligned(16)));
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    (void)state;
    for (int64_t rows = 1; rows <= 4; rows++) {
        for (int64_t columns = 1; columns <= 4; columns++) {
            for (int64_t gap = 0; gap < 2; gap++) {
                const int64_t n = columns + gap;
                const struct {
                    int64_t row, column, offset;
                } layouts[] = {
                    {2 * n, 1, n},               /* column blocks */
                    {2 * n, 2, 1},               /* in turn */
                    {n, 1, rows * n},            /* one behind the other */
                    {2, 2 * rows, 1},            /* in turn, transposed */
                    {1, 2 * (rows + gap), rows}, /* column blocks, transposed */
                };
                for (size_t k = 0; k < SUITE_COUNT(layouts); k++) {
                    struct placed a = {.output = {.data = room,
                                                  .dtype = FGHM_F32,
                                                  .layout = FGHM_LAYOUT_STRIDED,
                                                  .strides = {layouts[k].row, layouts[k].column}},
                                       .extents = {rows, columns, 1}};
                    struct placed b = a;
                    b.output.data = room + layouts[k].offset * 4;
                    assert_int_equal(try_outputs(focal, &a, &b), FGHM_OK);
                    assert_int_equal(try_outputs(focal, &b, &a), FGHM_OK);
                }
            }
        }
    }
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"every_place_of_the_class_axis", every_place_of_the_class_axis, 1},
        {"large_shapes", large_shapes, 1},
        {"distant_elements", distant_elements, 1},
        {"per_sample_is_a_stride_of_0", per_sample_is_a_stride_of_0, 1},
        {"offenders_of_any_shape", offenders_of_any_shape, 1},
        {"one_output_against_brute_force", one_output_against_brute_force, 0},
        {"two_outputs_against_brute_force", two_outputs_against_brute_force, 0},
        {"arrays_beside_each_other", arrays_beside_each_other, 0},
    };
    return suite_run(argument_count, arguments, "shapes", tests, SUITE_COUNT(tests));
}
