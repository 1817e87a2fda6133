/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

/* The memory floor: loops that move the bytes of a loss and compute next to
 * nothing, compiled for this processor. */

#include <stddef.h>

/* Reads two arrays; returns something that depends on all of them. */
float stream_read_f32(size_t n, const float *first, const float *second);
double stream_read_f64(size_t n, const double *first, const double *second);

/* sum[i] = first[i] + second[i]: reads two arrays, writes a third. */
void stream_add_f32(size_t n, const float *first, const float *second, float *sum);
void stream_add_f64(size_t n, const double *first, const double *second, double *sum);

/* The same, and difference[i] = first[i] - second[i]: reads two, writes two. */
void stream_add_subtract_f32(size_t n, const float *first, const float *second, float *sum,
                             float *difference);
void stream_add_subtract_f64(size_t n, const double *first, const double *second, double *sum,
                             double *difference);

#endif
