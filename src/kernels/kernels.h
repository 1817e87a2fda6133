/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_KERNELS_H
#define FGHM_KERNELS_KERNELS_H

/* What a row of the dispatch table offers: the kernels of one instruction set
 * in one floating-point type.  This header is all that drivers, tests and
 * benchmarks know of the kernels.  Arrays are `const void *` here because one
 * driver serves float and double; each kernel knows its own type. */

#include <stdbool.h>
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
    double positive;      /* a_t of target 1 */
    double negative;      /* a_t of target 0 */
    double scale;         /* 1 / D: gradient and Hessian are multiplied by it */
    bool quality;         /* soft targets: the factor is |p - t|^gamma */
    bool gauss_newton;    /* the Hessian without the terms that can be negative */
    bool absolute;        /* the Hessian's magnitude */
    double hessian_floor; /* the least Hessian before factors; -DBL_MAX: none */
};

/* Which values of gamma have a kernel of their own. */
enum { FGHM_GAMMA_0, FGHM_GAMMA_HALF, FGHM_GAMMA_1, FGHM_GAMMA_2, FGHM_GAMMA_ANY, FGHM_GAMMAS };

/* What a kernel may find wrong: a target, or a probability, outside [0, 1]. */
enum { FGHM_BAD_TARGET = 1, FGHM_BAD_PROBABILITY = 2 };

/* The sum of a segment on its way, in 16 lanes, so that the order of additions is the same on
 * every instruction set and however the segment is cut: at multiples of 256 elements.  The
 * error is what rounding took from each lane (double only). */
struct fghm_sum {
    double total[16];
    double error[16];
};

/* Adds the elements' losses to *sum.  Sets a bit of *bad for what is wrong, else leaves it. */
typedef void fghm_focal_kernel(const struct fghm_focal_constants *constants,
                               const struct fghm_span *span, struct fghm_sum *sum, int *bad);

/* The bins of GHM over margins.  The margin z of an element is, for GHM-C, its logit
 * for target 1 and minus its logit for target 0, and for GHM-R, -|prediction - target|:
 * the norm g falls with it, and bin >= b exactly if z <= upper[b]; upper[0] is +inf.
 * An element that is in no bin has a NaN for margin. */
