/* SPDX-License-Identifier: MIT */

/* Probabilities and best constants of softmax against the formula in wide arithmetic; and both
 * forms of calibration, and the constants, against what training with the library's own gradients
 * comes to on a distribution that is known. */

#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/calibrated.h"
#include "support/dtype.h"
#include "support/promise.h"
#include "support/random.h"
#include "support/reference.h"
#include "support/suite.h"
#include "support/wide.h"

enum { CLASSES_MAX = 300 };

static fghm_focal *handle_of(const struct calibrated_setting *s) {
    fghm_focal *const focal = focal_handle(s->gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    assert_int_equal(fghm_focal_set_detached(focal, s->detached), FGHM_OK);
    return focal;
}

static fghm_status calibrate(const struct dtype *d, const fghm_focal *focal, fghm_pool *pool,
                             size_t samples, size_t classes, const void *x,
                             const struct calibrated_setting *s, void *to) {
    return d->size == sizeof(float)
               ? fghm_focal_calibrate_softmax_f32(focal, pool, samples, classes, x, s->gammas,
                                                  s->weights, to)
               : fghm_focal_calibrate_softmax_f64(focal, pool, samples, classes, x, s->gammas,
                                                  s->weights, to);
}

/* -------------------------------------------------------------------------
 * The formula. */

static double check_row(const struct dtype *d, const struct calibrated_setting *s, void *x,
                        size_t classes) {
    static mpfr_t eta[CLASSES_MAX], wide[CLASSES_MAX];
    const double gamma = calibrated_gamma(s, classes);
    const double bound = promised_calibrated_row(gamma, d->size == sizeof(double));
    fghm_focal *const focal = handle_of(s);
    void *const got = dtype_array(d, classes);
    double worst = 0.0;
    for (size_t c = 0; c < classes; c++) {
        mpfr_inits2(WIDE_BITS, eta[c], wide[c], (mpfr_ptr)0);
        mpfr_set_d(wide[c], d->get(x, c), MPFR_RNDN);
    }
    calibrated_row(eta, s, (const mpfr_t *)wide, NULL, classes);
    assert_int_equal(calibrate(d, focal, NULL, 1, classes, x, s, got), FGHM_OK);
    for (size_t c = 0; c < classes; c++) {
        const double ulps = wide_ulps_scaled(d->format, d->get(got, c), eta[c], eta[c]);
        worst = fmax(worst, d->size == sizeof(float) ? ulps : ulps / bound);
        if (!(ulps <= bound)) {
            fail_msg("%s gamma %g detached %d classes %zu class %zu at %a: %.17g, not %.17g, "
                     "%.2f ulp",
                     d->name, gamma, s->detached, classes, c, d->get(x, c), d->get(got, c),
                     mpfr_get_d(eta[c], MPFR_RNDN), ulps);
        }
        mpfr_clears(eta[c], wide[c], (mpfr_ptr)0);
    }
    free(got);
    fghm_focal_destroy(focal);
    return worst;
}

static void softmax_follows_its_formula(void **state) {
    const struct dtype *d = *state;
    const size_t shapes[] = {2, 3, 10, 257, 300};
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 5.0, 64.0},
                 scales[] = {1e-3, 1.0, 5.0, 40.0, 300.0};
    struct random r = random_for(260);
    double own_gammas[CLASSES_MAX], own_weights[CLASSES_MAX];
    double worst = 0.0;
    for (int k = 0; k < 400; k++) {
        const size_t classes = shapes[k % 200 < 198 ? random_below(&r, 3) : 3 + (size_t)k % 2];
        const double scale = scales[random_below(&r, 5)];
        void *const x = dtype_array(d, classes);
        for (size_t c = 0; c < classes; c++) {
            d->put(x, c, scale * random_normal(&r));
            own_gammas[c] =
                random_below(&r, 2) ? gammas[random_below(&r, 6)] : random_uniform(&r, 0.0, 8.0);
            own_weights[c] = k % 16 == 0 ? ldexp(1.0, (int)random_below(&r, 121) - 80)
                                         : fabs(random_log_uniform(&r, 1e-3, 1e3));
        }
        const struct calibrated_setting s = {.gamma = gammas[random_below(&r, 6)],
                                             .detached = random_below(&r, 4) == 0,
                                             .gammas = random_below(&r, 2) ? own_gammas : NULL,
                                             .weights = random_below(&r, 2) ? own_weights : NULL};
        worst = fmax(worst, check_row(d, &s, x, classes));
        free(x);
    }
    printf("  %s softmax calibration, largest error %.2f %s\n", d->name, worst,
           d->size == sizeof(float) ? "ulp" : "of the bound");
}

