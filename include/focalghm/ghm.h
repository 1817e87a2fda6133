/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_GHM_H
#define FOCALGHM_GHM_H

#include <stddef.h>
#include <stdint.h>

#include "focalghm/batch.h"
#include "focalghm/export.h"
#include "focalghm/pool.h"
#include "focalghm/reduction.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The gradient harmonizing mechanism (Li, Liu, Wang: Gradient Harmonized
 * Single-stage Detector, AAAI 2019), with the conventions of mmdetection's GHMC and GHMR
 * but where they are defects.
 *
 * GHM-C, for classification: with logit x, target t, p = sigmoid(x), the gradient norm is
 * g = |p - t| and the loss binary cross-entropy, BCE = t softplus(-x) + (1 - t) softplus(x).
 *
 * GHM-R, for regression: with prediction y, target t, d = y - t, the gradient norm is
 * g = |d| / sqrt(d^2 + mu^2) and the loss ASL1 = sqrt(d^2 + mu^2) - mu.
 *
 * The range [0, 1] of g is cut into bins, of equal width unless other edges are set: bin b
 * holds edge[b] <= g < edge[b + 1], the last one also g = 1.  Let, over the valid elements
 * of a batch,
 *
 *     total    = number of them (mmdetection's GHMR sums their label weights instead, which
 *                disagrees with the counts where weights are fractions)
 *     R_b      = number of them in bin b
 *     n        = number of bins with R_b > 0, or of all bins (see the divisor)
 *     w_b      = min(total / (R_b n), cap), 0 for an empty bin
 *
 * Then element i of bin b has element_loss = w_b BCE or w_b ASL1.  The weights count as
 * constants: the gradient is w_b (p - t) or w_b d / sqrt(d^2 + mu^2), the Hessian
 * w_b p (1 - p) or w_b mu^2 / (d^2 + mu^2)^(3/2), each times the loss weight and 1 / D of
 * the reduction.  With momentum, averages over batches take the place of R_b and total.
 *
 * Counts are exact.  For GHM-C and t = 0 or 1 an element's bin is the one that real
 * arithmetic gives for its logit; for other targets g is computed in the precision of the
 * call and compared with the edges in the same precision.  For GHM-R the bin is that of real
 * arithmetic for the difference d, which is rounded.
 *
 * One call does it all; or count on any number of threads, machines or parts of a batch, add
 * up the counts, update once per step, and apply:
 *
 *     fghm_ghm_count_f32(ghm, ..., counts)       for each part; const ghm
 *     MPI_Allreduce(counts, ...)                  or a loop of additions
 *     fghm_ghm_update(ghm, size, counts)          once
 *     fghm_ghm_apply_f32(ghm, ...)               for each part; const ghm
 *
 * The results are then those of one call on the whole, bit for bit (but for the loss,
 * which is a sum in another order). */

/* Configuration and state: settings, the counts of the last update and what momentum has
 * averaged.  Any number of threads may count, apply or read with a handle at a time; what
 * takes it without const needs it for itself.  A handle's momentum is that of one loss: use
 * two for GHM-C and GHM-R. */
typedef struct fghm_ghm fghm_ghm;

/* Which loss a handle is for. */
typedef int32_t fghm_ghm_kind;

enum fghm_ghm_kind_values {
    FGHM_GHM_INVALID = -1,
    FGHM_GHM_CLASSIFICATION = 1,
    FGHM_GHM_REGRESSION = 2
};

/* The largest number of bins, and of histograms. */
enum fghm_ghm_limits {
    FGHM_GHM_LIMIT_INVALID = -1,
    FGHM_BINS_MAX = 4096,
    FGHM_HISTOGRAMS_MAX = 65536
};

/* Makes a handle with 10 bins of equal width, one histogram, no momentum, mu 0.02, loss
 * weight 1, FGHM_REDUCTION_MEAN and no history.
 * Errors: NULL_HANDLE (ghm is NULL), CONSTANT, MEMORY; *ghm is then left as it was. */
FGHM_API fghm_status fghm_ghm_create(fghm_ghm **ghm, fghm_ghm_kind kind);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_kind(const fghm_ghm *ghm, fghm_ghm_kind *kind);

/* Frees it.  NULL is a no-op. */
FGHM_API fghm_status fghm_ghm_clone(const fghm_ghm *ghm, fghm_ghm **copy);
FGHM_API fghm_status fghm_ghm_create_from_state(fghm_ghm **ghm, size_t size, const void *state);
FGHM_API void fghm_ghm_destroy(fghm_ghm *ghm);

/* Bins of equal width, 1 to FGHM_BINS_MAX.  Forgets the history.
 * Errors: NULL_HANDLE, BINS, MEMORY; the handle is then as it was. */
FGHM_API fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_bins(const fghm_ghm *ghm, size_t *bins);

