/* SPDX-License-Identifier: MIT */

/* What the operations are to do, in the words of the C library, one lane wide; but for fused
 * multiply-add, which some C libraries round twice.
 * Compiled for each type: REFERENCE_BITS 32 or 64, VEC_TABLE its name. */

#include <float.h>
#include <math.h>
#include <string.h>

#include "vec_ops.h"
#include "wide.h"

#if REFERENCE_BITS == 32
typedef float real;
typedef uint32_t bits;
#define FORMAT wide_f32
#define DIGITS FLT_MANT_DIG
#define SQRT sqrtf
#define ABS fabsf
#else
typedef double real;
typedef uint64_t bits;
#define FORMAT wide_f64
#define DIGITS DBL_MANT_DIG
#define SQRT sqrt
#define ABS fabs
#endif

extern const struct vec_ops VEC_TABLE;

static real read(const void *from) {
    real x;
    memcpy(&x, from, sizeof x);
    return x;
}

static bits bits_of(real x) {
    bits b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static real of_bits(bits b) {
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

static real fused(real a, real b, real c) {
    return (real)wide_fused(&FORMAT, (double)a, (double)b, (double)c);
}

static real negated(real x) {
    return of_bits(bits_of(x) ^ bits_of((real)-0.0));
}

#if REFERENCE_BITS == 32

/* Rounded to a format with so many digits, its least exponent (of the last digit), and its
 * largest number; NaN quiet, with the digits that fit. */
static real rounded_to(real a, int digits, int least, double most) {
    const bits nan_digits = (bits)((1u << (digits - 1)) - 1) << (24 - digits);
    if (a != a) {
        return of_bits((bits_of(a) & (0xff800000u | nan_digits)) | 0x00400000u);
    }
    if (a == 0 || ABS(a) > FLT_MAX) {
        return a;
    }
    int exponent;
    (void)frexp((double)a, &exponent);
    const int last = exponent - digits > least ? exponent - digits : least;
    const double near = ldexp(nearbyint(ldexp((double)a, -last)), last);
    return (real)(fabs(near) > most ? copysign(INFINITY, (double)a) : copysign(near, (double)a));
}

#endif

static real converted(enum vec_op op, real a) {
#if REFERENCE_BITS == 32
    if (op == VEC_U8) {
        return (real)(bits_of(a) & 0xff);
    }
    return op == VEC_F16 ? rounded_to(a, 11, -24, 65504) : rounded_to(a, 8, -133, 0x1.fep127);
#else
    (void)op;
    return a;
#endif
}

static real result(enum vec_op op, real a, real b, real c) {
    int exponent;
    switch (op) {
    case VEC_ADD:
        return a + b;
    case VEC_SUB:
        return a - b;
    case VEC_MUL:
        return a * b;
    case VEC_DIV:
        return a / b;
    case VEC_SQRT:
        return SQRT(a);
    case VEC_PRODUCT_MINUS:
    case VEC_MULSUB:
        return fused(a, b, -c);
    case VEC_MULADD:
        return fused(a, b, c);
    case VEC_NMULADD:
        return fused(-a, b, c);
    case VEC_MULADD_TWICE:
        return a * b + c;
    case VEC_MULSUB_TWICE:
        return a * b - c;
    case VEC_NMULADD_TWICE:
        return c - a * b;
    case VEC_MIN:
        return a < b ? a : b;
    case VEC_MAX:
        return a > b ? a : b;
    case VEC_ABS:
        return ABS(a);
    case VEC_NEGATE_WHERE:
        return b > 0 ? negated(a) : a;
    case VEC_NEGATE_UNLESS:
        return b > 0 ? a : negated(a);
    case VEC_OR:
        return of_bits(bits_of(a) | bits_of(b));
    case VEC_EQ:
        return a == b;
    case VEC_GT:
        return a > b;
    case VEC_LE:
        return a <= b;
    case VEC_AND_MASK:
        return a > 0 && b > 0;
    case VEC_OR_MASK:
        return a > 0 || b > 0;
    case VEC_NOT_MASK:
        return !(a > 0);
    case VEC_LOAD_MASK:
        return a > 0;
    case VEC_SELECT:
        return c > 0 ? a : b;
    case VEC_KEEP:
        return b > 0 ? a : 0;
    case VEC_DROP:
        return b > 0 ? 0 : a;
    case VEC_F16:
    case VEC_BF16:
    case VEC_U8:
        return converted(op, a);
    case VEC_STEP:
        return of_bits(bits_of(a) + bits_of(b) * ((bits)1 << (DIGITS - 4)));
    case VEC_FRACTION:
        return (real)(2 * frexp((double)a, &exponent));
    case VEC_FRACTION_EXPONENT:
        (void)frexp((double)a, &exponent);
        return (real)(exponent - 1);
    case VEC_EXPONENT:
        return (real)ldexp(1, (int)(a - (real)VEC_TABLE.round));
    default:
        return a;
    }
}

static void apply(enum vec_op op, const void *a, const void *b, const void *c, void *out) {
    const real x = result(op, read(a), read(b), read(c));
    memcpy(out, &x, sizeof x);
}

static void index_of(enum vec_index_op op, const void *a, const void *b, int32_t *out) {
    const uint32_t low = (uint32_t)bits_of(read(a));
    *out = op == VEC_INDEX        ? (int32_t)read(a)
           : op == VEC_INDEX_BITS ? (int32_t)low
                                  : (int32_t)(low + (read(b) > 0));
}

static void lookup(size_t entries, const void *table, const void *a, void *out) {
    const real x = read(a);
    (void)entries;
    memcpy(out, (const real *)table + (isnan(x) ? 0 : (size_t)x), sizeof x);
}

static void lookup_bits(size_t entries, const void *table, const void *a, void *out) {
    memcpy(out, (const real *)table + (size_t)(bits_of(read(a)) % entries), sizeof(real));
}

static void sum(size_t n, const void *a, double *out) {
    memset(out, 0, VEC_SUM_LANES * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i % VEC_SUM_LANES] += (double)((const real *)a)[i];
    }
}

static uint32_t tally(size_t n, const void *a) {
    uint32_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += ((const real *)a)[i] > 0;
    }
    return total;
}

const struct vec_ops VEC_TABLE = {
    .lanes = 1,
    .apply = apply,
    .index = index_of,
    .lookup = lookup,
    .lookup_bits = lookup_bits,
    .sum = sum,
    .tally = tally,
    .round = REFERENCE_BITS == 32 ? 0x1.8p23 : 0x1.8p52,
    .bias = REFERENCE_BITS == 32 ? 127 : 1023,
};
