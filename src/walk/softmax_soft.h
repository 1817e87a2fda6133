/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_SOFTMAX_SOFT_H
#define FGHM_WALK_SOFTMAX_SOFT_H

/* Softmax with soft targets: SUM_LANES samples at a time, SOFT_CLASSES of their classes at a
 * time. */

#include "kernels/soft_samples.h"
#include "walk/softmax_walk.h"

/* Whether samples have targets other than 1 for one class and 0 for all others. */
static inline bool has_soft_samples(const struct fghm_plan *plan) {
    return plan->softmax && (!plan->arrays->labels || plan->arrays->label_smoothing > 0);
}

/* Parts of classes. */
#define FOR_PARTS(start, n, classes)                                                               \
    for (size_t start = 0, n;                                                                      \
         n = (classes)-start < SOFT_CLASSES ? (classes)-start : SOFT_CLASSES, start < (classes);   \
         start += n)

/* Whether the classes of a sample lie nearer to each other than the samples of a class. */
static bool soft_are_rows(const struct fghm_array *array) {
    const ptrdiff_t by_class = array->class_stride;
    const ptrdiff_t by_sample = array->strides[array->axes - 1];
    return (by_class < 0 ? -by_class : by_class) < (by_sample < 0 ? -by_sample : by_sample);
}

/* The classes of one sample of a block, whose samples are neighbours: to a row of them, or from
 * it. */
static inline void soft_gather(size_t classes, const real *restrict block, real *restrict row) {
#pragma GCC unroll 2
    for (size_t c = 0; c < classes; c++) {
        row[c] = block[c * SUM_LANES];
    }
}

static inline void soft_scatter(size_t classes, const real *restrict row, real *restrict block) {
#pragma GCC unroll 2
    for (size_t c = 0; c < classes; c++) {
        block[c * SUM_LANES] = row[c];
    }
}

/* Reads, or writes, a part of an array. */
OUT_OF_LINE void soft_move(const struct fghm_kernels *kernels, const struct fghm_array *array,
                           size_t first, size_t n, size_t start, size_t classes, bool writes,
                           real *block) {
    if (!soft_are_rows(array)) {
        const struct fghm_columns columns = {block, SUM_LANES};
        move_columns(kernels, array, first, n, start, classes, writes, &columns);
        return;
    }
    const bool dense = array->dtype == REAL_DTYPE && array->class_stride == 1;
    struct cursor cursor;
    cursor_start(&cursor, array, first);
    for (size_t at = 0, run; at < n; at += run) {
        run = cursor_run(&cursor, n - at);
        ptrdiff_t offset = cursor.offset + (ptrdiff_t)start * array->class_stride;
        const size_t done =
            dense ? transpose_classes(writes, classes, run, (real *)array->data + offset,
                                      cursor_stride(&cursor), block + at, SUM_LANES)
                  : 0;
        for (size_t lane = at; done < classes && lane < at + run; lane++) {
            real other[SOFT_CLASSES];
            real *const row = dense ? (real *)array->data + offset + done : other;
            real *const column = block + done * SUM_LANES + lane;
            if (writes) {
                soft_gather(classes - done, column, row);
            } else if (!dense) {
                kernels->read(array->dtype, array->data, offset, array->class_stride, classes, row);
            }
            if (!writes) {
                soft_scatter(classes - done, row, column);
            } else if (!dense) {
                kernels->write(array->dtype, array->data, offset, array->class_stride, classes,
                               row);
            }
            offset += cursor_stride(&cursor);
        }
        cursor_next(&cursor, run);
    }
}

/* Doubles that are compared with 0 and 1 before they are floats. */
KERNEL_RARE void soft_read_compared(const struct fghm_array *array, size_t first, size_t n,
                                    size_t start, size_t classes, real *block) {
    struct cursor cursor;
    cursor_start(&cursor, array, first);
    for (size_t lane = 0; lane < n; lane++) {
        const double *const from = (const double *)array->data + cursor.offset;
        for (size_t c = 0; c < classes; c++) {
            block[c * SUM_LANES + lane] =
                on_its_side(false, from[(ptrdiff_t)(start + c) * array->class_stride]);
        }
        cursor_next(&cursor, 1);
    }
}

