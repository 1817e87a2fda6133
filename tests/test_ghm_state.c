/* SPDX-License-Identifier: MIT */

/* The state of a GHM handle as bytes: what goes out comes back, and what is no state does
 * no harm. */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "focalghm/focalghm.h"
#include "support/random.h"
#include "support/suite.h"

/* Bytes of a saved state, in a block of just that size, so that a sanitizer sees a read
 * behind its end. */
struct blob {
    size_t size;
    unsigned char *bytes;
};

static unsigned char *block(size_t size) {
    unsigned char *const bytes = malloc(size > 0 ? size : 1);
    assert_non_null(bytes);
    return bytes;
}

static struct blob saved(const fghm_ghm *ghm) {
    struct blob b;
    assert_int_equal(fghm_ghm_get_state_size(ghm, &b.size), FGHM_OK);
    b.bytes = block(b.size);
    assert_int_equal(fghm_ghm_save(ghm, b.size, b.bytes), FGHM_OK);
    return b;
}

static void assert_same_blob(struct blob a, struct blob b) {
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
}

static fghm_ghm *new_handle(void) {
    fghm_ghm *ghm = NULL;
    assert_int_equal(fghm_ghm_create(&ghm), FGHM_OK);
    return ghm;
}

/* All that can be set. */
struct settings {
    size_t bins, histograms;
    bool custom_edges;
    double momentum;
    fghm_momentum_rule rule;
    fghm_divisor divisor;
    double cap, loss_weight, mu;
    fghm_reduction reduction;
    double normalizer;
};

static const struct settings cases[] = {
    {10, 1, false, 0.0, FGHM_MOMENTUM_CORRECTED, FGHM_DIVISOR_NONEMPTY_BINS, (double)INFINITY, 1.0,
     0.02, FGHM_REDUCTION_MEAN, 1.0},
    {30, 1, false, 0.9, FGHM_MOMENTUM_CORRECTED, FGHM_DIVISOR_ALL_BINS, 3.5, 0.25, 0.5,
     FGHM_REDUCTION_SUM, 1.0},
    {30, 1, false, 0.75, FGHM_MOMENTUM_REFERENCE, FGHM_DIVISOR_NONEMPTY_BINS, 100.0, 2.0, 1e-3,
     FGHM_REDUCTION_NORMALIZER, 77.0},
    {7, 1, true, 0.5, FGHM_MOMENTUM_REFERENCE, FGHM_DIVISOR_ALL_BINS, (double)INFINITY, 1.0, 3.0,
     FGHM_REDUCTION_MEAN, 1.0},
    {1, 1, false, 0.999, FGHM_MOMENTUM_CORRECTED, FGHM_DIVISOR_NONEMPTY_BINS, (double)INFINITY, 0.0,
     0.02, FGHM_REDUCTION_MEAN, 1.0},
    {5, 3, true, 0.9, FGHM_MOMENTUM_CORRECTED, FGHM_DIVISOR_NONEMPTY_BINS, 4.0, 1.5, 0.02,
     FGHM_REDUCTION_MEAN, 1.0},
    {FGHM_BINS_MAX, 2, false, 0.9, FGHM_MOMENTUM_REFERENCE, FGHM_DIVISOR_ALL_BINS, 9.0, 1.0, 0.02,
     FGHM_REDUCTION_SUM, 1.0},
};

static fghm_ghm *handle(const struct settings *s) {
    fghm_ghm *const ghm = new_handle();
    if (s->custom_edges) {
        double edges[32];
        for (size_t b = 0; b <= s->bins; b++) {
            edges[b] = pow((double)b / (double)s->bins, 1.5);
        }
        assert_int_equal(fghm_ghm_set_edges(ghm, s->bins, edges), FGHM_OK);
    } else {
        assert_int_equal(fghm_ghm_set_bins(ghm, s->bins), FGHM_OK);
    }
    assert_int_equal(fghm_ghm_set_histograms(ghm, s->histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_set_mu(ghm, s->mu), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, s->momentum), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, s->rule), FGHM_OK);
    assert_int_equal(fghm_ghm_set_divisor(ghm, s->divisor), FGHM_OK);
    assert_int_equal(fghm_ghm_set_weight_cap(ghm, s->cap), FGHM_OK);
    assert_int_equal(fghm_ghm_set_loss_weight(ghm, s->loss_weight), FGHM_OK);
    assert_int_equal(fghm_ghm_set_reduction(ghm, s->reduction), FGHM_OK);
    assert_int_equal(fghm_ghm_set_normalizer(ghm, s->normalizer), FGHM_OK);
    return ghm;
}

