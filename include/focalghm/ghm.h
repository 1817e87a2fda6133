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

/**
 * @file
 * The gradient harmonizing mechanism, GHM (Li, Liu, Wang: Gradient Harmonized Single-stage
 * Detector, AAAI 2019), for classification (GHM-C) and for regression (GHM-R).
 *
 * GHM counts how many elements of a batch have a gradient of about the same size, and weighs each
 * element by the inverse of that density: the many easy elements and the outliers get less
 * weight, what lies between them more.
 *
 * Each element has a loss and a gradient norm g in [0, 1]:
 *
 *     GHM-C: logit x, target t in [0, 1], p = sigmoid(x)
 *            g    = |p - t|
 *            loss = BCE = t softplus(-x) + (1 - t) softplus(x)
 *     GHM-R: prediction y, target t, d = y - t
 *            g    = |d| / sqrt(d^2 + mu^2)
 *            loss = ASL1 = sqrt(d^2 + mu^2) - mu
 *
 * The range of g is cut into bins, of equal width unless other edges are set: bin b holds
 * edge[b] <= g < edge[b + 1], and the last one g = 1 as well.  Over the valid elements of a batch,
 *
 *     total = the number of valid elements
 *     R_b   = the number of them in bin b
 *     n     = the number of bins that are not empty, or of all bins (see ::fghm_ghm_divisor)
 *     w_b   = min(total / (R_b n), cap), and 0 for an empty bin
 *
 * and an element of bin b has element_loss = w_b times its loss.  w_b counts as a constant, so the
 * gradient is w_b (p - t) or w_b d / sqrt(d^2 + mu^2), and the Hessian w_b p (1 - p) or
 * w_b mu^2 / (d^2 + mu^2)^(3/2), each times the loss weight and 1 / D of the reduction (see
 * reduction.h).  With momentum, averages over batches take the place of R_b and total (see
 * ::fghm_ghm_momentum_rule).
 *
 * Example: a step of training.  A handle is for one loss, and lives as long as the training.
 * @code
 * fghm_ghm *ghm;
 * if (fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) == FGHM_OK) {
 *     double loss;
 *     fghm_ghm_set_weight_cap(ghm, 2);
 *     while (next_batch(&n, logits, targets)) {
 *         if (fghm_ghm_step_f32(ghm, NULL, n, logits, targets, NULL, &loss, NULL, gradient,
 *                               NULL) == FGHM_OK) {
 *             train(loss, gradient);
 *         }
 *     }
 *     fghm_ghm_destroy(ghm);
 * }
 * @endcode
 *
 * A step is three things, which can also be done one by one, on any number of threads, machines or
 * parts of a batch.  Every result then has the bits of one call on the whole, but for the loss,
 * which is a sum in another order:
 *
 *     fghm_ghm_count_f32(ghm, ..., counts)   for each part; takes the handle as const
 *     MPI_Allreduce(counts, ...)             or a loop of additions
 *     fghm_ghm_update(ghm, size, counts)     once
 *     fghm_ghm_apply_f32(ghm, ...)           for each part; takes the handle as const
 *
 * Use GHM-C with care: without a cap it is fragile under heavy imbalance and under label noise.
 * An almost empty bin gets a weight of up to total / n, so that a few elements, often the wrongly
 * labelled ones, count for more than all others.  Under heavy imbalance a cap of 2
 * (fghm_ghm_set_weight_cap) repaired this in trainings; under label noise compare with
 * cross-entropy.
 *
 * Everything is as in mmdetection's GHMC and GHMR, except:
 *
 *  - Counts are exact.  For GHM-C with t = 0 or 1 the bin is that of real arithmetic for the
 *    logit; for other targets g is computed, and compared with the edges, in the type of the
 *    call.  For GHM-R the bin is that of real arithmetic for d, which is rounded once.
 *  - total is a number of elements; mmdetection's GHMR sums their label weights.
 *  - Momentum is not biased at the start, unless FGHM_GHM_MOMENTUM_REFERENCE is set.
 */

/** Which loss a handle is for. */
typedef int32_t fghm_ghm_kind;

