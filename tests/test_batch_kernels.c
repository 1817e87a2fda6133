/* SPDX-License-Identifier: MIT */

/* The kernels over batches of every row of the dispatch table against those of the
 * scalar row, on random descriptors: storage, layout, target form, activation and all
 * else that a plan can say.  Rows with fused multiply-add give the same bits; for the
 * others it is seen that they compute the same, to a few digits: how well they do is what
 * the tests of the public functions measure.  Arrays lie against unmapped pages. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/ghm.h>

#include "plan.h"
#include "bins.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/loss.h"
#include "support/random.h"
#include "support/rows.h"
#include "support/strided.h"

#define MOST_ELEMENTS 10000

/* Arrays ------------------------------------------------------------------------- */

/* An array of a random layout: axes in any order, with gaps, backwards; for inputs also
 * repeated. */
static struct strided random_array(struct random *r, fghm_dtype dtype, const size_t extents[3],
                                   bool is_input) {
    size_t axes[3];
    int64_t strides[3], step = 1;
    const bool contiguous = random_below(r, 3) == 0, ordered = random_bits(r) & 1;
    const size_t repeated = is_input && random_below(r, 8) == 0 ? random_below(r, 3) : 3;
    if (contiguous && random_bits(r) & 1) {
        return strided_plain(dtype, extents[0], extents[1], extents[2]);
    }
    random_permutation(r, 3, axes);
    for (size_t k = 0; k < 3; k++) {
        const size_t axis = contiguous || ordered ? 2 - k : axes[k];
        const int64_t sign = !contiguous && random_below(r, 6) == 0 ? -1 : 1;
        const int64_t gap = !contiguous && random_below(r, 6) == 0 ? 2 : 1;
        strides[axis] = !contiguous && axis == repeated ? 0 : sign * gap * step;
        step *= strides[axis] == 0 ? 1 : gap * (int64_t)extents[axis];
    }
    return strided_new(dtype, extents, strides, random_bits(r) & 1);
}

/* Random batches ------------------------------------------------------------------ */

struct form {
    const struct row_case *c;
    struct random *r;
    fghm_batch batch;
    size_t outer, classes, inner;
    struct strided logits, targets, weights, outputs[RESULTS];
    unsigned char *expected[RESULTS]; /* what the scalar row leaves in their memory */
    double class_alpha[100], class_weights[100];
    bool softmax, soft, labels, hard; /* soft: targets of softmax */
    struct fghm_plan plan;
    struct fghm_arrays arrays;
};

static const int32_t reals[] = {FGHM_F32, FGHM_F64, FGHM_F16, FGHM_BF16};

static size_t pick(struct random *r, const size_t *from, size_t count) {
    return from[random_below(r, count)];
}

static void random_shape(struct form *f) {
    const size_t outers[] = {1, 2, 3, 17, 70, 2049, 9000};
    const size_t classes[] = {1, 1, 2, 3, 17, 33, 80};
    const size_t inners[] = {1, 1, 2, 15, 64, 300, 2100};
    do {
        f->outer = pick(f->r, outers, SUITE_COUNT(outers));
        f->classes = pick(f->r, classes, SUITE_COUNT(classes));
        f->inner = pick(f->r, inners, SUITE_COUNT(inners));
    } while (f->outer * f->classes * f->inner > MOST_ELEMENTS);
    f->batch = descriptor_of(f->outer, f->classes, f->inner);
}

static double random_logit(const struct form *f) {
    const double odd[] = {0.0, -0.0, 1e30, -1e30, INFINITY, -INFINITY, (double)NAN, 104.0};
    struct random *const r = f->r;
    if (f->batch.activation == FGHM_PROBABILITY) {
        const double few[] = {0.0, 1.0, 0.5, -0.25, 1.5, (double)NAN};
        return random_below(r, 500) == 0 ? few[random_below(r, SUITE_COUNT(few))]
                                         : random_uniform(r, 0.0, 1.0);
    }
    return random_below(r, 500) == 0 ? odd[random_below(r, SUITE_COUNT(odd))]
                                     : 6.0 * random_normal(r);
}

