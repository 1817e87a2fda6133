/* SPDX-License-Identifier: MIT */
#include "calibrated.h"

#include <math.h>

#include "wide.h"

void calibrated(mpfr_t eta, const struct reference_loss *loss, mpfr_srcptr x) {
    struct reference both[2];
    reference_init(&both[0]);
    reference_init(&both[1]);
    reference_both(both, loss, x);
    mpfr_sub(eta, both[0].gradient, both[1].gradient, MPFR_RNDN);
    mpfr_div(eta, both[0].gradient, eta, MPFR_RNDN);
    reference_clear(&both[0]);
    reference_clear(&both[1]);
}

void calibrated_log_odds(mpfr_t odds, const struct reference_loss *loss, mpfr_srcptr x) {
    struct reference both[2];
    reference_init(&both[0]);
    reference_init(&both[1]);
    reference_both(both, loss, x);
    mpfr_neg(both[1].gradient, both[1].gradient, MPFR_RNDN);
    mpfr_div(odds, both[0].gradient, both[1].gradient, MPFR_RNDN);
    mpfr_log(odds, odds, MPFR_RNDN);
    reference_clear(&both[0]);
    reference_clear(&both[1]);
}

void constant_gap(mpfr_t gap, const struct reference_loss *loss, mpfr_srcptr x, double positives,
                  double negatives) {
    mpfr_t want;
    mpfr_init2(want, WIDE_BITS);
    mpfr_set_d(want, positives, MPFR_RNDN);
    mpfr_div_d(want, want, negatives, MPFR_RNDN);
    mpfr_log(want, want, MPFR_RNDN);
    calibrated_log_odds(gap, loss, x);
    mpfr_sub(gap, gap, want, MPFR_RNDN);
    mpfr_clear(want);
}

/* eta of a row: with the gradient of the loss of label c with respect to its own logit, which is
 * -(1 - p_c) v_c, eta_c is in proportion to p_c (1 - p_c) / (-gradient), p_c / v_c. */
void calibrated_row(mpfr_t *eta, const struct calibrated_setting *s, const mpfr_t *x,
                    const size_t *counts, size_t classes) {
    struct reference r;
    mpfr_t total, e, share;
    reference_init(&r);
    mpfr_inits2(WIDE_BITS, total, e, share, (mpfr_ptr)0);
    mpfr_set_ui(total, 0, MPFR_RNDN);
    for (size_t c = 0; c < classes; c++) {
        const struct reference_loss loss = {.rule = FGHM_FOCAL_RULE_LINEAR,
                                            .gamma = s->gammas == NULL ? s->gamma : s->gammas[c],
                                            .negative_gamma =
                                                s->gammas == NULL ? s->gamma : s->gammas[c],
                                            .alpha = WIDE_ALPHA_OFF,
                                            .detached = s->detached};
        mpfr_t one;
        mpfr_init2(one, WIDE_BITS);
        mpfr_set_ui(one, 1, MPFR_RNDN);
        reference_margin(e, x, counts, classes, c);
        wide_sigmoid(share, e); /* p */
        mpfr_neg(e, e, MPFR_RNDN);
        wide_sigmoid(eta[c], e); /* 1 - p */
        mpfr_mul(eta[c], eta[c], share, MPFR_RNDN);
        mpfr_neg(e, e, MPFR_RNDN);
        reference_sigmoid(&r, &loss, e, one);
        mpfr_neg(r.gradient, r.gradient, MPFR_RNDN);
        mpfr_div(eta[c], eta[c], r.gradient, MPFR_RNDN);
        if (s->weights != NULL) {
            mpfr_div_d(eta[c], eta[c], s->weights[c], MPFR_RNDN);
        }
        mpfr_mul_ui(one, eta[c], counts == NULL ? 1 : (unsigned long)counts[c], MPFR_RNDN);
        mpfr_add(total, total, one, MPFR_RNDN);
        mpfr_clear(one);
    }
    for (size_t c = 0; c < classes; c++) {
        mpfr_div(eta[c], eta[c], total, MPFR_RNDN);
    }
    mpfr_clears(total, e, share, (mpfr_ptr)0);
    reference_clear(&r);
}

double calibrated_gamma(const struct calibrated_setting *s, size_t classes) {
    double most = s->gammas == NULL ? s->gamma : 0.0;
    for (size_t c = 0; s->gammas != NULL && c < classes; c++) {
        most = fmax(most, s->gammas[c]);
    }
    return most;
}
