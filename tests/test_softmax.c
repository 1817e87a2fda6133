/* SPDX-License-Identifier: MIT */

/* The softmax form with any number of classes: right to the bounds of focal.h, gradients of a
 * sample that cancel, and the same bits however classes and samples lie in memory. */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/dtype.h"
#include "support/guarded.h"
#include "support/promise.h"
#include "support/reference.h"
#include "support/report.h"
#include "support/strided.h"
#include "support/suite.h"

/* -------------------------------------------------------------------------
 * Against a wide reference. */

#define PRECISE 200 /* bits */

/* As many different logits as there are in a row; the exponentials of each are made once. */
#define VALUES 512

struct row {
    const struct dtype *d;
    size_t classes, label;
    double values[VALUES];
    uint16_t *which; /* of them, for each class */
    void *logits;
    void *out[OUTPUTS];
};

static struct row row_new(const struct dtype *d, size_t classes, size_t label) {
    struct row row = {.d = d, .classes = classes, .label = label};
    row.which = calloc(classes, sizeof *row.which);
    assert_non_null(row.which);
    row.logits = dtype_array(d, classes);
    for (int k = 0; k < OUTPUTS; k++) {
        row.out[k] = dtype_array(d, classes);
    }
    return row;
}

static void row_free(struct row *row) {
    free(row->which);
    free(row->logits);
    for (int k = 0; k < OUTPUTS; k++) {
        free(row->out[k]);
    }
}

static double row_logit(const struct row *row, size_t c) {
    return row->values[row->which[c]];
}

static void row_run(struct row *row, const fghm_focal *focal) {
    const int64_t label = (int64_t)row->label;
    fghm_batch b = descriptor_of(1, row->classes, 1);
    fghm_result result = FGHM_RESULT_INIT;
    for (size_t c = 0; c < row->classes; c++) {
        row->d->put(row->logits, c, row_logit(row, c));
    }
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = &label, .dtype = FGHM_I64};
    b.logits = (fghm_input){.data = row->logits, .dtype = dtype_of(row->d)};
    fghm_output *const outputs[] = {&b.element_loss, &b.gradient, &b.hessian};
    for (int k = 0; k < OUTPUTS; k++) {
        *outputs[k] = (fghm_output){.data = row->out[k], .dtype = dtype_of(row->d)};
    }
    assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
}

/* What is known of a row: for each value its share of the exponentials of the classes other than
 * the label's, and the largest logit among those. */
struct shares {
    mpfr_t share[VALUES];
    mpfr_t margin;
    double largest;
};

static void shares_init(struct shares *s, const struct row *row) {
    mpfr_t sum, term;
    size_t count[VALUES] = {0};
    mpfr_inits2(PRECISE, sum, term, s->margin, (mpfr_ptr)0);
    mpfr_set_zero(sum, 1);
    s->largest = -(double)INFINITY;
    for (size_t c = 0; c < row->classes; c++) {
        count[row->which[c]] += c != row->label;
    }
    for (size_t v = 0; v < VALUES; v++) {
        mpfr_init2(s->share[v], PRECISE);
        s->largest = count[v] > 0 ? fmax(s->largest, row->values[v]) : s->largest;
        mpfr_set_d(s->share[v], row->values[v], MPFR_RNDN);
        mpfr_exp(s->share[v], s->share[v], MPFR_RNDN);
        mpfr_mul_ui(term, s->share[v], count[v], MPFR_RNDN);
        mpfr_add(sum, sum, term, MPFR_RNDN);
    }
    for (size_t v = 0; v < VALUES; v++) {
        mpfr_div(s->share[v], s->share[v], sum, MPFR_RNDN);
    }
    mpfr_log(s->margin, sum, MPFR_RNDN);
    mpfr_d_sub(s->margin, row_logit(row, row->label), s->margin, MPFR_RNDN);
    mpfr_clears(sum, term, (mpfr_ptr)0);
}

static void shares_clear(struct shares *s) {
    for (size_t v = 0; v < VALUES; v++) {
        mpfr_clear(s->share[v]);
    }
    mpfr_clear(s->margin);
}

/* The largest errors, as parts of their bounds. */
struct fractions {
    double own[OUTPUTS], other[OUTPUTS];
};

static void note(double *most, double ulps, double bound) {
    *most = fmax(*most, ulps / bound);
}

