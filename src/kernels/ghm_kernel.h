/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_GHM_KERNEL_H
#define FGHM_KERNELS_GHM_KERNEL_H

/* GHM-C: counting gradient norms, and applying the weights of the bins.
 *
 * Both passes turn elements into margins z (see kernels.h).  The bin of a margin
 * needs no exponential: g = sigmoid(-z) falls with z, so the edges of g are edges
 * of z, and comparing with them gives the bin of real arithmetic.  With few bins,
 * that is a comparison with every edge, or with the one edge in the margin's
 * cell.  With many, g itself tells the bin, unless it is too near to an edge. */

#include "kernels/double_sum.h"
#include "kernels/focal_kernel.h"

/* Up to here a comparison with every edge is cheaper than a histogram: at 24 bins by 31 % with AVX2
 * and 20 % with SSE2; the two cross near 40 and 32 bins (Zen 3, float, elements in the cache). */
#define TALLY_BINS 24

/* How many edges are counted in one sweep over a chunk: as many counters as stay in 16 registers
 * beside the edges.  With four, 24 bins take a third longer (Zen 3, AVX2). */
#define TALLY_GROUP 8

/* A histogram is spread over up to this many copies, so that equal bins in a row do not wait for
 * each other's store: eight elements take longer than a store needs to reach a load.  Four copies
 * cost 2 % even where bins vary (Zen 3, AVX2, 100 bins). */
#define HISTOGRAMS 8

/* The room of all copies: so much that all of up to FEW_BINS fit, where calls keep to a small
 * stack; and so much that all of 1023 bins fit, and a half of 2047. */
#define FEW_BINS 256
#define FEW_ROOM ((size_t)HISTOGRAMS * (FEW_BINS + 1))
#define HISTOGRAM_ROOM ((size_t)8192)

/* Elements after which 32-bit counters are emptied: they cannot overflow before 2^32. */
#define COUNT_RUN ((size_t)1 << 30)

/* g = |sigmoid(x) - t|. */
static inline vreal gradient_norm(vreal x, vreal t) {
    const vreal e = exp_minus(v_abs(x));
    const vreal large = softplus_of(e).reciprocal;
    const vreal small = v_mul(e, large);
    return v_abs(v_sub(v_select(v_gt(x, v_set(REAL(0.0))), large, small), t));
}

/* The bin of a gradient norm in [0, 1]: the last whose edge is not above it. */
static inline size_t bin_of_norm(const struct fghm_bins *bins, real norm) {
    const real *const edges = bins->edges;
    size_t bin = 0;
    size_t end = bins->bins;
    while (end - bin > 1) {
        const size_t middle = bin + (end - bin) / 2;
        if (norm >= edges[middle]) {
            bin = middle;
        } else {
            end = middle;
        }
    }
    return bin;
}

/* The bins of margins; `bins` for NaN.  For bins without cells. */
static __attribute__((noinline)) void search_bins(const struct fghm_bins *bins, size_t n,
                                                  const real *margins, int32_t *indices) {
    const real *const upper = bins->upper;
    for (size_t i = 0; i < n; i++) {
        size_t bin = 0;
        size_t end = bins->bins;
        while (end - bin > 1) {
            const size_t middle = bin + (end - bin) / 2;
            if (margins[i] <= upper[middle]) {
                bin = middle;
            } else {
                end = middle;
            }
        }
        indices[i] = (int32_t)(margins[i] == margins[i] ? bin : bins->bins);
    }
}

/* The margin of a logit with target 0 or 1. */
KERNEL_INLINE vreal hard_margin(vreal x, vreal t) {
    return v_negate_unless(v_eq(t, v_set(REAL(1.0))), x);
}

/* The margin of an element that is not valid: that of the first bin, from which such elements
 * are taken afterwards.  NaN would raise an exception wherever it is compared. */
#define MASKED_MARGIN ((real)INFINITY)

/* Margins of a chunk with soft targets: any margin that lies in the bin of
 * |p - t|.  Out of line: rare. */
