/* SPDX-License-Identifier: MIT */

/* What has to hold between calls over batches: forms of one batch give the same bits,
 * limits are met, and the constants and probabilities that belong to a handle are those of
 * its loss. */

#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/calibrated.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/promise.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/suite.h"

/* All strides 0: contiguous. */
static fghm_input input(const struct dtype *d, const void *data, int64_t o, int64_t c, int64_t i) {
    const fghm_layout layout =
        o == 0 && c == 0 && i == 0 ? FGHM_LAYOUT_CONTIGUOUS : FGHM_LAYOUT_STRIDED;
    return (fghm_input){.data = data, .dtype = dtype_of(d), .layout = layout, .strides = {o, c, i}};
}

static fghm_output output(const struct dtype *d, void *data, int64_t o, int64_t c, int64_t i) {
    const fghm_layout layout =
        o == 0 && c == 0 && i == 0 ? FGHM_LAYOUT_CONTIGUOUS : FGHM_LAYOUT_STRIDED;
    return (fghm_output){
        .data = data, .dtype = dtype_of(d), .layout = layout, .strides = {o, c, i}};
}

/* `b` as outer x classes x inner contiguous elements. */
static fghm_batch shaped(const struct batch *b, size_t outer, size_t classes, size_t inner) {
    assert_int_equal(outer * classes * inner, b->n);
    fghm_batch batch = descriptor_of(outer, classes, inner);
    batch.logits = input(b->d, b->logits, 0, 0, 0);
    batch.targets = input(b->d, b->targets, 0, 0, 0);
    batch.weights = input(b->d, b->weights, 0, 0, 0);
    batch.element_loss = output(b->d, b->out[ELEMENT_LOSS], 0, 0, 0);
    batch.gradient = output(b->d, b->out[GRADIENT], 0, 0, 0);
    batch.hessian = output(b->d, b->out[HESSIAN], 0, 0, 0);
    return batch;
}

static fghm_result run(const fghm_focal *focal, const fghm_batch *batch, fghm_pool *pool) {
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_status status = fghm_focal_batch(focal, pool, batch, &result);
    if (status != FGHM_OK) {
        fail_msg("%s", fghm_status_string(status));
    }
    return result;
}

static void assert_outputs(const struct batch *a, const struct batch *b, size_t n) {
    for (int k = 0; k < OUTPUTS; k++) {
        const size_t i = dtype_first_difference(a->d, a->out[k], b->out[k], n);
        if (i < n) {
            fail_msg("%s %s[%zu of %zu]: %a and %a for logit %a target %a", a->d->name,
                     output_names[k], i, n, a->d->get(a->out[k], i), b->d->get(b->out[k], i),
                     a->d->get(a->logits, i), a->d->get(a->targets, i));
        }
    }
}

static void assert_close(const struct dtype *d, double a, double b, double magnitude) {
    const int same = a == b || (isnan(a) && isnan(b));
    if (!same && !(fabs(a - b) <= 2.0 * d->sum_bound * magnitude)) {
        fail_msg("%s: %a and %a", d->name, a, b);
    }
}

static void fill(struct random *r, struct batch *b, int soft) {
    for (size_t i = 0; i < b->n; i++) {
        double x = 6.0 * random_normal(r);
        double t = random_bits(r) & 1 ? 1.0 : 0.0;
        if (random_below(r, 40) == 0) {
            x = b->d->any(r);
        }
        if (soft && random_below(r, 4) == 0) {
            t = random_uniform(r, 0.0, 1.0);
        }
        batch_put(b, i, x, t);
    }
}

/* -------------------------------------------------------------------------
 * Forms of one batch. */

/* Every element is a sample, and valid. */
static void plain_calls_have_all_reductions(void **state) {
    const struct dtype *d = *state;
    for (fghm_focal_rule rule = 0; rule < 4; rule++) {
        struct random r = random_for(202);
        struct batch b = batch_new(d, 333);
        double positives = 0.0, sum;
        fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
        fill(&r, &b, 0);
        for (size_t i = 0; i < b.n; i++) {
            positives += d->get(b.targets, i);
        }
        assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
        assert_int_equal(fghm_focal_set_normalizer(focal, 12.5), FGHM_OK);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        sum = b.loss;
        const double divisors[] = {1.0, 333.0, 12.5, 333.0, positives, 333.0};
        for (fghm_reduction k = 0; k < 6; k++) {
            assert_int_equal(fghm_focal_set_reduction(focal, k), FGHM_OK);
            assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
            assert_close(d, b.loss, sum / divisors[k], fabs(b.loss));
        }
        batch_free(&b);
        fghm_focal_destroy(focal);
    }
}

/* labels[sample] against its one-hot form; background is a row of zeros. */
static void check_labels(struct random *r, const struct dtype *d, fghm_dtype dtype,
                         fghm_background background, int two_gammas) {
    const size_t outer = 1 + random_below(r, 60), classes = 1 + random_below(r, 40);
    const size_t inner = random_bits(r) & 1 ? 1 : 1 + random_below(r, 50);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN_POSITIVES);
    struct batch dense = batch_new(d, outer * classes * inner), b;
    struct strided labels = strided_random(r, dtype, outer, 1, inner);
    const int64_t backgrounds[] = {0, (int64_t)classes, 0, -1};
    const int64_t low = background == FGHM_BACKGROUND_FIRST ? 1 : 0;
    if (two_gammas) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, 0.5), FGHM_OK);
    }
    fill(r, &dense, 0);
    memset(dense.targets, 0, dense.n * d->size);
    for (size_t s = 0; s < outer * inner; s++) {
        const size_t own = random_below(r, classes);
        const int is_background = background != FGHM_BACKGROUND_NONE && random_below(r, 4) == 0 &&
                                  !(dtype == FGHM_U8 && background == FGHM_BACKGROUND_MINUS_ONE);
        if (!is_background) {
            d->put(dense.targets, (s / inner * classes + own) * inner + s % inner, 1.0);
        }
        strided_set(&labels, s,
                    (double)(is_background ? backgrounds[background] : (int64_t)own + low));
    }
    b = batch_twin(&dense);
    fghm_batch descriptor = shaped(&dense, outer, classes, inner);
    const fghm_result want = run(focal, &descriptor, NULL);
    descriptor = shaped(&b, outer, classes, inner);
    descriptor.target_form = FGHM_TARGET_LABEL;
    descriptor.background = background;
    descriptor.targets = strided_input(&labels);
    const fghm_result got = run(focal, &descriptor, NULL);
    assert_outputs(&dense, &b, b.n);
    assert_int_equal(got.positives, want.positives);
    assert_int_equal(got.valid, want.valid);
    assert_close(d, got.loss, want.loss, fabs(want.loss));
    strided_free(&labels);
    batch_free(&dense);
    batch_free(&b);
    fghm_focal_destroy(focal);
}

static void labels_equal_one_hot_targets(void **state) {
    struct combinations all = combinations(203);
    for (int k = 0; k < 6 * 3 * 4; k++) {
        if (combinations_next(&all)) {
            check_labels(&all.random, *state, FGHM_U8 + (fghm_dtype)(k % 3),
                         (fghm_background)(k / 3 % 4), k / 12 % 2);
        }
    }
    combinations_end(&all);
}

/* The same targets in every dtype that holds them. */
static void targets_of_any_dtype(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(204);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    struct batch want = batch_new(d, 5001), b;
    fill(&r, &want, 0);
    b = batch_twin(&want);
    fghm_batch descriptor = shaped(&want, 1, 1, want.n);
    const fghm_result expected = run(focal, &descriptor, NULL);
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_I64; dtype++) {
        struct strided targets = strided_plain(dtype, 1, 1, b.n);
        for (size_t i = 0; i < b.n; i++) {
            strided_set(&targets, i, d->get(b.targets, i));
        }
        descriptor = shaped(&b, 1, 1, b.n);
        descriptor.targets = strided_input(&targets);
        const fghm_result got = run(focal, &descriptor, NULL);
        assert_outputs(&want, &b, b.n);
        assert_int_equal(got.positives, expected.positives);
        strided_free(&targets);
    }
    batch_free(&want);
    batch_free(&b);
    fghm_focal_destroy(focal);
}

/* N x C row by row, class by class, and as N, C, H, W or N, H, W, C. */
static void layouts_are_equal(void **state) {
    enum { N = 63, C = 37, H = 9 };
    const struct dtype *d = *state;
    struct random r = random_for(205);
    for (int softmax = 0; softmax < 2; softmax++) {
        fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
        struct batch rows = batch_new(d, N * C);
        int32_t labels[N];
        fill(&r, &rows, 0);
        for (size_t n = 0; n < N; n++) {
            labels[n] = (int32_t)random_below(&r, C);
        }
        fghm_batch b = shaped(&rows, N, C, 1);
        b.target_form = FGHM_TARGET_LABEL;
        b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
        b.activation = softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
        const fghm_result want = run(focal, &b, NULL);
        const struct {
            size_t outer, inner;
            int64_t o, c, i; /* strides of logits and results */
        } layouts[] = {
            {1, N, 0, N, 1}, {1, N, 0, 1, C}, {N / H, H, C * H, H, 1}, {N / H, H, C * H, 1, C}};
        for (size_t k = 0; k < SUITE_COUNT(layouts); k++) {
            struct batch other = batch_new(d, N * C), back = batch_twin(&rows);
            const int64_t o = layouts[k].o, c = layouts[k].c, i = layouts[k].i;
            const size_t inner = layouts[k].inner;
            for (size_t n = 0; n < N * C; n++) {
                const int64_t at = (int64_t)(n / C / inner) * o + (int64_t)(n % C) * c +
                                   (int64_t)(n / C % inner) * i;
                d->put(other.logits, (size_t)at, d->get(rows.logits, n));
            }
            fghm_batch t = b;
            descriptor_set_shape(&t, layouts[k].outer, C, inner);
            t.logits = input(d, other.logits, o, c, i);
            t.gradient = output(d, other.out[GRADIENT], o, c, i);
            t.hessian = output(d, other.out[HESSIAN], o, c, i);
            t.element_loss = output(d, back.out[ELEMENT_LOSS], (int64_t)inner, 0, 1);
            if (!softmax) {
                t.element_loss = output(d, other.out[ELEMENT_LOSS], o, c, i);
            }
            const fghm_result got = run(focal, &t, NULL);
            for (size_t n = 0; n < N * C; n++) {
                const int64_t at = (int64_t)(n / C / inner) * o + (int64_t)(n % C) * c +
                                   (int64_t)(n / C % inner) * i;
                for (int k_out = softmax ? GRADIENT : ELEMENT_LOSS; k_out < OUTPUTS; k_out++) {
                    d->put(back.out[k_out], n, d->get(other.out[k_out], (size_t)at));
                }
            }
            assert_outputs(&rows, &back, N * C);
            assert_close(d, got.loss, want.loss, fabs(want.loss));
            batch_free(&other);
            batch_free(&back);
        }
        batch_free(&rows);
        fghm_focal_destroy(focal);
    }
}

