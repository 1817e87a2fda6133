/* SPDX-License-Identifier: MIT */

/* No function touches errno: each is called with numbers that underflow and overflow on the way,
 * so that it succeeds and so that it fails.  Memory that cannot be had is in test_alloc.c, threads
 * in test_pool_threads.c. */

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "support/suite.h"

enum { N = 72, CLASSES = 4, ROOM = FGHM_BINS_MAX + 1, STATE_ROOM = 1 << 18, ERRNO = 4711 };

/* Settings, at the ends of their ranges. */
struct variant {
    double gamma, negative_gamma, alpha, loss_weight, normalizer, floor;
    fghm_focal_rule rule;
    fghm_hessian_mode mode;
    fghm_reduction reduction;
    fghm_activation activation;
    double positives, negatives;
    fghm_ghm_kind kind;
    size_t bins;
    double edge, mu, momentum, cap;
    fghm_ghm_momentum_rule momentum_rule;
    fghm_ghm_divisor divisor;
};

static const struct variant variants[] = {
    {2.0,
     2.0,
     0.25,
     1.0,
     1.0,
     1e-16,
     FGHM_FOCAL_RULE_LINEAR,
     FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN,
     FGHM_SIGMOID,
     1.0,
     99.0,
     FGHM_GHM_CLASSIFICATION,
     10,
     DBL_MIN,
     0.02,
     0.0,
     INFINITY,
     FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {64.0,
     0.0,
     0x1p-40,
     0x1p-40,
     0x1p60,
     0x1p-60,
     FGHM_FOCAL_RULE_SPLIT,
     FGHM_HESSIAN_FLOORED,
     FGHM_REDUCTION_NORMALIZER,
     FGHM_PROBABILITY,
     1.0,
     DBL_MAX,
     FGHM_GHM_REGRESSION,
     FGHM_BINS_MAX,
     DBL_TRUE_MIN,
     1e-30,
     0x1p-1,
     0x1p-40,
     FGHM_GHM_MOMENTUM_REFERENCE,
     FGHM_GHM_DIVISOR_ALL_BINS},
    {0.5,
     64.0,
     1.0 - 0x1p-53,
     0x1p40,
     0x1p-40,
     0x1p60,
     FGHM_FOCAL_RULE_LINEAR,
     FGHM_HESSIAN_ABSOLUTE,
     FGHM_REDUCTION_NORMALIZER,
     FGHM_SIGMOID,
     DBL_MAX,
     DBL_TRUE_MIN,
     FGHM_GHM_REGRESSION,
     1,
     1.0 - 0x1p-53,
     1e30,
     1.0 - 0x1p-53,
     1e300,
     FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {1.0,
     1.0,
     0.5,
     1.0,
     1.0,
     0.0,
     FGHM_FOCAL_RULE_QUALITY,
     FGHM_HESSIAN_GAUSS_NEWTON,
     FGHM_REDUCTION_SUM,
     FGHM_SIGMOID,
     DBL_TRUE_MIN,
     1.0,
     FGHM_GHM_CLASSIFICATION,
     300,
     1e-300,
     1.0,
     0x1p-1,
     1.0,
     FGHM_GHM_MOMENTUM_REFERENCE,
     FGHM_GHM_DIVISOR_ALL_BINS},
    {0x1p-10,
     0x1p-10,
     0.5,
     1.0,
     1.0,
     0.0,
     FGHM_FOCAL_RULE_STAR,
     FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN,
     FGHM_SIGMOID,
     1e300,
     1e-300,
     FGHM_GHM_CLASSIFICATION,
     2,
     0.5,
     1.0,
     0.0,
     0x1p-40,
     FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS},
    {3.0,
     3.0,
     0.25,
     1.0,
     1.0,
     0.0,
     FGHM_FOCAL_RULE_LINEAR,
     FGHM_HESSIAN_EXACT,
     FGHM_REDUCTION_MEAN,
     FGHM_SOFTMAX,
     3.0,
     4.0,
     FGHM_GHM_CLASSIFICATION,
     100,
     1e-5,
     1.0,
     0.0,
     INFINITY,
     FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS},
};

/* Everything that a call gets. */
struct world {
    const struct variant *v;
    fghm_focal *focal, *focal_to_destroy, *made_focal[2];
    fghm_ghm *classification, *regression, *ghm, *ghm_to_destroy, *made_ghm[3];
    fghm_pool *pool, *pool_to_destroy, *made_pools[2];
    float f32[N], hard_f32[N], soft_f32[N], out_f32[3][N];
    double f64[N], hard[N], soft[N], probabilities[N], out[3][N];
    int64_t labels[N / CLASSES];
    uint64_t counts[ROOM];
    double numbers[ROOM], number, edges[3];
    size_t sizes[1], size, state_size;
    uint64_t steps;
    int32_t flag;
    fghm_ghm_kind kind;
    fghm_focal_rule rule;
    fghm_hessian_mode mode;
    fghm_reduction reduction;
    fghm_ghm_momentum_rule momentum_rule;
    fghm_ghm_divisor divisor;
    fghm_batch batch, bad_batch;
    fghm_result result;
    unsigned char state[STATE_ROOM], other_state[STATE_ROOM];
};

static void run_all(void *user, size_t tasks, fghm_task task, void *context) {
    (void)user;
    for (size_t k = 0; k < tasks; k++) {
        task(context, k);
    }
    errno = ERANGE; /* the caller's code may */
}

/* -------------------------------------------------------------------------
 * The calls: name, arguments with which it succeeds for some variant at least, and arguments with
 * which it fails. */

#define ARRAYS_F32(n) n, w->f32, w->soft_f32, NULL, &w->number
#define ARRAYS_F64(n) n, w->f64, w->soft, NULL, &w->number
#define OUT_F32 w->out_f32[0], w->out_f32[1], w->out_f32[2]
#define OUT_F64 w->out[0], w->out[1], w->out[2]
#define NAN_ ((double)NAN)

/* clang-format off */
#define CALLS(X) \
    X(fghm_batch_init, (&w->bad_batch, sizeof w->bad_batch), (NULL, 0)) \
    X(fghm_batch_reach, (&w->batch, FGHM_FIELD_LOGITS, &w->size, &w->size), \
      (&w->batch, 0, &w->size, &w->size)) \
    X(fghm_focal_batch, (w->focal, w->pool, &w->batch, &w->result), (w->focal, NULL, &w->bad_batch, &w->result)) \
    X(fghm_focal_best_constant, (w->focal, w->v->positives, w->v->negatives, &w->number), (w->focal, 0.0, 1.0, &w->number)) \
    X(fghm_focal_best_constant_softmax, (w->focal, 2, &w->edges[1], NULL, NULL, w->out[0]), (w->focal, 0, &w->edges[1], NULL, NULL, w->out[0])) \
    X(fghm_focal_calibrate_f32, (w->focal, w->pool, N, w->f32, w->out_f32[0]), (w->focal, NULL, SIZE_MAX, w->f32, w->out_f32[0])) \
    X(fghm_focal_calibrate_f64, (w->focal, w->pool, N, w->f64, w->out[0]), (w->focal, NULL, SIZE_MAX, w->f64, w->out[0])) \
    X(fghm_focal_calibrate_softmax_f32, (w->focal, w->pool, N / CLASSES, CLASSES, w->f32, NULL, NULL, w->out_f32[0]), (w->focal, NULL, SIZE_MAX, 1, w->f32, NULL, NULL, w->out_f32[0])) \
    X(fghm_focal_calibrate_softmax_f64, (w->focal, w->pool, N / CLASSES, CLASSES, w->f64, NULL, NULL, w->out[0]), (w->focal, NULL, SIZE_MAX, 1, w->f64, NULL, NULL, w->out[0])) \
    X(fghm_focal_clear_alpha, (w->focal), (NULL)) \
    X(fghm_focal_clear_negative_gamma, (w->focal), (NULL)) \
    X(fghm_focal_clear_positive_weight, (w->focal), (NULL)) \
    X(fghm_focal_clone, (w->focal, &w->made_focal[0]), (NULL, &w->made_focal[0])) \
    X(fghm_focal_create, (&w->made_focal[1]), (NULL)) \
    X(fghm_focal_f32, (w->focal, w->pool, ARRAYS_F32(N), OUT_F32), (w->focal, NULL, ARRAYS_F32(SIZE_MAX), OUT_F32)) \
    X(fghm_focal_f64, (w->focal, w->pool, ARRAYS_F64(N), OUT_F64), (w->focal, NULL, ARRAYS_F64(SIZE_MAX), OUT_F64)) \
    X(fghm_focal_get_alpha, (w->focal, &w->number, &w->flag), (NULL, &w->number, &w->flag)) \
    X(fghm_focal_get_beta, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_margin, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_detached, (w->focal, &w->flag), (NULL, &w->flag)) \
    X(fghm_focal_get_gamma, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_hessian_factor, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_hessian_floor, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_hessian_mode, (w->focal, &w->mode), (NULL, &w->mode)) \
    X(fghm_focal_get_loss_weight, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_negative_gamma, (w->focal, &w->number, &w->flag), (NULL, &w->number, &w->flag)) \
    X(fghm_focal_get_normalizer, (w->focal, &w->number), (NULL, &w->number)) \
    X(fghm_focal_get_positive_weight, (w->focal, &w->number, &w->flag), (NULL, &w->number, &w->flag)) \
    X(fghm_focal_get_reduction, (w->focal, &w->reduction), (NULL, &w->reduction)) \
    X(fghm_focal_get_rule, (w->focal, &w->rule), (NULL, &w->rule)) \
    X(fghm_focal_set_alpha, (w->focal, w->v->alpha), (w->focal, NAN_)) \
    X(fghm_focal_set_beta, (w->focal, 3.0), (w->focal, NAN_)) \
    X(fghm_focal_set_margin, (w->focal, 0.0), (w->focal, NAN_)) \
    X(fghm_focal_set_detached, (w->focal, 0), (w->focal, 2)) \
    X(fghm_focal_set_gamma, (w->focal, w->v->gamma), (w->focal, NAN_)) \
    X(fghm_focal_set_hessian_factor, (w->focal, 1.0), (w->focal, 0.0)) \
    X(fghm_focal_set_hessian_floor, (w->focal, w->v->floor), (w->focal, NAN_)) \
    X(fghm_focal_set_hessian_mode, (w->focal, w->v->mode), (w->focal, 77)) \
    X(fghm_focal_set_loss_weight, (w->focal, w->v->loss_weight), (w->focal, DBL_TRUE_MIN)) \
    X(fghm_focal_set_negative_gamma, (w->focal, w->v->negative_gamma), (w->focal, 1e300)) \
    X(fghm_focal_set_normalizer, (w->focal, w->v->normalizer), (w->focal, 0.0)) \
    X(fghm_focal_set_positive_weight, (w->made_focal[0], 3.0), (w->made_focal[0], NAN_)) \
    X(fghm_focal_set_reduction, (w->focal, w->v->reduction), (w->focal, 77)) \
    X(fghm_focal_set_rule, (w->focal, w->v->rule), (w->focal, 77)) \
    X(fghm_focal_softmax_f32, (w->focal, w->pool, N / CLASSES, CLASSES, w->f32, w->labels, FGHM_IGNORE_NONE, NULL, &w->number, OUT_F32), (w->focal, NULL, N, 1, w->f32, w->labels, FGHM_IGNORE_NONE, NULL, NULL, NULL, NULL, NULL)) \
    X(fghm_focal_softmax_f64, (w->focal, w->pool, N / CLASSES, CLASSES, w->f64, w->labels, FGHM_IGNORE_NONE, NULL, &w->number, OUT_F64), (w->focal, NULL, N, 1, w->f64, w->labels, FGHM_IGNORE_NONE, NULL, NULL, NULL, NULL, NULL)) \
    X(fghm_ghm_apply_batch, (w->ghm, w->pool, &w->batch, &w->result), (w->ghm, NULL, &w->bad_batch, &w->result)) \
    X(fghm_ghm_apply_f32, (w->ghm, w->pool, ARRAYS_F32(N), OUT_F32), (w->ghm, NULL, ARRAYS_F32(SIZE_MAX), OUT_F32)) \
    X(fghm_ghm_apply_f64, (w->ghm, w->pool, ARRAYS_F64(N), OUT_F64), (w->ghm, NULL, ARRAYS_F64(SIZE_MAX), OUT_F64)) \
    X(fghm_ghm_clone, (w->ghm, &w->made_ghm[0]), (NULL, &w->made_ghm[0])) \
    X(fghm_ghm_count_batch, (w->ghm, w->pool, &w->batch, ROOM, w->counts, &w->result), (w->ghm, NULL, &w->bad_batch, ROOM, w->counts, &w->result)) \
    X(fghm_ghm_count_f32, (w->ghm, w->pool, N, w->f32, w->soft_f32, NULL, ROOM, w->counts), (w->ghm, NULL, N, w->f32, w->soft_f32, NULL, 0, w->counts)) \
    X(fghm_ghm_count_f64, (w->ghm, w->pool, N, w->f64, w->soft, NULL, ROOM, w->counts), (w->ghm, NULL, N, w->f64, w->soft, NULL, 0, w->counts)) \
    X(fghm_ghm_create, (&w->made_ghm[1], w->v->kind), (&w->made_ghm[1], 77)) \
    X(fghm_ghm_create_from_state, (&w->made_ghm[2], w->state_size, w->state), (&w->made_ghm[2], 1, w->state)) \
    X(fghm_ghm_density_f32, (w->ghm, w->pool, N, w->f32, w->hard_f32, NULL, w->out_f32[0]), (w->regression, NULL, N, w->f32, w->hard_f32, NULL, w->out_f32[0])) \
    X(fghm_ghm_density_f64, (w->ghm, w->pool, N, w->f64, w->soft, NULL, w->out[0]), (w->regression, NULL, N, w->f64, w->soft, NULL, w->out[0])) \
    X(fghm_ghm_get_averages, (w->ghm, ROOM, w->numbers), (w->ghm, 0, w->numbers)) \
    X(fghm_ghm_get_bins, (w->ghm, &w->size), (NULL, &w->size)) \
    X(fghm_ghm_get_counts, (w->ghm, ROOM, w->counts), (w->ghm, 0, w->counts)) \
    X(fghm_ghm_get_counts_size, (w->ghm, &w->size), (NULL, &w->size)) \
    X(fghm_ghm_get_divisor, (w->ghm, &w->divisor), (NULL, &w->divisor)) \
    X(fghm_ghm_get_edges, (w->ghm, ROOM, w->numbers), (w->ghm, 0, w->numbers)) \
    X(fghm_ghm_get_histograms, (w->ghm, &w->size), (NULL, &w->size)) \
    X(fghm_ghm_get_kind, (w->ghm, &w->kind), (NULL, &w->kind)) \
    X(fghm_ghm_get_loss_weight, (w->ghm, &w->number), (NULL, &w->number)) \
    X(fghm_ghm_get_momentum, (w->ghm, &w->number), (NULL, &w->number)) \
    X(fghm_ghm_get_momentum_rule, (w->ghm, &w->momentum_rule), (NULL, &w->momentum_rule)) \
    X(fghm_ghm_get_mu, (w->regression, &w->number), (w->classification, &w->number)) \
    X(fghm_ghm_get_nonempty, (w->ghm, 1, w->sizes), (w->ghm, 0, w->sizes)) \
    X(fghm_ghm_get_normalizer, (w->ghm, &w->number), (NULL, &w->number)) \
    X(fghm_ghm_get_reduction, (w->ghm, &w->reduction), (NULL, &w->reduction)) \
    X(fghm_ghm_get_state_size, (w->ghm, &w->size), (NULL, &w->size)) \
    X(fghm_ghm_get_steps, (w->ghm, &w->steps), (NULL, &w->steps)) \
    X(fghm_ghm_get_weight_cap, (w->ghm, &w->number), (NULL, &w->number)) \
    X(fghm_ghm_get_weights, (w->ghm, ROOM, w->numbers), (w->ghm, 0, w->numbers)) \
    X(fghm_ghm_load, (w->ghm, w->state_size, w->state), (w->ghm, 1, w->state)) \
    X(fghm_ghm_reset, (w->ghm), (NULL)) \
    X(fghm_ghm_save, (w->ghm, STATE_ROOM, w->other_state), (w->ghm, 1, w->other_state)) \
    X(fghm_ghm_set_bins, (w->ghm, w->v->bins), (w->ghm, 0)) \
    X(fghm_ghm_set_divisor, (w->ghm, w->v->divisor), (w->ghm, 77)) \
    X(fghm_ghm_set_edges, (w->ghm, w->v->bins % 4 == 0 ? w->v->bins : 2, w->v->bins % 4 == 0 ? w->numbers : w->edges), (w->ghm, 0, w->edges)) \
    X(fghm_ghm_set_histograms, (w->ghm, 1), (w->ghm, 0)) \
    X(fghm_ghm_set_loss_weight, (w->ghm, w->v->loss_weight), (w->ghm, NAN_)) \
    X(fghm_ghm_set_momentum, (w->ghm, w->v->momentum), (w->ghm, NAN_)) \
    X(fghm_ghm_set_momentum_rule, (w->ghm, w->v->momentum_rule), (w->ghm, 77)) \
    X(fghm_ghm_set_mu, (w->regression, w->v->mu), (w->classification, 1.0)) \
    X(fghm_ghm_set_normalizer, (w->ghm, w->v->normalizer), (w->ghm, 0.0)) \
    X(fghm_ghm_set_reduction, (w->ghm, w->v->reduction), (w->ghm, 77)) \
    X(fghm_ghm_set_weight_cap, (w->ghm, w->v->cap), (w->ghm, 0.0)) \
    X(fghm_ghm_step_batch, (w->ghm, w->pool, &w->batch, &w->result), (w->ghm, NULL, &w->bad_batch, &w->result)) \
    X(fghm_ghm_step_f32, (w->ghm, w->pool, ARRAYS_F32(N), OUT_F32), (w->ghm, NULL, ARRAYS_F32(SIZE_MAX), OUT_F32)) \
    X(fghm_ghm_step_f64, (w->ghm, w->pool, ARRAYS_F64(N), OUT_F64), (w->ghm, NULL, ARRAYS_F64(SIZE_MAX), OUT_F64)) \
    X(fghm_ghm_update, (w->ghm, ROOM, w->counts), (w->ghm, 0, w->counts)) \
    X(fghm_pool_create, (&w->made_pools[0], 3), (NULL, 3)) \
    X(fghm_pool_create_from, (&w->made_pools[1], 3, run_all, NULL), (NULL, 3, run_all, NULL)) \
    X(fghm_pool_get_threads, (w->pool, &w->size), (NULL, &w->size)) \
    X(fghm_result_init, (&w->result, sizeof w->result), (NULL, 0))

/* These cannot fail. */
#define CALLS_WITHOUT_STATUS(X) \
    X(fghm_field_name, (FGHM_FIELD_LOGITS), (-7)) \
    X(fghm_focal_destroy, (w->focal_to_destroy), (NULL)) \
    X(fghm_ghm_destroy, (w->ghm_to_destroy), (NULL)) \
    X(fghm_isa_name, (), ()) \
    X(fghm_numerics_revision, (), ()) \
    X(fghm_place_name, (FGHM_PLACE_AXIS), (-7)) \
    X(fghm_pool_destroy, (w->pool_to_destroy), (NULL)) \
    X(fghm_status_name, (FGHM_ERROR_MEMORY), (-7)) \
    X(fghm_status_string, (FGHM_ERROR_MEMORY), (-7)) \
    X(fghm_version, (), ()) \
    X(fghm_version_number, (), ())
/* clang-format on */

#define CALL(name, good, bad)                                                                      \
    static fghm_status good_##name(struct world *w) {                                              \
        (void)w;                                                                                   \
        return name good;                                                                          \
    }                                                                                              \
    static fghm_status bad_##name(struct world *w) {                                               \
        (void)w;                                                                                   \
        return name bad;                                                                           \
    }
