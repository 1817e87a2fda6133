# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What each binding has.

# has_all FILE...: they name each function of the library and each constant but the limits.
# Initializers and tags are for C.
has_all() {
    # shellcheck disable=SC2154 # of the script that has read this one
    {
        cut -d' ' -f1 "$ABI_SOURCE/cmake/symbols.txt" | grep -v '_init$'
        grep -ohE '^    FGHM_[A-Z0-9_]+ = ' "$ABI_SOURCE"/include/focalghm/*.h |
            grep -oE 'FGHM_[A-Z0-9_]+' | grep -vE '_(INVALID|MAX|TAG)$'
    } >"$work/names"
    missing=$(while read -r name; do
        grep -qw "$name" "$@" || echo "$name"
    done <"$work/names")
    test -z "$missing" || { echo "not here: $missing"; return 1; }
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
