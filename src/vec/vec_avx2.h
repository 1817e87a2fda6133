/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_AVX2_H
#define FGHM_VEC_AVX2_H

/* The operations of vec_scalar.h in AVX2 and FMA: one 256-bit register.  A mask
 * is a register of all-one and all-zero lanes. */

#if !defined(__AVX2__) || !defined(__FMA__)
#error "vec_avx2.h needs -mavx2 -mfma"
#endif

#include <immintrin.h>
#include <stdbool.h>

#include "vec/largest.h"
#include "vec/real.h"

#if FGHM_REAL_BITS == 32
#define V_LANES 8
#define V_OP(name) _mm256_##name##_ps
#define V_INT(name) _mm256_##name##_epi32
#define V_AS_INT _mm256_castps_si256
#define V_AS_REAL _mm256_castsi256_ps
#define V_SET_INT(x) _mm256_set1_epi32((int32_t)(x))
#define FIRST_LANES -1, -1, -1, -1, -1, -1, -1, -1
typedef __m256 vreal;
typedef __m256 vmask;
typedef __m256i vindex;
#else
#define V_LANES 4
#define V_OP(name) _mm256_##name##_pd
#define V_INT(name) _mm256_##name##_epi64
#define V_AS_INT _mm256_castpd_si256
#define V_AS_REAL _mm256_castsi256_pd
#define V_SET_INT(x) _mm256_set1_epi64x((int64_t)(x))
#define FIRST_LANES -1, -1, -1, -1
typedef __m256d vreal;
typedef __m256d vmask;
typedef __m256i vindex;
#endif

static inline vreal v_set(real x) {
    return V_OP(set1)(x);
}

static inline vreal v_load(const real *from) {
    return V_OP(loadu)(from);
}

static inline vreal v_load_first(const real *from, size_t n, real filling) {
    static const real_integer in_front[2 * V_LANES] = {FIRST_LANES};
    const size_t lanes = n < V_LANES ? n : V_LANES;
    const __m256i first =
        _mm256_loadu_si256((const __m256i *)(const void *)(in_front + V_LANES - lanes));
    return V_OP(blendv)(v_set(filling), V_OP(maskload)(from, first), V_AS_REAL(first));
}

static inline void v_store(real *to, vreal a) {
    V_OP(storeu)(to, a);
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_f16(const uint16_t *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

static inline void v_store_f16(uint16_t *to, vreal a) {
    _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline vreal v_load_bf16(const uint16_t *from) {
    const __m256i upper = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(upper, 16));
}

/* Half of the last place less one, and that place; NaN made quiet. */
static inline void v_store_bf16(uint16_t *to, vreal a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i near = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(near, quiet, nan), 16);
    const __m128i high = _mm256_extracti128_si256(upper, 1);
    _mm_storeu_si128((__m128i *)to, _mm_packus_epi32(_mm256_castsi256_si128(upper), high));
}

static inline vreal v_load_u8(const uint8_t *from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from)));
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

static inline vreal v_product_minus(vreal a, vreal b, vreal c) {
    return V_OP(fmsub)(a, b, c);
}

static inline vreal v_muladd(vreal a, vreal b, vreal c) {
    return V_OP(fmadd)(a, b, c);
}

static inline vreal v_mulsub(vreal a, vreal b, vreal c) {
    return V_OP(fmsub)(a, b, c);
}

static inline vreal v_nmuladd(vreal a, vreal b, vreal c) {
    return V_OP(fnmadd)(a, b, c);
}

static inline vreal v_min(vreal a, vreal b) {
    return V_OP(min)(a, b);
}

static inline vreal v_max(vreal a, vreal b) {
    return V_OP(max)(a, b);
}

static inline vreal v_abs(vreal a) {
    return V_OP(andnot)(v_set(REAL(-0.0)), a);
}

