/* SPDX-License-Identifier: MIT */
/* Last include of each stub in src/isa: gathers the kernels, all static, into
 * the one symbol that the stub's object exports.  The stub has defined
 * FGHM_KERNELS, the name of that symbol. */

#if FGHM_REAL_BITS == 64
#include "kernels/calibration_kernel.h"
#endif
#include "kernels/focal_kernel.h"
#include "kernels/ghm_kernel.h"
#include "kernels/ghmr_kernel.h"
#include "kernels/probability_kernel.h"
#include "kernels/soft_kernel.h"
#include "kernels/softmax_kernel.h"
#include "kernels/storage_kernel.h"
#include "kernels/tile_kernel.h"

extern const struct fghm_kernels FGHM_KERNELS;

const struct fghm_kernels FGHM_KERNELS = {
    .real_size = sizeof(real),
    .focal =
        {
            [FGHM_GAMMA_0] = focal_gamma_0,
            [FGHM_GAMMA_HALF] = focal_gamma_half,
            [FGHM_GAMMA_1] = focal_gamma_1,
            [FGHM_GAMMA_2] = focal_gamma_2,
            [FGHM_GAMMA_ANY] = focal_gamma_any,
            [FGHM_GAMMA_POWERS] = focal_gamma_powers,
            [FGHM_GAMMA_LANES] = focal_gamma_lanes,
        },
    .probability = focal_probability,
    .ghm_count = ghm_count,
    .ghm_apply = ghm_apply,
    .ghm_harmonize = ghm_harmonize,
    .ghmr_count = ghmr_count,
    .ghmr_apply = ghmr_apply,
    .ghmr_harmonize = ghmr_harmonize,
    .row_largest = row_largest,
    .row_lift = row_lift,
    .rows_reduce = rows_reduce,
    .row_rest = row_rest,
    .rows_spread = rows_spread,
    .columns_largest = columns_largest,
    .columns_lift = columns_lift,
    .columns_rest = columns_rest,
    .columns_spread = columns_spread,
    .margins = softmax_margins,
    .soft_add_targets = soft_add_targets,
    .soft_largest = soft_largest,
    .soft_lift = soft_lift,
    .soft_prepare = soft_prepare,
    .soft_terms = soft_terms,
    .soft_spread = soft_spread,
    .read = read_reals,
    .write = write_reals,
    .match = match_labels,
    .blank = blank,
    .weigh = weigh,
    .tally = tally_targets,
    .total = total,
#if FGHM_REAL_BITS == 64
    .calibrate = calibrate,
    .shares = softmax_shares,
#endif
};
