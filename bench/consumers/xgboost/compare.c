/* SPDX-License-Identifier: MIT */
/* XGBoost with focal loss, against the same trees with its own logistic loss: one digit
 * among all ten, from labels of which some are wrong (see bench/train). */
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

#define DIGIT 8
#define FLIPPED 0.03
#define ROUNDS 150
#define SEEDS 10
#define GAMMA 2.0
#define FAR_OFF (-4.0)
#define FLOOR 1e-16
#define ULP 0x1p-23 /* of a float, relative to it, at most */

/* Average precisions that differ by less are called level: of the test set's 88 positives,
 * two that come last instead of first cost as much. */
#define LEVEL 0.02

enum method { LOGISTIC, GAUSS_NEWTON, FLOORED, GAUSS_NEWTON_FAR_OFF, FLOORED_FAR_OFF, METHODS };

static const struct {
    const char *name;
    double gamma;
    fghm_hessian_mode hessian;
    bool far_off; /* starts from FAR_OFF, else from the best constant */
} methods[METHODS] = {
    [LOGISTIC] = {"binary:logistic", 0.0, FGHM_HESSIAN_EXACT, false},
    [GAUSS_NEWTON] = {"focal, Gauss-Newton", GAMMA, FGHM_HESSIAN_GAUSS_NEWTON, false},
    [FLOORED] = {"focal, exact, floored", GAMMA, FGHM_HESSIAN_FLOORED, false},
    [GAUSS_NEWTON_FAR_OFF] = {"Gauss-Newton, from -4", GAMMA, FGHM_HESSIAN_GAUSS_NEWTON, true},
    [FLOORED_FAR_OFF] = {"floored, from -4", GAMMA, FGHM_HESSIAN_FLOORED, true},
};

struct outcome {
    double average_precision;
    double logloss;              /* of calibrated probabilities */
    double uncalibrated_logloss; /* of sigmoid(logit) */
};

/* Means over the seeds, and the largest errors of all rounds. */
struct run {
    struct outcome outcomes[METHODS];
    double worst_gradient[METHODS]; /* in ulp */
    double worst_hessian[METHODS];
    size_t negative_hessians[METHODS]; /* how often the exact one was */
};

static struct run run;

/* In ulp of `scale`; among subnormal numbers, an absolute error of 8 is granted. */
static double error(float got, double wanted, double scale) {
    const double difference = fabs((double)got - wanted);
    return difference <= 8 * 0x1p-149 ? 0.0 : difference / (scale * ULP);
}

static void watch(enum method method, size_t count, const float *margins, const float *labels,
                  const float *gradient, const float *hessian) {
    for (size_t i = 0; i < count; i++) {
        const struct reference wanted =
            focal_reference(GAMMA, (double)margins[i], (double)labels[i]);
        const double curvature = methods[method].hessian == FGHM_HESSIAN_GAUSS_NEWTON
                                     ? wanted.gauss_newton
                                     : fmax(wanted.exact_hessian, FLOOR);
        run.worst_gradient[method] = fmax(
            run.worst_gradient[method], error(gradient[i], wanted.gradient, fabs(wanted.gradient)));
        run.worst_hessian[method] =
            fmax(run.worst_hessian[method],
                 error(hessian[i], curvature, fmax(wanted.hessian_scale, curvature)));
        run.negative_hessians[method] += wanted.exact_hessian < 0.0;
    }
}

static DMatrixHandle make_matrix(const struct dataset *dataset, const float *labels) {
    DMatrixHandle matrix = NULL;
    require_xgboost(
        XGDMatrixCreateFromMat(dataset->inputs[0], dataset->count, PIXELS, NAN, &matrix),
        "XGDMatrixCreateFromMat");
    require_xgboost(XGDMatrixSetFloatInfo(matrix, "label", labels, dataset->count),
                    "XGDMatrixSetFloatInfo");
    return matrix;
}

/* min_child_weight is a bound for a leaf's sum of Hessians: 1, the default, means another
 * number of examples for each loss, so none is set. */
static BoosterHandle make_booster(DMatrixHandle train, DMatrixHandle test) {
    static const char *const parameters[][2] = {{"objective", "binary:logistic"},
                                                {"tree_method", "hist"},
                                                {"max_depth", "3"},
                                                {"eta", "0.1"},
                                                {"min_child_weight", "0"},
                                                {"nthread", "1"}};
    const DMatrixHandle matrices[] = {train, test};
    BoosterHandle booster = NULL;
    require_xgboost(XGBoosterCreate(matrices, 2, &booster), "XGBoosterCreate");
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        require_xgboost(XGBoosterSetParam(booster, parameters[i][0], parameters[i][1]),
                        "XGBoosterSetParam");
    }
    return booster;
}

static double count_positives(size_t count, const float *labels) {
    double positives = 0.0;
    for (size_t i = 0; i < count; i++) {
        positives += (double)labels[i];
    }
    return positives;
}

static struct outcome judge(const fghm_focal *focal, size_t count, const float *margins,
                            const float *targets) {
    double *logits = resize_or_exit(NULL, count, sizeof *logits);
    double *probabilities = resize_or_exit(NULL, count, sizeof *probabilities);
    for (size_t i = 0; i < count; i++) {
        logits[i] = (double)margins[i];
        probabilities[i] = 1.0 / (1.0 + exp(-logits[i]));
    }
    struct outcome outcome = {.average_precision =
                                  measure(count, margins, targets, 0.95).average_precision,
                              .uncalibrated_logloss = mean_logloss(count, probabilities, targets)};
    require_focal(fghm_focal_calibrate_f64(focal, NULL, count, logits, probabilities),
                  "fghm_focal_calibrate_f64");
    outcome.logloss = mean_logloss(count, probabilities, targets);
    free(logits);
    free(probabilities);
    return outcome;
}

