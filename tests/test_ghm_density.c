/* SPDX-License-Identifier: MIT */

/* The weights of the exact gradient density against every pair of elements, straight from
 * the header's formula in long double. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/density.h"
#include "support/random.h"
#include "support/suite.h"

static const size_t bins_list[] = {1, 2, 10, 30, 4096};

static fghm_status pooled(const struct dtype *d, const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                          const void *logits, const void *targets, const void *mask,
                          void *weights) {
    return d->size == sizeof(float)
               ? fghm_ghm_density_f32(ghm, pool, n, logits, targets, mask, weights)
               : fghm_ghm_density_f64(ghm, pool, n, logits, targets, mask, weights);
}

static fghm_status density(const struct dtype *d, const fghm_ghm *ghm, size_t n, const void *logits,
                           const void *targets, const void *mask, void *weights) {
    return pooled(d, ghm, NULL, n, logits, targets, mask, weights);
}

/* -------------------------------------------------------------------------
 * The model. */

static bool is_valid(const struct batch *b, size_t i) {
    return b->weights == NULL || b->d->get(b->weights, i) > 0.0;
}

static void check_weights(const struct batch *b, size_t bins, double cap, const void *weights) {
    const long double error = density_promised(bins, b->d->size == sizeof(double));
    long double *const norms = calloc(b->n + 1, sizeof *norms);
    size_t total = 0;
    assert_non_null(norms);
    for (size_t i = 0; i < b->n; i++) {
        total += is_valid(b, i);
        norms[i] = is_valid(b, i) ? density_norm(b->d->get(b->logits, i), b->d->get(b->targets, i))
                                  : (long double)NAN;
    }
    for (size_t i = 0; i < b->n; i++) {
        const long double got = (long double)b->d->get(weights, i);
        long double bounds[2] = {0.0L, 0.0L};
        if (!isnan(norms[i])) {
            density_weight(norms, b->n, total, i, bins, cap, bounds);
        }
        if (!(got >= bounds[0] * (1.0L - error) && got <= bounds[1] * (1.0L + error))) {
            fail_msg("%s n %zu bins %zu cap %g: w[%zu] of norm %.17Lg is %.17Lg, want %.17Lg to "
                     "%.17Lg, seed %llu",
                     b->d->name, b->n, bins, cap, i, norms[i], got, bounds[0], bounds[1],
                     (unsigned long long)random_run_seed());
        }
    }
    free(norms);
}

/* -------------------------------------------------------------------------
 * Batches. */

enum kind { HARD, SOFT, MIXED, EQUAL_VALUES, HARD_EQUAL_VALUES, NEAR, WITH_NAN, EXTREME, KINDS };

static void fill(struct random *r, struct batch *b, enum kind kind, bool masked) {
    static const double masks[] = {0.0, -1.0, 0.5, 1.0, 7.0, (double)NAN};
    for (size_t i = 0; i < b->n; i++) {
        double x = 3.0 * random_normal(r), t = (double)(random_bits(r) & 1);
        if (kind == SOFT || (kind == MIXED && random_below(r, 4) == 0)) {
            t = random_uniform(r, 0.0, 1.0);
        } else if (kind == EQUAL_VALUES) {
            x = (double)random_below(r, 5) - 2.0;
            t = (double)random_below(r, 3) / 2.0;
        } else if (kind == HARD_EQUAL_VALUES) {
            x = (double)random_below(r, 5) - 2.0;
        } else if (kind == NEAR) {
            /* As a head has them before it is trained, and saturated ones. */
            x = (i % 2 ? -4.5 : -25.0) + 0x1p-17 * random_normal(r);
        } else if (kind == WITH_NAN && random_below(r, 4) == 0) {
            *(random_bits(r) & 1 ? &x : &t) = (double)NAN;
        } else if (kind == EXTREME && random_bits(r) & 1) {
            const double ends[] = {(double)INFINITY, 1e30, 800.0, 100.0, 0.0};
            x = (random_bits(r) & 1 ? 1.0 : -1.0) * ends[random_below(r, SUITE_COUNT(ends))];
        }
        batch_put(b, i, x, t);
        if (masked) {
            b->d->put(b->weights, i, masks[random_below(r, SUITE_COUNT(masks))]);
        }
    }
}

