/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_DESCRIPTOR_H
#define TESTS_SUPPORT_DESCRIPTOR_H

#include <stddef.h>

#include <focalghm/batch.h>

/* FGHM_BATCH_INIT with three axes, of which the second is that of the classes. */
fghm_batch descriptor_of(size_t outer, size_t classes, size_t inner);

/* Gives a batch that shape. */
void descriptor_set_shape(fghm_batch *batch, size_t outer, size_t classes, size_t inner);

/* Gives an array strides along the three axes. */
void descriptor_stride_input(fghm_input *array, int64_t o, int64_t c, int64_t i);
void descriptor_stride_output(fghm_output *array, int64_t o, int64_t c, int64_t i);

/* What a result says about an error: of two fields either is the first. */
struct descriptor_error {
    fghm_status status;
    fghm_field field, other_field;
    fghm_place place;
    int64_t offender;
};

/* An error without a place; and of two fields. */
struct descriptor_error descriptor_error_of(fghm_status status, fghm_field field);
struct descriptor_error descriptor_error_of_two(fghm_status status, fghm_field a, fghm_field b);

/* Fails the running test unless that was returned, and the result says it. */
void descriptor_assert_error(fghm_status returned, const fghm_result *result,
                             const struct descriptor_error *want, int line);

/* The same, and that nothing behind the head of the result has been written. */
void descriptor_assert_refused(fghm_status returned, const fghm_result *result,
                               const fghm_result *before, const struct descriptor_error *want,
                               int line);

#endif
