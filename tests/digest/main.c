/* SPDX-License-Identifier: MIT */

/* Compares the digests with those of a file, all or those of f32 or f64, or writes it anew:
 * digest FILE [TYPE], or digest --write FILE */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "focalghm/isa.h"
#include "lines.h"

static bool is_usable(const char *name) {
    for (size_t i = 0; i < fghm_row_count; i++) {
        if (strcmp(name, fghm_rows[i].name) == 0) {
            return fghm_rows[i].usable();
        }
    }
    return false;
}

int main(int argument_count, char **arguments) {
    const bool writes = argument_count == 3 && strcmp(arguments[1], "--write") == 0;
    if (argument_count != 2 && argument_count != 3) {
        fputs("digest FILE [TYPE], or digest --write FILE\n", stderr);
        return 2;
    }
    const char *const wanted = getenv("FOCALGHM_ISA");
    if (wanted != NULL && is_usable(wanted) && strcmp(wanted, fghm_isa_name()) != 0) {
        printf("FOCALGHM_ISA=%s can be used here, but the library chose %s\n", wanted,
               fghm_isa_name());
        return 1;
    }
    if (!fghm_row()->has_fma || (wanted != NULL && strcmp(wanted, fghm_isa_name()) != 0)) {
        puts("No fused multiply-add, or this processor lacks the instruction set");
        return 77; /* skipped */
    }
    if (writes) {
        return digest_write(arguments[2]);
    }
    const char *const type = argument_count == 3 ? arguments[2] : NULL;
    return digest_compare(arguments[1], type) == 0 ? 0 : 1;
}
