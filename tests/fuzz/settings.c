/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct focal_settings settings_read(const fghm_focal *focal) {
    struct focal_settings s;
    memset(&s, 0, sizeof s);
    REQUIRE(fghm_focal_get_gamma(focal, &s.gamma) == FGHM_OK);
    REQUIRE(fghm_focal_get_negative_gamma(focal, &s.negative_gamma, &s.negative_gamma_set) ==
            FGHM_OK);
    REQUIRE(fghm_focal_get_alpha(focal, &s.alpha, &s.alpha_enabled) == FGHM_OK);
    REQUIRE(fghm_focal_get_reduction(focal, &s.reduction) == FGHM_OK);
    REQUIRE(fghm_focal_get_normalizer(focal, &s.normalizer) == FGHM_OK);
    REQUIRE(fghm_focal_get_loss_weight(focal, &s.loss_weight) == FGHM_OK);
    REQUIRE(fghm_focal_get_rule(focal, &s.rule) == FGHM_OK);
    REQUIRE(fghm_focal_get_hessian_mode(focal, &s.hessian_mode) == FGHM_OK);
    REQUIRE(fghm_focal_get_hessian_floor(focal, &s.hessian_floor) == FGHM_OK);
    REQUIRE(fghm_focal_get_hessian_factor(focal, &s.hessian_factor) == FGHM_OK);
    REQUIRE(fghm_focal_get_detached(focal, &s.detached) == FGHM_OK);
    REQUIRE(fghm_focal_get_beta(focal, &s.beta) == FGHM_OK);
    REQUIRE(fghm_focal_get_margin(focal, &s.margin) == FGHM_OK);
    REQUIRE(fghm_focal_get_positive_weight(focal, &s.positive_weight, &s.positive_weight_set) ==
            FGHM_OK);
    return s;
}

void settings_require_equal(const struct focal_settings *a, const struct focal_settings *b) {
    REQUIRE(memcmp(a, b, sizeof *a) == 0);
}

static fghm_status set_focal(struct input *in, fghm_focal *focal) {
    switch (input_below(in, 17)) {
    case 0:
        return fghm_focal_set_gamma(focal, input_number(in));
    case 1:
        return fghm_focal_set_negative_gamma(focal, input_number(in));
    case 2:
        return fghm_focal_set_alpha(focal, input_number(in));
    case 3:
        return fghm_focal_clear_alpha(focal);
    case 4:
        return fghm_focal_set_loss_weight(focal, input_number(in));
    case 5:
        return fghm_focal_set_reduction(focal, (fghm_reduction)input_integer(in));
    case 6:
        return fghm_focal_set_normalizer(focal, input_number(in));
    case 7:
    case 8:
        return fghm_focal_set_rule(focal, (fghm_focal_rule)input_integer(in));
    case 9:
        return fghm_focal_set_hessian_mode(focal, (fghm_hessian_mode)input_integer(in));
    case 10:
        return fghm_focal_set_hessian_floor(focal, input_number(in));
    case 11:
        return fghm_focal_set_hessian_factor(focal, input_number(in));
    case 12:
        return fghm_focal_set_detached(focal, (int32_t)input_integer(in));
    case 13:
        return fghm_focal_set_beta(focal, input_number(in));
    case 14:
        return fghm_focal_set_positive_weight(focal, input_number(in));
    case 15:
        return fghm_focal_set_margin(focal, input_number(in));
    default:
        fghm_focal_clear_negative_gamma(focal);
        return fghm_focal_clear_positive_weight(focal);
    }
}

fghm_focal *settings_focal(struct input *in) {
    fghm_focal *focal = NULL;
    errno = 17;
    REQUIRE(fghm_focal_create(&focal) == FGHM_OK);
    for (size_t k = input_below(in, 8); k > 0; k--) {
        const struct focal_settings before = settings_read(focal);
        if (set_focal(in, focal) != FGHM_OK) {
            const struct focal_settings after = settings_read(focal);
            settings_require_equal(&before, &after);
        }
    }
    if (input_below(in, 16) == 1) {
        const struct focal_settings before = settings_read(focal);
        fghm_focal *copy = NULL;
        REQUIRE(fghm_focal_clone(focal, &copy) == FGHM_OK);
        fghm_focal_destroy(focal);
        focal = copy;
        const struct focal_settings after = settings_read(focal);
        settings_require_equal(&before, &after);
    }
    REQUIRE(errno == 17);
    return focal;
}

