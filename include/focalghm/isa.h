/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_ISA_H
#define FOCALGHM_ISA_H

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The name of the instruction set that this process computes with: "avx512",
 * "avx2", "sse2", "neon" or "scalar".  For diagnostics; results do not depend
 * on it, except that "sse2", which has no fused multiply-add, may differ in the
 * last bits within the documented bounds.
 *
 * It is chosen once, at the first call into the library: the best that the
 * processor and the operating system support, or, where that is usable, the one
 * named by the environment variable FOCALGHM_ISA (ignored in a set-user-ID
 * program).  Static storage, never NULL.  Any thread. */
FGHM_API const char *fghm_isa_name(void);

#ifdef __cplusplus
}
#endif

#endif
