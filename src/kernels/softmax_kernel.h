/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_SOFTMAX_KERNEL_H
#define FGHM_KERNELS_SOFTMAX_KERNEL_H

/* Softmax as a margin.  The probability of class y among the classes is
 *
 *     p_y = exp(x_y) / sum over c of exp(x_c) = sigmoid(z),
 *     z   = x_y - log(sum over c other than y of exp(x_c)),
 *
 * so the loss of a sample is the sigmoid form's loss of one element with logit z and
 * target 1, with G and H for its derivatives, and with r_c = exp(x_c) / sum over the
 * others of exp,
 *
 *     d / dx_y = G,        d2 / dx_y2 = H,
 *     d / dx_c = -G r_c,   d2 / dx_c2 = H r_c^2 - G r_c (1 - r_c).
 *
 * Nothing cancels, nothing is divided by 1 - p.
 *
 * These are the loops over classes; src/walk/softmax_walk.h says in which order and over what.
 * Lanes of a register are classes of one sample (rows), or samples of one class (columns).  Both
 * find the largest logit of the others first, and both add the exponentials in the same order: of
 * each 64 classes, four that are 16 apart are added in their own type, in pairs, and the sums go
 * to 16 lanes of a sum. */

#include "kernels/focal_kernel.h"
#include "kernels/samples.h"

/* What several of them call. */
#define KERNEL_LOOP static __attribute__((noinline, hot))

/* Exponentials --------------------------------------------------------------- */

#if FGHM_REAL_BITS == 32
#define LIFT_DROP 0x1p-64f
#define STEP 0x1.62e43p-4f /* ln 2 / 8 */
#else
#define LIFT_DROP 0x1p-512
#define STEP 0x1.62e42fefa39efp-4
#endif

_Static_assert(LIFT_EXPONENT == EXP_LIFT_EXPONENT, "exponentials of the table are lifted");

#define FOR_REGISTERS KERNEL_UNROLL for (int k = 0; k < count; k++)

/* Makes lifted exponentials of `count` registers of logits, at most four and each at most
 * `largest`; NaN of NaN, and 0 from EXP_MOST below `largest` on.  The difference is rounded, by
 * half a unit in its last place, of which STEP in one part takes less; from there on, the error is
 * 1.9 units (2 without fused multiply-add), since what the table's entries lack is left out.  Step
 * by step: a chain of these operations is longer than what out-of-order execution overlaps. */
KERNEL_INLINE void lifted_exps(int count, vreal *x, vreal largest) {
    vreal rounded[4], r[4], power[4], w[4];
    FOR_REGISTERS {
        x[k] = v_min(v_set(EXP_MOST), v_sub(largest, x[k]));
    }
    FOR_REGISTERS {
        rounded[k] = exp_rounded(x[k]);
    }
    FOR_REGISTERS {
        r[k] = v_muladd(v_sub(rounded[k], v_set(REAL_ROUND)), v_set(STEP), x[k]);
        power[k] = v_step(v_lookup8(exp_powers, v_index_bits(rounded[k])), rounded[k]);
    }
    FOR_REGISTERS {
        w[k] = v_mul(r[k], v_mulsub(r[k], exp_tail(r[k]), v_set(REAL(1.0))));
    }
    FOR_REGISTERS {
        x[k] = exponential_sum((struct exponential){power[k], w[k]});
    }
}

#undef FOR_REGISTERS

KERNEL_INLINE vreal lifted_exp(vreal logit, vreal largest) {
    lifted_exps(1, &logit, largest);
    return logit;
}

/* What is added up: the exponentials, or all of them but those of the largest logit. */
enum summand { ALL, BELOW_LARGEST };

KERNEL_INLINE vreal summand_of(enum summand summand, vreal exponential) {
    return summand == ALL ? exponential : v_drop(v_eq(exponential, v_set(LIFT)), exponential);
}

/* Outputs of one sample or register ------------------------------------------- */

/* How the Hessian is to be. */
struct spread_modes {
    vmask absolute, of_gradient, has_floor;
    vreal hessian_factor;
    vreal hessian_floor; /* 0 if there is none */
};

/* The derivatives of a margin, and what turns them into those of the logits. */
struct spread {
    vreal gradient, hessian; /* G and H */
    vreal reciprocal;        /* of the sum of lifted exponentials */
    vreal sum;
    vreal dominant; /* LIFT where the largest of the others is more than half of all */
    vreal rest;     /* the sum without that one */
    vreal factor;   /* of the floor of the Hessian */
};

