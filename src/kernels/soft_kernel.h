/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SOFT_KERNEL_H
#define FGHM_KERNELS_SOFT_KERNEL_H

/* Softmax with soft targets t_c and weights u_c = a_c t_c, a_c the factor of the class.  With
 * p_c = softmax, q_c = 1 - p_c and L_c = -log p_c, either the factor is that of the sample,
 *
 *     Q^gamma S,   Q = 1 - sum t_c p_c = sum (1 - t_c) p_c,   S = sum u_c L_c,
 *
 * where with P = 1 - Q, U = sum u_c, r = p_k (P - t_k) / Q = Q' / Q and s = p_k U - u_k = S',
 *
 *     d / dx_k   Q^gamma (s + gamma S r)
 *     d2 / dx_k2 Q^gamma (U p_k q_k + gamma r (2 s + S (1 - 2 p_k + (gamma - 1) r))),
 *
 * or that of each class, sum of u_c f_c(p_c) with f_c = q^gamma L, or p^gamma L for classes other
 * than the label's where they have a gamma of their own.  Then with h = -p f' and j = p (p f')',
 * v_c = u_c h_c and b_c = u_c q_c j_c,
 *
 *     d / dx_k   p_k V - v_k,   V = sum v_c
 *     d2 / dx_k2 q_k b_k + p_k^2 sum over c other than k of u_c j_c + p_k q_k V
 *
 *     q^gamma L: h = q^gamma (1 + gamma p L / q),  q j = gamma q^gamma (2 p - (1 - gamma p) p L /
 * q) p^gamma L: h = p^gamma (1 - gamma L),        j = gamma p^gamma (gamma L - 2).
 *
 * Either gradient is that of the cross-entropy whose weights are v_c (those of the first are
 * Q^gamma (u_c + gamma S t_c p_c / Q)); Gauss-Newton is its Hessian with |v_c|,
 * p_k q_k sum |v_c|.
 *
 * No digits are lost where one p is near 1, or one t: sums leave out the top class, which has the
 * largest logit.  So q_c of the top class is a sum, and of all others at least 1/2; and
 * p_k U - u_k = p_k (U - u_k) - u_k q_k, likewise with V and v. */

#include "kernels/soft_samples.h"
#include "kernels/softmax_kernel.h"

KERNEL_INLINE struct pair soft_sum_load(const struct soft_samples *samples, enum soft_sum sum,
                                        size_t lane) {
    return (struct pair){v_load(samples->high[sum] + lane), v_load(samples->low[sum] + lane)};
}

KERNEL_INLINE void soft_sum_add(struct pair *sum, vreal x) {
    const struct pair both = exact_sum(sum->high, x);
    sum->high = both.high;
    sum->low = v_add(sum->low, both.low);
}

KERNEL_INLINE void soft_sum_store(struct soft_samples *samples, enum soft_sum sum, size_t lane,
                                  struct pair from) {
    v_store(samples->high[sum] + lane, from.high);
    v_store(samples->low[sum] + lane, from.low);
}

/* A sum as it was stored; beyond an infinite one is nothing. */
KERNEL_INLINE struct pair soft_sum_of(const struct soft_samples *samples, enum soft_sum sum,
                                      size_t lane) {
    const struct pair stored = soft_sum_load(samples, sum, lane);
    const vmask is_finite = v_le(v_abs(stored.high), v_set(REAL_MAX));
    const struct pair all = exact_sum(stored.high, v_keep(is_finite, stored.low));
    return (struct pair){all.high, v_keep(is_finite, all.low)};
}

/* What a class of a part is multiplied by. */
KERNEL_INLINE vreal soft_class_factor(const struct fghm_soft *soft, size_t c) {
    const real *const factors = soft->class_factors;
    return v_set(factors == NULL ? REAL(1.0) : factors[c]);
}

#define FOR_LANES(lane) for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES)

