/* SPDX-License-Identifier: MIT */
#include "cases/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <mpfr.h>

#include "support/calibrated.h"
#include "support/reference.h"
#include "support/soft_reference.h"
#include "support/strided.h"
#include "support/wide.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != FGHM_OK) {                                                                   \
            printf("%s\n", #call);                                                                 \
            c->failures++;                                                                         \
        }                                                                                          \
    } while (0)

static void fail(struct check *c, const char *what, size_t k, double got, double want) {
    printf("%s %zu: %.17g, want %.17g\n", what, k, got, want);
    c->failures++;
}

/* A batch as the model sees it: numbers for each element, whatever they lie like. */
struct seen {
    struct cases_reader *reader;
    const fghm_batch *batch;
    size_t elements, samples, classes;
    int class_axis; /* -1: none */
    fghm_dtype real;
    double divisor, loss_weight;
};

static bool is_softmax(const struct seen *s) {
    return s->batch->activation == FGHM_SOFTMAX;
}

static struct seen see(struct cases_reader *r) {
    const fghm_batch *const b = &r->batch;
    struct seen s = {.reader = r, .batch = b, .elements = 1, .classes = 1, .class_axis = -1};
    if (b->class_axis != FGHM_AXIS_NONE) {
        s.class_axis = b->class_axis < 0 ? b->class_axis + b->ndim : b->class_axis;
        s.classes = (size_t)b->shape[s.class_axis];
    }
    for (int axis = 0; axis < b->ndim; axis++) {
        s.elements *= (size_t)b->shape[axis];
    }
    s.samples = s.elements / s.classes;
    s.real = cases_find(r, "logits")->dtype == FGHM_F64 ? FGHM_F64 : FGHM_F32;
    return s;
}

/* The index of element k on each axis. */
static void indices_of(const struct seen *s, size_t k, size_t index[FGHM_AXES_MAX]) {
    for (int axis = s->batch->ndim - 1; axis >= 0; axis--) {
        index[axis] = k % (size_t)s->batch->shape[axis];
        k /= (size_t)s->batch->shape[axis];
    }
}

static size_t class_of(const struct seen *s, size_t k) {
    size_t index[FGHM_AXES_MAX];
    indices_of(s, k, index);
    return s->class_axis < 0 ? 0 : index[s->class_axis];
}

/* Element k with another class. */
static size_t with_class(const struct seen *s, size_t k, size_t class_index) {
    size_t index[FGHM_AXES_MAX], other = 0;
    indices_of(s, k, index);
    for (int axis = 0; axis < s->batch->ndim; axis++) {
        other = other * (size_t)s->batch->shape[axis] +
                (axis == s->class_axis ? class_index : index[axis]);
    }
    return other;
}

/* The number of an array that belongs to element k, by the rules of batch.h. */
static double number_of(const struct seen *s, struct cases_array *a, size_t k, bool of_samples) {
    size_t index[FGHM_AXES_MAX];
    int64_t at = 0;
    indices_of(s, k, index);
    for (int axis = 0; axis < s->batch->ndim; axis++) {
        if (a->layout == FGHM_LAYOUT_STRIDED) {
            at += (int64_t)index[axis] * a->strides[axis];
        } else if (axis != s->class_axis || !(of_samples || a->layout == FGHM_LAYOUT_PER_SAMPLE)) {
            at = at * s->batch->shape[axis] + (int64_t)index[axis];
        }
    }
    return strided_load(a->dtype, cases_first(a) + at * (int64_t)cases_size(a->dtype));
}

static double input_of(const struct seen *s, const char *name, size_t k, bool of_samples,
                       double unless) {
    struct cases_array *const a = cases_find(s->reader, name);
    return a == NULL ? unless : strided_round(s->real, number_of(s, a, k, of_samples));
}

/* What the targets say of element k. */
struct target {
    bool ignored, positive;
    int64_t column; /* the class of the sample's label; none of them: -1 */
    double value;
};

