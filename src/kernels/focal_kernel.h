/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_FOCAL_KERNEL_H
#define FGHM_KERNELS_FOCAL_KERNEL_H

/* Focal loss over contiguous elements.
 *
 * A target of exactly 0 or 1 turns the logit x into the margin z = -x or x, and
 * with e = exp(-|z|), p = sigmoid(z), q = sigmoid(-z) all is
 *
 *     loss      a q^gamma L,   L = softplus(-z) = max(-z, 0) + log1p(e)
 *     d / dz   -a q^gamma (q + gamma p L)
 *     d2 / dz2  a q^gamma (p q + gamma p (2 q - L + (p + gamma p) L))
 *               a q^gamma (p q + gamma p (p L)) for Gauss-Newton
 *
 * without a cancellation but that of the Hessian's own root.  Chunks with other
 * targets take a detour through soft_values(); an element's result does not
 * depend on its neighbours.
 *
 * The work goes in sweeps over CHUNK elements: first the exponentials into an array in the level 1
 * cache, then the results, last the sum of the losses; of any gamma, the powers' exponents have a
 * sweep of their own between the first two.  With fewer sweeps, the chain of dependent operations
 * of an element is longer than what out-of-order execution overlaps: with polynomials in place of
 * tables, one sweep less took 1.3 times as long, and so it is with any gamma now. */

#include <stdbool.h>

#include "kernels/kernels.h"
#include "kernels/lane_sum.h"
#include "kernels/margin_kernel.h"
#include "kernels/math_kernel.h"
#include "kernels/span_walk.h"

/* The outputs of a call, each set with those before it. */
enum { WANT_LOSS, WANT_GRADIENT, WANT_HESSIAN };

struct focal_factors {
    struct pair gamma; /* its rounding error would grow with the logarithm it multiplies */
    struct pair negative_gamma;
    unsigned halves, negative_halves;          /* twice as much, where powers are multiplied */
    vreal positive, negative;                  /* a_t */
    vreal positive_scaled, negative_scaled;    /* a_t / D */
    vreal positive_slope;                      /* -a_t / D: d / dx = -d / dz for a positive */
    vmask gauss_newton, absolute, of_gradient; /* how the Hessian is to be */
    vreal hessian_floor;
    vreal hessian_factor, hessian_drop; /* the factor, and as much less as Hessians are larger */
    vreal differentiated;               /* 1; 0 if the focal factor is a constant */
    /* a_t / D is kept 1 / drop times as large where it would be too small for its type. */
    vreal drop;
    bool careful; /* products may leave the range of normal numbers on their way */
    enum fghm_soft_form soft;
    vmask met_is_zero; /* of quality focal loss the gradient is 0 where p is t */
    /* Of a split loss: a_t of targets 1 and 0 over the larger of the two, and which that is. */
    vreal positive_share, negative_share;
    bool positive_leads;
    double beta;
    vmask zero_scores;
    vreal margin;
};

/* What sets one instantiation of the kernel apart: constants at compile time. */
struct focal_kind {
    int gamma;
    int want;
    bool regular; /* all targets 0 or 1, no logit infinite */
    bool margin;  /* negatives have one; only where it is regular, see margin_values() */
};

/* Results of a register before a_t, weights and 1 / D.  The Hessian is as much larger as the
 * exponentials were, until it is what the caller wants. */
struct focal_values {
    vreal loss;
    vreal gradient;
    vreal hessian;
};

/* The exponents of a register where they differ from lane to lane: gamma, and whose it is. */
struct focal_exponents {
    struct pair gamma;
    vreal derivative; /* gamma as a factor in derivatives */
    vmask is_one;
};

/* A factor in every lane; finite, since a weight of 0 can meet it. */
KERNEL_INLINE vreal v_set_factor(double x) {
    const double most = (double)REAL_MAX;
    return v_set((real)(x < -most ? -most : x > most ? most : x));
}

/* Whether a factor is too small for its digits to be kept, and not 0. */
static inline bool is_too_small(double factor) {
    return factor < (double)REAL_MIN / (double)REAL_EPSILON && factor > 0;
}

KERNEL_INLINE struct pair gamma_pair(double gamma) {
    return (struct pair){v_set((real)gamma), v_set((real)(gamma - (double)(real)gamma))};
}

static inline unsigned halves_of(double gamma) {
    return gamma <= FGHM_POWER_MAX ? (unsigned)(2 * gamma) : 0;
}

KERNEL_INLINE struct focal_factors focal_factors(const struct fghm_focal_constants *constants,
                                                 double scale) {
    const double negative_gamma = constants->negative_gamma;
    const double larger =
        constants->positive > constants->negative ? constants->positive : constants->negative;
    const double gamma = constants->gamma;
    const bool tiny =
        is_too_small(constants->positive * scale) || is_too_small(constants->negative * scale);
    scale *= tiny ? (double)REAL_LIFT : 1;
    return (struct focal_factors){
        .gamma = gamma_pair(gamma),
        .negative_gamma = gamma_pair(negative_gamma),
        .halves = halves_of(gamma),
        .negative_halves = halves_of(negative_gamma),
        .positive = v_set_factor(constants->positive),
        .negative = v_set_factor(constants->negative),
        .positive_scaled = v_set_factor(constants->positive * scale),
        .positive_slope = v_set_factor(-constants->positive * scale),
        .negative_scaled = v_set_factor(constants->negative * scale),
        .gauss_newton = v_eq(v_set(constants->gauss_newton), v_set(REAL(1.0))),
        .absolute = v_eq(v_set(constants->absolute), v_set(REAL(1.0))),
        .of_gradient = v_eq(v_set(constants->of_gradient), v_set(REAL(1.0))),
        .hessian_floor =
            v_set_factor(fghm_floor_times(constants->hessian_floor, constants->hessian_factor)),
        .hessian_factor = v_set_factor(constants->hessian_factor),
        .hessian_drop = v_set_factor(constants->hessian_factor *
                                     (constants->of_gradient ? 1 : (double)REAL_DROP)),
        .differentiated = v_set(!constants->detached),
        .drop = v_set(tiny ? REAL_DROP : REAL(1.0)),
        .careful = tiny || constants->careful,
        .soft = constants->soft,
        .met_is_zero = v_eq(v_set(constants->soft == FGHM_SOFT_QUALITY), v_set(REAL(1.0))),
        .positive_share = v_set((real)(larger > 0 ? constants->positive / larger : 0)),
        .negative_share = v_set((real)(larger > 0 ? constants->negative / larger : 0)),
        .positive_leads = constants->positive >= constants->negative,
        .beta = constants->beta,
        .zero_scores = v_eq(v_set(constants->zero_scores), v_set(REAL(1.0))),
        .margin = v_set((real)constants->margin),
    };
}

/* -log q = softplus(z), as a pair; log1p(exp(-|z|)) is given. */
KERNEL_INLINE struct pair softplus_pair(vreal magnitude, vmask easy, struct pair log) {
    const vreal positive = v_keep(easy, v_min(v_set(EXP_ZERO), magnitude));
    const struct pair sum = exact_sum(positive, log.high);
    return exact_sum_in_order(sum.high, v_add(sum.low, log.low));
}

/* exp(-gamma a). */
KERNEL_INLINE vreal exp_of_scaled(struct pair gamma, struct pair a) {
    return exp_minus_pair(pair_product(gamma, a));
}

/* Where the Hessian is wanted, exponentials are kept 2^REAL_LIFT_EXPONENT times as
 * large: the Hessian is gamma L times as large as p, which may be subnormal when
 * the Hessian is not. */
