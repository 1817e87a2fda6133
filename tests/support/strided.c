/* SPDX-License-Identifier: MIT */
#include "strided.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

size_t strided_size(fghm_dtype dtype) {
    static const size_t sizes[] = {[FGHM_F32] = 4, [FGHM_F64] = 8, [FGHM_F16] = 2, [FGHM_BF16] = 2,
                                   [FGHM_U8] = 1,  [FGHM_I32] = 4, [FGHM_I64] = 8};
    return sizes[dtype];
}

size_t strided_count(const struct strided *a) {
    return a->extents[0] * a->extents[1] * a->extents[2];
}

struct strided strided_new(fghm_dtype dtype, const size_t extents[3], const int64_t strides[3],
                           int at_end) {
    struct strided a = {.dtype = dtype, .layout = FGHM_LAYOUT_STRIDED};
    const size_t size = strided_size(dtype);
    size_t low = 0, high = 0;
    for (int axis = 0; axis < 3; axis++) {
        const size_t steps = extents[axis] > 0 ? extents[axis] - 1 : 0;
        const size_t reach = steps * (size_t)llabs((long long)strides[axis]);
        a.extents[axis] = extents[axis];
        a.strides[axis] = a.given[axis] = strides[axis];
        low += strides[axis] < 0 ? reach : 0;
        high += strides[axis] > 0 ? reach : 0;
    }
    if (extents[1] == 1) {
        a.given[1] = 0; /* it may be an array of samples */
    }
    const size_t bytes = (low + high + 1) * size;
    a.memory = guarded_new(bytes);
    guarded_fill(&a.memory, STRIDED_FILL);
    a.first = at_end ? guarded_high(&a.memory, bytes, 0) : guarded_low(&a.memory, 0);
    a.first += low * size;
    return a;
}

struct strided strided_plain(fghm_dtype dtype, size_t outer, size_t classes, size_t inner) {
    const size_t extents[3] = {outer, classes, inner};
    const int64_t strides[3] = {(int64_t)(classes * inner), (int64_t)inner, 1};
    struct strided a = strided_new(dtype, extents, strides, 1);
    a.layout = FGHM_LAYOUT_CONTIGUOUS;
    memset(a.given, 0, sizeof a.given);
    return a;
}

struct strided strided_random(struct random *r, fghm_dtype dtype, size_t outer, size_t classes,
                              size_t inner) {
    const size_t extents[3] = {outer, classes, inner};
    size_t order[3];
    int64_t strides[3];
    size_t step = 1 + random_below(r, 3) / 2;
    random_permutation(r, 3, order);
    for (int k = 0; k < 3; k++) {
        const size_t axis = order[k];
        strides[axis] = random_below(r, 4) == 0 ? -(int64_t)step : (int64_t)step;
        step = step * extents[axis] + random_below(r, 3) / 2 * random_below(r, 5);
    }
    return strided_new(dtype, extents, strides, random_bits(r) & 1 ? 1 : 0);
}

void strided_free(struct strided *a) {
    if (a->first != NULL) {
        guarded_free(&a->memory);
        memset(a, 0, sizeof *a);
    }
}

static unsigned char *address(const struct strided *a, size_t o, size_t c, size_t i) {
    const int64_t offset =
        (int64_t)o * a->strides[0] + (int64_t)c * a->strides[1] + (int64_t)i * a->strides[2];
    return a->first + offset * (int64_t)strided_size(a->dtype);
}

/* sign, exponent, fraction; as IEEE 754 defines them */
static double decode(uint16_t bits, int exponent_bits, int fraction_bits) {
    const int sign = bits >> 15;
    const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    double magnitude;
    if (exponent == (1 << exponent_bits) - 1) {
        magnitude = fraction == 0 ? (double)INFINITY : (double)NAN;
    } else if (exponent == 0) {
        magnitude = ldexp((double)fraction, 1 - bias - fraction_bits);
    } else {
        magnitude =
            ldexp((double)(fraction + (1 << fraction_bits)), exponent - bias - fraction_bits);
    }
    return sign ? -magnitude : magnitude;
}

double strided_of_f16(uint16_t bits) {
    return decode(bits, 5, 10);
}

double strided_of_bf16(uint16_t bits) {
    return decode(bits, 8, 7);
}

struct format {
    int digits, lowest, highest; /* lowest: exponent of the smallest number; 2^highest: too large */
};

static struct format format_of(fghm_dtype dtype) {
    static const struct format formats[] = {[FGHM_F32] = {24, -149, 128},
                                            [FGHM_F64] = {53, -1074, 1024},
                                            [FGHM_F16] = {11, -24, 16},
                                            [FGHM_BF16] = {8, -133, 128}};
    return formats[dtype];
}