struct fghm_bins {
    size_t bins;
    bool uniform;      /* GHM-C with bins of equal width: bin b is floor(g bins) */
    const void *upper; /* bins + 1 margins, falling; the last is NaN: no margin is below it */
    const void *edges; /* bins + 1 edges of g in the type of the kernel, for soft targets */
    /* Cells: cell c = clamp(floor(z cell_scale + cell_offset), 1, cells - 1) of a
     * margin holds at most one of the edges upper[1 ...]; bin = cell_bin[c], plus
     * 1 if z <= cell_upper[c].  NaN has cell 0 and bin `bins`.  cells is 16 if
     * that is enough, and 0 where there would be too many of them: bins are then searched
     * for.  cell_bin has whole numbers as wide as the kernel's type. */
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
 * weight of each element taken from bin_weights (w times the loss weight), and nothing
 * where the mask says so.  bin_weights has bins + 1 entries, the last for elements in no bin. */
typedef void fghm_apply_kernel(const struct fghm_bins *bins, const void *bin_weights, double scale,
                               const struct fghm_span *span, struct fghm_sum *sum, int *bad);

/* The same for GHM-R: logits are predictions, and the loss is sqrt(d^2 + mu^2) - mu for
 * d = prediction - target. */
typedef void fghm_regression_kernel(const struct fghm_bins *bins, const void *bin_weights,
                                    double mu, double scale, const struct fghm_span *span,
                                    struct fghm_sum *sum);

/* The extents of a batch, its axes before and after that of the classes folded into one
 * each.  Without a class axis, inner is all. */
struct fghm_shape {
    size_t outer, classes, inner;
};

/* As many as FGHM_AXES_MAX. */
#define FGHM_ARRAY_AXES 8

/* An array of a batch; data NULL if there is none.  Its index is that of an element, or, where
 * the array is one of samples, that of a sample, both row-major.  Neighbouring axes that can be
 * one are one. */
struct fghm_array {
    void *data; /* inputs are only read */
    int32_t dtype;
    bool contiguous; /* in the order of the index; then the axes are not set */
    bool direct;     /* kernels work on the caller's memory itself */
    int axes;
    size_t extents[FGHM_ARRAY_AXES];
    ptrdiff_t strides[FGHM_ARRAY_AXES];
    ptrdiff_t class_stride; /* from class to class where the index is that of a sample */
};

/* A batch, checked, as the kernels walk over it. */
struct fghm_plan {
    struct fghm_shape shape;
    bool by_sample; /* arrays of elements are walked by samples, class by class */
    struct fghm_array logits, targets, scores, weights;
    struct fghm_array element_loss, gradient, hessian, harmonizing_weight;
    bool counting;       /* whether positives, and sums of weights and targets, are wanted */
    bool labels;         /* targets are labels of samples */
    int64_t first_label; /* the label of class 0 */
    bool ignoring;
    int64_t ignore_index;
    bool nan_ignored; /* so are dense targets that are NaN */
    bool has_background;
    int64_t background; /* the label of samples without a class; with softmax, of a class */
    double label_smoothing;
    const double *class_alpha, *class_weights;
    bool softmax;
    bool star; /* only targets of 1 are positive */
};

/* What can be wrong with an element, a sample or its label. */
enum fghm_bad { FGHM_BAD_NOTHING, FGHM_BAD_DENSE, FGHM_BAD_LABEL, FGHM_BAD_LOGIT, FGHM_BAD_SCORE };

/* What the walk over a part of a batch brings back.  The offender is the index of an element
 * (of a sample, for labels and scores), the first that is found. */
struct fghm_part {
    double sum, sum_error; /* of the losses: the sum is that of both */
    /* Of what is not ignored, NaN left out; where the plan counts. */
    double sum_weights, sum_weights_error, sum_targets, sum_targets_error;
    uint64_t positives, ignored;
    enum fghm_bad bad;
    size_t offender;
};

/* The losses of a batch: kernels for positives and negatives, called once for both
 * if they are the same, and once for each of the two terms of a loss
 * t positive(x) + (1 - t) negative(x) if `split`. */
struct fghm_focal_plan {
    struct fghm_plan batch;
    struct fghm_focal_constants constants, negative_constants;
    fghm_focal_kernel *kernel, *negative_kernel;
    bool probability; /* logits are probabilities */
    bool split;
    bool split_absolute; /* the Hessian's mode, which is then not in the constants */
    double split_floor;  /* -1: none */
    double star;         /* gamma of focal-star, 0 for other rules: logits are multiplied by it */
};

/* Adds the counts of a part of a batch to it: `first` and `n` are in elements, or in
 * samples for labels and for softmax.  Finds labels and scores that are none. */
typedef void fghm_survey_kernel(const struct fghm_plan *plan, size_t first, size_t n,
                                struct fghm_part *part);

/* Computes a part of a batch, in elements or, for softmax, in samples.  Counts, but
 * for labels, which have to be surveyed before. */
typedef void fghm_focal_batch_kernel(const struct fghm_focal_plan *plan, size_t first, size_t n,
                                     struct fghm_part *part);

/* GHM over a batch.  Weights of the batch are the mask. */
struct fghm_ghm_plan {
    struct fghm_plan batch;
    const struct fghm_bins *bins;
    const void *bin_weights;         /* as fghm_apply_kernel has them */
    const void *harmonizing_weights; /* without the loss weight */
    double scale;
    double mu; /* of GHM-R, 0 for GHM-C */
};

/* As fghm_count_kernel, and as fghm_apply_kernel, for a part of a batch. */
typedef void fghm_count_batch_kernel(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                                     uint64_t *counts, uint64_t *valid, struct fghm_part *part);
typedef void fghm_apply_batch_kernel(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                                     struct fghm_part *part);

struct fghm_kernels {
    size_t real_size;
    fghm_focal_kernel *focal[FGHM_GAMMAS];
    fghm_focal_kernel *probability; /* logits are probabilities; for any gamma */
    fghm_count_kernel *ghm_count;
    fghm_apply_kernel *ghm_apply;
    fghm_count_kernel *ghmr_count;
    fghm_regression_kernel *ghmr_apply;
    fghm_survey_kernel *survey;
    fghm_focal_batch_kernel *focal_batch;
    fghm_count_batch_kernel *ghm_count_batch;
    fghm_apply_batch_kernel *ghm_apply_batch;
};

#endif
