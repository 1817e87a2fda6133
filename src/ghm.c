/* SPDX-License-Identifier: MIT */
#include "ghm.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "drive.h"

/* Kernels load tables of weights of up to 16 bins whole. */
#define WEIGHTS_PADDING 16

static void release(fghm_ghm *ghm) {
    fghm_bin_tables_free(&ghm->tables);
    free(ghm->edges);
    free(ghm->history.counts);
    free(ghm->history.averages);
    free(ghm->history.average_totals);
    free(ghm->weights);
    free(ghm->weights_f32);
    free(ghm->scaled_f32);
    free(ghm->weights_f64);
    free(ghm->scaled_f64);
}

static fghm_status make_edges(fghm_ghm *ghm, const double *edges) {
    ghm->edges = calloc(ghm->bins + 1, sizeof *ghm->edges);
    FGHM_REQUIRE(ghm->edges != NULL, FGHM_ERROR_MEMORY);
    for (size_t b = 0; b <= ghm->bins; b++) {
        ghm->edges[b] = edges == NULL ? (double)b / (double)ghm->bins : edges[b];
    }
    ghm->uniform = edges == NULL;
    return FGHM_OK;
}

/* Everything but the settings of a handle of zeros. */
static fghm_status allocate(fghm_ghm *ghm, size_t bins, const double *edges, size_t histograms) {
    ghm->bins = bins;
    ghm->histograms = histograms;
    FGHM_REQUIRE(make_edges(ghm, edges) == FGHM_OK, FGHM_ERROR_MEMORY);
    const double mu = ghm->kind == FGHM_GHM_REGRESSION ? ghm->settings.mu : 0;
    FGHM_REQUIRE(fghm_bin_tables_make(&ghm->tables, bins, edges, mu) == 0, FGHM_ERROR_MEMORY);
    const size_t row = histograms * bins;
    const size_t padded = histograms * (bins + 1) + WEIGHTS_PADDING;
    struct ghm_history *const history = &ghm->history;
    history->start = 1;
    history->counts = calloc(histograms * (bins + 1), sizeof *history->counts);
    history->averages = calloc(row, sizeof *history->averages);
    history->average_totals = calloc(histograms, sizeof *history->average_totals);
    ghm->weights = calloc(row, sizeof *ghm->weights);
    ghm->weights_f32 = calloc(padded, sizeof *ghm->weights_f32);
    ghm->scaled_f32 = calloc(padded, sizeof *ghm->scaled_f32);
    ghm->weights_f64 = calloc(padded, sizeof *ghm->weights_f64);
    ghm->scaled_f64 = calloc(padded, sizeof *ghm->scaled_f64);
    return history->counts != NULL && history->averages != NULL &&
                   history->average_totals != NULL && ghm->weights != NULL &&
                   ghm->weights_f32 != NULL && ghm->scaled_f32 != NULL &&
                   ghm->weights_f64 != NULL && ghm->scaled_f64 != NULL
               ? FGHM_OK
               : FGHM_ERROR_MEMORY;
}

fghm_status fghm_ghm_rebuild(fghm_ghm *ghm, const struct ghm_settings *settings, size_t bins,
                             const double *edges, size_t histograms) {
    fghm_ghm made = {.kind = ghm->kind, .settings = *settings};
    const fghm_status status = allocate(&made, bins, edges, histograms);
    if (status != FGHM_OK) {
        release(&made);
        return status;
    }
    release(ghm);
    *ghm = made;
    return FGHM_OK;
}

