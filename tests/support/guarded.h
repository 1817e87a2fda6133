/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_GUARDED_H
#define TESTS_SUPPORT_GUARDED_H

#include <stddef.h>

/* Memory between two pages that cannot be touched.  An access in front of the
 * start or behind the end of the block ends the program. */
struct guarded {
    unsigned char *map;
    size_t map_size;
    unsigned char *start; /* first byte behind the unmapped page in front */
    unsigned char *end;   /* the unmapped page behind; start + room */
    size_t room;
};

/* Room for at least `size` bytes; ends the program if there is no memory. */
struct guarded guarded_new(size_t size);
void guarded_free(struct guarded *g);

/* `size` bytes whose first byte is `gap` bytes behind the page in front. */
void *guarded_low(const struct guarded *g, size_t gap);

/* `size` bytes whose last byte is `gap` bytes before the page behind. */
void *guarded_high(const struct guarded *g, size_t size, size_t gap);

/* Fills the block, to tell later what was written. */
void guarded_fill(const struct guarded *g, unsigned char value);

/* Has every byte of the block outside [from, from + size) this value? */
int guarded_untouched_outside(const struct guarded *g, const void *from, size_t size,
                              unsigned char value);

#endif
