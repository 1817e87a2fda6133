/* SPDX-License-Identifier: MIT */
#include "loss.h"

#include <math.h>
#include <string.h>

#include "descriptor.h"
#include "guarded.h"
#include "suite.h"

#define POISON 0xa5

const char *const result_names[RESULTS] = {"element_loss", "gradient", "hessian",
                                           "harmonizing_weight"};

/* Around powers of two, where vectors and blocks end, and primes. */
const size_t shape_sizes[SHAPE_SIZES] = {71,  79,  97,  127, 128, 129, 191,  255,  256,
                                         257, 509, 511, 512, 513, 769, 1021, 1024, 2053};

/* -------------------------------------------------------------------------
 * The losses. */

static void *create_focal(size_t bins, fghm_reduction reduction) {
    static const double gammas[] = {0.5, 1.0, 0.0, 2.7, 2.0, 1.3};
    return focal_handle(gammas[bins % SUITE_COUNT(gammas)], 0.25, reduction);
}

static void destroy_focal(void *handle) {
    fghm_focal_destroy(handle);
}

static fghm_status focal_batch(void *handle, fghm_pool *pool, const fghm_batch *batch,
                               fghm_result *result) {
    return fghm_focal_batch(handle, pool, batch, result);
}

static fghm_status apply_focal_batch(const void *handle, fghm_pool *pool, const fghm_batch *batch,
                                     fghm_result *result) {
    return fghm_focal_batch(handle, pool, batch, result);
}

static fghm_status apply_focal(const struct dtype *d, const void *handle, fghm_pool *pool, size_t n,
                               void *const array[ARRAYS], double *loss) {
    return d->focal(handle, pool, n, array[LOGITS], array[TARGETS], array[WEIGHTS], loss,
                    array[LOSSES], array[GRADIENTS], array[HESSIANS]);
}

static fghm_status focal(const struct dtype *d, void *handle, fghm_pool *pool, size_t n,
                         void *const array[ARRAYS], double *loss) {
    return apply_focal(d, handle, pool, n, array, loss);
}

static void *create_ghmc(size_t bins, fghm_reduction reduction) {
    return ghmc_handle(bins, reduction);
}

static void *create_ghmr(size_t bins, fghm_reduction reduction) {
    return ghmr_handle(bins, reduction);
}

static void destroy_ghm(void *handle) {
    fghm_ghm_destroy(handle);
}

static fghm_status ghm_batch(void *handle, fghm_pool *pool, const fghm_batch *batch,
                             fghm_result *result) {
    return fghm_ghm_step_batch(handle, pool, batch, result);
}

static fghm_status apply_ghm_batch(const void *handle, fghm_pool *pool, const fghm_batch *batch,
                                   fghm_result *result) {
    return fghm_ghm_apply_batch(handle, pool, batch, result);
}

static fghm_status ghm(const struct dtype *d, void *handle, fghm_pool *pool, size_t n,
                       void *const array[ARRAYS], double *loss) {
    return d->ghm(handle, pool, n, array[LOGITS], array[TARGETS], array[WEIGHTS], loss,
                  array[LOSSES], array[GRADIENTS], array[HESSIANS]);
}

static fghm_status apply_ghm(const struct dtype *d, const void *handle, fghm_pool *pool, size_t n,
                             void *const array[ARRAYS], double *loss) {
    return d->ghm_apply(handle, pool, n, array[LOGITS], array[TARGETS], array[WEIGHTS], loss,
                        array[LOSSES], array[GRADIENTS], array[HESSIANS]);
}

static void draw_classified(const struct dtype *d, struct random *r, double *logit,
                            double *target) {
    (void)d;
    *logit = random_below(r, 8) == 0 ? random_log_uniform(r, 1e-8, 90.0) : 3.0 * random_normal(r);
    *target = random_below(r, 4) == 0 ? random_uniform(r, 0.0, 1.0) : (double)(random_bits(r) & 1);
}

/* Differences in every bin, of boxes that are not at 0. */
static void draw_boxes(const struct dtype *d, struct random *r, double *logit, double *target) {
    const double mu = 0.02;
    (void)d;
    *target = random_below(r, 4) == 0 ? 0.0 : mu * random_uniform(r, -8.0, 8.0);
    *logit = *target + random_log_uniform(r, mu * 1e-3, mu * 1e2);
}