static void run_backwards(void *user, size_t tasks, fghm_task task, void *context) {
    (void)user;
    while (tasks > 0) {
        task(context, --tasks);
    }
}

fghm_pool *settings_pool(struct input *in) {
    static fghm_pool *of_threads, *backwards;
    size_t threads = 0;
    if (of_threads == NULL) {
        REQUIRE(fghm_pool_create(&of_threads, 3) == FGHM_OK);
        REQUIRE(fghm_pool_create_from(&backwards, 5, run_backwards, NULL) == FGHM_OK);
    }
    switch (input_below(in, 8)) {
    case 1:
        REQUIRE(fghm_pool_get_threads(of_threads, &threads) == FGHM_OK && threads == 3);
        return of_threads;
    case 2:
        REQUIRE(fghm_pool_get_threads(backwards, &threads) == FGHM_OK && threads == 5);
        return backwards;
    case 3:
        if (input_below(in, 64) == 1) {
            fghm_pool_destroy(of_threads);
            fghm_pool_destroy(backwards);
            of_threads = NULL;
        }
        return NULL;
    default:
        return NULL;
    }
}

static double at_least_1(double number) {
    return number > 1 ? number : 1;
}

double settings_focal_factor(const fghm_focal *focal) {
    const struct focal_settings s = settings_read(focal);
    return at_least_1(s.loss_weight) * at_least_1(s.positive_weight) *
           (at_least_1(s.hessian_factor) * at_least_1(s.hessian_floor)) *
           (s.reduction == FGHM_REDUCTION_NORMALIZER ? at_least_1(1 / s.normalizer) : 1);
}

struct state state_of(const fghm_ghm *ghm) {
    struct state state;
    REQUIRE(fghm_ghm_get_state_size(ghm, &state.size) == FGHM_OK);
    state.bytes = malloc(state.size);
    REQUIRE(state.bytes != NULL);
    REQUIRE(fghm_ghm_save(ghm, state.size, state.bytes) == FGHM_OK);
    return state;
}

void state_require_equal(const struct state *a, const struct state *b) {
    REQUIRE(a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0);
}

void state_free(struct state *state) {
    free(state->bytes);
}

struct ghm_settings {
    double momentum, weight_cap, loss_weight, normalizer, mu;
    uint64_t steps;
    size_t bins, histograms;
    int32_t kind, momentum_rule, divisor, reduction, mu_status;
};

static struct ghm_settings ghm_settings_read(const fghm_ghm *ghm) {
    struct ghm_settings s;
    memset(&s, 0, sizeof s);
    REQUIRE(fghm_ghm_get_kind(ghm, &s.kind) == FGHM_OK);
    REQUIRE(fghm_ghm_get_momentum(ghm, &s.momentum) == FGHM_OK);
    REQUIRE(fghm_ghm_get_momentum_rule(ghm, &s.momentum_rule) == FGHM_OK);
    REQUIRE(fghm_ghm_get_divisor(ghm, &s.divisor) == FGHM_OK);
    REQUIRE(fghm_ghm_get_weight_cap(ghm, &s.weight_cap) == FGHM_OK);
    REQUIRE(fghm_ghm_get_loss_weight(ghm, &s.loss_weight) == FGHM_OK);
    REQUIRE(fghm_ghm_get_reduction(ghm, &s.reduction) == FGHM_OK);
    REQUIRE(fghm_ghm_get_normalizer(ghm, &s.normalizer) == FGHM_OK);
    REQUIRE(fghm_ghm_get_bins(ghm, &s.bins) == FGHM_OK);
    REQUIRE(fghm_ghm_get_histograms(ghm, &s.histograms) == FGHM_OK);
    REQUIRE(fghm_ghm_get_steps(ghm, &s.steps) == FGHM_OK);
    s.mu_status = fghm_ghm_get_mu(ghm, &s.mu);
    return s;
}

void ghm_require_equal(const fghm_ghm *a, const fghm_ghm *b) {
    const struct ghm_settings read_a = ghm_settings_read(a), read_b = ghm_settings_read(b);
    REQUIRE(memcmp(&read_a, &read_b, sizeof read_a) == 0);
    struct state of_a = state_of(a), of_b = state_of(b);
    state_require_equal(&of_a, &of_b);
    state_free(&of_a);
    state_free(&of_b);
}

