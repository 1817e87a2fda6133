/* SPDX-License-Identifier: MIT */
#include "bins.h"

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* GHM-C.  An edge e of g = sigmoid(-z) is at the margin
 *
 *     z_e = log((1 - e) / e),
 *
 * and a margin is in the bin above e, that is below z_e, exactly if it is at most the
 * largest representable number that is at most z_e.
 *
 * GHM-R.  Here -|d| is the margin, and since g = |d| / sqrt(d^2 + mu^2),
 *
 *     z_e = -mu e / sqrt((1 - e) (1 + e)),  for e = b / n  -mu b / sqrt((n - b) (n + b)).
 *
 * To find the representable number for certain, all is computed in double-double, with
 * some 95 correct bits: the nearest that any of these numbers, irrational but for a few
 * that come out exact, comes to a representable one is far wider.  Exact are, of GHM-R,
 * those with a whole root: 3/5 of mu 4 is at -3.
 *
 * Arithmetic here relies on double being evaluated as double (FLT_EVAL_METHOD 0) and on
 * -ffp-contract=off. */

struct wide {
    double high;
    double low;
};

static struct wide wide_of(double a) {
    return (struct wide){a, 0};
}

static struct wide sum_of(double a, double b) {
    const double high = a + b;
    const double b_part = high - a;
    return (struct wide){high, (a - (high - b_part)) + (b - b_part)};
}

static struct wide wide_add(struct wide a, struct wide b) {
    const struct wide high = sum_of(a.high, b.high);
    const struct wide low = sum_of(a.low, b.low);
    const struct wide middle = sum_of(high.high, high.low + low.high);
    return sum_of(middle.high, middle.low + low.low);
}

static struct wide wide_negative(struct wide a) {
    return (struct wide){-a.high, -a.low};
}

static struct wide wide_multiply(struct wide a, struct wide b) {
    const double high = a.high * b.high;
    const double low = fma(a.high, b.high, -high);
    return sum_of(high, low + (a.high * b.low + a.low * b.high));
}

static struct wide wide_divide(struct wide a, struct wide b) {
    struct wide quotient = {0, 0};
    for (int digit = 0; digit < 3; digit++) {
        const struct wide next = wide_of(a.high / b.high);
        quotient = wide_add(quotient, next);
        a = wide_add(a, wide_negative(wide_multiply(next, b)));
    }
    return quotient;
}

static struct wide wide_root(struct wide a) {
    const struct wide near = wide_of(sqrt(a.high));
    const struct wide rest = wide_add(a, wide_negative(wide_multiply(near, near)));
    return wide_add(near, wide_of(rest.high / (2 * near.high)));
}

/* exp(a) for |a| < 1: (exp(a / 64))^64. */
static struct wide wide_exp(double a) {
    const struct wide part = wide_of(a / 64);
    struct wide term = wide_of(1);
    struct wide sum = wide_of(1);
    for (int order = 1; order <= 15; order++) {
        term = wide_divide(wide_multiply(term, part), wide_of(order));
        sum = wide_add(sum, term);
    }
    for (int doubling = 0; doubling < 6; doubling++) {
        sum = wide_multiply(sum, sum);
    }
    return sum;
}

/* log(a) for a in [1/2, 2]: log of the nearest double, put right by a Newton step. */
static struct wide wide_log(struct wide a) {
    const double near = log(a.high);
    const struct wide ratio = wide_multiply(a, wide_exp(-near));
    const struct wide rest = wide_add(ratio, wide_of(-1));
    return wide_add(wide_of(near), wide_add(rest, wide_of(-rest.high * rest.high / 2)));
}

/* 2 atanh(a) for |a| <= 1/3. */
static struct wide wide_twice_atanh(struct wide a) {
    const struct wide square = wide_multiply(a, a);
    struct wide power = a;
    struct wide sum = a;
    for (int order = 3; order < 75; order += 2) {
        power = wide_multiply(power, square);
        sum = wide_add(sum, wide_divide(power, wide_of(order)));
    }
    return wide_add(sum, sum);
}

