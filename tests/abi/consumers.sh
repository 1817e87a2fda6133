#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program finds, links and runs the library in each way that is offered: with
# pkg-config, find_package and add_subdirectory, shared and static, from C and C++.
. "${0%/*}/cases.sh"

consumer=$ABI_SOURCE/tests/abi/consumer
libdir=$ABI_PREFIX/$ABI_LIBDIR
work=$(fresh_dir consumers)

# links_shared PROGRAM: whether it needs the shared library to run.
links_shared() {
    readelf -d "$1" | grep 'NEEDED.*libfocalghm'
}

# A tree with the static library alone, moved to another place.
static_only() {
    cp -R "$ABI_PREFIX" "$work/static" && rm "$work/static/$ABI_LIBDIR"/libfocalghm.so*
}

# with_pkg_config COMPILER SOURCE FLAGS...
with_pkg_config() {
    compiler=$1
    source=$2
    shift 2
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig "$ABI_PKG_CONFIG" "$@" --cflags --libs focalghm) &&
        compile "$compiler" "$flags" "$consumer/$source" -o "$work/program"
}

pkg_config_shared() {
    with_pkg_config "$@" && links_shared "$work/program" &&
        LD_LIBRARY_PATH=$libdir "$work/program"
}

pkg_config_static() {
    with_pkg_config "$@" --static --define-variable=prefix="$work/static" &&
        ! links_shared "$work/program" && "$work/program"
}

# with_cmake NAME SOURCE TARGET ARGUMENTS...: builds and runs the project.
with_cmake() {
    name=$1
    source=$2
    target=$3
    shift 3
    "$ABI_CMAKE" -S "$consumer" -B "$work/$name" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_CXX_COMPILER="$ABI_CXX" -DCMAKE_BUILD_TYPE=Debug \
        -DSOURCE="$source" -DTARGET="$target" "$@" &&
        "$ABI_CMAKE" --build "$work/$name" -j 2 && "$work/$name/consumer"
}

cmake_shared() {
    with_cmake "$@" && links_shared "$work/$1/consumer"
}

cmake_static() {
    with_cmake "$@" && ! links_shared "$work/$1/consumer"
}

installed=-DCMAKE_PREFIX_PATH=$ABI_PREFIX
embedded=-DEMBEDDED=$ABI_SOURCE
run_case static_library_moves static_only

# consume LANGUAGE COMPILER SOURCE
consume() {
    run_case "pkg_config_shared_from_$1" pkg_config_shared "$2" "$3"
    run_case "pkg_config_static_from_$1" pkg_config_static "$2" "$3"
    run_case "find_package_shared_from_$1" \
        cmake_shared "shared_$1" "$3" focalghm::focalghm "$installed"
    run_case "find_package_static_from_$1" \
        cmake_static "static_$1" "$3" focalghm::focalghm_static "$installed"
}

consume c "$ABI_CC" consumer.c
if test -n "$ABI_CXX"; then
    consume cxx "$ABI_CXX" consumer.cpp
else
    skip_case from_cxx "there is no C++ compiler"
fi
run_case add_subdirectory_shared \
    cmake_shared embedded consumer.c focalghm::focalghm "$embedded"
run_case add_subdirectory_static \
    cmake_static embedded consumer.c focalghm::focalghm_static "$embedded"
end_cases
