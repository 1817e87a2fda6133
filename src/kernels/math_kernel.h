/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_MATH_KERNEL_H
#define FGHM_KERNELS_MATH_KERNEL_H

/* exp(-a), log1p and the logistic function for a >= 0, without libm.
 *
 * exp(-a) is kept as a power of two T and a remainder wT = w T with
 * exp(-a) = T + wT, |w| <= 0.42: whoever needs 1 + exp(-a), or a product with
 * it, gets by with one rounding instead of two.
 *
 * All polynomials were made with Sollya's fpminimax (coefficients rounded to the
 * type, absolute error); errors are in units of 2^-24 (float) or 2^-53
 * (double), relative to the function.  tests/proofs proves those of double: where
 * there are two, the second is without fused multiply-add. */

#include "vec/real.h"

/* c0 + c1 x + c2 x^2 + c3 x^3. */
static inline vreal cubic(vreal x, vreal x2, real c0, real c1, real c2, real c3) {
    const vreal low = v_muladd(v_set(c1), x, v_set(c0));
    const vreal high = v_muladd(v_set(c3), x, v_set(c2));
    return v_muladd(high, x2, low);
}

#if FGHM_REAL_BITS == 32

/* exp(-a) is below half of the smallest subnormal from here on. */
#define EXP_ZERO 104.0f
#define EXP_ZERO_LIFTED 128.0f /* the same after 2^REAL_LIFT_EXPONENT times */
#define POWER_ZERO 320.0f      /* the same over the square of the smallest number */

/* ln 2 in two parts; the first has 15 bits, so a multiple of it by any exponent
 * is exact. */
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f

/* (exp(-s) - 1 + s) / s^2 on |s| <= 0.34658; error 0.01. */
static inline vreal exp_tail(vreal s, vreal s2) {
    const vreal low = v_nmuladd(v_set(0x1.555556p-3f), s, v_set(0x1p-1f));
    const vreal middle = v_nmuladd(v_set(0x1.110fc2p-7f), s, v_set(0x1.555502p-5f));
    const vreal high = v_nmuladd(v_set(0x1.a2d99ep-13f), s, v_set(0x1.6d2e04p-10f));
    return v_muladd(v_muladd(high, s2, middle), s2, low);
}

/* (log1p(e) - e) / e^2 on [0, 1], but for its constant term, -1/2: that is `first`.
 * Error 0.09. */
static inline vreal log1p_tail(vreal e, vreal e2, real first) {
    const vreal e4 = v_mul(e2, e2);
    const vreal low = cubic(e, e2, first, 0x1.55553p-2f, -0x1.fff39cp-3f, 0x1.98e11cp-3f);
    const vreal middle =
        cubic(e, e2, -0x1.4ff538p-3f, 0x1.0d21acp-3f, -0x1.7d99d4p-4f, 0x1.a1ed8p-5f);
    const vreal high = v_muladd(v_set(0x1.88c46p-9f), e, v_set(-0x1.2828dap-6f));
    return v_muladd(v_muladd(high, e4, middle), e4, low);
}

#else

#define EXP_ZERO 746.0
#define EXP_ZERO_LIFTED 792.0
#define POWER_ZERO 2300.0

#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0

/* As above; error 0.002. */
static inline vreal exp_tail(vreal s, vreal s2) {
    const vreal s4 = v_mul(s2, s2);
    const vreal low =
        cubic(s, s2, 0x1p-1, -0x1.5555555555557p-3, 0x1.5555555555557p-5, -0x1.1111111110051p-7);
    const vreal middle = cubic(s, s2, 0x1.6c16c16c156a5p-10, -0x1.a01a01ac1dc6cp-13,
                               0x1.a01a01ab9879dp-16, -0x1.71de01adc10d6p-19);
    const vreal high =
        v_muladd(v_set(0x1.1f86f02e50c02p-29), s2,
                 v_nmuladd(v_set(0x1.af4ec8740b0b4p-26), s, v_set(0x1.27e4cfaf3f1e1p-22)));
    return v_muladd(v_muladd(high, s4, middle), s4, low);
}

