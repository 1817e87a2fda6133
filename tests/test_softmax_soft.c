/* SPDX-License-Identifier: MIT */

/* Softmax with soft targets: dense ones and smoothed labels, with the factor of the sample and of
 * each class, against the formulas of focal.h in wide arithmetic. */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/dtype.h"
#include "support/promise.h"
#include "support/report.h"
#include "support/soft_reference.h"
#include "support/strided.h"
#include "support/suite.h"

enum { CLASSES_MAX = 200 };

/* -------------------------------------------------------------------------
 * One sample against the wide reference. */

/* How a sample is to be computed. */
struct form {
    fghm_focal_rule rule;
    double gamma, negative_gamma; /* the same: -1 */
    fghm_hessian_mode mode;
    double floor, hessian_factor;
    bool detached;
    bool labels, of_terms; /* labels are smoothed */
    double smoothing;
};

struct row {
    const struct dtype *d;
    struct form form;
    size_t classes;
    int32_t label;
    void *logits, *targets;
    double *factors; /* of classes, or NULL */
    void *out[OUTPUTS];
};

static struct row row_new(const struct dtype *d, const struct form *form, size_t classes) {
    struct row row = {.d = d, .form = *form, .classes = classes};
    row.logits = dtype_array(d, classes);
    row.targets = dtype_array(d, classes);
    for (int k = 0; k < OUTPUTS; k++) {
        row.out[k] = dtype_array(d, classes);
    }
    return row;
}

static void row_free(struct row *row) {
    free(row->logits);
    free(row->targets);
    free(row->factors);
    for (int k = 0; k < OUTPUTS; k++) {
        free(row->out[k]);
    }
}

static fghm_focal *handle_of(const struct form *form) {
    fghm_focal *focal = focal_handle(form->gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    assert_int_equal(fghm_focal_set_rule(focal, form->rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_mode(focal, form->mode), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_floor(focal, form->floor), FGHM_OK);
    assert_int_equal(fghm_focal_set_detached(focal, form->detached), FGHM_OK);
    if (form->hessian_factor > 0.0) {
        assert_int_equal(fghm_focal_set_hessian_factor(focal, form->hessian_factor), FGHM_OK);
    }
    if (form->negative_gamma >= 0.0) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, form->negative_gamma), FGHM_OK);
    }
    return focal;
}

static fghm_batch batch_of(const struct row *row) {
    fghm_batch b = descriptor_of(1, row->classes, 1);
    const fghm_dtype dtype = dtype_of(row->d);
    b.activation = FGHM_SOFTMAX;
    b.logits = (fghm_input){.data = row->logits, .dtype = dtype};
    b.targets = (fghm_input){.data = row->targets, .dtype = dtype};
    if (row->form.labels) {
        b.target_form = FGHM_TARGET_LABEL;
        b.targets = (fghm_input){.data = &row->label, .dtype = FGHM_I32};
    }
    b.flags = row->form.of_terms ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0;
    b.label_smoothing = row->form.smoothing;
    b.class_weights = row->factors;
    b.element_loss = (fghm_output){.data = row->out[ELEMENT_LOSS], .dtype = dtype};
    b.gradient = (fghm_output){.data = row->out[GRADIENT], .dtype = dtype};
    b.hessian = (fghm_output){.data = row->out[HESSIAN], .dtype = dtype};
    return b;
}

static void row_run(const struct row *row) {
    fghm_focal *const focal = handle_of(&row->form);
    const fghm_batch b = batch_of(row);
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_status status = fghm_focal_batch(focal, NULL, &b, &result);
    if (status != FGHM_OK) {
        fail_msg("%s: %s, %s", fghm_status_string(status), fghm_field_name(result.field),
                 fghm_field_name(result.other_field));
    }
    fghm_focal_destroy(focal);
}

/* The largest errors, as parts of their bounds. */
static double worst[OUTPUTS];

static void print_row(const struct row *row, size_t k) {
    const struct form *const form = &row->form;
    printf("  class %zu of %zu, rule %d gamma %g %g detached %d mode %d labels %d of terms %d "
           "smoothing %g:",
           k, row->classes, form->rule, form->gamma, form->negative_gamma, form->detached,
           form->mode, form->labels, form->of_terms, form->smoothing);
    for (size_t c = 0; c < row->classes && c < 12; c++) {
        printf(" %.9g (%.9g)", row->d->get(row->logits, c), row->d->get(row->targets, c));
    }
    printf("\n");
}

static void check(const struct row *row, size_t k, int output, double got, mpfr_srcptr exact,
                  mpfr_srcptr scale, double bound) {
    const char *const names[] = {"loss", "gradient", "hessian"};
    const struct place place = {.d = row->d,
                                .gamma = row->form.gamma,
                                .alpha = row->form.negative_gamma,
                                .target = row->form.labels ? (double)row->label
                                                           : row->d->get(row->targets, k),
                                .logit = row->d->get(row->logits, k),
                                .output = names[output]};
    const double error = report_check(&place, got, exact, scale, bound);
    worst[output] = fmax(worst[output], error / bound);
    if (error > bound) {
        print_row(row, k);
    }
}

