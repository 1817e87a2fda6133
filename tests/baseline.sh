#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the tests on an x86-64 processor without AVX and FMA, by way of qemu: code
# that got the flags of a newer instruction set and should not have, stops there.
# baseline.sh [BUILD [ARGUMENTS OF CTEST...]]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-baseline}
test $# -eq 0 || shift

cmake/packages.sh build-essential cmake pkg-config qemu-user \
    libcmocka-dev libmpfr-dev libjansson-dev

# A system name makes it a cross build, in which CTest uses the emulator.
cmake -S . -B "$build" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=x86_64 \
    -DCMAKE_CROSSCOMPILING_EMULATOR='qemu-x86_64;-cpu;Nehalem' -DFOCALGHM_BUILD_BENCH=OFF
cmake --build "$build" -j "$(nproc)"
exec tests/ctest.sh "$build" --label-exclude 'isa|abi|native|long' "$@"