static double any_weight(const struct dtype *d, struct random *r) {
    (void)d;
    return random_below(r, 16) == 0 ? 0.0 : random_uniform(r, -0.25, 1.0);
}

/* In or out, in each of the ways there are. */
static double any_mask(const struct dtype *d, struct random *r) {
    const double values[] = {1.0,   0.0,
                             -1.0,  0.25,
                             1e30,  (double)NAN,
                             1e-30, -0.0,
                             -1e3,  d->next(0.0, 1.0),
                             7.0,   (double)INFINITY};
    return values[random_below(r, SUITE_COUNT(values))];
}

const struct loss all_losses[LOSS_COUNT] = {
    [FOCAL] = {.name = "focal",
               .classes = 1,
               .create = create_focal,
               .destroy = destroy_focal,
               .batch = focal_batch,
               .apply = apply_focal_batch,
               .plain = focal,
               .plain_apply = apply_focal,
               .draw = draw_classified,
               .weight = any_weight},
    [FOCAL_SOFTMAX] = {.name = "focal_softmax",
                       .softmax = true,
                       .classes = 5,
                       .create = create_focal,
                       .destroy = destroy_focal,
                       .batch = focal_batch,
                       .apply = apply_focal_batch,
                       .draw = draw_classified,
                       .weight = any_weight},
    [GHMC] = {.name = "ghmc",
              .counts = true,
              .classes = 1,
              .create = create_ghmc,
              .destroy = destroy_ghm,
              .batch = ghm_batch,
              .apply = apply_ghm_batch,
              .plain = ghm,
              .plain_apply = apply_ghm,
              .draw = draw_classified,
              .weight = any_mask},
    [GHMC_SOFTMAX] = {.name = "ghmc_softmax",
                      .softmax = true,
                      .counts = true,
                      .classes = 5,
                      .create = create_ghmc,
                      .destroy = destroy_ghm,
                      .batch = ghm_batch,
                      .apply = apply_ghm_batch,
                      .draw = draw_classified,
                      .weight = any_mask},
    [GHMR] = {.name = "ghmr",
              .regression = true,
              .counts = true,
              .classes = 1,
              .create = create_ghmr,
              .destroy = destroy_ghm,
              .batch = ghm_batch,
              .apply = apply_ghm_batch,
              .plain = ghm,
              .plain_apply = apply_ghm,
              .draw = draw_boxes,
              .weight = any_mask},
};

/* -------------------------------------------------------------------------
 * Calls. */

size_t loss_length(const struct loss *loss, int array, size_t n) {
    const bool of_samples = array == TARGETS || array == WEIGHTS || array == LOSSES;
    return of_samples ? n / loss->classes : n;
}

fghm_dtype loss_label_dtype(const struct dtype *d) {
    return d->size == sizeof(int32_t) ? FGHM_I32 : FGHM_I64;
}

static fghm_batch rows(const struct loss *loss, const struct dtype *d, size_t n,
                       void *const array[ARRAYS]) {
    const fghm_dtype dtype = dtype_of(d);
    fghm_batch b = descriptor_of(n / loss->classes, loss->classes, 1);
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.logits = (fghm_input){.data = array[LOGITS], .dtype = dtype};
    b.targets = (fghm_input){.data = array[TARGETS], .dtype = loss_label_dtype(d)};
    b.weights = (fghm_input){.data = array[WEIGHTS], .dtype = dtype};
    b.element_loss = (fghm_output){.data = array[LOSSES], .dtype = dtype};
    b.gradient = (fghm_output){.data = array[GRADIENTS], .dtype = dtype};
    b.hessian = (fghm_output){.data = array[HESSIANS], .dtype = dtype};
    return b;
}

fghm_status loss_call(const struct loss *loss, const struct dtype *d, void *handle, fghm_pool *pool,
                      size_t n, void *const array[ARRAYS], double *value) {
    if (loss->plain != NULL) {
        return loss->plain(d, handle, pool, n, array, value);
    }
    const fghm_batch b = rows(loss, d, n, array);
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_status status = loss->batch(handle, pool, &b, value == NULL ? NULL : &result);
    if (value != NULL && status == FGHM_OK) {
        *value = result.loss;
    }
    return status;
}