static int64_t label_low(const struct form *f) {
    return !f->softmax && f->batch.background == FGHM_BACKGROUND_MINUS_ONE ? -1 : 0;
}

/* A valid label; bytes hold those below 256 alone. */
static double random_label(const struct form *f) {
    const int64_t low = label_low(f);
    const bool more = !f->softmax && f->batch.background != FGHM_BACKGROUND_NONE;
    const bool ignored = f->batch.ignore_index != FGHM_IGNORE_NONE && random_below(f->r, 5) == 0;
    const int64_t label = low + (int64_t)random_below(f->r, f->classes + more);
    const double value = ignored ? (double)f->batch.ignore_index : (double)label;
    return f->targets.dtype == FGHM_U8 && value < 0.0 ? 0.0 : value;
}

static double random_dense(const struct form *f) {
    const double wrong[] = {-1.0, 2.0, (double)NAN};
    const bool whole = f->targets.dtype >= FGHM_U8;
    const int64_t index = f->batch.ignore_index;
    const bool fits = f->targets.dtype == FGHM_U8    ? index >= 0 && index <= 255
                      : f->targets.dtype == FGHM_I32 ? index <= INT32_MAX
                                                     : true;
    if (index != FGHM_IGNORE_NONE && random_below(f->r, 5) == 0 && fits) {
        return (double)f->batch.ignore_index;
    }
    if (!whole && random_below(f->r, 5000) == 0) {
        return wrong[random_below(f->r, SUITE_COUNT(wrong))];
    }
    if (!whole && !f->hard && random_bits(f->r) & 1) {
        return random_uniform(f->r, 0.0, 1.0);
    }
    return random_below(f->r, 3) == 0 ? 1.0 : 0.0;
}

static double random_weight(const struct form *f) {
    const double odd[] = {0.0, -1.0, (double)NAN};
    return random_below(f->r, 2000) == 0 ? odd[random_below(f->r, SUITE_COUNT(odd))]
                                         : random_uniform(f->r, 0.0, 1.0);
}

static void fill_input(const struct form *f, struct strided *s,
                       double (*random_value)(const struct form *)) {
    for (size_t k = 0; k < strided_count(s); k++) {
        strided_set(s, k, random_value(f));
    }
}

/* The type of the logits decides in which type the kernels compute. */
static fghm_dtype logits_dtype(const struct form *f) {
    const int32_t narrow[] = {FGHM_F32, FGHM_F32, FGHM_F16, FGHM_BF16};
    return f->c->d->size == sizeof(double) ? FGHM_F64
                                           : narrow[random_below(f->r, SUITE_COUNT(narrow))];
}

/* Often the kernels' own, which they then work on in place. */
static fghm_dtype output_dtype(const struct form *f) {
    const fghm_dtype own = dtype_of(f->c->d);
    return random_bits(f->r) & 1 ? own : reals[random_below(f->r, SUITE_COUNT(reals))];
}

static void random_arrays(struct form *f, bool ghm) {
    struct random *const r = f->r;
    const size_t all[] = {f->outer, f->classes, f->inner};
    const size_t samples[] = {f->outer, 1, f->inner};
    const size_t *const of_losses = f->softmax ? samples : all;
    const int32_t integers[] = {FGHM_U8, FGHM_I32, FGHM_I64};
    const int32_t dense = random_bits(r) & 1 ? output_dtype(f) : integers[random_below(r, 3)];
    f->logits = random_array(r, logits_dtype(f), all, true);
    f->targets = random_array(r, f->labels ? integers[random_below(r, 3)] : dense,
                              f->labels ? samples : all, true);
    fill_input(f, &f->logits, random_logit);
    fill_input(f, &f->targets, f->labels ? random_label : random_dense);
    if (random_bits(r) & 1) {
        f->weights = random_array(r, output_dtype(f), of_losses, true);
        fill_input(f, &f->weights, random_weight);
        f->batch.weights = strided_input(&f->weights);
    }
    for (int k = 0; k < (ghm ? RESULTS : OUTPUTS); k++) {
        if (random_below(r, 3) > 0) {
            const bool per_loss = k == ELEMENT_LOSS || k == HARMONIZING;
            f->outputs[k] = random_array(r, output_dtype(f), per_loss ? of_losses : all, false);
            f->expected[k] = malloc(f->outputs[k].memory.room);
            assert_non_null(f->expected[k]);
        }
    }
    f->batch.logits = strided_input(&f->logits);
    f->batch.targets = strided_input(&f->targets);
    f->batch.element_loss = strided_output(&f->outputs[ELEMENT_LOSS]);
    f->batch.gradient = strided_output(&f->outputs[GRADIENT]);
    f->batch.hessian = strided_output(&f->outputs[HESSIAN]);
    f->batch.harmonizing_weight = strided_output(&f->outputs[HARMONIZING]);
}

