/* SPDX-License-Identifier: MIT */

/* ratios [PART_OF_A_NAME...]: how fast the library is, as ratios that a noisy
 * machine cannot spoil: the two sides of each take turns in one run.  Prints what it runs
 * on, then one line "name value" for each; what else there is to say, to stderr.  The
 * table of ratios stands above main. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "focalghm/focalghm.h"
#include "inputs.h"
#include "loops.h"
#include "pool_run.h"
#include "stream.h"
#include "kernels/double_sum.h"
#include "timing.h"

/* Sizes: a small call; what fits in a level 2 cache; enough for all cores; what
 * fits in no cache. */
#define N_TINY ((size_t)7)
#define N_SMALL ((size_t)16)
#define N_L2 ((size_t)32768)
#define N_DENSITY ((size_t)65536)
#define N_MIDDLE ((size_t)1 << 20)
#define N_DRAM ((size_t)1 << 24)

/* Two samples of that many classes, each of which has a histogram. */
#define N_4096_HISTOGRAMS ((size_t)2 * 4096)
#define N_16384_HISTOGRAMS ((size_t)2 * 16384)

/* Softmax, samples x classes: in the level 2 cache, but for the classes of a language model;
 * images of 128 x 128 with 21 classes. */
#define N_SOFTMAX_2 N_L2
#define N_SOFTMAX_80 ((size_t)400 * 80)
#define N_SOFTMAX_1000 ((size_t)32 * 1000)
#define N_SOFTMAX_128256 ((size_t)8 * 128256)
#define N_SOFTMAX_ROW ((size_t)128256)
#define IMAGE ((size_t)128)
#define N_SOFTMAX_IMAGE ((size_t)21 * IMAGE * IMAGE)

/* Competitors must compute the same loss, to this relative error. */
#define SAME 1e-3

#define GENERAL_GAMMA 1.7

struct bench {
    struct inputs f32;
    struct inputs f64;
    uint16_t *half_logits[2]; /* f16, bf16 */
    uint16_t *half_gradient;
    fghm_focal *gamma_2;
    fghm_focal *two_gammas;
    fghm_focal *asymmetric;
    fghm_focal *varifocal;
    fghm_focal *heatmap;
    fghm_focal *general_gamma;
    fghm_ghm *bins_10;
    fghm_ghm *bins_100;
    fghm_ghm *regression;
    fghm_ghm *histograms_4096;
    fghm_ghm *histograms_16384;
    fghm_pool *all_cores;
    size_t cores;
    const struct fghm_kernels *avx2; /* NULL where this processor has none */
};

/* One contender: what it runs, and on how much. */
struct entrant {
    double (*run)(const struct entrant *entrant); /* returns the loss, if it computes one */
    const struct bench *bench;
    size_t n;
    size_t classes; /* of softmax */
    const struct loop *loop;
    double gamma;
};

/* The library --------------------------------------------------------------- */

static double focal_f32(const struct entrant *entrant, const fghm_focal *focal, fghm_pool *pool) {
    const struct inputs *const in = &entrant->bench->f32;
    double loss = NAN;
    fghm_focal_f32(focal, pool, entrant->n, in->logits, in->targets, NULL, &loss, NULL,
                   in->gradient, NULL);
    return loss;
}

static double run_focal(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->gamma_2, NULL);
}

static double run_focal_threads(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->gamma_2, entrant->bench->all_cores);
}

static double run_focal_general(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->general_gamma, NULL);
}

static double run_focal_two_gammas(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->two_gammas, NULL);
}

static double run_asymmetric(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->asymmetric, NULL);
}

static double run_varifocal(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->varifocal, NULL);
}

static double run_heatmap(const struct entrant *entrant) {
    return focal_f32(entrant, entrant->bench->heatmap, NULL);
}

/* Returns a probability in place of a loss. */
static double run_calibrate(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    float *const probabilities = in->gradient;
    const fghm_status status = fghm_focal_calibrate_f32(entrant->bench->gamma_2, NULL, entrant->n,
                                                        in->logits, probabilities);
    return status == FGHM_OK ? (double)probabilities[0] : (double)NAN;
}

static double run_focal_f64(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f64;
    double loss = NAN;
    fghm_focal_f64(entrant->bench->gamma_2, NULL, entrant->n, in->logits, in->targets, NULL, &loss,
                   NULL, in->gradient, NULL);
    return loss;
}

static double ghm_f32(const struct entrant *entrant, fghm_ghm *ghm) {
    const struct inputs *const in = &entrant->bench->f32;
    double loss = NAN;
    fghm_ghm_step_f32(ghm, NULL, entrant->n, in->logits, in->targets, NULL, &loss, NULL,
                      in->gradient, NULL);
    return loss;
}

