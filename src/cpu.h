/* SPDX-License-Identifier: MIT */
#ifndef FGHM_CPU_H
#define FGHM_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* What the processor has and the operating system saves. */
bool fghm_cpu_has_avx2_fma(void);
bool fghm_cpu_has_avx512(void); /* F, BW, DQ and VL */

#if defined(__x86_64__) || defined(__i386__)
/* What both have said: words of CPUID, and XCR0, or 0 where there is none. */
struct fghm_cpu {
    uint32_t leaf1_ecx, leaf7_ebx, xcr0;
};

bool fghm_cpu_runs_avx2_fma(const struct fghm_cpu *cpu);
bool fghm_cpu_runs_avx512(const struct fghm_cpu *cpu);
#endif

#endif
