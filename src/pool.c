/* SPDX-License-Identifier: MIT */
#include "focalghm/pool.h"

#include <stdlib.h>

#include "check.h"
#include "drive.h"

#if FGHM_HAVE_PTHREADPOOL

#include <pthreadpool.h>
#include <stdatomic.h>
#include <unistd.h>

struct fghm_pool {
    pthreadpool_t threads; /* NULL for a pool of one */
    pid_t owner;           /* the process that has the threads: a forked child has none */
};

fghm_status fghm_pool_create(fghm_pool **pool, size_t threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads <= FGHM_THREADS_MAX, FGHM_ERROR_THREADS);
    fghm_pool *const made = calloc(1, sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    made->owner = getpid();
    if (threads != 1) {
        made->threads = pthreadpool_create(threads);
        if (made->threads == NULL) {
            free(made);
            return FGHM_ERROR_MEMORY;
        }
    }
    *pool = made;
    return FGHM_OK;
}

static bool has_threads(const fghm_pool *pool) {
    return pool != NULL && pool->threads != NULL && pool->owner == getpid();
}

void fghm_pool_destroy(fghm_pool *pool) {
    if (has_threads(pool)) {
        pthreadpool_destroy(pool->threads);
    }
    free(pool);
}

fghm_status fghm_pool_get_threads(const fghm_pool *pool, size_t *threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads != NULL, FGHM_ERROR_NULL_POINTER);
    *threads = has_threads(pool) ? pthreadpool_get_threads_count(pool->threads) : 1;
    return FGHM_OK;
}

/* The pool orders a task after the call and the return after the task, but by
 * means that a race detector cannot see in a library built without it; these
 * two atomics say the same in the language. */
struct handover {
    fghm_task *task;
    void *context;
    atomic_size_t published;
    atomic_size_t done;
};

static void run_one(void *context, size_t index) {
    struct handover *const handover = context;
    (void)atomic_load_explicit(&handover->published, memory_order_acquire);
    handover->task(handover->context, index);
    atomic_fetch_add_explicit(&handover->done, 1, memory_order_release);
}

static void run_on_threads(fghm_pool *pool, size_t tasks, fghm_task *task, void *context) {
    struct handover handover = {.task = task, .context = context};
    atomic_init(&handover.done, 0);
    atomic_init(&handover.published, 0);
    atomic_store_explicit(&handover.published, tasks, memory_order_release);
    pthreadpool_parallelize_1d(pool->threads, run_one, &handover, tasks, 0);
    (void)atomic_load_explicit(&handover.done, memory_order_acquire);
}

#else

struct fghm_pool {
    char unused;
};

fghm_status fghm_pool_create(fghm_pool **pool, size_t threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads <= FGHM_THREADS_MAX, FGHM_ERROR_THREADS);
    fghm_pool *const made = calloc(1, sizeof *made);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *pool = made;
    return FGHM_OK;
}

void fghm_pool_destroy(fghm_pool *pool) {
    free(pool);
}

fghm_status fghm_pool_get_threads(const fghm_pool *pool, size_t *threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads != NULL, FGHM_ERROR_NULL_POINTER);
    *threads = 1;
    return FGHM_OK;
}

static bool has_threads(const fghm_pool *pool) {
    (void)pool;
    return false;
}

static void run_on_threads(fghm_pool *pool, size_t tasks, fghm_task *task, void *context) {
    (void)pool;
    (void)tasks;
    (void)task;
    (void)context;
}

#endif

void fghm_pool_run(fghm_pool *pool, size_t tasks, fghm_task *task, void *context) {
    if (has_threads(pool)) {
        run_on_threads(pool, tasks, task, context);
        return;
    }
    for (size_t i = 0; i < tasks; i++) {
        task(context, i);
    }
}
