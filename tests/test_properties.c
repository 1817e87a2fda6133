/* SPDX-License-Identifier: MIT */

/* What holds of every loss, whatever its formulas: which outputs are asked for, where arrays lie,
 * how a call is cut into parts or shared out, in which order elements come, and what was
 * computed before, changes no bit; and what stands where nobody may look changes nothing. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/loss.h"
#include "support/suite.h"

struct property_case {
    const struct dtype *d;
    const struct loss *loss;
};

static void run(const struct loss *loss, void *handle, fghm_pool *pool, struct batch *b) {
    assert_int_equal(loss_run(loss, handle, pool, b), FGHM_OK);
}

/* What a GHM handle tells of the last batch. */
struct told {
    uint64_t counts[31];
    double weights[30];
};

static struct told told_of(const struct loss *loss, const void *handle) {
    struct told t;
    memset(&t, 0, sizeof t);
    if (loss->counts) {
        size_t bins = 0;
        assert_int_equal(fghm_ghm_get_bins(handle, &bins), FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(handle, bins + 1, t.counts), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(handle, bins, t.weights), FGHM_OK);
    }
    return t;
}

static void assert_told(const struct loss *loss, const void *handle, const struct told *want) {
    const struct told got = told_of(loss, handle);
    assert_memory_equal(&got, want, sizeof got);
}

/* -------------------------------------------------------------------------
 * Shape. */

static void any_subset_of_outputs(void **state) {
    const struct property_case *const c = *state;
    struct random r = random_for(501);
    for (size_t variant = 0; variant < 12; variant++) {
        void *const handle = c->loss->create(10 + variant / 2, FGHM_REDUCTION_MEAN);
        struct batch b = loss_batch(c->loss, c->d, &r, 77 * c->loss->classes, variant % 2 == 1);
        run(c->loss, handle, NULL, &b);
        loss_check_subsets(c->loss, handle, &b);
        batch_free(&b);
        c->loss->destroy(handle);
    }
}

static void check_size(const struct property_case *c, struct random *r, size_t samples) {
    static const size_t bins[] = {10, 101, 12, 31, 14, 129};
    void *const handle = c->loss->create(bins[samples % SUITE_COUNT(bins)], FGHM_REDUCTION_SUM);
    struct batch b = loss_batch(c->loss, c->d, r, samples * c->loss->classes, samples % 5 != 0);
    run(c->loss, handle, NULL, &b);
    if (samples < 300) {
        loss_check_alone(c->loss, handle, &b);
    }
    loss_check_fences(c->loss, handle, &b, samples <= SHAPE_SMALL ? 17 : 3);
    if (samples % 11 == 0) {
        loss_check_subsets(c->loss, handle, &b);
    }
    batch_free(&b);
    c->loss->destroy(handle);
}

static void sizes_alignments_and_guard_pages(void **state) {
    struct random r = random_for(502);
    for (size_t n = 0; n <= SHAPE_SMALL; n++) {
        check_size(*state, &r, n);
    }
    for (size_t i = 0; i < SHAPE_SIZES; i++) {
        check_size(*state, &r, shape_sizes[i]);
    }
}

static void empty_batches_have_loss_zero(void **state) {
    const struct property_case *const c = *state;
    struct random r = random_for(503);
    for (fghm_reduction reduction = 0; reduction < 3; reduction++) {
        void *const handle = c->loss->create(10, reduction);
        void *const nothing[ARRAYS] = {NULL};
        const struct told empty = told_of(c->loss, handle);
        struct batch b = loss_batch(c->loss, c->d, &r, 10 * c->loss->classes, false);
        double value = 7.0;
        run(c->loss, handle, NULL, &b);
        assert_int_equal(loss_call(c->loss, c->d, handle, NULL, 0, nothing, &value), FGHM_OK);
        assert_true(value == 0.0);
        assert_told(c->loss, handle, &empty);
        batch_free(&b);
        c->loss->destroy(handle);
    }
}