static inline vreal v_negate_where(vmask m, vreal a) {
    return V_OP(xor)(a, V_OP(and)(m, v_set(REAL(-0.0))));
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    return V_OP(xor)(a, V_OP(andnot)(m, v_set(REAL(-0.0))));
}

static inline vreal v_or(vreal a, vreal b) {
    return V_OP(or)(a, b);
}

static inline vmask v_eq(vreal a, vreal b) {
    return (vmask)(a == b);
}

static inline vmask v_gt(vreal a, vreal b) {
    return V_OP(cmp)(a, b, _CMP_GT_OQ);
}

static inline vmask v_le(vreal a, vreal b) {
    return V_OP(cmp)(a, b, _CMP_LE_OQ);
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
#if FGHM_REAL_BITS == 32
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
#else
    int32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    const __m256i lanes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes));
#endif
    return V_AS_REAL(V_INT(cmpgt)(lanes, _mm256_setzero_si256()));
}

static inline bool m_all(vmask m) {
    return V_OP(movemask)(m) == (1 << V_LANES) - 1;
}

static inline vreal v_select(vmask m, vreal a, vreal b) {
    return V_OP(blendv)(b, a, m);
}

static inline vreal v_keep(vmask m, vreal a) {
    return V_OP(and)(m, a);
}

static inline vreal v_drop(vmask m, vreal a) {
    return V_OP(andnot)(m, a);
}

static inline vreal v_fraction(vreal a, vreal *exponent) {
    const __m256i one = V_SET_INT((int64_t)REAL_EXPONENT_BIAS << REAL_EXPONENT_SHIFT);
    const __m256i integer =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT) << REAL_EXPONENT_SHIFT);
    const __m256i biased = V_INT(srli)(V_AS_INT(a), REAL_EXPONENT_SHIFT);
    const vreal offset = v_add(V_AS_REAL(integer), v_set(REAL_EXPONENT_BIAS));
    *exponent = v_sub(V_AS_REAL(_mm256_or_si256(integer, biased)), offset);
    const __m256i below = V_INT(sub)(V_AS_INT(a), V_INT(slli)(biased, REAL_EXPONENT_SHIFT));
    return V_AS_REAL(V_INT(add)(below, one));
}