KERNEL_INLINE bool is_lifted(struct focal_kind kind) {
    return kind.want >= WANT_HESSIAN;
}

/* The Hessian of these results as the caller wants it. */
KERNEL_INLINE void finish_hessian(const struct focal_factors *factors,
                                  struct focal_values *values) {
    const vreal wanted = v_select(factors->of_gradient, v_abs(values->gradient), values->hessian);
    const vreal hessian = v_mul(wanted, factors->hessian_drop);
    const vreal signed_or_not = v_select(factors->absolute, v_abs(hessian), hessian);
    values->hessian = v_max(factors->hessian_floor, signed_or_not);
}

/* Whether powers are exponentials. */
KERNEL_INLINE bool is_any(struct focal_kind kind) {
    return kind.gamma == FGHM_GAMMA_ANY || kind.gamma == FGHM_GAMMA_LANES;
}

/* Whether exponents differ from lane to lane. */
KERNEL_INLINE bool has_exponents(struct focal_kind kind) {
    return kind.gamma == FGHM_GAMMA_POWERS || kind.gamma == FGHM_GAMMA_LANES;
}

/* The gammas that elements i, i + 1 ... of the span have of their own. */
KERNEL_INLINE struct pair own_gamma(const struct fghm_span *span, size_t i) {
    i += span->own_first;
    return (struct pair){v_load((const real *)span->own->gamma + i),
                         v_load((const real *)span->own->gamma_low + i)};
}

/* The exponents of positives where the mask is set, else of negatives; not looked at where the kind
 * says all there is to know.  Elements i, i + 1 ... of the span may have exponents of their own. */
KERNEL_INLINE struct focal_exponents exponents_of(struct focal_kind kind,
                                                  const struct focal_factors *factors,
                                                  const struct fghm_span *span, size_t i,
                                                  vmask is_one) {
    struct focal_exponents exponents = {
        .gamma = factors->gamma, .derivative = factors->gamma.high, .is_one = is_one};
    if (kind.gamma == FGHM_GAMMA_LANES && span->own != NULL && span->own->gamma != NULL) {
        exponents.gamma = own_gamma(span, i);
    } else if (has_exponents(kind)) {
        const struct pair *const other = &factors->negative_gamma;
        exponents.gamma = (struct pair){v_select(is_one, factors->gamma.high, other->high),
                                        v_select(is_one, factors->gamma.low, other->low)};
    }
    if (has_exponents(kind)) {
        exponents.derivative = v_mul(factors->differentiated, exponents.gamma.high);
    }
    return exponents;
}

/* From which power of q on its error counts: errors of q, each of them as large as that of a
 * result, would add up to more than the results may have. */
#define CORRECTED_HALVES 6

/* q to the power of half of `halves`, and, where that is to be corrected, what it is over q, else
 * 0. */
struct power {
    vreal value, over_q;
};

KERNEL_INLINE struct power power_of(unsigned halves, vreal q) {
    if (halves < 2) {
        return (struct power){halves == 1 ? v_sqrt(q) : v_set(REAL(1.0)), v_set(REAL(0.0))};
    }
    const unsigned rest = halves - 2;
    const vreal square = v_mul(q, q);
    vreal product = rest & 2 ? q : v_set(REAL(1.0));
    if (rest & 4) {
        product = rest & 2 ? v_mul(product, square) : square;
    }
    if (rest & 8) {
        const vreal fourth = v_mul(square, square);
        product = rest & 6 ? v_mul(product, fourth) : fourth;
    }
    if (rest & 1) {
        product = v_mul(product, v_sqrt(q));
    }
    const vreal over_q = halves >= CORRECTED_HALVES ? product : v_set(REAL(0.0));
    return (struct power){v_mul(product, q), over_q};
}

/* sigmoid of -z and of z, of which e = exp(-|z|) makes y = 1 / (1 + e). */
struct logistic {
    vmask easy; /* z is above 0 */
    vreal y;
    vreal q, p;
};

KERNEL_INLINE struct logistic logistic_of(vreal minus_z, vreal e, vreal y) {
    const vmask easy = v_gt(v_set(REAL(0.0)), minus_z);
    /* e y, with less of the rounding of y the smaller e is. */
    const vreal smaller = v_nmuladd(e, v_mul(e, y), e);
    return (struct logistic){
        .easy = easy, .y = y, .q = v_select(easy, smaller, y), .p = v_select(easy, y, smaller)};
}

/* What rounding took from q, also from y, of which that is what y (1 + e) is above 1. */
KERNEL_INLINE vreal sigmoid_low(const struct logistic *of, struct pair e) {
    const vreal one = v_set(REAL(1.0));
    const vreal excess = v_muladd(of->y, e.low, v_muladd(of->y, e.high, v_sub(of->y, one)));
    const vreal rounded =
        v_keep(of->easy, v_muladd(e.low, of->y, v_product_minus(e.high, of->y, of->q)));
    return v_nmuladd(of->q, excess, rounded);
}

/* q^gamma of q = b, which has not so many digits that pairs would pay. */
KERNEL_INLINE vreal margin_power_of(unsigned halves, vreal b) {
    const vreal square = v_mul(b, b);
    vreal product = halves & 2 ? b : v_set(REAL(1.0));
    product = halves & 4 ? v_mul(product, square) : product;
    product = halves & 8 ? v_mul(product, v_mul(square, square)) : product;
    return halves & 1 ? v_mul(product, v_sqrt(b)) : product;
}

KERNEL_INLINE bool has_correction(const struct focal_factors *factors) {
    return factors->halves >= CORRECTED_HALVES || factors->negative_halves >= CORRECTED_HALVES;
}

/* Whether more of an exponential is wanted than its rounded value: else its rounding would be
 * multiplied by gamma. */
KERNEL_INLINE bool is_exact(struct focal_kind kind, const struct focal_factors *factors) {
    return is_any(kind) || (kind.gamma == FGHM_GAMMA_POWERS && has_correction(factors));
}

KERNEL_INLINE struct power product_of_powers(const struct focal_factors *factors, vmask is_one,
                                             vreal q) {
    const struct power one = power_of(factors->halves, q);
    const struct power zero = power_of(factors->negative_halves, q);
    return (struct power){v_select(is_one, one.value, zero.value),
                          v_select(is_one, one.over_q, zero.over_q)};
}

/* What takes long of the results for -z: log1p(e), 1 / (1 + e), and of kinds that are exact,
 * q^gamma, in `power.high`, or, of any gamma, minus its logarithm.  `margin`, where the kind has
 * one: of the chunk, from i on; then the logarithm and the power are those of negatives with a
 * margin where the target is 0. */
struct powered {
    vreal log, reciprocal;
    struct pair power;
};

KERNEL_INLINE struct powered product_powered(struct focal_kind kind,
                                             const struct focal_factors *factors,
                                             const struct focal_exponents *exponents, vreal minus_z,
                                             struct pair e, const struct margin_chunk *margin,
                                             size_t i) {
    /* Positives and negatives with a margin need one logarithm each: they share it. */
    const struct softplus softplus = softplus_of(
        kind.margin ? v_select(exponents->is_one, e.high, v_load(margin->argument + i)) : e.high);
    struct powered of = {.log = softplus.log,
                         .reciprocal = kind.margin ? v_load(margin->y + i) : softplus.reciprocal};
    const struct logistic logistic = logistic_of(minus_z, e.high, of.reciprocal);
    const struct power power = kind.margin
                                   ? power_of(factors->halves, logistic.q)
                                   : product_of_powers(factors, exponents->is_one, logistic.q);
    of.power = (struct pair){power.value, v_set(REAL(0.0))};
    if (kind.margin ? factors->halves >= CORRECTED_HALVES : has_correction(factors)) {
        /* (q + low)^gamma = q^gamma + gamma q^(gamma - 1) low. */
        const vreal low = v_mul(exponents->gamma.high, sigmoid_low(&logistic, e));
        of.power.high = v_muladd(low, power.over_q, of.power.high);
    }
    if (kind.margin) {
        const vreal other = margin_power_of(factors->negative_halves, v_load(margin->b + i));
        of.power.high = v_select(exponents->is_one, of.power.high, other);
    }
    return of;
}

