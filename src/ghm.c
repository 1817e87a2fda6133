/* SPDX-License-Identifier: MIT */
/* The handle of GHM: making it, setting it, updating it, reading it.
 *
 * A setting is a row of the table below, from which its default, its range and its place in a
 * saved state follow.  Weights are made anew at each update and each setting that they depend on,
 * so that calls only look them up. */
#include "ghm_handle.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "allocation.h"
#include "check.h"

/* Kernels load tables of weights of up to 16 bins whole (see CELLS_SMALL in bins.c). */
#define WEIGHTS_PADDING 16

static void release(fghm_ghm *ghm) {
    fghm_bin_tables_free(&ghm->tables);
    fghm_free(ghm->edges);
    fghm_free(ghm->history.counts);
    fghm_free(ghm->history.averages);
    fghm_free(ghm->history.average_totals);
    fghm_free(ghm->weights);
    fghm_free(ghm->weights_f32);
    fghm_free(ghm->scaled_f32);
    fghm_free(ghm->weights_f64);
    fghm_free(ghm->scaled_f64);
}

static fghm_status make_edges(fghm_ghm *ghm, const double *edges) {
    ghm->edges = fghm_zeroed_memory(ghm->bins + 1, sizeof *ghm->edges);
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
    history->counts = fghm_zeroed_memory(histograms * (bins + 1), sizeof *history->counts);
    history->averages = fghm_zeroed_memory(row, sizeof *history->averages);
    history->average_totals = fghm_zeroed_memory(histograms, sizeof *history->average_totals);
    ghm->weights = fghm_zeroed_memory(row, sizeof *ghm->weights);
    ghm->weights_f32 = fghm_zeroed_memory(padded, sizeof *ghm->weights_f32);
    ghm->scaled_f32 = fghm_zeroed_memory(padded, sizeof *ghm->scaled_f32);
    ghm->weights_f64 = fghm_zeroed_memory(padded, sizeof *ghm->weights_f64);
    ghm->scaled_f64 = fghm_zeroed_memory(padded, sizeof *ghm->scaled_f64);
    return history->counts != NULL && history->averages != NULL &&
                   history->average_totals != NULL && ghm->weights != NULL &&
                   ghm->weights_f32 != NULL && ghm->scaled_f32 != NULL &&
                   ghm->weights_f64 != NULL && ghm->scaled_f64 != NULL
               ? FGHM_OK
               : FGHM_ERROR_MEMORY;
}

fghm_status fghm_ghm_make(fghm_ghm **ghm, fghm_ghm_kind kind, const struct ghm_settings *settings,
                          size_t bins, const double *edges, size_t histograms) {
    fghm_ghm *const made = fghm_zeroed_memory(1, sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    made->kind = kind;
    made->settings = *settings;
    const fghm_status status = allocate(made, bins, edges, histograms);
    if (status != FGHM_OK) {
        fghm_ghm_destroy(made);
        return status;
    }
    *ghm = made;
    return FGHM_OK;
}

void fghm_ghm_replace(fghm_ghm *ghm, fghm_ghm *other) {
    release(ghm);
    *ghm = *other;
    fghm_free(other);
}

/* Makes the handle one with these settings, edges and histograms, without a history; on an
 * error it is as it was. */
static fghm_status rebuild(fghm_ghm *ghm, const struct ghm_settings *settings, size_t bins,
                           const double *edges, size_t histograms) {
    fghm_ghm *made;
    const fghm_status status = fghm_ghm_make(&made, ghm->kind, settings, bins, edges, histograms);
    FGHM_REQUIRE(status == FGHM_OK, status);
    fghm_ghm_replace(ghm, made);
    return FGHM_OK;
}

fghm_status fghm_ghm_create(fghm_ghm **ghm, fghm_ghm_kind kind) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(kind == FGHM_GHM_CLASSIFICATION || kind == FGHM_GHM_REGRESSION,
                 FGHM_ERROR_CONSTANT);
    struct ghm_settings settings;
    fghm_settings_init(&fghm_ghm_settings, &settings);
    return fghm_ghm_make(ghm, kind, &settings, 10, NULL, 1);
}

static void copy_history(struct ghm_history *to, const struct ghm_history *from, size_t bins,
                         size_t histograms) {
    to->steps = from->steps;
    to->start = from->start;
    memcpy(to->counts, from->counts, histograms * (bins + 1) * sizeof *to->counts);
    memcpy(to->averages, from->averages, histograms * bins * sizeof *to->averages);
    memcpy(to->average_totals, from->average_totals, histograms * sizeof *to->average_totals);
}

