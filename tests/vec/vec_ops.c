/* SPDX-License-Identifier: MIT */

/* Compiled once for each instruction set and type, with that set's flags: VEC_HEADER is
 * its header, VEC_TABLE the name of the table. */

#include VEC_HEADER

#include "vec_ops.h"

extern const struct vec_ops VEC_TABLE;

static vmask mask_of(const void *from) {
    return v_gt(v_load(from), v_set(REAL(0.0)));
}

/* Bytes that are set in one bit, a different one from lane to lane. */
static vmask mask_of_bytes(const real *from) {
    uint8_t bytes[V_LANES];
    for (int lane = 0; lane < V_LANES; lane++) {
        bytes[lane] = (uint8_t)(from[lane] > 0 ? 1 << lane % 8 : 0);
    }
    return m_load(bytes);
}

/* Through halves, or from bytes. */
static vreal converted(enum vec_op op, const real *from) {
#if FGHM_REAL_BITS == 32
    uint16_t halves[V_LANES];
    uint8_t bytes[V_LANES];
    if (op == VEC_F16) {
        v_store_f16(halves, v_load(from));
        return v_load_f16(halves);
    }
    if (op == VEC_BF16) {
        v_store_bf16(halves, v_load(from));
        return v_load_bf16(halves);
    }
    for (int lane = 0; lane < V_LANES; lane++) {
        uint32_t bits;
        memcpy(&bits, &from[lane], sizeof bits);
        bytes[lane] = (uint8_t)(bits & 0xff);
    }
    return v_load_u8(bytes);
#else
    (void)op;
    return v_load(from);
#endif
}

static vreal of_mask(vmask m) {
    return v_select(m, v_set(REAL(1.0)), v_set(REAL(0.0)));
}

static vreal result(enum vec_op op, const void *a_from, const void *b_from, const void *c_from) {
    const vreal a = v_load(a_from), b = v_load(b_from), c = v_load(c_from);
    vreal exponent, fraction;
    switch (op) {
    case VEC_ADD:
        return v_add(a, b);
    case VEC_SUB:
        return v_sub(a, b);
    case VEC_MUL:
        return v_mul(a, b);
    case VEC_DIV:
        return v_div(a, b);
    case VEC_SQRT:
        return v_sqrt(a);
    case VEC_PRODUCT_MINUS:
        return v_product_minus(a, b, c);
    case VEC_MULADD:
        return v_muladd(a, b, c);
    case VEC_MULSUB:
        return v_mulsub(a, b, c);
    case VEC_NMULADD:
        return v_nmuladd(a, b, c);
    case VEC_MIN:
        return v_min(a, b);
    case VEC_MAX:
        return v_max(a, b);
    case VEC_ABS:
        return v_abs(a);
    case VEC_NEGATE_WHERE:
        return v_negate_where(mask_of(b_from), a);
    case VEC_NEGATE_UNLESS:
        return v_negate_unless(mask_of(b_from), a);
    case VEC_OR:
        return v_or(a, b);
    case VEC_EQ:
        return of_mask(v_eq(a, b));
    case VEC_GT:
        return of_mask(v_gt(a, b));
    case VEC_LE:
        return of_mask(v_le(a, b));
    case VEC_AND_MASK:
        return of_mask(m_and(mask_of(a_from), mask_of(b_from)));
    case VEC_OR_MASK:
        return of_mask(m_or(mask_of(a_from), mask_of(b_from)));
    case VEC_NOT_MASK:
        return of_mask(m_not(mask_of(a_from)));
    case VEC_LOAD_MASK:
        return of_mask(mask_of_bytes(a_from));
    case VEC_SELECT:
        return v_select(mask_of(c_from), a, b);
    case VEC_KEEP:
        return v_keep(mask_of(b_from), a);
    case VEC_DROP:
        return v_drop(mask_of(b_from), a);
    case VEC_F16:
    case VEC_BF16:
    case VEC_U8:
        return converted(op, a_from);
    case VEC_STEP:
        return v_step(a, b);
    case VEC_FRACTION:
        return v_fraction(a, &exponent);
    case VEC_FRACTION_EXPONENT:
        fraction = v_fraction(a, &exponent);
        (void)fraction;
        return exponent;
    case VEC_EXPONENT:
        return v_exponent(a);
    default:
        return a;
    }
}

