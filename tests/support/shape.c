/* SPDX-License-Identifier: MIT */
#include "shape.h"

#include <string.h>

#include "guarded.h"
#include "suite.h"

#define POISON 0xa5

/* Around powers of two, where vectors and blocks end, and primes. */
const size_t shape_sizes[SHAPE_SIZES] = {71,  79,  97,  127, 128, 129, 191,  255,  256,
                                         257, 509, 511, 512, 513, 769, 1021, 1024, 2053};

fghm_status shape_call(const struct dtype *d, struct loss_handle handle, size_t n,
                       void *const array[ARRAYS], double *loss) {
    if (handle.focal != NULL) {
        return d->focal(handle.focal, NULL, n, array[LOGITS], array[TARGETS], array[WEIGHTS], loss,
                        array[LOSSES], array[GRADIENTS], array[HESSIANS]);
    }
    return d->ghm(handle.ghm, NULL, n, array[LOGITS], array[TARGETS], array[WEIGHTS], loss,
                  array[LOSSES], array[GRADIENTS], array[HESSIANS]);
}

static void assert_output(const struct batch *b, int output, const void *got, const char *when) {
    size_t i = dtype_first_difference(b->d, got, b->out[output], b->n);
    if (i < b->n) {
        fail_msg("%s %s[%zu of %zu] %s: %a, was %a; logit %a target %a", b->d->name,
                 output_names[output], i, b->n, when, b->d->get(got, i),
                 b->d->get(b->out[output], i), b->d->get(b->logits, i), b->d->get(b->targets, i));
    }
}

static void assert_loss(const struct batch *b, double loss) {
    if (memcmp(&loss, &b->loss, sizeof loss) != 0) {
        fail_msg("%s loss of %zu: %a, was %a", b->d->name, b->n, loss, b->loss);
    }
}

/* Bit o of the subset asks for output o, bit OUTPUTS for the loss. */
static void check_subset(const struct batch *b, struct loss_handle handle, unsigned subset) {
    struct batch some = batch_new(b->d, b->n);
    void *array[ARRAYS] = {b->logits, b->targets, b->weights, NULL, NULL, NULL};
    int with_loss = (subset >> OUTPUTS) & 1;
    for (int o = 0; o < OUTPUTS; o++) {
        array[LOSSES + o] = (subset >> o) & 1 ? some.out[o] : NULL;
    }
    assert_int_equal(shape_call(b->d, handle, b->n, array, with_loss ? &some.loss : NULL), FGHM_OK);
    for (int o = 0; o < OUTPUTS; o++) {
        if (array[LOSSES + o] != NULL) {
            assert_output(b, o, some.out[o], "without some other output");
        }
    }
    if (with_loss) {
        assert_loss(b, some.loss);
    }
    batch_free(&some);
}

void shape_check_subsets(const struct batch *b, struct loss_handle handle) {
    for (unsigned subset = 1; subset < 1u << (OUTPUTS + 1); subset++) {
        check_subset(b, handle, subset);
    }
}

/* Each array in memory of its own. */
struct fences {
    struct guarded memory[ARRAYS];
    void *array[ARRAYS];
};

static void place(struct fences *f, const struct batch *b, int high, size_t gap) {
    const void *const from[] = {b->logits, b->targets, b->weights};
    size_t bytes = b->n * b->d->size;
    for (int i = 0; i < ARRAYS; i++) {
        guarded_fill(&f->memory[i], POISON);
        f->array[i] = high ? guarded_high(&f->memory[i], bytes, gap * b->d->size)
                           : guarded_low(&f->memory[i], gap * b->d->size);
        if (i < LOSSES && from[i] != NULL) {
            memcpy(f->array[i], from[i], bytes);
        } else if (i < LOSSES) {
            f->array[i] = NULL;
        }
    }
}

static void check_placed(struct fences *f, const struct batch *b, struct loss_handle handle) {
    size_t bytes = b->n * b->d->size;
    double loss = 0.0;
    assert_int_equal(shape_call(b->d, handle, b->n, f->array, &loss), FGHM_OK);
    assert_loss(b, loss);
    for (int i = 0; i < ARRAYS; i++) {
        assert_true(f->array[i] == NULL ||
                    guarded_untouched_outside(&f->memory[i], f->array[i], bytes, POISON));
    }
    for (int o = 0; o < OUTPUTS; o++) {
        assert_output(b, o, f->array[LOSSES + o], "elsewhere in memory");
    }
}

void shape_check_fences(const struct batch *b, struct loss_handle handle, size_t gaps) {
    struct fences f;
    for (int i = 0; i < ARRAYS; i++) {
        f.memory[i] = guarded_new((b->n + gaps) * b->d->size);
    }
    for (size_t gap = 0; gap < gaps; gap++) {
        for (int high = 0; high < 2; high++) {
            place(&f, b, high, gap);
            check_placed(&f, b, handle);
        }
    }
    for (int i = 0; i < ARRAYS; i++) {
        guarded_free(&f.memory[i]);
    }
}
