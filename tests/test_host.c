/* SPDX-License-Identifier: MIT */

/* What hosts do to a library: fork wherever they are, run out of address space, cancel threads,
 * and end, by whatever way, while a pool exists and works. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fork, setitimer, quick_exit */
#endif

#include <errno.h>
#include <focalghm/focalghm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dispatch.h"
#include "support/batch.h"
#include "support/patience.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "support/suite.h"

enum { N = 20011, FORKS = 30, CANCELS = 60 };

/* Calls, their right results, and where children and threads put theirs: a child that comes from a
 * signal handler must not allocate. */
struct scene {
    fghm_focal *focal;
    fghm_pool *pool;
    struct batch want, main, other, child;
};

static struct scene scene_new(void) {
    struct random r = random_for(71);
    struct scene s = {.focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN)};
    s.want = batch_new(&dtypes[0], N);
    for (size_t i = 0; i < N; i++) {
        batch_put(&s.want, i, random_uniform(&r, -12.0, 12.0), (double)(i % 3 == 0));
    }
    s.main = batch_twin(&s.want);
    s.other = batch_twin(&s.want);
    s.child = batch_twin(&s.want);
    assert_int_equal(batch_focal(&s.want, s.focal, NULL), FGHM_OK);
    fflush(NULL); /* else children print it, too */
    return s;
}

static void scene_free(struct scene *s) {
    fghm_pool_destroy(s->pool);
    fghm_focal_destroy(s->focal);
    batch_free(&s->want);
    batch_free(&s->main);
    batch_free(&s->other);
    batch_free(&s->child);
}

static bool computes(const struct scene *s, struct batch *into, fghm_pool *pool) {
    return batch_focal(into, s->focal, pool) == FGHM_OK && batch_is_same(into, &s->want);
}

/* The same with a pool of its own. */
static bool computes_with_another_pool(const struct scene *s, struct batch *into) {
    fghm_pool *pool = NULL;
    const bool good = fghm_pool_create(&pool, 3) == FGHM_OK && computes(s, into, pool);
    fghm_pool_destroy(pool);
    return good;
}

static void skip_where_fork_is_not_followed(void) {
    if (HAS_THREAD_SANITIZER) {
        print_message("skipped: the thread sanitizer does not follow a fork with threads\n");
        skip();
    }
}

