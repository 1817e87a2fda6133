/* SPDX-License-Identifier: MIT */

/* Pools, through the public functions: none changes a bit, whether its threads are the
 * library's or the caller's; pools that are busy, shared, forked, made and ended in
 * numbers; signals and cancellation; and a first call that comes from many threads at once.
 * What the pool's threads are like is the matter of test_pool_threads. */

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* fork, pthread_barrier_t, setitimer */
#endif

#include <errno.h>
#include <focalghm/focalghm.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/patience.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "support/suite.h"

/* qemu's emulation of a process stops where a forked child makes a thread. */
#ifdef TEST_EMULATED
#define CHILD_THREADS 1
#define FORKS 10
#else
#define CHILD_THREADS 3
#define FORKS 100
#endif

#define CALLERS 8
#define LARGE ((size_t)1 << 20)
#define CLASSES 5

static const size_t thread_counts[] = {1, 2, 3, 4, 7, 16};
static const size_t sizes[] = {0, 1, 17, 1000, 4099, 65537};

static struct batch random_batch(const struct dtype *d, struct random *r, size_t n) {
    struct batch b = batch_new(d, n);
    for (size_t i = 0; i < n; i++) {
        const bool soft = i % 1000 == 999;
        batch_put(&b, i, random_uniform(r, -12.0, 12.0),
                  soft ? random_uniform(r, 0.0, 1.0) : (double)(random_bits(r) & 1));
    }
    return b;
}

/* Calls ---------------------------------------------------------------------------- */

/* Softmax over rows of CLASSES classes whose labels are a sample's first target and
 * its number. */
static fghm_status softmax(struct batch *b, const fghm_focal *focal, fghm_pool *pool) {
    const size_t samples = b->n / CLASSES;
    const fghm_dtype dtype = b->d->size == sizeof(double) ? FGHM_F64 : FGHM_F32;
    int32_t *const labels = malloc((samples + 1) * sizeof *labels);
    fghm_result result = FGHM_RESULT_INIT;
    if (labels == NULL) {
        return FGHM_ERROR_MEMORY;
    }
    for (size_t i = 0; i < samples; i++) {
        labels[i] = (int32_t)((i + (b->d->get(b->targets, i) > 0.5)) % CLASSES);
    }
    fghm_batch batch = descriptor_of(samples, CLASSES, 1);
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.logits = (fghm_input){.data = b->logits, .dtype = dtype};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    batch.element_loss = (fghm_output){.data = b->out[ELEMENT_LOSS], .dtype = dtype};
    batch.gradient = (fghm_output){.data = b->out[GRADIENT], .dtype = dtype};
    batch.hessian = (fghm_output){.data = b->out[HESSIAN], .dtype = dtype};
    const fghm_status status = fghm_focal_batch(focal, pool, &batch, &result);
    b->loss = result.loss;
    free(labels);
    return status;
}

enum call { FOCAL, SOFTMAX, GHM, CALLS };

static fghm_status compute(enum call call, struct batch *b, const fghm_focal *focal, fghm_ghm *ghm,
                           fghm_pool *pool) {
    switch (call) {
    case FOCAL:
        return batch_focal(b, focal, pool);
    case SOFTMAX:
        return softmax(b, focal, pool);
    default:
        return batch_ghm(b, ghm, pool);
    }
}

/* Every call with the pool and without one. */
static void check_pool(const struct dtype *d, size_t n, fghm_pool *pool) {
    struct random r = random_for(21);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    struct batch alone = random_batch(d, &r, n), shared = batch_twin(&alone);
    for (int call = 0; call < CALLS; call++) {
        for (int o = 0; o < OUTPUTS; o++) { /* softmax does not fill all of it */
            memset(alone.out[o], 0, n * d->size);
            memset(shared.out[o], 0, n * d->size);
        }
        assert_int_equal(compute((enum call)call, &alone, focal, ghm, NULL), FGHM_OK);
        assert_int_equal(compute((enum call)call, &shared, focal, ghm, pool), FGHM_OK);
        batch_assert_same(&alone, &shared);
    }
    batch_free(&alone);
    batch_free(&shared);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
}

