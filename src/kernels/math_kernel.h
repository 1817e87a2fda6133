/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_MATH_KERNEL_H
#define FGHM_KERNELS_MATH_KERNEL_H

/* exp(-a), log1p(e) and 1 / (1 + e) for a >= 0 and e in [0, 1], without libm or a division.
 *
 * Tables, which instruction sets with permutes keep in registers, leave little to polynomials: of
 * exp(-a) = 2^(n / 8) exp(-r) with |r| <= 0.0434, and of 1 + e = (1 + d) / R with R from a table of
 * 16 and |d| < 0.034 in float, of 8 and |d| < 0.072 in double.  Where registers have 8 lanes, 16
 * entries take a blend: for exp, too, they make AVX-512 2 % faster and AVX2 6 % slower; none of 16,
 * AVX-512 8 % slower (Zen 5, float).
 *
 * Polynomials were made with Sollya's fpminimax (coefficients rounded to the type); errors are in
 * units of 2^-24 (float) or 2^-53 (double), relative to the function.  tests/proofs proves those of
 * double: where there are two, the second is without fused multiply-add. */

#include "vec/real.h"

/* c0 + c1 x + c2 x^2 + c3 x^3. */
static inline vreal cubic(vreal x, vreal x2, real c0, real c1, real c2, real c3) {
    const vreal low = v_muladd(v_set(c1), x, v_set(c0));
    const vreal high = v_muladd(v_set(c3), x, v_set(c2));
    return v_muladd(high, x2, low);
}

/* exp_powers: 2^(j / 8) as v_step takes it, 2^EXP_LIFT_EXPONENT times as large, so that all of its
 * multiples are normal; exp_lows: what rounding took from that, relative to it.
 * log_factors: R, near 1 / (1 + i / LOG_STEPS); of its neighbours the one whose -log, which is in
 * log_values, needs the least rounding: at most 6.6e-5 ulp (float) and 5.2e-3 ulp (double).  The
 * last one of double is larger: for e = 1 the first approximation of the reciprocal is above 1/2,
 * and so what it lacks is exact, and the reciprocal 1/2. */

#if FGHM_REAL_BITS == 32

/* exp(-a) is below half of the smallest subnormal from here on. */
#define EXP_ZERO 104.0f
#define POWER_ZERO 320.0f /* the same over the square of the smallest number */

#define EXP_LIFT_EXPONENT 64
#define EXP_DROP 0x1p-64f
/* A little below (REAL_EXPONENT_BIAS + EXP_LIFT_EXPONENT) ln 2: n is rounded to where all bits of T
 * are 0, and, in other rounding modes, not beyond. */
#define EXP_MOST 132.375f

/* ln 2 / 8 in two parts; the first has 11 bits, so a multiple of it by any n is exact. */
#define STEP_HIGH 0x1.62cp-4f
#define STEP_LOW 0x1.217f7ep-15f
#define STEPS_E 0x1.715476p+3f /* 8 / ln 2 */

/* ln 2; the first part has 15 bits. */
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f

#define LOG_STEPS 15.0f
#define log_lookup v_lookup16

static _Alignas(64) const real exp_powers[8] = {0x1p+64f,        0x1.f72b84p+63f, 0x1.f06fep+63f,
                                                0x1.ebfdaep+63f, 0x1.ea09e6p+63f, 0x1.eace54p+63f,
                                                0x1.ee89fap+63f, 0x1.f5818ep+63f};
static _Alignas(64) const real exp_lows[8] = {0,
                                              -0x1.9c0c22p-27f,
                                              0x1.125002p-25f,
                                              -0x1.0a355p-25f,
                                              0x1.26055cp-26f,
                                              0x1.67a1cap-28f,
                                              -0x1.f9c304p-27f,
                                              -0x1.a5217cp-28f};
