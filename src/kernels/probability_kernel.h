/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_PROBABILITY_KERNEL_H
#define FGHM_KERNELS_PROBABILITY_KERNEL_H

/* Focal loss of probabilities, and its derivatives with respect to them.
 *
 * With m = 1 - p_t = t (1 - p) + (1 - t) p, B = -t log p - (1 - t) log(1 - p) and
 * r = B / m, which is 1 where both are 0:
 *
 *     loss      m^gamma B
 *     gradient  m^gamma (B' + gamma m' r)
 *     hessian   m^gamma (B'' + gamma (2 B' + (gamma - 1) m' r) m' / m)
 *
 * Where a logarithm or a quotient would be infinite, the smallest normal number
 * stands for 0.
 *
 * m^gamma, 1 / p, 1 / m and their squares may be far outside the range of their type where a
 * product of them is an ordinary number.  So these are kept as a value and an exponent, and
 * powers of two come in last, behind all factors: until then nothing overflows, or loses
 * digits by being too small. */

#include "kernels/focal_kernel.h"

/* a, but at least `least`; NaN stays. */
KERNEL_INLINE struct pair at_least(vreal least, struct pair a) {
    return (struct pair){v_max(least, a.high), v_keep(v_gt(a.high, least), a.low)};
}

/* -log p and -log(1 - p), each to the last place also where it is near 0: with the larger
 * of the two probabilities, -log(larger) = log1p(smaller / larger). */
struct minus_logs {
    vreal p, not_p;
};

KERNEL_INLINE struct minus_logs minus_logs_of(vreal p, struct pair not_p) {
    const vmask is_large = v_gt(p, v_set(REAL(0.5)));
    const vreal small = v_select(is_large, not_p.high, p);
    const struct pair large = {v_select(is_large, p, not_p.high), v_drop(is_large, not_p.low)};
    const vreal quotient = v_div(small, large.high);
    const vreal excess =
        v_muladd(quotient, large.low, v_product_minus(quotient, large.high, small));
    const struct pair ratio = {quotient, v_sub(v_set(REAL(0.0)), v_div(excess, large.high))};
    const struct pair of_large = log1p_pair(ratio);
    const vreal not_zero = v_select(v_eq(small, v_set(REAL(0.0))), v_set(REAL_MIN), small);
    const struct pair of_small = minus_log_pair((struct pair){not_zero, v_set(REAL(0.0))});
    const vreal large_log = v_add(of_large.high, of_large.low);
    const vreal small_log = v_add(of_small.high, of_small.low);
    return (struct minus_logs){v_select(is_large, large_log, small_log),
                               v_select(is_large, small_log, large_log)};
}

KERNEL_INLINE vreal within_range(vreal a) {
    return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), a));
}

/* value 2^exponent. */
struct scaled {
    vreal value;
    vreal exponent;
};

/* A number above 0, with a value in [1, 2). */
KERNEL_INLINE struct scaled scaled_of(vreal a) {
    const vmask tiny = v_gt(v_set(REAL_TINY), a);
    struct scaled scaled;
    scaled.value =
        v_fraction(v_mul(a, v_select(tiny, v_set(REAL_LIFT), v_set(REAL(1.0)))), &scaled.exponent);
    scaled.exponent = v_sub(scaled.exponent, v_keep(tiny, v_set(REAL_LIFT_EXPONENT)));
    return scaled;
}

/* 2^n for a whole number n up to 0. */
KERNEL_INLINE vreal power_of_2(vreal n) {
    return v_exponent(v_add(v_max(v_set(REAL_LEAST_EXPONENT), n), v_set(REAL_ROUND)));
}

