/* SPDX-License-Identifier: MIT */

/* Every setting of every handle: what a new handle has, every edge of the range and what is just
 * beyond, zeros, infinities and NaN; that a value which is refused changes nothing, and one that is
 * taken nothing else; and what a history forbids.  Ranges are those of the headers.  The fields of
 * batches are in test_batch_errors. */

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/suite.h"

/* A regression handle has all settings of GHM. */
struct handles {
    fghm_focal *focal;
    fghm_ghm *ghm;
};

/* name, initial, least, most, whether 0 is allowed below the least, whether a history forbids to
 * change it.  Those of focal loss that can be unset come after the others. */
#define FOCAL_NUMBERS(X)                                                                           \
    X(focal, gamma, 2.0, 0.0, 64.0, false, false)                                                  \
    X(focal, beta, 4.0, 0.0, 64.0, false, false)                                                   \
    X(focal, hessian_factor, 1.0, 0x1p-40, 0x1p40, false, false)                                   \
    X(focal, hessian_floor, 1e-16, 0x1p-60, 0x1p60, true, false)                                   \
    X(focal, loss_weight, 1.0, 0x1p-40, 0x1p40, true, false)                                       \
    X(focal, margin, 0.0, 0x1p-40, 0x1.fffffffffffffp-1, true, false)                              \
    X(focal, normalizer, 1.0, 0x1p-40, 0x1p60, false, false)
#define FOCAL_OPTIONAL_NUMBERS(X)                                                                  \
    X(focal, alpha, 0.25, 0x1p-40, 1.0, true, false)                                               \
    X(focal, negative_gamma, 2.0, 0.0, 64.0, false, false)                                         \
    X(focal, positive_weight, 1.0, 0x1p-40, 0x1p40, true, false)
#define GHM_NUMBERS(X)                                                                             \
    X(ghm, momentum, 0.0, 0.0, 0x1.fffffffffffffp-1, false, false)                                 \
    X(ghm, weight_cap, (double)INFINITY, 0x1p-40, (double)INFINITY, false, false)                  \
    X(ghm, loss_weight, 1.0, 0x1p-40, 0x1p40, true, false)                                         \
    X(ghm, mu, 0.02, 1e-30, 1e30, false, true)                                                     \
    X(ghm, normalizer, 1.0, 0x1p-40, 0x1p60, false, false)

/* Constants from 0 to the last. */
#define CHOICES(X)                                                                                 \
    X(focal, detached, 0, 1, false)                                                                \
    X(focal, hessian_mode, FGHM_HESSIAN_EXACT, FGHM_HESSIAN_GRADIENT, false)                       \
    X(focal, reduction, FGHM_REDUCTION_MEAN, FGHM_REDUCTION_MEAN_TARGETS, false)                   \
    X(focal, rule, FGHM_FOCAL_RULE_LINEAR, FGHM_FOCAL_RULE_HEATMAP, false)                         \
    X(ghm, divisor, FGHM_GHM_DIVISOR_NONEMPTY_BINS, FGHM_GHM_DIVISOR_ALL_BINS, false)              \
    X(ghm, momentum_rule, FGHM_GHM_MOMENTUM_CORRECTED, FGHM_GHM_MOMENTUM_REFERENCE, true)          \
    X(ghm, reduction, FGHM_REDUCTION_MEAN, FGHM_REDUCTION_NORMALIZER, false)

/* From 1 to the most. */
#define SIZES(X)                                                                                   \
    X(ghm, bins, 10, FGHM_BINS_MAX)                                                                \
    X(ghm, histograms, 1, FGHM_HISTOGRAMS_MAX)

/* One type for all: what is set is a double, which holds every int32_t and every size but SIZE_MAX,
 * and sizes near it are not told apart here. */
enum type { NUMBER, CHOICE, SIZE };

