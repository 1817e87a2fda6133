/* SPDX-License-Identifier: MIT */
#include "objective.h"

#include <stdio.h>
#include <stdlib.h>

#include "boosting.h"

void require_lightgbm(int result, const char *call) {
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", call, LGBM_GetLastError());
        exit(EXIT_FAILURE);
    }
}

void start_from_best_constants(const fghm_focal *focal, DatasetHandle dataset,
                               const struct examples *examples, double *start) {
    const size_t count = examples->count;
    double *scores = malloc(examples->classes * count * sizeof *scores);
    if (scores == NULL) {
        abort();
    }
    for (size_t c = 0; c < examples->classes; c++) {
        double positives = 0.0;
        for (size_t i = 0; i < count; i++) {
            positives += examples->labels[i] == (int32_t)c;
        }
        require_focal(
            fghm_focal_best_constant(focal, positives, (double)count - positives, &start[c]),
            "fghm_focal_best_constant");
        for (size_t i = 0; i < count; i++) {
            scores[c * count + i] = start[c];
        }
    }
    require_lightgbm(LGBM_DatasetSetField(dataset, "init_score", scores,
                                          (int)(examples->classes * count), C_API_DTYPE_FLOAT64),
                     "LGBM_DatasetSetField");
    free(scores);
}

/* LightGBM keeps the scores of one class together and in double, and wants gradients in
 * the same order and in float: a batch whose first axis is that of the classes. */
void boost_with_focal(const fghm_focal *focal, BoosterHandle booster,
                      const struct examples *examples, double *scores, float *gradient,
                      float *hessian) {
    int64_t length = 0;
    require_lightgbm(LGBM_BoosterGetPredict(booster, 0, &length, scores), "LGBM_BoosterGetPredict");
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.class_axis = 0;
    batch.shape[0] = (int64_t)examples->classes;
    batch.shape[1] = (int64_t)examples->count;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.logits = (fghm_input){.data = scores, .dtype = FGHM_F64};
    batch.targets = (fghm_input){.data = examples->labels, .dtype = FGHM_I32};
    batch.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F32};
    batch.hessian = (fghm_output){.data = hessian, .dtype = FGHM_F32};
    require_focal(fghm_focal_batch(focal, NULL, &batch, NULL), "fghm_focal_batch");
    int is_finished = 0;
    require_lightgbm(LGBM_BoosterUpdateOneIterCustom(booster, gradient, hessian, &is_finished),
                     "LGBM_BoosterUpdateOneIterCustom");
}
