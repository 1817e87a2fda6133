/* SPDX-License-Identifier: MIT */
/* GHM: count, update, apply.  Whatever the arrays of a call are, it goes one way: a plan of them,
 * and walks over it, one for each histogram. */
#include <string.h>

#include "allocation.h"
#include "array.h"
#include "check.h"
#include "dispatch.h"
#include "kernels/double_sum.h"
#include "drive.h"
#include "ghm_handle.h"
#include "plan.h"
#include "divisor.h"
#include "range.h"

static bool is_regression(const fghm_ghm *ghm) {
    return ghm->kind == FGHM_GHM_REGRESSION;
}

/* D: for a mean, the valid elements of the last update. */
static double divisor_of(const fghm_ghm *ghm) {
    uint64_t total = 0;
    for (size_t h = 0; h < ghm->histograms; h++) {
        total += fghm_ghm_row_total(ghm, ghm->history.counts, h);
    }
    return fghm_reduction_divisor_of_count(ghm->settings.reduction, ghm->settings.normalizer,
                                           total);
}

/* What a call is about. */
struct ghm_call {
    const fghm_ghm *ghm;
    fghm_pool *pool;
    const struct fghm_kernels *kernels;
    struct fghm_plan plan;
    struct fghm_arrays arrays; /* that of the plan, if it has one */
    struct fghm_part counts;   /* of positives and of what is ignored */
    double divisor;            /* D */
};

/* What its walks have brought back so far. */
struct found {
    struct fghm_part all;
    fghm_status status;
};

static fghm_status prepare(const fghm_ghm *ghm, fghm_pool *pool, struct ghm_call *call,
                           struct fghm_report *report) {
    const struct fghm_row *const row = fghm_row();
    call->ghm = ghm;
    call->pool = pool;
    call->kernels = call->plan.is_double ? row->f64 : row->f32;
    call->divisor = 1;
    return fghm_plan_survey(pool, call->kernels, &call->plan, false, false, &call->counts, report);
}

static fghm_status prepare_elements(const fghm_ghm *ghm, fghm_pool *pool, bool is_double,
                                    const struct fghm_span *span, const double *loss,
                                    struct ghm_call *call) {
    struct fghm_report report;
    FGHM_REQUIRE(ghm->histograms == 1, FGHM_ERROR_HISTOGRAMS);
    FGHM_TRY(fghm_check_span(span, is_double, loss));
    fghm_plan_of_span(span, is_double, &call->plan);
    return prepare(ghm, pool, call, &report);
}

static const struct fghm_batch_limits limits[] = {
    [FGHM_GHM_CLASSIFICATION] = {.softmax = true,
                                 .labels = true,
                                 .smoothing = true,
                                 .harmonizing_weight = true,
                                 .because = FGHM_FIELD_KIND},
    [FGHM_GHM_REGRESSION] = {.harmonizing_weight = true, .because = FGHM_FIELD_KIND},
};

static fghm_status prepare_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 const fghm_result *result, struct ghm_call *call,
                                 struct fghm_report *report) {
    struct fghm_plan *const plan = &call->plan;
    const bool many = ghm->histograms > 1;
    FGHM_TRY(
        fghm_plan_make(batch, &limits[ghm->kind], many, result, NULL, plan, &call->arrays, report));
    plan->regression = is_regression(ghm);
    /* One histogram for all, or one for each class. */
    if (many && (ghm->histograms != plan->shape.classes || plan->softmax)) {
        const bool no_classes = batch->class_axis == FGHM_AXIS_NONE;
        return fghm_fail_both(report, FGHM_ERROR_HISTOGRAMS, FGHM_FIELD_HISTOGRAMS,
                              plan->softmax ? FGHM_FIELD_ACTIVATION
                              : no_classes  ? FGHM_FIELD_CLASS_AXIS
                                            : FGHM_FIELD_SHAPE);
    }
    return prepare(ghm, pool, call, report);
}

/* The part of a call that a histogram is about: all of it, or a class, whose arrays are then in
 * *arrays. */
