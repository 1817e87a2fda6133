/* SPDX-License-Identifier: MIT */

/* The state of a GHM handle as bytes: what goes out comes back, and what is no state does
 * no harm. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "focalghm/focalghm.h"
#include "support/descriptor.h"
#include "support/dtype.h"
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

static fghm_ghm *new_handle(fghm_ghm_kind kind) {
    fghm_ghm *ghm = NULL;
    assert_int_equal(fghm_ghm_create(&ghm, kind), FGHM_OK);
    return ghm;
}

/* All that can be set. */
struct settings {
    fghm_ghm_kind kind;
    size_t bins, histograms;
    bool custom_edges;
    double momentum;
    fghm_ghm_momentum_rule rule;
    fghm_ghm_divisor divisor;
    double cap, loss_weight, mu;
    fghm_reduction reduction;
    double normalizer;
};

static const struct settings cases[] = {
    {FGHM_GHM_REGRESSION, 10, 1, false, 0.0, FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS, (double)INFINITY, 1.0, 0.02, FGHM_REDUCTION_MEAN, 1.0},
    {FGHM_GHM_REGRESSION, 30, 1, false, 0.9, FGHM_GHM_MOMENTUM_CORRECTED, FGHM_GHM_DIVISOR_ALL_BINS,
     3.5, 0.25, 0.5, FGHM_REDUCTION_SUM, 1.0},
    {FGHM_GHM_REGRESSION, 30, 1, false, 0.75, FGHM_GHM_MOMENTUM_REFERENCE,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS, 100.0, 2.0, 1e-3, FGHM_REDUCTION_NORMALIZER, 77.0},
    {FGHM_GHM_REGRESSION, 7, 1, true, 0.5, FGHM_GHM_MOMENTUM_REFERENCE, FGHM_GHM_DIVISOR_ALL_BINS,
     (double)INFINITY, 1.0, 3.0, FGHM_REDUCTION_MEAN, 1.0},
    {FGHM_GHM_REGRESSION, 1, 1, false, 0.999, FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS, (double)INFINITY, 0.0, 0.02, FGHM_REDUCTION_MEAN, 1.0},
    {FGHM_GHM_REGRESSION, 5, 3, true, 0.9, FGHM_GHM_MOMENTUM_CORRECTED,
     FGHM_GHM_DIVISOR_NONEMPTY_BINS, 4.0, 1.5, 0.02, FGHM_REDUCTION_MEAN, 1.0},
    {FGHM_GHM_REGRESSION, FGHM_BINS_MAX, 2, false, 0.9, FGHM_GHM_MOMENTUM_REFERENCE,
     FGHM_GHM_DIVISOR_ALL_BINS, 9.0, 1.0, 0.02, FGHM_REDUCTION_SUM, 1.0},
};

