/* SPDX-License-Identifier: MIT */

/* The vector operations of every instruction set, one by one and lane by lane, against
 * their definitions in plain C: on special numbers in all combinations and on random
 * ones.  Kernels that differ from each other begin here. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/guarded.h"
#include "support/random.h"
#include "support/rows.h"
#include "vec/vec_ops.h"

#define LANES_MAX 16

extern const struct vec_ops vec_ops_reference_f32, vec_ops_reference_f64;

#define FGHM_ISA(name, usable, has_fma)                                                            \
    extern const struct vec_ops vec_ops_##name##_f32, vec_ops_##name##_f64;
#include "isa/isa.def"

#define FGHM_ISA(name, usable, has_fma) {#name, {&vec_ops_##name##_f32, &vec_ops_##name##_f64}},

static const struct {
    const char *name;
    const struct vec_ops *ops[DTYPE_COUNT];
} tables[] = {
#include "isa/isa.def"
};

static const struct vec_ops *ops_of(const struct row_case *c) {
    for (size_t i = 0; i < SUITE_COUNT(tables); i++) {
        if (strcmp(tables[i].name, c->row->name) == 0) {
            return tables[i].ops[c->d - dtypes];
        }
    }
    fail_msg("no operations for the row %s", c->row->name);
    return NULL;
}

static const struct vec_ops *reference_of(const struct row_case *c) {
    return c->d->size == sizeof(float) ? &vec_ops_reference_f32 : &vec_ops_reference_f64;
}

/* Numbers ---------------------------------------------------------------------------- */

/* All sorts, with both signs.  NaN has bits of its own, since some operations keep them. */
static size_t specials(const struct dtype *d, double *out) {
    const double positive[] = {0.0,
                               ldexp(1.0, d->format->lowest),
                               ldexp(5.0, d->format->lowest),
                               d->next(d->min_normal, 0.0),
                               d->min_normal,
                               d->next(d->min_normal, 1.0),
                               0x1p-30,
                               d->next(1.0, 0.0),
                               1.0,
                               d->next(1.0, 2.0),
                               1.5,
                               3.0,
                               0x1.8p23,
                               0x1p100,
                               d->next(d->format->max, 0.0),
                               d->format->max,
                               INFINITY,
                               (double)NAN};
    const size_t n = SUITE_COUNT(positive);
    for (size_t i = 0; i < n; i++) {
        out[i] = positive[i];
        out[n + i] = -positive[i];
    }
    return 2 * n;
}
#define SPECIALS 36

/* Three arrays of operands: the special numbers in every combination of two and, for the
 * third, in turn; then random ones. */
#define RANDOM 6000
#define OPERANDS (SPECIALS * SPECIALS + RANDOM)

/* Arrays start an element behind what malloc gives: loads and stores need no alignment. */
struct operands {
    const struct dtype *d;
    void *memory[4];
    unsigned char *a, *b, *c, *out;
};

static double random_number(const struct dtype *d, struct random *r) {
    switch (random_below(r, 3)) {
    case 0:
        return d->any(r);
    case 1:
        return random_normal(r);
    default:
        return random_log_uniform(r, 1e-30, 1e30);
    }
}

static void operands_make(struct operands *o, const struct dtype *d, struct random *r) {
    double special[SPECIALS];
    const size_t n = specials(d, special);
    assert_int_equal(n, SPECIALS);
    o->d = d;
    unsigned char **const arrays[] = {&o->a, &o->b, &o->c, &o->out};
    for (int k = 0; k < 4; k++) {
        o->memory[k] = dtype_array(d, OPERANDS + 1 + LANES_MAX);
        *arrays[k] = dtype_at(d, o->memory[k], 1);
    }
    for (size_t i = 0; i < OPERANDS; i++) {
        const bool listed = i < SPECIALS * SPECIALS;
        d->put(o->a, i, listed ? special[i % n] : random_number(d, r));
        d->put(o->b, i, listed ? special[i / n] : random_number(d, r));
        d->put(o->c, i, listed ? special[(i / 7 + i / n) % n] : random_number(d, r));
    }
}

