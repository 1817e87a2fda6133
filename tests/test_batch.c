/* SPDX-License-Identifier: MIT */

/* Focal loss over batches against the formulas of the headers: a seeded random
 * covering of every axis of the descriptor and of the handle.  Each combination is
 * called twice: with all outputs in the type of the computation, which are compared
 * with the reference element by element, and as it was drawn (any subset of outputs,
 * dtype, layout and threads), which must be the rounded results of the first, bit for
 * bit.  All arrays end at a page that cannot be touched, and gaps hold NaN. */

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/suite.h"

enum { COMBINATIONS = 500, CLASSES_MAX = 80, CHECKED_MAX = 150 };

/* -------------------------------------------------------------------------
 * A combination. */

enum weighting { UNWEIGHTED, PER_ELEMENT, PER_SAMPLE };

struct combination {
    unsigned number;
    size_t outer, classes, inner;
    fghm_activation activation;
    fghm_target_form form;
    fghm_background background;
    int ignoring;
    int64_t ignore_index;
    double smoothing;
    fghm_dtype logits, targets, weights, outputs[OUTPUTS];
    enum weighting weighting;
    int has_class_alpha, has_class_weights;
    double class_alpha[CLASSES_MAX], class_weights[CLASSES_MAX];
    struct reference_loss loss;
    double loss_weight, normalizer;
    fghm_reduction reduction;
    unsigned subset; /* bit k: output k, bit OUTPUTS: the result */
    int threads;
};

static int is_softmax(const struct combination *c) {
    return c->activation == FGHM_SOFTMAX;
}

static int is_double(const struct combination *c) {
    return c->logits == FGHM_F64;
}

static const struct wide_format *format_of(const struct combination *c) {
    return is_double(c) ? &wide_f64 : &wide_f32;
}

static fghm_dtype real_of(const struct combination *c) {
    return is_double(c) ? FGHM_F64 : FGHM_F32;
}

static void draw_shape(struct random *r, struct combination *c) {
    c->outer = c->classes = c->inner = 1;
    switch (random_below(r, 6)) {
    case 0:
        c->outer = 1 + random_below(r, 130);
        break;
    case 1:
        c->outer = 1 + random_below(r, 20);
        c->classes = 1 + random_below(r, 12);
        break;
    case 2:
        c->inner = 1 + random_below(r, 40);
        c->classes = 1 + random_below(r, 9);
        break;
    case 3:
        c->outer = 1 + random_below(r, 4);
        c->classes = 1 + random_below(r, CLASSES_MAX);
        c->inner = 1 + random_below(r, 3);
        break;
    case 4: /* more than a tile */
        c->outer = 1 + random_below(r, 40);
        c->classes = 1 + random_below(r, 7);
        c->inner = 1 + random_below(r, 60);
        break;
    default:
        c->outer = 1 + random_below(r, 5);
        c->classes = 1 + random_below(r, 5);
        c->inner = 1 + random_below(r, 20);
        break;
    }
}

static double draw_gamma(struct random *r) {
    static const double gammas[] = {0, 0, .5, 1, 1.5, 2, 2, 3, 4, 5, 0.3, 2.7, 7.25, 10};
    return gammas[random_below(r, SUITE_COUNT(gammas))];
}

static void draw_loss(struct random *r, struct combination *c) {
    static const double alphas[] = {WIDE_ALPHA_OFF, 0.25, 0.5, 0.9, 0.0, 1.0};
    struct reference_loss *const loss = &c->loss;
    loss->rule = (fghm_focal_rule)random_below(r, 4);
    loss->gamma = loss->negative_gamma = draw_gamma(r);
    if (random_below(r, 4) == 0) {
        loss->negative_gamma = draw_gamma(r);
    }
    loss->alpha = alphas[random_below(r, SUITE_COUNT(alphas))];
    loss->mode = (fghm_hessian_mode)random_below(r, 4);
    loss->floor = random_bits(r) & 1 ? 1e-16 : 0.03125;
    c->loss_weight = random_below(r, 3) == 0 ? 2.5 : 1.0;
    c->normalizer = 37.5;
    c->reduction = (fghm_reduction)random_below(r, 6);
}

