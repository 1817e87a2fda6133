/* SPDX-License-Identifier: MIT */

/* GHM-C against a model of its own: gradient norms in MPFR, bins by
 * floor(g bins), and from the counts the weights as the header states them. */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/report.h"
#include "support/loss.h"
#include "support/suite.h"

static const size_t bins_list[] = {1,  2,   3,   7,   10,  16,  17,  30,   33,
                                   64, 100, 127, 128, 256, 257, 512, 1000, 4096};

/* BCE and p - t carry at most 8 ulp like the focal loss of gamma 0; the weight
 * (a quotient of integers) and 1 / D are folded in with a rounding each, which
 * the same 8 ulp have to hold. */
#define VALUE_BOUND 8.0

#define NO_BIN SIZE_MAX

/* -------------------------------------------------------------------------
 * The model. */

/* Next to logit 0, g differs from 1/2 by about x / 4, and x may be as small as
 * 2^-1074. */
static mpfr_prec_t bits_for(double x) {
    return x != 0.0 && fabs(x) < 0x1p-200 ? 1280 : WIDE_BITS;
}

/* g = |p - t|, without cancellation at t = 0 and 1. */
static void gradient_norm(mpfr_t g, double x, double t) {
    mpfr_t logit, target;
    mpfr_inits2(WIDE_BITS, logit, target, (mpfr_ptr)0);
    mpfr_set_prec(g, bits_for(x));
    mpfr_set_d(logit, t == 1.0 ? -x : x, MPFR_RNDN);
    wide_sigmoid(g, logit);
    if (t != 0.0 && t != 1.0) {
        mpfr_set_d(target, t, MPFR_RNDN);
        mpfr_sub(g, g, target, MPFR_RNDN);
        mpfr_abs(g, g, MPFR_RNDN);
    }
    mpfr_clears(logit, target, (mpfr_ptr)0);
}

static size_t bin_of_norm(mpfr_srcptr g, size_t bins) {
    mpfr_t scaled;
    size_t bin;
    mpfr_init2(scaled, mpfr_get_prec(g) + 16);
    mpfr_mul_ui(scaled, g, (unsigned long)bins, MPFR_RNDN);
    bin = (size_t)mpfr_get_ui(scaled, MPFR_RNDD);
    mpfr_clear(scaled);
    return bin < bins ? bin : bins - 1;
}

/* Is g so near to an inner edge that rounding may move it across?  p and the
 * difference are rounded a few times, to the precision of 1. */
static int near_edge(const struct dtype *d, mpfr_srcptr g, size_t bins) {
    mpfr_t scaled, nearest;
    unsigned long edge;
    int near;
    mpfr_inits2(WIDE_BITS, scaled, nearest, (mpfr_ptr)0);
    mpfr_mul_ui(scaled, g, (unsigned long)bins, MPFR_RNDN);
    mpfr_rint(nearest, scaled, MPFR_RNDN);
    edge = mpfr_get_ui(nearest, MPFR_RNDN);
    mpfr_sub(scaled, scaled, nearest, MPFR_RNDN);
    near = edge > 0 && edge < bins &&
           fabs(mpfr_get_d(scaled, MPFR_RNDN)) <= (double)bins * ldexp(8.0, -d->format->digits);
    mpfr_clears(scaled, nearest, (mpfr_ptr)0);
    return near;
}

struct model {
    size_t bins, nonempty;
    uint64_t total; /* of valid elements; the divisor is at least 1 */
    uint64_t *counts;
    size_t *bin; /* of each element; NO_BIN if masked or NaN */
};

static size_t model_bin(const struct batch *b, size_t i, size_t bins) {
    double x = b->d->get(b->logits, i), t = b->d->get(b->targets, i);
    mpfr_t g;
    size_t bin;
    if (!batch_is_valid(b, i) || isnan(x) || isnan(t)) {
        return NO_BIN;
    }
    mpfr_init2(g, WIDE_BITS);
    gradient_norm(g, x, t);
    bin = bin_of_norm(g, bins);
    mpfr_clear(g);
    return bin;
}

