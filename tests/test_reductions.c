/* SPDX-License-Identifier: MIT */

/* Every reduction in every form of targets, plain and over a batch: D is what it says, the loss
 * is the sum over D, and gradients carry the same D.  A sum that nothing can be divided by is an
 * error that names it.  And numbers of a wider type than the call's, which are compared with what
 * they are compared with before they are rounded. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/descriptor.h"
#include "support/random.h"
#include "support/suite.h"

#define SAMPLES 1500
#define CLASSES 3
#define ELEMENTS (SAMPLES * CLASSES)

enum form { DENSE, DENSE_IGNORING, DENSE_MISSING, LABELS, SCORES, SOFTMAX, FORMS };

static const fghm_reduction reductions[] = {
    FGHM_REDUCTION_SUM,          FGHM_REDUCTION_MEAN,           FGHM_REDUCTION_NORMALIZER,
    FGHM_REDUCTION_MEAN_SAMPLES, FGHM_REDUCTION_MEAN_POSITIVES, FGHM_REDUCTION_MEAN_VALID,
    FGHM_REDUCTION_MEAN_WEIGHTS, FGHM_REDUCTION_MEAN_TARGETS};

#define NORMALIZER 37.5

/* A batch of N x CLASSES, or with `planes` of CLASSES x N, and what is true of it. */
static struct {
    double logits[ELEMENTS], targets[ELEMENTS], weights[ELEMENTS], scores[SAMPLES];
    double gradient[ELEMENTS], element_loss[ELEMENTS];
    int64_t labels[SAMPLES];
    double losses, samples, valid, positives, sum_weights, sum_targets;
} data;

static void make_data(struct random *r, enum form form, bool weighted) {
    memset(&data, 0, sizeof data);
    data.samples = SAMPLES;
    data.losses = form == SOFTMAX ? SAMPLES : ELEMENTS;
    for (size_t s = 0; s < SAMPLES; s++) {
        data.labels[s] = random_below(r, 9) == 0 ? -7 : (int64_t)random_below(r, CLASSES);
        data.scores[s] = random_uniform(r, 0.0, 1.0);
        const bool is_valid = data.labels[s] != -7;
        if (is_valid && form >= LABELS) {
            data.positives += 1;
            data.sum_targets += form == SCORES ? data.scores[s] : 1.0;
        }
    }
    for (size_t e = 0; e < ELEMENTS; e++) {
        const size_t sample = e / CLASSES;
        data.logits[e] = random_uniform(r, -4.0, 4.0);
        data.weights[e] = random_uniform(r, 0.5, 2.0);
        data.targets[e] = random_below(r, 2) == 0 ? 1.0 : random_uniform(r, 0.0, 1.0);
        bool is_valid = form < LABELS || data.labels[sample] != -7;
        if ((form == DENSE_IGNORING || form == DENSE_MISSING) && random_below(r, 5) == 0) {
            data.targets[e] = form == DENSE_IGNORING ? -7.0 : (double)NAN;
            is_valid = false;
        }
        /* With softmax weights are those of samples. */
        if (form == SOFTMAX && e >= SAMPLES) {
            continue;
        }
        if (form == SOFTMAX) {
            is_valid = data.labels[e] != -7;
        }
        data.valid += is_valid;
        data.sum_weights += is_valid ? (weighted ? data.weights[e] : 1.0) : 0.0;
        if (is_valid && form < LABELS) {
            data.positives += data.targets[e] >= 0.5;
            data.sum_targets += data.targets[e];
        }
    }
}

static double expected_divisor(fghm_reduction reduction) {
    switch (reduction) {
    case FGHM_REDUCTION_SUM:
        return 1.0;
    case FGHM_REDUCTION_MEAN:
        return data.losses;
    case FGHM_REDUCTION_NORMALIZER:
        return NORMALIZER;
    case FGHM_REDUCTION_MEAN_SAMPLES:
        return data.samples;
    case FGHM_REDUCTION_MEAN_POSITIVES:
        return data.positives;
    case FGHM_REDUCTION_MEAN_VALID:
        return data.valid;
    case FGHM_REDUCTION_MEAN_WEIGHTS:
        return data.sum_weights;
    default:
        return data.sum_targets;
    }
}