static inline struct spread_modes spread_modes_of(const struct fghm_spread *spread) {
    const vreal floor = v_set_factor(spread->hessian_floor);
    const vmask has_floor = v_gt(floor, v_set(-REAL_MAX));
    return (struct spread_modes){
        .absolute = v_eq(v_set(spread->absolute || spread->of_gradient), v_set(REAL(1.0))),
        .of_gradient = v_eq(v_set(spread->of_gradient), v_set(REAL(1.0))),
        .hessian_factor = v_set_factor(spread->hessian_factor),
        .has_floor = has_floor,
        .hessian_floor = v_keep(has_floor, floor),
    };
}

KERNEL_INLINE vreal reciprocal_of_sum(struct pair sum) {
    const vreal divisor = v_max(v_set(REAL_MIN), sum.high);
    const vreal quotient = v_div(v_set(REAL(1.0)), divisor);
    return v_nmuladd(v_mul(sum.low, quotient), quotient, quotient);
}

/* Of a register of samples, or of one in all lanes. */
KERNEL_INLINE struct spread spread_of(vreal gradient, vreal hessian, vreal factor,
                                      struct pair sum) {
    const vmask is_dominated = v_gt(v_set(REAL(2.0) * LIFT), sum.high);
    return (struct spread){
        .gradient = gradient,
        .hessian = hessian,
        .reciprocal = reciprocal_of_sum(sum),
        .sum = sum.high,
        .dominant = v_keep(is_dominated, v_set(LIFT)),
        .rest = v_set(REAL(0.0)),
        .factor = factor,
    };
}

KERNEL_INLINE vreal spread_gradient(vreal gradient, vreal reciprocal, vreal exponential) {
    return v_mul(v_sub(v_set(REAL(0.0)), gradient), v_mul(exponential, reciprocal));
}

/* The mode is that of the Hessian before factors, so of a negative one the sign comes after
 * it. */
KERNEL_INLINE vreal spread_mode(const struct spread_modes *modes, vreal factor, vreal gradient,
                                vreal exact) {
    const vmask is_negative = v_gt(v_set(REAL(0.0)), factor);
    const vreal signed_exact =
        v_negate_where(is_negative, v_select(modes->of_gradient, gradient, exact));
    const vreal magnitude = v_select(modes->absolute, v_abs(signed_exact), signed_exact);
    const vreal product = v_mul(modes->hessian_floor, v_negate_where(is_negative, factor));
    const vreal floor = v_select(modes->has_floor, product, v_set(-REAL_MAX));
    return v_mul(v_negate_where(is_negative, v_max(floor, magnitude)), modes->hessian_factor);
}

KERNEL_INLINE vreal spread_hessian(const struct spread_modes *modes, const struct spread *spread,
                                   vreal exponential) {
    const vmask is_dominant = v_eq(exponential, spread->dominant);
    const vreal others = v_select(is_dominant, spread->rest, v_sub(spread->sum, exponential));
    const vreal share = v_mul(exponential, spread->reciprocal);
    const vreal minus_gradient = v_sub(v_set(REAL(0.0)), spread->gradient);
    const vreal slope = v_mul(minus_gradient, v_mul(others, spread->reciprocal));
    const vreal exact = v_mul(share, v_muladd(spread->hessian, share, slope));
    return spread_mode(modes, spread->factor, v_mul(share, minus_gradient), exact);
}

/* Rows --------------------------------------------------------------------------- */

/* Numbers that are worked on together: four registers. */
#define TOGETHER ((size_t)4 * V_LANES)

/* Stores the first n lanes, not all, in pieces: a store with a mask would hold up loads of what
 * follows, which is the next row, until it is through. */
KERNEL_INLINE void store_first(real *to, size_t n, vreal a) {
    real lanes[V_LANES];
    v_store(lanes, a);
    const real *from = lanes;
    KERNEL_UNROLL
    for (size_t piece = V_LANES / 2; piece > 0; piece /= 2) {
        if (n & piece) {
            memcpy(to, from, piece * sizeof(real));
            to += piece;
            from += piece;
        }
    }
}

/* Copies n numbers, few of them. */
KERNEL_LOOP void copy_reals(size_t n, const real *from, real *to) {
    size_t i = 0;
    for (; i + V_LANES <= n; i += V_LANES) {
        v_store(to + i, v_load(from + i));
    }
    for (; i < n; i++) {
        to[i] = from[i];
    }
}

