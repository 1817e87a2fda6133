/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_LAYOUT_EXPECTED_H
#define TESTS_SUPPORT_LAYOUT_EXPECTED_H

/* Where every field of the public structs lies, for ever: programs and the bindings of other
 * languages have these numbers compiled in.  It is the including file's compiler that checks
 * them; it needs no C library, so that layouts of other machines can be checked, too.
 *
 * Three kinds of machine, by the size of a pointer and by how int64_t and double are aligned:
 * LP64; ILP32 with 8 bytes, as ARM has it; ILP32 with 4 bytes, as i386 has it. */

#include <stddef.h>
#include <stdint.h>

#include <focalghm/focalghm.h>

struct layout_probe {
    char first;
    int64_t second;
};

#if UINTPTR_MAX > 0xffffffff
#define LAYOUT(lp64, ilp32_8, ilp32_4) (lp64)
#define LAYOUT_NAME "LP64"
_Static_assert(offsetof(struct layout_probe, second) == 8, "LP64");
#elif !defined __i386__ || defined LAYOUT_ALIGNS_TO_8
#define LAYOUT(lp64, ilp32_8, ilp32_4) (ilp32_8)
#define LAYOUT_NAME "ILP32, aligned to 8"
_Static_assert(offsetof(struct layout_probe, second) == 8, "ILP32, aligned to 8");
#else
#define LAYOUT(lp64, ilp32_8, ilp32_4) (ilp32_4)
#define LAYOUT_NAME "ILP32, aligned to 4"
_Static_assert(offsetof(struct layout_probe, second) == 4, "ILP32, aligned to 4");
#endif

#define FIELD_SIZE(type, field) sizeof(((type *)0)->field)
#define FIELD_AT(type, field, bytes, lp64, ilp32_8, ilp32_4)                                       \
    _Static_assert(offsetof(type, field) == LAYOUT(lp64, ilp32_8, ilp32_4) &&                      \
                       FIELD_SIZE(type, field) == (bytes),                                         \
                   #type "." #field)
/* Without padding at its end, where a later field would lie in an older program's struct. */
#define ENDS_WITH(type, field, lp64, ilp32_8, ilp32_4)                                             \
    _Static_assert(sizeof(type) == LAYOUT(lp64, ilp32_8, ilp32_4) &&                               \
                       sizeof(type) == offsetof(type, field) + FIELD_SIZE(type, field),            \
                   "the end of " #type)

#define ARRAY_LAYOUT(type)                                                                         \
    FIELD_AT(type, data, sizeof(void *), 0, 0, 0);                                                 \
    FIELD_AT(type, dtype, 4, 8, 4, 4);                                                             \
    FIELD_AT(type, layout, 4, 12, 8, 8);                                                           \
    FIELD_AT(type, strides, 64, 16, 16, 12);                                                       \
    ENDS_WITH(type, strides, 80, 80, 76)

ARRAY_LAYOUT(fghm_input);
ARRAY_LAYOUT(fghm_output);

FIELD_AT(fghm_batch, size, 4, 0, 0, 0);
FIELD_AT(fghm_batch, tag, 4, 4, 4, 4);
FIELD_AT(fghm_batch, ndim, 4, 8, 8, 8);
FIELD_AT(fghm_batch, class_axis, 4, 12, 12, 12);
FIELD_AT(fghm_batch, shape, 64, 16, 16, 16);
FIELD_AT(fghm_batch, activation, 4, 80, 80, 80);
FIELD_AT(fghm_batch, target_form, 4, 84, 84, 84);
FIELD_AT(fghm_batch, background, 4, 88, 88, 88);
FIELD_AT(fghm_batch, flags, 4, 92, 92, 92);
FIELD_AT(fghm_batch, ignore_index, 8, 96, 96, 96);
FIELD_AT(fghm_batch, label_smoothing, 8, 104, 104, 104);
FIELD_AT(fghm_batch, class_alpha, sizeof(void *), 112, 112, 112);
FIELD_AT(fghm_batch, class_gamma, sizeof(void *), 120, 116, 116);
FIELD_AT(fghm_batch, class_weights, sizeof(void *), 128, 120, 120);
FIELD_AT(fghm_batch, class_offsets, sizeof(void *), 136, 124, 124);
FIELD_AT(fghm_batch, logits, sizeof(fghm_input), 144, 128, 128);
FIELD_AT(fghm_batch, targets, sizeof(fghm_input), 224, 208, 204);
FIELD_AT(fghm_batch, scores, sizeof(fghm_input), 304, 288, 280);
FIELD_AT(fghm_batch, weights, sizeof(fghm_input), 384, 368, 356);
FIELD_AT(fghm_batch, element_loss, sizeof(fghm_output), 464, 448, 432);
FIELD_AT(fghm_batch, gradient, sizeof(fghm_output), 544, 528, 508);
FIELD_AT(fghm_batch, hessian, sizeof(fghm_output), 624, 608, 584);
FIELD_AT(fghm_batch, harmonizing_weight, sizeof(fghm_output), 704, 688, 660);
ENDS_WITH(fghm_batch, harmonizing_weight, 784, 768, 736);
_Static_assert(FGHM_BATCH_SIZE_0_2 == LAYOUT(784, 768, 736), "FGHM_BATCH_SIZE_0_2");
_Static_assert(FGHM_BATCH_SIZE_0_2 % 8 == 0, "sizes are multiples of 8");

FIELD_AT(fghm_result, size, 4, 0, 0, 0);
FIELD_AT(fghm_result, filled, 4, 4, 4, 4);
FIELD_AT(fghm_result, status, 4, 8, 8, 8);
FIELD_AT(fghm_result, field, 4, 12, 12, 12);
FIELD_AT(fghm_result, other_field, 4, 16, 16, 16);
FIELD_AT(fghm_result, place, 4, 20, 20, 20);
FIELD_AT(fghm_result, offender, 8, 24, 24, 24);
FIELD_AT(fghm_result, loss, 8, 32, 32, 32);
FIELD_AT(fghm_result, sum, 8, 40, 40, 40);
FIELD_AT(fghm_result, divisor, 8, 48, 48, 48);
FIELD_AT(fghm_result, sum_weights, 8, 56, 56, 56);
FIELD_AT(fghm_result, sum_targets, 8, 64, 64, 64);
FIELD_AT(fghm_result, elements, 8, 72, 72, 72);
FIELD_AT(fghm_result, valid, 8, 80, 80, 80);
FIELD_AT(fghm_result, positives, 8, 88, 88, 88);
ENDS_WITH(fghm_result, positives, 96, 96, 96);
_Static_assert(FGHM_RESULT_SIZE_0_2 == 96, "FGHM_RESULT_SIZE_0_2");

_Static_assert(FGHM_TAG == 0x46474d31, "FGHM_TAG");
_Static_assert(FGHM_AXES_MAX == 8, "FGHM_AXES_MAX");
_Static_assert(FGHM_AXIS_NONE == -128, "FGHM_AXIS_NONE");
_Static_assert(FGHM_UNSET == INT64_MIN, "FGHM_UNSET");
_Static_assert(FGHM_IGNORE_NONE == INT64_MIN, "FGHM_IGNORE_NONE");

#endif
