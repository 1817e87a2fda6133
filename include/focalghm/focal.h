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

/**
 * @file
 * Focal loss (Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object Detection, ICCV
 * 2017), its softmax form and its relatives.
 *
 * With logit x, target t and p = sigmoid(x):
 *
 *     p_t   = p t + (1 - p)(1 - t)                     probability of being right
 *     BCE   = t softplus(-x) + (1 - t) softplus(x)     binary cross-entropy
 *     a_t   = alpha t + (1 - alpha)(1 - t)             1 if alpha is off
 *     FL(x) = a_t (1 - p_t)^gamma BCE
 *
 * For t = 1 or 0, with z = x or -x, this is FL = a_t sigmoid(-z)^gamma softplus(-z).  gamma 0
 * with alpha off is exactly binary cross-entropy.
 *
 * The Hessian is d2FL/dx2, element by element (the loss couples no two elements).  The loss is
 * not convex: for t = 1 or 0 the Hessian is negative where the element is badly wrong, for gamma
 * 2 where z < -2.79.  See ::fghm_hessian_mode for what to give an optimizer that needs it
 * positive.
 *
 * Example: loss and gradient of a batch.
 * @code
 * fghm_focal *focal;
 * double loss;
 * if (fghm_focal_create(&focal) == FGHM_OK) {
 *     fghm_focal_set_gamma(focal, 1.5);
 *     if (fghm_focal_f32(focal, NULL, n, logits, targets, NULL, &loss, NULL, gradient, NULL) ==
 *         FGHM_OK) {
 *         train(loss, gradient);
 *     }
 *     fghm_focal_destroy(focal);
 * }
 * @endcode
 *
 * For boosting, four settings decide whether training works (found in 20 000 trainings with
 * XGBoost and LightGBM):
 *
 *  - FGHM_REDUCTION_SUM.  A mean divides every Hessian by the number of rows, and limits such as
 *    min_sum_hessian then stop the trees from growing.
 *  - Start from fghm_focal_best_constant.  From log(P / N), which is the best constant of
 *    cross-entropy but not of focal loss, training with the exact, floored and absolute Hessians
 *    can collapse: an average precision of 0.95 became 0.04.
 *  - FGHM_HESSIAN_GAUSS_NEWTON is safe from any start.  Its steps are up to 1 + gamma times as
 *    long as Newton's: divide the learning rate by that.
 *  - sigmoid(x) of a model that was trained with a focal loss is not a probability: use
 *    fghm_focal_calibrate_f32 or fghm_focal_calibrate_f64.
 *
 * Example: boosting K classes, one against the rest, with scores class after class (LightGBM's
 * layout), and gradient and Hessian alternating in one array of 2 K N floats.  Labels that a
 * library holds as float have to be converted to an integer type.
 * @code
 * fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM);
 * fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_GAUSS_NEWTON);
 * for (int k = 0; k < K; k++) { // once, before the first tree
 *     fghm_focal_best_constant(focal, rows_of_class[k], N - rows_of_class[k], &start[k]);
 * }
 * fghm_batch batch = FGHM_BATCH_INIT;
 * batch.ndim = 2;
 * batch.shape[0] = K, batch.shape[1] = N;
 * batch.class_axis = 0;
 * batch.target_form = FGHM_TARGET_LABEL;
 * batch.logits.data = scores, batch.logits.dtype = FGHM_F64;
 * batch.targets.data = labels, batch.targets.dtype = FGHM_I32;
 * batch.gradient.data = pairs, batch.gradient.dtype = FGHM_F32;
 * batch.gradient.layout = FGHM_LAYOUT_STRIDED;
 * batch.gradient.strides[0] = 2 * N, batch.gradient.strides[1] = 2;
 * batch.hessian = batch.gradient;
 * batch.hessian.data = pairs + 1;
 * fghm_status status = fghm_focal_batch(focal, NULL, &batch, NULL);
 * @endcode
 */

/**
 * A configuration: gamma, alpha, the reduction and what else is set below.
 *
 * It holds no data of any call.  Any number of threads may use one handle in functions that take
 * it as const; no other thread may use it during a setter.  No setter looks at another
 * setting, so their order does not matter: what does not go together is found by the call that
 * computes.  A setter that returns an error changes nothing.
 */
typedef struct fghm_focal fghm_focal;

/**
 * Makes a configuration: gamma 2 for positives and negatives, alpha 0.25, no positive weight, loss
 * weight 1, FGHM_REDUCTION_MEAN, normalizer 1, FGHM_FOCAL_RULE_LINEAR with beta 4, a focal factor
 * that is differentiated, FGHM_HESSIAN_EXACT with the floor 1e-16 and the factor 1.
 *
 * @param[out] focal the new handle, to be freed by fghm_focal_destroy; unchanged on an error
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE (focal is NULL), FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_focal_create(fghm_focal **focal);

/**
 * Makes another handle with the same settings.  From then on the two are independent.
 *
 * @param focal the handle to copy
 * @param[out] copy the new handle, to be freed by fghm_focal_destroy; unchanged on an error
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE (focal or copy is NULL), FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_focal_clone(const fghm_focal *focal, fghm_focal **copy);

/**
 * Frees a handle.
 *
 * @param focal the handle; with NULL nothing happens
 */
FGHM_API void fghm_focal_destroy(fghm_focal *focal);

/**
 * Sets gamma: the larger, the less easy elements weigh.  Negatives have the same one, unless theirs
 * has been set by fghm_focal_set_negative_gamma.
 *
 * With a gamma above 0, sigmoid(x) of the trained model is not a probability: see
 * fghm_focal_calibrate_f32.
 *
 * @param focal the handle
 * @param gamma in [0, 64]; 2 until set; 0 is cross-entropy
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma);

/** Reads gamma.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma);

/**
 * Sets a gamma for negatives alone, as asymmetric loss has it (Ridnik et al., ICCV 2021).  It
 * stays, whatever fghm_focal_set_gamma does, until fghm_focal_clear_negative_gamma.
 *
 * Where the two differ, soft targets of FGHM_FOCAL_RULE_LINEAR follow FGHM_FOCAL_RULE_SPLIT, and
 * these combinations are FGHM_ERROR_COMBINATION in the call that computes: with any rule but
 * those two and FGHM_FOCAL_RULE_HEATMAP, with class_gamma, and with FGHM_SOFTMAX, which has no
 * negatives, unless labels are smoothed: there it is the gamma of the other classes (see
 * fghm_focal_batch).
 *
 * @param focal the handle
 * @param gamma in [0, 64]
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_negative_gamma(fghm_focal *focal, double gamma);

/**
 * Negatives have the gamma of positives again, as in a new handle.
 *
 * @param focal the handle
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE
 */
