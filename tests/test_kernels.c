/* SPDX-License-Identifier: MIT */

/* The kernels over contiguous elements of every row of the dispatch table against
 * those of the scalar row: the same bits where the row has fused multiply-add, twice the
 * promised error where it has not.  Arrays lie against unmapped pages, at every
 * distance that a register knows, and outputs over inputs. */

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bins.h"
#include "support/batch.h"
#include "support/combinations.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/rows.h"
#include "kernels/double_sum.h"
#include "support/loss.h"

#define POISON 0xa5
#define GAPS 16 /* lanes of the widest register */
#define SMALL 200

static const size_t primes[] = {211, 509, 1021, 4099, 65537};
#define LENGTHS (SMALL + 1 + SUITE_COUNT(primes))

static size_t length(size_t i) {
    return i <= SMALL ? i : primes[i - SMALL - 1];
}

/* Long arrays take their time: each has its turn with a part of the settings. */
static bool has_turn(size_t i, size_t setting) {
    return length(i) < 4000 || (i + setting) % 4 == 0;
}

/* Inputs ---------------------------------------------------------------------- */

enum data { HARD, SOFT, EXTREME, WRONG, DATA_KINDS };

/* Where exponentials run out of range, both types' and their halves, and what else
 * kernels tell apart. */
static double extreme_logit(const struct dtype *d, struct random *r) {
    const double tiny = ldexp(1.0, d->format->lowest);
    const double few[] = {0.0,      tiny,  3.0 * tiny, d->min_normal, d->format->max,
                          INFINITY, 104.0, 128.0,      746.0,         792.0};
    double x;
    switch (random_below(r, 6)) {
    case 0:
        x = few[random_below(r, SUITE_COUNT(few))];
        break;
    case 1:
        x = random_uniform(r, 87.0, 104.5);
        break;
    case 2:
        x = random_uniform(r, 708.0, 746.5);
        break;
    case 3:
        x = random_log_uniform(r, 1e-30, 1e30);
        break;
    case 4:
        return d->any(r);
    default:
        return random_below(r, 4) == 0 ? (double)NAN : random_uniform(r, -40.0, 40.0);
    }
    x = dtype_round(d, x);
    if (isfinite(x) && random_bits(r) & 1) {
        x = d->next(x, random_bits(r) & 1 ? INFINITY : -INFINITY);
    }
    return random_bits(r) & 1 ? x : -x;
}

static double random_logit(const struct dtype *d, struct random *r, enum data data) {
    if (data == EXTREME && random_bits(r) & 1) {
        return extreme_logit(d, r);
    }
    return random_below(r, 8) == 0 ? random_log_uniform(r, 1e-6, 700.0) : 5.0 * random_normal(r);
}

static double random_target(const struct dtype *d, struct random *r, enum data data) {
    const double wrong[] = {-d->min_normal, d->next(1.0, 2.0), -1.0,       7.0,
                            INFINITY,       -INFINITY,         (double)NAN};
    const double soft[] = {0.5, d->min_normal, d->next(1.0, 0.0), d->next(0.0, 1.0), -0.0};
    if (data == WRONG && random_below(r, 16) == 0) {
        return wrong[random_below(r, SUITE_COUNT(wrong))];
    }
    if (data == SOFT && random_bits(r) & 1) {
        size_t i = random_below(r, 2 * SUITE_COUNT(soft));
        return i < SUITE_COUNT(soft) ? soft[i] : random_uniform(r, 0.0, 1.0);
    }
    return random_below(r, 4) == 0 ? 1.0 : 0.0;
}

static double random_weight(struct random *r, enum data data) {
    const double odd[] = {0.0, -0.0, INFINITY, (double)NAN, -1.0};
    if (data == EXTREME && random_below(r, 8) == 0) {
        return odd[random_below(r, SUITE_COUNT(odd))];
    }
    return random_below(r, 8) == 0 ? 0.0 : random_uniform(r, 0.0, 1.0);
}

static void fill(struct batch *b, struct random *r, enum data data, bool probabilities) {
    for (size_t i = 0; i < b->n; i++) {
        double x = random_logit(b->d, r, data);
        if (probabilities && random_below(r, data == WRONG ? 16 : SIZE_MAX) != 0) {
            x = isnan(x) ? x : 1.0 / (1.0 + exp(-x));
        }
        batch_put(b, i, x, random_target(b->d, r, data));
        b->d->put(b->weights, i, random_weight(r, data));
    }
}

