/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "memory.h"

#include <string.h>
#include <sys/mman.h>

#include "input.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(address, bytes) ASAN_POISON_MEMORY_REGION(address, bytes)
#define UNPOISON(address, bytes) ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#endif
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define FORGET(address, bytes) __msan_allocated_memory(address, bytes)
#define REQUIRE_WRITTEN(address, bytes) __msan_check_mem_is_initialized(address, bytes)
#endif
#endif
#ifndef FORGET
#define FORGET(address, bytes) ((void)(address), (void)(bytes))
#define REQUIRE_WRITTEN(address, bytes) ((void)(address), (void)(bytes))
#endif

#define PAGE ((size_t)4096)
#define BESIDE ((size_t)128) /* bytes on the side where there is no page */
#define CANARY 0xa5

static struct memory slots[MEMORY_SLOTS];

static void map(struct memory *memory) {
    const size_t guarded = MEMORY_BYTES + 2 * PAGE;
    unsigned char *const all = mmap(NULL, guarded + 3 * MEMORY_BYTES, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all != MAP_FAILED);
    memory->region = all + PAGE;
    memory->before = all + guarded;
    memory->after = memory->before + MEMORY_BYTES;
    memory->is_element = memory->after + MEMORY_BYTES;
    REQUIRE(mprotect(all, PAGE, PROT_NONE) == 0);
    REQUIRE(mprotect(all + guarded - PAGE, PAGE, PROT_NONE) == 0);
}

/* The bytes beside the array. */
static unsigned char *beside(const struct memory *memory, size_t *bytes) {
    const size_t rest = MEMORY_BYTES - memory->size;
    *bytes = rest < BESIDE ? rest : BESIDE;
    return memory->bytes == memory->region ? memory->bytes + memory->size : memory->bytes - *bytes;
}

struct memory *memory_take(size_t slot, size_t size, bool last) {
    struct memory *const memory = &slots[slot];
    REQUIRE(slot < MEMORY_SLOTS && size <= MEMORY_BYTES && memory->bytes == NULL);
    if (memory->region == NULL) {
        map(memory);
    }
    memory->size = size;
    memory->bytes = memory->region + (last ? MEMORY_BYTES - size : 0);
    size_t bytes;
    unsigned char *const canary = beside(memory, &bytes);
#ifdef POISON
    POISON(canary, bytes);
#else
    memset(canary, CANARY, bytes);
#endif
    memset(memory->is_element, 0, size);
    return memory;
}

struct memory *memory_slot(size_t slot) {
    return &slots[slot];
}

void memory_release(void) {
    for (struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        if (memory->bytes != NULL) {
#ifdef UNPOISON
            size_t bytes;
            unsigned char *const canary = beside(memory, &bytes);
            UNPOISON(canary, bytes);
#endif
            memory->bytes = NULL;
            memory->size = 0;
        }
    }
}

void memory_remember(void) {
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        if (memory->bytes != NULL) {
            memcpy(memory->before, memory->bytes, memory->size);
        }
    }
}

void memory_put_back(void) {
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        if (memory->bytes != NULL) {
            memcpy(memory->bytes, memory->before, memory->size);
        }
    }
}

void memory_keep_results(void) {
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        if (memory->bytes != NULL) {
            memcpy(memory->after, memory->bytes, memory->size);
        }
    }
}

void memory_forget(struct memory *memory, size_t at, size_t bytes) {
    REQUIRE(at + bytes <= memory->size);
    memset(memory->is_element + at, 1, bytes);
    FORGET(memory->bytes + at, bytes);
}

void memory_require_written(const struct memory *memory, size_t at, size_t bytes) {
    REQUIRE_WRITTEN(memory->bytes + at, bytes);
}

void memory_require_untouched(void) {
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        REQUIRE(memory->bytes == NULL || memcmp(memory->bytes, memory->before, memory->size) == 0);
    }
}

void memory_require_gaps(void) {
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        for (size_t at = 0; memory->bytes != NULL && at < memory->size; at++) {
            REQUIRE(memory->is_element[at] || memory->bytes[at] == memory->before[at]);
        }
    }
}

void memory_require_surroundings(void) {
#ifndef POISON
    for (const struct memory *memory = slots; memory < slots + MEMORY_SLOTS; memory++) {
        if (memory->bytes != NULL) {
            size_t bytes;
            const unsigned char *const canary = beside(memory, &bytes);
            for (size_t k = 0; k < bytes; k++) {
                REQUIRE(canary[k] == CANARY);
            }
        }
    }
#endif
}