struct setting {
    const char *name;
    enum type type;
    double initial, least, most;
    bool or_zero, kept_by_history;
    fghm_status (*set)(const struct handles *h, double value);
    fghm_status (*get)(const struct handles *h, double *value, int32_t *is_set);
    fghm_status (*clear)(const struct handles *h); /* NULL: it cannot be unset */
};

#define DEFINE_SET(handle, name, type)                                                             \
    static fghm_status set_##handle##_##name(const struct handles *h, double value) {              \
        return fghm_##handle##_set_##name(h->handle, (type)value);                                 \
    }
#define DEFINE_GET(handle, name, type)                                                             \
    static fghm_status get_##handle##_##name(const struct handles *h, double *value,               \
                                             int32_t *is_set) {                                    \
        type own = (type)-1;                                                                       \
        const fghm_status status = fghm_##handle##_get_##name(h->handle, &own);                    \
        *value = (double)own;                                                                      \
        *is_set = 1;                                                                               \
        return status;                                                                             \
    }
#define DEFINE_OPTIONAL_GET(handle, name)                                                          \
    static fghm_status get_##handle##_##name(const struct handles *h, double *value,               \
                                             int32_t *is_set) {                                    \
        return fghm_##handle##_get_##name(h->handle, value, is_set);                               \
    }                                                                                              \
    static fghm_status clear_##handle##_##name(const struct handles *h) {                          \
        return fghm_##handle##_clear_##name(h->handle);                                            \
    }

#define DEFINE_NUMBER(handle, name, initial, least, most, zero, kept)                              \
    DEFINE_SET(handle, name, double) DEFINE_GET(handle, name, double)
#define DEFINE_OPTIONAL(handle, name, initial, least, most, zero, kept)                            \
    DEFINE_SET(handle, name, double) DEFINE_OPTIONAL_GET(handle, name)
#define DEFINE_CHOICE(handle, name, initial, last, kept)                                           \
    DEFINE_SET(handle, name, int32_t) DEFINE_GET(handle, name, int32_t)
#define DEFINE_SIZE(handle, name, initial, most)                                                   \
    DEFINE_SET(handle, name, size_t) DEFINE_GET(handle, name, size_t)

FOCAL_NUMBERS(DEFINE_NUMBER)
FOCAL_OPTIONAL_NUMBERS(DEFINE_OPTIONAL)
GHM_NUMBERS(DEFINE_NUMBER)
CHOICES(DEFINE_CHOICE)
SIZES(DEFINE_SIZE)

#define NAME(handle, name) "fghm_" #handle "_set_" #name
#define FUNCTIONS(handle, name) .set = set_##handle##_##name, .get = get_##handle##_##name

#define NUMBER_ROW(handle, setting, first, low, high, zero, kept)                                  \
    {.name = NAME(handle, setting),                                                                \
     .type = NUMBER,                                                                               \
     .initial = first,                                                                             \
     .least = low,                                                                                 \
     .most = high,                                                                                 \
     .or_zero = zero,                                                                              \
     .kept_by_history = kept,                                                                      \
     FUNCTIONS(handle, setting)},
#define OPTIONAL_ROW(handle, setting, first, low, high, zero, kept)                                \
    {.name = NAME(handle, setting),                                                                \
     .type = NUMBER,                                                                               \
     .initial = first,                                                                             \
     .least = low,                                                                                 \
     .most = high,                                                                                 \
     .or_zero = zero,                                                                              \
     .kept_by_history = kept,                                                                      \
     .clear = clear_##handle##_##setting,                                                          \
     FUNCTIONS(handle, setting)},
#define CHOICE_ROW(handle, setting, first, last, kept)                                             \
    {.name = NAME(handle, setting),                                                                \
     .type = CHOICE,                                                                               \
     .initial = first,                                                                             \
     .most = last,                                                                                 \
     .kept_by_history = kept,                                                                      \
     FUNCTIONS(handle, setting)},
