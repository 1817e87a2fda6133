/* SPDX-License-Identifier: MIT */

/* Numbers near the ends of their type: probabilities that are subnormal, factors that are large
 * and small at once, sums of which no term overflows.  Against the wide reference where there
 * is a formula to check. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/dtype.h"
#include "support/reference.h"
#include "support/suite.h"
#include "support/wide.h"

enum { MOST = 2200 };

/* Up to MOST elements and what came of them. */
struct elements {
    const struct dtype *d;
    size_t n;
    void *inputs, *targets, *weights, *out[3];
    double loss;
};

static struct elements elements_new(const struct dtype *d) {
    struct elements e = {.d = d};
    e.inputs = dtype_array(d, MOST);
    e.targets = dtype_array(d, MOST);
    e.weights = dtype_array(d, MOST);
    for (int i = 0; i < 3; i++) {
        e.out[i] = dtype_array(d, MOST);
    }
    return e;
}

static void elements_free(struct elements *e) {
    free(e->inputs);
    free(e->targets);
    free(e->weights);
    for (int i = 0; i < 3; i++) {
        free(e->out[i]);
    }
}

static void put(struct elements *e, double input, double target, double weight) {
    assert_true(e->n < MOST);
    e->d->put(e->inputs, e->n, input);
    e->d->put(e->targets, e->n, target);
    e->d->put(e->weights, e->n, weight);
    e->n++;
}

static fghm_batch batch_of(const struct elements *e, fghm_activation activation) {
    const fghm_dtype dtype = e->d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 1;
    batch.shape[0] = (int64_t)e->n;
    batch.activation = activation;
    batch.logits = (fghm_input){.data = e->inputs, .dtype = dtype};
    batch.targets = (fghm_input){.data = e->targets, .dtype = dtype};
    batch.weights = (fghm_input){.data = e->weights, .dtype = dtype};
    batch.element_loss = (fghm_output){.data = e->out[0], .dtype = dtype};
    batch.gradient = (fghm_output){.data = e->out[1], .dtype = dtype};
    batch.hessian = (fghm_output){.data = e->out[2], .dtype = dtype};
    return batch;
}

static void compute(struct elements *e, const fghm_focal *focal, fghm_activation activation) {
    const fghm_batch batch = batch_of(e, activation);
    fghm_result result = FGHM_RESULT_INIT;
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, &result), FGHM_OK);
    e->loss = result.loss;
}

/* A handle for a sum; alpha below 0: off. */
static fghm_focal *handle(fghm_focal_rule rule, double gamma, double alpha) {
    fghm_focal *focal;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, gamma), FGHM_OK);
    assert_int_equal(
        alpha < 0.0 ? fghm_focal_clear_alpha(focal) : fghm_focal_set_alpha(focal, alpha), FGHM_OK);
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM), FGHM_OK);
    return focal;
}

/* -------------------------------------------------------------------------
 * Probabilities. */

static const char *const output_names[] = {"loss", "gradient", "hessian"};

static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.3, 10.0, 64.0};

/* What is too large for the type is its largest number. */
static double error_of(const struct dtype *d, double got, mpfr_srcptr exact, mpfr_srcptr scale) {
    if (fabs(got) == d->format->max && mpfr_cmpabs(exact, scale) <= 0 &&
        mpfr_get_d(exact, MPFR_RNDN) * got > 0.0 &&
        fabs(mpfr_get_d(exact, MPFR_RNDN)) >= fabs(got)) {
        return 0.0;
    }
    return wide_ulps_scaled(d->format, got, exact, scale);
}