CALLS(CALL)

#define CALL_WITHOUT_STATUS(name, one, other)                                                      \
    static fghm_status good_##name(struct world *w) {                                              \
        (void)w;                                                                                   \
        (void)name one;                                                                            \
        return FGHM_OK;                                                                            \
    }                                                                                              \
    static fghm_status bad_##name(struct world *w) {                                               \
        (void)w;                                                                                   \
        (void)name other;                                                                          \
        return FGHM_ERROR_RANGE;                                                                   \
    }
CALLS_WITHOUT_STATUS(CALL_WITHOUT_STATUS)

#define ROW(name, good, bad) {#name, good_##name, bad_##name},
static const struct function {
    const char *name;
    fghm_status (*good)(struct world *w);
    fghm_status (*bad)(struct world *w);
} functions[] = {CALLS(ROW) CALLS_WITHOUT_STATUS(ROW)};

/* -------------------------------------------------------------------------
 * The world. */

static double extreme(size_t i, double least, double most) {
    const double values[] = {0.0,         800.0,  745.2, 708.5, 104.1, 87.4, 36.9,
                             16.7,        1.0,    1e-20, least, most,  1e30, (double)INFINITY,
                             (double)NAN, 2.5e-8, 40.0,  1e-310};
    const double x = values[i / 2 % SUITE_COUNT(values)];
    return i % 2 ? -x : x;
}

