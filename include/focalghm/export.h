/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_EXPORT_H
#define FOCALGHM_EXPORT_H

/**
 * @file
 * FGHM_API, which stands before the declaration of each public function.
 *
 * A tool that cannot read attributes may define FGHM_API to nothing before it includes a
 * header.  Programs that link the static library define FGHM_STATIC (the CMake target does;
 * it matters on Windows alone).  A copy of the library inside another one can have names of
 * its own: see prefix.h.
 *
 * Example: the declarations as plain C, for a generator of bindings that knows no attributes.
 * @code
 * cc -E -P -DFGHM_API= -I include include/focalghm/focalghm.h
 * @endcode
 */

#include "focalghm/prefix.h"

#ifndef FGHM_API
#if defined(FGHM_STATIC)
#define FGHM_API
#elif defined(_WIN32) && defined(FGHM_BUILDING_SHARED)
#define FGHM_API __declspec(dllexport)
#elif defined(_WIN32)
#define FGHM_API __declspec(dllimport)
#elif defined(__GNUC__)
#define FGHM_API __attribute__((visibility("default")))
#else
#define FGHM_API
#endif
#endif

#endif
