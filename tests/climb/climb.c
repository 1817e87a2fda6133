/* SPDX-License-Identifier: MIT */
/* Looks for the points with the largest errors, and holds them against what the headers promise.
 *
 * Sampling finds errors that are frequent.  This climbs: from the worst points that are known it
 * goes on to their neighbours, near and far, for every rule, activation, type, gamma, alpha and
 * output; for rows of softmax, calibrated probabilities, best constants and exact densities.  What
 * it has found is kept in a file, a line each, and looked at again by the quick suite.
 *
 *     climb check FILE                 the points of the file once more
 *     climb seek FILE CALLS [NAME]     from those of the file, so many calls for each line whose
 *                                      name has NAME in it
 *     climb write FILE CALLS [NAME]    the same, and writes the file anew
 *
 * It counts calls, not seconds: what it finds is the same on every machine with fused multiply-add.
 *
 * The exit status is 1 if an error is larger than what is promised. */
#include "climb.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define MOST_SLOPES 4096
#define MOST_POINTS 256
static struct slope slopes[MOST_SLOPES];
static size_t slope_count;

const struct climb_mode climb_modes[CLIMB_MODES] = {
    {FGHM_HESSIAN_EXACT, "exact", false},
    {FGHM_HESSIAN_GAUSS_NEWTON, "gauss_newton", false},
    {FGHM_HESSIAN_EXACT, "detached", true},
};

void climb_add(const struct slope *slope, const char *name, ...) {
    struct slope *const to = &slopes[slope_count++];
    va_list arguments;
    if (slope_count > MOST_SLOPES) {
        abort();
    }
    *to = *slope;
    va_start(arguments, name);
    vsnprintf(to->name, sizeof to->name, name, arguments);
    va_end(arguments);
}

fghm_focal *climb_handle(const struct slope *slope) {
    fghm_focal *focal;
    if (fghm_focal_create(&focal) != FGHM_OK) {
        return NULL;
    }
    fghm_status status = fghm_focal_set_rule(focal, slope->of.loss.rule);
    status |= fghm_focal_set_gamma(focal, slope->of.loss.gamma);
    if (slope->of.loss.gamma != slope->of.loss.negative_gamma) {
        status |= fghm_focal_set_negative_gamma(focal, slope->of.loss.negative_gamma);
    }
    status |= slope->of.loss.alpha == WIDE_ALPHA_OFF
                  ? fghm_focal_clear_alpha(focal)
                  : fghm_focal_set_alpha(focal, slope->of.loss.alpha);
    status |= fghm_focal_set_hessian_mode(focal, slope->of.loss.mode);
    status |= fghm_focal_set_detached(focal, slope->of.loss.detached);
    status |= fghm_focal_set_beta(focal, slope->of.loss.beta);
    status |= fghm_focal_set_margin(focal, slope->of.loss.margin);
    status |= fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM);
    if (status != FGHM_OK) {
        fghm_focal_destroy(focal);
        return NULL;
    }
    return focal;
}

bool climb_is_normal(const struct slope *slope, mpfr_srcptr scale) {
    return mpfr_cmp_d(scale, 0x1p8 * slope->d->min_normal) >= 0 &&
           mpfr_cmp_d(scale, slope->d->format->max) <= 0;
}

/* Rows ----------------------------------------------------------------------------- */

size_t climb_row_numbers(size_t classes) {
    return classes < ROW_NUMBERS ? classes : ROW_NUMBERS;
}

size_t climb_row_number(size_t classes, size_t c) {
    return classes < ROW_NUMBERS || c < 2 ? c : 2 + (c - 2) % (ROW_NUMBERS - 2);
}

void climb_row_counts(size_t classes, size_t counts[ROW_NUMBERS]) {
    memset(counts, 0, ROW_NUMBERS * sizeof *counts);
    for (size_t c = 0; c < classes; c++) {
        counts[climb_row_number(classes, c)]++;
    }
}

void climb_draw_row(const struct slope *slope, struct random *r, double *logits) {
    static const double widths[] = {0.0, 1e-3, 1.0, 8.0};
    const double width = widths[random_below(r, SUITE_COUNT(widths))];
    const double shift = random_below(r, 2) == 0 ? 0.0 : 8.0 * random_normal(r);
    const size_t n = climb_row_numbers(slope->classes);
    for (size_t k = 0; k < n; k++) {
        logits[k] = shift + width * random_normal(r);
    }
    /* One class apart, most often that of the label or the one behind it. */
    if (random_below(r, 2) == 0) {
        const double far =
            exp2(random_uniform(r, 0.0, slope->d->size == sizeof(float) ? 6.4 : 7.4));
        const size_t at = random_below(r, random_below(r, 3) > 0 && n > 2 ? 2 : n);
        logits[at] = shift + (random_below(r, 2) == 0   ? random_uniform(r, -10.0, 40.0)
                              : random_below(r, 3) == 0 ? -far
                                                        : far);
    }
}

