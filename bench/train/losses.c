/* SPDX-License-Identifier: MIT */
#include "losses.h"

#include <stdio.h>
#include <stdlib.h>

#include "allocate.h"

const struct loss_row loss_rows[] = {
    {.name = "cross-entropy", .kind = LOSS_FOCAL, .gamma = 0.0, .in_figure = true},
    {.name = "focal loss", .kind = LOSS_FOCAL, .gamma = 2.0, .in_figure = true},
    {.name = "GHM-C", .kind = LOSS_GHM, .bins = 10, .in_figure = true},
    {.name = "GHM-C, exact density", .kind = LOSS_DENSITY, .bins = 10, .in_figure = true},
    {.name = "GHM-C, momentum 0.9", .kind = LOSS_GHM, .bins = 10, .momentum = 0.9},
    {.name = "same, reference rule",
     .kind = LOSS_GHM,
     .bins = 10,
     .momentum = 0.9,
     .rule = FGHM_GHM_MOMENTUM_REFERENCE},
};
const size_t loss_row_count = sizeof loss_rows / sizeof loss_rows[0];

size_t figure_row_count(void) {
    size_t count = 0;
    while (count < loss_row_count && loss_rows[count].in_figure) {
        count++;
    }
    return count;
}

void require_ok(fghm_status status, const char *function) {
    if (status != FGHM_OK) {
        fprintf(stderr, "train: %s: %s\n", function, fghm_status_string(status));
        exit(EXIT_FAILURE);
    }
}

/* With alpha off, focal loss of gamma 0 is cross-entropy, and no loss in the
 * comparison knows which class is the rare one. */
static fghm_focal *open_focal(double gamma, fghm_reduction reduction) {
    fghm_focal *focal = NULL;
    require_ok(fghm_focal_create(&focal), "fghm_focal_create");
    require_ok(fghm_focal_set_gamma(focal, gamma), "fghm_focal_set_gamma");
    require_ok(fghm_focal_clear_alpha(focal), "fghm_focal_clear_alpha");
    require_ok(fghm_focal_set_reduction(focal, reduction), "fghm_focal_set_reduction");
    return focal;
}

static fghm_ghm *open_ghm(const struct loss_row *row, fghm_reduction reduction) {
    fghm_ghm *ghm = NULL;
    require_ok(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), "fghm_ghm_create");
    require_ok(fghm_ghm_set_bins(ghm, row->bins), "fghm_ghm_set_bins");
    require_ok(fghm_ghm_set_momentum(ghm, row->momentum), "fghm_ghm_set_momentum");
    require_ok(fghm_ghm_set_momentum_rule(ghm, row->rule), "fghm_ghm_set_momentum_rule");
    require_ok(fghm_ghm_set_reduction(ghm, reduction), "fghm_ghm_set_reduction");
    return ghm;
}

struct loss loss_open(const struct loss_row *row, fghm_reduction reduction) {
    struct loss loss = {NULL, NULL};
    switch (row->kind) {
    case LOSS_FOCAL:
        loss.focal = open_focal(row->gamma, reduction);
        break;
    case LOSS_GHM:
        loss.ghm = open_ghm(row, reduction);
        break;
    case LOSS_DENSITY:
        loss.focal = open_focal(0.0, reduction);
        loss.ghm = open_ghm(row, reduction);
        break;
    }
    return loss;
}

void loss_close(struct loss *loss) {
    fghm_focal_destroy(loss->focal);
    fghm_ghm_destroy(loss->ghm);
    *loss = (struct loss){NULL, NULL};
}

double loss_compute(const struct loss *loss, size_t count, const float *logits,
                    const float *targets, float *gradient) {
    double value = 0.0;
    if (loss->focal == NULL) {
        require_ok(fghm_ghm_step_f32(loss->ghm, NULL, count, logits, targets, NULL, &value, NULL,
                                     gradient, NULL),
                   "fghm_ghm_step_f32");
        return value;
    }
    float *weights = NULL;
    if (loss->ghm != NULL) {
        weights = resize_or_exit(NULL, count, sizeof *weights);
        require_ok(fghm_ghm_density_f32(loss->ghm, NULL, count, logits, targets, NULL, weights),
                   "fghm_ghm_density_f32");
    }
    require_ok(fghm_focal_f32(loss->focal, NULL, count, logits, targets, weights, &value, NULL,
                              gradient, NULL),
               "fghm_focal_f32");
    free(weights);
    return value;
}