static void row_check(const struct row *row, double gamma, struct fractions *worst) {
    const struct reference_loss loss = {
        .rule = FGHM_FOCAL_RULE_LINEAR, .gamma = gamma, .negative_gamma = gamma, .alpha = -1.0};
    struct place place = {.d = row->d, .gamma = gamma, .alpha = WIDE_ALPHA_OFF, .target = 1.0};
    struct reference margin, other;
    struct shares s;
    mpfr_t one;
    mpfr_init2(one, 10);
    mpfr_set_ui(one, 1, MPFR_RNDN);
    reference_init(&margin);
    reference_init(&other);
    shares_init(&s, row);
    reference_sigmoid(&margin, &loss, s.margin, one);
    const double bound =
        8.0 + promised_of_label(gamma, mpfr_get_d(s.margin, MPFR_RNDN), row->classes);
    place.logit = row_logit(row, row->label);
    place.output = "loss";
    note(&worst->own[ELEMENT_LOSS],
         report_check(&place, row->d->get(row->out[ELEMENT_LOSS], 0), margin.loss, margin.loss,
                      bound),
         bound);
    for (size_t c = 0; c < row->classes; c++) {
        const int is_own = c == row->label;
        if (!is_own) {
            reference_other_class(&other, &margin, s.share[row->which[c]]);
        }
        const struct reference *const want = is_own ? &margin : &other;
        double *const most = is_own ? worst->own : worst->other;
        place.logit = row_logit(row, c);
        const double limit =
            is_own ? bound : bound + promised_of_other(s.largest - place.logit, row->classes);
        place.output = is_own ? "gradient" : "gradient of another class";
        note(&most[GRADIENT],
             report_check(&place, row->d->get(row->out[GRADIENT], c), want->gradient,
                          want->gradient_scale, limit),
             limit);
        place.output = is_own ? "hessian" : "hessian of another class";
        note(&most[HESSIAN],
             report_check(&place, row->d->get(row->out[HESSIAN], c), want->hessian,
                          want->hessian_scale, 2.0 * limit),
             2.0 * limit);
    }
    shares_clear(&s);
    reference_clear(&other);
    reference_clear(&margin);
    mpfr_clear(one);
}

/* The gradients of a row cancel. */
static void row_check_sum(const struct row *row) {
    const double most = row->d->size == sizeof(float) ? 0x1p-21 : 0x1p-50;
    double magnitude = 0.0;
    mpfr_t sum;
    mpfr_init2(sum, 2 * PRECISE);
    mpfr_set_zero(sum, 1);
    for (size_t c = 0; c < row->classes; c++) {
        const double gradient = row->d->get(row->out[GRADIENT], c);
        mpfr_add_d(sum, sum, gradient, MPFR_RNDN);
        magnitude += fabs(gradient);
    }
    const double rest = fabs(mpfr_get_d(sum, MPFR_RNDN));
    if (!(rest <= most * magnitude)) {
        fail_msg("%s, %zu classes: gradients add up to %g of their magnitudes", row->d->name,
                 row->classes, rest / magnitude);
    }
    mpfr_clear(sum);
}

enum kind { EQUAL, ONE_APART, FRESH_HEAD, NORMAL, SPREAD, CONFIDENT, KINDS };

static void row_fill(struct random *r, struct row *row, enum kind kind) {
    const double widths[] = {
        [EQUAL] = 0.0,  [ONE_APART] = 0.0, [FRESH_HEAD] = 1e-3,
        [NORMAL] = 1.0, [SPREAD] = 8.0,    [CONFIDENT] = 1.0,
    };
    const double shift = random_below(r, 2) == 0 ? 0.0 : 8.0 * random_normal(r);
    for (size_t v = 0; v < VALUES; v++) {
        row->values[v] = dtype_round(row->d, shift + widths[kind] * random_normal(r));
    }
    for (size_t c = 0; c < row->classes; c++) {
        row->which[c] = (uint16_t)(2 + random_below(r, VALUES - 2));
    }
    /* The first two values are those of one class each. */
    const size_t c = random_below(r, row->classes);
    if (kind == ONE_APART) {
        row->values[0] = dtype_round(row->d, shift + 0.05);
        row->which[c] = 0;
    } else if (kind == CONFIDENT) {
        row->values[0] = dtype_round(row->d, shift + random_uniform(r, 4.0, 40.0));
        row->which[c] = 0;
    }
}

