/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_REFERENCE_H
#define TESTS_SUPPORT_REFERENCE_H

#include <focalghm/focalghm.h>
#include <mpfr.h>
#include <stdbool.h>

/* The losses of focal.h and batch.h with 320 bits.  Only the loss is written down;
 * first and second derivative come from arithmetic on truncated Taylor series. */

/* alpha: WIDE_ALPHA_OFF for off.  positive_weight and hessian_factor: 0 for none.  labelled: the
 * element is a positive of the varifocal rules whatever its target is. */
struct reference_loss {
    fghm_focal_rule rule;
    double gamma, negative_gamma, alpha;
    fghm_hessian_mode mode;
    double floor;
    double beta, positive_weight, hessian_factor, margin;
    bool detached, labelled;
};

/* Of target 0 with a margin, `condition` is by how much a relative error of m / (1 - m) grows in
 * p_m, and 0 where p_m is; `power` is p_m^gamma.  Of a soft target of quality focal loss `power` is
 * |p - t|^gamma, of all else 1.
 *
 * One element before weights and 1 / D.  The scales are the sums of the magnitudes of
 * the terms that make up the derivatives: where these cancel, an error is measured
 * against them.  `condition` is by how much an error of p grows in p - t (quality focal
 * loss, 0 for others). */
struct reference {
    mpfr_t loss, gradient, hessian, gradient_scale, hessian_scale;
    double condition, power;
};

void reference_init(struct reference *r);
void reference_clear(struct reference *r);

/* Element with logit x, or probability x, and target t. */
void reference_sigmoid(struct reference *r, const struct reference_loss *loss, mpfr_srcptr x,
                       mpfr_srcptr t);
void reference_probability(struct reference *r, const struct reference_loss *loss, mpfr_srcptr x,
                           mpfr_srcptr t);

/* The element with target 0 and that with target 1. */
void reference_both(struct reference r[2], const struct reference_loss *loss, mpfr_srcptr x);

/* Sample with these logits and the label `label`; derivatives with respect to the logit
 * of class c.  The Gauss-Newton Hessian is that of the margin z = x_label - log(sum over
 * the others of exp), carried over: h (dz/dx_c)^2 + g d2z/dx_c2. */
void reference_softmax(struct reference *r, const struct reference_loss *loss, const mpfr_t *x,
                       size_t classes, size_t label, size_t c);

/* The same sample's margin.  There are counts[c] classes with the logit x[c]; NULL: one each. */
void reference_margin(mpfr_t z, const mpfr_t *x, const size_t *counts, size_t classes,
                      size_t label);

/* Moves the derivatives, which are by the margin z, to the logit of another class with this share
 * of the others' exponentials: dz/dx_c = -share, d2z/dx_c2 = -share (1 - share).  Both may be the
 * same. */
void reference_other_class(struct reference *to, const struct reference *margin, mpfr_srcptr share);

#endif
