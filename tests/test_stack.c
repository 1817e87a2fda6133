/* SPDX-License-Identifier: MIT */

/* How much stack calls take: up to 64 KiB with up to 256 bins, and with more no more than a
 * thread of 128 KiB has.  Calls run on threads whose stacks have been painted; what is no longer
 * paint has been used.  The tasks of a pool run on such threads, too. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_STACK */
#endif

#include <focalghm/focalghm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/random.h"
#include "support/suite.h"

#ifdef STACK_SKIPPED
static const char *const skipped = STACK_SKIPPED;
#else
static const char *const skipped = NULL;
#endif

/* Small enough for 64 KiB of a thread with 128, which has a guard page and thread-local data. */
#define CALL_MAX ((size_t)64 * 1024)
#define THREAD_BYTES ((size_t)128 * 1024)
#define GUARD_BYTES ((size_t)4096)

/* Painted threads ------------------------------------------------------------------------ */

#define PAINTED_BYTES ((size_t)256 * 1024)
#define PAINT 0x5c

/* Runs it on a thread of its own; returns how many bytes of stack that took, with what any
 * thread takes. */
static size_t run_painted(void *(*run)(void *), void *context) {
    unsigned char *const stack = mmap(NULL, PAINTED_BYTES, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t free_bytes = 0;
    assert_true(stack != MAP_FAILED);
    memset(stack, PAINT, PAINTED_BYTES);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, PAINTED_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run, context), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    while (free_bytes < PAINTED_BYTES && stack[free_bytes] == PAINT) {
        free_bytes++;
    }
    munmap(stack, PAINTED_BYTES);
    return PAINTED_BYTES - free_bytes;
}

static void *do_nothing(void *context) {
    return context;
}

static size_t empty_thread_bytes(void) {
    return run_painted(do_nothing, NULL);
}

/* A pool's tasks, each time on one painted thread; `deepest` is what that took. */
struct tasks {
    size_t count;
    fghm_task run;
    void *context;
};

static size_t deepest_task;

static void *run_tasks(void *context) {
    const struct tasks *const tasks = context;
    for (size_t i = 0; i < tasks->count; i++) {
        tasks->run(tasks->context, i);
    }
    return NULL;
}

static void run_on_painted_thread(void *user, size_t count, fghm_task task, void *context) {
    struct tasks tasks = {count, task, context};
    (void)user;
    const size_t bytes = run_painted(run_tasks, &tasks);
    deepest_task = bytes > deepest_task ? bytes : deepest_task;
}

/* What calls work on ------------------------------------------------------------------------ */

/* Enough for a few segments. */
enum { CLASSES = 7, SAMPLES = 2048, ELEMENTS = CLASSES * SAMPLES, OUTPUTS_OF_BATCH = 4 };

static struct {
    double logits[ELEMENTS], targets[ELEMENTS], weights[ELEMENTS], out[OUTPUTS_OF_BATCH][ELEMENTS];
    float logits_f32[ELEMENTS], targets_f32[ELEMENTS], weights_f32[ELEMENTS];
    uint16_t logits_f16[ELEMENTS]; /* small numbers of either narrow type */
    int64_t labels[ELEMENTS];
    double factors[ELEMENTS], gammas[CLASSES];
    uint64_t counts[CLASSES * (FGHM_BINS_MAX + 1)];
} data;

static void fill_data(void) {
    struct random r = random_for(71);
    for (size_t i = 0; i < ELEMENTS; i++) {
        data.logits[i] = random_uniform(&r, 0.05, 0.95);
        data.targets[i] = (double)(i % 3 == 0);
        data.weights[i] = (double)(i % 5) / 2;
        data.logits_f32[i] = (float)data.logits[i];
        data.targets_f32[i] = (float)data.targets[i];
        data.weights_f32[i] = (float)data.weights[i];
        data.logits_f16[i] = (uint16_t)(0x3000 + i % 256);
        data.labels[i] = (int64_t)(i % CLASSES);
        data.factors[i] = 0.5;
    }
    for (size_t c = 0; c < CLASSES; c++) {
        data.gammas[c] = 0.75 * (double)c;
    }
}

