/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

#include "wide.h"

/* A number with its first and second derivative. */
struct jet {
    mpfr_t v, d, h;
};

static void jet_init(struct jet *a) {
    mpfr_inits2(WIDE_BITS, a->v, a->d, a->h, (mpfr_ptr)0);
}

static void jet_clear(struct jet *a) {
    mpfr_clears(a->v, a->d, a->h, (mpfr_ptr)0);
}

/* out += a b */
static void add_product(mpfr_t out, mpfr_srcptr a, mpfr_srcptr b) {
    mpfr_fma(out, a, b, out, MPFR_RNDN);
}

/* out = u t + v (1 - t), derivative by derivative. */
static void jet_mix(struct jet *out, mpfr_srcptr t, const struct jet *u, const struct jet *v) {
    mpfr_t rest;
    mpfr_init2(rest, WIDE_BITS);
    mpfr_ui_sub(rest, 1, t, MPFR_RNDN);
    mpfr_mul(out->v, u->v, t, MPFR_RNDN);
    add_product(out->v, v->v, rest);
    mpfr_mul(out->d, u->d, t, MPFR_RNDN);
    add_product(out->d, v->d, rest);
    mpfr_mul(out->h, u->h, t, MPFR_RNDN);
    add_product(out->h, v->h, rest);
    mpfr_clear(rest);
}

/* out = a^gamma for a > 0, from log a = log_a. */
static void jet_power(struct jet *out, const struct jet *a, mpfr_srcptr log_a, double gamma) {
    mpfr_t slope, curve;
    mpfr_inits2(WIDE_BITS, slope, curve, (mpfr_ptr)0);
    mpfr_mul_d(out->v, log_a, gamma, MPFR_RNDN);
    mpfr_exp(out->v, out->v, MPFR_RNDN);
    mpfr_div(slope, a->d, a->v, MPFR_RNDN); /* (log a)' and (log a)'' */
    mpfr_div(curve, a->h, a->v, MPFR_RNDN);
    mpfr_neg(out->d, slope, MPFR_RNDN);
    add_product(curve, out->d, slope);
    mpfr_mul_d(slope, slope, gamma, MPFR_RNDN);
    mpfr_mul_d(curve, curve, gamma, MPFR_RNDN);
    mpfr_mul(out->d, out->v, slope, MPFR_RNDN);
    add_product(curve, slope, slope);
    mpfr_mul(out->h, out->v, curve, MPFR_RNDN);
    mpfr_clears(slope, curve, (mpfr_ptr)0);
}

/* log a through the smaller of a and 1 - a. */
static void accurate_log(mpfr_t log_a, mpfr_srcptr a, mpfr_srcptr not_a) {
    if (mpfr_cmp(not_a, a) < 0) {
        mpfr_neg(log_a, not_a, MPFR_RNDN);
        mpfr_log1p(log_a, log_a, MPFR_RNDN);
    } else {
        mpfr_log(log_a, a, MPFR_RNDN);
    }
}

void reference_init(struct reference *r) {
    mpfr_inits2(WIDE_BITS, r->loss, r->gradient, r->hessian, r->gradient_scale, r->hessian_scale,
                (mpfr_ptr)0);
    r->condition = 0.0;
}

void reference_clear(struct reference *r) {
    mpfr_clears(r->loss, r->gradient, r->hessian, r->gradient_scale, r->hessian_scale, (mpfr_ptr)0);
}

static void set_zero(struct reference *r) {
    mpfr_set_zero(r->loss, 1);
    mpfr_set_zero(r->gradient, 1);
    mpfr_set_zero(r->hessian, 1);
    mpfr_set_zero(r->gradient_scale, 1);
    mpfr_set_zero(r->hessian_scale, 1);
    r->condition = 0.0;
    r->power = 1.0;
}

/* p, 1 - p and their minus logarithms. */
struct chances {
    struct jet p, q, minus_log_p, minus_log_q;
};

static void chances_init(struct chances *s) {
    jet_init(&s->p);
    jet_init(&s->q);
    jet_init(&s->minus_log_p);
    jet_init(&s->minus_log_q);
}

static void chances_clear(struct chances *s) {
    jet_clear(&s->p);
    jet_clear(&s->q);
    jet_clear(&s->minus_log_p);
    jet_clear(&s->minus_log_q);
}

