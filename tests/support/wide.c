/* SPDX-License-Identifier: MIT */
#include "wide.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

const struct wide_format wide_f32 = {FLT_MANT_DIG, FLT_MIN_EXP - FLT_MANT_DIG, (double)FLT_MAX};
const struct wide_format wide_f64 = {DBL_MANT_DIG, DBL_MIN_EXP - DBL_MANT_DIG, DBL_MAX};

/* exp(-HUGE_LOGIT) is far below the last bit of everything used here, and below
 * every format; powers of it up to the thousandth have exponents in MPFR's
 * default range of 2^30. */
#define HUGE_LOGIT 1e6

void wide_focal_init(struct wide_focal *w) {
    mpfr_inits2(WIDE_BITS, w->bce, w->loss, w->gradient, w->hessian, w->gradient_scale,
                w->hessian_scale, (mpfr_ptr)0);
}

void wide_focal_clear(struct wide_focal *w) {
    mpfr_clears(w->bce, w->loss, w->gradient, w->hessian, w->gradient_scale, w->hessian_scale,
                (mpfr_ptr)0);
}

double wide_fused(const struct wide_format *format, double a, double b, double c) {
    const mpfr_exp_t least = mpfr_get_emin(), most = mpfr_get_emax();
    mpfr_t x, y, z, sum;
    mpfr_inits2(DBL_MANT_DIG, x, y, z, (mpfr_ptr)0);
    mpfr_init2(sum, format->digits);
    mpfr_set_d(x, a, MPFR_RNDN);
    mpfr_set_d(y, b, MPFR_RNDN);
    mpfr_set_d(z, c, MPFR_RNDN);
    /* MPFR's fractions are below 1. */
    mpfr_set_emin(format->lowest + 1);
    mpfr_set_emax(ilogb(format->max) + 1);
    const int inexact = mpfr_fma(sum, x, y, z, MPFR_RNDN);
    mpfr_subnormalize(sum, inexact, MPFR_RNDN);
    mpfr_set_emin(least);
    mpfr_set_emax(most);
    const double result = mpfr_get_d(sum, MPFR_RNDN);
    mpfr_clears(x, y, z, sum, (mpfr_ptr)0);
    return result;
}

/* 1 / (1 + exp(-x)); exp may go to infinity, and the quotient then to 0. */
void wide_sigmoid(mpfr_t p, mpfr_srcptr x) {
    mpfr_neg(p, x, MPFR_RNDN);
    mpfr_exp(p, p, MPFR_RNDN);
    mpfr_add_ui(p, p, 1, MPFR_RNDN);
    mpfr_ui_div(p, 1, p, MPFR_RNDN);
}

/* log(1 + exp(x)) */
void wide_softplus(mpfr_t y, mpfr_srcptr x) {
    if (mpfr_cmp_d(x, HUGE_LOGIT) > 0) {
        mpfr_set(y, x, MPFR_RNDN);
        return;
    }
    mpfr_exp(y, x, MPFR_RNDN);
    mpfr_log1p(y, y, MPFR_RNDN);
}

void wide_logit(mpfr_t x, unsigned long part, unsigned long whole) {
    mpfr_set_ui(x, part, MPFR_RNDN);
    mpfr_div_ui(x, x, whole - part, MPFR_RNDN);
    mpfr_log(x, x, MPFR_RNDN);
}

/* r = u t + v (1 - t), the mixture that every formula is made of. */
static void mix(mpfr_t r, mpfr_srcptr t, mpfr_srcptr u, mpfr_srcptr v) {
    mpfr_t s;
    mpfr_init2(s, WIDE_BITS);
    mpfr_ui_sub(s, 1, t, MPFR_RNDN);
    mpfr_mul(s, s, v, MPFR_RNDN);
    mpfr_mul(r, t, u, MPFR_RNDN);
    mpfr_add(r, r, s, MPFR_RNDN);
    mpfr_clear(s);
}

/* What the formulas share: p, 1 - p, p_t, m = 1 - p_t and m^gamma. */
struct parts {
    mpfr_t t, p, q, p_t, m, power, v;
};

/* m^gamma through the smaller of p_t and m, so that no gamma, however large,
 * makes the rounding of m near 1 visible. */