static double run_ghmc(const struct entrant *entrant) {
    return ghm_f32(entrant, entrant->bench->bins_10);
}

static double run_ghmc_100(const struct entrant *entrant) {
    return ghm_f32(entrant, entrant->bench->bins_100);
}

static double run_ghmr(const struct entrant *entrant) {
    return ghm_f32(entrant, entrant->bench->regression);
}

/* Asks the processor, which takes microseconds in a virtual machine. */
static const struct fghm_row *usable_row(const char *name) {
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (strcmp(fghm_rows[i].name, name) == 0 && fghm_rows[i].usable()) {
            return &fghm_rows[i];
        }
    }
    return NULL;
}

static double run_focal_avx2(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    const double scale = 1 / (double)entrant->n;
    const struct fghm_focal_constants constants = {.gamma = 2,
                                                   .positive = 0.25,
                                                   .negative = 0.75,
                                                   .hessian_floor = -DBL_MAX,
                                                   .hessian_factor = 1};
    const struct fghm_span span = {
        .n = entrant->n, .logits = in->logits, .targets = in->targets, .gradient = in->gradient};
    int bad_target = 0;
    struct fghm_sum sum = {0};
    entrant->bench->avx2->focal[FGHM_GAMMA_2](&constants, scale, &span, &sum, &bad_target);
    return scale * sum_of_lanes(&sum, sizeof(double));
}

/* Row-major: samples x classes. */
static fghm_batch batch_of(size_t samples, size_t classes) {
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.class_axis = 1;
    batch.shape[0] = (int64_t)samples;
    batch.shape[1] = (int64_t)classes;
    return batch;
}

/* Loss and gradient of a batch with targets that are not the logits' type. */
static double focal_batch(const struct entrant *entrant, fghm_batch *batch) {
    const struct inputs *const in = &entrant->bench->f32;
    fghm_result result = FGHM_RESULT_INIT;
    batch->logits = (fghm_input){.data = in->logits, .dtype = FGHM_F32};
    batch->gradient = (fghm_output){.data = in->gradient, .dtype = FGHM_F32};
    const fghm_status status = fghm_focal_batch(entrant->bench->gamma_2, NULL, batch, &result);
    return status == FGHM_OK ? result.loss : (double)NAN;
}

static double run_focal_bytes(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n, 1);
    batch.targets = (fghm_input){.data = entrant->bench->f32.byte_targets, .dtype = FGHM_U8};
    return focal_batch(entrant, &batch);
}

static double run_focal_labels(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n / INPUT_CLASSES, INPUT_CLASSES);
    batch.target_form = FGHM_TARGET_LABEL;
    batch.background = FGHM_BACKGROUND_LAST;
    batch.targets = (fghm_input){.data = entrant->bench->f32.labels, .dtype = FGHM_I32};
    return focal_batch(entrant, &batch);
}

static double run_focal_dense_batch(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n, 1);
    batch.targets = (fghm_input){.data = entrant->bench->f32.targets, .dtype = FGHM_F32};
    return focal_batch(entrant, &batch);
}

/* Gives every twentieth sample the label that is ignored. */
static double run_focal_ignored(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n / INPUT_CLASSES, INPUT_CLASSES);
    batch.target_form = FGHM_TARGET_LABEL;
    batch.background = FGHM_BACKGROUND_LAST;
    batch.ignore_index = INPUT_IGNORED;
    batch.targets = (fghm_input){.data = entrant->bench->f32.ignored_labels, .dtype = FGHM_I32};
    return focal_batch(entrant, &batch);
}

/* Logits and gradient in half precision. */
static double focal_halves(const struct entrant *entrant, const uint16_t *logits,
                           fghm_dtype dtype) {
    const struct bench *const bench = entrant->bench;
    fghm_batch batch = batch_of(entrant->n, 1);
    fghm_result result = FGHM_RESULT_INIT;
    batch.logits = (fghm_input){.data = logits, .dtype = dtype};
    batch.targets = (fghm_input){.data = bench->f32.targets, .dtype = FGHM_F32};
    batch.gradient = (fghm_output){.data = bench->half_gradient, .dtype = dtype};
    const fghm_status status = fghm_focal_batch(bench->gamma_2, NULL, &batch, &result);
    return status == FGHM_OK ? result.loss : (double)NAN;
}

static double run_focal_f16(const struct entrant *entrant) {
    return focal_halves(entrant, entrant->bench->half_logits[0], FGHM_F16);
}

static double run_focal_bf16(const struct entrant *entrant) {
    return focal_halves(entrant, entrant->bench->half_logits[1], FGHM_BF16);
}