KERNEL_INLINE struct powered any_powered(struct focal_kind kind,
                                         const struct focal_exponents *exponents, vreal minus_z,
                                         struct pair e, const struct margin_chunk *margin,
                                         size_t i) {
    const struct exact_softplus softplus = exact_softplus_of(e);
    struct powered of = {.log = v_add(softplus.log.high, softplus.log.low),
                         .reciprocal = softplus.reciprocal};
    struct pair minus_log =
        softplus_pair(v_abs(minus_z), v_gt(v_set(REAL(0.0)), minus_z), softplus.log);
    if (kind.margin) {
        const struct pair other =
            minus_log_pair((struct pair){v_load(margin->b + i), v_set(REAL(0.0))});
        minus_log.high = v_select(exponents->is_one, minus_log.high, other.high);
        minus_log.low = v_select(exponents->is_one, minus_log.low, other.low);
        const vreal other_log = softplus_of(v_load(margin->argument + i)).log;
        of.log = v_select(exponents->is_one, of.log, other_log);
        /* Negatives have the bits that margin_values() gives them. */
        of.reciprocal = v_select(exponents->is_one, of.reciprocal, v_load(margin->y + i));
    }
    of.power = pair_product(exponents->gamma, minus_log);
    return of;
}

KERNEL_INLINE struct powered powered_of(struct focal_kind kind, const struct focal_factors *factors,
                                        const struct focal_exponents *exponents, vreal minus_z,
                                        struct pair e, const struct margin_chunk *margin,
                                        size_t i) {
    if (kind.gamma == FGHM_GAMMA_POWERS) {
        return product_powered(kind, factors, exponents, minus_z, e, margin, i);
    }
    if (is_any(kind)) {
        return any_powered(kind, exponents, minus_z, e, margin, i);
    }
    const struct softplus softplus = softplus_of(e.high);
    return (struct powered){
        softplus.log, softplus.reciprocal, {v_set(REAL(1.0)), v_set(REAL(0.0))}};
}

/* The results for -z, minus the margins; gradient is d / dz times -1.  `margin` as above. */
KERNEL_INLINE struct focal_values hard_values(struct focal_kind kind,
                                              const struct focal_factors *factors,
                                              const struct focal_exponents *exponents,
                                              vreal minus_z, vreal lifted, struct powered powered,
                                              const struct margin_chunk *margin, size_t i) {
    const bool lift = is_lifted(kind);
    const vreal one = v_set(REAL(1.0));
    const vreal y = powered.reciprocal;
    const struct logistic of =
        logistic_of(minus_z, lift ? v_mul(lifted, v_set(REAL_DROP)) : lifted, y);
    const vmask easy = of.easy;
    const vreal q = of.q, p = of.p;
    vreal loss = v_add(powered.log, v_max(minus_z, v_set(REAL(0.0))));
    if (kind.margin) {
        loss = v_select(exponents->is_one, loss, margin_loss(margin, i, powered.log));
    }

    vreal factor = powered.power.high;
    if (kind.gamma == FGHM_GAMMA_HALF) {
        factor = v_sqrt(q);
    } else if (kind.gamma == FGHM_GAMMA_1) {
        factor = q;
    } else if (kind.gamma == FGHM_GAMMA_2) {
        factor = v_mul(q, q);
    } else if (is_any(kind)) {
        factor = exp_minus_pair(powered.power);
    }

    vreal lifted_p = p;
    if (lift) {
        lifted_p = v_mul(y, v_select(easy, v_set(REAL_LIFT), lifted));
    }
    if (kind.gamma == FGHM_GAMMA_0) {
        return (struct focal_values){loss, q, lift ? v_mul(lifted_p, q) : one};
    }
    /* p is 0 beyond this bound, and 0 times an infinite loss would not be. */
    const vreal bounded_loss = kind.regular ? loss : v_min(v_set(REAL(2.0) * EXP_ZERO), loss);
    const vreal gamma_p = kind.gamma == FGHM_GAMMA_1   ? p
                          : kind.gamma == FGHM_GAMMA_2 ? v_add(p, p)
                                                       : v_mul(exponents->derivative, p);
    struct focal_values values;
    values.loss = v_mul(factor, loss);
    vreal steepness = v_muladd(gamma_p, bounded_loss, q);
    if (kind.margin) {
        const vreal focus = v_mul(exponents->derivative, v_load(margin->b_slope + i));
        const vreal other = v_muladd(focus, loss, v_mul(q, v_load(margin->per_rest + i)));
        steepness = v_select(exponents->is_one, steepness, v_mul(p, other));
    }
    values.gradient = v_mul(factor, steepness);
    if (lift) {
        const vreal exact = v_muladd(bounded_loss, v_sub(v_add(p, gamma_p), one), v_add(q, q));
        const vreal bracket = v_select(factors->gauss_newton, v_mul(p, bounded_loss), exact);
        const vreal lifted_gamma_p =
            kind.gamma == FGHM_GAMMA_1 ? lifted_p : v_mul(exponents->derivative, lifted_p);
        values.hessian =
            v_muladd(v_mul(factor, lifted_gamma_p), bracket, v_mul(factor, v_mul(lifted_p, q)));
    } else {
        values.hessian = one;
    }
    return values;
}

/* -log m for m = 1 - p_t = (u + v e) / (1 + e): u is t, or 1 - t for a logit above
 * 0, and v the other of the two.  As a pair. */
KERNEL_INLINE struct pair minus_log_wrong(vreal t, vmask above, struct pair e) {
    const struct pair rest = exact_sum(v_set(REAL(1.0)), v_sub(v_set(REAL(0.0)), t));
    const vreal u = v_select(above, rest.high, t);
    const vreal v = v_select(above, t, rest.high);
    const struct pair v_e = pair_product((struct pair){v, v_drop(above, rest.low)}, e);
    struct pair sum = exact_sum(u, v_e.high);
    sum.low = v_add(sum.low, v_add(v_keep(above, rest.low), v_e.low));
    return pair_sum(minus_log_pair(sum), log1p_sum(e));
}

/* The results for logits x and targets t between 0 and 1; gradient is d / dx.
 * With m = 1 - p_t and r = (dm / dx) / m, both free of cancellation (or, for quality
 * focal loss, m = |p - t|):
 *
 *     gradient = m^gamma (p - t + gamma r BCE)
 *     hessian  = m^gamma (p (1 - p) + gamma r (2 (p - t) +
 *                         (1 - 2 p + (gamma - 1) r) BCE))
 *
 * Gauss-Newton keeps of the last bracket r BCE alone: no term is negative then. */