static void assert_settings(const fghm_ghm *ghm, const struct settings *s) {
    size_t bins = 0, histograms = 0;
    double momentum, cap, loss_weight, mu, normalizer;
    fghm_momentum_rule rule;
    fghm_divisor divisor;
    fghm_reduction reduction;
    assert_int_equal(fghm_ghm_get_bins(ghm, &bins), FGHM_OK);
    assert_int_equal(fghm_ghm_get_histograms(ghm, &histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_get_momentum(ghm, &momentum), FGHM_OK);
    assert_int_equal(fghm_ghm_get_momentum_rule(ghm, &rule), FGHM_OK);
    assert_int_equal(fghm_ghm_get_divisor(ghm, &divisor), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weight_cap(ghm, &cap), FGHM_OK);
    assert_int_equal(fghm_ghm_get_loss_weight(ghm, &loss_weight), FGHM_OK);
    assert_int_equal(fghm_ghm_get_mu(ghm, &mu), FGHM_OK);
    assert_int_equal(fghm_ghm_get_reduction(ghm, &reduction), FGHM_OK);
    assert_int_equal(fghm_ghm_get_normalizer(ghm, &normalizer), FGHM_OK);
    assert_int_equal(bins, s->bins);
    assert_int_equal(histograms, s->histograms);
    assert_true(momentum == s->momentum && cap == s->cap && loss_weight == s->loss_weight);
    assert_true(mu == s->mu && normalizer == s->normalizer);
    assert_int_equal(rule, s->rule);
    assert_int_equal(divisor, s->divisor);
    assert_int_equal(reduction, s->reduction);
}

/* One step of training and its results. */
enum { SAMPLES = 301, CLASSES_MOST = 3 };

struct step {
    double loss, loss_r;
    double gradient[SAMPLES * CLASSES_MOST], gradient_r[SAMPLES * CLASSES_MOST];
};

/* GHM-C first; GHM-R has a handle of its own, of the same settings. */
static void train(fghm_ghm *ghm, fghm_ghm *regression, size_t classes, struct random *r,
                  struct step *step) {
    static double x[SAMPLES * CLASSES_MOST], t[SAMPLES * CLASSES_MOST];
    const size_t n = SAMPLES * classes;
    for (size_t i = 0; i < n; i++) {
        x[i] = 3.0 * random_normal(r);
        t[i] = random_below(r, 5) == 0;
    }
    memset(step, 0, sizeof *step);
    fghm_batch batch = {.size = sizeof batch, .outer = SAMPLES, .classes = classes, .inner = 1};
    batch.logits = (fghm_input){.data = x, .dtype = FGHM_F64};
    batch.targets = (fghm_input){.data = t, .dtype = FGHM_F64};
    batch.gradient = (fghm_output){.data = step->gradient, .dtype = FGHM_F64};
    fghm_result result = {.size = sizeof result};
    assert_int_equal(fghm_ghmc_batch(ghm, NULL, &batch, &result), FGHM_OK);
    step->loss = result.loss;
    batch.gradient.data = step->gradient_r;
    assert_int_equal(fghm_ghmr_batch(regression, NULL, &batch, &result), FGHM_OK);
    step->loss_r = result.loss;
}

static void assert_same_step(const struct step *a, const struct step *b) {
    assert_memory_equal(a, b, sizeof *a);
}

/* A handle of other settings, with a history. */
static fghm_ghm *other_handle(void) {
    static const struct settings other = {40,
                                          1,
                                          false,
                                          0.3,
                                          FGHM_MOMENTUM_REFERENCE,
                                          FGHM_DIVISOR_ALL_BINS,
                                          2.0,
                                          3.0,
                                          0.4,
                                          FGHM_REDUCTION_SUM,
                                          5.0};
    struct random r = random_for(31);
    struct step step;
    fghm_ghm *const ghm = handle(&other);
    fghm_ghm *const regression = handle(&other);
    train(ghm, regression, 1, &r, &step);
    fghm_ghm_destroy(regression);
    return ghm;
}

static fghm_ghm *loaded(struct blob b) {
    fghm_ghm *const ghm = other_handle();
    assert_int_equal(fghm_ghm_load(ghm, b.size, b.bytes), FGHM_OK);
    return ghm;
}

/* The same handle, after a stop. */
static fghm_ghm *stopped(fghm_ghm *ghm) {
    const struct blob b = saved(ghm);
    fghm_ghm_destroy(ghm);
    ghm = loaded(b);
    free(b.bytes);
    return ghm;
}

/* Training that is stopped after each step, and training that is not. */
static void resumed_training_goes_on(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct random r = random_for(32), r_stopped = random_for(32);
        fghm_ghm *const whole = handle(&cases[k]), *const whole_r = handle(&cases[k]);
        fghm_ghm *parts = handle(&cases[k]), *parts_r = handle(&cases[k]);
        static struct step want, got;
        for (int step = 0; step < 6; step++) {
            train(whole, whole_r, cases[k].histograms, &r, &want);
            train(parts, parts_r, cases[k].histograms, &r_stopped, &got);
            assert_same_step(&want, &got);
            parts = stopped(parts);
            parts_r = stopped(parts_r);
        }
        const struct blob a = saved(whole), b = saved(parts);
        assert_same_blob(a, b);
        assert_settings(parts, &cases[k]);
        free(a.bytes);
        free(b.bytes);
        fghm_ghm_destroy(whole);
        fghm_ghm_destroy(whole_r);
        fghm_ghm_destroy(parts);
        fghm_ghm_destroy(parts_r);
    }
}