static void fill(struct world *w) {
    static const double targets[] = {0.0, 1.0, 0.5, 1e-40, DBL_TRUE_MIN, 1.0 - 0x1p-24, 0x1p-149};
    static const double probabilities[] = {0.0,   DBL_TRUE_MIN, DBL_MIN,       1e-300,
                                           1e-40, 0.5,          1.0 - 0x1p-53, 1.0};
    for (size_t i = 0; i < N; i++) {
        w->f64[i] = extreme(i, DBL_TRUE_MIN, DBL_MAX);
        w->f32[i] = (float)extreme(i, 0x1p-149, (double)FLT_MAX);
        w->soft[i] = targets[(i / 36 + i) % SUITE_COUNT(targets)];
        w->soft_f32[i] = (float)w->soft[i];
        w->hard[i] = (double)(i / 3 % 2);
        w->hard_f32[i] = (float)w->hard[i];
        w->probabilities[i] = probabilities[i % SUITE_COUNT(probabilities)];
    }
    for (size_t i = 0; i < N / CLASSES; i++) {
        w->labels[i] = (int64_t)(i % CLASSES);
    }
    for (size_t i = 0; i < ROOM; i++) {
        w->counts[i] = UINT64_C(1) << (i % 50);
    }
    /* Edges of all sizes. */
    const size_t bins = w->v->bins;
    for (size_t b = 1; b < bins; b++) {
        w->numbers[b] = ldexp(1.0, (int)(b - bins) * (bins > 1000 ? 1 : 3) / (bins > 1000 ? 4 : 1));
    }
    w->numbers[bins] = 1.0;
    w->edges[1] = w->v->edge;
    w->edges[2] = 1.0;
}

