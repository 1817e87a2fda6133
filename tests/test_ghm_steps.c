/* SPDX-License-Identifier: MIT */

/* GHM over several steps: momentum, the weights that come of it, counting in parts, and
 * what the handle tells of it.  One call on one batch is test_ghm's. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "focalghm/focalghm.h"
#include "support/random.h"
#include "support/suite.h"

enum { N = 3001, BINS = 30, STEPS = 6, PARTS = 4 };

struct data {
    double logits[N], targets[N], mask[N];
};

/* Training goes on: logits move away from 0, and the batches are of different sizes. */
static void fill(struct data *data, struct random *r, int step) {
    for (size_t i = 0; i < N; i++) {
        data->targets[i] = random_uniform(r, 0.0, 1.0) < 0.1;
        data->logits[i] = random_uniform(r, -4.0, 4.0) + (data->targets[i] > 0 ? step : -step);
        data->mask[i] = random_uniform(r, 0.0, 1.0) < 0.5 + 0.08 * step;
    }
}

static fghm_ghm *handle_of(fghm_ghm_kind kind, double momentum, fghm_ghm_momentum_rule rule) {
    fghm_ghm *ghm = NULL;
    assert_int_equal(fghm_ghm_create(&ghm, kind), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, BINS), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, momentum), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, rule), FGHM_OK);
    return ghm;
}

static fghm_ghm *handle(double momentum, fghm_ghm_momentum_rule rule) {
    return handle_of(FGHM_GHM_CLASSIFICATION, momentum, rule);
}

/* The rules, as the header has them. */
struct model {
    double momentum, cap;
    bool reference, all_bins;
    double average[BINS], total_average, weights[BINS];
};

static void model_step(struct model *m, const uint64_t *counts) {
    double total = 0.0, nonempty = 0.0;
    for (int b = 0; b < BINS; b++) {
        total += (double)counts[b];
        nonempty += counts[b] > 0;
    }
    const double n = m->all_bins ? BINS : nonempty;
    m->total_average = m->momentum * m->total_average + (1 - m->momentum) * total;
    for (int b = 0; b < BINS; b++) {
        if (counts[b] > 0 || !m->reference || m->momentum == 0.0) {
            m->average[b] = m->momentum * m->average[b] + (1 - m->momentum) * (double)counts[b];
        }
        const double above = m->reference ? total : m->total_average;
        m->weights[b] = counts[b] > 0 ? fmin(above / (m->average[b] * n), m->cap) : 0.0;
    }
}

static void assert_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-13 * fabs(want))) {
        fail_msg("%.17g instead of %.17g", got, want);
    }
}

static void check_rule(double momentum, bool reference, bool all_bins, double cap) {
    struct random r = random_for(21);
    struct data data;
    struct model model = {
        .momentum = momentum, .cap = cap, .reference = reference, .all_bins = all_bins};
    fghm_ghm *const ghm =
        handle(momentum, reference ? FGHM_GHM_MOMENTUM_REFERENCE : FGHM_GHM_MOMENTUM_CORRECTED);
    assert_int_equal(fghm_ghm_set_weight_cap(ghm, cap), FGHM_OK);
    assert_int_equal(fghm_ghm_set_divisor(ghm, all_bins ? FGHM_GHM_DIVISOR_ALL_BINS
                                                        : FGHM_GHM_DIVISOR_NONEMPTY_BINS),
                     FGHM_OK);
    double start = 1.0;
    for (int step = 0; step < STEPS; step++) {
        uint64_t counts[BINS + 1], steps = 0;
        double weights[BINS], averages[BINS], element_loss[N], loss = NAN, sum = 0.0, total = 0.0;
        size_t nonempty = 0, wanted = 0;
        fill(&data, &r, step);
        assert_int_equal(fghm_ghm_step_f64(ghm, NULL, N, data.logits, data.targets, data.mask,
                                           &loss, element_loss, NULL, NULL),
                         FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(ghm, BINS + 1, counts), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(ghm, BINS, weights), FGHM_OK);
        assert_int_equal(fghm_ghm_get_averages(ghm, BINS, averages), FGHM_OK);
        assert_int_equal(fghm_ghm_get_nonempty(ghm, 1, &nonempty), FGHM_OK);
        assert_int_equal(fghm_ghm_get_steps(ghm, &steps), FGHM_OK);
        model_step(&model, counts);
        start *= momentum;
        for (int b = 0; b < BINS; b++) {
            assert_near(weights[b], model.weights[b]);
            assert_near(averages[b], reference ? model.average[b] : model.average[b] / (1 - start));
            wanted += counts[b] > 0;
            total += (double)counts[b];
        }
        for (size_t i = 0; i < N; i++) {
            const double x = data.logits[i], t = data.targets[i];
            const double g = fabs(1.0 / (1.0 + exp(-x)) - t);
            const int bin = (int)fmin(g * BINS, BINS - 1);
            const double bce = fmax(t > 0 ? -x : x, 0.0) + log1p(exp(-fabs(x)));
            const double near = fabs(g * BINS - round(g * BINS));
            if (near > 1e-9) {
                assert_near(element_loss[i], data.mask[i] > 0 ? model.weights[bin] * bce : 0.0);
            }
            sum += element_loss[i];
        }
        assert_near(loss, sum / total);
        assert_int_equal(nonempty, wanted);
        assert_int_equal(steps, step + 1);
    }
    fghm_ghm_destroy(ghm);
}

