/* SPDX-License-Identifier: MIT */

/* The threads of a pool: that all of them come, with what signals, stacks and
 * floating-point environment; each task once, and nothing of a call after its end; tasks
 * that use the pool themselves; and pools that cannot be made.  The program is linked with
 * --wrap for the functions below, to make each fail. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity, pthread_setattr_default_np */
#endif

#include <errno.h>
#include <fenv.h>
#include <focalghm/focalghm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "pool_run.h"
#include "support/batch.h"
#include "support/patience.h"
#include "support/random.h"
#include "support/suite.h"

/* A host with much thread-local data, which glibc takes out of each thread's stack. */
#define LOCAL_BYTES ((size_t)200 * 1024)
static _Thread_local volatile char local_data[LOCAL_BYTES];

/* qemu's emulation of a process keeps some real-time signals for itself, and stops where a
 * forked child makes a thread. */
#ifdef TEST_EMULATED
#define IS_EMULATED 1
#else
#define IS_EMULATED 0
#endif

/* Functions that fail ------------------------------------------------------------------ */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
int __real_pthread_join(pthread_t thread, void **result);
int __real_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t bytes);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t bytes);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);

/* Only the main thread makes threads here.  0: nothing fails. */
static struct {
    int create_at; /* this call, from 1, and all after it */
    bool attributes_refused, stack_refused;
    int init_at; /* this call of an init function */
    int created, joined, create_calls, init_calls, stack_calls;
    pthread_t last; /* of the threads made */
} system_calls;

static bool init_fails(void) {
    return ++system_calls.init_calls == system_calls.init_at;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context) {
    system_calls.create_calls++;
    if (system_calls.create_at > 0 && system_calls.create_calls >= system_calls.create_at) {
        return EAGAIN;
    }
    if (system_calls.attributes_refused && attributes != NULL) {
        return EINVAL;
    }
    const int error = __real_pthread_create(thread, attributes, run, context);
    system_calls.created += error == 0;
    system_calls.last = error == 0 ? *thread : system_calls.last;
    return error;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
    system_calls.joined++;
    return __real_pthread_join(thread, result);
}

int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t bytes) {
    system_calls.stack_calls++;
    return system_calls.stack_refused ? EINVAL
                                      : __real_pthread_attr_setstacksize(attributes, bytes);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes) {
    return init_fails() ? ENOMEM : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes) {
    return init_fails() ? ENOMEM : __real_pthread_cond_init(condition, attributes);
}

static void forget_failures(void) {
    memset(&system_calls, 0, sizeof system_calls);
}

/* Gatherings ----------------------------------------------------------------------------- */

static void sleep_microseconds(long microseconds) {
    const struct timespec length = {0, microseconds * 1000};
    nanosleep(&length, NULL);
}

/* A call whose tasks wait for each other, so that each of the threads gets one.  The
 * caller's first task only takes its time: then sleeping threads are worth waking. */
struct gathering {
    size_t threads;
    pthread_t caller;
    bool caller_has_begun;
    atomic_size_t arrived;
    bool (*visit)(bool is_caller); /* what each thread finds good */
    atomic_size_t failures;
};

static void arrive(void *context, size_t index) {
    struct gathering *const gathering = context;
    const bool is_caller = pthread_equal(pthread_self(), gathering->caller);
    const time_t start = time(NULL);
    (void)index;
    if (is_caller && !gathering->caller_has_begun) {
        gathering->caller_has_begun = true;
        sleep_microseconds(1000);
        return;
    }
    if (!gathering->visit(is_caller)) {
        gathering->failures++;
    }
    gathering->arrived++;
    while (gathering->arrived < gathering->threads && time(NULL) - start < PATIENCE_SECONDS) {
        sleep_microseconds(100);
    }
}

