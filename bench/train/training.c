/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocate.h"

/* Seconds since some fixed moment. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct batch {
    float inputs[BATCH_SIZE][PIXELS];
    float targets[BATCH_SIZE];
    float hidden[BATCH_SIZE][HIDDEN_UNITS];
    float logits[BATCH_SIZE];
    float logit_gradient[BATCH_SIZE];
    float parameter_gradient[PARAMETERS];
};

static void collect(const struct dataset *train, const float *targets, const size_t *chosen,
                    size_t count, struct batch *batch) {
    for (size_t i = 0; i < count; i++) {
        memcpy(batch->inputs[i], train->inputs[chosen[i]], sizeof batch->inputs[i]);
        batch->targets[i] = targets[chosen[i]];
    }
}

struct stopwatch {
    double total;
    double loss;
};

/* What is worth knowing of a training while it goes on. */
struct progress {
    struct stopwatch stopwatch;
    double first_loss; /* NaN before the first batch */
};

/* Goes through the training set once and returns the mean loss of its batches. */
static double train_epoch(struct network *network, const struct dataset *train,
                          const float *targets, const size_t *order, const struct loss *loss,
                          struct progress *progress) {
    static struct batch batch;
    double start = now();
    /* What is left after the last whole batch waits for another epoch's order: GHM
     * needs enough examples for its histogram. */
    size_t size = train->count < BATCH_SIZE ? train->count : BATCH_SIZE;
    size_t batches = train->count / size;
    double sum = 0.0;
    for (size_t i = 0; i < batches; i++) {
        collect(train, targets, order + i * size, size, &batch);
        network_forward(network, size, (const float(*)[PIXELS])batch.inputs, batch.hidden,
                        batch.logits);
        double loss_start = now();
        double value = loss_compute(loss, size, batch.logits, batch.targets, batch.logit_gradient);
        progress->stopwatch.loss += now() - loss_start;
        progress->first_loss = isnan(progress->first_loss) ? value : progress->first_loss;
        sum += value;
        network_backward(network, size, (const float(*)[PIXELS])batch.inputs,
                         (const float(*)[HIDDEN_UNITS])batch.hidden, batch.logit_gradient,
                         batch.parameter_gradient);
        network_step(network, batch.parameter_gradient, LEARNING_RATE);
    }
    progress->stopwatch.total += now() - start;
    return sum / (double)batches;
}

static void predict(const struct network *network, const struct dataset *dataset, float *logits) {
    float(*hidden)[HIDDEN_UNITS] = resize_or_exit(NULL, dataset->count, sizeof *hidden);
    network_forward(network, dataset->count, (const float(*)[PIXELS])dataset->inputs, hidden,
                    logits);
    free(hidden);
}

static struct metrics test_network(const struct network *network, const struct dataset *test) {
    float *logits = resize_or_exit(NULL, test->count, sizeof *logits);
    predict(network, test, logits);
    struct metrics metrics = measure(test->count, logits, test->targets, RECALL_PRECISION);
    free(logits);
    return metrics;
}

static double share_of_flips_learned(const struct dataset *train, const float *logits,
                                     const float *targets) {
    size_t flips = 0;
    size_t learned = 0;
    for (size_t i = 0; i < train->count; i++) {
        bool flipped = targets[i] != train->targets[i];
        flips += flipped;
        learned += flipped && (logits[i] > 0.0F) == (targets[i] > 0.5F);
    }
    return flips > 0 ? (double)learned / (double)flips : 0.0;
}

/* Never 0 or 1, as if there were one more example of each class. */
static double share_of_positives(size_t count, const float *targets) {
    double positives = 0.0;
    for (size_t i = 0; i < count; i++) {
        positives += (double)targets[i];
    }
    return (positives + 1.0) / ((double)count + 2.0);
}

struct training_result train_network(const struct dataset *train, const struct dataset *test,
                                     const struct loss_row *row,
                                     const struct training_options *options, float *train_logits,
                                     float *train_targets) {
    dataset_flip_targets(train, options->flip, random_start(options->seed, RANDOM_FLIPS),
                         train_targets);
    struct network network;
    network_start(&network, share_of_positives(train->count, train_targets),
                  random_start(options->seed, RANDOM_WEIGHTS));
    struct random random = random_start(options->seed, RANDOM_ORDER);
    size_t *order = resize_or_exit(NULL, train->count, sizeof *order);
    for (size_t i = 0; i < train->count; i++) {
        order[i] = i;
    }
    struct loss loss = loss_open(row, FGHM_REDUCTION_MEAN);
    struct progress progress = {{0.0, 0.0}, (double)NAN};
    for (size_t epoch = 1; epoch <= options->epochs; epoch++) {
        random_shuffle(&random, train->count, order);
        double mean = train_epoch(&network, train, train_targets, order, &loss, &progress);
        if (options->show_epochs) {
            fprintf(stderr, "\r%-20s seed %3llu: epoch %zu of %zu, loss %.5f   ", row->name,
                    (unsigned long long)options->seed, epoch, options->epochs, mean);
        }
    }
    loss_close(&loss);
    free(order);

    predict(&network, train, train_logits);
    struct training_result result = {
        .metrics = test_network(&network, test),
        .flips_learned = share_of_flips_learned(train, train_logits, train_targets),
        .loss_share = progress.stopwatch.total > 0.0
                          ? progress.stopwatch.loss / progress.stopwatch.total
                          : 0.0,
        .first_loss = progress.first_loss,
    };
    return result;
}