static void random_form(struct form *f, const struct row_case *c, struct random *r, bool ghm) {
    const int64_t ignored[] = {-1, 0, 255, INT64_C(1) << 40};
    memset(f, 0, sizeof *f);
    f->c = c;
    f->r = r;
    random_shape(f);
    f->softmax = random_below(r, 3) == 0;
    f->soft = f->softmax && !ghm && random_bits(r) & 1;
    f->labels = (f->softmax && !f->soft) || random_bits(r) & 1;
    f->hard = !c->row->has_fma || random_bits(r) & 1;
    f->batch.activation = f->softmax                        ? FGHM_SOFTMAX
                          : !ghm && random_below(r, 5) == 0 ? FGHM_PROBABILITY
                                                            : FGHM_SIGMOID;
    f->batch.target_form = f->labels ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
    f->batch.background = f->labels ? (int32_t)random_below(r, f->softmax ? 3 : 4) : 0;
    if (random_below(r, 3) == 0 && (f->labels || !f->softmax)) {
        f->batch.ignore_index = ignored[random_below(r, f->labels ? 3 : SUITE_COUNT(ignored))];
    }
    f->batch.flags = f->softmax && !f->labels ? (int32_t)random_below(r, 2) : 0;
    f->batch.label_smoothing = f->soft && f->labels ? random_uniform(r, 0.01, 1.0)
                               : (!f->softmax || f->soft) && !f->hard && random_below(r, 4) == 0
                                   ? random_uniform(r, 0.0, 1.0)
                                   : 0.0;
    random_arrays(f, ghm);
    for (size_t k = 0; k < f->classes; k++) {
        f->class_alpha[k] = random_uniform(r, 0.01, 1.0);
        f->class_weights[k] = random_uniform(r, 0.01, 2.0);
    }
    f->batch.class_alpha = !ghm && random_below(r, 4) == 0 ? f->class_alpha : NULL;
    f->batch.class_weights = !ghm && random_below(r, 4) == 0 ? f->class_weights : NULL;

    const struct fghm_batch_limits limits = {true, true, true, true, true,
                                             true, true, true, true, 0};
    const fghm_result result = FGHM_RESULT_INIT;
    struct fghm_report report;
    const fghm_status status =
        fghm_plan_make(&f->batch, &limits, false, random_bits(r) & 1 ? &result : NULL, NULL,
                       &f->plan, &f->arrays, &report);
    if (status != FGHM_OK) {
        fail_msg("plan: %s", fghm_status_string(status));
    }
    assert_int_equal(f->plan.is_double, c->d->size == sizeof(double));
}

static void form_free(struct form *f) {
    strided_free(&f->logits);
    strided_free(&f->targets);
    strided_free(&f->weights);
    for (int k = 0; k < RESULTS; k++) {
        strided_free(&f->outputs[k]);
        free(f->expected[k]);
    }
}

/* Comparing ------------------------------------------------------------------------ */

static void fail_form(const struct form *f, const char *format, const char *what, double got,
                      double want) {
    char values[200];
    const fghm_batch *const b = &f->batch;
    snprintf(values, sizeof values, format, what, got, want);
    fail_msg("%s %s: %s; %zu x %zu x %zu activation %d form %d background %d ignoring %lld "
             "smoothing %g dtypes %d %d %d, seed %llu",
             f->c->row->name, f->c->d->name, values, f->outer, f->classes, f->inner, b->activation,
             b->target_form, b->background, (long long)b->ignore_index, b->label_smoothing,
             b->logits.dtype, b->targets.dtype, b->weights.dtype,
             (unsigned long long)random_run_seed());
}

