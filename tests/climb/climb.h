/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CLIMB_CLIMB_H
#define TESTS_CLIMB_CLIMB_H

#include <focalghm/focalghm.h>
#include <stdbool.h>
#include <stddef.h>

#include "dtype.h"
#include "promise.h"
#include "random.h"

/* Numbers of a point. */
#define NUMBERS_MAX 16

/* The best of a slope and output, from which others are made. */
#define KEPT 4

/* Points with the largest errors. */
struct climber {
    double error[KEPT]; /* in units of the promise; falling */
    double promise[KEPT];
    double numbers[KEPT][NUMBERS_MAX];
};

enum softmax_form { OF_LABELS, OF_TARGETS, OF_SMOOTHED_LABELS };

/* What is climbed: results of one handle as a function of some numbers.  Not every kind uses every
 * setting. */
struct slope {
    const struct kind *kind;
    char name[112];
    const struct dtype *d;
    struct promise_of of;
    double smoothing;
    enum softmax_form form;
    size_t classes;
    bool own; /* classes have gammas, or weights, of their own */
    size_t bins;
    size_t numbers;
    size_t unbounded; /* so many of the numbers; those behind them are in [0, 1] */
    struct climber outputs[OUTPUTS];
};

struct kind {
    const char *name;
    const char *outputs[OUTPUTS]; /* NULL: there is none */
    size_t points;                /* of a call */
    double worth;                 /* the part of the promise that a line of the file has at least */
    void (*draw)(const struct slope *slope, struct random *r, double *numbers);
    /* Computes the results of the points, and gives each error to climb_keep; false if a call has
     * failed. */
    bool (*measure)(struct slope *slope, size_t n, double (*points)[NUMBERS_MAX]);
};

/* What Hessians and factors can be. */
#define CLIMB_MODES 3
struct climb_mode {
    fghm_hessian_mode mode;
    const char *name;
    bool detached;
};
extern const struct climb_mode climb_modes[CLIMB_MODES];

/* A slope more, whose name is that of its settings. */
void climb_add(const struct slope *slope, const char *name, ...)
    __attribute__((format(printf, 2, 3)));

/* An error, and what is promised. */
void climb_keep(struct slope *slope, int output, double error, double promise,
                const double *numbers);

/* Whether results of this size are neither subnormal nor too large for the type. */
bool climb_is_normal(const struct slope *slope, mpfr_srcptr scale);

/* The handle with the settings; NULL if there is none. */
fghm_focal *climb_handle(const struct slope *slope);

/* Numbers of a softmax row, of any class count: class c has this one of them; classes behind the
 * first have those of others. */
#define ROW_NUMBERS 8
size_t climb_row_numbers(size_t classes);
size_t climb_row_number(size_t classes, size_t c);
/* How many classes have each of them. */
void climb_row_counts(size_t classes, size_t counts[ROW_NUMBERS]);
void climb_draw_row(const struct slope *slope, struct random *r, double *logits);

void climb_list_elements(void);
void climb_list_softmax(void);
void climb_list_calibration(void);
void climb_list_constants(void);
void climb_list_density(void);

#endif