static fghm_batch batch_of(enum form form, bool weighted) {
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.shape[0] = SAMPLES;
    batch.shape[1] = CLASSES;
    batch.class_axis = 1;
    batch.logits = (fghm_input){.data = data.logits, .dtype = FGHM_F64};
    batch.targets = (fghm_input){.data = data.targets, .dtype = FGHM_F64};
    if (form >= LABELS) {
        batch.targets = (fghm_input){.data = data.labels, .dtype = FGHM_I64};
        batch.target_form = form == SCORES ? FGHM_TARGET_LABEL_SCORE : FGHM_TARGET_LABEL;
    }
    if (form == SCORES) {
        batch.scores = (fghm_input){.data = data.scores, .dtype = FGHM_F64};
    }
    batch.activation = form == SOFTMAX ? FGHM_SOFTMAX : FGHM_SIGMOID;
    batch.ignore_index = form == DENSE || form == DENSE_MISSING ? FGHM_IGNORE_NONE : -7;
    batch.flags = form == DENSE_MISSING ? FGHM_NAN_TARGETS_IGNORED : 0;
    if (weighted) {
        batch.weights = (fghm_input){.data = data.weights, .dtype = FGHM_F64};
    }
    batch.gradient = (fghm_output){.data = data.gradient, .dtype = FGHM_F64};
    return batch;
}

static void every_reduction(void **state) {
    struct random r = random_for(1);
    fghm_focal *focal;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, NORMALIZER), FGHM_OK);
    for (int form = 0; form < FORMS; form++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            make_data(&r, (enum form)form, weighted != 0);
            const fghm_batch batch = batch_of((enum form)form, weighted != 0);
            double sum = 0.0, gradient = 0.0;
            for (size_t k = 0; k < SUITE_COUNT(reductions); k++) {
                fghm_result result = FGHM_RESULT_INIT;
                assert_int_equal(fghm_focal_set_reduction(focal, reductions[k]), FGHM_OK);
                assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &result), FGHM_OK);
                const double divisor = expected_divisor(reductions[k]);
                if (!(fabs(result.divisor - divisor) <= 1e-12 * divisor)) {
                    fail_msg("form %d, weighted %d, reduction %d: D is %.17g, want %.17g", form,
                             weighted, (int)reductions[k], result.divisor, divisor);
                }
                assert_true(result.loss == result.sum / result.divisor);
                assert_true(fabs(result.sum_weights - data.sum_weights) <= 1e-12 * data.losses);
                assert_true(fabs(result.sum_targets - data.sum_targets) <= 1e-12 * data.losses);
                if (k == 0) {
                    sum = result.sum;
                    gradient = data.gradient[5];
                }
                assert_true(result.sum == sum);
                assert_true(fabs(data.gradient[5] * divisor - gradient) <= 1e-12 * fabs(gradient));
                /* D is known before anything is computed, also where no result is asked for. */
                const double before = data.gradient[5];
                data.gradient[5] = 12.0;
                assert_int_equal(fghm_focal_batch(focal, NULL, &batch, NULL), FGHM_OK);
                assert_true(data.gradient[5] == before);
            }
        }
    }
    fghm_focal_destroy(focal);
}

/* The plain call has all of them too. */
static void every_reduction_of_a_plain_call(void **state) {
    struct random r = random_for(2);
    fghm_focal *focal;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, NORMALIZER), FGHM_OK);
    for (int weighted = 0; weighted < 2; weighted++) {
        make_data(&r, DENSE, weighted != 0);
        data.samples = data.losses; /* each element is one */
        double sum = 0.0;
        for (size_t k = 0; k < SUITE_COUNT(reductions); k++) {
            double loss = -1.0;
            assert_int_equal(fghm_focal_set_reduction(focal, reductions[k]), FGHM_OK);
            assert_int_equal(fghm_focal_f64(focal, NULL, ELEMENTS, data.logits, data.targets,
                                            weighted ? data.weights : NULL, &loss, NULL,
                                            data.gradient, NULL),
                             FGHM_OK);
            sum = k == 0 ? loss : sum;
            const double wanted = sum / expected_divisor(reductions[k]);
            if (!(fabs(loss - wanted) <= 1e-12 * wanted)) {
                fail_msg("weighted %d, reduction %d: %.17g, want %.17g", weighted,
                         (int)reductions[k], loss, wanted);
            }
        }
    }
    fghm_focal_destroy(focal);
}

