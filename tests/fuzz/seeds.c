/* SPDX-License-Identifier: MIT */

/* seeds FOLDER: what the fuzzers begin with.  In FOLDER/state, saved states of handles of both
 * kinds, with histories; in FOLDER/calls and FOLDER/plain, bytes of all sorts, which those read as
 * one choice after the other. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <focalghm/focalghm.h>

static void write_bytes(const char *folder, const char *target, int number, size_t size,
                        const void *bytes) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%s/%d", folder, target, number);
    FILE *const file = fopen(name, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        exit(EXIT_FAILURE);
    }
}

static void save(const char *folder, int number, const fghm_ghm *ghm) {
    size_t size = 0;
    if (fghm_ghm_get_state_size(ghm, &size) != FGHM_OK) {
        exit(EXIT_FAILURE);
    }
    void *const state = malloc(size);
    if (state == NULL || fghm_ghm_save(ghm, size, state) != FGHM_OK) {
        exit(EXIT_FAILURE);
    }
    write_bytes(folder, "state", number, size, state);
    free(state);
}

/* Bytes of an xorshift; small ones, which most choices are about, as often as any. */
static void draw(const char *folder, const char *target) {
    uint64_t state = 88172645463325252u;
    for (int number = 0; number < 128; number++) {
        unsigned char bytes[256];
        for (size_t k = 0; k < sizeof bytes; k++) {
            state ^= (state & UINT64_MAX >> 13) << 13;
            state ^= state >> 7;
            state ^= (state & UINT64_MAX >> 17) << 17;
            bytes[k] = (unsigned char)(state >> 33 & (state >> 60 & 1 ? 15 : 255));
        }
        write_bytes(folder, target, number, 16 + (size_t)number * 15 / 8, bytes);
    }
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
    if (count == 2) {
        draw(arguments[1], "calls");
        draw(arguments[1], "plain");
    }
    return count == 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
