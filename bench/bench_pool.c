/* SPDX-License-Identifier: MIT */

/* bench_pool: what a pool of threads costs where it cannot help, and what it gains where it
 * can.  Prints one line "name value" for each, the processor's first.  Times are compared
 * by taking turns (timing.h); still, speedups mean something only where nothing else runs. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity */
#endif

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "focalghm/focalghm.h"
#include "inputs.h"
#include "timing.h"

#define N_SHORT ((size_t)1 << 14)
#define N_SMALL ((size_t)1 << 16)
#define N_LARGE ((size_t)1 << 20)

#define NOBODY 65534 /* a user that is not root and has no processes */
#define SECONDS_EACH 2
#define IN_A_ROW 16
#define PAUSES 50
#define PAUSE_SECONDS 10e-3

static fghm_focal *focal;
static struct inputs inputs;

static void require(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "bench_pool: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static fghm_pool *pool_of(size_t threads) {
    fghm_pool *pool = NULL;
    require(fghm_pool_create(&pool, threads) == FGHM_OK, "no pool");
    return pool;
}

static void pause_for(double seconds) {
    const struct timespec length = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
    nanosleep(&length, NULL);
}

/* The processor ---------------------------------------------------------------- */

static void print_processor(void) {
    const char *const wanted[] = {"vendor_id", "cpu family", "model\t", "model name"};
    FILE *const file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL && line[0] != '\n') {
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            const char *const value = strchr(line, ':');
            if (value != NULL && strncmp(line, wanted[i], strlen(wanted[i])) == 0) {
                printf("%.*s%s", (int)strcspn(line, "\t"), line, value + 1);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    printf("processors %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
}

/* Making a pool that cannot be made ---------------------------------------------- */

/* In a child: how long it takes to fail, in ms; NaN if it does not fail. */
static double time_of_failure(size_t threads, rlim_t processes) {
    const struct rlimit limit = {processes, processes};
    fghm_pool *pool = NULL;
    if ((geteuid() == 0 && setuid(NOBODY) != 0) || setrlimit(RLIMIT_NPROC, &limit) != 0) {
        return NAN;
    }
    const double start = seconds_now();
    const fghm_status status = fghm_pool_create(&pool, threads);
    const double end = seconds_now();
    return status == FGHM_ERROR_THREADS ? (end - start) * 1e3 : NAN;
}

static double failure_ms(size_t threads, rlim_t processes) {
    double ms = NAN;
    int pipe_ends[2];
    require(pipe(pipe_ends) == 0, "no pipe");
    const pid_t child = fork();
    if (child == 0) {
        ms = time_of_failure(threads, processes);
        _exit(write(pipe_ends[1], &ms, sizeof ms) != sizeof ms);
    }
    close(pipe_ends[1]);
    require(child > 0 && read(pipe_ends[0], &ms, sizeof ms) == sizeof ms, "no child");
    close(pipe_ends[0]);
    waitpid(child, NULL, 0);
    return ms;
}

/* Calls ------------------------------------------------------------------------ */

/* Some calls on end, of which all but the first find the threads awake. */
struct call {
    fghm_pool *pool;
    size_t n;
    size_t times;
};

static void run_call(const void *context) {
    const struct call *const call = context;
    double loss;
    for (size_t i = 0; i < call->times; i++) {
        fghm_focal_f32(focal, call->pool, call->n, inputs.logits, inputs.targets, NULL, &loss, NULL,
                       inputs.gradient, NULL);
    }
}

/* Time with one pool over the time with another. */
static double time_quotient(size_t n, size_t times, fghm_pool *above, fghm_pool *below) {
    static struct contender contenders[2];
    const struct call calls[2] = {{above, n, times}, {below, n, times}};
    for (size_t i = 0; i < 2; i++) {
        contenders[i] = (struct contender){.run = run_call, .context = &calls[i]};
    }
    const size_t rounds = time_in_turns(contenders, 2, SECONDS_EACH);
    fprintf(stderr, "n = %zu: %.1f us, %.1f us, %zu rounds\n", n,
            contenders[0].seconds * 1e6 / (double)times,
            contenders[1].seconds * 1e6 / (double)times, rounds);
    return median_quotient(&contenders[0], &contenders[1], rounds);
}

static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Of a pool that has just been used. */
static double idle_ms_per_second(size_t threads) {
    const struct call call = {pool_of(threads), N_LARGE, 1};
    run_call(&call);
    pause_for(PAUSE_SECONDS); /* the last of it */
    const double before = processor_seconds();
    const double start = seconds_now();
    pause_for(1);
    const double value = (processor_seconds() - before) / (seconds_now() - start) * 1e3;
    fghm_pool_destroy(call.pool);
    return value;
}

/* With all of them on one processor. */
static double many_threads_of_none(size_t threads) {
    cpu_set_t all, one;
    require(sched_getaffinity(0, sizeof all, &all) == 0, "no affinity mask");
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
        }
    }
    sched_setaffinity(0, sizeof one, &one);
    fghm_pool *const pool = pool_of(threads);
    const double value = time_quotient(N_SMALL, 1, pool, NULL);
    fghm_pool_destroy(pool);
    sched_setaffinity(0, sizeof all, &all);
    return value;
}

static double call_after_pause_us(size_t n, fghm_pool *pool) {
    const struct call call = {pool, n, 1};
    double samples[PAUSES];
    for (size_t i = 0; i < PAUSES; i++) {
        pause_for(PAUSE_SECONDS);
        const double start = seconds_now();
        run_call(&call);
        samples[i] = (seconds_now() - start) * 1e6;
    }
    return median(samples, PAUSES);
}

static void print(const char *name, double value) {
    printf("%s %.3g\n", name, value);
    fflush(stdout);
}

int main(void) {
    inputs = inputs_make(N_LARGE, sizeof(float));
    require(fghm_focal_create(&focal) == FGHM_OK, "no handle");
    print_processor();
    print("pool_create_fails_ms", failure_ms(8, 0));
    print("pool_create_fails_at_512_ms", failure_ms(FGHM_THREADS_MAX, 512));
    print("pool_idle_ms_per_second", idle_ms_per_second(8));
    print("pool_64_threads_of_none", many_threads_of_none(64));
    fghm_pool *const two = pool_of(2);
    print("pool_first_call_after_pause_us", call_after_pause_us(N_SMALL, two));
    print("no_pool_call_after_pause_us", call_after_pause_us(N_SMALL, NULL));
    print("pool_first_call_after_pause_16k_us", call_after_pause_us(N_SHORT, two));
    print("no_pool_call_after_pause_16k_us", call_after_pause_us(N_SHORT, NULL));
    print("threads_speedup_64k", time_quotient(N_SMALL, IN_A_ROW, NULL, two) / 2);
    print("threads_speedup_64k_from_sleep", time_quotient(N_SMALL, 1, NULL, two) / 2);
    print("threads_speedup_1m", time_quotient(N_LARGE, 1, NULL, two) / 2);
    fghm_pool_destroy(two);
    fghm_focal_destroy(focal);
    inputs_free(&inputs);
    return 0;
}