static void operands_free(struct operands *o) {
    for (int k = 0; k < 4; k++) {
        free(o->memory[k]);
    }
}

/* Lane by lane ------------------------------------------------------------------------ */

static const char *const op_names[VEC_OPS] = {"v_load",
                                              "v_add",
                                              "v_sub",
                                              "v_mul",
                                              "v_div",
                                              "v_sqrt",
                                              "v_product_minus",
                                              "v_muladd",
                                              "v_mulsub",
                                              "v_nmuladd",
                                              "",
                                              "",
                                              "",
                                              "v_min",
                                              "v_max",
                                              "v_abs",
                                              "v_negate_where",
                                              "v_negate_unless",
                                              "v_or",
                                              "v_eq",
                                              "v_gt",
                                              "v_le",
                                              "m_and",
                                              "m_or",
                                              "m_not",
                                              "m_load",
                                              "v_select",
                                              "v_keep",
                                              "v_drop",
                                              "v_store_f16, v_load_f16",
                                              "v_store_bf16, v_load_bf16",
                                              "v_load_u8",
                                              "v_step",
                                              "v_fraction",
                                              "v_fraction's exponent",
                                              "v_exponent"};

/* Which NaN arithmetic makes is not said; what only moves bits keeps them. */
static bool is_arithmetic(enum vec_op op) {
    return op >= VEC_ADD && op <= VEC_NMULADD;
}

/* The definition of the operation on this row. */
static enum vec_op definition(const struct row_case *c, enum vec_op op) {
    if (!c->row->has_fma && op >= VEC_MULADD && op <= VEC_NMULADD) {
        return (enum vec_op)(op - VEC_MULADD + VEC_MULADD_TWICE);
    }
    return op;
}

static void check_op(const struct row_case *c, const struct operands *o, enum vec_op op, size_t n) {
    const struct vec_ops *const ops = ops_of(c), *const reference = reference_of(c);
    const size_t size = c->d->size;
    for (size_t i = 0; i < n; i += ops->lanes) {
        unsigned char want[sizeof(double)];
        ops->apply(op, o->a + i * size, o->b + i * size, o->c + i * size, o->out);
        for (size_t lane = 0; lane < ops->lanes && i + lane < n; lane++) {
            const size_t at = (i + lane) * size;
            const unsigned char *const got = o->out + lane * size;
            reference->apply(definition(c, op), o->a + at, o->b + at, o->c + at, want);
            const double x = c->d->get(got, 0), y = c->d->get(want, 0);
            if (memcmp(got, want, size) != 0 && !(is_arithmetic(op) && isnan(x) && isnan(y))) {
                fail_msg("%s %s: %s(%a, %a, %a) is %a, not %a (lane %zu), seed %llu", c->row->name,
                         c->d->name, op_names[op], c->d->get(o->a + at, 0), c->d->get(o->b + at, 0),
                         c->d->get(o->c + at, 0), x, y, lane,
                         (unsigned long long)random_run_seed());
            }
        }
    }
}

static void of_any_numbers(void **state) {
    const struct row_case *c = *state;
    struct random r = random_for(31);
    struct operands o;
    operands_make(&o, c->d, &r);
    for (int op = 0; op < VEC_OPS; op++) {
        const bool in_reference_alone = op >= VEC_MULADD_TWICE && op <= VEC_NMULADD_TWICE;
        const bool has_domain = op >= VEC_FRACTION || (op == VEC_PRODUCT_MINUS && !c->row->has_fma);
        if (!in_reference_alone && !has_domain) {
            check_op(c, &o, (enum vec_op)op, OPERANDS);
        }
    }
    operands_free(&o);
}