static struct target target_of(const struct seen *s, size_t k) {
    const fghm_batch *const b = s->batch;
    const bool labels = b->target_form != FGHM_TARGET_DENSE;
    const double stored = number_of(s, cases_find(s->reader, "targets"), k, labels);
    struct target t = {.column = -1, .value = strided_round(s->real, stored)};
    if ((b->ignore_index != FGHM_IGNORE_NONE && stored == (double)b->ignore_index) ||
        (isnan(stored) && (b->flags & FGHM_NAN_TARGETS_IGNORED))) {
        t.ignored = true;
        return t;
    }
    if (!labels) {
        t.positive = t.value >= 0.5;
        return t;
    }
    const int64_t label = (int64_t)stored;
    const int64_t classes = (int64_t)s->classes;
    const int64_t background = b->background == FGHM_BACKGROUND_LAST
                                   ? classes - (is_softmax(s) ? 1 : 0)
                               : b->background == FGHM_BACKGROUND_FIRST ? 0
                                                                        : -1;
    const bool shifted = b->background == FGHM_BACKGROUND_FIRST && !is_softmax(s);
    t.column = is_softmax(s) ? label : label == background ? -1 : label - (shifted ? 1 : 0);
    t.positive = is_softmax(s) ? b->background == FGHM_BACKGROUND_NONE || label != background
                               : t.column == (int64_t)class_of(s, k);
    t.value = t.positive || is_softmax(s) ? input_of(s, "scores", k, true, 1.0) : 0.0;
    return t;
}

static double weight_of(const struct seen *s, size_t k) {
    return input_of(s, "weights", k, is_softmax(s), 1.0);
}

/* Softmax has its losses, and all that counts, at the first class of a sample. */
static bool counts(const struct seen *s, size_t k) {
    return !is_softmax(s) || class_of(s, k) == 0;
}

/* Values ----------------------------------------------------------------------- */

static double unit(int digits, int lowest, mpfr_srcptr scale) {
    const int exponent = mpfr_regular_p(scale) ? (int)mpfr_get_exp(scale) - digits : lowest;
    return ldexp(1.0, exponent > lowest ? exponent : lowest);
}

/* One number of an output: `bound` ulp of the scale in the type of the computation, and half an
 * ulp more where the output is narrower. */
static void check_value(struct check *c, const struct seen *s, const char *name, size_t k,
                        bool of_samples, mpfr_srcptr exact, mpfr_srcptr scale, double bound) {
    struct cases_array *const a = cases_find(s->reader, name);
    if (a == NULL) {
        return;
    }
    const struct wide_format *const f = s->real == FGHM_F64 ? &wide_f64 : &wide_f32;
    double allowed = bound * unit(f->digits, f->lowest, scale);
    allowed += a->dtype == FGHM_F16    ? 0.5001 * unit(11, -24, exact)
               : a->dtype == FGHM_BF16 ? 0.5001 * unit(8, -133, exact)
               : a->dtype == FGHM_F32  ? 0.5001 * unit(24, -149, exact)
                                       : 0.0;
    const double got = number_of(s, a, k, of_samples);
    mpfr_t error;
    mpfr_init2(error, WIDE_BITS);
    mpfr_d_sub(error, got, exact, MPFR_RNDN);
    if (!(fabs(mpfr_get_d(error, MPFR_RNDU)) <= allowed)) {
        fail(c, name, k, got, mpfr_get_d(exact, MPFR_RNDN));
    }
    mpfr_clear(error);
}

/* The loss and its derivatives times the factors, and the sum of the losses. */
static void check_element(struct check *c, const struct seen *s, size_t k,
                          const struct reference *r, double factor, double bound, mpfr_t sum,
                          mpfr_t magnitudes) {
    mpfr_t value, scale;
    mpfr_inits2(WIDE_BITS, value, scale, (mpfr_ptr)0);
    if (counts(s, k)) {
        mpfr_mul_d(value, r->loss, factor, MPFR_RNDN);
        check_value(c, s, "element_loss", k, is_softmax(s), value, value, bound);
        mpfr_add(sum, sum, value, MPFR_RNDN);
        mpfr_abs(value, value, MPFR_RNDN);
        mpfr_add(magnitudes, magnitudes, value, MPFR_RNDN);
    }
    mpfr_srcptr exact[] = {r->gradient, r->hessian};
    mpfr_srcptr scales[] = {r->gradient_scale, r->hessian_scale};
    static const char *const names[] = {"gradient", "hessian"};
    for (int output = 0; output < 2; output++) {
        mpfr_mul_d(value, exact[output], factor, MPFR_RNDN);
        mpfr_div_d(value, value, s->divisor, MPFR_RNDN);
        mpfr_mul_d(scale, scales[output], factor, MPFR_RNDN);
        mpfr_div_d(scale, scale, s->divisor, MPFR_RNDN);
        check_value(c, s, names[output], k, false, value, scale, (output + 1) * bound);
    }
    mpfr_clears(value, scale, (mpfr_ptr)0);
}

