/* SPDX-License-Identifier: MIT */
/* GHM over elements: count, update, apply. */
#include "ghm.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "check.h"
#include "dispatch.h"
#include "drive.h"

static bool is_regression(const fghm_ghm *ghm) {
    return ghm->kind == FGHM_GHM_REGRESSION;
}

/* D: for a mean, the valid elements of the last update. */
static double divisor_of(const fghm_ghm *ghm) {
    uint64_t total = 0;
    for (size_t h = 0; h < ghm->histograms; h++) {
        total += fghm_ghm_row_total(ghm, ghm->history.counts, h);
    }
    return fghm_divisor_of(ghm->settings.reduction, ghm->settings.normalizer, total);
}

/* Counting ---------------------------------------------------------------------- */

/* One counting pass over a span or a batch.  `counts`, a row of bins + 1, and the rest of
 * what comes back are shared by the segments. */
struct count_call {
    const struct fghm_kernels *kernels;
    fghm_count_kernel *kernel;
    struct fghm_ghm_plan plan;
    uint64_t *counts;
    int bad_target;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

/* Adds the counts of a segment to those of all; sums of integers do not depend on who
 * comes first. */
static void share_counts(struct count_call *call, const uint64_t *counts, uint64_t valid) {
    const size_t bins = call->plan.bins->bins;
    for (size_t bin = 0; bin < bins; bin++) {
        valid -= counts[bin];
        if (counts[bin] > 0) {
            __atomic_fetch_add(&call->counts[bin], counts[bin], __ATOMIC_RELAXED);
        }
    }
    /* What is valid but in no bin. */
    __atomic_fetch_add(&call->counts[bins], valid, __ATOMIC_RELAXED);
}

static void count_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct count_call *const call = context;
    uint64_t counts[FGHM_BINS_MAX];
    uint64_t valid = 0;
    int bad_target = 0;
    (void)segment;
    memset(counts, 0, call->plan.bins->bins * sizeof counts[0]);
    call->kernel(call->plan.bins, part, counts, &valid, &bad_target);
    share_counts(call, counts, valid);
    __atomic_fetch_or(&call->bad_target, bad_target, __ATOMIC_RELAXED);
}

static void count_batch_segment(void *context, size_t segment, size_t first, size_t n) {
    struct count_call *const call = context;
    uint64_t counts[FGHM_BINS_MAX];
    uint64_t valid = 0;
    memset(counts, 0, call->plan.bins->bins * sizeof counts[0]);
    call->parts[segment] = (struct fghm_part){0};
    call->kernels->ghm_count_batch(&call->plan, first, n, counts, &valid, &call->parts[segment]);
    share_counts(call, counts, valid);
}

/* Rows of counts for a call: on the stack where they are few. */
#define COUNTS_ON_STACK (FGHM_BINS_MAX + 1)

static fghm_status add_counts(uint64_t *to, const uint64_t *from, size_t n) {
    FGHM_REQUIRE(fghm_counts_fit(n, to, from), FGHM_ERROR_COUNTS);
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
    return FGHM_OK;
}

/* Contiguous elements -------------------------------------------------------------- */

/* What a plain call is about. */
struct plain {
    const fghm_ghm *ghm;
    const struct fghm_kernels *kernels;
    fghm_pool *pool;
    struct fghm_span span;
};

static const struct fghm_bins *bins_of(const struct plain *plain) {
    const struct fghm_bin_tables *const tables = &plain->ghm->tables;
    return plain->kernels->real_size == sizeof(float) ? &tables->f32 : &tables->f64;
}

static fghm_status check_plain(const struct plain *plain, const double *loss) {
    FGHM_REQUIRE(plain->ghm->histograms == 1, FGHM_ERROR_HISTOGRAMS);
    return fghm_check_span(&plain->span, plain->kernels->real_size, loss);
}

/* The counts of a span that has been checked, into a row of zeros. */
static fghm_status count_span(const struct plain *plain, uint64_t *counts) {
    struct count_call call;
    call.kernels = plain->kernels;
    call.kernel =
        is_regression(plain->ghm) ? plain->kernels->ghmr_count : plain->kernels->ghm_count;
    call.plan.bins = bins_of(plain);
    call.counts = counts;
    call.bad_target = 0;
    if (plain->pool == NULL && plain->span.n > 0) {
        count_segment(&call, 0, &plain->span);
    } else {
        fghm_drive(plain->pool, &plain->span, plain->kernels->real_size, count_segment, &call);
    }
    FGHM_REQUIRE(!call.bad_target, FGHM_ERROR_TARGET);
    return FGHM_OK;
}

/* One pass that applies weights, and what its segments bring back. */
struct apply_call {
    const struct plain *plain;
    const struct fghm_bins *bins;
    const void *bin_weights;
    double scale;
    double sums[FGHM_SEGMENTS_MAX];
    int bad[FGHM_SEGMENTS_MAX];
};

