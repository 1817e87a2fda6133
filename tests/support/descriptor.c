/* SPDX-License-Identifier: MIT */
#include "descriptor.h"

#include <string.h>

#include "suite.h"

void descriptor_set_shape(fghm_batch *batch, size_t outer, size_t classes, size_t inner) {
    batch->ndim = 3;
    batch->class_axis = 1;
    batch->shape[0] = (int64_t)outer;
    batch->shape[1] = (int64_t)classes;
    batch->shape[2] = (int64_t)inner;
}

fghm_batch descriptor_of(size_t outer, size_t classes, size_t inner) {
    fghm_batch batch = FGHM_BATCH_INIT;
    descriptor_set_shape(&batch, outer, classes, inner);
    return batch;
}

static void set_strides(int64_t *strides, int64_t o, int64_t c, int64_t i) {
    strides[0] = o;
    strides[1] = c;
    strides[2] = i;
}

void descriptor_stride_input(fghm_input *array, int64_t o, int64_t c, int64_t i) {
    array->layout = FGHM_LAYOUT_STRIDED;
    set_strides(array->strides, o, c, i);
}

void descriptor_stride_output(fghm_output *array, int64_t o, int64_t c, int64_t i) {
    array->layout = FGHM_LAYOUT_STRIDED;
    set_strides(array->strides, o, c, i);
}

struct descriptor_error descriptor_error_of_two(fghm_status status, fghm_field a, fghm_field b) {
    return (struct descriptor_error){status, a, b, FGHM_PLACE_NONE, -1};
}

struct descriptor_error descriptor_error_of(fghm_status status, fghm_field field) {
    return descriptor_error_of_two(status, field, FGHM_FIELD_NONE);
}

void descriptor_assert_error(fghm_status returned, const fghm_result *result,
                             const struct descriptor_error *want, int line) {
    const int in_order = result->field == want->field && result->other_field == want->other_field;
    const int reversed = result->field == want->other_field && result->other_field == want->field &&
                         want->other_field != FGHM_FIELD_NONE;
    if (returned != want->status) {
        fail_msg("line %d: \"%s\" of %s, expected \"%s\" of %s", line, fghm_status_string(returned),
                 fghm_field_name(result->field), fghm_status_string(want->status),
                 fghm_field_name(want->field));
    }
    if (result->status != returned || !(in_order || reversed) || result->place != want->place ||
        result->offender != want->offender) {
        fail_msg(
            "line %d: \"%s\" of %s and %s, place %d, index %lld, expected %s and %s, place %d, "
            "index %lld",
            line, fghm_status_string(result->status), fghm_field_name(result->field),
            fghm_field_name(result->other_field), result->place, (long long)result->offender,
            fghm_field_name(want->field), fghm_field_name(want->other_field), want->place,
            (long long)want->offender);
    }
}

void descriptor_assert_refused(fghm_status returned, const fghm_result *result,
                               const fghm_result *before, const struct descriptor_error *want,
                               int line) {
    const size_t head = offsetof(fghm_result, loss);
    descriptor_assert_error(returned, result, want, line);
    if (result->filled != head || result->size != before->size) {
        fail_msg("line %d: filled %u of size %u", line, result->filled, result->size);
    }
    assert_memory_equal((const char *)before + head, (const char *)result + head,
                        sizeof *result - head);
}
