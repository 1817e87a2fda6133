/* SPDX-License-Identifier: MIT */
/* Calibrated probabilities and best constants, of sigmoid and of softmax. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "calibrated.h"
#include "climb.h"
#include "suite.h"

/* Of a call. */
#define LOGITS 64
#define ROWS 16

/* Sigmoid -------------------------------------------------------------------------- */

static void draw_logit(const struct slope *slope, struct random *r, double *numbers) {
    const double margin = slope->of.loss.margin;
    numbers[0] = random_below(r, 2) == 0 ? random_log_uniform(r, 0x1p-30, 80.0)
                                         : random_uniform(r, -8.0, 8.0);
    if (margin > 0.0) {
        numbers[0] = log(margin / (1.0 - margin)) + fabs(numbers[0]);
    }
}

static bool measure_logits(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    const struct dtype *const d = slope->d;
    const bool is_double = d->size == sizeof(double);
    void *const logits = dtype_array(d, n), *const got = dtype_array(d, n);
    fghm_focal *const focal = climb_handle(slope);
    mpfr_t x, eta;
    mpfr_inits2(WIDE_BITS, x, eta, (mpfr_ptr)0);
    for (size_t i = 0; i < n; i++) {
        d->put(logits, i, points[i][0]);
    }
    const fghm_status status = is_double ? fghm_focal_calibrate_f64(focal, NULL, n, logits, got)
                                         : fghm_focal_calibrate_f32(focal, NULL, n, logits, got);
    for (size_t i = 0; status == FGHM_OK && i < n; i++) {
        mpfr_set_d(x, points[i][0], MPFR_RNDN);
        calibrated(eta, &slope->of.loss, x);
        if (climb_is_normal(slope, eta)) {
            climb_keep(slope, 0, wide_ulps_scaled(d->format, d->get(got, i), eta, eta),
                       promised_calibrated(&slope->of.loss, is_double, points[i][0]), points[i]);
        }
    }
    mpfr_clears(x, eta, (mpfr_ptr)0);
    fghm_focal_destroy(focal);
    free(logits);
    free(got);
    return status == FGHM_OK;
}

static const struct {
    fghm_focal_rule rule;
    const char *name;
    double margin;
} rules[] = {
    {FGHM_FOCAL_RULE_LINEAR, "linear", 0.0},
    {FGHM_FOCAL_RULE_STAR, "star", 0.0},
    {FGHM_FOCAL_RULE_LINEAR, "margin", 0.05},
    {FGHM_FOCAL_RULE_LINEAR, "margin_0.7", 0.7},
};

static const struct {
    double positive, negative;
} gammas[] = {{0, 0}, {0.5, 0.5}, {1, 1}, {2, 2}, {5, 5}, {1.7, 1.7}, {64, 64}, {1, 4}, {64, 0}};

static void list_sigmoid(const struct kind *kind, const struct dtype *d, size_t numbers) {
    static const double alphas[] = {WIDE_ALPHA_OFF, 0.868};
    const size_t all = SUITE_COUNT(rules) * 2 * SUITE_COUNT(gammas) * SUITE_COUNT(alphas);
    for (size_t k = 0; k < all; k++) {
        size_t rest = k;
        struct slope slope = {.kind = kind, .d = d, .numbers = numbers, .unbounded = numbers};
        struct reference_loss *const loss = &slope.of.loss;
        char alpha[16] = "off";
        loss->alpha = alphas[rest % SUITE_COUNT(alphas)];
        rest /= SUITE_COUNT(alphas);
        loss->gamma = gammas[rest % SUITE_COUNT(gammas)].positive;
        loss->negative_gamma = gammas[rest % SUITE_COUNT(gammas)].negative;
        rest /= SUITE_COUNT(gammas);
        loss->detached = rest % 2;
        loss->rule = rules[rest / 2].rule;
        loss->margin = rules[rest / 2].margin;
        loss->beta = 4.0;
        if (loss->alpha != WIDE_ALPHA_OFF) {
            snprintf(alpha, sizeof alpha, "%g", loss->alpha);
        }
        if (loss->rule != FGHM_FOCAL_RULE_STAR ||
            (loss->gamma > 0.0 && loss->gamma == loss->negative_gamma && !loss->detached)) {
            climb_add(&slope, "%s %s %s %s %g %g %s", kind->name, rules[rest / 2].name,
                      loss->detached ? "detached" : "exact", d->name, loss->gamma,
                      loss->negative_gamma, alpha);
        }
    }
}

