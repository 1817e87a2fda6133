/* SPDX-License-Identifier: MIT */
/* The handle of the focal loss: making it, setting it, reading it. */
#include "focal_handle.h"

#include <float.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "drive.h"

fghm_status fghm_focal_create(fghm_focal **focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = malloc(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = (fghm_focal){
        .gamma = 2,
        .negative_gamma = 2,
        .alpha = 0.25,
        .alpha_enabled = true,
        .loss_weight = 1,
        .reduction = FGHM_REDUCTION_MEAN,
        .normalizer = 1,
        .rule = FGHM_RULE_LINEAR,
        .hessian = FGHM_HESSIAN_EXACT,
        .hessian_floor = 1e-16,
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
    focal->gamma = focal->negative_gamma = gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma != NULL, FGHM_ERROR_NULL_POINTER);
    *gamma = focal->gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_set_negative_gamma(fghm_focal *focal, double gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma >= 0 && gamma <= DBL_MAX, FGHM_ERROR_GAMMA);
    focal->negative_gamma = gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_get_negative_gamma(const fghm_focal *focal, double *gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma != NULL, FGHM_ERROR_NULL_POINTER);
    *gamma = focal->negative_gamma;
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
    FGHM_REQUIRE(reduction >= FGHM_REDUCTION_SUM && reduction <= FGHM_REDUCTION_MEAN_VALID,
                 FGHM_ERROR_REDUCTION);
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

fghm_status fghm_focal_set_loss_weight(fghm_focal *focal, double loss_weight) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss_weight >= 0 && loss_weight <= DBL_MAX, FGHM_ERROR_LOSS_WEIGHT);
    focal->loss_weight = loss_weight;
    return FGHM_OK;
}

fghm_status fghm_focal_get_loss_weight(const fghm_focal *focal, double *loss_weight) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss_weight != NULL, FGHM_ERROR_NULL_POINTER);
    *loss_weight = focal->loss_weight;
    return FGHM_OK;
}

fghm_status fghm_focal_set_rule(fghm_focal *focal, fghm_rule rule) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule >= FGHM_RULE_LINEAR && rule <= FGHM_RULE_STAR, FGHM_ERROR_RULE);
    focal->rule = rule;
    return FGHM_OK;
}

fghm_status fghm_focal_get_rule(const fghm_focal *focal, fghm_rule *rule) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule != NULL, FGHM_ERROR_NULL_POINTER);
    *rule = focal->rule;
    return FGHM_OK;
}

fghm_status fghm_focal_set_hessian(fghm_focal *focal, fghm_hessian_mode mode, double floor) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mode >= FGHM_HESSIAN_EXACT && mode <= FGHM_HESSIAN_GAUSS_NEWTON,
                 FGHM_ERROR_HESSIAN);
    FGHM_REQUIRE(floor >= 0 && floor <= DBL_MAX, FGHM_ERROR_HESSIAN);
    focal->hessian = mode;
    focal->hessian_floor = floor;
    return FGHM_OK;
}

fghm_status fghm_focal_get_hessian(const fghm_focal *focal, fghm_hessian_mode *mode,
                                   double *floor) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mode != NULL && floor != NULL, FGHM_ERROR_NULL_POINTER);
    *mode = focal->hessian;
    *floor = focal->hessian_floor;
    return FGHM_OK;
}
