/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_LOSSES_H
#define TRAIN_LOSSES_H

#include <stdbool.h>
#include <stddef.h>

#include <focalghm/focalghm.h>

/* LOSS_DENSITY is GHM-C with the paper's gradient density in place of bins: its weights
 * are put on cross-entropy. */
enum loss_kind { LOSS_FOCAL, LOSS_GHM, LOSS_DENSITY };

/* One loss to compare: a row of the table below. */
struct loss_row {
    const char *name;
    enum loss_kind kind;
    double gamma; /* of focal loss */
    size_t bins;  /* of GHM */
    double momentum;
    fghm_ghm_momentum_rule rule;
    bool in_figure; /* the figure is about one batch, for which momentum means nothing */
};

/* The losses that are compared; to compare another one, add a row.  The first is
 * cross-entropy, which the figure measures the others against. */
extern const struct loss_row loss_rows[];
extern const size_t loss_row_count;

/* A row made ready for use: with the handles that it needs. */
struct loss {
    fghm_focal *focal;
    fghm_ghm *ghm;
};

struct loss loss_open(const struct loss_row *row, fghm_reduction reduction);
void loss_close(struct loss *loss);

/* How many of the rows are in the figure; they come first. */
size_t figure_row_count(void);

/* The loss of a batch and d loss / d logit of each of its elements. */
double loss_compute(const struct loss *loss, size_t count, const float *logits,
                    const float *targets, float *gradient);

/* Ends the program with a message unless the status is FGHM_OK. */
void require_ok(fghm_status status, const char *function);

#endif