static void gather(fghm_pool *pool, bool (*visit)(bool is_caller)) {
    struct gathering gathering = {.caller = pthread_self(), .visit = visit};
    assert_int_equal(fghm_pool_get_threads(pool, &gathering.threads), FGHM_OK);
    fghm_pool_run(pool, gathering.threads + 1, arrive, &gathering);
    assert_int_equal(gathering.arrived, gathering.threads);
    assert_int_equal(gathering.failures, 0);
}

static bool visit_nothing(bool is_caller) {
    (void)is_caller;
    return true;
}

static void all_threads_come(void **state) {
    const size_t counts[] = {1, 2, 3, 8, 64};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
        fghm_pool *const pool = pool_of(counts[k]);
        for (int round = 0; round < 20; round++) {
            gather(pool, visit_nothing);
            sleep_microseconds(round % 2 * 200); /* at once, or out of their sleep */
        }
        fghm_pool_destroy(pool);
    }
}

/* What threads are like -------------------------------------------------------------------- */

static bool is_blocked(const sigset_t *mask, int number) {
    return number == SIGKILL || number == SIGSTOP || sigismember(mask, number) == 1;
}

static bool all_signals_are_blocked(bool is_caller) {
    sigset_t mask;
    bool all = pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0;
    for (int number = 1; number < 32; number++) {
        all = all && is_blocked(&mask, number);
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX && !IS_EMULATED; number++) {
        all = all && is_blocked(&mask, number);
    }
    return is_caller ? !all : all;
}

static void signals_are_blocked(void **state) {
    sigset_t before, after;
    (void)state;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    fghm_pool *const pool = pool_of(3);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    gather(pool, all_signals_are_blocked);
    fghm_pool_destroy(pool);
    for (int number = 1; number < 32; number++) {
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    }
}

/* A host that knows of a thread cannot end it, asleep or at work. */
static void threads_are_not_cancelled(void **state) {
    (void)state;
    fghm_pool *const pool = pool_of(2);
    gather(pool, visit_nothing);
    for (int round = 0; round < 5; round++) {
        sleep_microseconds(5000); /* then it sleeps */
        assert_int_equal(pthread_cancel(system_calls.last), 0);
        gather(pool, visit_nothing);
    }
    fghm_pool_destroy(pool);
}

/* To zero with subnormal numbers, where that can be asked for. */
static void flush_to_zero(void) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
    unsigned long control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1ul << 24));
#endif
}

static void spoil_environment(void) {
    fesetround(FE_UPWARD);
    flush_to_zero();
}

static bool environment_is_default(void) {
    volatile float subnormal = 1e-40f, third = 3;
    subnormal = subnormal * 1.0f;
    third = 1 / third; /* to nearest, that is upward; downward 0x1.555554p-2 */
    volatile double tenth = 10;
    tenth = 1 / tenth; /* to nearest, that is upward */
    volatile float sum = 1 + 0x1p-30f;
    return fegetround() == FE_TONEAREST && subnormal > 0 && third == 0x1.555556p-2f &&
           tenth == 0.1 && sum == 1;
}

/* And makes it another for the next task. */
static bool environment_is_default_and_spoilt(bool is_caller) {
    const bool good = environment_is_default();
    if (!is_caller) {
        spoil_environment();
    }
    return is_caller || good;
}

static void environment_is_that_of_a_new_program(void **state) {
    fenv_t before;
    (void)state;
    fegetenv(&before);
    spoil_environment();
    fghm_pool *const pool = pool_of(3);
    const bool left_alone = fegetround() == FE_UPWARD && !environment_is_default();
    fesetenv(&before);
    assert_true(left_alone);
    for (int round = 0; round < 3; round++) {
        gather(pool, environment_is_default_and_spoilt);
        assert_true(environment_is_default());
    }
    fghm_pool_destroy(pool);
}

