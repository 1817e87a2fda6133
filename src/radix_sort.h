/* SPDX-License-Identifier: MIT */
#ifndef FGHM_RADIX_SORT_H
#define FGHM_RADIX_SORT_H

/* Sorting by whole numbers, digit by digit from the lowest on, on the threads of a pool. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "focalghm/pool.h"

#define FGHM_RADIX_BITS 11
#define FGHM_RADIX_DIGITS ((size_t)1 << FGHM_RADIX_BITS)

/* What is sorted: a key, and where it came from. */
struct fghm_item {
    uint32_t key;
    uint32_t index;
};
struct fghm_wide_item {
    uint64_t key;
    uint64_t index;
};

struct fghm_radix_sort {
    fghm_pool *pool;
    size_t n;
    unsigned key_bits;
    bool wide;          /* struct fghm_wide_item */
    void *items;        /* n of them */
    void *spare;        /* room for n more */
    size_t parts;       /* fghm_radix_parts */
    uint64_t *counters; /* room for FGHM_RADIX_DIGITS each */
};

/* In how many parts n items are sorted. */
size_t fghm_radix_parts(const fghm_pool *pool, size_t n);

/* Sorts the items by key; those with the same key keep their order.  Afterwards `items` and
 * `spare` may have changed places. */
void fghm_radix_sort(struct fghm_radix_sort *sort);

#endif
