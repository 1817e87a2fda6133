/* SPDX-License-Identifier: MIT */
#include "inputs.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((size_t)4096)

/* Arrays that begin at the same place of a page disturb each other: a load then
 * looks as if it depended on a store to another array.  So each begins a little
 * further on. */
#define STAGGER ((size_t)1024)

/* Marsaglia's xorshift; from 0 to 1. */
static double random_unit(uint64_t *state) {
    *state ^= (*state & UINT64_MAX >> 13) << 13;
    *state ^= *state >> 7;
    *state ^= (*state & UINT64_MAX >> 17) << 17;
    return (double)(*state >> 11) * 0x1p-53;
}

static void set(void *array, size_t real_size, size_t i, double value) {
    if (real_size == sizeof(float)) {
        ((float *)array)[i] = (float)value;
    } else {
        ((double *)array)[i] = value;
    }
}

struct inputs inputs_make(size_t n, size_t real_size) {
    const size_t bytes = (n * real_size + PAGE - 1) / PAGE * PAGE + STAGGER;
    const size_t rows = n / INPUT_CLASSES;
    const size_t label_bytes = 2 * rows * sizeof(int32_t);
    const size_t total = (4 * bytes + n + PAGE + label_bytes + PAGE - 1) / PAGE * PAGE;
    char *const memory = aligned_alloc(PAGE, total);
    if (memory == NULL) {
        fprintf(stderr, "Not enough memory for %zu elements\n", n);
        exit(EXIT_FAILURE);
    }
    memset(memory, 0, total);
    struct inputs inputs = {
        .n = n,
        .real_size = real_size,
        .logits = memory,
        .targets = memory + bytes,
        .gradient = memory + 2 * bytes,
        .hessian = memory + 3 * bytes,
        .byte_targets = (uint8_t *)(memory + 4 * bytes),
        .labels = (int32_t *)(void *)(memory + 4 * bytes + (n + PAGE - 1) / PAGE * PAGE),
        .memory = memory,
    };
    inputs.ignored_labels = inputs.labels + rows;
    uint64_t state = 0x9E3779B97F4A7C15;
    for (size_t i = 0; i < n; i++) {
        set(inputs.logits, real_size, i, -8 + 12 * random_unit(&state));
        inputs.byte_targets[i] = random_unit(&state) < 0.1;
        set(inputs.targets, real_size, i, inputs.byte_targets[i]);
    }
    for (size_t row = 0; row < rows; row++) {
        inputs.labels[row] = (int32_t)((INPUT_CLASSES + 1) * random_unit(&state));
        inputs.ignored_labels[row] = row % 20 == 0 ? INPUT_IGNORED : inputs.labels[row];
    }
    return inputs;
}

void inputs_free(struct inputs *inputs) {
    free(inputs->memory);
    inputs->memory = NULL;
}
