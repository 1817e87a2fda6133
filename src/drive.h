/* SPDX-License-Identifier: MIT */
#ifndef FGHM_DRIVE_H
#define FGHM_DRIVE_H

/* What every call over elements has in common: the check of its arrays, the cut
 * into segments, and the way the segments' results become one. */

#include <stdbool.h>
#include <stddef.h>

#include "focalghm/pool.h"
#include "focalghm/reduction.h"
#include "focalghm/status.h"
#include "kernels/kernels.h"

/* The most segments of a call: enough to keep many threads busy, few enough for
 * their results to live on the stack. */
#define FGHM_SEGMENTS_MAX 128

/* Checks the arrays of a call: that what is needed is there, that it fits in
 * memory, and that outputs overlap nothing but, exactly, an input.  loss may be
 * NULL. */
fghm_status fghm_check_span(const struct fghm_span *span, size_t real_size, const double *loss);

/* D, for a mean over `count` elements. */
double fghm_divisor_of(fghm_reduction reduction, double normalizer, uint64_t count);

/* Calls work(context, segment, part) for each segment of the span, on the
 * threads of the pool.  The cut depends on the number of elements alone.  Returns
 * the number of segments. */
typedef void fghm_segment_work(void *context, size_t segment, const struct fghm_span *part);
size_t fghm_drive(fghm_pool *pool, const struct fghm_span *span, size_t real_size,
                  fghm_segment_work *work, void *context);

/* The same for n things that are `width` elements each: work(context, segment, first, n). */
typedef void fghm_range_work(void *context, size_t segment, size_t first, size_t n);
size_t fghm_drive_range(fghm_pool *pool, size_t n, size_t width, fghm_range_work *work,
                        void *context);

/* The sum of the segments' sums, in their order. */
double fghm_sum_segments(const double *sums, size_t segments);

#endif
