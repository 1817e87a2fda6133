/* SPDX-License-Identifier: MIT */
/* Probabilities of a model that was trained with a focal loss, and the constants that are best for
 * one; how, says calibration_kernel.h, and of softmax what is said below. */

#define FGHM_REAL_BITS 64
#include "vec/vec_scalar.h"

#include "check.h"
#include "dispatch.h"
#include "drive.h"
#include "focal_handle.h"
#include "kernels/calibration_kernel.h"
#include "kernels/span_walk.h"
#include "range.h"

/* What is called from several places, once each: size counts here, and speed does not. */

OUT_OF_LINE struct pair sum_of(struct pair a, struct pair b) {
    return pair_sum(a, b);
}

OUT_OF_LINE struct pair product_of(double a, struct pair b) {
    return pair_product(pair_of(a), b);
}

/* exp(-a), lifted. */
OUT_OF_LINE double lifted_exp_of(struct pair a) {
    return lifted_exp_minus_pair(a);
}

static struct pair exp_of(struct pair a) {
    return pair_of(lifted_exp_of(a) * REAL_DROP);
}

OUT_OF_LINE struct pair log1p_of(struct pair a) {
    return log1p_pair(a);
}

static struct pair minus(struct pair a) {
    return (struct pair){-a.high, -a.low};
}

static struct pair difference_of(struct pair a, struct pair b) {
    return sum_of(a, minus(b));
}

/* -log(a) */
OUT_OF_LINE struct pair minus_log_of(struct pair a) {
    return minus_log_pair(a);
}

/* log(a / b) */
OUT_OF_LINE struct pair log_ratio(struct pair a, struct pair b) {
    return difference_of(minus_log_of(b), minus_log_of(a));
}

struct double_sum fghm_focal_logit_of(double p) {
    const struct pair logit = log_ratio(pair_of(p), exact_sum(1, -p));
    return (struct double_sum){logit.high, logit.low};
}

/* Whether positives or negatives have no weight: then one answer is best everywhere. */
static bool is_one_sided(const fghm_focal *focal) {
    return fghm_focal_positives(focal).factor == 0 || fghm_focal_negatives(focal).factor == 0;
}

static struct fghm_calibration map_of(const fghm_focal *focal) {
    const struct fghm_focal_side positives = fghm_focal_positives(focal);
    const struct fghm_focal_side negatives = fghm_focal_negatives(focal);
    struct fghm_calibration map = {
        .gamma = positives.gamma,
        .negative_gamma = negatives.gamma,
        .detached = focal->detached != 0,
        .star = focal->rule == FGHM_FOCAL_RULE_STAR,
        .margin = focal->margin,
    };
    if (positives.factor != negatives.factor && !is_one_sided(focal)) {
        /* What 1 - alpha lost by rounding counts. */
        const bool has_rest = positives.factor == focal->alpha && negatives.factor != 1;
        const struct pair negative =
            has_rest ? exact_sum(1, -focal->alpha) : pair_of(negatives.factor);
        const struct pair offset = log_ratio(negative, pair_of(positives.factor));
        map.offset = offset.high;
        map.offset_low = offset.low;
    }
    return map;
}

/* What there is to know of a loss of softmax, of which a sigmoid's positives are one class. */
struct softmax_map {
    size_t classes;
    double gamma;
    bool detached;
    const double *gammas, *weights; /* of the classes, or NULL */
};

/* A class whose logit is above the logarithm of the others' sum of exponentials by some margin. */
struct point {
    struct pair minus_log_p, minus_log_q;
    double p, q;
    double factor;         /* B, times the weight */
    struct pair log_share; /* log(p / v) */
    double slope;          /* its derivative with respect to the margin */
};

static double own_or(const double *own, size_t c, double common) {
    return own == NULL ? common : own[c];
}

