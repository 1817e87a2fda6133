/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_GHMR_KERNEL_H
#define FGHM_KERNELS_GHMR_KERNEL_H

/* GHM-R: the loss and its derivatives, with d = prediction - target and
 * h = sqrt(d^2 + mu^2),
 *
 *     loss      w d^2 / (h + mu)      = w (h - mu), without the cancellation
 *     gradient  w d / h
 *     hessian   w mu^2 / h^3
 *
 * h is computed from the larger of |d| and mu and the ratio of the two, so that no
 * square overflows. */

#include "kernels/ghm_kernel.h"

KERNEL_INLINE struct focal_values regression_values(vreal difference, vreal mu) {
    const vreal a = v_abs(difference);
    const vreal larger = v_max(mu, a);
    const vreal ratio = v_div(v_min(mu, a), larger);
    const vreal square = v_muladd(ratio, ratio, v_set(REAL(1.0)));
    const vreal root = v_sqrt(square);
    const vreal h = v_mul(larger, root);
    /* An infinite difference has the limits. */
    const vmask infinite = v_gt(a, v_set(REAL_MAX));
    const vreal share = v_select(infinite, v_set(REAL(1.0)), v_div(a, v_add(h, mu)));
    const vreal slope = v_select(infinite, v_set(REAL(1.0)), v_div(a, h));
    /* mu / larger goes in by one factor at a time: its square may be subnormal where the
     * Hessian is not. */
    const vreal part = v_select(v_gt(a, mu), ratio, v_set(REAL(1.0)));
    const vreal cube = v_mul(larger, v_mul(square, root));
    return (struct focal_values){
        .loss = v_mul(a, share),
        .gradient = v_negate_where(v_gt(v_set(REAL(0.0)), difference), slope),
        .hessian = v_mul(part, v_div(part, cube)),
    };
}

static void ghmr_apply(const struct fghm_bins *bins, const void *bin_weights, double mu,
                       double scale, const struct fghm_span *span, struct fghm_sum *sum) {
    const vreal v_mu = v_set((real)mu);
    const vreal v_scale = v_set((real)scale);
    struct ghm_chunk chunk;
    int bad = 0; /* no target is */
    struct lane_sum total;
    lane_sum_start(&total, sum);
    struct span_walk walk;
    walk_start(&walk, span);
    walk.filling = 1; /* which is the target, too */
    while (walk_next(&walk)) {
        const struct fghm_span *const part = walk.part;
        const real *const mask = part->weights;
        any_weights(REGRESSION, bins, bin_weights, part, &chunk, &bad);
        for (size_t i = walk.n; i < part->n; i++) {
            chunk.weights[i] = 0;
        }
        vreal largest = v_set(REAL(0.0));
        for (size_t i = 0; i < part->n; i += V_LANES) {
            vreal difference = v_sub(v_load((const real *)part->logits + i),
                                     v_load((const real *)part->targets + i));
            if (mask != NULL) {
                difference = v_keep(v_gt(v_load(mask + i), v_set(REAL(0.0))), difference);
            }
            const vreal weight = v_load(chunk.weights + i);
            /* A weight of 0 outweighs an infinite loss, but NaN stays. */
            const vmask infinite = v_gt(v_abs(difference), v_set(REAL_MAX));
            difference = v_drop(m_and(infinite, v_eq(weight, v_set(REAL(0.0)))), difference);
            const struct focal_values values = regression_values(difference, v_mu);
            const vreal scaled = v_mul(weight, v_scale);
            const vreal loss = v_mul(values.loss, weight);
            largest = v_max(loss, largest);
            v_store(chunk.margins + i, loss);
            if (part->element_loss != NULL) {
                v_store((real *)part->element_loss + i, loss);
            }
            if (part->gradient != NULL) {
                v_store((real *)part->gradient + i, v_mul(values.gradient, scaled));
            }
            if (part->hessian != NULL) {
                v_store((real *)part->hessian + i, v_mul(values.hessian, scaled));
            }
        }
        lane_sum_add_chunk(&total, part->n, chunk.margins,
                           m_all(v_le(largest, v_set(REAL_MODERATE_LOSS))));
        walk_finish_part(&walk);
    }
    lane_sum_end(&total, sum);
}

#endif
