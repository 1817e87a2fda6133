/* SPDX-License-Identifier: MIT */

/* The contract of the interface: handles, NULL, sizes, aliasing, statuses, and that an error
 * changes nothing.  Setters and their bounds are in test_settings. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fegetexcept */
#endif

#include <ctype.h>
#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

#include "cpu.h"
#include "dispatch.h"
#include "support/loss.h"
#include "support/suite.h"

/* -------------------------------------------------------------------------
 * Status and version. */

/* The values are part of the ABI, and the sentences are what people read. */
static const struct {
    fghm_status status;
    int value;
    const char *sentence;
} statuses[] = {
    {FGHM_OK, 0, "success"},
    {FGHM_ERROR_NULL_HANDLE, -1, "a handle is NULL"},
    {FGHM_ERROR_NULL_POINTER, -2, "a pointer that is needed is NULL"},
    {FGHM_ERROR_NO_OUTPUT, -3, "every output is NULL"},
    {FGHM_ERROR_MEMORY, -4, "out of memory"},
    {FGHM_ERROR_THREADS, -5, "a thread cannot be made"},
    {FGHM_ERROR_STRUCT, -6,
     "a struct has a size of no known version, or an unknown field that is not 0"},
    {FGHM_ERROR_UNINITIALIZED, -7, "a struct has not been initialized"},
    {FGHM_ERROR_UNSET, -8, "a field that has no default has not been set"},
    {FGHM_ERROR_RANGE, -9, "a number is out of its range or NaN"},
    {FGHM_ERROR_CONSTANT, -10, "a number is none of the constants for this"},
    {FGHM_ERROR_SIZE, -11, "more elements or classes than can be addressed"},
    {FGHM_ERROR_DTYPE, -12, "this array cannot have this data type"},
    {FGHM_ERROR_LAYOUT, -13,
     "this array cannot have this layout, or has strides that it does not use"},
    {FGHM_ERROR_STRIDE, -14,
     "strides leave the address space, make an output meet itself, or step along classes that an "
     "array of samples does not have"},
    {FGHM_ERROR_ALIASING, -15, "an output, or an array of counts, overlaps another array"},
    {FGHM_ERROR_COMBINATION, -16, "two settings do not go together"},
    {FGHM_ERROR_KIND, -17, "the handle is of the other kind"},
    {FGHM_ERROR_HISTORY, -18, "the handle has a history that this would forget"},
    {FGHM_ERROR_CAPACITY, -19, "an array to write into has too little room"},
    {FGHM_ERROR_HISTOGRAMS, -20,
     "the handle has more histograms than one, and not one for each class"},
    {FGHM_ERROR_COUNTS, -21, "counts add up to 2^64 or more"},
    {FGHM_ERROR_EDGES, -22, "edges do not rise from 0 to 1"},
    {FGHM_ERROR_STATE, -23, "the bytes are no saved state that can be read"},
    {FGHM_ERROR_DIVISOR, -24, "the divisor of the reduction is not above 0 and finite"},
    {FGHM_ERROR_LABEL, -25, "a label is that of no class"},
    {FGHM_ERROR_TARGET, -26, "a target is out of its range"},
    {FGHM_ERROR_PROBABILITY, -27, "a probability is outside [0, 1]"},
    {FGHM_ERROR_SCORE, -28, "a score is outside [0, 1]"},
};

static void status_strings(void **state) {
    const fghm_status unknown[] = {1, 77, -1000, INT32_MAX, INT32_MIN};
    (void)state;
    for (size_t a = 0; a < SUITE_COUNT(statuses); a++) {
        assert_string_equal(fghm_status_string(statuses[a].status), statuses[a].sentence);
        for (size_t b = 0; b < a; b++) {
            assert_string_not_equal(fghm_status_string(statuses[a].status),
                                    fghm_status_string(statuses[b].status));
        }
    }
    for (size_t i = 0; i < SUITE_COUNT(unknown); i++) {
        const char *text = fghm_status_string(unknown[i]);
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        for (size_t a = 0; a < SUITE_COUNT(statuses); a++) {
            assert_string_not_equal(text, fghm_status_string(statuses[a].status));
        }
    }
}

/* A field's name is that of its constant; and no number has a sentence or a name that is not in
 * these lists. */
static const struct {
    fghm_field field;
    const char *constant;
} fields[] = {
    {FGHM_FIELD_BATCH, "BATCH"},
    {FGHM_FIELD_RESULT, "RESULT"},
    {FGHM_FIELD_SIZE, "SIZE"},
    {FGHM_FIELD_TAG, "TAG"},
    {FGHM_FIELD_NDIM, "NDIM"},
    {FGHM_FIELD_CLASS_AXIS, "CLASS_AXIS"},
    {FGHM_FIELD_SHAPE, "SHAPE"},
    {FGHM_FIELD_ACTIVATION, "ACTIVATION"},
    {FGHM_FIELD_TARGET_FORM, "TARGET_FORM"},
    {FGHM_FIELD_BACKGROUND, "BACKGROUND"},
    {FGHM_FIELD_FLAGS, "FLAGS"},
    {FGHM_FIELD_IGNORE_INDEX, "IGNORE_INDEX"},
    {FGHM_FIELD_LABEL_SMOOTHING, "LABEL_SMOOTHING"},
    {FGHM_FIELD_CLASS_ALPHA, "CLASS_ALPHA"},
    {FGHM_FIELD_CLASS_GAMMA, "CLASS_GAMMA"},
    {FGHM_FIELD_CLASS_WEIGHTS, "CLASS_WEIGHTS"},
    {FGHM_FIELD_CLASS_OFFSETS, "CLASS_OFFSETS"},
    {FGHM_FIELD_LOGITS, "LOGITS"},
    {FGHM_FIELD_TARGETS, "TARGETS"},
    {FGHM_FIELD_SCORES, "SCORES"},
    {FGHM_FIELD_WEIGHTS, "WEIGHTS"},
    {FGHM_FIELD_ELEMENT_LOSS, "ELEMENT_LOSS"},
    {FGHM_FIELD_GRADIENT, "GRADIENT"},
    {FGHM_FIELD_HESSIAN, "HESSIAN"},
    {FGHM_FIELD_HARMONIZING_WEIGHT, "HARMONIZING_WEIGHT"},
    {FGHM_FIELD_COUNTS, "COUNTS"},
    {FGHM_FIELD_CAPACITY, "CAPACITY"},
    {FGHM_FIELD_GAMMA, "GAMMA"},
    {FGHM_FIELD_NEGATIVE_GAMMA, "NEGATIVE_GAMMA"},
    {FGHM_FIELD_ALPHA, "ALPHA"},
    {FGHM_FIELD_LOSS_WEIGHT, "LOSS_WEIGHT"},
    {FGHM_FIELD_REDUCTION, "REDUCTION"},
    {FGHM_FIELD_NORMALIZER, "NORMALIZER"},
    {FGHM_FIELD_RULE, "RULE"},
    {FGHM_FIELD_HESSIAN_MODE, "HESSIAN_MODE"},
    {FGHM_FIELD_HESSIAN_FLOOR, "HESSIAN_FLOOR"},
    {FGHM_FIELD_DETACHED, "DETACHED"},
    {FGHM_FIELD_BETA, "BETA"},
    {FGHM_FIELD_MARGIN, "MARGIN"},
    {FGHM_FIELD_POSITIVE_WEIGHT, "POSITIVE_WEIGHT"},
    {FGHM_FIELD_HESSIAN_FACTOR, "HESSIAN_FACTOR"},
    {FGHM_FIELD_KIND, "KIND"},
    {FGHM_FIELD_BINS, "BINS"},
    {FGHM_FIELD_EDGES, "EDGES"},
    {FGHM_FIELD_HISTOGRAMS, "HISTOGRAMS"},
    {FGHM_FIELD_MU, "MU"},
    {FGHM_FIELD_MOMENTUM, "MOMENTUM"},
    {FGHM_FIELD_MOMENTUM_RULE, "MOMENTUM_RULE"},
    {FGHM_FIELD_BIN_DIVISOR, "BIN_DIVISOR"},
    {FGHM_FIELD_WEIGHT_CAP, "WEIGHT_CAP"},
};