static void draw_targets(struct random *r, struct combination *c) {
    static const int64_t indices[] = {-1, -100, 255, 2, 0};
    c->activation = (fghm_activation)random_below(r, 3);
    c->form = (fghm_target_form)(random_bits(r) & 1);
    if (is_softmax(c)) {
        c->form = FGHM_TARGET_LABEL;
    }
    if (c->form == FGHM_TARGET_LABEL) {
        c->targets = FGHM_U8 + (fghm_dtype)random_below(r, 3);
        c->background = (fghm_background)random_below(r, is_softmax(c) ? 3 : 4);
    } else {
        c->targets = FGHM_F32 + (fghm_dtype)random_below(r, 7);
    }
    c->ignoring = random_bits(r) & 1 ? 1 : 0;
    c->ignore_index = indices[random_below(r, SUITE_COUNT(indices))];
    c->smoothing = random_below(r, 3) == 0 && !is_softmax(c) ? random_uniform(r, 0.0, 1.0) : 0.0;
}

/* What the header says does not go together. */
static void mend(struct combination *c) {
    struct reference_loss *const loss = &c->loss;
    const int special = loss->rule == FGHM_FOCAL_RULE_STAR || loss->rule == FGHM_FOCAL_RULE_QUALITY;
    if (special && c->activation == FGHM_PROBABILITY) {
        loss->rule -= 2;
    } else if (special) {
        loss->negative_gamma = loss->gamma;
    }
    if (is_softmax(c)) {
        loss->negative_gamma = loss->gamma;
        loss->alpha = c->has_class_alpha || loss->alpha == WIDE_ALPHA_OFF ? loss->alpha : 0.25;
    }
    if (loss->rule == FGHM_FOCAL_RULE_STAR) {
        c->smoothing = 0.0;
        if (loss->gamma == 0.0) {
            loss->gamma = loss->negative_gamma = 2.0;
        }
    }
}

static struct combination draw(struct random *r, unsigned number) {
    struct combination c = {.number = number};
    draw_shape(r, &c);
    draw_loss(r, &c);
    draw_targets(r, &c);
    c.has_class_alpha = random_below(r, 3) == 0;
    mend(&c);
    c.logits = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    c.weights = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    for (int k = 0; k < OUTPUTS; k++) {
        c.outputs[k] = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    }
    c.weighting = (enum weighting)random_below(r, 3);
    c.has_class_weights = random_below(r, 3) == 0;
    for (size_t k = 0; k < CLASSES_MAX; k++) {
        c.class_alpha[k] = (double)random_below(r, 9) / 8.0;
        c.class_weights[k] = (double)random_below(r, 9) / 4.0;
    }
    c.subset = 1 + (unsigned)random_below(r, (1u << (OUTPUTS + 1)) - 1);
    c.threads = (int)(random_bits(r) & 1);
    return c;
}

static void print_combination(const struct combination *c) {
    printf("combination %u (%s): %zu x %zu x %zu activation %d form %d "
           "background %d ignore %d %lld smoothing %g dtypes %d %d %d weighting %d class alpha %d "
           "weights %d rule %d gamma %g %g alpha %g mode %d floor %g loss weight %g reduction %d\n",
           c->number, combinations_repeat(c->number), c->outer, c->classes, c->inner, c->activation,
           c->form, c->background, c->ignoring, (long long)c->ignore_index, c->smoothing, c->logits,
           c->targets, c->weights, (int)c->weighting, c->has_class_alpha, c->has_class_weights,
           c->loss.rule, c->loss.gamma, c->loss.negative_gamma, c->loss.alpha, c->loss.mode,
           c->loss.floor, c->loss_weight, c->reduction);
}

/* -------------------------------------------------------------------------
 * Its arrays. */

struct arrays {
    struct strided logits, targets, weights;
    struct strided plain[OUTPUTS]; /* of the first call */
    struct strided drawn[OUTPUTS];
};

static struct strided any_layout(struct random *r, fghm_dtype dtype, size_t outer, size_t classes,
                                 size_t inner) {
    return random_below(r, 3) == 0 ? strided_plain(dtype, outer, classes, inner)
                                   : strided_random(r, dtype, outer, classes, inner);
}

static int64_t first_label(const struct combination *c) {
    return c->background == FGHM_BACKGROUND_FIRST && !is_softmax(c) ? 1 : 0;
}

static int64_t background_label(const struct combination *c) {
    const int64_t classes = (int64_t)c->classes;
    switch (c->background) {
    case FGHM_BACKGROUND_LAST:
        return is_softmax(c) ? classes - 1 : classes;
    case FGHM_BACKGROUND_FIRST:
        return 0;
    case FGHM_BACKGROUND_MINUS_ONE:
        return -1;
    default:
        return INT64_MIN;
    }
}

