/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_FOCAL_H
#define FOCALGHM_FOCAL_H

#include <stddef.h>
#include <stdint.h>

#include "focalghm/export.h"
#include "focalghm/pool.h"
#include "focalghm/reduction.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Focal loss (Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object
 * Detection, ICCV 2017), sigmoid form.
 *
 * With logit x, target t, p = sigmoid(x):
 *
 *     p_t   = p t + (1 - p)(1 - t)                     probability of being right
 *     BCE   = t softplus(-x) + (1 - t) softplus(x)     binary cross-entropy
 *     a_t   = alpha t + (1 - alpha)(1 - t)             1 if alpha is off
 *     FL(x) = a_t (1 - p_t)^gamma BCE
 *
 * For t = 1 or 0, with z = x or -x, this is FL = a_t sigmoid(-z)^gamma
 * softplus(-z).  A target between 0 and 1 uses the same formula, linear in t,
 * as mmdetection, torchvision and fvcore do.  gamma 0 with alpha off is exactly
 * binary cross-entropy.
 *
 * The Hessian is d2FL/dx2, element by element (the loss couples no two
 * elements).  The loss is not convex: for t = 1 or 0 the Hessian is negative
 * where the element is badly wrong (for gamma 2, where z < -2.79). */

/* A configuration: gamma, alpha and the reduction.  It holds no data of any
 * call.  Any number of threads may compute with one handle at a time; setters
 * need it for themselves. */
typedef struct fghm_focal fghm_focal;

/* Makes a configuration with gamma 2, alpha 0.25 and FGHM_REDUCTION_MEAN.
 * Errors: NULL_HANDLE (focal is NULL), MEMORY; *focal is then left as it was. */
FGHM_API fghm_status fghm_focal_create(fghm_focal **focal);

/* Frees it.  NULL is a no-op. */
FGHM_API void fghm_focal_destroy(fghm_focal *focal);

/* gamma: any finite number >= 0.  Errors: NULL_HANDLE, GAMMA. */
FGHM_API fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma);

/* alpha, the weight of positives (1 - alpha is that of negatives), in [0, 1].
 * Errors: NULL_HANDLE, ALPHA. */
FGHM_API fghm_status fghm_focal_set_alpha(fghm_focal *focal, double alpha);

/* Turns alpha off: positives and negatives both have weight 1.
 * Errors: NULL_HANDLE. */
FGHM_API fghm_status fghm_focal_clear_alpha(fghm_focal *focal);

/* *enabled becomes 1 and *alpha the weight of positives; or, with alpha off, 0
 * and 1.0.  Errors: NULL_HANDLE, NULL_POINTER (either is NULL). */
FGHM_API fghm_status fghm_focal_get_alpha(const fghm_focal *focal, double *alpha, int32_t *enabled);

/* MEAN divides by n, the number of elements, whatever their weights.
 * Errors: NULL_HANDLE, REDUCTION. */
FGHM_API fghm_status fghm_focal_set_reduction(fghm_focal *focal, fghm_reduction reduction);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_reduction(const fghm_focal *focal, fghm_reduction *reduction);

/* The divisor of FGHM_REDUCTION_NORMALIZER (1 until set), from FLT_MIN to FLT_MAX.
 * Setting it does not change the reduction.  Errors: NULL_HANDLE, NORMALIZER. */
FGHM_API fghm_status fghm_focal_set_normalizer(fghm_focal *focal, double normalizer);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_normalizer(const fghm_focal *focal, double *normalizer);

/* Loss, gradient and Hessian of n contiguous elements, in one pass.
 *
 *   pool          threads to use; NULL: the calling thread alone
 *   n             number of elements; 0 gives loss 0 and touches no array
 *   logits        n logits, any value
 *   targets       n targets in [0, 1]
 *   weights       n factors, one for each element; NULL: all 1
 *   loss          the reduced loss, one double
 *   element_loss  n values weights[i] FL(logits[i]), not reduced
 *   gradient      n values d loss / d logits[i]
 *   hessian       n values d2 loss / d logits[i]2
 *
 * Any of the four outputs may be NULL, but not all.  gradient, element_loss and
 * hessian may be the very array of logits, targets or weights (the result
 * replaces it); no other overlap of an output with another array is allowed.
 * No alignment beyond the element type's own is needed.
 *
 * NaN in an element's logit, target or weight makes that element's results NaN,
 * and with it the loss, and nothing else.  An infinite logit gives the limit.
 * Every finite logit gives finite results, for every gamma, with weights up to
 * 1 in magnitude.  A target outside [0, 1] makes that element's results NaN;
 * the call does the rest and then returns FGHM_ERROR_TARGET, with *loss as it
 * was.
 *
 * Errors: NULL_HANDLE (focal), NULL_POINTER (logits or targets, with n > 0),
 * NO_OUTPUT, SIZE, ALIASING: nothing is written.  TARGET: see above. */
FGHM_API fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                    const float *logits, const float *targets, const float *weights,
                                    double *loss, float *element_loss, float *gradient,
                                    float *hessian);

/* The same in double precision. */
FGHM_API fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                    const double *logits, const double *targets,
                                    const double *weights, double *loss, double *element_loss,
                                    double *gradient, double *hessian);

#ifdef __cplusplus
}
#endif

#endif
