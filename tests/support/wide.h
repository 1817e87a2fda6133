/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_WIDE_H
#define TESTS_SUPPORT_WIDE_H

#include <mpfr.h>

/* The reference: the formulas of the headers as they stand there, evaluated
 * with 320 bits.  It knows nothing of how the library computes: derivatives are
 * the product and chain rule applied to a_t m^gamma BCE with m = 1 - p_t, for
 * hard and soft targets alike, and no sign is folded into the logit. */

#define WIDE_BITS 320

/* The alpha that stands for "off". */
#define WIDE_ALPHA_OFF (-1.0)

/* One element.  The scales are the sums of the magnitudes of the terms of which
 * gradient and Hessian are made: where the terms cancel, an error is measured
 * against them.  For t = 0 or 1 the gradient's terms have one sign, so that its
 * scale is its magnitude, and hessian_scale is
 * a_t p_t q^g [(2g + 1) q + g L |1 - (1 + g) p_t|], with q = 1 - p_t, L = BCE. */
struct wide_focal {
    mpfr_t bce, loss, gradient, hessian;
    mpfr_t gradient_scale, hessian_scale;
};

void wide_focal_init(struct wide_focal *w);
void wide_focal_clear(struct wide_focal *w);

/* Any finite logit, target in [0, 1], any finite gamma >= 0. */
void wide_focal(struct wide_focal *w, double gamma, double alpha, double logit, double target);

/* The same at a logit that no double holds, for numeric differentiation. */
void wide_focal_at(struct wide_focal *w, double gamma, double alpha, mpfr_srcptr logit,
                   double target);

void wide_sigmoid(mpfr_t p, mpfr_srcptr x);
void wide_softplus(mpfr_t y, mpfr_srcptr x);

/* logit(part / whole), 0 < part < whole. */
void wide_logit(mpfr_t x, unsigned long part, unsigned long whole);

/* A floating-point format: bits of the significand, exponent of the smallest
 * subnormal number, largest finite number. */
struct wide_format {
    int digits;
    int lowest;
    double max;
};

extern const struct wide_format wide_f32;
extern const struct wide_format wide_f64;

/* a b + c with one rounding, to the nearest number of the format. */
double wide_fused(const struct wide_format *format, double a, double b, double c);

/* |got - exact| in units of the last place that the format has at `scale`;
 * among the subnormal numbers that is the smallest subnormal number.  NaN gives
 * infinity, and so does an infinite `got`, unless `exact` lies beyond the
 * largest finite number on the same side, which gives 0. */
double wide_ulps_scaled(const struct wide_format *format, double got, mpfr_srcptr exact,
                        mpfr_srcptr scale);

/* The same with exact for the scale. */
double ulps_f32(float got, mpfr_srcptr exact);
double ulps_f64(double got, mpfr_srcptr exact);

/* |got - exact| / |exact|; 0 / 0 gives 0. */
double wide_relative_error(double got, mpfr_srcptr exact);

#endif
