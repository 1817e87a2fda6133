/* SPDX-License-Identifier: MIT */
/* Rows of softmax: with labels, of which each is class 0; with targets of classes; and with labels
 * that are smoothed. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "climb.h"
#include "soft_reference.h"
#include "suite.h"

/* Of a call. */
#define ROWS 16

/* Rows with targets of all classes, of two (mixup), of one, and of any sum. */
static void draw_targets(const struct slope *slope, struct random *r, double *targets) {
    const size_t kind = random_below(r, 4), n = climb_row_numbers(slope->classes);
    double sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        targets[k] = kind == 3 ? random_uniform(r, 0.0, 1.0) : -log(random_uniform(r, 1e-9, 1.0));
        sum += targets[k] * (k < 2 ? 1.0 : (double)(slope->classes - 2) / (double)(n - 2));
    }
    for (size_t k = 0; k < n && kind != 3; k++) {
        targets[k] = kind < 2 ? 0.0 : targets[k] / sum;
    }
    if (kind < 2) {
        const double part = kind == 0 ? 1.0 : random_uniform(r, 0.0, 1.0);
        targets[0] = part;
        targets[1] = 1.0 - part;
    }
}

static void draw(const struct slope *slope, struct random *r, double *numbers) {
    climb_draw_row(slope, r, numbers);
    if (slope->form == OF_TARGETS) {
        draw_targets(slope, r, numbers + climb_row_numbers(slope->classes));
    }
}

/* Errors -------------------------------------------------------------------------- */

/* Rows as they are computed, and their results. */
struct rows {
    size_t n, classes;
    const struct dtype *d;
    void *logits, *targets, *out[OUTPUTS];
};

static struct rows rows_new(const struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    const size_t all = n * slope->classes, numbers = climb_row_numbers(slope->classes);
    struct rows rows = {.n = n,
                        .classes = slope->classes,
                        .d = slope->d,
                        .logits = dtype_array(slope->d, all),
                        .targets = dtype_array(slope->d, all)};
    for (size_t k = 0; k < all; k++) {
        const size_t at = climb_row_number(rows.classes, k % rows.classes);
        const double *const point = points[k / rows.classes];
        rows.d->put(rows.logits, k, point[at]);
        rows.d->put(rows.targets, k,
                    slope->form == OF_TARGETS ? point[numbers + at] : (double)(at == 0));
    }
    for (int output = 0; output < OUTPUTS; output++) {
        rows.out[output] = dtype_array(rows.d, all);
    }
    return rows;
}

static void rows_free(struct rows *rows) {
    free(rows->logits);
    free(rows->targets);
    for (int output = 0; output < OUTPUTS; output++) {
        free(rows->out[output]);
    }
}

static bool compute(const struct slope *slope, const struct rows *rows) {
    static const int32_t labels[ROWS] = {0};
    fghm_focal *const focal = climb_handle(slope);
    const fghm_dtype dtype = dtype_of(rows->d);
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.shape[0] = (int64_t)rows->n;
    batch.shape[1] = (int64_t)rows->classes;
    batch.class_axis = 1;
    batch.activation = FGHM_SOFTMAX;
    batch.label_smoothing = slope->smoothing;
    batch.logits = (fghm_input){.data = rows->logits, .dtype = dtype};
    batch.targets = (fghm_input){.data = rows->targets, .dtype = dtype};
    if (slope->form != OF_TARGETS) {
        batch.target_form = FGHM_TARGET_LABEL;
        batch.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    }
    batch.element_loss = (fghm_output){.data = rows->out[ELEMENT_LOSS], .dtype = dtype};
    batch.gradient = (fghm_output){.data = rows->out[GRADIENT], .dtype = dtype};
    batch.hessian = (fghm_output){.data = rows->out[HESSIAN], .dtype = dtype};
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, NULL);
    fghm_focal_destroy(focal);
    return status == FGHM_OK;
}

/* The largest error of a row's classes, by its part of the promise. */
struct worst {
    double error[OUTPUTS], promise[OUTPUTS];
};

static void note(const struct slope *slope, struct worst *worst, int output, double got,
                 mpfr_srcptr exact, mpfr_srcptr scale, double promise) {
    if (climb_is_normal(slope, scale)) {
        const double error = wide_ulps_scaled(slope->d->format, got, exact, scale);
        if (error / promise >= worst->error[output] / worst->promise[output]) {
            worst->error[output] = error;
            worst->promise[output] = promise;
        }
    }
}

