/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

/* The bytes of a fuzzer as numbers; 0 from where they end. */

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *bytes;
    size_t left;
};

uint64_t input_bits(struct input *in, size_t bytes);
size_t input_below(struct input *in, size_t bound); /* bound at most 65536 */
int64_t input_integer(struct input *in);            /* mostly small, or any */
double input_number(struct input *in);              /* what settings are near, or any bits */

/* Ends the program, for the fuzzer to see. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            input_failed(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

_Noreturn void input_failed(const char *file, int line, const char *condition);

#endif
