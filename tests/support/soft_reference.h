/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SOFT_REFERENCE_H
#define TESTS_SUPPORT_SOFT_REFERENCE_H

#include <stdbool.h>

#include "dtype.h"
#include "reference.h"

/* Softmax with soft targets, with 320 bits: the losses as focal.h has them, with the derivatives
 * of p_c = softmax and -log p_c, the product rule and the chain rule. */

/* Smooths targets, of labels 0 and 1, as they are computed with: rounded to the type. */
void soft_smooth(const struct dtype *d, double smoothing, bool labels, size_t classes,
                 double *targets);

/* A sample: its logits, its targets and the factors of its classes. */
struct soft_sample {
    size_t classes;
    const double *logits, *targets;
    const double *factors; /* NULL: 1 */
    /* The factor is that of each class; the class with `gamma`, where others have
     * `negative_gamma`, or SIZE_MAX: all have gamma. */
    bool by_class;
    size_t label;
    double gamma, negative_gamma;
    bool gauss_newton, detached;
};

/* What is known of it before a class is looked at. */
struct soft_wide;

struct soft_wide *soft_wide_new(const struct soft_sample *sample);
void soft_wide_free(struct soft_wide *wide);

/* Its loss, and the derivatives by the logit of class k.  The scales are those of focal.h. */
void soft_reference(struct reference *r, const struct soft_wide *wide, size_t k);

#endif
