/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_SSE2_H
#define FGHM_VEC_SSE2_H

/* The operations of vec_scalar.h in SSE2, which every x86-64 has: one 128-bit
 * register, masks as in vec_avx2.h.  There is no fused multiply-add: v_muladd
 * and its kin round twice, so results may differ from the other rows in the
 * last bits, and v_product_minus works its exact product out of halves. */

#if !defined(__SSE2__)
#error "vec_sse2.h needs -msse2"
#endif

#include <emmintrin.h>
#include <stdbool.h>

#include "vec/half.h"
#include "vec/real.h"

#if FGHM_REAL_BITS == 32
#define V_LANES 4
#define V_OP(name) _mm_##name##_ps
#define V_INT(name) _mm_##name##_epi32
#define V_AS_INT _mm_castps_si128
#define V_AS_REAL _mm_castsi128_ps
#define V_SET_INT(x) _mm_set1_epi32((int32_t)(x))
typedef __m128 vreal;
typedef __m128 vmask;
typedef __m128i vindex;
/* Masks off the lower half of a mantissa. */
#define UPPER_HALF ((int64_t)0xfffff000)
#else
#define V_LANES 2
#define V_OP(name) _mm_##name##_pd
#define V_INT(name) _mm_##name##_epi64
#define V_AS_INT _mm_castpd_si128
#define V_AS_REAL _mm_castsi128_pd
#define V_SET_INT(x) _mm_set1_epi64x((int64_t)(x))
typedef __m128d vreal;
typedef __m128d vmask;
typedef __m128i vindex;
#define UPPER_HALF ((int64_t)0xfffffffff8000000)
#endif

static inline vreal v_set(real x) {
    return V_OP(set1)(x);
}

static inline vreal v_load(const real *from) {
    return V_OP(loadu)(from);
}

static inline void v_store(real *to, vreal a) {
    V_OP(storeu)(to, a);
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

static inline vreal v_load_bf16(const uint16_t *from) {
    const __m128i upper = _mm_loadl_epi64((const __m128i *)from);
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), upper));
}

/* Half of the last place less one, and that place; NaN made quiet. */
static inline void v_store_bf16(uint16_t *to, vreal a) {
    const __m128i bits = _mm_castps_si128(a);
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
    const __m128i near = _mm_add_epi32(bits, _mm_add_epi32(odd, _mm_set1_epi32(0x7fff)));
    const __m128i quiet = _mm_or_si128(bits, _mm_set1_epi32(0x400000));
    const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(a, a));
    const __m128i all = _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, near));
    const __m128i upper = _mm_srai_epi32(all, 16);
    _mm_storel_epi64((__m128i *)to, _mm_packs_epi32(upper, upper));
}

static inline vreal v_load_u8(const uint8_t *from) {
    const __m128i zero = _mm_setzero_si128();
    int32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    const __m128i of_16 = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero);
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(of_16, zero));
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
    return V_OP(and)(a, V_AS_REAL(V_SET_INT(UPPER_HALF)));
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

static inline vreal v_min(vreal a, vreal b) {
    return V_OP(min)(a, b);
}

static inline vreal v_max(vreal a, vreal b) {
    return V_OP(max)(a, b);
}

static inline vreal v_abs(vreal a) {
    return V_OP(andnot)(v_set((real)-0.0), a);
}

static inline vreal v_negate_where(vmask m, vreal a) {
    return V_OP(xor)(a, V_OP(and)(m, v_set((real)-0.0)));
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    return V_OP(xor)(a, V_OP(andnot)(m, v_set((real)-0.0)));
}

static inline vreal v_or(vreal a, vreal b) {
    return V_OP(or)(a, b);
}

static inline vmask v_eq(vreal a, vreal b) {
    return V_OP(cmpeq)(a, b);
}

static inline vmask v_gt(vreal a, vreal b) {
    return V_OP(cmpgt)(a, b);
}

static inline vmask v_le(vreal a, vreal b) {
    return V_OP(cmple)(a, b);
}

static inline vmask m_and(vmask a, vmask b) {
    return V_OP(and)(a, b);
}

static inline vmask m_or(vmask a, vmask b) {
    return V_OP(or)(a, b);
}

static inline vmask m_not(vmask a) {
    return V_OP(xor)(a, V_AS_REAL(V_SET_INT(-1)));
}

static inline vmask m_load(const uint8_t *from) {
    const __m128i zero = _mm_setzero_si128();
    int32_t bytes = 0;
    memcpy(&bytes, from, V_LANES);
    const __m128i of_16 = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero);
    const __m128i of_32 = _mm_cmpgt_epi32(_mm_unpacklo_epi16(of_16, zero), zero);
#if FGHM_REAL_BITS == 32
    return _mm_castsi128_ps(of_32);