static int holds(fghm_dtype dtype, int64_t value) {
    return (dtype != FGHM_U8 || (value >= 0 && value <= 255)) && value > INT32_MIN;
}

static void fill_labels(struct random *r, const struct combination *c, const struct strided *a) {
    for (size_t k = 0; k < strided_count(a); k++) {
        int64_t label = (int64_t)random_below(r, c->classes) + first_label(c);
        if (random_below(r, 5) == 0 && holds(a->dtype, background_label(c))) {
            label = background_label(c);
        }
        if (random_below(r, 5) == 0 && c->ignoring && holds(a->dtype, c->ignore_index)) {
            label = c->ignore_index;
        }
        strided_set(a, k, (double)label);
    }
}

static void fill_dense(struct random *r, const struct combination *c, const struct strided *a) {
    const int hard =
        a->dtype >= FGHM_U8 || c->loss.rule == FGHM_FOCAL_RULE_STAR || random_bits(r) & 1;
    for (size_t k = 0; k < strided_count(a); k++) {
        double t = random_bits(r) & 1 ? 1.0 : 0.0;
        if (!hard && random_bits(r) & 1) {
            t = random_bits(r) & 1 ? random_uniform(r, 0.0, 1.0)
                                   : (double)random_below(r, 129) / 128.0;
        }
        if (random_below(r, 5) == 0 && c->ignoring && holds(a->dtype, c->ignore_index)) {
            t = (double)c->ignore_index;
        }
        strided_set(a, k, t);
    }
}

static void fill_logits(struct random *r, const struct combination *c, const struct strided *a) {
    static const double spreads[] = {1.0, 4.0, 15.0};
    const double spread = spreads[random_below(r, 3)];
    for (size_t k = 0; k < strided_count(a); k++) {
        double x = spread * random_normal(r);
        if (c->activation == FGHM_PROBABILITY) {
            x = 1.0 / (1.0 + exp(-x));
            x = strided_round(c->logits, x);
            /* The ends have a test of their own. */
            x = x < 1e-6 || x >= 1.0 ? 0.3125 : x;
        }
        strided_set(a, k, x);
    }
}

/* The target as the file of labels or numbers has it; 0 if the element is ignored. */
static int target_of(const struct combination *c, const struct arrays *a, size_t k, double *t) {
    const size_t i = k % c->inner, class_index = k / c->inner % c->classes;
    const size_t o = k / c->inner / c->classes;
    if (c->form == FGHM_TARGET_LABEL) {
        const int64_t label = (int64_t)strided_get(&a->targets, o, 0, i);
        *t = label - first_label(c) == (int64_t)class_index ? 1.0 : 0.0;
        return !(c->ignoring && label == c->ignore_index);
    }
    *t = strided_get(&a->targets, o, class_index, i);
    if (!is_double(c)) {
        *t = (double)(float)*t;
    }
    return !(c->ignoring && *t == (double)c->ignore_index);
}

/* Nobody looks at what is ignored. */
static void poison_ignored(const struct combination *c, const struct arrays *a) {
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        double t;
        if (!target_of(c, a, k, &t)) {
            strided_set(&a->logits, k, k % 3 ? (double)NAN : (double)INFINITY);
        }
    }
}

/* Any number is a weight. */
static double random_weight(struct random *r) {
    const double weight = random_uniform(r, 0.25, 4.0);
    return random_below(r, 8) == 0 ? 0.0 : random_below(r, 8) == 0 ? -weight : weight;
}

static struct strided weights_array(struct random *r, const struct combination *c) {
    const size_t classes = is_softmax(c) ? 1 : c->classes;
    struct strided a;
    if (c->weighting == PER_SAMPLE) {
        const size_t extents[3] = {c->outer, classes, c->inner};
        const int64_t strides[3] = {(int64_t)c->inner + 2, 0, 1};
        a = strided_new(c->weights, extents, strides, 1);
    } else {
        a = any_layout(r, c->weights, c->outer, classes, c->inner);
    }
    for (size_t k = 0; k < strided_count(&a); k++) {
        strided_set(&a, k, random_weight(r));
    }
    return a;
}

