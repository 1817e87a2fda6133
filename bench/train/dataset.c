/* SPDX-License-Identifier: MIT */
#include "dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"

#define LINE_LENGTH_MAX 512

/* Reads an integer from 0 to max that ends with `end`, and moves *text past it. */
static bool read_number(const char **text, long max, char end, long *number) {
    char *after = NULL;
    *number = strtol(*text, &after, 10);
    bool found = after != *text && *after == end && *number >= 0 && *number <= max;
    *text = after + (found && end != '\0');
    return found;
}

static bool read_line(const char *line, int wanted_digit, float *inputs, float *target) {
    long number = 0;
    for (size_t i = 0; i < PIXELS; i++) {
        if (!read_number(&line, 16, ',', &number)) {
            return false;
        }
        inputs[i] = (float)number;
    }
    if (!read_number(&line, 9, '\0', &number)) {
        return false;
    }
    *target = number == wanted_digit ? 1.0F : 0.0F;
    return true;
}

static void reserve(struct dataset *dataset, size_t capacity) {
    dataset->inputs = resize_or_exit(dataset->inputs, capacity, sizeof *dataset->inputs);
    dataset->targets = resize_or_exit(dataset->targets, capacity, sizeof *dataset->targets);
}

static bool read_file(FILE *file, const char *path, int digit, struct dataset *all) {
    char line[LINE_LENGTH_MAX];
    size_t capacity = 1024;
    reserve(all, capacity);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (all->count == capacity) {
            capacity *= 2;
            reserve(all, capacity);
        }
        if (!read_line(line, digit, all->inputs[all->count], &all->targets[all->count])) {
            fprintf(stderr, "train: %s, line %zu: expected %d pixels from 0 to 16 and a digit\n",
                    path, all->count + 1, PIXELS);
            return false;
        }
        all->count++;
    }
    if (ferror(file)) {
        fprintf(stderr, "train: %s: cannot be read\n", path);
        return false;
    }
    return true;
}

static struct dataset copy_part(const struct dataset *all, size_t first, size_t count) {
    struct dataset part = {count, NULL, NULL};
    reserve(&part, count);
    memcpy(part.inputs, all->inputs + first, count * sizeof *part.inputs);
    memcpy(part.targets, all->targets + first, count * sizeof *part.targets);
    return part;
}

/* Pixels that never change in the training set become 0. */
static void standardise(struct dataset *train, struct dataset *test) {
    struct dataset *both[] = {train, test};
    for (size_t pixel = 0; pixel < PIXELS; pixel++) {
        double sum = 0.0;
        double sum_of_squares = 0.0;
        for (size_t i = 0; i < train->count; i++) {
            double value = (double)train->inputs[i][pixel];
            sum += value;
            sum_of_squares += value * value;
        }
        double mean = sum / (double)train->count;
        double variance = sum_of_squares / (double)train->count - mean * mean;
        double scale = variance > 1e-9 ? 1.0 / sqrt(variance) : 0.0;
        for (size_t part = 0; part < 2; part++) {
            for (size_t i = 0; i < both[part]->count; i++) {
                float *value = &both[part]->inputs[i][pixel];
                *value = (float)(((double)*value - mean) * scale);
            }
        }
    }
}

static bool has_both_classes(const struct dataset *dataset) {
    size_t positives = dataset_count_positives(dataset);
    return positives > 0 && positives < dataset->count;
}

bool dataset_read(const char *path, int digit, struct dataset *train, struct dataset *test) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "train: ");
        perror(path);
        return false;
    }
    struct dataset all = {0, NULL, NULL};
    bool read = read_file(file, path, digit, &all);
    fclose(file);
    if (read) {
        *train = copy_part(&all, 0, all.count / 2);
        *test = copy_part(&all, all.count / 2, all.count - all.count / 2);
        read = has_both_classes(train) && has_both_classes(test);
        if (read) {
            standardise(train, test);
        } else {
            fprintf(stderr, "train: %s: each half needs the digit %d and others\n", path, digit);
            dataset_free(train);
            dataset_free(test);
        }
    }
    dataset_free(&all);
    return read;
}

void dataset_free(struct dataset *dataset) {
    free(dataset->inputs);
    free(dataset->targets);
    *dataset = (struct dataset){0, NULL, NULL};
}

size_t dataset_count_positives(const struct dataset *dataset) {
    size_t positives = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        positives += dataset->targets[i] > 0.5F;
    }
    return positives;
}

void dataset_flip_targets(const struct dataset *dataset, double probability, struct random random,
                          float *targets) {
    for (size_t i = 0; i < dataset->count; i++) {
        bool flip = (double)random_uniform(&random) < probability;
        targets[i] = flip ? 1.0F - dataset->targets[i] : dataset->targets[i];
    }
}