fghm_status fghm_ghm_create(fghm_ghm **ghm, fghm_ghm_kind kind) {
    static const struct ghm_settings defaults = {
        .momentum_rule = FGHM_GHM_MOMENTUM_CORRECTED,
        .divisor = FGHM_GHM_DIVISOR_NONEMPTY_BINS,
        .weight_cap = (double)INFINITY,
        .loss_weight = 1,
        .mu = 0.02,
        .reduction = FGHM_REDUCTION_MEAN,
        .normalizer = 1,
    };
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(kind == FGHM_GHM_CLASSIFICATION || kind == FGHM_GHM_REGRESSION,
                 FGHM_ERROR_CONSTANT);
    fghm_ghm *const made = calloc(1, sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    made->kind = kind;
    const fghm_status status = fghm_ghm_rebuild(made, &defaults, 10, NULL, 1);
    if (status != FGHM_OK) {
        free(made);
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

fghm_status fghm_ghm_get_kind(const fghm_ghm *ghm, fghm_ghm_kind *kind) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(kind != NULL, FGHM_ERROR_NULL_POINTER);
    *kind = ghm->kind;
    return FGHM_OK;
}

/* Bins ------------------------------------------------------------------------ */

fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(bins >= 1 && bins <= FGHM_BINS_MAX, FGHM_ERROR_BINS);
    return fghm_ghm_rebuild(ghm, &ghm->settings, bins, NULL, ghm->histograms);
}

fghm_status fghm_ghm_get_bins(const fghm_ghm *ghm, size_t *bins) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(bins != NULL, FGHM_ERROR_NULL_POINTER);
    *bins = ghm->bins;
    return FGHM_OK;
}

bool fghm_ghm_edges_fit(size_t bins, const double *edges) {
    for (size_t b = 0; b < bins; b++) {
        if (!(edges[b] < edges[b + 1])) {
            return false;
        }
    }
    return edges[0] == 0 && edges[1] >= DBL_MIN && edges[bins] == 1;
}

fghm_status fghm_ghm_set_edges(fghm_ghm *ghm, size_t bins, const double *edges) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(edges != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(bins >= 1 && bins <= FGHM_BINS_MAX, FGHM_ERROR_BINS);
    FGHM_REQUIRE(fghm_ghm_edges_fit(bins, edges), FGHM_ERROR_EDGES);
    return fghm_ghm_rebuild(ghm, &ghm->settings, bins, edges, ghm->histograms);
}

fghm_status fghm_ghm_get_edges(const fghm_ghm *ghm, size_t capacity, double *edges) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(edges != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->bins + 1, FGHM_ERROR_CAPACITY);
    memcpy(edges, ghm->edges, (ghm->bins + 1) * sizeof *edges);
    return FGHM_OK;
}

fghm_status fghm_ghm_set_histograms(fghm_ghm *ghm, size_t histograms) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(histograms >= 1 && histograms <= FGHM_HISTOGRAMS_MAX, FGHM_ERROR_HISTOGRAMS);
    return fghm_ghm_rebuild(ghm, &ghm->settings, ghm->bins, ghm->uniform ? NULL : ghm->edges,
                            histograms);
}

fghm_status fghm_ghm_get_histograms(const fghm_ghm *ghm, size_t *histograms) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(histograms != NULL, FGHM_ERROR_NULL_POINTER);
    *histograms = ghm->histograms;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_mu(fghm_ghm *ghm, double mu) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(ghm->kind == FGHM_GHM_REGRESSION, FGHM_ERROR_KIND);
    FGHM_REQUIRE(mu >= FGHM_MU_MIN && mu <= FGHM_MU_MAX, FGHM_ERROR_MU);
    struct ghm_settings settings = ghm->settings;
    settings.mu = mu;
    return fghm_ghm_rebuild(ghm, &settings, ghm->bins, ghm->uniform ? NULL : ghm->edges,
                            ghm->histograms);
}

/* Settings -------------------------------------------------------------------- */