/* Other edges: bins + 1 of them, rising from 0 to 1, the second at least DBL_MIN.  Forgets
 * the history.  Errors: NULL_HANDLE, NULL_POINTER, BINS, EDGES, MEMORY; the handle is then as
 * it was. */
FGHM_API fghm_status fghm_ghm_set_edges(fghm_ghm *ghm, size_t bins, const double *edges);

/* Separate histograms, for calls over batches: with more than one, there must be as many as
 * the batch has classes, and the elements of class c are counted in histogram c and weighed
 * by it alone, total and n being its own.  Forgets the history.
 * Errors: NULL_HANDLE, HISTOGRAMS (not 1 to FGHM_HISTOGRAMS_MAX), MEMORY; the handle is then
 * as it was. */
FGHM_API fghm_status fghm_ghm_set_histograms(fghm_ghm *ghm, size_t histograms);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_histograms(const fghm_ghm *ghm, size_t *histograms);

/* mu of GHM-R, 0.02 until set.  Forgets the history.
 * Errors: NULL_HANDLE, MU, MEMORY; the handle is then as it was. */
FGHM_API fghm_status fghm_ghm_set_mu(fghm_ghm *ghm, double mu);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_mu(const fghm_ghm *ghm, double *mu);

/* Momentum m in [0, 1); 0, which is off, until set.  Errors: NULL_HANDLE, MOMENTUM. */
FGHM_API fghm_status fghm_ghm_set_momentum(fghm_ghm *ghm, double momentum);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_momentum(const fghm_ghm *ghm, double *momentum);

/* What momentum does at each update.  S and T start at 0. */
typedef int32_t fghm_ghm_momentum_rule;

/* S_b = m S_b + (1 - m) R_b for every bin, T = m T + (1 - m) total, and
 * w_b = min(T / (S_b n), cap) for a bin with R_b > 0.  S and T have been at 0 equally long,
 * so that w needs no correction for it: the first step is that of no momentum, and so is
 * every one if the histogram stays the same.  w is never more than 1 / (1 - m) times T / (R_b n),
 * however rarely a bin is visited. */
enum fghm_ghm_momentum_rule_values {
    FGHM_GHM_MOMENTUM_INVALID = -1,
    FGHM_GHM_MOMENTUM_CORRECTED = 0,
    FGHM_GHM_MOMENTUM_REFERENCE = 1
};
/* mmdetection's rule, for published runs: S_b = m S_b + (1 - m) R_b for bins with R_b > 0,
 * the others stay, and w_b = min(total / (S_b n), cap).  The first step's weights are
 * 1 / (1 - m) times too large, and a bin's are again after it has been empty since the
 * start.  (mmdetection holds S in float, this library in double.) */

/* FGHM_GHM_MOMENTUM_CORRECTED until set.  Errors: NULL_HANDLE, MOMENTUM_RULE. */
FGHM_API fghm_status fghm_ghm_set_momentum_rule(fghm_ghm *ghm, fghm_ghm_momentum_rule rule);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_momentum_rule(const fghm_ghm *ghm, fghm_ghm_momentum_rule *rule);

/* What n counts. */
typedef int32_t fghm_ghm_divisor;

enum fghm_ghm_divisor_values {
    FGHM_GHM_DIVISOR_INVALID = -1,
    FGHM_GHM_DIVISOR_NONEMPTY_BINS,
    FGHM_GHM_DIVISOR_ALL_BINS
}; /* bins with elements in this batch: the code */
   /* all bins: the paper */

/* FGHM_GHM_DIVISOR_NONEMPTY_BINS until set.  Errors: NULL_HANDLE, DIVISOR. */
FGHM_API fghm_status fghm_ghm_set_divisor(fghm_ghm *ghm, fghm_ghm_divisor divisor);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_divisor(const fghm_ghm *ghm, fghm_ghm_divisor *divisor);

/* The cap of w_b, above 0; INFINITY, which is none, until set.
 * Errors: NULL_HANDLE, WEIGHT_CAP. */
FGHM_API fghm_status fghm_ghm_set_weight_cap(fghm_ghm *ghm, double cap);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_weight_cap(const fghm_ghm *ghm, double *cap);

/* A factor of the whole loss and all its results (1 until set): finite, >= 0.  It is not
 * part of w.  Errors: NULL_HANDLE, LOSS_WEIGHT. */
FGHM_API fghm_status fghm_ghm_set_loss_weight(fghm_ghm *ghm, double loss_weight);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_loss_weight(const fghm_ghm *ghm, double *loss_weight);

/* SUM, MEAN or NORMALIZER; MEAN divides by total (at least 1) of the last update, summed
 * over the histograms.  Errors: NULL_HANDLE, REDUCTION. */
FGHM_API fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction);

