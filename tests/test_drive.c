/* SPDX-License-Identifier: MIT */

/* How calls over many elements are cut, and how what the parts bring back becomes one:
 * at every length, of which tests that compute can have few. */

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "drive.h"
#include "plan.h"
#include "support/batch.h"
#include "support/suite.h"

/* A width as softmax has it with that many classes. */
static const size_t widths[] = {1, 2, 3, 80, 1000, 4096, 128256};

/* What the segments of a cut say of themselves. */
struct cut {
    size_t segments, end;
    size_t first[FGHM_SEGMENTS_MAX + 1];
};

static void note_segment(void *context, size_t segment, size_t first, size_t n) {
    struct cut *const cut = context;
    assert_true(segment < FGHM_SEGMENTS_MAX); /* there is no room for more */
    assert_int_equal(segment, cut->segments);
    assert_int_equal(first, cut->end);
    assert_true(n > 0);
    cut->first[segment] = first;
    cut->end = first + n;
    cut->segments++;
}

static void assert_cut(size_t n, size_t width) {
    struct cut cut = {0, 0, {0}};
    const size_t segments = fghm_drive_range(NULL, n, width, note_segment, &cut);
    assert_int_equal(segments, cut.segments);
    assert_int_equal(cut.end, n);
    /* Sums are made of whole blocks (kernels/lane_sum.h), or tiles; of what has more classes, few
     * samples are worth a thread. */
    const size_t step = width == 1 ? 256 : width <= 64 ? 64 : width < 4096 ? 16 : 1;
    assert_true(cut.segments < 2 || cut.first[1] % step == 0);
    assert_true(width < 4096 || n > FGHM_SEGMENTS_MAX || segments == n);
    for (size_t i = 1; i < cut.segments; i++) {
        assert_int_equal(cut.first[i], i * cut.first[1]); /* but for the last, all alike */
    }
}

/* Every length near where the number of segments changes, and others up to 2^22. */
static void segments_fit_and_cover(void **state) {
    struct random r = random_for(190);
    (void)state;
    for (size_t w = 0; w < SUITE_COUNT(widths); w++) {
        for (size_t segments = 1; segments <= 4 * FGHM_SEGMENTS_MAX; segments++) {
            for (size_t n = segments * 4096 - 2; n <= segments * 4096 + 2; n++) {
                assert_cut(n, widths[w]);
            }
            assert_cut(1 + random_below(&r, (size_t)1 << 22), widths[w]);
        }
    }
    for (size_t n = 1; n <= FGHM_SEGMENTS_MAX; n++) {
        assert_cut(n, 128256);
    }
    assert_cut(SIZE_MAX, 1);
    assert_int_equal(fghm_drive_range(NULL, 0, 1, note_segment, NULL), 0);
}

static double merged_sum(struct fghm_part *parts, size_t count) {
    const struct fghm_part *const all = fghm_merge_parts(parts, count);
    return all->sum + all->sum_error;
}

/* Sums of parts lose nothing that the last rounding does not; each brings a sum and what
 * rounding took from it. */
static void sums_of_parts_are_compensated(void **state) {
    struct fghm_part lost[] = {
        {.sum = 1}, {.sum = 0x1p100, .sum_error = 0x1p-60}, {.sum = 1}, {.sum = -0x1p100}};
    struct fghm_part others[] = {{.sum_weights = 1, .targets.sum = -1},
                                 {.sum_weights = 0x1p100, .targets.sum = -0x1p90},
                                 {.sum_weights = 1, .targets.sum = -1},
                                 {.sum_weights = -0x1p100, .targets.sum = 0x1p90}};
    struct fghm_part many[FGHM_SEGMENTS_MAX] = {{.sum = 1}};
    (void)state;
    assert_true(merged_sum(lost, SUITE_COUNT(lost)) == 2);
    for (size_t i = 1; i < SUITE_COUNT(many); i++) {
        many[i].sum = 0x1p-54; /* each alone would be rounded away */
    }
    assert_true(merged_sum(many, SUITE_COUNT(many)) == 1 + 127 * 0x1p-54);
    const struct fghm_part *const all = fghm_merge_parts(others, SUITE_COUNT(others));
    assert_true(all->sum_weights + all->sum_weights_error == 2);
    assert_true(all->targets.sum + all->targets.sum_error == -2);
}

/* More elements than FGHM_SEGMENTS_MAX segments of the least length: results of the last
 * ones are those of a call of their own, and the loss is the sum of all. */
static void more_than_segments_of_the_least_length(void **state) {
    const struct dtype *const d = *state;
    const size_t lengths[] = {((size_t)1 << 19) + 1, ((size_t)1 << 20) + 77};
    struct random r = random_for(191);
    fghm_focal *const focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_SUM);
    for (size_t i = 0; i < SUITE_COUNT(lengths); i++) {
        const size_t n = lengths[i];
        const size_t tail = 77;
        struct batch all = batch_new(d, n), last = batch_new(d, tail);
        for (size_t k = 0; k < n; k++) {
            batch_put(&all, k, 3.0 * random_normal(&r), random_below(&r, 4) == 0 ? 1.0 : 0.0);
        }
        for (size_t k = 0; k < tail; k++) {
            batch_put(&last, k, d->get(all.logits, n - tail + k),
                      d->get(all.targets, n - tail + k));
        }
        assert_int_equal(batch_focal(&all, focal, NULL), FGHM_OK);
        assert_int_equal(batch_focal(&last, focal, NULL), FGHM_OK);
        for (int o = 0; o < OUTPUTS; o++) {
            assert_int_equal(
                dtype_first_difference(d, dtype_at(d, all.out[o], n - tail), last.out[o], tail),
                tail);
        }
        double high = 0.0, low = 0.0; /* the sum, and what rounding took from it */
        for (size_t k = 0; k < n; k++) {
            const double loss = d->get(all.out[ELEMENT_LOSS], k);
            const double sum = high + loss;
            low += (high - sum) + loss; /* high is the larger but for the first few */
            high = sum;
        }
        assert_true(fabs(all.loss - (high + low)) <= d->sum_bound * (high + low));
        batch_free(&all);
        batch_free(&last);
    }
    fghm_focal_destroy(focal);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"segments_fit_and_cover", segments_fit_and_cover, 0},
        {"sums_of_parts_are_compensated", sums_of_parts_are_compensated, 0},
        {"more_than_segments_of_the_least_length", more_than_segments_of_the_least_length, 1},
    };
    return suite_run(argument_count, arguments, "drive", tests, SUITE_COUNT(tests));
}