static struct arrays arrays_of(struct random *r, const struct combination *c) {
    struct arrays a;
    const int labels = c->form == FGHM_TARGET_LABEL;
    memset(&a, 0, sizeof a);
    a.logits = any_layout(r, c->logits, c->outer, c->classes, c->inner);
    a.targets = any_layout(r, c->targets, c->outer, labels ? 1 : c->classes, c->inner);
    fill_logits(r, c, &a.logits);
    (labels ? fill_labels : fill_dense)(r, c, &a.targets);
    poison_ignored(c, &a);
    if (c->weighting != UNWEIGHTED) {
        a.weights = weights_array(r, c);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        const size_t classes = is_softmax(c) && k == ELEMENT_LOSS ? 1 : c->classes;
        a.plain[k] = strided_plain(real_of(c), c->outer, classes, c->inner);
        a.drawn[k] = any_layout(r, c->outputs[k], c->outer, classes, c->inner);
    }
    return a;
}

static void arrays_free(struct arrays *a) {
    strided_free(&a->logits);
    strided_free(&a->targets);
    strided_free(&a->weights);
    for (int k = 0; k < OUTPUTS; k++) {
        strided_free(&a->plain[k]);
        strided_free(&a->drawn[k]);
    }
}

static fghm_focal *handle_of(const struct combination *c) {
    fghm_focal *focal = focal_handle(c->loss.gamma, c->loss.alpha, c->reduction);
    assert_int_equal(fghm_focal_set_rule(focal, c->loss.rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_mode(focal, c->loss.mode), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_floor(focal, c->loss.floor), FGHM_OK);
    assert_int_equal(fghm_focal_set_loss_weight(focal, c->loss_weight), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, c->normalizer), FGHM_OK);
    if (c->loss.negative_gamma != c->loss.gamma) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, c->loss.negative_gamma), FGHM_OK);
    }
    return focal;
}

static fghm_status call(const struct combination *c, const struct arrays *a, fghm_pool *pool,
                        const struct strided *outputs, unsigned subset, fghm_result *result) {
    fghm_focal *focal = handle_of(c);
    fghm_batch b = descriptor_of(c->outer, c->classes, c->inner);
    b.activation = c->activation;
    b.target_form = c->form;
    b.background = c->background;
    b.ignore_index = c->ignoring ? c->ignore_index : FGHM_IGNORE_NONE;
    b.label_smoothing = c->smoothing;
    b.logits = strided_input(&a->logits);
    b.targets = strided_input(&a->targets);
    b.class_alpha = c->has_class_alpha ? c->class_alpha : NULL;
    b.class_weights = c->has_class_weights ? c->class_weights : NULL;
    fghm_output *const to[OUTPUTS] = {&b.element_loss, &b.gradient, &b.hessian};
    if (c->weighting != UNWEIGHTED) {
        b.weights = strided_input(&a->weights);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        if (subset & (1u << k)) {
            *to[k] = strided_output(&outputs[k]);
        }
    }
    const fghm_status status =
        fghm_focal_batch(focal, pool, &b, subset & (1u << OUTPUTS) ? result : NULL);
    fghm_focal_destroy(focal);
    return status;
}

/* -------------------------------------------------------------------------
 * The first call against the reference. */

static unsigned long failures;
static double worst[3][OUTPUTS];

/* The first failures of a run, one of each combination.  Returns whether to tell more. */
static int failed(const struct combination *c, const char *what, size_t k) {
    static unsigned long printed;
    static unsigned last = UINT_MAX;
    failures++;
    if (c->number == last || printed >= 12) {
        return 0;
    }
    last = c->number;
    printed++;
    print_combination(c);
    printf("  FAILED %s[%zu]\n", what, k);
    return 1;
}

struct counts {
    uint64_t losses, valid, positives, samples;
};

static struct counts count(const struct combination *c, const struct arrays *a) {
    struct counts n = {0, 0, 0, c->outer * c->inner};
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        double t;
        const int valid = target_of(c, a, k, &t);
        const size_t class_index = k / c->inner % c->classes;
        const size_t o = k / c->inner / c->classes;
        if (!is_softmax(c)) {
            n.losses++;
            n.valid += valid ? 1 : 0;
            n.positives += valid && t >= 0.5 ? 1 : 0;
        } else if (class_index == 0) {
            const int64_t label = (int64_t)strided_get(&a->targets, o, 0, k % c->inner);
            n.losses++;
            n.valid += valid ? 1 : 0;
            n.positives += valid && label != background_label(c) ? 1 : 0;
        }
    }
    return n;
}

