/* SPDX-License-Identifier: MIT */

/* Every function that computes, with the exceptions that hosts make into signals (invalid,
 * division by zero, overflow) unmasked, on finite data whose results are finite. */

#define _GNU_SOURCE 1

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/random.h"
#include "support/suite.h"

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__i386__))
#define TRAPS (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW)
#else
#define TRAPS_SKIPPED "no feenableexcept, or a processor that need not have traps"
#endif

enum { SMALL = 71, LARGE = 1501, BINS_MOST = 1024, ROOM = 1 << 18, CLASSES = 5, RULES = 8 };

/* What the elements are like. */
enum data { ORDINARY, HARD, EXTREME, DATA };
static const char *const data_names[] = {"ordinary", "hard targets", "extreme"};

/* What a call is given; arrays have LARGE elements. */
struct world {
    fghm_focal *focal;
    fghm_ghm *ghm;
    enum data data;
    int outputs;  /* 0: the loss alone, 1: and the gradient, 2: all */
    int weighted; /* whether there are weights, or a mask */
    size_t n;
    float *f32[3], *f32_out[4];
    double *f64[3], *f64_out[4];
    float *softmax32, *probability32;
    double *softmax64, *probability64;
    uint16_t *half[3];
    uint8_t *bytes;
    int32_t *integers;
    int64_t *labels;
    uint64_t *counts;
    unsigned char *state;
    size_t state_size;
};

/* -------------------------------------------------------------------------
 * Traps. */

static sigjmp_buf trapped;
static volatile sig_atomic_t trap_code;

static void on_trap(int signal_number, siginfo_t *information, void *context) {
    (void)signal_number;
    (void)context;
    trap_code = information->si_code;
    siglongjmp(trapped, 1);
}

#ifdef TRAPS
static void set_traps(bool on) {
    feclearexcept(FE_ALL_EXCEPT);
    if (on) {
        feenableexcept(TRAPS);
    } else {
        fedisableexcept(TRAPS);
    }
}
#else
static void set_traps(bool on) {
    (void)on;
}
#endif

static const char *trap_name(int code) {
    return code == FPE_FLTINV   ? "invalid"
           : code == FPE_FLTDIV ? "division by zero"
           : code == FPE_FLTOVF ? "overflow"
                                : "another exception";
}

typedef fghm_status call(struct world *w);

/* Whether the call ends, and ends well, with traps. */
static bool is_quiet(struct world *w, const char *name, call *run) {
    static volatile bool quiet;
    static volatile fghm_status status;
    quiet = false;
    if (sigsetjmp(trapped, 1) == 0) {
        set_traps(true);
        status = run(w);
        set_traps(false);
        quiet = status == FGHM_OK;
        if (!quiet) {
            print_error("%s, %s, n %zu: %s\n", name, data_names[w->data], w->n,
                        fghm_status_string(status));
        }
    } else {
        set_traps(false);
        print_error("%s, %s, n %zu, outputs %d%s: %s\n", name, data_names[w->data], w->n,
                    w->outputs, w->weighted ? ", weighted" : "", trap_name(trap_code));
    }
    return quiet;
}

/* -------------------------------------------------------------------------
 * Data. */

static uint16_t half_of(double x) {
    /* Multiples of 1/8 up to 8 in binary16: a handful of them are enough. */
    const double magnitude = fabs(x);
    int exponent;
    if (magnitude < 0.0625) {
        return 0;
    }
    const double fraction = frexp(fmin(magnitude, 8.0), &exponent);
    return (uint16_t)((x < 0.0) << 15 | (exponent + 14) << 10 | ((int)(fraction * 2048.0) & 1023));
}

static double logit_of(struct random *r, enum data data, double most) {
    const double special[] = {0.0,   -0.0,  1e-40, 16.6, 87.4, 103.9, 104.1,    128.5,
                              745.2, 791.9, 1e4,   7e4,  1e30, most,  0x1p-126, 0x1p-149};
    if (data == EXTREME && random_below(r, 2) == 0) {
        const double x = special[random_below(r, SUITE_COUNT(special))];
        return random_below(r, 2) == 0 ? x : -x;
    }
    return 4.0 * random_normal(r);
}

static double target_of(struct random *r, enum data data) {
    const double special[] = {1e-40, 1e-30, 0x1p-149, 0.5, 1.0 - 0x1p-24, 1e-7};
    if (data == HARD || random_below(r, 3) == 0) {
        return (double)random_below(r, 2);
    }
    return data == EXTREME && random_below(r, 2) == 0 ? special[random_below(r, 6)]
                                                      : random_uniform(r, 0.0, 1.0);
}

