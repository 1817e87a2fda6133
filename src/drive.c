/* SPDX-License-Identifier: MIT */
/* Segments: so long that each is worth a thread, so many that threads end together, and cut where
 * sums do not feel it. */
#include "drive.h"

#include <stdint.h>

#include "pool_run.h"

/* Segments are whole blocks of the kernels' sums; of wider things, whole tiles, or as many as
 * registers have lanes, or single ones where each is worth a thread. */
static size_t segment_step(size_t width) {
    return width == 1 ? 256 : width <= 64 ? 64 : width < FGHM_SEGMENT_MIN ? 16 : 1;
}

/* FGHM_SEGMENT_MIN elements, or what cuts all into FGHM_SEGMENTS_MAX. */
static size_t segment_length(size_t n, size_t width) {
    const size_t least = (FGHM_SEGMENT_MIN - 1) / width + 1;
    const size_t equal = (n - 1) / FGHM_SEGMENTS_MAX + 1;
    const size_t length = equal < least ? least : equal;
    const size_t step = segment_step(width);
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
    if (n <= FGHM_SEGMENT_MIN / width) {
        work(context, 0, 0, n); /* what a small call costs counts */
        return 1;
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