/* Where arrays lie ------------------------------------------------------------- */

/* A call with its arrays in guarded memory. */
struct arena {
    const struct dtype *d;
    size_t n;
    struct guarded memory[ARRAYS];
};

/* How arrays are to be laid out: `gap` elements from the unmapped page in front or
 * behind; which outputs there are, and over which input each of them lies (-1: none). */
struct placing {
    bool high, weighted;
    size_t gap;
    unsigned outputs;
    int over[OUTPUTS];
};

static struct arena arena_new(const struct dtype *d, size_t n) {
    struct arena a = {.d = d, .n = n};
    for (int i = 0; i < ARRAYS; i++) {
        a.memory[i] = guarded_new((n + GAPS) * d->size);
    }
    return a;
}

static void arena_free(struct arena *a) {
    for (int i = 0; i < ARRAYS; i++) {
        guarded_free(&a->memory[i]);
    }
}

static struct placing random_placing(struct random *r) {
    struct placing p = {.high = random_bits(r) & 1, .weighted = random_bits(r) & 1};
    size_t inputs[3];
    bool replacing = random_below(r, 4) == 0;
    p.gap = random_below(r, GAPS);
    p.outputs = (unsigned)random_below(r, 1u << OUTPUTS);
    random_permutation(r, 3, inputs);
    for (int o = 0; o < OUTPUTS; o++) {
        p.over[o] = replacing && (p.weighted || inputs[o] != WEIGHTS) ? (int)inputs[o] : -1;
    }
    return p;
}

static void *at(const struct arena *a, int array, const struct placing *p) {
    return p->high ? guarded_high(&a->memory[array], a->n * a->d->size, p->gap * a->d->size)
                   : guarded_low(&a->memory[array], p->gap * a->d->size);
}

static struct fghm_span lay_out(const struct arena *a, const struct placing *p,
                                const struct batch *from) {
    const void *const inputs[] = {from->logits, from->targets, from->weights};
    void *array[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        guarded_fill(&a->memory[i], POISON);
        array[i] = at(a, i, p);
        if (i < LOSSES) {
            memcpy(array[i], inputs[i], a->n * a->d->size);
        } else if (!(p->outputs >> (i - LOSSES) & 1)) {
            array[i] = NULL;
        } else if (p->over[i - LOSSES] >= 0) {
            array[i] = array[p->over[i - LOSSES]];
        }
    }
    return (struct fghm_span){.n = a->n,
                              .logits = array[LOGITS],
                              .targets = array[TARGETS],
                              .weights = p->weighted ? array[WEIGHTS] : NULL,
                              .element_loss = array[LOSSES],
                              .gradient = array[GRADIENTS],
                              .hessian = array[HESSIANS]};
}

/* The span's outputs and inputs as they should be: nothing beside them was written, and
 * inputs that no output lies over are as they were. */
static void assert_untouched(const struct arena *a, const struct placing *p,
                             const struct batch *from) {
    const void *const inputs[] = {from->logits, from->targets, from->weights};
    bool replaced[ARRAYS] = {false};
    for (int o = 0; o < OUTPUTS; o++) {
        bool wanted = p->outputs >> o & 1;
        if (wanted && p->over[o] >= 0) {
            replaced[p->over[o]] = true;
        }
        replaced[LOSSES + o] = wanted && p->over[o] < 0;
    }
    for (int i = 0; i < ARRAYS; i++) {
        bool lies_here = i < LOSSES || replaced[i];
        size_t bytes = lies_here ? a->n * a->d->size : 0;
        assert_true(guarded_untouched_outside(&a->memory[i], at(a, i, p), bytes, POISON));
        if (i < LOSSES && !replaced[i]) {
            assert_memory_equal(at(a, i, p), inputs[i], bytes);
        }
    }
}

/* Tolerances for rows without fused multiply-add --------------------------------- */

static double ulp(const struct dtype *d, double x) {
    const double smallest = ldexp(1.0, d->format->lowest);
    return x == 0.0 || isnan(x) ? smallest
                                : fmax(smallest, ldexp(1.0, ilogb(x) - d->format->digits + 1));
}

