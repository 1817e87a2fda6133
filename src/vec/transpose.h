/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_TRANSPOSE_H
#define FGHM_VEC_TRANSPOSE_H

/* Rows of numbers to columns, in blocks of 128-bit registers, which all processors of a kind have:
 * wider ones would gain little. */

#include "vec/real.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Rows and columns of a block: so many, or 2. */
#if FGHM_REAL_BITS == 32
#define BLOCK 4
#else
#define BLOCK 2
#endif

/* Brings `rows` rows, `from_step` apart, of `columns` numbers to columns that are `to_step` apart.
 * Of a block of 4, one of the two may be 2. */
#if defined(__SSE2__) && FGHM_REAL_BITS == 32

KERNEL_INLINE void transpose_block(int rows, int columns, const real *from, ptrdiff_t from_step,
                                   real *to, ptrdiff_t to_step) {
    __m128 row[BLOCK] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++, from += from_step) {
        row[i] = columns == BLOCK ? _mm_loadu_ps(from)
                                  : _mm_castsi128_ps(_mm_loadl_epi64((const void *)from));
    }
    const __m128 low[2] = {_mm_unpacklo_ps(row[0], row[1]), _mm_unpacklo_ps(row[2], row[3])};
    const __m128 high[2] = {_mm_unpackhi_ps(row[0], row[1]), _mm_unpackhi_ps(row[2], row[3])};
    const __m128 column[BLOCK] = {_mm_movelh_ps(low[0], low[1]), _mm_movehl_ps(low[1], low[0]),
                                  _mm_movelh_ps(high[0], high[1]), _mm_movehl_ps(high[1], high[0])};
    KERNEL_UNROLL
    for (int i = 0; i < columns; i++, to += to_step) {
        if (rows == BLOCK) {
            _mm_storeu_ps(to, column[i]);
        } else {
            _mm_storel_epi64((void *)to, _mm_castps_si128(column[i]));
        }
    }
}

#elif defined(__SSE2__)

KERNEL_INLINE void transpose_block(int rows, int columns, const real *from, ptrdiff_t from_step,
                                   real *to, ptrdiff_t to_step) {
    (void)rows;
    (void)columns;
    const __m128d first = _mm_loadu_pd(from);
    const __m128d second = _mm_loadu_pd(from + from_step);
    _mm_storeu_pd(to, _mm_unpacklo_pd(first, second));
    _mm_storeu_pd(to + to_step, _mm_unpackhi_pd(first, second));
}

#else

KERNEL_INLINE void transpose_block(int rows, int columns, const real *from, ptrdiff_t from_step,
                                   real *to, ptrdiff_t to_step) {
    real block[BLOCK][BLOCK];
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
        KERNEL_UNROLL
        for (int j = 0; j < columns; j++) {
            block[j][i] = from[i * from_step + j];
        }
    }
    KERNEL_UNROLL
    for (int j = 0; j < columns; j++) {
        KERNEL_UNROLL
        for (int i = 0; i < rows; i++) {
            to[j * to_step + i] = block[j][i];
        }
    }
}

#endif

#endif
