/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_FIGURE_H
#define TRAIN_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a figure can be written to a file of this name: .svg or .png. */
bool figure_path_is_valid(const char *path);

/* What the network made of some training examples. */
struct figure_examples {
    size_t count;
    const float *logits;
    const float *targets;      /* some of them flipped */
    const float *true_targets; /* before any was flipped */
};

/* Draws the first figure of the GHM paper for the examples given: how many there
 * are for each gradient norm, and what each loss makes of that norm.  The numbers
 * go to a file next to the figure, ending in .dat, from which gnuplot draws it; if
 * gnuplot is not installed, says so and leaves it at the numbers.  Returns false,
 * with a message on stderr, if a file cannot be written. */
bool figure_draw(const char *path, const char *title, const struct figure_examples *examples);

#endif
