/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void skip_row(void **state) {
    const struct row_case *c = *state;
    print_message("this processor has no %s\n", c->row->name);
    skip();
}

static const struct fghm_kernels *kernels_of(const struct fghm_row *row, const struct dtype *d) {
    return d->size == sizeof(float) ? row->f32 : row->f64;
}

static char *name_of(const struct row_case *c, const char *test) {
    size_t size = strlen(c->row->name) + strlen(c->d->name) + strlen(test) + 3;
    char *name = malloc(size);
    assert_non_null(name);
    snprintf(name, size, "%s/%s/%s", c->row->name, c->d->name, test);
    return name;
}

int rows_run(int argument_count, char **arguments, const char *name, bool with_scalar,
             const struct suite_test *tests, size_t count) {
    static const struct CMUnitTest blank;
    const struct fghm_row *scalar = &fghm_rows[fghm_row_count - 1];
    size_t rows = with_scalar ? fghm_row_count : fghm_row_count - 1;
    size_t cases = rows * DTYPE_COUNT, n = 0;
    struct row_case *c = calloc(cases + 1, sizeof *c);
    struct CMUnitTest *all = calloc(cases * count + 1, sizeof *all);
    int failed;
    assert_non_null(c);
    assert_non_null(all);
    for (size_t i = 0; i < cases; i++) {
        c[i].row = &fghm_rows[i / DTYPE_COUNT];
        c[i].d = &dtypes[i % DTYPE_COUNT];
        c[i].kernels = kernels_of(c[i].row, c[i].d);
        c[i].scalar = kernels_of(scalar, c[i].d);
        for (size_t k = 0; k < count; k++) {
            all[n] = blank;
            all[n].name = name_of(&c[i], tests[k].name);
            all[n].test_func = c[i].row->usable() ? tests[k].run : skip_row;
            all[n].initial_state = &c[i];
            n++;
        }
    }
    if (n == 0) {
        printf("skipped: there is no row but the scalar one\n");
        failed = 0;
    } else {
        failed = suite_run_cases(argument_count, arguments, name, all, n);
    }
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)all[i].name);
    }
    free(all);
    free(c);
    return n == 0 ? 77 : failed;
}
