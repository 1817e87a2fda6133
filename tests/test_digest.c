/* SPDX-License-Identifier: MIT */

/* A change of any bit of any result is seen: digests of the outputs of every function
 * and many settings, for inputs that are made of whole numbers alone, compared with those
 * in digest.txt.  Rows with fused multiply-add have them in common, on every
 * architecture.  The file begins with the numerics revision that has these bits, and is
 * written anew only where both change.  What the C library computes (fghm_focal_best_constant and
 * the calibration) is not here.
 *
 *     test_digest --write
 */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "support/descriptor.h"
#include "support/dtype.h"
#include "support/suite.h"

#define N 5003 /* several chunks and a rest */

/* FNV-1a, 64 bits, over values from the lowest byte on; every NaN is the same. */
static uint64_t digest_start(void) {
    return UINT64_C(0xcbf29ce484222325);
}

static uint64_t digest_bits(uint64_t digest, uint64_t bits, size_t bytes) {
    for (size_t k = 0; k < bytes; k++) {
        digest = (digest ^ (bits >> (8 * k) & 0xff)) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static uint64_t digest_double(uint64_t digest, double x) {
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (!isnan(x)) {
        memcpy(&bits, &x, sizeof bits);
    }
    return digest_bits(digest, bits, sizeof bits);
}

static uint64_t digest_array(uint64_t digest, const struct dtype *d, const void *array, size_t n) {
    for (size_t i = 0; i < n; i++) {
        digest = digest_double(digest, d->get(array, i));
    }
    return digest;
}

/* Inputs --------------------------------------------------------------------------- */

/* A linear congruential generator modulo 2^64 (Knuth's MMIX). */
static uint64_t next_number(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

struct inputs {
    const struct dtype *d;
    bool finite;
    void *logits, *hard, *soft, *weights, *probabilities;
    int32_t labels[N];
    void *out[3];
};

/* Multiples of powers of two, which both types have. */
static double fraction(uint64_t *state, int bits) {
    return ldexp((double)(next_number(state) & ((UINT64_C(1) << bits) - 1)), -bits);
}

/* With NaN, infinity and numbers far out among them, or without: those leave nothing of the
 * other losses in a sum. */
static double logit(uint64_t *state, size_t i, bool finite) {
    const double sign = next_number(state) & 1 ? 1.0 : -1.0;
    const double spans[] = {1.0, 8.0, 32.0, 128.0, 1024.0, 0x1p-12};
    const double special[] = {0.0, INFINITY, (double)NAN, 0x1p100, 0x1p-140};
    const double x = spans[i % 6] * fraction(state, 18);
    return sign * (i % 97 == 96 && !finite ? special[i / 97 % 5] : x);
}

static void inputs_make(struct inputs *in, const struct dtype *d, bool finite) {
    uint64_t state = 1;
    *in = (struct inputs){.d = d, .finite = finite};
    void **const arrays[] = {&in->logits,        &in->hard,   &in->soft,   &in->weights,
                             &in->probabilities, &in->out[0], &in->out[1], &in->out[2]};
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        *arrays[k] = dtype_array(d, N);
    }
    for (size_t i = 0; i < N; i++) {
        d->put(in->logits, i, logit(&state, i, finite));
        d->put(in->hard, i, next_number(&state) % 4 == 0 ? 1.0 : 0.0);
        d->put(in->soft, i, i % 3 == 0 ? d->get(in->hard, i) : fraction(&state, 14));
        d->put(in->weights, i, i % 5 == 0 ? 0.0 : fraction(&state, 9));
        d->put(in->probabilities, i, fraction(&state, 20));
        in->labels[i] = (int32_t)(next_number(&state) % 8);
    }
}

static void inputs_free(struct inputs *in) {
    void *const arrays[] = {in->logits,        in->hard,   in->soft,   in->weights,
                            in->probabilities, in->out[0], in->out[1], in->out[2]};
    for (size_t k = 0; k < SUITE_COUNT(arrays); k++) {
        free(arrays[k]);
    }
}

/* Digests ---------------------------------------------------------------------------- */

/* Lines as they stand in the file: digest, then what of. */
#define LINES_MAX 800
#define LINE_MAX 120
#define DIGEST_FILE TEST_SOURCE_DIR "/digest.txt"
#define SETTINGS_MAX 60
static char lines[LINES_MAX][LINE_MAX];
static size_t line_count;

static void add_line(uint64_t digest, const char *function, const struct inputs *in,
                     const char *settings) {
    assert_true(line_count < LINES_MAX);
    snprintf(lines[line_count++], LINE_MAX, "%016llx %s %s %s%s", (unsigned long long)digest,
             function, in->d->name, settings, in->finite ? " finite" : "");
}

static uint64_t digest_results(const struct inputs *in, double loss) {
    uint64_t digest = digest_double(digest_start(), loss);
    for (int o = 0; o < 3; o++) {
        digest = digest_array(digest, in->d, in->out[o], N);
    }
    return digest;
}

static const struct setting {
    const char *name;
    double gamma, negative_gamma; /* negative_gamma -1: the same */
    fghm_focal_rule rule;
    fghm_hessian_mode hessian;
    fghm_reduction reduction;
} settings[] = {
    {"gamma-0", 0.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM},
    {"gamma-1/2", 0.5, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_SUM},
    {"gamma-1", 1.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN},
    {"gamma-2", 2.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN},
    {"gamma-3", 3.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_NORMALIZER},
    {"gamma-20", 20.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_FLOORED, FGHM_REDUCTION_SUM},
    {"absolute", 2.0, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_ABSOLUTE, FGHM_REDUCTION_SUM},
    {"gauss-newton", 1.5, -1.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_GAUSS_NEWTON,
     FGHM_REDUCTION_SUM},
    {"quality", 2.0, -1.0, FGHM_FOCAL_RULE_QUALITY, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN},
    {"split", 2.0, -1.0, FGHM_FOCAL_RULE_SPLIT, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN_POSITIVES},
    {"two-gammas", 1.0, 4.0, FGHM_FOCAL_RULE_LINEAR, FGHM_HESSIAN_FLOORED, FGHM_REDUCTION_MEAN},
    {"star", 2.0, -1.0, FGHM_FOCAL_RULE_STAR, FGHM_HESSIAN_EXACT, FGHM_REDUCTION_MEAN},
};

static fghm_focal *handle(const struct setting *s) {
    fghm_focal *focal = NULL;
    assert_int_equal(fghm_focal_create(&focal), FGHM_OK);
    assert_int_equal(fghm_focal_set_gamma(focal, s->gamma), FGHM_OK);
    if (s->negative_gamma >= 0.0) {
        assert_int_equal(fghm_focal_set_negative_gamma(focal, s->negative_gamma), FGHM_OK);
    }
    assert_int_equal(fghm_focal_set_rule(focal, s->rule), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_mode(focal, s->hessian), FGHM_OK);
    assert_int_equal(fghm_focal_set_hessian_floor(focal, 0x1p-10), FGHM_OK);
    assert_int_equal(fghm_focal_set_reduction(focal, s->reduction), FGHM_OK);
    assert_int_equal(fghm_focal_set_normalizer(focal, 300.0), FGHM_OK);
    return focal;
}

static void digest_focal(struct inputs *in, const struct setting *s, bool hard, bool weighted) {
    fghm_focal *const focal = handle(s);
    char name[SETTINGS_MAX];
    double loss = 0.0;
    assert_int_equal(in->d->focal(focal, NULL, N, in->logits, hard ? in->hard : in->soft,
                                  weighted ? in->weights : NULL, &loss, in->out[0], in->out[1],
                                  in->out[2]),
                     FGHM_OK);
    snprintf(name, sizeof name, "%s %s%s", s->name, hard ? "hard" : "soft",
             weighted ? " weighted" : "");
    add_line(digest_results(in, loss), "focal", in, name);
    fghm_focal_destroy(focal);
}

/* A batch of N elements, or of rows of 7 classes. */
enum form { DENSE, LABELS, SOFTMAX, PROBABILITIES, FORMS };
static const char *const form_names[FORMS] = {"dense", "labels", "softmax", "probabilities"};

static void digest_batch(struct inputs *in, const struct setting *s, enum form form) {
    const fghm_dtype dtype = in->d->size == sizeof(double) ? FGHM_F64 : FGHM_F32;
    const bool labels = form == LABELS || form == SOFTMAX;
    fghm_focal *const focal = handle(s);
    char name[SETTINGS_MAX];
    fghm_result result = FGHM_RESULT_INIT;
    fghm_batch batch = descriptor_of(N / 7, 7, 1);
    batch.activation = form == SOFTMAX         ? FGHM_SOFTMAX
                       : form == PROBABILITIES ? FGHM_PROBABILITY
                                               : FGHM_SIGMOID;
    batch.target_form = labels ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
    batch.ignore_index = labels ? 7 : FGHM_IGNORE_NONE;
    batch.label_smoothing = form == DENSE && s->rule != FGHM_FOCAL_RULE_STAR ? 0x1p-4 : 0.0;
    batch.logits = (fghm_input){.data = form == PROBABILITIES ? in->probabilities : in->logits,
                                .dtype = dtype};
    batch.targets =
        (fghm_input){.data = s->rule == FGHM_FOCAL_RULE_STAR ? in->hard : in->soft, .dtype = dtype};
    batch.weights = (fghm_input){.data = in->weights, .dtype = dtype};
    batch.element_loss = (fghm_output){.data = in->out[0], .dtype = dtype};
    batch.gradient = (fghm_output){.data = in->out[1], .dtype = dtype};
    batch.hessian = (fghm_output){.data = in->out[2], .dtype = dtype};
    if (labels) {
        batch.targets = (fghm_input){.data = in->labels, .dtype = FGHM_I32};
    }
    for (int o = 0; o < 3; o++) {
        memset(in->out[o], 0, N * in->d->size);
    }
    const fghm_status status = fghm_focal_batch(focal, NULL, &batch, &result);
    fghm_focal_destroy(focal);
    if (status == FGHM_ERROR_COMBINATION) {
        return; /* the rule does not have this form */
    }
    assert_int_equal(status, FGHM_OK);
    uint64_t digest = digest_results(in, result.loss);
    digest = digest_double(digest_double(digest, result.sum), result.divisor);
    digest = digest_bits(digest_bits(digest, result.valid, 8), result.positives, 8);
    snprintf(name, sizeof name, "%s %s", s->name, form_names[form]);
    add_line(digest, "focal_batch", in, name);
}

static uint64_t digest_histogram(uint64_t digest, const fghm_ghm *ghm, size_t bins) {
    static uint64_t counts[FGHM_BINS_MAX + 1];
    static double numbers[FGHM_BINS_MAX + 1];
    assert_int_equal(fghm_ghm_get_counts(ghm, bins + 1, counts), FGHM_OK);
    for (size_t b = 0; b < bins; b++) {
        digest = digest_bits(digest, counts[b], sizeof counts[b]);
    }
    assert_int_equal(fghm_ghm_get_weights(ghm, bins, numbers), FGHM_OK);
    digest = digest_array(digest, &dtypes[1], numbers, bins);
    assert_int_equal(fghm_ghm_get_edges(ghm, bins + 1, numbers), FGHM_OK);
    return digest_array(digest, &dtypes[1], numbers, bins + 1);
}

static void digest_ghmc(struct inputs *in, size_t bins, bool hard, bool masked) {
    fghm_ghm *ghm = NULL;
    char name[SETTINGS_MAX];
    double loss = 0.0;
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, bins), FGHM_OK);
    assert_int_equal(in->d->ghm(ghm, NULL, N, in->logits, hard ? in->hard : in->soft,
                                masked ? in->weights : NULL, &loss, in->out[0], in->out[1],
                                in->out[2]),
                     FGHM_OK);
    const uint64_t digest = digest_histogram(digest_results(in, loss), ghm, bins);
    snprintf(name, sizeof name, "%zu-bins %s%s", bins, hard ? "hard" : "soft",
             masked ? " masked" : "");
    add_line(digest, "ghmc", in, name);
    fghm_ghm_destroy(ghm);
}