/* Extreme logits leave room for a sum of doubles, which is a result, too, and for harmonizing
 * weights. */
static void fill(struct world *w, enum data data, double room) {
    struct random r = random_for(1);
    w->data = data;
    for (size_t k = 0; k < LARGE; k++) {
        const double t = target_of(&r, data), weight = (double)random_below(&r, 3) / 2.0;
        w->f32[0][k] = (float)logit_of(&r, data, (double)FLT_MAX / room);
        w->f64[0][k] = logit_of(&r, data, DBL_MAX / 0x1p40);
        w->f32[1][k] = (float)t;
        w->f64[1][k] = t;
        w->f32[2][k] = (float)weight;
        w->f64[2][k] = weight;
        /* Nor may differences overflow. */
        w->softmax32[k] = w->f32[0][k] / 4.0f;
        w->softmax64[k] = w->f64[0][k] / 4.0;
        w->probability32[k] = (float)random_uniform(&r, 1e-3, 0.999);
        w->probability64[k] = (double)w->probability32[k];
        w->half[0][k] = half_of(4.0 * random_normal(&r));
        w->half[1][k] = half_of(t);
        w->half[2][k] = half_of(weight);
        w->bytes[k] = (uint8_t)(t >= 0.5);
        w->labels[k] = (int64_t)random_below(&r, CLASSES);
        w->integers[k] = random_below(&r, 9) == 0 ? -100 : (int32_t)random_below(&r, CLASSES);
    }
}

static void *array_of(size_t size) {
    void *const array = calloc(LARGE, size);
    assert_non_null(array);
    return array;
}

static struct world world_new(void) {
    struct world w = {.n = 0};
    assert_int_equal(fghm_focal_create(&w.focal), FGHM_OK);
    for (int i = 0; i < 4; i++) {
        w.f32_out[i] = array_of(sizeof(float));
        w.f64_out[i] = array_of(sizeof(double));
    }
    for (int i = 0; i < 3; i++) {
        w.f32[i] = array_of(sizeof(float));
        w.f64[i] = array_of(sizeof(double));
        w.half[i] = array_of(sizeof(uint16_t));
    }
    w.softmax32 = array_of(sizeof(float));
    w.softmax64 = array_of(sizeof(double));
    w.probability32 = array_of(sizeof(float));
    w.probability64 = array_of(sizeof(double));
    w.bytes = array_of(1);
    w.integers = array_of(sizeof(int32_t));
    w.labels = array_of(sizeof(int64_t));
    w.counts = array_of(sizeof(uint64_t));
    w.state = malloc(ROOM);
    assert_non_null(w.state);
    return w;
}

static void world_free(struct world *w) {
    for (int i = 0; i < 4; i++) {
        free(w->f32_out[i]);
        free(w->f64_out[i]);
    }
    for (int i = 0; i < 3; i++) {
        free(w->f32[i]);
        free(w->f64[i]);
        free(w->half[i]);
    }
    free(w->softmax32);
    free(w->softmax64);
    free(w->probability32);
    free(w->probability64);
    free(w->bytes);
    free(w->integers);
    free(w->labels);
    free(w->counts);
    free(w->state);
    fghm_focal_destroy(w->focal);
}

/* -------------------------------------------------------------------------
 * Calls. */

/* The outputs of a call, if they are asked for: element loss, gradient, Hessian. */
#define OUT(type, least, i) (w->outputs >= (least) ? w->type##_out[i] : NULL)
#define WEIGHTS(type) (w->weighted ? w->type[2] : NULL)

#define CONTIGUOUS(name, handle, type)                                                             \
    static fghm_status call_##name(struct world *w) {                                              \
        double loss;                                                                               \
        return name(w->handle, NULL, w->n, w->type[0], w->type[1], WEIGHTS(type), &loss,           \
                    OUT(type, 1, 0), OUT(type, 1, 1), OUT(type, 2, 2));                            \
    }
CONTIGUOUS(fghm_focal_f32, focal, f32)
CONTIGUOUS(fghm_focal_f64, focal, f64)
CONTIGUOUS(fghm_ghm_apply_f32, ghm, f32)
CONTIGUOUS(fghm_ghm_apply_f64, ghm, f64)
CONTIGUOUS(fghm_ghm_step_f32, ghm, f32)
CONTIGUOUS(fghm_ghm_step_f64, ghm, f64)

/* The handle may be a loss that has no such form. */
static fghm_status unless_other_loss(fghm_status status) {
    return status == FGHM_ERROR_COMBINATION ? FGHM_OK : status;
}

