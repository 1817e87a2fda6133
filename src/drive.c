/* SPDX-License-Identifier: MIT */
#include "drive.h"

#include <stdint.h>

#include "check.h"
#include "kernels/double_sum.h"
#include "pool_run.h"
#include "range.h"

/* Below this, a segment is not worth handing to a thread. */
#define SEGMENT_MIN ((size_t)4096)

/* Segments are whole blocks of the kernels' sums; of wider things, whole tiles. */
#define SEGMENT_STEP ((size_t)256)
#define SEGMENT_STEP_WIDE ((size_t)64)

fghm_status fghm_check_span(const struct fghm_span *span, size_t real_size, const double *loss) {
    if (span->n == 0) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(span->logits != NULL && span->targets != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(span->n <= PTRDIFF_MAX / real_size, FGHM_ERROR_SIZE);
    const size_t bytes = span->n * real_size;
    const struct fghm_range inputs[] = {fghm_range_of(span->logits, bytes),
                                        fghm_range_of(span->targets, bytes),
                                        fghm_range_of(span->weights, bytes)};
    const struct fghm_range outputs[] = {
        fghm_range_of(span->element_loss, bytes), fghm_range_of(span->gradient, bytes),
        fghm_range_of(span->hessian, bytes), fghm_range_of(loss, sizeof *loss)};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 3 && outputs[i].bytes > 0; j++) {
            /* An array may be replaced by an output, but not by the loss. */
            const bool replaced = i < 3 && outputs[i].first == inputs[j].first;
            FGHM_REQUIRE(replaced || !fghm_ranges_overlap(outputs[i], inputs[j]),
                         FGHM_ERROR_ALIASING);
            FGHM_REQUIRE(i <= j || !fghm_ranges_overlap(outputs[i], outputs[j]),
                         FGHM_ERROR_ALIASING);
        }
    }
    return FGHM_OK;
}

double fghm_divisor_of(fghm_reduction reduction, double normalizer, uint64_t count) {
    switch (reduction) {
    case FGHM_REDUCTION_SUM:
        return 1;
    case FGHM_REDUCTION_NORMALIZER:
        return normalizer;
    default:
        return count > 0 ? (double)count : 1;
    }
}

static const void *offset_const(const void *array, size_t bytes) {
    return array == NULL ? NULL : (const char *)array + bytes;
}

static void *offset(void *array, size_t bytes) {
    return array == NULL ? NULL : (char *)array + bytes;
}

/* SEGMENT_MIN elements, or what cuts all into FGHM_SEGMENTS_MAX. */
static size_t segment_length(size_t n, size_t width) {
    const size_t least = (SEGMENT_MIN - 1) / width + 1;
    const size_t equal = (n - 1) / FGHM_SEGMENTS_MAX + 1;
    const size_t length = equal < least ? least : equal;
    const size_t step = width == 1 ? SEGMENT_STEP : SEGMENT_STEP_WIDE;
    return (length + step - 1) / step * step;
}

struct range_drive {
    size_t n;
    size_t segment_length;
    fghm_range_work *work;
    void *context;
};

static void range_segment(void *context, size_t segment) {
    const struct range_drive *const drive = context;
    const size_t first = segment * drive->segment_length;
    const size_t left = drive->n - first;
    const size_t n = left < drive->segment_length ? left : drive->segment_length;
    drive->work(drive->context, segment, first, n);
}

size_t fghm_drive_range(fghm_pool *pool, size_t n, size_t width, fghm_range_work *work,
                        void *context) {
    if (n == 0) {
        return 0;
    }
    struct range_drive drive = {n, segment_length(n, width), work, context};
    const size_t segments = (n - 1) / drive.segment_length + 1;
    if (segments == 1) {
        work(context, 0, 0, n);
    } else {
        fghm_pool_run(pool, segments, range_segment, &drive);
    }
    return segments;
}

struct span_drive {
    const struct fghm_span *span;
    size_t real_size;
    fghm_segment_work *work;
    void *context;
};

static void span_segment(void *context, size_t segment, size_t first, size_t n) {
    const struct span_drive *const drive = context;
    const struct fghm_span *const span = drive->span;
    const size_t bytes = first * drive->real_size;
    const struct fghm_span part = {
        .n = n,
        .logits = offset_const(span->logits, bytes),
        .targets = offset_const(span->targets, bytes),
        .weights = offset_const(span->weights, bytes),
        .element_loss = offset(span->element_loss, bytes),
        .gradient = offset(span->gradient, bytes),
        .hessian = offset(span->hessian, bytes),
    };
    drive->work(drive->context, segment, &part);
}

size_t fghm_drive(fghm_pool *pool, const struct fghm_span *span, size_t real_size,
                  fghm_segment_work *work, void *context) {
    if (span->n > 0 && span->n <= SEGMENT_MIN) {
        work(context, 0, span); /* one segment: what a small call costs counts */
        return 1;
    }
    struct span_drive drive = {span, real_size, work, context};
    return fghm_drive_range(pool, span->n, 1, span_segment, &drive);
}

double fghm_sum_segments(const double *sums, size_t segments) {
    struct double_sum sum = {0, 0};
    for (size_t i = 0; i < segments; i++) {
        double_sum_add(&sum, sums[i]);
    }
    return sum.high + sum.low;
}