static bool soft_add_targets(size_t classes, const void *block, double *sums) {
    const real *const targets = block;
    vsum sum;
    vreal least = v_set(REAL(0.0));
    vreal most = v_set(REAL(1.0));
    vreal known = v_set(REAL(0.0));
    v_sum_load(&sum, sums);
    for (size_t c = 0; c < classes; c++) {
        for (int part = 0; part < SUM_LANES / V_LANES; part++) {
            const vreal t = v_load(targets + c * SUM_LANES + (size_t)part * V_LANES);
            least = v_min(t, least);
            most = v_max(t, most);
            known = v_add(known, t);
            v_sum_add(&sum, part, t);
        }
    }
    /* NaN is neither less nor more. */
    if (!m_all(m_and(m_and(v_le(v_set(REAL(0.0)), least), v_le(most, v_set(REAL(1.0)))),
                     v_eq(known, known)))) {
        return false;
    }
    v_sum_store(sums, &sum);
    return true;
}

/* The largest logits. */
static void soft_largest(const struct fghm_soft *soft, void *tile_samples) {
    struct soft_samples *const samples = tile_samples;
    FOR_LANES(lane) {
        vreal most = v_load(samples->largest + lane);
        vreal top = v_load(samples->top + lane);
        vreal at = v_set((real)soft->start);
        for (size_t c = 0; c < soft->classes; c++) {
            const vreal x = v_load(samples->logits + c * SUM_LANES + lane);
            const vmask is_larger = v_gt(x, most);
            most = v_select(is_larger, x, most);
            top = v_select(is_larger, at, top);
            at = v_add(at, v_set(REAL(1.0)));
        }
        v_store(samples->largest + lane, most);
        v_store(samples->top + lane, top);
    }
}

/* Lifted exponentials, and sums of what is known with them. */
static void soft_lift(const struct fghm_soft *soft, void *tile_samples) {
    struct soft_samples *const samples = tile_samples;
    FOR_LANES(lane) {
        const vreal most = v_load(samples->largest + lane);
        const vreal top = v_load(samples->top + lane);
        vreal at = v_set((real)soft->start);
        vreal top_target = v_load(samples->top_first + lane);
        vreal top_weight = v_load(samples->top_second + lane);
        struct pair sums[SOFT_SUMS];
        for (int i = 0; i < SOFT_SUMS; i++) {
            sums[i] = soft_sum_load(samples, (enum soft_sum)i, lane);
        }
        for (size_t c = 0; c < soft->classes; c++) {
            const size_t i = c * SUM_LANES + lane;
            const vreal x = v_load(samples->logits + i);
            const vmask is_top = v_eq(at, top);
            /* Also where the largest logit is infinite. */
            const vreal e = v_select(is_top, v_set(LIFT), lifted_exp(x, most));
            const vreal other = v_drop(is_top, e);
            at = v_add(at, v_set(REAL(1.0)));
            v_store(samples->exponentials + i, e);
            soft_sum_add(&sums[SOFT_REST], other);
            if (!soft->by_class) {
                const vreal t = v_load(samples->targets + i);
                const vreal u = v_mul(t, soft_class_factor(soft, c));
                const vreal cross = v_mul(u, v_sub(most, x));
                top_target = v_select(is_top, t, top_target);
                top_weight = v_select(is_top, u, top_weight);
                soft_sum_add(&sums[SOFT_WRONG], v_mul(v_sub(v_set(REAL(1.0)), t), other));
                soft_sum_add(&sums[SOFT_RIGHT], v_mul(t, other));
                soft_sum_add(&sums[SOFT_CROSS],
                             v_drop(m_or(is_top, v_eq(u, v_set(REAL(0.0)))), cross));
                soft_sum_add(&sums[SOFT_WEIGHT], v_drop(is_top, u));
            }
        }
        for (int i = 0; i < SOFT_SUMS && !soft->again; i++) {
            soft_sum_store(samples, (enum soft_sum)i, lane, sums[i]);
        }
        v_store(samples->top_first + lane, top_target);
        v_store(samples->top_second + lane, top_weight);
    }
}

