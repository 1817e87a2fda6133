#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What compilers do not warn of: clang-tidy, cppcheck and gcc's analyzer over the library, of the
# kernels one row.  Nothing may be found; what is left out stands in .clang-tidy and here.
# check.sh [BUILD [all]]   `all`: clang's analyzer, too, and valgrind, which take minutes
set -u
cd "$(dirname "$0")/.." || exit
build=${1:-build-check}

cmake/packages.sh cmake clang-14 clang-tidy-14 cppcheck gcc || exit
cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang-14 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
    -DFOCALGHM_BUILD_SHARED=OFF -DFOCALGHM_BUILD_BENCH=OFF >/dev/null || exit

row=src/isa/isa_scalar_f32.c
defines="-DFGHM_STATIC -DFGHM_HAVE_THREADS=1 -DFGHM_HAVE_SECURE_GETENV=1 -DFGHM_HAVE_SSE2=1"
failed=0

# check NAME COMMAND...: what it prints is what it has found
check() {
    name=$1
    shift
    echo "[ RUN      ] $name"
    if "$@"; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        failed=1
    fi
}

tidy() {
    printf '%s\n' src/*.c src/walk/walk_f32.c $row |
        xargs -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet "$@" 2>/dev/null
}

# CastIntegerToAddressAtReturn: cppcheck takes the pointers to functions there for integers.
find_with_cppcheck() {
    # shellcheck disable=SC2086 # a list of options
    cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --std=c11 \
        --suppress=CastIntegerToAddressAtReturn:src/focal_calls.c \
        --include=src/arithmetic.h -Iinclude -Isrc $defines -j "$(nproc)" src/*.c
}

# analyze SOURCE OPTIONS...
analyze() {
    source=$1
    shift
    # shellcheck disable=SC2086 # a list of options
    gcc -std=c11 -include src/arithmetic.h -Iinclude -Isrc $defines -O1 -fanalyzer -Werror "$@" \
        -c "$source" -o "$build/analyzed.o"
}

# In the walk, gcc 12 believes
#   -analyzer-use-of-uninitialized-value   that the loop of tile_arrange over the arrays of a tile can
#                                          end after the first
#   -analyzer-null-dereference             that a call of arrays goes on with a cursor where all of an
#                                          array is one run, which has none
find_with_gcc() {
    for source in src/*.c; do
        analyze "$source" || return
    done
    analyze src/walk/walk_f32.c -Wno-analyzer-use-of-uninitialized-value \
        -Wno-analyzer-null-dereference
}

# What calls every function, by every form of batch; the states that come from elsewhere; errors,
# every allocation that fails, threads.  It ends in 5 minutes on one processor.  One row suffices, and
# valgrind knows no AVX-512.  Where a fma comes to zero, valgrind 3.19 loses its sign (-0 for 0 and the
# other way round), so digests may differ: of those it is the memory that counts.
remember() {
    programs="test_ghm_state test_descriptor test_null test_errno test_alloc test_pool_threads"
    # shellcheck disable=SC2086 # a list of names
    cmake --build "$build" --target digest $programs -j "$(nproc)" >/dev/null || return
    for run in "digest tests/digest.txt f32" $programs; do
        # shellcheck disable=SC2086 # a program and its arguments
        FOCALGHM_ISA=avx2 valgrind --quiet --error-exitcode=99 --leak-check=full \
            "$build"/tests/$run >"$build/valgrind.log" 2>&1
        case "$run:$?" in
        *:0 | digest*:1) ;;
        *)
            tail -n 60 "$build/valgrind.log"
            return 1
            ;;
        esac
    done
}

check cppcheck find_with_cppcheck
check "gcc -fanalyzer" find_with_gcc
if test "${2:-}" = all; then
    check "clang-tidy, clang's analyzer" tidy
    cmake/packages.sh valgrind && check valgrind remember
else
    check clang-tidy tidy '--checks=-clang-analyzer-*'
fi
exit $failed
