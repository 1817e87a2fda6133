/* SPDX-License-Identifier: MIT */
#ifndef FGHM_RANGE_H
#define FGHM_RANGE_H

/* The bytes of a contiguous array. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fghm_range {
    uintptr_t first;
    size_t bytes; /* 0: there is no array */
};

static inline struct fghm_range fghm_range_of(const void *array, size_t bytes) {
    return (struct fghm_range){(uintptr_t)array, array == NULL ? 0 : bytes};
}

static inline bool fghm_ranges_overlap(struct fghm_range a, struct fghm_range b) {
    return a.first < b.first + b.bytes && b.first < a.first + a.bytes;
}

#endif
