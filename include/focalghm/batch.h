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

/**
 * @file
 * A batch: where the numbers of a call lie, in whatever form their owner has them.
 *
 * The functions named fghm_..._batch take an fghm_batch.  Its shape has up to eight axes, of
 * which one may be the axis of the classes.  An *element* is one logit: an index for each axis.
 * A *sample* is an index for each axis but that of the classes; it has as many elements as
 * there are classes.  Without a class axis every element is a sample.
 *
 *     what                              shape            class axis
 *     n logits                          {n}              none
 *     N x C, one row a sample           {N, C}           1 (or -1)
 *     C x N, class after class          {C, N}           0
 *     images N,C,H,W                    {N, C, H, W}     1
 *     a detector's N,A,C,H,W            {N, A, C, H, W}  2
 *
 * Views that are not contiguous (a crop, a transposed or reversed array, a repeated value) go
 * in as they are, with their strides.
 *
 * Example: softmax over 21 classes of N,C,H,W images, with labels, 255 meaning "ignore".
 * @code
 * fghm_batch batch = FGHM_BATCH_INIT;
 * batch.ndim = 4;
 * batch.shape[0] = images, batch.shape[1] = 21, batch.shape[2] = height, batch.shape[3] = width;
 * batch.class_axis = 1;
 * batch.activation = FGHM_SOFTMAX;
 * batch.target_form = FGHM_TARGET_LABEL;
 * batch.ignore_index = 255;
 * batch.logits.data = logits, batch.logits.dtype = FGHM_F32;
 * batch.targets.data = labels, batch.targets.dtype = FGHM_U8;
 * batch.gradient.data = gradient, batch.gradient.dtype = FGHM_F32;
 * fghm_result result = FGHM_RESULT_INIT;
 * fghm_status status = fghm_focal_batch(focal, NULL, &batch, &result);
 * @endcode
 */

/**
 * How a number is stored.
 *
 * Results are computed in double if the logits are FGHM_F64, else in float; the last step to
 * an output that is narrower rounds to nearest.  Sums are always double.
 */
typedef int32_t fghm_dtype;

/** The values of ::fghm_dtype. */
enum fghm_dtype_values {
    FGHM_DTYPE_INVALID = -1,
    /** Not set: an error where there is an array. */
    FGHM_DTYPE_UNSET = 0,
    /** float */
    FGHM_F32 = 1,
    /** double */
    FGHM_F64 = 2,
    /** IEEE binary16 */
    FGHM_F16 = 3,
    /** The upper half of binary32 */
    FGHM_BF16 = 4,
    /** uint8_t; targets and labels only, as the next two (C's bool is stored so, too) */
    FGHM_U8 = 5,
    /** int32_t */
    FGHM_I32 = 6,
    /** int64_t */
    FGHM_I64 = 7
};

/** How an array lies in memory. */
typedef int32_t fghm_layout;

/** The values of ::fghm_layout. */
enum fghm_layout_values {
    FGHM_LAYOUT_INVALID = -1,
    /** Row-major over the axes that the array has: all of them for an array of elements, all but
     * the class axis for an array of samples.  The strides must be 0. */
    FGHM_LAYOUT_CONTIGUOUS = 0,
    /** strides[] say where the elements are.  They count elements, not bytes; 0 repeats a value,
     * on one axis or on all, and a negative one goes backwards.  (Where the distance in bytes is no
     * multiple of the number's size, as in a packed record, the array has to be copied.)  On an
     * axis of extent 0 or 1 the stride is not looked at.  An array of samples has an entry for
     * every axis of the shape, too: that of the class axis is 0, else the call returns
     * FGHM_ERROR_STRIDE and names the axis. */
    FGHM_LAYOUT_STRIDED = 1,
    /** One value for each sample, row-major over all axes but the class axis, repeated for the
     * classes.  The strides must be 0.  Not for outputs of elements; for an array of samples (e.g.
     * labels) the same as FGHM_LAYOUT_CONTIGUOUS. */
    FGHM_LAYOUT_PER_SAMPLE = 2
};

