/* SPDX-License-Identifier: MIT */

/* The cases that C and the bindings have in common.  Where results change, the file is written
 * anew, which the wide model has to allow:
 *
 *     build/tests/test_cases --write tests/bindings/cases.txt
 */

#include <stdio.h>
#include <string.h>

#include "cases/cases.h"
#include "dispatch.h"
#include "focalghm/isa.h"
#include "support/suite.h"

static char now[CASES_TEXT_MAX], then[CASES_TEXT_MAX], again[CASES_TEXT_MAX];

static void read_file(char text[CASES_TEXT_MAX]) {
    FILE *const file = fopen(TEST_SOURCE_DIR "/bindings/cases.txt", "r");
    assert_non_null(file);
    const size_t length = fread(text, 1, CASES_TEXT_MAX - 1, file);
    assert_true(length > 0 && length < CASES_TEXT_MAX - 1);
    text[length] = '\0';
    fclose(file);
}

/* Fails at the first line that is not the same. */
static void assert_same(const char *got, const char *want) {
    for (int number = 1; *got != '\0' || *want != '\0'; number++) {
        const size_t length = strcspn(got, "\n"), wanted = strcspn(want, "\n");
        if (length != wanted || memcmp(got, want, length) != 0) {
            fail_msg("line %d: %.*s, the file has %.*s", number, (int)length, got, (int)wanted,
                     want);
        }
        got += length + (got[length] == '\n' ? 1 : 0);
        want += wanted + (want[wanted] == '\n' ? 1 : 0);
    }
}

static void skip_without_fma(void) {
    if (!fghm_row()->has_fma) {
        print_message("skipped: %s has no fused multiply-add\n", fghm_isa_name());
        skip();
    }
}

static void results_are_right(void **state) {
    (void)state;
    assert_int_equal(cases_write(now), 0);
}

static void the_file_is_what_is_written_now(void **state) {
    (void)state;
    skip_without_fma();
    cases_write(now);
    read_file(then);
    assert_same(now, then);
}

static void c_reads_the_file(void **state) {
    (void)state;
    skip_without_fma();
    read_file(then);
    cases_read(then, again);
    assert_same(again, then);
}

static int write_file(const char *path) {
    if (!fghm_row()->has_fma || cases_write(now) != 0) {
        fputs("nothing written: no fused multiply-add, or results are wrong\n", stderr);
        return 1;
    }
    FILE *const file = fopen(path, "w");
    if (file == NULL || fputs(now, file) == EOF) {
        perror(path);
        return 1;
    }
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"results_are_right", results_are_right, 0},
        {"the_file_is_what_is_written_now", the_file_is_what_is_written_now, 0},
        {"c_reads_the_file", c_reads_the_file, 0},
    };
    if (argument_count == 3 && strcmp(arguments[1], "--write") == 0) {
        return write_file(arguments[2]);
    }
    return suite_run(argument_count, arguments, "test_cases", tests, SUITE_COUNT(tests));
}
