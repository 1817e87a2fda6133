/* SPDX-License-Identifier: MIT */
/* A handle as bytes: all that it was told and all that it has learned.
 *
 * Numbers are 64 bits, least significant byte first, doubles as IEEE 754 has them:
 *
 *     magic, version, settings, bins, histograms, whether bins are of equal width,
 *     steps, start, edges, counts, averages, average totals, checksum
 *
 * The checksum is the 64-bit FNV-1a hash of all bytes before it. */
#include "ghm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "drive.h"

#define MAGIC UINT64_C(0x0a4d48474c41434f) /* the bytes "OCALGHM\n" */
#define VERSION 1
#define NUMBERS_BEFORE_ARRAYS 15
#define NUMBER 8 /* bytes */

/* Bytes that are written, or, with `writes` false, read. */
struct bytes {
    unsigned char *at;
    bool writes;
};

static void exchange_u64(struct bytes *bytes, uint64_t *value) {
    if (bytes->writes) {
        for (int i = 0; i < NUMBER; i++) {
            bytes->at[i] = (unsigned char)(*value >> (8 * i));
        }
    } else {
        *value = 0;
        for (int i = 0; i < NUMBER; i++) {
            *value |= (uint64_t)bytes->at[i] << (8 * i);
        }
    }
    bytes->at += NUMBER;
}

static void exchange_double(struct bytes *bytes, double *value) {
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    exchange_u64(bytes, &bits);
    if (!bytes->writes) {
        memcpy(value, &bits, sizeof bits);
    }
}

static void exchange_i32(struct bytes *bytes, int32_t *value) {
    uint64_t wide = (uint64_t)(int64_t)*value;
    exchange_u64(bytes, &wide);
    *value = wide > INT32_MAX ? -1 : (int32_t)wide;
}

static void exchange_size(struct bytes *bytes, size_t *value) {
    uint64_t wide = *value;
    exchange_u64(bytes, &wide);
    *value = wide > SIZE_MAX ? SIZE_MAX : (size_t)wide;
}

static void exchange_settings(struct bytes *bytes, struct ghm_settings *settings) {
    exchange_double(bytes, &settings->momentum);
    exchange_i32(bytes, &settings->momentum_rule);
    exchange_i32(bytes, &settings->divisor);
    exchange_double(bytes, &settings->weight_cap);
    exchange_double(bytes, &settings->loss_weight);
    exchange_double(bytes, &settings->mu);
    exchange_i32(bytes, &settings->reduction);
    exchange_double(bytes, &settings->normalizer);
}

static void exchange_history(struct bytes *bytes, fghm_ghm *ghm) {
    struct ghm_history *const history = &ghm->history;
    for (size_t i = 0; i < ghm->histograms * (ghm->bins + 1); i++) {
        exchange_u64(bytes, &history->counts[i]);
    }
    for (size_t i = 0; i < ghm->histograms * ghm->bins; i++) {
        exchange_double(bytes, &history->averages[i]);
    }
    for (size_t i = 0; i < ghm->histograms; i++) {
        exchange_double(bytes, &history->average_totals[i]);
    }
}

static uint64_t checksum(const unsigned char *bytes, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static size_t size_of(size_t bins, size_t histograms) {
    const size_t numbers =
        NUMBERS_BEFORE_ARRAYS + bins + 1 + histograms * (bins + 1 + bins + 1) + 1;
    return numbers * NUMBER;
}

fghm_status fghm_ghm_get_state_size(const fghm_ghm *ghm, size_t *size) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(size != NULL, FGHM_ERROR_NULL_POINTER);
    *size = size_of(ghm->bins, ghm->histograms);
    return FGHM_OK;
}

/* What stands before the arrays. */
struct head {
    uint64_t magic, version, uniform, steps;
    struct ghm_settings settings;
    size_t bins, histograms;
    double start;
};

static void exchange_head(struct bytes *bytes, struct head *head) {
    exchange_u64(bytes, &head->magic);
    exchange_u64(bytes, &head->version);
    exchange_settings(bytes, &head->settings);
    exchange_size(bytes, &head->bins);
    exchange_size(bytes, &head->histograms);
    exchange_u64(bytes, &head->uniform);
    exchange_u64(bytes, &head->steps);
    exchange_double(bytes, &head->start);
}

fghm_status fghm_ghm_save(const fghm_ghm *ghm, size_t capacity, void *state) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(state != NULL, FGHM_ERROR_NULL_POINTER);
    const size_t size = size_of(ghm->bins, ghm->histograms);
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    fghm_ghm copy = *ghm; /* nothing is written into its arrays */
    struct bytes bytes = {state, true};
    struct head head = {
        .magic = MAGIC,
        .version = VERSION,
        .uniform = ghm->uniform,
        .steps = ghm->history.steps,
        .settings = ghm->settings,
        .bins = ghm->bins,
        .histograms = ghm->histograms,
        .start = ghm->history.start,
    };
    exchange_head(&bytes, &head);
    for (size_t b = 0; b <= ghm->bins; b++) {
        exchange_double(&bytes, &copy.edges[b]);
    }
    exchange_history(&bytes, &copy);
    uint64_t sum = checksum(state, size - NUMBER);
    exchange_u64(&bytes, &sum);
    return FGHM_OK;
}

