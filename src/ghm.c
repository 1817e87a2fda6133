/* SPDX-License-Identifier: MIT */
#include "focalghm/ghm.h"

#include <stdlib.h>
#include <string.h>

#include "bins.h"
#include "check.h"
#include "dispatch.h"
#include "drive.h"

struct fghm_ghm {
    size_t bins;
    fghm_reduction reduction;
    double normalizer;
    struct fghm_bin_tables tables;
    uint64_t *counts;      /* of the last batch */
    uint64_t *next_counts; /* of the batch that is being counted */
    double *weights;       /* of the last batch */
    /* The weights in the type of a call, with one more, 0, for elements in no
     * bin.  Padded to the 16 entries that kernels load whole. */
    float *weights_f32;
    double *weights_f64;
};

#define WEIGHTS_PADDING 16

/* Gives the handle tables and an empty histogram for `bins` bins. */
static fghm_status allocate(fghm_ghm *ghm, size_t bins) {
    ghm->bins = bins;
    if (fghm_bin_tables_make(&ghm->tables, bins) != 0) {
        return FGHM_ERROR_MEMORY;
    }
    const size_t padded = bins + WEIGHTS_PADDING;
    ghm->counts = calloc(bins, sizeof *ghm->counts);
    ghm->next_counts = calloc(bins, sizeof *ghm->next_counts);
    ghm->weights = calloc(bins, sizeof *ghm->weights);
    ghm->weights_f32 = calloc(padded, sizeof *ghm->weights_f32);
    ghm->weights_f64 = calloc(padded, sizeof *ghm->weights_f64);
    return ghm->counts != NULL && ghm->next_counts != NULL && ghm->weights != NULL &&
                   ghm->weights_f32 != NULL && ghm->weights_f64 != NULL
               ? FGHM_OK
               : FGHM_ERROR_MEMORY;
}

static void release(fghm_ghm *ghm) {
    fghm_bin_tables_free(&ghm->tables);
    free(ghm->counts);
    free(ghm->next_counts);
    free(ghm->weights);
    free(ghm->weights_f32);
    free(ghm->weights_f64);
}

fghm_status fghm_ghm_create(fghm_ghm **ghm) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_ghm *const made = calloc(1, sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    made->reduction = FGHM_REDUCTION_MEAN;
    made->normalizer = 1;
    const fghm_status status = allocate(made, 10);
    if (status != FGHM_OK) {
        fghm_ghm_destroy(made);
        return status;
    }
    *ghm = made;
    return FGHM_OK;
}

void fghm_ghm_destroy(fghm_ghm *ghm) {
    if (ghm != NULL) {
        release(ghm);
        free(ghm);
    }
}

fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(bins >= 1 && bins <= FGHM_BINS_MAX, FGHM_ERROR_BINS);
    fghm_ghm changed = {.reduction = ghm->reduction, .normalizer = ghm->normalizer};
    const fghm_status status = allocate(&changed, bins);
    if (status != FGHM_OK) {
        release(&changed);
        return status;
    }
    release(ghm);
    *ghm = changed;
    return FGHM_OK;
}

fghm_status fghm_ghm_get_bins(const fghm_ghm *ghm, size_t *bins) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(bins != NULL, FGHM_ERROR_NULL_POINTER);
    *bins = ghm->bins;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_reduction(reduction), FGHM_ERROR_REDUCTION);
    ghm->reduction = reduction;
    return FGHM_OK;
}

fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(reduction != NULL, FGHM_ERROR_NULL_POINTER);
    *reduction = ghm->reduction;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_normalizer(normalizer), FGHM_ERROR_NORMALIZER);
    ghm->normalizer = normalizer;
    return FGHM_OK;
}

fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(normalizer != NULL, FGHM_ERROR_NULL_POINTER);
    *normalizer = ghm->normalizer;
    return FGHM_OK;
}

/* One call: the tables and weights in its type, and what its segments bring
 * back. */
struct ghm_call {
    const struct fghm_kernels *kernels;
    const struct fghm_bins *bins;
    const void *bin_weights;
    double scale;
    double sums[FGHM_SEGMENTS_MAX];
};

static void apply_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct ghm_call *const call = context;
    call->sums[segment] =
        call->kernels->ghm_apply(call->bins, call->bin_weights, call->scale, part);
}

/* w_b = total / (count_b nonempty), in all three places. */
static void update_weights(fghm_ghm *ghm, uint64_t total) {
    size_t nonempty = 0;
    for (size_t bin = 0; bin < ghm->bins; bin++) {
        nonempty += ghm->counts[bin] > 0;
    }
    for (size_t bin = 0; bin < ghm->bins; bin++) {
        const double count = (double)ghm->counts[bin];
        ghm->weights[bin] = count > 0 ? (double)total / (count * (double)nonempty) : 0;
        ghm->weights_f32[bin] = (float)ghm->weights[bin];
        ghm->weights_f64[bin] = ghm->weights[bin];
    }
}

