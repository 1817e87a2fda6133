/* SPDX-License-Identifier: MIT */
/* The handle of the focal loss: making it, setting it, reading it.
 *
 * No setter looks at another setting, so the order in which they are called does not matter.
 * What does not go together is found where it is used. */
#include "focal_handle.h"

#include <stdlib.h>

#include "check.h"

/* Numbers from least to most, and 0 where it means "off". */
struct range {
    double least, most;
    bool or_zero;
};

/* Within these a float keeps all promises: products of the factors, and of what gamma makes of
 * a small probability, stay far from the ends of its range. */
static const struct range gamma_range = {0, 64, false};
static const struct range alpha_range = {0x1p-40, 1, true};
static const struct range loss_weight_range = {0x1p-40, 0x1p40, true};
static const struct range normalizer_range = {0x1p-40, 0x1p60, false};
static const struct range hessian_floor_range = {0x1p-60, 0x1p60, true};

/* Below this gamma the loss of focal-star, log(2) / gamma where it is least, is too large. */
static const double star_gamma_least = 0x1p-10;

static bool is_within(const struct range *range, double number) {
    return (range->or_zero && number == 0) || (number >= range->least && number <= range->most);
}

/* What every setter of a number does. */
static fghm_status set_number(const struct range *range, double number, double *setting) {
    FGHM_REQUIRE(is_within(range, number), FGHM_ERROR_RANGE);
    *setting = number;
    return FGHM_OK;
}

fghm_status fghm_focal_create(fghm_focal **focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = malloc(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = (fghm_focal){
        .gamma = 2,
        .alpha = FGHM_ALPHA_DEFAULT,
        .alpha_enabled = true,
        .loss_weight = 1,
        .reduction = FGHM_REDUCTION_MEAN,
        .normalizer = 1,
        .rule = FGHM_FOCAL_RULE_LINEAR,
        .hessian_mode = FGHM_HESSIAN_EXACT,
        .hessian_floor = 1e-16,
    };
    *focal = made;
    return FGHM_OK;
}

fghm_status fghm_focal_clone(const fghm_focal *focal, fghm_focal **copy) {
    FGHM_REQUIRE(focal != NULL && copy != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = malloc(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = *focal;
    *copy = made;
    return FGHM_OK;
}

void fghm_focal_destroy(fghm_focal *focal) {
    free(focal);
}

double fghm_focal_negative_gamma(const fghm_focal *focal) {
    return focal->negative_gamma_set ? focal->negative_gamma : focal->gamma;
}

bool fghm_focal_has_two_gammas(const fghm_focal *focal) {
    return focal->gamma != fghm_focal_negative_gamma(focal);
}

fghm_status fghm_focal_check_rule(const fghm_focal *focal) {
    const bool star = focal->rule == FGHM_FOCAL_RULE_STAR;
    const bool one_gamma = star || focal->rule == FGHM_FOCAL_RULE_QUALITY;
    FGHM_REQUIRE(!star || focal->gamma >= star_gamma_least, FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(!one_gamma || !fghm_focal_has_two_gammas(focal), FGHM_ERROR_COMBINATION);
    return FGHM_OK;
}

fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    return set_number(&gamma_range, gamma, &focal->gamma);
}

fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma != NULL, FGHM_ERROR_NULL_POINTER);
    *gamma = focal->gamma;
    return FGHM_OK;
}

fghm_status fghm_focal_set_negative_gamma(fghm_focal *focal, double gamma) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = set_number(&gamma_range, gamma, &focal->negative_gamma);
    focal->negative_gamma_set = focal->negative_gamma_set || status == FGHM_OK;
    return status;
}

fghm_status fghm_focal_clear_negative_gamma(fghm_focal *focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    focal->negative_gamma = 0;
    focal->negative_gamma_set = false;
    return FGHM_OK;
}

fghm_status fghm_focal_get_negative_gamma(const fghm_focal *focal, double *gamma, int32_t *set) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(gamma != NULL && set != NULL, FGHM_ERROR_NULL_POINTER);
    *gamma = fghm_focal_negative_gamma(focal);
    *set = focal->negative_gamma_set;
    return FGHM_OK;
}

fghm_status fghm_focal_set_alpha(fghm_focal *focal, double alpha) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = set_number(&alpha_range, alpha, &focal->alpha);
    focal->alpha_enabled = focal->alpha_enabled || status == FGHM_OK;
    return status;
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
                 FGHM_ERROR_CONSTANT);
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
    return set_number(&normalizer_range, normalizer, &focal->normalizer);
}

fghm_status fghm_focal_get_normalizer(const fghm_focal *focal, double *normalizer) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(normalizer != NULL, FGHM_ERROR_NULL_POINTER);
    *normalizer = focal->normalizer;
    return FGHM_OK;
}

fghm_status fghm_focal_set_loss_weight(fghm_focal *focal, double loss_weight) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    return set_number(&loss_weight_range, loss_weight, &focal->loss_weight);
}

fghm_status fghm_focal_get_loss_weight(const fghm_focal *focal, double *loss_weight) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss_weight != NULL, FGHM_ERROR_NULL_POINTER);
    *loss_weight = focal->loss_weight;
    return FGHM_OK;
}

fghm_status fghm_focal_set_rule(fghm_focal *focal, fghm_focal_rule rule) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule >= 0 && rule <= FGHM_FOCAL_RULE_STAR, FGHM_ERROR_CONSTANT);
    focal->rule = rule;
    return FGHM_OK;
}

fghm_status fghm_focal_get_rule(const fghm_focal *focal, fghm_focal_rule *rule) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule != NULL, FGHM_ERROR_NULL_POINTER);
    *rule = focal->rule;
    return FGHM_OK;
}

fghm_status fghm_focal_set_hessian_mode(fghm_focal *focal, fghm_hessian_mode mode) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mode >= 0 && mode <= FGHM_HESSIAN_GAUSS_NEWTON, FGHM_ERROR_CONSTANT);
    focal->hessian_mode = mode;
    return FGHM_OK;
}

fghm_status fghm_focal_get_hessian_mode(const fghm_focal *focal, fghm_hessian_mode *mode) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mode != NULL, FGHM_ERROR_NULL_POINTER);
    *mode = focal->hessian_mode;
    return FGHM_OK;
}

fghm_status fghm_focal_set_hessian_floor(fghm_focal *focal, double floor) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    return set_number(&hessian_floor_range, floor, &focal->hessian_floor);
}

fghm_status fghm_focal_get_hessian_floor(const fghm_focal *focal, double *floor) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(floor != NULL, FGHM_ERROR_NULL_POINTER);
    *floor = focal->hessian_floor;
    return FGHM_OK;
}
