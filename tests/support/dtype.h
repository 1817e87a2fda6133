/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_DTYPE_H
#define TESTS_SUPPORT_DTYPE_H

#include <stddef.h>

#include <focalghm/focalghm.h>
#include <mpfr.h>

#include "random.h"
#include "wide.h"

/* One element type with the library's functions for it, so that a test is
 * written once and run for float and for double.  A value travels as a double,
 * which holds every float. */
struct dtype {
    const char *name;
    size_t size;
    const struct wide_format *format;
    double min_normal;
    double sum_bound; /* the promised relative error of a sum */
    fghm_status (*focal)(const fghm_focal *focal, fghm_pool *pool, size_t n, const void *logits,
                         const void *targets, const void *weights, double *loss, void *element_loss,
                         void *gradient, void *hessian);
    fghm_status (*ghm)(fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                       const void *targets, const void *mask, double *loss, void *element_loss,
                       void *gradient, void *hessian);
    fghm_status (*ghm_count)(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                             const void *targets, const void *mask, size_t capacity,
                             uint64_t *counts);
    fghm_status (*ghm_apply)(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const void *inputs,
                             const void *targets, const void *mask, double *loss,
                             void *element_loss, void *gradient, void *hessian);
    double (*get)(const void *array, size_t i);
    void (*put)(void *array, size_t i, double value); /* rounds to the type */
    double (*next)(double value, double towards);     /* the neighbour in the type */
    double (*any)(struct random *r);                  /* any finite bit pattern */
};

#define DTYPE_COUNT 2
extern const struct dtype dtypes[DTYPE_COUNT];

/* The type in a descriptor. */
fghm_dtype dtype_of(const struct dtype *d);

/* The value as the type holds it. */
double dtype_round(const struct dtype *d, double value);

/* An array of n elements, all 0; ends the program if there is no memory. */
void *dtype_array(const struct dtype *d, size_t n);

/* The first place where the arrays differ in a bit, or n.  Any NaN equals any
 * other: which bits a NaN has is not promised. */
size_t dtype_first_difference(const struct dtype *d, const void *a, const void *b, size_t n);

/* One element of an array as a byte address. */
void *dtype_at(const struct dtype *d, void *array, size_t i);

#endif
