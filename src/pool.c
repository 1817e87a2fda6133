/* SPDX-License-Identifier: MIT */

/* Pools of threads, on POSIX threads.
 *
 * A call opens one seat for each worker that can be of use, and takes tasks off a counter
 * itself.  A worker that finds a seat free takes it, takes tasks off the same counter, and
 * leaves.  When the counter has run out, the call removes the seats that nobody took and
 * waits for the workers that took one; those that slept through the call find no seat and
 * never see anything of it.  So a call costs little more than the work of its own thread
 * even where no worker gets a processor, and a pool whose threads are all gone (in the child
 * of a fork) would still work.
 *
 * The seats and the workers in them are one atomic word: only with a seat may a worker read
 * the fields of the call, and only without a worker in a seat may they be written.  The
 * mutex is for sleeping, nothing else.  Sleepers are woken when the first task has shown
 * that what is left is worth it: to wake them for less makes a call slower than without a
 * pool.  They are woken in a tree, each waking WAKES_EACH, and only while there are tasks
 * left: on a busy machine the call has often ended before the second row of the tree, and
 * the wakes of that row are saved. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT_S */
#endif

#include "focalghm/pool.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Systems without POSIX threads have pools of the caller's threads, and of one thread. */
#ifndef FGHM_HAVE_THREADS
#define FGHM_HAVE_THREADS 1
#endif
#if FGHM_HAVE_THREADS
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "allocation.h"
#include "check.h"
#include "environment.h"
#include "pool_run.h"

static void run_alone(size_t tasks, fghm_task task, void *context) {
    for (size_t i = 0; i < tasks; i++) {
        task(context, i);
    }
}

#if FGHM_HAVE_THREADS

/* How long to look for the next call, or for the end of this one, before going to sleep.
 * Waking a thread takes 5 to 50 us; spinning for about as long as that costs at most twice
 * what the better of both ways would (the ski rental argument), and the low end of the range
 * is kind to what else runs. */
#define SPIN_NANOSECONDS 20000

/* Work that takes less time than waking a thread (above) is done before it wakes. */
#define WORTH_WAKING_NANOSECONDS 50000

/* With two, 1024 threads are awake after ten rows, and no thread pays for more than two
 * system calls. */
#define WAKES_EACH 2

/* The deepest call needs 120 KiB (focalghm.h); glibc takes the thread-local data of the
 * program and all of its libraries out of the stack, which are 200 KiB in some. */
#define STACK_BYTES ((size_t)512 * 1024)

/* Two cache lines: processors fetch them in pairs. */
#define APART_BYTES 128

/* The word of seats: workers in a seat in the low half, free seats in the high half. */
#define SEATED_MASK 0xffffu
#define ONE_SEATED 1u
#define ONE_SEAT 0x10000u
static_assert(FGHM_THREADS_MAX <= SEATED_MASK, "the numbers of seats fit in their halves");
static_assert(UINT_MAX >= 0xffffffff, "the word has both halves");

struct fghm_pool {
    size_t threads;  /* the calling one included */
    pid_t owner;     /* the process that has the threads: a forked child has none */
    atomic_int busy; /* gcc has no exchange of bytes on RISC-V */

    /* The caller's threads; with run NULL the pool has threads of its own, and what follows
     * is theirs. */
    fghm_run run;
    void *user;

    /* The call: written while no worker has a seat, read by workers that have one. */
    fghm_task task;
    void *context;
    size_t tasks;

    pthread_mutex_t mutex;
    pthread_cond_t called;   /* seats are free, or the pool ends */
    pthread_cond_t all_left; /* no worker is in a seat */
    atomic_size_t asleep;    /* workers that wait for `called` */
    atomic_bool caller_asleep;
    atomic_bool ending;
    bool spins;

    /* What all threads write has lines of its own. */
    char before_seats[APART_BYTES];
    atomic_uint seats;
    char before_next[APART_BYTES];
    atomic_size_t next; /* the first task that nobody has taken */
    char behind_next[APART_BYTES];

    size_t workers; /* threads that run, threads - 1 once the pool is made */
    pthread_t worker[];
};

/* Where a thread runs -------------------------------------------------------- */

