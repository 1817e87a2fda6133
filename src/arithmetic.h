/* SPDX-License-Identifier: MIT */
#ifndef FGHM_ARITHMETIC_H
#define FGHM_ARITHMETIC_H

/* What every source file relies on, checked in every one: the build puts this header before
 * each.  The build also switches off what is refused here (cmake/FocalghmFlags.cmake); this
 * is for other builds, and for what comes behind its options. */

#include <float.h>

/* Each operation is rounded to its own type, in the order in which it is written. */
#if FLT_EVAL_METHOD != 0
#error "needs arithmetic in the type of its operands (-fexcess-precision=fast, -mfpmath=sse)"
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) ||     \
    defined(__NO_SIGNED_ZEROS__)
#error "-ffast-math, -Ofast and their parts take away what the results rely on"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "-ffinite-math-only takes infinities and NaN away, which the checks rely on"
#endif
_Static_assert(sizeof 1.0 == sizeof(double), "-fsingle-precision-constant narrows constants");

#endif
