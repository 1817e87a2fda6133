/* SPDX-License-Identifier: MIT */
#ifndef FGHM_MEMORY_H
#define FGHM_MEMORY_H

/* Memory, without what asking for it and giving it back do to errno. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static inline void *fghm_memory(size_t bytes) {
    const int saved_errno = errno;
    void *const memory = malloc(bytes);
    errno = saved_errno;
    return memory;
}

static inline void *fghm_zeroed_memory(size_t count, size_t size) {
    const int saved_errno = errno;
    void *const memory = calloc(count, size);
    errno = saved_errno;
    return memory;
}

static inline void fghm_free(void *memory) {
    const int saved_errno = errno;
    free(memory);
    errno = saved_errno;
}

#endif