/* Logits and results in one block: each element's three numbers side by side, rows of three
 * times as many columns, and rows that go backwards. */
static void one_block_for_all(void **state) {
    enum { N = 701, C = 37 };
    const struct dtype *d = *state;
    struct random r = random_for(231);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *const pool = pool_of(3);
    struct batch rows = batch_new(d, N * C);
    int32_t labels[N];
    fill(&r, &rows, 0);
    for (size_t n = 0; n < N; n++) {
        labels[n] = (int32_t)random_below(&r, C);
    }
    fghm_batch b = shaped(&rows, N, C, 1);
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    const fghm_result want = run(focal, &b, NULL);
    const struct {
        int64_t row, column, array, first; /* where they are, in elements */
    } layouts[] = {
        {3 * C, 3, 1, 0}, {3 * C, 1, C, 0}, {-3 * C, 1, C, (N - 1) * 3 * C}, {3 * C, -1, C, C - 1}};
    for (size_t k = 0; k < SUITE_COUNT(layouts); k++) {
        struct batch block = batch_new(d, 3 * N * C), back = batch_twin(&rows);
        const int64_t row = layouts[k].row, column = layouts[k].column;
        const size_t first = (size_t)layouts[k].first, array = (size_t)layouts[k].array;
        for (size_t n = 0; n < N * C; n++) {
            const int64_t at = (int64_t)first + (int64_t)(n / C) * row + (int64_t)(n % C) * column;
            d->put(block.logits, (size_t)at, d->get(rows.logits, n));
        }
        fghm_batch t = b;
        t.logits = input(d, dtype_at(d, block.logits, first), row, column, 0);
        t.gradient = output(d, dtype_at(d, block.logits, first + array), row, column, 0);
        t.hessian = output(d, dtype_at(d, block.logits, first + 2 * array), row, column, 0);
        t.element_loss = output(d, back.out[ELEMENT_LOSS], C, 1, 0);
        const fghm_result got = run(focal, &t, pool);
        for (size_t n = 0; n < N * C; n++) {
            const int64_t at = (int64_t)first + (int64_t)(n / C) * row + (int64_t)(n % C) * column;
            assert_true(d->get(block.logits, (size_t)at) == d->get(rows.logits, n));
            for (size_t o = 1; o < OUTPUTS; o++) {
                d->put(back.out[o], n, d->get(block.logits, (size_t)at + o * array));
            }
        }
        assert_outputs(&rows, &back, N * C);
        assert_close(d, got.loss, want.loss, fabs(want.loss));
        batch_free(&block);
        batch_free(&back);
    }
    batch_free(&rows);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
}

/* For targets 0 and 1 the rules are one. */
static void rules_agree_on_hard_targets(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.3};
    struct random r = random_for(206);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        for (fghm_hessian_mode mode = 0; mode < 4; mode++) {
            fghm_focal *focal = focal_handle(gammas[g], 0.25, FGHM_REDUCTION_MEAN);
            struct batch linear = batch_new(d, 4321);
            fill(&r, &linear, 0);
            assert_int_equal(fghm_focal_set_hessian_mode(focal, mode), FGHM_OK);
            assert_int_equal(fghm_focal_set_hessian_floor(focal, 0.01), FGHM_OK);
            assert_int_equal(batch_focal(&linear, focal, NULL), FGHM_OK);
            for (fghm_focal_rule rule = FGHM_FOCAL_RULE_SPLIT; rule <= FGHM_FOCAL_RULE_QUALITY;
                 rule++) {
                struct batch other = batch_twin(&linear);
                assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
                assert_int_equal(batch_focal(&other, focal, NULL), FGHM_OK);
                assert_outputs(&linear, &other, other.n);
                assert_close(d, other.loss, linear.loss, fabs(linear.loss));
                batch_free(&other);
            }
            batch_free(&linear);
            fghm_focal_destroy(focal);
        }
    }
}

/* Labels with scores, of which some are 0, against the formulas: (label, score) as RT-DETR, D-FINE
 * and DEIM have them, with a constant factor, and differentiated. */
static void scores_of_the_varifocal_rules(void **state) {
    enum { N = 231, C = 9 };
    const struct dtype *d = *state;
    const double tolerance = d->size == sizeof(float) ? 2e-5 : 2e-13;
    struct random r = random_for(241);
    for (int k = 0; k < 6; k++) {
        const fghm_focal_rule rule = FGHM_FOCAL_RULE_VARIFOCAL + k % 3;
        const bool columns = k >= 3;
        struct batch b = batch_new(d, N * C);
        struct strided scores = strided_plain(dtype_of(d), 1, 1, N);
        int32_t labels[N];
        fghm_focal *focal = focal_handle(1.5, 0.75, FGHM_REDUCTION_MEAN_POSITIVES);
        uint64_t positives = 0;
        assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
        assert_int_equal(fghm_focal_set_detached(focal, 1), FGHM_OK);
        for (size_t i = 0; i < b.n; i++) {
            d->put(b.logits, i, 3.0 * random_normal(&r));
        }
        for (size_t i = 0; i < N; i++) {
            labels[i] = (int32_t)random_below(&r, C + 1); /* C: background */
            positives += labels[i] < C;
            strided_set(&scores, i, i % 4 == 0 ? 0.0 : i % 4 == 1 ? 1.0 : random_uniform(&r, 0, 1));
        }
        fghm_batch batch = columns ? shaped(&b, 1, C, N) : shaped(&b, N, C, 1);
        batch.target_form = FGHM_TARGET_LABEL_SCORE;
        batch.background = FGHM_BACKGROUND_LAST;
        batch.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
        batch.scores = strided_input(&scores);
        const fghm_result result = run(focal, &batch, NULL);
        assert_int_equal(result.positives, positives);
        for (size_t i = 0; i < b.n; i++) {
            const size_t sample = columns ? i % N : i / C, c = columns ? i / N : i % C;
            const bool positive = (size_t)labels[sample] == c;
            const double x = d->get(b.logits, i), p = 1.0 / (1.0 + exp(-x));
            const double q = 1.0 / (1.0 + exp(x));
            const double s = strided_at(&scores, sample);
            const double t = !positive                              ? 0.0
                             : rule == FGHM_FOCAL_RULE_MATCHABILITY ? pow(s, 1.5)
                                                                    : s;
            const double own = rule == FGHM_FOCAL_RULE_VARIFOCAL ? s : 1.0;
            const double weight = positive ? own : 0.75 * pow(p, 1.5);
            const double loss = weight * (t * log1p(exp(-x)) + (1.0 - t) * log1p(exp(x)));
            const double gradient = weight * (p - t) / result.divisor;
            const double hessian = weight * p * q / result.divisor;
            const double got[] = {d->get(b.out[ELEMENT_LOSS], i), d->get(b.out[GRADIENT], i),
                                  d->get(b.out[HESSIAN], i)};
            const double scale = weight * (t * q + (1.0 - t) * p + t * 1e-1);
            if (!(fabs(got[0] - loss) <= tolerance * loss) ||
                !(fabs(got[1] - gradient) <= tolerance * scale / result.divisor) ||
                !(fabs(got[2] - hessian) <= tolerance * hessian)) {
                fail_msg("%s rule %d x %a score %a positive %d: %a %a %a, want %a %a %a", d->name,
                         rule, x, s, positive, got[0], got[1], got[2], loss, gradient, hessian);
            }
        }
        batch_free(&b);
        strided_free(&scores);
        fghm_focal_destroy(focal);
    }
}

