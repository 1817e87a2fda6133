/* SPDX-License-Identifier: MIT */

/* Every rule of fghm_focal_f32 over every float, for gamma 0, 1/2, 1 and 2 and both targets,
 * against formulas in double that cancel nowhere but at the Hessian's roots, where it is measured
 * by the sum of its terms' magnitudes.  Takes minutes, so that it is a test of its own
 * configuration: ctest -C exhaustive -L exhaustive.
 *
 *     exhaustive [THREADS [PART]]      PART: of each so many blocks of floats one
 */

#include <float.h>
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
#define MARGIN 0.0625
#define BLOCK 1024u
#define MAGNITUDES UINT32_C(0x80000000) /* a float without its sign */
#define INFINITE UINT32_C(0x7f800000)
#define PROGRESS 32u
#define THREADS_MAX 64

static const double gammas[] = {0.0, 0.5, 1.0, 2.0};
#define GAMMAS 4

enum { LOSS, GRADIENT, HESSIAN, OUTPUTS };
static const char *const output_names[OUTPUTS] = {"loss", "gradient", "hessian"};

/* Rules ---------------------------------------------------------------------------- */

/* What the results of a target are, as functions of the margin z, which is the logit for target 1
 * and minus the logit for target 0: the focal loss; the same with a factor that is not
 * differentiated; focal-star; and the two first ones of p - MARGIN, of target 0 alone. */
enum curve { FOCAL, DETACHED, STAR, SHIFTED, SHIFTED_DETACHED, CURVES };
enum exponent { GAMMA, NO_GAMMA, OTHER_GAMMA }; /* that of the handle, 0, or the next of gammas */

struct side {
    enum curve curve;
    enum exponent exponent;
    double factor;
    double bound; /* ulp; half as many again for Hessians */
};

struct rule {
    const char *name;
    fghm_focal_rule rule;
    bool detached, two_gammas, margin;
    struct side sides[2]; /* of target 0, of target 1 */
};

#define NEGATIVE (1 - ALPHA)
#define ALIKE(curve, negative, positive)                                                           \
    {                                                                                              \
        {curve, GAMMA, negative, 8}, {                                                             \
            curve, GAMMA, positive, 8                                                              \
        }                                                                                          \
    }
/* Positives have the cross-entropy, alpha is a factor of negatives. */
#define VARIFOCAL(curve)                                                                           \
    {                                                                                              \
        {curve, GAMMA, ALPHA, 10}, {                                                               \
            curve, NO_GAMMA, 1, 10                                                                 \
        }                                                                                          \
    }

static const struct rule rules[] = {
    {"linear", FGHM_FOCAL_RULE_LINEAR, false, false, false, ALIKE(FOCAL, NEGATIVE, ALPHA)},
    {"linear, detached", FGHM_FOCAL_RULE_LINEAR, true, false, false,
     ALIKE(DETACHED, NEGATIVE, ALPHA)},
    {"linear, two gammas",
     FGHM_FOCAL_RULE_LINEAR,
     false,
     true,
     false,
     {{FOCAL, OTHER_GAMMA, NEGATIVE, 10}, {FOCAL, GAMMA, ALPHA, 10}}},
    {"linear, two gammas, detached",
     FGHM_FOCAL_RULE_LINEAR,
     true,
     true,
     false,
     {{DETACHED, OTHER_GAMMA, NEGATIVE, 10}, {DETACHED, GAMMA, ALPHA, 10}}},
    {"linear, margin",
     FGHM_FOCAL_RULE_LINEAR,
     false,
     false,
     true,
     {{SHIFTED, GAMMA, NEGATIVE, 10}, {FOCAL, GAMMA, ALPHA, 10}}},
    {"linear, margin, detached",
     FGHM_FOCAL_RULE_LINEAR,
     true,
     false,
     true,
     {{SHIFTED_DETACHED, GAMMA, NEGATIVE, 10}, {DETACHED, GAMMA, ALPHA, 10}}},
    {"split", FGHM_FOCAL_RULE_SPLIT, false, false, false, ALIKE(FOCAL, NEGATIVE, ALPHA)},
    {"split, detached", FGHM_FOCAL_RULE_SPLIT, true, false, false,
     ALIKE(DETACHED, NEGATIVE, ALPHA)},
    {"quality", FGHM_FOCAL_RULE_QUALITY, false, false, false, ALIKE(FOCAL, NEGATIVE, ALPHA)},
    {"quality, detached", FGHM_FOCAL_RULE_QUALITY, true, false, false,
     ALIKE(DETACHED, NEGATIVE, ALPHA)},
    {"star", FGHM_FOCAL_RULE_STAR, false, false, false, ALIKE(STAR, NEGATIVE, ALPHA)},
    {"varifocal", FGHM_FOCAL_RULE_VARIFOCAL, false, false, false, VARIFOCAL(FOCAL)},
    {"varifocal, detached", FGHM_FOCAL_RULE_VARIFOCAL, true, false, false, VARIFOCAL(DETACHED)},
    {"varifocal, unweighted", FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED, false, false, false,
     VARIFOCAL(FOCAL)},
    {"varifocal, unweighted, detached", FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED, true, false, false,
     VARIFOCAL(DETACHED)},
    {"matchability", FGHM_FOCAL_RULE_MATCHABILITY, false, false, false, VARIFOCAL(FOCAL)},
    {"matchability, detached", FGHM_FOCAL_RULE_MATCHABILITY, true, false, false,
     VARIFOCAL(DETACHED)},
    {"heatmap", FGHM_FOCAL_RULE_HEATMAP, false, false, false, ALIKE(FOCAL, 1, 1)},
    {"heatmap, detached", FGHM_FOCAL_RULE_HEATMAP, true, false, false, ALIKE(DETACHED, 1, 1)},
};
#define RULES ((int)(sizeof rules / sizeof rules[0]))

