/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

/* The memory floor: loops that move the bytes of a loss and compute next to
 * nothing, compiled for this processor. */

#include <stddef.h>

/* to[i] = first[i] + second[i]: reads two arrays, writes a third. */
void stream_add(size_t n, const float *first, const float *second, float *to);

/* Reads two arrays; returns something that depends on all of them. */
float stream_read(size_t n, const float *first, const float *second);

#endif