/* -------------------------------------------------------------------------
 * Training.  The distribution: what is seen is one of CELLS things, and of it the label is class c
 * with the probability `truth[cell][c]`.  The model has a logit for each thing and class. */

enum { CELLS = 3, CLASSES = 4 };

static const double truth[CELLS][CLASSES] = {
    {0.7, 0.15, 0.1, 0.05}, {0.02, 0.9, 0.05, 0.03}, {0.25, 0.25, 0.3, 0.2}};

/* One training: softmax, or a sigmoid for each class whose positives are the label's. */
struct training {
    const char *name;
    fghm_activation activation;
    double gamma, negative_gamma, alpha, positive_weight, margin;
    bool detached;
    const double *class_alpha, *class_gamma, *class_weights, *class_offsets;
    double smoothing; /* with the split rule, and class weights of terms */
};

static const double some_alphas[CLASSES] = {0.5, 0.25, 0.9, 0.75},
                    some_gammas[CLASSES] = {2.0, 0.0, 3.5, 0.5},
                    some_weights[CLASSES] = {3.0, 0.5, 1.0, 8.0},
                    some_offsets[CLASSES] = {-1.0, 0.5, 2.0, 0.0};

/* Numbers that are 0, but gamma, are for what is not set. */
static const struct training trainings[] = {
    {"softmax", FGHM_SOFTMAX, .gamma = 2},
    {"softmax, cross-entropy", FGHM_SOFTMAX, .gamma = 0},
    {"softmax, class weights", FGHM_SOFTMAX, .gamma = 2, .class_weights = some_weights},
    {"softmax, class_alpha", FGHM_SOFTMAX, .gamma = 1, .class_alpha = some_alphas,
     .class_weights = some_weights},
    {"softmax, class_gamma", FGHM_SOFTMAX, .gamma = 2, .class_gamma = some_gammas,
     .class_weights = some_weights},
    {"softmax, detached", FGHM_SOFTMAX, .gamma = 1.5, .detached = true,
     .class_weights = some_weights},
    {"softmax, offsets", FGHM_SOFTMAX, .gamma = 2, .class_offsets = some_offsets},
    {"softmax, smoothed labels", FGHM_SOFTMAX, .gamma = 2, .class_weights = some_weights,
     .smoothing = 0.1},
    {"sigmoid", FGHM_SIGMOID, .gamma = 2, .alpha = 0.25},
    {"sigmoid, two gammas", FGHM_SIGMOID, .gamma = 1, .negative_gamma = 4},
    {"sigmoid, margin", FGHM_SIGMOID, .gamma = 1, .negative_gamma = 4, .margin = 0.05},
    {"sigmoid, margin, detached", FGHM_SIGMOID, .gamma = 1, .negative_gamma = 2, .margin = 0.01,
     .alpha = 0.4, .detached = true},
    {"sigmoid, positive weight", FGHM_SIGMOID, .gamma = 2, .positive_weight = 5},
    {"sigmoid, class weights", FGHM_SIGMOID, .gamma = 2, .alpha = 0.25,
     .class_weights = some_weights},
    {"sigmoid, of classes", FGHM_SIGMOID, .gamma = 2, .class_alpha = some_alphas,
     .class_gamma = some_gammas, .class_weights = some_weights},
    {"sigmoid, detached", FGHM_SIGMOID, .gamma = 2, .alpha = 0.25, .detached = true},
};