/** Numbers of an fghm_batch. */
enum fghm_batch_limits_values {
    FGHM_BATCH_LIMITS_INVALID = -1,
    /** The most axes of a shape. */
    FGHM_AXES_MAX = 8,
    /** For fghm_batch.class_axis: there is none.  (-1 is the last axis.) */
    FGHM_AXIS_NONE = -128,
    /** What the initializers write into fghm_batch.tag. */
    FGHM_TAG = 0x46474d31
};

/** An extent that nobody has set. */
#define FGHM_UNSET INT64_MIN

/** No value of the targets means "ignore". */
#define FGHM_IGNORE_NONE INT64_MIN

/** An array that is read.  Where data is NULL there is no such array, and the rest is not
 * looked at. */
typedef struct fghm_input {
    /** The element with index 0 on every axis. */
    const void *data;
    /** How its numbers are stored. */
    fghm_dtype dtype;
    /** FGHM_LAYOUT_CONTIGUOUS, by the initializer; FGHM_LAYOUT_STRIDED if strides are given. */
    fghm_layout layout;
    /** In elements, one for each axis of the shape; all 0 unless the layout is strided. */
    int64_t strides[FGHM_AXES_MAX];
} fghm_input;

/** An array that is written; as fghm_input.
 *
 * No two of its elements may be in one place, and the strides have to show it: with the axes of
 * more than one element in the order of the magnitude of their strides, each stride must be larger
 * than the distance from the first to the last element along all axes before it.  So it is for
 * slices, transposed and reversed arrays and columns of a table; else the call returns
 * FGHM_ERROR_STRIDE. */
typedef struct fghm_output {
    /** The element with index 0 on every axis. */
    void *data;
    /** How its numbers are stored. */
    fghm_dtype dtype;
    /** FGHM_LAYOUT_CONTIGUOUS, by the initializer; FGHM_LAYOUT_STRIDED if strides are given. */
    fghm_layout layout;
    /** In elements, one for each axis of the shape; all 0 unless the layout is strided. */
    int64_t strides[FGHM_AXES_MAX];
} fghm_output;

/** What the logits array holds. */
typedef int32_t fghm_activation;

/** The values of ::fghm_activation. */
enum fghm_activation_values {
    FGHM_ACTIVATION_INVALID = -1,
    /** Logits, each element for itself: p = sigmoid(x). */
    FGHM_SIGMOID = 0,
    /** Logits of samples: p = softmax over the class axis.  Each has one true class, with
     * FGHM_TARGET_LABEL, or a target for each class, with FGHM_TARGET_DENSE.  The loss belongs to
     * the sample: weights, element_loss and harmonizing_weight are arrays of samples, as labels
     * are, and every count of elements is one of samples. */
    FGHM_SOFTMAX = 1,
    /** Probabilities p, already activated, in [0, 1].  Gradient and Hessian are those with
     * respect to p. */
    FGHM_PROBABILITY = 2
};

/** What the targets are. */
typedef int32_t fghm_target_form;

/** The values of ::fghm_target_form. */
enum fghm_target_form_values {
    FGHM_TARGET_INVALID = -1,
    /** One target t in [0, 1] for each element, of any dtype.  With softmax those of a sample need
     * not add up to 1: see fghm_focal_batch for what is computed. */
    FGHM_TARGET_DENSE = 0,
    /** One label for each sample, of dtype FGHM_U8, FGHM_I32 or FGHM_I64 (labels that are held as
     * floating-point numbers have to be converted): the element of the labelled class has
     * t = 1, the sample's others t = 0.  targets is an array of samples. */
    FGHM_TARGET_LABEL = 1,
    /** Labels as above, and in `scores` one number s in [0, 1] for each sample: the element of
     * the labelled class has t = s.  Not with softmax. */
    FGHM_TARGET_LABEL_SCORE = 2
};

