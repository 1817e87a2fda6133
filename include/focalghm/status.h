/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_STATUS_H
#define FOCALGHM_STATUS_H

#include <stdint.h>

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @file
 * What went wrong, and where.
 *
 * A status says what kind of thing is wrong.  A call over a batch also says where: its result
 * names the field (or, where two do not go together, both) and the element, sample, class or
 * axis.  In a setter, and in a call with plain arrays, the place is the argument.
 *
 * Example:
 * @code
 * fghm_result result = FGHM_RESULT_INIT;
 * if (fghm_focal_batch(focal, NULL, &batch, &result) != FGHM_OK) {
 *     fprintf(stderr, "%s: %s, %s %lld\n", fghm_field_name(result.field),
 *             fghm_status_string(result.status), fghm_place_name(result.place),
 *             (long long)result.offender);
 * }
 * @endcode
 *
 * Errors are of two kinds.  Most are found before anything is computed: then nothing has been
 * written but the head of the result, and no handle has changed.  An element error, of which
 * there are three (FGHM_ERROR_TARGET, FGHM_ERROR_PROBABILITY, FGHM_ERROR_SCORE), is found on the
 * way: every output of the elements in question is NaN, harmonizing_weight included, and the
 * outputs of all other elements are right.  The sums of a result leave those elements out; a call
 * with plain arrays leaves *loss as it was.  Functions that change a GHM handle's state find
 * element errors before they change it, and then nothing is written.
 */

/** What a function returns: FGHM_OK or an error.  Values are pinned for ever. */
typedef int32_t fghm_status;

/** The values of ::fghm_status. */
enum fghm_status_values {
    /** Success. */
    FGHM_OK = 0,
    /** A handle, or the place for one, is NULL. */
    FGHM_ERROR_NULL_HANDLE = -1,
    /** A pointer that is needed is NULL. */
    FGHM_ERROR_NULL_POINTER = -2,
    /** Nothing to compute: every output is NULL. */
    FGHM_ERROR_NO_OUTPUT = -3,
    /** Memory cannot be had. */
    FGHM_ERROR_MEMORY = -4,
    /** A thread cannot be made. */
    FGHM_ERROR_THREADS = -5,
    /** A struct's size is none that this library accepts, or it has unknown fields that are not 0.
     */
    FGHM_ERROR_STRUCT = -6,
    /** A struct has not been initialized: an fghm_batch has no tag, or an fghm_result has the size
     * 0.  So has a struct that was only zeroed. */
    FGHM_ERROR_UNINITIALIZED = -7,
    /** A field that has no default has not been set. */
    FGHM_ERROR_UNSET = -8,
    /** A number is out of its range, or NaN. */
    FGHM_ERROR_RANGE = -9,
    /** A number is none of the constants that there are for this field: an unknown dtype, layout,
     * activation, rule and so on. */
    FGHM_ERROR_CONSTANT = -10,
    /** More elements, or classes, than can be addressed. */
    FGHM_ERROR_SIZE = -11,
    /** The data type is one that this array cannot have: labels of float, weights of uint8_t. */
    FGHM_ERROR_DTYPE = -12,
    /** An array cannot have this layout, or has strides that its layout does not use. */
    FGHM_ERROR_LAYOUT = -13,
    /** An array's strides leave the address space, or make an output meet itself (see
     * fghm_output); or an array of samples has a stride for the class axis that is not 0: the
     * result then names the axis. */
    FGHM_ERROR_STRIDE = -14,
    /** An output, or the array that counts are added to, overlaps another array in a way that the
     * function does not allow.  The result of a batch call names both. */
    FGHM_ERROR_ALIASING = -15,
    /** Two settings do not go together. */
    FGHM_ERROR_COMBINATION = -16,
    /** The handle is of the other kind. */
    FGHM_ERROR_KIND = -17,
    /** The handle has a history, which this would forget: reset it first. */
    FGHM_ERROR_HISTORY = -18,
    /** An array to write into has too little room. */
    FGHM_ERROR_CAPACITY = -19,
    /** The handle has more than one histogram, and there is not one class for each: the batch has
     * another number of classes, no class axis, or softmax; or the call is one with plain arrays.
     */
    FGHM_ERROR_HISTOGRAMS = -20,
    /** Counts add up to 2^64 or more. */
    FGHM_ERROR_COUNTS = -21,
    /** Edges do not rise from 0 to 1. */
    FGHM_ERROR_EDGES = -22,
    /** The bytes are no saved state that this library can read. */
    FGHM_ERROR_STATE = -23,
    /** The divisor of the reduction, a sum of weights or of targets, is not above 0, or not
     * finite. */
    FGHM_ERROR_DIVISOR = -24,
    /** A label is that of no class. */
    FGHM_ERROR_LABEL = -25,
    /** A target is outside [0, 1]; or, with focal-star, between 0 and 1. */
    FGHM_ERROR_TARGET = -26,
    /** A probability is outside [0, 1]. */
    FGHM_ERROR_PROBABILITY = -27,
    /** A score is outside [0, 1]. */
    FGHM_ERROR_SCORE = -28
};

/** A field of a struct, an argument or a setting: where an error is.  Values are pinned. */
typedef int32_t fghm_field;

