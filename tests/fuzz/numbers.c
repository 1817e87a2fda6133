/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <string.h>

size_t number_size(fghm_dtype dtype) {
    static const size_t sizes[] = {[FGHM_F32] = 4, [FGHM_F64] = 8, [FGHM_F16] = 2, [FGHM_BF16] = 2,
                                   [FGHM_U8] = 1,  [FGHM_I32] = 4, [FGHM_I64] = 8};
    return dtype > 0 && (size_t)dtype < sizeof sizes / sizeof sizes[0] ? sizes[dtype] : 8;
}

uint64_t number_next(uint64_t *state) {
    *state ^= (*state & UINT64_MAX >> 13) << 13;
    *state ^= *state >> 7;
    *state ^= (*state & UINT64_MAX >> 17) << 17;
    return *state;
}

void number_put(fghm_dtype dtype, void *to, double number) {
    const float f32 = (float)number;
    const int32_t i32 = (int32_t)number;
    const int64_t i64 = (int64_t)number;
    const uint8_t u8 = (uint8_t)i32;
    uint32_t bits;
    uint16_t half;
    switch (dtype) {
    case FGHM_F32:
        memcpy(to, &f32, sizeof f32);
        break;
    case FGHM_F16:
        /* Multiples of a quarter below 64 alone: exact with the digits cut off. */
        memcpy(&bits, &f32, sizeof bits);
        half = (uint16_t)(f32 == 0 ? 0
                                   : (bits >> 16 & 0x8000u) |
                                         ((bits & 0x7fffffffu) - (112u << 23)) >> 13);
        memcpy(to, &half, sizeof half);
        break;
    case FGHM_BF16:
        memcpy(&bits, &f32, sizeof bits);
        half = (uint16_t)(bits >> 16);
        memcpy(to, &half, sizeof half);
        break;
    case FGHM_U8:
        memcpy(to, &u8, sizeof u8);
        break;
    case FGHM_I32:
        memcpy(to, &i32, sizeof i32);
        break;
    case FGHM_I64:
        memcpy(to, &i64, sizeof i64);
        break;
    default:
        memcpy(to, &number, sizeof number);
        break;
    }
}

/* The exponent's bits of a floating-point type, and how the number compares with infinity. */
static int against_infinity(fghm_dtype dtype, const void *from) {
    uint16_t half;
    uint32_t word;
    uint64_t bits = 0, infinity = UINT64_C(0x7ff) << 52;
    switch (dtype) {
    case FGHM_F16:
    case FGHM_BF16:
        memcpy(&half, from, sizeof half);
        bits = half & 0x7fffu;
        infinity = dtype == FGHM_F16 ? 0x7c00u : 0x7f80u;
        break;
    case FGHM_F32:
        memcpy(&word, from, sizeof word);
        bits = word & 0x7fffffffu;
        infinity = 0x7f800000u;
        break;
    default:
        memcpy(&bits, from, sizeof bits);
        bits &= INT64_MAX;
    }
    return bits > infinity ? 1 : bits == infinity ? 0 : -1;
}

bool number_is_nan(fghm_dtype dtype, const void *from) {
    return against_infinity(dtype, from) > 0;
}

bool number_is_finite(fghm_dtype dtype, const void *from) {
    return against_infinity(dtype, from) < 0;
}

bool number_equal(fghm_dtype dtype, const void *a, const void *b) {
    return memcmp(a, b, number_size(dtype)) == 0 ||
           (number_is_nan(dtype, a) && number_is_nan(dtype, b));
}
