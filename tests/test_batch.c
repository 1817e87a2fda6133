/* SPDX-License-Identifier: MIT */

/* Focal loss over batches against the formulas of the headers: the covering of
 * support/drawn.h, compared with the reference element by element. */

#include <math.h>
#include <stdio.h>

#include "support/drawn.h"
#include "support/promise.h"
#include "support/reference.h"
#include "support/report.h"
#include "support/suite.h"

enum { ELEMENTS = 340, SAMPLES = 160, CLASSES_MAX = 80, CHECKED_MAX = 150 };

/* -------------------------------------------------------------------------
 * A combination. */

struct combination {
    struct drawn base;
    double class_alpha[CLASSES_MAX], class_weights[CLASSES_MAX], class_gamma[CLASSES_MAX];
    struct reference_loss loss;
    double loss_weight, normalizer;
    fghm_reduction reduction;
};

static const struct combination *focal_of(const struct drawn *c) {
    return (const struct combination *)c;
}

static double draw_gamma(struct random *r) {
    static const double gammas[] = {0, 0, .5, 1, 1.5, 2, 2, 3, 4, 5, 0.3, 2.7, 7.25, 10};
    return gammas[random_below(r, SUITE_COUNT(gammas))];
}

static void draw_loss(struct random *r, struct combination *c) {
    static const double alphas[] = {WIDE_ALPHA_OFF, 0.25, 0.5, 0.9, 0.0, 1.0};
    static const double betas[] = {4.0, 4.0, 0.0, 1.0, 2.0, 3.5};
    struct reference_loss *const loss = &c->loss;
    loss->rule = (fghm_focal_rule)random_below(r, 8);
    loss->gamma = loss->negative_gamma = draw_gamma(r);
    if (random_below(r, 4) == 0) {
        loss->negative_gamma = draw_gamma(r);
    }
    loss->alpha = alphas[random_below(r, SUITE_COUNT(alphas))];
    loss->mode = (fghm_hessian_mode)random_below(r, 5);
    loss->floor = random_bits(r) & 1 ? 1e-16 : 0.03125;
    loss->beta = betas[random_below(r, SUITE_COUNT(betas))];
    loss->positive_weight = random_below(r, 4) == 0 ? 3.0 : 0.0;
    loss->hessian_factor = random_below(r, 4) == 0 ? 1.5 : 0.0;
    loss->detached = random_below(r, 3) == 0;
    loss->margin = 0.0;
    loss->labelled = false;
    c->loss_weight = random_below(r, 3) == 0 ? 2.5 : 1.0;
    c->normalizer = 37.5;
    c->reduction = (fghm_reduction)random_below(r, 6);
}

static void draw_classes(struct random *r, struct combination *c) {
    for (size_t k = 0; k < CLASSES_MAX; k++) {
        c->class_alpha[k] = (double)random_below(r, 9) / 8.0;
        c->class_weights[k] = (double)random_below(r, 9) / 4.0;
        c->class_gamma[k] = draw_gamma(r);
    }
    c->base.class_alpha = random_below(r, 3) == 0 ? c->class_alpha : NULL;
    c->base.class_weights = random_below(r, 3) == 0 ? c->class_weights : NULL;
    c->base.class_gamma = random_below(r, 4) == 0 ? c->class_gamma : NULL;
}

static bool is_softmax(const struct drawn *c) {
    return c->activation == FGHM_SOFTMAX;
}

static bool has_positives_of_its_own(fghm_focal_rule rule) {
    return rule >= FGHM_FOCAL_RULE_VARIFOCAL && rule <= FGHM_FOCAL_RULE_HEATMAP;
}

