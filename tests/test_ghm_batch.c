/* SPDX-License-Identifier: MIT */

/* GHM over batches against a model of its own, in long double, straight from the headers: the
 * covering of support/drawn.h, compared with the model element by element.  Then what follows
 * from the contract without a model: classes apart, parts, plain calls. */

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/drawn.h"
#include "support/report.h"
#include "support/suite.h"

#ifdef TEST_EMULATED
enum { COMBINATIONS = 50, APART = 20, IN_PARTS = 40 };
#else
enum { COMBINATIONS = 330, APART = 120, IN_PARTS = 250 };
#endif

enum { CLASSES_MAX = 40, BINS_MAX = 300 };

/* -------------------------------------------------------------------------
 * A combination. */

struct combination {
    struct drawn base;
    bool apart; /* a histogram for each class */
    size_t bins;
    bool custom_edges;
    double edges[BINS_MAX + 1];
    bool poisoned; /* a valid element is NaN */
    fghm_ghm_divisor divisor;
    fghm_ghm_momentum_rule rule;
    double momentum, cap, loss_weight, mu, normalizer;
    fghm_reduction reduction;
};

static const struct combination *ghm_of(const struct drawn *c) {
    return (const struct combination *)c;
}

static bool is_softmax(const struct drawn *c) {
    return c->covering->loss->softmax;
}

static bool is_regression(const struct drawn *c) {
    return c->covering->loss->regression;
}

static void draw_bins(struct random *r, struct combination *c) {
    static const size_t bins[] = {1, 2, 3, 10, 10, 15, 16, 24, 25, 30, 127, 128, BINS_MAX};
    c->bins = bins[random_below(r, SUITE_COUNT(bins))];
    c->custom_edges = random_below(r, 3) == 0;
    for (size_t b = 0; b <= c->bins; b++) {
        const double even = (double)b / (double)c->bins;
        c->edges[b] = c->custom_edges ? even * even * (1.5 - even / 2.0) : even;
    }
}

static void settle(struct random *r, struct drawn *base) {
    static const double mus[] = {0.02, 0.02, 1.0, 1e-3, 1e-10, 300.0};
    struct combination *const c = (struct combination *)base;
    draw_bins(r, c);
    base->smoothing *= 0.9;
    c->apart = !is_softmax(base) && random_below(r, 3) == 0;
    c->poisoned = random_below(r, 8) == 0;
    c->divisor = (fghm_ghm_divisor)(random_bits(r) & 1);
    c->rule = (fghm_ghm_momentum_rule)(random_bits(r) & 1);
    c->momentum = random_below(r, 3) == 0 ? 0.75 : 0.0;
    c->cap = random_below(r, 4) == 0 ? 1.25 : (double)INFINITY;
    c->loss_weight = random_below(r, 3) == 0 ? 2.5 : 1.0;
    c->mu = mus[random_below(r, SUITE_COUNT(mus))];
    c->normalizer = 37.5;
    c->reduction = (fghm_reduction)random_below(r, 3);
}

static void print_settings(const struct drawn *base) {
    const struct combination *const c = ghm_of(base);
    printf("%s bins %zu%s momentum %g rule %d divisor %d cap %g loss weight %g mu %g reduction %d",
           c->apart ? " apart" : "", c->bins, c->custom_edges ? " custom" : "", c->momentum,
           c->rule, c->divisor, c->cap, c->loss_weight, c->mu, c->reduction);
}

/* -------------------------------------------------------------------------
 * The model of one element. */

/* What the model says of an element or, with softmax, of a class of a sample: everything but
 * the weight.  `norm` NaN: in no bin. */
struct element {
    struct drawn_target target;
    bool valid;
    long double norm, loss, gradient, hessian;
    /* What an error is measured against, how many ulp of it are promised, and an absolute
     * error of what is rounded on the way. */
    long double gradient_scale, bound, derivative_bound, hessian_bound, slack, loss_slack;
};

static long double sigmoid(long double x) {
    return 1.0L / (1.0L + expl(-x));
}

