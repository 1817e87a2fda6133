/* SPDX-License-Identifier: MIT */
#ifndef FGHM_FOCAL_HANDLE_H
#define FGHM_FOCAL_HANDLE_H

/* The handle of the focal loss, for the files that compute with it. */

#include <stdbool.h>

#include "focalghm/focal.h"
#include "report.h"
#include "walk/walk.h"

/* The alpha of a new handle.  Softmax has no alpha, and takes this one, and none, for one
 * that nobody has set. */
#define FGHM_ALPHA_DEFAULT 0.25

struct fghm_focal {
    double gamma;
    double negative_gamma; /* looked at only if it is set; else that of negatives is gamma */
    bool negative_gamma_set;
    bool alpha_enabled;
    double alpha;
    double loss_weight;
    fghm_reduction reduction;
    double normalizer;
    fghm_focal_rule rule;
    fghm_hessian_mode hessian_mode;
    double hessian_floor;
    double hessian_factor;
    int32_t detached;
    double beta;
    double margin;
    struct double_sum margin_logit; /* follows from it, where it is not 0 */
    bool positive_weight_set;
    double positive_weight; /* looked at only if it is set */
    /* What follows from these, so that small calls need not find it out: whether the rule can have
     * the gammas that are set, and if so, the plans of contiguous logits but for their batches
     * and divisors. */
    fghm_status rule_status;
    struct fghm_focal_losses prepared_f32, prepared_f64;
};

/* To be called when a setting has changed. */
void fghm_focal_prepare(fghm_focal *focal);

/* log(p / (1 - p)), with an error of 2^-53. */
struct double_sum fghm_focal_logit_of(double p);

/* The gamma of negatives that is in force. */
static inline double fghm_focal_negative_gamma(const fghm_focal *focal) {
    return focal->negative_gamma_set ? focal->negative_gamma : focal->gamma;
}

static inline bool fghm_focal_has_two_gammas(const fghm_focal *focal) {
    return focal->negative_gamma_set && focal->negative_gamma != focal->gamma;
}

static inline bool fghm_focal_is_varifocal(const fghm_focal *focal) {
    return focal->rule == FGHM_FOCAL_RULE_VARIFOCAL ||
           focal->rule == FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED ||
           focal->rule == FGHM_FOCAL_RULE_MATCHABILITY;
}

/* What the settings make of targets 1 and 0: the exponent of the focal factor and a_t. */
struct fghm_focal_side {
    double gamma, factor;
};
struct fghm_focal_side fghm_focal_positives(const fghm_focal *focal);
struct fghm_focal_side fghm_focal_negatives(const fghm_focal *focal);

/* FGHM_ERROR_COMBINATION if settings do not go together, with their fields. */
fghm_status fghm_focal_check_settings(const fghm_focal *focal, struct fghm_report *report);

#endif
