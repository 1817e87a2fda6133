/* SPDX-License-Identifier: MIT */

/* bench_kernels: the speed of every kernel of every instruction set that this
 * processor can run, on one thread, from small sizes to ones that fit in no cache.
 * Each is timed in turn with a loop that only moves the same bytes.  --help tells
 * the options. */

#include <float.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bins.h"
#include "dispatch.h"
#include "focalghm/focalghm.h"
#include "inputs.h"
#include "stream.h"
#include "timing.h"

static const size_t sizes[] = {
    16, 256, 4096, 32768, (size_t)1 << 21, (size_t)1 << 24, (size_t)1 << 26,
};

#define SIZES (sizeof sizes / sizeof sizes[0])

/* Kernels --------------------------------------------------------------------- */

/* Room for 100 bins, the one for elements in no bin, and the 16 entries that
 * kernels load whole. */
#define BIN_WEIGHTS 128

/* The bins of one number of bins, in both types. */
struct binning {
    struct fghm_bin_tables tables;
    float weights_f32[BIN_WEIGHTS];
    double weights_f64[BIN_WEIGHTS];
};

enum binning_index { BINS_10, BINS_100, BINNINGS };

static struct binning binnings[BINNINGS];

/* What is timed: a kernel of a row on the first n elements of the inputs. */
struct point {
    const struct fghm_row *row;
    const struct fghm_kernels *functions;
    const struct kernel *kernel;
    const struct inputs *in;
    size_t n;
};

struct kernel {
    const char *name;
    void (*run)(const struct point *point);
    size_t outputs; /* arrays written: none, the gradient, or that and the Hessian */
    int gamma_index;
    double gamma;
    enum binning_index binning;
};

static struct fghm_span span_of(const struct point *point) {
    const size_t outputs = point->kernel->outputs;
    return (struct fghm_span){
        .n = point->n,
        .logits = point->in->logits,
        .targets = point->in->targets,
        .gradient = outputs >= 1 ? point->in->gradient : NULL,
        .hessian = outputs >= 2 ? point->in->hessian : NULL,
    };
}

static void run_focal(const struct point *point) {
    const struct fghm_span span = span_of(point);
    const struct fghm_focal_constants constants = {.gamma = point->kernel->gamma,
                                                   .positive = 0.25,
                                                   .negative = 0.75,
                                                   .hessian_floor = -DBL_MAX,
                                                   .hessian_factor = 1};
    int bad_target = 0;
    struct fghm_sum sum = {0};
    point->functions->focal[point->kernel->gamma_index](&constants, 1 / (double)point->n, &span,
                                                        &sum, &bad_target);
}

static const struct fghm_bins *bins_of(const struct point *point) {
    const struct fghm_bin_tables *const tables = &binnings[point->kernel->binning].tables;
    return point->in->real_size == sizeof(float) ? &tables->f32 : &tables->f64;
}

static void run_count(const struct point *point) {
    const struct fghm_span span = span_of(point);
    const struct fghm_bins *const bins = bins_of(point);
    uint64_t counts[BIN_WEIGHTS];
    uint64_t valid = 0;
    int bad_target = 0;
    memset(counts, 0, bins->bins * sizeof counts[0]);
    point->functions->ghm_count(bins, &span, counts, &valid, &bad_target);
}

static void run_apply(const struct point *point) {
    const struct fghm_span span = span_of(point);
    const struct binning *const binning = &binnings[point->kernel->binning];
    const void *const weights = point->in->real_size == sizeof(float)
                                    ? (const void *)binning->weights_f32
                                    : (const void *)binning->weights_f64;
    int bad = 0;
    struct fghm_sum sum = {0};
    point->functions->ghm_apply(bins_of(point), weights, 1 / (double)point->n, &span, &sum, &bad);
}

#define FOCAL(name, index, gamma)                                                                  \
    {"focal_" name "_loss", run_focal, 0, index, gamma, 0},                                        \
        {"focal_" name "_gradient", run_focal, 1, index, gamma, 0}, {                              \
        "focal_" name "_hessian", run_focal, 2, index, gamma, 0                                    \
    }

static const struct kernel kernels[] = {
    FOCAL("0", FGHM_GAMMA_0, 0),
    FOCAL("half", FGHM_GAMMA_HALF, 0.5),
    FOCAL("1", FGHM_GAMMA_1, 1),
    FOCAL("2", FGHM_GAMMA_2, 2),
    FOCAL("any", FGHM_GAMMA_ANY, 1.7),
    {"ghm_count_10", run_count, 0, 0, 0, BINS_10},
    {"ghm_count_100", run_count, 0, 0, 0, BINS_100},
    {"ghm_apply_10", run_apply, 1, 0, 0, BINS_10},
    {"ghm_apply_100", run_apply, 1, 0, 0, BINS_100},
};

#define KERNELS (sizeof kernels / sizeof kernels[0])