static void digest_ghmr(struct inputs *in, size_t bins, double mu, bool masked) {
    fghm_ghm *ghm = NULL;
    char name[SETTINGS_MAX];
    double loss = 0.0;
    assert_int_equal(fghm_ghm_create(&ghm, FGHM_GHM_REGRESSION), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, bins), FGHM_OK);
    assert_int_equal(fghm_ghm_set_mu(ghm, mu), FGHM_OK);
    assert_int_equal(in->d->ghm(ghm, NULL, N, in->logits, in->soft, masked ? in->weights : NULL,
                                &loss, in->out[0], in->out[1], in->out[2]),
                     FGHM_OK);
    snprintf(name, sizeof name, "%zu-bins mu-%g%s", bins, mu, masked ? " masked" : "");
    add_line(digest_histogram(digest_results(in, loss), ghm, bins), "ghmr", in, name);
    fghm_ghm_destroy(ghm);
}

static void digest_all(struct inputs *in) {
    const size_t bin_counts[] = {1, 10, 15, 16, 30, 1000};
    for (size_t k = 0; k < SUITE_COUNT(settings); k++) {
        const struct setting *const s = &settings[k];
        digest_focal(in, s, true, false);
        digest_focal(in, s, true, true);
        if (s->rule != FGHM_FOCAL_RULE_STAR) {
            digest_focal(in, s, false, true);
        }
        for (int form = 0; form < FORMS; form++) {
            digest_batch(in, s, (enum form)form);
        }
    }
    for (size_t k = 0; k < SUITE_COUNT(bin_counts); k++) {
        digest_ghmc(in, bin_counts[k], true, false);
        digest_ghmc(in, bin_counts[k], false, true);
        digest_ghmr(in, bin_counts[k], 0.02, false);
        digest_ghmr(in, bin_counts[k], 0.25, true);
    }
    digest_ghmr(in, 10, 1e-30, false);
    digest_ghmr(in, 10, 1e30, false);
    digest_ghmr(in, 4096, 0.02, false);
}

