/* SPDX-License-Identifier: MIT */
/* LightGBM with focal loss, against its own one-versus-rest loss: the ten digits, from
 * labels of which some are wrong (see bench/train). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocate.h"
#include "boosting.h"
#include "dataset.h"
#include "metrics.h"
#include "objective.h"
#include "random.h"
#include "reference.h"

#define DIGITS 10
#define WRONG 0.03
#define ROUNDS 60
#define SEEDS 3
#define FLOOR 1e-16
#define ULP 0x1p-23 /* of a float, relative to it, at most */

/* Average precisions that differ by less are called level. */
#define LEVEL 0.005

enum method { BUILT_IN, CROSS_ENTROPY, GAUSS_NEWTON, FLOORED, METHODS };

static const struct {
    const char *name;
    double gamma;
    fghm_hessian_mode hessian;
} methods[METHODS] = {
    [BUILT_IN] = {"multiclassova", 0.0, FGHM_HESSIAN_EXACT},
    [CROSS_ENTROPY] = {"focal, gamma 0", 0.0, FGHM_HESSIAN_EXACT},
    [GAUSS_NEWTON] = {"focal, Gauss-Newton", 2.0, FGHM_HESSIAN_GAUSS_NEWTON},
    [FLOORED] = {"focal, exact, floored", 2.0, FGHM_HESSIAN_FLOORED},
};

struct outcome {
    double average_precision;    /* mean over the digits */
    double right;                /* how often the largest probability is the digit's */
    double logloss;              /* of calibrated probabilities, mean over the digits */
    double uncalibrated_logloss; /* of sigmoid(logit) */
};

/* Means over the seeds, and the largest errors of all rounds. */
struct run {
    struct outcome outcomes[METHODS];
    double worst_gradient[METHODS]; /* in ulp */
    double worst_hessian[METHODS];
};

static struct run run;

/* All digits at once: the images, and the digit of each. */
struct digits {
    struct dataset images;
    int32_t *labels;
};

static bool read_digits(struct digits *train, struct digits *test) {
    for (int digit = 0; digit < DIGITS; digit++) {
        struct dataset halves[2] = {{0, NULL, NULL}, {0, NULL, NULL}};
        if (!dataset_read(DIGITS_CSV, digit, &halves[0], &halves[1])) {
            return false;
        }
        for (int half = 0; half < 2; half++) {
            struct digits *digits = half == 0 ? train : test;
            const size_t count = halves[half].count;
            if (digits->labels == NULL) {
                digits->labels = resize_or_exit(NULL, count, sizeof *digits->labels);
            }
            for (size_t i = 0; i < count; i++) {
                digits->labels[i] = halves[half].targets[i] > 0.5F ? digit : digits->labels[i];
            }
            dataset_free(&digits->images);
            digits->images = halves[half];
        }
    }
    return true;
}

static void free_digits(struct digits *digits) {
    dataset_free(&digits->images);
    free(digits->labels);
}

/* Copies the labels, making some of them another digit. */
static void spoil_labels(const struct digits *digits, uint64_t seed, int32_t *labels) {
    struct random random = random_start(seed, RANDOM_FLIPS);
    for (size_t i = 0; i < digits->images.count; i++) {
        const bool wrong = (double)random_uniform(&random) < WRONG;
        const int32_t other = 1 + (int32_t)(random_uniform(&random) * (DIGITS - 1));
        labels[i] = wrong ? (digits->labels[i] + other) % DIGITS : digits->labels[i];
    }
}

static void watch(enum method method, const struct examples *examples, const double *scores,
                  const float *gradient, const float *hessian) {
    for (size_t i = 0; i < DIGITS * examples->count; i++) {
        const size_t digit = i / examples->count;
        const double target = examples->labels[i % examples->count] == (int32_t)digit;
        const struct reference wanted = focal_reference(methods[method].gamma, scores[i], target);
        const double curvature = methods[method].hessian == FGHM_HESSIAN_GAUSS_NEWTON
                                     ? wanted.gauss_newton
                                     : fmax(wanted.exact_hessian, FLOOR);
        run.worst_gradient[method] =
            fmax(run.worst_gradient[method],
                 fabs((double)gradient[i] - wanted.gradient) / (fabs(wanted.gradient) * ULP));
        run.worst_hessian[method] =
            fmax(run.worst_hessian[method], fabs((double)hessian[i] - curvature) /
                                                (fmax(wanted.hessian_scale, curvature) * ULP));
    }
}