/* The edges to make another handle with. */
static const double *own_edges(const fghm_ghm *ghm) {
    return ghm->uniform ? NULL : ghm->edges;
}

fghm_status fghm_ghm_clone(const fghm_ghm *ghm, fghm_ghm **copy) {
    FGHM_REQUIRE(ghm != NULL && copy != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_ghm *made;
    const fghm_status status =
        fghm_ghm_make(&made, ghm->kind, &ghm->settings, ghm->bins, own_edges(ghm), ghm->histograms);
    FGHM_REQUIRE(status == FGHM_OK, status);
    copy_history(&made->history, &ghm->history, ghm->bins, ghm->histograms);
    fghm_ghm_refresh_weights(made);
    *copy = made;
    return FGHM_OK;
}

void fghm_ghm_destroy(fghm_ghm *ghm) {
    if (ghm != NULL) {
        release(ghm);
        fghm_free(ghm);
    }
}

fghm_status fghm_ghm_get_kind(const fghm_ghm *ghm, fghm_ghm_kind *kind) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(kind != NULL, FGHM_ERROR_NULL_POINTER);
    *kind = ghm->kind;
    return FGHM_OK;
}

/* Bins ------------------------------------------------------------------------ */

static bool has_history(const fghm_ghm *ghm) {
    return ghm->history.steps > 0;
}

fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(bins >= 1 && bins <= FGHM_BINS_MAX, FGHM_ERROR_RANGE);
    if (ghm->uniform && bins == ghm->bins) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(!has_history(ghm), FGHM_ERROR_HISTORY);
    return rebuild(ghm, &ghm->settings, bins, NULL, ghm->histograms);
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

static bool has_edges(const fghm_ghm *ghm, size_t bins, const double *edges) {
    bool same = !ghm->uniform && bins == ghm->bins;
    for (size_t b = 0; same && b <= bins; b++) {
        same = edges[b] == ghm->edges[b];
    }
    return same;
}

fghm_status fghm_ghm_set_edges(fghm_ghm *ghm, size_t bins, const double *edges) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(edges != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(bins >= 1 && bins <= FGHM_BINS_MAX, FGHM_ERROR_RANGE);
    FGHM_REQUIRE(fghm_ghm_edges_fit(bins, edges), FGHM_ERROR_EDGES);
    if (has_edges(ghm, bins, edges)) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(!has_history(ghm), FGHM_ERROR_HISTORY);
    return rebuild(ghm, &ghm->settings, bins, edges, ghm->histograms);
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
    FGHM_REQUIRE(histograms >= 1 && histograms <= FGHM_HISTOGRAMS_MAX, FGHM_ERROR_RANGE);
    if (histograms == ghm->histograms) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(!has_history(ghm), FGHM_ERROR_HISTORY);
    return rebuild(ghm, &ghm->settings, ghm->bins, own_edges(ghm), histograms);
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
    struct ghm_settings settings = ghm->settings;
    const fghm_status status = fghm_setting_set_double(
        fghm_setting_of(&fghm_ghm_settings, FGHM_FIELD_MU), mu, has_history(ghm), &settings);
    FGHM_REQUIRE(status == FGHM_OK && mu != ghm->settings.mu, status);
    /* The edges of the bins are elsewhere now. */
    return rebuild(ghm, &settings, ghm->bins, own_edges(ghm), ghm->histograms);
}

fghm_status fghm_ghm_get_mu(const fghm_ghm *ghm, double *mu) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(mu != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(ghm->kind == FGHM_GHM_REGRESSION, FGHM_ERROR_KIND);
    *mu = ghm->settings.mu;
    return FGHM_OK;
}

/* Settings -------------------------------------------------------------------- */

