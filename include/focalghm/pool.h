/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_POOL_H
#define FOCALGHM_POOL_H

#include <stddef.h>

#include "focalghm/export.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A set of threads, made by the caller and passed to each call that may use it.
 * No other threads ever exist: with NULL for a pool, all work is done on the
 * calling thread.  The number of threads never changes a result, not by a bit.
 *
 * One pool may be passed to calls on several threads at the same time; they
 * take turns.  After fork() the child has no threads: a pool made before the
 * fork then works on the child's calling thread alone, and may be destroyed.
 * In a library built without a thread pool (see fghm_pool_get_threads) every
 * pool has one thread. */
typedef struct fghm_pool fghm_pool;

/* The largest number of threads that a pool can be asked for. */
#define FGHM_THREADS_MAX 1024

/* Makes a pool of `threads` threads, the calling one included: 1 makes none, 0
 * means one for each processor.
 * Errors: NULL_HANDLE (pool is NULL), THREADS (above FGHM_THREADS_MAX), MEMORY;
 * *pool is then left as it was. */
FGHM_API fghm_status fghm_pool_create(fghm_pool **pool, size_t threads);

/* Ends the threads and frees the pool.  NULL is a no-op.  No call may be using
 * the pool. */
FGHM_API void fghm_pool_destroy(fghm_pool *pool);

/* How many threads work on a call that is given this pool.
 * Errors: NULL_HANDLE, NULL_POINTER. */
FGHM_API fghm_status fghm_pool_get_threads(const fghm_pool *pool, size_t *threads);

#ifdef __cplusplus
}
#endif

#endif
