/* SPDX-License-Identifier: MIT */
#ifndef CONSUMERS_BOOSTING_H
#define CONSUMERS_BOOSTING_H

#include <focalghm/focalghm.h>

/* Ends the program with the message of the status unless it is FGHM_OK. */
void require_focal(fghm_status status, const char *call);

/* A configuration for boosting: no alpha, and a sum, not a mean, since a boosting
 * library sums over the examples of a leaf by itself. */
fghm_focal *boosting_focal(double gamma, fghm_hessian_mode hessian, double floor);

#endif