static void apply_mode(const struct form *form, double factor, struct reference *r) {
    if (form->mode == FGHM_HESSIAN_ABSOLUTE) {
        mpfr_abs(r->hessian, r->hessian, MPFR_RNDN);
    }
    if (form->mode == FGHM_HESSIAN_FLOORED && mpfr_cmp_d(r->hessian, form->floor * factor) < 0) {
        mpfr_set_d(r->hessian, form->floor * factor, MPFR_RNDN);
        mpfr_set(r->hessian_scale, r->hessian, MPFR_RNDN);
    }
    if (form->mode == FGHM_HESSIAN_GRADIENT) {
        mpfr_abs(r->hessian, r->gradient, MPFR_RNDN);
        mpfr_set(r->hessian_scale, r->gradient_scale, MPFR_RNDN);
    }
    if (form->hessian_factor > 0.0) {
        mpfr_mul_d(r->hessian, r->hessian, form->hessian_factor, MPFR_RNDN);
        mpfr_mul_d(r->hessian_scale, r->hessian_scale, form->hessian_factor, MPFR_RNDN);
    }
}

/* Every `step`th class and the first and last. */
static void row_check(const struct row *row, size_t step) {
    const struct form *const form = &row->form;
    double *const logits = calloc(3 * row->classes, sizeof *logits);
    double *const targets = logits + row->classes, *const factors = targets + row->classes;
    assert_non_null(logits);
    double largest = -(double)INFINITY, second = largest;
    for (size_t c = 0; c < row->classes; c++) {
        logits[c] = row->d->get(row->logits, c);
        targets[c] =
            form->labels ? (double)(c == (size_t)row->label) : row->d->get(row->targets, c);
        second = fmax(second, fmin(largest, logits[c]));
        largest = fmax(largest, logits[c]);
        factors[c] = row->factors == NULL ? 1.0 : row->factors[c];
    }
    soft_smooth(row->d, form->smoothing, form->labels, row->classes, targets);
    const double gamma = fmax(form->gamma, form->negative_gamma);
    const bool is_double = row->d->size == sizeof(double);
    const bool of_terms = row->factors != NULL && (form->of_terms || !form->labels);
    const bool two_gammas = form->negative_gamma >= 0.0;
    const struct soft_sample sample = {
        .classes = row->classes,
        .logits = logits,
        .targets = targets,
        .factors = of_terms ? factors : NULL,
        .by_class = form->rule == FGHM_FOCAL_RULE_SPLIT || two_gammas,
        .label = two_gammas ? (size_t)row->label : SIZE_MAX,
        .gamma = form->gamma,
        .negative_gamma = form->negative_gamma,
        .gauss_newton = form->mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .detached = form->detached,
    };
    const double factor = of_terms || row->factors == NULL ? 1.0 : factors[row->label];
    struct soft_wide *const wide = soft_wide_new(&sample);
    struct reference r;
    reference_init(&r);
    for (size_t k = 0; k < row->classes;
         k += k + step < row->classes || k + 1 == row->classes ? step : row->classes - 1 - k) {
        soft_reference(&r, wide, k);
        mpfr_ptr const all[] = {r.loss, r.gradient, r.hessian, r.gradient_scale, r.hessian_scale};
        for (int i = 0; i < 5; i++) {
            mpfr_mul_d(all[i], all[i], factor, MPFR_RNDN);
        }
        apply_mode(form, factor, &r);
        const double ahead = row->classes == 1 ? 0.0 : largest - second;
        const double bound =
            promised_soft(gamma, row->classes, ahead, largest - logits[k], is_double);
        if (k == 0) {
            check(row, k, ELEMENT_LOSS, row->d->get(row->out[ELEMENT_LOSS], 0), r.loss, r.loss,
                  promised_soft(gamma, row->classes, ahead, 0.0, is_double));
        }
        check(row, k, GRADIENT, row->d->get(row->out[GRADIENT], k), r.gradient, r.gradient_scale,
              bound);
        check(row, k, HESSIAN, row->d->get(row->out[HESSIAN], k), r.hessian, r.hessian_scale,
              2.0 * bound);
    }
    reference_clear(&r);
    soft_wide_free(wide);
    free(logits);
}

enum kind { NORMAL, SPREAD, CONFIDENT, FRESH, KINDS };

static void fill_logits(struct random *r, struct row *row, enum kind kind) {
    const double widths[] = {[NORMAL] = 1.0, [SPREAD] = 8.0, [CONFIDENT] = 1.0, [FRESH] = 1e-3};
    const double shift = random_below(r, 2) == 0 ? 0.0 : 8.0 * random_normal(r);
    for (size_t c = 0; c < row->classes; c++) {
        row->d->put(row->logits, c, shift + widths[kind] * random_normal(r));
    }
    if (kind == CONFIDENT) {
        row->d->put(row->logits, random_below(r, row->classes),
                    shift + random_uniform(r, 4.0, 60.0));
    }
}

/* Rows that add up to 1, of two classes (mixup), of all, and of any sum. */
static void fill_targets(struct random *r, struct row *row) {
    const size_t kind = random_below(r, 4);
    double sum = 0.0;
    row->label = (int32_t)random_below(r, row->classes);
    for (size_t c = 0; c < row->classes; c++) {
        const double t =
            kind == 3 ? random_uniform(r, 0.0, 1.0) : -log(random_uniform(r, 1e-9, 1.0));
        sum += t;
        row->d->put(row->targets, c, t);
    }
    for (size_t c = 0; c < row->classes && kind != 3; c++) {
        row->d->put(row->targets, c, kind < 2 ? 0.0 : row->d->get(row->targets, c) / sum);
    }
    if (kind < 2) {
        const double part = kind == 0 ? 1.0 : random_uniform(r, 0.0, 1.0);
        const size_t other = random_below(r, row->classes);
        row->d->put(row->targets, (size_t)row->label, part);
        if (other != (size_t)row->label) {
            row->d->put(row->targets, other, 1.0 - part);
        }
    }
}