static bool child_has_succeeded(pid_t child) {
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* -------------------------------------------------------------------------
 * Forks. */

/* A child that hangs ends. */
static void end_in_time(void) {
    sigset_t alarm_alone;
    sigemptyset(&alarm_alone);
    sigaddset(&alarm_alone, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &alarm_alone, NULL);
    alarm(PATIENCE_SECONDS);
}

/* Of the handler. */
static struct scene *handled;
static volatile sig_atomic_t forks_made, forks_failed;

/* A child in whatever state its parent's call is: it computes with the copy of the pool, destroys
 * it, and does not go on with that call. */
static void fork_here(int signal_number) {
    const int saved_errno = errno;
    (void)signal_number;
    if (forks_made < FORKS) {
        const pid_t child = fork();
        if (child == 0) {
            end_in_time();
            const bool good = computes(handled, &handled->child, handled->pool);
            fghm_pool_destroy(handled->pool);
            _exit(!good);
        }
        forks_failed += !child_has_succeeded(child);
        forks_made++;
    }
    errno = saved_errno;
}

static void a_signal_handler_forks(void **state) {
    struct sigaction action = {.sa_handler = fork_here, .sa_flags = SA_RESTART}, before;
    const struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    (void)state;
    skip_where_fork_is_not_followed();
    struct scene s = scene_new();
    bool good = true;
    s.pool = pool_of(3);
    handled = &s;
    forks_made = forks_failed = 0;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    while (good && forks_made < FORKS) {
        good = computes(&s, &s.main, s.pool);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_true(good);
    assert_int_equal(forks_failed, 0);
    scene_free(&s);
}

/* A crew that forks: both processes go on with the call. */
struct forking {
    pid_t child;
    bool is_child;
};

static void run_and_fork(void *user, size_t tasks, fghm_task task, void *context) {
    struct forking *const forking = user;
    for (size_t i = 0; i < tasks; i++) {
        if (i == tasks / 2) {
            forking->child = fork();
            forking->is_child = forking->child == 0;
        }
        task(context, i);
    }
}

static void a_run_function_forks(void **state) {
    struct forking forking = {-1, false};
    (void)state;
    struct scene s = scene_new();
    assert_int_equal(fghm_pool_create_from(&s.pool, 2, run_and_fork, &forking), FGHM_OK);
    const bool good = computes(&s, &s.main, s.pool);
    if (forking.is_child) { /* and the pool, of which it has a copy, works */
        end_in_time();
        _exit(!good || !computes(&s, &s.child, s.pool));
    }
    assert_true(good);
    assert_true(child_has_succeeded(forking.child));
    scene_free(&s);
}

struct maker {
    struct scene *scene;
    atomic_bool stop;
    size_t failures;
};

static void *make_pools(void *context) {
    struct maker *const maker = context;
    while (!maker->stop) {
        maker->failures += !computes_with_another_pool(maker->scene, &maker->scene->other);
    }
    return NULL;
}

/* Another thread makes pools, uses and destroys them. */
static void forks_while_pools_come_and_go(void **state) {
    pthread_t thread;
    size_t failures = 0;
    (void)state;
    if (HAS_SANITIZER) {
        print_message("skipped: in the child a sanitizer's locks are as they were at the fork\n");
        skip();
    }
    struct scene s = scene_new();
    struct maker maker = {.scene = &s};
    assert_int_equal(pthread_create(&thread, NULL, make_pools, &maker), 0);
    for (int i = 0; i < FORKS; i++) {
        const pid_t child = fork();
        if (child == 0) {
            end_in_time();
            _exit(!computes_with_another_pool(&s, &s.child));
        }
        failures += !child_has_succeeded(child);
    }
    maker.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(maker.failures, 0);
    scene_free(&s);
}

/* -------------------------------------------------------------------------
 * Ends.  In a child, whose status tells. */

static struct scene ending; /* pools must not be destroyed with a stack */

static void *compute_for_ever(void *context) {
    while (computes(&ending, &ending.other, ending.pool)) {
        atomic_store((atomic_bool *)context, true); /* has begun */
    }
    abort();
}

/* Another thread is in calls with the pool. */
static void start_calls(void) {
    static atomic_bool has_begun;
    pthread_t thread;
    ending.pool = pool_of(3);
    if (pthread_create(&thread, NULL, compute_for_ever, &has_begun) != 0) {
        abort();
    }
    while (!has_begun) {
        sched_yield();
    }
}

static void end_with_an_idle_pool(void) {
    ending.pool = pool_of(3);
    if (computes(&ending, &ending.main, ending.pool)) {
        exit(0);
    }
}

static void end_during_calls(void) {
    start_calls();
    exit(0);
}

static void end_quickly_during_calls(void) {
    start_calls();
    quick_exit(0);
}

static void run_and_end(void *user, size_t tasks, fghm_task task, void *context) {
    (void)user;
    (void)tasks;
    task(context, 0);
    exit(0);
}

static void end_in_the_midst_of_a_call(void) {
    if (fghm_pool_create_from(&ending.pool, 2, run_and_end, NULL) == FGHM_OK) {
        (void)computes(&ending, &ending.main, ending.pool);
    }
}

static void destroy_last(void) {
    if (!computes(&ending, &ending.main, ending.pool)) {
        _exit(1);
    }
    fghm_pool_destroy(ending.pool);
}

static void end_with_a_handler_that_destroys(void) {
    ending.pool = pool_of(3);
    atexit(destroy_last);
    exit(0);
}

static void *outlive_main(void *context) {
    (void)context;
    for (int i = 0; i < 20; i++) {
        if (!computes(&ending, &ending.other, ending.pool)) {
            _exit(1);
        }
    }
    fghm_pool_destroy(ending.pool);
    quick_exit(0); /* exit looks for leaks, for which the main thread's stack would be needed */
}

static void end_of_the_main_thread(void) {
    pthread_t thread;
    ending.pool = pool_of(3);
    if (pthread_create(&thread, NULL, outlive_main, NULL) == 0) {
        pthread_exit(NULL);
    }
}

static void hosts_end(void **state) {
    static const struct {
        const char *name;
        void (*end)(void);
    } ends[] = {
        {"with an idle pool", end_with_an_idle_pool},
        {"during calls", end_during_calls},
        {"quickly, during calls", end_quickly_during_calls},
        {"in the midst of a call", end_in_the_midst_of_a_call},
        {"with a handler that destroys the pool", end_with_a_handler_that_destroys},
        {"the main thread alone", end_of_the_main_thread},
    };
    (void)state;
    skip_where_fork_is_not_followed();
    ending = scene_new();
    for (size_t i = 0; i < SUITE_COUNT(ends); i++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            end_in_time();
            ends[i].end();
            _exit(1);
        }
        if (!child_has_succeeded(child)) {
            fail_msg("a host that ends %s", ends[i].name);
        }
    }
    scene_free(&ending);
}

/* -------------------------------------------------------------------------
 * Threads that end. */

static void *make_pool_and_end(void *context) {
    struct scene *const s = context;
    return fghm_pool_create(&s->pool, 3) == FGHM_OK ? s : NULL;
}

/* A pool does not belong to the thread that has made it. */
static void makers_end(void **state) {
    struct scene s = scene_new();
    pthread_t thread;
    void *verdict = NULL;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, make_pool_and_end, &s), 0);
    assert_int_equal(pthread_join(thread, &verdict), 0);
    assert_ptr_equal(verdict, &s);
    for (int i = 0; i < 20; i++) {
        assert_true(computes(&s, &s.main, s.pool));
    }
    scene_free(&s);
}

