/* SPDX-License-Identifier: MIT */
#include "fused.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"

/* The sum in double, whose error is known, is rounded to odd: a float is then rounded to as if
 * there had been no rounding before (Boldo and Melquiond, 2008). */
float fghm_fused_f32_by_double(float a, float b, float c) {
    const double product = (double)a * (double)b;
    const double addend = (double)c;
    const double sum = product + addend;
    const double addend_part = sum - product;
    const double error = (product - (sum - addend_part)) + (addend - addend_part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0 && error - error == 0 && (bits & 1) == 0) {
        bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
    }
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 wide_bits;

#define FRACTION_BITS 52
#define EXPONENT_MIN (-1074) /* of the last bit of a double */
#define EXPONENT_FIELD_MAX 0x7ff

/* magnitude 2^exponent, with a sign. */
struct exact {
    wide_bits magnitude;
    int exponent;
    bool negative;
};

static struct exact exact_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int field = (int)(bits >> FRACTION_BITS & EXPONENT_FIELD_MAX);
    uint64_t magnitude = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    int exponent = EXPONENT_MIN;
    if (field > 0) {
        magnitude |= UINT64_C(1) << FRACTION_BITS;
        exponent += field - 1;
    }
    while (magnitude >> FRACTION_BITS == 0) { /* subnormal */
        magnitude <<= 1;
        exponent--;
    }
    return (struct exact){magnitude, exponent, bits >> 63};
}

static int top_bit(wide_bits x) {
    const uint64_t high = (uint64_t)(x >> 64);
    return high != 0 ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)x);
}

/* Moves the exponent, by which at most 127 low bits fall off; the last bit left is set if any of
 * them was. */
static void set_exponent(struct exact *x, int exponent) {
    const int down = exponent - x->exponent;
    x->exponent = exponent;
    if (down <= 0) {
        x->magnitude <<= -down;
    } else if (down > 127) {
        x->magnitude = 1;
    } else {
        const wide_bits rest = x->magnitude & (((wide_bits)1 << down) - 1);
        x->magnitude = x->magnitude >> down | (rest != 0);
    }
}

/* To nearest, ties to even; not zero. */
static double rounded(const struct exact *x) {
    const int top = top_bit(x->magnitude);
    int down = top - FRACTION_BITS;
    if (x->exponent + down < EXPONENT_MIN) {
        down = EXPONENT_MIN - x->exponent;
    }
    uint64_t bits = 0;
    if (down <= 0) {
        bits = (uint64_t)(x->magnitude << -down);
    } else if (down <= 127) {
        const wide_bits rest = x->magnitude & (((wide_bits)1 << down) - 1);
        const wide_bits half = (wide_bits)1 << (down - 1);
        bits = (uint64_t)(x->magnitude >> down);
        bits += rest > half || (rest == half && (bits & 1) != 0);
    }
    /* The leading bit adds 1 to the exponent's field. */
    const int field = x->exponent + down - EXPONENT_MIN;
    bits =
        field >= EXPONENT_FIELD_MAX ? UINT64_MAX >> 1 : bits + ((uint64_t)field << FRACTION_BITS);
    const uint64_t infinity = (uint64_t)EXPONENT_FIELD_MAX << FRACTION_BITS;
    bits = (bits < infinity ? bits : infinity) | (uint64_t)x->negative << 63;
    double result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* The product has 105 or 106 bits, the addend 53.  They get the exponent at which the one that
 * ends higher has its first bit at TOP or one below; of the other, bits fall off only where it
 * is too small for the difference to need them. */
#define TOP 125

static double sum_of(struct exact product, struct exact addend) {
    const int product_room = product.exponent - (TOP - 105);
    const int addend_room = addend.exponent - (TOP - FRACTION_BITS);
    const bool addend_ends_higher = addend.exponent > product.exponent;
    const struct exact *const lower = addend_ends_higher ? &product : &addend;
    const int room = addend_ends_higher ? addend_room : product_room;
    const int exponent = lower->exponent > room ? lower->exponent : room;
    set_exponent(&product, exponent);
    set_exponent(&addend, exponent);
    struct exact sum = product;
    if (product.negative == addend.negative) {
        sum.magnitude += addend.magnitude;
    } else if (product.magnitude > addend.magnitude) {
        sum.magnitude -= addend.magnitude;
    } else {
        sum.magnitude = addend.magnitude - product.magnitude;
        sum.negative = addend.negative;
    }
    return sum.magnitude == 0 ? 0 : rounded(&sum);
}

double fghm_fused_by_integers(double a, double b, double c) {
    if (!isfinite(a) || !isfinite(b) || a == 0 || b == 0) {
        return a * b + c;
    }
    if (!isfinite(c)) {
        return c;
    }
    if (c == 0) {
        return a * b;
    }
    struct exact product = exact_of(a);
    const struct exact factor = exact_of(b);
    product.magnitude *= factor.magnitude;
    product.exponent += factor.exponent;
    product.negative = product.negative != factor.negative;
    return sum_of(product, exact_of(c));
}

#else

double fghm_fused_by_integers(double a, double b, double c) {
    return fma(a, b, c);
}

#endif

#if !FGHM_FUSED_INLINE && defined(__x86_64__)

__attribute__((target("fma"))) static double by_instruction(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}

__attribute__((target("fma"))) static float by_instruction_f32(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}

/* Asking the processor takes microseconds in a virtual machine.  Threads that come first at the
 * same time find the same. */
static bool has_instruction(void) {
    static atomic_int known; /* 0: not yet; 1: it has not; 2: it has */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        answer = fghm_cpu_has_avx2_fma() ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

double fghm_fused(double a, double b, double c) {
    return has_instruction() ? by_instruction(a, b, c) : fghm_fused_by_integers(a, b, c);
}

float fghm_fused_f32(float a, float b, float c) {
    return has_instruction() ? by_instruction_f32(a, b, c) : fghm_fused_f32_by_double(a, b, c);
}

#elif !FGHM_FUSED_INLINE

double fghm_fused(double a, double b, double c) {
    return fghm_fused_by_integers(a, b, c);
}

float fghm_fused_f32(float a, float b, float c) {
    return fghm_fused_f32_by_double(a, b, c);
}

#endif