static void plan_histogram(const struct ghm_call *call, size_t histogram,
                           struct fghm_ghm_plan *part, struct fghm_arrays *arrays) {
    const fghm_ghm *const ghm = call->ghm;
    const size_t row = histogram * (ghm->bins + 1);
    const bool is_double = call->plan.is_double;
    *part = (struct fghm_ghm_plan){
        .batch = call->plan,
        .kernels = call->kernels,
        .bins = is_double ? &ghm->tables.f64 : &ghm->tables.f32,
        .bin_weights = is_double ? (const void *)(ghm->scaled_f64 + row)
                                 : (const void *)(ghm->scaled_f32 + row),
        .harmonizing_weights = is_double ? (const void *)(ghm->weights_f64 + row)
                                         : (const void *)(ghm->weights_f32 + row),
        .scale = 1 / call->divisor,
        .mu = is_regression(ghm) ? ghm->settings.mu : 0,
    };
    if (ghm->histograms > 1) {
        fghm_plan_take_class(histogram, &part->batch, arrays);
    }
}

static struct found nothing_found(const struct ghm_call *call) {
    return (struct found){call->counts, FGHM_OK};
}

/* Adds one walk.  Of offences, the first in the order of the batch counts. */
static void add_walk(const struct ghm_call *call, size_t histogram, const struct fghm_part *part,
                     struct found *found, struct fghm_report *report) {
    struct fghm_report own = FGHM_REPORT_NONE;
    const fghm_status status = fghm_part_status(part, &own);
    if (status != FGHM_OK && call->ghm->histograms > 1) {
        own.offender = fghm_plan_place(&call->plan, histogram, own.offender);
    }
    if (status != FGHM_OK && (found->status == FGHM_OK || own.offender < report->offender)) {
        found->status = status;
        *report = own;
    }
    found->all.sum += part->sum + part->sum_error;
    found->all.sum_huge += part->sum_huge;
    found->all.ignored += part->ignored;
    found->all.targets.positives += part->targets.positives;
    found->all.targets.sum += part->targets.sum + part->targets.sum_error;
}

/* Counting ---------------------------------------------------------------------- */

/* Up to here a call keeps to 64 KiB of stack. */
#define FEW_BINS 256

