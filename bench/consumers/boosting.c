/* SPDX-License-Identifier: MIT */
#include "boosting.h"

#include <stdio.h>
#include <stdlib.h>

void require_focal(fghm_status status, const char *call) {
    if (status != FGHM_OK) {
        fprintf(stderr, "%s: %s\n", call, fghm_status_string(status));
        exit(EXIT_FAILURE);
    }
}

fghm_focal *boosting_focal(double gamma, fghm_hessian_mode hessian, double floor) {
    fghm_focal *focal = NULL;
    require_focal(fghm_focal_create(&focal), "fghm_focal_create");
    require_focal(fghm_focal_set_gamma(focal, gamma), "fghm_focal_set_gamma");
    require_focal(fghm_focal_clear_alpha(focal), "fghm_focal_clear_alpha");
    require_focal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM), "fghm_focal_set_reduction");
    require_focal(fghm_focal_set_hessian_mode(focal, hessian), "fghm_focal_set_hessian_mode");
    require_focal(fghm_focal_set_hessian_floor(focal, floor), "fghm_focal_set_hessian_floor");
    return focal;
}