/* A step of GHM with a histogram for each class. */
static double run_histograms(const struct entrant *entrant) {
    const struct bench *const bench = entrant->bench;
    const bool few = entrant->n == N_4096_HISTOGRAMS;
    fghm_batch batch = batch_of(2, entrant->n / 2);
    fghm_result result = FGHM_RESULT_INIT;
    batch.logits = (fghm_input){.data = bench->f32.logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = bench->f32.byte_targets, .dtype = FGHM_U8};
    batch.gradient = (fghm_output){.data = bench->f32.gradient, .dtype = FGHM_F32};
    const fghm_status status = fghm_ghm_step_batch(
        few ? bench->histograms_4096 : bench->histograms_16384, NULL, &batch, &result);
    return status == FGHM_OK ? result.loss : (double)NAN;
}

/* Labels are 0 and 1, which all have. */
static double softmax_batch(const struct entrant *entrant, fghm_batch *batch) {
    batch->activation = FGHM_SOFTMAX;
    batch->target_form = FGHM_TARGET_LABEL;
    batch->targets = (fghm_input){.data = entrant->bench->f32.byte_targets, .dtype = FGHM_U8};
    return focal_batch(entrant, batch);
}

static double run_softmax(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n / entrant->classes, entrant->classes);
    return softmax_batch(entrant, &batch);
}

/* Logits and gradient in bfloat16. */
static double run_softmax_bf16(const struct entrant *entrant) {
    const struct bench *const bench = entrant->bench;
    fghm_batch batch = batch_of(entrant->n / entrant->classes, entrant->classes);
    fghm_result result = FGHM_RESULT_INIT;
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.logits = (fghm_input){.data = bench->half_logits[1], .dtype = FGHM_BF16};
    batch.targets = (fghm_input){.data = bench->f32.byte_targets, .dtype = FGHM_U8};
    batch.gradient = (fghm_output){.data = bench->half_gradient, .dtype = FGHM_BF16};
    const fghm_status status = fghm_focal_batch(bench->gamma_2, NULL, &batch, &result);
    return status == FGHM_OK ? result.loss : (double)NAN;
}

/* Targets of all classes. */
static double run_softmax_soft(const struct entrant *entrant) {
    fghm_batch batch = batch_of(entrant->n / entrant->classes, entrant->classes);
    batch.activation = FGHM_SOFTMAX;
    batch.targets = (fghm_input){.data = entrant->bench->f32.targets, .dtype = FGHM_F32};
    return focal_batch(entrant, &batch);
}

static double run_softmax_image(const struct entrant *entrant) {
    fghm_batch batch = batch_of(1, entrant->classes);
    batch.ndim = 4;
    batch.shape[2] = batch.shape[3] = (int64_t)IMAGE;
    return softmax_batch(entrant, &batch);
}

/* Returns a weight in place of a loss. */
static double run_density(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    const fghm_status status = fghm_ghm_density_f32(entrant->bench->bins_10, NULL, entrant->n,
                                                    in->logits, in->targets, NULL, in->gradient);
    return status == FGHM_OK ? (double)((const float *)in->gradient)[0] : (double)NAN;
}

/* The competitors ----------------------------------------------------------- */

/* The same weights by the C library's sort and its exp, in double. */
struct norm {
    double value;
    size_t index;
};

static int compare_norms(const void *left, const void *right) {
    const double a = ((const struct norm *)left)->value;
    const double b = ((const struct norm *)right)->value;
    return (a > b) - (a < b);
}

static double run_density_qsort(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    const size_t n = entrant->n;
    const double width = 0.1;
    float *const weights = in->gradient;
    struct norm *const norms = malloc(n * sizeof *norms);
    if (norms == NULL) {
        return NAN;
    }
    for (size_t i = 0; i < n; i++) {
        const double x = (double)((const float *)in->logits)[i];
        const bool positive = in->byte_targets[i] != 0;
        norms[i] = (struct norm){1 / (1 + exp(positive ? x : -x)), i};
    }
    qsort(norms, n, sizeof *norms, compare_norms);
    size_t first = 0;
    size_t end = 0;
    for (size_t i = 0; i < n; i++) {
        const double low = norms[i].value - width / 2;
        const double high = norms[i].value + width / 2;
        while (norms[first].value < low) {
            first++;
        }
        while (end < n && norms[end].value < high) {
            end++;
        }
        const double length = fmin(high, 1) - fmax(low, 0);
        weights[norms[i].index] = (float)((double)n * length / (double)(end - first));
    }
    free(norms);
    return (double)weights[0];
}

