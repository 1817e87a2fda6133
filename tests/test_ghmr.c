/* SPDX-License-Identifier: MIT */

/* GHM-R against a model of its own: values in MPFR by the formulas of the header, bins by
 * comparing d^2 (1 - e^2) with e^2 mu^2, which MPFR does without any rounding. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/descriptor.h"
#include "support/report.h"
#include "support/loss.h"
#include "support/suite.h"

/* The promises of the header, before w and 1 / D; with them, see test_ghm_batch. */
static const double bare_bounds[OUTPUTS] = {5.0, 5.0, 10.0};

/* sqrt(d^2 + mu^2) - mu loses 2350 bits where d is the smallest number and mu the largest;
 * and d^2 (1 - e^2) is exact for every edge e. */
#define EXACT_BITS 2800
/* Enough for d^2 (bins^2 - b^2), and much faster. */
#define UNIFORM_BITS 256

/* Emulated processors take their time. */
#ifdef TEST_EMULATED
#define MU_STEP 3
#else
#define MU_STEP 1
#endif

static const double mu_list[] = {1e-30, 1e-25, 1e-10, 3e-5, 0.02, 1.0, 137.3, 1e10, 1e20, 1e30};

/* -------------------------------------------------------------------------
 * The model. */

struct bin_edges {
    size_t bins;
    const double *edges; /* NULL: of equal width */
    double mu;
};

/* Is |d| / sqrt(d^2 + mu^2) >= edge b? */
static bool reaches(const struct bin_edges *e, double d, size_t b) {
    mpfr_t left, right, factor;
    bool result;
    mpfr_inits2(e->edges == NULL ? UNIFORM_BITS : EXACT_BITS, left, right, factor, (mpfr_ptr)0);
    mpfr_set_d(left, d, MPFR_RNDN);
    mpfr_sqr(left, left, MPFR_RNDN);
    mpfr_set_d(right, e->mu, MPFR_RNDN);
    mpfr_sqr(right, right, MPFR_RNDN);
    if (e->edges == NULL) {
        mpfr_mul_ui(left, left, (unsigned long)((e->bins - b) * (e->bins + b)), MPFR_RNDN);
        mpfr_mul_ui(right, right, (unsigned long)(b * b), MPFR_RNDN);
    } else {
        mpfr_set_d(factor, e->edges[b], MPFR_RNDN);
        mpfr_sqr(factor, factor, MPFR_RNDN);
        mpfr_mul(right, right, factor, MPFR_RNDN);
        mpfr_ui_sub(factor, 1, factor, MPFR_RNDN);
        mpfr_mul(left, left, factor, MPFR_RNDN);
    }
    result = mpfr_cmp(left, right) >= 0;
    mpfr_clears(left, right, factor, (mpfr_ptr)0);
    return result;
}

static size_t exact_bin(const struct bin_edges *e, double d) {
    size_t bin = 0, end = e->bins;
    if (isinf(d)) {
        return e->bins - 1;
    }
    while (end - bin > 1) {
        size_t middle = bin + (end - bin) / 2;
        if (reaches(e, d, middle)) {
            bin = middle;
        } else {
            end = middle;
        }
    }
    return bin;
}

/* |d| at edge b, within a few ulp. */
static double edge_difference(const struct bin_edges *e, size_t b) {
    mpfr_t edge, root;
    double d;
    mpfr_inits2(EXACT_BITS, edge, root, (mpfr_ptr)0);
    if (e->edges == NULL) {
        mpfr_set_ui(edge, (unsigned long)b, MPFR_RNDN);
        mpfr_div_ui(edge, edge, (unsigned long)e->bins, MPFR_RNDN);
    } else {
        mpfr_set_d(edge, e->edges[b], MPFR_RNDN);
    }
    mpfr_sqr(root, edge, MPFR_RNDN);
    mpfr_ui_sub(root, 1, root, MPFR_RNDN);
    mpfr_sqrt(root, root, MPFR_RNDN);
    mpfr_div(edge, edge, root, MPFR_RNDN);
    mpfr_mul_d(edge, edge, e->mu, MPFR_RNDN);
    d = mpfr_get_d(edge, MPFR_RNDN);
    mpfr_clears(edge, root, (mpfr_ptr)0);
    return d;
}

