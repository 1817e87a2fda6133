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
 * stands for 0. */

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
    const vmask is_large = v_gt(p, v_set((real)0.5));
    const vreal small = v_select(is_large, not_p.high, p);
    const struct pair large = {v_select(is_large, p, not_p.high), v_drop(is_large, not_p.low)};
    const vreal quotient = v_div(small, large.high);
    const vreal excess =
        v_muladd(quotient, large.low, v_product_minus(quotient, large.high, small));
    const struct pair ratio = {quotient, v_sub(v_set(0), v_div(excess, large.high))};
    const struct pair of_large = log1p_pair(ratio);
    const struct pair of_small =
        minus_log_pair((struct pair){v_max(v_set(REAL_MIN), small), v_set(0)});
    const vreal large_log = v_add(of_large.high, of_large.low);
    const vreal small_log = v_add(of_small.high, of_small.low);
    return (struct minus_logs){v_select(is_large, large_log, small_log),
                               v_select(is_large, small_log, large_log)};
}

KERNEL_INLINE vreal within_range(vreal a) {
    return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), a));
}

KERNEL_INLINE struct focal_values probability_values(const struct focal_factors *factors, vreal p,
                                                     vreal t) {
    const vreal zero = v_set(0);
    const vreal one = v_set(1);
    const struct pair gamma = factors->gamma;
    const vreal rest = v_sub(one, t);
    const struct pair not_p = exact_sum(one, v_sub(zero, p));
    const struct pair p_safe = at_least(v_set(REAL_MIN), (struct pair){p, zero});
    const struct pair not_p_safe = at_least(v_set(REAL_MIN), not_p);

    struct pair m = {v_muladd(t, not_p.high, v_mul(rest, p)), v_mul(t, not_p.low)};
    const vmask is_zero = v_eq(m.high, zero);
    m.high = v_select(is_zero, v_set(REAL_MIN), m.high);
    const struct minus_logs logs = minus_logs_of(p, not_p);
    const vreal loss = v_muladd(rest, logs.not_p, v_mul(t, logs.p));
    /* 0 to the power of 0 is 1. */
    const vmask is_lost = m_and(is_zero, v_gt(gamma.high, zero));
    const struct pair minus_log = minus_log_pair(m);
    const struct pair exponent =
        at_least(zero, exact_sum(minus_log.high, minus_log.low)); /* not below by rounding */
    const vreal power = exp_of_scaled(gamma, exponent);
    const vreal factor = v_drop(is_lost, power);

    const vreal slope = v_sub(v_div(rest, not_p_safe.high), v_div(t, p_safe.high));
    const vreal m_slope = v_sub(rest, t);
    const vreal ratio = v_select(is_zero, one, v_div(loss, m.high));
    const vreal m_ratio = v_mul(m_slope, ratio);
    const vreal gradient = v_mul(factor, v_muladd(gamma.high, m_ratio, slope));

    const vreal curve = within_range(v_add(v_div(v_div(rest, not_p_safe.high), not_p_safe.high),
                                           v_div(v_div(t, p_safe.high), p_safe.high)));
    const vreal twice = v_muladd(v_sub(gamma.high, one), m_ratio, v_add(slope, slope));
    const vreal m_relative = v_div(m_slope, v_max(v_set(REAL_MIN), m.high));
    /* In this order nothing overflows that is to be multiplied by 0. */
    const vreal bend = v_mul(v_mul(v_mul(power, m_relative), gamma.high), twice);
    /* Of the order of m^(gamma - 1), so not 0 yet for gamma up to 1. */
    const vmask is_flat = m_and(is_zero, v_gt(gamma.high, one));
    const vreal exact = v_drop(is_flat, v_muladd(power, curve, bend));
    const vreal hessian = v_select(factors->gauss_newton, v_mul(factor, curve), exact);
    return (struct focal_values){
        .loss = v_mul(factor, loss),
        .gradient = within_range(gradient),
        .hessian = hessian_of_mode(factors, within_range(hessian)),
    };
}

static void focal_probability(const struct fghm_focal_constants *constants,
                              const struct fghm_span *span, struct fghm_sum *sum, int *bad) {
    const struct focal_factors factors = focal_factors(constants);
    const vreal one = v_set(1);
    const vreal nan = v_set((real)NAN);
    struct lane_sum total;
    lane_sum_start(&total, sum);
    struct span_walk walk;
    walk_start(&walk, span);
    walk.filling = 1;
    while (walk_next(&walk)) {
        const struct fghm_span *const part = &walk.part;
        for (size_t i = 0; i < part->n; i += V_LANES) {
            vreal p = v_load((const real *)part->logits + i);
            vreal t = v_load((const real *)part->targets + i);
            const vmask p_fits = m_and(v_le(v_set(0), p), v_le(p, one));
            const vmask t_fits = m_and(v_le(v_set(0), t), v_le(t, one));
            if (!m_all(m_or(t_fits, m_not(v_eq(t, t))))) {
                *bad |= FGHM_BAD_TARGET;
            }
            if (!m_all(m_or(p_fits, m_not(v_eq(p, p))))) {
                *bad |= FGHM_BAD_PROBABILITY;
            }
            p = v_select(p_fits, p, nan);
            t = v_select(t_fits, t, nan);
            const struct focal_values values = probability_values(&factors, p, t);
            const vreal rest = v_sub(one, t);
            vreal alpha = v_muladd(factors.positive, t, v_mul(factors.negative, rest));
            vreal scaled =
                v_muladd(factors.positive_scaled, t, v_mul(factors.negative_scaled, rest));
            if (part->weights != NULL) {
                const vreal weight = v_load((const real *)part->weights + i);
                alpha = v_mul(alpha, weight);
                scaled = v_mul(scaled, weight);
            }
            const vreal loss = v_mul(values.loss, alpha);
            v_sum_add(&total.sum, (int)(i % SUM_LANES) / V_LANES, loss);
            if (part->element_loss != NULL) {
                v_store((real *)part->element_loss + i, loss);
            }
            if (part->gradient != NULL) {
                v_store((real *)part->gradient + i, v_mul(values.gradient, scaled));
            }
            if (part->hessian != NULL) {
                v_store((real *)part->hessian + i, v_mul(values.hessian, scaled));
            }
        }
        lane_sum_end_chunk(&total);
        walk_finish_part(&walk);
    }
    lane_sum_end(&total, sum);
}

#endif