/** Which label means "none of the classes", so that all elements of the sample have t = 0. */
typedef int32_t fghm_background;

/** The values of ::fghm_background.  With softmax, where every sample has a class, background is
 * a class like the others, but does not count as positive. */
enum fghm_background_values {
    FGHM_BACKGROUND_INVALID = -1,
    /** No label does; classes are 0 ... C - 1. */
    FGHM_BACKGROUND_NONE = 0,
    /** The label C; with softmax C - 1. */
    FGHM_BACKGROUND_LAST = 1,
    /** The label 0, and classes are 1 ... C; with softmax the label 0 of 0 ... C - 1. */
    FGHM_BACKGROUND_FIRST = 2,
    /** The label -1; classes are 0 ... C - 1.  Not with softmax. */
    FGHM_BACKGROUND_MINUS_ONE = 3
};

/** Bits of fghm_batch.flags. */
enum fghm_batch_flags {
    FGHM_BATCH_FLAGS_INVALID = -1,
    /** A dense target that is NaN is missing: its element is ignored, with softmax its sample. */
    FGHM_NAN_TARGETS_IGNORED = 1,
    /** With softmax, and for focal loss: class_alpha and class_weights of a class are factors of
     * its own term of a sample's loss, as PyTorch's cross_entropy has them with label smoothing,
     * and not those of the label's class factors of the sample.  So they are in any case where
     * targets are dense, and where labels are not smoothed it is the same. */
    FGHM_CLASS_WEIGHTS_OF_TERMS = 2
};

/**
 * One batch.  Initialize it with FGHM_BATCH_INIT or fghm_batch_init, then set what is needed:
 * at least ndim, shape, logits and targets (data and dtype), and an output or a result.
 *
 * A later version of the library may know more fields, which stand behind these and are neutral
 * at 0.  A program that was built with another version goes on working: `size` says what it
 * knows.
 */
typedef struct fghm_batch {
    /** sizeof(fghm_batch), by the initializer. */
    uint32_t size;
    /** FGHM_TAG, by the initializer; else FGHM_ERROR_UNINITIALIZED, whatever size is. */
    uint32_t tag;
    /** The number of axes, 1 to FGHM_AXES_MAX. */
    int32_t ndim;
    /** 0 ... ndim - 1; or from the end, -1 ... -ndim; or FGHM_AXIS_NONE. */
    int32_t class_axis;
    /** The extents: at least 0 (an empty batch is a success), that of the class axis at least 1;
     * FGHM_UNSET from ndim on, so that an ndim that is too small is found. */
    int64_t shape[FGHM_AXES_MAX];
    /** FGHM_SIGMOID, by the initializer. */
    fghm_activation activation;
    /** FGHM_TARGET_DENSE, by the initializer. */
    fghm_target_form target_form;
    /** FGHM_BACKGROUND_NONE, by the initializer; others go with labels alone. */
    fghm_background background;
    /** Bits of ::fghm_batch_flags, or 0. */
    int32_t flags;
    /** Targets, or labels, with this value are ignored: all results of their elements are 0,
     * whatever their logits and weights are.  Any value, also one outside the range of targets;
     * FGHM_IGNORE_NONE for none.  Not with softmax of dense targets. */
    int64_t ignore_index;
    /** Label smoothing s in [0, 1]: t becomes t (1 - s) + s / 2; with softmax over C classes
     * t (1 - s) + s / C. */
    double label_smoothing;
    /** alpha of each class, in place of the handle's; with softmax, the factor of samples with
     * this label, or of terms: see FGHM_CLASS_WEIGHTS_OF_TERMS.  One double for each class, 0 or in
     * [2^-40, 1], or NULL. */
    const double *class_alpha;
    /** gamma of each class, in place of the handle's; with softmax, that of samples with this
     * label.  One double for each class, in [0, 64], or NULL.  Not with two gammas or soft targets
     * of softmax, and of rules with FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT,
     * FGHM_FOCAL_RULE_QUALITY and FGHM_FOCAL_RULE_HEATMAP alone. */
    const double *class_gamma;
    /** One more factor of each class, 0 or in [2^-40, 2^40], or NULL. */
    const double *class_weights;
    /** A number to be added to the logits of each class: a finite double for each class, or NULL.
     * With tau log(frequency of the class) it is logit adjustment (Menon et al.: Long-Tail Learning
     * via Logit Adjustment, ICLR 2021), with log(number of samples of the class) balanced softmax
     * (Ren et al.: Balanced Meta-Softmax, NeurIPS 2020).  Logit and offset are added in double and
     * rounded once to the type that is computed in; a sum of finite numbers which that does not
     * hold is the largest number that it holds.  Derivatives with respect to that sum are those
     * with respect to the logit.  Not with FGHM_PROBABILITY. */
    const double *class_offsets;
    /** Logits, or probabilities: an array of elements, of a floating-point dtype. */
    fghm_input logits;
    /** Targets (elements) or labels (samples); see target_form. */
    fghm_input targets;
    /** FGHM_TARGET_LABEL_SCORE: the scores, an array of samples of a floating-point dtype. */
    fghm_input scores;
    /** Factors of the elements, any numbers; NaN makes the results of its own element NaN.  With
     * softmax an array of samples.  For GHM, a mask: only elements whose number is above 0 are
     * counted and have a loss.  Of a floating-point dtype. */
    fghm_input weights;
    /** The loss of each element (softmax: sample), not divided by D. */
    fghm_output element_loss;
    /** d loss / d logit of each element. */
    fghm_output gradient;
    /** d2 loss / d logit2 of each element. */
    fghm_output hessian;
    /** GHM only: w of each element (softmax: sample). */
    fghm_output harmonizing_weight;
} fghm_batch;

