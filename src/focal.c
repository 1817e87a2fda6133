/* SPDX-License-Identifier: MIT */
#include "focalghm/focal.h"

#include <float.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "dispatch.h"
#include "drive.h"

struct fghm_focal {
    double gamma;
    double alpha;
    bool alpha_enabled;
    fghm_reduction reduction;
    double normalizer;
};

fghm_status fghm_focal_create(fghm_focal **focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = malloc(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = (fghm_focal){
        .gamma = 2,
        .alpha = 0.25,
        .alpha_enabled = true,
        .reduction = FGHM_REDUCTION_MEAN,
        .normalizer = 1,
    };
    *focal = made;
    return FGHM_OK;
}

void fghm_focal_destroy(fghm_focal *focal) {
    free(focal);
}

fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma >= 0 && gamma <= DBL_MAX, FGHM_ERROR_GAMMA);
    focal->gamma = gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma != NULL, FGHM_ERROR_NULL_POINTER);
    *gamma = focal->gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_set_alpha(fghm_focal *focal, double alpha) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(alpha >= 0 && alpha <= 1, FGHM_ERROR_ALPHA);
    focal->alpha = alpha;
    focal->alpha_enabled = true;
    return FGHM_OK;
}

fghm_status fghm_focal_clear_alpha(fghm_focal *focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    focal->alpha = 1;
    focal->alpha_enabled = false;
    return FGHM_OK;
}

fghm_status fghm_focal_get_alpha(const fghm_focal *focal, double *alpha, int32_t *enabled) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(alpha != NULL && enabled != NULL, FGHM_ERROR_NULL_POINTER);
    *alpha = focal->alpha;
    *enabled = focal->alpha_enabled;
    return FGHM_OK;
}

fghm_status fghm_focal_set_reduction(fghm_focal *focal, fghm_reduction reduction) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_reduction(reduction), FGHM_ERROR_REDUCTION);
    focal->reduction = reduction;
    return FGHM_OK;
}

fghm_status fghm_focal_get_reduction(const fghm_focal *focal, fghm_reduction *reduction) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(reduction != NULL, FGHM_ERROR_NULL_POINTER);
    *reduction = focal->reduction;
    return FGHM_OK;
}

fghm_status fghm_focal_set_normalizer(fghm_focal *focal, double normalizer) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_normalizer(normalizer), FGHM_ERROR_NORMALIZER);
    focal->normalizer = normalizer;
    return FGHM_OK;
}

fghm_status fghm_focal_get_normalizer(const fghm_focal *focal, double *normalizer) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(normalizer != NULL, FGHM_ERROR_NULL_POINTER);
    *normalizer = focal->normalizer;
    return FGHM_OK;
}

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

/* One call, and what its segments bring back. */
struct focal_call {
    fghm_focal_kernel *kernel;
    struct fghm_focal_constants constants;
    double sums[FGHM_SEGMENTS_MAX];
    int bad_targets[FGHM_SEGMENTS_MAX];
};

static void focal_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct focal_call *const call = context;
    call->bad_targets[segment] = 0;
    call->sums[segment] = call->kernel(&call->constants, part, &call->bad_targets[segment]);
}

static fghm_status focal_compute(const fghm_focal *focal, fghm_pool *pool,
                                 const struct fghm_kernels *kernels, const struct fghm_span *span,
                                 double *loss) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
                     span->hessian != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    const fghm_status status = fghm_check_span(span, kernels->real_size, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);

    const double count = span->n > 0 ? (double)span->n : 1;
    struct focal_call call;
    call.kernel = kernel_for(kernels, focal->gamma);
    call.constants = (struct fghm_focal_constants){
        .gamma = focal->gamma,
        .positive = focal->alpha_enabled ? focal->alpha : 1,
        .negative = focal->alpha_enabled ? 1 - focal->alpha : 1,
        .scale = fghm_scale(focal->reduction, focal->normalizer, count),
    };
    const size_t segments = fghm_drive(pool, span, kernels->real_size, focal_segment, &call);
    for (size_t i = 0; i < segments; i++) {
        FGHM_REQUIRE(!call.bad_targets[i], FGHM_ERROR_TARGET);
    }
    if (loss != NULL) {
        *loss = fghm_sum_segments(call.sums, segments) * call.constants.scale;
    }
    return FGHM_OK;
}

fghm_status fghm_focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n, const float *logits,
                           const float *targets, const float *weights, double *loss,
                           float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_compute(focal, pool, fghm_row()->f32, &span, loss);
}

fghm_status fghm_focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n, const double *logits,
                           const double *targets, const double *weights, double *loss,
                           double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {n, logits, targets, weights, element_loss, gradient, hessian};
    return focal_compute(focal, pool, fghm_row()->f64, &span, loss);
}