/** The values of ::fghm_ghm_kind.  0 is none. */
enum fghm_ghm_kind_values {
    FGHM_GHM_INVALID = -1,
    /** GHM-C: logits and targets in [0, 1]. */
    FGHM_GHM_CLASSIFICATION = 1,
    /** GHM-R: predictions and targets of any value. */
    FGHM_GHM_REGRESSION = 2
};

/** What an update does to the averages S_b (of R_b) and T (of total), which start at 0. */
typedef int32_t fghm_ghm_momentum_rule;

/** The values of ::fghm_ghm_momentum_rule; m is the momentum. */
enum fghm_ghm_momentum_rule_values {
    FGHM_GHM_MOMENTUM_INVALID = -1,
    /** S_b = m S_b + (1 - m) R_b for every bin, T = m T + (1 - m) total, and
     * w_b = min(T / (S_b n), cap) for a bin with R_b > 0.
     *
     * S_b and T are both too small at the start, by the same factor, which cancels in T / S_b.
     * The first step, and every step with an unchanged histogram, gives the weights of no
     * momentum.  However rarely a bin is visited, w_b is at most T / ((1 - m) R_b n). */
    FGHM_GHM_MOMENTUM_CORRECTED = 0,
    /** mmdetection's rule, to repeat published runs: S_b = m S_b + (1 - m) R_b for bins with
     * R_b > 0, the others stay, and w_b = min(total / (S_b n), cap).
     *
     * The first step's weights are 1 / (1 - m) times too large; so is a bin's weight in the first
     * step in which it is not empty.  With m = 0, S_b = R_b for empty bins, too.  (mmdetection
     * holds S_b in float, this library in double.) */
    FGHM_GHM_MOMENTUM_REFERENCE = 1
};

/** What n, by which weights are divided, is the number of. */
typedef int32_t fghm_ghm_divisor;

/** The values of ::fghm_ghm_divisor. */
enum fghm_ghm_divisor_values {
    FGHM_GHM_DIVISOR_INVALID = -1,
    /** The bins that had elements at the last update, as in mmdetection's code. */
    FGHM_GHM_DIVISOR_NONEMPTY_BINS = 0,
    /** All bins, as in the paper. */
    FGHM_GHM_DIVISOR_ALL_BINS = 1
};

/** Limits of handles; later versions may raise them. */
enum fghm_ghm_limits {
    FGHM_GHM_LIMITS_INVALID = -1,
    /** The most bins of a histogram. */
    FGHM_BINS_MAX = 4096,
    /** The most histograms of a handle. */
    FGHM_HISTOGRAMS_MAX = 65536
};

/**
 * Settings, and a history: the counts of the last update and what momentum has averaged.
 *
 * Any number of threads may use one handle in functions that take it as const; no other thread
 * may use it during any other function.  What a function that returns an error was to change is
 * unchanged.
 *
 * A setter with the value that the handle has already changes nothing.  What would make the
 * history meaningless (other bins, edges, histograms, mu or momentum rule) is refused with
 * FGHM_ERROR_HISTORY while there is one, that is, after an update; call fghm_ghm_reset first.  The
 * other settings may change at any time: the weights follow the divisor and the cap at once,
 * while momentum takes effect with the next update.
 */
typedef struct fghm_ghm fghm_ghm;

/* Making and freeing ----------------------------------------------------------- */

/**
 * Makes a handle: 10 bins of equal width, one histogram, no momentum,
 * FGHM_GHM_MOMENTUM_CORRECTED, FGHM_GHM_DIVISOR_NONEMPTY_BINS, no cap, loss weight 1, mu 0.02
 * (GHM-R), FGHM_REDUCTION_MEAN, normalizer 1, and no history.
 *
 * @param[out] ghm the new handle, to be freed by fghm_ghm_destroy; unchanged on an error
 * @param kind FGHM_GHM_CLASSIFICATION or FGHM_GHM_REGRESSION
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE (ghm is NULL), FGHM_ERROR_CONSTANT (kind),
 * FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_create(fghm_ghm **ghm, fghm_ghm_kind kind);

/**
 * Makes a handle from a saved state, with its kind, settings and history.
 *
 * @param[out] ghm the new handle, to be freed by fghm_ghm_destroy; unchanged on an error
 * @param size how many bytes fghm_ghm_save wrote: neither fewer nor more
 * @param state what fghm_ghm_save wrote
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE (ghm is NULL), FGHM_ERROR_NULL_POINTER,
 * FGHM_ERROR_STATE (truncated, altered, followed by other bytes, or with a field that this version
 * must not pass over), FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_create_from_state(fghm_ghm **ghm, size_t size, const void *state);

/**
 * Makes another handle with the same kind, settings and history.  From then on the two are
 * independent.
 *
 * @param ghm the handle to copy
 * @param[out] copy the new handle, to be freed by fghm_ghm_destroy; unchanged on an error
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE (ghm or copy is NULL), FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_clone(const fghm_ghm *ghm, fghm_ghm **copy);

/**
 * Frees a handle.
 *
 * @param ghm the handle; with NULL nothing happens
 */
