/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_AVX512_H
#define FGHM_VEC_AVX512_H

/* The operations of vec_scalar.h in AVX-512 (F, BW, DQ, VL): one 512-bit register. */

#if !defined(__AVX512F__) || !defined(__AVX512DQ__) || !defined(__AVX512BW__)
#error "vec_avx512.h needs -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#include <immintrin.h>
#include <stdbool.h>

#include "vec/largest.h"
#include "vec/real.h"

/* Without optimization gcc's intrinsics are macros, and it warns of their conversions of
 * masks as if they were written here. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

#if FGHM_REAL_BITS == 32
#define V_LANES 16
#define V_OP(name) _mm512_##name##_ps
#define V_COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
typedef __m512 vreal;
typedef __m512i vindex;
typedef __mmask16 vmask;
#else
#define V_LANES 8
#define V_OP(name) _mm512_##name##_pd
#define V_COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
typedef __m512d vreal;
typedef __m512i vindex;
typedef __mmask8 vmask;
#endif

static inline vreal v_set(real x) {
    return V_OP(set1)(x);
}

static inline vreal v_load(const real *from) {
    return V_OP(loadu)(from);
}

static inline vreal v_load_first(const real *from, size_t n, real filling) {
    return V_OP(mask_loadu)(v_set(filling), (vmask)((1u << n) - 1), from);
}

static inline void v_store(real *to, vreal a) {
    V_OP(storeu)(to, a);
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_f16(const uint16_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

static inline void v_store_f16(uint16_t *to, vreal a) {
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline vreal v_load_bf16(const uint16_t *from) {
    const __m512i upper = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(upper, 16));
}

/* Half of the last place less one, and that place; NaN made quiet. */
static inline void v_store_bf16(uint16_t *to, vreal a) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i near = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    const __m512i all = _mm512_mask_or_epi32(near, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(all, 16)));
}

static inline vreal v_load_u8(const uint8_t *from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from)));
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
    return V_OP(mask_xor)(a, m, a, v_set(REAL(-0.0)));
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    return V_OP(mask_xor)(a, (vmask)~m, a, v_set(REAL(-0.0)));
}

static inline vreal v_or(vreal a, vreal b) {
    return V_OP(or)(a, b);
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

static inline vmask m_load(const uint8_t *from) {
#if FGHM_REAL_BITS == 32
    const __m512i lanes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
    return _mm512_test_epi32_mask(lanes, lanes);
#else
    const __m512i lanes = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)from));
    return _mm512_test_epi64_mask(lanes, lanes);
#endif
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

static inline vreal v_fraction(vreal a, vreal *exponent) {
    *exponent = V_OP(getexp)(a);
    return V_OP(getmant)(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
}

static inline vreal v_exponent(vreal rounded) {
    return V_OP(scalef)(v_set(REAL(1.0)), v_sub(rounded, v_set(REAL_ROUND)));
}

#if FGHM_REAL_BITS == 32

static inline vreal v_step(vreal entry, vreal rounded) {
    const __m512i steps = _mm512_slli_epi32(_mm512_castps_si512(rounded), REAL_EXPONENT_SHIFT - 3);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(entry), steps));
}

static inline vindex v_index(vreal a) {
    return _mm512_cvttps_epi32(a);
}

static inline vindex v_index_bits(vreal a) {
    return _mm512_castps_si512(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return _mm512_mask_add_epi32(index, m, index, _mm512_set1_epi32(1));
}

static inline vreal v_lookup(const real *table, vindex index) {
    return _mm512_i32gather_ps(index, table, 4);
}

static inline vreal v_lookup8(const real *table, vindex index) {
    return _mm512_permutexvar_ps(index, _mm512_broadcast_f32x8(_mm256_loadu_ps(table)));
}

static inline vreal v_lookup16(const real *table, vindex index) {
    return _mm512_permutexvar_ps(index, _mm512_loadu_ps(table));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), index, _mm512_loadu_ps(table + 16));
}

/* Permutes look up the lower bits of the index, masks choose by the other two:
 * a third of the time of a gather. */
static inline vreal v_lookup128(const real *table, vindex index) {
    __m512 quarters[4];
    for (int i = 0; i < 4; i++) {
        quarters[i] = v_lookup32(table + 32 * i, index);
    }
    const __mmask16 odd = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
    const __mmask16 upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(64));
    const __m512 first = _mm512_mask_blend_ps(odd, quarters[0], quarters[1]);
    const __m512 second = _mm512_mask_blend_ps(odd, quarters[2], quarters[3]);
    return _mm512_mask_blend_ps(upper, first, second);
}

static inline void v_store_index(int32_t *to, vindex index) {
    _mm512_storeu_si512(to, index);
}

#else

static inline vreal v_step(vreal entry, vreal rounded) {
    const __m512i steps = _mm512_slli_epi64(_mm512_castpd_si512(rounded), REAL_EXPONENT_SHIFT - 3);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(entry), steps));
}

static inline vindex v_index(vreal a) {
    return _mm512_cvttpd_epi64(a);
}