FGHM_API fghm_status fghm_focal_clear_negative_gamma(fghm_focal *focal);

/**
 * Reads the gamma of negatives.
 *
 * @param focal the handle; not changed
 * @param[out] gamma the one in force: their own if one has been set, else gamma
 * @param[out] set 1 if it has been set, 0 if it follows gamma
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (gamma or set is NULL)
 */
FGHM_API fghm_status fghm_focal_get_negative_gamma(const fghm_focal *focal, double *gamma,
                                                   int32_t *set);

/**
 * Sets alpha, the factor of positives; 1 - alpha is that of negatives.
 *
 * Softmax has no negatives, and so no alpha.  The 0.25 of a new handle is no factor there; where
 * any other alpha has been set, a softmax call returns FGHM_ERROR_COMBINATION, unless the batch has
 * class_alpha, which takes its place.
 *
 * @param focal the handle
 * @param alpha 0 or in [2^-40, 1]; 0.25 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_alpha(fghm_focal *focal, double alpha);

/**
 * Turns alpha off: positives and negatives both have the factor 1.
 *
 * @param focal the handle
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE
 */
FGHM_API fghm_status fghm_focal_clear_alpha(fghm_focal *focal);

/**
 * Reads alpha.
 *
 * @param focal the handle; not changed
 * @param[out] alpha the factor of positives; 1 if alpha is off
 * @param[out] enabled 0 if alpha is off, else 1
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (alpha or enabled is NULL)
 */
FGHM_API fghm_status fghm_focal_get_alpha(const fghm_focal *focal, double *alpha, int32_t *enabled);

/**
 * Sets how the losses of many elements become one number; see reduction.h.
 *
 * For boosting use FGHM_REDUCTION_SUM.  A mean divides every Hessian by the number of rows, so that
 * sums of them do not reach limits such as min_sum_hessian, and trees do not grow.
 *
 * @param focal the handle
 * @param reduction any of ::fghm_reduction_values from 0 on; FGHM_REDUCTION_MEAN until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_focal_set_reduction(fghm_focal *focal, fghm_reduction reduction);

/** Reads the reduction.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_reduction(const fghm_focal *focal, fghm_reduction *reduction);

/**
 * Sets the divisor of FGHM_REDUCTION_NORMALIZER; other reductions do not look at it.
 *
 * @param focal the handle
 * @param normalizer in [2^-40, 2^60]; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_normalizer(fghm_focal *focal, double normalizer);

/** Reads the normalizer.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_normalizer(const fghm_focal *focal, double *normalizer);

/**
 * Sets a factor of all results: loss, element losses, gradient and Hessian.
 *
 * @param focal the handle
 * @param loss_weight 0 or in [2^-40, 2^40]; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_loss_weight(fghm_focal *focal, double loss_weight);

/** Reads the loss weight.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_loss_weight(const fghm_focal *focal, double *loss_weight);

/**
 * Which loss it is.  The first three differ for targets between 0 and 1 alone, on which the
 * literature does not agree.  A score is a target of the labelled class; below FLT_MIN (DBL_MIN)
 * it is 0 for the varifocal rules.
 */
typedef int32_t fghm_focal_rule;

/** The values of ::fghm_focal_rule. */
enum fghm_focal_rule_values {
    FGHM_FOCAL_RULE_INVALID = -1,
    /** a_t (1 - p_t)^gamma BCE, linear in t, as above: mmdetection, torchvision, fvcore, Keras,
     * optax, Paddle. */
    FGHM_FOCAL_RULE_LINEAR = 0,
    /** alpha t (1 - p)^gamma softplus(-x) + (1 - alpha)(1 - t) p^gamma softplus(x): kornia,
     * Paddle's documentation.  With softmax a factor for each class: see fghm_focal_batch. */
    FGHM_FOCAL_RULE_SPLIT = 1,
    /** Quality focal loss (Li et al.: Generalized Focal Loss, NeurIPS 2020):
     * a_t |t - p|^gamma BCE, where gamma is that paper's beta.  The relative error grows where p
     * comes near t, since p - t then loses digits.  Not of probabilities. */
    FGHM_FOCAL_RULE_QUALITY = 2,
    /** Focal-star (Lin et al., appendix; fvcore): a_t softplus(-gamma z) / gamma, z = x for
     * t = 1, -x for t = 0, no other target.  gamma at least 2^-10.  Not of probabilities, and not
     * with label smoothing. */
    FGHM_FOCAL_RULE_STAR = 3,
    /** Varifocal loss (Zhang et al.: VarifocalNet, CVPR 2021; mmdetection), where t is the quality
     * of a detection, such as its IoU: t BCE for positives, alpha p^gamma softplus(x) for
     * negatives.  Positives are targets above 0; with scores, the labelled class, whatever its
     * score (one of 0 has the weight 0, as in RT-DETR and D-FINE, which also have a detached
     * factor). alpha is the factor of negatives alone: 0.75 in the paper, the 0.25 of a new handle
     * unless set, 1 if it is off.  This and the next three: not of probabilities, with softmax,
     * with label smoothing, class_alpha or class_gamma, or with two gammas. */
    FGHM_FOCAL_RULE_VARIFOCAL = 4,
    /** The same with the weight 1 for positives (mmdetection's iou_weighted=False). */
    FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED = 5,
    /** Matchability-aware loss (Huang et al.: DEIM, CVPR 2025): positives have the cross-entropy
     * of the target t^gamma, and the weight 1; negatives are those of varifocal loss.  DEIM has the
     * factor detached, gamma 1.5 and alpha off. */
    FGHM_FOCAL_RULE_MATCHABILITY = 6,
    /** Penalty-reduced focal loss of Gaussian heat maps (Law, Deng: CornerNet, ECCV 2018;
     * CenterNet): (1 - p)^gamma softplus(-x) for t = 1, the positives, and
     * (1 - t)^beta p^gamma softplus(x) for all other targets; gamma 2 and beta 4 there.  There is
     * no alpha: the 0.25 of a new handle is no factor, and any other that is on is an error.  Not
     * with softmax, scores, label smoothing or class_alpha. */
    FGHM_FOCAL_RULE_HEATMAP = 7
};