static fghm_focal *handle_of_training(const struct training *t) {
    fghm_focal *const focal =
        focal_handle(t->gamma, t->alpha > 0.0 ? t->alpha : WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    if (t->negative_gamma > 0.0) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, t->negative_gamma), FGHM_OK);
    }
    if (t->positive_weight > 0.0) {
        assert_int_equal(fghm_focal_set_positive_weight(focal, t->positive_weight), FGHM_OK);
    }
    assert_int_equal(fghm_focal_set_detached(focal, t->detached), FGHM_OK);
    assert_int_equal(fghm_focal_set_margin(focal, t->margin), FGHM_OK);
    if (t->smoothing > 0.0) {
        assert_int_equal(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_SPLIT), FGHM_OK);
    }
    return focal;
}

/* Sums over the labels of gradient and Hessian of each cell's logits. */
static void slopes(const fghm_focal *focal, const struct training *t, const double *x,
                   double gradient[CELLS][CLASSES], double hessian[CELLS][CLASSES]) {
    static const int32_t labels[CLASSES] = {0, 1, 2, 3};
    static double g[CELLS][CLASSES][CLASSES], h[CELLS][CLASSES][CLASSES];
    fghm_batch b = FGHM_BATCH_INIT;
    b.ndim = 3;
    b.shape[0] = CELLS, b.shape[1] = CLASSES, b.shape[2] = CLASSES;
    b.class_axis = 2;
    b.activation = t->activation;
    b.target_form = FGHM_TARGET_LABEL;
    b.label_smoothing = t->smoothing;
    b.flags = t->smoothing > 0.0 ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0;
    b.class_alpha = t->class_alpha, b.class_gamma = t->class_gamma;
    b.class_weights = t->class_weights, b.class_offsets = t->class_offsets;
    b.logits = (fghm_input){
        .data = x, .dtype = FGHM_F64, .layout = FGHM_LAYOUT_STRIDED, .strides = {CLASSES, 0, 1}};
    b.targets = (fghm_input){
        .data = labels, .dtype = FGHM_I32, .layout = FGHM_LAYOUT_STRIDED, .strides = {0, 1, 0}};
    b.weights = (fghm_input){.data = truth, .dtype = FGHM_F64, .layout = FGHM_LAYOUT_PER_SAMPLE};
    b.gradient = (fghm_output){.data = g, .dtype = FGHM_F64};
    b.hessian = (fghm_output){.data = h, .dtype = FGHM_F64};
    assert_int_equal(fghm_focal_batch(focal, NULL, &b, NULL), FGHM_OK);
    for (size_t k = 0; k < CELLS * CLASSES; k++) {
        const size_t cell = k / CLASSES, c = k % CLASSES;
        gradient[cell][c] = hessian[cell][c] = 0.0;
        for (size_t label = 0; label < CLASSES; label++) {
            gradient[cell][c] += g[cell][label][c];
            hessian[cell][c] += h[cell][label][c];
        }
    }
}

/* Gauss-Newton steps of each logit for itself, so short that they cannot swing, until the gradient
 * is nothing but rounding errors. */
static void train(const struct training *t, double x[CELLS][CLASSES]) {
    fghm_focal *const focal = handle_of_training(t);
    const double step = 0.4 / (1.0 + fmax(4.0, t->gamma));
    double g[CELLS][CLASSES], h[CELLS][CLASSES];
    double most = INFINITY;
    assert_int_equal(fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_GAUSS_NEWTON), FGHM_OK);
    for (int k = 0; k < 20000 && most > 1e-14; k++) {
        slopes(focal, t, &x[0][0], g, h);
        most = 0.0;
        for (size_t i = 0; i < CELLS * CLASSES; i++) {
            most = fmax(most, fabs(g[i / CLASSES][i % CLASSES]));
            x[i / CLASSES][i % CLASSES] -=
                step * g[i / CLASSES][i % CLASSES] / h[i / CLASSES][i % CLASSES];
        }
    }
    if (!(most <= 1e-14)) {
        fail_msg("%s does not converge: gradient %g", t->name, most);
    }
    fghm_focal_destroy(focal);
}

