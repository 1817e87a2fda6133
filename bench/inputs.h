/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INPUTS_H
#define BENCH_INPUTS_H

/* Arrays to compute on: a batch as a detector makes it, with one element in ten
 * positive and logits between -8 and 4. */

#include <stdbool.h>
#include <stddef.h>

struct inputs {
    size_t n;
    size_t real_size;
    void *logits;
    void *targets;
    void *gradient;
    void *hessian;
    void *memory;
};

/* Every page is touched.  Ends the program if there is no memory. */
struct inputs inputs_make(size_t n, size_t real_size);
void inputs_free(struct inputs *inputs);

#endif
