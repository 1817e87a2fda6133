/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H

#include <stddef.h>

struct metrics {
    /* The sum over thresholds k, from the strictest on, of
     * (recall_k - recall_(k-1)) precision_k, as scikit-learn defines it. */
    double average_precision;
    /* The largest recall of any threshold with at least the precision asked for. */
    double recall_at_precision;
};

/* How well the scores rank the examples with target 1 above those with target 0.
 * There must be at least one with target 1. */
struct metrics measure(size_t count, const float *scores, const float *targets, double precision);

struct summary {
    double mean;
    double standard_deviation; /* of a sample: divided by count - 1; 0 for one value */
};

struct summary summarise(size_t count, const double *values);

#endif