static void check_probability(const struct elements *e, size_t k, const struct reference_loss *loss,
                              struct reference *r, size_t *failures) {
    const double p = e->d->get(e->inputs, k), t = e->d->get(e->targets, k);
    const double bound = 16.0 + 4.0 * fmax(0.0, loss->gamma - 10.0);
    const mpfr_srcptr exact[] = {r->loss, r->gradient, r->hessian};
    const mpfr_srcptr scale[] = {r->loss, r->gradient_scale, r->hessian_scale};
    mpfr_t x, target;
    mpfr_inits2(WIDE_BITS, x, target, (mpfr_ptr)0);
    mpfr_set_d(x, p, MPFR_RNDN);
    mpfr_set_d(target, t, MPFR_RNDN);
    reference_probability(r, loss, x, target);
    for (int i = 0; i < 3; i++) {
        const double got = e->d->get(e->out[i], k);
        const double error = error_of(e->d, got, exact[i], scale[i]);
        if (!(error <= bound * (i == 2 ? 1.5 : 1.0))) {
            if (++*failures <= 8) {
                print_error("%s rule %d mode %d gamma %g p %a t %a %s: %g, want %g (%g ulp)\n",
                            e->d->name, (int)loss->rule, (int)loss->mode, loss->gamma, p, t,
                            output_names[i], got, mpfr_get_d(exact[i], MPFR_RNDN), error);
            }
        }
    }
    mpfr_clears(x, target, (mpfr_ptr)0);
}

/* The elements with every gamma, under two rules, in two modes. */
static void check_probabilities(struct elements *e) {
    size_t failures = 0;
    struct reference r;
    reference_init(&r);
    for (size_t g = 0; g < 4 * SUITE_COUNT(gammas); g++) {
        const struct reference_loss loss = {
            .rule = g % 2 == 0 ? FGHM_FOCAL_RULE_LINEAR : FGHM_FOCAL_RULE_SPLIT,
            .gamma = gammas[g / 4],
            .negative_gamma = gammas[g / 4],
            .alpha = g % 2 == 0 ? WIDE_ALPHA_OFF : 0.25,
            .mode = g / 2 % 2 == 0 ? FGHM_HESSIAN_EXACT : FGHM_HESSIAN_GAUSS_NEWTON,
        };
        fghm_focal *const focal = handle(loss.rule, loss.gamma, g % 2 == 0 ? -1.0 : 0.25);
        assert_int_equal(fghm_focal_set_hessian_mode(focal, loss.mode), FGHM_OK);
        compute(e, focal, FGHM_PROBABILITY);
        for (size_t k = 0; k < e->n; k++) {
            check_probability(e, k, &loss, &r, &failures);
        }
        fghm_focal_destroy(focal);
    }
    reference_clear(&r);
    assert_int_equal(failures, 0);
}

static void put_probability(struct elements *e, double p) {
    const double targets[] = {0.0, 1.0, 0.5, 0x1p-20, 10.0 * p, p};
    for (size_t k = 0; k < SUITE_COUNT(targets); k++) {
        put(e, p, dtype_round(e->d, targets[k]), 1.0);
    }
}

/* Every exponent of a subnormal number: the smallest, and one with other digits. */
static void subnormal_probabilities(void **state) {
    struct elements e = elements_new(*state);
    const int normal = e.d->format->lowest + e.d->format->digits - 1;
    for (int exponent = e.d->format->lowest; exponent < normal; exponent++) {
        put_probability(&e, ldexp(1.0, exponent));
        put_probability(&e, dtype_round(e.d, ldexp(1.6180339887498949, exponent)));
    }
    check_probabilities(&e);
    elements_free(&e);
}

/* m^gamma and 1 / p^2 leave the type one after the other. */
static void small_probabilities(void **state) {
    struct elements e = elements_new(*state);
    const int step = e.d->size == sizeof(float) ? 1 : 13;
    const int normal = e.d->format->lowest + e.d->format->digits - 1;
    for (int exponent = -1; exponent >= normal; exponent -= step) {
        const double p = dtype_round(e.d, ldexp(0.6180339887498949, exponent));
        put(&e, p, 0.0, 1.0);
        put(&e, p, dtype_round(e.d, 10.0 * p <= 1.0 ? 10.0 * p : p), 1.0);
        put(&e, p, 1.0, 1.0);
    }
    check_probabilities(&e);
    elements_free(&e);
}

/* -------------------------------------------------------------------------
 * Factors. */

static bool is_near(double got, double want, double tolerance) {
    return fabs(got - want) <= tolerance * fabs(want);
}

static bool is_normal(double x) {
    return x >= (double)FLT_MIN && x <= (double)FLT_MAX / 16.0;
}

/* Floats, with factors from the ends of their ranges: loss and gradient are those of double,
 * unless what the loss is multiplied by is out of float's range. */