/** The values of ::fghm_field.  From 100 on they are settings of handles. */
enum fghm_field_values {
    FGHM_FIELD_INVALID = -1,
    /** No field: there is no error, or the call has one argument alone that can be meant. */
    FGHM_FIELD_NONE = 0,
    FGHM_FIELD_BATCH = 1,
    FGHM_FIELD_RESULT = 2,
    FGHM_FIELD_SIZE = 3,
    FGHM_FIELD_TAG = 4,
    FGHM_FIELD_NDIM = 5,
    FGHM_FIELD_CLASS_AXIS = 6,
    FGHM_FIELD_SHAPE = 7,
    FGHM_FIELD_ACTIVATION = 8,
    FGHM_FIELD_TARGET_FORM = 9,
    FGHM_FIELD_BACKGROUND = 10,
    FGHM_FIELD_FLAGS = 11,
    FGHM_FIELD_IGNORE_INDEX = 12,
    FGHM_FIELD_LABEL_SMOOTHING = 13,
    FGHM_FIELD_CLASS_ALPHA = 14,
    FGHM_FIELD_CLASS_GAMMA = 15,
    FGHM_FIELD_CLASS_WEIGHTS = 16,
    FGHM_FIELD_CLASS_OFFSETS = 17,
    FGHM_FIELD_LOGITS = 18,
    FGHM_FIELD_TARGETS = 19,
    FGHM_FIELD_SCORES = 20,
    FGHM_FIELD_WEIGHTS = 21,
    FGHM_FIELD_ELEMENT_LOSS = 22,
    FGHM_FIELD_GRADIENT = 23,
    FGHM_FIELD_HESSIAN = 24,
    FGHM_FIELD_HARMONIZING_WEIGHT = 25,
    FGHM_FIELD_COUNTS = 26,
    FGHM_FIELD_CAPACITY = 27,
    FGHM_FIELD_GAMMA = 100,
    FGHM_FIELD_NEGATIVE_GAMMA = 101,
    FGHM_FIELD_ALPHA = 102,
    FGHM_FIELD_LOSS_WEIGHT = 103,
    FGHM_FIELD_REDUCTION = 104,
    FGHM_FIELD_NORMALIZER = 105,
    FGHM_FIELD_RULE = 106,
    FGHM_FIELD_HESSIAN_MODE = 107,
    FGHM_FIELD_HESSIAN_FLOOR = 108,
    FGHM_FIELD_DETACHED = 109,
    FGHM_FIELD_BETA = 110,
    FGHM_FIELD_MARGIN = 111,
    FGHM_FIELD_POSITIVE_WEIGHT = 112,
    FGHM_FIELD_HESSIAN_FACTOR = 113,
    FGHM_FIELD_KIND = 200,
    FGHM_FIELD_BINS = 201,
    FGHM_FIELD_EDGES = 202,
    FGHM_FIELD_HISTOGRAMS = 203,
    FGHM_FIELD_MU = 204,
    FGHM_FIELD_MOMENTUM = 205,
    FGHM_FIELD_MOMENTUM_RULE = 206,
    FGHM_FIELD_BIN_DIVISOR = 207,
    FGHM_FIELD_WEIGHT_CAP = 208
};

/** What fghm_result.offender is the index of. */
typedef int32_t fghm_place;

/** The values of ::fghm_place. */
enum fghm_place_values {
    FGHM_PLACE_INVALID = -1,
    /** There is no index. */
    FGHM_PLACE_NONE = 0,
    /** Elements, row-major in the batch's shape. */
    FGHM_PLACE_ELEMENT = 1,
    /** Samples: row-major in the shape without its class axis. */
    FGHM_PLACE_SAMPLE = 2,
    /** Classes. */
    FGHM_PLACE_CLASS = 3,
    /** Axes of the shape. */
    FGHM_PLACE_AXIS = 4
};

/**
 * A sentence for a status, in English, without a full stop.
 *
 * Any thread may call it.
 * @param status any number
 * @return text in static storage, never NULL; for a number that is no status, "unknown status"
 */
FGHM_API const char *fghm_status_string(fghm_status status);

/**
 * The name of a status: that of its constant in small letters, without FGHM_ERROR_, e.g. "range";
 * "ok".  For logs, and for languages that name errors by words.
 *
 * Any thread may call it.
 * @param status any number
 * @return text in static storage, never NULL; for a number that is no status, "unknown status"
 */
FGHM_API const char *fghm_status_name(fghm_status status);

/**
 * The name of a field as it stands in its struct, e.g. "class_axis", or of a setting as its setter
 * has it, e.g. "negative_gamma".  One name differs from its setter's: FGHM_FIELD_BIN_DIVISOR,
 * which fghm_ghm_set_divisor sets, is "bin_divisor".
 *
 * Any thread may call it.
 * @param field any number
 * @return text in static storage, never NULL; "" for FGHM_FIELD_NONE, "unknown field" for a
 * number that is none
 */
FGHM_API const char *fghm_field_name(fghm_field field);

/**
 * The name of what an offender's index counts: "element", "sample", "class" or "axis".
 *
 * Any thread may call it.
 * @param place any number
 * @return text in static storage, never NULL; "" for FGHM_PLACE_NONE, "unknown place" for a
 * number that is none
 */
FGHM_API const char *fghm_place_name(fghm_place place);

#ifdef __cplusplus
}
#endif

#endif