static void exact_loss(mpfr_t loss, mpfr_srcptr d, double mu) {
    mpfr_t square;
    mpfr_init2(square, EXACT_BITS);
    mpfr_set_d(square, mu, MPFR_RNDN);
    mpfr_hypot(loss, d, square, MPFR_RNDN);
    mpfr_sub_d(loss, loss, mu, MPFR_RNDN);
    mpfr_clear(square);
}

struct exact {
    mpfr_t value[OUTPUTS];
};

static void exact_init(struct exact *x) {
    for (int o = 0; o < OUTPUTS; o++) {
        mpfr_init2(x->value[o], EXACT_BITS);
    }
}

static void exact_clear(struct exact *x) {
    for (int o = 0; o < OUTPUTS; o++) {
        mpfr_clear(x->value[o]);
    }
}

static void exact_values(struct exact *x, double difference, double mu) {
    mpfr_t d, h;
    mpfr_inits2(EXACT_BITS, d, h, (mpfr_ptr)0);
    mpfr_set_d(d, difference, MPFR_RNDN);
    mpfr_set_d(h, mu, MPFR_RNDN);
    exact_loss(x->value[ELEMENT_LOSS], d, mu);
    mpfr_hypot(h, d, h, MPFR_RNDN);
    mpfr_div(x->value[GRADIENT], d, h, MPFR_RNDN);
    mpfr_set_d(d, mu, MPFR_RNDN);
    mpfr_div(d, d, h, MPFR_RNDN);
    mpfr_sqr(d, d, MPFR_RNDN);
    mpfr_div(x->value[HESSIAN], d, h, MPFR_RNDN);
    mpfr_clears(d, h, (mpfr_ptr)0);
}

/* The error in ulp of factor times value.  A bare value that is subnormal has lost digits
 * before the factor: the smallest normal number stands in for it. */
static double error_of(const struct dtype *d, double got, mpfr_srcptr value, double factor) {
    mpfr_t exact, scale;
    double ulps;
    mpfr_inits2(EXACT_BITS, exact, scale, (mpfr_ptr)0);
    mpfr_mul_d(exact, value, factor, MPFR_RNDN);
    mpfr_abs(scale, value, MPFR_RNDN);
    if (mpfr_cmp_d(scale, d->min_normal) < 0) {
        mpfr_set_d(scale, d->min_normal, MPFR_RNDN);
    }
    mpfr_mul_d(scale, scale, factor, MPFR_RNDN);
    ulps = wide_ulps_scaled(d->format, got, exact, scale);
    mpfr_clears(exact, scale, (mpfr_ptr)0);
    return ulps;
}

static double difference_of(const struct batch *b, size_t i) {
    return dtype_round(b->d, b->d->get(b->logits, i) - b->d->get(b->targets, i));
}

static fghm_ghm *handle(const struct bin_edges *e, fghm_reduction reduction) {
    fghm_ghm *ghm = ghmr_handle(e->bins, reduction);
    if (e->edges != NULL) {
        assert_int_equal(fghm_ghm_set_edges(ghm, e->bins, e->edges), FGHM_OK);
    }
    assert_int_equal(fghm_ghm_set_mu(ghm, e->mu), FGHM_OK);
    return ghm;
}

/* -------------------------------------------------------------------------
 * Values of one element: one bin and a sum, so that w and D are 1. */

static double any_difference(const struct dtype *d, struct random *r, double mu) {
    const double tiny = ldexp(1.0, d->format->lowest);
    const double few[] = {0.0, tiny, 3 * tiny, d->min_normal, mu, d->format->max, 1.0};
    double x;
    switch (random_below(r, 6)) {
    case 0:
        x = dtype_round(d, few[random_below(r, SUITE_COUNT(few))]);
        for (size_t steps = random_below(r, 3); steps > 0; steps--) {
            x = d->next(x, random_bits(r) & 1 ? 0.0 : d->format->max);
        }
        break;
    case 1:
        return d->any(r);
    case 2: /* where h turns from mu to |d| */
        x = random_log_uniform(r, mu * 0.01, mu * 100.0);
        break;
    case 3: /* where |d| and mu stop to matter to each other */
        x = random_log_uniform(r, mu * 1e-10, fmin(mu * 1e10, d->format->max));
        break;
    default:
        x = random_log_uniform(r, tiny, d->format->max);
        break;
    }
    x = dtype_round(d, x);
    return random_bits(r) & 1 ? x : -x;
}

