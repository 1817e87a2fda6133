/* SPDX-License-Identifier: MIT */
/* GHM over elements: count, update, apply. */
#include "ghm.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dispatch.h"
#include "drive.h"
#include "kernels/double_sum.h"
#include "plan.h"

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

/* Up to here a call keeps to 64 KiB of stack. */
#define FEW_BINS 256

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

/* A segment's part of a pass, into counts of its own: rows on the stack, small ones where bins
 * are few.  Out of line, so that the large one is there only where it is needed. */
typedef void count_work(struct count_call *call, size_t segment, const struct fghm_span *part,
                        size_t first, size_t n, uint64_t *counts);

static __attribute__((noinline)) void with_few_counts(count_work *work, struct count_call *call,
                                                      size_t segment, const struct fghm_span *part,
                                                      size_t first, size_t n) {
    uint64_t counts[FEW_BINS + 1] = {0};
    work(call, segment, part, first, n, counts);
}

static __attribute__((noinline)) void with_many_counts(count_work *work, struct count_call *call,
                                                       size_t segment, const struct fghm_span *part,
                                                       size_t first, size_t n) {
    uint64_t counts[FGHM_BINS_MAX + 1] = {0};
    work(call, segment, part, first, n, counts);
}

static void with_counts(count_work *work, struct count_call *call, size_t segment,
                        const struct fghm_span *part, size_t first, size_t n) {
    if (call->plan.bins->bins <= FEW_BINS) {
        with_few_counts(work, call, segment, part, first, n);
    } else {
        with_many_counts(work, call, segment, part, first, n);
    }
}

static void count_span_into(struct count_call *call, size_t segment, const struct fghm_span *part,
                            size_t first, size_t n, uint64_t *counts) {
    uint64_t valid = 0;
    int bad_target = 0;
    (void)segment;
    (void)first;
    (void)n;
    call->kernel(call->plan.bins, part, counts, &valid, &bad_target);
    share_counts(call, counts, valid);
    __atomic_fetch_or(&call->bad_target, bad_target, __ATOMIC_RELAXED);
}

static void count_segment(void *context, size_t segment, const struct fghm_span *part) {
    with_counts(count_span_into, context, segment, part, 0, 0);
}

static void count_batch_into(struct count_call *call, size_t segment, const struct fghm_span *part,
                             size_t first, size_t n, uint64_t *counts) {
    uint64_t valid = 0;
    (void)part;
    call->parts[segment] = (struct fghm_part){0};
    call->kernels->ghm_count_batch(&call->plan, first, n, counts, &valid, &call->parts[segment]);
    share_counts(call, counts, valid);
}

static void count_batch_segment(void *context, size_t segment, size_t first, size_t n) {
    with_counts(count_batch_into, context, segment, NULL, first, n);
}

/* Rows of counts for a call: on the stack where they are few. */
#define COUNTS_ON_STACK (FEW_BINS + 1)

/* Counts of a call, zeroed; NULL without memory.  `few` is room for those that fit. */
static uint64_t *counts_room(const fghm_ghm *ghm, uint64_t few[COUNTS_ON_STACK]) {
    const size_t size = ghm->histograms * (ghm->bins + 1);
    if (size > COUNTS_ON_STACK) {
        return calloc(size, sizeof(uint64_t));
    }
    memset(few, 0, size * sizeof few[0]);
    return few;
}

static void counts_free(uint64_t *counts, const uint64_t few[COUNTS_ON_STACK]) {
    if (counts != few) {
        free(counts);
    }
}

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
    double divisor;
    double sums[FGHM_SEGMENTS_MAX];
    int bad[FGHM_SEGMENTS_MAX];
};

static void apply_segment(void *context, size_t segment, const struct fghm_span *part) {
    struct apply_call *const call = context;
    const struct fghm_kernels *const kernels = call->plain->kernels;
    call->bad[segment] = 0;
    const double scale = 1 / call->divisor;
    struct fghm_sum sum;
    sum_start(&sum, kernels->real_size);
    if (is_regression(call->plain->ghm)) {
        kernels->ghmr_apply(call->bins, call->bin_weights, call->plain->ghm->settings.mu, scale,
                            part, &sum);
    } else {
        kernels->ghm_apply(call->bins, call->bin_weights, scale, part, &sum, &call->bad[segment]);
    }
    call->sums[segment] = sum_of_lanes(&sum, kernels->real_size);
}