static __attribute__((noinline)) void soft_margins(const struct fghm_bins *bins,
                                                   const struct fghm_span *span, real *margins,
                                                   int *bad_target) {
    const real *const upper = bins->upper;
    const real *const mask = span->weights;
    real norms[V_LANES];
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal t = v_load((const real *)span->targets + i);
        const vmask in_range = m_and(v_le(v_set(REAL(0.0)), t), v_le(t, v_set(REAL(1.0))));
        vmask harmless = m_or(in_range, m_not(v_eq(t, t)));
        vmask soft = m_not(v_eq(softness(t), v_set(REAL(0.0))));
        if (mask != NULL) {
            const vmask valid = v_gt(v_load(mask + i), v_set(REAL(0.0)));
            harmless = m_or(harmless, m_not(valid));
            soft = m_and(soft, valid);
        }
        if (!m_all(harmless)) {
            *bad_target = 1;
        }
        const vreal target = v_select(in_range, t, v_set((real)NAN));
        v_store(norms, gradient_norm(v_load((const real *)span->logits + i), target));
        real soft_margin[V_LANES];
        for (size_t lane = 0; lane < V_LANES; lane++) {
            soft_margin[lane] =
                norms[lane] == norms[lane] ? upper[bin_of_norm(bins, norms[lane])] : (real)NAN;
        }
        v_store(margins + i, v_select(soft, v_load(soft_margin), v_load(margins + i)));
    }
}

/* The margins of a chunk; returns how many of its elements the mask marks valid
 * (0 without a mask). */
KERNEL_INLINE uint32_t chunk_margins(const struct fghm_bins *bins, const struct fghm_span *span,
                                     real *margins, int *bad_target) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real *const mask = span->weights;
    vtally valid_tally = v_tally_zero();
    vreal soft = v_set(REAL(0.0));
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal t = v_load(targets + i);
        vreal margin = hard_margin(v_load(logits + i), t);
        soft = v_or(soft, softness(t));
        if (mask != NULL) {
            const vmask valid = v_gt(v_load(mask + i), v_set(REAL(0.0)));
            valid_tally = v_tally_add(valid_tally, valid);
            margin = v_select(valid, margin, v_set(MASKED_MARGIN));
        }
        v_store(margins + i, margin);
    }
    if (__builtin_expect(!m_all(v_eq(soft, v_set(REAL(0.0)))), 0)) {
        soft_margins(bins, span, margins, bad_target);
    }
    return v_tally_total(valid_tally);
}

/* The same of GHM-R; there is no wrong target. */
KERNEL_INLINE uint32_t regression_margins(const struct fghm_span *span, real *margins) {
    const real *const mask = span->weights;
    vtally valid_tally = v_tally_zero();
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal prediction = v_load((const real *)span->logits + i);
        const vreal difference = v_sub(prediction, v_load((const real *)span->targets + i));
        vreal margin = v_sub(v_set(REAL(0.0)), v_abs(difference));
        if (mask != NULL) {
            const vmask valid = v_gt(v_load(mask + i), v_set(REAL(0.0)));
            valid_tally = v_tally_add(valid_tally, valid);
            margin = v_select(valid, margin, v_set(MASKED_MARGIN));
        }
        v_store(margins + i, margin);
    }
    return v_tally_total(valid_tally);
}

/* What it takes to find bins: among 16 cells, at most 32, or any number of them, which takes a
 * gather. */
enum cells { CELLS_16, CELLS_32, CELLS_ANY };

struct bin_finder {
    const real *cell_bin;
    const real *cell_upper;
    vreal scale, offset;
    vreal low, high; /* no margin below and above needs to be told from these */
    enum cells cells;
};

KERNEL_INLINE struct bin_finder bin_finder(const struct fghm_bins *bins, enum cells cells) {
    return (struct bin_finder){
        .cell_bin = bins->cell_bin,
        .cell_upper = bins->cell_upper,
        .scale = v_set((real)bins->cell_scale),
        .offset = v_set((real)bins->cell_offset),
        .low = v_set((real)bins->cell_low),
        .high = v_set((real)bins->cell_high),
        .cells = cells,
    };
}

KERNEL_INLINE vreal cell_lookup(enum cells cells, const real *table, vindex index) {
    return cells == CELLS_16   ? v_lookup16(table, index)
           : cells == CELLS_32 ? v_lookup32(table, index)
                               : v_lookup(table, index);
}

