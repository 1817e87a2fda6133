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
 * Two steps, with the kernels for elements between them: softmax_margins brings z, and
 * softmax_spread the derivatives of the logits.  Lanes of a register are classes of one
 * sample where the classes are neighbours in memory (rows), else samples of one class
 * (columns, of SUM_LANES samples).  Both find the largest logit of the others first, and
 * both add the exponentials in the same order: of each 64 classes, four that are 16 apart
 * are added in their own type, in pairs, and the sums go to 16 lanes of a lane_sum.
 *
 * Between the steps, the exponentials stay where the gradient will be, or the Hessian, if
 * that array has the kernels' type and goes the same way as the lanes; else they are
 * computed again. */

#include "kernels/focal_kernel.h"
#include "kernels/samples.h"
#include "kernels/storage_kernel.h"
#include "walk/cursor.h"

/* Up to so many classes are columns in any case: a row would fill a register or two. */
#define FEW_CLASSES 16

/* Loops over classes are functions of their own, and few; what leads to them counts by its size. */
#define KERNEL_LOOP static __attribute__((noinline, hot))

/* Exponentials --------------------------------------------------------------- */

/* exp(x - largest) 2^LIFT_EXPONENT: whatever is not far too small to be seen in a share is a
 * normal number. */
#if FGHM_REAL_BITS == 32
#define REAL_DTYPE FGHM_F32
#define LIFT_EXPONENT 64
#define LIFT 0x1p64f
#define LIFT_DROP 0x1p-64f
#define LIFTED_ZERO -0x1.08c842p+7f /* -(REAL_EXPONENT_BIAS + LIFT_EXPONENT) ln 2 */
#define LN2 0x1.62e43p-1f
#else
#define REAL_DTYPE FGHM_F64
#define LIFT_EXPONENT 512
#define LIFT 0x1p512
#define LIFT_DROP 0x1p-512
#define LIFTED_ZERO -0x1.09fec7ba27fbap+10
#define LN2 0x1.62e42fefa39efp-1
#endif

/* exp(r) for |r| <= 0.3466 by Horner's rule, from the highest power on.  Minimax polynomials of
 * the relative error, made with Lawson's algorithm, coefficients rounded; error 0.07 units of
 * 2^-24 and 0.11 of 2^-53. */
#if FGHM_REAL_BITS == 32
#define EXP_TERMS 7
static const real exp_terms[EXP_TERMS] = {
    0x1.6a23d2p-10f, 0x1.1239e8p-7f, 0x1.5558f2p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f, 1, 1};
#else
#define EXP_TERMS 12
static const real exp_terms[EXP_TERMS] = {0x1.ad8234199bccdp-26,
                                          0x1.28ad6f040fb7dp-22,
                                          0x1.71df238ec738ep-19,
                                          0x1.a0199a0fa6656p-16,
                                          0x1.a01a012b2343ep-13,
                                          0x1.6c16c1842941cp-10,
                                          0x1.1111111127988p-7,
                                          0x1.555555555087ep-5,
                                          0x1.55555555554fap-3,
                                          0x1.000000000000ap-1,
                                          1,
                                          1};
#endif

#define FOR_REGISTERS KERNEL_UNROLL for (int k = 0; k < count; k++)

/* Makes lifted exponentials of `count` registers of logits, at most four and each at most
 * `largest`; NaN of NaN, and 0 from LIFTED_ZERO below `largest` on.  The difference is rounded, by
 * half a unit in its last place, of which LN2 in one part takes less; from there on, the error is
 * 1.9 units.  Step by step: a chain of these operations is longer than what out-of-order
 * execution overlaps. */