static void equal_to_all_pairs(void **state) {
    static const size_t sizes[] = {1, 2, 3, 10, 64, 257, 700};
    const struct dtype *const d = *state;
    struct random r = random_for(401);
    for (size_t k = 0; k < SUITE_COUNT(bins_list) * SUITE_COUNT(sizes) * KINDS; k++) {
        const size_t bins = bins_list[k % 5];
        const double caps[] = {(double)INFINITY, 0.75, 3.0};
        const double cap = caps[random_below(&r, 3)];
        const bool masked = random_below(&r, 3) == 0;
        struct batch b = batch_new(d, sizes[k / 5 % SUITE_COUNT(sizes)]);
        void *const weights = dtype_array(d, b.n);
        fghm_ghm *const ghm = ghmc_handle(bins, FGHM_REDUCTION_MEAN);
        b.weights = masked ? dtype_array(d, b.n) : NULL;
        memset(weights, 0x7f, b.n * d->size);
        fill(&r, &b, (enum kind)(k / 5 / SUITE_COUNT(sizes)), masked);
        assert_int_equal(fghm_ghm_set_weight_cap(ghm, cap), FGHM_OK);
        /* What it is not about. */
        assert_int_equal(fghm_ghm_set_momentum(ghm, 0.75), FGHM_OK);
        assert_int_equal(fghm_ghm_set_loss_weight(ghm, 3.0), FGHM_OK);
        assert_int_equal(density(d, ghm, b.n, b.logits, b.targets, b.weights, weights), FGHM_OK);
        check_weights(&b, bins, cap, weights);
        fghm_ghm_destroy(ghm);
        free(weights);
        batch_free(&b);
    }
}

/* The same of many, once. */
static void many_elements(void **state) {
    const struct dtype *const d = *state;
    struct random r = random_for(402);
    struct batch b = batch_new(d, 2000);
    void *const weights = dtype_array(d, b.n);
    fghm_ghm *const ghm = ghmc_handle(30, FGHM_REDUCTION_MEAN);
    fill(&r, &b, HARD, false);
    assert_int_equal(density(d, ghm, b.n, b.logits, b.targets, NULL, weights), FGHM_OK);
    check_weights(&b, 30, (double)INFINITY, weights);
    fghm_ghm_destroy(ghm);
    free(weights);
    batch_free(&b);
}

/* Many, of all kinds, on any pool: the bits of one thread.  And what float has is what double
 * has, rounded: they sort by different keys. */
static void same_bits(void **state) {
    enum { N = 150001 };
    struct random r = random_for(406);
    fghm_pool *pools[4] = {NULL};
    void *single[4], *twice[4];
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    (void)state;
    for (size_t p = 0; p < 4; p++) {
        if (p > 0) {
            assert_int_equal(fghm_pool_create(&pools[p], 2 * p - 1), FGHM_OK);
        }
        single[p] = dtype_array(&dtypes[0], N);
        twice[p] = dtype_array(&dtypes[1], N);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        struct batch narrow = batch_new(&dtypes[0], N), wide = batch_new(&dtypes[1], N);
        narrow.weights = dtype_array(narrow.d, N);
        wide.weights = dtype_array(wide.d, N);
        fill(&r, &narrow, (enum kind)kind, true);
        for (size_t i = 0; i < N; i++) {
            batch_put(&wide, i, narrow.d->get(narrow.logits, i), narrow.d->get(narrow.targets, i));
            wide.d->put(wide.weights, i, narrow.d->get(narrow.weights, i));
        }
        for (size_t p = 0; p < 4; p++) {
            assert_int_equal(pooled(narrow.d, ghm, pools[p], N, narrow.logits, narrow.targets,
                                    narrow.weights, single[p]),
                             FGHM_OK);
            assert_int_equal(
                pooled(wide.d, ghm, pools[p], N, wide.logits, wide.targets, wide.weights, twice[p]),
                FGHM_OK);
            assert_memory_equal(single[0], single[p], N * sizeof(float));
            assert_memory_equal(twice[0], twice[p], N * sizeof(double));
        }
        for (size_t i = 0; i < N; i++) {
            assert_true(((const float *)single[0])[i] == (float)((const double *)twice[0])[i]);
        }
        batch_free(&narrow);
        batch_free(&wide);
    }
    for (size_t p = 0; p < 4; p++) {
        fghm_pool_destroy(pools[p]);
        free(single[p]);
        free(twice[p]);
    }
    fghm_ghm_destroy(ghm);
}