/* Dense targets of a part. */
static void soft_read_targets(const struct fghm_plan *plan, const struct fghm_kernels *kernels,
                              size_t first, size_t n, size_t start, size_t classes, real *block) {
    const struct fghm_array *const targets = &plan->arrays->targets;
    if (is_wider(targets)) {
        soft_read_compared(targets, first, n, start, classes, block);
    } else {
        soft_move(kernels, targets, first, n, start, classes, false, block);
    }
}

/* Of the elements of a sample, the index of the first in error. */
static size_t soft_place(const struct fghm_plan *plan, size_t sample, size_t class_index) {
    const struct fghm_shape *const shape = &plan->shape;
    const size_t row = sample / shape->inner * shape->classes + class_index;
    return row * shape->inner + sample % shape->inner;
}

/* An element in error: samples are not in the order of elements. */
static void soft_found(struct fghm_part *part, size_t place) {
    if (part->bad == FGHM_BAD_NOTHING || place < part->offender) {
        part->offender = place;
        part->bad = FGHM_BAD_DENSE;
    }
}

/* Up to SUM_LANES samples with dense targets. */
struct soft_judged {
    int32_t columns[SUM_LANES]; /* 0, IGNORED, or NO_LABEL if a target is none */
    size_t offender[SUM_LANES]; /* which one then */
    double sum[SUM_LANES];      /* of the targets in [0, 1] */
};

/* What a part says of sample k. */
KERNEL_RARE void soft_judge(const struct fghm_plan *plan, size_t sample, size_t start,
                            size_t classes, size_t k, const real *targets,
                            struct soft_judged *judged) {
    for (size_t c = 0; c < classes; c++) {
        const real t = targets[c * SUM_LANES + k];
        if (t >= 0 && t <= 1) {
            judged->sum[k] += (double)t;
        } else if (t == t && judged->columns[k] == 0) {
            judged->columns[k] = NO_LABEL;
            judged->offender[k] = soft_place(plan, sample, start + c);
        } else if (t != t && plan->arrays->nan_ignored) {
            judged->columns[k] = IGNORED;
        }
    }
}

/* Reads dense targets, part by part into a block, looks at them, and counts them where that is
 * wanted. */
static void soft_judge_dense(const struct fghm_plan *plan, const struct fghm_kernels *kernels,
                             size_t first, size_t n, real *targets, int32_t *columns,
                             struct fghm_part *part) {
    struct soft_judged judged = {{0}, {0}, {0}};
    if (n < SUM_LANES) {
        memset(targets, 0, SOFT_CLASSES * SUM_LANES * sizeof(real));
    }
    FOR_PARTS(start, classes, plan->shape.classes) {
        soft_read_targets(plan, kernels, first, n, start, classes, targets);
        if (kernels->soft_add_targets(classes, targets, judged.sum)) {
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            soft_judge(plan, first + k, start, classes, k, targets, &judged);
        }
    }
    struct double_sum sum = {part->targets.sum, part->targets.sum_error};
    for (size_t k = 0; k < n; k++) {
        columns[k] = judged.columns[k];
        part->ignored += columns[k] == IGNORED;
        if (columns[k] == NO_LABEL) {
            soft_found(part, judged.offender[k]);
        }
        if (plan->counting && columns[k] != IGNORED) {
            part->targets.positives++;
            double_sum_add(&sum, judged.sum[k]);
        }
    }
    part->targets.sum = sum.high;
    part->targets.sum_error = sum.low;
}