/* log(1 + rho), rho = high + low >= 0, as a pair. */
KERNEL_INLINE struct pair soft_log1p(struct pair rho) {
    const vreal zero = v_set(REAL(0.0));
    const vmask is_small = v_le(rho.high, v_set(REAL(1.0)));
    struct pair sum = exact_sum(v_set(REAL(1.0)), rho.high);
    sum.low = v_add(sum.low, rho.low);
    const struct pair large = minus_log_pair(sum);
    const struct pair small = log1p_pair((struct pair){v_min(v_set(REAL(1.0)), rho.high), rho.low});
    return (struct pair){v_select(is_small, small.high, v_sub(zero, large.high)),
                         v_select(is_small, small.low, v_sub(zero, large.low))};
}

/* (part / whole)^gamma, where both are lifted; 0 of 0, but 1 for gamma 0.  Out of line for the sake
 * of size. */
OUT_OF_LINE vreal soft_power(struct pair gamma, struct pair part, struct pair whole) {
    const vmask is_zero = v_eq(part.high, v_set(REAL(0.0)));
    const struct pair safe = {v_max(v_set(REAL_MIN), part.high), v_drop(is_zero, part.low)};
    struct pair log = minus_log_pair(whole);
    log = (struct pair){v_sub(v_set(REAL(0.0)), log.high), v_sub(v_set(REAL(0.0)), log.low)};
    const vreal power = exp_of_scaled(gamma, pair_sum(minus_log_pair(safe), log));
    const vmask vanishes = m_and(is_zero, v_gt(gamma.high, v_set(REAL(0.0))));
    /* NaN has a logarithm here. */
    return v_add(v_drop(vanishes, power), v_sub(part.high, part.high));
}

KERNEL_INLINE struct pair soft_gamma(double gamma) {
    return (struct pair){v_set((real)gamma), v_set((real)(gamma - (double)(real)gamma))};
}

/* That of derivatives. */
KERNEL_INLINE vreal soft_slope_gamma(const struct fghm_soft *soft, double gamma) {
    return v_set(soft->detached ? REAL(0.0) : (real)gamma);
}

/* The sum of all exponentials, as it was stored. */
KERNEL_INLINE struct pair soft_total(const struct soft_samples *samples, size_t lane) {
    return (struct pair){v_load(samples->total + lane), v_load(samples->total_low + lane)};
}

/* A sum and the number of the top class. */
KERNEL_INLINE struct pair soft_with_top(struct pair rest, vreal top) {
    struct pair all = exact_sum(top, rest.high);
    all.low = v_add(all.low, rest.low);
    return exact_sum(all.high, all.low);
}

/* The factor of the sample, its loss, and what their derivatives need. */
KERNEL_INLINE void soft_prepare_sample(const struct fghm_soft *soft, struct soft_samples *samples,
                                       size_t lane) {
    const vreal zero = v_set(REAL(0.0));
    const vreal t = v_load(samples->top_first + lane);
    const struct pair wrong = soft_with_top(soft_sum_of(samples, SOFT_WRONG, lane),
                                            v_mul(v_sub(v_set(REAL(1.0)), t), v_set(LIFT)));
    const struct pair weight =
        soft_with_top(soft_sum_of(samples, SOFT_WEIGHT, lane), v_load(samples->top_second + lane));
    const struct pair cross = soft_sum_of(samples, SOFT_CROSS, lane);
    const vreal of_top = v_mul(weight.high, v_load(samples->top_log + lane));
    const vreal all = v_add(cross.high, v_add(cross.low, of_top));
    const struct pair gamma = soft_gamma(soft->gamma);
    const vreal power = soft_power(gamma, wrong, soft_total(samples, lane));
    const vmask has_factor = v_gt(soft_slope_gamma(soft, soft->gamma), zero);
    const vmask is_infinite = v_gt(all, v_set(REAL_MAX));
    /* An infinite cross-entropy is not made finite by its factor, nor are derivatives of it. */
    v_store(samples->loss + lane, v_select(is_infinite, all, v_mul(power, all)));
    v_store(samples->power + lane,
            v_select(m_and(is_infinite, has_factor), v_set((real)NAN), power));
    v_store(samples->cross + lane, v_keep(has_factor, all));
}