/* A constant factor changes derivatives alone. */
static void detached_losses_are_the_same(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.0, 3.3};
    struct random r = random_for(242);
    for (int k = 0; k < 3 * (int)SUITE_COUNT(gammas); k++) {
        const double gamma = gammas[k / 3];
        fghm_focal *focal = focal_handle(gamma, 0.25, FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, 2345), other;
        fill(&r, &b, 1);
        assert_int_equal(fghm_focal_set_rule(focal, k % 3), FGHM_OK);
        assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
        other = batch_twin(&b);
        assert_int_equal(fghm_focal_set_detached(focal, 1), FGHM_OK);
        assert_int_equal(batch_focal(&other, focal, NULL), FGHM_OK);
        const size_t i =
            dtype_first_difference(d, b.out[ELEMENT_LOSS], other.out[ELEMENT_LOSS], b.n);
        if (i < b.n || (memcmp(&b.loss, &other.loss, sizeof b.loss) != 0 && !isnan(b.loss))) {
            fail_msg("%s gamma %g rule %d: element %zu, logit %a target %a: %a and %a", d->name,
                     gamma, k % 3, i, d->get(b.logits, i % b.n), d->get(b.targets, i % b.n),
                     d->get(b.out[ELEMENT_LOSS], i % b.n),
                     d->get(other.out[ELEMENT_LOSS], i % b.n));
        }
        for (size_t n = 0; n < b.n; n++) {
            assert_false(d->get(other.out[HESSIAN], n) < 0.0);
        }
        if (gamma == 0.0) {
            assert_outputs(&b, &other, b.n);
        }
        batch_free(&b);
        batch_free(&other);
        fghm_focal_destroy(focal);
    }
}

/* Cross-entropy has no factor to be detached, also where what is too small for its type is made
 * large again. */
static void detached_cross_entropy_is_the_same(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(247);
    struct batch b = batch_new(d, 300);
    fghm_focal *focal = focal_handle(0.0, 0x1p-40, FGHM_REDUCTION_NORMALIZER);
    b.weights = dtype_array(d, b.n);
    assert_int_equal(fghm_focal_set_loss_weight(focal, 0x1p-40), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, 0x1p60), FGHM_OK);
    for (size_t i = 0; i < b.n; i++) {
        const double x = random_uniform(&r, 60.0, 110.0);
        batch_put(&b, i, i % 2 == 0 ? x : -x, (double)(i % 2 == 0));
        d->put(b.weights, i, 0x1p120);
    }
    struct batch other = batch_twin(&b);
    assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
    assert_int_equal(fghm_focal_set_detached(focal, 1), FGHM_OK);
    assert_int_equal(batch_focal(&other, focal, NULL), FGHM_OK);
    assert_outputs(&b, &other, b.n);
    batch_free(&b);
    batch_free(&other);
    fghm_focal_destroy(focal);
}

/* -------------------------------------------------------------------------
 * Modes of the Hessian. */

static void check_modes(struct random *r, const struct dtype *d, fghm_activation activation,
                        double gamma, fghm_focal_rule rule) {
    enum { N = 512 };
    fghm_focal *focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    struct batch b[4];
    b[0] = batch_new(d, N);
    fill(r, &b[0], 1);
    for (size_t i = 0; activation == FGHM_PROBABILITY && i < N; i++) {
        d->put(b[0].logits, i, random_uniform(r, 0.0, 1.0));
    }
    assert_int_equal(fghm_focal_set_rule(focal, rule), FGHM_OK);
    for (fghm_hessian_mode mode = 0; mode < 4; mode++) {
        if (mode > 0) {
            b[mode] = batch_twin(&b[0]);
        }
        fghm_batch descriptor = shaped(&b[mode], N, 1, 1);
        descriptor.activation = activation;
        assert_int_equal(fghm_focal_set_hessian_mode(focal, mode), FGHM_OK);
        assert_int_equal(fghm_focal_set_hessian_floor(focal, 0.01), FGHM_OK);
        run(focal, &descriptor, NULL);
    }
    for (size_t i = 0; i < N; i++) {
        const double exact = d->get(b[FGHM_HESSIAN_EXACT].out[HESSIAN], i);
        const double newton = d->get(b[FGHM_HESSIAN_GAUSS_NEWTON].out[HESSIAN], i);
        assert_true(d->get(b[FGHM_HESSIAN_ABSOLUTE].out[HESSIAN], i) == fabs(exact));
        assert_true(d->get(b[FGHM_HESSIAN_FLOORED].out[HESSIAN], i) >=
                    fmax(exact, 0.01 * (1.0 - 4.0 * d->sum_bound)));
        assert_true(d->get(b[FGHM_HESSIAN_FLOORED].out[HESSIAN], i) <=
                    fmax(exact, 0.01 * (1.0 + 4.0 * d->sum_bound)));
        assert_true(newton >= 0.0);
        assert_true(gamma > 0.0 || newton == exact);
        /* nothing else changes */
        for (int mode = 1; mode < 4; mode++) {
            assert_true(d->get(b[mode].out[GRADIENT], i) == d->get(b[0].out[GRADIENT], i));
            assert_true(d->get(b[mode].out[ELEMENT_LOSS], i) == d->get(b[0].out[ELEMENT_LOSS], i));
        }
    }
    for (int mode = 0; mode < 4; mode++) {
        batch_free(&b[mode]);
    }
    fghm_focal_destroy(focal);
}

static void modes_of_the_hessian(void **state) {
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.3};
    struct random r = random_for(207);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        for (fghm_focal_rule rule = 0; rule < 3; rule++) {
            check_modes(&r, *state, FGHM_SIGMOID, gammas[g], rule);
            if (rule < FGHM_FOCAL_RULE_QUALITY) {
                check_modes(&r, *state, FGHM_PROBABILITY, gammas[g], rule);
            }
        }
    }
}

static void gauss_newton_of_softmax_is_not_negative(void **state) {
    enum { N = 200, C = 7 };
    const struct dtype *d = *state;
    struct random r = random_for(208);
    const double gammas[] = {0.0, 0.5, 2.0, 5.0};
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        fghm_focal *focal = focal_handle(gammas[g], WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        struct batch exact = batch_new(d, N * C), newton;
        unsigned char labels[N];
        fill(&r, &exact, 0);
        for (size_t n = 0; n < N; n++) {
            labels[n] = (unsigned char)random_below(&r, C);
        }
        newton = batch_twin(&exact);
        fghm_batch b = shaped(&exact, N, C, 1);
        b.activation = FGHM_SOFTMAX;
        b.target_form = FGHM_TARGET_LABEL;
        b.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
        run(focal, &b, NULL);
        assert_int_equal(fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_GAUSS_NEWTON), FGHM_OK);
        assert_int_equal(fghm_focal_set_hessian_floor(focal, 0.0), FGHM_OK);
        b.hessian = output(d, newton.out[HESSIAN], 0, 0, 0);
        run(focal, &b, NULL);
        for (size_t i = 0; i < N * C; i++) {
            assert_true(d->get(newton.out[HESSIAN], i) >= 0.0);
            assert_true(gammas[g] > 0.0 ||
                        d->get(newton.out[HESSIAN], i) == d->get(exact.out[HESSIAN], i));
        }
        batch_free(&exact);
        batch_free(&newton);
        fghm_focal_destroy(focal);
    }
}

/* -------------------------------------------------------------------------
 * Softmax. */

/* One sample. */
struct sample {
    const struct dtype *d;
    size_t classes;
    struct batch b;
    double loss;
};

static struct sample softmax_sample(const struct dtype *d, const fghm_focal *focal, size_t classes,
                                    const double *logits, int32_t label) {
    struct sample s = {.d = d, .classes = classes, .b = batch_new(d, classes)};
    for (size_t c = 0; c < classes; c++) {
        d->put(s.b.logits, c, logits[c]);
    }
    fghm_batch b = shaped(&s.b, 1, classes, 1);
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = &label, .dtype = FGHM_I32};
    s.loss = run(focal, &b, NULL).loss;
    return s;
}

/* Of two classes: the sigmoid form of the difference, which floats here have exactly. */
static void two_classes_are_the_sigmoid_form(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};
    struct combinations all = combinations(209);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        fghm_focal *focal = focal_handle(gammas[g], WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        for (int k = 0; k < 200; k++) {
            if (!combinations_next(&all)) {
                continue;
            }
            const double logits[] = {(double)random_below(&all.random, 400) / 16.0 - 12.5,
                                     (double)random_below(&all.random, 400) / 16.0 - 12.5};
            struct sample s = softmax_sample(d, focal, 2, logits, k % 2);
            struct batch b = batch_new(d, 1);
            batch_put(&b, 0, logits[k % 2] - logits[1 - k % 2], 1.0);
            assert_int_equal(batch_focal(&b, focal, NULL), FGHM_OK);
            const size_t own = (size_t)(k % 2);
            assert_true(d->get(s.b.out[ELEMENT_LOSS], 0) == d->get(b.out[ELEMENT_LOSS], 0));
            assert_true(d->get(s.b.out[GRADIENT], own) == d->get(b.out[GRADIENT], 0));
            assert_true(d->get(s.b.out[GRADIENT], 1 - own) == -d->get(b.out[GRADIENT], 0));
            assert_true(d->get(s.b.out[HESSIAN], own) == d->get(b.out[HESSIAN], 0));
            assert_true(d->get(s.b.out[HESSIAN], 1 - own) == d->get(b.out[HESSIAN], 0));
            batch_free(&b);
            batch_free(&s.b);
        }
        fghm_focal_destroy(focal);
    }
    combinations_end(&all);
}

/* The same number added to all logits of a sample changes nothing. */
static void softmax_does_not_see_shifts(void **state) {
    const struct dtype *d = *state;
    struct combinations all = combinations(210);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    for (int k = 0; k < 300; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        double logits[50], shifted[50];
        const size_t classes = 1 + random_below(&all.random, 50);
        const double shift = (double)random_below(&all.random, 8192) - 4096.0;
        for (size_t c = 0; c < classes; c++) {
            logits[c] = (double)random_below(&all.random, 512) / 16.0 - 16.0;
            shifted[c] = logits[c] + shift;
        }
        const int32_t label = (int32_t)random_below(&all.random, classes);
        struct sample a = softmax_sample(d, focal, classes, logits, label);
        struct sample b = softmax_sample(d, focal, classes, shifted, label);
        assert_memory_equal(a.b.out[ELEMENT_LOSS], b.b.out[ELEMENT_LOSS], d->size);
        assert_memory_equal(a.b.out[GRADIENT], b.b.out[GRADIENT], classes * d->size);
        assert_memory_equal(a.b.out[HESSIAN], b.b.out[HESSIAN], classes * d->size);
        batch_free(&a.b);
        batch_free(&b.b);
    }
    combinations_end(&all);
    fghm_focal_destroy(focal);
}