static void check_kinds(struct random *r, const struct dtype *d, size_t classes, double gamma,
                        struct fractions *worst) {
    for (int k = 0; k < KINDS; k++) {
        fghm_focal *focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        struct row row = row_new(d, classes, random_below(r, classes));
        row_fill(r, &row, (enum kind)k);
        row_run(&row, focal);
        row_check(&row, gamma, worst);
        row_check_sum(&row);
        row_free(&row);
        fghm_focal_destroy(focal);
    }
}

static void print_fractions(const struct fractions *f) {
    printf("  of the bounds: label %.2f %.2f %.2f, other classes %.2f %.2f\n", f->own[ELEMENT_LOSS],
           f->own[GRADIENT], f->own[HESSIAN], f->other[GRADIENT], f->other[HESSIAN]);
}

static void many_classes_are_right(void **state) {
    const size_t sizes[] = {3000, 30000, 128256};
    struct random r = random_for(901);
    struct fractions worst = {{0}, {0}};
    for (size_t k = 0; k < SUITE_COUNT(sizes); k++) {
        check_kinds(&r, *state, sizes[k], k % 2 == 0 ? 0.0 : 2.0, &worst);
    }
    print_fractions(&worst);
    report_end();
}

static void few_classes_are_right(void **state) {
    const double gammas[] = {0.0, 0.5, 1.0, 2.0};
    struct random r = random_for(902);
    struct fractions worst = {{0}, {0}};
    for (size_t classes = 2; classes < 700; classes += 1 + classes / 6) {
        for (int k = 0; k < 4; k++) {
            check_kinds(&r, *state, classes, gammas[k], &worst);
        }
    }
    print_fractions(&worst);
    report_end();
}

/* -------------------------------------------------------------------------
 * The same bits in every layout. */

/* A batch of N samples and C classes, and room for its results. */
struct table {
    const struct dtype *d;
    size_t samples, classes;
    struct strided logits, labels, out[OUTPUTS];
    double loss;
};

static struct strided array_of(fghm_dtype dtype, size_t samples, size_t classes,
                               const int64_t strides[2]) {
    const size_t extents[] = {samples, classes, 1};
    const int64_t all[] = {strides[0], strides[1], 0};
    return strided_new(dtype, extents, all, 1);
}

/* Rows one after the other. */
static struct strided rows_of(fghm_dtype dtype, size_t samples, size_t classes) {
    return array_of(dtype, samples, classes, (const int64_t[]){(int64_t)classes, 1});
}

static struct table table_new(const struct dtype *d, size_t samples, size_t classes) {
    struct table t = {.d = d, .samples = samples, .classes = classes};
    t.logits = rows_of(dtype_of(d), samples, classes);
    t.labels = rows_of(FGHM_I64, samples, 1);
    t.out[ELEMENT_LOSS] = rows_of(dtype_of(d), samples, 1);
    t.out[GRADIENT] = rows_of(dtype_of(d), samples, classes);
    t.out[HESSIAN] = rows_of(dtype_of(d), samples, classes);
    return t;
}

static void table_free(struct table *t) {
    strided_free(&t->logits);
    strided_free(&t->labels);
    for (int k = 0; k < OUTPUTS; k++) {
        strided_free(&t->out[k]);
    }
}

/* Logits that binary16 and bfloat16 hold: seven digits between 2^-3 and 2^7; in some places
 * -inf, ties, and rows to be ignored. */
static void table_fill(struct random *r, struct table *t) {
    for (size_t n = 0; n < t->samples; n++) {
        const int wide = random_below(r, 4) == 0;
        for (size_t c = 0; c < t->classes; c++) {
            const double x = ldexp((double)random_below(r, 128) - 64.0, wide ? 1 : -4);
            const int masked = random_below(r, 50) == 0;
            strided_put(&t->logits, n, c, 0, masked ? -(double)INFINITY : x);
        }
        const size_t label = random_below(r, t->classes);
        strided_put(&t->labels, n, 0, 0, random_below(r, 8) == 0 ? -1.0 : (double)label);
        if (random_below(r, 30) == 0) {
            strided_put(&t->logits, n, random_below(r, t->classes), 0,
                        random_below(r, 2) == 0 ? (double)NAN : (double)INFINITY);
        }
    }
}

static void copy_numbers(const struct strided *to, const struct strided *from) {
    for (size_t k = 0; k < strided_count(from); k++) {
        strided_set(to, k, strided_at(from, k));
    }
}

