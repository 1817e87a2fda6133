/* SPDX-License-Identifier: MIT */
#include "focalghm/version.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *fghm_version(void) {
    return TEXT(FGHM_VERSION_MAJOR) "." TEXT(FGHM_VERSION_MINOR) "." TEXT(FGHM_VERSION_PATCH);
}
