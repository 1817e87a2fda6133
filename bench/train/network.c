/* SPDX-License-Identifier: MIT */
#include "network.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Where each layer's parameters start. */
enum {
    HIDDEN_WEIGHTS = 0, /* the weights of one input's pixel to all hidden units, pixel by pixel */
    HIDDEN_BIASES = HIDDEN_WEIGHTS + PIXELS * HIDDEN_UNITS,
    OUTPUT_WEIGHTS = HIDDEN_BIASES + HIDDEN_UNITS,
    OUTPUT_BIAS = OUTPUT_WEIGHTS + HIDDEN_UNITS
};

static void fill_uniform(struct random *random, size_t count, double limit, float *values) {
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(limit * (2.0 * (double)random_uniform(random) - 1.0));
    }
}

void network_start(struct network *network, double share_of_positives, struct random random) {
    memset(network, 0, sizeof *network);
    fill_uniform(&random, PIXELS * HIDDEN_UNITS, sqrt(6.0 / PIXELS),
                 network->parameters + HIDDEN_WEIGHTS);
    fill_uniform(&random, HIDDEN_UNITS, 1.0 / sqrt(HIDDEN_UNITS),
                 network->parameters + OUTPUT_WEIGHTS);
    network->parameters[OUTPUT_BIAS] = (float)log(share_of_positives / (1.0 - share_of_positives));
}

void network_forward(const struct network *network, size_t count, const float (*inputs)[PIXELS],
                     float (*hidden)[HIDDEN_UNITS], float *logits) {
    const float *hidden_weights = network->parameters + HIDDEN_WEIGHTS;
    const float *output_weights = network->parameters + OUTPUT_WEIGHTS;
    for (size_t i = 0; i < count; i++) {
        float sums[HIDDEN_UNITS];
        memcpy(sums, network->parameters + HIDDEN_BIASES, sizeof sums);
        for (size_t pixel = 0; pixel < PIXELS; pixel++) {
            for (size_t unit = 0; unit < HIDDEN_UNITS; unit++) {
                sums[unit] += inputs[i][pixel] * hidden_weights[pixel * HIDDEN_UNITS + unit];
            }
        }
        logits[i] = network->parameters[OUTPUT_BIAS];
        for (size_t unit = 0; unit < HIDDEN_UNITS; unit++) {
            hidden[i][unit] = sums[unit] > 0.0F ? sums[unit] : 0.0F;
            logits[i] += hidden[i][unit] * output_weights[unit];
        }
    }
}

void network_backward(const struct network *network, size_t count, const float (*inputs)[PIXELS],
                      const float (*hidden)[HIDDEN_UNITS], const float *logit_gradient,
                      float *parameter_gradient) {
    const float *output_weights = network->parameters + OUTPUT_WEIGHTS;
    float *hidden_weight_gradient = parameter_gradient + HIDDEN_WEIGHTS;
    float *hidden_bias_gradient = parameter_gradient + HIDDEN_BIASES;
    float *output_weight_gradient = parameter_gradient + OUTPUT_WEIGHTS;

    memset(parameter_gradient, 0, PARAMETERS * sizeof *parameter_gradient);
    for (size_t i = 0; i < count; i++) {
        float hidden_gradient[HIDDEN_UNITS];
        for (size_t unit = 0; unit < HIDDEN_UNITS; unit++) {
            bool active = hidden[i][unit] > 0.0F;
            hidden_gradient[unit] = active ? logit_gradient[i] * output_weights[unit] : 0.0F;
            hidden_bias_gradient[unit] += hidden_gradient[unit];
            output_weight_gradient[unit] += logit_gradient[i] * hidden[i][unit];
        }
        parameter_gradient[OUTPUT_BIAS] += logit_gradient[i];
        for (size_t pixel = 0; pixel < PIXELS; pixel++) {
            for (size_t unit = 0; unit < HIDDEN_UNITS; unit++) {
                hidden_weight_gradient[pixel * HIDDEN_UNITS + unit] +=
                    inputs[i][pixel] * hidden_gradient[unit];
            }
        }
    }
}

void network_step(struct network *network, const float *parameter_gradient, float learning_rate) {
    const float mean_decay = 0.9F;
    const float square_decay = 0.999F;
    const float tiny = 1e-8F;

    network->steps++;
    float mean_scale = 1.0F / (1.0F - powf(mean_decay, (float)network->steps));
    float square_scale = 1.0F / (1.0F - powf(square_decay, (float)network->steps));
    for (size_t i = 0; i < PARAMETERS; i++) {
        float gradient = parameter_gradient[i];
        float *mean = &network->gradient_mean[i];
        float *square_mean = &network->gradient_square_mean[i];
        *mean = mean_decay * *mean + (1.0F - mean_decay) * gradient;
        *square_mean = square_decay * *square_mean + (1.0F - square_decay) * gradient * gradient;
        network->parameters[i] -=
            learning_rate * (*mean * mean_scale) / (sqrtf(*square_mean * square_scale) + tiny);
    }
}
