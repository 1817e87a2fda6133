/* SPDX-License-Identifier: MIT */
#include "soft_reference.h"

#include <stdint.h>
#include <stdlib.h>

#include "wide.h"

/* A class: t, u = a t, p, 1 - p and -log p; the base m of its factor and m^gamma. */
struct wide_class {
    mpfr_t t, u, p, q, log, m, power;
};

struct soft_wide {
    struct soft_sample sample;
    struct wide_class *classes;
    mpfr_t right, wrong, power; /* of the sample: P, 1 - P and (1 - P)^gamma */
    mpfr_t cross, weight;       /* sums of u (-log p) and of u */
};

void soft_smooth(const struct dtype *d, double smoothing, bool labels, size_t classes,
                 double *targets) {
    const double share = smoothing / (double)classes, other = dtype_round(d, share);
    const double keep = dtype_round(d, 1.0 - smoothing);
    const double own = dtype_round(d, 1.0 - smoothing + share);
    for (size_t c = 0; smoothing > 0.0 && c < classes; c++) {
        if (labels) {
            targets[c] = targets[c] > 0.0 ? own : other;
        } else {
            targets[c] = dtype_round(d, dtype_round(d, targets[c] * keep) + other);
        }
    }
}

/* A number with its first and second derivative by one logit. */
struct jet {
    mpfr_t v, d, h;
};

static void jet_init(struct jet *a) {
    mpfr_inits2(WIDE_BITS, a->v, a->d, a->h, (mpfr_ptr)0);
    mpfr_set_zero(a->v, 1);
    mpfr_set_zero(a->d, 1);
    mpfr_set_zero(a->h, 1);
}

static void jet_clear(struct jet *a) {
    mpfr_clears(a->v, a->d, a->h, (mpfr_ptr)0);
}

static void fma_to(mpfr_t out, mpfr_srcptr a, mpfr_srcptr b) {
    mpfr_fma(out, a, b, out, MPFR_RNDN);
}

/* out += factor a b */
static void jet_add_product(struct jet *out, mpfr_srcptr factor, const struct jet *a,
                            const struct jet *b) {
    mpfr_t x;
    mpfr_init2(x, WIDE_BITS);
    mpfr_mul(x, a->v, b->v, MPFR_RNDN);
    fma_to(out->v, factor, x);
    mpfr_mul(x, a->d, b->v, MPFR_RNDN);
    fma_to(x, a->v, b->d);
    fma_to(out->d, factor, x);
    mpfr_mul(x, a->d, b->d, MPFR_RNDN);
    mpfr_mul_2ui(x, x, 1, MPFR_RNDN);
    fma_to(x, a->h, b->v);
    fma_to(x, a->v, b->h);
    fma_to(out->h, factor, x);
    mpfr_clear(x);
}

/* m^gamma, of which the value is known. */
static void jet_power(struct jet *out, const struct jet *m, mpfr_srcptr power, double gamma) {
    mpfr_t slope, x;
    mpfr_inits2(WIDE_BITS, slope, x, (mpfr_ptr)0);
    mpfr_set(out->v, power, MPFR_RNDN);
    mpfr_set_zero(out->d, 1);
    mpfr_set_zero(out->h, 1);
    /* Of a class alone, which never changes. */
    if (gamma != 0.0 && !mpfr_zero_p(m->v)) {
        mpfr_div(slope, m->d, m->v, MPFR_RNDN);
        mpfr_mul_d(out->d, power, gamma, MPFR_RNDN);
        mpfr_sqr(x, slope, MPFR_RNDN);
        mpfr_mul_d(x, x, gamma - 1.0, MPFR_RNDN);
        mpfr_mul(out->h, m->h, out->d, MPFR_RNDN);
        mpfr_div(out->h, out->h, m->v, MPFR_RNDN);
        fma_to(out->h, out->d, x);
        mpfr_mul(out->d, out->d, slope, MPFR_RNDN);
    }
    mpfr_clears(slope, x, (mpfr_ptr)0);
}

