/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <fnmatch.h>
#include <focalghm/focalghm.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "combinations.h"
#include "dispatch.h"
#include "dtype.h"
#include "random.h"
#include "report.h"

#define SKIPPED 77

static int is_isa_name(const char *name) {
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (strcmp(name, fghm_rows[i].name) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_usable(const char *name) {
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (strcmp(name, fghm_rows[i].name) == 0) {
            return fghm_rows[i].usable();
        }
    }
    return 0;
}

int suite_check_isa(void) {
    const char *wanted = getenv("FOCALGHM_ISA");
    if (wanted == NULL || *wanted == '\0') {
        return 0;
    }
    if (!is_isa_name(wanted)) {
        printf("FOCALGHM_ISA=%s is not an instruction set\n", wanted);
        return 1;
    }
    if (strcmp(wanted, fghm_isa_name()) == 0) {
        return 0;
    }
    if (is_usable(wanted)) {
        printf("FOCALGHM_ISA=%s can be used here, but the library chose %s\n", wanted,
               fghm_isa_name());
        return 1;
    }
    printf("skipped: FOCALGHM_ISA=%s cannot be used here, the library chose %s\n", wanted,
           fghm_isa_name());
    return SKIPPED;
}

static int start_case(void **state) {
    combinations_forget();
    return report_start(state);
}

static int end_case(void **state) {
    (void)state;
    return combinations_tell() ? 0 : -1;
}

/* The cases that an argument names.  0 if an argument names none. */
static int choose(int argument_count, char **arguments, const struct CMUnitTest *cases,
                  size_t count, struct CMUnitTest *chosen, size_t *chosen_count) {
    int *const wanted = calloc(count + 1, sizeof *wanted);
    int good = 1;
    assert_non_null(wanted);
    for (int a = 1; a < argument_count; a++) {
        size_t matches = 0;
        for (size_t i = 0; i < count; i++) {
            if (fnmatch(arguments[a], cases[i].name, 0) == 0) {
                wanted[i] = 1;
                matches++;
            }
        }
        if (matches == 0) {
            printf("there is no case %s\n", arguments[a]);
            good = 0;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (wanted[i] || argument_count < 2) {
            struct CMUnitTest *const to = &chosen[(*chosen_count)++];
            *to = cases[i];
            to->setup_func = start_case;
            to->teardown_func = end_case;
        }
    }
    free(wanted);
    return good;
}

static int run_cases(int argument_count, char **arguments, const char *name,
                     const struct CMUnitTest *cases, size_t count) {
    struct CMUnitTest *chosen;
    size_t chosen_count = 0;
    int failed = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argument_count > 1 && strcmp(arguments[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++) {
            puts(cases[i].name);
        }
        return 0;
    }
    printf("%s: isa %s, FOCALGHM_TEST_SEED=%llu\n", name, fghm_isa_name(),
           (unsigned long long)random_run_seed());
    chosen = calloc(count + 1, sizeof *chosen);
    assert_non_null(chosen);
    if (choose(argument_count, arguments, cases, count, chosen, &chosen_count)) {
        failed = _cmocka_run_group_tests(name, chosen, chosen_count, NULL, NULL);
    }
    free(chosen);
    mpfr_free_cache();
    return failed == 0 ? 0 : 1; /* the count itself could be 77 */
}

/* "variant/test" */
static char *name_of(const struct suite_variant *variant, const struct suite_test *test) {
    const size_t size = strlen(variant->name) + strlen(test->name) + 2;
    char *const name = malloc(size);
    assert_non_null(name);
    snprintf(name, size, "%s/%s", variant->name, test->name);
    return name;
}

int suite_run_variants(int argument_count, char **arguments, const char *name,
                       const struct suite_variant *variants, size_t variant_count,
                       const struct suite_test *tests, size_t count) {
    static const struct CMUnitTest blank;
    struct CMUnitTest *const all = calloc(count * variant_count + count, sizeof *all);
    size_t n = 0;
    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; tests[i].typed && k < variant_count; k++) {
            all[n] = blank;
            all[n].name = name_of(&variants[k], &tests[i]);
            all[n].test_func = variants[k].instead != NULL ? variants[k].instead : tests[i].run;
            all[n++].initial_state = (void *)(uintptr_t)variants[k].state;
        }
        if (!tests[i].typed) {
            all[n] = blank;
            all[n].name = tests[i].name;
            all[n++].test_func = tests[i].run;
        }
    }
    const int verdict = run_cases(argument_count, arguments, name, all, n);
    for (size_t i = 0; i < n; i++) {
        if (all[i].initial_state != NULL) {
            free((void *)(uintptr_t)all[i].name);
        }
    }
    free(all);
    return verdict;
}

int suite_run(int argument_count, char **arguments, const char *name,
              const struct suite_test *tests, size_t count) {
    struct suite_variant variants[DTYPE_COUNT];
    for (size_t k = 0; k < DTYPE_COUNT; k++) {
        variants[k] = (struct suite_variant){dtypes[k].name, &dtypes[k], NULL};
    }
    const int verdict = suite_check_isa();
    return verdict != 0 ? verdict
                        : suite_run_variants(argument_count, arguments, name, variants, DTYPE_COUNT,
                                             tests, count);
}
