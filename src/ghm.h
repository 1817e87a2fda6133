/* SPDX-License-Identifier: MIT */
#ifndef FGHM_GHM_HANDLE_H
#define FGHM_GHM_HANDLE_H

#include <stdbool.h>

#include "bins.h"
#include "focalghm/ghm.h"

/* What is set by the caller. */
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
    bool uniform;
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

/* Makes `*ghm`, which has its kind, one with these settings, edges (NULL: equal width) and
 * histograms, and an empty history; on an error it is as it was. */
fghm_status fghm_ghm_rebuild(fghm_ghm *ghm, const struct ghm_settings *settings, size_t bins,
                             const double *edges, size_t histograms);

#endif
