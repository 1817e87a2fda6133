/* SPDX-License-Identifier: MIT */
/* Probabilities of a model that was trained with a focal loss, and the constant that is best for
 * one; how, says calibration_kernel.h. */

#define FGHM_REAL_BITS 64
#include "vec/vec_scalar.h"

#include "check.h"
#include "dispatch.h"
#include "drive.h"
#include "focal_handle.h"
#include "kernels/calibration_kernel.h"
#include "kernels/span_walk.h"
#include "range.h"

static struct pair pair_difference(struct pair a, struct pair b) {
    return pair_sum(a, (struct pair){-b.high, -b.low});
}

/* log(a / b) */
static struct pair log_ratio(struct pair a, struct pair b) {
    return pair_difference(minus_log_pair(b), minus_log_pair(a));
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
static struct pair log_odds(const struct fghm_calibration *map, double x) {
    const double a = x < 0 ? -x : x;
    const double gamma = x < 0 ? map->negative_gamma : map->gamma;
    const double other = x < 0 ? map->gamma : map->negative_gamma;
    const struct magnitude_odds odds = odds_of_magnitude(map->detached, true, a, gamma, other);
    const struct pair ratio = log_ratio(pair_of(odds.divisor), pair_of(odds.factor));
    const struct pair magnitude = pair_sum(odds.exponent, ratio);
    const struct pair offset = {map->offset, map->offset_low};
    return pair_sum(pair_negated_where(x < 0, magnitude), offset);
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
        *logit =
            pair_difference(wanted, (struct pair){map.offset, map.offset_low}).high / map.gamma;
        return FGHM_OK;
    }
    double low = -CALIBRATION_LOGIT_MAX;
    double high = CALIBRATION_LOGIT_MAX;
    for (double middle = 0; low < middle && middle < high; middle = low + (high - low) / 2) {
        const struct pair above = pair_difference(log_odds(&map, middle), wanted);
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