/** The size of fghm_batch in 0.2.0, the least that a library accepts.  Accepted are multiples of
 * 8 from here to 4096, and what is behind the known fields must be 0. */
#define FGHM_BATCH_SIZE_0_2 (offsetof(fghm_batch, harmonizing_weight) + sizeof(fghm_output))

/**
 * What a call over a batch says besides its arrays.  Initialize it with FGHM_RESULT_INIT or
 * fghm_result_init; it may be used again without.
 *
 * After an error the fields up to `offender` are valid; after an element error all are, with
 * sums that leave out the elements in question.  A result that has not been initialized is
 * FGHM_ERROR_UNINITIALIZED if it was zeroed and else mostly FGHM_ERROR_STRUCT, and nothing is
 * written into it: look at what the call returns first.
 */
typedef struct fghm_result {
    /** sizeof(fghm_result), by the initializer; the library never changes it. */
    uint32_t size;
    /** How many bytes from the start the library has written. */
    uint32_t filled;
    /** What the call returned. */
    fghm_status status;
    /** Where the error is. */
    fghm_field field;
    /** The other of two fields that do not go together (FGHM_ERROR_COMBINATION,
     * FGHM_ERROR_ALIASING, FGHM_ERROR_HISTOGRAMS, FGHM_ERROR_DIVISOR); FGHM_FIELD_NDIM where an
     * extent from ndim on has been set (FGHM_ERROR_RANGE). */
    fghm_field other_field;
    /** What offender counts. */
    fghm_place place;
    /** The first element, sample, class or axis that is in error, else -1. */
    int64_t offender;
    /** The reduced loss: sum / divisor. */
    double loss;
    /** The sum of all element losses. */
    double sum;
    /** D. */
    double divisor;
    /** The sum of the weights of valid elements, leaving out those that are NaN.  Where the batch
     * has no weights, and for GHM, the number of valid elements. */
    double sum_weights;
    /** The sum of the targets of valid elements before label smoothing, leaving out those that are
     * NaN. */
    double sum_targets;
    /** The number of elements (softmax: samples). */
    uint64_t elements;
    /** Those that are not ignored.  GHM's mask does not count here: what it leaves is D of a
     * mean. */
    uint64_t valid;
    /** The number of valid elements that are positive.  Dense targets: those with t >= 1/2 before
     * label smoothing (focal-star and heat maps: t = 1; varifocal rules: t > 0).  Labels, with
     * scores or without: those of the labelled class.  Softmax: samples whose label is not
     * background; with dense targets, all. */
    uint64_t positives;
} fghm_result;

