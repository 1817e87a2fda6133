/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

/* Trains a small network to find one digit among all digits, some of the training
 * labels being wrong, and compares the losses that it can be trained with.
 * losses.c is where libfocalghm is called. */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "allocate.h"
#include "dataset.h"
#include "figure.h"
#include "losses.h"
#include "metrics.h"
#include "training.h"

/* Where the data is unless --data says otherwise. */
#ifndef DIGITS_CSV
#define DIGITS_CSV "digits.csv"
#endif

struct options {
    const char *data;
    const char *figure;
    int digit;
    size_t seeds;
    size_t epochs;
    double flip;
};

static const struct options defaults = {
    .data = DIGITS_CSV,
    .figure = "train.svg",
    .digit = 8,
    .seeds = 20,
    .epochs = 30,
    .flip = 0.03,
};

static void print_help(void) {
    printf("Usage: train [options]\n"
           "Trains a network to tell one digit from the others, with each loss in turn, and\n"
           "prints how well it does on other images.\n\n"
           "  --data FILE    the images (default: %s)\n"
           "  --digit N      the digit to find (default: %d)\n"
           "  --seeds N      how many networks to train with each loss (default: %zu)\n"
           "  --epochs N     how often to go through the training images (default: %zu)\n"
           "  --flip P       the probability with which a training label is flipped\n"
           "                 (default: %g)\n"
           "  --out FILE     the figure to draw, .svg or .png (default: %s)\n"
           "  --help         this text\n",
           defaults.data, defaults.digit, defaults.seeds, defaults.epochs, defaults.flip,
           defaults.figure);
}

static void fail_on_option(const char *option, const char *value, const char *expected) {
    fprintf(stderr, "train: --%s %s: expected %s\n", option, value, expected);
    exit(EXIT_FAILURE);
}

static long read_integer(const char *option, const char *text, long least, long most) {
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most) {
        char expected[64];
        snprintf(expected, sizeof expected, "a whole number from %ld to %ld", least, most);
        fail_on_option(option, text, expected);
    }
    return value;
}

static double read_probability(const char *option, const char *text) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= 0.5)) {
        fail_on_option(option, text, "a number from 0 to 0.5");
    }
    return value;
}

