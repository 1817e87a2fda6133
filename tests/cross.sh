#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds for another architecture on a Debian machine of x86-64, and runs the tests by way
# of qemu, or of the kernel where it can.
# cross.sh aarch64|i386|s390x [BUILD [ARGUMENTS OF CTEST...]]
set -eu
cd "$(dirname "$0")/.."
architecture=$1
shift
build=${1:-build-$architecture}
test $# -eq 0 || shift

# The names that Debian, gcc and qemu have for it.
case $architecture in
aarch64) debian=arm64 gcc=aarch64-linux-gnu triplet=$gcc ;;
i386) debian=i386 gcc=i686-linux-gnu triplet=i386-linux-gnu ;;
s390x) debian=s390x gcc=s390x-linux-gnu triplet=$gcc ;;
*)
    echo "cross.sh: there is no $architecture" >&2
    exit 2
    ;;
esac

mkdir -p "$build/apt/archives/partial" "$build/apt/lists/partial"
build=$(cd "$build" && pwd)

cmake/packages.sh build-essential cmake pkg-config qemu-user \
    gcc-$gcc libc6-dev-$debian-cross

# The libraries of the tests for it are unpacked in the build tree, since some cannot be
# installed beside the machine's own.
root=$build/root
libraries=$root/usr/lib/$triplet
if ! test -f "$build/root.complete"; then
    packages="libcmocka-dev libcmocka0 libjansson-dev libjansson4
        libmpfr-dev libmpfr6 libgmp-dev libgmp10 libgomp1 libc6 libgcc-s1"
    foreign_apt() {
        apt-get -q -o APT::Architecture=$debian -o APT::Architectures=$debian \
            -o APT::Sandbox::User="$(id -un)" -o Dir::State::Lists="$build/apt/lists" \
            -o Dir::State::status=/dev/null -o Dir::Cache="$build/apt" "$@" </dev/null
    }
    echo "Unpacking libraries for $debian in $root"
    foreign_apt update || true # a list of updates may be broken, and not be needed
    # shellcheck disable=SC2086 # a list of packages
    (cd "$build/apt/archives" && foreign_apt download $packages)
    for archive in "$build"/apt/archives/*.deb; do
        dpkg-deb -x "$archive" "$root"
    done
    touch "$build/root.complete"
fi

emulator="qemu-$architecture;-L;$root"
# A processor of x86-64 runs these programs by itself, where its kernel lets it.
loader=$root/lib/ld-linux.so.2
if test "$architecture" = i386 && "$loader" --version >/dev/null 2>&1; then
    emulator="$loader;--library-path;$root/lib/$triplet:$libraries"
fi

export PKG_CONFIG_LIBDIR="$libraries/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
cmake -S . -B "$build" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$architecture" \
    -DCMAKE_C_COMPILER=$gcc-gcc -DCMAKE_LIBRARY_ARCHITECTURE=$triplet \
    -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DCMAKE_C_FLAGS="-isystem $root/usr/include -isystem $root/usr/include/$triplet" \
    -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath-link,$libraries" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator" \
    -DFOCALGHM_BUILD_BENCH=OFF
cmake --build "$build" -j "$(nproc)"
exec tests/ctest.sh "$build" --label-exclude 'isa|native' "$@"