static double draw_gamma(struct random *r) {
    static const double gammas[] = {0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 2.0, 3.0, 5.0, 10.0};
    return gammas[random_below(r, SUITE_COUNT(gammas))];
}

static struct form draw_form(struct random *r) {
    struct form form = {.gamma = draw_gamma(r), .negative_gamma = -1.0, .floor = 1e-3};
    form.rule = random_bits(r) & 1 ? FGHM_FOCAL_RULE_SPLIT : FGHM_FOCAL_RULE_LINEAR;
    form.mode = (fghm_hessian_mode)random_below(r, 5);
    form.detached = random_below(r, 3) == 0;
    form.hessian_factor = random_below(r, 4) == 0 ? 1.5 : 0.0;
    form.labels = random_bits(r) & 1;
    if (form.labels || random_below(r, 3) == 0) {
        form.smoothing = random_below(r, 4) == 0 ? fabs(random_log_uniform(r, 1e-7, 1.0))
                                                 : random_uniform(r, 0.01, 1.0);
    }
    if (form.labels && random_below(r, 3) == 0) {
        form.negative_gamma = draw_gamma(r);
        form.gamma += form.gamma == form.negative_gamma ? 0.25 : 0.0;
    }
    form.of_terms = random_bits(r) & 1;
    return form;
}

static void samples_match_the_formulas(void **state) {
    struct combinations all = combinations(1101);
    memset(worst, 0, sizeof worst);
    for (int i = 0; i < 600; i++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct random *const r = &all.random;
        const struct form form = draw_form(r);
        const size_t classes =
            random_below(r, 20) == 0 ? 1 + random_below(r, CLASSES_MAX) : 1 + random_below(r, 12);
        struct row row = row_new(*state, &form, classes);
        if (random_below(r, 3) == 0) {
            row.factors = calloc(classes, sizeof *row.factors);
            for (size_t c = 0; c < classes; c++) {
                row.factors[c] = (double)random_below(r, 9) / 4.0;
            }
        }
        fill_logits(r, &row, (enum kind)random_below(r, KINDS));
        fill_targets(r, &row);
        row_run(&row);
        row_check(&row, 1);
        row_free(&row);
    }
    combinations_end(&all);
    printf("  of the bounds: %.2f %.2f %.2f\n", worst[0], worst[1], worst[2]);
    report_end();
}

static void many_classes_are_right(void **state) {
    const size_t sizes[] = {3000, 128256};
    struct random r = random_for(1102);
    memset(worst, 0, sizeof worst);
    for (size_t i = 0; i < 2 * SUITE_COUNT(sizes); i++) {
        const size_t classes = sizes[i / 2];
        const struct dtype *const d = *state;
        /* The wide reference takes seconds for the most: one rule for each type. */
        if (classes > 100000 && (i % 2 == 0) != (d->size == sizeof(float))) {
            continue;
        }
        const struct form form = {.rule =
                                      i % 2 == 0 ? FGHM_FOCAL_RULE_LINEAR : FGHM_FOCAL_RULE_SPLIT,
                                  .gamma = 2.0,
                                  .negative_gamma = -1.0,
                                  .labels = i % 2 == 0,
                                  .smoothing = i % 2 == 0 ? 0.1 : 0.0};
        struct row row = row_new(d, &form, classes);
        fill_logits(&r, &row, i % 2 == 0 ? NORMAL : SPREAD);
        fill_targets(&r, &row);
        row_run(&row);
        row_check(&row, classes / 2);
        row_free(&row);
    }
    printf("  of the bounds: %.2f %.2f %.2f\n", worst[0], worst[1], worst[2]);
    report_end();
}

/* -------------------------------------------------------------------------
 * Batches: each sample has the bits that it has alone. */

struct table {
    struct form form;
    const struct dtype *d; /* what is computed in */
    size_t outer, classes, inner;
    struct strided logits, targets, weights, out[OUTPUTS];
    double factors[CLASSES_MAX], offsets[CLASSES_MAX];
    bool has_factors, has_offsets, has_weights, has_missing;
    int64_t ignore_index;
};

static struct strided any_array(struct random *r, fghm_dtype dtype, const struct table *t,
                                size_t classes) {
    return random_below(r, 3) == 0 ? strided_plain(dtype, t->outer, classes, t->inner)
                                   : strided_random(r, dtype, t->outer, classes, t->inner);
}

static fghm_dtype floating(struct random *r) {
    return FGHM_F32 + (fghm_dtype)random_below(r, 4);
}

static void fill_table(struct random *r, struct table *t) {
    for (size_t c = 0; c < t->classes; c++) {
        t->factors[c] = (double)random_below(r, 9) / 4.0;
        t->offsets[c] = random_normal(r);
    }
    for (size_t k = 0; k < strided_count(&t->logits); k++) {
        strided_set(&t->logits, k, 4.0 * random_normal(r));
    }
    for (size_t k = 0; k < strided_count(&t->targets); k++) {
        const bool whole = t->targets.dtype >= FGHM_U8;
        double target = whole ? (double)(random_below(r, 4) == 0) : random_uniform(r, 0.0, 1.0);
        if (t->form.labels) {
            target = random_below(r, 6) == 0 ? (double)t->ignore_index
                                             : (double)random_below(r, t->classes);
        } else if (t->has_missing && !whole && random_below(r, 4 * t->classes) == 0) {
            target = (double)NAN;
        }
        strided_set(&t->targets, k, target);
    }
    for (size_t k = 0; t->has_weights && k < strided_count(&t->weights); k++) {
        strided_set(&t->weights, k, random_uniform(r, -0.5, 2.0));
    }
}