/* The sum of the magnitudes of an output's terms before a_t and weights; see focal.h. */
static double terms(int output, double gamma, double x, double t) {
    const double e = exp(-fabs(x)), large = 1.0 / (1.0 + e), small = e * large;
    const double p = x > 0.0 ? large : small, q = x > 0.0 ? small : large;
    const double bce = (x > 0.0 ? 1.0 - t : t) * fabs(x) + log1p(e);
    const double m = t == 1.0 ? q : t == 0.0 ? p : t * q + (1.0 - t) * p;
    const double relative = t == 1.0 ? p : t == 0.0 ? q : fabs(1.0 - 2.0 * t) * p * q / m;
    /* Of p - t, which loses digits where the two meet. */
    const double difference = t * q + (1.0 - t) * p;
    if (output == ELEMENT_LOSS) {
        return pow(m, gamma) * bce;
    }
    if (output == GRADIENT) {
        return pow(m, gamma) * (difference + gamma * relative * bce);
    }
    return pow(m, gamma) *
           (p * q + gamma * relative *
                        (2.0 * difference + (fabs(q - p) + fabs(gamma - 1.0) * relative) * bce));
}

struct tolerance {
    bool exact;     /* the same bits */
    bool loss_only; /* derivatives have no bound of this form */
    bool regression;
    bool split; /* soft targets have a sum of two losses */
    double gamma, negative_gamma, positive, negative, scale, hessian_floor;
};

/* Both results may be off by the promise, and by an ulp for weights and for 1 / D each. */
static double allowed(const struct tolerance *tolerance, const struct batch *b, bool weighted,
                      int output, size_t i) {
    const double gamma = fmax(tolerance->gamma, tolerance->negative_gamma);
    const double x = b->d->get(b->logits, i), t = b->d->get(b->targets, i);
    const double weight = weighted ? b->d->get(b->weights, i) : 1.0;
    const double alpha = tolerance->positive * t + tolerance->negative * (1.0 - t);
    const double factor = fabs(alpha * weight * (output == ELEMENT_LOSS ? 1.0 : tolerance->scale));
    const double bound = 2.0 * (fmax(16.0, gamma) + 2.0);
    const double smallest = ldexp(1.0, b->d->format->lowest);
    const double soft = t == 0.0 || t == 1.0 ? 1.0 : 1.0 + fabs(x);
    if (tolerance->regression) {
        const double regression_bound = 2.0 * ((output == HESSIAN ? 10.0 : 5.0) + 2.0);
        return regression_bound * (ulp(b->d, b->d->get(b->out[output], i)) + smallest * factor);
    }
    if (tolerance->loss_only && output != ELEMENT_LOSS) {
        return INFINITY;
    }
    if (tolerance->loss_only) {
        /* Quality focal loss: a power of |p - t|, which loses digits where the two meet. */
        const double p = 1.0 / (1.0 + exp(-x));
        const double lost = t == 0.0 || t == 1.0 ? 1.0 : 1.0 + fmax(p, t) / fabs(p - t);
        return bound * lost * ulp(b->d, b->d->get(b->out[output], i));
    }
    const double least = output == HESSIAN ? fmax(0.0, tolerance->hessian_floor) : 0.0;
    double size = terms(output, t == 1.0 ? tolerance->gamma : tolerance->negative_gamma, x, t);
    if (tolerance->split && alpha > 0.0) {
        const double positive = tolerance->positive * t / alpha;
        const double negative = tolerance->negative * (1.0 - t) / alpha;
        size = (positive > 0.0 ? positive * terms(output, tolerance->gamma, x, 1.0) : 0.0) +
               (negative > 0.0 ? negative * terms(output, tolerance->negative_gamma, x, 0.0) : 0.0);
    }
    size = fmax(size, least);
    return bound * (ulp(b->d, size * factor) + smallest * factor * soft);
}