/* a b - c for c that is a b or near it. */
static void products_minus(void **state) {
    const struct row_case *c = *state;
    const struct dtype *d = c->d;
    struct random r = random_for(32);
    struct operands o;
    operands_make(&o, d, &r);
    for (size_t i = 0; i < OPERANDS; i++) {
        d->put(o.a, i, random_log_uniform(&r, 1e-8, 1e8));
        d->put(o.b, i, random_log_uniform(&r, 1e-8, 1e8));
        const double product = dtype_round(d, d->get(o.a, i) * d->get(o.b, i));
        const double near[] = {product, d->next(product, INFINITY), d->next(product, -INFINITY)};
        d->put(o.c, i, near[i % 3]);
    }
    check_op(c, &o, VEC_PRODUCT_MINUS, OPERANDS);
    operands_free(&o);
}

/* Of normal numbers above 0. */
static void fractions(void **state) {
    const struct row_case *c = *state;
    const struct dtype *d = c->d;
    struct random r = random_for(33);
    struct operands o;
    operands_make(&o, d, &r);
    for (size_t i = 0; i < OPERANDS; i++) {
        const double x = fabs(d->get(o.a, i));
        d->put(o.a, i, x >= d->min_normal && x <= d->format->max ? x : 1.0);
    }
    check_op(c, &o, VEC_FRACTION, OPERANDS);
    check_op(c, &o, VEC_FRACTION_EXPONENT, OPERANDS);
    operands_free(&o);
}

/* Every power of two, down to one that is rounded to 0. */
static void exponents(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    const size_t n = (size_t)(ops->most_exponent - ops->least_exponent + 1);
    struct random r = random_for(34);
    struct operands o;
    operands_make(&o, c->d, &r);
    assert_true(n <= OPERANDS);
    for (size_t i = 0; i < n + LANES_MAX; i++) {
        const size_t k = i < n ? i : 0;
        c->d->put(o.a, i, ops->round + (double)ops->least_exponent + (double)k);
    }
    check_op(c, &o, VEC_EXPONENT, n);
    operands_free(&o);
}

/* Every sum of a half and half of its last place, and what is next to it; others, too. */
static void ties_of_halves(void **state) {
    const struct row_case *c = *state;
    const uint32_t last[] = {0, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001};
    struct random r = random_for(39);
    struct operands o;
    if (c->d->size != sizeof(float)) {
        print_message("skipped: of floats alone\n");
        skip();
    }
    operands_make(&o, c->d, &r);
    for (uint32_t upper = 0; upper < 0x10000;) {
        size_t n = 0;
        for (; upper < 0x10000 && n + 2 * SUITE_COUNT(last) <= OPERANDS; upper++) {
            for (size_t i = 0; i < 2 * SUITE_COUNT(last); i++) {
                /* f16 has three more digits than bf16. */
                const uint32_t digits = i % 2 == 0 ? 0 : (uint32_t)random_below(&r, 8) << 13;
                const uint32_t bits = upper << 16 | (digits ^ last[i / 2]);
                memcpy(o.a + n++ * sizeof bits, &bits, sizeof bits);
            }
        }
        check_op(c, &o, VEC_F16, n);
        check_op(c, &o, VEC_BF16, n);
    }
    operands_free(&o);
}

/* 2^(n / 8) of every n that exponentials have, times 2^lift, as their tables are; and the words of
 * the definition, for what is normal. */
