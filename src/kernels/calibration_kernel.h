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
    return (struct pair){x, v_set(0)};
}

static inline struct pair pair_negated_where(vmask negative, struct pair a) {
    return (struct pair){v_negate_where(negative, a.high), v_negate_where(negative, a.low)};
}

/* exp(-(a.high + a.low)) 2^REAL_LIFT_EXPONENT, so that it has all its digits where the result,
 * which may be larger, has. */
KERNEL_INLINE vreal lifted_exp_minus_pair(struct pair a) {
    const vreal most = v_set(EXP_ZERO_LIFTED);
    const vreal bounded = v_min(most, a.high);
    const vreal low = v_keep(v_le(a.high, most), a.low);
    const vreal rounded = exp_rounded(bounded);
    const struct exponential e = scaled_exp(v_add(exp_reduced(bounded, rounded), low),
                                            v_add(rounded, v_set(REAL_LIFT_EXPONENT)));
    return v_add(e.power, e.remainder);
}

/* What there is to know of a logit's magnitude: T = exp(-exponent) factor, and M. */
struct magnitude_odds {
    struct pair exponent;
    vreal factor, divisor;
};

KERNEL_INLINE struct magnitude_odds odds_of_magnitude(bool detached, bool two_gammas, vreal a,
                                                      vreal gamma, vreal other) {
    const vreal one = v_set(1);
    const struct exponential x = exp_minus(a);
    const vreal e = v_add(x.power, x.remainder);
    const vreal s_over_e = v_muladd(e, log1p_tail(e, v_mul(e, e), -0.5), one);
    const vreal s = v_mul(e, s_over_e);
    const vreal differentiated = v_set(detached ? 0 : 1);
    struct pair exponent = pair_product(exact_sum(one, gamma), pair_of(a));
    if (two_gammas) {
        const struct pair difference = exact_sum(gamma, v_sub(v_set(0), other));
        exponent = pair_sum(exponent, pair_product(difference, log1p_pair(exponential_pair(x))));
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
    const vreal one = v_set(1);
    const vreal gamma = v_set(map->gamma);
    const vreal negative_gamma = v_set(map->negative_gamma);
    const vreal most = v_set(star ? CALIBRATION_LOGIT_MAX_STAR : CALIBRATION_LOGIT_MAX);
    const vreal a = v_min(most, v_abs(x));
    const vmask negative = v_gt(v_set(0), x);
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

#endif
