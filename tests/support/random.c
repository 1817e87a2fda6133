/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED 20170807u

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_run_seed(void) {
    const char *text = getenv("FOCALGHM_TEST_SEED");
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : DEFAULT_SEED;
}

struct random random_for(uint64_t test) {
    struct random r;
    uint64_t x = random_run_seed() ^ (test * UINT64_C(0xd1342543de82ef95));
    for (int i = 0; i < 4; i++) {
        r.state[i] = splitmix(&x);
    }
    return r;
}

/* Modulo 2^64. */
static uint64_t shift_up(uint64_t x, int k) {
    return (x & UINT64_MAX >> k) << k;
}

static uint64_t rotate(uint64_t x, int k) {
    return shift_up(x, k) | (x >> (64 - k));
}

uint64_t random_bits(struct random *r) {
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = shift_up(s[1], 17);
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

size_t random_below(struct random *r, size_t bound) {
    return (size_t)(random_bits(r) % bound);
}

double random_uniform(struct random *r, double low, double high) {
    double u = (double)(random_bits(r) >> 11) * 0x1p-53;
    return low + (high - low) * u;
}

double random_normal(struct random *r) {
    double u = 1.0 - random_uniform(r, 0.0, 1.0);
    double angle = random_uniform(r, 0.0, 6.283185307179586);
    return sqrt(-2.0 * log(u)) * cos(angle);
}

double random_log_uniform(struct random *r, double low, double high) {
    double size = exp(random_uniform(r, log(low), log(high)));
    return random_bits(r) & 1 ? size : -size;
}

float random_any_f32(struct random *r) {
    float x;
    do {
        uint32_t bits = (uint32_t)(random_bits(r) >> 32);
        memcpy(&x, &bits, sizeof x);
    } while (!isfinite(x));
    return x;
}

double random_any_f64(struct random *r) {
    double x;
    do {
        uint64_t bits = random_bits(r);
        memcpy(&x, &bits, sizeof x);
    } while (!isfinite(x));
    return x;
}

void random_permutation(struct random *r, size_t n, size_t *order) {
    for (size_t i = 0; i < n; i++) {
        size_t j = random_below(r, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}
