/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_KERNELS fghm_kernels_neon_f64
#include "vec/vec_neon.h"
#include "kernels/row.h"
