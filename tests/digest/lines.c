/* SPDX-License-Identifier: MIT */
#include "lines.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#define N 5003 /* several chunks and a rest */
#define CLASSES 7

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Ends the program. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition);                    \
            exit(EXIT_FAILURE);                                                                    \
        }                                                                                          \
    } while (0)

#define REQUIRE_OK(call) REQUIRE((call) == FGHM_OK)

/* Types: one with the library's functions for it ----------------------------------------- */

#define TYPE(real, suffix)                                                                         \
    static double get_##suffix(const void *array, size_t i) {                                      \
        return (double)((const real *)array)[i];                                                   \
    }                                                                                              \
    static void put_##suffix(void *array, size_t i, double value) {                                \
        ((real *)array)[i] = (real)value;                                                          \
    }                                                                                              \
    static fghm_status focal_##suffix(const fghm_focal *focal, const void *logits,                 \
                                      const void *targets, const void *weights, double *loss,      \
                                      void *const *out) {                                          \
        return fghm_focal_##suffix(focal, NULL, N, logits, targets, weights, loss, out[0], out[1], \
                                   out[2]);                                                        \
    }                                                                                              \
    static fghm_status softmax_##suffix(const fghm_focal *focal, const void *logits,               \
                                        const int64_t *labels, const void *weights, double *loss,  \
                                        void *const *out) {                                        \
        return fghm_focal_softmax_##suffix(focal, NULL, N / CLASSES, CLASSES, logits, labels,      \
                                           CLASSES, weights, loss, out[0], out[1], out[2]);        \
    }                                                                                              \
    static fghm_status calibrate_##suffix(const fghm_focal *focal, const void *logits,             \
                                          void *probabilities) {                                   \
        return fghm_focal_calibrate_##suffix(focal, NULL, N, logits, probabilities);               \
    }                                                                                              \
    static fghm_status calibrate_softmax_##suffix(const fghm_focal *focal, size_t rows,            \
                                                  const void *logits, const double *gammas,        \
                                                  const double *factors, void *probabilities) {    \
        return fghm_focal_calibrate_softmax_##suffix(focal, NULL, rows, CLASSES, logits, gammas,   \
                                                     factors, probabilities);                      \
    }                                                                                              \
    static fghm_status step_##suffix(fghm_ghm *ghm, const void *inputs, const void *targets,       \
                                     const void *mask, double *loss, void *const *out) {           \
        return fghm_ghm_step_##suffix(ghm, NULL, N, inputs, targets, mask, loss, out[0], out[1],   \
                                      out[2]);                                                     \
    }                                                                                              \
    static fghm_status count_##suffix(const fghm_ghm *ghm, const void *inputs,                     \
                                      const void *targets, const void *mask, uint64_t *counts) {   \
        return fghm_ghm_count_##suffix(ghm, NULL, N, inputs, targets, mask, FGHM_BINS_MAX + 1,     \
                                       counts);                                                    \
    }                                                                                              \
    static fghm_status apply_##suffix(const fghm_ghm *ghm, const void *inputs,                     \
                                      const void *targets, const void *mask, double *loss,         \
                                      void *const *out) {                                          \
        return fghm_ghm_apply_##suffix(ghm, NULL, N, inputs, targets, mask, loss, out[0], out[1],  \
                                       out[2]);                                                    \
    }                                                                                              \
    static fghm_status density_##suffix(const fghm_ghm *ghm, const void *inputs,                   \
                                        const void *targets, const void *mask, void *weights) {    \
        return fghm_ghm_density_##suffix(ghm, NULL, N, inputs, targets, mask, weights);            \
    }

TYPE(float, f32)
TYPE(double, f64)