static fghm_status apply_span(const struct plain *plain, double *loss) {
    const fghm_ghm *const ghm = plain->ghm;
    struct apply_call call;
    call.plain = plain;
    call.bins = bins_of(plain);
    call.bin_weights = plain->kernels->real_size == sizeof(float) ? (const void *)ghm->scaled_f32
                                                                  : (const void *)ghm->scaled_f64;
    call.divisor = divisor_of(ghm);
    const size_t segments =
        fghm_drive(plain->pool, &plain->span, plain->kernels->real_size, apply_segment, &call);
    for (size_t i = 0; i < segments; i++) {
        FGHM_REQUIRE(!call.bad[i], FGHM_ERROR_TARGET);
    }
    if (loss != NULL) {
        *loss = fghm_sum_segments(call.sums, segments) / call.divisor;
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
    FGHM_TRY(check_plain(plain, NULL));
    const size_t size = plain->ghm->bins + 1;
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const added = counts_room(plain->ghm, few);
    FGHM_REQUIRE(added != NULL, FGHM_ERROR_MEMORY);
    fghm_status status = count_span(plain, added);
    if (status == FGHM_OK) {
        status = add_counts(counts, added, size);
    }
    counts_free(added, few);
    return status;
}

static fghm_status plain_apply(const struct plain *plain, double *loss) {
    FGHM_REQUIRE(plain->ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(has_output(&plain->span, loss), FGHM_ERROR_NO_OUTPUT);
    const fghm_status status = check_plain(plain, loss);
    FGHM_REQUIRE(status == FGHM_OK, status);
    return apply_span(plain, loss);
}

/* Counts a span that has been checked and updates the handle. */
static fghm_status update_by_span(fghm_ghm *ghm, const struct plain *plain) {
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const counts = counts_room(ghm, few);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_MEMORY);
    fghm_status status = count_span(plain, counts);
    if (status == FGHM_OK) {
        status = fghm_ghm_update(ghm, ghm->bins + 1, counts);
    }
    counts_free(counts, few);
    return status;
}

/* Count, update, apply. */
static fghm_status plain_step(fghm_ghm *ghm, const struct plain *plain, double *loss) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(check_plain(plain, loss));
    FGHM_TRY(update_by_span(ghm, plain));
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
    [FGHM_GHM_CLASSIFICATION] = {.softmax = true,
                                 .labels = true,
                                 .smoothing = true,
                                 .harmonizing_weight = true,
                                 .because = FGHM_FIELD_KIND},
    [FGHM_GHM_REGRESSION] = {.harmonizing_weight = true, .because = FGHM_FIELD_KIND},
};

/* What a call over a batch is about. */
struct batched {
    const fghm_ghm *ghm;
    const struct fghm_kernels *kernels;
    fghm_pool *pool;
    struct fghm_plan plan;
    struct fghm_part counts; /* of positives and of what is ignored */
    double divisor;          /* D */
};

static fghm_status plan_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                              const fghm_result *result, struct batched *batched,
                              struct fghm_report *report) {
    struct fghm_plan *const plan = &batched->plan;
    const bool many = ghm->histograms > 1;
    FGHM_TRY(fghm_plan_make(batch, &limits[ghm->kind], many, result, plan, report));
    /* One histogram for all, or one for each class. */
    if (many && (ghm->histograms != plan->shape.classes || plan->softmax)) {
        return fghm_fail_both(report, FGHM_ERROR_HISTOGRAMS, FGHM_FIELD_HISTOGRAMS,
                              plan->softmax ? FGHM_FIELD_ACTIVATION : FGHM_FIELD_SHAPE);
    }
    const struct fghm_row *const row = fghm_row();
    batched->ghm = ghm;
    batched->pool = pool;
    batched->kernels = fghm_plan_is_double(plan) ? row->f64 : row->f32;
    batched->divisor = divisor_of(ghm);
    bool counted;
    return fghm_plan_survey(pool, batched->kernels, plan, false, &batched->counts, &counted,
                            report);
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
        .scale = 1 / batched->divisor,
        .mu = is_regression(ghm) ? ghm->settings.mu : 0,
    };
    if (ghm->histograms > 1) {
        fghm_plan_take_class(&part->batch, histogram);
    }
}

/* What the walks over the parts of a batch have brought back so far. */
struct found {
    struct fghm_part all;
    fghm_status status;
};

/* Adds one walk.  Of offences, the first in the order of the batch counts. */
static void add_walk(const struct batched *batched, size_t histogram, const struct fghm_part *part,
                     struct found *found, struct fghm_report *report) {
    struct fghm_report own = FGHM_REPORT_NONE;
    const fghm_status status = fghm_part_status(part, &own);
    if (status != FGHM_OK && batched->ghm->histograms > 1) {
        own.offender = fghm_plan_place(&batched->plan, histogram, own.offender);
    }
    if (status != FGHM_OK && (found->status == FGHM_OK || own.offender < report->offender)) {
        found->status = status;
        *report = own;
    }
    found->all.sum += part->sum;
    found->all.positives += part->positives;
    found->all.ignored += part->ignored;
    found->all.sum_targets += part->sum_targets + part->sum_targets_error;
}

static struct found nothing_found(const struct batched *batched) {
    return (struct found){batched->counts, FGHM_OK};
}

