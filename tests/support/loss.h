/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_LOSS_H
#define TESTS_SUPPORT_LOSS_H

#include <stdbool.h>

#include "batch.h"

/* The losses as one type, for what holds of each: test_properties, the coverings, the errors
 * of batches. */

/* Outputs of a batch; the first three are those of struct batch. */
enum { HARMONIZING = OUTPUTS, RESULTS };

extern const char *const result_names[RESULTS];

/* The arrays of a plain call, in the order of the parameters. */
enum { LOGITS, TARGETS, WEIGHTS, LOSSES, GRADIENTS, HESSIANS, ARRAYS };

struct loss {
    const char *name;
    bool softmax;    /* losses, weights and labels are those of samples */
    bool regression; /* targets are any numbers */
    bool counts;     /* GHM: a call has two passes; weights are a mask */
    size_t classes;  /* of a sample, in what follows: elements come in so many */
    void *(*create)(size_t bins, fghm_reduction reduction);
    void (*destroy)(void *handle);
    fghm_status (*batch)(void *handle, fghm_pool *pool, const fghm_batch *batch,
                         fghm_result *result);
    /* The second pass alone, or the same for a loss with one; never touches the handle. */
    fghm_status (*apply)(const void *handle, fghm_pool *pool, const fghm_batch *batch,
                         fghm_result *result);
    /* Plain calls: of n elements, of whatever type; NULL without one. */
    fghm_status (*plain)(const struct dtype *d, void *handle, fghm_pool *pool, size_t n,
                         void *const array[ARRAYS], double *loss);
    fghm_status (*plain_apply)(const struct dtype *d, const void *handle, fghm_pool *pool, size_t n,
                               void *const array[ARRAYS], double *loss);
    void (*draw)(const struct dtype *d, struct random *r, double *logit, double *target);
    double (*weight)(const struct dtype *d, struct random *r);
};

enum { FOCAL, FOCAL_SOFTMAX, GHMC, GHMC_SOFTMAX, GHMR, LOSS_COUNT };

extern const struct loss all_losses[LOSS_COUNT];

/* How long an array is in a call of n elements. */
size_t loss_length(const struct loss *loss, int array, size_t n);

/* A call: plain where there is a plain one, else over a batch of rows. */
fghm_status loss_call(const struct loss *loss, const struct dtype *d, void *handle, fghm_pool *pool,
                      size_t n, void *const array[ARRAYS], double *value);
fghm_status loss_apply(const struct loss *loss, const struct dtype *d, const void *handle,
                       fghm_pool *pool, size_t n, void *const array[ARRAYS], double *value);

/* The arrays of a batch from element `first` on, which is the first of a sample. */
void loss_arrays(const struct loss *loss, const struct batch *b, size_t first, void *array[ARRAYS]);

/* The same for the arrays of a batch; n is a multiple of the classes. */
fghm_status loss_run(const struct loss *loss, void *handle, fghm_pool *pool, struct batch *b);

/* Random elements; softmax has labels of samples, integers as wide as the type, for targets. */
struct batch loss_batch(const struct loss *loss, const struct dtype *d, struct random *r, size_t n,
                        bool weighted);
void loss_add_weights(const struct loss *loss, struct random *r, struct batch *b);
fghm_dtype loss_label_dtype(const struct dtype *d);

/* What the shape of a call may not change: which outputs are asked for and where the arrays
 * lie changes no bit, and nothing outside the n elements is read or written.  `b` holds a
 * call's results.  Every subset of its outputs has the same bits. */
void loss_check_subsets(const struct loss *loss, void *handle, const struct batch *b);

/* So have they with all arrays 0 .. gaps - 1 elements from an unmapped page in front of them,
 * and behind them. */
void loss_check_fences(const struct loss *loss, void *handle, const struct batch *b, size_t gaps);

/* Every element, or sample, alone has the results that it has in the batch. */
void loss_check_alone(const struct loss *loss, const void *handle, const struct batch *b);

/* Lengths beyond the small ones that all tests of shape try. */
#define SHAPE_SMALL 67
#define SHAPE_SIZES 18
extern const size_t shape_sizes[SHAPE_SIZES];

#endif
