/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256** (Blackman, Vigna), seeded through splitmix64. */
struct random {
    uint64_t state[4];
};

/* The seed of the run: FOCALGHM_TEST_SEED of the environment, else fixed. */
uint64_t random_run_seed(void);

/* A generator for one test: the seed of the run and a number of the test's
 * own, so that tests do not depend on each other's order. */
struct random random_for(uint64_t test);

uint64_t random_bits(struct random *r);
size_t random_below(struct random *r, size_t bound); /* 0 <= result < bound */
double random_uniform(struct random *r, double low, double high);
double random_normal(struct random *r);

/* Either sign, magnitude between low and high, its logarithm uniform. */
double random_log_uniform(struct random *r, double low, double high);

/* Any finite bit pattern. */
float random_any_f32(struct random *r);
double random_any_f64(struct random *r);

/* An order of 0 .. n - 1. */
void random_permutation(struct random *r, size_t n, size_t *order);

#endif
