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
 * is a failure, so that a misspelt matrix does not pass by skipping. */
int suite_run(const char *name, const struct suite_test *tests, size_t count);

#define SUITE_COUNT(array) (sizeof(array) / sizeof(array)[0])

#endif