/* The number itself, as far as its type has it. */
KERNEL_INLINE vreal unscaled(struct scaled scaled) {
    for (int step = 0; step < 5; step++) {
        const vreal n = v_max(v_set(1 - REAL_EXPONENT_BIAS),
                              v_min(v_set(REAL_EXPONENT_OFFSET - 2), scaled.exponent));
        scaled.value = v_mul(scaled.value, v_exponent(v_add(n, v_set(REAL_ROUND))));
        scaled.exponent = v_sub(scaled.exponent, n);
        if (__builtin_expect(m_all(v_eq(scaled.exponent, v_set(REAL(0.0)))), 1)) {
            break;
        }
    }
    return scaled.value;
}

/* exp(-gamma a) for a >= 0. */
KERNEL_INLINE struct scaled scaled_power(struct pair gamma, struct pair a) {
    const struct pair product = pair_product(gamma, a);
    const vreal most = v_set(POWER_ZERO);
    const vreal bounded = v_min(most, product.high);
    const vreal low = v_keep(v_le(product.high, most), product.low);
    const vreal rounded = exp_rounded(bounded);
    const vreal r = v_add(exp_reduced(bounded, rounded), low);
    /* n eighths are `whole` ones and -4 to 4. */
    const vreal round = v_set(REAL_ROUND);
    const vreal n = v_sub(rounded, round);
    const vreal whole = v_sub(v_muladd(n, v_set(REAL(0.125)), round), round);
    const vreal left = v_nmuladd(whole, v_set(REAL(8.0)), n);
    const struct exponential x = exponential_of(r, v_add(left, round));
    return (struct scaled){v_mul(exponential_sum(x), v_set(EXP_DROP)), whole};
}

/* Loss, gradient and Hessian before a_t, weights and 1 / D. */
struct probability_values {
    struct scaled loss, gradient, hessian;
};

/* What the loss and its derivatives share. */
struct probability_parts {
    struct pair not_p;
    struct pair m;
    vmask is_zero; /* m is */
    vmask is_lost; /* and so is m^gamma */
    vreal loss;    /* B and m, larger by `lift` */
    vreal lift;
    struct scaled power;  /* m^gamma */
    struct scaled factor; /* the same, and 0 where it is lost */
};

KERNEL_INLINE struct probability_parts probability_parts(struct pair gamma, vreal p, vreal t) {
    const vreal zero = v_set(REAL(0.0));
    const vreal rest = v_sub(v_set(REAL(1.0)), t);
    struct probability_parts parts;
    parts.not_p = exact_sum(v_set(REAL(1.0)), v_sub(zero, p));
    parts.m =
        (struct pair){v_muladd(t, parts.not_p.high, v_mul(rest, p)), v_mul(t, parts.not_p.low)};
    parts.is_zero = v_eq(parts.m.high, zero);
    parts.m.high = v_select(parts.is_zero, v_set(REAL_MIN), parts.m.high);
    const struct minus_logs logs = minus_logs_of(p, parts.not_p);
    /* Where m is that small, so are p and t, and -log(1 - p) is p. */
    const vmask tiny = v_gt(v_set(REAL_TINY), parts.m.high);
    parts.lift = v_select(tiny, v_set(REAL_LIFT), v_set(REAL(1.0)));
    const vreal of_not_p = v_select(tiny, v_mul(p, parts.lift), logs.not_p);
    parts.loss = v_muladd(rest, of_not_p, v_mul(v_mul(t, parts.lift), logs.p));
    /* 0 to the power of 0 is 1. */
    parts.is_lost = m_and(parts.is_zero, v_gt(gamma.high, zero));
    const struct pair minus_log = minus_log_pair(parts.m);
    const struct pair exponent =
        at_least(zero, exact_sum(minus_log.high, minus_log.low)); /* not below by rounding */
    parts.power = scaled_power(gamma, exponent);
    parts.factor = parts.power;
    parts.factor.value = v_drop(parts.is_lost, parts.power.value);
    return parts;
}