/* What the trained logits have to come to: 1e-14 of gradient, over a Hessian of 1e-3 and more. */
#define TRAINED 1e-10

static void check_softmax_training(const struct training *t, const double x[CELLS][CLASSES]) {
    fghm_focal *const focal = handle_of_training(t);
    double weights[CLASSES], seen[CELLS][CLASSES], got[CELLS][CLASSES];
    for (size_t c = 0; c < CLASSES; c++) {
        weights[c] = (t->class_alpha == NULL ? 1.0 : t->class_alpha[c]) *
                     (t->class_weights == NULL ? 1.0 : t->class_weights[c]);
        for (size_t cell = 0; cell < CELLS; cell++) {
            seen[cell][c] = x[cell][c] + (t->class_offsets == NULL ? 0.0 : t->class_offsets[c]);
        }
    }
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, CELLS, CLASSES, &seen[0][0],
                                                      t->class_gamma, weights, &got[0][0]),
                     FGHM_OK);
    for (size_t cell = 0; cell < CELLS; cell++) {
        double frequencies[CLASSES], best[CLASSES];
        for (size_t c = 0; c < CLASSES; c++) {
            const double want = truth[cell][c] * (1.0 - t->smoothing) + t->smoothing / CLASSES;
            if (!(fabs(got[cell][c] - want) <= TRAINED)) {
                fail_msg("%s: %.17g, not %g", t->name, got[cell][c], want);
            }
            frequencies[c] = 1000.0 * want;
        }
        assert_int_equal(fghm_focal_best_constant_softmax(focal, CLASSES, frequencies,
                                                          t->class_gamma, weights, best),
                         FGHM_OK);
        for (size_t c = 1; c < CLASSES; c++) {
            const double want = seen[cell][c] - seen[cell][0];
            if (!(fabs(best[c] - best[0] - want) <= TRAINED)) {
                fail_msg("%s: constant %.17g, trained %.17g", t->name, best[c] - best[0], want);
            }
        }
    }
    fghm_focal_destroy(focal);
}

static void check_sigmoid_training(const struct training *t, const double x[CELLS][CLASSES]) {
    fghm_focal *const focal = handle_of_training(t);
    for (size_t c = 0; c < CLASSES; c++) {
        if (t->class_alpha != NULL) {
            assert_int_equal(fghm_focal_set_alpha(focal, t->class_alpha[c]), FGHM_OK);
        }
        if (t->class_gamma != NULL) {
            assert_int_equal(fghm_focal_set_gamma(focal, t->class_gamma[c]), FGHM_OK);
        }
        for (size_t cell = 0; cell < CELLS; cell++) {
            const double eta = truth[cell][c];
            double got, best;
            assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, &x[cell][c], &got), FGHM_OK);
            assert_int_equal(fghm_focal_best_constant(focal, 10.0 * eta, 10.0 * (1.0 - eta), &best),
                             FGHM_OK);
            if (!(fabs(got - eta) <= TRAINED && fabs(best - x[cell][c]) <= TRAINED)) {
                fail_msg("%s: %.17g, not %g; constant %.17g, trained %.17g", t->name, got, eta,
                         best, x[cell][c]);
            }
        }
    }
    fghm_focal_destroy(focal);
}

static void training_comes_to_what_is_calibrated(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(trainings); k++) {
        const struct training *const t = &trainings[k];
        double x[CELLS][CLASSES] = {{0.0}};
        train(t, x);
        if (t->activation == FGHM_SOFTMAX) {
            check_softmax_training(t, (const double(*)[CLASSES])x);
        } else {
            check_sigmoid_training(t, (const double(*)[CLASSES])x);
        }
    }
}