static void assert_output(const char *what, const struct tolerance *tolerance,
                          const struct batch *want, bool weighted, int output, const void *got) {
    const struct dtype *d = want->d;
    if (tolerance->exact && dtype_first_difference(d, got, want->out[output], want->n) == want->n) {
        return;
    }
    for (size_t i = 0; i < want->n; i++) {
        double a = d->get(got, i), b = d->get(want->out[output], i);
        unsigned char in_a[sizeof a] = {0}, in_b[sizeof b] = {0};
        d->put(in_a, 0, a);
        d->put(in_b, 0, b);
        bool same = memcmp(in_a, in_b, sizeof in_a) == 0 || (isnan(a) && isnan(b));
        if (same || (!tolerance->exact && isfinite(b) &&
                     fabs(a - b) <= allowed(tolerance, want, weighted, output, i))) {
            continue;
        }
        fail_msg("%s: %s[%zu of %zu] is %a, scalar %a; logit %a target %a weight %a, seed %llu",
                 what, output_names[output], i, want->n, a, b, d->get(want->logits, i),
                 d->get(want->targets, i), d->get(want->weights, i),
                 (unsigned long long)random_run_seed());
    }
}

static void assert_sum(const char *what, const struct tolerance *tolerance,
                       const struct batch *want, bool weighted, double got) {
    double magnitudes = 0.0;
    double elements = 0.0; /* what the elements may differ by */
    if (memcmp(&got, &want->loss, sizeof got) == 0 || (isnan(got) && isnan(want->loss))) {
        return;
    }
    for (size_t i = 0; i < want->n; i++) {
        magnitudes += fabs(want->d->get(want->out[ELEMENT_LOSS], i));
        /* NaN: of what the mask hides. */
        const double slack = allowed(tolerance, want, weighted, ELEMENT_LOSS, i);
        elements += isnan(slack) ? 0.0 : slack;
    }
    if (tolerance->exact || !isfinite(want->loss) ||
        !(fabs(got - want->loss) <= 2.0 * want->d->sum_bound * magnitudes + elements)) {
        fail_msg("%s: sum of %zu is %a, scalar %a, seed %llu", what, want->n, got, want->loss,
                 (unsigned long long)random_run_seed());
    }
}

/* Focal loss -------------------------------------------------------------------- */

/* One more than the kernels for gammas stands for the one for probabilities. */
enum { PROBABILITY = FGHM_GAMMAS };

static const struct {
    int kernel;
    double gamma, negative_gamma;
} losses[] = {
    {FGHM_GAMMA_0, 0.0, 0.0},      {FGHM_GAMMA_HALF, 0.5, 0.5},   {FGHM_GAMMA_1, 1.0, 1.0},
    {FGHM_GAMMA_2, 2.0, 2.0},      {FGHM_GAMMA_ANY, 0.01, 0.01},  {FGHM_GAMMA_ANY, 0.5, 0.5},
    {FGHM_GAMMA_ANY, 1.5, 1.5},    {FGHM_GAMMA_ANY, 2.0, 2.0},    {FGHM_GAMMA_ANY, 5.0, 5.0},
    {FGHM_GAMMA_ANY, 17.3, 17.3},  {FGHM_GAMMA_ANY, 1e4, 1e4},    {FGHM_GAMMA_ANY, 1e30, 1e30},
    {FGHM_GAMMA_POWERS, 1.0, 4.0}, {FGHM_GAMMA_POWERS, 7.5, 0.0}, {FGHM_GAMMA_POWERS, 0.5, 3.0},
    {FGHM_GAMMA_LANES, 0.3, 4.0},  {FGHM_GAMMA_LANES, 17.0, 0.0}, {PROBABILITY, 0.0, 0.0},
    {PROBABILITY, 2.0, 2.0},       {PROBABILITY, 3.7, 3.7},       {PROBABILITY, 0.0, 2.5},
};

static fghm_focal_kernel *kernel_of(const struct fghm_kernels *kernels, int kernel) {
    return kernel == PROBABILITY ? kernels->probability : kernels->focal[kernel];
}

/* The results of the scalar row with all outputs, in plain memory; returns what it found
 * wrong. */