KERNEL_INLINE struct scaled scaled_loss(const struct probability_parts *parts) {
    const vmask lifted = v_gt(parts->lift, v_set(REAL(1.0)));
    const vreal exponent = v_sub(parts->power.exponent, v_keep(lifted, v_set(REAL_LIFT_EXPONENT)));
    return (struct scaled){v_mul(parts->factor.value, parts->loss), exponent};
}

/* B' and B'', for which t / p and t / p^2 may be too large: less by powers of two. */
struct slopes {
    struct scaled first, second;
};

KERNEL_INLINE struct slopes slopes_of(const struct probability_parts *parts, vreal p, vreal t) {
    const vreal zero = v_set(REAL(0.0));
    const vreal one = v_set(REAL(1.0));
    const vreal rest = v_sub(one, t);
    const vreal not_p = v_select(v_eq(parts->not_p.high, zero), v_set(REAL_MIN), parts->not_p.high);
    const struct scaled p_scaled = scaled_of(v_select(v_eq(p, zero), v_set(REAL_MIN), p));
    const vmask none = v_eq(t, zero);
    const struct scaled t_scaled = scaled_of(v_select(none, one, t));
    /* t / p and t / p^2 */
    const vreal quotient = v_drop(none, v_div(t_scaled.value, p_scaled.value));
    const vreal square = v_div(quotient, p_scaled.value);
    const vreal exponent = v_drop(none, v_sub(t_scaled.exponent, p_scaled.exponent));
    const vreal square_exponent = v_drop(none, v_sub(exponent, p_scaled.exponent));
    struct slopes slopes;
    slopes.first.exponent = v_max(zero, exponent);
    slopes.second.exponent = v_max(zero, square_exponent);
    const vreal of_rest = v_div(rest, not_p);
    slopes.first.value = v_sub(v_mul(of_rest, power_of_2(v_sub(zero, slopes.first.exponent))),
                               v_mul(quotient, power_of_2(v_sub(exponent, slopes.first.exponent))));
    const vreal of_rest_squared = within_range(v_div(of_rest, not_p));
    slopes.second.value = within_range(
        v_add(v_mul(of_rest_squared, power_of_2(v_sub(zero, slopes.second.exponent))),
              v_mul(square, power_of_2(v_sub(square_exponent, slopes.second.exponent)))));
    return slopes;
}

KERNEL_INLINE void add_derivatives(const struct focal_factors *factors,
                                   const struct probability_parts *parts, vreal gamma, vreal p,
                                   vreal t, struct probability_values *values) {
    const vreal zero = v_set(REAL(0.0));
    const vreal one = v_set(REAL(1.0));
    const vreal m_slope = v_sub(v_sub(one, t), t);
    const struct slopes slopes = slopes_of(parts, p, t);
    const vreal slope = slopes.first.value;
    const vreal ratio =
        v_select(parts->is_zero, one, v_div(parts->loss, v_mul(parts->m.high, parts->lift)));
    const vreal m_ratio =
        v_mul(v_mul(m_slope, ratio), power_of_2(v_sub(zero, slopes.first.exponent)));
    values->gradient = (struct scaled){
        v_mul(parts->factor.value, within_range(v_muladd(gamma, m_ratio, slope))),
        v_add(parts->power.exponent, slopes.first.exponent),
    };

    const vreal curve = slopes.second.value;
    const vreal curve_exponent = v_add(parts->power.exponent, slopes.second.exponent);
    const vreal twice = v_muladd(v_sub(gamma, one), m_ratio, v_add(slope, slope));
    const struct scaled m = scaled_of(parts->m.high);
    const vreal m_relative = v_mul(parts->power.value, v_div(m_slope, m.value));
    const vreal bend = v_mul(v_mul(m_relative, gamma), twice);
    const vreal bend_exponent =
        v_select(v_eq(bend, zero), curve_exponent,
                 v_add(v_sub(parts->power.exponent, m.exponent), slopes.first.exponent));
    const vreal exponent = v_max(curve_exponent, bend_exponent);
    const vreal exact =
        v_muladd(parts->power.value, v_mul(curve, power_of_2(v_sub(curve_exponent, exponent))),
                 v_mul(bend, power_of_2(v_sub(bend_exponent, exponent))));
    /* Of the order of m^(gamma - 1), so not 0 yet for gamma up to 1. */
    const vmask is_flat = m_and(parts->is_zero, v_gt(gamma, one));
    const vreal hessian =
        v_select(factors->gauss_newton, v_mul(parts->factor.value, curve), v_drop(is_flat, exact));
    values->hessian = (struct scaled){
        within_range(hessian),
        v_select(factors->gauss_newton, curve_exponent, exponent),
    };
}