static double run_loop(const struct entrant *entrant, const struct inputs *in) {
    return entrant->loop->run(entrant->n, in->logits, in->targets, in->gradient, entrant->gamma,
                              1 / (double)entrant->n);
}

static double run_loop_f32(const struct entrant *entrant) {
    return run_loop(entrant, &entrant->bench->f32);
}

static double run_loop_f64(const struct entrant *entrant) {
    return run_loop(entrant, &entrant->bench->f64);
}

static double run_softmax_loop(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    const size_t samples = entrant->n / entrant->classes;
    return entrant->loop->run_softmax(samples, entrant->classes, in->logits, in->byte_targets,
                                      in->gradient, 1 / (double)samples);
}

static double run_stream(const struct entrant *entrant) {
    const struct inputs *const in = &entrant->bench->f32;
    stream_add_f32(entrant->n, in->logits, in->targets, in->gradient);
    return NAN;
}

#define STREAM_PARTS 128

static void stream_part(void *context, size_t index) {
    const struct entrant *const entrant = context;
    const struct inputs *const in = &entrant->bench->f32;
    const size_t n = entrant->n / STREAM_PARTS;
    const size_t first = index * n;
    stream_add_f32(n, (const float *)in->logits + first, (const float *)in->targets + first,
                   (float *)in->gradient + first);
}

/* On the same threads, in as many parts as the library makes. */
static double run_stream_threads(const struct entrant *entrant) {
    struct entrant copy = *entrant;
    fghm_pool_run(entrant->bench->all_cores, STREAM_PARTS, stream_part, &copy);
    return NAN;
}

/* Sides: what stands on one side of a ratio.  The fastest of its loops counts; with
 * `form`, of those that have it in their name, and the others are only told. */
#define LOOP_SETS_MAX 2

struct side {
    double (*run)(const struct entrant *entrant);
    const struct loop_set *loops[LOOP_SETS_MAX];
    const char *form;
    bool general_gamma;
    bool softmax;
    size_t classes;
    const char *needs_row;
};

static const struct side focal = {.run = run_focal};
static const struct side focal_threads = {.run = run_focal_threads};
static const struct side focal_general = {.run = run_focal_general};
static const struct side focal_two_gammas = {.run = run_focal_two_gammas};
static const struct side asymmetric = {.run = run_asymmetric};
static const struct side varifocal = {.run = run_varifocal};
static const struct side heatmap = {.run = run_heatmap};
static const struct side calibrate = {.run = run_calibrate};
static const struct side focal_f64 = {.run = run_focal_f64};
static const struct side focal_avx2 = {.run = run_focal_avx2, .needs_row = "avx2"};
static const struct side focal_bytes = {.run = run_focal_bytes};
static const struct side focal_labels = {.run = run_focal_labels};
static const struct side focal_dense_batch = {.run = run_focal_dense_batch};
static const struct side focal_ignored = {.run = run_focal_ignored};
static const struct side focal_f16 = {.run = run_focal_f16};
static const struct side focal_bf16 = {.run = run_focal_bf16};
static const struct side ghmr = {.run = run_ghmr};
static const struct side ghmc = {.run = run_ghmc};
static const struct side ghmc_100 = {.run = run_ghmc_100};
static const struct side density = {.run = run_density};
static const struct side density_qsort = {.run = run_density_qsort};
static const struct side histograms = {.run = run_histograms};
static const struct side softmax_2 = {.run = run_softmax, .classes = 2};
static const struct side softmax_21 = {.run = run_softmax, .classes = 21};
static const struct side softmax_80 = {.run = run_softmax, .classes = 80};
static const struct side softmax_1000 = {.run = run_softmax, .classes = 1000};
static const struct side softmax_128256 = {.run = run_softmax, .classes = 128256};
static const struct side softmax_bf16 = {.run = run_softmax_bf16, .classes = 80};
static const struct side softmax_soft = {.run = run_softmax_soft, .classes = 80};
static const struct side softmax_image = {.run = run_softmax_image, .classes = 21};
static const struct side stream = {.run = run_stream};
static const struct side stream_threads = {.run = run_stream_threads};
/* Without -Ofast one cares about accuracy, and about logits that are large. */
static const struct side libm_loop = {
    .run = run_loop_f32,
    .loops = {&loops_libm_f32},
    .form = "|margin|, log1p",
};
#if BENCH_HAVE_LOOPS_OFAST
static const struct side ofast_loop = {
    .run = run_loop_f32,
    .loops = {&loops_ofast_f32, &loops_ofast512_f32},
};
static const struct side ofast_loop_general = {
    .run = run_loop_f32,
    .loops = {&loops_ofast_f32, &loops_ofast512_f32},
    .form = "pow",
    .general_gamma = true,
};
static const struct side ofast_loop_exp = {
    .run = run_loop_f32,
    .loops = {&loops_ofast_f32, &loops_ofast512_f32},
    .form = "exp",
    .general_gamma = true,
};
static const struct side ofast_loop_f64 = {
    .run = run_loop_f64,
    .loops = {&loops_ofast_f64, &loops_ofast512_f64},
};
static const struct side ofast_softmax = {
    .run = run_softmax_loop,
    .loops = {&loops_ofast_f32, &loops_ofast512_f32},
    .softmax = true,
};
static const struct side ofast_avx2_loop = {
    .run = run_loop_f32,
    .loops = {&loops_ofast_avx2_f32},
    .needs_row = "avx2",
};
#endif

