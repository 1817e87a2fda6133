/* SPDX-License-Identifier: MIT */

/* The mathematics and the shape of fghm_focal_f32 and _f64: every value against
 * the wide reference, limits, special values, reductions, and that nothing but
 * its own logit, target and weight decides an element's result. */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/report.h"
#include "support/loss.h"
#include "support/suite.h"

/* The promise: at most 8 ulp for these gammas, 16 for any other in [0, 10]. */
static const double short_gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0};
static const double other_gammas[] = {0.1, 1.7, 2.5, 7.3, 10.0};
#define SHORT_BOUND 8.0
#define OTHER_BOUND 16.0
/* The Hessian's, of its terms. */
#define HESSIAN_FACTOR 1.5

/* Where the true value is subnormal, errors are counted in units of the
 * smallest subnormal number. */
#define SUBNORMAL_BOUND 8.0

static const double special_magnitudes[] = {
    0.0,   1e-300, 1e-38, 1e-30, 1e-20, 1e-8,  1e-4,  0.1,   0.5,   1.0,   2.0,   2.79,   3.1,
    4.02,  5.0,    9.39,  10.0,  15.9,  16.64, 17.0,  18.0,  30.0,  36.0,  36.75, 37.5,   40.0,
    43.5,  50.0,   69.0,  75.0,  87.0,  87.34, 88.0,  88.73, 89.0,  100.0, 103.0, 103.97, 104.0,
    105.0, 150.0,  200.0, 354.0, 372.0, 500.0, 700.0, 708.0, 708.4, 709.8, 710.0, 740.0,  744.4,
    745.2, 746.0,  800.0, 1e3,   1e4,   1e5,   1e10,  1e18,  1e30,  1e38,
};

/* Both signs of the above, and what differs between the types. */
static size_t special_logits(const struct dtype *d, double *out) {
    const double own[] = {dtype_round(d, d->format->max), d->min_normal,
                          ldexp(1.0, d->format->lowest), ldexp(5.0, d->format->lowest),
                          d->next(d->min_normal, 0.0)};
    size_t n = 0;
    for (size_t i = 0; i < SUITE_COUNT(special_magnitudes); i++) {
        out[n++] = dtype_round(d, special_magnitudes[i]);
    }
    for (size_t i = 0; i < SUITE_COUNT(own); i++) {
        out[n++] = own[i];
    }
    for (size_t i = 0; i < n; i++) {
        out[n + i] = -out[i];
    }
    return 2 * n;
}
#define SPECIALS (2 * (SUITE_COUNT(special_magnitudes) + 5))

/* A logit of one of the distributions.  The last one puts the powers of
 * 1 - p_t near the smallest normal number: gamma decides where that is. */
static double random_logit(const struct dtype *d, struct random *r, double gamma, double target) {
    double edge = -log(d->min_normal) * random_uniform(r, 0.9, 1.2);
    double side = target >= 0.5 ? 1.0 : -1.0;
    switch (random_below(r, 5)) {
    case 0:
        return random_uniform(r, -5.0, 5.0);
    case 1:
        return 10.0 * random_normal(r);
    case 2:
        return random_log_uniform(r, 1e-6, 1e3);
    case 3:
        return side * edge / (gamma + 1.0);
    default:
        return -side * edge / (gamma + 1.0);
    }
}

static double random_hard_target(struct random *r) {
    return random_bits(r) & 1 ? 1.0 : 0.0;
}

static double random_soft_target(const struct dtype *d, struct random *r) {
    const double few[] = {0.5,
                          0.25,
                          0.1,
                          0.9,
                          1e-3,
                          0.999,
                          1e-8,
                          d->min_normal,
                          d->next(0.0, 1.0),
                          0.75,
                          d->next(1.0, 0.0),
                          d->next(0.5, 0.0)};
    size_t i = random_below(r, 2 * SUITE_COUNT(few));
    return i < SUITE_COUNT(few) ? few[i] : random_uniform(r, 0.0, 1.0);
}

/* The special logits, then random ones. */
static void fill(struct batch *b, struct random *r, double gamma, int soft) {
    double specials[SPECIALS];
    size_t n = special_logits(b->d, specials);
    for (size_t i = 0; i < b->n; i++) {
        double t = soft ? random_soft_target(b->d, r) : random_hard_target(r);
        batch_put(b, i, i < n ? specials[i] : random_logit(b->d, r, gamma, t), t);
    }
}

/* -------------------------------------------------------------------------
 * The reference itself: its derivatives are those of its loss. */

struct stencil {
    struct wide_focal low, mid, high;
    mpfr_t x, step;
};

static void stencil_at(struct stencil *s, double gamma, double alpha, double logit, double target) {
    mpfr_set_d(s->x, logit, MPFR_RNDN);
    wide_focal_at(&s->mid, gamma, alpha, s->x, target);
    mpfr_sub(s->x, s->x, s->step, MPFR_RNDN);
    wide_focal_at(&s->low, gamma, alpha, s->x, target);
    mpfr_set_d(s->x, logit, MPFR_RNDN);
    mpfr_add(s->x, s->x, s->step, MPFR_RNDN);
    wide_focal_at(&s->high, gamma, alpha, s->x, target);
    /* low.gradient becomes the first difference, high.gradient the second */
    mpfr_sub(s->low.gradient, s->high.loss, s->low.loss, MPFR_RNDN);
    mpfr_div(s->low.gradient, s->low.gradient, s->step, MPFR_RNDN);
    mpfr_div_2ui(s->low.gradient, s->low.gradient, 1, MPFR_RNDN);
    mpfr_add(s->high.gradient, s->high.loss, s->low.loss, MPFR_RNDN);
    mpfr_sub(s->high.gradient, s->high.gradient, s->mid.loss, MPFR_RNDN);
    mpfr_sub(s->high.gradient, s->high.gradient, s->mid.loss, MPFR_RNDN);
    mpfr_div(s->high.gradient, s->high.gradient, s->step, MPFR_RNDN);
    mpfr_div(s->high.gradient, s->high.gradient, s->step, MPFR_RNDN);
}

