/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_MARGIN_KERNEL_H
#define FGHM_KERNELS_MARGIN_KERNEL_H

/* Negatives of asymmetric loss, whose probability p is less by a margin m: b = max(p - m, 0).
 *
 * With c = log(m / (1 - m)), the logit of the margin, a difference of probabilities is one of
 * logits, from which nothing cancels:
 *
 *     p - m = p (1 - m) (1 - exp(-(x - c))),    1 - b = (1 - p) + m
 *
 * L = -log(1 - b) is log1p(b / (1 - b)); or, where b is above 1/2, what is left of it when the
 * exponent of 1 - b has been taken away is.  With q = 1 - p, r = q / (1 - b) and s = p q / b:
 *
 *     gradient  b^gamma (p r + gamma s L)
 *     hessian   b^gamma (p r (q r + (1 - r) (q - p)) + gamma s (2 p r + (q - p + (gamma - 1) s) L))
 *               the gradient times q for Gauss-Newton, as without a margin */

#include "kernels/kernels.h"
#include "kernels/math_kernel.h"
#include "kernels/span_walk.h"

struct negative_margin {
    vreal margin, rest; /* m and 1 - m */
    struct pair logit;
};

KERNEL_INLINE struct negative_margin negative_margin_of(double margin, struct double_sum logit) {
    const real high = (real)logit.high;
    return (struct negative_margin){
        .margin = v_set((real)margin),
        .rest = v_set((real)(1 - margin)),
        .logit = {v_set(high), v_set((real)(logit.high - (double)high + logit.low))},
    };
}

/* What the results of a chunk need of it: a sweep of its own, for the chain of dependent operations
 * is too long else (see focal_kernel.h).  Where b is 0, loss and derivatives come out as 0:
 * argument, base and per_rest are, and b is 1/2, so that nothing is infinite. */
struct margin_chunk {
    union {
        struct {
            real y[CHUNK]; /* 1 / (1 + exp(-|x|)) */
            real b[CHUNK];
            real argument[CHUNK]; /* L is log1p of it, or, where `base` is not 0, base minus that */
        };
        struct {
            real reciprocal[CHUNK], power_low[CHUNK], log[CHUNK]; /* see any_sweep() */
        };
    };
    real b_slope[CHUNK];  /* p / b */
    real per_rest[CHUNK]; /* 1 / (1 - b) */
    real base[CHUNK];
};

/* Results of a chunk as those of target 0 with a margin, as hard_values has them. */
struct negative_values {
    real loss[CHUNK];
    real gradient[CHUNK];
    real hessian[CHUNK];
};

/* Results take the place of what they are made of, for the sake of small stacks. */
union margin_memory {
    struct margin_chunk parts;
    struct negative_values values;
};

/* b / p counts as no less in derivatives, whose terms stay finite so: the largest are 64 times 65
 * times p / b, times REAL_LIFT. */
#define LEAST_SHARE (REAL_MIN * REAL_LIFT * REAL(0x1p16))

/* Of x and of what logistic_of() makes of it. */
KERNEL_INLINE void margin_parts(const struct negative_margin *margin, vreal x, vreal p, vreal q,
                                struct margin_chunk *to, size_t i) {
    const vreal zero = v_set(REAL(0.0));
    const vreal one = v_set(REAL(1.0));
    const vreal distance = v_sub(v_sub(x, margin->logit.high), margin->logit.low);
    const vmask below = v_le(distance, zero);
    const struct pair e = exp_minus_exactly(v_select(below, one, distance));
    const vreal share = v_mul(margin->rest, v_sub(v_sub(one, e.high), e.low));
    const vreal rest = v_add(q, margin->margin);
    const vreal b = v_mul(p, share);
    const vmask none = m_or(below, v_eq(b, zero));
    const vreal per_rest = v_div(one, rest);
    vreal exponent;
    const vreal fraction = v_fraction(rest, &exponent);
    const vmask is_large = m_and(v_gt(b, rest), m_not(none));
    const vreal argument = v_select(is_large, v_sub(fraction, one), v_mul(b, per_rest));
    const vreal base = v_mul(exponent, v_set(-LN2_HIGH - LN2_LOW));
    v_store(to->b + i, v_select(none, v_set(REAL(0.5)), b));
    v_store(to->b_slope + i, v_div(one, v_max(v_set(LEAST_SHARE), share)));
    v_store(to->per_rest + i, v_drop(none, per_rest));
    v_store(to->argument + i, v_drop(none, argument));
    v_store(to->base + i, v_keep(is_large, base));
}

/* L, given log1p(argument). */
KERNEL_INLINE vreal margin_loss(const struct margin_chunk *margin, size_t i, vreal log) {
    const vreal base = v_load(margin->base + i);
    return v_add(base, v_negate_where(v_gt(base, v_set(REAL(0.0))), log));
}

#endif