/* The call that is made: its handles, its batch, and what it has returned. */
static struct call {
    fghm_status (*make)(void);
    fghm_focal *focal;
    fghm_ghm *ghm;
    fghm_pool *pool;
    fghm_batch batch;
    fghm_status status;
    char name[160];
} call;

static void *make_call(void *context) {
    (void)context;
    call.status = call.make();
    return NULL;
}

/* Running and judging ------------------------------------------------------------------------ */

static size_t deepest_bytes, empty_bytes, calls_made, too_deep;
static char deepest_name[sizeof call.name];

static void begin(void) {
    fill_data();
    empty_bytes = empty_thread_bytes();
    deepest_bytes = calls_made = too_deep = 0;
    deepest_name[0] = '\0';
}

/* Makes the call; `most` is for what it takes besides an empty thread. */
static void measure(fghm_status (*make)(void), size_t most) {
    call.make = make;
    /* Once without paint: what the loader does at the first call is not the library's. */
    make_call(NULL);
    if (call.status == FGHM_ERROR_COMBINATION) {
        return;
    }
    deepest_task = 0;
    size_t bytes = run_painted(make_call, NULL);
    bytes = deepest_task > bytes ? deepest_task : bytes;
    bytes -= empty_bytes < bytes ? empty_bytes : bytes;
    if (call.status != FGHM_OK) {
        fail_msg("%s: %s", call.name, fghm_status_string(call.status));
    }
    calls_made++;
    if (bytes > deepest_bytes) {
        deepest_bytes = bytes;
        memcpy(deepest_name, call.name, sizeof deepest_name);
    }
    if (bytes > most) {
        print_message("%s: %zu bytes of stack, more than %zu\n", call.name, bytes, most);
        too_deep++;
    }
}

static void end(void) {
    print_message("%zu calls, deepest: %zu bytes besides the %zu of a thread: %s\n", calls_made,
                  deepest_bytes, empty_bytes, deepest_name);
    assert_true(calls_made > 0);
    assert_int_equal(too_deep, 0);
}

static fghm_pool *painted_pool(void) {
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create_from(&pool, 2, run_on_painted_thread, NULL), FGHM_OK);
    return pool;
}

/* Batches ------------------------------------------------------------------------------------ */

enum form {
    DENSE,
    STRIDED,
    ROWS,
    PLANES,
    SCORES,
    SOFTMAX_ROWS,
    SOFTMAX_PLANES,
    PROBABILITY,
    SOFT_ROWS,
    SOFT_PLANES,
    SMOOTH_LABELS,
    FORMS
};
static const char *const form_names[FORMS] = {
    "dense",          "strided", "label rows", "planes",      "scores",       "softmax rows",
    "softmax planes", "of p",    "soft rows",  "soft planes", "smooth labels"};

static bool is_softmax(enum form form) {
    return form == SOFTMAX_ROWS || form == SOFTMAX_PLANES || form >= SOFT_ROWS;
}

static bool has_labels(enum form form) {
    return form == ROWS || form == PLANES || form == SCORES || form == SOFTMAX_ROWS ||
           form == SOFTMAX_PLANES || form == SMOOTH_LABELS;
}