/* The bin of each lane; `bins` for NaN. */
KERNEL_INLINE vindex bin_of_margin(const struct bin_finder *finder, vreal margin) {
    /* NaN goes through both, and has cell 0. */
    const vreal held = v_min(finder->high, v_max(finder->low, margin));
    vreal cell = v_muladd(held, finder->scale, finder->offset);
    if (finder->cells == CELLS_ANY) {
        cell = v_max(cell, v_set(REAL(0.0)));
    }
    const vindex index = v_index(cell);
    const vreal first = cell_lookup(finder->cells, finder->cell_bin, index);
    const vreal upper = cell_lookup(finder->cells, finder->cell_upper, index);
    return v_index_increment(v_le(held, upper), v_index_bits(first));
}

/* As bin_of_margin.  Out of line: rare. */
static __attribute__((noinline)) vindex exact_bin(const struct fghm_bins *bins, vreal margin) {
    const struct bin_finder finder = bin_finder(bins, CELLS_ANY);
    return bin_of_margin(&finder, margin);
}

/* The bin of each lane from its margin and g = sigmoid(-z), which is right to
 * within half of the doubt; `bins` for NaN.  Only where bins g is so near to a
 * whole number that this does not tell the bin, tables must: a gather for each
 * register would take longer than all the rest. */
KERNEL_INLINE vindex bin_of_hard(const struct fghm_bins *bins, vreal margin, vreal norm) {
    const real count = (real)bins->bins;
    const vreal half = v_set(REAL(0.5));
    const vreal round = v_set(REAL_ROUND);
    /* No doubt at g = 1, nor about NaN, which the first v_min keeps. */
    const vreal scaled = v_min(v_sub(v_set(count), half), v_mul(norm, v_set(count)));
    const vreal place = v_min(scaled, v_add(v_set(count), half));
    const vreal distance = v_abs(v_sub(place, v_sub(v_add(place, round), round)));
    const vmask clear = v_le(v_mul(place, v_set(REAL(8.0) * REAL_EPSILON)), distance);
    if (__builtin_expect(!m_all(clear), 0)) {
        return exact_bin(bins, margin);
    }
    return v_index(place);
}

/* 16 cells, and bins and the one for NaN no more. */
static inline bool is_small(const struct fghm_bins *bins) {
    return bins->cells == 16 && bins->bins < 16;
}

/* Bins and the one for NaN fit a table of 128. */
static inline bool is_medium(const struct fghm_bins *bins) {
    return !is_small(bins) && bins->bins < 128;
}

/* Adds to at_least[0 ... group - 1] how many margins are in the bins from `upper`
 * on. */
KERNEL_INLINE void tally_group(size_t group, const real *upper, size_t n, const real *margins,
                               uint64_t *at_least) {
    vtally tallies[TALLY_GROUP];
    KERNEL_UNROLL
    for (size_t edge = 0; edge < group; edge++) {
        tallies[edge] = v_tally_zero();
    }
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal margin = v_load(margins + i);
        KERNEL_UNROLL
        for (size_t edge = 0; edge < group; edge++) {
            tallies[edge] = v_tally_add(tallies[edge], v_le(margin, v_set(upper[edge])));
        }
    }
    KERNEL_UNROLL
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

/* The bins of margins of hard targets, where bins are uniform. */
static inline void uniform_bins(const struct fghm_bins *bins, size_t n, const real *margins,
                                int32_t *indices) {
    const vreal one = v_set(REAL(1.0));
    real norms[CHUNK];
    for (size_t i = 0; i < n; i += V_LANES) {
        v_store(norms + i, exp_minus(v_abs(v_load(margins + i))));
    }
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal margin = v_load(margins + i);
        const vreal e = v_load(norms + i);
        const vreal above = v_select(v_gt(margin, v_set(REAL(0.0))), e, one);
        v_store(norms + i, v_mul(above, softplus_of(e).reciprocal));
    }
    for (size_t i = 0; i < n; i += V_LANES) {
        const vreal margin = v_load(margins + i);
        v_store_index(indices + i, bin_of_hard(bins, margin, v_load(norms + i)));
    }
}

/* A power of 2. */
static inline size_t histogram_copies(const struct fghm_bins *bins) {
    size_t copies = HISTOGRAMS;
    while (copies * (bins->bins + 1) > HISTOGRAM_ROOM) {
        copies /= 2;
    }
    return copies;
}

