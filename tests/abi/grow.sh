#!/bin/sh
# SPDX-License-Identifier: MIT
#
# grow.sh LIBRARY: a later version of the library, whose fghm_batch and fghm_result have one
# more field at the end, and this one: programs that were built with either run with either.
. "${0%/*}/cases.sh"

work=$(fresh_dir grow)
mkdir "$work/grown"
cp -R "$ABI_SOURCE/include" "$ABI_SOURCE/src" "$work/grown"

# The later version knows what its new fields mean.  What a sed does not find is found out by
# the new program with the new library.
sed -i -e 's/^} fghm_batch;/    double new_setting;\n&/' \
    -e 's/^} fghm_result;/    double new_number;\n&/' \
    -e '/FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE, FGHM_ARRAY_NONE }/s/ }/, 0.0 }/' \
    -e '/define FGHM_RESULT_INIT/s/0 }/0, 0.0 }/' "$work/grown/include/focalghm/batch.h"
sed -i -e 's/^    value->filled = (uint32_t)/    value->new_number = 42;\n&/' \
    -e 's/^    \*known = size < .*/&\n    if ((*known)->new_setting != 0) {\n        return FGHM_ERROR_RANGE;\n    }/' \
    "$work/grown/src/plan.c"

# The scalar row alone, unoptimized: this is not about kernels.
builds_the_later_library() {
    (cd "$work/grown" &&
        "$ABI_CC" -shared -fPIC -std=gnu11 -O0 -ffp-contract=off -DFGHM_BUILDING_SHARED \
            -DFGHM_HAVE_SCALAR=1 -DFGHM_HAVE_SSE2=0 -DFGHM_HAVE_AVX2=0 -DFGHM_HAVE_AVX512=0 \
            -DFGHM_HAVE_NEON=0 -Iinclude -Isrc src/*.c src/walk/*.c src/isa/isa_scalar_*.c \
            -o libgrown.so -lm -lpthread)
}

# works_together NAME HEADERS LIBRARY DEFINES...
works_together() {
    name=$1
    headers=$2
    library=$3
    shift 3
    "$ABI_CC" -std=c11 -Wall -Wextra -Werror "$@" -I"$headers" \
        "$ABI_SOURCE/tests/abi/grown.c" "$library" -Wl,-rpath,"${library%/*}" -lm \
        -o "$work/$name" && "$work/$name"
}

grown=$work/grown
run_case builds_the_later_library builds_the_later_library
run_case old_program_with_old_library \
    works_together old_old "$ABI_SOURCE/include" "$1"
run_case old_program_with_later_library \
    works_together old_later "$ABI_SOURCE/include" "$grown/libgrown.so" -DGROWN_LIBRARY
run_case later_program_with_old_library \
    works_together later_old "$grown/include" "$1" -DGROWN_HEADERS
run_case later_program_with_later_library \
    works_together later_later "$grown/include" "$grown/libgrown.so" -DGROWN_HEADERS -DGROWN_LIBRARY
end_cases
