#!/bin/sh
# SPDX-License-Identifier: MIT
#
# enums.sh [LIBRARY]: debug information has all enumerators of the headers.  abidiff, debuggers
# and some makers of bindings know no other constants.  And bindgen gives an enum the type int
# only if a member is negative.  Without LIBRARY, of a file that includes the headers.
. "${0%/*}/cases.sh"

work=$(fresh_dir "enums${1:+_of_library}")
flag=-fno-eliminate-unused-debug-types
include=-I$ABI_SOURCE/include

printf '#include "focalghm/focalghm.h"\n' >"$work/headers.c"

# Lines "enum enumerator", as the headers have them.
list_headers() {
    "$ABI_CC" -E -P "$include" "$work/headers.c" | tr '\n' ' ' |
        grep -o 'enum fghm_[a-z0-9_]* {[^}]*}' |
        sed 's/^enum \(fghm_[a-z0-9_]*\) {/\1,/; s/}$//; s/ *= *[^,]*//g' |
        awk -F, '{ for (i = 2; i <= NF; i++) { gsub(/ /, "", $i); if ($i != "") print $1, $i } }' |
        sort >"$work/headers"
    wc -l <"$work/headers"
    test -s "$work/headers"
}

# Lines "enum enumerator value", as the debug information of a file has them; private enums of
# the library are left out.
list_debug_information() {
    readelf --debug-dump=info "$1" | awk '
        NR == FNR { public[$1] = 1; next }
        /DW_TAG_/ {
            is_enum = /DW_TAG_enumeration_type/
            is_member = /DW_TAG_enumerator/
            if (is_enum) { enum = "" }
        }
        /DW_AT_name/ && (is_enum || is_member) { name = $NF; if (is_enum) { enum = name } }
        /DW_AT_const_value/ && is_member && enum in public { print enum, name, $NF }' \
        "$work/headers" - |
        sort -u >"$work/debug"
    test -s "$work/debug"
}

all_are_there() {
    list_headers && list_debug_information "$1" || return
    sed 's/ [^ ]*$//' "$work/debug" | sort | diff -u "$work/headers" -
}

# The compiler compares.
values_are_those_of_the_headers() {
    awk '
        BEGIN { print "#include \"focalghm/focalghm.h\"" }
        { print "_Static_assert(" $2 " == " $3 ", \"" $2 "\");" }
        !seen[$1]++ { print "_Static_assert((enum " $1 ")-1 < 0, \"" $1 " is signed\");" }' \
        "$work/debug" >"$work/values.c"
    "$ABI_CC" -std=c11 -Wall -Wextra -Werror "$include" -fsyntax-only "$work/values.c"
}

each_has_a_negative_member() {
    awk '{ least[$1] = least[$1] < $3 + 0 ? least[$1] : $3 + 0 }
        END { for (enum in least) if (least[enum] >= 0) { print enum; wrong = 1 } exit wrong }' \
        "$work/debug"
}

# Of all but statuses: one, which is no value that anything has.
others_have_one() {
    awk '$3 < 0 && $1 != "fghm_status_values" && $2 != "FGHM_AXIS_NONE" { print; count[$1]++ }
        END { for (enum in count) if (count[enum] != 1) wrong = 1; exit wrong }' "$work/debug"
}

# A list that lacks one is not taken for complete.
a_missing_one_is_found() {
    cp "$work/debug" "$work/complete"
    for line in 1 $(($(wc -l <"$work/complete") / 2)); do
        sed "${line}d; s/ [^ ]*$//" "$work/complete" | sort |
            diff "$work/headers" - >/dev/null && return 1
    done
    return 0
}

if ! command -v readelf >/dev/null; then
    skip_case enumerators_in_debug_information "there is no program \"readelf\""
    end_cases
fi
file=${1:-$work/headers.o}
if test $# -eq 0 &&
    ! "$ABI_CC" -g $flag "$include" -c "$work/headers.c" -o "$file" 2>"$work/message"; then
    skip_case enumerators_in_debug_information "$ABI_CC does not know $flag"
    end_cases
fi
run_case debug_information_has_all_enumerators all_are_there "$file"
run_case their_values_are_those_of_the_headers values_are_those_of_the_headers
run_case each_enum_has_a_negative_member each_has_a_negative_member
run_case all_but_statuses_have_one others_have_one
run_case a_missing_enumerator_is_found a_missing_one_is_found
end_cases
