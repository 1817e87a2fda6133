/* SPDX-License-Identifier: MIT */

/* Fused multiply-add without an instruction for it, against that of the C library. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fused.h"
#include "support/dtype.h"
#include "support/suite.h"

enum { ROUNDS = 1000000 };

static const double special[] = {0.0,
                                 DBL_TRUE_MIN,
                                 3 * DBL_TRUE_MIN,
                                 DBL_MIN - DBL_TRUE_MIN,
                                 DBL_MIN,
                                 0x1.fffffffffffffp-512,
                                 0x1p-511,
                                 0x1p-149,
                                 0x1.8p-149,
                                 0x1.fffffep-64,
                                 0x1p-53,
                                 0.5,
                                 1.0 - 0x1p-53,
                                 1.0,
                                 1.0 + DBL_EPSILON,
                                 1.0 + FLT_EPSILON,
                                 3.0,
                                 0x1.fffffep63,
                                 0x1.fffffep127,
                                 0x1.fffffffffffffp511,
                                 0x1p512,
                                 DBL_MAX,
                                 (double)INFINITY,
                                 (double)NAN};

static bool same(double a, double b) {
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

static void check(double a, double b, double c) {
    const double got = fghm_fused_by_integers(a, b, c), want = fma(a, b, c);
    const double chosen = fghm_fused(a, b, c);
    if (!same(got, want) || !same(chosen, want)) {
        fail_msg("%a %a + %a: %a and %a, want %a", a, b, c, got, chosen, want);
    }
}

static void check_f32(float a, float b, float c) {
    const float got = fghm_fused_f32_by_double(a, b, c), want = fmaf(a, b, c);
    const float chosen = fghm_fused_f32(a, b, c);
    if (!same((double)got, (double)want) || !same((double)chosen, (double)want)) {
        fail_msg("%a %a + %a in float: %a and %a, want %a", (double)a, (double)b, (double)c,
                 (double)got, (double)chosen, (double)want);
    }
}

static double sign_of(unsigned bits) {
    return bits & 1 ? -1.0 : 1.0;
}

static void special_numbers(void **state) {
    const size_t count = SUITE_COUNT(special);
    (void)state;
    for (size_t k = 0; k < count * count * count * 8; k++) {
        const unsigned signs = (unsigned)(k % 8);
        const double a = sign_of(signs) * special[k / 8 % count];
        const double b = sign_of(signs >> 1) * special[k / 8 / count % count];
        const double c = sign_of(signs >> 2) * special[k / 8 / count / count];
        check(a, b, c);
        check_f32((float)a, (float)b, (float)c);
    }
}

/* Any numbers, and addends near the product, at whose ends it is rounded, and which cancel it. */
static void random_numbers(void **state) {
    struct random r = random_for(701);
    (void)state;
    for (long round = 0; round < ROUNDS; round++) {
        const double a = dtypes[1].any(&r);
        const double b = random_bits(&r) & 1 ? dtypes[1].any(&r) : ldexp(random_normal(&r), -3);
        const double near = ldexp(a * b, (int)random_below(&r, 140) - 70);
        const double nearest = dtypes[1].next(-a * b, sign_of((unsigned)random_bits(&r)));
        const double addends[] = {near, -near, -a * b, nearest, dtypes[1].any(&r)};
        const double c = addends[random_below(&r, SUITE_COUNT(addends))];
        check(a, b, c);
        const float p = (float)dtypes[0].any(&r), q = (float)random_normal(&r);
        const float close = ldexpf(p * q, (int)random_below(&r, 64) - 32);
        const float floats[] = {close, -close, -p * q, (float)c, (float)dtypes[0].any(&r)};
        check_f32(p, q, floats[random_below(&r, SUITE_COUNT(floats))]);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"special_numbers", special_numbers, 0},
        {"random_numbers", random_numbers, 0},
    };
    return suite_run(argument_count, arguments, "fused", tests, SUITE_COUNT(tests));
}
