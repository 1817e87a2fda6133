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

/* D(x), the logarithm of the odds of calibration_kernel.h, for a gamma that is not focal-star's: as
 * such, since odds leave the range of double. */
KERNEL_RARE struct pair log_odds(const struct fghm_calibration *map, double x) {
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
    FGHM_REQUIRE(!is_one_sided(focal) && focal->margin == 0, FGHM_ERROR_COMBINATION);
    const struct fghm_calibration map = map_of(focal);
    const struct pair wanted = log_ratio(pair_of(positives), pair_of(negatives));
    if (map.star) {
        *logit = difference_of(wanted, (struct pair){map.offset, map.offset_low}).high / map.gamma;
        return FGHM_OK;
    }
    double low = -CALIBRATION_LOGIT_MAX;
    double high = CALIBRATION_LOGIT_MAX;
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
    FGHM_REQUIRE(focal->margin == 0, FGHM_ERROR_COMBINATION);
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
 * others' exponentials: so neither is a difference of near numbers.  (Of the class with the largest
 * logit the others have a sum of their own; from the sum over all classes, the exponential of any
 * other takes away at most half.) */

/* More have no exact index in float. */
#define CLASSES_MAX ((size_t)1 << 24)

/* The range of alpha times class weights: lifted terms stay in that of double. */
#define WEIGHT_LEAST 0x1p-80
#define WEIGHT_MOST 0x1p40

/* From +-CALIBRATION_LOGIT_MAX to 2^-54. */
#define HALVINGS 66

/* What there is to know of the loss. */
struct softmax_map {
    size_t classes;
    double gamma;
    bool detached;
    const double *gammas, *weights; /* of the classes, or NULL */
};

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

/* A class whose logit is above the logarithm of the others' sum of exponentials by some margin. */
struct point {
    struct pair minus_log_p, minus_log_q;
    struct pair log_share; /* log(p / v) */
};

OUT_OF_LINE struct point point_of(const struct softmax_map *map, size_t c, struct pair margin) {
    const bool above = margin.high > 0;
    const struct pair a = above ? margin : minus(margin);
    const struct pair e = exp_of(a);
    const struct pair small = log1p_of(e);
    const struct pair large = sum_of(a, small);
    const double gamma = map->gammas == NULL ? map->gamma : map->gammas[c];
    const double weight = map->weights == NULL ? 1 : map->weights[c];
    /* p (-log p) / q */
    const double ratio = above ? (e.high > 0 ? small.high / e.high : 1) : e.high * large.high;
    const double bracket = map->detached ? 1 : 1 + gamma * ratio;
    const struct point point = {above ? small : large, above ? large : small, {0, 0}};
    const struct pair power = product_of(gamma, point.minus_log_q);
    const struct pair minus_log_factor =
        sum_of(minus_log_of(pair_of(bracket)), minus_log_of(pair_of(weight)));
    const struct pair log_share = sum_of(difference_of(power, point.minus_log_p), minus_log_factor);
    return (struct point){point.minus_log_p, point.minus_log_q, log_share};
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
    double largest;
    bool is_nan;
    struct pair all;       /* the sum of exp(x_c - largest) */
    struct pair top_share; /* log_share of that class */
};

/* Reads the next classes of a row; returns how many. */
OUT_OF_LINE size_t read_part(const struct row *row, size_t at, double *numbers) {
    const struct softmax_call *const call = row->call;
    const size_t left = call->map.classes - at;
    const size_t n = left < CHUNK ? left : CHUNK;
    call->kernels->read(call->dtype, call->logits, (ptrdiff_t)(row->first + at), 1, n, numbers);
    return n;
}

/* Finds the largest logit; returns the second largest. */
static double find_top(struct row *row, double *numbers) {
    double second = -(double)INFINITY;
    row->largest = -(double)INFINITY;
    for (size_t at = 0; at < row->call->map.classes; at += CHUNK) {
        const size_t n = read_part(row, at, numbers);
        for (size_t i = 0; i < n; i++) {
            const double x = numbers[i];
            row->is_nan = row->is_nan || x != x;
            if (x > row->largest) {
                second = row->largest;
                row->largest = x;
                row->top = at + i;
            } else if (x > second) {
                second = x;
            }
        }
    }
    row->is_nan = row->is_nan || row->largest < -DBL_MAX || second > DBL_MAX;
    return second;
}

/* largest - x, bounded: infinite logits have no exact sums. */
OUT_OF_LINE struct pair distance_of(const struct row *row, double x) {
    return x >= row->largest - CALIBRATION_LOGIT_MAX ? exact_sum(row->largest, -x)
                                                     : pair_of(CALIBRATION_LOGIT_MAX);
}

/* What rests on the sum over all classes but the top, of which the largest is `second`: to that the
 * sum is relative, since it may be too small for a double. */
static void prepare_top(struct row *row, double second, double *numbers) {
    const size_t classes = row->call->map.classes;
    const struct pair gap = distance_of(row, second);
    struct pair rest = {0, 0};
    for (size_t at = 0; at < classes; at += CHUNK) {
        const size_t n = read_part(row, at, numbers);
        for (size_t i = 0; i < n; i++) {
            if (at + i != row->top) {
                const struct pair below = difference_of(distance_of(row, numbers[i]), gap);
                rest = sum_of(rest, exp_of(below));
            }
        }
    }
    const struct pair margin = sum_of(gap, classes > 1 ? minus_log_of(rest) : gap);
    row->all = sum_of(pair_of(1), product_of(exp_of(gap).high, rest));
    row->top_share = point_of(&row->call->map, row->top, margin).log_share;
}