static const struct wide ln_2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

/* log((1 - e) / e) = 2 atanh(1 - 2 e), for e in (0, 1). */
static struct wide classification_margin(struct wide e) {
    const struct wide rest = wide_add(wide_of(1), wide_negative(e));
    const struct wide difference = wide_add(rest, wide_negative(e));
    if (fabs(difference.high) <= 0.33) {
        return wide_twice_atanh(difference);
    }
    int exponent, rest_exponent;
    (void)frexp(e.high, &exponent);
    (void)frexp(rest.high, &rest_exponent);
    const struct wide fraction = {ldexp(e.high, -exponent), ldexp(e.low, -exponent)};
    const struct wide rest_fraction = {ldexp(rest.high, -rest_exponent),
                                       ldexp(rest.low, -rest_exponent)};
    const struct wide log_fraction = wide_log(wide_divide(rest_fraction, fraction));
    return wide_add(log_fraction, wide_multiply(wide_of(rest_exponent - exponent), ln_2));
}

/* a 2^-TINY_SCALE, of which the low part has the sign alone: no more of it is looked at. */
#define TINY_SCALE 300
static struct wide wide_scaled_down(struct wide a) {
    const double high = ldexp(a.high, -TINY_SCALE);
    const double rest = a.high - ldexp(high, TINY_SCALE) + a.low;
    return (struct wide){high, rest < 0 ? -DBL_TRUE_MIN : rest > 0 ? DBL_TRUE_MIN : 0};
}

/* sqrt((whole - part) (whole + part)) */
static struct wide regression_root(double part, double whole) {
    if (part < 0x1p-26) {
        /* whole is 1.  What little there is below 1 decides where mu part is representable,
         * and does so by its sign. */
        return wide_root(sum_of(1, -fmax(part * part, 0x1p-200)));
    }
    return wide_root(wide_multiply(sum_of(whole, -part), sum_of(whole, part)));
}

/* The margin of the edge part / whole; with a whole of 1, `part` is any number. */
static struct wide regression_margin(double part, double whole, double mu) {
    const struct wide root = regression_root(part, whole);
    /* Below this the product would lose digits. */
    const bool tiny = mu * part < 0x1p-800;
    const double factor = tiny ? ldexp(mu, TINY_SCALE) : mu;
    const struct wide product = wide_multiply(wide_of(factor), wide_of(part));
    const struct wide margin = wide_negative(wide_divide(product, root));
    return tiny ? wide_scaled_down(margin) : margin;
}

/* The largest double, or float, that is at most a. */
static double round_down(struct wide a, bool single) {
    const double down = a.low < 0 ? nextafter(a.high, -INFINITY) : a.high;
    if (!single) {
        return down;
    }
    const float near = (float)down;
    return (double)near > down ? (double)nextafterf(near, -INFINITY) : (double)near;
}

/* Where a margin is among the cells, as kernels with and without fused multiply-add find it. */
static double place_of(const struct fghm_bins *bins, bool single, bool fused, double margin) {
    const double scale = bins->cell_scale;
    const double offset = bins->cell_offset;
    if (single && fused) {
        return (double)fmaf((float)margin, (float)scale, (float)offset);
    }
    if (single) {
        const float product = (float)margin * (float)scale;
        return (double)(product + (float)offset);
    }
    return fused ? fma(margin, scale, offset) : margin * scale + offset;
}

static size_t cell_of(const struct fghm_bins *bins, bool single, bool fused, double margin) {
    const double place = place_of(bins, single, fused, margin);
    const double last = (double)(bins->cells - 1);
    return (size_t)(place < 1 ? 1 : place > last ? last : place);
}

static double next_above(double margin, bool single) {
    return single ? (double)nextafterf((float)margin, INFINITY) : nextafter(margin, INFINITY);
}

/* The arrays are of float or of double: one code fills both. */
static void put(void *array, size_t index, bool single, double value) {
    if (single) {
        ((float *)array)[index] = (float)value;
    } else {
        ((double *)array)[index] = value;
    }
}