static void threads_change_no_bit(void **state) {
    for (size_t k = 0; k < SUITE_COUNT(thread_counts); k++) {
        fghm_pool *const pool = pool_of(thread_counts[k]);
        for (size_t i = 0; i < SUITE_COUNT(sizes); i++) {
            check_pool(*state, sizes[i], pool);
        }
        fghm_pool_destroy(pool);
    }
}

static void threads_change_no_bit_of_many(void **state) {
    fghm_pool *const pool = pool_of(7);
    check_pool(*state, LARGE, pool);
    fghm_pool_destroy(pool);
}

static void threads_are_counted(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(thread_counts); k++) {
        fghm_pool *const pool = pool_of(thread_counts[k]);
        size_t threads = 0;
        assert_int_equal(fghm_pool_get_threads(pool, &threads), FGHM_OK);
        assert_int_equal(threads, thread_counts[k]);
        fghm_pool_destroy(pool);
    }
}

/* The caller's threads ---------------------------------------------------------------- */

enum order { FORWARD, BACKWARD, CONCURRENT, ORDERS };

#define CREW 3

/* A crew that runs tasks; one call's tasks at a time. */
struct crew {
    enum order order;
    size_t tasks;
    fghm_task task;
    void *context;
    atomic_size_t next;
    size_t calls; /* of run_by_crew */
    size_t last_tasks;
};

static void *run_some(void *context) {
    struct crew *const crew = context;
    for (size_t i = crew->next++; i < crew->tasks; i = crew->next++) {
        crew->task(crew->context, i);
    }
    return NULL;
}

static void run_on_new_threads(struct crew *crew) {
    pthread_t threads[CREW];
    for (size_t k = 0; k < CREW; k++) {
        if (pthread_create(&threads[k], NULL, run_some, crew) != 0) {
            abort();
        }
    }
    for (size_t k = 0; k < CREW; k++) {
        pthread_join(threads[k], NULL);
    }
}

static void run_by_crew(void *user, size_t tasks, fghm_task task, void *context) {
    struct crew *const crew = user;
    crew->calls++;
    crew->last_tasks = crew->tasks = tasks;
    crew->task = task;
    crew->context = context;
    crew->next = 0;
    if (crew->order == CONCURRENT) {
        run_on_new_threads(crew);
        return;
    }
    for (size_t i = 0; i < tasks; i++) {
        task(context, crew->order == FORWARD ? i : tasks - 1 - i);
    }
}

static fghm_pool *pool_from(size_t threads, fghm_run run, void *user) {
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create_from(&pool, threads, run, user), FGHM_OK);
    assert_non_null(pool);
    return pool;
}

static void callers_threads_change_no_bit(void **state) {
    for (int order = 0; order < ORDERS; order++) {
        struct crew crew = {.order = (enum order)order};
        fghm_pool *const pool = pool_from(CREW, run_by_crew, &crew);
        for (size_t i = 0; i < SUITE_COUNT(sizes); i++) {
            check_pool(*state, sizes[i], pool);
        }
        assert_true(crew.calls > 0);
        fghm_pool_destroy(pool);
    }
}

/* One call of the everyday function, and every kind of pool. */
#define N_EVERYDAY ((size_t)200000)

static void check_everyday(struct batch *alone, const fghm_focal *focal, fghm_pool *pool) {
    struct batch shared = batch_twin(alone);
    assert_int_equal(batch_focal(&shared, focal, pool), FGHM_OK);
    batch_assert_same(alone, &shared);
    batch_free(&shared);
    fghm_pool_destroy(pool);
}