static inline void histogram_add(const struct fghm_bins *bins, size_t n, const real *margins,
                                 uint32_t *histograms) {
    int32_t indices[CHUNK];
    if (bins->uniform) {
        uniform_bins(bins, n, margins, indices);
    } else if (bins->cells == 0) {
        search_bins(bins, n, margins, indices);
    } else {
        const struct bin_finder finder = bin_finder(bins, CELLS_ANY);
        for (size_t i = 0; i < n; i += V_LANES) {
            v_store_index(indices + i, bin_of_margin(&finder, v_load(margins + i)));
        }
    }
    const size_t last = histogram_copies(bins) - 1;
    uint32_t *copies[HISTOGRAMS];
    for (size_t copy = 0; copy < HISTOGRAMS; copy++) {
        copies[copy] = histograms + (copy & last) * (bins->bins + 1);
    }
    for (size_t i = 0; i < n; i += HISTOGRAMS) {
        KERNEL_UNROLL
        for (size_t copy = 0; copy < HISTOGRAMS; copy++) {
            copies[copy][indices[i + copy]]++;
        }
    }
}

/* What one run of ghm_count counts into; which of them, how_to_count says. */
struct ghm_counter {
    uint64_t at_least[TALLY_BINS + TALLY_GROUP];
    uint32_t *histograms;
#ifdef V_HAS_PACKED_COUNTERS
    vtally packed[PACKED_REGISTERS * PACKED_FIELDS];
    packed_ones ones;
#endif
};

enum counting { COUNT_PACKED, COUNT_TALLIES, COUNT_HISTOGRAM };

static inline enum counting how_to_count(const struct fghm_bins *bins) {
#ifdef V_HAS_PACKED_COUNTERS
    if (is_small(bins)) {
        return COUNT_PACKED;
    }
#endif
    return bins->bins <= TALLY_BINS ? COUNT_TALLIES : COUNT_HISTOGRAM;
}

#ifdef V_HAS_PACKED_COUNTERS
KERNEL_INLINE void packed_add(int registers, const struct fghm_bins *bins, size_t n,
                              const real *margins, struct ghm_counter *counter) {
    const struct bin_finder finder = bin_finder(bins, CELLS_16);
    vpacked packed = v_packed_zero();
    for (size_t i = 0; i < n; i += V_LANES) {
        const vindex bin = bin_of_margin(&finder, v_load(margins + i));
        packed = v_packed_add(packed, &counter->ones, registers, bin);
    }
    v_packed_unload(counter->packed, packed, registers);
}

/* The same straight from the inputs; false, with nothing counted, if the chunk
 * has soft targets. */
KERNEL_INLINE bool packed_add_hard(int registers, const struct fghm_bins *bins,
                                   const struct fghm_span *span, struct ghm_counter *counter) {
    const struct bin_finder finder = bin_finder(bins, CELLS_16);
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    vpacked packed = v_packed_zero();
    vreal soft = v_set(REAL(0.0));
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal t = v_load(targets + i);
        const vreal margin = hard_margin(v_load(logits + i), t);
        soft = v_or(soft, softness(t));
        packed = v_packed_add(packed, &counter->ones, registers, bin_of_margin(&finder, margin));
    }
    const bool hard = m_all(v_eq(soft, v_set(REAL(0.0))));
    if (hard) {
        v_packed_unload(counter->packed, packed, registers);
    }
    return hard;
}

static inline bool few_packed(const struct fghm_bins *bins) {
    return bins->bins <= (PACKED_REGISTERS - 1) * PACKED_FIELDS;
}
#endif

/* Counts a chunk of hard targets without a mask in one sweep where that is
 * possible; false, with nothing counted, where not. */
static inline bool count_at_once(const struct fghm_bins *bins, const struct fghm_span *span,
                                 struct ghm_counter *counter) {
#ifdef V_HAS_PACKED_COUNTERS
    if (span->weights == NULL && how_to_count(bins) == COUNT_PACKED) {
        return few_packed(bins) ? packed_add_hard(PACKED_REGISTERS - 1, bins, span, counter)
                                : packed_add_hard(PACKED_REGISTERS, bins, span, counter);
    }
#endif
    (void)bins;
    (void)span;
    (void)counter;
    return false;
}