/* -------------------------------------------------------------------------
 * Constants. */

/* Brought back, the frequencies: in wide arithmetic, at the logits as they were returned. */
static void best_constants_give_the_frequencies(void **state) {
    const size_t shapes[] = {1, 2, 3, 10};
    const double gammas[] = {0.0, 0.5, 2.0, 64.0};
    struct random r = random_for(261);
    double worst = 0.0;
    (void)state;
    for (int k = 0; k < 60; k++) {
        const size_t classes = shapes[random_below(&r, 4)];
        double frequencies[10], best[10], own_gammas[10], own_weights[10], total = 0.0;
        mpfr_t eta[10], wide[10];
        const double span = k % 3 == 0 ? 1e150 : 1e4;
        for (size_t c = 0; c < classes; c++) {
            frequencies[c] = fabs(random_log_uniform(&r, 1.0 / span, span));
            own_gammas[c] = gammas[random_below(&r, 4)];
            own_weights[c] = fabs(random_log_uniform(&r, 1e-12, 1e12));
            if (k % 10 == 8) { /* not the most frequent class has the largest p, which is near 1 */
                frequencies[c] = 1.0 / (double)(c + 1);
                own_weights[c] = c == 1 ? 0x1p40 : 0x1p-80;
            }
            total += frequencies[c];
            mpfr_inits2(WIDE_BITS, eta[c], wide[c], (mpfr_ptr)0);
        }
        const struct calibrated_setting s = {.gamma = gammas[random_below(&r, 4)],
                                             .detached = k % 5 == 0,
                                             .gammas = k % 2 ? own_gammas : NULL,
                                             .weights =
                                                 k % 4 < 2 || k % 10 == 8 ? own_weights : NULL};
        fghm_focal *const focal = handle_of(&s);
        assert_int_equal(fghm_focal_best_constant_softmax(focal, classes, frequencies, s.gammas,
                                                          s.weights, best),
                         FGHM_OK);
        double farthest = 0.0;
        for (size_t c = 0; c < classes; c++) {
            mpfr_set_d(wide[c], best[c], MPFR_RNDN);
            farthest = fmax(farthest, fabs(best[c]));
        }
        if (classes > 1) {
            calibrated_row(eta, &s, (const mpfr_t *)wide, NULL, classes);
        }
        for (size_t c = 0; c < classes; c++) {
            const double want = frequencies[c] / total;
            const double gap =
                classes == 1 ? fabs(best[c]) : fabs(mpfr_get_d(eta[c], MPFR_RNDN) / want - 1.0);
            const double bound = 0x1p-48 * (1.0 + farthest) * (1.0 + calibrated_gamma(&s, classes));
            worst = fmax(worst, gap / bound);
            if (!(gap <= bound)) {
                fail_msg("gamma %g, %zu classes, class %zu: %.17g, off by %g of %g", s.gamma,
                         classes, c, best[c], gap, bound);
            }
            mpfr_clears(eta[c], wide[c], (mpfr_ptr)0);
        }
        fghm_focal_destroy(focal);
    }
    printf("  best constants of softmax, largest error %.2f of the bound\n", worst);
}

/* Large ratios, and one class. */
static void best_constants_of_extremes(void **state) {
    const double ends[] = {5e-324, DBL_MIN, 1.0, DBL_MAX};
    const double gammas[] = {0.0, 1e-300, 2.0, 64.0};
    (void)state;
    for (size_t k = 0; k < 64; k++) {
        const double frequencies[] = {ends[k % 4], ends[k / 4 % 4], 1.0};
        const double weights[] = {0x1p-80, 1.0, 0x1p40};
        const struct calibrated_setting s = {.gamma = gammas[k / 16]};
        fghm_focal *const focal = handle_of(&s);
        double best[3];
        errno = 4711;
        feclearexcept(FE_ALL_EXCEPT);
        assert_int_equal(
            fghm_focal_best_constant_softmax(focal, 3, frequencies, NULL, weights, best), FGHM_OK);
        assert_int_equal(errno, 4711);
        assert_int_equal(fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW), 0);
        for (size_t c = 0; c < 3; c++) {
            assert_true(best[c] <= 0.0 && best[c] > -2048.0);
        }
        fghm_focal_destroy(focal);
    }
}

