/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_NETWORK_H
#define TRAIN_NETWORK_H

#include <stddef.h>

#include "dataset.h"
#include "random.h"

#define HIDDEN_UNITS 32
#define PARAMETERS (PIXELS * HIDDEN_UNITS + HIDDEN_UNITS + HIDDEN_UNITS + 1)

/* A network with one hidden layer of rectified linear units and one output, the
 * logit, together with the state of its optimiser, Adam (Kingma and Ba, 2015). */
struct network {
    float parameters[PARAMETERS];
    float gradient_mean[PARAMETERS];
    float gradient_square_mean[PARAMETERS];
    int steps;
};

/* Random weights; an output bias that starts every logit near the log-odds of the
 * share of positives, so that no loss spends its first epochs on learning it. */
void network_start(struct network *network, double share_of_positives, struct random random);

/* Writes a logit for each example, and what its hidden units gave. */
void network_forward(const struct network *network, size_t count, const float (*inputs)[PIXELS],
                     float (*hidden)[HIDDEN_UNITS], float *logits);

/* From d loss / d logit of each example to d loss / d parameter. */
void network_backward(const struct network *network, size_t count, const float (*inputs)[PIXELS],
                      const float (*hidden)[HIDDEN_UNITS], const float *logit_gradient,
                      float *parameter_gradient);

/* One step of Adam. */
void network_step(struct network *network, const float *parameter_gradient, float learning_rate);

#endif