/* A row, TOGETHER classes at a time: those of the caller, or copies of those with the own class,
 * for which -inf stands, and of the last ones, if they are fewer, which -inf follows to the end of
 * a register. */
struct row {
    const real *logits;
    size_t own_group, last_group; /* where they begin */
    size_t filled;                /* numbers of the last that are worked on */
    real own[TOGETHER], last[TOGETHER];
};

static const real lane_numbers[SUM_LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* A register of which n numbers are there, -inf behind them. */
KERNEL_INLINE vreal load_or_nothing(const real *from, size_t n) {
    return n >= V_LANES ? v_load(from) : v_load_first(from, n, -(real)INFINITY);
}

KERNEL_INLINE void store_what_is_there(real *to, size_t n, vreal a) {
    if (n >= V_LANES) {
        v_store(to, a);
    } else {
        store_first(to, n, a);
    }
}

/* -inf in the place of a number.  A whole register is stored, as it will be loaded: processors wait
 * where the one is a part of the other. */
KERNEL_INLINE void take_away(real *numbers, size_t place) {
    real *const to = numbers + place / V_LANES * V_LANES;
    const vmask is_it = v_eq(v_load(lane_numbers), v_set((real)(place % V_LANES)));
    v_store(to, v_select(is_it, v_set(-(real)INFINITY), v_load(to)));
}

KERNEL_LOOP void row_copy(struct row *row, const real *logits, size_t n, size_t own) {
    const size_t left = n % TOGETHER;
    row->logits = logits;
    row->last_group = n - left;
    row->filled = (left + V_LANES - 1) / V_LANES * V_LANES;
    row->own_group = own < row->last_group ? own / TOGETHER * TOGETHER : SIZE_MAX;
    for (size_t i = 0; i < left; i += V_LANES) {
        v_store(row->last + i, load_or_nothing(logits + row->last_group + i, left - i));
    }
    if (own < row->last_group) {
        KERNEL_UNROLL
        for (size_t k = 0; k < TOGETHER; k += V_LANES) {
            v_store(row->own + k, v_load(logits + row->own_group + k));
        }
        take_away(row->own, own % TOGETHER);
    } else if (own < n) {
        take_away(row->last, own % TOGETHER);
    }
}

/* TOGETHER logits, not the last ones. */
KERNEL_INLINE const real *row_group(const struct row *row, size_t i) {
    return i == row->own_group ? row->own : row->logits + i;
}

/* The largest lane, none of which is NaN. */
KERNEL_INLINE real largest_lane(vreal a) {
#ifdef V_HAS_LARGEST
    return v_largest(a);
#else
    real lanes[V_LANES];
    v_store(lanes, a);
    KERNEL_UNROLL
    for (size_t width = V_LANES / 2; width > 0; width /= 2) {
        KERNEL_UNROLL
        for (size_t lane = 0; lane < width; lane++) {
            const real other = lanes[lane + width];
            lanes[lane] = other > lanes[lane] ? other : lanes[lane];
        }
    }
    return lanes[0];
#endif
}

KERNEL_LOOP real row_find_largest(const struct row *row, real largest) {
    vreal most[4];
    KERNEL_UNROLL
    for (size_t k = 0; k < 4; k++) {
        most[k] = v_set(largest);
    }
    for (size_t i = 0; i < row->last_group; i += TOGETHER) {
        const real *const logits = row_group(row, i);
        KERNEL_UNROLL
        for (size_t k = 0; k < 4; k++) {
            most[k] = v_max(v_load(logits + k * V_LANES), most[k]);
        }
    }
    for (size_t i = 0; i < row->filled; i += V_LANES) {
        most[0] = v_max(v_load(row->last + i), most[0]);
    }
    return largest_lane(v_max(v_max(most[0], most[1]), v_max(most[2], most[3])));
}

KERNEL_LOOP void row_sum_start(struct lane_sum *sum, const struct fghm_sum *total) {
    lane_sum_start(sum, total);
}

/* After FOURS exponentials from i on. */
KERNEL_INLINE void row_sum_next(struct lane_sum *sum, size_t i) {
    if ((i + FOURS) % CHUNK == 0) {
        lane_sum_end_chunk(sum);
    }
}

KERNEL_LOOP void row_sum_end(struct lane_sum *sum, struct fghm_sum *total) {
    lane_sum_end_chunk(sum);
    lane_sum_end(sum, total);
}

/* Adds up to FOURS exponentials, whole registers, as add_fours adds FOURS of them and 0. */
KERNEL_INLINE void add_some(vsum *sum, size_t n, const real *from) {
    for (size_t part = 0; part < SUM_LANES; part += V_LANES) {
        vreal two[2];
        KERNEL_UNROLL
        for (size_t half = 0; half < 2; half++) {
            const size_t start = part + 2 * half * SUM_LANES;
            two[half] = v_set(REAL(0.0));
            for (size_t at = start; at < n && at <= start + SUM_LANES; at += SUM_LANES) {
                two[half] = v_add(two[half], v_load(from + at));
            }
        }
        v_sum_add(sum, (int)(part / V_LANES), v_add(two[0], two[1]));
    }
}

KERNEL_LOOP void row_add_some(struct lane_sum *sum, size_t n, const real *from) {
    add_some(&sum->sum, n, from);
}

/* The exponentials of the last logits of a row, from class i on, n of them, fewer than FOURS. */
KERNEL_LOOP void row_end(const struct row *row, size_t i, size_t n, vreal largest,
                         real *exponentials, struct lane_sum *sum) {
    const size_t groups = n / TOGETHER * TOGETHER;
    real block[FOURS];
    real *const to = exponentials != NULL && n % V_LANES == 0 ? exponentials : block;
    for (size_t at = 0; at < n; at += V_LANES) {
        const size_t start = at / TOGETHER * TOGETHER;
        const real *const logits = start < groups ? row_group(row, i + start) : row->last;
        v_store(to + at, lifted_exp(v_load(logits + at % TOGETHER), largest));
    }
    row_add_some(sum, n, to);
    if (exponentials != NULL && to == block) {
        copy_reals(n, block, exponentials);
    }
}

KERNEL_LOOP void row_exponentials(const struct row *row, size_t n, real most, real *exponentials,
                                  struct fghm_sum *total) {
    const vreal largest = v_set(most);
    real unwanted[FOURS];
    struct lane_sum sum;
    row_sum_start(&sum, total);
    size_t i = 0;
    for (; i + FOURS <= n; i += FOURS) {
        real *const to = exponentials != NULL ? exponentials + i : unwanted;
        for (size_t at = 0; at < FOURS; at += TOGETHER) {
            const real *const logits = row_group(row, i + at);
            vreal e[4];
            KERNEL_UNROLL
            for (size_t k = 0; k < 4; k++) {
                e[k] = v_load(logits + k * V_LANES);
            }
            lifted_exps(4, e, largest);
            KERNEL_UNROLL
            for (size_t k = 0; k < 4; k++) {
                v_store(to + at + k * V_LANES, e[k]);
            }
        }
        add_fours(&sum.sum, 1, to);
        row_sum_next(&sum, i);
    }
    if (i < n) {
        row_end(row, i, n - i, largest, exponentials == NULL ? NULL : exponentials + i, &sum);
    }
    row_sum_end(&sum, total);
}

/* The largest of n logits, without that of the own class, and *largest. */
static void row_largest(size_t n, size_t own, const void *logits, void *row_largest) {
    real *const largest = row_largest;
    struct row row;
    row_copy(&row, logits, n, own);
    *largest = row_find_largest(&row, *largest);
}

/* Lifted exponentials of n logits, 0 for the own class, to `exponentials` unless that is NULL, and
 * to the sum.  n is a multiple of CHUNK, but for the last classes of a row. */
static void row_lift(size_t n, size_t own, const void *logits, const void *largest,
                     void *exponentials, struct fghm_sum *total) {
    struct row row;
    row_copy(&row, logits, n, own);
    row_exponentials(&row, n, *(const real *)largest, exponentials, total);
}

KERNEL_INLINE real *row_of(const struct fghm_rows *rows, size_t k) {
    return rows->first == NULL ? NULL : (real *)rows->first + (ptrdiff_t)k * rows->step;
}

/* Rows that are worked on at a time, step by step: what is done with one of them is a chain, and
 * out-of-order execution overlaps those of several where a step is short. */
#define ROWS ((size_t)4)

KERNEL_LOOP void row_set_sum(const struct fghm_sum *sum, size_t sample,
                             struct softmax_samples *samples) {
    set_sum(sum_of_lanes(sum, sizeof(real)), &samples->sum[sample], &samples->sum_low[sample]);
}

/* Rows of up to CHUNK classes are copied as a whole. */

/* Copies n logits, -inf for that of the own class and behind them to the end of a register; returns
 * the largest. */
KERNEL_INLINE real short_row_copy(size_t n, size_t own, const real *logits, real *row) {
    const vreal own_class = v_set((real)own);
    vreal class = v_load(lane_numbers);
    vreal most = v_set(-REAL_MAX);
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal logit = load_or_nothing(logits + i, n - i);
        const vmask is_own = v_eq(class, own_class);
        const vreal other = v_select(is_own, v_set(-(real)INFINITY), logit);
        most = v_max(other, most);
        class = v_add(class, v_set((real)V_LANES));
        v_store(row + i, other);
    }
    return largest_lane(most);
}