static inline void count_margins(const struct fghm_bins *bins, size_t n, const real *margins,
                                 struct ghm_counter *counter) {
    switch (how_to_count(bins)) {
    case COUNT_PACKED:
#ifdef V_HAS_PACKED_COUNTERS
        if (few_packed(bins)) {
            packed_add(PACKED_REGISTERS - 1, bins, n, margins, counter);
        } else {
            packed_add(PACKED_REGISTERS, bins, n, margins, counter);
        }
#endif
        break;
    case COUNT_TALLIES:
        tally(bins, n, margins, counter->at_least);
        break;
    case COUNT_HISTOGRAM:
        histogram_add(bins, n, margins, counter->histograms);
        break;
    }
}

static inline void counter_zero(const struct fghm_bins *bins, struct ghm_counter *counter) {
    switch (how_to_count(bins)) {
    case COUNT_PACKED:
#ifdef V_HAS_PACKED_COUNTERS
        memset(counter->packed, 0, sizeof counter->packed);
        v_packed_ones(&counter->ones);
#endif
        break;
    case COUNT_TALLIES:
        memset(counter->at_least, 0, sizeof counter->at_least);
        break;
    case COUNT_HISTOGRAM:
        memset(counter->histograms, 0,
               histogram_copies(bins) * (bins->bins + 1) * sizeof counter->histograms[0]);
        break;
    }
}

static inline void counter_collect(const struct fghm_bins *bins, const struct ghm_counter *counter,
                                   uint64_t *counts) {
    const enum counting how = how_to_count(bins);
    for (size_t bin = 0; bin < bins->bins; bin++) {
        if (how == COUNT_TALLIES) {
            const uint64_t above = bin + 1 < bins->bins ? counter->at_least[bin + 1] : 0;
            counts[bin] += counter->at_least[bin] - above;
        } else if (how == COUNT_HISTOGRAM) {
            for (size_t copy = 0; copy < histogram_copies(bins); copy++) {
                counts[bin] += counter->histograms[copy * (bins->bins + 1) + bin];
            }
        } else {
#ifdef V_HAS_PACKED_COUNTERS
            counts[bin] += v_tally_total(counter->packed[bin]);
#endif
        }
    }
}

/* Which margins an element has: those of GHM-C or of GHM-R. */
enum margin_kind { CLASSIFICATION, REGRESSION };

static inline uint64_t count_into(enum margin_kind kind, const struct fghm_bins *bins,
                                  const struct fghm_span *span, uint32_t *histograms,
                                  uint64_t *counts, int *bad_target) {
    struct ghm_counter counter;
    counter.histograms = histograms;
    real margins[CHUNK];
    uint64_t valid = 0;
    uint64_t masked = 0; /* and in the first bin */
    counter_zero(bins, &counter);
    struct span_walk walk;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        if (kind == CLASSIFICATION && !walk.padded && count_at_once(bins, walk.part, &counter)) {
            valid += walk.n;
            continue;
        }
        const uint32_t marked = kind == REGRESSION
                                    ? regression_margins(walk.part, margins)
                                    : chunk_margins(bins, walk.part, margins, bad_target);
        const size_t counted = span->weights == NULL ? walk.n : marked;
        for (size_t i = walk.n; i < walk.part->n; i++) {
            margins[i] = MASKED_MARGIN;
        }
        count_margins(bins, walk.part->n, margins, &counter);
        masked += walk.part->n - counted;
        valid += counted;
    }
    counter_collect(bins, &counter, counts);
    counts[0] -= masked;
    return valid;
}

/* Out of line, so that the larger room is on the stack only where it is needed. */
static __attribute__((noinline)) uint64_t count_many(enum margin_kind kind,
                                                     const struct fghm_bins *bins,
                                                     const struct fghm_span *span, uint64_t *counts,
                                                     int *bad_target) {
    uint32_t histograms[HISTOGRAM_ROOM];
    return count_into(kind, bins, span, histograms, counts, bad_target);
}

static __attribute__((noinline)) uint64_t count_few(enum margin_kind kind,
                                                    const struct fghm_bins *bins,
                                                    const struct fghm_span *span, uint64_t *counts,
                                                    int *bad_target) {
    uint32_t histograms[FEW_ROOM];
    return count_into(kind, bins, span, histograms, counts, bad_target);
}