/** The size of fghm_result in 0.2.0; see FGHM_BATCH_SIZE_0_2. */
#define FGHM_RESULT_SIZE_0_2 (offsetof(fghm_result, positives) + sizeof(uint64_t))

/* clang-format off */
/** No array. */
#define FGHM_ARRAY_NONE { NULL, 0, 0, { 0, 0, 0, 0, 0, 0, 0, 0 } }

/** The initial value of an fghm_batch. */
#define FGHM_BATCH_INIT { \
    sizeof(fghm_batch), FGHM_TAG, 0, FGHM_AXIS_NONE, \
    { FGHM_UNSET, FGHM_UNSET, FGHM_UNSET, FGHM_UNSET, \
      FGHM_UNSET, FGHM_UNSET, FGHM_UNSET, FGHM_UNSET }, \
    FGHM_SIGMOID, FGHM_TARGET_DENSE, FGHM_BACKGROUND_NONE, 0, FGHM_IGNORE_NONE, 0.0, \
    NULL, NULL, NULL, NULL, \
    FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, \
    FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE }

/** The initial value of an fghm_result. */
#define FGHM_RESULT_INIT { sizeof(fghm_result), 0, 0, 0, 0, 0, -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0 }
/* clang-format on */

/**
 * Does what FGHM_BATCH_INIT does, for languages that have no macros.
 *
 * @param batch  the struct to initialize
 * @param size   its size as the caller knows it; also what is written into it
 * @return FGHM_OK; FGHM_ERROR_NULL_POINTER; FGHM_ERROR_STRUCT if size is none that a library
 * accepts: nothing is then written
 */
FGHM_API fghm_status fghm_batch_init(fghm_batch *batch, size_t size);

/**
 * How many numbers of memory an array of a batch reaches: what a call with it may read or write.
 * For those who know how much memory there is, as bindings to other languages do, and for those
 * who are about to get it.
 *
 * An array fits into `count` numbers, of which number `first` has the index 0 on every axis, if
 * first >= before and count - first >= after.  Where the array is there, an error is one that every
 * call over this batch returns, too, before it touches an array.
 *
 * Any thread may call it.
 * @param batch        the batch; pointers to arrays are not looked at
 * @param field        which: FGHM_FIELD_CLASS_ALPHA ... FGHM_FIELD_HARMONIZING_WEIGHT
 * @param[out] before  numbers in front of the one with index 0 on every axis: 0 without negative
 *                     strides
 * @param[out] after   numbers from that one on, itself included: for a contiguous array as many as
 *                     it has, for factors of classes the number of classes; 0 if there are no
 *                     elements.  Both as they were on an error
 * @return FGHM_OK; FGHM_ERROR_NULL_POINTER; FGHM_ERROR_CONSTANT if field is none of these; what a
 *         call returns for a batch with this shape and these constants, and for this array's dtype,
 *         layout and strides
 */
FGHM_API fghm_status fghm_batch_reach(const fghm_batch *batch, fghm_field field, size_t *before,
                                      size_t *after);

/**
 * Does what FGHM_RESULT_INIT does; as fghm_batch_init.
 *
 * @param result  the struct to initialize
 * @param size    its size as the caller knows it; also what is written into it
 * @return FGHM_OK; FGHM_ERROR_NULL_POINTER; FGHM_ERROR_STRUCT
 */
FGHM_API fghm_status fghm_result_init(fghm_result *result, size_t size);

#ifdef __cplusplus
}
#endif

#endif
