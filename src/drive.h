/* SPDX-License-Identifier: MIT */
#ifndef FGHM_DRIVE_H
#define FGHM_DRIVE_H

/* The cut of a call into segments, and the threads that they run on. */

#include <stddef.h>

#include "focalghm/pool.h"

/* The most segments of a call: four for each of 32 threads, so that one which is late leaves at
 * most a quarter of its work to wait for; and few enough for their results, some 80 bytes each, to
 * live on the stack. */
#define FGHM_SEGMENTS_MAX 128

/* Below this, a segment is not worth handing to a thread. */
#define FGHM_SEGMENT_MIN ((size_t)4096)

/* Calls work(context, segment, first, n) for each segment of n things that are `width` elements
 * each, on the threads of the pool.  The cut depends on n and width alone.  Returns the number of
 * segments. */
typedef void fghm_range_work(void *context, size_t segment, size_t first, size_t n);
size_t fghm_drive_range(fghm_pool *pool, size_t n, size_t width, fghm_range_work *work,
                        void *context);

#endif
