/* SPDX-License-Identifier: MIT */
/* Bins: the edges of gradient norms as numbers that kernels can compare margins with, and cells
 * by which a margin finds its bin without a search.  Edges are exact, whatever the instruction
 * set and the C library: counts of several machines are added up, and have to be the same. */
#include "bins.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "allocation.h"
#include "fused.h"

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
    const double low = fghm_fused(a.high, b.high, -high);
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
    const struct wide near = wide_of(__builtin_sqrt(a.high)); /* an instruction, also in Debug */
    const struct wide rest = wide_add(a, wide_negative(wide_multiply(near, near)));
    return wide_add(near, wide_of(rest.high / (2 * near.high)));
}

/* 2 atanh(a) for |a| <= 1/3. */
static struct wide wide_twice_atanh(struct wide a) {
    const struct wide square = wide_multiply(a, a);
    struct wide power = a;
    struct wide sum = a;
    for (int order = 3; fabs(power.high) > 0x1p-110 * fabs(a.high); order += 2) {
        power = wide_multiply(power, square);
        sum = wide_add(sum, wide_divide(power, wide_of(order)));
    }
    return wide_add(sum, sum);
}

/* log(a) for a in [1/2, 2] */
static struct wide wide_log(struct wide a) {
    const struct wide difference = wide_add(a, wide_of(-1));
    return wide_twice_atanh(wide_divide(difference, wide_add(a, wide_of(1))));
}

static const struct wide ln_2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k for k in [-1022, 1023] */
static double power_of_2(int k) {
    return double_of((uint64_t)(k + 1023) << 52);
}

/* k with 2^k <= a < 2^(k + 1), for a normal number. */
static int exponent_of(double a) {
    return (int)(bits_of(a) >> 52 & 0x7ff) - 1023;
}

/* a 2^-exponent in [1, 2), for a normal a in (0, 1]. */
static struct wide fraction_of(struct wide a, int *exponent) {
    *exponent = exponent_of(a.high);
    const double scale = power_of_2(-*exponent);
    return (struct wide){a.high * scale, a.low * scale};
}

/* log((1 - e) / e) = 2 atanh(1 - 2 e), for e in (0, 1). */
static struct wide classification_margin(struct wide e) {
    const struct wide rest = wide_add(wide_of(1), wide_negative(e));
    const struct wide difference = wide_add(rest, wide_negative(e));
    if (fabs(difference.high) <= 0.33) {
        return wide_twice_atanh(difference);
    }
    int exponent, rest_exponent;
    const struct wide fraction = fraction_of(e, &exponent);
    const struct wide rest_fraction = fraction_of(rest, &rest_exponent);
    const struct wide log_fraction = wide_log(wide_divide(rest_fraction, fraction));
    return wide_add(log_fraction, wide_multiply(wide_of(rest_exponent - exponent), ln_2));
}

#define TINY_SCALE_UP 0x1p300
#define TINY_SCALE_DOWN 0x1p-300

/* a TINY_SCALE_DOWN, of which the low part has the sign alone: no more of it is looked at. */
static struct wide wide_scaled_down(struct wide a) {
    const double high = a.high * TINY_SCALE_DOWN;
    const double rest = a.high - high * TINY_SCALE_UP + a.low;
    return (struct wide){high, rest < 0 ? -DBL_TRUE_MIN : rest > 0 ? DBL_TRUE_MIN : 0};
}

/* sqrt((whole - part) (whole + part)) */
static struct wide regression_root(double part, double whole) {
    if (part < 0x1p-26) {
        /* whole is 1.  What little there is below 1 decides where mu part is representable,
         * and does so by its sign. */
        const double square = part * part;
        return wide_root(sum_of(1, square > 0x1p-200 ? -square : -0x1p-200));
    }
    return wide_root(wide_multiply(sum_of(whole, -part), sum_of(whole, part)));
}

/* The margin of the edge part / whole; with a whole of 1, `part` is any number. */
static struct wide regression_margin(double part, double whole, double mu) {
    const struct wide root = regression_root(part, whole);
    /* Below this the product would lose digits. */
    const bool tiny = mu * part < 0x1p-800;
    const double factor = tiny ? mu * TINY_SCALE_UP : mu;
    const struct wide product = wide_multiply(wide_of(factor), wide_of(part));
    const struct wide margin = wide_negative(wide_divide(product, root));
    return tiny ? wide_scaled_down(margin) : margin;
}

/* The next larger number of the type. */
static double next_above(double x, bool single) {
    if (!single) {
        return x == 0 ? DBL_TRUE_MIN : double_of(x > 0 ? bits_of(x) + 1 : bits_of(x) - 1);
    }
    float near = (float)x;
    uint32_t bits;
    memcpy(&bits, &near, sizeof bits);
    bits = near > 0 ? bits + 1 : bits - 1;
    memcpy(&near, &bits, sizeof near);
    return x == 0 ? (double)FLT_TRUE_MIN : (double)near;
}

