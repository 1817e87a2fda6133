/* SPDX-License-Identifier: MIT */

/* Corners that random inputs do not meet: single inputs, each with the result that follows
 * from the formula or from the header by hand. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/suite.h"

/* Focal loss ------------------------------------------------------------------- */

static void set(fghm_status status) {
    assert_int_equal(status, FGHM_OK);
}

/* The dtype of the descriptor. */
/* One element, with all results. */
struct element {
    double logit, target, weight;
    double out[OUTPUTS];
    fghm_result result;
};

static fghm_status compute(const struct dtype *d, const fghm_focal *focal,
                           fghm_activation activation, struct element *e) {
    double inputs[3], outputs[OUTPUTS]; /* of any type: double is the widest */
    fghm_batch batch = FGHM_BATCH_INIT;
    e->result = (fghm_result)FGHM_RESULT_INIT;
    d->put(&inputs[0], 0, e->logit);
    d->put(&inputs[1], 0, e->target);
    d->put(&inputs[2], 0, e->weight);
    batch.ndim = 1;
    batch.shape[0] = 1;
    batch.activation = activation;
    batch.logits = (fghm_input){.data = &inputs[0], .dtype = dtype_of(d)};
    batch.targets = (fghm_input){.data = &inputs[1], .dtype = dtype_of(d)};
    batch.weights = (fghm_input){.data = &inputs[2], .dtype = dtype_of(d)};
    batch.element_loss = (fghm_output){.data = &outputs[ELEMENT_LOSS], .dtype = dtype_of(d)};
    batch.gradient = (fghm_output){.data = &outputs[GRADIENT], .dtype = dtype_of(d)};
    batch.hessian = (fghm_output){.data = &outputs[HESSIAN], .dtype = dtype_of(d)};
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, &e->result);
    for (int o = 0; o < OUTPUTS; o++) {
        e->out[o] = d->get(&outputs[o], 0);
    }
    return status;
}

static void assert_near(double got, double want, double relative) {
    if (!(fabs(got - want) <= relative * fabs(want))) {
        print_error("%.17g instead of %.17g\n", got, want);
        fail();
    }
}

/* Quality focal loss where p is t: the loss has its least value there, and its slope is 0,
 * though for gamma below 1 the slopes beside it are infinite. */
static void quality_where_p_is_t(void **state) {
    const struct dtype *const d = *state;
    const double gammas[] = {0.25, 0.5, 0.75, 1, 1.5, 2, 3};
    for (size_t i = 0; i < SUITE_COUNT(gammas); i++) {
        fghm_focal *const focal = focal_handle(gammas[i], WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        struct element e = {.logit = 0, .target = 0.5, .weight = 1};
        set(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_QUALITY));
        assert_int_equal(compute(d, focal, FGHM_SIGMOID, &e), FGHM_OK);
        assert_true(e.out[GRADIENT] == 0);
        assert_true(e.out[ELEMENT_LOSS] >= 0 && e.out[ELEMENT_LOSS] < 0.01);
        assert_true(isfinite(e.out[HESSIAN]));
        fghm_focal_destroy(focal);
    }
}

/* gamma times a finite logit may be beyond the type. */
static void star_of_far_logits(void **state) {
    const struct dtype *const d = *state;
    fghm_focal *const focal = focal_handle(64, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    set(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_STAR));
    for (int target = 0; target < 2; target++) {
        const double wrong = target == 0 ? d->format->max : -d->format->max;
        struct element e = {.logit = wrong, .target = target, .weight = 1};
        assert_int_equal(compute(d, focal, FGHM_SIGMOID, &e), FGHM_OK);
        assert_true(isfinite(e.out[ELEMENT_LOSS]) && e.out[ELEMENT_LOSS] > 0);
        assert_true(e.out[GRADIENT] == (target == 0 ? 1 : -1));
        assert_true(e.out[HESSIAN] == 0);
        e.logit = -wrong;
        assert_int_equal(compute(d, focal, FGHM_SIGMOID, &e), FGHM_OK);
        for (int o = 0; o < OUTPUTS; o++) {
            assert_true(e.out[o] == 0);
        }
    }
    fghm_focal_destroy(focal);
}

/* A floor of the Hessian stands before the weight, which may be negative. */
static void floor_before_a_negative_weight(void **state) {
    const struct dtype *const d = *state;
    const fghm_focal_rule rules[] = {FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT};
    for (size_t i = 0; i < SUITE_COUNT(rules); i++) {
        fghm_focal *const focal = focal_handle(2, 0.25, FGHM_REDUCTION_SUM);
        const double alpha = 0.25 * 0.3 + 0.75 * 0.7;
        set(fghm_focal_set_rule(focal, rules[i]));
        set(fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_FLOORED));
        set(fghm_focal_set_hessian_floor(focal, 0.5)); /* more than there is at 0 */
        for (double weight = -1; weight <= 1; weight += 2) {
            struct element e = {.logit = 0, .target = 0.3, .weight = weight};
            assert_int_equal(compute(d, focal, FGHM_SIGMOID, &e), FGHM_OK);
            assert_near(e.out[HESSIAN], weight * 0.5 * alpha, 1e-6);
        }
        fghm_focal_destroy(focal);
    }
}