static struct model model_new(const struct batch *b, size_t bins) {
    struct model m = {bins, 0, 0, calloc(bins, sizeof(uint64_t)), calloc(b->n + 1, sizeof(size_t))};
    assert_non_null(m.counts);
    assert_non_null(m.bin);
    for (size_t i = 0; i < b->n; i++) {
        m.total += batch_is_valid(b, i) ? 1 : 0;
        m.bin[i] = model_bin(b, i, bins);
        if (m.bin[i] != NO_BIN) {
            m.nonempty += m.counts[m.bin[i]]++ == 0 ? 1 : 0;
        }
    }
    return m;
}

static void model_free(struct model *m) {
    free(m->counts);
    free(m->bin);
}

/* total / (count nonempty), or 0 */
static void model_weight(mpfr_t w, const struct model *m, size_t bin) {
    mpfr_set_ui(w, 0, MPFR_RNDN);
    if (m->counts[bin] > 0) {
        mpfr_set_ui(w, (unsigned long)m->total, MPFR_RNDN);
        mpfr_div_ui(w, w, (unsigned long)m->counts[bin], MPFR_RNDN);
        mpfr_div_ui(w, w, (unsigned long)m->nonempty, MPFR_RNDN);
    }
}

/* The counts and weights that the handle reads back. */
static void check_histogram(const fghm_ghm *ghm, const struct model *m) {
    uint64_t *counts = calloc(m->bins + 1, sizeof *counts);
    double *weights = calloc(m->bins, sizeof *weights);
    mpfr_t w;
    mpfr_init2(w, WIDE_BITS);
    assert_non_null(counts);
    assert_non_null(weights);
    assert_int_equal(fghm_ghm_get_counts(ghm, m->bins + 1, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, m->bins, weights), FGHM_OK);
    for (size_t i = 0; i < m->bins; i++) {
        if (counts[i] != m->counts[i]) {
            fail_msg("bin %zu of %zu: count %llu, want %llu", i, m->bins,
                     (unsigned long long)counts[i], (unsigned long long)m->counts[i]);
        }
        model_weight(w, m, i);
        if (!(ulps_f64(weights[i], w) <= 1.0)) {
            fail_msg("bin %zu of %zu: weight %a, want %a", i, m->bins, weights[i],
                     mpfr_get_d(w, MPFR_RNDN));
        }
    }
    mpfr_clear(w);
    free(counts);
    free(weights);
}

static double divisor(const struct model *m, fghm_reduction reduction, double normalizer) {
    const double divisors[] = {1.0, m->total > 0 ? (double)m->total : 1.0, normalizer};
    return divisors[reduction];
}

/* One element's results, and its exact loss in w.loss for the sum. */
static void check_element(const struct batch *b, size_t i, const struct model *m, double by,
                          struct wide_focal *w) {
    const struct dtype *d = b->d;
    struct place at = {d, 0.0, WIDE_ALPHA_OFF, d->get(b->targets, i), d->get(b->logits, i), NULL};
    mpfr_ptr exact[OUTPUTS] = {w->loss, w->gradient, w->hessian};
    mpfr_ptr scale[OUTPUTS] = {w->bce, w->gradient_scale, w->hessian_scale};
    mpfr_t weight;
    if (m->bin[i] == NO_BIN) {
        mpfr_set_ui(w->loss, 0, MPFR_RNDN);
        for (int o = 0; o < OUTPUTS; o++) {
            at.output = output_names[o];
            report_require(&at, d->get(b->out[o], i), "0, being masked",
                           d->get(b->out[o], i) == 0.0);
        }
        return;
    }
    mpfr_init2(weight, WIDE_BITS);
    model_weight(weight, m, m->bin[i]);
    wide_focal(w, 0.0, WIDE_ALPHA_OFF, at.logit, at.target);
    for (int o = 0; o < OUTPUTS; o++) {
        at.output = output_names[o];
        mpfr_mul(exact[o], exact[o], weight, MPFR_RNDN);
        mpfr_mul(scale[o], scale[o], weight, MPFR_RNDN);
        if (o != ELEMENT_LOSS) {
            mpfr_div_d(exact[o], exact[o], by, MPFR_RNDN);
            mpfr_div_d(scale[o], scale[o], by, MPFR_RNDN);
        }
        report_check(&at, d->get(b->out[o], i), exact[o], scale[o], VALUE_BOUND);
    }
    mpfr_clear(weight);
}

