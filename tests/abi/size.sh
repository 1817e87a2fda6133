#!/bin/sh
# SPDX-License-Identifier: MIT
#
# size.sh LIBRARY: the machine code and constants of the shared library keep to a budget,
# which is for what is usually shipped: gcc, Release, x86-64.
. "${0%/*}/cases.sh"

budget=1000000

fits_the_budget() {
    text=$(size "$1" | awk 'NR == 2 { print $1 }')
    echo "text: $text bytes of $budget"
    test "$text" -le "$budget"
}

macros=$("$ABI_CC" -dM -E - </dev/null)
defines() {
    echo "$macros" | grep -q "^#define $1 "
}

if test "$ABI_BUILD_TYPE" != Release; then
    skip_case text_fits_the_budget "the budget is for Release, this is \"$ABI_BUILD_TYPE\""
elif test -n "$ABI_CFLAGS"; then
    skip_case text_fits_the_budget "the budget is for no CMAKE_C_FLAGS, these are \"$ABI_CFLAGS\""
elif defines __clang__ || ! defines __x86_64__; then
    skip_case text_fits_the_budget "the budget is for gcc on x86-64"
elif ! command -v size >/dev/null; then
    skip_case text_fits_the_budget "there is no program \"size\""
else
    run_case text_fits_the_budget fits_the_budget "$1"
fi
end_cases
