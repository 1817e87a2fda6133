/* SPDX-License-Identifier: MIT */

/* digest FILE: whether the installed library computes what the digests in FILE are of.  Without
 * FILE, whether it can here. */

#include <focalghm/focalghm.h>
#include <stdio.h>
#include <string.h>

#include "../digest/lines.h"

int main(int argument_count, char **arguments) {
    const char *const name = fghm_isa_name();
    if (strcmp(name, "sse2") == 0 || strcmp(name, "unfused") == 0 || strcmp(name, "scalar") == 0) {
        printf("%s: without fused multiply-add bits are others\n", name);
        return 77; /* skipped */
    }
    return argument_count == 2 && digest_compare(arguments[1], NULL) == 0 ? 0 : 1;
}
