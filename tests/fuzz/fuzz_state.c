/* SPDX-License-Identifier: MIT */

/* Saved states out of any bytes, as they are and with a checksum that is right: what is refused
 * changes nothing, what is taken goes on, and saved again is itself. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "input.h"
#include "memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct state {
    void *bytes;
    size_t size;
};

static struct state state_of(const fghm_ghm *ghm) {
    struct state state;
    REQUIRE(fghm_ghm_get_state_size(ghm, &state.size) == FGHM_OK);
    state.bytes = malloc(state.size);
    REQUIRE(state.bytes != NULL);
    REQUIRE(fghm_ghm_save(ghm, state.size, state.bytes) == FGHM_OK);
    return state;
}

static void require_same(const struct state *a, const struct state *b) {
    REQUIRE(a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* A handle that has been made of bytes does what others do. */
static void go_on(fghm_ghm *ghm) {
    const float inputs[] = {-1, 0.5f, 3, -0.25f, 88}, targets[] = {0, 1, 1, 0, 0};
    float gradient[5] = {0};
    double loss = 0;
    const fghm_status status =
        fghm_ghm_step_f32(ghm, NULL, 5, inputs, targets, NULL, &loss, NULL, gradient, NULL);
    REQUIRE(status == FGHM_OK || status == FGHM_ERROR_HISTOGRAMS || status == FGHM_ERROR_COUNTS);
    REQUIRE(status != FGHM_OK || loss == loss);
}

static void load_into(fghm_ghm_kind kind, const uint8_t *bytes, size_t size) {
    fghm_ghm *ghm;
    REQUIRE(fghm_ghm_create(&ghm, kind) == FGHM_OK);
    struct state before = state_of(ghm);
    if (fghm_ghm_load(ghm, size, bytes) != FGHM_OK) {
        struct state after = state_of(ghm);
        require_same(&before, &after);
        free(after.bytes);
    }
    go_on(ghm);
    free(before.bytes);
    fghm_ghm_destroy(ghm);
}

static void try_state(const uint8_t *bytes, size_t size) {
    fghm_ghm *ghm = NULL, *again = NULL;
    errno = 17;
    const fghm_status status = fghm_ghm_create_from_state(&ghm, size, bytes);
    REQUIRE(errno == 17);
    if (status == FGHM_OK) {
        struct state first = state_of(ghm);
        REQUIRE(fghm_ghm_create_from_state(&again, first.size, first.bytes) == FGHM_OK);
        struct state second = state_of(again);
        require_same(&first, &second);
        go_on(ghm);
        go_on(again);
        free(first.bytes);
        free(second.bytes);
        first = state_of(ghm);
        second = state_of(again);
        require_same(&first, &second);
        free(first.bytes);
        free(second.bytes);
        fghm_ghm_destroy(ghm);
        fghm_ghm_destroy(again);
    } else {
        REQUIRE(ghm == NULL);
    }
    load_into(FGHM_GHM_CLASSIFICATION, bytes, size);
    load_into(FGHM_GHM_REGRESSION, bytes, size);
}

static void put(unsigned char *to, uint64_t number) {
    for (int i = 0; i < 8; i++) {
        to[i] = (unsigned char)(number >> (8 * i));
    }
}

/* Puts in the magic number, and in the last 8 bytes the FNV-1a hash of those before: no mutation of
 * a state would get past these. */
static void repair(unsigned char *state, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    put(state, UINT64_C(0x0a4d48474c41434f));
    for (size_t i = 0; i < size - 8; i++) {
        hash = (hash ^ state[i]) * UINT64_C(0x100000001b3);
    }
    put(state + size - 8, hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size > MEMORY_BYTES) {
        return 0;
    }
    unsigned char *const state = memory_take(0, size, true)->bytes;
    memcpy(state, bytes, size);
    try_state(state, size);
    if (size >= 16) {
        repair(state, size);
        memory_remember();
        try_state(state, size);
        memory_require_untouched();
    }
    memory_require_surroundings();
    memory_release();
    return 0;
}
