/* SPDX-License-Identifier: MIT */
/* The handle of the focal loss: making it, setting it, reading it.
 *
 * No setter looks at another setting, so the order in which they are called does not matter.
 * What does not go together is found where it is used. */
#include "focal_handle.h"

#include "allocation.h"
#include "check.h"
#include "divisor.h"
#include "plan.h"
#include "settings.h"

/* Within these ranges a float keeps all promises: products of the factors, and of what gamma makes
 * of a small probability, stay far from the ends of its range. */
#define GAMMA_MOST 64
#define FACTOR_LEAST 0x1p-40
#define FACTOR_MOST 0x1p40

/* The largest double below 1. */
#define MARGIN_MOST (1 - 0x1p-53)

/* Below this gamma the loss of focal-star, log(2) / gamma where it is least, is too large. */
static const double star_gamma_least = 0x1p-10;

/* A handle is not saved, so that its settings have no numbers. */
static const struct fghm_setting rows[] = {
    {.field = FGHM_FIELD_GAMMA,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, gamma),
     .least = 0,
     .most = GAMMA_MOST,
     .initial = 2},
    {.field = FGHM_FIELD_NEGATIVE_GAMMA,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, negative_gamma),
     .least = 0,
     .most = GAMMA_MOST,
     .initial = 0},
    {.field = FGHM_FIELD_ALPHA,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, alpha),
     .least = FACTOR_LEAST,
     .most = 1,
     .or_zero = true,
     .initial = FGHM_ALPHA_DEFAULT},
    {.field = FGHM_FIELD_LOSS_WEIGHT,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, loss_weight),
     .least = FACTOR_LEAST,
     .most = FACTOR_MOST,
     .or_zero = true,
     .initial = 1},
    {.field = FGHM_FIELD_REDUCTION,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct fghm_focal, reduction),
     .least = FGHM_REDUCTION_SUM,
     .most = FGHM_REDUCTION_LAST,
     .initial = FGHM_REDUCTION_MEAN},
    {.field = FGHM_FIELD_NORMALIZER,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, normalizer),
     .least = FACTOR_LEAST,
     .most = 0x1p60,
     .initial = 1},
    {.field = FGHM_FIELD_RULE,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct fghm_focal, rule),
     .least = FGHM_FOCAL_RULE_LINEAR,
     .most = FGHM_FOCAL_RULE_HEATMAP,
     .initial = FGHM_FOCAL_RULE_LINEAR},
    {.field = FGHM_FIELD_HESSIAN_MODE,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct fghm_focal, hessian_mode),
     .least = FGHM_HESSIAN_EXACT,
     .most = FGHM_HESSIAN_GRADIENT,
     .initial = FGHM_HESSIAN_EXACT},
    {.field = FGHM_FIELD_HESSIAN_FLOOR,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, hessian_floor),
     .least = 0x1p-60,
     .most = 0x1p60,
     .or_zero = true,
     .initial = 1e-16},
    {.field = FGHM_FIELD_HESSIAN_FACTOR,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, hessian_factor),
     .least = FACTOR_LEAST,
     .most = FACTOR_MOST,
     .initial = 1},
    {.field = FGHM_FIELD_DETACHED,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct fghm_focal, detached),
     .least = 0,
     .most = 1,
     .initial = 0},
    {.field = FGHM_FIELD_BETA,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, beta),
     .least = 0,
     .most = GAMMA_MOST,
     .initial = 4},
    {.field = FGHM_FIELD_MARGIN,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, margin),
     .least = FACTOR_LEAST,
     .most = MARGIN_MOST,
     .or_zero = true,
     .initial = 0},
    {.field = FGHM_FIELD_POSITIVE_WEIGHT,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct fghm_focal, positive_weight),
     .least = FACTOR_LEAST,
     .most = FACTOR_MOST,
     .or_zero = true,
     .initial = 1},
};

static const struct fghm_settings settings = {rows, sizeof rows / sizeof rows[0]};

static fghm_status set_double(fghm_focal *focal, fghm_field field, double value) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(fghm_setting_set_double(fghm_setting_of(&settings, field), value, false, focal));
    focal->negative_gamma_set = focal->negative_gamma_set || field == FGHM_FIELD_NEGATIVE_GAMMA;
    focal->alpha_enabled = focal->alpha_enabled || field == FGHM_FIELD_ALPHA;
    focal->positive_weight_set = focal->positive_weight_set || field == FGHM_FIELD_POSITIVE_WEIGHT;
    fghm_focal_prepare(focal);
    return FGHM_OK;
}

static fghm_status set_int32(fghm_focal *focal, fghm_field field, int32_t value) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(fghm_setting_set_int32(fghm_setting_of(&settings, field), value, false, focal));
    fghm_focal_prepare(focal);
    return FGHM_OK;
}

