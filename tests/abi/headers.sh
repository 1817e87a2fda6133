#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each public header can be included alone, and twice, from C99 and from C++.
. "${0%/*}/cases.sh"

warnings="-pedantic -Wall -Wextra -Wundef -Werror"

# compile_header HEADER COMPILER ARGUMENTS...
compile_header() {
    header=$1
    shift
    printf '#include "focalghm/%s"\n#include "focalghm/%s"\nint focalghm_unused;\n' \
        "$header" "$header" | "$@" -I"$ABI_SOURCE/include" -fsyntax-only -
}

for path in "$ABI_SOURCE"/include/focalghm/*.h; do
    header=${path##*/}
    # shellcheck disable=SC2086 # a list of flags
    run_case "${header}_in_c99" compile_header "$header" "$ABI_CC" -xc -std=c99 $warnings
    for standard in c++11 c++17; do
        if test -n "$ABI_CXX"; then
            # shellcheck disable=SC2086
            run_case "${header}_in_$standard" \
                compile_header "$header" "$ABI_CXX" -xc++ -std=$standard $warnings
        else
            skip_case "${header}_in_$standard" "there is no C++ compiler"
        fi
    done
done
end_cases
