/* SPDX-License-Identifier: MIT */
/* Elements: a logit or probability, and a target, which may be smoothed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "climb.h"
#include "soft_reference.h"
#include "suite.h"

/* Of a call. */
#define ELEMENTS 256

static double any_target(const struct slope *slope, struct random *r) {
    if (slope->of.loss.rule == FGHM_FOCAL_RULE_STAR) {
        return (double)(random_bits(r) & 1);
    }
    const double near_0 = exp2(random_uniform(r, -30.0, 0.0));
    switch (random_below(r, 4)) {
    case 0:
        return random_uniform(r, 0.0, 1.0);
    case 1:
        return near_0;
    case 2:
        return 1.0 - near_0;
    default:
        return (double)(random_bits(r) & 1);
    }
}

static double any_logit(const struct slope *slope, struct random *r) {
    if (slope->of.activation == FGHM_PROBABILITY) {
        const double near_0 = exp2(random_uniform(r, -30.0, 0.0));
        return random_below(r, 3) == 0   ? random_uniform(r, 0.0, 1.0)
               : random_below(r, 2) == 0 ? near_0
                                         : 1.0 - near_0;
    }
    return random_log_uniform(r, 0x1p-30, 80.0);
}

static void draw(const struct slope *slope, struct random *r, double *numbers) {
    numbers[0] = any_logit(slope, r);
    numbers[1] = any_target(slope, r);
}

/* Errors -------------------------------------------------------------------------- */

struct elements {
    size_t n;
    double (*points)[NUMBERS_MAX];
    double got[OUTPUTS][ELEMENTS];
};

static bool compute(const struct slope *slope, struct elements *e) {
    const struct dtype *const d = slope->d;
    void *const arrays[] = {dtype_array(d, e->n), dtype_array(d, e->n), dtype_array(d, e->n),
                            dtype_array(d, e->n), dtype_array(d, e->n)};
    fghm_focal *const focal = climb_handle(slope);
    fghm_batch batch = FGHM_BATCH_INIT;
    const fghm_dtype dtype = dtype_of(d);
    batch.ndim = 1;
    batch.shape[0] = (int64_t)e->n;
    batch.activation = slope->of.activation;
    batch.label_smoothing = slope->smoothing;
    batch.logits = (fghm_input){.data = arrays[0], .dtype = dtype};
    batch.targets = (fghm_input){.data = arrays[1], .dtype = dtype};
    batch.element_loss = (fghm_output){.data = arrays[2], .dtype = dtype};
    batch.gradient = (fghm_output){.data = arrays[3], .dtype = dtype};
    batch.hessian = (fghm_output){.data = arrays[4], .dtype = dtype};
    for (size_t i = 0; i < e->n; i++) {
        d->put(arrays[0], i, e->points[i][0]);
        d->put(arrays[1], i, e->points[i][1]);
    }
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, NULL);
    for (size_t i = 0; i < e->n; i++) {
        for (int output = 0; output < OUTPUTS; output++) {
            e->got[output][i] = d->get(arrays[2 + output], i);
        }
    }
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        free(arrays[k]);
    }
    fghm_focal_destroy(focal);
    return status == FGHM_OK;
}

static void compare(struct slope *slope, const struct elements *e) {
    struct reference r;
    mpfr_t x, t;
    reference_init(&r);
    mpfr_inits2(WIDE_BITS, x, t, (mpfr_ptr)0);
    for (size_t i = 0; i < e->n; i++) {
        const double logit = e->points[i][0];
        double targets[2] = {e->points[i][1]};
        soft_smooth(slope->d, slope->smoothing, false, 2, targets);
        const double target = targets[0];
        mpfr_set_d(x, logit, MPFR_RNDN);
        mpfr_set_d(t, target, MPFR_RNDN);
        if (slope->of.activation == FGHM_PROBABILITY) {
            if (logit < slope->d->min_normal || logit == 1.0) {
                continue; /* limits, which have a rule of their own */
            }
            reference_probability(&r, &slope->of.loss, x, t);
        } else {
            reference_sigmoid(&r, &slope->of.loss, x, t);
        }
        mpfr_srcptr exact[] = {r.loss, r.gradient, r.hessian};
        mpfr_srcptr scale[] = {r.loss, r.gradient_scale, r.hessian_scale};
        for (int output = 0; output < OUTPUTS; output++) {
            if (!climb_is_normal(slope, scale[output])) {
                continue; /* subnormal numbers have a promise of their own */
            }
            const double ulps =
                wide_ulps_scaled(slope->d->format, e->got[output][i], exact[output], scale[output]);
            const bool is_double = slope->d->size == sizeof(double);
            const double of_margin = promised_of_margin(&slope->of, is_double, r.condition);
            const double promise =
                promised(&slope->of, output, logit, target, r.condition) + of_margin;
            if (r.power < 0x1p8 * slope->d->min_normal ||
                of_margin * (is_double ? 0x1p-53 : 0x1p-24) > 0x1p-6) {
                continue; /* a promise of their own, or none; so near the margin that this is no
                             factor */
            }
            climb_keep(slope, output, ulps, promise, e->points[i]);
        }
    }
    mpfr_clears(x, t, (mpfr_ptr)0);
    reference_clear(&r);
}