KERNEL_INLINE struct scaled scaled_times(vreal factor, struct scaled a) {
    return (struct scaled){v_mul(factor, a.value), a.exponent};
}

/* The same number with a value whose magnitude is in [1, 2), if it is one. */
KERNEL_INLINE struct scaled scaled_normal(struct scaled a) {
    const vreal magnitude = v_abs(a.value);
    const vmask is_number =
        m_and(v_gt(magnitude, v_set(REAL(0.0))), v_le(magnitude, v_set(REAL_MAX)));
    const struct scaled own = scaled_of(v_select(is_number, magnitude, v_set(REAL(1.0))));
    const vreal value = v_negate_where(v_gt(v_set(REAL(0.0)), a.value), own.value);
    return (struct scaled){v_select(is_number, value, a.value),
                           v_add(a.exponent, v_keep(is_number, own.exponent))};
}

/* a 2^n, or 0 where that is too small to be added to 1. */
KERNEL_INLINE vreal scaled_down(vreal a, vreal n) {
    return v_drop(v_gt(v_set(REAL_LEAST_EXPONENT), n), v_mul(a, power_of_2(n)));
}

/* a + b where the mask is set, else a; 0 has no exponent. */
KERNEL_INLINE struct scaled scaled_sum(vmask mask, struct scaled a, struct scaled b) {
    const vreal zero = v_set(REAL(0.0));
    const struct scaled normal_a = scaled_normal(a);
    const struct scaled normal_b = scaled_normal(b);
    const vreal a_exponent = v_select(v_eq(a.value, zero), normal_b.exponent, normal_a.exponent);
    const vreal b_exponent = v_select(v_eq(b.value, zero), a_exponent, normal_b.exponent);
    const vreal exponent = v_max(a_exponent, b_exponent);
    const vreal of_a = scaled_down(normal_a.value, v_sub(a_exponent, exponent));
    const vreal of_b = scaled_down(normal_b.value, v_sub(b_exponent, exponent));
    return (struct scaled){v_select(mask, v_add(of_a, of_b), a.value),
                           v_select(mask, exponent, a.exponent)};
}

/* The loss, and its derivatives if they are wanted: of one product, or, where a split loss has
 * soft targets, the sum of the losses of targets 1 and 0 with the shares of the two. */
