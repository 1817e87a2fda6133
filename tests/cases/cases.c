/* SPDX-License-Identifier: MIT */
#include "cases/cases.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cases/check.h"
#include "cases/reader.h"
#include "support/random.h"
#include "support/strided.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char explanation[] =
    "# SPDX-License-Identifier: MIT\n"
    "#\n"
    "# Cases that C and the bindings have in common: each of them runs these lines and writes "
    "them\n"
    "# again, with what it has found behind each \"=\" and after each line that is an error.  The\n"
    "# two texts are equal.  Results have been compared with a wide model (tests/cases/check.c)\n"
    "# when they were written, by\n"
    "#\n"
    "#     build/tests/test_cases --write tests/bindings/cases.txt\n"
    "#\n"
    "# case NAME                        all is forgotten but the history that restore brings back\n"
    "# focal, ghm KIND                  a new handle\n"
    "# set NAME VALUE, clear NAME       a setting; edges VALUE... those of GHM\n"
    "# in ARRAY DTYPE LAYOUT BITS...    memory that is read: as many numbers as it has\n"
    "# out ARRAY DTYPE LAYOUT COUNT     memory that is written, with so many zeros\n"
    "# shape EXTENT...                  and other words of fghm_batch, with their values\n"
    "# call WHAT [CLASSES IGNORE]       over contiguous arrays, or, ending in \"batch\", a batch\n"
    "# counts NUMBER...                 what counts are added to; update\n"
    "# best_constant POSITIVES NEGATIVES\n"
    "# clone, reset, load STATE, restore STATE (into a new handle)\n"
    "# = ARRAY BITS...                  all its memory; number: of a plain call; result: of a "
    "batch;\n"
    "#                                  counts, averages, bin_weights, state: of GHM\n"
    "# error STATUS FIELD               of the line before; \"-\" where the call does not say\n"
    "# error STATUS FIELD OTHER_FIELD PLACE OFFENDER      of a batch\n"
    "#\n"
    "# LAYOUT is contiguous, per_sample, or FIRST,STRIDE,...: the number of the memory that has\n"
    "# index 0, and a stride for each axis: a part of a box, its axes in any order, for languages\n"
    "# whose views are such.  Real numbers are their bits, hexadecimal, the numbers of an array\n"
    "# in as many digits as they have; integers elsewhere, and constants, are decimal.\n";

struct writer {
    struct cases_reader reader;
    struct check check;
    struct random random;
    char *text;
};

/* Runs and writes one line. */
static void run(struct writer *w, const char *line) {
    cases_line(&w->reader, line, w->text, CASES_TEXT_MAX);
    if (line[0] != '=' && w->reader.status == FGHM_OK) {
        const unsigned long before = w->check.failures;
        check_line(&w->check, &w->reader, line);
        if (w->check.failures != before) {
            printf("in: %s\n", line);
        }
    }
}

