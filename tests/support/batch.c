/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

const char *const output_names[OUTPUTS] = {"element_loss", "gradient", "hessian"};

struct batch batch_new(const struct dtype *d, size_t n) {
    struct batch b = {d, n, dtype_array(d, n), dtype_array(d, n), NULL, {NULL, NULL, NULL}, 0.0};
    for (int k = 0; k < OUTPUTS; k++) {
        b.out[k] = dtype_array(d, n);
    }
    return b;
}

struct batch batch_twin(const struct batch *b) {
    struct batch twin = batch_new(b->d, b->n);
    memcpy(twin.logits, b->logits, b->n * b->d->size);
    memcpy(twin.targets, b->targets, b->n * b->d->size);
    if (b->weights != NULL) {
        twin.weights = dtype_array(b->d, b->n);
        memcpy(twin.weights, b->weights, b->n * b->d->size);
    }
    return twin;
}

void batch_free(struct batch *b) {
    free(b->logits);
    free(b->targets);
    free(b->weights);
    for (int k = 0; k < OUTPUTS; k++) {
        free(b->out[k]);
    }
    memset(b, 0, sizeof *b);
}

void batch_put(struct batch *b, size_t i, double logit, double target) {
    b->d->put(b->logits, i, logit);
    b->d->put(b->targets, i, target);
}

bool batch_is_valid(const struct batch *b, size_t i) {
    return b->weights == NULL || b->d->get(b->weights, i) > 0.0;
}

fghm_status batch_focal(struct batch *b, const fghm_focal *focal, fghm_pool *pool) {
    return b->d->focal(focal, pool, b->n, b->logits, b->targets, b->weights, &b->loss,
                       b->out[ELEMENT_LOSS], b->out[GRADIENT], b->out[HESSIAN]);
}

fghm_status batch_ghm(struct batch *b, fghm_ghm *ghm, fghm_pool *pool) {
    return b->d->ghm(ghm, pool, b->n, b->logits, b->targets, b->weights, &b->loss,
                     b->out[ELEMENT_LOSS], b->out[GRADIENT], b->out[HESSIAN]);
}

bool batch_is_same(const struct batch *a, const struct batch *b) {
    for (int o = 0; o < OUTPUTS; o++) {
        if (dtype_first_difference(a->d, a->out[o], b->out[o], a->n) < a->n) {
            return false;
        }
    }
    return memcmp(&a->loss, &b->loss, sizeof a->loss) == 0;
}

void batch_assert_same(const struct batch *a, const struct batch *b) {
    assert_int_equal(a->n, b->n);
    for (int k = 0; k < OUTPUTS; k++) {
        size_t i = dtype_first_difference(a->d, a->out[k], b->out[k], a->n);
        if (i < a->n) {
            fail_msg("%s %s[%zu of %zu]: %a and %a for logit %a target %a", a->d->name,
                     output_names[k], i, a->n, a->d->get(a->out[k], i), b->d->get(b->out[k], i),
                     a->d->get(a->logits, i), a->d->get(a->targets, i));
        }
    }
    if (memcmp(&a->loss, &b->loss, sizeof a->loss) != 0 && !(isnan(a->loss) && isnan(b->loss))) {
        fail_msg("%s loss of %zu: %a and %a", a->d->name, a->n, a->loss, b->loss);
    }
}

fghm_focal *focal_handle(double gamma, double alpha, fghm_reduction reduction) {
    fghm_focal *focal = NULL;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, gamma), FGHM_OK);
    if (alpha == WIDE_ALPHA_OFF) {
        assert_int_equal(fghm_focal_clear_alpha(focal), FGHM_OK);
    } else {
        assert_int_equal(fghm_focal_set_alpha(focal, alpha), FGHM_OK);
    }
    assert_int_equal(fghm_focal_set_reduction(focal, reduction), FGHM_OK);
    return focal;
}

static fghm_ghm *handle_of_kind(fghm_ghm_kind kind, size_t bins, fghm_reduction reduction) {
    fghm_ghm *ghm = NULL;
    assert_int_equal(fghm_ghm_create(&ghm, kind), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, bins), FGHM_OK);
    assert_int_equal(fghm_ghm_set_reduction(ghm, reduction), FGHM_OK);
    return ghm;
}

fghm_ghm *ghmc_handle(size_t bins, fghm_reduction reduction) {
    return handle_of_kind(FGHM_GHM_CLASSIFICATION, bins, reduction);
}

fghm_ghm *ghmr_handle(size_t bins, fghm_reduction reduction) {
    return handle_of_kind(FGHM_GHM_REGRESSION, bins, reduction);
}

fghm_pool *pool_of(size_t threads) {
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create(&pool, threads), FGHM_OK);
    assert_non_null(pool);
    return pool;
}