#define SOFTMAX(name, type, logits)                                                                \
    static fghm_status call_##name(struct world *w) {                                              \
        double loss;                                                                               \
        return unless_other_loss(name(w->focal, NULL, w->n / CLASSES, CLASSES, w->logits,          \
                                      w->labels, 3, WEIGHTS(type), &loss, OUT(type, 1, 0),         \
                                      OUT(type, 1, 1), OUT(type, 2, 2)));                          \
    }
SOFTMAX(fghm_focal_softmax_f32, f32, softmax32)
SOFTMAX(fghm_focal_softmax_f64, f64, softmax64)

#define CALIBRATE(name, type)                                                                      \
    static fghm_status call_##name(struct world *w) {                                              \
        return name(w->focal, NULL, w->n, w->type[0], w->type##_out[0]);                           \
    }
CALIBRATE(fghm_focal_calibrate_f32, f32)
CALIBRATE(fghm_focal_calibrate_f64, f64)

/* Not of every setting: what it says is not looked at here. */
static fghm_status unless_combination(fghm_status status) {
    return status == FGHM_ERROR_COMBINATION ? FGHM_OK : status;
}

#define CALIBRATE_SOFTMAX(name, type)                                                              \
    static fghm_status call_##name(struct world *w) {                                              \
        static const double gammas[CLASSES] = {0.0, 1.0, 0.5, 64.0, 2.0};                          \
        static const double factors[CLASSES] = {0x1p-80, 0x1p40, 1.0, 3.0, 0.5};                   \
        return unless_combination(name(w->focal, NULL, w->n / CLASSES, CLASSES, w->type[0],        \
                                       w->weighted ? gammas : NULL, factors, w->type##_out[0]));   \
    }
CALIBRATE_SOFTMAX(fghm_focal_calibrate_softmax_f32, f32)
CALIBRATE_SOFTMAX(fghm_focal_calibrate_softmax_f64, f64)

static fghm_status call_fghm_focal_best_constant_softmax(struct world *w) {
    const double frequencies[] = {1.0, (double)w->n + 0x1p-20, DBL_MAX, 5e-324};
    double logits[4];
    return unless_combination(
        fghm_focal_best_constant_softmax(w->focal, 4, frequencies, NULL, NULL, logits));
}

#define COUNT(name, type)                                                                          \
    static fghm_status call_##name(struct world *w) {                                              \
        memset(w->counts, 0, LARGE * sizeof *w->counts);                                           \
        return name(w->ghm, NULL, w->n, w->type[0], w->type[1], WEIGHTS(type), LARGE, w->counts);  \
    }
COUNT(fghm_ghm_count_f32, f32)
COUNT(fghm_ghm_count_f64, f64)

#define DENSITY(name, type)                                                                        \
    static fghm_status call_##name(struct world *w) {                                              \
        return name(w->ghm, NULL, w->n, w->type[0], w->type[1], WEIGHTS(type), w->type##_out[0]);  \
    }
DENSITY(fghm_ghm_density_f32, f32)
DENSITY(fghm_ghm_density_f64, f64)

static fghm_status call_fghm_focal_best_constant(struct world *w) {
    double logit;
    const fghm_status status =
        fghm_focal_best_constant(w->focal, 1.0, (double)w->n + 0x1p-20, &logit);
    return unless_combination(status); /* alpha 0 or 1: there is none */
}

/* The batch of n elements, one after the other; `double_` or single precision. */
static fghm_batch dense_batch(const struct world *w, bool is_double, bool is_probability) {
    fghm_batch batch = FGHM_BATCH_INIT;
    const fghm_dtype dtype = is_double ? FGHM_F64 : FGHM_F32;
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = (int64_t)w->n;
    batch.shape[1] = 1;
    batch.activation = is_probability ? FGHM_PROBABILITY : FGHM_SIGMOID;
    batch.logits.dtype = batch.targets.dtype = batch.weights.dtype = dtype;
    batch.element_loss.dtype = batch.gradient.dtype = batch.hessian.dtype = dtype;
    if (is_double) {
        batch.logits.data = is_probability ? w->probability64 : w->f64[0];
        batch.targets.data = w->f64[1];
        batch.weights.data = WEIGHTS(f64);
        batch.element_loss.data = OUT(f64, 1, 0);
        batch.gradient.data = OUT(f64, 1, 1);
        batch.hessian.data = OUT(f64, 2, 2);
    } else {
        batch.logits.data = is_probability ? w->probability32 : w->f32[0];
        batch.targets.data = w->f32[1];
        batch.weights.data = WEIGHTS(f32);
        batch.element_loss.data = OUT(f32, 1, 0);
        batch.gradient.data = OUT(f32, 1, 1);
        batch.hessian.data = OUT(f32, 2, 2);
    }
    return batch;
}