static long double softplus(long double x) {
    return x > 0.0L ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

static void model_regression(const struct drawn *c, double x, struct element *e) {
    /* The difference is rounded once. */
    const long double d = drawn_is_double(c) ? (long double)(x - e->target.value)
                                             : (long double)((float)x - (float)e->target.value);
    const long double mu = (long double)ghm_of(c)->mu, root = hypotl(d, mu);
    e->norm = fabsl(d) / root;
    e->loss = d * d / (root + mu);
    e->gradient = d / root;
    e->hessian = mu / root * (mu / root) / root;
    e->gradient_scale = fabsl(e->gradient);
    e->bound = 3.0L;
    e->derivative_bound = 5.0L;
    e->hessian_bound = 10.0L; /* test_ghmr looks at the last digits */
}

static void model_sigmoid(const struct drawn *c, double logit, struct element *e) {
    const long double x = (long double)logit, s = (long double)c->smoothing;
    const long double t = (long double)e->target.value * (1.0L - s) + s / 2.0L;
    const long double p = sigmoid(x), q = sigmoid(-x);
    const long double epsilon =
        drawn_is_double(c) ? (long double)DBL_EPSILON : (long double)FLT_EPSILON;
    e->norm = t == 1.0L ? q : t == 0.0L ? p : fabsl(p - t);
    e->loss = t == 1.0L   ? softplus(-x)
              : t == 0.0L ? softplus(x)
                          : t * softplus(-x) + (1.0L - t) * softplus(x);
    e->gradient = t == 1.0L ? -q : t == 0.0L ? p : p - t;
    e->hessian = p * q;
    e->gradient_scale = p * (1.0L - t) + q * t;
    e->bound = e->derivative_bound = e->hessian_bound = 8.0L;
    if (c->smoothing > 0.0) {
        /* A smoothed target is rounded. */
        e->slack = 2.0L * epsilon;
        e->loss_slack = 2.0L * epsilon * fabsl(x);
    }
}

/* Class `at.c` of a sample. */
static void model_softmax(const struct drawn *c, const struct drawn_arrays *a,
                          struct drawn_place at, struct element *e) {
    long double others = 0.0L, all = 0.0L, largest = -(long double)INFINITY, z;
    const long double own = (long double)strided_get(&a->logits, at.o, at.c, at.i);
    const long double labelled = (long double)strided_get(&a->logits, at.o, e->target.column, at.i);
    for (size_t n = 0; n < c->classes; n++) {
        const long double x = (long double)strided_get(&a->logits, at.o, n, at.i);
        others += n == e->target.column ? 0.0L : expl(x);
        all += n == at.c ? 0.0L : expl(x);
        largest = n == e->target.column ? largest : fmaxl(largest, x);
    }
    z = labelled - logl(others); /* inf for one class */
    const long double p = sigmoid(own - logl(all)), q = sigmoid(logl(all) - own);
    e->norm = sigmoid(-z);
    e->loss = softplus(-z);
    e->gradient = at.c == e->target.column ? -q : p;
    e->hessian = p * q;
    e->gradient_scale = fabsl(e->gradient);
    e->bound = e->derivative_bound = 8.0L;
    if (c->classes > 1) {
        e->bound += 2.0L * fabsl(z);
        e->derivative_bound += 2.0L * fabsl(z);
        e->derivative_bound += at.c == e->target.column ? 0.0L : 2.0L * (largest - own);
    }
    e->hessian_bound = e->derivative_bound;
}

static struct element model_element(const struct drawn *c, const struct drawn_arrays *a, size_t k) {
    struct element e = {.target = drawn_target(c, a, k)};
    e.valid = !e.target.ignored && drawn_weight(c, a, k) > 0.0;
    if (!e.valid) {
        return e;
    }
    if (is_softmax(c)) {
        model_softmax(c, a, drawn_place(c, k), &e);
    } else if (is_regression(c)) {
        model_regression(c, strided_at(&a->logits, k), &e);
    } else {
        model_sigmoid(c, strided_at(&a->logits, k), &e);
    }
    return e;
}

static size_t model_bin(const struct combination *c, long double norm) {
    size_t bin = 0;
    for (size_t b = 1; b < c->bins; b++) {
        const long double edge =
            c->custom_edges ? (long double)c->edges[b] : (long double)b / (long double)c->bins;
        bin = norm >= edge ? b : bin;
    }
    return bin;
}

/* Whether rounding may put g on the other side of an inner edge. */
static bool is_near_edge(const struct combination *c, long double norm) {
    const long double doubt = drawn_is_double(&c->base) ? 1e-14L : 5e-6L;
    return norm == norm && model_bin(c, norm - doubt) != model_bin(c, norm + doubt);
}

/* -------------------------------------------------------------------------
 * Its arrays. */

static double any_target(struct random *r, const struct drawn *c, bool hard) {
    if (is_regression(c)) {
        return hard ? (double)random_below(r, 100) : 3.0 * random_normal(r);
    }
    return hard ? (double)(random_bits(r) & 1) : random_uniform(r, 0.0, 1.0);
}

static double any_mask(struct random *r) {
    static const double masks[] = {0.0, -1.0, (double)NAN, 1.0, 0.5, 3.0, 1.0, 1.0, 2.0};
    return masks[random_below(r, SUITE_COUNT(masks))];
}

static double draw_logit(struct random *r, const struct drawn *c, const struct drawn_arrays *a,
                         size_t k) {
    static const double spreads[] = {1.0, 4.0, 15.0};
    const double noise = spreads[random_below(r, 3)] * random_normal(r);
    /* Predictions are near their targets, on the scale of mu, or not. */
    const double unit = random_bits(r) & 1 ? ghm_of(c)->mu : 1.0;
    return is_regression(c) ? strided_at(&a->targets, k) + noise * unit : noise;
}

/* Nobody looks at what is not valid; and perhaps one element that is. */
static void poison(struct random *r, const struct drawn *c, const struct drawn_arrays *a) {
    const size_t n = strided_count(&a->logits);
    for (size_t k = 0; k < n; k++) {
        const struct element e = model_element(c, a, k);
        if (!e.valid) {
            strided_set(&a->logits, k, k % 3 ? (double)NAN : (double)INFINITY);
            if (!e.target.ignored && c->form == FGHM_TARGET_DENSE && c->targets < FGHM_U8 &&
                k % 2) {
                strided_set(&a->targets, k, 5.0); /* which is positive still */
            }
        }
    }
    if (ghm_of(c)->poisoned) {
        strided_set(&a->logits, random_below(r, n), (double)NAN);
    }
}

/* Away from edges, so that the model knows the counts. */
static void fill_logits(struct random *r, const struct drawn *c, const struct drawn_arrays *a) {
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        strided_set(&a->logits, k, draw_logit(r, c, a, k));
    }
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        for (int tries = 0; is_near_edge(ghm_of(c), model_element(c, a, k).norm); tries++) {
            assert_true(tries < 1000);
            const struct drawn_place at = drawn_place(c, k);
            const size_t class_index = is_softmax(c) ? random_below(r, c->classes) : at.c;
            strided_put(&a->logits, at.o, class_index, at.i, draw_logit(r, c, a, k));
        }
    }
    poison(r, c, a);
}

static fghm_ghm *handle_of(const struct combination *c) {
    fghm_ghm *const ghm = c->base.covering->loss->create(c->bins, c->reduction);
    if (c->custom_edges) {
        assert_int_equal(fghm_ghm_set_edges(ghm, c->bins, c->edges), FGHM_OK);
    }
    assert_int_equal(fghm_ghm_set_histograms(ghm, c->apart ? c->base.classes : 1), FGHM_OK);
    if (is_regression(&c->base)) {
        assert_int_equal(fghm_ghm_set_mu(ghm, c->mu), FGHM_OK);
    }
    assert_int_equal(fghm_ghm_set_momentum(ghm, c->momentum), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, c->rule), FGHM_OK);
    assert_int_equal(fghm_ghm_set_divisor(ghm, c->divisor), FGHM_OK);
    assert_int_equal(fghm_ghm_set_weight_cap(ghm, c->cap), FGHM_OK);
    assert_int_equal(fghm_ghm_set_loss_weight(ghm, c->loss_weight), FGHM_OK);
    assert_int_equal(fghm_ghm_set_normalizer(ghm, c->normalizer), FGHM_OK);
    return ghm;
}

static void *any_handle(const struct drawn *c) {
    return handle_of(ghm_of(c));
}

/* -------------------------------------------------------------------------
 * The first call against the model. */

struct histogram {
    uint64_t total, counts[BINS_MAX], nonempty;
};

struct model {
    struct histogram histograms[CLASSES_MAX];
    uint64_t total;
};