/* Between the sums of exponentials and what needs them. */
static void soft_prepare(const struct fghm_soft *soft, void *tile_samples) {
    struct soft_samples *const samples = tile_samples;
    FOR_LANES(lane) {
        const struct pair rest = soft_sum_of(samples, SOFT_REST, lane);
        const struct pair total = soft_with_top(rest, v_set(LIFT));
        const vreal drop = v_set(LIFT_DROP);
        const struct pair log =
            soft_log1p((struct pair){v_mul(rest.high, drop), v_mul(rest.low, drop)});
        const vreal quotient = v_div(v_set(REAL(1.0)), total.high);
        v_store(samples->total + lane, total.high);
        v_store(samples->total_low + lane, total.low);
        v_store(samples->reciprocal + lane,
                v_nmuladd(v_mul(total.low, quotient), quotient, quotient));
        /* NaN has a logarithm here. */
        v_store(samples->top_log + lane, v_add(log.high, v_sub(rest.high, rest.high)));
        v_store(samples->top_log_low + lane, log.low);
        if (!soft->by_class) {
            soft_prepare_sample(soft, samples, lane);
        }
    }
}

/* A class of a part. */
struct soft_class {
    vmask is_top;
    vreal exponential, p, q;
    struct pair others; /* the sum of the exponentials of the others */
};

KERNEL_INLINE struct soft_class soft_class_of(vmask is_top, vreal e, struct pair rest,
                                              struct pair total, vreal reciprocal) {
    struct pair others = exact_sum(total.high, v_sub(v_set(REAL(0.0)), e));
    others.low = v_add(others.low, total.low);
    others.high = v_select(is_top, rest.high, others.high);
    others.low = v_select(is_top, rest.low, others.low);
    return (struct soft_class){.is_top = is_top,
                               .exponential = e,
                               .p = v_mul(e, reciprocal),
                               .q = v_mul(v_add(others.high, others.low), reciprocal),
                               .others = others};
}

/* f, h and q j of a class. */
struct soft_term {
    vreal loss, slope, bend;
};

/* q^gamma L. */
KERNEL_INLINE struct soft_term soft_positive(const struct fghm_soft *soft,
                                             const struct soft_class *of, vreal log,
                                             struct pair total) {
    const double plain = soft->gamma;
    const vreal gamma = soft_slope_gamma(soft, plain);
    vreal power;
    if (plain == 0) {
        power = v_set(REAL(1.0));
    } else if (plain == 1) {
        power = of->q;
    } else if (plain == 2) {
        power = v_mul(of->q, of->q);
    } else {
        power = soft_power(soft_gamma(plain), of->others, total);
    }
    /* p is 0 where the logarithm is infinite. */
    const vreal p_log = v_mul(of->p, v_min(v_set(REAL_MAX), log));
    const vreal ratio = v_div(p_log, v_max(v_set(REAL_MIN), of->q));
    const vreal gamma_p = v_mul(gamma, of->p);
    const vreal bracket = v_nmuladd(ratio, v_sub(v_set(REAL(1.0)), gamma_p), v_add(of->p, of->p));
    return (struct soft_term){
        .loss = v_mul(power, log),
        .slope = v_mul(power, v_muladd(gamma, ratio, v_set(REAL(1.0)))),
        .bend = v_mul(v_mul(gamma, power), bracket),
    };
}

/* p^gamma L. */
KERNEL_INLINE struct soft_term soft_negative(const struct fghm_soft *soft,
                                             const struct soft_class *of, struct pair log) {
    const vreal gamma = soft_slope_gamma(soft, soft->negative_gamma);
    const vreal bounded = v_min(v_set(REAL_MAX), log.high);
    const vreal power =
        exp_of_scaled(soft_gamma(soft->negative_gamma), (struct pair){bounded, log.low});
    const vmask vanishes = v_eq(power, v_set(REAL(0.0)));
    const vreal gamma_log = v_mul(gamma, v_drop(vanishes, bounded));
    return (struct soft_term){
        .loss = v_drop(vanishes, v_mul(power, log.high)),
        .slope = v_mul(power, v_sub(v_set(REAL(1.0)), gamma_log)),
        .bend = v_mul(of->q, v_mul(v_mul(gamma, power), v_sub(gamma_log, v_set(REAL(2.0))))),
    };
}

