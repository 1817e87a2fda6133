/* SPDX-License-Identifier: MIT */

/* fghm_focal_f32 over every float, for gamma 0, 1/2, 1 and 2, both targets and alpha 0.25,
 * against formulas in double that cancel nowhere but at the Hessian's roots, where it is
 * measured by the sum of its terms' magnitudes.  Takes minutes, so that it is a test of
 * its own configuration: ctest -C exhaustive -L exhaustive.
 *
 *     exhaustive [THREADS]
 */

#include <focalghm/focalghm.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHA 0.25
#define BOUND 8.0
#define HESSIAN_BOUND 12.0 /* of the sum of its terms' magnitudes */
#define BLOCK 4096u
#define MAGNITUDES UINT32_C(0x80000000) /* a float without its sign */
#define INFINITE UINT32_C(0x7f800000)
#define PROGRESS 32u
#define THREADS_MAX 64

static const double gammas[] = {0.0, 0.5, 1.0, 2.0};
#define GAMMAS 4

enum { LOSS, GRADIENT, HESSIAN, OUTPUTS };
static const char *const output_names[OUTPUTS] = {"loss", "gradient", "hessian"};

/* The largest error of an output, and where it was. */
struct worst {
    double error;
    float logit;
    int target;
};

/* Normal and subnormal true values (for the Hessian: scales) apart. */
struct maxima {
    struct worst normal[GAMMAS][OUTPUTS], subnormal[GAMMAS][OUTPUTS];
    uint64_t wrong_limits;
};

/* The true results for margin z before a_t; z is the logit for target 1 and minus the
 * logit for target 0, gradient that for target 0. */
struct truth {
    double value[OUTPUTS];
    double hessian_scale;
};

/* e = exp(-|z|) and log1p(e), from which all else comes. */
static struct truth truth(double gamma, double magnitude, bool easy, double e, double log_e) {
    const double large = 1.0 / (1.0 + e), small = e * large;
    const double p = easy ? large : small, q = easy ? small : large;
    const double loss = easy ? log_e : magnitude + log_e;
    const double factor = gamma == 0.0 ? 1.0 : gamma == 0.5 ? sqrt(q) : gamma == 1.0 ? q : q * q;
    const double bracket = 2.0 * q - (1.0 - (1.0 + gamma) * p) * loss;
    const double magnitudes = 2.0 * q + (fabs(q - p) + fabs(gamma - 1.0) * p) * loss;
    return (struct truth){
        .value = {factor * loss, factor * (q + gamma * p * loss),
                  factor * (p * q + gamma * p * bracket)},
        .hessian_scale = factor * (p * q + gamma * p * magnitudes),
    };
}

