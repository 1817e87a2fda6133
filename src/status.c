/* SPDX-License-Identifier: MIT */
/* The sentences and names of statuses, the names of fields and places: tables, which a test holds
 * against the enums. */
#include "focalghm/status.h"

#include <stddef.h>

struct text {
    int32_t value;
    const char *text;
};

static const struct text statuses[] = {
    {FGHM_OK, "success"},
    {FGHM_ERROR_NULL_HANDLE, "a handle is NULL"},
    {FGHM_ERROR_NULL_POINTER, "a pointer that is needed is NULL"},
    {FGHM_ERROR_NO_OUTPUT, "every output is NULL"},
    {FGHM_ERROR_MEMORY, "out of memory"},
    {FGHM_ERROR_THREADS, "a thread cannot be made"},
    {FGHM_ERROR_STRUCT,
     "a struct has a size of no known version, or an unknown field that is not 0"},
    {FGHM_ERROR_UNINITIALIZED, "a struct has not been initialized"},
    {FGHM_ERROR_UNSET, "a field that has no default has not been set"},
    {FGHM_ERROR_RANGE, "a number is out of its range or NaN"},
    {FGHM_ERROR_CONSTANT, "a number is none of the constants for this"},
    {FGHM_ERROR_SIZE, "more elements or classes than can be addressed"},
    {FGHM_ERROR_DTYPE, "this array cannot have this data type"},
    {FGHM_ERROR_LAYOUT, "this array cannot have this layout, or has strides that it does not use"},
    {FGHM_ERROR_STRIDE,
     "strides leave the address space, make an output meet itself, or step along classes that an "
     "array of samples does not have"},
    {FGHM_ERROR_ALIASING, "an output, or an array of counts, overlaps another array"},
    {FGHM_ERROR_COMBINATION, "two settings do not go together"},
    {FGHM_ERROR_KIND, "the handle is of the other kind"},
    {FGHM_ERROR_HISTORY, "the handle has a history that this would forget"},
    {FGHM_ERROR_CAPACITY, "an array to write into has too little room"},
    {FGHM_ERROR_HISTOGRAMS, "the handle has more histograms than one, and not one for each class"},
    {FGHM_ERROR_COUNTS, "counts add up to 2^64 or more"},
    {FGHM_ERROR_EDGES, "edges do not rise from 0 to 1"},
    {FGHM_ERROR_STATE, "the bytes are no saved state that can be read"},
    {FGHM_ERROR_DIVISOR, "the divisor of the reduction is not above 0 and finite"},
    {FGHM_ERROR_LABEL, "a label is that of no class"},
    {FGHM_ERROR_TARGET, "a target is out of its range"},
    {FGHM_ERROR_PROBABILITY, "a probability is outside [0, 1]"},
    {FGHM_ERROR_SCORE, "a score is outside [0, 1]"},
};

static const struct text status_names[] = {
    {FGHM_OK, "ok"},
    {FGHM_ERROR_NULL_HANDLE, "null_handle"},
    {FGHM_ERROR_NULL_POINTER, "null_pointer"},
    {FGHM_ERROR_NO_OUTPUT, "no_output"},
    {FGHM_ERROR_MEMORY, "memory"},
    {FGHM_ERROR_THREADS, "threads"},
    {FGHM_ERROR_STRUCT, "struct"},
    {FGHM_ERROR_UNINITIALIZED, "uninitialized"},
    {FGHM_ERROR_UNSET, "unset"},
    {FGHM_ERROR_RANGE, "range"},
    {FGHM_ERROR_CONSTANT, "constant"},
    {FGHM_ERROR_SIZE, "size"},
    {FGHM_ERROR_DTYPE, "dtype"},
    {FGHM_ERROR_LAYOUT, "layout"},
    {FGHM_ERROR_STRIDE, "stride"},
    {FGHM_ERROR_ALIASING, "aliasing"},
    {FGHM_ERROR_COMBINATION, "combination"},
    {FGHM_ERROR_KIND, "kind"},
    {FGHM_ERROR_HISTORY, "history"},
    {FGHM_ERROR_CAPACITY, "capacity"},
    {FGHM_ERROR_HISTOGRAMS, "histograms"},
    {FGHM_ERROR_COUNTS, "counts"},
    {FGHM_ERROR_EDGES, "edges"},
    {FGHM_ERROR_STATE, "state"},
    {FGHM_ERROR_DIVISOR, "divisor"},
    {FGHM_ERROR_LABEL, "label"},
    {FGHM_ERROR_TARGET, "target"},
    {FGHM_ERROR_PROBABILITY, "probability"},
    {FGHM_ERROR_SCORE, "score"},
};