KERNEL_INLINE void lifted_exps(int count, vreal *x, vreal largest) {
    const vreal round = v_set(REAL_ROUND + (REAL_EXPONENT_BIAS + LIFT_EXPONENT));
    vreal r[4], power[4];
    FOR_REGISTERS {
        x[k] = v_max(v_set(LIFTED_ZERO), v_sub(x[k], largest));
    }
    FOR_REGISTERS {
        power[k] = v_muladd(x[k], v_set(LOG2_E), round);
    }
    FOR_REGISTERS {
        r[k] = v_nmuladd(v_sub(power[k], round), v_set(LN2), x[k]);
        power[k] = v_power(power[k]);
        x[k] = v_set(exp_terms[0]);
    }
    KERNEL_UNROLL
    for (int i = 1; i < EXP_TERMS; i++) {
        FOR_REGISTERS {
            x[k] = v_muladd(x[k], r[k], v_set(exp_terms[i]));
        }
    }
    FOR_REGISTERS {
        x[k] = v_mul(x[k], power[k]);
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

KERNEL_RARE void class_sum_start(struct lane_sum *sum) {
    const struct fghm_sum zero = {.started = false};
    lane_sum_start(sum, &zero);
}

/* The lanes of a sum. */
KERNEL_LOOP void class_sum_end(const struct lane_sum *sum, double *to) {
#if FGHM_REAL_BITS == 64
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        to[lane] = sum->total[lane] + sum->error[lane];
    }
#else
    v_sum_store(to, &sum->sum);
#endif
}

/* Outputs of one sample or register ------------------------------------------- */

/* How the Hessian is to be. */
struct spread_modes {
    vmask absolute, has_floor;
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

/* Of SOFTMAX_TILE samples, or of one in all lanes. */
KERNEL_INLINE struct spread spread_of(vreal gradient, vreal hessian, vreal factor,
                                      struct pair sum) {
    const vreal divisor = v_max(v_set(REAL_MIN), sum.high);
    const vreal quotient = v_div(v_set(1), divisor);
    const vmask is_dominated = v_gt(v_set(2 * LIFT), sum.high);
    return (struct spread){
        .gradient = gradient,
        .hessian = hessian,
        .reciprocal = v_nmuladd(v_mul(sum.low, quotient), quotient, quotient),
        .sum = sum.high,
        .dominant = v_keep(is_dominated, v_set(LIFT)),
        .rest = v_set(0),
        .factor = factor,
    };
}

KERNEL_INLINE vreal spread_gradient(const struct spread *spread, vreal exponential) {
    return v_mul(v_sub(v_set(0), spread->gradient), v_mul(exponential, spread->reciprocal));
}

/* The mode is that of the Hessian before factors, so of a negative one the sign comes after
 * it. */
KERNEL_INLINE vreal spread_mode(const struct spread_modes *modes, vreal factor, vreal exact) {
    const vmask is_negative = v_gt(v_set(0), factor);
    const vreal signed_exact = v_negate_where(is_negative, exact);
    const vreal magnitude = v_select(modes->absolute, v_abs(signed_exact), signed_exact);
    const vreal product = v_mul(modes->hessian_floor, v_negate_where(is_negative, factor));
    const vreal floor = v_select(modes->has_floor, product, v_set(-REAL_MAX));
    return v_negate_where(is_negative, v_max(floor, magnitude));
}

KERNEL_INLINE vreal spread_hessian(const struct spread_modes *modes, const struct spread *spread,
                                   vreal exponential) {
    const vmask is_dominant = v_eq(exponential, spread->dominant);
    const vreal others = v_select(is_dominant, spread->rest, v_sub(spread->sum, exponential));
    const vreal share = v_mul(exponential, spread->reciprocal);
    const vreal minus_gradient = v_sub(v_set(0), spread->gradient);
    const vreal slope = v_mul(minus_gradient, v_mul(others, spread->reciprocal));
    const vreal exact = v_mul(share, v_muladd(spread->hessian, share, slope));
    return spread_mode(modes, spread->factor, exact);
}

/* Places ------------------------------------------------------------------------- */

KERNEL_RARE void place_at(struct cursor *cursor, const struct fghm_array *array, size_t index) {
    *cursor = cursor_at(array, index);
}

KERNEL_RARE void place_next(struct cursor *cursor, size_t run) {
    cursor_next(cursor, run);
}

/* Columns ---------------------------------------------------------------------- */

/* SUM_LANES samples of each class: class c at `first + c step`. */
struct columns {
    real *first; /* NULL: not there */
    ptrdiff_t step;
};

/* The samples of a block of an array in the caller's memory, if they are neighbours. */
KERNEL_RARE struct columns columns_at(const struct fghm_array *array, size_t first,
                                      size_t samples) {
    if (array->data == NULL || array->dtype != REAL_DTYPE || samples < SUM_LANES) {
        return (struct columns){NULL, 0};
    }
    struct cursor cursor;
    place_at(&cursor, array, first);
    const bool direct = cursor_stride(&cursor) == 1 && cursor_run(&cursor, SUM_LANES) == SUM_LANES;
    real *const data = direct ? (real *)array->data + cursor.offset : NULL;
    return (struct columns){data, array->class_stride};
}

/* Reads, or writes, the elements of `classes` classes and `samples` samples of an array. */
KERNEL_RARE void move_block(const struct fghm_array *array, size_t first, size_t samples,
                            size_t first_class, size_t classes, bool writes, struct columns block) {
    struct cursor cursor;
    place_at(&cursor, array, first);
    size_t length;
    for (size_t lane = 0; lane < samples; lane += length) {
        length = cursor_run(&cursor, samples - lane);
        const ptrdiff_t stride = cursor_stride(&cursor);
        ptrdiff_t offset = cursor.offset + (ptrdiff_t)first_class * array->class_stride;
        real *to = block.first + lane;
        for (size_t c = 0; c < classes; c++) {
            if (writes) {
                write_reals(array->dtype, array->data, offset, stride, length, to);
            } else {
                read_reals(array->dtype, array->data, offset, stride, length, to);
            }
            offset += array->class_stride;
            to += block.step;
        }
        place_next(&cursor, length);
    }
}

/* Columns of the samples from `at` on, where those of the whole tile have been read. */
static inline struct columns columns_in_tile(const struct fghm_class_arrays *arrays, size_t at,
                                             struct softmax_samples *of) {
    return (struct columns){of->block + at, (ptrdiff_t)softmax_tile(arrays->classes)};
}

/* A block of samples on the walk over its logits, FOURS classes at a time. */
struct column_walk {
    const struct fghm_array *array;
    size_t first, samples; /* of the batch */
    struct columns direct;
    struct columns block; /* what has been read: classes from `start` on */
    size_t start;         /* SIZE_MAX: nothing */
};

_Static_assert(FOURS *SUM_LANES <= SOFTMAX_ROOM, "a block of logits fits");

KERNEL_RARE struct column_walk column_walk_of(const struct fghm_class_arrays *arrays, size_t first,
                                              size_t at, size_t samples,
                                              struct softmax_samples *of) {
    struct column_walk walk = {arrays->logits, first + at, samples, {NULL, 0}, {NULL, 0}, SIZE_MAX};
    if (arrays->classes <= FOURS) {
        walk.block = columns_in_tile(arrays, at, of);
        walk.start = 0;
    } else {
        walk.direct = columns_at(arrays->logits, first + at, samples);
        walk.block = (struct columns){of->block, SUM_LANES};
    }
    return walk;
}

/* The logits of `classes` classes from `start` on, as if they were the first. */
KERNEL_RARE struct columns column_walk_at(struct column_walk *walk, size_t start, size_t classes) {
    if (walk->direct.first != NULL) {
        const ptrdiff_t offset = (ptrdiff_t)start * walk->direct.step;
        return (struct columns){walk->direct.first + offset, walk->direct.step};
    }
    if (walk->start != start) {
        move_block(walk->array, walk->first, walk->samples, start, classes, false, walk->block);
        walk->start = start;
    }
    return walk->block;
}

/* The largest logits of the others, and those of the samples' own classes. */
KERNEL_LOOP void columns_largest(struct column_walk *walk, size_t classes, const real *column,
                                 real *largest, real *own) {
    for (size_t start = 0; start < classes; start += FOURS) {
        const size_t count = classes - start < FOURS ? classes - start : FOURS;
        const struct columns logits = column_walk_at(walk, start, count);
        for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
            const vreal own_class = v_load(column + lane);
            vreal most = v_load(largest + lane);
            vreal own_logit = v_load(own + lane);
            vreal at = v_set((real)start);
            for (size_t c = 0; c < count; c++) {
                const vreal x = v_load(logits.first + (ptrdiff_t)c * logits.step + lane);
                const vmask is_own = v_eq(own_class, at);
                most = v_select(is_own, most, v_max(x, most));
                own_logit = v_select(is_own, x, own_logit);
                at = v_add(at, v_set(1));
            }
            v_store(largest + lane, most);
            v_store(own + lane, own_logit);
        }
    }
}

static inline struct columns columns_from(struct columns all, size_t start) {
    return (struct columns){all.first + (ptrdiff_t)start * all.step, all.step};
}

/* The exponentials of `count` classes from `start` on; 0 of the samples' own.  `to` may be where
 * the logits are. */
KERNEL_LOOP void columns_lift(struct columns logits, struct columns to, size_t start, size_t count,
                              const real *column, const real *largest) {
    for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
        const vreal own_class = v_load(column + lane);
        const vreal most = v_load(largest + lane);
        vreal at = v_set((real)start);
        for (size_t c = 0; c < count; c++) {
            const vreal x = v_load(logits.first + (ptrdiff_t)c * logits.step + lane);
            const vmask is_own = v_eq(own_class, at);
            /* The own class may be far above the largest of the others. */
            const vreal other = v_min(most, x);
            v_store(to.first + (ptrdiff_t)c * to.step + lane,
                    v_drop(is_own, lifted_exp(other, most)));
            at = v_add(at, v_set(1));
        }
    }
}