static bool same_side(const struct side *a, const struct side *b) {
    return a->curve == b->curve && a->exponent == b->exponent && a->factor == b->factor;
}

static bool is_shifted(const struct side *side) {
    return side->curve == SHIFTED || side->curve == SHIFTED_DETACHED;
}

static int gamma_of(const struct side *side, int g) {
    return side->exponent == GAMMA ? g : side->exponent == NO_GAMMA ? 0 : (g + 1) % GAMMAS;
}

/* focal-star has no gamma of 0. */
static bool has_gamma(const struct rule *rule, int g) {
    return rule->rule != FGHM_FOCAL_RULE_STAR || gammas[g] > 0;
}

static fghm_focal *make(const struct rule *rule, int g) {
    fghm_focal *focal = NULL;
    const bool made = fghm_focal_create(&focal) == FGHM_OK &&
                      fghm_focal_set_rule(focal, rule->rule) == FGHM_OK &&
                      fghm_focal_set_gamma(focal, gammas[g]) == FGHM_OK &&
                      fghm_focal_set_alpha(focal, ALPHA) == FGHM_OK &&
                      fghm_focal_set_detached(focal, rule->detached) == FGHM_OK &&
                      fghm_focal_set_margin(focal, rule->margin ? MARGIN : 0) == FGHM_OK &&
                      fghm_focal_set_reduction(focal, FGHM_REDUCTION_SUM) == FGHM_OK &&
                      (!rule->two_gammas ||
                       fghm_focal_set_negative_gamma(focal, gammas[(g + 1) % GAMMAS]) == FGHM_OK);
    if (!made) {
        fghm_focal_destroy(focal);
        return NULL;
    }
    return focal;
}

/* The truth ------------------------------------------------------------------------ */

/* The results of a curve without the factor for a block of margins, gradient that for target 0; and
 * the sum of the magnitudes of the Hessian's terms. */
struct truth {
    double value[OUTPUTS][BLOCK];
    double hessian_scale[BLOCK];
};

static void put(struct truth *truth, unsigned i, double loss, double gradient, double hessian,
                double hessian_scale) {
    truth->value[LOSS][i] = loss;
    truth->value[GRADIENT][i] = gradient;
    truth->value[HESSIAN][i] = hessian;
    truth->hessian_scale[i] = hessian_scale;
}

static double power(double x, double gamma) {
    return gamma == 0 ? 1 : gamma == 0.5 ? sqrt(x) : gamma == 1 ? x : x * x;
}

/* |z|, exp(-|z|) and log1p of it, from which all else comes; easy: z is positive. */
struct margin {
    double magnitude, e, log_e;
    bool easy;
};