KERNEL_INLINE struct focal_values soft_values(struct focal_kind kind,
                                              const struct focal_factors *factors,
                                              const struct focal_exponents *exponents, vreal x,
                                              vreal t, struct pair lifted) {
    const bool quality = factors->soft == FGHM_SOFT_QUALITY;
    const vreal zero = v_set(REAL(0.0));
    const vreal one = v_set(REAL(1.0));
    const struct pair e = is_lifted(kind) ? pair_times(lifted, REAL_DROP) : lifted;
    const vreal magnitude = v_abs(x);
    const vmask above = v_gt(x, zero);
    const vreal rest = v_sub(one, t);
    const struct softplus softplus = softplus_of(e.high);
    const vreal large = softplus.reciprocal;
    const vreal small = v_mul(e.high, large);
    const vreal p = v_select(above, large, small);
    const vreal not_p = v_select(above, small, large);
    /* 0 times an infinite logit must not be: t = 0 and 1 do not come here. */
    const vreal loss = v_muladd(v_select(above, rest, t), magnitude, softplus.log);
    const vreal bounded_loss = v_min(v_set(REAL(2.0) * EXP_ZERO), loss);
    /* p - t, from the smaller of p and 1 - p. */
    const vreal difference = v_select(above, v_sub(rest, small), v_sub(small, t));
    /* p (1 - p), as much larger as the exponential was. */
    const vreal lifted_slope = v_mul(v_mul(lifted.high, large), large);
    const real drop = is_lifted(kind) ? REAL_DROP : 1;
    if (kind.gamma == FGHM_GAMMA_0) {
        return (struct focal_values){loss, difference, lifted_slope};
    }

    /* 1 - p_t, or |p - t|, and its derivative over p (1 - p). */
    const vreal linear = v_muladd(t, not_p, v_mul(rest, p));
    /* Where p meets t, something far smaller than p - t could be stands for 0: m^gamma r
     * has its limit. */
    const vreal apart = v_max(v_mul(lifted_slope, v_set(drop * REAL_DROP)), v_abs(difference));
    const vreal wrong = v_max(v_set(REAL_SMALLEST), quality ? apart : linear);
    const vreal direction =
        quality ? v_negate_where(v_gt(zero, difference), one) : v_sub(one, v_add(t, t));
    vreal factor;
    if (kind.gamma == FGHM_GAMMA_HALF) {
        factor = v_sqrt(wrong);
    } else if (kind.gamma == FGHM_GAMMA_1) {
        factor = wrong;
    } else if (kind.gamma == FGHM_GAMMA_2) {
        factor = v_mul(wrong, wrong);
    } else if (kind.gamma == FGHM_GAMMA_POWERS) {
        factor = power_of(factors->halves, wrong).value;
    } else {
        const struct pair log =
            quality ? minus_log_pair((struct pair){wrong, zero}) : minus_log_wrong(t, above, e);
        factor = exp_of_scaled(exponents->gamma, log);
    }

    const vreal lifted_relative = v_div(v_mul(direction, lifted_slope), wrong);
    const vreal relative = v_mul(lifted_relative, v_set(drop));
    const vreal gamma_relative = v_mul(exponents->derivative, relative);
    const vmask met = m_and(factors->met_is_zero, v_eq(difference, zero));
    const vreal factor_relative = v_drop(met, v_mul(factor, gamma_relative));
    const vreal lifted_factor_relative =
        v_mul(factor, v_mul(exponents->derivative, lifted_relative));
    const vreal curve = v_add(v_sub(not_p, p), v_sub(gamma_relative, relative));
    const vreal exact = v_muladd(curve, bounded_loss, v_add(difference, difference));
    const vreal bracket = v_select(factors->gauss_newton, v_mul(relative, bounded_loss), exact);
    struct focal_values values;
    values.hessian = v_muladd(lifted_factor_relative, bracket, v_mul(factor, lifted_slope));
    /* A factor that is too small for its type is still not 0. */
    const vmask infinite = v_gt(loss, v_set(REAL_MAX));
    const vreal loss_factor = v_select(infinite, v_max(v_set(REAL_SMALLEST), factor), factor);
    values.loss = v_mul(loss_factor, loss);
    values.gradient = v_muladd(factor_relative, bounded_loss, v_mul(factor, difference));
    return values;
}

/* The working memory of a chunk: its exponentials, in the place of which its losses come, and, of
 * kinds that are exact, what their rounding took.  Of any gamma, then, what any_sweep() makes. */
struct chunk_exponentials {
    real high[CHUNK];
    real low[CHUNK];
};

KERNEL_INLINE struct pair chunk_exponential(bool exact, const struct chunk_exponentials *chunk,
                                            size_t i) {
    return (struct pair){v_load(chunk->high + i),
                         exact ? v_load(chunk->low + i) : v_set(REAL(0.0))};
}

/* 0 for a target of 0 or 1, something else, or NaN, for any other. */
KERNEL_INLINE vreal softness(vreal t) {
    return v_mulsub(t, t, t);
}

/* `want`: WANT_HESSIAN or less. */
OUT_OF_LINE void margin_sweep(int want, const struct fghm_focal_constants *constants,
                              const struct fghm_span *span, const struct chunk_exponentials *chunk,
                              struct margin_chunk *to) {
    const struct negative_margin margin =
        negative_margin_of(constants->margin, constants->margin_logit);
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal x = v_load((const real *)span->logits + i);
        const vreal drop = v_set(want >= WANT_HESSIAN ? REAL_DROP : REAL(1.0));
        const vreal e = v_mul(v_load(chunk->high + i), drop);
        const struct logistic of = logistic_of(x, e, softplus_of(e).reciprocal);
        v_store(to->y + i, of.y);
        margin_parts(&margin, x, of.q, of.p, to, i);
    }
}

/* For what hard_values() has no kind of: Hessians and irregular chunks. */
OUT_OF_LINE void margin_values(int want, bool products,
                               const struct fghm_focal_constants *constants, double scale,
                               const struct fghm_span *span, const struct chunk_exponentials *chunk,
                               union margin_memory *memory) {
    const struct focal_factors factors = focal_factors(constants, scale);
    const bool lifted = want >= WANT_HESSIAN;
    const bool own_gammas = span->own != NULL && span->own->gamma != NULL;
    const vreal zero = v_set(REAL(0.0));
    const vreal one = v_set(REAL(1.0));
    const struct margin_chunk *const margin = &memory->parts;
    struct negative_values *const to = &memory->values;
    margin_sweep(want, constants, span, chunk, &memory->parts);
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal x = v_load((const real *)span->logits + i);
        const vreal own = v_load(chunk->high + i);
        const vreal e = v_mul(own, v_set(lifted ? REAL_DROP : REAL(1.0)));
        const struct logistic of = logistic_of(x, e, v_load(margin->y + i));
        const vreal p = of.q, q = of.p;
        const vreal b = v_load(margin->b + i);
        const vreal b_slope = v_load(margin->b_slope + i);
        const vreal per_rest = v_load(margin->per_rest + i);
        const vreal loss = margin_loss(margin, i, softplus_of(v_load(margin->argument + i)).log);
        vreal gamma = factors.negative_gamma.high;
        vreal factor;
        if (products) {
            factor = margin_power_of(factors.negative_halves, b);
        } else {
            const struct pair exponent = own_gammas ? own_gamma(span, i) : factors.negative_gamma;
            gamma = exponent.high;
            factor = exp_of_scaled(exponent, minus_log_pair((struct pair){b, zero}));
        }
        const vreal slope = v_mul(p, per_rest);
        const vreal focus = v_mul(v_mul(factors.differentiated, gamma), b_slope);
        const vreal steepness = v_muladd(focus, loss, slope);
        v_store(to->loss + i, v_mul(factor, loss));
        v_store(to->gradient + i, v_mul(factor, v_mul(q, steepness)));
        if (lifted) {
            const vreal balance = v_sub(q, p);
            const vreal share = v_mul(q, per_rest);
            const vreal other = v_mul(factors.margin, per_rest);
            const vreal relative = v_mul(q, b_slope);
            const vreal curve = v_muladd(q, share, v_mul(other, balance));
            const vreal bend = v_muladd(v_sub(gamma, one), relative, balance);
            const vreal cross = v_muladd(loss, bend, v_mul(v_add(share, share), p));
            const vreal exact = v_muladd(focus, cross, v_mul(slope, curve));
            const vreal bracket = v_select(factors.gauss_newton, v_mul(q, steepness), exact);
            const vreal lifted_q = v_mul(of.y, v_select(of.easy, v_set(REAL_LIFT), own));
            v_store(to->hessian + i, v_mul(v_mul(factor, lifted_q), bracket));
        }
    }
}