/* Adds the exponentials of up to FOURS classes. */
KERNEL_LOOP void columns_add(enum summand summand, struct columns exponentials, size_t count,
                             bool ends_chunk, size_t used, struct lane_sum *sums) {
    for (size_t c = 0; c < used; c++) {
        for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
            vreal two[2] = {v_set(0), v_set(0)};
            for (size_t k = c; k < count; k += SUM_LANES) {
                const vreal e =
                    v_load(exponentials.first + (ptrdiff_t)k * exponentials.step + lane);
                const size_t half = k / (2 * SUM_LANES);
                two[half] = v_add(two[half], summand_of(summand, e));
            }
            v_sum_add(&sums[c].sum, (int)lane / V_LANES, v_add(two[0], two[1]));
        }
    }
    for (size_t c = 0; ends_chunk && c < used; c++) {
        lane_sum_end_chunk(&sums[c]);
    }
}

/* The exponentials of `count` classes from `start` on: as they were kept, or from logits. */
KERNEL_RARE struct columns column_walk_lift(struct column_walk *walk, struct columns kept,
                                            bool computed, size_t start, size_t count,
                                            const real *column, const real *largest) {
    struct columns to = walk->block;
    if (kept.first != NULL) {
        to = columns_from(kept, start);
    }
    if (!computed) {
        columns_lift(column_walk_at(walk, start, count), to, start, count, column, largest);
        walk->start = SIZE_MAX;
    }
    return to;
}

/* Adds n lanes. */
KERNEL_LOOP void add_lanes(size_t n, double *to, const double *from) {
    for (size_t lane = 0; lane < n; lane++) {
        to[lane] += from[lane];
    }
}

/* The sums of exponentials of SUM_LANES samples, computed from logits, and kept, or as they
 * were kept. */
