/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_NUMBERS_H
#define TESTS_FUZZ_NUMBERS_H

/* Numbers of every storage type. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <focalghm/focalghm.h>

/* An xorshift for what there are too many of to take them from the input. */
uint64_t number_next(uint64_t *state);
size_t number_size(fghm_dtype dtype); /* 8 for what is none */
void number_put(fghm_dtype dtype, void *to, double number);
bool number_is_nan(fghm_dtype dtype, const void *from);
bool number_is_finite(fghm_dtype dtype, const void *from);
/* Bit for bit; NaN equals NaN. */
bool number_equal(fghm_dtype dtype, const void *a, const void *b);

#endif