/* What the header says does not go together. */
static void mend(struct combination *c) {
    struct reference_loss *const loss = &c->loss;
    struct drawn *const base = &c->base;
    if (base->activation == FGHM_PROBABILITY && loss->rule != FGHM_FOCAL_RULE_HEATMAP) {
        loss->rule %= 2;
    } else if (is_softmax(base)) {
        loss->rule %= 4;
    }
    const bool heatmap = loss->rule == FGHM_FOCAL_RULE_HEATMAP;
    const bool star = loss->rule == FGHM_FOCAL_RULE_STAR;
    const bool varifocal = has_positives_of_its_own(loss->rule) && !heatmap;
    if (star || varifocal) {
        base->class_gamma = NULL;
    }
    if (base->class_gamma != NULL || star || varifocal || loss->rule == FGHM_FOCAL_RULE_QUALITY ||
        is_softmax(base)) {
        loss->negative_gamma = loss->gamma;
    }
    if (star || heatmap || varifocal) {
        base->smoothing = 0.0;
        base->class_alpha = star ? base->class_alpha : NULL;
    }
    if (star) {
        loss->detached = false;
        loss->gamma = loss->negative_gamma = loss->gamma == 0.0 ? 2.0 : loss->gamma;
    }
    if (is_softmax(base)) {
        loss->positive_weight = 0.0;
    }
    if (base->class_alpha != NULL) {
        loss->positive_weight = 0.0;
    }
    const bool no_alpha =
        (is_softmax(base) && base->class_alpha == NULL) || heatmap || loss->positive_weight > 0.0;
    if (no_alpha && loss->alpha != WIDE_ALPHA_OFF) {
        loss->alpha = 0.25;
    }
}

static void settle(struct random *r, struct drawn *base) {
    struct combination *const c = (struct combination *)base;
    if (!is_softmax(base) && random_bits(r) & 1) {
        base->activation = FGHM_PROBABILITY;
    }
    draw_loss(r, c);
    draw_classes(r, c);
    mend(c);
    if (base->activation == FGHM_SIGMOID && c->loss.rule <= FGHM_FOCAL_RULE_SPLIT &&
        random_bits(r) & 1) {
        c->loss.margin = random_uniform(r, 0.001, 0.8);
    }
    if (has_positives_of_its_own(c->loss.rule)) {
        base->least_positive = c->loss.rule == FGHM_FOCAL_RULE_HEATMAP ? 1.0 : 0x1p-149;
    }
}

static void print_settings(const struct drawn *base) {
    const struct combination *const c = focal_of(base);
    printf(
        " class alpha %d weights %d rule %d gamma %g %g alpha %g mode %d floor %g loss weight %g "
        "reduction %d",
        base->class_alpha != NULL, base->class_weights != NULL, c->loss.rule, c->loss.gamma,
        c->loss.negative_gamma, c->loss.alpha, c->loss.mode, c->loss.floor, c->loss_weight,
        c->reduction);
}

static double any_target(struct random *r, const struct drawn *c, bool hard) {
    const fghm_focal_rule rule = focal_of(c)->loss.rule;
    if (hard || rule == FGHM_FOCAL_RULE_STAR) {
        return (double)(random_bits(r) & 1);
    }
    if (has_positives_of_its_own(rule) && random_below(r, 4) != 0) {
        return (double)(random_below(r, 4) == 0);
    }
    return random_bits(r) & 1 ? random_uniform(r, 0.0, 1.0) : (double)random_below(r, 129) / 128.0;
}

/* Any number is a weight. */
static double any_weight(struct random *r) {
    const double weight = random_uniform(r, 0.25, 4.0);
    return random_below(r, 8) == 0 ? 0.0 : random_below(r, 8) == 0 ? -weight : weight;
}

static void fill_logits(struct random *r, const struct drawn *c, const struct drawn_arrays *a) {
    static const double spreads[] = {1.0, 4.0, 15.0};
    const double spread = spreads[random_below(r, 3)];
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        double x = spread * random_normal(r);
        if (c->activation == FGHM_PROBABILITY) {
            x = strided_round(c->logits, 1.0 / (1.0 + exp(-x)));
            /* The ends have a test of their own. */
            x = x < 1e-6 || x >= 1.0 ? 0.3125 : x;
        }
        /* Nobody looks at what is ignored. */
        if (drawn_target(c, a, k).ignored) {
            x = k % 3 ? (double)NAN : (double)INFINITY;
        }
        strided_set(&a->logits, k, x);
    }
}