static void focusing_factor(struct parts *a, double gamma) {
    if (mpfr_cmp(a->p_t, a->m) < 0) {
        mpfr_neg(a->power, a->p_t, MPFR_RNDN);
        mpfr_log1p(a->power, a->power, MPFR_RNDN);
    } else {
        mpfr_log(a->power, a->m, MPFR_RNDN);
    }
    mpfr_mul_d(a->power, a->power, gamma, MPFR_RNDN);
    mpfr_exp(a->power, a->power, MPFR_RNDN);
}

static void parts_init(struct parts *a, double gamma, mpfr_srcptr x, double target) {
    mpfr_inits2(WIDE_BITS, a->t, a->p, a->q, a->p_t, a->m, a->power, a->v, (mpfr_ptr)0);
    mpfr_set_d(a->t, target, MPFR_RNDN);
    wide_sigmoid(a->p, x);
    mpfr_neg(a->q, x, MPFR_RNDN);
    wide_sigmoid(a->q, a->q);
    mix(a->p_t, a->t, a->p, a->q);
    mix(a->m, a->t, a->q, a->p);
    mpfr_mul(a->v, a->p, a->q, MPFR_RNDN);
    if (!mpfr_zero_p(a->m)) {
        focusing_factor(a, gamma);
    }
}

static void parts_clear(struct parts *a) {
    mpfr_clears(a->t, a->p, a->q, a->p_t, a->m, a->power, a->v, (mpfr_ptr)0);
}

/* Derivatives of m = t (1 - p) + (1 - t) p and of BCE by x:
 * m' = (1 - 2t) v, m'' = m' (1 - 2p), BCE' = p - t, BCE'' = v, v = p (1 - p). */
struct slopes {
    mpfr_t m1, m2, b1, b1_scale;
};

static void slopes_init(struct slopes *d, const struct parts *a) {
    mpfr_t s;
    mpfr_inits2(WIDE_BITS, d->m1, d->m2, d->b1, d->b1_scale, s, (mpfr_ptr)0);
    mpfr_mul_2ui(s, a->t, 1, MPFR_RNDN);
    mpfr_ui_sub(s, 1, s, MPFR_RNDN);
    mpfr_mul(d->m1, s, a->v, MPFR_RNDN);
    mpfr_sub(s, a->q, a->p, MPFR_RNDN);
    mpfr_mul(d->m2, d->m1, s, MPFR_RNDN);
    /* p - t = (1 - t) p - t (1 - p), which does not cancel at t = 0 or 1 */
    mpfr_neg(s, a->q, MPFR_RNDN);
    mix(d->b1, a->t, s, a->p);
    mix(d->b1_scale, a->t, a->q, a->p);
    mpfr_clear(s);
}

static void slopes_clear(struct slopes *d) {
    mpfr_clears(d->m1, d->m2, d->b1, d->b1_scale, (mpfr_ptr)0);
}

/* (m^g B)' = m^g B' + g m^(g-1) m' B */
static void gradient_of(struct wide_focal *w, const struct parts *a, const struct slopes *d,
                        double gamma) {
    mpfr_t chain;
    mpfr_init2(chain, WIDE_BITS);
    mpfr_div(chain, a->power, a->m, MPFR_RNDN);
    mpfr_mul_d(chain, chain, gamma, MPFR_RNDN);
    mpfr_mul(chain, chain, d->m1, MPFR_RNDN);
    mpfr_mul(chain, chain, w->bce, MPFR_RNDN);
    mpfr_mul(w->gradient, a->power, d->b1, MPFR_RNDN);
    mpfr_add(w->gradient, w->gradient, chain, MPFR_RNDN);
    mpfr_abs(chain, chain, MPFR_RNDN);
    mpfr_mul(w->gradient_scale, a->power, d->b1_scale, MPFR_RNDN);
    mpfr_add(w->gradient_scale, w->gradient_scale, chain, MPFR_RNDN);
    mpfr_clear(chain);
}

