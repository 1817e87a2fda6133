/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_SIMD128_H
#define FGHM_VEC_SIMD128_H

/* The operations of vec_scalar.h in the SIMD of WebAssembly; most are in vec_128.h.  None of
 * relaxed SIMD, whose bits are the engine's choice. */

#if !defined(__wasm_simd128__)
#error "vec_simd128.h needs -msimd128"
#endif

#include <stdbool.h>
#include <wasm_simd128.h>

#include "vec/real.h"

typedef v128_t vreal;
typedef v128_t vmask;
typedef v128_t vbits;
typedef v128_t vindex;
typedef v128_t vdouble;
#if FGHM_REAL_BITS == 32
#define V_LANES 4
#define V_OP(name) wasm_f32x4_##name
#define V_INT(name) wasm_i32x4_##name
#define V_SHIFT_DOWN wasm_u32x4_shr
#define V_SET_INT(x) wasm_i32x4_splat((int32_t)(x))
#else
#define V_LANES 2
#define V_OP(name) wasm_f64x2_##name
#define V_INT(name) wasm_i64x2_##name
#define V_SHIFT_DOWN wasm_u64x2_shr
#define V_SET_INT(x) wasm_i64x2_splat((int64_t)(x))
#endif
#define V_LOGIC(name) wasm_v128_##name
#define V_INT_LOGIC V_LOGIC
#define V_SHIFT_UP V_INT(shl)
#define V_AS_INT
#define V_AS_REAL
#define bits_store wasm_v128_store

#define double_set wasm_f64x2_splat
#define double_load wasm_v128_load
#define double_store wasm_v128_store
#define double_add wasm_f64x2_add
#define double_of_lower wasm_f64x2_promote_low_f32x4
#define double_of_upper(a) double_of_lower(wasm_i64x2_shuffle(a, a, 1, 1))

static inline vreal v_set(real x) {
    return V_OP(splat)(x);
}

static inline vreal v_load(const real *from) {
    return wasm_v128_load(from);
}

static inline void v_store(real *to, vreal a) {
    wasm_v128_store(to, a);
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_bf16(const uint16_t *from) {
    return wasm_i32x4_shl(wasm_u32x4_load16x4(from), 16);
}

/* Half of the last place less one, and that place; NaN made quiet. */
static inline void v_store_bf16(uint16_t *to, vreal a) {
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(a, 16), wasm_i32x4_splat(1));
    const v128_t near = wasm_i32x4_add(a, wasm_i32x4_add(odd, wasm_i32x4_splat(0x7fff)));
    const v128_t quiet = wasm_v128_or(a, wasm_i32x4_splat(0x400000));
    const v128_t all = wasm_v128_bitselect(near, quiet, wasm_f32x4_eq(a, a));
    const v128_t upper = wasm_u32x4_shr(all, 16);
    wasm_v128_store64_lane(to, wasm_u16x8_narrow_i32x4(upper, upper), 0);
}

#endif

/* As many bytes as there are lanes, each in 32 bits. */
static inline v128_t load_bytes(const uint8_t *from) {
    uint32_t bytes = 0;
    memcpy(&bytes, from, V_LANES);
    return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_u32x4_splat(bytes)));
}

#if FGHM_REAL_BITS == 32

static inline vreal v_load_u8(const uint8_t *from) {
    return wasm_f32x4_convert_i32x4(load_bytes(from));
}

#endif

/* The instructions without p treat NaN otherwise. */
static inline vreal v_min(vreal a, vreal b) {
    return V_OP(pmin)(b, a);
}

static inline vreal v_max(vreal a, vreal b) {
    return V_OP(pmax)(b, a);
}

static inline vmask v_eq(vreal a, vreal b) {
    return V_OP(eq)(a, b);
}

static inline vmask v_gt(vreal a, vreal b) {
    return V_OP(gt)(a, b);
}

static inline vmask v_le(vreal a, vreal b) {
    return V_OP(le)(a, b);
}

static inline vmask m_load(const uint8_t *from) {
    const v128_t of_32 = wasm_i32x4_ne(load_bytes(from), wasm_i32x4_splat(0));
#if FGHM_REAL_BITS == 32
    return of_32;
#else
    return wasm_i64x2_extend_low_i32x4(of_32);
#endif
}

static inline bool m_all(vmask m) {
    return V_INT(all_true)(m);
}

static inline vreal v_drop(vmask m, vreal a) {
    return wasm_v128_andnot(a, m);
}

/* NaN gives 0. */
static inline vindex v_index(vreal a) {
#if FGHM_REAL_BITS == 32
    return wasm_i32x4_trunc_sat_f32x4(a);
#else
    return wasm_u64x2_extend_low_u32x4(wasm_u32x4_trunc_sat_f64x2_zero(a));
#endif
}

static inline void v_store_index(int32_t *to, vindex index) {
#if FGHM_REAL_BITS == 32
    bits_store(to, index);
#else
    wasm_v128_store64_lane(to, wasm_i32x4_shuffle(index, index, 0, 2, 0, 2), 0);
#endif
}

#include "vec/vec_128.h"

#endif