/* Histogram, every result and the loss of a batch without NaN among its valid
 * elements and without soft targets near an edge. */
static void check_against_model(struct batch *b, size_t bins, fghm_reduction reduction,
                                double normalizer) {
    fghm_ghm *ghm = ghmc_handle(bins, reduction);
    struct model m = model_new(b, bins);
    double by = divisor(&m, reduction, normalizer), error;
    struct wide_focal w;
    mpfr_t sum;
    mpfr_init2(sum, WIDE_BITS);
    mpfr_set_ui(sum, 0, MPFR_RNDN);
    wide_focal_init(&w);
    assert_int_equal(fghm_ghm_set_normalizer(ghm, normalizer), FGHM_OK);
    assert_int_equal(batch_ghm(b, ghm, NULL), FGHM_OK);
    check_histogram(ghm, &m);
    for (size_t i = 0; i < b->n; i++) {
        check_element(b, i, &m, by, &w);
        mpfr_add(sum, sum, w.loss, MPFR_RNDN);
    }
    mpfr_div_d(sum, sum, by, MPFR_RNDN);
    error = wide_relative_error(b->loss, sum);
    if (!(error <= b->d->sum_bound)) {
        fail_msg("%s n %zu bins %zu reduction %d: loss %a, relative error %.3g, seed %llu",
                 b->d->name, b->n, bins, (int)reduction, b->loss, error,
                 (unsigned long long)random_run_seed());
    }
    wide_focal_clear(&w);
    mpfr_clear(sum);
    model_free(&m);
    fghm_ghm_destroy(ghm);
}

/* -------------------------------------------------------------------------
 * Edges and counts. */

static void edges_are_quotients(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        fghm_ghm *ghm = ghmc_handle(bins_list[k], FGHM_REDUCTION_MEAN);
        double edges[FGHM_BINS_MAX + 1];
        assert_int_equal(fghm_ghm_get_edges(ghm, bins_list[k] + 1, edges), FGHM_OK);
        for (size_t i = 0; i <= bins_list[k]; i++) {
            assert_true(edges[i] == (double)i / (double)bins_list[k]);
        }
        fghm_ghm_destroy(ghm);
    }
}

/* Which element a wrong histogram comes from: each alone. */
static void blame(struct batch *b, size_t bins) {
    fghm_ghm *ghm = ghmc_handle(bins, FGHM_REDUCTION_MEAN);
    uint64_t *counts = calloc(bins + 1, sizeof *counts);
    int shown = 0;
    assert_non_null(counts);
    for (size_t i = 0; i < b->n && shown < 5; i++) {
        size_t want = model_bin(b, i, bins), got = 0;
        assert_int_equal(b->d->ghm(ghm, NULL, 1, dtype_at(b->d, b->logits, i),
                                   dtype_at(b->d, b->targets, i), NULL, NULL, NULL, NULL, NULL),
                         FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, counts), FGHM_OK);
        while (got < bins && counts[got] == 0) {
            got++;
        }
        if (got != want) {
            shown++;
            printf("FAILED isa %s %s bins %zu target %a logit %a: in bin %zu, want %zu\n",
                   fghm_isa_name(), b->d->name, bins, b->d->get(b->targets, i),
                   b->d->get(b->logits, i), got, want);
        }
    }
    free(counts);
    fghm_ghm_destroy(ghm);
}