static int expect(struct batch *b, fghm_focal_kernel *kernel,
                  const struct fghm_focal_constants *constants, double scale, bool weighted) {
    int bad = 0;
    struct fghm_span span = {.n = b->n,
                             .logits = b->logits,
                             .targets = b->targets,
                             .weights = weighted ? b->weights : NULL,
                             .element_loss = b->out[ELEMENT_LOSS],
                             .gradient = b->out[GRADIENT],
                             .hessian = b->out[HESSIAN]};
    struct fghm_sum sum = {0};
    kernel(constants, scale, &span, &sum, &bad);
    b->loss = quotient_of(sum_of_lanes(&sum, sizeof(double)), huge_of(&sum, sizeof(double)), 1);
    return bad;
}

static void check_focal(const struct row_case *c, struct arena *arena, struct batch *b,
                        struct random *r, size_t loss, struct placing p) {
    struct fghm_focal_constants constants = rows_constants(r, losses[loss].gamma);
    const double scale = rows_scale(r);
    const int kernel = losses[loss].kernel;
    const enum data data = (enum data)random_below(r, DATA_KINDS);
    constants.negative_gamma = losses[loss].negative_gamma;
    if (constants.negative_gamma != constants.gamma) {
        constants.soft = FGHM_SOFT_SPLIT;
    }
    const struct tolerance tolerance = {
        .exact = c->row->has_fma,
        .loss_only = kernel == PROBABILITY || constants.soft == FGHM_SOFT_QUALITY,
        .split = constants.soft == FGHM_SOFT_SPLIT,
        .gamma = constants.gamma,
        .negative_gamma = constants.negative_gamma,
        .positive = constants.positive,
        .negative = constants.negative,
        .scale = scale,
        .hessian_floor = constants.hessian_floor,
    };
    char what[200];
    fill(b, r, data, kernel == PROBABILITY);
    const int wanted_bad = expect(b, kernel_of(c->scalar, kernel), &constants, scale, p.weighted);
    const struct fghm_kernels *const rows[] = {c->scalar, c->kernels};
    for (int i = 0; i < 2; i++) {
        const struct tolerance here = i == 0 ? (struct tolerance){.exact = true} : tolerance;
        const struct fghm_span span = lay_out(arena, &p, b);
        const void *const out[] = {span.element_loss, span.gradient, span.hessian};
        int bad = 0;
        struct fghm_sum lanes = {0};
        kernel_of(rows[i], kernel)(&constants, scale, &span, &lanes, &bad);
        const double sum =
            quotient_of(sum_of_lanes(&lanes, sizeof(double)), huge_of(&lanes, sizeof(double)), 1);
        snprintf(
            what, sizeof what,
            "%s %s kernel %d gamma %.17g %.17g a %.17g %.17g scale %a soft %d mode %d %d %g gap "
            "%zu %s outputs %u",
            i == 0 ? "scalar" : c->row->name, c->d->name, kernel, constants.gamma,
            constants.negative_gamma, constants.positive, constants.negative, scale,
            (int)constants.soft, constants.gauss_newton, constants.absolute,
            constants.hessian_floor, p.gap, p.high ? "high" : "low", p.outputs);
        for (int o = 0; o < OUTPUTS; o++) {
            if (out[o] != NULL) {
                assert_output(what, &here, b, p.weighted, o, out[o]);
            }
        }
        assert_sum(what, &here, b, p.weighted, sum);
        if (bad != wanted_bad) {
            fail_msg("%s: found %d wrong, scalar %d", what, bad, wanted_bad);
        }
        assert_untouched(arena, &p, b);
    }
}

/* A batch with weights, which spans then use or not. */
static struct batch weighted_batch(const struct dtype *d, size_t n) {
    struct batch b = batch_new(d, n);
    b.weights = dtype_array(d, n);
    return b;
}

static void focal_of_every_length(void **state) {
    const struct row_case *c = *state;
    struct combinations all = combinations(1);
    for (size_t i = 0; i < LENGTHS; i++) {
        struct batch b = weighted_batch(c->d, length(i));
        struct arena arena = arena_new(c->d, length(i));
        for (size_t loss = 0; loss < SUITE_COUNT(losses); loss++) {
            if (has_turn(i, loss) && combinations_next(&all)) {
                const struct placing p = random_placing(&all.random);
                check_focal(c, &arena, &b, &all.random, loss, p);
            }
        }
        arena_free(&arena);
        batch_free(&b);
    }
    combinations_end(&all);
}

