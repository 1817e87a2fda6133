/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>

#include "allocate.h"

struct ranked {
    float score;
    float target;
};

static int compare_descending(const void *left, const void *right) {
    float left_score = ((const struct ranked *)left)->score;
    float right_score = ((const struct ranked *)right)->score;
    return (left_score < right_score) - (left_score > right_score);
}

struct metrics measure(size_t count, const float *scores, const float *targets, double precision) {
    struct ranked *ranking = resize_or_exit(NULL, count, sizeof *ranking);
    size_t positives = 0;
    for (size_t i = 0; i < count; i++) {
        ranking[i] = (struct ranked){scores[i], targets[i]};
        positives += targets[i] > 0.5F;
    }
    qsort(ranking, count, sizeof *ranking, compare_descending);

    struct metrics metrics = {0.0, 0.0};
    size_t found = 0;
    double last_recall = 0.0;
    for (size_t i = 0; i < count; i++) {
        found += ranking[i].target > 0.5F;
        /* Equal scores stand on the same side of every threshold. */
        if (i + 1 < count && ranking[i + 1].score == ranking[i].score) {
            continue;
        }
        double precision_here = (double)found / (double)(i + 1);
        double recall = (double)found / (double)positives;
        metrics.average_precision += (recall - last_recall) * precision_here;
        if (precision_here >= precision) {
            metrics.recall_at_precision = recall;
        }
        last_recall = recall;
    }
    free(ranking);
    return metrics;
}

struct summary summarise(size_t count, const double *values) {
    struct summary summary = {0.0, 0.0};
    for (size_t i = 0; i < count; i++) {
        summary.mean += values[i] / (double)count;
    }
    for (size_t i = 0; i < count && count > 1; i++) {
        double difference = values[i] - summary.mean;
        summary.standard_deviation += difference * difference / (double)(count - 1);
    }
    summary.standard_deviation = sqrt(summary.standard_deviation);
    return summary;
}
