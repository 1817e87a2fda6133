/* SPDX-License-Identifier: MIT */

/* A pool of OpenMP's threads, as an application would make one. */

#include <focalghm/focalghm.h>
#include <omp.h>

#include "support/batch.h"
#include "support/random.h"
#include "support/suite.h"

static void run(void *user, size_t tasks, fghm_task task, void *context) {
    int *const calls = user;
    ++*calls;
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < tasks; i++) {
        task(context, i);
    }
}

static void openmp_changes_no_bit(void **state) {
    const struct dtype *const d = *state;
    struct random r = random_for(51);
    struct batch alone = batch_new(d, 200000), shared = batch_new(d, 200000);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_pool *pool = NULL;
    int calls = 0;
    for (size_t i = 0; i < alone.n; i++) {
        const double logit = random_uniform(&r, -12, 12);
        batch_put(&alone, i, logit, (double)(i % 3 == 0));
        batch_put(&shared, i, logit, (double)(i % 3 == 0));
    }
    omp_set_num_threads(4);
    assert_int_equal(fghm_pool_create_from(&pool, 4, run, &calls), FGHM_OK);
    assert_int_equal(batch_focal(&alone, focal, NULL), FGHM_OK);
    for (int round = 1; round <= 10; round++) {
        assert_int_equal(batch_focal(&shared, focal, pool), FGHM_OK);
        assert_int_equal(calls, round);
        batch_assert_same(&alone, &shared);
    }
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    batch_free(&alone);
    batch_free(&shared);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"openmp_changes_no_bit", openmp_changes_no_bit, 1},
    };
    return suite_run(argument_count, arguments, "test_pool_openmp", tests, SUITE_COUNT(tests));
}
