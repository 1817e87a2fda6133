#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library, installs it into local/, builds the training example
# against what was installed, and runs it; installs what that needs on Debian.
# Arguments go to the example; --help lists them.
set -eu
cd "$(dirname "$0")/../.."

cmake/packages.sh build-essential cmake
command -v gnuplot >/dev/null || cmake/packages.sh gnuplot-nox

cmake -S . -B build-local -DCMAKE_INSTALL_PREFIX="$PWD/local" \
    -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF
cmake --build build-local -j "$(nproc)"
cmake --install build-local

cmake -S bench/train -B build-train -DCMAKE_PREFIX_PATH="$PWD/local"
cmake --build build-train -j "$(nproc)"
exec build-train/train --out build-train/train.svg "$@"