#else
    return _mm_castsi128_pd(_mm_unpacklo_epi32(of_32, of_32));
#endif
}

static inline bool m_all(vmask m) {
    return V_OP(movemask)(m) == (1 << V_LANES) - 1;
}

static inline vreal v_select(vmask m, vreal a, vreal b) {
    return V_OP(or)(V_OP(and)(m, a), V_OP(andnot)(m, b));
}

static inline vreal v_keep(vmask m, vreal a) {
    return V_OP(and)(m, a);
}

static inline vreal v_drop(vmask m, vreal a) {
    return V_OP(andnot)(m, a);
}

static inline vreal v_mul_unless(vmask m, vreal a, vreal b) {
    return v_select(m, a, v_mul(a, b));
}

static inline vreal v_fraction(vreal a, vreal *exponent) {
    const __m128i one = V_SET_INT((int64_t)REAL_EXPONENT_BIAS << REAL_EXPONENT_SHIFT);
    const __m128i integer =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT) << REAL_EXPONENT_SHIFT);
    const __m128i biased = V_INT(srli)(V_AS_INT(a), REAL_EXPONENT_SHIFT);
    const vreal offset = v_add(V_AS_REAL(integer), v_set(REAL_EXPONENT_BIAS));
    *exponent = v_sub(V_AS_REAL(_mm_or_si128(integer, biased)), offset);
    const __m128i below = V_INT(sub)(V_AS_INT(a), V_INT(slli)(biased, REAL_EXPONENT_SHIFT));
    return V_AS_REAL(V_INT(add)(below, one));
}

static inline vreal v_exponent(vreal rounded) {
    const __m128i one =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const __m128i down =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS - REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const __m128i shifted = V_INT(slli)(V_AS_INT(rounded), REAL_EXPONENT_SHIFT);
    return v_mul(V_AS_REAL(V_INT(add)(shifted, one)), V_AS_REAL(down));
}

static inline vreal v_power(vreal rounded) {
    return V_AS_REAL(V_INT(slli)(V_AS_INT(rounded), REAL_EXPONENT_SHIFT));
}

static inline vindex v_index(vreal a) {
#if FGHM_REAL_BITS == 32
    return _mm_cvttps_epi32(a);
#else
    /* Indices are not negative, but for NaN's, of which the lowest bits are 0. */
    return _mm_unpacklo_epi32(_mm_cvttpd_epi32(a), _mm_setzero_si128());
#endif
}

static inline vindex v_index_bits(vreal a) {
    return V_AS_INT(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return V_INT(sub)(index, V_AS_INT(m));
}

static inline void v_store_index(int32_t *to, vindex index) {
#if FGHM_REAL_BITS == 32
    _mm_storeu_si128((__m128i *)to, index);
#else
    _mm_storel_epi64((__m128i *)to, _mm_shuffle_epi32(index, _MM_SHUFFLE(2, 0, 2, 0)));
#endif
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

static inline vreal v_lookup16(const real *table, vindex index) {
    return v_lookup(table, _mm_and_si128(index, V_SET_INT(15)));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return v_lookup(table, _mm_and_si128(index, V_SET_INT(31)));
}

static inline vreal v_lookup128(const real *table, vindex index) {
    return v_lookup(table, index);
}

typedef struct {
    __m128d lanes[8];
} vsum;

static inline void v_sum_zero(vsum *sum) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = _mm_setzero_pd();
    }
}

static inline void v_sum_load(vsum *sum, const double *from) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = _mm_loadu_pd(from + 2 * i);
    }
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
#if FGHM_REAL_BITS == 32
    __m128d *const lanes = sum->lanes + 2 * part;
    lanes[0] = _mm_add_pd(lanes[0], _mm_cvtps_pd(a));
    lanes[1] = _mm_add_pd(lanes[1], _mm_cvtps_pd(_mm_movehl_ps(a, a)));
#else
    sum->lanes[part] = _mm_add_pd(sum->lanes[part], a);
#endif
}

static inline void v_sum_store(double *to, const vsum *sum) {
    for (int i = 0; i < 8; i++) {
        _mm_storeu_pd(to + 2 * i, sum->lanes[i]);
    }
}

/* As in vec_avx2.h, counts go down. */
typedef struct {
    __m128i lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){_mm_setzero_si128()};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    return (vtally){V_INT(add)(tally.lanes, V_AS_INT(m))};
}

static inline uint32_t v_tally_total(vtally tally) {
    int32_t lanes[4];
    _mm_storeu_si128((__m128i *)lanes, tally.lanes);
    int32_t total = 0;
    for (int i = 0; i < 4; i += 4 / V_LANES) {
        total += lanes[i];
    }
    return (uint32_t)-total;
}

#endif