static struct model *model_of(const struct combination *c, const struct drawn_arrays *a) {
    struct model *const m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        const struct element e = model_element(&c->base, a, k);
        struct histogram *const h = &m->histograms[c->apart ? drawn_place(&c->base, k).c : 0];
        if (drawn_has_loss(&c->base, k)) {
            m->total += e.valid;
            h->total += e.valid;
            if (e.valid && !isnan(e.norm)) {
                h->nonempty += h->counts[model_bin(c, e.norm)]++ == 0;
            }
        }
    }
    return m;
}

static long double model_weight(const struct combination *c, const struct histogram *h,
                                size_t bin) {
    const uint64_t n = c->divisor == FGHM_GHM_DIVISOR_ALL_BINS ? c->bins : h->nonempty;
    /* The first step of the reference's rule. */
    const double start = c->rule == FGHM_GHM_MOMENTUM_REFERENCE ? 1.0 - c->momentum : 1.0;
    if (h->counts[bin] == 0) {
        return 0.0L;
    }
    return fminl((long double)h->total / (long double)(h->counts[bin] * n) / (long double)start,
                 (long double)c->cap);
}

static void check_histograms(const struct combination *c, const fghm_ghm *ghm,
                             const struct model *m) {
    static uint64_t counts[CLASSES_MAX * (BINS_MAX + 1)];
    static size_t nonempty[CLASSES_MAX];
    static double weights[CLASSES_MAX * BINS_MAX];
    const size_t rows = c->apart ? c->base.classes : 1;
    assert_int_equal(fghm_ghm_get_counts(ghm, rows * (c->bins + 1), counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_nonempty(ghm, rows, nonempty), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, rows * c->bins, weights), FGHM_OK);
    for (size_t h = 0; h < rows; h++) {
        if (nonempty[h] != m->histograms[h].nonempty) {
            drawn_failed(&c->base, "nonempty", h);
        }
        for (size_t b = 0; b < c->bins; b++) {
            const long double w = model_weight(c, &m->histograms[h], b);
            const uint64_t count = m->histograms[h].counts[b];
            const uint64_t got = counts[h * (c->bins + 1) + b];
            if (got != count) {
                if (drawn_failed(&c->base, "count", h * c->bins + b)) {
                    printf("  %llu, want %llu\n", (unsigned long long)got,
                           (unsigned long long)count);
                }
            }
            if (!(fabsl((long double)weights[h * c->bins + b] - w) <= 3e-16L * w)) {
                drawn_failed(&c->base, "weight", h * c->bins + b);
            }
        }
    }
}

static double divisor_of(const struct combination *c, const struct model *m) {
    const double divisors[] = {1.0, m->total > 0 ? (double)m->total : 1.0, c->normalizer};
    return divisors[c->reduction];
}

/* The error of `got` in units of the last place that the type has at `scale`. */
static long double ulps(const struct combination *c, double got, long double exact,
                        long double scale) {
    const struct wide_format *const format = drawn_format(&c->base);
    int exponent = format->lowest;
    if (scale > 0.0L) {
        frexpl(scale, &exponent);
        exponent -= format->digits;
        exponent = exponent < format->lowest ? format->lowest : exponent;
    }
    return ldexpl(fabsl((long double)got - exact), -exponent);
}

static void check_value(const struct combination *c, const struct drawn_arrays *a, int output,
                        size_t k, long double exact, long double scale, long double bound,
                        long double slack) {
    const double got = strided_at(&a->plain[output], k);
    const long double allowed = bound + ulps(c, 0.0, slack, scale);
    if (isnan(exact) ? !isnan(got) : !(ulps(c, got, exact, scale) <= allowed)) {
        if (drawn_failed(&c->base, result_names[output], k)) {
            printf("  got %.17g, want %.17Lg, scale %.9Lg: %.2Lf ulp > %.2Lf\n", got, exact, scale,
                   ulps(c, got, exact, scale), allowed);
        }
    }
}

static void check_element(const struct combination *c, const struct drawn_arrays *a,
                          const struct model *m, size_t k) {
    const struct element e = model_element(&c->base, a, k);
    const struct histogram *const h = &m->histograms[c->apart ? drawn_place(&c->base, k).c : 0];
    const bool in_bin = e.valid && !isnan(e.norm);
    const long double w = in_bin ? model_weight(c, h, model_bin(c, e.norm)) : 0.0L;
    const long double scaled = w * (long double)c->loss_weight;
    const long double factor = scaled / (long double)divisor_of(c, m);
    /* An ulp for w and one for 1 / D; where a factor blows up what is subnormal, so does its
     * error. */
    const long double grown = fmaxl(1.0L, fmaxl(scaled, factor));
    const long double bound = e.bound + 2.0L, derivative_bound = e.derivative_bound + 2.0L;
    const long double tiny = ldexpl(grown, drawn_is_double(&c->base) ? -1010 : -120);
    if (drawn_has_loss(&c->base, k)) {
        const long double loss = e.valid && isnan(e.norm) ? e.norm : scaled * e.loss;
        check_value(c, a, HARMONIZING, drawn_loss_index(&c->base, k), w, w, 1.0L, 0.0L);
        check_value(c, a, ELEMENT_LOSS, drawn_loss_index(&c->base, k), loss, loss,
                    bound * (loss < tiny ? grown : 1.0L), scaled * e.loss_slack);
    }
    const long double gradient = e.valid && isnan(e.norm) ? e.norm : factor * e.gradient;
    const long double hessian = e.valid && isnan(e.norm) ? e.norm : factor * e.hessian;
    const long double scale = factor * e.gradient_scale;
    check_value(c, a, GRADIENT, k, gradient, scale,
                derivative_bound * (scale < tiny ? grown : 1.0L), factor * e.slack);
    check_value(c, a, HESSIAN, k, hessian, hessian,
                (e.hessian_bound + 2.0L) * (hessian < tiny ? grown : 1.0L), 0.0L);
}

static void check(struct random *r, const struct drawn *base, const struct drawn_arrays *a,
                  const void *handle, const fghm_result *result) {
    const struct combination *const c = ghm_of(base);
    struct model *const m = model_of(c, a);
    (void)r;
    check_histograms(c, handle, m);
    drawn_check_result(base, a, result, divisor_of(c, m));
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        check_element(c, a, m, k);
    }
    free(m);
}

static void check_again(const struct drawn *base, const struct drawn_arrays *a,
                        const void *handle) {
    struct model *const m = model_of(ghm_of(base), a);
    check_histograms(ghm_of(base), handle, m);
    free(m);
}

