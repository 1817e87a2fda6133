/* SPDX-License-Identifier: MIT */
#ifndef FGHM_BINS_H
#define FGHM_BINS_H

/* Bins of the gradient norm as the kernels want them, in both floating-point types. */

#include <stddef.h>

#include "kernels/kernels.h"

struct fghm_bin_tables {
    struct fghm_bins f32;
    struct fghm_bins f64;
    void *memory_f32;
    void *memory_f64;
};

/* Tables for bins with bins + 1 edges from 0 to 1, or, with NULL, of equal width; over the
 * margins of GHM-C (mu 0) or, with its mu, of GHM-R.  0 for success, -1 without memory.
 * Either way they are to be freed. */
int fghm_bin_tables_make(struct fghm_bin_tables *tables, size_t bins, const double *edges,
                         double mu);

void fghm_bin_tables_free(struct fghm_bin_tables *tables);

#endif
