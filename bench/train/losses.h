/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_LOSSES_H
#define TRAIN_LOSSES_H

#include <stddef.h>

#include <focalghm/focalghm.h>

enum loss_kind { LOSS_FOCAL, LOSS_GHM };

/* One loss to compare: a row of the table below. */
struct loss_row {
    const char *name;
    enum loss_kind kind;
    double gamma; /* of focal loss */
    size_t bins;  /* of GHM */
};

/* The losses that are compared; to compare another one, add a row.  The first is
 * cross-entropy, which the figure measures the others against. */
extern const struct loss_row loss_rows[];
extern const size_t loss_row_count;

/* A row made ready for use: exactly one of the handles is not NULL. */
struct loss {
    fghm_focal *focal;
    fghm_ghm *ghm;
};

struct loss loss_open(const struct loss_row *row, fghm_reduction reduction);
void loss_close(struct loss *loss);

/* The loss of a batch and d loss / d logit of each of its elements. */
double loss_compute(const struct loss *loss, size_t count, const float *logits,
                    const float *targets, float *gradient);

/* Ends the program with a message unless the status is FGHM_OK. */
void require_ok(fghm_status status, const char *function);

#endif
