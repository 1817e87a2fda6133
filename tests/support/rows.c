/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "combinations.h"

#define SKIPPED 77 /* CTest's SKIP_RETURN_CODE */

static void skip_row(void **state) {
    const struct row_case *c = *state;
    combinations_excuse();
    print_message("this processor has no %s\n", c->row->name);
    skip();
}

static const struct fghm_kernels *kernels_of(const struct fghm_row *row, const struct dtype *d) {
    return d->size == sizeof(float) ? row->f32 : row->f64;
}

int rows_run(int argument_count, char **arguments, const char *name, bool with_scalar,
             const struct suite_test *tests, size_t count) {
    const struct fghm_row *scalar = &fghm_rows[fghm_row_count - 1];
    const size_t rows = with_scalar ? fghm_row_count : fghm_row_count - 1;
    const size_t cases = rows * DTYPE_COUNT;
    struct row_case *const c = calloc(cases + 1, sizeof *c);
    struct suite_variant *const variants = calloc(cases + 1, sizeof *variants);
    char(*const names)[32] = calloc(cases + 1, sizeof *names);
    int verdict = SKIPPED;
    assert_true(c != NULL && variants != NULL && names != NULL);
    for (size_t i = 0; i < cases; i++) {
        c[i].row = &fghm_rows[i / DTYPE_COUNT];
        c[i].d = &dtypes[i % DTYPE_COUNT];
        c[i].kernels = kernels_of(c[i].row, c[i].d);
        c[i].scalar = kernels_of(scalar, c[i].d);
        snprintf(names[i], sizeof names[i], "%s/%s", c[i].row->name, c[i].d->name);
        variants[i] = (struct suite_variant){names[i], &c[i], c[i].row->usable() ? NULL : skip_row};
    }
    if (cases == 0) {
        printf("skipped: there is no row but the scalar one\n");
    } else {
        verdict =
            suite_run_variants(argument_count, arguments, name, variants, cases, tests, count);
    }
    free(names);
    free(variants);
    free(c);
    return verdict;
}

double rows_scale(struct random *r) {
    const double scales[] = {1.0, 1.0 / 3.0, 0x1p-20, 1e-30};
    return scales[random_below(r, SUITE_COUNT(scales))];
}

struct fghm_focal_constants rows_constants(struct random *r, double gamma) {
    const double floors[] = {-DBL_MAX, -DBL_MAX, 0.0, 1e-16, 0.1};
    const double alpha = random_uniform(r, 0.0, 1.0);
    const bool off = random_below(r, 4) == 0;
    return (struct fghm_focal_constants){
        .gamma = gamma,
        .negative_gamma = gamma,
        .positive = off ? 1.0 : alpha,
        .negative = off ? 1.0 : 1.0 - alpha,
        .soft = random_below(r, 4) == 0 ? FGHM_SOFT_QUALITY : FGHM_SOFT_LINEAR,
        .gauss_newton = random_below(r, 4) == 0,
        .absolute = random_below(r, 4) == 0,
        .hessian_floor = floors[random_below(r, SUITE_COUNT(floors))],
        .hessian_factor = 1.0,
    };
}
