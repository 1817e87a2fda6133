/* SPDX-License-Identifier: MIT */
#ifndef FGHM_KERNELS_TILE_KERNEL_H
#define FGHM_KERNELS_TILE_KERNEL_H

/* What the walk asks of an instruction set besides the losses: what is done to every element of
 * a tile on its way to them. */

#include "kernels/double_sum.h"
#include "kernels/kernels.h"
#include "kernels/span_walk.h"
#include "vec/real.h"

/* A logit, and a probability that is no end: those may be too large for their derivatives. */
#define IGNORED_LOGIT REAL(0.5)

static void blank(const uint8_t *ignored, const struct fghm_span *span, void *logits_to,
                  void *targets_to, void *weights_to) {
    const real *const logits = span->logits;
    const real *const targets = span->targets;
    const real *const weights = span->weights;
    real *const blank_logits = logits_to;
    real *const blank_targets = targets_to;
    real *const blank_weights = weights_to;
    const size_t whole = span->n - span->n % V_LANES;
    for (size_t k = 0; k < whole; k += V_LANES) {
        const vmask out = m_load(ignored + k);
        const vreal weight = weights == NULL ? v_set(REAL(1.0)) : v_load(weights + k);
        v_store(blank_logits + k, v_select(out, v_set(IGNORED_LOGIT), v_load(logits + k)));
        v_store(blank_targets + k, v_select(out, v_set(REAL(1.0)), v_load(targets + k)));
        v_store(blank_weights + k, v_drop(out, weight));
    }
    for (size_t k = whole; k < span->n; k++) {
        const real weight = weights == NULL ? REAL(1.0) : weights[k];
        blank_logits[k] = ignored[k] ? IGNORED_LOGIT : logits[k];
        blank_targets[k] = ignored[k] ? REAL(1.0) : targets[k];
        blank_weights[k] = ignored[k] ? REAL(0.0) : weight;
    }
}

/* The factor of a class for a target t. */
static inline double class_factor(const struct fghm_class_factors *factors, size_t class_index,
                                  double t) {
    const double own = factors->weights == NULL ? 1 : factors->weights[class_index];
    const double weight = own * factors->common;
    if (factors->alpha == NULL) {
        return t * weight + (1 - t) * weight;
    }
    const double alpha = factors->alpha[class_index];
    return t * (weight * alpha) + (1 - t) * (weight * (1 - alpha));
}

static void weigh(const struct fghm_class_factors *factors, size_t step, size_t n,
                  const void *targets_from, const void *weights_from, void *weights_to,
                  void *const shares[2]) {
    const real *const targets = targets_from;
    const real *const weights = weights_from;
    real *const to = weights_to;
    real *const positive = shares[0];
    real *const negative = shares[1];
    for (size_t k = 0; k < n; k++) {
        double t = (double)targets[k];
        if (positive != NULL) {
            const double alpha = factors->alpha[k * step];
            const double larger = alpha < 1 - alpha ? 1 - alpha : alpha;
            positive[k] = (real)(alpha / larger);
            negative[k] = (real)((1 - alpha) / larger);
            t = t > 0 && t < 1 ? alpha == larger : t;
        }
        const double factor = class_factor(factors, k * step, t);
        to[k] = (real)(factor * (weights == NULL ? 1 : (double)weights[k]));
    }
}

/* The sum of up to CHUNK numbers from `least` to `most`, in SUM_LANES lanes. */
static inline double chunk_total(real least, real most, size_t n, const real *numbers) {
    double lanes[SUM_LANES];
    vsum sum;
    v_sum_zero(&sum);
    const size_t whole = n - n % SUM_LANES;
    for (size_t i = 0; i < whole; i += V_LANES) {
        const vreal x = v_load(numbers + i);
        const vmask fits = m_and(v_le(v_set(least), x), v_le(x, v_set(most)));
        v_sum_add(&sum, (int)(i % SUM_LANES) / V_LANES, v_keep(fits, x));
    }
    v_sum_store(lanes, &sum);
    for (size_t i = whole; i < n; i++) {
        lanes[i - whole] += numbers[i] >= least && numbers[i] <= most ? (double)numbers[i] : 0;
    }
    for (size_t width = SUM_LANES / 2; width > 0; width /= 2) {
        for (size_t lane = 0; lane < width; lane++) {
            lanes[lane] += lanes[lane + width];
        }
    }
    return lanes[0];
}

static void total(double least, double most, size_t n, const void *numbers_from, double *high,
                  double *low) {
    const real *const numbers = numbers_from;
    struct double_sum sum = {*high, *low};
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        double_sum_add(&sum, chunk_total((real)least, (real)most, length, numbers + at));
    }
    *high = sum.high;
    *low = sum.low;
}

/* Counts targets from `least` on among up to CHUNK.  Returns whether all are 0 or 1. */
static inline bool count_targets(real least, size_t n, const real *targets, uint32_t *positives) {
    const size_t whole = n - n % V_LANES;
    vtally tally = v_tally_zero();
    vreal soft = v_set(REAL(0.0));
    for (size_t i = 0; i < whole; i += V_LANES) {
        const vreal t = v_load(targets + i);
        tally = v_tally_add(tally, v_le(v_set(least), t));
        soft = v_or(soft, v_mulsub(t, t, t));
    }
    bool hard = m_all(v_eq(soft, v_set(REAL(0.0))));
    *positives = v_tally_total(tally);
    for (size_t i = whole; i < n; i++) {
        *positives += targets[i] >= least;
        hard = hard && (targets[i] == 0 || targets[i] == 1);
    }
    return hard;
}

/* The sum of targets of 0 and 1 is their count. */
static void tally_targets(double least, bool any, size_t n, const void *targets_from,
                          const uint8_t *ignored, struct fghm_tally *result) {
    const real *const targets = targets_from;
    struct double_sum sum = {result->sum, result->sum_error};
    const real low = any ? -(real)INFINITY : 0;
    const real high = any ? (real)INFINITY : 1;
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t length = n - at < CHUNK ? n - at : CHUNK;
        const real *chunk = targets + at;
        real valid[CHUNK];
        for (size_t k = 0; ignored != NULL && k < length; k++) {
            valid[k] = ignored[at + k] ? 0 : chunk[k];
        }
        chunk = ignored == NULL ? chunk : valid;
        uint32_t positives;
        const bool hard = count_targets((real)least, length, chunk, &positives);
        result->positives += positives;
        double_sum_add(&sum, hard ? (double)positives : chunk_total(low, high, length, chunk));
    }
    result->sum = sum.high;
    result->sum_error = sum.low;
}

#endif
