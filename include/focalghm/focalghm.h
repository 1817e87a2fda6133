/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_FOCALGHM_H
#define FOCALGHM_FOCALGHM_H

/**
 * @file
 * libfocalghm: focal loss and the gradient harmonizing mechanism in C.  This header includes all
 * others:
 *
 *     focal.h      focal loss
 *     ghm.h        the gradient harmonizing mechanism
 *     batch.h      batches of any shape, layout and storage type
 *     pool.h       threads, if wanted
 *     status.h     what went wrong, and where
 *     reduction.h  how the losses of many elements become one number
 *     isa.h        the instruction set that computes
 *     version.h    the version, and what it promises
 *
 * Example: loss and gradient of four elements.
 * @code
 * const float logits[] = {2.0f, -1.5f, 0.3f, -4.0f}, targets[] = {1, 0, 1, 0};
 * float gradient[4];
 * double loss;
 * fghm_focal *focal = NULL;
 * fghm_status status = fghm_focal_create(&focal);
 * if (status == FGHM_OK) {
 *     status = fghm_focal_f32(focal, NULL, 4, logits, targets, NULL, &loss, NULL, gradient, NULL);
 * }
 * puts(fghm_status_string(status));
 * fghm_focal_destroy(focal);
 * @endcode
 *
 * What follows holds for every function, unless its own text says otherwise.
 *
 * **Handles.**  Settings, histories and pools are behind opaque handles, which a function named
 * ..._create makes and one named ..._destroy frees; destroying NULL does nothing.  Setters check
 * what they are given.  A function that can fail returns an ::fghm_status, and stores what it
 * computes where pointers say; status.h says what an error leaves behind.
 *
 * **Threads.**  Any number of threads may use one handle in functions that take it as const.  In
 * a function that takes it without const, no other thread may use it; pools are the exception,
 * which calls may share (pool.h).  Two handles share nothing.
 * The library has no other state that changes, and starts no thread but in fghm_pool_create.
 *
 * **What is left alone.**  Nothing is printed, nothing aborts, errno stays as it is, no signal
 * handler is installed, no environment variable but FOCALGHM_ISA (isa.h) is read.  No array of
 * the caller's is looked at after the call that got it.
 *
 * **Floating-point environment.**  A call computes in the environment of its thread and does not
 * change its modes.  It raises the flags of inexact and underflow.  Those of invalid, division by
 * zero and overflow come from infinite numbers and NaN, from numbers out of their ranges, from
 * results that are too large for their type, and from softmax where the difference of two logits
 * is; not from finite data otherwise, so these three may have traps.  The environment has to be the
 * default one in all else: rounding to nearest, subnormal numbers not flushed to zero; so has that
 * of threads which a pool of the caller's uses (fghm_pool_create_from).  In another one results are
 * other numbers, of which nothing is promised; but a call ends, stays within its arrays, counts
 * each element once, and leaves the environment as it was.  Threads of fghm_pool_create have the
 * default one whatever their maker had (pool.h).
 *
 * **Stack and memory.**  A call uses at most 64 KiB of the stack; GHM with more than 256 bins, at
 * most 120 KiB, so that it fits a thread of 128 KiB.  The same goes for each task of a pool.
 * Memory for handles and pools is allocated by the functions that make, set or load them.  Calls
 * that compute allocate nothing, with two exceptions: fghm_ghm_density_f32 and
 * fghm_ghm_density_f64, which sort, and GHM with more than 256 bins or with many histograms, which
 * needs room for counts.
 *
 * **The same bits.**  A result is a function of the shape of the batch, its class axis, the values
 * and the settings.  It does not depend on strides and alignment, on the storage type of values
 * that both types hold exactly, on whether an output replaces an input, on which outputs are asked
 * for, on which of several calls for the same data is used, on the pool, or on the instruction
 * set, if that has fused multiply-add (isa.h).  An output of a narrower type holds the
 * rounded result.  A transposed shape is another shape, whose loss may differ in the last bits.
 * Which bits a NaN has is not promised.  fghm_numerics_revision tells releases apart.
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