/* p_c / v_c over that of the top, lifted, in the place of logits. */
static void make_terms(const struct row *row, size_t at, size_t n, double *numbers) {
    for (size_t i = 0; i < n; i++) {
        struct pair log_share = row->top_share;
        if (at + i != row->top) {
            const struct pair distance = distance_of(row, numbers[i]);
            const struct pair rest = difference_of(row->all, exp_of(distance));
            const struct pair margin = difference_of(minus_log_of(rest), distance);
            log_share = point_of(&row->call->map, at + i, margin).log_share;
        }
        numbers[i] = lifted_exp_of(difference_of(row->top_share, log_share));
    }
}

static void calibrate_row(struct row *row) {
    const struct softmax_call *const call = row->call;
    const size_t classes = call->map.classes;
    double numbers[CHUNK] = {0};
    struct pair total = {0, 0};
    const double second = find_top(row, numbers);
    if (!row->is_nan) {
        prepare_top(row, second, numbers);
        for (size_t at = 0; at < classes; at += CHUNK) {
            const size_t n = read_part(row, at, numbers);
            make_terms(row, at, n, numbers);
            for (size_t i = 0; i < n; i++) {
                total = sum_of(total, pair_of(numbers[i]));
            }
        }
    }
    for (size_t at = 0; at < classes; at += CHUNK) {
        size_t n = classes;
        if (classes > CHUNK) { /* else the terms are there */
            n = read_part(row, at, numbers);
            make_terms(row, at, n, numbers);
        }
        for (size_t i = 0; i < n; i++) {
            numbers[i] =
                row->is_nan ? (double)NAN : numbers[i] / (total.high * REAL_DROP) * REAL_DROP;
        }
        call->kernels->write(call->dtype, call->probabilities, (ptrdiff_t)(row->first + at), 1, n,
                             numbers);
    }
}

static void softmax_segment(void *context, size_t index, size_t first, size_t n) {
    const struct softmax_call *const call = context;
    (void)index;
    for (size_t sample = first; sample < first + n; sample++) {
        struct row row = {.call = call, .first = sample * call->map.classes};
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

/* Half of what is left of the margins, on the side where the root is. */
struct halving {
    double low, high;
};

static double middle_of(const struct halving *halving) {
    return halving->low + (halving->high - halving->low) / 2;
}

static void halve(struct halving *halving, bool below) {
    *(below ? &halving->high : &halving->low) = middle_of(halving);
}

static const struct halving all_margins = {-CALIBRATION_LOGIT_MAX, CALIBRATION_LOGIT_MAX};

/* log p of the class whose log_share is this. */
KERNEL_RARE double log_p_of(const struct softmax_map *map, size_t c, struct pair log_share) {
    struct halving halving = all_margins;
    for (int i = 0; i < HALVINGS; i++) {
        const struct point point = point_of(map, c, pair_of(middle_of(&halving)));
        halve(&halving, difference_of(point.log_share, log_share).high >= 0);
    }
    return -point_of(map, c, pair_of(halving.low)).minus_log_p.high;
}

/* The logits of all classes if that of one has this margin; whether those of the others take more
 * than it leaves them (then not all have been written). */
KERNEL_RARE bool take_too_much(const struct softmax_map *map, const double *frequencies, size_t own,
                               double margin, double *logits) {
    const struct point point = point_of(map, own, pair_of(margin));
    const struct pair of_own = pair_of(frequencies[own]);
    struct pair sum = {0, 0};
    for (size_t c = 0; c < map->classes; c++) {
        if (c != own) {
            const struct pair ratio = log_ratio(pair_of(frequencies[c]), of_own);
            logits[c] = log_p_of(map, c, sum_of(point.log_share, ratio));
            const double above = logits[c] + point.minus_log_q.high;
            if (above > 0) {
                return true;
            }
            sum = sum_of(sum, exp_of(pair_of(-above)));
            if (sum.high > 1) {
                return true;
            }
        }
    }
    logits[own] = -point.minus_log_p.high;
    return false;
}

static size_t largest_of(const double *numbers, size_t n) {
    size_t largest = 0;
    for (size_t c = 1; c < n; c++) {
        largest = numbers[c] > numbers[largest] ? c : largest;
    }
    return largest;
}

/* The shares rise with the margin, and so does what they leave over.  The margin is that of the
 * class with the largest p, whose q has all its digits then; which one that is, the first of two
 * roots may have to find out. */
fghm_status fghm_focal_best_constant_softmax(const fghm_focal *focal, size_t classes,
                                             const double *frequencies, const double *class_gamma,
                                             const double *class_weights, double *logits) {
    struct softmax_map map = {.classes = classes, .gammas = class_gamma, .weights = class_weights};
    const struct softmax_arrays arrays = {1, sizeof(double), frequencies, logits, false};
    FGHM_TRY(check_softmax(focal, &arrays, &map));
    FGHM_REQUIRE(are_in(frequencies, classes, REAL_SMALLEST, DBL_MAX), FGHM_ERROR_RANGE);
    size_t top = largest_of(frequencies, classes);
    for (int i = 0; i < 2; i++) {
        const size_t own = top;
        struct halving halving = all_margins;
        for (int k = 0; k < HALVINGS; k++) {
            const double margin = middle_of(&halving);
            halve(&halving, take_too_much(&map, frequencies, own, margin, logits));
        }
        take_too_much(&map, frequencies, own, halving.low, logits);
        top = largest_of(logits, classes);
        if (top == own) {
            break;
        }
    }
    return FGHM_OK;
}