static fghm_ghm *handle(const struct settings *s) {
    fghm_ghm *const ghm = new_handle(s->kind);
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
    if (s->kind == FGHM_GHM_REGRESSION) {
        assert_int_equal(fghm_ghm_set_mu(ghm, s->mu), FGHM_OK);
    }
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
    double momentum, cap, loss_weight, mu = s->mu, normalizer;
    fghm_ghm_momentum_rule rule;
    fghm_ghm_divisor divisor;
    fghm_reduction reduction;
    assert_int_equal(fghm_ghm_get_bins(ghm, &bins), FGHM_OK);
    assert_int_equal(fghm_ghm_get_histograms(ghm, &histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_get_momentum(ghm, &momentum), FGHM_OK);
    assert_int_equal(fghm_ghm_get_momentum_rule(ghm, &rule), FGHM_OK);
    assert_int_equal(fghm_ghm_get_divisor(ghm, &divisor), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weight_cap(ghm, &cap), FGHM_OK);
    assert_int_equal(fghm_ghm_get_loss_weight(ghm, &loss_weight), FGHM_OK);
    if (s->kind == FGHM_GHM_REGRESSION) {
        assert_int_equal(fghm_ghm_get_mu(ghm, &mu), FGHM_OK);
    }
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
enum { SAMPLES = 101, CLASSES_MOST = 3, ELEMENTS = SAMPLES * CLASSES_MOST };

/* Room for either type. */
struct step {
    double loss, element_loss[ELEMENTS], gradient[ELEMENTS], hessian[ELEMENTS];
};

static void train(const struct dtype *d, fghm_ghm *ghm, size_t classes, struct random *r,
                  struct step *step) {
    static double x[ELEMENTS], t[ELEMENTS];
    const fghm_dtype dtype = d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
    for (size_t i = 0; i < SAMPLES * classes; i++) {
        d->put(x, i, 3.0 * random_normal(r));
        d->put(t, i, random_below(r, 5) == 0);
    }
    memset(step, 0, sizeof *step);
    fghm_batch batch = descriptor_of(SAMPLES, classes, 1);
    batch.logits = (fghm_input){.data = x, .dtype = dtype};
    batch.targets = (fghm_input){.data = t, .dtype = dtype};
    batch.element_loss = (fghm_output){.data = step->element_loss, .dtype = dtype};
    batch.gradient = (fghm_output){.data = step->gradient, .dtype = dtype};
    batch.hessian = (fghm_output){.data = step->hessian, .dtype = dtype};
    fghm_result result = FGHM_RESULT_INIT;
    assert_int_equal(fghm_ghm_step_batch(ghm, NULL, &batch, &result), FGHM_OK);
    step->loss = result.loss;
}

/* The same with what tests that are not about results need. */
static void train_a_step(fghm_ghm *ghm, size_t classes, struct random *r) {
    struct step step;
    train(&dtypes[1], ghm, classes, r, &step);
}

/* Everything that can be read but the settings. */
static void assert_same_readings(const fghm_ghm *a, const fghm_ghm *b) {
    const fghm_ghm *const handles[2] = {a, b};
    size_t bins, histograms, size;
    assert_int_equal(fghm_ghm_get_bins(a, &bins), FGHM_OK);
    assert_int_equal(fghm_ghm_get_histograms(a, &histograms), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts_size(a, &size), FGHM_OK);
    uint64_t *counts[2], steps[2];
    size_t *nonempty[2];
    double *numbers[2];
    for (int k = 0; k < 2; k++) {
        counts[k] = calloc(size, sizeof *counts[k]);
        nonempty[k] = calloc(histograms, sizeof *nonempty[k]);
        numbers[k] = calloc(3 * size, sizeof *numbers[k]);
        assert_true(counts[k] != NULL && nonempty[k] != NULL && numbers[k] != NULL);
        assert_int_equal(fghm_ghm_get_edges(handles[k], bins + 1, numbers[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_averages(handles[k], size, numbers[k] + size), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(handles[k], size, numbers[k] + 2 * size), FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(handles[k], size, counts[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_nonempty(handles[k], histograms, nonempty[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_steps(handles[k], &steps[k]), FGHM_OK);
    }
    assert_memory_equal(counts[0], counts[1], size * sizeof *counts[0]);
    assert_memory_equal(nonempty[0], nonempty[1], histograms * sizeof *nonempty[0]);
    assert_memory_equal(numbers[0], numbers[1], 3 * size * sizeof *numbers[0]);
    assert_int_equal(steps[0], steps[1]);
    for (int k = 0; k < 2; k++) {
        free(counts[k]);
        free(nonempty[k]);
        free(numbers[k]);
    }
}

/* A handle of other settings, with a history. */
static fghm_ghm *other_handle(fghm_ghm_kind kind) {
    const struct settings other = {kind,
                                   40,
                                   1,
                                   false,
                                   0.3,
                                   FGHM_GHM_MOMENTUM_REFERENCE,
                                   FGHM_GHM_DIVISOR_ALL_BINS,
                                   2.0,
                                   3.0,
                                   0.4,
                                   FGHM_REDUCTION_SUM,
                                   5.0};
    struct random r = random_for(31);
    fghm_ghm *const ghm = handle(&other);
    train_a_step(ghm, 1, &r);
    return ghm;
}

static fghm_ghm *loaded_into(fghm_ghm *ghm, struct blob b) {
    assert_int_equal(fghm_ghm_load(ghm, b.size, b.bytes), FGHM_OK);
    const struct blob again = saved(ghm);
    assert_same_blob(b, again);
    free(again.bytes);
    return ghm;
}

/* The same handle, after a stop. */
static fghm_ghm *stopped(fghm_ghm *ghm, fghm_ghm *into) {
    const struct blob b = saved(ghm);
    assert_same_readings(ghm, loaded_into(into, b));
    free(b.bytes);
    fghm_ghm_destroy(ghm);
    return into;
}

/* Training that is not stopped, that is once, and that is after each step. */
static void check_resumed(const struct dtype *d, const struct settings *s) {
    enum { WHOLE, HALVES, STEPS, WAYS };
    static struct step results[WAYS];
    fghm_ghm *ghm[WAYS];
    struct random r[WAYS];
    for (int way = 0; way < WAYS; way++) {
        ghm[way] = handle(s);
        r[way] = random_for(32);
    }
    for (int step = 0; step < 10; step++) {
        for (int way = 0; way < WAYS; way++) {
            train(d, ghm[way], s->histograms, &r[way], &results[way]);
            assert_memory_equal(&results[way], &results[WHOLE], sizeof results[way]);
        }
        if (step == 4) {
            ghm[HALVES] = stopped(ghm[HALVES], new_handle(s->kind));
        }
        ghm[STEPS] = stopped(ghm[STEPS], step % 2 ? other_handle(s->kind) : new_handle(s->kind));
    }
    const struct blob want = saved(ghm[WHOLE]);
    for (int way = 0; way < WAYS; way++) {
        const struct blob got = saved(ghm[way]);
        assert_same_blob(want, got);
        assert_same_readings(ghm[WHOLE], ghm[way]);
        assert_settings(ghm[way], s);
        free(got.bytes);
    }
    free(want.bytes);
    for (int way = 0; way < WAYS; way++) {
        fghm_ghm_destroy(ghm[way]);
    }
}

static void resumed_training_goes_on(void **state) {
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct settings s = cases[k];
        check_resumed(*state, &s);
        s.kind = FGHM_GHM_CLASSIFICATION;
        check_resumed(*state, &s);
    }
}

static void with_any_momentum(void **state) {
    static const double momenta[] = {0.0, 0.5, 0.9, 0.999, 1 - 0x1p-53};
    for (size_t k = 0; k < SUITE_COUNT(momenta); k++) {
        for (int rule = FGHM_GHM_MOMENTUM_CORRECTED; rule <= FGHM_GHM_MOMENTUM_REFERENCE; rule++) {
            struct settings s = cases[k % 2 ? 3 : 5];
            s.momentum = momenta[k];
            s.rule = rule;
            check_resumed(*state, &s);
            s.kind = FGHM_GHM_CLASSIFICATION;
            check_resumed(*state, &s);
        }
    }
}

/* The averages remember what momentum was, not only what it is. */
static void momentum_that_changes(void **state) {
    static const double momenta[] = {0.9, 0.0, 0.5, 0.999, 0.25};
    struct random r[2] = {random_for(37), random_for(37)};
    fghm_ghm *ghm[2] = {handle(&cases[5]), handle(&cases[5])};
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(momenta); k++) {
        for (int way = 0; way < 2; way++) {
            assert_int_equal(fghm_ghm_set_momentum(ghm[way], momenta[k]), FGHM_OK);
            train_a_step(ghm[way], 3, &r[way]);
        }
        ghm[1] = stopped(ghm[1], new_handle(FGHM_GHM_REGRESSION));
        assert_same_readings(ghm[0], ghm[1]);
    }
    fghm_ghm_destroy(ghm[0]);
    fghm_ghm_destroy(ghm[1]);
}

/* Whatever update takes can be saved and loaded: no counts, few, and as many as a number
 * holds. */
static void any_counts_come_back(void **state) {
    static const size_t shapes[][2] = {
        {1, 1}, {3, 5}, {FGHM_BINS_MAX, 2}, {1, FGHM_HISTOGRAMS_MAX}};
    static const double momenta[] = {0.0, 0.5, 1 - 0x1p-53, 0x1p-1074};
    struct random r = random_for(38);
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(shapes) * SUITE_COUNT(momenta) * 2; k++) {
        const size_t *const shape = shapes[k / 2 / SUITE_COUNT(momenta)];
        struct settings s = cases[0];
        s.bins = shape[0];
        s.histograms = shape[1];
        s.momentum = momenta[k / 2 % SUITE_COUNT(momenta)];
        s.rule = (int)k % 2;
        fghm_ghm *ghm = handle(&s);
        const size_t size = s.histograms * (s.bins + 1);
        uint64_t *const counts = calloc(size, sizeof *counts);
        assert_non_null(counts);
        for (int step = 0; step < 4; step++) {
            ghm = stopped(ghm, new_handle(s.kind));
            uint64_t sum = 0;
            for (size_t i = 0; i < size; i++) {
                const uint64_t some[] = {0, 0, 1, random_below(&r, 100000)};
                counts[i] = some[random_below(&r, 4)];
                sum += counts[i];
            }
            counts[random_below(&r, size)] += step % 2 ? UINT64_MAX - sum : 0;
            assert_int_equal(fghm_ghm_update(ghm, size, counts), FGHM_OK);
        }
        ghm = stopped(ghm, new_handle(s.kind));
        assert_settings(ghm, &s);
        free(counts);
        fghm_ghm_destroy(ghm);
    }
}

/* Edges that were set are not taken for bins of equal width, even where they are. */
static void set_edges_stay_set(void **state) {
    static const double edges[] = {0.0, 0.25, 0.5, 0.75, 1.0};
    fghm_ghm *const even = new_handle(FGHM_GHM_REGRESSION), *const set =
                                                                new_handle(FGHM_GHM_REGRESSION);
    (void)state;
    assert_int_equal(fghm_ghm_set_bins(even, 4), FGHM_OK);
    assert_int_equal(fghm_ghm_set_edges(set, 4, edges), FGHM_OK);
    fghm_ghm_destroy(stopped(even, new_handle(FGHM_GHM_REGRESSION)));
    fghm_ghm_destroy(stopped(set, new_handle(FGHM_GHM_REGRESSION)));
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
        fghm_ghm *const again = other_handle(FGHM_GHM_REGRESSION);
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
    fghm_ghm *const ghm = other_handle(FGHM_GHM_REGRESSION);
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
    fghm_ghm *const ghm = handle(s);
    train_a_step(ghm, s->histograms, &r);
    const struct blob b = saved(ghm);
    fghm_ghm_destroy(ghm);
    return b;
}

/* Where numbers stand, in units of 8 bytes; before each its field's number and length. */
enum {
    MAGIC,
    MOMENTUM = 3,
    RULE = 6,
    DIVISOR = 9,
    CAP = 12,
    LOSS_WEIGHT = 15,
    MU = 18,
    REDUCTION = 21,
    NORMALIZER = 24,
    NUMERICS = 27,
    KIND = 30,
    BINS = 33,
    HISTOGRAMS = 36,
    EDGES = 39 /* if they were set */
};

/* And the arrays of the state with 7 bins that is spoiled. */
enum {
    STEPS = EDGES + 8 + 2,
    START,
    COUNTS,
    AVERAGES = COUNTS + 8,
    TOTALS = AVERAGES + 7,
    CHECKSUM
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

/* The start of a state, at an odd address at the end of its block. */
static void assert_start_refused(const struct witness *w, struct blob b, size_t size) {
    unsigned char *const part = block(size + 1);
    const struct blob inside = {size, part + 1};
    memcpy(inside.bytes, b.bytes, size);
    assert_refused(w, size, inside.bytes);
    if (size >= 16 && size % 8 == 0) {
        sign(inside);
        assert_refused(w, size, inside.bytes);
    }
    free(part);
}

/* Bytes are missing, or there are more, also with a checksum that is right. */
static void other_sizes_are_refused(void **state) {
    static const size_t which[] = {3, 4, 5};
    struct witness w = witness_new();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(which); k++) {
        const struct blob b = trained_blob(&cases[which[k]]);
        const struct blob longer = {b.size + 64, block(b.size + 64)};
        memset(longer.bytes, 0, longer.size);
        memcpy(longer.bytes, b.bytes, b.size);
        for (size_t size = 0; size <= longer.size; size++) {
            if (size != b.size) {
                assert_start_refused(&w, longer, size);
            }
        }
        free(longer.bytes);
        free(b.bytes);
    }
    witness_free(&w);
}

static void damage_is_refused(void **state) {
    static const unsigned char flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20,
                                          0x40, 0x80, 0xff, 0x55, 0xaa};
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

static void assert_foreign_refused(const struct witness *w, struct blob b) {
    assert_refused(w, b.size, b.bytes);
    if (b.size >= 16 && b.size % 8 == 0) {
        /* As near to a state as it gets by chance. */
        put_u64(b, MAGIC, UINT64_C(0x0a4d48474c41434f));
        put_u64(b, MAGIC + 1, 1); /* a field */
        sign(b);
        assert_refused(w, b.size, b.bytes);
    }
}

static void foreign_bytes_are_refused(void **state) {
    static const char text[] = "GHM 1\nbins 10\nmomentum 0.75\n";
    struct witness w = witness_new();
    struct random r = random_for(35);
    (void)state;
    for (size_t size = 0; size <= 4096; size += size < 256 ? 1 : 8 * (1 + size / 256)) {
        const struct blob b = {size, block(size)};
        memset(b.bytes, 0, size);
        assert_foreign_refused(&w, b);
        memset(b.bytes, 0xff, size);
        assert_foreign_refused(&w, b);
        for (size_t i = 0; i < size; i++) {
            b.bytes[i] = (unsigned char)text[i % (sizeof text - 1)];
        }
        assert_foreign_refused(&w, b);
        for (size_t i = 0; i < size; i++) {
            b.bytes[i] = (unsigned char)random_bits(&r);
        }
        assert_foreign_refused(&w, b);
        free(b.bytes);
    }
    witness_free(&w);
}

/* Values that no setter takes, under a right checksum ------------------------------- */

/* A state whose bins all have elements, to spoil. */
static struct blob sound_blob(void) {
    static const uint64_t counts[] = {5, 1, 4, 1, 5, 9, 2, 1};
    fghm_ghm *const ghm = handle(&cases[3]);
    assert_int_equal(fghm_ghm_update(ghm, SUITE_COUNT(counts), counts), FGHM_OK);
    const struct blob b = saved(ghm);
    assert_int_equal(b.size, 8 * (CHECKSUM + 1));
    fghm_ghm_destroy(ghm);
    return b;
}

static void senseless_numbers_are_refused(void **state) {
    static const struct {
        size_t at;
        double value;
    } doubles[] = {
        {MOMENTUM, 1.0},
        {MOMENTUM, -0.1},
        {MOMENTUM, NAN},
        {MOMENTUM, INFINITY},
        {CAP, 0.0},
        {CAP, 0x1p-41},
        {CAP, -1.0},
        {CAP, NAN},
        {LOSS_WEIGHT, -1.0},
        {LOSS_WEIGHT, 0x1p-41},
        {LOSS_WEIGHT, 0x1p41},
        {LOSS_WEIGHT, NAN},
        {LOSS_WEIGHT, INFINITY},
        {MU, 0.0},
        {MU, -0.02},
        {MU, 1e-31},
        {MU, 1e31},
        {MU, INFINITY},
        {MU, NAN},
        {NORMALIZER, 0.0},
        {NORMALIZER, -1.0},
        {NORMALIZER, 0x1p-41},
        {NORMALIZER, 0x1p61},
        {NORMALIZER, INFINITY},
        {NORMALIZER, NAN},
        {START, -0.5},
        {START, 1.0}, /* which it is before the first step alone */
        {START, 1.5},
        {START, NAN},
        {EDGES, 0.1},
        {EDGES, -0.1},
        {EDGES, NAN},
        {EDGES + 1, 0.0},
        {EDGES + 1, 1e-310},
        {EDGES + 2, 0.0},
        {EDGES + 3, NAN},
        {EDGES + 3, 0.999},
        {EDGES + 7, 2.0},
        {EDGES + 7, 0.99},
        {EDGES + 7, NAN},
        {AVERAGES, NAN},
        {AVERAGES + 1, -1.0},
        {AVERAGES + 2, INFINITY},
        {AVERAGES + 3, 1e300}, /* above all counts */
        {AVERAGES + 6, 0.0},   /* with elements in the bin */
        {AVERAGES + 6, 1e-320},
        {TOTALS, NAN},
        {TOTALS, -2.0},
        {TOTALS, INFINITY},
        {TOTALS, 1e300},
        {TOTALS, 0.0},
    };
    static const struct {
        size_t at;
        uint64_t value;
    } numbers[] = {
        {MAGIC, 0},
        {KIND, 0},
        {KIND, 3},
        {KIND, UINT64_C(1) << 32 | 2},
        {KIND, UINT64_MAX},
        {RULE, 2},
        {RULE, UINT64_MAX},
        {RULE, 7},
        {RULE, UINT64_C(1) << 32},
        {DIVISOR, 2},
        {DIVISOR, UINT64_MAX},
        {DIVISOR, UINT64_C(1) << 63},
        {REDUCTION, 3},
        {REDUCTION, 17},
        {REDUCTION, UINT64_MAX},
        {BINS, 0},
        {BINS, 6},
        {BINS, 8},
        {BINS, FGHM_BINS_MAX + 1},
        {BINS, UINT64_MAX},
        {BINS, UINT64_C(1) << 61},
        {HISTOGRAMS, 0},
        {HISTOGRAMS, 2},
        {HISTOGRAMS, FGHM_HISTOGRAMS_MAX},
        {HISTOGRAMS, FGHM_HISTOGRAMS_MAX + 1},
        {HISTOGRAMS, UINT64_MAX},
        {HISTOGRAMS, UINT64_C(1) << 60},
        {COUNTS, UINT64_MAX}, /* whose sum is more */
        {STEPS, 0},           /* with a history */
    };
    struct witness w = witness_new();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(doubles); k++) {
        const struct blob b = sound_blob();
        put_double(b, doubles[k].at, doubles[k].value);
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        free(b.bytes);
    }
    for (size_t k = 0; k < SUITE_COUNT(numbers); k++) {
        const struct blob b = sound_blob();
        put_u64(b, numbers[k].at, numbers[k].value);
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        free(b.bytes);
    }
    /* The same way of changing bytes, with a sensible value. */
    const struct blob b = sound_blob();
    put_double(b, MOMENTUM, 0.125);
    sign(b);
    assert_int_equal(fghm_ghm_load(w.ghm, b.size, b.bytes), FGHM_OK);
    double momentum;
    assert_int_equal(fghm_ghm_get_momentum(w.ghm, &momentum), FGHM_OK);
    assert_true(momentum == 0.125);
    free(b.bytes);
    witness_free(&w);
}

/* Dimensions whose size overflows to that of the bytes that there are. */
static void sizes_that_overflow_are_refused(void **state) {
    struct witness w = witness_new();
    (void)state;
    for (int shift = 20; shift < 64; shift++) {
        for (int k = 0; k < 3; k++) {
            const struct blob b = sound_blob();
            put_u64(b, BINS, 7 + (k != 1 ? UINT64_C(1) << shift : 0));
            put_u64(b, HISTOGRAMS, 1 + (k != 0 ? UINT64_C(1) << shift : 0));
            sign(b);
            assert_refused(&w, b.size, b.bytes);
            free(b.bytes);
        }
        const struct blob b = sound_blob();
        put_u64(b, EDGES - 1, 64 + (UINT64_C(1) << shift));
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        free(b.bytes);
    }
    witness_free(&w);
}

/* Fields --------------------------------------------------------------------------- */

/* With `removed` numbers less from `at` on and others in their place. */
static struct blob spliced(struct blob b, size_t at, size_t removed, const uint64_t *numbers,
                           size_t count) {
    const size_t size = b.size + 8 * count - 8 * removed;
    const struct blob made = {size, block(size)};
    memcpy(made.bytes, b.bytes, 8 * at);
    for (size_t k = 0; k < count; k++) {
        put_u64(made, at + k, numbers[k]);
    }
    memcpy(made.bytes + 8 * (at + count), b.bytes + 8 * (at + removed),
           b.size - 8 * (at + removed));
    sign(made);
    return made;
}

/* Each field of the sound blob: where it starts, and how many numbers it has. */
static const struct {
    size_t at, count;
    bool optional;
} fields[] = {
    {MOMENTUM - 2, 3, true},
    {RULE - 2, 3, true},
    {DIVISOR - 2, 3, true},
    {CAP - 2, 3, true},
    {LOSS_WEIGHT - 2, 3, true},
    {MU - 2, 3, true},
    {REDUCTION - 2, 3, true},
    {NORMALIZER - 2, 3, true},
    {NUMERICS - 2, 3, true},
    {KIND - 2, 3, false},
    {BINS - 2, 3, false},
    {HISTOGRAMS - 2, 3, false},
    {EDGES - 2, 10, true}, /* else bins are of equal width */
    {STEPS - 2, CHECKSUM - STEPS + 2, false},
};

static uint64_t number_at(struct blob b, size_t at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)b.bytes[8 * at + (size_t)i] << 8 * i;
    }
    return value;
}

/* With no histogram, and with a history that is as long. */
static void no_histograms_are_refused(void **state) {
    static const uint64_t none[] = {0}, history[] = {16, 1, 0};
    struct witness w = witness_new();
    const struct blob b = sound_blob();
    const struct blob shorter = spliced(b, STEPS - 1, CHECKSUM - STEPS + 1, history, 3);
    const struct blob wrong = spliced(shorter, HISTOGRAMS, 1, none, 1);
    (void)state;
    assert_refused(&w, wrong.size, wrong.bytes);
    free(wrong.bytes);
    free(shorter.bytes);
    free(b.bytes);
    witness_free(&w);
}

/* What is missing has its default, or is missed; nothing is there twice; the order is free. */
static void fields_are_missing_or_double(void **state) {
    struct witness w = witness_new();
    const struct blob b = sound_blob();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(fields); k++) {
        uint64_t numbers[CHECKSUM];
        for (size_t i = 0; i < fields[k].count; i++) {
            numbers[i] = number_at(b, fields[k].at + i);
        }
        const struct blob without = spliced(b, fields[k].at, fields[k].count, NULL, 0);
        const struct blob twice = spliced(b, fields[k].at, 0, numbers, fields[k].count);
        const struct blob moved = spliced(without, MAGIC + 1, 0, numbers, fields[k].count);
        const struct blob shorter = spliced(b, fields[k].at + 2, 1, NULL, 0);
        const struct blob longer = spliced(b, fields[k].at + 2, 0, numbers, 1);
        put_u64(shorter, fields[k].at + 1, 8 * (fields[k].count - 3));
        put_u64(longer, fields[k].at + 1, 8 * (fields[k].count - 1));
        sign(shorter);
        sign(longer);
        assert_refused(&w, twice.size, twice.bytes);
        if (fields[k].at != NUMERICS - 2) { /* which is not looked at */
            assert_refused(&w, shorter.size, shorter.bytes);
            assert_refused(&w, longer.size, longer.bytes);
        }
        if (!fields[k].optional) {
            assert_refused(&w, without.size, without.bytes);
        }
        fghm_ghm *made = NULL, *sound = NULL;
        assert_int_equal(fghm_ghm_create_from_state(&made, moved.size, moved.bytes), FGHM_OK);
        assert_int_equal(fghm_ghm_create_from_state(&sound, b.size, b.bytes), FGHM_OK);
        assert_same_readings(made, sound);
        const struct blob again = saved(made);
        assert_same_blob(b, again);
        fghm_ghm_destroy(made);
        fghm_ghm_destroy(sound);
        const struct blob all[] = {without, twice, moved, shorter, longer, again};
        for (size_t i = 0; i < SUITE_COUNT(all); i++) {
            free(all[i].bytes);
        }
    }
    free(b.bytes);
    witness_free(&w);
}

static void missing_settings_have_their_defaults(void **state) {
    const struct blob b = sound_blob();
    const struct blob without = spliced(b, MOMENTUM - 2, NUMERICS - MOMENTUM, NULL, 0);
    fghm_ghm *ghm = NULL;
    struct settings expected = cases[3];
    (void)state;
    expected.momentum = 0.0;
    expected.rule = FGHM_GHM_MOMENTUM_CORRECTED;
    expected.divisor = FGHM_GHM_DIVISOR_NONEMPTY_BINS;
    expected.mu = 0.02;
    assert_int_equal(fghm_ghm_create_from_state(&ghm, without.size, without.bytes), FGHM_OK);
    assert_settings(ghm, &expected);
    fghm_ghm_destroy(ghm);
    free(without.bytes);
    free(b.bytes);
}

/* A later version's fields: passed over, unless their top bit forbids it. */
static void unknown_fields(void **state) {
    static const struct {
        uint64_t number, length;
        size_t numbers;
        bool accepted;
    } trials[] = {
        {99, 0, 0, true},
        {99, 8, 1, true},
        {99, 1, 1, true},
        {99, 24, 3, true},
        {UINT32_MAX, 17, 3, true},
        {UINT64_C(1) << 63 | 99, 8, 1, false},
        {UINT64_C(1) << 63, 8, 1, false},
        {0, 8, 1, false},
        {0, 0, 0, false},
        {UINT64_C(1) << 32, 8, 1, false},
        {99, UINT64_MAX, 1, false},
        {99, UINT64_MAX - 7, 1, false},
        {99, 8 * CHECKSUM, 1, false},
    };
    struct witness w = witness_new();
    const struct blob b = sound_blob();
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(trials) * SUITE_COUNT(fields); k++) {
        const size_t trial = k / SUITE_COUNT(fields);
        const uint64_t numbers[] = {trials[trial].number, trials[trial].length, 5, 6, 7};
        const struct blob with =
            spliced(b, fields[k % SUITE_COUNT(fields)].at, 0, numbers, 2 + trials[trial].numbers);
        if (trials[trial].accepted) {
            fghm_ghm *ghm = NULL;
            assert_int_equal(fghm_ghm_create_from_state(&ghm, with.size, with.bytes), FGHM_OK);
            const struct blob again = saved(ghm);
            assert_same_blob(b, again);
            free(again.bytes);
            fghm_ghm_destroy(ghm);
        } else {
            assert_refused(&w, with.size, with.bytes);
        }
        free(with.bytes);
    }
    free(b.bytes);
    witness_free(&w);
}

