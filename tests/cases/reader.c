/* SPDX-License-Identifier: MIT */
#include "cases/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define REQUIRE(condition) require(condition, #condition)

/* What is wrong with the lines themselves ends the program. */
static void require(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "cases: %s\n", what);
        abort();
    }
}

/* Text ------------------------------------------------------------------------- */

static void append(char *text, size_t room, const char *format, ...) {
    const size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(text + length, room - length, format, arguments);
    va_end(arguments);
    REQUIRE(added >= 0 && (size_t)added < room - length);
}

static void split(struct cases_words *w, const char *line) {
    REQUIRE(strlen(line) < sizeof w->text);
    strcpy(w->text, line);
    w->count = 0;
    for (char *word = strtok(w->text, " "); word != NULL; word = strtok(NULL, " ")) {
        REQUIRE(w->count < CASES_WORDS_MAX);
        w->word[w->count++] = word;
    }
}

static double real_of(const char *word) {
    const uint64_t bits = strtoull(word, NULL, 16);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void append_real(char *text, size_t room, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    append(text, room, " %016" PRIx64, bits);
}

/* Arrays ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[FGHM_F32] = {"f32", 4},   [FGHM_F64] = {"f64", 8}, [FGHM_F16] = {"f16", 2},
              [FGHM_BF16] = {"bf16", 2}, [FGHM_U8] = {"u8", 1},   [FGHM_I32] = {"i32", 4},
              [FGHM_I64] = {"i64", 8}};

size_t cases_size(fghm_dtype dtype) {
    return dtypes[dtype].size;
}

static fghm_dtype dtype_named(const char *name) {
    fghm_dtype dtype = FGHM_F32;
    while (dtype <= FGHM_I64 && strcmp(dtypes[dtype].name, name) != 0) {
        dtype++;
    }
    REQUIRE(dtype <= FGHM_I64);
    return dtype;
}

struct cases_array *cases_find(struct cases_reader *r, const char *name) {
    for (size_t k = 0; k < r->array_count; k++) {
        if (strcmp(r->arrays[k].name, name) == 0) {
            return &r->arrays[k];
        }
    }
    return NULL;
}

unsigned char *cases_first(struct cases_array *a) {
    return a->bytes + a->first * cases_size(a->dtype);
}

static void put_bits(struct cases_array *a, size_t k, uint64_t bits) {
    const size_t size = cases_size(a->dtype);
    const uint8_t b8 = (uint8_t)bits;
    const uint16_t b16 = (uint16_t)bits;
    const uint32_t b32 = (uint32_t)bits;
    memcpy(a->bytes + k * size,
           size == 1   ? (const void *)&b8
           : size == 2 ? (const void *)&b16
           : size == 4 ? (const void *)&b32
                       : (const void *)&bits,
           size);
}

static uint64_t get_bits(const struct cases_array *a, size_t k) {
    const size_t size = cases_size(a->dtype);
    const unsigned char *const p = a->bytes + k * size;
    uint16_t b16 = 0;
    uint32_t b32 = 0;
    uint64_t b64 = 0;
    memcpy(&b16, p, size == 2 ? size : 0);
    memcpy(&b32, p, size == 4 ? size : 0);
    memcpy(&b64, p, size == 8 ? size : 0);
    return size == 1 ? *p : size == 2 ? b16 : size == 4 ? b32 : b64;
}

/* in NAME DTYPE LAYOUT BITS..., or out NAME DTYPE LAYOUT COUNT */
static void make_array(struct cases_reader *r, const struct cases_words *w) {
    struct cases_array *a = cases_find(r, w->word[1]);
    if (a == NULL) {
        REQUIRE(r->array_count < CASES_ARRAYS_MAX);
        a = &r->arrays[r->array_count++];
    }
    memset(a, 0, sizeof *a);
    strncpy(a->name, w->word[1], sizeof a->name - 1);
    a->dtype = dtype_named(w->word[2]);
    if (strcmp(w->word[3], "per_sample") == 0) {
        a->layout = FGHM_LAYOUT_PER_SAMPLE;
    } else if (strcmp(w->word[3], "contiguous") != 0) {
        char *rest = NULL;
        a->layout = FGHM_LAYOUT_STRIDED;
        a->first = strtoul(w->word[3], &rest, 10);
        for (size_t axis = 0; *rest == ','; axis++) {
            a->strides[axis] = strtoll(rest + 1, &rest, 10);
        }
    }
    const bool output = strcmp(w->word[0], "out") == 0;
    a->count = output ? strtoul(w->word[4], NULL, 10) : w->count - 4;
    REQUIRE(a->count * cases_size(a->dtype) <= sizeof a->bytes);
    for (size_t k = 0; !output && k < a->count; k++) {
        put_bits(a, k, strtoull(w->word[4 + k], NULL, 16));
    }
}

static void fill_input(struct cases_reader *r, const char *name, fghm_input *slot) {
    struct cases_array *const a = cases_find(r, name);
    if (a != NULL) {
        *slot = (fghm_input){cases_first(a), a->dtype, a->layout, {0}};
        memcpy(slot->strides, a->strides, sizeof slot->strides);
    }
}

static void fill_output(struct cases_reader *r, const char *name, fghm_output *slot) {
    struct cases_array *const a = cases_find(r, name);
    if (a != NULL) {
        *slot = (fghm_output){cases_first(a), a->dtype, a->layout, {0}};
        memcpy(slot->strides, a->strides, sizeof slot->strides);
    }
}

static void fill_batch(struct cases_reader *r) {
    fghm_batch *const b = &r->batch;
    fill_input(r, "logits", &b->logits);
    fill_input(r, "targets", &b->targets);
    fill_input(r, "scores", &b->scores);
    fill_input(r, "weights", &b->weights);
    fill_output(r, "element_loss", &b->element_loss);
    fill_output(r, "gradient", &b->gradient);
    fill_output(r, "hessian", &b->hessian);
    fill_output(r, "harmonizing_weight", &b->harmonizing_weight);
}

/* Settings --------------------------------------------------------------------- */

static const struct {
    const char *name;
    fghm_field field;
    fghm_status (*focal_real)(fghm_focal *, double);
    fghm_status (*focal_constant)(fghm_focal *, int32_t);
    fghm_status (*ghm_real)(fghm_ghm *, double);
    fghm_status (*ghm_constant)(fghm_ghm *, int32_t);
    fghm_status (*ghm_size)(fghm_ghm *, size_t);
} settings[] = {
    {"gamma", FGHM_FIELD_GAMMA, .focal_real = fghm_focal_set_gamma},
    {"negative_gamma", FGHM_FIELD_NEGATIVE_GAMMA, .focal_real = fghm_focal_set_negative_gamma},
    {"alpha", FGHM_FIELD_ALPHA, .focal_real = fghm_focal_set_alpha},
    {"loss_weight", FGHM_FIELD_LOSS_WEIGHT, .focal_real = fghm_focal_set_loss_weight,
     .ghm_real = fghm_ghm_set_loss_weight},
    {"reduction", FGHM_FIELD_REDUCTION, .focal_constant = fghm_focal_set_reduction,
     .ghm_constant = fghm_ghm_set_reduction},
    {"normalizer", FGHM_FIELD_NORMALIZER, .focal_real = fghm_focal_set_normalizer,
     .ghm_real = fghm_ghm_set_normalizer},
    {"rule", FGHM_FIELD_RULE, .focal_constant = fghm_focal_set_rule},
    {"hessian_mode", FGHM_FIELD_HESSIAN_MODE, .focal_constant = fghm_focal_set_hessian_mode},
    {"detached", FGHM_FIELD_DETACHED, .focal_constant = fghm_focal_set_detached},
    {"beta", FGHM_FIELD_BETA, .focal_real = fghm_focal_set_beta},
    {"margin", FGHM_FIELD_MARGIN, .focal_real = fghm_focal_set_margin},
    {"positive_weight", FGHM_FIELD_POSITIVE_WEIGHT, .focal_real = fghm_focal_set_positive_weight},
    {"hessian_floor", FGHM_FIELD_HESSIAN_FLOOR, .focal_real = fghm_focal_set_hessian_floor},
    {"hessian_factor", FGHM_FIELD_HESSIAN_FACTOR, .focal_real = fghm_focal_set_hessian_factor},
    {"bins", FGHM_FIELD_BINS, .ghm_size = fghm_ghm_set_bins},
    {"histograms", FGHM_FIELD_HISTOGRAMS, .ghm_size = fghm_ghm_set_histograms},
    {"mu", FGHM_FIELD_MU, .ghm_real = fghm_ghm_set_mu},
    {"momentum", FGHM_FIELD_MOMENTUM, .ghm_real = fghm_ghm_set_momentum},
    {"momentum_rule", FGHM_FIELD_MOMENTUM_RULE, .ghm_constant = fghm_ghm_set_momentum_rule},
    {"divisor", FGHM_FIELD_BIN_DIVISOR, .ghm_constant = fghm_ghm_set_divisor},
    {"weight_cap", FGHM_FIELD_WEIGHT_CAP, .ghm_real = fghm_ghm_set_weight_cap},
};

static void set(struct cases_reader *r, const struct cases_words *w) {
    size_t k = 0;
    while (k < COUNT(settings) && strcmp(settings[k].name, w->word[1]) != 0) {
        k++;
    }
    REQUIRE(k < COUNT(settings));
    const double real = real_of(w->word[2]);
    const int32_t constant = (int32_t)strtol(w->word[2], NULL, 10);
    r->field = settings[k].field;
    if (r->focal != NULL) {
        r->status = settings[k].focal_real != NULL ? settings[k].focal_real(r->focal, real)
                                                   : settings[k].focal_constant(r->focal, constant);
    } else if (settings[k].ghm_size != NULL) {
        r->status = settings[k].ghm_size(r->ghm, (size_t)constant);
    } else {
        r->status = settings[k].ghm_real != NULL ? settings[k].ghm_real(r->ghm, real)
                                                 : settings[k].ghm_constant(r->ghm, constant);
    }
}

static void clear(struct cases_reader *r, const char *name) {
    r->status = strcmp(name, "alpha") == 0 ? fghm_focal_clear_alpha(r->focal)
                                           : fghm_focal_clear_negative_gamma(r->focal);
}

static void set_edges(struct cases_reader *r, const struct cases_words *w) {
    double edges[CASES_NUMBERS_MAX];
    for (size_t k = 1; k < w->count; k++) {
        edges[k - 1] = real_of(w->word[k]);
    }
    r->field = FGHM_FIELD_EDGES;
    r->status = fghm_ghm_set_edges(r->ghm, w->count - 2, edges);
}

/* Handles and states ----------------------------------------------------------- */

static void destroy(struct cases_reader *r) {
    fghm_focal_destroy(r->focal);
    fghm_ghm_destroy(r->ghm);
    r->focal = NULL;
    r->ghm = NULL;
}

static void clone(struct cases_reader *r) {
    fghm_focal *focal = NULL;
    fghm_ghm *ghm = NULL;
    r->status =
        r->focal != NULL ? fghm_focal_clone(r->focal, &focal) : fghm_ghm_clone(r->ghm, &ghm);
    destroy(r);
    r->focal = focal;
    r->ghm = ghm;
}

/* restore: a handle from a state; load: into the handle that there is. */
static void load(struct cases_reader *r, const struct cases_words *w) {
    unsigned char state[CASES_LINE_MAX / 2];
    const size_t size = strlen(w->word[1]) / 2;
    for (size_t k = 0; k < size; k++) {
        const char byte[3] = {w->word[1][2 * k], w->word[1][2 * k + 1], '\0'};
        state[k] = (unsigned char)strtoul(byte, NULL, 16);
    }
    if (strcmp(w->word[0], "load") == 0) {
        r->status = fghm_ghm_load(r->ghm, size, state);
    } else {
        destroy(r);
        r->status = fghm_ghm_create_from_state(&r->ghm, size, state);
    }
}

/* Batches ---------------------------------------------------------------------- */

/* A line that says something of the batch; false if it is none. */
static bool describe(struct cases_reader *r, const struct cases_words *w) {
    static const char *const factors[] = {"class_alpha", "class_gamma", "class_weights",
                                          "class_offsets"};
    const double **const slots[] = {&r->batch.class_alpha, &r->batch.class_gamma,
                                    &r->batch.class_weights, &r->batch.class_offsets};
    const struct {
        const char *name;
        int32_t *slot;
    } constants[] = {{"class_axis", &r->batch.class_axis},
                     {"activation", &r->batch.activation},
                     {"target_form", &r->batch.target_form},
                     {"background", &r->batch.background},
                     {"flags", &r->batch.flags}};
    const char *const name = w->word[0];
    for (size_t k = 0; k < COUNT(constants); k++) {
        if (strcmp(name, constants[k].name) == 0) {
            *constants[k].slot = (int32_t)strtol(w->word[1], NULL, 10);
            return true;
        }
    }
    for (size_t k = 0; k < COUNT(factors); k++) {
        if (strcmp(name, factors[k]) == 0) {
            for (size_t n = 1; n < w->count; n++) {
                r->factors[k][n - 1] = real_of(w->word[n]);
            }
            *slots[k] = r->factors[k];
            return true;
        }
    }
    if (strcmp(name, "shape") == 0) {
        r->batch.ndim = (int32_t)w->count - 1;
        for (size_t axis = 1; axis < w->count; axis++) {
            r->batch.shape[axis - 1] = strtoll(w->word[axis], NULL, 10);
        }
    } else if (strcmp(name, "ignore_index") == 0) {
        r->batch.ignore_index = strtoll(w->word[1], NULL, 10);
    } else if (strcmp(name, "label_smoothing") == 0) {
        r->batch.label_smoothing = real_of(w->word[1]);
    } else {
        return false;
    }
    return true;
}

/* Calls ------------------------------------------------------------------------ */

/* The functions of one type, for arrays of no type. */
#define FUNCTIONS(bits, real)                                                                      \
    static fghm_status call_##bits(struct cases_reader *r, const char *what, size_t n) {           \
        const fghm_batch *const b = &r->batch;                                                     \
        const real *const x = b->logits.data, *const t = b->targets.data;                          \
        const real *const w = b->weights.data;                                                     \
        real *const l = b->element_loss.data, *const g = b->gradient.data;                         \
        real *const h = b->hessian.data, *const y = b->harmonizing_weight.data;                    \
        if (strcmp(what, "softmax") == 0) {                                                        \
            const size_t samples = (size_t)b->shape[0], classes = (size_t)b->shape[1];             \
            return fghm_focal_softmax_##bits(r->focal, NULL, samples, classes, x, b->targets.data, \
                                             b->ignore_index, w, &r->number, l, g, h);             \
        }                                                                                          \
        if (strcmp(what, "calibrate") == 0) {                                                      \
            return fghm_focal_calibrate_##bits(r->focal, NULL, n, x, g);                           \
        }                                                                                          \
        if (strcmp(what, "density") == 0) {                                                        \
            return fghm_ghm_density_##bits(r->ghm, NULL, n, x, t, w, y);                           \
        }                                                                                          \
        if (strcmp(what, "count") == 0) {                                                          \
            return fghm_ghm_count_##bits(r->ghm, NULL, n, x, t, w, r->counts_size, r->counts);     \
        }                                                                                          \
        if (strcmp(what, "apply") == 0) {                                                          \
            return fghm_ghm_apply_##bits(r->ghm, NULL, n, x, t, w, &r->number, l, g, h);           \
        }                                                                                          \
        REQUIRE(strcmp(what, "elements") == 0);                                                    \
        return r->ghm != NULL                                                                      \
                   ? fghm_ghm_step_##bits(r->ghm, NULL, n, x, t, w, &r->number, l, g, h)           \
                   : fghm_focal_##bits(r->focal, NULL, n, x, t, w, &r->number, l, g, h);           \
    }