/**
 * Sets the rule.
 *
 * @param focal the handle
 * @param rule any of ::fghm_focal_rule_values from 0 on; FGHM_FOCAL_RULE_LINEAR until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_focal_set_rule(fghm_focal *focal, fghm_focal_rule rule);

/** Reads the rule.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_rule(const fghm_focal *focal, fghm_focal_rule *rule);

/**
 * What the Hessian outputs hold.  Boosting libraries sum Hessians over a leaf and divide by the
 * sum, so negative ones do harm there.
 */
typedef int32_t fghm_hessian_mode;

/** The values of ::fghm_hessian_mode. */
enum fghm_hessian_mode_values {
    FGHM_HESSIAN_INVALID = -1,
    /** d2FL/dx2 itself.  For t = 1 or 0, with z = x or -x, p = sigmoid(z), q = 1 - p and
     * L = softplus(-z), it is a_t q^gamma (p q + gamma p (2 q - (1 - (1 + gamma) p) L)), negative
     * for z below -4.02, -3.10, -2.79, -2.80, -2.94 for gamma 1/2, 1, 2, 3, 5.
     *
     * For boosting: only with fghm_focal_best_constant as the initial score.  From
     * log(P / N) training can collapse. */
    FGHM_HESSIAN_EXACT = 0,
    /** max(d2FL/dx2, floor a_t), before weights and 1 / D.  For boosting: only with
     * fghm_focal_best_constant as the initial score, as the exact one. */
    FGHM_HESSIAN_FLOORED = 1,
    /** |d2FL/dx2|.  For boosting: only with fghm_focal_best_constant as the initial score, as the
     * exact one. */
    FGHM_HESSIAN_ABSOLUTE = 2,
    /** Gauss-Newton: d2FL/dx2 without the terms that can be negative.  It is
     * a_t m^gamma (p (1 - p) + gamma r^2 BCE), with m = 1 - p_t and r = (1 - 2 t) p (1 - p) / m.
     * For t = 1 or 0 that is |dFL/dx| p_t: the curvature of the cross-entropy whose weights are
     * such that it has this gradient.  Equals FGHM_HESSIAN_EXACT for gamma 0.  With
     * FGHM_PROBABILITY it is a_t m^gamma (t / p^2 + (1 - t) / (1 - p)^2).
     *
     * For boosting: safe from any initial score.  It takes steps up to 1 + gamma times as long as
     * Newton's: divide the learning rate by 1 + gamma. */
    FGHM_HESSIAN_GAUSS_NEWTON = 3,
    /** |dFL/dx|, as some objectives of boosting libraries have it. */
    FGHM_HESSIAN_GRADIENT = 4
};

/**
 * Sets what the Hessian outputs hold.
 *
 * @param focal the handle
 * @param mode any of ::fghm_hessian_mode_values from 0 on; FGHM_HESSIAN_EXACT until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_focal_set_hessian_mode(fghm_focal *focal, fghm_hessian_mode mode);

/** Reads the mode.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_hessian_mode(const fghm_focal *focal, fghm_hessian_mode *mode);

/**
 * Sets the least Hessian of FGHM_HESSIAN_FLOORED; other modes do not look at it.
 *
 * @param focal the handle
 * @param floor 0 or in [2^-60, 2^60]; 1e-16 until set, which is what XGBoost uses
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_hessian_floor(fghm_focal *focal, double floor);

/** Reads the floor.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_hessian_floor(const fghm_focal *focal, double *floor);

/**
 * Sets a factor of the Hessian, in every mode: 2, say, for XGBoost's convention of softmax.
 *
 * @param focal the handle
 * @param factor in [2^-40, 2^40]; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_hessian_factor(fghm_focal *focal, double factor);

/** Reads the factor of the Hessian.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_hessian_factor(const fghm_focal *focal, double *factor);

/**
 * Makes the focal factor, the power with the exponent gamma, a constant in derivatives: the
 * gradient is factor x (p - t), and the exact Hessian factor x p (1 - p), which is not negative.
 * RT-DETR, D-FINE and DEIM train so, and so does asymmetric loss with
 * disable_torch_grad_focal_loss.  With softmax factors of samples and of classes are constants
 * likewise.  The loss has the same bits as without.
 *
 * Not with FGHM_FOCAL_RULE_STAR, which has no factor.
 *
 * @param focal the handle
 * @param detached 1 or 0; 0 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_focal_set_detached(fghm_focal *focal, int32_t detached);

/** Reads whether the focal factor is a constant.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_detached(const fghm_focal *focal, int32_t *detached);

/**
 * Sets beta, the exponent of the penalty (1 - t)^beta of FGHM_FOCAL_RULE_HEATMAP; other rules do
 * not look at it.
 *
 * @param focal the handle
 * @param beta in [0, 64]; 4 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_beta(fghm_focal *focal, double beta);

/** Reads beta.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_beta(const fghm_focal *focal, double *beta);

/**
 * Sets the margin m of asymmetric loss (Ridnik et al.: Asymmetric Loss For Multi-Label
 * Classification, ICCV 2021), by which the probability of negatives is less: with
 * p_m = max(p - m, 0) the loss of target 0 is
 *
 *     a_t p_m^gamma (-log(1 - p_m)),
 *
 * with the gamma of negatives, and up to p = m loss, gradient and Hessian are 0.  Targets 1 have
 * the loss that they have without.  Soft targets follow FGHM_FOCAL_RULE_SPLIT.  The paper has the
 * margin 0.05, gamma 1 and 4 for negatives, and no alpha; the authors' code offers a detached
 * factor.  As p comes near 1 the loss of target 0 ends at a limit, so that even
 * with gamma 0 or a detached factor its exact Hessian can be negative.
 * FGHM_HESSIAN_GAUSS_NEWTON is the magnitude of its gradient times 1 - p.
 *
 * Where it is not 0, these are FGHM_ERROR_COMBINATION: any rule but FGHM_FOCAL_RULE_LINEAR and
 * FGHM_FOCAL_RULE_SPLIT, softmax and probabilities.
 *
 * @param focal the handle
 * @param margin 0 or in [2^-40, 1); 0 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_margin(fghm_focal *focal, double margin);

/** Reads the margin of negatives.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_focal_get_margin(const fghm_focal *focal, double *margin);

/**
 * Sets a factor w of positives in the place of alpha: a_t = w t + (1 - t); with
 * FGHM_FOCAL_RULE_SPLIT w t and 1 - t, as PyTorch's pos_weight (for the varifocal rules and heat
 * maps, w is a factor of positives as these have them).
 *
 * Where it is set, the 0.25 of a new handle is no factor, and these are FGHM_ERROR_COMBINATION in
 * the call that computes: any other alpha that is on, class_alpha, softmax.
 *
 * @param focal the handle
 * @param weight 0 or in [2^-40, 2^40]
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_focal_set_positive_weight(fghm_focal *focal, double weight);

/**
 * There is no factor of positives but alpha again, as in a new handle.
 *
 * @param focal the handle
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE
 */