#define COVERING(which)                                                                            \
    {                                                                                              \
        .loss = &all_losses[which], .most_classes = CLASSES_MAX, .settle = settle,                 \
        .print = print_settings, .target = any_target, .weight = any_mask, .fill = fill_logits,    \
        .handle = any_handle, .check = check, .check_again = check_again                           \
    }

static const struct covering coverings[] = {COVERING(GHMC), COVERING(GHMC_SOFTMAX), COVERING(GHMR)};

static void elements_match_the_model(void **state) {
    struct combination room;
    (void)state;
    drawn_cover(301, &coverings[0], COMBINATIONS, &room.base, sizeof room);
}

static void samples_match_the_model(void **state) {
    struct combination room;
    (void)state;
    drawn_cover(305, &coverings[1], COMBINATIONS, &room.base, sizeof room);
}

static void boxes_match_the_model(void **state) {
    struct combination room;
    (void)state;
    drawn_cover(307, &coverings[2], COMBINATIONS, &room.base, sizeof room);
}

/* One of any of the losses. */
static void draw(struct random *r, size_t number, struct combination *c) {
    const struct covering *const covering = &coverings[random_below(r, SUITE_COUNT(coverings))];
    drawn_make(r, covering, number, &c->base, sizeof *c);
}

/* -------------------------------------------------------------------------
 * Histograms of the classes: each as if the class were alone. */

/* Class by class, contiguous, in the type of the computation: what a call about this class
 * alone gets.  Labels have become numbers. */
