/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 32
#define FGHM_KERNELS fghm_kernels_simd128_f32
#include "vec/vec_simd128.h"
#include "kernels/row.h"
