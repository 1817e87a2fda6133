/* SPDX-License-Identifier: MIT */
/* Included by the file of each type: gathers the walks, all static, into the one symbol that its
 * object exports. */

#include "walk/ghm_walk.h"
#include "walk/survey.h"

const struct fghm_walk FGHM_WALK = {
    .survey = survey,
    .survey_weights = survey_weights,
    .focal_span = focal_span,
    .focal = focal,
    .ghm_count = ghm_count,
    .ghm_apply = ghm_apply,
};
