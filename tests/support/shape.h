/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SHAPE_H
#define TESTS_SUPPORT_SHAPE_H

#include "batch.h"

/* What the losses promise about the shape of a call: which outputs are asked
 * for and where the arrays lie changes no bit, and nothing outside the n
 * elements is read or written. */

/* A handle of one loss; the other is NULL. */
struct loss_handle {
    const fghm_focal *focal;
    fghm_ghm *ghm;
};

/* The arrays of a call, in the order of the parameters. */
enum { LOGITS, TARGETS, WEIGHTS, LOSSES, GRADIENTS, HESSIANS, ARRAYS };

fghm_status shape_call(const struct dtype *d, struct loss_handle handle, size_t n,
                       void *const array[ARRAYS], double *loss);

/* `b` holds a call's results: every subset of its outputs has the same bits. */
void shape_check_subsets(const struct batch *b, struct loss_handle handle);

/* `b` holds a call's results: so have they with all arrays 0 .. gaps - 1
 * elements from an unmapped page in front of them, and behind them. */
void shape_check_fences(const struct batch *b, struct loss_handle handle, size_t gaps);

/* Lengths beyond the small ones that all tests of shape try. */
#define SHAPE_SMALL 67
#define SHAPE_SIZES 18
extern const size_t shape_sizes[SHAPE_SIZES];

#endif
