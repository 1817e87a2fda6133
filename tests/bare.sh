#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library for a system for which Debian has none of the libraries that the tests need:
# another C library, Windows, WebAssembly.  Runs a program that uses it as it is installed, and
# compares the digests of what all functions compute; for WebAssembly, passes the tests for which
# there are stand-ins of those libraries (tests/bare).  Ends with 77 where what that takes cannot be
# installed.
# bare.sh musl|mingw|wasm|wasm-simd [BUILD]
set -eu
cd "$(dirname "$0")/.."
system=$1
build=${2:-build-$system}

# What to install, what CMake is told besides the compiler, what the programs run in.
options=-DFOCALGHM_BUILD_SHARED=OFF
targets="digest focalghm_static"
left_out=
case $system in
musl)
    packages=musl-tools
    compiler=musl-gcc
    options="$options -DCMAKE_EXE_LINKER_FLAGS=-static"
    ;;
mingw)
    packages="gcc-mingw-w64-x86-64 wine64"
    compiler=x86_64-w64-mingw32-gcc
    options="-DCMAKE_SYSTEM_NAME=Windows -DCMAKE_SYSTEM_PROCESSOR=x86_64"
    targets="$targets focalghm"
    runner=/usr/lib/wine/wine64
    ;;
wasm | wasm-simd)
    packages="clang-14 lld-14 llvm-14 wasi-libc libclang-rt-14-dev-wasm32"
    command -v node >/dev/null || packages="$packages nodejs"
    compiler="clang-14 --target=wasm32-wasi"
    # The linker's own stack has 64 KiB, which focalghm.h says are not enough.
    options="$options -DCMAKE_SYSTEM_NAME=WASI -DCMAKE_SYSTEM_PROCESSOR=wasm32
        -DCMAKE_C_COMPILER_TARGET=wasm32-wasi -DCMAKE_AR=/usr/bin/llvm-ar-14
        -DCMAKE_RANLIB=/usr/bin/llvm-ranlib-14 -DCMAKE_EXE_LINKER_FLAGS=-Wl,-zstack-size=1048576"
    export CFLAGS=-Wno-unsupported-floating-point-opt
    if test "$system" = wasm-simd; then
        CFLAGS="$CFLAGS -msimd128"
        left_out='^digest\.scalar$' # the same without SIMD
    fi
    targets="$targets bare_tests"
    runner="node;--no-warnings;$PWD/tests/wasi.mjs"
    ;;
*)
    echo "bare.sh: there is no $system" >&2
    exit 2
    ;;
esac

# shellcheck disable=SC2086 # a list of packages
cmake/packages.sh build-essential cmake pkg-config $packages || {
    echo "Skipped: what $system needs cannot be installed"
    exit 77
}

mkdir -p "$build"
build=$(cd "$build" && pwd)
export WINEPREFIX="$build/wine" WINEDEBUG=-all

# The libraries of the tests are for the machine's own C library, and must not be found.
# shellcheck disable=SC2086 # a list of options
PKG_CONFIG_LIBDIR=/nonexistent cmake -S . -B "$build" -DCMAKE_C_COMPILER="${compiler%% *}" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="${runner:-}" -DFOCALGHM_BUILD_BENCH=OFF $options
# shellcheck disable=SC2086 # a list of targets
cmake --build "$build" -j "$(nproc)" --target $targets

# What a set-uid program must not listen to is read by the function for that.
if test "$system" = musl; then
    nm -u "$build/libfocalghm.a" 2>/dev/null | grep -qx ' *U secure_getenv' || {
        echo "The library with musl does not use secure_getenv"
        exit 1
    }
fi

if test "$system" = wasm-simd; then
    llvm-nm-14 "$build/libfocalghm.a" 2>/dev/null | grep -q ' fghm_kernels_simd128_f32$' || {
        echo "The library has no kernels with SIMD"
        exit 1
    }
fi

prefix=$build/prefix
cmake --install "$build" --prefix "$prefix" >/dev/null
PKG_CONFIG_LIBDIR=$(dirname "$(find "$prefix" -name focalghm.pc)")
export PKG_CONFIG_LIBDIR

# use_it NAME FLAGS...: with --static, a program that needs nothing of what is installed.
use_it() {
    name=$1
    shift
    threads=1
    test "$system" != musl || threads=2
    flags=$(pkg-config "$@" --cflags --libs focalghm)
    test $# -eq 0 || test "${system%-simd}" = wasm || flags="$flags -static"
    # shellcheck disable=SC2086 # lists of flags
    $compiler -DCONSUMER_THREADS=$threads tests/abi/consumer/consumer.c $flags -o "$programs/$name"
    # shellcheck disable=SC2046 # a list of words
    WINEPATH="$path" $(echo "${runner:-}" | tr ';' ' ') "$programs/$name"
}

programs=$build/programs # far from the DLL that is not installed
mkdir -p "$programs"
path=
use_it static.exe --static
if test "$system" = mingw; then
    # The DLL exports what the library has, and is found where it is installed.
    x86_64-w64-mingw32-objdump -p "$prefix/bin/libfocalghm.dll" |
        awk '/Ordinal\/Name Pointer/ { table = 1 } table && / fghm_/ { print $NF }' |
        sort >"$build/exported"
    awk '/^fghm_/ { print $1 }' cmake/symbols.txt | sort | diff - "$build/exported"
    path=$prefix/bin
    use_it shared.exe
fi
exec tests/ctest.sh "$build" --label-regex '^(digest|bare)$' --label-exclude isa \
    --exclude-regex "${left_out:-^$}"
