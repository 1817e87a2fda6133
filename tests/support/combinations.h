/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_COMBINATIONS_H
#define TESTS_SUPPORT_COMBINATIONS_H

#include <stdbool.h>

#include "random.h"

/* The combinations that one case goes through, numbered from 0.  Each has a generator of its
 * own, which depends on the seed, the test and the number alone: FOCALGHM_TEST_ONLY=k runs
 * combination k as it was among the others.
 *
 *     struct combinations all = combinations(101);
 *     for (...) {
 *         if (!combinations_next(&all)) {
 *             continue;
 *         }
 *         ... all.random, all.number ...
 *     }
 *     combinations_end(&all);
 *
 * A case that fails within one tells its number.  With FOCALGHM_TEST_ONLY, a case that has no
 * such combination fails: name the one that is meant, PROGRAM CASE. */
struct combinations {
    uint64_t test;
    size_t number; /* of the current one, once there is one */
    bool started;
    struct random random;
};

/* `test` as for random_for. */
struct combinations combinations(uint64_t test);

/* Goes on to the next one.  Returns whether it is to be run. */
bool combinations_next(struct combinations *c);

/* Returns whether all of them were run, so that what they have in common can be checked. */
bool combinations_end(const struct combinations *c);

/* What repeats combination `number`, as settings of the environment. */
const char *combinations_repeat(size_t number);

/* The case does without its combinations, being skipped. */
void combinations_excuse(void);

/* Before and after every case: the latter names the combination that the case did not get out
 * of, and returns whether it ran the one that was wanted. */
void combinations_forget(void);
bool combinations_tell(void);

#endif
