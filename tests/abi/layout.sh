#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The layout of the public structs on other machines than this one, as far as this compiler
# can be any; and that enums of public headers can be told apart, and are signed.
. "${0%/*}/cases.sh"

# check_layout FLAGS...: no header of a C library is needed.
check_layout() {
    printf '#include "layout_expected.h"\nint layout_unused;\n' |
        "$ABI_CC" "$@" -xc -std=c11 -ffreestanding -fsyntax-only -Wall -Wextra -Werror \
            -I"$ABI_SOURCE/include" -I"$ABI_SOURCE/tests/support" -
}

# Whether the compiler can be told to be one for this machine.
knows() {
    printf '#include <stdint.h>\nint unused;\n' |
        "$ABI_CC" "$@" -xc -ffreestanding -fsyntax-only - 2>/dev/null
}

# layout_case NAME FLAGS...
layout_case() {
    name=$1
    shift
    if knows "$@"; then
        run_case "$name" check_layout "$@"
    else
        skip_case "$name" "$ABI_CC does not know $*"
    fi
}

# The check is one: it fails for a layout that is not the expected one.
finds_another_layout() {
    ! check_layout -m32 -DLAYOUT_ALIGNS_TO_8 2>/dev/null
}

run_case layout_of_this_machine check_layout
layout_case layout_of_ilp32_aligned_to_4 -m32
# ARM's alignment.
layout_case layout_of_ilp32_aligned_to_8 -m32 -malign-double -DLAYOUT_ALIGNS_TO_8
if knows -m32; then
    run_case another_layout_is_found finds_another_layout
else
    skip_case another_layout_is_found "$ABI_CC does not know -m32"
fi

# Prints what is wrong.
enums_are_tagged_and_signed() {
    awk '
        /^ *(typedef )?enum/ {
            enums++
            inside = 1
            negative = 0
            where = FILENAME ":" FNR
            if ($0 !~ /enum fghm_[a-z0-9_]+ \{/) {
                print where ": no tag"
                wrong = 1
            }
        }
        inside && /^ *FGHM_[A-Z0-9_]+ = -[0-9]+/ { negative = 1 }
        inside && /\}/ {
            inside = 0
            if (!negative) {
                print where ": no negative member"
                wrong = 1
            }
        }
        END {
            print enums + 0 " enums"
            exit wrong || enums == 0
        }' "$@"
}
run_case enums_are_tagged_and_signed \
    enums_are_tagged_and_signed "$ABI_SOURCE"/include/focalghm/*.h
end_cases