OUT_OF_LINE struct point point_of(const struct softmax_map *map, size_t c, struct pair margin) {
    const bool above = margin.high > 0;
    const struct pair a = above ? margin : minus(margin);
    const struct pair e = exp_of(a);
    const struct pair small = log1p_of(e);
    const struct pair large = sum_of(a, small);
    const double gamma = own_or(map->gammas, c, map->gamma);
    const double differentiated = map->detached ? 0 : gamma;
    const double of_small = e.high / (1 + e.high), of_large = 1 / (1 + e.high);
    /* p (-log p) / q */
    const double ratio = above ? (e.high > 0 ? small.high / e.high : 1) : e.high * large.high;
    const double bracket = 1 + differentiated * ratio;
    struct point point = {
        .minus_log_p = above ? small : large,
        .minus_log_q = above ? large : small,
        .p = above ? of_large : of_small,
        .q = above ? of_small : of_large,
        .factor = bracket * own_or(map->weights, c, 1),
    };
    const struct pair power = product_of(gamma, point.minus_log_q);
    point.log_share =
        sum_of(difference_of(power, point.minus_log_p), minus_log_of(pair_of(point.factor)));
    point.slope = point.q + gamma * point.p - differentiated * (ratio - point.p) / bracket;
    return point;
}

/* D(x) of targets 0 with a margin m: with p_m = p - m and L = -log(1 - p_m), minus the derivative
 * of their loss is
 *
 *     p q p_m^gamma (1 + gamma L (1 - p_m) / p_m) / (1 - p_m)
 *
 * (without the bracket where the factor is a constant), and 0 up to p = m; that of targets 1 is
 * q v, see below. */
KERNEL_RARE struct pair log_odds_with_margin(const struct fghm_calibration *map, double x) {
    const struct softmax_map positives = {1, map->gamma, map->detached, NULL, NULL};
    const struct point point = point_of(&positives, 0, pair_of(x));
    const double gamma = map->negative_gamma;
    const double most = 1 - map->margin;
    const double p = x > 0 ? most - point.q : point.p - map->margin;
    const double not_p = point.q + map->margin;
    if (!(p > 0)) {
        return pair_of(-CALIBRATION_LOGIT_MAX);
    }
    const struct pair log = p < not_p ? log1p_of(pair_of(p / not_p)) : minus_log_of(pair_of(not_p));
    const double bracket = 1 + (map->detached ? 0 : gamma) * log.high * (not_p / p);
    const struct pair power = product_of(gamma, minus_log_of(pair_of(p)));
    const struct pair odds = difference_of(sum_of(point.log_share, log), power);
    const struct pair offset = {map->offset, map->offset_low};
    return sum_of(difference_of(odds, minus_log_of(pair_of(bracket))), offset);
}

/* D(x), the logarithm of the odds of calibration_kernel.h, for a gamma that is not focal-star's: as
 * such, since odds leave the range of double. */
KERNEL_RARE struct pair log_odds(const struct fghm_calibration *map, double x) {
    if (map->margin > 0) {
        return log_odds_with_margin(map, x);
    }
    const double a = x < 0 ? -x : x;
    const double gamma = x < 0 ? map->negative_gamma : map->gamma;
    const double other = x < 0 ? map->gamma : map->negative_gamma;
    const struct magnitude_odds odds = odds_of_magnitude(map->detached, true, a, gamma, other);
    const struct pair ratio = log_ratio(pair_of(odds.divisor), pair_of(odds.factor));
    const struct pair magnitude = sum_of(odds.exponent, ratio);
    const struct pair offset = {map->offset, map->offset_low};
    return sum_of(x < 0 ? minus(magnitude) : magnitude, offset);
}