struct victim {
    struct scene *scene;
    atomic_size_t calls;
    bool has_failed;
};

static void *call_until_cancelled(void *context) {
    struct victim *const victim = context;
    while (!victim->has_failed) {
        victim->has_failed = !computes(victim->scene, &victim->scene->other, victim->scene->pool);
        atomic_fetch_add(&victim->calls, 1);
        pthread_testcancel();
    }
    return NULL;
}

/* By another thread, whatever they are in: the call ends as ever, and the pool goes on. */
static void threads_are_cancelled_by_others(void **state) {
    struct random r = random_for(72);
    struct scene s = scene_new();
    (void)state;
    s.pool = pool_of(3);
    for (int i = 0; i < CANCELS; i++) {
        struct victim victim = {.scene = &s};
        const size_t calls = random_below(&r, 4);
        pthread_t thread;
        void *verdict = NULL;
        assert_int_equal(pthread_create(&thread, NULL, call_until_cancelled, &victim), 0);
        while (victim.calls < calls) {
            sched_yield();
        }
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pthread_join(thread, &verdict), 0);
        assert_ptr_equal(verdict, PTHREAD_CANCELED);
        assert_false(victim.has_failed);
        assert_true(computes(&s, &s.main, s.pool));
    }
    scene_free(&s);
}

/* -------------------------------------------------------------------------
 * Limits. */

#ifdef __linux__
/* What the process has mapped. */
static size_t mapped_bytes(void) {
    unsigned long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) {
        abort();
    }
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What takes much.  FGHM_ERROR_KIND, which none of it can have, is for what a status does not say.
 */
static fghm_status make_large_pool(struct scene *s) {
    fghm_pool *pool = NULL;
    const fghm_status status = fghm_pool_create(&pool, 60);
    const bool good = status == FGHM_OK ? computes(s, &s->child, pool) : pool == NULL;
    fghm_pool_destroy(pool);
    return good ? status : FGHM_ERROR_KIND;
}