/* Losses and gradients that are subnormal numbers, and that are rounded. */
static void bits_do_not_depend_on_the_maker(void **state) {
    const struct dtype *const d = *state;
    const double lowest = d->size == sizeof(double) ? -740 : -100;
    struct random r = random_for(41);
    struct batch alone = batch_new(d, 65537), shared;
    fghm_focal *const focal = focal_handle(0.0, 0.25, FGHM_REDUCTION_SUM);
    fenv_t before;
    for (size_t i = 0; i < alone.n; i++) {
        batch_put(&alone, i, random_uniform(&r, lowest, lowest + 20), 0);
    }
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    fegetenv(&before);
    spoil_environment();
    fghm_pool *const pool = pool_of(3);
    fesetenv(&before);
    for (int round = 0; round < 20; round++) {
        shared = batch_new(d, alone.n);
        memcpy(shared.logits, alone.logits, alone.n * d->size);
        memcpy(shared.targets, alone.targets, alone.n * d->size);
        assert_int_equal(batch_focal(&shared, focal, pool), FGHM_OK);
        batch_assert_same(&alone, &shared);
        batch_free(&shared);
    }
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
}

#ifdef __GLIBC__
/* What a program gets that is started under a small `ulimit -s`. */
static void set_default_stack(size_t bytes) {
    pthread_attr_t attributes;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(__real_pthread_attr_setstacksize(&attributes, bytes), 0);
    assert_int_equal(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
}

static size_t get_default_stack(void) {
    pthread_attr_t attributes;
    size_t bytes = 0;
    assert_int_equal(pthread_getattr_default_np(&attributes), 0);
    assert_int_equal(pthread_attr_getstacksize(&attributes, &bytes), 0);
    pthread_attr_destroy(&attributes);
    return bytes;
}

/* Ends the program where the stack is too small. */
static bool use_stack_and_local_data(bool is_caller) {
    volatile char block[256 * 1024];
    size_t sum = 0;
    (void)is_caller;
    for (size_t i = 0; i < sizeof block; i += 512) {
        block[i] = 1;
    }
    for (size_t i = 0; i < LOCAL_BYTES; i += 512) {
        local_data[i] = 1;
        sum += (size_t)block[i] + (size_t)local_data[i];
    }
    return sum == 2 * (LOCAL_BYTES / 512);
}

static void stacks_are_large_enough(void **state) {
    const size_t before = get_default_stack();
    const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN); /* 128 KiB on aarch64 */
    const size_t small = (size_t)32 * 1024;
    const size_t defaults[] = {before, (size_t)256 * 1024, least > small ? least : small};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(defaults); k++) {
        set_default_stack(defaults[k]);
        fghm_pool *const pool = pool_of(3);
        gather(pool, use_stack_and_local_data);
        fghm_pool_destroy(pool);
    }
    set_default_stack(before);
}

/* Then threads have the default, which is enough for some. */
static void refused_stack_is_done_without(void **state) {
    const size_t before = get_default_stack();
    (void)state;
    forget_failures();
    set_default_stack((size_t)300 * 1024);
    system_calls.stack_refused = true;
    fghm_pool *pool = pool_of(3);
    assert_true(system_calls.stack_calls > 0);
    gather(pool, visit_nothing);
    fghm_pool_destroy(pool);
    system_calls.stack_refused = false;
    system_calls.attributes_refused = true;
    pool = pool_of(3);
    assert_int_equal(system_calls.create_calls, 2 + 4);
    gather(pool, visit_nothing);
    fghm_pool_destroy(pool);
    set_default_stack(before);
    forget_failures();
}
#endif

#ifdef __linux__
static size_t threads_of_default_pool(void) {
    fghm_pool *const pool = pool_of(0);
    size_t threads = 0;
    assert_int_equal(fghm_pool_get_threads(pool, &threads), FGHM_OK);
    gather(pool, visit_nothing);
    fghm_pool_destroy(pool);
    return threads;
}