/* Numbers in saved states below 16 are those of what is no setting. */
static const struct fghm_setting rows[] = {
    {.field = FGHM_FIELD_MOMENTUM,
     .number = 16,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct ghm_settings, momentum),
     .least = 0,
     .most = 1 - DBL_EPSILON / 2,
     .initial = 0},
    {.field = FGHM_FIELD_MOMENTUM_RULE,
     .number = 17,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct ghm_settings, momentum_rule),
     .least = FGHM_GHM_MOMENTUM_CORRECTED,
     .most = FGHM_GHM_MOMENTUM_REFERENCE,
     .initial = FGHM_GHM_MOMENTUM_CORRECTED,
     .refuses_history = true}, /* whose averages are those of the other rule */
    {.field = FGHM_FIELD_BIN_DIVISOR,
     .number = 18,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct ghm_settings, divisor),
     .least = FGHM_GHM_DIVISOR_NONEMPTY_BINS,
     .most = FGHM_GHM_DIVISOR_ALL_BINS,
     .initial = FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {.field = FGHM_FIELD_WEIGHT_CAP,
     .number = 19,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct ghm_settings, weight_cap),
     .least = 0x1p-40,
     .most = (double)INFINITY,
     .initial = (double)INFINITY},
    {.field = FGHM_FIELD_LOSS_WEIGHT,
     .number = 20,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct ghm_settings, loss_weight),
     .least = 0x1p-40,
     .most = 0x1p40,
     .or_zero = true,
     .initial = 1},
    {.field = FGHM_FIELD_MU,
     .number = 21,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct ghm_settings, mu),
     .least = 1e-30,
     .most = 1e30,
     .initial = 0.02,
     .refuses_history = true},
    {.field = FGHM_FIELD_REDUCTION,
     .number = 22,
     .type = FGHM_SETTING_INT32,
     .offset = offsetof(struct ghm_settings, reduction),
     .least = FGHM_REDUCTION_SUM,
     .most = FGHM_REDUCTION_NORMALIZER,
     .initial = FGHM_REDUCTION_MEAN},
    {.field = FGHM_FIELD_NORMALIZER,
     .number = 23,
     .type = FGHM_SETTING_DOUBLE,
     .offset = offsetof(struct ghm_settings, normalizer),
     .least = 0x1p-40,
     .most = 0x1p60,
     .initial = 1},
};

const struct fghm_settings fghm_ghm_settings = {rows, sizeof rows / sizeof rows[0]};

static fghm_status set_double(fghm_ghm *ghm, fghm_field field, double value) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = fghm_setting_set_double(fghm_setting_of(&fghm_ghm_settings, field),
                                                       value, has_history(ghm), &ghm->settings);
    FGHM_REQUIRE(status == FGHM_OK, status);
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

static fghm_status set_int32(fghm_ghm *ghm, fghm_field field, int32_t value) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = fghm_setting_set_int32(fghm_setting_of(&fghm_ghm_settings, field),
                                                      value, has_history(ghm), &ghm->settings);
    FGHM_REQUIRE(status == FGHM_OK, status);
    fghm_ghm_refresh_weights(ghm);
    return FGHM_OK;
}

static fghm_status get_double(const fghm_ghm *ghm, fghm_field field, double *value) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(value != NULL, FGHM_ERROR_NULL_POINTER);
    *value = fghm_setting_double(fghm_setting_of(&fghm_ghm_settings, field), &ghm->settings);
    return FGHM_OK;
}

static fghm_status get_int32(const fghm_ghm *ghm, fghm_field field, int32_t *value) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(value != NULL, FGHM_ERROR_NULL_POINTER);
    *value = fghm_setting_int32(fghm_setting_of(&fghm_ghm_settings, field), &ghm->settings);
    return FGHM_OK;
}

fghm_status fghm_ghm_set_momentum(fghm_ghm *ghm, double momentum) {
    return set_double(ghm, FGHM_FIELD_MOMENTUM, momentum);
}

fghm_status fghm_ghm_get_momentum(const fghm_ghm *ghm, double *momentum) {
    return get_double(ghm, FGHM_FIELD_MOMENTUM, momentum);
}

fghm_status fghm_ghm_set_momentum_rule(fghm_ghm *ghm, fghm_ghm_momentum_rule rule) {
    return set_int32(ghm, FGHM_FIELD_MOMENTUM_RULE, rule);
}

fghm_status fghm_ghm_get_momentum_rule(const fghm_ghm *ghm, fghm_ghm_momentum_rule *rule) {
    return get_int32(ghm, FGHM_FIELD_MOMENTUM_RULE, rule);
}

fghm_status fghm_ghm_set_divisor(fghm_ghm *ghm, fghm_ghm_divisor divisor) {
    return set_int32(ghm, FGHM_FIELD_BIN_DIVISOR, divisor);
}

fghm_status fghm_ghm_get_divisor(const fghm_ghm *ghm, fghm_ghm_divisor *divisor) {
    return get_int32(ghm, FGHM_FIELD_BIN_DIVISOR, divisor);
}

fghm_status fghm_ghm_set_weight_cap(fghm_ghm *ghm, double cap) {
    return set_double(ghm, FGHM_FIELD_WEIGHT_CAP, cap);
}

