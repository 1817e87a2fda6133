/* SPDX-License-Identifier: MIT */

/* What stands in for cmocka, MPFR and guard pages. */

#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fused.h"
#include "support/guarded.h"
#include "support/report.h"
#include "support/suite.h"
#include "support/wide.h"

bool bare_skipped;

void bare_fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d: ", file, line);
    vprintf(format, arguments);
    puts("");
    va_end(arguments);
    exit(1);
}

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                            CMFixtureFunction setup, CMFixtureFunction teardown) {
    (void)group;
    (void)setup;
    (void)teardown;
    for (size_t i = 0; i < count; i++) {
        void *state = tests[i].initial_state;
        printf("[ RUN      ] %s\n", tests[i].name);
        bare_skipped = false;
        if (tests[i].setup_func(&state) != 0) {
            fail_msg("the case cannot begin");
        }
        tests[i].test_func(&state);
        if (tests[i].teardown_func(&state) != 0) {
            fail_msg("the case is not what was wanted");
        }
        printf("[ %s ] %s\n", bare_skipped ? " SKIPPED" : "      OK", tests[i].name);
    }
    return 0;
}

int report_start(void **state) {
    (void)state;
    return 0;
}

const struct wide_format wide_f32 = {FLT_MANT_DIG, FLT_MIN_EXP - FLT_MANT_DIG, (double)FLT_MAX};
const struct wide_format wide_f64 = {DBL_MANT_DIG, DBL_MIN_EXP - DBL_MANT_DIG, DBL_MAX};

/* The library's own, of which test_fused tells. */
double wide_fused(const struct wide_format *format, double a, double b, double c) {
    return format == &wide_f32 ? (double)fghm_fused_f32_by_double((float)a, (float)b, (float)c)
                               : fghm_fused_by_integers(a, b, c);
}

/* Without pages: what is read behind the block is not noticed. */
struct guarded guarded_new(size_t size) {
    unsigned char *const memory = malloc(size);
    if (memory == NULL) {
        fail_msg("no memory");
    }
    return (struct guarded){memory, size, memory, memory + size, size};
}

void guarded_free(struct guarded *g) {
    free(g->map);
}

void *guarded_high(const struct guarded *g, size_t size, size_t gap) {
    return g->end - gap - size;
}
