#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library with another C library, musl, static, runs a program that uses it as it is
# installed, and compares the digests of what all functions compute.  musl.sh [BUILD]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-musl}

cmake/packages.sh build-essential cmake musl-tools pkg-config

# The libraries of the tests are for the machine's own C library, and must not be found.
PKG_CONFIG_LIBDIR=/nonexistent cmake -S . -B "$build" -DCMAKE_C_COMPILER=musl-gcc \
    -DCMAKE_EXE_LINKER_FLAGS=-static -DFOCALGHM_BUILD_SHARED=OFF -DFOCALGHM_BUILD_BENCH=OFF
cmake --build "$build" -j "$(nproc)" --target digest focalghm_static

# What a set-uid program must not listen to is read by the function for that.
nm -u "$build/libfocalghm.a" 2>/dev/null | grep -qx ' *U secure_getenv' || {
    echo "The library with musl does not use secure_getenv"
    exit 1
}

cmake --install "$build" --prefix "$build/prefix" >/dev/null
flags=$(PKG_CONFIG_LIBDIR=$(dirname "$(find "$build/prefix" -name focalghm.pc)") \
    pkg-config --static --cflags --libs focalghm)
# shellcheck disable=SC2086 # a list of flags
musl-gcc -static tests/abi/consumer/consumer.c $flags -o "$build/consumer"
"$build/consumer"
exec tests/ctest.sh "$build" --label-regex digest