/* Makes exponentials of them: the last ones, fewer than FOURS, in place, and all where they are
 * wanted.  Returns where FOURS of them are, and FOURS again. */
KERNEL_INLINE const real *short_row_exponentials(size_t n, real largest, real *row,
                                                 real *exponentials) {
    const vreal most = v_set(largest);
    real *const to = exponentials != NULL ? exponentials : row;
    size_t i = 0;
    for (; i + FOURS <= n; i += FOURS) {
        for (size_t at = i; at < i + FOURS; at += TOGETHER) {
            vreal e[4];
            KERNEL_UNROLL
            for (size_t k = 0; k < 4; k++) {
                e[k] = v_load(row + at + k * V_LANES);
            }
            lifted_exps(4, e, most);
            KERNEL_UNROLL
            for (size_t k = 0; k < 4; k++) {
                v_store(to + at + k * V_LANES, e[k]);
            }
        }
    }
    for (; i < n; i += V_LANES) {
        const vreal e = lifted_exp(v_load(row + i), most);
        v_store(row + i, e);
        if (exponentials != NULL) {
            store_what_is_there(exponentials + i, n - i, e);
        }
    }
    return to;
}

KERNEL_INLINE double short_row_sum(size_t n, const real *fours, const real *row) {
    const size_t whole = n / FOURS * FOURS;
    vsum sum;
    v_sum_zero(&sum);
    add_fours(&sum, n / FOURS, fours);
    if (whole < n) {
        add_some(&sum, (n - whole + V_LANES - 1) / V_LANES * V_LANES, row + whole);
    }
    double lanes[SUM_LANES];
    v_sum_store(lanes, &sum);
    return sum_of_sixteen(lanes);
}

