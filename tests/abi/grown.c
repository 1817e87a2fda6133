/* SPDX-License-Identifier: MIT */

/* A program that was built with one version of the headers and runs with another version of
 * the library (see grow.sh).  GROWN_HEADERS: its structs have one more field at the end.
 * GROWN_LIBRARY: the library's have. */

#include <focalghm/focalghm.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

static void check(int good, const char *what) {
    if (!good) {
        printf("wrong: %s\n", what);
        failures++;
    }
}
#define CHECK(condition) check((condition), #condition)

/* Both structs with a tail that is not theirs.  What a library reads of it is nonsense, what
 * it writes is found. */
struct descriptor {
    fghm_batch batch;
    unsigned char tail[64];
};

struct answer {
    fghm_result result;
    unsigned char tail[64];
};

enum { POISON = 0xa5, SAMPLES = 4 };

static int is_poison(const unsigned char *bytes, size_t n) {
    size_t i = 0;
    while (i < n && bytes[i] == POISON) {
        i++;
    }
    return i == n;
}

static const float logits[SAMPLES] = {1, 2, -3, 4}, targets[SAMPLES] = {0, 1, 0, 1};
static float gradient[SAMPLES], losses[SAMPLES];

static struct descriptor describe(void) {
    static const fghm_batch initial = FGHM_BATCH_INIT;
    struct descriptor d;
    memset(&d, POISON, sizeof d);
    d.batch = initial;
    d.batch.ndim = 1;
    d.batch.shape[0] = SAMPLES;
    d.batch.logits.data = logits;
    d.batch.targets.data = targets;
    d.batch.gradient.data = gradient;
    d.batch.element_loss.data = losses;
    d.batch.logits.dtype = d.batch.targets.dtype = FGHM_F32;
    d.batch.gradient.dtype = d.batch.element_loss.dtype = FGHM_F32;
    return d;
}

static struct answer answer_with_poison(void) {
    struct answer a;
    memset(&a, POISON, sizeof a);
    CHECK(fghm_result_init(&a.result, sizeof a.result) == FGHM_OK);
    CHECK(is_poison(a.tail, sizeof a.tail));
    return a;
}

#if defined GROWN_HEADERS && defined GROWN_LIBRARY
#define FILLED sizeof(fghm_result)
#else
#define FILLED FGHM_RESULT_SIZE_0_2
#endif

/* Everything as fghm_focal_f32 has it. */
static void check_numbers(const fghm_focal *focal, const struct answer *a) {
    double loss = -1;
    float plain_losses[SAMPLES], plain[SAMPLES];
    CHECK(fghm_focal_f32(focal, NULL, SAMPLES, logits, targets, NULL, &loss, plain_losses, plain,
                         NULL) == FGHM_OK);
    CHECK(memcmp(plain, gradient, sizeof plain) == 0);
    CHECK(memcmp(plain_losses, losses, sizeof plain_losses) == 0);
    CHECK(loss > 0 && a->result.loss == loss);
    CHECK(a->result.size == sizeof a->result && a->result.filled == FILLED);
    CHECK(a->result.status == FGHM_OK && a->result.field == 0 && a->result.offender == -1);
    CHECK(a->result.elements == SAMPLES && a->result.valid == SAMPLES);
    CHECK(a->result.positives == 2 && fabs(a->result.sum_targets - 2) < 1e-9);
    CHECK(is_poison(a->tail, sizeof a->tail));
}

static void check_focal(const fghm_focal *focal) {
    struct descriptor d = describe();
    struct answer a = answer_with_poison();
#ifdef GROWN_HEADERS
    a.result.new_number = 12345;
#endif
    CHECK(fghm_focal_batch(focal, NULL, &d.batch, &a.result) == FGHM_OK);
    check_numbers(focal, &a);
#ifdef GROWN_HEADERS
#ifdef GROWN_LIBRARY
    CHECK(a.result.new_number == 42);
#else
    CHECK(a.result.new_number == 12345);
#endif
#endif
    /* The same by the function that initializes, and without a result. */
    memset(&d, POISON, sizeof d);
    CHECK(fghm_batch_init(&d.batch, sizeof d.batch) == FGHM_OK);
    CHECK(is_poison(d.tail, sizeof d.tail));
    const struct descriptor macro = describe();
    const fghm_batch initial = FGHM_BATCH_INIT;
    CHECK(memcmp(&d.batch, &initial, sizeof initial) == 0);
    memset(gradient, 0, sizeof gradient);
    CHECK(fghm_focal_batch(focal, NULL, &macro.batch, NULL) == FGHM_OK);
    check_numbers(focal, &a);
}

/* After an error the head alone is written, wherever it comes from. */
static void check_error(const fghm_focal *focal) {
    struct descriptor d = describe();
    struct answer a = answer_with_poison();
    d.batch.logits.dtype = FGHM_I64;
    a.result.loss = 7;
    CHECK(fghm_focal_batch(focal, NULL, &d.batch, &a.result) == FGHM_ERROR_DTYPE);
    CHECK(a.result.status == FGHM_ERROR_DTYPE && a.result.field == FGHM_FIELD_LOGITS);
    CHECK(a.result.filled == offsetof(fghm_result, loss) && a.result.loss == 7);
    CHECK(a.result.size == sizeof a.result && is_poison(a.tail, sizeof a.tail));
}

/* A setting that the library does not know is refused, not ignored. */
static void check_new_setting(const fghm_focal *focal) {
#ifdef GROWN_HEADERS
    struct descriptor d = describe();
    struct answer a = answer_with_poison();
    d.batch.new_setting = 1;
    const fghm_status status = fghm_focal_batch(focal, NULL, &d.batch, &a.result);
#ifdef GROWN_LIBRARY
    CHECK(status == FGHM_ERROR_RANGE);
#else
    CHECK(status == FGHM_ERROR_STRUCT && a.result.field == FGHM_FIELD_SIZE);
#endif
    CHECK(a.result.status == status && is_poison(a.tail, sizeof a.tail));
#else
    (void)focal;
#endif
}

static void check_ghm(void) {
    struct descriptor d = describe();
    struct answer a = answer_with_poison();
    fghm_ghm *ghm = NULL;
    double loss = -1;
    CHECK(fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION) == FGHM_OK);
    CHECK(fghm_ghm_step_batch(ghm, NULL, &d.batch, &a.result) == FGHM_OK);
    CHECK(fghm_ghm_step_f32(ghm, NULL, SAMPLES, logits, targets, NULL, &loss, NULL, NULL, NULL) ==
          FGHM_OK);
    CHECK(loss > 0 && a.result.loss == loss && a.result.filled == FILLED);
    CHECK(is_poison(a.tail, sizeof a.tail));
    fghm_ghm_destroy(ghm);
}

int main(void) {
    fghm_focal *focal = NULL;
    CHECK(fghm_focal_create(&focal) == FGHM_OK);
    check_focal(focal);
    check_error(focal);
    check_new_setting(focal);
    check_ghm();
    fghm_focal_destroy(focal);
    return failures != 0;
}
