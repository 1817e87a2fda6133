/* SPDX-License-Identifier: MIT */
#ifndef FGHM_DISPATCH_H
#define FGHM_DISPATCH_H

/* The table of instruction sets. */

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernels.h"

/* One instruction set.  The table of them is what the library chooses from and
 * what tests and benchmarks go through. */
struct fghm_row {
    const char *name;
    bool (*usable)(void); /* on this processor, under this operating system */
    bool has_fma;         /* equal to the scalar row bit for bit */
    const struct fghm_kernels *f32;
    const struct fghm_kernels *f64;
};

/* Strongest first; the last is usable everywhere. */
extern const struct fghm_row fghm_rows[];
extern const size_t fghm_row_count;

/* The row in use.  Costs one load once it has been chosen. */
const struct fghm_row *fghm_row(void);

#endif