static void stencil_init(struct stencil *s) {
    wide_focal_init(&s->low);
    wide_focal_init(&s->mid);
    wide_focal_init(&s->high);
    mpfr_inits2(WIDE_BITS, s->x, s->step, (mpfr_ptr)0);
    mpfr_set_ui_2exp(s->step, 1, -60, MPFR_RNDN);
}

static void stencil_clear(struct stencil *s) {
    wide_focal_clear(&s->low);
    wide_focal_clear(&s->mid);
    wide_focal_clear(&s->high);
    mpfr_clears(s->x, s->step, (mpfr_ptr)0);
}

/* |a - b| <= 2^-90 scale */
static int agree(mpfr_srcptr a, mpfr_srcptr b, mpfr_srcptr scale) {
    mpfr_t difference;
    int result;
    mpfr_init2(difference, WIDE_BITS);
    mpfr_sub(difference, a, b, MPFR_RNDN);
    mpfr_mul_2ui(difference, difference, 90, MPFR_RNDN);
    result = mpfr_cmpabs(difference, scale) <= 0;
    mpfr_clear(difference);
    return result;
}

static void reference_derivatives_are_those_of_its_loss(void **state) {
    struct random r = random_for(1);
    struct stencil s;
    (void)state;
    stencil_init(&s);
    for (int i = 0; i < 1500; i++) {
        double gamma = i % 3 ? random_uniform(&r, 0.0, 10.0) : short_gammas[i % 8];
        double alpha = i % 2 ? random_uniform(&r, 0.0, 1.0) : WIDE_ALPHA_OFF;
        double target = i % 5 < 2 ? random_hard_target(&r) : random_uniform(&r, 0.0, 1.0);
        double logit = i % 7 ? random_uniform(&r, -12.0, 12.0) : random_uniform(&r, -60.0, 60.0);
        stencil_at(&s, gamma, alpha, logit, target);
        if (!agree(s.low.gradient, s.mid.gradient, s.mid.gradient_scale) ||
            !agree(s.high.gradient, s.mid.hessian, s.mid.hessian_scale)) {
            fail_msg("gamma %.17g alpha %.17g target %a logit %a", gamma, alpha, target, logit);
        }
    }
    stencil_clear(&s);
}

/* The library against the same differences, without the reference's own
 * derivatives in between. */
static void derivatives_match_numeric_ones(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(2);
    struct batch b = batch_new(d, 400);
    struct stencil s;
    stencil_init(&s);
    for (size_t g = 0; g < SUITE_COUNT(short_gammas); g++) {
        fghm_focal *focal = focal_handle(short_gammas[g], 0.25, FGHM_REDUCTION_SUM);
        b.n = 40;
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, random_uniform(&r, -8.0, 8.0), random_hard_target(&r));
        }
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            struct place at = {d,
                               short_gammas[g],
                               0.25,
                               d->get(b.targets, i),
                               d->get(b.logits, i),
                               "gradient, numeric"};
            stencil_at(&s, at.gamma, at.alpha, at.logit, at.target);
            report_check(&at, d->get(b.out[GRADIENT], i), s.low.gradient, s.mid.gradient_scale,
                         SHORT_BOUND);
            at.output = "hessian, numeric";
            report_check(&at, d->get(b.out[HESSIAN], i), s.high.gradient, s.mid.hessian_scale,
                         SHORT_BOUND);
        }
        fghm_focal_destroy(focal);
    }
    stencil_clear(&s);
    batch_free(&b);
    report_end();
}

/* -------------------------------------------------------------------------
 * Every value against the reference. */

static void note(struct worst *worst, const struct dtype *d, int k, mpfr_srcptr scale,
                 double ulps) {
    double *slot = mpfr_cmp_d(scale, d->min_normal) < 0 ? &worst->subnormal[k] : &worst->normal[k];
    if (ulps > *slot) {
        *slot = ulps;
    }
}

static double bound_at(const struct dtype *d, mpfr_srcptr scale, double bound) {
    return mpfr_cmp_d(scale, d->min_normal) < 0 ? SUBNORMAL_BOUND : bound;
}

/* A loss that is a huge cross-entropy times a subnormal factor has the factor's
 * absolute error, times the cross-entropy. */
static double loss_bound(const struct dtype *d, const struct wide_focal *w, double bound) {
    mpfr_t factor;
    mpfr_init2(factor, WIDE_BITS);
    mpfr_div(factor, w->loss, w->bce, MPFR_RNDN);
    if (mpfr_sgn(factor) > 0 && mpfr_cmp_d(factor, d->min_normal) < 0) {
        mpfr_d_div(factor, d->min_normal, factor, MPFR_RNDU);
        bound = fmax(bound, 2.0 * SUBNORMAL_BOUND * mpfr_get_d(factor, MPFR_RNDU));
    }
    mpfr_clear(factor);
    return bound;
}

static void check_element(const struct batch *b, size_t i, const struct wide_focal *w,
                          struct place *at, double bound, struct worst *worst) {
    mpfr_srcptr exact[OUTPUTS] = {w->loss, w->gradient, w->hessian};
    mpfr_srcptr scale[OUTPUTS] = {w->loss, w->gradient_scale, w->hessian_scale};
    for (int k = 0; k < OUTPUTS; k++) {
        const double bounds[] = {loss_bound(b->d, w, bound), bound, HESSIAN_FACTOR * bound};
        double ulps;
        at->output = output_names[k];
        ulps = report_check(at, b->d->get(b->out[k], i), exact[k], scale[k],
                            bound_at(b->d, scale[k], bounds[k]));
        note(worst, b->d, k, scale[k], ulps);
    }
}