static void steps(void **state) {
    const struct row_case *c = *state;
    const struct dtype *d = c->d;
    const int lift = d->size == sizeof(float) ? 64 : 512;
    const int least = -8 * (ops_of(c)->bias + lift), most = 8;
    struct random r = random_for(40);
    struct operands o;
    operands_make(&o, d, &r);
    for (int first = least; first <= most; first += OPERANDS) {
        for (int i = 0; i < OPERANDS; i++) {
            const int n = first + i < most ? first + i : most;
            const int octave = (int)floor(n / 8.0), j = n - 8 * octave;
            const double power = exp2(j / 8.0);
            /* Below 1, the bits of a fraction are half as much. */
            d->put(o.a, (size_t)i, ldexp(1 + (power - 1 - j / 8.0) / 2, lift));
            d->put(o.b, (size_t)i, ops_of(c)->round + n);
            reference_of(c)->apply(VEC_STEP, dtype_at(d, o.a, (size_t)i),
                                   dtype_at(d, o.b, (size_t)i), o.c, o.out);
            const double want = ldexp(power, octave + lift);
            if (want >= d->min_normal) {
                const double error = fabs(d->get(o.out, 0) / want - 1);
                assert_true(error <= ldexp(1, 1 - d->format->digits));
            }
        }
        check_op(c, &o, VEC_STEP, OPERANDS);
    }
    operands_free(&o);
}

/* Whole numbers --------------------------------------------------------------------------- */

static void check_index(const struct row_case *c, const struct operands *o, enum vec_index_op op,
                        size_t n) {
    static const char *const names[VEC_INDEX_OPS] = {"v_index", "v_index_bits",
                                                     "v_index_increment"};
    const struct vec_ops *const ops = ops_of(c), *const reference = reference_of(c);
    for (size_t i = 0; i < n; i += ops->lanes) {
        int32_t got[LANES_MAX], want;
        ops->index(op, o->a + i * c->d->size, o->b + i * c->d->size, got);
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            const size_t at = (i + lane) * c->d->size;
            reference->index(op, o->a + at, o->b + at, &want);
            if (got[lane] != want) {
                fail_msg("%s %s: %s(%a) is %d, not %d", c->row->name, c->d->name, names[op],
                         c->d->get(o->a + at, 0), got[lane], want);
            }
        }
    }
}

static void indices(void **state) {
    const struct row_case *c = *state;
    const struct dtype *d = c->d;
    const size_t n = OPERANDS / LANES_MAX * LANES_MAX;
    struct random r = random_for(35);
    struct operands o;
    operands_make(&o, d, &r);
    check_index(c, &o, VEC_INDEX_BITS, n);
    for (size_t i = 0; i < n; i++) {
        d->put(o.a, i, i < 5000 ? (double)i + (double)(i % 4) / 4.0 : random_uniform(&r, 0.0, 1e9));
    }
    check_index(c, &o, VEC_INDEX, n);
    for (size_t i = 0; i < n; i++) { /* whole numbers, whose bits are the index */
        unsigned char *const to = dtype_at(d, o.a, i);
        const uint32_t index = (uint32_t)i;
        memset(to, 0, d->size);
        memcpy(to, &index, sizeof index); /* the lowest bytes come first */
    }
    check_index(c, &o, VEC_INDEX_INCREMENT, n);
    operands_free(&o);
}

/* As many as tables have, RANDOM at most: no two of a small table are the same. */
static const unsigned char *random_entries(const struct operands *o) {
    return o->b + SPECIALS * SPECIALS * o->d->size;
}

static void lookups(void **state) {
    const size_t sizes[] = {8, 16, 32, 128, 5000};
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c), *const reference = reference_of(c);
    const struct dtype *d = c->d;
    struct random r = random_for(36);
    struct operands o;
    operands_make(&o, d, &r);
    const unsigned char *const table = random_entries(&o);
    for (size_t round = 0; round < 3000; round++) {
        const size_t entries = sizes[round % SUITE_COUNT(sizes)];
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            const double at = (double)random_below(&r, entries);
            d->put(o.a, lane,
                   entries <= 32 && round % 2 == 0 && lane % 3 == 1 ? (double)NAN : at + 0.25);
        }
        ops->lookup(entries, table, o.a, o.out);
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            unsigned char want[sizeof(double)];
            reference->lookup(entries, table, o.a + lane * d->size, want);
            assert_memory_equal(o.out + lane * d->size, want, d->size);
        }
    }
    operands_free(&o);
}

