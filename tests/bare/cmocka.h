/* SPDX-License-Identifier: MIT */
#ifndef TESTS_BARE_CMOCKA_H
#define TESTS_BARE_CMOCKA_H

/* What a few tests take of cmocka, for WebAssembly, which has no setjmp: a failure ends the
 * program, and a case that is skipped returns from its function. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func, teardown_func;
    void *initial_state;
};

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                            CMFixtureFunction setup, CMFixtureFunction teardown);

extern bool bare_skipped;

__attribute__((noreturn, format(printf, 3, 4))) void bare_fail(const char *file, int line,
                                                               const char *format, ...);

#define print_message printf
#define skip()                                                                                     \
    do {                                                                                           \
        bare_skipped = true;                                                                       \
        return;                                                                                    \
    } while (0)
#define fail_msg(...) bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define assert_true(x) ((x) ? (void)0 : fail_msg("%s", #x))
#define assert_false(x) assert_true(!(x))
#define assert_null(x) assert_true((x) == NULL)
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

#endif