static void momentum_rules(void **state) {
    const double momenta[] = {0.0, 0.5, 0.9, 0.999};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(momenta); k++) {
        check_rule(momenta[k], false, false, (double)INFINITY);
        check_rule(momenta[k], true, false, (double)INFINITY);
        check_rule(momenta[k], false, true, (double)INFINITY);
        check_rule(momenta[k], true, true, 2.5);
    }
}

/* The corrected rule starts like no momentum, the reference rule 1 / (1 - m) too high. */
static void first_step(void **state) {
    struct random r = random_for(22);
    struct data data;
    double weights[3][BINS];
    (void)state;
    fill(&data, &r, 0);
    for (int k = 0; k < 3; k++) {
        fghm_ghm *const ghm = handle(k == 0 ? 0.0 : 0.75, k == 2 ? FGHM_GHM_MOMENTUM_REFERENCE
                                                                 : FGHM_GHM_MOMENTUM_CORRECTED);
        assert_int_equal(fghm_ghm_step_f64(ghm, NULL, N, data.logits, data.targets, NULL, NULL,
                                           NULL, NULL, NULL),
                         FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(ghm, BINS, weights[k]), FGHM_OK);
        fghm_ghm_destroy(ghm);
    }
    for (int b = 0; b < BINS; b++) {
        assert_near(weights[1][b], weights[0][b]);
        assert_near(weights[2][b], 4.0 * weights[0][b]);
    }
}

/* A bin that is visited once in a hundred steps: its weight has the bound of the header. */
static void rare_bins_stay_bounded(void **state) {
    fghm_ghm *const ghm = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    double most = 0.0;
    (void)state;
    for (int step = 0; step < 200; step++) {
        uint64_t counts[BINS + 1] = {1000};
        double weights[BINS];
        counts[7] = step % 100 == 99;
        assert_int_equal(fghm_ghm_update(ghm, BINS + 1, counts), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(ghm, BINS, weights), FGHM_OK);
        most = fmax(most, weights[7]);
    }
    assert_true(most > 0.0 && most <= 1001.0 / 2.0 / (1.0 - 0.9) * (1.0 + 1e-12));
    fghm_ghm_destroy(ghm);
}

/* Parts, each with its own results, and the whole. */
struct outputs {
    double element_loss[N], gradient[N], hessian[N];
};

struct outputs_f32 {
    float element_loss[N], gradient[N], hessian[N];
};

static size_t part_start(int part) {
    return (size_t)part * N / PARTS;
}