/* Of the bits of an index, all but the lowest are any: of special numbers, NaN among them, and of
 * random ones. */
static void lookups_of_bits(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c), *const reference = reference_of(c);
    const size_t size = c->d->size;
    struct random r = random_for(41);
    struct operands o;
    operands_make(&o, c->d, &r);
    const unsigned char *const table = random_entries(&o);
    for (size_t i = SPECIALS * SPECIALS; i < OPERANDS; i++) {
        const uint64_t bits = random_bits(&r);
        memcpy(o.a + i * size, &bits, size);
    }
    for (size_t entries = 8; entries <= 16; entries *= 2) {
        for (size_t i = 0; i < OPERANDS; i += ops->lanes) {
            ops->lookup_bits(entries, table, o.a + i * size, o.out);
            for (size_t lane = 0; lane < ops->lanes; lane++) {
                unsigned char want[sizeof(double)];
                reference->lookup_bits(entries, table, o.a + (i + lane) * size, want);
                assert_memory_equal(o.out + lane * size, want, size);
            }
        }
    }
    operands_free(&o);
}

/* Across lanes ------------------------------------------------------------------------------ */

static void masks_of_all(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    void *const marks = dtype_array(c->d, LANES_MAX);
    assert_false(ops->all(marks));
    for (size_t lane = 0; lane < ops->lanes; lane++) {
        c->d->put(marks, lane, 1.0);
        assert_true(ops->all(marks) == (lane + 1 == ops->lanes));
    }
    for (size_t lane = 0; lane < ops->lanes; lane++) {
        c->d->put(marks, lane, 0.0);
        assert_false(ops->all(marks));
        c->d->put(marks, lane, 1.0);
    }
    free(marks);
}

static void numbers_in_every_lane(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    double special[SPECIALS];
    unsigned char one[sizeof(double)];
    void *const lanes = dtype_array(c->d, LANES_MAX);
    for (size_t i = 0; i < specials(c->d, special); i++) {
        c->d->put(one, 0, special[i]);
        ops->set(one, lanes);
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            assert_memory_equal(dtype_at(c->d, lanes, lane), one, c->d->size);
        }
    }
    free(lanes);
}

/* Behind the numbers, there is nothing that could be read. */
static void first_lanes(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    const size_t size = c->d->size;
    double special[SPECIALS];
    unsigned char filling[sizeof(double)];
    struct guarded block = guarded_new(VEC_SUM_LANES * size);
    void *const lanes = dtype_array(c->d, LANES_MAX);
    assert_int_equal(specials(c->d, special), SPECIALS);
    c->d->put(filling, 0, 7.0);
    for (size_t n = 1; n <= VEC_SUM_LANES; n++) {
        unsigned char *const numbers = guarded_high(&block, n * size, 0);
        for (size_t i = 0; i < n; i++) {
            c->d->put(numbers, i, special[i]);
        }
        ops->load_first(n, numbers, filling, lanes);
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            assert_memory_equal(dtype_at(c->d, lanes, lane),
                                lane < n ? numbers + lane * size : filling, size);
        }
    }
    free(lanes);
    guarded_free(&block);
}

static void sums_and_tallies(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c), *const reference = reference_of(c);
    struct random r = random_for(37);
    struct operands o;
    operands_make(&o, c->d, &r);
    /* Without NaN, of which only the bits are not said. */
    for (size_t i = 0; i < OPERANDS; i++) {
        const double x = c->d->get(o.a, i);
        c->d->put(o.a, i, isnan(x) ? 0.0 : x);
    }
    for (size_t n = 0; n <= OPERANDS; n = n < 64 ? n + VEC_SUM_LANES : 3 * n) {
        double got[VEC_SUM_LANES], want[VEC_SUM_LANES];
        const size_t first = SPECIALS * SPECIALS < OPERANDS - n ? SPECIALS * SPECIALS : 0;
        const unsigned char *const from = o.a + first * c->d->size;
        ops->sum(n, from, got);
        reference->sum(n, from, want);
        for (int lane = 0; lane < VEC_SUM_LANES; lane++) {
            if (memcmp(&got[lane], &want[lane], sizeof want[lane]) != 0 &&
                !(isnan(got[lane]) && isnan(want[lane]))) {
                fail_msg("%s %s: sum %d of %zu is %a, not %a", c->row->name, c->d->name, lane, n,
                         got[lane], want[lane]);
            }
        }
        assert_int_equal(ops->tally(n, from), reference->tally(n, from));
    }
    operands_free(&o);
}