static double divisor_of(const struct combination *c, const struct counts *n) {
    const uint64_t counts[] = {1, n->losses, 1, n->samples, n->positives, n->valid};
    const uint64_t divisor = counts[c->reduction];
    if (c->reduction == FGHM_REDUCTION_NORMALIZER) {
        return c->normalizer;
    }
    return divisor > 0 ? (double)divisor : 1.0;
}

static void check_result(const struct combination *c, const struct arrays *a,
                         const fghm_result *result) {
    const struct counts n = count(c, a);
    const double divisor = divisor_of(c, &n), bound = is_double(c) ? 0x1p-48 : 0x1p-22;
    long double sum = 0.0L, magnitude = 0.0L;
    for (size_t k = 0; k < strided_count(&a->plain[ELEMENT_LOSS]); k++) {
        const double loss = strided_at(&a->plain[ELEMENT_LOSS], k);
        sum += (long double)loss;
        magnitude += (long double)fabs(loss);
    }
    if (result->elements != n.losses || result->valid != n.valid ||
        result->positives != n.positives || result->divisor != divisor || result->offender != -1) {
        failed(c, "counts", 0);
    }
    if (!(fabsl((long double)result->sum - sum) <= (long double)bound * magnitude) ||
        result->loss != result->sum / divisor) {
        failed(c, "sum", 0);
    }
}

static int is_promised(double gamma) {
    return gamma == 1.5 || (gamma <= 5.0 && gamma == floor(gamma)) || gamma == 0.5;
}

/* What the element's own arithmetic may add to the promise, in ulp. */
static double bound_of(const struct combination *c) {
    const int promised = is_promised(c->loss.gamma) && is_promised(c->loss.negative_gamma);
    double bound = promised ? 8.0 : 16.0;
    if (c->activation == FGHM_PROBABILITY) {
        bound = 16.0;
    }
    bound += c->weighting != UNWEIGHTED ? 1.0 : 0.0;
    bound += c->has_class_alpha || c->has_class_weights ? 1.0 : 0.0;
    bound += c->reduction != FGHM_REDUCTION_SUM || c->loss_weight != 1.0 ? 1.0 : 0.0;
    return bound + (c->loss.alpha != WIDE_ALPHA_OFF ? 1.0 : 0.0);
}

/* The error of `got` in ulp of `scale`, less `slack`, which is a relative error there. */
static void check_value(const struct combination *c, int output, size_t k, double got,
                        mpfr_srcptr exact, mpfr_srcptr scale, double bound, mpfr_srcptr slack) {
    const struct wide_format *const format = format_of(c);
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
        if (failed(c, output_names[output], k)) {
            mpfr_printf("  got %a (%.9g), want %.17Rg, scale %.9Rg: %.1f ulp > %.1f\n", got, got,
                        exact, scale, ulps, allowed);
        }
    }
    if (slack == NULL && isfinite(ulps) && worst[c->activation][output] < ulps) {
        worst[c->activation][output] = ulps;
    }
}

/* Results times the factors, and the bound for what is subnormal before them. */
static void check_element(const struct combination *c, const struct arrays *a, size_t k,
                          size_t loss_at, struct reference *r, const struct reference *apart,
                          double weight, double class_weight, double divisor, double bound) {
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
        const double tiny = ldexp(1.0, format_of(c)->lowest + format_of(c)->digits + 4);
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
    return c->has_class_weights ? c->class_weights[class_index] : 1.0;
}

static struct reference_loss loss_of(const struct combination *c, size_t class_index) {
    struct reference_loss loss = c->loss;
    if (c->has_class_alpha) {
        loss.alpha = c->class_alpha[class_index];
    } else if (is_softmax(c)) {
        loss.alpha = WIDE_ALPHA_OFF; /* it has none */
    }
    return loss;
}

static double weight_of(const struct combination *c, const struct arrays *a, size_t k) {
    const double weight = c->weighting == UNWEIGHTED ? 1.0 : strided_at(&a->weights, k);
    return is_double(c) ? weight : (double)(float)weight;
}

static void check_zero(const struct combination *c, const struct arrays *a, size_t k,
                       size_t loss_at) {
    for (int output = 0; output < OUTPUTS; output++) {
        if (output == ELEMENT_LOSS && loss_at == SIZE_MAX) {
            continue;
        }
        if (strided_at(&a->plain[output], output == ELEMENT_LOSS ? loss_at : k) != 0.0) {
            failed(c, "ignored", k);
        }
    }
}