/* The sum of a call within 2^-22 or 2^-48 of the sum of magnitudes. */
static void check_sum(struct check *c, const struct seen *s, double got, double divisor,
                      mpfr_srcptr sum, mpfr_srcptr magnitudes) {
    mpfr_t error;
    mpfr_init2(error, WIDE_BITS);
    mpfr_mul_d(error, sum, 1.0 / divisor, MPFR_RNDN);
    const double want = mpfr_get_d(error, MPFR_RNDN);
    const double bound =
        ldexp(mpfr_get_d(magnitudes, MPFR_RNDU) / divisor, s->real == FGHM_F64 ? -48 : -22);
    /* What the elements themselves may be off adds to it. */
    if (!(fabs(got - want) <= 8.0 * bound)) {
        fail(c, "loss", 0, got, want);
    }
    mpfr_clear(error);
}

static void check_numbers(struct check *c, const struct seen *s, mpfr_srcptr sum,
                          mpfr_srcptr magnitudes) {
    const struct cases_reader *const r = s->reader;
    double weights = 0.0, targets = 0.0;
    uint64_t n = 0, valid = 0, positives = 0;
    /* Each of them is a positive, and all of its targets count. */
    const bool dense_samples = is_softmax(s) && s->batch->target_form == FGHM_TARGET_DENSE;
    if (!r->over_batch) {
        check_sum(c, s, r->number, s->divisor, sum, magnitudes);
        return;
    }
    for (size_t k = 0; k < s->elements; k++) {
        if (counts(s, k)) {
            const struct target t = target_of(s, k);
            n++;
            valid += t.ignored ? 0 : 1;
            positives += t.ignored || !(t.positive || dense_samples) ? 0 : 1;
            weights += t.ignored ? 0.0 : r->ghm == NULL ? weight_of(s, k) : 1.0;
        }
        if (counts(s, k) || dense_samples) {
            const struct target t = target_of(s, k);
            targets += t.ignored ? 0.0 : t.value;
        }
    }
    const fghm_result *const got = &r->result;
    check_sum(c, s, got->sum, 1.0, sum, magnitudes);
    check_sum(c, s, got->loss, s->divisor, sum, magnitudes);
    if (got->divisor != s->divisor || got->elements != n || got->valid != valid ||
        got->positives != positives || fabs(got->sum_weights - weights) > 1e-6 * fabs(weights) ||
        fabs(got->sum_targets - targets) > 1e-6 * fabs(targets)) {
        fail(c, "result", (size_t)got->positives, got->divisor, s->divisor);
    }
}

/* Focal loss ------------------------------------------------------------------- */

static double focal_divisor(const struct seen *s, fghm_reduction reduction, double normalizer) {
    double sums[] = {1.0, 0.0, normalizer, 0.0, 0.0, 0.0, 0.0, 0.0};
    for (size_t k = 0; k < s->elements; k++) {
        if (counts(s, k)) {
            const struct target t = target_of(s, k);
            sums[FGHM_REDUCTION_MEAN] += 1.0;
            sums[FGHM_REDUCTION_MEAN_POSITIVES] += t.positive && !t.ignored ? 1.0 : 0.0;
            sums[FGHM_REDUCTION_MEAN_VALID] += t.ignored ? 0.0 : 1.0;
            sums[FGHM_REDUCTION_MEAN_WEIGHTS] += t.ignored ? 0.0 : weight_of(s, k);
            sums[FGHM_REDUCTION_MEAN_TARGETS] += t.ignored ? 0.0 : t.value;
        }
    }
    sums[FGHM_REDUCTION_MEAN_SAMPLES] = (double)s->samples;
    const bool counted = reduction != FGHM_REDUCTION_NORMALIZER &&
                         reduction != FGHM_REDUCTION_MEAN_WEIGHTS &&
                         reduction != FGHM_REDUCTION_MEAN_TARGETS;
    return counted ? fmax(sums[reduction], 1.0) : sums[reduction];
}

/* What is ignored has no loss. */
static void set_nothing(struct reference *r) {
    mpfr_ptr const numbers[] = {r->loss, r->gradient, r->hessian, r->gradient_scale,
                                r->hessian_scale};
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        mpfr_set_zero(numbers[k], 1);
    }
}

