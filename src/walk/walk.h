/* SPDX-License-Identifier: MIT */
#ifndef FGHM_WALK_WALK_H
#define FGHM_WALK_WALK_H

/* The walk: the one way from the caller's arrays through the kernels and back.  A plan says what
 * is walked over; a segment of it goes tile by tile, each loaded as contiguous elements of the
 * kernels' own type, computed, and stored.  What is there in that form already is not copied, and
 * goes to the kernel at once.
 *
 * All of it is plain C, compiled once for each type: instruction sets offer arithmetic, and the
 * reading and writing of storage types. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* The extents of a batch, its axes before and after that of the classes folded into one
 * each.  Without a class axis, inner is all. */
struct fghm_shape {
    size_t outer, classes, inner;
};

/* Arrays that have to be read in some other way than one element after the other: in whatever
 * type and layout, with labels, with elements that are ignored, with factors of classes. */
struct fghm_arrays {
    struct fghm_array logits, targets, scores, weights;
    struct fghm_array element_loss, gradient, hessian, harmonizing_weight;
    bool plain;          /* nothing of what follows is there: targets are dense, none is ignored */
    bool direct;         /* nor is an array that is not direct */
    bool labels;         /* targets are labels of samples */
    int64_t first_label; /* the label of class 0 */
    bool ignoring;
    int64_t ignore_index;
    bool nan_ignored; /* so are dense targets that are NaN; with softmax, their samples */
    bool has_background;
    int64_t background; /* the label of samples without a class; with softmax, of a class */
    double label_smoothing;
    struct fghm_class_factors factors;
    const double *offsets; /* of classes, added to logits; or NULL */
    const double *gammas;  /* of the classes, or NULL */
    bool zero_scores;      /* a score of 0 becomes the smallest number, since it is a positive's */
};

/* Of the arrays of a plan, which may be NULL. */
static inline bool fghm_have_labels(const struct fghm_arrays *arrays) {
    return arrays != NULL && arrays->labels;
}

static inline bool fghm_have_class_factors(const struct fghm_arrays *arrays) {
    return arrays != NULL && (arrays->factors.alpha != NULL || arrays->factors.weights != NULL);
}

/* Which targets are positive: from 1/2 on, 1 alone, or all above 0. */
enum fghm_positive { FGHM_POSITIVE_HALF, FGHM_POSITIVE_ONE, FGHM_POSITIVE_ABOVE_ZERO };

/* What is walked over, checked. */
struct fghm_plan {
    struct fghm_shape shape;
    bool is_double; /* the type that is computed in */
    bool softmax;   /* losses are those of samples */
    bool by_sample; /* arrays of elements are walked by samples, class by class */
    enum fghm_positive positive;
    bool regression; /* targets are any numbers */
    bool counting;   /* positives, and sums of weights and targets, are wanted */
    /* The arrays: as `arrays` has them, or, where that is NULL, contiguous ones of the type that
     * is computed in. */
    const struct fghm_span *span;
    const struct fghm_arrays *arrays;
};

/* What can be wrong with an element, a sample or its label. */
enum fghm_bad { FGHM_BAD_NOTHING, FGHM_BAD_DENSE, FGHM_BAD_LABEL, FGHM_BAD_LOGIT, FGHM_BAD_SCORE };

/* What the walk over a part of a plan brings back.  The offender is the index of an element
 * (of a sample, for labels and scores), the first that is found. */
struct fghm_part {
    double sum, sum_error; /* of the losses: the sum is that of both */
    double sum_huge;       /* and this, in the units of double_sum.h */
    /* Of what is not ignored, NaN left out; where the plan counts. */
    double sum_weights, sum_weights_error;
    struct fghm_tally targets;
    uint64_t ignored;
    enum fghm_bad bad;
    size_t offender;
};

/* Field by field: small calls feel the loop that clears a struct. */
static inline void fghm_part_start(struct fghm_part *part) {
    part->sum = part->sum_error = part->sum_huge = 0;
    part->sum_weights = part->sum_weights_error = 0;
    part->targets.positives = 0;
    part->targets.sum = part->targets.sum_error = 0;
    part->ignored = 0;
    part->bad = FGHM_BAD_NOTHING;
    part->offender = 0;
}

/* What focal losses are, whatever they are computed of. */
struct fghm_focal_losses {
    const struct fghm_kernels *kernels;
    struct fghm_focal_constants constants;
    fghm_focal_kernel *kernel;
    bool probability; /* logits are probabilities */
    double star;      /* gamma of focal-star, 0 for other rules: logits are multiplied by it */
    double scale;     /* of derivatives, besides 1 / D */
    /* Softmax with soft targets: the focal factor is that of each class; gamma of those other than
     * the label's, or -1; factors of classes are those of terms, not of samples. */
    bool soft_by_class;
    double soft_negative_gamma;
    bool of_terms;
    /* Softmax: what Hessians are behind those of margins. */
    bool of_gradient;
    double hessian_factor;
};

/* Focal losses of a batch.  Those of a handle are pointed to, since small calls feel a copy. */
struct fghm_focal_plan {
    struct fghm_plan batch;
    const struct fghm_focal_losses *losses;
    double scale; /* of derivatives: that of the losses over D */
};

/* GHM.  Weights of the batch are the mask. */
struct fghm_ghm_plan {
    struct fghm_plan batch;
    const struct fghm_kernels *kernels;
    const struct fghm_bins *bins;
    const void *bin_weights;         /* as fghm_apply_kernel has them */
    const void *harmonizing_weights; /* without the loss weight */
    double scale;
    double mu; /* of GHM-R, 0 for GHM-C */
};

/* The walks of a type.  Each adds a part of a plan to `part`: n losses, elements or, for softmax,
 * samples, from `first` on. */
struct fghm_walk {
    /* Counts, and finds labels and scores that are none.  Of labels, samples. */
    void (*survey)(const struct fghm_kernels *kernels, const struct fghm_plan *plan, size_t first,
                   size_t n, struct fghm_part *part);
    /* The sum of the weights of what is not ignored. */
    void (*survey_weights)(const struct fghm_kernels *kernels, const struct fghm_plan *plan,
                           size_t first, size_t n, struct fghm_part *part);
    /* Contiguous elements of any rule but focal-star, by a single call of their kernel. */
    void (*focal_span)(const struct fghm_focal_losses *losses, double scale,
                       const struct fghm_span *span, struct fghm_part *part);
    /* Computes.  Counts too, but for labels, which have to be surveyed before. */
    void (*focal)(const struct fghm_focal_plan *plan, size_t first, size_t n,
                  struct fghm_part *part);
    /* Adds the number of elements in each bin to `counts`, and of valid ones to *valid. */
    void (*ghm_count)(const struct fghm_ghm_plan *plan, size_t first, size_t n, uint64_t *counts,
                      uint64_t *valid, struct fghm_part *part);
    void (*ghm_apply)(const struct fghm_ghm_plan *plan, size_t first, size_t n,
                      struct fghm_part *part);
};

extern const struct fghm_walk fghm_walk_f32, fghm_walk_f64;

static inline const struct fghm_walk *fghm_walk_of(size_t real_size) {
    return real_size == sizeof(float) ? &fghm_walk_f32 : &fghm_walk_f64;
}

#endif