static void apply(enum vec_op op, const void *a, const void *b, const void *c, void *out) {
    v_store(out, result(op, a, b, c));
}

static void index_of(enum vec_index_op op, const void *a, const void *b, int32_t *out) {
    const vindex bits = v_index_bits(v_load(a));
    if (op == VEC_INDEX) {
        v_store_index(out, v_index(v_load(a)));
    } else if (op == VEC_INDEX_BITS) {
        v_store_index(out, bits);
    } else {
        v_store_index(out, v_index_increment(mask_of(b), bits));
    }
}

static void set(const void *a, void *out) {
    real x;
    memcpy(&x, a, sizeof x);
    v_store(out, v_set(x));
}

static bool all(const void *a) {
    return m_all(mask_of(a));
}

static void lookup(size_t entries, const void *table, const void *a, void *out) {
    const vindex index = v_index(v_load(a));
    v_store(out, entries == 8     ? v_lookup8(table, index)
                 : entries == 16  ? v_lookup16(table, index)
                 : entries == 32  ? v_lookup32(table, index)
                 : entries == 128 ? v_lookup128(table, index)
                                  : v_lookup(table, index));
}

static void lookup_bits(size_t entries, const void *table, const void *a, void *out) {
    const vindex index = v_index_bits(v_load(a));
    v_store(out, entries == 8 ? v_lookup8(table, index) : v_lookup16(table, index));
}

static void sum(size_t n, const void *a, double *out) {
    vsum total;
    v_sum_zero(&total);
    for (size_t i = 0; i < n; i += V_LANES) {
        v_sum_add(&total, (int)(i % SUM_LANES) / V_LANES, v_load((const real *)a + i));
        /* Stored and loaded, it goes on as it was. */
        v_sum_store(out, &total);
        v_sum_load(&total, out);
    }
    v_sum_store(out, &total);
}

static uint32_t tally(size_t n, const void *a) {
    vtally total = v_tally_zero();
    for (size_t i = 0; i < n; i += V_LANES) {
        total = v_tally_add(total, mask_of((const real *)a + i));
    }
    return v_tally_total(total);
}

static bool packed(bool few, size_t n, const void *a, uint32_t counts[VEC_PACKED_BINS],
                   size_t *bins) {
#ifdef V_HAS_PACKED_COUNTERS
    const int registers = few ? PACKED_REGISTERS - 1 : PACKED_REGISTERS;
    const size_t fields = (size_t)registers * PACKED_FIELDS;
    vtally tallies[PACKED_REGISTERS * PACKED_FIELDS];
    packed_ones ones;
    vpacked counters = v_packed_zero();
    v_packed_ones(&ones);
    for (size_t i = 0; i < PACKED_REGISTERS * PACKED_FIELDS; i++) {
        tallies[i] = v_tally_zero();
    }
    for (size_t i = 0; i < n; i += V_LANES) {
        counters = v_packed_add(counters, &ones, registers, v_index(v_load((const real *)a + i)));
    }
    v_packed_unload(tallies, counters, registers);
    *bins = fields < VEC_PACKED_BINS ? fields : VEC_PACKED_BINS;
    for (size_t i = 0; i < *bins; i++) {
        counts[i] += v_tally_total(tallies[i]);
    }
    return true;
#else
    (void)few;
    (void)n;
    (void)a;
    (void)counts;
    (void)bins;
    return false;
#endif
}

static bool largest(const void *a, double *out) {
#ifdef V_HAS_LARGEST
    *out = (double)v_largest(v_load(a));
    return true;
#else
    (void)a;
    (void)out;
    return false;
#endif
}

static void load_first(size_t n, const void *a, const void *b, void *out) {
    v_store(out, v_load_first(a, n, *(const real *)b));
}

const struct vec_ops VEC_TABLE = {
    .lanes = V_LANES,
    .apply = apply,
    .index = index_of,
    .set = set,
    .load_first = load_first,
    .all = all,
    .lookup = lookup,
    .lookup_bits = lookup_bits,
    .sum = sum,
    .largest = largest,
    .tally = tally,
    .packed = packed,
    .round = (double)REAL_ROUND,
    .least_exponent = -(REAL_EXPONENT_BIAS + REAL_EXPONENT_SHIFT),
    .most_exponent = REAL_LIFT_EXPONENT,
    .bias = REAL_EXPONENT_BIAS,
};