static void assert_sample(const struct sample *s, const double *gradient, double loss) {
    const double tolerance = 1e-6;
    if (!(s->loss == loss || fabs(s->loss - loss) <= tolerance * fabs(loss))) {
        fail_msg("%s loss %g, want %g", s->d->name, s->loss, loss);
    }
    for (size_t c = 0; c < s->classes; c++) {
        const double got = s->d->get(s->b.out[GRADIENT], c);
        if (!(fabs(got - gradient[c]) <= tolerance)) {
            fail_msg("%s gradient[%zu] %g, want %g", s->d->name, c, got, gradient[c]);
        }
        assert_true(isfinite(s->d->get(s->b.out[HESSIAN], c)));
    }
}

static void extremes_of_softmax(void **state) {
    const struct dtype *d = *state;
    const double inf = (double)INFINITY, half = 0.25 * log(2.0); /* q^2 L at p = 1/2 */
    const double slope = 0.25 * (0.5 + log(2.0));                /* q^2 (q + 2 p L) there */
    const struct {
        size_t classes;
        double logits[4];
        int32_t label;
        double loss, gradient[4];
    } cases[] = {
        {1, {3.0}, 0, 0.0, {0.0}},
        {1, {-1e30}, 0, 0.0, {0.0}},
        {2, {1e30, -1e30}, 0, 0.0, {0.0, 0.0}},
        {2, {1e30, -1e30}, 1, 2e30, {1.0, -1.0}},
        {3, {1e30, 1e30, -1e30}, 0, half, {-slope, slope, 0.0}},
        {3, {5.0, 5.0, -inf}, 1, half, {slope, -slope, 0.0}},
        {3, {5.0, -inf, -inf}, 0, 0.0, {0.0, 0.0, 0.0}},
        {3, {-inf, 2.0, 2.0}, 0, inf, {-1.0, 0.5, 0.5}},
        {3, {inf, 2.0, 2.0}, 0, 0.0, {0.0, 0.0, 0.0}},
        {4, {-inf, 7.0, 7.0, -inf}, 1, half, {0.0, -slope, slope, 0.0}},
    };
    fghm_focal *focal = focal_handle(2.0, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct sample s =
            softmax_sample(d, focal, cases[k].classes, cases[k].logits, cases[k].label);
        assert_sample(&s, cases[k].gradient, cases[k].loss);
        batch_free(&s.b);
    }
    fghm_focal_destroy(focal);
}

/* NaN, or +inf in another class, makes its own sample NaN and no other. */
static void nan_stays_in_its_sample(void **state) {
    enum { N = 40, C = 5 };
    const struct dtype *d = *state;
    struct random r = random_for(211);
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    for (size_t c = 0; c < C; c++) {
        for (int infinite = 0; infinite < 2; infinite++) {
            struct batch good = batch_new(d, N * C), b;
            int32_t labels[N];
            fill(&r, &good, 0);
            for (size_t n = 0; n < N; n++) {
                labels[n] = (int32_t)random_below(&r, C);
            }
            labels[17] = infinite ? (int32_t)((c + 1) % C) : labels[17];
            b = batch_twin(&good);
            d->put(b.logits, 17 * C + c, infinite ? (double)INFINITY : (double)NAN);
            for (int k = 0; k < 2; k++) {
                fghm_batch descriptor = shaped(k ? &b : &good, N, C, 1);
                descriptor.activation = FGHM_SOFTMAX;
                descriptor.target_form = FGHM_TARGET_LABEL;
                descriptor.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
                assert_int_equal(isnan(run(focal, &descriptor, NULL).loss) != 0, k);
            }
            for (size_t i = 0; i < N * C; i++) {
                const double got[] = {d->get(b.out[ELEMENT_LOSS], i / C),
                                      d->get(b.out[GRADIENT], i), d->get(b.out[HESSIAN], i)};
                const double want[] = {d->get(good.out[ELEMENT_LOSS], i / C),
                                       d->get(good.out[GRADIENT], i), d->get(good.out[HESSIAN], i)};
                for (int k = 0; k < OUTPUTS; k++) {
                    assert_true(i / C == 17 ? isnan(got[k]) : got[k] == want[k]);
                }
            }
            batch_free(&good);
            batch_free(&b);
        }
    }
    fghm_focal_destroy(focal);
}

/* Any finite logits, any gamma. */
static void finite_logits_give_finite_results(void **state) {
    enum { N = 400, C = 5 };
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 5e-324, 0.5, 1.0, 2.0, 3.3, 20.0, 50.0, 64.0};
    struct random r = random_for(212);
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        for (fghm_hessian_mode mode = 0; mode < 4; mode++) {
            fghm_focal *focal = focal_handle(gammas[g], 0.25, FGHM_REDUCTION_MEAN);
            struct batch b = batch_new(d, N * C);
            int32_t labels[N];
            for (size_t i = 0; i < b.n; i++) {
                const double x = random_bits(&r) & 1 ? d->any(&r) : 90.0 * random_normal(&r);
                const double t = random_bits(&r) & 1 ? 1.0 : 0.0;
                const double soft = pow(0.5, random_uniform(&r, 0.0, 60.0));
                batch_put(&b, i, x, i % 3 ? t : fabs(t - soft));
                labels[i / C] = (int32_t)random_below(&r, C);
            }
            for (size_t i = 0; i < C; i++) {
                d->put(b.logits, i, i % 2 ? d->format->max : -d->format->max);
            }
            assert_int_equal(fghm_focal_set_hessian_mode(focal, mode), FGHM_OK);
            assert_int_equal(fghm_focal_set_hessian_floor(focal, 1e-16), FGHM_OK);
            for (fghm_activation activation = 0; activation < 3; activation++) {
                fghm_batch descriptor = shaped(&b, N, C, 1);
                descriptor.activation = activation;
                for (size_t i = 0; activation == FGHM_PROBABILITY && i < b.n; i++) {
                    const double p = pow(0.5, random_uniform(&r, 0.0, 1100.0));
                    d->put(b.logits, i, i % 7 == 0 ? 0.0 : i % 7 == 1 ? 1.0 : i & 1 ? p : 1.0 - p);
                }
                if (activation == FGHM_SOFTMAX) {
                    descriptor.target_form = FGHM_TARGET_LABEL;
                    descriptor.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
                }
                run(focal, &descriptor, NULL);
                for (size_t i = 0; i < OUTPUTS * b.n; i++) {
                    const double got = d->get(b.out[i / b.n], i % b.n);
                    if (!isfinite(got)) {
                        fail_msg("%s gamma %g mode %d activation %d %s[%zu] %g: x %a t %g", d->name,
                                 gammas[g], mode, activation, output_names[i / b.n], i % b.n, got,
                                 d->get(b.logits, i % b.n), d->get(b.targets, i % b.n));
                    }
                }
            }
            batch_free(&b);
            fghm_focal_destroy(focal);
        }
    }
}

/* The logit of the margin 1/2 is 0, so that p - m can be as small as any number. */
static void next_to_a_margin_results_are_finite(void **state) {
    enum { N = 1100 };
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0x1p-10, 0.5, 1.0, 1.7, 3.0, 7.5, 64.0};
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        for (fghm_hessian_mode mode = 0; mode < 4; mode++) {
            fghm_focal *focal = focal_handle(gammas[g], 0.25, FGHM_REDUCTION_SUM);
            struct batch b = batch_new(d, N);
            for (size_t i = 0; i < N; i++) {
                batch_put(&b, i, ldexp(1.0, -(int)i), mode & 1 && i % 3 == 0 ? 0.5 : 0.0);
            }
            assert_int_equal(fghm_focal_set_margin(focal, 0.5), FGHM_OK);
            assert_int_equal(fghm_focal_set_hessian_mode(focal, mode), FGHM_OK);
            const fghm_batch descriptor = shaped(&b, N, 1, 1);
            run(focal, &descriptor, NULL);
            for (size_t i = 0; i < OUTPUTS * N; i++) {
                const double got = d->get(b.out[i / N], i % N);
                if (!isfinite(got)) {
                    fail_msg("%s gamma %g mode %d %s %g: x %a t %g", d->name, gammas[g], mode,
                             output_names[i / N], got, d->get(b.logits, i % N),
                             d->get(b.targets, i % N));
                }
            }
            batch_free(&b);
            fghm_focal_destroy(focal);
        }
    }
}

/* -------------------------------------------------------------------------
 * Probabilities at the ends. */

static void assert_number(const struct dtype *d, const char *what, double gamma, double got,
                          double want) {
    if (!(got == want || fabs(got - want) <= 32.0 * d->sum_bound * fabs(want))) {
        fail_msg("%s gamma %g %s: %g, want %g", d->name, gamma, what, got, want);
    }
}