static struct table table_new(struct random *r) {
    struct table t = {.form = draw_form(r), .inner = 1, .ignore_index = 250};
    const fghm_dtype logits = floating(r);
    t.d = &dtypes[logits == FGHM_F64];
    t.outer = 1 + random_below(r, 40);
    t.classes = 1 + random_below(r, random_below(r, 6) == 0 ? CLASSES_MAX : 20);
    t.inner = random_bits(r) & 1 ? 1 : 1 + random_below(r, 40);
    t.has_factors = random_below(r, 3) == 0;
    t.has_offsets = random_below(r, 3) == 0;
    t.has_weights = random_bits(r) & 1;
    t.has_missing = !t.form.labels && random_bits(r) & 1;
    t.logits = any_array(r, logits, &t, t.classes);
    t.targets = t.form.labels
                    ? any_array(r, FGHM_U8 + (fghm_dtype)random_below(r, 3), &t, 1)
                    : any_array(r, FGHM_F32 + (fghm_dtype)random_below(r, 7), &t, t.classes);
    if (t.has_weights) {
        t.weights = any_array(r, floating(r), &t, 1);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        t.out[k] = any_array(r, random_bits(r) & 1 ? dtype_of(t.d) : floating(r), &t,
                             k == ELEMENT_LOSS ? 1 : t.classes);
    }
    fill_table(r, &t);
    return t;
}

static void table_free(struct table *t) {
    strided_free(&t->logits);
    strided_free(&t->targets);
    if (t->has_weights) {
        strided_free(&t->weights);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        strided_free(&t->out[k]);
    }
}

static fghm_batch table_batch(const struct table *t) {
    fghm_batch b = descriptor_of(t->outer, t->classes, t->inner);
    b.activation = FGHM_SOFTMAX;
    b.target_form = t->form.labels ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
    b.ignore_index = t->form.labels ? t->ignore_index : FGHM_IGNORE_NONE;
    b.flags = (t->form.of_terms ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0) |
              (t->has_missing ? FGHM_NAN_TARGETS_IGNORED : 0);
    b.label_smoothing = t->form.smoothing;
    b.class_weights = t->has_factors ? t->factors : NULL;
    b.class_offsets = t->has_offsets ? t->offsets : NULL;
    b.logits = strided_input(&t->logits);
    b.targets = strided_input(&t->targets);
    if (t->has_weights) {
        b.weights = strided_input(&t->weights);
    }
    b.element_loss = strided_output(&t->out[ELEMENT_LOSS]);
    b.gradient = strided_output(&t->out[GRADIENT]);
    b.hessian = strided_output(&t->out[HESSIAN]);
    return b;
}

/* Sample (o, i) as a row; whether it is ignored. */
static bool take_sample(const struct table *t, size_t o, size_t i, struct row *row) {
    bool ignored = false;
    row->label = t->form.labels ? (int32_t)strided_get(&t->targets, o, 0, i) : 0;
    ignored = t->form.labels && row->label == t->ignore_index;
    for (size_t c = 0; c < t->classes; c++) {
        const double offset = t->has_offsets ? t->offsets[c] : 0.0;
        row->d->put(row->logits, c, strided_get(&t->logits, o, c, i) + offset);
        if (!t->form.labels) {
            const double target = strided_get(&t->targets, o, c, i);
            ignored = ignored || (t->has_missing && isnan(target));
            row->d->put(row->targets, c, target);
        }
    }
    return ignored;
}

static bool same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void check_sample(const struct table *t, const fghm_focal *focal, size_t o, size_t i,
                         struct fghm_result *counts) {
    struct row row = row_new(t->d, &t->form, t->classes);
    double weight = t->has_weights ? strided_get(&t->weights, o, 0, i) : 1.0;
    fghm_result result = FGHM_RESULT_INIT;
    const bool ignored = take_sample(t, o, i, &row);
    if (!ignored) {
        fghm_batch b = batch_of(&row);
        void *const weights = dtype_array(t->d, 1);
        t->d->put(weights, 0, weight);
        b.class_weights = t->has_factors ? t->factors : NULL;
        b.weights = (fghm_input){.data = weights, .dtype = dtype_of(t->d)};
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
        counts->sum_weights += t->d->get(weights, 0);
        counts->sum_targets += result.sum_targets;
        counts->valid++;
        free(weights);
    }
    counts->elements++;
    for (int k = 0; k < OUTPUTS; k++) {
        for (size_t c = 0; c < (k == ELEMENT_LOSS ? 1 : t->classes); c++) {
            const double got = strided_get(&t->out[k], o, c, i);
            const double alone = t->d->get(row.out[k], c);
            const double want = ignored ? 0.0 : strided_round(t->out[k].dtype, alone);
            if (!same(got, want)) {
                fail_msg("%s of sample (%zu, %zu), class %zu of %zu: %a, alone %a", output_names[k],
                         o, i, c, t->classes, got, want);
            }
        }
    }
    row_free(&row);
}

static void assert_near(double a, double b, double magnitude) {
    if (!(fabs(a - b) <= 0x1p-40 * magnitude)) {
        fail_msg("%.17g and %.17g", a, b);
    }
}