static void make_binning(struct binning *binning, size_t bins) {
    if (fghm_bin_tables_make(&binning->tables, bins, NULL, 0) != 0) {
        fprintf(stderr, "Not enough memory\n");
        exit(EXIT_FAILURE);
    }
    for (size_t bin = 0; bin < bins; bin++) {
        binning->weights_f64[bin] = (double)(bin + 1) / (double)bins;
        binning->weights_f32[bin] = (float)binning->weights_f64[bin];
    }
}

static void run_kernel(const void *context) {
    const struct point *const point = context;
    point->kernel->run(point);
}

static void run_stream(const void *context) {
    const struct point *const point = context;
    const struct inputs *const in = point->in;
    const bool single = in->real_size == sizeof(float);
    if (point->kernel->outputs == 0 && single) {
        (void)stream_read_f32(point->n, in->logits, in->targets);
    } else if (point->kernel->outputs == 0) {
        (void)stream_read_f64(point->n, in->logits, in->targets);
    } else if (point->kernel->outputs == 1 && single) {
        stream_add_f32(point->n, in->logits, in->targets, in->gradient);
    } else if (point->kernel->outputs == 1) {
        stream_add_f64(point->n, in->logits, in->targets, in->gradient);
    } else if (single) {
        stream_add_subtract_f32(point->n, in->logits, in->targets, in->gradient, in->hessian);
    } else {
        stream_add_subtract_f64(point->n, in->logits, in->targets, in->gradient, in->hessian);
    }
}

/* Options --------------------------------------------------------------------- */

struct options {
    const char *row;
    const char *kernel;
    const char *type;
    size_t min_size;
    size_t max_size;
    double seconds;
    const char *json;
};

static void print_help(void) {
    printf("bench_kernels [OPTION...]: the speed of the kernels, on one thread\n\n"
           "  --row NAME       only this instruction set\n"
           "  --kernel PART    only kernels with this in their name\n"
           "  --type f32|f64   only this type\n"
           "  --min-size N     no size below this number of elements\n"
           "  --max-size N     no size above it (default 16777216)\n"
           "  --seconds S      time for each point (default 0.05)\n"
           "  --json FILE      also write the results into this file\n"
           "  --help           print this\n\n"
           "Columns: ns/element; GB/s, what the pass reads and writes; of stream, the time of\n"
           "a loop that only moves the same bytes, divided by the kernel's.\n\nsizes:");
    for (size_t i = 0; i < SIZES; i++) {
        printf(" %zu", sizes[i]);
    }
    printf("\nrows:");
    for (size_t i = 0; i < fghm_row_count; i++) {
        printf(" %s%s", fghm_rows[i].name, fghm_rows[i].usable() ? "" : " (not on this processor)");
    }
    printf("\nkernels:\n");
    for (size_t i = 0; i < KERNELS; i++) {
        printf("  %s\n", kernels[i].name);
    }
}

static _Noreturn void fail_usage(const char *what, const char *value) {
    fprintf(stderr, "bench_kernels: %s: %s (--help tells more)\n", what, value);
    exit(2);
}

static size_t parse_size(const char *text) {
    char *end = NULL;
    errno = 0;
    const unsigned long long size = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || size > SIZE_MAX) {
        fail_usage("not a number of elements", text);
    }
    return (size_t)size;
}

static double parse_seconds(const char *text) {
    char *end = NULL;
    const double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0) || isinf(seconds)) {
        fail_usage("not a time", text);
    }
    return seconds;
}

static struct options parse_options(int argc, char **argv) {
    static const struct option names[] = {
        {"row", required_argument, NULL, 'r'},
        {"kernel", required_argument, NULL, 'k'},
        {"type", required_argument, NULL, 't'},
        {"min-size", required_argument, NULL, 'm'},
        {"max-size", required_argument, NULL, 'M'},
        {"seconds", required_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.max_size = (size_t)1 << 24, .seconds = 0.05};
    int letter;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (letter) {
        case 'r':
            options.row = optarg;
            break;
        case 'k':
            options.kernel = optarg;
            break;
        case 't':
            options.type = optarg;
            break;
        case 'm':
            options.min_size = parse_size(optarg);
            break;
        case 'M':
            options.max_size = parse_size(optarg);
            break;
        case 's':
            options.seconds = parse_seconds(optarg);
            break;
        case 'j':
            options.json = optarg;
            break;
        case 'h':
            print_help();
            exit(EXIT_SUCCESS);
        default:
            exit(2); /* getopt_long has said why */
        }
    }
    if (optind < argc) {
        fail_usage("not an option", argv[optind]);
    }
    return options;
}

static bool wants_row(const struct options *options, const struct fghm_row *row) {
    return row->usable() && (options->row == NULL || strcmp(row->name, options->row) == 0);
}

static bool wants_kernel(const struct options *options, const struct kernel *kernel) {
    return options->kernel == NULL || strstr(kernel->name, options->kernel) != NULL;
}

static bool wants_type(const struct options *options, const char *type) {
    return options->type == NULL || strcmp(type, options->type) == 0;
}

static bool wants_size(const struct options *options, size_t size) {
    return size >= options->min_size && size <= options->max_size;
}

/* Results --------------------------------------------------------------------- */

