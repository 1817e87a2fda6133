/* SPDX-License-Identifier: MIT */
#ifndef FGHM_BINS_H
#define FGHM_BINS_H

/* Bins of the gradient norm as the kernels want them, in both floating-point types. */

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernels.h"

/* bins + 1 edges from 0 to 1; those of bins of equal width are b / bins and come rounded. */
struct fghm_bin_edges {
    size_t bins;
    bool uniform;
    const double *edges;
};

struct fghm_bin_tables {
    struct fghm_bins f32;
    struct fghm_bins f64;
    void *memory_f32;
    void *memory_f64;
};

/* Tables over the margins of GHM-C (mu 0) or, with its mu, of GHM-R; 0 for success, -1
 * without memory.  Either way they are to be freed. */
int fghm_bin_tables_make(struct fghm_bin_tables *tables, const struct fghm_bin_edges *edges,
                         double mu);

void fghm_bin_tables_free(struct fghm_bin_tables *tables);

#endif
