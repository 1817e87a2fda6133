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

/* b and what follows from it. */
struct margin_parts {
    vmask none; /* b is 0; it is 1/2 here, so that nothing is infinite */
    vreal b;
    vreal b_slope;  /* p / b */
    vreal per_rest; /* 1 / (1 - b) */
    vreal loss;
};

KERNEL_INLINE struct margin_parts margin_parts(const struct negative_margin *margin, vreal x,
                                               vreal p, vreal q) {
    const vreal zero = v_set(0);
    const vreal one = v_set(1);
    struct margin_parts parts;
    const vreal distance = v_sub(v_sub(x, margin->logit.high), margin->logit.low);
    parts.none = v_le(distance, zero);
    const struct exponential e = exp_minus(v_select(parts.none, one, distance));
    const vreal share = v_mul(margin->rest, v_sub(v_sub(one, e.power), e.remainder));
    parts.b = v_select(parts.none, v_set((real)0.5), v_mul(p, share));
    parts.b_slope = v_div(one, share);
    const vreal rest = v_add(q, margin->margin);
    parts.per_rest = v_div(one, rest);
    vreal exponent;
    const vreal fraction = v_fraction(rest, &exponent);
    const vmask is_large = v_gt(parts.b, rest);
    const vreal small = v_mul(parts.b, parts.per_rest);
    const struct exponential argument = {v_select(is_large, v_sub(fraction, one), small), zero};
    const vreal log = v_add(argument.power, log1p_tail_of(argument));
    const vreal large = v_nmuladd(exponent, v_set(LN2_HIGH + LN2_LOW), v_sub(zero, log));
    parts.loss = v_select(is_large, large, log);
    return parts;
}

#endif