fghm_status fghm_ghm_get_mu(const fghm_ghm *ghm, double *mu) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mu != NULL, FGHM_ERROR_NULL_POINTER);
    *mu = ghm->settings.mu;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_momentum(fghm_ghm *ghm, double momentum) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(momentum >= 0 && momentum < 1, FGHM_ERROR_MOMENTUM);
    ghm->settings.momentum = momentum;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_momentum(const fghm_ghm *ghm, double *momentum) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(momentum != NULL, FGHM_ERROR_NULL_POINTER);
    *momentum = ghm->settings.momentum;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_momentum_rule(fghm_ghm *ghm, fghm_ghm_momentum_rule rule) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule == FGHM_GHM_MOMENTUM_CORRECTED || rule == FGHM_GHM_MOMENTUM_REFERENCE,
                 FGHM_ERROR_MOMENTUM_RULE);
    ghm->settings.momentum_rule = rule;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_momentum_rule(const fghm_ghm *ghm, fghm_ghm_momentum_rule *rule) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(rule != NULL, FGHM_ERROR_NULL_POINTER);
    *rule = ghm->settings.momentum_rule;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_divisor(fghm_ghm *ghm, fghm_ghm_divisor divisor) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(divisor == FGHM_GHM_DIVISOR_NONEMPTY_BINS || divisor == FGHM_GHM_DIVISOR_ALL_BINS,
                 FGHM_ERROR_DIVISOR);
    ghm->settings.divisor = divisor;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_divisor(const fghm_ghm *ghm, fghm_ghm_divisor *divisor) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(divisor != NULL, FGHM_ERROR_NULL_POINTER);
    *divisor = ghm->settings.divisor;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_weight_cap(fghm_ghm *ghm, double cap) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(cap > 0, FGHM_ERROR_WEIGHT_CAP);
    ghm->settings.weight_cap = cap;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_weight_cap(const fghm_ghm *ghm, double *cap) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(cap != NULL, FGHM_ERROR_NULL_POINTER);
    *cap = ghm->settings.weight_cap;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_loss_weight(fghm_ghm *ghm, double loss_weight) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss_weight >= 0 && loss_weight <= DBL_MAX, FGHM_ERROR_LOSS_WEIGHT);
    ghm->settings.loss_weight = loss_weight;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_loss_weight(const fghm_ghm *ghm, double *loss_weight) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(loss_weight != NULL, FGHM_ERROR_NULL_POINTER);
    *loss_weight = ghm->settings.loss_weight;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_reduction(reduction), FGHM_ERROR_REDUCTION);
    ghm->settings.reduction = reduction;
    return FGHM_OK;
}

fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(reduction != NULL, FGHM_ERROR_NULL_POINTER);
    *reduction = ghm->settings.reduction;
    return FGHM_OK;
}

fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(fghm_is_normalizer(normalizer), FGHM_ERROR_NORMALIZER);
    ghm->settings.normalizer = normalizer;
    return FGHM_OK;
}

fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(normalizer != NULL, FGHM_ERROR_NULL_POINTER);
    *normalizer = ghm->settings.normalizer;
    return FGHM_OK;
}

/* History ---------------------------------------------------------------------- */

uint64_t fghm_ghm_row_total(const fghm_ghm *ghm, const uint64_t *counts, size_t histogram) {
    uint64_t total = 0;
    for (size_t b = 0; b <= ghm->bins; b++) {
        total += counts[histogram * (ghm->bins + 1) + b];
    }
    return total;
}

static size_t nonempty_bins(const fghm_ghm *ghm, size_t histogram) {
    const uint64_t *const counts = ghm->history.counts + histogram * (ghm->bins + 1);
    size_t nonempty = 0;
    for (size_t b = 0; b < ghm->bins; b++) {
        nonempty += counts[b] > 0;
    }
    return nonempty;
}

/* What the averages are compared with: the elements of a batch, or their average. */
static double total_above(const fghm_ghm *ghm, size_t histogram) {
    const bool corrected =
        ghm->settings.momentum > 0 && ghm->settings.momentum_rule == FGHM_GHM_MOMENTUM_CORRECTED;
    /* The corrections of both averages for their start at 0 cancel. */
    return corrected ? ghm->history.average_totals[histogram]
                     : (double)fghm_ghm_row_total(ghm, ghm->history.counts, histogram);
}

void fghm_ghm_refresh_weights(fghm_ghm *ghm) {
    const struct ghm_settings *const settings = &ghm->settings;
    for (size_t h = 0; h < ghm->histograms; h++) {
        const bool all = settings->divisor == FGHM_GHM_DIVISOR_ALL_BINS;
        const double divisor = (double)(all ? ghm->bins : nonempty_bins(ghm, h));
        const double total = total_above(ghm, h);
        for (size_t b = 0; b < ghm->bins; b++) {
            const size_t plain = h * ghm->bins + b;
            const size_t padded = h * (ghm->bins + 1) + b;
            const double average = ghm->history.averages[plain];
            const double weight = ghm->history.counts[padded] > 0
                                      ? fmin(total / (average * divisor), settings->weight_cap)
                                      : 0;
            ghm->weights[plain] = weight;
            ghm->weights_f32[padded] = (float)weight;
            ghm->weights_f64[padded] = weight;
            ghm->scaled_f32[padded] = (float)(weight * settings->loss_weight);
            ghm->scaled_f64[padded] = weight * settings->loss_weight;
        }
    }
}

