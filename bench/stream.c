/* SPDX-License-Identifier: MIT */
#include "stream.h"

void stream_add(size_t n, const float *first, const float *second, float *to) {
    float *restrict const result = to;
    for (size_t i = 0; i < n; i++) {
        result[i] = first[i] + second[i];
    }
}

float stream_read(size_t n, const float *first, const float *second) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += first[i] * second[i];
    }
    return sum;
}
