#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library in build/ and runs its tests, for each instruction set; installs what that
# needs on Debian.  The last line is the number of test cases that passed, failed and were
# skipped.
set -eu
cd "$(dirname "$0")/.."

cmake/packages.sh build-essential cmake pkg-config \
    libcmocka-dev libmpfr-dev libjansson-dev

cmake -S . -B build
cmake --build build -j "$(nproc)"
exec tests/ctest.sh build --label-exclude repeated