/* Puts the entrants of a side into `entrants`; returns how many. */
static size_t enter(const struct bench *bench, const struct side *side, size_t n, size_t classes,
                    struct entrant *entrants) {
    const struct entrant plain = {side->run, bench, n, classes, NULL, 2};
    if (side->loops[0] == NULL) {
        entrants[0] = plain;
        return 1;
    }
    size_t count = 0;
    for (size_t set = 0; set < LOOP_SETS_MAX && side->loops[set] != NULL; set++) {
        const struct loop_set *const all = side->loops[set];
        const struct loop_forms *const forms = side->softmax         ? &all->softmax
                                               : side->general_gamma ? &all->general_gamma
                                                                     : &all->gamma_2;
        for (size_t i = 0; i < forms->count; i++) {
            entrants[count] = plain;
            entrants[count].loop = &forms->forms[i];
            entrants[count].gamma = side->general_gamma ? GENERAL_GAMMA : 2;
            count++;
        }
    }
    return count;
}

/* Ratios -------------------------------------------------------------------- */

enum unit {
    SPEED,          /* time of theirs / time of ours */
    TIME,           /* time of ours / time of theirs */
    SPEED_PER_CORE, /* SPEED / number of cores: 1 is perfect */
    NANOSECONDS,    /* of a call of ours */
    PER_ELEMENT,    /* the same of an element */
    MILLISECONDS
};

struct ratio {
    const char *name;
    enum unit unit;
    size_t n;
    const struct side *ours;
    const struct side *theirs;
    const char *target;
};