/* How many processors the calling thread may run on. */
static size_t allowed_processors(void) {
#ifdef __linux__
    /* Eight times as many as Linux can be built for, so one size does. */
    cpu_set_t masks[65536 / CPU_SETSIZE];
    if (sched_getaffinity(0, sizeof masks, masks) == 0) {
        const int count = CPU_COUNT_S(sizeof masks, masks);
        return count > 0 ? (size_t)count : 1;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

/* Waiting -------------------------------------------------------------------- */

static uint64_t nanoseconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Lets the other thread of the core go first. */
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool is_called(const struct fghm_pool *pool) {
    return atomic_load(&pool->seats) >= ONE_SEAT || atomic_load(&pool->ending);
}

static bool have_all_left(const struct fghm_pool *pool) {
    return (atomic_load(&pool->seats) & SEATED_MASK) == 0;
}

/* Whether it came true in time. */
static bool spin_until(const struct fghm_pool *pool, bool (*is_true)(const struct fghm_pool *)) {
    bool found = is_true(pool);
    if (!found && pool->spins) {
        const uint64_t start = nanoseconds_now();
        do {
            relax();
            found = is_true(pool);
        } while (!found && nanoseconds_now() - start < SPIN_NANOSECONDS);
    }
    return found;
}

static void sleep_until_called(struct fghm_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->asleep, 1);
    while (!is_called(pool)) {
        pthread_cond_wait(&pool->called, &pool->mutex);
    }
    atomic_fetch_sub(&pool->asleep, 1);
    pthread_mutex_unlock(&pool->mutex);
}

/* Either this thread sees a sleeper, or the sleeper, who says so first, sees the seat. */
static void wake_sleepers(struct fghm_pool *pool) {
    const size_t seats = atomic_load(&pool->seats) / ONE_SEAT;
    if (seats == 0 || atomic_load(&pool->asleep) == 0 || atomic_load(&pool->next) >= pool->tasks) {
        return;
    }
    pthread_mutex_lock(&pool->mutex); /* whoever is about to sleep does */
    const size_t asleep = atomic_load(&pool->asleep);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < WAKES_EACH && i < seats && i < asleep; i++) {
        pthread_cond_signal(&pool->called);
    }
}

/* Workers -------------------------------------------------------------------- */

static bool take_seat(struct fghm_pool *pool) {
    unsigned seats = atomic_load(&pool->seats);
    while (seats >= ONE_SEAT) {
        if (atomic_compare_exchange_weak(&pool->seats, &seats, seats - ONE_SEAT + ONE_SEATED)) {
            return true;
        }
    }
    return false;
}

static void leave_seat(struct fghm_pool *pool) {
    const unsigned before = atomic_fetch_sub(&pool->seats, ONE_SEATED);
    if ((before & SEATED_MASK) == ONE_SEATED && atomic_load(&pool->caller_asleep)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
        pthread_cond_signal(&pool->all_left);
    }
}

/* The number of a task that nobody else gets; the number of tasks, or more: there is none. */
static size_t take_task(struct fghm_pool *pool) {
    return atomic_fetch_add(&pool->next, 1);
}

static void work_from_seat(struct fghm_pool *pool) {
    const size_t tasks = pool->tasks;
    wake_sleepers(pool);
    for (size_t i = take_task(pool); i < tasks; i = take_task(pool)) {
        fghm_set_default_environment(); /* each time: the task before may have been a careless one
                                         */
        pool->task(pool->context, i);
    }
    leave_seat(pool);
}

static void *worker_main(void *context) {
    struct fghm_pool *const pool = context;
    int ignored;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
    while (!atomic_load(&pool->ending)) {
        if (take_seat(pool)) {
            work_from_seat(pool);
        } else if (!spin_until(pool, is_called)) {
            sleep_until_called(pool);
        }
    }
    return NULL;
}

/* Calls ---------------------------------------------------------------------- */

static void open_seats(struct fghm_pool *pool, size_t tasks, fghm_task task, void *context) {
    const size_t useful = tasks - 1 < pool->workers ? tasks - 1 : pool->workers;
    pool->task = task;
    pool->context = context;
    pool->tasks = tasks;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->seats, (unsigned)useful * ONE_SEAT);
}

/* Whether the tasks that nobody has taken take long, if each does as long as the first. */
static bool is_worth_waking(const struct fghm_pool *pool, uint64_t nanoseconds_of_first) {
    const size_t next = atomic_load(&pool->next);
    const size_t left = next < pool->tasks ? pool->tasks - next : 0;
    return nanoseconds_of_first * left >= WORTH_WAKING_NANOSECONDS;
}

