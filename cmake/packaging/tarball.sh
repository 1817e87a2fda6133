#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tarball.sh [OUT]: makes libfocalghm-VERSION.tar.gz, the sources of the last commit, in the folder
# OUT (this one), and prints its SHA-256.  The same commit gives the same bytes anywhere, at any
# time.
set -eu
mkdir -p "${1:-.}"
out=$(cd "${1:-.}" && pwd)
cd "$(dirname "$0")/../.."
source=$PWD
. cmake/packaging/common.sh

test -z "$(git status --porcelain)" || echo "What is not committed is not in the tarball" >&2

# Nothing of the one who makes it: neither the settings of git nor the time.
name=libfocalghm-$version
git -c core.autocrlf=false -c tar.umask=0022 archive --format=tar --prefix="$name/" HEAD |
    gzip -9n >"$out/$name.tar.gz"
cd "$out"
sha256sum "$name.tar.gz"