static void check_class(const struct combination *c, const struct drawn_arrays *a,
                        size_t class_index, const fghm_ghm *all, double divisor, fghm_ghm *alone) {
    const size_t n = c->base.outer * c->base.inner;
    struct strided inputs[3], outputs[RESULTS];
    uint64_t counts[BINS_MAX + 1], rows[CLASSES_MAX * (BINS_MAX + 1)];
    double weights[BINS_MAX], weight_rows[CLASSES_MAX * BINS_MAX];
    fghm_result result = FGHM_RESULT_INIT;
    for (int k = 0; k < 3; k++) {
        inputs[k] = strided_plain(drawn_real(&c->base), n, 1, 1);
    }
    for (int k = 0; k < RESULTS; k++) {
        outputs[k] = strided_plain(drawn_real(&c->base), n, 1, 1);
    }
    for (size_t k = 0; k < n; k++) {
        const size_t from =
            (k / c->base.inner * c->base.classes + class_index) * c->base.inner + k % c->base.inner;
        const struct element e = model_element(&c->base, a, from);
        strided_set(&inputs[0], k, strided_at(&a->logits, from));
        strided_set(&inputs[1], k, e.target.value);
        strided_set(&inputs[2], k, e.valid ? 1.0 : 0.0);
    }
    fghm_batch b = descriptor_of(n, 1, 1);
    b.label_smoothing = c->base.smoothing;
    b.logits = strided_input(&inputs[0]);
    b.targets = strided_input(&inputs[1]);
    b.weights = strided_input(&inputs[2]);
    b.element_loss = strided_output(&outputs[ELEMENT_LOSS]);
    b.gradient = strided_output(&outputs[GRADIENT]);
    b.hessian = strided_output(&outputs[HESSIAN]);
    b.harmonizing_weight = strided_output(&outputs[HARMONIZING]);
    assert_int_equal(fghm_ghm_step_batch(alone, NULL, &b, &result), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(all, c->base.classes * (c->bins + 1), rows), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(alone, c->bins + 1, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(all, c->base.classes * c->bins, weight_rows), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(alone, c->bins, weights), FGHM_OK);
    if (memcmp(rows + class_index * (c->bins + 1), counts, (c->bins + 1) * sizeof counts[0]) != 0 ||
        memcmp(weight_rows + class_index * c->bins, weights, c->bins * sizeof weights[0]) != 0) {
        drawn_failed(&c->base, "row of a class", class_index);
    }
    for (size_t k = 0; k < n; k++) {
        const size_t from =
            (k / c->base.inner * c->base.classes + class_index) * c->base.inner + k % c->base.inner;
        for (int output = 0; output < RESULTS; output++) {
            const double want = strided_at(&outputs[output], k);
            const double got = strided_at(&a->plain[output], from);
            const bool divided = output == GRADIENT || output == HESSIAN;
            const double error = fabs(got * divisor - want * result.divisor);
            const double allowed = drawn_is_double(&c->base) ? 4e-15 : 2e-6;
            if (divided ? !(isnan(want) ? isnan(got)
                                        : error <= allowed * fabs(want) * result.divisor + 1e-30)
                        : !drawn_same(got, want)) {
                drawn_failed(&c->base, "class alone", from);
            }
        }
    }
    for (int k = 0; k < 3; k++) {
        strided_free(&inputs[k]);
    }
    for (int k = 0; k < RESULTS; k++) {
        strided_free(&outputs[k]);
    }
}

static void classes_apart_are_classes_alone(void **state) {
    enum { STEPS = 4 };
    struct combinations each = combinations(302);
    (void)state;
    for (size_t number = 0; number < APART; number++) {
        if (!combinations_next(&each)) {
            continue;
        }
        struct combination c;
        draw(&each.random, number, &c);
        fghm_ghm *alone[CLASSES_MAX];
        if (is_softmax(&c.base) || c.base.classes == 1) {
            continue;
        }
        c.apart = true;
        c.momentum = 0.5;
        fghm_ghm *const all = handle_of(&c);
        c.apart = false;
        for (size_t k = 0; k < c.base.classes; k++) {
            alone[k] = handle_of(&c);
        }
        for (int at = 0; at < STEPS; at++) {
            struct drawn_arrays a = drawn_arrays(&each.random, &c.base);
            fghm_result result = FGHM_RESULT_INIT;
            const fghm_batch b = drawn_batch(&c.base, &a, a.plain, DRAWN_ALL);
            assert_int_equal(fghm_ghm_step_batch(all, NULL, &b, &result), FGHM_OK);
            for (size_t k = 0; k < c.base.classes; k++) {
                check_class(&c, &a, k, all, result.divisor, alone[k]);
            }
            drawn_free(&a);
        }
        for (size_t k = 0; k < c.base.classes; k++) {
            fghm_ghm_destroy(alone[k]);
        }
        fghm_ghm_destroy(all);
    }
    combinations_end(&each);
    report_end();
}

/* -------------------------------------------------------------------------
 * A batch in parts, on threads with one const handle: the whole, bit for bit. */

enum { PARTS = 9, THREADS = 4 };

/* Indices of o, c, i. */
struct box {
    size_t first[3], n[3];
};

/* The boxes of a batch, the last one empty. */
static void cut(struct random *r, const struct combination *c, struct box boxes[PARTS]) {
    /* Labels, and histograms apart, are about all classes. */
    const bool by_class = c->base.form == FGHM_TARGET_DENSE && !c->apart;
    boxes[0] = (struct box){{0, 0, 0}, {c->base.outer, c->base.classes, c->base.inner}};
    for (size_t k = 1; k < PARTS; k++) {
        struct box *const larger = &boxes[random_below(r, k)];
        size_t axis = random_below(r, 3);
        /* There is no batch without classes. */
        axis = axis == 1 && (!by_class || larger->n[1] == 1) ? 0 : axis;
        const size_t taken = axis == 1 ? 1 + random_below(r, larger->n[1] - 1)
                                       : random_below(r, larger->n[axis] + 1);
        boxes[k] = *larger;
        larger->n[axis] -= taken;
        boxes[k].first[axis] += larger->n[axis];
        boxes[k].n[axis] = taken;
    }
}

static const void *shifted(const void *data, fghm_dtype dtype, const int64_t *strides,
                           const struct box *box) {
    int64_t offset = 0;
    for (int axis = 0; axis < 3; axis++) {
        offset += (int64_t)box->first[axis] * strides[axis];
    }
    return data == NULL ? NULL
                        : (const unsigned char *)data + offset * (int64_t)strided_size(dtype);
}

/* The descriptor of a box; the strides of `whole` are explicit. */
static fghm_batch part_of(const fghm_batch *whole, const struct box *box) {
    fghm_batch part = *whole;
    fghm_input *const inputs[] = {&part.logits, &part.targets, &part.weights};
    fghm_output *const outputs[] = {&part.element_loss, &part.gradient, &part.hessian,
                                    &part.harmonizing_weight};
    descriptor_set_shape(&part, box->n[0], box->n[1], box->n[2]);
    for (int k = 0; k < 3; k++) {
        inputs[k]->data = shifted(inputs[k]->data, inputs[k]->dtype, inputs[k]->strides, box);
    }
    for (int k = 0; k < 4; k++) {
        outputs[k]->data = (void *)(uintptr_t)shifted(outputs[k]->data, outputs[k]->dtype,
                                                      outputs[k]->strides, box);
    }
    return part;
}

/* What a thread has of the parts: every fourth. */
struct worker {
    const struct combination *c;
    const fghm_ghm *ghm;
    const fghm_batch *parts;
    size_t index, size;
    bool applies;
    uint64_t *counts;
    fghm_status status;
    uint64_t valid, positives;
    long double sum;
    pthread_t thread;
};

static void *work(void *argument) {
    struct worker *const w = argument;
    for (size_t k = w->index; k < PARTS && w->status == FGHM_OK; k += THREADS) {
        fghm_result result = FGHM_RESULT_INIT;
        if (w->applies) {
            w->status = fghm_ghm_apply_batch(w->ghm, NULL, &w->parts[k], &result);
        } else {
            w->status =
                fghm_ghm_count_batch(w->ghm, NULL, &w->parts[k], w->size, w->counts, &result);
        }
        w->valid += result.valid;
        w->positives += result.positives;
        w->sum += (long double)result.sum;
    }
    return NULL;
}

/* Counts or applies all parts; adds up what the threads have found. */
static struct worker run_parts(const struct combination *c, const fghm_ghm *ghm,
                               const fghm_batch parts[PARTS], bool applies, uint64_t *counts,
                               size_t size) {
    struct worker workers[THREADS], all = {.status = FGHM_OK};
    for (size_t k = 0; k < THREADS; k++) {
        workers[k] = (struct worker){.c = c,
                                     .ghm = ghm,
                                     .parts = parts,
                                     .index = k,
                                     .size = size,
                                     .applies = applies,
                                     .counts = calloc(size, sizeof *counts)};
        assert_non_null(workers[k].counts);
        assert_int_equal(pthread_create(&workers[k].thread, NULL, work, &workers[k]), 0);
    }
    for (size_t k = 0; k < THREADS; k++) {
        assert_int_equal(pthread_join(workers[k].thread, NULL), 0);
        assert_int_equal(workers[k].status, FGHM_OK);
        all.valid += workers[k].valid;
        all.positives += workers[k].positives;
        all.sum += workers[k].sum;
        for (size_t n = 0; n < size; n++) {
            counts[n] += workers[k].counts[n];
        }
        free(workers[k].counts);
    }
    return all;
}

static void use_explicit_strides(struct strided *a) {
    a->layout = FGHM_LAYOUT_STRIDED;
    memcpy(a->given, a->strides, sizeof a->given);
    if (a->extents[1] == 1) {
        a->given[1] = 0;
    }
}

static void check_parts(struct random *r, const struct combination *c) {
    struct drawn_arrays a = drawn_arrays(r, &c->base);
    fghm_ghm *const ghm = handle_of(c), *const other = handle_of(c);
    fghm_result result = FGHM_RESULT_INIT;
    struct box boxes[PARTS];
    fghm_batch parts[PARTS];
    size_t size = 0, order[PARTS];
    struct strided *const arrays[] = {&a.logits, &a.targets, &a.weights};
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        use_explicit_strides(arrays[k]);
    }
    for (int k = 0; k < RESULTS; k++) {
        use_explicit_strides(&a.drawn[k]);
    }
    const fghm_batch whole = drawn_batch(&c->base, &a, a.plain, DRAWN_ALL),
                     drawn = drawn_batch(&c->base, &a, a.drawn, DRAWN_ALL);
    assert_int_equal(fghm_ghm_get_counts_size(ghm, &size), FGHM_OK);
    uint64_t *const counts = calloc(size, sizeof *counts);
    assert_non_null(counts);
    cut(r, c, boxes);
    random_permutation(r, PARTS, order);
    for (size_t k = 0; k < PARTS; k++) {
        parts[k] = part_of(&drawn, &boxes[order[k]]);
    }
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &whole, &result), FGHM_OK);
    const struct worker counted = run_parts(c, other, parts, false, counts, size);
    assert_int_equal(fghm_ghm_update(other, size, counts), FGHM_OK);
    const struct worker applied = run_parts(c, other, parts, true, counts, size);
    if (counted.valid != result.valid || counted.positives != result.positives ||
        applied.valid != result.valid || applied.positives != result.positives) {
        drawn_failed(&c->base, "counts of parts", 0);
    }
    if (isnan(result.sum)
            ? !isnan(applied.sum)
            : !(fabsl(applied.sum - (long double)result.sum) <=
                (drawn_is_double(&c->base) ? 1e-14L : 1e-6L) * (long double)result.sum)) {
        drawn_failed(&c->base, "sum of parts", 0);
    }
    for (int output = 0; output < RESULTS; output++) {
        for (size_t k = 0; k < strided_count(&a.drawn[output]); k++) {
            if (!drawn_same(strided_at(&a.drawn[output], k), strided_at(&a.plain[output], k))) {
                drawn_failed(&c->base, "part", k);
            }
        }
    }
    free(counts);
    fghm_ghm_destroy(ghm);
    fghm_ghm_destroy(other);
    drawn_free(&a);
}