/* Softmax -------------------------------------------------------------------------- */

/* Of classes; those behind the first have them again. */
static const double own_gammas[ROW_NUMBERS] = {2.0, 0.0, 3.5, 0.5, 64.0, 1.7, 5.0, 1.0},
                    own_weights[ROW_NUMBERS] = {1.0, 0x1p40, 0x1p-80, 3.0, 0.5, 1e-3, 700.0, 1.0};

static struct calibrated_setting setting_of(const struct slope *slope) {
    return (struct calibrated_setting){.gamma = slope->of.loss.gamma,
                                       .detached = slope->of.loss.detached,
                                       .gammas = slope->own ? own_gammas : NULL,
                                       .weights = slope->own ? own_weights : NULL};
}

/* The largest error of a row's classes.  Of those with the same logit the first is looked at. */
static void compare_row(struct slope *slope, const void *got, const double *point) {
    const struct calibrated_setting s = setting_of(slope);
    const size_t n = climb_row_numbers(slope->classes);
    const bool is_double = slope->d->size == sizeof(double);
    mpfr_t x[ROW_NUMBERS], eta[ROW_NUMBERS];
    size_t counts[ROW_NUMBERS];
    double worst = 0.0;
    climb_row_counts(slope->classes, counts);
    for (size_t k = 0; k < n; k++) {
        mpfr_inits2(WIDE_BITS, x[k], eta[k], (mpfr_ptr)0);
        mpfr_set_d(x[k], point[k], MPFR_RNDN);
    }
    calibrated_row(eta, &s, (const mpfr_t *)x, counts, n);
    for (size_t k = 0; k < n; k++) {
        if (climb_is_normal(slope, eta[k])) {
            worst = fmax(worst,
                         wide_ulps_scaled(slope->d->format, slope->d->get(got, k), eta[k], eta[k]));
        }
        mpfr_clears(x[k], eta[k], (mpfr_ptr)0);
    }
    climb_keep(slope, 0, worst, promised_calibrated_row(calibrated_gamma(&s, n), is_double), point);
}

static bool measure_rows(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    const struct dtype *const d = slope->d;
    const size_t classes = slope->classes;
    void *const logits = dtype_array(d, n * classes), *const got = dtype_array(d, n * classes);
    double *const both = calloc(2 * classes, sizeof *both);
    fghm_focal *const focal = climb_handle(slope);
    if (both == NULL) {
        abort();
    }
    for (size_t c = 0; c < classes; c++) {
        const size_t at = climb_row_number(classes, c);
        both[c] = own_gammas[at];
        both[classes + c] = own_weights[at];
        for (size_t row = 0; row < n; row++) {
            d->put(logits, row * classes + c, points[row][at]);
        }
    }
    const double *const g = slope->own ? both : NULL, *const w = slope->own ? both + classes : NULL;
    const fghm_status status =
        d->size == sizeof(double)
            ? fghm_focal_calibrate_softmax_f64(focal, NULL, n, classes, logits, g, w, got)
            : fghm_focal_calibrate_softmax_f32(focal, NULL, n, classes, logits, g, w, got);
    for (size_t row = 0; status == FGHM_OK && row < n; row++) {
        compare_row(slope, dtype_at(d, got, row * classes), points[row]);
    }
    fghm_focal_destroy(focal);
    free(logits);
    free(got);
    free(both);
    return status == FGHM_OK;
}