KERNEL_RARE void columns_sum(enum summand summand, struct column_walk *walk, struct columns kept,
                             bool computed, size_t classes, const real *column, const real *largest,
                             double *to) {
    struct lane_sum sums[SUM_LANES];
    double total[SUM_LANES][SUM_LANES];
    const size_t used = classes < SUM_LANES ? classes : SUM_LANES;
    for (size_t c = 0; c < used; c++) {
        class_sum_start(&sums[c]);
    }
    for (size_t start = 0; start < classes; start += FOURS) {
        const size_t count = classes - start < FOURS ? classes - start : FOURS;
        const bool ends_chunk = (start + FOURS) % CHUNK == 0 || start + FOURS >= classes;
        columns_add(summand, column_walk_lift(walk, kept, computed, start, count, column, largest),
                    count, ends_chunk, used, sums);
    }
    for (size_t c = 0; c < used; c++) {
        class_sum_end(&sums[c], total[c]);
    }
    /* As sum_of_sixteen adds them. */
    for (size_t width = SUM_LANES / 2; width > 0; width /= 2) {
        if (width < used) {
            const size_t rest = used - width < width ? used - width : width;
            add_lanes(rest * SUM_LANES, total[0], total[width]);
        }
    }
    memcpy(to, total[0], sizeof total[0]);
}

/* Where the exponentials of a block of samples are between the steps. */
KERNEL_RARE struct columns columns_kept(const struct fghm_class_arrays *arrays, size_t first,
                                        size_t at, size_t samples, struct softmax_samples *of) {
    if (arrays->classes <= FOURS) {
        return columns_in_tile(arrays, at, of);
    }
    struct columns kept = {NULL, 0};
    if (of->kept) {
        kept = columns_at(arrays->gradient, first + at, samples);
    }
    if (of->kept && kept.first == NULL) {
        kept = columns_at(arrays->hessian, first + at, samples);
    }
    return kept;
}

KERNEL_RARE void columns_of(const struct softmax_samples *samples, size_t at, real *column) {
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        column[lane] = (real)samples->columns[at + lane];
    }
}

KERNEL_RARE void set_sum(struct softmax_samples *samples, size_t k, double sum) {
    samples->sum[k] = (real)sum;
    samples->sum_low[k] = (real)(sum - (double)samples->sum[k]);
}

/* The sums of the samples from `at` on. */
KERNEL_RARE void columns_reduce(const struct fghm_class_arrays *arrays, size_t first, size_t at,
                                size_t lanes, struct softmax_samples *samples) {
    real column[SUM_LANES];
    double sums[SUM_LANES];
    const size_t classes = arrays->classes;
    const struct columns kept = columns_kept(arrays, first, at, lanes, samples);
    struct column_walk walk = column_walk_of(arrays, first, at, lanes, samples);
    columns_of(samples, at, column);
    columns_largest(&walk, classes, column, samples->largest + at, samples->own + at);
    for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
        real *const largest = samples->largest + at + lane;
        v_store(largest, v_max(v_set(-REAL_MAX), v_load(largest)));
    }
    columns_sum(ALL, &walk, kept, false, classes, column, samples->largest + at, sums);
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        set_sum(samples, at + lane, sums[lane]);
    }
}

/* One output of a block, on the way to the caller. */
struct column_output {
    const struct fghm_array *array;
    struct columns direct;
    real block[SUM_LANES * SUM_LANES];
};

static inline void column_output_start(struct column_output *output, const struct fghm_array *array,
                                       size_t first, size_t lanes) {
    output->array = array;
    output->direct = columns_at(array, first, lanes);
}

/* Where SUM_LANES classes from `start` on are to go, if anywhere. */
KERNEL_RARE struct columns column_output_at(struct column_output *output, size_t start) {
    if (output->direct.first != NULL) {
        return columns_from(output->direct, start);
    }
    return (struct columns){output->array->data == NULL ? NULL : output->block, SUM_LANES};
}

KERNEL_RARE void column_output_end(struct column_output *output, size_t first, size_t lanes,
                                   size_t start, size_t count) {
    if (output->array->data != NULL && output->direct.first == NULL) {
        const struct columns block = {output->block, SUM_LANES};
        move_block(output->array, first, lanes, start, count, true, block);
    }
}

/* The sums of exponentials without that of the largest logit. */
KERNEL_RARE void columns_rest(const struct fghm_class_arrays *arrays, size_t first, size_t at,
                              size_t lanes, struct softmax_samples *samples, real *rest) {
    real column[SUM_LANES];
    double sums[SUM_LANES];
    const struct columns kept = columns_kept(arrays, first, at, lanes, samples);
    struct column_walk walk = column_walk_of(arrays, first, at, lanes, samples);
    columns_of(samples, at, column);
    columns_sum(BELOW_LARGEST, &walk, kept, kept.first != NULL, arrays->classes, column,
                samples->largest + at, sums);
    for (size_t lane = 0; lane < SUM_LANES; lane++) {
        rest[lane] = (real)sums[lane];
    }
}

