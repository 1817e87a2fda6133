/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_GHM_KERNEL_H
#define FGHM_KERNELS_GHM_KERNEL_H

/* GHM-C: counting gradient norms, and applying the weights of the bins.
 *
 * Both passes first turn a chunk of elements into margins z (see kernels.h).
 * The bin of a margin needs no exponential: g = sigmoid(-z) falls with z, so the
 * edges of g are edges of z, and comparing with them gives the bin of real
 * arithmetic.  With few bins, counting compares with every edge; else the
 * margin's cell tells the one edge to compare with. */

#include "focalghm/ghm.h"
#include "kernels/focal_kernel.h"

/* Up to here a comparison with every edge is cheaper than a histogram. */
#define TALLY_BINS 24

/* How many edges are counted in one sweep over a chunk: their counters stay in
 * registers. */
#define TALLY_GROUP 8

/* A histogram is spread over this many copies, so that equal bins in a row do
 * not wait for each other's store. */
#define HISTOGRAMS 4

/* Elements after which 32-bit counters are emptied. */
#define COUNT_RUN ((size_t)1 << 30)

/* g = |sigmoid(x) - t|. */
static inline vreal gradient_norm(vreal x, vreal t) {
    const struct exponential x_exp = exp_minus(v_abs(x));
    const vreal large = reciprocal_1p(x_exp);
    const vreal small = v_mul(v_add(x_exp.power, x_exp.remainder), large);
    return v_abs(v_sub(v_select(v_gt(x, v_set(0)), large, small), t));
}

/* The bin of a gradient norm in [0, 1]: a guess, put right by the edges. */
static inline size_t bin_of_norm(const struct fghm_bins *bins, real norm) {
    const real *const edges = bins->edges;
    const size_t last = bins->bins - 1;
    size_t bin = (size_t)((double)norm * (double)bins->bins);
    bin = bin < last ? bin : last;
    while (bin > 0 && norm < edges[bin]) {
        bin--;
    }
    while (bin < last && norm >= edges[bin + 1]) {
        bin++;
    }
    return bin;
}

/* Margins for soft targets: any margin that lies in the bin of |p - t|. */
static __attribute__((noinline)) vreal soft_margins(const struct fghm_bins *bins, vmask hard,
                                                    vmask valid, vreal margin, vreal x, vreal t,
                                                    int *bad_target) {
    const vmask in_range = m_and(v_le(v_set(0), t), v_le(t, v_set(1)));
    const vmask harmless = m_or(m_not(valid), m_not(v_eq(t, t)));
    if (!m_all(m_or(in_range, harmless))) {
        *bad_target = 1;
    }
    const real *const upper = bins->upper;
    real norms[V_LANES];
    real margins[V_LANES];
    v_store(norms, gradient_norm(x, v_select(in_range, t, v_set((real)NAN))));
    for (size_t lane = 0; lane < V_LANES; lane++) {
        margins[lane] =
            norms[lane] == norms[lane] ? upper[bin_of_norm(bins, norms[lane])] : (real)NAN;
    }
    return v_select(m_and(valid, m_not(hard)), v_load(margins), margin);
}

/* The margins of a chunk; returns how many of its elements the mask marks valid
 * (0 without a mask). */
KERNEL_INLINE uint32_t chunk_margins(const struct fghm_bins *bins, const struct fghm_span *span,
                                     real *margins, int *bad_target) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real *const mask = span->weights;
    vtally valid_tally = v_tally_zero();
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal x = v_load(logits + i);
        const vreal t = v_load(targets + i);
        const vmask is_zero = v_eq(t, v_set(0));
        const vmask hard = m_or(is_zero, v_eq(t, v_set(1)));
        vreal margin = v_negate_where(is_zero, x);
        vmask skip = hard;
        if (mask != NULL) {
            const vmask valid = v_gt(v_load(mask + i), v_set(0));
            valid_tally = v_tally_add(valid_tally, valid);
            margin = v_select(valid, margin, v_set((real)NAN));
            skip = m_or(hard, m_not(valid));
        }
        if (__builtin_expect(!m_all(skip), 0)) {
            const vmask valid =
                mask == NULL ? m_or(hard, m_not(hard)) : v_gt(v_load(mask + i), v_set(0));
            margin = soft_margins(bins, hard, valid, margin, x, t, bad_target);
        }
        v_store(margins + i, margin);
    }
    return v_tally_total(valid_tally);
}

/* The bin of each lane; `bins` for a lane without one.  small: there are 16
 * cells. */