/* The outputs of `t` that the bits of `subset` name; pool or NULL. */
static void table_run(struct table *t, const fghm_focal *focal, const struct strided *logits,
                      const struct strided out[OUTPUTS], unsigned subset, fghm_pool *pool) {
    fghm_batch b = descriptor_of(t->samples, t->classes, 1);
    fghm_result result = FGHM_RESULT_INIT;
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.ignore_index = -1;
    b.logits = strided_input(logits);
    b.targets = strided_input(&t->labels);
    fghm_output *const outputs[] = {&b.element_loss, &b.gradient, &b.hessian};
    for (int k = 0; k < OUTPUTS; k++) {
        if (subset & (1u << k)) {
            *outputs[k] = strided_output(&out[k]);
        }
    }
    const fghm_status status = fghm_focal_batch(focal, pool, &b, &result);
    if (status != FGHM_OK) {
        fail_msg("%s", fghm_status_string(status));
    }
    t->loss = result.loss;
}

static int same_number(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void assert_same_numbers(const struct table *t, const char *what, const struct strided *got,
                                const struct strided *want) {
    for (size_t k = 0; k < strided_count(want); k++) {
        const double rounded = strided_round(got->dtype, strided_at(want, k));
        if (!same_number(strided_at(got, k), rounded)) {
            fail_msg("%s, %zu x %zu, %s: [%zu] is %a, want %a", t->d->name, t->samples, t->classes,
                     what, k, strided_at(got, k), rounded);
        }
    }
    if (!strided_gaps_untouched(got)) {
        fail_msg("%s, %zu x %zu, %s: written between the numbers", t->d->name, t->samples,
                 t->classes, what);
    }
}

/* The results of the logits as they lie in `logits`. */
static void check_layouts_of(struct table *t, const fghm_focal *focal, const char *what,
                             fghm_dtype logits_dtype, const int64_t logits_strides[2],
                             fghm_dtype out_dtype, const int64_t strides[2], unsigned subset,
                             fghm_pool *pool) {
    const double loss = t->loss;
    struct strided logits = array_of(logits_dtype, t->samples, t->classes, logits_strides);
    struct strided out[OUTPUTS];
    copy_numbers(&logits, &t->logits);
    out[ELEMENT_LOSS] = rows_of(out_dtype, t->samples, 1);
    out[GRADIENT] = array_of(out_dtype, t->samples, t->classes, strides);
    out[HESSIAN] = array_of(out_dtype, t->samples, t->classes, strides);
    table_run(t, focal, &logits, out, subset, pool);
    assert_true(same_number(t->loss, loss));
    assert_same_numbers(t, what, &logits, &t->logits);
    for (int k = 0; k < OUTPUTS; k++) {
        if (subset & (1u << k)) {
            assert_same_numbers(t, what, &out[k], &t->out[k]);
        } else {
            assert_true(strided_untouched(&out[k]));
        }
        strided_free(&out[k]);
    }
    strided_free(&logits);
}

/* With outputs of the same strides. */
static void check_layout(struct table *t, const fghm_focal *focal, const char *what,
                         fghm_dtype logits_dtype, fghm_dtype out_dtype, const int64_t strides[2],
                         unsigned subset, fghm_pool *pool) {
    check_layouts_of(t, focal, what, logits_dtype, strides, out_dtype, strides, subset, pool);
}

/* One output in the place of the logits. */
static void check_in_place(struct table *t, const fghm_focal *focal, int replaced,
                           const int64_t strides[2], unsigned subset) {
    const double loss = t->loss;
    struct strided both = array_of(dtype_of(t->d), t->samples, t->classes, strides);
    struct strided out[OUTPUTS];
    copy_numbers(&both, &t->logits);
    out[ELEMENT_LOSS] = rows_of(dtype_of(t->d), t->samples, 1);
    out[GRADIENT] = array_of(dtype_of(t->d), t->samples, t->classes, strides);
    out[HESSIAN] = array_of(dtype_of(t->d), t->samples, t->classes, strides);
    strided_free(&out[replaced]);
    out[replaced] = both;
    table_run(t, focal, &both, out, subset, NULL);
    assert_true(same_number(t->loss, loss));
    for (int k = 0; k < OUTPUTS; k++) {
        if (subset & (1u << k)) {
            assert_same_numbers(t, replaced == GRADIENT ? "gradient in place" : "hessian in place",
                                &out[k], &t->out[k]);
        }
        strided_free(&out[k]);
    }
}

static void check_layouts(struct random *r, const struct dtype *d, size_t samples, size_t classes,
                          fghm_pool *pool) {
    const fghm_dtype own = dtype_of(d);
    const int64_t n = (int64_t)samples, c = (int64_t)classes;
    const struct {
        const char *name;
        int64_t strides[2];
    } layouts[] = {
        {"rows", {c, 1}},       {"padded rows", {c + 3, 1}},    {"rows of every other", {2 * c, 2}},
        {"planes", {1, n}},     {"padded planes", {1, n + 5}},  {"every other plane", {2, 2 * n}},
        {"backwards", {-c, 1}}, {"classes backwards", {c, -1}},
    };
    const double gammas[] = {0.0, 2.0, 1.3};
    fghm_focal *focal = focal_handle(gammas[random_below(r, 3)], 0.25, FGHM_REDUCTION_SUM);
    struct table t = table_new(d, samples, classes);
    table_fill(r, &t);
    assert_int_equal(fghm_focal_set_hessian_mode(focal, (fghm_hessian_mode)random_below(r, 4)),
                     FGHM_OK);
    table_run(&t, focal, &t.logits, t.out, 7, NULL);
    for (size_t k = 0; k < SUITE_COUNT(layouts); k++) {
        const int64_t *const strides = layouts[k].strides;
        check_layout(&t, focal, layouts[k].name, own, own, strides, 7, NULL);
        check_layout(&t, focal, layouts[k].name, own, own, strides,
                     1 + (unsigned)random_below(r, 6), pool);
        check_in_place(&t, focal, GRADIENT, strides, random_bits(r) & 1 ? 7 : 2);
        check_in_place(&t, focal, HESSIAN, strides, random_bits(r) & 1 ? 7 : 4);
        if (own == FGHM_F32) {
            const fghm_dtype half = random_bits(r) & 1 ? FGHM_F16 : FGHM_BF16;
            check_layout(&t, focal, "halves in", half, own, strides, 7, NULL);
            check_layout(&t, focal, "halves out", own, half, strides, 7, NULL);
            check_layout(&t, focal, "halves", half, half, strides, 7, NULL);
            check_layout(&t, focal, "halves, no Hessian", half, half, strides, 2, NULL);
            check_layouts_of(&t, focal, "halves in, outputs as rows", half, strides, own,
                             layouts[0].strides, 2, NULL);
            check_layouts_of(&t, focal, "rows of halves in", half, layouts[0].strides, own, strides,
                             2, NULL);
        } else {
            check_layout(&t, focal, "floats out", own, FGHM_F32, strides, 7, NULL);
            check_layout(&t, focal, "floats out, no Hessian", own, FGHM_F32, strides, 2, NULL);
        }
    }
    table_free(&t);
    fghm_focal_destroy(focal);
}

static void layouts_give_the_same_bits(void **state) {
    const size_t sizes[] = {1,   2,   3,   7,   15,  16,  17,  21,  31,  32,  33,
                            47,  48,  49,  63,  64,  65,  80,  127, 128, 200, 255,
                            256, 257, 271, 272, 273, 300, 511, 512, 513, 529, 1000};
    struct random r = random_for(903);
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create(&pool, 3), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(sizes); k++) {
        check_layouts(&r, *state, 1 + random_below(&r, 20), sizes[k], pool);
        if (sizes[k] < 100) {
            check_layouts(&r, *state, 60 + random_below(&r, 90), sizes[k], pool);
        }
    }
    fghm_pool_destroy(pool);
}

