/* SPDX-License-Identifier: MIT */
/* Everything that computes a focal loss.  Whatever the arrays of a call are, it goes one way: a
 * plan of them, what has to be counted before, the losses, the walk, and the parts of it as one
 * result. */
#include "focal_calls.h"

#include <float.h>
#include <stdbool.h>

#include "check.h"
#include "dispatch.h"
#include "drive.h"
#include "kernels/double_sum.h"
#include "plan.h"
#include "divisor.h"

static fghm_focal_kernel *kernel_for(const struct fghm_kernels *kernels, double gamma) {
    static const struct {
        double gamma;
        int index;
    } special[] = {{0, FGHM_GAMMA_0}, {0.5, FGHM_GAMMA_HALF}, {1, FGHM_GAMMA_1}, {2, FGHM_GAMMA_2}};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        if (gamma == special[i].gamma) {
            return kernels->focal[special[i].index];
        }
    }
    return kernels->focal[FGHM_GAMMA_ANY];
}

/* The constants of the rules that one kernel computes in one go, but for the divisor. */
static void set_constants(const fghm_focal *focal, double loss_weight,
                          struct fghm_focal_constants *constants) {
    const bool floored = focal->hessian_mode == FGHM_HESSIAN_FLOORED;
    *constants = (struct fghm_focal_constants){
        .gamma = focal->gamma,
        .positive = loss_weight * (focal->alpha_enabled ? focal->alpha : 1),
        .negative = loss_weight * (focal->alpha_enabled ? 1 - focal->alpha : 1),
        .scale = 1,
        .quality = focal->rule == FGHM_FOCAL_RULE_QUALITY,
        .gauss_newton = focal->hessian_mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .absolute = focal->hessian_mode == FGHM_HESSIAN_ABSOLUTE,
        .hessian_floor = floored ? focal->hessian_floor : -DBL_MAX,
    };
}

static const struct fghm_batch_limits limits = {
    .softmax = true,
    .soft_samples = true,
    .probability = true,
    .labels = true,
    .scores = true,
    .smoothing = true,
    .class_factors = true,
    .because = FGHM_FIELD_RULE,
};

/* Whether the loss has the form that the batch asks for. */
static fghm_status check_form(const fghm_focal *focal, const fghm_batch *batch,
                              struct fghm_report *report) {
    const bool star = focal->rule == FGHM_FOCAL_RULE_STAR;
    const bool plain =
        focal->rule == FGHM_FOCAL_RULE_LINEAR || focal->rule == FGHM_FOCAL_RULE_SPLIT;
    const bool two_gammas = fghm_focal_has_two_gammas(focal);
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    const bool labels = batch->target_form != FGHM_TARGET_DENSE;
    const bool smooth = batch->label_smoothing != 0;
    const bool alpha_set = focal->alpha_enabled && focal->alpha != FGHM_ALPHA_DEFAULT;
    const struct fghm_conflict conflicts[] = {
        {!plain && two_gammas, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE},
        {fghm_focal_check_rule(focal) != FGHM_OK, FGHM_FIELD_GAMMA, FGHM_FIELD_RULE},
        {!plain && batch->activation == FGHM_PROBABILITY, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE},
        {star && smooth, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE},
        {star && batch->target_form == FGHM_TARGET_LABEL_SCORE, FGHM_FIELD_TARGET_FORM,
         FGHM_FIELD_RULE},
        /* Softmax has no negatives, unless labels are smooth: what is set for them would be
         * ignored. */
        {softmax && alpha_set && batch->class_alpha == NULL, FGHM_FIELD_ALPHA,
         FGHM_FIELD_ACTIVATION},
        {softmax && two_gammas && !(labels && smooth), FGHM_FIELD_NEGATIVE_GAMMA,
         FGHM_FIELD_ACTIVATION},
        {softmax && !labels && !plain, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_RULE},
        {softmax && smooth && !plain, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE},
    };
    return fghm_check_conflicts(conflicts, sizeof conflicts / sizeof conflicts[0], report);
}

