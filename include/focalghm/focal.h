/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_FOCAL_H
#define FOCALGHM_FOCAL_H

#include <stddef.h>
#include <stdint.h>

#include "focalghm/batch.h"
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

/* A configuration: gamma, alpha, the reduction and what else is set below.  It holds no
 * data of any call.  Any number of threads may compute with one handle at a time; setters
 * need it for themselves. */
typedef struct fghm_focal fghm_focal;

/* Makes a configuration with gamma 2, alpha 0.25 and FGHM_REDUCTION_MEAN.
 * Errors: NULL_HANDLE (focal is NULL), MEMORY; *focal is then left as it was. */
FGHM_API fghm_status fghm_focal_create(fghm_focal **focal);

/* Frees it.  NULL is a no-op. */
FGHM_API void fghm_focal_destroy(fghm_focal *focal);

/* gamma, of positives and of negatives: any finite number >= 0.
 * Errors: NULL_HANDLE, GAMMA. */
FGHM_API fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma);

/* gamma of negatives alone, as asymmetric loss has it; setting gamma undoes it.  Where
 * the two differ, soft targets follow FGHM_RULE_SPLIT, and a call takes twice as long.
 * Errors: NULL_HANDLE, GAMMA. */
FGHM_API fghm_status fghm_focal_set_negative_gamma(fghm_focal *focal, double gamma);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_negative_gamma(const fghm_focal *focal, double *gamma);

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

/* A factor of the whole loss and all its results (1 until set): finite, >= 0.
 * Errors: NULL_HANDLE, LOSS_WEIGHT. */
FGHM_API fghm_status fghm_focal_set_loss_weight(fghm_focal *focal, double loss_weight);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_loss_weight(const fghm_focal *focal, double *loss_weight);

/* What the loss is for targets between 0 and 1, on which the literature does not agree.
 * For t = 0 and 1 the first three are the same. */
typedef int32_t fghm_rule;

/* a_t (1 - p_t)^gamma BCE, linear in t, as above: mmdetection, torchvision, fvcore,
 * Keras, optax, Paddle. */
#define FGHM_RULE_LINEAR 0
/* alpha t (1 - p)^gamma softplus(-x) + (1 - alpha)(1 - t) p^gamma softplus(x): kornia,
 * Paddle's documentation. */
#define FGHM_RULE_SPLIT 1
/* Quality focal loss (Li et al.: Generalized Focal Loss, NeurIPS 2020):
 * a_t |t - p|^gamma BCE, where gamma is that paper's beta.  The relative error grows
 * where p comes near t, since p - t then loses digits. */
#define FGHM_RULE_QUALITY 2
/* Focal-star (Lin et al., appendix; fvcore): a_t softplus(-gamma z) / gamma, z = x for
 * t = 1, -x for t = 0, no other target.  gamma > 0. */
#define FGHM_RULE_STAR 3

/* FGHM_RULE_LINEAR until set.  Errors: NULL_HANDLE, RULE. */
FGHM_API fghm_status fghm_focal_set_rule(fghm_focal *focal, fghm_rule rule);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_focal_get_rule(const fghm_focal *focal, fghm_rule *rule);

/* What the Hessian outputs hold.  Boosting libraries sum Hessians over a leaf and divide
 * by the sum, so negative ones do harm there. */
typedef int32_t fghm_hessian_mode;

/* d2FL/dx2 itself.  For t = 1 or 0, with z = x or -x and p = sigmoid(z), q = 1 - p, L =
 * softplus(-z), it is a_t q^gamma (p q + gamma p (2 q - (1 - (1 + gamma) p) L)), negative
 * for z below -4.02, -3.10, -2.79, -2.80, -2.94 for gamma 1/2, 1, 2, 3, 5. */
#define FGHM_HESSIAN_EXACT 0
/* max(d2FL/dx2, floor a_t), before weights and 1 / D. */
#define FGHM_HESSIAN_FLOORED 1
/* |d2FL/dx2|. */
#define FGHM_HESSIAN_ABSOLUTE 2
/* Without the terms that can be negative: a_t m^gamma (p (1 - p) + gamma r^2 BCE), with m =
 * 1 - p_t, r = (1 - 2 t) p (1 - p) / m.  For t = 1 or 0 that is |dFL/dx| p_t, the curvature
 * of a cross-entropy that has been weighted to have this gradient (Gauss-Newton, which is
 * Fisher's information there).  Exact for gamma 0.  Of probabilities:
 * a_t m^gamma (t / p^2 + (1 - t) / (1 - p)^2). */
#define FGHM_HESSIAN_GAUSS_NEWTON 3

/* FGHM_HESSIAN_EXACT until set; floor: finite, >= 0 (1e-16 until set, which is what XGBoost
 * uses), looked at by FLOORED alone.  Errors: NULL_HANDLE, HESSIAN. */
FGHM_API fghm_status fghm_focal_set_hessian(fghm_focal *focal, fghm_hessian_mode mode,
                                            double floor);

