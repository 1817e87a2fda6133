/* SPDX-License-Identifier: MIT */
/* The one table of instruction sets, the strongest first, and the choice from it, which is made
 * once.  Whatever goes through all instruction sets (tests, benchmarks) goes through this table,
 * so a row that is added here is tested. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv */
#endif

#include "dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif

#include "cpu.h"
#include "focalghm/isa.h"

#define FGHM_ISA(name, usable, has_fma)                                                            \
    extern const struct fghm_kernels fghm_kernels_##name##_f32;                                    \
    extern const struct fghm_kernels fghm_kernels_##name##_f64;
#include "isa/isa.def"

static bool always(void) {
    return true;
}

#define FGHM_ISA(name, usable, has_fma)                                                            \
    {#name, usable, has_fma, &fghm_kernels_##name##_f32, &fghm_kernels_##name##_f64},

const struct fghm_row fghm_rows[] = {
#include "isa/isa.def"
};

const size_t fghm_row_count = sizeof fghm_rows / sizeof fghm_rows[0];

static const char *wanted_name(void) {
#if FGHM_HAVE_SECURE_GETENV
    return secure_getenv("FOCALGHM_ISA");
#elif defined(__linux__) /* musl does not say what it has */
    return getauxval(AT_SECURE) != 0 ? NULL : getenv("FOCALGHM_ISA");
#else
    return getenv("FOCALGHM_ISA");
#endif
}

static const struct fghm_row *choose(void) {
    const char *const wanted = wanted_name();
    const struct fghm_row *best = NULL;
    for (size_t i = 0; i < fghm_row_count; i++) {
        const struct fghm_row *const row = &fghm_rows[i];
        if (!row->usable()) {
            continue;
        }
        if (wanted != NULL && strcmp(wanted, row->name) == 0) {
            return row;
        }
        if (best == NULL) {
            best = row;
        }
    }
    return best;
}

/* Threads that come first at the same time choose the same row, so it does not
 * matter which of them stores it. */
static _Atomic(const struct fghm_row *) chosen;

const struct fghm_row *fghm_row(void) {
    const struct fghm_row *row = atomic_load_explicit(&chosen, memory_order_acquire);
    if (row == NULL) {
        row = choose();
        atomic_store_explicit(&chosen, row, memory_order_release);
    }
    return row;
}

const char *fghm_isa_name(void) {
    return fghm_row()->name;
}