/* D rises with x, so the root is found by halving. */
fghm_status fghm_focal_best_constant(const fghm_focal *focal, double positives, double negatives,
                                     double *logit) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(logit != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(positives > 0 && positives <= DBL_MAX && negatives > 0 && negatives <= DBL_MAX,
                 FGHM_ERROR_RANGE);
    FGHM_TRY(focal->rule_status);
    FGHM_REQUIRE(!is_one_sided(focal), FGHM_ERROR_COMBINATION);
    const struct fghm_calibration map = map_of(focal);
    const struct pair wanted = log_ratio(pair_of(positives), pair_of(negatives));
    if (map.star) {
        *logit = difference_of(wanted, (struct pair){map.offset, map.offset_low}).high / map.gamma;
        return FGHM_OK;
    }
    double low = -CALIBRATION_LOGIT_MAX;
    double high = CALIBRATION_LOGIT_MAX;
    FGHM_REQUIRE(difference_of(log_odds(&map, high), wanted).high >= 0, FGHM_ERROR_RANGE);
    for (double middle = 0; low < middle && middle < high; middle = low + (high - low) / 2) {
        const struct pair above = difference_of(log_odds(&map, middle), wanted);
        if (above.high < 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *logit = high;
    return FGHM_OK;
}

/* One call over n elements. */
struct call {
    const fghm_focal *focal;
    const struct fghm_kernels *kernels;
    struct fghm_calibration map;
    fghm_dtype dtype;
    const void *logits;
    void *probabilities;
};

static void one_sided(double probability, size_t n, double *numbers) {
    for (size_t i = 0; i < n; i++) {
        numbers[i] = numbers[i] == numbers[i] ? probability : numbers[i];
    }
}

/* Infinite logits have no exact sums. */
static double bounded(double x) {
    return x > 0x1p1000 ? 0x1p1000 : x < -CALIBRATION_LOGIT_MAX ? -CALIBRATION_LOGIT_MAX : x;
}

static void with_margin(const struct fghm_calibration *map, size_t n, double *numbers) {
    for (size_t i = 0; i < n; i++) {
        const double x = numbers[i];
        if (x == x) {
            const struct pair odds = log_odds(map, bounded(x));
            const bool is_likely = odds.high > 0;
            const double e = exp_of(is_likely ? odds : minus(odds)).high;
            numbers[i] = (is_likely ? 1 : e) / (1 + e);
        }
    }
}

static void segment(void *context, size_t index, size_t first, size_t n) {
    const struct call *const call = context;
    const fghm_focal *const focal = call->focal;
    double numbers[CHUNK] = {0};
    (void)index;
    for (size_t at = first; at < first + n; at += CHUNK) {
        const size_t left = first + n - at;
        const size_t length = left < CHUNK ? left : CHUNK;
        call->kernels->read(call->dtype, call->logits, (ptrdiff_t)at, 1, length, numbers);
        if (is_one_sided(focal)) {
            one_sided(fghm_focal_positives(focal).factor == 0, length, numbers);
        } else if (call->map.margin > 0) {
            with_margin(&call->map, length, numbers);
        } else {
            call->kernels->calibrate(&call->map, length, numbers);
        }
        call->kernels->write(call->dtype, call->probabilities, (ptrdiff_t)at, 1, length, numbers);
    }
}

static fghm_status calibrate_any(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                 fghm_dtype dtype, const void *logits, void *probabilities) {
    const size_t real_size = dtype == FGHM_F32 ? sizeof(float) : sizeof(double);
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(focal->rule_status);
    FGHM_REQUIRE(n == 0 || (logits != NULL && probabilities != NULL), FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(n <= PTRDIFF_MAX / real_size, FGHM_ERROR_SIZE);
    FGHM_REQUIRE(logits == probabilities ||
                     !fghm_ranges_meet(fghm_range_of(logits, n * real_size),
                                       fghm_range_of(probabilities, n * real_size)),
                 FGHM_ERROR_ALIASING);
    struct call call = {focal, fghm_row()->f64, map_of(focal), dtype, logits, probabilities};
    fghm_drive_range(pool, n, 1, segment, &call);
    return FGHM_OK;
}

fghm_status fghm_focal_calibrate_f32(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                     const float *logits, float *probabilities) {
    return calibrate_any(focal, pool, n, FGHM_F32, logits, probabilities);
}

fghm_status fghm_focal_calibrate_f64(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                     const double *logits, double *probabilities) {
    return calibrate_any(focal, pool, n, FGHM_F64, logits, probabilities);
}

/* Softmax --------------------------------------------------------------------------------
 *
 * The expected gradient is 0 where eta_c v_c = p_c sum_k eta_k v_k for each class, with
 * v_c = w_c q_c^gamma_c B_c, q_c = 1 - p_c and B_c = 1 + gamma_c p_c (-log p_c) / q_c (1 where the
 * focal factor is a constant): so eta_c is p_c / v_c, over the sum of these.
 *
 * p and q come from the class's margin, that of its logit over the logarithm of the sum of the
 * others' exponentials: so neither is a difference of near numbers. */

/* More have no exact index in float. */
#define CLASSES_MAX ((size_t)1 << 24)

/* The range of alpha times class weights: lifted terms stay in that of double. */
#define WEIGHT_LEAST 0x1p-80
#define WEIGHT_MOST 0x1p40

static bool are_in(const double *numbers, size_t n, double least, double most) {
    for (size_t c = 0; numbers != NULL && c < n; c++) {
        if (!(numbers[c] >= least && numbers[c] <= most)) {
            return false;
        }
    }
    return true;
}

/* What a call reads and writes besides: `rows` of as many numbers as there are classes. */
struct softmax_arrays {
    size_t rows, number_size;
    const void *read;
    void *written;
    bool in_place; /* may be */
};

static bool is_apart(const double *numbers, size_t classes, struct fghm_range written) {
    return !fghm_ranges_meet(fghm_range_of(numbers, classes * sizeof *numbers), written);
}

/* Checks what a call is given.  What is set for another loss than that of a sample with a label is
 * not ignored. */
static fghm_status check_softmax(const fghm_focal *focal, const struct softmax_arrays *arrays,
                                 struct softmax_map *map) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(focal->rule_status);
    const size_t classes = map->classes;
    const bool alpha_set = focal->alpha_enabled && focal->alpha != FGHM_ALPHA_DEFAULT;
    FGHM_REQUIRE(focal->rule <= FGHM_FOCAL_RULE_QUALITY && !fghm_focal_has_two_gammas(focal) &&
                     focal->margin == 0 && !focal->positive_weight_set &&
                     (!alpha_set || map->weights != NULL),
                 FGHM_ERROR_COMBINATION);
    FGHM_REQUIRE(arrays->rows == 0 || (arrays->read != NULL && arrays->written != NULL),
                 FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(classes > 0, FGHM_ERROR_RANGE);
    FGHM_REQUIRE(classes <= CLASSES_MAX &&
                     arrays->rows <= PTRDIFF_MAX / arrays->number_size / classes,
                 FGHM_ERROR_SIZE);
    FGHM_REQUIRE(are_in(map->gammas, classes, 0, 64) &&
                     are_in(map->weights, classes, WEIGHT_LEAST, WEIGHT_MOST),
                 FGHM_ERROR_RANGE);
    const size_t bytes = arrays->rows * classes * arrays->number_size;
    const struct fghm_range written = fghm_range_of(arrays->written, bytes);
    FGHM_REQUIRE(is_apart(map->gammas, classes, written) &&
                     is_apart(map->weights, classes, written) &&
                     ((arrays->in_place && arrays->read == arrays->written) ||
                      !fghm_ranges_meet(fghm_range_of(arrays->read, bytes), written)),
                 FGHM_ERROR_ALIASING);
    map->gamma = focal->gamma;
    map->detached = focal->detached != 0;
    return FGHM_OK;
}

/* One call over samples. */
struct softmax_call {
    const struct fghm_kernels *kernels;
    struct softmax_map map;
    fghm_dtype dtype;
    const void *logits;
    void *probabilities;
};

/* One of them. */
struct row {
    const struct softmax_call *call;
    size_t first; /* the index of its class 0 */
    size_t top;   /* the class with the largest logit */
    bool is_nan;
    struct fghm_shares shares;
    double numbers[CHUNK], gammas[CHUNK], weights[CHUNK];
};

/* Reads the next classes of a row; returns how many. */
OUT_OF_LINE size_t read_part(struct row *row, size_t at) {
    const struct softmax_call *const call = row->call;
    const size_t left = call->map.classes - at;
    const size_t n = left < CHUNK ? left : CHUNK;
    call->kernels->read(call->dtype, call->logits, (ptrdiff_t)(row->first + at), 1, n,
                        row->numbers);
    return n;
}

/* Finds the largest logit; returns the second largest. */
static double find_top(struct row *row) {
    double largest = -(double)INFINITY, second = -(double)INFINITY;
    for (size_t at = 0; at < row->call->map.classes; at += CHUNK) {
        const size_t n = read_part(row, at);
        for (size_t i = 0; i < n; i++) {
            const double x = row->numbers[i];
            row->is_nan = row->is_nan || x != x;
            if (x > largest) {
                second = largest;
                largest = x;
                row->top = at + i;
            } else if (x > second) {
                second = x;
            }
        }
    }
    row->is_nan = row->is_nan || largest < -DBL_MAX || second > DBL_MAX;
    row->shares.largest = largest > DBL_MAX ? DBL_MAX : largest;
    row->shares.floor = largest - CALIBRATION_LOGIT_MAX;
    return second;
}

/* The shares of the next classes, or their exponentials, in the place of logits; `top` is that of
 * the top.  Returns how many. */
OUT_OF_LINE size_t make_shares(struct row *row, size_t at, double top) {
    const struct softmax_map *const map = &row->call->map;
    const size_t n = read_part(row, at);
    const bool has_top = row->top - at < n;
    if (has_top) {
        row->numbers[row->top - at] = -(double)INFINITY;
    }
    for (size_t i = 0; i < CHUNK && i < n + SUM_LANES; i++) {
        row->numbers[i] = i < n ? row->numbers[i] : -(double)INFINITY;
        row->gammas[i] = i < n ? own_or(map->gammas, at + i, map->gamma) : 1;
        row->weights[i] = i < n ? own_or(map->weights, at + i, 1) : 1;
    }
    row->call->kernels->shares(&row->shares, n, row->numbers);
    if (has_top) {
        row->numbers[row->top - at] = top;
    }
    return n;
}

/* The sum of these over all classes. */
OUT_OF_LINE struct pair sum_of_shares(struct row *row, double top) {
    struct pair sum = {0, 0};
    for (size_t at = 0; at < row->call->map.classes; at += CHUNK) {
        const size_t n = make_shares(row, at, top);
        for (size_t i = 0; i < n; i++) {
            const struct pair next = exact_sum(sum.high, row->numbers[i]);
            sum = (struct pair){next.high, sum.low + next.low};
        }
    }
    return exact_sum(sum.high, sum.low);
}

/* What rests on the sum over all classes but the top, of which the largest is `second`: to that the
 * sum is relative, since it may be too small for a double. */
static void prepare_top(struct row *row, double second) {
    struct fghm_shares *const shares = &row->shares;
    const struct softmax_map *const map = &row->call->map;
    const struct pair gap = second >= shares->floor ? exact_sum(shares->largest, -second)
                                                    : pair_of(CALIBRATION_LOGIT_MAX);
    shares->gap = gap.high;
    shares->gap_low = gap.low;
    const struct pair rest = sum_of_shares(row, 0);
    shares->gap = shares->gap_low = 0;
    const struct pair margin = sum_of(gap, map->classes > 1 ? minus_log_of(rest) : gap);
    const struct pair all = sum_of(pair_of(1), product_of(exp_of(gap).high, rest));
    const struct point top = point_of(map, row->top, margin);
    const struct pair power =
        product_of(own_or(map->gammas, row->top, map->gamma), top.minus_log_q);
    shares->all = all.high;
    shares->all_low = all.low;
    shares->log_all = top.minus_log_p.high;
    shares->power = power.high;
    shares->power_low = power.low;
    shares->factor = top.factor;
    shares->final = true;
}

static void calibrate_row(struct row *row) {
    const struct softmax_call *const call = row->call;
    const size_t classes = call->map.classes;
    const double second = find_top(row);
    double total = 0;
    if (!row->is_nan) {
        prepare_top(row, second);
        total = sum_of_shares(row, SHARE_LIFT).high;
    }
    for (size_t at = 0; at < classes; at += CHUNK) {
        const bool again = classes > CHUNK && !row->is_nan; /* else they are there */
        const size_t left = classes - at;
        const size_t n = again ? make_shares(row, at, SHARE_LIFT) : left < CHUNK ? left : CHUNK;
        for (size_t i = 0; i < n; i++) {
            row->numbers[i] = row->is_nan ? (double)NAN : row->numbers[i] / total;
        }
        call->kernels->write(call->dtype, call->probabilities, (ptrdiff_t)(row->first + at), 1, n,
                             row->numbers);
    }
}

static void softmax_segment(void *context, size_t index, size_t first, size_t n) {
    const struct softmax_call *const call = context;
    struct row row = {.call = call};
    (void)index;
    for (size_t sample = first; sample < first + n; sample++) {
        row.first = sample * call->map.classes;
        row.is_nan = false;
        row.shares = (struct fghm_shares){
            .gammas = row.gammas, .weights = row.weights, .detached = call->map.detached};
        calibrate_row(&row);
    }
}

static fghm_status calibrate_softmax(struct softmax_call call, const fghm_focal *focal,
                                     fghm_pool *pool, size_t samples) {
    const size_t real_size = call.dtype == FGHM_F32 ? sizeof(float) : sizeof(double);
    const struct softmax_arrays arrays = {samples, real_size, call.logits, call.probabilities,
                                          true};
    FGHM_TRY(check_softmax(focal, &arrays, &call.map));
    call.kernels = fghm_row()->f64;
    fghm_drive_range(pool, samples, call.map.classes, softmax_segment, &call);
    return FGHM_OK;
}

fghm_status fghm_focal_calibrate_softmax_f32(const fghm_focal *focal, fghm_pool *pool,
                                             size_t samples, size_t classes, const float *logits,
                                             const double *class_gamma, const double *class_weights,
                                             float *probabilities) {
    const struct softmax_map map = {
        .classes = classes, .gammas = class_gamma, .weights = class_weights};
    const struct softmax_call call = {NULL, map, FGHM_F32, logits, probabilities};
    return calibrate_softmax(call, focal, pool, samples);
}

fghm_status fghm_focal_calibrate_softmax_f64(const fghm_focal *focal, fghm_pool *pool,
                                             size_t samples, size_t classes, const double *logits,
                                             const double *class_gamma, const double *class_weights,
                                             double *probabilities) {
    const struct softmax_map map = {
        .classes = classes, .gammas = class_gamma, .weights = class_weights};
    const struct softmax_call call = {NULL, map, FGHM_F64, logits, probabilities};
    return calibrate_softmax(call, focal, pool, samples);
}

/* Constants: each class has log_share equal to log(eta) plus what all have in common, and p adds up
 * to 1.  That is found by Newton's method for the margin of one class, which for each place has
 * the margins of the others by Newton's method, from those of the last place.  Functions rise
 * everywhere, so roots stay between two places; where a step would leave these, they are halved.
 * The one class is that which, as what all have in common rises, is the first to have 1/2: where
 * any has more in the end, it is this one, and q of the others is exact anyway. */

/* More than ever needed, for numbers between -4096 and 4096. */
#define STEPS_MOST 128

/* A place and two others with the root between them. */
struct place {
    double at, low, high;
};

/* Goes by what Newton's method says, or halves; whether that is so near that another step would
 * change nothing, the error behind a step of Newton's being in proportion to its square. */
static bool step(struct place *place, bool is_below, double change) {
    const double last = place->at;
    *(is_below ? &place->low : &place->high) = last;
    place->at = last + change;
    const bool is_newton = place->at >= place->low && place->at <= place->high;
    if (!is_newton) {
        place->at = place->low + (place->high - place->low) / 2;
    }
    const double size = place->at < last ? last - place->at : place->at - last;
    return size <= (is_newton ? 0x1p-30 : 0x1p-52) * (1 + (last < 0 ? -last : last));
}

/* What is best for which frequencies; `own` is the one class. */
struct constants {
    struct softmax_map map;
    const double *frequencies;
    size_t own;
    double *margins;
};

/* log_share less log(eta) */
OUT_OF_LINE struct pair common_of(const struct constants *constants, size_t c,
                                  const struct point *point) {
    return sum_of(point->log_share, minus_log_of(pair_of(constants->frequencies[c])));
}

/* The point of another class with this in common, whose margin is set to it.  Returns false if it
 * would be more than `most`. */
KERNEL_RARE bool find_other(const struct constants *constants, size_t c, struct pair common,
                            double most, struct point *point) {
    const double start = constants->margins[c];
    struct place place = {start, -2 * CALIBRATION_LOGIT_MAX, (double)INFINITY};
    bool is_near = false;
    for (int i = 0; i < STEPS_MOST && !is_near; i++) {
        const double last = place.at < most ? place.at : most;
        place.at = last;
        *point = point_of(&constants->map, c, pair_of(last));
        const double above = difference_of(common_of(constants, c, point), common).high;
        if (above < 0 && last == most) {
            return false;
        }
        is_near = step(&place, above < 0, -above / point->slope) && place.at <= most;
        point->minus_log_p.high -= point->q * (place.at - last);
    }
    constants->margins[c] = place.at;
    return true;
}

/* Margins of the others for a place of the own one and what is left to go from there, which go on;
 * whether it is there. */
KERNEL_RARE bool try_place(const struct constants *constants, struct place *place, double *rest) {
    const struct pair at = {place->at, *rest};
    const struct point own = point_of(&constants->map, constants->own, at);
    const struct pair common = common_of(constants, constants->own, &own);
    /* p is then 7 times what the own class leaves, or near 7/8. */
    const double most = place->at > 0 ? 2 - place->at : 2;
    double sum = 0, slope = 0; /* of p over the q of the own class */
    for (size_t c = 0; c < constants->map.classes; c++) {
        struct point other;
        if (c == constants->own) {
            continue;
        }
        if (!find_other(constants, c, common, most, &other)) {
            return step(place, false, -(double)INFINITY);
        }
        const double part = exp_of(difference_of(other.minus_log_p, own.minus_log_q)).high;
        sum += part;
        slope += part * other.q / other.slope;
    }
    if (!(sum > 0)) {
        return step(place, true, (double)INFINITY);
    }
    const double minus_log = minus_log_of(pair_of(sum)).high;
    *rest = minus_log / (slope / sum * own.slope + own.p);
    return step(place, minus_log > 0, *rest);
}

fghm_status fghm_focal_best_constant_softmax(const fghm_focal *focal, size_t classes,
                                             const double *frequencies, const double *class_gamma,
                                             const double *class_weights, double *logits) {
    struct constants constants = {
        .map = {.classes = classes, .gammas = class_gamma, .weights = class_weights},
        .frequencies = frequencies,
        .margins = logits,
    };
    const struct softmax_arrays arrays = {1, sizeof(double), frequencies, logits, false};
    FGHM_TRY(check_softmax(focal, &arrays, &constants.map));
    FGHM_REQUIRE(are_in(frequencies, classes, REAL_SMALLEST, DBL_MAX), FGHM_ERROR_RANGE);
    double least = (double)INFINITY;
    for (size_t c = 0; c < classes; c++) {
        const struct point half = point_of(&constants.map, c, pair_of(0));
        const double common = common_of(&constants, c, &half).high;
        constants.own = common < least ? c : constants.own;
        least = common < least ? common : least;
        logits[c] = 0;
    }
    struct place place = {0, -CALIBRATION_LOGIT_MAX, CALIBRATION_LOGIT_MAX};
    bool is_there = false;
    for (int i = 0; i < STEPS_MOST && !is_there; i++) {
        double rest = 0;
        is_there = try_place(&constants, &place, &rest);
    }
    /* The margins of others are up to 1 + gamma times as steep: they are those of the place before
     * it is rounded. */
    const struct place found = place;
    struct pair own = {found.at, 0};
    try_place(&constants, &place, &own.low);
    double rest = own.low;
    place = found;
    try_place(&constants, &place, &rest);
    for (size_t c = 0; c < classes; c++) {
        const struct pair margin = c == constants.own ? own : pair_of(logits[c]);
        logits[c] = -point_of(&constants.map, c, margin).minus_log_p.high;
    }
    return FGHM_OK;
}