KERNEL_LOOP void short_rows_reduce(size_t first, size_t n, size_t classes,
                                   const struct fghm_rows *logits,
                                   const struct fghm_rows *exponentials,
                                   struct softmax_samples *samples) {
    for (size_t start = 0; start < n; start += ROWS) {
        const size_t count = n - start < ROWS ? n - start : ROWS;
        real row[ROWS][CHUNK];
        const real *fours[ROWS];
        for (size_t k = 0; k < count; k++) {
            const real *const of = row_of(logits, start + k);
            const size_t sample = first + start + k, own = (size_t)samples->columns[sample];
            samples->own[sample] = of[own];
            samples->largest[sample] = short_row_copy(classes, own, of, row[k]);
        }
        for (size_t k = 0; k < count; k++) {
            fours[k] = short_row_exponentials(classes, samples->largest[first + start + k], row[k],
                                              row_of(exponentials, start + k));
        }
        for (size_t k = 0; k < count; k++) {
            const size_t sample = first + start + k;
            const double sum = short_row_sum(classes, fours[k], row[k]);
            set_sum(sum, &samples->sum[sample], &samples->sum_low[sample]);
        }
    }
}

/* Both, of whole rows, and what else is to be known of them. */
static void rows_reduce(size_t first, size_t n, size_t classes, const struct fghm_rows *logits,
                        const struct fghm_rows *exponentials, void *tile_samples) {
    struct softmax_samples *const samples = tile_samples;
    if (classes <= CHUNK) {
        short_rows_reduce(first, n, classes, logits, exponentials, samples);
        return;
    }
    for (size_t start = 0; start < n; start += ROWS) {
        const size_t end = n - start < ROWS ? n : start + ROWS;
        struct row rows[ROWS];
        struct fghm_sum sums[ROWS];
        for (size_t k = start; k < end; k++) {
            const real *const of = row_of(logits, k);
            const size_t sample = first + k, own = (size_t)samples->columns[sample];
            row_copy(&rows[k - start], of, classes, own);
            samples->own[sample] = of[own];
        }
        for (size_t k = start; k < end; k++) {
            samples->largest[first + k] = row_find_largest(&rows[k - start], -REAL_MAX);
        }
        for (size_t k = start; k < end; k++) {
            sum_start(&sums[k - start]);
            row_exponentials(&rows[k - start], classes, samples->largest[first + k],
                             row_of(exponentials, k), &sums[k - start]);
        }
        for (size_t k = start; k < end; k++) {
            row_set_sum(&sums[k - start], first + k, samples);
        }
    }
}