/* The columns of samples' labels, or what soft_judge_dense says. */
static void soft_judge_samples(const struct fghm_plan *plan, const struct fghm_kernels *kernels,
                               size_t first, size_t n, real *targets, int32_t *columns,
                               struct fghm_part *part) {
    if (plan->arrays->labels) {
        (void)load_columns(plan, first, n, columns);
    } else {
        soft_judge_dense(plan, kernels, first, n, targets, columns, part);
    }
}

static void survey_soft_samples(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                                size_t first, size_t n, struct fghm_part *part) {
    int32_t columns[SUM_LANES];
    real targets[SOFT_CLASSES * SUM_LANES];
    for (size_t at = 0; at < n; at += SUM_LANES) {
        const size_t length = n - at < SUM_LANES ? n - at : SUM_LANES;
        soft_judge_dense(plan, kernels, first + at, length, targets, columns, part);
    }
    part->bad = FGHM_BAD_NOTHING; /* for the walk to find */
}

/* Samples on the walk over their classes. */
struct soft_walk {
    const struct fghm_focal_plan *plan;
    size_t first, n; /* of the batch */
    int32_t columns[SUM_LANES];
    struct soft_samples *samples;
    struct fghm_soft soft;
    real class_factors[SOFT_CLASSES];
};

static void soft_read_logits(const struct soft_walk *walk) {
    const struct fghm_arrays *const arrays = walk->plan->batch.arrays;
    soft_move(walk->plan->losses->kernels, &arrays->logits, walk->first, walk->n, walk->soft.start,
              walk->soft.classes, false, walk->samples->logits);
    for (size_t c = 0; arrays->offsets != NULL && c < walk->soft.classes; c++) {
        add_offsets(arrays->offsets + walk->soft.start + c, 0, walk->n,
                    walk->samples->logits + c * SUM_LANES);
    }
}

/* t (1 - s) + s / C of targets, or of labels. */
static void soft_smooth(const struct soft_walk *walk) {
    const struct fghm_plan *const plan = &walk->plan->batch;
    const double smoothing = plan->arrays->label_smoothing;
    const double share = smoothing / (double)plan->shape.classes;
    const real own = (real)(1 - smoothing + share), other = (real)share;
    const real keep = (real)(1 - smoothing);
    for (size_t c = 0; c < walk->soft.classes; c++) {
        real *const targets = walk->samples->targets + c * SUM_LANES;
        for (size_t k = 0; k < walk->n; k++) {
            if (plan->arrays->labels) {
                targets[k] = (size_t)walk->columns[k] == walk->soft.start + c ? own : other;
            } else {
                targets[k] = targets[k] * keep + other;
            }
        }
    }
}

/* Whether all classes are in one part, which is then read but once. */
static bool soft_is_whole(const struct soft_walk *walk) {
    return walk->plan->batch.shape.classes <= SOFT_CLASSES;
}

static void soft_read_all_targets(struct soft_walk *walk) {
    const struct fghm_plan *const plan = &walk->plan->batch;
    const struct fghm_arrays *const arrays = plan->arrays;
    /* Those of a part that is the only one are there since they were judged. */
    if (!arrays->labels && !soft_is_whole(walk)) {
        soft_read_targets(plan, walk->plan->losses->kernels, walk->first, walk->n, walk->soft.start,
                          walk->soft.classes, walk->samples->targets);
    }
    if (arrays->label_smoothing > 0) {
        soft_smooth(walk);
    }
    if (walk->plan->losses->of_terms) {
        const struct fghm_class_factors factors = {arrays->factors.alpha, arrays->factors.weights,
                                                   1};
        for (size_t c = 0; c < walk->soft.classes; c++) {
            walk->class_factors[c] = (real)own_factor(&factors, walk->soft.start + c);
        }
        walk->soft.class_factors = walk->class_factors;
    }
}