/* Right: m^(gamma + 1), near enough; wrong: the smallest normal number stands for 0. */
static void probabilities_of_0_and_1(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.3, 50.0};
    const double tiny = d->min_normal;
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        const double gamma = gammas[g];
        fghm_focal *focal = focal_handle(gamma, WIDE_ALPHA_OFF, FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, 4);
        const double bend = gamma == 0.0   ? 1.0
                            : gamma < 1.0  ? gamma * (gamma + 1.0) * pow(tiny, gamma - 1.0)
                            : gamma == 1.0 ? 2.0
                                           : 0.0;
        for (size_t i = 0; i < 4; i++) {
            batch_put(&b, i, (double)(i & 1), (double)(i / 2));
        }
        fghm_batch descriptor = shaped(&b, 4, 1, 1);
        descriptor.activation = FGHM_PROBABILITY;
        run(focal, &descriptor, NULL);
        for (size_t i = 0; i < 4; i++) {
            const double sign = i & 1 ? -1.0 : 1.0; /* of a negative, or p = 1: down */
            const double loss = d->get(b.out[ELEMENT_LOSS], i);
            const double gradient = d->get(b.out[GRADIENT], i);
            const double hessian = d->get(b.out[HESSIAN], i);
            if ((i & 1) == i / 2) {
                assert_number(d, "loss", gamma, loss, 0.0);
                assert_number(d, "gradient", gamma, gradient, gamma > 0.0 ? 0.0 : sign);
                assert_number(d, "hessian", gamma, hessian, bend);
            } else {
                assert_number(d, "loss", gamma, loss, -log(tiny));
                assert_number(d, "gradient", gamma, gradient, i == 1 ? 1.0 / tiny : -1.0 / tiny);
                assert_number(d, "hessian", gamma, hessian, d->format->max);
            }
        }
        batch_free(&b);
        fghm_focal_destroy(focal);
    }
}

/* -------------------------------------------------------------------------
 * Nothing left. */

static void all_ignored(void **state) {
    const struct dtype *d = *state;
    for (fghm_activation activation = 0; activation < 3; activation++) {
        for (fghm_reduction reduction = 0; reduction < 6; reduction++) {
            fghm_focal *focal = focal_handle(2.0, 0.25, reduction);
            struct batch b = batch_new(d, 6 * 700);
            int64_t labels[700];
            for (size_t i = 0; i < b.n; i++) {
                batch_put(&b, i, (double)NAN, 0.0);
                labels[i / 6] = -100;
            }
            fghm_batch descriptor = shaped(&b, 700, 6, 1);
            descriptor.activation = activation;
            descriptor.target_form = FGHM_TARGET_LABEL;
            descriptor.targets = (fghm_input){.data = labels, .dtype = FGHM_I64};
            descriptor.ignore_index = -100;
            const fghm_result result = run(focal, &descriptor, NULL);
            assert_true(result.loss == 0.0 && result.sum == 0.0);
            assert_true(result.valid == 0 && result.positives == 0);
            assert_true(result.divisor >= 1.0);
            const size_t losses = activation == FGHM_SOFTMAX ? 700 : b.n;
            for (size_t i = 0; i < b.n; i++) {
                assert_true(d->get(b.out[GRADIENT], i) == 0.0 && d->get(b.out[HESSIAN], i) == 0.0);
                assert_true(i >= losses || d->get(b.out[ELEMENT_LOSS], i) == 0.0);
            }
            batch_free(&b);
            fghm_focal_destroy(focal);
        }
    }
}

/* -------------------------------------------------------------------------
 * The reference's derivatives. */

/* (f(x + h) - f(x - h)) / 2h, and (f(x + h) - 2 f(x) + f(x - h)) / h^2. */
static void check_differences(struct reference r[3], double h, const char *what, double x) {
    mpfr_t first, second;
    mpfr_inits2(WIDE_BITS, first, second, (mpfr_ptr)0);
    mpfr_sub(first, r[1].loss, r[2].loss, MPFR_RNDN);
    mpfr_div_d(first, first, 2.0 * h, MPFR_RNDN);
    mpfr_add(second, r[1].loss, r[2].loss, MPFR_RNDN);
    mpfr_sub(second, second, r[0].loss, MPFR_RNDN);
    mpfr_sub(second, second, r[0].loss, MPFR_RNDN);
    mpfr_div_d(second, second, h, MPFR_RNDN);
    mpfr_div_d(second, second, h, MPFR_RNDN);
    mpfr_sub(first, first, r[0].gradient, MPFR_RNDN);
    mpfr_sub(second, second, r[0].hessian, MPFR_RNDN);
    const double errors[] = {fabs(mpfr_get_d(first, MPFR_RNDN)),
                             fabs(mpfr_get_d(second, MPFR_RNDN))};
    const double scales[] = {mpfr_get_d(r[0].gradient_scale, MPFR_RNDN),
                             mpfr_get_d(r[0].hessian_scale, MPFR_RNDN)};
    for (int k = 0; k < 2; k++) {
        if (!(errors[k] <= 1e-15 * scales[k])) {
            fail_msg("%s at %g: derivative %d is off by %g of %g", what, x, k + 1, errors[k],
                     scales[k]);
        }
    }
    mpfr_clears(first, second, (mpfr_ptr)0);
}

static void derivatives_of_the_reference(void **state) {
    enum { C = 4 };
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.3}, h = 0x1p-60;
    const double shifts[] = {0.0, h, -h};
    struct combinations all = combinations(215);
    struct random *const random = &all.random;
    struct reference r[3];
    mpfr_t x, t, logits[C];
    (void)state;
    mpfr_inits2(WIDE_BITS, x, t, logits[0], logits[1], logits[2], logits[3], (mpfr_ptr)0);
    for (int k = 0; k < 3; k++) {
        reference_init(&r[k]);
    }
    for (int round = 0; round < 400; round++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const double gamma = gammas[random_below(random, 5)];
        struct reference_loss loss = {.rule = (fghm_focal_rule)random_below(random, 4),
                                      .gamma = gamma,
                                      .negative_gamma = gamma,
                                      .alpha = 0.25};
        const double at = 4.0 * random_normal(random);
        const double p = random_uniform(random, 0.01, 0.99);
        loss.rule = gamma == 0.0 && loss.rule == FGHM_FOCAL_RULE_STAR ? 0 : loss.rule;
        mpfr_set_d(t, (double)random_below(random, 5) / 4.0, MPFR_RNDN);
        if (loss.rule == FGHM_FOCAL_RULE_STAR) {
            mpfr_set_ui(t, random_bits(random) & 1, MPFR_RNDN);
        }
        for (int k = 0; k < 3; k++) {
            mpfr_set_d(x, at, MPFR_RNDN);
            mpfr_add_d(x, x, shifts[k], MPFR_RNDN);
            reference_sigmoid(&r[k], &loss, x, t);
        }
        check_differences(r, h, "sigmoid", at);
        const size_t label = random_below(random, C), c = random_below(random, C);
        for (size_t n = 0; n < C; n++) {
            mpfr_set_d(logits[n], 3.0 * random_normal(random), MPFR_RNDN);
        }
        for (int k = 0; k < 3; k++) {
            mpfr_set_d(x, shifts[k], MPFR_RNDN);
            mpfr_add(logits[c], logits[c], x, MPFR_RNDN);
            reference_softmax(&r[k], &loss, (const mpfr_t *)logits, C, label, c);
            mpfr_sub(logits[c], logits[c], x, MPFR_RNDN);
        }
        check_differences(r, h, "softmax", mpfr_get_d(logits[c], MPFR_RNDN));
        loss.rule = loss.rule > FGHM_FOCAL_RULE_SPLIT ? FGHM_FOCAL_RULE_LINEAR : loss.rule;
        loss.negative_gamma = gammas[random_below(random, 5)];
        for (int k = 0; k < 3; k++) {
            mpfr_set_d(x, p, MPFR_RNDN);
            mpfr_add_d(x, x, shifts[k], MPFR_RNDN);
            reference_probability(&r[k], &loss, x, t);
        }
        check_differences(r, h, "probability", p);
    }
    combinations_end(&all);
    for (int k = 0; k < 3; k++) {
        reference_clear(&r[k]);
    }
    mpfr_clears(x, t, logits[0], logits[1], logits[2], logits[3], (mpfr_ptr)0);
}

/* -------------------------------------------------------------------------
 * Constants and probabilities. */

/* The sign of positives dFL/dx(x, 1) + negatives dFL/dx(x, 0). */
static int slope_sign(const struct reference_loss *loss, double x, double positives,
                      double negatives) {
    mpfr_t logit, gap;
    mpfr_inits2(WIDE_BITS, logit, gap, (mpfr_ptr)0);
    mpfr_set_d(logit, x, MPFR_RNDN);
    constant_gap(gap, loss, logit, positives, negatives);
    const int sign = mpfr_sgn(gap);
    mpfr_clears(logit, gap, (mpfr_ptr)0);
    return sign;
}

static void check_best(const struct reference_loss *loss, double positives, double negatives) {
    fghm_focal *focal = focal_handle(loss->gamma, loss->alpha, FGHM_REDUCTION_SUM);
    double best = 0.0, probability = -1.0;
    assert_int_equal(fghm_focal_set_rule(focal, loss->rule), FGHM_OK);
    if (loss->negative_gamma != loss->gamma) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, loss->negative_gamma), FGHM_OK);
    }
    assert_int_equal(fghm_focal_best_constant(focal, positives, negatives, &best), FGHM_OK);
    const double apart = fabs(loss->gamma - loss->negative_gamma);
    const double gap = 0x1p-48 * (1.0 + apart / 8.0) * (1.0 + fabs(best));
    if (slope_sign(loss, best - gap, positives, negatives) >= 0 ||
        slope_sign(loss, best + gap, positives, negatives) <= 0) {
        fail_msg("rule %d gamma %g %g alpha %g: %.17g is not best for %g %g", loss->rule,
                 loss->gamma, loss->negative_gamma, loss->alpha, best, positives, negatives);
    }
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, &best, &probability), FGHM_OK);
    const double ratio = positives / negatives;
    const double eta = ratio < 1e300 ? ratio / (1.0 + ratio) : 1.0;
    if (!(fabs(probability - eta) <= 1e-12 * eta)) {
        fail_msg("rule %d gamma %g %g alpha %g: %.17g is calibrated to %.17g, not %.17g",
                 loss->rule, loss->gamma, loss->negative_gamma, loss->alpha, best, probability,
                 eta);
    }
    fghm_focal_destroy(focal);
}