/* q = 1 - p in the derivatives. */
static void mirror(struct jet *q, const struct jet *p) {
    mpfr_neg(q->d, p->d, MPFR_RNDN);
    mpfr_neg(q->h, p->h, MPFR_RNDN);
}

/* Derivatives of -log a. */
static void minus_log_slopes(struct jet *log_a, const struct jet *a) {
    mpfr_div(log_a->d, a->d, a->v, MPFR_RNDN);
    mpfr_div(log_a->h, a->h, a->v, MPFR_RNDN);
    mpfr_neg(log_a->d, log_a->d, MPFR_RNDN);
    mpfr_neg(log_a->h, log_a->h, MPFR_RNDN);
    add_product(log_a->h, log_a->d, log_a->d);
}

static void sigmoid_chances(struct chances *s, mpfr_srcptr x) {
    mpfr_t minus_x;
    mpfr_init2(minus_x, WIDE_BITS);
    mpfr_neg(minus_x, x, MPFR_RNDN);
    wide_sigmoid(s->p.v, x);
    wide_sigmoid(s->q.v, minus_x);
    mpfr_mul(s->p.d, s->p.v, s->q.v, MPFR_RNDN); /* p' = p (1 - p) */
    mpfr_sub(s->p.h, s->q.v, s->p.v, MPFR_RNDN);
    mpfr_mul(s->p.h, s->p.h, s->p.d, MPFR_RNDN);
    mirror(&s->q, &s->p);
    wide_softplus(s->minus_log_p.v, minus_x);
    wide_softplus(s->minus_log_q.v, x);
    mpfr_neg(s->minus_log_p.d, s->q.v, MPFR_RNDN); /* softplus' is the sigmoid */
    mpfr_set(s->minus_log_q.d, s->p.v, MPFR_RNDN);
    mpfr_set(s->minus_log_p.h, s->p.d, MPFR_RNDN);
    mpfr_set(s->minus_log_q.h, s->p.d, MPFR_RNDN);
    mpfr_clear(minus_x);
}

static void probability_chances(struct chances *s, mpfr_srcptr p) {
    mpfr_set(s->p.v, p, MPFR_RNDN);
    mpfr_ui_sub(s->q.v, 1, p, MPFR_RNDN);
    mpfr_set_ui(s->p.d, 1, MPFR_RNDN);
    mpfr_set_zero(s->p.h, 1);
    mirror(&s->q, &s->p);
    accurate_log(s->minus_log_p.v, s->p.v, s->q.v);
    accurate_log(s->minus_log_q.v, s->q.v, s->p.v);
    mpfr_neg(s->minus_log_p.v, s->minus_log_p.v, MPFR_RNDN);
    mpfr_neg(s->minus_log_q.v, s->minus_log_q.v, MPFR_RNDN);
    minus_log_slopes(&s->minus_log_p, &s->p);
    minus_log_slopes(&s->minus_log_q, &s->q);
}

/* r += factor m^gamma b, where 1 - m is not_m and b_scale stands for |b'| without
 * cancellation.  gauss_newton: the Hessian is m^gamma b'', and with `spread` plus
 * m^gamma gamma (m' / m)^2 b. */
struct term {
    double gamma;
    const struct jet *m, *b;
    mpfr_srcptr not_m, b_scale, factor;
    int gauss_newton, spread;
    bool detached;
    mpfr_srcptr bend; /* stands for |b''| without cancellation; NULL: itself */
};