fghm_status fghm_ghm_reset(fghm_ghm *ghm) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    struct ghm_history *const history = &ghm->history;
    history->steps = 0;
    history->start = 1;
    memset(history->counts, 0, ghm->histograms * (ghm->bins + 1) * sizeof *history->counts);
    memset(history->averages, 0, ghm->histograms * ghm->bins * sizeof *history->averages);
    memset(history->average_totals, 0, ghm->histograms * sizeof *history->average_totals);
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

static double moved(double momentum, double average, double value) {
    return momentum * average + (1 - momentum) * value;
}

fghm_status fghm_ghm_update(fghm_ghm *ghm, size_t capacity, const uint64_t *counts) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms * (ghm->bins + 1), FGHM_ERROR_CAPACITY);
    struct ghm_history *const history = &ghm->history;
    const double momentum = ghm->settings.momentum;
    const bool reference = ghm->settings.momentum_rule == FGHM_GHM_MOMENTUM_REFERENCE;
    for (size_t h = 0; h < ghm->histograms; h++) {
        for (size_t b = 0; b < ghm->bins; b++) {
            const uint64_t count = counts[h * (ghm->bins + 1) + b];
            double *const average = &history->averages[h * ghm->bins + b];
            if (count > 0 || !reference) {
                *average = moved(momentum, *average, (double)count);
            }
        }
        history->average_totals[h] =
            moved(momentum, history->average_totals[h], (double)fghm_ghm_row_total(ghm, counts, h));
    }
    memmove(history->counts, counts, ghm->histograms * (ghm->bins + 1) * sizeof *history->counts);
    history->steps++;
    history->start *= momentum;
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

/* Reading back ------------------------------------------------------------------ */

fghm_status fghm_ghm_get_counts_size(const fghm_ghm *ghm, size_t *size) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(size != NULL, FGHM_ERROR_NULL_POINTER);
    *size = ghm->histograms * (ghm->bins + 1);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_counts(const fghm_ghm *ghm, size_t capacity, uint64_t *counts) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms * ghm->bins, FGHM_ERROR_CAPACITY);
    for (size_t h = 0; h < ghm->histograms; h++) {
        memcpy(counts + h * ghm->bins, ghm->history.counts + h * (ghm->bins + 1),
               ghm->bins * sizeof *counts);
    }
    return FGHM_OK;
}

fghm_status fghm_ghm_get_averages(const fghm_ghm *ghm, size_t capacity, double *averages) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(averages != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms * ghm->bins, FGHM_ERROR_CAPACITY);
    const bool corrected = ghm->settings.momentum_rule == FGHM_GHM_MOMENTUM_CORRECTED;
    const double weight = corrected ? 1 - ghm->history.start : 1;
    for (size_t i = 0; i < ghm->histograms * ghm->bins; i++) {
        averages[i] = weight > 0 ? ghm->history.averages[i] / weight : 0;
    }
    return FGHM_OK;
}

fghm_status fghm_ghm_get_weights(const fghm_ghm *ghm, size_t capacity, double *weights) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(weights != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms * ghm->bins, FGHM_ERROR_CAPACITY);
    memcpy(weights, ghm->weights, ghm->histograms * ghm->bins * sizeof *weights);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_nonempty(const fghm_ghm *ghm, size_t histogram, size_t *nonempty) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(nonempty != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(histogram < ghm->histograms, FGHM_ERROR_HISTOGRAMS);
    *nonempty = nonempty_bins(ghm, histogram);
    return FGHM_OK;
}

fghm_status fghm_ghm_get_steps(const fghm_ghm *ghm, uint64_t *steps) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(steps != NULL, FGHM_ERROR_NULL_POINTER);
    *steps = ghm->history.steps;
    return FGHM_OK;
}
