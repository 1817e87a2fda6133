/* SPDX-License-Identifier: MIT */
/* What the processor has, and whether the operating system saves its registers: without that an
 * instruction set must not be used, however new the processor is. */
#include "cpu.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

/* Bits of CPUID leaf 1 ECX and leaf 7 EBX, and of XCR0: Intel SDM volume 2A,
 * CPUID, and volume 1, 13.3. */
#define LEAF1_FMA (1u << 12)
#define LEAF1_OSXSAVE (1u << 27)
#define LEAF1_AVX (1u << 28)
#define LEAF1_F16C (1u << 29)
#define LEAF7_AVX2 (1u << 5)
#define LEAF7_AVX512 ((1u << 16) | (1u << 17) | (1u << 30) | (1u << 31)) /* F DQ BW VL */
#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xe6u

/* The register states that the operating system saves on a task switch. */
static uint32_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Without OSXSAVE there is no XCR0, nor an instruction that reads it. */
static struct fghm_cpu this_cpu(void) {
    struct fghm_cpu cpu = {0, 0, 0};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        cpu.leaf1_ecx = ecx;
        cpu.xcr0 = (ecx & LEAF1_OSXSAVE) != 0 ? xcr0() : 0;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        cpu.leaf7_ebx = ebx;
    }
    return cpu;
}

static bool has(uint32_t bits, uint32_t wanted) {
    return (bits & wanted) == wanted;
}

bool fghm_cpu_runs_avx2_fma(const struct fghm_cpu *cpu) {
    return has(cpu->leaf1_ecx, LEAF1_OSXSAVE | LEAF1_AVX | LEAF1_FMA | LEAF1_F16C) &&
           has(cpu->leaf7_ebx, LEAF7_AVX2) && has(cpu->xcr0, XCR0_AVX);
}

bool fghm_cpu_runs_avx512(const struct fghm_cpu *cpu) {
    return fghm_cpu_runs_avx2_fma(cpu) && has(cpu->leaf7_ebx, LEAF7_AVX512) &&
           has(cpu->xcr0, XCR0_AVX512);
}

bool fghm_cpu_has_avx2_fma(void) {
    const struct fghm_cpu cpu = this_cpu();
    return fghm_cpu_runs_avx2_fma(&cpu);
}

bool fghm_cpu_has_avx512(void) {
    const struct fghm_cpu cpu = this_cpu();
    return fghm_cpu_runs_avx512(&cpu);
}

#else

bool fghm_cpu_has_avx2_fma(void) {
    return false;
}

bool fghm_cpu_has_avx512(void) {
    return false;
}

#endif