static void add_term(struct reference *r, const struct term *term) {
    struct jet a;
    mpfr_t log_m, rho, bend, s, hessian, scale;
    const struct jet *const b = term->b;
    mpfr_inits2(WIDE_BITS, log_m, rho, bend, s, hessian, scale, (mpfr_ptr)0);
    jet_init(&a);
    accurate_log(log_m, term->m->v, term->not_m);
    jet_power(&a, term->m, log_m, term->gamma);
    mpfr_mul(a.v, a.v, term->factor, MPFR_RNDN);
    mpfr_mul(a.d, a.d, term->factor, MPFR_RNDN);
    mpfr_mul(a.h, a.h, term->factor, MPFR_RNDN);
    if (term->detached) {
        mpfr_set_zero(a.d, 1);
        mpfr_set_zero(a.h, 1);
    }
    add_product(r->loss, a.v, b->v);
    add_product(r->gradient, a.v, b->d);
    add_product(r->gradient, a.d, b->v);
    add_product(r->gradient_scale, a.v, term->b_scale);
    mpfr_abs(s, a.d, MPFR_RNDN);
    add_product(r->gradient_scale, s, b->v);
    /* a b'' + 2 a' b' + a'' b, and gamma (|gamma - 1| rho^2 + |m''/m|) for |a''/a| */
    mpfr_div(rho, term->m->d, term->m->v, MPFR_RNDN);
    mpfr_sqr(rho, rho, MPFR_RNDN);
    mpfr_div(bend, term->m->h, term->m->v, MPFR_RNDN);
    mpfr_abs(bend, bend, MPFR_RNDN);
    mpfr_mul(hessian, a.v, b->h, MPFR_RNDN);
    mpfr_mul(scale, a.v, term->bend != NULL ? term->bend : b->h, MPFR_RNDN);
    mpfr_abs(scale, scale, MPFR_RNDN);
    if (term->gauss_newton) {
        mpfr_mul_d(rho, rho, term->spread && !term->detached ? term->gamma : 0.0, MPFR_RNDN);
        mpfr_mul(rho, rho, a.v, MPFR_RNDN);
        add_product(hessian, rho, b->v);
        mpfr_abs(scale, hessian, MPFR_RNDN);
    } else {
        mpfr_mul_2ui(s, s, 1, MPFR_RNDN);
        add_product(scale, s, term->b_scale);
        mpfr_mul_2ui(s, a.d, 1, MPFR_RNDN);
        add_product(hessian, s, b->d);
        add_product(hessian, a.h, b->v);
        mpfr_mul_d(rho, rho, fabs(term->gamma - 1.0), MPFR_RNDN);
        mpfr_add(rho, rho, bend, MPFR_RNDN);
        mpfr_mul_d(rho, rho, term->detached ? 0.0 : term->gamma, MPFR_RNDN);
        mpfr_mul(rho, rho, a.v, MPFR_RNDN);
        add_product(scale, rho, b->v);
    }
    mpfr_add(r->hessian, r->hessian, hessian, MPFR_RNDN);
    mpfr_add(r->hessian_scale, r->hessian_scale, scale, MPFR_RNDN);
    jet_clear(&a);
    mpfr_clears(log_m, rho, bend, s, hessian, scale, (mpfr_ptr)0);
}

/* max(h, floor a_t), |h| or |g|; and the factor. */
static void apply_mode(struct reference *r, const struct reference_loss *loss, mpfr_srcptr a_t) {
    mpfr_t floor;
    mpfr_init2(floor, WIDE_BITS);
    mpfr_mul_d(floor, a_t, loss->floor, MPFR_RNDN);
    if (loss->mode == FGHM_HESSIAN_FLOORED) {
        mpfr_max(r->hessian, r->hessian, floor, MPFR_RNDN);
    } else if (loss->mode == FGHM_HESSIAN_ABSOLUTE) {
        mpfr_abs(r->hessian, r->hessian, MPFR_RNDN);
    } else if (loss->mode == FGHM_HESSIAN_GRADIENT) {
        mpfr_abs(r->hessian, r->gradient, MPFR_RNDN);
        mpfr_set(r->hessian_scale, r->gradient_scale, MPFR_RNDN);
    }
    if (loss->hessian_factor > 0.0) {
        mpfr_mul_d(r->hessian, r->hessian, loss->hessian_factor, MPFR_RNDN);
        mpfr_mul_d(r->hessian_scale, r->hessian_scale, loss->hessian_factor, MPFR_RNDN);
    }
    if (mpfr_cmpabs(r->hessian_scale, r->hessian) < 0) {
        mpfr_abs(r->hessian_scale, r->hessian, MPFR_RNDN);
    }
    mpfr_clear(floor);
}

static bool is_varifocal(const struct reference_loss *loss) {
    return loss->rule >= FGHM_FOCAL_RULE_VARIFOCAL && loss->rule <= FGHM_FOCAL_RULE_MATCHABILITY;
}

static void alphas(const struct reference_loss *loss, mpfr_t positive, mpfr_t negative) {
    mpfr_set_ui(positive, 1, MPFR_RNDN);
    mpfr_set_ui(negative, 1, MPFR_RNDN);
    if (loss->positive_weight > 0.0) {
        mpfr_set_d(positive, loss->positive_weight, MPFR_RNDN);
    } else if (loss->alpha != WIDE_ALPHA_OFF && is_varifocal(loss)) {
        mpfr_set_d(negative, loss->alpha, MPFR_RNDN);
    } else if (loss->rule == FGHM_FOCAL_RULE_HEATMAP) {
        return;
    } else if (loss->alpha != WIDE_ALPHA_OFF) {
        mpfr_set_d(positive, loss->alpha, MPFR_RNDN);
        mpfr_ui_sub(negative, 1, positive, MPFR_RNDN);
    }
}

