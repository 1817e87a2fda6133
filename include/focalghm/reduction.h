/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_REDUCTION_H
#define FOCALGHM_REDUCTION_H

#include <stdint.h>

/**
 * @file
 * How one number is made from the losses of many elements:
 *
 *     loss = sum over i of element_loss[i] / D
 *
 * Gradient and Hessian are those of this loss, so they carry the same 1 / D.  element_loss
 * itself is never divided: whoever wants the reduction "none" of other libraries asks for
 * element_loss and sets FGHM_REDUCTION_SUM.
 *
 * In the softmax form the loss belongs to a sample, and "elements" below are samples.
 *
 * For boosting use FGHM_REDUCTION_SUM.  A mean divides every Hessian by the number of rows, so that
 * sums of them do not reach limits such as min_sum_hessian, and trees do not grow.
 *
 * Example: the mean over positives, as detectors have it.
 * @code
 * fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN_POSITIVES);
 * @endcode
 */

/** How D is chosen. */
typedef int32_t fghm_reduction;

/** The values of ::fghm_reduction. */
enum fghm_reduction_values {
    FGHM_REDUCTION_INVALID = -1,
    /** D = 1. */
    FGHM_REDUCTION_SUM = 0,
    /** D = the number of elements, whatever their weights, ignored ones included; at least 1.
     * GHM: the number of valid elements of the last update. */
    FGHM_REDUCTION_MEAN = 1,
    /** D = the normalizer of the handle, e.g. the number of positives over all machines. */
    FGHM_REDUCTION_NORMALIZER = 2,
    /** D = the number of samples, at least 1.  Not for GHM, like all below. */
    FGHM_REDUCTION_MEAN_SAMPLES = 3,
    /** D = the number of positives (see fghm_result), at least 1. */
    FGHM_REDUCTION_MEAN_POSITIVES = 4,
    /** D = the number of elements that are not ignored, at least 1. */
    FGHM_REDUCTION_MEAN_VALID = 5,
    /** D = the sum of the weights of the elements that are not ignored, or the number of these
     * where there are no weights.  Factors of classes do not count.  FGHM_ERROR_DIVISOR if it is
     * not above 0 or not finite, unless there are no elements. */
    FGHM_REDUCTION_MEAN_WEIGHTS = 6,
    /** D = the sum of the targets of the elements that are not ignored, before label smoothing,
     * as quality and heat map losses have it; of labels, the sum of scores, or of labels that name
     * a class.  FGHM_ERROR_DIVISOR likewise. */
    FGHM_REDUCTION_MEAN_TARGETS = 7
};

#endif