FGHM_API fghm_status fghm_focal_clear_positive_weight(fghm_focal *focal);

/**
 * Reads the positive weight.
 *
 * @param focal the handle; not changed
 * @param[out] weight the factor; 1 if it is not set
 * @param[out] set 1 if it has been set, else 0
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (weight or set is NULL)
 */
FGHM_API fghm_status fghm_focal_get_positive_weight(const fghm_focal *focal, double *weight,
                                                    int32_t *set);

/**
 * Loss, gradient and Hessian of n contiguous elements, in one pass.
 *
 * Outputs may be NULL, but not all four.  element_loss, gradient and hessian may be the very
 * array of logits, targets or weights, which the result then replaces; no other overlap of an
 * output with another array is allowed.  Arrays need no more alignment than their type does.
 *
 * NaN in an element's logit, target or weight makes that element's results NaN, and the loss; all
 * other results are right.  An infinite logit gives the limit.  Every finite logit gives finite
 * results, for weights of magnitude up to 1.  A target outside [0, 1] makes that element's results
 * NaN; the call computes all others and returns FGHM_ERROR_TARGET, with *loss as it was.
 *
 * Accuracy, before weights and 1 / D, each of which may add an ulp.  An ulp is the distance of
 * neighbouring numbers of the type at the true value, or at the sum of magnitudes that is named:
 *
 *     element_loss, gradient   8 ulp for gamma 0, 1/2, 1, 3/2, 2, 3, 4, 5; 16 ulp for any other
 *                              in [0, 10]; some gamma ulp beyond; 10 in place of 8 ulp where
 *                              positives and negatives have two exponents, as in varifocal rules,
 *                              or a margin (target 0 with one: see fghm_focal_batch).
 *                              A target between 0 and 1: twice as many, and for the gradient of
 *                              a_t m^gamma (t (1 - p) + (1 - t) p + gamma |r| BCE),
 *                              since p - t loses digits where the two meet
 *     hessian                  half as many again, of the sum of its terms' magnitudes, which
 *                              cancel near its roots:
 *                              a_t m^gamma (p (1 - p) + gamma |r| (2 t (1 - p) + 2 (1 - t) p +
 *                              (|1 - 2 p| + |(gamma - 1) r|) BCE))
 *     any of them, subnormal   8 times the smallest subnormal number
 *     loss                     2^-22 (f32) or 2^-48 (f64) of the sum of |element_loss| / D, for
 *                              any n
 *
 * with m = 1 - p_t and r = (1 - 2 t) p (1 - p) / m.  Factors do not overflow or lose digits on the
 * way to their product: it is enough that loss weight, a_t, class factor and weight together are
 * a normal number of the type, and for derivatives also when divided by D.  A sum that is too
 * large for double has the right mean.  The element_loss of a soft target whose
 * m^gamma is subnormal has an error of up to 16 times the smallest subnormal number, times BCE; the
 * Hessian of FGHM_FOCAL_RULE_QUALITY, where m = |p - t|, of gamma^2 (p (1 - p) / m)^2 times that.
 *
 * @param focal the configuration; not changed
 * @param pool threads to use; NULL: the calling thread alone.  Results do not depend on it
 * @param n number of elements; 0 gives loss 0 and touches no array
 * @param logits any numbers
 * @param targets in [0, 1]; for FGHM_FOCAL_RULE_STAR 0 or 1
 * @param weights a factor for each element, any number; NULL: all 1
 * @param[out] loss the reduced loss
 * @param[out] element_loss weights[i] FL(logits[i]), not reduced
 * @param[out] gradient d loss / d logits[i]
 * @param[out] hessian d2 loss / d logits[i]2
 * @return FGHM_OK or FGHM_ERROR_TARGET; else nothing has been written: FGHM_ERROR_NULL_HANDLE
 * (focal is NULL), FGHM_ERROR_NULL_POINTER (logits or targets is NULL, with n > 0),
 * FGHM_ERROR_NO_OUTPUT, FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING, FGHM_ERROR_COMBINATION (settings that
 * do not go together: see fghm_focal_batch), FGHM_ERROR_DIVISOR (see reduction.h)
 */
FGHM_API fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                    const float *logits, const float *targets, const float *weights,
                                    double *loss, float *element_loss, float *gradient,
                                    float *hessian);

/** fghm_focal_f32 in double precision. */
FGHM_API fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                    const double *logits, const double *targets,
                                    const double *weights, double *loss, double *element_loss,
                                    double *gradient, double *hessian);

