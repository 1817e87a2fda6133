/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_HALF_H
#define FGHM_VEC_HALF_H

/* Halves, one at a time, for processors and types that have no instructions for them; and what
 * those do. */

#include <stdint.h>
#include <string.h>

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
 * where those are flushed to zero.  NaN becomes quiet, with the digits that there is room for. */
static inline float float_of_f16(uint16_t half) {
    const uint32_t sign = ((uint32_t)half & 0x8000u) << 16;
    const uint32_t magnitude = ((uint32_t)half & 0x7fffu) << 13;
    const uint32_t exponent = magnitude & 0x0f800000u;
    const uint32_t normal = magnitude + ((127u - 15u) << 23);
    const uint32_t quiet = magnitude > 0x0f800000u ? 0x00400000u : 0;
    const uint32_t special = magnitude | 0x7f800000u | quiet;
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
    const uint32_t quiet = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    const uint32_t infinity = magnitude > 0x7f800000u ? quiet : 0x7c00u;
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

#endif