/* The batch of one row of classes for each label; `softmax`, or each class for itself. */
static fghm_batch label_batch(const struct world *w, bool softmax) {
    fghm_batch batch = dense_batch(w, false, false);
    batch.shape[0] = (int64_t)w->n / CLASSES;
    batch.shape[1] = CLASSES;
    batch.activation = softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
    batch.logits.data = w->softmax32;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.targets = (fghm_input){.data = w->integers, .dtype = FGHM_I32};
    batch.ignore_index = -100;
    batch.weights.layout = FGHM_LAYOUT_PER_SAMPLE;
    return batch;
}

/* Elements that are stored in few bits, some of them ignored. */
static fghm_batch half_batch(const struct world *w) {
    fghm_batch batch = dense_batch(w, false, false);
    batch.logits = (fghm_input){.data = w->half[0], .dtype = FGHM_F16};
    batch.targets = (fghm_input){.data = w->half[1], .dtype = FGHM_F16};
    batch.weights = (fghm_input){.data = w->weighted ? w->half[2] : NULL, .dtype = FGHM_F16};
    batch.ignore_index = 1;
    return batch;
}

typedef fghm_status batch_call(struct world *w, const fghm_batch *batch, fghm_result *result);

static fghm_status focal_batch(struct world *w, const fghm_batch *batch, fghm_result *result) {
    return unless_other_loss(fghm_focal_batch(w->focal, NULL, batch, result));
}

static fghm_status apply_batch(struct world *w, const fghm_batch *batch, fghm_result *result) {
    return fghm_ghm_apply_batch(w->ghm, NULL, batch, result);
}

static fghm_status step_batch(struct world *w, const fghm_batch *batch, fghm_result *result) {
    return fghm_ghm_step_batch(w->ghm, NULL, batch, result);
}

static fghm_status count_batch(struct world *w, const fghm_batch *batch, fghm_result *result) {
    fghm_batch inputs = *batch;
    memset(w->counts, 0, LARGE * sizeof *w->counts);
    inputs.element_loss.data = inputs.gradient.data = inputs.hessian.data = NULL;
    return fghm_ghm_count_batch(w->ghm, NULL, &inputs, LARGE, w->counts, result);
}

/* All kinds of batches that the handle can have. */
static fghm_status every_batch(struct world *w, batch_call *run) {
    static const double class_factors[CLASSES] = {1.0, 0.5, 0.0, 2.0, 1.0};
    fghm_ghm_kind kind = FGHM_GHM_CLASSIFICATION;
    const bool focal = run == focal_batch;
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batches[12];
    size_t count = 0;
    if (!focal && fghm_ghm_get_kind(w->ghm, &kind) != FGHM_OK) {
        return FGHM_ERROR_KIND;
    }
    batches[count++] = dense_batch(w, false, false);
    batches[count++] = dense_batch(w, true, false);
    batches[count++] = half_batch(w);
    if (kind == FGHM_GHM_CLASSIFICATION) {
        batches[count++] = label_batch(w, false);
        batches[count++] = label_batch(w, true);
    }
    if (focal) {
        batches[count++] = dense_batch(w, false, true);
        batches[count++] = dense_batch(w, true, true);
        batches[count] = label_batch(w, false);
        batches[count].class_weights = class_factors;
        batches[count++].label_smoothing = 0.25;
        batches[count] = label_batch(w, true);
        batches[count++].class_weights = class_factors;
        batches[count] = label_batch(w, false);
        batches[count].activation = FGHM_PROBABILITY;
        batches[count].logits.data = w->probability32;
        batches[count++].label_smoothing = 0.25;
    }
    /* Sums of several logits that are as large as numbers can be are too large. */
    if (focal && w->data != EXTREME) {
        batches[count] = label_batch(w, true);
        batches[count].class_weights = class_factors;
        batches[count++].label_smoothing = 0.25;
        batches[count] = dense_batch(w, false, false);
        batches[count].shape[0] = (int64_t)w->n / CLASSES;
        batches[count].shape[1] = CLASSES;
        batches[count].activation = FGHM_SOFTMAX;
        batches[count].logits.data = w->softmax32;
        batches[count++].weights.layout = FGHM_LAYOUT_PER_SAMPLE;
    }
    for (size_t i = 0; i < count; i++) {
        const fghm_status status = run(w, &batches[i], &result);
        if (status != FGHM_OK) {
            return status;
        }
    }
    return FGHM_OK;
}

