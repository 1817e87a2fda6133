/* SPDX-License-Identifier: MIT */
#ifndef FGHM_ALLOCATION_H
#define FGHM_ALLOCATION_H

/* Memory, without what asking for it and giving it back do to errno. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* To the compiler, malloc and free leave errno alone, so that setting it to what it has been would
 * be nothing: gcc has -fno-math-errno mean that too. */
static inline void fghm_restore_errno(int saved) {
    *(volatile int *)&errno = saved;
}

static inline void *fghm_memory(size_t bytes) {
    const int saved_errno = errno;
    void *const memory = malloc(bytes);
    fghm_restore_errno(saved_errno);
    return memory;
}

static inline void *fghm_zeroed_memory(size_t count, size_t size) {
    const int saved_errno = errno;
    void *const memory = calloc(count, size);
    fghm_restore_errno(saved_errno);
    return memory;
}

static inline void fghm_free(void *memory) {
    const int saved_errno = errno;
    free(memory);
    fghm_restore_errno(saved_errno);
}

#endif