KERNEL_INLINE struct probability_values
probability_values(const struct focal_factors *factors, const struct fghm_span *span, size_t i,
                   bool derivatives, vreal p, vreal t, const struct split *split, vmask is_soft) {
    const struct focal_kind lanes = {.gamma = FGHM_GAMMA_LANES};
    const vreal one = v_set(REAL(1.0));
    vmask positive = v_eq(t, one);
    vreal share = one;
    if (split != NULL) {
        positive = m_or(positive, is_soft);
        share = v_select(is_soft, split->shares.positive, one);
        t = v_select(is_soft, one, t);
    }
    struct probability_values sum;
    for (int side = 0;; side++) {
        const struct focal_exponents exponents = exponents_of(lanes, factors, span, i, positive);
        const struct probability_parts parts = probability_parts(exponents.gamma, p, t);
        struct probability_values own = {.loss = scaled_loss(&parts)};
        if (derivatives) {
            add_derivatives(factors, &parts, exponents.derivative, p, t, &own);
        }
        own.loss = scaled_times(share, own.loss);
        own.gradient = scaled_times(share, own.gradient);
        own.hessian = scaled_times(share, own.hessian);
        if (side == 0) {
            sum = own;
            if (split != NULL) {
                const vreal down = v_keep(v_gt(one, split->drop), v_set(2 * REAL_LIFT_EXPONENT));
                sum.loss.exponent = v_sub(sum.loss.exponent, down);
                sum.gradient.exponent = v_sub(sum.gradient.exponent, down);
                sum.hessian.exponent = v_sub(sum.hessian.exponent, down);
            }
        } else {
            sum.loss = scaled_sum(is_soft, sum.loss, own.loss);
            sum.gradient = scaled_sum(is_soft, sum.gradient, own.gradient);
            sum.hessian = scaled_sum(is_soft, sum.hessian, own.hessian);
        }
        if (split == NULL || side == 1) {
            return sum;
        }
        positive = m_not(positive);
        share = split->shares.negative;
        t = v_drop(is_soft, t);
    }
}

/* A result with its factor, which is 2^shift as large. */
KERNEL_INLINE vreal probability_result(struct scaled scaled, vreal factor, vreal shift) {
    scaled.value = v_mul(scaled.value, factor);
    scaled.exponent = v_add(scaled.exponent, shift);
    return unscaled(scaled);
}

/* A derivative with its factor.  What is too large for its type is its largest number. */
KERNEL_INLINE vreal probability_derivative(struct scaled scaled, vreal factor, vreal shift) {
    const vreal result = probability_result(scaled, factor, shift);
    const vmask finite = v_le(v_abs(factor), v_set(REAL_MAX));
    return v_select(finite, within_range(result), result);
}

/* The same of a Hessian, as the caller wants it. */
KERNEL_INLINE vreal probability_hessian(const struct focal_factors *factors, struct scaled hessian,
                                        vreal factor, vreal shift) {
    hessian.value = within_range(v_mul(hessian.value, factors->hessian_factor));
    hessian.value = v_select(factors->absolute, v_abs(hessian.value), hessian.value);
    /* No floor is larger than that. */
    const struct scaled bounded = {hessian.value, v_min(v_set(REAL(100.0)), hessian.exponent)};
    const vmask below = v_gt(factors->hessian_floor, unscaled(bounded));
    const struct scaled chosen = {v_select(below, factors->hessian_floor, hessian.value),
                                  v_drop(below, hessian.exponent)};
    return probability_derivative(chosen, factor, shift);
}

/* a_t times the weight, and a_t / D times it; as much larger as `exponent` says where they
 * are tiny. */
struct probability_factors {
    vreal loss, derivatives;
    vreal loss_shift, derivatives_shift;
};

KERNEL_INLINE struct probability_factors
probability_factors(const struct focal_factors *factors, struct focal_shares shares, vreal weight) {
    const vreal lift = v_set(REAL_LIFT_EXPONENT);
    const vreal a_t = factor_of(&shares, factors->positive, factors->negative);
    const vmask tiny = v_gt(v_set(REAL_TINY), a_t);
    const vmask light = v_gt(v_set(REAL_TINY), v_abs(weight));
    shares.positive = v_mul(shares.positive, v_select(tiny, v_set(REAL_LIFT), v_set(REAL(1.0))));
    shares.negative = v_mul(shares.negative, v_select(tiny, v_set(REAL_LIFT), v_set(REAL(1.0))));
    weight = v_mul(weight, v_select(light, v_set(REAL_LIFT), v_set(REAL(1.0))));
    const vreal alpha = factor_of(&shares, factors->positive, factors->negative);
    const vreal scaled = factor_of(&shares, factors->positive_scaled, factors->negative_scaled);
    const vreal shift = v_sub(v_set(REAL(0.0)), v_add(v_keep(tiny, lift), v_keep(light, lift)));
    const vmask dropped = v_gt(v_set(REAL(1.0)), factors->drop);
    return (struct probability_factors){v_mul(alpha, weight), v_mul(scaled, weight), shift,
                                        v_sub(shift, v_keep(dropped, lift))};
}