/* Points --------------------------------------------------------------------------- */

/* A number some places away, or far. */
static double neighbour(const struct dtype *d, struct random *r, double x) {
    const double unit = fabs(d->next(x, (double)INFINITY) - x);
    const double places = exp2(random_uniform(r, 0.0, d->size == sizeof(float) ? 22.0 : 50.0));
    return dtype_round(d, x + (random_bits(r) & 1 ? unit : -unit) * floor(places));
}

static double in_unit(double x) {
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

/* Moves one number, or any of them; targets that are hard stay hard. */
static void move(const struct slope *slope, struct random *r, double *numbers) {
    const size_t alone = random_below(r, 2 * slope->numbers);
    for (size_t k = 0; k < slope->numbers; k++) {
        const bool hard = k >= slope->unbounded && (numbers[k] == 0.0 || numbers[k] == 1.0);
        const bool moves = alone < slope->numbers ? k == alone : random_bits(r) & 1;
        if (moves && !hard) {
            numbers[k] = neighbour(slope->d, r, numbers[k]);
        }
    }
}

static int output_count(const struct slope *slope) {
    int count = 0;
    while (count < OUTPUTS && slope->kind->outputs[count] != NULL) {
        count++;
    }
    return count;
}

static void next_point(const struct slope *slope, struct random *r, double *numbers) {
    const size_t outputs = (size_t)output_count(slope);
    const struct climber *const climber = &slope->outputs[random_below(r, outputs)];
    const size_t from = random_below(r, KEPT);
    if (climber->error[from] > 0.0 && random_below(r, 4) > 0) {
        memcpy(numbers, climber->numbers[from], sizeof climber->numbers[from]);
        move(slope, r, numbers);
    } else {
        memset(numbers, 0, NUMBERS_MAX * sizeof *numbers);
        slope->kind->draw(slope, r, numbers);
    }
    for (size_t k = 0; k < slope->numbers; k++) {
        numbers[k] = dtype_round(slope->d, numbers[k]);
        numbers[k] = k < slope->unbounded ? numbers[k] : in_unit(numbers[k]);
    }
}

void climb_keep(struct slope *slope, int output, double error, double promise,
                const double *numbers) {
    struct climber *const climber = &slope->outputs[output];
    const double part = error / promise;
    size_t at = KEPT;
    for (size_t k = 0; k < KEPT; k++) {
        if (memcmp(climber->numbers[k], numbers, sizeof climber->numbers[k]) == 0) {
            return;
        }
    }
    while (at > 0 && part > climber->error[at - 1]) {
        at--;
    }
    for (size_t k = KEPT; k-- > at + 1;) {
        climber->error[k] = climber->error[k - 1];
        climber->promise[k] = climber->promise[k - 1];
        memcpy(climber->numbers[k], climber->numbers[k - 1], sizeof climber->numbers[k]);
    }
    if (at < KEPT) {
        climber->error[at] = part;
        climber->promise[at] = promise;
        memcpy(climber->numbers[at], numbers, sizeof climber->numbers[at]);
    }
}

/* The file -------------------------------------------------------------------------- */

/* "NAME OUTPUT NUMBER ..." of this slope.  Returns 0 if it is of another one, -1 if it is wrong. */
static int read_line_of(struct slope *slope, const char *line) {
    double points[1][NUMBERS_MAX] = {{0}};
    const size_t length = strlen(slope->name);
    char output[20];
    int used = 0;
    if (strncmp(line, slope->name, length) != 0 ||
        sscanf(line + length, " %19s%n", output, &used) != 1) {
        return 0;
    }
    const char *at = line + length + used;
    for (int o = 0; o < output_count(slope); o++) {
        if (strcmp(slope->kind->outputs[o], output) == 0) {
            for (size_t k = 0; k < slope->numbers; k++) {
                char *end;
                points[0][k] = strtod(at, &end);
                if (end == at) {
                    return -1;
                }
                at = end;
            }
            return slope->kind->measure(slope, 1, points) ? 1 : -1;
        }
    }
    return 0;
}

/* Lines are in the order of the slopes, or nearly so. */
static bool read_line(const char *line) {
    static size_t near;
    for (size_t k = 0; k < slope_count; k++) {
        const size_t at = (near + k) % slope_count;
        const int found = read_line_of(&slopes[at], line);
        if (found != 0) {
            near = at;
            return found > 0;
        }
    }
    return false;
}

static bool read_file(const char *path) {
    FILE *const file = fopen(path, "r");
    char line[1024];
    bool good = file != NULL;
    while (good && fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#' && !read_line(line)) {
            fprintf(stderr, "climb: not understood: %s", line);
            good = false;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

static bool write_file(const char *path) {
    FILE *const file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    fprintf(file, "# SPDX-License-Identifier: MIT\n"
                  "# Points with large errors, found by climbing (climb.c): the settings, as the "
                  "files of that folder\n"
                  "# list them, the output, and the numbers, e.g. logit and target\n");
    for (size_t k = 0; k < slope_count; k++) {
        const struct slope *const slope = &slopes[k];
        for (int o = 0; o < output_count(slope); o++) {
            if (slope->outputs[o].error[0] > slope->kind->worth) {
                fprintf(file, "%s %s", slope->name, slope->kind->outputs[o]);
                for (size_t i = 0; i < slope->numbers; i++) {
                    fprintf(file, " %a", slope->outputs[o].numbers[0][i]);
                }
                fprintf(file, "\n");
            }
        }
    }
    return fclose(file) == 0;
}

/* ------------------------------------------------------------------------------------ */

static bool climb(struct slope *slope, struct random *r, long calls) {
    static double points[MOST_POINTS][NUMBERS_MAX];
    bool good = true;
    for (long call = 0; good && call < calls; call++) {
        for (size_t i = 0; i < slope->kind->points; i++) {
            next_point(slope, r, points[i]);
        }
        good = slope->kind->measure(slope, slope->kind->points, points);
    }
    return good;
}

/* What has been found; false if it is more than the promise. */
static bool report(const struct slope *slope) {
    bool good = true;
    printf("%-52s", slope->name);
    for (int o = 0; o < output_count(slope); o++) {
        const struct climber *const c = &slope->outputs[o];
        printf("  %s %.2f of %.3g%s", slope->kind->outputs[o], c->error[0] * c->promise[0],
               c->promise[0], c->error[0] > 1.0 ? " TOO MUCH" : "");
        good = good && c->error[0] <= 1.0;
    }
    printf("\n");
    return good;
}

/* The largest of each kind, as a part of the promise; those of a kind are in one piece. */
static void sum_up(const char *part) {
    const struct slope *worst = NULL;
    double most[OUTPUTS] = {0.0};
    for (size_t k = 0; k < slope_count; k++) {
        const struct slope *const slope = &slopes[k];
        for (int o = 0; o < output_count(slope) && strstr(slope->name, part) != NULL; o++) {
            const double error = slope->outputs[o].error[0];
            worst = worst == NULL || error > fmax(most[0], fmax(most[1], most[2])) ? slope : worst;
            most[o] = fmax(most[o], error);
        }
        if (worst != NULL && (k + 1 == slope_count || slopes[k + 1].kind != slope->kind)) {
            printf("%s: of the promise", slope->kind->name);
            for (int o = 0; o < output_count(slope); o++) {
                printf(" %s %.2f", slope->kind->outputs[o], most[o]);
                most[o] = 0.0;
            }
            printf(": %s\n", worst->name);
            worst = NULL;
        }
    }
}

int main(int count, char **arguments) {
    const char *const what = count > 2 ? arguments[1] : "";
    const bool checks = strcmp(what, "check") == 0 && count == 3;
    const bool writes = strcmp(what, "write") == 0 && (count == 4 || count == 5);
    const char *const part = count == 5 ? arguments[4] : "";
    if (!checks && !writes && !(strcmp(what, "seek") == 0 && (count == 4 || count == 5))) {
        fprintf(stderr, "usage: climb check FILE | climb seek|write FILE CALLS [NAME]\n");
        return 2;
    }
    const int isa = suite_check_isa();
    if (isa != 0) {
        return isa;
    }
    climb_list_elements();
    climb_list_softmax();
    climb_list_calibration();
    climb_list_constants();
    climb_list_density();
    bool good = read_file(arguments[2]) || writes;
    struct random r = random_for(1);
    printf("climb: %s\n", fghm_isa_name());
    for (size_t k = 0; k < slope_count; k++) {
        const bool wanted = strstr(slopes[k].name, part) != NULL;
        if (!checks && wanted && !climb(&slopes[k], &r, atol(arguments[3]))) {
            fprintf(stderr, "climb: a call has failed: %s\n", slopes[k].name);
            return 1;
        }
        good = (!wanted || report(&slopes[k])) && good;
    }
    sum_up(part);
    if (writes && !write_file(arguments[2])) {
        perror(arguments[2]);
        return 1;
    }
    return good ? 0 : 1;
}