/* One counting pass.  `counts`, a row of bins + 1, is shared by the segments. */
struct count_call {
    const struct fghm_walk *walk;
    struct fghm_ghm_plan plan;
    uint64_t *counts;
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

/* Counts a segment into a row of its own. */
static void count_into(struct count_call *call, size_t segment, size_t first, size_t n,
                       uint64_t *counts) {
    uint64_t valid = 0;
    fghm_part_start(&call->parts[segment]);
    call->walk->ghm_count(&call->plan, first, n, counts, &valid, &call->parts[segment]);
    share_counts(call, counts, valid);
}

/* The row is on the stack, a small one where bins are few.  Out of line, so that the large one is
 * there only where it is needed. */
static __attribute__((noinline)) void count_few(struct count_call *call, size_t segment,
                                                size_t first, size_t n) {
    uint64_t counts[FEW_BINS + 1] = {0};
    count_into(call, segment, first, n, counts);
}

static __attribute__((noinline)) void count_many(struct count_call *call, size_t segment,
                                                 size_t first, size_t n) {
    uint64_t counts[FGHM_BINS_MAX + 1] = {0};
    count_into(call, segment, first, n, counts);
}

static void count_segment(void *context, size_t segment, size_t first, size_t n) {
    struct count_call *const call = context;
    if (call->plan.bins->bins <= FEW_BINS) {
        count_few(call, segment, first, n);
    } else {
        count_many(call, segment, first, n);
    }
}

/* Counts one histogram into a row of zeros. */
static struct fghm_part count_histogram(const struct ghm_call *call, size_t histogram,
                                        uint64_t *counts) {
    struct count_call counting;
    struct fghm_arrays arrays;
    plan_histogram(call, histogram, &counting.plan, &arrays);
    counting.walk = fghm_walk_of(call->kernels->real_size);
    counting.counts = counts;
    const size_t n = fghm_plan_losses(&counting.plan.batch);
    if (call->pool == NULL && n > 0 && !counting.plan.batch.counting) {
        /* Counts do not feel how the elements are cut, only sums do. */
        count_segment(&counting, 0, 0, n);
        return counting.parts[0];
    }
    const size_t segments =
        fghm_plan_drive(call->pool, &counting.plan.batch, count_segment, &counting);
    return *fghm_merge_parts(counting.parts, segments);
}

/* Rows of counts, one for each histogram, which are zeros. */
static struct found count_all(const struct ghm_call *call, uint64_t *counts,
                              struct fghm_report *report) {
    struct found found = nothing_found(call);
    for (size_t h = 0; h < call->ghm->histograms; h++) {
        const struct fghm_part part = count_histogram(call, h, counts + h * (call->ghm->bins + 1));
        add_walk(call, h, &part, &found, report);
    }
    return found;
}

/* Rows of counts for a call: on the stack where they are few. */
#define COUNTS_ON_STACK (FEW_BINS + 1)

static size_t counts_size(const fghm_ghm *ghm) {
    return ghm->histograms * (ghm->bins + 1);
}

/* Zeros; NULL without memory.  `few` is room for those that fit. */
static uint64_t *counts_room(const fghm_ghm *ghm, uint64_t few[COUNTS_ON_STACK]) {
    const size_t size = counts_size(ghm);
    if (size > COUNTS_ON_STACK) {
        return fghm_zeroed_memory(size, sizeof(uint64_t));
    }
    memset(few, 0, size * sizeof few[0]);
    return few;
}

static void counts_free(uint64_t *counts, const uint64_t few[COUNTS_ON_STACK]) {
    if (counts != few) {
        fghm_free(counts);
    }
}

static fghm_status add_counts(uint64_t *to, const uint64_t *from, size_t n) {
    FGHM_REQUIRE(fghm_counts_fit(n, to, from), FGHM_ERROR_COUNTS);
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
    return FGHM_OK;
}

/* Adds the counts of a call to the caller's. */
static fghm_status count(const struct ghm_call *call, uint64_t *counts, struct found *found,
                         struct fghm_report *report) {
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const added = counts_room(call->ghm, few);
    FGHM_REQUIRE(added != NULL, FGHM_ERROR_MEMORY);
    *found = count_all(call, added, report);
    const fghm_status status = found->status == FGHM_OK
                                   ? add_counts(counts, added, counts_size(call->ghm))
                                   : found->status;
    counts_free(added, few);
    return status;
}

/* Counts and updates the handle, which is that of the call. */
static fghm_status update(fghm_ghm *ghm, const struct ghm_call *call, struct fghm_report *report) {
    uint64_t few[COUNTS_ON_STACK];
    uint64_t *const counts = counts_room(ghm, few);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_MEMORY);
    fghm_status status = count_all(call, counts, report).status;
    if (status == FGHM_OK) {
        status = fghm_ghm_update(ghm, counts_size(ghm), counts);
    }
    counts_free(counts, few);
    return status;
}

/* Applying ------------------------------------------------------------------------- */

struct apply_call {
    const struct fghm_walk *walk;
    struct fghm_ghm_plan plan;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void apply_segment(void *context, size_t segment, size_t first, size_t n) {
    struct apply_call *const call = context;
    fghm_part_start(&call->parts[segment]);
    call->walk->ghm_apply(&call->plan, first, n, &call->parts[segment]);
}

static struct found apply(struct ghm_call *call, struct fghm_report *report) {
    struct found found = nothing_found(call);
    call->divisor = divisor_of(call->ghm);
    for (size_t h = 0; h < call->ghm->histograms; h++) {
        struct apply_call applying;
        struct fghm_arrays arrays;
        plan_histogram(call, h, &applying.plan, &arrays);
        applying.walk = fghm_walk_of(call->kernels->real_size);
        const size_t segments =
            fghm_plan_drive(call->pool, &applying.plan.batch, apply_segment, &applying);
        add_walk(call, h, fghm_merge_parts(applying.parts, segments), &found, report);
    }
    return found;
}

/* Contiguous elements -------------------------------------------------------------- */

static bool has_output(const struct fghm_span *span, const double *loss) {
    return loss != NULL || span->element_loss != NULL || span->gradient != NULL ||
           span->hessian != NULL;
}

/* Counts are added to, so they must be no part of what is counted. */
static fghm_status check_counts_apart(const struct fghm_span *span, size_t real_size,
                                      const uint64_t *counts, size_t size) {
    const struct fghm_range written = fghm_range_of(counts, size * sizeof counts[0]);
    const void *const inputs[] = {span->logits, span->targets, span->weights};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const struct fghm_range input = fghm_range_of(inputs[i], span->n * real_size);
        FGHM_REQUIRE(!fghm_ranges_meet(written, input), FGHM_ERROR_ALIASING);
    }
    return FGHM_OK;
}