FGHM_API void fghm_ghm_destroy(fghm_ghm *ghm);

/** Reads which loss the handle is for.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_kind(const fghm_ghm *ghm, fghm_ghm_kind *kind);

/* Settings ----------------------------------------------------------------------- */

/**
 * Sets bins of equal width.
 *
 * Their edges are the real numbers b / bins, most of which no double holds exactly;
 * fghm_ghm_get_edges rounds them.  So fghm_ghm_set_edges with what it reads may count elements
 * whose g is at an edge in the bin beside.
 *
 * @param ghm the handle
 * @param bins from 1 to FGHM_BINS_MAX; 10 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE, FGHM_ERROR_HISTORY,
 * FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins);

/** Reads the number of bins.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_bins(const fghm_ghm *ghm, size_t *bins);

/**
 * Sets bins of any widths.
 *
 * @param ghm the handle
 * @param bins from 1 to FGHM_BINS_MAX
 * @param edges bins + 1 numbers that rise from 0 to 1, the second a normal number
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_RANGE (bins),
 * FGHM_ERROR_EDGES, FGHM_ERROR_HISTORY, FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_set_edges(fghm_ghm *ghm, size_t bins, const double *edges);

/**
 * Reads the edges, which are the same for every histogram.
 *
 * @param ghm the handle; not changed
 * @param capacity how many numbers edges has room for: at least bins + 1
 * @param[out] edges from 0 to 1
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_get_edges(const fghm_ghm *ghm, size_t capacity, double *edges);

/**
 * Sets the number of histograms: 1 for all elements, or one for each class.
 *
 * With more than one, only calls over batches can use the handle, and the batch must have as many
 * classes.  Elements of class c are counted in histogram c and weighed by it alone: total, R_b
 * and n are those of the class.
 *
 * @param ghm the handle
 * @param histograms from 1 to FGHM_HISTOGRAMS_MAX; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE, FGHM_ERROR_HISTORY,
 * FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_set_histograms(fghm_ghm *ghm, size_t histograms);

/** Reads the number of histograms.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_histograms(const fghm_ghm *ghm, size_t *histograms);

/**
 * Sets mu of GHM-R, the difference below which the loss is about a square.
 *
 * @param ghm the handle
 * @param mu from 1e-30 to 1e30; 0.02 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_KIND (the handle is for classification),
 * FGHM_ERROR_RANGE, FGHM_ERROR_HISTORY, FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_set_mu(fghm_ghm *ghm, double mu);

/** Reads mu.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_KIND */
FGHM_API fghm_status fghm_ghm_get_mu(const fghm_ghm *ghm, double *mu);

/**
 * Sets the momentum m of the updates to come.  Weights stay as they are until the next one.
 *
 * @param ghm the handle
 * @param momentum in [0, 1); 0, which is none, until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_ghm_set_momentum(fghm_ghm *ghm, double momentum);

/** Reads the momentum.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_momentum(const fghm_ghm *ghm, double *momentum);

/**
 * Sets what an update with momentum does.
 *
 * @param ghm the handle
 * @param rule any of ::fghm_ghm_momentum_rule_values from 0 on; FGHM_GHM_MOMENTUM_CORRECTED until
 * set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT, FGHM_ERROR_HISTORY
 */
FGHM_API fghm_status fghm_ghm_set_momentum_rule(fghm_ghm *ghm, fghm_ghm_momentum_rule rule);