/* The part of (m^g B)'' that carries B: g m^(g-2) B [(g-1) m'^2 + m m'']. */
static void curvature_of_factor(mpfr_t term, mpfr_t scale, const struct parts *a,
                                const struct slopes *d, mpfr_srcptr bce, double gamma) {
    mpfr_t square, bend, outer;
    mpfr_inits2(WIDE_BITS, square, bend, outer, (mpfr_ptr)0);
    mpfr_set_d(outer, gamma, MPFR_RNDN);
    mpfr_sub_ui(outer, outer, 1, MPFR_RNDN);
    mpfr_sqr(square, d->m1, MPFR_RNDN);
    mpfr_mul(square, square, outer, MPFR_RNDN);
    mpfr_mul(bend, a->m, d->m2, MPFR_RNDN);
    mpfr_add(term, square, bend, MPFR_RNDN);
    mpfr_abs(scale, term, MPFR_RNDN);
    if (mpfr_cmp_ui(a->t, 0) != 0 && mpfr_cmp_ui(a->t, 1) != 0) {
        mpfr_abs(square, square, MPFR_RNDN);
        mpfr_abs(bend, bend, MPFR_RNDN);
        mpfr_add(scale, square, bend, MPFR_RNDN);
    }
    mpfr_div(outer, a->power, a->m, MPFR_RNDN);
    mpfr_div(outer, outer, a->m, MPFR_RNDN);
    mpfr_mul_d(outer, outer, gamma, MPFR_RNDN);
    mpfr_mul(outer, outer, bce, MPFR_RNDN);
    mpfr_mul(term, term, outer, MPFR_RNDN);
    mpfr_mul(scale, scale, outer, MPFR_RNDN);
    mpfr_clears(square, bend, outer, (mpfr_ptr)0);
}

/* (m^g B)'' = m^g B'' + 2 g m^(g-1) m' B' + the part with B */
static void hessian_of(struct wide_focal *w, const struct parts *a, const struct slopes *d,
                       double gamma) {
    mpfr_t cross, s;
    mpfr_inits2(WIDE_BITS, cross, s, (mpfr_ptr)0);
    curvature_of_factor(w->hessian, w->hessian_scale, a, d, w->bce, gamma);
    mpfr_mul(s, a->power, a->v, MPFR_RNDN);
    mpfr_add(w->hessian, w->hessian, s, MPFR_RNDN);
    mpfr_add(w->hessian_scale, w->hessian_scale, s, MPFR_RNDN);
    mpfr_div(cross, a->power, a->m, MPFR_RNDN);
    mpfr_mul_d(cross, cross, gamma, MPFR_RNDN);
    mpfr_mul_2ui(cross, cross, 1, MPFR_RNDN);
    mpfr_mul(cross, cross, d->m1, MPFR_RNDN);
    mpfr_mul(s, cross, d->b1, MPFR_RNDN);
    mpfr_add(w->hessian, w->hessian, s, MPFR_RNDN);
    mpfr_abs(cross, cross, MPFR_RNDN);
    mpfr_mul(s, cross, d->b1_scale, MPFR_RNDN);
    mpfr_add(w->hessian_scale, w->hessian_scale, s, MPFR_RNDN);
    mpfr_clears(cross, s, (mpfr_ptr)0);
}

/* a_t = alpha t + (1 - alpha) (1 - t), applied to everything but the BCE. */
static void apply_alpha(struct wide_focal *w, const struct parts *a, double alpha) {
    mpfr_t a_t, s;
    mpfr_inits2(WIDE_BITS, a_t, s, (mpfr_ptr)0);
    mpfr_set_d(a_t, alpha, MPFR_RNDN);
    mpfr_ui_sub(s, 1, a_t, MPFR_RNDN);
    mix(a_t, a->t, a_t, s);
    mpfr_mul(w->loss, w->loss, a_t, MPFR_RNDN);
    mpfr_mul(w->gradient, w->gradient, a_t, MPFR_RNDN);
    mpfr_mul(w->hessian, w->hessian, a_t, MPFR_RNDN);
    mpfr_mul(w->gradient_scale, w->gradient_scale, a_t, MPFR_RNDN);
    mpfr_mul(w->hessian_scale, w->hessian_scale, a_t, MPFR_RNDN);
    mpfr_clears(a_t, s, (mpfr_ptr)0);
}

/* t softplus(-x) + (1 - t) softplus(x) */
static void cross_entropy(mpfr_t bce, mpfr_srcptr x, mpfr_srcptr t) {
    mpfr_t up, down;
    mpfr_inits2(WIDE_BITS, up, down, (mpfr_ptr)0);
    wide_softplus(up, x);
    mpfr_neg(down, x, MPFR_RNDN);
    wide_softplus(down, down);
    mix(bce, t, down, up);
    mpfr_clears(up, down, (mpfr_ptr)0);
}