/* Outputs in the places of inputs that are as long, and no labels: in every pairing, one or all. */
static void outputs_over_inputs(void **state) {
    static const int orders[6][OUTPUTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const unsigned placed[] = {1, 2, 4, 7};
    const struct property_case *const c = *state;
    struct random r = random_for(504);
    void *const handle = c->loss->create(10, FGHM_REDUCTION_MEAN);
    for (size_t samples = 1; samples < 700; samples = 3 * samples + 2) {
        const size_t n = samples * c->loss->classes;
        struct batch a = loss_batch(c->loss, c->d, &r, n, true);
        run(c->loss, handle, NULL, &a);
        for (size_t k = 0; k < SUITE_COUNT(orders) * SUITE_COUNT(placed); k++) {
            const int *const order = orders[k / SUITE_COUNT(placed)];
            const unsigned in_place = placed[k % SUITE_COUNT(placed)];
            struct batch b = batch_twin(&a);
            void *array[ARRAYS];
            loss_arrays(c->loss, &b, 0, array);
            for (int o = 0; o < OUTPUTS; o++) {
                const int input = order[o];
                const bool labels = c->loss->softmax && input == TARGETS;
                if (in_place & (1u << o) && !labels &&
                    loss_length(c->loss, input, n) == loss_length(c->loss, LOSSES + o, n)) {
                    array[LOSSES + o] = array[input];
                }
            }
            assert_int_equal(loss_call(c->loss, c->d, handle, NULL, n, array, &b.loss), FGHM_OK);
            assert_memory_equal(&a.loss, &b.loss, sizeof a.loss);
            for (int o = 0; o < OUTPUTS; o++) {
                const size_t length = loss_length(c->loss, LOSSES + o, n);
                assert_int_equal(dtype_first_difference(c->d, a.out[o], array[LOSSES + o], length),
                                 length);
            }
            batch_free(&b);
        }
        batch_free(&a);
    }
    c->loss->destroy(handle);
}

/* -------------------------------------------------------------------------
 * Order, parts, threads, history. */

/* Copies sample `from` of array k to sample `to` of another. */
static void move_sample(const struct loss *loss, const struct dtype *d, int k, void *to_array,
                        size_t to, const void *from_array, size_t from) {
    const size_t length = loss_length(loss, k, loss->classes);
    memcpy((char *)to_array + to * length * d->size,
           (const char *)from_array + from * length * d->size, length * d->size);
}

/* Samples in another order have the same results in that order. */
static void order_does_not_matter(void **state) {
    enum { SAMPLES = 347 };
    const struct property_case *const c = *state;
    struct random r = random_for(505);
    void *const handle = c->loss->create(30, FGHM_REDUCTION_MEAN);
    struct batch a = loss_batch(c->loss, c->d, &r, SAMPLES * c->loss->classes, true);
    struct batch b = batch_twin(&a), back = batch_twin(&a);
    void *from[ARRAYS], *to[ARRAYS], *again[ARRAYS];
    size_t order[SAMPLES];
    random_permutation(&r, SAMPLES, order);
    loss_arrays(c->loss, &a, 0, from);
    loss_arrays(c->loss, &b, 0, to);
    loss_arrays(c->loss, &back, 0, again);
    for (size_t i = 0; i < SAMPLES * LOSSES; i++) {
        const int k = (int)(i % LOSSES);
        move_sample(c->loss, c->d, k, to[k], order[i / LOSSES], from[k], i / LOSSES);
    }
    run(c->loss, handle, NULL, &a);
    const struct told told = told_of(c->loss, handle);
    run(c->loss, handle, NULL, &b);
    assert_told(c->loss, handle, &told);
    for (size_t i = 0; i < SAMPLES * OUTPUTS; i++) {
        const int k = LOSSES + (int)(i % OUTPUTS);
        move_sample(c->loss, c->d, k, again[k], i / OUTPUTS, to[k], order[i / OUTPUTS]);
    }
    back.loss = a.loss; /* the sum's last bits may depend on the order */
    batch_assert_same(&a, &back);
    assert_true(fabs(a.loss - b.loss) <= fabs(a.loss) * 2.0 * c->d->sum_bound);
    batch_free(&a);
    batch_free(&b);
    batch_free(&back);
    c->loss->destroy(handle);
}

/* Counting and applying in parts that begin anywhere. */
static void parts_are_the_whole(void **state) {
    static const size_t starts[] = {0, 1, 700, 711, 1500, 2311};
    const struct property_case *const c = *state;
    const size_t classes = c->loss->classes, n = 2311 * classes;
    struct random r = random_for(506);
    for (int weighted = 0; weighted < 2; weighted++) {
        void *const one = c->loss->create(25, FGHM_REDUCTION_NORMALIZER);
        void *const many = c->loss->create(25, FGHM_REDUCTION_NORMALIZER);
        struct batch a = loss_batch(c->loss, c->d, &r, n, weighted);
        c->d->put(a.logits, 3, (double)NAN);
        c->d->put(a.logits, 2000, (double)INFINITY);
        struct batch b = batch_twin(&a);
        uint64_t counts[26] = {0};
        run(c->loss, one, NULL, &a);
        const struct told told = told_of(c->loss, one);
        for (size_t k = 0; c->loss->plain != NULL && c->loss->counts && k + 1 < SUITE_COUNT(starts);
             k++) {
            void *array[ARRAYS];
            loss_arrays(c->loss, &b, starts[k], array);
            assert_int_equal(c->d->ghm_count(many, NULL, starts[k + 1] - starts[k], array[LOGITS],
                                             array[TARGETS], array[WEIGHTS], 26, counts),
                             FGHM_OK);
        }
        if (c->loss->counts) {
            const uint64_t *const all = c->loss->plain != NULL ? counts : told.counts;
            assert_int_equal(fghm_ghm_update(many, 26, all), FGHM_OK);
            assert_told(c->loss, many, &told);
        }
        for (size_t k = 0; k + 1 < SUITE_COUNT(starts); k++) {
            void *array[ARRAYS];
            loss_arrays(c->loss, &b, starts[k] * classes, array);
            assert_int_equal(loss_apply(c->loss, c->d, many, NULL,
                                        (starts[k + 1] - starts[k]) * classes, array, NULL),
                             FGHM_OK);
        }
        b.loss = a.loss;
        batch_assert_same(&a, &b);
        /* And all at once, with the sum. */
        void *array[ARRAYS];
        loss_arrays(c->loss, &b, 0, array);
        assert_int_equal(loss_apply(c->loss, c->d, many, NULL, n, array, &b.loss), FGHM_OK);
        batch_assert_same(&a, &b);
        batch_free(&a);
        batch_free(&b);
        c->loss->destroy(one);
        c->loss->destroy(many);
    }
}

/* Large enough to be shared out, and not by even shares. */
static void threads_change_no_bit(void **state) {
    const struct property_case *const c = *state;
    const size_t classes = c->loss->classes, n = (classes > 1 ? 60013 : 300007) * classes;
    struct random r = random_for(507);
    void *const handle = c->loss->create(30, FGHM_REDUCTION_MEAN);
    struct batch serial = loss_batch(c->loss, c->d, &r, n, false), b = batch_twin(&serial);
    run(c->loss, handle, NULL, &serial);
    const struct told told = told_of(c->loss, handle);
    for (size_t threads = 0; threads <= 5; threads++) {
        fghm_pool *const pool = pool_of(threads);
        run(c->loss, handle, pool, &b);
        batch_assert_same(&serial, &b);
        assert_told(c->loss, handle, &told);
        fghm_pool_destroy(pool);
    }
    batch_free(&serial);
    batch_free(&b);
    c->loss->destroy(handle);
}

/* A batch's results do not depend on the batches before it, nor on the type that those had. */
static void earlier_batches_do_not_matter(void **state) {
    const struct property_case *const c = *state;
    struct random r = random_for(508);
    void *const fresh = c->loss->create(30, FGHM_REDUCTION_MEAN);
    void *const used = c->loss->create(30, FGHM_REDUCTION_MEAN);
    struct batch a = loss_batch(c->loss, c->d, &r, 1009 * c->loss->classes, true);
    struct batch b = batch_twin(&a);
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        struct batch earlier = loss_batch(c->loss, &dtypes[i], &r, 50 * c->loss->classes, true);
        run(c->loss, used, NULL, &earlier);
        batch_free(&earlier);
    }
    run(c->loss, fresh, NULL, &a);
    for (int times = 0; times < 2; times++) {
        run(c->loss, used, NULL, &b);
        batch_assert_same(&a, &b);
    }
    batch_free(&a);
    batch_free(&b);
    c->loss->destroy(fresh);
    c->loss->destroy(used);
}