static void make_lines(void) {
    line_count = 1;
    snprintf(lines[0], LINE_MAX, "revision %d", (int)fghm_numerics_revision());
    for (size_t type = 0; type < DTYPE_COUNT; type++) {
        for (int finite = 0; finite < 2; finite++) {
            struct inputs in;
            inputs_make(&in, &dtypes[type], finite != 0);
            digest_all(&in);
            inputs_free(&in);
        }
    }
}

/* Tests --------------------------------------------------------------------------------- */

static void equal_to_the_file(void **state) {
    char line[LINE_MAX];
    size_t at = 0, different = 0;
    (void)state;
    if (!fghm_row()->has_fma) {
        print_message("skipped: %s has no fused multiply-add\n", fghm_isa_name());
        skip();
    }
    FILE *const file = fopen(DIGEST_FILE, "r");
    assert_non_null(file);
    make_lines();
    for (; fgets(line, sizeof line, file) != NULL; at++) {
        line[strcspn(line, "\n")] = '\0';
        assert_true(at < line_count);
        if (strcmp(line, lines[at]) != 0) {
            print_message("%s: %s, the file has %s\n", fghm_isa_name(), lines[at], line);
            different++;
        }
    }
    fclose(file);
    assert_int_equal(at, line_count);
    assert_int_equal(different, 0);
}