static void zero_threads_are_those_of_the_mask(void **state) {
    cpu_set_t all, one;
    (void)state;
    if (sched_getaffinity(0, sizeof all, &all) != 0) {
        print_message("skipped: this machine has more processors than the test knows\n");
        skip();
    }
    assert_int_equal(threads_of_default_pool(), CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const size_t threads = threads_of_default_pool();
    sched_setaffinity(0, sizeof all, &all);
    assert_int_equal(threads, 1);
}
#endif

/* Tasks ------------------------------------------------------------------------------------ */

#define TASKS_MAX 40
#define ALIVE 0x600dca11u
#define DEAD 0xdeadca11u

/* What one call's tasks see; after the call it is not theirs. */
struct errand {
    atomic_uint alive;
    atomic_uint done[TASKS_MAX];
    atomic_uint *failures;
    bool slow;
};

static void run_errand(void *context, size_t index) {
    struct errand *const errand = context;
    if (errand->alive != ALIVE || index >= TASKS_MAX) {
        (*errand->failures)++;
        return;
    }
    errand->done[index]++;
    if (errand->slow) {
        sleep_microseconds(20);
    }
}

static size_t check_errand(fghm_pool *pool, struct random *r, struct errand *errand) {
    const size_t tasks = random_below(r, TASKS_MAX + 1);
    size_t wrong = 0;
    for (size_t i = 0; i < TASKS_MAX; i++) {
        errand->done[i] = 0;
    }
    errand->slow = random_below(r, 8) == 0;
    errand->alive = ALIVE;
    fghm_pool_run(pool, tasks, run_errand, errand);
    errand->alive = DEAD;
    for (size_t i = 0; i < TASKS_MAX; i++) {
        wrong += errand->done[i] != (i < tasks);
    }
    return wrong;
}

static void each_task_is_run_once(void **state) {
    const size_t counts[] = {2, 3, 7, 20};
    struct random r = random_for(42);
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
        fghm_pool *const pool = pool_of(counts[k]);
        atomic_uint failures = 0;
        struct errand errands[2] = {{.failures = &failures}, {.failures = &failures}};
        size_t wrong = 0;
        for (int round = 0; round < 4000; round++) {
            wrong += check_errand(pool, &r, &errands[round % 2]);
            if (random_below(&r, 32) == 0) {
                sleep_microseconds(100); /* then the threads sleep */
            }
        }
        fghm_pool_destroy(pool);
        assert_int_equal(wrong, 0);
        assert_int_equal(failures, 0);
    }
}

/* Tasks that make a call with the pool that runs them. */
#define NESTED 12

struct nested {
    const fghm_focal *focal;
    fghm_pool *pool;
    struct batch results[NESTED];
    atomic_uint failures;
};

static void call_from_task(void *context, size_t index) {
    struct nested *const nested = context;
    if (batch_focal(&nested->results[index], nested->focal, nested->pool) != FGHM_OK) {
        nested->failures++;
    }
}