/* Adds n exponentials without that of the largest logit. */
static void row_rest(size_t n, const void *row_exponentials, struct fghm_sum *total) {
    const real *const exponentials = row_exponentials;
    real block[FOURS];
    struct lane_sum sum;
    row_sum_start(&sum, total);
    for (size_t i = 0; i < n; i += FOURS) {
        const size_t left = n - i < FOURS ? n - i : FOURS;
        if (left < FOURS) {
            memset(block, 0, sizeof block);
        }
        copy_reals(left, exponentials + i, block);
        for (size_t at = 0; at < FOURS; at += V_LANES) {
            v_store(block + at, summand_of(BELOW_LARGEST, v_load(block + at)));
        }
        row_add_some(&sum, FOURS, block);
        row_sum_next(&sum, i);
    }
    row_sum_end(&sum, total);
}

/* The derivatives of the classes from `start` on of a sample, of which the Hessian is wanted. */
KERNEL_LOOP void row_spread(const struct spread_modes *modes, const struct spread *of, size_t own,
                            size_t classes, const real *exponentials, real *gradient,
                            real *hessian) {
    const struct spread spread = *of; /* which no output is seen to change */
    for (size_t i = 0; i < classes; i += V_LANES) {
        const size_t left = classes - i;
        const vreal e =
            left >= V_LANES ? v_load(exponentials + i) : v_load_first(exponentials + i, left, 0);
        if (gradient != NULL) {
            store_what_is_there(gradient + i, left,
                                spread_gradient(spread.gradient, spread.reciprocal, e));
        }
        store_what_is_there(hessian + i, left, spread_hessian(modes, &spread, e));
    }
    if (own >= classes) {
        return;
    }
    real lanes[V_LANES];
    if (gradient != NULL) {
        v_store(lanes, spread.gradient);
        gradient[own] = lanes[0];
    }
    v_store(lanes, spread_mode(modes, spread.factor, spread.gradient, spread.hessian));
    hessian[own] = lanes[0];
}

/* Gradients alone. */
KERNEL_LOOP void rows_gradients(const struct fghm_spread *of, size_t first, size_t n, size_t start,
                                size_t classes, const struct fghm_rows *exponentials,
                                const struct fghm_rows *gradients) {
    const struct softmax_samples *const samples = of->samples;
    real reciprocals[SOFTMAX_TILE];
    for (size_t k = first / V_LANES * V_LANES; k < first + n; k += V_LANES) {
        const struct pair sum = {v_load(samples->sum + k), v_load(samples->sum_low + k)};
        v_store(reciprocals + k, reciprocal_of_sum(sum));
    }
    for (size_t k = 0; k < n; k++) {
        const size_t sample = first + k, own = (size_t)samples->columns[sample] - start;
        const real own_gradient = ((const real *)of->gradient)[sample];
        const vreal factor = v_set(own_gradient), reciprocal = v_set(reciprocals[sample]);
        const real *const row = row_of(exponentials, k);
        real *const gradient = row_of(gradients, k);
        size_t i = 0;
        for (; i + V_LANES <= classes; i += V_LANES) {
            v_store(gradient + i, spread_gradient(factor, reciprocal, v_load(row + i)));
        }
        if (i < classes) {
            const vreal e = v_load_first(row + i, classes - i, 0);
            store_first(gradient + i, classes - i, spread_gradient(factor, reciprocal, e));
        }
        if (own < classes) {
            gradient[own] = own_gradient;
        }
    }
}

/* The derivatives of `classes` logits from `start` on, from their exponentials, which may be in the
 * place of one of them. */
static void rows_spread(const struct fghm_spread *of, size_t first, size_t n, size_t start,
                        size_t classes, const struct fghm_rows *exponentials,
                        const struct fghm_rows *gradient, const struct fghm_rows *hessian) {
    if (hessian->first == NULL) {
        rows_gradients(of, first, n, start, classes, exponentials, gradient);
        return;
    }
    const struct softmax_samples *const samples = of->samples;
    const struct spread_modes modes = spread_modes_of(of);
    for (size_t k = 0; k < n; k++) {
        const size_t sample = first + k;
        const struct pair sum = {v_set(samples->sum[sample]), v_set(samples->sum_low[sample])};
        struct spread spread = spread_of(v_set(((const real *)of->gradient)[sample]),
                                         v_set(((const real *)of->hessian)[sample]),
                                         v_set(((const real *)of->factors)[sample]), sum);
        spread.rest = v_set(samples->rest[sample]);
        row_spread(&modes, &spread, (size_t)samples->columns[sample] - start, classes,
                   row_of(exponentials, k), row_of(gradient, k), row_of(hessian, k));
    }
}

