/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 32
#define FGHM_KERNELS fghm_kernels_unfused_f32
#include "vec/vec_unfused.h"
#include "kernels/row.h"
