#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The packages of cmake/packaging: the tarball of the last commit, Debian and RPM packages of it,
# built twice, looked at by lintian and rpmlint, installed, used and removed.  Installs what that
# needs.
. "${0%/*}/abi/cases.sh"
tests=$(cd "${0%/*}" && pwd)
source=$(cd "$tests/.." && pwd)
. "$source/cmake/packaging/common.sh"
packaging=$source/cmake/packaging

"$source/cmake/packages.sh" build-essential cmake pkg-config git debhelper lintian autopkgtest \
    mmdebstrap rpm rpmlint elfutils libcmocka-dev libmpfr-dev libjansson-dev || exit

work=$(mktemp -d)
# For apt, which gives its privileges up.
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
tarball=$work/first/libfocalghm-$version.tar.gz
debian=$work/debian
rpm=$work/rpm
root=$work/root
rpm_root=$work/rpm_root

if ! git -C "$source" rev-parse HEAD >/dev/null 2>&1; then
    skip_case packages "this is no checkout of git, of which the tarball is made"
    end_cases
fi

# No network while packages are built, where that can be had.
offline=
if unshare --net true 2>/dev/null; then
    offline="unshare --net"
fi

# quietly LOG COMMAND...: shows the end of what it says only if it fails.
quietly() {
    log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 || { tail -n 200 "$log"; return 1; }
}

# same_files ONE OTHER PATTERN...: by their hashes, which are shown.
same_files() {
    one=$1
    other=$2
    shift 2
    for folder in "$one" "$other"; do
        # shellcheck disable=SC2068 # patterns
        (cd "$folder" && sha256sum $@) >"$work/hashes" || return
        cat "$work/hashes"
        mv "$work/hashes" "$folder.hashes"
    done
    cmp "$one.hashes" "$other.hashes"
}

# show NAME COMMAND...: a script that reports cases; their names get this one before them.
show() {
    prefix=$1
    shift
    "$@" >"$work/cases" 2>&1
    status=$?
    sed "s/^\(\[ [^]]* \] \)/\1${prefix}_/" "$work/cases"
    test $status -eq 0 || failed_cases=$((failed_cases + 1))
}

# Tarball --------------------------------------------------------------------

mkdir "$work/first" "$work/second"

makes_tarball() {
    sh "$packaging/tarball.sh" "$work/first"
}

# A clone, another time zone, another mask, another second.
makes_it_again() {
    git clone -q --depth 1 "file://$source" "$work/clone" && sleep 1 &&
        (umask 077 && TZ=Pacific/Kiritimati sh "$work/clone/cmake/packaging/tarball.sh" \
            "$work/second") && same_files "$work/first" "$work/second" '*.tar.gz'
}

run_case tarball makes_tarball
test -f "$tarball" || end_cases
sha256sum "$tarball"
run_case tarball_is_reproducible makes_it_again

# Debian ---------------------------------------------------------------------

builds_debian() {
    # shellcheck disable=SC2086 # words
    quietly debian $offline sh "$packaging/debian.sh" "$tarball" "$debian"
}

tests_were_run() {
    grep -E '^100% tests passed' "$1"
}

lintian_is_silent() {
    lintian --allow-root -EvIL +pedantic "$debian"/*.changes >"$work/lintian" 2>&1
    cat "$work/lintian"
    ! grep -v '^N:' "$work/lintian"
}

# Each library as the flags of its distribution make it.  hardened LIBRARY
hardened() {
    readelf -d "$1" | grep 'FLAGS.*BIND_NOW' && readelf -lW "$1" | grep GNU_RELRO &&
        readelf -sW "$1" | grep __stack_chk_fail && readelf -sW "$1" | grep _chk@ &&
        ! readelf -lW "$1" | grep 'GNU_STACK.*E '
}

unpacked_debian_is_hardened() {
    dpkg-deb -x "$debian"/libfocalghm"$soversion"_*.deb "$work/unpacked" &&
        hardened "$work"/unpacked/usr/lib/*/libfocalghm.so."$version"
}

# check_symbols SCRIPT: what dpkg says of the list of symbols after this change by sed.
check_symbols() {
    sed "$1" "$debian/libfocalghm-$version/debian/libfocalghm$soversion.symbols" >"$work/symbols" &&
        (cd "$debian/libfocalghm-$version" && dpkg-gensymbols -c4 "-plibfocalghm$soversion" \
            -O/dev/null "-I$work/symbols" -e"debian/libfocalghm$soversion/usr/lib/*/*.so.*")
}

list_of_symbols_is_exact() {
    check_symbols '' && ! check_symbols '/fghm_version@/d' &&
        ! check_symbols 's/fghm_version@/fghm_versions@/'
}

builds_debian_again() {
    # shellcheck disable=SC2086 # words
    TZ=Pacific/Kiritimati DEB_BUILD_OPTIONS=nocheck quietly debian_again \
        $offline sh "$packaging/debian.sh" "$tarball" "$work/another/folder" &&
        same_files "$debian" "$work/another/folder" '*.deb' '*.dsc' '*.tar.*'
}