static void *handle_of(const struct drawn *base) {
    const struct combination *const c = focal_of(base);
    fghm_focal *focal = focal_handle(c->loss.gamma, c->loss.alpha, c->reduction);
    assert_int_equal(fghm_focal_set_rule(focal, c->loss.rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_mode(focal, c->loss.mode), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_floor(focal, c->loss.floor), FGHM_OK);
    assert_int_equal(fghm_focal_set_loss_weight(focal, c->loss_weight), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, c->normalizer), FGHM_OK);
    assert_int_equal(fghm_focal_set_detached(focal, c->loss.detached), FGHM_OK);
    assert_int_equal(fghm_focal_set_beta(focal, c->loss.beta), FGHM_OK);
    assert_int_equal(fghm_focal_set_margin(focal, c->loss.margin), FGHM_OK);
    if (c->loss.hessian_factor > 0.0) {
        assert_int_equal(fghm_focal_set_hessian_factor(focal, c->loss.hessian_factor), FGHM_OK);
    }
    if (c->loss.positive_weight > 0.0) {
        assert_int_equal(fghm_focal_set_positive_weight(focal, c->loss.positive_weight), FGHM_OK);
    }
    if (c->loss.negative_gamma != c->loss.gamma) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, c->loss.negative_gamma), FGHM_OK);
    }
    return focal;
}

/* -------------------------------------------------------------------------
 * The first call against the reference. */

static double worst[3][OUTPUTS];

static double divisor_of(const struct combination *c, const struct drawn_counts *n) {
    const uint64_t counts[] = {1, n->losses, 1, n->samples, n->positives, n->valid};
    const uint64_t divisor = counts[c->reduction];
    if (c->reduction == FGHM_REDUCTION_NORMALIZER) {
        return c->normalizer;
    }
    return divisor > 0 ? (double)divisor : 1.0;
}

static bool is_promised(double gamma) {
    return gamma == 1.5 || (gamma <= 5.0 && gamma == floor(gamma)) || gamma == 0.5;
}

/* What the element's own arithmetic may add to the promise, in ulp. */
static double bound_of(const struct combination *c) {
    const bool promised = is_promised(c->loss.gamma) && is_promised(c->loss.negative_gamma);
    double bound = promised ? 8.0 : 16.0;
    if (c->base.activation == FGHM_PROBABILITY) {
        bound = 16.0;
    }
    bound += c->base.weighting != UNWEIGHTED ? 1.0 : 0.0;
    bound += c->base.class_alpha != NULL || c->base.class_weights != NULL ? 1.0 : 0.0;
    bound += c->reduction != FGHM_REDUCTION_SUM || c->loss_weight != 1.0 ? 1.0 : 0.0;
    return bound + (c->loss.alpha != WIDE_ALPHA_OFF ? 1.0 : 0.0);
}

/* The error of `got` in ulp of `scale`, less `slack`, which is a relative error there. */
static void check_value(const struct combination *c, int output, size_t k, double got,
                        mpfr_srcptr exact, mpfr_srcptr scale, double bound, mpfr_srcptr slack) {
    const struct wide_format *const format = drawn_format(&c->base);
    double ulps = wide_ulps_scaled(format, got, exact, scale);
    double allowed = bound;
    if (slack != NULL && mpfr_regular_p(scale)) {
        mpfr_t s;
        mpfr_init2(s, WIDE_BITS);
        mpfr_div(s, slack, scale, MPFR_RNDN);
        allowed += ldexp(mpfr_get_d(s, MPFR_RNDU), format->digits);
        mpfr_clear(s);
    }
    if (!(ulps <= allowed)) {
        if (drawn_failed(&c->base, output_names[output], k)) {
            mpfr_printf("  got %a (%.9g), want %.17Rg, scale %.9Rg: %.1f ulp > %.1f\n", got, got,
                        exact, scale, ulps, allowed);
        }
    }
    if (slack == NULL && isfinite(ulps) && worst[c->base.activation][output] < ulps) {
        worst[c->base.activation][output] = ulps;
    }
}

