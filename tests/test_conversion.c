/* SPDX-License-Identifier: MIT */

/* The conversions between storage and arithmetic, against the definitions of the
 * formats: all 65536 numbers of each 16-bit format, the midpoints between neighbours
 * and what lies next to them, from float and from double. */

#include <float.h>
#include <math.h>
#include <string.h>

#include "support/random.h"
#include "support/strided.h"
#include "support/suite.h"

/* The arithmetic in double, which has one conversion more. */
#define FGHM_REAL_BITS 64
#pragma GCC diagnostic ignored "-Wunused-function"
#include "kernels/storage_kernel.h"

static const fghm_dtype halves[] = {FGHM_F16, FGHM_BF16};

static double value_of(fghm_dtype dtype, uint16_t bits) {
    return dtype == FGHM_F16 ? strided_of_f16(bits) : strided_of_bf16(bits);
}

static double library_value_of(fghm_dtype dtype, uint16_t bits) {
    return (double)(dtype == FGHM_F16 ? float_of_f16(bits) : float_of_bf16(bits));
}

static uint16_t of_float(fghm_dtype dtype, float x) {
    return dtype == FGHM_F16 ? f16_of_float(x) : bf16_of_float(x);
}

static uint16_t of_double(fghm_dtype dtype, double x) {
    return of_float(dtype, narrower(x));
}

static int same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void check_rounding(fghm_dtype dtype, double x) {
    const double want = strided_round(dtype, x);
    if ((double)(float)x == x || isnan(x)) {
        const double got = value_of(dtype, of_float(dtype, (float)x));
        if (!same(got, want)) {
            fail_msg("dtype %d: float %a becomes %a, not %a", dtype, x, got, want);
        }
    }
    const double got = value_of(dtype, of_double(dtype, x));
    if (!same(got, want)) {
        fail_msg("dtype %d: double %a becomes %a, not %a", dtype, x, got, want);
    }
}

static void every_number_is_read(void **state) {
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (uint32_t bits = 0; bits < 65536; bits++) {
            const double want = value_of(halves[k], (uint16_t)bits);
            const double got = library_value_of(halves[k], (uint16_t)bits);
            if (!same(got, want)) {
                fail_msg("dtype %d %04x: %a, not %a", halves[k], (unsigned)bits, got, want);
            }
        }
    }
}

static void every_number_is_written(void **state) {
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (uint32_t bits = 0; bits < 65536; bits++) {
            const double x = value_of(halves[k], (uint16_t)bits);
            if (!isnan(x)) {
                assert_int_equal(of_float(halves[k], (float)x), bits);
                assert_int_equal(of_double(halves[k], x), bits);
            }
        }
    }
}

/* Any NaN stays one, whichever bits of it are set. */
static void nan_stays_nan(void **state) {
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (unsigned bit = 0; bit < 23; bit++) {
            for (uint32_t sign = 0; sign < 2; sign++) {
                const float x = float_of_bits(sign << 31 | 0x7f800000u | UINT32_C(1) << bit);
                assert_true(isnan(value_of(halves[k], of_float(halves[k], x))));
                assert_true(isnan(value_of(halves[k], of_double(halves[k], (double)x))));
            }
        }
        assert_true(isnan(value_of(halves[k], of_float(halves[k], float_of_bits(0x7fffffffu)))));
        assert_true(isnan(value_of(halves[k], of_double(halves[k], (double)NAN))));
    }
}

/* Between all neighbours, the largest number and what would be next included. */
static void midpoints_go_to_the_even_one(void **state) {
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (uint32_t bits = 0; bits < 32768; bits++) {
            const double x = value_of(halves[k], (uint16_t)bits);
            const double above = value_of(halves[k], (uint16_t)(bits + 1));
            if (isnan(x) || isinf(x)) {
                continue;
            }
            const double below = isinf(above) ? value_of(halves[k], (uint16_t)(bits - 1)) : above;
            const double middle = x + fabs(below - x) / 2.0;
            for (int sign = -1; sign <= 1; sign += 2) {
                const double m = (double)sign * middle;
                check_rounding(halves[k], m);
                /* in float, and where only a double is: a tie for who rounds twice */
                check_rounding(halves[k], (double)nextafterf((float)m, INFINITY));
                check_rounding(halves[k], (double)nextafterf((float)m, -INFINITY));
                check_rounding(halves[k], nextafter(m, (double)INFINITY));
                check_rounding(halves[k], nextafter(m, -(double)INFINITY));
                check_rounding(halves[k], m * (1.0 + 0x1p-30));
                check_rounding(halves[k], m * (1.0 - 0x1p-30));
                check_rounding(halves[k], nextafter((double)sign * x, (double)INFINITY));
                check_rounding(halves[k], nextafter((double)sign * x, -(double)INFINITY));
            }
        }
    }
}

static void any_number_is_rounded(void **state) {
    const double ends[] = {FLT_MAX,          (double)FLT_MAX * (1.0 + 0x1p-25),
                           DBL_MAX,          DBL_MIN,
                           5e-324,           0x1p-149,
                           0x1p-150,         nextafter(0x1p-150, 1.0),
                           0x1p128,          nextafter(0x1p128, 0.0),
                           65504.0,          65519.0,
                           65520.0,          nextafter(65520.0, 0.0),
                           0x1p-24,          0x1p-25,
                           0x1p-14,          nextafter(0x1p-14, 0.0),
                           (double)INFINITY, 0.0};
    struct random r = random_for(301);
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < SUITE_COUNT(ends); i++) {
            check_rounding(halves[k], ends[i]);
            check_rounding(halves[k], -ends[i]);
        }
        for (int i = 0; i < 200000; i++) {
            check_rounding(halves[k], (double)random_any_f32(&r));
            check_rounding(halves[k], random_any_f64(&r));
            check_rounding(halves[k], random_log_uniform(&r, 1e-9, 1e6));
        }
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"every_number_is_read", every_number_is_read, 0},
        {"every_number_is_written", every_number_is_written, 0},
        {"nan_stays_nan", nan_stays_nan, 0},
        {"midpoints_go_to_the_even_one", midpoints_go_to_the_even_one, 0},
        {"any_number_is_rounded", any_number_is_rounded, 0},
    };
    return suite_run(argument_count, arguments, "conversion", tests, SUITE_COUNT(tests));
}
