/* SPDX-License-Identifier: MIT */
/* The gradient density of the paper, without the histogram that approximates it. */
#include "ghm_handle.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "plan.h"

/* A valid element: its norm, and where it stands. */
struct norm {
    double value;
    size_t index;
};

/* One call: the caller's arrays in their type. */
struct density {
    const fghm_ghm *ghm;
    const float *f32[3]; /* inputs, targets, mask, or NULL */
    const double *f64[3];
    float *weights_f32;
    double *weights_f64;
};

static double element(const struct density *call, int array, size_t i) {
    return call->f64[0] != NULL ? call->f64[array][i] : (double)call->f32[array][i];
}

static bool is_valid(const struct density *call, size_t i) {
    const bool has_mask = call->f64[0] != NULL ? call->f64[2] != NULL : call->f32[2] != NULL;
    return !has_mask || element(call, 2, i) > 0;
}

static void set_weight(const struct density *call, size_t i, double weight) {
    if (call->weights_f64 != NULL) {
        call->weights_f64[i] = weight;
    } else {
        call->weights_f32[i] = (float)weight;
    }
}

/* |sigmoid(x) - t|. */
static double norm_of(double x, double t) {
    const double e = exp(-fabs(x));
    const double small = e / (1 + e);
    const double large = 1 / (1 + e);
    const double from_0 = x > 0 ? large : small;
    const double from_1 = x > 0 ? small : large;
    return t == 0 ? from_0 : t == 1 ? from_1 : fabs(from_0 - t);
}

static int compare(const void *left, const void *right) {
    const double a = ((const struct norm *)left)->value;
    const double b = ((const struct norm *)right)->value;
    return (a > b) - (a < b);
}

/* Weights from norms in rising order: the window's ends go up with its middle. */
static void weigh(const struct density *call, const struct norm *norms, size_t count,
                  uint64_t total) {
    const double width = 1 / (double)call->ghm->bins;
    size_t first = 0;
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const double low = norms[i].value - width / 2;
        const double high = norms[i].value + width / 2;
        while (norms[first].value < low) {
            first++;
        }
        while (end < count && norms[end].value < high) {
            end++;
        }
        const double length = width - fmax(high - 1, 0) - fmax(-low, 0);
        const double weight = (double)total * length / (double)(end - first);
        set_weight(call, norms[i].index, fmin(weight, call->ghm->settings.weight_cap));
    }
}

static fghm_status density(const struct density *call, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const double t = element(call, 1, i);
        FGHM_REQUIRE(!is_valid(call, i) || !(t < 0 || t > 1), FGHM_ERROR_TARGET);
        total += is_valid(call, i);
    }
    struct norm *const norms = malloc((total > 0 ? total : 1) * sizeof *norms);
    FGHM_REQUIRE(norms != NULL, FGHM_ERROR_MEMORY);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const double value =
            is_valid(call, i) ? norm_of(element(call, 0, i), element(call, 1, i)) : (double)NAN;
        if (value == value) {
            norms[count++] = (struct norm){value, i};
        }
        set_weight(call, i, 0);
    }
    qsort(norms, count, sizeof *norms, compare);
    weigh(call, norms, count, total);
    free(norms);
    return FGHM_OK;
}

static fghm_status check(const fghm_ghm *ghm, const struct fghm_span *span, size_t real_size) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(ghm->kind == FGHM_GHM_CLASSIFICATION, FGHM_ERROR_KIND);
    FGHM_REQUIRE(span->n == 0 || span->element_loss != NULL, FGHM_ERROR_NULL_POINTER);
    struct fghm_plan plan;
    FGHM_TRY(fghm_plan_of_span(span, real_size == sizeof(double), NULL, &plan));
    /* Weights are cleared while inputs are still needed. */
    FGHM_REQUIRE(span->n == 0 ||
                     (span->element_loss != span->logits && span->element_loss != span->targets &&
                      span->element_loss != span->weights),
                 FGHM_ERROR_ALIASING);
    return FGHM_OK;
}

fghm_status fghm_ghm_density_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                 const float *inputs, const float *targets, const float *mask,
                                 float *weights) {
    (void)pool; /* sorting is one thread's work */
    const struct fghm_span span = {n, inputs, targets, mask, weights, NULL, NULL};
    const fghm_status status = check(ghm, &span, sizeof(float));
    FGHM_REQUIRE(status == FGHM_OK, status);
    const struct density call = {
        .ghm = ghm, .f32 = {inputs, targets, mask}, .weights_f32 = weights};
    return density(&call, n);
}

fghm_status fghm_ghm_density_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                 const double *inputs, const double *targets, const double *mask,
                                 double *weights) {
    (void)pool; /* sorting is one thread's work */
    const struct fghm_span span = {n, inputs, targets, mask, weights, NULL, NULL};
    const fghm_status status = check(ghm, &span, sizeof(double));
    FGHM_REQUIRE(status == FGHM_OK, status);
    const struct density call = {
        .ghm = ghm, .f64 = {inputs, targets, mask}, .weights_f64 = weights};
    return density(&call, n);
}