static void describe(struct world *w) {
    const bool softmax = w->v->activation == FGHM_SOFTMAX;
    const bool probability = w->v->activation == FGHM_PROBABILITY;
    w->batch = (fghm_batch)FGHM_BATCH_INIT;
    w->batch.ndim = 2;
    w->batch.class_axis = 1;
    w->batch.shape[0] = N / CLASSES;
    w->batch.shape[1] = CLASSES;
    w->batch.activation = w->v->activation;
    w->batch.logits =
        (fghm_input){.data = probability ? w->probabilities : w->f64, .dtype = FGHM_F64};
    w->batch.targets = (fghm_input){.data = w->hard, .dtype = FGHM_F64};
    if (softmax) {
        w->batch.target_form = FGHM_TARGET_LABEL;
        w->batch.targets = (fghm_input){.data = w->labels, .dtype = FGHM_I64};
    }
    /* Wider and narrower than what is computed. */
    w->batch.gradient = (fghm_output){.data = w->out[0], .dtype = FGHM_F64};
    w->batch.hessian = (fghm_output){.data = w->out_f32[0], .dtype = FGHM_F32};
    w->batch.element_loss = (fghm_output){.data = w->out_f32[1], .dtype = FGHM_F16};
    w->bad_batch = w->batch;
    w->bad_batch.gradient.data = w->f64 + 1;
    w->result = (fghm_result)FGHM_RESULT_INIT;
}