/* A hard target with a logit so right that no format has a number as small as
 * its loss; for a soft target 1 - p_t is never that small. */
static int is_vanishing(const struct parts *a) {
    return mpfr_zero_p(a->m) || mpfr_get_exp(a->m) < -(mpfr_exp_t)HUGE_LOGIT;
}

static void all_zero(struct wide_focal *w) {
    mpfr_set_zero(w->bce, 1);
    mpfr_set_zero(w->loss, 1);
    mpfr_set_zero(w->gradient, 1);
    mpfr_set_zero(w->hessian, 1);
    mpfr_set_zero(w->gradient_scale, 1);
    mpfr_set_zero(w->hessian_scale, 1);
}

void wide_focal_at(struct wide_focal *w, double gamma, double alpha, mpfr_srcptr logit,
                   double target) {
    struct parts a;
    struct slopes d;
    parts_init(&a, gamma, logit, target);
    if (is_vanishing(&a)) {
        all_zero(w);
        parts_clear(&a);
        return;
    }
    slopes_init(&d, &a);
    cross_entropy(w->bce, logit, a.t);
    mpfr_mul(w->loss, a.power, w->bce, MPFR_RNDN);
    gradient_of(w, &a, &d, gamma);
    hessian_of(w, &a, &d, gamma);
    if (alpha != WIDE_ALPHA_OFF) {
        apply_alpha(w, &a, alpha);
    }
    slopes_clear(&d);
    parts_clear(&a);
}

void wide_focal(struct wide_focal *w, double gamma, double alpha, double logit, double target) {
    mpfr_t x;
    mpfr_init2(x, WIDE_BITS);
    mpfr_set_d(x, logit, MPFR_RNDN);
    wide_focal_at(w, gamma, alpha, x, target);
    mpfr_clear(x);
}

/* The exponent of one unit in the last place at `scale`. */
static mpfr_exp_t last_place(const struct wide_format *format, mpfr_srcptr scale) {
    mpfr_exp_t place = format->lowest;
    if (mpfr_regular_p(scale) && mpfr_get_exp(scale) - format->digits > place) {
        place = mpfr_get_exp(scale) - format->digits;
    }
    return place;
}

/* Is the infinite `got` what `exact` overflows to? */
static int overflows_to(const struct wide_format *format, double got, mpfr_srcptr exact) {
    return (got > 0) == (mpfr_sgn(exact) > 0) && mpfr_cmpabs_ui(exact, 0) > 0 &&
           (mpfr_cmp_d(exact, format->max) > 0 || mpfr_cmp_d(exact, -format->max) < 0);
}

double wide_ulps_scaled(const struct wide_format *format, double got, mpfr_srcptr exact,
                        mpfr_srcptr scale) {
    mpfr_t error;
    double result;
    if (isnan(got) || !mpfr_number_p(exact)) {
        return (double)INFINITY;
    }
    if (isinf(got)) {
        return overflows_to(format, got, exact) ? 0.0 : (double)INFINITY;
    }
    mpfr_init2(error, WIDE_BITS);
    mpfr_d_sub(error, got, exact, MPFR_RNDN);
    mpfr_abs(error, error, MPFR_RNDN);
    mpfr_mul_2si(error, error, -last_place(format, scale), MPFR_RNDN);
    result = mpfr_get_d(error, MPFR_RNDU);
    mpfr_clear(error);
    return result;
}

double ulps_f32(float got, mpfr_srcptr exact) {
    return wide_ulps_scaled(&wide_f32, (double)got, exact, exact);
}

double ulps_f64(double got, mpfr_srcptr exact) {
    return wide_ulps_scaled(&wide_f64, got, exact, exact);
}

double wide_relative_error(double got, mpfr_srcptr exact) {
    mpfr_t error;
    double result;
    if (!isfinite(got) || mpfr_zero_p(exact)) {
        return got == 0.0 && mpfr_zero_p(exact) ? 0.0 : (double)INFINITY;
    }
    mpfr_init2(error, WIDE_BITS);
    mpfr_d_sub(error, got, exact, MPFR_RNDN);
    mpfr_div(error, error, exact, MPFR_RNDN);
    result = fabs(mpfr_get_d(error, MPFR_RNDA));
    mpfr_clear(error);
    return result;
}