static fghm_status get_double(const fghm_focal *focal, fghm_field field, double *value) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(value != NULL, FGHM_ERROR_NULL_POINTER);
    *value = fghm_setting_double(fghm_setting_of(&settings, field), focal);
    return FGHM_OK;
}

static fghm_status get_int32(const fghm_focal *focal, fghm_field field, int32_t *value) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(value != NULL, FGHM_ERROR_NULL_POINTER);
    *value = fghm_setting_int32(fghm_setting_of(&settings, field), focal);
    return FGHM_OK;
}

/* The handle --------------------------------------------------------------------- */

fghm_status fghm_focal_create(fghm_focal **focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = fghm_memory(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = (fghm_focal){.alpha_enabled = true, .negative_gamma_set = false};
    fghm_settings_init(&settings, made);
    fghm_focal_prepare(made);
    *focal = made;
    return FGHM_OK;
}

fghm_status fghm_focal_clone(const fghm_focal *focal, fghm_focal **copy) {
    FGHM_REQUIRE(focal != NULL && copy != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_focal *const made = fghm_memory(sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *made = *focal;
    *copy = made;
    return FGHM_OK;
}

void fghm_focal_destroy(fghm_focal *focal) {
    fghm_free(focal);
}

/* What settings come to ------------------------------------------------------------ */

/* Whether alpha is a factor: neither off nor a new handle's where it has another meaning. */
static bool has_alpha(const fghm_focal *focal) {
    const bool elsewhere = focal->positive_weight_set || focal->rule == FGHM_FOCAL_RULE_HEATMAP;
    return focal->alpha_enabled && !elsewhere;
}

struct fghm_focal_side fghm_focal_positives(const fghm_focal *focal) {
    const bool varifocal = fghm_focal_is_varifocal(focal);
    const double alpha = has_alpha(focal) && !varifocal ? focal->alpha : 1;
    return (struct fghm_focal_side){
        .gamma = varifocal ? 0 : focal->gamma,
        .factor = focal->positive_weight_set ? focal->positive_weight : alpha,
    };
}

struct fghm_focal_side fghm_focal_negatives(const fghm_focal *focal) {
    const double alpha = fghm_focal_is_varifocal(focal) ? focal->alpha : 1 - focal->alpha;
    return (struct fghm_focal_side){
        .gamma = fghm_focal_negative_gamma(focal),
        .factor = has_alpha(focal) ? alpha : 1,
    };
}

fghm_status fghm_focal_check_settings(const fghm_focal *focal, struct fghm_report *report) {
    const fghm_focal_rule rule = focal->rule;
    const bool star = rule == FGHM_FOCAL_RULE_STAR;
    const bool varifocal = fghm_focal_is_varifocal(focal);
    const bool one_gamma = star || varifocal || rule == FGHM_FOCAL_RULE_QUALITY;
    const bool alpha_set = focal->alpha_enabled && focal->alpha != FGHM_ALPHA_DEFAULT;
    const bool plain = rule == FGHM_FOCAL_RULE_LINEAR || rule == FGHM_FOCAL_RULE_SPLIT;
    const struct fghm_conflict conflicts[] = {
        {one_gamma && fghm_focal_has_two_gammas(focal), FGHM_FIELD_NEGATIVE_GAMMA, FGHM_FIELD_RULE},
        {star && focal->gamma < star_gamma_least, FGHM_FIELD_GAMMA, FGHM_FIELD_RULE},
        {star && focal->detached != 0, FGHM_FIELD_DETACHED, FGHM_FIELD_RULE},
        {!plain && focal->margin > 0, FGHM_FIELD_MARGIN, FGHM_FIELD_RULE},
        {rule == FGHM_FOCAL_RULE_HEATMAP && alpha_set, FGHM_FIELD_ALPHA, FGHM_FIELD_RULE},
        {focal->positive_weight_set && alpha_set, FGHM_FIELD_ALPHA, FGHM_FIELD_POSITIVE_WEIGHT},
    };
    return fghm_check_conflicts(conflicts, sizeof conflicts / sizeof conflicts[0], report);
}

/* Settings that can be unset ------------------------------------------------------- */

fghm_status fghm_focal_set_negative_gamma(fghm_focal *focal, double gamma) {
    return set_double(focal, FGHM_FIELD_NEGATIVE_GAMMA, gamma);
}

fghm_status fghm_focal_clear_negative_gamma(fghm_focal *focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    focal->negative_gamma = 0;
    focal->negative_gamma_set = false;
    fghm_focal_prepare(focal);
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
    return set_double(focal, FGHM_FIELD_ALPHA, alpha);
}

fghm_status fghm_focal_clear_alpha(fghm_focal *focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    focal->alpha = 1;
    focal->alpha_enabled = false;
    fghm_focal_prepare(focal);
    return FGHM_OK;
}

fghm_status fghm_focal_get_alpha(const fghm_focal *focal, double *alpha, int32_t *enabled) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(alpha != NULL && enabled != NULL, FGHM_ERROR_NULL_POINTER);
    *alpha = focal->alpha;
    *enabled = focal->alpha_enabled;
    return FGHM_OK;
}

fghm_status fghm_focal_set_positive_weight(fghm_focal *focal, double weight) {
    return set_double(focal, FGHM_FIELD_POSITIVE_WEIGHT, weight);
}

fghm_status fghm_focal_clear_positive_weight(fghm_focal *focal) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    focal->positive_weight = 1;
    focal->positive_weight_set = false;
    fghm_focal_prepare(focal);
    return FGHM_OK;
}

fghm_status fghm_focal_get_positive_weight(const fghm_focal *focal, double *weight, int32_t *set) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(weight != NULL && set != NULL, FGHM_ERROR_NULL_POINTER);
    *weight = focal->positive_weight;
    *set = focal->positive_weight_set;
    return FGHM_OK;
}

