/* SPDX-License-Identifier: MIT */

/* GHM over several processes: every rank holds a part of each batch, counts it, and adds up
 * the counts with the others; from then on all ranks have the histogram of the whole batch,
 * and its weights.  Rank 0 also computes the whole batch by itself: the gradients are the
 * same bits, with momentum too, and the losses the same but for the order of their sum.
 *
 *     mpiexec -n 4 shards */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <focalghm/focalghm.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { ELEMENTS = 100003, STEPS = 5, BINS = 30, COUNTS = BINS + 1 };

/* A batch, and the part of it that is this rank's. */
struct batch {
    float logits[ELEMENTS];
    float targets[ELEMENTS];
    int first, n;
};

/* What rank 0 compares: gradients and losses of the ranks together, and of one process. */
struct comparison {
    float *sharded;
    float *whole;
    double sharded_loss, whole_loss;
};

static struct batch batch;
static float gradient[ELEMENTS];
static struct comparison steps[STEPS];

static void require(fghm_status status) {
    if (status != FGHM_OK) {
        fprintf(stderr, "%s\n", fghm_status_string(status));
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    }
}

static fghm_ghm *make_handle(void) {
    fghm_ghm *ghm = NULL;
    require(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION));
    require(fghm_ghm_set_bins(ghm, BINS));
    require(fghm_ghm_set_momentum(ghm, 0.9));
    return ghm;
}

/* Marsaglia's xorshift; from 0 to 1. */
static double random_unit(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) * 0x1p-53;
}

/* The same on every rank.  One element in a hundred is positive; training goes on. */
static void make_batch(int step) {
    uint64_t state = 0x9E3779B97F4A7C15u + (uint64_t)step;
    for (int i = 0; i < ELEMENTS; i++) {
        batch.targets[i] = random_unit(&state) < 0.01;
        batch.logits[i] = (float)((batch.targets[i] > 0 ? 1 : -1) * step +
                                  8 * (random_unit(&state) + random_unit(&state) - 1));
    }
}

/* Gradient of this rank's part, and the loss of all parts together. */
static double sharded_step(fghm_ghm *ghm) {
    const float *const logits = batch.logits + batch.first;
    const float *const targets = batch.targets + batch.first;
    const size_t n = (size_t)batch.n;
    uint64_t counts[COUNTS] = {0};
    double loss = 0;
    require(fghm_ghm_count_f32(ghm, NULL, n, logits, targets, NULL, COUNTS, counts));
    MPI_Allreduce(MPI_IN_PLACE, counts, COUNTS, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    require(fghm_ghm_update(ghm, COUNTS, counts));
    require(fghm_ghm_apply_f32(ghm, NULL, n, logits, targets, NULL, &loss, NULL, gradient, NULL));
    MPI_Allreduce(MPI_IN_PLACE, &loss, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return loss;
}

/* Brings the parts of the gradient to rank 0. */
static void gather(int size, float *whole) {
    int *const lengths = malloc(2 * (size_t)size * sizeof *lengths);
    if (lengths == NULL) {
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
        return;
    }
    int *const places = lengths + size;
    MPI_Gather(&batch.n, 1, MPI_INT, lengths, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Gather(&batch.first, 1, MPI_INT, places, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Gatherv(gradient, batch.n, MPI_FLOAT, whole, lengths, places, MPI_FLOAT, 0, MPI_COMM_WORLD);
    free(lengths);
}

static void train(int rank, int size) {
    fghm_ghm *const shared = make_handle();
    fghm_ghm *const alone = make_handle();
    batch.first = (int)((int64_t)ELEMENTS * rank / size);
    batch.n = (int)((int64_t)ELEMENTS * (rank + 1) / size) - batch.first;
    for (int i = 0; i < STEPS; i++) {
        struct comparison *const step = &steps[i];
        make_batch(i);
        step->sharded_loss = sharded_step(shared);
        step->sharded = calloc(ELEMENTS, sizeof *step->sharded);
        step->whole = calloc(ELEMENTS, sizeof *step->whole);
        if (step->sharded == NULL || step->whole == NULL) {
            MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
        }
        gather(size, step->sharded);
        if (rank == 0) {
            require(fghm_ghm_step_f32(alone, NULL, ELEMENTS, batch.logits, batch.targets, NULL,
                                      &step->whole_loss, NULL, step->whole, NULL));
            printf("step %d: loss %.15g in %d parts, %.15g in one\n", i, step->sharded_loss, size,
                   step->whole_loss);
        }
    }
    fghm_ghm_destroy(shared);
    fghm_ghm_destroy(alone);
}

static void gradients_are_those_of_one_process(void **state) {
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        assert_memory_equal(steps[i].sharded, steps[i].whole, ELEMENTS * sizeof(float));
    }
}

static void losses_are_those_of_one_process(void **state) {
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        assert_true(steps[i].whole_loss > 0);
        assert_true(fabs(steps[i].sharded_loss - steps[i].whole_loss) <=
                    0x1p-22 * steps[i].whole_loss);
    }
}

int main(int argc, char **argv) {
    int rank, size;
    int failed = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    train(rank, size);
    if (rank == 0) {
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(gradients_are_those_of_one_process),
            cmocka_unit_test(losses_are_those_of_one_process),
        };
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    }
    for (int i = 0; i < STEPS; i++) {
        free(steps[i].sharded);
        free(steps[i].whole);
    }
    MPI_Finalize();
    return failed;
}