/* What trains a network has a loop of its own.  For the sake of size, Hessians go the way of
 * irregular chunks. */
KERNEL_INLINE bool has_margin_loop(struct focal_kind kind) {
    return has_exponents(kind) && kind.want < WANT_HESSIAN;
}

/* What a chunk is like. */
struct chunk_nature {
    bool regular;  /* see struct focal_kind */
    bool moderate; /* no logit is so large that a sum of losses could overflow */
};

KERNEL_INLINE struct chunk_nature exponentials_of(bool lifted, bool exact,
                                                  const struct fghm_span *span,
                                                  struct chunk_exponentials *chunk) {
    const size_t n = span->n;
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    /* Kept in registers that are no masks: masks are slow to come by. */
    vreal soft = v_set(REAL(0.0));
    vreal largest = v_set(REAL(0.0));
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal magnitude = v_abs(v_load(logits + i));
        const struct pair e =
            lifted ? lifted_exp_minus_exactly(magnitude) : exp_minus_exactly(magnitude);
        soft = v_or(soft, softness(v_load(targets + i)));
        largest = v_max(magnitude, largest);
        v_store(chunk->high + i, e.high);
        if (exact) {
            v_store(chunk->low + i, e.low);
        }
    }
    return (struct chunk_nature){
        .regular = m_all(m_and(v_eq(soft, v_set(REAL(0.0))), v_le(largest, v_set(REAL_MAX)))),
        .moderate = m_all(v_le(largest, v_set(REAL_MODERATE_LOGIT))),
    };
}

/* The first sweep is the same for all kernels: out of line, it costs a call per chunk, and takes a
 * fifteenth of the library's text less. */
OUT_OF_LINE struct chunk_nature plain_exponentials(const struct fghm_span *span,
                                                   struct chunk_exponentials *chunk) {
    return exponentials_of(false, false, span, chunk);
}

OUT_OF_LINE struct chunk_nature lifted_exponentials(const struct fghm_span *span,
                                                    struct chunk_exponentials *chunk) {
    return exponentials_of(true, false, span, chunk);
}

OUT_OF_LINE struct chunk_nature exact_exponentials(bool lifted, const struct fghm_span *span,
                                                   struct chunk_exponentials *chunk) {
    return lifted ? exponentials_of(true, true, span, chunk)
                  : exponentials_of(false, true, span, chunk);
}

KERNEL_INLINE struct chunk_nature exponentials(struct focal_kind kind,
                                               const struct focal_factors *factors,
                                               const struct fghm_span *span,
                                               struct chunk_exponentials *chunk) {
    return is_exact(kind, factors) ? exact_exponentials(is_lifted(kind), span, chunk)
           : is_lifted(kind)       ? lifted_exponentials(span, chunk)
                                   : plain_exponentials(span, chunk);
}

/* Results of a register, and the factors that they still lack. */
struct focal_register {
    struct focal_values values;
    vreal loss_factor;
    vreal gradient_factor;
    vreal hessian_factor;
};

/* A sweep between the first and the last of a chunk's: in one with the last, the chain of dependent
 * operations would be longer than what out-of-order execution overlaps.  What it makes of an
 * element takes the place of what it is made of, whether there is a margin or not. */
KERNEL_INLINE void any_sweep(struct focal_kind kind, const struct focal_factors *factors,
                             const struct fghm_span *span, struct margin_chunk *margin,
                             struct chunk_exponentials *chunk) {
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vmask is_one = v_eq(v_load((const real *)span->targets + i), v_set(REAL(1.0)));
        const vreal minus_z = v_negate_where(is_one, v_load((const real *)span->logits + i));
        const struct focal_exponents exponents = exponents_of(kind, factors, span, i, is_one);
        const struct pair lifted = chunk_exponential(true, chunk, i);
        const struct pair e = is_lifted(kind) ? pair_times(lifted, REAL_DROP) : lifted;
        const struct powered of = any_powered(kind, &exponents, minus_z, e, margin, i);
        v_store(margin->log + i, of.log);
        v_store(margin->reciprocal + i, of.reciprocal);
        v_store(chunk->low + i, of.power.high);
        v_store(margin->power_low + i, of.power.low);
    }
}

/* Registers are elements i, i + 1 ... of a span. */
KERNEL_INLINE struct focal_register hard_register(struct focal_kind kind,
                                                  const struct focal_factors *factors,
                                                  const struct fghm_span *span, size_t i, vreal x,
                                                  vreal t, const struct margin_chunk *margin,
                                                  const struct chunk_exponentials *chunk) {
    const vmask is_one = v_eq(t, v_set(REAL(1.0)));
    const vreal minus_z = v_negate_where(is_one, x);
    const struct focal_exponents exponents = exponents_of(kind, factors, span, i, is_one);
    const bool exact = kind.gamma == FGHM_GAMMA_POWERS && has_correction(factors);
    const struct pair e = chunk_exponential(exact, chunk, i);
    struct powered powered;
    if (is_any(kind)) {
        powered = (struct powered){v_load(margin->log + i),
                                   v_load(margin->reciprocal + i),
                                   {v_load(chunk->low + i), v_load(margin->power_low + i)}};
    } else {
        const struct pair dropped = is_lifted(kind) ? pair_times(e, REAL_DROP) : e;
        powered = powered_of(kind, factors, &exponents, minus_z, dropped, margin, i);
    }
    struct focal_values values =
        hard_values(kind, factors, &exponents, minus_z, e.high, powered, margin, i);
    if (is_lifted(kind)) {
        finish_hessian(factors, &values);
    }
    return (struct focal_register){
        .values = values,
        .loss_factor = v_select(is_one, factors->positive, factors->negative),
        .gradient_factor = v_select(is_one, factors->positive_slope, factors->negative_scaled),
        .hessian_factor = v_select(is_one, factors->positive_scaled, factors->negative_scaled),
    };
}

/* Where a factor is so small that a product with it loses digits before a large value makes
 * up for it: the values smaller by as much as is returned, which the factor is to be
 * multiplied by.  Values that lose digits by it have results of 0. */
KERNEL_INLINE vreal drop_values(vmask tiny, struct focal_values *values) {
    const vreal drop = v_select(tiny, v_set(REAL_DROP), v_set(REAL(1.0)));
    values->loss = v_mul(values->loss, drop);
    values->gradient = v_mul(values->gradient, drop);
    values->hessian = v_mul(values->hessian, drop);
    return v_select(tiny, v_set(REAL_LIFT), v_set(REAL(1.0)));
}

/* The a_t of a register is positive times one share plus negative times the other: t and 1 - t, or
 * what the rule has in their place. */
struct focal_shares {
    vreal positive, negative;
};

KERNEL_INLINE vreal factor_of(const struct focal_shares *shares, vreal positive, vreal negative) {
    return v_muladd(positive, shares->positive, v_mul(negative, shares->negative));
}

