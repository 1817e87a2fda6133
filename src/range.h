/* SPDX-License-Identifier: MIT */
#ifndef FGHM_RANGE_H
#define FGHM_RANGE_H

/* What an array reaches over in memory, and whether two meet there. */

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

/* Whether two arrays meet of which neither is empty.  One comparison for two: how far one begins
 * behind the other is above -a_bytes and below b_bytes. */
static inline bool fghm_bytes_meet(uintptr_t a, size_t a_bytes, uintptr_t b, size_t b_bytes) {
    return a - b + (a_bytes - 1) < a_bytes + b_bytes - 1;
}

static inline bool fghm_ranges_meet(struct fghm_range a, struct fghm_range b) {
    return a.bytes > 0 && b.bytes > 0 && fghm_bytes_meet(a.first, a.bytes, b.first, b.bytes);
}

#endif