/* "AMD EPYC 9B45", or the like, where Linux tells. */
static const char *cpu_model(void) {
    static char line[256];
    FILE *const file = fopen("/proc/cpuinfo", "r");
    const char *model = NULL;
    while (file != NULL && model == NULL && fgets(line, sizeof line, file) != NULL) {
        const char *const colon = strstr(line, ": ");
        if (strncmp(line, "model name", strlen("model name")) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            model = colon + 2;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return model != NULL ? model : "unknown";
}

static const char *compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

/* Times the point, prints its line, and adds it to `results`, if not NULL. */
static void measure(const struct point *point, const char *type, double seconds, json_t *results) {
    static struct contender contenders[2];
    contenders[0] = (struct contender){.run = run_kernel, .context = point};
    contenders[1] = (struct contender){.run = run_stream, .context = point};
    const size_t rounds = time_in_turns(contenders, 2, seconds);
    const double elements = (double)point->n;
    const double bytes = (double)(2 + point->kernel->outputs) * (double)point->in->real_size;
    const double nanoseconds = contenders[0].seconds * 1e9 / elements;
    const double of_stream = median_quotient(&contenders[1], &contenders[0], rounds);
    printf("%-7s %s  %-20s %9zu %11.4f %8.2f %10.3f\n", point->row->name, type, point->kernel->name,
           point->n, nanoseconds, bytes / nanoseconds, of_stream);
    fflush(stdout);
    if (results != NULL) {
        json_array_append_new(
            results, json_pack("{ss ss ss sI sf sf sf sI}", "row", point->row->name, "type", type,
                               "kernel", point->kernel->name, "elements", (json_int_t)point->n,
                               "ns_per_element", nanoseconds, "gb_per_second", bytes / nanoseconds,
                               "of_stream", of_stream, "samples", (json_int_t)rounds));
    }
}

/* Measures the wanted points of a row; returns how many there are. */
static size_t measure_row(const struct options *options, const struct fghm_row *row,
                          const char *type, const struct inputs *in, json_t *results) {
    size_t count = 0;
    for (size_t i = 0; i < KERNELS; i++) {
        if (!wants_kernel(options, &kernels[i])) {
            continue;
        }
        fprintf(stderr, "%s %s, kernel %zu of %zu\n", row->name, type, i + 1, KERNELS);
        for (size_t size = 0; size < SIZES; size++) {
            if (wants_size(options, sizes[size])) {
                const struct fghm_kernels *const functions =
                    in->real_size == sizeof(float) ? row->f32 : row->f64;
                const struct point point = {row, functions, &kernels[i], in, sizes[size]};
                measure(&point, type, options->seconds, results);
                count++;
            }
        }
    }
    return count;
}

static size_t largest_size(const struct options *options) {
    size_t largest = 0;
    for (size_t i = 0; i < SIZES; i++) {
        if (wants_size(options, sizes[i])) {
            largest = sizes[i];
        }
    }
    return largest;
}

static size_t measure_type(const struct options *options, const char *type, size_t real_size,
                           json_t *results) {
    size_t count = 0;
    struct inputs in = inputs_make(largest_size(options), real_size);
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (wants_row(options, &fghm_rows[i])) {
            count += measure_row(options, &fghm_rows[i], type, &in, results);
        }
    }
    inputs_free(&in);
    return count;
}

/* Opened before the measurements, so that these are not lost to a wrong path. */
static FILE *open_json(const char *path) {
    FILE *const file = fopen(path, "w");
    if (file == NULL) {
        fail_usage("cannot be written", path);
    }
    return file;
}

static void write_json(FILE *file, json_t *results) {
    json_t *const root = json_pack("{ss ss ss sO}", "library", fghm_version(), "compiler",
                                   compiler(), "cpu", cpu_model(), "results", results);
    const bool written = root != NULL && json_dumpf(root, file, JSON_INDENT(1)) == 0;
    json_decref(root);
    if (fclose(file) != 0 || !written) {
        fprintf(stderr, "The results could not be written as JSON\n");
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv) {
    const struct options options = parse_options(argc, argv);
    make_binning(&binnings[BINS_10], 10);
    make_binning(&binnings[BINS_100], 100);
    FILE *const json = options.json != NULL ? open_json(options.json) : NULL;
    json_t *const results = json != NULL ? json_array() : NULL;

    printf("libfocalghm %s, %s, %s\n\n", fghm_version(), compiler(), cpu_model());
    printf("%-7s %s %-20s %9s %11s %8s %10s\n", "row", "type", "kernel", "elements", "ns/element",
           "GB/s", "of stream");
    size_t count = 0;
    if (wants_type(&options, "f32")) {
        count += measure_type(&options, "f32", sizeof(float), results);
    }
    if (wants_type(&options, "f64")) {
        count += measure_type(&options, "f64", sizeof(double), results);
    }
    if (count == 0) {
        fprintf(stderr, "Nothing to measure: no such row, kernel, type or size here\n");
        exit(2);
    }
    if (json != NULL) {
        write_json(json, results);
    }
    json_decref(results);
    for (size_t i = 0; i < BINNINGS; i++) {
        fghm_bin_tables_free(&binnings[i].tables);
    }
    return 0;
}