/* -------------------------------------------------------------------------
 * Ends, places and errors. */

static void softmax_ends(void **state) {
    const struct dtype *d = *state;
    const double inf = INFINITY, most = d->size == sizeof(float) ? (double)FLT_MAX : DBL_MAX;
    const struct {
        double x[3], eta[3];
    } rows[] = {
        {{0.0, inf, 5.0}, {0.0, 1.0, 0.0}},     {{-inf, 2.0, 2.0}, {0.0, 0.5, 0.5}},
        {{-inf, -inf, -7.0}, {0.0, 0.0, 1.0}},  {{most, -most, most}, {0.5, 0.0, 0.5}},
        {{-most, -most, 0.0}, {0.0, 0.0, 1.0}}, {{inf, 1.0, inf}, {NAN, NAN, NAN}},
        {{-inf, -inf, -inf}, {NAN, NAN, NAN}},  {{NAN, inf, 0.0}, {NAN, NAN, NAN}},
        {{1.0, 2.0, NAN}, {NAN, NAN, NAN}},     {{0.0, inf, -inf}, {0.0, 1.0, 0.0}},
    };
    const struct calibrated_setting settings[] = {
        {.gamma = 2.0}, {.gamma = 64.0, .detached = true}, {.gamma = 0.0}};
    for (size_t k = 0; k < SUITE_COUNT(settings) * SUITE_COUNT(rows); k++) {
        const size_t row = k % SUITE_COUNT(rows);
        fghm_focal *const focal = handle_of(&settings[k / SUITE_COUNT(rows)]);
        void *const x = dtype_array(d, 3);
        for (size_t c = 0; c < 3; c++) {
            d->put(x, c, rows[row].x[c]);
        }
        assert_int_equal(calibrate(d, focal, NULL, 1, 3, x, &settings[0], x), FGHM_OK);
        for (size_t c = 0; c < 3; c++) {
            const double got = d->get(x, c), want = rows[row].eta[c];
            if (!(isnan(want) ? isnan(got) : got == want)) {
                fail_msg("row %zu class %zu: %g, not %g", row, c, got, want);
            }
        }
        d->put(x, 0, -3.0);
        assert_int_equal(calibrate(d, focal, NULL, 1, 1, x, &settings[0], x), FGHM_OK);
        assert_true(d->get(x, 0) == 1.0);
        free(x);
        fghm_focal_destroy(focal);
    }
}

/* Two classes are one logit, their difference; without gamma it is the softmax. */
static void softmax_of_two_is_the_sigmoid(void **state) {
    const double gammas[] = {0.0, 0.5, 2.0, 20.0};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(gammas); k++) {
        const struct calibrated_setting s = {.gamma = gammas[k]};
        fghm_focal *const focal = handle_of(&s);
        for (double x = -30.0; x <= 30.0; x += 0.375) {
            const double row[] = {x + 2.0, 2.0};
            double both[2], one;
            assert_int_equal(
                fghm_focal_calibrate_softmax_f64(focal, NULL, 1, 2, row, NULL, NULL, both),
                FGHM_OK);
            assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, &x, &one), FGHM_OK);
            assert_true(fabs(both[0] - one) <= 0x1p-52 * (16.0 + s.gamma) * one);
        }
        fghm_focal_destroy(focal);
    }
}

