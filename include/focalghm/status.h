/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_STATUS_H
#define FOCALGHM_STATUS_H

#include <stdint.h>

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every function that can fail returns one of these.  The values are pinned:
 * they are never renumbered or reused, new ones are appended, and a caller must
 * expect values that it does not know.  0 is success, errors are negative.
 * Unless a function says otherwise, an error leaves every output and every
 * handle as it was. */
typedef int32_t fghm_status;

#define FGHM_OK 0
#define FGHM_ERROR_NULL_HANDLE (-1)  /* a handle is NULL */
#define FGHM_ERROR_NULL_POINTER (-2) /* a required array or result pointer is NULL */
#define FGHM_ERROR_NO_OUTPUT (-3)    /* every output pointer is NULL */
#define FGHM_ERROR_MEMORY (-4)       /* an allocation failed */
#define FGHM_ERROR_SIZE (-5)         /* n elements do not fit in the address space */
#define FGHM_ERROR_ALIASING                                                                        \
    (-6)                          /* an output overlaps another array in a way that is not allowed \
                                   */
#define FGHM_ERROR_GAMMA (-7)     /* gamma is negative, infinite or NaN */
#define FGHM_ERROR_ALPHA (-8)     /* alpha is outside [0, 1] or NaN */
#define FGHM_ERROR_REDUCTION (-9) /* not a reduction */
#define FGHM_ERROR_NORMALIZER (-10)    /* the normalizer is not in [FLT_MIN, FLT_MAX] */
#define FGHM_ERROR_BINS (-11)          /* bins is outside [1, FGHM_BINS_MAX] */
#define FGHM_ERROR_CAPACITY (-12)      /* an array handed in for reading back is too small */
#define FGHM_ERROR_TARGET (-13)        /* a target is outside [0, 1] */
#define FGHM_ERROR_THREADS (-14)       /* a thread cannot be made */
#define FGHM_ERROR_LOSS_WEIGHT (-15)   /* the loss weight is negative, infinite or NaN */
#define FGHM_ERROR_MOMENTUM (-16)      /* momentum is outside [0, 1) or NaN */
#define FGHM_ERROR_MOMENTUM_RULE (-17) /* not a momentum rule */
#define FGHM_ERROR_DIVISOR (-18)       /* not a divisor */
#define FGHM_ERROR_WEIGHT_CAP (-19)    /* the cap of the weights is not above 0 */
#define FGHM_ERROR_MU (-20)            /* mu is outside [FGHM_MU_MIN, FGHM_MU_MAX] */
#define FGHM_ERROR_EDGES (-21)         /* edges do not rise from 0 to 1 */
#define FGHM_ERROR_HISTOGRAMS                                                                      \
    (-22)                        /* the number of histograms is out of range, or not that of       \
                                    the call */
#define FGHM_ERROR_STATE (-23)   /* bytes that are no saved state */
#define FGHM_ERROR_RULE (-24)    /* not a rule */
#define FGHM_ERROR_HESSIAN (-25) /* not a Hessian mode, or the floor is negative or not finite */
#define FGHM_ERROR_DESCRIPTOR                                                                      \
    (-26)                      /* the size of a struct is not a known one, a reserved field is     \
                                  not 0, or a flag is neither 0 nor 1 */
#define FGHM_ERROR_DTYPE (-27) /* not a dtype, or not one that this array can have */
#define FGHM_ERROR_STRIDE                                                                          \
    (-28)                                /* strides put two elements of an output in one place, or \
                                            leave the address space */
#define FGHM_ERROR_ACTIVATION (-29)      /* not an activation */
#define FGHM_ERROR_TARGET_FORM (-30)     /* not a target form */
#define FGHM_ERROR_BACKGROUND (-31)      /* not a background convention */
#define FGHM_ERROR_LABEL (-32)           /* a label is no class, not background and not ignored */
#define FGHM_ERROR_LABEL_SMOOTHING (-33) /* label smoothing is outside [0, 1] or NaN */
#define FGHM_ERROR_WEIGHT (-34)          /* a weight is negative or NaN */
#define FGHM_ERROR_PROBABILITY (-35)     /* a probability is outside [0, 1] */
#define FGHM_ERROR_COMBINATION (-36)     /* settings that do not go together */
#define FGHM_ERROR_RANGE (-37)           /* the number of threads is out of range */

/* One English sentence for a status, for messages and logs.  Static storage;
 * never NULL, also for values this version does not know.  Any thread. */
FGHM_API const char *fghm_status_string(fghm_status status);

#ifdef __cplusplus
}
#endif

#endif