/* Adds to rows of counts, one for each histogram. */
static struct found count_batch(const struct batched *batched, uint64_t *counts,
                                struct fghm_report *report) {
    struct found found = nothing_found(batched);
    for (size_t h = 0; h < batched->ghm->histograms; h++) {
        struct count_call call;
        call.kernels = batched->kernels;
        call.counts = counts + h * (batched->ghm->bins + 1);
        plan_histogram(batched, h, &call.plan);
        const size_t segments =
            fghm_plan_drive(batched->pool, &call.plan.batch, count_batch_segment, &call);
        const struct fghm_part all = fghm_merge_parts(call.parts, segments);
        add_walk(batched, h, &all, &found, report);
    }
    return found;
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

/* The result of a call whose walk has brought back `found`: weights were a mask, so their sum is
 * the number of valid elements. */
static fghm_result result_of(const struct batched *batched, const struct found *found,
                             double divisor) {
    fghm_result value = fghm_result_of(&batched->plan, &found->all, &found->all, divisor);
    value.sum_weights = (double)value.valid;
    return value;
}

static struct found apply_batch(const struct batched *batched, struct fghm_report *report) {
    struct found found = nothing_found(batched);
    for (size_t h = 0; h < batched->ghm->histograms; h++) {
        struct apply_batch_call call;
        call.kernels = batched->kernels;
        plan_histogram(batched, h, &call.plan);
        const size_t segments =
            fghm_plan_drive(batched->pool, &call.plan.batch, apply_batch_segment, &call);
        const struct fghm_part all = fghm_merge_parts(call.parts, segments);
        add_walk(batched, h, &all, &found, report);
    }
    return found;
}

static fghm_status batch_count(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                               size_t capacity, uint64_t *counts, const fghm_result *result,
                               fghm_result *value, struct fghm_report *report) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    if (counts == NULL) {
        return fghm_fail(report, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_COUNTS);
    }
    if (capacity < ghm->histograms * (ghm->bins + 1)) {
        return fghm_fail(report, FGHM_ERROR_CAPACITY, FGHM_FIELD_CAPACITY);
    }
    struct batched batched;
    FGHM_TRY(plan_batch(ghm, pool, batch, result, &batched, report));
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const added = counts_room(ghm, few);
    FGHM_REQUIRE(added != NULL, FGHM_ERROR_MEMORY);
    const struct found found = count_batch(&batched, added, report);
    fghm_status status = found.status;
    if (status == FGHM_OK) {
        status = add_counts(counts, added, ghm->histograms * (ghm->bins + 1));
    }
    if (status == FGHM_OK) {
        *value = result_of(&batched, &found, 1);
    }
    counts_free(added, few);
    return status;
}

fghm_status fghm_ghm_count_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 size_t capacity, uint64_t *counts, fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status =
        batch_count(ghm, pool, batch, capacity, counts, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

static bool has_array(const fghm_batch *batch) {
    return batch->element_loss.data != NULL || batch->gradient.data != NULL ||
           batch->hessian.data != NULL || batch->harmonizing_weight.data != NULL;
}

/* Applies the weights to a batch that has been planned. */
static fghm_status finish_batch(const struct batched *batched, fghm_result *value,
                                struct fghm_report *report) {
    const struct found found = apply_batch(batched, report);
    *value = result_of(batched, &found, batched->divisor);
    return found.status;
}

static fghm_status batch_apply(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                               const fghm_result *result, fghm_result *value,
                               struct fghm_report *report) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    struct batched batched;
    FGHM_TRY(plan_batch(ghm, pool, batch, result, &batched, report));
    FGHM_REQUIRE(result != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
    return finish_batch(&batched, value, report);
}

fghm_status fghm_ghm_apply_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status = batch_apply(ghm, pool, batch, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

/* Counts a batch that has been planned and updates the handle. */
static fghm_status update_by_batch(fghm_ghm *ghm, const struct batched *batched,
                                   struct fghm_report *report) {
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const counts = counts_room(ghm, few);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_MEMORY);
    fghm_status status = count_batch(batched, counts, report).status;
    if (status == FGHM_OK) {
        status = fghm_ghm_update(ghm, ghm->histograms * (ghm->bins + 1), counts);
    }
    counts_free(counts, few);
    return status;
}

/* Count, update, apply. */
static fghm_status batch_step(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                              const fghm_result *result, fghm_result *value,
                              struct fghm_report *report) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    struct batched batched;
    FGHM_TRY(plan_batch(ghm, pool, batch, result, &batched, report));
    FGHM_TRY(update_by_batch(ghm, &batched, report));
    batched.divisor = divisor_of(ghm);
    return result != NULL || has_array(batch) ? finish_batch(&batched, value, report) : FGHM_OK;
}

fghm_status fghm_ghm_step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status = batch_step(ghm, pool, batch, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}