/* Of probabilities, m^gamma is multiplied by numbers as large as 1 / m^2: where it is
 * subnormal, its error is seen. */
static double error_of_power(const struct combination *c, double p, double target) {
    const double t = target * (1.0 - c->smoothing) + c->smoothing / 2.0;
    const double gamma = fmax(c->loss.gamma, c->loss.negative_gamma);
    const int split =
        c->loss.rule == FGHM_FOCAL_RULE_SPLIT || c->loss.gamma != c->loss.negative_gamma;
    const double m = split ? fmin(p, 1.0 - p) : t * (1.0 - p) + (1.0 - t) * p;
    const double digits = (double)(format_of(c)->lowest + format_of(c)->digits);
    return exp2(fmin(digits - gamma * log2(m), 100.0));
}

/* Smoothed targets are rounded to the type of the computation: r[1] and r[2] are the
 * results for targets that are that much larger and smaller. */
static void check_sigmoid(const struct combination *c, const struct arrays *a, size_t k,
                          struct reference r[3], double divisor) {
    void (*const formula)(struct reference *, const struct reference_loss *, mpfr_srcptr,
                          mpfr_srcptr) =
        c->activation == FGHM_PROBABILITY ? reference_probability : reference_sigmoid;
    const size_t class_index = k / c->inner % c->classes;
    const struct reference_loss loss = loss_of(c, class_index);
    const double shifts[] = {0.0, ldexp(2.0, -format_of(c)->digits),
                             -ldexp(2.0, -format_of(c)->digits)};
    double t, bound = bound_of(c);
    mpfr_t x, target, keep;
    if (!target_of(c, a, k, &t)) {
        check_zero(c, a, k, k);
        return;
    }
    mpfr_inits2(WIDE_BITS, x, target, keep, (mpfr_ptr)0);
    mpfr_set_d(x, strided_at(&a->logits, k), MPFR_RNDN);
    for (int shift = 0; shift < (c->smoothing > 0.0 ? 3 : 1); shift++) {
        mpfr_set_d(keep, c->smoothing, MPFR_RNDN);
        mpfr_ui_sub(keep, 1, keep, MPFR_RNDN);
        mpfr_mul_d(target, keep, t, MPFR_RNDN);
        mpfr_add_d(target, target, c->smoothing / 2.0, MPFR_RNDN);
        mpfr_add_d(target, target, shifts[shift], MPFR_RNDN);
        formula(&r[shift], &loss, x, target);
    }
    if (c->loss.rule == FGHM_FOCAL_RULE_STAR) {
        bound += 2.0 * c->loss.gamma * fabs(mpfr_get_d(x, MPFR_RNDN));
    }
    bound += (c->loss.gamma + 2.0) * 2.0 * r->condition;
    if (c->activation == FGHM_PROBABILITY) {
        bound += error_of_power(c, mpfr_get_d(x, MPFR_RNDN), t);
    }
    check_element(c, a, k, k, r, c->smoothing > 0.0 ? &r[2] : NULL, weight_of(c, a, k),
                  class_weight_of(c, class_index), divisor, bound);
    mpfr_clears(x, target, keep, (mpfr_ptr)0);
}

static void check_softmax(const struct combination *c, const struct arrays *a, size_t k,
                          struct reference *r, double divisor) {
    const size_t i = k % c->inner, class_index = k / c->inner % c->classes;
    const size_t o = k / c->inner / c->classes, sample = o * c->inner + i;
    const size_t loss_at = class_index == 0 ? sample : SIZE_MAX;
    mpfr_t x[CLASSES_MAX], z;
    double t, largest = -(double)INFINITY, bound = bound_of(c);
    if (!target_of(c, a, k, &t)) {
        check_zero(c, a, k, loss_at);
        return;
    }
    const size_t label = (size_t)strided_get(&a->targets, o, 0, i);
    const struct reference_loss loss = loss_of(c, label);
    mpfr_init2(z, WIDE_BITS);
    for (size_t n = 0; n < c->classes; n++) {
        const double logit = strided_get(&a->logits, o, n, i);
        mpfr_init2(x[n], WIDE_BITS);
        mpfr_set_d(x[n], logit, MPFR_RNDN);
        largest = n != label ? fmax(largest, logit) : largest;
    }
    reference_softmax(r, &loss, x, c->classes, label, class_index);
    if (c->classes > 1) {
        reference_margin(z, x, c->classes, label);
        bound += 2.0 * (c->loss.gamma + 1.0) * fabs(mpfr_get_d(z, MPFR_RNDN));
        bound += class_index != label ? 2.0 * (largest - mpfr_get_d(x[class_index], MPFR_RNDN)) : 0;
    }
    check_element(c, a, k, loss_at, r, NULL, weight_of(c, a, sample), class_weight_of(c, label),
                  divisor, bound);
    for (size_t n = 0; n < c->classes; n++) {
        mpfr_clear(x[n]);
    }
    mpfr_clear(z);
}

