/* SPDX-License-Identifier: MIT */
/* Arrays: a descriptor is read, checked in the order of its fields, and becomes a plan; so do
 * contiguous arrays.  All that decides what a call does is settled here, once; walks only walk. */
#include "plan.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "array.h"
#include "check.h"
#include "kernels/double_sum.h"
#include "range.h"

/* More classes than this have no exact index in float. */
#define SOFTMAX_CLASSES_MAX ((int64_t)1 << 24)

/* All flags. */
#define FGHM_FLAGS (FGHM_NAN_TARGETS_IGNORED | FGHM_CLASS_WEIGHTS_OF_TERMS)

/* Structs may grow up to a page: a size beyond that is garbage, not a later version's. */
#define STRUCT_SIZE_MAX 4096

/* Structs ---------------------------------------------------------------------- */

static bool is_size(size_t size, size_t least) {
    return size >= least && size <= STRUCT_SIZE_MAX && size % 8 == 0;
}

fghm_status fghm_batch_init(fghm_batch *batch, size_t size) {
    static const fghm_batch initial = FGHM_BATCH_INIT;
    FGHM_REQUIRE(batch != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(is_size(size, FGHM_BATCH_SIZE_0_2), FGHM_ERROR_STRUCT);
    memset(batch, 0, size);
    memcpy(batch, &initial, size < sizeof initial ? size : sizeof initial);
    batch->size = (uint32_t)size;
    return FGHM_OK;
}

fghm_status fghm_result_init(fghm_result *result, size_t size) {
    static const fghm_result initial = FGHM_RESULT_INIT;
    FGHM_REQUIRE(result != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(is_size(size, FGHM_RESULT_SIZE_0_2), FGHM_ERROR_STRUCT);
    memset(result, 0, size);
    memcpy(result, &initial, size < sizeof initial ? size : sizeof initial);
    result->size = (uint32_t)size;
    return FGHM_OK;
}

/* The caller's descriptor, if it has all fields; else a copy of it in `room`, where those that it
 * does not have are neutral at 0.  What it has beyond the known ones must be 0. */
static fghm_status read_descriptor(const fghm_batch *batch, fghm_batch *room,
                                   const fghm_batch **known, struct fghm_report *report) {
    const unsigned char *const bytes = (const unsigned char *)batch;
    const size_t size = batch->size;
    /* First, since without the tag the size is no size either. */
    if (batch->tag != FGHM_TAG) {
        return fghm_fail(report, FGHM_ERROR_UNINITIALIZED, FGHM_FIELD_TAG);
    }
    if (!is_size(size, FGHM_BATCH_SIZE_0_2)) {
        return fghm_fail(report, FGHM_ERROR_STRUCT, FGHM_FIELD_SIZE);
    }
    for (size_t i = sizeof *batch; i < size; i++) {
        if (bytes[i] != 0) {
            return fghm_fail(report, FGHM_ERROR_STRUCT, FGHM_FIELD_SIZE);
        }
    }
    if (size < sizeof *room) {
        memset(room, 0, sizeof *room);
        memcpy(room, batch, size);
    }
    *known = size < sizeof *room ? room : batch;
    return FGHM_OK;
}

/* Shape ------------------------------------------------------------------------ */

static fghm_status read_class_axis(const fghm_batch *batch, struct fghm_axes *axes,
                                   struct fghm_report *report) {
    const int32_t axis = batch->class_axis;
    if (axis == FGHM_AXIS_NONE) {
        axes->class_axis = -1;
        return FGHM_OK;
    }
    if (axis < -batch->ndim || axis >= batch->ndim) {
        return fghm_fail(report, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_AXIS);
    }
    axes->class_axis = axis < 0 ? axis + batch->ndim : axis;
    return FGHM_OK;
}

static fghm_status bad_extent(const struct fghm_axes *axes, int axis, int64_t extent,
                              struct fghm_report *report) {
    const fghm_status status = extent == FGHM_UNSET ? FGHM_ERROR_UNSET : FGHM_ERROR_RANGE;
    fghm_fail_at(report, status, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS, axis);
    report->other_field = axis >= axes->ndim ? FGHM_FIELD_NDIM : FGHM_FIELD_NONE;
    return status;
}

/* The shape, and its product. */
static fghm_status read_shape(const fghm_batch *batch, struct fghm_axes *axes, size_t *elements,
                              struct fghm_report *report) {
    if (batch->ndim == 0) {
        return fghm_fail(report, FGHM_ERROR_UNSET, FGHM_FIELD_NDIM);
    }
    if (batch->ndim < 0 || batch->ndim > FGHM_AXES_MAX) {
        return fghm_fail(report, FGHM_ERROR_RANGE, FGHM_FIELD_NDIM);
    }
    axes->ndim = batch->ndim;
    FGHM_TRY(read_class_axis(batch, axes, report));
    size_t product = 1;
    bool overflows = false;
    bool empty = false;
    for (int axis = 0; axis < axes->ndim; axis++) {
        const int64_t extent = batch->shape[axis];
        if (extent < (axis == axes->class_axis)) {
            return bad_extent(axes, axis, extent, report);
        }
        axes->extents[axis] = extent;
        empty = empty || extent == 0;
        overflows = __builtin_mul_overflow(product, extent, &product) || overflows;
    }
    for (int axis = axes->ndim; axis < FGHM_AXES_MAX; axis++) {
        if (batch->shape[axis] != FGHM_UNSET) {
            return bad_extent(axes, axis, batch->shape[axis], report);
        }
    }
    if (!empty && (overflows || product > PTRDIFF_MAX / sizeof(double))) {
        return fghm_fail(report, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE);
    }
    *elements = empty ? 0 : product;
    return FGHM_OK;
}

/* The three extents that kernels know; for a batch with elements. */
static struct fghm_shape folded_shape(const struct fghm_axes *axes) {
    struct fghm_shape shape = {1, 1, 1};
    for (int axis = 0; axis < axes->ndim; axis++) {
        const size_t extent = (size_t)axes->extents[axis];
        if (axis < axes->class_axis) {
            shape.outer *= extent;
        } else if (axis == axes->class_axis) {
            shape.classes = extent;
        } else {
            shape.inner *= extent;
        }
    }
    if (shape.classes == 1) {
        shape = (struct fghm_shape){1, 1, shape.outer * shape.inner};
    }
    return shape;
}

/* Settings ---------------------------------------------------------------------- */

static bool is_between(int32_t value, int32_t last) {
    return value >= 0 && value <= last;
}

static fghm_status check_constants(const fghm_batch *batch, struct fghm_report *report) {
    const struct {
        fghm_field field;
        bool fits;
    } constants[] = {
        {FGHM_FIELD_ACTIVATION, is_between(batch->activation, FGHM_PROBABILITY)},
        {FGHM_FIELD_TARGET_FORM, is_between(batch->target_form, FGHM_TARGET_LABEL_SCORE)},
        {FGHM_FIELD_BACKGROUND, is_between(batch->background, FGHM_BACKGROUND_MINUS_ONE)},
        {FGHM_FIELD_FLAGS, is_between(batch->flags, FGHM_FLAGS)},
    };
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        if (!constants[i].fits) {
            return fghm_fail(report, FGHM_ERROR_CONSTANT, constants[i].field);
        }
    }
    if (!(batch->label_smoothing >= 0 && batch->label_smoothing <= 1)) {
        return fghm_fail(report, FGHM_ERROR_RANGE, FGHM_FIELD_LABEL_SMOOTHING);
    }
    return FGHM_OK;
}

fghm_status fghm_check_conflicts(const struct fghm_conflict *conflicts, size_t count,
                                 struct fghm_report *report) {
    for (size_t i = 0; i < count; i++) {
        if (conflicts[i].there) {
            return fghm_fail_both(report, FGHM_ERROR_COMBINATION, conflicts[i].field,
                                  conflicts[i].other);
        }
    }
    return FGHM_OK;
}

/* Whether the descriptor has nothing but arrays of logits, dense targets, weights and outputs: what
 * every loss can compute, and nothing that would not go together with something else. */
static bool is_plain(const fghm_batch *batch) {
    return batch->activation == FGHM_SIGMOID && batch->target_form == FGHM_TARGET_DENSE &&
           batch->background == FGHM_BACKGROUND_NONE && batch->flags == 0 &&
           batch->ignore_index == FGHM_IGNORE_NONE && batch->label_smoothing == 0 &&
           batch->class_alpha == NULL && batch->class_gamma == NULL &&
           batch->class_weights == NULL && batch->class_offsets == NULL &&
           batch->scores.data == NULL && batch->harmonizing_weight.data == NULL;
}

/* What the descriptor says, held against itself. */
static fghm_status check_combinations(const fghm_batch *batch, struct fghm_report *report) {
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    const bool labels = batch->target_form != FGHM_TARGET_DENSE;
    const bool scores = batch->target_form == FGHM_TARGET_LABEL_SCORE;
    const bool no_classes = batch->class_axis == FGHM_AXIS_NONE;
    const struct fghm_conflict conflicts[] = {
        {softmax && no_classes, FGHM_FIELD_ACTIVATION, FGHM_FIELD_CLASS_AXIS},
        {labels && no_classes, FGHM_FIELD_TARGET_FORM, FGHM_FIELD_CLASS_AXIS},
        {softmax && scores, FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM},
        {softmax && batch->background == FGHM_BACKGROUND_MINUS_ONE, FGHM_FIELD_BACKGROUND,
         FGHM_FIELD_ACTIVATION},
        {!labels && batch->background != FGHM_BACKGROUND_NONE, FGHM_FIELD_BACKGROUND,
         FGHM_FIELD_TARGET_FORM},
        {labels && (batch->flags & FGHM_NAN_TARGETS_IGNORED) != 0, FGHM_FIELD_FLAGS,
         FGHM_FIELD_TARGET_FORM},
        {!softmax && (batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0, FGHM_FIELD_FLAGS,
         FGHM_FIELD_ACTIVATION},
        {softmax && !labels && batch->ignore_index != FGHM_IGNORE_NONE, FGHM_FIELD_IGNORE_INDEX,
         FGHM_FIELD_TARGET_FORM},
        {!scores && batch->scores.data != NULL, FGHM_FIELD_SCORES, FGHM_FIELD_TARGET_FORM},
        {batch->class_offsets != NULL && batch->activation == FGHM_PROBABILITY,
         FGHM_FIELD_CLASS_OFFSETS, FGHM_FIELD_ACTIVATION},
    };
    return fghm_check_conflicts(conflicts, sizeof conflicts / sizeof conflicts[0], report);
}

/* The same held against what the loss can do. */
static fghm_status check_limits(const fghm_batch *batch, const struct fghm_batch_limits *limits,
                                struct fghm_report *report) {
    const fghm_field because = limits->because;
    const struct fghm_conflict conflicts[] = {
        {!limits->softmax && batch->activation == FGHM_SOFTMAX, FGHM_FIELD_ACTIVATION, because},
        {!limits->soft_samples && batch->activation == FGHM_SOFTMAX &&
             batch->target_form == FGHM_TARGET_DENSE,
         FGHM_FIELD_ACTIVATION, FGHM_FIELD_TARGET_FORM},
        {!limits->soft_samples && batch->activation == FGHM_SOFTMAX && batch->label_smoothing != 0,
         FGHM_FIELD_LABEL_SMOOTHING, FGHM_FIELD_ACTIVATION},
        {!limits->class_factors && (batch->flags & FGHM_CLASS_WEIGHTS_OF_TERMS) != 0,
         FGHM_FIELD_FLAGS, because},
        {!limits->probability && batch->activation == FGHM_PROBABILITY, FGHM_FIELD_ACTIVATION,
         because},
        {!limits->labels && batch->target_form != FGHM_TARGET_DENSE, FGHM_FIELD_TARGET_FORM,
         because},
        {!limits->scores && batch->target_form == FGHM_TARGET_LABEL_SCORE, FGHM_FIELD_TARGET_FORM,
         because},
        {!limits->smoothing && batch->label_smoothing != 0, FGHM_FIELD_LABEL_SMOOTHING, because},
        {!limits->class_factors && batch->class_alpha != NULL, FGHM_FIELD_CLASS_ALPHA, because},
        {!limits->class_factors && batch->class_weights != NULL, FGHM_FIELD_CLASS_WEIGHTS, because},
        {!limits->class_factors && batch->class_offsets != NULL, FGHM_FIELD_CLASS_OFFSETS, because},
        {!limits->class_gamma && batch->class_gamma != NULL, FGHM_FIELD_CLASS_GAMMA, because},
        {!limits->harmonizing_weight && batch->harmonizing_weight.data != NULL,
         FGHM_FIELD_HARMONIZING_WEIGHT, because},
    };
    return fghm_check_conflicts(conflicts, sizeof conflicts / sizeof conflicts[0], report);
}

static fghm_status check_class_numbers(const fghm_batch *batch, size_t classes,
                                       struct fghm_report *report) {
    const struct {
        const double *numbers;
        double least, most;
        fghm_field field;
    } factors[] = {{batch->class_alpha, 0x1p-40, 1, FGHM_FIELD_CLASS_ALPHA},
                   {batch->class_gamma, 0, 64, FGHM_FIELD_CLASS_GAMMA},
                   {batch->class_weights, 0x1p-40, 0x1p40, FGHM_FIELD_CLASS_WEIGHTS}};
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        for (size_t c = 0; factors[i].numbers != NULL && c < classes; c++) {
            const double factor = factors[i].numbers[c];
            /* So small a range that products of factors stay in that of float. */
            if (factor != 0 && !(factor >= factors[i].least && factor <= factors[i].most)) {
                return fghm_fail_at(report, FGHM_ERROR_RANGE, factors[i].field, FGHM_PLACE_CLASS,
                                    (int64_t)c);
            }
        }
    }
    for (size_t c = 0; batch->class_offsets != NULL && c < classes; c++) {
        if (!(fabs(batch->class_offsets[c]) <= DBL_MAX)) {
            return fghm_fail_at(report, FGHM_ERROR_RANGE, FGHM_FIELD_CLASS_OFFSETS,
                                FGHM_PLACE_CLASS, (int64_t)c);
        }
    }
    return FGHM_OK;
}

static void set_labels(const fghm_batch *batch, bool softmax, int64_t classes,
                       struct fghm_arrays *arrays) {
    arrays->labels = batch->target_form != FGHM_TARGET_DENSE;
    arrays->has_background = batch->background != FGHM_BACKGROUND_NONE;
    arrays->first_label = 0;
    switch (batch->background) {
    case FGHM_BACKGROUND_LAST:
        arrays->background = softmax ? classes - 1 : classes;
        break;
    case FGHM_BACKGROUND_FIRST:
        arrays->first_label = softmax ? 0 : 1;
        arrays->background = 0;
        break;
    default:
        arrays->background = -1;
        break;
    }
}

/* Arrays ------------------------------------------------------------------------ */

/* No arrays yet, and what is said of their elements.  One field after the other, since small calls
 * feel the clearing of all that is said of an array. */
static void set_arrays(const fghm_batch *batch, bool plain, struct fghm_arrays *arrays) {
    arrays->logits.data = arrays->targets.data = arrays->scores.data = arrays->weights.data = NULL;
    arrays->element_loss.data = arrays->gradient.data = arrays->hessian.data = NULL;
    arrays->harmonizing_weight.data = NULL;
    arrays->plain = plain;
    arrays->ignoring = batch->ignore_index != FGHM_IGNORE_NONE;
    arrays->ignore_index = batch->ignore_index;
    arrays->nan_ignored = (batch->flags & FGHM_NAN_TARGETS_IGNORED) != 0;
    arrays->label_smoothing = batch->label_smoothing;
    arrays->factors = (struct fghm_class_factors){batch->class_alpha, batch->class_weights, 1};
    arrays->offsets = batch->class_offsets;
    arrays->gammas = batch->class_gamma;
    arrays->zero_scores = false;
}

/* The arrays of a descriptor, inputs first. */
enum { LOGITS, TARGETS, SCORES, WEIGHTS, ELEMENT_LOSS, GRADIENT, HESSIAN, HARMONIZING, ARRAYS };
#define INPUTS ELEMENT_LOSS

/* Inputs and outputs differ in a const alone, and one is where its index says. */
_Static_assert(sizeof(fghm_input) == sizeof(fghm_output) &&
                   offsetof(fghm_input, strides) == offsetof(fghm_output, strides) &&
                   offsetof(fghm_batch, harmonizing_weight) ==
                       offsetof(fghm_batch, logits) + HARMONIZING * sizeof(fghm_input),
               "arrays of a descriptor lie like those of an array");
_Static_assert(offsetof(fghm_input, dtype) == offsetof(struct fghm_owned, dtype) &&
                   offsetof(fghm_input, layout) == offsetof(struct fghm_owned, layout),
               "struct fghm_owned begins as they do");

static struct fghm_owned array_of(const fghm_batch *batch, int index) {
    const char *const at =
        (const char *)batch + offsetof(fghm_batch, logits) + (size_t)index * sizeof(fghm_input);
    struct fghm_owned array;
    memcpy(&array, at, offsetof(struct fghm_owned, strides));
    array.strides = (const int64_t *)(const void *)(at + offsetof(fghm_input, strides));
    return array;
}

/* One of them: what there is to know of it. */
struct slot {
    fghm_field field;
    bool written;
    struct fghm_owned array;
    enum fghm_array_kind kind;
    bool floating, integer;
    /* Whether an output takes the place of this input, or this output of an input: kernels then
     * work on copies, since they may look at an input once more after they have written. */
    bool shared;
    struct fghm_array *to;
    struct fghm_view view;
};

static bool is_needed(const fghm_batch *batch, int index) {
    return index == LOGITS || index == TARGETS ||
           (index == SCORES && batch->target_form == FGHM_TARGET_LABEL_SCORE);
}

static void set_slot(const fghm_batch *batch, int index, struct slot *slot) {
    const bool labels = batch->target_form != FGHM_TARGET_DENSE;
    const bool of_loss = index == WEIGHTS || index == ELEMENT_LOSS || index == HARMONIZING;
    const bool of_samples = index == SCORES || (index == TARGETS && labels) ||
                            (of_loss && batch->activation == FGHM_SOFTMAX);
    slot->field = FGHM_FIELD_LOGITS + index;
    slot->written = index >= INPUTS;
    slot->kind = of_samples ? FGHM_ARRAY_OF_SAMPLES : FGHM_ARRAY_OF_ELEMENTS;
    slot->floating = index != TARGETS || !labels;
    slot->integer = index == TARGETS;
    slot->shared = false;
}

static fghm_status read_slot(const struct fghm_axes *axes, struct slot *slot,
                             struct fghm_report *report) {
    const fghm_dtype dtype = slot->array.dtype;
    if (dtype == FGHM_DTYPE_UNSET) {
        return fghm_fail(report, FGHM_ERROR_UNSET, slot->field);
    }
    if (!fghm_dtype_is_floating(dtype) && !fghm_dtype_is_integer(dtype)) {
        return fghm_fail(report, FGHM_ERROR_CONSTANT, slot->field);
    }
    if (!(slot->floating && fghm_dtype_is_floating(dtype)) &&
        !(slot->integer && fghm_dtype_is_integer(dtype))) {
        return fghm_fail(report, FGHM_ERROR_DTYPE, slot->field);
    }
    if (fghm_array_steps_along_classes(axes, slot->kind, &slot->array)) {
        return fghm_fail_at(report, FGHM_ERROR_STRIDE, slot->field, FGHM_PLACE_AXIS,
                            axes->class_axis);
    }
    const fghm_status status =
        fghm_view_make(axes, slot->kind, &slot->array, slot->written, &slot->view);
    return status == FGHM_OK ? FGHM_OK : fghm_fail(report, status, slot->field);
}

/* Those of them that are there. */
struct present {
    struct slot slots[ARRAYS];
    int count;
};

/* An output may take the place of an input, element for element; else it meets nothing. */
static bool may_meet(const struct slot *a, const struct slot *b) {
    return a->written != b->written && fghm_views_are_same(&a->view, &b->view);
}

/* What else is there: factors of classes, which are read, and results. */
struct others {
    struct {
        struct fghm_range range;
        fghm_field field;
    } ranges[6];
    int count;
};

static inline void add_other(struct others *others, const void *array, size_t bytes,
                             fghm_field field) {
    if (array != NULL) {
        others->ranges[others->count].range = fghm_range_of(array, bytes);
        others->ranges[others->count].field = field;
        others->count++;
    }
}

/* Finds which slots are shared, too. */
static fghm_status check_overlaps(const fghm_batch *batch, const fghm_result *result,
                                  const double *loss, struct present *present, size_t classes,
                                  struct fghm_report *report) {
    const size_t doubles = classes * sizeof(double);
    struct others others;
    others.count = 0;
    add_other(&others, batch->class_alpha, doubles, FGHM_FIELD_CLASS_ALPHA);
    add_other(&others, batch->class_gamma, doubles, FGHM_FIELD_CLASS_GAMMA);
    add_other(&others, batch->class_weights, doubles, FGHM_FIELD_CLASS_WEIGHTS);
    add_other(&others, batch->class_offsets, doubles, FGHM_FIELD_CLASS_OFFSETS);
    const int factors = others.count;
    add_other(&others, result, result == NULL ? 0 : result->size, FGHM_FIELD_RESULT);
    add_other(&others, loss, sizeof *loss, FGHM_FIELD_RESULT);
    for (int i = 0; i < present->count; i++) {
        struct slot *const slot = &present->slots[i];
        for (int k = i + 1; k < present->count; k++) {
            struct slot *const output = &present->slots[k];
            if (!output->written || fghm_views_are_apart(&output->view, &slot->view)) {
                continue;
            }
            if (!may_meet(slot, output)) {
                return fghm_fail_both(report, FGHM_ERROR_ALIASING, output->field, slot->field);
            }
            slot->shared = output->shared = true;
        }
        for (int k = slot->written ? 0 : factors; k < others.count; k++) {
            if (fghm_ranges_meet(slot->view.range, others.ranges[k].range)) {
                return fghm_fail_both(report, FGHM_ERROR_ALIASING, slot->field,
                                      others.ranges[k].field);
            }
        }
    }
    for (int k = 0; k < factors && result != NULL; k++) {
        if (fghm_ranges_meet(others.ranges[k].range, others.ranges[factors].range)) {
            return fghm_fail_both(report, FGHM_ERROR_ALIASING, others.ranges[k].field,
                                  FGHM_FIELD_RESULT);
        }
    }
    return FGHM_OK;
}

/* What most small calls have: a plain batch whose arrays are contiguous, of the type that is
 * computed in, and apart from each other.  Of any other, false: they go the long way, where errors
 * are found. */
static bool make_direct_arrays(const fghm_batch *batch, const fghm_result *result,
                               const double *loss, size_t elements, const struct fghm_plan *plan,
                               struct fghm_arrays *arrays) {
    static const int indices[] = {LOGITS, TARGETS, WEIGHTS, ELEMENT_LOSS, GRADIENT, HESSIAN};
    struct fghm_array *const to[] = {&arrays->logits,       &arrays->targets,  &arrays->weights,
                                     &arrays->element_loss, &arrays->gradient, &arrays->hessian};
    const int32_t real = plan->is_double ? FGHM_F64 : FGHM_F32;
    const size_t bytes = elements * fghm_dtype_size(real);
    struct fghm_range taken[2 + sizeof indices / sizeof indices[0]] = {
        fghm_range_of(result, result == NULL ? 0 : result->size),
        fghm_range_of(loss, sizeof *loss)};
    int count = 2;
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        const struct fghm_owned array = array_of(batch, indices[i]);
        if (array.data == NULL && !is_needed(batch, indices[i])) {
            continue;
        }
        const struct fghm_range range = {(uintptr_t)array.data, bytes};
        if (array.data == NULL || array.dtype != real || array.layout != FGHM_LAYOUT_CONTIGUOUS ||
            fghm_has_strides(array.strides) || bytes - 1 > UINTPTR_MAX - range.first) {
            return false;
        }
        /* Inputs may meet each other. */
        for (int k = 0; k < (indices[i] < INPUTS ? 2 : count); k++) {
            if (fghm_ranges_meet(range, taken[k])) {
                return false;
            }
        }
        taken[count++] = range;
        fghm_array_direct(array.data, real, elements, to[i]);
    }
    arrays->direct = true;
    return true;
}