FUNCTIONS(f32, float)
FUNCTIONS(f64, double)

/* The batch that says the same as a plain call. */
static void describe_plain(struct cases_reader *r, const struct cases_words *w) {
    const int64_t n = (int64_t)cases_find(r, "logits")->count;
    fghm_batch_init(&r->batch, sizeof r->batch);
    r->batch.ndim = 1;
    r->batch.shape[0] = n;
    if (w->count > 2) {
        r->batch.ndim = 2;
        r->batch.shape[1] = strtoll(w->word[2], NULL, 10);
        r->batch.shape[0] = n / r->batch.shape[1];
        r->batch.class_axis = 1;
        r->batch.activation = FGHM_SOFTMAX;
        r->batch.target_form = FGHM_TARGET_LABEL;
        r->batch.ignore_index = w->count > 3 ? strtoll(w->word[3], NULL, 10) : FGHM_IGNORE_NONE;
    }
}

static void call_plain(struct cases_reader *r, const struct cases_words *w) {
    struct cases_array *const logits = cases_find(r, "logits");
    describe_plain(r, w);
    fill_batch(r);
    r->status = (logits->dtype == FGHM_F64 ? call_f64 : call_f32)(r, w->word[1], logits->count);
}

static void call(struct cases_reader *r, const struct cases_words *w) {
    const char *const what = w->word[1];
    r->over_batch = strstr(what, "batch") != NULL;
    if (!r->over_batch) {
        call_plain(r, w);
        return;
    }
    fill_batch(r);
    if (strcmp(what, "count_batch") == 0) {
        r->status =
            fghm_ghm_count_batch(r->ghm, NULL, &r->batch, r->counts_size, r->counts, &r->result);
    } else if (strcmp(what, "apply_batch") == 0) {
        r->status = fghm_ghm_apply_batch(r->ghm, NULL, &r->batch, &r->result);
    } else if (r->ghm != NULL) {
        r->status = fghm_ghm_step_batch(r->ghm, NULL, &r->batch, &r->result);
    } else {
        r->status = fghm_focal_batch(r->focal, NULL, &r->batch, &r->result);
    }
}