static fghm_status count_elements(const fghm_ghm *ghm, fghm_pool *pool, bool is_double,
                                  const struct fghm_span *span, size_t capacity, uint64_t *counts) {
    struct ghm_call call;
    struct found found;
    struct fghm_report report;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(counts != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_TRY(prepare_elements(ghm, pool, is_double, span, NULL, &call));
    FGHM_REQUIRE(capacity >= counts_size(ghm), FGHM_ERROR_CAPACITY);
    FGHM_TRY(check_counts_apart(span, is_double ? sizeof(double) : sizeof(float), counts,
                                counts_size(ghm)));
    return count(&call, counts, &found, &report);
}

static fghm_status finish_elements(struct ghm_call *call, double *loss) {
    struct fghm_report report;
    const struct found found = apply(call, &report);
    FGHM_REQUIRE(found.status == FGHM_OK, found.status);
    if (loss != NULL) {
        *loss = quotient_of(found.all.sum, found.all.sum_huge, call->divisor);
    }
    return FGHM_OK;
}

static fghm_status apply_elements(const fghm_ghm *ghm, fghm_pool *pool, bool is_double,
                                  const struct fghm_span *span, double *loss) {
    struct ghm_call call;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(has_output(span, loss), FGHM_ERROR_NO_OUTPUT);
    FGHM_TRY(prepare_elements(ghm, pool, is_double, span, loss, &call));
    return finish_elements(&call, loss);
}

static fghm_status step_elements(fghm_ghm *ghm, fghm_pool *pool, bool is_double,
                                 const struct fghm_span *span, double *loss) {
    struct ghm_call call;
    struct fghm_report report;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(prepare_elements(ghm, pool, is_double, span, loss, &call));
    FGHM_TRY(update(ghm, &call, &report));
    return has_output(span, loss) ? finish_elements(&call, loss) : FGHM_OK;
}

fghm_status fghm_ghm_count_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                               const float *targets, const float *mask, size_t capacity,
                               uint64_t *counts) {
    const struct fghm_span span = {.n = n, .logits = inputs, .targets = targets, .weights = mask};
    return count_elements(ghm, pool, false, &span, capacity, counts);
}

fghm_status fghm_ghm_apply_f32(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                               const float *targets, const float *mask, double *loss,
                               float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = inputs,
                                   .targets = targets,
                                   .weights = mask,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return apply_elements(ghm, pool, false, &span, loss);
}

fghm_status fghm_ghm_step_f32(fghm_ghm *ghm, fghm_pool *pool, size_t n, const float *inputs,
                              const float *targets, const float *mask, double *loss,
                              float *element_loss, float *gradient, float *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = inputs,
                                   .targets = targets,
                                   .weights = mask,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return step_elements(ghm, pool, false, &span, loss);
}

fghm_status fghm_ghm_count_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                               const double *targets, const double *mask, size_t capacity,
                               uint64_t *counts) {
    const struct fghm_span span = {.n = n, .logits = inputs, .targets = targets, .weights = mask};
    return count_elements(ghm, pool, true, &span, capacity, counts);
}

fghm_status fghm_ghm_apply_f64(const fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                               const double *targets, const double *mask, double *loss,
                               double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = inputs,
                                   .targets = targets,
                                   .weights = mask,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return apply_elements(ghm, pool, true, &span, loss);
}

fghm_status fghm_ghm_step_f64(fghm_ghm *ghm, fghm_pool *pool, size_t n, const double *inputs,
                              const double *targets, const double *mask, double *loss,
                              double *element_loss, double *gradient, double *hessian) {
    const struct fghm_span span = {.n = n,
                                   .logits = inputs,
                                   .targets = targets,
                                   .weights = mask,
                                   .element_loss = element_loss,
                                   .gradient = gradient,
                                   .hessian = hessian};
    return step_elements(ghm, pool, true, &span, loss);
}

/* Batches ---------------------------------------------------------------------------- */