static void focal_in_every_place(void **state) {
    const struct row_case *c = *state;
    const size_t n = 2 * GAPS + 3;
    struct combinations all = combinations(2);
    struct batch b = weighted_batch(c->d, n);
    struct arena arena = arena_new(c->d, n);
    for (size_t gap = 0; gap < GAPS; gap++) {
        for (int high = 0; high < 2; high++) {
            for (unsigned outputs = 0; outputs < 1u << OUTPUTS; outputs++) {
                if (!combinations_next(&all)) {
                    continue;
                }
                struct placing p = random_placing(&all.random);
                p.gap = gap;
                p.high = high;
                p.outputs = outputs;
                const size_t loss = random_below(&all.random, SUITE_COUNT(losses));
                check_focal(c, &arena, &b, &all.random, loss, p);
            }
        }
    }
    combinations_end(&all);
    arena_free(&arena);
    batch_free(&b);
}

/* GHM ---------------------------------------------------------------------------- */

/* Of 295 bins of GHM-R an edge is so near to the end of its cell that only kernels with fused
 * multiply-add would find it there, were the cells not scaled once more. */
static const size_t bin_counts[] = {1, 2, 3, 9, 10, 15, 16, 17, 24, 25, 30, 100, 295, 1000, 4096};
#define BIN_COUNTS SUITE_COUNT(bin_counts)

/* Kernels load tables of up to 16 entries whole. */
#define TABLE_LEAST 16

/* GHM-C is mu 0, as it is for the tables. */
struct ghm_case {
    const struct row_case *c;
    double mu;
    struct fghm_bin_tables tables;
    const struct fghm_bins *bins;
    struct guarded weights; /* of bins, against the page behind */
    void *bin_weights;
    struct guarded counts;
};

static void ghm_make(struct ghm_case *g, const struct row_case *c, size_t bins, double mu,
                     struct random *r) {
    g->c = c;
    g->mu = mu;
    const size_t entries = bins + 1 > TABLE_LEAST ? bins + 1 : TABLE_LEAST;
    assert_int_equal(fghm_bin_tables_make(&g->tables, bins, NULL, mu), 0);
    g->bins = c->d->size == sizeof(float) ? &g->tables.f32 : &g->tables.f64;
    g->weights = guarded_new(entries * c->d->size);
    g->bin_weights = guarded_high(&g->weights, entries * c->d->size, 0);
    for (size_t b = 0; b < bins; b++) {
        c->d->put(g->bin_weights, b, random_uniform(r, 0.0, 3.0));
    }
    c->d->put(g->bin_weights, bins, 0.0);
    g->counts = guarded_new(bins * sizeof(uint64_t));
}

static void ghm_free(struct ghm_case *g) {
    fghm_bin_tables_free(&g->tables);
    guarded_free(&g->weights);
    guarded_free(&g->counts);
}

/* Counts into guarded memory that already holds something; returns its place. */
static const uint64_t *count(const struct ghm_case *g, const struct fghm_kernels *kernels,
                             const struct fghm_span *span, uint64_t *valid, int *bad) {
    const size_t bytes = g->bins->bins * sizeof(uint64_t);
    guarded_fill(&g->counts, POISON);
    uint64_t *const counts = guarded_high(&g->counts, bytes, 0);
    for (size_t b = 0; b < g->bins->bins; b++) {
        counts[b] = b;
    }
    *valid = 7;
    *bad = 0;
    (g->mu > 0.0 ? kernels->ghmr_count : kernels->ghm_count)(g->bins, span, counts, valid, bad);
    assert_true(guarded_untouched_outside(&g->counts, counts, bytes, POISON));
    return counts;
}

static void check_count(const struct ghm_case *g, const struct fghm_span *span) {
    const struct row_case *c = g->c;
    const size_t bins = g->bins->bins;
    uint64_t *wanted = calloc(bins, sizeof *wanted);
    uint64_t wanted_valid, valid;
    int wanted_bad, bad;
    assert_non_null(wanted);
    memcpy(wanted, count(g, c->scalar, span, &wanted_valid, &wanted_bad), bins * sizeof *wanted);
    const uint64_t *const counts = count(g, c->kernels, span, &valid, &bad);
    for (size_t b = 0; b < bins; b++) {
        if (counts[b] != wanted[b]) {
            fail_msg("%s %s: %llu of %zu elements in bin %zu of %zu, scalar %llu, seed %llu",
                     c->row->name, c->d->name, (unsigned long long)(counts[b] - b), span->n, b,
                     bins, (unsigned long long)(wanted[b] - b),
                     (unsigned long long)random_run_seed());
        }
    }
    assert_int_equal(valid, wanted_valid);
    assert_int_equal(bad, wanted_bad);
    free(wanted);
}