static void values_of_mu(const struct dtype *d, double mu, struct random *r, struct worst *worst) {
    const struct bin_edges e = {1, NULL, mu};
    fghm_ghm *ghm = handle(&e, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, 1500);
    struct exact x;
    exact_init(&x);
    for (size_t i = 0; i < b.n; i++) {
        double y = any_difference(d, r, mu);
        batch_put(&b, i, i % 3 ? y : 0.0, i % 3 ? 0.0 : -y);
    }
    for (size_t i = 0; i < 300; i++) { /* neither is 0, and the difference is rounded */
        double y = any_difference(d, r, mu);
        batch_put(&b, i, y, y * random_uniform(r, -1.0, 2.0));
    }
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    for (size_t i = 0; i < b.n; i++) {
        double y = difference_of(&b, i);
        if (isinf(y)) {
            continue;
        }
        exact_values(&x, y, mu);
        for (int o = 0; o < OUTPUTS; o++) {
            double got = d->get(b.out[o], i), ulps = error_of(d, got, x.value[o], 1.0);
            double want = mpfr_get_d(x.value[o], MPFR_RNDN);
            double *most = fabs(want) >= d->min_normal ? &worst->normal[o] : &worst->subnormal[o];
            *most = fmax(*most, ulps);
            if (!(ulps <= bare_bounds[o]) || !isfinite(got)) {
                fail_msg("%s mu %a d %a: %s %a, want %a, %.2f ulp, seed %llu", d->name, mu, y,
                         output_names[o], got, want, ulps, (unsigned long long)random_run_seed());
            }
        }
    }
    exact_clear(&x);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

static void values_match_the_formulas(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(31);
    struct worst worst = {{0.0}, {0.0}};
    for (size_t k = 0; k < SUITE_COUNT(mu_list); k++) {
        values_of_mu(d, mu_list[k], &r, &worst);
    }
    for (size_t k = 0; k < 10; k++) {
        values_of_mu(d, fabs(random_log_uniform(&r, 1e-30, 1e30)), &r, &worst);
    }
    for (int o = 0; o < OUTPUTS; o++) {
        print_message("%s %s: at most %.3f ulp, %.3f of the smallest number\n", d->name,
                      output_names[o], worst.normal[o], worst.subnormal[o]);
    }
}

static void special_differences(void **state) {
    const struct dtype *d = *state;
    const double inf = (double)INFINITY, max = d->format->max;
    const struct {
        double prediction, target, loss, gradient, hessian;
    } cases[] = {
        {0.0, 0.0, 0.0, 0.0, 1.0},  {-0.0, 0.0, 0.0, 0.0, 1.0},  {0.0, -0.0, 0.0, 0.0, 1.0},
        {7.5, 7.5, 0.0, 0.0, 1.0},  {inf, 0.0, inf, 1.0, 0.0},   {-inf, 0.0, inf, -1.0, 0.0},
        {0.0, inf, inf, -1.0, 0.0}, {1.0, -inf, inf, 1.0, 0.0},  {inf, -inf, inf, 1.0, 0.0},
        {max, -max, inf, 1.0, 0.0}, {-max, max, inf, -1.0, 0.0}, {max, 0.0, max, 1.0, 0.0},
        {0.0, max, max, -1.0, 0.0}, {inf, inf, NAN, NAN, NAN},   {-inf, -inf, NAN, NAN, NAN},
        {NAN, 0.0, NAN, NAN, NAN},  {0.0, NAN, NAN, NAN, NAN},   {NAN, inf, NAN, NAN, NAN},
    };
    const struct bin_edges e = {1, NULL, 1.0};
    fghm_ghm *ghm = handle(&e, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, 3 * SUITE_COUNT(cases));
    uint64_t counts[2] = {0, 0};
    for (size_t i = 0; i < b.n; i++) { /* between neighbours that are nothing special */
        batch_put(&b, i, i % 3 == 1 ? cases[i / 3].prediction : 0.75,
                  i % 3 == 1 ? cases[i / 3].target : 0.0);
    }
    /* What is counted has w other than 1, NaN being in no bin. */
    assert_int_equal(fghm_ghm_update(ghm, 2, (const uint64_t[]){1, 0}), FGHM_OK);
    assert_int_equal(d->ghm_apply(ghm, NULL, b.n, b.logits, b.targets, NULL, &b.loss,
                                  b.out[ELEMENT_LOSS], b.out[GRADIENT], b.out[HESSIAN]),
                     FGHM_OK);
    assert_true(isnan(b.loss));
    for (size_t i = 0; i < b.n; i++) {
        double want[OUTPUTS] = {0.25, 0.6, 0.512}; /* h = 1.25 */
        if (i % 3 == 1) {
            want[ELEMENT_LOSS] = cases[i / 3].loss;
            want[GRADIENT] = cases[i / 3].gradient;
            want[HESSIAN] = cases[i / 3].hessian;
        }
        for (int o = 0; o < OUTPUTS; o++) {
            double got = d->get(b.out[o], i);
            bool same = i % 3 == 1 ? got == want[o] : fabs(got - want[o]) <= 1e-6;
            if (!same && !(isnan(want[o]) && isnan(got))) {
                fail_msg("%s %g - %g: %s %a, want %a", d->name, d->get(b.logits, i),
                         d->get(b.targets, i), output_names[o], got, want[o]);
            }
        }
    }
    assert_int_equal(d->ghm_count(ghm, NULL, b.n, b.logits, b.targets, NULL, 2, counts), FGHM_OK);
    assert_int_equal(counts[0], b.n - 5);
    assert_int_equal(counts[1], 5);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* Infinite differences in a bin that was empty at the update, or with a loss weight of 0. */
static void weight_0_outweighs_infinity(void **state) {
    const struct dtype *d = *state;
    fghm_ghm *ghm = ghmr_handle(2, FGHM_REDUCTION_SUM);
    struct batch b = batch_new(d, 21);
    for (int weightless = 0; weightless < 2; weightless++) {
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, i % 3 ? (double)INFINITY : d->format->max, -d->format->max);
        }
        batch_put(&b, 20, 0.0, 0.0);
        assert_int_equal(fghm_ghm_set_loss_weight(ghm, weightless ? 0.0 : 1.0), FGHM_OK);
        assert_int_equal(fghm_ghm_update(ghm, 3, (const uint64_t[]){1, (uint64_t)weightless, 0}),
                         FGHM_OK);
        assert_int_equal(d->ghm_apply(ghm, NULL, b.n, b.logits, b.targets, NULL, &b.loss,
                                      b.out[ELEMENT_LOSS], b.out[GRADIENT], b.out[HESSIAN]),
                         FGHM_OK);
        assert_true(b.loss == 0.0);
        for (size_t i = 0; i < 20; i++) {
            for (int o = 0; o < OUTPUTS; o++) {
                assert_true(d->get(b.out[o], i) == 0.0);
            }
        }
        d->put(b.logits, 5, (double)NAN);
        assert_int_equal(d->ghm_apply(ghm, NULL, b.n, b.logits, b.targets, NULL, &b.loss, NULL,
                                      b.out[GRADIENT], NULL),
                         FGHM_OK);
        assert_true(isnan(b.loss) && isnan(d->get(b.out[GRADIENT], 5)));
    }
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

/* -------------------------------------------------------------------------
 * Counts, and the weights that applying finds. */

#define NEIGHBOURS 7

/* One call for the counts; then, with weights that tell the bins apart, one for the bin
 * that applying gives each element. */
static void check_bins(struct batch *b, const struct bin_edges *e, const size_t *bin) {
    const struct dtype *d = b->d;
    fghm_ghm *ghm = handle(e, FGHM_REDUCTION_SUM);
    uint64_t *want = calloc(e->bins + 1, sizeof *want), *got = calloc(e->bins + 1, sizeof *got);
    double *weights = calloc(e->bins, sizeof *weights);
    assert_non_null(want);
    assert_non_null(got);
    assert_non_null(weights);
    for (size_t i = 0; i < b->n; i++) {
        want[bin[i]]++;
    }
    assert_int_equal(d->ghm_count(ghm, NULL, b->n, b->logits, b->targets, NULL, e->bins + 1, got),
                     FGHM_OK);
    for (size_t k = 0; k <= e->bins; k++) {
        if (got[k] != want[k]) {
            fail_msg("%s mu %a: %llu elements in bin %zu of %zu, want %llu, seed %llu", d->name,
                     e->mu, (unsigned long long)got[k], k, e->bins, (unsigned long long)want[k],
                     (unsigned long long)random_run_seed());
        }
        got[k] = k + 1;
    }
    assert_int_equal(fghm_ghm_update(ghm, e->bins + 1, got), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, e->bins, weights), FGHM_OK);
    assert_int_equal(d->ghm_apply(ghm, NULL, b->n, b->logits, b->targets, NULL, NULL, NULL,
                                  b->out[GRADIENT], NULL),
                     FGHM_OK);
    for (size_t i = 0; i < b->n; i++) {
        double y = difference_of(b, i), slope = isinf(y) ? 1.0 : fabs(y) / hypot(y, e->mu);
        double gradient = fabs(d->get(b->out[GRADIENT], i)), wanted = weights[bin[i]] * slope;
        /* Two bins' weights differ by more. */
        if (!(fabs(gradient - wanted) <= 1e-5 * wanted + 1e4 * d->next(0.0, 1.0))) {
            fail_msg("%s mu %a d %a: weight %.9g, want %.9g, of bin %zu of %zu", d->name, e->mu, y,
                     gradient / slope, weights[bin[i]], bin[i], e->bins);
        }
    }
    free(want);
    free(got);
    free(weights);
    fghm_ghm_destroy(ghm);
}

