#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rebuild.sh SHARED STATIC: the same source in another folder, with absolute
# install directories, gives the same libraries bit for bit.  Then the same with a
# static library alone.
. "${0%/*}/cases.sh"

shared=$1
static=$2
work=$(fresh_dir rebuild)
consumer=$ABI_SOURCE/tests/abi/consumer

copy_source() {
    mkdir "$work/copy" && (
        cd "$ABI_SOURCE" && cp -R CMakeLists.txt LICENSE cmake include src "$work/copy"
    )
}

# build_copy NAME ARGUMENTS...
build_copy() {
    name=$1
    shift
    "$ABI_CMAKE" -S "$work/copy" -B "$work/$name" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_C_FLAGS="$ABI_CFLAGS" \
        -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF \
        "$@" &&
        "$ABI_CMAKE" --build "$work/$name" -j 2
}

build_elsewhere() {
    build_copy elsewhere -DCMAKE_BUILD_TYPE="$ABI_BUILD_TYPE" \
        -DCMAKE_INSTALL_LIBDIR="$work/absolute/lib" \
        -DCMAKE_INSTALL_INCLUDEDIR="$work/absolute/headers" &&
        "$ABI_CMAKE" --install "$work/elsewhere"
}

build_static_only() {
    build_copy static -DCMAKE_BUILD_TYPE=Debug -DFOCALGHM_BUILD_SHARED=OFF \
        -DCMAKE_INSTALL_PREFIX="$work/prefix" -DCMAKE_INSTALL_LIBDIR=lib &&
        "$ABI_CMAKE" --install "$work/static" && test ! -e "$work/prefix/lib/libfocalghm.so"
}

# same_file ONE OTHER
same_file() {
    cmp "$1" "$2"
}

# has_debug_information FILE: it has the paths of the sources, for those who look into it.
has_debug_information() {
    readelf -SW "$1" | grep -q '\.debug_info'
}

# names_no_folder FILE
names_no_folder() {
    ! grep -aoF -e "$ABI_SOURCE" -e "$ABI_BUILD" "$1"
}

# consumes LIBDIR: through its pkg-config file, then through its CMake package.
consumes() {
    flags=$(PKG_CONFIG_PATH=$1/pkgconfig "$ABI_PKG_CONFIG" --cflags --libs focalghm) &&
        compile "$ABI_CC" "$flags" "$consumer/consumer.c" -o "$work/program" &&
        LD_LIBRARY_PATH=$1 "$work/program" &&
        "$ABI_CMAKE" -S "$consumer" -B "$work/consumer" -G "$ABI_GENERATOR" \
            -DCMAKE_C_COMPILER="$ABI_CC" -DSOURCE=consumer.c -DTARGET=focalghm::focalghm \
            -Dfocalghm_DIR="$1/cmake/focalghm" &&
        "$ABI_CMAKE" --build "$work/consumer" && "$work/consumer/consumer"
}

run_case source_is_copied copy_source
run_case builds_with_absolute_directories build_elsewhere
if has_debug_information "$shared"; then
    skip_case libraries_are_reproducible "debug information is as the folder is"
else
    run_case shared_library_is_reproducible same_file "$shared" "$work/elsewhere/libfocalghm.so"
    run_case static_library_is_reproducible same_file "$static" "$work/elsewhere/libfocalghm.a"
    run_case shared_library_names_no_folder names_no_folder "$shared"
    run_case static_library_names_no_folder names_no_folder "$static"
fi
run_case absolute_directories_are_found consumes "$work/absolute/lib"
run_case builds_static_alone build_static_only
run_case static_alone_is_found consumes "$work/prefix/lib"
end_cases