static double apply(const struct ghm_case *g, const struct fghm_kernels *kernels, double scale,
                    const struct fghm_span *span, int *bad) {
    struct fghm_sum sum = {0};
    if (g->mu > 0.0) {
        kernels->ghmr_apply(g->bins, g->bin_weights, g->mu, scale, span, &sum);
    } else {
        kernels->ghm_apply(g->bins, g->bin_weights, scale, span, &sum, bad);
    }
    return quotient_of(sum_of_lanes(&sum, sizeof(double)), huge_of(&sum, sizeof(double)), 1);
}

static void check_apply(const struct ghm_case *g, const struct arena *arena, struct batch *b,
                        const struct placing *p, double scale) {
    const struct row_case *c = g->c;
    struct fghm_span all = {.n = b->n,
                            .logits = b->logits,
                            .targets = b->targets,
                            .weights = p->weighted ? b->weights : NULL,
                            .element_loss = b->out[ELEMENT_LOSS],
                            .gradient = b->out[GRADIENT],
                            .hessian = b->out[HESSIAN]};
    const struct tolerance exact = {.exact = true};
    /* Bins have weights up to 3. */
    const struct tolerance near = {
        .positive = 3.0, .negative = 3.0, .scale = scale, .regression = g->mu > 0.0};
    const struct fghm_kernels *const rows[] = {c->scalar, c->kernels};
    int bad = 0;
    b->loss = apply(g, c->scalar, scale, &all, &bad);
    for (int i = 0; i < 2; i++) {
        const struct tolerance *tolerance = i == 0 || c->row->has_fma ? &exact : &near;
        const struct fghm_span span = lay_out(arena, p, b);
        const void *const out[] = {span.element_loss, span.gradient, span.hessian};
        int also_bad = 0;
        const double sum = apply(g, rows[i], scale, &span, &also_bad);
        char what[100];
        snprintf(what, sizeof what, "%s %s mu %g bins %zu masked %d gap %zu",
                 i == 0 ? "scalar" : c->row->name, c->d->name, g->mu, g->bins->bins, p->weighted,
                 p->gap);
        for (int o = 0; o < OUTPUTS; o++) {
            if (out[o] != NULL) {
                assert_output(what, tolerance, b, false, o, out[o]);
            }
        }
        assert_sum(what, tolerance, b, false, sum);
        assert_int_equal(also_bad, bad);
        assert_untouched(arena, p, b);
    }
}

/* Soft targets have bins that arithmetic decides, so that only rows with the same
 * arithmetic have the same. */
static enum data ghm_data(const struct row_case *c, struct random *r) {
    const enum data data = (enum data)random_below(r, DATA_KINDS);
    return data == SOFT && !c->row->has_fma ? HARD : data;
}

/* Any differences, more of them near mu. */
static void fill_regression(struct batch *b, struct random *r, double mu) {
    for (size_t i = 0; i < b->n; i++) {
        const double near = random_log_uniform(r, mu * 1e-4, mu * 1e4);
        const double x = random_below(r, 4) == 0 ? extreme_logit(b->d, r) : near;
        batch_put(b, i, x, random_below(r, 4) == 0 ? extreme_logit(b->d, r) : 0.5 * near);
    }
}

/* The mask has a third of the elements. */
static void fill_ghm(const struct ghm_case *g, struct batch *b, struct random *r) {
    const double marks[] = {1.0, 0.0, 0x1p-1000, -1.0, (double)NAN, 5.0, 1.0, 0.0};
    if (g->mu > 0.0) {
        fill_regression(b, r, g->mu);
    } else {
        fill(b, r, ghm_data(g->c, r), false);
    }
    for (size_t i = 0; i < b->n; i++) {
        b->d->put(b->weights, i, marks[random_below(r, SUITE_COUNT(marks))]);
    }
}

