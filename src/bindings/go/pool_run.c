/* SPDX-License-Identifier: MIT */
#include "_cgo_export.h"
#include "call.h"

static void run(void *user, size_t tasks, fghm_task task, void *context) {
    focalghmRun((uintptr_t)user, tasks, task, context);
}

fghm_status fgo_pool_create_from(fghm_pool **pool, size_t threads, uintptr_t handle) {
    return fghm_pool_create_from(pool, threads, run, (void *)handle);
}
