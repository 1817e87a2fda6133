/* SPDX-License-Identifier: MIT */
#include "bins.h"

#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Edge b / bins of g = sigmoid(-z) is at the margin
 *
 *     z_b = log((bins - b) / b) = log(bins - b) - log(b),
 *
 * irrational but for b = bins / 2, and a margin is in bin b or above exactly if
 * it is at most the largest representable number below z_b.  To find that number
 * for certain, logarithms of whole numbers are added up in double-double, from
 * log(k + 1) - log(k) = 2 atanh(1 / (2 k + 1)), with some 100 correct bits: the
 * nearest that any of these numbers comes to a representable one is far wider.
 *
 * Arithmetic here relies on double being evaluated as double (FLT_EVAL_METHOD
 * 0) and on -ffp-contract=off. */

struct wide {
    double high;
    double low;
};

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

/* a / n for a whole number n below 2^26: products with its quotient's halves are
 * exact. */
static struct wide wide_divide(struct wide a, double n) {
    const double first = a.high / n;
    /* Veltkamp's splitting: 2^27 + 1 leaves halves of 26 bits. */
    const double scaled = first * 0x1.0000002p27;
    const double upper = scaled - (scaled - first);
    const double lower = first - upper;
    const double rest = ((a.high - upper * n) - lower * n) + a.low;
    return sum_of(first, rest / n);
}

/* log(k + 1) - log(k) = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = 1 / (2 k + 1). */
static struct wide log_step(size_t k) {
    const double n = (double)(2 * k + 1);
    struct wide power = wide_divide((struct wide){2, 0}, n);
    struct wide sum = power;
    for (int order = 3; power.high > 0x1p-120; order += 2) {
        power = wide_divide(wide_divide(power, n), n);
        sum = wide_add(sum, wide_divide(power, order));
    }
    return sum;
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

/* The cell of a margin, as kernels with and without fused multiply-add find it. */
static size_t cell_of(const struct fghm_bins *bins, bool single, bool fused, double margin) {
    const double scale = bins->cell_scale;
    const double offset = bins->cell_offset;
    double cell;
    if (single && fused) {
        cell = (double)fmaf((float)margin, (float)scale, (float)offset);
    } else if (single) {
        const float product = (float)margin * (float)scale;
        cell = (double)(product + (float)offset);
    } else if (fused) {
        cell = fma(margin, scale, offset);
    } else {
        cell = margin * scale + offset;
    }
    const double last = (double)(bins->cells - 1);
    return (size_t)(cell < 1 ? 1 : cell > last ? last : cell);
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

/* Fills the cells for the scale in `bins`; false if one would hold two edges, or
 * if kernels with and without fused multiply-add see an edge in different cells. */
static bool fill_cells(const struct fghm_bins *bins, bool single, const struct arrays *arrays) {
    for (size_t c = 0; c < bins->cells; c++) {
        put(arrays->cell_upper, c, single, (double)NAN);
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
            if (!isnan(get(arrays->cell_upper, above, single))) {
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

/* Cells that are 1 / refinement of the narrowest bin wide, one more at each end,
 * and cell 0. */
static void scale_cells(struct fghm_bins *bins, const struct wide *margins, double refinement) {
    bins->cell_scale = 1;
    bins->cell_offset = 1;
    bins->cells = CELLS_SMALL;
    if (bins->bins < 2) {
        return;
    }
    const double top = margins[1].high;
    const double bottom = margins[bins->bins - 1].high;
    double narrowest = 1;
    for (size_t b = 1; b + 1 < bins->bins; b++) {
        const double width = margins[b].high - margins[b + 1].high;
        narrowest = width < narrowest ? width : narrowest;
    }
    bins->cell_scale = refinement / narrowest;
    bins->cell_offset = 2 - bottom * bins->cell_scale;
    const size_t cells = (size_t)((top - bottom) * bins->cell_scale) + 4;
    bins->cells = cells < CELLS_SMALL ? CELLS_SMALL : cells;
}

/* Makes the tables of one type around cells that have been scaled; NULL without
 * memory. */
static void *make_arrays(struct fghm_bins *bins, bool single, const struct wide *margins,
                         struct arrays *arrays) {
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
        put(arrays->edges, b, single, (double)b / (double)bins->bins);
        put(arrays->upper, b, single, (double)NAN);
    }
    put(arrays->upper, 0, single, (double)INFINITY);
    for (size_t b = 1; b < bins->bins; b++) {
        put(arrays->upper, b, single, round_down(margins[b], single));
    }
    return memory;
}

static void *make_type(struct fghm_bins *bins, size_t count, bool single,
                       const struct wide *margins) {
    bins->bins = count;
    for (double refinement = 1;; refinement *= 1.125) {
        struct arrays arrays;
        scale_cells(bins, margins, refinement);
        void *const memory = make_arrays(bins, single, margins, &arrays);
        if (memory == NULL || fill_cells(bins, single, &arrays)) {
            return memory;
        }
        free(memory);
    }
}

/* margins[b] = log(bins - b) - log(b) for b = 1 ... bins - 1. */
static void make_margins(struct wide *margins, struct wide *logs, size_t bins) {
    logs[1] = (struct wide){0, 0};
    for (size_t k = 1; k + 1 < bins; k++) {
        logs[k + 1] = wide_add(logs[k], log_step(k));
    }
    for (size_t b = 1; b < bins; b++) {
        const struct wide minus = {-logs[b].high, -logs[b].low};
        margins[b] = wide_add(logs[bins - b], minus);
    }
}

static int make_tables(struct fghm_bin_tables *tables, size_t bins) {
    tables->memory_f32 = tables->memory_f64 = NULL;
    struct wide *const margins = malloc(2 * (bins + 1) * sizeof *margins);
    if (margins == NULL) {
        return -1;
    }
    make_margins(margins, margins + bins + 1, bins);
    tables->memory_f32 = make_type(&tables->f32, bins, true, margins);
    tables->memory_f64 =
        tables->memory_f32 == NULL ? NULL : make_type(&tables->f64, bins, false, margins);
    free(margins);
    return tables->memory_f64 == NULL ? -1 : 0;
}

/* Double-double arithmetic is exact only where it is rounded to nearest, which the
 * caller may have set otherwise; the search for cells need not end there. */
int fghm_bin_tables_make(struct fghm_bin_tables *tables, size_t bins) {
    const int rounding = fegetround();
    fesetround(FE_TONEAREST);
    const int failed = make_tables(tables, bins);
    fesetround(rounding);
    return failed;
}

void fghm_bin_tables_free(struct fghm_bin_tables *tables) {
    free(tables->memory_f32);
    free(tables->memory_f64);
}