/* p_c and -log p_c by the logit of class k. */
static void class_jets(const struct soft_wide *w, size_t c, size_t k, struct jet *p,
                       struct jet *log) {
    const struct wide_class *const of = &w->classes[c], *const by = &w->classes[k];
    mpfr_t slope; /* of log p */
    mpfr_init2(slope, WIDE_BITS);
    if (c == k) {
        mpfr_set(slope, by->q, MPFR_RNDN);
    } else {
        mpfr_neg(slope, by->p, MPFR_RNDN);
    }
    mpfr_set(log->v, of->log, MPFR_RNDN);
    mpfr_neg(log->d, slope, MPFR_RNDN);
    mpfr_mul(log->h, by->p, by->q, MPFR_RNDN);
    mpfr_set(p->v, of->p, MPFR_RNDN);
    mpfr_mul(p->d, of->p, slope, MPFR_RNDN);
    mpfr_sqr(slope, slope, MPFR_RNDN);
    mpfr_sub(slope, slope, log->h, MPFR_RNDN);
    mpfr_mul(p->h, of->p, slope, MPFR_RNDN);
    mpfr_clear(slope);
}

static bool is_negative(const struct soft_sample *s, size_t c) {
    return s->label != SIZE_MAX && c != s->label;
}

static double gamma_of(const struct soft_sample *s, size_t c) {
    return is_negative(s, c) ? s->negative_gamma : s->gamma;
}

/* That of derivatives, for which a factor may be a constant. */
static double slope_gamma(const struct soft_sample *s, double gamma) {
    return s->detached ? 0.0 : gamma;
}

struct soft_wide *soft_wide_new(const struct soft_sample *sample) {
    struct soft_wide *const w = malloc(sizeof *w);
    mpfr_t total, largest, x;
    if (w == NULL || (w->classes = calloc(sample->classes, sizeof *w->classes)) == NULL) {
        abort();
    }
    w->sample = *sample;
    mpfr_inits2(WIDE_BITS, total, largest, x, w->right, w->wrong, w->power, w->cross, w->weight,
                (mpfr_ptr)0);
    mpfr_set_zero(total, 1);
    mpfr_set_zero(w->right, 1);
    mpfr_set_zero(w->wrong, 1);
    mpfr_set_zero(w->cross, 1);
    mpfr_set_zero(w->weight, 1);
    for (size_t c = 0; c < sample->classes; c++) {
        struct wide_class *const of = &w->classes[c];
        mpfr_inits2(WIDE_BITS, of->t, of->u, of->p, of->q, of->log, of->m, of->power, (mpfr_ptr)0);
        mpfr_set_d(of->t, sample->targets[c], MPFR_RNDN);
        mpfr_mul_d(of->u, of->t, sample->factors == NULL ? 1.0 : sample->factors[c], MPFR_RNDN);
        mpfr_set_d(of->p, sample->logits[c], MPFR_RNDN);
        mpfr_exp(of->p, of->p, MPFR_RNDN);
        mpfr_add(total, total, of->p, MPFR_RNDN);
    }
    mpfr_log(largest, total, MPFR_RNDN);
    for (size_t c = 0; c < sample->classes; c++) {
        struct wide_class *const of = &w->classes[c];
        mpfr_sub_d(of->log, largest, sample->logits[c], MPFR_RNDN);
        if (sample->classes == 1) {
            mpfr_set_zero(of->log, 1);
        }
        mpfr_sub(of->q, total, of->p, MPFR_RNDN);
        mpfr_div(of->q, of->q, total, MPFR_RNDN);
        mpfr_div(of->p, of->p, total, MPFR_RNDN);
        fma_to(w->right, of->t, of->p);
        mpfr_ui_sub(x, 1, of->t, MPFR_RNDN);
        fma_to(w->wrong, x, of->p);
        fma_to(w->cross, of->u, of->log);
        mpfr_add(w->weight, w->weight, of->u, MPFR_RNDN);
        mpfr_set(of->m, is_negative(sample, c) ? of->p : of->q, MPFR_RNDN);
        mpfr_set_d(x, gamma_of(sample, c), MPFR_RNDN);
        if (sample->by_class) {
            mpfr_pow(of->power, of->m, x, MPFR_RNDN);
        }
    }
    mpfr_set_d(x, sample->gamma, MPFR_RNDN);
    mpfr_pow(w->power, w->wrong, x, MPFR_RNDN);
    mpfr_clears(total, largest, x, (mpfr_ptr)0);
    return w;
}