/* Weights were a mask, so their sum is the number of valid elements. */
static fghm_result result_of(const struct ghm_call *call, const struct found *found,
                             double divisor) {
    fghm_result value;
    fghm_result_of(&call->plan, &found->all, divisor, &value);
    value.sum_weights = (double)value.valid;
    return value;
}

/* As check_counts_apart; nor may they be part of the result. */
static fghm_status check_batch_counts_apart(const struct fghm_plan *plan, const fghm_result *result,
                                            const uint64_t *counts, size_t size,
                                            struct fghm_report *report) {
    const struct fghm_range written = fghm_range_of(counts, size * sizeof counts[0]);
    const struct fghm_arrays *const arrays = plan->arrays;
    const struct {
        const struct fghm_array *array;
        fghm_field field;
    } inputs[] = {{&arrays->logits, FGHM_FIELD_LOGITS},
                  {&arrays->targets, FGHM_FIELD_TARGETS},
                  {&arrays->weights, FGHM_FIELD_WEIGHTS}};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (!fghm_array_is_apart_from(inputs[i].array, plan->shape.classes, written)) {
            return fghm_fail_both(report, FGHM_ERROR_ALIASING, FGHM_FIELD_COUNTS, inputs[i].field);
        }
    }
    if (fghm_ranges_meet(written, fghm_range_of(result, result == NULL ? 0 : result->size))) {
        return fghm_fail_both(report, FGHM_ERROR_ALIASING, FGHM_FIELD_COUNTS, FGHM_FIELD_RESULT);
    }
    return FGHM_OK;
}

static fghm_status count_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                               size_t capacity, uint64_t *counts, const fghm_result *result,
                               fghm_result *value, struct fghm_report *report) {
    struct ghm_call call;
    struct found found;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    if (counts == NULL) {
        return fghm_fail(report, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_COUNTS);
    }
    if (capacity < counts_size(ghm)) {
        return fghm_fail(report, FGHM_ERROR_CAPACITY, FGHM_FIELD_CAPACITY);
    }
    FGHM_TRY(prepare_batch(ghm, pool, batch, result, &call, report));
    FGHM_TRY(check_batch_counts_apart(&call.plan, result, counts, counts_size(ghm), report));
    FGHM_TRY(count(&call, counts, &found, report));
    *value = result_of(&call, &found, 1);
    return FGHM_OK;
}

fghm_status fghm_ghm_count_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 size_t capacity, uint64_t *counts, fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status =
        count_batch(ghm, pool, batch, capacity, counts, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

static bool has_array(const fghm_batch *batch) {
    return batch->element_loss.data != NULL || batch->gradient.data != NULL ||
           batch->hessian.data != NULL || batch->harmonizing_weight.data != NULL;
}

static fghm_status finish_batch(struct ghm_call *call, fghm_result *value,
                                struct fghm_report *report) {
    const struct found found = apply(call, report);
    *value = result_of(call, &found, call->divisor);
    return found.status;
}

static fghm_status apply_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                               const fghm_result *result, fghm_result *value,
                               struct fghm_report *report) {
    struct ghm_call call;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(prepare_batch(ghm, pool, batch, result, &call, report));
    FGHM_REQUIRE(result != NULL || has_array(batch), FGHM_ERROR_NO_OUTPUT);
    return finish_batch(&call, value, report);
}

fghm_status fghm_ghm_apply_batch(const fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                 fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status = apply_batch(ghm, pool, batch, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}

static fghm_status step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                              const fghm_result *result, fghm_result *value,
                              struct fghm_report *report) {
    struct ghm_call call;
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_TRY(prepare_batch(ghm, pool, batch, result, &call, report));
    FGHM_TRY(update(ghm, &call, report));
    return result != NULL || has_array(batch) ? finish_batch(&call, value, report) : FGHM_OK;
}

fghm_status fghm_ghm_step_batch(fghm_ghm *ghm, fghm_pool *pool, const fghm_batch *batch,
                                fghm_result *result) {
    struct fghm_report report = FGHM_REPORT_NONE;
    fghm_result value = FGHM_RESULT_INIT;
    const fghm_status status = step_batch(ghm, pool, batch, result, &value, &report);
    return fghm_result_end(result, status, &report, &value);
}
