#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the build for the tests that need it, and looks at what was installed.
. "${0%/*}/cases.sh"

rm -rf "$ABI_PREFIX"
stage=$(fresh_dir stage)
library=$ABI_PREFIX/$ABI_LIBDIR/libfocalghm.so

install_to_prefix() {
    "$ABI_CMAKE" --install "$ABI_BUILD" --prefix "$ABI_PREFIX"
}

# The headers of the source, all of them and no other file.
headers_are_installed() {
    diff -r "$ABI_SOURCE/include/focalghm" "$ABI_PREFIX/include/focalghm"
}

# libfocalghm.so -> .so.MAJOR -> .so.MAJOR.MINOR.PATCH, and .so.0.MINOR while MAJOR is 0.
library_has_its_links() {
    version=$("$ABI_PKG_CONFIG" --modversion "$ABI_PREFIX/$ABI_LIBDIR/pkgconfig/focalghm.pc")
    case $version in
    0.*) so=${version%.*} ;;
    *) so=${version%%.*} ;;
    esac
    test "$(readlink "$library")" = "libfocalghm.so.$so" &&
        test "$(readlink "$library.$so")" = "libfocalghm.so.$version" &&
        readelf -d "$library" | grep "SONAME.*\[libfocalghm.so.$so\]"
}

library_has_no_rpath() {
    ! readelf -d "$library" | grep -E 'RPATH|RUNPATH'
}

# Under DESTDIR everything goes below it, and nothing that is installed names it.
install_to_destdir() {
    DESTDIR=$stage "$ABI_CMAKE" --install "$ABI_BUILD" --prefix /opt/focalghm &&
        test -f "$stage/opt/focalghm/$ABI_LIBDIR/libfocalghm.a" &&
        ! grep -rlF "$stage" "$stage" &&
        grep -x 'prefix=/opt/focalghm' "$stage/opt/focalghm/$ABI_LIBDIR/pkgconfig/focalghm.pc"
}

# DESTDIR first: the other way round, the build tree would be left with its files.
run_case install_to_destdir install_to_destdir
run_case install_to_prefix install_to_prefix
run_case headers_are_installed headers_are_installed
run_case library_has_its_links library_has_its_links
run_case library_has_no_rpath library_has_no_rpath
end_cases