/* All elements of one batch with one configuration. */
static void check_batch(struct batch *b, double gamma, double alpha, double bound,
                        struct worst *worst) {
    fghm_focal *focal = focal_handle(gamma, alpha, FGHM_REDUCTION_SUM);
    struct wide_focal w;
    wide_focal_init(&w);
    assert_int_equal(batch_focal(b, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < b->n; i++) {
        struct place at = {b->d, gamma, alpha, b->d->get(b->targets, i), b->d->get(b->logits, i),
                           NULL};
        wide_focal(&w, gamma, alpha, at.logit, at.target);
        check_element(b, i, &w, &at, bound, worst);
    }
    wide_focal_clear(&w);
    fghm_focal_destroy(focal);
}

static void print_worst(const struct dtype *d, const char *kind, double gamma,
                        const struct worst *w) {
    printf("  %s %s gamma %-5.3g max ulp: loss %.2f gradient %.2f hessian %.2f; subnormal: "
           "%.2f %.2f %.2f\n",
           d->name, kind, gamma, w->normal[0], w->normal[1], w->normal[2], w->subnormal[0],
           w->subnormal[1], w->subnormal[2]);
}

static void check_gamma(const struct dtype *d, struct random *r, double gamma, int soft,
                        double bound) {
    const double alphas[] = {WIDE_ALPHA_OFF, 0.25, random_uniform(r, 0.0, 1.0)};
    struct batch b = batch_new(d, SPECIALS + 250);
    struct worst worst = {{0.0}, {0.0}};
    for (size_t i = 0; i < SUITE_COUNT(alphas); i++) {
        fill(&b, r, gamma, soft);
        check_batch(&b, gamma, alphas[i], bound, &worst);
    }
    print_worst(d, soft ? "soft" : "hard", gamma, &worst);
    batch_free(&b);
}

static void hard_targets_short_gammas(void **state) {
    struct random r = random_for(3);
    for (size_t i = 0; i < SUITE_COUNT(short_gammas); i++) {
        check_gamma(*state, &r, short_gammas[i], 0, SHORT_BOUND);
    }
    report_end();
}

static void hard_targets_other_gammas(void **state) {
    struct random r = random_for(4);
    for (size_t i = 0; i < SUITE_COUNT(other_gammas); i++) {
        check_gamma(*state, &r, other_gammas[i], 0, OTHER_BOUND);
    }
    for (int i = 0; i < 3; i++) {
        check_gamma(*state, &r, random_uniform(&r, 0.0, 10.0), 0, OTHER_BOUND);
    }
    report_end();
}

static void soft_targets(void **state) {
    struct random r = random_for(5);
    for (size_t i = 0; i < SUITE_COUNT(short_gammas); i++) {
        check_gamma(*state, &r, short_gammas[i], 1, OTHER_BOUND);
    }
    for (size_t i = 0; i < SUITE_COUNT(other_gammas); i++) {
        check_gamma(*state, &r, other_gammas[i], 1, OTHER_BOUND);
    }
    report_end();
}

/* gamma 0, alpha off: BCE, and p - t for its gradient. */
static void gamma_zero_is_cross_entropy(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(6);
    struct batch b = batch_new(d, SPECIALS + 600);
    fghm_focal *focal = focal_handle(0.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    struct wide_focal w;
    wide_focal_init(&w);
    fill(&b, &r, 0.0, 0);
    for (size_t i = b.n / 2; i < b.n; i++) {
        d->put(b.targets, i, random_soft_target(d, &r));
    }
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < b.n; i++) {
        struct place at = {d,    0.0, WIDE_ALPHA_OFF, d->get(b.targets, i), d->get(b.logits, i),
                           "BCE"};
        wide_focal(&w, 0.0, WIDE_ALPHA_OFF, at.logit, at.target);
        report_check(&at, d->get(b.out[ELEMENT_LOSS], i), w.bce, w.bce, 4.0);
        at.output = "p - t";
        report_check(&at, d->get(b.out[GRADIENT], i), w.gradient, w.gradient_scale, 4.0);
    }
    wide_focal_clear(&w);
    fghm_focal_destroy(focal);
    batch_free(&b);
    report_end();
}

/* -------------------------------------------------------------------------
 * Limits and special values. */

static const double all_gammas[] = {0.0, 1e-300, 0.5, 1.0, 1.7, 2.0, 5.0, 20.0, 50.0, 64.0};

static void infinite_logits_give_the_limit(void **state) {
    const struct dtype *d = *state;
    const double alphas[] = {WIDE_ALPHA_OFF, 0.0, 0.25, 1.0};
    for (size_t k = 0; k < SUITE_COUNT(all_gammas) * SUITE_COUNT(alphas); k++) {
        double gamma = all_gammas[k / SUITE_COUNT(alphas)], alpha = alphas[k % SUITE_COUNT(alphas)];
        fghm_focal *focal = focal_handle(gamma, alpha, FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, 4);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, i < 2 ? (double)INFINITY : -(double)INFINITY, (double)(i % 2));
        }
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            double t = (double)(i % 2), sign = t > 0.0 ? 1.0 : -1.0;
            int wrong = sign * d->get(b.logits, i) < 0.0;
            double a_t = alpha == WIDE_ALPHA_OFF ? 1.0 : t > 0.0 ? alpha : 1.0 - alpha;
            const double want[OUTPUTS] = {wrong && a_t > 0.0 ? (double)INFINITY : 0.0,
                                          wrong ? -sign * a_t : 0.0, 0.0};
            struct place at = {d, gamma, alpha, t, d->get(b.logits, i), NULL};
            for (int o = 0; o < OUTPUTS; o++) {
                double got = d->get(b.out[o], i);
                at.output = output_names[o];
                report_require(&at, got, "the limit", got == want[o]);
            }
        }
        batch_free(&b);
        fghm_focal_destroy(focal);
    }
    report_end();
}

/* A soft target is wrong at both ends: loss inf, gradient
 * a_t |p - t|^gamma (p - t) with p = 0 or 1, Hessian 0. */
