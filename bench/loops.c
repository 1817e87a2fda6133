/* SPDX-License-Identifier: MIT */

/* Compiled with LOOPS, the name of the set; LOOP_FLAGS, its flags as a string; and
 * LOOP_REAL, the floating-point type. */
#include "loops.h"

#include <tgmath.h>

typedef LOOP_REAL real;

#define HALF ((real)0.5)
#define THREE_QUARTERS ((real)0.75)

/* Everything from exp(-margin).  Fails for margins below -88, where it overflows;
 * many would not notice. */
static double from_margin(size_t n, const void *logits, const void *targets, void *gradient,
                          double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    real sum = 0;
    (void)gamma;
    for (size_t i = 0; i < n; i++) {
        const real sign = 2 * target[i] - 1;
        const real e = exp(-sign * logit[i]);
        const real right = 1 / (1 + e);
        const real wrong = e * right;
        const real loss = log(1 + e);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * wrong * wrong;
        sum += weight * loss;
        slope[i] = -sign * factor * weight * (wrong + 2 * right * loss);
    }
    return (double)(sum * factor);
}

/* The same with log1p, which is accurate for large margins too. */
static double from_margin_log1p(size_t n, const void *logits, const void *targets, void *gradient,
                                double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    real sum = 0;
    (void)gamma;
    for (size_t i = 0; i < n; i++) {
        const real sign = 2 * target[i] - 1;
        const real e = exp(-sign * logit[i]);
        const real right = 1 / (1 + e);
        const real wrong = e * right;
        const real loss = log1p(e);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * wrong * wrong;
        sum += weight * loss;
        slope[i] = -sign * factor * weight * (wrong + 2 * right * loss);
    }
    return (double)(sum * factor);
}

/* From exp(-|margin|), which never overflows. */
static double from_absolute(size_t n, const void *logits, const void *targets, void *gradient,
                            double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    real sum = 0;
    (void)gamma;
    for (size_t i = 0; i < n; i++) {
        const real sign = 2 * target[i] - 1;
        const real margin = sign * logit[i];
        const real e = exp(-fabs(margin));
        const real large = 1 / (1 + e);
        const real small = e * large;
        const real right = margin > 0 ? large : small;
        const real wrong = margin > 0 ? small : large;
        const real loss = (margin > 0 ? 0 : -margin) + log1p(e);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * wrong * wrong;
        sum += weight * loss;
        slope[i] = -sign * factor * weight * (wrong + 2 * right * loss);
    }
    return (double)(sum * factor);
}

/* As the formula stands in the paper: from the probability and its logarithm. */
static double from_probability(size_t n, const void *logits, const void *targets, void *gradient,
                               double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    real sum = 0;
    (void)gamma;
    for (size_t i = 0; i < n; i++) {
        const real positive = 1 / (1 + exp(-logit[i]));
        const real right = target[i] > HALF ? positive : 1 - positive;
        const real wrong = 1 - right;
        const real loss = -log(right);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * wrong * wrong;
        const real towards = target[i] > HALF ? -factor : factor;
        sum += weight * loss;
        slope[i] = towards * weight * (wrong + 2 * right * loss);
    }
    return (double)(sum * factor);
}

/* Any gamma: from_margin with a power. */
static double power_from_margin(size_t n, const void *logits, const void *targets, void *gradient,
                                double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    const real exponent = (real)gamma;
    real sum = 0;
    for (size_t i = 0; i < n; i++) {
        const real sign = 2 * target[i] - 1;
        const real e = exp(-sign * logit[i]);
        const real right = 1 / (1 + e);
        const real wrong = e * right;
        const real loss = log(1 + e);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * pow(wrong, exponent);
        sum += weight * loss;
        slope[i] = -sign * factor * weight * (wrong + exponent * right * loss);
    }
    return (double)(sum * factor);
}

/* Any gamma: from_probability with a power. */
static double power_from_probability(size_t n, const void *logits, const void *targets,
                                     void *gradient, double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    const real exponent = (real)gamma;
    real sum = 0;
    for (size_t i = 0; i < n; i++) {
        const real positive = 1 / (1 + exp(-logit[i]));
        const real right = target[i] > HALF ? positive : 1 - positive;
        const real wrong = 1 - right;
        const real loss = -log(right);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * pow(wrong, exponent);
        const real towards = target[i] > HALF ? -factor : factor;
        sum += weight * loss;
        slope[i] = towards * weight * (wrong + exponent * right * loss);
    }
    return (double)(sum * factor);
}

