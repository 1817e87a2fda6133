/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_KERNELS fghm_kernels_avx2_f64
#include "vec/vec_avx2.h"
#include "kernels/row.h"