static struct outcome judge(const fghm_focal *focal, const struct digits *test,
                            const double *logits) {
    const size_t count = test->images.count;
    double *of_digit = resize_or_exit(NULL, count, sizeof *of_digit);
    double *calibrated = resize_or_exit(NULL, count, sizeof *calibrated);
    double *best = resize_or_exit(NULL, count, sizeof *best);
    float *ranking = resize_or_exit(NULL, count, sizeof *ranking);
    float *targets = resize_or_exit(NULL, count, sizeof *targets);
    int *guess = resize_or_exit(NULL, count, sizeof *guess);
    struct outcome outcome = {0.0, 0.0, 0.0, 0.0};
    for (int digit = 0; digit < DIGITS; digit++) {
        for (size_t i = 0; i < count; i++) {
            const double logit = logits[i * DIGITS + (size_t)digit];
            of_digit[i] = logit;
            ranking[i] = (float)logit;
            targets[i] = test->labels[i] == digit ? 1.0F : 0.0F;
        }
        require_focal(fghm_focal_calibrate_f64(focal, NULL, count, of_digit, calibrated),
                      "fghm_focal_calibrate_f64");
        outcome.average_precision += measure(count, ranking, targets, 0.95).average_precision;
        outcome.logloss += mean_logloss(count, calibrated, targets);
        for (size_t i = 0; i < count; i++) {
            if (digit == 0 || calibrated[i] > best[i]) {
                best[i] = calibrated[i];
                guess[i] = digit;
            }
            of_digit[i] = 1.0 / (1.0 + exp(-of_digit[i]));
        }
        outcome.uncalibrated_logloss += mean_logloss(count, of_digit, targets);
    }
    for (size_t i = 0; i < count; i++) {
        outcome.right += guess[i] == test->labels[i];
    }
    outcome.average_precision /= DIGITS;
    outcome.logloss /= DIGITS;
    outcome.uncalibrated_logloss /= DIGITS;
    outcome.right /= (double)count;
    free(of_digit);
    free(calibrated);
    free(best);
    free(ranking);
    free(targets);
    free(guess);
    return outcome;
}

static struct outcome train_and_test(enum method method, const struct dataset *train,
                                     const int32_t *labels, const struct digits *test) {
    const struct examples examples = {train->count, DIGITS, labels};
    const size_t size = DIGITS * train->count;
    float *float_labels = resize_or_exit(NULL, train->count, sizeof *float_labels);
    for (size_t i = 0; i < train->count; i++) {
        float_labels[i] = (float)labels[i];
    }
    DatasetHandle dataset = NULL;
    require_lightgbm(LGBM_DatasetCreateFromMat(train->inputs, C_API_DTYPE_FLOAT32,
                                               (int32_t)train->count, PIXELS, 1, "verbosity=-1",
                                               NULL, &dataset),
                     "LGBM_DatasetCreateFromMat");
    require_lightgbm(LGBM_DatasetSetField(dataset, "label", float_labels, (int)train->count,
                                          C_API_DTYPE_FLOAT32),
                     "LGBM_DatasetSetField");

    fghm_focal *focal = boosting_focal(methods[method].gamma, methods[method].hessian, FLOOR);
    double start[DIGITS] = {0.0};
    if (method != BUILT_IN) {
        start_from_best_constants(focal, dataset, &examples, start);
    }
    char parameters[256];
    snprintf(parameters, sizeof parameters,
             "objective=%s num_class=%d num_leaves=8 learning_rate=0.1 lambda_l2=1 "
             "num_threads=1 deterministic=true verbosity=-1",
             method == BUILT_IN ? "multiclassova" : "custom", DIGITS);
    BoosterHandle booster = NULL;
    require_lightgbm(LGBM_BoosterCreate(dataset, parameters, &booster), "LGBM_BoosterCreate");

    double *scores = resize_or_exit(NULL, size, sizeof *scores);
    float *gradient = resize_or_exit(NULL, size, sizeof *gradient);
    float *hessian = resize_or_exit(NULL, size, sizeof *hessian);
    for (int round = 0; round < ROUNDS; round++) {
        if (method == BUILT_IN) {
            int is_finished = 0;
            require_lightgbm(LGBM_BoosterUpdateOneIter(booster, &is_finished),
                             "LGBM_BoosterUpdateOneIter");
        } else {
            boost_with_focal(focal, booster, &examples, scores, gradient, hessian);
            watch(method, &examples, scores, gradient, hessian);
        }
    }

    /* Predictions, unlike scores, come with the classes of one example together. */
    double *logits = resize_or_exit(NULL, DIGITS * test->images.count, sizeof *logits);
    int64_t length = 0;
    require_lightgbm(LGBM_BoosterPredictForMat(booster, test->images.inputs, C_API_DTYPE_FLOAT32,
                                               (int32_t)test->images.count, PIXELS, 1,
                                               C_API_PREDICT_RAW_SCORE, 0, -1, "num_threads=1",
                                               &length, logits),
                     "LGBM_BoosterPredictForMat");
    for (size_t i = 0; i < (size_t)length; i++) {
        logits[i] += start[i % DIGITS];
    }
    const struct outcome outcome = judge(focal, test, logits);
    free(logits);
    free(scores);
    free(gradient);
    free(hessian);
    free(float_labels);
    LGBM_BoosterFree(booster);
    LGBM_DatasetFree(dataset);
    fghm_focal_destroy(focal);
    return outcome;
}

