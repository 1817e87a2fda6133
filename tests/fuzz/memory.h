/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_MEMORY_H
#define TESTS_FUZZ_MEMORY_H

/* Memory for the arrays of a call, with pages on both sides that nothing may touch.  Vector
 * instructions that load a part of a register are seen by those alone: sanitizers do not know all
 * of them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_BYTES ((size_t)1 << 16) /* the most that a slot has */
#define MEMORY_SLOTS 16

struct memory {
    unsigned char *bytes; /* NULL: not in use */
    size_t size;
    unsigned char *region;     /* of MEMORY_BYTES, between the pages */
    unsigned char *before;     /* what memory_remember has seen */
    unsigned char *after;      /* the same of memory_keep_results */
    unsigned char *is_element; /* of an output, for each byte */
};

/* The last bytes of the slot in front of the page, or its first ones behind the other. */
struct memory *memory_take(size_t slot, size_t size, bool last);
struct memory *memory_slot(size_t slot);
void memory_release(void); /* all slots */

void memory_remember(void);
void memory_put_back(void);
void memory_keep_results(void);

/* Of bytes that are elements of outputs, under MemorySanitizer: nobody has written them. */
void memory_forget(struct memory *memory, size_t at, size_t bytes);
/* That somebody has. */
void memory_require_written(const struct memory *memory, size_t at, size_t bytes);

void memory_require_untouched(void);    /* nothing differs from what was remembered */
void memory_require_gaps(void);         /* nothing but elements of outputs does */
void memory_require_surroundings(void); /* nor what lies beside the arrays */

#endif