static void parts_are_the_whole(void **state) {
    struct random r = random_for(23);
    static struct data data;
    static struct outputs whole, parts;
    static struct outputs_f32 whole_f32, parts_f32;
    static float logits[N], targets[N];
    fghm_ghm *const one = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    fghm_ghm *const many = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    fghm_ghm *const one_r = handle_of(FGHM_GHM_REGRESSION, 0.5, FGHM_GHM_MOMENTUM_REFERENCE);
    fghm_ghm *const many_r = handle_of(FGHM_GHM_REGRESSION, 0.5, FGHM_GHM_MOMENTUM_REFERENCE);
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        uint64_t counts[BINS + 1] = {0}, counts_r[BINS + 1] = {0};
        fill(&data, &r, step);
        for (size_t i = 0; i < N; i++) {
            logits[i] = (float)data.logits[i];
            targets[i] = (float)data.targets[i];
        }
        assert_int_equal(fghm_ghm_step_f64(one, NULL, N, data.logits, data.targets, data.mask, NULL,
                                           whole.element_loss, whole.gradient, whole.hessian),
                         FGHM_OK);
        assert_int_equal(fghm_ghm_step_f32(one_r, NULL, N, logits, targets, NULL, NULL,
                                           whole_f32.element_loss, whole_f32.gradient,
                                           whole_f32.hessian),
                         FGHM_OK);
        for (int k = 0; k < PARTS; k++) {
            const size_t at = part_start(k), n = part_start(k + 1) - at;
            assert_int_equal(fghm_ghm_count_f64(many, NULL, n, data.logits + at, data.targets + at,
                                                data.mask + at, BINS + 1, counts),
                             FGHM_OK);
            assert_int_equal(fghm_ghm_count_f32(many_r, NULL, n, logits + at, targets + at, NULL,
                                                BINS + 1, counts_r),
                             FGHM_OK);
        }
        assert_int_equal(fghm_ghm_update(many, BINS + 1, counts), FGHM_OK);
        assert_int_equal(fghm_ghm_update(many_r, BINS + 1, counts_r), FGHM_OK);
        for (int k = 0; k < PARTS; k++) {
            const size_t at = part_start(k), n = part_start(k + 1) - at;
            assert_int_equal(fghm_ghm_apply_f64(many, NULL, n, data.logits + at, data.targets + at,
                                                data.mask + at, NULL, parts.element_loss + at,
                                                parts.gradient + at, parts.hessian + at),
                             FGHM_OK);
            assert_int_equal(fghm_ghm_apply_f32(many_r, NULL, n, logits + at, targets + at, NULL,
                                                NULL, parts_f32.element_loss + at,
                                                parts_f32.gradient + at, parts_f32.hessian + at),
                             FGHM_OK);
        }
        assert_memory_equal(&whole, &parts, sizeof whole);
        assert_memory_equal(&whole_f32, &parts_f32, sizeof whole_f32);
    }
    fghm_ghm_destroy(one);
    fghm_ghm_destroy(many);
    fghm_ghm_destroy(one_r);
    fghm_ghm_destroy(many_r);
}

/* Valid elements without a number are in the last entry, and in the divisor. */
static void elements_in_no_bin(void **state) {
    const double logits[] = {1.0, NAN, -2.0, NAN, 3.0}, targets[] = {1, 0, 0, 1, NAN};
    const double mask[] = {1, 1, 1, 0, 1};
    uint64_t counts[BINS + 1] = {0}, sum = 0;
    fghm_ghm *const ghm = handle(0.0, FGHM_GHM_MOMENTUM_CORRECTED);
    double gradient[5];
    (void)state;
    assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 5, logits, targets, mask, BINS + 1, counts),
                     FGHM_OK);
    for (int b = 0; b < BINS; b++) {
        sum += counts[b];
    }
    assert_int_equal(sum, 2);
    assert_int_equal(counts[BINS], 2);
    assert_int_equal(
        fghm_ghm_step_f64(ghm, NULL, 5, logits, targets, mask, NULL, NULL, gradient, NULL),
        FGHM_OK);
    /* total 4, two bins with one each: w = 2, and D = 4. */
    assert_near(gradient[0], -2.0 / (1.0 + exp(1.0)) / 4.0);
    assert_true(isnan(gradient[1]) && isnan(gradient[4]));
    assert_true(gradient[3] == 0.0);
    fghm_ghm_destroy(ghm);
}

