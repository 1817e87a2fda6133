/* SPDX-License-Identifier: MIT */

/* Segmentation: the middle of N,C,H,W images, as it lies; pixels with 255 are ignored. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { N = 2, C = 4, H = 16, W = 24, EDGE = 4 };

static float logits[N][C][H][W], gradient[N][C][H][W];
static uint8_t labels[N][H - 2 * EDGE][W - 2 * EDGE];

int main(void) {
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batch = FGHM_BATCH_INIT;
    batch.ndim = 4;
    batch.class_axis = 1;
    batch.shape[0] = N, batch.shape[1] = C;
    batch.shape[2] = H - 2 * EDGE, batch.shape[3] = W - 2 * EDGE;
    batch.activation = FGHM_SOFTMAX;
    batch.target_form = FGHM_TARGET_LABEL;
    batch.ignore_index = 255;
    batch.logits = (fghm_input){
        &logits[0][0][EDGE][EDGE], FGHM_F32, FGHM_LAYOUT_STRIDED, {C * H * W, H * W, W, 1}};
    batch.gradient = (fghm_output){
        &gradient[0][0][EDGE][EDGE], FGHM_F32, FGHM_LAYOUT_STRIDED, {C * H * W, H * W, W, 1}};
    batch.targets = (fghm_input){.data = labels, .dtype = FGHM_U8};
    labels[1][0][0] = 255;
    fghm_focal *focal = NULL;
    fghm_status status = fghm_focal_create(&focal);
    if (status == FGHM_OK) {
        status = fghm_focal_batch(focal, NULL, &batch, &result);
    }
    fghm_focal_destroy(focal);
    printf("%s: loss %.6f, %d of %d pixels\n", fghm_status_string(status), result.loss,
           (int)result.valid, (int)result.elements);
    return status == FGHM_OK ? 0 : 1;
}