/* As above; error 0.1. */
static inline vreal log1p_tail(vreal e, vreal e2, real first) {
    const vreal e4 = v_mul(e2, e2);
    vreal sum = v_set(-0x1.9a06d6fcbcde7p-16);
    sum = v_muladd(sum, e4,
                   cubic(e, e2, -0x1.ae12b6e45c614p-7, 0x1.5a1e2479a78c9p-8, -0x1.904fab7572dcep-10,
                         0x1.25ff87594a469p-12));
    sum = v_muladd(sum, e4,
                   cubic(e, e2, -0x1.0bb5ddd15f0cap-4, 0x1.b814c101b1f83p-5, -0x1.45727b93f3ed9p-5,
                         0x1.9d9699378223bp-6));
    sum = v_muladd(sum, e4,
                   cubic(e, e2, -0x1.9977a27675fd9p-4, 0x1.73a8d378b1d03p-4, -0x1.526da57833c5dp-4,
                         0x1.3197ddb59f3a2p-4));
    sum = v_muladd(sum, e4,
                   cubic(e, e2, -0x1.5555551731b9p-3, 0x1.2492443f5809bp-3, -0x1.ffff7cadb0246p-4,
                         0x1.c717950b79b0ap-4));
    return v_muladd(
        sum, e4,
        cubic(e, e2, first, 0x1.5555555555503p-2, -0x1.fffffffff8a53p-3, 0x1.99999997bc35bp-3));
}

#endif

struct exponential {
    vreal power;     /* T = 2^n */
    vreal remainder; /* wT */
};

/* T and wT scaled; exact, but for a result that is subnormal. */
static inline struct exponential exponential_times(struct exponential x, real scale) {
    return (struct exponential){v_mul(x.power, v_set(scale)), v_mul(x.remainder, v_set(scale))};
}

/* exp(-s) 2^n for |s| <= 0.347 and rounded = REAL_ROUND + n. */
static inline struct exponential scaled_exp(vreal s, vreal rounded) {
    const vreal s2 = v_mul(s, s);
    const vreal w = v_mulsub(s2, exp_tail(s, s2), s);
    const vreal power = v_exponent(rounded);
    return (struct exponential){power, v_mul(w, power)};
}

/* n = -round(a / ln 2), as REAL_ROUND + n. */
static inline vreal exp_rounded(vreal a) {
    return v_nmuladd(a, v_set(LOG2_E), v_set(REAL_ROUND));
}

/* a + n ln 2. */
static inline vreal exp_reduced(vreal a, vreal rounded) {
    const vreal n = v_sub(rounded, v_set(REAL_ROUND));
    return v_muladd(n, v_set(LN2_LOW), v_muladd(n, v_set(LN2_HIGH), a));
}

/* exp(-a) for a >= 0; 0 from EXP_ZERO to +inf.  Error of T + wT before it is
 * rounded: 0.8, 0.9. */
static inline struct exponential exp_minus(vreal a) {
    const vreal bounded = v_min(v_set(EXP_ZERO), a);
    const vreal rounded = exp_rounded(bounded);
    return scaled_exp(exp_reduced(bounded, rounded), rounded);
}

/* exp(-a) 2^REAL_LIFT_EXPONENT; 0 from EXP_ZERO_LIFTED on. */
static inline struct exponential lifted_exp_minus(vreal a) {
    const vreal bounded = v_min(v_set(EXP_ZERO_LIFTED), a);
    const vreal rounded = exp_rounded(bounded);
    return scaled_exp(exp_reduced(bounded, rounded), v_add(rounded, v_set(REAL_LIFT_EXPONENT)));
}

/* A number as an unrounded sum: high + low, |low| at most an ulp of high. */
struct pair {
    vreal high;
    vreal low;
};

/* a + b, exactly. */
static inline struct pair exact_sum(vreal a, vreal b) {
    const vreal high = v_add(a, b);
    const vreal b_part = v_sub(high, a);
    const vreal a_part = v_sub(high, b_part);
    return (struct pair){high, v_add(v_sub(a, a_part), v_sub(b, b_part))};
}

