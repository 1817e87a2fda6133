/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_VERSION_H
#define FOCALGHM_VERSION_H

#include "focalghm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The version stands here and nowhere else; the build reads these three lines.
 *
 * ABI rules.  The shared library's SOVERSION is FGHM_VERSION_MAJOR.  Within one
 * MAJOR, functions and constants are added, never changed, renumbered or
 * removed, and no handle's contents are ever visible to the caller.  MAJOR 0 is
 * the exception: a 0.x release may break, and says so in the README. */
#define FGHM_VERSION_MAJOR 0
#define FGHM_VERSION_MINOR 1
#define FGHM_VERSION_PATCH 0

/* The version of the library that is running, as "MAJOR.MINOR.PATCH".  Static
 * storage, never NULL.  Any thread. */
FGHM_API const char *fghm_version(void);

#ifdef __cplusplus
}
#endif

#endif