/* The difference of each edge as the type rounds it, and 3 neighbours either side, each
 * there 1 to 3 times, so that two errors hardly make up for each other. */
static void check_edges(const struct dtype *d, const struct bin_edges *e, struct random *r) {
    struct batch b = batch_new(d, (e->bins + 1) * NEIGHBOURS * 3);
    size_t *bin = calloc(b.n + 1, sizeof *bin), n = 0;
    assert_non_null(bin);
    for (size_t k = 0; k < e->bins; k++) {
        double y = k == 0 ? 0.0 : dtype_round(d, edge_difference(e, k));
        for (int step = 0; step < NEIGHBOURS / 2; step++) {
            y = d->next(y, -(double)INFINITY);
        }
        for (int step = 0; step < NEIGHBOURS; step++, y = d->next(y, (double)INFINITY)) {
            size_t where = exact_bin(e, y);
            for (size_t times = 1 + random_below(r, 3); times > 0; times--) {
                bool of_target = random_bits(r) & 1;
                double sign = random_bits(r) & 1 ? 1.0 : -1.0;
                batch_put(&b, n, of_target ? 0.0 : sign * y, of_target ? sign * y : 0.0);
                bin[n++] = where;
            }
        }
    }
    b.n = n;
    check_bins(&b, e, bin);
    free(bin);
    batch_free(&b);
}