/* Why `count` lines of a file must not become those of now, or NULL: what has a digest in both has
 * another one if, and only if, the revision is another one. */
static const char *refusal(char old[][LINE_MAX], size_t count) {
    bool changed = false;
    if (count == 0 || strncmp(old[0], "revision ", 9) != 0) {
        return "digest.txt does not begin with its revision: restore it first";
    }
    for (size_t k = 1; k < count; k++) {
        const char *const what = strchr(old[k], ' ');
        for (size_t n = 1; what != NULL && n < line_count; n++) {
            const bool same_thing = strcmp(strchr(lines[n], ' '), what) == 0;
            changed = changed || (same_thing && strcmp(lines[n], old[k]) != 0);
        }
    }
    const bool raised = strcmp(old[0], lines[0]) != 0;
    return changed && !raised   ? "digests change: raise NUMERICS_REVISION in src/version.c first"
           : !changed && raised ? "no digest changes: leave NUMERICS_REVISION as it is"
                                : NULL;
}

static int write_file(void) {
    static char old[LINES_MAX][LINE_MAX];
    size_t count = 0;
    FILE *file = fopen(DIGEST_FILE, "r");
    for (; file != NULL && count < LINES_MAX && fgets(old[count], LINE_MAX, file); count++) {
        old[count][strcspn(old[count], "\n")] = '\0';
    }
    if (file != NULL) {
        fclose(file);
    }
    make_lines();
    const char *const reason = fghm_row()->has_fma
                                   ? refusal(old, count)
                                   : "these are not the digests of fused multiply-add";
    file = reason == NULL ? fopen(DIGEST_FILE, "w") : NULL;
    if (file == NULL) {
        fprintf(stderr, "%s\n", reason != NULL ? reason : "digest.txt cannot be written");
        return 1;
    }
    for (size_t k = 0; k < line_count; k++) {
        fprintf(file, "%s\n", lines[k]);
    }
    return fclose(file) == 0 ? 0 : 1;
}

static void revision_follows_the_digests(void **state) {
    static char old[LINES_MAX][LINE_MAX];
    (void)state;
    make_lines();
    memcpy(old, lines, sizeof old);
    assert_null(refusal(old, line_count));
    assert_null(refusal(old, line_count - 1)); /* something new */
    assert_non_null(refusal(old, 0));
    old[line_count - 1][0] ^= 1;
    assert_non_null(refusal(old, line_count));
    snprintf(old[0], LINE_MAX, "revision %d", (int)fghm_numerics_revision() - 1);
    assert_null(refusal(old, line_count));
    old[line_count - 1][0] ^= 1;
    assert_non_null(refusal(old, line_count));
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"equal_to_the_file", equal_to_the_file, 0},
        {"revision_follows_the_digests", revision_follows_the_digests, 0},
    };
    if (argument_count > 1 && strcmp(arguments[1], "--write") == 0) {
        return write_file();
    }
    return suite_run(argument_count, arguments, "test_digest", tests, SUITE_COUNT(tests));
}
