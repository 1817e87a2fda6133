/* SPDX-License-Identifier: MIT */

/* Numbers and relations that other projects publish in their tests.  Every case of
 * every file is in the table below: run by each call that can express it, or skipped
 * with a reason. */

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* opendir */
#endif

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/suite.h"

#ifndef TEST_VECTORS_DIR
#define TEST_VECTORS_DIR ""
#endif

/* -------------------------------------------------------------------------
 * A case, read into a batch. */

struct vector_case {
    const struct dtype *d;
    const char *label;
    json_t *json;
    struct batch b;
    size_t rows; /* the first dimension */
    double gamma, alpha, rtol, atol;
    fghm_reduction reduction;
    double normalizer;
};

/* What a case claims; fails the test if it does not hold. */
typedef void (*relation)(const struct vector_case *c);

/* Which call computes it. */
typedef void (*computation)(struct vector_case *c);

static size_t leaves(const json_t *json) {
    size_t n = 0;
    if (!json_is_array(json)) {
        return 1;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        n += leaves(json_array_get(json, i));
    }
    return n;
}

/* The numbers of nested arrays, in order. */
static double *flatten(const json_t *json, double *out) {
    if (!json_is_array(json)) {
        assert_true(json_is_number(json));
        *out = json_number_value(json);
        return out + 1;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        out = flatten(json_array_get(json, i), out);
    }
    return out;
}

static double *numbers(const json_t *json, size_t n) {
    double *out = calloc(n + 1, sizeof *out);
    assert_non_null(out);
    assert_int_equal(leaves(json), n);
    flatten(json, out);
    return out;
}

/* log(p / (1 - p)) in double, also where upstream takes it in float. */
static double logit_of(double p) {
    return log(p / (1.0 - p));
}

static void read_logits(struct vector_case *c) {
    const json_t *logits = json_object_get(c->json, "logits"), *source = logits;
    double *x;
    source = source ? source : json_object_get(c->json, "probabilities");
    source = source ? source : json_object_get(c->json, "input");
    logits = logits ? logits : json_object_get(c->json, "logits_class_by_sample");
    source = source ? source : logits;
    source = source ? source : json_object_get(c->json, "input_class_by_sample");
    assert_non_null(source);
    c->b = batch_new(c->d, leaves(source));
    c->rows = json_array_size(source);
    x = numbers(source, c->b.n);
    for (size_t i = 0; i < c->b.n; i++) {
        c->d->put(c->b.logits, i, logits != NULL ? x[i] : logit_of(x[i]));
    }
    free(x);
}

/* Dense, or a class index for each row. */
static void read_targets(struct vector_case *c) {
    const json_t *dense = json_object_get(c->json, "target");
    size_t classes = c->b.n / c->rows;
    double *t;
    dense = dense ? dense : json_object_get(c->json, "target_one_hot_class_by_sample");
    dense = dense ? dense : json_object_get(c->json, "target_heatmap");
    if (dense != NULL) {
        t = numbers(dense, c->b.n);
        for (size_t i = 0; i < c->b.n; i++) {
            c->d->put(c->b.targets, i, t[i]);
        }
    } else {
        t = numbers(json_object_get(c->json, "target_index"), c->rows);
        for (size_t i = 0; i < c->rows; i++) {
            c->d->put(c->b.targets, i * classes + (size_t)t[i], 1.0);
        }
    }
    free(t);
}

/* One weight for each row, however deep the rows lie: m weights for n elements
 * weigh n / m in turn. */
static void read_weights(struct vector_case *c) {
    const json_t *weights = json_object_get(c->json, "sample_weight");
    size_t m;
    double *w;
    weights = weights != NULL ? weights : json_object_get(c->json, "anchor_weight");
    if (weights == NULL || json_is_null(weights)) {
        return;
    }
    m = leaves(weights);
    w = numbers(weights, m);
    c->b.weights = dtype_array(c->d, c->b.n);
    for (size_t i = 0; i < c->b.n; i++) {
        c->d->put(c->b.weights, i, w[i / (c->b.n / m)]);
    }
    free(w);
}