static void every_kind_of_pool_gives_the_same_bits(void **state) {
    const size_t counts[] = {0, 1, 2, 3, 7};
    struct random r = random_for(26);
    struct batch alone = random_batch(*state, &r, N_EVERYDAY);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
        check_everyday(&alone, focal, pool_of(counts[k]));
    }
    for (int order = 0; order < ORDERS; order++) {
        struct crew crew = {.order = (enum order)order};
        check_everyday(&alone, focal, pool_from(CREW, run_by_crew, &crew));
    }
    fghm_focal_destroy(focal);
    batch_free(&alone);
}

static void tasks_depend_on_n_alone(void **state) {
    const size_t counts[] = {1, 7, FGHM_THREADS_MAX};
    struct random r = random_for(27);
    struct batch b = random_batch(*state, &r, LARGE);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    for (size_t i = 0; i < SUITE_COUNT(sizes); i++) {
        size_t tasks[SUITE_COUNT(counts)];
        for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
            struct crew crew = {.order = FORWARD};
            fghm_pool *const pool = pool_from(counts[k], run_by_crew, &crew);
            b.n = sizes[i];
            assert_int_equal(batch_focal(&b, focal, pool), FGHM_OK);
            tasks[k] = crew.last_tasks;
            assert_int_not_equal(tasks[k], 1); /* then there is nothing to run elsewhere */
            assert_int_equal(tasks[k], tasks[0]);
            fghm_pool_destroy(pool);
        }
    }
    fghm_focal_destroy(focal);
    batch_free(&b);
}

