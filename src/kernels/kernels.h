/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_KERNELS_H
#define FGHM_KERNELS_KERNELS_H

/* What a row of the dispatch table offers: the kernels of one instruction set
 * in one floating-point type.  This header is all that drivers, tests and
 * benchmarks know of the kernels.  Arrays are `const void *` here because one
 * driver serves float and double; each kernel knows its own type. */

#include <stddef.h>
#include <stdint.h>

/* A run of contiguous elements.  weights may be NULL (all 1), and so may every
 * output.  An output may be the same array as an input. */
struct fghm_span {
    size_t n;
    const void *logits;
    const void *targets;
    const void *weights;
    void *element_loss;
    void *gradient;
    void *hessian;
};

/* The constants of one focal call. */
struct fghm_focal_constants {
    double gamma;
    double positive; /* a_t of target 1 */
    double negative; /* a_t of target 0 */
    double scale;    /* 1 / D: gradient and Hessian are multiplied by it */
};

/* Which values of gamma have a kernel of their own. */
enum { FGHM_GAMMA_0, FGHM_GAMMA_HALF, FGHM_GAMMA_1, FGHM_GAMMA_2, FGHM_GAMMA_ANY, FGHM_GAMMAS };

/* Returns the sum of the elements' losses.  Sets *bad_target if a target is
 * outside [0, 1], else leaves it. */
typedef double fghm_focal_kernel(const struct fghm_focal_constants *constants,
                                 const struct fghm_span *span, int *bad_target);

/* The bins of GHM over margins.  The margin z of an element is its logit for
 * target 1 and minus its logit for target 0, so that g = sigmoid(-z) and bin
 * >= b exactly if z <= upper[b]; upper[0] is +inf.  An element that is in no bin
 * has a NaN for margin. */
struct fghm_bins {
    size_t bins;
    const void *upper; /* bins + 1 margins, falling; the last is NaN: no margin is below it */
    const void *edges; /* bins + 1 edges of g in the type of the kernel, for soft targets */
    /* Cells: cell c = clamp(floor(z cell_scale + cell_offset), 1, cells - 1) of a
     * margin holds at most one of the edges upper[1 ...]; bin = cell_bin[c], plus
     * 1 if z <= cell_upper[c].  NaN has cell 0 and bin `bins`.  cells is 16 if
     * that is enough.  cell_bin has whole numbers as wide as the kernel's type. */
    size_t cells;
    double cell_scale, cell_offset;
    const void *cell_bin;
    const void *cell_upper;
};

/* Adds the number of elements in each bin to counts[0 ... bins - 1], and the
 * number of valid elements to *valid.  span->weights is the mask. */
typedef void fghm_count_kernel(const struct fghm_bins *bins, const struct fghm_span *span,
                               uint64_t *counts, uint64_t *valid, int *bad_target);

/* As fghm_focal_kernel for binary cross-entropy (gamma 0, alpha off), with the
 * weight of each element taken from bin_weights, and nothing where the mask
 * says so.  bin_weights has bins + 1 entries, the last for elements in no bin. */
typedef double fghm_apply_kernel(const struct fghm_bins *bins, const void *bin_weights,
                                 double scale, const struct fghm_span *span);

struct fghm_kernels {
    size_t real_size;
    fghm_focal_kernel *focal[FGHM_GAMMAS];
    fghm_count_kernel *ghm_count;
    fghm_apply_kernel *ghm_apply;
};

#endif