static void infinite_logits_of_soft_targets(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(7);
    struct batch b = batch_new(d, 40);
    struct wide_focal w;
    wide_focal_init(&w);
    for (size_t g = 0; g < SUITE_COUNT(short_gammas); g++) {
        fghm_focal *focal = focal_handle(short_gammas[g], 0.25, FGHM_REDUCTION_SUM);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, i % 2 ? (double)INFINITY : -(double)INFINITY,
                      random_soft_target(d, &r));
        }
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            struct place at = {
                d, short_gammas[g], 0.25, d->get(b.targets, i), d->get(b.logits, i), "gradient"};
            wide_focal(&w, at.gamma, 0.25, i % 2 ? 1e300 : -1e300, at.target);
            report_check(&at, d->get(b.out[GRADIENT], i), w.gradient, w.gradient_scale,
                         bound_at(d, w.gradient_scale, OTHER_BOUND));
            at.output = "element_loss";
            report_require(&at, d->get(b.out[ELEMENT_LOSS], i), "inf",
                           d->get(b.out[ELEMENT_LOSS], i) == (double)INFINITY);
            at.output = "hessian";
            report_require(&at, d->get(b.out[HESSIAN], i), "0", d->get(b.out[HESSIAN], i) == 0.0);
        }
        fghm_focal_destroy(focal);
    }
    wide_focal_clear(&w);
    batch_free(&b);
    report_end();
}

/* One NaN in turn in logits, targets and weights, at each place of a batch. */
static void nan_stays_in_its_element(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(8);
    struct batch clean = batch_new(d, 37), b = batch_new(d, 37);
    fghm_focal *focal = focal_handle(1.7, 0.25, FGHM_REDUCTION_MEAN);
    clean.weights = dtype_array(d, clean.n);
    b.weights = dtype_array(d, b.n);
    for (size_t i = 0; i < clean.n; i++) {
        double t = i % 3 ? random_hard_target(&r) : random_uniform(&r, 0.0, 1.0);
        batch_put(&clean, i, random_uniform(&r, -9.0, 9.0), t);
        d->put(clean.weights, i, random_uniform(&r, 0.5, 1.0));
    }
    assert_int_equal(batch_focal(&clean, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < 3 * b.n; i++) {
        void *arrays[] = {b.logits, b.targets, b.weights};
        size_t at = i / 3;
        memcpy(b.logits, clean.logits, b.n * d->size);
        memcpy(b.targets, clean.targets, b.n * d->size);
        memcpy(b.weights, clean.weights, b.n * d->size);
        d->put(arrays[i % 3], at, (double)NAN);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        assert_true(isnan(b.loss));
        for (int o = 0; o < OUTPUTS; o++) {
            assert_true(isnan(d->get(b.out[o], at)));
            d->put(b.out[o], at, d->get(clean.out[o], at));
            assert_int_equal(dtype_first_difference(d, b.out[o], clean.out[o], b.n), b.n);
        }
    }
    fghm_focal_destroy(focal);
    batch_free(&clean);
    batch_free(&b);
}

/* NaN wins over everything that would make the result a constant. */
static void nan_is_not_hidden(void **state) {
    const struct dtype *d = *state;
    const double alphas[] = {WIDE_ALPHA_OFF, 0.0, 1.0};
    for (size_t k = 0; k < 3 * SUITE_COUNT(all_gammas); k++) {
        fghm_focal *focal = focal_handle(all_gammas[k / 3], alphas[k % 3], FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, 5);
        b.weights = dtype_array(d, b.n);
        batch_put(&b, 0, (double)NAN, 0.0);
        batch_put(&b, 1, (double)NAN, 1.0);
        batch_put(&b, 2, (double)NAN, 0.5);
        batch_put(&b, 3, 3.0, (double)NAN);
        batch_put(&b, 4, 3.0, 1.0);
        d->put(b.weights, 4, (double)NAN);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n * OUTPUTS; i++) {
            assert_true(isnan(d->get(b.out[i % OUTPUTS], i / OUTPUTS)));
        }
        assert_true(isnan(b.loss));
        batch_free(&b);
        fghm_focal_destroy(focal);
    }
}

/* The value itself is promised only for gamma up to 10.  Beyond, an error of
 * the exponent gamma softplus(z) grows with the exponent, so this asks only that
 * the result is not something else altogether. */
static void check_far_gamma(const struct batch *b, size_t i, struct wide_focal *w,
                            struct place *at) {
    mpfr_srcptr exact[OUTPUTS] = {w->loss, w->gradient, w->hessian};
    mpfr_srcptr scale[OUTPUTS] = {w->loss, w->gradient_scale, w->hessian_scale};
    /* gamma e^-|z| is in the Hessian where e^-|z| lies far below all numbers */
    int outputs = at->gamma <= (b->d->size == sizeof(float) ? 1e6 : 1e16) ? OUTPUTS : HESSIAN;
    wide_focal(w, at->gamma, at->alpha, at->logit, at->target);
    for (int o = 0; o < outputs; o++) {
        at->output = output_names[o];
        report_check(at, b->d->get(b->out[o], i), exact[o], scale[o],
                     b->d->format->digits == FLT_MANT_DIG ? 0x1p14 : 0x1p43);
    }
}

static void check_finite(const struct batch *b, size_t i, struct place *at) {
    for (int o = 0; o < OUTPUTS; o++) {
        double got = b->d->get(b->out[o], i);
        at->output = output_names[o];
        report_require(at, got, "a finite value", isfinite(got));
    }
    at->output = output_names[ELEMENT_LOSS];
    report_require(at, b->d->get(b->out[ELEMENT_LOSS], i), "0 or more",
                   b->d->get(b->out[ELEMENT_LOSS], i) >= 0.0);
}

/* Special logits, any bit patterns, and logits where (1 - p_t)^gamma turns
 * from 0 into 1. */
static void fill_far(struct batch *b, struct random *r, double gamma) {
    double specials[SPECIALS];
    size_t n = special_logits(b->d, specials);
    for (size_t i = 0; i < b->n; i++) {
        double t = i % 4 == 0   ? random_soft_target(b->d, r)
                   : i % 4 == 1 ? random_uniform(r, 0.0, 1.0)
                                : random_hard_target(r);
        double turn = -log(gamma) + random_uniform(r, -6.0, 6.0);
        double x = i < n ? specials[i] : i % 2 ? b->d->any(r) : t >= 0.5 ? turn : -turn;
        batch_put(b, i, x, t);
    }
}

