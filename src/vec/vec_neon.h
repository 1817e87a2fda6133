/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_NEON_H
#define FGHM_VEC_NEON_H

/* The operations of vec_scalar.h in the Advanced SIMD of AArch64: one 128-bit
 * register.  v_min and v_max are written as comparisons, since the instructions
 * treat NaN otherwise. */

#if !defined(__aarch64__)
#error "vec_neon.h needs AArch64"
#endif

#include <arm_neon.h>
#include <stdbool.h>

#include "vec/real.h"

#if FGHM_REAL_BITS == 32
#define V_LANES 4
#define V_OP(name) name##q_f32
#define V_INT(name) name##q_u32
#define V_AS_INT vreinterpretq_u32_f32
#define V_AS_REAL vreinterpretq_f32_u32
#define V_SET_INT(x) vdupq_n_u32((uint32_t)(x))
typedef float32x4_t vreal;
typedef uint32x4_t vmask;
typedef uint32x4_t vbits;
typedef uint32x4_t vindex;
#else
#define V_LANES 2
#define V_OP(name) name##q_f64
#define V_INT(name) name##q_u64
#define V_AS_INT vreinterpretq_u64_f64
#define V_AS_REAL vreinterpretq_f64_u64
#define V_SET_INT(x) vdupq_n_u64((uint64_t)(x))
typedef float64x2_t vreal;
typedef uint64x2_t vmask;
typedef uint64x2_t vbits;
typedef uint64x2_t vindex;
#endif

static inline vreal v_set(real x) {
#if FGHM_REAL_BITS == 32
    return vdupq_n_f32(x);
#else
    return vdupq_n_f64(x);
#endif
}

static inline vreal v_load(const real *from) {
    return V_OP(vld1)(from);
}

static inline vreal v_load_first(const real *from, size_t n, real filling) {
    real lanes[V_LANES];
    for (size_t lane = 0; lane < V_LANES; lane++) {
        lanes[lane] = lane < n ? from[lane] : filling;
    }
    return v_load(lanes);
}

static inline void v_store(real *to, vreal a) {
    V_OP(vst1)(to, a);
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_f16(const uint16_t *from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
}

static inline void v_store_f16(uint16_t *to, vreal a) {
    vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(a)));
}

static inline vreal v_load_bf16(const uint16_t *from) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16));
}

/* Half of the last place less one, and that place; NaN made quiet. */
static inline void v_store_bf16(uint16_t *to, vreal a) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t near = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    const uint32x4_t is_number = vceqq_f32(a, a);
    vst1_u16(to, vshrn_n_u32(vbslq_u32(is_number, near, quiet), 16));
}

static inline vreal v_load_u8(const uint8_t *from) {
    uint64_t bytes = 0;
    memcpy(&bytes, from, V_LANES);
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes)))));
}

#endif

static inline vreal v_add(vreal a, vreal b) {
    return V_OP(vadd)(a, b);
}

static inline vreal v_sub(vreal a, vreal b) {
    return V_OP(vsub)(a, b);
}

static inline vreal v_mul(vreal a, vreal b) {
    return V_OP(vmul)(a, b);
}

static inline vreal v_div(vreal a, vreal b) {
    return V_OP(vdiv)(a, b);
}

static inline vreal v_sqrt(vreal a) {
    return V_OP(vsqrt)(a);
}

static inline vreal v_product_minus(vreal a, vreal b, vreal c) {
    return V_OP(vfma)(V_OP(vneg)(c), a, b);
}

static inline vreal v_muladd(vreal a, vreal b, vreal c) {
    return V_OP(vfma)(c, a, b);
}

static inline vreal v_mulsub(vreal a, vreal b, vreal c) {
    return V_OP(vfma)(V_OP(vneg)(c), a, b);
}

static inline vreal v_nmuladd(vreal a, vreal b, vreal c) {
    return V_OP(vfms)(c, a, b);
}

static inline vreal v_select(vmask m, vreal a, vreal b) {
    return V_OP(vbsl)(m, a, b);
}

static inline vmask v_eq(vreal a, vreal b) {
    return V_OP(vceq)(a, b);
}

static inline vmask v_gt(vreal a, vreal b) {
    return V_OP(vcgt)(a, b);
}

static inline vmask v_le(vreal a, vreal b) {
    return V_OP(vcle)(a, b);
}

static inline vreal v_min(vreal a, vreal b) {
    return v_select(V_OP(vclt)(a, b), a, b);
}