/* Planes of a batch that are not one behind the other, of any length. */
static void images_have_the_bits_of_rows(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(904);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN_VALID);
    for (int k = 0; k < 60; k++) {
        const size_t images = 1 + random_below(&r, 3), pixels = 1 + random_below(&r, 70);
        struct table t = table_new(d, images * pixels, 1 + random_below(&r, 40));
        const size_t extents[] = {images, t.classes, pixels};
        const int64_t strides[] = {(int64_t)(t.classes * pixels), (int64_t)pixels, 1};
        fghm_batch b = descriptor_of(images, t.classes, pixels);
        fghm_result result = FGHM_RESULT_INIT;
        table_fill(&r, &t);
        table_run(&t, focal, &t.logits, t.out, 7, NULL);
        struct strided logits = strided_new(dtype_of(d), extents, strides, 1);
        struct strided gradient = strided_new(dtype_of(d), extents, strides, 1);
        for (size_t n = 0; n < t.samples; n++) {
            for (size_t c = 0; c < t.classes; c++) {
                strided_put(&logits, n / pixels, c, n % pixels, strided_get(&t.logits, n, c, 0));
            }
        }
        b.activation = FGHM_SOFTMAX;
        b.target_form = FGHM_TARGET_LABEL;
        b.ignore_index = -1;
        b.logits = strided_input(&logits);
        b.targets = (fghm_input){.data = t.labels.first, .dtype = FGHM_I64};
        b.gradient = strided_output(&gradient);
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
        for (size_t n = 0; n < t.samples; n++) {
            for (size_t c = 0; c < t.classes; c++) {
                assert_true(same_number(strided_get(&gradient, n / pixels, c, n % pixels),
                                        strided_get(&t.out[GRADIENT], n, c, 0)));
            }
        }
        assert_true(same_number(result.loss, t.loss));
        strided_free(&logits);
        strided_free(&gradient);
        table_free(&t);
    }
    fghm_focal_destroy(focal);
}

