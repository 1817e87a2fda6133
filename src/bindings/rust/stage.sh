#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stage.sh [FOLDER]
#
# Puts the C sources into focalghm-sys, below FOLDER or beside this script, for the feature
# `vendored` and for cargo package.  They are not kept in git.
set -eu
here=$(cd "${0%/*}" && pwd)
tree=$(cd "$here/../../.." && pwd)
staged=${1:-$here}/focalghm-sys/libfocalghm

rm -rf "$staged"
mkdir -p "$staged/src/bindings"
cp -R "$tree/CMakeLists.txt" "$tree/LICENSE" "$tree/cmake" "$tree/include" "$staged"
cp -R "$tree/src/bindings/cpp" "$staged/src/bindings"
for part in "$tree"/src/*; do
    test "${part##*/}" = bindings || cp -R "$part" "$staged/src"
done