/* By hand.  One element: 1 over the part of the window inside [0, 1], which is 1 / 2 for
 * g = 0 or 1 and bins 1. */
static void windows_by_hand(void **state) {
    const struct dtype *const d = *state;
    const struct {
        size_t bins, n;
        double logits[3], targets[3], weights[3];
    } cases[] = {
        {1, 1, {0.0}, {0.0}, {1.0}},
        {1, 1, {-INFINITY}, {0.0}, {0.5}},
        {1, 1, {INFINITY}, {0.0}, {0.5}},
        {10, 1, {0.0}, {1.0}, {0.1}},
        /* g = 1/4 and 1/2: the lower end of a window is inside it, the upper end is not. */
        {2, 2, {0.0, 0.0}, {0.25, 0.0}, {1.0, 0.5}},
        {1, 3, {0.0, 0.0, 0.0}, {0.0, 1.0, 0.5}, {1.0, 1.0, 1.5}},
        /* g = 0, 1/2, 1 */
        {1, 3, {-INFINITY, 0.0, INFINITY}, {0.0, 0.0, 0.0}, {1.5, 1.5, 0.75}},
    };
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct batch b = batch_new(d, cases[k].n);
        void *const weights = dtype_array(d, b.n);
        fghm_ghm *const ghm = ghmc_handle(cases[k].bins, FGHM_REDUCTION_MEAN);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, cases[k].logits[i], cases[k].targets[i]);
        }
        assert_int_equal(density(d, ghm, b.n, b.logits, b.targets, NULL, weights), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            const double got = d->get(weights, i), want = cases[k].weights[i];
            if (!(fabs(got - want) <= 1e-7 * want)) {
                fail_msg("case %zu: w[%zu] is %.17g, want %.17g", k, i, got, want);
            }
        }
        fghm_ghm_destroy(ghm);
        free(weights);
        batch_free(&b);
    }
}

/* -------------------------------------------------------------------------
 * What follows. */

static void order_does_not_matter(void **state) {
    enum { N = 1500 };
    const struct dtype *const d = *state;
    struct random r = random_for(403);
    for (int kind = 0; kind < KINDS; kind++) {
        struct batch a = batch_new(d, N), b = batch_new(d, N);
        void *const first = dtype_array(d, N), *const second = dtype_array(d, N);
        fghm_ghm *const ghm = ghmc_handle(30, FGHM_REDUCTION_MEAN);
        size_t order[N];
        a.weights = dtype_array(d, N);
        b.weights = dtype_array(d, N);
        fill(&r, &a, (enum kind)kind, true);
        random_permutation(&r, N, order);
        for (size_t i = 0; i < N; i++) {
            batch_put(&b, i, d->get(a.logits, order[i]), d->get(a.targets, order[i]));
            d->put(b.weights, i, d->get(a.weights, order[i]));
        }
        assert_int_equal(density(d, ghm, N, a.logits, a.targets, a.weights, first), FGHM_OK);
        assert_int_equal(density(d, ghm, N, b.logits, b.targets, b.weights, second), FGHM_OK);
        for (size_t i = 0; i < N; i++) {
            assert_true(d->get(second, i) == d->get(first, order[i]));
        }
        fghm_ghm_destroy(ghm);
        free(first);
        free(second);
        batch_free(&a);
        batch_free(&b);
    }
}