fghm_status loss_apply(const struct loss *loss, const struct dtype *d, const void *handle,
                       fghm_pool *pool, size_t n, void *const array[ARRAYS], double *value) {
    if (loss->plain_apply != NULL) {
        return loss->plain_apply(d, handle, pool, n, array, value);
    }
    const fghm_batch b = rows(loss, d, n, array);
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_status status = loss->apply(handle, pool, &b, value == NULL ? NULL : &result);
    if (value != NULL && status == FGHM_OK) {
        *value = result.loss;
    }
    return status;
}

fghm_status loss_run(const struct loss *loss, void *handle, fghm_pool *pool, struct batch *b) {
    void *array[ARRAYS];
    loss_arrays(loss, b, 0, array);
    return loss_call(loss, b->d, handle, pool, b->n, array, &b->loss);
}

static void put_label(const struct batch *b, size_t sample, size_t label) {
    const int32_t i32 = (int32_t)label;
    const int64_t i64 = (int64_t)label;
    memcpy(dtype_at(b->d, b->targets, sample),
           b->d->size == sizeof i32 ? (const void *)&i32 : (const void *)&i64, b->d->size);
}

struct batch loss_batch(const struct loss *loss, const struct dtype *d, struct random *r, size_t n,
                        bool weighted) {
    struct batch b = batch_new(d, n);
    for (size_t i = 0; i < n; i++) {
        double logit, target;
        loss->draw(d, r, &logit, &target);
        d->put(b.logits, i, logit);
        d->put(b.targets, i, target);
    }
    for (size_t i = 0; loss->softmax && i < n / loss->classes; i++) {
        put_label(&b, i, random_below(r, loss->classes));
    }
    if (weighted) {
        loss_add_weights(loss, r, &b);
    }
    return b;
}

void loss_add_weights(const struct loss *loss, struct random *r, struct batch *b) {
    b->weights = dtype_array(b->d, b->n);
    for (size_t i = 0; i < b->n; i++) {
        b->d->put(b->weights, i, loss->weight(b->d, r));
    }
}

/* -------------------------------------------------------------------------
 * Shape. */

static void assert_output(const struct batch *b, int output, const void *got, size_t n,
                          const char *when) {
    size_t i = dtype_first_difference(b->d, got, b->out[output], n);
    if (i < n) {
        fail_msg("%s %s[%zu of %zu] %s: %a, was %a; logit %a target %a", b->d->name,
                 output_names[output], i, n, when, b->d->get(got, i), b->d->get(b->out[output], i),
                 b->d->get(b->logits, i), b->d->get(b->targets, i));
    }
}

static void assert_loss(const struct batch *b, double loss) {
    if (memcmp(&loss, &b->loss, sizeof loss) != 0) {
        fail_msg("%s loss of %zu: %a, was %a", b->d->name, b->n, loss, b->loss);
    }
}

/* Bit o of the subset asks for output o, bit OUTPUTS for the loss. */
static void check_subset(const struct loss *loss, void *handle, const struct batch *b,
                         unsigned subset) {
    struct batch some = batch_new(b->d, b->n);
    void *array[ARRAYS] = {b->logits, b->targets, b->weights, NULL, NULL, NULL};
    const bool with_loss = (subset >> OUTPUTS) & 1;
    for (int o = 0; o < OUTPUTS; o++) {
        array[LOSSES + o] = (subset >> o) & 1 ? some.out[o] : NULL;
    }
    assert_int_equal(
        loss_call(loss, b->d, handle, NULL, b->n, array, with_loss ? &some.loss : NULL), FGHM_OK);
    for (int o = 0; o < OUTPUTS; o++) {
        if (array[LOSSES + o] != NULL) {
            assert_output(b, o, some.out[o], b->n, "without some other output");
        }
    }
    if (with_loss) {
        assert_loss(b, some.loss);
    }
    batch_free(&some);
}