static void counts_at_the_edges(void **state) {
    const struct dtype *d = *state;
    const size_t bins[] = {1, 2, 3, 10, 15, 16, 17, 24, 25, 30, 100, 127, 128};
    struct random r = random_for(32);
    for (size_t m = 0; m < SUITE_COUNT(mu_list); m += MU_STEP) {
        for (size_t k = 0; k < SUITE_COUNT(bins); k++) {
            check_edges(d, &(struct bin_edges){bins[k], NULL, mu_list[m]}, &r);
        }
        if (m % 3 == 0 || mu_list[m] == 0.02) {
            check_edges(d, &(struct bin_edges){1000, NULL, mu_list[m]}, &r);
        }
    }
    check_edges(d, &(struct bin_edges){4096, NULL, 0.02}, &r);
}

/* Where mu, d and the edge are in proportion to each other like the sides of a triangle of
 * whole numbers, d lies on the edge exactly, and belongs above it. */
static void counts_on_the_edges(void **state) {
    const struct dtype *d = *state;
    static const struct {
        size_t bins;
        double leg, other;
    } triangles[] = {
        {5, 3, 4},    {10, 3, 4},      {10, 4, 3},         {100, 3, 4},     {100, 7, 24},
        {100, 24, 7}, {1000, 4, 3},    {1000, 44, 117},    {1000, 117, 44}, {13, 5, 12},
        {13, 12, 5},  {17, 8, 15},     {17, 15, 8},        {25, 7, 24},     {29, 20, 21},
        {29, 21, 20}, {241, 120, 209}, {41, 9, 40},        {65, 16, 63},    {65, 33, 56},
        {85, 13, 84}, {85, 36, 77},    {2941, 2059, 2100},
    };
    const double factors[] = {1.0, 3.0, 0x1p-9, 0x1p40, 5.0 * 0x1p-60, 0x1p-90, 0x1p80, 1001.0};
    struct random r = random_for(33);
    for (size_t k = 0; k < SUITE_COUNT(triangles); k++) {
        for (size_t f = k % MU_STEP; f < SUITE_COUNT(factors); f += MU_STEP) {
            const double leg = triangles[k].leg * factors[f];
            const struct bin_edges e = {triangles[k].bins, NULL, triangles[k].other * factors[f]};
            assert_true(exact_bin(&e, leg) != exact_bin(&e, nextafter(leg, 0.0)));
            check_edges(d, &e, &r);
        }
    }
}