static void note_class(const struct slope *slope, struct worst *worst, const struct rows *rows,
                       size_t row, size_t c, const struct reference *r,
                       const double promise[OUTPUTS]) {
    const size_t at = row * rows->classes + c;
    if (c == 0) {
        note(slope, worst, ELEMENT_LOSS, rows->d->get(rows->out[ELEMENT_LOSS], row), r->loss,
             r->loss, promise[ELEMENT_LOSS]);
    }
    note(slope, worst, GRADIENT, rows->d->get(rows->out[GRADIENT], at), r->gradient,
         r->gradient_scale, promise[GRADIENT]);
    note(slope, worst, HESSIAN, rows->d->get(rows->out[HESSIAN], at), r->hessian, r->hessian_scale,
         promise[HESSIAN]);
}

/* A row with a label.  Of classes with the same logit the first is looked at. */
static void compare_labels(const struct slope *slope, struct worst *worst, const struct rows *rows,
                           size_t row, const double *logits) {
    const size_t n = climb_row_numbers(slope->classes);
    struct reference own, other;
    size_t counts[ROW_NUMBERS];
    mpfr_t x[ROW_NUMBERS], margin, one, share;
    double largest = -(double)INFINITY;
    mpfr_inits2(WIDE_BITS, margin, one, share, (mpfr_ptr)0);
    reference_init(&own);
    reference_init(&other);
    climb_row_counts(slope->classes, counts);
    for (size_t k = 0; k < n; k++) {
        mpfr_init2(x[k], WIDE_BITS);
        mpfr_set_d(x[k], logits[k], MPFR_RNDN);
        largest = k > 0 ? fmax(largest, logits[k]) : largest;
    }
    reference_margin(margin, (const mpfr_t *)x, counts, n, 0);
    mpfr_set_ui(one, 1, MPFR_RNDN);
    reference_sigmoid(&own, &slope->of.loss, margin, one);
    const double z = mpfr_get_d(margin, MPFR_RNDN);
    for (size_t k = 0; k < n; k++) {
        double more = promised_of_label(slope->of.loss.gamma, z, slope->classes);
        double promise[OUTPUTS];
        if (k > 0) {
            more += promised_of_other(largest - logits[k], slope->classes);
            mpfr_sub(share, x[k], x[0], MPFR_RNDN);
            mpfr_add(share, share, margin, MPFR_RNDN);
            mpfr_exp(share, share, MPFR_RNDN);
            reference_other_class(&other, &own, share);
        }
        for (int output = 0; output < OUTPUTS; output++) {
            promise[output] =
                promised(&slope->of, output, z, 1.0, 0.0) + (output == HESSIAN ? 2.0 : 1.0) * more;
        }
        note_class(slope, worst, rows, row, k, k == 0 ? &own : &other, promise);
    }
    for (size_t k = 0; k < n; k++) {
        mpfr_clear(x[k]);
    }
    mpfr_clears(margin, one, share, (mpfr_ptr)0);
    reference_clear(&own);
    reference_clear(&other);
}

static void compare_targets(const struct slope *slope, struct worst *worst, const struct rows *rows,
                            size_t row) {
    const struct reference_loss *const loss = &slope->of.loss;
    const size_t classes = slope->classes;
    const bool two_gammas = loss->gamma != loss->negative_gamma;
    const double gamma = fmax(loss->gamma, loss->negative_gamma);
    const bool is_double = slope->d->size == sizeof(double);
    double *const logits = calloc(2 * classes, sizeof *logits);
    double largest = -(double)INFINITY, second = largest;
    struct reference r;
    if (logits == NULL) {
        abort();
    }
    double *const targets = logits + classes;
    for (size_t c = 0; c < classes; c++) {
        logits[c] = rows->d->get(rows->logits, row * classes + c);
        targets[c] = rows->d->get(rows->targets, row * classes + c);
        second = fmax(second, fmin(largest, logits[c]));
        largest = fmax(largest, logits[c]);
    }
    soft_smooth(rows->d, slope->smoothing, slope->form == OF_SMOOTHED_LABELS, classes, targets);
    const struct soft_sample sample = {
        .classes = classes,
        .logits = logits,
        .targets = targets,
        .by_class = loss->rule == FGHM_FOCAL_RULE_SPLIT || two_gammas,
        .label = two_gammas ? 0 : SIZE_MAX,
        .gamma = loss->gamma,
        .negative_gamma = loss->negative_gamma,
        .gauss_newton = loss->mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .detached = loss->detached,
    };
    struct soft_wide *const wide = soft_wide_new(&sample);
    reference_init(&r);
    for (size_t c = 0; c < climb_row_numbers(classes); c++) {
        const double bound =
            promised_soft(gamma, classes, largest - second, largest - logits[c], is_double);
        const double promise[OUTPUTS] = {
            promised_soft(gamma, classes, largest - second, 0.0, is_double), bound, 2.0 * bound};
        soft_reference(&r, wide, c);
        note_class(slope, worst, rows, row, c, &r, promise);
    }
    reference_clear(&r);
    soft_wide_free(wide);
    free(logits);
}