/* Exactly equal counts for a batch of hard targets. */
static void check_counts(struct batch *b, size_t bins) {
    fghm_ghm *ghm = ghmc_handle(bins, FGHM_REDUCTION_MEAN);
    struct model m = model_new(b, bins);
    uint64_t *counts = calloc(bins + 1, sizeof *counts);
    assert_non_null(counts);
    assert_int_equal(batch_ghm(b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, counts), FGHM_OK);
    if (memcmp(counts, m.counts, bins * sizeof *counts) != 0) {
        blame(b, bins);
        fail_msg("%s: wrong counts with %zu bins, seed %llu", b->d->name, bins,
                 (unsigned long long)random_run_seed());
    }
    check_histogram(ghm, &m);
    free(counts);
    model_free(&m);
    fghm_ghm_destroy(ghm);
}

static double random_logit(struct random *r) {
    switch (random_below(r, 4)) {
    case 0:
        return random_uniform(r, -12.0, 12.0);
    case 1:
        return random_log_uniform(r, 1e-8, 900.0);
    default:
        return 3.0 * random_normal(r);
    }
}

static void counts_of_random_logits(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(1);
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        struct batch b = batch_new(d, 700);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, i % 50 == 49 ? d->any(&r) : random_logit(&r),
                      (double)(random_bits(&r) & 1));
        }
        batch_put(&b, 0, 0.0, 0.0);
        batch_put(&b, 1, -0.0, 1.0);
        check_counts(&b, bins_list[k]);
        batch_free(&b);
    }
}

/* The logit of each edge as the type rounds it, and 3 neighbours either side.
 * Each is there 0 to 3 times, so that two errors hardly make up for each
 * other. */
static void counts_at_the_edges(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(2);
    mpfr_t edge;
    mpfr_init2(edge, WIDE_BITS);
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        size_t bins = bins_list[k], n = 0;
        struct batch b = batch_new(d, bins * 7 * 2 * 3);
        for (size_t i = 1; i < bins; i++) {
            double x;
            wide_logit(edge, (unsigned long)i, (unsigned long)bins);
            x = dtype_round(d, mpfr_get_d(edge, MPFR_RNDN));
            for (int step = 0; step < 3; step++) {
                x = d->next(x, -(double)INFINITY);
            }
            for (int step = 0; step < 7; step++, x = d->next(x, (double)INFINITY)) {
                double t = (double)(random_bits(&r) & 1);
                for (size_t times = random_below(&r, 4); times > 0; times--) {
                    batch_put(&b, n++, t == 1.0 ? -x : x, t);
                }
                if (bins <= 100) {
                    batch_put(&b, n++, t == 1.0 ? x : -x, 1.0 - t);
                }
            }
        }
        b.n = n;
        check_counts(&b, bins);
        batch_free(&b);
    }
    mpfr_clear(edge);
}

/* Soft targets: an element near an edge may be on either side of it, all others
 * are exactly where they belong.  So the number of elements below each edge is
 * known within those near that edge. */
static void check_soft_counts(struct batch *b, size_t bins, const uint64_t *near) {
    fghm_ghm *ghm = ghmc_handle(bins, FGHM_REDUCTION_MEAN);
    struct model m = model_new(b, bins);
    uint64_t *counts = calloc(bins + 1, sizeof *counts);
    uint64_t got = 0, want = 0;
    assert_non_null(counts);
    assert_int_equal(batch_ghm(b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, counts), FGHM_OK);
    for (size_t i = 0; i < bins; i++) {
        uint64_t apart;
        got += counts[i];
        want += m.counts[i];
        apart = got > want ? got - want : want - got;
        if (apart > near[i + 1]) {
            fail_msg("%s: %zu bins, %llu elements below edge %zu, want %llu +- %llu", b->d->name,
                     bins, (unsigned long long)got, i + 1, (unsigned long long)want,
                     (unsigned long long)near[i + 1]);
        }
    }
    assert_int_equal(got, b->n);
    free(counts);
    model_free(&m);
    fghm_ghm_destroy(ghm);
}