static void sleep_until_all_left(struct fghm_pool *pool) {
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_asleep, true);
    while (!have_all_left(pool)) {
        pthread_cond_wait(&pool->all_left, &pool->mutex);
    }
    atomic_store(&pool->caller_asleep, false);
    pthread_mutex_unlock(&pool->mutex);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

static void close_seats(struct fghm_pool *pool) {
    atomic_fetch_and(&pool->seats, SEATED_MASK);
    if (!spin_until(pool, have_all_left)) {
        sleep_until_all_left(pool);
    }
}

static void run_with_workers(struct fghm_pool *pool, size_t tasks, fghm_task task, void *context) {
    const uint64_t start = nanoseconds_now();
    bool is_first = true;
    open_seats(pool, tasks, task, context);
    for (size_t i = take_task(pool); i < tasks; i = take_task(pool)) {
        task(context, i);
        if (is_first && is_worth_waking(pool, nanoseconds_now() - start)) {
            wake_sleepers(pool);
        }
        is_first = false;
    }
    close_seats(pool);
}

/* Lives of pools ------------------------------------------------------------- */

/* The default, unless that is too small, as it is in musl and under a small `ulimit -s`. */
static void set_stack(pthread_attr_t *attributes) {
    size_t bytes = 0;
    if (pthread_attr_getstacksize(attributes, &bytes) == 0 && bytes < STACK_BYTES) {
        (void)pthread_attr_setstacksize(attributes, STACK_BYTES); /* refused: the default */
    }
}

/* EINVAL: the program has more thread-local data than STACK_BYTES. */
static bool start_worker(struct fghm_pool *pool, const pthread_attr_t *attributes) {
    pthread_t *const worker = &pool->worker[pool->workers];
    int error = pthread_create(worker, attributes, worker_main, pool);
    if (error == EINVAL) {
        error = pthread_create(worker, NULL, worker_main, pool);
    }
    pool->workers += error == 0;
    return error == 0;
}