#define SIZE_ROW(handle, setting, first, high)                                                     \
    {.name = NAME(handle, setting),                                                                \
     .type = SIZE,                                                                                 \
     .initial = first,                                                                             \
     .least = 1,                                                                                   \
     .most = high,                                                                                 \
     .kept_by_history = true,                                                                      \
     FUNCTIONS(handle, setting)},

static const struct setting settings[] = {FOCAL_NUMBERS(NUMBER_ROW) FOCAL_OPTIONAL_NUMBERS(
    OPTIONAL_ROW) GHM_NUMBERS(NUMBER_ROW) CHOICES(CHOICE_ROW) SIZES(SIZE_ROW)};
enum { SETTINGS = SUITE_COUNT(settings) };

/* Setters of arrays have tests of their own below. */
static const char *const array_setters[] = {"fghm_ghm_set_edges"};

/* -------------------------------------------------------------------------
 * Handles. */

static struct handles handles_new(void) {
    struct handles h = {NULL, NULL};
    assert_int_equal(fghm_focal_create(&h.focal), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&h.ghm, FGHM_GHM_REGRESSION), FGHM_OK);
    return h;
}

static void handles_free(struct handles *h) {
    fghm_focal_destroy(h->focal);
    fghm_ghm_destroy(h->ghm);
}

static void make_history(const struct handles *h) {
    size_t size = 0;
    uint64_t counts[64] = {3, 0, 2, 1};
    assert_int_equal(fghm_ghm_get_counts_size(h->ghm, &size), FGHM_OK);
    assert_true(size <= SUITE_COUNT(counts));
    assert_int_equal(fghm_ghm_update(h->ghm, size, counts), FGHM_OK);
}

static bool are_same(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* What all settings are. */
struct values {
    double value[SETTINGS];
    int32_t is_set[SETTINGS];
};

static struct values values_of(const struct handles *h) {
    struct values v;
    memset(&v, 0, sizeof v);
    for (size_t i = 0; i < SETTINGS; i++) {
        assert_int_equal(settings[i].get(h, &v.value[i], &v.is_set[i]), FGHM_OK);
    }
    return v;
}

/* But of `except`; SETTINGS: of none. */
static void assert_others_kept(const struct handles *h, const struct values *before, size_t except,
                               const char *what, double value) {
    const struct values now = values_of(h);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (i != except &&
            (!are_same(now.value[i], before->value[i]) || now.is_set[i] != before->is_set[i])) {
            fail_msg("%s(%.17g) has changed what %s sets", what, value, settings[i].name);
        }
    }
}

static bool accepts(const struct setting *s, double value) {
    return (value >= s->least && value <= s->most) || (s->or_zero && value == 0.0);
}

/* Values ------------------------------------------------------------------------ */

enum { VALUES_MOST = 32 };

static size_t numbers_to_try(const struct setting *s, double *list) {
    const double all[] = {s->least,
                          nextafter(s->least, -(double)INFINITY),
                          nextafter(s->least, (double)INFINITY),
                          -s->least,
                          s->most,
                          nextafter(s->most, -(double)INFINITY),
                          nextafter(s->most, (double)INFINITY),
                          -s->most,
                          0.0,
                          -0.0,
                          DBL_TRUE_MIN,
                          -DBL_TRUE_MIN,
                          DBL_MIN,
                          -DBL_MIN,
                          0.5,
                          1.0,
                          nextafter(1.0, 2.0),
                          -1.0,
                          12.5,
                          DBL_MAX,
                          -DBL_MAX,
                          (double)INFINITY,
                          -(double)INFINITY,
                          (double)NAN,
                          -(double)NAN};
    static_assert(SUITE_COUNT(all) <= VALUES_MOST, "there is room");
    memcpy(list, all, sizeof all);
    return SUITE_COUNT(all);
}