static void counts_of_soft_targets(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(3);
    mpfr_t g;
    mpfr_init2(g, WIDE_BITS);
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        size_t bins = bins_list[k];
        struct batch b = batch_new(d, 600);
        uint64_t *near = calloc(bins + 1, sizeof *near);
        assert_non_null(near);
        for (size_t i = 0; i < b.n; i++) {
            /* one in four at an edge: p = t + edge / bins as good as it gets */
            double t = random_uniform(&r, 0.0, 1.0), x = random_logit(&r);
            double p = t + (double)random_below(&r, bins) / (double)bins * (t < 0.5 ? 1.0 : -1.0);
            if (i % 4 == 0 && p > 0.01 && p < 0.99) {
                x = log(p / (1.0 - p));
            }
            batch_put(&b, i, i % 97 == 96 ? 0.0 : x, i % 97 == 96 ? 0.25 : t);
            gradient_norm(g, d->get(b.logits, i), d->get(b.targets, i));
            if (near_edge(d, g, bins)) {
                mpfr_mul_ui(g, g, (unsigned long)bins, MPFR_RNDN);
                near[mpfr_get_ui(g, MPFR_RNDN)]++;
            }
        }
        check_soft_counts(&b, bins, near);
        free(near);
        batch_free(&b);
    }
    mpfr_clear(g);
}

/* -------------------------------------------------------------------------
 * Values. */

/* Away from the edges: hard targets, and, unless `soft` is 0, one in so many soft. */
static void fill_with(struct batch *b, struct random *r, size_t bins, size_t soft) {
    mpfr_t g;
    mpfr_init2(g, WIDE_BITS);
    for (size_t i = 0; i < b->n; i++) {
        do {
            const bool is_soft = soft > 0 && i % soft == 0;
            double t = is_soft ? random_uniform(r, 0.0, 1.0) : (double)(random_bits(r) & 1);
            batch_put(b, i, random_logit(r), t);
            gradient_norm(g, b->d->get(b->logits, i), b->d->get(b->targets, i));
        } while (near_edge(b->d, g, bins));
    }
    mpfr_clear(g);
}

static void fill(struct batch *b, struct random *r, size_t bins) {
    fill_with(b, r, bins, 3);
}

static void results_match_the_model(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(4);
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        for (size_t way = 0; way < 4; way++) {
            struct batch b = batch_new(d, 150 + 37 * (k % 4));
            fill_with(&b, &r, bins_list[k], way / 2 * 3);
            if (way % 2) {
                loss_add_weights(&all_losses[GHMC], &r, &b);
            }
            check_against_model(&b, bins_list[k], (fghm_reduction)((k + way) % 3), 17.5);
            batch_free(&b);
        }
    }
    report_end();
}

static void every_reduction(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(5);
    struct batch b = batch_new(d, 203);
    fill(&b, &r, 10);
    loss_add_weights(&all_losses[GHMC], &r, &b);
    for (fghm_reduction reduction = 0; reduction < 3; reduction++) {
        check_against_model(&b, 10, reduction, 0.3);
        check_against_model(&b, 30, reduction, 1000.0);
    }
    batch_free(&b);
    report_end();
}

static void every_small_size(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(6);
    for (size_t n = 0; n <= SHAPE_SMALL; n++) {
        struct batch b = batch_new(d, n);
        fill(&b, &r, 10);
        check_against_model(&b, 10, FGHM_REDUCTION_MEAN, 1.0);
        loss_add_weights(&all_losses[GHMC], &r, &b);
        check_against_model(&b, 10, FGHM_REDUCTION_SUM, 1.0);
        batch_free(&b);
    }
    report_end();
}