/* -------------------------------------------------------------------------
 * Weights, and masks. */

static size_t weights_of(const struct property_case *c, const struct batch *b) {
    return loss_length(c->loss, WEIGHTS, b->n);
}

/* Every positive mask is the same mask, and so is no mask; so is, of a weight, 1. */
static void unit_weights_change_no_bit(void **state) {
    const struct property_case *const c = *state;
    const double sizes[] = {1.0, 1e-30, 1e30, c->d->next(0.0, 1.0), (double)INFINITY, 0.5};
    const size_t count = c->loss->counts ? SUITE_COUNT(sizes) : 1;
    struct random r = random_for(509);
    void *const handle = c->loss->create(10, FGHM_REDUCTION_MEAN);
    struct batch plain = loss_batch(c->loss, c->d, &r, 203 * c->loss->classes, false);
    run(c->loss, handle, NULL, &plain);
    for (size_t k = 0; k <= count; k++) {
        struct batch b = batch_twin(&plain);
        b.weights = dtype_array(c->d, b.n);
        for (size_t i = 0; i < weights_of(c, &b); i++) {
            c->d->put(b.weights, i, sizes[k < count ? k : random_below(&r, count)]);
        }
        run(c->loss, handle, NULL, &b);
        batch_assert_same(&plain, &b);
        batch_free(&b);
    }
    batch_free(&plain);
    c->loss->destroy(handle);
}