static void check_ghm(const struct ghm_case *g, const struct arena *arena, struct batch *b,
                      struct random *r) {
    const struct placing p = random_placing(r);
    const struct fghm_span span = lay_out(arena, &p, b);
    check_count(g, &span);
    check_apply(g, arena, b, &p, random_uniform(r, 0.0, 1.0));
}

/* Each number of bins has one of these. */
static const double mus[] = {0.02, 1e-30, 3.0, 1e30, 1e-10};

static double mu_of(bool regression, size_t k) {
    return regression ? mus[k % SUITE_COUNT(mus)] : 0.0;
}

static void every_length(const struct row_case *c, bool regression) {
    const uint64_t test = regression ? 5 : 3;
    struct random r = random_for(test);
    struct combinations all = combinations(test);
    struct ghm_case g[BIN_COUNTS];
    for (size_t k = 0; k < BIN_COUNTS; k++) {
        ghm_make(&g[k], c, bin_counts[k], mu_of(regression, k), &r);
    }
    for (size_t i = 0; i < LENGTHS; i++) {
        struct batch b = weighted_batch(c->d, length(i));
        struct arena arena = arena_new(c->d, length(i));
        for (size_t k = 0; k < BIN_COUNTS; k++) {
            if (has_turn(i, k) && combinations_next(&all)) {
                fill_ghm(&g[k], &b, &all.random);
                check_ghm(&g[k], &arena, &b, &all.random);
            }
        }
        arena_free(&arena);
        batch_free(&b);
    }
    combinations_end(&all);
    for (size_t k = 0; k < BIN_COUNTS; k++) {
        ghm_free(&g[k]);
    }
}

static void ghm_of_every_length(void **state) {
    every_length(*state, false);
}

static void ghmr_of_every_length(void **state) {
    every_length(*state, true);
}

/* Logits at every edge and next to it on both sides, for both targets; or differences, of
 * both signs. */
static void at_the_edges(const struct row_case *c, double mu) {
    const struct dtype *d = c->d;
    struct combinations all = combinations(4);
    for (size_t k = 0; k < BIN_COUNTS; k++) {
        if (!combinations_next(&all)) {
            continue;
        }
        struct ghm_case g;
        ghm_make(&g, c, bin_counts[k], mu, &all.random);
        const size_t n = 6 * bin_counts[k];
        struct batch b = weighted_batch(d, n);
        struct arena arena = arena_new(d, n);
        for (size_t i = 0; i < n; i++) {
            const double edge = d->get(g.bins->upper, i / 6);
            const double near[] = {edge, d->next(edge, INFINITY), d->next(edge, -INFINITY)};
            const double target = (double)(i / 3 % 2);
            batch_put(&b, i, target == 1.0 ? near[i % 3] : -near[i % 3], mu > 0.0 ? 0.0 : target);
            d->put(b.weights, i, random_below(&all.random, 4) == 0 ? 0.0 : 1.0);
        }
        for (int weighted = 0; weighted < 2; weighted++) {
            struct placing p = random_placing(&all.random);
            p.weighted = weighted;
            const struct fghm_span span = lay_out(&arena, &p, &b);
            check_count(&g, &span);
            check_apply(&g, &arena, &b, &p, 1.0);
        }
        arena_free(&arena);
        batch_free(&b);
        ghm_free(&g);
    }
    combinations_end(&all);
}

static void ghm_at_the_edges(void **state) {
    at_the_edges(*state, 0.0);
}

static void ghmr_at_the_edges(void **state) {
    for (size_t k = 0; k < SUITE_COUNT(mus); k++) {
        at_the_edges(*state, mus[k]);
    }
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"focal_of_every_length", focal_of_every_length, 1},
        {"focal_in_every_place", focal_in_every_place, 1},
        {"ghm_of_every_length", ghm_of_every_length, 1},
        {"ghm_at_the_edges", ghm_at_the_edges, 1},
        {"ghmr_of_every_length", ghmr_of_every_length, 1},
        {"ghmr_at_the_edges", ghmr_at_the_edges, 1},
    };
    return rows_run(argument_count, arguments, "test_kernels", false, tests, SUITE_COUNT(tests));
}
