/* SPDX-License-Identifier: MIT */

/* What every exported function says to NULL, and a call for every status.  The program is linked
 * with --wrap for the two functions below, so that memory and threads can be out. */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/suite.h"

enum { N = 8, BINS = 10, ROOM = 4096, POINTERS = 10 };

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);

/* volatile: link-time optimization knows that malloc does not look at them, and so would not set
 * them. */
static volatile bool memory_is_out, threads_are_out;

void *__wrap_malloc(size_t size) {
    return memory_is_out ? NULL : __real_malloc(size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context) {
    return threads_are_out ? EAGAIN : __real_pthread_create(thread, attributes, run, context);
}

/* -------------------------------------------------------------------------
 * What the calls get. */

static size_t state_size;

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
 */
/* clang-format off */
#define FUNCTIONS(X) \
    X(fghm_batch_init, "o", (p[0], sizeof(fghm_batch))) \
    X(fghm_batch_reach, "boo", (p[0], FGHM_FIELD_LOGITS, p[1], p[2])) \
    X(fghm_focal_batch, "f?kb?q", (p[0], p[1], p[2], p[3])) \
    X(fghm_focal_best_constant, "fo", (p[0], 2.0, 3.0, p[1])) \
    X(fghm_focal_calibrate_f32, "f?kxo", (p[0], p[1], N, p[2], p[3])) \
    X(fghm_focal_calibrate_f64, "f?kXo", (p[0], p[1], N, p[2], p[3])) \
    X(fghm_focal_clear_alpha, "f", (p[0])) \
    X(fghm_focal_clear_negative_gamma, "f", (p[0])) \
    X(fghm_focal_clear_positive_weight, "f", (p[0])) \
    X(fghm_focal_clone, "fs", (p[0], p[1])) \
    X(fghm_focal_create, "s", (p[0])) \
    X(fghm_focal_f32, "f?kxx?x?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_focal_f64, "f?kXX?X?o?o?o?o", (p[0], p[1], N, p[2], p[3], p[4], p[5], p[6], p[7], p[8])) \
    X(fghm_focal_get_alpha, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_beta, "fo", (p[0], p[1])) \
    X(fghm_focal_get_margin, "fo", (p[0], p[1])) \
    X(fghm_focal_get_detached, "fo", (p[0], p[1])) \
    X(fghm_focal_get_gamma, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_factor, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_floor, "fo", (p[0], p[1])) \
    X(fghm_focal_get_hessian_mode, "fo", (p[0], p[1])) \
    X(fghm_focal_get_loss_weight, "fo", (p[0], p[1])) \
    X(fghm_focal_get_negative_gamma, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_normalizer, "fo", (p[0], p[1])) \
    X(fghm_focal_get_positive_weight, "foo", (p[0], p[1], p[2])) \
    X(fghm_focal_get_reduction, "fo", (p[0], p[1])) \
    X(fghm_focal_get_rule, "fo", (p[0], p[1])) \
    X(fghm_focal_set_alpha, "f", (p[0], 0.5)) \
    X(fghm_focal_set_beta, "f", (p[0], 1.0)) \
    X(fghm_focal_set_margin, "f", (p[0], 0.05)) \
    X(fghm_focal_set_detached, "f", (p[0], 0)) \
    X(fghm_focal_set_gamma, "f", (p[0], 1.0)) \
    X(fghm_focal_set_hessian_factor, "f", (p[0], 1.0)) \
    X(fghm_focal_set_hessian_floor, "f", (p[0], 0.5)) \
    X(fghm_focal_set_hessian_mode, "f", (p[0], 0)) \
    X(fghm_focal_set_loss_weight, "f", (p[0], 2.0)) \
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
    X(fghm_ghm_count_batch, "g?kbc?q", (p[0], p[1], p[2], BINS + 1, p[3], p[4])) \
    X(fghm_ghm_count_f32, "g?kxx?xc", (p[0], p[1], N, p[2], p[3], p[4], BINS + 1, p[5])) \
    X(fghm_ghm_count_f64, "g?kXX?Xc", (p[0], p[1], N, p[2], p[3], p[4], BINS + 1, p[5])) \
    X(fghm_ghm_create, "z", (p[0], FGHM_GHM_CLASSIFICATION)) \
    X(fghm_ghm_create_from_state, "zt", (p[0], state_size, p[1])) \
    X(fghm_ghm_density_f32, "g?kxx?xo", (p[0], p[1], N, p[2], p[3], p[4], p[5])) \
    X(fghm_ghm_density_f64, "g?kXX?Xo", (p[0], p[1], N, p[2], p[3], p[4], p[5])) \
    X(fghm_ghm_get_averages, "go", (p[0], BINS + 1, p[1])) \
    X(fghm_ghm_get_bins, "go", (p[0], p[1])) \
    X(fghm_ghm_get_counts, "go", (p[0], BINS + 1, p[1])) \
    X(fghm_ghm_get_counts_size, "go", (p[0], p[1])) \
    X(fghm_ghm_get_divisor, "go", (p[0], p[1])) \
    X(fghm_ghm_get_edges, "go", (p[0], BINS + 1, p[1])) \
    X(fghm_ghm_get_histograms, "go", (p[0], p[1])) \
    X(fghm_ghm_get_kind, "go", (p[0], p[1])) \
    X(fghm_ghm_get_loss_weight, "go", (p[0], p[1])) \
    X(fghm_ghm_get_momentum, "go", (p[0], p[1])) \
    X(fghm_ghm_get_momentum_rule, "go", (p[0], p[1])) \
    X(fghm_ghm_get_mu, "ro", (p[0], p[1])) \
    X(fghm_ghm_get_nonempty, "go", (p[0], BINS + 1, p[1])) \
    X(fghm_ghm_get_normalizer, "go", (p[0], p[1])) \
    X(fghm_ghm_get_reduction, "go", (p[0], p[1])) \
    X(fghm_ghm_get_state_size, "go", (p[0], p[1])) \
    X(fghm_ghm_get_steps, "go", (p[0], p[1])) \
    X(fghm_ghm_get_weight_cap, "go", (p[0], p[1])) \
    X(fghm_ghm_get_weights, "go", (p[0], BINS + 1, p[1])) \
    X(fghm_ghm_load, "gt", (p[0], state_size, p[1])) \
    X(fghm_ghm_reset, "g", (p[0])) \
    X(fghm_ghm_save, "go", (p[0], ROOM, p[1])) \
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
    X(fghm_ghm_update, "gc", (p[0], BINS + 1, p[1])) \
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

struct function {
    const char *name, *pointers;
    fghm_status (*call)(void *const *p);
};

#define ROW(name, pointers, arguments) {#name, pointers, call_##name},
static const struct function functions[] = {FUNCTIONS(ROW)};

/* These have no pointer but, to be freed, a handle that may be NULL: see test_api. */
static const char *const without_status[] = {
    "fghm_field_name",        "fghm_focal_destroy", "fghm_ghm_destroy",   "fghm_isa_name",
    "fghm_numerics_revision", "fghm_pool_destroy",  "fghm_status_string", "fghm_version",
    "fghm_version_number",    "fghm_place_name",    "fghm_status_name",
};

/* Everything that a call can get or change. */
struct world {
    fghm_focal *focal;
    fghm_ghm *ghm, *regression;
    fghm_pool *pool;
    void *place; /* of a new handle */
    float f32[N];
    double f64[N], edges[3];
    int64_t labels[N];
    uint64_t counts[BINS + 1];
    unsigned char state[ROOM], saved[2][ROOM], out[POINTERS][ROOM] __attribute__((aligned(16)));
    fghm_batch batch;
    fghm_result result;
};

static void save_histories(const struct world *w, unsigned char saved[2][ROOM]) {
    memset(saved, 0, (size_t)2 * ROOM);
    assert_int_equal(fghm_ghm_save(w->ghm, ROOM, saved[0]), FGHM_OK);
    assert_int_equal(fghm_ghm_save(w->regression, ROOM, saved[1]), FGHM_OK);
}

static struct world *world_new(void) {
    struct world *const w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(fghm_focal_create(&w->focal), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->regression, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_pool_create(&w->pool, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_get_state_size(w->ghm, &state_size), FGHM_OK);
    assert_true(state_size <= ROOM);
    assert_int_equal(fghm_ghm_save(w->ghm, ROOM, w->state), FGHM_OK);
    for (size_t k = 0; k < N; k++) {
        w->f64[k] = (double)k / N;
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
    w->batch.gradient = (fghm_output){.data = w->out[POINTERS - 1], .dtype = FGHM_F64};
    w->result = (fghm_result)FGHM_RESULT_INIT;
    save_histories(w, w->saved);
    return w;
}

static void world_free(struct world *w) {
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
    case 'o':
        return w->out[k];
    default:
        return &w->place;
    }
}

static int is_handle(char letter) {
    return strchr("fgrkszy", letter) != NULL;
}

/* The pointers of a call; bit k of `nulls`: the k-th is NULL.  Returns the documented status. */
static fghm_status fill(struct world *w, const struct function *f, unsigned nulls, void **p) {
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

static void destroy_place(struct world *w, const char *pointers) {
    if (strchr(pointers, 's') != NULL) {
        fghm_focal_destroy(w->place);
    } else if (strchr(pointers, 'z') != NULL) {
        fghm_ghm_destroy(w->place);
    } else if (strchr(pointers, 'y') != NULL) {
        fghm_pool_destroy(w->place);
    }
}

static size_t pointer_count(const struct function *f) {
    size_t count = 0;
    for (const char *letter = f->pointers; *letter != '\0'; letter++) {
        count += *letter != '?';
    }
    return count;
}

static void check_call(const struct function *f, unsigned nulls) {
    struct world *const w = world_new(), *const before = malloc(sizeof *w);
    unsigned char saved[2][ROOM];
    void *p[POINTERS];
    const fghm_status want = fill(w, f, nulls, p);
    assert_non_null(before);
    memcpy(before, w, sizeof *w);
    const fghm_status got = f->call(p);
    if (got != want) {
        fail_msg("%s, NULLs %x: %s, want %s", f->name, nulls, fghm_status_string(got),
                 fghm_status_string(want));
    }
    if (got == FGHM_OK) {
        destroy_place(w, f->pointers);
    } else {
        w->result = before->result; /* has the error */
        save_histories(w, saved);
        if (memcmp(w, before, sizeof *w) != 0 || memcmp(saved, w->saved, sizeof saved) != 0) {
            fail_msg("%s, NULLs %x: has changed something", f->name, nulls);
        }
    }
    free(before);
    world_free(w);
}

/* None, each one, and each two. */
static void null_for_every_pointer(void **state) {
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(functions); i++) {
        const struct function *const f = &functions[i];
        const size_t count = pointer_count(f);
        assert_true(count < POINTERS);
        check_call(f, 0);
        for (size_t a = 0; a < count; a++) {
            for (size_t b = 0; b <= a; b++) {
                check_call(f, 1u << a | 1u << b);
            }
        }
    }
}

/* -------------------------------------------------------------------------
 * The lists of the source tree. */

static FILE *open_source(const char *path) {
    char full[1024];
    snprintf(full, sizeof full, "%s/../%s", TEST_SOURCE_DIR, path);
    FILE *const file = fopen(full, "r");
    if (file == NULL) {
        fail_msg("%s cannot be read", full);
    }
    return file;
}

static int is_in_a_table(const char *name) {
    for (size_t i = 0; i < SUITE_COUNT(functions); i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < SUITE_COUNT(without_status); i++) {
        if (strcmp(without_status[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static void every_function_is_here(void **state) {
    FILE *const file = open_source("cmake/symbols.txt");
    char line[256], name[256];
    size_t count = 0;
    (void)state;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%255s", name) == 1 && name[0] != '#') {
            count++;
            if (!is_in_a_table(name)) {
                fail_msg("%s is in neither table", name);
            }
        }
    }
    fclose(file);
    assert_int_equal(count, SUITE_COUNT(functions) + SUITE_COUNT(without_status));
}

/* -------------------------------------------------------------------------
 * A call for every status. */

static fghm_status of_batch(struct world *w) {
    return fghm_focal_batch(w->focal, NULL, &w->batch, NULL);
}

static fghm_status make_ok(struct world *w) {
    return of_batch(w);
}

static fghm_status make_null_handle(struct world *w) {
    return fghm_focal_batch(NULL, NULL, &w->batch, NULL);
}

static fghm_status make_null_pointer(struct world *w) {
    return fghm_focal_batch(w->focal, NULL, NULL, NULL);
}

static fghm_status make_no_output(struct world *w) {
    w->batch.gradient.data = NULL;
    return of_batch(w);
}

static fghm_status make_struct(struct world *w) {
    return fghm_batch_init(&w->batch, 1);
}

static fghm_status make_uninitialized(struct world *w) {
    w->batch.tag = 0;
    return of_batch(w);
}

static fghm_status make_unset(struct world *w) {
    w->batch.ndim = 0;
    return of_batch(w);
}

static fghm_status make_range(struct world *w) {
    return fghm_focal_set_gamma(w->focal, -1.0);
}

static fghm_status make_constant(struct world *w) {
    return fghm_focal_set_rule(w->focal, 77);
}

static fghm_status make_size(struct world *w) {
    return fghm_focal_f64(w->focal, NULL, SIZE_MAX, w->f64, w->f64, NULL, NULL, NULL,
                          (double *)(void *)w->out[0], NULL);
}

static fghm_status make_dtype(struct world *w) {
    w->batch.logits.dtype = FGHM_U8;
    return of_batch(w);
}

static fghm_status make_layout(struct world *w) {
    w->batch.logits.strides[0] = 1;
    return of_batch(w);
}

static fghm_status make_stride(struct world *w) {
    w->batch.gradient.layout = FGHM_LAYOUT_STRIDED;
    return of_batch(w);
}

static fghm_status make_aliasing(struct world *w) {
    w->batch.gradient.data = w->f64 + 1;
    return of_batch(w);
}

static fghm_status make_combination(struct world *w) {
    double logit;
    assert_int_equal(fghm_focal_set_alpha(w->focal, 0.0), FGHM_OK);
    return fghm_focal_best_constant(w->focal, 1.0, 1.0, &logit);
}

static fghm_status make_kind(struct world *w) {
    return fghm_ghm_set_mu(w->ghm, 0.5);
}

static fghm_status make_history(struct world *w) {
    assert_int_equal(fghm_ghm_step_batch(w->ghm, NULL, &w->batch, NULL), FGHM_OK);
    return fghm_ghm_set_bins(w->ghm, 5);
}

static fghm_status make_capacity(struct world *w) {
    return fghm_ghm_get_counts(w->ghm, BINS, w->counts);
}

static fghm_status make_histograms(struct world *w) {
    assert_int_equal(fghm_ghm_set_histograms(w->ghm, 3), FGHM_OK);
    return fghm_ghm_step_batch(w->ghm, NULL, &w->batch, NULL);
}

static fghm_status make_counts(struct world *w) {
    w->counts[0] = UINT64_MAX;
    w->counts[1] = 1;
    return fghm_ghm_update(w->ghm, BINS + 1, w->counts);
}

static fghm_status make_edges(struct world *w) {
    w->edges[1] = 2.0;
    return fghm_ghm_set_edges(w->ghm, 2, w->edges);
}

static fghm_status make_state(struct world *w) {
    return fghm_ghm_load(w->ghm, state_size - 1, w->state);
}

static fghm_status make_label(struct world *w) {
    w->labels[3] = 2;
    return fghm_focal_softmax_f64(w->focal, NULL, N / 2, 2, w->f64, w->labels, FGHM_IGNORE_NONE,
                                  NULL, NULL, NULL, (double *)(void *)w->out[0], NULL);
}

static fghm_status make_target(struct world *w) {
    w->f64[3] = 2.0;
    return of_batch(w);
}

static fghm_status make_probability(struct world *w) {
    const double probabilities[N] = {2.0};
    w->batch.activation = FGHM_PROBABILITY;
    w->batch.logits.data = probabilities;
    return of_batch(w);
}

static fghm_status make_score(struct world *w) {
    const double scores[N] = {2.0};
    const uint8_t labels[N] = {0};
    w->batch.ndim = 2;
    w->batch.shape[1] = 1;
    w->batch.class_axis = 1;
    w->batch.target_form = FGHM_TARGET_LABEL_SCORE;
    w->batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
    w->batch.scores = (fghm_input){.data = scores, .dtype = FGHM_F64};
    return of_batch(w);
}

static fghm_status make_memory(struct world *w) {
    fghm_focal *made = w->focal;
    memory_is_out = true;
    const fghm_status status = fghm_focal_create(&made);
    memory_is_out = false;
    assert_ptr_equal(made, w->focal);
    return status;
}

static fghm_status make_threads(struct world *w) {
    fghm_pool *made = NULL;
    (void)w;
    threads_are_out = true;
    const fghm_status status = fghm_pool_create(&made, 2);
    threads_are_out = false;
    assert_null(made);
    return status;
}

/* Weights that add up to 0. */
static fghm_status make_divisor(struct world *w) {
    const double weights[N] = {0.0};
    assert_int_equal(fghm_focal_set_reduction(w->focal, FGHM_REDUCTION_MEAN_WEIGHTS), FGHM_OK);
    w->batch.weights = (fghm_input){.data = weights, .dtype = FGHM_F64};
    return of_batch(w);
}

struct cause {
    const char *name;
    fghm_status status;
    fghm_status (*make)(struct world *w);
};

#define CAUSE(status, make)                                                                        \
    { #status, status, make }

static const struct cause causes[] = {
    CAUSE(FGHM_OK, make_ok),
    CAUSE(FGHM_ERROR_NULL_HANDLE, make_null_handle),
    CAUSE(FGHM_ERROR_NULL_POINTER, make_null_pointer),
    CAUSE(FGHM_ERROR_NO_OUTPUT, make_no_output),
    CAUSE(FGHM_ERROR_MEMORY, make_memory),
    CAUSE(FGHM_ERROR_THREADS, make_threads),
    CAUSE(FGHM_ERROR_STRUCT, make_struct),
    CAUSE(FGHM_ERROR_UNINITIALIZED, make_uninitialized),
    CAUSE(FGHM_ERROR_UNSET, make_unset),
    CAUSE(FGHM_ERROR_RANGE, make_range),
    CAUSE(FGHM_ERROR_CONSTANT, make_constant),
    CAUSE(FGHM_ERROR_SIZE, make_size),
    CAUSE(FGHM_ERROR_DTYPE, make_dtype),
    CAUSE(FGHM_ERROR_LAYOUT, make_layout),
    CAUSE(FGHM_ERROR_STRIDE, make_stride),
    CAUSE(FGHM_ERROR_ALIASING, make_aliasing),
    CAUSE(FGHM_ERROR_COMBINATION, make_combination),
    CAUSE(FGHM_ERROR_KIND, make_kind),
    CAUSE(FGHM_ERROR_HISTORY, make_history),
    CAUSE(FGHM_ERROR_CAPACITY, make_capacity),
    CAUSE(FGHM_ERROR_HISTOGRAMS, make_histograms),
    CAUSE(FGHM_ERROR_COUNTS, make_counts),
    CAUSE(FGHM_ERROR_EDGES, make_edges),
    CAUSE(FGHM_ERROR_STATE, make_state),
    CAUSE(FGHM_ERROR_DIVISOR, make_divisor),
    CAUSE(FGHM_ERROR_LABEL, make_label),
    CAUSE(FGHM_ERROR_TARGET, make_target),
    CAUSE(FGHM_ERROR_PROBABILITY, make_probability),
    CAUSE(FGHM_ERROR_SCORE, make_score),
};

static void every_status_has_a_cause(void **state) {
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(causes); i++) {
        struct world *const w = world_new();
        const fghm_status got = causes[i].make(w);
        if (got != causes[i].status) {
            fail_msg("%s, want %s", fghm_status_string(got), causes[i].name);
        }
        world_free(w);
    }
}

/* Of the enum in the header. */
static void every_status_is_here(void **state) {
    FILE *const file = open_source("include/focalghm/status.h");
    char line[256], name[64];
    size_t count = 0;
    int value;
    (void)state;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, " %63[A-Z_] = %d", name, &value) == 2 &&
            (strncmp(name, "FGHM_ERROR_", 11) == 0 || strcmp(name, "FGHM_OK") == 0)) {
            assert_true(count < SUITE_COUNT(causes));
            assert_string_equal(causes[count].name, name);
            assert_int_equal(causes[count].status, value);
            count++;
        }
    }
    fclose(file);
    assert_int_equal(count, SUITE_COUNT(causes));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"null_for_every_pointer", null_for_every_pointer, 0},
        {"every_function_is_here", every_function_is_here, 0},
        {"every_status_has_a_cause", every_status_has_a_cause, 0},
        {"every_status_is_here", every_status_is_here, 0},
    };
    return suite_run(argument_count, arguments, "null", tests, SUITE_COUNT(tests));
}
