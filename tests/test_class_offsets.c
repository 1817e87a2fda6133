/* SPDX-License-Identifier: MIT */

/* class_offsets: a call that adds them has the bits of a call whose logits have them already, in
 * every form, type and layout; and sums that no number of the type holds are its largest. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "support/batch.h"
#include "support/combinations.h"
#include "support/descriptor.h"
#include "support/dtype.h"
#include "support/strided.h"
#include "support/suite.h"

enum { CLASSES_MAX = 300 };

/* A batch, and room for the results of two calls. */
struct pair {
    fghm_dtype real;
    size_t outer, classes, inner;
    bool softmax, labels;
    struct strided logits, added, targets;
    struct strided out[2][OUTPUTS];
    double offsets[CLASSES_MAX];
};

static struct strided any_array(struct random *r, fghm_dtype dtype, const struct pair *p,
                                size_t classes) {
    return random_bits(r) & 1 ? strided_plain(dtype, p->outer, classes, p->inner)
                              : strided_random(r, dtype, p->outer, classes, p->inner);
}

/* The logit that the manual says is computed with. */
static double added(fghm_dtype real, double logit, double offset) {
    const double sum = logit + offset;
    const double most = real == FGHM_F32 ? (double)FLT_MAX : DBL_MAX;
    return isfinite(logit) ? strided_round(real, fmax(-most, fmin(most, sum))) : sum;
}

static void fill(struct random *r, struct pair *p) {
    for (size_t c = 0; c < p->classes; c++) {
        p->offsets[c] = random_below(r, 8) == 0 ? 0.0 : -random_log_uniform(r, 1e-3, 20.0);
    }
    for (size_t k = 0; k < strided_count(&p->logits); k++) {
        const size_t c = k / p->inner % p->classes;
        strided_set(&p->logits, k,
                    random_below(r, 64) == 0 ? -(double)INFINITY : 4.0 * random_normal(r));
        strided_set(&p->added, k, added(p->real, strided_at(&p->logits, k), p->offsets[c]));
    }
    for (size_t k = 0; k < strided_count(&p->targets); k++) {
        strided_set(&p->targets, k,
                    p->labels ? (double)random_below(r, p->classes) : random_uniform(r, 0.0, 1.0));
    }
}

static struct pair pair_new(struct random *r) {
    struct pair p = {.outer = 1 + random_below(r, 40), .inner = 1};
    const fghm_dtype logits = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    const fghm_dtype outputs = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    p.real = logits == FGHM_F64 ? FGHM_F64 : FGHM_F32;
    p.classes = 1 + random_below(r, random_below(r, 4) == 0 ? CLASSES_MAX : 40);
    p.inner = random_bits(r) & 1 ? 1 : 1 + random_below(r, 20);
    p.softmax = random_bits(r) & 1;
    p.labels = p.softmax || random_bits(r) & 1;
    p.logits = any_array(r, logits, &p, p.classes);
    p.added = any_array(r, p.real, &p, p.classes);
    p.targets = p.labels ? any_array(r, FGHM_I32, &p, 1) : any_array(r, p.real, &p, p.classes);
    for (int k = 0; k < OUTPUTS; k++) {
        const fghm_dtype dtype = random_bits(r) & 1 ? p.real : outputs;
        for (int call = 0; call < 2; call++) {
            p.out[call][k] = any_array(r, dtype, &p, k == 0 && p.softmax ? 1 : p.classes);
        }
    }
    fill(r, &p);
    return p;
}

static void pair_free(struct pair *p) {
    strided_free(&p->logits);
    strided_free(&p->added);
    strided_free(&p->targets);
    for (int k = 0; k < 2 * OUTPUTS; k++) {
        strided_free(&p->out[k / OUTPUTS][k % OUTPUTS]);
    }
}

/* Call 0 has the offsets, call 1 the logits with them. */
static fghm_batch batch_of(const struct pair *p, int call) {
    fghm_batch b = descriptor_of(p->outer, p->classes, p->inner);
    b.activation = p->softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
    b.target_form = p->labels ? FGHM_TARGET_LABEL : FGHM_TARGET_DENSE;
    b.logits = strided_input(call == 0 ? &p->logits : &p->added);
    b.class_offsets = call == 0 ? p->offsets : NULL;
    b.targets = strided_input(&p->targets);
    b.element_loss = strided_output(&p->out[call][0]);
    b.gradient = strided_output(&p->out[call][1]);
    b.hessian = strided_output(&p->out[call][2]);
    return b;
}