/* The pool changes no bit, nor does the place, nor do the rows beside. */
static void softmax_of_many(void **state) {
    const size_t shapes[][2] = {{3001, 7}, {301, 256}, {57, 600}};
    const struct dtype *d = *state;
    const struct calibrated_setting s = {.gamma = 1.7};
    struct random r = random_for(262);
    fghm_focal *const focal = handle_of(&s);
    fghm_pool *const pool = pool_of(3);
    for (size_t k = 0; k < SUITE_COUNT(shapes); k++) {
        const size_t samples = shapes[k][0], classes = shapes[k][1], n = samples * classes;
        void *const x = dtype_array(d, n + 1), *const want = dtype_array(d, n),
                    *const got = dtype_array(d, n);
        for (size_t i = 0; i < n + 1; i++) {
            d->put(x, i, i % 997 ? 8.0 * random_normal(&r) : d->any(&r));
        }
        for (size_t i = 0; i < samples; i++) {
            assert_int_equal(calibrate(d, focal, NULL, 1, classes, dtype_at(d, x, i * classes), &s,
                                       dtype_at(d, want, i * classes)),
                             FGHM_OK);
        }
        errno = 4711;
        for (int form = 0; form < 3; form++) {
            fghm_pool *const used = form == 0 ? NULL : pool;
            void *const to = form == 2 ? x : got;
            assert_int_equal(calibrate(d, focal, used, samples, classes, x, &s, dtype_at(d, x, 1)),
                             FGHM_ERROR_ALIASING);
            assert_int_equal(calibrate(d, focal, used, samples, classes, dtype_at(d, x, 1), &s, x),
                             FGHM_ERROR_ALIASING);
            assert_int_equal(calibrate(d, focal, used, samples, classes, x, &s, to), FGHM_OK);
            assert_int_equal(dtype_first_difference(d, to, want, n), n);
        }
        assert_int_equal(errno, 4711);
        free(x);
        free(want);
        free(got);
    }
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
}

/* The same error of all three calls, after which nothing has been written. */
static void both_fail(const fghm_focal *focal, size_t classes, const double *gammas,
                      const double *weights, fghm_status status) {
    const double x[] = {1.0, 2.0};
    const float x_f32[] = {1.0f, 2.0f};
    double to[] = {-7.0, -7.0};
    float to_f32[] = {-7.0f, -7.0f};
    assert_int_equal(
        fghm_focal_calibrate_softmax_f32(focal, NULL, 1, classes, x_f32, gammas, weights, to_f32),
        status);
    assert_int_equal(
        fghm_focal_calibrate_softmax_f64(focal, NULL, 1, classes, x, gammas, weights, to), status);
    assert_int_equal(fghm_focal_best_constant_softmax(focal, classes, x, gammas, weights, to),
                     status);
    if (status != FGHM_OK) {
        assert_true(to[0] == -7.0 && to[1] == -7.0 && to_f32[0] == -7.0f && to_f32[1] == -7.0f);
    }
}