static void factors_of_floats(void **state) {
    const double loss_weights[] = {0x1p-40, 1.0, 1e12}, alphas[] = {0x1p-40, 0.5, 1.0 - 0x1p-20};
    const double divisors[] = {0x1p-40, 1.0, 0x1p60}, targets[] = {0.0, 1.0, 0.5, 0x1p-30};
    const double weights[] = {1e-38, 0x1p-60, 1.0, 0x1p30, 0x1p60, 1e37};
    const fghm_focal_rule rules[] = {FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT};
    struct elements f32 = elements_new(&dtypes[0]), f64 = elements_new(&dtypes[1]);
    size_t checked = 0;
    (void)state;
    for (size_t w = 0; w < SUITE_COUNT(weights); w++) {
        for (size_t t = 0; t < SUITE_COUNT(targets); t++) {
            put(&f32, 0.375, targets[t], weights[w]);
            put(&f64, 0.375, targets[t], (double)(float)weights[w]);
        }
    }
    for (size_t k = 0; k < (size_t)3 * 3 * 3 * 4; k++) {
        const double loss_weight = loss_weights[k % 3], alpha = alphas[k / 3 % 3];
        const double divisor = divisors[k / 9 % 3];
        fghm_focal *const focal = handle(rules[k / 27 % 2], 2.0, alpha);
        const fghm_activation activation = k / 54 == 0 ? FGHM_SIGMOID : FGHM_PROBABILITY;
        assert_int_equal(fghm_focal_set_loss_weight(focal, loss_weight), FGHM_OK);
        assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_NORMALIZER), FGHM_OK);
        assert_int_equal(fghm_focal_set_normalizer(focal, divisor), FGHM_OK);
        compute(&f64, focal, activation);
        compute(&f32, focal, activation);
        for (size_t i = 0; i < f32.n; i++) {
            const double t = f64.d->get(f64.targets, i);
            const double a_t = alpha * t + (1.0 - alpha) * (1.0 - t);
            const double weight = f64.d->get(f64.weights, i);
            const double factor = loss_weight * a_t * weight;
            /* The terms of the split loss have t and 1 - t as weights. */
            const double least = weight * (t > 0.0 ? t : 1.0);
            for (int output = 0; output < 3; output++) {
                const double got = f32.d->get(f32.out[output], i);
                const double want = f64.d->get(f64.out[output], i);
                if (!is_normal(least) || !is_normal(factor) || !is_normal(factor / divisor) ||
                    !is_normal(fabs(want))) {
                    continue;
                }
                checked++;
                if (!is_near(got, want, 0x1p-19)) {
                    fail_msg("%s, loss weight %g, alpha %g, D %g, weight %g, t %g, rule %d, "
                             "activation %d: %g, want %g",
                             output_names[output], loss_weight, alpha, divisor, weight, t,
                             (int)rules[k / 27 % 2], (int)activation, got, want);
                }
            }
        }
        fghm_focal_destroy(focal);
    }
    assert_true(checked > 2000);
    elements_free(&f32);
    elements_free(&f64);
}

/* Targets so small that a factor of them is not to be rounded: the loss is large. */
static void tiny_targets(void **state) {
    const struct dtype *const d = *state;
    const fghm_focal_rule rules[] = {FGHM_FOCAL_RULE_SPLIT, FGHM_FOCAL_RULE_LINEAR};
    const double alphas[] = {0.25, 1.0};
    for (int k = 0; k < 2; k++) {
        struct elements e = elements_new(d);
        fghm_focal *const focal = handle(rules[k], 0.0, alphas[k]);
        assert_int_equal(fghm_focal_set_loss_weight(focal, 0.75), FGHM_OK);
        for (int exponent = 0; exponent < 60; exponent++) {
            /* Wrong for the term, or the factor, that has t alone. */
            const double sign = rules[k] == FGHM_FOCAL_RULE_SPLIT ? -1.0 : 1.0;
            put(&e, sign * d->format->max, ldexp(1.0, d->format->lowest + exponent), 1.0);
            put(&e, sign * 1000.0, dtype_round(d, ldexp(0.7, d->format->lowest + exponent)), 1.0);
        }
        compute(&e, focal, FGHM_SIGMOID);
        for (size_t i = 0; i < e.n; i++) {
            const double t = d->get(e.targets, i);
            /* In this order no product is subnormal, but the last. */
            const double want = fabs(d->get(e.inputs, i)) * 0.75 * alphas[k] * t;
            const double got = d->get(e.out[0], i);
            const double smallest = ldexp(1.0, d->format->lowest);
            if (!(fabs(got - want) <= 8.0 * smallest + 0x1p-20 * want)) {
                fail_msg("%s, rule %d, x %g, t %g: %g, want %g", d->name, (int)rules[k],
                         d->get(e.inputs, i), t, got, want);
            }
        }
        fghm_focal_destroy(focal);
        elements_free(&e);
    }
}

