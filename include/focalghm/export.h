/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_EXPORT_H
#define FOCALGHM_EXPORT_H

/* FGHM_API marks what the shared library exports; all else is hidden. */
#if defined(_WIN32) && defined(FGHM_BUILDING_SHARED)
#define FGHM_API __declspec(dllexport)
#elif defined(_WIN32) && !defined(FGHM_STATIC)
#define FGHM_API __declspec(dllimport)
#elif defined(__GNUC__)
#define FGHM_API __attribute__((visibility("default")))
#else
#define FGHM_API
#endif

#endif
