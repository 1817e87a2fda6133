/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_STORAGE_KERNEL_H
#define FGHM_KERNELS_STORAGE_KERNEL_H

/* Storage types: runs of numbers, in whatever type and with whatever stride, as
 * the kernels' own type, and back. */

#include <stdbool.h>

#include "focalghm/batch.h"
#include "kernels/kernels.h"
#include "vec/half.h"
#include "vec/real.h"

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

#define OWN_DTYPE (FGHM_REAL_BITS == 32 ? FGHM_F32 : FGHM_F64)

/* The body of a conversion of n elements `stride` apart, from k on.  Neighbours have no loop of
 * their own: at -O2 it would be no faster. */
#define CONVERT(to_at, value)                                                                      \
    do {                                                                                           \
        for (ptrdiff_t at = (ptrdiff_t)k * stride; k < n; k++, at += stride) {                     \
            to_at = (value);                                                                       \
        }                                                                                          \
    } while (0)

/* Copies numbers that are apart, as the classes of samples are where they become columns: four at
 * a time take less than half of what one at a time does. */
KERNEL_INLINE void copy_apart(size_t n, const real *from, ptrdiff_t from_stride, real *to,
                              ptrdiff_t to_stride) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const real first = from[0];
        const real second = from[from_stride];
        const real third = from[2 * from_stride];
        const real fourth = from[3 * from_stride];
        to[0] = first;
        to[to_stride] = second;
        to[2 * to_stride] = third;
        to[3 * to_stride] = fourth;
        from += 4 * from_stride;
        to += 4 * to_stride;
    }
    for (; k < n; k++) {
        *to = *from;
        from += from_stride;
        to += to_stride;
    }
}

/* Out of line, like the other two conversions: many loops, and many callers. */
static __attribute__((noinline)) void read_reals(int32_t dtype, const void *data, ptrdiff_t offset,
                                                 ptrdiff_t stride, size_t n, void *reals) {
    real *const to = reals;
    if (dtype == OWN_DTYPE && stride == 1) {
        memcpy(to, (const real *)data + offset, n * sizeof(real));
        return;
    }
    if (dtype == OWN_DTYPE) {
        copy_apart(n, (const real *)data + offset, stride, to, 1);
        return;
    }
    const float *const f32 = (const float *)data + offset;
    const double *const f64 = (const double *)data + offset;
    const uint16_t *const half = (const uint16_t *)data + offset;
    const uint8_t *const u8 = (const uint8_t *)data + offset;
    const int32_t *const i32 = (const int32_t *)data + offset;
    const int64_t *const i64 = (const int64_t *)data + offset;
    size_t k = 0;
#if FGHM_REAL_BITS == 32
    const size_t whole = stride == 1 ? n - n % V_LANES : 0;
    for (; dtype == FGHM_F16 && k < whole; k += V_LANES) {
        v_store(to + k, v_load_f16(half + k));
    }
    for (; dtype == FGHM_BF16 && k < whole; k += V_LANES) {
        v_store(to + k, v_load_bf16(half + k));
    }
    for (; dtype == FGHM_U8 && k < whole; k += V_LANES) {
        v_store(to + k, v_load_u8(u8 + k));
    }
#endif
    switch (dtype) {
    case FGHM_F32:
        CONVERT(to[k], (real)f32[at]);
        break;
    case FGHM_F64:
        CONVERT(to[k], (real)f64[at]);
        break;
    case FGHM_F16:
        CONVERT(to[k], (real)float_of_f16(half[at]));
        break;
    case FGHM_BF16:
        CONVERT(to[k], (real)float_of_bf16(half[at]));
        break;
    case FGHM_U8:
        CONVERT(to[k], (real)u8[at]);
        break;
    case FGHM_I32:
        CONVERT(to[k], (real)i32[at]);
        break;
    case FGHM_I64:
        CONVERT(to[k], (real)i64[at]);
        break;
    }
}

static __attribute__((noinline)) void write_reals(int32_t dtype, void *data, ptrdiff_t offset,
                                                  ptrdiff_t stride, size_t n, const void *reals) {
    const real *const from = reals;
    if (dtype == OWN_DTYPE && stride == 1) {
        memcpy((real *)data + offset, from, n * sizeof(real));
        return;
    }
    if (dtype == OWN_DTYPE) {
        copy_apart(n, from, 1, (real *)data + offset, stride);
        return;
    }
    float *const f32 = (float *)data + offset;
    double *const f64 = (double *)data + offset;
    uint16_t *const half = (uint16_t *)data + offset;
    size_t k = 0;
#if FGHM_REAL_BITS == 32
    const size_t whole = stride == 1 ? n - n % V_LANES : 0;
    for (; dtype == FGHM_F16 && k < whole; k += V_LANES) {
        v_store_f16(half + k, v_load(from + k));
    }
    for (; dtype == FGHM_BF16 && k < whole; k += V_LANES) {
        v_store_bf16(half + k, v_load(from + k));
    }
#endif
    switch (dtype) {
    case FGHM_F32:
        CONVERT(f32[at], (float)from[k]);
        break;
    case FGHM_F64:
        CONVERT(f64[at], (double)from[k]);
        break;
    case FGHM_F16:
        CONVERT(half[at], f16_of_float(narrower(from[k])));
        break;
    case FGHM_BF16:
        CONVERT(half[at], bf16_of_float(narrower(from[k])));
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
    size_t k = 0;
    switch (dtype) {
    case FGHM_U8:
        CONVERT(to[k], u8[at] == label_u8 ? match : 0);
        break;
    case FGHM_I32:
        CONVERT(to[k], i32[at] == label_i32 ? match : 0);
        break;
    case FGHM_I64:
        CONVERT(to[k], i64[at] == label ? match : 0);
        break;
    }
}

#undef CONVERT

#endif