/* exp(-|x| gamma) / gamma where the exponential is subnormal and the quotient is not. */
static void star_with_a_small_gamma(void **state) {
    const struct dtype *const d = *state;
    struct elements e = elements_new(d);
    fghm_focal *const focal = handle(FGHM_FOCAL_RULE_STAR, 0x1p-9, 0.25);
    const double smallest = ldexp(1.0, d->format->lowest);
    const double zero = -log(smallest);
    for (int k = 1; k < 40; k++) {
        put(&e, -dtype_round(d, (zero - 0.75 * k) * 0x1p9), 0.0, 1.0);
    }
    compute(&e, focal, FGHM_SIGMOID);
    for (size_t i = 0; i < e.n; i++) {
        mpfr_t want, gradient;
        mpfr_inits2(WIDE_BITS, want, gradient, (mpfr_ptr)0);
        mpfr_set_d(want, d->get(e.inputs, i) * 0x1p-9, MPFR_RNDN);
        mpfr_exp(want, want, MPFR_RNDN);
        mpfr_log1p(gradient, want, MPFR_RNDN);
        mpfr_mul_d(want, gradient, 0.75 * 0x1p9, MPFR_RNDN);
        const double error = wide_ulps_scaled(d->format, d->get(e.out[0], i), want, want);
        if (!(error <= 8.0)) {
            fail_msg("%s, x %g: %g, want %g (%g ulp)", d->name, d->get(e.inputs, i),
                     d->get(e.out[0], i), mpfr_get_d(want, MPFR_RNDN), error);
        }
        mpfr_clears(want, gradient, (mpfr_ptr)0);
    }
    fghm_focal_destroy(focal);
    elements_free(&e);
}

/* Logits times gamma that are beyond the type: finite logits have finite losses. */
static void star_of_large_logits(void **state) {
    const struct dtype *const d = *state;
    const double large[] = {d->format->max, d->format->max / 32.0, d->format->max / 64.0};
    struct elements e = elements_new(d);
    for (size_t k = 0; k < SUITE_COUNT(large); k++) {
        put(&e, large[k], 0.0, 1.0);
        put(&e, -large[k], 1.0, 1.0);
        put(&e, large[k], 1.0, 1.0);
    }
    for (int small = 0; small < 2; small++) {
        fghm_focal *const focal = handle(FGHM_FOCAL_RULE_STAR, small ? 0x1p-9 : 64.0, 0.25);
        compute(&e, focal, FGHM_SIGMOID);
        for (size_t i = 0; i < e.n; i++) {
            const double loss = d->get(e.out[0], i);
            assert_true(i % 3 == 2 ? loss == 0.0 : loss > 0.0 && loss <= d->format->max);
        }
        fghm_focal_destroy(focal);
    }
    elements_free(&e);
}

