/* SPDX-License-Identifier: MIT */
/* Everything that computes a focal loss: over a batch, and over contiguous elements. */
#include <float.h>
#include <stdbool.h>

#include "check.h"
#include "dispatch.h"
#include "drive.h"
#include "focal_handle.h"
#include "kernels/double_sum.h"
#include "plan.h"

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

/* The constants of the rules that one kernel computes in one go. */
static struct fghm_focal_constants constants_of(const fghm_focal *focal, double scale) {
    const bool floored = focal->hessian_mode == FGHM_HESSIAN_FLOORED;
    return (struct fghm_focal_constants){
        .gamma = focal->gamma,
        .positive = focal->loss_weight * (focal->alpha_enabled ? focal->alpha : 1),
        .negative = focal->loss_weight * (focal->alpha_enabled ? 1 - focal->alpha : 1),
        .scale = scale,
        .quality = focal->rule == FGHM_FOCAL_RULE_QUALITY,
        .gauss_newton = focal->hessian_mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .absolute = focal->hessian_mode == FGHM_HESSIAN_ABSOLUTE,
        .hessian_floor = floored ? focal->hessian_floor : -DBL_MAX,
    };
}

/* Batches --------------------------------------------------------------------- */

static const struct fghm_batch_limits limits = {
    .softmax = true,
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
    const bool alpha_set = focal->alpha_enabled && focal->alpha != FGHM_ALPHA_DEFAULT;
    const struct {
        bool there;
        fghm_field field, other;
    } conflicts[] = {
        {!plain && two_gammas, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE},
        {fghm_focal_check_rule(focal) != FGHM_OK, FGHM_FIELD_GAMMA, FGHM_FIELD_RULE},
        {!plain && batch->activation == FGHM_PROBABILITY, FGHM_FIELD_ACTIVATION, FGHM_FIELD_RULE},
        {star && batch->label_smoothing != 0, FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_RULE},
        {star && batch->target_form == FGHM_TARGET_LABEL_SCORE, FGHM_FIELD_TARGET_FORM,
         FGHM_FIELD_RULE},
        /* Softmax has no negatives: what is set for them would be ignored. */
        {softmax && alpha_set && batch->class_alpha == NULL, FGHM_FIELD_ALPHA,
         FGHM_FIELD_ACTIVATION},
        {softmax && two_gammas, FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_ACTIVATION},
    };
    for (size_t i = 0; i < sizeof conflicts / sizeof conflicts[0]; i++) {
        if (conflicts[i].there) {
            return fghm_fail_both(report, FGHM_ERROR_COMBINATION, conflicts[i].field,
                                  conflicts[i].other);
        }
    }
    return FGHM_OK;
}

/* See struct fghm_focal_plan.  Targets that are 0 or 1 for certain need no split. */
static void plan_losses(const fghm_focal *focal, const struct fghm_kernels *kernels,
                        bool probability, double divisor, struct fghm_focal_plan *plan) {
    const bool hard =
        plan->batch.labels && plan->batch.scores.data == NULL && plan->batch.label_smoothing == 0;
    const bool split =
        fghm_focal_has_two_gammas(focal) || (focal->rule == FGHM_FOCAL_RULE_SPLIT && !hard);
    plan->probability = probability;
    plan->split = split && !plan->batch.softmax;
    plan->star = 0;
    plan->constants = constants_of(focal, 1 / divisor);
    plan->split_absolute = plan->constants.absolute;
    plan->split_floor = focal->hessian_mode == FGHM_HESSIAN_FLOORED ? focal->hessian_floor : -1;
    if (plan->split) {
        plan->constants.absolute = false;
        plan->constants.hessian_floor = -DBL_MAX;
    }
    if (plan->batch.class_alpha != NULL || plan->batch.softmax) {
        plan->constants.positive = plan->constants.negative = focal->loss_weight;
    }
    plan->negative_constants = plan->constants;
    plan->negative_constants.gamma = fghm_focal_negative_gamma(focal);
    if (focal->rule == FGHM_FOCAL_RULE_STAR) {
        /* Cross-entropy of the logits times gamma, over gamma. */
        plan->star = focal->gamma;
        plan->constants.gamma = 0;
        plan->constants.positive /= focal->gamma;
        plan->constants.negative /= focal->gamma;
        plan->constants.scale *= focal->gamma;
        plan->constants.hessian_floor /= focal->gamma;
    }
    plan->kernel = probability ? kernels->probability : kernel_for(kernels, plan->constants.gamma);
    plan->negative_kernel =
        probability ? kernels->probability : kernel_for(kernels, plan->negative_constants.gamma);
}