static void finite_for_every_gamma(void **state) {
    const double gammas[] = {1e-320, 1e-300, 1e-10, 11.0, 30.0, 50.0, 63.5, 64.0};
    const struct dtype *d = *state;
    struct random r = random_for(9);
    struct batch b = batch_new(d, SPECIALS + 400);
    struct wide_focal w;
    wide_focal_init(&w);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        double alpha = g % 2 ? 0.25 : WIDE_ALPHA_OFF;
        fghm_focal *focal = focal_handle(gammas[g], alpha, FGHM_REDUCTION_SUM);
        fill_far(&b, &r, gammas[g]);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            struct place at = {d,   gammas[g], alpha, d->get(b.targets, i), d->get(b.logits, i),
                               NULL};
            check_finite(&b, i, &at);
            /* soft targets with a huge gamma raise a rounded number to it */
            if (at.target == 0.0 || at.target == 1.0) {
                check_far_gamma(&b, i, &w, &at);
            }
        }
        fghm_focal_destroy(focal);
    }
    wide_focal_clear(&w);
    batch_free(&b);
    report_end();
}

static void alpha_zero_and_one_give_exact_zeros(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(10);
    struct batch b = batch_new(d, SPECIALS + 100);
    for (size_t k = 0; k < 2 * SUITE_COUNT(all_gammas); k++) {
        double alpha = (double)(k % 2), off = 1.0 - alpha;
        fghm_focal *focal = focal_handle(all_gammas[k / 2], alpha, FGHM_REDUCTION_SUM);
        fill(&b, &r, 2.0, 0);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            struct place at = {
                d, all_gammas[k / 2], alpha, d->get(b.targets, i), d->get(b.logits, i), NULL};
            for (int o = 0; o < OUTPUTS && at.target == off; o++) {
                at.output = output_names[o];
                report_require(&at, d->get(b.out[o], i), "0", d->get(b.out[o], i) == 0.0);
            }
        }
        fghm_focal_destroy(focal);
    }
    batch_free(&b);
    report_end();
}

/* -------------------------------------------------------------------------
 * Weights, reductions, sums. */

static void fill_plain(struct batch *b, struct random *r) {
    for (size_t i = 0; i < b->n; i++) {
        double t = i % 4 ? random_hard_target(r) : random_uniform(r, 0.0, 1.0);
        batch_put(b, i, random_uniform(r, -9.0, 9.0), t);
    }
}

/* A power of two, either sign, scales exactly. */
static void weights_are_linear(void **state) {
    const struct dtype *d = *state;
    const double weights[] = {2.0, 0.5, -1.0, -4.0, 0.0};
    struct random r = random_for(12);
    struct batch b = batch_new(d, 203);
    fghm_focal *focal = focal_handle(2.5, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    fill_plain(&b, &r);
    struct batch c = batch_twin(&b);
    c.weights = dtype_array(d, c.n);
    for (size_t i = 0; i < c.n; i++) {
        d->put(c.weights, i, weights[i % SUITE_COUNT(weights)]);
    }
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    assert_int_equal(batch_focal(&c, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < OUTPUTS * c.n; i++) {
        size_t o = i % OUTPUTS, e = i / OUTPUTS;
        struct place at = {
            d, 2.5, WIDE_ALPHA_OFF, d->get(b.targets, e), d->get(b.logits, e), output_names[o]};
        double want = d->get(b.out[o], e) * weights[e % SUITE_COUNT(weights)];
        report_require(&at, d->get(c.out[o], e), "weight times the unweighted result",
                       d->get(c.out[o], e) == want);
    }
    fghm_focal_destroy(focal);
    batch_free(&b);
    batch_free(&c);
    report_end();
}

/* The limit of 0 FL(x) is 0, however large FL(x) grows. */
static void weight_zero_of_infinite_logits(void **state) {
    const struct dtype *d = *state;
    struct batch b = batch_new(d, 4);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    b.weights = dtype_array(d, b.n);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, i < 2 ? (double)INFINITY : -(double)INFINITY, (double)(i % 2));
    }
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < OUTPUTS * b.n; i++) {
        struct place at = {d,
                           2.0,
                           0.25,
                           d->get(b.targets, i / OUTPUTS),
                           d->get(b.logits, i / OUTPUTS),
                           output_names[i % OUTPUTS]};
        double got = d->get(b.out[i % OUTPUTS], i / OUTPUTS);
        report_require(&at, got, "0, the weight being 0", got == 0.0);
    }
    assert_true(b.loss == 0.0);
    fghm_focal_destroy(focal);
    batch_free(&b);
    report_end();
}

/* One batch against exact sums.  Elements repeat with a period, so that the
 * exact sum of many is cheap. */
struct sums {
    size_t period;
    mpfr_t prefix; /* of the first n % period elements */
    mpfr_t whole;  /* of one period */
    mpfr_t total;
};

static void add_exact(struct sums *s, const struct batch *b, double gamma, double alpha) {
    size_t rest = b->n % s->period;
    struct wide_focal w;
    wide_focal_init(&w);
    mpfr_set_ui(s->whole, 0, MPFR_RNDN);
    mpfr_set_ui(s->prefix, 0, MPFR_RNDN);
    for (size_t i = 0; i < s->period && i < b->n; i++) {
        wide_focal(&w, gamma, alpha, b->d->get(b->logits, i), b->d->get(b->targets, i));
        if (b->weights != NULL) {
            mpfr_mul_d(w.loss, w.loss, b->d->get(b->weights, i), MPFR_RNDN);
        }
        mpfr_add(s->whole, s->whole, w.loss, MPFR_RNDN);
        if (i < rest) {
            mpfr_add(s->prefix, s->prefix, w.loss, MPFR_RNDN);
        }
    }
    mpfr_mul_ui(s->total, s->whole, (unsigned long)(b->n / s->period), MPFR_RNDN);
    mpfr_add(s->total, s->total, s->prefix, MPFR_RNDN);
    wide_focal_clear(&w);
}