/* -------------------------------------------------------------------------
 * What is no number, and what is ignored. */

/* Any NaN, whatever its payload, in any place of a row makes that row NaN and no other; in a row
 * that is ignored, nothing. */
static void any_nan_is_seen(void **state) {
    const struct dtype *d = *state;
    const size_t sizes[] = {2, 9, 16, 40, 300};
    struct random r = random_for(905);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    for (size_t k = 0; k < SUITE_COUNT(sizes); k++) {
        for (int payload = 0; payload < 40; payload++) {
            struct table t = table_new(d, 3, sizes[k]);
            for (size_t i = 0; i < 3 * sizes[k]; i++) {
                strided_set(&t.logits, i, random_normal(&r));
            }
            const size_t row = random_below(&r, 3), c = random_below(&r, sizes[k]);
            const uint32_t low = (uint32_t)random_bits(&r);
            const uint32_t f32 = 0x7fc00000u | (low & 0x803fffffu);
            const uint64_t f64 = UINT64_C(0x7ff8000000000000) | (uint64_t)low;
            unsigned char *const at = t.logits.first + (row * sizes[k] + c) * d->size;
            memcpy(at, d->size == sizeof f32 ? (const void *)&f32 : (const void *)&f64, d->size);
            const int ignored = payload % 4 == 0;
            strided_put(&t.labels, row, 0, 0, ignored ? -1.0 : 0.0);
            for (size_t n = 0; n < 3; n++) {
                strided_put(&t.labels, n, 0, 0, n == row && ignored ? -1.0 : 0.0);
            }
            table_run(&t, focal, &t.logits, t.out, 7, NULL);
            for (size_t i = 0; i < 3 * sizes[k]; i++) {
                const int spoiled = i / sizes[k] == row && !ignored;
                assert_int_equal(isnan(strided_at(&t.out[GRADIENT], i)) != 0, spoiled);
                assert_int_equal(isnan(strided_at(&t.out[HESSIAN], i)) != 0, spoiled);
                if (i / sizes[k] == row && ignored) {
                    assert_true(strided_at(&t.out[GRADIENT], i) == 0.0);
                    assert_true(strided_at(&t.out[HESSIAN], i) == 0.0);
                }
            }
            assert_int_equal(isnan(t.loss) != 0, !ignored);
            table_free(&t);
        }
    }
    fghm_focal_destroy(focal);
}

/* One sample's loss, by labels; the logits are `numbers` as the type has them. */
static double loss_of_row(fghm_dtype dtype, const void *logits, size_t classes, int32_t label,
                          float *element_loss) {
    fghm_focal *const focal = focal_handle(2.0, -1.0, FGHM_REDUCTION_SUM);
    fghm_batch b = descriptor_of(1, classes, 1);
    fghm_result result = FGHM_RESULT_INIT;
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.logits = (fghm_input){.data = logits, .dtype = dtype};
    b.targets = (fghm_input){.data = &label, .dtype = FGHM_I32};
    b.element_loss = (fghm_output){.data = element_loss, .dtype = FGHM_F32};
    assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
    fghm_focal_destroy(focal);
    return result.loss;
}