static inline uint64_t count_run(enum margin_kind kind, const struct fghm_bins *bins,
                                 const struct fghm_span *span, uint64_t *counts, int *bad_target) {
    return bins->bins <= FEW_BINS ? count_few(kind, bins, span, counts, bad_target)
                                  : count_many(kind, bins, span, counts, bad_target);
}

KERNEL_INLINE void count_span(enum margin_kind kind, const struct fghm_bins *bins,
                              const struct fghm_span *span, uint64_t *counts, uint64_t *valid,
                              int *bad_target) {
    size_t n;
    for (size_t first = 0; first < span->n; first += n) {
        n = span->n - first < COUNT_RUN ? span->n - first : COUNT_RUN;
        const struct fghm_span part = sub_span(span, first, n);
        *valid += count_run(kind, bins, &part, counts, bad_target);
    }
}

static void ghm_count(const struct fghm_bins *bins, const struct fghm_span *span, uint64_t *counts,
                      uint64_t *valid, int *bad_target) {
    count_span(CLASSIFICATION, bins, span, counts, valid, bad_target);
}

static void ghmr_count(const struct fghm_bins *bins, const struct fghm_span *span, uint64_t *counts,
                       uint64_t *valid, int *bad_target) {
    count_span(REGRESSION, bins, span, counts, valid, bad_target);
}

/* A chunk's margins and weights. */
struct ghm_chunk {
    real margins[CHUNK];
    real weights[CHUNK];
};

/* No weight for what the mask says is not valid. */
static inline void mask_weights(const struct fghm_span *span, real *weights) {
    const real *const mask = span->weights;
    for (size_t i = 0; mask != NULL && i < span->n; i += V_LANES) {
        const vmask valid = v_gt(v_load(mask + i), v_set(REAL(0.0)));
        v_store(weights + i, v_keep(valid, v_load(weights + i)));
    }
}

/* The weights of any chunk, by way of margins. */
static __attribute__((noinline)) void
any_weights(enum margin_kind kind, const struct fghm_bins *bins, const real *bin_weights,
            const struct fghm_span *span, struct ghm_chunk *chunk, int *bad) {
    if (kind == REGRESSION) {
        regression_margins(span, chunk->margins);
    } else {
        chunk_margins(bins, span, chunk->margins, bad);
    }
    if (bins->cells == 0) {
        int32_t indices[CHUNK];
        search_bins(bins, span->n, chunk->margins, indices);
        for (size_t i = 0; i < span->n; i++) {
            chunk->weights[i] = bin_weights[indices[i]];
        }
    } else if (bins->cells <= 32 && bins->bins < 16) {
        const struct bin_finder finder = bin_finder(bins, CELLS_32);
        for (size_t i = 0; i < span->n; i += V_LANES) {
            const vreal margin = v_load(chunk->margins + i);
            v_store(chunk->weights + i, v_lookup16(bin_weights, bin_of_margin(&finder, margin)));
        }
    } else {
        const struct bin_finder finder = bin_finder(bins, CELLS_ANY);
        for (size_t i = 0; i < span->n; i += V_LANES) {
            const vreal margin = v_load(chunk->margins + i);
            v_store(chunk->weights + i, v_lookup(bin_weights, bin_of_margin(&finder, margin)));
        }
    }
    mask_weights(span, chunk->weights);
}

static __attribute__((noinline)) void harmonize(enum margin_kind kind, const struct fghm_bins *bins,
                                                const real *bin_weights,
                                                const struct fghm_span *span, real *weights) {
    struct ghm_chunk chunk;
    struct span_walk walk;
    int bad = 0;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        any_weights(kind, bins, bin_weights, walk.part, &chunk, &bad);
        memcpy(weights + walk.first, chunk.weights, walk.n * sizeof(real));
    }
}

static void ghm_harmonize(const struct fghm_bins *bins, const void *bin_weights,
                          const struct fghm_span *span, void *weights) {
    harmonize(CLASSIFICATION, bins, bin_weights, span, weights);
}

static void ghmr_harmonize(const struct fghm_bins *bins, const void *bin_weights,
                           const struct fghm_span *span, void *weights) {
    harmonize(REGRESSION, bins, bin_weights, span, weights);
}