static void check_table(struct random *r, fghm_pool *pool) {
    struct table t = table_new(r);
    fghm_focal *const focal = handle_of(&t.form);
    const fghm_batch b = table_batch(&t);
    fghm_result result = FGHM_RESULT_INIT, counts = FGHM_RESULT_INIT;
    double sum = 0.0, magnitude = 0.0;
    assert_int_equal(fghm_focal_batch(focal, random_bits(r) & 1 ? pool : NULL, &b, &result),
                     FGHM_OK);
    for (size_t o = 0; o < t.outer; o++) {
        for (size_t i = 0; i < t.inner; i++) {
            check_sample(&t, focal, o, i, &counts);
            sum += strided_get(&t.out[ELEMENT_LOSS], o, 0, i);
            magnitude += fabs(strided_get(&t.out[ELEMENT_LOSS], o, 0, i));
        }
    }
    for (int k = 0; k < OUTPUTS; k++) {
        assert_true(strided_gaps_untouched(&t.out[k]));
    }
    if (t.out[ELEMENT_LOSS].dtype == dtype_of(t.d)) {
        assert_near(result.sum, sum, magnitude);
    }
    assert_int_equal(result.elements, counts.elements);
    assert_int_equal(result.valid, counts.valid);
    assert_int_equal(result.positives, counts.valid);
    assert_near(result.sum_targets, counts.sum_targets, (double)counts.elements);
    assert_near(result.sum_weights, counts.sum_weights, 2.0 * (double)counts.elements);
    fghm_focal_destroy(focal);
    table_free(&t);
}

static void batches_have_the_bits_of_samples(void **state) {
    struct combinations all = combinations(1103);
    fghm_pool *const pool = pool_of(3);
    (void)state;
    for (int i = 0; i < 250; i++) {
        if (combinations_next(&all)) {
            check_table(&all.random, pool);
        }
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
}

/* Gradients and Hessians may take the place of logits and targets. */
static void results_in_place_of_inputs(void **state) {
    const size_t sizes[] = {5, 64, 65, 190};
    struct random r = random_for(1104);
    for (size_t i = 0; i < 4 * SUITE_COUNT(sizes); i++) {
        const struct form form = {.rule =
                                      i % 2 == 0 ? FGHM_FOCAL_RULE_SPLIT : FGHM_FOCAL_RULE_LINEAR,
                                  .gamma = 1.5,
                                  .negative_gamma = -1.0};
        struct row row = row_new(*state, &form, sizes[i / 4]);
        fghm_focal *const focal = handle_of(&form);
        fill_logits(&r, &row, NORMAL);
        fill_targets(&r, &row);
        row_run(&row);
        fghm_batch b = batch_of(&row);
        b.gradient.data = i / 2 % 2 == 0 ? row.logits : row.targets;
        b.hessian.data = i / 2 % 2 == 0 ? row.targets : row.logits;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, NULL), FGHM_OK);
        assert_int_equal(
            dtype_first_difference(row.d, b.gradient.data, row.out[GRADIENT], row.classes),
            row.classes);
        assert_int_equal(
            dtype_first_difference(row.d, b.hessian.data, row.out[HESSIAN], row.classes),
            row.classes);
        fghm_focal_destroy(focal);
        row_free(&row);
    }
}

/* Every subset of the outputs has the same bits. */
static void outputs_are_independent(void **state) {
    struct random r = random_for(1105);
    for (unsigned subset = 1; subset < 64; subset++) {
        const struct form form = {.rule =
                                      subset & 8 ? FGHM_FOCAL_RULE_SPLIT : FGHM_FOCAL_RULE_LINEAR,
                                  .gamma = 2.0,
                                  .negative_gamma = -1.0,
                                  .mode = (fghm_hessian_mode)(subset >> 4)};
        struct row row = row_new(*state, &form, subset % 2 == 0 ? 30 : 130), other = row;
        fghm_focal *const focal = handle_of(&form);
        fill_logits(&r, &row, NORMAL);
        fill_targets(&r, &row);
        row_run(&row);
        other = row_new(*state, &form, row.classes);
        fghm_batch b = batch_of(&row);
        fghm_output *const outputs[] = {&b.element_loss, &b.gradient, &b.hessian};
        for (int k = 0; k < OUTPUTS; k++) {
            outputs[k]->data = subset >> k & 1 ? other.out[k] : NULL;
        }
        fghm_result result = FGHM_RESULT_INIT;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
        for (int k = 0; k < OUTPUTS; k++) {
            const size_t n = k == ELEMENT_LOSS ? 1 : row.classes;
            if (subset >> k & 1) {
                assert_int_equal(dtype_first_difference(row.d, other.out[k], row.out[k], n), n);
            }
        }
        assert_true(same(result.loss, row.d->get(row.out[ELEMENT_LOSS], 0)));
        fghm_focal_destroy(focal);
        row_free(&row);
        row_free(&other);
    }
}

/* -------------------------------------------------------------------------
 * Against other losses. */