/* Counting adds nothing, and updating changes nothing, where something is wrong. */
static void errors_leave_all_as_it_was(void **state) {
    const double logits[] = {1.0, 2.0}, wrong[] = {0.0, 1.5}, right[] = {0.0, 1.0};
    uint64_t counts[BINS + 1], before[BINS + 1];
    double weights[BINS], after[BINS], gradient[2] = {7.0, 7.0}, loss = 7.0;
    fghm_ghm *const ghm = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    (void)state;
    memset(counts, 0x11, sizeof counts);
    memcpy(before, counts, sizeof counts);
    assert_int_equal(fghm_ghm_step_f64(ghm, NULL, 2, logits, right, NULL, NULL, NULL, NULL, NULL),
                     FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, BINS, weights), FGHM_OK);
    assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, logits, wrong, NULL, BINS + 1, counts),
                     FGHM_ERROR_TARGET);
    assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, logits, right, NULL, BINS, counts),
                     FGHM_ERROR_CAPACITY);
    assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, logits, right, NULL, BINS + 1, NULL),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, NULL, right, NULL, BINS + 1, counts),
                     FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_count_f64(NULL, NULL, 2, logits, right, NULL, BINS + 1, counts),
                     FGHM_ERROR_NULL_HANDLE);
    assert_memory_equal(counts, before, sizeof counts);
    assert_int_equal(fghm_ghm_update(ghm, BINS, counts), FGHM_ERROR_CAPACITY);
    assert_int_equal(fghm_ghm_update(ghm, BINS + 1, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_update(NULL, BINS + 1, counts), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(
        fghm_ghm_step_f64(ghm, NULL, 2, logits, wrong, NULL, &loss, NULL, gradient, NULL),
        FGHM_ERROR_TARGET);
    assert_int_equal(fghm_ghm_apply_f64(ghm, NULL, 2, logits, right, NULL, NULL, NULL, NULL, NULL),
                     FGHM_ERROR_NO_OUTPUT);
    assert_true(loss == 7.0 && gradient[0] == 7.0 && gradient[1] == 7.0);
    assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_step_f64(ghm, NULL, 2, logits, right, NULL, &loss, NULL, NULL, NULL),
                     FGHM_ERROR_HISTOGRAMS);
    assert_int_equal(fghm_ghm_set_histograms(ghm, 1), FGHM_OK);
    /* A step that failed has left no trace in the next one. */
    assert_int_equal(fghm_ghm_step_f64(ghm, NULL, 2, logits, right, NULL, NULL, NULL, NULL, NULL),
                     FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, BINS, after), FGHM_OK);
    assert_memory_equal(weights, after, sizeof weights);
    fghm_ghm_destroy(ghm);
}