/* 1 / ulp of float at x >= 0, where the smallest subnormal number is the least ulp. */
static double ulps_per_unit(double x) {
    uint64_t bits;
    double result;
    if (x < 0x1p-126) {
        return 0x1p149;
    }
    memcpy(&bits, &x, sizeof bits);
    bits = (2 * UINT64_C(1023) + 23 - (bits >> 52)) << 52;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static void measure(struct maxima *maxima, int g, int output, float got, double want, double scale,
                    float logit, int target) {
    const double error = fabs((double)got - want) * ulps_per_unit(scale);
    struct worst *const worst =
        scale < 0x1p-126 ? &maxima->subnormal[g][output] : &maxima->normal[g][output];
    if (!(error <= worst->error)) {
        *worst = (struct worst){isnan(error) ? INFINITY : error, logit, target};
    }
}

/* A block of logits of one sign and one target, and their results. */
struct block {
    float logits[BLOCK], targets[BLOCK];
    float out[OUTPUTS][BLOCK];
};

static fghm_status compute(const fghm_focal *focal, struct block *b) {
    return fghm_focal_f32(focal, NULL, BLOCK, b->logits, b->targets, NULL, NULL, b->out[LOSS],
                          b->out[GRADIENT], b->out[HESSIAN]);
}

/* Infinities and NaN: z = +inf gives 0, z = -inf the loss +inf and the gradient a_t. */
static bool is_limit(const struct block *b, unsigned i, bool easy, int target) {
    const float *const out[] = {b->out[LOSS], b->out[GRADIENT], b->out[HESSIAN]};
    const float alpha = target ? -(float)ALPHA : (float)(1.0 - ALPHA);
    if (isnan(b->logits[i])) {
        return isnan(out[LOSS][i]) && isnan(out[GRADIENT][i]) && isnan(out[HESSIAN][i]);
    }
    return out[LOSS][i] == (easy ? 0.0f : INFINITY) && out[GRADIENT][i] == (easy ? 0.0f : alpha) &&
           out[HESSIAN][i] == 0.0f;
}

static void check_block(struct maxima *maxima, fghm_focal *const focal[GAMMAS], uint32_t first) {
    static _Thread_local double e[BLOCK], log_e[BLOCK];
    static _Thread_local struct block b;
    for (unsigned i = 0; i < BLOCK; i++) {
        const uint32_t bits = first + i;
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        b.logits[i] = magnitude;
        e[i] = exp(-(double)magnitude);
        log_e[i] = log1p(e[i]);
    }
    for (int side = 0; side < 2 * 2 * GAMMAS; side++) {
        const int g = side >> 2, target = side & 1;
        const bool negative = side >> 1 & 1, easy = negative != (target == 1);
        const double alpha = target ? ALPHA : 1.0 - ALPHA;
        for (unsigned i = 0; i < BLOCK; i++) {
            b.logits[i] = copysignf(b.logits[i], negative ? -1.0f : 1.0f);
            b.targets[i] = (float)target;
        }
        if (compute(focal[g], &b) != FGHM_OK) {
            maxima->wrong_limits++;
            return;
        }
        for (unsigned i = 0; i < BLOCK; i++) {
            if (first + i >= INFINITE) {
                maxima->wrong_limits += !is_limit(&b, i, easy, target);
                continue;
            }
            const double magnitude = fabs((double)b.logits[i]);
            const struct truth t = truth(gammas[g], magnitude, easy, e[i], log_e[i]);
            for (int o = 0; o < OUTPUTS; o++) {
                const double sign = o == GRADIENT && target ? -alpha : alpha;
                const double scale = o == HESSIAN ? t.hessian_scale : t.value[o];
                measure(maxima, g, o, b.out[o][i], sign * t.value[o], alpha * scale, b.logits[i],
                        target);
            }
        }
    }
}

/* Threads take blocks of magnitudes from a common counter. */
struct worker {
    pthread_t thread;
    struct maxima maxima;
    bool failed;
};

static atomic_uint_least32_t next_block;

static void *work(void *context) {
    struct worker *const worker = context;
    fghm_focal *focal[GAMMAS] = {NULL};
    const uint32_t blocks = MAGNITUDES / BLOCK;
    for (int g = 0; g < GAMMAS; g++) {
        worker->failed |= fghm_focal_create(&focal[g]) != FGHM_OK ||
                          fghm_focal_set_gamma(focal[g], gammas[g]) != FGHM_OK ||
                          fghm_focal_set_alpha(focal[g], ALPHA) != FGHM_OK ||
                          fghm_focal_set_reduction(focal[g], FGHM_REDUCTION_SUM) != FGHM_OK;
    }
    for (uint32_t block; !worker->failed && (block = atomic_fetch_add(&next_block, 1)) < blocks;) {
        check_block(&worker->maxima, focal, block * BLOCK);
        if (block % (blocks / PROGRESS) == 0) {
            fprintf(stderr, "%u of %u\n", (unsigned)(block / (blocks / PROGRESS)), PROGRESS);
        }
    }
    for (int g = 0; g < GAMMAS; g++) {
        fghm_focal_destroy(focal[g]);
    }
    return NULL;
}

static void take_larger(struct worst *a, const struct worst *b) {
    if (b->error > a->error) {
        *a = *b;
    }
}

/* Prints a maximum; false if it is above the bound. */
static bool report(const struct worst *worst, int g, int output, const char *unit) {
    printf("gamma %g %-8s %.3f %s, at logit %a target %d\n", gammas[g], output_names[output],
           worst->error, unit, (double)worst->logit, worst->target);
    return worst->error <= (output == HESSIAN ? HESSIAN_BOUND : BOUND);
}

int main(int count, char **arguments) {
    static struct worker workers[THREADS_MAX];
    const int wanted = count > 1 ? atoi(arguments[1]) : 2;
    const int threads = wanted < 1 ? 1 : wanted > THREADS_MAX ? THREADS_MAX : wanted;
    struct maxima *const all = &workers[0].maxima;
    bool good = true;
    printf("exhaustive: isa %s, %d threads\n", fghm_isa_name(), threads);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            perror("pthread_create");
            return 1;
        }
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        good = good && !workers[i].failed;
        all->wrong_limits += i > 0 ? workers[i].maxima.wrong_limits : 0;
        for (int g = 0; g < GAMMAS; g++) {
            for (int o = 0; o < OUTPUTS; o++) {
                take_larger(&all->normal[g][o], &workers[i].maxima.normal[g][o]);
                take_larger(&all->subnormal[g][o], &workers[i].maxima.subnormal[g][o]);
            }
        }
    }
    for (int g = 0; g < GAMMAS; g++) {
        for (int o = 0; o < OUTPUTS; o++) {
            good &= report(&all->normal[g][o], g, o, o == HESSIAN ? "ulp of its terms" : "ulp");
            good &= report(&all->subnormal[g][o], g, o, "x 2^-149");
        }
    }
    printf("%llu wrong limits\n", (unsigned long long)all->wrong_limits);
    return good && all->wrong_limits == 0 ? 0 : 1;
}