/* Norms spread evenly: every weight is near 1, as those of the bins are. */
static void even_norms_have_the_weights_of_bins(void **state) {
    enum { N = 4000, BINS = 10 };
    const struct dtype *const d = *state;
    struct batch b = batch_new(d, N);
    void *const weights = dtype_array(d, N);
    double of_bins[BINS];
    fghm_ghm *const ghm = ghmc_handle(BINS, FGHM_REDUCTION_MEAN);
    for (size_t i = 0; i < N; i++) {
        const double g = ((double)i + 0.5) / N;
        batch_put(&b, i, log(g / (1.0 - g)), 0.0);
    }
    assert_int_equal(density(d, ghm, N, b.logits, b.targets, NULL, weights), FGHM_OK);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, BINS, of_bins), FGHM_OK);
    for (size_t i = 0; i < N; i++) {
        const double bin = of_bins[i * BINS / N];
        if (!(fabs(d->get(weights, i) - bin) <= 0.01 * bin)) {
            fail_msg("%s: w[%zu] is %g, that of its bin %g", d->name, i, d->get(weights, i), bin);
        }
    }
    fghm_ghm_destroy(ghm);
    free(weights);
    batch_free(&b);
}

/* A loss with these weights, as the header says to compute it. */
static void weights_are_those_of_a_focal_loss(void **state) {
    enum { N = 300 };
    const struct dtype *const d = *state;
    struct random r = random_for(404);
    struct batch b = batch_new(d, N);
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    fghm_focal *const focal = focal_handle(0.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    fill(&r, &b, HARD, false);
    b.weights = dtype_array(d, N);
    assert_int_equal(density(d, ghm, N, b.logits, b.targets, NULL, b.weights), FGHM_OK);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    for (size_t i = 0; i < N; i++) {
        const double x = d->get(b.logits, i), t = d->get(b.targets, i), w = d->get(b.weights, i);
        const double z = t > 0.0 ? x : -x;
        const double want = w * (z > 0.0 ? log1p(exp(-z)) : log1p(exp(z)) - z);
        assert_true(w > 0.0);
        assert_true(fabs(d->get(b.out[ELEMENT_LOSS], i) - want) <= 2e-6 * want);
    }
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
    batch_free(&b);
}

/* -------------------------------------------------------------------------
 * Errors. */

enum { FEW = 8 };

static void refused(const struct dtype *d, fghm_status want, const fghm_ghm *ghm, size_t n,
                    const void *logits, const void *targets, const void *mask, void *weights,
                    const void *kept, const void *copy) {
    const fghm_status got = density(d, ghm, n, logits, targets, mask, weights);
    if (got != want) {
        fail_msg("%s: \"%s\", expected \"%s\"", d->name, fghm_status_string(got),
                 fghm_status_string(want));
    }
    assert_memory_equal(kept, copy, 4 * FEW * d->size);
}

static void errors(void **state) {
    const struct dtype *const d = *state;
    const double bad[] = {-DBL_MIN, -1.0, 1.0 + FLT_EPSILON, 2.0, (double)INFINITY};
    const double bad_f32[] = {-(double)FLT_MIN, -1.0, 1.0 + FLT_EPSILON, 2.0, (double)INFINITY};
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    /* Logits, targets, mask, weights, one after the other. */
    unsigned char *const all = dtype_array(d, 4 * FEW), *const copy = dtype_array(d, 4 * FEW);
    const size_t size = FEW * d->size;
    unsigned char *const x = all, *const t = all + size, *const m = all + 2 * size;
    unsigned char *const w = all + 3 * size;
    for (size_t i = 0; i < FEW; i++) {
        d->put(x, i, (double)i);
        d->put(m, i, 1.0);
        d->put(w, i, -7.0);
    }
    memcpy(copy, all, 4 * size);
    refused(d, FGHM_ERROR_NULL_HANDLE, NULL, FEW, x, t, m, w, all, copy);
    refused(d, FGHM_ERROR_NULL_HANDLE, NULL, 0, NULL, NULL, NULL, NULL, all, copy);
    refused(d, FGHM_ERROR_NULL_POINTER, ghm, FEW, NULL, t, m, w, all, copy);
    refused(d, FGHM_ERROR_NULL_POINTER, ghm, FEW, x, NULL, m, w, all, copy);
    refused(d, FGHM_ERROR_NULL_POINTER, ghm, FEW, x, t, m, NULL, all, copy);
    refused(d, FGHM_ERROR_SIZE, ghm, SIZE_MAX, x, t, m, w, all, copy);
    refused(d, FGHM_ERROR_SIZE, ghm, PTRDIFF_MAX / d->size + 1, x, t, m, w, all, copy);
    for (int array = 0; array < 3; array++) {
        unsigned char *const input = all + (size_t)array * size;
        refused(d, FGHM_ERROR_ALIASING, ghm, FEW, x, t, m, input, all, copy);
        refused(d, FGHM_ERROR_ALIASING, ghm, FEW / 2, x, t, m, input + d->size, all, copy);
    }
    refused(d, FGHM_ERROR_ALIASING, ghm, FEW, x, t, m, w - d->size, all, copy);
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        d->put(t, FEW - 1, d->size == sizeof(float) ? bad_f32[k] : bad[k]);
        memcpy(copy, all, 4 * size);
        refused(d, FGHM_ERROR_TARGET, ghm, FEW, x, t, m, w, all, copy);
        refused(d, FGHM_ERROR_TARGET, ghm, FEW, x, t, NULL, w, all, copy);
    }
    /* Not one of a valid element. */
    d->put(m, FEW - 1, 0.0);
    assert_int_equal(density(d, ghm, FEW, x, t, m, w), FGHM_OK);
    assert_true(d->get(w, FEW - 1) == 0.0);
    /* Inputs may be the same. */
    assert_int_equal(density(d, ghm, FEW - 1, m, m, m, w), FGHM_OK);
    /* No elements, no array. */
    memcpy(copy, all, 4 * size);
    refused(d, FGHM_OK, ghm, 0, NULL, NULL, NULL, NULL, all, copy);
    refused(d, FGHM_OK, ghm, 0, x, t, m, w, all, copy);
    free(all);
    free(copy);
    fghm_ghm_destroy(ghm);
}

