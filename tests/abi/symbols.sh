#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh LIBRARY: the shared library exports what symbols.txt lists, and the
# headers declare the same.
. "${0%/*}/cases.sh"

library=$1
list=${0%/*}/symbols.txt
work=$(fresh_dir symbols)

# All defined dynamic symbols but the version node, without their version.
exported() {
    "$ABI_NM" -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

# The preprocessor drops the comments; what FGHM_API precedes is a declaration.
declared() {
    printf '%s\n' '#define FOCALGHM_EXPORT_H' '#define FGHM_API EXPORTED' \
        '#include "focalghm/focalghm.h"' |
        "$ABI_CC" -E -P -I"$ABI_SOURCE/include" - | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*EXPORTED[^(]*[ *]\([A-Za-z0-9_]*\)(.*/\1/p' | sort
}

# same_as_list COMMAND
same_as_list() {
    "$1" >"$work/$1"
    diff -u "$list" "$work/$1"
}

list_is_sorted_and_prefixed() {
    sort -c "$list" && ! grep -v '^fghm_' "$list"
}

has_version_node() {
    "$ABI_NM" -D --defined-only "$library" | grep ' A FOCALGHM_0'
}

run_case list_is_sorted_and_prefixed list_is_sorted_and_prefixed
run_case library_exports_the_list same_as_list exported
run_case headers_declare_the_list same_as_list declared
run_case symbols_have_a_version has_version_node
end_cases
