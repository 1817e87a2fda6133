/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <focalghm/focalghm.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "random.h"
#include "report.h"

#define SKIPPED 77

static const char *const isa_names[] = {"scalar", "sse2", "avx2", "avx512", "neon"};

static int is_isa_name(const char *name) {
    for (size_t i = 0; i < SUITE_COUNT(isa_names); i++) {
        if (strcmp(name, isa_names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* 0 if the tests may run, else what main returns. */
static int check_isa(void) {
    const char *wanted = getenv("FOCALGHM_ISA");
    if (wanted == NULL || *wanted == '\0') {
        return 0;
    }
    if (!is_isa_name(wanted)) {
        printf("FOCALGHM_ISA=%s is not an instruction set\n", wanted);
        return 1;
    }
    if (strcmp(wanted, fghm_isa_name()) != 0) {
        printf("skipped: FOCALGHM_ISA=%s cannot be used here, the library chose %s\n", wanted,
               fghm_isa_name());
        return SKIPPED;
    }
    return 0;
}

/* One cmocka test for each element type, or one for all. */
static size_t expand(const struct suite_test *test, struct CMUnitTest *out) {
    static const struct CMUnitTest blank;
    if (!test->typed) {
        out[0] = blank;
        out[0].name = test->name;
        out[0].test_func = test->run;
        out[0].setup_func = report_start;
        return 1;
    }
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        size_t size = strlen(dtypes[i].name) + strlen(test->name) + 2;
        char *name = malloc(size);
        assert_non_null(name);
        snprintf(name, size, "%s/%s", dtypes[i].name, test->name);
        out[i] = blank;
        out[i].name = name;
        out[i].test_func = test->run;
        out[i].setup_func = report_start;
        out[i].initial_state = (void *)(uintptr_t)&dtypes[i];
    }
    return DTYPE_COUNT;
}

static int run_expanded(const char *name, const struct suite_test *tests, size_t count) {
    struct CMUnitTest *all = calloc(count * DTYPE_COUNT, sizeof *all);
    size_t n = 0;
    int failed;
    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        n += expand(&tests[i], &all[n]);
    }
    failed = _cmocka_run_group_tests(name, all, n, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        if (all[i].initial_state != NULL) {
            free((void *)(uintptr_t)all[i].name);
        }
    }
    free(all);
    return failed;
}

int suite_run(const char *name, const struct suite_test *tests, size_t count) {
    int verdict, failed;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%s: isa %s, FOCALGHM_TEST_SEED=%llu\n", name, fghm_isa_name(),
           (unsigned long long)random_run_seed());
    verdict = check_isa();
    if (verdict != 0) {
        return verdict;
    }
    failed = run_expanded(name, tests, count);
    mpfr_free_cache();
    return failed == 0 ? 0 : 1; /* the count itself could be 77 */
}
