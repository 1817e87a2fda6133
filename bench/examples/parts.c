/* SPDX-License-Identifier: MIT */

/* GHM-C of a batch that two processes share: each counts its part, the counts are added up, and
 * each applies the weights of the whole.  Here one process plays both. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { PART = 4, PARTS = 2, COUNTS_MAX = 64 };

int main(void) {
    const float logits[PARTS * PART] = {-1, -2, -3, 0.5f, 2, -4, -1.5f, -2.5f};
    const uint8_t targets[PARTS * PART] = {1, 0, 0, 0, 1, 0, 0, 0};
    float gradient[PARTS * PART];
    uint64_t counts[COUNTS_MAX] = {0}; /* both add to them, as an all-reduce would */
    size_t size = 0;
    fghm_batch batches[PARTS] = {FGHM_BATCH_INIT, FGHM_BATCH_INIT};
    fghm_ghm *ghm = NULL;
    int failed = fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) != FGHM_OK ||
                 fghm_ghm_get_counts_size(ghm, &size) != FGHM_OK || size > COUNTS_MAX;
    for (int k = 0; k < PARTS && !failed; k++) {
        fghm_batch *const part = &batches[k];
        part->ndim = 1;
        part->shape[0] = PART;
        part->logits = (fghm_input){.data = logits + k * PART, .dtype = FGHM_F32};
        part->targets = (fghm_input){.data = targets + k * PART, .dtype = FGHM_U8};
        part->gradient = (fghm_output){.data = gradient + k * PART, .dtype = FGHM_F32};
        failed = fghm_ghm_count_batch(ghm, NULL, part, COUNTS_MAX, counts, NULL) != FGHM_OK;
    }
    failed = failed || fghm_ghm_update(ghm, COUNTS_MAX, counts) != FGHM_OK;
    for (int k = 0; k < PARTS && !failed; k++) {
        failed = fghm_ghm_apply_batch(ghm, NULL, &batches[k], NULL) != FGHM_OK;
    }
    fghm_ghm_destroy(ghm);
    printf("first gradient %.6f\n", failed ? 0.0 : (double)gradient[0]);
    return failed;
}