/* Whether targets are 0 or 1 for certain. */
static bool has_hard_targets(const struct fghm_arrays *arrays) {
    return fghm_have_labels(arrays) && arrays->scores.data == NULL && arrays->label_smoothing == 0;
}

/* See struct fghm_focal_plan: all but the batch and the divisor.  Targets that are 0 or 1 for
 * certain need no split. */
static void plan_losses(const fghm_focal *focal, bool is_double, bool probability, bool softmax,
                        const struct fghm_arrays *arrays, struct fghm_focal_plan *plan) {
    const struct fghm_row *const row = fghm_row();
    const struct fghm_kernels *const kernels = is_double ? row->f64 : row->f32;
    const bool split = fghm_focal_has_two_gammas(focal) ||
                       (focal->rule == FGHM_FOCAL_RULE_SPLIT && !has_hard_targets(arrays));
    plan->kernels = kernels;
    plan->probability = probability;
    plan->split = split && !softmax;
    plan->soft_by_class = split;
    plan->soft_negative_gamma =
        fghm_focal_has_two_gammas(focal) ? fghm_focal_negative_gamma(focal) : -1;
    plan->star = 0;
    /* With factors of classes, it is one of them. */
    const double loss_weight = fghm_have_class_factors(arrays) ? 1 : focal->loss_weight;
    set_constants(focal, loss_weight, &plan->constants);
    plan->split_absolute = plan->constants.absolute;
    plan->split_floor = focal->hessian_mode == FGHM_HESSIAN_FLOORED ? focal->hessian_floor : -1;
    if (plan->split) {
        plan->constants.absolute = false;
        plan->constants.hessian_floor = -DBL_MAX;
    }
    if (softmax || (arrays != NULL && arrays->factors.alpha != NULL)) {
        plan->constants.positive = plan->constants.negative = loss_weight;
    }
    plan->kernel = probability ? kernels->probability : kernel_for(kernels, focal->gamma);
    if (plan->split) {
        plan->negative_constants = plan->constants;
        plan->negative_constants.gamma = fghm_focal_negative_gamma(focal);
        plan->negative_kernel = probability ? kernels->probability
                                            : kernel_for(kernels, plan->negative_constants.gamma);
    }
    if (focal->rule == FGHM_FOCAL_RULE_STAR) {
        /* Cross-entropy of the logits times gamma, over gamma. */
        plan->star = focal->gamma;
        plan->constants.gamma = 0;
        plan->constants.positive /= focal->gamma;
        plan->constants.negative /= focal->gamma;
        plan->constants.scale *= focal->gamma;
        plan->constants.hessian_floor /= focal->gamma;
        /* What is too small for its type, 1 / gamma may make large again. */
        plan->constants.careful = focal->gamma < 0.25;
        plan->kernel = kernels->focal[FGHM_GAMMA_0];
    }
}

void fghm_focal_prepare(fghm_focal *focal) {
    focal->rule_status = fghm_focal_check_rule(focal);
    if (focal->rule_status == FGHM_OK) {
        plan_losses(focal, false, false, false, NULL, &focal->prepared_f32);
        plan_losses(focal, true, false, false, NULL, &focal->prepared_f64);
    }
}

