/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_RANDOM_H
#define TRAIN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* A small random number generator (splitmix64), so that a seed gives the same
 * training everywhere. */
struct random {
    uint64_t state;
};

/* What random numbers are for.  Each purpose has its own stream, so that the
 * losses are compared on the same flipped labels, the same first weights and the
 * same order of examples. */
enum random_purpose { RANDOM_FLIPS, RANDOM_WEIGHTS, RANDOM_ORDER };

struct random random_start(uint64_t seed, enum random_purpose purpose);

/* Uniform in [0, 1). */
float random_uniform(struct random *random);

/* Puts count indices into random order. */
void random_shuffle(struct random *random, size_t count, size_t *indices);

#endif