static inline vreal v_exponent(vreal rounded) {
    const __m256i one =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const __m256i down =
        V_SET_INT((int64_t)(REAL_EXPONENT_BIAS - REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const __m256i shifted = V_INT(slli)(V_AS_INT(rounded), REAL_EXPONENT_SHIFT);
    return v_mul(V_AS_REAL(V_INT(add)(shifted, one)), V_AS_REAL(down));
}

static inline vreal v_step(vreal entry, vreal rounded) {
    const __m256i steps = V_INT(slli)(V_AS_INT(rounded), REAL_EXPONENT_SHIFT - 3);
    return V_AS_REAL(V_INT(add)(V_AS_INT(entry), steps));
}

static inline vindex v_index_bits(vreal a) {
    return V_AS_INT(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return V_INT(sub)(index, V_AS_INT(m));
}

#if FGHM_REAL_BITS == 32

/* b where the sign is set.  gcc makes of the intrinsic a comparison with 0, and a blend. */
static inline vreal blend_by_sign(vreal a, vreal b, __m256i sign) {
    vreal blend;
    __asm__("vblendvps %3, %2, %1, %0" : "=x"(blend) : "x"(a), "x"(b), "x"(sign));
    return blend;
}

static inline vindex v_index(vreal a) {
    return _mm256_cvttps_epi32(a);
}

static inline vreal v_lookup(const real *table, vindex index) {
    return _mm256_i32gather_ps(table, index, 4);
}

static inline vreal v_lookup8(const real *table, vindex index) {
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
}

static inline vreal v_lookup16(const real *table, vindex index) {
    const __m256 low = v_lookup8(table, index);
    return blend_by_sign(low, v_lookup8(table + 8, index), _mm256_slli_epi32(index, 28));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    const __m256 low = v_lookup16(table, index);
    const __m256 high = v_lookup16(table + 16, index);
    return blend_by_sign(low, high, _mm256_slli_epi32(index, 27));
}

static inline void v_store_index(int32_t *to, vindex index) {
    _mm256_storeu_si256((__m256i *)to, index);
}

#else

static inline vindex v_index(vreal a) {
    return _mm256_cvtepi32_epi64(_mm256_cvttpd_epi32(a));
}

static inline vreal v_lookup(const real *table, vindex index) {
    return _mm256_i64gather_pd(table, index, 8);
}

/* The halves of the entries are looked up on their own, each among the eight of a register. */
static inline vreal v_lookup8(const real *table, vindex index) {
    const __m256 first = _mm256_loadu_ps((const float *)table);
    const __m256 second = _mm256_loadu_ps((const float *)(table + 4));
    const __m256d low = _mm256_castps_pd(_mm256_shuffle_ps(first, second, 0x88));
    const __m256d high = _mm256_castps_pd(_mm256_shuffle_ps(first, second, 0xdd));
    const __m256 lows = _mm256_castpd_ps(_mm256_permute4x64_pd(low, 0xd8));
    const __m256 highs = _mm256_castpd_ps(_mm256_permute4x64_pd(high, 0xd8));
    const __m256i both = _mm256_shuffle_epi32(index, _MM_SHUFFLE(2, 2, 0, 0));
    return _mm256_castps_pd(_mm256_blend_ps(_mm256_permutevar8x32_ps(lows, both),
                                            _mm256_permutevar8x32_ps(highs, both), 0xaa));
}

static inline vreal v_lookup16(const real *table, vindex index) {
    return v_lookup(table, _mm256_and_si256(index, V_SET_INT(15)));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return v_lookup(table, _mm256_and_si256(index, V_SET_INT(31)));
}

static inline void v_store_index(int32_t *to, vindex index) {
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m256i packed = _mm256_permutevar8x32_epi32(index, even);
    _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(packed));
}

#endif

static inline vreal v_lookup128(const real *table, vindex index) {
    return v_lookup(table, index);
}

/* Optional: the largest lane of numbers without NaN. */
#define V_HAS_LARGEST 1
static inline real v_largest(vreal a) {
    return largest_of_256(a);
}

typedef struct {
    __m256d lanes[4];
} vsum;

static inline void v_sum_zero(vsum *sum) {
    for (int i = 0; i < 4; i++) {
        sum->lanes[i] = _mm256_setzero_pd();
    }
}

static inline void v_sum_load(vsum *sum, const double *from) {
    for (int i = 0; i < 4; i++) {
        sum->lanes[i] = _mm256_loadu_pd(from + 4 * i);
    }
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
#if FGHM_REAL_BITS == 32
    __m256d *const lanes = sum->lanes + 2 * part;
    lanes[0] = _mm256_add_pd(lanes[0], _mm256_cvtps_pd(_mm256_castps256_ps128(a)));
    lanes[1] = _mm256_add_pd(lanes[1], _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
#else
    sum->lanes[part] = _mm256_add_pd(sum->lanes[part], a);
#endif
}

static inline void v_sum_store(double *to, const vsum *sum) {
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_pd(to + 4 * i, sum->lanes[i]);
    }
}

/* Counts go down, since a set lane of a mask is the integer -1. */
typedef struct {
    __m256i lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){_mm256_setzero_si256()};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    return (vtally){V_INT(add)(tally.lanes, V_AS_INT(m))};
}

static inline uint32_t v_tally_total(vtally tally) {
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, tally.lanes);
    int32_t total = 0;
    /* Each 64-bit lane of a double count holds its number in the lower half. */
    for (int i = 0; i < 8; i += 8 / V_LANES) {
        total += lanes[i];
    }
    return (uint32_t)-total;
}

#endif
