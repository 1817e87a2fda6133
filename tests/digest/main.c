/* SPDX-License-Identifier: MIT */

/* Prints what digest.txt has to be, or compares: digest [FILE] */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "focalghm/isa.h"
#include "lines.h"

int main(int argument_count, char **arguments) {
    if (argument_count < 2) {
        digest_print();
        return 0;
    }
    const char *const wanted = getenv("FOCALGHM_ISA");
    if (!fghm_row()->has_fma || (wanted != NULL && strcmp(wanted, fghm_isa_name()) != 0)) {
        puts("No fused multiply-add, or this processor lacks the instruction set");
        return 77; /* skipped */
    }
    return digest_compare(arguments[1]) == 0 ? 0 : 1;
}