/* A sum of 0, below 0, or that is not finite. */
static void what_nothing_can_be_divided_by(void **state) {
    const double sums[] = {0.0, -3.0, (double)INFINITY, -(double)INFINITY};
    struct random r = random_for(3);
    fghm_focal *focal;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(sums); k++) {
        make_data(&r, DENSE, true);
        memset(data.weights, 0, sizeof data.weights);
        data.weights[7] = sums[k];
        data.gradient[0] = 99.0;
        double loss = 98.0;
        fghm_result result = FGHM_RESULT_INIT;
        const fghm_batch batch = batch_of(DENSE, true);
        const struct descriptor_error want =
            descriptor_error_of_two(FGHM_ERROR_DIVISOR, FGHM_FIELD_REDUCTION, FGHM_FIELD_WEIGHTS);
        assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN_WEIGHTS), FGHM_OK);
        const fghm_status status = fghm_focal_batch(focal, NULL, &batch, &result);
        descriptor_assert_error(status, &result, &want, __LINE__);
        assert_int_equal(fghm_focal_f64(focal, NULL, ELEMENTS, data.logits, data.targets,
                                        data.weights, &loss, NULL, data.gradient, NULL),
                         FGHM_ERROR_DIVISOR);
        assert_true(data.gradient[0] == 99.0 && loss == 98.0);
    }
    /* No positives at all: nothing to divide by either. */
    make_data(&r, DENSE, true);
    memset(data.targets, 0, sizeof data.targets);
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_batch batch = batch_of(DENSE, true);
    const struct descriptor_error want =
        descriptor_error_of_two(FGHM_ERROR_DIVISOR, FGHM_FIELD_REDUCTION, FGHM_FIELD_TARGETS);
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN_TARGETS), FGHM_OK);
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, &result);
    descriptor_assert_error(status, &result, &want, __LINE__);
    /* But where there is no element there is nothing to divide. */
    double loss = 98.0;
    assert_int_equal(fghm_focal_f64(focal, NULL, 0, NULL, NULL, NULL, &loss, NULL, NULL, NULL),
                     FGHM_OK);
    assert_true(loss == 0.0);
    fghm_focal_destroy(focal);
}

/* Numbers of a wider type -------------------------------------------------------------- */

/* One element of a call in float, and what becomes of it. */
static fghm_status one(fghm_focal_rule rule, fghm_input target, int64_t ignore_index,
                       fghm_result *result) {
    const float logit = 0.5f;
    fghm_focal *focal;
    fghm_batch batch = FGHM_BATCH_INIT;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
    batch.ndim = 1;
    batch.shape[0] = 1;
    batch.ignore_index = ignore_index;
    batch.logits = (fghm_input){.data = &logit, .dtype = FGHM_F32};
    batch.targets = target;
    *result = (fghm_result)FGHM_RESULT_INIT;
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, result);
    fghm_focal_destroy(focal);
    return status;
}

static void targets_are_compared_before_they_are_rounded(void **state) {
    const struct {
        double target;
        int64_t ignore_index;
        fghm_focal_rule rule;
        fghm_status status;
        uint64_t valid, positives;
    } cases[] = {
        {1.0, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 1},
        {1.00000001, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_ERROR_TARGET, 0, 0},
        {-1e-60, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_ERROR_TARGET, 0, 0},
        {-0.0, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 0},
        {1e-60, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 0},
        {0.5 - 0x1p-40, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 0},
        {0.5, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 1},
        {1 - 0x1p-40, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 1, 1},
        {1 - 0x1p-40, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_STAR, FGHM_ERROR_TARGET, 0, 0},
        {1e-60, FGHM_IGNORE_NONE, FGHM_FOCAL_RULE_STAR, FGHM_ERROR_TARGET, 0, 0},
        {1 + 1e-12, 1, FGHM_FOCAL_RULE_LINEAR, FGHM_ERROR_TARGET, 0, 0},
        {1.0, 1, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 0, 0},
        {16777216.0, 16777216, FGHM_FOCAL_RULE_LINEAR, FGHM_OK, 0, 0},
        {16777217.0, 16777216, FGHM_FOCAL_RULE_LINEAR, FGHM_ERROR_TARGET, 0, 0},
        {0x1p63, INT64_MAX, FGHM_FOCAL_RULE_LINEAR, FGHM_ERROR_TARGET, 0, 0},
    };
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        const fghm_input target = {.data = &cases[k].target, .dtype = FGHM_F64};
        fghm_result result;
        const fghm_status status = one(cases[k].rule, target, cases[k].ignore_index, &result);
        if (status != cases[k].status ||
            (status == FGHM_OK &&
             (result.valid != cases[k].valid || result.positives != cases[k].positives))) {
            fail_msg("case %zu: status %d, valid %d, positives %d", k, (int)status,
                     (int)result.valid, (int)result.positives);
        }
    }
}

