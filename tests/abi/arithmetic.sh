#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whatever arithmetic CMAKE_C_FLAGS allows the compiler, the library does not get: it is built
# as ever, bit for bit, or not at all.  Each option alone, with each compiler there is.
. "${0%/*}/cases.sh"

work=$(fresh_dir arithmetic)

# build COMPILER FLAGS: handles and calls, without the kernels, which have the same options.
build() {
    rm -rf "$work/build"
    "$ABI_CMAKE" -S "$ABI_SOURCE" -B "$work/build" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$1" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS="$2" \
        -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF &&
        "$ABI_CMAKE" --build "$work/build" --target focalghm_static_calls
}

# Name and checksum of each object.
objects() {
    (cd "$work/build" && find . -name '*.o' -exec cksum {} + | sort -k 3)
}

builds_without() {
    build "$1" "" && objects >"$work/wanted" && test -s "$work/wanted"
}

# has_no_effect COMPILER FLAG
has_no_effect() {
    if build "$1" "$2" >"$work/log" 2>&1; then
        objects | diff "$work/wanted" -
    else
        grep -E 'takes? .*away|narrows constants|needs arithmetic' "$work/log" ||
            { cat "$work/log"; return 1; }
    fi
}

for compiler in gcc clang clang-14; do
    if ! command -v $compiler >/dev/null; then
        skip_case "$compiler" "there is no $compiler"
        continue
    fi
    run_case "${compiler}_builds" builds_without $compiler
    for flag in -Ofast -ffast-math -funsafe-math-optimizations -ffinite-math-only \
        -fassociative-math -freciprocal-math -fno-signed-zeros -ffp-contract=fast \
        "-fassociative-math -fno-signed-zeros -fno-trapping-math" \
        -fsingle-precision-constant; do
        if "$compiler" -Werror "$flag" -xc -fsyntax-only /dev/null 2>/dev/null ||
            test "${flag#* }" != "$flag"; then
            run_case "${compiler}$flag" has_no_effect $compiler "$flag"
        else
            skip_case "${compiler}$flag" "$compiler does not know the option"
        fi
    done
done
end_cases