static size_t choices_to_try(const struct setting *s, double *list) {
    const double beyond[] = {-1, s->most + 1, s->most + 2, s->most + 3, s->most + 4, s->most + 5,
                             77, 255,         256,         65536,       INT32_MAX,   INT32_MIN};
    const size_t count = (size_t)s->most + 1;
    assert_true(count + SUITE_COUNT(beyond) <= VALUES_MOST);
    for (size_t i = 0; i < count; i++) {
        list[i] = (double)i;
    }
    memcpy(list + count, beyond, sizeof beyond);
    return count + SUITE_COUNT(beyond);
}

/* Powers of two: a product with the size of something is 0 in a size_t. */
static size_t sizes_to_try(const struct setting *s, double *list) {
    const double half = (double)(SIZE_MAX / 2 + 1);
    const double all[] = {1, 2, 3, s->most - 1, s->most, 0, s->most + 1, half, half / 2, half / 8};
    memcpy(list, all, sizeof all);
    return SUITE_COUNT(all);
}

static size_t values_to_try(const struct setting *s, double *list) {
    return s->type == NUMBER   ? numbers_to_try(s, list)
           : s->type == CHOICE ? choices_to_try(s, list)
                               : sizes_to_try(s, list);
}

/* -------------------------------------------------------------------------
 * Tests. */

static void new_handles_have_the_initial_values(void **state) {
    struct handles h = handles_new();
    const struct values v = values_of(&h);
    (void)state;
    for (size_t i = 0; i < SETTINGS; i++) {
        const bool is_set = settings[i].clear == NULL || settings[i].set == set_focal_alpha;
        if (!are_same(v.value[i], settings[i].initial) || v.is_set[i] != is_set) {
            fail_msg("%s: a new handle has %.17g, %d", settings[i].name, v.value[i], v.is_set[i]);
        }
    }
    handles_free(&h);
}

static void check_value(const struct handles *h, size_t i, double value) {
    const struct setting *const s = &settings[i];
    const struct values before = values_of(h);
    const fghm_status want = accepts(s, value)   ? FGHM_OK
                             : s->type == CHOICE ? FGHM_ERROR_CONSTANT
                                                 : FGHM_ERROR_RANGE;
    double got = -1.0;
    int32_t is_set = -1;
    const fghm_status status = s->set(h, value);
    if (status != want) {
        fail_msg("%s(%.17g): %s", s->name, value, fghm_status_name(status));
    }
    if (want != FGHM_OK) {
        assert_others_kept(h, &before, SETTINGS, s->name, value);
        return;
    }
    assert_int_equal(s->get(h, &got, &is_set), FGHM_OK);
    if (!are_same(got, value == 0.0 ? 0.0 : value) || is_set != 1) { /* -0 is 0 */
        fail_msg("%s(%.17g): then it is %.17g, %d", s->name, value, got, is_set);
    }
    assert_others_kept(h, &before, i, s->name, value);
}

/* From one that is unset, and from each other. */
static void every_edge_of_every_range(void **state) {
    struct handles h = handles_new();
    (void)state;
    assert_int_equal(fghm_focal_set_negative_gamma(h.focal, 3.0), FGHM_OK); /* else as gamma */
    for (size_t i = 0; i < SETTINGS; i++) {
        double list[VALUES_MOST];
        const size_t count = values_to_try(&settings[i], list);
        for (size_t a = 0; a < count; a++) {
            for (size_t b = 0; b < count; b++) {
                if (a == 0 && settings[i].clear != NULL) {
                    assert_int_equal(settings[i].clear(&h), FGHM_OK);
                }
                check_value(&h, i, list[b]);
            }
            if (settings[i].type == SIZE) {
                break; /* milliseconds each; setting one forgets the other */
            }
            check_value(&h, i, list[a]);
        }
        if (settings[i].set == set_focal_negative_gamma) {
            assert_int_equal(fghm_focal_set_negative_gamma(h.focal, 3.0), FGHM_OK);
        }
        if (settings[i].type == SIZE) {
            assert_int_equal(settings[i].set(&h, settings[i].initial), FGHM_OK);
        }
    }
    handles_free(&h);
}

