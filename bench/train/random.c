/* SPDX-License-Identifier: MIT */
#include "random.h"

static uint64_t random_next(struct random *random) {
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t bits = random->state;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
    return bits ^ (bits >> 31);
}

struct random random_start(uint64_t seed, enum random_purpose purpose) {
    struct random random = {4 * seed + (uint64_t)purpose};
    random.state = random_next(&random);
    return random;
}

float random_uniform(struct random *random) {
    return (float)(random_next(random) >> 40) * 0x1p-24F;
}

void random_shuffle(struct random *random, size_t count, size_t *indices) {
    for (size_t left = count; left > 1; left--) {
        size_t chosen = (size_t)(random_next(random) % left);
        size_t last = indices[left - 1];
        indices[left - 1] = indices[chosen];
        indices[chosen] = last;
    }
}