/* The divisor of FGHM_REDUCTION_NORMALIZER (1 until set), from FLT_MIN to FLT_MAX.
 * Setting it does not change the reduction.  Errors: NULL_HANDLE, NORMALIZER. */
FGHM_API fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer);

/* GHM-C of n contiguous elements: counts them, updates the handle, applies the weights.
 *
 *   pool          threads to use; NULL: the calling thread alone
 *   n             number of elements; 0 gives loss 0 and touches no array
 *   logits        n logits, any value
 *   targets       n targets in [0, 1]
 *   mask          n values: element i is valid if mask[i] > 0 (how large it is
 *                 does not matter; NaN is not valid); NULL: all are valid
 *   loss          the reduced loss, one double
 *   element_loss  n values w_b BCE, not reduced
 *   gradient      n values d loss / d logits[i]
 *   hessian       n values d2 loss / d logits[i]2
 *
 * An element that is not valid is in no bin and has the results 0, whatever its
 * logit and target are.  If none is valid, loss and all results are 0.
 *
 * Any of the four outputs may be NULL; with all four NULL the batch is counted, the handle
 * updated, and nothing else is done.  gradient, element_loss and hessian may be the very
 * array of logits, targets or mask; no other overlap of an output with another
 * array is allowed.
 *
 * Accuracy is that of fghm_focal_f32 with gamma 0 and alpha off, w_b being one more factor.
 *
 * A valid element whose logit or target is NaN is in no bin, but counts in
 * total; its results and the loss are NaN.  An infinite logit gives the limit.
 * A target outside [0, 1] of a valid element returns FGHM_ERROR_TARGET.
 *
 * Errors: NULL_HANDLE (ghm), NULL_POINTER (logits or targets, with n > 0), SIZE, ALIASING,
 * HISTOGRAMS (the handle has more than one), TARGET: nothing is written and the handle stays
 * as it was. */
FGHM_API fghm_status fghm_ghm_step_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                       const float *inputs, const float *targets, const float *mask,
                                       double *loss, float *element_loss, float *gradient,
                                       float *hessian);

/* The same in double precision. */
FGHM_API fghm_status fghm_ghm_step_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                       const double *inputs, const double *targets,
                                       const double *mask, double *loss, double *element_loss,
                                       double *gradient, double *hessian);

/* GHM-R likewise, of predictions; targets may have any value.  element_loss and gradient are
 * right to 5 ulp, the Hessian to 10, or to as many times the smallest subnormal number, before
 * w and 1 / D, each of which may add 2, with the difference prediction - target rounded once;
 * it may be as large as the type allows, and beyond, where the limits stand in. */

/* Counting alone: adds to `counts`, for each histogram, bins + 1 numbers: R_b of each bin,
 * and the number of valid elements in no bin (NaN).
 *
 *   capacity  how many numbers `counts` has room for; fghm_ghm_get_counts_size says how
 *             many there are
 *   counts    zeros, or counts of other parts of the same batch; must not overlap an input,
 *             and is one call's at a time: give each thread its own and add them up
 *
 * Errors: as fghm_ghm_step_f32 has them, NULL_POINTER (counts), CAPACITY: nothing is added. */
FGHM_API fghm_status fghm_ghm_count_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const float *inputs, const float *targets,
                                        const float *mask, size_t capacity, uint64_t *counts);
FGHM_API fghm_status fghm_ghm_count_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const double *inputs, const double *targets,
                                        const double *mask, size_t capacity, uint64_t *counts);

/* Takes the counts of a step, of all its parts: averages move, weights are made.  Once per
 * step.  Counts may be of any size, as long as a histogram's sum is below 2^64.
 * Errors: NULL_HANDLE, NULL_POINTER, CAPACITY (below what get_counts_size says). */
FGHM_API fghm_status fghm_ghm_update(fghm_ghm *ghm, size_t capacity, const uint64_t *counts);

/* Applying alone: as fghm_ghm_step_f32, with the weights that the handle has.  D of a mean is
 * total of the last update.  Errors: as fghm_ghm_step_f32 has them and NO_OUTPUT, but TARGET
 * comes after the rest is done, as in fghm_focal_f32. */
FGHM_API fghm_status fghm_ghm_apply_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const float *inputs, const float *targets,
                                        const float *mask, double *loss, float *element_loss,
                                        float *gradient, float *hessian);
FGHM_API fghm_status fghm_ghm_apply_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const double *inputs, const double *targets,
                                        const double *mask, double *loss, double *element_loss,
                                        double *gradient, double *hessian);

