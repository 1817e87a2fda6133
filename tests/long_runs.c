/* SPDX-License-Identifier: MIT */

/* What only many elements, many calls or many updates could show: counters and indices that are too
 * narrow, sums and averages that drift, memory that is not given back.  Takes minutes, so that it
 * is a test of its own configuration, ctest -C exhaustive -R long_runs; the quick suite has less of
 * each.
 *
 *     long_runs [short]
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <float.h>
#include <focalghm/focalghm.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BINS 10

/* A failure ends the program: what follows would take minutes more. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* How much of each: 2^log_elements elements, so many calls, pools and updates. */
struct amount {
    int log_elements;
    uint64_t calls, pools, updates;
};

/* The memory that the program has, in bytes, without what is mapped from files, code among it. */
static size_t resident_bytes(void) {
    unsigned long all, resident = 0, shared = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%lu %lu %lu", &all, &resident, &shared) == 3);
    fclose(file);
    return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What a run may have taken besides what it gives back: the C library keeps some. */
#define KEPT_BYTES ((size_t)256 * 1024)

static void require_flat(const char *what, size_t before) {
    const size_t after = resident_bytes();
    printf("%s: %zu KiB resident before, %zu KiB after\n", what, before / 1024, after / 1024);
    REQUIRE(after <= before + KEPT_BYTES);
}

/* Elements --------------------------------------------------------------------- */

/* So many numbers are there; all others are these again. */
#define LOG_PATTERN 20
#define PATTERN ((size_t)1 << LOG_PATTERN)

/* Numbers that tell places apart: a weak generator is enough. */
static void fill(float *logits, float *targets) {
    uint32_t state = 1;
    for (size_t i = 0; i < PATTERN; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        logits[i] = (float)(state >> 8) * 0x1p-20f - 8;
        targets[i] = (state >> 3) % 5 == 0 ? 1 : 0;
    }
}

/* An array of `repeats` times the pattern, of which memory has one: mapped again and again. */
static float *map_repeated(const float *pattern, size_t repeats) {
    const size_t bytes = PATTERN * sizeof *pattern;
    const int file = memfd_create("long_runs", 0);
    REQUIRE(file >= 0 && write(file, pattern, bytes) == (ssize_t)bytes);
    char *const all = mmap(NULL, repeats * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all != MAP_FAILED);
    for (size_t i = 0; i < repeats; i++) {
        REQUIRE(mmap(all + i * bytes, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) !=
                MAP_FAILED);
    }
    close(file);
    return (float *)(void *)all;
}

/* As many of an array, `repeats` times by a stride of 0. */
static fghm_input strided(const void *data, fghm_dtype dtype) {
    return (fghm_input){
        .data = data, .dtype = dtype, .layout = FGHM_LAYOUT_STRIDED, .strides = {0, 1}};
}

static fghm_batch batch_of(size_t repeats, const float *logits, const float *targets) {
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.shape[0] = (int64_t)repeats;
    batch.shape[1] = (int64_t)PATTERN;
    batch.logits = strided(logits, FGHM_F32);
    batch.targets = strided(targets, FGHM_F32);
    return batch;
}

static void require_near(double got, double want, double bound) {
    const bool is_near = fabs(got - want) <= bound * fabs(want);
    if (!is_near) {
        printf("%.17g, not %.17g\n", got, want);
    }
    REQUIRE(is_near);
}

/* A sum of many is as right as one of few. */
static void losses_do_not_drift(size_t repeats, fghm_pool *pool, const float *logits,
                                const float *targets) {
    fghm_focal *focal;
    fghm_result few = FGHM_RESULT_INIT, many = FGHM_RESULT_INIT;
    const fghm_batch once = batch_of(1, logits, targets);
    const fghm_batch batch = batch_of(repeats, logits, targets);
    REQUIRE(fghm_focal_create(&focal) == FGHM_OK);
    REQUIRE(fghm_focal_batch(focal, pool, &once, &few) == FGHM_OK);
    REQUIRE(fghm_focal_batch(focal, pool, &batch, &many) == FGHM_OK);
    printf("%" PRIu64 " elements, loss %.17g\n", many.elements, many.loss);
    REQUIRE(many.elements == (uint64_t)repeats << LOG_PATTERN);
    REQUIRE(many.valid == many.elements);
    REQUIRE(many.positives == repeats * few.positives);
    REQUIRE(many.sum_targets == (double)repeats * few.sum_targets);
    REQUIRE(many.divisor == (double)many.elements);
    require_near(many.sum, (double)repeats * few.sum, 0x1p-22);
    require_near(many.loss, few.loss, 0x1p-22);
    fghm_focal_destroy(focal);
}

/* Counts of many are exactly so many times those of few; in one bin there are more than 2^32. */
static void counts_do_not_overflow(size_t repeats, fghm_pool *pool, const float *logits,
                                   const float *targets) {
    float *const all_logits = map_repeated(logits, repeats);
    float *const all_targets = map_repeated(targets, repeats);
    const size_t n = repeats * PATTERN;
    const size_t bins[] = {1, BINS, 20, 100};
    for (size_t i = 0; i < sizeof bins / sizeof bins[0]; i++) {
        fghm_ghm *ghm;
        uint64_t few[101] = {0}, contiguous[101] = {0}, of_batch[101] = {0};
        fghm_result result = FGHM_RESULT_INIT;
        const fghm_batch batch = batch_of(repeats, logits, targets);
        REQUIRE(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) == FGHM_OK);
        REQUIRE(fghm_ghm_set_bins(ghm, bins[i]) == FGHM_OK);
        REQUIRE(fghm_ghm_count_f32(ghm, NULL, PATTERN, logits, targets, NULL, 101, few) == FGHM_OK);
        /* Without a pool it is one part. */
        REQUIRE(fghm_ghm_count_f32(ghm, NULL, n, all_logits, all_targets, NULL, 101, contiguous) ==
                FGHM_OK);
        REQUIRE(fghm_ghm_count_batch(ghm, pool, &batch, 101, of_batch, &result) == FGHM_OK);
        for (size_t b = 0; b <= bins[i]; b++) {
            REQUIRE(contiguous[b] == repeats * few[b]);
            REQUIRE(of_batch[b] == repeats * few[b]);
        }
        REQUIRE(result.elements == n);
        fghm_ghm_destroy(ghm);
        printf("%zu bins: %zu elements counted\n", bins[i], n);
    }
    munmap(all_logits, n * sizeof *all_logits);
    munmap(all_targets, n * sizeof *all_targets);
}