/* exp(-(a.high + a.low)), likewise. */
static inline struct exponential exp_minus_pair(struct pair a) {
    const vreal bounded = v_min(v_set(EXP_ZERO), a.high);
    const vreal low = v_keep(v_le(a.high, v_set(EXP_ZERO)), a.low);
    const vreal rounded = exp_rounded(bounded);
    return scaled_exp(v_add(exp_reduced(bounded, rounded), low), rounded);
}

static inline struct pair pair_product(struct pair a, struct pair b) {
    const vreal high = v_mul(a.high, b.high);
    const vreal low = v_muladd(a.high, b.low, v_product_minus(a.high, b.high, high));
    return (struct pair){high, v_muladd(a.low, b.high, low)};
}

/* log1p(e) of e = T + wT is T plus this; error of the sum before it is rounded:
 * 3.3, 4.9. */
static inline vreal log1p_tail_of(struct exponential x) {
    const vreal e = v_add(x.power, x.remainder);
    const vreal e2 = v_mul(e, e);
    return v_muladd(e2, log1p_tail(e, e2, (real)-0.5), x.remainder);
}

/* 1 / (1 + e), with an error of 1: the rounding errors of 1 + e and of the
 * division are worked out and taken back.  Where T is lost in 1 + T, the error is 1.42. */
static inline vreal reciprocal_1p(struct exponential x) {
    const vreal one = v_set(1);
    const vreal one_power = v_add(one, x.power);
    const vreal d = v_add(one_power, x.remainder);
    const vreal d_below = v_add(v_sub(one_power, d), x.remainder);
    const vreal y = v_div(one, d);
    const vreal excess = v_muladd(d_below, y, v_product_minus(d, y, one));
    return v_nmuladd(y, excess, y);
}

/* log1p(e) for e = high + low in [0, 1] and |low| <= 2^-54 (double), as a pair with an absolute
 * error of 2, 2.7 units: beyond the leading terms, which are exact, stands less than 0.2. */
static inline struct pair log1p_pair(struct pair e) {
    const vreal half = v_set((real)0.5);
    const vreal square = v_mul(e.high, e.high);
    const vreal square_low = v_product_minus(e.high, e.high, square);
    const vreal tail = v_mul(square, log1p_tail(e.high, square, 0));
    const struct pair first = exact_sum(e.high, v_sub(v_set(0), v_mul(square, half)));
    const struct pair log = exact_sum(first.high, tail);
    /* d log1p / de = 1 - e + ..., enough for the low half. */
    const vreal low = v_sub(v_nmuladd(e.high, e.low, e.low), v_mul(square_low, half));
    return (struct pair){log.high, v_add(log.low, v_add(first.low, low))};
}

static inline struct pair pair_sum(struct pair a, struct pair b) {
    const struct pair sum = exact_sum(a.high, b.high);
    const struct pair all = exact_sum(sum.high, v_add(sum.low, v_add(a.low, b.low)));
    return all;
}

/* T + wT as a pair. */
static inline struct pair exponential_pair(struct exponential x) {
    const vreal high = v_add(x.power, x.remainder);
    return (struct pair){high, v_sub(x.remainder, v_sub(high, x.power))};
}

/* -log(m) for m = high + low > 0, as a pair with an absolute error of 1.7, 2.4
 * units. */
static inline struct pair minus_log_pair(struct pair m) {
    const vmask subnormal = m_not(v_gt(m.high, v_set(REAL_MIN)));
    const vreal lifted = v_mul(m.high, v_select(subnormal, v_set(REAL_LIFT), v_set(1)));
    vreal exponent;
    const vreal fraction = v_fraction(lifted, &exponent);
    const vreal k = v_sub(v_keep(subnormal, v_set(REAL_LIFT_EXPONENT)), exponent);
    const struct pair r = {v_sub(fraction, v_set(1)), v_set(0)};
    const struct pair log = log1p_pair(r);
    const vreal zero = v_set(0);
    const struct pair minus_log = {v_sub(zero, log.high), v_sub(zero, log.low)};
    const struct pair power = {v_mul(k, v_set(LN2_HIGH)), v_mul(k, v_set(LN2_LOW))};
    struct pair sum = pair_sum(power, minus_log);
    sum.low = v_sub(sum.low, v_div(m.low, m.high));
    return sum;
}

#endif