/* A state is of one kind, and makes a handle of it. */
static void kinds_do_not_mix(void **state) {
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct settings s = cases[1];
        s.kind = n ? FGHM_GHM_REGRESSION : FGHM_GHM_CLASSIFICATION;
        const fghm_ghm_kind other = n ? FGHM_GHM_CLASSIFICATION : FGHM_GHM_REGRESSION;
        const struct blob b = trained_blob(&s);
        fghm_ghm *const into = other_handle(other), *made = NULL;
        fghm_ghm_kind kind = FGHM_GHM_INVALID;
        const struct blob before = saved(into);
        assert_int_equal(fghm_ghm_load(into, b.size, b.bytes), FGHM_ERROR_KIND);
        const struct blob after = saved(into);
        assert_same_blob(before, after);
        assert_int_equal(fghm_ghm_create_from_state(&made, b.size, b.bytes), FGHM_OK);
        assert_int_equal(fghm_ghm_get_kind(made, &kind), FGHM_OK);
        assert_int_equal(kind, s.kind);
        assert_settings(made, &s);
        fghm_ghm_destroy(made);
        fghm_ghm_destroy(into);
        free(before.bytes);
        free(after.bytes);
        free(b.bytes);
    }
}

/* A copy is what it is a copy of, and from then on another one. */
static void clones_go_their_own_way(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct random r = random_for(40);
        fghm_ghm *const ghm = handle(&cases[k]), *copy = NULL;
        train_a_step(ghm, cases[k].histograms, &r);
        assert_int_equal(fghm_ghm_clone(ghm, &copy), FGHM_OK);
        const struct blob before = saved(ghm), cloned = saved(copy);
        assert_same_blob(before, cloned);
        assert_same_readings(ghm, copy);
        train_a_step(copy, cases[k].histograms, &r);
        const struct blob after = saved(ghm);
        assert_same_blob(before, after);
        fghm_ghm_destroy(ghm);
        train_a_step(copy, cases[k].histograms, &r);
        fghm_ghm_destroy(copy);
        free(before.bytes);
        free(cloned.bytes);
        free(after.bytes);
    }
}