/**
 * Softmax focal loss of rows of logits, each with the label of its one true class:
 *
 *     FL = (1 - p_y)^gamma (-log p_y),    p = softmax(logits of the row), y = its label
 *
 * gamma 0 is cross-entropy.  Results have the bits that fghm_focal_batch gives for the same
 * data, and the rules for outputs, overlaps, NaN and errors are its rules.  alpha is no factor
 * here (see fghm_focal_set_alpha).  A logit of +inf in another class than the label's makes the
 * row's results NaN.
 *
 * @param focal the configuration; not changed
 * @param pool threads to use; NULL: the calling thread alone.  Results do not depend on it
 * @param samples number of rows; 0 gives loss 0 and touches no array
 * @param classes length of a row, in [1, 2^24]
 * @param logits samples x classes, row-major
 * @param labels one for each row, in [0, classes)
 * @param ignore_index rows with this label have the results 0, whatever their logits and weights
 * are, e.g. -100 as in PyTorch; FGHM_IGNORE_NONE: no row is ignored
 * @param weights a factor for each row, any number; NULL: all 1
 * @param[out] loss the reduced loss, or NULL
 * @param[out] element_loss one for each row, not reduced, or NULL
 * @param[out] gradient samples x classes, d loss / d logit, or NULL
 * @param[out] hessian samples x classes, d2 loss / d logit2, the diagonal of the row's Hessian,
 * or NULL
 * @return FGHM_OK; else nothing has been written: FGHM_ERROR_NULL_HANDLE (focal is NULL),
 * FGHM_ERROR_NULL_POINTER (logits or labels is NULL, with samples > 0), FGHM_ERROR_NO_OUTPUT,
 * FGHM_ERROR_RANGE (classes is 0), FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING, FGHM_ERROR_LABEL,
 * FGHM_ERROR_COMBINATION (settings that do not go together, or not with softmax: see
 * fghm_focal_batch), FGHM_ERROR_DIVISOR (see reduction.h)
 */
FGHM_API fghm_status fghm_focal_softmax_f32(const fghm_focal *focal, fghm_pool *pool,
                                            size_t samples, size_t classes, const float *logits,
                                            const int64_t *labels, int64_t ignore_index,
                                            const float *weights, double *loss, float *element_loss,
                                            float *gradient, float *hessian);

/** fghm_focal_softmax_f32 in double precision. */
FGHM_API fghm_status fghm_focal_softmax_f64(const fghm_focal *focal, fghm_pool *pool,
                                            size_t samples, size_t classes, const double *logits,
                                            const int64_t *labels, int64_t ignore_index,
                                            const double *weights, double *loss,
                                            double *element_loss, double *gradient,
                                            double *hessian);

