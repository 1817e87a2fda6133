/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_GHM_H
#define FOCALGHM_GHM_H

#include <stddef.h>
#include <stdint.h>

#include "focalghm/export.h"
#include "focalghm/pool.h"
#include "focalghm/reduction.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The gradient harmonizing mechanism (Li, Liu, Wang: Gradient Harmonized
 * Single-stage Detector, AAAI 2019), classification form GHM-C, with the
 * conventions of mmdetection's GHMC.
 *
 * With logit x, target t, p = sigmoid(x), the gradient norm is g = |p - t|.  Its
 * range [0, 1] is cut into `bins` bins of equal width: bin b holds
 * b / bins <= g < (b + 1) / bins, the last one also g = 1.  Let
 *
 *     total    = max(number of valid elements, 1)
 *     count_b  = number of valid elements in bin b
 *     nonempty = number of bins with count_b > 0
 *     w_b      = total / (count_b nonempty)       0 for an empty bin
 *
 * Then element i of bin b has element_loss = w_b BCE(x, t), with BCE the binary
 * cross-entropy t softplus(-x) + (1 - t) softplus(x).  The weights count as
 * constants: gradient w_b (p - t), Hessian w_b p (1 - p), each times 1 / D of
 * the reduction.
 *
 * Counts are exact.  For t = 0 or 1 an element's bin is the one that real
 * arithmetic gives for its logit; for other targets g is computed in the
 * precision of the call and compared with b / bins in the same precision. */

/* Configuration and state: the number of bins, and the histogram of the last
 * batch.  One thread at a time may compute with a handle or change it. */
typedef struct fghm_ghm fghm_ghm;

/* The largest number of bins. */
#define FGHM_BINS_MAX 4096

/* Makes a handle with 10 bins, FGHM_REDUCTION_MEAN and an empty histogram.
 * Errors: NULL_HANDLE (ghm is NULL), MEMORY; *ghm is then left as it was. */
FGHM_API fghm_status fghm_ghm_create(fghm_ghm **ghm);

/* Frees it.  NULL is a no-op. */
FGHM_API void fghm_ghm_destroy(fghm_ghm *ghm);

/* bins: 1 to FGHM_BINS_MAX.  Empties the histogram.
 * Errors: NULL_HANDLE, BINS, MEMORY; the handle is then as it was. */
FGHM_API fghm_status fghm_ghm_set_bins(fghm_ghm *ghm, size_t bins);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_bins(const fghm_ghm *ghm, size_t *bins);

/* MEAN divides by total, the number of valid elements (at least 1).
 * Errors: NULL_HANDLE, REDUCTION. */
FGHM_API fghm_status fghm_ghm_set_reduction(fghm_ghm *ghm, fghm_reduction reduction);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_reduction(const fghm_ghm *ghm, fghm_reduction *reduction);

/* The divisor of FGHM_REDUCTION_NORMALIZER (1 until set), from FLT_MIN to FLT_MAX.
 * Setting it does not change the reduction.  Errors: NULL_HANDLE, NORMALIZER. */
FGHM_API fghm_status fghm_ghm_set_normalizer(fghm_ghm *ghm, double normalizer);

/* Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_ghm_get_normalizer(const fghm_ghm *ghm, double *normalizer);

/* GHM-C of n contiguous elements: counts them, then applies the weights.
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
 * Any of the four outputs may be NULL; with all four NULL the batch is counted
 * and nothing else is done.  gradient, element_loss and hessian may be the very
 * array of logits, targets or mask; no other overlap of an output with another
 * array is allowed.
 *
 * A valid element whose logit or target is NaN is in no bin, but counts in
 * total; its results and the loss are NaN.  An infinite logit gives the limit.
 * A target outside [0, 1] of a valid element returns FGHM_ERROR_TARGET.
 *
 * Errors: NULL_HANDLE (ghm), NULL_POINTER (logits or targets, with n > 0), SIZE,
 * ALIASING, TARGET: nothing is written and the histogram stays as it was. */
FGHM_API fghm_status fghm_ghmc_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *logits,
                                   const float *targets, const float *mask, double *loss,
                                   float *element_loss, float *gradient, float *hessian);

/* The same in double precision. */
FGHM_API fghm_status fghm_ghmc_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *logits,
                                   const double *targets, const double *mask, double *loss,
                                   double *element_loss, double *gradient, double *hessian);

/* The bins + 1 edges b / bins, from 0 to 1.  capacity: how many doubles `edges`
 * has room for.  Errors: NULL_HANDLE, NULL_POINTER, CAPACITY (below bins + 1). */
FGHM_API fghm_status fghm_ghm_get_edges(const fghm_ghm *ghm, size_t capacity, double *edges);

/* count_b of the last batch, for each bin; 0 before the first.
 * Errors: NULL_HANDLE, NULL_POINTER, CAPACITY (below bins). */
FGHM_API fghm_status fghm_ghm_get_counts(const fghm_ghm *ghm, size_t capacity, uint64_t *counts);

/* w_b of the last batch, for each bin; 0 before the first.
 * Errors: NULL_HANDLE, NULL_POINTER, CAPACITY (below bins). */
FGHM_API fghm_status fghm_ghm_get_weights(const fghm_ghm *ghm, size_t capacity, double *weights);

#ifdef __cplusplus
}
#endif

#endif
