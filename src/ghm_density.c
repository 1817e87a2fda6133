/* SPDX-License-Identifier: MIT */
/* The gradient density of the paper, without the histogram that approximates it.
 *
 * Norms are whole multiples of 2^-62, so that windows are compared exactly.  Elements are sorted
 * by them; where all targets of a float call are 0 or 1, by the bits of their margins, which are
 * fewer and in the same order. */
#include "ghm_handle.h"

#include <string.h>

#include "allocation.h"
#include "check.h"
#include "drive.h"
#include "plan.h"
#include "radix_sort.h"

#define NORM_BITS 62
#define NORM_ONE (INT64_C(1) << NORM_BITS)
#define NORM_UNIT 0x1p-62

/* As many norms behind the sorted ones are greater than all limits. */
#define NORMS_PADDING 4

/* What a segment of the call has. */
struct segment {
    size_t valid;
    size_t items; /* valid and not NaN */
    bool soft;    /* a target other than 0 and 1 */
    bool bad_target;
};

/* One call. */
struct density {
    const fghm_ghm *ghm;
    fghm_pool *pool;
    size_t n;
    bool single; /* float */
    const void *inputs, *targets, *mask;
    void *weights;
    size_t total; /* valid elements */
    struct segment segments[FGHM_SEGMENTS_MAX];
    struct fghm_radix_sort sort;
    int64_t *norms; /* of the sorted items, and the padding */
};

/* `single` is a constant where these are called, so that each has a loop of its own. */
#define EACH_TYPE static inline __attribute__((always_inline))

EACH_TYPE double element(const void *array, bool single, size_t i) {
    return single ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

EACH_TYPE bool is_valid(const struct density *call, bool single, size_t i) {
    return call->mask == NULL || element(call->mask, single, i) > 0;
}

EACH_TYPE void set_weight(const struct density *call, bool single, size_t i, double weight) {
    if (single) {
        ((float *)call->weights)[i] = (float)weight;
    } else {
        ((double *)call->weights)[i] = weight;
    }
}

/* Norms ------------------------------------------------------------------------------- */

/* 2^(-k / 32) */
#define POWERS 32
static const double powers[POWERS] = {
    0x1.0000000000000p+0, 0x1.f50765b6e4540p-1, 0x1.ea4afa2a490dap-1, 0x1.dfc97337b9b5fp-1,
    0x1.d5818dcfba487p-1, 0x1.cb720dcef9069p-1, 0x1.c199bdd85529cp-1, 0x1.b7f76f2fb5e47p-1,
    0x1.ae89f995ad3adp-1, 0x1.a5503b23e255dp-1, 0x1.9c49182a3f090p-1, 0x1.93737b0cdc5e5p-1,
    0x1.8ace5422aa0dbp-1, 0x1.82589994cce13p-1, 0x1.7a11473eb0187p-1, 0x1.71f75e8ec5f74p-1,
    0x1.6a09e667f3bcdp-1, 0x1.6247eb03a5585p-1, 0x1.5ab07dd485429p-1, 0x1.5342b569d4f82p-1,
    0x1.4bfdad5362a27p-1, 0x1.44e086061892dp-1, 0x1.3dea64c123422p-1, 0x1.371a7373aa9cbp-1,
    0x1.306fe0a31b715p-1, 0x1.29e9df51fdee1p-1, 0x1.2387a6e756238p-1, 0x1.1d4873168b9aap-1,
    0x1.172b83c7d517bp-1, 0x1.11301d0125b51p-1, 0x1.0b5586cf9890fp-1, 0x1.059b0d3158574p-1,
};

/* exp(-a) for a >= 0, where it is at least NORM_UNIT / 2; what is less, below it.  With a table,
 * and without fused multiply-add, so that all processors have the same. */
static inline double exp_minus(double a) {
    const double bounded = a < 45 ? a : 45;
    const double rounded = bounded * (POWERS * 0x1.71547652b82fep+0) + 0x1.8p52;
    const double steps = rounded - 0x1.8p52;
    const double r =
        (steps * (0x1.62e42feep-1 / POWERS) - bounded) + steps * (0x1.a39ef35793c76p-33 / POWERS);
    /* Taylor's, as |r| <= 0.011. */
    const double r2 = r * r;
    const double tail =
        (1.0 / 2 + r * (1.0 / 6)) + r2 * ((1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720));
    const uint64_t step = (uint64_t)(int64_t)steps;
    const uint64_t halving_bits = (1023 - step / POWERS) << 52;
    double halving;
    memcpy(&halving, &halving_bits, sizeof halving);
    const double power = powers[step % POWERS];
    return (power + power * (r + r2 * tail)) * halving;
}

/* sigmoid(x) in units; not for NaN.  It rises with x wherever x is a float. */
static inline int64_t sigmoid_of(double x) {
    const double e = exp_minus(x < 0 ? -x : x);
    const int64_t smaller = (int64_t)(e / (1 + e) * NORM_ONE + 0.5);
    return x > 0 ? NORM_ONE - smaller : smaller;
}

/* |sigmoid(x) - t| */
static inline int64_t norm_of(double x, double t) {
    if (t == 0 || t == 1) {
        return sigmoid_of(t == 0 ? x : -x);
    }
    const int64_t difference = sigmoid_of(x) - (int64_t)(t * NORM_ONE);
    return difference < 0 ? -difference : difference;
}

/* A float as a key that rises with it, and back. */
static uint32_t key_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}