/* The results of a register for the weight of its bins. */
KERNEL_INLINE void store_weighted(struct focal_kind kind, const struct focal_factors *factors,
                                  const struct fghm_span *span, size_t i, vmask is_one,
                                  struct focal_values values, vreal weight, real *losses) {
    real *const element_loss = span->element_loss;
    real *const gradient = span->gradient;
    real *const hessian = span->hessian;
    const vreal scaled = v_mul(factors->positive_scaled, weight);
    const vreal loss = v_mul(values.loss, weight);
    v_store(losses + i, loss);
    if (element_loss != NULL) {
        v_store(element_loss + i, loss);
    }
    if (kind.want >= WANT_GRADIENT && gradient != NULL) {
        v_store(gradient + i, v_mul(values.gradient, v_negate_where(is_one, scaled)));
    }
    if (kind.want >= WANT_HESSIAN && hessian != NULL) {
        v_store(hessian + i, v_mul(v_mul(values.hessian, v_set(REAL_DROP)), scaled));
    }
}

KERNEL_INLINE vreal weight_of_bin(const struct fghm_bins *bins, const real *bin_weights,
                                  vindex bin) {
    return bins->bins < 32   ? v_lookup32(bin_weights, bin)
           : is_medium(bins) ? v_lookup128(bin_weights, bin)
                             : v_lookup(bin_weights, bin);
}

/* A chunk of hard targets and finite logits, without a mask.  The second sweep has
 * g at hand, which tells the bin; of many bins, that and their weights take a third one. */
KERNEL_INLINE void regular_results(struct focal_kind kind, const struct focal_factors *factors,
                                   const struct fghm_bins *bins, const real *bin_weights,
                                   const struct fghm_span *span, struct chunk_exponentials *chunk) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const bool small = is_small(bins);
    const struct bin_finder finder = bin_finder(bins, CELLS_16);
    const struct focal_exponents exponents = {.gamma = factors->gamma,
                                              .derivative = factors->gamma.high};
    real gradients[CHUNK], hessians[CHUNK];
    for (size_t i = 0; i < span->n; i += V_LANES) {
        const vreal e = v_load(chunk->high + i);
        const vmask is_one = v_eq(v_load(targets + i), v_set(REAL(1.0)));
        const vreal logit = v_load(logits + i);
        const vreal minus_z = v_negate_where(is_one, logit);
        const struct pair dropped = {v_mul(e, v_set(is_lifted(kind) ? REAL_DROP : REAL(1.0))),
                                     v_set(REAL(0.0))};
        const struct powered powered =
            powered_of(kind, factors, &exponents, minus_z, dropped, NULL, i);
        const struct focal_values values =
            hard_values(kind, factors, &exponents, minus_z, e, powered, NULL, i);
        if (small) {
            const vindex bin = bin_of_margin(&finder, v_negate_unless(is_one, logit));
            store_weighted(kind, factors, span, i, is_one, values, v_lookup16(bin_weights, bin),
                           chunk->high);
            continue;
        }
        v_store(chunk->high + i, values.loss);
        v_store(gradients + i, values.gradient);
        if (kind.want >= WANT_HESSIAN) {
            v_store(hessians + i, values.hessian);
        }
    }
    for (size_t i = 0; !small && i < span->n; i += V_LANES) {
        const vmask is_one = v_eq(v_load(targets + i), v_set(REAL(1.0)));
        const vreal margin = v_negate_unless(is_one, v_load(logits + i));
        const struct focal_values values = {
            .loss = v_load(chunk->high + i),
            .gradient = v_load(gradients + i),
            .hessian = v_load((kind.want >= WANT_HESSIAN ? hessians : gradients) + i)};
        const vindex bin = bin_of_hard(bins, margin, values.gradient);
        store_weighted(kind, factors, span, i, is_one, values,
                       weight_of_bin(bins, bin_weights, bin), chunk->high);
    }
}

KERNEL_INLINE bool apply_regular_chunk(struct focal_kind kind, const struct focal_factors *factors,
                                       const struct fghm_bins *bins, const real *bin_weights,
                                       const struct fghm_span *span, struct lane_sum *total) {
    struct chunk_exponentials chunk;
    if (!(bins->uniform || is_small(bins))) {
        return false;
    }
    const struct chunk_nature nature = exponentials(kind, factors, span, &chunk);
    if (!nature.regular) {
        return false;
    }
    regular_results(kind, factors, bins, bin_weights, span, &chunk);
    lane_sum_add_chunk(total, span->n, chunk.high, nature.moderate);
    return true;
}

