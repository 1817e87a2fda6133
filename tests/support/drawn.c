/* SPDX-License-Identifier: MIT */
#include "drawn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "combinations.h"
#include "descriptor.h"
#include "report.h"
#include "suite.h"

#define PRINT_AT_MOST 12

static const struct loss *loss_of(const struct drawn *c) {
    return c->covering->loss;
}

bool drawn_is_double(const struct drawn *c) {
    return c->logits == FGHM_F64;
}

fghm_dtype drawn_real(const struct drawn *c) {
    return drawn_is_double(c) ? FGHM_F64 : FGHM_F32;
}

const struct wide_format *drawn_format(const struct drawn *c) {
    return drawn_is_double(c) ? &wide_f64 : &wide_f32;
}

double drawn_round(const struct drawn *c, double value) {
    return drawn_is_double(c) ? value : (double)(float)value;
}

struct drawn_place drawn_place(const struct drawn *c, size_t k) {
    return (struct drawn_place){k / c->inner / c->classes, k / c->inner % c->classes, k % c->inner};
}

bool drawn_has_loss(const struct drawn *c, size_t k) {
    return !loss_of(c)->softmax || drawn_place(c, k).c == 0;
}

size_t drawn_loss_index(const struct drawn *c, size_t k) {
    const struct drawn_place at = drawn_place(c, k);
    return loss_of(c)->softmax ? at.o * c->inner + at.i : k;
}

/* -------------------------------------------------------------------------
 * A combination. */

static size_t up_to(struct random *r, size_t most) {
    return 1 + random_below(r, most);
}

static void draw_shape(struct random *r, struct drawn *c) {
    c->outer = c->classes = c->inner = 1;
    if (random_below(r, 100) == 0) { /* to be shared out, and not by even shares */
        *(random_bits(r) & 1 ? &c->outer : &c->inner) = 8192 + up_to(r, 20000);
        c->classes = up_to(r, 3);
        c->threads = true;
        return;
    }
    switch (random_below(r, 6)) {
    case 0:
        c->outer = up_to(r, 130);
        break;
    case 1: /* row-major */
        c->outer = up_to(r, 20);
        c->classes = up_to(r, 12);
        break;
    case 2: /* class-major */
        c->inner = up_to(r, 40);
        c->classes = up_to(r, 12);
        break;
    case 3: /* many classes */
        c->outer = up_to(r, 6);
        c->classes = up_to(r, c->covering->most_classes);
        c->inner = up_to(r, 3);
        break;
    case 4: /* more than a tile */
        c->outer = up_to(r, 30);
        c->classes = up_to(r, 7);
        c->inner = up_to(r, 50);
        break;
    default:
        c->outer = up_to(r, 5);
        c->classes = up_to(r, 5);
        c->inner = up_to(r, 20);
        break;
    }
}

static void draw_targets(struct random *r, struct drawn *c) {
    static const int64_t indices[] = {-1, -100, 255, 2, 0};
    const struct loss *const loss = loss_of(c);
    c->form = (fghm_target_form)(random_bits(r) & 1);
    c->form = loss->softmax ? FGHM_TARGET_LABEL : loss->regression ? FGHM_TARGET_DENSE : c->form;
    if (c->form == FGHM_TARGET_LABEL) {
        c->targets = FGHM_U8 + (fghm_dtype)random_below(r, 3);
        c->background = (fghm_background)random_below(r, loss->softmax ? 3 : 4);
    } else {
        c->targets = FGHM_F32 + (fghm_dtype)random_below(r, 7);
    }
    c->ignoring = random_bits(r) & 1;
    c->ignore_index = indices[random_below(r, SUITE_COUNT(indices))];
    if (random_below(r, 3) == 0 && !loss->softmax && !loss->regression) {
        c->smoothing = random_uniform(r, 0.0, 1.0);
    }
}

void drawn_make(struct random *r, const struct covering *covering, size_t number, struct drawn *c,
                size_t size) {
    memset(c, 0, size);
    c->covering = covering;
    c->number = number;
    c->activation = covering->loss->softmax ? FGHM_SOFTMAX : FGHM_SIGMOID;
    draw_shape(r, c);
    draw_targets(r, c);
    c->logits = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    c->weights = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    for (int k = 0; k < RESULTS; k++) {
        c->outputs[k] = FGHM_F32 + (fghm_dtype)random_below(r, 4);
    }
    c->weighting = (enum weighting)random_below(r, 3);
    c->least_positive = 0.5;
    c->subset = (unsigned)random_below(r, 1u << (RESULTS + 1));
    if (!covering->loss->counts) {
        /* It has no w; and something has to be asked for. */
        c->subset &= ~(1u << HARMONIZING);
        c->subset |= c->subset == 0 ? 1u << RESULTS : 0;
    }
    c->threads |= random_bits(r) & 1;
    covering->settle(r, c);
}