static const struct ratio ratios[] = {
#if BENCH_HAVE_LOOPS_OFAST
    {"focal_l2_over_ofast", SPEED, N_L2, &focal, &ofast_loop, ">= 1.8"},
#endif
    {"focal_l2_over_libm", SPEED, N_L2, &focal, &libm_loop, ">= 25"},
    {"focal_dram_of_stream", TIME, N_DRAM, &focal, &stream, "<= 1.15"},
    {"focal_dram_of_stream_threads", TIME, N_DRAM, &focal_threads, &stream_threads, "<= 1.15"},
#if BENCH_HAVE_LOOPS_OFAST
    {"focal_general_gamma_over_ofast", SPEED, N_L2, &focal_general, &ofast_loop_general, ">= 2"},
    {"focal_general_gamma_over_ofast_exp", SPEED, N_L2, &focal_general, &ofast_loop_exp, ">= 1.3"},
    {"focal_f64_over_ofast", SPEED, N_L2, &focal_f64, &ofast_loop_f64, ">= 1.5"},
#endif
    {"focal_u8_targets_over_dense", SPEED, N_DRAM, &focal_bytes, &focal, ">= 1.15"},
    {"focal_l2_batch_of_plain", TIME, N_L2, &focal_dense_batch, &focal, "near 1"},
    {"focal_l2_u8_of_plain", TIME, N_L2, &focal_bytes, &focal, "near 1"},
    {"focal_l2_labels_of_u8", TIME, N_L2, &focal_labels, &focal_bytes, "<= 1"},
    {"ignored_of_plain", TIME, N_L2, &focal_ignored, &focal_labels, "<= 1.15"},
    {"f16_of_f32", TIME, N_L2, &focal_f16, &focal_dense_batch, "<= 1.25"},
    {"bf16_of_f32", TIME, N_L2, &focal_bf16, &focal_dense_batch, "<= 1.15"},
    {"two_gammas_of_one", TIME, N_L2, &focal_two_gammas, &focal, "<= 1.3"},
    {"varifocal_of_focal", TIME, N_L2, &varifocal, &focal, "<= 1.25"},
    {"asymmetric_of_focal", TIME, N_L2, &asymmetric, &focal, "<= 2.5"},
    {"heatmap_of_focal", TIME, N_L2, &heatmap, &focal, "<= 1.25"},
    {"calibrate_of_focal", TIME, N_L2, &calibrate, &focal, "<= 4"},
    {"ghmc_l2_ns", PER_ELEMENT, N_L2, &ghmc, NULL, "<= 0.75"},
    {"ghmr_l2_ns", PER_ELEMENT, N_L2, &ghmr, NULL, "<= 1"},
    {"ghmc_l2_of_focal", TIME, N_L2, &ghmc, &focal, "<= 1.4"},
    {"ghmc_dram_of_focal", TIME, N_DRAM, &ghmc, &focal, "<= 1.6"},
    {"ghmc_100bins_of_10bins", TIME, N_L2, &ghmc_100, &ghmc, "<= 1.45"},
    {"density_over_qsort", SPEED, N_DENSITY, &density, &density_qsort, ">= 5"},
    {"softmax_2_ns", PER_ELEMENT, N_SOFTMAX_2, &softmax_2, NULL, "<= 3"},
#if BENCH_HAVE_LOOPS_OFAST
    {"softmax_80_over_ofast", SPEED, N_SOFTMAX_80, &softmax_80, &ofast_softmax, ">= 1.1"},
    {"softmax_1000_over_ofast", SPEED, N_SOFTMAX_1000, &softmax_1000, &ofast_softmax, ">= 1.3"},
    {"softmax_128256_over_ofast", SPEED, N_SOFTMAX_128256, &softmax_128256, &ofast_softmax,
     ">= 1.3"},
#endif
    {"softmax_one_row_ns", PER_ELEMENT, N_SOFTMAX_ROW, &softmax_128256, NULL, "<= 1.5"},
    {"softmax_bf16_of_f32", TIME, N_SOFTMAX_80, &softmax_bf16, &softmax_80, "<= 1.5"},
    {"softmax_soft_of_labels", TIME, N_SOFTMAX_80, &softmax_soft, &softmax_80, "<= 4"},
    {"softmax_nchw_of_rows", TIME, N_SOFTMAX_IMAGE, &softmax_image, &softmax_21, "<= 1"},
    {"small_call_ns", NANOSECONDS, N_SMALL, &focal, NULL, "<= 45"},
    {"small_call_7_ns", NANOSECONDS, N_TINY, &focal, NULL, "<= 45"},
    {"small_batch_call_ns", NANOSECONDS, N_SMALL, &focal_dense_batch, NULL, "<= 150"},
    {"many_histograms_4096_ms", MILLISECONDS, N_4096_HISTOGRAMS, &histograms, NULL, "linear"},
    {"many_histograms_16384_ms", MILLISECONDS, N_16384_HISTOGRAMS, &histograms, NULL, "linear"},
    {"threads_speedup", SPEED_PER_CORE, N_MIDDLE, &focal_threads, &focal, ">= 0.9"},
#if BENCH_HAVE_LOOPS_OFAST
    {"avx2_over_ofast_avx2", SPEED, N_L2, &focal_avx2, &ofast_avx2_loop, ">= 1.5"},
#endif
};

/* What an entrant has computed, in two numbers. */
struct result {
    double loss;
    double gradient; /* the sum of its magnitudes */
};

static struct result result_of(const struct entrant *entrant, const struct inputs *in) {
    struct result result = {entrant->run(entrant), 0};
    for (size_t i = 0; i < entrant->n; i++) {
        result.gradient += in->real_size == sizeof(float)
                               ? fabs((double)((const float *)in->gradient)[i])
                               : fabs(((const double *)in->gradient)[i]);
    }
    return result;
}

static bool same(double value, double expected) {
    return fabs(value - expected) <= SAME * fabs(expected);
}

static const char *name_of(const struct entrant *entrant) {
    return entrant->loop != NULL ? entrant->loop->name : "other";
}

/* Ends the program if a loop computes something else than the library. */
static void check_entrants(const struct entrant *entrants, size_t count) {
    const struct bench *const bench = entrants[0].bench;
    for (size_t i = 1; i < count; i++) {
        if (entrants[i].loop == NULL && entrants[i].run != run_density_qsort) {
            continue;
        }
        const struct inputs *const in = entrants[i].run == run_loop_f64 ? &bench->f64 : &bench->f32;
        const struct result ours = result_of(&entrants[0], in);
        const struct result theirs = result_of(&entrants[i], in);
        if (!same(theirs.loss, ours.loss) || !same(theirs.gradient, ours.gradient)) {
            fprintf(stderr, "%s: loss %g, gradient %g; the library: %g, %g\n",
                    name_of(&entrants[i]), theirs.loss, theirs.gradient, ours.loss, ours.gradient);
            exit(EXIT_FAILURE);
        }
    }
}

