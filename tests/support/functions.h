/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_FUNCTIONS_H
#define TESTS_SUPPORT_FUNCTIONS_H

/* Every exported function with a status as a row of one table, and what such a call can get or
 * change, for what has to hold of each.  A function that is exported and is not in the table fails
 * test_null. */

#include <stddef.h>
#include <stdint.h>

#include <focalghm/focalghm.h>

enum {
    FUNCTION_ELEMENTS = 8,
    FUNCTION_POINTERS = 10,
    FUNCTION_BINS = 10,       /* whose counts calls have on their stack */
    FUNCTION_MANY_BINS = 300, /* whose counts they allocate */
    FUNCTION_COUNTS = FUNCTION_MANY_BINS + 1,
    FUNCTION_ROOM = 4096,
    FUNCTION_STATE_ROOM = 16384
};

struct function {
    const char *name, *pointers;
    fghm_status (*call)(void *const *p);
};

extern const struct function all_functions[];
extern const size_t all_function_count;

/* Everything that a call can get or change. */
struct world {
    fghm_focal *focal;
    fghm_ghm *ghm, *regression;
    fghm_pool *pool;
    void *place; /* of a new handle */
    float f32[FUNCTION_ELEMENTS];
    double f64[FUNCTION_ELEMENTS], edges[3];
    int64_t labels[FUNCTION_ELEMENTS];
    uint64_t counts[FUNCTION_COUNTS];
    size_t state_size;
    unsigned char state[FUNCTION_STATE_ROOM], saving[FUNCTION_STATE_ROOM];
    unsigned char out[FUNCTION_POINTERS][FUNCTION_ROOM] __attribute__((aligned(16)));
    fghm_batch batch;
    fghm_result result;
};

/* FUNCTION_BINS or FUNCTION_MANY_BINS. */
struct world *world_new(size_t bins);
void world_free(struct world *w);

/* How many pointers a function has. */
size_t function_pointers(const struct function *f);

/* The pointers of a call; bit k of `nulls`: the k-th is NULL.  Returns the documented status. */
fghm_status world_pointers(struct world *w, const struct function *f, unsigned nulls, void **p);

/* Destroys what a call has put into the place of a new handle. */
void world_destroy_place(struct world *w, const struct function *f);

/* What a world is, its handles included, to compare with later. */
struct world_copy;
struct world_copy *world_keep(const struct world *w);
void world_forget(struct world_copy *copy);

/* Fails the test, saying what has been done, if anything but the result is another. */
void world_assert_kept(const struct world *w, const struct world_copy *copy, const char *what);

#endif