KERNEL_INLINE vreal bin_of_margin(const struct fghm_bins *bins, int small, vreal margin) {
    /* Two roundings, as in the code that made the cells. */
    const vreal scaled =
        v_add(v_mul(margin, v_set((real)bins->cell_scale)), v_set((real)bins->cell_offset));
    /* v_max brings NaN to cell 0. */
    const vreal cell = v_min(v_max(scaled, v_set(0)), v_set((real)(bins->cells - 1)));
    const vreal first = small ? v_lookup16(bins->cell_bin, cell) : v_lookup(bins->cell_bin, cell);
    const vreal upper =
        small ? v_lookup16(bins->cell_upper, cell) : v_lookup(bins->cell_upper, cell);
    const vreal bin = v_add(first, v_keep(v_le(margin, upper), v_set(1)));
    return v_select(v_eq(margin, margin), bin, v_set((real)bins->bins));
}

/* Adds to at_least[0 ... group - 1] how many margins are in the bins from `upper`
 * on. */
KERNEL_INLINE void tally_group(size_t group, const real *upper, size_t n, const real *margins,
                               uint64_t *at_least) {
    vtally tallies[TALLY_GROUP];
    for (size_t edge = 0; edge < group; edge++) {
        tallies[edge] = v_tally_zero();
    }
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal margin = v_load(margins + i);
        for (size_t edge = 0; edge < group; edge++) {
            tallies[edge] = v_tally_add(tallies[edge], v_le(margin, v_set(upper[edge])));
        }
    }
    for (size_t edge = 0; edge < group; edge++) {
        at_least[edge] += v_tally_total(tallies[edge]);
    }
}

static inline void tally(const struct fghm_bins *bins, size_t n, const real *margins,
                         uint64_t *at_least) {
    const real *const upper = bins->upper;
    for (size_t edge = 0; edge < bins->bins; edge += TALLY_GROUP) {
        switch (bins->bins - edge) {
        case 1:
            tally_group(1, upper + edge, n, margins, at_least + edge);
            break;
        case 2:
            tally_group(2, upper + edge, n, margins, at_least + edge);
            break;
        case 3:
        case 4:
            tally_group(4, upper + edge, n, margins, at_least + edge);
            break;
        default:
            tally_group(TALLY_GROUP, upper + edge, n, margins, at_least + edge);
            break;
        }
    }
}

static inline void histogram_add(const struct fghm_bins *bins, size_t n, const real *margins,
                                 uint32_t (*histograms)[FGHM_BINS_MAX + 1]) {
    int32_t indices[CHUNK];
    for (size_t i = 0; i < n; i += V_LANES) {
        v_store_index(indices + i, bin_of_margin(bins, 0, v_load(margins + i)));
    }
    for (size_t i = 0; i < n; i += HISTOGRAMS) {
        for (size_t copy = 0; copy < HISTOGRAMS; copy++) {
            histograms[copy][indices[i + copy]]++;
        }
    }
}

/* What one run of ghm_count counts into. */
struct ghm_counter {
    uint64_t at_least[TALLY_BINS + TALLY_GROUP];
    uint32_t histograms[HISTOGRAMS][FGHM_BINS_MAX + 1];
};

static inline void count_margins(const struct fghm_bins *bins, size_t n, const real *margins,
                                 struct ghm_counter *counter) {
    if (bins->bins <= TALLY_BINS) {
        tally(bins, n, margins, counter->at_least);
    } else {
        histogram_add(bins, n, margins, counter->histograms);
    }
}

static inline void counter_zero(const struct fghm_bins *bins, struct ghm_counter *counter) {
    memset(counter->at_least, 0, sizeof counter->at_least);
    if (bins->bins > TALLY_BINS) {
        for (size_t copy = 0; copy < HISTOGRAMS; copy++) {
            memset(counter->histograms[copy], 0, (bins->bins + 1) * sizeof(uint32_t));
        }
    }
}

static inline void counter_collect(const struct fghm_bins *bins, const struct ghm_counter *counter,
                                   uint64_t *counts) {
    for (size_t bin = 0; bin < bins->bins; bin++) {
        if (bins->bins <= TALLY_BINS) {
            const uint64_t above = bin + 1 < bins->bins ? counter->at_least[bin + 1] : 0;
            counts[bin] += counter->at_least[bin] - above;
        } else {
            for (size_t copy = 0; copy < HISTOGRAMS; copy++) {
                counts[bin] += counter->histograms[copy][bin];
            }
        }
    }
}