/* Errors: NULL_HANDLE, NULL_POINTER (either is NULL). */
FGHM_API fghm_status fghm_focal_get_hessian(const fghm_focal *focal, fghm_hessian_mode *mode,
                                            double *floor);

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
 * Accuracy, with an ulp being the distance of neighbouring numbers of the type at the true
 * value:
 *
 *   element_loss, gradient   at most 8 ulp for gamma 0, 1/2, 1, 3/2, 2, 3, 4, 5, at most 16
 *                            for any other in [0, 10], some gamma ulp beyond; the gradient of
 *                            a target between 0 and 1 as many ulp of the sum of its terms'
 *                            magnitudes, a_t m^gamma (t (1 - p) + (1 - t) p + gamma |r| BCE),
 *                            since p - t loses digits where the two meet
 *   hessian                  one and a half times as many (12, 24) of the sum of its terms'
 *                            magnitudes, since they cancel near its roots: of
 *                            a_t m^gamma (p (1 - p) + gamma |r| (2 t (1 - p) + 2 (1 - t) p +
 *                            (|1 - 2 p| + |(gamma - 1) r|) BCE)),
 *                            m = 1 - p_t, r = (1 - 2 t) p (1 - p) / m
 *   any of them, subnormal   at most 8 times the smallest subnormal number
 *   loss                     2^-22 (f32), 2^-48 (f64) of the sum of |element_loss| / D, for
 *                            any n
 *
 * These are before weights and 1 / D, each of which may add an ulp.  The element_loss of a
 * soft target whose m^gamma is subnormal has the absolute error of m^gamma times BCE.
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

/* The same for a batch in any form; see batch.h.
 *
 * Results go where the descriptor says and, the scalars, into *result, which may be
 * NULL.  Outputs may be in the very place of logits, targets or weights, with the same
 * dtype and strides; no other overlap is allowed.  Outputs may lie between the elements of
 * other arrays, or be columns of the same rows, where the strides show it: modulo one of
 * them, in bytes, no byte is of both.
 *
 * Ignored elements have the results 0 whatever their logits are.  With softmax, and x_y
 * the logit of a sample's label, the loss is that of one element with t = 1 and the
 * logit x_y - log(sum over the other classes of exp(x_c)), alpha (a handle's alpha for
 * every class, unless class_alpha is there) and weights being factors.  A logit of +inf
 * in another class makes a sample's results NaN.  A probability of 0 or 1 gives the limit,
 * but where that is infinite: the smallest normal number then stands for 0.
 *
 * Accuracy is that of fghm_focal_f32, or of _f64 for FGHM_F64 logits, rounded once more to
 * the outputs' dtypes, with these exceptions.  Softmax: the margin x_y - log(...) is itself
 * rounded, which adds up to 2 (gamma + 1) |margin| ulp, and the derivatives for another
 * class c have up to 2 (largest - x_c) ulp more, with the largest of the others.
 * Probabilities: 16 ulp for every gamma in [0, 10], of the terms' magnitudes for
 * derivatives.  Focal-star: gamma x is rounded, which adds up to 2 gamma |x| ulp.  Label
 * smoothing: what comes of a target is rounded, and results are those of that target.
 *
 * Errors: NULL_HANDLE (focal), NULL_POINTER (batch, or logits or targets with elements),
 * NO_OUTPUT, DESCRIPTOR, ACTIVATION, TARGET_FORM, BACKGROUND, LABEL_SMOOTHING, DTYPE,
 * STRIDE, SIZE, ALIASING, ALPHA, WEIGHT (class_weights), GAMMA (focal-star with 0),
 * COMBINATION (a harmonizing_weight; softmax without labels, with label smoothing or with
 * BACKGROUND_MINUS_ONE; a background without labels; focal-star or quality with
 * probabilities or two gammas; focal-star with label smoothing), LABEL: nothing is
 * written but result->offender.
 * TARGET, WEIGHT, PROBABILITY (a number that is out of its range): the call does the rest,
 * as fghm_focal_f32 does, and then returns the error, with *result as it was but for
 * `offender`. */
FGHM_API fghm_status fghm_focal_batch(const fghm_focal *focal, fghm_pool *pool,
                                      const fghm_batch *batch, fghm_result *result);

/* The constant logit with the least loss: that of a model that knows nothing but how
 * much its positives and negatives weigh, the initial score for a boosting library.
 * With the handle's gammas, alpha and rule it is the root of
 *
 *     positives dFL/dx(x, 1) + negatives dFL/dx(x, 0) = 0.
 *
 * positives, negatives: sums of weights (or numbers) of the two, finite, > 0.
 * Errors: NULL_HANDLE, NULL_POINTER, WEIGHT, GAMMA (focal-star with 0), ALPHA (0 or 1:
 * there is no best one). */
FGHM_API fghm_status fghm_focal_best_constant(const fghm_focal *focal, double positives,
                                              double negatives, double *logit);

/* Probabilities from logits of a model that was trained with this handle.  sigmoid(x)
 * of such a model is not one: the least expected loss for a true probability eta is not
 * at sigmoid(x) = eta but where eta dFL/dx(x, 1) + (1 - eta) dFL/dx(x, 0) = 0, so
 *
 *     eta = dFL/dx(x, 0) / (dFL/dx(x, 0) - dFL/dx(x, 1))
 *
 * (Charoenphakdee et al.: On Focal Loss for Class-Posterior Probability Estimation, CVPR
 * 2021; here with alpha and two gammas).  probabilities may be the array of logits.
 * NaN gives NaN.  Errors: NULL_HANDLE, NULL_POINTER (with n > 0), GAMMA (focal-star with
 * 0). */
FGHM_API fghm_status fghm_focal_calibrate_f32(const fghm_focal *focal, size_t n,
                                              const float *logits, float *probabilities);
FGHM_API fghm_status fghm_focal_calibrate_f64(const fghm_focal *focal, size_t n,
                                              const double *logits, double *probabilities);

#ifdef __cplusplus
}
#endif

#endif
