/* SPDX-License-Identifier: MIT */
/* Looks for the elements with the largest errors, and holds them against what the headers promise.
 *
 * Sampling finds errors that are frequent.  This climbs: from the worst elements that are known it
 * goes on to their neighbours, near and far, for every rule, activation, type, gamma, alpha and
 * output.  What it has found is kept in a file, a line each, and looked at again by the quick
 * suite.
 *
 *     climb check FILE                 the elements of the file once more
 *     climb seek FILE CALLS [NAME]     from those of the file, so many calls for each line whose
 *                                      name has NAME in it
 *     climb write FILE CALLS [NAME]    the same, and writes the file anew
 *
 * It counts calls, not seconds: what it finds is the same on every machine with fused multiply-add.
 *
 * The exit status is 1 if an error is larger than what is promised. */
#include <focalghm/focalghm.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "promise.h"
#include "reference.h"
#include "suite.h"

/* Elements of a call. */
#define BATCH 256

/* The best of a line and output, from which others are made. */
#define KEPT 4

struct climber {
    double error[KEPT]; /* in units of the promise; falling */
    double logit[KEPT], target[KEPT];
};

/* What is climbed: one handle. */
struct slope {
    struct promise_of of;
    const struct dtype *d;
    struct climber outputs[OUTPUTS];
};

#define MOST_SLOPES 1024
static struct slope slopes[MOST_SLOPES];
static size_t slope_count;

static fghm_focal *handle_of(const struct slope *slope) {
    fghm_focal *focal;
    if (fghm_focal_create(&focal) != FGHM_OK) {
        return NULL;
    }
    fghm_status status = fghm_focal_set_rule(focal, slope->of.loss.rule);
    status |= fghm_focal_set_gamma(focal, slope->of.loss.gamma);
    if (slope->of.loss.gamma != slope->of.loss.negative_gamma) {
        status |= fghm_focal_set_negative_gamma(focal, slope->of.loss.negative_gamma);
    }
    status |= slope->of.loss.alpha == WIDE_ALPHA_OFF
                  ? fghm_focal_clear_alpha(focal)
                  : fghm_focal_set_alpha(focal, slope->of.loss.alpha);
    status |= fghm_focal_set_hessian_mode(focal, slope->of.loss.mode);
    status |= fghm_focal_set_detached(focal, slope->of.loss.detached);
    status |= fghm_focal_set_beta(focal, slope->of.loss.beta);
    status |= fghm_focal_set_margin(focal, slope->of.loss.margin);
    status |= fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM);
    if (status != FGHM_OK) {
        fghm_focal_destroy(focal);
        return NULL;
    }
    return focal;
}

/* Elements ------------------------------------------------------------------------ */

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

/* A number some places away, or far. */
static double neighbour(const struct dtype *d, struct random *r, double x) {
    const double unit = fabs(d->next(x, INFINITY) - x);
    const double places = exp2(random_uniform(r, 0.0, d->size == sizeof(float) ? 22.0 : 50.0));
    return dtype_round(d, x + (random_bits(r) & 1 ? unit : -unit) * floor(places));
}

