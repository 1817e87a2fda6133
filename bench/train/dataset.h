/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include <stdbool.h>
#include <stddef.h>

#include "random.h"

#define PIXELS 64

/* Images and what they are: target 1 for the digit looked for, 0 for any other. */
struct dataset {
    size_t count;
    float (*inputs)[PIXELS];
    float *targets;
};

/* Reads lines of 64 pixels (0 to 16) and a digit, separated by commas.  The first
 * half of the file becomes the training set, the second half the test set; inputs
 * are standardised with the mean and the spread of the training set.  On failure
 * says why on stderr and returns false. */
bool dataset_read(const char *path, int digit, struct dataset *train, struct dataset *test);

void dataset_free(struct dataset *dataset);

size_t dataset_count_positives(const struct dataset *dataset);

/* Copies the targets, flipping each with the probability given. */
void dataset_flip_targets(const struct dataset *dataset, double probability, struct random random,
                          float *targets);

#endif