static void best_constants_are_best(void **state) {
    const double gammas[] = {0.0, 0.5, 2.0, 64.0};
    const double alphas[] = {WIDE_ALPHA_OFF, 0.25, 0.5, 0.999, 1e-6};
    const double weights[][2] = {{1.0, 1.0},  {1.0, 99.0},   {3.0, 1000.0},   {1e9, 1.0},
                                 {1e-6, 1e6}, {0.25, 0.125}, {1e100, 1e-100}, {7.0, 6.999999}};
    (void)state;
    for (size_t g = 0; g < SUITE_COUNT(gammas); g++) {
        for (size_t n = 0; n < SUITE_COUNT(gammas); n++) {
            for (size_t a = 0; a < SUITE_COUNT(alphas); a++) {
                for (size_t w = 0; w < SUITE_COUNT(weights); w++) {
                    struct reference_loss loss = {.rule = FGHM_FOCAL_RULE_LINEAR,
                                                  .gamma = gammas[g],
                                                  .negative_gamma = gammas[n],
                                                  .alpha = alphas[a]};
                    check_best(&loss, weights[w][0], weights[w][1]);
                    if (g == n && gammas[g] > 0.0) {
                        loss.rule = FGHM_FOCAL_RULE_STAR;
                        check_best(&loss, weights[w][0], weights[w][1]);
                        loss.rule = FGHM_FOCAL_RULE_QUALITY;
                        check_best(&loss, weights[w][0], weights[w][1]);
                    }
                }
            }
        }
    }
}

/* 1 - alpha is no double, and what its rounding took is all that is left where the weights are as
 * the rounded one: log(9/10 / (1 - alpha)), whose first term is this. */
static void best_constants_of_exact_alpha(void **state) {
    const double alpha = 0.1, rest = 1.0 - alpha;
    const double want = ((rest - 1.0) + alpha) / rest;
    fghm_focal *focal = focal_handle(0.0, alpha, FGHM_REDUCTION_SUM);
    double best;
    (void)state;
    assert_int_equal(fghm_focal_best_constant(focal, rest, alpha, &best), FGHM_OK);
    assert_true(want > 0.0 && fabs(best - want) <= 1e-9 * want);
    fghm_focal_destroy(focal);
}

/* Any two weights, however large their ratio. */
static void best_constants_of_extremes(void **state) {
    const double ends[] = {5e-324, DBL_MIN, 1.0, DBL_MAX};
    const double gammas[] = {0.0, 1e-300, 1.0, 30.0, 64.0};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(ends) * SUITE_COUNT(ends) * SUITE_COUNT(gammas); k++) {
        const double positives = ends[k % 4], negatives = ends[k / 4 % 4];
        fghm_focal *focal = focal_handle(gammas[k / 16], 0x1p-40, FGHM_REDUCTION_SUM);
        double best = (double)NAN;
        errno = 4711;
        feclearexcept(FE_ALL_EXCEPT);
        assert_int_equal(fghm_focal_best_constant(focal, positives, negatives, &best), FGHM_OK);
        assert_int_equal(errno, 4711);
        assert_int_equal(fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW), 0);
        assert_true(isfinite(best));
        fghm_focal_destroy(focal);
    }
}

static void errors_of_best_constants(void **state) {
    const double bad[] = {0.0, -0.0, -1.0, (double)NAN, (double)INFINITY, -(double)INFINITY};
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    double best = -7.0;
    (void)state;
    assert_int_equal(fghm_focal_best_constant(NULL, 1.0, 1.0, &best), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_best_constant(focal, 1.0, 1.0, NULL), FGHM_ERROR_NULL_POINTER);
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        assert_int_equal(fghm_focal_best_constant(focal, bad[k], 1.0, &best), FGHM_ERROR_RANGE);
        assert_int_equal(fghm_focal_best_constant(focal, 1.0, bad[k], &best), FGHM_ERROR_RANGE);
    }
    for (int alpha = 0; alpha < 2; alpha++) {
        assert_int_equal(fghm_focal_set_alpha(focal, (double)alpha), FGHM_OK);
        assert_int_equal(fghm_focal_best_constant(focal, 1.0, 1.0, &best), FGHM_ERROR_COMBINATION);
    }
    assert_int_equal(fghm_focal_clear_alpha(focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, 0.0), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    assert_int_equal(fghm_focal_best_constant(focal, 1.0, 1.0, &best), FGHM_ERROR_COMBINATION);
    assert_true(best == -7.0);
    fghm_focal_destroy(focal);
}

/* Whatever the type, one element. */
static double calibrate_one(const struct dtype *d, const fghm_focal *focal, double x) {
    float x_f32 = (float)x;
    double x_f64 = x;
    if (d->size == sizeof(float)) {
        assert_int_equal(fghm_focal_calibrate_f32(focal, NULL, 1, &x_f32, &x_f32), FGHM_OK);
        return (double)x_f32;
    }
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, &x_f64, &x_f64), FGHM_OK);
    return x_f64;
}

static void exact_probability(mpfr_t eta, const struct reference_loss *loss, double x) {
    mpfr_t logit;
    mpfr_init2(logit, WIDE_BITS);
    mpfr_set_d(logit, x, MPFR_RNDN);
    calibrated(eta, loss, logit);
    mpfr_clear(logit);
}

static double check_calibrated(const struct dtype *d, const fghm_focal *focal,
                               const struct reference_loss *loss, double x) {
    const double bound = promised_calibrated(loss, d->size == sizeof(double), x);
    const double got = calibrate_one(d, focal, x);
    mpfr_t eta;
    mpfr_init2(eta, WIDE_BITS);
    exact_probability(eta, loss, x);
    const double ulps = wide_ulps_scaled(d->format, got, eta, eta);
    mpfr_clear(eta);
    if (!(ulps <= bound)) {
        fail_msg("%s rule %d gamma %g %g alpha %g at %a: %.17g, %.2f ulp", d->name, loss->rule,
                 loss->gamma, loss->negative_gamma, loss->alpha, x, got, ulps);
    }
    return ulps;
}

/* Any gammas, alphas and logits, in ulp; rising with the logit. */
static void calibration_follows_its_formula(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 0.5, 2.0, 5.0, 64.0}, alphas[] = {WIDE_ALPHA_OFF, 0.25, 0.999};
    struct random random = random_for(233);
    double worst = 0.0;
    for (size_t g = 0; g < SUITE_COUNT(gammas) * SUITE_COUNT(gammas) * SUITE_COUNT(alphas); g++) {
        struct reference_loss loss = {
            .gamma = gammas[g % 5], .negative_gamma = gammas[g / 5 % 5], .alpha = alphas[g / 25]};
        fghm_focal *focal = focal_handle(loss.gamma, loss.alpha, FGHM_REDUCTION_SUM);
        double before = -1.0;
        assert_int_equal(fghm_focal_set_negative_gamma(focal, loss.negative_gamma), FGHM_OK);
        for (double x = -14.0; x <= 14.0; x += 0.375) {
            const double got = calibrate_one(d, focal, x);
            assert_true(got >= before);
            before = got;
            worst = fmax(worst, check_calibrated(d, focal, &loss, x));
        }
        for (int k = 0; k < 20; k++) {
            const double x = dtype_round(d, random_log_uniform(&random, 1e-20, 300.0));
            worst = fmax(worst, check_calibrated(d, focal, &loss, x));
        }
        if (loss.gamma == loss.negative_gamma && loss.gamma > 0.0) {
            loss.rule = FGHM_FOCAL_RULE_STAR;
            assert_int_equal(fghm_focal_set_rule(focal, loss.rule), FGHM_OK);
            for (double x = -4.0; x <= 4.0; x += 0.375) {
                worst = fmax(worst, check_calibrated(d, focal, &loss, x));
            }
        }
        fghm_focal_destroy(focal);
    }
    printf("  %s calibration, largest error %.2f ulp\n", d->name, worst);
}

/* Up to p = m the probability is 0; near it the digits of p - m count. */
static void calibration_with_a_margin(void **state) {
    const struct dtype *d = *state;
    const double gammas[] = {0.0, 1.0, 4.0, 64.0}, margins[] = {0x1p-40, 0.05, 0.5, 0.999};
    struct random random = random_for(237);
    double worst = 0.0;
    mpfr_t eta;
    mpfr_init2(eta, WIDE_BITS);
    for (size_t g = 0; g < 4 * 4 * 4 * 2; g++) {
        const struct reference_loss loss = {.gamma = gammas[g % 4],
                                            .negative_gamma = gammas[g / 4 % 4],
                                            .margin = margins[g / 16 % 4],
                                            .alpha = g % 3 ? 0.25 : WIDE_ALPHA_OFF,
                                            .detached = g / 64 != 0};
        const double edge = log(loss.margin) - log1p(-loss.margin);
        fghm_focal *focal = focal_handle(loss.gamma, loss.alpha, FGHM_REDUCTION_SUM);
        double before = -1.0;
        assert_int_equal(fghm_focal_set_negative_gamma(focal, loss.negative_gamma), FGHM_OK);
        assert_int_equal(fghm_focal_set_margin(focal, loss.margin), FGHM_OK);
        assert_int_equal(fghm_focal_set_detached(focal, loss.detached), FGHM_OK);
        for (int k = 0; k < 80; k++) {
            const double apart =
                k < 60 ? 0.25 * (k - 8) + 0.0625 : random_log_uniform(&random, 1e-6, 1e3);
            const double x = dtype_round(d, edge + apart);
            const double got = calibrate_one(d, focal, x);
            const double bound = promised_calibrated(&loss, d->size == sizeof(double), x);
            exact_probability(eta, &loss, x);
            const double ulps = wide_ulps_scaled(d->format, got, eta, eta);
            worst = fmax(worst, ulps / bound);
            if (!(ulps <= bound) || (k < 60 && got < before) ||
                (apart < -1e-9 * (1.0 + fabs(edge)) && got != 0.0)) {
                fail_msg("%s gamma %g %g margin %g at %a: %.17g after %.17g, %.2f ulp of %.2f",
                         d->name, loss.gamma, loss.negative_gamma, loss.margin, x, got, before,
                         ulps, bound);
            }
            before = k < 60 ? got : before;
        }
        assert_true(calibrate_one(d, focal, -INFINITY) == 0.0);
        assert_true(loss.gamma == 0.0 || calibrate_one(d, focal, INFINITY) == 1.0);
        assert_true(isnan(calibrate_one(d, focal, NAN)));
        fghm_focal_destroy(focal);
    }
    printf("  %s calibration with a margin, largest error %.2f of the bound\n", d->name, worst);
    mpfr_clear(eta);
}

