/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_KERNELS_H
#define FGHM_KERNELS_KERNELS_H

/* What a row of the dispatch table offers: the kernels of one instruction set
 * in one floating-point type.  This header is all that drivers, tests and
 * benchmarks know of the kernels.  Arrays are `const void *` here because one
 * driver serves float and double; each kernel knows its own type. */

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What constants say of all elements, arrays may say of each; any may be NULL.  Gamma, as a sum of
 * two, for FGHM_GAMMA_LANES and probabilities; and for soft targets of FGHM_SOFT_SPLIT a_t of the
 * targets 1 and 0 over the larger of the two, which is then a factor of the weights. */
struct fghm_own {
    const void *gamma, *gamma_low;
    const void *positive_share, *negative_share;
};

/* A run of contiguous elements.  weights may be NULL (all 1), and so may every output.  An output
 * may be the same array as an input.  What elements have of their own is rare, and its arrays stay
 * behind a pointer, which may be NULL: small calls feel what every part of a span copies.  Element
 * 0 is theirs at `own_first`. */
struct fghm_span {
    size_t n;
    const void *logits;
    const void *targets;
    const void *weights;
    void *element_loss;
    void *gradient;
    void *hessian;
    const struct fghm_own *own;
    size_t own_first;
};

/* What the loss of a target between 0 and 1 is; p_t, m = 1 - p_t and BCE as in focal.h. */
enum fghm_soft_form {
    FGHM_SOFT_LINEAR,  /* a_t m^gamma BCE */
    FGHM_SOFT_QUALITY, /* a_t |p - t|^gamma BCE */
    FGHM_SOFT_SPLIT,   /* t times the loss of target 1, 1 - t times that of target 0 */
    /* Rules with positives of their own; see ::fghm_focal_rule_values. */
    FGHM_SOFT_VARIFOCAL,
    FGHM_SOFT_VARIFOCAL_UNWEIGHTED,
    FGHM_SOFT_MATCHABILITY,
    FGHM_SOFT_HEATMAP,
};

/* A sum, and what rounding took from it. */
struct double_sum {
    double high;
    double low;
};

/* The constants of one focal call. */
struct fghm_focal_constants {
    double gamma;          /* of target 1 */
    double negative_gamma; /* of target 0; looked at by kernels of two gammas alone */
    double positive;       /* a_t of target 1 */
    double negative;       /* a_t of target 0 */
    double beta;           /* of heat maps */
    enum fghm_soft_form soft;
    bool zero_scores;     /* varifocal: a target below the smallest normal number is a score of 0 */
    bool detached;        /* the focal factor is a constant; two gammas and probabilities */
    bool gauss_newton;    /* the Hessian without the terms that can be negative */
    bool absolute;        /* the Hessian's magnitude */
    bool of_gradient;     /* the gradient's magnitude in place of the Hessian */
    bool careful;         /* products of factors and results leave the range of normal numbers */
    double hessian_floor; /* the least Hessian before factors; -DBL_MAX: none */
    double hessian_factor;
    double margin; /* of negatives, 0 for none, and its logit; kernels of two gammas alone */
    struct double_sum margin_logit;
};

/* A floor of Hessians that are `factor` times as large; none stays none, without an overflow. */
static inline double fghm_floor_times(double floor, double factor) {
    return floor > -DBL_MAX ? floor * factor : floor;
}

/* Which values of gamma have a kernel of their own; and two gammas: those that are multiples of
 * 1/2 up to FGHM_POWER_MAX, which are products of powers, and any. */
enum {
    FGHM_GAMMA_0,
    FGHM_GAMMA_HALF,
    FGHM_GAMMA_1,
    FGHM_GAMMA_2,
    FGHM_GAMMA_ANY,
    FGHM_GAMMA_POWERS,
    FGHM_GAMMA_LANES,
    FGHM_GAMMAS
};
#define FGHM_POWER_MAX 7.5
static inline bool fghm_is_product(double gamma) {
    return gamma <= FGHM_POWER_MAX && 2 * gamma == (double)(int)(2 * gamma);
}

/* What a kernel may find wrong: a target, or a probability, outside [0, 1]. */
enum { FGHM_BAD_TARGET = 1, FGHM_BAD_PROBABILITY = 2 };