/* SIZE_MAX is no double. */
static void the_largest_sizes(void **state) {
    struct handles h = handles_new();
    const struct values before = values_of(&h);
    (void)state;
    for (size_t less = 0; less < 3; less++) {
        assert_int_equal(fghm_ghm_set_bins(h.ghm, SIZE_MAX - less), FGHM_ERROR_RANGE);
        assert_int_equal(fghm_ghm_set_histograms(h.ghm, SIZE_MAX - less), FGHM_ERROR_RANGE);
        assert_others_kept(&h, &before, SETTINGS, "a size", (double)SIZE_MAX);
    }
    handles_free(&h);
}

static void cleared_settings_are_unset(void **state) {
    struct handles h = handles_new();
    (void)state;
    assert_int_equal(fghm_focal_set_gamma(h.focal, 1.5), FGHM_OK);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *const s = &settings[i];
        const double unset = s->set == set_focal_negative_gamma ? 1.5 : 1.0;
        double got = -1.0;
        int32_t is_set = -1;
        if (s->clear == NULL) {
            continue;
        }
        assert_int_equal(s->set(&h, 0.75), FGHM_OK);
        for (int times = 0; times < 2; times++) {
            assert_int_equal(s->clear(&h), FGHM_OK);
            assert_int_equal(s->get(&h, &got, &is_set), FGHM_OK);
            assert_true(are_same(got, unset));
            assert_int_equal(is_set, 0);
        }
        assert_int_equal(s->set(&h, (double)NAN), FGHM_ERROR_RANGE);
        assert_int_equal(s->get(&h, &got, &is_set), FGHM_OK);
        assert_true(are_same(got, unset));
        assert_int_equal(is_set, 0);
    }
    handles_free(&h);
}

/* Of several errors, that of the value comes first. */
static void what_a_history_forbids(void **state) {
    struct handles h = handles_new();
    (void)state;
    make_history(&h);
    assert_int_equal(fghm_focal_set_negative_gamma(h.focal, 3.0), FGHM_OK);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *const s = &settings[i];
        double list[VALUES_MOST];
        const size_t count = values_to_try(s, list);
        assert_int_equal(s->set(&h, s->initial), FGHM_OK);
        for (size_t k = 0; k < count && s->kept_by_history; k++) {
            const struct values before = values_of(&h);
            const fghm_status want = list[k] == s->initial ? FGHM_OK
                                     : accepts(s, list[k]) ? FGHM_ERROR_HISTORY
                                     : s->type == CHOICE   ? FGHM_ERROR_CONSTANT
                                                           : FGHM_ERROR_RANGE;
            const fghm_status status = s->set(&h, list[k]);
            if (status != want) {
                fail_msg("%s(%.17g): %s", s->name, list[k], fghm_status_name(status));
            }
            assert_others_kept(&h, &before, SETTINGS, s->name, list[k]);
        }
        for (size_t k = 0; k < count && !s->kept_by_history; k++) {
            check_value(&h, i, list[k]);
        }
    }
    uint64_t steps = 0;
    assert_int_equal(fghm_ghm_get_steps(h.ghm, &steps), FGHM_OK);
    assert_int_equal(steps, 1);
    handles_free(&h);
}

