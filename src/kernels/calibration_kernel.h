/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_CALIBRATION_KERNEL_H
#define FGHM_KERNELS_CALIBRATION_KERNEL_H

/* What a focal loss does to probabilities: which logit is best where the true probability is eta,
 * and which eta a logit is best for.
 *
 * x is the best logit where the log-odds of eta are
 *
 *     D(x) = log(dFL/dx(x, 0) / -dFL/dx(x, 1)).
 *
 * With a = |x|, e = exp(-a), S = log1p(e), gamma of the label that x speaks for, and other for
 * that of the other one, all large terms but one cancel on paper:
 *
 *     |D| = (1 + gamma) a + (gamma - other) S
 *           + log1p(other e (a + S)) - log1p(gamma S / e)
 *
 * (without the two logarithms where the focal factor is a constant), and alpha adds
 * log((1 - alpha) / alpha).  In pairs this has an absolute error of a few
 * 2^-53 for every x and gamma, which is then the relative error of eta.  So it is computed in
 * double for floats, too. */

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

static inline struct pair pair_difference(struct pair a, struct pair b) {
    const vreal zero = v_set(0);
    return pair_sum(a, (struct pair){v_sub(zero, b.high), v_sub(zero, b.low)});
}

/* -log1p(u) for u >= 0.  Out of line: it is needed twice, and it is most of the code. */
static __attribute__((noinline)) struct pair minus_log1p(vreal u) {
    return minus_log_pair(exact_sum(v_set(1), u));
}

/* |D| without alpha, for a = |x|. */
static inline struct pair odds_of_magnitude(bool detached, vreal a, vreal gamma, vreal other) {
    const vreal one = v_set(1);
    const struct exponential x = exp_minus(a);
    const vreal e = v_add(x.power, x.remainder);
    const struct pair s = log1p_pair(exponential_pair(x));
    const vreal s_over_e = v_muladd(e, log1p_tail(e, v_mul(e, e), -0.5), one);
    const struct pair linear = pair_product(exact_sum(one, gamma), pair_of(a));
    const struct pair between = pair_product(exact_sum(gamma, v_sub(v_set(0), other)), s);
    if (detached) {
        return pair_sum(linear, between);
    }
    const struct pair gained = minus_log1p(v_mul(other, v_mul(e, v_add(a, s.high))));
    const struct pair lost = minus_log1p(v_mul(gamma, s_over_e));
    return pair_sum(pair_sum(linear, between), pair_difference(lost, gained));
}

/* D(x) */
static inline struct pair log_odds(const struct fghm_calibration *map, vreal x) {
    const vreal gamma = v_set(map->gamma);
    const vreal negative_gamma = v_set(map->negative_gamma);
    const vreal most = v_set(map->star ? CALIBRATION_LOGIT_MAX_STAR : CALIBRATION_LOGIT_MAX);
    const vreal a = v_min(most, v_abs(x));
    const vmask negative = v_gt(v_set(0), x);
    const struct pair odds =
        map->star ? pair_product(pair_of(gamma), pair_of(a))
                  : odds_of_magnitude(map->detached, a, v_select(negative, negative_gamma, gamma),
                                      v_select(negative, gamma, negative_gamma));
    const struct pair offset = {v_set(map->offset), v_set(map->offset_low)};
    return pair_sum(pair_negated_where(negative, odds), offset);
}

/* The probabilities of these log-odds. */
static inline vreal sigmoid_of(struct pair x) {
    const vmask negative = v_gt(v_set(0), x.high);
    const struct exponential e = exp_minus_pair(pair_negated_where(negative, x));
    const vreal larger = reciprocal_1p(e);
    return v_select(negative, v_mul(v_add(e.power, e.remainder), larger), larger);
}

static inline vreal calibrated(const struct fghm_calibration *map, vreal x) {
    /* NaN stays. */
    return v_select(v_eq(x, x), sigmoid_of(log_odds(map, x)), x);
}

static inline void calibrate(const struct fghm_calibration *map, size_t n, double *numbers) {
    const size_t whole = n - n % V_LANES;
    for (size_t i = 0; i < whole; i += V_LANES) {
        v_store(numbers + i, calibrated(map, v_load(numbers + i)));
    }
    if (whole < n) {
        real rest[V_LANES] = {0};
        memcpy(rest, numbers + whole, (n - whole) * sizeof(real));
        v_store(rest, calibrated(map, v_load(rest)));
        memcpy(numbers + whole, rest, (n - whole) * sizeof(real));
    }
}

#endif