static void check_sum(const struct dtype *d, struct random *r, size_t n, int weighted) {
    const double gamma = weighted ? 0.5 : 2.0, alpha = 0.25, normalizer = 37.25;
    const double divisor[] = {1.0, (double)n, normalizer};
    struct batch b = batch_new(d, n);
    struct sums s = {.period = 300};
    fghm_focal *focal = focal_handle(gamma, alpha, FGHM_REDUCTION_SUM);
    mpfr_inits2(WIDE_BITS, s.prefix, s.whole, s.total, (mpfr_ptr)0);
    b.weights = weighted ? dtype_array(d, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        size_t j = i % s.period;
        double t = j % 4 ? random_hard_target(r) : random_uniform(r, 0.0, 1.0);
        batch_put(&b, i, i < s.period ? random_uniform(r, -12.0, 12.0) : d->get(b.logits, j),
                  i < s.period ? t : d->get(b.targets, j));
        if (weighted) {
            d->put(b.weights, i, i < s.period ? random_uniform(r, 0.0, 1.0) : d->get(b.weights, j));
        }
    }
    add_exact(&s, &b, gamma, alpha);
    assert_int_equal(fghm_focal_set_normalizer(focal, normalizer), FGHM_OK);
    for (int k = 0; k < 3; k++) {
        double error;
        assert_int_equal(fghm_focal_set_reduction(focal, k), FGHM_OK);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        mpfr_div_d(s.whole, s.total, divisor[k], MPFR_RNDN);
        error = wide_relative_error(b.loss, s.whole);
        if (!(error <= d->sum_bound)) {
            fail_msg("%s n %zu reduction %d: loss %a, relative error %.3g > %.3g, seed %llu",
                     d->name, n, k, b.loss, error, d->sum_bound,
                     (unsigned long long)random_run_seed());
        }
    }
    mpfr_clears(s.prefix, s.whole, s.total, (mpfr_ptr)0);
    fghm_focal_destroy(focal);
    batch_free(&b);
}

static void sums_are_accurate(void **state) {
    const size_t sizes[] = {1, 2, 3, 17, 1000, 100003};
    struct random r = random_for(13);
    for (size_t i = 0; i < SUITE_COUNT(sizes); i++) {
        check_sum(*state, &r, sizes[i], 0);
        check_sum(*state, &r, sizes[i], 1);
    }
}

/* The sum of losses near the end of their type's range is a double, and need not
 * overflow. */
static void sum_of_the_largest_losses(void **state) {
    const struct dtype *d = *state;
    struct batch b = batch_new(d, 272);
    const double largest = d->size == sizeof(float) ? (double)FLT_MAX : DBL_MAX / 512;
    fghm_focal *focal = focal_handle(0.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, largest, 0.0);
    }
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    assert_true(fabs(b.loss / largest - (double)b.n) <= d->sum_bound * (double)b.n);
    /* And of ordinary losses with the largest weights. */
    b.weights = dtype_array(d, b.n);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, 1.0, 0.0);
        d->put(b.weights, i, largest / 2.0);
    }
    const double want = (double)b.n * log1p(exp(1.0));
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    assert_true(fabs(b.loss / (largest / 2.0) - want) <= 4.0 * d->sum_bound * want);
    fghm_focal_destroy(focal);
    batch_free(&b);
}

/* Gradient and Hessian carry 1 / D, the element losses do not.  The bound
 * leaves two roundings for the scale. */
static void check_divided(const struct batch *b, double gamma, double divisor, double bound) {
    const struct dtype *d = b->d;
    struct wide_focal w;
    wide_focal_init(&w);
    for (size_t i = 0; i < b->n; i++) {
        struct place at = {d,
                           gamma,
                           WIDE_ALPHA_OFF,
                           d->get(b->targets, i),
                           d->get(b->logits, i),
                           "element_loss, not divided"};
        wide_focal(&w, gamma, WIDE_ALPHA_OFF, at.logit, at.target);
        report_check(&at, d->get(b->out[ELEMENT_LOSS], i), w.loss, w.loss, bound);
        mpfr_div_d(w.gradient, w.gradient, divisor, MPFR_RNDN);
        mpfr_div_d(w.gradient_scale, w.gradient_scale, divisor, MPFR_RNDN);
        mpfr_div_d(w.hessian, w.hessian, divisor, MPFR_RNDN);
        mpfr_div_d(w.hessian_scale, w.hessian_scale, divisor, MPFR_RNDN);
        at.output = "gradient / D";
        report_check(&at, d->get(b->out[GRADIENT], i), w.gradient, w.gradient_scale, bound + 2.0);
        at.output = "hessian / D";
        report_check(&at, d->get(b->out[HESSIAN], i), w.hessian, w.hessian_scale, bound + 2.0);
    }
    wide_focal_clear(&w);
}

static void gradients_carry_the_reduction(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(14);
    struct batch b = batch_new(d, 101);
    fghm_focal *focal = focal_handle(2.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_MEAN);
    fill_plain(&b, &r);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    check_divided(&b, 2.0, 101.0, OTHER_BOUND);
    assert_int_equal(fghm_focal_set_normalizer(focal, 0.3), FGHM_OK);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    check_divided(&b, 2.0, 101.0, OTHER_BOUND); /* MEAN does not look at it */
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_NORMALIZER), FGHM_OK);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    check_divided(&b, 2.0, 0.3, OTHER_BOUND);
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM), FGHM_OK);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    check_divided(&b, 2.0, 1.0, OTHER_BOUND);
    fghm_focal_destroy(focal);
    batch_free(&b);
    report_end();
}

/* A divisor is a double, also in a float call: 1 / D may be no float, or no
 * double even, where the quotient is one. */
static void far_normalizers(void **state) {
    const struct dtype *d = *state;
    const double divisors[] = {0x1p-40, 1e-10, 1e15, 0x1p60};
    struct random r = random_for(15);
    for (size_t k = 0; k < SUITE_COUNT(divisors); k++) {
        struct batch b = batch_new(d, 67);
        fghm_focal *focal = focal_handle(2.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_NORMALIZER);
        assert_int_equal(fghm_focal_set_normalizer(focal, divisors[k]), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            double room = -log(d->min_normal) / 3.0 - 1.0;
            batch_put(&b, i, random_uniform(&r, 0.0, room), 1.0);
        }
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        check_divided(&b, 2.0, divisors[k], SHORT_BOUND);
        fghm_focal_destroy(focal);
        batch_free(&b);
    }
    report_end();
}