/* From logits to sums; where that is done again, to what derivatives are made of. */
static void soft_compute(struct soft_walk *walk) {
    const struct fghm_kernels *const kernels = walk->plan->losses->kernels;
    struct fghm_soft *const soft = &walk->soft;
    FOR_PARTS(start, classes, walk->plan->batch.shape.classes) {
        soft->start = start;
        soft->classes = classes;
        soft_read_logits(walk);
        kernels->soft_largest(soft, walk->samples);
    }
    FOR_PARTS(start, classes, walk->plan->batch.shape.classes) {
        soft->start = start;
        soft->classes = classes;
        if (!soft_is_whole(walk)) {
            soft_read_logits(walk);
        }
        soft_read_all_targets(walk);
        kernels->soft_lift(soft, walk->samples);
    }
    kernels->soft_prepare(soft, walk->samples);
    if (!soft->by_class) {
        return;
    }
    FOR_PARTS(start, classes, walk->plan->batch.shape.classes) {
        soft->start = start;
        soft->classes = classes;
        if (!soft_is_whole(walk)) {
            soft->again = true;
            soft_read_logits(walk);
            soft_read_all_targets(walk);
            kernels->soft_lift(soft, walk->samples);
            soft->again = false;
        }
        kernels->soft_terms(soft, walk->samples);
    }
}

/* The results of samples that are ignored, or in error. */
static void soft_blank(const struct soft_walk *walk) {
    struct soft_samples *const samples = walk->samples;
    for (size_t k = 0; k < walk->n; k++) {
        const real value = walk->columns[k] == IGNORED ? 0 : (real)NAN;
        for (size_t c = 0; walk->columns[k] < 0 && c < walk->soft.classes; c++) {
            samples->exponentials[c * SUM_LANES + k] = value;
            samples->logits[c * SUM_LANES + k] = value;
        }
    }
}

static void soft_write(const struct soft_walk *walk) {
    const struct fghm_arrays *const arrays = walk->plan->batch.arrays;
    if (arrays->gradient.data != NULL) {
        soft_move(walk->plan->losses->kernels, &arrays->gradient, walk->first, walk->n,
                  walk->soft.start, walk->soft.classes, true, walk->samples->exponentials);
    }
    if (arrays->hessian.data != NULL) {
        soft_move(walk->plan->losses->kernels, &arrays->hessian, walk->first, walk->n,
                  walk->soft.start, walk->soft.classes, true, walk->samples->logits);
    }
}

/* Derivatives, part after part, each of which may be in the place of its inputs. */
static void soft_differentiate(struct soft_walk *walk) {
    const struct fghm_kernels *const kernels = walk->plan->losses->kernels;
    struct fghm_soft *const soft = &walk->soft;
    soft->again = true;
    FOR_PARTS(start, classes, walk->plan->batch.shape.classes) {
        soft->start = start;
        soft->classes = classes;
        if (!soft_is_whole(walk)) {
            soft_read_logits(walk);
            soft_read_all_targets(walk);
            kernels->soft_lift(soft, walk->samples);
            if (soft->by_class) {
                kernels->soft_terms(soft, walk->samples);
            }
        }
        kernels->soft_spread(soft, walk->samples);
        soft_blank(walk);
        soft_write(walk);
    }
}

static void soft_add_loss(struct fghm_part *part, real loss) {
    if (FGHM_REAL_BITS == 64 && fabs((double)loss) > (double)REAL_MODERATE_LOSS &&
        fabs((double)loss) <= (double)REAL_MAX) {
        part->sum_huge += (double)loss * HUGE_UNIT;
        return;
    }
    struct double_sum sum = {part->sum, part->sum_error};
    double_sum_add(&sum, (double)loss);
    part->sum = sum.high;
    part->sum_error = sum.low;
}

/* Factors of the samples: of losses, and of derivatives. */
static void soft_factors(struct soft_walk *walk, const real *weights, real *loss_factors) {
    const struct fghm_focal_losses *const losses = walk->plan->losses;
    const double positive = losses->constants.positive;
    const struct fghm_class_factors *const factors = &walk->plan->batch.arrays->factors;
    for (size_t k = 0; k < walk->n; k++) {
        double factor = positive * factors->common;
        if (!losses->of_terms && walk->columns[k] >= 0) {
            factor = positive * own_factor(factors, (size_t)walk->columns[k]);
        }
        factor *= (double)weights[k];
        loss_factors[k] = (real)factor;
        walk->samples->factor[k] = (real)(factor * walk->plan->scale);
    }
}

