/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_TRAINING_H
#define TRAIN_TRAINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataset.h"
#include "losses.h"
#include "metrics.h"
#include "network.h"

#define BATCH_SIZE 128

/* Adam's step does not depend on the scale of the loss, so that one learning rate
 * is fair to all of them. */
#define LEARNING_RATE 0.003F

/* The precision at which recall is reported. */
#define RECALL_PRECISION 0.95

struct training_options {
    size_t epochs;
    double flip; /* the probability with which a training label is flipped */
    uint64_t seed;
    bool show_epochs; /* keep rewriting one line on stderr */
};

struct training_result {
    struct metrics metrics; /* on the test set, whose labels are never flipped */
    double flips_learned;   /* the share of flipped labels that the network learned by heart */
    double loss_share;      /* the loss's share of the time */
    double first_loss;      /* the loss of the first batch */
};

/* Trains a network with one loss.  Also gives what the figure is made of: the
 * logits of the training set, and its targets with the flips, train->count each. */
struct training_result train_network(const struct dataset *train, const struct dataset *test,
                                     const struct loss_row *row,
                                     const struct training_options *options, float *train_logits,
                                     float *train_targets);

#endif
