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

static fghm_focal_kernel *kernel_for(const struct fghm_kernels *kernels,
                                     const struct fghm_focal_constants *constants,
                                     bool gammas_of_classes) {
    const double gamma = constants->gamma;
    const double negative_gamma = constants->negative_gamma;
    static const struct {
        double gamma;
        int index;
    } special[] = {{0, FGHM_GAMMA_0}, {0.5, FGHM_GAMMA_HALF}, {1, FGHM_GAMMA_1}, {2, FGHM_GAMMA_2}};
    if (gammas_of_classes) {
        return kernels->focal[FGHM_GAMMA_LANES];
    }
    if (gamma != negative_gamma || constants->margin > 0) {
        const bool products = fghm_is_product(gamma) && fghm_is_product(negative_gamma);
        return kernels->focal[products ? FGHM_GAMMA_POWERS : FGHM_GAMMA_LANES];
    }
    /* A loss has the bits of the one whose factor is not detached. */
    if (constants->detached && gamma != 0) {
        const bool is_special = gamma == 0.5 || gamma == 1 || gamma == 2;
        return kernels->focal[is_special ? FGHM_GAMMA_POWERS : FGHM_GAMMA_LANES];
    }
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        if (gamma == special[i].gamma) {
            return kernels->focal[special[i].index];
        }
    }
    return kernels->focal[FGHM_GAMMA_ANY];
}

static enum fghm_soft_form soft_of(const fghm_focal *focal) {
    static const enum fghm_soft_form softs[] = {
        [FGHM_FOCAL_RULE_QUALITY] = FGHM_SOFT_QUALITY,
        [FGHM_FOCAL_RULE_SPLIT] = FGHM_SOFT_SPLIT,
        [FGHM_FOCAL_RULE_VARIFOCAL] = FGHM_SOFT_VARIFOCAL,
        [FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED] = FGHM_SOFT_VARIFOCAL_UNWEIGHTED,
        [FGHM_FOCAL_RULE_MATCHABILITY] = FGHM_SOFT_MATCHABILITY,
        [FGHM_FOCAL_RULE_HEATMAP] = FGHM_SOFT_HEATMAP,
    };
    const bool split = focal->rule == FGHM_FOCAL_RULE_LINEAR &&
                       (fghm_focal_has_two_gammas(focal) || focal->margin > 0);
    return split ? FGHM_SOFT_SPLIT : softs[focal->rule];
}

static enum fghm_positive positive_of(const fghm_focal *focal) {
    return focal->rule == FGHM_FOCAL_RULE_STAR || focal->rule == FGHM_FOCAL_RULE_HEATMAP
               ? FGHM_POSITIVE_ONE
           : fghm_focal_is_varifocal(focal) ? FGHM_POSITIVE_ABOVE_ZERO
                                            : FGHM_POSITIVE_HALF;
}