#undef TOGETHER

/* Columns ---------------------------------------------------------------------- */

static inline real *column_of(const struct fghm_columns *columns, size_t c, size_t lane) {
    return (real *)columns->first + (ptrdiff_t)c * columns->step + lane;
}

/* What is known of samples before their first class. */
KERNEL_LOOP void columns_start(const struct fghm_columns_part *part,
                               struct softmax_samples *samples) {
    for (size_t k = part->first; k < part->first + part->lanes; k += SUM_LANES) {
        for (size_t lane = 0; lane < SUM_LANES; lane++) {
            samples->column[k + lane] = (real)samples->columns[k + lane];
            samples->own[k + lane] = 0;
            samples->largest[k + lane] = -REAL_MAX;
            samples->rest[k + lane] = 0;
        }
    }
}

/* The largest logits of the others, and those of the samples' own classes. */
static void columns_largest(const struct fghm_columns_part *part, const struct fghm_columns *logits,
                            void *tile_samples) {
    struct softmax_samples *const samples = tile_samples;
    if (part->start == 0) {
        columns_start(part, samples);
    }
    for (size_t lane = 0; lane < part->lanes; lane += V_LANES) {
        const size_t k = part->first + lane;
        const vreal own_class = v_load(samples->column + k);
        vreal most = v_load(samples->largest + k);
        vreal own_logit = v_load(samples->own + k);
        vreal at = v_set((real)part->start);
        for (size_t c = 0; c < part->classes; c++) {
            const vreal x = v_load(column_of(logits, c, lane));
            const vmask is_own = v_eq(own_class, at);
            most = v_select(is_own, most, v_max(x, most));
            own_logit = v_select(is_own, x, own_logit);
            at = v_add(at, v_set(REAL(1.0)));
        }
        v_store(samples->largest + k, most);
        v_store(samples->own + k, own_logit);
    }
}

/* Adds the exponentials of up to FOURS classes. */
KERNEL_LOOP void columns_add(enum summand summand, const struct fghm_columns_part *part,
                             const struct fghm_columns *exponentials, double *to) {
    const size_t used = part->classes < SUM_LANES ? part->classes : SUM_LANES;
    const bool starts = part->start == 0;
    for (size_t at = 0; at < part->lanes; at += SUM_LANES) {
        for (size_t c = 0; c < part->sums && c < used; c++) {
            double *const total = to + (at + c) * SUM_LANES;
            vsum sum;
            if (starts) {
                v_sum_zero(&sum);
            } else {
                v_sum_load(&sum, total);
            }
            for (size_t first = c; first < used; first += part->sums) {
                for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
                    vreal two[2];
                    KERNEL_UNROLL
                    for (size_t half = 0; half < 2; half++) {
                        const size_t start = first + 2 * half * SUM_LANES;
                        two[half] = v_set(REAL(0.0));
                        for (size_t k = start; k < part->classes && k <= start + SUM_LANES;
                             k += SUM_LANES) {
                            const vreal e = v_load(column_of(exponentials, k, at + lane));
                            two[half] = v_add(two[half], summand_of(summand, e));
                        }
                    }
                    v_sum_add(&sum, (int)lane / V_LANES, v_add(two[0], two[1]));
                }
            }
            v_sum_store(total, &sum);
        }
    }
}

/* Lifted exponentials of logits, which may be in their place, 0 for the samples' own classes, and
 * the sums of them. */
static void columns_lift(const struct fghm_columns_part *part, const struct fghm_columns *logits,
                         const struct fghm_columns *exponentials, const void *tile_samples,
                         double *sums) {
    const struct softmax_samples *const samples = tile_samples;
    for (size_t lane = 0; lane < part->lanes; lane += V_LANES) {
        const vreal own_class = v_load(samples->column + part->first + lane);
        const vreal most = v_load(samples->largest + part->first + lane);
        vreal at = v_set((real)part->start);
        for (size_t c = 0; c < part->classes; c++) {
            /* The own class may be far above the largest of the others. */
            const vreal x = v_min(most, v_load(column_of(logits, c, lane)));
            const vmask is_own = v_eq(own_class, at);
            v_store(column_of(exponentials, c, lane), v_drop(is_own, lifted_exp(x, most)));
            at = v_add(at, v_set(REAL(1.0)));
        }
    }
    columns_add(ALL, part, exponentials, sums);
}