static _Alignas(64) const real log_factors[16] = {1,
                                                  0x1.e024b8p-1f,
                                                  0x1.c39b34p-1f,
                                                  0x1.aa3d56p-1f,
                                                  0x1.93b3eep-1f,
                                                  0x1.7f86f2p-1f,
                                                  0x1.6db3eep-1f,
                                                  0x1.5d79a6p-1f,
                                                  0x1.4dd37cp-1f,
                                                  0x1.3fb29cp-1f,
                                                  0x1.338576p-1f,
                                                  0x1.26ff72p-1f,
                                                  0x1.1c3364p-1f,
                                                  0x1.1213a4p-1f,
                                                  0x1.090332p-1f,
                                                  0x1.00040cp-1f};
static _Alignas(64) const real log_values[16] = {0,
                                                 0x1.072042p-4f,
                                                 0x1.010d72p-3f,
                                                 0x1.77720ep-3f,
                                                 0x1.e6b2b4p-3f,
                                                 0x1.27d924p-2f,
                                                 0x1.58946p-2f,
                                                 0x1.870eb6p-2f,
                                                 0x1.b5f824p-2f,
                                                 0x1.e24066p-2f,
                                                 0x1.0501e8p-1f,
                                                 0x1.1a4b6ap-1f,
                                                 0x1.2d62b8p-1f,
                                                 0x1.3ff51p-1f,
                                                 0x1.512d2ap-1f,
                                                 0x1.62dc18p-1f};

/* (exp(-r) - 1 + r) / r^2; error of exp 0.006. */
static inline vreal exp_tail(vreal r) {
    const vreal high = v_muladd(v_set(0x1.555a5cp-5f), r, v_set(-0x1.555b82p-3f));
    return v_muladd(high, r, v_set(0x1p-1f));
}

/* (log1p(d) - d) / d^2; error of log1p 0.7. */
static inline vreal log_tail(vreal d, vreal d2) {
    (void)d2;
    const vreal high = v_muladd(v_set(-0x1.fe7636p-3f), d, v_set(0x1.5584bcp-2f));
    return v_muladd(high, d, v_set(-0x1.00001p-1f));
}

/* R / (1 + d); error 0.08. */
static inline vreal reciprocal_start(vreal factor, vreal d, vreal d2) {
    const vreal high = v_muladd(v_set(0x1.fe4b28p-1f), d, v_set(-0x1.003b48p+0f));
    const vreal tail = v_muladd(high, d, v_set(0x1.000024p+0f));
    return v_muladd(factor, v_mulsub(d2, tail, d), factor);
}

static inline vreal reciprocal_of(vreal e, vreal start) {
    (void)e;
    return start;
}

#else

#define EXP_ZERO 746.0
#define POWER_ZERO 2300.0

#define EXP_LIFT_EXPONENT 512
#define EXP_DROP 0x1p-512
#define EXP_MOST 1063.96875

/* The first part has 36 bits. */
#define STEP_HIGH 0x1.62e42fefap-4
#define STEP_LOW 0x1.cf79abc9e3b3ap-43
#define STEPS_E 0x1.71547652b82fep+3

#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33

#define LOG_STEPS 7.0
#define log_lookup v_lookup8

static _Alignas(64) const real exp_powers[8] = {0x1p+512,
                                                0x1.f72b83c7d517bp+511,
                                                0x1.f06fe0a31b715p+511,
                                                0x1.ebfdad5362a27p+511,
                                                0x1.ea09e667f3bcdp+511,
                                                0x1.eace5422aa0dbp+511,
                                                0x1.ee89f995ad3adp+511,
                                                0x1.f5818dcfba487p+511};
static _Alignas(64) const real exp_lows[8] = {0,
                                              -0x1.01b15eaa59348p-55,
                                              0x1.34d754db0abb6p-55,
                                              0x1.690cebb7aafbp-56,
                                              -0x1.3b3efbf5e2228p-54,
                                              0x1.db72fc1f0eab4p-55,
                                              0x1.c1a7792cb3387p-55,
                                              0x1.4a385a63d07a7p-56};