/* One-hot targets are labels, with either factor. */
static void one_hot_targets_are_labels(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(1106);
    for (int i = 0; i < 400; i++) {
        struct form form = draw_form(&r);
        form.labels = false;
        form.smoothing = 0.0;
        form.negative_gamma = -1.0;
        form.gamma = fmin(form.gamma, 5.0);
        struct row row = row_new(d, &form, 1 + random_below(&r, 90));
        fill_logits(&r, &row, (enum kind)random_below(&r, 2));
        fill_targets(&r, &row);
        for (size_t c = 0; c < row.classes; c++) {
            d->put(row.targets, c, c == (size_t)row.label ? 1.0 : 0.0);
        }
        row_run(&row);
        struct row labels = row_new(d, &form, row.classes);
        fghm_focal *const focal = handle_of(&form);
        fghm_batch b = batch_of(&labels);
        b.target_form = FGHM_TARGET_LABEL;
        b.logits.data = row.logits;
        b.targets = (fghm_input){.data = &row.label, .dtype = FGHM_I32};
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, NULL), FGHM_OK);
        const double tolerance = ldexp(400.0, -d->format->digits);
        for (int k = 0; k < OUTPUTS; k++) {
            for (size_t c = 0; c < (k == ELEMENT_LOSS ? 1 : row.classes); c++) {
                const double got = d->get(row.out[k], c), want = d->get(labels.out[k], c);
                const double scale = k == HESSIAN ? 1.0 : fabs(want);
                if (!(fabs(got - want) <= tolerance * scale + 1e3 * d->min_normal)) {
                    fail_msg("%s of class %zu of %zu, gamma %g rule %d mode %d: %.9g, label %.9g",
                             output_names[k], c, row.classes, form.gamma, form.rule, form.mode, got,
                             want);
                }
            }
        }
        fghm_focal_destroy(focal);
        row_free(&row);
        row_free(&labels);
    }
}

/* Logarithms of softmax probabilities, in long double. */
static void log_softmax(const struct row *row, long double *logs) {
    long double largest = -INFINITY, sum = 0;
    for (size_t c = 0; c < row->classes; c++) {
        logs[c] = (long double)row->d->get(row->logits, c);
        largest = fmaxl(largest, logs[c]);
    }
    for (size_t c = 0; c < row->classes; c++) {
        sum += expl(logs[c] - largest);
    }
    for (size_t c = 0; c < row->classes; c++) {
        logs[c] -= largest + logl(sum);
    }
}

/* A sample of ten classes with a label, probabilities and weights of classes. */
static struct row published_row(struct random *r, const struct dtype *d, const struct form *form) {
    struct row row = row_new(d, form, 10);
    row.factors = calloc(row.classes, sizeof *row.factors);
    fill_logits(r, &row, NORMAL);
    fill_targets(r, &row);
    for (size_t c = 0; c < row.classes; c++) {
        row.factors[c] = 0.25 * (double)(1 + random_below(r, 8));
    }
    return row;
}

static void assert_loss(const struct row *row, long double want) {
    const double got = row->d->get(row->out[ELEMENT_LOSS], 0);
    if (!(fabsl((long double)got - want) <= 64.0L * ldexpl(1.0L, -row->d->format->digits) * want)) {
        fail_msg("%.17g, want %.17Lg", got, want);
    }
}

/* torch.nn.CrossEntropyLoss, from its documentation: with probabilities
 * - sum over c of w_c y_c log p_c; with labels and smoothing e, the same of
 * y_c = (1 - e) 1{c = label} + e / C. */
static void cross_entropy_of_pytorch(void **state) {
    struct random r = random_for(1107);
    for (int i = 0; i < 200; i++) {
        const bool labels = i % 2 == 0;
        const struct form form = {.negative_gamma = -1.0,
                                  .labels = labels,
                                  .of_terms = true,
                                  .smoothing = labels ? 0.125 : 0.0};
        struct row row = published_row(&r, *state, &form);
        long double logs[10], want = 0;
        row_run(&row);
        log_softmax(&row, logs);
        for (size_t c = 0; c < 10; c++) {
            const long double y = labels ? (c == (size_t)row.label ? 0.875L : 0.0L) + 0.0125L
                                         : (long double)row.d->get(row.targets, c);
            want -= (long double)row.factors[c] * y * logs[c];
        }
        assert_loss(&row, want);
        row_free(&row);
    }
}

/* keras.losses.CategoricalFocalCrossentropy without its clipping, and Flux.focal_loss:
 * sum over c of alpha_c (1 - p_c)^gamma y_c (-log p_c), y smoothed as y (1 - e) + e / C. */
static void focal_loss_of_keras(void **state) {
    struct random r = random_for(1108);
    for (int i = 0; i < 200; i++) {
        const struct form form = {.rule = FGHM_FOCAL_RULE_SPLIT,
                                  .gamma = 2.0,
                                  .negative_gamma = -1.0,
                                  .smoothing = i % 2 == 0 ? 0.25 : 0.0};
        struct row row = published_row(&r, *state, &form);
        long double logs[10], want = 0;
        row_run(&row);
        log_softmax(&row, logs);
        for (size_t c = 0; c < 10; c++) {
            const long double e = (long double)form.smoothing;
            const long double y = (long double)row.d->get(row.targets, c) * (1.0L - e) + e / 10.0L;
            const long double q = -expm1l(logs[c]);
            want -= (long double)row.factors[c] * q * q * y * logs[c];
        }
        assert_loss(&row, want);
        row_free(&row);
    }
}

/* ASLSingleLabel of the authors of asymmetric loss (Ridnik et al.), with its defaults: weights
 * (1 - p)^0 of the label's class, p^4 of the others, labels smoothed by 0.1. */
