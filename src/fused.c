/* SPDX-License-Identifier: MIT */
#include "fused.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"

static double two_sum(double a, double b, double *error) {
    const double sum = a + b;
    const double b_part = sum - a;
    *error = (a - (sum - b_part)) + (b - b_part);
    return sum;
}

/* a + b, rounded to odd where it is not exact: what is rounded again, to a shorter number or with
 * a much larger one added, comes out as if there had been no rounding before (Boldo and Melquiond,
 * Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd, 2008). */
static double sum_to_odd(double a, double b) {
    double error;
    const double sum = two_sum(a, b, &error);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0 && error - error == 0 && (bits & 1) == 0) {
        bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
    }
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return odd;
}

/* The product has no more digits than a double. */
float fghm_fused_f32_by_double(float a, float b, float c) {
    return (float)sum_to_odd((double)a * (double)b, (double)c);
}

/* a in two parts of 26 bits (Veltkamp). */
static double upper_part(double a) {
    const double wide = a * (0x1p27 + 1);
    return wide - (wide - a);
}

/* Products in this range are normal to the last bit, and no part of one overflows. */
static bool is_moderate(double a, double b, double c) {
    const double p = __builtin_fabs(a), q = __builtin_fabs(b);
    return p > 0x1p-480 && p < 0x1p480 && q > 0x1p-480 && q < 0x1p480 &&
           __builtin_fabs(c) <= DBL_MAX;
}

/* Boldo and Melquiond's, with Dekker's product. */
double fghm_fused_by_doubles(double a, double b, double c) {
    if (!is_moderate(a, b, c)) {
        return fghm_fused_by_integers(a, b, c);
    }
    const double a_high = upper_part(a), b_high = upper_part(b);
    const double a_low = a - a_high, b_low = b - b_high;
    const double product = a * b;
    const double product_error =
        ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    double low_error, high_error;
    const double low = two_sum(c, product_error, &low_error);
    const double high = two_sum(low, product, &high_error);
    return high + sum_to_odd(low_error, high_error);
}

/* By integers ----------------------------------------------------------------- */

#define FRACTION_BITS 52
#define EXPONENT_MIN (-1074) /* of the last bit of a double */
#define EXPONENT_FIELD_MAX 0x7ff

/* 128 bits, which not every compiler has for every processor. */
struct wide {
    uint64_t high, low;
};

/* x 2^places modulo 2^64, 0 <= places < 64. */
static uint64_t up(uint64_t x, int places) {
    return (x & UINT64_MAX >> places) << places;
}

static struct wide wide_product(uint64_t a, uint64_t b) {
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t low = a_low * b_low;
    const uint64_t middle = a_high * b_low + (low >> 32);
    const uint64_t other = a_low * b_high + (uint32_t)middle;
    return (struct wide){a_high * b_high + (middle >> 32) + (other >> 32),
                         up(other, 32) | (uint32_t)low};
}

static bool wide_less(struct wide a, struct wide b) {
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

static struct wide wide_sum(struct wide a, struct wide b) {
    const uint64_t low = a.low + b.low;
    return (struct wide){a.high + b.high + (low < a.low), low};
}

static struct wide wide_difference(struct wide a, struct wide b) {
    return (struct wide){a.high - b.high - (a.low < b.low), a.low - b.low};
}

/* x 2^places, 0 <= places < 128. */
static struct wide wide_up(struct wide x, int places) {
    if (places >= 64) {
        return (struct wide){up(x.low, places - 64), 0};
    }
    return places == 0
               ? x
               : (struct wide){up(x.high, places) | x.low >> (64 - places), up(x.low, places)};
}

/* x 2^-places, places >= 0; the last bit is set if any bit that fell off was. */
static struct wide wide_down(struct wide x, int places) {
    if (places >= 64) {
        x = (struct wide){0, x.high | (x.low != 0)};
        places = places < 127 ? places - 64 : 63;
    }
    if (places == 0) {
        return x;
    }
    const bool lost = up(x.low, 64 - places) != 0;
    return (struct wide){x.high >> places, up(x.high, 64 - places) | x.low >> places | lost};
}

static int wide_top_bit(struct wide x) {
    return x.high != 0 ? 127 - __builtin_clzll(x.high) : 63 - __builtin_clzll(x.low);
}

/* magnitude 2^exponent, with a sign. */
struct exact {
    struct wide magnitude;
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
    return (struct exact){{0, magnitude}, exponent, bits >> 63};
}

static void set_exponent(struct exact *x, int exponent) {
    const int down = exponent - x->exponent;
    x->magnitude = down >= 0 ? wide_down(x->magnitude, down) : wide_up(x->magnitude, -down);
    x->exponent = exponent;
}

/* To nearest, ties to even; not zero. */
static double rounded(struct exact x) {
    int exponent = x.exponent + wide_top_bit(x.magnitude) - FRACTION_BITS;
    exponent = exponent > EXPONENT_MIN ? exponent : EXPONENT_MIN;
    set_exponent(&x, exponent - 2);
    const uint64_t quarters = x.magnitude.low;
    uint64_t bits = quarters >> 2;
    bits += (quarters & 3) > 2 || ((quarters & 3) == 2 && (bits & 1) != 0);
    /* The leading bit adds 1 to the exponent's field. */
    const int field = exponent - EXPONENT_MIN;
    const uint64_t infinity = (uint64_t)EXPONENT_FIELD_MAX << FRACTION_BITS;
    bits = field < EXPONENT_FIELD_MAX ? bits + ((uint64_t)field << FRACTION_BITS) : infinity;
    bits = (bits < infinity ? bits : infinity) | (uint64_t)x.negative << 63;
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
        sum.magnitude = wide_sum(product.magnitude, addend.magnitude);
    } else if (wide_less(addend.magnitude, product.magnitude)) {
        sum.magnitude = wide_difference(product.magnitude, addend.magnitude);
    } else {
        sum.magnitude = wide_difference(addend.magnitude, product.magnitude);
        sum.negative = addend.negative;
    }
    return (sum.magnitude.high | sum.magnitude.low) == 0 ? 0 : rounded(sum);
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
    product.magnitude = wide_product(product.magnitude.low, factor.magnitude.low);
    product.exponent += factor.exponent;
    product.negative = product.negative != factor.negative;
    return sum_of(product, exact_of(c));
}

/* The processor's ------------------------------------------------------------- */

#if !FGHM_FUSED_INLINE && (defined(__x86_64__) || defined(__i386__))

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
    return has_instruction() ? by_instruction(a, b, c) : fghm_fused_by_doubles(a, b, c);
}

float fghm_fused_f32(float a, float b, float c) {
    return has_instruction() ? by_instruction_f32(a, b, c) : fghm_fused_f32_by_double(a, b, c);
}

#elif !FGHM_FUSED_INLINE

double fghm_fused(double a, double b, double c) {
    return fghm_fused_by_doubles(a, b, c);
}

float fghm_fused_f32(float a, float b, float c) {
    return fghm_fused_f32_by_double(a, b, c);
}

#endif