/* Digits enough to see that a row without fused multiply-add computes the same. */
static double relative_tolerance(fghm_dtype dtype, const struct row_case *c) {
    return dtype == FGHM_BF16            ? 0x1p-6
           : dtype == FGHM_F16           ? 0x1p-9
           : c->d->size == sizeof(float) ? 0x1p-12
           : dtype == FGHM_F32           ? 0x1p-20
                                         : 0x1p-36;
}

static void assert_output(const struct form *f, int output) {
    const struct strided *const s = &f->outputs[output];
    const unsigned char *const expected = f->expected[output];
    double largest = 0.0;
    assert_true(strided_gaps_untouched(s));
    if (memcmp(s->memory.start, expected, s->memory.room) == 0) {
        return;
    }
    for (size_t k = 0; k < strided_count(s); k++) {
        const double x = fabs(strided_load(s->dtype, expected + strided_offset(s, k)));
        largest = isfinite(x) && x > largest ? x : largest;
    }
    for (size_t k = 0; k < strided_count(s); k++) {
        const unsigned char *const wanted = expected + strided_offset(s, k);
        const double a = strided_at(s, k), b = strided_load(s->dtype, wanted);
        const bool same = (isnan(a) && isnan(b)) || memcmp(s->memory.start + strided_offset(s, k),
                                                           wanted, strided_size(s->dtype)) == 0;
        const bool near =
            !f->c->row->has_fma && fabs(a - b) <= relative_tolerance(s->dtype, f->c) * largest;
        if (!same && !near) {
            fail_form(f, "%s %a, scalar %a", result_names[output], a, b);
        }
    }
}

static void assert_parts(const struct form *f, const struct fghm_part *a,
                         const struct fghm_part *b) {
    const double sum = a->sum + a->sum_error, wanted = b->sum + b->sum_error;
    const bool both_nan = isnan(a->sum) && isnan(b->sum);
    if (f->c->row->has_fma) {
        if (!both_nan && (memcmp(&a->sum, &b->sum, sizeof a->sum) != 0 ||
                          memcmp(&a->sum_error, &b->sum_error, sizeof a->sum_error) != 0)) {
            fail_form(f, "%s %a, scalar %a", "sum", sum, wanted);
        }
    } else if (!both_nan && sum != wanted && !(fabs(sum - wanted) <= 0x1p-12 * fabs(wanted))) {
        fail_form(f, "%s %a, scalar %a", "sum", sum, wanted);
    }
    if (a->targets.positives != b->targets.positives || a->ignored != b->ignored) {
        fail_form(f, "%s %.0f, scalar %.0f", a->ignored != b->ignored ? "ignored" : "positives",
                  (double)(a->ignored != b->ignored ? a->ignored : a->targets.positives),
                  (double)(a->ignored != b->ignored ? b->ignored : b->targets.positives));
    }
    if (a->bad != b->bad || (b->bad != FGHM_BAD_NOTHING && a->offender != b->offender)) {
        fail_form(f, "%s %.0f, scalar %.0f", "offender", (double)a->offender, (double)b->offender);
    }
}

/* Work on all that a batch has, cut into random parts. */
#define CUTS_MAX 4
typedef void part_work(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                       size_t first, size_t n, struct fghm_part *part);

struct cuts {
    size_t at[CUTS_MAX + 1], count;
};

static struct cuts random_cuts(struct random *r, size_t n) {
    struct cuts cuts = {.count = 1 + random_below(r, CUTS_MAX)};
    for (size_t k = 1; k < cuts.count; k++) {
        const size_t rest = n - cuts.at[k - 1];
        cuts.at[k] = cuts.at[k - 1] + random_below(r, rest + 1);
    }
    cuts.at[cuts.count] = n;
    return cuts;
}

