#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rpm.sh TARBALL OUT [ARGUMENTS OF RPMBUILD...]: makes the RPM packages of a tarball that tarball.sh
# has made, source and binary, in the folder OUT, with the flags of Fedora.  The arguments are for
# the binary packages: `--without check` leaves the tests out.
set -eu
tarball=$(realpath "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2

mkdir -p "$out/SOURCES" "$out/SPECS"
cp "$tarball" "$out/SOURCES"
tar xzf "$tarball" -C "$out"
source=$out/$(basename "$tarball" .tar.gz)
. "$source/cmake/packaging/common.sh"
spec=$out/SPECS/libfocalghm.spec
spec >"$spec"

# The time of files and packages: that of the commit, where the macros of a distribution do not take
# the day of the changelog.
SOURCE_DATE_EPOCH=$(stat -c %Y "$source/CMakeLists.txt")
export SOURCE_DATE_EPOCH

# Where rpm does not manage the packages of the machine, it finds none of BuildRequires.
macros=
if test ! -e /etc/redhat-release; then
    macros=$source/cmake/packaging/fedora.macros
fi

# build FOLDER ARGUMENTS...
build() {
    topdir=$1
    shift
    rpmbuild ${macros:+--nodeps --load "$macros"} --define "_topdir $topdir" "$@" "$spec"
}

# The source package keeps the spec file with all macros expanded: its folder is not named.
(cd "$out" && build . -bs)
build "$out" -bb "$@"
