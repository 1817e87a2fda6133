#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian.sh TARBALL OUT: makes the Debian packages of a tarball that tarball.sh has made, source
# and binary, in the folder OUT.  OUT/libfocalghm-VERSION is what they are built in, with its folder
# debian.  DEB_BUILD_OPTIONS, e.g. nocheck, is what Debian says it is.
set -eu
tarball=$(realpath "$1")
mkdir -p "$2"
cd "$2"
tar xzf "$tarball"
cd "$(basename "$tarball" .tar.gz)"
source=$PWD
. cmake/packaging/common.sh
cp "$tarball" "../libfocalghm_$version.orig.tar.gz"

sh cmake/packaging/debian_folder.sh debian
exec dpkg-buildpackage -us -uc -Jauto
