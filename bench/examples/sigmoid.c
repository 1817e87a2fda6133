/* SPDX-License-Identifier: MIT */

/* Focal loss of plain logits with targets 0 and 1: one call. */

#include <focalghm/focalghm.h>
#include <stdio.h>

enum { N = 6 };

int main(void) {
    const float logits[N] = {2.0f, -1.0f, 0.5f, -3.0f, 0.0f, 4.0f};
    const float targets[N] = {1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f};
    float gradient[N];
    double loss = 0.0;
    fghm_focal *focal = NULL;
    fghm_status status = fghm_focal_create(&focal); /* gamma 2, alpha 0.25, mean */
    if (status == FGHM_OK) {
        status = fghm_focal_f32(focal, NULL, N, logits, targets, NULL, &loss, NULL, gradient, NULL);
    }
    fghm_focal_destroy(focal);
    if (status != FGHM_OK) {
        fprintf(stderr, "%s\n", fghm_status_string(status));
        return 1;
    }
    printf("loss %.6f, first gradient %.6f\n", loss, (double)gradient[0]);
    return 0;
}