double strided_round(fghm_dtype dtype, double value) {
    const struct format f = format_of(dtype);
    int exponent;
    if (dtype == FGHM_F64 || isnan(value) || isinf(value) || value == 0.0) {
        return value;
    }
    frexp(value, &exponent); /* 2^(exponent - 1) <= |value| < 2^exponent */
    const int place = exponent - f.digits > f.lowest ? exponent - f.digits : f.lowest;
    const double rounded = ldexp(nearbyint(ldexp(value, -place)), place);
    return fabs(rounded) >= ldexp(1.0, f.highest) ? copysign((double)INFINITY, value) : rounded;
}

/* The 16 bits of a number that the format holds. */
static uint16_t encode(double value, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const unsigned sign = signbit(value) ? 0x8000u : 0u;
    const double magnitude = fabs(value);
    unsigned bits;
    int exponent;
    if (isnan(value)) {
        return (uint16_t)(sign | ((1u << 15) - (1u << (fraction_bits - 1))));
    }
    if (isinf(value)) {
        return (uint16_t)(sign | (((1u << exponent_bits) - 1u) << fraction_bits));
    }
    frexp(magnitude, &exponent);
    if (magnitude < ldexp(1.0, 1 - bias)) {
        bits = (unsigned)ldexp(magnitude, bias - 1 + fraction_bits);
    } else {
        bits = (unsigned)(exponent - 1 + bias) << fraction_bits;
        bits += (unsigned)ldexp(magnitude, 1 - exponent + fraction_bits) - (1u << fraction_bits);
    }
    return (uint16_t)(sign | bits);
}

double strided_load(fghm_dtype dtype, const unsigned char *p) {
    union {
        float f32;
        double f64;
        uint16_t half;
        int32_t i32;
        int64_t i64;
    } x;
    memcpy(&x, p, strided_size(dtype));
    switch (dtype) {
    case FGHM_F32:
        return (double)x.f32;
    case FGHM_F64:
        return x.f64;
    case FGHM_F16:
        return strided_of_f16(x.half);
    case FGHM_BF16:
        return strided_of_bf16(x.half);
    case FGHM_U8:
        return (double)*p;
    case FGHM_I32:
        return (double)x.i32;
    default:
        return (double)x.i64;
    }
}

void strided_save(fghm_dtype dtype, unsigned char *p, double value) {
    union {
        float f32;
        double f64;
        uint16_t half;
        unsigned char u8;
        int32_t i32;
        int64_t i64;
    } x;
    switch (dtype) {
    case FGHM_F32:
        x.f32 = (float)value;
        break;
    case FGHM_F64:
        x.f64 = value;
        break;
    case FGHM_F16:
        x.half = encode(strided_round(dtype, value), 5, 10);
        break;
    case FGHM_BF16:
        x.half = encode(strided_round(dtype, value), 8, 7);
        break;
    case FGHM_U8:
        x.u8 = (unsigned char)value;
        break;
    case FGHM_I32:
        x.i32 = (int32_t)value;
        break;
    default:
        x.i64 = (int64_t)value;
        break;
    }
    memcpy(p, &x, strided_size(dtype));
}

double strided_get(const struct strided *a, size_t o, size_t c, size_t i) {
    return strided_load(a->dtype, address(a, o, c, i));
}

void strided_put(const struct strided *a, size_t o, size_t c, size_t i, double value) {
    strided_save(a->dtype, address(a, o, c, i), value);
}

static unsigned char *address_of(const struct strided *a, size_t k) {
    const size_t inner = a->extents[2], classes = a->extents[1];
    return address(a, k / inner / classes, k / inner % classes, k % inner);
}

double strided_at(const struct strided *a, size_t k) {
    return strided_load(a->dtype, address_of(a, k));
}

void strided_set(const struct strided *a, size_t k, double value) {
    strided_save(a->dtype, address_of(a, k), value);
}

size_t strided_offset(const struct strided *a, size_t k) {
    return (size_t)(address_of(a, k) - a->memory.start);
}

int strided_gaps_untouched(const struct strided *a) {
    const size_t size = strided_size(a->dtype);
    unsigned char *own = calloc(a->memory.room, 1);
    int untouched = 1;
    assert_non_null(own);
    for (size_t k = 0; k < strided_count(a); k++) {
        memset(own + strided_offset(a, k), 1, size);
    }
    for (size_t k = 0; k < a->memory.room; k++) {
        untouched &= own[k] || a->memory.start[k] == STRIDED_FILL;
    }
    free(own);
    return untouched;
}

int strided_untouched(const struct strided *a) {
    return guarded_untouched_outside(&a->memory, a->memory.start, 0, STRIDED_FILL);
}

fghm_input strided_input(const struct strided *a) {
    fghm_input input = {.data = a->first, .dtype = a->dtype, .layout = a->layout};
    memcpy(input.strides, a->given, sizeof a->given);
    return input;
}

fghm_output strided_output(const struct strided *a) {
    fghm_output output = {.data = a->first, .dtype = a->dtype, .layout = a->layout};
    memcpy(output.strides, a->given, sizeof a->given);
    return output;
}