/* Logits and outputs of that dtype, narrow outputs of float. */
static void set_batch(fghm_dtype dtype, enum form form, bool extras, bool factors) {
    const bool soft = form >= SOFT_ROWS;
    static const fghm_batch initial = FGHM_BATCH_INIT;
    const bool planes =
        form == PLANES || form == SOFTMAX_PLANES || form == STRIDED || form == SOFT_PLANES;
    fghm_batch *const batch = &call.batch;
    *batch = initial;
    batch->ndim = 2;
    batch->class_axis = planes ? 0 : 1;
    batch->shape[planes ? 0 : 1] = CLASSES;
    batch->shape[planes ? 1 : 0] = SAMPLES;
    batch->activation = is_softmax(form)      ? FGHM_SOFTMAX
                        : form == PROBABILITY ? FGHM_PROBABILITY
                                              : FGHM_SIGMOID;
    batch->target_form = form == SCORES     ? FGHM_TARGET_LABEL_SCORE
                         : has_labels(form) ? FGHM_TARGET_LABEL
                                            : FGHM_TARGET_DENSE;
    batch->logits.data = dtype == FGHM_F64   ? (const void *)data.logits
                         : dtype == FGHM_F32 ? (const void *)data.logits_f32
                                             : (const void *)data.logits_f16;
    batch->logits.dtype = dtype;
    if (form == STRIDED) {
        batch->logits.layout = FGHM_LAYOUT_STRIDED;
        batch->logits.strides[0] = 1;
        batch->logits.strides[1] = CLASSES;
    }
    batch->targets.data = has_labels(form) ? (const void *)data.labels : (const void *)data.targets;
    batch->targets.dtype = has_labels(form) ? FGHM_I64 : FGHM_F64;
    if (form == SCORES) {
        batch->scores.data = data.targets;
        batch->scores.dtype = FGHM_F64;
    }
    if (extras) {
        batch->weights.data = data.weights_f32;
        batch->weights.dtype = FGHM_F32;
        batch->ignore_index = has_labels(form) ? 3 : is_softmax(form) ? FGHM_IGNORE_NONE : 1;
        batch->flags = has_labels(form) ? 0 : FGHM_NAN_TARGETS_IGNORED;
        batch->label_smoothing = is_softmax(form) || factors ? 0 : 0.125;
    }
    if (form == SMOOTH_LABELS) {
        batch->label_smoothing = 0.125;
    }
    if (factors) {
        batch->class_alpha = batch->class_weights = data.factors;
        batch->flags |= soft ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0;
    }
    fghm_output *const outputs[OUTPUTS_OF_BATCH] = {&batch->element_loss, &batch->gradient,
                                                    &batch->hessian, &batch->harmonizing_weight};
    for (size_t k = 0; k < OUTPUTS_OF_BATCH; k++) {
        outputs[k]->data = data.out[k];
        outputs[k]->dtype = dtype;
    }
}

static const fghm_dtype dtypes_of_logits[] = {FGHM_F32, FGHM_F64, FGHM_F16, FGHM_BF16};

/* Focal loss ------------------------------------------------------------------------------------
 */

static fghm_status call_focal_f32(void) {
    double loss;
    return fghm_focal_f32(call.focal, call.pool, ELEMENTS, data.logits_f32, data.targets_f32,
                          data.weights_f32, &loss, (float *)data.out[0], (float *)data.out[1],
                          (float *)data.out[2]);
}

static fghm_status call_focal_f64(void) {
    double loss;
    return fghm_focal_f64(call.focal, call.pool, ELEMENTS, data.logits, data.targets, data.weights,
                          &loss, data.out[0], data.out[1], data.out[2]);
}

static fghm_status call_softmax_f32(void) {
    double loss;
    return fghm_focal_softmax_f32(call.focal, call.pool, SAMPLES, CLASSES, data.logits_f32,
                                  data.labels, 3, data.weights_f32, &loss, (float *)data.out[0],
                                  (float *)data.out[1], (float *)data.out[2]);
}

static fghm_status call_softmax_f64(void) {
    double loss;
    return fghm_focal_softmax_f64(call.focal, call.pool, SAMPLES, CLASSES, data.logits, data.labels,
                                  3, data.weights, &loss, data.out[0], data.out[1], data.out[2]);
}

static fghm_status call_calibrate_f32(void) {
    return fghm_focal_calibrate_f32(call.focal, call.pool, ELEMENTS, data.logits_f32,
                                    (float *)data.out[0]);
}

static fghm_status call_calibrate_f64(void) {
    return fghm_focal_calibrate_f64(call.focal, call.pool, ELEMENTS, data.logits, data.out[0]);
}

static fghm_status call_best_constant(void) {
    double logit;
    return fghm_focal_best_constant(call.focal, 3, 100, &logit);
}

static fghm_status call_calibrate_softmax_f32(void) {
    return fghm_focal_calibrate_softmax_f32(call.focal, call.pool, SAMPLES, CLASSES,
                                            data.logits_f32, NULL, NULL, (float *)data.out[0]);
}

static fghm_status call_calibrate_softmax_f64(void) {
    return fghm_focal_calibrate_softmax_f64(call.focal, call.pool, SAMPLES, CLASSES, data.logits,
                                            NULL, NULL, data.out[0]);
}

