/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_KERNELS fghm_kernels_avx512_f64
#include "vec/vec_avx512.h"
#include "kernels/row.h"