static fghm_status make_large_ghm(struct scene *s) {
    fghm_ghm *ghm = NULL;
    size_t bins = 0;
    (void)s;
    fghm_status status = fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION);
    if (status != FGHM_OK) {
        return ghm == NULL ? status : FGHM_ERROR_KIND;
    }
    status = fghm_ghm_set_bins(ghm, FGHM_BINS_MAX);
    status = status != FGHM_OK ? status : fghm_ghm_set_histograms(ghm, 100);
    const bool known = fghm_ghm_get_bins(ghm, &bins) == FGHM_OK && bins > 0;
    fghm_ghm_destroy(ghm);
    return known ? status : FGHM_ERROR_KIND;
}

static fghm_status sort_many(struct scene *s) {
    fghm_ghm *ghm = NULL;
    fghm_status status = fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION);
    if (status == FGHM_OK) {
        status = fghm_ghm_density_f32(ghm, NULL, N, s->main.logits, s->main.targets, NULL,
                                      s->main.out[0]);
    }
    fghm_ghm_destroy(ghm);
    return status;
}

/* In the child.  What can be done with `more` bytes, and again when the limit is gone: 0 if
 * statuses say so, 1 if all could be done under the limit, too; else 2. */
static int work_within(struct scene *s, size_t more) {
    fghm_status (*const works[])(struct scene *) = {make_large_pool, make_large_ghm, sort_many};
    struct rlimit limit;
    bool all = true;
    end_in_time();
    if (getrlimit(RLIMIT_AS, &limit) != 0) {
        return 2;
    }
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = mapped_bytes() + more;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 2;
    }
    for (size_t i = 0; i < SUITE_COUNT(works); i++) {
        const fghm_status status = works[i](s);
        all = all && status == FGHM_OK;
        if (status != FGHM_OK && status != FGHM_ERROR_MEMORY && status != FGHM_ERROR_THREADS) {
            return 2;
        }
    }
    limit.rlim_cur = before;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 2;
    }
    for (size_t i = 0; i < SUITE_COUNT(works); i++) {
        if (works[i](s) != FGHM_OK) {
            return 2;
        }
    }
    return all;
}

static void a_limit_on_the_address_space(void **state) {
    const size_t mib = (size_t)1 << 20;
    const size_t more[] = {0, mib / 4, mib, 4 * mib, 16 * mib, 64 * mib};
    bool has_failed = false;
    (void)state;
    if (HAS_SANITIZER) {
        print_message("skipped: a sanitizer needs address space\n");
        skip();
    }
    struct scene s = scene_new();
    for (size_t k = 0; k < SUITE_COUNT(more); k++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) {
            _exit(work_within(&s, more[k]));
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), 0, 1);
        has_failed = has_failed || WEXITSTATUS(status) == 0;
    }
    assert_true(has_failed); /* else nothing was limited */
    scene_free(&s);
}
#endif

#ifdef __linux__
/* The row that FOCALGHM_ISA names is chosen, as suite_check_isa finds: once in a process, so that
 * each needs its own. */
static void the_environment_names_the_row(void **state) {
    (void)state;
    fflush(NULL);
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (!fghm_rows[i].usable()) {
            continue;
        }
        const pid_t child = fork();
        if (child == 0) {
            close(STDOUT_FILENO);
            setenv("FOCALGHM_ISA", fghm_rows[i].name, 1);
            execl("/proc/self/exe", "test_host", "--list", (char *)NULL);
            _exit(1);
        }
        assert_true(child_has_succeeded(child));
    }
}
#endif

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"a_signal_handler_forks", a_signal_handler_forks, 0},
        {"a_run_function_forks", a_run_function_forks, 0},
        {"forks_while_pools_come_and_go", forks_while_pools_come_and_go, 0},
        {"hosts_end", hosts_end, 0},
        {"makers_end", makers_end, 0},
        {"threads_are_cancelled_by_others", threads_are_cancelled_by_others, 0},
#ifdef __linux__
        {"a_limit_on_the_address_space", a_limit_on_the_address_space, 0},
        {"the_environment_names_the_row", the_environment_names_the_row, 0},
#endif
    };
    return suite_run(argument_count, arguments, "host", tests, SUITE_COUNT(tests));
}
