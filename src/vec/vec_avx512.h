/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_AVX512_H
#define FGHM_VEC_AVX512_H

/* The operations of vec_scalar.h in AVX-512 (F, BW, DQ, VL): one 512-bit register. */

#if !defined(__AVX512F__) || !defined(__AVX512DQ__) || !defined(__AVX512BW__)
#error "vec_avx512.h needs -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#include <immintrin.h>
#include <stdbool.h>

#include "vec/real.h"

#if FGHM_REAL_BITS == 32
#define V_LANES 16
#define V_OP(name) _mm512_##name##_ps
#define V_COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
typedef __m512 vreal;
typedef __mmask16 vmask;
#else
#define V_LANES 8
#define V_OP(name) _mm512_##name##_pd
#define V_COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
typedef __m512d vreal;
typedef __mmask8 vmask;
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
    return V_OP(andnot)(v_set((real)-0.0), a);
}

static inline vreal v_negate_where(vmask m, vreal a) {
    return V_OP(mask_xor)(a, m, a, v_set((real)-0.0));
}

static inline vmask v_eq(vreal a, vreal b) {
    return V_COMPARE(a, b, _CMP_EQ_OQ);
}

static inline vmask v_gt(vreal a, vreal b) {
    return V_COMPARE(a, b, _CMP_GT_OQ);
}

static inline vmask v_le(vreal a, vreal b) {
    return V_COMPARE(a, b, _CMP_LE_OQ);
}

static inline vmask m_and(vmask a, vmask b) {
    return a & b;
}

static inline vmask m_or(vmask a, vmask b) {
    return a | b;
}

static inline vmask m_not(vmask a) {
    return (vmask)~a;
}

static inline bool m_all(vmask m) {
    return m == (vmask)-1;
}

static inline vreal v_select(vmask m, vreal a, vreal b) {
    return V_OP(mask_blend)(m, b, a);
}

static inline vreal v_keep(vmask m, vreal a) {
    return V_OP(maskz_mov)(m, a);
}

static inline vreal v_drop(vmask m, vreal a) {
    return V_OP(maskz_mov)((vmask)~m, a);
}

static inline vreal v_add_unless(vmask m, vreal a, vreal b) {
    return V_OP(mask_add)(a, (vmask)~m, a, b);
}

static inline vreal v_mul_unless(vmask m, vreal a, vreal b) {
    return V_OP(mask_mul)(a, (vmask)~m, a, b);
}

static inline vreal v_fraction(vreal a, vreal *exponent) {
    *exponent = V_OP(getexp)(a);
    return V_OP(getmant)(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
}

static inline vreal v_exponent(vreal rounded) {
    return V_OP(scalef)(v_set(1), v_sub(rounded, v_set(REAL_ROUND)));
}

#if FGHM_REAL_BITS == 32

static inline vreal v_lookup(const real *table, vreal index) {
    return _mm512_i32gather_ps(_mm512_cvttps_epi32(index), table, 4);
}

static inline vreal v_lookup16(const real *table, vreal index) {
    return _mm512_permutexvar_ps(_mm512_cvttps_epi32(index), _mm512_loadu_ps(table));
}

static inline void v_store_index(int32_t *to, vreal index) {
    _mm512_storeu_si512(to, _mm512_cvttps_epi32(index));
}

#else

static inline vreal v_lookup(const real *table, vreal index) {
    return _mm512_i32gather_pd(_mm512_cvttpd_epi32(index), table, 8);
}

static inline vreal v_lookup16(const real *table, vreal index) {
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), _mm512_cvttpd_epi64(index),
                                  _mm512_loadu_pd(table + 8));
}

static inline void v_store_index(int32_t *to, vreal index) {
    _mm256_storeu_si256((__m256i *)to, _mm512_cvttpd_epi32(index));
}

#endif

typedef struct {
    __m512d low, high;
} vsum;

static inline void v_sum_zero(vsum *sum) {
    sum->low = sum->high = _mm512_setzero_pd();
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
#if FGHM_REAL_BITS == 32
    (void)part;
    sum->low = _mm512_add_pd(sum->low, _mm512_cvtps_pd(_mm512_castps512_ps256(a)));
    sum->high = _mm512_add_pd(sum->high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
#else
    if (part == 0) {
        sum->low = _mm512_add_pd(sum->low, a);
    } else {
        sum->high = _mm512_add_pd(sum->high, a);
    }
#endif
}

static inline void v_sum_store(double *to, const vsum *sum) {
    _mm512_storeu_pd(to, sum->low);
    _mm512_storeu_pd(to + 8, sum->high);
}

typedef struct {
    __m512i lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){_mm512_setzero_si512()};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    const __m512i one = _mm512_set1_epi32(1);
    return (vtally){_mm512_mask_add_epi32(tally.lanes, m, tally.lanes, one)};
}

static inline uint32_t v_tally_total(vtally tally) {
    return (uint32_t)_mm512_reduce_add_epi32(tally.lanes);
}

#endif