static void put_integer(void *array, size_t index, bool single, size_t value) {
    if (single) {
        ((int32_t *)array)[index] = (int32_t)value;
    } else {
        ((int64_t *)array)[index] = (int64_t)value;
    }
}

static double get(const void *array, size_t index, bool single) {
    return single ? (double)((const float *)array)[index] : ((const double *)array)[index];
}

/* Cells beyond this are not worth their memory: kernels then search. */
#define CELLS_MAX ((double)(1 << 16))

/* Kernels load `upper` in groups of eight, and tables of up to 16 cells whole. */
#define UPPER_PADDING 8
#define CELLS_SMALL 16

/* The arrays of a struct fghm_bins, writable. */
struct arrays {
    void *upper;
    void *edges;
    void *cell_bin;
    void *cell_upper;
};

/* What margins are held between before their cells are found.  False if those two are in no
 * cell, where rounding moves them as far as edges lie close to each other and far from 0. */
static bool bound_cells(struct fghm_bins *bins, bool single) {
    if (bins->bins > 1) {
        bins->cell_low = get(bins->upper, bins->bins - 1, single);
        bins->cell_high = next_above(get(bins->upper, 1, single), single);
    }
    bool fit = true;
    for (int fused = 0; fused < 2; fused++) {
        const double low = place_of(bins, single, fused != 0, bins->cell_low);
        const double high = place_of(bins, single, fused != 0, bins->cell_high);
        fit = fit && low >= 1 && high < (double)bins->cells;
    }
    return fit;
}

/* Fills the cells for the scale in `bins`; false if one would hold two edges, or
 * if kernels with and without fused multiply-add see an edge in different cells. */
static bool fill_cells(const struct fghm_bins *bins, bool single, const struct arrays *arrays) {
    for (size_t c = 0; c < bins->cells; c++) {
        put(arrays->cell_upper, c, single, (double)-INFINITY);
    }
    /* Margins z_b fall with b, so the walk over the cells goes down. */
    size_t cell = bins->cells;
    for (size_t b = 1; b < bins->bins; b++) {
        const double margin = get(bins->upper, b, single);
        const double next = next_above(margin, single);
        const size_t holding = cell_of(bins, single, true, margin);
        const size_t above = cell_of(bins, single, true, next);
        if (holding != cell_of(bins, single, false, margin) ||
            above != cell_of(bins, single, false, next)) {
            return false;
        }
        while (cell > above) {
            cell--;
            put_integer(arrays->cell_bin, cell, single, b - 1);
        }
        if (holding == above) {
            if (get(arrays->cell_upper, above, single) > (double)-INFINITY) {
                return false;
            }
            put(arrays->cell_upper, above, single, margin);
        }
    }
    while (cell > 1) {
        cell--;
        put_integer(arrays->cell_bin, cell, single, bins->bins - 1);
    }
    /* Cell 0 is that of NaN, which is in no bin. */
    put_integer(arrays->cell_bin, 0, single, bins->bins);
    return true;
}

/* Cells that are 1 / refinement of the narrowest bin wide, one more at each end, and cell
 * 0; or none if they are too many. */
static void scale_cells(struct fghm_bins *bins, const struct wide *margins, double refinement) {
    bins->cell_scale = 1;
    bins->cell_offset = 1;
    bins->cells = CELLS_SMALL;
    if (bins->bins < 2) {
        return;
    }
    const double top = margins[1].high;
    const double bottom = margins[bins->bins - 1].high;
    /* One edge has all cells to itself. */
    double narrowest = bins->bins == 2 ? fmax(1, fabs(bottom)) : top - bottom;
    for (size_t b = 1; b + 1 < bins->bins; b++) {
        const double width = margins[b].high - margins[b + 1].high;
        narrowest = width < narrowest ? width : narrowest;
    }
    bins->cell_scale = refinement / narrowest;
    bins->cell_offset = 2 - bottom * bins->cell_scale;
    const double cells = (top - bottom) * bins->cell_scale + 4;
    if (!(cells <= CELLS_MAX && bins->cell_scale <= (double)FLT_MAX &&
          fabs(bins->cell_offset) <= (double)FLT_MAX)) {
        bins->cells = 0;
    } else if (cells > CELLS_SMALL) {
        bins->cells = (size_t)cells;
    }
}