static inline uint64_t count_run(const struct fghm_bins *bins, const struct fghm_span *span,
                                 uint64_t *counts, int *bad_target) {
    struct ghm_counter counter;
    real margins[CHUNK];
    uint64_t valid = 0;
    counter_zero(bins, &counter);
    struct span_walk walk;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        const uint32_t marked = chunk_margins(bins, &walk.part, margins, bad_target);
        valid += span->weights == NULL ? walk.n : marked;
        for (size_t i = walk.n; i < walk.part.n; i++) {
            margins[i] = (real)NAN;
        }
        count_margins(bins, walk.part.n, margins, &counter);
    }
    counter_collect(bins, &counter, counts);
    return valid;
}

static void ghm_count(const struct fghm_bins *bins, const struct fghm_span *span, uint64_t *counts,
                      uint64_t *valid, int *bad_target) {
    size_t n;
    for (size_t first = 0; first < span->n; first += n) {
        n = span->n - first < COUNT_RUN ? span->n - first : COUNT_RUN;
        const struct fghm_span part = sub_span(span, first, n);
        *valid += count_run(bins, &part, counts, bad_target);
    }
}

/* The working memory of ghm_apply: a chunk's weights, and its inputs where the
 * mask has put harmless ones in place of what is not to be looked at. */
struct ghm_chunk {
    real margins[CHUNK];
    real weights[CHUNK];
    real logits[CHUNK];
    real targets[CHUNK];
};

KERNEL_INLINE void chunk_weights(const struct fghm_bins *bins, const real *bin_weights, size_t n,
                                 struct ghm_chunk *chunk) {
    if (bins->cells == 16 && bins->bins < 16) {
        for (size_t i = 0; i < n; i += V_LANES) {
            const vreal bin = bin_of_margin(bins, 1, v_load(chunk->margins + i));
            v_store(chunk->weights + i, v_lookup16(bin_weights, bin));
        }
    } else {
        for (size_t i = 0; i < n; i += V_LANES) {
            const vreal bin = bin_of_margin(bins, 0, v_load(chunk->margins + i));
            v_store(chunk->weights + i, v_lookup(bin_weights, bin));
        }
    }
}

KERNEL_INLINE void mask_inputs(const struct fghm_span *span, struct ghm_chunk *chunk) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real *const mask = span->weights;
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vmask valid = v_gt(v_load(mask + i), v_set(0));
        v_store(chunk->logits + i, v_keep(valid, v_load(logits + i)));
        v_store(chunk->targets + i, v_keep(valid, v_load(targets + i)));
    }
}

KERNEL_INLINE void apply_chunk(struct focal_kind kind, const struct focal_factors *factors,
                               const struct fghm_bins *bins, const real *bin_weights,
                               const struct fghm_span *span, struct lane_sum *total) {
    struct ghm_chunk chunk;
    int bad_target = 0;
    chunk_margins(bins, span, chunk.margins, &bad_target);
    chunk_weights(bins, bin_weights, span->n, &chunk);
    struct fghm_span weighted = *span;
    weighted.weights = chunk.weights;
    if (span->weights != NULL) {
        mask_inputs(span, &chunk);
        weighted.logits = chunk.logits;
        weighted.targets = chunk.targets;
    }
    focal_chunk(kind, factors, &weighted, total, &bad_target);
}

KERNEL_INLINE double apply_span(int want, const struct fghm_bins *bins, const void *bin_weights,
                                double scale, const struct fghm_span *span) {
    const struct focal_kind kind = {FGHM_GAMMA_0, want, true};
    const struct fghm_focal_constants constants = {0, 1, 1, scale};
    const struct focal_factors factors = focal_factors(&constants);
    struct lane_sum total;
    lane_sum_zero(&total);
    struct span_walk walk;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        apply_chunk(kind, &factors, bins, bin_weights, &walk.part, &total);
        walk_finish_part(&walk);
    }
    return lane_sum_total(&total);
}

static double ghm_apply(const struct fghm_bins *bins, const void *bin_weights, double scale,
                        const struct fghm_span *span) {
    if (span->hessian != NULL) {
        return apply_span(WANT_HESSIAN, bins, bin_weights, scale, span);
    }
    if (span->gradient != NULL) {
        return apply_span(WANT_GRADIENT, bins, bin_weights, scale, span);
    }
    return apply_span(WANT_LOSS, bins, bin_weights, scale, span);
}

#endif
