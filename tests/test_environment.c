/* SPDX-License-Identifier: MIT */

/* Floating-point environments that are not the default one: other roundings, and subnormal numbers
 * flushed to zero.  Results are then not promised, but every call ends, with the status as ever,
 * stays within its arrays, and leaves the environment as it was; and no element is lost to a
 * histogram. */

#include <fenv.h>
#include <float.h>
#include <focalghm/focalghm.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "support/functions.h"
#include "support/loss.h"
#include "support/random.h"
#include "support/suite.h"

static const struct {
    const char *name;
    int mode;
} roundings[] = {
    {"to nearest", FE_TONEAREST},
    {"upward", FE_UPWARD},
    {"downward", FE_DOWNWARD},
    {"toward zero", FE_TOWARDZERO},
};

/* Where that can be asked for. */
#if defined(__x86_64__) || defined(__i386__)
#define FLUSHES 1
#define FLUSH_BITS 0x8040u /* of results, and of inputs */
static bool flushes(void) {
    return (_mm_getcsr() & FLUSH_BITS) == FLUSH_BITS;
}
static void set_flush(bool on) {
    _mm_setcsr((_mm_getcsr() & ~FLUSH_BITS) | (on ? FLUSH_BITS : 0));
}
#elif defined(__aarch64__)
#define FLUSHES 1
#define FLUSH_BITS (1ul << 24)
static unsigned long control_now(void) {
    unsigned long control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}
static bool flushes(void) {
    return (control_now() & FLUSH_BITS) != 0;
}
static void set_flush(bool on) {
    __asm__ volatile("msr fpcr, %0" : : "r"((control_now() & ~FLUSH_BITS) | (on ? FLUSH_BITS : 0)));
}
#else
#define FLUSHES 0
static bool flushes(void) {
    return false;
}
static void set_flush(bool on) {
    (void)on;
}
#endif

/* Which one is in force, from enter() to leave(). */
struct environment {
    size_t rounding;
    bool flush;
};

static void enter(struct environment e) {
    fesetround(roundings[e.rounding].mode);
    set_flush(e.flush);
}

/* Whether it is what was entered. */
static bool leave(struct environment e) {
    const bool kept = fegetround() == roundings[e.rounding].mode && flushes() == e.flush;
    fesetround(FE_TONEAREST);
    set_flush(false);
    return kept;
}

static void for_each_environment(void (*check)(struct environment e)) {
    for (size_t k = 0; k < SUITE_COUNT(roundings) * (1 + FLUSHES); k++) {
        const struct environment e = {k % SUITE_COUNT(roundings), k >= SUITE_COUNT(roundings)};
        if (fesetround(roundings[e.rounding].mode) != 0) {
            continue; /* wasm has one */
        }
        fesetround(FE_TONEAREST);
        check(e);
    }
}

