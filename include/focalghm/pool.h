/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_POOL_H
#define FOCALGHM_POOL_H

/**
 * @file
 * Threads, for calls that are given some.
 *
 * The library never starts a thread unasked.  With NULL for its pool a call does all of
 * its work on the thread that makes the call.  To use more, make a pool once and pass it
 * to every call that may use it.
 *
 * Example: one thread per processor.
 * @code
 * fghm_pool *pool = NULL;
 * fghm_status status = fghm_pool_create(&pool, 0);
 * if (status == FGHM_OK) {
 *     status = fghm_focal_f32(focal, pool, n, logits, targets, NULL, &loss, NULL, gradient, NULL);
 * }
 * fghm_pool_destroy(pool);
 * @endcode
 *
 * What holds for every pool:
 *
 * - Results have the same bits with any pool, and with none.  A call is cut into tasks,
 *   and the cut depends on the number of elements alone.
 * - The calling thread works too.  A call ends when all of its tasks are done; it does not
 *   wait for threads that have not woken up.
 * - A pool serves one call at a time.  A call that finds it busy, because another thread
 *   uses it or because the call is made from within one of its tasks, does all of its work
 *   on its own thread.  It never waits for the other call.
 * - After fork() the child's copy of a pool has one thread, the calling one, and can be
 *   destroyed, whatever the pool was doing at the fork.  The parent's pool is not affected.
 *   Where a signal handler forks during a call, the child must not return from it into that
 *   call, whose other threads it does not have.
 * - errno is left alone.
 *
 * What holds for threads that the library makes (fghm_pool_create):
 *
 * - All signals are blocked in them, so a signal handler never runs there, and a fault
 *   (SIGSEGV, SIGBUS) in one of them ends the process without one.
 * - They compute in the default floating-point environment, whatever the environment of the
 *   thread that made the pool.  The calling thread computes in its own environment, which
 *   the library does not touch: that one has to be the default, too.
 * - They run where the thread that made the pool was allowed to run (they inherit its
 *   affinity mask), on stacks of at least 512 KiB.
 * - They wait for the next call by spinning for up to 20 microseconds, or not at all if the
 *   pool has more threads than there were processors for them; then they sleep.
 * - They cannot be cancelled.  A thread that is in a call may have a cancellation pending:
 *   it is acted upon after the call, if its type is the default, PTHREAD_CANCEL_DEFERRED.
 *   With PTHREAD_CANCEL_ASYNCHRONOUS a thread must not call the library.
 */

#include <stddef.h>

#include "focalghm/export.h"
#include "focalghm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A set of threads.  See the top of this file for what may be done with one. */
typedef struct fghm_pool fghm_pool;

/** Limits of pools. */
enum fghm_pool_limits {
    FGHM_POOL_LIMITS_INVALID = -1, /**< no limit; makes the enum a signed one */
    FGHM_THREADS_MAX = 1024        /**< the most threads that a pool can be asked for */
};

/**
 * One part of a call's work.
 *
 * @param context  what the run function was given for its tasks
 * @param index    which part: 0 ... tasks - 1
 */
typedef void (*fghm_task)(void *context, size_t index);

/**
 * Runs the tasks of one call on threads that the library knows nothing of.
 *
 * It must call task(context, i) exactly once for every i from 0 to tasks - 1, in any order,
 * on any threads, and must not return before all of these calls have returned.  It may make
 * them one after the other.  What a task wrote must be visible to the calling thread when
 * the function returns; ending a parallel region, joining a thread, or a mutex sees to that.
 *
 * The tasks use up to 64 KiB of the stack of the thread that runs them, those of GHM with more
 * than 256 bins up to 120 KiB, and expect the default floating-point environment there.  They
 * take no lock and wait for nothing.  The function must not leave by longjmp or by a C++
 * exception.
 *
 * @param user     the pointer that was given to fghm_pool_create_from()
 * @param tasks    how many tasks there are, at least 2; it depends on the number of elements
 *                 of the call, not on the number of threads
 * @param task     what to call
 * @param context  what to call it with
 */
typedef void (*fghm_run)(void *user, size_t tasks, fghm_task task, void *context);

/**
 * Makes a pool that has threads of its own.
 *
 * Either all of the threads are made or none is left: where one cannot be made, those
 * before it are ended.
 *
 * @param pool     where to put the pool; left as it was on an error
 * @param threads  how many threads work on a call, the calling one included: threads - 1 are
 *                 made.  0 means as many as there are processors on which the calling
 *                 thread may run (Linux; elsewhere, as many as are online)
 * @return FGHM_OK;
 *         FGHM_ERROR_NULL_HANDLE if pool is NULL;
 *         FGHM_ERROR_RANGE if threads is above FGHM_THREADS_MAX;
 *         FGHM_ERROR_MEMORY if an allocation failed;
 *         FGHM_ERROR_THREADS if the system refused a thread: a limit on their number
 *         (ulimit -u, a container's limit of processes), or no memory for a stack; or if
 *         threads is above 1 on a system without POSIX threads (Windows, WASI), where 0 is 1
 */
FGHM_API fghm_status fghm_pool_create(fghm_pool **pool, size_t threads);

/**
 * Makes a pool that uses the caller's threads: those of OpenMP, of a task library, of an
 * application's own pool.  It makes no thread.
 *
 * @code
 * static void run(void *user, size_t tasks, fghm_task task, void *context) {
 * #pragma omp parallel for
 *     for (size_t i = 0; i < tasks; i++) {
 *         task(context, i);
 *     }
 * }
 * @endcode
 *
 * The function is called by the thread that makes a call, at most once at a time for one
 * pool; never for a call that is too small to be cut, and never in a child after fork().
 *
 * @param pool     where to put the pool; left as it was on an error
 * @param threads  what fghm_pool_get_threads() shall say, 1 ... FGHM_THREADS_MAX; nothing
 *                 else depends on it
 * @param run      runs the tasks of a call
 * @param user     passed on to run; may be NULL
 * @return FGHM_OK;
 *         FGHM_ERROR_NULL_HANDLE if pool is NULL;
 *         FGHM_ERROR_NULL_POINTER if run is NULL;
 *         FGHM_ERROR_RANGE if threads is 0 or above FGHM_THREADS_MAX;
 *         FGHM_ERROR_MEMORY if an allocation failed
 */
FGHM_API fghm_status fghm_pool_create_from(fghm_pool **pool, size_t threads, fghm_run run,
                                           void *user);

/**
 * Ends the pool's threads and frees the pool.  No call may be using it.
 *
 * A program may end with a pool alive, also during its calls.  The shared library stays in memory
 * when it is closed (dlclose), for the threads of pools that are left.  A plugin that has the
 * static one in itself must destroy its pools before it is unloaded.
 *
 * @param pool  the pool; NULL is a no-op
 */
FGHM_API void fghm_pool_destroy(fghm_pool *pool);

/**
 * How many threads work on a call that is given this pool, the calling one included.
 *
 * @param pool     the pool
 * @param threads  where to put the number; 1 for a pool that was made before a fork(), in the
 *                 child.  Left as it was on an error
 * @return FGHM_OK;
 *         FGHM_ERROR_NULL_HANDLE if pool is NULL;
 *         FGHM_ERROR_NULL_POINTER if threads is NULL
 */
FGHM_API fghm_status fghm_pool_get_threads(const fghm_pool *pool, size_t *threads);

#ifdef __cplusplus
}
#endif

#endif