static void asymmetric_loss_of_one_label(void **state) {
    struct random r = random_for(1109);
    for (int i = 0; i < 100; i++) {
        const struct form form = {
            .gamma = 0.0, .negative_gamma = 4.0, .labels = true, .smoothing = 0.1};
        struct row row = published_row(&r, *state, &form);
        free(row.factors);
        row.factors = NULL;
        long double logs[10], want = 0;
        row_run(&row);
        log_softmax(&row, logs);
        for (size_t c = 0; c < 10; c++) {
            const bool is_own = c == (size_t)row.label;
            const long double y = (is_own ? 0.9L : 0.0L) + 0.01L;
            want -= y * logs[c] * (is_own ? 1.0L : expl(4.0L * logs[c]));
        }
        assert_loss(&row, want);
        row_free(&row);
    }
}

/* -------------------------------------------------------------------------
 * What cannot be computed. */

struct odd {
    double logits[3], targets[3];
    double loss;
    double gradient[2]
                   [3]; /* with the factor of the sample, and of each class; NaN: not looked at */
};

static void infinite_logits(void **state) {
    const struct dtype *d = *state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    const struct odd cases[] = {
        /* Nothing is wanted of a class that cannot be. */
        {{0, 0, -inf}, {1, 0, 0}, nan, {{nan, nan, 0}, {nan, nan, 0}}},
        {{0, 0, -inf}, {0.5, 0.5, 0}, nan, {{nan, nan, 0}, {nan, nan, 0}}},
        {{inf, 0, 0}, {1, 0, 0}, 0, {{0, 0, 0}, {0, 0, 0}}},
        /* Something is. */
        {{0, 0, -inf}, {0.5, 0, 0.5}, inf, {{nan, nan, nan}, {nan, nan, -0.5}}},
    };
    for (size_t i = 0; i < 2 * SUITE_COUNT(cases); i++) {
        const struct odd *const odd = &cases[i / 2];
        const struct form form = {.rule =
                                      i % 2 == 0 ? FGHM_FOCAL_RULE_LINEAR : FGHM_FOCAL_RULE_SPLIT,
                                  .gamma = 2.0,
                                  .negative_gamma = -1.0};
        struct row row = row_new(d, &form, 3);
        for (size_t c = 0; c < 3; c++) {
            d->put(row.logits, c, odd->logits[c]);
            d->put(row.targets, c, odd->targets[c]);
        }
        row_run(&row);
        const double loss = d->get(row.out[ELEMENT_LOSS], 0);
        assert_true(loss == loss);
        assert_true(isnan(odd->loss) || loss == odd->loss);
        assert_true(isfinite(loss) || loss == odd->loss);
        for (size_t c = 0; c < 3; c++) {
            const double want = odd->gradient[i % 2][c];
            const double got = d->get(row.out[GRADIENT], c);
            assert_true(isnan(want) || got == want);
            const bool is_nan = odd->loss == inf && form.rule == FGHM_FOCAL_RULE_LINEAR;
            assert_int_equal(isnan(got) != 0, is_nan);
        }
        row_free(&row);
    }
}

/* NaN anywhere in a sample, and nothing else, makes it NaN. */
static void nan_spoils_its_sample(void **state) {
    const struct dtype *d = *state;
    enum { SAMPLES = 20, CLASSES = 70 };
    for (size_t i = 0; i < 2 * SAMPLES; i++) {
        struct random r = random_for(1110);
        const struct form form = {.rule =
                                      i % 3 == 0 ? FGHM_FOCAL_RULE_LINEAR : FGHM_FOCAL_RULE_SPLIT,
                                  .gamma = 2.0,
                                  .negative_gamma = -1.0};
        fghm_focal *const focal = handle_of(&form);
        struct row row = row_new(d, &form, SAMPLES * CLASSES);
        fill_logits(&r, &row, NORMAL);
        fill_targets(&r, &row);
        void *const spoiled = i % 2 == 0 ? row.logits : row.targets;
        d->put(spoiled, i / 2 * CLASSES + 7 * i % CLASSES, (double)NAN);
        fghm_batch b = batch_of(&row);
        descriptor_set_shape(&b, SAMPLES, CLASSES, 1);
        fghm_result result = FGHM_RESULT_INIT;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
        assert_true(isnan(result.loss));
        for (size_t k = 0; k < SAMPLES * CLASSES; k++) {
            assert_int_equal(isnan(d->get(row.out[GRADIENT], k)) != 0, k / CLASSES == i / 2);
            assert_int_equal(isnan(d->get(row.out[HESSIAN], k)) != 0, k / CLASSES == i / 2);
        }
        row_free(&row);
        fghm_focal_destroy(focal);
    }
}

/* A target out of range: the first in the order of elements is named, its sample is NaN, and the
 * sums are those of the others. */