/**
 * Loss, gradient and Hessian of a batch in any form; see batch.h.
 *
 * Results go where the descriptor says and, the scalars, into *result, which may be NULL.  An
 * output may be in the very place of logits, targets or weights, with the same dtype and
 * strides.  An output may interleave with another array, e.g. be another column of one row-major
 * table: this is accepted if, for the byte stride s of one axis of either array, the two never
 * use the same byte position modulo s.  No other overlap is allowed.
 *
 * Ignored elements have the results 0 whatever their logits and weights are.
 *
 * Softmax: with x_y the logit of a sample's label, the loss is that of one element with t = 1 and
 * the logit x_y - log(sum over the other classes of exp(x_c)).  class_alpha, class_weights and
 * weights are factors of it; the alpha of the handle is not (see fghm_focal_set_alpha).  A
 * logit of +inf in another class makes a sample's results NaN.
 *
 * Softmax with soft targets, which are dense ones (of any sum, e.g. of mixup), and labels where
 * label_smoothing is not 0: with p = softmax of the sample's logits, C classes, its targets t_c,
 * after smoothing, and u_c = a_c t_c, where a_c is class_alpha times class_weights of the class if
 * these are of terms (see FGHM_CLASS_WEIGHTS_OF_TERMS), else 1, the loss of the sample is
 *
 *     FGHM_FOCAL_RULE_LINEAR   Q^gamma S,  Q = 1 - sum t_c p_c,  S = sum u_c (-log p_c)
 *     FGHM_FOCAL_RULE_SPLIT    sum u_c (1 - p_c)^gamma (-log p_c)
 *
 * The first has one factor, which is that of the sample: a soft row is as easy as its classes are
 * probable.  The second has one for each class, as Keras' CategoricalFocalCrossentropy (without its
 * clipping) and Flux' focal_loss have it.  gamma 0 is cross-entropy in both, as PyTorch's
 * cross_entropy has it; one-hot targets have the loss of labels, to rounding.  Labels that are
 * smoothed may have a gamma of negatives g of their own: then it is the second rule, and the terms
 * of the classes other than the label's are u_c p_c^g (-log p_c), which is asymmetric loss for one
 * label (Ridnik et al., ICCV 2021: ASLSingleLabel in the authors' code).
 *
 * Targets are used as they are: where a row's sum T is not 1, nothing is divided by T.  So gamma 0
 * with a_c = 1 has the gradient T p_k - t_k.  In general it is
 *
 *     d / dx_k = p_k V - v_k,  V = sum v_c,
 *
 *     FGHM_FOCAL_RULE_LINEAR   v_c = Q^gamma (u_c + gamma t_c p_c S / Q)
 *     FGHM_FOCAL_RULE_SPLIT    v_c = u_c (1 - p_c)^gamma (1 + gamma p_c (-log p_c) / (1 - p_c)),
 *                              or u_c p_c^g (1 - g (-log p_c)),
 *
 * with 0 in the place of gamma and g behind the powers where the focal factor is a constant: the
 * gradient of a cross-entropy whose weights are v_c.  FGHM_HESSIAN_GAUSS_NEWTON is its Hessian
 * with the weights' magnitudes, p_k (1 - p_k) sum |v_c|: never negative, and equal to the exact one
 * for gamma 0.  Hessians are the diagonal; a floor is multiplied by weights, loss weight and the
 * class factors of the sample, not by those of terms.
 *
 * A target outside [0, 1] makes its sample's results NaN (FGHM_ERROR_TARGET names the element), a
 * NaN does so without an error.  A logit of -inf where the target is 0 counts for nothing; where it
 * is not, the loss is +inf, and the derivatives are their limits with FGHM_FOCAL_RULE_SPLIT or
 * gamma 0, else NaN.  One logit of +inf gives the limit, two give NaN.  Logits of magnitude up to
 * 2^60 and weights up to 1 give finite results, but for the Q^(gamma - 1) of
 * FGHM_HESSIAN_GAUSS_NEWTON with FGHM_FOCAL_RULE_LINEAR and a gamma below 1, which may be +inf.
 *
 * For the mean of PyTorch's cross_entropy with class weights and labels, set
 * FGHM_REDUCTION_NORMALIZER with the sum of the weights of the labels' classes; with dense targets
 * its mean is FGHM_REDUCTION_MEAN.
 *
 * Probabilities: at p = 0 or 1 results are the limits; where a limit is infinite, the value at
 * p = FLT_MIN (DBL_MIN) is returned.
 *
 * Weights are any numbers.  A weight that is NaN, or infinite where another factor is 0, makes the
 * results of its own element (softmax: sample) NaN, and the loss.
 *
 * Accuracy is that of fghm_focal_f32, or of fghm_focal_f64 for FGHM_F64 logits, rounded once more
 * to the outputs' dtypes, with these exceptions:
 *
 *  - Softmax with C classes: the margin x_y - log(...) is itself rounded, and its logarithm is that
 *    of rounded exponentials, which adds up to (gamma + 1) (|margin| + log C) ulp; the derivatives
 *    for another class c have up to 2 (largest - x_c) + log C + 4 ulp more, with the largest of the
 *    others; Hessians twice that, in ulp of the sum of their terms' magnitudes.  The gradients of a
 *    sample add up to at most 2^-21 (double: 2^-50) of the sum of their magnitudes, with any C.
 *  - Softmax with soft targets: 12 + d + (gamma + 1) (4 + log C + m + d) ulp, the larger gamma,
 *    where m is by how much the largest logit is above the second largest (double: 4/3 of that),
 *    and d by how much it is above that of the class (0 for losses); in the parentheses 7/3 of both
 *    where there is no fused multiply-add.  Gradients in ulp of
 *
 *        Q^gamma (s + gamma S r)                       FGHM_FOCAL_RULE_LINEAR
 *        p_k (V - v_k) + (1 - p_k) v_k                 FGHM_FOCAL_RULE_SPLIT
 *
 *    with s = p_k (U - u_k) + (1 - p_k) u_k, U = sum u_c, and r = p_k (1 - Q + t_k) / Q for t_k up
 *    to 1/2, else p_k (Q + 1 - t_k) / Q; Hessians twice as many of
 *
 *        Q^gamma (U p_k (1 - p_k) + gamma r (2 s + S (|1 - 2 p_k| + |gamma - 1| r)))
 *        (1 - p_k)^2 u_k j_k + p_k^2 (sum of other u_c j_c) + p_k (1 - p_k) V
 *
 *    with j_c = gamma (1 - p_c)^(gamma - 2) (2 p_c (1 - p_c) + |1 - gamma p_c| p_c (-log p_c)), or
 *    g p_c^g (g (-log p_c) + 2), and in V as in j_c the magnitudes of what is added.
 *  - Probabilities, for every gamma in [0, 10]: 16 ulp, 48 ulp for a target between 0 and 1; of the
 *    terms' magnitudes for derivatives, and half as many again for Hessians.
 *  - FGHM_FOCAL_RULE_STAR: gamma x is rounded, and at most FLT_MAX (DBL_MAX), which adds up to
 *    2 gamma |x| ulp.
 *  - A margin m: 10 + 6 gamma ulp for target 0, with the gamma of negatives, and for targets
 * between 0 and 1 as much more; half as many again for Hessians, of the sum of the magnitudes of
 *
 *        p_m^gamma (p r (q r + (1 - r) |q - p|) + gamma s (2 p r + (|q - p| + |gamma - 1| s) L))
 *
 *    with q = 1 - p, r = q / (1 - p_m), s = p q / p_m and L = -log(1 - p_m), also near p = m; for a
 *    margin of which m / (1 - m) has a relative error of up to 2^-42 (f32) or 2^-51 (f64), and
 *    where p_m is 0 or at least 2^-75 (double: 2^-940) and p_m^gamma a normal number.  Subnormal
 *    results: 8 (1 + gamma) / m times the smallest subnormal number.
 *  - Label smoothing: the smoothed target is computed in the type, with 1 - s, t (1 - s), s / 2 (of
 *    softmax s / C) and the sum rounded, that of softmax labels in double and rounded once; the
 *    bounds hold for the target that this gives.  So they do for t^gamma of
 *    FGHM_FOCAL_RULE_MATCHABILITY, which has an error of up to 4 ulp.
 *
 * @param focal the configuration; not changed
 * @param pool threads to use; NULL: the calling thread alone.  Results do not depend on it
 * @param batch the arrays and what they mean
 * @param[in,out] result numbers, and where an error is (batch.h); or NULL
 * @return FGHM_OK; or an element error, FGHM_ERROR_TARGET, FGHM_ERROR_PROBABILITY or
 * FGHM_ERROR_SCORE: the results of the elements in question are NaN, all others and the numbers
 * of the result are right, with sums that leave those elements out; or one of the following, and
 * then nothing has been written but the head of the result:
 *
 *  - FGHM_ERROR_NULL_HANDLE (focal), FGHM_ERROR_NULL_POINTER (batch, or logits, targets or scores
 *    where they are needed), FGHM_ERROR_NO_OUTPUT (no output and no result);
 *  - FGHM_ERROR_STRUCT, FGHM_ERROR_UNINITIALIZED, FGHM_ERROR_UNSET (ndim, an extent, a dtype),
 *    FGHM_ERROR_CONSTANT, FGHM_ERROR_SIZE, FGHM_ERROR_DTYPE, FGHM_ERROR_LAYOUT,
 *    FGHM_ERROR_STRIDE, FGHM_ERROR_ALIASING: see batch.h;
 *  - FGHM_ERROR_RANGE: ndim, class_axis, an extent or label_smoothing is out of its range, or a
 *    number of class_alpha, class_gamma, class_weights or class_offsets; or an extent from ndim on
 *    has been set, because ndim is too small: then other_field is FGHM_FIELD_NDIM;
 *  - FGHM_ERROR_LABEL: a label is that of no class;
 *  - FGHM_ERROR_DIVISOR: the divisor of FGHM_REDUCTION_MEAN_WEIGHTS or
 *    FGHM_REDUCTION_MEAN_TARGETS is not above 0, or not finite;
 *  - FGHM_ERROR_COMBINATION, with both fields named, of settings: two gammas with any rule but
 *    FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT and FGHM_FOCAL_RULE_HEATMAP;
 *    a margin with any but the first two of these; FGHM_FOCAL_RULE_STAR with a gamma below 2^-10
 *    or a detached factor; an alpha that is on and
 *    not 0.25 with FGHM_FOCAL_RULE_HEATMAP or a positive weight;
 *  - the same of a batch alone: softmax or labels without a class axis; softmax with scores or
 *    FGHM_BACKGROUND_MINUS_ONE, or of dense targets with an ignore_index; a background with dense
 *    targets, or NaN targets ignored with labels; scores without FGHM_TARGET_LABEL_SCORE;
 *    class_offsets with probabilities; FGHM_CLASS_WEIGHTS_OF_TERMS without softmax; a
 *    harmonizing_weight;
 *  - of a batch and a rule: probabilities with FGHM_FOCAL_RULE_QUALITY, FGHM_FOCAL_RULE_STAR and
 *    the varifocal ones; label smoothing with FGHM_FOCAL_RULE_STAR and the rules behind it; scores
 *    with FGHM_FOCAL_RULE_STAR and FGHM_FOCAL_RULE_HEATMAP; softmax and class_alpha with the rules
 *    behind FGHM_FOCAL_RULE_STAR; class_gamma with FGHM_FOCAL_RULE_STAR, the varifocal rules or two
 *    gammas; class_alpha with a positive weight;
 *    and a margin with softmax or probabilities;
 *  - of softmax and a setting: an alpha that is on and not 0.25, without class_alpha; a positive
 *    weight; two gammas, unless labels are smoothed; with soft targets, any rule but
 *    FGHM_FOCAL_RULE_LINEAR and FGHM_FOCAL_RULE_SPLIT, or class_gamma.
 */
