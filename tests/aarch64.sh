#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds for aarch64 on another Debian machine, and runs the tests by way of qemu.
# aarch64.sh [BUILD]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-aarch64}
mkdir -p "$build/apt/archives/partial" "$build/apt/lists/partial"
build=$(cd "$build" && pwd)
triplet=aarch64-linux-gnu

cmake/packages.sh build-essential cmake pkg-config qemu-user \
    gcc-$triplet libc6-dev-arm64-cross

# The libraries of the tests for aarch64 are unpacked in the build tree, since some
# cannot be installed beside the machine's own.
root=$build/root
libraries=$root/usr/lib/$triplet
if ! test -f "$build/root.complete"; then
    packages="libcmocka-dev libcmocka0 libjansson-dev libjansson4
        libmpfr-dev libmpfr6 libgmp-dev libgmp10 libgomp1 libc6 libgcc-s1"
    arm64_apt() {
        apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
            -o APT::Sandbox::User="$(id -un)" -o Dir::State::Lists="$build/apt/lists" \
            -o Dir::State::status=/dev/null -o Dir::Cache="$build/apt" "$@" </dev/null
    }
    echo "Unpacking libraries for arm64 in $root"
    arm64_apt update
    # shellcheck disable=SC2086 # a list of packages
    (cd "$build/apt/archives" && arm64_apt download $packages)
    for archive in "$build"/apt/archives/*.deb; do
        dpkg-deb -x "$archive" "$root"
    done
    touch "$build/root.complete"
fi

export PKG_CONFIG_LIBDIR="$libraries/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
cmake -S . -B "$build" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=$triplet-gcc -DCMAKE_LIBRARY_ARCHITECTURE=$triplet \
    -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DCMAKE_C_FLAGS="-isystem $root/usr/include -isystem $root/usr/include/$triplet" \
    -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath-link,$libraries" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="qemu-aarch64;-L;$root" \
    -DFOCALGHM_BUILD_BENCH=OFF
cmake --build "$build" -j "$(nproc)"
exec tests/ctest.sh "$build" --label-exclude isa