/* Every rule and mode: a Hessian need not depend on the target. */
static void bad_targets_make_all_results_nan(void **state) {
    const struct dtype *d = *state;
    const double logits[] = {-1e30, -3.0, 0.0, 2.0, 1e30};
    const double targets[] = {-1e30, -0.5, 1.5, (double)NAN};
    struct batch b = batch_new(d, SUITE_COUNT(logits));
    for (int k = 0; k < 8 * 5 * 2 * (int)SUITE_COUNT(targets); k++) {
        const double target = targets[k / 80];
        fghm_focal *focal = focal_handle(1.5, 0.25, FGHM_REDUCTION_SUM);
        assert_int_equal(fghm_focal_set_rule(focal, k % 8), FGHM_OK);
        assert_int_equal(fghm_focal_set_hessian_mode(focal, k / 8 % 5), FGHM_OK);
        assert_int_equal(
            fghm_focal_set_detached(focal, k % 8 == FGHM_FOCAL_RULE_STAR ? 0 : k / 40 % 2),
            FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, logits[i], target);
        }
        assert_int_equal(batch_focal(&b, focal, NULL), isnan(target) ? FGHM_OK : FGHM_ERROR_TARGET);
        for (size_t i = 0; i < OUTPUTS * b.n; i++) {
            if (!isnan(d->get(b.out[i / b.n], i % b.n))) {
                fail_msg("rule %d, mode %d, logit %g, target %g: output %zu is a number", k % 8,
                         k / 8 % 5, logits[i % b.n], target, i / b.n);
            }
        }
        fghm_focal_destroy(focal);
    }
    batch_free(&b);
}

/* Gammas that are products and those that are not: positives feel nothing of negatives'. */
static void positives_have_their_own_gamma(void **state) {
    const struct dtype *d = *state;
    struct batch one = batch_new(d, 64);
    for (size_t i = 0; i < one.n; i++) {
        batch_put(&one, i, (double)i / 8.0 - 4.0, 1.0);
    }
    struct batch two = batch_twin(&one);
    for (double gamma = 0.0; gamma <= 9.0; gamma += 0.5) {
        fghm_focal *focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        assert_int_equal(batch_focal(&one, focal, NULL), FGHM_OK);
        assert_int_equal(fghm_focal_set_negative_gamma(focal, 1.5), FGHM_OK);
        assert_int_equal(batch_focal(&two, focal, NULL), FGHM_OK);
        for (size_t i = 0; i < OUTPUTS * one.n; i++) {
            const double a = d->get(one.out[i / one.n], i % one.n);
            const double b = d->get(two.out[i / one.n], i % one.n);
            assert_true(fabs(a - b) <= ldexp(128.0, -d->format->digits));
        }
        fghm_focal_destroy(focal);
    }
    batch_free(&one);
    batch_free(&two);
}

/* What was set and taken back, computes as if it had never been. */
static void cleared_settings_leave_no_trace(void **state) {
    const struct dtype *d = *state;
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    struct batch want = batch_new(d, 2);
    batch_put(&want, 0, 0.5, 0.0);
    batch_put(&want, 1, 0.5, 1.0);
    struct batch got = batch_twin(&want);
    assert_int_equal(batch_focal(&want, focal, NULL), FGHM_OK);
    assert_int_equal(fghm_focal_set_negative_gamma(focal, 3.0), FGHM_OK);
    assert_int_equal(fghm_focal_clear_negative_gamma(focal), FGHM_OK);
    assert_int_equal(batch_focal(&got, focal, NULL), FGHM_OK);
    assert_true(batch_is_same(&got, &want));
    assert_int_equal(fghm_focal_set_positive_weight(focal, 3.0), FGHM_OK);
    assert_int_equal(fghm_focal_clear_positive_weight(focal), FGHM_OK);
    assert_int_equal(batch_focal(&got, focal, NULL), FGHM_OK);
    assert_true(batch_is_same(&got, &want));
    batch_free(&want);
    batch_free(&got);
    fghm_focal_destroy(focal);
}

/* -------------------------------------------------------------------------
 * Neighbours. */

/* Hard, soft, special and NaN elements side by side, in a random order. */
static void neighbours_do_not_matter(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7, 64.0};
    struct random r = random_for(17);
    struct batch b = batch_new(d, SPECIALS + 260);
    b.weights = dtype_array(d, b.n);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        fghm_focal *focal = focal_handle(gammas[g], 0.25, FGHM_REDUCTION_SUM);
        size_t order[SPECIALS + 260];
        double specials[SPECIALS];
        size_t n = special_logits(d, specials);
        random_permutation(&r, b.n, order);
        for (size_t i = 0; i < b.n; i++) {
            double t = i % 3 ? random_hard_target(&r) : random_soft_target(d, &r);
            double x = i < n ? specials[i] : random_logit(d, &r, 2.0, t);
            x = i % 61 == 60 ? (double)NAN : i % 67 == 66 ? (double)INFINITY : x;
            batch_put(&b, order[i], x, t);
            d->put(b.weights, i, random_uniform(&r, 0.0, 1.0));
        }
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        loss_check_alone(&all_losses[FOCAL], focal, &b);
        fghm_focal_destroy(focal);
    }
    batch_free(&b);
}

/* Weights so small that results are subnormal numbers, and their last bits depend on the order of
 * factors. */