/* One call, and what its segments bring back. */
struct focal_call {
    const struct fghm_walk *walk;
    struct fghm_focal_plan plan;
    double divisor;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void segment_work(void *context, size_t segment, size_t first, size_t n) {
    struct focal_call *const call = context;
    call->parts[segment] = (struct fghm_part){0};
    call->walk->focal(&call->plan, first, n, &call->parts[segment]);
}

/* Computes a plan that has been made, but for the divisor; *all is what has been counted, added up
 * and found.  After an error nothing has been computed. */
static fghm_status compute(const fghm_focal *focal, fghm_pool *pool, struct focal_call *call,
                           const struct fghm_part **all, struct fghm_report *report) {
    struct fghm_plan *const plan = &call->plan.batch;
    call->walk = fghm_walk_of(call->plan.kernels->real_size);
    plan->star = focal->rule == FGHM_FOCAL_RULE_STAR;

    const struct fghm_reduction_needs needs = fghm_reduction_needs(focal->reduction, plan);
    const bool counted = needs.targets || fghm_have_labels(plan->arrays);
    static const struct fghm_part nothing;
    struct fghm_part surveyed;
    const struct fghm_part *counts = &nothing;
    if (counted || needs.weights) {
        FGHM_TRY(fghm_plan_survey(pool, call->plan.kernels, plan, needs.targets, needs.weights,
                                  &surveyed, report));
        counts = &surveyed;
    }
    FGHM_TRY(fghm_reduction_divisor(focal->reduction, focal->normalizer, plan, counts,
                                    &call->divisor, report));
    const double scale = 1 / call->divisor;
    call->plan.constants.scale *= scale;
    if (call->plan.split) {
        call->plan.negative_constants.scale *= scale;
    }
    const size_t segments = fghm_plan_drive(pool, plan, segment_work, call);
    struct fghm_part *const computed = fghm_merge_parts(call->parts, segments);
    if (counted) {
        computed->targets = counts->targets;
        computed->ignored = counts->ignored;
    }
    if (counts->bad == FGHM_BAD_SCORE) {
        /* On the walk it is the target of an element. */
        computed->bad = counts->bad;
        computed->offender = counts->offender;
    }
    *all = computed;
    return FGHM_OK;
}

/* Batches --------------------------------------------------------------------- */

static bool has_array(const fghm_batch *batch) {
    return batch->element_loss.data != NULL || batch->gradient.data != NULL ||
           batch->hessian.data != NULL;
}

fghm_status fghm_focal_compute_batch(const fghm_focal *focal, fghm_pool *pool,
                                     const fghm_batch *batch, const fghm_result *result,
                                     const double *loss, fghm_result *value,
                                     struct fghm_report *report) {
    struct focal_call call;
    struct fghm_arrays arrays;
    const struct fghm_part *all;
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(
        fghm_plan_make(batch, &limits, false, result, loss, &call.plan.batch, &arrays, report));
    FGHM_REQUIRE(result != NULL || loss != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
    FGHM_TRY(check_form(focal, batch, report));
    if (fghm_have_class_factors(&arrays)) {
        arrays.factors.common = focal->loss_weight;
    }
    call.plan.of_terms = fghm_have_class_factors(&arrays) &&
                         (!arrays.labels || (batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0);
    plan_losses(focal, call.plan.batch.is_double, batch->activation == FGHM_PROBABILITY,
                call.plan.batch.softmax, &arrays, &call.plan);
    FGHM_TRY(compute(focal, pool, &call, &all, report));
    *value = fghm_result_of(&call.plan.batch, all, call.divisor);
    return fghm_part_status(all, report);
}

fghm_status fghm_focal_batch(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch,
                             fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status =
        fghm_focal_compute_batch(focal, pool, batch, result, NULL, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

/* Contiguous elements ---------------------------------------------------------- */

static fghm_status focal_elements(const fghm_focal *focal, fghm_pool *pool, bool is_double,
                                  const struct fghm_span *span, double *loss) {
    struct focal_call call;
    const struct fghm_part *all;
    struct fghm_report report;
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
                     span->hessian != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    call.plan = is_double ? focal->prepared_f64 : focal->prepared_f32;
    FGHM_TRY(fghm_plan_of_span(span, is_double, loss, &call.plan.batch));
    FGHM_TRY(focal->rule_status);
    FGHM_TRY(compute(focal, pool, &call, &all, &report));
    FGHM_TRY(fghm_part_status(all, &report));
    if (loss != NULL) {
        *loss = quotient_of(all->sum + all->sum_error, all->sum_huge, call.divisor);
    }
    return FGHM_OK;
}

fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n, const float *logits,
                           const float *targets, const float *weights, double *loss,
                           float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_elements(focal, pool, false, &span, loss);
}

fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n, const double *logits,
                           const double *targets, const double *weights, double *loss,
                           double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_elements(focal, pool, true, &span, loss);
}