/* What has been learned can be read after a load as before. */
static void read_back_is_the_same(void **state) {
    struct random r = random_for(33);
    struct step step;
    double before[3][96], after[3][96];
    uint64_t counts[2][96], steps[2];
    size_t nonempty[2];
    fghm_ghm *const ghm = handle(&cases[5]), *const regression = handle(&cases[5]);
    (void)state;
    train(ghm, regression, 3, &r, &step);
    train(ghm, regression, 3, &r, &step);
    const struct blob b = saved(ghm);
    fghm_ghm *const again = loaded(b);
    for (int k = 0; k < 2; k++) {
        const fghm_ghm *const h = k == 0 ? ghm : again;
        double(*const to)[96] = k == 0 ? before : after;
        memset(to, 0, sizeof before);
        memset(counts[k], 0, sizeof counts[k]);
        assert_int_equal(fghm_ghm_get_edges(h, 96, to[0]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_averages(h, 96, to[1]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(h, 96, to[2]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(h, 96, counts[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_steps(h, &steps[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_nonempty(h, 2, &nonempty[k]), FGHM_OK);
    }
    assert_memory_equal(before, after, sizeof before);
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    assert_int_equal(steps[0], 2);
    assert_int_equal(steps[1], 2);
    assert_int_equal(nonempty[0], nonempty[1]);
    free(b.bytes);
    fghm_ghm_destroy(ghm);
    fghm_ghm_destroy(regression);
    fghm_ghm_destroy(again);
}

static void room_is_needed(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        fghm_ghm *const ghm = handle(&cases[k]);
        const struct blob b = saved(ghm);
        unsigned char *const room = block(b.size + 2);
        memset(room, 0x5a, b.size + 2);
        assert_int_equal(fghm_ghm_save(ghm, b.size - 1, room), FGHM_ERROR_CAPACITY);
        for (size_t i = 0; i < b.size + 2; i++) {
            assert_int_equal(room[i], 0x5a);
        }
        /* At an odd address, with more room than it takes. */
        assert_int_equal(fghm_ghm_save(ghm, b.size + 1, room + 1), FGHM_OK);
        assert_int_equal(room[0], 0x5a);
        assert_int_equal(room[b.size + 1], 0x5a);
        assert_memory_equal(room + 1, b.bytes, b.size);
        fghm_ghm *const again = other_handle();
        assert_int_equal(fghm_ghm_load(again, b.size, room + 1), FGHM_OK);
        fghm_ghm_destroy(again);
        fghm_ghm_destroy(ghm);
        free(room);
        free(b.bytes);
    }
}

/* A handle that is not to change. */
struct witness {
    fghm_ghm *ghm;
    struct blob before;
};

static struct witness witness_new(void) {
    fghm_ghm *const ghm = other_handle();
    return (struct witness){ghm, saved(ghm)};
}

static void assert_refused(const struct witness *w, size_t size, const void *bytes) {
    const fghm_status status = fghm_ghm_load(w->ghm, size, bytes);
    if (status != FGHM_ERROR_STATE) {
        fail_msg("%zu bytes: status %d", size, (int)status);
    }
    const struct blob after = saved(w->ghm);
    assert_same_blob(w->before, after);
    free(after.bytes);
}

static void witness_free(struct witness *w) {
    fghm_ghm_destroy(w->ghm);
    free(w->before.bytes);
}

static struct blob trained_blob(const struct settings *s) {
    struct random r = random_for(34);
    struct step step;
    fghm_ghm *const ghm = handle(s), *const regression = handle(s);
    train(ghm, regression, s->histograms, &r, &step);
    const struct blob b = saved(ghm);
    fghm_ghm_destroy(ghm);
    fghm_ghm_destroy(regression);
    return b;
}

static void cut_off_is_refused(void **state) {
    struct witness w = witness_new();
    const struct blob b = trained_blob(&cases[5]);
    (void)state;
    for (size_t size = 0; size < b.size; size++) {
        unsigned char *const part = block(size);
        memcpy(part, b.bytes, size);
        assert_refused(&w, size, part);
        free(part);
    }
    unsigned char *const longer = block(b.size + 8);
    memcpy(longer, b.bytes, b.size);
    memset(longer + b.size, 0, 8);
    assert_refused(&w, b.size + 1, longer);
    assert_refused(&w, b.size + 8, longer);
    free(longer);
    free(b.bytes);
    witness_free(&w);
}

static void damage_is_refused(void **state) {
    static const unsigned char flips[] = {0x01, 0x80, 0xff, 0x10};
    struct witness w = witness_new();
    const struct blob b = trained_blob(&cases[3]);
    (void)state;
    for (size_t i = 0; i < b.size; i++) {
        for (size_t k = 0; k < SUITE_COUNT(flips); k++) {
            b.bytes[i] ^= flips[k];
            assert_refused(&w, b.size, b.bytes);
            b.bytes[i] ^= flips[k];
        }
    }
    /* Two numbers in each other's place. */
    for (size_t i = 16; i + 16 <= b.size; i += 8) {
        unsigned char first[8];
        if (memcmp(b.bytes + i, b.bytes + i + 8, 8) != 0) {
            memcpy(first, b.bytes + i, 8);
            memmove(b.bytes + i, b.bytes + i + 8, 8);
            memcpy(b.bytes + i + 8, first, 8);
            assert_refused(&w, b.size, b.bytes);
            memcpy(first, b.bytes + i, 8);
            memmove(b.bytes + i, b.bytes + i + 8, 8);
            memcpy(b.bytes + i + 8, first, 8);
        }
    }
    assert_int_equal(fghm_ghm_load(w.ghm, b.size, b.bytes), FGHM_OK);
    free(b.bytes);
    witness_free(&w);
}

static void foreign_bytes_are_refused(void **state) {
    struct witness w = witness_new();
    struct random r = random_for(35);
    unsigned char *const bytes = block(4096);
    (void)state;
    for (size_t size = 0; size <= 4096; size += 1 + size / 7) {
        memset(bytes, 0, 4096);
        assert_refused(&w, size, bytes);
        memset(bytes, 0xff, 4096);
        assert_refused(&w, size, bytes);
        for (size_t i = 0; i < 4096; i++) {
            bytes[i] = (unsigned char)random_bits(&r);
        }
        assert_refused(&w, size, bytes);
    }
    free(bytes);
    witness_free(&w);
}

/* Values that no setter takes, under a right checksum ------------------------------- */

/* Where numbers stand, in units of 8 bytes. */
enum {
    MAGIC,
    VERSION,
    MOMENTUM,
    RULE,
    DIVISOR,
    CAP,
    LOSS_WEIGHT,
    MU,
    REDUCTION,
    NORMALIZER,
    BINS,
    HISTOGRAMS,
    UNIFORM,
    STEPS,
    START,
    EDGES
};

static void put_u64(struct blob b, size_t at, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        b.bytes[8 * at + (size_t)i] = (unsigned char)(value >> 8 * i);
    }
}

static void put_double(struct blob b, size_t at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(b, at, bits);
}

/* The 64-bit hash of Fowler, Noll and Vo, variant 1a. */
static void sign(struct blob b) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < b.size - 8; i++) {
        hash ^= b.bytes[i];
        hash *= UINT64_C(1099511628211);
    }
    put_u64(b, b.size / 8 - 1, hash);
}

static void senseless_numbers_are_refused(void **state) {
    static const struct {
        size_t at;
        double value;
    } doubles[] = {
        {MOMENTUM, 1.0},
        {MOMENTUM, -0.1},
        {MOMENTUM, NAN},
        {CAP, 0.0},
        {CAP, -1.0},
        {CAP, NAN},
        {LOSS_WEIGHT, -1.0},
        {LOSS_WEIGHT, NAN},
        {LOSS_WEIGHT, INFINITY},
        {MU, 0.0},
        {MU, -0.02},
        {MU, 1e31},
        {MU, NAN},
        {NORMALIZER, 0.0},
        {NORMALIZER, NAN},
        {START, -0.5},
        {START, 1.5},
        {START, NAN},
        {EDGES, 0.1},
        {EDGES, -0.1},
        {EDGES + 1, 0.0},
        {EDGES + 1, 1e-310},
        {EDGES + 2, 0.0},
        {EDGES + 3, NAN},
        {EDGES + 3, 0.999},
        {EDGES + 7, 2.0},
        {EDGES + 7, 0.99},
        /* 8 edges and 8 counts before them. */
        {EDGES + 16, NAN},
        {EDGES + 17, -1.0},
        {EDGES + 18, INFINITY},
        {EDGES + 23, NAN},
        {EDGES + 23, -2.0},
    };
    static const struct {
        size_t at;
        uint64_t value;
    } numbers[] = {
        {MAGIC, 0},
        {VERSION, 0},
        {VERSION, 2},
        {RULE, 2},
        {RULE, UINT64_MAX},
        {RULE, UINT64_C(1) << 32},
        {DIVISOR, 2},
        {DIVISOR, UINT64_C(1) << 63},
        {REDUCTION, 3},
        {REDUCTION, 17},
        {BINS, 0},
        {BINS, 6},
        {BINS, 8},
        {BINS, FGHM_BINS_MAX + 1},
        {BINS, UINT64_MAX},
        {BINS, UINT64_C(1) << 61},
        {HISTOGRAMS, 0},
        {HISTOGRAMS, 2},
        {HISTOGRAMS, UINT64_MAX},
        {HISTOGRAMS, UINT64_C(1) << 60},
        {UNIFORM, 2},
        {UNIFORM, UINT64_MAX},
    };
    struct witness w = witness_new();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(doubles); k++) {
        const struct blob b = trained_blob(&cases[3]);
        put_double(b, doubles[k].at, doubles[k].value);
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        free(b.bytes);
    }
    for (size_t k = 0; k < SUITE_COUNT(numbers); k++) {
        const struct blob b = trained_blob(&cases[3]);
        put_u64(b, numbers[k].at, numbers[k].value);
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        free(b.bytes);
    }
    /* A number more. */
    const struct blob right = trained_blob(&cases[3]);
    const struct blob longer = {right.size + 8, block(right.size + 8)};
    memset(longer.bytes, 0, longer.size);
    memcpy(longer.bytes, right.bytes, right.size);
    sign(longer);
    assert_refused(&w, longer.size, longer.bytes);
    free(longer.bytes);
    free(right.bytes);
    /* The same way of changing bytes, with a sensible value. */
    const struct blob b = trained_blob(&cases[3]);
    put_double(b, MOMENTUM, 0.125);
    sign(b);
    assert_int_equal(fghm_ghm_load(w.ghm, b.size, b.bytes), FGHM_OK);
    double momentum;
    assert_int_equal(fghm_ghm_get_momentum(w.ghm, &momentum), FGHM_OK);
    assert_true(momentum == 0.125);
    free(b.bytes);
    witness_free(&w);
}

/* The format ------------------------------------------------------------------------- */

/* Three bins with edges at 1/4 and 1/2, momentum 1/2, cap 8, two updates with the counts
 * 4 0 12 and 8 4 4, of which one element more was in no bin. */
static const char written[] =
    "4f43414c47484d0a0100000000000000000000000000e03f00000000000000000000000000000000"
    "00000000000020400000000000000040000000000000e03f0100000000000000000000000000f03f"
    "0300000000000000010000000000000000000000000000000200000000000000000000000000d03f"
    "0000000000000000000000000000d03f000000000000e03f000000000000f03f0800000000000000"
    "04000000000000000400000000000000010000000000000000000000000014400000000000000040"
    "000000000000144000000000000029402710274d6a39627d";

static fghm_ghm *example(void) {
    static const double edges[] = {0.0, 0.25, 0.5, 1.0};
    static const uint64_t counts[2][4] = {{4, 0, 12, 0}, {8, 4, 4, 1}};
    fghm_ghm *const ghm = new_handle();
    assert_int_equal(fghm_ghm_set_edges(ghm, 3, edges), FGHM_OK);
    assert_int_equal(fghm_ghm_set_mu(ghm, 0.5), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, 0.5), FGHM_OK);
    assert_int_equal(fghm_ghm_set_weight_cap(ghm, 8.0), FGHM_OK);
    assert_int_equal(fghm_ghm_set_loss_weight(ghm, 2.0), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 4, counts[0]), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 4, counts[1]), FGHM_OK);
    return ghm;
}

