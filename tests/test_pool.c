/* SPDX-License-Identifier: MIT */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* fork, pthread_barrier_t */
#endif

/* Threads, through the public functions: no number of them changes a bit; pools that are
 * shared, forked, made and ended in numbers; and a first call that comes from many
 * threads at once. */

#include <focalghm/focalghm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/batch.h"
#include "support/random.h"
#include "support/suite.h"

#if defined(__SANITIZE_THREAD__)
#define HAS_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_THREAD_SANITIZER 1
#endif
#endif
#ifndef HAS_THREAD_SANITIZER
#define HAS_THREAD_SANITIZER 0
#endif

/* qemu's emulation of a process stops where a forked child makes a thread. */
#ifdef TEST_EMULATED
#define CHILD_THREADS 1
#else
#define CHILD_THREADS 3
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

/* The inputs of another batch, and results of its own. */
static struct batch batch_like(const struct batch *from) {
    struct batch b = batch_new(from->d, from->n);
    memcpy(b.logits, from->logits, from->n * from->d->size);
    memcpy(b.targets, from->targets, from->n * from->d->size);
    return b;
}

static fghm_pool *pool_of(size_t threads) {
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create(&pool, threads), FGHM_OK);
    assert_non_null(pool);
    return pool;
}

/* Calls ---------------------------------------------------------------------------- */

/* Softmax over rows of CLASSES classes whose labels are a sample's first target and
 * its number. */
static fghm_status softmax(struct batch *b, const fghm_focal *focal, fghm_pool *pool) {
    const size_t samples = b->n / CLASSES;
    const fghm_dtype dtype = b->d->size == sizeof(double) ? FGHM_F64 : FGHM_F32;
    int32_t *const labels = malloc((samples + 1) * sizeof *labels);
    fghm_result result = {.size = sizeof result};
    if (labels == NULL) {
        return FGHM_ERROR_MEMORY;
    }
    for (size_t i = 0; i < samples; i++) {
        labels[i] = (int32_t)((i + (b->d->get(b->targets, i) > 0.5)) % CLASSES);
    }
    const fghm_batch batch = {
        .size = sizeof batch,
        .outer = samples,
        .classes = CLASSES,
        .inner = 1,
        .activation = FGHM_ACTIVATION_SOFTMAX,
        .target_form = FGHM_TARGET_LABEL,
        .logits = {.data = b->logits, .dtype = dtype},
        .targets = {.data = labels, .dtype = FGHM_I32},
        .element_loss = {.data = b->out[ELEMENT_LOSS], .dtype = dtype},
        .gradient = {.data = b->out[GRADIENT], .dtype = dtype},
        .hessian = {.data = b->out[HESSIAN], .dtype = dtype},
    };
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
        return batch_ghmc(b, ghm, pool);
    }
}

/* Every call with the pool and without one. */
static void check_pool(const struct dtype *d, size_t n, fghm_pool *pool) {
    struct random r = random_for(21);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *const ghm = ghm_handle(10, FGHM_REDUCTION_MEAN);
    struct batch alone = random_batch(d, &r, n), shared = batch_like(&alone);
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

/* A pool has as many threads as were asked for, or one, where there are none. */
static void threads_are_counted(void **state) {
    fghm_pool *two = pool_of(2);
    size_t most;
    (void)state;
    assert_int_equal(fghm_pool_get_threads(two, &most), FGHM_OK);
    assert_true(most == 1 || most == 2);
    fghm_pool_destroy(two);
    for (size_t k = 0; k < SUITE_COUNT(thread_counts); k++) {
        fghm_pool *const pool = pool_of(thread_counts[k]);
        size_t threads = 0;
        assert_int_equal(fghm_pool_get_threads(pool, &threads), FGHM_OK);
        assert_int_equal(threads, most == 1 ? 1 : thread_counts[k]);
        fghm_pool_destroy(pool);
    }
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

static bool same_results(const struct batch *a, const struct batch *b) {
    for (int o = 0; o < OUTPUTS; o++) {
        if (dtype_first_difference(a->d, a->out[o], b->out[o], a->n) < a->n) {
            return false;
        }
    }
    return memcmp(&a->loss, &b->loss, sizeof a->loss) == 0;
}

static void *call_in_turns(void *context) {
    struct caller *const caller = context;
    struct batch *const b = &caller->results;
    struct batch first = batch_like(b);
    fghm_ghm *ghm = NULL;
    pthread_barrier_wait(caller->barrier);
    caller->isa = fghm_isa_name();
    caller->failures += fghm_ghm_create(&ghm) != FGHM_OK;
    caller->failures += batch_focal(&first, caller->focal, caller->pool) != FGHM_OK;
    for (int round = 0; round < caller->rounds && caller->failures == 0; round++) {
        caller->failures += batch_ghmc(b, ghm, caller->pool) != FGHM_OK;
        caller->failures += batch_focal(b, caller->focal, caller->pool) != FGHM_OK;
        caller->failures += !same_results(b, &first);
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
                                     .results = batch_like(inputs),
                                     .rounds = rounds};
        if (pthread_create(&callers[k].thread, NULL, call_in_turns, &callers[k]) != 0) {
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

static void callers_take_turns(void **state) {
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

/* Lives of pools -------------------------------------------------------------------- */

static void pools_come_and_go(void **state) {
    struct random r = random_for(24);
    struct batch alone = random_batch(*state, &r, 10007), shared = batch_like(&alone);
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
    struct batch shared = batch_like(alone);
    fghm_pool *own = NULL;
    size_t threads = 0;
    if (fghm_pool_get_threads(pool, &threads) != FGHM_OK || threads != 1) {
        return 1;
    }
    if (batch_focal(&shared, focal, pool) != FGHM_OK || !same_results(alone, &shared)) {
        return 2;
    }
    if (fghm_pool_create(&own, CHILD_THREADS) != FGHM_OK) {
        return 3;
    }
    memset(shared.out[GRADIENT], 0, shared.n * shared.d->size);
    if (batch_focal(&shared, focal, own) != FGHM_OK || !same_results(alone, &shared)) {
        return 4;
    }
    fghm_pool_destroy(pool);
    fghm_pool_destroy(own);
    batch_free(&shared);
    return 0;
}

static void a_forked_child_computes(void **state) {
    struct random r = random_for(25);
    struct batch alone, shared;
    int status = -1;
    if (HAS_THREAD_SANITIZER) {
        print_message("skipped: the thread sanitizer does not follow a fork with threads\n");
        skip();
    }
    alone = random_batch(*state, &r, 50021);
    shared = batch_like(&alone);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(4);
    assert_int_equal(batch_focal(&alone, focal, pool), FGHM_OK);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60); /* a child that hangs ends */
        _exit(use_in_child(&alone, focal, pool));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* And the parent's pool still works. */
    assert_int_equal(batch_focal(&shared, focal, pool), FGHM_OK);
    batch_assert_same(&alone, &shared);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
}

int main(void) {
    const struct suite_test tests[] = {
        {"first_calls_agree", first_calls_agree, 0},
        {"threads_are_counted", threads_are_counted, 0},
        {"threads_change_no_bit", threads_change_no_bit, 1},
        {"threads_change_no_bit_of_many", threads_change_no_bit_of_many, 1},
        {"callers_take_turns", callers_take_turns, 1},
        {"pools_come_and_go", pools_come_and_go, 1},
        {"a_forked_child_computes", a_forked_child_computes, 1},
    };
    make_first_calls();
    return suite_run("test_pool", tests, SUITE_COUNT(tests));
}
