/* SPDX-License-Identifier: MIT */

/* A change of any bit of any result is seen: digests of what every function computes are compared
 * with those in digest.txt, which rows with fused multiply-add have in common, and in
 * digest_unfused.txt, which the others have, on every architecture and with every C library
 * (bare.sh).
 *
 * The first begins with the numerics revision that has these bits, and is written anew only where
 * both change:
 *
 *     build/tests/digest --write tests/digest.txt
 *
 * The other one by a row without: FOCALGHM_ISA=sse2, and the same.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "digest/lines.h"
#include "dispatch.h"
#include "focalghm/version.h"
#include "support/suite.h"

static FILE *open_source(const char *path) {
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    return file;
}

static void equal_to_the_file(void **state) {
    (void)state;
    const char *const file =
        fghm_row()->has_fma ? TEST_SOURCE_DIR "/digest.txt" : TEST_SOURCE_DIR "/digest_unfused.txt";
    assert_int_equal(digest_compare(file, NULL), 0);
}

/* Functions that hand on what they were told, or what others have computed. */
static bool computes(const char *function) {
    static const char *const others[] = {"_get_",    "_set_",   "_clear_",   "_create", "_destroy",
                                         "_clone",   "_reset",  "_load",     "_init",   "_name",
                                         "_version", "_string", "_revision", "_reach"};
    bool found = false;
    for (size_t k = 0; k < SUITE_COUNT(others); k++) {
        found = found || strstr(function, others[k]) != NULL;
    }
    return !found;
}

/* Without the library's prefix, and the type at the end. */
static void strip(char *function) {
    const size_t length = strlen(function);
    if (length > 4 && (strcmp(function + length - 4, "_f32") == 0 ||
                       strcmp(function + length - 4, "_f64") == 0)) {
        function[length - 4] = '\0';
    }
    memmove(function, function + strlen("fghm_"), strlen(function) - strlen("fghm_") + 1);
}

static bool has_a_line(const char *function, const char *type) {
    char line[DIGEST_LINE_MAX], of[DIGEST_LINE_MAX], in[DIGEST_LINE_MAX];
    bool found = false;
    FILE *const file = open_source(TEST_SOURCE_DIR "/digest.txt");
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = sscanf(line, "%*s %s %s", of, in) == 2 && strcmp(of, function) == 0 &&
                strcmp(in, type) == 0;
    }
    fclose(file);
    return found;
}

static void every_function_that_computes_is_there(void **state) {
    char line[256], function[256];
    size_t count = 0;
    (void)state;
    FILE *const file = open_source(TEST_SOURCE_DIR "/../cmake/symbols.txt");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%255s", function) == 1 && computes(function)) {
            const char *const type = strstr(function, "_f32") != NULL ? "f32" : "f64";
            strip(function);
            if (!has_a_line(function, type)) {
                fail_msg("no digest of fghm_%s in %s", function, type);
            }
            count++;
        }
    }
    fclose(file);
    assert_true(count > 20);
}

static void revision_follows_the_digests(void **state) {
    static char old[DIGEST_LINES_MAX][DIGEST_LINE_MAX];
    (void)state;
    const size_t count = digest_lines(old);
    const int revision = (int)fghm_numerics_revision();
    assert_null(digest_refusal(old, count));
    assert_null(digest_refusal(old, count - 1)); /* something new */
    assert_non_null(digest_refusal(old, 0));
    old[count - 1][0] ^= 1;
    assert_non_null(digest_refusal(old, count));
    snprintf(old[0], DIGEST_LINE_MAX, "revision %d", revision - 1);
    assert_null(digest_refusal(old, count));
    old[count - 1][0] ^= 1;
    assert_non_null(digest_refusal(old, count));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"equal_to_the_file", equal_to_the_file, 0},
        {"revision_follows_the_digests", revision_follows_the_digests, 0},
        {"every_function_that_computes_is_there", every_function_that_computes_is_there, 0},
    };
    return suite_run(argument_count, arguments, "test_digest", tests, SUITE_COUNT(tests));
}
