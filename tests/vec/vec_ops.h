/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VEC_VEC_OPS_H
#define TESTS_VEC_VEC_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The operations of one src/vec/vec_<isa>.h in one type, as functions over memory.  A
 * mask that an operation takes is set where a number is above 0; a mask that it makes
 * becomes 1 where it is set and 0 elsewhere. */

/* Lane by lane, out = op(a, b, c).  Masks: of b where there is one operand besides, else
 * of c. */
enum vec_op {
    VEC_LOAD,
    VEC_ADD,
    VEC_SUB,
    VEC_MUL,
    VEC_DIV,
    VEC_SQRT,
    VEC_PRODUCT_MINUS,
    VEC_MULADD,
    VEC_MULSUB,
    VEC_NMULADD,
    VEC_MULADD_TWICE, /* the same, rounded twice: in the reference alone */
    VEC_MULSUB_TWICE,
    VEC_NMULADD_TWICE,
    VEC_MIN,
    VEC_MAX,
    VEC_ABS,
    VEC_NEGATE_WHERE,
    VEC_NEGATE_UNLESS,
    VEC_OR,
    VEC_EQ,
    VEC_GT,
    VEC_LE,
    VEC_AND_MASK, /* masks of a and b */
    VEC_OR_MASK,
    VEC_NOT_MASK,  /* mask of a */
    VEC_LOAD_MASK, /* the same of a, from bytes */
    VEC_SELECT,
    VEC_KEEP,
    VEC_DROP,
    VEC_F16, /* stored and loaded; of doubles, nothing */
    VEC_BF16,
    VEC_U8,   /* the lowest byte of a, loaded */
    VEC_STEP, /* entry a, rounded b */
    VEC_FRACTION,
    VEC_FRACTION_EXPONENT,
    VEC_EXPONENT,
    VEC_OPS
};

/* Lane by lane, a whole number: of v_index, of the low 32 bits of v_index_bits, and of
 * v_index_increment of them by the mask of b. */
enum vec_index_op { VEC_INDEX, VEC_INDEX_BITS, VEC_INDEX_INCREMENT, VEC_INDEX_OPS };

#define VEC_SUM_LANES 16
#define VEC_PACKED_BINS 16

struct vec_ops {
    size_t lanes;
    void (*apply)(enum vec_op op, const void *a, const void *b, const void *c, void *out);
    void (*index)(enum vec_index_op op, const void *a, const void *b, int32_t *out);
    void (*set)(const void *a, void *out); /* the first of a in every lane */
    /* The first lanes of n numbers, then the first of b; NULL in the reference. */
    void (*load_first)(size_t n, const void *a, const void *b, void *out);
    bool (*all)(const void *a); /* m_all of the mask of a */
    /* At v_index(a); and at v_index_bits(a), which tables of 8 and of 16 take. */
    void (*lookup)(size_t entries, const void *table, const void *a, void *out);
    void (*lookup_bits)(size_t entries, const void *table, const void *a, void *out);
    /* Sums of n numbers, a multiple of VEC_SUM_LANES, in as many lanes. */
    void (*sum)(size_t n, const void *a, double *out);
    uint32_t (*tally)(size_t n, const void *a); /* numbers above 0 */
    /* Adds how many of n numbers, whole and below 16, are each of them; false where there
     * are no packed counters.  The number of bins that `few` counts is returned. */
    bool (*packed)(bool few, size_t n, const void *a, uint32_t counts[VEC_PACKED_BINS],
                   size_t *bins);
    /* The largest of as many numbers as there are lanes, none of them NaN; false where there is no
     * operation for that. */
    bool (*largest)(const void *a, double *out);
    /* REAL_ROUND, the exponents that v_exponent takes, and REAL_EXPONENT_BIAS. */
    double round;
    int least_exponent, most_exponent, bias;
};

#endif
