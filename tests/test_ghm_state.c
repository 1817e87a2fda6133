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
    double *numbers[2];
    for (int k = 0; k < 2; k++) {
        size_t nonempty;
        counts[k] = calloc(size + histograms, sizeof *counts[k]);
        numbers[k] = calloc(3 * size, sizeof *numbers[k]);
        assert_true(counts[k] != NULL && numbers[k] != NULL);
        assert_int_equal(fghm_ghm_get_edges(handles[k], bins + 1, numbers[k]), FGHM_OK);
        assert_int_equal(fghm_ghm_get_averages(handles[k], size, numbers[k] + size), FGHM_OK);
        assert_int_equal(fghm_ghm_get_weights(handles[k], size, numbers[k] + 2 * size), FGHM_OK);
        assert_int_equal(fghm_ghm_get_counts(handles[k], size, counts[k]), FGHM_OK);
        for (size_t h = 0; h < histograms; h++) {
            assert_int_equal(fghm_ghm_get_nonempty(handles[k], h, &nonempty), FGHM_OK);
            counts[k][size + h] = nonempty;
        }
        assert_int_equal(fghm_ghm_get_steps(handles[k], &steps[k]), FGHM_OK);
    }
    assert_memory_equal(counts[0], counts[1], (size + histograms) * sizeof *counts[0]);
    assert_memory_equal(numbers[0], numbers[1], 3 * size * sizeof *numbers[0]);
    assert_int_equal(steps[0], steps[1]);
    for (int k = 0; k < 2; k++) {
        free(counts[k]);
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
            assert_int_equal(fghm_ghm_set_momentum_rule(ghm[way], (int)k / 2 % 2), FGHM_OK);
            train_a_step(ghm[way], 3, &r[way]);
        }
        ghm[1] = stopped(ghm[1], new_handle(FGHM_GHM_REGRESSION));
        assert_same_readings(ghm[0], ghm[1]);
    }
    fghm_ghm_destroy(ghm[0]);
    fghm_ghm_destroy(ghm[1]);
}

/* Whatever update takes can be saved and loaded: no counts, few, and as many as a number
 * holds, whose sum overflows. */
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
            for (size_t i = 0; i < size; i++) {
                const uint64_t some[] = {0, 0, 1, random_below(&r, 100000), UINT64_MAX};
                counts[i] = some[random_below(&r, step % 2 ? 5 : 4)];
            }
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

/* And the arrays of the state with 7 bins that is spoiled. */
enum { COUNTS = EDGES + 8, AVERAGES = COUNTS + 8, TOTALS = AVERAGES + 7, CHECKSUM };

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
        put_u64(b, VERSION, 1);
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
        {CAP, -1.0},
        {CAP, NAN},
        {LOSS_WEIGHT, -1.0},
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
        {NORMALIZER, 1e-38},
        {NORMALIZER, 1e39},
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
        {VERSION, 0},
        {VERSION, 2},
        {VERSION, UINT64_C(1) << 32 | 1},
        {VERSION, UINT64_MAX},
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
        {UNIFORM, 2},
        {UNIFORM, UINT64_MAX},
        {UNIFORM, 1}, /* which its edges are not */
        {STEPS, 0},   /* with a history */
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
    }
    witness_free(&w);
}

/* Whether edges are of equal width is yes or no, and so are the edges. */
static void equal_width_is_checked(void **state) {
    static const uint64_t flags[] = {2, UINT64_C(1) << 32, UINT64_MAX};
    struct witness w = witness_new();
    const struct blob b = trained_blob(&cases[0]);
    (void)state;
    for (size_t k = 0; k < SUITE_COUNT(flags); k++) {
        put_u64(b, UNIFORM, flags[k]);
        sign(b);
        assert_refused(&w, b.size, b.bytes);
    }
    put_u64(b, UNIFORM, 1);
    put_double(b, EDGES + 3, nextafter(0.3, 1.0));
    sign(b);
    assert_refused(&w, b.size, b.bytes);
    /* As edges that were set, these are fine. */
    put_u64(b, UNIFORM, 0);
    sign(b);
    loaded_into(w.ghm, b);
    free(b.bytes);
    witness_free(&w);
}