/* Values that a setter refuses leave what it had. */
static void settings(void **state) {
    static const struct {
        fghm_status (*set)(fghm_ghm *, double);
        fghm_status (*get)(const fghm_ghm *, double *);
        double good[2], bad[4];
        fghm_status error;
    } numbers[] = {
        {fghm_ghm_set_momentum,
         fghm_ghm_get_momentum,
         {0.0, 0.999},
         {-0.1, 1.0, NAN, INFINITY},
         FGHM_ERROR_RANGE},
        {fghm_ghm_set_weight_cap,
         fghm_ghm_get_weight_cap,
         {0x1p-40, INFINITY},
         {0.0, -1.0, NAN, 0x1p-41},
         FGHM_ERROR_RANGE},
        {fghm_ghm_set_loss_weight,
         fghm_ghm_get_loss_weight,
         {0.0, 0x1p40},
         {-1.0, NAN, 0x1p-41, 0x1p41},
         FGHM_ERROR_RANGE},
        {fghm_ghm_set_mu,
         fghm_ghm_get_mu,
         {1e-30, 1e30},
         {0.0, NAN, INFINITY, 1e31},
         FGHM_ERROR_RANGE},
    };
    fghm_ghm *const ghm = handle_of(FGHM_GHM_REGRESSION, 0.0, FGHM_GHM_MOMENTUM_CORRECTED);
    int32_t choice = -1;
    size_t histograms = 0;
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(numbers); k++) {
        double got = NAN;
        for (int good = 0; good < 2; good++) {
            assert_int_equal(numbers[k].set(ghm, numbers[k].good[good]), FGHM_OK);
            for (int bad = 0; bad < 4; bad++) {
                assert_int_equal(numbers[k].set(ghm, numbers[k].bad[bad]), numbers[k].error);
            }
            assert_int_equal(numbers[k].get(ghm, &got), FGHM_OK);
            assert_true(got == numbers[k].good[good]);
        }
        assert_int_equal(numbers[k].set(NULL, 0.5), FGHM_ERROR_NULL_HANDLE);
        assert_int_equal(numbers[k].get(NULL, &got), FGHM_ERROR_NULL_HANDLE);
        assert_int_equal(numbers[k].get(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    }
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, 2), FGHM_ERROR_CONSTANT);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, -1), FGHM_ERROR_CONSTANT);
    assert_int_equal(fghm_ghm_get_momentum_rule(ghm, &choice), FGHM_OK);
    assert_int_equal(choice, FGHM_GHM_MOMENTUM_CORRECTED);
    assert_int_equal(fghm_ghm_set_divisor(ghm, 2), FGHM_ERROR_CONSTANT);
    assert_int_equal(fghm_ghm_set_divisor(ghm, -1), FGHM_ERROR_CONSTANT);
    assert_int_equal(fghm_ghm_get_divisor(ghm, &choice), FGHM_OK);
    assert_int_equal(choice, FGHM_GHM_DIVISOR_NONEMPTY_BINS);
    assert_int_equal(fghm_ghm_set_histograms(ghm, 0), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_ghm_set_histograms(ghm, FGHM_HISTOGRAMS_MAX + 1), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_ghm_get_histograms(ghm, &histograms), FGHM_OK);
    assert_int_equal(histograms, 1);
    fghm_ghm_destroy(ghm);
}

static void edges_that_are_none(void **state) {
    static const double wrong[][4] = {{0.0, 0.5, 0.5, 1.0}, {0.0, 0.7, 0.6, 1.0},
                                      {0.1, 0.2, 0.3, 1.0}, {0.0, 0.2, 0.3, 0.9},
                                      {0.0, NAN, 0.3, 1.0}, {0.0, 1e-310, 0.3, 1.0}};
    const double right[] = {0.0, 0.25, 0.75, 1.0};
    double got[4];
    fghm_ghm *const ghm = handle(0.0, FGHM_GHM_MOMENTUM_CORRECTED);
    (void)state;
    assert_int_equal(fghm_ghm_set_edges(ghm, 3, right), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(wrong); k++) {
        assert_int_equal(fghm_ghm_set_edges(ghm, 3, wrong[k]), FGHM_ERROR_EDGES);
    }
    assert_int_equal(fghm_ghm_set_edges(ghm, 0, right), FGHM_ERROR_RANGE);
    assert_int_equal(fghm_ghm_set_edges(ghm, 3, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_set_edges(NULL, 3, right), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_edges(ghm, 4, got), FGHM_OK);
    assert_memory_equal(got, right, sizeof right);
    fghm_ghm_destroy(ghm);
}

/* Reset forgets the history; the loss weight scales results and leaves weights. */
static void reset_and_loss_weight(void **state) {
    struct random r = random_for(24);
    struct data data;
    static double plain[N], scaled[N];
    double weights[BINS];
    fghm_ghm *const ghm = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    uint64_t steps = 1;
    (void)state;
    fill(&data, &r, 1);
    assert_int_equal(
        fghm_ghm_step_f64(ghm, NULL, N, data.logits, data.targets, NULL, NULL, NULL, plain, NULL),
        FGHM_OK);
    assert_int_equal(fghm_ghm_set_loss_weight(ghm, 4.0), FGHM_OK);
    assert_int_equal(
        fghm_ghm_apply_f64(ghm, NULL, N, data.logits, data.targets, NULL, NULL, NULL, scaled, NULL),
        FGHM_OK);
    for (size_t i = 0; i < N; i++) {
        assert_true(scaled[i] == 4.0 * plain[i]);
    }
    assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_get_steps(ghm, &steps), FGHM_OK);
    assert_int_equal(steps, 0);
    assert_int_equal(fghm_ghm_get_weights(ghm, BINS, weights), FGHM_OK);
    for (int b = 0; b < BINS; b++) {
        assert_true(weights[b] == 0.0);
    }
    assert_int_equal(fghm_ghm_reset(NULL), FGHM_ERROR_NULL_HANDLE);
    fghm_ghm_destroy(ghm);
}