FGHM_API fghm_status fghm_focal_batch(const fghm_focal *focal, fghm_pool *pool,
                                      const fghm_batch *batch, fghm_result *result);

/**
 * The constant logit with the least loss, for data of which only the weights of positives and of
 * negatives are known.  It is the initial score for a boosting library.  With several classes call
 * it once for each: the positives of a class are the rows with its label, its negatives all others.
 * (Of class_alpha and class_gamma, with a handle that has those of the class; class_weights do not
 * matter.  Softmax has fghm_focal_best_constant_softmax.)
 * With the handle's gammas, alpha and rule it is the root x of
 *
 *     positives dFL/dx(x, 1) + negatives dFL/dx(x, 0) = 0.
 *
 * Always start boosting from it.  log(positives / negatives) is the answer of cross-entropy; from
 * there training with FGHM_HESSIAN_EXACT, FGHM_HESSIAN_FLOORED and FGHM_HESSIAN_ABSOLUTE can
 * collapse: in one trial the average precision fell from 0.95 to 0.04.
 *
 * With a margin it is above log(m / (1 - m)).  With a gamma of positives of 0, or little more, the
 * odds that constants are best for end at a limit (with gamma 4 for negatives and margin 0.05 at
 * 27 positives for each negative), and no constant is best for more: FGHM_ERROR_RANGE.
 *
 * Accuracy: 2^-48 (1 + |x|); where the gammas of positives and negatives differ by d, (1 + d / 8)
 * times that.  With a margin it is that of the odds (see fghm_focal_calibrate_f32), and an ulp of
 * the logit.
 *
 * @param focal the configuration; not changed
 * @param positives sum of weights (or number) of positives, finite and above 0
 * @param negatives that of negatives, finite and above 0
 * @param[out] logit the constant; unchanged on an error
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (logit is NULL),
 * FGHM_ERROR_RANGE (positives or negatives; or, with a margin, no constant up to 2048 is best),
 * FGHM_ERROR_COMBINATION (alpha 0 or 1, or a positive weight of 0, has no best constant; settings
 * that do not go together: see fghm_focal_batch)
 */
FGHM_API fghm_status fghm_focal_best_constant(const fghm_focal *focal, double positives,
                                              double negatives, double *logit);

/**
 * Probabilities from the logits of a model that was trained with this handle.
 *
 * sigmoid(x) of a model that was trained with a focal loss is not a probability; only gamma 0 with
 * alpha off needs no calibration.  For a true probability eta the expected loss is least not at
 * sigmoid(x) = eta but where eta dFL/dx(x, 1) + (1 - eta) dFL/dx(x, 0) = 0, so
 *
 *     eta = dFL/dx(x, 0) / (dFL/dx(x, 0) - dFL/dx(x, 1))
 *
 * (Charoenphakdee et al.: On Focal Loss for Class-Posterior Probability Estimation, CVPR 2021;
 * here with alpha or a positive weight, two gammas, a margin, a detached factor, and every rule).
 * With alpha 0 every probability is 1, with alpha 1 it is 0, and with a margin m it is 0 up to
 * sigmoid(x) = m.  For softmax see
 * fghm_focal_calibrate_softmax_f32.
 *
 * Accuracy, for every logit and gamma: 1 ulp (f32); 8 ulp (f64); where the gammas of positives
 * and negatives differ by d, 8 + d ulp (f64).  With a margin m, 16 + gamma + g (2 + 4 p / |p - m|)
 * ulp (f64), with the gamma g of negatives and p = sigmoid(x); an element then takes up to half a
 * microsecond.
 *
 * @param focal the configuration; not changed
 * @param pool threads to use; NULL: the calling thread alone.  Results do not depend on it
 * @param n number of elements
 * @param logits any numbers; NaN gives NaN, an infinite one the limit
 * @param[out] probabilities n numbers in [0, 1]; may be the very array of logits
 * @return FGHM_OK; else nothing has been written: FGHM_ERROR_NULL_HANDLE,
 * FGHM_ERROR_NULL_POINTER (with n > 0), FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING (the arrays overlap
 * in part), FGHM_ERROR_COMBINATION (FGHM_FOCAL_RULE_STAR with a gamma below 2^-10; it or
 * FGHM_FOCAL_RULE_QUALITY with two gammas)
 */