/* What has been found ---------------------------------------------------------- */

static void append_reals(const struct cases_reader *r, char *text, size_t room,
                         fghm_status (*get)(const fghm_ghm *, size_t, double *)) {
    double numbers[CASES_NUMBERS_MAX];
    size_t bins = 0, histograms = 0;
    REQUIRE(fghm_ghm_get_bins(r->ghm, &bins) == FGHM_OK);
    REQUIRE(fghm_ghm_get_histograms(r->ghm, &histograms) == FGHM_OK);
    REQUIRE(get(r->ghm, CASES_NUMBERS_MAX, numbers) == FGHM_OK);
    for (size_t k = 0; k < bins * histograms; k++) {
        append_real(text, room, numbers[k]);
    }
}

static void append_state(const struct cases_reader *r, char *text, size_t room) {
    unsigned char state[CASES_LINE_MAX / 2];
    size_t size = 0;
    REQUIRE(fghm_ghm_get_state_size(r->ghm, &size) == FGHM_OK);
    REQUIRE(fghm_ghm_save(r->ghm, sizeof state, state) == FGHM_OK);
    append(text, room, " ");
    for (size_t k = 0; k < size; k++) {
        append(text, room, "%02x", state[k]);
    }
}

static void append_result(const fghm_result *result, char *text, size_t room) {
    const double reals[] = {result->loss, result->sum, result->divisor, result->sum_weights,
                            result->sum_targets};
    for (size_t k = 0; k < COUNT(reals); k++) {
        append_real(text, room, reals[k]);
    }
    append(text, room, " %" PRIu64 " %" PRIu64 " %" PRIu64, result->elements, result->valid,
           result->positives);
}