/* The derivatives of SUM_LANES samples with up to SUM_LANES classes from `start` on. */
KERNEL_LOOP void columns_spread_block(const struct spread_modes *modes,
                                      const struct softmax_samples *samples, size_t at,
                                      const real *column, const real *gradient, const real *hessian,
                                      const real *factors, const real *rest,
                                      struct columns exponentials, size_t start, size_t count,
                                      const struct columns *to) {
    for (size_t lane = 0; lane < SUM_LANES; lane += V_LANES) {
        const size_t k = at + lane;
        const vreal own_class = v_load(column + lane);
        const vmask is_ignored = v_gt(v_set(0), own_class);
        const struct pair sum = {v_load(samples->sum + k), v_load(samples->sum_low + k)};
        const vreal own_hessian = to[1].first != NULL ? v_load(hessian + k) : v_set(0);
        struct spread spread =
            spread_of(v_load(gradient + k), own_hessian, v_load(factors + k), sum);
        spread.rest = v_load(rest + lane);
        const vreal own = spread_mode(modes, spread.factor, spread.hessian);
        vreal at_class = v_set((real)start);
        for (size_t c = 0; c < count; c++) {
            const vmask is_own = v_eq(own_class, at_class);
            const vreal e = v_load(exponentials.first + (ptrdiff_t)c * exponentials.step + lane);
            at_class = v_add(at_class, v_set(1));
            if (to[0].first != NULL) {
                const vreal other = spread_gradient(&spread, e);
                v_store(to[0].first + (ptrdiff_t)c * to[0].step + lane,
                        v_drop(is_ignored, v_select(is_own, spread.gradient, other)));
            }
            if (to[1].first != NULL) {
                const vreal other = spread_hessian(modes, &spread, e);
                v_store(to[1].first + (ptrdiff_t)c * to[1].step + lane,
                        v_drop(is_ignored, v_select(is_own, own, other)));
            }
        }
    }
}

KERNEL_RARE void columns_spread(const struct fghm_class_arrays *arrays,
                                const struct spread_modes *modes, size_t first, size_t at,
                                size_t lanes, struct softmax_samples *samples, const real *gradient,
                                const real *hessian, const real *factors, const real *rest) {
    struct column_output outputs[2];
    real column[SUM_LANES];
    const size_t classes = arrays->classes;
    const struct columns kept = columns_kept(arrays, first, at, lanes, samples);
    struct column_walk walk = column_walk_of(arrays, first, at, lanes, samples);
    columns_of(samples, at, column);
    column_output_start(&outputs[0], arrays->gradient, first + at, lanes);
    column_output_start(&outputs[1], arrays->hessian, first + at, lanes);
    for (size_t start = 0; start < classes; start += SUM_LANES) {
        const size_t count = classes - start < SUM_LANES ? classes - start : SUM_LANES;
        struct columns to[2];
        for (int i = 0; i < 2; i++) {
            to[i] = column_output_at(&outputs[i], start);
        }
        columns_spread_block(modes, samples, at, column, gradient, hessian, factors, rest,
                             column_walk_lift(&walk, kept, kept.first != NULL, start, count, column,
                                              samples->largest + at),
                             start, count, to);
        for (int i = 0; i < 2; i++) {
            column_output_end(&outputs[i], first + at, lanes, start, count);
        }
    }
}

/* Rows --------------------------------------------------------------------------- */

/* A row is walked in parts of ROW_PART classes; the last has up to SUM_LANES - 1 more, and no
 * part is shorter than SUM_LANES.  A part in a buffer is filled up to whole fours, in whole
 * registers. */
#define ROW_PART CHUNK
#define ROW_PART_MAX (ROW_PART + SUM_LANES)
#define ROW_ROOM (ROW_PART + FOURS + V_LANES)

static inline size_t row_part(size_t left) {
    return left < ROW_PART_MAX ? left : ROW_PART;
}

/* A sample of an array. */
struct row {
    const struct fghm_array *array;
    ptrdiff_t offset;
    real *direct; /* its classes, if they are neighbours of the kernels' type; else NULL */
};

KERNEL_RARE struct row row_at(const struct fghm_array *array, const struct cursor *cursor) {
    const bool direct =
        array->data != NULL && array->dtype == REAL_DTYPE && array->class_stride == 1;
    return (struct row){array, cursor->offset,
                        direct ? (real *)array->data + cursor->offset : NULL};
}

KERNEL_RARE void row_write(const struct row *row, size_t start, size_t n, const real *from) {
    const struct fghm_array *const array = row->array;
    if (array->data != NULL && row->direct == NULL) {
        const ptrdiff_t offset = row->offset + (ptrdiff_t)start * array->class_stride;
        write_reals(array->dtype, array->data, offset, array->class_stride, n, from);
    }
}

/* Copies n >= SUM_LANES numbers. */
KERNEL_LOOP void copy_row(size_t n, const real *from, real *to) {
    for (size_t i = 0; i + V_LANES <= n; i += V_LANES) {
        v_store(to + i, v_load(from + i));
    }
    v_store(to + n - V_LANES, v_load(from + n - V_LANES));
}

/* Up to the end of a register. */
KERNEL_LOOP void fill_row(real *from, const real *end, real value) {
    for (; from < end; from += V_LANES) {
        v_store(from, v_set(value));
    }
}

static inline size_t whole(size_t n, size_t of) {
    return (n + of - 1) / of * of;
}

/* Registers whose exponentials are made together. */
#define LIFTED ((size_t)4 * V_LANES)

/* The rows of one sample in the arrays of a call. */
struct sample_rows {
    struct row logits, gradient, hessian;
    real *kept; /* its exponentials, or NULL */
    size_t classes, own;
    real largest;
};