/* b / q; of the top class, whose q may be 0, nothing. */
KERNEL_INLINE vreal soft_bend_of_other(const struct soft_class *of, vreal bend) {
    return v_div(v_drop(of->is_top, bend), v_select(of->is_top, v_set(REAL(1.0)), of->q));
}

/* Where the factor is that of each class: v in the place of logits, b in that of targets, and sums
 * of them. */
static void soft_terms(const struct fghm_soft *soft, void *tile_samples) {
    struct soft_samples *const samples = tile_samples;
    FOR_LANES(lane) {
        const struct pair rest = soft_sum_of(samples, SOFT_REST, lane);
        const struct pair total = soft_total(samples, lane);
        const struct pair top_log = {v_load(samples->top_log + lane),
                                     v_load(samples->top_log_low + lane)};
        const vreal reciprocal = v_load(samples->reciprocal + lane);
        const vreal most = v_load(samples->largest + lane);
        const vreal top = v_load(samples->top + lane);
        const vreal label = v_load(samples->label + lane);
        vreal at = v_set((real)soft->start);
        vreal top_slope = v_load(samples->top_first + lane);
        vreal top_bend = v_load(samples->top_second + lane);
        struct pair sums[SOFT_SUMS];
        for (int i = SOFT_SLOPES; i <= SOFT_LOSSES; i++) {
            sums[i] = soft_sum_load(samples, (enum soft_sum)i, lane);
        }
        for (size_t c = 0; c < soft->classes; c++) {
            const size_t i = c * SUM_LANES + lane;
            const vmask is_top = v_eq(at, top);
            const struct soft_class of =
                soft_class_of(is_top, v_load(samples->exponentials + i), rest, total, reciprocal);
            const struct pair below =
                exact_sum(most, v_sub(v_set(REAL(0.0)), v_load(samples->logits + i)));
            struct pair log = exact_sum(below.high, top_log.high);
            const vmask is_finite = v_le(log.high, v_set(REAL_MAX));
            log.low = v_keep(is_finite, v_add(log.low, v_add(below.low, top_log.low)));
            log.high = v_select(is_top, top_log.high, log.high);
            log.low = v_select(is_top, top_log.low, log.low);
            const vreal u = v_mul(v_load(samples->targets + i), soft_class_factor(soft, c));
            struct soft_term term = soft_positive(soft, &of, v_add(log.high, log.low), total);
            if (soft->negative_gamma >= 0) {
                const struct soft_term other = soft_negative(soft, &of, log);
                const vmask is_own = v_eq(at, label);
                term.loss = v_select(is_own, term.loss, other.loss);
                term.slope = v_select(is_own, term.slope, other.slope);
                term.bend = v_select(is_own, term.bend, other.bend);
            }
            const vreal slope = v_mul(u, term.slope);
            const vreal bend = v_mul(u, term.bend);
            at = v_add(at, v_set(REAL(1.0)));
            v_store(samples->logits + i, slope);
            v_store(samples->targets + i, bend);
            top_slope = v_select(is_top, slope, top_slope);
            top_bend = v_select(is_top, bend, top_bend);
            soft_sum_add(&sums[SOFT_SLOPES], v_drop(is_top, slope));
            soft_sum_add(&sums[SOFT_STEEPNESS], v_drop(is_top, v_abs(slope)));
            if (soft->hessian) {
                soft_sum_add(&sums[SOFT_BENDS], soft_bend_of_other(&of, bend));
            }
            soft_sum_add(&sums[SOFT_LOSSES],
                         v_drop(v_eq(u, v_set(REAL(0.0))), v_mul(u, term.loss)));
        }
        for (int i = SOFT_SLOPES; i <= SOFT_LOSSES && !soft->again; i++) {
            soft_sum_store(samples, (enum soft_sum)i, lane, sums[i]);
        }
        const struct pair loss = soft_sum_of(samples, SOFT_LOSSES, lane);
        /* Of no class, it is NaN all the same where a logit is. */
        v_store(samples->loss + lane,
                v_add(v_add(loss.high, loss.low), v_sub(top_log.high, top_log.high)));
        v_store(samples->top_first + lane, top_slope);
        v_store(samples->top_second + lane, top_bend);
    }
}