/* A const handle: neither history nor settings change, and custom edges do not matter. */
static void the_handle_stays(void **state) {
    enum { N = 200, STATE_MAX = 2048 };
    static unsigned char before[STATE_MAX], after[STATE_MAX];
    static const double edges[] = {0.0, 0.9, 0.99, 1.0};
    const struct dtype *const d = *state;
    struct random r = random_for(405);
    struct batch b = batch_new(d, N);
    void *const first = dtype_array(d, N), *const second = dtype_array(d, N);
    fghm_ghm *const ghm = ghmc_handle(3, FGHM_REDUCTION_MEAN);
    size_t size = 0;
    fill(&r, &b, SOFT, false);
    assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
    assert_int_equal(fghm_ghm_get_state_size(ghm, &size), FGHM_OK);
    assert_true(size <= STATE_MAX);
    assert_int_equal(fghm_ghm_save(ghm, STATE_MAX, before), FGHM_OK);
    assert_int_equal(density(d, ghm, N, b.logits, b.targets, NULL, first), FGHM_OK);
    assert_int_equal(fghm_ghm_save(ghm, STATE_MAX, after), FGHM_OK);
    assert_memory_equal(before, after, size);
    assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_set_edges(ghm, 3, edges), FGHM_OK);
    assert_int_equal(density(d, ghm, N, b.logits, b.targets, NULL, second), FGHM_OK);
    assert_memory_equal(first, second, N * d->size);
    fghm_ghm_destroy(ghm);
    free(first);
    free(second);
    batch_free(&b);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"equal_to_all_pairs", equal_to_all_pairs, 1},
        {"many_elements", many_elements, 1},
        {"same_bits", same_bits, 0},
        {"windows_by_hand", windows_by_hand, 1},
        {"order_does_not_matter", order_does_not_matter, 1},
        {"even_norms_have_the_weights_of_bins", even_norms_have_the_weights_of_bins, 1},
        {"weights_are_those_of_a_focal_loss", weights_are_those_of_a_focal_loss, 1},
        {"errors", errors, 1},
        {"the_handle_stays", the_handle_stays, 1},
    };
    return suite_run(argument_count, arguments, "ghm_density", tests, SUITE_COUNT(tests));
}