/* n logits from class `start` on, the own class as if it were not there. */
KERNEL_RARE void row_read(const struct sample_rows *rows, size_t start, size_t n, real *buffer) {
    const struct row *const row = &rows->logits;
    const struct fghm_array *const array = row->array;
    if (row->direct != NULL) {
        copy_row(n, row->direct + start, buffer);
    } else {
        const ptrdiff_t offset = row->offset + (ptrdiff_t)start * array->class_stride;
        read_reals(array->dtype, array->data, offset, array->class_stride, n, buffer);
    }
    fill_row(buffer + n, buffer + whole(n, LIFTED), -(real)INFINITY);
    fill_row(buffer + whole(n, LIFTED), buffer + whole(n, FOURS), 0);
}

KERNEL_RARE void row_drop_own(const struct sample_rows *rows, size_t start, size_t n,
                              real *buffer) {
    if (rows->own - start < n) {
        buffer[rows->own - start] = -(real)INFINITY;
    }
}

/* The largest of n numbers in a buffer and of `largest`. */
KERNEL_LOOP real row_largest(size_t n, const real *from, real largest) {
    vreal most[2] = {v_set(largest), v_set(largest)};
    for (size_t i = 0; i < n; i += 2 * V_LANES) {
        most[0] = v_max(v_load(from + i), most[0]);
        most[1] = v_max(v_load(from + i + V_LANES), most[1]);
    }
    real lanes[V_LANES];
    v_store(lanes, v_max(most[1], most[0]));
    for (size_t width = V_LANES / 2; width > 0; width /= 2) {
        for (size_t lane = 0; lane < width; lane++) {
            lanes[lane] = lanes[lane] > lanes[lane + width] ? lanes[lane] : lanes[lane + width];
        }
    }
    return lanes[0];
}

/* The exponentials of n numbers in a buffer. */
KERNEL_LOOP void row_lift(size_t n, real *buffer, real most) {
    const vreal largest = v_set(most);
    for (size_t i = 0; i < n; i += LIFTED) {
        vreal e[4];
        KERNEL_UNROLL
        for (size_t k = 0; k < 4; k++) {
            e[k] = v_load(buffer + i + k * V_LANES);
        }
        lifted_exps(4, e, largest);
        KERNEL_UNROLL
        for (size_t k = 0; k < 4; k++) {
            v_store(buffer + i + k * V_LANES, e[k]);
        }
    }
}

/* The array that exponentials of rows are kept in, or NULL. */
static inline const struct fghm_array *rows_kept(const struct fghm_class_arrays *arrays,
                                                 const struct softmax_samples *samples) {
    const struct fghm_array *const places[] = {arrays->gradient, arrays->hessian};
    for (int i = 0; i < 2; i++) {
        if (samples->kept && places[i]->data != NULL && places[i]->dtype == REAL_DTYPE &&
            places[i]->class_stride == 1) {
            return places[i];
        }
    }
    return NULL;
}

KERNEL_RARE double row_total(const struct lane_sum *sum) {
    double lanes[SUM_LANES];
    class_sum_end(sum, lanes);
    return sum_of_sixteen(lanes);
}

/* The sums of one sample. */
KERNEL_RARE void row_reduce(struct sample_rows *rows, size_t k, struct softmax_samples *samples) {
    real buffer[ROW_ROOM];
    size_t n;
    rows->largest = -REAL_MAX;
    for (size_t start = 0; start < rows->classes; start += n) {
        n = row_part(rows->classes - start);
        row_read(rows, start, n, buffer);
        if (rows->own - start < n) {
            samples->own[k] = buffer[rows->own - start];
        }
        row_drop_own(rows, start, n, buffer);
        rows->largest = row_largest(n, buffer, rows->largest);
    }
    samples->largest[k] = rows->largest;
    struct lane_sum sum;
    class_sum_start(&sum);
    for (size_t start = 0; start < rows->classes; start += n) {
        n = row_part(rows->classes - start);
        if (n < rows->classes) {
            row_read(rows, start, n, buffer);
            row_drop_own(rows, start, n, buffer);
        }
        row_lift(n, buffer, rows->largest);
        lane_sum_add_many(&sum, whole(n, FOURS), buffer);
        if (rows->kept != NULL) {
            copy_row(n, buffer, rows->kept + start);
        }
    }
    set_sum(samples, k, row_total(&sum));
}

KERNEL_RARE void rows_reduce(const struct fghm_class_arrays *arrays, size_t first, size_t n,
                             struct softmax_samples *samples) {
    const struct fghm_array *const keeping = rows_kept(arrays, samples);
    struct cursor at, kept_at;
    place_at(&at, arrays->logits, first);
    place_at(&kept_at, keeping == NULL ? arrays->logits : keeping, first);
    for (size_t k = 0; k < n; k++) {
        if (samples->columns[k] >= 0) {
            struct sample_rows rows = {
                .logits = row_at(arrays->logits, &at),
                .kept = keeping == NULL ? NULL : (real *)keeping->data + kept_at.offset,
                .classes = arrays->classes,
                .own = (size_t)samples->columns[k],
            };
            row_reduce(&rows, k, samples);
        }
        place_next(&at, 1);
        place_next(&kept_at, 1);
    }
}

/* The derivatives of n >= SUM_LANES logits from their exponentials; where both are the same
 * array, too. */