/* Of two zeros, that of the lower lane, which halves that are compared in turn leave. */
static void largest_lanes(void **state) {
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    struct random r = random_for(39);
    double special[SPECIALS], lanes[LANES_MAX], got = 0;
    const size_t specials_count = specials(c->d, special);
    void *const numbers = dtype_array(c->d, ops->lanes);
    for (size_t round = 0; round < 4000; round++) {
        for (size_t lane = 0; lane < ops->lanes; lane++) {
            const double x = special[random_below(&r, specials_count)];
            const bool is_large = round % 2 == 0 && fabs(x) > 1;
            lanes[lane] = isnan(x) || is_large ? -0.0 : x;
            c->d->put(numbers, lane, lanes[lane]);
        }
        if (!ops->largest(numbers, &got)) {
            free(numbers);
            print_message("skipped: %s finds no largest lane\n", c->row->name);
            skip();
        }
        for (size_t width = ops->lanes / 2; width > 0; width /= 2) {
            for (size_t lane = 0; lane < width; lane++) {
                const double other = lanes[lane + width];
                lanes[lane] = other > lanes[lane] ? other : lanes[lane];
            }
        }
        assert_memory_equal(&got, &lanes[0], sizeof got);
    }
    free(numbers);
}

/* A chunk of 256 may have all its elements in one bin. */
static void packed_counters(void **state) {
    enum { CHUNK = 256 };
    const struct row_case *c = *state;
    const struct vec_ops *const ops = ops_of(c);
    struct random r = random_for(38);
    void *const bins = dtype_array(c->d, CHUNK);
    for (size_t round = 0; round < 64; round++) {
        for (int few = 0; few < 2; few++) {
            uint32_t want[VEC_PACKED_BINS] = {0}, got[VEC_PACKED_BINS] = {0};
            size_t counted = 0;
            for (size_t i = 0; i < CHUNK; i++) {
                const size_t bin = round < 32 ? round / 2 : random_below(&r, VEC_PACKED_BINS);
                c->d->put(bins, i, (double)bin);
                want[bin]++;
            }
            if (!ops->packed(few, CHUNK, bins, got, &counted)) {
                free(bins);
                print_message("skipped: %s has no packed counters\n", c->row->name);
                skip();
            }
            assert_true(counted > 0);
            assert_memory_equal(got, want, counted * sizeof want[0]);
        }
    }
    free(bins);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"of_any_numbers", of_any_numbers, 1},
        {"products_minus", products_minus, 1},
        {"fractions", fractions, 1},
        {"exponents", exponents, 1},
        {"ties_of_halves", ties_of_halves, 1},
        {"steps", steps, 1},
        {"indices", indices, 1},
        {"lookups", lookups, 1},
        {"lookups_of_bits", lookups_of_bits, 1},
        {"masks_of_all", masks_of_all, 1},
        {"numbers_in_every_lane", numbers_in_every_lane, 1},
        {"first_lanes", first_lanes, 1},
        {"sums_and_tallies", sums_and_tallies, 1},
        {"largest_lanes", largest_lanes, 1},
        {"packed_counters", packed_counters, 1},
    };
    return rows_run(argument_count, arguments, "test_vec", true, tests, SUITE_COUNT(tests));
}
