/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_REAL_H
#define FGHM_VEC_REAL_H

/* The floating-point type that a kernel object computes in.  Each stub in
 * src/isa defines FGHM_REAL_BITS as 32 or 64 before it includes anything. */

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arithmetic.h"

#if FGHM_REAL_BITS == 32
typedef float real;
/* A literal of the type: of 1 and (real)1, where exceptions count, clang makes code that converts.
 */
#define REAL(literal) literal##f
typedef int32_t real_integer; /* as wide as real */
/* Adding this to a number of magnitude below 2^22 rounds it to an integer and
 * leaves that integer in the low bits of the sum. */
#define REAL_ROUND 0x1.8p23f
#define REAL_EXPONENT_SHIFT 23
/* v_exponent makes 2^n in two factors, 2^(n + this) and 2^-this, so that a
 * subnormal 2^n comes out without special cases. */
#define REAL_EXPONENT_OFFSET 64
#define REAL_EXPONENT_BIAS 127
#define REAL_MIN 0x1p-126f /* the smallest normal number */
#define REAL_SMALLEST 0x1p-149f
#define REAL_LEAST_EXPONENT (-149)
#define REAL_MAX FLT_MAX
#define REAL_EPSILON FLT_EPSILON
#define REAL_TINY 0x1p-60f /* below this, products lose digits before they are results */
/* Sums of losses cannot overflow as long as no logit and no weight is larger than these, or no
 * loss: those of four floats, or of any number of doubles. */
#define REAL_MODERATE_LOGIT 0x1p16f
#define REAL_MODERATE_WEIGHT 0x1p56f
#define REAL_MODERATE_LOSS 0x1p124f
#define REAL_LIFT 0x1p32f /* makes a subnormal number normal */
#define REAL_LIFT_EXPONENT 32
#define REAL_DROP 0x1p-32f
#elif FGHM_REAL_BITS == 64
typedef double real;
#define REAL(literal) literal
typedef int64_t real_integer;
#define REAL_ROUND 0x1.8p52
#define REAL_EXPONENT_SHIFT 52
#define REAL_EXPONENT_OFFSET 512
#define REAL_EXPONENT_BIAS 1023
#define REAL_MIN 0x1p-1022
#define REAL_SMALLEST 0x1p-1074
#define REAL_LEAST_EXPONENT (-1074)
#define REAL_MAX DBL_MAX
#define REAL_EPSILON DBL_EPSILON
#define REAL_TINY 0x1p-500
#define REAL_MODERATE_LOGIT 0x1p500
#define REAL_MODERATE_WEIGHT 0x1p400
#define REAL_MODERATE_LOSS 0x1p950
#define REAL_LIFT 0x1p64
#define REAL_LIFT_EXPONENT 64
#define REAL_DROP 0x1p-64
#else
#error "FGHM_REAL_BITS must be 32 or 64"
#endif

/* What hot loops call: the compiler would leave some of it out of line, the objects being
 * large. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

/* What runs rarely, so that its size counts. */
#define KERNEL_RARE static __attribute__((noinline, cold))

/* Called from several places, or in need of stack that its callers are not to have. */
#define OUT_OF_LINE static __attribute__((noinline))

/* Before a short loop whose length is known, over registers that would else be in memory. */
#ifdef __clang__
#define KERNEL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERNEL_UNROLL _Pragma("GCC unroll 16")
#endif

/* Sums are kept in 16 lanes whatever the width of a register: element i of a
 * block adds to lane i mod 16.  So the order of additions, and with it every
 * bit of a sum, is the same on every instruction set. */
#define SUM_LANES 16

#endif
