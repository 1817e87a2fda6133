/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_128_H
#define FGHM_VEC_128_H

/* What vec_sse2.h and vec_simd128.h have in common: one 128-bit register, masks as in vec_avx2.h,
 * and no fused multiply-add.  v_muladd and its kin round twice, so results may differ from those of
 * other rows in the last bits, and v_product_minus works its exact product out of halves.
 *
 * Each has the types (vdouble is vreal in double) and the functions that are not here, and defines
 *
 *     V_OP(name)                        add, sub, mul, div, sqrt
 *     V_LOGIC(name)                     and, or, xor of vreal and vmask
 *     V_INT(name), V_INT_LOGIC(name)    add, sub; and, or of vbits, lanes as wide as real
 *     V_AS_INT, V_AS_REAL               the same bits
 *     V_SET_INT(x)                      x in every lane
 *     V_SHIFT_UP(a, n), V_SHIFT_DOWN    zeros come in
 *     bits_store(to, a)                 vbits as four int32_t
 *     double_set, _load, _store, _add   of vdouble
 *     double_of_lower, _of_upper        two floats of four */

#include <stdbool.h>

#include "vec/half.h"
#include "vec/real.h"

#if FGHM_REAL_BITS == 32
/* Masks off the lower half of a mantissa. */
#define UPPER_HALF ((int64_t)0xfffff000)
#else
#define UPPER_HALF ((int64_t)0xfffffffff8000000)
#endif

static inline vreal v_load_first(const real *from, size_t n, real filling) {
    real lanes[V_LANES];
    for (size_t lane = 0; lane < V_LANES; lane++) {
        lanes[lane] = lane < n ? from[lane] : filling;
    }
    return v_load(lanes);
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_f16(const uint16_t *from) {
    real lanes[V_LANES];
    for (int lane = 0; lane < V_LANES; lane++) {
        lanes[lane] = float_of_f16(from[lane]);
    }
    return v_load(lanes);
}

static inline void v_store_f16(uint16_t *to, vreal a) {
    real lanes[V_LANES];
    v_store(lanes, a);
    for (int lane = 0; lane < V_LANES; lane++) {
        to[lane] = f16_of_float(lanes[lane]);
    }
}

#endif

static inline vreal v_add(vreal a, vreal b) {
    return V_OP(add)(a, b);
}

static inline vreal v_sub(vreal a, vreal b) {
    return V_OP(sub)(a, b);
}

static inline vreal v_mul(vreal a, vreal b) {
    return V_OP(mul)(a, b);
}

static inline vreal v_div(vreal a, vreal b) {
    return V_OP(div)(a, b);
}

static inline vreal v_sqrt(vreal a) {
    return V_OP(sqrt)(a);
}

/* a with half as many digits.  53 bits are not an even number: cut off, the rest would
 * have 27, and the product of two rests 54; rounded to nearest, it has 26 and a sign. */
static inline vreal upper_half(vreal a) {
#if FGHM_REAL_BITS == 64
    a = V_AS_REAL(V_INT(add)(V_AS_INT(a), V_SET_INT(1 << 26)));
#endif
    return V_LOGIC(and)(a, V_AS_REAL(V_SET_INT(UPPER_HALF)));
}

/* Dekker's product, with halves cut by a mask: the partial products are exact,
 * and subtracting c first, which is near a b, is exact too. */
static inline vreal v_product_minus(vreal a, vreal b, vreal c) {
    const vreal a_high = upper_half(a);
    const vreal b_high = upper_half(b);
    const vreal a_low = v_sub(a, a_high);
    const vreal b_low = v_sub(b, b_high);
    vreal rest = v_sub(v_mul(a_high, b_high), c);
    rest = v_add(rest, v_mul(a_high, b_low));
    rest = v_add(rest, v_mul(a_low, b_high));
    return v_add(rest, v_mul(a_low, b_low));
}

static inline vreal v_muladd(vreal a, vreal b, vreal c) {
    return v_add(v_mul(a, b), c);
}

static inline vreal v_mulsub(vreal a, vreal b, vreal c) {
    return v_sub(v_mul(a, b), c);
}

static inline vreal v_nmuladd(vreal a, vreal b, vreal c) {
    return v_sub(c, v_mul(a, b));
}

static inline vreal v_abs(vreal a) {
    return v_drop(v_set(REAL(-0.0)), a);
}

static inline vreal v_keep(vmask m, vreal a) {
    return V_LOGIC(and)(m, a);
}

static inline vreal v_negate_where(vmask m, vreal a) {
    return V_LOGIC(xor)(a, v_keep(m, v_set(REAL(-0.0))));
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    return V_LOGIC(xor)(a, v_drop(m, v_set(REAL(-0.0))));
}

static inline vreal v_or(vreal a, vreal b) {
    return V_LOGIC(or)(a, b);
}

static inline vmask m_and(vmask a, vmask b) {
    return V_LOGIC(and)(a, b);
}

static inline vmask m_or(vmask a, vmask b) {
    return V_LOGIC(or)(a, b);
}

static inline vmask m_not(vmask a) {
    return V_LOGIC(xor)(a, V_AS_REAL(V_SET_INT(-1)));
}

static inline vreal v_select(vmask m, vreal a, vreal b) {
    return V_LOGIC(or)(v_keep(m, a), v_drop(m, b));
}

static inline vreal v_fraction(vreal a, vreal *exponent) {
    const vbits one = V_SET_INT((int64_t)REAL_EXPONENT_BIAS << REAL_EXPONENT_SHIFT);
    const vbits integer =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT) << REAL_EXPONENT_SHIFT);
    const vbits biased = V_SHIFT_DOWN(V_AS_INT(a), REAL_EXPONENT_SHIFT);
    const vreal offset = v_add(V_AS_REAL(integer), v_set(REAL_EXPONENT_BIAS));
    *exponent = v_sub(V_AS_REAL(V_INT_LOGIC(or)(integer, biased)), offset);
    const vbits below = V_INT(sub)(V_AS_INT(a), V_SHIFT_UP(biased, REAL_EXPONENT_SHIFT));
    return V_AS_REAL(V_INT(add)(below, one));
}