/* Signals are blocked before a worker starts, so that none can reach it. */
static fghm_status start_workers(struct fghm_pool *pool) {
    pthread_attr_t attributes;
    sigset_t all, before;
    FGHM_REQUIRE(pthread_attr_init(&attributes) == 0, FGHM_ERROR_MEMORY);
    set_stack(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    while (started && pool->workers < pool->threads - 1) {
        started = start_worker(pool, &attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started ? FGHM_OK : FGHM_ERROR_THREADS;
}

static void end_workers(struct fghm_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->ending, true);
    pthread_cond_broadcast(&pool->called);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->workers; i++) {
        pthread_join(pool->worker[i], NULL);
    }
}

static bool make_waiting(struct fghm_pool *pool) {
    if (pthread_mutex_init(&pool->mutex, NULL) == 0) {
        if (pthread_cond_init(&pool->called, NULL) == 0) {
            if (pthread_cond_init(&pool->all_left, NULL) == 0) {
                return true;
            }
            pthread_cond_destroy(&pool->called);
        }
        pthread_mutex_destroy(&pool->mutex);
    }
    return false;
}

static void end_waiting(struct fghm_pool *pool) {
    pthread_cond_destroy(&pool->all_left);
    pthread_cond_destroy(&pool->called);
    pthread_mutex_destroy(&pool->mutex);
}

static bool is_of_this_process(const struct fghm_pool *pool) {
    return pool->owner == getpid();
}

/* A pool without workers, or NULL. */
static struct fghm_pool *new_pool(size_t threads, size_t workers) {
    struct fghm_pool *const pool =
        fghm_zeroed_memory(1, sizeof *pool + workers * sizeof pool->worker[0]);
    if (pool != NULL) {
        pool->threads = threads;
        pool->owner = getpid();
        atomic_init(&pool->busy, 0);
        atomic_init(&pool->asleep, 0);
        atomic_init(&pool->caller_asleep, false);
        atomic_init(&pool->ending, false);
        atomic_init(&pool->seats, 0);
        atomic_init(&pool->next, 0);
    }
    return pool;
}

static fghm_status make_threads(fghm_pool **pool, size_t threads) {
    const size_t processors = allowed_processors();
    const size_t most = processors < FGHM_THREADS_MAX ? processors : FGHM_THREADS_MAX;
    const size_t count = threads > 0 ? threads : most;
    struct fghm_pool *const made = new_pool(count, count - 1);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    if (!make_waiting(made)) {
        fghm_free(made);
        return FGHM_ERROR_MEMORY;
    }
    made->spins = count <= processors;
    const fghm_status status = start_workers(made);
    if (status != FGHM_OK) {
        end_workers(made);
        end_waiting(made);
        fghm_free(made);
        return status;
    }
    *pool = made;
    return FGHM_OK;
}

/* Joining a thread is a point of cancellation. */
static fghm_status make_pool(fghm_pool **pool, size_t threads) {
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    const fghm_status status = make_threads(pool, threads);
    pthread_setcancelstate(cancel_state, &cancel_state);
    return status;
}

static void end_threads(struct fghm_pool *pool) {
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    end_workers(pool);
    end_waiting(pool);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

#else

struct fghm_pool {
    size_t threads;
    atomic_int busy; /* gcc has no exchange of bytes on RISC-V */
    fghm_run run;
    void *user;
};

static bool is_of_this_process(const struct fghm_pool *pool) {
    (void)pool;
    return true;
}

static struct fghm_pool *new_pool(size_t threads, size_t workers) {
    struct fghm_pool *const pool = fghm_zeroed_memory(1, sizeof *pool);
    (void)workers;
    if (pool != NULL) {
        pool->threads = threads;
        atomic_init(&pool->busy, 0);
    }
    return pool;
}

static fghm_status make_pool(fghm_pool **pool, size_t threads) {
    FGHM_REQUIRE(threads <= 1, FGHM_ERROR_THREADS);
    struct fghm_pool *const made = new_pool(1, 0);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    *pool = made;
    return FGHM_OK;
}

static void run_with_workers(struct fghm_pool *pool, size_t tasks, fghm_task task, void *context) {
    (void)pool;
    run_alone(tasks, task, context);
}

static void end_threads(struct fghm_pool *pool) {
    (void)pool;
}

#endif

/* Pools of both kinds -------------------------------------------------------- */

/* In a child of fork() neither the pool's threads exist nor, in general, the caller's. */
static bool has_threads(const fghm_pool *pool) {
    return (pool->run != NULL || pool->threads > 1) && is_of_this_process(pool);
}

void fghm_pool_run(fghm_pool *pool, size_t tasks, fghm_task task, void *context) {
    if (pool == NULL || tasks < 2 || !has_threads(pool) || atomic_exchange(&pool->busy, 1)) {
        run_alone(tasks, task, context);
        return;
    }
    if (pool->run != NULL) {
        const int saved_errno = errno;
        pool->run(pool->user, tasks, task, context);
        errno = saved_errno;
    } else {
        run_with_workers(pool, tasks, task, context);
    }
    atomic_store(&pool->busy, 0);
}

fghm_status fghm_pool_create(fghm_pool **pool, size_t threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads <= FGHM_THREADS_MAX, FGHM_ERROR_RANGE);
    const int saved_errno = errno;
    const fghm_status status = make_pool(pool, threads);
    errno = saved_errno;
    return status;
}

fghm_status fghm_pool_create_from(fghm_pool **pool, size_t threads, fghm_run run, void *user) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(run != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(threads >= 1 && threads <= FGHM_THREADS_MAX, FGHM_ERROR_RANGE);
    struct fghm_pool *const made = new_pool(threads, 0);
    FGHM_REQUIRE(made != NULL, FGHM_ERROR_MEMORY);
    made->run = run;
    made->user = user;
    *pool = made;
    return FGHM_OK;
}

/* In a child of fork() the mutex may be locked for ever, and the conditions wait for their
 * sleepers: they are left as they are. */
void fghm_pool_destroy(fghm_pool *pool) {
    if (pool == NULL) {
        return;
    }
    const int saved_errno = errno;
    if (pool->run == NULL && is_of_this_process(pool)) {
        end_threads(pool);
    }
    fghm_free(pool);
    errno = saved_errno;
}

fghm_status fghm_pool_get_threads(const fghm_pool *pool, size_t *threads) {
    FGHM_REQUIRE(pool != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(threads != NULL, FGHM_ERROR_NULL_POINTER);
    *threads = is_of_this_process(pool) ? pool->threads : 1;
    return FGHM_OK;
}