void soft_wide_free(struct soft_wide *w) {
    for (size_t c = 0; c < w->sample.classes; c++) {
        struct wide_class *const of = &w->classes[c];
        mpfr_clears(of->t, of->u, of->p, of->q, of->log, of->m, of->power, (mpfr_ptr)0);
    }
    mpfr_clears(w->right, w->wrong, w->power, w->cross, w->weight, (mpfr_ptr)0);
    free(w->classes);
    free(w);
}

/* 1 - a, or a. */
static void jet_mirror(struct jet *out, const struct jet *a, mpfr_srcptr value, int is_rest) {
    mpfr_set(out->v, value, MPFR_RNDN);
    mpfr_mul_si(out->d, a->d, is_rest ? -1 : 1, MPFR_RNDN);
    mpfr_mul_si(out->h, a->h, is_rest ? -1 : 1, MPFR_RNDN);
}

/* p_k (U - u_k) + u_k q_k, whatever U is the sum of. */
static void gradient_scale(mpfr_t out, const struct wide_class *k, mpfr_srcptr all,
                           mpfr_srcptr own) {
    mpfr_sub(out, all, own, MPFR_RNDN);
    mpfr_mul(out, out, k->p, MPFR_RNDN);
    fma_to(out, own, k->q);
}

/* (1 - P)^gamma S. */
static void of_sample(struct reference *r, const struct soft_wide *w, size_t k) {
    const struct wide_class *const by = &w->classes[k];
    const double gamma = slope_gamma(&w->sample, w->sample.gamma);
    struct jet p, log, one, right, cross, m, power, loss;
    struct jet *const jets[] = {&p, &log, &one, &right, &cross, &m, &power, &loss};
    mpfr_t x, relative, unit;
    mpfr_inits2(WIDE_BITS, x, relative, unit, (mpfr_ptr)0);
    for (int i = 0; i < 8; i++) {
        jet_init(jets[i]);
    }
    mpfr_set_ui(unit, 1, MPFR_RNDN);
    mpfr_set_ui(one.v, 1, MPFR_RNDN);
    for (size_t c = 0; c < w->sample.classes; c++) {
        class_jets(w, c, k, &p, &log);
        jet_add_product(&right, w->classes[c].t, &p, &one);
        jet_add_product(&cross, w->classes[c].u, &log, &one);
    }
    jet_mirror(&m, &right, w->wrong, 1);
    jet_power(&power, &m, w->power, gamma);
    jet_add_product(&loss, unit, &power, &cross);
    mpfr_set(r->loss, loss.v, MPFR_RNDN);
    mpfr_set(r->gradient, loss.d, MPFR_RNDN);
    mpfr_set(r->hessian, loss.h, MPFR_RNDN);
    /* The magnitude of r, from the smaller ones of P and t, and 1 - P and 1 - t. */
    if (mpfr_cmp_d(by->t, 0.5) > 0) {
        mpfr_ui_sub(relative, 1, by->t, MPFR_RNDN);
        mpfr_add(relative, relative, w->wrong, MPFR_RNDN);
    } else {
        mpfr_add(relative, w->right, by->t, MPFR_RNDN);
    }
    mpfr_mul(relative, relative, by->p, MPFR_RNDN);
    if (mpfr_cmp_ui(w->wrong, 0) > 0) {
        mpfr_div(relative, relative, w->wrong, MPFR_RNDN);
    }
    gradient_scale(r->gradient_scale, by, w->weight, by->u);
    /* S (|1 - 2 p| + |gamma - 1| r) + 2 s, times gamma r, and U p q. */
    mpfr_sub(x, by->q, by->p, MPFR_RNDN);
    mpfr_abs(x, x, MPFR_RNDN);
    mpfr_set(r->hessian_scale, relative, MPFR_RNDN);
    mpfr_mul_d(r->hessian_scale, r->hessian_scale, gamma < 1.0 ? 1.0 - gamma : gamma - 1.0,
               MPFR_RNDN);
    mpfr_add(x, x, r->hessian_scale, MPFR_RNDN);
    mpfr_mul(x, x, w->cross, MPFR_RNDN);
    mpfr_add(x, x, r->gradient_scale, MPFR_RNDN);
    mpfr_add(x, x, r->gradient_scale, MPFR_RNDN);
    mpfr_mul_d(relative, relative, gamma, MPFR_RNDN);
    mpfr_mul(r->hessian_scale, x, relative, MPFR_RNDN);
    fma_to(r->gradient_scale, w->cross, relative);
    mpfr_mul(x, by->p, by->q, MPFR_RNDN);
    fma_to(r->hessian_scale, x, w->weight);
    mpfr_mul(r->gradient_scale, r->gradient_scale, w->power, MPFR_RNDN);
    mpfr_mul(r->hessian_scale, r->hessian_scale, w->power, MPFR_RNDN);
    if (w->sample.gauss_newton) {
        mpfr_mul(relative, w->cross, w->right, MPFR_RNDN);
        mpfr_mul_d(relative, relative, gamma, MPFR_RNDN);
        if (!mpfr_zero_p(w->wrong)) {
            mpfr_div(relative, relative, w->wrong, MPFR_RNDN);
        }
        mpfr_add(relative, relative, w->weight, MPFR_RNDN);
        mpfr_mul(relative, relative, w->power, MPFR_RNDN);
        mpfr_mul(r->hessian, x, relative, MPFR_RNDN);
        mpfr_set(r->hessian_scale, r->hessian, MPFR_RNDN);
    }
    for (int i = 0; i < 8; i++) {
        jet_clear(jets[i]);
    }
    mpfr_clears(x, relative, unit, (mpfr_ptr)0);
}

