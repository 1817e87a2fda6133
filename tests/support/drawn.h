/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_DRAWN_H
#define TESTS_SUPPORT_DRAWN_H

#include <stdbool.h>

#include "batch.h"
#include "loss.h"
#include "random.h"
#include "strided.h"

/* A seeded random covering of batches, for every loss: shapes, layouts, dtypes, target forms,
 * what is ignored, which outputs are asked for, threads.  Each combination is called twice:
 * with all outputs in the type of the computation, for the test to compare with its formulas,
 * and as it was drawn, which must be the rounded results of the first, bit for bit.  All
 * arrays end at a page that cannot be touched, and gaps hold NaN. */

enum weighting { UNWEIGHTED, PER_ELEMENT, PER_SAMPLE };

struct covering;

/* What a batch says, whatever the loss.  The first member of a test's own struct, which has
 * the settings of the handle behind it. */
struct drawn {
    const struct covering *covering;
    size_t number;
    size_t outer, classes, inner;
    fghm_activation activation;
    fghm_target_form form;
    fghm_background background;
    bool ignoring;
    int64_t ignore_index;
    double smoothing;
    fghm_dtype logits, targets, weights, outputs[RESULTS];
    enum weighting weighting;
    const double *class_alpha, *class_weights, *class_gamma;
    double least_positive; /* of dense targets; 1/2 unless a test says otherwise */
    unsigned subset;       /* bit k: output k, bit RESULTS: the result */
    bool threads;
};

struct drawn_arrays {
    struct strided logits, targets, weights;
    struct strided plain[RESULTS]; /* of the first call */
    struct strided drawn[RESULTS]; /* of the second */
};

/* How a test covers a loss. */
struct covering {
    const struct loss *loss;
    size_t most_classes;
    /* Draws the settings of the handle when all else is there, and mends what the header says
     * does not go together. */
    void (*settle)(struct random *r, struct drawn *c);
    void (*print)(const struct drawn *c);
    /* A target that is no label; `hard`: the dtype, or chance, wants whole numbers. */
    double (*target)(struct random *r, const struct drawn *c, bool hard);
    double (*weight)(struct random *r);
    /* Logits, when the other inputs are there; and spoils what nobody may look at. */
    void (*fill)(struct random *r, const struct drawn *c, const struct drawn_arrays *a);
    void *(*handle)(const struct drawn *c);
    /* The first call's results, and what the handle says after it. */
    void (*check)(struct random *r, const struct drawn *c, const struct drawn_arrays *a,
                  const void *handle, const fghm_result *result);
    /* The same handle after the second call; NULL if calls do not change it. */
    void (*check_again)(const struct drawn *c, const struct drawn_arrays *a, const void *handle);
};

/* Draws a combination into the test's own struct of `size` bytes. */
void drawn_make(struct random *r, const struct covering *covering, size_t number, struct drawn *c,
                size_t size);

/* Goes through `count` combinations; numbers as for combinations(). */
void drawn_cover(uint64_t test, const struct covering *covering, size_t count, struct drawn *room,
                 size_t size);

/* Plain calls of elements of type `d` against batches of as many samples, classes or inner
 * elements, with the settings that the covering draws. */
void drawn_cover_plain(uint64_t test, const struct covering *covering, const struct dtype *d,
                       struct drawn *room, size_t size);

bool drawn_is_double(const struct drawn *c);
fghm_dtype drawn_real(const struct drawn *c);
const struct wide_format *drawn_format(const struct drawn *c);
double drawn_round(const struct drawn *c, double value);

/* Where element k is. */
struct drawn_place {
    size_t o, c, i;
};

struct drawn_place drawn_place(const struct drawn *c, size_t k);

/* Softmax has losses, weights and w of samples: whether element k is of the first class, and
 * where its sample's numbers are; true, and k itself, for all others. */
bool drawn_has_loss(const struct drawn *c, size_t k);
size_t drawn_loss_index(const struct drawn *c, size_t k);

/* What the targets say of element k. */
struct drawn_target {
    bool ignored, positive;
    size_t column; /* of the sample's class, with softmax; 0 if it is ignored */
    double value;  /* in the type of the computation, before smoothing */
};

struct drawn_target drawn_target(const struct drawn *c, const struct drawn_arrays *a, size_t k);

/* In the type of the computation; 1 without weights. */
double drawn_weight(const struct drawn *c, const struct drawn_arrays *a, size_t k);

struct drawn_arrays drawn_arrays(struct random *r, const struct drawn *c);
void drawn_free(struct drawn_arrays *a);

/* Parts of the filling, for arrays of another make. */
void drawn_fill_targets(struct random *r, const struct drawn *c, const struct strided *a);
void drawn_fill_weights(struct random *r, const struct drawn *c, const struct strided *a);

/* `subset` as in struct drawn. */
fghm_batch drawn_batch(const struct drawn *c, const struct drawn_arrays *a,
                       const struct strided *outputs, unsigned subset);
#define DRAWN_ALL (~0u)

/* Losses, those that are not ignored, the positives among them; and samples. */
struct drawn_counts {
    uint64_t losses, valid, positives, samples;
};

struct drawn_counts drawn_counts(const struct drawn *c, const struct drawn_arrays *a);

/* Whether the result says the counts, this divisor and the sum of the first call's losses. */
void drawn_check_result(const struct drawn *c, const struct drawn_arrays *a,
                        const fghm_result *result, double divisor);

/* Counts a failure of a combination for report_end, and prints the first ones of a case, one of
 * each combination.  Returns whether to tell more. */
bool drawn_failed(const struct drawn *c, const char *what, size_t k);

/* As numbers of one type: NaN is NaN, and zeros have signs. */
bool drawn_same(double a, double b);

#endif
