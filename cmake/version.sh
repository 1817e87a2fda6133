#!/bin/sh
# SPDX-License-Identifier: MIT
#
# version.sh [--check | MAJOR.MINOR.PATCH] [FOLDER]
#
# The version is in include/focalghm/version.h, which CMake reads.  What cannot read it, since a
# tool wants its own file, repeats it: the list below, a file and a piece of one of its lines.
# --check says whether all of them have the version of the header; with a version, that is set in
# all of them.
set -eu
LC_ALL=C
export LC_ALL

list() {
    cat <<'END'
include/focalghm/version.h                 #define FGHM_VERSION_MAJOR @MAJOR@
include/focalghm/version.h                 #define FGHM_VERSION_MINOR @MINOR@
include/focalghm/version.h                 #define FGHM_VERSION_PATCH @PATCH@
include/focalghm/version.h                 #define FGHM_VERSION @NUMBER@
cmake/packaging/README.md                  `find_package(focalghm @MAJOR@.@MINOR@)`
README.md                                  find_package(focalghm @MAJOR@.@MINOR@)
README.md                                  focalghm@v@VERSION@
src/bindings/go/call.h                     FGHM_VERSION_MAJOR != @MAJOR@ || FGHM_VERSION_MINOR != @MINOR@
src/bindings/go/call.h                     this module is for libfocalghm @MAJOR@.@MINOR@"
src/bindings/julia/Project.toml            version = "@VERSION@"
src/bindings/julia/src/library.jl          const MAJOR, MINOR = @MAJOR@, @MINOR@
src/bindings/rust/Cargo.toml               version = "@VERSION@"
src/bindings/rust/focalghm/Cargo.toml      focalghm-sys = { path = "../focalghm-sys", version = "@VERSION@"
src/bindings/rust/focalghm-sys/src/lib.rs  pub const FGHM_VERSION_MAJOR: i32 = @MAJOR@;
src/bindings/rust/focalghm-sys/src/lib.rs  pub const FGHM_VERSION_MINOR: i32 = @MINOR@;
src/bindings/rust/focalghm-sys/src/lib.rs  pub const FGHM_VERSION_PATCH: i32 = @PATCH@;
src/bindings/rust/focalghm-sys/src/lib.rs  pub const FGHM_VERSION: i32 = @NUMBER@;
END
}

# with_version TEXT MAJOR MINOR PATCH
with_version() {
    echo "$1" | sed "s/@VERSION@/$2.$3.$4/g; s/@NUMBER@/$(($2 * 10000 + $3 * 100 + $4))/g
        s/@MAJOR@/$2/g; s/@MINOR@/$3/g; s/@PATCH@/$4/g"
}

part() {
    sed -n "s/^#define FGHM_VERSION_$1 //p" include/focalghm/version.h
}

wanted=${1:---check}
cd "${2:-${0%/*}/..}"
major=$(part MAJOR) minor=$(part MINOR) patch=$(part PATCH)

if test "$wanted" = --check; then
    list | { failed=0
    while read -r file text; do
        line=$(with_version "$text" "$major" "$minor" "$patch")
        grep -qF -- "$line" "$file" || { echo "$file has no \"$line\""; failed=1; }
    done
    exit $failed; }
    exit
fi

rest=${wanted#*.}
set -- "${wanted%%.*}" "${rest%%.*}" "${rest#*.}"
list | while read -r file text; do
    old=$(with_version "$text" "$major" "$minor" "$patch" | sed 's/[]\/$*.^[]/\\&/g')
    new=$(with_version "$text" "$@" | sed 's/[\/&]/\\&/g')
    sed "s/$old/$new/g" "$file" >"$file.new"
    cat "$file.new" >"$file"
    rm "$file.new"
done