# A root with the tools that consumers and autopkgtest need, and nothing to get others from.
makes_root() {
    quietly root mmdebstrap --variant=minbase --include=build-essential,cmake,pkg-config,apt-utils \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" &&
        rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* && mkdir "$root/packages" && cp "$debian"/*.deb "$root/packages" &&
        tar xzf "$tarball" -C "$root/packages"
}

# All files, but for those in which dpkg and its helpers keep books.
files_in_root() {
    (cd "$root" && find . -xdev \( -path ./tmp -o -path ./var/log -o -path ./var/cache \
        -o -path ./var/lib/dpkg \) -prune -o -print | sort)
}

in_root() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
}

debian_names="libfocalghm$soversion libfocalghm-dev libfocalghm-doc"
installs_debian() {
    files_in_root >"$work/before"
    # Not the packages of debug information.
    in_root sh -c "dpkg -i /packages/libfocalghm${soversion}_*.deb /packages/libfocalghm-d*.deb"
}

removes_debian() {
    # shellcheck disable=SC2086 # words
    in_root dpkg --purge $debian_names && files_in_root | diff "$work/before" -
}

passes_autopkgtest() {
    autopkgtest "$debian"/*.changes -- chroot "$root"
}

run_case debian_packages_are_built builds_debian
if test -f "$debian/libfocalghm-dev_$version-1_$(dpkg --print-architecture).deb"; then
    (cd "$debian" && sha256sum ./*.deb)
    run_case debian_tests_were_run tests_were_run "$work/debian.log"
    run_case lintian_is_silent lintian_is_silent
    run_case debian_library_is_hardened unpacked_debian_is_hardened
    run_case debian_list_of_symbols_is_exact list_of_symbols_is_exact
    run_case debian_is_reproducible builds_debian_again
    if unshare --mount true 2>/dev/null; then
        run_case root_is_made makes_root
    else
        skip_case root_is_made "a root of its own needs the right to mount"
    fi
fi
if test -d "$root/packages"; then
    run_case debian_installs installs_debian
    show debian in_root "/packages/libfocalghm-$version/tests/packages/consumers.sh"
    run_case debian_leaves_nothing_behind removes_debian
    run_case autopkgtest_passes passes_autopkgtest
fi

# RPM ------------------------------------------------------------------------

# Without tests, which the Debian packages have run: they would take minutes more.
builds_rpm() {
    # shellcheck disable=SC2086 # words
    quietly rpm $offline sh "$packaging/rpm.sh" "$tarball" "$rpm" --without check
}

# It says that nothing is wrong, with the filters for what is as it must be here.
rpmlint_is_silent() {
    rpmlint -c "$packaging/rpmlint.toml" "$rpm"/RPMS/*/*.rpm "$rpm"/SRPMS/*.rpm \
        "$rpm"/SPECS/*.spec >"$work/rpmlint" 2>&1
    cat "$work/rpmlint"
    grep ' 0 errors, 0 warnings' "$work/rpmlint"
}

# Control-flow protection too, as its instructions say; Debian's start files have none, so that the
# note in the library has not, either.
unpacked_rpm_is_hardened() {
    mkdir "$work/unpacked_rpm" && (
        cd "$work/unpacked_rpm" &&
            rpm2cpio "$rpm"/RPMS/*/libfocalghm-"$version"-*.rpm | cpio -id --quiet
    ) && library=$(echo "$work"/unpacked_rpm/usr/lib64/libfocalghm.so."$version") &&
        hardened "$library" && {
        test "$(uname -m)" != x86_64 || objdump -d --disassemble=fghm_version "$library" |
            grep endbr64
    }
}

builds_rpm_again() {
    # shellcheck disable=SC2086 # words
    TZ=Pacific/Kiritimati quietly rpm_again \
        $offline sh "$packaging/rpm.sh" "$tarball" "$work/another/rpm/folder" --without check &&
        same_files "$rpm" "$work/another/rpm/folder" 'RPMS/*/*' 'SRPMS/*'
}

# Below a folder of its own, where its packages need none that are not there.
rpm_in_root() {
    rpm --root "$rpm_root" --dbpath /rpmdb "$@"
}

installs_rpm() {
    mkdir "$rpm_root" && rpm_in_root --initdb &&
        rpm_in_root -i --nodeps "$rpm"/RPMS/*/libfocalghm-"$version"-*.rpm \
            "$rpm"/RPMS/*/libfocalghm-devel-*.rpm "$rpm"/RPMS/*/libfocalghm-static-*.rpm
}

# The CMake package does without the static library.
devel_does_without_static() {
    rpm_in_root -e --nodeps libfocalghm-static && test ! -e "$rpm_root/usr/lib64/libfocalghm.a" &&
        focalghm_DIR=$rpm_root/usr/lib64/cmake/focalghm cmake -S "$tests/abi/consumer" -B "$work/without_static" \
            -DSOURCE=consumer.c -DTARGET=focalghm::focalghm
}

removes_rpm() {
    rpm_in_root -e --nodeps libfocalghm-devel libfocalghm &&
        ! find "$rpm_root" -path "$rpm_root/rpmdb" -prune -o \( ! -type d -o -name '*focalghm*' \) \
            -print | grep .
}

run_case rpm_packages_are_built builds_rpm
if test -f "$rpm/RPMS/$(uname -m)/libfocalghm-devel-$version-1.$(uname -m).rpm"; then
    (cd "$rpm/RPMS" && sha256sum ./*/*.rpm)
    run_case rpmlint_is_silent rpmlint_is_silent
    run_case rpm_library_is_hardened unpacked_rpm_is_hardened
    run_case rpm_is_reproducible builds_rpm_again
    run_case rpm_installs installs_rpm
    show rpm "$tests/packages/consumers.sh" "$rpm_root"
    run_case rpm_devel_does_without_static devel_does_without_static
    run_case rpm_leaves_nothing_behind removes_rpm
fi
end_cases
