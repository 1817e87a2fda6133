/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_CALIBRATION_KERNEL_H
#define FGHM_KERNELS_CALIBRATION_KERNEL_H

/* What a focal loss does to probabilities: which eta a logit is best for.
 *
 * x is the best logit where the odds of eta are dFL/dx(x, 0) / -dFL/dx(x, 1).  With a = |x|,
 * e = exp(-a), S = log1p(e), gamma of the label that x speaks for, other for that of the other one,
 * and the odds of alpha, those of the other label are
 *
 *     T / M = exp(-((1 + gamma) a + (gamma - other) S + offset)) (1 + gamma S / e)
 *             / (1 + other e (a + S)),    offset = log((1 - alpha) / alpha) for x > 0, else minus
 *                                         that,
 *
 * (without the two factors where the focal factor is a constant), and eta is M / (M + T) for x > 0,
 * else T / (M + T).  Nothing cancels, and the exponent is known
 * as a pair, so the error is that of a few operations for every x and gamma.  It is computed in
 * double for floats, too, which are then right but for one rounding. */

#include "kernels/kernels.h"
#include "kernels/math_kernel.h"

/* Log-odds beyond these are those of 0 and 1, for every handle: alpha adds less than 40, and
 * the terms with gamma take away less than 50. */
#define CALIBRATION_LOGIT_MAX 2048.0
/* The same where gamma, at least 2^-10, is a factor. */
#define CALIBRATION_LOGIT_MAX_STAR 0x1p30

static inline struct pair pair_of(vreal x) {
    return (struct pair){x, v_set(REAL(0.0))};
}

static inline struct pair pair_negated_where(vmask negative, struct pair a) {
    return (struct pair){v_negate_where(negative, a.high), v_negate_where(negative, a.low)};
}

/* exp(-(a.high + a.low)) `lift` times as large. */
KERNEL_INLINE vreal exp_minus_pair_lifted_by(real lift, struct pair a) {
    return v_mul(exponential_sum(exponential_minus_pair(a)), v_set(EXP_DROP * lift));
}

/* The same, so that it has all its digits where the result, which may be larger, has. */
KERNEL_INLINE vreal lifted_exp_minus_pair(struct pair a) {
    return exp_minus_pair_lifted_by(REAL_LIFT, a);
}

/* What there is to know of a logit's magnitude: T = exp(-exponent) factor, and M. */
struct magnitude_odds {
    struct pair exponent;
    vreal factor, divisor;
};

KERNEL_INLINE struct magnitude_odds odds_of_magnitude(bool detached, bool two_gammas, vreal a,
                                                      vreal gamma, vreal other) {
    const vreal one = v_set(REAL(1.0));
    const struct pair exact_e = exp_minus_exactly(a);
    const vreal e = exact_e.high;
    const vreal s = softplus_of(e).log;
    const vreal least = v_set(REAL_MIN);
    const vreal s_over_e = v_select(v_gt(e, least), v_div(s, v_max(least, e)), one);
    const vreal differentiated = v_set(detached ? REAL(0.0) : REAL(1.0));
    struct pair exponent = pair_product(exact_sum(one, gamma), pair_of(a));
    if (two_gammas) {
        const struct pair difference = exact_sum(gamma, v_sub(v_set(REAL(0.0)), other));
        exponent = pair_sum(exponent, pair_product(difference, log1p_pair(exact_e)));
    }
    return (struct magnitude_odds){
        .exponent = exponent,
        .factor = v_muladd(v_mul(gamma, differentiated), s_over_e, one),
        .divisor = v_muladd(v_mul(other, differentiated), v_mul(e, v_add(a, s)), one),
    };
}

/* `star` and `two_gammas` are constants at compile time. */
KERNEL_INLINE vreal calibrated(bool star, bool two_gammas, const struct fghm_calibration *map,
                               vreal x) {
    const vreal one = v_set(REAL(1.0));
    const vreal gamma = v_set(map->gamma);
    const vreal negative_gamma = v_set(map->negative_gamma);
    const vreal most = v_set(star ? CALIBRATION_LOGIT_MAX_STAR : CALIBRATION_LOGIT_MAX);
    const vreal a = v_min(most, v_abs(x));
    const vmask negative = v_gt(v_set(REAL(0.0)), x);
    const struct magnitude_odds odds =
        star ? (struct magnitude_odds){pair_product(pair_of(gamma), pair_of(a)), one, one}
             : odds_of_magnitude(map->detached, two_gammas, a,
                                 v_select(negative, negative_gamma, gamma),
                                 v_select(negative, gamma, negative_gamma));
    const struct pair offset = {v_set(map->offset), v_set(map->offset_low)};
    const vreal lifted =
        v_mul(lifted_exp_minus_pair(pair_sum(odds.exponent, pair_negated_where(negative, offset))),
              odds.factor);
    const vreal all = v_muladd(lifted, v_set(REAL_DROP), odds.divisor);
    const vreal own = v_select(negative, lifted, v_mul(odds.divisor, v_set(REAL_LIFT)));
    /* NaN stays. */
    return v_select(v_eq(x, x), v_mul(v_div(own, all), v_set(REAL_DROP)), x);
}