static struct reference_loss focal_settings(struct check *c, const fghm_focal *focal) {
    struct reference_loss loss = {.gamma = 0.0};
    int32_t set = 0, enabled = 0, detached = 0;
    OK(fghm_focal_get_rule(focal, &loss.rule));
    OK(fghm_focal_get_gamma(focal, &loss.gamma));
    OK(fghm_focal_get_negative_gamma(focal, &loss.negative_gamma, &set));
    OK(fghm_focal_get_alpha(focal, &loss.alpha, &enabled));
    OK(fghm_focal_get_hessian_mode(focal, &loss.mode));
    OK(fghm_focal_get_hessian_floor(focal, &loss.floor));
    OK(fghm_focal_get_hessian_factor(focal, &loss.hessian_factor));
    OK(fghm_focal_get_beta(focal, &loss.beta));
    OK(fghm_focal_get_margin(focal, &loss.margin));
    OK(fghm_focal_get_detached(focal, &detached));
    OK(fghm_focal_get_positive_weight(focal, &loss.positive_weight, &set));
    loss.detached = detached != 0;
    loss.positive_weight = set ? loss.positive_weight : 0.0;
    const bool has_alpha = enabled && loss.positive_weight == 0.0;
    loss.alpha = has_alpha ? loss.alpha : WIDE_ALPHA_OFF;
    return loss;
}

static bool is_promised(double gamma) {
    return gamma == 0.5 || gamma == 1.5 || (gamma <= 5.0 && gamma == floor(gamma));
}

/* A logit with the offset of its class. */
static double logit_of(const struct seen *s, size_t k) {
    const double *const offsets = s->batch->class_offsets;
    const double x = input_of(s, "logits", k, false, 0);
    return offsets == NULL ? x : strided_round(s->real, x + offsets[class_of(s, k)]);
}

/* Whether samples have targets other than 1 for one class and 0 for all others. */
static bool has_soft_samples(const struct seen *s) {
    return is_softmax(s) &&
           (s->batch->target_form == FGHM_TARGET_DENSE || s->batch->label_smoothing > 0.0);
}