static void check_against_reference(struct random *random, const struct combination *c,
                                    const struct arrays *a, double divisor) {
    struct reference r[3];
    const size_t n = strided_count(&a->logits);
    for (int k = 0; k < 3; k++) {
        reference_init(&r[k]);
    }
    for (size_t k = 0; k < n; k++) {
        if (n > CHECKED_MAX && random_below(random, n) >= CHECKED_MAX) {
            continue;
        }
        if (is_softmax(c)) {
            check_softmax(c, a, k, r, divisor);
        } else {
            check_sigmoid(c, a, k, r, divisor);
        }
    }
    for (int k = 0; k < 3; k++) {
        reference_clear(&r[k]);
    }
}

/* -------------------------------------------------------------------------
 * The second call against the first. */

static int same_number(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void check_drawn(const struct combination *c, const struct arrays *a,
                        const fghm_result *first, const fghm_result *second) {
    const double bound = is_double(c) ? 0x1p-48 : 0x1p-22;
    for (int output = 0; output < OUTPUTS; output++) {
        const struct strided *const to = &a->drawn[output];
        if (!(c->subset & (1u << output))) {
            if (!strided_untouched(to)) {
                failed(c, "not asked for", (size_t)output);
            }
            continue;
        }
        for (size_t k = 0; k < strided_count(to); k++) {
            const double want = strided_round(to->dtype, strided_at(&a->plain[output], k));
            if (!same_number(strided_at(to, k), want)) {
                if (failed(c, "second call", k)) {
                    printf("  %s: %a, want %a\n", output_names[output], strided_at(to, k), want);
                }
                break;
            }
        }
        if (!strided_gaps_untouched(to)) {
            failed(c, "gaps", (size_t)output);
        }
    }
    if (c->subset & (1u << OUTPUTS)) {
        if (second->elements != first->elements || second->valid != first->valid ||
            second->positives != first->positives || second->divisor != first->divisor ||
            !(fabs(second->loss - first->loss) <= bound * fabs(first->loss))) {
            failed(c, "second result", 0);
        }
    }
}

static void check_combination(struct random *r, const struct combination *c, fghm_pool *pool) {
    struct arrays a = arrays_of(r, c);
    fghm_result first = FGHM_RESULT_INIT, second = FGHM_RESULT_INIT;
    fghm_status status = call(c, &a, NULL, a.plain, ~0u, &first);
    if (status != FGHM_OK) {
        failed(c, fghm_status_string(status), (size_t)first.offender);
    } else {
        check_result(c, &a, &first);
        check_against_reference(r, c, &a, first.divisor);
        status = call(c, &a, c->threads ? pool : NULL, a.drawn, c->subset, &second);
        assert_int_equal(status, FGHM_OK);
        check_drawn(c, &a, &first, &second);
    }
    arrays_free(&a);
}

static void combinations_match_the_formulas(void **state) {
    struct combinations all = combinations(101);
    fghm_pool *pool = NULL;
    (void)state;
    failures = 0;
    assert_int_equal(fghm_pool_create(&pool, 3), FGHM_OK);
    for (unsigned k = 0; k < COMBINATIONS; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const struct combination c = draw(&all.random, k);
        check_combination(&all.random, &c, pool);
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
    for (int k = 0; k < 3; k++) {
        printf("  activation %d: at most %.2f %.2f %.2f ulp\n", k, worst[k][0], worst[k][1],
               worst[k][2]);
    }
    if (failures > 0) {
        fail_msg("%lu failures", failures);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"combinations_match_the_formulas", combinations_match_the_formulas, 0},
    };
    return suite_run(argument_count, arguments, "batch", tests, SUITE_COUNT(tests));
}