static void assert_small_letters(const char *got, const char *want) {
    assert_int_equal(strlen(got), strlen(want));
    for (size_t i = 0; want[i] != '\0'; i++) {
        assert_int_equal(got[i], tolower((unsigned char)want[i]));
    }
}

static void field_names(void **state) {
    (void)state;
    for (fghm_field field = -1000; field < 1000; field++) {
        const char *want = field == FGHM_FIELD_NONE ? "" : NULL;
        for (size_t i = 0; i < SUITE_COUNT(fields); i++) {
            want = fields[i].field == field ? fields[i].constant : want;
        }
        const char *const got = fghm_field_name(field);
        if (want == NULL) {
            assert_string_equal(got, "unknown field");
            continue;
        }
        assert_small_letters(got, want);
    }
    for (fghm_status status = -1000; status < 1000; status++) {
        bool known = false;
        for (size_t i = 0; i < SUITE_COUNT(statuses); i++) {
            known = known || statuses[i].status == status;
        }
        assert_int_equal(strcmp(fghm_status_string(status), "unknown status") != 0, known);
    }
}

/* The constants in capitals, behind FGHM_ERROR_ and FGHM_PLACE_. */
static void status_and_place_names(void **state) {
    static const char *const names[] = {
        "OK",      "NULL_HANDLE",   "NULL_POINTER", "NO_OUTPUT",   "MEMORY",      "THREADS",
        "STRUCT",  "UNINITIALIZED", "UNSET",        "RANGE",       "CONSTANT",    "SIZE",
        "DTYPE",   "LAYOUT",        "STRIDE",       "ALIASING",    "COMBINATION", "KIND",
        "HISTORY", "CAPACITY",      "HISTOGRAMS",   "COUNTS",      "EDGES",       "STATE",
        "DIVISOR", "LABEL",         "TARGET",       "PROBABILITY", "SCORE"};
    static const char *const places[] = {"", "ELEMENT", "SAMPLE", "CLASS", "AXIS"};
    (void)state;
    assert_int_equal(SUITE_COUNT(names), SUITE_COUNT(statuses));
    for (int k = -1000; k < 1000; k++) {
        const size_t at = (size_t)(k < 0 ? -k : k);
        const bool is_status = k <= 0 && at < SUITE_COUNT(names);
        const bool is_place = k >= 0 && at < SUITE_COUNT(places);
        assert_small_letters(fghm_status_name(k), is_status ? names[at] : "unknown status");
        assert_small_letters(fghm_place_name(k), is_place ? places[at] : "unknown place");
    }
    assert_string_equal(fghm_status_name(FGHM_ERROR_NULL_HANDLE), "null_handle");
    assert_string_equal(fghm_status_name(FGHM_ERROR_SCORE), "score");
    assert_string_equal(fghm_place_name(FGHM_PLACE_SAMPLE), "sample");
}

static void values_are_pinned(void **state) {
    const int32_t in_order[][7] = {
        {FGHM_REDUCTION_SUM, FGHM_REDUCTION_MEAN, FGHM_REDUCTION_NORMALIZER,
         FGHM_REDUCTION_MEAN_SAMPLES, FGHM_REDUCTION_MEAN_POSITIVES, FGHM_REDUCTION_MEAN_VALID, 6},
        {FGHM_DTYPE_UNSET, FGHM_F32, FGHM_F64, FGHM_F16, FGHM_BF16, FGHM_U8, FGHM_I32},
        {FGHM_LAYOUT_CONTIGUOUS, FGHM_LAYOUT_STRIDED, FGHM_LAYOUT_PER_SAMPLE, 3, 4, 5, 6},
        {FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_SPLIT, FGHM_FOCAL_RULE_QUALITY,
         FGHM_FOCAL_RULE_STAR, FGHM_FOCAL_RULE_VARIFOCAL, FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED,
         FGHM_FOCAL_RULE_MATCHABILITY},
        {FGHM_HESSIAN_EXACT, FGHM_HESSIAN_FLOORED, FGHM_HESSIAN_ABSOLUTE, FGHM_HESSIAN_GAUSS_NEWTON,
         FGHM_HESSIAN_GRADIENT, 5, 6},
        {FGHM_SIGMOID, FGHM_SOFTMAX, FGHM_PROBABILITY, 3, 4, 5, 6},
        {FGHM_BACKGROUND_NONE, FGHM_BACKGROUND_LAST, FGHM_BACKGROUND_FIRST,
         FGHM_BACKGROUND_MINUS_ONE, 4, 5, 6},
        {FGHM_TARGET_DENSE, FGHM_TARGET_LABEL, FGHM_TARGET_LABEL_SCORE, 3, 4, 5, 6},
        {0, FGHM_NAN_TARGETS_IGNORED, FGHM_CLASS_WEIGHTS_OF_TERMS, 3, 4, 5, 6},
    };
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(statuses); i++) {
        assert_int_equal(statuses[i].status, statuses[i].value);
    }
    for (size_t i = 0; i < SUITE_COUNT(in_order); i++) {
        for (int k = 0; k < 7; k++) {
            assert_int_equal(in_order[i][k], k);
        }
    }
}

static void version_is_that_of_the_header(void **state) {
    char text[64];
    (void)state;
    snprintf(text, sizeof text, "%d.%d.%d", FGHM_VERSION_MAJOR, FGHM_VERSION_MINOR,
             FGHM_VERSION_PATCH);
    assert_string_equal(fghm_version(), text);
    assert_int_equal(fghm_version_number(), FGHM_VERSION);
}

static void isa_name_stays_the_same(void **state) {
    const char *name = fghm_isa_name();
    (void)state;
    assert_non_null(name);
    assert_string_equal(name, fghm_isa_name());
}

/* Without a wish that can be granted, the best row; suite.c sees to the others. */
static void best_row_is_chosen(void **state) {
    const char *const wanted = getenv("FOCALGHM_ISA");
    const char *want = NULL;
    (void)state;
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (fghm_rows[i].usable() &&
            (want == NULL || (wanted != NULL && strcmp(wanted, fghm_rows[i].name) == 0))) {
            want = fghm_rows[i].name;
        }
    }
    assert_non_null(want);
    assert_string_equal(fghm_isa_name(), want);
}

/* What the architecture has is built, so that its runs cannot be forgotten; but for builds that
 * leave rows out and say so (mutants/run.py). */
static void rows_of_the_architecture_are_here(void **state) {
    const char *const names[] = {
#if defined(__x86_64__) || defined(__i386__)
        "avx512",
        "avx2",
        "sse2",
#elif defined(__aarch64__)
        "neon",
#elif defined(__wasm_simd128__)
        "simd128",
#endif
        "scalar"
    };
    (void)state;
    if (getenv("FOCALGHM_TEST_FEWER_ROWS") != NULL) {
        skip();
    }
    for (size_t k = 0; k < SUITE_COUNT(names); k++) {
        size_t i = 0;
        while (i < fghm_row_count && strcmp(fghm_rows[i].name, names[k]) != 0) {
            i++;
        }
        if (i == fghm_row_count) {
            fail_msg("there is no row %s", names[k]);
        }
    }
}