FGHM_API fghm_status fghm_focal_calibrate_f32(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                              const float *logits, float *probabilities);

/** fghm_focal_calibrate_f32 in double precision. */
FGHM_API fghm_status fghm_focal_calibrate_f64(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                              const double *logits, double *probabilities);

/**
 * Class probabilities from the logits of a model that was trained with this handle and
 * FGHM_SOFTMAX: fghm_focal_calibrate_f32 of rows of logits.
 *
 * For the true probabilities eta_c of the classes the expected loss is least where, with
 * p = softmax of the row's logits,
 *
 *     eta_c = (p_c / v_c) / (sum over the classes of p_k / v_k),
 *     v_c   = w_c (1 - p_c)^gamma_c (1 + gamma_c p_c (-log p_c) / (1 - p_c)),
 *
 * without the last factor if the focal factor is detached (Charoenphakdee et al., CVPR 2021, have
 * it with one gamma and all w_c 1).  gamma_c is that of class_gamma, or the handle's; w_c is the
 * factor that samples of the class had in training: class_alpha times class_weights.  The expected
 * loss is convex in p, so that there is one such p for every eta.
 *
 * It holds for labels, with FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT and
 * FGHM_FOCAL_RULE_QUALITY; for dense targets with FGHM_FOCAL_RULE_SPLIT or gamma 0, eta being their
 * mean; and so with label smoothing s and FGHM_CLASS_WEIGHTS_OF_TERMS for eta (1 - s) + s / C.
 * Dense targets with FGHM_FOCAL_RULE_LINEAR have no such map: there the best logits depend on more
 * than the mean of the targets.  Where training had class_offsets, these have to be added to the
 * logits.
 *
 * For several classes with FGHM_SIGMOID call fghm_focal_calibrate_f32 for each with a handle that
 * has its class_alpha and class_gamma; class_weights are factors of positives and negatives, and do
 * not matter.
 *
 * Accuracy: 1 ulp (f32); 8 + 2 gamma ulp, with the largest gamma (f64).
 *
 * @param focal the configuration; not changed
 * @param pool threads to use; NULL: the calling thread alone.  Results do not depend on it
 * @param samples number of rows
 * @param classes length of a row, in [1, 2^24]
 * @param logits samples x classes, row-major, any numbers.  A row with NaN, with two of +inf, or of
 * -inf alone gives NaN; other infinite ones give the limit
 * @param class_gamma a gamma for each class, in [0, 64]; NULL: the handle's
 * @param class_weights w_c, a number in [2^-80, 2^40] for each class; NULL: all 1
 * @param[out] probabilities samples x classes, in [0, 1]; may be the very array of logits
 * @return FGHM_OK; else nothing has been written: FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER
 * (with samples > 0), FGHM_ERROR_RANGE (classes is 0, or a number of class_gamma or class_weights:
 * a class of weight 0 has any probability), FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING,
 * FGHM_ERROR_COMBINATION (FGHM_FOCAL_RULE_STAR and the rules behind it; two gammas, a margin or a
 * positive weight, which softmax does not have; without class_weights, an alpha that is on and not
 * 0.25; settings that do not go together: see fghm_focal_batch)
 */
FGHM_API fghm_status fghm_focal_calibrate_softmax_f32(
    const fghm_focal *focal, fghm_pool *pool, size_t samples, size_t classes, const float *logits,
    const double *class_gamma, const double *class_weights, float *probabilities);

/** fghm_focal_calibrate_softmax_f32 in double precision. */
FGHM_API fghm_status fghm_focal_calibrate_softmax_f64(
    const fghm_focal *focal, fghm_pool *pool, size_t samples, size_t classes, const double *logits,
    const double *class_gamma, const double *class_weights, double *probabilities);

/**
 * The constant logits with the least softmax loss, for data of which only the frequencies of the
 * labels are known: the initial scores for a boosting library.  They are those that
 * fghm_focal_calibrate_softmax_f64 brings to the frequencies, over the sum of these; with any
 * number added to all they are as good, and these are the logarithms of their softmax.  Where
 * training has class_offsets, take these away from the logits.
 *
 * Takes one to two milliseconds for each class.
 *
 * Accuracy: 2^-48 (1 + gamma) (1 + |x|) of each frequency, with the largest gamma and |x|.
 *
 * @param focal the configuration; not changed
 * @param classes number of classes, in [1, 2^24]
 * @param frequencies sum of weights (or number) of each class, without the class factors, finite
 * and above 0
 * @param class_gamma a gamma for each class, as fghm_focal_calibrate_softmax_f32 has it; or NULL
 * @param class_weights a factor for each class, likewise; or NULL
 * @param[out] logits one for each class; unchanged on an error
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (frequencies or logits),
 * FGHM_ERROR_RANGE (classes is 0, or a number is out of its range), FGHM_ERROR_SIZE,
 * FGHM_ERROR_ALIASING, FGHM_ERROR_COMBINATION (as fghm_focal_calibrate_softmax_f32)
 */
FGHM_API fghm_status fghm_focal_best_constant_softmax(const fghm_focal *focal, size_t classes,
                                                      const double *frequencies,
                                                      const double *class_gamma,
                                                      const double *class_weights, double *logits);

#ifdef __cplusplus
}
#endif

#endif