/* The same three over a batch in any form; see batch.h.  The weights of the batch are the
 * mask; what is ignored is not valid.  harmonizing_weight gets w of each element, 0 where it
 * is not valid or is in no bin.  With softmax (GHM-C), g of a sample is 1 - p_y, y being its
 * label, and the loss its cross-entropy; a sample then is what an element is above.
 *
 * A count's *result has the numbers of elements alone.  result may be NULL.
 *
 * Errors: those of fghm_focal_batch (COMBINATION also for class_alpha, class_weights and
 * probabilities, and for GHM-R for labels, softmax and label smoothing), HISTOGRAMS (neither
 * 1 nor the number of classes, or not 1 with softmax), MEMORY (counts of many histograms).
 * TARGET leaves outputs and handle as they were, but for fghm_..._apply_batch, where it comes
 * after the rest is done. */
FGHM_API fghm_status fghm_ghm_step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                         fghm_result *result);
FGHM_API fghm_status fghm_ghm_count_batch(const fghm_ghm *ghm, fghm_pool *pool,
                                          const fghm_batch *batch, size_t capacity,
                                          uint64_t *counts, fghm_result *result);
FGHM_API fghm_status fghm_ghm_apply_batch(const fghm_ghm *ghm, fghm_pool *pool,
                                          const fghm_batch *batch, fghm_result *result);

/* The weights that the paper's gradient density gives, without the bins that approximate it:
 * with eps = 1 / bins,
 *
 *     GD(g) = number of valid k with g - eps/2 <= g_k < g + eps/2, divided by
 *             min(g + eps/2, 1) - max(g - eps/2, 0)
 *     w_i   = min(total / GD(g_i), cap)
 *
 * 0 where an element is not valid or is NaN.  No momentum.  A loss with these weights is
 * fghm_focal_f32 with gamma 0, alpha off and w for its weights.  Sorts: O(n log n) time, and
 * the one computation that takes memory, 16 n bytes and what qsort takes.
 *
 * All of it is the calling thread's work.
 *
 *   weights  n values; must not overlap an input
 *
 * Errors: NULL_HANDLE, NULL_POINTER (logits, targets or weights, with n > 0), SIZE, ALIASING,
 * TARGET, MEMORY: nothing is written. */
FGHM_API fghm_status fghm_ghm_density_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                          const float *inputs, const float *targets,
                                          const float *mask, float *weights);
FGHM_API fghm_status fghm_ghm_density_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                          const double *inputs, const double *targets,
                                          const double *mask, double *weights);

/* Reading back.  Rows of bins, one for each histogram; capacity: how many numbers there is
 * room for.  Errors: NULL_HANDLE, NULL_POINTER, CAPACITY.
 *
 * The bins + 1 edges, from 0 to 1, the same for every histogram. */
FGHM_API fghm_status fghm_ghm_get_edges(const fghm_ghm *ghm, size_t capacity, double *edges);

/* R_b of the last update; 0 before the first. */
FGHM_API fghm_status fghm_ghm_get_counts(const fghm_ghm *ghm, size_t capacity, uint64_t *counts);

/* The averages S_b, with the corrected rule divided by 1 - m^steps; without momentum R_b. */
FGHM_API fghm_status fghm_ghm_get_averages(const fghm_ghm *ghm, size_t capacity, double *averages);

/* w_b; 0 before the first update. */
FGHM_API fghm_status fghm_ghm_get_weights(const fghm_ghm *ghm, size_t capacity, double *weights);

/* How many bins of a histogram had elements at the last update.
 * Errors: NULL_HANDLE, NULL_POINTER, HISTOGRAMS (there is no such one). */
FGHM_API fghm_status fghm_ghm_get_nonempty(const fghm_ghm *ghm, size_t capacity, size_t *nonempty);

/* How many updates there have been.  Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_steps(const fghm_ghm *ghm, uint64_t *steps);

/* histograms (bins + 1): how many numbers counting and updating have.
 * Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_counts_size(const fghm_ghm *ghm, size_t *size);

/* State.  A training that saves it, is stopped, and loads it goes on bit for bit.  The bytes
 * are the same on every machine and hold all settings and the history.
 *
 * The size of what save writes.  Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_state_size(const fghm_ghm *ghm, size_t *size);

/* Writes that many bytes.  Errors: NULL_HANDLE, NULL_POINTER, CAPACITY (of fewer bytes). */
FGHM_API fghm_status fghm_ghm_save(const fghm_ghm *ghm, size_t capacity, void *state);

/* Makes a handle, of whatever settings, what the saved one was.  Errors: NULL_HANDLE,
 * NULL_POINTER, STATE (size bytes at `state` are not all of a state that was saved, or of a
 * version that this one does not know), MEMORY; the handle is then as it was. */
FGHM_API fghm_status fghm_ghm_load(fghm_ghm *ghm, size_t size, const void *state);

/* Forgets the history, and keeps the settings.  Errors: NULL_HANDLE. */
FGHM_API fghm_status fghm_ghm_reset(fghm_ghm *ghm);

#ifdef __cplusplus
}
#endif

#endif