static inline vreal v_max(vreal a, vreal b) {
    return v_select(V_OP(vcgt)(a, b), a, b);
}

static inline vreal v_abs(vreal a) {
    return V_OP(vabs)(a);
}

static inline vmask m_and(vmask a, vmask b) {
    return V_INT(vand)(a, b);
}

static inline vmask m_or(vmask a, vmask b) {
    return V_INT(vorr)(a, b);
}

static inline vmask m_not(vmask a) {
    return V_INT(veor)(a, V_SET_INT(-1));
}

static inline vmask m_load(const uint8_t *from) {
    uint64_t bytes = 0;
    memcpy(&bytes, from, V_LANES);
    const uint32x4_t of_32 = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
#if FGHM_REAL_BITS == 32
    return vtstq_u32(of_32, of_32);
#else
    const uint64x2_t of_64 = vmovl_u32(vget_low_u32(of_32));
    return vtstq_u64(of_64, of_64);
#endif
}

static inline bool m_all(vmask m) {
#if FGHM_REAL_BITS == 32
    return vminvq_u32(m) == UINT32_MAX;
#else
    return vminvq_u32(vreinterpretq_u32_u64(m)) == UINT32_MAX;
#endif
}

static inline vreal v_keep(vmask m, vreal a) {
    return V_AS_REAL(m_and(m, V_AS_INT(a)));
}

static inline vreal v_drop(vmask m, vreal a) {
    return V_AS_REAL(V_INT(vbic)(V_AS_INT(a), m));
}

static inline vreal v_negate_where(vmask m, vreal a) {
    const vbits sign = V_AS_INT(v_set(REAL(-0.0)));
    return V_AS_REAL(V_INT(veor)(V_AS_INT(a), m_and(m, sign)));
}

static inline vreal v_negate_unless(vmask m, vreal a) {
    const vbits sign = V_AS_INT(v_set(REAL(-0.0)));
    return V_AS_REAL(V_INT(veor)(V_AS_INT(a), V_INT(vbic)(sign, m)));
}

static inline vreal v_or(vreal a, vreal b) {
    return V_AS_REAL(V_INT(vorr)(V_AS_INT(a), V_AS_INT(b)));
}

static inline vbits shift_up(vbits a) {
#if FGHM_REAL_BITS == 32
    return vshlq_n_u32(a, REAL_EXPONENT_SHIFT);
#else
    return vshlq_n_u64(a, REAL_EXPONENT_SHIFT);
#endif
}

static inline vbits shift_down(vbits a) {
#if FGHM_REAL_BITS == 32
    return vshrq_n_u32(a, REAL_EXPONENT_SHIFT);
#else
    return vshrq_n_u64(a, REAL_EXPONENT_SHIFT);
#endif
}

static inline vreal v_fraction(vreal a, vreal *exponent) {
    const vbits one = V_SET_INT((uint64_t)REAL_EXPONENT_BIAS << REAL_EXPONENT_SHIFT);
    const vbits integer =
        V_SET_INT((uint64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT) << REAL_EXPONENT_SHIFT);
    const vbits biased = shift_down(V_AS_INT(a));
    const vreal offset = v_add(V_AS_REAL(integer), v_set(REAL_EXPONENT_BIAS));
    *exponent = v_sub(V_AS_REAL(m_or(integer, biased)), offset);
    return V_AS_REAL(V_INT(vadd)(V_INT(vsub)(V_AS_INT(a), shift_up(biased)), one));
}