/* A split loss: which shares of a_t the losses of targets 1 and 0 have, so that the sum of both can
 * have its Hessian's mode; and what stands for t and 1 - t in a_t.  A positive share that would be
 * subnormal is kept larger: it is to be multiplied by `drop`, too.  Of lanes that are not soft, t
 * and 1 - t. */
struct split {
    struct focal_shares shares, rest;
    vreal drop;
};

KERNEL_INLINE struct split split_of(const struct focal_factors *factors,
                                    const struct fghm_span *span, size_t i, vreal t,
                                    vmask is_soft) {
    const vreal one = v_set(REAL(1.0));
    const vreal zero = v_set(REAL(0.0));
    const struct focal_shares whole = {t, v_sub(one, t)};
    struct focal_shares shares = {factors->positive_share, factors->negative_share};
    if (span->own != NULL && span->own->positive_share != NULL) {
        i += span->own_first;
        shares.positive = v_load((const real *)span->own->positive_share + i);
        shares.negative = v_load((const real *)span->own->negative_share + i);
    }
    const vreal positive = v_mul(whole.positive, shares.positive);
    const vreal negative = v_mul(whole.negative, shares.negative);
    const vreal sum = v_add(positive, negative);
    /* Both factors are 0 if the loss weight is. */
    const vreal divisor = v_select(v_eq(sum, zero), one, sum);
    const vmask small =
        m_and(is_soft, m_and(v_gt(v_set(REAL_MIN), positive), v_gt(sum, v_set(REAL_TINY))));
    const vreal lift = v_select(small, v_set(REAL_LIFT * REAL_LIFT), one);
    const vreal lifted = v_mul(v_mul(whole.positive, lift), shares.positive);
    return (struct split){
        .shares = {v_select(is_soft, v_div(lifted, divisor), whole.positive),
                   v_select(is_soft, v_div(negative, divisor), whole.negative)},
        .rest = {v_select(is_soft, factors->positive_leads ? sum : zero, whole.positive),
                 v_select(is_soft, factors->positive_leads ? zero : sum, whole.negative)},
        .drop = v_select(small, v_set(REAL_DROP * REAL_DROP), one),
    };
}

/* The loss of targets that are 0 or 1, with derivatives by x; and of all others if the loss is
 * split: the sum of both, with the shares of the two.  What is to be multiplied by 0 is finite. */
KERNEL_INLINE struct focal_values
hard_or_split(struct focal_kind kind, const struct focal_factors *factors,
              const struct fghm_span *span, size_t i, vreal x, vmask is_one, vmask is_soft,
              const struct split *parts, const struct negative_values *negatives, struct pair e) {
    const bool split = factors->soft == FGHM_SOFT_SPLIT && !m_all(m_not(is_soft));
    vmask positive = split ? m_or(is_one, is_soft) : is_one;
    struct focal_values values;
    for (int side = 0;; side++) {
        const struct focal_exponents exponents = exponents_of(kind, factors, span, i, positive);
        const vreal minus_z = v_negate_where(positive, x);
        const struct pair dropped = is_lifted(kind) ? pair_times(e, REAL_DROP) : e;
        const struct powered powered =
            powered_of(kind, factors, &exponents, minus_z, dropped, NULL, i);
        struct focal_values own =
            hard_values(kind, factors, &exponents, minus_z, e.high, powered, NULL, i);
        if (has_exponents(kind) && negatives != NULL) {
            own.loss = v_select(positive, own.loss, v_load(negatives->loss + i));
            own.gradient = v_select(positive, own.gradient, v_load(negatives->gradient + i));
            if (is_lifted(kind)) {
                own.hessian = v_select(positive, own.hessian, v_load(negatives->hessian + i));
            }
        }
        own.gradient = v_negate_where(positive, own.gradient);
        if (!split) {
            return own;
        }
        const vreal share = side == 0 ? parts->shares.positive : parts->shares.negative;
        const vmask is_none = m_and(is_soft, v_eq(share, v_set(REAL(0.0))));
        own.loss = v_select(is_none, v_min(v_set(REAL_MAX), own.loss), own.loss);
        if (side == 0) {
            const vreal drop = parts->drop;
            values.loss = v_select(is_soft, v_mul(v_mul(share, own.loss), drop), own.loss);
            values.gradient =
                v_select(is_soft, v_mul(v_mul(share, own.gradient), drop), own.gradient);
            values.hessian = v_select(is_soft, v_mul(v_mul(share, own.hessian), drop), own.hessian);
            positive = m_not(positive);
            continue;
        }
        values.loss = v_select(is_soft, v_muladd(share, own.loss, values.loss), values.loss);
        values.gradient =
            v_select(is_soft, v_muladd(share, own.gradient, values.gradient), values.gradient);
        values.hessian =
            v_select(is_soft, v_muladd(share, own.hessian, values.hessian), values.hessian);
        return values;
    }
}

/* (1 - t)^beta for rest = 1 - t; NaN stays. */
KERNEL_INLINE vreal penalty(double beta, vreal rest, vreal t) {
    const vreal square = v_mul(rest, rest);
    if (beta == 4) {
        return v_mul(square, square);
    }
    if (beta == 2) {
        return square;
    }
    if (beta == 1) {
        return rest;
    }
    /* 0 has no logarithm: 1 stands in for it. */
    const vmask is_zero = v_eq(rest, v_set(REAL(0.0)));
    const vreal other = v_drop(is_zero, t);
    const struct pair exact_rest = exact_sum(v_set(REAL(1.0)), v_sub(v_set(REAL(0.0)), other));
    const vreal power = exp_of_scaled(gamma_pair(beta), minus_log_pair(exact_rest));
    return v_select(v_eq(t, t), v_drop(is_zero, power), t);
}

/* The weight of positives of the varifocal rules that have soft targets. */
KERNEL_INLINE vreal positive_weight(const struct focal_factors *factors, vreal t) {
    const vmask is_zero = m_and(factors->zero_scores, v_gt(v_set(REAL_MIN), t));
    /* The Hessian of cross-entropy does not depend on the target, but is NaN if that is. */
    const vreal one = v_select(v_eq(t, t), v_set(REAL(1.0)), t);
    return factors->soft == FGHM_SOFT_VARIFOCAL ? v_drop(is_zero, t) : one;
}

/* Their targets. */
KERNEL_INLINE vreal quality_of(const struct focal_factors *factors, vreal t) {
    const vmask is_zero = m_and(factors->zero_scores, v_gt(v_set(REAL_MIN), t));
    if (factors->soft == FGHM_SOFT_MATCHABILITY) {
        const vreal power = exp_of_scaled(factors->negative_gamma,
                                          minus_log_pair((struct pair){t, v_set(REAL(0.0))}));
        const vmask lost = m_and(is_zero, v_gt(factors->negative_gamma.high, v_set(REAL(0.0))));
        return v_drop(lost, power);
    }
    return v_drop(is_zero, t);
}