/* With a margin there is none beyond what an infinite logit stands for. */
static void best_constants_with_a_margin(void **state) {
    const double ratios[] = {1e-300, 1e-3, 0.5, 3.0, 1e3, 1e300}, margins[] = {0x1p-40, 0.05, 0.7};
    (void)state;
    for (size_t k = 0; k < 6 * 3 * 3 * 2; k++) {
        const double ratio = ratios[k % 6], want = ratio < 1e100 ? ratio / (1.0 + ratio) : 1.0;
        const struct reference_loss loss = {.gamma = (double)(k / 6 % 3),
                                            .negative_gamma = 4.0,
                                            .margin = margins[k / 18 % 3],
                                            .alpha = WIDE_ALPHA_OFF,
                                            .detached = k / 54 != 0};
        fghm_focal *focal = focal_handle(loss.gamma, loss.alpha, FGHM_REDUCTION_SUM);
        double best = -7.0;
        assert_int_equal(fghm_focal_set_negative_gamma(focal, loss.negative_gamma), FGHM_OK);
        assert_int_equal(fghm_focal_set_margin(focal, loss.margin), FGHM_OK);
        assert_int_equal(fghm_focal_set_detached(focal, loss.detached), FGHM_OK);
        const bool has_one = loss.gamma > 0.0 || want < calibrate_one(&dtypes[1], focal, INFINITY);
        assert_int_equal(fghm_focal_best_constant(focal, ratio, 1.0, &best),
                         has_one ? FGHM_OK : FGHM_ERROR_RANGE);
        if (!has_one) {
            assert_true(best == -7.0);
        } else {
            const double gap = 0x1p-46 * (1.0 + fabs(best));
            if (slope_sign(&loss, best - gap, ratio, 1.0) >= 0 ||
                slope_sign(&loss, best + gap, ratio, 1.0) <= 0) {
                fail_msg("gamma %g margin %g: %.17g is not best for %g", loss.gamma, loss.margin,
                         best, ratio);
            }
        }
        fghm_focal_destroy(focal);
    }
}

static void calibration_of_any_settings(void **state) {
    const struct dtype *d = *state;
    struct combinations all = combinations(236);
    double worst = 0.0;
    for (int k = 0; k < 3000; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const double gamma = random_uniform(&all.random, 0.0, 64.0);
        const double other = k % 2 ? gamma : random_uniform(&all.random, 0.0, 64.0);
        const double alpha = k % 3 ? random_uniform(&all.random, 0.0, 1.0) : WIDE_ALPHA_OFF;
        const struct reference_loss loss = {
            .gamma = gamma, .negative_gamma = other, .alpha = alpha};
        const double x = dtype_round(d, random_uniform(&all.random, -3.0, 3.0));
        fghm_focal *focal = focal_handle(gamma, alpha, FGHM_REDUCTION_SUM);
        assert_int_equal(fghm_focal_set_negative_gamma(focal, other), FGHM_OK);
        worst = fmax(worst, check_calibrated(d, focal, &loss, x));
        fghm_focal_destroy(focal);
    }
    combinations_end(&all);
    printf("  %s calibration, largest error %.2f ulp\n", d->name, worst);
}

/* The pool changes no bit, and nor does the place; errno and other numbers stay. */
static void calibration_of_many(void **state) {
    enum { N = 30011 };
    const struct dtype *d = *state;
    struct random r = random_for(234);
    fghm_focal *focal = focal_handle(1.7, 0.25, FGHM_REDUCTION_SUM);
    fghm_pool *const pool = pool_of(3);
    void *const x = dtype_array(d, N + 1), *const want = dtype_array(d, N),
                *const got = dtype_array(d, N);
    for (size_t i = 0; i < N + 1; i++) {
        d->put(x, i, i % 97 ? 8.0 * random_normal(&r) : d->any(&r));
    }
    for (size_t i = 0; i < N; i++) {
        d->put(want, i, calibrate_one(d, focal, d->get(x, i)));
    }
    errno = 4711;
    for (int form = 0; form < 3; form++) {
        void *const to = form == 2 ? x : got;
        fghm_pool *const used = form == 0 ? NULL : pool;
        if (d->size == sizeof(float)) {
            assert_int_equal(fghm_focal_calibrate_f32(focal, used, N, x, (float *)x + 1),
                             FGHM_ERROR_ALIASING);
            assert_int_equal(fghm_focal_calibrate_f32(focal, used, N, x, to), FGHM_OK);
        } else {
            assert_int_equal(fghm_focal_calibrate_f64(focal, used, N, (double *)x + 1, x),
                             FGHM_ERROR_ALIASING);
            assert_int_equal(fghm_focal_calibrate_f64(focal, used, N, x, to), FGHM_OK);
        }
        assert_int_equal(dtype_first_difference(d, to, want, N), N);
    }
    assert_int_equal(errno, 4711);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    free(x);
    free(want);
    free(got);
}

/* -------------------------------------------------------------------------
 * The everyday call for softmax. */

static fghm_status everyday(const struct dtype *d, const fghm_focal *focal, fghm_pool *pool,
                            size_t samples, size_t classes, struct batch *b, const int64_t *labels,
                            int64_t ignore_index, double *loss) {
    if (d->size == sizeof(float)) {
        return fghm_focal_softmax_f32(focal, pool, samples, classes, b->logits, labels,
                                      ignore_index, b->weights, loss, b->out[ELEMENT_LOSS],
                                      b->out[GRADIENT], b->out[HESSIAN]);
    }
    return fghm_focal_softmax_f64(focal, pool, samples, classes, b->logits, labels, ignore_index,
                                  b->weights, loss, b->out[ELEMENT_LOSS], b->out[GRADIENT],
                                  b->out[HESSIAN]);
}

static void everyday_softmax_is_the_batch(void **state) {
    const struct dtype *d = *state;
    const size_t shapes[][2] = {{1, 1}, {1, 3}, {7, 2}, {200, 5}, {33, 80}, {3, 1000}, {9000, 4}};
    struct combinations all = combinations(235);
    fghm_pool *const pool = pool_of(3);
    for (size_t k = 0; k < SUITE_COUNT(shapes) * 4; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        const size_t samples = shapes[k / 4][0], classes = shapes[k / 4][1];
        const int64_t ignore_index = k % 2 ? -100 : FGHM_IGNORE_NONE;
        fghm_focal *focal = focal_handle(1.5, 0.25, (fghm_reduction)random_below(&all.random, 6));
        struct batch want = batch_new(d, samples * classes), got;
        int64_t *const labels = calloc(samples, sizeof *labels);
        double loss = -7.0;
        assert_non_null(labels);
        assert_int_equal(
            fghm_focal_set_hessian_mode(focal, (fghm_hessian_mode)random_below(&all.random, 4)),
            FGHM_OK);
        for (size_t i = 0; i < want.n; i++) {
            d->put(want.logits, i, 4.0 * random_normal(&all.random));
        }
        if (k % 4 < 2) {
            want.weights = dtype_array(d, want.n);
        }
        for (size_t i = 0; i < samples; i++) {
            labels[i] = k % 2 && i % 5 == 4 ? -100 : (int64_t)random_below(&all.random, classes);
            if (want.weights != NULL) {
                d->put(want.weights, i, random_uniform(&all.random, -1.0, 4.0));
            }
        }
        got = batch_twin(&want);
        fghm_batch b = shaped(&want, samples, classes, 1);
        b.activation = FGHM_SOFTMAX;
        b.target_form = FGHM_TARGET_LABEL;
        b.targets = (fghm_input){.data = labels, .dtype = FGHM_I64};
        b.ignore_index = ignore_index;
        const fghm_result result = run(focal, &b, NULL);
        for (int threads = 0; threads < 2; threads++) {
            assert_int_equal(everyday(d, focal, threads ? pool : NULL, samples, classes, &got,
                                      labels, ignore_index, &loss),
                             FGHM_OK);
            assert_memory_equal(&loss, &result.loss, sizeof loss);
            assert_outputs(&want, &got, samples);
            for (int o = GRADIENT; o < OUTPUTS; o++) {
                assert_int_equal(dtype_first_difference(d, want.out[o], got.out[o], want.n),
                                 want.n);
            }
        }
        free(labels);
        batch_free(&want);
        batch_free(&got);
        fghm_focal_destroy(focal);
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
}

/* Cross-entropy of three equal logits, whatever the default alpha is. */
static void softmax_of_a_new_handle(void **state) {
    const struct dtype *d = *state;
    const int64_t label = 1;
    struct batch b = batch_new(d, 3);
    fghm_focal *focal = NULL;
    double loss = 0.0;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, 0.0), FGHM_OK);
    assert_int_equal(everyday(d, focal, NULL, 1, 3, &b, &label, FGHM_IGNORE_NONE, &loss), FGHM_OK);
    assert_close(d, loss, log(3.0), log(3.0));
    fghm_focal_destroy(focal);
    batch_free(&b);
}

