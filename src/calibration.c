/* SPDX-License-Identifier: MIT */
/* What a focal loss does to probabilities: which logit is best where the true probability
 * is eta, and which eta a logit is best for.
 *
 * x is the best logit where the log-odds of eta are
 *
 *     D(x) = log(dFL/dx(x, 0) / -dFL/dx(x, 1)).
 *
 * With a = |x|, e = exp(-a), S = log1p(e), gamma of the label that x speaks for, and other for
 * that of the other one, all large terms but one cancel on paper:
 *
 *     |D| = (1 + gamma) a + (gamma - other) S
 *           + log1p(other e (a + S)) - log1p(gamma S / e)
 *
 * and alpha adds log((1 - alpha) / alpha).  In pairs this has an absolute error of a few
 * 2^-53 for every x and gamma, which is then the relative error of eta. */

#define FGHM_REAL_BITS 64
#include "vec/vec_scalar.h"

#include "check.h"
#include "drive.h"
#include "focal_handle.h"
#include "kernels/math_kernel.h"
#include "range.h"

/* Log-odds beyond these are those of 0 and 1, for every handle: alpha adds less than 40, and
 * the terms with gamma take away less than 50. */
#define LOGIT_MAX 2048.0
/* The same where gamma, at least 2^-10, is a factor. */
#define LOGIT_MAX_STAR 0x1p30

/* What is the same for all logits of a call. */
struct map {
    double gamma, negative_gamma;
    bool star;
    struct pair offset; /* log((1 - alpha) / alpha) */
};

static struct pair pair_of(double x) {
    return (struct pair){x, 0};
}

static struct pair negative_if(bool negative, struct pair a) {
    return negative ? (struct pair){-a.high, -a.low} : a;
}

/* log(a / b) */
static struct pair log_ratio(struct pair a, struct pair b) {
    return pair_sum(minus_log_pair(b), negative_if(true, minus_log_pair(a)));
}

static struct map map_of(const fghm_focal *focal) {
    struct map map = {
        .gamma = focal->gamma,
        .negative_gamma = fghm_focal_negative_gamma(focal),
        .star = focal->rule == FGHM_FOCAL_RULE_STAR,
    };
    if (focal->alpha_enabled && focal->alpha > 0 && focal->alpha < 1) {
        map.offset = log_ratio(exact_sum(1, -focal->alpha), pair_of(focal->alpha));
    }
    return map;
}

/* log1p(u) for u >= 0. */
static struct pair log1p_of(double u) {
    return negative_if(true, minus_log_pair(exact_sum(1, u)));
}

/* |D| without alpha, for a = |x|. */
static struct pair odds_of_magnitude(double a, double gamma, double other) {
    const struct exponential x = exp_minus(a);
    const double e = x.power + x.remainder;
    const struct pair s = log1p_pair(exponential_pair(x));
    const double s_over_e = v_muladd(e, log1p_tail(e, e * e, -0.5), 1);
    const struct pair linear = pair_product(exact_sum(1, gamma), pair_of(a));
    const struct pair between = pair_product(exact_sum(gamma, -other), s);
    const struct pair gained = log1p_of(other * (e * (a + s.high)));
    const struct pair lost = log1p_of(gamma * s_over_e);
    return pair_sum(pair_sum(linear, between), pair_sum(gained, negative_if(true, lost)));
}

/* D(x) */
static struct pair log_odds(const struct map *map, double x) {
    const double most = map->star ? LOGIT_MAX_STAR : LOGIT_MAX;
    const double a = v_min(most, v_abs(x));
    const bool negative = x < 0;
    const double gamma = negative ? map->negative_gamma : map->gamma;
    const double other = negative ? map->gamma : map->negative_gamma;
    const struct pair odds =
        map->star ? pair_product(pair_of(gamma), pair_of(a)) : odds_of_magnitude(a, gamma, other);
    return pair_sum(negative_if(negative, odds), map->offset);
}

