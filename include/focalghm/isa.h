/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_ISA_H
#define FOCALGHM_ISA_H

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @file
 * Which instruction set computes.
 *
 * Example:
 * @code
 * printf("libfocalghm %s on %s\n", fghm_version(), fghm_isa_name());
 * @endcode
 */

/**
 * The name of the instruction set that this process computes with: "avx512", "avx2", "sse2",
 * "neon", "simd128", "scalar" or "unfused".
 *
 * For diagnostics.  Results do not depend on it, but for "sse2", "simd128" and "unfused", which
 * have no fused multiply-add: their results keep the documented bounds and may differ in the last
 * bits.
 *
 * It is chosen once, at the first call into the library: the best that processor and
 * operating system support, or the one that the environment variable FOCALGHM_ISA names, if
 * that is usable (a set-user-ID program ignores the variable).  In WebAssembly the build has
 * chosen: "simd128" if it had -msimd128, else "unfused".  Any thread may call it.
 * @return text in static storage, never NULL
 */
FGHM_API const char *fghm_isa_name(void);

#ifdef __cplusplus
}
#endif

#endif
