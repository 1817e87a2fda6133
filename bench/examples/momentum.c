/* SPDX-License-Identifier: MIT */

/* GHM-C with momentum: a training that is stopped after three steps, saved, and goes on. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { N = 8, STATE_MAX = 4096 };

static fghm_status train(fghm_ghm *ghm, int steps, double *loss) {
    const float targets[N] = {1.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f, 0.0f};
    float logits[N] = {-1.0f, -2.0f, -3.0f, 0.5f, 2.0f, -4.0f, -1.5f, -2.5f}, gradient[N];
    fghm_status status = FGHM_OK;
    for (int step = 0; step < steps && status == FGHM_OK; step++) {
        status = fghm_ghm_step_f32(ghm, NULL, N, logits, targets, NULL, loss, NULL, gradient, NULL);
    }
    return status;
}

int main(void) {
    unsigned char state[STATE_MAX];
    fghm_ghm *before = NULL, *after = NULL;
    double loss = 0.0;
    size_t size = 0;
    const int failed =
        fghm_ghm_create(&before, FGHM_GHM_CLASSIFICATION) != FGHM_OK ||
        fghm_ghm_set_momentum(before, 0.75) != FGHM_OK || train(before, 3, &loss) != FGHM_OK ||
        fghm_ghm_get_state_size(before, &size) != FGHM_OK ||
        fghm_ghm_save(before, sizeof state, state) != FGHM_OK ||
        fghm_ghm_create(&after, FGHM_GHM_CLASSIFICATION) != FGHM_OK ||
        fghm_ghm_load(after, size, state) != FGHM_OK || train(after, 1, &loss) != FGHM_OK;
    fghm_ghm_destroy(before);
    fghm_ghm_destroy(after);
    printf("loss %.6f, %d bytes of state\n", loss, (int)size);
    return failed;
}
