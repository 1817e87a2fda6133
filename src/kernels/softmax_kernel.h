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
 * Nothing cancels, nothing is divided by 1 - p.  A tile is a few samples; blocks of
 * SUM_LANES of them, BLOCK_CLASSES classes at a time, lie class by class, so that
 * every lane of a register is a sample of its own. */

#include "kernels/focal_kernel.h"
#include "kernels/samples.h"
#include "kernels/storage_kernel.h"
#include "walk/cursor.h"

#define BLOCK_CLASSES 32

struct softmax_block {
    real values[BLOCK_CLASSES * SUM_LANES];
};

/* Whether the classes of a sample lie nearer to each other than the samples of a class. */
static inline bool lies_in_rows(const struct fghm_array *array) {
    const ptrdiff_t class_stride = array->class_stride;
    const ptrdiff_t sample_stride = array->strides[array->axes - 1];
    return (class_stride < 0 ? -class_stride : class_stride) <=
           (sample_stride < 0 ? -sample_stride : sample_stride);
}

/* Reads, or writes, the classes of a sample into a lane of a block. */
static inline void move_row(const struct fghm_array *array, ptrdiff_t start, size_t lane,
                            size_t classes, bool writes, struct softmax_block *block) {
    real row[BLOCK_CLASSES];
    if (writes) {
        for (size_t c = 0; c < classes; c++) {
            row[c] = block->values[c * SUM_LANES + lane];
        }
        write_reals(array->dtype, array->data, start, array->class_stride, classes, row);
        return;
    }
    read_reals(array->dtype, array->data, start, array->class_stride, classes, row);
    for (size_t c = 0; c < classes; c++) {
        block->values[c * SUM_LANES + lane] = row[c];
    }
}

/* Reads, or writes, the elements of `classes` classes and `samples` samples of an array. */
static inline void move_block(const struct fghm_array *array, size_t first, size_t samples,
                              size_t first_class, size_t classes, bool writes,
                              struct softmax_block *block) {
    const bool rows = lies_in_rows(array);
    struct cursor cursor = cursor_at(array, first);
    size_t length;
    for (size_t lane = 0; lane < samples; lane += length) {
        const ptrdiff_t start = cursor.offset + (ptrdiff_t)first_class * array->class_stride;
        length = rows ? 1 : cursor_run(&cursor, samples - lane);
        if (rows) {
            move_row(array, start, lane, classes, writes, block);
        }
        for (size_t c = 0; !rows && c < classes; c++) {
            const ptrdiff_t offset = start + (ptrdiff_t)c * array->class_stride;
            real *const row = block->values + c * SUM_LANES + lane;
            if (writes) {
                write_reals(array->dtype, array->data, offset, cursor_stride(&cursor), length, row);
            } else {
                read_reals(array->dtype, array->data, offset, cursor_stride(&cursor), length, row);
            }
        }
        cursor_next(&cursor, length);
    }
}

/* exp(logit - largest) where the class is one of the others. */
KERNEL_INLINE vreal other_exponential(vreal logit, vreal largest, vmask is_own) {
    /* What is no other may be far above the largest of them. */
    const struct exponential e = exp_minus(v_max(v_set(0), v_sub(largest, logit)));
    return v_drop(is_own, v_add(e.power, e.remainder));
}

/* The two sweeps over the logits of the samples of a block. */
enum sweep { FIND_LARGEST, ADD_EXPONENTIALS };

KERNEL_INLINE void softmax_step(enum sweep sweep, struct softmax_samples *samples, size_t sample,
                                vmask is_own, vreal logit) {
    const vreal largest = v_load(samples->largest + sample);
    if (sweep == FIND_LARGEST) {
        const vreal own = v_load(samples->own + sample);
        v_store(samples->largest + sample, v_select(is_own, largest, v_max(logit, largest)));
        v_store(samples->own + sample, v_select(is_own, logit, own));
    } else {
        const vreal e = other_exponential(logit, largest, is_own);
        const struct pair sum = exact_sum(v_load(samples->sum + sample), e);
        v_store(samples->sum + sample, sum.high);
        v_store(samples->sum_low + sample, v_add(v_load(samples->sum_low + sample), sum.low));
    }
}

KERNEL_INLINE void softmax_sweep(enum sweep sweep, const struct fghm_class_arrays *arrays,
                                 size_t first, size_t n, struct softmax_samples *samples) {
    struct softmax_block block;
    memset(&block, 0, sizeof block);
    for (size_t at = 0; at < n; at += SUM_LANES) {
        const size_t lanes = n - at < SUM_LANES ? n - at : SUM_LANES;
        for (size_t start = 0; start < arrays->classes; start += BLOCK_CLASSES) {
            const size_t left = arrays->classes - start;
            const size_t classes = left < BLOCK_CLASSES ? left : BLOCK_CLASSES;
            move_block(arrays->logits, first + at, lanes, start, classes, false, &block);
            for (size_t i = 0; i < classes * SUM_LANES; i += V_LANES) {
                const size_t sample = at + i % SUM_LANES;
                const vreal column = v_load(samples->column + sample);
                const vmask is_own = v_eq(column, v_set((real)(start + i / SUM_LANES)));
                softmax_step(sweep, samples, sample, is_own, v_load(block.values + i));
            }
        }
    }
}

