/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_SETTINGS_H
#define TESTS_FUZZ_SETTINGS_H

/* Handles with settings of a fuzzer's choice; a setter that fails changes nothing. */

#include <stdbool.h>

#include <focalghm/focalghm.h>

#include "input.h"

fghm_focal *settings_focal(struct input *in);
fghm_ghm *settings_ghm(struct input *in, fghm_ghm_kind kind);
void settings_change_ghm(struct input *in, fghm_ghm *ghm);

/* An upper bound of the factors that the handle multiplies losses and derivatives by. */
double settings_focal_factor(const fghm_focal *focal);
double settings_ghm_factor(const fghm_ghm *ghm);

/* What the getters read. */
struct focal_settings {
    double gamma, negative_gamma, alpha, normalizer, loss_weight, hessian_floor, hessian_factor,
        beta, margin, positive_weight;
    int32_t negative_gamma_set, alpha_enabled, reduction, rule, hessian_mode, detached,
        positive_weight_set;
};
struct focal_settings settings_read(const fghm_focal *focal);
void settings_require_equal(const struct focal_settings *a, const struct focal_settings *b);

/* The state as bytes, to be freed. */
struct state {
    void *bytes;
    size_t size;
};
struct state state_of(const fghm_ghm *ghm);
void state_require_equal(const struct state *a, const struct state *b);
void state_free(struct state *state);
/* That two handles have one state, and getters the same numbers. */
void ghm_require_equal(const fghm_ghm *a, const fghm_ghm *b);

/* Mostly NULL, or one of threads, or one that runs tasks last to first. */
fghm_pool *settings_pool(struct input *in);

#endif