/* Calls ------------------------------------------------------------------------ */

/* Few enough for a call of microseconds, in parts for each thread. */
#define CALL 16384

static void calls_leave_nothing(uint64_t calls, fghm_pool *pool, const float *logits,
                                const float *targets) {
    fghm_focal *focal;
    double first = 0, loss = 0;
    size_t before = 0;
    REQUIRE(fghm_focal_create(&focal) == FGHM_OK);
    for (uint64_t i = 0; i < calls; i++) {
        REQUIRE(fghm_focal_f32(focal, pool, CALL, logits, targets, NULL, &loss, NULL, NULL, NULL) ==
                FGHM_OK);
        first = i == 0 ? loss : first;
        before = i == calls / 100 ? resident_bytes() : before;
        REQUIRE(loss == first);
    }
    printf("%" PRIu64 " calls\n", calls);
    require_flat("calls", before);
    fghm_focal_destroy(focal);
}

static void pools_leave_nothing(uint64_t pools, const float *logits, const float *targets) {
    fghm_focal *focal;
    size_t before = 0;
    REQUIRE(fghm_focal_create(&focal) == FGHM_OK);
    for (uint64_t i = 0; i < pools; i++) {
        fghm_pool *pool;
        double loss;
        REQUIRE(fghm_pool_create(&pool, 4) == FGHM_OK);
        REQUIRE(fghm_focal_f32(focal, pool, CALL, logits, targets, NULL, &loss, NULL, NULL, NULL) ==
                FGHM_OK);
        fghm_pool_destroy(pool);
        before = i == pools / 100 ? resident_bytes() : before;
    }
    printf("%" PRIu64 " pools\n", pools);
    require_flat("pools", before);
    fghm_focal_destroy(focal);
}

/* Updates ---------------------------------------------------------------------- */

/* Counts come again after so many updates, so that what the averages tend to is known. */
#define PERIOD 7
static const double momentum = 0.99;

