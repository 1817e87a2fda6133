#!/bin/sh
# SPDX-License-Identifier: MIT
#
# sealed.sh OBJECTS: an object file made with the flags of an instruction set
# defines one global symbol, its row of kernels.  With any other, the linker might
# take a function of it for code that runs on every processor.  For the same
# reason it calls nothing but the functions listed here.
. "${0%/*}/cases.sh"

# Exact or correctly rounded functions, and what compilers call unasked.
allowed='fghm_fused|fghm_fused_f32|sqrt|sqrtf|memcpy|memmove|memset|memcmp'
allowed="$allowed|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__stack_chk_guard|__assert_fail"
# With _FORTIFY_SOURCE.
allowed="$allowed|__memcpy_chk|__memset_chk|__memmove_chk"

# defines_one OBJECT SYMBOL
defines_one() {
    symbols=$("$ABI_NM" -g --defined-only "$1" | awk 'NF == 3 { print $3 }')
    test "$symbols" = "$2" || {
        printf '%s defines:\n%s\nbut should define %s alone\n' "$1" "$symbols" "$2"
        return 1
    }
}

# calls_no_other OBJECT
calls_no_other() {
    ! "$ABI_NM" -u "$1" | awk '{ print $NF }' | grep -vxE "$allowed" || {
        echo "$1 needs these symbols, which it may not"
        return 1
    }
}

# Objects come as one argument each, or as one list joined by semicolons.
for object in $(printf '%s\n' "$@" | tr ';' '\n'); do
    case $object in
    */isa_*)
        name=${object##*/isa_}
        name=${name%%.*}
        run_case "${name}_defines_one_symbol" defines_one "$object" "fghm_kernels_$name"
        run_case "${name}_calls_no_other_code" calls_no_other "$object"
        ;;
    esac
done
end_cases