/* The losses of the samples, to the sum and to the caller. */
static void soft_end(const struct soft_walk *walk, const real *factors, struct fghm_part *part) {
    real losses[SUM_LANES];
    for (size_t k = 0; k < walk->n; k++) {
        const real loss = walk->samples->loss[k];
        /* 0 times an infinite loss is 0. */
        losses[k] = factors[k] == 0 && loss > REAL_MAX ? 0 : loss * factors[k];
        if (walk->columns[k] >= 0) {
            soft_add_loss(part, losses[k]);
        } else {
            losses[k] = walk->columns[k] == IGNORED ? 0 : (real)NAN;
        }
    }
    written(walk->plan->losses->kernels, &walk->plan->batch.arrays->element_loss, walk->first,
            walk->n, losses);
}

static void soft_start(const struct fghm_focal_plan *plan, size_t n, struct soft_samples *samples,
                       struct soft_walk *walk) {
    const struct fghm_focal_constants *const constants = &plan->losses->constants;
    *walk = (struct soft_walk){
        .plan = plan,
        .samples = samples,
        .soft = {.gamma = constants->gamma,
                 .negative_gamma = plan->losses->soft_negative_gamma,
                 .by_class = plan->losses->soft_by_class,
                 .gauss_newton = constants->gauss_newton,
                 .hessian = plan->batch.arrays->hessian.data != NULL,
                 .detached = constants->detached,
                 .modes = {.absolute = constants->absolute,
                           .of_gradient = plan->losses->of_gradient,
                           .hessian_floor = constants->hessian_floor,
                           .hessian_factor = plan->losses->hessian_factor}},
    };
    /* Lanes that no sample has are 0. */
    memset(samples, 0,
           n % SUM_LANES == 0 ? offsetof(struct soft_samples, logits) : sizeof *samples);
}

/* SUM_LANES samples, or the last ones. */
static void soft_tile(struct soft_walk *walk, struct fghm_part *part) {
    const struct fghm_plan *const plan = &walk->plan->batch;
    const struct fghm_kernels *const kernels = walk->plan->losses->kernels;
    struct soft_samples *const samples = walk->samples;
    real weights[SUM_LANES], factors[SUM_LANES];
    soft_judge_samples(plan, kernels, walk->first, walk->n, samples->targets, walk->columns, part);
    load_sample_weights(plan, kernels, false, walk->first, walk->n, walk->columns, weights, part);
    memset(samples->high, 0, sizeof samples->high);
    memset(samples->low, 0, sizeof samples->low);
    for (size_t k = 0; k < SUM_LANES; k++) {
        samples->label[k] = plan->arrays->labels && k < walk->n ? (real)walk->columns[k] : -1;
        samples->largest[k] = -(real)INFINITY;
        samples->top[k] = -1;
    }
    soft_factors(walk, weights, factors);
    soft_compute(walk);
    if (plan->arrays->gradient.data != NULL || plan->arrays->hessian.data != NULL) {
        soft_differentiate(walk);
        walk->soft.again = false;
    }
    soft_end(walk, factors, part);
}

/* Out of line for the sake of the stack, which only soft targets need. */
static __attribute__((noinline)) void focal_soft_samples(const struct fghm_focal_plan *plan,
                                                         size_t first, size_t n,
                                                         struct fghm_part *part) {
    struct soft_samples samples;
    struct soft_walk walk;
    soft_start(plan, n, &samples, &walk);
    for (size_t at = 0; at < n; at += SUM_LANES) {
        walk.first = first + at;
        walk.n = n - at < SUM_LANES ? n - at : SUM_LANES;
        soft_tile(&walk, part);
    }
}

#undef FOR_PARTS

#endif
