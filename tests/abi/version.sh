#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Files that repeat the version of the header have the same; and one command gives all of them
# another, after which no binding has the old one.
. "${0%/*}/cases.sh"

work=$(fresh_dir version)

files_have_the_version() {
    sh "$ABI_SOURCE/cmake/version.sh" --check
}

# What is left of the old version in a copy of the tree.
bump_reaches_all() {
    old=$(sed -n 's/^#define FGHM_VERSION_[A-Z]* //p' "$ABI_SOURCE/include/focalghm/version.h" |
        paste -sd .) &&
        mkdir "$work/tree" && cd "$ABI_SOURCE" &&
        cp -RL CMakeLists.txt README.md cmake include src "$work/tree" &&
        mkdir -p "$work/tree/tests/abi" && cp -R tests/abi/consumer "$work/tree/tests/abi" &&
        cd "$work/tree" && sh cmake/version.sh 0.89.123 && sh cmake/version.sh --check &&
        cmake -S . -B build -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF >/dev/null &&
        grep 'CMAKE_PROJECT_VERSION:STATIC=0.89.123' build/CMakeCache.txt &&
        ! grep -rnF "$old" src/bindings include/focalghm/version.h --include='*.*' \
            --exclude-dir=test | grep -v '^include.*\*'
}

# Nothing in the list is passed over.
stale_file_is_found() {
    cd "$work/tree" && for file in src/bindings/rust/Cargo.toml src/bindings/julia/Project.toml \
        src/bindings/go/call.h; do
        sed 's/0\.89\.123/0.89.122/; s/MINOR != 89/MINOR != 88/' $file >stale &&
            mv $file kept && cp stale $file && ! sh cmake/version.sh --check && mv kept $file || return
    done
    sh cmake/version.sh --check
}

run_case version_of_files files_have_the_version
run_case version_bump bump_reaches_all
run_case version_stale stale_file_is_found
end_cases
