#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Hostile input: libFuzzer over batches and over saved states, with the sanitizers for addresses
# and undefined behaviour.  What it finds stays in BUILD.
# fuzz.sh [BUILD [RUNS of each target]]; the same runs each time, unless FOCALGHM_TEST_SEED says others
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-fuzz}
runs=${2:-60000}

cmake/packages.sh cmake clang-14 libclang-rt-14-dev
compiler=clang-14
flags="-g -O1 -std=c11 -Iinclude -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"

cmake -S . -B "$build" -DCMAKE_C_COMPILER=$compiler -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DFOCALGHM_SANITIZE=address,undefined,fuzzer-no-link -DFOCALGHM_BUILD_SHARED=OFF \
    -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF >/dev/null
cmake --build "$build" -j "$(nproc)" >/dev/null
mkdir -p "$build/calls" "$build/states"
$compiler -g -std=c11 -Iinclude -fsanitize=address,undefined tests/fuzz/seeds.c \
    "$build/libfocalghm.a" -pthread -o "$build/seeds"
"$build/seeds" "$build/states"

failed=0
for target in calls state; do
    corpus=$build/calls
    test $target = calls || corpus=$build/states
    echo "[ RUN      ] fuzz_$target"
    # shellcheck disable=SC2086 # a list of flags
    if $compiler $flags "tests/fuzz/fuzz_$target.c" tests/fuzz/input.c "$build/libfocalghm.a" \
        -pthread -o "$build/fuzz_$target" &&
        "$build/fuzz_$target" -runs="$runs" -seed="${FOCALGHM_TEST_SEED:-20170807}" -print_final_stats=1 -verbosity=0 \
            -artifact_prefix="$build/" -timeout=20 -rss_limit_mb=2048 "$corpus" \
            >"$build/fuzz_$target.log" 2>&1; then
        grep -E 'number_of_executed_units' "$build/fuzz_$target.log"
        echo "[       OK ] fuzz_$target"
    else
        tail -n 60 "$build/fuzz_$target.log"
        echo "[  FAILED  ] fuzz_$target"
        failed=1
    fi
done
exit $failed