/* The constants of the rules that one kernel computes in one go, but for the divisor. */
static void set_constants(const fghm_focal *focal, double loss_weight,
                          struct fghm_focal_constants *constants) {
    const bool floored = focal->hessian_mode == FGHM_HESSIAN_FLOORED;
    const struct fghm_focal_side positives = fghm_focal_positives(focal);
    const struct fghm_focal_side negatives = fghm_focal_negatives(focal);
    *constants = (struct fghm_focal_constants){
        .gamma = positives.gamma,
        .negative_gamma = negatives.gamma,
        .positive = loss_weight * positives.factor,
        .negative = loss_weight * negatives.factor,
        .beta = focal->beta,
        .soft = soft_of(focal),
        .detached = focal->detached != 0,
        .gauss_newton = focal->hessian_mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .absolute = focal->hessian_mode == FGHM_HESSIAN_ABSOLUTE,
        .of_gradient = focal->hessian_mode == FGHM_HESSIAN_GRADIENT,
        .hessian_floor = floored ? focal->hessian_floor : -DBL_MAX,
        .hessian_factor = focal->hessian_factor,
        .margin = focal->margin,
        .margin_logit = focal->margin_logit,
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
    .class_gamma = true,
    .because = FGHM_FIELD_RULE,
};

/* Whether the loss has the form that the batch asks for. */
static fghm_status check_form(const fghm_focal *focal, const fghm_batch *batch,
                              struct fghm_report *report) {
    const fghm_focal_rule rule = focal->rule;
    const bool star = rule == FGHM_FOCAL_RULE_STAR;
    const bool heatmap = rule == FGHM_FOCAL_RULE_HEATMAP;
    const bool varifocal = fghm_focal_is_varifocal(focal);
    const bool own_positives = varifocal || heatmap;
    const bool logits_alone = star || varifocal || rule == FGHM_FOCAL_RULE_QUALITY;
    const bool two_gammas = fghm_focal_has_two_gammas(focal);
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    const bool labels = batch->target_form != FGHM_TARGET_DENSE;
    const bool smooth = batch->label_smoothing != 0;
    const bool plain = rule == FGHM_FOCAL_RULE_LINEAR || rule == FGHM_FOCAL_RULE_SPLIT;
    const bool soft_samples = softmax && (!labels || smooth);
    const fghm_field softness = labels ? FGHM_FIELD_LABEL_SMOOTHING : FGHM_FIELD_TARGET_FORM;
    const bool alpha_set = focal->alpha_enabled && focal->alpha != FGHM_ALPHA_DEFAULT;
    const struct fghm_conflict conflicts[] = {
        {logits_alone && batch->activation == FGHM_PROBABILITY, FGHM_FIELD_ACTIVATION,
         FGHM_FIELD_RULE},
        {own_positives && softmax, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE},
        {(star || own_positives) && smooth, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE},
        {(star || heatmap) && batch->target_form == FGHM_TARGET_LABEL_SCORE, FGHM_FIELD_TARGET_FORM,
         FGHM_FIELD_RULE},
        {own_positives && batch->class_alpha != NULL, FGHM_FIELD_CLASS_ALPHA, FGHM_FIELD_RULE},
        {focal->positive_weight_set && batch->class_alpha != NULL, FGHM_FIELD_CLASS_ALPHA,
         FGHM_FIELD_POSITIVE_WEIGHT},
        {(star || varifocal) && batch->class_gamma != NULL, FGHM_FIELD_CLASS_GAMMA,
         FGHM_FIELD_RULE},
        {two_gammas && batch->class_gamma != NULL, FGHM_FIELD_CLASS_GAMMA,
         FGHM_FIELD_NEGATIVE_GAMMA},
        /* Softmax has no negatives, unless labels are smooth: what is set for them would be
         * ignored. */
        {softmax && alpha_set && batch->class_alpha == NULL, FGHM_FIELD_ALPHA,
         FGHM_FIELD_ACTIVATION},
        {softmax && two_gammas && !(labels && smooth), FGHM_FIELD_NEGATIVE_GAMMA,
         FGHM_FIELD_ACTIVATION},
        {focal->margin > 0 && batch->activation != FGHM_SIGMOID, FGHM_FIELD_MARGIN,
         FGHM_FIELD_ACTIVATION},
        {softmax && focal->positive_weight_set, FGHM_FIELD_POSITIVE_WEIGHT, FGHM_FIELD_ACTIVATION},
        {soft_samples && !plain, softness, FGHM_FIELD_RULE},
        {soft_samples && batch->class_gamma != NULL, FGHM_FIELD_CLASS_GAMMA, softness},
    };
    FGHM_TRY(fghm_focal_check_settings(focal, report));
    return fghm_check_conflicts(conflicts, sizeof conflicts / sizeof conflicts[0], report);
}

static void set_losses(const fghm_focal *focal, bool is_double, bool probability, bool softmax,
                       const struct fghm_arrays *arrays, struct fghm_focal_losses *losses) {
    const struct fghm_row *const row = fghm_row();
    const struct fghm_kernels *const kernels = is_double ? row->f64 : row->f32;
    losses->kernels = kernels;
    losses->probability = probability;
    const bool by_class = fghm_focal_has_two_gammas(focal) || focal->rule == FGHM_FOCAL_RULE_SPLIT;
    losses->soft_by_class = by_class;
    losses->soft_negative_gamma =
        fghm_focal_has_two_gammas(focal) ? fghm_focal_negative_gamma(focal) : -1;
    losses->star = 0;
    losses->scale = 1;
    /* With factors of classes, it is one of them. */
    const double loss_weight = fghm_have_class_factors(arrays) ? 1 : focal->loss_weight;
    set_constants(focal, loss_weight, &losses->constants);
    if (softmax || (arrays != NULL && arrays->factors.alpha != NULL)) {
        losses->constants.positive = losses->constants.negative = loss_weight;
    }
    losses->of_gradient = losses->constants.of_gradient;
    losses->hessian_factor = losses->constants.hessian_factor;
    if (softmax) {
        losses->constants.hessian_factor = 1;
        losses->constants.of_gradient = false;
    }
    const bool gammas_of_classes = arrays != NULL && arrays->gammas != NULL;
    losses->kernel = probability ? kernels->probability
                                 : kernel_for(kernels, &losses->constants, gammas_of_classes);
    losses->constants.zero_scores = arrays != NULL && arrays->zero_scores;
    if (probability && losses->constants.detached) {
        /* The same there, and right where a probability is the target. */
        losses->constants.gauss_newton = true;
    }
    if (focal->rule == FGHM_FOCAL_RULE_STAR) {
        /* Cross-entropy of the logits times gamma, over gamma. */
        losses->star = focal->gamma;
        losses->constants.gamma = 0;
        losses->constants.positive /= focal->gamma;
        losses->constants.negative /= focal->gamma;
        losses->scale = focal->gamma;
        if (losses->constants.hessian_floor > -DBL_MAX) {
            losses->constants.hessian_floor /= focal->gamma;
        }
        /* What is too small for its type, 1 / gamma may make large again. */
        losses->constants.careful = focal->gamma < 0.25;
        losses->kernel = kernels->focal[FGHM_GAMMA_0];
    }
}

void fghm_focal_prepare(fghm_focal *focal) {
    struct fghm_report report = FGHM_REPORT_NONE;
    if (focal->margin > 0) {
        focal->margin_logit = fghm_focal_logit_of(focal->margin);
    }
    focal->rule_status = fghm_focal_check_settings(focal, &report);
    if (focal->rule_status == FGHM_OK) {
        set_losses(focal, false, false, false, NULL, &focal->prepared_f32);
        set_losses(focal, true, false, false, NULL, &focal->prepared_f64);
    }
}

/* The losses of logits of a type, dense targets and settings that go together. */
static const struct fghm_focal_losses *prepared_of(const fghm_focal *focal, bool is_double) {
    return is_double ? &focal->prepared_f64 : &focal->prepared_f32;
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
    fghm_part_start(&call->parts[segment]);
    call->walk->focal(&call->plan, first, n, &call->parts[segment]);
}

/* Counts what has to be counted before; *counted says whether targets are among it. */
static __attribute__((noinline)) fghm_status count_before(const fghm_focal *focal, fghm_pool *pool,
                                                          struct focal_call *call,
                                                          struct fghm_part *counts, bool *counted,
                                                          struct fghm_report *report) {
    const struct fghm_plan *const plan = &call->plan.batch;
    const struct fghm_reduction_needs needs = fghm_reduction_needs(focal->reduction, plan);
    *counted = needs.targets || fghm_have_labels(plan->arrays);
    FGHM_TRY(fghm_plan_survey(pool, call->plan.losses->kernels, plan, needs.targets, needs.weights,
                              counts, report));
    return fghm_reduction_divisor(focal->reduction, focal->normalizer, plan, counts, &call->divisor,
                                  report);
}

/* Computes a plan that has been made, but for the divisor; *all is what has been counted, added up
 * and found.  After an error nothing has been computed. */
static fghm_status compute(const fghm_focal *focal, fghm_pool *pool, struct focal_call *call,
                           const struct fghm_part **all, struct fghm_report *report) {
    struct fghm_plan *const plan = &call->plan.batch;
    call->walk = fghm_walk_of(call->plan.losses->kernels->real_size);
    plan->positive = positive_of(focal);

    struct fghm_part counts;
    bool counted = false;
    fghm_part_start(&counts);
    if (fghm_reduction_is_of_count(focal->reduction) && !fghm_have_labels(plan->arrays)) {
        call->divisor = fghm_reduction_divisor_of_count(focal->reduction, focal->normalizer,
                                                        fghm_plan_losses(plan));
    } else {
        FGHM_TRY(count_before(focal, pool, call, &counts, &counted, report));
    }
    call->plan.scale = call->plan.losses->scale * (1 / call->divisor);
    const size_t segments = fghm_plan_drive(pool, plan, segment_work, call);
    struct fghm_part *const computed = fghm_merge_parts(call->parts, segments);
    if (counted) {
        computed->targets = counts.targets;
        computed->ignored = counts.ignored;
    }
    if (counts.bad == FGHM_BAD_SCORE) {
        /* On the walk it is the target of an element. */
        computed->bad = counts.bad;
        computed->offender = counts.offender;
    }
    *all = computed;
    return FGHM_OK;
}

/* Batches --------------------------------------------------------------------- */

static void set_batch_losses(const fghm_focal *focal, const fghm_batch *batch,
                             const struct fghm_plan *plan, struct fghm_arrays *arrays,
                             struct fghm_focal_losses *losses) {
    if (fghm_have_class_factors(arrays)) {
        arrays->factors.common = focal->loss_weight;
    }
    losses->of_terms = fghm_have_class_factors(arrays) &&
                       (!arrays->labels || (batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0);
    arrays->zero_scores =
        fghm_focal_is_varifocal(focal) && batch->target_form == FGHM_TARGET_LABEL_SCORE;
    set_losses(focal, plan->is_double, batch->activation == FGHM_PROBABILITY, plan->softmax, arrays,
               losses);
}

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
    struct fghm_focal_losses losses;
    const struct fghm_part *all;
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(
        fghm_plan_make(batch, &limits, false, result, loss, &call.plan.batch, &arrays, report));
    FGHM_REQUIRE(result != NULL || loss != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
    if (arrays.plain && focal->rule_status == FGHM_OK) {
        call.plan.losses = prepared_of(focal, call.plan.batch.is_double);
    } else {
        FGHM_TRY(check_form(focal, batch, report));
        set_batch_losses(focal, batch, &call.plan.batch, &arrays, &losses);
        call.plan.losses = &losses;
    }
    FGHM_TRY(compute(focal, pool, &call, &all, report));
    fghm_result_of(&call.plan.batch, all, call.divisor, value);
    return fghm_part_status(all, report);
}

fghm_status fghm_focal_batch(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch,
                             fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value;
    value.filled = 0;
    const fghm_status status =
        fghm_focal_compute_batch(focal, pool, batch, result, NULL, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

/* Contiguous elements ---------------------------------------------------------- */

/* Whether a single call of a kernel is all: one segment, and D that nobody has to count. */
static bool is_small(const fghm_focal *focal, size_t n) {
    return n > 0 && n <= FGHM_SEGMENT_MIN && focal->rule != FGHM_FOCAL_RULE_STAR &&
           fghm_reduction_is_of_count(focal->reduction);
}

static void compute_small(const fghm_focal *focal, const struct fghm_focal_losses *losses,
                          const struct fghm_span *span, double *divisor, struct fghm_part *part) {
    *divisor = fghm_reduction_divisor_of_count(focal->reduction, focal->normalizer, span->n);
    fghm_part_start(part);
    fghm_walk_of(losses->kernels->real_size)
        ->focal_span(losses, losses->scale * (1 / *divisor), span, part);
}

/* Out of line for the sake of the stack, which small calls do not need. */
static __attribute__((noinline)) fghm_status
compute_large(const fghm_focal *focal, fghm_pool *pool, const struct fghm_focal_losses *losses,
              bool is_double, const struct fghm_span *span, double *divisor,
              struct fghm_part *part) {
    struct focal_call call;
    const struct fghm_part *all;
    struct fghm_report report;
    call.plan.losses = losses;
    fghm_plan_of_span(span, is_double, &call.plan.batch);
    FGHM_TRY(compute(focal, pool, &call, &all, &report));
    *divisor = call.divisor;
    *part = *all;
    return FGHM_OK;
}

static fghm_status focal_elements(const fghm_focal *focal, fghm_pool *pool, bool is_double,
                                  const struct fghm_span *span, double *loss) {
    double divisor;
    struct fghm_part part;
    struct fghm_report report;
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
                     span->hessian != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    FGHM_TRY(fghm_check_span(span, is_double, loss));
    FGHM_TRY(focal->rule_status);
    const struct fghm_focal_losses *const losses = prepared_of(focal, is_double);
    if (is_small(focal, span->n)) {
        compute_small(focal, losses, span, &divisor, &part);
    } else {
        FGHM_TRY(compute_large(focal, pool, losses, is_double, span, &divisor, &part));
    }
    FGHM_TRY(fghm_part_status(&part, &report));
    if (loss != NULL) {
        *loss = quotient_of(part.sum + part.sum_error, part.sum_huge, divisor);
    }
    return FGHM_OK;
}

fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n, const float *logits,
                           const float *targets, const float *weights, double *loss,
                           float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = logits,
                                   .targets = targets,
                                   .weights = weights,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return focal_elements(focal, pool, false, &span, loss);
}

fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n, const double *logits,
                           const double *targets, const double *weights, double *loss,
                           double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = logits,
                                   .targets = targets,
                                   .weights = weights,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return focal_elements(focal, pool, true, &span, loss);
}