static void list_softmax(const struct kind *kind, const struct dtype *d, const size_t *class_counts,
                         size_t count) {
    static const double gammas_of_rows[] = {0.0, 0.5, 1.0, 2.0, 5.0, 1.7, 64.0};
    const size_t all = SUITE_COUNT(gammas_of_rows) + 1;
    for (size_t k = 0; k < 2 * all * count; k++) {
        struct slope slope = {.kind = kind, .d = d};
        const size_t g = k / count % all;
        slope.classes = class_counts[k % count];
        slope.own = g + 1 == all;
        slope.of.loss =
            (struct reference_loss){.gamma = slope.own ? 0.0 : gammas_of_rows[g],
                                    .negative_gamma = slope.own ? 0.0 : gammas_of_rows[g],
                                    .alpha = WIDE_ALPHA_OFF,
                                    .detached = k / count / all != 0,
                                    .beta = 4.0};
        slope.numbers = slope.unbounded = climb_row_numbers(slope.classes);
        char gamma[16] = "own";
        if (!slope.own) {
            snprintf(gamma, sizeof gamma, "%g", slope.of.loss.gamma);
        }
        climb_add(&slope, "%s %s %s %s %zu", kind->name,
                  slope.of.loss.detached ? "detached" : "exact", d->name, gamma, slope.classes);
    }
}

void climb_list_calibration(void) {
    static const struct kind sigmoid = {.name = "calibrated sigmoid",
                                        .outputs = {"probability"},
                                        .points = LOGITS,
                                        .draw = draw_logit,
                                        .measure = measure_logits};
    static const struct kind softmax = {.name = "calibrated softmax",
                                        .outputs = {"probability"},
                                        .points = ROWS,
                                        .draw = climb_draw_row,
                                        .measure = measure_rows};
    static const size_t class_counts[] = {2, 3, 10, 3000};
    for (size_t k = 0; k < DTYPE_COUNT; k++) {
        list_sigmoid(&sigmoid, &dtypes[k], 1);
    }
    for (size_t k = 0; k < DTYPE_COUNT; k++) {
        list_softmax(&softmax, &dtypes[k], class_counts, SUITE_COUNT(class_counts));
    }
}

/* Constants ------------------------------------------------------------------------ */

/* Of a call. */
#define CONSTANTS 8

static void draw_frequencies(const struct slope *slope, struct random *r, double *numbers) {
    const double span = random_below(r, 4) == 0 ? 1e150 : 1e4;
    for (size_t k = 0; k < slope->numbers; k++) {
        numbers[k] = fabs(random_log_uniform(r, 1.0 / span, span));
    }
}

/* How far a constant's log odds are above those that it has to have, and their derivative. */
static void gap_at(mpfr_t gap, mpfr_t steepness, const struct reference_loss *loss, mpfr_srcptr x,
                   const double *numbers) {
    mpfr_t beside;
    mpfr_init2(beside, WIDE_BITS);
    mpfr_set_ui_2exp(beside, 1, -100, MPFR_RNDN);
    mpfr_add(beside, beside, x, MPFR_RNDN);
    constant_gap(gap, loss, x, numbers[0], numbers[1]);
    constant_gap(steepness, loss, beside, numbers[0], numbers[1]);
    mpfr_sub(steepness, steepness, gap, MPFR_RNDN);
    mpfr_mul_2ui(steepness, steepness, 100, MPFR_RNDN);
    mpfr_clear(beside);
}

/* Without a margin: how far the constant is from the root. */
static void compare_root(struct slope *slope, double constant, const double *point) {
    const struct reference_loss *const loss = &slope->of.loss;
    mpfr_t x, gap, steepness;
    mpfr_inits2(WIDE_BITS, x, gap, steepness, (mpfr_ptr)0);
    mpfr_set_d(x, constant, MPFR_RNDN);
    for (int step = 0; step < 2; step++) { /* Newton's */
        gap_at(gap, steepness, loss, x, point);
        mpfr_div(gap, gap, steepness, MPFR_RNDN);
        mpfr_sub(x, x, gap, MPFR_RNDN);
    }
    mpfr_sub_d(x, x, constant, MPFR_RNDN);
    climb_keep(slope, 0, fabs(mpfr_get_d(x, MPFR_RNDA)) * 0x1p48,
               (1.0 + fabs(loss->gamma - loss->negative_gamma) / 8.0) * (1.0 + fabs(constant)),
               point);
    mpfr_clears(x, gap, steepness, (mpfr_ptr)0);
}

/* With one: how far the odds are from those that are given, in units of 2^-53, where the constant
 * may be off by an ulp. */