static void say(struct writer *w, const char *format, ...) {
    char line[CASES_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    run(w, line);
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void set_real(struct writer *w, const char *name, double value) {
    say(w, "set %s %016" PRIx64, name, bits_of(value));
}

static void reals(struct writer *w, const char *name, size_t count, const double *values) {
    char line[CASES_LINE_MAX];
    size_t length = (size_t)snprintf(line, sizeof line, "%s", name);
    for (size_t k = 0; k < count; k++) {
        length += (size_t)snprintf(line + length, sizeof line - length, " %016" PRIx64,
                                   bits_of(values[k]));
    }
    run(w, line);
}

/* Arrays ------------------------------------------------------------------------ */

static const char *const dtype_names[] = {
    [FGHM_F32] = "f32", [FGHM_F64] = "f64", [FGHM_F16] = "f16", [FGHM_BF16] = "bf16",
    [FGHM_U8] = "u8",   [FGHM_I32] = "i32", [FGHM_I64] = "i64"};

/* What an array is drawn from. */
enum source { LOGIT, SOFT, HARD, CHANCE, FACTOR, MASK, LABEL, DIFFERENCE };

static double draw(struct random *r, enum source source, double most) {
    static const double factors[] = {0.5, 1.0, 2.0, 0.25, -1.5, 3.0};
    switch (source) {
    case LOGIT:
        return random_below(r, 8) == 0 ? random_uniform(r, -60.0, 60.0) : 3.0 * random_normal(r);
    case SOFT:
        return random_below(r, 4) == 0 ? (double)random_below(r, 2) : random_uniform(r, 0.0, 1.0);
    case HARD:
        return (double)random_below(r, 2);
    case CHANCE:
        return random_uniform(r, 0.001, 0.999);
    case FACTOR:
        return factors[random_below(r, COUNT(factors))];
    case MASK:
        return random_below(r, 4) == 0 ? 0.0 : 1.0;
    case LABEL:
        return (double)random_below(r, (size_t)most);
    default:
        return random_log_uniform(r, 0.001, 10.0);
    }
}

static void in(struct writer *w, const char *name, fghm_dtype dtype, const char *layout,
               size_t count, const double *values) {
    char line[CASES_LINE_MAX];
    size_t length =
        (size_t)snprintf(line, sizeof line, "in %s %s %s", name, dtype_names[dtype], layout);
    for (size_t k = 0; k < count; k++) {
        union {
            unsigned char bytes[8];
            uint8_t u8;
            uint16_t u16;
            uint32_t u32;
            uint64_t u64;
        } number;
        strided_save(dtype, number.bytes, values[k]);
        const size_t size = cases_size(dtype);
        const uint64_t bits = size == 1   ? number.u8
                              : size == 2 ? number.u16
                              : size == 4 ? number.u32
                                          : number.u64;
        length += (size_t)snprintf(line + length, sizeof line - length, " %0*" PRIx64,
                                   2 * (int)size, bits);
    }
    run(w, line);
}

static void in_drawn(struct writer *w, const char *name, fghm_dtype dtype, const char *layout,
                     size_t count, enum source source, double most) {
    double values[CASES_NUMBERS_MAX];
    for (size_t k = 0; k < count; k++) {
        values[k] = draw(&w->random, source, most);
    }
    in(w, name, dtype, layout, count, values);
}

static void out(struct writer *w, const char *name, fghm_dtype dtype, const char *layout,
                size_t count) {
    say(w, "out %s %s %s %zu", name, dtype_names[dtype], layout, count);
}

static const char *const outputs[] = {"element_loss", "gradient", "hessian"};

/* A call over n elements with all outputs. */
static void call_elements(struct writer *w, fghm_dtype dtype, size_t n, const char *what) {
    for (size_t k = 0; k < COUNT(outputs); k++) {
        out(w, outputs[k], dtype, "contiguous", n);
    }
    say(w, "call %s", what);
    for (size_t k = 0; k < COUNT(outputs); k++) {
        say(w, "= %s", outputs[k]);
    }
    say(w, "= number");
}

/* Focal loss -------------------------------------------------------------------- */

static void write_elements(struct writer *w, fghm_dtype dtype) {
    enum { N = 9 };
    static const struct {
        const char *name;
        fghm_focal_rule rule;
        double gamma, negative_gamma, alpha; /* below 0: as it is in a new handle, off */
        enum source targets;
        bool weights;
    } rows[] = {
        {"new", FGHM_FOCAL_RULE_LINEAR, -1.0, -1.0, -1.0, HARD, false},
        {"linear", FGHM_FOCAL_RULE_LINEAR, 1.5, -1.0, -2.0, SOFT, true},
        {"entropy", FGHM_FOCAL_RULE_LINEAR, 0.0, -1.0, -2.0, SOFT, false},
        {"any_gamma", FGHM_FOCAL_RULE_LINEAR, 1.7, -1.0, 0.625, SOFT, false},
        {"split", FGHM_FOCAL_RULE_SPLIT, 3.0, -1.0, 0.75, SOFT, true},
        {"two_gammas", FGHM_FOCAL_RULE_LINEAR, 1.0, 4.0, -2.0, SOFT, false},
        {"quality", FGHM_FOCAL_RULE_QUALITY, 2.0, -1.0, -2.0, SOFT, true},
        {"star", FGHM_FOCAL_RULE_STAR, 2.0, -1.0, -1.0, HARD, false},
    };
    for (size_t k = 0; k < COUNT(rows); k++) {
        say(w, "case focal_%s_%s", rows[k].name, dtype_names[dtype]);
        say(w, "focal");
        say(w, "set rule %d", (int)rows[k].rule);
        say(w, "set hessian_mode %d", (int)(k % 4));
        if (rows[k].gamma >= 0.0) {
            set_real(w, "gamma", rows[k].gamma);
        }
        if (rows[k].negative_gamma >= 0.0) {
            set_real(w, "negative_gamma", rows[k].negative_gamma);
        }
        if (rows[k].alpha >= 0.0) {
            set_real(w, "alpha", rows[k].alpha);
        } else if (rows[k].alpha == -2.0) {
            say(w, "clear alpha");
        }
        in_drawn(w, "logits", dtype, "contiguous", N, LOGIT, 0);
        in_drawn(w, "targets", dtype, "contiguous", N, rows[k].targets, 0);
        if (rows[k].weights) {
            in_drawn(w, "weights", dtype, "contiguous", N, FACTOR, 0);
            set_real(w, "loss_weight", 0.75);
        }
        call_elements(w, dtype, N, "elements");
    }
}

static void write_softmax(struct writer *w, fghm_dtype dtype) {
    enum { SAMPLES = 4, CLASSES = 3 };
    const double labels[SAMPLES] = {2.0, 0.0, -100.0, 1.0};
    say(w, "case focal_softmax_%s", dtype_names[dtype]);
    say(w, "focal");
    in_drawn(w, "logits", dtype, "contiguous", SAMPLES * CLASSES, LOGIT, 0);
    in(w, "targets", FGHM_I64, "contiguous", SAMPLES, labels);
    in_drawn(w, "weights", dtype, "contiguous", SAMPLES, FACTOR, 0);
    out(w, "element_loss", dtype, "contiguous", SAMPLES);
    out(w, "gradient", dtype, "contiguous", SAMPLES * CLASSES);
    out(w, "hessian", dtype, "contiguous", SAMPLES * CLASSES);
    say(w, "call softmax %d -100", (int)CLASSES);
    for (size_t k = 0; k < COUNT(outputs); k++) {
        say(w, "= %s", outputs[k]);
    }
    say(w, "= number");
}

static void write_calibration(struct writer *w, fghm_dtype dtype) {
    enum { N = 7 };
    say(w, "case focal_calibration_%s", dtype_names[dtype]);
    say(w, "focal");
    in_drawn(w, "logits", dtype, "contiguous", N, LOGIT, 0);
    out(w, "gradient", dtype, "contiguous", N);
    say(w, "call calibrate");
    say(w, "= gradient");
    say(w, "best_constant %016" PRIx64 " %016" PRIx64, bits_of(30.0), bits_of(970.5));
    say(w, "= number");
    say(w, "set rule %d", (int)FGHM_FOCAL_RULE_STAR);
    say(w, "clone");
    say(w, "best_constant %016" PRIx64 " %016" PRIx64, bits_of(1.0), bits_of(0.25));
    say(w, "= number");
}

/* Batches ------------------------------------------------------------------------ */

static void call_batch(struct writer *w, const char *what) {
    static const char *const arrays[] = {"element_loss", "gradient", "hessian",
                                         "harmonizing_weight"};
    say(w, "call %s", what);
    for (size_t k = 0; k < COUNT(arrays); k++) {
        if (cases_find(&w->reader, arrays[k]) != NULL) {
            say(w, "= %s", arrays[k]);
        }
    }
    say(w, "= result");
}

static void write_images(struct writer *w) {
    say(w, "case batch_images");
    say(w, "focal");
    say(w, "shape 2 3 2 2");
    say(w, "class_axis 1");
    say(w, "activation %d", FGHM_SOFTMAX);
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    say(w, "ignore_index 255");
    const double labels[] = {0, 2, 255, 1, 1, 255, 0, 2};
    in_drawn(w, "logits", FGHM_F16, "contiguous", 24, LOGIT, 0);
    in(w, "targets", FGHM_U8, "contiguous", 8, labels);
    out(w, "element_loss", FGHM_F16, "contiguous", 8);
    out(w, "gradient", FGHM_F32, "contiguous", 24);
    call_batch(w, "batch");
}

/* A crop of a larger image, one axis backwards, in the order of columns; the weights of samples in
 * the layout of their own; gradients with gaps between them. */
static void write_strides(struct writer *w) {
    say(w, "case batch_strides");
    say(w, "focal");
    set_real(w, "gamma", 3.0);
    say(w, "set reduction %d", FGHM_REDUCTION_MEAN_POSITIVES);
    say(w, "shape 3 2 2");
    say(w, "class_axis -2");
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    say(w, "background %d", FGHM_BACKGROUND_LAST);
    const double class_weights[] = {0.5, 2.0};
    reals(w, "class_weights", 2, class_weights);
    in_drawn(w, "logits", FGHM_F32, "26,-8,2,1", 32, LOGIT, 0);
    in_drawn(w, "targets", FGHM_I32, "4,-2,0,1", 8, LABEL, 3);
    in_drawn(w, "weights", FGHM_F64, "per_sample", 6, FACTOR, 0);
    out(w, "element_loss", FGHM_F64, "0,2,6,1", 12);
    out(w, "gradient", FGHM_BF16, "1,2,12,6", 24);
    call_batch(w, "batch");
}

static void write_class_major(struct writer *w) {
    const double class_alpha[] = {0.25, 0.5, 0.875};
    say(w, "case batch_class_major");
    say(w, "focal");
    say(w, "set hessian_mode %d", FGHM_HESSIAN_GAUSS_NEWTON);
    say(w, "set reduction %d", FGHM_REDUCTION_SUM);
    say(w, "shape 3 4");
    say(w, "class_axis 0");
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    say(w, "background %d", FGHM_BACKGROUND_FIRST);
    reals(w, "class_alpha", 3, class_alpha);
    in_drawn(w, "logits", FGHM_F64, "contiguous", 12, LOGIT, 0);
    in_drawn(w, "targets", FGHM_I64, "contiguous", 4, LABEL, 4);
    out(w, "gradient", FGHM_F32, "0,8,2", 24);
    out(w, "hessian", FGHM_F32, "contiguous", 12);
    call_batch(w, "batch");
}

static void write_scores(struct writer *w) {
    const double labels[] = {-1.0, 1.0, -2.0, 0.0};
    say(w, "case batch_scores");
    say(w, "focal");
    say(w, "clear alpha");
    say(w, "set rule %d", FGHM_FOCAL_RULE_QUALITY);
    say(w, "set reduction %d", FGHM_REDUCTION_MEAN_TARGETS);
    say(w, "shape 4 2");
    say(w, "class_axis 1");
    say(w, "target_form %d", FGHM_TARGET_LABEL_SCORE);
    say(w, "background %d", FGHM_BACKGROUND_MINUS_ONE);
    say(w, "ignore_index -2");
    in_drawn(w, "logits", FGHM_BF16, "contiguous", 8, LOGIT, 0);
    in(w, "targets", FGHM_I32, "contiguous", 4, labels);
    in_drawn(w, "scores", FGHM_F32, "contiguous", 4, CHANCE, 0);
    out(w, "element_loss", FGHM_F32, "contiguous", 8);
    out(w, "gradient", FGHM_F32, "contiguous", 8);
    call_batch(w, "batch");
}

static void write_probabilities(struct writer *w) {
    say(w, "case batch_probabilities");
    say(w, "focal");
    say(w, "shape 2 3");
    say(w, "activation %d", FGHM_PROBABILITY);
    in_drawn(w, "logits", FGHM_F64, "contiguous", 6, CHANCE, 0);
    in_drawn(w, "targets", FGHM_U8, "0,3,0", 6, HARD, 0);
    out(w, "element_loss", FGHM_F64, "contiguous", 6);
    out(w, "gradient", FGHM_F64, "contiguous", 6);
    out(w, "hessian", FGHM_F64, "contiguous", 6);
    call_batch(w, "batch");
}

static void write_missing(struct writer *w) {
    const double targets[] = {0.25, (double)NAN, 1.0, 0.0, (double)NAN};
    say(w, "case batch_missing_targets");
    say(w, "focal");
    say(w, "shape 5");
    say(w, "flags %d", FGHM_NAN_TARGETS_IGNORED);
    say(w, "label_smoothing %016" PRIx64, bits_of(0.125));
    say(w, "set reduction %d", FGHM_REDUCTION_MEAN_VALID);
    in_drawn(w, "logits", FGHM_F32, "contiguous", 5, LOGIT, 0);
    in(w, "targets", FGHM_F32, "contiguous", 5, targets);
    out(w, "element_loss", FGHM_F32, "contiguous", 5);
    out(w, "gradient", FGHM_F32, "contiguous", 5);
    call_batch(w, "batch");
}

static void write_softmax_factors(struct writer *w) {
    const double class_alpha[] = {0.25, 0.75, 1.0};
    say(w, "case batch_softmax_factors");
    say(w, "focal");
    set_real(w, "gamma", 0.5);
    say(w, "set reduction %d", FGHM_REDUCTION_MEAN_POSITIVES);
    say(w, "shape 4 3");
    say(w, "class_axis -1");
    say(w, "activation %d", FGHM_SOFTMAX);
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    say(w, "background %d", FGHM_BACKGROUND_FIRST);
    reals(w, "class_alpha", 3, class_alpha);
    in_drawn(w, "logits", FGHM_F64, "8,1,-4", 12, LOGIT, 0);
    in_drawn(w, "targets", FGHM_U8, "3,-1,0", 4, LABEL, 3);
    in_drawn(w, "weights", FGHM_F32, "contiguous", 4, FACTOR, 0);
    out(w, "element_loss", FGHM_F64, "contiguous", 4);
    out(w, "gradient", FGHM_F64, "contiguous", 12);
    call_batch(w, "batch");
}

/* The same data with each divisor. */
static void write_reductions(struct writer *w) {
    const double weights[] = {0.5, 1.0, 2.0, 0.25, 1.5};
    const struct random same = w->random;
    for (int32_t reduction = FGHM_REDUCTION_SUM; reduction <= FGHM_REDUCTION_MEAN_TARGETS;
         reduction++) {
        w->random = same;
        say(w, "case reduction_%d", (int)reduction);
        say(w, "focal");
        say(w, "set reduction %d", (int)reduction);
        set_real(w, "normalizer", 7.5);
        say(w, "shape 5 2");
        say(w, "class_axis 1");
        say(w, "ignore_index 1");
        in_drawn(w, "logits", FGHM_F32, "contiguous", 10, LOGIT, 0);
        in_drawn(w, "targets", FGHM_F32, "contiguous", 10, SOFT, 0);
        in(w, "weights", FGHM_F32, "per_sample", 5, weights);
        out(w, "gradient", FGHM_F32, "contiguous", 10);
        call_batch(w, "batch");
    }
}

/* Rules and settings that one gamma and alpha do not say. */
static void write_rules(struct writer *w, fghm_dtype dtype) {
    enum { N = 8 };
    static const struct {
        const char *name;
        fghm_focal_rule rule;
        enum source targets;
        fghm_hessian_mode mode;
        bool clears_alpha, detached;
        struct {
            const char *name;
            double value;
        } numbers[3];
    } rows[] = {
        {"varifocal",
         FGHM_FOCAL_RULE_VARIFOCAL,
         SOFT,
         FGHM_HESSIAN_EXACT,
         false,
         true,
         {{"alpha", 0.75}}},
        {"varifocal_unweighted",
         FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED,
         SOFT,
         FGHM_HESSIAN_GRADIENT,
         false,
         false,
         {{"gamma", 1.5}, {"hessian_factor", 2.0}}},
        {"matchability",
         FGHM_FOCAL_RULE_MATCHABILITY,
         SOFT,
         FGHM_HESSIAN_ABSOLUTE,
         true,
         false,
         {{"gamma", 1.5}}},
        {"heatmap",
         FGHM_FOCAL_RULE_HEATMAP,
         SOFT,
         FGHM_HESSIAN_EXACT,
         true,
         false,
         {{"beta", 3.0}}},
        {"asymmetric",
         FGHM_FOCAL_RULE_LINEAR,
         HARD,
         FGHM_HESSIAN_GAUSS_NEWTON,
         true,
         true,
         {{"gamma", 1.0}, {"negative_gamma", 4.0}, {"margin", 0.0625}}},
        {"positive_weight",
         FGHM_FOCAL_RULE_LINEAR,
         HARD,
         FGHM_HESSIAN_EXACT,
         false,
         false,
         {{"gamma", 0.0}, {"positive_weight", 3.0}, {"hessian_factor", 0.5}}},
    };
    for (size_t k = 0; k < COUNT(rows); k++) {
        say(w, "case focal_%s_%s", rows[k].name, dtype_names[dtype]);
        say(w, "focal");
        say(w, "set rule %d", (int)rows[k].rule);
        say(w, "set hessian_mode %d", (int)rows[k].mode);
        say(w, "set detached %d", rows[k].detached ? 1 : 0);
        if (rows[k].clears_alpha) {
            say(w, "clear alpha");
        }
        for (size_t n = 0; n < COUNT(rows[k].numbers) && rows[k].numbers[n].name != NULL; n++) {
            set_real(w, rows[k].numbers[n].name, rows[k].numbers[n].value);
        }
        in_drawn(w, "logits", dtype, "contiguous", N, LOGIT, 0);
        in_drawn(w, "targets", dtype, "contiguous", N, rows[k].targets, 0);
        call_elements(w, dtype, N, "elements");
    }
}

/* Samples of 3 classes with numbers for each of these: sigmoids and softmax, hard and soft. */
static void write_classes(struct writer *w) {
    const double offsets[] = {-0.5, 1.25, 0.0}, gammas[] = {2.0, 0.0, 3.5},
                 weights[] = {0.5, 2.0, 1.0};
    static const struct {
        const char *name;
        fghm_activation activation;
        fghm_target_form form;
        fghm_focal_rule rule;
        fghm_hessian_mode mode;
        double smoothing, hessian_factor;
        bool gammas, of_terms, detached;
    } rows[] = {
        {"sigmoid", FGHM_SIGMOID, FGHM_TARGET_LABEL, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT,
         0.0, 1.0, true, false, false},
        {"softmax", FGHM_SOFTMAX, FGHM_TARGET_LABEL, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_GRADIENT,
         0.0, 2.0, true, false, false},
        {"softmax_smooth", FGHM_SOFTMAX, FGHM_TARGET_LABEL, FGHM_FOCAL_RULE_LINEAR,
         FGHM_HESSIAN_GAUSS_NEWTON, 0.125, 1.0, false, true, false},
        {"softmax_soft", FGHM_SOFTMAX, FGHM_TARGET_DENSE, FGHM_FOCAL_RULE_SPLIT, FGHM_HESSIAN_EXACT,
         0.0, 1.0, false, false, false},
        {"softmax_soft_detached", FGHM_SOFTMAX, FGHM_TARGET_DENSE, FGHM_FOCAL_RULE_LINEAR,
         FGHM_HESSIAN_GRADIENT, 0.25, 1.5, false, false, true},
    };
    for (size_t k = 0; k < COUNT(rows); k++) {
        say(w, "case classes_%s", rows[k].name);
        say(w, "focal");
        say(w, "set rule %d", (int)rows[k].rule);
        say(w, "set hessian_mode %d", (int)rows[k].mode);
        say(w, "set detached %d", rows[k].detached ? 1 : 0);
        set_real(w, "hessian_factor", rows[k].hessian_factor);
        say(w, "shape 4 3");
        say(w, "class_axis 1");
        say(w, "activation %d", rows[k].activation);
        say(w, "target_form %d", rows[k].form);
        say(w, "flags %d", rows[k].of_terms ? FGHM_CLASS_WEIGHTS_OF_TERMS : 0);
        if (rows[k].smoothing > 0.0) {
            say(w, "label_smoothing %016" PRIx64, bits_of(rows[k].smoothing));
        }
        if (rows[k].gammas) {
            reals(w, "class_gamma", 3, gammas);
        }
        reals(w, "class_weights", 3, weights);
        reals(w, "class_offsets", 3, offsets);
        in_drawn(w, "logits", FGHM_F32, "contiguous", 12, LOGIT, 0);
        if (rows[k].form == FGHM_TARGET_LABEL) {
            in_drawn(w, "targets", FGHM_I32, "contiguous", 4, LABEL, 3);
        } else {
            in_drawn(w, "targets", FGHM_F32, "contiguous", 12, SOFT, 0);
        }
        out(w, "element_loss", FGHM_F64, "contiguous", rows[k].activation == FGHM_SOFTMAX ? 4 : 12);
        out(w, "gradient", FGHM_F32, "contiguous", 12);
        out(w, "hessian", FGHM_F32, "contiguous", 12);
        call_batch(w, "batch");
    }
}

/* GHM ---------------------------------------------------------------------------- */

static void ghm_inputs(struct writer *w, fghm_dtype dtype, fghm_ghm_kind kind, size_t n) {
    in_drawn(w, "logits", dtype, "contiguous", n, kind == FGHM_GHM_REGRESSION ? DIFFERENCE : LOGIT,
             0);
    in_drawn(w, "targets", dtype, "contiguous", n, kind == FGHM_GHM_REGRESSION ? DIFFERENCE : HARD,
             0);
}

static void write_steps(struct writer *w, fghm_dtype dtype, fghm_ghm_kind kind,
                        fghm_ghm_momentum_rule rule) {
    enum { N = 10 };
    say(w, "case ghm_steps_%d_%d_%s", (int)kind, (int)rule, dtype_names[dtype]);
    say(w, "ghm %d", (int)kind);
    if (rule == FGHM_GHM_MOMENTUM_REFERENCE) {
        const double edges[] = {0.0, 0.0625, 0.25, 0.75, 1.0};
        reals(w, "edges", COUNT(edges), edges);
        say(w, "set divisor %d", FGHM_GHM_DIVISOR_ALL_BINS);
        set_real(w, "weight_cap", 2.0);
    } else {
        say(w, "set bins 5");
        set_real(w, "loss_weight", 1.5);
    }
    if (kind == FGHM_GHM_REGRESSION) {
        set_real(w, "mu", 0.375);
    }
    say(w, "set momentum_rule %d", (int)rule);
    set_real(w, "momentum", 0.75);
    for (int step = 0; step < 3; step++) {
        ghm_inputs(w, dtype, kind, N);
        if (step == 1) {
            in_drawn(w, "weights", dtype, "contiguous", N, MASK, 0);
        }
        call_elements(w, dtype, N, "elements");
        say(w, "= averages");
        say(w, "= bin_weights");
    }
}

/* A step in parts; then what has been saved goes on, in a new handle and in an old one. */
static void write_parts(struct writer *w) {
    enum { N = 6 };
    unsigned char state[CASES_LINE_MAX / 2];
    char line[CASES_LINE_MAX];
    size_t size = 0, length = 0;
    say(w, "case ghm_parts");
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    say(w, "set bins 4");
    set_real(w, "momentum", 0.5);
    say(w, "counts 0 0 0 0 0");
    for (int part = 0; part < 2; part++) {
        ghm_inputs(w, FGHM_F32, FGHM_GHM_CLASSIFICATION, N);
        say(w, "call count");
        say(w, "= counts");
    }
    say(w, "update");
    call_elements(w, FGHM_F32, N, "apply");
    say(w, "clone");
    say(w, "call elements");
    say(w, "= number");
    say(w, "= state");
    fghm_ghm_get_state_size(w->reader.ghm, &size);
    fghm_ghm_save(w->reader.ghm, sizeof state, state);
    for (size_t k = 0; k < size; k++) {
        length += (size_t)snprintf(line + length, sizeof line - length, "%02x", state[k]);
    }
    say(w, "case ghm_restored");
    say(w, "restore %s", line);
    say(w, "= averages");
    ghm_inputs(w, FGHM_F64, FGHM_GHM_CLASSIFICATION, N);
    call_elements(w, FGHM_F64, N, "elements");
    say(w, "reset");
    say(w, "call elements");
    say(w, "= bin_weights");
    say(w, "load %s", line);
    say(w, "= averages");
    say(w, "load %.*s", (int)length - 2, line);
    say(w, "load %.*s%s%s", (int)length - 2, line, line[length - 2] == '0' ? "1" : "0",
        line + length - 1);
    say(w, "ghm %d", FGHM_GHM_REGRESSION);
    say(w, "load %s", line);
}

static void write_density(struct writer *w, fghm_dtype dtype) {
    enum { N = 8 };
    say(w, "case ghm_density_%s", dtype_names[dtype]);
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    ghm_inputs(w, dtype, FGHM_GHM_CLASSIFICATION, N);
    out(w, "harmonizing_weight", dtype, "contiguous", N);
    say(w, "call density");
    say(w, "= harmonizing_weight");
}

/* A histogram for each class. */
static void write_histograms(struct writer *w) {
    say(w, "case ghm_histograms");
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    say(w, "set bins 3");
    say(w, "set histograms 2");
    say(w, "set reduction %d", FGHM_REDUCTION_NORMALIZER);
    set_real(w, "normalizer", 4.0);
    say(w, "shape 5 2");
    say(w, "class_axis 1");
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    say(w, "ignore_index 9");
    const double labels[] = {0, 1, 9, 1, 0};
    in_drawn(w, "logits", FGHM_F32, "8,-2,1", 10, LOGIT, 0);
    in(w, "targets", FGHM_U8, "contiguous", 5, labels);
    out(w, "harmonizing_weight", FGHM_F32, "contiguous", 10);
    out(w, "gradient", FGHM_F16, "contiguous", 10);
    say(w, "counts 0 0 0 0 0 0 0 0");
    say(w, "call count_batch");
    say(w, "= counts");
    say(w, "update");
    call_batch(w, "apply_batch");
    call_batch(w, "batch");
    say(w, "= bin_weights");
}

static void write_regression_batch(struct writer *w) {
    say(w, "case ghm_regression_batch");
    say(w, "ghm %d", FGHM_GHM_REGRESSION);
    say(w, "set bins 4");
    say(w, "shape 2 4");
    in_drawn(w, "logits", FGHM_F32, "contiguous", 8, DIFFERENCE, 0);
    in_drawn(w, "targets", FGHM_F32, "0,1,2", 8, CHANCE, 0);
    in_drawn(w, "weights", FGHM_F32, "contiguous", 8, MASK, 0);
    out(w, "element_loss", FGHM_F32, "contiguous", 8);
    out(w, "gradient", FGHM_F32, "contiguous", 8);
    call_batch(w, "batch");
}

/* Errors ------------------------------------------------------------------------- */

static void write_refused_settings(struct writer *w) {
    const double unordered[] = {0.0, 0.5, 0.5, 1.0};
    say(w, "case errors_of_focal_settings");
    say(w, "focal");
    set_real(w, "gamma", -1.0);
    set_real(w, "negative_gamma", 65.0);
    set_real(w, "alpha", (double)NAN);
    set_real(w, "loss_weight", (double)INFINITY);
    set_real(w, "normalizer", 0.0);
    set_real(w, "hessian_floor", -1.0);
    say(w, "best_constant %016" PRIx64 " %016" PRIx64, bits_of(0.0), bits_of(1.0));
    set_real(w, "alpha", 1.0);
    say(w, "best_constant %016" PRIx64 " %016" PRIx64, bits_of(1.0), bits_of(1.0));
    say(w, "case errors_of_ghm_settings");
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    say(w, "set bins 0");
    say(w, "set bins 4097");
    say(w, "set histograms 0");
    set_real(w, "momentum", 1.0);
    set_real(w, "weight_cap", 0.0);
    set_real(w, "loss_weight", -1.0);
    set_real(w, "normalizer", 0.0);
    set_real(w, "mu", 1.0);
    reals(w, "edges", COUNT(unordered), unordered);
    say(w, "counts 1 2 3");
    say(w, "update");
    say(w, "set bins 2");
    say(w, "counts 18446744073709551615 1 0");
    say(w, "update");
    say(w, "counts 1 2 3");
    say(w, "update");
    say(w, "set bins 3");
    say(w, "set momentum_rule %d", FGHM_GHM_MOMENTUM_REFERENCE);
}

/* 2 samples of 3 classes, which call after call is spoilt in another way. */
static void start_refused(struct writer *w, const char *name) {
    const double labels[] = {2, 0};
    say(w, "case errors_of_%s", name);
    say(w, "focal");
    say(w, "shape 2 3");
    say(w, "class_axis 1");
    say(w, "target_form %d", FGHM_TARGET_LABEL);
    in_drawn(w, "logits", FGHM_F32, "contiguous", 6, CHANCE, 0);
    in(w, "targets", FGHM_I32, "contiguous", 2, labels);
}

static void write_refused_labels(struct writer *w) {
    const double labels[] = {2, 3}, dense[] = {0.0, 1.0, 0.5, 0.0, 1.5, 1.0};
    start_refused(w, "labels");
    in(w, "targets", FGHM_I32, "contiguous", 2, labels);
    say(w, "call batch");
    in(w, "targets", FGHM_F32, "contiguous", 2, labels);
    say(w, "call batch");
    start_refused(w, "scores");
    say(w, "target_form %d", FGHM_TARGET_LABEL_SCORE);
    in(w, "scores", FGHM_F32, "contiguous", 2, labels);
    say(w, "call batch");
    start_refused(w, "targets");
    say(w, "target_form %d", FGHM_TARGET_DENSE);
    in(w, "targets", FGHM_F32, "contiguous", 6, dense);
    say(w, "call batch");
    say(w, "background %d", FGHM_BACKGROUND_LAST);
    say(w, "call batch");
    start_refused(w, "probabilities");
    say(w, "activation %d", FGHM_PROBABILITY);
    in(w, "logits", FGHM_F32, "contiguous", 6, dense);
    say(w, "call batch");
}

static void write_refused_batches(struct writer *w) {
    const double factors[] = {0.5, 2.0, 1.0}, zeros[] = {0.0, 0.0}, gammas[] = {2.0, 0.0, 65.0};
    start_refused(w, "factors");
    reals(w, "class_alpha", 3, factors);
    say(w, "call batch");
    start_refused(w, "class_gamma");
    reals(w, "class_gamma", 3, gammas);
    say(w, "call batch");
    start_refused(w, "smoothing");
    say(w, "label_smoothing %016" PRIx64, bits_of(2.0));
    say(w, "call batch");
    say(w, "label_smoothing %016" PRIx64, bits_of(0.5));
    say(w, "set rule %d", FGHM_FOCAL_RULE_STAR);
    say(w, "call batch");
    start_refused(w, "softmax");
    set_real(w, "alpha", 0.5);
    say(w, "activation %d", FGHM_SOFTMAX);
    say(w, "call batch");
    start_refused(w, "divisor");
    say(w, "set reduction %d", FGHM_REDUCTION_MEAN_WEIGHTS);
    in(w, "weights", FGHM_F32, "per_sample", 2, zeros);
    say(w, "call batch");
    start_refused(w, "rule");
    say(w, "set rule %d", FGHM_FOCAL_RULE_STAR);
    set_real(w, "gamma", 0.0);
    say(w, "call batch");
    start_refused(w, "weights");
    in(w, "weights", FGHM_U8, "per_sample", 2, zeros);
    say(w, "call batch");
    start_refused(w, "histograms");
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    say(w, "set histograms 2");
    say(w, "call batch");
    say(w, "set histograms 3");
    say(w, "activation %d", FGHM_PROBABILITY);
    say(w, "call batch");
}

static void write_refused_elements(struct writer *w) {
    const double targets[] = {0.0, 1.5, 1.0}, labels[] = {1.0, 3.0};
    say(w, "case errors_of_elements");
    say(w, "focal");
    in_drawn(w, "logits", FGHM_F32, "contiguous", 3, LOGIT, 0);
    in(w, "targets", FGHM_F32, "contiguous", 3, targets);
    say(w, "call elements");
    set_real(w, "gamma", 0.0);
    say(w, "set rule %d", FGHM_FOCAL_RULE_STAR);
    say(w, "call elements");
    say(w, "ghm %d", FGHM_GHM_CLASSIFICATION);
    say(w, "call elements");
    say(w, "set histograms 2");
    say(w, "call elements");
    say(w, "case errors_of_samples");
    say(w, "focal");
    in_drawn(w, "logits", FGHM_F64, "contiguous", 6, LOGIT, 0);
    in(w, "targets", FGHM_I64, "contiguous", 2, labels);
    say(w, "call softmax 3 %" PRId64, FGHM_IGNORE_NONE);
}

unsigned long cases_write(char text[CASES_TEXT_MAX]) {
    static struct writer w;
    w = (struct writer){.random = {{UINT64_C(0x9e3779b97f4a7c15), 2, 3, 4}}, .text = text};
    for (int k = 0; k < 20; k++) { /* so small a state is not random yet */
        random_bits(&w.random);
    }
    strcpy(text, explanation);
    cases_start(&w.reader);
    for (fghm_dtype dtype = FGHM_F32; dtype <= FGHM_F64; dtype++) {
        write_elements(&w, dtype);
        write_softmax(&w, dtype);
        write_calibration(&w, dtype);
    }
    write_images(&w);
    write_strides(&w);
    write_class_major(&w);
    write_scores(&w);
    write_probabilities(&w);
    write_missing(&w);
    write_softmax_factors(&w);
    write_reductions(&w);
    write_steps(&w, FGHM_F32, FGHM_GHM_CLASSIFICATION, FGHM_GHM_MOMENTUM_CORRECTED);
    write_steps(&w, FGHM_F64, FGHM_GHM_CLASSIFICATION, FGHM_GHM_MOMENTUM_REFERENCE);
    write_steps(&w, FGHM_F32, FGHM_GHM_REGRESSION, FGHM_GHM_MOMENTUM_REFERENCE);
    write_steps(&w, FGHM_F64, FGHM_GHM_REGRESSION, FGHM_GHM_MOMENTUM_CORRECTED);
    write_parts(&w);
    write_density(&w, FGHM_F32);
    write_density(&w, FGHM_F64);
    write_histograms(&w);
    write_regression_batch(&w);
    write_refused_settings(&w);
    write_refused_labels(&w);
    write_refused_batches(&w);
    write_refused_elements(&w);
    write_rules(&w, FGHM_F32);
    write_rules(&w, FGHM_F64);
    write_classes(&w);
    cases_end(&w.reader);
    return w.check.failures;
}

void cases_read(const char *lines, char text[CASES_TEXT_MAX]) {
    static struct cases_reader reader;
    char line[CASES_LINE_MAX];
    text[0] = '\0';
    cases_start(&reader);
    while (*lines != '\0') {
        const size_t length = strcspn(lines, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, lines);
        cases_line(&reader, line, text, CASES_TEXT_MAX);
        lines += length + (lines[length] == '\n' ? 1 : 0);
    }
    cases_end(&reader);
}