static double number_or(const json_t *json, const char *key, double otherwise) {
    const json_t *value = json_object_get(json, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static void read_reduction(struct vector_case *c) {
    const char *name = json_string_value(json_object_get(c->json, "reduction"));
    c->reduction = FGHM_REDUCTION_SUM;
    c->normalizer = number_or(c->json, "normalizer", 1.0);
    if (name != NULL && strcmp(name, "mean") == 0) {
        c->reduction = FGHM_REDUCTION_MEAN;
    } else if (name != NULL && strcmp(name, "mean_over_rows") == 0) {
        c->reduction = FGHM_REDUCTION_NORMALIZER;
        c->normalizer = (double)c->rows;
    } else if (c->normalizer != 1.0) {
        c->reduction = FGHM_REDUCTION_NORMALIZER;
    }
}

/* A float call's own rounding.  Upstream compares one float function with
 * another; here BCE and the closed forms are computed in double, so published
 * tolerances of 1e-7 are below what a float can hold. */
#define FLOAT_RTOL 0x1p-21

static void read_case(struct vector_case *c) {
    const json_t *tolerance = json_object_get(c->json, "tolerance");
    double alpha = number_or(c->json, "alpha", WIDE_ALPHA_OFF);
    c->gamma = number_or(c->json, "gamma", 0.0);
    c->alpha = alpha < 0.0 ? WIDE_ALPHA_OFF : alpha;
    c->rtol = number_or(tolerance, "rtol", 0.0);
    c->atol = number_or(tolerance, "atol", 0.0);
    if (c->d->size == sizeof(float) && c->rtol < FLOAT_RTOL) {
        c->rtol = FLOAT_RTOL;
    }
    read_logits(c);
    read_targets(c);
    read_weights(c);
    read_reduction(c);
}

static void compute(struct vector_case *c) {
    fghm_focal *focal = focal_handle(c->gamma, c->alpha, c->reduction);
    assert_int_equal(fghm_focal_set_normalizer(focal, c->normalizer), FGHM_OK);
    assert_int_equal(batch_focal(&c->b, focal, NULL), FGHM_OK);
    fghm_focal_destroy(focal);
}

/* -------------------------------------------------------------------------
 * The same through a batch. */

static fghm_input array_of(const struct vector_case *c, const void *data) {
    const fghm_dtype dtype = c->d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
    return (fghm_input){.data = data, .dtype = dtype};
}

static fghm_output room_of(const struct vector_case *c, void *data) {
    const fghm_dtype dtype = c->d->size == sizeof(float) ? FGHM_F32 : FGHM_F64;
    return (fghm_output){.data = data, .dtype = dtype};
}

/* Rows are samples, columns classes. */
static fghm_batch descriptor(const struct vector_case *c) {
    fghm_batch b = FGHM_BATCH_INIT;
    b.ndim = 2;
    b.class_axis = 1;
    b.shape[0] = (int64_t)c->rows;
    b.shape[1] = (int64_t)(c->b.n / c->rows);
    b.logits = array_of(c, c->b.logits);
    b.targets = array_of(c, c->b.targets);
    b.weights = array_of(c, c->b.weights);
    b.element_loss = room_of(c, c->b.out[ELEMENT_LOSS]);
    b.gradient = room_of(c, c->b.out[GRADIENT]);
    b.hessian = room_of(c, c->b.out[HESSIAN]);
    return b;
}

static void run_batch(struct vector_case *c, fghm_focal *focal, const fghm_batch *batch) {
    fghm_result result = FGHM_RESULT_INIT;
    assert_int_equal(fghm_focal_batch(focal, NULL, batch, &result), FGHM_OK);
    c->b.loss = result.loss;
    fghm_focal_destroy(focal);
}

static fghm_focal *batch_handle(const struct vector_case *c) {
    fghm_focal *focal = focal_handle(c->gamma, c->alpha, c->reduction);
    assert_int_equal(fghm_focal_set_normalizer(focal, c->normalizer), FGHM_OK);
    return focal;
}

/* One label for each of `samples` samples. */
static int32_t *labels_of(const struct vector_case *c, size_t samples) {
    int32_t *labels = calloc(samples, sizeof *labels);
    const json_t *json = json_object_get(c->json, "target_index");
    assert_non_null(labels);
    if (json != NULL) {
        double *t = numbers(json, samples);
        for (size_t i = 0; i < samples; i++) {
            labels[i] = (int32_t)t[i];
        }
        free(t);
        return labels;
    }
    for (size_t k = 0; k < c->b.n; k++) { /* class by sample */
        if (c->d->get(c->b.targets, k) == 1.0) {
            labels[k % samples] = (int32_t)(k / samples);
        }
    }
    return labels;
}

static void compute_labels(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    int32_t *labels = labels_of(c, c->rows);
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    run_batch(c, batch_handle(c), &b);
    free(labels);
}

/* Libraries that have an alpha for softmax multiply every class by it. */
static double *alphas_of_classes(const struct vector_case *c, size_t classes) {
    double *const alphas = c->alpha == WIDE_ALPHA_OFF ? NULL : calloc(classes, sizeof *alphas);
    for (size_t k = 0; alphas != NULL && k < classes; k++) {
        alphas[k] = c->alpha;
    }
    return alphas;
}

static void compute_softmax(struct vector_case *c) {
    const json_t *json = json_object_get(c->json, "class_weight");
    fghm_batch b = descriptor(c);
    int32_t *labels = labels_of(c, c->rows);
    double *weights = json != NULL ? numbers(json, (size_t)b.shape[1]) : NULL;
    double *alphas = alphas_of_classes(c, (size_t)b.shape[1]);
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    b.class_weights = weights;
    b.class_alpha = alphas;
    run_batch(c, batch_handle(c), &b);
    free(labels);
    free(weights);
    free(alphas);
}

/* As Julia has them: a column is a sample. */
static void compute_softmax_of_columns(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    fghm_focal *focal = batch_handle(c);
    int32_t *labels;
    b.class_axis = 0;
    labels = labels_of(c, (size_t)b.shape[1]);
    double *alphas = alphas_of_classes(c, (size_t)b.shape[0]);
    b.class_alpha = alphas;
    b.activation = FGHM_SOFTMAX;
    b.target_form = FGHM_TARGET_LABEL;
    b.targets = (fghm_input){.data = labels, .dtype = FGHM_I32};
    assert_int_equal(fghm_focal_set_reduction(focal, FGHM_REDUCTION_MEAN_SAMPLES), FGHM_OK);
    run_batch(c, focal, &b);
    free(labels);
    free(alphas);
}

/* The probabilities of the file, not their logits. */
static void use_probabilities(struct vector_case *c, fghm_batch *b) {
    const json_t *json = json_object_get(c->json, "probabilities");
    double *p;
    json = json ? json : json_object_get(c->json, "input");
    json = json ? json : json_object_get(c->json, "input_class_by_sample");
    p = numbers(json, c->b.n);
    for (size_t i = 0; i < c->b.n; i++) {
        c->d->put(c->b.logits, i, p[i]);
    }
    free(p);
    b->activation = FGHM_PROBABILITY;
}

static void compute_probabilities(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    use_probabilities(c, &b);
    run_batch(c, batch_handle(c), &b);
}

/* Of classes that exclude each other: only that of the true class has a loss. */
static void compute_probabilities_of_columns(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    fghm_focal *focal = focal_handle(c->gamma, 1.0, FGHM_REDUCTION_MEAN_SAMPLES);
    use_probabilities(c, &b);
    b.class_axis = 0;
    run_batch(c, focal, &b);
}

/* Heat maps: targets below 1 are negatives with the weight (1 - t)^beta. */
static void compute_heatmap(struct vector_case *c) {
    const double beta = number_or(c->json, "beta_power", 0.0);
    fghm_batch b = descriptor(c);
    void *const weights = dtype_array(c->d, c->b.n);
    use_probabilities(c, &b);
    for (size_t i = 0; i < c->b.n; i++) {
        const double t = c->d->get(c->b.targets, i);
        c->d->put(weights, i, t == 1.0 ? 1.0 : pow(1.0 - t, beta));
        c->d->put(c->b.targets, i, t == 1.0 ? 1.0 : 0.0);
    }
    b.weights = array_of(c, weights);
    c->gamma = number_or(c->json, "alpha_power", 0.0);
    run_batch(c, batch_handle(c), &b);
    free(weights);
}

static void compute_star(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    fghm_focal *focal = batch_handle(c);
    assert_int_equal(fghm_focal_set_rule(focal, FGHM_FOCAL_RULE_STAR), FGHM_OK);
    run_batch(c, focal, &b);
}

static fghm_focal *asymmetric_handle(const struct vector_case *c) {
    fghm_focal *focal = batch_handle(c);
    assert_int_equal(fghm_focal_set_gamma(focal, number_or(c->json, "gamma_pos", -1.0)), FGHM_OK);
    assert_int_equal(fghm_focal_set_negative_gamma(focal, number_or(c->json, "gamma_neg", -1.0)),
                     FGHM_OK);
    return focal;
}

static void compute_asymmetric(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    run_batch(c, asymmetric_handle(c), &b);
}

/* Binary losses of all classes, of probabilities that are a softmax. */
static void compute_asymmetric_softmax(struct vector_case *c) {
    fghm_batch b = descriptor(c);
    const size_t classes = (size_t)b.shape[1];
    for (size_t row = 0; row < c->rows; row++) {
        double sum = 0.0;
        for (size_t k = row * classes; k < (row + 1) * classes; k++) {
            sum += exp(c->d->get(c->b.logits, k));
        }
        for (size_t k = row * classes; k < (row + 1) * classes; k++) {
            c->d->put(c->b.logits, k, exp(c->d->get(c->b.logits, k)) / sum);
        }
    }
    b.activation = FGHM_PROBABILITY;
    run_batch(c, asymmetric_handle(c), &b);
}

/* -------------------------------------------------------------------------
 * What can be claimed. */

static void check_close(const struct vector_case *c, const char *what, size_t i, double got,
                        double want) {
    if (!(fabs(got - want) <= c->atol + c->rtol * fabs(want))) {
        fail_msg("%s %s %s[%zu]: got %.12g, want %.12g (rtol %g atol %g)", c->d->name, c->label,
                 what, i, got, want, c->rtol, c->atol);
    }
}

static double logit_at(const struct vector_case *c, size_t i) {
    return c->d->get(c->b.logits, i);
}

static double target_at(const struct vector_case *c, size_t i) {
    return c->d->get(c->b.targets, i);
}

static double weight_at(const struct vector_case *c, size_t i) {
    return c->b.weights != NULL ? c->d->get(c->b.weights, i) : 1.0;
}

static double result(const struct vector_case *c, int output, size_t i) {
    return c->d->get(c->b.out[output], i);
}

static double cross_entropy(const struct vector_case *c, size_t i) {
    double x = logit_at(c, i), t = target_at(c, i);
    return weight_at(c, i) * (t * log1p(exp(-x)) + (1.0 - t) * log1p(exp(x)));
}

/* p_t of a hard target */
static double right(const struct vector_case *c, size_t i) {
    double x = logit_at(c, i);
    return 1.0 / (1.0 + exp(target_at(c, i) == 1.0 ? -x : x));
}

static double divisor(const struct vector_case *c) {
    const double divisors[] = {1.0, (double)c->b.n, c->normalizer};
    return divisors[c->reduction];
}

static void has_loss(const struct vector_case *c) {
    check_close(c, "loss", 0, c->b.loss, json_number_value(json_object_get(c->json, "expected")));
}

/* The file says "mean" in words only. */
static void has_mean_loss(const struct vector_case *c) {
    check_close(c, "mean", 0, c->b.loss / (double)c->b.n,
                json_number_value(json_object_get(c->json, "expected")));
}

static void has_loss_and_gradient(const struct vector_case *c) {
    double *gradient = numbers(json_object_get(c->json, "expected_grad"), c->b.n);
    check_close(c, "loss", 0, c->b.loss,
                json_number_value(json_object_get(c->json, "expected_loss")));
    for (size_t i = 0; i < c->b.n; i++) {
        check_close(c, "gradient", i, result(c, GRADIENT, i), gradient[i]);
    }
    free(gradient);
}

static void has_element_losses(const struct vector_case *c) {
    double *want = numbers(json_object_get(c->json, "expected"), c->b.n);
    for (size_t i = 0; i < c->b.n; i++) {
        check_close(c, "element_loss", i, result(c, ELEMENT_LOSS, i), want[i]);
    }
    free(want);
}

static void equals_cross_entropy(const struct vector_case *c) {
    double sum = 0.0;
    for (size_t i = 0; i < c->b.n; i++) {
        double p = 1.0 / (1.0 + exp(-logit_at(c, i)));
        check_close(c, "element_loss", i, result(c, ELEMENT_LOSS, i), cross_entropy(c, i));
        check_close(c, "gradient", i, result(c, GRADIENT, i),
                    weight_at(c, i) * (p - target_at(c, i)) / divisor(c));
        sum += cross_entropy(c, i);
    }
    check_close(c, "loss", 0, c->b.loss, sum / divisor(c));
}

static void twice_equals_cross_entropy(const struct vector_case *c) {
    for (size_t i = 0; i < c->b.n; i++) {
        check_close(c, "2 element_loss", i, 2.0 * result(c, ELEMENT_LOSS, i), cross_entropy(c, i));
    }
}

static void equals_cross_entropy_of_positives(const struct vector_case *c) {
    for (size_t i = 0; i < c->b.n; i++) {
        check_close(c, "element_loss", i, result(c, ELEMENT_LOSS, i),
                    cross_entropy(c, i) * target_at(c, i));
    }
}

/* FL / BCE = a_t (1 - p_t)^2 */
static void ratio_is_the_focusing_factor(const struct vector_case *c) {
    double a = c->alpha == WIDE_ALPHA_OFF ? 1.0 : c->alpha;
    for (size_t i = 0; i < c->b.n; i++) {
        double q = 1.0 - right(c, i);
        double a_t = c->alpha == WIDE_ALPHA_OFF || target_at(c, i) == 1.0 ? a : 1.0 - a;
        check_close(c, "BCE / FL", i, cross_entropy(c, i) / result(c, ELEMENT_LOSS, i),
                    1.0 / (a_t * q * q));
    }
}

static double order_of_ratio(const struct vector_case *c, size_t i) {
    return pow(10.0, floor(log10(cross_entropy(c, i) / result(c, ELEMENT_LOSS, i))));
}

static void has_orders_of_ratio(const struct vector_case *c) {
    double *want = numbers(json_object_get(c->json, "expected_order_of_ratio"), c->b.n);
    for (size_t i = 0; i < c->b.n; i++) {
        check_close(c, "order of BCE / FL", i, order_of_ratio(c, i), want[i]);
    }
    free(want);
}

/* One side exactly 0 in every output, the other side not. */
static void zero_exactly_at(const struct vector_case *c, double target) {
    for (size_t i = 0; i < c->b.n; i++) {
        for (int o = 0; o < OUTPUTS; o++) {
            assert_int_equal(result(c, o, i) == 0.0, target_at(c, i) == target);
        }
    }
}

static void zero_at_negatives(const struct vector_case *c) {
    zero_exactly_at(c, 0.0);
}

static void zero_at_positives(const struct vector_case *c) {
    zero_exactly_at(c, 1.0);
}

/* The published indices; where it is not 0, alpha being 0 or 1, the order of
 * BCE / FL is 1. */
static void has_zero_indices(const struct vector_case *c) {
    const json_t *zeros = json_object_get(c->json, "expected_zero_indices");
    size_t found = 0;
    for (size_t i = 0; i < c->b.n; i++) {
        int listed = 0;
        for (size_t k = 0; k < json_array_size(zeros); k++) {
            listed |= (size_t)json_integer_value(json_array_get(zeros, k)) == i;
        }
        found += listed ? 1 : 0;
        if (listed) {
            assert_true(result(c, ELEMENT_LOSS, i) == 0.0);
        } else {
            check_close(c, "order of BCE / FL", i, order_of_ratio(c, i), 1.0);
        }
    }
    assert_int_equal(found, json_array_size(zeros));
}

/* Focal-star: upstream says "more than 10 times smaller" and "within 0.1". */
static void ratio_is_above_10(const struct vector_case *c) {
    for (size_t i = 0; i < c->b.n; i++) {
        assert_true(cross_entropy(c, i) / result(c, ELEMENT_LOSS, i) > 10.0);
    }
}

static void ratio_is_about_1(const struct vector_case *c) {
    for (size_t i = 0; i < c->b.n; i++) {
        assert_true(fabs(cross_entropy(c, i) / result(c, ELEMENT_LOSS, i) - 1.0) <= 0.1);
    }
}

static void all_finite(const struct vector_case *c) {
    assert_true(isfinite(c->b.loss));
    for (size_t i = 0; i < c->b.n * OUTPUTS; i++) {
        assert_true(isfinite(result(c, (int)(i % OUTPUTS), i / OUTPUTS)));
    }
}

/* -------------------------------------------------------------------------
 * The cases. */

static const struct {
    const char *file, *name;
    relation holds; /* NULL: skipped */
    computation compute;
    const char *why_not;
} known[] = {
    /* upstream adds 2.2e-16 to p, far below its tolerance */
    {"flux_jl_losses.json", "binary_1", has_mean_loss, compute, NULL},
    {"flux_jl_losses.json", "binary_1", has_mean_loss, compute_probabilities, NULL},
    {"flux_jl_losses.json", "binary_2", has_mean_loss, compute, NULL},
    {"flux_jl_losses.json", "binary_2", has_mean_loss, compute_probabilities, NULL},
    {"flux_jl_losses.json", "multiclass_1", has_loss, compute_softmax_of_columns, NULL},
    {"flux_jl_losses.json", "multiclass_2", has_loss, compute_probabilities_of_columns, NULL},
    {"fvcore_relations.json", "gamma0_equals_bce", equals_cross_entropy, compute, NULL},
    {"fvcore_relations.json", "alpha05_gamma2_ratio", ratio_is_the_focusing_factor, compute, NULL},
    {"fvcore_relations.json", "alpha_off_gamma2_ratio", ratio_is_the_focusing_factor, compute,
     NULL},
    {"fvcore_relations.json", "alpha1_zero_negatives", zero_at_negatives, compute, NULL},
    {"fvcore_relations.json", "alpha0_zero_positives", zero_at_positives, compute, NULL},
    {"fvcore_relations.json", "matrix_mean", equals_cross_entropy, compute, NULL},
    {"fvcore_relations.json", "matrix_sum", equals_cross_entropy, compute, NULL},
    {"fvcore_relations.json", "star_gamma1_equals_bce", equals_cross_entropy, compute_star, NULL},
    {"fvcore_relations.json", "star_gamma3_ratio", ratio_is_above_10, compute_star, NULL},
    {"fvcore_relations.json", "star_gamma2_hard", ratio_is_about_1, compute_star, NULL},
    {"mindspore_focal_loss_doc.json", "docstring", has_loss, compute_softmax, NULL},
    /* rtol 1e-2 is upstream's; the numbers agree to their 8 decimals */
    {"mmcv_test_focal_loss.json", "sigmoid_0", has_loss_and_gradient, compute, NULL},
    {"mmcv_test_focal_loss.json", "sigmoid_0", has_loss_and_gradient, compute_labels, NULL},
    {"mmcv_test_focal_loss.json", "sigmoid_1", has_loss_and_gradient, compute, NULL},
    {"mmcv_test_focal_loss.json", "sigmoid_1", has_loss_and_gradient, compute_labels, NULL},
    {"mmcv_test_focal_loss.json", "sigmoid_2", has_loss_and_gradient, compute, NULL},
    {"mmcv_test_focal_loss.json", "sigmoid_2", has_loss_and_gradient, compute_labels, NULL},
    {"mmcv_test_focal_loss.json", "softmax_0", has_loss_and_gradient, compute_softmax, NULL},
    {"mmcv_test_focal_loss.json", "softmax_1", has_loss_and_gradient, compute_softmax, NULL},
    {"mmcv_test_focal_loss.json", "softmax_2", has_loss_and_gradient, compute_softmax, NULL},
    {"mmpretrain_test_losses.json", "focal_multilabel", has_loss, compute, NULL},
    {"mmpretrain_test_losses.json", "focal_multilabel_sample_weight", has_loss, compute, NULL},
    {"mmpretrain_test_losses.json", "focal_index", has_loss, compute, NULL},
    {"mmpretrain_test_losses.json", "focal_index", has_loss, compute_labels, NULL},
    {"mmpretrain_test_losses.json", "focal_index_sample_weight", has_loss, compute, NULL},
    {"mmpretrain_test_losses.json", "focal_index_sample_weight", has_loss, compute_labels, NULL},
    /* upstream clips probabilities by 1e-8 */
    {"mmpretrain_test_losses.json", "asl_noclip", has_loss, compute_asymmetric, NULL},
    {"mmpretrain_test_losses.json", "asl_softmax_index", has_loss, compute_asymmetric_softmax,
     NULL},
    {"mmpretrain_test_losses.json", "asl_softmax_index_w", has_loss, compute_asymmetric_softmax,
     NULL},
    {"mmpretrain_test_losses.json", "asl_clip", NULL, NULL,
     "needs probabilities that are shifted by a margin"},
    {"mmpretrain_test_losses.json", "asl_clip_w", NULL, NULL,
     "needs probabilities that are shifted by a margin"},
    {"optax_relations.json", "scale", ratio_is_the_focusing_factor, compute, NULL},
    {"optax_relations.json", "gamma0", equals_cross_entropy, compute, NULL},
    {"optax_relations.json", "alpha1_gamma0", equals_cross_entropy_of_positives, compute, NULL},
    {"optax_relations.json", "large_logits", ratio_is_the_focusing_factor, compute, NULL},
    {"optax_relations.json", "small_logits", ratio_is_the_focusing_factor, compute, NULL},
    {"optax_relations.json", "extreme_soft", all_finite, compute, NULL},
    {"paddle_sigmoid_focal_loss.json", "docstring", has_loss, compute, NULL},
    /* upstream clips p by 1e-7 inside the logarithm, which moves the first number
     * by 3.4e-6 of itself: within its rtol of 1e-5 */
    {"tensorflow_addons_focal_loss.json", "docstring", has_element_losses, compute, NULL},
    {"tensorflow_addons_focal_loss.json", "docstring", has_element_losses, compute_probabilities,
     NULL},
    {"tensorflow_addons_focal_loss.json", "test_order_of_ratio", has_orders_of_ratio, compute,
     NULL},
    {"tensorflow_addons_focal_loss.json", "test_alpha_gamma_none_equals_bce", equals_cross_entropy,
     compute, NULL},
    {"tf_object_detection_losses_test.json", "alpha1_gamma0", has_loss, compute, NULL},
    {"tf_object_detection_losses_test.json", "alpha075_gamma0", has_loss, compute, NULL},
    {"tf_object_detection_losses_test.json", "easy_examples_ratio", has_orders_of_ratio, compute,
     NULL},
    {"tf_object_detection_losses_test.json", "hard_examples_ratio", has_orders_of_ratio, compute,
     NULL},
    {"tf_object_detection_losses_test.json", "alpha1_ignores_negatives", has_zero_indices, compute,
     NULL},
    {"tf_object_detection_losses_test.json", "alpha0_ignores_positives", has_zero_indices, compute,
     NULL},
    {"tf_object_detection_losses_test.json", "half_alpha_zero_gamma", twice_equals_cross_entropy,
     compute, NULL},
    {"tf_object_detection_losses_test.json", "no_alpha_zero_gamma", equals_cross_entropy, compute,
     NULL},
    {"tf_object_detection_losses_test.json", "gaussian_penalty_reduced_focal", has_element_losses,
     compute_heatmap, NULL},
};

#define UNKNOWN SUITE_COUNT(known)

static void run_case(const struct dtype *d, const char *label, json_t *json, size_t i) {
    struct vector_case c = {.d = d, .label = label, .json = json};
    read_case(&c);
    known[i].compute(&c);
    known[i].holds(&c);
    printf("  %s %s: holds\n", d->name, label);
    batch_free(&c.b);
}

/* By every line of the table that names it. */
static void take_case(const struct dtype *d, const char *file, json_t *json, int *ran) {
    const char *name = json_string_value(json_object_get(json, "name"));
    char label[256];
    int lines = 0;
    assert_non_null(name);
    snprintf(label, sizeof label, "%s: %s", file, name);
    for (size_t i = 0; i < UNKNOWN; i++) {
        if (strcmp(known[i].file, file) != 0 || strcmp(known[i].name, name) != 0) {
            continue;
        }
        lines++;
        if (known[i].holds != NULL) {
            ran[i]++;
            run_case(d, label, json, i);
        } else {
            printf("  %s %s: skipped, %s\n", d->name, label, known[i].why_not);
        }
    }
    if (lines == 0) {
        fail_msg("%s is in no table of this test", label);
    }
}

static void take_file(const struct dtype *d, const char *file, int *ran) {
    char path[4096];
    json_error_t error;
    json_t *root, *cases;
    snprintf(path, sizeof path, "%s/%s", TEST_VECTORS_DIR, file);
    root = json_load_file(path, 0, &error);
    if (root == NULL) {
        fail_msg("%s: line %d: %s", path, error.line, error.text);
    }
    cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        take_case(d, file, json_array_get(cases, i), ran);
    }
    json_decref(root);
}

static int is_json(const char *name) {
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".json") == 0;
}

/* All files of the folder; then, every case of the table was there. */
static void published_vectors(void **state) {
    int ran[SUITE_COUNT(known)] = {0};
    DIR *dir = opendir(TEST_VECTORS_DIR);
    struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (is_json(entry->d_name)) {
            take_file(*state, entry->d_name, ran);
        }
    }
    closedir(dir);
    for (size_t i = 0; i < UNKNOWN; i++) {
        if (known[i].holds != NULL && ran[i] != 1) {
            fail_msg("%s: %s ran %d times", known[i].file, known[i].name, ran[i]);
        }
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {{"published_vectors", published_vectors, 1}};
    DIR *dir = opendir(TEST_VECTORS_DIR);
    if (dir == NULL) {
        printf("skipped: there is no folder of published vectors at \"%s\"\n", TEST_VECTORS_DIR);
        return 77;
    }
    closedir(dir);
    return suite_run(argument_count, arguments, "vectors", tests, SUITE_COUNT(tests));
}