static void focal_truth(struct truth truths[CURVES], unsigned i, const struct margin *z,
                        double gamma) {
    const double large = 1 / (1 + z->e), small = z->e * large;
    const double p = z->easy ? large : small, q = z->easy ? small : large;
    const double loss = z->easy ? z->log_e : z->magnitude + z->log_e;
    const double factor = power(q, gamma);
    const double bracket = 2 * q - (1 - (1 + gamma) * p) * loss;
    const double magnitudes = 2 * q + (fabs(q - p) + fabs(gamma - 1) * p) * loss;
    put(&truths[FOCAL], i, factor * loss, factor * (q + gamma * p * loss),
        factor * (p * q + gamma * p * bracket), factor * (p * q + gamma * p * magnitudes));
    put(&truths[DETACHED], i, factor * loss, factor * q, factor * p * q, factor * p * q);
}

/* gamma x is at most the largest number of the type. */
static void star_truth(struct truth truths[CURVES], unsigned i, const struct margin *z,
                       double gamma) {
    const double magnitude = fmin(gamma * z->magnitude, FLT_MAX);
    const double e = gamma == 1 ? z->e : exp(-magnitude);
    const double log_e = gamma == 1 ? z->log_e : log1p(e);
    const double large = 1 / (1 + e), small = e * large;
    const double hessian = gamma * large * small;
    put(&truths[STAR], i, (z->easy ? log_e : magnitude + log_e) / gamma, z->easy ? small : large,
        hessian, hessian);
}

/* Of target 0: q of this z is the probability p there. */
static void shifted_truth(struct truth truths[CURVES], unsigned i, const struct margin *z,
                          double gamma) {
    const double large = 1 / (1 + z->e), small = z->e * large;
    const double p = z->easy ? small : large, q = z->easy ? large : small;
    const double p_m = p - MARGIN;
    if (!(p_m > 0)) {
        put(&truths[SHIFTED], i, 0, 0, 0, 0);
        put(&truths[SHIFTED_DETACHED], i, 0, 0, 0, 0);
        return;
    }
    const double factor = power(p_m, gamma), loss = -log1p(-p_m);
    const double r = q / (q + MARGIN), s = p * q / p_m;
    const double own = p * r * (q * r + (1 - r) * (q - p));
    const double own_scale = p * r * (q * r + (1 - r) * fabs(q - p));
    const double more = gamma * s * (2 * p * r + (q - p + (gamma - 1) * s) * loss);
    const double more_scale = gamma * s * (2 * p * r + (fabs(q - p) + fabs(gamma - 1) * s) * loss);
    put(&truths[SHIFTED], i, factor * loss, factor * (p * r + gamma * s * loss),
        factor * (own + more), factor * (own_scale + more_scale));
    put(&truths[SHIFTED_DETACHED], i, factor * loss, factor * p * r, factor * own,
        factor * own_scale);
}

/* Measuring ------------------------------------------------------------------------ */

/* The largest error of an output, and where it was. */
struct worst {
    double error;
    float logit;
};

/* Of each rule, gamma, target and output; [1]: of true values (Hessians: scales) that are
 * subnormal. */
struct maxima {
    struct worst worst[RULES][GAMMAS][2][OUTPUTS][2];
    uint64_t wrong_limits;
};

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

/* One block of logits of one sign, and the results of every rule for one target. */
struct block {
    float logits[BLOCK], targets[BLOCK];
    float out[RULES][OUTPUTS][BLOCK];
};

static void measure(struct worst worst[2], const float *got, const double *value,
                    const double *scales, double factor, double sign, const float *logits) {
    for (unsigned i = 0; i < BLOCK; i++) {
        const double scale = factor * scales[i];
        const double error = fabs((double)got[i] - sign * factor * value[i]) * ulps_per_unit(scale);
        struct worst *const to = &worst[scale < 0x1p-126];
        if (!(error <= to->error)) {
            *to = (struct worst){isnan(error) ? INFINITY : error, logits[i]};
        }
    }
}

/* Infinities and NaN: z = +inf gives 0, z = -inf the loss +inf and the gradient's limit; but of a
 * shifted probability the loss has a limit, and the gradient is 0. */