/* The sums without the exponentials of the largest logits. */
static void columns_rest(const struct fghm_columns_part *part,
                         const struct fghm_columns *exponentials, double *sums) {
    columns_add(BELOW_LARGEST, part, exponentials, sums);
}

/* The derivatives; `exponentials` may be in the place of one of them. */
static void columns_spread(const struct fghm_spread *of, const struct fghm_columns_part *part,
                           const struct fghm_columns *exponentials,
                           const struct fghm_columns *gradient,
                           const struct fghm_columns *hessian) {
    const struct softmax_samples *const samples = of->samples;
    const struct spread_modes modes = spread_modes_of(of);
    for (size_t lane = 0; lane < part->lanes; lane += V_LANES) {
        const size_t k = part->first + lane;
        const vreal own_class = v_load(samples->column + k);
        const vmask is_ignored = v_gt(v_set(REAL(0.0)), own_class);
        const struct pair sum = {v_load(samples->sum + k), v_load(samples->sum_low + k)};
        const vreal own_hessian =
            hessian->first == NULL ? v_set(REAL(0.0)) : v_load((const real *)of->hessian + k);
        struct spread spread = spread_of(v_load((const real *)of->gradient + k), own_hessian,
                                         v_load((const real *)of->factors + k), sum);
        spread.rest = v_load(samples->rest + k);
        const vreal own = spread_mode(&modes, spread.factor, spread.gradient, spread.hessian);
        vreal at = v_set((real)part->start);
        for (size_t c = 0; c < part->classes; c++) {
            const vmask is_own = v_eq(own_class, at);
            const vreal e = v_load(column_of(exponentials, c, lane));
            at = v_add(at, v_set(REAL(1.0)));
            if (gradient->first != NULL) {
                const vreal other = spread_gradient(spread.gradient, spread.reciprocal, e);
                v_store(column_of(gradient, c, lane),
                        v_drop(is_ignored, v_select(is_own, spread.gradient, other)));
            }
            if (hessian->first != NULL) {
                const vreal other = spread_hessian(&modes, &spread, e);
                v_store(column_of(hessian, c, lane),
                        v_drop(is_ignored, v_select(is_own, own, other)));
            }
        }
    }
}

/* Margins ---------------------------------------------------------------------- */

/* own - largest - log(sum), where all three are known to more digits than a number of the type
 * has. */
KERNEL_INLINE vreal margin_of(vreal own, vreal largest, struct pair sum) {
    const vreal most = v_set(REAL_MAX);
    const vreal least = v_set(-REAL_MAX);
    struct pair above = exact_sum(own, v_sub(v_set(REAL(0.0)), largest));
    /* The difference of finite logits may overflow. */
    above.low = v_keep(v_le(v_abs(above.high), most), above.low);
    above.high = v_max(least, v_min(most, above.high));
    /* 0 has no logarithm, and is looked for below. */
    const struct pair safe = {v_max(v_set(REAL_MIN), sum.high), sum.low};
    /* The other one of two classes is its own sum, 1: no logarithm. */
    const vmask is_one = m_and(v_eq(sum.high, v_set(REAL(1.0))), v_eq(sum.low, v_set(REAL(0.0))));
    const vreal margin =
        m_all(is_one) ? v_add(above.high, above.low) : pair_sum(above, minus_log_pair(safe)).high;
    const vreal finite = v_max(least, v_min(most, margin));
    const vmask is_finite = v_le(v_abs(own), most);
    const vmask alone = m_and(v_eq(sum.high, v_set(REAL(0.0))), v_eq(own, own));
    return v_select(alone, most, v_select(is_finite, finite, v_add(own, sum.high)));
}

static void softmax_margins(size_t n, const void *tile_samples, void *tile_margins) {
    const struct softmax_samples *const samples = tile_samples;
    real *const margins = tile_margins;
    for (size_t k = 0; k < n; k += V_LANES) {
        const vreal drop = v_set(LIFT_DROP);
        const struct pair sum = {v_mul(v_load(samples->sum + k), drop),
                                 v_mul(v_load(samples->sum_low + k), drop)};
        v_store(margins + k,
                margin_of(v_load(samples->own + k), v_load(samples->largest + k), sum));
    }
}

#undef KERNEL_LOOP

#endif