static bool same(double a, double b) {
    return (isnan(a) && isnan(b)) || a == b;
}

static void check_pair(struct random *r) {
    struct pair p = pair_new(r);
    fghm_focal *const focal = focal_handle(1.5, 0.25, FGHM_REDUCTION_MEAN);
    fghm_result results[2] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    const unsigned subset = 1 + (unsigned)random_below(r, 7);
    for (int call = 0; call < 2; call++) {
        fghm_batch b = batch_of(&p, call);
        fghm_output *const outputs[] = {&b.element_loss, &b.gradient, &b.hessian};
        for (int k = 0; k < OUTPUTS; k++) {
            outputs[k]->data = subset >> k & 1 ? outputs[k]->data : NULL;
        }
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &results[call]), FGHM_OK);
    }
    assert_true(same(results[0].loss, results[1].loss));
    for (int k = 0; k < OUTPUTS; k++) {
        for (size_t i = 0; subset >> k & 1 && i < strided_count(&p.out[0][k]); i++) {
            const double got = strided_at(&p.out[0][k], i), want = strided_at(&p.out[1][k], i);
            if (!same(got, want)) {
                fail_msg("output %d[%zu], %zu x %zu x %zu, softmax %d: %a, want %a", k, i, p.outer,
                         p.classes, p.inner, p.softmax, got, want);
            }
        }
    }
    fghm_focal_destroy(focal);
    pair_free(&p);
}

static void offsets_are_added_to_logits(void **state) {
    (void)state;
    struct combinations all = combinations(1001);
    for (int k = 0; k < 600; k++) {
        if (combinations_next(&all)) {
            check_pair(&all.random);
        }
    }
    combinations_end(&all);
}

/* Gradients may replace the logits that the offsets are added to. */
static void gradients_in_place_of_logits(void **state) {
    const struct dtype *d = *state;
    struct random r = random_for(1002);
    const size_t sizes[] = {3, 40, 300};
    for (size_t k = 0; k < 2 * SUITE_COUNT(sizes); k++) {
        const size_t classes = sizes[k / 2], samples = 37, n = samples * classes;
        const bool softmax = k % 2 == 0;
        fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
        void *const logits = dtype_array(d, n), *const gradient = dtype_array(d, n);
        int32_t labels[37];
        double offsets[CLASSES_MAX];
        for (size_t i = 0; i < n; i++) {
            d->put(logits, i, 3.0 * random_normal(&r));
        }
        for (size_t i = 0; i < samples; i++) {
            labels[i] = (int32_t)random_below(&r, classes);
        }
        for (size_t c = 0; c < classes; c++) {
            offsets[c] = random_normal(&r);
        }
        fghm_batch b = descriptor_of(samples, classes, 1);
        b.activation = softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
        b.target_form = FGHM_TARGET_LABEL;
        b.class_offsets = offsets;
        b.logits = (fghm_input){.data = logits, .dtype = dtype_of(d)};
        b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
        b.gradient = (fghm_output){.data = gradient, .dtype = dtype_of(d)};
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, NULL), FGHM_OK);
        b.gradient.data = logits;
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, NULL), FGHM_OK);
        assert_int_equal(dtype_first_difference(d, logits, gradient, n), n);
        free(logits);
        free(gradient);
        fghm_focal_destroy(focal);
    }
}