/** Reads the momentum rule.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_momentum_rule(const fghm_ghm *ghm, fghm_ghm_momentum_rule *rule);

/**
 * Sets what n is, by which weights are divided: the number of bins with elements, or of all bins.
 * It has nothing to do with D of the reduction.
 *
 * @param ghm the handle
 * @param divisor any of ::fghm_ghm_divisor_values from 0 on; FGHM_GHM_DIVISOR_NONEMPTY_BINS until
 * set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_ghm_set_divisor(fghm_ghm *ghm, fghm_ghm_divisor divisor);

/** Reads what n is.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_divisor(const fghm_ghm *ghm, fghm_ghm_divisor *divisor);

/**
 * Sets the cap: no weight w_b is above it.
 *
 * Set one for classification.  Without a cap GHM-C is fragile under heavy imbalance and under label
 * noise; a cap of 2 repaired the former in trainings.
 *
 * @param ghm the handle
 * @param cap from 2^-40; INFINITY, which is no cap, until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_ghm_set_weight_cap(fghm_ghm *ghm, double cap);

/** Reads the cap; INFINITY where there is none.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_weight_cap(const fghm_ghm *ghm, double *cap);

/**
 * Sets a factor of element_loss, loss, gradient and Hessian.  It is not part of w_b.
 *
 * @param ghm the handle
 * @param loss_weight 0, or from 2^-40 to 2^40; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_ghm_set_loss_weight(fghm_ghm *ghm, double loss_weight);

/** Reads the loss weight.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_loss_weight(const fghm_ghm *ghm, double *loss_weight);

/**
 * Sets how the losses of the elements become one.
 *
 * @param ghm the handle
 * @param reduction FGHM_REDUCTION_SUM, FGHM_REDUCTION_MEAN (until set) or
 * FGHM_REDUCTION_NORMALIZER.  A mean divides by the number of valid elements of the last update,
 * in all histograms, at least 1
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_CONSTANT
 */
FGHM_API fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction);

/** Reads the reduction.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction);

/**
 * Sets D of FGHM_REDUCTION_NORMALIZER.  It does not choose that reduction.
 *
 * @param ghm the handle
 * @param normalizer from 2^-40 to 2^60; 1 until set
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_RANGE
 */
FGHM_API fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer);

/** Reads the normalizer.
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER */
FGHM_API fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer);

/* Contiguous arrays ---------------------------------------------------------------- */

/**
 * One step over n contiguous elements: counts them, updates the handle, applies the weights.
 *
 * Any output may be NULL.  With all four NULL the step counts and updates, and that is all.
 * gradient, element_loss and hessian may each be the very array of inputs, targets or mask; no
 * other overlap of an output with another array is allowed.
 *
 * An element that is not valid is in no bin, and its results are 0, whatever its input and target
 * are.  If none is valid, the loss and all results are 0.  A valid element whose input or target
 * is NaN is in no bin, but counts in total; its results and the loss are NaN.  An infinite logit
 * gives the limits.
 *
 * Accuracy: GHM-C is as right as fghm_focal_f32 with gamma 0 and alpha off, w_b being one more
 * factor.  Of GHM-R, element_loss and gradient are right to 5 ulp and the Hessian to 10, or to as
 * many times the smallest subnormal number, before w_b and 1 / D, each of which may add 2; the
 * difference d is rounded once.  Where d overflows, results are the limits.
 *
 * @param ghm a handle with one histogram
 * @param pool threads to use; NULL: the calling thread alone
 * @param n the number of elements; 0 gives loss 0 and touches no array
 * @param inputs n logits or predictions
 * @param targets n targets; for classification in [0, 1]
 * @param mask n numbers: element i is valid if mask[i] > 0, whatever its size (NaN is not valid);
 * NULL: all are valid
 * @param[out] loss the reduced loss, one number; or NULL
 * @param[out] element_loss n losses times w_b, not reduced; or NULL
 * @param[out] gradient n numbers d loss / d inputs[i]; or NULL
 * @param[out] hessian n numbers d2 loss / d inputs[i]2; or NULL
 * @return FGHM_OK, or an error, after which nothing has been written and the handle is as it was:
 * FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER (inputs or targets, with n > 0),
 * FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING, FGHM_ERROR_HISTOGRAMS (the handle has more than one),
 * FGHM_ERROR_TARGET (a valid element's target is outside [0, 1]), FGHM_ERROR_COUNTS (there have
 * been 2^64 - 1 updates)
 */
