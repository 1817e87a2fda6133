#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The C++ header, as it is installed: it compiles without a warning, and the examples run.
. "${0%/*}/../abi/cases.sh"
. "${0%/*}/programs.sh"

libdir=$ABI_PREFIX/$ABI_LIBDIR
work=$(fresh_dir bindings_cpp)
examples=$ABI_SOURCE/src/bindings/cpp/examples
test=$ABI_SOURCE/tests/bindings/cpp/test_cpp.cpp

# All of clang's but these: C++98; the padding of structs, most of them C's; vtables, for which
# a header has no place; and comparing of floating-point numbers, which the test means.
clang_warnings="-Weverything -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-padded
    -Wno-weak-vtables -Wno-float-equal"

header_is_installed() {
    cmp "$ABI_SOURCE/src/bindings/cpp/focalghm.hpp" "$ABI_PREFIX/include/focalghm.hpp"
}

header_alone() {
    printf '#include <focalghm.hpp>\n#include <focalghm.hpp>\n' >"$work/alone.cpp" &&
        "$ABI_CXX" -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
            -I"$ABI_PREFIX/include" "$work/alone.cpp"
}

# compiles SOURCE PROGRAM
compiles() {
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig "$ABI_PKG_CONFIG" --cflags --libs focalghm) &&
        compile "$ABI_CXX" "$flags" -std=c++17 -Wall -Wextra -Werror -ffp-contract=off "$1" \
            -o "$work/$2"
}

# The program of the README by the line of the README.
readme_compiles() {
    cd "$work" && readme_example cpp >app.cpp && line=$(readme_line 'c++ ') && test -n "$line" &&
        PATH=$work:$PATH && ln -sf "$(command -v "$ABI_CXX")" c++ &&
        export PKG_CONFIG_PATH="$libdir/pkgconfig" && eval "$line"
}

# runs PROGRAM [ARGUMENT]
runs() {
    LD_LIBRARY_PATH=$libdir "$work/$1" ${2:+"$2"}
}

# no_warnings STANDARD: of the test, which uses all of the header.
no_warnings() {
    # shellcheck disable=SC2086 # a list of flags
    clang++-14 -std="$1" $clang_warnings -Werror -fsyntax-only -I"$ABI_PREFIX/include" "$test"
}

run_case cpp_header_is_installed header_is_installed
run_case cpp_has_all has_all "$ABI_PREFIX/include/focalghm.hpp"
if test -z "$ABI_CXX"; then
    skip_case cpp_examples "there is no C++ compiler"
    end_cases
fi
run_case cpp_header_alone header_alone
run_case cpp_readme_compiles readme_compiles
run_case cpp_readme runs a.out
run_case cpp_images_compiles compiles "$examples/images.cpp" images
run_case cpp_images runs images
run_case cpp_digits_compiles compiles "$examples/digits.cpp" digits
case_of_digits cpp_digits runs digits
run_case cpp_cases_compiles compiles "$ABI_SOURCE/tests/bindings/cpp/cases.cpp" cases
case_of_bits cpp_cases reads_cases runs cases
for standard in c++17 c++20; do
    if command -v clang++-14 >/dev/null; then
        run_case "no_warnings_in_$standard" no_warnings $standard
    else
        skip_case "no_warnings_in_$standard" "there is no clang++-14"
    fi
done
end_cases