static void hard_targets_do_not_feel_their_neighbours(void **state) {
    enum { N = 32, SOFT = 5 };
    (void)state;
    fghm_focal *focal;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    for (int exponent = -149; exponent < -100; exponent++) {
        float logits[N], targets[2][N], weights[N], out[2][3][N];
        for (int i = 0; i < N; i++) {
            logits[i] = 0.75f - 0.125f * (float)i;
            targets[0][i] = targets[1][i] = (float)(i % 2);
            weights[i] = ldexpf(1.0f + 0.03f * (float)i, exponent);
        }
        targets[1][SOFT] = 0.3f;
        for (int k = 0; k < 2; k++) {
            assert_int_equal(fghm_focal_f32(focal, NULL, N, logits, targets[k], weights, NULL,
                                            out[k][0], out[k][1], out[k][2]),
                             FGHM_OK);
        }
        for (int i = 0; i < N; i++) {
            for (int k = 0; k < 3 && i != SOFT; k++) {
                assert_memory_equal(&out[0][k][i], &out[1][k][i], sizeof(float));
            }
        }
    }
    fghm_focal_destroy(focal);
}

/* Two losses near the largest float, wherever they are among ordinary ones, have a sum. */
static void heavy_weights_anywhere(void **state) {
    enum { N = 256, APART = 16 };
    (void)state;
    fghm_focal *const focal = focal_handle(0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    float logits[N], targets[N], weights[N];
    for (int heavy = 0; heavy + APART < N; heavy++) {
        for (int i = 0; i < N; i++) {
            logits[i] = 10;
            targets[i] = 0;
            weights[i] = i == heavy || i == heavy + APART ? 0x1p124f : 1;
        }
        double loss;
        assert_int_equal(
            fghm_focal_f32(focal, NULL, N, logits, targets, weights, &loss, NULL, NULL, NULL),
            FGHM_OK);
        assert_true(fabs(loss - 2 * 10.0 * 0x1p124) < 0x1p112);
    }
    fghm_focal_destroy(focal);
}

/* Two gammas, with a margin and without: a soft target beside hard ones leads to other loops. */
static void two_gammas_do_not_feel_their_neighbours(void **state) {
    enum { N = 48, SOFT = 5 };
    const struct dtype *const d = *state;
    const double gammas[] = {0, 0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 1.7};
    const size_t pairs = SUITE_COUNT(gammas) * SUITE_COUNT(gammas);
    struct random r = random_for(19);
    struct batch b[2] = {batch_new(d, N), batch_new(d, N)};
    void *const hessians[] = {b[0].out[HESSIAN], b[1].out[HESSIAN]};
    for (size_t k = 0; k < 2 * 2 * pairs; k++) {
        fghm_focal *const focal =
            focal_handle(gammas[k % SUITE_COUNT(gammas)], 0.25, FGHM_REDUCTION_SUM);
        const double negative_gamma = gammas[k / SUITE_COUNT(gammas) % SUITE_COUNT(gammas)];
        assert_int_equal(fghm_focal_set_negative_gamma(focal, negative_gamma), FGHM_OK);
        assert_int_equal(fghm_focal_set_margin(focal, k / pairs >= 2 ? 0.05 : 0), FGHM_OK);
        for (size_t i = 0; i < N; i++) {
            const double t = random_hard_target(&r);
            const double x = dtype_round(d, random_uniform(&r, -12, 12));
            batch_put(&b[0], i, x, t);
            batch_put(&b[1], i, x, i == SOFT ? 0.3 : t);
        }
        for (int side = 0; side < 2; side++) {
            b[side].out[HESSIAN] = k / pairs % 2 == 1 ? hessians[side] : NULL;
            assert_int_equal(batch_focal(&b[side], focal, NULL), FGHM_OK);
        }
        for (size_t at = 0; at < N * d->size; at += d->size) {
            for (int o = 0; o < OUTPUTS && at != SOFT * d->size; o++) {
                if (b[0].out[o] != NULL) {
                    assert_memory_equal((const char *)b[0].out[o] + at,
                                        (const char *)b[1].out[o] + at, d->size);
                }
            }
        }
        fghm_focal_destroy(focal);
    }
    for (int side = 0; side < 2; side++) {
        b[side].out[HESSIAN] = hessians[side];
        batch_free(&b[side]);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"hard_targets_do_not_feel_their_neighbours", hard_targets_do_not_feel_their_neighbours, 0},
        {"heavy_weights_anywhere", heavy_weights_anywhere, 0},
        {"two_gammas_do_not_feel_their_neighbours", two_gammas_do_not_feel_their_neighbours, 1},
        {"reference_derivatives_are_those_of_its_loss", reference_derivatives_are_those_of_its_loss,
         0},
        {"derivatives_match_numeric_ones", derivatives_match_numeric_ones, 1},
        {"hard_targets_short_gammas", hard_targets_short_gammas, 1},
        {"hard_targets_other_gammas", hard_targets_other_gammas, 1},
        {"soft_targets", soft_targets, 1},
        {"gamma_zero_is_cross_entropy", gamma_zero_is_cross_entropy, 1},
        {"infinite_logits_give_the_limit", infinite_logits_give_the_limit, 1},
        {"infinite_logits_of_soft_targets", infinite_logits_of_soft_targets, 1},
        {"nan_stays_in_its_element", nan_stays_in_its_element, 1},
        {"bad_targets_make_all_results_nan", bad_targets_make_all_results_nan, 1},
        {"nan_is_not_hidden", nan_is_not_hidden, 1},
        {"finite_for_every_gamma", finite_for_every_gamma, 1},
        {"alpha_zero_and_one_give_exact_zeros", alpha_zero_and_one_give_exact_zeros, 1},
        {"weights_are_linear", weights_are_linear, 1},
        {"weight_zero_of_infinite_logits", weight_zero_of_infinite_logits, 1},
        {"sums_are_accurate", sums_are_accurate, 1},
        {"sum_of_the_largest_losses", sum_of_the_largest_losses, 1},
        {"gradients_carry_the_reduction", gradients_carry_the_reduction, 1},
        {"far_normalizers", far_normalizers, 1},
        {"positives_have_their_own_gamma", positives_have_their_own_gamma, 1},
        {"cleared_settings_leave_no_trace", cleared_settings_leave_no_trace, 1},
        {"neighbours_do_not_matter", neighbours_do_not_matter, 1},
    };
    return suite_run(argument_count, arguments, "focal", tests, SUITE_COUNT(tests));
}