/* Also by the compiler's own detection. */
static void rows_of_the_processor_are_usable(void **state) {
    (void)state;
    assert_true(fghm_row_count > 0 && fghm_rows[fghm_row_count - 1].usable());
#if defined(__x86_64__) || defined(__i386__)
    for (size_t i = 0; i < fghm_row_count; i++) {
        const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        const int avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        if (strcmp(fghm_rows[i].name, "avx512") == 0) {
            assert_int_equal(fghm_rows[i].usable(), avx512);
        } else if (strcmp(fghm_rows[i].name, "avx2") == 0) {
            assert_int_equal(fghm_rows[i].usable(), avx2);
        } else {
            assert_true(fghm_rows[i].usable());
        }
    }
#endif
}

/* CTest runs the tests once for each name of TEST_ISAS. */
#if defined(__x86_64__) || defined(__i386__)
/* A processor that has everything, under a system that saves less: registers that it does not
 * save may not be used.  Bits are those of the manuals: XCR0 of SSE, AVX, and the three of
 * AVX-512. */
static void states_that_are_not_saved(void **state) {
    const uint32_t avx = 1u << 1 | 1u << 2;
    const uint32_t avx512 = avx | 1u << 5 | 1u << 6 | 1u << 7;
    const uint32_t osxsave = 1u << 27;
    struct fghm_cpu cpu = {UINT32_MAX, UINT32_MAX, 0};
    (void)state;
    for (cpu.xcr0 = 0; cpu.xcr0 <= 0xff; cpu.xcr0++) {
        assert_int_equal(fghm_cpu_runs_avx2_fma(&cpu), (cpu.xcr0 & avx) == avx);
        assert_int_equal(fghm_cpu_runs_avx512(&cpu), (cpu.xcr0 & avx512) == avx512);
    }
    cpu = (struct fghm_cpu){~osxsave, UINT32_MAX, UINT32_MAX};
    assert_false(fghm_cpu_runs_avx2_fma(&cpu));
    assert_false(fghm_cpu_runs_avx512(&cpu));
}

/* Each bit of CPUID that a row needs: FMA, AVX, F16C; AVX2; F, DQ, BW and VL of AVX-512. */
static void bits_of_the_processor(void **state) {
    const unsigned leaf1[] = {12, 28, 29};
    const unsigned leaf7[] = {16, 17, 30, 31};
    struct fghm_cpu cpu = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    (void)state;
    assert_true(fghm_cpu_runs_avx2_fma(&cpu) && fghm_cpu_runs_avx512(&cpu));
    for (size_t i = 0; i < SUITE_COUNT(leaf1); i++) {
        cpu.leaf1_ecx = ~(1u << leaf1[i]);
        assert_false(fghm_cpu_runs_avx2_fma(&cpu) || fghm_cpu_runs_avx512(&cpu));
    }
    cpu.leaf1_ecx = UINT32_MAX;
    for (size_t i = 0; i < SUITE_COUNT(leaf7); i++) {
        cpu.leaf7_ebx = ~(1u << leaf7[i]);
        assert_true(fghm_cpu_runs_avx2_fma(&cpu));
        assert_false(fghm_cpu_runs_avx512(&cpu));
    }
    cpu.leaf7_ebx = ~(1u << 5);
    assert_false(fghm_cpu_runs_avx2_fma(&cpu) || fghm_cpu_runs_avx512(&cpu));
}
#endif

static void every_row_has_its_runs(void **state) {
    const char *rest = TEST_ISAS;
    size_t names = 0;
    (void)state;
    for (; *rest != '\0'; rest += strcspn(rest, ",")) {
        rest += *rest == ',';
        names++;
    }
    assert_int_equal(names, fghm_row_count);
    for (size_t i = 0; i < fghm_row_count; i++) {
        const size_t length = strlen(fghm_rows[i].name);
        const char *at = strstr(TEST_ISAS, fghm_rows[i].name);
        assert_non_null(at);
        assert_true(at[length] == ',' || at[length] == '\0');
    }
}

/* -------------------------------------------------------------------------
 * Configurations. */

static void assert_same_double(double got, double want) {
    assert_memory_equal(&got, &want, sizeof got);
}

static void destroying_nothing(void **state) {
    (void)state;
    fghm_focal_destroy(NULL);
    fghm_ghm_destroy(NULL);
    fghm_pool_destroy(NULL);
}

/* Which a saved state, or a sign, would show. */
static void minus_zero_is_zero(void **state) {
    fghm_focal *focal;
    double gamma = -1.0;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, -0.0), FGHM_OK);
    assert_int_equal(fghm_focal_get_gamma(focal, &gamma), FGHM_OK);
    assert_true(gamma == 0.0 && !signbit(gamma));
    fghm_focal_destroy(focal);
}

static void assert_negative_gamma(const fghm_focal *focal, double want, int32_t set) {
    double got = -1.0;
    int32_t flag = -1;
    assert_int_equal(fghm_focal_get_negative_gamma(focal, &got, &flag), FGHM_OK);
    assert_same_double(got, want);
    assert_int_equal(flag, set);
}

/* It follows gamma until it is set, and again when that is undone. */
static void gamma_of_negatives(void **state) {
    const double bad[] = {-1.0, -5e-324, 65.0, (double)NAN, (double)INFINITY};
    fghm_focal *focal = NULL;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_negative_gamma(focal, 2.0, 0);
    assert_int_equal(fghm_focal_set_gamma(focal, 3.0), FGHM_OK);
    assert_negative_gamma(focal, 3.0, 0);
    for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, bad[i]), FGHM_ERROR_RANGE);
        assert_negative_gamma(focal, 3.0, 0);
    }
    assert_int_equal(fghm_focal_set_negative_gamma(focal, 3.0), FGHM_OK);
    assert_negative_gamma(focal, 3.0, 1);
    assert_int_equal(fghm_focal_set_gamma(focal, 1.0), FGHM_OK);
    assert_negative_gamma(focal, 3.0, 1);
    assert_int_equal(fghm_focal_set_negative_gamma(focal, (double)NAN), FGHM_ERROR_RANGE);
    assert_negative_gamma(focal, 3.0, 1);
    assert_int_equal(fghm_focal_clear_negative_gamma(focal), FGHM_OK);
    assert_negative_gamma(focal, 1.0, 0);
    assert_int_equal(fghm_focal_clear_negative_gamma(focal), FGHM_OK);
    assert_negative_gamma(focal, 1.0, 0);
    fghm_focal_destroy(focal);
}

/* All settings of a handle, and what it computes. */
struct reading {
    double gamma, negative_gamma, alpha, loss_weight, normalizer, floor, loss;
    float out[3][4];
    int32_t negative_set, alpha_enabled, reduction, rule, mode;
};

static struct reading read_handle(const fghm_focal *focal) {
    const float logits[4] = {-1.5F, 0.25F, 2.0F, -4.0F}, targets[4] = {1.0F, 0.0F, 1.0F, 1.0F};
    struct reading r;
    memset(&r, 0, sizeof r);
    assert_int_equal(fghm_focal_get_gamma(focal, &r.gamma), FGHM_OK);
    assert_int_equal(fghm_focal_get_negative_gamma(focal, &r.negative_gamma, &r.negative_set),
                     FGHM_OK);
    assert_int_equal(fghm_focal_get_alpha(focal, &r.alpha, &r.alpha_enabled), FGHM_OK);
    assert_int_equal(fghm_focal_get_loss_weight(focal, &r.loss_weight), FGHM_OK);
    assert_int_equal(fghm_focal_get_reduction(focal, &r.reduction), FGHM_OK);
    assert_int_equal(fghm_focal_get_normalizer(focal, &r.normalizer), FGHM_OK);
    assert_int_equal(fghm_focal_get_rule(focal, &r.rule), FGHM_OK);
    assert_int_equal(fghm_focal_get_hessian_mode(focal, &r.mode), FGHM_OK);
    assert_int_equal(fghm_focal_get_hessian_floor(focal, &r.floor), FGHM_OK);
    assert_int_equal(fghm_focal_f32(focal, NULL, 4, logits, targets, NULL, &r.loss, r.out[0],
                                    r.out[1], r.out[2]),
                     FGHM_OK);
    return r;
}