#define BATCH(name, run)                                                                           \
    static fghm_status call_##name(struct world *w) {                                              \
        return every_batch(w, run);                                                                \
    }
BATCH(fghm_focal_batch, focal_batch)
BATCH(fghm_ghm_apply_batch, apply_batch)
BATCH(fghm_ghm_step_batch, step_batch)
BATCH(fghm_ghm_count_batch, count_batch)

/* Functions of a GHM handle alone; n stands for all there is to choose. */
static fghm_status call_fghm_ghm_create(struct world *w) {
    fghm_ghm *ghm;
    const fghm_status status =
        fghm_ghm_create(&ghm, w->n % 2 ? FGHM_GHM_CLASSIFICATION : FGHM_GHM_REGRESSION);
    fghm_ghm_destroy(ghm);
    return status;
}

static fghm_status call_fghm_ghm_clone(struct world *w) {
    fghm_ghm *ghm = NULL;
    const fghm_status status = fghm_ghm_clone(w->ghm, &ghm);
    fghm_ghm_destroy(ghm);
    return status;
}

static fghm_status call_fghm_ghm_save(struct world *w) {
    const fghm_status status = fghm_ghm_get_state_size(w->ghm, &w->state_size);
    return status == FGHM_OK ? fghm_ghm_save(w->ghm, ROOM, w->state) : status;
}

static fghm_status call_fghm_ghm_load(struct world *w) {
    const fghm_status status = call_fghm_ghm_save(w);
    return status == FGHM_OK ? fghm_ghm_load(w->ghm, w->state_size, w->state) : status;
}

static fghm_status call_fghm_ghm_create_from_state(struct world *w) {
    fghm_ghm *ghm = NULL;
    fghm_status status = call_fghm_ghm_save(w);
    if (status == FGHM_OK) {
        status = fghm_ghm_create_from_state(&ghm, w->state_size, w->state);
    }
    fghm_ghm_destroy(ghm);
    return status;
}

/* With none, few, and as many counts as there can be, of a handle that is not used again. */
static fghm_status call_fghm_ghm_update(struct world *w) {
    size_t size;
    fghm_ghm *ghm = NULL;
    fghm_status status = fghm_ghm_clone(w->ghm, &ghm);
    if (status == FGHM_OK) {
        status = fghm_ghm_get_counts_size(ghm, &size);
    }
    for (int i = 0; status == FGHM_OK && i < 3; i++) {
        for (size_t k = 0; k < size; k++) {
            w->counts[k] = i == 0 ? 0 : i == 1 ? k % 3 : UINT64_MAX / size;
        }
        status = fghm_ghm_update(ghm, size, w->counts);
    }
    fghm_ghm_destroy(ghm);
    return status;
}

static fghm_status call_fghm_ghm_get_averages(struct world *w) {
    return fghm_ghm_get_averages(w->ghm, LARGE, w->f64_out[0]);
}

static fghm_status call_fghm_ghm_get_edges(struct world *w) {
    return fghm_ghm_get_edges(w->ghm, LARGE, w->f64_out[0]);
}

/* The tables of a handle, of many kinds, as one of its own. */
static fghm_status with_new_handle(struct world *w, fghm_status (*set)(fghm_ghm *ghm, size_t n)) {
    fghm_ghm *ghm = NULL;
    fghm_status status =
        fghm_ghm_create(&ghm, w->n % 2 ? FGHM_GHM_CLASSIFICATION : FGHM_GHM_REGRESSION);
    if (status == FGHM_OK) {
        status = set(ghm, w->n);
    }
    fghm_ghm_destroy(ghm);
    return status;
}

static fghm_status set_bins(fghm_ghm *ghm, size_t n) {
    return fghm_ghm_set_bins(ghm, n >= BINS_MOST ? BINS_MOST : n + 1);
}

static fghm_status set_edges(fghm_ghm *ghm, size_t n) {
    const double edges[] = {0.0, n % 4 < 2 ? DBL_MIN : 0x1p-60, 0.25, 0.5, 1.0 - 0x1p-53, 1.0};
    return fghm_ghm_set_edges(ghm, 5, edges);
}

static fghm_status set_histograms(fghm_ghm *ghm, size_t n) {
    return fghm_ghm_set_histograms(ghm, 1 + n % 9);
}

static fghm_status set_mu(fghm_ghm *ghm, size_t n) {
    fghm_ghm_kind kind;
    const double mu[] = {1e-30, 1e30, 0.02, 1.0};
    const fghm_status status = fghm_ghm_get_kind(ghm, &kind);
    return status != FGHM_OK || kind != FGHM_GHM_REGRESSION ? status
                                                            : fghm_ghm_set_mu(ghm, mu[n / 2 % 4]);
}