static void targets_out_of_range(void **state) {
    const struct dtype *d = *state;
    enum { OUTER = 3, CLASSES = 70, INNER = 30, N = OUTER * CLASSES * INNER };
    const double wrong[] = {-1e-9, 1.0 + 1e-9, 2.0, -(double)INFINITY, (double)INFINITY};
    struct random r = random_for(1111);
    for (int i = 0; i < 40; i++) {
        const struct form form = draw_form(&r);
        fghm_focal *const focal =
            handle_of(&(struct form){.gamma = 2.0, .negative_gamma = -1.0, .rule = form.rule});
        struct row row = row_new(d, &form, N);
        struct strided targets = strided_plain(FGHM_F64, OUTER, CLASSES, INNER);
        fill_logits(&r, &row, NORMAL);
        for (size_t k = 0; k < N; k++) {
            strided_set(&targets, k, random_uniform(&r, 0.0, 1.0));
        }
        row.form.labels = false;
        fghm_batch b = batch_of(&row);
        descriptor_set_shape(&b, OUTER, CLASSES, INNER);
        b.targets = strided_input(&targets);
        b.label_smoothing = i % 2 == 0 ? 0.1 : 0.0;
        fghm_result good = FGHM_RESULT_INIT, result = FGHM_RESULT_INIT;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &good), FGHM_OK);
        double losses[OUTER * INNER], left_out = 0.0;
        for (size_t k = 0; k < OUTER * INNER; k++) {
            losses[k] = d->get(row.out[ELEMENT_LOSS], k);
        }
        size_t first = N;
        bool spoiled[OUTER * INNER] = {false};
        for (int n = 0; n < 3; n++) {
            const size_t k = random_below(&r, N), sample = k / INNER / CLASSES * INNER + k % INNER;
            strided_set(&targets, k, wrong[random_below(&r, SUITE_COUNT(wrong))]);
            first = k < first ? k : first;
            left_out += spoiled[sample] ? 0.0 : losses[sample];
            spoiled[sample] = true;
        }
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_ERROR_TARGET);
        assert_int_equal(result.field, FGHM_FIELD_TARGETS);
        assert_int_equal(result.place, FGHM_PLACE_ELEMENT);
        assert_int_equal(result.offender, (int64_t)first);
        assert_near(result.sum, good.sum - left_out,
                    good.sum * (d->size == sizeof(float) ? 0x1p18 : 1.0));
        for (size_t k = 0; k < N; k++) {
            const bool is_spoiled = spoiled[k / INNER / CLASSES * INNER + k % INNER];
            assert_int_equal(isnan(d->get(row.out[GRADIENT], k)) != 0, is_spoiled);
            assert_int_equal(isnan(d->get(row.out[HESSIAN], k)) != 0, is_spoiled);
        }
        strided_free(&targets);
        row_free(&row);
        fghm_focal_destroy(focal);
    }
}

/* Logits far apart.  Of Gauss-Newton, Q^(gamma - 1) may be too large. */
static void finite_logits_give_finite_results(void **state) {
    const double far[] = {0.0, -0.0, 1e-40, 16.6, 87.4, 104.1, 133.0, 745.2, 1064.0, 1e4, 0x1p60};
    const struct dtype *d = *state;
    struct random r = random_for(1113);
    for (int i = 0; i < 3000; i++) {
        struct form form = draw_form(&r);
        struct row row = row_new(d, &form, 1 + random_below(&r, 12));
        fill_targets(&r, &row);
        for (size_t c = 0; c < row.classes; c++) {
            const double x = far[random_below(&r, SUITE_COUNT(far))];
            d->put(row.logits, c, random_bits(&r) & 1 ? x : -x);
            if (random_below(&r, 4) == 0) {
                d->put(row.targets, c, random_bits(&r) & 1 ? 1.0 : 1e-30);
            }
        }
        row_run(&row);
        const bool may_overflow = form.mode == FGHM_HESSIAN_GAUSS_NEWTON &&
                                  form.rule == FGHM_FOCAL_RULE_LINEAR && form.gamma < 1.0;
        for (int k = 0; k < OUTPUTS; k++) {
            for (size_t c = 0; c < (k == ELEMENT_LOSS ? 1 : row.classes); c++) {
                const double got = d->get(row.out[k], c);
                if (!isfinite(got) && !(k == HESSIAN && may_overflow && got > 0.0)) {
                    print_row(&row, c);
                    fail_msg("%s: %g", output_names[k], got);
                }
            }
        }
        row_free(&row);
    }
}

/* Gauss-Newton is never negative, and the exact Hessian for gamma 0. */
static void gauss_newton_is_not_negative(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(1112);
    for (int i = 0; i < 2000; i++) {
        struct form form = draw_form(&r);
        form.mode = FGHM_HESSIAN_GAUSS_NEWTON;
        struct row row = row_new(d, &form, 1 + random_below(&r, 20));
        fill_logits(&r, &row, (enum kind)random_below(&r, KINDS));
        fill_targets(&r, &row);
        row_run(&row);
        for (size_t c = 0; c < row.classes; c++) {
            assert_true(d->get(row.out[HESSIAN], c) >= 0.0);
        }
        row_free(&row);
    }
}

int main(int argument_count, char **arguments) {
    static const struct suite_test tests[] = {
        {"samples_match_the_formulas", samples_match_the_formulas, 1},
        {"many_classes_are_right", many_classes_are_right, 1},
        {"batches_have_the_bits_of_samples", batches_have_the_bits_of_samples, 0},
        {"results_in_place_of_inputs", results_in_place_of_inputs, 1},
        {"outputs_are_independent", outputs_are_independent, 1},
        {"one_hot_targets_are_labels", one_hot_targets_are_labels, 1},
        {"cross_entropy_of_pytorch", cross_entropy_of_pytorch, 1},
        {"focal_loss_of_keras", focal_loss_of_keras, 1},
        {"asymmetric_loss_of_one_label", asymmetric_loss_of_one_label, 1},
        {"infinite_logits", infinite_logits, 1},
        {"nan_spoils_its_sample", nan_spoils_its_sample, 1},
        {"targets_out_of_range", targets_out_of_range, 1},
        {"finite_logits_give_finite_results", finite_logits_give_finite_results, 1},
        {"gauss_newton_is_not_negative", gauss_newton_is_not_negative, 1},
    };
    return suite_run(argument_count, arguments, "test_softmax_soft", tests, SUITE_COUNT(tests));
}
