/* SPDX-License-Identifier: MIT */
#ifndef TESTS_BARE_MPFR_H
#define TESTS_BARE_MPFR_H

/* The types that the headers of the tests name, where there is no MPFR. */
typedef struct {
    int unused;
} mpfr_t[1];
typedef const mpfr_t *mpfr_srcptr;

static inline void mpfr_free_cache(void) {
}

#endif
