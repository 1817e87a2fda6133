/* SPDX-License-Identifier: MIT */
#ifndef FGHM_CPU_H
#define FGHM_CPU_H

#include <stdbool.h>

/* What the processor has and the operating system saves. */
bool fghm_cpu_has_avx2_fma(void);
bool fghm_cpu_has_avx512(void); /* F, BW, DQ and VL */

#endif
