/* SPDX-License-Identifier: MIT */
#include "dtype.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fghm_status focal_f32(const fghm_focal *focal, fghm_pool *pool, size_t n, const void *logits,
                             const void *targets, const void *weights, double *loss,
                             void *element_loss, void *gradient, void *hessian) {
    return fghm_focal_f32(focal, pool, n, logits, targets, weights, loss, element_loss, gradient,
                          hessian);
}

static fghm_status focal_f64(const fghm_focal *focal, fghm_pool *pool, size_t n, const void *logits,
                             const void *targets, const void *weights, double *loss,
                             void *element_loss, void *gradient, void *hessian) {
    return fghm_focal_f64(focal, pool, n, logits, targets, weights, loss, element_loss, gradient,
                          hessian);
}

static fghm_status ghm_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                           const void *targets, const void *mask, double *loss, void *element_loss,
                           void *gradient, void *hessian) {
    return fghm_ghm_step_f32(ghm, pool, n, inputs, targets, mask, loss, element_loss, gradient,
                             hessian);
}

static fghm_status ghm_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                           const void *targets, const void *mask, double *loss, void *element_loss,
                           void *gradient, void *hessian) {
    return fghm_ghm_step_f64(ghm, pool, n, inputs, targets, mask, loss, element_loss, gradient,
                             hessian);
}

static fghm_status ghm_count_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                                 const void *targets, const void *mask, size_t capacity,
                                 uint64_t *counts) {
    return fghm_ghm_count_f32(ghm, pool, n, inputs, targets, mask, capacity, counts);
}

static fghm_status ghm_apply_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                                 const void *targets, const void *mask, double *loss,
                                 void *element_loss, void *gradient, void *hessian) {
    return fghm_ghm_apply_f32(ghm, pool, n, inputs, targets, mask, loss, element_loss, gradient,
                              hessian);
}

static fghm_status ghm_count_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                                 const void *targets, const void *mask, size_t capacity,
                                 uint64_t *counts) {
    return fghm_ghm_count_f64(ghm, pool, n, inputs, targets, mask, capacity, counts);
}

static fghm_status ghm_apply_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                                 const void *targets, const void *mask, double *loss,
                                 void *element_loss, void *gradient, void *hessian) {
    return fghm_ghm_apply_f64(ghm, pool, n, inputs, targets, mask, loss, element_loss, gradient,
                              hessian);
}

/* memcpy, for arrays may lie at any address of the element's alignment and,
 * in byte buffers, have no declared type. */
static double get_f32(const void *array, size_t i) {
    float x;
    memcpy(&x, (const unsigned char *)array + i * sizeof x, sizeof x);
    return (double)x;
}

static double get_f64(const void *array, size_t i) {
    double x;
    memcpy(&x, (const unsigned char *)array + i * sizeof x, sizeof x);
    return x;
}

static void put_f32(void *array, size_t i, double value) {
    float x = (float)value;
    memcpy((unsigned char *)array + i * sizeof x, &x, sizeof x);
}

static void put_f64(void *array, size_t i, double value) {
    memcpy((unsigned char *)array + i * sizeof value, &value, sizeof value);
}

static double next_f32(double value, double towards) {
    return (double)nextafterf((float)value, (float)towards);
}

static double next_f64(double value, double towards) {
    return nextafter(value, towards);
}

static double any_f32(struct random *r) {
    return (double)random_any_f32(r);
}

const struct dtype dtypes[DTYPE_COUNT] = {
    {"f32", sizeof(float), &wide_f32, (double)FLT_MIN, 0x1p-22, focal_f32, ghm_f32, ghm_count_f32,
     ghm_apply_f32, get_f32, put_f32, next_f32, any_f32},
    {"f64", sizeof(double), &wide_f64, DBL_MIN, 0x1p-48, focal_f64, ghm_f64, ghm_count_f64,
     ghm_apply_f64, get_f64, put_f64, next_f64, random_any_f64},
};

fghm_dtype dtype_of(const struct dtype *d) {
    return d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
}

double dtype_round(const struct dtype *d, double value) {
    double cell = 0.0;
    d->put(&cell, 0, value);
    return d->get(&cell, 0);
}

void *dtype_array(const struct dtype *d, size_t n) {
    void *array = calloc(n + 1, d->size);
    if (array == NULL) {
        perror("calloc");
        abort();
    }
    return array;
}

size_t dtype_first_difference(const struct dtype *d, const void *a, const void *b, size_t n) {
    const unsigned char *p = a, *q = b;
    for (size_t i = 0; i < n; i++) {
        int same = memcmp(p + i * d->size, q + i * d->size, d->size) == 0;
        if (!same && !(isnan(d->get(a, i)) && isnan(d->get(b, i)))) {
            return i;
        }
    }
    return n;
}

void *dtype_at(const struct dtype *d, void *array, size_t i) {
    return (unsigned char *)array + i * d->size;
}