/* Those of soft targets are (1 - t)^beta times the loss without a penalty; NaN stays. */
static void penalties_of_heatmaps(void **state) {
    const struct dtype *const d = *state;
    const double betas[] = {0.0, 1.0, 2.0, 3.0, 4.0, 5.5};
    struct elements e = elements_new(d);
    double plain = 0.0;
    put(&e, 0.7, 0.25, 1.0);
    put(&e, 0.7, (double)NAN, 1.0);
    for (size_t k = 0; k < SUITE_COUNT(betas); k++) {
        fghm_focal *const focal = handle(FGHM_FOCAL_RULE_HEATMAP, 2.0, -1.0);
        assert_int_equal(fghm_focal_set_beta(focal, betas[k]), FGHM_OK);
        compute(&e, focal, FGHM_SIGMOID);
        const double loss = d->get(e.out[0], 0);
        plain = k == 0 ? loss : plain;
        assert_true(fabs(loss - plain * pow(0.75, betas[k])) <= 0x1p-20 * loss);
        for (int i = 0; i < 3; i++) {
            assert_true(isnan(d->get(e.out[i], 1)));
        }
        fghm_focal_destroy(focal);
    }
    elements_free(&e);
}

/* Factors whose product would lose digits before a large loss makes up for them. */
static void small_factors_of_large_losses(void **state) {
    const struct dtype *const d = *state;
    const double logit = 0x1.234568p98, weight = 0x1.6543p-59;
    struct elements e = elements_new(d);
    fghm_focal *const focal = handle(FGHM_FOCAL_RULE_HEATMAP, 2.0, -1.0);
    put(&e, logit, 1.0 - 0x1p-10, weight);
    assert_int_equal(fghm_focal_set_beta(focal, 4.0), FGHM_OK);
    assert_int_equal(fghm_focal_set_loss_weight(focal, 0x1p-40), FGHM_OK);
    compute(&e, focal, FGHM_SIGMOID);
    const double want = logit * weight * 0x1p-80;
    assert_true(fabs(d->get(e.out[0], 0) - want) <= 0x1p-20 * want);
    fghm_focal_destroy(focal);
    elements_free(&e);
}

/* Divided by so small a sum of weights, 1 has no place in the type; times a weight of 0 it is 0. */
static void zero_weights_beside_tiny_ones(void **state) {
    const struct dtype *const d = *state;
    struct elements e = elements_new(d);
    fghm_focal *const focal = handle(FGHM_FOCAL_RULE_LINEAR, 0.0, -1.0);
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN_WEIGHTS), FGHM_OK);
    put(&e, 1.0, 0.0, 0.0);
    put(&e, 1.0, 0.0, ldexp(1.0, d->format->lowest));
    compute(&e, focal, FGHM_SIGMOID);
    for (int i = 0; i < 3; i++) {
        assert_true(d->get(e.out[i], 0) == 0.0);
    }
    fghm_focal_destroy(focal);
    elements_free(&e);
}

/* -------------------------------------------------------------------------
 * Sums. */

static void check_mean(const struct dtype *d, const char *what, double got, double want) {
    if (!is_near(got, want, 64.0 * d->sum_bound)) {
        fail_msg("%s %s: %g, want %g", d->name, what, got, want);
    }
}

/* The mean of numbers of which no two can be added, among them ordinary ones. */
static void means_of_huge_losses(void **state) {
    const struct dtype *const d = *state;
    const double huge = dtype_round(d, 0.95 * d->format->max);
    const fghm_focal_rule rules[] = {FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT};
    const size_t sizes[] = {2, 16, 17, 256, 1000, 2100};
    for (size_t k = 0; k < 4 * SUITE_COUNT(sizes); k++) {
        struct elements e = elements_new(d);
        fghm_focal *const focal = handle(rules[k % 2], k / 2 % 2 == 0 ? 2.0 : 0.5, -1.0);
        double loss, want = 0.0;
        assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN), FGHM_OK);
        for (size_t i = 0; i < sizes[k / 4]; i++) {
            const double x = i % 3 == 1 ? 1.0 : i % 3 == 2 ? huge / 2.0 : huge;
            put(&e, x, 0.0, 1.0);
            want += x / (double)sizes[k / 4];
        }
        compute(&e, focal, FGHM_SIGMOID);
        check_mean(d, "batch", e.loss, want);
        assert_int_equal(
            d->focal(focal, NULL, e.n, e.inputs, e.targets, NULL, &loss, NULL, e.out[1], NULL),
            FGHM_OK);
        check_mean(d, "elements", loss, want);
        fghm_focal_destroy(focal);
        elements_free(&e);
    }
}