static void apply_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct apply_call *const call = context;
    const struct fghm_kernels *const kernels = call->plain->kernels;
    call->bad[segment] = 0;
    call->sums[segment] =
        is_regression(call->plain->ghm)
            ? kernels->ghmr_apply(call->bins, call->bin_weights, call->plain->ghm->settings.mu,
                                  call->scale, part)
            : kernels->ghm_apply(call->bins, call->bin_weights, call->scale, part,
                                 &call->bad[segment]);
}

static fghm_status apply_span(const struct plain *plain, double *loss) {
    const fghm_ghm *const ghm = plain->ghm;
    struct apply_call call;
    call.plain = plain;
    call.bins = bins_of(plain);
    call.bin_weights = plain->kernels->real_size == sizeof(float) ? (const void *)ghm->scaled_f32
                                                                  : (const void *)ghm->scaled_f64;
    call.scale = 1 / divisor_of(ghm);
    const size_t segments =
        fghm_drive(plain->pool, &plain->span, plain->kernels->real_size, apply_segment, &call);
    for (size_t i = 0; i < segments; i++) {
        FGHM_REQUIRE(!call.bad[i], FGHM_ERROR_TARGET);
    }
    if (loss != NULL) {
        *loss = fghm_sum_segments(call.sums, segments) * call.scale;
    }
    return FGHM_OK;
}

static bool has_output(const struct fghm_span *span, const double *loss) {
    return loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
           span->hessian != NULL;
}

static fghm_status plain_count(const struct plain *plain, size_t capacity, uint64_t *counts) {
    FGHM_REQUIRE(plain->ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    const fghm_status status = check_plain(plain, NULL);
    FGHM_REQUIRE(status == FGHM_OK, status);
    const size_t size = plain->ghm->bins + 1;
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    uint64_t added[COUNTS_ON_STACK];
    memset(added, 0, size * sizeof added[0]);
    const fghm_status counted = count_span(plain, added);
    FGHM_REQUIRE(counted == FGHM_OK, counted);
    return add_counts(counts, added, size);
}

static fghm_status plain_apply(const struct plain *plain, double *loss) {
    FGHM_REQUIRE(plain->ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(has_output(&plain->span, loss), FGHM_ERROR_NO_OUTPUT);
    const fghm_status status = check_plain(plain, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);
    return apply_span(plain, loss);
}

/* Count, update, apply. */
static fghm_status plain_step(fghm_ghm *ghm, const struct plain *plain, double *loss) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    const fghm_status status = check_plain(plain, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);
    uint64_t counts[COUNTS_ON_STACK];
    memset(counts, 0, (ghm->bins + 1) * sizeof counts[0]);
    const fghm_status counted = count_span(plain, counts);
    FGHM_REQUIRE(counted == FGHM_OK, counted);
    const fghm_status updated = fghm_ghm_update(ghm, ghm->bins + 1, counts);
    FGHM_REQUIRE(updated == FGHM_OK, updated);
    return has_output(&plain->span, loss) ? apply_span(plain, loss) : FGHM_OK;
}

fghm_status fghm_ghm_count_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                               const float *targets, const float *mask, size_t capacity,
                               uint64_t *counts) {
    const struct plain plain = {
        ghm, fghm_row()->f32, pool, {n, inputs, targets, mask, NULL, NULL, NULL}};
    return plain_count(&plain, capacity, counts);
}

fghm_status fghm_ghm_apply_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                               const float *targets, const float *mask, double *loss,
                               float *element_loss, float *gradient, float *hessian) {
    const struct plain plain = {
        ghm, fghm_row()->f32, pool, {n, inputs, targets, mask, element_loss, gradient, hessian}};
    return plain_apply(&plain, loss);
}

fghm_status fghm_ghm_step_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                              const float *targets, const float *mask, double *loss,
                              float *element_loss, float *gradient, float *hessian) {
    const struct plain plain = {
        ghm, fghm_row()->f32, pool, {n, inputs, targets, mask, element_loss, gradient, hessian}};
    return plain_step(ghm, &plain, loss);
}

fghm_status fghm_ghm_count_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                               const double *targets, const double *mask, size_t capacity,
                               uint64_t *counts) {
    const struct plain plain = {
        ghm, fghm_row()->f64, pool, {n, inputs, targets, mask, NULL, NULL, NULL}};
    return plain_count(&plain, capacity, counts);
}

fghm_status fghm_ghm_apply_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                               const double *targets, const double *mask, double *loss,
                               double *element_loss, double *gradient, double *hessian) {
    const struct plain plain = {
        ghm, fghm_row()->f64, pool, {n, inputs, targets, mask, element_loss, gradient, hessian}};
    return plain_apply(&plain, loss);
}