#define TABLES(name, set)                                                                          \
    static fghm_status call_##name(struct world *w) {                                              \
        return with_new_handle(w, set);                                                            \
    }
TABLES(fghm_ghm_set_bins, set_bins)
TABLES(fghm_ghm_set_edges, set_edges)
TABLES(fghm_ghm_set_histograms, set_histograms)
TABLES(fghm_ghm_set_mu, set_mu)

/* Settings that the weights of the history depend on. */
static fghm_status call_fghm_ghm_set_momentum(struct world *w) {
    return fghm_ghm_set_momentum(w->ghm, 0.0);
}

static fghm_status call_fghm_ghm_set_divisor(struct world *w) {
    return fghm_ghm_set_divisor(w->ghm, FGHM_GHM_DIVISOR_NONEMPTY_BINS);
}

static fghm_status call_fghm_ghm_set_weight_cap(struct world *w) {
    return fghm_ghm_set_weight_cap(w->ghm, (double)INFINITY);
}

static fghm_status call_fghm_ghm_set_loss_weight(struct world *w) {
    const fghm_status status = fghm_ghm_set_loss_weight(w->ghm, 0.0);
    return status == FGHM_OK ? fghm_ghm_set_loss_weight(w->ghm, 1.0) : status;
}

static fghm_status call_fghm_ghm_reset(struct world *w) {
    return fghm_ghm_reset(w->ghm);
}

struct function {
    const char *name;
    call *run;
};

#define ROW(name)                                                                                  \
    { #name, call_##name }

static const struct function of_focal[] = {
    ROW(fghm_focal_f32),
    ROW(fghm_focal_f64),
    ROW(fghm_focal_batch),
    ROW(fghm_focal_softmax_f32),
    ROW(fghm_focal_softmax_f64),
    ROW(fghm_focal_calibrate_f32),
    ROW(fghm_focal_calibrate_f64),
    ROW(fghm_focal_best_constant),
    ROW(fghm_focal_calibrate_softmax_f32),
    ROW(fghm_focal_calibrate_softmax_f64),
    ROW(fghm_focal_best_constant_softmax),
};

static const struct function of_ghm[] = {
    ROW(fghm_ghm_create),         ROW(fghm_ghm_set_bins),
    ROW(fghm_ghm_set_edges),      ROW(fghm_ghm_set_histograms),
    ROW(fghm_ghm_set_mu),         ROW(fghm_ghm_get_edges),
    ROW(fghm_ghm_count_f32),      ROW(fghm_ghm_count_f64),
    ROW(fghm_ghm_count_batch),    ROW(fghm_ghm_apply_f32),
    ROW(fghm_ghm_apply_f64),      ROW(fghm_ghm_apply_batch),
    ROW(fghm_ghm_step_f32),       ROW(fghm_ghm_step_f64),
    ROW(fghm_ghm_step_batch),     ROW(fghm_ghm_get_averages),
    ROW(fghm_ghm_set_momentum),   ROW(fghm_ghm_set_divisor),
    ROW(fghm_ghm_set_weight_cap), ROW(fghm_ghm_set_loss_weight),
    ROW(fghm_ghm_clone),          ROW(fghm_ghm_save),
    ROW(fghm_ghm_load),           ROW(fghm_ghm_create_from_state),
    ROW(fghm_ghm_update),         ROW(fghm_ghm_reset),
};

static const struct function of_density[] = {
    ROW(fghm_ghm_density_f32),
    ROW(fghm_ghm_density_f64),
};

/* Functions without arithmetic: they copy, compare or convert at most. */
static const char *const without_arithmetic[] = {
    "fghm_batch_init",
    "fghm_batch_reach",
    "fghm_field_name",
    "fghm_focal_clear_alpha",
    "fghm_focal_clear_negative_gamma",
    "fghm_focal_clear_positive_weight",
    "fghm_focal_clone",
    "fghm_focal_create",
    "fghm_focal_destroy",
    "fghm_focal_get_alpha",
    "fghm_focal_get_beta",
    "fghm_focal_get_margin",
    "fghm_focal_get_detached",
    "fghm_focal_get_gamma",
    "fghm_focal_get_hessian_factor",
    "fghm_focal_get_hessian_floor",
    "fghm_focal_get_hessian_mode",
    "fghm_focal_get_loss_weight",
    "fghm_focal_get_negative_gamma",
    "fghm_focal_get_normalizer",
    "fghm_focal_get_positive_weight",
    "fghm_focal_get_reduction",
    "fghm_focal_get_rule",
    "fghm_focal_set_alpha",
    "fghm_focal_set_beta",
    "fghm_focal_set_margin",
    "fghm_focal_set_detached",
    "fghm_focal_set_gamma",
    "fghm_focal_set_hessian_factor",
    "fghm_focal_set_hessian_floor",
    "fghm_focal_set_hessian_mode",
    "fghm_focal_set_loss_weight",
    "fghm_focal_set_negative_gamma",
    "fghm_focal_set_normalizer",
    "fghm_focal_set_positive_weight",
    "fghm_focal_set_reduction",
    "fghm_focal_set_rule",
    "fghm_ghm_destroy",
    "fghm_ghm_get_bins",
    "fghm_ghm_get_counts",
    "fghm_ghm_get_counts_size",
    "fghm_ghm_get_divisor",
    "fghm_ghm_get_histograms",
    "fghm_ghm_get_kind",
    "fghm_ghm_get_loss_weight",
    "fghm_ghm_get_momentum",
    "fghm_ghm_get_momentum_rule",
    "fghm_ghm_get_mu",
    "fghm_ghm_get_nonempty",
    "fghm_ghm_get_normalizer",
    "fghm_ghm_get_reduction",
    "fghm_ghm_get_state_size",
    "fghm_ghm_get_steps",
    "fghm_ghm_get_weight_cap",
    "fghm_ghm_get_weights",
    "fghm_ghm_set_momentum_rule",
    "fghm_ghm_set_normalizer",
    "fghm_ghm_set_reduction",
    "fghm_isa_name",
    "fghm_numerics_revision",
    "fghm_place_name",
    "fghm_pool_create",
    "fghm_pool_create_from",
    "fghm_pool_destroy",
    "fghm_pool_get_threads",
    "fghm_result_init",
    "fghm_status_name",
    "fghm_status_string",
    "fghm_version",
    "fghm_version_number",
};

/* -------------------------------------------------------------------------
 * Tests. */

static void start(void) {
#ifdef TRAPS_SKIPPED
    print_message("skipped: %s\n", TRAPS_SKIPPED);
    skip();
#else
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGFPE, &action, NULL), 0);
#endif
}

