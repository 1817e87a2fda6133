/* SPDX-License-Identifier: MIT */
/* Contiguous rows of logits with a label each: a batch, described for the caller. */
#include <stdbool.h>

#include "check.h"
#include "focal_handle.h"
#include "range.h"

/* The batch knows nothing of `loss`, which has to be somewhere else than its arrays. */
static bool is_apart(const double *loss, const fghm_batch *batch, size_t real_size) {
    const size_t samples = batch->outer * real_size;
    const size_t elements = samples * batch->classes;
    const struct fghm_range arrays[] = {
        fghm_range_of(batch->logits.data, elements),
        fghm_range_of(batch->targets.data, batch->outer * sizeof(int64_t)),
        fghm_range_of(batch->weights.data, samples),
        fghm_range_of(batch->element_loss.data, samples),
        fghm_range_of(batch->gradient.data, elements),
        fghm_range_of(batch->hessian.data, elements)};
    bool apart = true;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        apart = apart && !fghm_ranges_overlap(fghm_range_of(loss, sizeof *loss), arrays[i]);
    }
    return apart;
}

static fghm_status softmax(const fghm_focal *focal, fghm_pool *pool, const fghm_batch *batch,
                           size_t real_size, double *loss) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss != NULL || batch->element_loss.data != NULL || batch->gradient.data != NULL ||
                     batch->hessian.data != NULL,
                 FGHM_ERROR_NO_OUTPUT);
    FGHM_REQUIRE(batch->classes > 0, FGHM_ERROR_RANGE);
    FGHM_REQUIRE(batch->outer <= PTRDIFF_MAX / sizeof(double) / batch->classes, FGHM_ERROR_SIZE);
    fghm_result result = {.size = sizeof result};
    FGHM_REQUIRE(loss == NULL || batch->outer == 0 || is_apart(loss, batch, real_size),
                 FGHM_ERROR_ALIASING);
    const fghm_status status = fghm_focal_batch(focal, pool, batch, &result);
    if (status == FGHM_OK && loss != NULL) {
        *loss = result.loss;
    }
    return status;
}

static fghm_batch batch_of(size_t samples, size_t classes, fghm_dtype dtype, const void *logits,
                           const int64_t *labels, int64_t ignore_index, const void *weights,
                           void *element_loss, void *gradient, void *hessian) {
    return (fghm_batch){
        .size = sizeof(fghm_batch),
        .outer = samples,
        .classes = classes,
        .inner = 1,
        .activation = FGHM_ACTIVATION_SOFTMAX,
        .target_form = FGHM_TARGET_LABEL,
        .ignoring = ignore_index != FGHM_IGNORE_NONE,
        .ignore_index = ignore_index,
        .logits = {.data = logits, .dtype = dtype},
        .targets = {.data = labels, .dtype = FGHM_I64},
        .weights = {.data = weights, .dtype = dtype},
        .element_loss = {.data = element_loss, .dtype = dtype},
        .gradient = {.data = gradient, .dtype = dtype},
        .hessian = {.data = hessian, .dtype = dtype},
    };
}

fghm_status fghm_focal_softmax_f32(const fghm_focal *focal, fghm_pool *pool, size_t samples,
                                   size_t classes, const float *logits, const int64_t *labels,
                                   int64_t ignore_index, const float *weights, double *loss,
                                   float *element_loss, float *gradient, float *hessian) {
    const fghm_batch batch = batch_of(samples, classes, FGHM_F32, logits, labels, ignore_index,
                                      weights, element_loss, gradient, hessian);
    return softmax(focal, pool, &batch, sizeof(float), loss);
}

fghm_status fghm_focal_softmax_f64(const fghm_focal *focal, fghm_pool *pool, size_t samples,
                                   size_t classes, const double *logits, const int64_t *labels,
                                   int64_t ignore_index, const double *weights, double *loss,
                                   double *element_loss, double *gradient, double *hessian) {
    const fghm_batch batch = batch_of(samples, classes, FGHM_F64, logits, labels, ignore_index,
                                      weights, element_loss, gradient, hessian);
    return softmax(focal, pool, &batch, sizeof(double), loss);
}