static fghm_status make_arrays(const fghm_batch *batch, const fghm_result *result,
                               const double *loss, const struct fghm_axes *axes,
                               const struct fghm_plan *plan, struct fghm_arrays *arrays,
                               struct fghm_report *report) {
    struct fghm_array *const to[ARRAYS] = {
        &arrays->logits,       &arrays->targets,  &arrays->scores,  &arrays->weights,
        &arrays->element_loss, &arrays->gradient, &arrays->hessian, &arrays->harmonizing_weight};
    struct present present;
    present.count = 0;
    for (int i = 0; i < ARRAYS; i++) {
        struct slot *const slot = &present.slots[present.count];
        slot->array = array_of(batch, i);
        if (slot->array.data != NULL) {
            set_slot(batch, i, slot);
            FGHM_TRY(read_slot(axes, slot, report));
            slot->to = to[i];
            present.count++;
        } else if (is_needed(batch, i)) {
            return fghm_fail(report, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_LOGITS + i);
        }
    }
    FGHM_TRY(check_overlaps(batch, result, loss, &present, plan->shape.classes, report));
    arrays->direct = arrays->plain;
    const int32_t real = plan->is_double ? FGHM_F64 : FGHM_F32;
    for (int i = 0; i < present.count; i++) {
        const struct slot *const slot = &present.slots[i];
        struct fghm_array *const array = slot->to;
        const bool by_sample = plan->by_sample || slot->kind == FGHM_ARRAY_OF_SAMPLES;
        fghm_view_fold(&slot->view, by_sample, array);
        array->direct = array->contiguous && array->dtype == real && !slot->shared;
        arrays->direct = arrays->direct && array->direct;
    }
    return FGHM_OK;
}