static const struct type {
    const char *name;
    size_t size;
    fghm_dtype dtype;
    double (*get)(const void *array, size_t i);
    void (*put)(void *array, size_t i, double value);
    fghm_status (*focal)(const fghm_focal *focal, const void *logits, const void *targets,
                         const void *weights, double *loss, void *const *out);
    fghm_status (*softmax)(const fghm_focal *focal, const void *logits, const int64_t *labels,
                           const void *weights, double *loss, void *const *out);
    fghm_status (*calibrate)(const fghm_focal *focal, const void *logits, void *probabilities);
    fghm_status (*calibrate_softmax)(const fghm_focal *focal, size_t rows, const void *logits,
                                     const double *gammas, const double *factors,
                                     void *probabilities);
    fghm_status (*step)(fghm_ghm *ghm, const void *inputs, const void *targets, const void *mask,
                        double *loss, void *const *out);
    fghm_status (*count)(const fghm_ghm *ghm, const void *inputs, const void *targets,
                         const void *mask, uint64_t *counts);
    fghm_status (*apply)(const fghm_ghm *ghm, const void *inputs, const void *targets,
                         const void *mask, double *loss, void *const *out);
    fghm_status (*density)(const fghm_ghm *ghm, const void *inputs, const void *targets,
                           const void *mask, void *weights);
} types[] = {
    {"f32", sizeof(float), FGHM_F32, get_f32, put_f32, focal_f32, softmax_f32, calibrate_f32,
     calibrate_softmax_f32, step_f32, count_f32, apply_f32, density_f32},
    {"f64", sizeof(double), FGHM_F64, get_f64, put_f64, focal_f64, softmax_f64, calibrate_f64,
     calibrate_softmax_f64, step_f64, count_f64, apply_f64, density_f64},
};

static void *new_array(const struct type *type) {
    void *const array = calloc(N, type->size);
    REQUIRE(array != NULL);
    return array;
}

/* FNV-1a, 64 bits, over values from the lowest byte on; every NaN is the same. */
static uint64_t digest_start(void) {
    return UINT64_C(0xcbf29ce484222325);
}