/* The same of an element of such a sample. */
static double reference_soft(struct reference *r, const struct seen *s,
                             const struct reference_loss *loss, size_t k, const struct target *t) {
    double logits[CASES_NUMBERS_MAX], targets[CASES_NUMBERS_MAX];
    const bool labels = s->batch->target_form != FGHM_TARGET_DENSE;
    const double smoothing = s->batch->label_smoothing, share = smoothing / (double)s->classes;
    double largest = -(double)INFINITY, second = largest;
    for (size_t n = 0; n < s->classes; n++) {
        const size_t at = with_class(s, k, n);
        const double target =
            labels ? (double)((int64_t)n == t->column) : input_of(s, "targets", at, false, 0);
        targets[n] = strided_round(s->real, target * (1.0 - smoothing) + share);
        logits[n] = logit_of(s, at);
        second = fmax(second, fmin(largest, logits[n]));
        largest = fmax(largest, logits[n]);
    }
    const bool of_terms = !labels || (s->batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0;
    const struct soft_sample sample = {
        .classes = s->classes,
        .logits = logits,
        .targets = targets,
        .factors = of_terms ? s->batch->class_weights : NULL,
        .by_class = loss->rule == FGHM_FOCAL_RULE_SPLIT,
        .label = SIZE_MAX,
        .gamma = loss->gamma,
        .gauss_newton = loss->mode == FGHM_HESSIAN_GAUSS_NEWTON,
        .detached = loss->detached,
    };
    struct soft_wide *const wide = soft_wide_new(&sample);
    soft_reference(r, wide, class_of(s, k));
    soft_wide_free(wide);
    if (loss->mode == FGHM_HESSIAN_GRADIENT) {
        mpfr_abs(r->hessian, r->gradient, MPFR_RNDN);
        mpfr_set(r->hessian_scale, r->gradient_scale, MPFR_RNDN);
    }
    mpfr_mul_d(r->hessian, r->hessian, loss->hessian_factor, MPFR_RNDN);
    mpfr_mul_d(r->hessian_scale, r->hessian_scale, loss->hessian_factor, MPFR_RNDN);
    const double below = largest - logits[class_of(s, k)];
    return below + (loss->gamma + 1.0) * (5.0 + largest - second + below);
}

/* Element k by the formulas of focal.h and batch.h; returns by how many ulp more than the bound of
 * its gamma a result may be off. */
static double reference_element(struct reference *r, const struct seen *s,
                                const struct reference_loss *loss, size_t k,
                                const struct target *t) {
    mpfr_t x[CASES_NUMBERS_MAX], target;
    double more = 0.0;
    const size_t count = is_softmax(s) ? s->classes : 1;
    mpfr_init2(target, WIDE_BITS);
    for (size_t n = 0; n < count; n++) {
        mpfr_init2(x[n], WIDE_BITS);
        mpfr_set_d(x[n], logit_of(s, is_softmax(s) ? with_class(s, k, n) : k), MPFR_RNDN);
    }
    if (has_soft_samples(s)) {
        more = reference_soft(r, s, loss, k, t);
    } else if (is_softmax(s)) {
        const size_t at = class_of(s, k), label = (size_t)t->column;
        double largest = -(double)INFINITY;
        for (size_t n = 0; n < count; n++) {
            largest = n == label ? largest : fmax(largest, mpfr_get_d(x[n], MPFR_RNDN));
        }
        reference_softmax(r, loss, (const mpfr_t *)x, count, label, at);
        reference_margin(target, (const mpfr_t *)x, NULL, count, label);
        more = 2.0 * (loss->gamma + 1.0) * fabs(mpfr_get_d(target, MPFR_RNDN));
        more += at != label ? 2.0 * (largest - mpfr_get_d(x[at], MPFR_RNDN)) : 0.0;
    } else {
        const double smoothing = s->batch->label_smoothing;
        const double value = t->value * (1.0 - smoothing) + smoothing / 2.0;
        mpfr_set_d(target, strided_round(s->real, value), MPFR_RNDN);
        (s->batch->activation == FGHM_PROBABILITY ? reference_probability
                                                  : reference_sigmoid)(r, loss, x[0], target);
        more = loss->rule == FGHM_FOCAL_RULE_STAR
                   ? 2.0 * loss->gamma * fabs(mpfr_get_d(x[0], MPFR_RNDN))
                   : (loss->gamma + 2.0) * 2.0 * r->condition;
    }
    for (size_t n = 0; n < count; n++) {
        mpfr_clear(x[n]);
    }
    mpfr_clear(target);
    return more;
}

static void check_focal(struct check *c, struct seen *s) {
    const fghm_focal *const focal = s->reader->focal;
    const struct reference_loss set = focal_settings(c, focal);
    fghm_reduction reduction = 0;
    double normalizer = 0.0;
    struct reference r;
    mpfr_t sum, magnitudes;
    OK(fghm_focal_get_reduction(focal, &reduction));
    OK(fghm_focal_get_normalizer(focal, &normalizer));
    OK(fghm_focal_get_loss_weight(focal, &s->loss_weight));
    s->divisor = focal_divisor(s, reduction, normalizer);
    reference_init(&r);
    mpfr_inits2(WIDE_BITS, sum, magnitudes, (mpfr_ptr)0);
    mpfr_set_zero(sum, 1);
    mpfr_set_zero(magnitudes, 1);
    for (size_t k = 0; k < s->elements; k++) {
        const struct target t = target_of(s, k);
        struct reference_loss loss = set;
        double factor = s->loss_weight * weight_of(s, k), more = 0.0;
        if (t.ignored) {
            set_nothing(&r);
        } else {
            const size_t class_index = is_softmax(s) ? (size_t)t.column : class_of(s, k);
            loss.alpha = is_softmax(s) ? WIDE_ALPHA_OFF : set.alpha;
            if (s->batch->class_alpha != NULL) {
                loss.alpha = s->batch->class_alpha[class_index];
            }
            if (s->batch->class_gamma != NULL) {
                loss.gamma = loss.negative_gamma = s->batch->class_gamma[class_index];
            }
            const bool of_terms =
                has_soft_samples(s) && (s->batch->target_form == FGHM_TARGET_DENSE ||
                                        (s->batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0);
            if (s->batch->class_weights != NULL && !of_terms) {
                factor *= s->batch->class_weights[class_index];
            }
            more = reference_element(&r, s, &loss, k, &t);
        }
        const bool promised = is_promised(loss.gamma) && is_promised(loss.negative_gamma) &&
                              s->batch->activation != FGHM_PROBABILITY;
        check_element(c, s, k, &r, factor, (promised ? 8.0 : 16.0) + 3.0 + more, sum, magnitudes);
    }
    check_numbers(c, s, sum, magnitudes);
    mpfr_clears(sum, magnitudes, (mpfr_ptr)0);
    reference_clear(&r);
}

/* The best constant and calibrated probabilities have a root and a quotient of gradients. */
static void check_calibrated(struct check *c, struct seen *s) {
    const struct reference_loss loss = focal_settings(c, s->reader->focal);
    mpfr_t x, eta;
    mpfr_inits2(WIDE_BITS, x, eta, (mpfr_ptr)0);
    for (size_t k = 0; k < s->elements; k++) {
        mpfr_set_d(x, input_of(s, "logits", k, false, 0), MPFR_RNDN);
        calibrated(eta, &loss, x);
        check_value(c, s, "gradient", k, false, eta, eta, s->real == FGHM_F64 ? 8.0 : 0.5);
    }
    mpfr_clears(x, eta, (mpfr_ptr)0);
}

static void check_best_constant(struct check *c, const struct cases_reader *r, double positives,
                                double negatives) {
    const struct reference_loss loss = focal_settings(c, r->focal);
    const double gap = 0x1p-48 * (1.0 + fabs(r->number));
    mpfr_t x, above;
    mpfr_inits2(WIDE_BITS, x, above, (mpfr_ptr)0);
    for (int side = -1; side <= 1; side += 2) {
        mpfr_set_d(x, r->number + side * gap, MPFR_RNDN);
        constant_gap(above, &loss, x, positives, negatives);
        if (mpfr_sgn(above) != side) {
            fail(c, "best constant", 0, r->number, 0.0);
        }
    }
    mpfr_clears(x, above, (mpfr_ptr)0);
}

/* GHM -------------------------------------------------------------------------- */

/* Settings of the handle. */
struct harmonizer {
    fghm_ghm_kind kind;
    size_t bins, histograms;
    double edges[CHECK_BINS_MAX + 1], mu, momentum, cap, normalizer, loss_weight;
    fghm_ghm_momentum_rule rule;
    fghm_ghm_divisor divisor;
    fghm_reduction reduction;
};

static struct harmonizer harmonizer_of(struct check *c, const fghm_ghm *ghm) {
    struct harmonizer h = {.mu = 0.0};
    OK(fghm_ghm_get_kind(ghm, &h.kind));
    OK(fghm_ghm_get_bins(ghm, &h.bins));
    OK(fghm_ghm_get_histograms(ghm, &h.histograms));
    OK(fghm_ghm_get_edges(ghm, CHECK_BINS_MAX + 1, h.edges));
    if (h.kind == FGHM_GHM_REGRESSION) {
        OK(fghm_ghm_get_mu(ghm, &h.mu));
    }
    OK(fghm_ghm_get_momentum(ghm, &h.momentum));
    OK(fghm_ghm_get_momentum_rule(ghm, &h.rule));
    OK(fghm_ghm_get_divisor(ghm, &h.divisor));
    OK(fghm_ghm_get_weight_cap(ghm, &h.cap));
    OK(fghm_ghm_get_loss_weight(ghm, &h.loss_weight));
    OK(fghm_ghm_get_reduction(ghm, &h.reduction));
    OK(fghm_ghm_get_normalizer(ghm, &h.normalizer));
    return h;
}

static void add_counts(struct check *c, const struct harmonizer *h, const uint64_t *counted) {
    const double m = h->momentum;
    for (size_t n = 0; n < h->histograms; n++) {
        struct check_histogram *const g = &c->histograms[n];
        g->total = 0;
        for (size_t b = 0; b <= h->bins; b++) {
            g->counts[b] = counted[n * (h->bins + 1) + b];
            g->total += g->counts[b];
        }
        for (size_t b = 0; b < h->bins; b++) {
            if (h->rule == FGHM_GHM_MOMENTUM_CORRECTED || g->counts[b] > 0 || m == 0.0) {
                g->averages[b] =
                    m * g->averages[b] + (1.0L - (long double)m) * (long double)g->counts[b];
            }
        }
        g->average_total = m * g->average_total + (1.0L - (long double)m) * (long double)g->total;
    }
}

static long double bin_weight(const struct harmonizer *h, const struct check_histogram *g,
                              size_t bin) {
    size_t nonempty = 0;
    for (size_t b = 0; b < h->bins; b++) {
        nonempty += g->counts[b] > 0 ? 1 : 0;
    }
    const long double total =
        h->rule == FGHM_GHM_MOMENTUM_CORRECTED ? g->average_total : (long double)g->total;
    const size_t n = h->divisor == FGHM_GHM_DIVISOR_ALL_BINS ? h->bins : nonempty;
    return g->counts[bin] == 0
               ? 0.0L
               : fminl(total / (g->averages[bin] * (long double)n), (long double)h->cap);
}

/* An element's norm, loss and derivatives. */
static long double ghm_element(struct reference *r, const struct harmonizer *h,
                               const struct seen *s, size_t k, const struct target *t) {
    const struct reference_loss entropy = {.rule = FGHM_FOCAL_RULE_LINEAR, .alpha = WIDE_ALPHA_OFF};
    const double x = input_of(s, "logits", k, false, 0);
    mpfr_t d, root;
    if (h->kind == FGHM_GHM_CLASSIFICATION) {
        reference_element(r, s, &entropy, k, t);
        return fabsl(mpfr_get_ld(r->gradient, MPFR_RNDN)); /* p - t */
    }
    mpfr_inits2(WIDE_BITS, d, root, (mpfr_ptr)0);
    mpfr_set_d(d, strided_round(s->real, x - t->value), MPFR_RNDN);
    mpfr_set_d(root, h->mu, MPFR_RNDN);
    mpfr_hypot(root, root, d, MPFR_RNDN);
    mpfr_sub_d(r->loss, root, h->mu, MPFR_RNDN);
    mpfr_div(r->gradient, d, root, MPFR_RNDN);
    mpfr_pow_si(r->hessian, root, -3, MPFR_RNDN);
    mpfr_mul_d(r->hessian, r->hessian, h->mu * h->mu, MPFR_RNDN);
    mpfr_set(r->gradient_scale, r->gradient, MPFR_RNDN);
    mpfr_set(r->hessian_scale, r->hessian, MPFR_RNDN);
    mpfr_clears(d, root, (mpfr_ptr)0);
    return fabsl(mpfr_get_ld(r->gradient, MPFR_RNDN));
}

static size_t bin_of(struct check *c, const struct harmonizer *h, long double norm) {
    size_t bin = 0;
    while (bin + 1 < h->bins && norm >= (long double)h->edges[bin + 1]) {
        bin++;
    }
    /* The model does not decide at an edge; cases keep away from them. */
    for (size_t b = 1; b < h->bins; b++) {
        if (fabsl(norm - (long double)h->edges[b]) < 1e-5L) {
            fail(c, "norm at an edge", b, (double)norm, h->edges[b]);
        }
    }
    return bin;
}

static bool is_valid(const struct seen *s, size_t k, const struct target *t) {
    return !t->ignored && weight_of(s, k) > 0.0;
}

static void count_elements(struct check *c, const struct harmonizer *h, const struct seen *s,
                           uint64_t *counted) {
    struct reference r;
    reference_init(&r);
    for (size_t k = 0; k < s->elements; k++) {
        const struct target t = target_of(s, k);
        const size_t row = h->histograms > 1 ? class_of(s, k) : 0;
        if (is_valid(s, k, &t)) {
            counted[row * (h->bins + 1) + bin_of(c, h, ghm_element(&r, h, s, k, &t))]++;
        }
    }
    reference_clear(&r);
}

static void compare_history(struct check *c, const struct harmonizer *h, const fghm_ghm *ghm) {
    uint64_t counted[CASES_NUMBERS_MAX];
    double weights[CASES_NUMBERS_MAX];
    OK(fghm_ghm_get_counts(ghm, CASES_NUMBERS_MAX, counted));
    OK(fghm_ghm_get_weights(ghm, CASES_NUMBERS_MAX, weights));
    for (size_t n = 0; n < h->histograms; n++) {
        for (size_t b = 0; b < h->bins; b++) {
            const long double want = bin_weight(h, &c->histograms[n], b);
            const double got = weights[n * h->bins + b];
            if (counted[n * (h->bins + 1) + b] != c->histograms[n].counts[b] ||
                !(fabsl((long double)got - want) <= 1e-14L * want)) {
                fail(c, "bin", n * h->bins + b, got, (double)want);
            }
        }
    }
}

static void check_applied(struct check *c, const struct harmonizer *h, struct seen *s) {
    uint64_t total = 0;
    struct reference r;
    mpfr_t sum, magnitudes, weight;
    for (size_t n = 0; n < h->histograms; n++) {
        total += c->histograms[n].total;
    }
    const double divisors[] = {1.0, total > 0 ? (double)total : 1.0, h->normalizer};
    s->divisor = divisors[h->reduction];
    reference_init(&r);
    mpfr_inits2(WIDE_BITS, sum, magnitudes, weight, (mpfr_ptr)0);
    mpfr_set_zero(sum, 1);
    mpfr_set_zero(magnitudes, 1);
    for (size_t k = 0; k < s->elements; k++) {
        const struct target t = target_of(s, k);
        const struct check_histogram *const g =
            &c->histograms[h->histograms > 1 ? class_of(s, k) : 0];
        double w = 0.0;
        set_nothing(&r);
        if (is_valid(s, k, &t)) {
            w = (double)bin_weight(h, g, bin_of(c, h, ghm_element(&r, h, s, k, &t)));
        }
        mpfr_set_d(weight, w, MPFR_RNDN);
        check_value(c, s, "harmonizing_weight", k, false, weight, weight, 1.0);
        check_element(c, s, k, &r, w * h->loss_weight, 12.0, sum, magnitudes);
    }
    check_numbers(c, s, sum, magnitudes);
    mpfr_clears(sum, magnitudes, weight, (mpfr_ptr)0);
    reference_clear(&r);
}

/* w_i of the exact density, by its definition. */
static void check_density(struct check *c, const struct harmonizer *h, const struct seen *s) {
    long double norms[CASES_NUMBERS_MAX];
    const long double half = 0.5L / (long double)h->bins;
    struct reference r;
    mpfr_t want;
    reference_init(&r);
    mpfr_init2(want, WIDE_BITS);
    for (size_t k = 0; k < s->elements; k++) {
        const struct target t = target_of(s, k);
        norms[k] = ghm_element(&r, h, s, k, &t);
    }
    for (size_t k = 0; k < s->elements; k++) {
        size_t near = 0;
        for (size_t n = 0; n < s->elements; n++) {
            near += norms[k] - half <= norms[n] && norms[n] < norms[k] + half ? 1 : 0;
        }
        const long double width = fminl(norms[k] + half, 1.0L) - fmaxl(norms[k] - half, 0.0L);
        mpfr_set_ld(want, (long double)s->elements * width / (long double)near, MPFR_RNDN);
        check_value(c, s, "harmonizing_weight", k, false, want, want, 16.0);
    }
    mpfr_clear(want);
    reference_clear(&r);
}

static void check_ghm(struct check *c, struct cases_reader *r, const char *line) {
    const struct harmonizer h = harmonizer_of(c, r->ghm);
    struct seen s = see(r);
    if (strstr(line, "density") != NULL) {
        check_density(c, &h, &s);
    } else if (strstr(line, "count") != NULL) {
        count_elements(c, &h, &s, c->counted);
        for (size_t k = 0; k < h.histograms * (h.bins + 1); k++) {
            if (r->counts[k] != c->counted[k]) {
                fail(c, "count", k, (double)r->counts[k], (double)c->counted[k]);
            }
        }
    } else {
        uint64_t counted[CASES_NUMBERS_MAX] = {0};
        if (strstr(line, "apply") == NULL) {
            count_elements(c, &h, &s, counted);
            add_counts(c, &h, counted);
            compare_history(c, &h, r->ghm);
        }
        check_applied(c, &h, &s);
    }
}

static void check_update(struct check *c, const struct cases_reader *r) {
    const struct harmonizer h = harmonizer_of(c, r->ghm);
    add_counts(c, &h, r->counts);
    compare_history(c, &h, r->ghm);
}

static bool begins(const char *line, const char *word) {
    return strncmp(line, word, strlen(word)) == 0;
}

void check_line(struct check *c, struct cases_reader *r, const char *line) {
    double numbers[2];
    uint64_t bits[2];
    if (begins(line, "ghm ") || begins(line, "reset")) {
        memset(c->histograms, 0, sizeof c->histograms);
    } else if (begins(line, "counts ")) {
        memcpy(c->counted, r->counts, sizeof c->counted);
    } else if (begins(line, "update")) {
        check_update(c, r);
    } else if (sscanf(line, "best_constant %" SCNx64 " %" SCNx64, &bits[0], &bits[1]) == 2) {
        memcpy(numbers, bits, sizeof numbers);
        check_best_constant(c, r, numbers[0], numbers[1]);
    } else if (begins(line, "call ") && r->ghm != NULL) {
        check_ghm(c, r, line);
    } else if (begins(line, "call ")) {
        struct seen s = see(r);
        (begins(line, "call calibrate") ? check_calibrated : check_focal)(c, &s);
    }
}
