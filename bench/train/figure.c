/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "figure.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "allocate.h"
#include "losses.h"

#define BINS 30
#define EXTENSION_LENGTH 4

/* Where the gnuplot script is. */
#ifndef FIGURE_SCRIPT
#define FIGURE_SCRIPT "figure.gp"
#endif

#define COMMAND_NOT_FOUND 127

extern char **environ;

bool figure_path_is_valid(const char *path) {
    size_t length = strlen(path);
    if (length <= EXTENSION_LENGTH) {
        return false;
    }
    const char *extension = path + length - EXTENSION_LENGTH;
    return strcmp(extension, ".svg") == 0 || strcmp(extension, ".png") == 0;
}

/* The path with its extension replaced; the caller frees it. */
static char *data_path(const char *figure_path) {
    size_t length = strlen(figure_path);
    char *path = resize_or_exit(NULL, length + 1, 1);
    memcpy(path, figure_path, length - EXTENSION_LENGTH);
    memcpy(path + length - EXTENSION_LENGTH, ".dat", EXTENSION_LENGTH + 1);
    return path;
}

/* The bins of the figure.  A bin holds examples with alike original gradient norms,
 * which are those of cross-entropy. */
struct bins {
    double edges[BINS + 1];
    uint64_t counts[BINS + 1];
    uint64_t flipped[BINS]; /* how many of the examples have a flipped label */
    double weights[BINS];   /* of GHM-C */
    double *totals;         /* sums of the gradient norms of loss i: totals[i * BINS + bin] */
};

static double *new_zeros(size_t count) {
    double *zeros = resize_or_exit(NULL, count, sizeof *zeros);
    for (size_t i = 0; i < count; i++) {
        zeros[i] = 0.0;
    }
    return zeros;
}

/* Reads the library's histogram. */
static void count_examples(struct bins *bins, const struct figure_examples *examples) {
    fghm_ghm *ghm = NULL;
    require_ok(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), "fghm_ghm_create");
    require_ok(fghm_ghm_set_bins(ghm, BINS), "fghm_ghm_set_bins");
    /* Without outputs, the call only counts. */
    require_ok(fghm_ghm_step_f32(ghm, NULL, examples->count, examples->logits, examples->targets,
                                 NULL, NULL, NULL, NULL, NULL),
               "fghm_ghm_step_f32");
    require_ok(fghm_ghm_get_edges(ghm, BINS + 1, bins->edges), "fghm_ghm_get_edges");
    require_ok(fghm_ghm_get_counts(ghm, BINS + 1, bins->counts), "fghm_ghm_get_counts");
    require_ok(fghm_ghm_get_weights(ghm, BINS, bins->weights), "fghm_ghm_get_weights");
    fghm_ghm_destroy(ghm);
}

static size_t find_bin(const struct bins *bins, float gradient) {
    size_t bin = 0;
    while (bin + 1 < BINS && fabs((double)gradient) >= bins->edges[bin + 1]) {
        bin++;
    }
    return bin;
}

static void compute_gradient(const struct loss_row *row, const struct figure_examples *examples,
                             float *gradient) {
    struct loss_row with_our_bins = *row;
    with_our_bins.bins = BINS;
    struct loss loss = loss_open(&with_our_bins, FGHM_REDUCTION_SUM);
    loss_compute(&loss, examples->count, examples->logits, examples->targets, gradient);
    loss_close(&loss);
}

static void add_up_examples(struct bins *bins, const struct figure_examples *examples) {
    float *original = resize_or_exit(NULL, examples->count, sizeof *original);
    float *gradient = resize_or_exit(NULL, examples->count, sizeof *gradient);
    compute_gradient(&loss_rows[0], examples, original);
    for (size_t i = 0; i < examples->count; i++) {
        bool flipped = examples->targets[i] != examples->true_targets[i];
        bins->flipped[find_bin(bins, original[i])] += flipped;
    }
    for (size_t row = 0; row < figure_row_count(); row++) {
        compute_gradient(&loss_rows[row], examples, gradient);
        for (size_t i = 0; i < examples->count; i++) {
            size_t bin = find_bin(bins, original[i]);
            bins->totals[row * BINS + bin] += fabs((double)gradient[i]);
        }
    }
    free(gradient);
    free(original);
}

static bool write_data(const char *path, const struct bins *bins) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "train: ");
        perror(path);
        return false;
    }
    fprintf(file,
            "# One line for each bin of gradient norms: its edges, how many examples it has\n"
            "# and how many of them with a flipped label, its GHM-C weight, and for each loss\n"
            "# the sum of the gradient norms of its examples.\n"
            "lower upper examples flipped weight");
    for (size_t row = 0; row < figure_row_count(); row++) {
        fprintf(file, " \"%s\"", loss_rows[row].name);
    }
    for (size_t bin = 0; bin < BINS; bin++) {
        fprintf(file, "\n%.6f %.6f %" PRIu64 " %" PRIu64 " %.6g", bins->edges[bin],
                bins->edges[bin + 1], bins->counts[bin], bins->flipped[bin], bins->weights[bin]);
        for (size_t row = 0; row < figure_row_count(); row++) {
            fprintf(file, " %.6g", bins->totals[row * BINS + bin]);
        }
    }
    fputc('\n', file);
    bool failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    if (failed) {
        fprintf(stderr, "train: %s: cannot be written\n", path);
    }
    return !failed;
}

/* Has gnuplot draw the figure from the data. */
static bool run_gnuplot(const char *figure_path, const char *data, const char *title) {
    /* posix_spawnp takes an array of char *, but changes none of them. */
    char *arguments[] = {
        "gnuplot", "-c", FIGURE_SCRIPT, (char *)data, (char *)figure_path, (char *)title, NULL,
    };
    pid_t process = 0;
    int status = 0;
    int error = posix_spawnp(&process, arguments[0], NULL, NULL, arguments, environ);
    if (error == 0) {
        while (waitpid(process, &status, 0) == -1 && errno == EINTR) {
        }
    }
    if (error == ENOENT || (WIFEXITED(status) && WEXITSTATUS(status) == COMMAND_NOT_FOUND)) {
        printf("\nThe figure was not drawn: gnuplot was not found.  Its data is in %s\n", data);
        return true;
    }
    if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "train: gnuplot could not draw %s from %s\n", figure_path, data);
        return false;
    }
    printf("\nFigure: %s, drawn by gnuplot from %s\n", figure_path, data);
    return true;
}

bool figure_draw(const char *path, const char *title, const struct figure_examples *examples) {
    struct bins bins = {.totals = new_zeros(figure_row_count() * BINS)};
    count_examples(&bins, examples);
    add_up_examples(&bins, examples);
    char *data = data_path(path);
    bool drawn = write_data(data, &bins) && run_gnuplot(path, data, title);
    free(data);
    free(bins.totals);
    return drawn;
}