/* No handle has ever come so far but by a state. */
static void steps_end(void **state) {
    const uint64_t counts[] = {1, 1, 1, 1, 1, 1, 1, 0};
    const struct blob b = sound_blob();
    fghm_ghm *ghm = NULL;
    uint64_t steps = 0;
    (void)state;
    put_u64(b, STEPS, UINT64_MAX - 1);
    sign(b);
    assert_int_equal(fghm_ghm_create_from_state(&ghm, b.size, b.bytes), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 8, counts), FGHM_OK);
    const struct blob last = saved(ghm);
    assert_int_equal(fghm_ghm_update(ghm, 8, counts), FGHM_ERROR_COUNTS);
    const struct blob after = saved(ghm);
    assert_same_blob(last, after);
    assert_int_equal(fghm_ghm_get_steps(ghm, &steps), FGHM_OK);
    assert_true(steps == UINT64_MAX);
    fghm_ghm_destroy(ghm);
    free(last.bytes);
    free(after.bytes);
    free(b.bytes);
}

/* Before the first step there is nothing in any of the arrays. */
static void history_without_steps_is_refused(void **state) {
    struct witness w = witness_new();
    fghm_ghm *const fresh = handle(&cases[3]);
    const struct blob b = saved(fresh);
    (void)state;
    assert_int_equal(b.size, 8 * (CHECKSUM + 1));
    for (size_t at = COUNTS; at <= TOTALS; at++) {
        if (at < AVERAGES) {
            put_u64(b, at, 1);
        } else {
            put_double(b, at, 1.0);
        }
        sign(b);
        assert_refused(&w, b.size, b.bytes);
        put_u64(b, at, 0);
    }
    put_double(b, START, 0.5);
    sign(b);
    assert_refused(&w, b.size, b.bytes);
    put_double(b, START, 1.0);
    sign(b);
    loaded_into(w.ghm, b);
    free(b.bytes);
    fghm_ghm_destroy(fresh);
    witness_free(&w);
}