static void print_combination(const struct drawn *c) {
    printf("combination %zu (%s): %s %zu x %zu x %zu activation %d form %d background %d ignore %d "
           "%lld smoothing %g dtypes %d %d %d weighting %d subset %x",
           c->number, combinations_repeat(c->number), loss_of(c)->name, c->outer, c->classes,
           c->inner, c->activation, c->form, c->background, c->ignoring, (long long)c->ignore_index,
           c->smoothing, c->logits, c->targets, c->weights, (int)c->weighting, c->subset);
    c->covering->print(c);
    printf("\n");
}

bool drawn_failed(const struct drawn *c, const char *what, size_t k) {
    static unsigned long printed;
    static size_t last;
    if (report_count() == 0) {
        printed = 0;
    } else if (printed >= PRINT_AT_MOST || c->number == last) {
        return false;
    }
    last = c->number;
    printed++;
    print_combination(c);
    printf("  FAILED %s[%zu]\n", what, k);
    return true;
}

/* -------------------------------------------------------------------------
 * Its arrays. */

static struct strided any_layout(struct random *r, fghm_dtype dtype, size_t outer, size_t classes,
                                 size_t inner) {
    return random_below(r, 3) == 0 ? strided_plain(dtype, outer, classes, inner)
                                   : strided_random(r, dtype, outer, classes, inner);
}

/* The label of the class 0. */
static int64_t first_label(const struct drawn *c) {
    return c->background == FGHM_BACKGROUND_FIRST && !loss_of(c)->softmax ? 1 : 0;
}

/* INT64_MIN: there is none. */
static int64_t background_label(const struct drawn *c) {
    const int64_t classes = (int64_t)c->classes;
    switch (c->background) {
    case FGHM_BACKGROUND_LAST:
        return loss_of(c)->softmax ? classes - 1 : classes;
    case FGHM_BACKGROUND_FIRST:
        return 0;
    case FGHM_BACKGROUND_MINUS_ONE:
        return -1;
    default:
        return INT64_MIN;
    }
}

static bool holds(fghm_dtype dtype, int64_t value) {
    return (dtype != FGHM_U8 || (value >= 0 && value <= 255)) && value > INT32_MIN;
}

static void fill_labels(struct random *r, const struct drawn *c, const struct strided *a) {
    for (size_t k = 0; k < strided_count(a); k++) {
        int64_t label = (int64_t)random_below(r, c->classes) + first_label(c);
        if (random_below(r, 5) == 0 && holds(a->dtype, background_label(c))) {
            label = background_label(c);
        }
        if (random_below(r, 5) == 0 && c->ignoring && holds(a->dtype, c->ignore_index)) {
            label = c->ignore_index;
        }
        strided_set(a, k, (double)label);
    }
}

static void fill_dense(struct random *r, const struct drawn *c, const struct strided *a) {
    const bool hard = a->dtype >= FGHM_U8 || random_bits(r) & 1;
    for (size_t k = 0; k < strided_count(a); k++) {
        double t = c->covering->target(r, c, hard || random_bits(r) & 1);
        if (random_below(r, 5) == 0 && c->ignoring && holds(a->dtype, c->ignore_index)) {
            t = (double)c->ignore_index;
        }
        strided_set(a, k, t);
    }
}

void drawn_fill_targets(struct random *r, const struct drawn *c, const struct strided *a) {
    (c->form == FGHM_TARGET_LABEL ? fill_labels : fill_dense)(r, c, a);
}

void drawn_fill_weights(struct random *r, const struct drawn *c, const struct strided *a) {
    for (size_t k = 0; k < strided_count(a); k++) {
        strided_set(a, k, c->covering->weight(r));
    }
}

static struct strided weights_array(struct random *r, const struct drawn *c) {
    const size_t extents[3] = {c->outer, loss_of(c)->softmax ? 1 : c->classes, c->inner};
    const int64_t strides[3] = {(int64_t)c->inner + 2, 0, 1};
    struct strided a = c->weighting == PER_SAMPLE
                           ? strided_new(c->weights, extents, strides, 1)
                           : any_layout(r, c->weights, extents[0], extents[1], extents[2]);
    drawn_fill_weights(r, c, &a);
    return a;
}