static bool is_limit(const struct side *side, float (*const out)[BLOCK], unsigned i, float logit,
                     bool easy, double sign, double gamma) {
    const float loss = out[LOSS][i], gradient = out[GRADIENT][i], hessian = out[HESSIAN][i];
    if (isnan(logit)) {
        return isnan(loss) && isnan(gradient) && isnan(hessian);
    }
    if (easy) {
        return loss == 0 && gradient == 0 && hessian == 0;
    }
    if (is_shifted(side)) {
        const double limit = side->factor * power(1 - MARGIN, gamma) * -log(MARGIN);
        return fabs(loss - limit) <= 10 * 0x1p-24 * 2 * limit && gradient == 0 && hessian == 0;
    }
    return loss == INFINITY && gradient == (float)(sign * side->factor) && hessian == 0;
}

static void check_side(struct maxima *maxima, const struct block *block, int r, int g, int target,
                       bool easy, const struct truth *truth) {
    const struct side *const side = &rules[r].sides[target];
    const double sign = target ? -1 : 1;
    uint32_t first;
    memcpy(&first, block->logits, sizeof first);
    if ((first & INT32_MAX) >= INFINITE) {
        for (unsigned i = 0; i < BLOCK; i++) {
            maxima->wrong_limits += !is_limit(side, (float(*)[BLOCK])(uintptr_t)block->out[r], i,
                                              block->logits[i], easy, sign, gammas[g]);
        }
        return;
    }
    /* Results with the bits of another rule's that has the same truth are as good. */
    for (int other = 0; other < r; other++) {
        if (same_side(side, &rules[other].sides[target]) && has_gamma(&rules[other], g) &&
            memcmp(block->out[r], block->out[other], sizeof block->out[r]) == 0) {
            return;
        }
    }
    for (int o = 0; o < OUTPUTS; o++) {
        measure(maxima->worst[r][g][target][o], block->out[r][o], truth->value[o],
                o == HESSIAN ? truth->hessian_scale : truth->value[o], side->factor,
                o == GRADIENT ? sign : 1, block->logits);
    }
}

/* Threads take blocks of magnitudes from a common counter. */
struct worker {
    pthread_t thread;
    fghm_focal *focal[RULES][GAMMAS];
    struct margin margins[BLOCK];
    struct truth truths[GAMMAS][CURVES];
    struct block block;
    struct maxima maxima;
    bool failed;
};

static void make_truths(struct worker *worker, bool easy) {
    for (int g = 0; g < GAMMAS; g++) {
        struct truth *const truths = worker->truths[g];
        for (unsigned i = 0; i < BLOCK; i++) {
            struct margin *const z = &worker->margins[i];
            z->easy = easy;
            focal_truth(truths, i, z, gammas[g]);
            shifted_truth(truths, i, z, gammas[g]);
            if (gammas[g] > 0) {
                star_truth(truths, i, z, gammas[g]);
            }
        }
    }
}

static void check_block(struct worker *worker, uint32_t first) {
    struct block *const block = &worker->block;
    for (unsigned i = 0; i < BLOCK; i++) {
        const uint32_t bits = first + i;
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        const double e = exp(-(double)magnitude);
        worker->margins[i] = (struct margin){(double)magnitude, e, log1p(e), false};
    }
    for (int easy = 0; easy < 2; easy++) {
        if (first < INFINITE) {
            make_truths(worker, easy);
        }
        for (int target = 0; target < 2; target++) {
            for (unsigned i = 0; i < BLOCK; i++) {
                block->targets[i] = (float)target;
                block->logits[i] =
                    copysignf((float)worker->margins[i].magnitude, easy == target ? 1.0f : -1.0f);
            }
            for (int g = 0; g < GAMMAS; g++) {
                for (int r = 0; r < RULES; r++) {
                    if (!has_gamma(&rules[r], g)) {
                        continue;
                    }
                    float(*const out)[BLOCK] = block->out[r];
                    worker->failed |=
                        fghm_focal_f32(worker->focal[r][g], NULL, BLOCK, block->logits,
                                       block->targets, NULL, NULL, out[LOSS], out[GRADIENT],
                                       out[HESSIAN]) != FGHM_OK;
                    const struct side *const side = &rules[r].sides[target];
                    check_side(&worker->maxima, block, r, g, target, easy,
                               &worker->truths[gamma_of(side, g)][side->curve]);
                }
            }
        }
    }
}

static atomic_uint_least32_t next_block;
static uint32_t part = 1;