static uint64_t digest_bits(uint64_t digest, uint64_t bits, size_t bytes) {
    for (size_t k = 0; k < bytes; k++) {
        digest = (digest ^ (bits >> (8 * k) & 0xff)) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static uint64_t digest_double(uint64_t digest, double x) {
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (!isnan(x)) {
        memcpy(&bits, &x, sizeof bits);
    }
    return digest_bits(digest, bits, sizeof bits);
}

static uint64_t digest_array(uint64_t digest, const struct type *d, const void *array, size_t n) {
    for (size_t i = 0; i < n; i++) {
        digest = digest_double(digest, d->get(array, i));
    }
    return digest;
}

/* Inputs --------------------------------------------------------------------------- */

/* A linear congruential generator modulo 2^64 (Knuth's MMIX). */
static uint64_t next_number(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

struct inputs {
    const struct type *d;
    bool finite;
    void *logits, *hard, *soft, *weights, *probabilities, *all_digits;
    int32_t labels[N];
    void *out[3];
};

/* Multiples of powers of two, which both types have. */
static double fraction(uint64_t *state, int bits) {
    return ldexp((double)(next_number(state) & ((UINT64_C(1) << bits) - 1)), -bits);
}

/* With NaN, infinity and numbers far out among them, or without: those leave nothing of the
 * other losses in a sum. */
static double logit(uint64_t *state, size_t i, bool finite) {
    const double sign = next_number(state) & 1 ? 1.0 : -1.0;
    const double spans[] = {1.0, 8.0, 32.0, 128.0, 1024.0, 0x1p-12};
    const double special[] = {0.0, INFINITY, (double)NAN, 0x1p100, 0x1p-140};
    const double x = spans[i % 6] * fraction(state, 18);
    return sign * (i % 97 == 96 && !finite ? special[i / 97 % 5] : x);
}

static void inputs_make(struct inputs *in, const struct type *d, bool finite) {
    uint64_t state = 1;
    *in = (struct inputs){.d = d, .finite = finite};
    void **const arrays[] = {&in->logits,  &in->hard,          &in->soft,
                             &in->weights, &in->probabilities, &in->all_digits,
                             &in->out[0],  &in->out[1],        &in->out[2]};
    for (size_t k = 0; k < COUNT(arrays); k++) {
        *arrays[k] = new_array(d);
    }
    for (size_t i = 0; i < N; i++) {
        d->put(in->logits, i, logit(&state, i, finite));
        d->put(in->hard, i, next_number(&state) % 4 == 0 ? 1.0 : 0.0);
        d->put(in->soft, i, i % 3 == 0 ? d->get(in->hard, i) : fraction(&state, 14));
        d->put(in->weights, i, i % 5 == 0 ? 0.0 : fraction(&state, 9));
        d->put(in->probabilities, i, fraction(&state, 20));
        in->labels[i] = (int32_t)(next_number(&state) % 8);
    }
    /* What is left of 1 has digits that p does not have. */
    for (size_t i = 0; i < N; i++) {
        d->put(in->all_digits, i, fraction(&state, 31) * (1 - fraction(&state, 22)));
    }
}

static void inputs_free(struct inputs *in) {
    void *const arrays[] = {in->logits,     in->hard,   in->soft,   in->weights, in->probabilities,
                            in->all_digits, in->out[0], in->out[1], in->out[2]};
    for (size_t k = 0; k < COUNT(arrays); k++) {
        free(arrays[k]);
    }
}

/* Digests ---------------------------------------------------------------------------- */

#define SETTINGS_MAX 60
static char lines[DIGEST_LINES_MAX][DIGEST_LINE_MAX];
static size_t line_count;

static void add_line(uint64_t digest, const char *function, const struct inputs *in,
                     const char *settings) {
    REQUIRE(line_count < DIGEST_LINES_MAX);
    snprintf(lines[line_count++], DIGEST_LINE_MAX, "%016llx %s %s %s%s", (unsigned long long)digest,
             function, in->d->name, settings, in->finite ? " finite" : "");
}

static uint64_t digest_results(const struct inputs *in, double loss) {
    uint64_t digest = digest_double(digest_start(), loss);
    for (int o = 0; o < 3; o++) {
        digest = digest_array(digest, in->d, in->out[o], N);
    }
    return digest;
}

static void clear_outputs(struct inputs *in) {
    for (int o = 0; o < 3; o++) {
        memset(in->out[o], 0, N * in->d->size);
    }
}

static const struct setting {
    const char *name;
    double gamma, negative_gamma; /* negative_gamma -1: the same */
    fghm_focal_rule rule;
    fghm_hessian_mode hessian;
    fghm_reduction reduction;
    int32_t detached;
    double margin;
} settings[] = {
    {"gamma-0", 0.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM, 0, 0.0},
    {"gamma-1/2", 0.5, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM, 0,
     0.0},
    {"gamma-1", 1.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN, 0, 0.0},
    {"gamma-2", 2.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN, 0, 0.0},
    {"gamma-3", 3.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_NORMALIZER, 0,
     0.0},
    {"gamma-20", 20.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_FLOORED, FGHM_REDUCTION_SUM, 0,
     0.0},
    {"absolute", 2.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_ABSOLUTE, FGHM_REDUCTION_SUM, 0,
     0.0},
    {"gauss-newton", 1.5, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_GAUSS_NEWTON,
     FGHM_REDUCTION_SUM, 0, 0.0},
    {"quality", 2.0, -1.0, FGHM_FOCAL_RULE_QUALITY, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN, 0,
     0.0},
    {"split", 2.0, -1.0, FGHM_FOCAL_RULE_SPLIT, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN_POSITIVES,
     0, 0.0},
    {"two-gammas", 1.0, 4.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_FLOORED, FGHM_REDUCTION_MEAN, 0,
     0.0},
    {"star", 2.0, -1.0, FGHM_FOCAL_RULE_STAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN, 0, 0.0},
    {"detached", 2.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM, 1, 0.0},
    {"hessian-gradient", 3.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_GRADIENT,
     FGHM_REDUCTION_SUM, 0, 0.0},
    {"varifocal", 2.0, -1.0, FGHM_FOCAL_RULE_VARIFOCAL, FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN_POSITIVES, 0, 0.0},
    {"varifocal-unweighted", 1.5, -1.0, FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED, FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN, 1, 0.0},
    {"matchability", 1.5, -1.0, FGHM_FOCAL_RULE_MATCHABILITY, FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN_POSITIVES, 1, 0.0},
    {"heatmap", 2.0, -1.0, FGHM_FOCAL_RULE_HEATMAP, FGHM_HESSIAN_FLOORED,
     FGHM_REDUCTION_MEAN_POSITIVES, 0, 0.0},
    {"asymmetric", 1.0, 4.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM, 0,
     0.05},
    {"asymmetric-split", 1.7, -1.0, FGHM_FOCAL_RULE_SPLIT, FGHM_HESSIAN_GAUSS_NEWTON,
     FGHM_REDUCTION_MEAN, 1, 0.6},
};

static fghm_focal *handle(const struct setting *s) {
    fghm_focal *focal = NULL;
    REQUIRE_OK(fghm_focal_create(&focal));
    REQUIRE_OK(fghm_focal_set_gamma(focal, s->gamma));
    if (s->negative_gamma >= 0.0) {
        REQUIRE_OK(fghm_focal_set_negative_gamma(focal, s->negative_gamma));
    }
    REQUIRE_OK(fghm_focal_set_rule(focal, s->rule));
    REQUIRE_OK(fghm_focal_set_hessian_mode(focal, s->hessian));
    REQUIRE_OK(fghm_focal_set_hessian_floor(focal, 0x1p-10));
    REQUIRE_OK(fghm_focal_set_reduction(focal, s->reduction));
    REQUIRE_OK(fghm_focal_set_normalizer(focal, 300.0));
    REQUIRE_OK(fghm_focal_set_detached(focal, s->detached));
    REQUIRE_OK(fghm_focal_set_margin(focal, s->margin));
    return focal;
}

static void digest_focal(struct inputs *in, const struct setting *s, bool hard, bool weighted) {
    fghm_focal *const focal = handle(s);
    char name[SETTINGS_MAX];
    double loss = 0.0;
    REQUIRE_OK(in->d->focal(focal, in->logits, hard ? in->hard : in->soft,
                            weighted ? in->weights : NULL, &loss, in->out));
    snprintf(name, sizeof name, "%s %s%s", s->name, hard ? "hard" : "soft",
             weighted ? " weighted" : "");
    add_line(digest_results(in, loss), "focal", in, name);
    fghm_focal_destroy(focal);
}

static void digest_softmax(struct inputs *in, const struct setting *s, bool weighted) {
    fghm_focal *const focal = handle(s);
    char name[SETTINGS_MAX];
    int64_t labels[N / CLASSES];
    double loss = 0.0;
    for (size_t i = 0; i < N / CLASSES; i++) {
        labels[i] = in->labels[i];
    }
    clear_outputs(in);
    const fghm_status status =
        in->d->softmax(focal, in->logits, labels, weighted ? in->weights : NULL, &loss, in->out);
    fghm_focal_destroy(focal);
    if (status != FGHM_ERROR_COMBINATION) {
        REQUIRE_OK(status);
        snprintf(name, sizeof name, "%s%s", s->name, weighted ? " weighted" : "");
        add_line(digest_results(in, loss), "focal_softmax", in, name);
    }
}

static void digest_calibration(struct inputs *in, const struct setting *s) {
    static const double counts[][2] = {{1, 1}, {1, 99}, {5, 3}, {1e6, 1}, {1, 0x1p60}};
    fghm_focal *const focal = handle(s);
    uint64_t digest = digest_start();
    REQUIRE_OK(in->d->calibrate(focal, in->logits, in->out[0]));
    add_line(digest_array(digest, in->d, in->out[0], N), "focal_calibrate", in, s->name);
    for (size_t k = 0; k < COUNT(counts); k++) {
        double best = 0.0;
        REQUIRE_OK(fghm_focal_best_constant(focal, counts[k][0], counts[k][1], &best));
        digest = digest_double(digest, best);
    }
    add_line(digest, "focal_best_constant", in, s->name);
    fghm_focal_destroy(focal);
}

/* Without numbers of the classes, and with them. */
static void digest_calibration_of_softmax(struct inputs *in, const struct setting *s, bool own) {
    /* Few, since emulators take part in this, and these are not fast. */
    enum { FEW = 3, ROWS = N / CLASSES / 4 };
    double gammas[CLASSES], factors[CLASSES], frequencies[CLASSES], best[FEW];
    char name[SETTINGS_MAX];
    for (size_t c = 0; c < CLASSES; c++) {
        gammas[c] = (double)(c % 5) * 0.75;
        factors[c] = 1.0 + (double)(c % 3);
        frequencies[c] = (double)(c * c + 1);
    }
    fghm_focal *const focal = handle(s);
    const fghm_status status = in->d->calibrate_softmax(
        focal, ROWS, in->logits, own ? gammas : NULL, own ? factors : NULL, in->out[0]);
    if (status != FGHM_ERROR_COMBINATION) {
        REQUIRE_OK(status);
        snprintf(name, sizeof name, "%s%s", s->name, own ? " classes" : "");
        add_line(digest_array(digest_start(), in->d, in->out[0], (size_t)ROWS * CLASSES),
                 "focal_calibrate_softmax", in, name);
        REQUIRE_OK(fghm_focal_best_constant_softmax(focal, FEW, frequencies, own ? gammas : NULL,
                                                    own ? factors : NULL, best));
        add_line(digest_array(digest_start(), &types[1], best, FEW), "focal_best_constant_softmax",
                 in, name);
    }
    fghm_focal_destroy(focal);
}

/* A batch of N elements, or of rows of classes. */
enum form {
    DENSE,
    LABELS,
    SOFTMAX,
    PROBABILITIES,
    ALL_DIGITS,
    SOFT_ROWS,
    SMOOTH_LABELS,
    OFFSET_LABELS,
    FORMS
};
static const char *const form_names[FORMS] = {"dense",
                                              "labels",
                                              "softmax",
                                              "probabilities",
                                              "probabilities-of-all-digits",
                                              "soft-softmax",
                                              "smooth-softmax",
                                              "softmax-offsets"};
static const double class_offsets[CLASSES] = {0.5, -2.25, 0, 1.125, 3, -0.75, 0.0625};
static const double class_weights[CLASSES] = {1, 0.5, 2, 0.75, 0, 1.25, 3};

static fghm_batch batch_of(struct inputs *in, enum form form, const void *dense_targets) {
    const fghm_dtype dtype = in->d->dtype;
    const bool labels =
        form == LABELS || form == SOFTMAX || form == SMOOTH_LABELS || form == OFFSET_LABELS;
    const bool softmax = form == SOFTMAX || form >= SOFT_ROWS;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = N / CLASSES;
    batch.shape[1] = CLASSES;
    batch.activation = softmax                 ? FGHM_SOFTMAX
                       : form >= PROBABILITIES ? FGHM_PROBABILITY
                                               : FGHM_SIGMOID;
    batch.target_form = labels ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
    batch.ignore_index = labels ? CLASSES : FGHM_IGNORE_NONE;
    const void *const logits[FORMS] = {in->logits,     in->logits, in->logits, in->probabilities,
                                       in->all_digits, in->logits, in->logits, in->logits};
    batch.logits = (fghm_input){.data = logits[form], .dtype = dtype};
    batch.targets = (fghm_input){.data = dense_targets, .dtype = dtype};
    batch.weights = (fghm_input){.data = in->weights, .dtype = dtype};
    batch.element_loss = (fghm_output){.data = in->out[0], .dtype = dtype};
    batch.gradient = (fghm_output){.data = in->out[1], .dtype = dtype};
    batch.hessian = (fghm_output){.data = in->out[2], .dtype = dtype};
    if (labels) {
        batch.targets = (fghm_input){.data = in->labels, .dtype = FGHM_I32};
    }
    clear_outputs(in);
    return batch;
}

static uint64_t digest_of_batch(const struct inputs *in, const fghm_result *result) {
    uint64_t digest = digest_results(in, result->loss);
    digest = digest_double(digest_double(digest, result->sum), result->divisor);
    return digest_bits(digest_bits(digest, result->valid, 8), result->positives, 8);
}

static void digest_batch(struct inputs *in, const struct setting *s, enum form form) {
    const bool star = s->rule == FGHM_FOCAL_RULE_STAR;
    fghm_focal *const focal = handle(s);
    char name[SETTINGS_MAX];
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batch = batch_of(in, form, star ? in->hard : in->soft);
    const bool smooth = (form == DENSE && s->rule < FGHM_FOCAL_RULE_STAR) || form == SMOOTH_LABELS;
    batch.label_smoothing = smooth ? 0x1p-4 : 0.0;
    batch.class_offsets = form == OFFSET_LABELS ? class_offsets : NULL;
    batch.class_weights = form == SMOOTH_LABELS ? class_weights : NULL;
    batch.flags = form == SMOOTH_LABELS ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0;
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, &result);
    fghm_focal_destroy(focal);
    if (status == FGHM_ERROR_COMBINATION) {
        return; /* the rule does not have this form */
    }
    REQUIRE_OK(status);
    snprintf(name, sizeof name, "%s %s", s->name, form_names[form]);
    add_line(digest_of_batch(in, &result), "focal_batch", in, name);
}

static uint64_t digest_histogram(uint64_t digest, const fghm_ghm *ghm, size_t bins) {
    static uint64_t counts[FGHM_BINS_MAX + 1];
    static double numbers[FGHM_BINS_MAX + 1];
    REQUIRE_OK(fghm_ghm_get_counts(ghm, bins + 1, counts));
    for (size_t b = 0; b < bins; b++) {
        digest = digest_bits(digest, counts[b], sizeof counts[b]);
    }
    REQUIRE_OK(fghm_ghm_get_weights(ghm, bins, numbers));
    digest = digest_array(digest, &types[1], numbers, bins);
    REQUIRE_OK(fghm_ghm_get_edges(ghm, bins + 1, numbers));
    return digest_array(digest, &types[1], numbers, bins + 1);
}

static fghm_ghm *ghm_handle(fghm_ghm_kind kind, size_t bins) {
    fghm_ghm *ghm = NULL;
    REQUIRE_OK(fghm_ghm_create(&ghm, kind));
    REQUIRE_OK(fghm_ghm_set_bins(ghm, bins));
    return ghm;
}

/* A step, and then its two halves in calls of their own. */
static void digest_steps(struct inputs *in, fghm_ghm *ghm, size_t bins, const void *targets,
                         bool masked, const char *name) {
    static uint64_t counts[FGHM_BINS_MAX + 1];
    const void *const mask = masked ? in->weights : NULL;
    double loss = 0.0;
    REQUIRE_OK(in->d->step(ghm, in->logits, targets, mask, &loss, in->out));
    add_line(digest_histogram(digest_results(in, loss), ghm, bins), "ghm_step", in, name);
    memset(counts, 0, sizeof counts);
    REQUIRE_OK(in->d->count(ghm, in->logits, targets, mask, counts));
    uint64_t digest = digest_start();
    for (size_t b = 0; b <= bins; b++) {
        digest = digest_bits(digest, counts[b], sizeof counts[b]);
    }
    add_line(digest, "ghm_count", in, name);
    REQUIRE_OK(in->d->apply(ghm, in->logits, targets, mask, &loss, in->out));
    add_line(digest_results(in, loss), "ghm_apply", in, name);
}

static void digest_classification(struct inputs *in, size_t bins, bool hard, bool masked) {
    fghm_ghm *const ghm = ghm_handle(FGHM_GHM_CLASSIFICATION, bins);
    const void *const targets = hard ? in->hard : in->soft;
    char name[SETTINGS_MAX];
    snprintf(name, sizeof name, "%zu-bins %s%s", bins, hard ? "hard" : "soft",
             masked ? " masked" : "");
    digest_steps(in, ghm, bins, targets, masked, name);
    REQUIRE_OK(in->d->density(ghm, in->logits, targets, masked ? in->weights : NULL, in->out[0]));
    add_line(digest_array(digest_start(), in->d, in->out[0], N), "ghm_density", in, name);
    fghm_ghm_destroy(ghm);
}

static void digest_regression(struct inputs *in, size_t bins, double mu, bool masked) {
    fghm_ghm *const ghm = ghm_handle(FGHM_GHM_REGRESSION, bins);
    char name[SETTINGS_MAX];
    REQUIRE_OK(fghm_ghm_set_mu(ghm, mu));
    snprintf(name, sizeof name, "%zu-bins mu-%g%s", bins, mu, masked ? " masked" : "");
    digest_steps(in, ghm, bins, in->soft, masked, name);
    fghm_ghm_destroy(ghm);
}

static uint64_t number_at(const unsigned char *bytes) {
    uint64_t number = 0;
    for (size_t k = 0; k < 8; k++) {
        number |= (uint64_t)bytes[k] << (8 * k);
    }
    return number;
}

/* The fields of a state (src/ghm_state.c), but for the numerics revision, and so without the
 * checksum at the end. */
static uint64_t digest_state(const fghm_ghm *ghm) {
    enum { STATE_MAX = 1 << 16, NUMERICS = 1 };
    static unsigned char state[STATE_MAX];
    uint64_t digest = digest_start();
    size_t size = 0;
    REQUIRE_OK(fghm_ghm_get_state_size(ghm, &size));
    REQUIRE_OK(fghm_ghm_save(ghm, STATE_MAX, state));
    for (size_t at = 8; at + 8 < size;) {
        const size_t length = 16 + (size_t)(number_at(state + at + 8) + 7) / 8 * 8;
        if (number_at(state + at) != NUMERICS) {
            for (size_t k = 0; k < length; k++) {
                digest = digest_bits(digest, state[at + k], 1);
            }
        }
        at += length;
    }
    return digest;
}

static const struct history {
    const char *name;
    fghm_ghm_momentum_rule rule;
    double momentum, cap;
    fghm_ghm_divisor divisor;
} histories[] = {
    {"plain", FGHM_GHM_MOMENTUM_CORRECTED, 0.0, INFINITY, FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {"momentum", FGHM_GHM_MOMENTUM_CORRECTED, 0.75, INFINITY, FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {"reference", FGHM_GHM_MOMENTUM_REFERENCE, 0.9, 5.0, FGHM_GHM_DIVISOR_ALL_BINS},
};

/* Three updates of a handle with edges of its own, then batches with a histogram for each
 * class. */
static void digest_history(struct inputs *in, const struct history *history, enum form form) {
    enum { BINS = 5, SIZE = CLASSES * (BINS + 1) };
    static const double edges[BINS + 1] = {0.0, 0x1p-20, 0.1, 0.3, 0.9, 1.0};
    fghm_ghm *const ghm = ghm_handle(FGHM_GHM_CLASSIFICATION, BINS);
    uint64_t counts[SIZE], state = 7;
    double numbers[CLASSES * BINS];
    char name[SETTINGS_MAX];
    REQUIRE_OK(fghm_ghm_set_edges(ghm, BINS, edges));
    REQUIRE_OK(fghm_ghm_set_histograms(ghm, CLASSES));
    REQUIRE_OK(fghm_ghm_set_momentum_rule(ghm, history->rule));
    REQUIRE_OK(fghm_ghm_set_momentum(ghm, history->momentum));
    REQUIRE_OK(fghm_ghm_set_weight_cap(ghm, history->cap));
    REQUIRE_OK(fghm_ghm_set_divisor(ghm, history->divisor));
    for (int step = 0; step < 3; step++) {
        for (size_t k = 0; k < SIZE; k++) {
            counts[k] = next_number(&state) % 1000;
        }
        REQUIRE_OK(fghm_ghm_update(ghm, SIZE, counts));
    }
    snprintf(name, sizeof name, "%s %s", history->name, form_names[form]);
    uint64_t digest = digest_start();
    REQUIRE_OK(fghm_ghm_get_averages(ghm, CLASSES * BINS, numbers));
    digest = digest_array(digest, &types[1], numbers, CLASSES * BINS);
    REQUIRE_OK(fghm_ghm_get_weights(ghm, CLASSES * BINS, numbers));
    add_line(digest_array(digest, &types[1], numbers, CLASSES * BINS), "ghm_update", in, name);
    add_line(digest_state(ghm), "ghm_save", in, name);

    fghm_batch batch = batch_of(in, form, in->soft);
    fghm_result result = FGHM_RESULT_INIT;
    memset(counts, 0, sizeof counts);
    REQUIRE_OK(fghm_ghm_count_batch(ghm, NULL, &batch, SIZE, counts, &result));
    digest = digest_start();
    for (size_t k = 0; k < SIZE; k++) {
        digest = digest_bits(digest, counts[k], sizeof counts[k]);
    }
    add_line(digest, "ghm_count_batch", in, name);
    REQUIRE_OK(fghm_ghm_apply_batch(ghm, NULL, &batch, &result));
    add_line(digest_of_batch(in, &result), "ghm_apply_batch", in, name);
    REQUIRE_OK(fghm_ghm_step_batch(ghm, NULL, &batch, &result));
    digest = digest_of_batch(in, &result);
    REQUIRE_OK(fghm_ghm_get_weights(ghm, CLASSES * BINS, numbers));
    digest = digest_array(digest, &types[1], numbers, CLASSES * BINS);
    add_line(digest, "ghm_step_batch", in, name);
    fghm_ghm_destroy(ghm);
}

static void digest_all(struct inputs *in) {
    const size_t bin_counts[] = {1, 10, 15, 16, 30, 1000};
    for (size_t k = 0; k < COUNT(settings); k++) {
        const struct setting *const s = &settings[k];
        digest_focal(in, s, true, false);
        digest_focal(in, s, true, true);
        if (s->rule != FGHM_FOCAL_RULE_STAR) {
            digest_focal(in, s, false, true);
        }
        digest_softmax(in, s, false);
        digest_softmax(in, s, true);
        if (s->margin == 0.0) {
            digest_calibration(in, s);
        }
        digest_calibration_of_softmax(in, s, false);
        digest_calibration_of_softmax(in, s, true);
        for (int form = 0; form < FORMS; form++) {
            digest_batch(in, s, (enum form)form);
        }
    }
    for (size_t k = 0; k < COUNT(bin_counts); k++) {
        digest_classification(in, bin_counts[k], true, false);
        digest_classification(in, bin_counts[k], false, true);
        digest_regression(in, bin_counts[k], 0.02, false);
        digest_regression(in, bin_counts[k], 0.25, true);
    }
    digest_regression(in, 10, 1e-30, false);
    digest_regression(in, 10, 1e30, false);
    digest_regression(in, 4096, 0.02, false);
    for (size_t k = 0; k < COUNT(histories); k++) {
        for (int form = 0; form < SOFTMAX; form++) {
            digest_history(in, &histories[k], (enum form)form);
        }
    }
}

static void make_lines(const char *only_type) {
    line_count = 1;
    snprintf(lines[0], DIGEST_LINE_MAX, "revision %d", (int)fghm_numerics_revision());
    for (size_t type = 0; type < COUNT(types); type++) {
        if (only_type != NULL && strcmp(only_type, types[type].name) != 0) {
            continue;
        }
        for (int finite = 0; finite < 2; finite++) {
            struct inputs in;
            inputs_make(&in, &types[type], finite != 0);
            digest_all(&in);
            inputs_free(&in);
        }
    }
}

size_t digest_lines(char to[DIGEST_LINES_MAX][DIGEST_LINE_MAX]) {
    make_lines(NULL);
    memcpy(to, lines, line_count * sizeof lines[0]);
    return line_count;
}

const char *digest_refusal(char old[DIGEST_LINES_MAX][DIGEST_LINE_MAX], size_t count) {
    bool changed = false;
    make_lines(NULL);
    if (count == 0 || strncmp(old[0], "revision ", 9) != 0) {
        return "the file does not begin with its revision: restore it first";
    }
    for (size_t k = 1; k < count; k++) {
        const char *const what = strchr(old[k], ' ');
        for (size_t n = 1; what != NULL && n < line_count; n++) {
            const bool same_thing = strcmp(strchr(lines[n], ' '), what) == 0;
            changed = changed || (same_thing && strcmp(lines[n], old[k]) != 0);
        }
    }
    const bool raised = strcmp(old[0], lines[0]) != 0;
    return changed && !raised   ? "digests change: raise NUMERICS_REVISION in src/version.c first"
           : !changed && raised ? "no digest changes: leave NUMERICS_REVISION as it is"
                                : NULL;
}

int digest_write(const char *path, bool has_fma) {
    static char old[DIGEST_LINES_MAX][DIGEST_LINE_MAX];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    for (; count < DIGEST_LINES_MAX && fgets(old[count], DIGEST_LINE_MAX, file); count++) {
        old[count][strcspn(old[count], "\n")] = '\0';
    }
    fclose(file);
    const char *const reason = digest_refusal(old, count);
    if (has_fma && reason != NULL) {
        fprintf(stderr, "%s\n", reason);
        return 1;
    }
    file = fopen(path, "w");
    REQUIRE(file != NULL);
    for (size_t k = 0; k < line_count; k++) {
        fprintf(file, "%s\n", lines[k]);
    }
    return fclose(file) == 0 ? 0 : 1;
}

/* The third word of a line is its type; the first line is of all. */
static bool is_of_type(const char *line, const char *type) {
    char of_line[DIGEST_LINE_MAX] = "";
    return type == NULL || sscanf(line, "%*s %*s %119s", of_line) != 1 ||
           strcmp(of_line, type) == 0;
}

size_t digest_compare(const char *path, const char *type) {
    char line[DIGEST_LINE_MAX];
    size_t at = 0, different = 0;
    FILE *const file = fopen(path, "r");
    REQUIRE(file != NULL);
    make_lines(type);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (!is_of_type(line, type)) {
            continue;
        }
        const char *const own = at < line_count ? lines[at] : "nothing";
        if (strcmp(line, own) != 0) {
            printf("%s: %s, the file has %s\n", fghm_isa_name(), own, line);
            different++;
        }
        at++;
    }
    fclose(file);
    if (at < line_count) {
        printf("the file has %zu lines of %zu\n", at, line_count);
        different += line_count - at;
    }
    return different;
}
