/* SPDX-License-Identifier: MIT */
#include "functions.h"

#include <stdlib.h>
#include <string.h>

#include "focal_handle.h"
#include "suite.h"

enum { N = FUNCTION_ELEMENTS };

/* Of the last world. */
static size_t size_of_state;

static void run_all(void *user, size_t tasks, fghm_task task, void *context) {
    (void)user;
    for (size_t k = 0; k < tasks; k++) {
        task(context, k);
    }
}

/* Each function with pointers: its name, a letter for each pointer, ? before those that may be
 * NULL, and its arguments.
 *
 *     f focal handle     s place for one          x numbers, f32   b batch
 *     g GHM handle       z place for one          X numbers, f64   q result
 *     r for regression   y place for a pool       l labels         e edges
 *     k pool             o anything to write to   c counts         t saved state
 *                        v room for a state
 */
/* clang-format off */
#define FUNCTIONS(X) \
    X(fghm_batch_init, "o", (p[0], sizeof(fghm_batch))) \
    X(fghm_batch_reach, "boo", (p[0], FGHM_FIELD_LOGITS, p[1], p[2])) \
    X(fghm_focal_batch, "f?kb?q", (p[0], p[1], p[2], p[3])) \
    X(fghm_focal_best_constant, "fo", (p[0], 2.0, 3.0, p[1])) \
    X(fghm_focal_best_constant_softmax, "fX?X?Xo", (p[0], N, p[1], p[2], p[3], p[4])) \
    X(fghm_focal_calibrate_f32, "f?kxo", (p[0], p[1], N, p[2], p[3])) \
    X(fghm_focal_calibrate_f64, "f?kXo", (p[0], p[1], N, p[2], p[3])) \
    X(fghm_focal_calibrate_softmax_f32, "f?kx?X?Xo", (p[0], p[1], N / 2, 2, p[2], p[3], p[4], p[5])) \
    X(fghm_focal_calibrate_softmax_f64, "f?kX?X?Xo", (p[0], p[1], N / 2, 2, p[2], p[3], p[4], p[5])) \
    X(fghm_focal_clear_alpha, "f", (p[0])) \
    X(fghm_focal_clear_negative_gamma, "f", (p[0])) \
    X(fghm_focal_clear_positive_weight, "f", (p[0])) \
    X(fghm_focal_clone, "fs", (p[0], p[1])) \
    X(fghm_focal_create, "s", (p[0])) \
    X(fghm_focal_f32, "f?kxx?x?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_focal_f64, "f?kXX?X?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_focal_get_alpha, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_beta, "fo", (p[0], p[1])) \
    X(fghm_focal_get_detached, "fo", (p[0], p[1])) \
    X(fghm_focal_get_gamma, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_factor, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_floor, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_mode, "fo", (p[0], p[1])) \
    X(fghm_focal_get_loss_weight, "fo", (p[0], p[1])) \
    X(fghm_focal_get_margin, "fo", (p[0], p[1])) \
    X(fghm_focal_get_negative_gamma, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_normalizer, "fo", (p[0], p[1])) \
    X(fghm_focal_get_positive_weight, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_reduction, "fo", (p[0], p[1])) \
    X(fghm_focal_get_rule, "fo", (p[0], p[1])) \
    X(fghm_focal_set_alpha, "f", (p[0], 0.5)) \
    X(fghm_focal_set_beta, "f", (p[0], 1.0)) \
    X(fghm_focal_set_detached, "f", (p[0], 0)) \
    X(fghm_focal_set_gamma, "f", (p[0], 1.0)) \
    X(fghm_focal_set_hessian_factor, "f", (p[0], 1.0)) \
    X(fghm_focal_set_hessian_floor, "f", (p[0], 0.5)) \
    X(fghm_focal_set_hessian_mode, "f", (p[0], 0)) \
    X(fghm_focal_set_loss_weight, "f", (p[0], 2.0)) \
    X(fghm_focal_set_margin, "f", (p[0], 0.05)) \
    X(fghm_focal_set_negative_gamma, "f", (p[0], 1.0)) \
    X(fghm_focal_set_normalizer, "f", (p[0], 2.0)) \
    X(fghm_focal_set_positive_weight, "f", (p[0], 1.0)) \
    X(fghm_focal_set_reduction, "f", (p[0], FGHM_REDUCTION_SUM)) \
    X(fghm_focal_set_rule, "f", (p[0], 0)) \
    X(fghm_focal_softmax_f32, "f?kxl?x?o?o?o?o", (p[0], p[1], N / 2, 2, p[2], p[3], FGHM_IGNORE_NONE, p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_focal_softmax_f64, "f?kXl?X?o?o?o?o", (p[0], p[1], N / 2, 2, p[2], p[3], FGHM_IGNORE_NONE, p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_ghm_apply_batch, "g?kb?q", (p[0], p[1], p[2], p[3])) \
    X(fghm_ghm_apply_f32, "g?kxx?x?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_ghm_apply_f64, "g?kXX?X?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_ghm_clone, "gz", (p[0], p[1])) \
    X(fghm_ghm_count_batch, "g?kbc?q", (p[0], p[1], p[2], FUNCTION_COUNTS, p[3], p[4])) \
    X(fghm_ghm_count_f32, "g?kxx?xc", (p[0], p[1], N, p[2], p[3], p[4], FUNCTION_COUNTS, p[5])) \
    X(fghm_ghm_count_f64, "g?kXX?Xc", (p[0], p[1], N, p[2], p[3], p[4], FUNCTION_COUNTS, p[5])) \
    X(fghm_ghm_create, "z", (p[0], FGHM_GHM_CLASSIFICATION)) \
    X(fghm_ghm_create_from_state, "zt", (p[0], size_of_state, p[1])) \
    X(fghm_ghm_density_f32, "g?kxx?xo", (p[0], p[1], N, p[2], p[3], p[4], p[5])) \
    X(fghm_ghm_density_f64, "g?kXX?Xo", (p[0], p[1], N, p[2], p[3], p[4], p[5])) \
    X(fghm_ghm_get_averages, "go", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_ghm_get_bins, "go", (p[0], p[1])) \
    X(fghm_ghm_get_counts, "go", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_ghm_get_counts_size, "go", (p[0], p[1])) \
    X(fghm_ghm_get_divisor, "go", (p[0], p[1])) \
    X(fghm_ghm_get_edges, "go", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_ghm_get_histograms, "go", (p[0], p[1])) \
    X(fghm_ghm_get_kind, "go", (p[0], p[1])) \
    X(fghm_ghm_get_loss_weight, "go", (p[0], p[1])) \
    X(fghm_ghm_get_momentum, "go", (p[0], p[1])) \
    X(fghm_ghm_get_momentum_rule, "go", (p[0], p[1])) \
    X(fghm_ghm_get_mu, "ro", (p[0], p[1])) \
    X(fghm_ghm_get_nonempty, "go", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_ghm_get_normalizer, "go", (p[0], p[1])) \
    X(fghm_ghm_get_reduction, "go", (p[0], p[1])) \
    X(fghm_ghm_get_state_size, "go", (p[0], p[1])) \
    X(fghm_ghm_get_steps, "go", (p[0], p[1])) \
    X(fghm_ghm_get_weight_cap, "go", (p[0], p[1])) \
    X(fghm_ghm_get_weights, "go", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_ghm_load, "gt", (p[0], size_of_state, p[1])) \
    X(fghm_ghm_reset, "g", (p[0])) \
    X(fghm_ghm_save, "gv", (p[0], FUNCTION_STATE_ROOM, p[1])) \
    X(fghm_ghm_set_bins, "g", (p[0], 5)) \
    X(fghm_ghm_set_divisor, "g", (p[0], 0)) \
    X(fghm_ghm_set_edges, "ge", (p[0], 2, p[1])) \
    X(fghm_ghm_set_histograms, "g", (p[0], 3)) \
    X(fghm_ghm_set_loss_weight, "g", (p[0], 2.0)) \
    X(fghm_ghm_set_momentum, "g", (p[0], 0.5)) \
    X(fghm_ghm_set_momentum_rule, "g", (p[0], 0)) \
    X(fghm_ghm_set_mu, "r", (p[0], 0.5)) \
    X(fghm_ghm_set_normalizer, "g", (p[0], 2.0)) \
    X(fghm_ghm_set_reduction, "g", (p[0], FGHM_REDUCTION_SUM)) \
    X(fghm_ghm_set_weight_cap, "g", (p[0], 8.0)) \
    X(fghm_ghm_step_batch, "g?kb?q", (p[0], p[1], p[2], p[3])) \
    X(fghm_ghm_step_f32, "g?kxx?x?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_ghm_step_f64, "g?kXX?X?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_ghm_update, "gc", (p[0], FUNCTION_COUNTS, p[1])) \
    X(fghm_pool_create, "y", (p[0], 2)) \
    X(fghm_pool_create_from, "yo", (p[0], 2, p[1] != NULL ? run_all : NULL, NULL)) \
    X(fghm_pool_get_threads, "ko", (p[0], p[1])) \
    X(fghm_result_init, "o", (p[0], sizeof(fghm_result)))
/* clang-format on */

#define CALL(name, pointers, arguments)                                                            \
    static fghm_status call_##name(void *const *p) {                                               \
        return name arguments;                                                                     \
    }
FUNCTIONS(CALL)

#define ROW(name, pointers, arguments) {#name, pointers, call_##name},
const struct function all_functions[] = {FUNCTIONS(ROW)};
const size_t all_function_count = SUITE_COUNT(all_functions);

/* -------------------------------------------------------------------------
 * Worlds. */

struct world *world_new(size_t bins) {
    struct world *const w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(fghm_focal_create(&w->focal), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->regression, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_pool_create(&w->pool, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(w->ghm, bins), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(w->regression, bins), FGHM_OK);
    assert_int_equal(fghm_ghm_get_state_size(w->ghm, &w->state_size), FGHM_OK);
    assert_true(w->state_size <= FUNCTION_STATE_ROOM);
    size_of_state = w->state_size;
    assert_int_equal(fghm_ghm_save(w->ghm, FUNCTION_STATE_ROOM, w->state), FGHM_OK);
    for (size_t k = 0; k < N; k++) {
        w->f64[k] = (double)(k + 1) / N;
        w->f32[k] = (float)w->f64[k];
        w->labels[k] = (int64_t)(k & 1);
    }
    w->edges[1] = 0.25;
    w->edges[2] = 1.0;
    memset(w->out, 0x5a, sizeof w->out);
    w->batch = (fghm_batch)FGHM_BATCH_INIT;
    w->batch.ndim = 1;
    w->batch.shape[0] = N;
    w->batch.logits = (fghm_input){.data = w->f64, .dtype = FGHM_F64};
    w->batch.targets = w->batch.logits;
    w->batch.gradient = (fghm_output){.data = w->out[FUNCTION_POINTERS - 1], .dtype = FGHM_F64};
    w->result = (fghm_result)FGHM_RESULT_INIT;
    return w;
}

void world_free(struct world *w) {
    fghm_focal_destroy(w->focal);
    fghm_ghm_destroy(w->ghm);
    fghm_ghm_destroy(w->regression);
    fghm_pool_destroy(w->pool);
    free(w);
}

static void *pointer_of(struct world *w, char letter, size_t k) {
    switch (letter) {
    case 'f':
        return w->focal;
    case 'g':
        return w->ghm;
    case 'r':
        return w->regression;
    case 'k':
        return w->pool;
    case 'x':
        return w->f32;
    case 'X':
        return w->f64;
    case 'l':
        return w->labels;
    case 'b':
        return &w->batch;
    case 'q':
        return &w->result;
    case 'e':
        return w->edges;
    case 'c':
        return w->counts;
    case 't':
        return w->state;
    case 'v':
        return w->saving;
    case 'o':
        return w->out[k];
    default:
        return &w->place;
    }
}

static int is_handle(char letter) {
    return strchr("fgrkszy", letter) != NULL;
}

fghm_status world_pointers(struct world *w, const struct function *f, unsigned nulls, void **p) {
    fghm_status want = FGHM_OK;
    size_t k = 0;
    for (const char *letter = f->pointers; *letter != '\0'; letter++) {
        const int optional = *letter == '?';
        letter += optional;
        p[k] = nulls & 1u << k ? NULL : pointer_of(w, *letter, k);
        if (p[k] == NULL && !optional && want != FGHM_ERROR_NULL_HANDLE) {
            want = is_handle(*letter) ? FGHM_ERROR_NULL_HANDLE : FGHM_ERROR_NULL_POINTER;
        }
        k++;
    }
    return want;
}

void world_destroy_place(struct world *w, const struct function *f) {
    if (strchr(f->pointers, 's') != NULL) {
        fghm_focal_destroy(w->place);
    } else if (strchr(f->pointers, 'z') != NULL) {
        fghm_ghm_destroy(w->place);
    } else if (strchr(f->pointers, 'y') != NULL) {
        fghm_pool_destroy(w->place);
    }
}

size_t function_pointers(const struct function *f) {
    size_t count = 0;
    for (const char *letter = f->pointers; *letter != '\0'; letter++) {
        count += *letter != '?';
    }
    assert_true(count < FUNCTION_POINTERS);
    return count;
}

/* The bytes of the focal handle are all that it is; those of GHM are its saved state. */
struct world_copy {
    struct world world;
    unsigned char focal[sizeof(struct fghm_focal)], saved[2][FUNCTION_STATE_ROOM];
};

struct world_copy *world_keep(const struct world *w) {
    struct world_copy *const copy = calloc(1, sizeof *copy);
    assert_non_null(copy);
    memcpy(&copy->world, w, sizeof *w);
    memcpy(copy->focal, w->focal, sizeof copy->focal);
    assert_int_equal(fghm_ghm_save(w->ghm, FUNCTION_STATE_ROOM, copy->saved[0]), FGHM_OK);
    assert_int_equal(fghm_ghm_save(w->regression, FUNCTION_STATE_ROOM, copy->saved[1]), FGHM_OK);
    return copy;
}

void world_forget(struct world_copy *copy) {
    free(copy);
}

void world_assert_kept(const struct world *w, const struct world_copy *copy, const char *what) {
    struct world_copy *const now = world_keep(w);
    now->world.result = copy->world.result; /* has the error */
    if (memcmp(now, copy, sizeof *now) != 0) {
        fail_msg("%s: has changed something", what);
    }
    world_forget(now);
}