static double in_unit(double x) {
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

static void next_element(const struct slope *slope, struct random *r, double *logit,
                         double *target) {
    const struct climber *const climber = &slope->outputs[random_below(r, OUTPUTS)];
    const size_t from = random_below(r, KEPT);
    *logit = any_logit(slope, r);
    *target = any_target(slope, r);
    if (climber->error[from] > 0.0 && random_below(r, 4) > 0) {
        const size_t which = random_below(r, 4);
        *logit = which == 1 ? climber->logit[from] : neighbour(slope->d, r, climber->logit[from]);
        *target = climber->target[from];
        if (which > 0 && *target > 0.0 && *target < 1.0) {
            *target = neighbour(slope->d, r, *target);
        }
    }
    *target = in_unit(dtype_round(slope->d, *target));
    *logit = dtype_round(slope->d, *logit);
    if (slope->of.activation == FGHM_PROBABILITY) {
        *logit = in_unit(*logit);
    }
}

/* Errors -------------------------------------------------------------------------- */

struct elements {
    double logit[BATCH], target[BATCH];
    double got[OUTPUTS][BATCH];
};

static bool compute(const struct slope *slope, const fghm_focal *focal, struct elements *e,
                    size_t n) {
    const struct dtype *const d = slope->d;
    void *const arrays[] = {dtype_array(d, n), dtype_array(d, n), dtype_array(d, n),
                            dtype_array(d, n), dtype_array(d, n)};
    fghm_batch batch = FGHM_BATCH_INIT;
    const fghm_dtype dtype = dtype_of(d);
    batch.ndim = 1;
    batch.shape[0] = (int64_t)n;
    batch.activation = slope->of.activation;
    batch.logits = (fghm_input){.data = arrays[0], .dtype = dtype};
    batch.targets = (fghm_input){.data = arrays[1], .dtype = dtype};
    batch.element_loss = (fghm_output){.data = arrays[2], .dtype = dtype};
    batch.gradient = (fghm_output){.data = arrays[3], .dtype = dtype};
    batch.hessian = (fghm_output){.data = arrays[4], .dtype = dtype};
    for (size_t i = 0; i < n; i++) {
        d->put(arrays[0], i, e->logit[i]);
        d->put(arrays[1], i, e->target[i]);
    }
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, NULL);
    for (size_t i = 0; i < n; i++) {
        for (int output = 0; output < OUTPUTS; output++) {
            e->got[output][i] = d->get(arrays[2 + output], i);
        }
    }
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        free(arrays[k]);
    }
    return status == FGHM_OK;
}

static void keep(struct climber *climber, double error, double logit, double target) {
    size_t at = KEPT;
    for (size_t k = 0; k < KEPT; k++) {
        if (climber->logit[k] == logit && climber->target[k] == target) {
            return;
        }
    }
    while (at > 0 && error > climber->error[at - 1]) {
        at--;
    }
    for (size_t k = KEPT; k-- > at + 1;) {
        climber->error[k] = climber->error[k - 1];
        climber->logit[k] = climber->logit[k - 1];
        climber->target[k] = climber->target[k - 1];
    }
    if (at < KEPT) {
        climber->error[at] = error;
        climber->logit[at] = logit;
        climber->target[at] = target;
    }
}

static void measure(struct slope *slope, const struct elements *e, size_t n) {
    struct reference r;
    mpfr_t x, t;
    reference_init(&r);
    mpfr_inits2(WIDE_BITS, x, t, (mpfr_ptr)0);
    for (size_t i = 0; i < n; i++) {
        mpfr_set_d(x, e->logit[i], MPFR_RNDN);
        mpfr_set_d(t, e->target[i], MPFR_RNDN);
        if (slope->of.activation == FGHM_PROBABILITY) {
            if (e->logit[i] < slope->d->min_normal || e->logit[i] == 1.0) {
                continue; /* limits, which have a rule of their own */
            }
            reference_probability(&r, &slope->of.loss, x, t);
        } else {
            reference_sigmoid(&r, &slope->of.loss, x, t);
        }
        mpfr_srcptr exact[] = {r.loss, r.gradient, r.hessian};
        mpfr_srcptr scale[] = {r.loss, r.gradient_scale, r.hessian_scale};
        for (int output = 0; output < OUTPUTS; output++) {
            if (mpfr_cmp_d(scale[output], 0x1p8 * slope->d->min_normal) < 0 ||
                mpfr_cmp_d(scale[output], slope->d->format->max) > 0) {
                continue; /* subnormal numbers have a promise of their own */
            }
            const double ulps =
                wide_ulps_scaled(slope->d->format, e->got[output][i], exact[output], scale[output]);
            const bool is_double = slope->d->size == sizeof(double);
            const double of_margin = promised_of_margin(&slope->of, is_double, r.condition);
            const double promise =
                promised(&slope->of, output, e->logit[i], e->target[i], r.condition) + of_margin;
            if (r.power < 0x1p8 * slope->d->min_normal ||
                of_margin * (is_double ? 0x1p-53 : 0x1p-24) > 0x1p-6) {
                continue; /* no promise; so near the margin that this is no factor */
            }
            keep(&slope->outputs[output], ulps / promise, e->logit[i], e->target[i]);
        }
    }
    mpfr_clears(x, t, (mpfr_ptr)0);
    reference_clear(&r);
}

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
} activations[] = {
    {FGHM_SIGMOID, "sigmoid"},
    {FGHM_PROBABILITY, "probability"},
};

