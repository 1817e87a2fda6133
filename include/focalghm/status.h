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
#define FGHM_ERROR_ALIASING (-6)  /* an output overlaps another array in a way that is not allowed \
                                   */
#define FGHM_ERROR_GAMMA (-7)     /* gamma is negative, infinite or NaN */
#define FGHM_ERROR_ALPHA (-8)     /* alpha is outside [0, 1] or NaN */
#define FGHM_ERROR_REDUCTION (-9) /* not a reduction */
#define FGHM_ERROR_NORMALIZER (-10) /* the normalizer is not in [FLT_MIN, FLT_MAX] */
#define FGHM_ERROR_BINS (-11)       /* bins is outside [1, FGHM_BINS_MAX] */
#define FGHM_ERROR_CAPACITY (-12)   /* an array handed in for reading back is too small */
#define FGHM_ERROR_TARGET (-13)     /* a target is outside [0, 1] */
#define FGHM_ERROR_THREADS (-14)    /* the number of threads is outside its range */

/* One English sentence for a status, for messages and logs.  Static storage;
 * never NULL, also for values this version does not know.  Any thread. */
FGHM_API const char *fghm_status_string(fghm_status status);

#ifdef __cplusplus
}
#endif

#endif