static struct outcome train_and_test(enum method method, const struct dataset *train,
                                     const float *labels, const struct dataset *test) {
    /* gamma 0 is cross-entropy: its best constant is the log odds of the labels, and its
     * calibration the sigmoid. */
    fghm_focal *focal = boosting_focal(methods[method].gamma, methods[method].hessian, FLOOR);
    DMatrixHandle train_matrix = make_matrix(train, labels);
    DMatrixHandle test_matrix = make_matrix(test, test->targets);
    const double positives = count_positives(train->count, labels);
    const double negatives = (double)train->count - positives;
    const double start =
        methods[method].far_off ? FAR_OFF : best_constant(focal, positives, negatives);
    start_from(start, train_matrix, train->count);
    start_from(start, test_matrix, test->count);

    BoosterHandle booster = make_booster(train_matrix, test_matrix);
    float *margins = resize_or_exit(NULL, train->count, sizeof *margins);
    float *gradient = resize_or_exit(NULL, train->count, sizeof *gradient);
    float *hessian = resize_or_exit(NULL, train->count, sizeof *hessian);
    for (int round = 0; round < ROUNDS; round++) {
        if (method == LOGISTIC) {
            require_xgboost(XGBoosterUpdateOneIter(booster, round, train_matrix),
                            "XGBoosterUpdateOneIter");
        } else {
            boost_with_focal(focal, booster, train_matrix, train->count, labels, margins, gradient,
                             hessian);
            watch(method, train->count, margins, labels, gradient, hessian);
        }
    }
    float *scores = predict_margins(booster, test_matrix, test->count);
    const struct outcome outcome = judge(focal, test->count, scores, test->targets);
    free(scores);
    free(margins);
    free(gradient);
    free(hessian);
    XGBoosterFree(booster);
    XGDMatrixFree(train_matrix);
    XGDMatrixFree(test_matrix);
    fghm_focal_destroy(focal);
    return outcome;
}

static int run_all(void **state) {
    (void)state;
    struct dataset train = {0, NULL, NULL};
    struct dataset test = {0, NULL, NULL};
    if (!dataset_read(DIGITS_CSV, DIGIT, &train, &test)) {
        return -1;
    }
    float *labels = resize_or_exit(NULL, train.count, sizeof *labels);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        dataset_flip_targets(&train, FLIPPED, random_start(seed, RANDOM_FLIPS), labels);
        for (enum method method = 0; method < METHODS; method++) {
            const struct outcome outcome = train_and_test(method, &train, labels, &test);
            run.outcomes[method].average_precision += outcome.average_precision / SEEDS;
            run.outcomes[method].logloss += outcome.logloss / SEEDS;
            run.outcomes[method].uncalibrated_logloss += outcome.uncalibrated_logloss / SEEDS;
        }
    }
    free(labels);
    dataset_free(&train);
    dataset_free(&test);

    printf("%d rounds of boosting, means over %d sets of flipped labels\n\n", ROUNDS, SEEDS);
    printf("%-23s%9s%9s%14s%16s%16s%20s\n", "", "average", "", "uncalibrated", "gradient error",
           "Hessian error", "negative exact");
    printf("%-23s%9s%9s%14s%16s%16s%20s\n", "", "precision", "logloss", "logloss", "in ulp",
           "in ulp", "Hessians");
    for (enum method method = 0; method < METHODS; method++) {
        const struct outcome *outcome = &run.outcomes[method];
        printf("%-23s%9.3f%9.3f%14.3f", methods[method].name, outcome->average_precision,
               outcome->logloss, outcome->uncalibrated_logloss);
        if (method != LOGISTIC) {
            printf("%16.2f%16.2f%20zu", run.worst_gradient[method], run.worst_hessian[method],
                   run.negative_hessians[method]);
        }
        putchar('\n');
    }
    putchar('\n');
    return 0;
}

static void gradients_are_those_of_the_formula(void **state) {
    (void)state;
    for (enum method method = GAUSS_NEWTON; method < METHODS; method++) {
        assert_true(run.worst_gradient[method] <= 8.0);
    }
}

static void hessians_are_those_of_the_formula(void **state) {
    (void)state;
    for (enum method method = GAUSS_NEWTON; method < METHODS; method++) {
        assert_true(run.worst_hessian[method] <= 8.0);
    }
}

/* Far from it XGBoost meets Hessians that the floor made tiny, and takes huge steps. */
static void best_constant_is_the_better_start(void **state) {
    (void)state;
    assert_true(run.negative_hessians[FLOORED_FAR_OFF] > 0);
    assert_true(run.negative_hessians[FLOORED] < run.negative_hessians[FLOORED_FAR_OFF]);
    assert_true(run.outcomes[FLOORED].logloss < run.outcomes[FLOORED_FAR_OFF].logloss);
    assert_true(run.outcomes[GAUSS_NEWTON].logloss < run.outcomes[GAUSS_NEWTON_FAR_OFF].logloss);
}

static void focal_loss_ranks_as_well_as_logistic(void **state) {
    (void)state;
    const double logistic = run.outcomes[LOGISTIC].average_precision;
    assert_true(run.outcomes[GAUSS_NEWTON].average_precision >= logistic - LEVEL);
    assert_true(run.outcomes[FLOORED].average_precision >= logistic - LEVEL);
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
        cmocka_unit_test(gradients_are_those_of_the_formula),
        cmocka_unit_test(hessians_are_those_of_the_formula),
        cmocka_unit_test(best_constant_is_the_better_start),
        cmocka_unit_test(focal_loss_ranks_as_well_as_logistic),
        cmocka_unit_test(calibration_lowers_the_logloss),
    };
    return cmocka_run_group_tests_name("xgboost", tests, run_all, NULL);
}