/* Whole registers: behind the n numbers there is room for them. */
KERNEL_INLINE void calibrate_all(bool star, bool two_gammas, const struct fghm_calibration *map,
                                 size_t n, double *numbers) {
    for (size_t i = 0; i < n; i += V_LANES) {
        v_store(numbers + i, calibrated(star, two_gammas, map, v_load(numbers + i)));
    }
}

static inline void calibrate(const struct fghm_calibration *map, size_t n, double *numbers) {
    if (map->star) {
        calibrate_all(true, false, map, n, numbers);
    } else if (map->gamma != map->negative_gamma) {
        calibrate_all(false, true, map, n, numbers);
    } else {
        calibrate_all(false, false, map, n, numbers);
    }
}

/* Softmax: eta_c is in proportion to p_c / v_c, with v_c = w_c q_c^gamma_c B_c, q_c = 1 - p_c and
 * B_c = 1 + gamma_c p_c (-log p_c) / q_c (1 where the focal factor is a constant); see
 * calibration.c.  Here it is relative to that of the top, the class with the largest logit.  With
 * d_c, what that one is above x_c, e_c = exp(-d_c) and the sum A of these,
 *
 *     p_c / q_c = e_c / (A - e_c) <= 1,   -log p_c = d_c + log A,   -log q_c = log1p(p_c / q_c),
 *
 * so nothing cancels for any class but the top. */

/* Of shares: they are between 2^-1293 (below that, eta is 0 even with weights of 2^120, the largest
 * ratio of two) and 2^87, that ratio, 65 and 2^24 classes left out; lifted, all are normal from
 * where eta is. */
#define SHARE_LIFT 0x1p256

/* d_c, bounded, since infinite logits have no exact differences. */
KERNEL_INLINE struct pair distance_below(const struct fghm_shares *shares, vreal x) {
    const vmask near = v_le(v_set(shares->floor), x);
    const vreal largest = v_set(shares->largest);
    const struct pair distance =
        exact_sum(largest, v_sub(v_set(REAL(0.0)), v_select(near, x, largest)));
    return (struct pair){v_select(near, distance.high, v_set(CALIBRATION_LOGIT_MAX)), distance.low};
}

KERNEL_INLINE vreal share(const struct fghm_shares *shares, struct pair distance, struct pair e,
                          vreal gamma, vreal weight) {
    const vreal one = v_set(REAL(1.0));
    const vreal zero = v_set(REAL(0.0));
    const struct pair all = {v_set(shares->all), v_set(shares->all_low)};
    const struct pair top_power = {v_set(shares->power), v_set(shares->power_low)};
    const struct pair rest = pair_sum(all, (struct pair){v_sub(zero, e.high), v_sub(zero, e.low)});
    const vreal odds = v_div(e.high, rest.high);
    const vreal excess = v_muladd(odds, rest.low, v_product_minus(odds, rest.high, e.high));
    const struct pair exact_odds = {odds, v_div(v_sub(e.low, excess), rest.high)};
    const struct pair power = pair_product(pair_of(v_sub(zero, gamma)), log1p_pair(exact_odds));
    const struct pair exponent = pair_sum(pair_sum(distance, top_power), power);
    const vreal minus_log_p = v_add(distance.high, v_set(shares->log_all));
    const vreal second = v_mul(v_mul(gamma, v_set(shares->detached ? REAL(0.0) : REAL(1.0))), odds);
    const vreal factor = v_mul(weight, v_muladd(second, minus_log_p, one));
    return v_mul(exp_minus_pair_lifted_by(SHARE_LIFT, exponent),
                 v_div(v_set(shares->factor), factor));
}

static inline void softmax_shares(const struct fghm_shares *shares, size_t n, double *numbers) {
    const struct pair minus_gap = {v_set(-shares->gap), v_set(-shares->gap_low)};
    for (size_t i = 0; i < n; i += V_LANES) {
        const struct pair distance = distance_below(shares, v_load(numbers + i));
        const struct exponential x = exponential_minus_pair(pair_sum(distance, minus_gap));
        const struct pair e = pair_times(exponential_pair(x), EXP_DROP);
        v_store(numbers + i, shares->final ? share(shares, distance, e, v_load(shares->gammas + i),
                                                   v_load(shares->weights + i))
                                           : e.high);
    }
}

#endif
