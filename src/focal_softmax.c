/* SPDX-License-Identifier: MIT */
/* Contiguous rows of logits with a label each: a batch, described for the caller, so that the two
 * calls cannot differ. */
#include <stdbool.h>

#include "check.h"
#include "focal_calls.h"

/* One call: the caller's arrays. */
struct rows {
    size_t samples, classes;
    fghm_dtype dtype;
    const void *logits;
    const int64_t *labels;
    int64_t ignore_index;
    const void *weights;
    double *loss;
    void *element_loss, *gradient, *hessian;
};

static fghm_batch batch_of(const struct rows *rows) {
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = (int64_t)rows->samples;
    batch.shape[1] = (int64_t)rows->classes;
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.ignore_index = rows->ignore_index;
    batch.logits = (fghm_input){.data = rows->logits, .dtype = rows->dtype};
    batch.targets = (fghm_input){.data = rows->labels, .dtype = FGHM_I64};
    batch.weights = (fghm_input){.data = rows->weights, .dtype = rows->dtype};
    batch.element_loss = (fghm_output){.data = rows->element_loss, .dtype = rows->dtype};
    batch.gradient = (fghm_output){.data = rows->gradient, .dtype = rows->dtype};
    batch.hessian = (fghm_output){.data = rows->hessian, .dtype = rows->dtype};
    return batch;
}

static fghm_status softmax(const fghm_focal *focal, fghm_pool *pool, const struct rows *rows) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rows->loss != NULL || rows->element_loss != NULL || rows->gradient != NULL ||
                     rows->hessian != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    FGHM_REQUIRE(rows->classes > 0, FGHM_ERROR_RANGE);
    FGHM_REQUIRE(rows->samples <= PTRDIFF_MAX / sizeof(double) / rows->classes, FGHM_ERROR_SIZE);
    const fghm_batch batch = batch_of(rows);
    fghm_result value = FGHM_RESULT_INIT;
    struct fghm_report report;
    FGHM_TRY(fghm_focal_compute_batch(focal, pool, &batch, NULL, rows->loss, &value, &report));
    if (rows->loss != NULL) {
        *rows->loss = value.loss;
    }
    return FGHM_OK;
}

fghm_status fghm_focal_softmax_f32(const fghm_focal *focal, fghm_pool *pool, size_t samples,
                                   size_t classes, const float *logits, const int64_t *labels,
                                   int64_t ignore_index, const float *weights, double *loss,
                                   float *element_loss, float *gradient, float *hessian) {
    const struct rows rows = {samples, classes, FGHM_F32,     logits,   labels, ignore_index,
                              weights, loss,    element_loss, gradient, hessian};
    return softmax(focal, pool, &rows);
}

fghm_status fghm_focal_softmax_f64(const fghm_focal *focal, fghm_pool *pool, size_t samples,
                                   size_t classes, const double *logits, const int64_t *labels,
                                   int64_t ignore_index, const double *weights, double *loss,
                                   double *element_loss, double *gradient, double *hessian) {
    const struct rows rows = {samples, classes, FGHM_F64,     logits,   labels, ignore_index,
                              weights, loss,    element_loss, gradient, hessian};
    return softmax(focal, pool, &rows);
}
