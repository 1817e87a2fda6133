/* SPDX-License-Identifier: MIT */
/* What the processor has, and whether the operating system saves its registers: without that an
 * instruction set must not be used, however new the processor is. */
#include "cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

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

static bool has(uint32_t leaf1_ecx, uint32_t leaf7_ebx, uint32_t states) {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        return false;
    }
    leaf1_ecx |= LEAF1_OSXSAVE;
    if ((ecx & leaf1_ecx) != leaf1_ecx || (xcr0() & states) != states) {
        return false;
    }
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & leaf7_ebx) == leaf7_ebx;
}

bool fghm_cpu_has_avx2_fma(void) {
    return has(LEAF1_AVX | LEAF1_FMA | LEAF1_F16C, LEAF7_AVX2, XCR0_AVX);
}

bool fghm_cpu_has_avx512(void) {
    return fghm_cpu_has_avx2_fma() && has(LEAF1_AVX, LEAF7_AVX512, XCR0_AVX512);
}

#else

bool fghm_cpu_has_avx2_fma(void) {
    return false;
}

bool fghm_cpu_has_avx512(void) {
    return false;
}

#endif