/* One sample of three classes, of which the first is the label's. */
static void check_sample(const struct dtype *d, fghm_activation activation, const double logits[3],
                         const double offsets[3], const double sums[3]) {
    fghm_focal *const focal = focal_handle(0.0, -1.0, FGHM_REDUCTION_SUM);
    void *const x = dtype_array(d, 3);
    void *const out[] = {dtype_array(d, 3), dtype_array(d, 3)};
    fghm_result results[2] = {FGHM_RESULT_INIT, FGHM_RESULT_INIT};
    const uint8_t label = 0;
    for (int call = 0; call < 2; call++) {
        fghm_batch b = descriptor_of(1, 3, 1);
        b.activation = activation;
        b.target_form = FGHM_TARGET_LABEL;
        b.class_offsets = call == 0 ? offsets : NULL;
        for (size_t c = 0; c < 3; c++) {
            d->put(x, c, call == 0 ? logits[c] : sums[c]);
        }
        b.logits = (fghm_input){.data = x, .dtype = dtype_of(d)};
        b.targets = (fghm_input){.data = &label, .dtype = FGHM_U8};
        b.gradient = (fghm_output){.data = out[call], .dtype = dtype_of(d)};
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &results[call]), FGHM_OK);
    }
    assert_true(same(results[0].loss, results[1].loss));
    assert_int_equal(dtype_first_difference(d, out[0], out[1], 3), 3);
    free(x);
    free(out[0]);
    free(out[1]);
    fghm_focal_destroy(focal);
}

static void sums_beyond_the_type(void **state) {
    const struct dtype *d = *state;
    const double most = d->format->max, inf = (double)INFINITY;
    const struct {
        double logits[3], offsets[3], sums[3];
    } cases[] = {
        {{most, 1, -most}, {most, 1, -most}, {most, 2, -most}},
        {{most, 0, -most}, {DBL_MAX, -1, -DBL_MAX}, {most, -1, -most}},
        {{inf, 1, -inf}, {-DBL_MAX, 0, DBL_MAX}, {inf, 1, -inf}},
        {{(double)NAN, 1, 2}, {0, 0, 0}, {(double)NAN, 1, 2}},
        {{-most, -1, 0}, {most, -DBL_TRUE_MIN, 0}, {0, -1, 0}},
        {{-most, 0, 1}, {-most, 0, 0}, {-most, 0, 1}},
    };
    for (size_t k = 0; k < SUITE_COUNT(cases); k++) {
        check_sample(d, FGHM_SOFTMAX, cases[k].logits, cases[k].offsets, cases[k].sums);
        check_sample(d, FGHM_SIGMOID, cases[k].logits, cases[k].offsets, cases[k].sums);
    }
}

/* Logit adjustment: with the logarithms of the classes' frequencies added, a model that knows
 * nothing else has the best loss with logits 0, and the gradient there is frequency less label. */
static void logits_are_adjusted(void **state) {
    const struct dtype *d = *state;
    const double frequency[4] = {0.5, 0.25, 0.125, 0.125};
    double offsets[4];
    fghm_focal *const focal = focal_handle(0.0, -1.0, FGHM_REDUCTION_SUM);
    void *const x = dtype_array(d, 4), *const gradient = dtype_array(d, 4);
    for (size_t c = 0; c < 4; c++) {
        offsets[c] = log(frequency[c]);
    }
    for (uint8_t label = 0; label < 4; label++) {
        fghm_batch b = descriptor_of(1, 4, 1);
        fghm_result result = FGHM_RESULT_INIT;
        b.activation = FGHM_SOFTMAX;
        b.target_form = FGHM_TARGET_LABEL;
        b.class_offsets = offsets;
        b.logits = (fghm_input){.data = x, .dtype = dtype_of(d)};
        b.targets = (fghm_input){.data = &label, .dtype = FGHM_U8};
        b.gradient = (fghm_output){.data = gradient, .dtype = dtype_of(d)};
        assert_int_equal(fghm_focal_batch(focal, NULL, &b, &result), FGHM_OK);
        const double bound = d->size == sizeof(float) ? 1e-6 : 1e-14;
        assert_true(fabs(result.loss + log(frequency[label])) <= bound);
        for (size_t c = 0; c < 4; c++) {
            const double want = frequency[c] - (c == label ? 1.0 : 0.0);
            assert_true(fabs(d->get(gradient, c) - want) <= bound);
        }
    }
    free(x);
    free(gradient);
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    static const struct suite_test tests[] = {
        {"offsets_are_added_to_logits", offsets_are_added_to_logits, 0},
        {"gradients_in_place_of_logits", gradients_in_place_of_logits, 1},
        {"sums_beyond_the_type", sums_beyond_the_type, 1},
        {"logits_are_adjusted", logits_are_adjusted, 1},
    };
    return suite_run(argument_count, arguments, "test_class_offsets", tests, SUITE_COUNT(tests));
}
