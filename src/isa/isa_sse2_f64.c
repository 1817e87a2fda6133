/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_KERNELS fghm_kernels_sse2_f64
#include "vec/vec_sse2.h"
#include "kernels/row.h"