static bool is_number(double x, double least, double most) {
    return x >= least && x <= most;
}

static bool settings_fit(const struct ghm_settings *settings) {
    return settings->momentum >= 0 && settings->momentum < 1 &&
           (settings->momentum_rule == FGHM_GHM_MOMENTUM_CORRECTED ||
            settings->momentum_rule == FGHM_GHM_MOMENTUM_REFERENCE) &&
           (settings->divisor == FGHM_GHM_DIVISOR_NONEMPTY_BINS ||
            settings->divisor == FGHM_GHM_DIVISOR_ALL_BINS) &&
           settings->weight_cap > 0 && settings->loss_weight >= 0 &&
           settings->loss_weight < (double)INFINITY &&
           is_number(settings->mu, FGHM_MU_MIN, FGHM_MU_MAX) &&
           fghm_is_reduction(settings->reduction) && fghm_is_normalizer(settings->normalizer);
}

/* Averages of counts: those of what was just counted weigh at least 1 - m, which is no less
 * than 2^-53, and none is above the largest count. */
static bool average_fits(uint64_t steps, uint64_t count, double average) {
    return is_number(average, count > 0 ? 0x1p-53 : 0, steps > 0 ? 0x1p64 : 0);
}

static bool history_fits(const fghm_ghm *ghm) {
    const struct ghm_history *const history = &ghm->history;
    const uint64_t steps = history->steps;
    bool fits = steps > 0 ? history->start >= 0 && history->start < 1 : history->start == 1;
    for (size_t h = 0; h < ghm->histograms; h++) {
        const uint64_t *const counts = history->counts + h * (ghm->bins + 1);
        const double *const averages = history->averages + h * ghm->bins;
        for (size_t b = 0; b < ghm->bins; b++) {
            fits = fits && average_fits(steps, counts[b], averages[b]);
        }
        const uint64_t total = fghm_ghm_row_total(ghm, history->counts, h);
        fits = fits && average_fits(steps, total, history->average_totals[h]);
    }
    return fits;
}

/* Makes `made`, a handle of zeros, what bytes that have been checked say. */
static fghm_status load_checked(fghm_ghm *made, const struct head *head, struct bytes *bytes) {
    double *const edges = malloc((head->bins + 1) * sizeof *edges);
    FGHM_REQUIRE(edges != NULL, FGHM_ERROR_MEMORY);
    for (size_t b = 0; b <= head->bins; b++) {
        exchange_double(bytes, &edges[b]);
    }
    fghm_status status = FGHM_ERROR_STATE;
    if (fghm_ghm_edges_fit(head->bins, edges)) {
        status = fghm_ghm_rebuild(made, &head->settings, head->bins, head->uniform ? NULL : edges,
                                  head->histograms);
    }
    /* Edges of equal width are the handle's own. */
    if (status == FGHM_OK && memcmp(made->edges, edges, (head->bins + 1) * sizeof *edges) != 0) {
        status = FGHM_ERROR_STATE;
    }
    free(edges);
    FGHM_REQUIRE(status == FGHM_OK, status);
    made->history.steps = head->steps;
    made->history.start = head->start;
    exchange_history(bytes, made);
    fghm_ghm_refresh_weights(made);
    return history_fits(made) ? FGHM_OK : FGHM_ERROR_STATE;
}

fghm_status fghm_ghm_load(fghm_ghm *ghm, size_t size, const void *state) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(state != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(size >= (NUMBERS_BEFORE_ARRAYS + 1) * NUMBER, FGHM_ERROR_STATE);
    /* Reading changes no byte. */
    unsigned char *const first = (unsigned char *)(uintptr_t)state;
    struct bytes bytes = {first, false};
    struct head head;
    exchange_head(&bytes, &head);
    FGHM_REQUIRE(head.magic == MAGIC && head.version == VERSION, FGHM_ERROR_STATE);
    FGHM_REQUIRE(head.bins >= 1 && head.bins <= FGHM_BINS_MAX && head.histograms >= 1 &&
                     head.histograms <= FGHM_HISTOGRAMS_MAX && head.uniform <= 1,
                 FGHM_ERROR_STATE);
    FGHM_REQUIRE(size == size_of(head.bins, head.histograms), FGHM_ERROR_STATE);
    struct bytes end = {first + size - NUMBER, false};
    uint64_t sum;
    exchange_u64(&end, &sum);
    FGHM_REQUIRE(sum == checksum(first, size - NUMBER), FGHM_ERROR_STATE);
    FGHM_REQUIRE(settings_fit(&head.settings), FGHM_ERROR_STATE);
    /* Put in the place of what the handle was only once it is whole. */
    fghm_ghm *made;
    fghm_status status = fghm_ghm_create(&made, ghm->kind);
    FGHM_REQUIRE(status == FGHM_OK, status);
    status = load_checked(made, &head, &bytes);
    if (status == FGHM_OK) {
        const fghm_ghm previous = *ghm;
        *ghm = *made;
        *made = previous;
    }
    fghm_ghm_destroy(made);
    return status;
}