static void parts_are_the_whole(void **state) {
    struct combinations all = combinations(303);
    (void)state;
    for (size_t number = 0; number < IN_PARTS; number++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct combination c;
        draw(&all.random, number, &c);
        for (int k = 0; k < RESULTS; k++) {
            c.base.outputs[k] = drawn_real(&c.base);
        }
        check_parts(&all.random, &c);
    }
    combinations_end(&all);
    report_end();
}

/* Which have one histogram. */
static void settle_plain(struct random *r, struct drawn *base) {
    settle(r, base);
    ((struct combination *)base)->apart = false;
}

static void cover_plain(uint64_t test, const struct covering *covering, const struct dtype *d) {
    struct covering plain = *covering;
    struct combination room;
    plain.settle = settle_plain;
    drawn_cover_plain(test, &plain, d, &room.base, sizeof room);
}

static void plain_calls_are_batches(void **state) {
    cover_plain(304, &coverings[0], *state);
}

static void plain_calls_of_boxes_are_batches(void **state) {
    cover_plain(308, &coverings[2], *state);
}

/* -------------------------------------------------------------------------
 * Softmax: derivatives by differences of the cross-entropy. */

static void cross_entropy(mpfr_t loss, const double *logits, size_t classes, size_t label,
                          size_t shifted_class, double shift) {
    mpfr_t e, sum;
    mpfr_inits2(WIDE_BITS, e, sum, (mpfr_ptr)0);
    mpfr_set_ui(sum, 0, MPFR_RNDN);
    for (size_t c = 0; c < classes; c++) {
        mpfr_set_d(e, logits[c], MPFR_RNDN);
        mpfr_add_d(e, e, c == shifted_class ? shift : 0.0, MPFR_RNDN);
        if (c == label) {
            mpfr_set(loss, e, MPFR_RNDN);
        }
        mpfr_exp(e, e, MPFR_RNDN);
        mpfr_add(sum, sum, e, MPFR_RNDN);
    }
    mpfr_log(sum, sum, MPFR_RNDN);
    mpfr_sub(loss, sum, loss, MPFR_RNDN);
    mpfr_clears(e, sum, (mpfr_ptr)0);
}

static void softmax_derivatives_by_differences(void **state) {
    enum { SAMPLES = 60, CLASSES = 5 };
    const double h = 0x1p-70;
    struct random r = random_for(305);
    double logits[SAMPLES * CLASSES], gradient[SAMPLES * CLASSES], hessian[SAMPLES * CLASSES];
    double element_loss[SAMPLES], w[SAMPLES];
    int32_t labels[SAMPLES];
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    mpfr_t at, up, down;
    (void)state;
    mpfr_inits2(WIDE_BITS, at, up, down, (mpfr_ptr)0);
    for (size_t k = 0; k < SAMPLES * CLASSES; k++) {
        logits[k] = 3.0 * random_normal(&r);
        labels[k % SAMPLES] = (int32_t)random_below(&r, CLASSES);
    }
    fghm_batch b = descriptor_of(SAMPLES, CLASSES, 1);
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.logits = (fghm_input){.data = logits, .dtype = FGHM_F64};
    b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    b.element_loss = (fghm_output){.data = element_loss, .dtype = FGHM_F64};
    b.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F64};
    b.hessian = (fghm_output){.data = hessian, .dtype = FGHM_F64};
    b.harmonizing_weight = (fghm_output){.data = w, .dtype = FGHM_F64};
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &b, NULL), FGHM_OK);
    for (size_t k = 0; k < SAMPLES * CLASSES; k++) {
        const size_t sample = k / CLASSES, c = k % CLASSES, label = (size_t)labels[sample];
        const double *const x = logits + sample * CLASSES;
        cross_entropy(at, x, CLASSES, label, c, 0.0);
        cross_entropy(up, x, CLASSES, label, c, h);
        cross_entropy(down, x, CLASSES, label, c, -h);
        const double loss = w[sample] * mpfr_get_d(at, MPFR_RNDN);
        mpfr_mul_2ui(at, at, 1, MPFR_RNDN);
        mpfr_sub(at, up, at, MPFR_RNDN);
        mpfr_add(at, at, down, MPFR_RNDN);
        mpfr_sub(up, up, down, MPFR_RNDN);
        const double first = w[sample] * (mpfr_get_d(up, MPFR_RNDN) / (2.0 * h));
        const double second = w[sample] * (mpfr_get_d(at, MPFR_RNDN) / (h * h));
        if (!(w[sample] > 0.0) || !(fabs(element_loss[sample] - loss) <= 1e-14 * loss) ||
            !(fabs(gradient[k] - first) <= 1e-14 * fabs(first)) ||
            !(fabs(hessian[k] - second) <= 1e-14 * fabs(second))) {
            fail_msg("sample %zu class %zu: w %g loss %.17g %.17g gradient %.17g %.17g hessian "
                     "%.17g %.17g",
                     sample, c, w[sample], element_loss[sample], loss, gradient[k], first,
                     hessian[k], second);
        }
    }
    mpfr_clears(at, up, down, (mpfr_ptr)0);
    fghm_ghm_destroy(ghm);
}

/* -------------------------------------------------------------------------
 * Edges of the caller: the bin that real arithmetic gives, at the floats next to each. */

enum { EDGE_SETS = 8 };

