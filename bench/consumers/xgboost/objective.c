/* SPDX-License-Identifier: MIT */
#include "objective.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boosting.h"

void require_xgboost(int result, const char *call) {
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", call, XGBGetLastError());
        exit(EXIT_FAILURE);
    }
}

double best_constant(const fghm_focal *focal, double positives, double negatives) {
    double logit = 0.0;
    require_focal(fghm_focal_best_constant(focal, positives, negatives, &logit),
                  "fghm_focal_best_constant");
    return logit;
}

void start_from(double logit, DMatrixHandle matrix, size_t count) {
    float *base = malloc(count * sizeof *base);
    if (base == NULL) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        base[i] = (float)logit;
    }
    require_xgboost(XGDMatrixSetFloatInfo(matrix, "base_margin", base, count),
                    "XGDMatrixSetFloatInfo");
    free(base);
}

float *predict_margins(BoosterHandle booster, DMatrixHandle matrix, size_t count) {
    const int margins_not_probabilities = 1;
    bst_ulong length = 0;
    const float *predictions = NULL;
    require_xgboost(
        XGBoosterPredict(booster, matrix, margins_not_probabilities, 0, 0, &length, &predictions),
        "XGBoosterPredict");
    /* The array is XGBoost's and does not outlive its next call. */
    float *margins = malloc(count * sizeof *margins);
    if (margins == NULL || length != count) {
        abort();
    }
    memcpy(margins, predictions, count * sizeof *margins);
    return margins;
}

void boost_with_focal(const fghm_focal *focal, BoosterHandle booster, DMatrixHandle matrix,
                      size_t count, const float *labels, float *margins, float *gradient,
                      float *hessian) {
    float *now = predict_margins(booster, matrix, count);
    memcpy(margins, now, count * sizeof *margins);
    free(now);
    require_focal(
        fghm_focal_f32(focal, NULL, count, margins, labels, NULL, NULL, NULL, gradient, hessian),
        "fghm_focal_f32");
    require_xgboost(XGBoosterBoostOneIter(booster, matrix, gradient, hessian, count),
                    "XGBoosterBoostOneIter");
}
