/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_STORAGE_KERNEL_H
#define FGHM_KERNELS_STORAGE_KERNEL_H

/* Storage types: runs of numbers, in whatever type and with whatever stride, as
 * the kernels' own type, and back. */

#include <stdbool.h>

#include "focalghm/batch.h"
#include "kernels/kernels.h"
#include "vec/real.h"

static inline uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* binary16 has 5 bits of exponent and 10 of fraction; binary32 8 and 23.  Subnormal
 * numbers come out of a subtraction, so that no arithmetic meets one: it works also
 * where those are flushed to zero. */
static inline float float_of_f16(uint16_t half) {
    const uint32_t sign = ((uint32_t)half & 0x8000u) << 16;
    const uint32_t magnitude = ((uint32_t)half & 0x7fffu) << 13;
    const uint32_t exponent = magnitude & 0x0f800000u;
    const uint32_t normal = magnitude + ((127u - 15u) << 23);
    const uint32_t special = magnitude | 0x7f800000u;
    const uint32_t subnormal =
        bits_of_float(float_of_bits(magnitude + ((127u - 14u) << 23)) - 0x1p-14f);
    const uint32_t bits = exponent == 0 ? subnormal : exponent == 0x0f800000u ? special : normal;
    return float_of_bits(bits | sign);
}

static inline uint16_t f16_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    /* Half of the last place, or a bit less where that makes it even. */
    const uint32_t odd = (magnitude >> 13) & 1u;
    const uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + odd) >> 13;
    /* Below 2^-14 the sum with 1/2 has the rounded fraction in its last bits. */
    const uint32_t subnormal = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    const uint32_t infinity = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    const uint32_t half = magnitude < ((127u - 14u) << 23)    ? subnormal
                          : magnitude >= ((127u + 16u) << 23) ? infinity
                                                              : normal;
    return (uint16_t)(half | sign);
}

static inline float float_of_bf16(uint16_t upper) {
    return float_of_bits((uint32_t)upper << 16);
}

static inline uint16_t bf16_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/* To float on the way to something narrower: a double is rounded to odd, so that
 * the second rounding sees on which side of a tie it was. */
static inline float narrower(real x) {
#if FGHM_REAL_BITS == 32
    return x;
#else
    const float near = (float)x;
    const double magnitude = fabs(x);
    const uint32_t bits = bits_of_float(near);
    const uint32_t down = (double)fabsf(near) > magnitude ? bits - 1 : bits;
    const uint32_t odd = (double)fabsf(near) == magnitude || x != x ? down : down | 1u;
    return float_of_bits(odd);
#endif
}

/* The body of a conversion of n elements `stride` apart, with a loop of its own for
 * neighbours. */
#define CONVERT(type, to_at, value)                                                                \
    do {                                                                                           \
        if (stride == 1) {                                                                         \
            for (size_t k = 0; k < n; k++) {                                                       \
                const ptrdiff_t at = (ptrdiff_t)k;                                                 \
                to_at = (value);                                                                   \
            }                                                                                      \
        } else {                                                                                   \
            for (size_t k = 0; k < n; k++) {                                                       \
                const ptrdiff_t at = (ptrdiff_t)k * stride;                                        \
                to_at = (value);                                                                   \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Out of line, like the other two conversions: many loops, and many callers. */
static __attribute__((noinline)) void read_reals(int32_t dtype, const void *data, ptrdiff_t offset,
                                                 ptrdiff_t stride, size_t n, void *reals) {
    real *const to = reals;
    const float *const f32 = (const float *)data + offset;
    const double *const f64 = (const double *)data + offset;
    const uint16_t *const half = (const uint16_t *)data + offset;
    const uint8_t *const u8 = (const uint8_t *)data + offset;
    const int32_t *const i32 = (const int32_t *)data + offset;
    const int64_t *const i64 = (const int64_t *)data + offset;
    switch (dtype) {
    case FGHM_F32:
        CONVERT(float, to[k], (real)f32[at]);
        break;
    case FGHM_F64:
        CONVERT(double, to[k], (real)f64[at]);
        break;
    case FGHM_F16:
        CONVERT(uint16_t, to[k], (real)float_of_f16(half[at]));
        break;
    case FGHM_BF16:
        CONVERT(uint16_t, to[k], (real)float_of_bf16(half[at]));
        break;
    case FGHM_U8:
        CONVERT(uint8_t, to[k], (real)u8[at]);
        break;
    case FGHM_I32:
        CONVERT(int32_t, to[k], (real)i32[at]);
        break;
    case FGHM_I64:
        CONVERT(int64_t, to[k], (real)i64[at]);
        break;
    }
}

static __attribute__((noinline)) void write_reals(int32_t dtype, void *data, ptrdiff_t offset,
                                                  ptrdiff_t stride, size_t n, const void *reals) {
    const real *const from = reals;
    float *const f32 = (float *)data + offset;
    double *const f64 = (double *)data + offset;
    uint16_t *const half = (uint16_t *)data + offset;
    switch (dtype) {
    case FGHM_F32:
        CONVERT(float, f32[at], (float)from[k]);
        break;
    case FGHM_F64:
        CONVERT(double, f64[at], (double)from[k]);
        break;
    case FGHM_F16:
        CONVERT(uint16_t, half[at], f16_of_float(narrower(from[k])));
        break;
    case FGHM_BF16:
        CONVERT(uint16_t, half[at], bf16_of_float(narrower(from[k])));
        break;
    }
}

/* 1 for labels that are `label`, 0 for others.  Compared in their own type, in which
 * `label` may not exist: then none is. */
static void match_labels(int32_t dtype, const void *data, ptrdiff_t offset, ptrdiff_t stride,
                         size_t n, int64_t label, void *reals) {
    real *const to = reals;
    const uint8_t *const u8 = (const uint8_t *)data + offset;
    const int32_t *const i32 = (const int32_t *)data + offset;
    const int64_t *const i64 = (const int64_t *)data + offset;
    const bool exists = (dtype != FGHM_U8 || (label >= 0 && label <= UINT8_MAX)) &&
                        (dtype != FGHM_I32 || (label >= INT32_MIN && label <= INT32_MAX));
    const real match = exists ? 1 : 0;
    const uint8_t label_u8 = (uint8_t)label;
    const int32_t label_i32 = (int32_t)label;
    switch (dtype) {
    case FGHM_U8:
        CONVERT(uint8_t, to[k], u8[at] == label_u8 ? match : 0);
        break;
    case FGHM_I32:
        CONVERT(int32_t, to[k], i32[at] == label_i32 ? match : 0);
        break;
    case FGHM_I64:
        CONVERT(int64_t, to[k], i64[at] == label ? match : 0);
        break;
    }
}

#undef CONVERT

#endif
