/* SPDX-License-Identifier: MIT */

/* A program that uses the library as it is installed.  Valid C99 and C++11.
 * Prints the version, and fails if a result is not what it must be. */

#include <stdio.h>
#include <string.h>

#include <focalghm/focalghm.h>

/* One element with logit 0 and target 1: the loss is alpha / 4 ln 2, alpha 1/4. */
static int focal_is_right(fghm_pool *pool) {
    const double expected = 0.04332169878499658;
    const double logit = 0.0;
    const double target = 1.0;
    double loss = 0.0;
    fghm_focal *focal = NULL;
    if (fghm_focal_create(&focal) != FGHM_OK) {
        return 0;
    }
    fghm_status status =
        fghm_focal_f64(focal, pool, 1, &logit, &target, NULL, &loss, NULL, NULL, NULL);
    fghm_focal_destroy(focal);
    printf("loss %.17g, expected %.17g: %s\n", loss, expected, fghm_status_string(status));
    return status == FGHM_OK && loss > expected - 1e-14 && loss < expected + 1e-14;
}

/* Two threads, so that a static library must bring its thread pool along; one, where a system has
 * no more. */
#ifndef CONSUMER_THREADS
#define CONSUMER_THREADS 2
#endif

int main(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", FGHM_VERSION_MAJOR, FGHM_VERSION_MINOR,
             FGHM_VERSION_PATCH);
    printf("focalghm %s, %s\n", fghm_version(), fghm_isa_name());

    fghm_pool *pool = NULL;
    if (CONSUMER_THREADS == 1 && fghm_pool_create(&pool, 2) != FGHM_ERROR_THREADS) {
        return 1;
    }
    if (strcmp(version, fghm_version()) != 0 ||
        fghm_pool_create(&pool, CONSUMER_THREADS) != FGHM_OK) {
        return 1;
    }
    int right = focal_is_right(pool);
    fghm_pool_destroy(pool);
    return right ? 0 : 1;
}