/* Of bin b; BINS stands for all elements. */
static uint64_t count_at(uint64_t step, size_t b) {
    uint64_t total = 0;
    for (size_t bin = 0; bin <= BINS; bin++) {
        const uint64_t count = 1 + (step % PERIOD) * (bin + 1) * 1009 % 7919;
        if (bin == b && b < BINS) {
            return count;
        }
        total += bin < BINS ? count : 0;
    }
    return total;
}

/* The average of bin b after very many updates, the last of which was `step`. */
static double limit_of(uint64_t step, size_t b) {
    double sum = 0;
    for (uint64_t ago = PERIOD; ago-- > 0;) {
        sum += pow(momentum, (double)ago) * (double)count_at(step - ago, b);
    }
    return (1 - momentum) * sum / (1 - pow(momentum, PERIOD));
}

/* Saves the handle, and goes on with what was saved. */
static void save_and_load(fghm_ghm **ghm) {
    size_t size;
    REQUIRE(fghm_ghm_get_state_size(*ghm, &size) == FGHM_OK);
    void *const state = malloc(size);
    REQUIRE(state != NULL && fghm_ghm_save(*ghm, size, state) == FGHM_OK);
    fghm_ghm_destroy(*ghm);
    REQUIRE(fghm_ghm_create_from_state(ghm, size, state) == FGHM_OK);
    free(state);
}

/* Each update rounds an average by half an ulp of three numbers, of which m^k are left k updates
 * later: together 3 / (1 - m) halves. */
static void updates_do_not_drift(uint64_t updates) {
    const double bound = 3 / (1 - momentum) * DBL_EPSILON / 2;
    fghm_ghm *ghm;
    size_t before = 0;
    REQUIRE(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) == FGHM_OK);
    REQUIRE(fghm_ghm_set_momentum(ghm, momentum) == FGHM_OK);
    for (uint64_t step = 0; step < updates; step++) {
        uint64_t counts[BINS + 1] = {0};
        for (size_t b = 0; b < BINS; b++) {
            counts[b] = count_at(step, b);
        }
        REQUIRE(fghm_ghm_update(ghm, BINS + 1, counts) == FGHM_OK);
        before = step == updates / 100 ? resident_bytes() : before;
        if (step % (updates / 10) == 0) {
            save_and_load(&ghm);
        }
    }
    double averages[BINS], weights[BINS];
    uint64_t steps;
    REQUIRE(fghm_ghm_get_steps(ghm, &steps) == FGHM_OK && steps == updates);
    REQUIRE(fghm_ghm_get_averages(ghm, BINS, averages) == FGHM_OK);
    REQUIRE(fghm_ghm_get_weights(ghm, BINS, weights) == FGHM_OK);
    double worst = 0;
    for (size_t b = 0; b < BINS; b++) {
        const double limit = limit_of(updates - 1, b);
        worst = fmax(worst, fabs(averages[b] / limit - 1));
        require_near(averages[b], limit, bound);
        require_near(weights[b], limit_of(updates - 1, BINS) / (limit * BINS), 3 * bound);
    }
    printf("%" PRIu64 " updates: averages off by %.2g at most, bound %.2g\n", updates, worst,
           bound);
    require_flat("updates", before);
    fghm_ghm_destroy(ghm);
}

int main(int count, char **arguments) {
    static float logits[PATTERN], targets[PATTERN];
    static const struct amount all = {33, 1000000, 10000, 10000000};
    static const struct amount few = {23, 3000, 100, 200000};
    const bool is_short = count > 1 && strcmp(arguments[1], "short") == 0;
    const struct amount *const amount = is_short ? &few : &all;
    if (amount->log_elements - LOG_PATTERN >= (int)sizeof(size_t) * 8 - LOG_PATTERN) {
        return 77; /* more than can be addressed */
    }
    const size_t repeats = (size_t)1 << (amount->log_elements - LOG_PATTERN);
    fghm_pool *pool;
    REQUIRE(fghm_pool_create(&pool, 4) == FGHM_OK);
    fill(logits, targets);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("long_runs: isa %s\n", fghm_isa_name());
    updates_do_not_drift(amount->updates);
    calls_leave_nothing(amount->calls, pool, logits, targets);
    pools_leave_nothing(amount->pools, logits, targets);
    losses_do_not_drift(repeats, pool, logits, targets);
    counts_do_not_overflow(repeats, pool, logits, targets);
    fghm_pool_destroy(pool);
    return 0;
}
