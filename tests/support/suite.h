/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct suite_test {
    const char *name;
    CMUnitTestFunction run;
    int typed; /* run once for each element type, *state a const struct dtype */
};

/* Runs the tests of one program and returns what main returns: 0, 1, or 77 for
 * "skipped" (CTest's SKIP_RETURN_CODE) if FOCALGHM_ISA names an instruction set
 * that this machine or this build lacks.  A FOCALGHM_ISA that names none at all
 * is a failure, so that a misspelt matrix does not pass by skipping, and so is one
 * that can be used and is not.
 *
 * The arguments are those of main: --list prints the names of the cases, and names,
 * which may have wildcards, run these cases alone. */
int suite_run(int argument_count, char **arguments, const char *name,
              const struct suite_test *tests, size_t count);

/* The same for cases that have been made already; returns 0 or 1. */
int suite_run_cases(int argument_count, char **arguments, const char *name,
                    const struct CMUnitTest *cases, size_t count);

#define SUITE_COUNT(array) (sizeof(array) / sizeof(array)[0])

#endif
