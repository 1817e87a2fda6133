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

#include "support/functions.h"
#include "support/suite.h"

enum { N = FUNCTION_ELEMENTS, BINS = FUNCTION_BINS };

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

static void check_call(const struct function *f, unsigned nulls) {
    struct world *const w = world_new(BINS);
    struct world_copy *const before = world_keep(w);
    void *p[FUNCTION_POINTERS];
    char what[128];
    const fghm_status want = world_pointers(w, f, nulls, p);
    const fghm_status got = f->call(p);
    snprintf(what, sizeof what, "%s, NULLs %x", f->name, nulls);
    if (got != want) {
        fail_msg("%s: %s, want %s", what, fghm_status_string(got), fghm_status_string(want));
    }
    if (got == FGHM_OK) {
        world_destroy_place(w, f);
    } else {
        world_assert_kept(w, before, what);
    }
    world_forget(before);
    world_free(w);
}

/* None, each one, and each two. */
static void null_for_every_pointer(void **state) {
    (void)state;
    for (size_t i = 0; i < all_function_count; i++) {
        const struct function *const f = &all_functions[i];
        const size_t count = function_pointers(f);
        check_call(f, 0);
        for (size_t a = 0; a < count; a++) {
            for (size_t b = 0; b <= a; b++) {
                check_call(f, 1u << a | 1u << b);
            }
        }
    }
}

/* None makes a thread but one. */
static void without_threads(void **state) {
    (void)state;
    for (size_t i = 0; i < all_function_count; i++) {
        const struct function *const f = &all_functions[i];
        const bool makes = strcmp(f->name, "fghm_pool_create") == 0;
        struct world *const w = world_new(BINS);
        struct world_copy *const before = world_keep(w);
        void *p[FUNCTION_POINTERS];
        world_pointers(w, f, 0, p);
        threads_are_out = true;
        const fghm_status got = f->call(p);
        threads_are_out = false;
        if (got != (makes ? FGHM_ERROR_THREADS : FGHM_OK)) {
            fail_msg("%s: %s", f->name, fghm_status_string(got));
        }
        if (got == FGHM_OK) {
            world_destroy_place(w, f);
        } else {
            world_assert_kept(w, before, f->name);
        }
        world_forget(before);
        world_free(w);
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

/* These have no pointer but, to be freed, a handle that may be NULL: see test_api. */
static const char *const without_status[] = {
    "fghm_field_name",        "fghm_focal_destroy", "fghm_ghm_destroy",   "fghm_isa_name",
    "fghm_numerics_revision", "fghm_pool_destroy",  "fghm_status_string", "fghm_version",
    "fghm_version_number",    "fghm_place_name",    "fghm_status_name",
};

static int is_in_a_table(const char *name) {
    for (size_t i = 0; i < all_function_count; i++) {
        if (strcmp(all_functions[i].name, name) == 0) {
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
    assert_int_equal(count, all_function_count + SUITE_COUNT(without_status));
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
    return fghm_ghm_load(w->ghm, w->state_size - 1, w->state);
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
        struct world *const w = world_new(BINS);
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
        {"without_threads", without_threads, 0},
        {"every_function_is_here", every_function_is_here, 0},
        {"every_status_has_a_cause", every_status_has_a_cause, 0},
        {"every_status_is_here", every_status_is_here, 0},
    };
    return suite_run(argument_count, arguments, "null", tests, SUITE_COUNT(tests));
}