/* Logits from 1e-300 to the largest, and both zeros. */
static void far_logits_match_the_model(void **state) {
    const double magnitudes[] = {0.0,   1e-300, 1e-38, 1e-20, 1e-8, 0.5,  5.0,
                                 17.0,  40.0,   87.0,  89.0,  104., 150., 700.0,
                                 710.0, 745.0,  800.0, 1e5,   1e10, 1e30, 3e38};
    const struct dtype *d = *state;
    struct batch b = batch_new(d, 4 * SUITE_COUNT(magnitudes));
    for (size_t i = 0; i < b.n; i++) {
        double x = magnitudes[i / 4];
        batch_put(&b, i, i % 2 ? x : -x, (double)(i / 2 % 2));
    }
    /* bins full enough for weights of at most 1: losses stay finite */
    check_against_model(&b, 1, FGHM_REDUCTION_SUM, 1.0);
    check_against_model(&b, 2, FGHM_REDUCTION_MEAN, 1.0);
    batch_free(&b);
    report_end();
}

/* -------------------------------------------------------------------------
 * NaN and infinities. */

static void assert_empty_histogram(const fghm_ghm *ghm, size_t bins) {
    uint64_t counts[FGHM_BINS_MAX + 1];
    double weights[FGHM_BINS_MAX];
    assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, bins, weights), FGHM_OK);
    for (size_t i = 0; i < bins; i++) {
        assert_true(counts[i] == 0 && weights[i] == 0.0);
    }
}

/* A batch that leaves its handle with something in the histogram. */
static void count_something(const struct dtype *d, fghm_ghm *ghm) {
    struct batch b = batch_new(d, 50);
    struct random r = random_for(9);
    fill(&b, &r, 10);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    batch_free(&b);
}

/* A valid NaN is in no bin but one of `total`: the others' weights are those of
 * the batch without it, times (n + 1) / n. */
static void valid_nan_counts_in_total(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(10);
    for (int in_target = 0; in_target < 2; in_target++) {
        fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, 41);
        struct model m;
        struct wide_focal w;
        wide_focal_init(&w);
        fill(&b, &r, 10);
        d->put(in_target ? b.targets : b.logits, 20, (double)NAN);
        m = model_new(&b, 10);
        assert_int_equal(m.total, b.n);
        assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
        assert_true(isnan(b.loss));
        check_histogram(ghm, &m);
        for (size_t i = 0; i < b.n; i++) {
            if (i != 20) {
                check_element(&b, i, &m, 1.0, &w);
            }
        }
        for (int o = 0; o < OUTPUTS; o++) {
            assert_true(isnan(d->get(b.out[o], 20)));
        }
        wide_focal_clear(&w);
        model_free(&m);
        batch_free(&b);
        fghm_ghm_destroy(ghm);
    }
    report_end();
}

static void nothing_but_nan(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 19);
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, (double)NAN, 1.0);
    }
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_true(isnan(b.loss));
    for (size_t i = 0; i < OUTPUTS * b.n; i++) {
        assert_true(isnan(d->get(b.out[i % OUTPUTS], i / OUTPUTS)));
    }
    assert_empty_histogram(ghm, 10);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* Infinitely right: g = 0, results 0.  Infinitely wrong: g = 1, in the last
 * bin; loss inf, gradient -+ w, Hessian 0.  Here w = 8 / (4 2) = 1. */
