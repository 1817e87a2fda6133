/* SPDX-License-Identifier: MIT */
#ifndef FOCALGHM_PREFIX_H
#define FOCALGHM_PREFIX_H

/**
 * @file
 * Empty, unless this is a copy of the library inside another one.
 *
 * Two copies of the library in one program must not share names.  Configured with
 * -DFOCALGHM_PREFIX=mylib_, the build writes this header anew and installs it: it has a line
 * "#define fghm_x mylib_fghm_x" for each function, so that programs are written as ever.
 *
 * Example: a copy whose functions are named mylib_fghm_focal_create and so on.
 * @code
 * cmake -S . -B build -DFOCALGHM_PREFIX=mylib_ -DBUILD_SHARED_LIBS=OFF
 * @endcode
 */

#endif