static _Alignas(64) const real log_factors[8] = {1,
                                                 0x1.c024077bfd3d8p-1,
                                                 0x1.8e58ea3541441p-1,
                                                 0x1.6683392ff3ac2p-1,
                                                 0x1.45eba85a2ca5bp-1,
                                                 0x1.2ac2afa7efe75p-1,
                                                 0x1.13c76711363a2p-1,
                                                 0x1.0f5c28f5c28e6p-1};
static _Alignas(64) const real log_values[8] = {0,
                                                0x1.10d43a41ac36fp-3,
                                                0x1.01063ad9af2ebp-2,
                                                0x1.6ce9db5dc7d42p-2,
                                                0x1.ce82d9429bb01p-2,
                                                0x1.13ce2df6803ecp-1,
                                                0x1.3cc9898de91fp-1,
                                                0x1.450ec3d21b61fp-1};

/* As above; error 0.095. */
static inline vreal exp_tail(vreal r) {
    const vreal r2 = v_mul(r, r);
    const vreal low = cubic(r, r2, 0x1.000000000002fp-1, -0x1.55555555555d2p-3,
                            0x1.5555554e84f1bp-5, -0x1.1111110aad606p-7);
    const vreal high = v_muladd(v_set(-0x1.a01f950d5d5aap-13), r, v_set(0x1.6c1b75e4a7012p-10));
    return v_muladd(high, v_mul(r2, r2), low);
}

/* As above; error 0.2. */
static inline vreal log_tail(vreal d, vreal d2) {
    const vreal d4 = v_mul(d2, d2);
    const vreal low = cubic(d, d2, -0x1.0000000000002p-1, 0x1.555555555539dp-2,
                            -0x1.ffffffffe8eb7p-3, 0x1.9999999c99739p-3);
    const vreal middle = cubic(d, d2, -0x1.555555fc545ecp-3, 0x1.24923e38ce68fp-3,
                               -0x1.fffca7739bddfp-4, 0x1.c738b5b56a93fp-4);
    const vreal high = v_muladd(v_set(0x1.69971ae60c662p-4), d, v_set(-0x1.9d26efdceef0cp-4));
    return v_muladd(v_muladd(high, d4, middle), d4, low);
}

/* As above; error 0.072 units of 2^-24. */
static inline vreal reciprocal_start(vreal factor, vreal d, vreal d2) {
    const vreal low = v_muladd(v_set(-0x1.000392p+0), d, v_set(0x1.ffff04p-1));
    const vreal high = v_muladd(v_set(-0x1.f8d4c4p-1), d, v_set(0x1.017f36p+0));
    return v_muladd(factor, v_mulsub(d2, v_muladd(high, d2, low), d), factor);
}

/* A step of Newton's; error 0.2. */
static inline vreal reciprocal_of(vreal e, vreal start) {
    const vreal excess = v_muladd(start, e, v_sub(start, v_set(REAL(1.0))));
    return v_nmuladd(start, excess, start);
}

#endif

/* A number as an unrounded sum: high + low. */
struct pair {
    vreal high;
    vreal low;
};

/* exp(-r) 2^(n / 8) 2^EXP_LIFT_EXPONENT = T + T w for |r| <= 0.0434, n = rounded - REAL_ROUND, |w|
 * <= 0.045. */
struct exponential {
    vreal power; /* T */
    vreal w;
};

static inline struct exponential exponential_of(vreal r, vreal rounded) {
    const vindex index = v_index_bits(rounded);
    const vreal power = v_step(v_lookup8(exp_powers, index), rounded);
    const vreal low = v_lookup8(exp_lows, index);
    return (struct exponential){power,
                                v_muladd(r, v_mulsub(r, exp_tail(r), v_set(REAL(1.0))), low)};
}

static inline vreal exponential_sum(struct exponential x) {
    return v_muladd(x.power, x.w, x.power);
}

/* The same, and what its rounding takes. */
static inline struct pair exponential_pair(struct exponential x) {
    const vreal high = exponential_sum(x);
    return (struct pair){high, v_muladd(x.power, x.w, v_sub(x.power, high))};
}