/* Before the first step there is nothing in any of the arrays. */
static void history_without_steps_is_refused(void **state) {
    struct witness w = witness_new();
    fghm_ghm *const fresh = handle(&cases[3]);
    const struct blob b = saved(fresh);
    (void)state;
    assert_int_equal(b.size, 8 * (CHECKSUM + 1));
    for (size_t at = COUNTS; at < CHECKSUM; at++) {
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
    fghm_ghm *const ghm = new_handle(FGHM_GHM_REGRESSION);
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

static const struct format {
    fghm_ghm *(*make)(void);
    const char *written;
    size_t numbers;
    uint64_t counts[4];
    double averages[4], weights[4];
} formats[] = {
    {example,
     "4f43414c47484d0a0100000000000000000000000000e03f00000000000000000000000000000000"
     "00000000000020400000000000000040000000000000e03f0100000000000000000000000000f03f"
     "0300000000000000010000000000000000000000000000000200000000000000000000000000d03f"
     "0000000000000000000000000000d03f000000000000e03f000000000000f03f0800000000000000"
     "04000000000000000400000000000000010000000000000000000000000014400000000000000040"
     "000000000000144000000000000029402710274d6a39627d",
     3,
     {8, 4, 4},
     /* (4 / 4 + 8 / 2) / (3 / 4) and so on; T = 16 / 4 + 17 / 2. */
     {5.0 / 0.75, 2.0 / 0.75, 5.0 / 0.75},
     {12.5 / 15.0, 12.5 / 6.0, 12.5 / 15.0}},
    {example_of_two,
     "4f43414c47484d0a0100000000000000000000000000e03f01000000000000000100000000000000"
     "000000000000f07f000000000000f03f7b14ae47e17a943f02000000000000000000000000000840"
     "0200000000000000020000000000000001000000000000000200000000000000000000000000d03f"
     "0000000000000000000000000000e03f000000000000f03f08000000000000000800000000000000"
     "00000000000000000000000000000000040000000000000000000000000000000000000000001440"
     "0000000000001040000000000000f03f0000000000000c4000000000000022400000000000001140"
     "da75875404f279de",
     4,
     {8, 8, 0, 4},
     {5.0, 4.0, 1.0, 3.5},
     {16.0 / 10.0, 16.0 / 8.0, 0.0, 4.0 / 7.0}},
};

static void check_format(const struct format *format) {
    const size_t size = strlen(format->written) / 2;
    const struct blob b = {size, block(size)};
    double averages[4], weights[4];
    uint64_t counts[4], steps;
    for (size_t i = 0; i < size; i++) {
        const char hex[] = {format->written[2 * i], format->written[2 * i + 1], 0};
        b.bytes[i] = (unsigned char)strtoul(hex, NULL, 16);
    }
    fghm_ghm *const made = format->make();
    const struct blob got = saved(made);
    assert_same_blob(b, got);
    fghm_ghm *const ghm = loaded_into(other_handle(FGHM_GHM_REGRESSION), b);
    assert_same_readings(made, ghm);
    assert_int_equal(fghm_ghm_get_averages(ghm, 4, averages), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, 4, weights), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 4, counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_steps(ghm, &steps), FGHM_OK);
    assert_int_equal(steps, 2);
    for (size_t i = 0; i < format->numbers; i++) {
        assert_true(averages[i] == format->averages[i]);
        assert_true(weights[i] == format->weights[i]);
        assert_int_equal(counts[i], format->counts[i]);
    }
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

int main(void) {
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
        {"equal_width_is_checked", equal_width_is_checked, 0},
        {"history_without_steps_is_refused", history_without_steps_is_refused, 0},
        {"format_stays", format_stays, 0},
        {"null_is_refused", null_is_refused, 0},
        {"reset_forgets", reset_forgets, 0},
    };
    return suite_run("ghm_state", tests, SUITE_COUNT(tests));
}
