# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# The training program that each binding has.  Its last loss has the same bits in all languages,
# those of digits.txt, on every processor with fused multiply-add.

# case_of_digits NAME COMMAND...: the command trains with the file that is its last argument.
case_of_digits() {
    name=$1
    shift
    if test "$(uname -m)" = x86_64 && ! grep -qw fma /proc/cpuinfo; then
        skip_case "$name" "this processor has no fused multiply-add"
    else
        run_case "$name" digits_are_right "$@"
    fi
}

digits_are_right() {
    found=$("$@" "$ABI_SOURCE/bench/train/digits.csv") &&
        echo "$found" | diff - "$ABI_SOURCE/tests/bindings/digits.txt"
}