/* a_t m^gamma BCE with m = 1 - p_t or |p - t|. */
static void one_product(struct reference *r, const struct reference_loss *loss,
                        const struct chances *s, mpfr_srcptr t, mpfr_srcptr a_t, int spread) {
    struct jet m, b;
    mpfr_t not_m, b_scale, one_part;
    mpfr_inits2(WIDE_BITS, not_m, b_scale, one_part, (mpfr_ptr)0);
    jet_init(&m);
    jet_init(&b);
    jet_mix(&b, t, &s->minus_log_p, &s->minus_log_q);
    mpfr_ui_sub(one_part, 1, t, MPFR_RNDN);
    mpfr_mul(b_scale, one_part, s->minus_log_q.d, MPFR_RNDN);
    mpfr_mul(one_part, t, s->minus_log_p.d, MPFR_RNDN);
    mpfr_sub(b_scale, b_scale, one_part, MPFR_RNDN); /* both have one sign now */
    jet_mix(&m, t, &s->q, &s->p);
    {
        struct jet right;
        jet_init(&right);
        jet_mix(&right, t, &s->p, &s->q);
        mpfr_set(not_m, right.v, MPFR_RNDN);
        jet_clear(&right);
    }
    if (loss->rule == FGHM_FOCAL_RULE_QUALITY && mpfr_cmp_ui(t, 0) != 0 && mpfr_cmp_ui(t, 1) != 0) {
        const int above = mpfr_cmp(s->p.v, t) > 0;
        const double p = mpfr_get_d(s->p.v, MPFR_RNDN), q = mpfr_get_d(s->q.v, MPFR_RNDN);
        const double target = mpfr_get_d(t, MPFR_RNDN);
        mpfr_sub(m.v, s->p.v, t, MPFR_RNDN);
        mpfr_abs(m.v, m.v, MPFR_RNDN);
        mpfr_set(m.d, above ? s->p.d : s->q.d, MPFR_RNDN);
        mpfr_set(m.h, above ? s->p.h : s->q.h, MPFR_RNDN);
        mpfr_ui_sub(not_m, 1, m.v, MPFR_RNDN);
        r->condition = (p < q ? p + target : q + (1.0 - target)) / mpfr_get_d(m.v, MPFR_RNDN);
        r->power = pow(mpfr_get_d(m.v, MPFR_RNDN), loss->gamma);
    }
    const struct term term = {loss->gamma,
                              &m,
                              &b,
                              not_m,
                              b_scale,
                              a_t,
                              loss->mode == FGHM_HESSIAN_GAUSS_NEWTON,
                              spread,
                              loss->detached,
                              NULL};
    add_term(r, &term);
    jet_clear(&m);
    jet_clear(&b);
    mpfr_clears(not_m, b_scale, one_part, (mpfr_ptr)0);
}

/* r += factor b^gamma (-log(1 - b)) for b = p - m, where that is above 0.  Gauss-Newton: the
 * gradient times 1 - p. */
