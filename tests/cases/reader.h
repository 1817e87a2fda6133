/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CASES_READER_H
#define TESTS_CASES_READER_H

/* The cases that C and the bindings have in common (../bindings/cases.txt, which explains its
 * lines), as C runs them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <focalghm/focalghm.h>

enum {
    CASES_LINE_MAX = 8192,
    CASES_WORDS_MAX = 128,
    CASES_ARRAYS_MAX = 12,
    CASES_BYTES_MAX = 1024,
    CASES_NUMBERS_MAX = 64
};

/* An array of the case, and how it lies in its memory. */
struct cases_array {
    char name[24];
    fghm_dtype dtype;
    fghm_layout layout;
    size_t first, count;
    int64_t strides[FGHM_AXES_MAX];
    _Alignas(8) unsigned char bytes[CASES_BYTES_MAX];
};

struct cases_words {
    char text[CASES_LINE_MAX];
    char *word[CASES_WORDS_MAX];
    size_t count;
};

struct cases_reader {
    fghm_focal *focal;
    fghm_ghm *ghm;
    struct cases_array arrays[CASES_ARRAYS_MAX];
    size_t array_count;
    fghm_batch batch; /* without its arrays, until a call */
    double factors[4][CASES_NUMBERS_MAX];
    uint64_t counts[CASES_NUMBERS_MAX];
    size_t counts_size;
    double number; /* of a plain call */
    fghm_result result;
    fghm_status status; /* of the last line */
    fghm_field field;   /* where, if the line is no call over a batch */
    bool over_batch;
};

void cases_start(struct cases_reader *r);
void cases_end(struct cases_reader *r);

/* Runs one line, and appends to `text` (of `room` bytes) the line itself with what it should say,
 * and an error if there was one. */
void cases_line(struct cases_reader *r, const char *line, char *text, size_t room);

/* NULL where the case has no such array. */
struct cases_array *cases_find(struct cases_reader *r, const char *name);

/* Where the array's element with index 0 on every axis is. */
unsigned char *cases_first(struct cases_array *a);

size_t cases_size(fghm_dtype dtype);

#endif