static void run_entrant(const void *context) {
    const struct entrant *const entrant = context;
    (void)entrant->run(entrant);
}

static double value_of(const struct ratio *ratio, const struct contender *ours,
                       const struct contender *theirs, size_t rounds, size_t cores) {
    switch (ratio->unit) {
    case SPEED:
        return median_quotient(theirs, ours, rounds);
    case TIME:
        return median_quotient(ours, theirs, rounds);
    case SPEED_PER_CORE:
        return median_quotient(theirs, ours, rounds) / (double)cores;
    case PER_ELEMENT:
        return ours->seconds * 1e9 / (double)ratio->n;
    case MILLISECONDS:
        return ours->seconds * 1e3;
    default:
        return ours->seconds * 1e9;
    }
}

static void explain(const struct ratio *ratio, const struct entrant *entrants,
                    const struct contender *contenders, size_t count, size_t rounds) {
    fprintf(stderr, "%s (wanted: %s), n = %zu, %zu rounds, ns per element:\n", ratio->name,
            ratio->target, ratio->n, rounds);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, "    %8.4f  %s\n", contenders[i].seconds * 1e9 / (double)ratio->n,
                i == 0 ? "ours" : name_of(&entrants[i]));
    }
}

static size_t best_of_theirs(const struct ratio *ratio, const struct entrant *entrants,
                             const struct contender *contenders, size_t count) {
    const char *const form = ratio->theirs->form;
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        const bool counts = form == NULL || strstr(entrants[i].loop->name, form) != NULL;
        if (counts && (best == 0 || contenders[i].seconds < contenders[best].seconds)) {
            best = i;
        }
    }
    return best;
}

static void measure(const struct bench *bench, const struct ratio *ratio) {
    struct entrant entrants[CONTENDERS_MAX];
    static struct contender contenders[CONTENDERS_MAX];
    size_t count = enter(bench, ratio->ours, ratio->n, ratio->ours->classes, entrants);
    if (ratio->theirs != NULL) {
        count += enter(bench, ratio->theirs, ratio->n, ratio->ours->classes, entrants + count);
    }
    check_entrants(entrants, count);
    for (size_t i = 0; i < count; i++) {
        contenders[i] = (struct contender){.run = run_entrant, .context = &entrants[i]};
    }
    const size_t rounds = time_in_turns(contenders, count, ratio->n == N_DRAM ? 4 : 2);
    const size_t best = count > 1 ? best_of_theirs(ratio, entrants, contenders, count) : 0;
    explain(ratio, entrants, contenders, count, rounds);
    printf("%s %.3g\n", ratio->name,
           value_of(ratio, &contenders[0], &contenders[best], rounds, bench->cores));
    fflush(stdout);
}

/* Whether this processor can run it, and whether it was asked for. */
static bool is_wanted(const struct ratio *ratio, int names, char **name) {
    if (ratio->ours->needs_row != NULL && usable_row(ratio->ours->needs_row) == NULL) {
        fprintf(stderr, "%s: left out, no %s here\n", ratio->name, ratio->ours->needs_row);
        return false;
    }
    bool wanted = names == 0;
    for (int i = 0; i < names; i++) {
        wanted = wanted || strstr(ratio->name, name[i]) != NULL;
    }
    return wanted;
}

static void require(fghm_status status) {
    if (status != FGHM_OK) {
        fprintf(stderr, "%s\n", fghm_status_string(status));
        exit(EXIT_FAILURE);
    }
}

/* Ends the program if there is no memory. */
static uint16_t *half_array(void) {
    uint16_t *const array = calloc(N_L2, sizeof *array);
    require(array == NULL ? FGHM_ERROR_MEMORY : FGHM_OK);
    return array;
}