/* One bin, so that all weights are 1; momentum has no part in it. */
static void means_of_huge_harmonized_losses(void **state) {
    const struct dtype *const d = *state;
    const double huge = dtype_round(d, 0.95 * d->format->max);
    for (int regression = 0; regression < 2; regression++) {
        struct elements e = elements_new(d);
        fghm_ghm *ghm;
        double loss;
        assert_int_equal(
            fghm_ghm_create(&ghm, regression ? FGHM_GHM_REGRESSION : FGHM_GHM_CLASSIFICATION),
            FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, 1), FGHM_OK);
        for (size_t i = 0; i < 1000; i++) {
            put(&e, huge, 0.0, 1.0);
        }
        assert_int_equal(d->ghm(ghm, NULL, e.n, e.inputs, e.targets, NULL, &loss, NULL, NULL, NULL),
                         FGHM_OK);
        check_mean(d, "step", loss, huge);
        fghm_batch batch = batch_of(&e, FGHM_SIGMOID);
        fghm_result result = FGHM_RESULT_INIT;
        assert_int_equal(fghm_ghm_apply_batch(ghm, NULL, &batch, &result), FGHM_OK);
        check_mean(d, "batch", result.loss, huge);
        fghm_ghm_destroy(ghm);
        elements_free(&e);
    }
}

/* Losses that are as small as they can be do not get lost among large logits. */
static void tiny_losses_of_large_logits(void **state) {
    const struct dtype *const d = *state;
    const double tiny = d->size == sizeof(float) ? 80.0 : 700.0;
    struct elements e = elements_new(d);
    fghm_focal *const focal = handle(FGHM_FOCAL_RULE_LINEAR, 0.0, -1.0);
    for (size_t i = 0; i < 500; i++) {
        put(&e, i % 2 == 0 ? d->format->max : tiny, 1.0, 1.0);
    }
    compute(&e, focal, FGHM_SIGMOID);
    check_mean(d, "sum", e.loss, 250.0 * exp(-tiny));
    fghm_focal_destroy(focal);
    elements_free(&e);
}

/* What a weight of infinity is with a factor of 0: NaN, in its own sample. */
static void infinite_weights(void **state) {
    const double factors[] = {0.0, 1.0};
    const float logits[] = {0.5f, -0.5f, 1.0f, 2.0f}, weights[] = {INFINITY, 1.0f};
    const int64_t labels[] = {0, 1};
    float losses[2], gradient[4];
    fghm_focal *const focal = handle(FGHM_FOCAL_RULE_LINEAR, 2.0, -1.0);
    fghm_batch batch = FGHM_BATCH_INIT;
    (void)state;
    batch.ndim = 2;
    batch.shape[0] = batch.shape[1] = 2;
    batch.class_axis = 1;
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.class_alpha = factors;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_I64};
    batch.weights = (fghm_input){.data = weights, .dtype = FGHM_F32};
    batch.element_loss = (fghm_output){.data = losses, .dtype = FGHM_F32};
    batch.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &batch, NULL), FGHM_OK);
    assert_true(isnan(losses[0]) && isnan(gradient[0]) && isnan(gradient[1]));
    assert_true(losses[1] > 0.0f && gradient[2] > 0.0f && gradient[3] < 0.0f);
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"subnormal_probabilities", subnormal_probabilities, 1},
        {"small_probabilities", small_probabilities, 1},
        {"factors_of_floats", factors_of_floats, 0},
        {"tiny_targets", tiny_targets, 1},
        {"star_with_a_small_gamma", star_with_a_small_gamma, 1},
        {"star_of_large_logits", star_of_large_logits, 1},
        {"penalties_of_heatmaps", penalties_of_heatmaps, 1},
        {"small_factors_of_large_losses", small_factors_of_large_losses, 1},
        {"zero_weights_beside_tiny_ones", zero_weights_beside_tiny_ones, 1},
        {"means_of_huge_losses", means_of_huge_losses, 1},
        {"means_of_huge_harmonized_losses", means_of_huge_harmonized_losses, 1},
        {"tiny_losses_of_large_logits", tiny_losses_of_large_logits, 1},
        {"infinite_weights", infinite_weights, 0},
    };
    return suite_run(argument_count, arguments, "extremes", tests, SUITE_COUNT(tests));
}