KERNEL_INLINE void apply_chunk(struct focal_kind kind, const struct fghm_focal_constants *constants,
                               double scale, const struct focal_factors *factors,
                               const struct fghm_bins *bins, const real *bin_weights,
                               const struct fghm_span *span, struct lane_sum *total, int *bad) {
    if (!apply_regular_chunk(kind, factors, bins, bin_weights, span, total)) {
        struct ghm_chunk chunk;
        struct fghm_span weighted = *span;
        any_weights(CLASSIFICATION, bins, bin_weights, span, &chunk, bad);
        weighted.weights = chunk.weights;
        focal_chunk(kind, constants, scale, factors, &weighted, total, bad);
    }
}

KERNEL_INLINE void apply_span(int want, const struct fghm_bins *bins, const void *bin_weights,
                              double scale, const struct fghm_span *span, struct fghm_sum *sum,
                              int *bad) {
    const struct focal_kind kind = {FGHM_GAMMA_0, want, true, false};
    const struct fghm_focal_constants constants = {
        .positive = 1,
        .negative = 1,
        .hessian_floor = -DBL_MAX,
        .hessian_factor = 1,
    };
    const struct focal_factors factors = focal_factors(&constants, scale);
    real medium_weights[128];
    if (is_medium(bins)) {
        memset(medium_weights, 0, sizeof medium_weights);
        memcpy(medium_weights, bin_weights, (bins->bins + 1) * sizeof(real));
        bin_weights = medium_weights;
    }
    struct lane_sum total;
    lane_sum_start(&total, sum);
    struct span_walk walk;
    walk_start(&walk, span);
    while (walk_next(&walk)) {
        apply_chunk(kind, &constants, scale, &factors, bins, bin_weights, walk.part, &total, bad);
        walk_finish_part(&walk);
    }
    lane_sum_end(&total, sum);
}

/* Elements without a mask. */
static __attribute__((noinline)) void apply_valid(const struct fghm_bins *bins,
                                                  const void *bin_weights, double scale,
                                                  const struct fghm_span *span,
                                                  struct fghm_sum *sum, int *bad) {
    if (span->hessian != NULL) {
        apply_span(WANT_HESSIAN, bins, bin_weights, scale, span, sum, bad);
    } else {
        /* The loss alone is asked for too rarely for a loop of its own. */
        apply_span(WANT_GRADIENT, bins, bin_weights, scale, span, sum, bad);
    }
}

/* How many elements are masked at a time: those of one sweep, in the level 1 cache. */
#define MASKED_BLOCK CHUNK

/* Elements with a mask: harmless ones take the place of those that are not valid. */
static void ghm_apply(const struct fghm_bins *bins, const void *bin_weights, double scale,
                      const struct fghm_span *span, struct fghm_sum *sum, int *bad) {
    if (span->weights == NULL) {
        apply_valid(bins, bin_weights, scale, span, sum, bad);
        return;
    }
    real logits[MASKED_BLOCK], targets[MASKED_BLOCK];
    for (size_t first = 0; first < span->n; first += MASKED_BLOCK) {
        const size_t left = span->n - first;
        struct fghm_span part = sub_span(span, first, left < MASKED_BLOCK ? left : MASKED_BLOCK);
        const real *const from = part.logits;
        const real *const mask = part.weights;
        const real *const targets_from = part.targets;
        const size_t whole = part.n - part.n % V_LANES;
        for (size_t i = 0; i < whole; i += V_LANES) {
            const vmask valid = v_gt(v_load(mask + i), v_set(REAL(0.0)));
            v_store(logits + i, v_select(valid, v_load(from + i), v_set(HARMLESS_LOGIT)));
            v_store(targets + i, v_select(valid, v_load(targets_from + i), v_set(REAL(1.0))));
        }
        for (size_t i = whole; i < part.n; i++) {
            const bool valid = mask[i] > 0;
            logits[i] = valid ? from[i] : HARMLESS_LOGIT;
            targets[i] = valid ? targets_from[i] : 1;
        }
        part.logits = logits;
        part.targets = targets;
        part.weights = NULL;
        apply_valid(bins, bin_weights, scale, &part, sum, bad);
    }
}

#endif