static void append_found(struct cases_reader *r, const char *name, char *text, size_t room) {
    struct cases_array *const a = cases_find(r, name);
    append(text, room, "= %s", name);
    if (a != NULL) {
        for (size_t k = 0; k < a->count; k++) {
            append(text, room, " %0*" PRIx64, 2 * (int)cases_size(a->dtype), get_bits(a, k));
        }
    } else if (strcmp(name, "number") == 0) {
        append_real(text, room, r->number);
    } else if (strcmp(name, "result") == 0) {
        append_result(&r->result, text, room);
    } else if (strcmp(name, "counts") == 0) {
        for (size_t k = 0; k < r->counts_size; k++) {
            append(text, room, " %" PRIu64, r->counts[k]);
        }
    } else if (strcmp(name, "averages") == 0) {
        append_reals(r, text, room, fghm_ghm_get_averages);
    } else if (strcmp(name, "bin_weights") == 0) {
        append_reals(r, text, room, fghm_ghm_get_weights);
    } else {
        REQUIRE(strcmp(name, "state") == 0);
        append_state(r, text, room);
    }
    append(text, room, "\n");
}

static const char *name_of(fghm_field field) {
    return field == FGHM_FIELD_NONE ? "-" : fghm_field_name(field);
}

static void append_error(const struct cases_reader *r, char *text, size_t room) {
    const fghm_result *const e = &r->result;
    append(text, room, "error %" PRId32, r->status);
    if (r->over_batch) {
        append(text, room, " %s %s %" PRId32 " %" PRId64 "\n", name_of(e->field),
               name_of(e->other_field), e->place, e->offender);
    } else {
        append(text, room, " %s\n", name_of(r->field));
    }
}