static struct bench bench_make(void) {
    struct bench bench = {0};
    bench.f32 = inputs_make(N_DRAM, sizeof(float));
    bench.f64 = inputs_make(N_L2, sizeof(double));
    const fghm_dtype halves[] = {FGHM_F16, FGHM_BF16};
    bench.half_gradient = half_array();
    for (size_t i = 0; i < 2; i++) {
        bench.half_logits[i] = half_array();
        fghm_row()->f32->write(halves[i], bench.half_logits[i], 0, 1, N_L2, bench.f32.logits);
    }
    require(fghm_focal_create(&bench.gamma_2));
    require(fghm_focal_create(&bench.two_gammas));
    require(fghm_focal_set_gamma(bench.two_gammas, 1));
    require(fghm_focal_set_negative_gamma(bench.two_gammas, 4));
    require(fghm_focal_create(&bench.asymmetric));
    require(fghm_focal_set_gamma(bench.asymmetric, 1));
    require(fghm_focal_set_negative_gamma(bench.asymmetric, 4));
    require(fghm_focal_set_margin(bench.asymmetric, 0.05));
    require(fghm_focal_create(&bench.varifocal));
    require(fghm_focal_set_rule(bench.varifocal, FGHM_FOCAL_RULE_VARIFOCAL));
    require(fghm_focal_set_alpha(bench.varifocal, 0.75));
    require(fghm_focal_create(&bench.heatmap));
    require(fghm_focal_set_rule(bench.heatmap, FGHM_FOCAL_RULE_HEATMAP));
    require(fghm_focal_create(&bench.general_gamma));
    require(fghm_focal_set_gamma(bench.general_gamma, GENERAL_GAMMA));
    require(fghm_ghm_create(&bench.bins_10, FGHM_GHM_CLASSIFICATION));
    require(fghm_ghm_create(&bench.bins_100, FGHM_GHM_CLASSIFICATION));
    require(fghm_ghm_set_bins(bench.bins_100, 100));
    require(fghm_ghm_create(&bench.regression, FGHM_GHM_REGRESSION));
    require(fghm_ghm_create(&bench.histograms_4096, FGHM_GHM_CLASSIFICATION));
    require(fghm_ghm_set_histograms(bench.histograms_4096, 4096));
    require(fghm_ghm_create(&bench.histograms_16384, FGHM_GHM_CLASSIFICATION));
    require(fghm_ghm_set_histograms(bench.histograms_16384, 16384));
    require(fghm_pool_create(&bench.all_cores, 0));
    require(fghm_pool_get_threads(bench.all_cores, &bench.cores));
    const struct fghm_row *const avx2 = usable_row("avx2");
    bench.avx2 = avx2 == NULL ? NULL : avx2->f32;
    return bench;
}

static void bench_free(struct bench *bench) {
    inputs_free(&bench->f32);
    inputs_free(&bench->f64);
    free(bench->half_gradient);
    free(bench->half_logits[0]);
    free(bench->half_logits[1]);
    fghm_focal_destroy(bench->gamma_2);
    fghm_focal_destroy(bench->two_gammas);
    fghm_focal_destroy(bench->asymmetric);
    fghm_focal_destroy(bench->varifocal);
    fghm_focal_destroy(bench->heatmap);
    fghm_focal_destroy(bench->general_gamma);
    fghm_ghm_destroy(bench->bins_10);
    fghm_ghm_destroy(bench->bins_100);
    fghm_ghm_destroy(bench->regression);
    fghm_ghm_destroy(bench->histograms_4096);
    fghm_ghm_destroy(bench->histograms_16384);
    fghm_pool_destroy(bench->all_cores);
}

/* The first processor's vendor, family and model, as Linux tells them. */
static void print_processor(void) {
    FILE *const file = fopen("/proc/cpuinfo", "r");
    char line[256];
    int told = 0;
    while (file != NULL && told < 3 && fgets(line, sizeof line, file) != NULL) {
        const char *const colon = strchr(line, ':');
        const bool tells = strncmp(line, "vendor_id", 9) == 0 ||
                           strncmp(line, "cpu family", 10) == 0 || strncmp(line, "model\t", 6) == 0;
        if (tells && colon != NULL) {
            printf("%s%.*s",
                   told == 0   ? "#"
                   : told == 1 ? ", family"
                               : ", model",
                   (int)strcspn(colon + 1, "\n"), colon + 1);
            told++;
        }
    }
    fputs(told == 0 ? "# processor unknown" : "", stdout);
    if (file != NULL) {
        fclose(file);
    }
}

/* What `size` says of the shared library. */
static void print_text(void) {
#ifdef BENCH_SIZE
    FILE *const size = popen(BENCH_SIZE, "r");
    char line[256];
    if (size != NULL && fgets(line, sizeof line, size) != NULL &&
        fgets(line, sizeof line, size) != NULL) {
        printf("text_bytes %ld\n", strtol(line, NULL, 10));
    }
    if (size != NULL) {
        pclose(size);
    }
#endif
}

int main(int argc, char **argv) {
    struct bench bench = bench_make();
    print_processor();
    printf("; %zu cores; libfocalghm %s, %s; compiled by " BENCH_COMPILER "\n", bench.cores,
           fghm_version(), fghm_isa_name());
    if (argc == 1) {
        print_text();
    }
    fflush(stdout);
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        if (is_wanted(&ratios[i], argc - 1, argv + 1)) {
            measure(&bench, &ratios[i]);
        }
    }
    bench_free(&bench);
    return 0;
}