static float float_of(uint32_t key) {
    const uint32_t bits = key >> 31 ? key & ~(UINT32_C(1) << 31) : ~key;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Steps ------------------------------------------------------------------------------- */

EACH_TYPE void survey(struct density *call, bool single, size_t segment, size_t first, size_t n) {
    struct segment found = {0, 0, false, false};
    for (size_t i = first; i < first + n; i++) {
        const double x = element(call->inputs, single, i);
        const double t = element(call->targets, single, i);
        const bool valid = is_valid(call, single, i);
        found.valid += valid;
        found.items += valid && x == x && t == t;
        found.soft |= valid && !(t == 0 || t == 1);
        found.bad_target |= valid && (t < 0 || t > 1);
    }
    call->segments[segment] = found;
}

static void survey_segment(void *context, size_t segment, size_t first, size_t n) {
    struct density *const call = context;
    if (call->single) {
        survey(call, true, segment, first, n);
    } else {
        survey(call, false, segment, first, n);
    }
}

/* Puts items in their places, and 0 into the weights of what is none. */
EACH_TYPE void fill(const struct density *call, bool single, size_t place, size_t first, size_t n) {
    struct fghm_item *const items = call->sort.items;
    struct fghm_wide_item *const wide_items = call->sort.items;
    for (size_t i = first; i < first + n; i++) {
        const double x = element(call->inputs, single, i);
        const double t = element(call->targets, single, i);
        if (!is_valid(call, single, i) || x != x || t != t) {
            set_weight(call, single, i, 0);
        } else if (call->sort.wide) {
            wide_items[place++] = (struct fghm_wide_item){(uint64_t)norm_of(x, t), i};
        } else {
            items[place++] = (struct fghm_item){key_of((float)(t == 0 ? x : -x)), (uint32_t)i};
        }
    }
}

static void fill_segment(void *context, size_t segment, size_t first, size_t n) {
    const struct density *const call = context;
    size_t place = 0;
    for (size_t s = 0; s < segment; s++) {
        place += call->segments[s].items;
    }
    if (call->single) {
        fill(call, true, place, first, n);
    } else {
        fill(call, false, place, first, n);
    }
}

static void norms_segment(void *context, size_t segment, size_t first, size_t n) {
    const struct density *const call = context;
    (void)segment;
    for (size_t i = first; i < first + n; i++) {
        call->norms[i] =
            call->sort.wide
                ? (int64_t)((const struct fghm_wide_item *)call->sort.items)[i].key
                : sigmoid_of((double)float_of(((const struct fghm_item *)call->sort.items)[i].key));
    }
}

/* How many of the sorted norms are below the limit. */
static size_t count_below(const struct density *call, int64_t limit) {
    size_t least = 0;
    size_t most = call->sort.n;
    while (least < most) {
        const size_t middle = least + (most - least) / 2;
        if (call->norms[middle] < limit) {
            least = middle + 1;
        } else {
            most = middle;
        }
    }
    return least;
}

/* The same for a limit that is not less than the last one, for which `below` was counted.  What
 * a while loop over single norms costs is guesses of the processor where it ends. */
static inline size_t count_on(const int64_t *norms, size_t below, int64_t limit) {
    int more;
    do {
        const int64_t *const next = norms + below;
        more = (next[0] < limit) + (next[1] < limit) + (next[2] < limit) + (next[3] < limit);
        below += (size_t)more;
    } while (more == NORMS_PADDING);
    return below;
}

static double least_of(double a, double b) {
    return a < b ? a : b;
}

/* The window's ends go up with its middle. */
EACH_TYPE void weigh(const struct density *call, bool single, size_t start, size_t n) {
    const int64_t bins = (int64_t)call->ghm->bins;
    const int64_t half = (NORM_ONE / 2 + bins / 2) / bins;
    const double half_width = 0.5 / (double)bins;
    size_t first = count_below(call, call->norms[start] - half);
    size_t end = count_below(call, call->norms[start] + half);
    for (size_t i = start; i < start + n; i++) {
        const int64_t norm = call->norms[i];
        first = count_on(call->norms, first, norm - half);
        end = count_on(call->norms, end, norm + half);
        const double below = least_of(half_width, (double)norm * NORM_UNIT);
        const double above = least_of(half_width, (double)(NORM_ONE - norm) * NORM_UNIT);
        const double weight = (double)call->total * (below + above) / (double)(end - first);
        const size_t index =
            call->sort.wide ? (size_t)((const struct fghm_wide_item *)call->sort.items)[i].index
                            : ((const struct fghm_item *)call->sort.items)[i].index;
        set_weight(call, single, index, least_of(weight, call->ghm->settings.weight_cap));
    }
}

static void weigh_segment(void *context, size_t segment, size_t first, size_t n) {
    const struct density *const call = context;
    (void)segment;
    if (call->single) {
        weigh(call, true, first, n);
    } else {
        weigh(call, false, first, n);
    }
}

/* Calls ------------------------------------------------------------------------------- */

/* What the segments have, together. */
static struct segment survey_all(struct density *call) {
    const size_t segments = fghm_drive_range(call->pool, call->n, 1, survey_segment, call);
    struct segment all = {0, 0, false, false};
    for (size_t s = 0; s < segments; s++) {
        all.valid += call->segments[s].valid;
        all.items += call->segments[s].items;
        all.soft |= call->segments[s].soft;
        all.bad_target |= call->segments[s].bad_target;
    }
    return all;
}

/* Room for the items, twice, with the padding of norms, and behind them the counters; NULL
 * without memory. */
static void *make_room(struct fghm_radix_sort *sort) {
    const size_t size = sort->wide ? sizeof(struct fghm_wide_item) : sizeof(struct fghm_item);
    const size_t counter_bytes = sort->parts * FGHM_RADIX_DIGITS * sizeof *sort->counters;
    const size_t padding_bytes = NORMS_PADDING * sizeof(int64_t);
    if (sort->n > (PTRDIFF_MAX - counter_bytes - 2 * padding_bytes) / (2 * size)) {
        return NULL;
    }
    const size_t array_bytes = sort->n * size + padding_bytes;
    char *const memory = fghm_memory(2 * array_bytes + counter_bytes);
    if (memory != NULL) {
        sort->items = memory;
        sort->spare = memory + array_bytes;
        sort->counters = (uint64_t *)(void *)(memory + 2 * array_bytes);
    }
    return memory;
}

static fghm_status density(struct density *call) {
    const struct segment all = survey_all(call);
    FGHM_REQUIRE(!all.bad_target, FGHM_ERROR_TARGET);
    call->total = all.valid;
    const bool few_bits = call->single && !all.soft && call->n <= UINT32_MAX;
    call->sort = (struct fghm_radix_sort){
        .pool = call->pool,
        .n = all.items,
        .key_bits = few_bits ? 32 : NORM_BITS + 1, /* 1 has one more */
        .wide = !few_bits,
        .parts = fghm_radix_parts(call->pool, all.items),
    };
    void *const memory = make_room(&call->sort);
    FGHM_REQUIRE(memory != NULL, FGHM_ERROR_MEMORY);
    fghm_drive_range(call->pool, call->n, 1, fill_segment, call);
    fghm_radix_sort(&call->sort);
    call->norms = call->sort.spare;
    for (size_t i = 0; i < NORMS_PADDING; i++) {
        call->norms[call->sort.n + i] = INT64_MAX;
    }
    fghm_drive_range(call->pool, call->sort.n, 1, norms_segment, call);
    fghm_drive_range(call->pool, call->sort.n, 1, weigh_segment, call);
    fghm_free(memory);
    return FGHM_OK;
}

static fghm_status check(const struct density *call) {
    const struct fghm_span span = {.n = call->n,
                                   .logits = call->inputs,
                                   .targets = call->targets,
                                   .weights = call->mask,
                                   .element_loss = call->weights};
    FGHM_REQUIRE(call->ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(call->ghm->kind == FGHM_GHM_CLASSIFICATION, FGHM_ERROR_KIND);
    FGHM_REQUIRE(call->n == 0 || call->weights != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_TRY(fghm_check_span(&span, !call->single, NULL));
    /* Weights are cleared while inputs are still needed. */
    FGHM_REQUIRE(call->n == 0 || (call->weights != call->inputs && call->weights != call->targets &&
                                  call->weights != call->mask),
                 FGHM_ERROR_ALIASING);
    return FGHM_OK;
}

fghm_status fghm_ghm_density_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                 const float *inputs, const float *targets, const float *mask,
                                 float *weights) {
    struct density call = {.ghm = ghm,
                           .pool = pool,
                           .n = n,
                           .single = true,
                           .inputs = inputs,
                           .targets = targets,
                           .mask = mask,
                           .weights = weights};
    FGHM_TRY(check(&call));
    return density(&call);
}

fghm_status fghm_ghm_density_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n,
                                 const double *inputs, const double *targets, const double *mask,
                                 double *weights) {
    struct density call = {.ghm = ghm,
                           .pool = pool,
                           .n = n,
                           .single = false,
                           .inputs = inputs,
                           .targets = targets,
                           .mask = mask,
                           .weights = weights};
    FGHM_TRY(check(&call));
    return density(&call);
}