static void counts_of_other_edges(void **state) {
    const struct dtype *d = *state;
    static const double below_half = 0.5 - 0x1p-54, above_half = 0.5 + 0x1p-53;
    const double sets[][8] = {
        {0.0, 0.25, 0.75, 1.0},
        {0.0, 0.5, 1.0},
        {0.0, 1.0 - 0x1p-53, 1.0},
        {0.0, 1.0 - 0x1p-52, 1.0 - 0x1p-53, 1.0},
        {0.0, below_half, 0.5, above_half, 1.0},
        {0.0, 1e-10, 1e-5, 0.1, 0.9, 1.0 - 1e-10, 1.0},
        {0.0, 1e-30, 1e-20, 0.3, 1.0},
        {0.0, 1e-150, 1.0},
        /* mu times these is a number of the type, and lies just below the edge. */
        {0.0, 0x1p-600, 0x1p-60, 0x1p-40, 0x1p-27, 0x1p-20, 1.0},
        {0.0, 0x1p-53, 0x1p-50, 0x1p-26, 0x1.8p-26, 0x1p-13, 1.0},
        {0.0, 1e-290, 1e-280, 1.0},
        {0.0, 1e-300, 1e-20, 0.5, 1.0},
        {0.0, DBL_MIN, 1.0},
        {0.0, DBL_MIN, 1.5 * DBL_MIN, 1e-305, 3e-300, 0.5, 1.0},
        /* With a mu of 1 and in float, rounding takes so much of the narrowest bin that cells of
         * its width would have one with two edges. */
        {0.0, 0x1.54abfa165affcp-6, 0x1.426d768994d77p-4, 0x1.f061d2ef89d56p-3, 1.0},
    };
    struct random r = random_for(34);
    for (size_t m = 0; m < SUITE_COUNT(mu_list); m += MU_STEP) {
        for (size_t k = 0; k < SUITE_COUNT(sets); k++) {
            size_t bins = 1;
            while (sets[k][bins] != 1.0) {
                bins++;
            }
            check_edges(d, &(struct bin_edges){bins, sets[k], mu_list[m]}, &r);
        }
    }
    for (size_t k = 0; k < 40; k++) { /* widths that rise or fall by any factor */
        const size_t bins = 2 + random_below(&r, k % 4 == 0 ? 200 : 20);
        const double factor = random_uniform(&r, 0.8, 1.0);
        double edges[256], width = 1.0, sum = 0.0;
        for (size_t b = 0; b <= bins; b++, width *= factor) {
            edges[b] = sum;
            sum += width * random_uniform(&r, 0.2, 1.0);
        }
        for (size_t b = 0; b <= bins; b++) {
            edges[b] /= edges[bins];
        }
        check_edges(d, &(struct bin_edges){bins, edges, mu_list[k % SUITE_COUNT(mu_list)]}, &r);
    }
}

