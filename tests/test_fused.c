/* SPDX-License-Identifier: MIT */

/* Fused multiply-add without an instruction for it, and the one that is chosen, against MPFR: the
 * C library's rounds twice on some systems. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fused.h"
#include "support/dtype.h"
#include "support/suite.h"
#include "support/wide.h"

#ifdef TEST_EMULATED
enum { ROUNDS = 100000 };
#else
enum { ROUNDS = 1000000 };
#endif

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
    const double want = wide_fused(&wide_f64, a, b, c);
    const double doubles = fghm_fused_by_doubles(a, b, c);
    const double integers = fghm_fused_by_integers(a, b, c);
    const double chosen = fghm_fused(a, b, c);
    if (!same(doubles, want) || !same(integers, want) || !same(chosen, want)) {
        fail_msg("%a %a + %a: %a, %a and %a, want %a", a, b, c, doubles, integers, chosen, want);
    }
}

static void check_f32(float a, float b, float c) {
    const double want = wide_fused(&wide_f32, (double)a, (double)b, (double)c);
    const float got = fghm_fused_f32_by_double(a, b, c), chosen = fghm_fused_f32(a, b, c);
    if (!same((double)got, want) || !same((double)chosen, want)) {
        fail_msg("%a %a + %a in float: %a and %a, want %a", (double)a, (double)b, (double)c,
                 (double)got, (double)chosen, want);
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

/* An odd number of so many bits: the product of two has one bit more than the format, or one less,
 * and is a tie. */
static double odd_number(struct random *r, int bits) {
    return (double)(random_below(r, UINT64_C(1) << (bits - 1)) * 2 + 1);
}

/* Products in the middle between two numbers, of all sizes and where exponents end, with nothing
 * added, or too little to be seen but for its sign. */
static void ties(void **state) {
    static const int exponents[] = {-1130, -1100, -1076, -1074, -1022, -500, 0, 500, 969, 970, 971};
    static const int exponents_f32[] = {-180, -160, -150, -149, -126, -50, 0, 50, 102, 103, 104};
    struct random r = random_for(702);
    (void)state;
    for (long round = 0; round < ROUNDS / 4; round++) {
        const unsigned signs = (unsigned)random_bits(&r);
        const int exponent = exponents[random_below(&r, SUITE_COUNT(exponents))];
        const int part = (int)random_below(&r, 200) - 100;
        const double a = sign_of(signs) * ldexp(odd_number(&r, 27), exponent / 2 + part);
        const double b = ldexp(odd_number(&r, 27), exponent - exponent / 2 - part);
        const double little = sign_of(signs >> 1) * ldexp(1, exponent - (int)random_below(&r, 80));
        const double addends[] = {0, little, sign_of(signs >> 1) * DBL_TRUE_MIN, little * 0x1p100};
        check(a, b, addends[random_below(&r, SUITE_COUNT(addends))]);

        const int single = exponents_f32[random_below(&r, SUITE_COUNT(exponents_f32))];
        const float p = (float)(sign_of(signs) * ldexp(odd_number(&r, 12), single / 2));
        const float q = (float)ldexp(odd_number(&r, 13), single - single / 2);
        const float trifle =
            (float)(sign_of(signs >> 1) * ldexp(1, single - (int)random_below(&r, 40)));
        const float floats[] = {0, trifle, copysignf(0x1p-149f, trifle), trifle * 0x1p40f};
        check_f32(p, q, floats[random_below(&r, SUITE_COUNT(floats))]);
    }
}

/* Products next to half of the last place of 1, so that a first sum, one place away from the tie,
 * is not exact and must not be rounded to it. */
static void nearly_ties(void **state) {
    struct random r = random_for(703);
    (void)state;
    for (long round = 0; round < ROUNDS / 4; round++) {
        const double last = (double)random_below(&r, 4), sign = sign_of((unsigned)random_bits(&r));
        const double a = random_uniform(&r, 1, 2);
        check(sign * a, 1 / a * (DBL_EPSILON / 2), 1 + last * DBL_EPSILON);
        const float p = (float)a, q = 1 / p * (FLT_EPSILON / 2);
        check_f32((float)sign * p, q, 1 + (float)last * FLT_EPSILON);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"special_numbers", special_numbers, 0},
        {"random_numbers", random_numbers, 0},
        {"ties", ties, 0},
        {"nearly_ties", nearly_ties, 0},
    };
    return suite_run(argument_count, arguments, "fused", tests, SUITE_COUNT(tests));
}
