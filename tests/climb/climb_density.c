/* SPDX-License-Identifier: MIT */
/* Weights of the exact gradient density of a few elements: their logits, then their targets. */
#include <math.h>
#include <stdlib.h>

#include "climb.h"
#include "density.h"
#include "suite.h"

/* Of a batch; batches of a call. */
#define ELEMENTS (NUMBERS_MAX / 2)
#define BATCHES 32

static void draw(const struct slope *slope, struct random *r, double *numbers) {
    const bool near = random_below(r, 4) == 0, soft = random_below(r, 2) == 0;
    (void)slope;
    for (size_t k = 0; k < ELEMENTS; k++) {
        numbers[k] = near ? -4.5 + 0x1p-17 * random_normal(r) : 3.0 * random_normal(r);
        numbers[k] *= random_below(r, 8) == 0 ? 8.0 : 1.0;
        numbers[ELEMENTS + k] = soft ? random_uniform(r, 0.0, 1.0) : (double)(random_bits(r) & 1);
    }
}

/* The largest relative error of a batch. */
static void compare(struct slope *slope, const void *weights, const double *point) {
    long double norms[ELEMENTS], bounds[2], worst = 0.0L;
    for (size_t k = 0; k < ELEMENTS; k++) {
        norms[k] = density_norm(point[k], point[ELEMENTS + k]);
    }
    for (size_t k = 0; k < ELEMENTS; k++) {
        const long double got = (long double)slope->d->get(weights, k);
        density_weight(norms, ELEMENTS, ELEMENTS, k, slope->bins, (double)INFINITY, bounds);
        worst = fmaxl(worst, fmaxl(1.0L - got / bounds[0], got / bounds[1] - 1.0L));
    }
    climb_keep(slope, 0, (double)(worst * 0x1p52L),
               (double)(density_promised(slope->bins, slope->d->size == sizeof(double)) * 0x1p52L),
               point);
}

static bool measure(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    const struct dtype *const d = slope->d;
    void *const logits = dtype_array(d, ELEMENTS), *const targets = dtype_array(d, ELEMENTS),
                *const weights = dtype_array(d, ELEMENTS);
    fghm_ghm *const ghm = ghmc_handle(slope->bins, FGHM_REDUCTION_SUM);
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        for (size_t k = 0; k < ELEMENTS; k++) {
            d->put(logits, k, points[i][k]);
            d->put(targets, k, points[i][ELEMENTS + k]);
        }
        const fghm_status status =
            d->size == sizeof(double)
                ? fghm_ghm_density_f64(ghm, NULL, ELEMENTS, logits, targets, NULL, weights)
                : fghm_ghm_density_f32(ghm, NULL, ELEMENTS, logits, targets, NULL, weights);
        good = status == FGHM_OK;
        if (good) {
            compare(slope, weights, points[i]);
        }
    }
    fghm_ghm_destroy(ghm);
    free(logits);
    free(targets);
    free(weights);
    return good;
}

void climb_list_density(void) {
    static const struct kind kind = {.name = "density",
                                     .outputs = {"weight"},
                                     .points = BATCHES,
                                     .draw = draw,
                                     .measure = measure};
    static const size_t bins[] = {1, 2, 10, 30, 4096};
    for (size_t k = 0; k < DTYPE_COUNT * SUITE_COUNT(bins); k++) {
        const struct slope slope = {.kind = &kind,
                                    .d = &dtypes[k / SUITE_COUNT(bins)],
                                    .bins = bins[k % SUITE_COUNT(bins)],
                                    .numbers = 2 * ELEMENTS,
                                    .unbounded = ELEMENTS};
        climb_add(&slope, "density %s %zu", slope.d->name, slope.bins);
    }
}