static double sigmoid_of(struct pair x) {
    const bool negative = x.high < 0;
    const struct exponential e = exp_minus_pair(negative_if(negative, x));
    const double larger = reciprocal_1p(e);
    return negative ? (e.power + e.remainder) * larger : larger;
}

/* Whether positives or negatives have no weight: then one answer is best everywhere. */
static bool is_one_sided(const fghm_focal *focal) {
    return focal->alpha_enabled && (focal->alpha <= 0 || focal->alpha >= 1);
}

/* D rises with x, so the root is found by halving. */
fghm_status fghm_focal_best_constant(const fghm_focal *focal, double positives, double negatives,
                                     double *logit) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(logit != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(positives > 0 && positives <= DBL_MAX && negatives > 0 && negatives <= DBL_MAX,
                 FGHM_ERROR_RANGE);
    const fghm_status status = fghm_focal_check_rule(focal);
    FGHM_REQUIRE(status == FGHM_OK, status);
    FGHM_REQUIRE(!is_one_sided(focal), FGHM_ERROR_COMBINATION);
    const struct map map = map_of(focal);
    const struct pair wanted = log_ratio(pair_of(positives), pair_of(negatives));
    if (map.star) {
        *logit = pair_sum(wanted, negative_if(true, map.offset)).high / map.gamma;
        return FGHM_OK;
    }
    double low = -LOGIT_MAX;
    double high = LOGIT_MAX;
    for (double middle = 0; low < middle && middle < high; middle = low + (high - low) / 2) {
        const struct pair above = pair_sum(log_odds(&map, middle), negative_if(true, wanted));
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
    struct map map;
    const void *logits;
    void *probabilities;
};

static double calibrated(const struct call *call, double x) {
    if (x != x) {
        return x;
    }
    return is_one_sided(call->focal) ? 1 - call->focal->alpha : sigmoid_of(log_odds(&call->map, x));
}

static void segment_f32(void *context, size_t segment, size_t first, size_t n) {
    const struct call *const call = context;
    const float *const logits = (const float *)call->logits + first;
    float *const probabilities = (float *)call->probabilities + first;
    (void)segment;
    for (size_t i = 0; i < n; i++) {
        probabilities[i] = (float)calibrated(call, (double)logits[i]);
    }
}

static void segment_f64(void *context, size_t segment, size_t first, size_t n) {
    const struct call *const call = context;
    const double *const logits = (const double *)call->logits + first;
    double *const probabilities = (double *)call->probabilities + first;
    (void)segment;
    for (size_t i = 0; i < n; i++) {
        probabilities[i] = calibrated(call, logits[i]);
    }
}

static fghm_status calibrate(const fghm_focal *focal, fghm_pool *pool, size_t n, size_t real_size,
                             fghm_range_work *work, const void *logits, void *probabilities) {
    FGHM_REQUIRE(focal != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = fghm_focal_check_rule(focal);
    FGHM_REQUIRE(status == FGHM_OK, status);
    FGHM_REQUIRE(n == 0 || (logits != NULL && probabilities != NULL), FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(n <= PTRDIFF_MAX / real_size, FGHM_ERROR_SIZE);
    FGHM_REQUIRE(logits == probabilities ||
                     !fghm_ranges_meet(fghm_range_of(logits, n * real_size),
                                       fghm_range_of(probabilities, n * real_size)),
                 FGHM_ERROR_ALIASING);
    struct call call = {focal, map_of(focal), logits, probabilities};
    fghm_drive_range(pool, n, 1, work, &call);
    return FGHM_OK;
}

fghm_status fghm_focal_calibrate_f32(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                     const float *logits, float *probabilities) {
    return calibrate(focal, pool, n, sizeof *logits, segment_f32, logits, probabilities);
}

fghm_status fghm_focal_calibrate_f64(const fghm_focal *focal, fghm_pool *pool, size_t n,
                                     const double *logits, double *probabilities) {
    return calibrate(focal, pool, n, sizeof *logits, segment_f64, logits, probabilities);
}