/* However far down logits are, if they are alike. */
static void least_logits_are_alike(void **state) {
    enum { CLASSES = 100 };
    float least[CLASSES], zeros[CLASSES] = {0};
    float losses[2];
    (void)state;
    for (int c = 0; c < CLASSES; c++) {
        least[c] = -FLT_MAX;
    }
    for (int32_t label = 0; label < CLASSES; label += 33) {
        const double a = loss_of_row(FGHM_F32, least, CLASSES, label, &losses[0]);
        const double b = loss_of_row(FGHM_F32, zeros, CLASSES, label, &losses[1]);
        assert_true(a == b && losses[0] == losses[1] && a > 0.0);
    }
}

/* One class has all of the probability. */
static void one_class_has_no_loss(void **state) {
    const float logits[] = {-7.0f, 0.0f, 1e30f};
    const int64_t labels[] = {0, 0, 0};
    float losses[3] = {1, 1, 1}, gradient[3] = {1, 1, 1}, hessian[3] = {1, 1, 1};
    double loss = 1;
    fghm_focal *const focal = focal_handle(2.0, -1.0, FGHM_REDUCTION_SUM);
    (void)state;
    assert_int_equal(fghm_focal_softmax_f32(focal, NULL, 3, 1, logits, labels, FGHM_IGNORE_NONE,
                                            NULL, &loss, losses, gradient, hessian),
                     FGHM_OK);
    for (int k = 0; k < 3; k++) {
        assert_true(losses[k] == 0 && gradient[k] == 0 && hessian[k] == 0);
    }
    assert_true(loss == 0);
    fghm_focal_destroy(focal);
}

/* Where there is no room for a row, nor its own type: parts of it, whose own class is in one. */
static void rows_in_parts_have_the_same_bits(void **state) {
    enum { CLASSES = 5000, PART = 256 };
    static uint16_t halves[CLASSES]; /* bfloat16 */
    static float floats[CLASSES];
    struct random r = random_for(4711);
    (void)state;
    for (size_t c = 0; c < CLASSES; c++) {
        const float x = (float)random_uniform(&r, -4.0, 4.0);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        bits &= 0xffff0000u;
        halves[c] = (uint16_t)(bits >> 16);
        memcpy(&floats[c], &bits, sizeof bits);
    }
    for (int32_t label = 100; label < CLASSES; label += 700) {
        float losses[2];
        const float before = floats[label];
        floats[label] = 7.5f;
        const uint16_t half = halves[label];
        halves[label] = 0x40f0; /* 7.5 */
        const double a = loss_of_row(FGHM_BF16, halves, CLASSES, label, &losses[0]);
        const double b = loss_of_row(FGHM_F32, floats, CLASSES, label, &losses[1]);
        assert_true(a == b && losses[0] == losses[1] && a > 0.0);
        floats[label] = before;
        halves[label] = half;
    }
    /* The largest in another part, at the place that the own class has in its own. */
    for (int32_t label = 0; label < PART; label += 51) {
        const size_t far = (size_t)label + PART;
        const float before = floats[far];
        const uint16_t half = halves[far];
        float losses[2];
        floats[far] = 1024.0f;
        halves[far] = 0x4480; /* 1024 */
        const double a = loss_of_row(FGHM_BF16, halves, CLASSES, label, &losses[0]);
        const double b = loss_of_row(FGHM_F32, floats, CLASSES, label, &losses[1]);
        assert_true(a == b && losses[0] == losses[1] && a > 1000.0);
        floats[far] = before;
        halves[far] = half;
    }
}

int main(int argc, char **argv) {
    static const struct suite_test tests[] = {
        {"least_logits_are_alike", least_logits_are_alike, 0},
        {"one_class_has_no_loss", one_class_has_no_loss, 0},
        {"rows_in_parts_have_the_same_bits", rows_in_parts_have_the_same_bits, 0},
        {"many_classes_are_right", many_classes_are_right, 1},
        {"few_classes_are_right", few_classes_are_right, 1},
        {"layouts_give_the_same_bits", layouts_give_the_same_bits, 1},
        {"images_have_the_bits_of_rows", images_have_the_bits_of_rows, 1},
        {"any_nan_is_seen", any_nan_is_seen, 1},
    };
    return suite_run(argc, argv, "test_softmax", tests, SUITE_COUNT(tests));
}
