/* SPDX-License-Identifier: MIT */
#include "radix_sort.h"

#include <string.h>

#include "pool_run.h"

/* Less is not worth handing to a thread. */
#define PART_MIN ((size_t)16384)
#define PARTS_MAX ((size_t)64)

/* `wide` is a constant where these are called, so that each has a loop of its own. */
#define EACH_WIDTH static inline __attribute__((always_inline))

size_t fghm_radix_parts(const fghm_pool *pool, size_t n) {
    size_t parts = 1;
    if (pool != NULL) {
        (void)fghm_pool_get_threads(pool, &parts);
    }
    parts = parts < PARTS_MAX ? parts : PARTS_MAX;
    parts = parts < n / PART_MIN ? parts : n / PART_MIN;
    return parts > 0 ? parts : 1;
}

struct pass {
    struct fghm_radix_sort *sort;
    unsigned shift; /* of the digit */
};

/* The first item of a part; of the one behind the last, n. */
static size_t part_start(const struct fghm_radix_sort *sort, size_t part) {
    const size_t rest = sort->n % sort->parts;
    return sort->n / sort->parts * part + (part < rest ? part : rest);
}

EACH_WIDTH size_t digit_of(const void *items, size_t i, bool wide, unsigned shift) {
    const uint64_t key = wide ? ((const struct fghm_wide_item *)items)[i].key
                              : ((const struct fghm_item *)items)[i].key;
    return (size_t)(key >> shift) & (FGHM_RADIX_DIGITS - 1);
}

EACH_WIDTH void count(const struct pass *pass, size_t part, bool wide) {
    const struct fghm_radix_sort *const sort = pass->sort;
    uint64_t *const counters = sort->counters + part * FGHM_RADIX_DIGITS;
    memset(counters, 0, FGHM_RADIX_DIGITS * sizeof *counters);
    const size_t end = part_start(sort, part + 1);
    for (size_t i = part_start(sort, part); i < end; i++) {
        counters[digit_of(sort->items, i, wide, pass->shift)]++;
    }
}

EACH_WIDTH void move(const struct pass *pass, size_t part, bool wide) {
    const struct fghm_radix_sort *const sort = pass->sort;
    uint64_t *const places = sort->counters + part * FGHM_RADIX_DIGITS;
    const size_t end = part_start(sort, part + 1);
    for (size_t i = part_start(sort, part); i < end; i++) {
        const size_t place = (size_t)places[digit_of(sort->items, i, wide, pass->shift)]++;
        if (wide) {
            ((struct fghm_wide_item *)sort->spare)[place] =
                ((const struct fghm_wide_item *)sort->items)[i];
        } else {
            ((struct fghm_item *)sort->spare)[place] = ((const struct fghm_item *)sort->items)[i];
        }
    }
}

static void count_part(void *context, size_t part) {
    const struct pass *const pass = context;
    if (pass->sort->wide) {
        count(pass, part, true);
    } else {
        count(pass, part, false);
    }
}

static void move_part(void *context, size_t part) {
    const struct pass *const pass = context;
    if (pass->sort->wide) {
        move(pass, part, true);
    } else {
        move(pass, part, false);
    }
}

/* From how many items of a part have a digit, the place of the first of them: by digit, and
 * among the same digit by part.  False if all have the same. */
static bool place_digits(const struct fghm_radix_sort *sort) {
    uint64_t place = 0;
    for (size_t digit = 0; digit < FGHM_RADIX_DIGITS; digit++) {
        const uint64_t before = place;
        for (size_t part = 0; part < sort->parts; part++) {
            uint64_t *const counter = &sort->counters[part * FGHM_RADIX_DIGITS + digit];
            const uint64_t items = *counter;
            *counter = place;
            place += items;
        }
        if (place - before == sort->n) {
            return false;
        }
    }
    return true;
}

void fghm_radix_sort(struct fghm_radix_sort *sort) {
    for (unsigned shift = 0; shift < sort->key_bits; shift += FGHM_RADIX_BITS) {
        struct pass pass = {sort, shift};
        fghm_pool_run(sort->pool, sort->parts, count_part, &pass);
        if (place_digits(sort)) {
            fghm_pool_run(sort->pool, sort->parts, move_part, &pass);
            void *const items = sort->items;
            sort->items = sort->spare;
            sort->spare = items;
        }
    }
}