KERNEL_LOOP void row_spread_part(const struct spread_modes *modes, const struct spread *spread,
                                 size_t n, const real *exponentials, real *gradient,
                                 real *hessian) {
    const vreal end = v_load(exponentials + n - V_LANES);
    for (size_t i = 0; i + V_LANES <= n; i += V_LANES) {
        const vreal e = v_load(exponentials + i);
        if (gradient != NULL) {
            v_store(gradient + i, spread_gradient(spread, e));
        }
        if (hessian != NULL) {
            v_store(hessian + i, spread_hessian(modes, spread, e));
        }
    }
    if (gradient != NULL) {
        v_store(gradient + n - V_LANES, spread_gradient(spread, end));
    }
    if (hessian != NULL) {
        v_store(hessian + n - V_LANES, spread_hessian(modes, spread, end));
    }
}

/* The exponentials of n classes from `start` on, in a buffer. */
KERNEL_RARE void row_exponentials(const struct sample_rows *rows, size_t start, size_t n,
                                  real *buffer) {
    row_read(rows, start, n, buffer);
    row_drop_own(rows, start, n, buffer);
    row_lift(n, buffer, rows->largest);
}

KERNEL_LOOP void row_drop_largest(size_t n, real *exponentials) {
    for (size_t i = 0; i < n; i += V_LANES) {
        v_store(exponentials + i, summand_of(BELOW_LARGEST, v_load(exponentials + i)));
    }
}

/* The sum of the exponentials without that of the largest logit. */
KERNEL_RARE real row_rest(const struct sample_rows *rows) {
    real buffer[ROW_ROOM];
    struct lane_sum sum;
    class_sum_start(&sum);
    size_t n;
    for (size_t start = 0; start < rows->classes; start += n) {
        n = row_part(rows->classes - start);
        if (rows->kept != NULL) {
            copy_row(n, rows->kept + start, buffer);
            fill_row(buffer + n, buffer + whole(n, FOURS), 0);
        } else {
            row_exponentials(rows, start, n, buffer);
        }
        row_drop_largest(n, buffer);
        lane_sum_add_many(&sum, whole(n, FOURS), buffer);
    }
    return (real)row_total(&sum);
}

KERNEL_RARE void row_spread(const struct spread_modes *modes, const struct spread *spread,
                            const struct sample_rows *rows) {
    const struct row *const outputs[2] = {&rows->gradient, &rows->hessian};
    real exponentials[ROW_ROOM];
    real buffers[2][ROW_PART_MAX];
    real own[2][V_LANES];
    v_store(own[0], spread->gradient);
    v_store(own[1], spread_mode(modes, spread->factor, spread->hessian));
    size_t n;
    for (size_t start = 0; start < rows->classes; start += n) {
        n = row_part(rows->classes - start);
        const real *from = exponentials;
        if (rows->kept != NULL) {
            from = rows->kept + start;
        } else {
            row_exponentials(rows, start, n, exponentials);
        }
        real *to[2];
        for (int i = 0; i < 2; i++) {
            real *const place =
                outputs[i]->direct != NULL ? outputs[i]->direct + start : buffers[i];
            to[i] = outputs[i]->array->data == NULL ? NULL : place;
        }
        row_spread_part(modes, spread, n, from, to[0], to[1]);
        for (int i = 0; i < 2; i++) {
            if (to[i] != NULL && rows->own - start < n) {
                to[i][rows->own - start] = own[i][0];
            }
            row_write(outputs[i], start, n, to[i]);
        }
    }
}

/* The results of a sample that is ignored. */
KERNEL_RARE void row_clear(const struct row *row, size_t classes) {
    const real zeros[ROW_PART_MAX] = {0};
    size_t n;
    for (size_t start = 0; row->array->data != NULL && start < classes; start += n) {
        n = row_part(classes - start);
        if (row->direct != NULL) {
            memcpy(row->direct + start, zeros, n * sizeof(real));
        }
        row_write(row, start, n, zeros);
    }
}

KERNEL_RARE void rows_spread(const struct fghm_class_arrays *arrays,
                             const struct spread_modes *modes, size_t first, size_t n,
                             const struct softmax_samples *samples, const real *gradient,
                             const real *hessian, const real *factors) {
    const struct fghm_array *const keeping = rows_kept(arrays, samples);
    const struct fghm_array *const all[] = {arrays->logits, arrays->gradient, arrays->hessian};
    struct cursor at[3];
    for (int i = 0; i < 3; i++) {
        place_at(&at[i], all[all[i]->data == NULL ? 0 : i], first);
    }
    for (size_t k = 0; k < n; k++) {
        struct sample_rows rows = {
            .logits = row_at(arrays->logits, &at[0]),
            .gradient = row_at(arrays->gradient, &at[1]),
            .hessian = row_at(arrays->hessian, &at[2]),
            .classes = arrays->classes,
            .own = (size_t)samples->columns[k],
            .largest = samples->largest[k],
        };
        rows.kept = keeping == NULL               ? NULL
                    : keeping == arrays->gradient ? rows.gradient.direct
                                                  : rows.hessian.direct;
        if (samples->columns[k] < 0) {
            row_clear(&rows.gradient, rows.classes);
            row_clear(&rows.hessian, rows.classes);
        } else {
            const bool wants_hessian = arrays->hessian->data != NULL;
            const struct pair sum = {v_set(samples->sum[k]), v_set(samples->sum_low[k])};
            struct spread spread = spread_of(
                v_set(gradient[k]), v_set(wants_hessian ? hessian[k] : 0), v_set(factors[k]), sum);
            if (wants_hessian && samples->sum[k] < 2 * LIFT) {
                spread.rest = v_set(row_rest(&rows));
            }
            row_spread(modes, &spread, &rows);
        }
        for (int i = 0; i < 3; i++) {
            place_next(&at[i], 1);
        }
    }
}