static struct world *world_new(const struct variant *v) {
    struct world *const w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->v = v;
    assert_int_equal(fghm_focal_create(&w->focal), FGHM_OK);
    assert_int_equal(fghm_focal_create(&w->focal_to_destroy), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->classification, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->regression, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_ghm_create(&w->ghm_to_destroy, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_pool_create_from(&w->pool, 2, run_all, NULL), FGHM_OK);
    assert_int_equal(fghm_pool_create(&w->pool_to_destroy, 2), FGHM_OK);
    w->ghm = v->kind == FGHM_GHM_CLASSIFICATION ? w->classification : w->regression;
    assert_int_equal(fghm_ghm_get_state_size(w->ghm, &w->state_size), FGHM_OK);
    assert_true(w->state_size <= STATE_ROOM);
    assert_int_equal(fghm_ghm_save(w->ghm, STATE_ROOM, w->state), FGHM_OK);
    fill(w);
    describe(w);
    return w;
}

/* What a round has made, and what it has destroyed. */
static void world_renew(struct world *w) {
    for (size_t i = 0; i < SUITE_COUNT(w->made_focal); i++) {
        fghm_focal_destroy(w->made_focal[i]);
    }
    for (size_t i = 0; i < SUITE_COUNT(w->made_ghm); i++) {
        fghm_ghm_destroy(w->made_ghm[i]);
    }
    for (size_t i = 0; i < SUITE_COUNT(w->made_pools); i++) {
        fghm_pool_destroy(w->made_pools[i]);
    }
    memset(w->made_focal, 0, sizeof w->made_focal);
    memset(w->made_ghm, 0, sizeof w->made_ghm);
    memset(w->made_pools, 0, sizeof w->made_pools);
    w->focal_to_destroy = NULL;
    w->ghm_to_destroy = NULL;
    w->pool_to_destroy = NULL;
}

static void world_free(struct world *w) {
    fghm_focal_destroy(w->focal);
    fghm_ghm_destroy(w->classification);
    fghm_ghm_destroy(w->regression);
    fghm_pool_destroy(w->pool);
    free(w);
}

/* -------------------------------------------------------------------------
 * Tests. */

static fghm_status checked(const struct function *f, fghm_status (*call)(struct world *),
                           struct world *w, const char *how) {
    errno = ERRNO;
    const fghm_status status = call(w);
    if (errno != ERRNO) {
        fail_msg("%s, %s, variant %td: errno is %d after status %d", f->name, how, w->v - variants,
                 errno, (int)status);
    }
    return status;
}

/* In the order of the table, the setters of the first round are what the second computes with. */
static void no_function_sets_errno(void **state) {
    enum { ROUNDS = 2 };
    static bool has_succeeded[SUITE_COUNT(functions)], has_failed[SUITE_COUNT(functions)];
    (void)state;
    for (size_t v = 0; v < SUITE_COUNT(variants); v++) {
        struct world *const w = world_new(&variants[v]);
        for (int round = 0; round < ROUNDS; round++) {
            for (size_t i = 0; i < SUITE_COUNT(functions); i++) {
                const struct function *const f = &functions[i];
                has_succeeded[i] |= checked(f, f->good, w, "to succeed") == FGHM_OK;
                describe(w);
                has_failed[i] |= checked(f, f->bad, w, "to fail") != FGHM_OK;
            }
            world_renew(w);
        }
        world_free(w);
    }
    for (size_t i = 0; i < SUITE_COUNT(functions); i++) {
        if (!has_succeeded[i] || !has_failed[i]) {
            fail_msg("%s has never %s", functions[i].name,
                     has_succeeded[i] ? "failed" : "succeeded");
        }
    }
}

/* Handles at the ends of their ranges, and edges and mu as far apart as they can be. */
static void tables_at_the_ends(void **state) {
    static const double edges[][3] = {
        {0.0, DBL_MIN, 1.0}, {0.0, 1e-200, 1.0}, {0.0, 1.0 - 0x1p-53, 1.0}};
    static const double mus[] = {1e-30, 1e-10, 1.0, 1e30};
    (void)state;
    for (size_t e = 0; e < SUITE_COUNT(edges); e++) {
        for (size_t m = 0; m < SUITE_COUNT(mus); m++) {
            fghm_ghm *ghm = NULL;
            errno = ERRNO;
            fghm_status status = fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION);
            status |= fghm_ghm_set_edges(ghm, 2, edges[e]);
            status |= fghm_ghm_set_mu(ghm, mus[m]);
            fghm_ghm_destroy(ghm);
            status |= fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION);
            status |= fghm_ghm_set_edges(ghm, 2, edges[e]);
            fghm_ghm_destroy(ghm);
            assert_int_equal(errno, ERRNO);
            assert_int_equal(status, FGHM_OK);
        }
    }
}

/* Of cmake/symbols.txt. */
static void every_function_is_here(void **state) {
    FILE *const file = fopen(TEST_SOURCE_DIR "/../cmake/symbols.txt", "r");
    char line[256], name[256];
    size_t count = 0;
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%255s", name) == 1 && name[0] != '#') {
            size_t i = 0;
            while (i < SUITE_COUNT(functions) && strcmp(functions[i].name, name) != 0) {
                i++;
            }
            if (i == SUITE_COUNT(functions)) {
                fail_msg("%s is not in the table", name);
            }
            count++;
        }
    }
    fclose(file);
    assert_int_equal(count, SUITE_COUNT(functions));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"no_function_sets_errno", no_function_sets_errno, 0},
        {"tables_at_the_ends", tables_at_the_ends, 0},
        {"every_function_is_here", every_function_is_here, 0},
    };
    return suite_run(argument_count, arguments, "errno", tests, SUITE_COUNT(tests));
}