static void compare_odds(struct slope *slope, double constant, const double *point) {
    const struct reference_loss *const loss = &slope->of.loss;
    const double p = 1.0 / (1.0 + exp(-constant));
    mpfr_t x, gap, steepness;
    if (fabs(p - loss->margin) < 0x1p-45 * p) {
        return; /* so near the margin that the odds can be anything */
    }
    mpfr_inits2(WIDE_BITS, x, gap, steepness, (mpfr_ptr)0);
    mpfr_set_d(x, constant, MPFR_RNDN);
    gap_at(gap, steepness, loss, x, point);
    const double ulp = slope->d->next(fabs(constant), (double)INFINITY) - fabs(constant);
    climb_keep(slope, 0, fabs(mpfr_get_d(gap, MPFR_RNDA)) * 0x1p53,
               promised_calibrated(loss, true, constant) +
                   ulp * 0x1p53 * mpfr_get_d(steepness, MPFR_RNDN),
               point);
    mpfr_clears(x, gap, steepness, (mpfr_ptr)0);
}

static bool measure_constants(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    const struct reference_loss *const loss = &slope->of.loss;
    fghm_focal *const focal = climb_handle(slope);
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        double best = 0.0;
        const fghm_status status =
            fghm_focal_best_constant(focal, points[i][0], points[i][1], &best);
        good = status == FGHM_OK || (loss->margin > 0.0 && status == FGHM_ERROR_RANGE);
        if (status == FGHM_OK) {
            (loss->margin > 0.0 ? compare_odds : compare_root)(slope, best, points[i]);
        }
    }
    fghm_focal_destroy(focal);
    return good;
}

/* The frequencies that the logits are best for, relative to those that are given. */
static void compare_frequencies(struct slope *slope, const double *best, const double *point) {
    const struct calibrated_setting s = setting_of(slope);
    mpfr_t x[ROW_NUMBERS], eta[ROW_NUMBERS], total;
    double farthest = 0.0, worst = 0.0;
    mpfr_init2(total, WIDE_BITS);
    mpfr_set_zero(total, 1);
    for (size_t c = 0; c < slope->classes; c++) {
        mpfr_inits2(WIDE_BITS, x[c], eta[c], (mpfr_ptr)0);
        mpfr_set_d(x[c], best[c], MPFR_RNDN);
        mpfr_add_d(total, total, point[c], MPFR_RNDN);
        farthest = fmax(farthest, fabs(best[c]));
    }
    calibrated_row(eta, &s, (const mpfr_t *)x, NULL, slope->classes);
    for (size_t c = 0; c < slope->classes; c++) {
        mpfr_mul(eta[c], eta[c], total, MPFR_RNDN);
        mpfr_div_d(eta[c], eta[c], point[c], MPFR_RNDN);
        mpfr_sub_ui(eta[c], eta[c], 1, MPFR_RNDN);
        worst = fmax(worst, fabs(mpfr_get_d(eta[c], MPFR_RNDA)));
        mpfr_clears(x[c], eta[c], (mpfr_ptr)0);
    }
    mpfr_clear(total);
    climb_keep(slope, 0, worst * 0x1p48,
               (1.0 + calibrated_gamma(&s, slope->classes)) * (1.0 + farthest), point);
}

static bool measure_frequencies(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    fghm_focal *const focal = climb_handle(slope);
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        double best[ROW_NUMBERS];
        good = fghm_focal_best_constant_softmax(focal, slope->classes, points[i],
                                                slope->own ? own_gammas : NULL,
                                                slope->own ? own_weights : NULL, best) == FGHM_OK;
        if (good) {
            compare_frequencies(slope, best, points[i]);
        }
    }
    fghm_focal_destroy(focal);
    return good;
}

void climb_list_constants(void) {
    static const struct kind sigmoid = {.name = "constant sigmoid",
                                        .outputs = {"constant"},
                                        .points = CONSTANTS,
                                        .draw = draw_frequencies,
                                        .measure = measure_constants};
    static const struct kind softmax = {.name = "constant softmax",
                                        .outputs = {"frequency"},
                                        .points = CONSTANTS,
                                        .draw = draw_frequencies,
                                        .measure = measure_frequencies};
    static const size_t class_counts[] = {2, 3, ROW_NUMBERS};
    list_sigmoid(&sigmoid, &dtypes[1], 2);
    list_softmax(&softmax, &dtypes[1], class_counts, SUITE_COUNT(class_counts));
}