static void infinite_logits(void **state) {
    const struct dtype *d = *state;
    const double inf = (double)INFINITY;
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, 8);
    uint64_t counts[11];
    for (size_t i = 0; i < b.n; i++) {
        batch_put(&b, i, i % 2 ? inf : -inf, (double)(i / 2 % 2));
    }
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, counts), FGHM_OK);
    assert_true(counts[0] == 4 && counts[9] == 4);
    assert_true(b.loss == inf);
    for (size_t i = 0; i < b.n; i++) {
        double sign = d->get(b.targets, i) == 1.0 ? -1.0 : 1.0;
        int wrong = sign * d->get(b.logits, i) > 0.0;
        assert_true(d->get(b.out[ELEMENT_LOSS], i) == (wrong ? inf : 0.0));
        assert_true(d->get(b.out[GRADIENT], i) == (wrong ? sign : 0.0));
        assert_true(d->get(b.out[HESSIAN], i) == 0.0);
    }
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* p is 0 or 1, g = t or 1 - t in the precision of the call. */
static void infinite_logits_of_soft_targets(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmc_handle(4, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, 2);
    uint64_t counts[5];
    batch_put(&b, 0, (double)INFINITY, 0.75);
    batch_put(&b, 1, -(double)INFINITY, 0.625);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 5, counts), FGHM_OK);
    assert_true(counts[0] == 0 && counts[1] == 1 && counts[2] == 1 && counts[3] == 0);
    for (size_t i = 0; i < b.n; i++) {
        assert_true(d->get(b.out[ELEMENT_LOSS], i) == (double)INFINITY);
        assert_true(d->get(b.out[GRADIENT], i) == (i ? -0.625 : 0.25));
        assert_true(d->get(b.out[HESSIAN], i) == 0.0);
    }
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* -------------------------------------------------------------------------
 * Properties that need no reference. */

static double plain_cross_entropy(double x, double t) {
    return t * log1p(exp(-x)) + (1.0 - t) * log1p(exp(x));
}

/* The loss is the mean, over bins that are not empty, of the bin's mean BCE. */
static void loss_is_the_mean_of_bin_means(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(11);
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 1009);
    struct model m;
    double mean = 0.0;
    fill(&b, &r, 10);
    for (size_t i = 0; i < b.n; i++) { /* bins 3 to 6 stay empty */
        double x = random_uniform(&r, 1.0, 9.0);
        batch_put(&b, i, i % 2 ? x : -x, (double)(random_bits(&r) & 1));
    }
    m = model_new(&b, 10);
    assert_in_range(m.nonempty, 2, 9);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    for (size_t i = 0; i < b.n; i++) {
        mean += plain_cross_entropy(d->get(b.logits, i), d->get(b.targets, i)) /
                (double)m.counts[m.bin[i]] / (double)m.nonempty;
    }
    assert_true(fabs(b.loss - mean) <= mean * (d->sum_bound + 0x1p-40));
    model_free(&m);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* As many elements in every bin: all weights are 1, the loss is plain BCE. */
static void equal_bins_give_plain_cross_entropy(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 400);
    double mean = 0.0, weights[10];
    for (size_t i = 0; i < b.n; i++) {
        double g = ((double)(i % 10) + 0.1 + 0.02 * (double)(i / 10)) / 10.0;
        double x = log(g / (1.0 - g));
        batch_put(&b, i, i % 3 ? x : -x, i % 3 ? 0.0 : 1.0);
        mean += plain_cross_entropy(d->get(b.logits, i), d->get(b.targets, i)) / (double)b.n;
    }
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, 10, weights), FGHM_OK);
    for (int i = 0; i < 10; i++) {
        assert_true(weights[i] == 1.0);
    }
    assert_true(fabs(b.loss - mean) <= mean * (d->sum_bound + 0x1p-40));
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* With one bin it is plain BCE too; and the weights always add up to total. */
static void weights_add_up_to_total(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(12);
    for (size_t k = 0; k < SUITE_COUNT(bins_list); k++) {
        fghm_ghm *ghm = ghmc_handle(bins_list[k], FGHM_REDUCTION_MEAN);
        struct batch b = batch_new(d, 503);
        uint64_t counts[FGHM_BINS_MAX + 1], total = 0;
        double weights[FGHM_BINS_MAX], sum = 0.0;
        fill(&b, &r, bins_list[k]);
        assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(ghm, bins_list[k] + 1, counts), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(ghm, bins_list[k], weights), FGHM_OK);
        for (size_t i = 0; i < bins_list[k]; i++) {
            total += counts[i];
            sum += (double)counts[i] * weights[i];
        }
        assert_int_equal(total, b.n);
        assert_true(fabs(sum - 503.0) <= 1e-9);
        batch_free(&b);
        fghm_ghm_destroy(ghm);
    }
}

