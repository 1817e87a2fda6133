/* SPDX-License-Identifier: MIT */
#ifndef FGHM_FUSED_H
#define FGHM_FUSED_H

/* a b + c with one rounding, for code that runs on every processor of its architecture.  The C
 * library's functions would do, were it not for those that round twice, and for needing libm. */

#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
#define FGHM_FUSED_INLINE 1
/* clang says it of few processors. */
#elif defined(__aarch64__) || defined(__FMA__) || defined(__powerpc64__) || defined(__s390x__) ||  \
    (defined(__riscv_flen) && __riscv_flen >= 64)
#define FGHM_FUSED_INLINE 1
#else
#define FGHM_FUSED_INLINE 0
#endif

#if FGHM_FUSED_INLINE

static inline double fghm_fused(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}

static inline float fghm_fused_f32(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}

#else

/* With the processor's instruction, where it has one. */
double fghm_fused(double a, double b, double c);
float fghm_fused_f32(float a, float b, float c);

#endif

/* Without it. */
double fghm_fused_by_doubles(double a, double b, double c);
double fghm_fused_by_integers(double a, double b, double c); /* several times slower */
float fghm_fused_f32_by_double(float a, float b, float c);

#endif