/* Bytes that were saved once are saved and loaded by every later version. */
static void format_stays(void **state) {
    fghm_ghm *const ghm = example();
    const struct blob b = saved(ghm);
    char *const hex = malloc(2 * b.size + 1);
    double averages[3], weights[3];
    uint64_t counts[3];
    (void)state;
    assert_non_null(hex);
    for (size_t i = 0; i < b.size; i++) {
        snprintf(hex + 2 * i, 3, "%02x", b.bytes[i]);
    }
    assert_string_equal(hex, written);
    fghm_ghm *const again = loaded(b);
    assert_int_equal(fghm_ghm_get_averages(again, 3, averages), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(again, 3, weights), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(again, 3, counts), FGHM_OK);
    /* (4 / 4 + 8 / 2) / (3 / 4) and so on; T = 16 / 4 + 17 / 2. */
    assert_true(averages[0] == 5.0 / 0.75 && averages[1] == 2.0 / 0.75 &&
                averages[2] == 5.0 / 0.75);
    assert_true(weights[0] == 12.5 / 15.0 && weights[1] == 12.5 / 6.0 && weights[2] == 12.5 / 15.0);
    assert_true(counts[0] == 8 && counts[1] == 4 && counts[2] == 4);
    free(hex);
    free(b.bytes);
    fghm_ghm_destroy(ghm);
    fghm_ghm_destroy(again);
}

