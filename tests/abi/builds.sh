#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library is built and installed in other ways than this build tree is: one small
# configuration for each.
. "${0%/*}/cases.sh"

work=$(fresh_dir builds)

# configure NAME ARGUMENTS...: without tests unless they are asked for.
configure() {
    name=$1
    shift
    "$ABI_CMAKE" -S "$ABI_SOURCE" -B "$work/$name" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$ABI_CC" -DFOCALGHM_BUILD_BENCH=OFF "$@"
}

# build NAME ARGUMENTS...
build() {
    configure "$@" -DFOCALGHM_BUILD_TESTS=OFF && "$ABI_CMAKE" --build "$work/$1" -j 2
}

# is_set NAME OPTION VALUE
is_set() {
    grep -x "$2:BOOL=$3" "$work/$1/CMakeCache.txt"
}

no_library_is_refused() {
    ! configure neither -DFOCALGHM_BUILD_SHARED=OFF -DFOCALGHM_BUILD_STATIC=OFF \
        >"$work/neither.log" 2>&1 && grep 'are both off' "$work/neither.log"
}

# BUILD_SHARED_LIBS and BUILD_TESTING are defaults, which the options of the project overrule.
cmake_variables_are_defaults() {
    configure static -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF &&
        is_set static FOCALGHM_BUILD_SHARED OFF && is_set static FOCALGHM_BUILD_STATIC ON &&
        is_set static FOCALGHM_BUILD_TESTS OFF &&
        configure shared -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=ON &&
        is_set shared FOCALGHM_BUILD_SHARED ON && is_set shared FOCALGHM_BUILD_STATIC OFF &&
        is_set shared FOCALGHM_BUILD_TESTS ON &&
        configure overruled -DBUILD_SHARED_LIBS=OFF -DFOCALGHM_BUILD_SHARED=ON &&
        is_set overruled FOCALGHM_BUILD_SHARED ON
}

# Without optimization, intrinsics are macros.
debug_has_no_warnings() {
    build debug -DCMAKE_BUILD_TYPE=Debug -DFOCALGHM_WERROR=ON -DCMAKE_UNITY_BUILD=ON
}

debug_needs_no_libm() {
    sh "$ABI_SOURCE/tests/abi/libm.sh" "$work/debug/libfocalghm.so"
}

installs_to_a_relative_prefix() {
    (cd "$work" && "$ABI_CMAKE" --install debug --prefix relative) &&
        grep -x "prefix=$work/relative" "$work/relative/$ABI_LIBDIR/pkgconfig/focalghm.pc"
}

licence_is_installed() {
    cmp "$ABI_SOURCE/LICENSE" "$work/relative/share/licenses/focalghm/LICENSE"
}

# finds COMPONENTS...
finds() {
    rm -rf "$work/find" && mkdir "$work/find" &&
        printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(find C)' \
            "find_package(focalghm REQUIRED COMPONENTS $*)" >"$work/find/CMakeLists.txt" &&
        "$ABI_CMAKE" -S "$work/find" -B "$work/find/build" -G "$ABI_GENERATOR" \
            -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_PREFIX_PATH="$work/relative"
}

components_are_checked() {
    finds shared static && ! finds nonsense && ! finds static nonsense
}

fortified_objects_are_sealed() {
    build fortified -DCMAKE_BUILD_TYPE=Release -DFOCALGHM_BUILD_STATIC=OFF \
        -DCMAKE_C_FLAGS="-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3" &&
        find "$work/fortified" -name 'isa_*.o' >"$work/objects" && test -s "$work/objects" &&
        xargs sh "$ABI_SOURCE/tests/abi/sealed.sh" <"$work/objects"
}

run_case no_library_is_refused no_library_is_refused
run_case cmake_variables_are_defaults cmake_variables_are_defaults
run_case debug_and_unity_build_have_no_warnings debug_has_no_warnings
run_case debug_needs_no_libm debug_needs_no_libm
run_case installs_to_a_relative_prefix installs_to_a_relative_prefix
run_case licence_is_installed licence_is_installed
run_case components_are_checked components_are_checked
run_case fortified_objects_are_sealed fortified_objects_are_sealed
end_cases