static void softmax_errors(void **state) {
    const double good[] = {1.0, 1.0}, bad_gammas[] = {-1.0, -0x1p-1074, 64.5, (double)NAN},
                 bad_weights[] = {0.0, 0x1p-81, 0x1.8p40, -1.0, (double)NAN, (double)INFINITY};
    double numbers[8] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0};
    fghm_focal *focal = NULL;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    both_fail(focal, 2, NULL, NULL, FGHM_OK); /* the alpha of a new handle is none */
    both_fail(NULL, 2, NULL, NULL, FGHM_ERROR_NULL_HANDLE);
    both_fail(focal, 0, NULL, NULL, FGHM_ERROR_RANGE);
    both_fail(focal, ((size_t)1 << 24) + 1, NULL, NULL, FGHM_ERROR_SIZE);
    for (size_t k = 0; k < SUITE_COUNT(bad_gammas); k++) {
        both_fail(focal, 2, (const double[]){1.0, bad_gammas[k]}, NULL, FGHM_ERROR_RANGE);
    }
    for (size_t k = 0; k < SUITE_COUNT(bad_weights); k++) {
        both_fail(focal, 2, NULL, (const double[]){1.0, bad_weights[k]}, FGHM_ERROR_RANGE);
        if (k != 1 && k != 2) {
            assert_int_equal(fghm_focal_best_constant_softmax(focal, 2,
                                                              (const double[]){1.0, bad_weights[k]},
                                                              NULL, NULL, numbers),
                             FGHM_ERROR_RANGE);
        }
    }
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, SIZE_MAX / 16, 2, numbers, NULL,
                                                      NULL, numbers),
                     FGHM_ERROR_SIZE);
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, 1, 2, NULL, NULL, NULL, numbers),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, 1, 2, numbers, NULL, NULL, NULL),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, 0, 2, NULL, NULL, NULL, NULL),
                     FGHM_OK);
    assert_int_equal(fghm_focal_calibrate_softmax_f64(focal, NULL, 2, 2, numbers, numbers + 5, NULL,
                                                      numbers + 4),
                     FGHM_ERROR_ALIASING);
    assert_int_equal(
        fghm_focal_calibrate_softmax_f64(focal, NULL, 2, 2, numbers, NULL, numbers + 3, numbers),
        FGHM_ERROR_ALIASING);
    assert_int_equal(fghm_focal_best_constant_softmax(focal, 2, numbers, NULL, NULL, numbers),
                     FGHM_ERROR_ALIASING);
    assert_int_equal(fghm_focal_best_constant_softmax(focal, 2, NULL, NULL, NULL, numbers),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_best_constant_softmax(focal, 2, numbers, NULL, NULL, NULL),
                     FGHM_ERROR_NULL_POINTER);
    /* Settings. */
    assert_int_equal(fghm_focal_set_alpha(focal, 0.5), FGHM_OK);
    both_fail(focal, 2, NULL, NULL, FGHM_ERROR_COMBINATION);
    both_fail(focal, 2, NULL, good, FGHM_OK);
    assert_int_equal(fghm_focal_clear_alpha(focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_positive_weight(focal, 2.0), FGHM_OK);
    both_fail(focal, 2, NULL, good, FGHM_ERROR_COMBINATION);
    assert_int_equal(fghm_focal_clear_positive_weight(focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_margin(focal, 0.05), FGHM_OK);
    both_fail(focal, 2, NULL, good, FGHM_ERROR_COMBINATION);
    assert_int_equal(fghm_focal_set_margin(focal, 0.0), FGHM_OK);
    assert_int_equal(fghm_focal_set_negative_gamma(focal, 4.0), FGHM_OK);
    both_fail(focal, 2, good, good, FGHM_ERROR_COMBINATION);
    assert_int_equal(fghm_focal_clear_negative_gamma(focal), FGHM_OK);
    for (fghm_focal_rule rule = FGHM_FOCAL_RULE_LINEAR; rule <= FGHM_FOCAL_RULE_HEATMAP; rule++) {
        const bool has = rule <= FGHM_FOCAL_RULE_QUALITY;
        assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
        both_fail(focal, 2, NULL, NULL, has ? FGHM_OK : FGHM_ERROR_COMBINATION);
    }
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    static const struct suite_test tests[] = {
        {"softmax_follows_its_formula", softmax_follows_its_formula, 1},
        {"training_comes_to_what_is_calibrated", training_comes_to_what_is_calibrated, 0},
        {"best_constants_give_the_frequencies", best_constants_give_the_frequencies, 0},
        {"best_constants_of_extremes", best_constants_of_extremes, 0},
        {"softmax_ends", softmax_ends, 1},
        {"softmax_of_two_is_the_sigmoid", softmax_of_two_is_the_sigmoid, 0},
        {"softmax_of_many", softmax_of_many, 1},
        {"softmax_errors", softmax_errors, 0},
    };
    return suite_run(argument_count, arguments, "test_calibration", tests, SUITE_COUNT(tests));
}