fghm_status fghm_ghm_step_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                              const double *targets, const double *mask, double *loss,
                              double *element_loss, double *gradient, double *hessian) {
    const struct plain plain = {
        ghm, fghm_row()->f64, pool, {n, inputs, targets, mask, element_loss, gradient, hessian}};
    return plain_step(ghm, &plain, loss);
}

/* Batches ---------------------------------------------------------------------------- */

static const struct fghm_batch_limits limits[] = {
    [FGHM_GHM_CLASSIFICATION] = {.softmax = true, .labels = true, .harmonizing_weight = true},
    [FGHM_GHM_REGRESSION] = {.harmonizing_weight = true},
};

/* What a call over a batch is about. */
struct batched {
    const fghm_ghm *ghm;
    const struct fghm_kernels *kernels;
    fghm_pool *pool;
    struct fghm_plan plan;
    struct fghm_part counts; /* of positives and of what is ignored */
};

static fghm_status plan_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                              const fghm_result *result, struct batched *batched,
                              int64_t *offender) {
    struct fghm_plan *const plan = &batched->plan;
    const fghm_status status = fghm_plan_make(batch, &limits[ghm->kind], result, plan, offender);
    FGHM_REQUIRE(status == FGHM_OK, status);
    FGHM_REQUIRE(!is_regression(ghm) || batch->label_smoothing == 0, FGHM_ERROR_COMBINATION);
    /* One histogram for all, or one for each class. */
    FGHM_REQUIRE(ghm->histograms == 1 || (ghm->histograms == batch->classes && !plan->softmax),
                 FGHM_ERROR_HISTOGRAMS);
    const struct fghm_row *const row = fghm_row();
    batched->ghm = ghm;
    batched->pool = pool;
    batched->kernels = fghm_plan_is_double(plan) ? row->f64 : row->f32;
    bool counted;
    return fghm_plan_survey(pool, batched->kernels, plan, false, &batched->counts, &counted,
                            offender);
}

/* The part of a batch that a histogram is about: all of it, or a class. */
static void plan_histogram(const struct batched *batched, size_t histogram,
                           struct fghm_ghm_plan *part) {
    const fghm_ghm *const ghm = batched->ghm;
    const struct fghm_bin_tables *const tables = &ghm->tables;
    const size_t row = histogram * (ghm->bins + 1);
    const bool is_double = fghm_plan_is_double(&batched->plan);
    *part = (struct fghm_ghm_plan){
        .batch = batched->plan,
        .bins = is_double ? &tables->f64 : &tables->f32,
        .bin_weights = is_double ? (const void *)(ghm->scaled_f64 + row)
                                 : (const void *)(ghm->scaled_f32 + row),
        .harmonizing_weights = is_double ? (const void *)(ghm->weights_f64 + row)
                                         : (const void *)(ghm->weights_f32 + row),
        .scale = 1 / divisor_of(ghm),
        .mu = is_regression(ghm) ? ghm->settings.mu : 0,
    };
    if (ghm->histograms > 1) {
        fghm_plan_take_class(&part->batch, histogram);
    }
}

/* The status of the walks so far, with one more over the part of a batch that a histogram is
 * about: of offences, the first in the order of the batch counts. */
static fghm_status worse_status(const struct batched *batched, size_t histogram,
                                const struct fghm_part *part, fghm_status status,
                                int64_t *offender) {
    int64_t place;
    const fghm_status own = fghm_part_status(&batched->plan, part, &place);
    if (own != FGHM_OK && batched->ghm->histograms > 1) {
        place = fghm_plan_place(&batched->plan, histogram, place);
    }
    if (own == FGHM_OK || (status != FGHM_OK && *offender < place)) {
        return status;
    }
    *offender = place;
    return own;
}

/* Adds to rows of counts, one for each histogram. */
static fghm_status count_batch(const struct batched *batched, uint64_t *counts,
                               struct fghm_part *found, int64_t *offender) {
    fghm_status status = FGHM_OK;
    *found = batched->counts;
    for (size_t h = 0; h < batched->ghm->histograms; h++) {
        struct count_call call;
        call.kernels = batched->kernels;
        call.counts = counts + h * (batched->ghm->bins + 1);
        plan_histogram(batched, h, &call.plan);
        const size_t segments =
            fghm_plan_drive(batched->pool, &call.plan.batch, count_batch_segment, &call);
        const struct fghm_part all = fghm_merge_parts(call.parts, segments);
        status = worse_status(batched, h, &all, status, offender);
        found->positives += all.positives;
        found->ignored += all.ignored;
    }
    return status;
}

