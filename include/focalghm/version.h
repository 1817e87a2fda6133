/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_VERSION_H
#define FOCALGHM_VERSION_H

#include <stdint.h>

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @file
 * The version, and what it promises.
 *
 * The SOVERSION of the shared library is MAJOR, and while MAJOR is 0 it is 0.MINOR: two
 * releases with the same SOVERSION can replace each other under a program that has been
 * built.  Within one SOVERSION functions, constants and fields of structs are added, never
 * changed, renumbered or removed; limits (FGHM_..._MAX) may grow.  A PATCH release adds
 * nothing and changes no bit of a result.
 *
 * Example:
 * @code
 * #if FGHM_VERSION < 200
 * #error "needs libfocalghm 0.2.0"
 * #endif
 * @endcode
 */

/** @name The version
 * It stands here and nowhere else; the build reads these lines.
 * @{ */
/** Another one may break everything, from 1 on. */
#define FGHM_VERSION_MAJOR 0
/** Another one adds something; while MAJOR is 0 it may break everything, too. */
#define FGHM_VERSION_MINOR 2
/** Another one only repairs. */
#define FGHM_VERSION_PATCH 0
/** @} */

/** MAJOR * 10000 + MINOR * 100 + PATCH as one literal, for `#if` and for binding generators. */
#define FGHM_VERSION 200

/**
 * The version of the library that is running, as "MAJOR.MINOR.PATCH".
 *
 * Any thread may call it.
 * @return text in static storage, never NULL
 */
FGHM_API const char *fghm_version(void);

/**
 * The version of the library that is running, as FGHM_VERSION has it.
 *
 * Any thread may call it.
 * @return MAJOR * 10000 + MINOR * 100 + PATCH
 */
FGHM_API int32_t fghm_version_number(void);

/**
 * A number that changes when, and only when, a release gives other bits for the same input.
 *
 * Two runs with equal numbers, on whatever machine with fused multiply-add, have equal
 * results.  Saved states record it.  Any thread may call it.
 * @return 1 or more
 */
FGHM_API int32_t fghm_numerics_revision(void);

#ifdef __cplusplus
}
#endif

#endif