/* That a trap is seen at all, or nothing here could fail. */
static fghm_status divide_by_zero(struct world *w) {
    static volatile double zero;
    w->f64_out[0][0] = 1.0 / zero;
    return FGHM_OK;
}

static void a_trap_is_seen(void **state) {
    struct world w = world_new();
    (void)state;
    start();
    assert_false(is_quiet(&w, "as it should be", divide_by_zero));
    assert_int_equal(trap_code, FPE_FLTDIV);
    world_free(&w);
}

/* Every size up to a few registers, those of a third with each set of outputs, and a large one;
 * returns how many calls were not quiet. */
static size_t all_sizes(struct world *w, const struct function *functions, size_t count) {
    const size_t step = 3, first = (size_t)w->outputs;
    size_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        size_t own = 0;
        for (size_t n = first; n < SMALL && own < 3; n += step) {
            w->n = n;
            own += !is_quiet(w, functions[i].name, functions[i].run);
        }
        if (w->outputs == 2 && own < 3) {
            w->n = LARGE;
            own += !is_quiet(w, functions[i].name, functions[i].run);
        }
        failures += own;
    }
    return failures;
}

/* With all outputs and weights that there are, in turn. */
static size_t all_arrays(struct world *w, const struct function *functions, size_t count) {
    size_t failures = 0;
    for (w->weighted = 0; w->weighted < 2; w->weighted++) {
        for (w->outputs = 0; w->outputs < 3; w->outputs++) {
            failures += all_sizes(w, functions, count);
        }
    }
    return failures;
}

