/* SPDX-License-Identifier: MIT */

/* Softmax over three classes, one row a sample, with a label for each row. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { ROWS = 2, CLASSES = 3 };

int main(void) {
    const float logits[ROWS * CLASSES] = {2.0f, 0.5f, -1.0f, 0.0f, 1.0f, 3.0f};
    const int64_t labels[ROWS] = {0, 1};
    float gradient[ROWS * CLASSES];
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 2;
    batch.shape[0] = ROWS;
    batch.shape[1] = CLASSES;
    batch.class_axis = 1;
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.logits = (fghm_input){.data = logits, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_I64};
    batch.gradient = (fghm_output){.data = gradient, .dtype = FGHM_F32};
    fghm_focal *focal = NULL;
    fghm_status status = fghm_focal_create(&focal);
    if (status == FGHM_OK) {
        status = fghm_focal_batch(focal, NULL, &batch, &result);
    }
    fghm_focal_destroy(focal);
    if (status != FGHM_OK) {
        fprintf(stderr, "%s: %s\n", fghm_field_name(result.field), fghm_status_string(status));
        return 1;
    }
    printf("loss %.6f of %d samples\n", result.loss, (int)result.elements);
    return 0;
}
