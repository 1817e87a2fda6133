/* SPDX-License-Identifier: MIT */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fatal(const char *what) {
    perror(what);
    abort();
}

struct guarded guarded_new(size_t size) {
    struct guarded g;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    g.room = (size / page + 1) * page;
    g.map_size = g.room + 2 * page;
    g.map = mmap(NULL, g.map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED) {
        fatal("mmap");
    }
    g.start = g.map + page;
    g.end = g.start + g.room;
    if (mprotect(g.start, g.room, PROT_READ | PROT_WRITE) != 0) {
        fatal("mprotect");
    }
    return g;
}

void guarded_free(struct guarded *g) {
    munmap(g->map, g->map_size);
    memset(g, 0, sizeof *g);
}

void *guarded_low(const struct guarded *g, size_t gap) {
    return g->start + gap;
}

void *guarded_high(const struct guarded *g, size_t size, size_t gap) {
    return g->end - gap - size;
}

void guarded_fill(const struct guarded *g, unsigned char value) {
    memset(g->start, value, g->room);
}

int guarded_untouched_outside(const struct guarded *g, const void *from, size_t size,
                              unsigned char value) {
    const unsigned char *first = from;
    for (const unsigned char *p = g->start; p < g->end; p++) {
        if ((p < first || p >= first + size) && *p != value) {
            return 0;
        }
    }
    return 1;
}