static fghm_status load_own_state(fghm_ghm *ghm) {
    struct state state = state_of(ghm);
    const fghm_status status = fghm_ghm_load(ghm, state.size, state.bytes);
    state_free(&state);
    REQUIRE(status == FGHM_OK);
    return status;
}

static fghm_status update(struct input *in, fghm_ghm *ghm) {
    size_t size = 0;
    REQUIRE(fghm_ghm_get_counts_size(ghm, &size) == FGHM_OK);
    uint64_t *const counts = malloc(size * sizeof *counts);
    REQUIRE(counts != NULL);
    const uint64_t bits = input_bits(in, 8);
    for (size_t k = 0; k < size; k++) {
        counts[k] = bits >> (k * 7 % 64) & 0xffff;
    }
    counts[size - 1] = input_below(in, 8) == 1 ? UINT64_MAX : 0;
    const fghm_status status = fghm_ghm_update(ghm, size - (input_below(in, 16) == 1), counts);
    free(counts);
    return status;
}

static fghm_status set_ghm(struct input *in, fghm_ghm *ghm) {
    const double edges[] = {0, input_number(in), 0.5, 1};
    switch (input_below(in, 16)) {
    case 0:
        return fghm_ghm_set_bins(ghm, input_below(in, 40));
    case 1:
        return fghm_ghm_set_edges(ghm, 3, edges);
    case 2:
    case 3:
        return fghm_ghm_set_histograms(ghm, input_below(in, 8));
    case 4:
        return fghm_ghm_set_momentum(ghm, input_number(in));
    case 5:
        return fghm_ghm_set_momentum_rule(ghm, (fghm_ghm_momentum_rule)input_integer(in));
    case 6:
        return fghm_ghm_set_divisor(ghm, (fghm_ghm_divisor)input_integer(in));
    case 7:
        return fghm_ghm_set_weight_cap(ghm, input_number(in));
    case 8:
        return fghm_ghm_set_loss_weight(ghm, input_number(in));
    case 9:
        return fghm_ghm_set_reduction(ghm, (fghm_reduction)input_integer(in));
    case 10:
        return fghm_ghm_set_normalizer(ghm, input_number(in));
    case 11:
        return fghm_ghm_set_mu(ghm, input_number(in));
    case 12:
        return fghm_ghm_reset(ghm);
    case 13:
        return load_own_state(ghm);
    case 14:
        return update(in, ghm);
    default:
        return input_below(in, 32) == 1 ? fghm_ghm_set_bins(ghm, input_bits(in, 2))
                                        : fghm_ghm_set_momentum(ghm, 0.75);
    }
}

void settings_change_ghm(struct input *in, fghm_ghm *ghm) {
    for (size_t k = input_below(in, 8); k > 0; k--) {
        struct state before = state_of(ghm);
        errno = 17;
        if (set_ghm(in, ghm) != FGHM_OK) {
            struct state after = state_of(ghm);
            state_require_equal(&before, &after);
            state_free(&after);
        }
        REQUIRE(errno == 17);
        state_free(&before);
    }
}

fghm_ghm *settings_ghm(struct input *in, fghm_ghm_kind kind) {
    fghm_ghm *ghm = NULL;
    REQUIRE(fghm_ghm_create(&ghm, kind) == FGHM_OK);
    settings_change_ghm(in, ghm);
    return ghm;
}

double settings_ghm_factor(const fghm_ghm *ghm) {
    double loss_weight = 0, normalizer = 0, mu = 1;
    fghm_reduction reduction = 0;
    fghm_ghm_kind kind = 0;
    REQUIRE(fghm_ghm_get_loss_weight(ghm, &loss_weight) == FGHM_OK);
    REQUIRE(fghm_ghm_get_normalizer(ghm, &normalizer) == FGHM_OK);
    REQUIRE(fghm_ghm_get_reduction(ghm, &reduction) == FGHM_OK);
    REQUIRE(fghm_ghm_get_kind(ghm, &kind) == FGHM_OK);
    REQUIRE(kind != FGHM_GHM_REGRESSION || fghm_ghm_get_mu(ghm, &mu) == FGHM_OK);
    /* A weight w_b is at most the number of elements, or, with momentum, 2^53 times that. */
    return at_least_1(loss_weight) * at_least_1(mu) * at_least_1(1 / mu) * 0x1p70 *
           (reduction == FGHM_REDUCTION_NORMALIZER ? at_least_1(1 / normalizer) : 1);
}