/* Any gamma, without pow: wrong^gamma = exp(-gamma (margin + loss)). */
static double exp_from_margin(size_t n, const void *logits, const void *targets, void *gradient,
                              double gamma, double scale) {
    const real *const logit = logits;
    const real *const target = targets;
    real *restrict const slope = gradient;
    const real factor = (real)scale;
    const real exponent = (real)gamma;
    real sum = 0;
    for (size_t i = 0; i < n; i++) {
        const real sign = 2 * target[i] - 1;
        const real margin = sign * logit[i];
        const real e = exp(-margin);
        const real right = 1 / (1 + e);
        const real loss = log(1 + e);
        const real weight = (THREE_QUARTERS - HALF * target[i]) * exp(-exponent * (margin + loss));
        sum += weight * loss;
        slope[i] = -sign * factor * weight * (e * right + exponent * right * loss);
    }
    return (double)(sum * factor);
}

/* d loss / d x_c = this ([c = label] - p_c), for a label with the probability p. */
static real softmax_slope(real p) {
    const real wrong = 1 - p;
    return wrong * (2 * p * log(p) - wrong);
}

static real largest_of(size_t n, const real *numbers) {
    real largest = numbers[0];
    for (size_t c = 1; c < n; c++) {
        largest = numbers[c] > largest ? numbers[c] : largest;
    }
    return largest;
}

/* One exponential for each element, which waits in the gradient. */
static double softmax_kept(size_t samples, size_t classes, const void *logits,
                           const unsigned char *labels, void *gradient, double scale) {
    const real factor = (real)scale;
    real total = 0;
    for (size_t k = 0; k < samples; k++) {
        const real *const x = (const real *)logits + k * classes;
        real *restrict const slope = (real *)gradient + k * classes;
        const real largest = largest_of(classes, x);
        real sum = 0;
        for (size_t c = 0; c < classes; c++) {
            slope[c] = exp(x[c] - largest);
            sum += slope[c];
        }
        const real p = slope[labels[k]] / sum;
        const real towards = factor * softmax_slope(p);
        const real share = -towards / sum;
        total -= (1 - p) * (1 - p) * log(p);
        for (size_t c = 0; c < classes; c++) {
            slope[c] *= share;
        }
        slope[labels[k]] += towards;
    }
    return (double)(total * factor);
}

/* From log-probabilities, as the logarithm of softmax is usually had: two exponentials. */
static double softmax_log(size_t samples, size_t classes, const void *logits,
                          const unsigned char *labels, void *gradient, double scale) {
    const real factor = (real)scale;
    real total = 0;
    for (size_t k = 0; k < samples; k++) {
        const real *const x = (const real *)logits + k * classes;
        real *restrict const slope = (real *)gradient + k * classes;
        const real largest = largest_of(classes, x);
        real sum = 0;
        for (size_t c = 0; c < classes; c++) {
            sum += exp(x[c] - largest);
        }
        const real log_sum = largest + log(sum);
        const real p = exp(x[labels[k]] - log_sum);
        const real towards = factor * softmax_slope(p);
        total -= (1 - p) * (1 - p) * (x[labels[k]] - log_sum);
        for (size_t c = 0; c < classes; c++) {
            slope[c] = -towards * exp(x[c] - log_sum);
        }
        slope[labels[k]] += towards;
    }
    return (double)(total * factor);
}

static const struct loop gamma_2[] = {
    {.name = LOOP_FLAGS ", margin, log", .run = from_margin},
    {.name = LOOP_FLAGS ", margin, log1p", .run = from_margin_log1p},
    {.name = LOOP_FLAGS ", |margin|, log1p", .run = from_absolute},
    {.name = LOOP_FLAGS ", probability, log", .run = from_probability},
};

static const struct loop general_gamma[] = {
    {.name = LOOP_FLAGS ", margin, pow", .run = power_from_margin},
    {.name = LOOP_FLAGS ", probability, pow", .run = power_from_probability},
    {.name = LOOP_FLAGS ", margin, exp", .run = exp_from_margin},
};

static const struct loop softmax[] = {
    {.name = LOOP_FLAGS ", exponentials kept", .run_softmax = softmax_kept},
    {.name = LOOP_FLAGS ", log-probabilities", .run_softmax = softmax_log},
};

const struct loop_set LOOPS = {
    .gamma_2 = {sizeof gamma_2 / sizeof gamma_2[0], gamma_2},
    .general_gamma = {sizeof general_gamma / sizeof general_gamma[0], general_gamma},
    .softmax = {sizeof softmax / sizeof softmax[0], softmax},
};
