/* SPDX-License-Identifier: MIT */
#ifndef FGHM_GHM_HANDLE_H
#define FGHM_GHM_HANDLE_H

/* The handle of GHM, for the files that compute with it or save it. */

#include <stdbool.h>

#include "bins.h"
#include "focalghm/ghm.h"
#include "settings.h"

/* What is set by the caller, but the bins and the number of histograms. */
struct ghm_settings {
    double momentum;
    fghm_ghm_momentum_rule momentum_rule;
    fghm_ghm_divisor divisor;
    double weight_cap; /* INFINITY: none */
    double loss_weight;
    double mu;
    fghm_reduction reduction;
    double normalizer;
};

/* The table of them. */
extern const struct fghm_settings fghm_ghm_settings;

/* What updates have left.  Arrays have a row for each histogram. */
struct ghm_history {
    uint64_t steps;
    double start;           /* what the start at 0 still weighs in the averages */
    uint64_t *counts;       /* rows of bins + 1: of the last update */
    double *averages;       /* rows of bins: S_b, without bias correction */
    double *average_totals; /* one for each histogram: T, likewise */
};

struct fghm_ghm {
    fghm_ghm_kind kind;
    struct ghm_settings settings;
    size_t bins, histograms;
    bool uniform;  /* bins of equal width, whose real edges are not all doubles */
    double *edges; /* bins + 1 */
    struct fghm_bin_tables tables;
    struct ghm_history history;
    /* From the history: w, in rows of bins; and rows of bins + 1 for kernels, padded at the
     * end, whose last entry, 0, is for elements in no bin.  `scaled` is times the loss
     * weight. */
    double *weights;
    float *weights_f32, *scaled_f32;
    double *weights_f64, *scaled_f64;
};

/* Computes the weights from the history. */
void fghm_ghm_refresh_weights(fghm_ghm *ghm);

/* Whether bins + 1 edges are what a handle may have. */
bool fghm_ghm_edges_fit(size_t bins, const double *edges);

/* The number of valid elements in a row of counts. */
uint64_t fghm_ghm_row_total(const fghm_ghm *ghm, const uint64_t *counts, size_t histogram);

/* Whether n counts, and with them n more (or NULL), add up to less than 2^64. */
bool fghm_counts_fit(size_t n, const uint64_t *counts, const uint64_t *more);

/* A new handle with an empty history; edges NULL: equal width. */
fghm_status fghm_ghm_make(fghm_ghm **ghm, fghm_ghm_kind kind, const struct ghm_settings *settings,
                          size_t bins, const double *edges, size_t histograms);

/* Puts `other` into the place of what the handle was, and frees that. */
void fghm_ghm_replace(fghm_ghm *ghm, fghm_ghm *other);

#endif