static double next_below(double x, bool single) {
    return -next_above(-x, single);
}

/* The largest double, or float, that is at most a. */
static double round_down(struct wide a, bool single) {
    const double down = a.low < 0 ? next_below(a.high, false) : a.high;
    if (!single) {
        return down;
    }
    const double near = (double)(float)down;
    return near > down ? next_below(near, true) : near;
}

/* Where a margin is among the cells, as kernels with and without fused multiply-add find it. */
static double place_of(const struct fghm_bins *bins, bool single, bool fused, double margin) {
    const double scale = bins->cell_scale;
    const double offset = bins->cell_offset;
    if (single && fused) {
        return (double)fghm_fused_f32((float)margin, (float)scale, (float)offset);
    }
    if (single) {
        const float product = (float)margin * (float)scale;
        return (double)(product + (float)offset);
    }
    return fused ? fghm_fused(margin, scale, offset) : margin * scale + offset;
}

static size_t cell_of(const struct fghm_bins *bins, bool single, bool fused, double margin) {
    const double place = place_of(bins, single, fused, margin);
    const double last = (double)(bins->cells - 1);
    return (size_t)(place < 1 ? 1 : place > last ? last : place);
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

/* Cells beyond this are not worth their memory: kernels then search.  The two tables of 2^16
 * cells take 512 KiB in float and 1 MiB in double, which is what a level 2 cache holds. */
#define CELLS_MAX ((double)(1 << 16))

/* Kernels load `upper` in groups of eight (TALLY_GROUP), and tables of up to 16 cells whole: as
 * many as two registers of AVX2, or one of AVX-512, hold and permute.  Those of up to 32 take twice
 * as much, still less than a gather. */
#define UPPER_PADDING 8
#define CELLS_SMALL 16
#define CELLS_WHOLE 32

/* The arrays of a struct fghm_bins, writable. */
struct arrays {
    void *upper;
    void *edges;
    void *cell_bin;
    void *cell_upper;
};

/* What margins are held between before their cells are found.  False if those two are in no
 * cell, where rounding moves them as far as edges lie close to each other and far from 0.
 * The upper one is half a cell above the edge, so that what is held there is in the first bin in
 * every floating-point environment. */
static bool bound_cells(struct fghm_bins *bins, bool single) {
    if (bins->bins > 1) {
        const double edge = get(bins->upper, 1, single);
        const double above = edge + 0.5 / bins->cell_scale;
        const double high = single ? (double)(float)above : above;
        const double next = next_above(edge, single);
        bins->cell_low = get(bins->upper, bins->bins - 1, single);
        bins->cell_high = high > next ? high : next;
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
    const double alone = fabs(bottom) > 1 ? fabs(bottom) : 1;
    double narrowest = bins->bins == 2 ? alone : top - bottom;
    for (size_t b = 1; b + 1 < bins->bins; b++) {
        const double width = margins[b].high - margins[b + 1].high;
        narrowest = width < narrowest ? width : narrowest;
    }
    bins->cell_scale = refinement / narrowest;
    /* Not 2: with the lowest edge on the limit of a cell, which cell it is in would hang on
     * how the product is rounded. */
    bins->cell_offset = 0x1.08p1 - bottom * bins->cell_scale;
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
    const size_t cells = bins->cells < CELLS_WHOLE ? CELLS_WHOLE : bins->cells;
    const size_t cell_bytes = cells * real_size;
    /* Zeroed, since a table that is shorter than what is loaded is loaded all the same. */
    char *const memory = fghm_zeroed_memory(1, 2 * edge_bytes + 2 * cell_bytes);
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

/* Until no cell has two edges in it.  Each try fills the tables anew; steps of an eighth leave them
 * at most an eighth larger than they need to be. */
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
        fghm_free(memory);
    }
}

int fghm_bin_tables_make(struct fghm_bin_tables *tables, size_t bins, const double *edges,
                         double mu) {
    const bool uniform = edges == NULL && mu == 0;
    *tables = (struct fghm_bin_tables){
        .f32 = {.bins = bins, .uniform = uniform},
        .f64 = {.bins = bins, .uniform = uniform},
    };
    struct wide *const margins = fghm_zeroed_memory(bins + 1, sizeof *margins);
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
    fghm_free(margins);
    return tables->memory_f64 == NULL ? -1 : 0;
}

void fghm_bin_tables_free(struct fghm_bin_tables *tables) {
    fghm_free(tables->memory_f32);
    fghm_free(tables->memory_f64);
}
