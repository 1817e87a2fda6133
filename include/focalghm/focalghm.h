/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_FOCALGHM_H
#define FOCALGHM_FOCALGHM_H

/**
 * @file
 * libfocalghm: focal loss and the gradient harmonizing mechanism in C.
 *
 * Rules that hold for every function:
 *
 * - Configurations are opaque handles with create, destroy, setters and
 *   getters.  destroy(NULL) is a no-op.  A function that can fail returns an
 *   fghm_status; results go through pointers.
 * - Nothing is printed, errno and the floating-point environment are left
 *   alone, no pointer of the caller's is kept after a call, and no thread is
 *   made but by fghm_pool_create.  Computing allocates no memory, but for
 *   fghm_ghm_density_f32, fghm_ghm_density_f64 and GHM calls over batches with many
 *   histograms; it takes up to 192 KiB of the calling thread's stack.
 * - A `const` handle may be shared by threads.  Distinct handles never share
 *   anything.
 * - Results are a function of the inputs alone: the same bits on every
 *   instruction set with fused multiply-add, for every number of threads and
 *   every alignment.  (Which bits a NaN has is not promised.)
 * - The functions expect the default floating-point environment: rounding to
 *   nearest, no flushing of subnormal numbers to zero.
 */

#include "focalghm/batch.h"
#include "focalghm/export.h"
#include "focalghm/focal.h"
#include "focalghm/ghm.h"
#include "focalghm/isa.h"
#include "focalghm/pool.h"
#include "focalghm/reduction.h"
#include "focalghm/status.h"
#include "focalghm/version.h"

#endif
