/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 32
#define FGHM_KERNELS fghm_kernels_scalar_f32
#include "vec/vec_scalar.h"
#include "kernels/row.h"