static void negative_with_margin(struct reference *r, const struct reference_loss *loss,
                                 const struct chances *s, mpfr_srcptr factor) {
    struct reference own;
    struct jet b, log;
    mpfr_t rest, slope, bend, x;
    mpfr_inits2(WIDE_BITS, rest, slope, bend, x, (mpfr_ptr)0);
    jet_init(&b);
    jet_init(&log);
    reference_init(&own);
    set_zero(&own);
    mpfr_sub_d(b.v, s->p.v, loss->margin, MPFR_RNDN);
    if (mpfr_sgn(b.v) > 0) {
        mpfr_set(b.d, s->p.d, MPFR_RNDN);
        mpfr_set(b.h, s->p.h, MPFR_RNDN);
        mpfr_add_d(rest, s->q.v, loss->margin, MPFR_RNDN);
        accurate_log(log.v, rest, b.v);
        mpfr_neg(log.v, log.v, MPFR_RNDN);
        mpfr_div(log.d, b.d, rest, MPFR_RNDN);
        mpfr_div(log.h, b.h, rest, MPFR_RNDN);
        add_product(log.h, log.d, log.d);
        /* L'' = p q (q^2 + m (q - p)) / (1 - b)^2 */
        mpfr_sub(bend, s->q.v, s->p.v, MPFR_RNDN);
        mpfr_abs(bend, bend, MPFR_RNDN);
        mpfr_mul_d(bend, bend, loss->margin, MPFR_RNDN);
        add_product(bend, s->q.v, s->q.v);
        mpfr_mul(bend, bend, log.d, MPFR_RNDN);
        mpfr_div(bend, bend, rest, MPFR_RNDN);
        const struct term term = {loss->negative_gamma, &b,  &log, rest, log.d, factor, 0, 0,
                                  loss->detached,       bend};
        add_term(&own, &term);
        mpfr_set_d(x, loss->margin * (1.0 - loss->margin), MPFR_RNDN);
        mpfr_div(x, x, b.v, MPFR_RNDN);
        r->condition = mpfr_get_d(x, MPFR_RNDU);
        mpfr_set_d(x, loss->negative_gamma, MPFR_RNDN);
        mpfr_pow(x, b.v, x, MPFR_RNDN);
        r->power = mpfr_get_d(x, MPFR_RNDN);
        if (loss->mode == FGHM_HESSIAN_GAUSS_NEWTON) {
            mpfr_mul(own.hessian, own.gradient, s->q.v, MPFR_RNDN);
            mpfr_set(own.hessian_scale, own.hessian, MPFR_RNDN);
        }
    }
    mpfr_add(r->loss, r->loss, own.loss, MPFR_RNDN);
    mpfr_add(r->gradient, r->gradient, own.gradient, MPFR_RNDN);
    mpfr_add(r->hessian, r->hessian, own.hessian, MPFR_RNDN);
    mpfr_add(r->gradient_scale, r->gradient_scale, own.gradient_scale, MPFR_RNDN);
    mpfr_add(r->hessian_scale, r->hessian_scale, own.hessian_scale, MPFR_RNDN);
    reference_clear(&own);
    jet_clear(&b);
    jet_clear(&log);
    mpfr_clears(rest, slope, bend, x, (mpfr_ptr)0);
}

/* alpha t q^gamma (-log p) + (1 - alpha) (1 - t) p^negative_gamma (-log q) */
static void two_products(struct reference *r, const struct reference_loss *loss,
                         const struct chances *s, mpfr_srcptr t, int spread) {
    mpfr_t positive, negative, rest, slope;
    mpfr_inits2(WIDE_BITS, positive, negative, rest, slope, (mpfr_ptr)0);
    alphas(loss, positive, negative);
    mpfr_ui_sub(rest, 1, t, MPFR_RNDN);
    mpfr_mul(positive, positive, t, MPFR_RNDN);
    mpfr_mul(negative, negative, rest, MPFR_RNDN);
    const int gauss_newton = loss->mode == FGHM_HESSIAN_GAUSS_NEWTON;
    mpfr_abs(slope, s->minus_log_p.d, MPFR_RNDN);
    const struct term first = {loss->gamma, &s->q,        &s->minus_log_p, s->p.v,         slope,
                               positive,    gauss_newton, spread,          loss->detached, NULL};
    add_term(r, &first);
    if (loss->margin > 0.0) {
        if (!mpfr_zero_p(rest)) {
            negative_with_margin(r, loss, s, negative);
        }
        mpfr_clears(positive, negative, rest, slope, (mpfr_ptr)0);
        return;
    }
    mpfr_abs(slope, s->minus_log_q.d, MPFR_RNDN);
    const struct term second = {
        loss->negative_gamma, &s->p,  &s->minus_log_q, s->q.v, slope, negative,
        gauss_newton,         spread, loss->detached,  NULL};
    add_term(r, &second);
    mpfr_clears(positive, negative, rest, slope, (mpfr_ptr)0);
}

/* Positives: u BCE(x, t') with u = t or 1, t' = t or t^gamma; negatives: p^gamma (-log q).  a_t is
 * left as what the floor is multiplied by. */