/* A subnormal p has its own logarithm: with target 0, m = p and r = 1, so that the loss is
 * p^gamma p and its slope (1 + gamma) p^gamma, to all digits. */
static void subnormal_probabilities_of_negatives(void **state) {
    const struct dtype *const d = *state;
    const double gamma = 0.1;
    fghm_focal *const focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    for (int shift = 1; shift < 20; shift++) {
        const double p = d->min_normal * ldexp(1.0, -shift);
        struct element e = {.logit = p, .target = 0, .weight = 1};
        assert_int_equal(compute(d, focal, FGHM_PROBABILITY, &e), FGHM_OK);
        assert_near(e.out[GRADIENT], (1 + gamma) * pow(p, gamma), ldexp(16, 1 - d->format->digits));
    }
    fghm_focal_destroy(focal);
}

/* Against long double, where that has digits to spare. */
#if LDBL_MANT_DIG > DBL_MANT_DIG
/* The error of an element's loss in ulp. */
static double loss_ulp(const struct dtype *d, const fghm_focal *focal, double p, double target,
                       long double want) {
    struct element e = {.logit = p, .target = target, .weight = 1};
    int exponent;
    assert_int_equal(compute(d, focal, FGHM_PROBABILITY, &e), FGHM_OK);
    (void)frexpl(want, &exponent);
    return (double)fabsl(
        ldexpl((long double)e.out[ELEMENT_LOSS] - want, d->format->digits - exponent));
}

/* 1 - p does not fit the type for most p, but no digit of it is lost. */
static void probabilities_of_all_digits(void **state) {
    const struct dtype *const d = *state;
    const double gamma = 64;
    struct random r = random_for(192);
    fghm_focal *const entropy = focal_handle(0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    fghm_focal *const focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    double worst = 0, worst_power = 0;
    for (int i = 0; i < 20000; i++) {
        const double p = dtype_round(d, random_uniform(&r, 0x1p-10, 0.5));
        const long double log_rest = log1pl(-(long double)p);
        const long double log_p = logl((long double)p);
        worst = fmax(worst, loss_ulp(d, entropy, p, 0, -log_rest));
        worst_power = fmax(worst_power,
                           loss_ulp(d, focal, p, 1, -expl((long double)gamma * log_rest) * log_p));
    }
    assert_true(worst <= 2);
    assert_true(worst_power <= 0.9 * gamma); /* a rounding of 1 - p alone costs gamma */
    fghm_focal_destroy(entropy);
    fghm_focal_destroy(focal);
}
#endif

/* Best constants are as far as the ratio is: log(1e308 / 1e-308). */
static void best_constant_of_a_far_ratio(void **state) {
    double logit;
    fghm_focal *const focal = focal_handle(0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    (void)state;
    set(fghm_focal_best_constant(focal, 1e308, 1e-308, &logit));
    assert_near(logit, 616 * log(10), 1e-15);
    set(fghm_focal_best_constant(focal, 1e-308, 1e308, &logit));
    assert_near(logit, -616 * log(10), 1e-15);
    fghm_focal_destroy(focal);
}

/* Labels ----------------------------------------------------------------------- */

#define PLACES 5

/* PLACES samples of one class each, along the last axis, all with this label; returns
 * how many elements were not ignored. */
static uint64_t valid_of(const struct dtype *d, fghm_dtype dtype, int64_t label,
                         int64_t ignore_index, size_t classes, double *loss) {
    fghm_focal *const focal = focal_handle(0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    void *const logits = dtype_array(d, PLACES * classes);
    uint8_t u8[PLACES];
    int32_t i32[PLACES];
    int64_t i64[PLACES];
    fghm_batch batch = descriptor_of(1, classes, PLACES);
    fghm_result result = FGHM_RESULT_INIT;
    for (size_t i = 0; i < PLACES; i++) {
        u8[i] = (uint8_t)label;
        i32[i] = (int32_t)label;
        i64[i] = label;
    }
    const void *const labels = dtype == FGHM_U8    ? (const void *)u8
                               : dtype == FGHM_I32 ? (const void *)i32
                                                   : (const void *)i64;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.ignore_index = ignore_index;
    batch.logits = (fghm_input){.data = logits, .dtype = dtype_of(d)};
    batch.targets = (fghm_input){.data = labels, .dtype = dtype};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &result), FGHM_OK);
    *loss = result.loss;
    free(logits);
    fghm_focal_destroy(focal);
    return result.valid;
}

/* A value that the labels' type does not have is none of them, though it has the same low
 * bits as one. */
static void ignored_values_beyond_the_labels_type(void **state) {
    const struct dtype *const d = *state;
    const struct {
        fghm_dtype dtype;
        int64_t label, ignore_index;
    } cases[] = {
        {FGHM_U8, 44, 300},
        {FGHM_U8, 44, 44 - 256},
        {FGHM_U8, 0, 256},
        {FGHM_I32, 1, ((int64_t)1 << 32) + 1},
        {FGHM_I32, 0, -((int64_t)1 << 32)},
        {FGHM_I64, 1, ((int64_t)1 << 32) + 1},
    };
    for (size_t i = 0; i < SUITE_COUNT(cases); i++) {
        const size_t classes = 50;
        double loss;
        assert_int_equal(
            valid_of(d, cases[i].dtype, cases[i].label, cases[i].ignore_index, classes, &loss),
            PLACES * classes);
        assert_near(loss, PLACES * (double)classes * log(2), 1e-6);
    }
}

/* The class 300 has no label of this type. */
static void classes_beyond_the_labels_type(void **state) {
    const struct dtype *const d = *state;
    const size_t classes = 301;
    float gradient[301 * PLACES];
    uint8_t labels[PLACES] = {44, 44, 44, 44, 44};
    fghm_focal *const focal = focal_handle(0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    void *const logits = dtype_array(d, PLACES * classes);
    fghm_batch batch = descriptor_of(1, classes, PLACES);
    batch.target_form = FGHM_TARGET_LABEL;
    batch.logits = (fghm_input){.data = logits, .dtype = dtype_of(d)};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
    batch.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, NULL), FGHM_OK);
    for (size_t c = 0; c < classes; c++) {
        for (size_t i = 0; i < PLACES; i++) {
            assert_true(gradient[c * PLACES + i] == (c == 44 ? -0.5f : 0.5f));
        }
    }
    free(logits);
    fghm_focal_destroy(focal);
}