static void counts_of_any_differences(void **state) {
    const struct dtype *d = *state;
    const size_t bins[] = {2, 10, 30, 100, 1000, 4096};
    struct random r = random_for(35);
    for (size_t k = 0; k < SUITE_COUNT(bins) * SUITE_COUNT(mu_list); k++) {
        const struct bin_edges e = {bins[k % SUITE_COUNT(bins)], NULL,
                                    mu_list[k % SUITE_COUNT(mu_list)]};
        struct batch b = batch_new(d, 300);
        size_t *bin = calloc(b.n, sizeof *bin);
        assert_non_null(bin);
        for (size_t i = 0; i < b.n; i++) {
            double y = any_difference(d, &r, e.mu);
            batch_put(&b, i, y, i % 2 ? y * random_uniform(&r, -1.0, 2.0) : 0.0);
            bin[i] = exact_bin(&e, difference_of(&b, i));
        }
        check_bins(&b, &e, bin);
        free(bin);
        batch_free(&b);
    }
}

/* -------------------------------------------------------------------------
 * Derivatives. */

/* Differences in every bin, of boxes that are not at 0. */
static void fill(struct batch *b, struct random *r, double mu) {
    for (size_t i = 0; i < b->n; i++) {
        double t = i % 4 == 0 ? 0.0 : mu * random_uniform(r, -8.0, 8.0);
        batch_put(b, i, t + random_log_uniform(r, mu * 1e-3, mu * 1e2), t);
    }
}

/* The derivatives of the loss, numerically.  The step is small enough, and EXACT_BITS many enough,
 * for 200 bits. */
static void differentiate(struct exact *x, double difference, double mu) {
    mpfr_t at, step, low, high;
    mpfr_inits2(EXACT_BITS, at, step, low, high, (mpfr_ptr)0);
    mpfr_set_d(step, fmin(fabs(difference), mu), MPFR_RNDN);
    mpfr_mul_2si(step, step, -200, MPFR_RNDN);
    mpfr_set_d(at, difference, MPFR_RNDN);
    exact_loss(x->value[ELEMENT_LOSS], at, mu);
    mpfr_add(at, at, step, MPFR_RNDN);
    exact_loss(high, at, mu);
    mpfr_set_d(at, difference, MPFR_RNDN);
    mpfr_sub(at, at, step, MPFR_RNDN);
    exact_loss(low, at, mu);
    mpfr_sub(x->value[GRADIENT], high, low, MPFR_RNDN);
    mpfr_div(x->value[GRADIENT], x->value[GRADIENT], step, MPFR_RNDN);
    mpfr_div_2ui(x->value[GRADIENT], x->value[GRADIENT], 1, MPFR_RNDN);
    mpfr_add(high, high, low, MPFR_RNDN);
    mpfr_sub(high, high, x->value[ELEMENT_LOSS], MPFR_RNDN);
    mpfr_sub(high, high, x->value[ELEMENT_LOSS], MPFR_RNDN);
    mpfr_sqr(step, step, MPFR_RNDN);
    mpfr_div(x->value[HESSIAN], high, step, MPFR_RNDN);
    mpfr_clears(at, step, low, high, (mpfr_ptr)0);
}

/* The formulas are derivatives of the loss. */
static void derivatives_are_those_of_the_loss(void **state) {
    struct random r = random_for(36);
    struct exact formulas, numbers;
    (void)state;
    exact_init(&formulas);
    exact_init(&numbers);
    for (size_t k = 0; k < 20 * SUITE_COUNT(mu_list); k++) {
        const double mu = mu_list[k % SUITE_COUNT(mu_list)];
        const double y = random_log_uniform(&r, mu * 1e-10, mu * 1e10);
        exact_values(&formulas, y, mu);
        differentiate(&numbers, y, mu);
        for (int o = GRADIENT; o < OUTPUTS; o++) {
            mpfr_sub(numbers.value[o], numbers.value[o], formulas.value[o], MPFR_RNDN);
            mpfr_div(numbers.value[o], numbers.value[o], formulas.value[o], MPFR_RNDN);
            assert_true(fabs(mpfr_get_d(numbers.value[o], MPFR_RNDN)) <= 1e-40);
        }
    }
    exact_clear(&formulas);
    exact_clear(&numbers);
}