static void varifocal(struct reference *r, const struct reference_loss *loss,
                      const struct chances *s, mpfr_srcptr t, mpfr_t a_t, mpfr_srcptr negative,
                      int spread) {
    struct reference_loss plain = *loss;
    mpfr_t target, unused;
    mpfr_inits2(WIDE_BITS, target, unused, (mpfr_ptr)0);
    plain.rule = FGHM_FOCAL_RULE_LINEAR;
    mpfr_set(target, t, MPFR_RNDN);
    if (mpfr_zero_p(t) && !loss->labelled) {
        mpfr_set(a_t, negative, MPFR_RNDN);
    } else {
        plain.gamma = plain.negative_gamma = 0.0;
        alphas(loss, a_t, unused);
        if (loss->rule == FGHM_FOCAL_RULE_VARIFOCAL) {
            mpfr_mul(a_t, a_t, t, MPFR_RNDN);
        } else if (loss->rule == FGHM_FOCAL_RULE_MATCHABILITY) {
            mpfr_set_d(unused, loss->gamma, MPFR_RNDN);
            mpfr_pow(target, t, unused, MPFR_RNDN);
        }
    }
    one_product(r, &plain, s, target, a_t, spread);
    mpfr_clears(target, unused, (mpfr_ptr)0);
}

/* The hard loss of 1 for t = 1, and (1 - t)^beta times that of 0 for all others. */
static void heatmap(struct reference *r, const struct reference_loss *loss, const struct chances *s,
                    mpfr_srcptr t, mpfr_t a_t, mpfr_srcptr negative, int spread) {
    struct reference_loss plain = *loss;
    mpfr_t target, power;
    mpfr_inits2(WIDE_BITS, target, power, (mpfr_ptr)0);
    plain.rule = FGHM_FOCAL_RULE_LINEAR;
    mpfr_set_ui(target, mpfr_cmp_ui(t, 1) == 0, MPFR_RNDN);
    if (mpfr_zero_p(target)) {
        plain.gamma = loss->negative_gamma;
        mpfr_ui_sub(a_t, 1, t, MPFR_RNDN);
        mpfr_set_d(power, loss->beta, MPFR_RNDN);
        mpfr_pow(a_t, a_t, power, MPFR_RNDN);
        mpfr_mul(a_t, a_t, negative, MPFR_RNDN);
    }
    one_product(r, &plain, s, target, a_t, spread);
    mpfr_clears(target, power, (mpfr_ptr)0);
}

static void any_rule(struct reference *r, const struct reference_loss *loss,
                     const struct chances *s, mpfr_srcptr t, int spread) {
    mpfr_t a_t, negative, rest;
    mpfr_inits2(WIDE_BITS, a_t, negative, rest, (mpfr_ptr)0);
    set_zero(r);
    alphas(loss, a_t, negative);
    mpfr_ui_sub(rest, 1, t, MPFR_RNDN);
    mpfr_mul(a_t, a_t, t, MPFR_RNDN);
    add_product(a_t, negative, rest);
    if (is_varifocal(loss)) {
        varifocal(r, loss, s, t, a_t, negative, spread);
    } else if (loss->rule == FGHM_FOCAL_RULE_HEATMAP) {
        heatmap(r, loss, s, t, a_t, negative, spread);
    } else if (loss->rule == FGHM_FOCAL_RULE_SPLIT || loss->gamma != loss->negative_gamma ||
               loss->margin > 0.0) {
        two_products(r, loss, s, t, spread);
    } else {
        one_product(r, loss, s, t, a_t, spread);
    }
    apply_mode(r, loss, a_t);
    mpfr_clears(a_t, negative, rest, (mpfr_ptr)0);
}

/* softplus(-gamma z) / gamma by dz; a is the factor. */
static void star_of_margin(struct reference *r, double gamma, mpfr_srcptr z, mpfr_srcptr a) {
    struct chances s;
    mpfr_t scaled;
    mpfr_init2(scaled, WIDE_BITS);
    chances_init(&s);
    mpfr_mul_d(scaled, z, gamma, MPFR_RNDN);
    sigmoid_chances(&s, scaled);
    mpfr_div_d(r->loss, s.minus_log_p.v, gamma, MPFR_RNDN);
    mpfr_set(r->gradient, s.minus_log_p.d, MPFR_RNDN);
    mpfr_mul_d(r->hessian, s.minus_log_p.h, gamma, MPFR_RNDN);
    mpfr_mul(r->loss, r->loss, a, MPFR_RNDN);
    mpfr_mul(r->gradient, r->gradient, a, MPFR_RNDN);
    mpfr_mul(r->hessian, r->hessian, a, MPFR_RNDN);
    mpfr_abs(r->gradient_scale, r->gradient, MPFR_RNDN);
    mpfr_abs(r->hessian_scale, r->hessian, MPFR_RNDN);
    r->condition = 0.0;
    chances_clear(&s);
    mpfr_clear(scaled);
}