/* Whether the digits of the references do for differences from 1. */
static bool is_in_reach(const struct slope *slope, const double *logits) {
    double least = logits[0], most = logits[0];
    for (size_t k = 1; k < climb_row_numbers(slope->classes); k++) {
        least = fmin(least, logits[k]);
        most = fmax(most, logits[k]);
    }
    return most - least < 170.0;
}

static bool measure(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    struct rows rows = rows_new(slope, n, points);
    const bool good = compute(slope, &rows);
    for (size_t row = 0; good && row < n; row++) {
        struct worst worst = {{0.0, 0.0, 0.0}, {1.0, 1.0, 1.0}};
        if (!is_in_reach(slope, points[row])) {
            continue;
        }
        if (slope->form == OF_LABELS) {
            compare_labels(slope, &worst, &rows, row, points[row]);
        } else {
            compare_targets(slope, &worst, &rows, row);
        }
        for (int output = 0; output < OUTPUTS; output++) {
            climb_keep(slope, output, worst.error[output], worst.promise[output], points[row]);
        }
    }
    rows_free(&rows);
    return good;
}

/* Slopes --------------------------------------------------------------------------- */

static const struct {
    enum softmax_form form;
    fghm_focal_rule rule;
    const char *name;
    double smoothing;
} forms[] = {
    {OF_LABELS, FGHM_FOCAL_RULE_LINEAR, "labels linear", 0.0},
    {OF_LABELS, FGHM_FOCAL_RULE_STAR, "labels star", 0.0},
    {OF_TARGETS, FGHM_FOCAL_RULE_LINEAR, "targets linear", 0.0},
    {OF_TARGETS, FGHM_FOCAL_RULE_SPLIT, "targets split", 0.0},
    {OF_SMOOTHED_LABELS, FGHM_FOCAL_RULE_LINEAR, "smoothed linear", 0.1},
    {OF_SMOOTHED_LABELS, FGHM_FOCAL_RULE_SPLIT, "smoothed split", 0.1},
};

static const struct {
    double own, negative;
} gammas[] = {{0, 0}, {0.5, 0.5}, {2, 2}, {5, 5}, {1.7, 1.7}, {10, 10}, {0, 4}, {3, 1}};

static const size_t class_counts[] = {2, 3, 10, 3000};

static bool are_combined(const struct slope *slope) {
    const struct reference_loss *const loss = &slope->of.loss;
    const bool star = loss->rule == FGHM_FOCAL_RULE_STAR;
    const bool two = loss->gamma != loss->negative_gamma;
    const bool plain = loss->mode == FGHM_HESSIAN_EXACT && !loss->detached;
    return !(star && (loss->gamma == 0.0 || loss->detached)) &&
           !(two && slope->form != OF_SMOOTHED_LABELS) &&
           /* The reference takes its time. */
           !(slope->classes > 10 && slope->form != OF_LABELS && !(loss->gamma == 2.0 && plain));
}

void climb_list_softmax(void) {
    static const struct kind kind = {
        .name = "softmax",
        .outputs = {"loss", "gradient", "hessian"},
        .points = ROWS,
        .worth = 0.5, /* their lines are long */
        .draw = draw,
        .measure = measure,
    };
    const size_t all = SUITE_COUNT(forms) * CLIMB_MODES * DTYPE_COUNT * SUITE_COUNT(gammas) *
                       SUITE_COUNT(class_counts);
    for (size_t k = 0; k < all; k++) {
        size_t rest = k;
        const size_t classes = class_counts[rest % SUITE_COUNT(class_counts)];
        rest /= SUITE_COUNT(class_counts);
        const size_t g = rest % SUITE_COUNT(gammas);
        rest /= SUITE_COUNT(gammas);
        const struct dtype *const d = &dtypes[rest % DTYPE_COUNT];
        rest /= DTYPE_COUNT;
        const size_t m = rest % CLIMB_MODES, f = rest / CLIMB_MODES;
        const size_t numbers = climb_row_numbers(classes);
        const struct slope slope = {
            .kind = &kind,
            .of = {.loss = {.rule = forms[f].rule,
                            .gamma = gammas[g].own,
                            .negative_gamma = gammas[g].negative,
                            .alpha = WIDE_ALPHA_OFF,
                            .mode = climb_modes[m].mode,
                            .detached = climb_modes[m].detached,
                            .beta = 4.0},
                   .activation = FGHM_SOFTMAX},
            .form = forms[f].form,
            .smoothing = forms[f].smoothing,
            .classes = classes,
            .d = d,
            .numbers = forms[f].form == OF_TARGETS ? 2 * numbers : numbers,
            .unbounded = numbers,
        };
        if (are_combined(&slope)) {
            climb_add(&slope, "softmax %s %s %s %g %g %zu", forms[f].name, climb_modes[m].name,
                      d->name, gammas[g].own, gammas[g].negative, classes);
        }
    }
}