/* Puts junk in the place of the logits, and targets but for labels, of a sample. */
static void spoil(const struct property_case *c, struct batch *b, size_t sample, const double *junk,
                  struct random *r) {
    for (size_t k = 0; k < c->loss->classes; k++) {
        c->d->put(b->logits, sample * c->loss->classes + k, junk[random_below(r, 5)]);
    }
    if (!c->loss->softmax) {
        c->d->put(b->targets, sample, junk[random_below(r, 5)]);
    }
}

static void assert_zeros(const struct property_case *c, const struct batch *b, size_t sample) {
    for (int o = 0; o < OUTPUTS; o++) {
        const size_t length = loss_length(c->loss, LOSSES + o, c->loss->classes);
        for (size_t k = 0; k < length; k++) {
            assert_true(c->d->get(b->out[o], sample * length + k) == 0.0);
        }
    }
}

/* GHM: what stands in masked places changes nothing, be it NaN or a bad target. */
static void masked_elements_are_not_there(void **state) {
    const struct property_case *const c = *state;
    const double junk[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e30, -3.0};
    struct random r = random_for(510);
    if (!c->loss->counts) {
        return;
    }
    void *const handle = c->loss->create(10, FGHM_REDUCTION_MEAN);
    struct batch a = loss_batch(c->loss, c->d, &r, 203 * c->loss->classes, true);
    struct batch b = batch_twin(&a);
    for (size_t i = 0; i < weights_of(c, &b); i++) {
        if (!(c->d->get(b.weights, i) > 0.0)) {
            spoil(c, &b, i, junk, &r);
        }
    }
    run(c->loss, handle, NULL, &a);
    const struct told told = told_of(c->loss, handle);
    run(c->loss, handle, NULL, &b);
    batch_assert_same(&a, &b);
    assert_told(c->loss, handle, &told);
    for (size_t i = 0; i < weights_of(c, &b); i++) {
        if (!(c->d->get(b.weights, i) > 0.0)) {
            assert_zeros(c, &b, i);
        }
    }
    batch_free(&a);
    batch_free(&b);
    c->loss->destroy(handle);
}

