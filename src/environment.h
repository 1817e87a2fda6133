/* SPDX-License-Identifier: MIT */
#ifndef FGHM_ENVIRONMENT_H
#define FGHM_ENVIRONMENT_H

/* The floating-point environment in which a program starts: to nearest, subnormal numbers kept, no
 * exception traps.  By hand, since fesetenv is in libm, which the shared library would have to
 * load for this alone. */

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define FGHM_ENVIRONMENT_IN_LIBM 0
#elif defined(__aarch64__) || defined(__s390x__) || defined(__powerpc64__) ||                      \
    defined(__riscv_flen) || (defined(__arm__) && defined(__ARM_FP)) || defined(__wasm__)
#define FGHM_ENVIRONMENT_IN_LIBM 0
#else
#include <fenv.h>
#define FGHM_ENVIRONMENT_IN_LIBM 1
#endif

static inline void fghm_set_default_environment(void) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_setcsr(0x1f80); /* what it is after reset */
    __asm__ volatile("fninit");
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %0" : : "r"((uint64_t)0));
#elif defined(__arm__) && defined(__ARM_FP)
    __asm__ volatile("vmsr fpscr, %0" : : "r"(0));
#elif defined(__riscv_flen)
    __asm__ volatile("fscsr zero");
#elif defined(__s390x__)
    __asm__ volatile("sfpc %0" : : "r"(0));
#elif defined(__powerpc64__)
    __asm__ volatile("mtfsf 255, %0" : : "f"(0.0));
#elif !defined(__wasm__) /* which has no other */
    (void)fesetenv(FE_DFL_ENV);
#endif
}

#endif