/* Edges rise from 0 to 1, and the second is a normal number. */
static void edges_of_bins(void **state) {
    const double inf = (double)INFINITY, nan = (double)NAN;
    const struct {
        size_t bins;
        double edges[4];
        fghm_status want;
    } cases[] = {
        {1, {0.0, 1.0}, FGHM_OK},
        {1, {-0.0, 1.0}, FGHM_OK},
        {3, {0.0, DBL_MIN, 0.5, 1.0}, FGHM_OK},
        {3, {0.0, 0.5, nextafter(0.5, 1.0), 1.0}, FGHM_OK},
        {2, {0.0, nextafter(1.0, 0.0), 1.0}, FGHM_OK},
        {0, {0.0, 1.0}, FGHM_ERROR_RANGE},
        {FGHM_BINS_MAX + 1, {0.0, 1.0}, FGHM_ERROR_RANGE},
        {SIZE_MAX, {0.0, 1.0}, FGHM_ERROR_RANGE},
        {2, {0.0, nextafter(DBL_MIN, 0.0), 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, DBL_TRUE_MIN, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, 0.0, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, -0.0, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, 1.0, 1.0}, FGHM_ERROR_EDGES},
        {3, {0.0, 0.5, 0.5, 1.0}, FGHM_ERROR_EDGES},
        {3, {0.0, 0.5, nextafter(0.5, 0.0), 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, nextafter(1.0, 2.0), 1.0}, FGHM_ERROR_EDGES},
        {1, {DBL_TRUE_MIN, 1.0}, FGHM_ERROR_EDGES},
        {1, {-DBL_TRUE_MIN, 1.0}, FGHM_ERROR_EDGES},
        {1, {0.0, nextafter(1.0, 0.0)}, FGHM_ERROR_EDGES},
        {1, {0.0, nextafter(1.0, 2.0)}, FGHM_ERROR_EDGES},
        {1, {0.0, inf}, FGHM_ERROR_EDGES},
        {1, {-inf, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, inf, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, -inf, 1.0}, FGHM_ERROR_EDGES},
        {1, {nan, 1.0}, FGHM_ERROR_EDGES},
        {2, {0.0, nan, 1.0}, FGHM_ERROR_EDGES},
        {1, {0.0, nan}, FGHM_ERROR_EDGES},
    };
    struct handles h = handles_new();
    double kept[4] = {0}, got[16];
    size_t bins = 10;
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(cases); i++) {
        const fghm_status status = fghm_ghm_set_edges(h.ghm, cases[i].bins, cases[i].edges);
        if (status != cases[i].want) {
            fail_msg("case %zu: %s", i, fghm_status_name(status));
        }
        if (status == FGHM_OK) {
            memcpy(kept, cases[i].edges, sizeof kept);
            bins = cases[i].bins;
        }
        size_t bins_now = 0;
        assert_int_equal(fghm_ghm_get_bins(h.ghm, &bins_now), FGHM_OK);
        assert_int_equal(bins_now, bins);
        assert_int_equal(fghm_ghm_get_edges(h.ghm, SUITE_COUNT(got), got), FGHM_OK);
        for (size_t b = 0; b <= bins; b++) {
            assert_true(got[b] == kept[b]);
        }
    }
    handles_free(&h);
}

static bool is_in_a_table(const char *name) {
    for (size_t i = 0; i < SUITE_COUNT(array_setters); i++) {
        if (strcmp(array_setters[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Of cmake/symbols.txt. */
static void every_setter_is_here(void **state) {
    FILE *const file = fopen(TEST_SOURCE_DIR "/../cmake/symbols.txt", "r");
    char line[256], name[256];
    size_t count = 0;
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%255s", name) == 1 && strstr(name, "_set_") != NULL) {
            count++;
            if (!is_in_a_table(name)) {
                fail_msg("%s is in neither table", name);
            }
        }
    }
    fclose(file);
    assert_int_equal(count, SETTINGS + SUITE_COUNT(array_setters));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"new_handles_have_the_initial_values", new_handles_have_the_initial_values, 0},
        {"every_edge_of_every_range", every_edge_of_every_range, 0},
        {"the_largest_sizes", the_largest_sizes, 0},
        {"cleared_settings_are_unset", cleared_settings_are_unset, 0},
        {"what_a_history_forbids", what_a_history_forbids, 0},
        {"edges_of_bins", edges_of_bins, 0},
        {"every_setter_is_here", every_setter_is_here, 0},
    };
    return suite_run(argument_count, arguments, "settings", tests, SUITE_COUNT(tests));
}
