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

# Debug information of the library, with the flags that it is given by itself.
debug_has_the_constants() {
    sh "$ABI_SOURCE/tests/abi/enums.sh" "$work/debug/libfocalghm.so"
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

# finds ARGUMENTS OF find_package...
finds() {
    rm -rf "$work/find" && mkdir "$work/find" &&
        printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(find C)' \
            "find_package(focalghm $* REQUIRED)" >"$work/find/CMakeLists.txt" &&
        "$ABI_CMAKE" -S "$work/find" -B "$work/find/build" -G "$ABI_GENERATOR" \
            -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_PREFIX_PATH="$work/relative"
}

components_are_checked() {
    finds COMPONENTS shared static && ! finds COMPONENTS nonsense &&
        ! finds COMPONENTS static nonsense
}

# The number behind FGHM_VERSION_$1.
version_number() {
    sed -n "s/^#define FGHM_VERSION_$1 //p" "$ABI_SOURCE/include/focalghm/version.h"
}

one_version_is_of_its_series() {
    major=$(version_number MAJOR) minor=$(version_number MINOR) patch=$(version_number PATCH)
    finds "$major.$minor" && finds "$major.$minor.$patch" &&
        finds "$major.$minor.$patch EXACT" && ! finds "$major.$minor.$((patch + 1))" &&
        ! finds "$major.$((minor + 1))" && ! finds $((major + 1)) &&
        { test "$major" -gt 0 || test "$minor" -eq 0 || ! finds "0.$((minor - 1))"; }
}

# CMake knows ranges from 3.19 on; before, the least version counts.
ranges_of_versions_are_taken_at_their_word() {
    major=$(version_number MAJOR) minor=$(version_number MINOR)
    finds "$major.$minor...$major.$((minor + 2))" && finds "0.0...$((major + 1))" &&
        finds "$major.$minor...<$major.$((minor + 1))" && ! finds "0.0...<$major.$minor" &&
        ! finds "$major.$((minor + 1))...$((major + 1))"
}

knows_ranges() {
    "$ABI_CMAKE" --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || v[2] >= 19) }'
}

# A project that installs a library of its own, with this one inside it.
parent_project_exports() {
    parent=$work/parent
    mkdir "$parent" && echo 'int parent(void); int parent(void) { return 0; }' >"$parent/parent.c" &&
        printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(parent C)' \
            'set(FOCALGHM_INSTALL ON)' "add_subdirectory($ABI_SOURCE focalghm)" \
            'add_library(parent STATIC parent.c)' \
            'target_link_libraries(parent PUBLIC focalghm::focalghm_static)' \
            'install(TARGETS parent EXPORT parent ARCHIVE DESTINATION lib)' \
            'install(EXPORT parent NAMESPACE parent:: DESTINATION lib/cmake/parent)' \
            >"$parent/CMakeLists.txt" &&
        "$ABI_CMAKE" -S "$parent" -B "$parent/build" -G "$ABI_GENERATOR" \
            -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_POLICY_DEFAULT_CMP0077=NEW \
            -DCMAKE_BUILD_TYPE=Debug &&
        "$ABI_CMAKE" --build "$parent/build" -j 2 &&
        "$ABI_CMAKE" --install "$parent/build" --prefix "$parent/prefix" &&
        grep -r focalghm::focalghm_static "$parent/prefix/lib/cmake/parent"
}

# levels NAME ARGUMENTS...: all levels of optimization on the command line that compiles a file
# of the library, of which the last one counts.
levels() {
    configure "$@" -DFOCALGHM_BUILD_TESTS=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$work/log" ||
        { cat "$work/log"; return 1; }
    sed -n '/"command".*isa_scalar_f32\.c/p' "$work/$1/compile_commands.json" |
        tr ' ' '\n' | grep '^-O' | tail -n 1
}

builder_chooses_the_level() {
    test "$(levels level-0 -DCMAKE_C_FLAGS=-O0)" = -O0 &&
        test "$(levels level-1 -DCMAKE_C_FLAGS='-g -O1' -DCMAKE_BUILD_TYPE=None)" = -O1 &&
        test "$(levels level-3 -DCMAKE_C_FLAGS_RELEASE=-O3)" = -O3 &&
        test "$(levels level-s -DCMAKE_BUILD_TYPE=MinSizeRel)" = -Os &&
        test -z "$(levels level-debug -DCMAKE_BUILD_TYPE=Debug)" &&
        test "$(levels level-none -DCMAKE_BUILD_TYPE=None)" = -O2 &&
        test "$(levels level-release)" = -O2 &&
        test "$(levels level-fedora -DCMAKE_C_FLAGS_RELEASE=-DNDEBUG)" = -O2
}

# Nothing but the rules of installing: no compiler for Windows is needed to write them.
dll_is_installed() {
    configure windows -DFOCALGHM_BUILD_TESTS=OFF -DCMAKE_SYSTEM_NAME=Windows \
        -DCMAKE_C_COMPILER_WORKS=ON -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY &&
        grep '/bin" TYPE SHARED_LIBRARY.*libfocalghm\.dll"' "$work/windows/cmake_install.cmake"
}

export_macro_can_be_defined_away() {
    echo '#include <focalghm/focalghm.h>' |
        "$ABI_CC" -DFGHM_API= -Werror -E -I"$ABI_SOURCE/include" -xc - >"$work/plain.i" &&
        grep fghm_focal_create "$work/plain.i" &&
        ! grep -E '^[^"]*(visibility|declspec).*fghm_' "$work/plain.i"
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
run_case debug_information_has_the_constants debug_has_the_constants
run_case debug_needs_no_libm debug_needs_no_libm
run_case installs_to_a_relative_prefix installs_to_a_relative_prefix
run_case licence_is_installed licence_is_installed
run_case components_are_checked components_are_checked
run_case one_version_is_of_its_series one_version_is_of_its_series
if knows_ranges 2>/dev/null; then
    run_case ranges_of_versions ranges_of_versions_are_taken_at_their_word
else
    skip_case ranges_of_versions "this CMake does not know them"
fi
run_case parent_project_exports parent_project_exports
run_case builder_chooses_the_level builder_chooses_the_level
run_case dll_is_installed dll_is_installed
run_case export_macro_can_be_defined_away export_macro_can_be_defined_away
run_case fortified_objects_are_sealed fortified_objects_are_sealed
end_cases
