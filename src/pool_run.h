/* SPDX-License-Identifier: MIT */
#ifndef FGHM_POOL_RUN_H
#define FGHM_POOL_RUN_H

/* The one thing that the rest of the library wants of a pool. */

#include <stddef.h>

#include "focalghm/pool.h"

/* Calls task(context, i) once for every i < tasks, on the threads of the pool, or, if it is
 * NULL or busy, one after the other here.  Returns when all of these calls have returned, with
 * what they wrote visible. */
void fghm_pool_run(fghm_pool *pool, size_t tasks, fghm_task task, void *context);

#endif