/* h and j of a class: its f = m^gamma (-log p) as a function of log p, and the sums of the
 * magnitudes of their terms. */
static void slopes_of(const struct soft_wide *w, size_t c, mpfr_t h, mpfr_t h_scale,
                      mpfr_t j_scale) {
    const struct wide_class *const of = &w->classes[c];
    const double gamma = slope_gamma(&w->sample, gamma_of(&w->sample, c));
    mpfr_t x, y;
    mpfr_inits2(WIDE_BITS, x, y, (mpfr_ptr)0);
    if (is_negative(&w->sample, c)) {
        mpfr_mul_d(x, of->log, gamma, MPFR_RNDN);
        mpfr_ui_sub(h, 1, x, MPFR_RNDN);
        mpfr_add_ui(h_scale, x, 1, MPFR_RNDN);
        mpfr_add_ui(j_scale, x, 2, MPFR_RNDN);
        mpfr_mul_d(j_scale, j_scale, gamma, MPFR_RNDN);
    } else {
        mpfr_mul(y, of->p, of->log, MPFR_RNDN);
        mpfr_div(y, y, of->q, MPFR_RNDN); /* p L / q */
        if (mpfr_zero_p(of->q)) {
            mpfr_set_ui(y, 1, MPFR_RNDN);
        }
        mpfr_mul_d(x, y, gamma, MPFR_RNDN);
        mpfr_add_ui(h, x, 1, MPFR_RNDN);
        mpfr_set(h_scale, h, MPFR_RNDN);
        mpfr_mul_d(x, of->p, gamma, MPFR_RNDN);
        mpfr_ui_sub(x, 1, x, MPFR_RNDN);
        mpfr_abs(x, x, MPFR_RNDN);
        mpfr_mul(j_scale, x, y, MPFR_RNDN);
        mpfr_add(j_scale, j_scale, of->p, MPFR_RNDN);
        mpfr_add(j_scale, j_scale, of->p, MPFR_RNDN);
        mpfr_mul_d(j_scale, j_scale, gamma, MPFR_RNDN);
        if (!mpfr_zero_p(of->q)) {
            mpfr_div(j_scale, j_scale, of->q, MPFR_RNDN);
        }
    }
    mpfr_mul(x, of->power, of->u, MPFR_RNDN);
    mpfr_mul(h, h, x, MPFR_RNDN);
    mpfr_mul(h_scale, h_scale, x, MPFR_RNDN);
    mpfr_mul(j_scale, j_scale, x, MPFR_RNDN);
    mpfr_clears(x, y, (mpfr_ptr)0);
}

