/* SPDX-License-Identifier: MIT */

/* GHM against vectors/ghm.json, which an independent model has made: see
 * vectors/ghm_model.py. */

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "focalghm/focalghm.h"
#include "support/dtype.h"
#include "support/suite.h"

enum { N = 16, BINS_MAX = 30 };

static json_t *load(void) {
    json_error_t error;
    json_t *const file = json_load_file(TEST_SOURCE_DIR "/vectors/ghm.json", 0, &error);
    if (file == NULL) {
        fail_msg("ghm.json: %s", error.text);
    }
    return file;
}

static double number(const json_t *object, const char *key) {
    const json_t *const value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static bool is_text(const json_t *object, const char *key, const char *text) {
    return strcmp(json_string_value(json_object_get(object, key)), text) == 0;
}

static double at(const json_t *step, const char *key, size_t i) {
    const json_t *const array = json_object_get(step, key);
    assert_true(i < json_array_size(array));
    return json_number_value(json_array_get(array, i));
}

static void *read_array(const struct dtype *d, const json_t *step, const char *key) {
    void *const array = dtype_array(d, N);
    assert_int_equal(json_array_size(json_object_get(step, key)), N);
    for (size_t i = 0; i < N; i++) {
        d->put(array, i, at(step, key, i));
        /* Inputs are the same in every type. */
        assert_true(d->get(array, i) == at(step, key, i));
    }
    return array;
}

static fghm_ghm *handle_of(const json_t *one) {
    const bool all = is_text(one, "divisor", "all bins");
    const bool regression = is_text(one, "loss", "ghmr");
    fghm_ghm *ghm = NULL;
    assert_int_equal(
        fghm_ghm_create(&ghm, regression ? FGHM_GHM_REGRESSION : FGHM_GHM_CLASSIFICATION), FGHM_OK);
    assert_int_equal(fghm_ghm_set_bins(ghm, (size_t)number(one, "bins")), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum(ghm, number(one, "momentum")), FGHM_OK);
    assert_int_equal(fghm_ghm_set_momentum_rule(ghm, FGHM_GHM_MOMENTUM_REFERENCE), FGHM_OK);
    assert_int_equal(
        fghm_ghm_set_divisor(ghm, all ? FGHM_GHM_DIVISOR_ALL_BINS : FGHM_GHM_DIVISOR_NONEMPTY_BINS),
        FGHM_OK);
    if (regression) {
        assert_int_equal(fghm_ghm_set_mu(ghm, number(one, "mu")), FGHM_OK);
    }
    return ghm;
}

static fghm_status compute(const struct dtype *d, fghm_ghm *ghm, void *const in[3], double *loss,
                           void *element_loss, void *gradient) {
    if (d->size == sizeof(float)) {
        return fghm_ghm_step_f32(ghm, NULL, N, in[0], in[1], in[2], loss, element_loss, gradient,
                                 NULL);
    }
    return fghm_ghm_step_f64(ghm, NULL, N, in[0], in[1], in[2], loss, element_loss, gradient, NULL);
}

/* 16 units in the last place: of the type, and of the file's numbers. */
static void assert_near(const struct dtype *d, double got, double want) {
    const double unit = ldexp(1.0, 1 - d->format->digits);
    if (!(fabs(got - want) <= 16.0 * unit * fabs(want))) {
        fail_msg("%s: %.17g, the file has %.17g", d->name, got, want);
    }
}

static void check_step(const struct dtype *d, const json_t *one, fghm_ghm *ghm,
                       const json_t *step) {
    void *const in[] = {read_array(d, step, "inputs"), read_array(d, step, "targets"),
                        read_array(d, step, "mask")};
    void *const element_loss = dtype_array(d, N), *const gradient = dtype_array(d, N);
    uint64_t counts[BINS_MAX + 1];
    double loss = NAN;
    assert_int_equal(compute(d, ghm, in, &loss, element_loss, gradient), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, BINS_MAX + 1, counts), FGHM_OK);
    for (size_t b = 0; b < (size_t)number(one, "bins"); b++) {
        assert_int_equal(counts[b], at(step, "counts", b));
    }
    for (size_t i = 0; i < N; i++) {
        assert_near(d, d->get(element_loss, i), at(step, "element_loss", i));
        assert_near(d, d->get(gradient, i), at(step, "gradient", i));
    }
    assert_near(d, loss, number(step, "loss"));
    for (int k = 0; k < 3; k++) {
        free(in[k]);
    }
    free(element_loss);
    free(gradient);
}

static void every_case_of_the_file(void **state) {
    const struct dtype *d = *state;
    json_t *const file = load();
    const json_t *const cases = json_object_get(file, "cases");
    assert_true(json_array_size(cases) > 0);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *const one = json_array_get(cases, k);
        const json_t *const steps = json_object_get(one, "steps");
        fghm_ghm *const ghm = handle_of(one);
        assert_true(json_array_size(steps) > 0);
        for (size_t step = 0; step < json_array_size(steps); step++) {
            check_step(d, one, ghm, json_array_get(steps, step));
        }
        fghm_ghm_destroy(ghm);
    }
    json_decref(file);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {{"every_case_of_the_file", every_case_of_the_file, 1}};
    return suite_run(argument_count, arguments, "ghm_vectors", tests, SUITE_COUNT(tests));
}
