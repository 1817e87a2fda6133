/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_SCALAR_H
#define FGHM_VEC_SCALAR_H

/* The vector operations in plain C, one lane wide.  This file is their
 * specification: every other vec_*.h has the same names and, lane by lane, the
 * same results to the last bit (vec_sse2.h excepted, which has no fused
 * multiply-add).  All operations are correctly rounded or exact; none raises
 * or needs anything beyond the default floating-point environment. */

#include <stdbool.h>

#include "fused.h"
#include "vec/half.h"
#include "vec/real.h"

#define V_LANES 1

typedef real vreal;
typedef bool vmask;
typedef real_integer vindex;

#if FGHM_REAL_BITS == 32
typedef uint32_t scalar_bits;
#define SCALAR_SQRT __builtin_sqrtf
#else
typedef uint64_t scalar_bits;
#define SCALAR_SQRT __builtin_sqrt
#endif

/* vec_unfused.h has another one, and a product of its own. */
#ifndef SCALAR_FMA
#if FGHM_REAL_BITS == 32
#define SCALAR_FMA fghm_fused_f32
#else
#define SCALAR_FMA fghm_fused
#endif
#define SCALAR_PRODUCT_MINUS(a, b, c) SCALAR_FMA(a, b, -(c))
#endif

static inline scalar_bits bits_of(real x) {
    scalar_bits bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline real real_of(scalar_bits bits) {
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline vreal v_set(real x) {
    return x;
}

static inline vreal v_load(const real *from) {
    return *from;
}

/* The first lanes of n numbers, 1 to SUM_LANES of them, and `filling` in the others; nothing behind
 * the numbers is read. */
static inline vreal v_load_first(const real *from, size_t n, real filling) {
    (void)n;
    (void)filling;
    return *from;
}

static inline void v_store(real *to, vreal a) {
    *to = a;
}

#if FGHM_REAL_BITS == 32

/* Halves and bytes as floats, and floats as halves, rounded to nearest. */
static inline vreal v_load_f16(const uint16_t *from) {
    return float_of_f16(from[0]);
}

static inline void v_store_f16(uint16_t *to, vreal a) {
    to[0] = f16_of_float(a);
}

static inline vreal v_load_bf16(const uint16_t *from) {
    return float_of_bf16(from[0]);
}

static inline void v_store_bf16(uint16_t *to, vreal a) {
    to[0] = bf16_of_float(a);
}

static inline vreal v_load_u8(const uint8_t *from) {
    return from[0];
}

#endif

static inline vreal v_add(vreal a, vreal b) {
    return a + b;
}

static inline vreal v_sub(vreal a, vreal b) {
    return a - b;
}

static inline vreal v_mul(vreal a, vreal b) {
    return a * b;
}

static inline vreal v_div(vreal a, vreal b) {
    return a / b;
}

static inline vreal v_sqrt(vreal a) {
    return SCALAR_SQRT(a);
}

/* a b - c with one rounding, also where there is no fused multiply-add: for c
 * near a b, where it is the error of a product or a division. */
static inline vreal v_product_minus(vreal a, vreal b, vreal c) {
    return SCALAR_PRODUCT_MINUS(a, b, c);
}

/* a b + c with one rounding; with two where there is no fused multiply-add. */
static inline vreal v_muladd(vreal a, vreal b, vreal c) {
    return SCALAR_FMA(a, b, c);
}

/* a b - c and c - a b, rounded as v_muladd rounds. */
static inline vreal v_mulsub(vreal a, vreal b, vreal c) {
    return SCALAR_FMA(a, b, -c);
}

static inline vreal v_nmuladd(vreal a, vreal b, vreal c) {
    return SCALAR_FMA(-a, b, c);
}

/* a < b ? a : b, so the result is b where either is NaN; likewise v_max. */
static inline vreal v_min(vreal a, vreal b) {
    return a < b ? a : b;
}

static inline vreal v_max(vreal a, vreal b) {
    return a > b ? a : b;
}

static inline vreal v_abs(vreal a) {
    return real_of(bits_of(a) & ~bits_of(REAL(-0.0)));
}

/* -a where the mask is set, a elsewhere; and the other way round.  The sign bit
 * of a NaN turns too. */
static inline vreal v_negate_where(vmask m, vreal a) {
    return m ? real_of(bits_of(a) ^ bits_of(REAL(-0.0))) : a;
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    return m ? a : real_of(bits_of(a) ^ bits_of(REAL(-0.0)));
}

/* The bits that are set in a or in b. */
static inline vreal v_or(vreal a, vreal b) {
    return real_of(bits_of(a) | bits_of(b));
}

/* Comparisons: false where either is NaN. */
static inline vmask v_eq(vreal a, vreal b) {
    return a == b;
}

static inline vmask v_gt(vreal a, vreal b) {
    return a > b;
}

static inline vmask v_le(vreal a, vreal b) {
    return a <= b;
}

static inline vmask m_and(vmask a, vmask b) {
    return a && b;
}

static inline vmask m_or(vmask a, vmask b) {
    return a || b;
}

static inline vmask m_not(vmask a) {
    return !a;
}

/* Set where a byte is not 0; one byte for each lane. */
static inline vmask m_load(const uint8_t *from) {
    return from[0] != 0;
}

static inline bool m_all(vmask m) {
    return m;
}

/* a where the mask is set, b elsewhere. */
static inline vreal v_select(vmask m, vreal a, vreal b) {
    return m ? a : b;
}

/* a where the mask is set, +0 elsewhere; and the other way round. */
static inline vreal v_keep(vmask m, vreal a) {
    return m ? a : (real)0;
}

static inline vreal v_drop(vmask m, vreal a) {
    return m ? REAL(0.0) : a;
}

/* Takes a normal a > 0 apart: a = f 2^k, 1 <= f < 2. */
static inline vreal v_fraction(vreal a, vreal *exponent) {
    const scalar_bits one = (scalar_bits)REAL_EXPONENT_BIAS << REAL_EXPONENT_SHIFT;
    const scalar_bits biased = bits_of(a) >> REAL_EXPONENT_SHIFT;
    const scalar_bits integer = (scalar_bits)(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT)
                                << REAL_EXPONENT_SHIFT;
    const real offset = real_of(integer) + (real)REAL_EXPONENT_BIAS;
    *exponent = real_of(integer | biased) - offset;
    return real_of(bits_of(a) - (biased << REAL_EXPONENT_SHIFT) + one);
}

/* n of `rounded` = REAL_ROUND + n as a multiple of the bit `shift`, REAL_EXPONENT_SHIFT that of an
 * exponent; the bits of REAL_ROUND fall off. */
static inline scalar_bits shift_rounded(vreal rounded, int shift) {
    const scalar_bits low = bits_of(rounded) & (scalar_bits)-1 >> shift;
    return low << shift;
}

/* 2^n for `rounded` = REAL_ROUND + n; -(bias + mantissa bits) <= n <=
 * REAL_LIFT_EXPONENT. */
static inline vreal v_exponent(vreal rounded) {
    const scalar_bits one = (scalar_bits)(REAL_EXPONENT_BIAS + REAL_EXPONENT_OFFSET)
                            << REAL_EXPONENT_SHIFT;
    const scalar_bits down = (scalar_bits)(REAL_EXPONENT_BIAS - REAL_EXPONENT_OFFSET)
                             << REAL_EXPONENT_SHIFT;
    return real_of(shift_rounded(rounded, REAL_EXPONENT_SHIFT) + one) * real_of(down);
}

/* 2^(n / 8) for `rounded` = REAL_ROUND + n and an `entry` which is 2^(j / 8), j = n mod 8, less j
 * units of the third bit of its fraction: as much as n has there beyond whole powers of two. */
static inline vreal v_step(vreal entry, vreal rounded) {
    return real_of(bits_of(entry) + shift_rounded(rounded, REAL_EXPONENT_SHIFT - 3));
}

/* Whole numbers in lanes as wide as a real.  v_index cuts off the fraction; NaN
 * gives what v_lookup8, v_lookup16 and v_lookup32 take for 0. */
static inline vindex v_index(vreal a) {
    return a == a ? (vindex)a : 0;
}

/* The bits of a as a whole number. */
static inline vindex v_index_bits(vreal a) {
    return (vindex)bits_of(a);
}

/* index + 1 where the mask is set. */
static inline vindex v_index_increment(vmask m, vindex index) {
    return index + m;
}

/* table[index], for an index within the table; for tables of exactly 8 and 16, whatever the upper
 * bits of the index; and for tables of exactly 32 and 128. */
static inline vreal v_lookup(const real *table, vindex index) {
    return table[index];
}

static inline vreal v_lookup8(const real *table, vindex index) {
    return table[index & 7];
}

static inline vreal v_lookup16(const real *table, vindex index) {
    return table[index & 15];
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return table[index];
}

static inline vreal v_lookup128(const real *table, vindex index) {
    return table[index];
}

/* The indices as 32-bit integers in memory. */
static inline void v_store_index(int32_t *to, vindex index) {
    *to = (int32_t)index;
}

/* 16 sums in double.  v_sum_add adds the lanes of a to sums
 * part V_LANES, part V_LANES + 1, ... */
typedef struct {
    double lanes[SUM_LANES];
} vsum;

static inline void v_sum_zero(vsum *sum) {
    for (int lane = 0; lane < SUM_LANES; lane++) {
        sum->lanes[lane] = 0;
    }
}

static inline void v_sum_load(vsum *sum, const double *from) {
    for (int i = 0; i < SUM_LANES; i++) {
        sum->lanes[i] = from[i];
    }
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
    sum->lanes[part] += (double)a;
}

static inline void v_sum_store(double *to, const vsum *sum) {
    memcpy(to, sum->lanes, sizeof sum->lanes);
}

/* One counter per lane.  v_tally_add counts the lanes where the mask is set;
 * v_tally_total adds them up.  At most 2^31 - 1 counts a lane. */
typedef struct {
    uint32_t lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){0};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    tally.lanes += m;
    return tally;
}

static inline uint32_t v_tally_total(vtally tally) {
    return tally.lanes;
}

#endif