FGHM_API fghm_status fghm_ghm_step_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                       const float *inputs, const float *targets, const float *mask,
                                       double *loss, float *element_loss, float *gradient,
                                       float *hessian);

/** fghm_ghm_step_f32 in double precision. */
FGHM_API fghm_status fghm_ghm_step_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                       const double *inputs, const double *targets,
                                       const double *mask, double *loss, double *element_loss,
                                       double *gradient, double *hessian);

/**
 * The first part of a step: adds the counts of n elements to `counts`, which has bins + 1 numbers:
 * R_b of each bin, and the number of valid elements that are in no bin because their input or
 * target is NaN.  (Many histograms, which batch calls have, are rows of bins + 1 numbers.)
 *
 * @param ghm a handle with one histogram; not changed
 * @param pool threads to use; NULL: the calling thread alone
 * @param n the number of elements
 * @param inputs n logits or predictions
 * @param targets n targets; for classification in [0, 1]
 * @param mask as for fghm_ghm_step_f32
 * @param capacity how many numbers counts has room for: at least what fghm_ghm_get_counts_size
 * says
 * @param[in,out] counts zeros, or the counts of other parts of the batch.  It must not overlap an
 * input.  Calls on several threads must not share it: give each an array of its own and add them up
 * @return as fghm_ghm_step_f32, and FGHM_ERROR_NULL_POINTER (counts), FGHM_ERROR_CAPACITY,
 * FGHM_ERROR_ALIASING (counts overlaps an input), FGHM_ERROR_COUNTS (the sum of all counts would
 * be 2^64 or more); nothing has been added then
 */
FGHM_API fghm_status fghm_ghm_count_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const float *inputs, const float *targets,
                                        const float *mask, size_t capacity, uint64_t *counts);

/** fghm_ghm_count_f32 in double precision. */
FGHM_API fghm_status fghm_ghm_count_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const double *inputs, const double *targets,
                                        const double *mask, size_t capacity, uint64_t *counts);

/**
 * The second part of a step, once for all its elements: moves the averages and makes the weights.
 *
 * @param ghm the handle
 * @param capacity how many numbers there are at counts: at least what fghm_ghm_get_counts_size
 * says
 * @param counts what counting has added up, over all parts of the step
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY,
 * FGHM_ERROR_COUNTS (the sum of all counts is 2^64 or more, or there have been 2^64 - 1 updates)
 */
FGHM_API fghm_status fghm_ghm_update(fghm_ghm *ghm, size_t capacity, const uint64_t *counts);

/**
 * The third part of a step: applies the weights that the handle has to n elements.
 *
 * FGHM_REDUCTION_MEAN divides by the number of valid elements of the last fghm_ghm_update.
 *
 * @param ghm a handle with one histogram; not changed
 * @param pool threads to use; NULL: the calling thread alone
 * @param n the number of elements; 0 gives loss 0 and touches no array
 * @param inputs n logits or predictions
 * @param targets n targets; for classification in [0, 1]
 * @param mask as for fghm_ghm_step_f32
 * @param[out] loss as for fghm_ghm_step_f32; not all outputs may be NULL
 * @param[out] element_loss as for fghm_ghm_step_f32
 * @param[out] gradient as for fghm_ghm_step_f32
 * @param[out] hessian as for fghm_ghm_step_f32
 * @return as fghm_ghm_step_f32, and FGHM_ERROR_NO_OUTPUT.  FGHM_ERROR_TARGET is an element error
 * here (see status.h): the outputs of elements with a bad target are NaN, all others have been
 * computed, *loss is as it was
 */
FGHM_API fghm_status fghm_ghm_apply_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const float *inputs, const float *targets,
                                        const float *mask, double *loss, float *element_loss,
                                        float *gradient, float *hessian);

/** fghm_ghm_apply_f32 in double precision. */
FGHM_API fghm_status fghm_ghm_apply_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                        const double *inputs, const double *targets,
                                        const double *mask, double *loss, double *element_loss,
                                        double *gradient, double *hessian);

/* Batches ------------------------------------------------------------------------------ */