/* GHM: loss and results 0, and an empty histogram; of a loss with weights, the former, where all
 * is finite. */
static void nothing_valid(void **state) {
    const struct property_case *const c = *state;
    const double junk[] = {1.0, (double)INFINITY, (double)NAN, -c->d->format->max, -3.0};
    const double masks[] = {0.0, -0.0, -1.0, (double)NAN, -(double)INFINITY};
    struct random r = random_for(511);
    for (size_t samples = 0; samples < 45; samples++) {
        void *const handle = c->loss->create(10, (fghm_reduction)(samples % 3));
        const struct told empty = told_of(c->loss, handle);
        struct batch b = loss_batch(c->loss, c->d, &r, samples * c->loss->classes, false);
        run(c->loss, handle, NULL, &b);
        b.loss = 7.0;
        b.weights = dtype_array(c->d, b.n);
        for (size_t i = 0; i < samples; i++) {
            c->d->put(b.weights, i, c->loss->counts ? masks[i % SUITE_COUNT(masks)] : 0.0);
            if (c->loss->counts) {
                spoil(c, &b, i, junk, &r);
            }
        }
        for (size_t i = 0; i < OUTPUTS * b.n; i++) {
            c->d->put(b.out[i % OUTPUTS], i / OUTPUTS, 7.0);
        }
        run(c->loss, handle, NULL, &b);
        assert_true(b.loss == 0.0);
        for (size_t i = 0; i < samples; i++) {
            assert_zeros(c, &b, i);
        }
        assert_told(c->loss, handle, &empty);
        batch_free(&b);
        c->loss->destroy(handle);
    }
}

int main(int argument_count, char **arguments) {
    static struct property_case cases[LOSS_COUNT * DTYPE_COUNT];
    static struct suite_variant variants[LOSS_COUNT * DTYPE_COUNT];
    static char names[LOSS_COUNT * DTYPE_COUNT][32];
    const struct suite_test tests[] = {
        {"any_subset_of_outputs", any_subset_of_outputs, 1},
        {"sizes_alignments_and_guard_pages", sizes_alignments_and_guard_pages, 1},
        {"empty_batches_have_loss_zero", empty_batches_have_loss_zero, 1},
        {"outputs_over_inputs", outputs_over_inputs, 1},
        {"order_does_not_matter", order_does_not_matter, 1},
        {"parts_are_the_whole", parts_are_the_whole, 1},
        {"threads_change_no_bit", threads_change_no_bit, 1},
        {"earlier_batches_do_not_matter", earlier_batches_do_not_matter, 1},
        {"unit_weights_change_no_bit", unit_weights_change_no_bit, 1},
        {"masked_elements_are_not_there", masked_elements_are_not_there, 1},
        {"nothing_valid", nothing_valid, 1},
    };
    const int verdict = suite_check_isa();
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        cases[k] = (struct property_case){&dtypes[k % DTYPE_COUNT], &all_losses[k / DTYPE_COUNT]};
        snprintf(names[k], sizeof names[k], "%s/%s", cases[k].loss->name, cases[k].d->name);
        variants[k] = (struct suite_variant){names[k], &cases[k], NULL};
    }
    return verdict != 0 ? verdict
                        : suite_run_variants(argument_count, arguments, "properties", variants,
                                             SUITE_COUNT(variants), tests, SUITE_COUNT(tests));
}
