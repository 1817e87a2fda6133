/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_BATCH_H
#define FOCALGHM_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "focalghm/export.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A batch: where the numbers of a call lie, in whatever form they are, for the
 * functions named fghm_..._batch.
 *
 * Its elements have three indices: outer o, class c and inner i.
 *
 *     layout of the caller             outer   classes   inner   strides of the logits
 *     n values                         n       1         1       {1, 0, 0}
 *     N x C, row-major                 N       C         1       {C, 1, 0}
 *     C x N, class-major (LightGBM)    1       C         N       {0, N, 1}
 *     N, C, H, W (segmentation)        N       C         H W     {C H W, H W, 1}
 *     N, H, W, C (channels last)       N H W   C         1       {C, 1, 0}
 *
 * A sample is a pair (o, i); it has `classes` elements. */

/* How a number is stored.  F16 is IEEE binary16, BF16 the upper half of binary32.
 * Results are computed in double if the logits are FGHM_F64, else in float, and
 * rounded once more, to nearest, where an output is narrower; sums are always
 * double. */
typedef int32_t fghm_dtype;

#define FGHM_F32 0
#define FGHM_F64 1
#define FGHM_F16 2
#define FGHM_BF16 3
#define FGHM_U8 4  /* targets only */
#define FGHM_I32 5 /* targets only */
#define FGHM_I64 6 /* targets only */

/* An array that is read, and one that is written.  Strides count elements, for o,
 * c and i, and may be negative, or, for an input, 0, which repeats a value.  All
 * three 0 stands for contiguous elements, with i running fastest and o slowest (so one
 * value cannot be repeated over all three axes).
 * `reserved` must be 0.  data NULL: there is no such array. */
typedef struct fghm_input {
    const void *data;
    fghm_dtype dtype;
    int32_t reserved;
    int64_t strides[3];
} fghm_input;

typedef struct fghm_output {
    void *data;
    fghm_dtype dtype;
    int32_t reserved;
    int64_t strides[3];
} fghm_output;

/* What the targets are. */
typedef int32_t fghm_target_form;

/* One target t in [0, 1] for each element, of any dtype. */
#define FGHM_TARGET_DENSE 0
/* One label for each sample (the stride of c is ignored), of dtype U8, I32 or I64:
 * the element of the labelled class has t = 1, the sample's others t = 0. */
#define FGHM_TARGET_LABEL 1

/* Which label means "none of the classes", so that all elements of the sample have
 * t = 0.  With softmax, where every sample has a class, background is a class like
 * the others, but does not count as positive. */
typedef int32_t fghm_background;

#define FGHM_BACKGROUND_NONE 0      /* no label does; classes are 0 ... classes - 1 */
#define FGHM_BACKGROUND_LAST 1      /* the label `classes` (softmax: classes - 1) */
#define FGHM_BACKGROUND_FIRST 2     /* the label 0; classes are 1 ... classes (softmax: as NONE) */
#define FGHM_BACKGROUND_MINUS_ONE 3 /* the label -1; classes as NONE (not with softmax) */

/* What the logits array holds. */
typedef int32_t fghm_activation;

/* Logits, each element on its own: p = sigmoid(x). */
#define FGHM_ACTIVATION_SIGMOID 0
/* Logits of which each sample has one true class: p = softmax over the classes.
 * Needs FGHM_TARGET_LABEL.  The loss belongs to the sample: so do weights,
 * element_loss and harmonizing_weight, whose stride of c is ignored, and every
 * count of elements below is one of samples. */
#define FGHM_ACTIVATION_SOFTMAX 1
/* Probabilities p, already activated, in [0, 1].  Gradient and Hessian are those
 * with respect to p. */
#define FGHM_ACTIVATION_PROBABILITY 2

/* One batch.  Set everything to 0, then size and what is needed. */
typedef struct fghm_batch {
    size_t size; /* sizeof(fghm_batch): tells the library which fields there are */
    size_t outer, classes, inner;
    fghm_activation activation;
    fghm_target_form target_form;
    fghm_background background;
    int32_t ignoring;     /* 1: targets equal to ignore_index are ignored; 0: none is */
    int64_t ignore_index; /* any value, negative ones too */
    /* Label smoothing s in [0, 1]: t becomes t (1 - s) + s / 2.  Not with softmax. */
    double label_smoothing;
    fghm_input logits;
    fghm_input targets;
    /* Factors >= 0 of the elements, or, with a stride of 0 for c, of the samples. */
    fghm_input weights;
    /* One double for each class, or NULL.  class_alpha[c] in [0, 1] replaces the
     * alpha of the handle for elements of class c (with softmax: is the factor of
     * samples whose label is c); class_weights[c] >= 0 is one more factor. */
    const double *class_alpha;
    const double *class_weights;
    /* Results, any of them. */
    fghm_output element_loss;
    fghm_output gradient;
    fghm_output hessian;
    fghm_output harmonizing_weight; /* GHM only: w of each element */
} fghm_batch;

/* What a call over a batch says besides its arrays. */
typedef struct fghm_result {
    size_t size;        /* sizeof(fghm_result), set by the caller */
    double loss;        /* reduced: sum / D */
    double sum;         /* of all element losses */
    double divisor;     /* D */
    uint64_t elements;  /* outer classes inner (softmax: outer inner) */
    uint64_t valid;     /* elements that are not ignored */
    uint64_t positives; /* valid elements with t >= 1/2 before label smoothing */
    /* After an error that has a place, the first of its kind in the order o, c, i: the
     * index of the sample o inner + i (LABEL), of the element (o classes + c) inner
     * + i (TARGET, WEIGHT), or the class (ALPHA, WEIGHT of class_weights); else -1. */
    int64_t offender;
} fghm_result;

#ifdef __cplusplus
}
#endif

#endif