void loss_check_subsets(const struct loss *loss, void *handle, const struct batch *b) {
    for (unsigned subset = 1; subset < 1u << (OUTPUTS + 1); subset++) {
        check_subset(loss, handle, b, subset);
    }
}

/* Each array in memory of its own. */
struct fences {
    size_t bytes[ARRAYS];
    struct guarded memory[ARRAYS];
    void *array[ARRAYS];
};

static void place(struct fences *f, const struct batch *b, bool high, size_t gap) {
    const void *const from[] = {b->logits, b->targets, b->weights};
    for (int i = 0; i < ARRAYS; i++) {
        guarded_fill(&f->memory[i], POISON);
        f->array[i] = high ? guarded_high(&f->memory[i], f->bytes[i], gap * b->d->size)
                           : guarded_low(&f->memory[i], gap * b->d->size);
        if (i < LOSSES && from[i] != NULL) {
            memcpy(f->array[i], from[i], f->bytes[i]);
        } else if (i < LOSSES) {
            f->array[i] = NULL;
        }
    }
}

static void check_placed(const struct loss *loss, void *handle, struct fences *f,
                         const struct batch *b) {
    double value = 0.0;
    assert_int_equal(loss_call(loss, b->d, handle, NULL, b->n, f->array, &value), FGHM_OK);
    assert_loss(b, value);
    for (int i = 0; i < ARRAYS; i++) {
        assert_true(f->array[i] == NULL ||
                    guarded_untouched_outside(&f->memory[i], f->array[i], f->bytes[i], POISON));
    }
    for (int o = 0; o < OUTPUTS; o++) {
        assert_output(b, o, f->array[LOSSES + o], loss_length(loss, LOSSES + o, b->n),
                      "elsewhere in memory");
    }
}

void loss_check_fences(const struct loss *loss, void *handle, const struct batch *b, size_t gaps) {
    struct fences f;
    for (int i = 0; i < ARRAYS; i++) {
        f.bytes[i] = loss_length(loss, i, b->n) * b->d->size;
        f.memory[i] = guarded_new(f.bytes[i] + gaps * b->d->size);
    }
    for (size_t gap = 0; gap < gaps; gap++) {
        for (int high = 0; high < 2; high++) {
            place(&f, b, high, gap);
            check_placed(loss, handle, &f, b);
        }
    }
    for (int i = 0; i < ARRAYS; i++) {
        guarded_free(&f.memory[i]);
    }
}

void loss_arrays(const struct loss *loss, const struct batch *b, size_t first,
                 void *array[ARRAYS]) {
    void *const all[ARRAYS] = {b->logits,        b->targets,     b->weights, b->out[ELEMENT_LOSS],
                               b->out[GRADIENT], b->out[HESSIAN]};
    for (int k = 0; k < ARRAYS; k++) {
        array[k] = all[k] == NULL ? NULL : dtype_at(b->d, all[k], loss_length(loss, k, first));
    }
}

void loss_check_alone(const struct loss *loss, const void *handle, const struct batch *b) {
    struct batch alone = batch_new(b->d, b->n);
    for (size_t i = 0; i < b->n; i += loss->classes) {
        void *in[ARRAYS], *out[ARRAYS];
        double value;
        loss_arrays(loss, b, i, in);
        loss_arrays(loss, &alone, i, out);
        memcpy(in + LOSSES, out + LOSSES, OUTPUTS * sizeof *in);
        assert_int_equal(loss_apply(loss, b->d, handle, NULL, loss->classes, in, &value), FGHM_OK);
        for (int o = 0; o < OUTPUTS; o++) {
            const size_t at = loss_length(loss, LOSSES + o, i);
            const double got = b->d->get(alone.out[o], at);
            if (dtype_first_difference(b->d, in[LOSSES + o], dtype_at(b->d, b->out[o], at), 1) <
                1) {
                fail_msg("%s %s[%zu of %zu]: %a in the batch, %a alone; logit %a target %a",
                         b->d->name, output_names[o], at, b->n, b->d->get(b->out[o], at), got,
                         b->d->get(b->logits, i), b->d->get(b->targets, i));
            }
        }
    }
    alone.loss = b->loss;
    batch_assert_same(b, &alone);
    batch_free(&alone);
}
