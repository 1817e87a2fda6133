/* SPDX-License-Identifier: MIT */
#ifndef FGHM_VEC_LARGEST_H
#define FGHM_VEC_LARGEST_H

/* The largest lane of a 256-bit register without NaN, for vec_avx2.h and vec_avx512.h.  Halves are
 * compared; of two zeros, the lower lane's stays. */

#include <immintrin.h>

#include "vec/real.h"

#if FGHM_REAL_BITS == 32

static inline real largest_of_256(__m256 a) {
    const __m128 four = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    const __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
}

#else

static inline real largest_of_256(__m256d a) {
    const __m128d two = _mm_max_pd(_mm256_extractf128_pd(a, 1), _mm256_castpd256_pd128(a));
    return _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(two, two), two));
}

#endif

#endif