static void tasks_may_use_their_pool(void **state) {
    const struct dtype *const d = *state;
    struct random r = random_for(43);
    struct batch alone = batch_new(d, 20011);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct nested nested = {.focal = focal, .pool = pool_of(3)};
    for (size_t i = 0; i < alone.n; i++) {
        batch_put(&alone, i, random_uniform(&r, -12, 12), (double)(i % 3 == 0));
    }
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    for (size_t k = 0; k < NESTED; k++) {
        nested.results[k] = batch_new(d, alone.n);
        memcpy(nested.results[k].logits, alone.logits, alone.n * d->size);
        memcpy(nested.results[k].targets, alone.targets, alone.n * d->size);
    }
    for (int round = 0; round < 10; round++) {
        fghm_pool_run(nested.pool, NESTED, call_from_task, &nested);
    }
    assert_int_equal(nested.failures, 0);
    for (size_t k = 0; k < NESTED; k++) {
        batch_assert_same(&alone, &nested.results[k]);
        batch_free(&nested.results[k]);
    }
    fghm_pool_destroy(nested.pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
}

/* Pools that cannot be made ------------------------------------------------------------------ */

static void check_failure(size_t threads, fghm_status expected) {
    char there;
    fghm_pool *pool = (fghm_pool *)(void *)&there;
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    errno = 0;
    const time_t start = time(NULL);
    const fghm_status status = fghm_pool_create(&pool, threads);
    const time_t end = time(NULL);
    assert_int_equal(errno, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(status, expected);
    assert_ptr_equal(pool, &there);
    assert_true(end - start < PATIENCE_SECONDS);
    assert_int_equal(system_calls.created, system_calls.joined);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

static void a_thread_that_cannot_be_made(void **state) {
    const size_t threads = 40;
    (void)state;
    for (int at = 1; at < (int)threads; at++) {
        forget_failures();
        system_calls.create_at = at;
        check_failure(threads, FGHM_ERROR_THREADS);
        assert_int_equal(system_calls.create_calls, at);
        assert_int_equal(system_calls.joined, at - 1);
    }
    forget_failures();
    fghm_pool_destroy(pool_of(threads));
    assert_int_equal(system_calls.created, threads - 1);
    assert_int_equal(system_calls.joined, threads - 1);
}

static void a_lock_that_cannot_be_made(void **state) {
    (void)state;
    forget_failures();
    fghm_pool_destroy(pool_of(3));
    const int inits = system_calls.init_calls;
    assert_true(inits > 0);
    for (int at = 1; at <= inits; at++) {
        forget_failures();
        system_calls.init_at = at;
        check_failure(3, FGHM_ERROR_MEMORY);
        assert_int_equal(system_calls.created, 0);
    }
    forget_failures();
}

#define NOBODY 65534
#define CANNOT_TRY 77

/* In the child: what went wrong, or 0. */
static int create_without_processes(rlim_t processes, size_t threads) {
    const struct rlimit limit = {processes, processes};
    fghm_pool *pool = NULL;
    alarm(PATIENCE_SECONDS);
    if ((geteuid() == 0 && setuid(NOBODY) != 0) || setrlimit(RLIMIT_NPROC, &limit) != 0) {
        return CANNOT_TRY;
    }
    const fghm_status status = fghm_pool_create(&pool, threads);
    if (status == FGHM_OK) {
        return CANNOT_TRY; /* the limit does not hold for us */
    }
    if (status != FGHM_ERROR_THREADS || pool != NULL || fghm_pool_create(&pool, 1) != FGHM_OK) {
        return 1;
    }
    fghm_pool_destroy(pool);
    return 0;
}

static void a_limit_on_processes(void **state) {
    const rlim_t limits[] = {0, 100};
    (void)state;
    if (IS_EMULATED) {
        print_message("skipped: the child makes threads\n");
        skip();
    }
    for (size_t k = 0; k < SUITE_COUNT(limits); k++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) {
            _exit(create_without_processes(limits[k], 200));
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == CANNOT_TRY) {
            print_message("skipped: this user's processes cannot be limited\n");
            skip();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"all_threads_come", all_threads_come, 0},
        {"threads_are_not_cancelled", threads_are_not_cancelled, 0},
        {"signals_are_blocked", signals_are_blocked, 0},
        {"environment_is_that_of_a_new_program", environment_is_that_of_a_new_program, 0},
        {"bits_do_not_depend_on_the_maker", bits_do_not_depend_on_the_maker, 1},
#ifdef __GLIBC__
        {"stacks_are_large_enough", stacks_are_large_enough, 0},
        {"refused_stack_is_done_without", refused_stack_is_done_without, 0},
#endif
#ifdef __linux__
        {"zero_threads_are_those_of_the_mask", zero_threads_are_those_of_the_mask, 0},
#endif
        {"each_task_is_run_once", each_task_is_run_once, 0},
        {"tasks_may_use_their_pool", tasks_may_use_their_pool, 1},
        {"a_thread_that_cannot_be_made", a_thread_that_cannot_be_made, 0},
        {"a_lock_that_cannot_be_made", a_lock_that_cannot_be_made, 0},
        {"a_limit_on_processes", a_limit_on_processes, 0},
    };
    return suite_run(argument_count, arguments, "test_pool_threads", tests, SUITE_COUNT(tests));
}