/* The margins of n samples. */
static void softmax_margins(const struct fghm_class_arrays *arrays, size_t first, size_t n,
                            void *tile_samples, void *tile_margins) {
    struct softmax_samples *const samples = tile_samples;
    real *const margins = tile_margins;
    memset(samples->own, 0, sizeof samples->own);
    memset(samples->sum, 0, sizeof samples->sum);
    memset(samples->sum_low, 0, sizeof samples->sum_low);
    for (size_t k = 0; k < SOFTMAX_TILE; k++) {
        samples->column[k] = k < n ? (real)samples->columns[k] : 0;
        samples->largest[k] = -REAL_MAX;
    }
    softmax_sweep(FIND_LARGEST, arrays, first, n, samples);
    softmax_sweep(ADD_EXPONENTIALS, arrays, first, n, samples);
    for (size_t k = 0; k < SOFTMAX_TILE; k += V_LANES) {
        const vreal own = v_load(samples->own + k);
        const vreal sum = v_load(samples->sum + k);
        /* 0 has no logarithm, and is looked for below. */
        const struct pair safe = {v_max(v_set(REAL_MIN), sum), v_load(samples->sum_low + k)};
        /* The low half has what rounding took from the sum, and is NaN where the sum is. */
        const struct pair minus_log = minus_log_pair(safe);
        const vreal above = v_add(v_sub(own, v_load(samples->largest + k)), minus_log.high);
        const vreal margin = v_add(above, minus_log.low);
        /* The difference of finite logits may overflow. */
        const vreal finite = v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), margin));
        const vmask is_finite = v_le(v_abs(own), v_set(REAL_MAX));
        const vmask alone = m_and(v_eq(sum, v_set(0)), v_eq(own, own));
        v_store(margins + k, v_select(alone, v_set(REAL_MAX), v_select(is_finite, finite, margin)));
    }
}

/* Brings the derivatives G and H of the margins to the logits, one output after the
 * other; `factors` is what the floor of the Hessian is multiplied by. */
static void softmax_spread(const struct fghm_class_arrays *arrays,
                           const struct fghm_focal_constants *constants, size_t first, size_t n,
                           const void *tile_samples, const void *tile_gradient,
                           const void *tile_hessian, const void *tile_factors) {
    const struct softmax_samples *const samples = tile_samples;
    const real *const gradient = tile_gradient;
    const real *const hessian = tile_hessian;
    const real *const factors = tile_factors;
    const struct focal_factors modes = focal_factors(constants);
    const vreal lowest = v_set(-REAL_MAX);
    const vmask has_floor = v_gt(modes.hessian_floor, lowest);
    const vreal least = v_keep(has_floor, modes.hessian_floor);
    for (size_t at = 0; at < n; at += SUM_LANES) {
        const size_t lanes = n - at < SUM_LANES ? n - at : SUM_LANES;
        struct softmax_block block, gradients, hessians;
        memset(&block, 0, sizeof block);
        for (size_t start = 0; start < arrays->classes; start += BLOCK_CLASSES) {
            const size_t left = arrays->classes - start;
            const size_t classes = left < BLOCK_CLASSES ? left : BLOCK_CLASSES;
            move_block(arrays->logits, first + at, lanes, start, classes, false, &block);
            for (size_t i = 0; i < classes * SUM_LANES; i += V_LANES) {
                const size_t sample = at + i % SUM_LANES;
                const vreal column = v_load(samples->column + sample);
                const vmask is_own = v_eq(column, v_set((real)(start + i / SUM_LANES)));
                const vreal logit = v_load(block.values + i);
                const vreal e = other_exponential(logit, v_load(samples->largest + sample), is_own);
                const vreal sum = v_load(samples->sum + sample);
                const vreal divisor = v_max(v_set(REAL_MIN), sum);
                const vmask is_ignored = v_eq(column, v_set(IGNORED));
                const vreal ratio = v_drop(is_ignored, v_div(e, divisor));
                const vreal share = v_drop(is_own, ratio);
                const vreal own = v_load(gradient + sample);
                const vreal minus_own = v_sub(v_set(0), own);
                v_store(gradients.values + i, v_select(is_own, own, v_mul(minus_own, share)));
                if (hessian == NULL) {
                    continue;
                }
                const vreal own_hessian = v_load(hessian + sample);
                /* 1 - share: where one class is nearly all, the rest is in sum_low. */
                const vreal rest = v_add(v_sub(sum, e), v_load(samples->sum_low + sample));
                const vreal slope = v_mul(minus_own, v_drop(is_ignored, v_div(rest, divisor)));
                const vreal other = v_mul(share, v_muladd(own_hessian, share, slope));
                /* The mode is that of the Hessian before factors, so of a negative one the
                 * sign comes after it. */
                const vreal factor = v_load(factors + sample);
                const vmask is_negative = v_gt(v_set(0), factor);
                const vreal exact =
                    v_negate_where(is_negative, v_select(is_own, own_hessian, other));
                const vreal magnitude = v_select(modes.absolute, v_abs(exact), exact);
                const vreal product = v_mul(least, v_negate_where(is_negative, factor));
                const vreal floor = v_select(has_floor, product, lowest);
                v_store(hessians.values + i, v_negate_where(is_negative, v_max(floor, magnitude)));
            }
            if (arrays->gradient->data != NULL) {
                move_block(arrays->gradient, first + at, lanes, start, classes, true, &gradients);
            }
            if (arrays->hessian->data != NULL) {
                move_block(arrays->hessian, first + at, lanes, start, classes, true, &hessians);
            }
        }
    }
}

#endif