fghm_status fghm_ghm_get_weight_cap(const fghm_ghm *ghm, double *cap) {
    return get_double(ghm, FGHM_FIELD_WEIGHT_CAP, cap);
}

fghm_status fghm_ghm_set_loss_weight(fghm_ghm *ghm, double loss_weight) {
    return set_double(ghm, FGHM_FIELD_LOSS_WEIGHT, loss_weight);
}

fghm_status fghm_ghm_get_loss_weight(const fghm_ghm *ghm, double *loss_weight) {
    return get_double(ghm, FGHM_FIELD_LOSS_WEIGHT, loss_weight);
}

fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction) {
    return set_int32(ghm, FGHM_FIELD_REDUCTION, reduction);
}

fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction) {
    return get_int32(ghm, FGHM_FIELD_REDUCTION, reduction);
}

fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer) {
    return set_double(ghm, FGHM_FIELD_NORMALIZER, normalizer);
}

fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer) {
    return get_double(ghm, FGHM_FIELD_NORMALIZER, normalizer);
}

/* History ---------------------------------------------------------------------- */

uint64_t fghm_ghm_row_total(const fghm_ghm *ghm, const uint64_t *counts, size_t histogram) {
    uint64_t total = 0;
    for (size_t b = 0; b <= ghm->bins; b++) {
        total += counts[histogram * (ghm->bins + 1) + b];
    }
    return total;
}

bool fghm_counts_fit(size_t n, const uint64_t *counts, const uint64_t *more) {
    uint64_t left = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        if (counts[i] > left || (more != NULL && more[i] > left - counts[i])) {
            return false;
        }
        left -= counts[i] + (more != NULL ? more[i] : 0);
    }
    return true;
}

static size_t nonempty_bins(const fghm_ghm *ghm, size_t histogram) {
    const uint64_t *const counts = ghm->history.counts + histogram * (ghm->bins + 1);
    size_t nonempty = 0;
    for (size_t b = 0; b < ghm->bins; b++) {
        nonempty += counts[b] > 0;
    }
    return nonempty;
}

/* What the averages are compared with: their like of all elements, whose start at 0 cancels
 * theirs; or, as the reference has it, the elements of the last update. */
static double total_above(const fghm_ghm *ghm, size_t histogram) {
    return ghm->settings.momentum_rule == FGHM_GHM_MOMENTUM_CORRECTED
               ? ghm->history.average_totals[histogram]
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
            double weight = 0;
            if (ghm->history.counts[padded] > 0) {
                const double uncapped = total / (ghm->history.averages[plain] * divisor);
                weight = uncapped < settings->weight_cap ? uncapped : settings->weight_cap;
            }
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
    const size_t size = ghm->histograms * (ghm->bins + 1);
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    struct ghm_history *const history = &ghm->history;
    FGHM_REQUIRE(fghm_counts_fit(size, counts, NULL) && history->steps < UINT64_MAX,
                 FGHM_ERROR_COUNTS);
    const double momentum = ghm->settings.momentum;
    const bool reference = ghm->settings.momentum_rule == FGHM_GHM_MOMENTUM_REFERENCE;
    for (size_t h = 0; h < ghm->histograms; h++) {
        for (size_t b = 0; b < ghm->bins; b++) {
            const uint64_t count = counts[h * (ghm->bins + 1) + b];
            double *const average = &history->averages[h * ghm->bins + b];
            /* Without momentum there is nothing to stay with. */
            if (count > 0 || !reference || momentum == 0) {
                *average = moved(momentum, *average, (double)count);
            }
        }
        history->average_totals[h] =
            moved(momentum, history->average_totals[h], (double)fghm_ghm_row_total(ghm, counts, h));
    }
    memcpy(history->counts, counts, size * sizeof *history->counts);
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
    const size_t size = ghm->histograms * (ghm->bins + 1);
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    memcpy(counts, ghm->history.counts, size * sizeof *counts);
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

fghm_status fghm_ghm_get_nonempty(const fghm_ghm *ghm, size_t capacity, size_t *nonempty) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(nonempty != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms, FGHM_ERROR_CAPACITY);
    for (size_t h = 0; h < ghm->histograms; h++) {
        nonempty[h] = nonempty_bins(ghm, h);
    }
    return FGHM_OK;
}

fghm_status fghm_ghm_get_steps(const fghm_ghm *ghm, uint64_t *steps) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(steps != NULL, FGHM_ERROR_NULL_POINTER);
    *steps = ghm->history.steps;
    return FGHM_OK;
}