static size_t edge_set(struct random *r, int set, double edges[FGHM_BINS_MAX + 1]) {
    static const double uneven[] = {0.0, 1e-300,        1e-30, 1e-8,          0.3,
                                    0.5, 0x1.000001p-1, 0.9,   0x1.fffffep-1, 0x1.fffffffffffffp-1,
                                    1.0};
    static const double skewed[] = {0.0, DBL_MIN, 0.01, 0.02, 0.99, 1.0};
    size_t bins = 1;
    edges[0] = 0.0;
    switch (set) {
    case 0:
        break;
    case 1:
        bins = 2;
        edges[1] = 0.5;
        break;
    case 2:
        bins = SUITE_COUNT(uneven) - 1;
        memcpy(edges, uneven, sizeof uneven);
        break;
    case 3:
        bins = SUITE_COUNT(skewed) - 1;
        memcpy(edges, skewed, sizeof skewed);
        break;
    case 4: /* neighbours */
        bins = 20;
        edges[1] = 0.25;
        for (size_t b = 2; b < bins; b++) {
            edges[b] = nextafter(edges[b - 1], 1.0);
        }
        break;
    case 5: /* as far from even as they come */
        bins = 1000;
        for (size_t b = 1; b < bins; b++) {
            edges[b] = ldexp(1.0, (int)b - (int)bins);
        }
        break;
    case 6: /* what bins of equal width have, rounded */
        bins = 100;
        for (size_t b = 1; b < bins; b++) {
            edges[b] = (double)b / (double)bins;
        }
        break;
    default:
        bins = FGHM_BINS_MAX;
        for (size_t b = 1; b < bins; b++) {
            edges[b] = ((double)b + random_uniform(r, -0.4, 0.4)) / (double)bins;
        }
        break;
    }
    edges[bins] = 1.0;
    return bins;
}

/* log(e / (1 - e)) */
static double logit_of_edge(double e) {
    mpfr_t edge, rest;
    mpfr_inits2(1280, edge, rest, (mpfr_ptr)0);
    mpfr_set_d(edge, e, MPFR_RNDN);
    mpfr_ui_sub(rest, 1, edge, MPFR_RNDN);
    mpfr_div(edge, edge, rest, MPFR_RNDN);
    mpfr_log(edge, edge, MPFR_RNDN);
    const double logit = mpfr_get_d(edge, MPFR_RNDN);
    mpfr_clears(edge, rest, (mpfr_ptr)0);
    return logit;
}

/* Of target 0. */
static size_t exact_bin(size_t bins, const double *edges, double x) {
    mpfr_t logit, g;
    size_t bin = 0, end = bins;
    /* Next to logit 0, g differs from 1/2 by about x / 4, however small x is. */
    mpfr_inits2(x != 0.0 && fabs(x) < 0x1p-200 ? 1280 : WIDE_BITS, logit, g, (mpfr_ptr)0);
    mpfr_set_d(logit, x, MPFR_RNDN);
    wide_sigmoid(g, logit);
    while (end - bin > 1) {
        const size_t middle = bin + (end - bin) / 2;
        if (mpfr_cmp_d(g, edges[middle]) >= 0) {
            bin = middle;
        } else {
            end = middle;
        }
    }
    mpfr_clears(logit, g, (mpfr_ptr)0);
    return bin;
}

/* Counts, and w of each element. */
static void check_edges(const struct dtype *d, size_t bins, const double *edges, size_t n,
                        const void *logits, const unsigned char *targets) {
    static uint64_t counts[FGHM_BINS_MAX], got[FGHM_BINS_MAX + 1];
    static double weights[FGHM_BINS_MAX];
    const fghm_dtype real = dtype_of(d);
    fghm_ghm *const ghm = ghmc_handle(1, FGHM_REDUCTION_MEAN);
    double *const w = calloc(n, sizeof *w);
    size_t *const bin = calloc(n, sizeof *bin);
    fghm_batch b = descriptor_of(n, 1, 1);
    b.logits = (fghm_input){.data = logits, .dtype = real};
    b.targets = (fghm_input){.data = targets, .dtype = FGHM_U8};
    b.harmonizing_weight = (fghm_output){.data = w, .dtype = FGHM_F64};
    assert_non_null(w);
    assert_non_null(bin);
    memset(counts, 0, sizeof counts);
    double last = 0.0;
    for (size_t k = 0; k < n; k++) {
        /* Target 1 is target 0 with the other sign; neighbours often have the same. */
        const double x = d->get(logits, k), logit = targets[k] == 1 ? -x : x;
        bin[k] = k > 0 && logit == last ? bin[k - 1] : exact_bin(bins, edges, logit);
        last = logit;
        counts[bin[k]]++;
    }
    assert_int_equal(fghm_ghm_set_edges(ghm, bins, edges), FGHM_OK);
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &b, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, got), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, bins, weights), FGHM_OK);
    for (size_t k = 0; k < bins; k++) {
        if (got[k] != counts[k]) {
            fail_msg("%s: %llu in bin %zu of %zu, want %llu, seed %llu", d->name,
                     (unsigned long long)got[k], k, bins, (unsigned long long)counts[k],
                     (unsigned long long)random_run_seed());
        }
    }
    for (size_t k = 0; k < n; k++) {
        if (w[k] != dtype_round(d, weights[bin[k]])) {
            fail_msg("%s: logit %a target %d has w %g, want %g of bin %zu of %zu, seed %llu",
                     d->name, d->get(logits, k), targets[k], w[k], weights[bin[k]], bin[k], bins,
                     (unsigned long long)random_run_seed());
        }
    }
    free(w);
    free(bin);
    fghm_ghm_destroy(ghm);
}

static void edges_of_the_caller(void **state) {
    static double edges[FGHM_BINS_MAX + 1];
    const struct dtype *const d = *state;
    struct random r = random_for(306);
    for (int set = 0; set < EDGE_SETS; set++) {
        const size_t bins = edge_set(&r, set, edges);
        const int reach = bins > 1000 ? 1 : 3;
        void *const logits = dtype_array(d, bins * 7 * 3 + 100);
        unsigned char *const targets = calloc(bins * 7 * 3 + 100, 1);
        size_t n = 0;
        assert_non_null(targets);
        for (size_t e = 1; e < bins; e++) {
            double x = dtype_round(d, logit_of_edge(edges[e]));
            for (int k = 0; k < reach; k++) {
                x = d->next(x, -(double)INFINITY);
            }
            /* Each 0 to 3 times, so that two errors hardly make up for each other. */
            for (int k = -reach; k <= reach; k++, x = d->next(x, (double)INFINITY)) {
                for (size_t times = random_below(&r, 4); times > 0; times--) {
                    targets[n] = (unsigned char)(random_bits(&r) & 1);
                    d->put(logits, n, targets[n] == 1 ? -x : x);
                    n++;
                }
            }
        }
        for (int k = 0; k < 100; k++) {
            targets[n] = (unsigned char)(random_bits(&r) & 1);
            d->put(logits, n++, k == 0 ? 0.0 : 5.0 * random_normal(&r));
        }
        check_edges(d, bins, edges, n, logits, targets);
        free(logits);
        free(targets);
    }
}