/* Sum of u m^gamma (-log p). */
static void of_classes(struct reference *r, const struct soft_wide *w, size_t k) {
    const struct wide_class *const by = &w->classes[k];
    struct jet p, log, m, power, loss;
    struct jet *const jets[] = {&p, &log, &m, &power, &loss};
    mpfr_t h, h_scale, j_scale, slopes, steepness, bends, own_slope, own_bend;
    mpfr_inits2(WIDE_BITS, h, h_scale, j_scale, slopes, steepness, bends, own_slope, own_bend,
                (mpfr_ptr)0);
    for (int i = 0; i < 5; i++) {
        jet_init(jets[i]);
    }
    mpfr_set_zero(slopes, 1);
    mpfr_set_zero(steepness, 1);
    mpfr_set_zero(bends, 1);
    for (size_t c = 0; c < w->sample.classes; c++) {
        const struct wide_class *const of = &w->classes[c];
        class_jets(w, c, k, &p, &log);
        jet_mirror(&m, &p, of->m, !is_negative(&w->sample, c));
        jet_power(&power, &m, of->power, slope_gamma(&w->sample, gamma_of(&w->sample, c)));
        jet_add_product(&loss, of->u, &power, &log);
        slopes_of(w, c, h, h_scale, j_scale);
        mpfr_add(slopes, slopes, h_scale, MPFR_RNDN);
        mpfr_abs(h, h, MPFR_RNDN);
        mpfr_add(steepness, steepness, h, MPFR_RNDN);
        if (c == k) {
            mpfr_set(own_slope, h_scale, MPFR_RNDN);
            mpfr_set(own_bend, j_scale, MPFR_RNDN);
        } else {
            mpfr_add(bends, bends, j_scale, MPFR_RNDN);
        }
    }
    mpfr_set(r->loss, loss.v, MPFR_RNDN);
    mpfr_set(r->gradient, loss.d, MPFR_RNDN);
    mpfr_set(r->hessian, loss.h, MPFR_RNDN);
    gradient_scale(r->gradient_scale, by, slopes, own_slope);
    /* q^2 u j + p^2 (others' u j) + p q V */
    mpfr_mul(r->hessian_scale, by->q, own_bend, MPFR_RNDN);
    mpfr_mul(r->hessian_scale, r->hessian_scale, by->q, MPFR_RNDN);
    mpfr_mul(h, by->p, bends, MPFR_RNDN);
    fma_to(r->hessian_scale, h, by->p);
    mpfr_mul(h, by->p, by->q, MPFR_RNDN);
    fma_to(r->hessian_scale, h, slopes);
    if (w->sample.gauss_newton) {
        mpfr_mul(r->hessian, h, steepness, MPFR_RNDN);
        mpfr_mul(r->hessian_scale, h, slopes, MPFR_RNDN);
    }
    for (int i = 0; i < 5; i++) {
        jet_clear(jets[i]);
    }
    mpfr_clears(h, h_scale, j_scale, slopes, steepness, bends, own_slope, own_bend, (mpfr_ptr)0);
}

void soft_reference(struct reference *r, const struct soft_wide *wide, size_t k) {
    (wide->sample.by_class ? of_classes : of_sample)(r, wide, k);
}
