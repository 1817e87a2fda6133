/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_UNFUSED_H
#define FGHM_VEC_UNFUSED_H

/* The operations of vec_scalar.h for processors without fused multiply-add, where that takes fifty
 * other operations: v_muladd and its kin round twice, as in vec_sse2.h. */

#include "vec/real.h"

/* a b - c, exact for a c near a b. */
static inline real unfused_product_minus(real a, real b, real c) {
#if FGHM_REAL_BITS == 32
    return (real)((double)a * (double)b - (double)c);
#else
    /* Dekker's product, with halves of 26 bits (Veltkamp). */
    const real a_wide = a * (0x1p27 + 1), b_wide = b * (0x1p27 + 1);
    const real a_high = a_wide - (a_wide - a), b_high = b_wide - (b_wide - b);
    const real a_low = a - a_high, b_low = b - b_high;
    return (((a_high * b_high - c) + a_high * b_low) + a_low * b_high) + a_low * b_low;
#endif
}

#define SCALAR_FMA(a, b, c) ((a) * (b) + (c))
#define SCALAR_PRODUCT_MINUS unfused_product_minus

#include "vec/vec_scalar.h"

#endif