/* As hard_register for any targets. */
KERNEL_INLINE struct focal_register mixed_register(struct focal_kind kind,
                                                   const struct focal_factors *factors,
                                                   const struct fghm_span *span, size_t i, vreal x,
                                                   vreal t, const struct negative_values *negatives,
                                                   struct pair e, int *bad_target) {
    const vreal one = v_set(REAL(1.0));
    const vmask is_one = v_eq(t, one);
    const vmask is_soft = m_not(m_or(v_eq(t, v_set(REAL(0.0))), is_one));
    const vmask in_range = m_and(v_le(v_set(REAL(0.0)), t), v_le(t, one));
    if (!m_all(m_or(in_range, m_not(v_eq(t, t))))) {
        *bad_target = 1;
    }
    /* A target out of range counts as NaN from here on. */
    t = v_select(in_range, t, v_set((real)NAN));
    struct focal_shares shares = {t, v_sub(one, t)};
    struct split split = {.shares = shares, .drop = one};
    if (factors->soft == FGHM_SOFT_SPLIT) {
        split = split_of(factors, span, i, t, is_soft);
        shares = split.rest;
    }
    struct focal_register out;
    out.values = hard_or_split(kind, factors, span, i, x, is_one, is_soft, &split, negatives, e);
    if (factors->soft == FGHM_SOFT_HEATMAP) {
        shares.positive = v_drop(is_soft, shares.positive);
        shares.negative = penalty(factors->beta, shares.negative, t);
    } else if (factors->soft != FGHM_SOFT_SPLIT) {
        /* Where the target is hard, nothing is to be divided by 0. */
        vreal soft_t = v_select(is_soft, t, v_set(REAL(0.5)));
        if (factors->soft >= FGHM_SOFT_VARIFOCAL) {
            kind.gamma = FGHM_GAMMA_0;
            shares.positive = v_select(is_soft, positive_weight(factors, t), shares.positive);
            shares.negative = v_drop(is_soft, shares.negative);
            soft_t = quality_of(factors, soft_t);
            /* The cross-entropy of targets 0 and 1 where it is 0, too. */
            x = v_select(v_eq(soft_t, v_set(REAL(0.0))), v_max(v_set(-REAL_MAX), x), x);
            x = v_select(v_eq(soft_t, one), v_min(v_set(REAL_MAX), x), x);
        }
        const struct focal_exponents exponents = exponents_of(kind, factors, span, i, is_one);
        const struct focal_values soft = soft_values(kind, factors, &exponents, x, soft_t, e);
        out.values.loss = v_select(is_soft, soft.loss, out.values.loss);
        out.values.gradient = v_select(is_soft, soft.gradient, out.values.gradient);
        out.values.hessian = v_select(is_soft, soft.hessian, out.values.hessian);
    }
    finish_hessian(factors, &out.values);
    const vreal a_t = factor_of(&shares, factors->positive, factors->negative);
    const vmask tiny = m_and(v_gt(v_set(REAL_TINY), a_t), is_soft);
    const vreal lift = drop_values(tiny, &out.values);
    shares.positive = v_mul(shares.positive, lift);
    shares.negative = v_mul(shares.negative, lift);
    out.loss_factor = factor_of(&shares, factors->positive, factors->negative);
    const vreal scaled = factor_of(&shares, factors->positive_scaled, factors->negative_scaled);
    out.gradient_factor = scaled;
    out.hessian_factor = scaled;
    return out;
}

/* Cross-entropy where exp(-|x|) is too small to be kept, and a factor makes up for it: log1p
 * and logistic function are the exponential itself there. */
KERNEL_INLINE void lift_values(const struct focal_factors *factors, vreal x, vreal t,
                               struct focal_register *out) {
    const vreal e = lifted_exp_minus(v_abs(x));
    const vmask is_one = v_eq(t, v_set(REAL(1.0)));
    const vmask is_hard = m_or(is_one, v_eq(t, v_set(REAL(0.0))));
    const vmask is_easy = v_gt(v_set(REAL(0.0)), v_negate_where(is_one, x));
    const vmask is_small = v_gt(v_set(REAL_TINY * REAL_LIFT), e);
    const vmask lifts = m_and(is_hard, m_and(is_easy, is_small));
    const vreal drop = v_select(lifts, v_set(REAL_DROP), v_set(REAL(1.0)));
    const vreal floor =
        v_mul(v_max(v_set(-REAL_MAX * REAL_DROP), factors->hessian_floor), v_set(REAL_LIFT));
    out->values.loss = v_select(lifts, e, out->values.loss);
    out->values.gradient = v_select(lifts, v_negate_where(is_one, e), out->values.gradient);
    const vreal hessian = v_mul(e, factors->hessian_factor);
    out->values.hessian = v_select(lifts, v_max(floor, hessian), out->values.hessian);
    out->loss_factor = v_mul(out->loss_factor, drop);
    out->gradient_factor = v_mul(out->gradient_factor, drop);
    out->hessian_factor = v_mul(out->hessian_factor, drop);
}

/* How many registers of a regular chunk go through the second sweep together: two chains of
 * dependent operations, side by side in the code, ask less of out-of-order execution, and the
 * branches are half as many.  Saves a twentieth of the time where there are registers enough (Zen
 * 5, AVX-512), at the price of text, so the usual gammas alone have it. */
#define SIDE_BY_SIDE ((size_t)(V_LANES * sizeof(real) >= 64 ? 2 : 1))

/* Where there are results, and what they are made from, beside the span. */
struct focal_sweep {
    const struct focal_factors *factors;
    const struct margin_chunk *margin;
    const struct negative_values *negatives;
    struct chunk_exponentials *chunk;
    int *bad_target;
};

/* Of `count` registers from element i on; returns the largest magnitudes of their weights, or
 * `largest_weight`. */
KERNEL_INLINE vreal focal_registers(struct focal_kind kind, size_t count,
                                    const struct focal_sweep *sweep, const struct fghm_span *span,
                                    size_t i, vreal largest_weight) {
    const struct focal_factors *const factors = sweep->factors;
    const real *const weights = span->weights;
    real *const element_loss = span->element_loss;
    real *const gradient = span->gradient;
    real *const hessian = span->hessian;
    struct focal_register out[SIDE_BY_SIDE];
    KERNEL_UNROLL
    for (size_t k = 0; k < count; k++) {
        const size_t at = i + k * V_LANES;
        const vreal x = v_load((const real *)span->logits + at);
        const vreal t = v_load((const real *)span->targets + at);
        if (kind.regular) {
            out[k] = hard_register(kind, factors, span, at, x, t, sweep->margin, sweep->chunk);
        } else {
            const struct pair e = chunk_exponential(is_exact(kind, factors), sweep->chunk, at);
            out[k] = mixed_register(kind, factors, span, at, x, t, sweep->negatives, e,
                                    sweep->bad_target);
        }
        if (!kind.regular && kind.gamma == FGHM_GAMMA_0 && factors->careful) {
            lift_values(factors, x, t, &out[k]);
        }
    }
    if (weights != NULL) {
        KERNEL_UNROLL
        for (size_t k = 0; k < count; k++) {
            const size_t at = i + k * V_LANES;
            vreal weight = v_load(weights + at);
            largest_weight = v_max(v_abs(weight), largest_weight);
            if (!kind.regular) {
                /* Not hard targets: those have the bits that they have in a regular chunk. */
                const vreal t = v_load((const real *)span->targets + at);
                const vmask is_hard = m_or(v_eq(t, v_set(REAL(0.0))), v_eq(t, v_set(REAL(1.0))));
                const vreal soft_weight = v_select(is_hard, v_set(REAL(1.0)), v_abs(weight));
                const vmask tiny =
                    v_gt(v_set(REAL_TINY), factors->careful ? v_abs(weight) : soft_weight);
                weight = v_mul(weight, drop_values(tiny, &out[k].values));
            }
            out[k].loss_factor = v_mul(out[k].loss_factor, weight);
            out[k].gradient_factor = v_mul(out[k].gradient_factor, weight);
            out[k].hessian_factor = v_mul(out[k].hessian_factor, weight);
        }
    }
    vreal losses[SIDE_BY_SIDE];
    KERNEL_UNROLL
    for (size_t k = 0; k < count; k++) {
        if (!kind.regular) {
            /* 0 times an infinite loss is 0. */
            const vreal finite = v_min(v_set(REAL_MAX), out[k].values.loss);
            const vmask is_zero = v_eq(out[k].loss_factor, v_set(REAL(0.0)));
            out[k].values.loss = v_select(is_zero, finite, out[k].values.loss);
            out[k].gradient_factor = v_mul(out[k].gradient_factor, factors->drop);
            out[k].hessian_factor = v_mul(out[k].hessian_factor, factors->drop);
        }
        losses[k] = v_mul(out[k].values.loss, out[k].loss_factor);
        v_store(sweep->chunk->high + i + k * V_LANES, losses[k]);
    }
    if (element_loss != NULL) {
        KERNEL_UNROLL
        for (size_t k = 0; k < count; k++) {
            v_store(element_loss + i + k * V_LANES, losses[k]);
        }
    }
    if (kind.want >= WANT_GRADIENT && gradient != NULL) {
        KERNEL_UNROLL
        for (size_t k = 0; k < count; k++) {
            v_store(gradient + i + k * V_LANES,
                    v_mul(out[k].values.gradient, out[k].gradient_factor));
        }
    }
    if (kind.want >= WANT_HESSIAN && hessian != NULL) {
        KERNEL_UNROLL
        for (size_t k = 0; k < count; k++) {
            v_store(hessian + i + k * V_LANES, v_mul(out[k].values.hessian, out[k].hessian_factor));
        }
    }
    return largest_weight;
}

