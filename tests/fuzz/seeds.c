/* SPDX-License-Identifier: MIT */

/* seeds FOLDER: states of handles of both kinds, with histories, for fuzz_state to begin with. */

#include <stdio.h>
#include <stdlib.h>

#include <focalghm/focalghm.h>

static void save(const char *folder, int number, const fghm_ghm *ghm) {
    char name[4096];
    size_t size = 0;
    if (fghm_ghm_get_state_size(ghm, &size) != FGHM_OK) {
        exit(EXIT_FAILURE);
    }
    void *const state = malloc(size);
    snprintf(name, sizeof name, "%s/%d", folder, number);
    FILE *const file = fopen(name, "wb");
    if (state == NULL || file == NULL || fghm_ghm_save(ghm, size, state) != FGHM_OK ||
        fwrite(state, 1, size, file) != size || fclose(file) != 0) {
        exit(EXIT_FAILURE);
    }
    free(state);
}

int main(int count, char **arguments) {
    const float inputs[] = {-1, 0.5f, 3, -0.25f, 88}, targets[] = {0, 1, 1, 0, 0};
    float gradient[5];
    for (int number = 0; count == 2 && number < 16; number++) {
        fghm_ghm *ghm = NULL;
        const double edges[] = {0, 0.125, 0.5, 1};
        fghm_ghm_create(&ghm, number % 2 == 0 ? FGHM_GHM_CLASSIFICATION : FGHM_GHM_REGRESSION);
        fghm_ghm_set_momentum(ghm, number & 2 ? 0.75 : 0);
        fghm_ghm_set_bins(ghm, number & 4 ? 3 : 30);
        if (number % 3 == 0) {
            fghm_ghm_set_edges(ghm, 3, edges);
        }
        for (int step = 0; step < number / 4; step++) {
            fghm_ghm_step_f32(ghm, NULL, 5, inputs, targets, NULL, NULL, NULL, gradient, NULL);
        }
        save(arguments[1], number, ghm);
        fghm_ghm_destroy(ghm);
    }
    return count == 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