/* Setters ------------------------------------------------------------------------------ */

struct reading {
    uint64_t steps, counts[2 * (BINS + 1)];
    double averages[2 * BINS], weights[2 * BINS], edges[BINS + 1];
    size_t nonempty[2];
};

static struct reading reading_of(const fghm_ghm *ghm) {
    struct reading r;
    memset(&r, 0, sizeof r);
    assert_int_equal(fghm_ghm_get_steps(ghm, &r.steps), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, SUITE_COUNT(r.counts), r.counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_averages(ghm, SUITE_COUNT(r.averages), r.averages), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, SUITE_COUNT(r.weights), r.weights), FGHM_OK);
    assert_int_equal(fghm_ghm_get_edges(ghm, SUITE_COUNT(r.edges), r.edges), FGHM_OK);
    assert_int_equal(fghm_ghm_get_nonempty(ghm, 2, r.nonempty), FGHM_OK);
    return r;
}

static void update_randomly(fghm_ghm *ghm, struct random *r) {
    uint64_t counts[2 * (BINS + 1)];
    for (size_t k = 0; k < SUITE_COUNT(counts); k++) {
        counts[k] = random_below(r, 3) * random_below(r, 100);
    }
    assert_int_equal(fghm_ghm_update(ghm, SUITE_COUNT(counts), counts), FGHM_OK);
}

static void assert_same_reading(const struct reading *a, const fghm_ghm *ghm) {
    const struct reading b = reading_of(ghm);
    assert_memory_equal(a, &b, sizeof b);
}

/* What would forget a history is refused while there is one; what the handle has already is
 * no change. */
static void setters_keep_the_history(void **state) {
    static const double edges[] = {0.0, 0.25, 1.0}, others[] = {0.0, 0.5, 1.0};
    struct random r = random_for(25);
    (void)state;
    for (int even = 0; even < 2; even++) {
        fghm_ghm *const ghm = handle_of(FGHM_GHM_REGRESSION, 0.9, FGHM_GHM_MOMENTUM_REFERENCE);
        assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
        assert_int_equal(fghm_ghm_set_mu(ghm, 0.5), FGHM_OK);
        if (!even) {
            assert_int_equal(fghm_ghm_set_edges(ghm, 2, edges), FGHM_OK);
        }
        update_randomly(ghm, &r);
        const struct reading before = reading_of(ghm);
        assert_int_equal(before.steps, 1);
        assert_int_equal(fghm_ghm_set_bins(ghm, BINS), even ? FGHM_OK : FGHM_ERROR_HISTORY);
        assert_int_equal(fghm_ghm_set_edges(ghm, 2, edges), even ? FGHM_ERROR_HISTORY : FGHM_OK);
        assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
        assert_int_equal(fghm_ghm_set_mu(ghm, 0.5), FGHM_OK);
        assert_int_equal(fghm_ghm_set_momentum_rule(ghm, FGHM_GHM_MOMENTUM_REFERENCE), FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_ERROR_HISTORY);
        assert_int_equal(fghm_ghm_set_edges(ghm, 2, others), FGHM_ERROR_HISTORY);
        assert_int_equal(fghm_ghm_set_histograms(ghm, 1), FGHM_ERROR_HISTORY);
        assert_int_equal(fghm_ghm_set_mu(ghm, 0.25), FGHM_ERROR_HISTORY);
        assert_int_equal(fghm_ghm_set_momentum_rule(ghm, FGHM_GHM_MOMENTUM_CORRECTED),
                         FGHM_ERROR_HISTORY);
        /* What is wrong is wrong with a history, too. */
        assert_int_equal(fghm_ghm_set_bins(ghm, 0), FGHM_ERROR_RANGE);
        assert_int_equal(fghm_ghm_set_mu(ghm, NAN), FGHM_ERROR_RANGE);
        assert_int_equal(fghm_ghm_set_momentum_rule(ghm, 7), FGHM_ERROR_CONSTANT);
        assert_same_reading(&before, ghm);
        assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
        assert_int_equal(fghm_ghm_set_momentum_rule(ghm, FGHM_GHM_MOMENTUM_CORRECTED), FGHM_OK);
        assert_int_equal(fghm_ghm_set_mu(ghm, 0.25), FGHM_OK);
        assert_int_equal(fghm_ghm_set_edges(ghm, 2, others), FGHM_OK);
        assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
        fghm_ghm_destroy(ghm);
    }
}