struct apply_batch_call {
    const struct fghm_kernels *kernels;
    struct fghm_ghm_plan plan;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void apply_batch_segment(void *context, size_t segment, size_t first, size_t n) {
    struct apply_batch_call *const call = context;
    call->parts[segment] = (struct fghm_part){0};
    call->kernels->ghm_apply_batch(&call->plan, first, n, &call->parts[segment]);
}

/* The result of a call whose walk has brought back `found`. */
static fghm_result result_of(const struct batched *batched, const struct fghm_part *found,
                             double divisor) {
    const uint64_t losses = fghm_plan_losses(&batched->plan);
    return (fghm_result){
        .loss = found->sum / divisor,
        .sum = found->sum,
        .divisor = divisor,
        .elements = losses,
        .valid = losses - found->ignored,
        .positives = found->positives,
        .offender = -1,
    };
}

/* Brings back sum and counts. */
static fghm_status apply_batch(const struct batched *batched, struct fghm_part *found,
                               int64_t *offender) {
    const size_t histograms = batched->ghm->histograms;
    fghm_status status = FGHM_OK;
    *found = batched->counts;
    for (size_t h = 0; h < histograms; h++) {
        struct apply_batch_call call;
        call.kernels = batched->kernels;
        plan_histogram(batched, h, &call.plan);
        const size_t segments =
            fghm_plan_drive(batched->pool, &call.plan.batch, apply_batch_segment, &call);
        const struct fghm_part all = fghm_merge_parts(call.parts, segments);
        status = worse_status(batched, h, &all, status, offender);
        found->sum += all.sum;
        found->positives += all.positives;
        found->ignored += all.ignored;
    }
    return status;
}

/* Counts of a call, zeroed; NULL without memory.  `few` is room for those that fit. */
static uint64_t *counts_room(const fghm_ghm *ghm, uint64_t few[COUNTS_ON_STACK]) {
    const size_t size = ghm->histograms * (ghm->bins + 1);
    if (size > COUNTS_ON_STACK) {
        return calloc(size, sizeof(uint64_t));
    }
    memset(few, 0, size * sizeof few[0]);
    return few;
}

fghm_status fghm_ghm_count_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 size_t capacity, uint64_t *counts, fghm_result *result) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(capacity >= ghm->histograms * (ghm->bins + 1), FGHM_ERROR_CAPACITY);
    struct batched batched;
    int64_t offender;
    fghm_status status = plan_batch(ghm, pool, batch, result, &batched, &offender);
    if (status != FGHM_OK) {
        return fghm_result_end(result, status, offender);
    }
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const added = counts_room(ghm, few);
    FGHM_REQUIRE(added != NULL, FGHM_ERROR_MEMORY);
    struct fghm_part found;
    status = count_batch(&batched, added, &found, &offender);
    if (status == FGHM_OK) {
        status = add_counts(counts, added, ghm->histograms * (ghm->bins + 1));
    }
    if (status == FGHM_OK) {
        const fghm_result value = result_of(&batched, &found, 1);
        fghm_result_give(result, &value);
    }
    if (added != few) {
        free(added);
    }
    return fghm_result_end(result, status, offender);
}

static bool has_array(const fghm_batch *batch) {
    return batch->element_loss.data != NULL || batch->gradient.data != NULL ||
           batch->hessian.data != NULL || batch->harmonizing_weight.data != NULL;
}

/* Applies the weights to a batch that has been planned. */
static fghm_status finish_batch(const struct batched *batched, fghm_result *result,
                                int64_t *offender) {
    struct fghm_part found;
    const fghm_status status = apply_batch(batched, &found, offender);
    FGHM_REQUIRE(status == FGHM_OK, status);
    const fghm_result value = result_of(batched, &found, divisor_of(batched->ghm));
    fghm_result_give(result, &value);
    return FGHM_OK;
}

fghm_status fghm_ghm_apply_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 fghm_result *result) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    struct batched batched;
    int64_t offender;
    fghm_status status = plan_batch(ghm, pool, batch, result, &batched, &offender);
    if (status == FGHM_OK) {
        FGHM_REQUIRE(result != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
        status = finish_batch(&batched, result, &offender);
    }
    return fghm_result_end(result, status, offender);
}

/* Count, update, apply. */
fghm_status fghm_ghm_step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                fghm_result *result) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    struct batched batched;
    int64_t offender;
    fghm_status status = plan_batch(ghm, pool, batch, result, &batched, &offender);
    if (status != FGHM_OK) {
        return fghm_result_end(result, status, offender);
    }
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const counts = counts_room(ghm, few);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_MEMORY);
    struct fghm_part found;
    status = count_batch(&batched, counts, &found, &offender);
    if (status == FGHM_OK) {
        status = fghm_ghm_update(ghm, ghm->histograms * (ghm->bins + 1), counts);
    }
    if (counts != few) {
        free(counts);
    }
    if (status == FGHM_OK && (result != NULL || has_array(batch))) {
        status = finish_batch(&batched, result, &offender);
    }
    return fghm_result_end(result, status, offender);
}