static void focal_probability(const struct fghm_focal_constants *constants, double scale,
                              const struct fghm_span *span, struct fghm_sum *sum, int *bad) {
    const struct focal_factors factors = focal_factors(constants, scale);
    const vreal one = v_set(REAL(1.0));
    const vreal nan = v_set((real)NAN);
    const bool derivatives = span->gradient != NULL || span->hessian != NULL;
    real losses[CHUNK];
    struct lane_sum total;
    lane_sum_start(&total, sum);
    struct span_walk walk;
    walk_start(&walk, span);
    walk.filling = REAL(0.5); /* an ordinary element, whose loss is left out */
    while (walk_next(&walk)) {
        const struct fghm_span *const part = walk.part;
        for (size_t i = 0; i < part->n; i += V_LANES) {
            vreal p = v_load((const real *)part->logits + i);
            vreal t = v_load((const real *)part->targets + i);
            const vmask p_fits = m_and(v_le(v_set(REAL(0.0)), p), v_le(p, one));
            const vmask t_fits = m_and(v_le(v_set(REAL(0.0)), t), v_le(t, one));
            if (!m_all(m_or(t_fits, m_not(v_eq(t, t))))) {
                *bad |= FGHM_BAD_TARGET;
            }
            if (!m_all(m_or(p_fits, m_not(v_eq(p, p))))) {
                *bad |= FGHM_BAD_PROBABILITY;
            }
            p = v_select(p_fits, p, nan);
            t = v_select(t_fits, t, nan);
            const vreal weight =
                part->weights == NULL ? one : v_load((const real *)part->weights + i);
            struct focal_shares shares = {t, v_sub(one, t)};
            struct split split;
            const vmask is_soft = m_not(m_or(v_eq(t, one), v_eq(t, v_set(REAL(0.0)))));
            const vreal loss_t = factors.soft == FGHM_SOFT_HEATMAP ? v_drop(is_soft, t) : t;
            const bool splits = factors.soft == FGHM_SOFT_SPLIT && !m_all(m_not(is_soft));
            if (splits) {
                split = split_of(&factors, part, i, t, is_soft);
                shares = split.rest;
            }
            struct probability_values values = probability_values(
                &factors, part, i, derivatives, p, loss_t, splits ? &split : NULL, is_soft);
            if (part->hessian != NULL && !m_all(m_not(factors.of_gradient))) {
                values.hessian =
                    (struct scaled){v_abs(values.gradient.value), values.gradient.exponent};
            }
            if (factors.soft == FGHM_SOFT_HEATMAP) {
                shares.positive = v_drop(is_soft, shares.positive);
                shares.negative = penalty(factors.beta, shares.negative, t);
            }
            const struct probability_factors own = probability_factors(&factors, shares, weight);
            const vreal loss = probability_result(values.loss, own.loss, own.loss_shift);
            v_store(losses + i, loss);
            if (part->element_loss != NULL) {
                v_store((real *)part->element_loss + i, loss);
            }
            if (part->gradient != NULL) {
                v_store((real *)part->gradient + i,
                        probability_derivative(values.gradient, own.derivatives,
                                               own.derivatives_shift));
            }
            if (part->hessian != NULL) {
                v_store((real *)part->hessian + i,
                        probability_hessian(&factors, values.hessian, own.derivatives,
                                            own.derivatives_shift));
            }
        }
        for (size_t i = walk.n; i < part->n; i++) {
            losses[i] = 0;
        }
        lane_sum_add_singly(&total, part->n, losses);
        walk_finish_part(&walk);
    }
    lane_sum_end(&total, sum);
}

#endif