static const struct {
    fghm_hessian_mode mode;
    const char *name;
    bool detached;
} modes[] = {
    {FGHM_HESSIAN_EXACT, "exact", false},
    {FGHM_HESSIAN_GAUSS_NEWTON, "gauss_newton", false},
    {FGHM_HESSIAN_EXACT, "detached", true},
};

static const char *const output_words[OUTPUTS] = {"loss", "gradient", "hessian"};

/* Settings that go together. */
static bool are_combined(const struct promise_of *of) {
    const struct reference_loss *const loss = &of->loss;
    const bool plain = loss->rule == FGHM_FOCAL_RULE_LINEAR || loss->rule == FGHM_FOCAL_RULE_SPLIT;
    const bool heatmap = loss->rule == FGHM_FOCAL_RULE_HEATMAP;
    const bool star = loss->rule == FGHM_FOCAL_RULE_STAR;
    const bool two = loss->gamma != loss->negative_gamma;
    return (plain || heatmap || (!two && of->activation == FGHM_SIGMOID)) &&
           !(star && (loss->gamma == 0.0 || loss->detached)) &&
           !(heatmap && loss->alpha != WIDE_ALPHA_OFF) &&
           !(loss->margin > 0.0 && of->activation == FGHM_PROBABILITY);
}

static void list_slopes(void) {
    static const struct {
        double positive, negative;
    } gammas[] = {{0, 0}, {0.5, 0.5}, {1, 1}, {2, 2}, {3, 3}, {5, 5}, {1.7, 1.7}, {10, 10}, {1, 4}};
    static const double alphas[] = {WIDE_ALPHA_OFF, 0.868};
    const size_t counts[] = {SUITE_COUNT(rules), SUITE_COUNT(activations), SUITE_COUNT(modes),
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
                     .mode = modes[at[2]].mode,
                     .detached = modes[at[2]].detached,
                     .beta = 4.0,
                     .margin = rules[at[0]].margin},
            .activation = activations[at[1]].activation,
        };
        if (are_combined(&of)) {
            slopes[slope_count++] = (struct slope){.of = of, .d = &dtypes[at[3]]};
        }
    }
}

static void name_slope(const struct slope *slope, char *name, size_t size) {
    const char *rule = "", *activation = "", *mode = "";
    for (size_t k = 0; k < SUITE_COUNT(rules); k++) {
        const bool same =
            rules[k].rule == slope->of.loss.rule && rules[k].margin == slope->of.loss.margin;
        rule = same ? rules[k].name : rule;
    }
    for (size_t k = 0; k < SUITE_COUNT(activations); k++) {
        activation =
            activations[k].activation == slope->of.activation ? activations[k].name : activation;
    }
    for (size_t k = 0; k < SUITE_COUNT(modes); k++) {
        const bool same =
            modes[k].mode == slope->of.loss.mode && modes[k].detached == slope->of.loss.detached;
        mode = same ? modes[k].name : mode;
    }
    char alpha[16] = "off";
    if (slope->of.loss.alpha != WIDE_ALPHA_OFF) {
        snprintf(alpha, sizeof alpha, "%g", slope->of.loss.alpha);
    }
    snprintf(name, size, "%s %s %s %s %g %g %s", rule, activation, mode, slope->d->name,
             slope->of.loss.gamma, slope->of.loss.negative_gamma, alpha);
}

/* The file -------------------------------------------------------------------------- */

/* "RULE ACTIVATION MODE TYPE GAMMA NEGATIVE_GAMMA ALPHA OUTPUT LOGIT TARGET" */
static bool read_line(const char *line) {
    char name[128], words[7][20], output[20];
    double logit, target;
    if (sscanf(line, "%19s %19s %19s %19s %19s %19s %19s %19s %lf %lf", words[0], words[1],
               words[2], words[3], words[4], words[5], words[6], output, &logit, &target) != 10) {
        return false;
    }
    char wanted[160];
    snprintf(wanted, sizeof wanted, "%s %s %s %s %s %s %s", words[0], words[1], words[2], words[3],
             words[4], words[5], words[6]);
    for (size_t k = 0; k < slope_count; k++) {
        name_slope(&slopes[k], name, sizeof name);
        for (int o = 0; strcmp(name, wanted) == 0 && o < OUTPUTS; o++) {
            if (strcmp(output_words[o], output) == 0) {
                struct elements e = {.logit = {logit}, .target = {target}};
                fghm_focal *const focal = handle_of(&slopes[k]);
                const bool good = focal != NULL && compute(&slopes[k], focal, &e, 1);
                measure(&slopes[k], &e, good ? 1 : 0);
                fghm_focal_destroy(focal);
                return good;
            }
        }
    }
    return false;
}