/* Makes the tables of one type around cells that have been scaled; NULL without
 * memory. */
static void *make_arrays(struct fghm_bins *bins, bool single, const struct wide *margins,
                         const double *edges, struct arrays *arrays) {
    const size_t real_size = single ? sizeof(float) : sizeof(double);
    const size_t edge_bytes = (bins->bins + UPPER_PADDING) * real_size;
    const size_t cell_bytes = bins->cells * real_size;
    char *const memory = malloc(2 * edge_bytes + 2 * cell_bytes);
    if (memory == NULL) {
        return NULL;
    }
    bins->upper = arrays->upper = memory;
    bins->edges = arrays->edges = memory + edge_bytes;
    bins->cell_bin = arrays->cell_bin = memory + 2 * edge_bytes;
    bins->cell_upper = arrays->cell_upper = memory + 2 * edge_bytes + cell_bytes;
    for (size_t b = 0; b < bins->bins + UPPER_PADDING; b++) {
        const bool is_set = edges != NULL && b <= bins->bins;
        put(arrays->edges, b, single, is_set ? edges[b] : (double)b / (double)bins->bins);
        put(arrays->upper, b, single, (double)-INFINITY);
    }
    put(arrays->upper, 0, single, (double)INFINITY);
    for (size_t b = 1; b < bins->bins; b++) {
        put(arrays->upper, b, single, round_down(margins[b], single));
    }
    return memory;
}

static void *make_type(struct fghm_bins *bins, bool single, const struct wide *margins,
                       const double *edges) {
    for (double refinement = 1;; refinement *= 1.125) {
        struct arrays arrays;
        scale_cells(bins, margins, refinement);
        void *const memory = make_arrays(bins, single, margins, edges, &arrays);
        if (memory != NULL && bins->cells > 0 && !bound_cells(bins, single)) {
            bins->cells = 0;
        }
        if (memory == NULL || bins->cells == 0 || fill_cells(bins, single, &arrays)) {
            return memory;
        }
        free(memory);
    }
}

static int make_tables(struct fghm_bin_tables *tables, size_t bins, const double *edges,
                       double mu) {
    const bool uniform = edges == NULL && mu == 0;
    *tables = (struct fghm_bin_tables){
        .f32 = {.bins = bins, .uniform = uniform},
        .f64 = {.bins = bins, .uniform = uniform},
    };
    struct wide *const margins = malloc((bins + 1) * sizeof *margins);
    if (margins == NULL) {
        return -1;
    }
    for (size_t b = 1; b < bins; b++) {
        const double part = edges == NULL ? (double)b : edges[b];
        const double whole = edges == NULL ? (double)bins : 1;
        margins[b] = mu == 0 ? classification_margin(wide_divide(wide_of(part), wide_of(whole)))
                             : regression_margin(part, whole, mu);
    }
    tables->memory_f32 = make_type(&tables->f32, true, margins, edges);
    tables->memory_f64 =
        tables->memory_f32 == NULL ? NULL : make_type(&tables->f64, false, margins, edges);
    free(margins);
    return tables->memory_f64 == NULL ? -1 : 0;
}

/* Double-double arithmetic is exact only where it is rounded to nearest, which the
 * caller may have set otherwise; the search for cells need not end there. */
int fghm_bin_tables_make(struct fghm_bin_tables *tables, size_t bins, const double *edges,
                         double mu) {
    const int rounding = fegetround();
    fesetround(FE_TONEAREST);
    const int failed = make_tables(tables, bins, edges, mu);
    fesetround(rounding);
    return failed;
}

void fghm_bin_tables_free(struct fghm_bin_tables *tables) {
    free(tables->memory_f32);
    free(tables->memory_f64);
}