static void run_parts(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                      const struct cuts *cuts, part_work *work, struct fghm_part *parts) {
    for (int k = 0; k < RESULTS; k++) {
        if (f->outputs[k].first != NULL) {
            guarded_fill(&f->outputs[k].memory, STRIDED_FILL);
        }
    }
    for (size_t k = 0; k < cuts->count; k++) {
        parts[k] = (struct fghm_part){0};
        if (cuts->at[k + 1] > cuts->at[k]) {
            work(f, kernels, plan, cuts->at[k], cuts->at[k + 1] - cuts->at[k], &parts[k]);
        }
    }
}

/* `scalar` and `own` are the plans of the two rows. */
static void check_parts(struct form *f, const void *scalar, const void *own, size_t n,
                        part_work *work) {
    struct fghm_part wanted[CUTS_MAX], got[CUTS_MAX];
    const struct cuts cuts = random_cuts(f->r, n);
    run_parts(f, f->c->scalar, scalar, &cuts, work, wanted);
    for (int k = 0; k < RESULTS; k++) {
        const struct strided *const s = &f->outputs[k];
        if (s->first != NULL) {
            assert_true(strided_gaps_untouched(s));
            memcpy(f->expected[k], s->memory.start, s->memory.room);
        }
    }
    run_parts(f, f->c->kernels, own, &cuts, work, got);
    for (int k = 0; k < RESULTS; k++) {
        if (f->outputs[k].first != NULL) {
            assert_output(f, k);
        }
    }
    for (size_t k = 0; k < cuts.count; k++) {
        assert_parts(f, &got[k], &wanted[k]);
    }
}

/* Focal loss ------------------------------------------------------------------------- */

#define FORMS 300

static const struct {
    int kernel;
    double gamma, negative_gamma;
} losses[] = {{FGHM_GAMMA_0, 0.0, 0.0},      {FGHM_GAMMA_HALF, 0.5, 0.5},
              {FGHM_GAMMA_1, 1.0, 1.0},      {FGHM_GAMMA_2, 2.0, 2.0},
              {FGHM_GAMMA_ANY, 1.5, 1.5},    {FGHM_GAMMA_ANY, 4.2, 4.2},
              {FGHM_GAMMA_POWERS, 1.0, 4.0}, {FGHM_GAMMA_POWERS, 7.5, 0.0},
              {FGHM_GAMMA_LANES, 0.3, 4.0},  {FGHM_GAMMA_LANES, 17.0, 0.0}};

/* A rule that the form allows; returns the loss. */
static size_t random_rule(const struct form *f, struct fghm_focal_losses *rule) {
    const bool probability = f->batch.activation == FGHM_PROBABILITY;
    const size_t loss = random_below(f->r, SUITE_COUNT(losses));
    struct fghm_focal_constants *const constants = &rule->constants;
    *constants = rows_constants(f->r, losses[loss].gamma);
    constants->negative_gamma = losses[loss].negative_gamma;
    if (f->softmax) {
        constants->negative = constants->positive;
    }
    rule->soft_negative_gamma = f->soft && f->labels && random_bits(f->r) & 1 ? 0.75 : -1.0;
    rule->soft_by_class = rule->soft_negative_gamma >= 0.0 || random_bits(f->r) & 1;
    rule->of_terms = fghm_have_class_factors(&f->arrays) && (!f->labels || random_bits(f->r) & 1);
    const bool two_gammas = constants->gamma != constants->negative_gamma;
    constants->soft = two_gammas || random_below(f->r, 4) == 0     ? FGHM_SOFT_SPLIT
                      : !probability && random_below(f->r, 4) == 0 ? FGHM_SOFT_QUALITY
                                                                   : FGHM_SOFT_LINEAR;
    if (!two_gammas && !probability && !f->soft && f->batch.label_smoothing == 0.0 &&
        random_below(f->r, 4) == 0) {
        rule->star = losses[loss].gamma;
        constants->soft = FGHM_SOFT_LINEAR;
        if (rule->star > 0.0) {
            constants->gamma = constants->negative_gamma = 0.0;
            return 0;
        }
    }
    return loss;
}