static void *work(void *context) {
    struct worker *const worker = context;
    const uint32_t blocks = MAGNITUDES / BLOCK / part;
    const uint32_t step = blocks < PROGRESS ? 1 : blocks / PROGRESS;
    for (int r = 0; r < RULES; r++) {
        for (int g = 0; g < GAMMAS; g++) {
            worker->focal[r][g] = make(&rules[r], g);
            worker->failed |= worker->focal[r][g] == NULL;
        }
    }
    for (uint32_t block; !worker->failed && (block = atomic_fetch_add(&next_block, 1)) < blocks;) {
        check_block(worker, block * part * BLOCK);
        if (block % step == 0) {
            fprintf(stderr, "%u of %u\n", (unsigned)(block / step), (unsigned)(blocks / step));
        }
    }
    for (int r = 0; r < RULES; r++) {
        for (int g = 0; g < GAMMAS; g++) {
            fghm_focal_destroy(worker->focal[r][g]);
        }
    }
    return NULL;
}

/* Results ---------------------------------------------------------------------------- */

static void take_larger(struct maxima *a, const struct maxima *b) {
    struct worst *const to = &a->worst[0][0][0][0][0];
    const struct worst *const from = &b->worst[0][0][0][0][0];
    for (size_t k = 0; k < sizeof a->worst / sizeof *to; k++) {
        to[k] = from[k].error > to[k].error ? from[k] : to[k];
    }
    a->wrong_limits += b->wrong_limits;
}

/* In ulp, or in units of the smallest subnormal number. */
static double bound_of(const struct side *side, int g, int output, bool subnormal) {
    if (subnormal) {
        return is_shifted(side) ? 8 * (1 + gammas[g]) / MARGIN : 8;
    }
    const double bound = side->bound + (is_shifted(side) ? 6 * gammas[g] : 0);
    return output == HESSIAN ? 1.5 * bound : bound;
}

/* Prints a line of maxima; false if one is above its bound. */
static bool report(struct worst worst[OUTPUTS][2], int r, int g, int target) {
    bool good = true, measured = false;
    for (int o = 0; o < OUTPUTS; o++) {
        measured = measured || worst[o][0].error > 0;
    }
    if (!measured) {
        printf("%-31s gamma %-3g target %d   the bits of another rule\n", rules[r].name, gammas[g],
               target);
        return true;
    }
    printf("%-31s gamma %-3g target %d ", rules[r].name, gammas[g], target);
    for (int o = 0; o < OUTPUTS; o++) {
        for (int subnormal = 0; subnormal < 2; subnormal++) {
            const struct worst *const own = &worst[o][subnormal];
            const bool fits = own->error <= bound_of(&rules[r].sides[target], g, o, subnormal != 0);
            printf("  %s%s %.2f at %a%s", subnormal ? "subnormal" : output_names[o],
                   o == HESSIAN && !subnormal ? " of its terms" : "", own->error,
                   (double)own->logit, fits ? "" : " TOO LARGE");
            good = good && fits;
        }
    }
    printf("\n");
    return good;
}

int main(int count, char **arguments) {
    static struct worker workers[THREADS_MAX];
    const int wanted = count > 1 ? atoi(arguments[1]) : 2;
    const int threads = wanted < 1 ? 1 : wanted > THREADS_MAX ? THREADS_MAX : wanted;
    const int wanted_part = count > 2 ? atoi(arguments[2]) : 1;
    struct maxima *const all = &workers[0].maxima;
    bool good = true;
    part = wanted_part < 1 ? 1 : (uint32_t)wanted_part;
    printf("exhaustive: isa %s, %d threads, 1 / %u of all floats\n", fghm_isa_name(), threads,
           (unsigned)part);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            perror("pthread_create");
            return 1;
        }
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        good = good && !workers[i].failed;
        if (i > 0) {
            take_larger(all, &workers[i].maxima);
        }
    }
    for (int r = 0; r < RULES; r++) {
        for (int g = 0; g < GAMMAS; g++) {
            for (int target = 0; target < 2 && has_gamma(&rules[r], g); target++) {
                good &= report(all->worst[r][g][target], r, g, target);
            }
        }
    }
    printf("%llu wrong limits\n", (unsigned long long)all->wrong_limits);
    return good && all->wrong_limits == 0 ? 0 : 1;
}
