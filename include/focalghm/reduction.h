/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_REDUCTION_H
#define FOCALGHM_REDUCTION_H

#include <stdint.h>

/* How the loss of a batch is made from its elements:
 *
 *     loss = sum over i of element_loss[i] / D
 *
 * Gradient and Hessian are those of this loss, so they carry the same 1 / D.
 * element_loss itself is never divided: whoever wants the reduction "none" of
 * other libraries asks for element_loss and uses FGHM_REDUCTION_SUM. */
typedef int32_t fghm_reduction;

#define FGHM_REDUCTION_SUM 0  /* D = 1 */
#define FGHM_REDUCTION_MEAN 1 /* D = number of elements (each function says which count) */
#define FGHM_REDUCTION_NORMALIZER                                                                  \
    2                                 /* D = the normalizer set by the caller, e.g. the number of  \
                                         positives over all machines of a training */
#define FGHM_REDUCTION_MEAN_SAMPLES 3 /* D = number of samples, see batch.h */
#define FGHM_REDUCTION_MEAN_POSITIVES 4 /* D = number of elements with t >= 1/2, at least 1 */
#define FGHM_REDUCTION_MEAN_VALID 5     /* D = number of elements not ignored, at least 1 */

#endif