/* Results times the factors, and the bound for what is subnormal before them. */
static void check_element(const struct combination *c, const struct drawn_arrays *a, size_t k,
                          size_t loss_at, struct reference *r, const struct reference *apart,
                          double weight, double class_weight, double divisor,
                          const double bounds[OUTPUTS]) {
    mpfr_srcptr exact[OUTPUTS] = {r->loss, r->gradient, r->hessian};
    mpfr_srcptr scales[OUTPUTS] = {r->loss, r->gradient_scale, r->hessian_scale};
    mpfr_t value, scale, factor, slack;
    mpfr_inits2(WIDE_BITS, value, scale, factor, slack, (mpfr_ptr)0);
    for (int output = 0; output < OUTPUTS; output++) {
        if (output == ELEMENT_LOSS && loss_at == SIZE_MAX) {
            continue;
        }
        mpfr_set_d(factor, c->loss_weight, MPFR_RNDN);
        mpfr_mul_d(factor, factor, weight, MPFR_RNDN);
        mpfr_mul_d(factor, factor, class_weight, MPFR_RNDN);
        if (output != ELEMENT_LOSS) {
            mpfr_div_d(factor, factor, divisor, MPFR_RNDN);
        }
        const double grown = fmax(1.0, fabs(mpfr_get_d(factor, MPFR_RNDU)));
        mpfr_mul(value, exact[output], factor, MPFR_RNDN);
        mpfr_mul(scale, scales[output], factor, MPFR_RNDN);
        mpfr_abs(scale, scale, MPFR_RNDN);
        const double tiny =
            ldexp(1.0, drawn_format(&c->base)->lowest + drawn_format(&c->base)->digits + 4);
        const double bound = bounds[output];
        const double allowed = mpfr_cmp_d(scale, tiny * grown) < 0 ? bound * grown : bound;
        if (apart != NULL) {
            mpfr_srcptr first[OUTPUTS] = {r[1].loss, r[1].gradient, r[1].hessian};
            mpfr_srcptr second[OUTPUTS] = {apart->loss, apart->gradient, apart->hessian};
            mpfr_sub(slack, first[output], second[output], MPFR_RNDN);
            mpfr_mul(slack, slack, factor, MPFR_RNDN);
            mpfr_abs(slack, slack, MPFR_RNDN);
        }
        const size_t at = output == ELEMENT_LOSS ? loss_at : k;
        check_value(c, output, k, strided_at(&a->plain[output], at), value, scale, allowed,
                    apart != NULL ? slack : NULL);
    }
    mpfr_clears(value, scale, factor, slack, (mpfr_ptr)0);
}

static double class_weight_of(const struct combination *c, size_t class_index) {
    return c->base.class_weights != NULL ? c->class_weights[class_index] : 1.0;
}

static struct reference_loss loss_of(const struct combination *c, size_t class_index) {
    struct reference_loss loss = c->loss;
    if (c->base.class_gamma != NULL) {
        loss.gamma = loss.negative_gamma = c->class_gamma[class_index];
    }
    if (c->base.class_alpha != NULL) {
        loss.alpha = c->class_alpha[class_index];
    } else if (is_softmax(&c->base)) {
        loss.alpha = WIDE_ALPHA_OFF; /* it has none */
    }
    return loss;
}

static void check_zero(const struct combination *c, const struct drawn_arrays *a, size_t k,
                       size_t loss_at) {
    for (int output = 0; output < OUTPUTS; output++) {
        if (output == ELEMENT_LOSS && loss_at == SIZE_MAX) {
            continue;
        }
        if (strided_at(&a->plain[output], output == ELEMENT_LOSS ? loss_at : k) != 0.0) {
            drawn_failed(&c->base, "ignored", k);
        }
    }
}

/* Of probabilities, m^gamma is multiplied by numbers as large as 1 / m^2: where it is
 * subnormal, its error is seen. */
static double error_of_power(const struct combination *c, double p, double target) {
    const double t = target * (1.0 - c->base.smoothing) + c->base.smoothing / 2.0;
    const double gamma = fmax(c->loss.gamma, c->loss.negative_gamma);
    const int split =
        c->loss.rule == FGHM_FOCAL_RULE_SPLIT || c->loss.gamma != c->loss.negative_gamma;
    const double m = split ? fmin(p, 1.0 - p) : t * (1.0 - p) + (1.0 - t) * p;
    const double digits = (double)(drawn_format(&c->base)->lowest + drawn_format(&c->base)->digits);
    return exp2(fmin(digits - gamma * log2(m), 100.0));
}

