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
    int typed; /* run once for each element type, *state a const struct dtype; or variant */
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

/* What a typed test is run for, if not for element types. */
struct suite_variant {
    const char *name;
    const void *state;
    CMUnitTestFunction instead; /* NULL: the test itself */
};

/* The same for variants of the caller's, whatever FOCALGHM_ISA says; suite_check_isa has that:
 * 0 if the tests may run, else what main returns. */
int suite_run_variants(int argument_count, char **arguments, const char *name,
                       const struct suite_variant *variants, size_t variant_count,
                       const struct suite_test *tests, size_t count);
int suite_check_isa(void);

#define SUITE_COUNT(array) (sizeof(array) / sizeof(array)[0])

#endif
