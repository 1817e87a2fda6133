/* SPDX-License-Identifier: MIT */
#ifndef FGHM_FOCAL_CALLS_H
#define FGHM_FOCAL_CALLS_H

/* The one way to a focal loss over a batch, which the public calls share. */

#include "focal_handle.h"
#include "focalghm/batch.h"
#include "focalghm/pool.h"
#include "report.h"

/* fghm_focal_batch, with the numbers of the result in *value.  `result` (or NULL) is where they
 * will go, `loss` (or NULL) where one of them will. */
fghm_status fghm_focal_compute_batch(const fghm_focal *focal, fghm_pool *pool,
                                     const fghm_batch *batch, const fghm_result *result,
                                     const double *loss, fghm_result *value,
                                     struct fghm_report *report);

#endif