/* Smoothed targets are rounded to the type of the computation: r[1] and r[2] are the
 * results for targets that are that much larger and smaller. */
static void check_sigmoid(const struct combination *c, const struct drawn_arrays *a, size_t k,
                          struct reference r[3], double divisor) {
    void (*const formula)(struct reference *, const struct reference_loss *, mpfr_srcptr,
                          mpfr_srcptr) =
        c->base.activation == FGHM_PROBABILITY ? reference_probability : reference_sigmoid;
    const size_t class_index = drawn_place(&c->base, k).c;
    const struct drawn_target t = drawn_target(&c->base, a, k);
    const struct reference_loss loss = loss_of(c, class_index);
    const double shifts[] = {0.0, ldexp(2.0, -drawn_format(&c->base)->digits),
                             -ldexp(2.0, -drawn_format(&c->base)->digits)};
    double bound = bound_of(c);
    mpfr_t x, target, keep;
    if (t.ignored) {
        check_zero(c, a, k, k);
        return;
    }
    mpfr_inits2(WIDE_BITS, x, target, keep, (mpfr_ptr)0);
    mpfr_set_d(x, strided_at(&a->logits, k), MPFR_RNDN);
    for (int shift = 0; shift < (c->base.smoothing > 0.0 ? 3 : 1); shift++) {
        mpfr_set_d(keep, c->base.smoothing, MPFR_RNDN);
        mpfr_ui_sub(keep, 1, keep, MPFR_RNDN);
        mpfr_mul_d(target, keep, t.value, MPFR_RNDN);
        mpfr_add_d(target, target, c->base.smoothing / 2.0, MPFR_RNDN);
        mpfr_add_d(target, target, shifts[shift], MPFR_RNDN);
        formula(&r[shift], &loss, x, target);
    }
    if (c->loss.rule == FGHM_FOCAL_RULE_STAR) {
        bound += 2.0 * c->loss.gamma * fabs(mpfr_get_d(x, MPFR_RNDN));
    }
    if (loss.margin > 0.0) {
        const struct promise_of of = {loss, FGHM_SIGMOID};
        bound += 2.0 + 6.0 * loss.negative_gamma +
                 promised_of_margin(&of, drawn_is_double(&c->base), r->condition);
        bound = r->power < (drawn_is_double(&c->base) ? 0x1p-1014 : 0x1p-118) ? (double)INFINITY
                                                                              : bound;
    } else {
        bound += (c->loss.gamma + 2.0) * 2.0 * r->condition;
    }
    if (c->base.activation == FGHM_PROBABILITY) {
        bound += error_of_power(c, mpfr_get_d(x, MPFR_RNDN), t.value);
    }
    const double bounds[OUTPUTS] = {bound, bound, bound};
    check_element(c, a, k, k, r, c->base.smoothing > 0.0 ? &r[2] : NULL,
                  drawn_weight(&c->base, a, k), class_weight_of(c, class_index), divisor, bounds);
    mpfr_clears(x, target, keep, (mpfr_ptr)0);
}