/* -------------------------------------------------------------------------
 * State. */

static void set_bins_after_a_reset(void **state) {
    const struct dtype *d = *state;
    const size_t to[] = {10, 5, 4096, 1, 10};
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    assert_empty_histogram(ghm, 10);
    for (size_t i = 0; i < SUITE_COUNT(to); i++) {
        count_something(d, ghm);
        assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, to[i]), FGHM_OK);
        assert_empty_histogram(ghm, to[i]);
    }
    fghm_ghm_destroy(ghm);
}

/* Setters that fail, or that do not concern the bins, leave it alone. */
static void other_setters_keep_the_histogram(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    uint64_t before[11], after[11];
    count_something(d, ghm);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, before), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, 0), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_ghm_set_reduction(ghm, FGHM_REDUCTION_SUM), FGHM_OK);
    assert_int_equal(fghm_ghm_set_reduction(ghm, 9), FGHM_ERROR_CONSTANT);
    assert_int_equal(fghm_ghm_set_normalizer(ghm, 5.0), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, after), FGHM_OK);
    assert_memory_equal(before, after, sizeof before);
    fghm_ghm_destroy(ghm);
}

/* A target that is wrong at the end of a shared-out batch stops all of it. */
static void bad_target_on_any_thread(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(3);
    struct batch b = batch_new(d, 300007);
    uint64_t before[11], after[11];
    count_something(d, ghm);
    assert_int_equal(fghm_ghm_get_counts(ghm, 11, before), FGHM_OK);
    for (size_t where = 0; where < 3; where++) {
        size_t at = where * (b.n - 1) / 2;
        d->put(b.targets, at, 1.5);
        b.loss = 7.0;
        assert_int_equal(batch_ghm(&b, ghm, pool), FGHM_ERROR_TARGET);
        d->put(b.targets, at, 0.0);
        assert_true(b.loss == 7.0);
        for (size_t i = 0; i < OUTPUTS * b.n; i++) {
            assert_true(d->get(b.out[i % OUTPUTS], i / OUTPUTS) == 0.0);
        }
        assert_int_equal(fghm_ghm_get_counts(ghm, 11, after), FGHM_OK);
        assert_memory_equal(before, after, sizeof before);
    }
    fghm_pool_destroy(pool);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"edges_are_quotients", edges_are_quotients, 0},
        {"counts_of_random_logits", counts_of_random_logits, 1},
        {"counts_at_the_edges", counts_at_the_edges, 1},
        {"counts_of_soft_targets", counts_of_soft_targets, 1},
        {"results_match_the_model", results_match_the_model, 1},
        {"every_reduction", every_reduction, 1},
        {"every_small_size", every_small_size, 1},
        {"far_logits_match_the_model", far_logits_match_the_model, 1},
        {"valid_nan_counts_in_total", valid_nan_counts_in_total, 1},
        {"nothing_but_nan", nothing_but_nan, 1},
        {"infinite_logits", infinite_logits, 1},
        {"infinite_logits_of_soft_targets", infinite_logits_of_soft_targets, 1},
        {"loss_is_the_mean_of_bin_means", loss_is_the_mean_of_bin_means, 1},
        {"equal_bins_give_plain_cross_entropy", equal_bins_give_plain_cross_entropy, 1},
        {"weights_add_up_to_total", weights_add_up_to_total, 1},
        {"set_bins_after_a_reset", set_bins_after_a_reset, 1},
        {"other_setters_keep_the_histogram", other_setters_keep_the_histogram, 1},
        {"bad_target_on_any_thread", bad_target_on_any_thread, 1},
    };
    return suite_run(argument_count, arguments, "ghm", tests, SUITE_COUNT(tests));
}