/* How many numbers lie from the first to the last of a view, on either side of index 0. */
static void reach_of(const struct fghm_view *view, size_t *before, size_t *after) {
    *before = 0;
    *after = 1;
    for (int axis = 0; axis < view->ndim; axis++) {
        const int64_t way = (view->extents[axis] - 1) * view->strides[axis];
        *(way < 0 ? before : after) += (size_t)(way < 0 ? -way : way);
    }
}

fghm_status fghm_batch_reach(const fghm_batch *caller_batch, fghm_field field, size_t *before,
                             size_t *after) {
    struct fghm_report report = {0};
    struct fghm_axes axes;
    fghm_batch room;
    const fghm_batch *batch;
    size_t elements;
    FGHM_REQUIRE(caller_batch != NULL && before != NULL && after != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(field >= FGHM_FIELD_CLASS_ALPHA && field <= FGHM_FIELD_HARMONIZING_WEIGHT,
                 FGHM_ERROR_CONSTANT);
    FGHM_TRY(read_descriptor(caller_batch, &room, &batch, &report));
    FGHM_TRY(read_shape(batch, &axes, &elements, &report));
    FGHM_TRY(check_constants(batch, &report));
    size_t low = 0;
    size_t high = 0;
    if (field < FGHM_FIELD_LOGITS) {
        high = axes.class_axis < 0 ? 1 : (size_t)axes.extents[axes.class_axis];
    } else {
        const int index = field - FGHM_FIELD_LOGITS;
        struct slot slot = {0};
        if (elements > 0) {
            set_slot(batch, index, &slot);
            slot.array = array_of(batch, index);
            /* Wherever it lies: here neither end leaves the address space. */
            slot.array.data = (void *)(UINTPTR_MAX / 2);
            FGHM_TRY(read_slot(&axes, &slot, &report));
            reach_of(&slot.view, &low, &high);
        }
    }
    *before = low;
    *after = high;
    return FGHM_OK;
}

/* The plan ----------------------------------------------------------------------- */

fghm_status fghm_plan_make(const fghm_batch *caller_batch, const struct fghm_batch_limits *limits,
                           bool by_class, const fghm_result *result, const double *loss,
                           struct fghm_plan *plan, struct fghm_arrays *arrays,
                           struct fghm_report *report) {
    fghm_batch room;
    const fghm_batch *batch;
    if (caller_batch == NULL) {
        return fghm_fail(report, FGHM_ERROR_NULL_POINTER, FGHM_FIELD_BATCH);
    }
    if (result != NULL && !is_size(result->size, FGHM_RESULT_SIZE_0_2)) {
        /* It has no tag; a struct that was only zeroed shows by its size. */
        return fghm_fail(report, result->size == 0 ? FGHM_ERROR_UNINITIALIZED : FGHM_ERROR_STRUCT,
                         FGHM_FIELD_RESULT);
    }
    FGHM_TRY(read_descriptor(caller_batch, &room, &batch, report));
    struct fghm_axes axes;
    size_t elements;
    FGHM_TRY(read_shape(batch, &axes, &elements, report));
    const bool plain = is_plain(batch);
    if (!plain) {
        FGHM_TRY(check_constants(batch, report));
        FGHM_TRY(check_combinations(batch, report));
        FGHM_TRY(check_limits(batch, limits, report));
    }
    const int64_t classes = axes.class_axis < 0 ? 1 : axes.extents[axes.class_axis];
    const bool softmax = batch->activation == FGHM_SOFTMAX;
    if (classes > (softmax ? SOFTMAX_CLASSES_MAX : INT32_MAX)) {
        return fghm_fail_at(report, FGHM_ERROR_SIZE, FGHM_FIELD_SHAPE, FGHM_PLACE_AXIS,
                            axes.class_axis);
    }
    *plan = (struct fghm_plan){
        .shape = {0, (size_t)classes, 0},
        .is_double = batch->logits.dtype == FGHM_F64,
        .softmax = softmax,
        .by_sample = softmax || by_class,
        .counting = result != NULL,
        .arrays = arrays,
    };
    set_arrays(batch, plain, arrays);
    set_labels(batch, softmax, classes, arrays);
    if (elements == 0) {
        return FGHM_OK;
    }
    plan->shape = folded_shape(&axes);
    if (plain && !by_class && make_direct_arrays(batch, result, loss, elements, plan, arrays)) {
        return FGHM_OK;
    }
    FGHM_TRY(check_class_numbers(batch, plan->shape.classes, report));
    return make_arrays(batch, result, loss, &axes, plan, arrays, report);
}

/* Whether an array meets another one, which may be NULL. */
static inline bool meets(const void *array, size_t bytes, const void *other, size_t other_bytes) {
    return other != NULL && fghm_bytes_meet((uintptr_t)array, bytes, (uintptr_t)other, other_bytes);
}

/* Whether an output meets an input that it does not replace.  No loops: what a small call costs
 * counts. */
static inline bool meets_input(const void *output, size_t bytes, const void *input) {
    return fghm_bytes_meet((uintptr_t)output, bytes, (uintptr_t)input, bytes) && output != input;
}

static inline bool meets_inputs(const struct fghm_span *span, size_t bytes, const void *output) {
    return meets_input(output, bytes, span->logits) || meets_input(output, bytes, span->targets) ||
           (span->weights != NULL && meets_input(output, bytes, span->weights));
}

/* Whether contiguous arrays, `bytes` each, can be where they are, and the loss (or NULL) too. */
static bool are_apart(const struct fghm_span *span, size_t bytes, const double *loss) {
    const void *const element_loss = span->element_loss;
    const void *const gradient = span->gradient;
    const void *const hessian = span->hessian;
    const size_t one = sizeof *loss;
    if (element_loss != NULL &&
        (meets_inputs(span, bytes, element_loss) || meets(element_loss, bytes, gradient, bytes) ||
         meets(element_loss, bytes, hessian, bytes) || meets(element_loss, bytes, loss, one))) {
        return false;
    }
    if (gradient != NULL &&
        (meets_inputs(span, bytes, gradient) || meets(gradient, bytes, hessian, bytes) ||
         meets(gradient, bytes, loss, one))) {
        return false;
    }
    if (hessian != NULL &&
        (meets_inputs(span, bytes, hessian) || meets(hessian, bytes, loss, one))) {
        return false;
    }
    return loss == NULL ||
           !(meets(span->logits, bytes, loss, one) || meets(span->targets, bytes, loss, one) ||
             meets(loss, one, span->weights, bytes));
}

fghm_status fghm_check_span(const struct fghm_span *span, bool is_double, const double *loss) {
    const size_t most = is_double ? PTRDIFF_MAX / sizeof(double) : PTRDIFF_MAX / sizeof(float);
    const size_t bytes = span->n * (is_double ? sizeof(double) : sizeof(float));
    if (span->n == 0) {
        return FGHM_OK;
    }
    FGHM_REQUIRE(span->logits != NULL && span->targets != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(span->n <= most, FGHM_ERROR_SIZE);
    FGHM_REQUIRE(are_apart(span, bytes, loss), FGHM_ERROR_ALIASING);
    return FGHM_OK;
}

void fghm_plan_of_span(const struct fghm_span *span, bool is_double, struct fghm_plan *plan) {
    *plan = (struct fghm_plan){
        .shape = {1, 1, span->n}, .is_double = is_double, .span = span, .arrays = NULL};
}

void fghm_plan_take_class(size_t class_index, struct fghm_plan *plan, struct fghm_arrays *arrays) {
    struct fghm_array *const of_class[] = {
        &arrays->logits,       &arrays->targets,  &arrays->scores,  &arrays->weights,
        &arrays->element_loss, &arrays->gradient, &arrays->hessian, &arrays->harmonizing_weight};
    *arrays = *plan->arrays;
    for (size_t i = 0; i < sizeof of_class / sizeof of_class[0]; i++) {
        struct fghm_array *const array = of_class[i];
        if (array->data != NULL) {
            const ptrdiff_t offset = (ptrdiff_t)class_index * array->class_stride;
            array->data = (char *)array->data + offset * (ptrdiff_t)fghm_dtype_size(array->dtype);
        }
    }
    arrays->first_label += (int64_t)class_index;
    plan->shape = (struct fghm_shape){1, 1, fghm_plan_samples(plan)};
    plan->arrays = arrays;
}

int64_t fghm_plan_place(const struct fghm_plan *plan, size_t class_index, int64_t element) {
    const int64_t inner = (int64_t)plan->shape.inner;
    const int64_t row = element / inner * (int64_t)plan->shape.classes + (int64_t)class_index;
    return row * inner + element % inner;
}

/* The walk --------------------------------------------------------------------- */

static void add_to(double *high, double *low, double more, double more_low) {
    struct double_sum sum = {*high, *low};
    double_sum_add(&sum, more);
    double_sum_add(&sum, more_low);
    *high = sum.high;
    *low = sum.low;
}

struct fghm_part *fghm_merge_parts(struct fghm_part *parts, size_t segments) {
    if (segments == 0) {
        parts[0] = (struct fghm_part){0};
    }
    struct fghm_part *const all = &parts[0];
    if (segments > 1) {
        all->sum += all->sum_error;
        all->sum_error = 0;
    }
    for (size_t i = 1; i < segments; i++) {
        const struct fghm_part *const part = &parts[i];
        /* Of softmax, the elements of a part need not be behind those of the part before. */
        if (all->bad == FGHM_BAD_NOTHING ||
            (part->bad == FGHM_BAD_DENSE && all->bad == FGHM_BAD_DENSE &&
             part->offender < all->offender) ||
            (part->bad == FGHM_BAD_LABEL && all->bad != FGHM_BAD_LABEL)) {
            all->offender = part->offender;
            all->bad = part->bad;
        }
        all->targets.positives += part->targets.positives;
        all->ignored += part->ignored;
        add_to(&all->sum, &all->sum_error, part->sum + part->sum_error, 0);
        all->sum_huge += part->sum_huge;
        add_to(&all->sum_weights, &all->sum_weights_error, part->sum_weights,
               part->sum_weights_error);
        add_to(&all->targets.sum, &all->targets.sum_error, part->targets.sum,
               part->targets.sum_error);
    }
    return all;
}

fghm_status fghm_part_status(const struct fghm_part *part, struct fghm_report *report) {
    static const struct {
        fghm_status status;
        fghm_field field;
        fghm_place place;
    } kinds[] = {
        [FGHM_BAD_DENSE] = {FGHM_ERROR_TARGET, FGHM_FIELD_TARGETS, FGHM_PLACE_ELEMENT},
        [FGHM_BAD_LABEL] = {FGHM_ERROR_LABEL, FGHM_FIELD_TARGETS, FGHM_PLACE_SAMPLE},
        [FGHM_BAD_LOGIT] = {FGHM_ERROR_PROBABILITY, FGHM_FIELD_LOGITS, FGHM_PLACE_ELEMENT},
        [FGHM_BAD_SCORE] = {FGHM_ERROR_SCORE, FGHM_FIELD_SCORES, FGHM_PLACE_SAMPLE},
    };
    if (part->bad == FGHM_BAD_NOTHING) {
        return FGHM_OK;
    }
    return fghm_fail_at(report, kinds[part->bad].status, kinds[part->bad].field,
                        kinds[part->bad].place, (int64_t)part->offender);
}

struct survey {
    const struct fghm_kernels *kernels;
    const struct fghm_walk *walk;
    struct fghm_plan plan;
    struct fghm_part parts[FGHM_SEGMENTS_MAX];
};

static void survey_segment(void *context, size_t segment, size_t first, size_t n) {
    struct survey *const survey = context;
    fghm_part_start(&survey->parts[segment]);
    survey->walk->survey(survey->kernels, &survey->plan, first, n, &survey->parts[segment]);
}

static void survey_weights_segment(void *context, size_t segment, size_t first, size_t n) {
    struct survey *const survey = context;
    fghm_part_start(&survey->parts[segment]);
    survey->walk->survey_weights(survey->kernels, &survey->plan, first, n, &survey->parts[segment]);
}

/* Out of line, since few calls need it and its parts need room. */
static __attribute__((noinline)) fghm_status
survey(fghm_pool *pool, const struct fghm_kernels *kernels, const struct fghm_plan *plan,
       bool targets, bool weights, struct fghm_part *part, struct fghm_report *report) {
    struct survey survey;
    survey.kernels = kernels;
    survey.walk = fghm_walk_of(kernels->real_size);
    survey.plan = *plan;
    survey.plan.counting = true;
    if (targets) {
        const size_t units =
            fghm_have_labels(plan->arrays) ? fghm_plan_samples(plan) : fghm_plan_losses(plan);
        const size_t segments = fghm_drive_range(pool, units, 1, survey_segment, &survey);
        *part = *fghm_merge_parts(survey.parts, segments);
        /* A score that is none does not stop the call; a label that is none does. */
        if (part->bad != FGHM_BAD_SCORE) {
            FGHM_TRY(fghm_part_status(part, report));
        }
        /* A sample of the sigmoid form has `classes` elements that can be ignored. */
        if (fghm_have_labels(plan->arrays) && !plan->softmax) {
            part->ignored *= plan->shape.classes;
        }
    }
    if (weights) {
        const size_t segments =
            fghm_drive_range(pool, fghm_plan_losses(plan), 1, survey_weights_segment, &survey);
        const struct fghm_part *const sums = fghm_merge_parts(survey.parts, segments);
        part->sum_weights = sums->sum_weights;
        part->sum_weights_error = sums->sum_weights_error;
    }
    return FGHM_OK;
}

fghm_status fghm_plan_survey(fghm_pool *pool, const struct fghm_kernels *kernels,
                             const struct fghm_plan *plan, bool targets, bool weights,
                             struct fghm_part *part, struct fghm_report *report) {
    *part = (struct fghm_part){0};
    if (!targets && !weights && !fghm_have_labels(plan->arrays)) {
        return FGHM_OK;
    }
    return survey(pool, kernels, plan, targets || fghm_have_labels(plan->arrays), weights, part,
                  report);
}

static bool has_weights(const struct fghm_plan *plan) {
    return plan->arrays == NULL ? plan->span->weights != NULL : plan->arrays->weights.data != NULL;
}

double fghm_plan_sum_weights(const struct fghm_plan *plan, const struct fghm_part *part) {
    const uint64_t valid = fghm_plan_losses(plan) - part->ignored;
    return has_weights(plan) ? part->sum_weights + part->sum_weights_error : (double)valid;
}

double fghm_plan_sum_targets(const struct fghm_part *part) {
    return part->targets.sum + part->targets.sum_error;
}

void fghm_result_of(const struct fghm_plan *plan, const struct fghm_part *all, double divisor,
                    fghm_result *value) {
    const double sum = all->sum + all->sum_error;
    const size_t losses = fghm_plan_losses(plan);
    value->filled = sizeof(fghm_result); /* it has been computed */
    value->loss = quotient_of(sum, all->sum_huge, divisor);
    value->sum = quotient_of(sum, all->sum_huge, 1);
    value->divisor = divisor;
    value->sum_weights = fghm_plan_sum_weights(plan, all);
    value->sum_targets = fghm_plan_sum_targets(all);
    value->elements = losses;
    value->valid = losses - all->ignored;
    value->positives = all->targets.positives;
}

fghm_status fghm_result_end(fghm_result *result, fghm_status status,
                            const struct fghm_report *report, fghm_result *value) {
    if (result == NULL || !is_size(result->size, FGHM_RESULT_SIZE_0_2)) {
        return status;
    }
    const size_t size = result->size;
    const bool whole = status == FGHM_OK || value->filled > 0;
    const size_t known = whole ? sizeof *result : offsetof(fghm_result, loss);
    value->filled = (uint32_t)(known < size ? known : size);
    value->size = (uint32_t)size;
    value->status = status;
    value->field = report->field;
    value->other_field = report->other_field;
    value->place = report->place;
    value->offender = report->offender;
    if (value->filled == sizeof *result) {
        *result = *value; /* without a call: what a small call costs counts */
    } else {
        memcpy(result, value, value->filled);
    }
    return status;
}