/* -------------------------------------------------------------------------
 * Signs. */

static void swapping_negates_the_gradient(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(38);
    for (size_t k = 0; k < SUITE_COUNT(mu_list); k++) {
        const struct bin_edges e = {10, NULL, mu_list[k]};
        fghm_ghm *ghm = handle(&e, FGHM_REDUCTION_MEAN);
        struct batch a = batch_new(d, 333), b = batch_new(d, 333);
        for (size_t i = 0; i < a.n; i++) {
            double y = i % 5 == 4 ? d->any(&r) : any_difference(d, &r, e.mu);
            batch_put(&a, i, y, y * random_uniform(&r, -1.0, 2.0));
            batch_put(&b, i, d->get(a.targets, i), d->get(a.logits, i));
        }
        assert_int_equal(batch_ghm(&a, ghm, NULL), FGHM_OK);
        assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
        for (size_t i = 0; i < a.n; i++) {
            double slope = d->get(b.out[GRADIENT], i);
            assert_true(slope == 0.0 || signbit(slope) == (difference_of(&b, i) < 0.0));
            d->put(b.out[GRADIENT], i, slope == 0.0 ? d->get(a.out[GRADIENT], i) : -slope);
            assert_true(d->get(a.out[GRADIENT], i) == d->get(b.out[GRADIENT], i));
        }
        batch_assert_same(&a, &b);
        batch_free(&a);
        batch_free(&b);
        fghm_ghm_destroy(ghm);
    }
}

/* -------------------------------------------------------------------------
 * Batches. */

/* What is applied is the weight of the bin, rounded. */
static void harmonizing_weights_are_those_of_the_bins(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(44);
    const struct bin_edges e = {10, NULL, 0.3};
    fghm_ghm *ghm = handle(&e, FGHM_REDUCTION_MEAN);
    struct batch b = batch_new(d, 1003);
    void *weights = dtype_array(d, b.n);
    double table[11] = {0.0};
    fghm_batch batch = descriptor_of(17, 59, 1);
    fill(&b, &r, e.mu);
    loss_add_weights(&all_losses[GHMR], &r, &b);
    batch.logits = (fghm_input){.data = b.logits, .dtype = dtype_of(d)};
    batch.targets = (fghm_input){.data = b.targets, .dtype = dtype_of(d)};
    batch.weights = (fghm_input){.data = b.weights, .dtype = dtype_of(d)};
    batch.harmonizing_weight = (fghm_output){.data = weights, .dtype = dtype_of(d)};
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &batch, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, 10, table), FGHM_OK);
    for (size_t i = 0; i < b.n; i++) {
        const size_t bin = batch_is_valid(&b, i) ? exact_bin(&e, difference_of(&b, i)) : 10;
        assert_true(d->get(weights, i) == dtype_round(d, table[bin]));
    }
    free(weights);
    batch_free(&b);
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"derivatives_are_those_of_the_loss", derivatives_are_those_of_the_loss, 0},
        {"values_match_the_formulas", values_match_the_formulas, 1},
        {"special_differences", special_differences, 1},
        {"weight_0_outweighs_infinity", weight_0_outweighs_infinity, 1},
        {"counts_at_the_edges", counts_at_the_edges, 1},
        {"counts_on_the_edges", counts_on_the_edges, 1},
        {"counts_of_other_edges", counts_of_other_edges, 1},
        {"counts_of_any_differences", counts_of_any_differences, 1},
        {"swapping_negates_the_gradient", swapping_negates_the_gradient, 1},
        {"harmonizing_weights_are_those_of_the_bins", harmonizing_weights_are_those_of_the_bins, 1},
    };
    return suite_run(argument_count, arguments, "ghmr", tests, SUITE_COUNT(tests));
}