struct drawn_arrays drawn_arrays(struct random *r, const struct drawn *c) {
    const bool labels = c->form == FGHM_TARGET_LABEL;
    struct drawn_arrays a;
    memset(&a, 0, sizeof a);
    a.logits = any_layout(r, c->logits, c->outer, c->classes, c->inner);
    a.targets = any_layout(r, c->targets, c->outer, labels ? 1 : c->classes, c->inner);
    drawn_fill_targets(r, c, &a.targets);
    if (c->weighting != UNWEIGHTED) {
        a.weights = weights_array(r, c);
    }
    c->covering->fill(r, c, &a);
    for (int k = 0; k < (loss_of(c)->counts ? RESULTS : OUTPUTS); k++) {
        const bool of_sample = loss_of(c)->softmax && (k == ELEMENT_LOSS || k == HARMONIZING);
        const size_t classes = of_sample ? 1 : c->classes;
        a.plain[k] = strided_plain(drawn_real(c), c->outer, classes, c->inner);
        a.drawn[k] = any_layout(r, c->outputs[k], c->outer, classes, c->inner);
    }
    return a;
}

void drawn_free(struct drawn_arrays *a) {
    strided_free(&a->logits);
    strided_free(&a->targets);
    strided_free(&a->weights);
    for (int k = 0; k < RESULTS; k++) {
        strided_free(&a->plain[k]);
        strided_free(&a->drawn[k]);
    }
}

struct drawn_target drawn_target(const struct drawn *c, const struct drawn_arrays *a, size_t k) {
    const struct drawn_place at = drawn_place(c, k);
    struct drawn_target t = {.ignored = false};
    if (c->form == FGHM_TARGET_LABEL) {
        const int64_t label = (int64_t)strided_get(&a->targets, at.o, 0, at.i);
        t.ignored = c->ignoring && label == c->ignore_index;
        t.column = t.ignored ? 0 : (size_t)label;
        t.value = label - first_label(c) == (int64_t)at.c ? 1.0 : 0.0;
        t.positive = loss_of(c)->softmax ? label != background_label(c) : t.value == 1.0;
    } else {
        t.value = drawn_round(c, strided_get(&a->targets, at.o, at.c, at.i));
        t.ignored = c->ignoring && t.value == (double)c->ignore_index;
        t.positive = t.value >= c->least_positive;
    }
    t.positive = t.positive && !t.ignored;
    return t;
}

double drawn_weight(const struct drawn *c, const struct drawn_arrays *a, size_t k) {
    return c->weighting == UNWEIGHTED
               ? 1.0
               : drawn_round(c, strided_at(&a->weights, drawn_loss_index(c, k)));
}

fghm_batch drawn_batch(const struct drawn *c, const struct drawn_arrays *a,
                       const struct strided *outputs, unsigned subset) {
    fghm_batch b = descriptor_of(c->outer, c->classes, c->inner);
    fghm_output *const to[RESULTS] = {&b.element_loss, &b.gradient, &b.hessian,
                                      &b.harmonizing_weight};
    b.activation = c->activation;
    b.target_form = c->form;
    b.background = c->background;
    b.ignore_index = c->ignoring ? c->ignore_index : FGHM_IGNORE_NONE;
    b.label_smoothing = c->smoothing;
    b.class_alpha = c->class_alpha;
    b.class_gamma = c->class_gamma;
    b.class_weights = c->class_weights;
    b.logits = strided_input(&a->logits);
    b.targets = strided_input(&a->targets);
    if (c->weighting != UNWEIGHTED) {
        b.weights = strided_input(&a->weights);
    }
    for (int k = 0; k < RESULTS; k++) {
        if (subset & (1u << k) && outputs[k].first != NULL) {
            *to[k] = strided_output(&outputs[k]);
        }
    }
    return b;
}

/* -------------------------------------------------------------------------
 * What holds of every loss. */

bool drawn_same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

struct drawn_counts drawn_counts(const struct drawn *c, const struct drawn_arrays *a) {
    struct drawn_counts n = {0, 0, 0, c->outer * c->inner};
    for (size_t k = 0; k < strided_count(&a->logits); k++) {
        if (drawn_has_loss(c, k)) {
            const struct drawn_target t = drawn_target(c, a, k);
            n.losses++;
            n.valid += !t.ignored;
            n.positives += t.positive;
        }
    }
    return n;
}