void reference_sigmoid(struct reference *r, const struct reference_loss *loss, mpfr_srcptr x,
                       mpfr_srcptr t) {
    if (loss->rule == FGHM_FOCAL_RULE_STAR) {
        mpfr_t positive, negative, z;
        const int is_positive = mpfr_cmp_ui(t, 1) == 0;
        mpfr_inits2(WIDE_BITS, positive, negative, z, (mpfr_ptr)0);
        alphas(loss, positive, negative);
        mpfr_mul_si(z, x, is_positive ? 1 : -1, MPFR_RNDN);
        star_of_margin(r, loss->gamma, z, is_positive ? positive : negative);
        mpfr_mul_si(r->gradient, r->gradient, is_positive ? 1 : -1, MPFR_RNDN);
        apply_mode(r, loss, is_positive ? positive : negative);
        mpfr_clears(positive, negative, z, (mpfr_ptr)0);
        return;
    }
    struct chances s;
    chances_init(&s);
    sigmoid_chances(&s, x);
    any_rule(r, loss, &s, t, 1);
    chances_clear(&s);
}

void reference_probability(struct reference *r, const struct reference_loss *loss, mpfr_srcptr x,
                           mpfr_srcptr t) {
    struct chances s;
    chances_init(&s);
    probability_chances(&s, x);
    any_rule(r, loss, &s, t, 0);
    chances_clear(&s);
}

void reference_both(struct reference r[2], const struct reference_loss *loss, mpfr_srcptr x) {
    mpfr_t t;
    mpfr_init2(t, WIDE_BITS);
    for (unsigned long target = 0; target < 2; target++) {
        mpfr_set_ui(t, target, MPFR_RNDN);
        reference_sigmoid(&r[target], loss, x, t);
    }
    mpfr_clear(t);
}

/* exp(x_c - x_label), summed over the others; counts as for reference_margin. */
static void others_of(mpfr_t sum, const mpfr_t *x, const size_t *counts, size_t classes,
                      size_t label) {
    mpfr_t e;
    mpfr_init2(e, WIDE_BITS);
    mpfr_set_zero(sum, 1);
    for (size_t c = 0; c < classes; c++) {
        const size_t others = (counts == NULL ? 1 : counts[c]) - (c == label ? 1 : 0);
        if (others > 0) {
            mpfr_sub(e, x[c], x[label], MPFR_RNDN);
            mpfr_exp(e, e, MPFR_RNDN);
            mpfr_mul_ui(e, e, (unsigned long)others, MPFR_RNDN);
            mpfr_add(sum, sum, e, MPFR_RNDN);
        }
    }
    mpfr_clear(e);
}

void reference_margin(mpfr_t z, const mpfr_t *x, const size_t *counts, size_t classes,
                      size_t label) {
    others_of(z, x, counts, classes, label);
    mpfr_log(z, z, MPFR_RNDN);
    mpfr_neg(z, z, MPFR_RNDN);
}

void reference_other_class(struct reference *to, const struct reference *margin,
                           mpfr_srcptr share) {
    mpfr_t square, bend, hessian;
    mpfr_inits2(WIDE_BITS, square, bend, hessian, (mpfr_ptr)0);
    mpfr_sqr(square, share, MPFR_RNDN);
    mpfr_sub(bend, square, share, MPFR_RNDN);
    mpfr_mul(bend, bend, margin->gradient, MPFR_RNDN);
    mpfr_mul(hessian, margin->hessian, square, MPFR_RNDN);
    mpfr_add(to->hessian, hessian, bend, MPFR_RNDN);
    mpfr_mul(hessian, margin->hessian_scale, square, MPFR_RNDN);
    mpfr_abs(bend, bend, MPFR_RNDN);
    mpfr_add(to->hessian_scale, hessian, bend, MPFR_RNDN);
    mpfr_mul(to->gradient, margin->gradient, share, MPFR_RNDN);
    mpfr_neg(to->gradient, to->gradient, MPFR_RNDN);
    mpfr_abs(to->gradient_scale, to->gradient, MPFR_RNDN);
    mpfr_clears(square, bend, hessian, (mpfr_ptr)0);
}