#undef LIFTED

/* Both ------------------------------------------------------------------------------ */

/* Whether lanes are classes: classes of a sample lie nearer to each other than the samples of a
 * class. */
static inline bool are_rows(const struct fghm_class_arrays *arrays) {
    const struct fghm_array *const array = arrays->logits;
    const ptrdiff_t class_stride = array->class_stride;
    const ptrdiff_t sample_stride = array->strides[array->axes - 1];
    return arrays->classes > FEW_CLASSES &&
           (class_stride < 0 ? -class_stride : class_stride) <=
               (sample_stride < 0 ? -sample_stride : sample_stride);
}

/* own - largest - log(sum), where all three are known to more digits than a number of the type
 * has. */
KERNEL_INLINE vreal margin_of(vreal own, vreal largest, struct pair sum) {
    const vreal most = v_set(REAL_MAX);
    const vreal least = v_set(-REAL_MAX);
    struct pair above = exact_sum(own, v_sub(v_set(0), largest));
    /* The difference of finite logits may overflow. */
    above.low = v_keep(v_le(v_abs(above.high), most), above.low);
    above.high = v_max(least, v_min(most, above.high));
    /* 0 has no logarithm, and is looked for below. */
    const struct pair safe = {v_max(v_set(REAL_MIN), sum.high), sum.low};
    const struct pair margin = pair_sum(above, minus_log_pair(safe));
    const vreal finite = v_max(least, v_min(most, margin.high));
    const vmask is_finite = v_le(v_abs(own), most);
    const vmask alone = m_and(v_eq(sum.high, v_set(0)), v_eq(own, own));
    return v_select(alone, most, v_select(is_finite, finite, v_add(own, sum.high)));
}

KERNEL_LOOP void samples_margins(const struct softmax_samples *samples, size_t n, real *margins) {
    for (size_t k = 0; k < n; k += V_LANES) {
        const vreal drop = v_set(LIFT_DROP);
        const struct pair sum = {v_mul(v_load(samples->sum + k), drop),
                                 v_mul(v_load(samples->sum_low + k), drop)};
        v_store(margins + k,
                margin_of(v_load(samples->own + k), v_load(samples->largest + k), sum));
    }
}

/* The margins of n samples. */
static void softmax_margins(const struct fghm_class_arrays *arrays, size_t first, size_t n,
                            void *tile_samples, void *tile_margins) {
    struct softmax_samples *const samples = tile_samples;
    real *const margins = tile_margins;
    for (size_t k = 0; k < SOFTMAX_TILE; k += V_LANES) {
        v_store(samples->own + k, v_set(0));
        v_store(samples->sum + k, v_set(0));
        v_store(samples->sum_low + k, v_set(0));
        v_store(samples->largest + k, v_set(-REAL_MAX));
    }
    for (size_t k = n; k < SOFTMAX_TILE; k++) {
        samples->columns[k] = IGNORED;
    }
    if (n % SUM_LANES != 0) {
        memset(samples->block, 0, sizeof samples->block); /* lanes that nobody has */
    }
    if (are_rows(arrays)) {
        rows_reduce(arrays, first, n, samples);
    } else {
        if (arrays->classes <= FOURS) {
            move_block(arrays->logits, first, n, 0, arrays->classes, false,
                       columns_in_tile(arrays, 0, samples));
        }
        for (size_t at = 0; at < n; at += SUM_LANES) {
            columns_reduce(arrays, first, at, n - at < SUM_LANES ? n - at : SUM_LANES, samples);
        }
    }
    samples_margins(samples, n, margins);
}

/* Brings the derivatives G and H of the margins to the logits; `factors` is what the floor of the
 * Hessian is multiplied by. */
static void softmax_spread(const struct fghm_class_arrays *arrays,
                           const struct fghm_focal_constants *constants, size_t first, size_t n,
                           void *tile_samples, const void *tile_gradient, const void *tile_hessian,
                           const void *tile_factors) {
    struct softmax_samples *const samples = tile_samples;
    const real *const gradient = tile_gradient;
    const real *const hessian = tile_hessian;
    const real *const factors = tile_factors;
    const vreal floor = v_set_factor(constants->hessian_floor);
    const vmask has_floor = v_gt(floor, v_set(-REAL_MAX));
    const struct spread_modes modes = {
        .absolute = v_eq(v_set(constants->absolute), v_set(1)),
        .has_floor = has_floor,
        .hessian_floor = v_keep(has_floor, floor),
    };
    if (are_rows(arrays)) {
        rows_spread(arrays, &modes, first, n, samples, gradient, hessian, factors);
        return;
    }
    for (size_t at = 0; at < n; at += SUM_LANES) {
        const size_t lanes = n - at < SUM_LANES ? n - at : SUM_LANES;
        real rest[SUM_LANES] = {0};
        if (arrays->hessian->data != NULL) {
            columns_rest(arrays, first, at, lanes, samples, rest);
        }
        columns_spread(arrays, &modes, first, at, lanes, samples, gradient, hessian, factors, rest);
    }
}

#undef KERNEL_LOOP

#endif
