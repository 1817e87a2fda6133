/* SPDX-License-Identifier: MIT */
#ifndef CONSUMERS_XGBOOST_OBJECTIVE_H
#define CONSUMERS_XGBOOST_OBJECTIVE_H

#include <stddef.h>

#include <focalghm/focalghm.h>
#include <xgboost/c_api.h>

/* Ends the program with the message of the library unless the call succeeded. */
void require_xgboost(int result, const char *call);

/* The best logit to start from, given how many labels are positive and negative. */
double best_constant(const fghm_focal *focal, double positives, double negatives);

/* Makes each of the count examples start from this logit. */
void start_from(double logit, DMatrixHandle matrix, size_t count);

/* The scores before any activation, count of them, to be freed by the caller. */
float *predict_margins(BoosterHandle booster, DMatrixHandle matrix, size_t count);

/* One round of boosting.  gradient and hessian have room for count values and are
 * left as they were handed to XGBoost, margins as they were before the round. */
void boost_with_focal(const fghm_focal *focal, BoosterHandle booster, DMatrixHandle matrix,
                      size_t count, const float *labels, float *margins, float *gradient,
                      float *hessian);

#endif