static void check_softmax(const struct combination *c, const struct drawn_arrays *a, size_t k,
                          struct reference r[3], double divisor) {
    const struct drawn_place at = drawn_place(&c->base, k);
    const size_t loss_at = at.c == 0 ? drawn_loss_index(&c->base, k) : SIZE_MAX;
    const struct drawn_target t = drawn_target(&c->base, a, k);
    const size_t label = t.column;
    mpfr_t x[CLASSES_MAX], z;
    double largest = -(double)INFINITY, more = 0.0;
    if (t.ignored) {
        check_zero(c, a, k, loss_at);
        return;
    }
    const struct reference_loss loss = loss_of(c, label);
    mpfr_init2(z, WIDE_BITS);
    for (size_t n = 0; n < c->base.classes; n++) {
        const double logit = strided_get(&a->logits, at.o, n, at.i);
        mpfr_init2(x[n], WIDE_BITS);
        mpfr_set_d(x[n], logit, MPFR_RNDN);
        largest = n != label ? fmax(largest, logit) : largest;
    }
    reference_softmax(r, &loss, x, c->base.classes, label, at.c);
    if (c->base.classes > 1) {
        reference_margin(z, x, NULL, c->base.classes, label);
        const double below = largest - mpfr_get_d(x[at.c], MPFR_RNDN);
        const double log_classes = log((double)c->base.classes);
        more += (c->loss.gamma + 1.0) * (fabs(mpfr_get_d(z, MPFR_RNDN)) + log_classes);
        more += at.c != label ? 2.0 * below + log_classes + 4.0 : 0.0;
    }
    const double bound = bound_of(c) + more;
    const double bounds[OUTPUTS] = {bound, bound, bound + more};
    check_element(c, a, k, loss_at, r, NULL, drawn_weight(&c->base, a, k),
                  class_weight_of(c, label), divisor, bounds);
    for (size_t n = 0; n < c->base.classes; n++) {
        mpfr_clear(x[n]);
    }
    mpfr_clear(z);
}

static void check(struct random *random, const struct drawn *base, const struct drawn_arrays *a,
                  const void *handle, const fghm_result *result) {
    const struct combination *const c = focal_of(base);
    const struct drawn_counts counts = drawn_counts(base, a);
    const double divisor = divisor_of(c, &counts);
    const size_t n = strided_count(&a->logits);
    struct reference r[3];
    (void)handle;
    drawn_check_result(base, a, result, divisor);
    for (int k = 0; k < 3; k++) {
        reference_init(&r[k]);
    }
    for (size_t k = 0; k < n; k++) {
        if (n > CHECKED_MAX && random_below(random, n) >= CHECKED_MAX) {
            continue;
        }
        (is_softmax(base) ? check_softmax : check_sigmoid)(c, a, k, r, divisor);
    }
    for (int k = 0; k < 3; k++) {
        reference_clear(&r[k]);
    }
}

static struct covering covering_of(const struct loss *loss) {
    return (struct covering){.loss = loss,
                             .most_classes = CLASSES_MAX,
                             .settle = settle,
                             .print = print_settings,
                             .target = any_target,
                             .weight = any_weight,
                             .fill = fill_logits,
                             .handle = handle_of,
                             .check = check};
}

static void cover(uint64_t test, const struct loss *loss, size_t count) {
    const struct covering covering = covering_of(loss);
    struct combination room;
    drawn_cover(test, &covering, count, &room.base, sizeof room);
    for (int k = 0; k < 3; k++) {
        printf("  activation %d: at most %.2f %.2f %.2f ulp\n", k, worst[k][0], worst[k][1],
               worst[k][2]);
    }
}

static void elements_match_the_formulas(void **state) {
    (void)state;
    cover(101, &all_losses[FOCAL], ELEMENTS);
}

static void samples_match_the_formulas(void **state) {
    (void)state;
    cover(102, &all_losses[FOCAL_SOFTMAX], SAMPLES);
}

/* Whose elements are samples, be they classes in the batch. */
static void settle_plain(struct random *r, struct drawn *base) {
    struct combination *const c = (struct combination *)base;
    settle(r, base);
    c->reduction = c->reduction == FGHM_REDUCTION_MEAN_SAMPLES ? FGHM_REDUCTION_MEAN : c->reduction;
}

static void plain_calls_are_batches(void **state) {
    struct covering covering = covering_of(&all_losses[FOCAL]);
    struct combination room;
    covering.settle = settle_plain;
    drawn_cover_plain(103, &covering, *state, &room.base, sizeof room);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"elements_match_the_formulas", elements_match_the_formulas, 0},
        {"samples_match_the_formulas", samples_match_the_formulas, 0},
        {"plain_calls_are_batches", plain_calls_are_batches, 1},
    };
    return suite_run(argument_count, arguments, "batch", tests, SUITE_COUNT(tests));
}