/* (1 - p_y)^gamma (-log p_y) as a series in x_c; p' = p (delta - p_c). */
static void softmax_loss(struct reference *r, double gamma, bool detached, const mpfr_t *x,
                         size_t classes, size_t label, size_t c, mpfr_srcptr factor) {
    struct jet log_p, m, p;
    mpfr_t sum, all, p_c, not_p_c, magnitude;
    mpfr_inits2(WIDE_BITS, sum, all, p_c, not_p_c, magnitude, (mpfr_ptr)0);
    jet_init(&log_p);
    jet_init(&m);
    jet_init(&p);
    others_of(sum, x, NULL, classes, label);
    mpfr_add_ui(all, sum, 1, MPFR_RNDN);
    mpfr_ui_div(p.v, 1, all, MPFR_RNDN);
    mpfr_div(m.v, sum, all, MPFR_RNDN);
    mpfr_sub(p_c, x[c], x[label], MPFR_RNDN);
    mpfr_exp(p_c, p_c, MPFR_RNDN);
    mpfr_div(p_c, p_c, all, MPFR_RNDN);
    mpfr_ui_sub(not_p_c, 1, p_c, MPFR_RNDN);
    if (c == label) {
        mpfr_set(not_p_c, m.v, MPFR_RNDN);
    }
    mpfr_log1p(log_p.v, sum, MPFR_RNDN); /* -log p */
    if (c == label) {
        mpfr_neg(log_p.d, not_p_c, MPFR_RNDN);
    } else {
        mpfr_set(log_p.d, p_c, MPFR_RNDN);
    }
    mpfr_mul(log_p.h, p_c, not_p_c, MPFR_RNDN);
    mpfr_mul(p.d, p.v, log_p.d, MPFR_RNDN);
    mpfr_neg(p.d, p.d, MPFR_RNDN);
    mpfr_mul(p.h, p.d, log_p.d, MPFR_RNDN); /* p'' = -(p L')' */
    add_product(p.h, p.v, log_p.h);
    mpfr_neg(p.h, p.h, MPFR_RNDN);
    mirror(&m, &p);
    mpfr_abs(magnitude, log_p.d, MPFR_RNDN);
    const struct term term = {gamma, &m, &log_p, p.v, magnitude, factor, 0, 0, detached, NULL};
    add_term(r, &term);
    jet_clear(&log_p);
    jet_clear(&m);
    jet_clear(&p);
    mpfr_clears(sum, all, p_c, not_p_c, magnitude, (mpfr_ptr)0);
}

void reference_softmax(struct reference *r, const struct reference_loss *loss, const mpfr_t *x,
                       size_t classes, size_t label, size_t c) {
    mpfr_t factor, unused, z, share, one;
    struct reference_loss plain = *loss;
    mpfr_inits2(WIDE_BITS, factor, unused, z, share, one, (mpfr_ptr)0);
    alphas(loss, factor, unused);
    set_zero(r);
    if (classes > 1) {
        mpfr_set_ui(one, 1, MPFR_RNDN);
        reference_margin(z, x, NULL, classes, label);
        others_of(share, x, NULL, classes, label);
        mpfr_sub(unused, x[c], x[label], MPFR_RNDN);
        mpfr_exp(unused, unused, MPFR_RNDN);
        mpfr_div(share, unused, share, MPFR_RNDN);
        plain.mode = loss->mode == FGHM_HESSIAN_GAUSS_NEWTON ? loss->mode : FGHM_HESSIAN_EXACT;
        plain.negative_gamma = plain.gamma;
        plain.hessian_factor = 0.0;
        if (loss->rule == FGHM_FOCAL_RULE_STAR) {
            star_of_margin(r, loss->gamma, z, factor);
        } else {
            reference_sigmoid(r, &plain, z, one);
        }
        if (c != label) {
            reference_other_class(r, r, share);
        }
        if (loss->rule != FGHM_FOCAL_RULE_STAR && loss->mode != FGHM_HESSIAN_GAUSS_NEWTON) {
            /* the definition itself; only the scales are those of the margin */
            struct reference exact;
            reference_init(&exact);
            set_zero(&exact);
            softmax_loss(&exact, loss->gamma, loss->detached, x, classes, label, c, factor);
            mpfr_set(r->loss, exact.loss, MPFR_RNDN);
            mpfr_set(r->gradient, exact.gradient, MPFR_RNDN);
            mpfr_set(r->hessian, exact.hessian, MPFR_RNDN);
            reference_clear(&exact);
        }
    }
    apply_mode(r, loss, factor);
    mpfr_clears(factor, unused, z, share, one, (mpfr_ptr)0);
}