/* The derivatives of a class. */
struct soft_derivatives {
    vreal gradient, hessian;
};

/* What those of a sample's classes have in common, where the factor is its own. */
struct soft_sample {
    struct pair rest, total, weight_rest, weight;
    vreal reciprocal, wrong, wrong_reciprocal, right;
    vreal power, cross;
    vreal gamma;
};

KERNEL_INLINE struct soft_sample soft_sample_of(const struct fghm_soft *soft,
                                                const struct soft_samples *samples, size_t lane) {
    const vreal t = v_load(samples->top_first + lane);
    const vreal lift = v_set(LIFT);
    const vreal reciprocal = v_load(samples->reciprocal + lane);
    const struct pair weight_rest = soft_sum_of(samples, SOFT_WEIGHT, lane);
    const struct pair wrong = soft_with_top(soft_sum_of(samples, SOFT_WRONG, lane),
                                            v_mul(v_sub(v_set(REAL(1.0)), t), lift));
    const struct pair right = soft_with_top(soft_sum_of(samples, SOFT_RIGHT, lane), v_mul(t, lift));
    return (struct soft_sample){
        .rest = soft_sum_of(samples, SOFT_REST, lane),
        .total = soft_total(samples, lane),
        .weight_rest = weight_rest,
        .weight = soft_with_top(weight_rest, v_load(samples->top_second + lane)),
        .reciprocal = reciprocal,
        .wrong = v_mul(wrong.high, reciprocal),
        .wrong_reciprocal = v_div(v_set(REAL(1.0)), v_max(v_set(REAL_MIN), wrong.high)),
        .right = v_mul(right.high, reciprocal),
        .power = v_load(samples->power + lane),
        .cross = v_load(samples->cross + lane),
        .gamma = soft_slope_gamma(soft, soft->gamma),
    };
}

/* top - k of the sums of a pair without the top class and with it. */
KERNEL_INLINE vreal soft_others(vmask is_top, struct pair rest, struct pair all, vreal own) {
    const vreal others = v_add(v_sub(all.high, own), all.low);
    return v_select(is_top, v_add(rest.high, rest.low), others);
}

KERNEL_INLINE struct soft_derivatives soft_of_sample(const struct fghm_soft *soft,
                                                     const struct soft_sample *sample,
                                                     const struct soft_class *of, vreal t,
                                                     vreal u) {
    const vreal rest = soft_others(of->is_top, sample->weight_rest, sample->weight, u);
    const vreal slope = v_mulsub(of->p, rest, v_mul(u, of->q));
    /* P - t, from the smaller ones of P and t, and 1 - P and 1 - t. */
    const vmask is_large = v_gt(t, v_set(REAL(0.5)));
    const vreal apart = v_select(is_large, v_sub(v_sub(v_set(REAL(1.0)), t), sample->wrong),
                                 v_sub(sample->right, t));
    /* In this order: lifted numbers are not too small. */
    const vreal relative = v_mul(v_mul(of->exponential, apart), sample->wrong_reciprocal);
    const vreal gamma_relative = v_mul(sample->gamma, relative);
    const vreal plain = v_mul(sample->weight.high, v_mul(of->p, of->q));
    vreal hessian = plain;
    if (!soft->hessian) {
        /* Nobody asks. */
    } else if (soft->gauss_newton) {
        /* In this order: Q may be so small that 1 / Q is too large, or its power too small. */
        const vreal lifted = v_mul(v_mul(of->exponential, of->q), sample->power);
        const vreal share = v_mul(lifted, sample->wrong_reciprocal);
        const vreal focus = v_mul(v_mul(sample->gamma, sample->cross), sample->right);
        hessian = v_muladd(focus, share, v_mul(sample->power, plain));
    } else {
        const vreal curve = v_add(v_sub(of->q, of->p), v_sub(gamma_relative, relative));
        const vreal bracket = v_muladd(sample->cross, curve, v_add(slope, slope));
        hessian = v_mul(sample->power, v_muladd(gamma_relative, bracket, plain));
    }
    return (struct soft_derivatives){
        v_mul(sample->power, v_muladd(sample->cross, gamma_relative, slope)), hessian};
}