/* The format ------------------------------------------------------------------------- */

/* Three bins with edges at 1/4 and 1/2, momentum 1/2, cap 8, two updates with the counts
 * 4 0 12 and 8 4 4, of which one element more was in no bin. */
static fghm_ghm *example(void) {
    static const double edges[] = {0.0, 0.25, 0.5, 1.0};
    static const uint64_t counts[2][4] = {{4, 0, 12, 0}, {8, 4, 4, 1}};
    fghm_ghm *const ghm = new_handle(FGHM_GHM_REGRESSION);
    assert_int_equal(fghm_ghm_set_edges(ghm, 3, edges), FGHM_OK);
    assert_int_equal(fghm_ghm_set_mu(ghm, 0.5), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, 0.5), FGHM_OK);
    assert_int_equal(fghm_ghm_set_weight_cap(ghm, 8.0), FGHM_OK);
    assert_int_equal(fghm_ghm_set_loss_weight(ghm, 2.0), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 4, counts[0]), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 4, counts[1]), FGHM_OK);
    return ghm;
}

/* Two bins of equal width, two histograms, and what the other one has not set. */
static fghm_ghm *example_of_two(void) {
    static const uint64_t counts[2][6] = {{4, 0, 0, 2, 6, 1}, {8, 8, 0, 0, 4, 0}};
    fghm_ghm *const ghm = new_handle(FGHM_GHM_CLASSIFICATION);
    assert_int_equal(fghm_ghm_set_bins(ghm, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_set_histograms(ghm, 2), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, 0.5), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, FGHM_GHM_MOMENTUM_REFERENCE), FGHM_OK);
    assert_int_equal(fghm_ghm_set_divisor(ghm, FGHM_GHM_DIVISOR_ALL_BINS), FGHM_OK);
    assert_int_equal(fghm_ghm_set_reduction(ghm, FGHM_REDUCTION_NORMALIZER), FGHM_OK);
    assert_int_equal(fghm_ghm_set_normalizer(ghm, 3.0), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 6, counts[0]), FGHM_OK);
    assert_int_equal(fghm_ghm_update(ghm, 6, counts[1]), FGHM_OK);
    return ghm;
}

