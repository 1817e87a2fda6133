#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whatever arithmetic CMAKE_C_FLAGS allows the compiler, the library does not get: it is built
# as ever, bit for bit, or not at all.  A build by other means, which appends no options that
# switch others off, stops, too, or the digests tell it, or it has the same bits.  Each option
# alone, with each compiler there is.
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

# compile_by_hand COMPILER FLAGS: the program of the digests, with the sources of the library that
# any processor can run.
compile_by_hand() (
    cd "$ABI_SOURCE" || exit
    rm -rf "$work/hand"
    mkdir "$work/hand"
    command="$1 -std=c11 -O1 -DFGHM_HAVE_SCALAR=1 -Iinclude -Isrc -include src/arithmetic.h $2"
    printf '%s\n' src/*.c src/walk/*.c src/isa/isa_scalar_*.c tests/digest/*.c |
        xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} \
            sh -c "$command -c {} -o \"$work/hand/\$(echo {} | tr / _).o\"" &&
        "$1" -pthread "$work"/hand/*.o -lm -o "$work/hand/digest"
)

has_the_digests() {
    "$work/hand/digest" "$ABI_SOURCE/tests/digest.txt"
}

is_right_by_hand() {
    compile_by_hand "$1" "-ffp-contract=off" && has_the_digests
}

# is_seen_by_hand COMPILER FLAG: what changes a bit is seen.
is_seen_by_hand() {
    if compile_by_hand "$1" "-ffp-contract=off $2" >"$work/log" 2>&1; then
        ! has_the_digests
    else
        grep -E 'takes? .*away|narrows constants|needs arithmetic' "$work/log" ||
            { cat "$work/log"; return 1; }
    fi
}

has_fma() {
    "$1" -mfma -xc -fsyntax-only /dev/null && grep -qw fma /proc/cpuinfo
} 2>/dev/null

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
    # clang's -fno-signed-zeros and -fapprox-func, which change no bit here, are left out.
    run_case "${compiler}_by_hand" is_right_by_hand $compiler
    for flag in -ffast-math -ffinite-math-only -freciprocal-math \
        "-fassociative-math -fno-signed-zeros -fno-trapping-math"; do
        run_case "${compiler}_by_hand$flag" is_seen_by_hand $compiler "$flag"
    done
    if has_fma $compiler; then
        # gcc does so from -O2 on.
        run_case "${compiler}_by_hand_contracts" \
            is_seen_by_hand $compiler "-O2 -mfma -ffp-contract=fast"
    fi
done
end_cases