static bool measure(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]) {
    static struct elements e;
    e.n = n;
    e.points = points;
    const bool good = compute(slope, &e);
    compare(slope, &e);
    return good;
}

static const struct kind elements = {
    .name = "elements",
    .outputs = {"loss", "gradient", "hessian"},
    .points = ELEMENTS,
    .draw = draw,
    .measure = measure,
};

/* Slopes --------------------------------------------------------------------------- */

/* Not the matchability-aware rule, whose t^gamma is rounded: where that comes near 1, it is another
 * target. */
static const struct {
    fghm_focal_rule rule;
    const char *name;
    double margin;
} rules[] = {
    {FGHM_FOCAL_RULE_LINEAR, "linear", 0.0},       {FGHM_FOCAL_RULE_SPLIT, "split", 0.0},
    {FGHM_FOCAL_RULE_QUALITY, "quality", 0.0},     {FGHM_FOCAL_RULE_STAR, "star", 0.0},
    {FGHM_FOCAL_RULE_VARIFOCAL, "varifocal", 0.0}, {FGHM_FOCAL_RULE_HEATMAP, "heatmap", 0.0},
    {FGHM_FOCAL_RULE_LINEAR, "margin", 0.05},      {FGHM_FOCAL_RULE_SPLIT, "margin_0.7", 0.7},
};

static const struct {
    fghm_activation activation;
    const char *name;
    double smoothing;
} activations[] = {
    {FGHM_SIGMOID, "sigmoid", 0.0},
    {FGHM_PROBABILITY, "probability", 0.0},
    {FGHM_SIGMOID, "smoothed", 0.1},
};

/* Settings that go together. */
static bool are_combined(const struct promise_of *of, bool smoothed) {
    const struct reference_loss *const loss = &of->loss;
    const bool plain = loss->rule == FGHM_FOCAL_RULE_LINEAR || loss->rule == FGHM_FOCAL_RULE_SPLIT;
    const bool heatmap = loss->rule == FGHM_FOCAL_RULE_HEATMAP;
    const bool star = loss->rule == FGHM_FOCAL_RULE_STAR;
    const bool two = loss->gamma != loss->negative_gamma;
    return (plain || heatmap || (!two && of->activation == FGHM_SIGMOID)) &&
           !(star && (loss->gamma == 0.0 || loss->detached)) &&
           !(smoothed && (star || loss->rule > FGHM_FOCAL_RULE_STAR)) &&
           !(heatmap && loss->alpha != WIDE_ALPHA_OFF) &&
           !(loss->margin > 0.0 && of->activation == FGHM_PROBABILITY);
}

void climb_list_elements(void) {
    static const struct {
        double positive, negative;
    } gammas[] = {{0, 0}, {0.5, 0.5}, {1, 1}, {2, 2}, {3, 3}, {5, 5}, {1.7, 1.7}, {10, 10}, {1, 4}};
    static const double alphas[] = {WIDE_ALPHA_OFF, 0.868};
    const size_t counts[] = {SUITE_COUNT(rules), SUITE_COUNT(activations), CLIMB_MODES,
                             DTYPE_COUNT,        SUITE_COUNT(gammas),      SUITE_COUNT(alphas)};
    size_t all = 1;
    for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
        all *= counts[k];
    }
    for (size_t number = 0; number < all; number++) {
        size_t at[SUITE_COUNT(counts)], rest = number;
        for (size_t k = SUITE_COUNT(counts); k-- > 0;) {
            at[k] = rest % counts[k];
            rest /= counts[k];
        }
        const struct promise_of of = {
            .loss = {.rule = rules[at[0]].rule,
                     .gamma = gammas[at[4]].positive,
                     .negative_gamma = gammas[at[4]].negative,
                     .alpha = alphas[at[5]],
                     .mode = climb_modes[at[2]].mode,
                     .detached = climb_modes[at[2]].detached,
                     .beta = 4.0,
                     .margin = rules[at[0]].margin},
            .activation = activations[at[1]].activation,
        };
        const double smoothing = activations[at[1]].smoothing;
        if (are_combined(&of, smoothing > 0.0)) {
            char alpha[16] = "off";
            if (of.loss.alpha != WIDE_ALPHA_OFF) {
                snprintf(alpha, sizeof alpha, "%g", of.loss.alpha);
            }
            const struct slope slope = {.kind = &elements,
                                        .of = of,
                                        .smoothing = smoothing,
                                        .d = &dtypes[at[3]],
                                        .numbers = 2,
                                        .unbounded = of.activation == FGHM_PROBABILITY ? 0 : 1};
            climb_add(&slope, "%s %s %s %s %g %g %s", rules[at[0]].name, activations[at[1]].name,
                      climb_modes[at[2]].name, slope.d->name, of.loss.gamma, of.loss.negative_gamma,
                      alpha);
        }
    }
}