/* Settings ------------------------------------------------------------------------- */

fghm_status fghm_focal_set_gamma(fghm_focal *focal, double gamma) {
    return set_double(focal, FGHM_FIELD_GAMMA, gamma);
}

fghm_status fghm_focal_get_gamma(const fghm_focal *focal, double *gamma) {
    return get_double(focal, FGHM_FIELD_GAMMA, gamma);
}

fghm_status fghm_focal_set_reduction(fghm_focal *focal, fghm_reduction reduction) {
    return set_int32(focal, FGHM_FIELD_REDUCTION, reduction);
}

fghm_status fghm_focal_get_reduction(const fghm_focal *focal, fghm_reduction *reduction) {
    return get_int32(focal, FGHM_FIELD_REDUCTION, reduction);
}

fghm_status fghm_focal_set_normalizer(fghm_focal *focal, double normalizer) {
    return set_double(focal, FGHM_FIELD_NORMALIZER, normalizer);
}

fghm_status fghm_focal_get_normalizer(const fghm_focal *focal, double *normalizer) {
    return get_double(focal, FGHM_FIELD_NORMALIZER, normalizer);
}

fghm_status fghm_focal_set_loss_weight(fghm_focal *focal, double loss_weight) {
    return set_double(focal, FGHM_FIELD_LOSS_WEIGHT, loss_weight);
}

fghm_status fghm_focal_get_loss_weight(const fghm_focal *focal, double *loss_weight) {
    return get_double(focal, FGHM_FIELD_LOSS_WEIGHT, loss_weight);
}

fghm_status fghm_focal_set_rule(fghm_focal *focal, fghm_focal_rule rule) {
    return set_int32(focal, FGHM_FIELD_RULE, rule);
}

fghm_status fghm_focal_get_rule(const fghm_focal *focal, fghm_focal_rule *rule) {
    return get_int32(focal, FGHM_FIELD_RULE, rule);
}

fghm_status fghm_focal_set_hessian_mode(fghm_focal *focal, fghm_hessian_mode mode) {
    return set_int32(focal, FGHM_FIELD_HESSIAN_MODE, mode);
}

fghm_status fghm_focal_get_hessian_mode(const fghm_focal *focal, fghm_hessian_mode *mode) {
    return get_int32(focal, FGHM_FIELD_HESSIAN_MODE, mode);
}

fghm_status fghm_focal_set_hessian_floor(fghm_focal *focal, double floor) {
    return set_double(focal, FGHM_FIELD_HESSIAN_FLOOR, floor);
}

fghm_status fghm_focal_get_hessian_floor(const fghm_focal *focal, double *floor) {
    return get_double(focal, FGHM_FIELD_HESSIAN_FLOOR, floor);
}

fghm_status fghm_focal_set_hessian_factor(fghm_focal *focal, double factor) {
    return set_double(focal, FGHM_FIELD_HESSIAN_FACTOR, factor);
}

fghm_status fghm_focal_get_hessian_factor(const fghm_focal *focal, double *factor) {
    return get_double(focal, FGHM_FIELD_HESSIAN_FACTOR, factor);
}

fghm_status fghm_focal_set_detached(fghm_focal *focal, int32_t detached) {
    return set_int32(focal, FGHM_FIELD_DETACHED, detached);
}

fghm_status fghm_focal_get_detached(const fghm_focal *focal, int32_t *detached) {
    return get_int32(focal, FGHM_FIELD_DETACHED, detached);
}

fghm_status fghm_focal_set_beta(fghm_focal *focal, double beta) {
    return set_double(focal, FGHM_FIELD_BETA, beta);
}

fghm_status fghm_focal_set_margin(fghm_focal *focal, double margin) {
    return set_double(focal, FGHM_FIELD_MARGIN, margin);
}

fghm_status fghm_focal_get_margin(const fghm_focal *focal, double *margin) {
    return get_double(focal, FGHM_FIELD_MARGIN, margin);
}

fghm_status fghm_focal_get_beta(const fghm_focal *focal, double *beta) {
    return get_double(focal, FGHM_FIELD_BETA, beta);
}
