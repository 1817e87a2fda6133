# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What the packages of a source tree have in common: for scripts that set `source` to its folder.

# number NAME: that of FGHM_VERSION_<NAME>, from the header, where the version stands.
number() {
    # shellcheck disable=SC2154 # of the script that has read this one
    sed -n "s/^#define FGHM_VERSION_$1 //p" "$source/include/focalghm/version.h"
}

version=$(number MAJOR).$(number MINOR).$(number PATCH)

# As CMakeLists.txt has it: a 0.x release may break what was built with another one.
case $version in
0.*) soversion=${version%.*} ;;
*) soversion=${version%%.*} ;;
esac

maintainer=$(sed -n 's/^Maintainer: //p' "$source/cmake/packaging/debian/control.in")

# fill_in TEMPLATE DATE: prints it with the values of this release.
fill_in() {
    sed -e "s/@VERSION@/$version/g" -e "s/@SOVERSION@/$soversion/g" \
        -e "s/@MAINTAINER@/$maintainer/g" -e "s/@DATE@/$2/g" "$1"
}

# The spec file of this source.
spec() {
    fill_in "$source/cmake/packaging/libfocalghm.spec.in" "$(date_of_source +'%a %b %d %Y')"
}

# date_of_source FORMAT: all files of a tarball have the time of its commit.
date_of_source() {
    LC_ALL=C date -u -d "@$(stat -c %Y "$source/CMakeLists.txt")" "$1"
}

