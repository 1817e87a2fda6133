/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_SSE2_H
#define FGHM_VEC_SSE2_H

/* The operations of vec_scalar.h in SSE2, which every x86-64 has; most are in vec_128.h. */

#if !defined(__SSE2__)
#error "vec_sse2.h needs -msse2"
#endif

#include <emmintrin.h>
#include <stdbool.h>

#include "vec/real.h"

typedef __m128i vbits;
typedef __m128i vindex;
typedef __m128d vdouble;
#if FGHM_REAL_BITS == 32
#define V_LANES 4
#define V_OP(name) _mm_##name##_ps
#define V_INT(name) _mm_##name##_epi32
#define V_AS_INT _mm_castps_si128
#define V_AS_REAL _mm_castsi128_ps
#define V_SET_INT(x) _mm_set1_epi32((int32_t)(x))
typedef __m128 vreal;
typedef __m128 vmask;
#else
#define V_LANES 2
#define V_OP(name) _mm_##name##_pd
#define V_INT(name) _mm_##name##_epi64
#define V_AS_INT _mm_castpd_si128
#define V_AS_REAL _mm_castsi128_pd
#define V_SET_INT(x) _mm_set1_epi64x((int64_t)(x))
typedef __m128d vreal;
typedef __m128d vmask;
#endif
#define V_LOGIC V_OP
#define V_INT_LOGIC(name) _mm_##name##_si128
#define V_SHIFT_UP V_INT(slli)
#define V_SHIFT_DOWN V_INT(srli)
#define bits_store(to, a) _mm_storeu_si128((__m128i *)(to), a)

#define double_set _mm_set1_pd
#define double_load _mm_loadu_pd
#define double_store _mm_storeu_pd
#define double_add _mm_add_pd
#define double_of_lower _mm_cvtps_pd
#define double_of_upper(a) _mm_cvtps_pd(_mm_movehl_ps(a, a))

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

static inline vreal v_min(vreal a, vreal b) {
    return V_OP(min)(a, b);
}

static inline vreal v_max(vreal a, vreal b) {
    return V_OP(max)(a, b);
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

static inline vreal v_drop(vmask m, vreal a) {
    return V_OP(andnot)(m, a);
}

static inline vindex v_index(vreal a) {
#if FGHM_REAL_BITS == 32
    return _mm_cvttps_epi32(a);
#else
    /* Indices are not negative, but for NaN's, of which the lowest bits are 0. */
    return _mm_unpacklo_epi32(_mm_cvttpd_epi32(a), _mm_setzero_si128());
#endif
}

static inline void v_store_index(int32_t *to, vindex index) {
#if FGHM_REAL_BITS == 32
    bits_store(to, index);
#else
    _mm_storel_epi64((__m128i *)to, _mm_shuffle_epi32(index, _MM_SHUFFLE(2, 0, 2, 0)));
#endif
}

#include "vec/vec_128.h"

#endif