/**
 * One step over a batch in any form; see batch.h.
 *
 * The weights of the batch are the mask, and what is ignored is not valid.  harmonizing_weight
 * gets w_b of each element, 0 where it is not valid or in no bin, and NaN where its target is
 * outside [0, 1].
 *
 * With softmax (classification alone) the loss of a sample is its cross-entropy and its g is
 * 1 - p_y, y being its label; what is said of elements then is said of samples.
 *
 * For regression leave activation at FGHM_SIGMOID, as FGHM_BATCH_INIT has it.  No sigmoid is
 * applied then: predictions are taken as they are.
 *
 * Neither an output nor a result is needed: the step then counts and updates, and that is all.
 *
 * @param ghm the handle
 * @param pool threads to use; NULL: the calling thread alone
 * @param batch the arrays and what they mean
 * @param[in,out] result what came of it, and where an error is; or NULL
 * @return as fghm_focal_batch, but never FGHM_ERROR_NO_OUTPUT; FGHM_ERROR_COMBINATION also for
 * factors by class and for probabilities, and in regression for labels, softmax and label
 * smoothing; FGHM_ERROR_HISTOGRAMS (more than one histogram and no class for each: other_field says
 * whether shape, class_axis or activation is at odds with it), FGHM_ERROR_COUNTS, FGHM_ERROR_MEMORY
 * (counts of many histograms).  After an error outputs and handle are as they were
 */
FGHM_API fghm_status fghm_ghm_step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                         fghm_result *result);

/**
 * Counts a batch, as fghm_ghm_count_f32 does.  *result gets the numbers of elements and the sums of
 * weights and targets; its loss and sum are 0.
 *
 * Outputs of the batch are checked but not written, so that one fghm_batch serves counting and
 * applying.
 *
 * @param ghm the handle; not changed
 * @param pool threads to use; NULL: the calling thread alone
 * @param batch the arrays and what they mean
 * @param capacity as for fghm_ghm_count_f32
 * @param[in,out] counts as for fghm_ghm_count_f32; it must not overlap the result either
 * @param[in,out] result what has been counted, and where an error is; or NULL
 * @return as fghm_ghm_step_batch and fghm_ghm_count_f32
 */
FGHM_API fghm_status fghm_ghm_count_batch(const fghm_ghm *ghm, fghm_pool *pool,
                                          const fghm_batch *batch, size_t capacity,
                                          uint64_t *counts, fghm_result *result);

/**
 * Applies the weights to a batch, as fghm_ghm_apply_f32 does.
 *
 * @param ghm the handle; not changed
 * @param pool threads to use; NULL: the calling thread alone
 * @param batch the arrays and what they mean
 * @param[in,out] result what came of it, and where an error is; or NULL
 * @return as fghm_ghm_step_batch, and FGHM_ERROR_NO_OUTPUT; FGHM_ERROR_TARGET is an element error
 * here (see status.h)
 */
FGHM_API fghm_status fghm_ghm_apply_batch(const fghm_ghm *ghm, fghm_pool *pool,
                                          const fghm_batch *batch, fghm_result *result);

/* The density itself ------------------------------------------------------------------- */

/**
 * The weights of the paper's gradient density, which bins approximate.  With eps = 1 / bins,
 *
 *     GD(g) = the number of valid k with g - eps/2 <= g_k < g + eps/2, divided by
 *             min(g + eps/2, 1) - max(g - eps/2, 0)
 *     w_i   = min(total / GD(g_i), cap)
 *
 * and 0 where an element is not valid or is NaN.  History, momentum, divisor and loss weight do
 * not matter.  For a loss with these weights give them to fghm_focal_f32, with gamma 0 and alpha
 * off.
 *
 * Elements within 2^-51 of an end of the window may count or not.  Apart from that the relative
 * error of w_i is at most (8 + bins) 2^-52, before it is rounded to float.
 *
 * It sorts by radix, in time that grows as n does, and for that allocates 16 n bytes, or, in double
 * or with targets other than 0 and 1, 32 n; and 16 KiB for each thread, but not more than 1 MiB.
 *
 * @param ghm a handle for classification
 * @param pool threads to use; NULL: the calling thread alone
 * @param n the number of elements
 * @param inputs n logits
 * @param targets n targets in [0, 1]
 * @param mask as for fghm_ghm_step_f32
 * @param[out] weights n numbers w_i; must not overlap another array
 * @return FGHM_OK, or an error, after which nothing has been written: FGHM_ERROR_NULL_HANDLE,
 * FGHM_ERROR_KIND (the handle is for regression), FGHM_ERROR_NULL_POINTER (inputs, targets or
 * weights, with n > 0), FGHM_ERROR_SIZE, FGHM_ERROR_ALIASING, FGHM_ERROR_TARGET,
 * FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_density_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                          const float *inputs, const float *targets,
                                          const float *mask, float *weights);

/** fghm_ghm_density_f32 in double precision. */
FGHM_API fghm_status fghm_ghm_density_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                          const double *inputs, const double *targets,
                                          const double *mask, double *weights);