static struct fghm_focal_losses with_kernels(const struct form *f, struct fghm_focal_losses rule,
                                             const struct fghm_kernels *kernels, size_t loss) {
    const bool probability = f->batch.activation == FGHM_PROBABILITY;
    rule.kernels = kernels;
    rule.kernel = probability ? kernels->probability : kernels->focal[losses[loss].kernel];
    return rule;
}

static void focal_part(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                       size_t first, size_t n, struct fghm_part *part) {
    (void)f;
    fghm_walk_of(kernels->real_size)->focal(plan, first, n, part);
}

static void focal(void **state) {
    const struct row_case *c = *state;
    struct combinations all = combinations(11);
    for (int k = 0; k < FORMS; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct form f;
        random_form(&f, c, &all.random, false);
        struct fghm_focal_losses rule = {0};
        const size_t loss = random_rule(&f, &rule);
        const struct fghm_focal_losses of_scalar = with_kernels(&f, rule, c->scalar, loss);
        const struct fghm_focal_losses of_row = with_kernels(&f, rule, c->kernels, loss);
        const double scale = rows_scale(&all.random);
        const struct fghm_focal_plan scalar = {f.plan, &of_scalar, scale};
        const struct fghm_focal_plan own = {f.plan, &of_row, scale};
        check_parts(&f, &scalar, &own, fghm_plan_losses(&f.plan), focal_part);
        form_free(&f);
    }
    combinations_end(&all);
}

/* NaN in any class of a sample, and +inf in another than its own, make it NaN. */
static void softmax_of_no_number(void **state) {
    const struct row_case *c = *state;
    const fghm_dtype dtype = c->d->size == sizeof(double) ? FGHM_F64 : FGHM_F32;
    const double rest[] = {0.0, -1e30, -INFINITY};
    for (int k = 0; k < 5 * (int)SUITE_COUNT(rest); k++) {
        double logits[3], results[2][3];
        const int32_t label = 1;
        const struct fghm_batch_limits limits = {true, true, true, true, true,
                                                 true, true, true, true, 0};
        fghm_batch batch = descriptor_of(1, 3, 1);
        batch.activation = FGHM_SOFTMAX;
        batch.target_form = FGHM_TARGET_LABEL;
        batch.logits = (fghm_input){.data = logits, .dtype = dtype};
        batch.targets = (fghm_input){.data = &label, .dtype = FGHM_I32};
        batch.element_loss = (fghm_output){.data = results[0], .dtype = dtype};
        batch.gradient = (fghm_output){.data = results[1], .dtype = dtype};
        for (size_t i = 0; i < 3; i++) {
            c->d->put(logits, i, i == 1 ? 0.5 : rest[k / 5]);
        }
        c->d->put(logits, k % 5 < 3 ? (size_t)k % 5 : (size_t)(k % 5 - 3) * 2,
                  k % 5 < 3 ? (double)NAN : INFINITY);
        const struct fghm_focal_losses rule = {
            .constants = {.gamma = 2,
                          .positive = 1,
                          .hessian_floor = -DBL_MAX,
                          .hessian_factor = 1},
            .kernels = c->kernels,
            .kernel = c->kernels->focal[FGHM_GAMMA_2],
        };
        struct fghm_focal_plan plan = {.losses = &rule, .scale = 1};
        struct fghm_arrays arrays;
        struct fghm_part part = {0};
        struct fghm_report report;
        assert_int_equal(
            fghm_plan_make(&batch, &limits, false, NULL, NULL, &plan.batch, &arrays, &report),
            FGHM_OK);
        fghm_walk_of(c->d->size)->focal(&plan, 0, 1, &part);
        assert_true(isnan(part.sum));
        assert_true(isnan(c->d->get(results[0], 0)));
        for (size_t i = 0; i < 3; i++) {
            assert_true(isnan(c->d->get(results[1], i)));
        }
    }
}

/* Counting before ---------------------------------------------------------------------- */

static void survey_part(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                        size_t first, size_t n, struct fghm_part *part) {
    (void)f;
    fghm_walk_of(kernels->real_size)->survey(kernels, plan, first, n, part);
}

