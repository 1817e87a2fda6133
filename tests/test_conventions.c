/* SPDX-License-Identifier: MIT */

/* The recipes of bench/conventions.md against what other libraries have returned: the cases of
 * conventions/cases.txt, each a test with the name of its row, and a number. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/reader.h"
#include "support/suite.h"

enum { CASES_MAX = 128 };

static char *text;
static struct suite_variant variants[CASES_MAX];
static char *names[CASES_MAX];
static size_t count;

static char *text_of(const char *path) {
    FILE *const file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long length = ftell(file);
    assert_true(length > 0);
    rewind(file);
    char *const all = calloc((size_t)length + 1, 1);
    assert_non_null(all);
    assert_int_equal(fread(all, 1, (size_t)length, file), (size_t)length);
    fclose(file);
    return all;
}

static void find_cases(void) {
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, "case ", 5) == 0) {
            assert_true(count < CASES_MAX);
            const size_t length = strcspn(line + 5, "\n");
            names[count] = calloc(length + 1, 1);
            assert_non_null(names[count]);
            memcpy(names[count], line + 5, length);
            variants[count] = (struct suite_variant){names[count], line, NULL};
            count++;
        }
    }
}

/* What the library has found for one number of the package: with k times as many numbers as these,
 * k of them together. */
static double found(struct cases_reader *r, const char *name, size_t n, size_t numbers) {
    if (strcmp(name, "loss") == 0) {
        assert_int_equal(numbers, 1);
        return r->result.loss;
    }
    struct cases_array *const a = cases_find(r, name);
    assert_non_null(a);
    assert_true(a->dtype == FGHM_F64 && a->count % numbers == 0);
    double sum = 0.0;
    for (size_t k = n; k < a->count; k += numbers) {
        double value;
        memcpy(&value, a->bytes + k * sizeof value, sizeof value);
        sum += value;
    }
    return sum;
}

/* was ARRAY TOLERANCE BITS... */
static void compare(struct cases_reader *r, const char *line) {
    char name[24];
    double tolerance, wanted[CASES_WORDS_MAX], largest = 0.0, worst = 0.0;
    int used = 0;
    size_t numbers = 0;
    assert_int_equal(sscanf(line, "was %23s %lf%n", name, &tolerance, &used), 2);
    for (char *rest = (char *)(uintptr_t)(line + used); *rest == ' ';) {
        const uint64_t bits = strtoull(rest, &rest, 16);
        assert_true(numbers < CASES_WORDS_MAX);
        memcpy(&wanted[numbers], &bits, sizeof bits);
        largest = fmax(largest, fabs(wanted[numbers++]));
    }
    assert_true(numbers > 0 && largest > 0.0 && isfinite(largest));
    for (size_t n = 0; n < numbers; n++) {
        const double got = found(r, name, n, numbers);
        const double error = fabs(got - wanted[n]) / largest;
        if (!(error <= tolerance)) {
            fail_msg("%s %zu: %.17g, the package has %.17g: %.2e of the largest, above %.2e", name,
                     n, got, wanted[n], error, tolerance);
        }
        worst = fmax(worst, error);
    }
    print_message("%s: at most %.1e of the largest apart, allowed %.1e\n", name, worst, tolerance);
}

static void recipe_gives_what_the_package_gave(void **state) {
    static struct cases_reader reader;
    static char line[CASES_LINE_MAX], ignored[CASES_LINE_MAX + 256];
    const char *next = *state;
    size_t compared = 0;
    cases_start(&reader);
    do {
        const size_t length = strcspn(next, "\n");
        assert_true(length < sizeof line);
        memcpy(line, next, length);
        line[length] = '\0';
        next += length + (next[length] == '\n' ? 1 : 0);
        if (strncmp(line, "was ", 4) == 0) {
            compare(&reader, line);
            compared++;
            continue;
        }
        ignored[0] = '\0';
        cases_line(&reader, line, ignored, sizeof ignored);
        if (reader.status != FGHM_OK) {
            fail_msg("%s: %s", line, fghm_status_string(reader.status));
        }
    } while (*next != '\0' && strncmp(next, "case ", 5) != 0);
    cases_end(&reader);
    assert_true(compared > 0);
}

/* With the version of its package, which is in the line after that of its name:
 * "# PACKAGE VERSION: CALL". */
static void page_says_what_holds_its_rows(void **state) {
    (void)state;
    char *const page = text_of(TEST_SOURCE_DIR "/../bench/conventions.md");
    for (size_t k = 0; k < count; k++) {
        char package[64], version[64], wanted[256];
        const char *const line = strchr(variants[k].state, '\n');
        assert_int_equal(sscanf(line, "\n# %63s %63[^:]:", package, version), 2);
        const int length = (int)(strrchr(names[k], '_') - names[k]);
        snprintf(wanted, sizeof wanted, "`%.*s` %s", length, names[k], version);
        const char *const found_there = strstr(page, wanted);
        /* A recipe in a paragraph may go on in the next line. */
        wanted[length + 2] = '\n';
        if (found_there == NULL && strstr(page, wanted) == NULL) {
            wanted[length + 2] = ' ';
            fail_msg("bench/conventions.md does not have %s", wanted);
        }
    }
    free(page);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"recipe_gives_what_the_package_gave", recipe_gives_what_the_package_gave, 1},
        {"page_says_what_holds_its_rows", page_says_what_holds_its_rows, 0},
    };
    text = text_of(TEST_SOURCE_DIR "/conventions/cases.txt");
    find_cases();
    int verdict = suite_check_isa();
    if (verdict == 0) {
        verdict = suite_run_variants(argument_count, arguments, "test_conventions", variants, count,
                                     tests, SUITE_COUNT(tests));
    }
    for (size_t k = 0; k < count; k++) {
        free(names[k]);
    }
    free(text);
    return verdict;
}