static inline vindex v_index_bits(vreal a) {
    return _mm512_castpd_si512(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return _mm512_mask_add_epi64(index, m, index, _mm512_set1_epi64(1));
}

static inline vreal v_lookup(const real *table, vindex index) {
    return _mm512_i64gather_pd(index, table, 8);
}

static inline vreal v_lookup8(const real *table, vindex index) {
    return _mm512_permutexvar_pd(index, _mm512_loadu_pd(table));
}

static inline vreal v_lookup16(const real *table, vindex index) {
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), index, _mm512_loadu_pd(table + 8));
}

static inline vreal v_lookup32(const real *table, vindex index) {
    const __mmask8 upper = _mm512_test_epi64_mask(index, _mm512_set1_epi64(16));
    return _mm512_mask_blend_pd(upper, v_lookup16(table, index), v_lookup16(table + 16, index));
}

static inline vreal v_lookup128(const real *table, vindex index) {
    return v_lookup(table, index);
}

static inline void v_store_index(int32_t *to, vindex index) {
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi64_epi32(index));
}

#endif

/* Optional: the largest lane of numbers without NaN. */
#define V_HAS_LARGEST 1
static inline real v_largest(vreal a) {
#if FGHM_REAL_BITS == 32
    const __m256 upper = _mm512_extractf32x8_ps(a, 1), lower = _mm512_castps512_ps256(a);
    return largest_of_256(_mm256_max_ps(upper, lower));
#else
    const __m256d upper = _mm512_extractf64x4_pd(a, 1), lower = _mm512_castpd512_pd256(a);
    return largest_of_256(_mm256_max_pd(upper, lower));
#endif
}

typedef struct {
    __m512d low, high;
} vsum;

static inline void v_sum_zero(vsum *sum) {
    sum->low = sum->high = _mm512_setzero_pd();
}

static inline void v_sum_load(vsum *sum, const double *from) {
    sum->low = _mm512_loadu_pd(from);
    sum->high = _mm512_loadu_pd(from + 8);
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

/* Optional: counters of 16 bins packed into the lanes of a few registers, each
 * lane of them a row of bit fields.  A chunk of CHUNK elements fits before a
 * field is full.  Mask compares go through one port, permutes through two: over
 * ten bins this takes half the time of v_tally_add for each edge. */
#define V_HAS_PACKED_COUNTERS 1

#if FGHM_REAL_BITS == 32
/* Field i of register r belongs to bin r PACKED_FIELDS + i. */
#define PACKED_BITS 5
#define PACKED_FIELDS 6
#define PACKED_REGISTERS 3
#define V_SHIFT_RIGHT _mm512_srli_epi32
#define V_SET_INT _mm512_set1_epi32
#define V_ADD_INT _mm512_add_epi32
typedef uint32_t packed_bits;
#else
#define PACKED_BITS 6
#define PACKED_FIELDS 10
#define PACKED_REGISTERS 2
#define V_SHIFT_RIGHT _mm512_srli_epi64
#define V_SET_INT _mm512_set1_epi64
#define V_ADD_INT _mm512_add_epi64
typedef uint64_t packed_bits;
#endif

typedef struct {
    __m512i fields[PACKED_REGISTERS];
} vpacked;

/* What the counter of each bin adds to each register. */
typedef struct {
    packed_bits ones[PACKED_REGISTERS][16];
} packed_ones;

static inline void v_packed_ones(packed_ones *table) {
    for (int reg = 0; reg < PACKED_REGISTERS; reg++) {
        for (int bin = 0; bin < 16; bin++) {
            const int field = bin - reg * PACKED_FIELDS;
            table->ones[reg][bin] =
                field >= 0 && field < PACKED_FIELDS ? (packed_bits)1 << (field * PACKED_BITS) : 0;
        }
    }
}

static inline vpacked v_packed_zero(void) {
    vpacked packed;
    for (int reg = 0; reg < PACKED_REGISTERS; reg++) {
        packed.fields[reg] = _mm512_setzero_si512();
    }
    return packed;
}

/* Counts the bin of each lane, 0 to 15, in the first `registers` registers. */
static inline vpacked v_packed_add(vpacked packed, const packed_ones *table, int registers,
                                   vindex bin) {
    for (int reg = 0; reg < registers; reg++) {
        const __m512i low = _mm512_loadu_si512(table->ones[reg]);
#if FGHM_REAL_BITS == 32
        const __m512i one = _mm512_permutexvar_epi32(bin, low);
#else
        const __m512i high = _mm512_loadu_si512(table->ones[reg] + 8);
        const __m512i one = _mm512_permutex2var_epi64(low, bin, high);
#endif
        packed.fields[reg] = V_ADD_INT(packed.fields[reg], one);
    }
    return packed;
}

/* Adds the counters in the first `registers` registers to the tallies. */
static inline void v_packed_unload(vtally *tallies, vpacked packed, int registers) {
    const __m512i mask = V_SET_INT((1 << PACKED_BITS) - 1);
    for (int reg = 0; reg < registers; reg++) {
        for (int field = 0; field < PACKED_FIELDS; field++, tallies++) {
            const __m512i counter =
                V_SHIFT_RIGHT(packed.fields[reg], (unsigned)(field * PACKED_BITS));
            tallies->lanes = _mm512_add_epi32(tallies->lanes, _mm512_and_si512(counter, mask));
        }
    }
}

#endif
