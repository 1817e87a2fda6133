#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh LIBRARY: the shared library exports what cmake/symbols.txt lists, under the
# version that belongs to it, and the headers declare the same.
. "${0%/*}/cases.sh"

library=$1
list=$ABI_SOURCE/cmake/symbols.txt
work=$(fresh_dir symbols)
sed 's/ .*//' "$list" >"$work/names"

# All defined dynamic symbols but the version node, without their version.
exported() {
    "$ABI_NM" -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

# The preprocessor drops the comments; what FGHM_API precedes is a declaration.  Every header, also
# one that focalghm.h has forgotten.
declared() {
    {
        printf '%s\n' '#define FOCALGHM_EXPORT_H' '#define FGHM_API EXPORTED'
        find "$ABI_SOURCE/include/focalghm" -name '*.h' -printf '#include "focalghm/%f"\n'
    } |
        "$ABI_CC" -E -P -I"$ABI_SOURCE/include" - | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*EXPORTED[^(]*[ *]\([A-Za-z0-9_]*\)(.*/\1/p' | sort
}

# same_as_list COMMAND
same_as_list() {
    "$1" >"$work/$1"
    diff -u "$work/names" "$work/$1"
}

list_is_sorted_and_prefixed() {
    sort -c "$work/names" && ! grep -vE '^fghm_[a-z0-9_]+ [0-9]+\.[0-9]+$' "$list"
}

# While MAJOR is 0, all have the node of this release; later, that of the first that had them.
symbols_have_their_version() {
    version=$(sed -n 's/^#define FGHM_VERSION_M[A-Z]* \([0-9]*\)$/\1/p' \
        "$ABI_SOURCE/include/focalghm/version.h" | tr '\n' '.')
    version=${version%.}
    "$ABI_NM" -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort >"$work/versioned"
    awk -v this="$version" '{
        node = $2
        if (this ~ /^0\./) { node = this } else if (node ~ /^0\./) { node = "1.0" }
        print $1 "@@FOCALGHM_" node
    }' "$list" | sort | diff -u - "$work/versioned"
}

run_case list_is_sorted_and_prefixed list_is_sorted_and_prefixed
run_case library_exports_the_list same_as_list exported
run_case headers_declare_the_list same_as_list declared
run_case symbols_have_their_version symbols_have_their_version
end_cases