/* Momentum is what updates do: setting it moves no weight, to 0 and from there. */
static void momentum_changes_no_weights(void **state) {
    static const double momenta[] = {0.0, 0.5, 0.0, 0.999, 0.9, 0.0, 0.25};
    (void)state;
    for (int rule = 0; rule < 2; rule++) {
        struct random r = random_for(26);
        fghm_ghm *const ghm = handle(0.9, rule);
        assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
        for (size_t k = 0; k < SUITE_COUNT(momenta); k++) {
            update_randomly(ghm, &r);
            const struct reading before = reading_of(ghm);
            assert_int_equal(fghm_ghm_set_momentum(ghm, momenta[k]), FGHM_OK);
            assert_same_reading(&before, ghm);
        }
        fghm_ghm_destroy(ghm);
    }
}

/* 60 and 40 of 100: w = 100 / (60 * 2) and 100 / (40 * 2), whatever momentum is. */
static void without_momentum_after_some(void **state) {
    const uint64_t counts[] = {60, 40, 0};
    double weights[2];
    fghm_ghm *const ghm = handle(0.9, FGHM_GHM_MOMENTUM_CORRECTED);
    (void)state;
    assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 3, counts), FGHM_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(fghm_ghm_get_weights(ghm, 2, weights), FGHM_OK);
        assert_near(weights[0], 100.0 / 120.0);
        assert_near(weights[1], 100.0 / 80.0);
        assert_int_equal(fghm_ghm_set_momentum(ghm, 0.0), FGHM_OK);
    }
    fghm_ghm_destroy(ghm);
}

/* Without momentum the averages are the counts, of empty bins as well. */
static void averages_without_momentum(void **state) {
    const uint64_t first[] = {5, 0, 1}, second[] = {0, 7, 0};
    double averages[2];
    (void)state;
    for (int rule = 0; rule < 2; rule++) {
        for (int start = 0; start < 2; start++) {
            fghm_ghm *const ghm = handle(start ? 0.75 : 0.0, rule);
            assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
            assert_int_equal(fghm_ghm_update(ghm, 3, first), FGHM_OK);
            assert_int_equal(fghm_ghm_set_momentum(ghm, 0.0), FGHM_OK);
            assert_int_equal(fghm_ghm_update(ghm, 3, second), FGHM_OK);
            assert_int_equal(fghm_ghm_get_averages(ghm, 2, averages), FGHM_OK);
            assert_true(averages[0] == 0.0 && averages[1] == 7.0);
            fghm_ghm_destroy(ghm);
        }
    }
}

/* Counts that add up to 2^64 are refused, in one histogram and over all. */
static void too_many_counts(void **state) {
    const uint64_t most = UINT64_MAX, half = UINT64_C(1) << 63;
    const uint64_t good[][6] = {{most, 0, 0, 0, 0, 0}, {0, 0, half, half - 1, 0, 0}};
    const uint64_t bad[][6] = {{most, 1, 0, 0, 0, 0},
                               {0, 0, 1, 0, 0, most},
                               {half, 0, 0, half, 0, 0},
                               {0, most, most, 0, 0, 0}};
    struct random r = random_for(27);
    fghm_ghm *const ghm = handle(0.5, FGHM_GHM_MOMENTUM_CORRECTED);
    (void)state;
    assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
    update_randomly(ghm, &r);
    assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(good); k++) {
        assert_int_equal(fghm_ghm_update(ghm, 6, good[k]), FGHM_OK);
    }
    const struct reading before = reading_of(ghm);
    for (size_t k = 0; k < SUITE_COUNT(bad); k++) {
        assert_int_equal(fghm_ghm_update(ghm, 6, bad[k]), FGHM_ERROR_COUNTS);
        assert_same_reading(&before, ghm);
    }
    fghm_ghm_destroy(ghm);
}

