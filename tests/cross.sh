#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds for another architecture on a Debian machine of x86-64, and runs the tests by way
# of qemu, or of the kernel where it can.
# cross.sh ARCHITECTURE [BUILD [TEST...]]: these tests, or all that an emulator is quick enough for
# cross.sh --list: the architectures
# Ends with 77 where what that takes cannot be installed.
set -eu
cd "$(dirname "$0")/.."

# The architecture (the name that qemu has for it, unless said below), Debian's name, that of gcc,
# and the release of Debian that has libraries for it.
architectures='
aarch64   arm64     aarch64-linux-gnu         bookworm
armhf     armhf     arm-linux-gnueabihf       bookworm
i386      i386      i686-linux-gnu            bookworm
mips64el  mips64el  mips64el-linux-gnuabi64   bookworm
ppc64le   ppc64el   powerpc64le-linux-gnu     bookworm
riscv64   riscv64   riscv64-linux-gnu         trixie
s390x     s390x     s390x-linux-gnu           bookworm'

if test "$1" = --list; then
    echo "$architectures" | awk '{ print $1 }'
    exit
fi
architecture=$1
shift
build=${1:-build-$architecture}
test $# -eq 0 || shift

# shellcheck disable=SC2046 # words
set -- $(echo "$architectures" | grep "^$architecture ") -- "$@"
test "$1" = "$architecture" || {
    echo "cross.sh: there is no $architecture" >&2
    exit 2
}
debian=$2 gcc=$3 release=$4
shift 5
triplet=$gcc
emulator=qemu-$architecture
case $architecture in
armhf) emulator=qemu-arm ;;
i386) triplet=i386-linux-gnu ;;
esac

mkdir -p "$build/tools/archives/partial" "$build/apt/archives/partial" "$build/apt/lists/partial"
build=$(cd "$build" && pwd)

cannot_have() {
    echo "Skipped: $1"
    exit 77
}

cmake/packages.sh build-essential cmake pkg-config qemu-user ||
    cannot_have "qemu cannot be installed"

# Debian's cross compilers cannot be installed beside gcc-multilib: they are unpacked here.
tools=$build/tools
version=$(gcc -dumpversion | sed 's/\..*//')
if ! test -f "$tools.complete"; then
    echo "Unpacking a compiler for $debian in $tools"
    packages="gcc-$version-$gcc cpp-$version-$gcc binutils-$gcc libgcc-$version-dev-$debian-cross"
    # shellcheck disable=SC2086 # a list of packages
    (cd "$tools/archives" && apt-get -q -o APT::Sandbox::User="$(id -un)" download $packages) ||
        cannot_have "Debian's compiler for $debian cannot be downloaded"
    for archive in "$tools"/archives/*.deb; do
        dpkg-deb -x "$archive" "$tools"
    done
    touch "$tools.complete"
fi
export LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu"

# So are libraries for it, those of the tests too.
root=$build/root
libraries=$root/usr/lib/$triplet
if ! test -f "$root.complete"; then
    packages="libcmocka-dev libcmocka0 libjansson-dev libjansson4
        libmpfr-dev libmpfr6 libgmp-dev libgmp10 libgomp1 libc6-dev libc6 libgcc-s1
        linux-libc-dev"
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" "Created-By: Packages" |
        grep -m 1 '/debian/$') || cannot_have "the machine's packages are not from a mirror of Debian"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror $release main" >"$build/apt/sources"
    foreign_apt() {
        apt-get -q -o APT::Architecture=$debian -o APT::Architectures=$debian \
            -o APT::Sandbox::User="$(id -un)" -o Dir::State::Lists="$build/apt/lists" \
            -o Dir::Etc::SourceList="$build/apt/sources" -o Dir::Etc::SourceParts=/dev/null \
            -o Dir::State::status=/dev/null -o Dir::Cache="$build/apt" "$@" </dev/null
    }
    echo "Unpacking libraries for $debian in $root"
    foreign_apt update || true # a list of updates may be broken, and not be needed
    # shellcheck disable=SC2086 # a list of packages
    (cd "$build/apt/archives" && foreign_apt download $packages) ||
        cannot_have "the libraries for $debian cannot be downloaded"
    for archive in "$build"/apt/archives/*.deb; do
        dpkg-deb -x "$archive" "$root"
    done
    find "$root" -type l -lname '/*' | while read -r link; do # from the machine's root
        ln -sfn "$root$(readlink "$link")" "$link"
    done
    test -e "$root/lib" || ln -s usr/lib "$root/lib" # as a newer Debian has it
    touch "$root.complete"
fi

run="$emulator;-L;$root;-E;LD_LIBRARY_PATH=$root/lib/$triplet:$libraries"
# A processor of x86-64 runs these programs by itself, where its kernel lets it.
loader=$root/lib/ld-linux.so.2
if test "$architecture" = i386 && "$loader" --version >/dev/null 2>&1; then
    run="$loader;--library-path;$root/lib/$triplet:$libraries"
fi

export PKG_CONFIG_LIBDIR="$libraries/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
cmake -S . -B "$build" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$architecture" \
    -DCMAKE_C_COMPILER="$tools/usr/bin/$gcc-gcc-$version" -DCMAKE_SYSROOT="$root" \
    -DCMAKE_LIBRARY_ARCHITECTURE=$triplet \
    -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DCMAKE_EXE_LINKER_FLAGS="-Wl,-rpath-link,$libraries" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$run" \
    -DFOCALGHM_BUILD_BENCH=OFF
if test $# -eq 0; then
    cmake --build "$build" -j "$(nproc)"
    exec tests/ctest.sh "$build" --label-exclude 'isa|native'
fi
# shellcheck disable=SC2046 # words
cmake --build "$build" -j "$(nproc)" --target $(echo "$@" | sed 's/digest_f32/digest/')
exec tests/ctest.sh "$build" --tests-regex "^($(echo "$@" | tr ' ' '|'))\$"
