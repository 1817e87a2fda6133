/* SPDX-License-Identifier: MIT */

/* Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
 * gradient descent, and prints the last loss and its bits.
 *
 *     cc -ffp-contract=off digits.c $(pkg-config --cflags --libs focalghm)
 *     ./a.out digits.csv    # 64 numbers from 0 to 16 and the digit, in each line
 */

#include <focalghm/focalghm.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 2000, PIXELS = 64, CLASSES = 10, STEPS = 20, RATE = 4 };
static double inputs[ROWS_MAX][PIXELS], logits[ROWS_MAX][CLASSES], gradient[ROWS_MAX][CLASSES];
static double weights[PIXELS][CLASSES], loss;
static int64_t labels[ROWS_MAX];

int main(int count, char **arguments) {
    FILE *const file = fopen(count > 1 ? arguments[1] : "digits.csv", "r");
    fghm_focal *focal = NULL; /* gamma 2, mean */
    fghm_status status = fghm_focal_create(&focal);
    size_t rows = 0;
    uint64_t bits;
    for (int i = 0, number; file != NULL && rows < ROWS_MAX && fscanf(file, "%d,", &number) == 1;) {
        if (i < PIXELS) {
            inputs[rows][i++] = number / 16.0;
        } else {
            labels[rows++] = number;
            i = 0;
        }
    }
    for (int step = 0; step < STEPS && status == FGHM_OK; step++) {
        memset(logits, 0, sizeof logits);
        for (size_t k = 0; k < rows * PIXELS * CLASSES; k++) {
            const size_t row = k / CLASSES / PIXELS, i = k / CLASSES % PIXELS, c = k % CLASSES;
            logits[row][c] += inputs[row][i] * weights[i][c];
        }
        status = fghm_focal_softmax_f64(focal, NULL, rows, CLASSES, logits[0], labels,
                                        FGHM_IGNORE_NONE, NULL, &loss, NULL, gradient[0], NULL);
        for (size_t k = 0; k < rows * PIXELS * CLASSES; k++) {
            const size_t row = k / CLASSES / PIXELS, i = k / CLASSES % PIXELS, c = k % CLASSES;
            weights[i][c] -= RATE * inputs[row][i] * gradient[row][c];
        }
    }
    memcpy(&bits, &loss, sizeof bits);
    printf("%.6f %016" PRIx64 "\n", loss, bits);
    fghm_focal_destroy(focal);
    return status == FGHM_OK && rows > 0 ? 0 : 1;
}
