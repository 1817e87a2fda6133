/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_BATCH_H
#define TESTS_SUPPORT_BATCH_H

#include <stdbool.h>

#include "dtype.h"

enum { ELEMENT_LOSS, GRADIENT, HESSIAN, OUTPUTS };

extern const char *const output_names[OUTPUTS];

/* n elements of one type and room for their results. */
struct batch {
    const struct dtype *d;
    size_t n;
    void *logits, *targets;
    void *weights; /* or the mask; NULL unless a test sets it */
    void *out[OUTPUTS];
    double loss;
};

struct batch batch_new(const struct dtype *d, size_t n);
/* The inputs of another one, and results of its own. */
struct batch batch_twin(const struct batch *b);
void batch_free(struct batch *b);

void batch_put(struct batch *b, size_t i, double logit, double target);

/* Whether a mask leaves element i in. */
bool batch_is_valid(const struct batch *b, size_t i);

/* All results of the batch in one call. */
fghm_status batch_focal(struct batch *b, const fghm_focal *focal, fghm_pool *pool);
fghm_status batch_ghm(struct batch *b, fghm_ghm *ghm, fghm_pool *pool);

/* Whether both have the same bits in every result and in the loss. */
bool batch_is_same(const struct batch *a, const struct batch *b);

/* Fails the running test unless both have the same bits in every result and in
 * the loss. */
void batch_assert_same(const struct batch *a, const struct batch *b);

/* A focal handle with alpha WIDE_ALPHA_OFF for off; fails the test on errors. */
fghm_focal *focal_handle(double gamma, double alpha, fghm_reduction reduction);
/* GHM handles for classification and for regression. */
fghm_ghm *ghmc_handle(size_t bins, fghm_reduction reduction);
fghm_ghm *ghmr_handle(size_t bins, fghm_reduction reduction);

/* A pool; fails the test on errors. */
fghm_pool *pool_of(size_t threads);

#endif
