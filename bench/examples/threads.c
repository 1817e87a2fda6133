/* SPDX-License-Identifier: MIT */

/* Threads that the library does not make: a function of the caller runs the tasks of a call, on
 * whatever it has.  This one has C's loop; OpenMP's is the same with a pragma above it. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { N = 100000 };

static float logits[N], targets[N], gradient[N];

static void run(void *user, size_t tasks, fghm_task task, void *context) {
    size_t *const total = user;
    for (size_t i = 0; i < tasks; i++) {
        task(context, i);
    }
    *total += tasks;
}

int main(void) {
    size_t tasks = 0;
    double loss = 0.0;
    fghm_pool *pool = NULL;
    fghm_focal *focal = NULL;
    fghm_status status = fghm_pool_create_from(&pool, 4, run, &tasks);
    if (status == FGHM_OK) {
        status = fghm_focal_create(&focal);
    }
    if (status == FGHM_OK) {
        status = fghm_focal_f32(focal, pool, N, logits, targets, NULL, &loss, NULL, gradient, NULL);
    }
    fghm_focal_destroy(focal);
    fghm_pool_destroy(pool);
    printf("%s: loss %.6f in %d tasks\n", fghm_status_string(status), loss, (int)tasks);
    return status == FGHM_OK ? 0 : 1;
}