static fghm_status call_best_constant_softmax(void) {
    const double frequencies[] = {3, 100};
    double logits[2];
    return fghm_focal_best_constant_softmax(call.focal, 2, frequencies, NULL, NULL, logits);
}

static fghm_status call_focal_clone(void) {
    fghm_focal *copy = NULL;
    const fghm_status status = fghm_focal_clone(call.focal, &copy);
    fghm_focal_destroy(copy);
    return status;
}

static fghm_status call_focal_batch(void) {
    fghm_result result = FGHM_RESULT_INIT;
    return fghm_focal_batch(call.focal, call.pool, &call.batch, &result);
}

/* Numbers of classes that not every rule takes. */
static void measure_classes(const char *handle) {
    for (size_t k = 0; k < SUITE_COUNT(dtypes_of_logits); k++) {
        for (int form = 0; form < FORMS; form++) {
            set_batch(dtypes_of_logits[k], (enum form)form, false, false);
            call.batch.harmonizing_weight.data = NULL;
            call.batch.class_gamma = form >= SOFT_ROWS ? NULL : data.gammas;
            call.batch.class_offsets = form == PROBABILITY ? NULL : data.factors;
            snprintf(call.name, sizeof call.name, "focal batch of classes, %s, %s, dtype %d",
                     handle, form_names[form], dtypes_of_logits[k]);
            measure(call_focal_batch, CALL_MAX);
        }
    }
}

/* So many classes of softmax that samples are rows, short and long ones. */
static void measure_rows(const char *handle) {
    static const int64_t classes[] = {56, 224, 1024};
    for (size_t k = 0; k < SUITE_COUNT(dtypes_of_logits) * SUITE_COUNT(classes) * 2; k++) {
        const fghm_dtype dtype = dtypes_of_logits[k / 2 / SUITE_COUNT(classes)];
        const int64_t row = classes[k / 2 % SUITE_COUNT(classes)];
        set_batch(dtype, SOFTMAX_ROWS, false, false);
        call.batch.harmonizing_weight.data = NULL;
        call.batch.shape[0] = ELEMENTS / row;
        call.batch.shape[1] = row;
        call.batch.hessian.data = k % 2 == 0 ? NULL : call.batch.hessian.data;
        snprintf(call.name, sizeof call.name, "focal batch, %s, %d classes, dtype %d, Hessian %d",
                 handle, (int)row, dtype, (int)(k % 2));
        measure(call_focal_batch, CALL_MAX);
    }
}

static void measure_focal_batches(const char *handle) {
    measure_classes(handle);
    measure_rows(handle);
    for (size_t k = 0; k < SUITE_COUNT(dtypes_of_logits); k++) {
        for (int form = 0; form < FORMS; form++) {
            for (int extras = 0; extras < 4; extras += 3) {
                set_batch(dtypes_of_logits[k], (enum form)form, extras & 1, extras & 2);
                call.batch.harmonizing_weight.data = NULL;
                snprintf(call.name, sizeof call.name, "focal batch, %s, %s, dtype %d, extras %d",
                         handle, form_names[form], dtypes_of_logits[k], extras);
                measure(call_focal_batch, CALL_MAX);
            }
        }
    }
}

static void measure_focal(const char *handle) {
    static const struct {
        const char *name;
        fghm_status (*make)(void);
    } plain[] = {
        {"focal_f32", call_focal_f32},
        {"focal_f64", call_focal_f64},
        {"softmax_f32", call_softmax_f32},
        {"softmax_f64", call_softmax_f64},
        {"calibrate_f32", call_calibrate_f32},
        {"calibrate_f64", call_calibrate_f64},
        {"best_constant", call_best_constant},
        {"focal_clone", call_focal_clone},
        {"calibrate_softmax_f32", call_calibrate_softmax_f32},
        {"calibrate_softmax_f64", call_calibrate_softmax_f64},
        {"best_constant_softmax", call_best_constant_softmax},
    };
    for (size_t k = 0; k < SUITE_COUNT(plain); k++) {
        snprintf(call.name, sizeof call.name, "%s, %s", plain[k].name, handle);
        measure(plain[k].make, CALL_MAX);
    }
    measure_focal_batches(handle);
}