static void arguments_are_checked(void **state) {
    struct crew crew = {.order = FORWARD};
    char there;
    fghm_pool *const before = (fghm_pool *)(void *)&there;
    fghm_pool *pool = before;
    size_t threads = 0;
    (void)state;
    assert_int_equal(fghm_pool_create(NULL, 1), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_pool_create(&pool, FGHM_THREADS_MAX + 1), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_pool_create(&pool, SIZE_MAX), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_pool_create_from(NULL, 1, run_by_crew, &crew), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_pool_create_from(&pool, 1, NULL, &crew), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_pool_create_from(&pool, 0, run_by_crew, NULL), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_pool_create_from(&pool, FGHM_THREADS_MAX + 1, run_by_crew, NULL),
                     FGHM_ERROR_RANGE);
    assert_ptr_equal(pool, before);
    pool = pool_from(FGHM_THREADS_MAX, run_by_crew, NULL);
    assert_int_equal(fghm_pool_get_threads(pool, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_pool_get_threads(NULL, &threads), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(threads, 0);
    assert_int_equal(fghm_pool_get_threads(pool, &threads), FGHM_OK);
    assert_int_equal(threads, FGHM_THREADS_MAX);
    fghm_pool_destroy(pool);
    fghm_pool_destroy(NULL);
}

/* Callers at once ------------------------------------------------------------------- */

/* What threads share, and what each finds; only the main thread may assert. */
struct caller {
    pthread_t thread;
    pthread_barrier_t *barrier;
    const fghm_focal *focal;
    fghm_pool *pool;
    struct batch results;
    const char *isa;
    int rounds, failures;
};

static void *call_again_and_again(void *context) {
    struct caller *const caller = context;
    struct batch *const b = &caller->results;
    struct batch first = batch_twin(b);
    fghm_ghm *ghm = NULL;
    pthread_barrier_wait(caller->barrier);
    caller->isa = fghm_isa_name();
    caller->failures += fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) != FGHM_OK;
    caller->failures += batch_focal(&first, caller->focal, caller->pool) != FGHM_OK;
    for (int round = 0; round < caller->rounds && caller->failures == 0; round++) {
        caller->failures += batch_ghm(b, ghm, caller->pool) != FGHM_OK;
        caller->failures += batch_focal(b, caller->focal, caller->pool) != FGHM_OK;
        caller->failures += !batch_is_same(b, &first);
    }
    fghm_ghm_destroy(ghm);
    batch_free(&first);
    return NULL;
}

static struct caller callers[CALLERS];

static void run_callers(const struct batch *inputs, const fghm_focal *focal, fghm_pool *pool,
                        int rounds) {
    pthread_barrier_t barrier;
    if (pthread_barrier_init(&barrier, NULL, CALLERS) != 0) {
        abort();
    }
    for (int k = 0; k < CALLERS; k++) {
        callers[k] = (struct caller){.barrier = &barrier,
                                     .focal = focal,
                                     .pool = pool,
                                     .results = batch_twin(inputs),
                                     .rounds = rounds};
        if (pthread_create(&callers[k].thread, NULL, call_again_and_again, &callers[k]) != 0) {
            abort();
        }
    }
    for (int k = 0; k < CALLERS; k++) {
        pthread_join(callers[k].thread, NULL);
    }
    pthread_barrier_destroy(&barrier);
}

static void check_callers(const struct batch *expected) {
    for (int k = 0; k < CALLERS; k++) {
        assert_int_equal(callers[k].failures, 0);
        assert_string_equal(callers[k].isa, fghm_isa_name());
        batch_assert_same(expected, &callers[k].results);
        batch_free(&callers[k].results);
    }
}

static void callers_share_a_pool(void **state) {
    struct random r = random_for(22);
    struct batch alone = random_batch(*state, &r, 9001);
    fghm_focal *const focal = focal_handle(1.5, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(3);
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    run_callers(&alone, focal, pool, 2);
    check_callers(&alone);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
}

/* The library's first call in this process, made before main() runs the tests. */
static struct batch first_inputs;

static void make_first_calls(void) {
    struct random r = random_for(23);
    fghm_focal *focal = NULL;
    first_inputs = random_batch(&dtypes[0], &r, 3001);
    /* Handles know nothing of instruction sets, which the first call chooses. */
    if (fghm_focal_create(&focal) != FGHM_OK) {
        abort();
    }
    run_callers(&first_inputs, focal, NULL, 1);
    fghm_focal_destroy(focal);
}

static void first_calls_agree(void **state) {
    fghm_focal *focal = NULL;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(batch_focal(&first_inputs, focal, NULL), FGHM_OK);
    for (int k = 0; k < CALLERS; k++) {
        assert_non_null(callers[k].isa);
    }
    check_callers(&first_inputs);
    fghm_focal_destroy(focal);
    batch_free(&first_inputs);
}

/* Before it runs the tasks, another thread uses the pool, and so does this one. */
struct intrusion {
    const fghm_focal *focal;
    fghm_pool *pool;
    struct batch *nested, *other;
    size_t runs, failures;
};

static void *call_with_busy_pool(void *context) {
    struct intrusion *const in = context;
    in->failures += batch_focal(in->other, in->focal, in->pool) != FGHM_OK;
    return NULL;
}

static void run_after_intrusion(void *user, size_t tasks, fghm_task task, void *context) {
    struct intrusion *const in = user;
    pthread_t other;
    in->runs++;
    if (pthread_create(&other, NULL, call_with_busy_pool, in) != 0) {
        abort();
    }
    pthread_join(other, NULL); /* it must not wait for this call */
    in->failures += batch_focal(in->nested, in->focal, in->pool) != FGHM_OK;
    for (size_t i = 0; i < tasks; i++) {
        task(context, i);
    }
    errno = ERANGE;
}

static void a_busy_pool_is_not_waited_for(void **state) {
    struct random r = random_for(28);
    struct batch alone = random_batch(*state, &r, 50021);
    struct batch shared = batch_twin(&alone), nested = batch_twin(&alone);
    struct batch other = batch_twin(&alone);
    fghm_focal *const focal = focal_handle(1.5, 0.25, FGHM_REDUCTION_MEAN);
    struct intrusion in = {.focal = focal, .nested = &nested, .other = &other};
    in.pool = pool_from(2, run_after_intrusion, &in);
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    for (size_t round = 1; round <= 2; round++) {
        errno = 0;
        assert_int_equal(batch_focal(&shared, focal, in.pool), FGHM_OK);
        assert_int_equal(errno, 0);
        assert_int_equal(in.runs, round); /* once per call, and not for the intruders */
        assert_int_equal(in.failures, 0);
    }
    batch_assert_same(&alone, &shared);
    batch_assert_same(&alone, &nested);
    batch_assert_same(&alone, &other);
    fghm_pool_destroy(in.pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
    batch_free(&nested);
    batch_free(&other);
}

/* Signals and cancellation ------------------------------------------------------------ */

static pthread_t main_thread;
static atomic_int signals_here, signals_elsewhere;

static void count_signal(int signal_number) {
    (void)signal_number;
    if (pthread_equal(pthread_self(), main_thread)) {
        signals_here++;
    } else {
        signals_elsewhere++;
    }
}

static void set_timer(suseconds_t microseconds) {
    const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* At 10 kHz, during calls of each kind, and while pools are made and destroyed. */
static void signals_do_no_harm(void **state) {
    struct random r = random_for(29);
    struct batch alone = random_batch(*state, &r, 50021), shared = batch_twin(&alone);
    struct sigaction action = {.sa_handler = count_signal}, before;
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *const ghm = ghmc_handle(300, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(3);
    const time_t start = time(NULL);
    main_thread = pthread_self();
    signals_elsewhere = 0;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    for (int call = 0; call < CALLS; call++) {
        bool same = true;
        for (int o = 0; o < OUTPUTS; o++) { /* softmax does not fill all of it */
            memset(alone.out[o], 0, alone.n * alone.d->size);
            memset(shared.out[o], 0, alone.n * alone.d->size);
        }
        assert_int_equal(compute((enum call)call, &alone, focal, ghm, NULL), FGHM_OK);
        signals_here = 0;
        set_timer(100);
        while (same && signals_here < 200 && time(NULL) - start < PATIENCE_SECONDS) {
            fghm_pool *another = NULL;
            same = compute((enum call)call, &shared, focal, ghm, pool) == FGHM_OK &&
                   batch_is_same(&alone, &shared) && fghm_pool_create(&another, 3) == FGHM_OK;
            fghm_pool_destroy(another);
        }
        set_timer(0);
        assert_true(same);
        assert_true(signals_here >= 200);
    }
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(signals_elsewhere, 0);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
    batch_free(&alone);
    batch_free(&shared);
}

struct cancelled {
    const fghm_focal *focal;
    struct batch *results;
    size_t ended;
};

/* A cancellation is pending all the time, and is acted upon at the end. */
static void *call_while_cancelled(void *context) {
    struct cancelled *const c = context;
    fghm_pool *pool = NULL;
    bool good = pthread_cancel(pthread_self()) == 0;
    good = fghm_pool_create(&pool, 3) == FGHM_OK && good;
    for (int i = 0; i < 20 && good; i++) {
        good = batch_focal(c->results, c->focal, pool) == FGHM_OK;
        c->ended += good;
    }
    fghm_pool_destroy(pool);
    pthread_testcancel();
    return NULL;
}

static void a_cancelled_thread_ends_its_calls(void **state) {
    struct random r = random_for(30);
    struct batch alone = random_batch(*state, &r, LARGE / 4), shared = batch_twin(&alone);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct cancelled c = {focal, &shared, 0};
    pthread_t thread;
    void *verdict = NULL;
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    assert_int_equal(pthread_create(&thread, NULL, call_while_cancelled, &c), 0);
    assert_int_equal(pthread_join(thread, &verdict), 0);
    assert_ptr_equal(verdict, PTHREAD_CANCELED);
    assert_int_equal(c.ended, 20);
    batch_assert_same(&alone, &shared);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
}

/* Lives of pools -------------------------------------------------------------------- */

static void pools_come_and_go(void **state) {
    struct random r = random_for(24);
    struct batch alone = random_batch(*state, &r, 10007), shared = batch_twin(&alone);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    fghm_pool *pools[8] = {NULL};
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    for (int round = 0; round < 24; round++) {
        const size_t k = random_below(&r, SUITE_COUNT(pools));
        fghm_pool_destroy(pools[k]);
        pools[k] = pool_of(random_below(&r, 4));
        if (round % 4 == 0) {
            assert_int_equal(batch_focal(&shared, focal, pools[k]), FGHM_OK);
            batch_assert_same(&alone, &shared);
        }
    }
    for (size_t k = 0; k < SUITE_COUNT(pools); k++) {
        fghm_pool_destroy(pools[k]);
    }
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
}

/* In the child: what went wrong, or 0. */
static int use_in_child(const struct batch *alone, const fghm_focal *focal, fghm_pool *pool) {
    struct batch shared = batch_twin(alone);
    fghm_pool *own = NULL;
    size_t threads = 0;
    if (fghm_pool_get_threads(pool, &threads) != FGHM_OK || threads != 1) {
        return 1;
    }
    if (batch_focal(&shared, focal, pool) != FGHM_OK || !batch_is_same(alone, &shared)) {
        return 2;
    }
    if (fghm_pool_create(&own, CHILD_THREADS) != FGHM_OK) {
        return 3;
    }
    memset(shared.out[GRADIENT], 0, shared.n * shared.d->size);
    if (batch_focal(&shared, focal, own) != FGHM_OK || !batch_is_same(alone, &shared)) {
        return 4;
    }
    fghm_pool_destroy(pool);
    fghm_pool_destroy(own);
    batch_free(&shared);
    return 0;
}

static void skip_where_fork_is_not_followed(void) {
    if (HAS_THREAD_SANITIZER) {
        print_message("skipped: the thread sanitizer does not follow a fork with threads\n");
        skip();
    }
}

/* Fails the test unless the child returns 0. */
static void wait_for_child(pid_t child) {
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forked_child_computes(void **state) {
    struct random r = random_for(25);
    struct batch alone, shared;
    skip_where_fork_is_not_followed();
    alone = random_batch(*state, &r, 50021);
    shared = batch_twin(&alone);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(4);
    assert_int_equal(batch_focal(&alone, focal, pool), FGHM_OK);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_SECONDS); /* a child that hangs ends */
        _exit(use_in_child(&alone, focal, pool));
    }
    wait_for_child(child);
    /* And the parent's pool still works. */
    assert_int_equal(batch_focal(&shared, focal, pool), FGHM_OK);
    batch_assert_same(&alone, &shared);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
}

/* The caller's threads are, in general, gone as well: the child does without them. */
static void a_forked_child_does_not_run_the_crew(void **state) {
    struct random r = random_for(31);
    struct batch alone;
    struct crew crew = {.order = CONCURRENT};
    skip_where_fork_is_not_followed();
    alone = random_batch(*state, &r, 50021);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_from(CREW, run_by_crew, &crew);
    assert_int_equal(batch_focal(&alone, focal, pool), FGHM_OK);
    assert_int_equal(crew.calls, 1);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        const int wrong = use_in_child(&alone, focal, pool);
        _exit(wrong != 0 ? wrong : crew.calls != 1);
    }
    wait_for_child(child);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
}

struct busy {
    const fghm_focal *focal;
    fghm_pool *pool;
    struct batch *results;
    atomic_bool stop;
    size_t failures;
};

static void *keep_busy(void *context) {
    struct busy *const busy = context;
    while (!busy->stop) {
        busy->failures += batch_focal(busy->results, busy->focal, busy->pool) != FGHM_OK;
    }
    return NULL;
}

/* Allocates nothing before it has used the pool. */
static int use_busy_pool(struct batch *shared, const struct batch *alone, const struct busy *busy) {
    size_t threads = 0;
    alarm(PATIENCE_SECONDS);
    if (fghm_pool_get_threads(busy->pool, &threads) != FGHM_OK || threads != 1) {
        return 1;
    }
    if (batch_focal(shared, busy->focal, busy->pool) != FGHM_OK || !batch_is_same(alone, shared)) {
        return 2;
    }
    fghm_pool_destroy(busy->pool);
    return 0;
}

/* In whatever state the pool is, a copy of it works. */
static void children_of_a_busy_process_compute(void **state) {
    struct random r = random_for(32);
    struct batch alone, shared, kept;
    pthread_t thread;
    skip_where_fork_is_not_followed();
    alone = random_batch(*state, &r, 20011);
    shared = batch_twin(&alone);
    kept = batch_twin(&alone);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct busy busy = {.focal = focal, .pool = pool_of(3), .results = &kept};
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    fflush(NULL);
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, &busy), 0);
    for (int i = 0; i < FORKS; i++) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(use_busy_pool(&shared, &alone, &busy));
        }
        wait_for_child(child);
    }
    busy.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(busy.failures, 0);
    batch_assert_same(&alone, &kept);
    fghm_pool_destroy(busy.pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
    batch_free(&kept);
}