/* --------------------------------------------------------------------------------- */

static void null_is_refused(void **state) {
    fghm_ghm *const ghm = new_handle();
    const struct blob b = saved(ghm);
    size_t size = 77;
    (void)state;
    assert_int_equal(fghm_ghm_get_state_size(NULL, &size), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(size, 77);
    assert_int_equal(fghm_ghm_get_state_size(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_save(NULL, b.size, b.bytes), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_save(ghm, b.size, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_load(NULL, b.size, b.bytes), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_load(ghm, b.size, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_reset(NULL), FGHM_ERROR_NULL_HANDLE);
    free(b.bytes);
    fghm_ghm_destroy(ghm);
}

/* After a reset, a handle is one with the same settings that was never used. */
static void reset_forgets(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct random r = random_for(36);
        struct step step;
        fghm_ghm *const fresh = handle(&cases[k]), *const used = handle(&cases[k]);
        fghm_ghm *const regression = handle(&cases[k]);
        train(used, regression, cases[k].histograms, &r, &step);
        assert_int_equal(fghm_ghm_reset(used), FGHM_OK);
        const struct blob a = saved(fresh), b = saved(used);
        assert_same_blob(a, b);
        free(a.bytes);
        free(b.bytes);
        fghm_ghm_destroy(fresh);
        fghm_ghm_destroy(used);
        fghm_ghm_destroy(regression);
    }
}

int main(void) {
    const struct suite_test tests[] = {
        {"resumed_training_goes_on", resumed_training_goes_on, 0},
        {"read_back_is_the_same", read_back_is_the_same, 0},
        {"room_is_needed", room_is_needed, 0},
        {"cut_off_is_refused", cut_off_is_refused, 0},
        {"damage_is_refused", damage_is_refused, 0},
        {"foreign_bytes_are_refused", foreign_bytes_are_refused, 0},
        {"senseless_numbers_are_refused", senseless_numbers_are_refused, 0},
        {"format_stays", format_stays, 0},
        {"null_is_refused", null_is_refused, 0},
        {"reset_forgets", reset_forgets, 0},
    };
    return suite_run("ghm_state", tests, SUITE_COUNT(tests));
}
