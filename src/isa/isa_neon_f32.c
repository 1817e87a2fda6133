/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 32
#define FGHM_KERNELS fghm_kernels_neon_f32
#include "vec/vec_neon.h"
#include "kernels/row.h"