#define EXAMPLE_STATE                                                                              \
    "4f43414c47484d0a10000000000000800800000000000000000000000000e03f1100000000000080"             \
    "08000000000000000000000000000000120000000000008008000000000000000000000000000000"             \
    "13000000000000800800000000000000000000000000204014000000000000800800000000000000"             \
    "000000000000004015000000000000800800000000000000000000000000e03f1600000000000080"             \
    "0800000000000000010000000000000017000000000000800800000000000000000000000000f03f"             \
    "01000000000000000800000000000000010000000000000002000000000000800800000000000000"             \
    "02000000000000000300000000000080080000000000000003000000000000000400000000000080"             \
    "08000000000000000100000000000000050000000000008020000000000000000000000000000000"             \
    "000000000000d03f000000000000e03f000000000000f03f06000000000000805000000000000000"             \
    "0200000000000000000000000000d03f080000000000000004000000000000000400000000000000"             \
    "01000000000000000000000000001440000000000000004000000000000014400000000000002940"             \
    "8a763e966508e40b"

static const struct format {
    fghm_ghm *(*make)(void);
    const char *state;
    const char *written; /* from it; NULL: the same */
    size_t numbers;
    uint64_t counts[6];
    double averages[4], weights[4];
} formats[] = {
    {example,
     EXAMPLE_STATE,
     NULL,
     3,
     {8, 4, 4, 1},
     /* (4 / 4 + 8 / 2) / (3 / 4) and so on; T = 16 / 4 + 17 / 2. */
     {5.0 / 0.75, 2.0 / 0.75, 5.0 / 0.75},
     {12.5 / 15.0, 12.5 / 6.0, 12.5 / 15.0}},
    {example_of_two,
     "4f43414c47484d0a10000000000000800800000000000000000000000000e03f1100000000000080"
     "08000000000000000100000000000000120000000000008008000000000000000100000000000000"
     "13000000000000800800000000000000000000000000f07f14000000000000800800000000000000"
     "000000000000f03f150000000000008008000000000000007b14ae47e17a943f1600000000000080"
     "08000000000000000200000000000000170000000000008008000000000000000000000000000840"
     "01000000000000000800000000000000010000000000000002000000000000800800000000000000"
     "01000000000000000300000000000080080000000000000002000000000000000400000000000080"
     "08000000000000000200000000000000060000000000008070000000000000000200000000000000"
     "000000000000d03f0800000000000000080000000000000000000000000000000000000000000000"
     "0400000000000000000000000000000000000000000014400000000000001040000000000000f03f"
     "0000000000000c400000000000002240000000000000114080dd972f0e0fe1cd",
     NULL,
     4,
     {8, 8, 0, 0, 4, 0},
     {5.0, 4.0, 1.0, 3.5},
     {16.0 / 10.0, 16.0 / 8.0, 0.0, 4.0 / 7.0}},
    /* The first with a field 1000, "later", as a version to come may write it. */
    {example,
     "4f43414c47484d0a10000000000000800800000000000000000000000000e03fe803000000000000"
     "05000000000000006c61746572000000110000000000008008000000000000000000000000000000"
     "12000000000000800800000000000000000000000000000013000000000000800800000000000000"
     "00000000000020401400000000000080080000000000000000000000000000401500000000000080"
     "0800000000000000000000000000e03f160000000000008008000000000000000100000000000000"
     "17000000000000800800000000000000000000000000f03f01000000000000000800000000000000"
     "01000000000000000200000000000080080000000000000002000000000000000300000000000080"
     "08000000000000000300000000000000040000000000008008000000000000000100000000000000"
     "050000000000008020000000000000000000000000000000000000000000d03f000000000000e03f"
     "000000000000f03f060000000000008050000000000000000200000000000000000000000000d03f"
     "08000000000000000400000000000000040000000000000001000000000000000000000000001440"
     "000000000000004000000000000014400000000000002940a4455c8da4069c3d",
     EXAMPLE_STATE,
     3,
     {8, 4, 4, 1},
     {5.0 / 0.75, 2.0 / 0.75, 5.0 / 0.75},
     {12.5 / 15.0, 12.5 / 6.0, 12.5 / 15.0}},
};