/* Offenders -------------------------------------------------------------------- */

/* As many elements as one thread walks, in several tiles. */
#define MANY 4096

enum offence { BAD_TARGET, SOFT_TARGET_OF_STAR, BAD_PROBABILITY, BAD_SCORE, BAD_MASKED_TARGET };

/* The offender that is named where there are two of them. */
static int64_t named(const struct dtype *d, enum offence offence, size_t first, size_t second) {
    static uint8_t labels[MANY];
    fghm_focal *const focal = focal_handle(2, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, MANY);
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    for (size_t i = 0; i < MANY; i++) {
        const bool bad = i == first || i == second;
        const double wrong = offence == SOFT_TARGET_OF_STAR ? 0.5 : 2;
        batch_put(&b, i, bad && offence == BAD_PROBABILITY ? 2 : 0.5,
                  bad && offence != BAD_PROBABILITY ? wrong : 1);
    }
    batch.ndim = 2;
    batch.shape[0] = MANY;
    batch.shape[1] = 1;
    batch.class_axis = 1;
    batch.logits = (fghm_input){.data = b.logits, .dtype = dtype_of(d)};
    batch.targets = (fghm_input){.data = b.targets, .dtype = dtype_of(d)};
    if (offence == BAD_SCORE) {
        batch.target_form = FGHM_TARGET_LABEL_SCORE;
        batch.scores = batch.targets;
        batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
    }
    batch.activation = offence == BAD_PROBABILITY ? FGHM_PROBABILITY : FGHM_SIGMOID;
    if (offence == SOFT_TARGET_OF_STAR) {
        set(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_STAR));
    }
    const fghm_status status = offence == BAD_MASKED_TARGET
                                   ? fghm_ghm_step_batch(ghm, NULL, &batch, &result)
                                   : fghm_focal_batch(focal, NULL, &batch, &result);
    assert_int_not_equal(status, FGHM_OK);
    assert_int_equal(result.status, status);
    batch_free(&b);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
    return result.offender;
}

static void first_of_two_offenders(void **state) {
    const struct dtype *const d = *state;
    for (enum offence offence = BAD_TARGET; offence <= BAD_MASKED_TARGET; offence++) {
        assert_int_equal(named(d, offence, 3, 3000), 3);
        assert_int_equal(named(d, offence, 1030, 1031), 1030);
        assert_int_equal(named(d, offence, 600, MANY - 1), 600);
    }
}