/* Reading back ----------------------------------------------------------------------- */

/**
 * Reads how many numbers counting, updating and fghm_ghm_get_counts have: bins + 1 for each
 * histogram.
 *
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER
 */
FGHM_API fghm_status fghm_ghm_get_counts_size(const fghm_ghm *ghm, size_t *size);

/**
 * Reads the counts of the last update, laid out as fghm_ghm_update takes them; zeros before the
 * first.
 *
 * @param ghm the handle; not changed
 * @param capacity at least what fghm_ghm_get_counts_size says
 * @param[out] counts a row of bins + 1 numbers for each histogram
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_get_counts(const fghm_ghm *ghm, size_t capacity, uint64_t *counts);

/**
 * Reads the averages S_b; with FGHM_GHM_MOMENTUM_CORRECTED their start at 0 has been corrected for.
 * If momentum has always been 0 they are R_b.
 *
 * @param ghm the handle; not changed
 * @param capacity at least bins times histograms
 * @param[out] averages a row of bins numbers for each histogram
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_get_averages(const fghm_ghm *ghm, size_t capacity, double *averages);

/**
 * Reads the weights w_b; zeros before the first update.
 *
 * @param ghm the handle; not changed
 * @param capacity at least bins times histograms
 * @param[out] weights a row of bins numbers for each histogram
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_get_weights(const fghm_ghm *ghm, size_t capacity, double *weights);

/**
 * Reads how many bins had elements at the last update.
 *
 * @param ghm the handle; not changed
 * @param capacity at least the number of histograms
 * @param[out] nonempty one number for each histogram
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_get_nonempty(const fghm_ghm *ghm, size_t capacity, size_t *nonempty);

/**
 * Reads how many updates there have been since the handle was made or reset.
 *
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER
 */
FGHM_API fghm_status fghm_ghm_get_steps(const fghm_ghm *ghm, uint64_t *steps);

/* State ------------------------------------------------------------------------------- */

/**
 * Forgets the history, and keeps the settings.  The next step is the first one again.
 *
 * @param ghm the handle
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE
 */
FGHM_API fghm_status fghm_ghm_reset(fghm_ghm *ghm);

/**
 * Reads how many bytes fghm_ghm_save writes.
 *
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER
 */
FGHM_API fghm_status fghm_ghm_get_state_size(const fghm_ghm *ghm, size_t *size);

/**
 * Writes the kind, all settings and the history as bytes.
 *
 * A training that saves its state, is stopped, and loads it goes on bit for bit.  The bytes are
 * the same on every machine.  States of this version load in every later one; a state of a later
 * version loads here if it does not depend on what this version does not know.
 *
 * @param ghm the handle; not changed
 * @param capacity how many bytes there is room for: at least what fghm_ghm_get_state_size says,
 * which is also how many are written
 * @param[out] state of any alignment
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER, FGHM_ERROR_CAPACITY
 */
FGHM_API fghm_status fghm_ghm_save(const fghm_ghm *ghm, size_t capacity, void *state);

/**
 * Replaces all settings and the history by the saved ones.
 *
 * @param ghm the handle
 * @param size how many bytes fghm_ghm_save wrote: neither fewer nor more
 * @param state what fghm_ghm_save wrote for a handle of the same kind
 * @return FGHM_OK, FGHM_ERROR_NULL_HANDLE, FGHM_ERROR_NULL_POINTER,
 * FGHM_ERROR_STATE (as fghm_ghm_create_from_state), FGHM_ERROR_KIND (it is that of the other
 * kind), FGHM_ERROR_MEMORY
 */
FGHM_API fghm_status fghm_ghm_load(fghm_ghm *ghm, size_t size, const void *state);

#ifdef __cplusplus
}
#endif

#endif