/* The second sweep over n <= CHUNK elements, a multiple of SUM_LANES.  Returns the largest
 * magnitudes of the weights: maxima in a loop of their own would be a chain that nothing hides. */
KERNEL_INLINE vreal focal_results(struct focal_kind kind, const struct focal_sweep *sweep,
                                  const struct fghm_span *span) {
    const bool usual = kind.gamma == FGHM_GAMMA_0 || kind.gamma == FGHM_GAMMA_2;
    const size_t count = kind.regular && usual ? SIDE_BY_SIDE : 1;
    vreal largest_weight = v_set(REAL(0.0));
    size_t i = 0;
    for (; i + count * V_LANES <= span->n; i += count * V_LANES) {
        largest_weight = focal_registers(kind, count, sweep, span, i, largest_weight);
    }
    if (SUM_LANES % (count * V_LANES) != 0 && i < span->n) {
        largest_weight = focal_registers(kind, 1, sweep, span, i, largest_weight);
    }
    return largest_weight;
}

/* Out of line, and one for all kinds: soft targets and infinite logits are rare.  It makes
 * its factors by itself, so that the common way has only those that it needs to make. */
static __attribute__((noinline)) vreal
irregular_results(struct focal_kind kind, const struct fghm_focal_constants *constants,
                  double scale, const struct fghm_span *span, struct chunk_exponentials *chunk,
                  union margin_memory *margin, int *bad_target) {
    const struct focal_factors factors = focal_factors(constants, scale);
    kind.regular = false;
    const bool has_margin = has_exponents(kind) && constants->margin > 0;
    if (has_margin) {
        margin_values(kind.want, kind.gamma == FGHM_GAMMA_POWERS, constants, scale, span, chunk,
                      margin);
    }
    const struct focal_sweep sweep = {&factors, NULL, has_margin ? &margin->values : NULL, chunk,
                                      bad_target};
    return focal_results(kind, &sweep, span);
}

/* A span of n <= CHUNK elements, a multiple of SUM_LANES. */
KERNEL_INLINE void focal_chunk(struct focal_kind kind, const struct fghm_focal_constants *constants,
                               double scale, const struct focal_factors *factors,
                               const struct fghm_span *span, struct lane_sum *total,
                               int *bad_target) {
    struct chunk_exponentials chunk;
    const struct chunk_nature nature = exponentials(kind, factors, span, &chunk);
    vreal largest_weight;
    const bool common = nature.regular && !factors->careful;
    const bool has_margin = has_exponents(kind) && constants->margin > 0;
    union margin_memory margin;
    if (__builtin_expect(common && !has_margin, 1)) {
        const struct focal_sweep sweep = {factors, &margin.parts, NULL, &chunk, bad_target};
        if (is_any(kind)) {
            any_sweep(kind, factors, span, &margin.parts, &chunk);
        }
        largest_weight = focal_results(kind, &sweep, span);
    } else if (common && has_margin_loop(kind)) {
        margin_sweep(kind.want, constants, span, &chunk, &margin.parts);
        kind.margin = true;
        if (is_any(kind)) {
            any_sweep(kind, factors, span, &margin.parts, &chunk);
        }
        const struct focal_sweep sweep = {factors, &margin.parts, NULL, &chunk, bad_target};
        largest_weight = focal_results(kind, &sweep, span);
    } else {
        largest_weight = irregular_results(kind, constants, scale, span, &chunk,
                                           has_margin ? &margin : NULL, bad_target);
    }
    const bool light = m_all(v_le(largest_weight, v_set(REAL_MODERATE_WEIGHT)));
    lane_sum_add_chunk(total, span->n, chunk.high, nature.moderate && light);
}

KERNEL_INLINE void focal_span(struct focal_kind kind, const struct fghm_focal_constants *constants,
                              double scale, const struct fghm_span *span, struct fghm_sum *sum,
                              int *bad_target) {
    const struct focal_factors factors = focal_factors(constants, scale);
    struct lane_sum total;
    lane_sum_start(&total, sum);
    struct span_walk walk;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        focal_chunk(kind, constants, scale, &factors, walk.part, &total, bad_target);
        walk_finish_part(&walk);
    }
    lane_sum_end(&total, sum);
}

/* One function per gamma, with one instantiation of the loop for each set of
 * outputs in it.  The loss alone has one of its own where that is asked for: for
 * cross-entropy and the usual gamma; elsewhere it takes the gradient's. */
KERNEL_INLINE void focal_any_outputs(int gamma, const struct fghm_focal_constants *constants,
                                     double scale, const struct fghm_span *span,
                                     struct fghm_sum *sum, int *bad_target) {
    if (span->hessian != NULL) {
        const struct focal_kind kind = {gamma, WANT_HESSIAN, true, false};
        focal_span(kind, constants, scale, span, sum, bad_target);
    } else if (span->gradient != NULL || !(gamma == FGHM_GAMMA_0 || gamma == FGHM_GAMMA_2)) {
        const struct focal_kind kind = {gamma, WANT_GRADIENT, true, false};
        focal_span(kind, constants, scale, span, sum, bad_target);
    } else {
        const struct focal_kind kind = {gamma, WANT_LOSS, true, false};
        focal_span(kind, constants, scale, span, sum, bad_target);
    }
}

#define FOCAL_KERNEL(name, gamma)                                                                  \
    static void name(const struct fghm_focal_constants *constants, double scale,                   \
                     const struct fghm_span *span, struct fghm_sum *sum, int *bad_target) {        \
        focal_any_outputs(gamma, constants, scale, span, sum, bad_target);                         \
    }

FOCAL_KERNEL(focal_gamma_0, FGHM_GAMMA_0)
FOCAL_KERNEL(focal_gamma_half, FGHM_GAMMA_HALF)
FOCAL_KERNEL(focal_gamma_1, FGHM_GAMMA_1)
FOCAL_KERNEL(focal_gamma_2, FGHM_GAMMA_2)
FOCAL_KERNEL(focal_gamma_any, FGHM_GAMMA_ANY)
FOCAL_KERNEL(focal_gamma_powers, FGHM_GAMMA_POWERS)
FOCAL_KERNEL(focal_gamma_lanes, FGHM_GAMMA_LANES)

#undef FOCAL_KERNEL

#endif