static void integers_are_compared_as_integers(void **state) {
    const int32_t i32 = 16777217;
    const int64_t i64 = INT64_MAX - 7, largest = INT64_MAX;
    const uint8_t u8 = 255;
    fghm_result result;
    (void)state;
    const fghm_input of_i32 = {.data = &i32, .dtype = FGHM_I32};
    const fghm_input of_i64 = {.data = &i64, .dtype = FGHM_I64};
    const fghm_input of_largest = {.data = &largest, .dtype = FGHM_I64};
    const fghm_input of_u8 = {.data = &u8, .dtype = FGHM_U8};
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_i32, 16777216, &result), FGHM_ERROR_TARGET);
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_i32, 16777217, &result), FGHM_OK);
    assert_int_equal(result.valid, 0);
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_i64, INT64_MAX, &result), FGHM_ERROR_TARGET);
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_largest, INT64_MAX, &result), FGHM_OK);
    assert_int_equal(result.valid, 0);
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_u8, 255, &result), FGHM_OK);
    assert_int_equal(result.valid, 0);
    assert_int_equal(one(FGHM_FOCAL_RULE_LINEAR, of_u8, -1, &result), FGHM_ERROR_TARGET);
}

/* A mask is above 0 however little. */
static void masks_are_compared_before_they_are_rounded(void **state) {
    const float logits[4] = {0.5f, 0.5f, 0.5f, 0.5f}, targets[4] = {1, 0, 1, 0};
    const double mask[4] = {1e-60, -1e-60, 0.0, (double)NAN};
    fghm_ghm *ghm;
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    (void)state;
    batch.ndim = 1;
    batch.shape[0] = 4;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
    batch.weights = (fghm_input){.data = mask, .dtype = FGHM_F64};
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    uint64_t counts[31] = {0}, total = 0;
    assert_int_equal(fghm_ghm_count_batch(ghm, NULL, &batch, 31, counts, &result), FGHM_OK);
    for (size_t k = 0; k < 31; k++) {
        total += counts[k];
    }
    assert_int_equal(total, 1);
    fghm_ghm_destroy(ghm);
}

/* Factors whose product is an ordinary number, though not every partial product is a float: weight,
 * class weight, loss weight.  Both forms, hard and soft targets, with and without split. */