enum { SETTERS = 9 };

static void set_one(fghm_focal *focal, size_t which) {
    fghm_status status = -1;
    switch (which) {
    case 0:
        status = fghm_focal_set_gamma(focal, 1.0);
        break;
    case 1:
        status = fghm_focal_set_negative_gamma(focal, 4.0);
        break;
    case 2:
        status = fghm_focal_set_alpha(focal, 0.625);
        break;
    case 3:
        status = fghm_focal_set_reduction(focal, FGHM_REDUCTION_NORMALIZER);
        break;
    case 4:
        status = fghm_focal_set_normalizer(focal, 3.0);
        break;
    case 5:
        status = fghm_focal_set_loss_weight(focal, 0.75);
        break;
    case 6:
        status = fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_SPLIT);
        break;
    case 7:
        status = fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_FLOORED);
        break;
    case 8:
        status = fghm_focal_set_hessian_floor(focal, 0.125);
        break;
    default:
        break;
    }
    assert_int_equal(status, FGHM_OK);
}

/* The next permutation in lexical order; 0 after the last. */
static int next_order(size_t *order) {
    size_t pivot = SETTERS - 1, with = SETTERS - 1;
    while (pivot > 0 && order[pivot - 1] > order[pivot]) {
        pivot--;
    }
    if (pivot == 0) {
        return 0;
    }
    while (order[with] < order[pivot - 1]) {
        with--;
    }
    const size_t kept = order[pivot - 1];
    order[pivot - 1] = order[with];
    order[with] = kept;
    for (size_t low = pivot, high = SETTERS - 1; low < high; low++, high--) {
        const size_t other = order[low];
        order[low] = order[high];
        order[high] = other;
    }
    return 1;
}

/* Every order of all setters gives the same handle and the same bits. */
static void order_of_setters(void **state) {
    size_t order[SETTERS], orders = 0;
    struct reading want;
    (void)state;
    for (size_t k = 0; k < SETTERS; k++) {
        order[k] = k;
    }
    memset(&want, 0, sizeof want);
    do {
        fghm_focal *focal = NULL;
        assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
        for (size_t k = 0; k < SETTERS; k++) {
            set_one(focal, order[k]);
        }
        const struct reading got = read_handle(focal);
        want = orders == 0 ? got : want;
        assert_memory_equal(&got, &want, sizeof got);
        fghm_focal_destroy(focal);
        orders++;
    } while (next_order(order));
    assert_int_equal(orders, 362880);
    assert_true(want.gamma == 1.0 && want.negative_gamma == 4.0 && want.alpha == 0.625);
    assert_true(want.loss > 0.0);
}

static void clones_are_independent(void **state) {
    fghm_focal *focal = NULL, *copy = NULL;
    (void)state;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    for (size_t k = 0; k < SETTERS; k++) {
        set_one(focal, k);
        assert_int_equal(fghm_focal_clone(focal, &copy), FGHM_OK);
        const struct reading want = read_handle(focal), got = read_handle(copy);
        assert_memory_equal(&got, &want, sizeof got);
        assert_int_equal(fghm_focal_set_gamma(copy, 5.0), FGHM_OK);
        assert_int_equal(fghm_focal_clear_alpha(copy), FGHM_OK);
        const struct reading after = read_handle(focal);
        assert_memory_equal(&after, &want, sizeof after);
        fghm_focal_destroy(copy);
    }
    assert_int_equal(fghm_focal_clone(focal, &copy), FGHM_OK);
    const struct reading want = read_handle(focal);
    fghm_focal_destroy(focal);
    const struct reading got = read_handle(copy);
    assert_memory_equal(&got, &want, sizeof got);
    fghm_focal_destroy(copy);
}

static void pool_bounds(void **state) {
    const size_t bad[] = {FGHM_THREADS_MAX + 1, SIZE_MAX, SIZE_MAX / 2 + 2};
    char there;
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(bad); i++) {
        fghm_pool *pool = (fghm_pool *)(void *)&there;
        assert_int_equal(fghm_pool_create(&pool, bad[i]), FGHM_ERROR_RANGE);
        assert_ptr_equal(pool, &there);
    }
    for (size_t threads = 0; threads <= 4; threads++) {
        fghm_pool *const pool = pool_of(threads);
        size_t got = 0;
        assert_int_equal(fghm_pool_get_threads(pool, &got), FGHM_OK);
        assert_true(got == threads || (threads == 0 && got <= FGHM_THREADS_MAX));
        assert_true(got >= 1);
        fghm_pool_destroy(pool);
    }
}

/* -------------------------------------------------------------------------
 * NULL. */