static struct blob blob_of(const char *written) {
    const struct blob b = {strlen(written) / 2, block(strlen(written) / 2)};
    for (size_t i = 0; i < b.size; i++) {
        const char hex[] = {written[2 * i], written[2 * i + 1], 0};
        b.bytes[i] = (unsigned char)strtoul(hex, NULL, 16);
    }
    return b;
}

static void check_format(const struct format *format) {
    const struct blob b = blob_of(format->state);
    const struct blob want = blob_of(format->written != NULL ? format->written : format->state);
    double averages[4], weights[4];
    uint64_t counts[6], steps;
    size_t size_of_counts = 0;
    put_u64(want, NUMERICS, (uint64_t)fghm_numerics_revision());
    sign(want);
    fghm_ghm *const made = format->make();
    const struct blob got = saved(made);
    assert_same_blob(want, got);
    fghm_ghm *ghm = NULL;
    assert_int_equal(fghm_ghm_create_from_state(&ghm, b.size, b.bytes), FGHM_OK);
    const struct blob again = saved(ghm);
    assert_same_blob(want, again);
    assert_same_readings(made, ghm);
    assert_int_equal(fghm_ghm_get_averages(ghm, 4, averages), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, 4, weights), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 6, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_steps(ghm, &steps), FGHM_OK);
    assert_int_equal(steps, 2);
    for (size_t i = 0; i < format->numbers; i++) {
        assert_true(averages[i] == format->averages[i]);
        assert_true(weights[i] == format->weights[i]);
    }
    assert_int_equal(fghm_ghm_get_counts_size(ghm, &size_of_counts), FGHM_OK);
    assert_memory_equal(counts, format->counts, size_of_counts * sizeof counts[0]);
    free(again.bytes);
    free(want.bytes);
    free(got.bytes);
    free(b.bytes);
    fghm_ghm_destroy(made);
    fghm_ghm_destroy(ghm);
}