static void factors_meet_in_double(void **state) {
    const struct {
        float weight;
        double class_weight, loss_weight;
    } cases[] = {{1e27f, 0x1p40, 0x1p-40}, {1e-27f, 0x1p-40, 0x1p40}, {1e30f, 0x1p30, 0x1p-40}};
    (void)state;
    for (size_t k = 0; k < 4 * SUITE_COUNT(cases); k++) {
        const size_t at = k / 4;
        const bool softmax = k % 4 == 3;
        const float logits[2] = {0.75f, -0.5f}, weight[2] = {cases[at].weight, cases[at].weight};
        const float targets[2] = {1.0f, k % 4 == 1 ? 0.25f : 0.0f}, one[2] = {1.0f, 1.0f};
        const double class_weights[2] = {cases[at].class_weight, cases[at].class_weight};
        const double product =
            (double)cases[at].weight * cases[at].class_weight * cases[at].loss_weight;
        const int64_t label = 0;
        float loss[2][2] = {{0}}, gradient[2][2], hessian[2][2];
        for (int scaled = 0; scaled < 2; scaled++) {
            fghm_focal *focal;
            fghm_batch batch = FGHM_BATCH_INIT;
            assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
            assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM), FGHM_OK);
            assert_int_equal(
                fghm_focal_set_loss_weight(focal, scaled ? cases[at].loss_weight : 1.0), FGHM_OK);
            if (k % 4 == 2) {
                assert_int_equal(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_SPLIT), FGHM_OK);
            }
            batch.ndim = 2;
            batch.shape[0] = 1;
            batch.shape[1] = 2;
            batch.class_axis = 1;
            batch.activation = softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
            batch.target_form = softmax ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
            batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
            batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
            if (softmax) {
                batch.targets = (fghm_input){.data = &label, .dtype = FGHM_I64};
            }
            batch.weights = (fghm_input){.data = scaled ? weight : one, .dtype = FGHM_F32};
            batch.class_weights = scaled ? class_weights : NULL;
            batch.element_loss = (fghm_output){.data = loss[scaled], .dtype = FGHM_F32};
            batch.gradient = (fghm_output){.data = gradient[scaled], .dtype = FGHM_F32};
            batch.hessian = (fghm_output){.data = hessian[scaled], .dtype = FGHM_F32};
            assert_int_equal(fghm_focal_batch(focal, NULL, &batch, NULL), FGHM_OK);
            fghm_focal_destroy(focal);
        }
        for (int i = 0; i < 2; i++) {
            const float *const got[] = {&loss[1][i], &gradient[1][i], &hessian[1][i]};
            const float *const plain[] = {&loss[0][i], &gradient[0][i], &hessian[0][i]};
            for (int o = 0; o < 3; o++) {
                const double want = (double)*plain[o] * product;
                if (!(fabs((double)*got[o] - want) <= 1e-6 * fabs(want))) {
                    fail_msg("case %zu, output %d of %d is %g, want %g", k, o, i, (double)*got[o],
                             want);
                }
            }
        }
    }
}

/* A batch whose gradients take the place of its logits, with an element in error: the others'
 * results are those that they have elsewhere. */
static void errors_in_place(void **state) {
    enum { N = 3000 };
    static float logits[N], targets[N], apart[N];
    struct random r = random_for(4);
    fghm_focal *focal;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    for (size_t i = 0; i < N; i++) {
        logits[i] = (float)random_uniform(&r, -4.0, 4.0);
        targets[i] = (float)random_below(&r, 2);
    }
    targets[1234] = 1.5f;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 1;
    batch.shape[0] = N;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
    fghm_result results[2] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    batch.gradient = (fghm_output){.data = apart, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &results[0]), FGHM_ERROR_TARGET);
    batch.gradient = (fghm_output){.data = logits, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &results[1]), FGHM_ERROR_TARGET);
    assert_true(results[0].sum == results[1].sum && results[0].sum > 0.0);
    for (size_t i = 0; i < N; i++) {
        assert_true(i == 1234 ? isnan(logits[i]) : logits[i] == apart[i]);
    }
    fghm_focal_destroy(focal);
}

/* Which may be any numbers. */
static void targets_of_a_regression_are_added_up(void **state) {
    enum { N = 300 };
    float predictions[N] = {0}, targets[N];
    double sum = 0.0;
    fghm_ghm *ghm;
    (void)state;
    for (int i = 0; i < N; i++) {
        targets[i] = i == 100 ? NAN : (float)(i % 7) - 2.5f;
        sum += i == 100 ? 0.0 : (double)targets[i];
    }
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION), FGHM_OK);
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    batch.ndim = 1;
    batch.shape[0] = N;
    batch.logits = (fghm_input){.data = predictions, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &batch, &result), FGHM_OK);
    assert_true(result.sum_targets == sum);
    fghm_ghm_destroy(ghm);
}

static const struct suite_test tests[] = {
    {"every_reduction", every_reduction, 0},
    {"every_reduction_of_a_plain_call", every_reduction_of_a_plain_call, 0},
    {"what_nothing_can_be_divided_by", what_nothing_can_be_divided_by, 0},
    {"targets_are_compared_before_they_are_rounded", targets_are_compared_before_they_are_rounded,
     0},
    {"integers_are_compared_as_integers", integers_are_compared_as_integers, 0},
    {"masks_are_compared_before_they_are_rounded", masks_are_compared_before_they_are_rounded, 0},
    {"factors_meet_in_double", factors_meet_in_double, 0},
    {"errors_in_place", errors_in_place, 0},
    {"targets_of_a_regression_are_added_up", targets_of_a_regression_are_added_up, 0},
};

int main(int argument_count, char **arguments) {
    return suite_run(argument_count, arguments, "reductions", tests, SUITE_COUNT(tests));
}