/* -------------------------------------------------------------------------
 * Infinite logits give the limits. */

static void infinite_logits(void **state) {
    enum { N = 4 };
    const double inf = (double)INFINITY;
    const double logits[N] = {inf, -inf, inf, -inf}, targets[N] = {1.0, 0.0, 0.0, 1.0};
    double loss[N], gradient[N], hessian[N], w[N];
    uint64_t counts[11];
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    fghm_batch b = descriptor_of(1, 1, N);
    b.logits = (fghm_input){.data = logits, .dtype = FGHM_F64};
    b.targets = (fghm_input){.data = targets, .dtype = FGHM_F64};
    b.element_loss = (fghm_output){.data = loss, .dtype = FGHM_F64};
    b.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F64};
    b.hessian = (fghm_output){.data = hessian, .dtype = FGHM_F64};
    b.harmonizing_weight = (fghm_output){.data = w, .dtype = FGHM_F64};
    (void)state;
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &b, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, counts), FGHM_OK);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[9], 2);
    for (int k = 0; k < N; k++) {
        assert_true(w[k] == 1.0 && hessian[k] == 0.0);
        assert_true(loss[k] == (k < 2 ? 0.0 : inf));
        assert_true(gradient[k] == (k < 2 ? 0.0 : k == 2 ? 1.0 : -1.0));
    }
    fghm_ghm_destroy(ghm);
}

/* The sum of a batch with a target that is none is that of all others. */
static void sums_leave_out_targets_that_are_none(void **state) {
    enum { N = 5 };
    const float logits[N] = {1.0f, -2.0f, 3.0f, 0.5f, -1.0f};
    const float targets[N] = {1.0f, 0.0f, 2.0f, 0.25f, 1.0f};
    const uint64_t counts[11] = {5, 2, 3, 1, 1, 1, 1, 2, 2, 4};
    float loss[N];
    double want = 0.0;
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    fghm_batch b = descriptor_of(1, 1, N);
    fghm_result result = FGHM_RESULT_INIT;
    b.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    b.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
    b.element_loss = (fghm_output){.data = loss, .dtype = FGHM_F32};
    (void)state;
    assert_int_equal(fghm_ghm_update(ghm, 11, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_apply_batch(ghm, NULL, &b, &result), FGHM_ERROR_TARGET);
    assert_int_equal(result.offender, 2);
    for (int k = 0; k < N; k++) {
        assert_true(k == 2 ? isnan(loss[k]) : loss[k] > 0.0f);
        want += k == 2 ? 0.0 : (double)loss[k];
    }
    assert_true(fabs(result.sum - want) <= 0x1p-22 * want);
    fghm_ghm_destroy(ghm);
}

/* An index that no double is ignores no target, not even its neighbours. */
static void indices_that_no_target_is(void **state) {
    enum { N = 3 };
    const double predictions[N] = {0.0, 0.0, 1.0}, targets[N] = {0x1p53, 0x1p53 + 2.0, 1.0};
    const int64_t indices[] = {((int64_t)1 << 53) + 1, (int64_t)1 << 53, INT64_MAX};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(indices); k++) {
        fghm_ghm *ghm;
        fghm_result result = FGHM_RESULT_INIT;
        fghm_batch b = descriptor_of(1, 1, N);
        b.ignore_index = indices[k];
        b.logits = (fghm_input){.data = predictions, .dtype = FGHM_F64};
        b.targets = (fghm_input){.data = targets, .dtype = FGHM_F64};
        assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION), FGHM_OK);
        assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &b, &result), FGHM_OK);
        assert_int_equal(result.valid, k == 1 ? N - 1 : N);
        fghm_ghm_destroy(ghm);
    }
}

/* -------------------------------------------------------------------------
 * As many histograms as there can be, with two samples each. */

static void most_histograms_come_to_an_end(void **state) {
    enum { MOST = FGHM_HISTOGRAMS_MAX, BOTH = 2 * MOST };
    float *const logits = calloc(BOTH, sizeof *logits);
    float *const weights = calloc(BOTH, sizeof *weights);
    uint8_t *const targets = calloc(BOTH, sizeof *targets);
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    (void)state;
    assert_true(logits != NULL && weights != NULL && targets != NULL);
    assert_int_equal(fghm_ghm_set_histograms(ghm, MOST), FGHM_OK);
    for (size_t i = MOST; i < BOTH; i++) {
        logits[i] = 3; /* of the second sample, in another bin than the first's 0 */
    }
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = 2;
    batch.shape[1] = MOST;
    batch.logits.data = logits;
    batch.logits.dtype = FGHM_F32;
    batch.targets.data = targets;
    batch.targets.dtype = FGHM_U8;
    batch.harmonizing_weight.data = weights;
    batch.harmonizing_weight.dtype = FGHM_F32;
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &batch, &result), FGHM_OK);
    assert_true(result.elements == BOTH && result.valid == BOTH);
    for (size_t i = 0; i < BOTH; i++) {
        assert_true(weights[i] == 1); /* 2 elements / (1 in the bin x 2 bins) */
    }
    fghm_ghm_destroy(ghm);
    free(logits);
    free(weights);
    free(targets);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"elements_match_the_model", elements_match_the_model, 0},
        {"samples_match_the_model", samples_match_the_model, 0},
        {"boxes_match_the_model", boxes_match_the_model, 0},
        {"classes_apart_are_classes_alone", classes_apart_are_classes_alone, 0},
        {"parts_are_the_whole", parts_are_the_whole, 0},
        {"plain_calls_are_batches", plain_calls_are_batches, 1},
        {"plain_calls_of_boxes_are_batches", plain_calls_of_boxes_are_batches, 1},
        {"softmax_derivatives_by_differences", softmax_derivatives_by_differences, 0},
        {"edges_of_the_caller", edges_of_the_caller, 1},
        {"infinite_logits", infinite_logits, 0},
        {"sums_leave_out_targets_that_are_none", sums_leave_out_targets_that_are_none, 0},
        {"indices_that_no_target_is", indices_that_no_target_is, 0},
        {"most_histograms_come_to_an_end", most_histograms_come_to_an_end, 0},
    };
    return suite_run(argument_count, arguments, "ghm_batch", tests, SUITE_COUNT(tests));
}