static inline vreal v_exponent(vreal rounded) {
    const vbits one =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const vbits down =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS - REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const vbits shifted = V_SHIFT_UP(V_AS_INT(rounded), REAL_EXPONENT_SHIFT);
    return v_mul(V_AS_REAL(V_INT(add)(shifted, one)), V_AS_REAL(down));
}

static inline vreal v_step(vreal entry, vreal rounded) {
    const vbits steps = V_SHIFT_UP(V_AS_INT(rounded), REAL_EXPONENT_SHIFT - 3);
    return V_AS_REAL(V_INT(add)(V_AS_INT(entry), steps));
}

static inline vindex v_index_bits(vreal a) {
    return V_AS_INT(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return V_INT(sub)(index, V_AS_INT(m));
}

static inline vreal v_lookup(const real *table, vindex index) {
    int32_t indices[V_LANES];
    real values[V_LANES];
    v_store_index(indices, index);
    for (int lane = 0; lane < V_LANES; lane++) {
        values[lane] = table[indices[lane]];
    }
    return v_load(values);
}

static inline vreal v_lookup8(const real *table, vindex index) {
    return v_lookup(table, V_INT_LOGIC(and)(index, V_SET_INT(7)));
}

static inline vreal v_lookup16(const real *table, vindex index) {
    return v_lookup(table, V_INT_LOGIC(and)(index, V_SET_INT(15)));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return v_lookup(table, V_INT_LOGIC(and)(index, V_SET_INT(31)));
}

static inline vreal v_lookup128(const real *table, vindex index) {
    return v_lookup(table, index);
}

typedef struct {
    vdouble lanes[8];
} vsum;

static inline void v_sum_zero(vsum *sum) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = double_set(0);
    }
}

static inline void v_sum_load(vsum *sum, const double *from) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = double_load(from + 2 * i);
    }
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
#if FGHM_REAL_BITS == 32
    vdouble *const lanes = sum->lanes + 2 * part;
    lanes[0] = double_add(lanes[0], double_of_lower(a));
    lanes[1] = double_add(lanes[1], double_of_upper(a));
#else
    sum->lanes[part] = v_add(sum->lanes[part], a);
#endif
}

static inline void v_sum_store(double *to, const vsum *sum) {
    for (int i = 0; i < 8; i++) {
        double_store(to + 2 * i, sum->lanes[i]);
    }
}

/* As in vec_avx2.h, counts go down. */
typedef struct {
    vbits lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){V_SET_INT(0)};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    return (vtally){V_INT(add)(tally.lanes, V_AS_INT(m))};
}

static inline uint32_t v_tally_total(vtally tally) {
    int32_t lanes[4];
    bits_store(lanes, tally.lanes);
    int32_t total = 0;
    for (int i = 0; i < 4; i += 4 / V_LANES) {
        total += lanes[i];
    }
    return (uint32_t)-total;
}

#endif
