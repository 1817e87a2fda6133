/* SPDX-License-Identifier: MIT */
#include "stream.h"

#define STREAMS(real, type)                                                                        \
    real stream_read_##type(size_t n, const real *first, const real *second) {                     \
        real result = 0;                                                                           \
        for (size_t i = 0; i < n; i++) {                                                           \
            result += first[i] * second[i];                                                        \
        }                                                                                          \
        return result;                                                                             \
    }                                                                                              \
                                                                                                   \
    void stream_add_##type(size_t n, const real *first, const real *second, real *sum) {           \
        real *restrict const sums = sum;                                                           \
        for (size_t i = 0; i < n; i++) {                                                           \
            sums[i] = first[i] + second[i];                                                        \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    void stream_add_subtract_##type(size_t n, const real *first, const real *second, real *sum,    \
                                    real *difference) {                                            \
        real *restrict const sums = sum;                                                           \
        real *restrict const differences = difference;                                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            sums[i] = first[i] + second[i];                                                        \
            differences[i] = first[i] - second[i];                                                 \
        }                                                                                          \
    }

STREAMS(float, f32)
STREAMS(double, f64)
