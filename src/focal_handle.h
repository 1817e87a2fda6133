/* SPDX-License-Identifier: MIT */
#ifndef FGHM_FOCAL_HANDLE_H
#define FGHM_FOCAL_HANDLE_H

#include <stdbool.h>

#include "focalghm/focal.h"

struct fghm_focal {
    double gamma, negative_gamma;
    double alpha;
    bool alpha_enabled;
    double loss_weight;
    fghm_reduction reduction;
    double normalizer;
    fghm_rule rule;
    fghm_hessian_mode hessian;
    double hessian_floor;
};

#endif