#define FAIL(e, ...)                                                                               \
    do {                                                                                           \
        print_message("%s%s\n", roundings[(e).rounding].name, (e).flush ? ", flushing" : "");      \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

/* Handles are made there, too. */
static void check_functions(struct environment e) {
    for (size_t i = 0; i < all_function_count; i++) {
        const struct function *const f = &all_functions[i];
        void *p[FUNCTION_POINTERS];
        enter(e);
        struct world *const w = world_new(FUNCTION_MANY_BINS);
        world_pointers(w, f, 0, p);
        const fghm_status status = f->call(p);
        const bool kept = leave(e);
        if (status != FGHM_OK || !kept) {
            FAIL(e, "%s: %s, the environment is %s", f->name, fghm_status_name(status),
                 kept ? "kept" : "changed");
        }
        world_destroy_place(w, f);
        world_free(w);
    }
}

static void every_function_ends(void **state) {
    (void)state;
    for_each_environment(check_functions);
}

static uint64_t counted(const fghm_ghm *ghm, size_t bins) {
    uint64_t counts[FGHM_BINS_MAX + 1], sum = 0;
    assert_int_equal(fghm_ghm_get_counts(ghm, SUITE_COUNT(counts), counts), FGHM_OK);
    for (size_t b = 0; b <= bins; b++) {
        sum += counts[b];
    }
    return sum;
}

/* Every output of every loss, with arrays against unmapped pages. */
static void check_losses(struct environment e) {
    const size_t bins[] = {1, 10, 33, 256, 300, FGHM_BINS_MAX};
    struct random r = random_for(81);
    for (size_t k = 0; k < LOSS_COUNT * DTYPE_COUNT; k++) {
        const struct loss *const loss = &all_losses[k / DTYPE_COUNT];
        const struct dtype *const d = &dtypes[k % DTYPE_COUNT];
        const size_t n = 300 / loss->classes * loss->classes;
        struct batch b = loss_batch(loss, d, &r, n, false);
        for (size_t i = 0; i < (loss->counts ? SUITE_COUNT(bins) : 1); i++) {
            enter(e);
            void *const handle = loss->create(bins[i], FGHM_REDUCTION_MEAN);
            const fghm_status status = loss_run(loss, handle, NULL, &b);
            loss_check_fences(loss, handle, &b, 2);
            const bool kept = leave(e);
            if (status != FGHM_OK || !kept) {
                FAIL(e, "%s, %s, %zu bins: %s", loss->name, d->name, bins[i],
                     fghm_status_name(status));
            }
            if (loss->counts &&
                counted(handle, bins[i]) != (loss->softmax ? n / loss->classes : n)) {
                FAIL(e, "%s, %s, %zu bins: elements are lost", loss->name, d->name, bins[i]);
            }
            loss->destroy(handle);
        }
        batch_free(&b);
    }
}

static void every_loss_stays_within_its_arrays(void **state) {
    (void)state;
    for_each_environment(check_losses);
}

/* Edges and mu as far apart as they can be: to find bins takes searches, which end. */
static void check_tables(struct environment e) {
    static const double edges[][3] = {
        {0.0, DBL_MIN, 1.0}, {0.0, 1e-200, 1.0}, {0.0, 0.5, 1.0}, {0.0, 1.0 - 0x1p-53, 1.0}};
    static const double mus[] = {1e-30, 1e-10, 1.0, 1e30};
    static const float differences[] = {0.0f, FLT_MIN, 1e-40f,  1e-10f, 0.5f,
                                        1.0f, 1e10f,   FLT_MAX, 2.0f}; /* no whole registers */
    enum { N = SUITE_COUNT(differences) };
    static const float zeros[N];
    for (size_t k = 0; k < SUITE_COUNT(edges) * SUITE_COUNT(mus); k++) {
        fghm_ghm *ghm = NULL;
        float gradient[N];
        double loss;
        enter(e);
        fghm_status status = fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION);
        status |= fghm_ghm_set_edges(ghm, 2, edges[k % SUITE_COUNT(edges)]);
        status |= fghm_ghm_set_mu(ghm, mus[k / SUITE_COUNT(edges)]);
        status |=
            fghm_ghm_step_f32(ghm, NULL, N, differences, zeros, NULL, &loss, NULL, gradient, NULL);
        const bool kept = leave(e);
        const uint64_t sum = counted(ghm, 2);
        fghm_ghm_destroy(ghm);
        if (status != FGHM_OK || !kept || sum != N) {
            FAIL(e, "edges %zu: status %d, %d elements", k, (int)status, (int)sum);
        }
    }
}

/* As many elements as it takes for one with a bin next to an edge and others that are ignored, or
 * there for the sake of whole registers, to be looked up together: ignored ones are in no bin. With
 * 2288 bins the end of the cells is next to the limit of one of them. */
static void check_ignored(struct environment e) {
    const size_t bins[] = {2, 10, 15, 25, 100, 127, 128, 2288, FGHM_BINS_MAX};
    enum { N = 33 };
    static const float zeros[N];
    static const double more_zeros[N];
    float weights[N] = {0};
    double more_weights[N] = {0};
    weights[0] = 1.0f;
    more_weights[0] = 1.0;
    static const size_t lengths[] = {1, 7, 16, N};
    for (size_t k = 0; k < SUITE_COUNT(bins) * 2 * SUITE_COUNT(lengths); k++) {
        const size_t n = lengths[k % SUITE_COUNT(lengths)], b = bins[k / SUITE_COUNT(lengths) / 2];
        fghm_ghm *ghm = NULL;
        assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, b), FGHM_OK);
        const bool is_ignoring = k / SUITE_COUNT(lengths) % 2 == 1;
        double loss;
        enter(e);
        fghm_status status = fghm_ghm_step_f32(
            ghm, NULL, n, zeros, zeros, is_ignoring ? weights : NULL, &loss, NULL, NULL, NULL);
        const uint64_t sum = counted(ghm, b);
        status |= fghm_ghm_step_f64(ghm, NULL, n, more_zeros, more_zeros,
                                    is_ignoring ? more_weights : NULL, &loss, NULL, NULL, NULL);
        const bool kept = leave(e);
        const uint64_t wanted = is_ignoring ? 1 : n;
        if (status != FGHM_OK || !kept || sum != wanted || counted(ghm, b) != wanted) {
            FAIL(e, "%zu bins, %zu elements: status %d, %d and %d elements", b, n, (int)status,
                 (int)sum, (int)counted(ghm, b));
        }
        fghm_ghm_destroy(ghm);
    }
}

static void ignored_elements_are_in_no_bin(void **state) {
    (void)state;
    for_each_environment(check_ignored);
}

static void tables_are_made(void **state) {
    (void)state;
    for_each_environment(check_tables);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"every_function_ends", every_function_ends, 0},
        {"every_loss_stays_within_its_arrays", every_loss_stays_within_its_arrays, 0},
        {"tables_are_made", tables_are_made, 0},
        {"ignored_elements_are_in_no_bin", ignored_elements_are_in_no_bin, 0},
    };
    return suite_run(argument_count, arguments, "environment", tests, SUITE_COUNT(tests));
}
