/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_STRIDED_H
#define TESTS_SUPPORT_STRIDED_H

#include <focalghm/focalghm.h>

#include "guarded.h"
#include "random.h"

/* An array of a batch: any dtype and layout, in memory of its own that ends, on one
 * side, at a page that cannot be touched.  Bytes that are not of its elements hold
 * STRIDED_FILL, which is NaN for every floating type (and for integers no number
 * that tests use). */
struct strided {
    fghm_dtype dtype;
    size_t extents[3];
    int64_t strides[3]; /* of element steps; for the descriptor see `layout` and `given` */
    fghm_layout layout;
    int64_t given[3];
    struct guarded memory;
    unsigned char *first; /* element (0, 0, 0) */
};

#define STRIDED_FILL 0xffu

size_t strided_size(fghm_dtype dtype);
size_t strided_count(const struct strided *a);

/* Contiguous; with one class it may also be an array of samples. */
struct strided strided_plain(fghm_dtype dtype, size_t outer, size_t classes, size_t inner);

/* Axes in any order, gaps between elements, any axis backwards. */
struct strided strided_random(struct random *r, fghm_dtype dtype, size_t outer, size_t classes,
                              size_t inner);

/* With the strides as they are; negative ones and 0 are fine. */
struct strided strided_new(fghm_dtype dtype, const size_t extents[3], const int64_t strides[3],
                           int at_end);
void strided_free(struct strided *a);

/* Elements by their three indices, as numbers.  put rounds to nearest, ties to even,
 * by a definition of its own. */
double strided_get(const struct strided *a, size_t o, size_t c, size_t i);
void strided_put(const struct strided *a, size_t o, size_t c, size_t i, double value);

/* A number where it is stored, as the two above have it. */
double strided_load(fghm_dtype dtype, const unsigned char *p);
void strided_save(fghm_dtype dtype, unsigned char *p, double value);

/* Elements by their place in the order o, c, i. */
double strided_at(const struct strided *a, size_t k);
void strided_set(const struct strided *a, size_t k, double value);

/* Where element k is, in bytes from the start of the memory. */
size_t strided_offset(const struct strided *a, size_t k);

/* Has every byte that belongs to no element STRIDED_FILL? */
int strided_gaps_untouched(const struct strided *a);

/* Has every byte at all? */
int strided_untouched(const struct strided *a);

fghm_input strided_input(const struct strided *a);
fghm_output strided_output(const struct strided *a);

/* A number as the floating dtype holds it, by the definition of rounding. */
double strided_round(fghm_dtype dtype, double value);

/* The number that the 16 bits stand for, by the definition of the format. */
double strided_of_f16(uint16_t bits);
double strided_of_bf16(uint16_t bits);

#endif