static int run_all(void **state) {
    (void)state;
    struct digits train = {{0, NULL, NULL}, NULL};
    struct digits test = {{0, NULL, NULL}, NULL};
    if (!read_digits(&train, &test)) {
        return -1;
    }
    int32_t *labels = resize_or_exit(NULL, train.images.count, sizeof *labels);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        spoil_labels(&train, seed, labels);
        for (enum method method = 0; method < METHODS; method++) {
            const struct outcome outcome = train_and_test(method, &train.images, labels, &test);
            struct outcome *mean = &run.outcomes[method];
            mean->average_precision += outcome.average_precision / SEEDS;
            mean->right += outcome.right / SEEDS;
            mean->logloss += outcome.logloss / SEEDS;
            mean->uncalibrated_logloss += outcome.uncalibrated_logloss / SEEDS;
        }
    }
    free(labels);
    free_digits(&train);
    free_digits(&test);

    printf("%d rounds of boosting ten digits, means over %d sets of wrong labels\n\n", ROUNDS,
           SEEDS);
    printf("%-23s%9s%9s%9s%14s%16s%16s\n", "", "average", "share", "", "uncalibrated",
           "gradient error", "Hessian error");
    printf("%-23s%9s%9s%9s%14s%16s%16s\n", "", "precision", "right", "logloss", "logloss", "in ulp",
           "in ulp");
    for (enum method method = 0; method < METHODS; method++) {
        const struct outcome *outcome = &run.outcomes[method];
        printf("%-23s%9.4f%9.4f%9.4f%14.4f", methods[method].name, outcome->average_precision,
               outcome->right, outcome->logloss, outcome->uncalibrated_logloss);
        if (method != BUILT_IN) {
            printf("%16.3f%16.3f", run.worst_gradient[method], run.worst_hessian[method]);
        }
        putchar('\n');
    }
    putchar('\n');
    return 0;
}

/* Scores are double, so what is left is the rounding to float. */
static void gradients_are_the_formula_rounded_once(void **state) {
    (void)state;
    for (enum method method = CROSS_ENTROPY; method < METHODS; method++) {
        assert_true(run.worst_gradient[method] <= 0.501);
        assert_true(run.worst_hessian[method] <= 0.501);
    }
}

/* The same loss, from the same start, by other code. */
static void gamma_0_is_the_built_in_loss(void **state) {
    (void)state;
    const struct outcome *built_in = &run.outcomes[BUILT_IN];
    const struct outcome *same = &run.outcomes[CROSS_ENTROPY];
    assert_true(fabs(same->average_precision - built_in->average_precision) <= 1e-3);
    assert_true(fabs(same->logloss - built_in->logloss) <= 1e-3);
}

static void focal_loss_ranks_as_well_as_the_built_in_loss(void **state) {
    (void)state;
    const double built_in = run.outcomes[BUILT_IN].average_precision;
    assert_true(run.outcomes[GAUSS_NEWTON].average_precision >= built_in - LEVEL);
    assert_true(run.outcomes[FLOORED].average_precision >= built_in - LEVEL);
}

/* sigmoid(logit) of a model trained with focal loss is no probability. */
static void calibration_lowers_the_logloss(void **state) {
    (void)state;
    const struct outcome *outcomes = run.outcomes;
    assert_true(outcomes[GAUSS_NEWTON].logloss < outcomes[GAUSS_NEWTON].uncalibrated_logloss);
    assert_true(outcomes[FLOORED].logloss < outcomes[FLOORED].uncalibrated_logloss);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_the_formula_rounded_once),
        cmocka_unit_test(gamma_0_is_the_built_in_loss),
        cmocka_unit_test(focal_loss_ranks_as_well_as_the_built_in_loss),
        cmocka_unit_test(calibration_lowers_the_logloss),
    };
    return cmocka_run_group_tests_name("lightgbm", tests, run_all, NULL);
}
