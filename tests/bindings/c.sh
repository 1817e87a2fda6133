#!/bin/sh
# SPDX-License-Identifier: MIT
#
# C itself, against the installed library: the training program that all languages have.
. "${0%/*}/../abi/cases.sh"
. "${0%/*}/programs.sh"

libdir=$ABI_PREFIX/$ABI_LIBDIR
work=$(fresh_dir bindings_c)

digits_compiles() {
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig "$ABI_PKG_CONFIG" --cflags --libs focalghm) &&
        compile "$ABI_CC" "$flags" -std=c11 -Wall -Wextra -Werror -ffp-contract=off \
            "$ABI_SOURCE/bench/examples/digits.c" -o "$work/digits"
}

run_case c_digits_compiles digits_compiles
case_of_digits c_digits env LD_LIBRARY_PATH="$libdir" "$work/digits"
end_cases