static inline struct pair pair_times(struct pair a, real scale) {
    return (struct pair){v_mul(a.high, v_set(scale)), v_mul(a.low, v_set(scale))};
}

/* n = -round(8 a / ln 2), as REAL_ROUND + n. */
static inline vreal exp_rounded(vreal a) {
    return v_nmuladd(a, v_set(STEPS_E), v_set(REAL_ROUND));
}

/* r = a + n ln 2 / 8. */
static inline vreal exp_reduced(vreal a, vreal rounded) {
    const vreal n = v_sub(rounded, v_set(REAL_ROUND));
    return v_muladd(n, v_set(STEP_LOW), v_muladd(n, v_set(STEP_HIGH), a));
}

/* exp(-a) 2^EXP_LIFT_EXPONENT for a >= 0; 0 from EXP_MOST to +inf. */
static inline struct exponential exponential_minus(vreal a) {
    const vreal bounded = v_min(v_set(EXP_MOST), a);
    const vreal rounded = exp_rounded(bounded);
    return exponential_of(exp_reduced(bounded, rounded), rounded);
}

/* exp(-a) for a >= 0; 0 from EXP_ZERO to +inf.  Error before it is rounded: 0.25, 0.33. */
static inline vreal exp_minus(vreal a) {
    return v_mul(exponential_sum(exponential_minus(a)), v_set(EXP_DROP));
}

/* exp(-a) 2^REAL_LIFT_EXPONENT; 0 where that is too small. */
static inline vreal lifted_exp_minus(vreal a) {
    return v_mul(exponential_sum(exponential_minus(a)), v_set(EXP_DROP * REAL_LIFT));
}

/* The same two with what their rounding takes. */
static inline struct pair exp_minus_exactly(vreal a) {
    return pair_times(exponential_pair(exponential_minus(a)), EXP_DROP);
}

static inline struct pair lifted_exp_minus_exactly(vreal a) {
    return pair_times(exponential_pair(exponential_minus(a)), EXP_DROP * REAL_LIFT);
}

/* exp(-(a.high + a.low)) 2^EXP_LIFT_EXPONENT for |a.low| of an ulp or two of a.high. */
static inline struct exponential exponential_minus_pair(struct pair a) {
    const vreal most = v_set(EXP_MOST);
    const vreal bounded = v_min(most, a.high);
    const vreal low = v_drop(v_le(most, a.high), a.low);
    const vreal rounded = exp_rounded(bounded);
    return exponential_of(v_add(exp_reduced(bounded, rounded), low), rounded);
}

/* exp(-(a.high + a.low)), likewise; error 1.3, 1.4. */
static inline vreal exp_minus_pair(struct pair a) {
    return v_mul(exponential_sum(exponential_minus_pair(a)), v_set(EXP_DROP));
}

/* a + b, exactly. */
static inline struct pair exact_sum(vreal a, vreal b) {
    const vreal high = v_add(a, b);
    const vreal b_part = v_sub(high, a);
    const vreal a_part = v_sub(high, b_part);
    return (struct pair){high, v_add(v_sub(a, a_part), v_sub(b, b_part))};
}

/* The same where a is 0 or not smaller than b. */
static inline struct pair exact_sum_in_order(vreal a, vreal b) {
    const vreal high = v_add(a, b);
    return (struct pair){high, v_sub(b, v_sub(high, a))};
}

static inline struct pair pair_product(struct pair a, struct pair b) {
    const vreal high = v_mul(a.high, b.high);
    const vreal low = v_muladd(a.high, b.low, v_product_minus(a.high, b.high, high));
    return (struct pair){high, v_muladd(a.low, b.high, low)};
}

static inline struct pair pair_sum(struct pair a, struct pair b) {
    const struct pair sum = exact_sum(a.high, b.high);
    return exact_sum(sum.high, v_add(sum.low, v_add(a.low, b.low)));
}