/* Segments add their counts of thousands of bins to the same numbers, at the same time. */
static void no_count_is_lost(void **state) {
    const struct dtype *const d = *state;
    const size_t bins = FGHM_BINS_MAX;
    const size_t n = 16 * 4096;
    fghm_ghm *const ghm = ghmc_handle(bins, FGHM_REDUCTION_MEAN);
    fghm_pool *pool = NULL;
    uint64_t *const want = calloc(2 * (bins + 1), sizeof *want);
    struct batch b = batch_new(d, n);
    assert_non_null(want);
    uint64_t *const got = want + bins + 1;
    for (size_t i = 0; i < n; i++) {
        const double g = ((double)(i % bins) + 0.5) / (double)bins;
        batch_put(&b, i, log(g / (1 - g)), 0);
    }
    assert_int_equal(fghm_pool_create(&pool, 4), FGHM_OK);
    assert_int_equal(d->ghm_count(ghm, NULL, n, b.logits, b.targets, NULL, bins + 1, want),
                     FGHM_OK);
    for (int turn = 0; turn < 200; turn++) {
        memset(got, 0, (bins + 1) * sizeof *got);
        assert_int_equal(d->ghm_count(ghm, pool, n, b.logits, b.targets, NULL, bins + 1, got),
                         FGHM_OK);
        assert_memory_equal(got, want, (bins + 1) * sizeof *got);
    }
    free(want);
    batch_free(&b);
    fghm_pool_destroy(pool);
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"first_calls_agree", first_calls_agree, 0},
        {"threads_are_counted", threads_are_counted, 0},
        {"threads_change_no_bit", threads_change_no_bit, 1},
        {"threads_change_no_bit_of_many", threads_change_no_bit_of_many, 1},
        {"no_count_is_lost", no_count_is_lost, 1},
        {"callers_share_a_pool", callers_share_a_pool, 1},
        {"pools_come_and_go", pools_come_and_go, 1},
        {"arguments_are_checked", arguments_are_checked, 0},
        {"callers_threads_change_no_bit", callers_threads_change_no_bit, 1},
        {"every_kind_of_pool_gives_the_same_bits", every_kind_of_pool_gives_the_same_bits, 1},
        {"tasks_depend_on_n_alone", tasks_depend_on_n_alone, 1},
        {"a_busy_pool_is_not_waited_for", a_busy_pool_is_not_waited_for, 1},
        {"signals_do_no_harm", signals_do_no_harm, 1},
        {"a_cancelled_thread_ends_its_calls", a_cancelled_thread_ends_its_calls, 1},
        {"a_forked_child_computes", a_forked_child_computes, 1},
        {"a_forked_child_does_not_run_the_crew", a_forked_child_does_not_run_the_crew, 1},
        {"children_of_a_busy_process_compute", children_of_a_busy_process_compute, 1},
    };
    make_first_calls();
    return suite_run(argument_count, arguments, "test_pool", tests, SUITE_COUNT(tests));
}