/* Counting does not add beyond that either. */
static void counting_onto_too_many(void **state) {
    const double logits[] = {-9.0, 9.0}, targets[] = {0.0, 0.0};
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 1;
    batch.shape[0] = 2;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F64};
    batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F64};
    const uint64_t before[][3] = {
        {UINT64_MAX, 0, 0}, {0, UINT64_MAX - 1, 0}, {UINT64_MAX - 9, 4, 4}};
    fghm_ghm *const ghm = handle(0.0, FGHM_GHM_MOMENTUM_CORRECTED);
    (void)state;
    assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
    for (size_t k = 0; k < SUITE_COUNT(before); k++) {
        uint64_t counts[3];
        memcpy(counts, before[k], sizeof counts);
        assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, logits, targets, NULL, 3, counts),
                         FGHM_ERROR_COUNTS);
        assert_int_equal(fghm_ghm_count_batch(ghm, NULL, &batch, 3, counts, NULL),
                         FGHM_ERROR_COUNTS);
        assert_memory_equal(counts, before[k], sizeof counts);
        counts[k == 1] -= 2;
        assert_int_equal(fghm_ghm_count_f64(ghm, NULL, 2, logits, targets, NULL, 3, counts),
                         FGHM_OK);
    }
    fghm_ghm_destroy(ghm);
}

/* Which handle is for what. */
static void kinds(void **state) {
    static const fghm_ghm_kind none[] = {-1, 0, 3, INT32_MAX, INT32_MIN};
    const float inputs[] = {0.5f}, targets[] = {1.0f};
    float weights[] = {7.0f};
    double mu = 7.0;
    fghm_ghm *ghm = NULL;
    fghm_ghm_kind kind = FGHM_GHM_INVALID;
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(none); k++) {
        assert_int_equal(fghm_ghm_create(&ghm, none[k]), FGHM_ERROR_CONSTANT);
        assert_null(ghm);
    }
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_get_kind(ghm, &kind), FGHM_OK);
    assert_int_equal(kind, FGHM_GHM_CLASSIFICATION);
    assert_int_equal(fghm_ghm_set_mu(ghm, 0.5), FGHM_ERROR_KIND);
    assert_int_equal(fghm_ghm_get_mu(ghm, &mu), FGHM_ERROR_KIND);
    assert_true(mu == 7.0);
    fghm_ghm_destroy(ghm);
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_ghm_density_f32(ghm, NULL, 1, inputs, targets, NULL, weights),
                     FGHM_ERROR_KIND);
    assert_true(weights[0] == 7.0f);
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"momentum_rules", momentum_rules, 0},
        {"first_step", first_step, 0},
        {"rare_bins_stay_bounded", rare_bins_stay_bounded, 0},
        {"parts_are_the_whole", parts_are_the_whole, 0},
        {"elements_in_no_bin", elements_in_no_bin, 0},
        {"errors_leave_all_as_it_was", errors_leave_all_as_it_was, 0},
        {"settings", settings, 0},
        {"edges_that_are_none", edges_that_are_none, 0},
        {"reset_and_loss_weight", reset_and_loss_weight, 0},
        {"setters_keep_the_history", setters_keep_the_history, 0},
        {"momentum_changes_no_weights", momentum_changes_no_weights, 0},
        {"without_momentum_after_some", without_momentum_after_some, 0},
        {"averages_without_momentum", averages_without_momentum, 0},
        {"too_many_counts", too_many_counts, 0},
        {"counting_onto_too_many", counting_onto_too_many, 0},
        {"kinds", kinds, 0},
    };
    return suite_run(argument_count, arguments, "ghm_steps", tests, SUITE_COUNT(tests));
}
