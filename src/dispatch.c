/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv */
#endif

#include "dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "focalghm/isa.h"

#define DECLARE(isa)                                                                               \
    extern const struct fghm_kernels fghm_kernels_##isa##_f32;                                     \
    extern const struct fghm_kernels fghm_kernels_##isa##_f64;
#define ROW(isa, usable, has_fma)                                                                  \
    { #isa, usable, has_fma, &fghm_kernels_##isa##_f32, &fghm_kernels_##isa##_f64 }

#if FGHM_HAVE_AVX512
DECLARE(avx512)
#endif
#if FGHM_HAVE_AVX2
DECLARE(avx2)
#endif
#if FGHM_HAVE_SSE2
DECLARE(sse2)
#endif
#if FGHM_HAVE_NEON
DECLARE(neon)
#endif
#if FGHM_HAVE_SCALAR
DECLARE(scalar)
#endif

static bool always(void) {
    return true;
}

const struct fghm_row fghm_rows[] = {
#if FGHM_HAVE_AVX512
    ROW(avx512, fghm_cpu_has_avx512, true),
#endif
#if FGHM_HAVE_AVX2
    ROW(avx2, fghm_cpu_has_avx2_fma, true),
#endif
#if FGHM_HAVE_SSE2
    ROW(sse2, always, false),
#endif
#if FGHM_HAVE_NEON
    ROW(neon, always, true),
#endif
#if FGHM_HAVE_SCALAR
    ROW(scalar, always, true),
#endif
};

const size_t fghm_row_count = sizeof fghm_rows / sizeof fghm_rows[0];

static const char *wanted_name(void) {
#if defined(__GLIBC__)
    return secure_getenv("FOCALGHM_ISA");
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