static void focal_losses(void **state) {
    const double gammas[] = {0.0, 0.5, 1.0, 2.0, 3.7, 64.0};
    const double alphas[] = {-1.0, 0.25, 0.0};
    struct world w = world_new();
    size_t failures = 0;
    (void)state;
    start();
    for (enum data data = 0; data < DATA; data++) {
        fill(&w, data, 1.0);
        /* The rules take turns, and two gammas with the first: each meets each gamma. */
        for (size_t k = 0; k < SUITE_COUNT(gammas) * (RULES + 1); k++) {
            const fghm_focal_rule rule = (fghm_focal_rule)(k % (RULES + 1) % RULES);
            const size_t turn = k / (RULES + 1);
            const double gamma = gammas[turn];
            const double alpha = rule == FGHM_FOCAL_RULE_HEATMAP ? 0.25 : alphas[k % 3];
            if (rule == FGHM_FOCAL_RULE_STAR && (gamma == 0.0 || data != HARD)) {
                continue;
            }
            assert_int_equal(fghm_focal_set_gamma(w.focal, gamma), FGHM_OK);
            assert_int_equal(fghm_focal_clear_negative_gamma(w.focal), FGHM_OK);
            if (k % (RULES + 1) == RULES) {
                assert_int_equal(fghm_focal_set_negative_gamma(w.focal, 1.5), FGHM_OK);
            }
            assert_int_equal(fghm_focal_set_rule(w.focal, rule), FGHM_OK);
            assert_int_equal(fghm_focal_set_beta(w.focal, (double)turn), FGHM_OK);
            assert_int_equal(alpha < 0.0 ? fghm_focal_clear_alpha(w.focal)
                                         : fghm_focal_set_alpha(w.focal, alpha),
                             FGHM_OK);
            assert_int_equal(
                fghm_focal_set_hessian_mode(w.focal, (fghm_hessian_mode)((turn + k) % 5)), FGHM_OK);
            assert_int_equal(fghm_focal_set_hessian_factor(w.focal, k % 4 == 3 ? 2.0 : 1.0),
                             FGHM_OK);
            failures += all_arrays(&w, of_focal, SUITE_COUNT(of_focal));
            if (failures > 20) {
                fail_msg("rule %d, gamma %g, alpha %g", rule, gamma, alpha);
            }
        }
    }
    assert_int_equal(failures, 0);
    world_free(&w);
}

static void harmonized_losses(void **state) {
    static const double edges[] = {0.0, 1e-30, 0.125, 0.3, 0.300001, 0.99, 1.0};
    const size_t bins[] = {1, 10, 30, 100, 300, BINS_MOST, 0};
    struct world w = world_new();
    size_t failures = 0;
    (void)state;
    start();
    for (enum data data = 0; data < DATA; data++) {
        fill(&w, data, 0x1p20);
        for (size_t k = 0; k < 2 * SUITE_COUNT(bins); k++) {
            const bool regression = k % 2 == 1;
            const size_t b = bins[k / 2];
            assert_int_equal(
                fghm_ghm_create(&w.ghm, regression ? FGHM_GHM_REGRESSION : FGHM_GHM_CLASSIFICATION),
                FGHM_OK);
            assert_int_equal(
                b > 0 ? fghm_ghm_set_bins(w.ghm, b) : fghm_ghm_set_edges(w.ghm, 6, edges), FGHM_OK);
            assert_int_equal(fghm_ghm_set_momentum(w.ghm, k % 4 < 2 ? 0.0 : 0.75), FGHM_OK);
            failures += all_arrays(&w, of_ghm, SUITE_COUNT(of_ghm));
            if (!regression) {
                failures += all_arrays(&w, of_density, SUITE_COUNT(of_density));
            }
            fghm_ghm_destroy(w.ghm);
            if (failures > 20) {
                fail_msg("%s, %zu bins", regression ? "regression" : "classification", b);
            }
        }
    }
    assert_int_equal(failures, 0);
    world_free(&w);
}

/* -------------------------------------------------------------------------
 * The list of the source tree. */

static bool is_among(const struct function *functions, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in_a_table(const char *name) {
    for (size_t i = 0; i < SUITE_COUNT(without_arithmetic); i++) {
        if (strcmp(without_arithmetic[i], name) == 0) {
            return true;
        }
    }
    return is_among(of_focal, SUITE_COUNT(of_focal), name) ||
           is_among(of_ghm, SUITE_COUNT(of_ghm), name) ||
           is_among(of_density, SUITE_COUNT(of_density), name);
}

static void every_function_is_here(void **state) {
    FILE *const file = fopen(TEST_SOURCE_DIR "/../cmake/symbols.txt", "r");
    char line[256], name[256];
    size_t count = 0;
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%255s", name) == 1 && name[0] != '#') {
            count++;
            if (!is_in_a_table(name)) {
                fail_msg("%s is in none of the tables", name);
            }
        }
    }
    fclose(file);
    assert_int_equal(count, SUITE_COUNT(of_focal) + SUITE_COUNT(of_ghm) + SUITE_COUNT(of_density) +
                                SUITE_COUNT(without_arithmetic));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"a_trap_is_seen", a_trap_is_seen, 0},
        {"focal_losses", focal_losses, 0},
        {"harmonized_losses", harmonized_losses, 0},
        {"every_function_is_here", every_function_is_here, 0},
    };
    return suite_run(argument_count, arguments, "traps", tests, SUITE_COUNT(tests));
}