static struct options read_options(int argument_count, char **arguments) {
    static const struct option names[] = {
        {"data", required_argument, NULL, 'd'},  {"digit", required_argument, NULL, 'n'},
        {"seeds", required_argument, NULL, 's'}, {"epochs", required_argument, NULL, 'e'},
        {"flip", required_argument, NULL, 'f'},  {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    struct options options = defaults;
    int option = 0;
    while ((option = getopt_long(argument_count, arguments, "", names, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.data = optarg;
            break;
        case 'n':
            options.digit = (int)read_integer("digit", optarg, 0, 9);
            break;
        case 's':
            options.seeds = (size_t)read_integer("seeds", optarg, 1, 1000);
            break;
        case 'e':
            options.epochs = (size_t)read_integer("epochs", optarg, 1, 100000);
            break;
        case 'f':
            options.flip = read_probability("flip", optarg);
            break;
        case 'o':
            if (!figure_path_is_valid(optarg)) {
                fail_on_option("out", optarg, "a file name that ends in .svg or .png");
            }
            options.figure = optarg;
            break;
        case 'h':
            print_help();
            exit(EXIT_SUCCESS);
        default:
            fprintf(stderr, "Try: train --help\n");
            exit(EXIT_FAILURE);
        }
    }
    if (optind < argument_count) {
        fprintf(stderr, "train: %s: not an option\nTry: train --help\n", arguments[optind]);
        exit(EXIT_FAILURE);
    }
    return options;
}

static void print_setting(const struct options *options, const struct dataset *train,
                          const struct dataset *test) {
    printf("libfocalghm %s, instruction set %s\n", fghm_version(), fghm_isa_name());
    printf("Data: digit %d against the rest, training %zu of %zu (%g %% of labels flipped), test "
           "%zu of %zu\n",
           options->digit, dataset_count_positives(train), train->count, 100.0 * options->flip,
           dataset_count_positives(test), test->count);
    printf("Network: %d-%d-1, Adam, learning rate %g, batches of %d, epochs: %zu, seeds: %zu\n\n",
           PIXELS, HIDDEN_UNITS, (double)LEARNING_RATE, BATCH_SIZE, options->epochs,
           options->seeds);
    fflush(stdout);
}

/* What training with one loss gave, one value for each seed. */
struct results {
    double *average_precision;
    double *recall;
    double *flips_learned;
    double *loss_share;
    double *first_loss;
};

static struct results results_create(size_t seeds) {
    struct results results = {
        .average_precision = resize_or_exit(NULL, seeds, sizeof(double)),
        .recall = resize_or_exit(NULL, seeds, sizeof(double)),
        .flips_learned = resize_or_exit(NULL, seeds, sizeof(double)),
        .loss_share = resize_or_exit(NULL, seeds, sizeof(double)),
        .first_loss = resize_or_exit(NULL, seeds, sizeof(double)),
    };
    return results;
}

static void results_destroy(struct results *results) {
    free(results->average_precision);
    free(results->recall);
    free(results->flips_learned);
    free(results->loss_share);
    free(results->first_loss);
}

/* Trains one network for each seed.  The logits and targets of the training set
 * follow each other in `logits` and `targets`, seed by seed. */
static void train_seeds(const struct options *options, const struct dataset *train,
                        const struct dataset *test, const struct loss_row *row,
                        struct results *results, float *logits, float *targets) {
    bool on_terminal = isatty(STDERR_FILENO) == 1;
    for (size_t i = 0; i < options->seeds; i++) {
        struct training_options training = {
            .epochs = options->epochs,
            .flip = options->flip,
            .seed = i + 1,
            .show_epochs = on_terminal,
        };
        struct training_result result = train_network(
            train, test, row, &training, logits + i * train->count, targets + i * train->count);
        results->average_precision[i] = result.metrics.average_precision;
        results->recall[i] = result.metrics.recall_at_precision;
        results->flips_learned[i] = result.flips_learned;
        results->loss_share[i] = result.loss_share;
        results->first_loss[i] = result.first_loss;
        if (!on_terminal) {
            fprintf(stderr, "%s, seed %zu: average precision %.3f\n", row->name, i + 1,
                    result.metrics.average_precision);
        }
    }
}

static void print_table_head(void) {
    printf("%-20s  %18s  %18s  %18s  %10s  %12s\n", "", "average", "recall at", "flipped labels",
           "first", "loss's share");
    printf("%-20s  %18s  %13s %.2f  %18s  %10s  %12s\n", "loss", "precision", "precision",
           RECALL_PRECISION, "learned by heart", "batch", "of the time");
}

static void print_table_row(const struct loss_row *row, size_t seeds,
                            const struct results *results) {
    const double *columns[] = {results->average_precision, results->recall, results->flips_learned};
    printf("%-20s", row->name);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct summary summary = summarise(seeds, columns[i]);
        printf("      %.3f +- %.3f", summary.mean, summary.standard_deviation);
    }
    printf("  %10.3f  %10.2f %%\n", summarise(seeds, results->first_loss).mean,
           100.0 * summarise(seeds, results->loss_share).mean);
}

/* Draws the figure from the networks trained with cross-entropy, all seeds together. */
static bool draw_figure(const struct options *options, const struct dataset *train,
                        const float *logits, const float *targets) {
    char title[200];
    snprintf(title, sizeof title,
             "UCI optical digits, %d against the rest, %g %% of labels flipped: "
             "training examples of %zu network%s trained with cross-entropy",
             options->digit, 100.0 * options->flip, options->seeds, options->seeds == 1 ? "" : "s");
    size_t count = options->seeds * train->count;
    float *true_targets = resize_or_exit(NULL, count, sizeof *true_targets);
    for (size_t i = 0; i < count; i++) {
        true_targets[i] = train->targets[i % train->count];
    }
    struct figure_examples examples = {count, logits, targets, true_targets};
    bool drawn = figure_draw(options->figure, title, &examples);
    free(true_targets);
    return drawn;
}

/* Trains with each loss, then prints the table and draws the figure. */
static bool compare_losses(const struct options *options, const struct dataset *train,
                           const struct dataset *test) {
    size_t count = options->seeds * train->count;
    float *logits = resize_or_exit(NULL, loss_row_count * count, sizeof *logits);
    float *targets = resize_or_exit(NULL, count, sizeof *targets);
    struct results *results = resize_or_exit(NULL, loss_row_count, sizeof *results);

    for (size_t i = 0; i < loss_row_count; i++) {
        results[i] = results_create(options->seeds);
        train_seeds(options, train, test, &loss_rows[i], &results[i], logits + i * count, targets);
    }
    fputs(isatty(STDERR_FILENO) ? "\n\n" : "\n", stderr);

    print_table_head();
    for (size_t i = 0; i < loss_row_count; i++) {
        print_table_row(&loss_rows[i], options->seeds, &results[i]);
        results_destroy(&results[i]);
    }
    fflush(stdout);
    bool drawn = draw_figure(options, train, logits, targets);
    free(results);
    free(targets);
    free(logits);
    return drawn;
}

int main(int argument_count, char **arguments) {
    struct options options = read_options(argument_count, arguments);
    struct dataset train = {0, NULL, NULL};
    struct dataset test = {0, NULL, NULL};
    if (!dataset_read(options.data, options.digit, &train, &test)) {
        return EXIT_FAILURE;
    }
    print_setting(&options, &train, &test);
    bool drawn = compare_losses(&options, &train, &test);
    dataset_free(&test);
    dataset_free(&train);
    return drawn ? EXIT_SUCCESS : EXIT_FAILURE;
}
