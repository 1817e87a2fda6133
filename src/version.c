/* SPDX-License-Identifier: MIT */
/* The numbers by which releases, and the bits of their results, are told apart. */
#include "focalghm/version.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

_Static_assert(FGHM_VERSION ==
                   FGHM_VERSION_MAJOR * 10000 + FGHM_VERSION_MINOR * 100 + FGHM_VERSION_PATCH,
               "FGHM_VERSION is the three numbers in one");

/* One more with each change of a digest.  tests/digest.txt begins with it, and the program that
 * writes it insists. */
#define NUMERICS_REVISION 7

const char *fghm_version(void) {
    return TEXT(FGHM_VERSION_MAJOR) "." TEXT(FGHM_VERSION_MINOR) "." TEXT(FGHM_VERSION_PATCH);
}

int32_t fghm_version_number(void) {
    return FGHM_VERSION;
}

int32_t fghm_numerics_revision(void) {
    return NUMERICS_REVISION;
}