static const struct text fields[] = {
    {FGHM_FIELD_NONE, ""},
    {FGHM_FIELD_BATCH, "batch"},
    {FGHM_FIELD_RESULT, "result"},
    {FGHM_FIELD_SIZE, "size"},
    {FGHM_FIELD_TAG, "tag"},
    {FGHM_FIELD_NDIM, "ndim"},
    {FGHM_FIELD_CLASS_AXIS, "class_axis"},
    {FGHM_FIELD_SHAPE, "shape"},
    {FGHM_FIELD_ACTIVATION, "activation"},
    {FGHM_FIELD_TARGET_FORM, "target_form"},
    {FGHM_FIELD_BACKGROUND, "background"},
    {FGHM_FIELD_FLAGS, "flags"},
    {FGHM_FIELD_IGNORE_INDEX, "ignore_index"},
    {FGHM_FIELD_LABEL_SMOOTHING, "label_smoothing"},
    {FGHM_FIELD_CLASS_ALPHA, "class_alpha"},
    {FGHM_FIELD_CLASS_GAMMA, "class_gamma"},
    {FGHM_FIELD_CLASS_WEIGHTS, "class_weights"},
    {FGHM_FIELD_CLASS_OFFSETS, "class_offsets"},
    {FGHM_FIELD_LOGITS, "logits"},
    {FGHM_FIELD_TARGETS, "targets"},
    {FGHM_FIELD_SCORES, "scores"},
    {FGHM_FIELD_WEIGHTS, "weights"},
    {FGHM_FIELD_ELEMENT_LOSS, "element_loss"},
    {FGHM_FIELD_GRADIENT, "gradient"},
    {FGHM_FIELD_HESSIAN, "hessian"},
    {FGHM_FIELD_HARMONIZING_WEIGHT, "harmonizing_weight"},
    {FGHM_FIELD_COUNTS, "counts"},
    {FGHM_FIELD_CAPACITY, "capacity"},
    {FGHM_FIELD_GAMMA, "gamma"},
    {FGHM_FIELD_NEGATIVE_GAMMA, "negative_gamma"},
    {FGHM_FIELD_ALPHA, "alpha"},
    {FGHM_FIELD_LOSS_WEIGHT, "loss_weight"},
    {FGHM_FIELD_REDUCTION, "reduction"},
    {FGHM_FIELD_NORMALIZER, "normalizer"},
    {FGHM_FIELD_RULE, "rule"},
    {FGHM_FIELD_HESSIAN_MODE, "hessian_mode"},
    {FGHM_FIELD_HESSIAN_FLOOR, "hessian_floor"},
    {FGHM_FIELD_DETACHED, "detached"},
    {FGHM_FIELD_BETA, "beta"},
    {FGHM_FIELD_MARGIN, "margin"},
    {FGHM_FIELD_POSITIVE_WEIGHT, "positive_weight"},
    {FGHM_FIELD_HESSIAN_FACTOR, "hessian_factor"},
    {FGHM_FIELD_KIND, "kind"},
    {FGHM_FIELD_BINS, "bins"},
    {FGHM_FIELD_EDGES, "edges"},
    {FGHM_FIELD_HISTOGRAMS, "histograms"},
    {FGHM_FIELD_MU, "mu"},
    {FGHM_FIELD_MOMENTUM, "momentum"},
    {FGHM_FIELD_MOMENTUM_RULE, "momentum_rule"},
    {FGHM_FIELD_BIN_DIVISOR, "bin_divisor"},
    {FGHM_FIELD_WEIGHT_CAP, "weight_cap"},
};

static const struct text places[] = {
    {FGHM_PLACE_NONE, ""},       {FGHM_PLACE_ELEMENT, "element"}, {FGHM_PLACE_SAMPLE, "sample"},
    {FGHM_PLACE_CLASS, "class"}, {FGHM_PLACE_AXIS, "axis"},
};

static const char *find(const struct text *table, size_t count, int32_t value, const char *other) {
    for (size_t i = 0; i < count; i++) {
        if (table[i].value == value) {
            return table[i].text;
        }
    }
    return other;
}

const char *fghm_status_string(fghm_status status) {
    return find(statuses, sizeof statuses / sizeof statuses[0], status, "unknown status");
}

const char *fghm_status_name(fghm_status status) {
    return find(status_names, sizeof status_names / sizeof status_names[0], status,
                "unknown status");
}

const char *fghm_field_name(fghm_field field) {
    return find(fields, sizeof fields / sizeof fields[0], field, "unknown field");
}

const char *fghm_place_name(fghm_place place) {
    return find(places, sizeof places / sizeof places[0], place, "unknown place");
}