void drawn_check_result(const struct drawn *c, const struct drawn_arrays *a,
                        const fghm_result *result, double divisor) {
    const struct drawn_counts n = drawn_counts(c, a);
    const long double bound = drawn_is_double(c) ? 0x1p-48L : 0x1p-22L;
    long double sum = 0.0L, magnitude = 0.0L;
    for (size_t k = 0; k < strided_count(&a->plain[ELEMENT_LOSS]); k++) {
        const long double loss = (long double)strided_at(&a->plain[ELEMENT_LOSS], k);
        sum += loss;
        magnitude += fabsl(loss);
    }
    if (result->elements != n.losses || result->valid != n.valid ||
        result->positives != n.positives || result->offender != -1) {
        drawn_failed(c, "counts of the result", 0);
    }
    if (result->divisor != divisor) {
        if (drawn_failed(c, "divisor", 0)) {
            printf("  %.17g, want %.17g\n", result->divisor, divisor);
        }
    }
    if (isnan(sum) ? !isnan(result->sum) || !isnan(result->loss)
                   : !(fabsl((long double)result->sum - sum) <= bound * magnitude) ||
                         result->loss != result->sum / divisor) {
        drawn_failed(c, "sum", 0);
    }
}

static void check_output(const struct drawn *c, const struct strided *got,
                         const struct strided *first, int output) {
    for (size_t k = 0; k < strided_count(got); k++) {
        const double want = strided_round(got->dtype, strided_at(first, k));
        if (!drawn_same(strided_at(got, k), want)) {
            if (drawn_failed(c, "second call", k)) {
                printf("  %s: %a, want %a\n", result_names[output], strided_at(got, k), want);
            }
            return;
        }
    }
    if (!strided_gaps_untouched(got)) {
        drawn_failed(c, "gaps", (size_t)output);
    }
}

/* The second call against the first. */
static void check_drawn(const struct drawn *c, const struct drawn_arrays *a,
                        const fghm_result *first, const fghm_result *second) {
    for (int output = 0; output < RESULTS; output++) {
        const struct strided *const to = &a->drawn[output];
        if (to->first != NULL && c->subset & (1u << output)) {
            check_output(c, to, &a->plain[output], output);
        } else if (to->first != NULL && !strided_untouched(to)) {
            drawn_failed(c, "not asked for", (size_t)output);
        }
    }
    if (c->subset & (1u << RESULTS) && memcmp(first, second, sizeof *first) != 0 &&
        !isnan(first->sum)) {
        drawn_failed(c, "second result", 0);
    }
}

static void check_combination(struct random *r, const struct drawn *c, fghm_pool *pool) {
    const struct covering *const covering = c->covering;
    struct drawn_arrays a = drawn_arrays(r, c);
    fghm_result first = FGHM_RESULT_INIT, second = FGHM_RESULT_INIT;
    void *const handle = covering->handle(c), *const other = covering->handle(c);
    const fghm_batch all = drawn_batch(c, &a, a.plain, DRAWN_ALL);
    const fghm_batch drawn = drawn_batch(c, &a, a.drawn, c->subset);
    const fghm_status status = covering->loss->batch(handle, NULL, &all, &first);
    if (status != FGHM_OK) {
        drawn_failed(c, fghm_status_string(status), (size_t)first.offender);
    } else {
        covering->check(r, c, &a, handle, &first);
        assert_int_equal(covering->loss->batch(other, c->threads ? pool : NULL, &drawn,
                                               c->subset & (1u << RESULTS) ? &second : NULL),
                         FGHM_OK);
        if (covering->check_again != NULL) {
            covering->check_again(c, &a, other);
        }
        check_drawn(c, &a, &first, &second);
    }
    covering->loss->destroy(handle);
    covering->loss->destroy(other);
    drawn_free(&a);
}

