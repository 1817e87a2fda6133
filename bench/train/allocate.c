/* SPDX-License-Identifier: MIT */
#include "allocate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void *resize_or_exit(void *old, size_t count, size_t element_size) {
    size_t bytes = count * element_size;
    void *memory = count <= SIZE_MAX / element_size ? realloc(old, bytes > 0 ? bytes : 1) : NULL;
    if (memory == NULL) {
        fprintf(stderr, "train: not enough memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}