/* What the tables have of e in [0, 1]. */
struct log_entry {
    vreal factor, value; /* R and -log R */
};

static inline struct log_entry log_entry_of(vreal e) {
    const vreal rounded = v_muladd(e, v_set(LOG_STEPS), v_set(REAL_ROUND));
    const vindex index = v_index_bits(rounded);
    return (struct log_entry){log_lookup(log_factors, index), log_lookup(log_values, index)};
}

/* log1p(e) and 1 / (1 + e), with errors of 2.7, 3.2 and 1.2, 1.7. */
struct softplus {
    vreal log, reciprocal;
};

static inline struct softplus softplus_of(vreal e) {
    const struct log_entry of = log_entry_of(e);
    const vreal d = v_muladd(of.factor, e, v_sub(of.factor, v_set(REAL(1.0))));
    const vreal d2 = v_mul(d, d);
    return (struct softplus){
        .log = v_add(of.value, v_muladd(log_tail(d, d2), d2, d)),
        .reciprocal = reciprocal_of(e, reciprocal_start(of.factor, d, d2)),
    };
}

/* The same for e = high + low in [0, 1], |low| at most an ulp of high, with the logarithm as a sum,
 * whose second part is up to 0.035 of the first.  It is that part alone which is rounded: absolute
 * error 0.032, 0.034. */
struct exact_softplus {
    struct pair log;
    vreal reciprocal;
};

static inline struct exact_softplus exact_softplus_of(struct pair e) {
    const struct log_entry of = log_entry_of(e.high);
    /* d, of which the first difference is exact: near 0 because its terms are near each other. */
    const vreal product = v_mul(of.factor, e.high);
    const vreal product_low = v_product_minus(of.factor, e.high, product);
    const vreal first = v_add(product, v_sub(of.factor, v_set(REAL(1.0))));
    const struct pair d = exact_sum_in_order(first, v_muladd(of.factor, e.low, product_low));
    const vreal d2 = v_mul(d.high, d.high);
    const struct pair log = exact_sum_in_order(of.value, d.high);
    /* d log(1 + d) = 1 - d + ... */
    const vreal low = v_nmuladd(d.high, d.low, d.low);
    return (struct exact_softplus){
        .log = {log.high, v_add(log.low, v_muladd(log_tail(d.high, d2), d2, low))},
        .reciprocal = reciprocal_of(e.high, reciprocal_start(of.factor, d.high, d2)),
    };
}

static inline struct pair log1p_sum(struct pair e) {
    return exact_softplus_of(e).log;
}

/* log1p(e), likewise, with |low| at most an ulp of high: absolute error 0.036, 0.038. */
static inline struct pair log1p_pair(struct pair e) {
    const struct pair sum = log1p_sum(e);
    return exact_sum_in_order(sum.high, sum.low);
}

/* -log(m) for m = high + low > 0, as a pair, |low| at most an ulp of high: absolute error 0.04,
 * 0.042. */
static inline struct pair minus_log_pair(struct pair m) {
    const vmask subnormal = m_not(v_gt(m.high, v_set(REAL_MIN)));
    const vreal lifted = v_mul(m.high, v_select(subnormal, v_set(REAL_LIFT), v_set(REAL(1.0))));
    vreal exponent;
    const vreal fraction = v_fraction(lifted, &exponent);
    const vreal k = v_sub(v_keep(subnormal, v_set(REAL_LIFT_EXPONENT)), exponent);
    const struct pair log =
        log1p_sum((struct pair){v_sub(fraction, v_set(REAL(1.0))), v_set(REAL(0.0))});
    const vreal zero = v_set(REAL(0.0));
    const struct pair minus_log = {v_sub(zero, log.high), v_sub(zero, log.low)};
    const struct pair power = {v_mul(k, v_set(LN2_HIGH)), v_mul(k, v_set(LN2_LOW))};
    struct pair sum = pair_sum(power, minus_log);
    sum.low = v_sub(sum.low, v_div(m.low, m.high));
    return sum;
}

#endif