/* Lines ------------------------------------------------------------------------ */

void cases_start(struct cases_reader *r) {
    memset(r, 0, sizeof *r);
    fghm_batch_init(&r->batch, sizeof r->batch);
    fghm_result_init(&r->result, sizeof r->result);
}

void cases_end(struct cases_reader *r) {
    destroy(r);
}

static void run(struct cases_reader *r, const struct cases_words *w) {
    const char *const what = w->word[0];
    r->status = FGHM_OK;
    r->field = FGHM_FIELD_NONE;
    r->over_batch = false;
    if (strcmp(what, "case") == 0) {
        cases_end(r);
        cases_start(r);
    } else if (strcmp(what, "focal") == 0) {
        destroy(r);
        r->status = fghm_focal_create(&r->focal);
    } else if (strcmp(what, "ghm") == 0) {
        destroy(r);
        r->status = fghm_ghm_create(&r->ghm, (fghm_ghm_kind)strtol(w->word[1], NULL, 10));
    } else if (strcmp(what, "set") == 0) {
        set(r, w);
    } else if (strcmp(what, "clear") == 0) {
        clear(r, w->word[1]);
    } else if (strcmp(what, "edges") == 0) {
        set_edges(r, w);
    } else if (strcmp(what, "clone") == 0) {
        clone(r);
    } else if (strcmp(what, "reset") == 0) {
        r->status = fghm_ghm_reset(r->ghm);
    } else if (strcmp(what, "load") == 0 || strcmp(what, "restore") == 0) {
        load(r, w);
    } else if (strcmp(what, "in") == 0 || strcmp(what, "out") == 0) {
        make_array(r, w);
    } else if (strcmp(what, "counts") == 0) {
        r->counts_size = w->count - 1;
        for (size_t k = 0; k < r->counts_size; k++) {
            r->counts[k] = strtoull(w->word[k + 1], NULL, 10);
        }
    } else if (strcmp(what, "update") == 0) {
        r->field = FGHM_FIELD_COUNTS;
        r->status = fghm_ghm_update(r->ghm, r->counts_size, r->counts);
    } else if (strcmp(what, "best_constant") == 0) {
        r->status = fghm_focal_best_constant(r->focal, real_of(w->word[1]), real_of(w->word[2]),
                                             &r->number);
    } else if (strcmp(what, "call") == 0) {
        call(r, w);
    } else {
        REQUIRE(describe(r, w));
    }
}

void cases_line(struct cases_reader *r, const char *line, char *text, size_t room) {
    struct cases_words w;
    split(&w, line);
    if (w.count == 0 || w.word[0][0] == '#') {
        append(text, room, "%s\n", line);
    } else if (strcmp(w.word[0], "=") == 0) {
        append_found(r, w.word[1], text, room);
    } else if (strcmp(w.word[0], "error") != 0) {
        append(text, room, "%s\n", line);
        run(r, &w);
        if (r->status != FGHM_OK) {
            append_error(r, text, room);
        }
    }
}
