/* SPDX-License-Identifier: MIT */

/* Compares the digests with those of a file, all or those of f32 or f64, or writes it anew:
 * digest FILE [TYPE], or digest --write FILE.  Rows without fused multiply-add have a file of their
 * own beside it, digest_unfused.txt beside digest.txt. */

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

static const char *file_of_row(const char *file) {
    static char unfused[4096];
    const int stem = (int)(strlen(file) - strlen(".txt"));
    snprintf(unfused, sizeof unfused, "%.*s_unfused.txt", stem, file);
    return fghm_row()->has_fma ? file : unfused;
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
    if (wanted != NULL && strcmp(wanted, fghm_isa_name()) != 0) {
        puts("This processor lacks the instruction set");
        return 77; /* skipped */
    }
    if (writes) {
        return digest_write(file_of_row(arguments[2]), fghm_row()->has_fma);
    }
    const char *const type = argument_count == 3 ? arguments[2] : NULL;
    return digest_compare(file_of_row(arguments[1]), type) == 0 ? 0 : 1;
}
