#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the packages of distributions are made of agrees with the project: version, symbols,
# options.
. "${0%/*}/cases.sh"

packaging=$ABI_SOURCE/cmake/packaging
page=$packaging/README.md
work=$(fresh_dir packaging)

# Those that CMake's cache has for a builder to set.
options() {
    find "$ABI_SOURCE/CMakeLists.txt" "$ABI_SOURCE/cmake" "$ABI_SOURCE/tests" "$ABI_SOURCE/bench" \
        \( -name CMakeLists.txt -o -name '*.cmake' \) -exec cat {} + |
        sed -nE 's/^ *(option|find_program)\((FOCALGHM_[A-Z_]+) .*/\2/p
            s/^ *set\((FOCALGHM_[A-Z_]+) .* CACHE.*/\1/p' | sort -u
}

# Neither more nor less, but for what the environment says.
page_has_every_option() {
    options >"$work/options"
    test "$(wc -l <"$work/options")" -ge 10 &&
        sed -nE 's/^\| `(FOCALGHM_[A-Z_]+)`.*/\1/p' "$page" | sort | diff "$work/options" -
}

# fill SOURCE OUT: the folder debian and the spec file.
fill() {
    sh "$1/cmake/packaging/debian_folder.sh" "$2/debian" &&
        (source=$1 && . "$1/cmake/packaging/common.sh" && spec >"$2/spec")
}

# filled SOURCE MAJOR.MINOR.PATCH SOVERSION NODE: that version, and no other, stands in all.
filled() {
    out=$work/of_$2
    mkdir "$out" && fill "$1" "$out" &&
        ! grep -rE '@[A-Z]+@' "$out" &&
        head -n 1 "$out/debian/changelog" | grep -F "libfocalghm ($2-1) " &&
        grep -x "Package: libfocalghm$3" "$out/debian/control" &&
        grep -x "Version:  *$2" "$out/spec" && grep -F -- "- $2-1" "$out/spec" &&
        grep -F "libfocalghm.so.$3" "$out/spec" && test -f "$out/debian/libfocalghm$3.install" &&
        {
            echo "libfocalghm.so.$3 libfocalghm$3 #MINVER#"
            echo "* Build-Depends-Package: libfocalghm-dev"
            echo " FOCALGHM_$4@FOCALGHM_$4 $4.0"
            sed "s/ .*/@FOCALGHM_$4 $4.0/; s/^/ /" "$ABI_SOURCE/cmake/symbols.txt"
        } >"$out/expected" && LC_ALL=C sort "$out/debian/libfocalghm$3.symbols" >"$out/sorted" &&
        LC_ALL=C sort "$out/expected" | diff - "$out/sorted"
}

of_this_version() {
    source=$ABI_SOURCE
    . "$packaging/common.sh"
    filled "$ABI_SOURCE" "$version" "$soversion" "${version%.*}"
}

# bumped MAJOR MINOR PATCH SOVERSION NODE: the header alone says so.
bumped() {
    copy=$work/bumped_$1_$2_$3
    old=$(sed -n 's/^#define FGHM_VERSION_[A-Z]* //p' "$ABI_SOURCE/include/focalghm/version.h" |
        tr '\n' '.')
    mkdir -p "$copy/include/focalghm" && cp -R "$ABI_SOURCE/cmake" "$copy" &&
        cp "$ABI_SOURCE/CMakeLists.txt" "$copy" &&
        sed -e "s/^\(#define FGHM_VERSION_MAJOR\) .*/\1 $1/" \
            -e "s/^\(#define FGHM_VERSION_MINOR\) .*/\1 $2/" \
            -e "s/^\(#define FGHM_VERSION_PATCH\) .*/\1 $3/" \
            "$ABI_SOURCE/include/focalghm/version.h" >"$copy/include/focalghm/version.h" &&
        filled "$copy" "$1.$2.$3" "$4" "$5" &&
        ! grep -rF "${old%.}" "$work/of_$1.$2.$3"
}

maintainer_is_one_of_the_authors() {
    git -C "$ABI_SOURCE" log --format='%an <%ae>' | grep -qxF \
        "$(sed -n 's/^Maintainer: //p' "$packaging/debian/control.in")"
}

run_case page_has_every_option page_has_every_option
run_case packages_are_of_this_version of_this_version
run_case a_new_minor_reaches_the_packages bumped 0 37 1 0.37 0.37
run_case a_new_major_reaches_the_packages bumped 1 0 5 1 1.0
if test "$(git -C "$ABI_SOURCE" rev-parse --show-toplevel 2>/dev/null)" = "$ABI_SOURCE"; then
    run_case maintainer_is_one_of_the_authors maintainer_is_one_of_the_authors
else
    skip_case maintainer_is_one_of_the_authors "this is no checkout of git"
fi
end_cases
