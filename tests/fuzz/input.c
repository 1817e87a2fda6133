/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t input_bits(struct input *in, size_t bytes) {
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes && in->left > 0; i++) {
        bits = bits << 8 | *in->bytes++;
        in->left--;
    }
    return bits;
}

size_t input_below(struct input *in, size_t bound) {
    return (size_t)(input_bits(in, bound > 256 ? 2 : 1) % bound);
}

int64_t input_integer(struct input *in) {
    const size_t choice = input_below(in, 16);
    const int64_t ends[] = {INT64_MAX, INT64_MIN, INT32_MAX, INT64_MAX - 1};
    if (choice < 12) {
        return (int64_t)choice - 3;
    }
    return choice == 12 ? (int64_t)input_bits(in, 8) : ends[input_below(in, 4)];
}

double input_number(struct input *in) {
    static const double usual[] = {0,  1,    0.5,   2,         0.25,     1.7,    0.1,
                                   3,  0.99, 64,    0x1p-40,   0x1p40,   0x1p60, 0x1p-10,
                                   -1, -0.0, 1e300, 0x1p-1074, INFINITY, 1e-16,  0x1p-60};
    const size_t count = sizeof usual / sizeof usual[0];
    const size_t choice = input_below(in, count + 2);
    if (choice < count) {
        return usual[choice];
    }
    const uint64_t bits = input_bits(in, 8);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

_Noreturn void input_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}