/* One call, and what its segments bring back. */
struct batch_call {
    const struct fghm_kernels *kernels;
    struct fghm_focal_plan plan;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void batch_segment(void *context, size_t segment, size_t first, size_t n) {
    struct batch_call *const call = context;
    call->parts[segment] = (struct fghm_part){0};
    call->kernels->focal_batch(&call->plan, first, n, &call->parts[segment]);
}

static bool has_array(const fghm_batch *batch) {
    return batch->element_loss.data != NULL || batch->gradient.data != NULL ||
           batch->hessian.data != NULL;
}

/* Brings the numbers of the result back in *value. */
static fghm_status batch_compute(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch,
                                 const fghm_result *result, fghm_result *value,
                                 struct fghm_report *report) {
    struct batch_call call;
    struct fghm_plan *const plan = &call.plan.batch;
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(fghm_plan_make(batch, &limits, false, result, plan, report));
    FGHM_REQUIRE(result != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
    FGHM_TRY(check_form(focal, batch, report));
    plan->star = focal->rule == FGHM_FOCAL_RULE_STAR;

    const struct fghm_row *const row = fghm_row();
    call.kernels = fghm_plan_is_double(plan) ? row->f64 : row->f32;
    struct fghm_part before;
    bool counted;
    const bool ignores = plan->ignoring || plan->nan_ignored;
    const bool needs_counts = focal->reduction == FGHM_REDUCTION_MEAN_POSITIVES ||
                              (focal->reduction == FGHM_REDUCTION_MEAN_VALID && ignores);
    FGHM_TRY(fghm_plan_survey(pool, call.kernels, plan, needs_counts, &before, &counted, report));

    const double divisor = fghm_plan_divisor(plan, focal->reduction, focal->normalizer, &before);
    plan_losses(focal, call.kernels, batch->activation == FGHM_PROBABILITY, divisor, &call.plan);
    const size_t segments = fghm_plan_drive(pool, plan, batch_segment, &call);
    const struct fghm_part all = fghm_merge_parts(call.parts, segments);
    *value = fghm_result_of(plan, counted ? &before : &all, &all, divisor);
    /* On the walk a score is the target of an element. */
    return fghm_part_status(before.bad == FGHM_BAD_SCORE ? &before : &all, report);
}

fghm_status fghm_focal_batch(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch,
                             fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status = batch_compute(focal, pool, batch, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

/* Contiguous elements ---------------------------------------------------------- */

/* One call, and what its segments bring back. */
struct focal_call {
    size_t real_size;
    fghm_focal_kernel *kernel;
    struct fghm_focal_constants constants;
    double sums[FGHM_SEGMENTS_MAX];
    int bad[FGHM_SEGMENTS_MAX];
};

static void focal_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct focal_call *const call = context;
    call->bad[segment] = 0;
    struct fghm_sum sum;
    sum_start(&sum, call->real_size);
    call->kernel(&call->constants, part, &sum, &call->bad[segment]);
    call->sums[segment] = sum_of_lanes(&sum, call->real_size);
}

/* Whether the handle asks for what only the walk over batches does. */
static bool needs_batch(const fghm_focal *focal) {
    return focal->rule == FGHM_FOCAL_RULE_SPLIT || focal->rule == FGHM_FOCAL_RULE_STAR ||
           fghm_focal_has_two_gammas(focal) || focal->reduction == FGHM_REDUCTION_MEAN_POSITIVES;
}

static fghm_status compute_as_batch(const fghm_focal *focal, fghm_pool *pool, fghm_dtype dtype,
                                    const struct fghm_span *span, double *loss) {
    const fghm_result asked = FGHM_RESULT_INIT;
    fghm_result value = FGHM_RESULT_INIT;
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 1;
    batch.shape[0] = (int64_t)span->n;
    batch.logits = (fghm_input){.data = span->logits, .dtype = dtype};
    batch.targets = (fghm_input){.data = span->targets, .dtype = dtype};
    batch.weights = (fghm_input){.data = span->weights, .dtype = dtype};
    batch.element_loss = (fghm_output){.data = span->element_loss, .dtype = dtype};
    batch.gradient = (fghm_output){.data = span->gradient, .dtype = dtype};
    batch.hessian = (fghm_output){.data = span->hessian, .dtype = dtype};
    const fghm_status status = batch_compute(focal, pool, &batch, &asked, &value, &report);
    if (status == FGHM_OK && loss != NULL) {
        *loss = value.loss;
    }
    return status;
}

static fghm_status focal_compute(const fghm_focal *focal, fghm_pool *pool, fghm_dtype dtype,
                                 const struct fghm_kernels *kernels, const struct fghm_span *span,
                                 double *loss) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
                     span->hessian != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    const fghm_status status = fghm_check_span(span, kernels->real_size, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);
    if (needs_batch(focal)) {
        return compute_as_batch(focal, pool, dtype, span, loss);
    }

    /* Every element is a sample, and valid. */
    const double divisor = fghm_divisor_of(focal->reduction, focal->normalizer, span->n);
    struct focal_call call;
    call.real_size = kernels->real_size;
    call.kernel = kernel_for(kernels, focal->gamma);
    call.constants = constants_of(focal, 1 / divisor);
    const size_t segments = fghm_drive(pool, span, kernels->real_size, focal_segment, &call);
    for (size_t i = 0; i < segments; i++) {
        FGHM_REQUIRE(!call.bad[i], FGHM_ERROR_TARGET);
    }
    if (loss != NULL) {
        *loss = fghm_sum_segments(call.sums, segments) / divisor;
    }
    return FGHM_OK;
}

fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n, const float *logits,
                           const float *targets, const float *weights, double *loss,
                           float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_compute(focal, pool, FGHM_F32, fghm_row()->f32, &span, loss);
}

fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n, const double *logits,
                           const double *targets, const double *weights, double *loss,
                           double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_compute(focal, pool, FGHM_F64, fghm_row()->f64, &span, loss);
}