static bool read_file(const char *path) {
    FILE *const file = fopen(path, "r");
    char line[256];
    bool good = file != NULL;
    while (good && fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#' && !read_line(line)) {
            fprintf(stderr, "climb: not understood: %s", line);
            good = false;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

static bool write_file(const char *path) {
    FILE *const file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    fprintf(file,
            "# SPDX-License-Identifier: MIT\n"
            "# Elements with large errors, found by climbing (climb.c): rule, activation, mode "
            "of the Hessian,\n"
            "# type, gamma, gamma of negatives, alpha, output, logit or probability, target\n");
    for (size_t k = 0; k < slope_count; k++) {
        char name[128];
        name_slope(&slopes[k], name, sizeof name);
        for (int o = 0; o < OUTPUTS; o++) {
            if (slopes[k].outputs[o].error[0] > 0.0) {
                fprintf(file, "%s %s %a %a\n", name, output_words[o], slopes[k].outputs[o].logit[0],
                        slopes[k].outputs[o].target[0]);
            }
        }
    }
    return fclose(file) == 0;
}

/* ------------------------------------------------------------------------------------ */

static bool climb(struct slope *slope, struct random *r, long calls) {
    fghm_focal *const focal = handle_of(slope);
    bool good = focal != NULL;
    for (long call = 0; good && call < calls; call++) {
        static struct elements e;
        for (size_t i = 0; i < BATCH; i++) {
            next_element(slope, r, &e.logit[i], &e.target[i]);
        }
        good = compute(slope, focal, &e, BATCH);
        measure(slope, &e, good ? BATCH : 0);
    }
    fghm_focal_destroy(focal);
    return good;
}

/* What has been found; false if it is more than the promise. */
static bool report(const struct slope *slope, const char *name) {
    bool good = true;
    printf("%-52s", name);
    for (int o = 0; o < OUTPUTS; o++) {
        const struct climber *const c = &slope->outputs[o];
        const double at_best = promised(&slope->of, o, c->logit[0], c->target[0], 0.0);
        printf("  %s %.2f of %g%s", output_words[o], c->error[0] * at_best, at_best,
               c->error[0] > 1.0 ? " TOO MUCH" : "");
        good = good && c->error[0] <= 1.0;
    }
    printf("\n");
    return good;
}

int main(int count, char **arguments) {
    const char *const what = count > 2 ? arguments[1] : "";
    const bool checks = strcmp(what, "check") == 0 && count == 3;
    const bool writes = strcmp(what, "write") == 0 && (count == 4 || count == 5);
    const char *const part = count == 5 ? arguments[4] : "";
    if (!checks && !writes && !(strcmp(what, "seek") == 0 && (count == 4 || count == 5))) {
        fprintf(stderr, "usage: climb check FILE | climb seek|write FILE CALLS [NAME]\n");
        return 2;
    }
    const int isa = suite_check_isa();
    if (isa != 0) {
        return isa;
    }
    list_slopes();
    bool good = read_file(arguments[2]) || writes;
    struct random r = random_for(1);
    printf("climb: %s, ulp\n", fghm_isa_name());
    for (size_t k = 0; k < slope_count; k++) {
        char name[128];
        name_slope(&slopes[k], name, sizeof name);
        const bool wanted = strstr(name, part) != NULL;
        if (!checks && wanted && !climb(&slopes[k], &r, atol(arguments[3]))) {
            fprintf(stderr, "climb: a call has failed: %s\n", name);
            return 1;
        }
        good = (!wanted || report(&slopes[k], name)) && good;
    }
    if (writes && !write_file(arguments[2])) {
        perror(arguments[2]);
        return 1;
    }
    return good ? 0 : 1;
}
