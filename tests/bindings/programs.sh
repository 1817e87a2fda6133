# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What each binding has.

# functions, constants, members: names of the library.  Initializers, limits, sizes and tags are for
# C.
functions() {
    cut -d' ' -f1 "$ABI_SOURCE/cmake/symbols.txt" | grep -v '_init$'
}

constants() {
    grep -ohE '^    FGHM_[A-Z0-9_]+ = ' "$ABI_SOURCE"/include/focalghm/*.h |
        grep -oE 'FGHM_[A-Z0-9_]+' | grep -vE '_(INVALID|MAX|TAG|DTYPE_UNSET)$'
}

members() {
    sed -nE '/^typedef struct fghm_(batch|result) \{/,/^}/s/^    [a-z].*[ *]([a-z_]+)(\[.*\])?;$/\1/p' \
        "$ABI_SOURCE/include/focalghm/batch.h" | grep -vxE 'size|tag|filled'
}

# has NAMES FILE...: these say each of the names, not counting comments.
has() {
    # shellcheck disable=SC2154 # of the script that has read this one
    "$1" >"$work/names" && shift && sed -E 's,(^|[^:])(//|# ).*,,; s,^ *\*.*,,' "$@" >"$work/code" &&
        test -s "$work/names" || return
    missing=$(while read -r name; do
        grep -qw "$name" "$work/code" || echo "$name"
    done <"$work/names")
    test -z "$missing" || { echo "not here: $missing"; return 1; }
}

has_all() {
    has functions "$@" && has constants "$@" && has members "$@"
}

# The training program's last loss has the same bits in all languages, those of digits.txt, on every
# processor with fused multiply-add.

has_fused_multiply_add() {
    test "$(uname -m)" != x86_64 || grep -qw fma /proc/cpuinfo
}

# case_of_bits NAME COMMAND...: a case that has its bits where there is fused multiply-add.
case_of_bits() {
    if has_fused_multiply_add; then
        run_case "$@"
    else
        skip_case "$1" "this processor has no fused multiply-add"
    fi
}

# case_of_digits NAME COMMAND...: the command trains with the file that is its last argument.
case_of_digits() {
    name=$1
    shift
    case_of_bits "$name" digits_are_right "$@"
}

digits_are_right() {
    found=$("$@" "$ABI_SOURCE/bench/train/digits.csv") &&
        echo "$found" | diff - "$ABI_SOURCE/tests/bindings/digits.txt"
}

# reads_cases COMMAND...: it writes the lines of the cases that all languages share as they are.
reads_cases() {
    "$@" <"$ABI_SOURCE/tests/bindings/cases.txt" | diff - "$ABI_SOURCE/tests/bindings/cases.txt"
}

# readme_example LANGUAGE: the first program of the README in it, as it is printed there.
readme_example() {
    awk -v start="\`\`\`$1" '/^```/ { if (inside) exit; inside = ($0 == start); next } inside' \
        "$ABI_SOURCE/README.md"
}

# readme_line WORDS: the install line of the README that begins so, with the tree's own path.
readme_line() {
    sed -n "s|SOURCE|$ABI_SOURCE|g; s|^    \($1.*\)|\1|p" "$ABI_SOURCE/README.md"
}