/* A factor of 0 gives results 0, of which inf times 0 makes NaN: in its own sample, and no error.
 */
static void class_factor_of_0(void **state) {
    enum { N = 2, C = 2 };
    const struct dtype *d = *state;
    const double zero_and_one[C] = {0.0, 1.0};
    const uint8_t labels[N] = {0, 1};
    for (int form = 0; form < 4; form++) {
        const bool by_alpha = form & 1, infinite = form & 2;
        fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
        struct batch b = batch_new(d, N * C);
        b.weights = dtype_array(d, b.n);
        for (size_t i = 0; i < b.n; i++) {
            batch_put(&b, i, (double)i / 4.0, 0.0);
            d->put(b.weights, i, i == 0 && infinite ? (double)INFINITY : 1.0);
        }
        fghm_batch batch = shaped(&b, N, C, 1);
        batch.activation = FGHM_SOFTMAX;
        batch.target_form = FGHM_TARGET_LABEL;
        batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
        batch.class_alpha = by_alpha ? zero_and_one : NULL;
        batch.class_weights = by_alpha ? NULL : zero_and_one;
        const fghm_result result = run(focal, &batch, NULL);
        for (size_t i = 0; i < N * C; i++) {
            const double got[] = {d->get(b.out[ELEMENT_LOSS], i / C), d->get(b.out[GRADIENT], i),
                                  d->get(b.out[HESSIAN], i)};
            for (int k = 0; k < OUTPUTS; k++) {
                assert_true(i / C == 1 ? isfinite(got[k]) && got[k] != 0.0
                            : infinite ? isnan(got[k])
                                       : got[k] == 0.0);
            }
        }
        assert_true(infinite ? isnan(result.loss) : result.loss > 0.0);
        assert_true(result.valid == N && result.offender == -1);
        batch_free(&b);
        fghm_focal_destroy(focal);
    }
}

static void errors_of_everyday_softmax(void **state) {
    enum { N = 4, C = 3 };
    float x[N * C] = {0}, w[N] = {0}, out[N * C] = {0};
    int64_t labels[N] = {0, 1, 2, 0};
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    double loss = -7.0;
    (void)state;
    const int64_t none = FGHM_IGNORE_NONE;
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, x, labels, none, w, NULL, NULL, NULL, NULL),
        FGHM_ERROR_NO_OUTPUT);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, 0, x, labels, none, w, &loss, NULL, NULL, NULL),
        FGHM_ERROR_RANGE);
    assert_int_equal(fghm_focal_softmax_f32(focal, NULL, SIZE_MAX / 2, C, x, labels, none, w, &loss,
                                            NULL, NULL, NULL),
                     FGHM_ERROR_SIZE);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, NULL, labels, none, w, &loss, NULL, NULL, NULL),
        FGHM_ERROR_NULL_POINTER);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, x, NULL, none, w, &loss, NULL, NULL, NULL),
        FGHM_ERROR_NULL_POINTER);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, x, labels, none, w, &loss, NULL, x + 1, NULL),
        FGHM_ERROR_ALIASING);
    double *const inside = (double *)(void *)labels;
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, x, labels, none, w, inside, NULL, out, NULL),
        FGHM_ERROR_ALIASING);
    const int64_t bad[] = {-1, C, INT64_MIN, INT64_MAX};
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        labels[2] = bad[k];
        assert_int_equal(
            fghm_focal_softmax_f32(focal, NULL, N, C, x, labels, none, w, &loss, NULL, out, NULL),
            FGHM_ERROR_LABEL);
    }
    labels[2] = 2;
    assert_int_equal(fghm_focal_set_alpha(focal, 0.5), FGHM_OK);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, N, C, x, labels, none, w, &loss, NULL, out, NULL),
        FGHM_ERROR_COMBINATION);
    assert_true(loss == -7.0 && out[0] == 0.0F);
    assert_int_equal(fghm_focal_clear_alpha(focal), FGHM_OK);
    assert_int_equal(
        fghm_focal_softmax_f32(focal, NULL, 0, C, NULL, NULL, none, NULL, &loss, NULL, NULL, NULL),
        FGHM_OK);
    assert_true(loss == 0.0);
    fghm_focal_destroy(focal);
}

static void ends_of_calibration(void **state) {
    const double inf = (double)INFINITY;
    const double x[] = {-inf, -DBL_MAX, -1e300, 0.0, 1e300, DBL_MAX, inf, (double)NAN};
    const double want[] = {0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0};
    double got[8];
    float got_f32[1] = {3.0f};
    fghm_focal *focal = focal_handle(2.0, 0.5, FGHM_REDUCTION_SUM);
    (void)state;
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 8, x, got), FGHM_OK);
    for (size_t k = 0; k < 7; k++) {
        assert_true(got[k] == want[k]);
    }
    assert_true(isnan(got[7]));
    /* Where positives, or negatives, weigh nothing. */
    for (int alpha = 0; alpha < 2; alpha++) {
        assert_int_equal(fghm_focal_set_alpha(focal, (double)alpha), FGHM_OK);
        assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 8, x, got), FGHM_OK);
        for (size_t k = 0; k < 7; k++) {
            assert_true(got[k] == (double)(1 - alpha));
        }
        assert_true(isnan(got[7]));
    }
    assert_int_equal(fghm_focal_set_alpha(focal, 0.5), FGHM_OK);
    assert_int_equal(fghm_focal_calibrate_f64(NULL, NULL, 8, x, got), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_calibrate_f32(NULL, NULL, 0, NULL, NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, NULL, got), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 1, x, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_f32(focal, NULL, 1, NULL, got_f32),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_f32(focal, NULL, 1, got_f32, NULL),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, SIZE_MAX / 8 - 1, x, got),
                     FGHM_ERROR_SIZE);
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 0, NULL, NULL), FGHM_OK);
    assert_int_equal(fghm_focal_calibrate_f32(focal, NULL, 0, NULL, NULL), FGHM_OK);
    assert_int_equal(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, 0.0), FGHM_OK);
    assert_int_equal(fghm_focal_calibrate_f64(focal, NULL, 8, x, got), FGHM_ERROR_COMBINATION);
    assert_int_equal(fghm_focal_calibrate_f32(focal, NULL, 1, got_f32, got_f32),
                     FGHM_ERROR_COMBINATION);
    assert_true(got_f32[0] == 3.0f);
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"plain_calls_have_all_reductions", plain_calls_have_all_reductions, 1},
        {"labels_equal_one_hot_targets", labels_equal_one_hot_targets, 1},
        {"targets_of_any_dtype", targets_of_any_dtype, 1},
        {"layouts_are_equal", layouts_are_equal, 1},
        {"one_block_for_all", one_block_for_all, 1},
        {"rules_agree_on_hard_targets", rules_agree_on_hard_targets, 1},
        {"scores_of_the_varifocal_rules", scores_of_the_varifocal_rules, 1},
        {"detached_losses_are_the_same", detached_losses_are_the_same, 1},
        {"detached_cross_entropy_is_the_same", detached_cross_entropy_is_the_same, 1},
        {"modes_of_the_hessian", modes_of_the_hessian, 1},
        {"gauss_newton_of_softmax_is_not_negative", gauss_newton_of_softmax_is_not_negative, 1},
        {"two_classes_are_the_sigmoid_form", two_classes_are_the_sigmoid_form, 1},
        {"softmax_does_not_see_shifts", softmax_does_not_see_shifts, 1},
        {"extremes_of_softmax", extremes_of_softmax, 1},
        {"nan_stays_in_its_sample", nan_stays_in_its_sample, 1},
        {"finite_logits_give_finite_results", finite_logits_give_finite_results, 1},
        {"next_to_a_margin_results_are_finite", next_to_a_margin_results_are_finite, 1},
        {"probabilities_of_0_and_1", probabilities_of_0_and_1, 1},
        {"all_ignored", all_ignored, 1},
        {"derivatives_of_the_reference", derivatives_of_the_reference, 0},
        {"best_constants_are_best", best_constants_are_best, 0},
        {"best_constants_of_exact_alpha", best_constants_of_exact_alpha, 0},
        {"best_constants_of_extremes", best_constants_of_extremes, 0},
        {"errors_of_best_constants", errors_of_best_constants, 0},
        {"calibration_follows_its_formula", calibration_follows_its_formula, 1},
        {"calibration_with_a_margin", calibration_with_a_margin, 1},
        {"best_constants_with_a_margin", best_constants_with_a_margin, 0},
        {"calibration_of_any_settings", calibration_of_any_settings, 1},
        {"ends_of_calibration", ends_of_calibration, 0},
        {"calibration_of_many", calibration_of_many, 1},
        {"everyday_softmax_is_the_batch", everyday_softmax_is_the_batch, 1},
        {"softmax_of_a_new_handle", softmax_of_a_new_handle, 1},
        {"class_factor_of_0", class_factor_of_0, 1},
        {"errors_of_everyday_softmax", errors_of_everyday_softmax, 0},
    };
    return suite_run(argument_count, arguments, "batch_properties", tests, SUITE_COUNT(tests));
}