void drawn_cover(uint64_t test, const struct covering *covering, size_t count, struct drawn *room,
                 size_t size) {
    struct combinations all = combinations(test);
    fghm_pool *const pool = pool_of(3);
    for (size_t k = 0; k < count; k++) {
        if (combinations_next(&all)) {
            drawn_make(&all.random, covering, k, room, size);
            check_combination(&all.random, room, pool);
        }
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
    report_end();
}

/* -------------------------------------------------------------------------
 * Plain calls. */

/* A combination that a plain call can say, and its arrays, contiguous and of one type. */
static struct drawn_arrays plain_arrays(struct random *r, struct drawn *c, const struct dtype *d,
                                        size_t n) {
    struct drawn_arrays a;
    memset(&a, 0, sizeof a);
    c->outer = c->classes = c->inner = 1;
    *(size_t *[]){&c->outer, &c->classes, &c->inner}[random_below(r, 3)] = n;
    c->activation = FGHM_SIGMOID;
    c->form = FGHM_TARGET_DENSE;
    c->background = FGHM_BACKGROUND_NONE;
    c->ignoring = false;
    c->smoothing = 0.0;
    c->class_alpha = c->class_weights = c->class_gamma = NULL;
    c->logits = c->targets = c->weights = dtype_of(d);
    c->weighting = random_bits(r) & 1 ? PER_ELEMENT : UNWEIGHTED;
    a.logits = strided_plain(c->logits, c->outer, c->classes, c->inner);
    a.targets = strided_plain(c->logits, c->outer, c->classes, c->inner);
    drawn_fill_targets(r, c, &a.targets);
    if (c->weighting == PER_ELEMENT) {
        a.weights = strided_plain(c->logits, c->outer, c->classes, c->inner);
        drawn_fill_weights(r, c, &a.weights);
    }
    c->covering->fill(r, c, &a);
    if (!loss_of(c)->regression && random_bits(r) & 1) { /* infinitely right */
        strided_set(&a.logits, n / 2, (double)INFINITY);
        strided_set(&a.targets, n / 2, 1.0);
        strided_set(&a.logits, n / 3, -(double)INFINITY);
        strided_set(&a.targets, n / 3, 0.0);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        a.plain[k] = strided_plain(c->logits, c->outer, c->classes, c->inner);
        a.drawn[k] = strided_plain(c->logits, c->outer, c->classes, c->inner);
    }
    return a;
}

static void check_plain(const struct drawn *c, const struct dtype *d, const struct drawn_arrays *a,
                        fghm_pool *pool) {
    const struct covering *const covering = c->covering;
    const size_t n = strided_count(&a->logits);
    void *const handle = covering->handle(c), *const other = covering->handle(c);
    void *const array[ARRAYS] = {a->logits.first,   a->targets.first,  a->weights.first,
                                 a->drawn[0].first, a->drawn[1].first, a->drawn[2].first};
    const fghm_batch b = drawn_batch(c, a, a->plain, DRAWN_ALL);
    fghm_result result = FGHM_RESULT_INIT;
    double loss = -1.0;
    assert_int_equal(covering->loss->batch(handle, pool, &b, &result), FGHM_OK);
    assert_int_equal(covering->loss->plain(d, other, pool, n, array, &loss), FGHM_OK);
    for (int k = 0; k < OUTPUTS; k++) {
        const size_t at = dtype_first_difference(d, a->plain[k].first, a->drawn[k].first, n);
        if (at < n && drawn_failed(c, "plain call", at)) {
            printf("  %s: %a, of the batch %a\n", result_names[k], strided_at(&a->drawn[k], at),
                   strided_at(&a->plain[k], at));
        }
    }
    if (isnan(loss) ? !isnan(result.loss)
                    : loss != result.loss &&
                          !(fabs(loss - result.loss) <= d->sum_bound * fabs(result.loss))) {
        drawn_failed(c, "loss of a plain call", 0);
    }
    if (covering->check_again != NULL) {
        covering->check_again(c, a, other);
    }
    covering->loss->destroy(handle);
    covering->loss->destroy(other);
}

void drawn_cover_plain(uint64_t test, const struct covering *covering, const struct dtype *d,
                       struct drawn *room, size_t size) {
    static const size_t lengths[] = {1,    2,    15,   16,   17,   255,  256,  257,
                                     1000, 1023, 1024, 1025, 2047, 2048, 2049, 4096,
                                     4097, 8191, 8192, 8193, 8209, 20001};
    enum { EACH = 8 };
    struct combinations all = combinations(test);
    fghm_pool *const pool = pool_of(3);
    for (size_t k = 0; k < SUITE_COUNT(lengths) * EACH; k++) {
        if (combinations_next(&all)) {
            drawn_make(&all.random, covering, k, room, size);
            struct drawn_arrays a = plain_arrays(&all.random, room, d, lengths[k / EACH]);
            check_plain(room, d, &a, room->threads ? pool : NULL);
            drawn_free(&a);
        }
    }
    combinations_end(&all);
    fghm_pool_destroy(pool);
    report_end();
}
