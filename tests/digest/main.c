/* SPDX-License-Identifier: MIT */

/* Compares the digests with those of a file, or writes it anew: digest [--write] FILE */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "focalghm/isa.h"
#include "lines.h"

int main(int argument_count, char **arguments) {
    const bool writes = argument_count == 3 && strcmp(arguments[1], "--write") == 0;
    if (argument_count != 2 && !writes) {
        fputs("digest [--write] FILE\n", stderr);
        return 2;
    }
    const char *const wanted = getenv("FOCALGHM_ISA");
    if (!fghm_row()->has_fma || (wanted != NULL && strcmp(wanted, fghm_isa_name()) != 0)) {
        puts("No fused multiply-add, or this processor lacks the instruction set");
        return 77; /* skipped */
    }
    return writes ? digest_write(arguments[2]) : digest_compare(arguments[1]) == 0 ? 0 : 1;
}