/* The same where the factor is that of each class. */
struct soft_split {
    struct pair slope_rest, slope, steepness, bend_rest;
    vreal top_bend, rest;
};

KERNEL_INLINE struct soft_split soft_split_of(const struct soft_samples *samples, size_t lane) {
    const struct pair slope_rest = soft_sum_of(samples, SOFT_SLOPES, lane);
    const struct pair rest = soft_sum_of(samples, SOFT_REST, lane);
    const vreal top_slope = v_load(samples->top_first + lane);
    return (struct soft_split){
        .slope_rest = slope_rest,
        .slope = soft_with_top(slope_rest, top_slope),
        .steepness = soft_with_top(soft_sum_of(samples, SOFT_STEEPNESS, lane), v_abs(top_slope)),
        .bend_rest = soft_sum_of(samples, SOFT_BENDS, lane),
        .top_bend = v_load(samples->top_second + lane),
        .rest = v_max(v_set(REAL_MIN), rest.high),
    };
}

KERNEL_INLINE struct soft_derivatives soft_of_class(const struct fghm_soft *soft,
                                                    const struct soft_split *split,
                                                    const struct soft_class *of, vreal slope,
                                                    vreal bend) {
    const vreal others = soft_others(of->is_top, split->slope_rest, split->slope, slope);
    const vreal product = v_mul(of->p, of->q);
    vreal hessian = product;
    if (!soft->hessian) {
        /* Nobody asks. */
    } else if (soft->gauss_newton) {
        hessian = v_mul(split->steepness.high, product);
    } else {
        /* j of the top class can be as large as 1 / q is. */
        const vreal share = v_div(v_drop(of->is_top, of->exponential), split->rest);
        const vreal own = soft_bend_of_other(of, bend);
        const vreal bends = v_add(v_sub(split->bend_rest.high, own), split->bend_rest.low);
        const vreal all = v_mul(of->p, v_muladd(share, split->top_bend, v_mul(of->p, bends)));
        hessian = v_muladd(of->q, bend, v_muladd(product, split->slope.high, all));
    }
    return (struct soft_derivatives){v_mulsub(of->p, others, v_mul(slope, of->q)), hessian};
}

/* The derivatives of a part, in the place of exponentials and logits. */
static void soft_spread(const struct fghm_soft *soft, void *tile_samples) {
    struct soft_samples *const samples = tile_samples;
    const struct spread_modes modes = spread_modes_of(&soft->modes);
    FOR_LANES(lane) {
        const struct soft_sample sample = soft_sample_of(soft, samples, lane);
        const struct soft_split split = soft_split_of(samples, lane);
        const vreal top = v_load(samples->top + lane);
        const vreal factor = v_load(samples->factor + lane);
        vreal at = v_set((real)soft->start);
        for (size_t c = 0; c < soft->classes; c++) {
            const size_t i = c * SUM_LANES + lane;
            const struct soft_class of =
                soft_class_of(v_eq(at, top), v_load(samples->exponentials + i), sample.rest,
                              sample.total, sample.reciprocal);
            const vreal t = v_load(samples->targets + i);
            const struct soft_derivatives derivatives =
                soft->by_class
                    ? soft_of_class(soft, &split, &of, v_load(samples->logits + i), t)
                    : soft_of_sample(soft, &sample, &of, t, v_mul(t, soft_class_factor(soft, c)));
            at = v_add(at, v_set(REAL(1.0)));
            const vreal gradient = v_mul(derivatives.gradient, factor);
            v_store(samples->exponentials + i, gradient);
            if (soft->hessian) {
                v_store(samples->logits + i,
                        spread_mode(&modes, factor, gradient, v_mul(derivatives.hessian, factor)));
            }
        }
    }
}

#undef FOR_LANES

#endif