/* Here labels may be none. */
static void survey(void **state) {
    const struct row_case *c = *state;
    struct combinations all = combinations(12);
    for (int k = 0; k < FORMS; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct form f;
        random_form(&f, c, &all.random, false);
        f.plan.counting = true;
        for (int wrong = 0; f.labels && wrong < 2; wrong++) {
            strided_set(&f.targets, random_below(&all.random, strided_count(&f.targets)), 101.0);
        }
        check_parts(&f, &f.plan, &f.plan,
                    f.labels ? fghm_plan_samples(&f.plan) : fghm_plan_losses(&f.plan), survey_part);
        form_free(&f);
    }
    combinations_end(&all);
}

/* GHM-C -------------------------------------------------------------------------------- */

static const size_t bin_counts[] = {1, 3, 10, 15, 16, 24, 30, 100, FGHM_BINS_MAX};

static void count_part(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                       size_t first, size_t n, struct fghm_part *part) {
    struct fghm_ghm_plan ghm = *(const struct fghm_ghm_plan *)plan;
    static uint64_t counts[2][FGHM_BINS_MAX];
    uint64_t *const own = counts[kernels == f->c->kernels];
    uint64_t valid = 0;
    memset(own, 0, sizeof counts[0]);
    ghm.kernels = kernels;
    fghm_walk_of(kernels->real_size)->ghm_count(&ghm, first, n, own, &valid, part);
    part->targets.positives = valid; /* which these kernels leave alone */
    for (size_t b = 0; b < ghm.bins->bins; b++) {
        part->sum += (double)own[b] * (double)(b * b + 1);
        part->sum_error += (double)own[b];
    }
}

static void apply_part(const struct form *f, const struct fghm_kernels *kernels, const void *plan,
                       size_t first, size_t n, struct fghm_part *part) {
    struct fghm_ghm_plan ghm = *(const struct fghm_ghm_plan *)plan;
    (void)f;
    ghm.kernels = kernels;
    fghm_walk_of(kernels->real_size)->ghm_apply(&ghm, first, n, part);
}

static void ghm(void **state) {
    const struct row_case *c = *state;
    struct random r = random_for(13);
    struct combinations all = combinations(13);
    for (size_t bins = 0; bins < SUITE_COUNT(bin_counts); bins++) {
        struct fghm_bin_tables tables;
        void *const weights = dtype_array(c->d, FGHM_BINS_MAX + 1);
        assert_int_equal(fghm_bin_tables_make(&tables, bin_counts[bins], NULL, 0.0), 0);
        for (size_t b = 0; b < bin_counts[bins]; b++) {
            c->d->put(weights, b, random_uniform(&r, 0.0, 3.0));
        }
        for (size_t k = 0; k < FORMS / SUITE_COUNT(bin_counts); k++) {
            if (!combinations_next(&all)) {
                continue;
            }
            struct form f;
            random_form(&f, c, &all.random, true);
            const struct fghm_ghm_plan plan = {
                .batch = f.plan,
                .bins = c->d->size == sizeof(float) ? &tables.f32 : &tables.f64,
                .bin_weights = weights,
                .harmonizing_weights = weights,
                .scale = random_uniform(&all.random, 0.0, 1.0),
            };
            /* Softmax margins are rounded, so that their bins are the row's own. */
            if (c->row->has_fma || !f.softmax) {
                const size_t n = fghm_plan_losses(&f.plan);
                check_parts(&f, &plan, &plan, n, apply_part);
                for (int o = 0; o < RESULTS; o++) {
                    strided_free(&f.outputs[o]);
                }
                check_parts(&f, &plan, &plan, n, count_part);
            }
            form_free(&f);
        }
        fghm_bin_tables_free(&tables);
        free(weights);
    }
    combinations_end(&all);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"focal", focal, 1},
        {"softmax_of_no_number", softmax_of_no_number, 1},
        {"survey", survey, 1},
        {"ghm", ghm, 1},
    };
    return rows_run(argument_count, arguments, "test_batch_kernels", false, tests,
                    SUITE_COUNT(tests));
}
