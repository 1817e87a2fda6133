/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_KERNELS fghm_kernels_scalar_f64
#include "vec/vec_scalar.h"
#include "kernels/row.h"