/* Bytes that were saved once are saved and loaded by every later version, everywhere: all
 * numbers in them are exact. */
static void format_stays(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(formats); k++) {
        check_format(&formats[k]);
    }
}

/* --------------------------------------------------------------------------------- */

static void null_is_refused(void **state) {
    fghm_ghm *const ghm = new_handle(FGHM_GHM_REGRESSION);
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
    assert_int_equal(fghm_ghm_load(ghm, 0, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_reset(NULL), FGHM_ERROR_NULL_HANDLE);
    fghm_ghm *none = NULL;
    fghm_ghm_kind kind = FGHM_GHM_INVALID;
    assert_int_equal(fghm_ghm_create_from_state(NULL, b.size, b.bytes), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_create_from_state(&none, b.size, NULL), FGHM_ERROR_NULL_POINTER);
    assert_int_equal(fghm_ghm_create_from_state(&none, b.size - 8, b.bytes), FGHM_ERROR_STATE);
    assert_int_equal(fghm_ghm_clone(NULL, &none), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_clone(ghm, NULL), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_kind(NULL, &kind), FGHM_ERROR_NULL_HANDLE);
    assert_int_equal(fghm_ghm_get_kind(ghm, NULL), FGHM_ERROR_NULL_POINTER);
    assert_null(none);
    const struct blob after = saved(ghm);
    assert_same_blob(b, after);
    free(after.bytes);
    free(b.bytes);
    fghm_ghm_destroy(ghm);
}

/* After a reset, a handle is one with the same settings that was never used. */
static void reset_forgets(void **state) {
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        struct random r = random_for(36);
        fghm_ghm *const fresh = handle(&cases[k]), *const used = handle(&cases[k]);
        train_a_step(used, cases[k].histograms, &r);
        train_a_step(used, cases[k].histograms, &r);
        assert_int_equal(fghm_ghm_reset(used), FGHM_OK);
        assert_settings(used, &cases[k]);
        for (int step = 0; step < 3; step++) {
            struct random same = random_for(39);
            const struct blob a = saved(fresh), b = saved(used);
            assert_same_blob(a, b);
            assert_same_readings(fresh, used);
            free(a.bytes);
            free(b.bytes);
            train_a_step(fresh, cases[k].histograms, &same);
            same = random_for(39);
            train_a_step(used, cases[k].histograms, &same);
        }
        fghm_ghm_destroy(fresh);
        fghm_ghm_destroy(used);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"resumed_training_goes_on", resumed_training_goes_on, 1},
        {"with_any_momentum", with_any_momentum, 1},
        {"momentum_that_changes", momentum_that_changes, 0},
        {"any_counts_come_back", any_counts_come_back, 0},
        {"set_edges_stay_set", set_edges_stay_set, 0},
        {"room_is_needed", room_is_needed, 0},
        {"other_sizes_are_refused", other_sizes_are_refused, 0},
        {"damage_is_refused", damage_is_refused, 0},
        {"foreign_bytes_are_refused", foreign_bytes_are_refused, 0},
        {"senseless_numbers_are_refused", senseless_numbers_are_refused, 0},
        {"sizes_that_overflow_are_refused", sizes_that_overflow_are_refused, 0},
        {"no_histograms_are_refused", no_histograms_are_refused, 0},
        {"fields_are_missing_or_double", fields_are_missing_or_double, 0},
        {"missing_settings_have_their_defaults", missing_settings_have_their_defaults, 0},
        {"unknown_fields", unknown_fields, 0},
        {"kinds_do_not_mix", kinds_do_not_mix, 0},
        {"clones_go_their_own_way", clones_go_their_own_way, 0},
        {"steps_end", steps_end, 0},
        {"history_without_steps_is_refused", history_without_steps_is_refused, 0},
        {"format_stays", format_stays, 0},
        {"null_is_refused", null_is_refused, 0},
        {"reset_forgets", reset_forgets, 0},
    };
    return suite_run(argument_count, arguments, "ghm_state", tests, SUITE_COUNT(tests));
}
