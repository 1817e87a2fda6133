#!/bin/sh
# SPDX-License-Identifier: MIT
#
# consumers.sh [ROOT]: programs find, link and run the library that packages have installed, in
# each way that they offer.  ROOT: the folder below which it is installed, with the libraries in
# ROOT/usr/lib64.
. "${0%/*}/../abi/cases.sh"

here=$(cd "${0%/*}" && pwd)
source=$here/../..
consumer=$here/../abi/consumer
root=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if test -n "$root"; then
    export PKG_CONFIG_LIBDIR="$root/usr/lib64/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
    # CMake looks into lib64 only where the machine has it.
    export focalghm_DIR="$root/usr/lib64/cmake/focalghm" LD_LIBRARY_PATH="$root/usr/lib64"
fi

needs_library() {
    readelf -d "$1" | grep 'NEEDED.*libfocalghm'
}

# One of the programs reads a file; the others have no arguments.
data=$source/bench/train/digits.csv

# shared COMPILER SOURCE
shared() {
    flags=$(pkg-config --cflags --libs focalghm) && compile "$1" "$flags" "$2" -o "$work/program" &&
        needs_library "$work/program" && "$work/program" "$data"
}

# static COMPILER SOURCE
static() {
    flags=$(pkg-config --static --cflags --libs focalghm) &&
        compile "$1" "$flags" -static "$2" -o "$work/program" &&
        ! needs_library "$work/program" && "$work/program"
}

# found KIND SOURCE TARGET
found() {
    cmake -S "$consumer" -B "$work/$1-$2" -DSOURCE="$2" -DTARGET="$3" &&
        cmake --build "$work/$1-$2" && "$work/$1-$2/consumer"
}

found_shared() {
    found shared "$1" focalghm::focalghm && needs_library "$work/shared-$1/consumer"
}

found_static() {
    found static "$1" focalghm::focalghm_static && ! needs_library "$work/static-$1/consumer"
}

# consume LANGUAGE COMPILER SOURCE
consume() {
    run_case "pkg_config_shared_from_$1" shared "$2" "$consumer/$3"
    run_case "pkg_config_static_from_$1" static "$2" "$consumer/$3"
    run_case "find_package_shared_from_$1" found_shared "$3"
    run_case "find_package_static_from_$1" found_static "$3"
}

# What the flags of a distribution have made computes the same bits.
digests_are_right() {
    "$work/digest" "$source/tests/digest.txt"
}

builds_digest() {
    flags=$(pkg-config --cflags --libs focalghm) &&
        compile cc "$flags -lm" -std=c11 "$here/digest.c" "$source/tests/digest/lines.c" \
            -o "$work/digest"
}

consume c cc consumer.c
consume cxx c++ consumer.cpp
run_case cxx_header shared "c++" "$source/src/bindings/cpp/examples/images.cpp"
for example in "$source"/bench/examples/*.c; do
    name=${example##*/}
    run_case "example_${name%.c}" shared cc "$example"
done
run_case digest_is_built builds_digest
if reason=$("$work/digest"); test $? -eq 77; then
    skip_case digests_are_right "$reason"
else
    run_case digests_are_right digests_are_right
fi
end_cases