static inline vreal v_exponent(vreal rounded) {
    const vbits one =
        V_SET_INT((uint64_t)(REAL_EXPONENT_BIAS + REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    const vbits down =
        V_SET_INT((uint64_t)(REAL_EXPONENT_BIAS - REAL_EXPONENT_OFFSET) << REAL_EXPONENT_SHIFT);
    return v_mul(V_AS_REAL(V_INT(vadd)(shift_up(V_AS_INT(rounded)), one)), V_AS_REAL(down));
}

static inline vreal v_step(vreal entry, vreal rounded) {
#if FGHM_REAL_BITS == 32
    const vbits steps = vshlq_n_u32(V_AS_INT(rounded), REAL_EXPONENT_SHIFT - 3);
#else
    const vbits steps = vshlq_n_u64(V_AS_INT(rounded), REAL_EXPONENT_SHIFT - 3);
#endif
    return V_AS_REAL(V_INT(vadd)(V_AS_INT(entry), steps));
}

/* NaN gives 0. */
static inline vindex v_index(vreal a) {
#if FGHM_REAL_BITS == 32
    return vcvtq_u32_f32(a);
#else
    return vcvtq_u64_f64(a);
#endif
}

static inline vindex v_index_bits(vreal a) {
    return V_AS_INT(a);
}

static inline vindex v_index_increment(vmask m, vindex index) {
    return V_INT(vsub)(index, m);
}

static inline void v_store_index(int32_t *to, vindex index) {
#if FGHM_REAL_BITS == 32
    vst1q_s32(to, vreinterpretq_s32_u32(index));
#else
    vst1_s32(to, vreinterpret_s32_u32(vmovn_u64(index)));
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

/* The places of all bytes of entries, given those of their first ones. */
static inline uint8x16_t byte_places(vindex entry) {
#if FGHM_REAL_BITS == 32
    const vbits first = vmulq_n_u32(entry, 0x04040404);
    return vreinterpretq_u8_u32(vaddq_u32(first, V_SET_INT(0x03020100)));
#else
    const uint32x4_t entries = vreinterpretq_u32_u64(entry);
    const uint32x4_t first = vmulq_n_u32(vtrn1q_u32(entries, entries), 0x08080808);
    return vreinterpretq_u8_u64(
        vaddq_u64(vreinterpretq_u64_u32(first), V_SET_INT(0x0706050403020100)));
#endif
}

static inline uint8x16x4_t load_bytes(const uint8_t *from) {
    return (uint8x16x4_t){
        {vld1q_u8(from), vld1q_u8(from + 16), vld1q_u8(from + 32), vld1q_u8(from + 48)}};
}

static inline vreal v_lookup8(const real *table, vindex index) {
    const uint8_t *const from = (const uint8_t *)table;
    const uint8x16_t places = byte_places(V_INT(vand)(index, V_SET_INT(7)));
#if FGHM_REAL_BITS == 32
    const uint8x16x2_t bytes = {{vld1q_u8(from), vld1q_u8(from + 16)}};
    return vreinterpretq_f32_u8(vqtbl2q_u8(bytes, places));
#else
    return vreinterpretq_f64_u8(vqtbl4q_u8(load_bytes(from), places));
#endif
}

static inline vreal v_lookup16(const real *table, vindex index) {
    const uint8_t *const from = (const uint8_t *)table;
    const uint8x16_t places = byte_places(V_INT(vand)(index, V_SET_INT(15)));
    const uint8x16_t low = vqtbl4q_u8(load_bytes(from), places);
#if FGHM_REAL_BITS == 32
    return vreinterpretq_f32_u8(low);
#else
    const uint8x16_t beyond = vsubq_u8(places, vdupq_n_u8(64));
    return vreinterpretq_f64_u8(vqtbx4q_u8(low, load_bytes(from + 64), beyond));
#endif
}

static inline vreal v_lookup32(const real *table, vindex index) {
    return v_lookup(table, index);
}

static inline vreal v_lookup128(const real *table, vindex index) {
    return v_lookup(table, index);
}

typedef struct {
    float64x2_t lanes[8];
} vsum;

static inline void v_sum_zero(vsum *sum) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = vdupq_n_f64(0);
    }
}

static inline void v_sum_load(vsum *sum, const double *from) {
    for (int i = 0; i < 8; i++) {
        sum->lanes[i] = vld1q_f64(from + 2 * i);
    }
}

static inline void v_sum_add(vsum *sum, int part, vreal a) {
#if FGHM_REAL_BITS == 32
    float64x2_t *const lanes = sum->lanes + 2 * part;
    lanes[0] = vaddq_f64(lanes[0], vcvt_f64_f32(vget_low_f32(a)));
    lanes[1] = vaddq_f64(lanes[1], vcvt_high_f64_f32(a));
#else
    sum->lanes[part] = vaddq_f64(sum->lanes[part], a);
#endif
}

static inline void v_sum_store(double *to, const vsum *sum) {
    for (int i = 0; i < 8; i++) {
        vst1q_f64(to + 2 * i, sum->lanes[i]);
    }
}

/* A set lane is -1, so subtracting it counts up. */
typedef struct {
    vbits lanes;
} vtally;

static inline vtally v_tally_zero(void) {
    return (vtally){V_SET_INT(0)};
}

static inline vtally v_tally_add(vtally tally, vmask m) {
    return (vtally){V_INT(vsub)(tally.lanes, m)};
}

static inline uint32_t v_tally_total(vtally tally) {
    return (uint32_t)V_INT(vaddv)(tally.lanes);
}

#endif