static void null_handles(void **state) {
    double number = 7.0;
    int32_t flag = 7;
    size_t size = 7;
    uint64_t counts[10];
    double edges[11];
    (void)state;
    assert_int_equal(fghm_focal_create(NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_gamma(NULL, 1.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_gamma(NULL, &number), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_alpha(NULL, 0.5), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_clear_alpha(NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_alpha(NULL, &number, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_reduction(NULL, 0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_reduction(NULL, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_normalizer(NULL, 1.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_normalizer(NULL, &number), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_negative_gamma(NULL, 1.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_clear_negative_gamma(NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_negative_gamma(NULL, &number, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_loss_weight(NULL, 1.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_loss_weight(NULL, &number), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_rule(NULL, 0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_rule(NULL, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_hessian_mode(NULL, 0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_hessian_mode(NULL, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_set_hessian_floor(NULL, 0.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_get_hessian_floor(NULL, &number), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_clone(NULL, NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_softmax_f32(NULL, NULL, 0, 1, NULL, NULL, FGHM_IGNORE_NONE, NULL,
                                            &number, NULL, NULL, NULL),
                     FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_create(NULL, FGHM_GHM_CLASSIFICATION), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_set_bins(NULL, 10), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_bins(NULL, &size), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_set_reduction(NULL, 0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_reduction(NULL, &flag), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_set_normalizer(NULL, 1.0), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_normalizer(NULL, &number), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_edges(NULL, 11, edges), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_counts(NULL, 11, counts), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_weights(NULL, 10, edges), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_pool_create(NULL, 1), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_pool_get_threads(NULL, &size), FGHM_ERROR_NULL_HANDLE);
    assert_true(number == 7.0 && flag == 7 && size == 7);
}

static void null_result_pointers(void **state) {
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(1);
    double number = 7.0;
    int32_t flag = 7;
    (void)state;
    assert_int_equal(fghm_focal_get_gamma(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_alpha(focal, NULL, &flag), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_alpha(focal, &number, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_alpha(focal, NULL, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_hessian_mode(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_hessian_floor(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_negative_gamma(focal, NULL, &flag), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_negative_gamma(focal, &number, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_clone(focal, NULL), FGHM_ERROR_NULL_HANDLE);
    assert_true(number == 7.0 && flag == 7);
    assert_int_equal(fghm_focal_get_loss_weight(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_rule(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_reduction(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_get_normalizer(focal, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_bins(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_reduction(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_normalizer(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_edges(ghm, 11, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_get_weights(ghm, 10, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_pool_get_threads(pool, NULL), FGHM_ERROR_NULL_POINTER);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
}

/* -------------------------------------------------------------------------
 * Calls that must change nothing.  A scene is one call's arrays, in one block
 * so that overlaps are well defined, and a handle of either loss. */

enum { ROOM = 64, N = 24 };
enum { X = LOGITS, T = TARGETS, W = WEIGHTS, EL = LOSSES, GR = GRADIENTS, HE = HESSIANS };

struct scene {
    const struct dtype *d;
    unsigned char *block;
    size_t size;
    void *array[ARRAYS];
    double loss;
    fghm_focal *focal;
    fghm_ghm *ghm; /* one of the two is NULL */
};

static struct scene scene_new(const struct dtype *d, int ghm) {
    struct scene s = {.d = d, .size = (size_t)ARRAYS * ROOM * d->size, .loss = 77.0};
    struct random r = random_for(1);
    s.block = dtype_array(d, (size_t)ARRAYS * ROOM);
    memset(s.block, 0x5a, s.size);
    for (size_t i = 0; i < ARRAYS; i++) {
        s.array[i] = s.block + i * ROOM * d->size;
    }
    for (size_t i = 0; i < ROOM; i++) {
        d->put(s.array[X], i, random_uniform(&r, -5.0, 5.0));
        d->put(s.array[T], i, i % 3 ? (double)(i % 2) : random_uniform(&r, 0.0, 1.0));
        d->put(s.array[W], i, random_uniform(&r, 0.5, 1.0));
    }
    s.focal = ghm ? NULL : focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    s.ghm = ghm ? ghmc_handle(10, FGHM_REDUCTION_MEAN) : NULL;
    return s;
}

static void scene_free(struct scene *s) {
    fghm_focal_destroy(s->focal);
    fghm_ghm_destroy(s->ghm);
    free(s->block);
}

static fghm_status scene_call(struct scene *s, size_t n, void *const array[ARRAYS], double *loss) {
    return s->ghm != NULL ? loss_call(&all_losses[GHMC], s->d, s->ghm, NULL, n, array, loss)
                          : loss_call(&all_losses[FOCAL], s->d, s->focal, NULL, n, array, loss);
}

struct histogram {
    uint64_t counts[11];
    double weights[10];
};

static struct histogram histogram_of(const fghm_ghm *ghm) {
    struct histogram h;
    memset(&h, 0, sizeof h);
    if (ghm != NULL) {
        assert_int_equal(fghm_ghm_get_counts(ghm, 11, h.counts), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(ghm, 10, h.weights), FGHM_OK);
    }
    return h;
}

/* The call fails with this status and leaves memory and histogram alone. */
static void assert_refused(struct scene *s, size_t n, void *const array[ARRAYS], double *loss,
                           fghm_status want) {
    unsigned char *before = malloc(s->size);
    struct histogram histogram = histogram_of(s->ghm), now;
    double loss_before = loss != NULL ? *loss : 0.0;
    assert_non_null(before);
    memcpy(before, s->block, s->size);
    assert_int_equal(scene_call(s, n, array, loss), want);
    assert_memory_equal(before, s->block, s->size);
    assert_true(loss == NULL || memcmp(&loss_before, loss, sizeof loss_before) == 0);
    now = histogram_of(s->ghm);
    assert_memory_equal(&histogram, &now, sizeof now);
    free(before);
}

/* Runs `check` for both losses, each with a histogram that is not empty. */
static void for_both(const struct dtype *d, void (*check)(struct scene *s)) {
    for (int ghm = 0; ghm < 2; ghm++) {
        struct scene s = scene_new(d, ghm);
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_OK);
        check(&s);
        scene_free(&s);
    }
}

static void check_null_arrays(struct scene *s) {
    for (int i = X; i <= T; i++) {
        void *array[ARRAYS];
        memcpy(array, s->array, sizeof array);
        array[i] = NULL;
        assert_refused(s, N, array, &s->loss, FGHM_ERROR_NULL_POINTER);
        assert_refused(s, 1, array, &s->loss, FGHM_ERROR_NULL_POINTER);
    }
}

static void null_arrays(void **state) {
    for_both(*state, check_null_arrays);
}

static void null_handle_computes_nothing(void **state) {
    const struct dtype *d = *state;
    struct scene s = scene_new(d, 0);
    unsigned char *before = malloc(s.size);
    assert_non_null(before);
    memcpy(before, s.block, s.size);
    assert_int_equal(d->focal(NULL, NULL, N, s.array[X], s.array[T], s.array[W], &s.loss,
                              s.array[EL], s.array[GR], s.array[HE]),
                     FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(d->ghm(NULL, NULL, N, s.array[X], s.array[T], s.array[W], &s.loss, s.array[EL],
                            s.array[GR], s.array[HE]),
                     FGHM_ERROR_NULL_HANDLE);
    assert_memory_equal(before, s.block, s.size);
    assert_true(s.loss == 77.0);
    free(before);
    scene_free(&s);
}

/* Focal without an output is an error; GHM without one counts. */
static void no_output(void **state) {
    struct scene s = scene_new(*state, 0), g = scene_new(*state, 1);
    void *array[ARRAYS] = {s.array[X], s.array[T], s.array[W], NULL, NULL, NULL};
    struct histogram h;
    uint64_t sum = 0;
    assert_refused(&s, N, array, NULL, FGHM_ERROR_NO_OUTPUT);
    assert_int_equal(scene_call(&g, N, array, NULL), FGHM_OK);
    h = histogram_of(g.ghm);
    for (int i = 0; i < 10; i++) {
        sum += h.counts[i];
    }
    assert_int_equal(sum, N);
    scene_free(&s);
    scene_free(&g);
}

/* Too large for any address space, in elements or in bytes behind a pointer. */
static void check_sizes(struct scene *s) {
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / s->d->size + 1,
                            SIZE_MAX / s->d->size};
    for (size_t i = 0; i < SUITE_COUNT(sizes); i++) {
        void *only[ARRAYS] = {s->array[X], s->array[T], NULL, NULL, s->array[GR], NULL};
        assert_refused(s, sizes[i], s->array, &s->loss, FGHM_ERROR_SIZE);
        assert_refused(s, sizes[i], only, NULL, FGHM_ERROR_SIZE);
    }
}

static void sizes_beyond_the_address_space(void **state) {
    for_both(*state, check_sizes);
}

static void inputs_may_be_one_array(void **state) {
    const struct dtype *d = *state;
    for (int ghm = 0; ghm < 2; ghm++) {
        struct scene apart = scene_new(d, ghm), shared = scene_new(d, ghm);
        void *array[ARRAYS];
        memcpy(apart.array[X], apart.array[T], N * d->size);
        memcpy(apart.array[W], apart.array[T], N * d->size);
        memcpy(array, shared.array, sizeof array);
        array[X] = array[W] = array[T];
        assert_int_equal(scene_call(&apart, N, apart.array, &apart.loss), FGHM_OK);
        assert_int_equal(scene_call(&shared, N, array, &shared.loss), FGHM_OK);
        assert_memory_equal(&apart.loss, &shared.loss, sizeof(double));
        for (int o = EL; o < ARRAYS; o++) {
            assert_int_equal(dtype_first_difference(d, apart.array[o], array[o], N), N);
        }
        scene_free(&apart);
        scene_free(&shared);
    }
}

/* Every output moved over every other array, by one element up to all but
 * one, in both directions. */
static void check_overlaps(struct scene *s) {
    for (int output = EL; output <= HE; output++) {
        for (int other = X; other <= HE; other++) {
            for (size_t shift = 0; shift < N && other != output; shift++) {
                void *array[ARRAYS];
                if (shift == 0 && other < EL) {
                    continue; /* in place: allowed */
                }
                memcpy(array, s->array, sizeof array);
                array[output] = dtype_at(s->d, s->array[other], shift);
                assert_refused(s, N, array, &s->loss, FGHM_ERROR_ALIASING);
                memcpy(array, s->array, sizeof array);
                array[other] = dtype_at(s->d, s->array[other], shift);
                array[output] = s->array[other];
                assert_refused(s, N, array, &s->loss, FGHM_ERROR_ALIASING);
            }
        }
    }
}

static void overlaps_are_refused(void **state) {
    for_both(*state, check_overlaps);
}

/* `loss` is an output like the others: not in any array, be it an input. */
static void check_loss_in_arrays(struct scene *s) {
    size_t last = N * s->d->size - sizeof(double);
    for (int i = X; i < ARRAYS; i++) {
        unsigned char *array = s->array[i];
        assert_refused(s, N, s->array, (double *)(void *)array, FGHM_ERROR_ALIASING);
        assert_refused(s, N, s->array, (double *)(void *)(array + last), FGHM_ERROR_ALIASING);
    }
}

static void loss_in_an_array_is_refused(void **state) {
    for_both(*state, check_loss_in_arrays);
}

/* Arrays may touch, and so may `loss`. */
static void neighbouring_arrays_are_allowed(void **state) {
    const struct dtype *d = *state;
    for (int ghm = 0; ghm < 2; ghm++) {
        struct scene s = scene_new(d, ghm);
        unsigned char *block = calloc((size_t)ARRAYS * N * d->size + 2 * sizeof(double), 1);
        void *array[ARRAYS];
        double *loss = (double *)(void *)(block + (size_t)ARRAYS * N * d->size);
        assert_non_null(block);
        for (int i = 0; i < ARRAYS; i++) {
            array[i] = block + (size_t)i * N * d->size;
            memcpy(array[i], s.array[i], N * d->size);
        }
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_OK);
        assert_int_equal(scene_call(&s, N, array, loss), FGHM_OK);
        assert_memory_equal(loss, &s.loss, sizeof *loss);
        for (int o = EL; o < ARRAYS; o++) {
            assert_int_equal(dtype_first_difference(d, s.array[o], array[o], N), N);
        }
        free(block);
        scene_free(&s);
    }
}

/* Counts are added to what is there, so they may be part of nothing that is counted: tried at
 * every place in the block of the arrays.  A batch has the same numbers in other layouts. */
enum { COUNT_CLASSES = 6, COUNT_SAMPLES = N / COUNT_CLASSES };

static fghm_batch batch_for_counting(const struct scene *s) {
    const fghm_dtype dtype = s->d->size == sizeof(double) ? FGHM_F64 : FGHM_F32;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = COUNT_SAMPLES;
    batch.shape[1] = COUNT_CLASSES;
    batch.logits = (fghm_input){.data = s->array[X], .dtype = dtype};
    batch.targets = (fghm_input){.data = dtype_at(s->d, s->array[T], N - 1), /* reversed */
                                 .dtype = dtype,
                                 .layout = FGHM_LAYOUT_STRIDED,
                                 .strides = {-COUNT_CLASSES, -1}};
    batch.weights =
        (fghm_input){.data = s->array[W], .dtype = dtype, .layout = FGHM_LAYOUT_PER_SAMPLE};
    return batch;
}

static int bytes_overlap(const void *a, size_t a_size, const void *b, size_t b_size) {
    return (const char *)a < (const char *)b + b_size && (const char *)b < (const char *)a + a_size;
}

static void counts_at(struct scene *s, uint64_t *counts, size_t size, int is_batch) {
    const struct dtype *const d = s->d;
    const fghm_batch batch = batch_for_counting(s);
    const size_t lengths[] = {N, N, is_batch ? COUNT_SAMPLES : N};
    const fghm_field names[] = {FGHM_FIELD_LOGITS, FGHM_FIELD_TARGETS, FGHM_FIELD_WEIGHTS};
    fghm_result result = FGHM_RESULT_INIT;
    fghm_field met = FGHM_FIELD_NONE;
    for (int i = W; i >= X; i--) {
        const int meets =
            bytes_overlap(counts, size * sizeof *counts, s->array[i], lengths[i] * d->size);
        met = meets ? names[i] : met;
    }
    if (met == FGHM_FIELD_NONE) {
        memset(counts, 0, size * sizeof *counts);
    }
    unsigned char *const before = malloc(s->size);
    assert_non_null(before);
    memcpy(before, s->block, s->size);
    const fghm_status got =
        is_batch
            ? fghm_ghm_count_batch(s->ghm, NULL, &batch, size, counts, &result)
            : d->ghm_count(s->ghm, NULL, N, s->array[X], s->array[T], s->array[W], size, counts);
    assert_int_equal(got, met == FGHM_FIELD_NONE ? FGHM_OK : FGHM_ERROR_ALIASING);
    assert_int_equal(memcmp(before, s->block, s->size) == 0, met != FGHM_FIELD_NONE);
    if (met != FGHM_FIELD_NONE && is_batch) {
        assert_int_equal(result.field, FGHM_FIELD_COUNTS);
        assert_int_equal(result.other_field, met);
    }
    free(before);
}

static void counts_in_an_input_are_refused(void **state) {
    const size_t histograms[] = {1, 1, COUNT_CLASSES};
    for (size_t k = 0; k < SUITE_COUNT(histograms); k++) {
        struct scene s = scene_new(*state, 1);
        const size_t size = histograms[k] * 11;
        assert_int_equal(fghm_ghm_set_histograms(s.ghm, histograms[k]), FGHM_OK);
        for (size_t at = 0; at + size * sizeof(uint64_t) <= s.size; at += sizeof(uint64_t)) {
            struct scene fresh = scene_new(*state, 1);
            memcpy(s.block, fresh.block, s.size);
            counts_at(&s, (uint64_t *)(void *)(s.block + at), size, k > 0);
            scene_free(&fresh);
        }
        scene_free(&s);
    }
}

static void counts_in_the_result_are_refused(void **state) {
    struct scene s = scene_new(*state, 1);
    const fghm_batch batch = batch_for_counting(&s);
    fghm_result results[3] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    uint64_t *const last = (uint64_t *)(void *)&results[1].positives;
    assert_int_equal(fghm_ghm_count_batch(s.ghm, NULL, &batch, 11, last, &results[1]),
                     FGHM_ERROR_ALIASING);
    assert_int_equal(results[1].field, FGHM_FIELD_COUNTS);
    assert_int_equal(results[1].other_field, FGHM_FIELD_RESULT);
    memset(&results[2], 0, sizeof results[2]);
    assert_int_equal(fghm_ghm_count_batch(s.ghm, NULL, &batch, 11, last + 1, &results[1]), FGHM_OK);
    scene_free(&s);
}

/* -------------------------------------------------------------------------
 * Targets. */

static size_t bad_targets(const struct dtype *d, double *out) {
    const double bad[] = {
        -1.0, 2.0, d->next(0.0, -1.0), d->next(1.0, 2.0), (double)INFINITY, -(double)INFINITY};
    memcpy(out, bad, sizeof bad);
    return SUITE_COUNT(bad);
}

/* Focal: NaN for that element, the rest as ever, *loss as it was. */
static void focal_marks_a_bad_target(void **state) {
    const struct dtype *d = *state;
    double bad[8];
    size_t kinds = bad_targets(d, bad);
    for (size_t k = 0; k < kinds * N; k++) {
        struct scene good = scene_new(d, 0), s = scene_new(d, 0);
        size_t at = k / kinds;
        d->put(s.array[T], at, bad[k % kinds]);
        assert_int_equal(scene_call(&good, N, good.array, &good.loss), FGHM_OK);
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_ERROR_TARGET);
        assert_true(s.loss == 77.0);
        for (int o = EL; o < ARRAYS; o++) {
            assert_true(isnan(d->get(s.array[o], at)));
            d->put(s.array[o], at, d->get(good.array[o], at));
            assert_memory_equal(s.array[o], good.array[o], ROOM * d->size);
        }
        scene_free(&good);
        scene_free(&s);
    }
}

/* Found also where only the loss is asked for. */
static void focal_finds_a_bad_target_for_every_subset(void **state) {
    const struct dtype *d = *state;
    for (unsigned subset = 1; subset < 16; subset++) {
        struct scene s = scene_new(d, 0);
        void *array[ARRAYS];
        memcpy(array, s.array, sizeof array);
        for (unsigned o = 0; o < 3; o++) {
            array[EL + o] = subset & (1u << o) ? array[EL + o] : NULL;
        }
        d->put(s.array[T], N - 1, 1.5);
        assert_int_equal(scene_call(&s, N, array, subset & 8u ? &s.loss : NULL), FGHM_ERROR_TARGET);
        assert_true(s.loss == 77.0);
        /* behind the batch it is nobody's */
        assert_int_equal(scene_call(&s, N - 1, array, subset & 8u ? &s.loss : NULL), FGHM_OK);
        scene_free(&s);
    }
}

/* A bad target next to a NaN target, a NaN logit or a NaN weight is bad. */
static void bad_targets_beside_nan(void **state) {
    const struct dtype *d = *state;
    for (int k = 0; k < 3; k++) {
        struct scene s = scene_new(d, 0);
        d->put(s.array[k], 3, (double)NAN);
        d->put(s.array[T], 4, 1.5);
        if (k != T) {
            d->put(s.array[T], 3, -0.5);
        }
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_ERROR_TARGET);
        assert_true(s.loss == 77.0);
        assert_true(isnan(d->get(s.array[GR], 3)) && isnan(d->get(s.array[GR], 4)));
        assert_true(!isnan(d->get(s.array[GR], 5)));
        scene_free(&s);
    }
}

/* GHM: refused as a whole, whatever outputs are asked for; but only if the
 * element is valid. */
static void ghm_refuses_a_bad_target(void **state) {
    const struct dtype *d = *state;
    double bad[8];
    size_t kinds = bad_targets(d, bad);
    for (size_t k = 0; k < kinds * N; k++) {
        struct scene s = scene_new(d, 1);
        void *none[ARRAYS] = {s.array[X], s.array[T], s.array[W], NULL, NULL, NULL};
        void *no_mask[ARRAYS];
        memcpy(no_mask, s.array, sizeof no_mask);
        no_mask[W] = NULL;
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_OK);
        d->put(s.array[T], k / kinds, bad[k % kinds]);
        assert_refused(&s, N, s.array, &s.loss, FGHM_ERROR_TARGET);
        assert_refused(&s, N, no_mask, &s.loss, FGHM_ERROR_TARGET);
        assert_refused(&s, N, none, NULL, FGHM_ERROR_TARGET);
        d->put(s.array[W], k / kinds, 0.0);
        assert_int_equal(scene_call(&s, N, s.array, &s.loss), FGHM_OK);
        scene_free(&s);
    }
}

static void ghm_bad_target_with_a_nan_logit(void **state) {
    const struct dtype *d = *state;
    struct scene s = scene_new(d, 1);
    d->put(s.array[X], 5, (double)NAN);
    d->put(s.array[T], 5, 1.5);
    assert_refused(&s, N, s.array, &s.loss, FGHM_ERROR_TARGET);
    scene_free(&s);
}

/* Weights that are there already: as with focal loss. */
static void ghm_apply_marks_a_bad_target(void **state) {
    const struct dtype *d = *state;
    double bad[8];
    size_t kinds = bad_targets(d, bad);
    for (size_t k = 0; k < kinds * N; k++) {
        struct scene good = scene_new(d, 1), s = scene_new(d, 1);
        struct scene *const scenes[] = {&good, &s};
        for (int which = 0; which < 2; which++) {
            assert_int_equal(scene_call(scenes[which], N, scenes[which]->array, NULL), FGHM_OK);
        }
        const size_t at = k / kinds;
        d->put(s.array[T], at, bad[k % kinds]);
        assert_int_equal(d->ghm_apply(good.ghm, NULL, N, good.array[X], good.array[T],
                                      good.array[W], &good.loss, good.array[EL], good.array[GR],
                                      good.array[HE]),
                         FGHM_OK);
        assert_int_equal(d->ghm_apply(s.ghm, NULL, N, s.array[X], s.array[T], s.array[W], &s.loss,
                                      s.array[EL], s.array[GR], s.array[HE]),
                         FGHM_ERROR_TARGET);
        assert_true(s.loss == 77.0);
        for (int o = EL; o < ARRAYS; o++) {
            assert_true(isnan(d->get(s.array[o], at)));
            d->put(s.array[o], at, d->get(good.array[o], at));
            assert_memory_equal(s.array[o], good.array[o], ROOM * d->size);
        }
        scene_free(&good);
        scene_free(&s);
    }
}

/* In place, an error found late must not have written early results. */
static void ghm_bad_target_in_place(void **state) {
    const struct dtype *d = *state;
    struct scene s = scene_new(d, 1);
    void *array[ARRAYS] = {s.array[X], s.array[T], s.array[W], s.array[X], s.array[T], s.array[W]};
    d->put(s.array[T], N - 1, 1.5);
    assert_refused(&s, N, array, &s.loss, FGHM_ERROR_TARGET);
    scene_free(&s);
}

/* -0.0 is 0, and the ends of the range belong to it. */
static void negative_zero_is_a_target(void **state) {
    const struct dtype *d = *state;
    for (int ghm = 0; ghm < 2; ghm++) {
        struct scene plus = scene_new(d, ghm), minus = scene_new(d, ghm);
        for (size_t i = 0; i < N; i++) {
            d->put(plus.array[T], i, 0.0);
            d->put(minus.array[T], i, -0.0);
        }
        assert_int_equal(scene_call(&plus, N, plus.array, &plus.loss), FGHM_OK);
        assert_int_equal(scene_call(&minus, N, minus.array, &minus.loss), FGHM_OK);
        assert_memory_equal(&plus.loss, &minus.loss, sizeof(double));
        for (int o = EL; o < ARRAYS; o++) {
            assert_memory_equal(plus.array[o], minus.array[o], ROOM * d->size);
        }
        scene_free(&plus);
        scene_free(&minus);
    }
}

/* -------------------------------------------------------------------------
 * Reading a histogram back. */

static void read_back_capacities(void **state) {
    const size_t bins[] = {1, 10, 33, FGHM_BINS_MAX};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bins); k++) {
        size_t b = bins[k];
        fghm_ghm *ghm = ghmc_handle(b, FGHM_REDUCTION_MEAN);
        double *numbers = malloc((b + 2) * sizeof *numbers);
        uint64_t *counts = malloc((b + 2) * sizeof *counts);
        assert_non_null(numbers);
        assert_non_null(counts);
        numbers[0] = -7.0;
        counts[0] = 7;
        assert_int_equal(fghm_ghm_get_edges(ghm, b, numbers), FGHM_ERROR_CAPACITY);
        assert_int_equal(fghm_ghm_get_edges(ghm, 0, numbers), FGHM_ERROR_CAPACITY);
        assert_int_equal(fghm_ghm_get_weights(ghm, b - 1, numbers), FGHM_ERROR_CAPACITY);
        assert_int_equal(fghm_ghm_get_counts(ghm, b, counts), FGHM_ERROR_CAPACITY);
        assert_true(numbers[0] == -7.0 && counts[0] == 7);
        numbers[b + 1] = numbers[b] = -7.0;
        counts[b + 1] = 7;
        assert_int_equal(fghm_ghm_get_weights(ghm, b, numbers), FGHM_OK);
        assert_true(numbers[b] == -7.0 && numbers[b - 1] == 0.0);
        assert_int_equal(fghm_ghm_get_counts(ghm, b + 1, counts), FGHM_OK);
        assert_true(counts[b + 1] == 7 && counts[b] == 0);
        assert_int_equal(fghm_ghm_get_edges(ghm, SIZE_MAX, numbers), FGHM_OK);
        assert_true(numbers[b + 1] == -7.0 && numbers[b] == 1.0 && numbers[0] == 0.0);
        free(numbers);
        free(counts);
        fghm_ghm_destroy(ghm);
    }
}

/* -------------------------------------------------------------------------
 * Surroundings: errno, floating-point environment, threads. */

struct control {
    int rounding, traps;
    unsigned vector;
};

/* The settings, not the status flags: computing may raise those. */
static struct control control_now(void) {
    struct control c = {fegetround(), 0, 0};
#ifdef __GLIBC__
    c.traps = fegetexcept();
#endif
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE__))
    c.vector = _mm_getcsr() & ~0x3fu;
#endif
    return c;
}

static void assert_surroundings_kept(const struct dtype *d) {
    struct control before = control_now(), after;
    fghm_focal *focal = focal_handle(2.7, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *ghm = ghmc_handle(30, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 67);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, i == 3 ? d->format->max : 25.0 * (double)i - 800.0, (double)(i % 2));
    }
    errno = 4711;
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, 100), FGHM_ERROR_HISTORY);
    assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, 100), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, 0), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_focal_set_gamma(focal, (double)NAN), FGHM_ERROR_RANGE);
    d->put(b.targets, 5, 2.0);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_ERROR_TARGET);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_ERROR_TARGET);
    assert_non_null(fghm_status_string(-5));
    after = control_now();
    fesetround(FE_TONEAREST); /* for what comes after a failed assertion */
    assert_int_equal(errno, 4711);
    assert_int_equal(before.rounding, after.rounding);
    assert_int_equal(before.traps, after.traps);
    assert_int_equal(before.vector, after.vector);
    batch_free(&b);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
}

/* Also where the caller rounds otherwise: results are then not promised, but
 * the caller's setting is. */
static void errno_and_environment_are_kept(void **state) {
    const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
    assert_surroundings_kept(*state);
    for (size_t i = 0; i < SUITE_COUNT(modes); i++) {
        assert_int_equal(fesetround(modes[i]), 0);
        assert_surroundings_kept(*state);
    }
}

enum { SHARERS = 4, ROUNDS = 20 };

struct sharer {
    const struct dtype *d;
    const fghm_focal *focal;
    fghm_pool *pool;
    const struct batch *want;
    pthread_t thread;
    int differs;
};

/* cmocka's assertions belong to the main thread, so this one only reports. */
static void *share(void *argument) {
    struct sharer *s = argument;
    struct batch b = batch_new(s->d, s->want->n);
    for (int round = 0; round < ROUNDS && !s->differs; round++) {
        memcpy(b.logits, s->want->logits, b.n * s->d->size);
        memcpy(b.targets, s->want->targets, b.n * s->d->size);
        s->differs = batch_focal(&b, s->focal, s->pool) != FGHM_OK ||
                     memcmp(&b.loss, &s->want->loss, sizeof b.loss) != 0;
        for (int o = 0; o < OUTPUTS; o++) {
            s->differs |= dtype_first_difference(s->d, b.out[o], s->want->out[o], b.n) != b.n;
        }
    }
    batch_free(&b);
    return NULL;
}

static void share_all(const struct dtype *d, const fghm_focal *focal, fghm_pool *pool,
                      const struct batch *want) {
    struct sharer sharers[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        sharers[i] = (struct sharer){.d = d, .focal = focal, .pool = pool, .want = want};
        assert_int_equal(pthread_create(&sharers[i].thread, NULL, share, &sharers[i]), 0);
    }
    for (int i = 0; i < SHARERS; i++) {
        assert_int_equal(pthread_join(sharers[i].thread, NULL), 0);
    }
    for (int i = 0; i < SHARERS; i++) {
        assert_false(sharers[i].differs);
    }
}

/* One handle, and then one pool as well, used by several threads at once. */
static void threads_share_a_handle(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(2);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *pool = NULL;
    struct batch want = batch_new(d, 20011);
    for (size_t i = 0; i < want.n; i++) {
        batch_put(&want, i, random_uniform(&r, -9.0, 9.0), (double)(i % 2));
    }
    assert_int_equal(batch_focal(&want, focal, NULL), FGHM_OK);
    share_all(d, focal, NULL, &want);
    assert_int_equal(fghm_pool_create(&pool, 3), FGHM_OK);
    share_all(d, focal, pool, &want);
    fghm_pool_destroy(pool);
    batch_free(&want);
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"status_strings", status_strings, 0},
        {"field_names", field_names, 0},
        {"status_and_place_names", status_and_place_names, 0},
        {"values_are_pinned", values_are_pinned, 0},
        {"version_is_that_of_the_header", version_is_that_of_the_header, 0},
        {"isa_name_stays_the_same", isa_name_stays_the_same, 0},
        {"best_row_is_chosen", best_row_is_chosen, 0},
        {"rows_of_the_architecture_are_here", rows_of_the_architecture_are_here, 0},
        {"rows_of_the_processor_are_usable", rows_of_the_processor_are_usable, 0},
#if defined(__x86_64__) || defined(__i386__)
        {"states_that_are_not_saved", states_that_are_not_saved, 0},
        {"bits_of_the_processor", bits_of_the_processor, 0},
#endif
        {"every_row_has_its_runs", every_row_has_its_runs, 0},
        {"destroying_nothing", destroying_nothing, 0},
        {"minus_zero_is_zero", minus_zero_is_zero, 0},
        {"gamma_of_negatives", gamma_of_negatives, 0},
        {"order_of_setters", order_of_setters, 0},
        {"clones_are_independent", clones_are_independent, 0},
        {"pool_bounds", pool_bounds, 0},
        {"null_handles", null_handles, 0},
        {"null_result_pointers", null_result_pointers, 0},
        {"null_arrays", null_arrays, 1},
        {"null_handle_computes_nothing", null_handle_computes_nothing, 1},
        {"no_output", no_output, 1},
        {"sizes_beyond_the_address_space", sizes_beyond_the_address_space, 1},
        {"inputs_may_be_one_array", inputs_may_be_one_array, 1},
        {"overlaps_are_refused", overlaps_are_refused, 1},
        {"loss_in_an_array_is_refused", loss_in_an_array_is_refused, 1},
        {"neighbouring_arrays_are_allowed", neighbouring_arrays_are_allowed, 1},
        {"counts_in_an_input_are_refused", counts_in_an_input_are_refused, 1},
        {"counts_in_the_result_are_refused", counts_in_the_result_are_refused, 1},
        {"focal_marks_a_bad_target", focal_marks_a_bad_target, 1},
        {"focal_finds_a_bad_target_for_every_subset", focal_finds_a_bad_target_for_every_subset, 1},
        {"bad_targets_beside_nan", bad_targets_beside_nan, 1},
        {"ghm_refuses_a_bad_target", ghm_refuses_a_bad_target, 1},
        {"ghm_bad_target_with_a_nan_logit", ghm_bad_target_with_a_nan_logit, 1},
        {"ghm_apply_marks_a_bad_target", ghm_apply_marks_a_bad_target, 1},
        {"ghm_bad_target_in_place", ghm_bad_target_in_place, 1},
        {"negative_zero_is_a_target", negative_zero_is_a_target, 1},
        {"read_back_capacities", read_back_capacities, 0},
        {"errno_and_environment_are_kept", errno_and_environment_are_kept, 1},
        {"threads_share_a_handle", threads_share_a_handle, 1},
    };
    return suite_run(argument_count, arguments, "api", tests, SUITE_COUNT(tests));
}
