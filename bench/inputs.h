/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INPUTS_H
#define BENCH_INPUTS_H

/* Arrays to compute on: a batch as a detector makes it, with one element in ten
 * positive and logits between -8 and 4. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Classes of a sample, where the elements are seen as rows of a matrix. */
#define INPUT_CLASSES 80
#define INPUT_IGNORED (-1)

struct inputs {
    size_t n;
    size_t real_size;
    void *logits;
    void *targets;
    void *gradient;
    void *hessian;
    uint8_t *byte_targets;   /* the same targets in bytes */
    int32_t *labels;         /* a class, or INPUT_CLASSES for none, for each row */
    int32_t *ignored_labels; /* the same with one row in twenty ignored */
    void *memory;
};

/* Every page is touched.  Ends the program if there is no memory. */
struct inputs inputs_make(size_t n, size_t real_size);
void inputs_free(struct inputs *inputs);

#endif
