/* SPDX-License-Identifier: MIT */
#include "focalghm/status.h"

#include <stddef.h>

static const struct {
    fghm_status status;
    const char *text;
} statuses[] = {
    {FGHM_OK, "success"},
    {FGHM_ERROR_NULL_HANDLE, "a handle is NULL"},
    {FGHM_ERROR_NULL_POINTER, "a required pointer is NULL"},
    {FGHM_ERROR_NO_OUTPUT, "every output pointer is NULL"},
    {FGHM_ERROR_MEMORY, "out of memory"},
    {FGHM_ERROR_SIZE, "that many elements do not fit in memory"},
    {FGHM_ERROR_ALIASING, "an output overlaps another array"},
    {FGHM_ERROR_GAMMA, "gamma is negative, infinite or NaN"},
    {FGHM_ERROR_ALPHA, "alpha is outside [0, 1] or NaN"},
    {FGHM_ERROR_REDUCTION, "not a reduction"},
    {FGHM_ERROR_NORMALIZER, "the normalizer is outside its range"},
    {FGHM_ERROR_BINS, "the number of bins is out of range"},
    {FGHM_ERROR_CAPACITY, "an array to read back into is too small"},
    {FGHM_ERROR_TARGET, "a target is outside [0, 1]"},
    {FGHM_ERROR_THREADS, "a thread cannot be made"},
    {FGHM_ERROR_LOSS_WEIGHT, "the loss weight is negative, infinite or NaN"},
    {FGHM_ERROR_MOMENTUM, "momentum is outside [0, 1)"},
    {FGHM_ERROR_MOMENTUM_RULE, "not a momentum rule"},
    {FGHM_ERROR_DIVISOR, "not a divisor"},
    {FGHM_ERROR_WEIGHT_CAP, "the cap of the weights is not above 0"},
    {FGHM_ERROR_MU, "mu is out of range"},
    {FGHM_ERROR_EDGES, "edges do not rise from 0 to 1"},
    {FGHM_ERROR_HISTOGRAMS, "the number of histograms does not fit"},
    {FGHM_ERROR_STATE, "the bytes are no saved state"},
    {FGHM_ERROR_RULE, "not a rule"},
    {FGHM_ERROR_HESSIAN, "not a Hessian mode, or not a floor for it"},
    {FGHM_ERROR_DESCRIPTOR, "a struct has an unknown size or an unknown field set"},
    {FGHM_ERROR_DTYPE, "not a dtype that this array can have"},
    {FGHM_ERROR_STRIDE, "strides overlap an output or leave the address space"},
    {FGHM_ERROR_ACTIVATION, "not an activation"},
    {FGHM_ERROR_TARGET_FORM, "not a target form"},
    {FGHM_ERROR_BACKGROUND, "not a background convention"},
    {FGHM_ERROR_LABEL, "a label is out of range"},
    {FGHM_ERROR_LABEL_SMOOTHING, "label smoothing is outside [0, 1]"},
    {FGHM_ERROR_WEIGHT, "a weight is negative or NaN"},
    {FGHM_ERROR_PROBABILITY, "a probability is outside [0, 1]"},
    {FGHM_ERROR_COMBINATION, "these settings do not go together"},
    {FGHM_ERROR_RANGE, "the number of threads is out of range"},
};

const char *fghm_status_string(fghm_status status) {
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].status == status) {
            return statuses[i].text;
        }
    }
    return "unknown status";
}