/* The sum of a segment on its way, in 16 lanes, so that the order of additions is the same on
 * every instruction set and however the segment is cut: at multiples of 256 elements.  The
 * error is what rounding took from each lane, and `huge` the sum of what is too large for lanes
 * (double only; see double_sum.h). */
struct fghm_sum {
    bool started; /* else it is 0, whatever the lanes are: small calls feel their clearing */
    double total[16];
    double error[16];
    struct double_sum huge;
};

/* Adds the elements' losses to *sum.  Gradient and Hessian are multiplied by `scale`, which is
 * 1 / D: constants are those of a handle, and stay there.  Sets a bit of *bad for what is wrong,
 * else leaves it. */
typedef void fghm_focal_kernel(const struct fghm_focal_constants *constants, double scale,
                               const struct fghm_span *span, struct fghm_sum *sum, int *bad);

/* The bins of GHM over margins.  The margin z of an element is, for GHM-C, its logit
 * for target 1 and minus its logit for target 0, and for GHM-R, -|prediction - target|:
 * the norm g falls with it, and bin >= b exactly if z <= upper[b]; upper[0] is +inf.
 * Only NaN is in no bin. */
struct fghm_bins {
    size_t bins;
    bool uniform;      /* GHM-C with bins of equal width: bin b is floor(g bins) */
    const void *upper; /* bins + 1 margins, falling; the last is -inf, an edge of nothing */
    const void *edges; /* bins + 1 edges of g in the type of the kernel, for soft targets */
    /* Cells: cell c = floor(h cell_scale + cell_offset) of a margin, with
     * h = clamp(z, cell_low, cell_high), is at least 1 and holds at most one of the edges
     * upper[1 ...]; bin = cell_bin[c], plus 1 if h <= cell_upper[c], which is -inf where
     * there is none.  NaN has cell 0 and bin `bins`.  cells is 16 if that is enough, and 0 where
     * there would be too many of them: bins are then searched for.  cell_bin has whole numbers as
     * wide as the kernel's type. */
    size_t cells;
    double cell_scale, cell_offset, cell_low, cell_high;
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

/* Storage: n numbers of a dtype, `stride` apart from `offset` on (both in elements), as
 * contiguous ones of the kernels' type, and back; and 1 for labels that are `label`, 0 for
 * others. */
typedef void fghm_read_kernel(int32_t dtype, const void *data, ptrdiff_t offset, ptrdiff_t stride,
                              size_t n, void *to);
typedef void fghm_write_kernel(int32_t dtype, void *data, ptrdiff_t offset, ptrdiff_t stride,
                               size_t n, const void *from);
typedef void fghm_match_kernel(int32_t dtype, const void *data, ptrdiff_t offset, ptrdiff_t stride,
                               size_t n, int64_t label, void *to);

/* Copies the inputs of a span, with a harmless element of weight 0 in the place of each that is
 * ignored: its results are 0 whatever stands in the caller's arrays. */
typedef void fghm_blank_kernel(const uint8_t *ignored, const struct fghm_span *span, void *logits,
                               void *targets, void *weights);

/* The factors of classes.  Either array may be NULL: 1.  What they have in common is the handle's
 * loss weight, so that all of them meet in double. */
struct fghm_class_factors {
    const double *alpha, *weights;
    double common;
};

/* Weights (NULL: 1) times the factors of their classes: of the same class if step is 0, of
 * neighbours if it is 1.  shares[0] and shares[1], if not NULL, as fghm_span has them. */
typedef void fghm_weigh_kernel(const struct fghm_class_factors *factors, size_t step, size_t n,
                               const void *targets, const void *weights, void *to,
                               void *const shares[2]);

/* Sums over the chunks of a walk, each of them added to a sum and its error; the first element
 * is the first of a chunk.  So they do not depend on how many are at hand.
 *
 * fghm_tally_kernel: positives, which are targets from `least` on, and the sum of targets: of those
 * in [0, 1], or, where they are `any` numbers, of all but NaN.  `ignored` marks what is left out,
 * or is NULL. fghm_total_kernel: numbers from `least` to `most`. */
struct fghm_tally {
    uint64_t positives;
    double sum, sum_error;
};
typedef void fghm_tally_kernel(double least, bool any, size_t n, const void *targets,
                               const uint8_t *ignored, struct fghm_tally *tally);
typedef void fghm_total_kernel(double least, double most, size_t n, const void *numbers,
                               double *sum, double *sum_error);

/* The bin weights of a span's elements, in `weights`. */
typedef void fghm_harmonize_kernel(const struct fghm_bins *bins, const void *bin_weights,
                                   const struct fghm_span *span, void *weights);

/* Softmax: loops over the classes of one sample after the other (rows), or of a few samples
 * (columns); see
 * softmax_kernel.h.  Numbers are of the kernels' type, samples a struct softmax_samples of it.
 *
 * fghm_row_largest_kernel: the largest of n logits, and of *largest; not that of class `own`.
 * fghm_row_lift_kernel: lifted exponentials of n logits, 0 for the class `own`, to `exponentials`
 * (or NULL), and to a sum.  n is a multiple of 256, but for the last classes of a row.
 * fghm_row_rest_kernel: adds them without that of the largest logit.
 * fghm_rows_reduce_kernel: both of the first two, of all classes of n samples of a tile from
 * `first` on, none of them ignored; exponentials may take the place of logits.
 * fghm_rows_spread_kernel: brings the derivatives of the samples' margins to their logits from
 * class `start` on. */
struct fghm_rows {
    void *first;    /* of the first sample, or NULL: not wanted */
    ptrdiff_t step; /* to the next sample */
};
struct fghm_spread {
    bool absolute;
    bool of_gradient; /* the Hessian is the magnitude of the gradient */
    double hessian_floor;
    double hessian_factor; /* of all modes */
    const void *samples;
    const void *gradient, *hessian; /* of the margins */
    const void *factors;            /* what the floor is multiplied by */
};
typedef void fghm_row_largest_kernel(size_t n, size_t own, const void *logits, void *largest);
typedef void fghm_row_lift_kernel(size_t n, size_t own, const void *logits, const void *largest,
                                  void *exponentials, struct fghm_sum *sum);
typedef void fghm_row_rest_kernel(size_t n, const void *exponentials, struct fghm_sum *sum);
typedef void fghm_rows_reduce_kernel(size_t first, size_t n, size_t classes,
                                     const struct fghm_rows *logits,
                                     const struct fghm_rows *exponentials, void *samples);
typedef void fghm_rows_spread_kernel(const struct fghm_spread *spread, size_t first, size_t n,
                                     size_t start, size_t classes,
                                     const struct fghm_rows *exponentials,
                                     const struct fghm_rows *gradient,
                                     const struct fghm_rows *hessian);

/* The same of columns: class c of neighbouring samples at `first + c step`; `first` NULL if they
 * are not wanted.  A part is `classes` classes from `start` on, of samples from `first` of a tile
 * on, a multiple of 16 of them.  Sums of each 16 samples are 16, or a power of two below that, if
 * the part has all classes: class c adds to those that are c mod 16, and those to the ones that are
 * that modulo `sums`; classes from 0 on begin them. */
struct fghm_columns {
    void *first;
    ptrdiff_t step;
};
struct fghm_columns_part {
    size_t first, lanes;
    size_t start, classes;
    size_t sums;
};
typedef void fghm_columns_largest_kernel(const struct fghm_columns_part *part,
                                         const struct fghm_columns *logits, void *samples);
typedef void fghm_columns_lift_kernel(const struct fghm_columns_part *part,
                                      const struct fghm_columns *logits,
                                      const struct fghm_columns *exponentials, const void *samples,
                                      double *sums);
typedef void fghm_columns_rest_kernel(const struct fghm_columns_part *part,
                                      const struct fghm_columns *exponentials, double *sums);
typedef void fghm_columns_spread_kernel(const struct fghm_spread *spread,
                                        const struct fghm_columns_part *part,
                                        const struct fghm_columns *exponentials,
                                        const struct fghm_columns *gradient,
                                        const struct fghm_columns *hessian);

/* The margins of n samples. */
typedef void fghm_margins_kernel(size_t n, const void *samples, void *margins);

/* Softmax with soft targets, SUM_LANES samples at a time, part by part of their classes; see
 * soft_kernel.h.  Samples are a struct soft_samples of the kernels' type.
 *
 * Over all classes: fghm_kernels.soft_largest, then soft_lift, soft_prepare (once), soft_terms if
 * the factor is that of each class, and soft_spread where derivatives are wanted.  Where a part is
 * read once more for that, soft_lift and soft_terms come before it, `again`. */
struct fghm_soft {
    double gamma, negative_gamma; /* of classes other than the label's; -1: the same */
    bool by_class;                /* the factor is that of each class, not of the sample */
    bool detached;                /* it is a constant */
    bool hessian, gauss_newton;   /* whether it is wanted, and which */
    bool again;                   /* sums are there */
    struct fghm_spread modes;     /* how the Hessian is to be */
    size_t start, classes;        /* the part */
    const void *class_factors;    /* of its classes; NULL: 1 */
};
typedef void fghm_soft_kernel(const struct fghm_soft *soft, void *samples);

/* Adds the targets of each of SUM_LANES samples to its sum, if all of them are in [0, 1]; else
 * returns false with nothing added. */
typedef bool fghm_soft_add_targets_kernel(size_t classes, const void *targets, double *sums);

/* What a handle makes of log-odds; see calibration_kernel.h. */
struct fghm_calibration {
    double gamma, negative_gamma;
    bool star;
    bool detached;
    double margin;             /* of negatives; the kernel has none */
    double offset, offset_low; /* log(a_t of target 0 / a_t of target 1), in two parts */
};

/* Logits, replaced by the probabilities that they are best for; so are numbers behind them, to the
 * next multiple of 16. */
typedef void fghm_calibrate_kernel(const struct fghm_calibration *map, size_t n, double *numbers);

/* A row of logits, for the calibration of softmax; see calibration_kernel.h.  Pairs are in two
 * parts. */
struct fghm_shares {
    double largest;          /* of the logits, if finite; any other is at least the floor, or far */
    double floor;            /* below it */
    double gap, gap_low;     /* exponentials: exp(x_c - largest + gap) */
    bool final;              /* whether what follows is there: exponentials are wanted first */
    bool detached;           /* the focal factor is a constant */
    double all, all_low;     /* the sum of exp(x_c - largest) */
    double log_all;          /* its logarithm */
    double power, power_low; /* gamma (-log(1 - p)) of the top, the class with the largest */
    double factor;           /* its weight, and what the gradient's second term makes of it */
    const double *gammas, *weights; /* of the part's classes */
};

/* Logits of a part of a row, replaced by their exponentials, or by the shares of all classes but
 * the top; so are numbers behind them, to the next multiple of 16. */
typedef void fghm_shares_kernel(const struct fghm_shares *shares, size_t n, double *numbers);

struct fghm_kernels {
    size_t real_size;
    fghm_focal_kernel *focal[FGHM_GAMMAS];
    fghm_focal_kernel *probability; /* logits are probabilities; for any gamma */
    fghm_count_kernel *ghm_count;
    fghm_apply_kernel *ghm_apply;
    fghm_harmonize_kernel *ghm_harmonize;
    fghm_count_kernel *ghmr_count;
    fghm_regression_kernel *ghmr_apply;
    fghm_harmonize_kernel *ghmr_harmonize;
    fghm_row_largest_kernel *row_largest;
    fghm_row_lift_kernel *row_lift;
    fghm_rows_reduce_kernel *rows_reduce;
    fghm_row_rest_kernel *row_rest;
    fghm_rows_spread_kernel *rows_spread;
    fghm_columns_largest_kernel *columns_largest;
    fghm_columns_lift_kernel *columns_lift;
    fghm_columns_rest_kernel *columns_rest;
    fghm_columns_spread_kernel *columns_spread;
    fghm_margins_kernel *margins;
    fghm_soft_add_targets_kernel *soft_add_targets;
    fghm_soft_kernel *soft_largest, *soft_lift, *soft_prepare, *soft_terms, *soft_spread;
    fghm_read_kernel *read;
    fghm_write_kernel *write;
    fghm_match_kernel *match;
    fghm_blank_kernel *blank;
    fghm_weigh_kernel *weigh;
    fghm_tally_kernel *tally;
    fghm_total_kernel *total;
    fghm_calibrate_kernel *calibrate; /* of doubles alone, as is the next */
    fghm_shares_kernel *shares;
};

#endif