/* One counting pass.  `counts` and the two results are shared by the segments. */
struct count_call {
    const struct fghm_kernels *kernels;
    const struct fghm_bins *bins;
    uint64_t *counts;
    uint64_t valid;
    int bad_target;
};

/* Counts a segment for itself and adds that to what all segments share; sums of
 * integers do not depend on who comes first. */
static void count_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct count_call *const call = context;
    uint64_t counts[FGHM_BINS_MAX];
    uint64_t valid = 0;
    int bad_target = 0;
    (void)segment;
    memset(counts, 0, call->bins->bins * sizeof counts[0]);
    call->kernels->ghm_count(call->bins, part, counts, &valid, &bad_target);
    for (size_t bin = 0; bin < call->bins->bins; bin++) {
        if (counts[bin] > 0) {
            __atomic_fetch_add(&call->counts[bin], counts[bin], __ATOMIC_RELAXED);
        }
    }
    __atomic_fetch_add(&call->valid, valid, __ATOMIC_RELAXED);
    __atomic_fetch_or(&call->bad_target, bad_target, __ATOMIC_RELAXED);
}

static void count(struct count_call *call, fghm_pool *pool, const struct fghm_span *span) {
    if (pool == NULL) {
        call->kernels->ghm_count(call->bins, span, call->counts, &call->valid, &call->bad_target);
    } else {
        fghm_drive(pool, span, call->kernels->real_size, count_segment, call);
    }
}

static fghm_status ghmc_compute(fghm_ghm *ghm, fghm_pool *pool, const struct fghm_kernels *kernels,
                                const struct fghm_bins *bins, const void *bin_weights,
                                const struct fghm_span *span, double *loss) {
    const fghm_status status = fghm_check_span(span, kernels->real_size, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);

    memset(ghm->next_counts, 0, ghm->bins * sizeof *ghm->next_counts);
    struct count_call counting = {.kernels = kernels, .bins = bins, .counts = ghm->next_counts};
    if (span->n > 0) {
        count(&counting, pool, span);
    }
    FGHM_REQUIRE(!counting.bad_target, FGHM_ERROR_TARGET);

    uint64_t *const swapped = ghm->counts;
    ghm->counts = ghm->next_counts;
    ghm->next_counts = swapped;
    const uint64_t total = counting.valid > 0 ? counting.valid : 1;
    update_weights(ghm, total);

    if (loss == NULL && span->element_loss == NULL && span->gradient == NULL &&
        span->hessian == NULL) {
        return FGHM_OK;
    }
    struct ghm_call call = {
        .kernels = kernels,
        .bins = bins,
        .bin_weights = bin_weights,
        .scale = fghm_scale(ghm->reduction, ghm->normalizer, (double)total),
    };
    const size_t segments = fghm_drive(pool, span, kernels->real_size, apply_segment, &call);
    if (loss != NULL) {
        *loss = fghm_sum_segments(call.sums, segments) * call.scale;
    }
    return FGHM_OK;
}

fghm_status fghm_ghmc_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *logits,
                          const float *targets, const float *mask, double *loss,
                          float *element_loss, float *gradient, float *hessian) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    const struct fghm_span span = {n, logits, targets, mask, element_loss, gradient, hessian};
    return ghmc_compute(ghm, pool, fghm_row()->f32, &ghm->tables.f32, ghm->weights_f32, &span,
                        loss);
}

fghm_status fghm_ghmc_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *logits,
                          const double *targets, const double *mask, double *loss,
                          double *element_loss, double *gradient, double *hessian) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    const struct fghm_span span = {n, logits, targets, mask, element_loss, gradient, hessian};
    return ghmc_compute(ghm, pool, fghm_row()->f64, &ghm->tables.f64, ghm->weights_f64, &span,
                        loss);
}

fghm_status fghm_ghm_get_edges(const fghm_ghm *ghm, size_t capacity, double *edges) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(edges != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->bins + 1, FGHM_ERROR_CAPACITY);
    memcpy(edges, ghm->tables.f64.edges, (ghm->bins + 1) * sizeof *edges);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_counts(const fghm_ghm *ghm, size_t capacity, uint64_t *counts) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->bins, FGHM_ERROR_CAPACITY);
    memcpy(counts, ghm->counts, ghm->bins * sizeof *counts);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_weights(const fghm_ghm *ghm, size_t capacity, double *weights) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(weights != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->bins, FGHM_ERROR_CAPACITY);
    memcpy(weights, ghm->weights, ghm->bins * sizeof *weights);
    return FGHM_OK;
}