static void measure_focal_handle(fghm_focal_rule rule, double gamma, double negative_gamma,
                                 fghm_hessian_mode mode, double margin) {
    char handle[96];
    call.focal = NULL;
    assert_int_equal(fghm_focal_create(&call.focal), FGHM_OK);
    if (margin > 0) { /* and what else there is of newer settings */
        assert_int_equal(fghm_focal_set_margin(call.focal, margin), FGHM_OK);
        assert_int_equal(fghm_focal_set_detached(call.focal, 1), FGHM_OK);
        assert_int_equal(fghm_focal_set_positive_weight(call.focal, 3), FGHM_OK);
        assert_int_equal(fghm_focal_set_hessian_factor(call.focal, 2), FGHM_OK);
    }
    assert_int_equal(fghm_focal_set_rule(call.focal, rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(call.focal, gamma), FGHM_OK);
    if (negative_gamma >= 0) {
        assert_int_equal(fghm_focal_set_negative_gamma(call.focal, negative_gamma), FGHM_OK);
    }
    assert_int_equal(fghm_focal_set_hessian_mode(call.focal, mode), FGHM_OK);
    snprintf(handle, sizeof handle, "rule %d, gamma %g, %g, margin %g, %s", rule, gamma,
             negative_gamma, margin, call.pool == NULL ? "alone" : "pool");
    measure_focal(handle);
    fghm_focal_destroy(call.focal);
}

static void measure_focal_handles(void) {
    begin();
    for (fghm_focal_rule rule = 0; rule < FGHM_FOCAL_RULE_HEATMAP; rule++) {
        measure_focal_handle(rule, 2, -1, FGHM_HESSIAN_EXACT, 0);
        measure_focal_handle(rule, 1.7, -1, FGHM_HESSIAN_GAUSS_NEWTON, 0);
    }
    measure_focal_handle(FGHM_FOCAL_RULE_HEATMAP, 2, -1, FGHM_HESSIAN_EXACT, 0);
    measure_focal_handle(FGHM_FOCAL_RULE_LINEAR, 0, -1, FGHM_HESSIAN_FLOORED, 0);
    measure_focal_handle(FGHM_FOCAL_RULE_LINEAR, 1, 4, FGHM_HESSIAN_ABSOLUTE, 0);
    measure_focal_handle(FGHM_FOCAL_RULE_LINEAR, 1, 4, FGHM_HESSIAN_GRADIENT, 0.05);
    measure_focal_handle(FGHM_FOCAL_RULE_SPLIT, 0.3, 1.7, FGHM_HESSIAN_EXACT, 0);
    end();
}

static void focal_alone(void **state) {
    (void)state;
    call.pool = NULL;
    measure_focal_handles();
}

static void focal_with_a_pool(void **state) {
    (void)state;
    call.pool = painted_pool();
    measure_focal_handles();
    fghm_pool_destroy(call.pool);
}

/* GHM -------------------------------------------------------------------------------------------
 */

static size_t counts_size(void) {
    size_t size = 0;
    assert_int_equal(fghm_ghm_get_counts_size(call.ghm, &size), FGHM_OK);
    assert_true(size <= SUITE_COUNT(data.counts));
    return size;
}

static fghm_status call_step_f32(void) {
    double loss;
    return fghm_ghm_step_f32(call.ghm, call.pool, ELEMENTS, data.logits_f32, data.targets_f32,
                             data.weights_f32, &loss, (float *)data.out[0], (float *)data.out[1],
                             (float *)data.out[2]);
}

static fghm_status call_step_f64(void) {
    double loss;
    return fghm_ghm_step_f64(call.ghm, call.pool, ELEMENTS, data.logits, data.targets, NULL, &loss,
                             data.out[0], data.out[1], data.out[2]);
}

static fghm_status call_count_f32(void) {
    return fghm_ghm_count_f32(call.ghm, call.pool, ELEMENTS, data.logits_f32, data.targets_f32,
                              NULL, SUITE_COUNT(data.counts), data.counts);
}

static fghm_status call_count_f64(void) {
    return fghm_ghm_count_f64(call.ghm, call.pool, ELEMENTS, data.logits, data.targets,
                              data.weights, SUITE_COUNT(data.counts), data.counts);
}

static fghm_status call_apply_f32(void) {
    double loss;
    return fghm_ghm_apply_f32(call.ghm, call.pool, ELEMENTS, data.logits_f32, data.targets_f32,
                              NULL, &loss, (float *)data.out[0], (float *)data.out[1],
                              (float *)data.out[2]);
}

static fghm_status call_apply_f64(void) {
    double loss;
    return fghm_ghm_apply_f64(call.ghm, call.pool, ELEMENTS, data.logits, data.targets,
                              data.weights, &loss, data.out[0], data.out[1], data.out[2]);
}

static fghm_status call_density_f32(void) {
    const fghm_status status =
        fghm_ghm_density_f32(call.ghm, call.pool, ELEMENTS, data.logits_f32, data.targets_f32,
                             data.weights_f32, (float *)data.out[0]);
    return status == FGHM_ERROR_KIND ? FGHM_ERROR_COMBINATION : status;
}

static fghm_status call_density_f64(void) {
    const fghm_status status = fghm_ghm_density_f64(call.ghm, call.pool, ELEMENTS, data.logits,
                                                    data.targets, NULL, data.out[0]);
    return status == FGHM_ERROR_KIND ? FGHM_ERROR_COMBINATION : status;
}

static fghm_status call_update(void) {
    return fghm_ghm_update(call.ghm, SUITE_COUNT(data.counts), data.counts);
}

/* All that turns a handle into another one. */
static fghm_status call_copies(void) {
    fghm_ghm *copy = NULL, *loaded = NULL;
    size_t size = 0, bins = 0;
    fghm_status status = fghm_ghm_get_state_size(call.ghm, &size);
    void *const state_bytes = malloc(size);
    const bool good =
        status == FGHM_OK && state_bytes != NULL &&
        (status = fghm_ghm_save(call.ghm, size, state_bytes)) == FGHM_OK &&
        (status = fghm_ghm_load(call.ghm, size, state_bytes)) == FGHM_OK &&
        (status = fghm_ghm_create_from_state(&loaded, size, state_bytes)) == FGHM_OK &&
        (status = fghm_ghm_clone(call.ghm, &copy)) == FGHM_OK &&
        (status = fghm_ghm_reset(copy)) == FGHM_OK &&
        (status = fghm_ghm_get_bins(copy, &bins)) == FGHM_OK &&
        (status = fghm_ghm_set_bins(copy, bins > 10 ? bins - 1 : 11)) == FGHM_OK;
    (void)good;
    free(state_bytes);
    fghm_ghm_destroy(copy);
    fghm_ghm_destroy(loaded);
    return status;
}

static fghm_status call_step_batch(void) {
    fghm_result result = FGHM_RESULT_INIT;
    return fghm_ghm_step_batch(call.ghm, call.pool, &call.batch, &result);
}

static fghm_status call_count_batch(void) {
    fghm_result result = FGHM_RESULT_INIT;
    return fghm_ghm_count_batch(call.ghm, call.pool, &call.batch, SUITE_COUNT(data.counts),
                                data.counts, &result);
}

static fghm_status call_apply_batch(void) {
    fghm_result result = FGHM_RESULT_INIT;
    return fghm_ghm_apply_batch(call.ghm, call.pool, &call.batch, &result);
}

struct ghm_call {
    const char *name;
    fghm_status (*make)(void);
};

static void measure_ghm_call(const struct ghm_call *one, const char *handle, size_t most) {
    snprintf(call.name, sizeof call.name, "%s, %s", one->name, handle);
    memset(data.counts, 0, counts_size() * sizeof data.counts[0]);
    measure(one->make, most);
}

static void measure_ghm_batches(const char *handle, bool many, size_t most) {
    static const struct ghm_call batched[] = {{"ghm step batch", call_step_batch},
                                              {"ghm count batch", call_count_batch},
                                              {"ghm apply batch", call_apply_batch}};
    for (size_t k = 0; k < SUITE_COUNT(dtypes_of_logits); k++) {
        for (int form = 0; form < PROBABILITY; form++) {
            if (form == SCORES || (many && is_softmax((enum form)form))) {
                continue;
            }
            for (int extras = 0; extras < 2; extras++) {
                char of[128];
                set_batch(dtypes_of_logits[k], (enum form)form, extras != 0, false);
                call.batch.label_smoothing = 0; /* not in regression */
                snprintf(of, sizeof of, "%s, %s, dtype %d, extras %d", handle, form_names[form],
                         dtypes_of_logits[k], extras);
                for (size_t i = 0; i < SUITE_COUNT(batched); i++) {
                    measure_ghm_call(&batched[i], of, most);
                }
            }
        }
    }
}

static void measure_ghm_handle(fghm_ghm_kind kind, size_t bins, size_t histograms, size_t most) {
    static const struct ghm_call plain[] = {
        {"ghm_step_f32", call_step_f32},   {"ghm_step_f64", call_step_f64},
        {"ghm_count_f32", call_count_f32}, {"ghm_count_f64", call_count_f64},
        {"ghm_apply_f32", call_apply_f32}, {"ghm_apply_f64", call_apply_f64},
        {"density_f32", call_density_f32}, {"density_f64", call_density_f64}};
    static const struct ghm_call any[] = {{"ghm_update", call_update},
                                          {"ghm save, load, clone, set_bins", call_copies}};
    char handle[64];
    call.ghm = NULL;
    assert_int_equal(fghm_ghm_create(&call.ghm, kind), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(call.ghm, bins), FGHM_OK);
    assert_int_equal(fghm_ghm_set_histograms(call.ghm, histograms), FGHM_OK);
    snprintf(handle, sizeof handle, "kind %d, %zu bins, %zu histograms, %s", kind, bins, histograms,
             call.pool == NULL ? "alone" : "pool");
    for (size_t k = 0; k < SUITE_COUNT(plain) && histograms == 1; k++) {
        measure_ghm_call(&plain[k], handle, most);
    }
    for (size_t k = 0; k < SUITE_COUNT(any); k++) {
        measure_ghm_call(&any[k], handle, most);
    }
    measure_ghm_batches(handle, histograms > 1, most);
    fghm_ghm_destroy(call.ghm);
}

static void measure_ghm_handles(const size_t *bins, size_t count, size_t most) {
    for (size_t k = 0; k < count; k++) {
        for (fghm_ghm_kind kind = FGHM_GHM_CLASSIFICATION; kind <= FGHM_GHM_REGRESSION; kind++) {
            measure_ghm_handle(kind, bins[k], 1, most);
            measure_ghm_handle(kind, bins[k], CLASSES, most);
        }
    }
}

static const size_t few_bins[] = {10, 256}, many_bins[] = {257, FGHM_BINS_MAX};

static void ghm_alone(void **state) {
    (void)state;
    call.pool = NULL;
    begin();
    measure_ghm_handles(few_bins, SUITE_COUNT(few_bins), CALL_MAX);
    end();
}

static void ghm_with_a_pool(void **state) {
    (void)state;
    call.pool = painted_pool();
    begin();
    measure_ghm_handles(few_bins, SUITE_COUNT(few_bins), CALL_MAX);
    end();
    fghm_pool_destroy(call.pool);
}

/* With what a thread takes itself, and without its guard, which glibc takes out of its stack. */
static void many_bins_fit_a_small_thread(void **state) {
    (void)state;
    begin();
    const size_t most = THREAD_BYTES - GUARD_BYTES - empty_bytes;
    call.pool = NULL;
    measure_ghm_handles(many_bins, SUITE_COUNT(many_bins), most);
    call.pool = painted_pool();
    measure_ghm_handles(&many_bins[SUITE_COUNT(many_bins) - 1], 1, most);
    fghm_pool_destroy(call.pool);
    end();
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"focal_alone", focal_alone, 0},
        {"focal_with_a_pool", focal_with_a_pool, 0},
        {"ghm_alone", ghm_alone, 0},
        {"ghm_with_a_pool", ghm_with_a_pool, 0},
        {"many_bins_fit_a_small_thread", many_bins_fit_a_small_thread, 0},
    };
    if (skipped != NULL) {
        printf("skipped: %s\n", skipped);
        return 77;
    }
    return suite_run(argument_count, arguments, "stack", tests, SUITE_COUNT(tests));
}