/* A label of no class comes before scores, wherever they are. */
static void labels_come_before_scores(void **state) {
    enum { SAMPLES = 1 << 17, LABEL = SAMPLES - 1 };
    static uint8_t labels[SAMPLES];
    static float logits[SAMPLES], scores[SAMPLES];
    fghm_focal *const focal = focal_handle(2, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        scores[i] = 2;
    }
    labels[LABEL] = 1;
    batch.ndim = 2;
    batch.shape[0] = SAMPLES;
    batch.shape[1] = 1;
    batch.class_axis = 1;
    batch.target_form = FGHM_TARGET_LABEL_SCORE;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
    batch.scores = (fghm_input){.data = scores, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &result), FGHM_ERROR_LABEL);
    assert_int_equal(result.offender, LABEL);
    fghm_focal_destroy(focal);
}

/* GHM -------------------------------------------------------------------------- */

/* What steps and counts find, applying finds, too. */
static void applying_finds_a_bad_target(void **state) {
    const struct dtype *const d = *state;
    const double bad[] = {2, -1, d->next(1, 2)};
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 40);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, 0.1 * (double)i, (double)(i % 2));
    }
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
        for (size_t k = 0; k < b.n; k += 13) {
            d->put(b.targets, k, bad[i]);
            assert_int_equal(d->ghm_apply(ghm, NULL, b.n, b.logits, b.targets, NULL, &b.loss,
                                          b.out[ELEMENT_LOSS], b.out[GRADIENT], b.out[HESSIAN]),
                             FGHM_ERROR_TARGET);
            assert_true(isnan(d->get(b.out[GRADIENT], k)));
            d->put(b.targets, k, 1);
        }
    }
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* Rooms that are one number too small. */
static void capacities(void **state) {
    enum { BINS = 3, HISTOGRAMS = 4 };
    fghm_ghm *const ghm = ghmc_handle(BINS, FGHM_REDUCTION_MEAN);
    double numbers[BINS * HISTOGRAMS] = {-1};
    uint64_t counts[(BINS + 1) * HISTOGRAMS] = {7};
    size_t nonempty[HISTOGRAMS] = {7};
    double edges[BINS + 1] = {-1};
    const size_t rows = BINS * HISTOGRAMS;
    const size_t all = (BINS + 1) * HISTOGRAMS;
    (void)state;
    set(fghm_ghm_set_histograms(ghm, HISTOGRAMS));
    assert_int_equal(fghm_ghm_get_averages(ghm, rows - 1, numbers), FGHM_ERROR_CAPACITY);
    assert_int_equal(fghm_ghm_get_weights(ghm, rows - 1, numbers), FGHM_ERROR_CAPACITY);
    assert_true(numbers[0] == -1);
    assert_int_equal(fghm_ghm_get_counts(ghm, all - 1, counts), FGHM_ERROR_CAPACITY);
    assert_int_equal(fghm_ghm_update(ghm, all - 1, counts), FGHM_ERROR_CAPACITY);
    assert_true(counts[0] == 7);
    assert_int_equal(fghm_ghm_get_nonempty(ghm, HISTOGRAMS - 1, nonempty), FGHM_ERROR_CAPACITY);
    assert_true(nonempty[0] == 7);
    assert_int_equal(fghm_ghm_get_edges(ghm, BINS, edges), FGHM_ERROR_CAPACITY);
    assert_true(edges[0] == -1);
    set(fghm_ghm_get_averages(ghm, rows, numbers));
    set(fghm_ghm_get_weights(ghm, rows, numbers));
    set(fghm_ghm_get_counts(ghm, all, counts));
    set(fghm_ghm_get_nonempty(ghm, HISTOGRAMS, nonempty));
    set(fghm_ghm_get_edges(ghm, BINS + 1, edges));
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"quality_where_p_is_t", quality_where_p_is_t, 1},
        {"star_of_far_logits", star_of_far_logits, 1},
        {"floor_before_a_negative_weight", floor_before_a_negative_weight, 1},
        {"subnormal_probabilities_of_negatives", subnormal_probabilities_of_negatives, 1},
#if LDBL_MANT_DIG > DBL_MANT_DIG
        {"probabilities_of_all_digits", probabilities_of_all_digits, 1},
#endif
        {"best_constant_of_a_far_ratio", best_constant_of_a_far_ratio, 0},
        {"ignored_values_beyond_the_labels_type", ignored_values_beyond_the_labels_type, 1},
        {"classes_beyond_the_labels_type", classes_beyond_the_labels_type, 1},
        {"first_of_two_offenders", first_of_two_offenders, 1},
        {"labels_come_before_scores", labels_come_before_scores, 0},
        {"applying_finds_a_bad_target", applying_finds_a_bad_target, 1},
        {"capacities", capacities, 0},
    };
    return suite_run(argument_count, arguments, "corners", tests, SUITE_COUNT(tests));
}
