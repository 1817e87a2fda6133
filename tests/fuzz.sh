#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Hostile input: libFuzzer over batches, plain calls and saved states, with sanitizers.
# fuzz.sh [BUILD [RUNS of each target]]   what it finds stays in BUILD
#
#     FOCALGHM_SANITIZE    the sanitizers; empty: none, guard pages alone, quicker
#     FOCALGHM_TEST_SEED   of the runs, which are the same each time otherwise
#     FOCALGHM_TEST_SECONDS  of each target on every processor, in place of a number of runs; inputs
#                          that reach something new are kept in BUILD for the next time
#     FOCALGHM_COVERAGE    1: ends with the lines and branches of src/ that the runs reached
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-fuzz}
runs=${2:-18000}
sanitizers=${FOCALGHM_SANITIZE-address,undefined,float-cast-overflow,unsigned-shift-base}
sanitizers=${sanitizers:+$sanitizers,}
compiler=clang-14

cmake/packages.sh cmake clang-14 libclang-rt-14-dev
coverage=
test -z "${FOCALGHM_COVERAGE:-}" || coverage="-fprofile-instr-generate -fcoverage-mapping"
cmake -S . -B "$build" -DCMAKE_C_COMPILER=$compiler -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_FLAGS="$coverage" \
    -DFOCALGHM_SANITIZE="${sanitizers}fuzzer-no-link" -DFOCALGHM_BUILD_SHARED=OFF \
    -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF >/dev/null
# With the scalar row, which the library itself need not have.
cmake --build "$build" -j "$(nproc)" \
    --target focalghm_kernels focalghm_static_calls focalghm_test_rows >/dev/null

# The targets are compiled without what counts coverage: that is of the library.
mkdir -p "$build/calls" "$build/plain" "$build/state" "$build/harness"
for source in tests/fuzz/*.c; do
    basename "$source" .c
done | xargs -P "$(nproc)" -I{} $compiler -g -O2 -std=c11 -Wall -Wextra -Werror -Iinclude -Isrc \
    -DFGHM_STATIC ${sanitizers:+"-fsanitize=${sanitizers%,}"} -fno-sanitize-recover=all \
    -c tests/fuzz/{}.c -o "$build/harness/{}.o"
rm -f "$build/library.a"
find "$build/CMakeFiles/focalghm_kernels.dir" "$build/CMakeFiles/focalghm_static_calls.dir" \
    "$build/CMakeFiles/focalghm_test_rows.dir" -name '*.o' -exec ar rcs "$build/library.a" {} +

# link NAME FLAGS...: a program of its own source and of what all share
link() {
    name=$1
    shift
    # shellcheck disable=SC2086 # a list of options
    $compiler $coverage "$@" -Wl,--wrap=fghm_row "$build/harness/$name.o" "$build/harness/input.o" \
        "$build/harness/memory.o" "$build/harness/numbers.o" "$build/harness/rows.o" \
        "$build/harness/settings.o" "$build/library.a" -pthread -lm -o "$build/$name"
}
link seeds "-fsanitize=${sanitizers}fuzzer-no-link"
"$build/seeds" "$build"

# Not by libFuzzer's own -fork: that ends all processes when one has found something, and does not
# say how many inputs it has run.  These take each other's finds from the folder.
processes=1
length="-runs=$runs"
if test -n "${FOCALGHM_TEST_SECONDS:-}"; then
    processes=$(nproc)
    length="-max_total_time=$FOCALGHM_TEST_SECONDS"
fi
seed=${FOCALGHM_TEST_SEED:-20170807}
# fuzz TARGET PROCESS.  Not entropic: to weigh each input of the corpus by how rare its features are
# took half of the time.
fuzz() {
    most=256
    test "$1" != state || most=1024
    LLVM_PROFILE_FILE="$build/$1.$2.profraw" "$build/fuzz_$1" "$length" -seed=$((seed + $2)) \
        -max_len=$most -entropic=0 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/$1-" \
        -timeout=20 -rss_limit_mb=2048 "$build/$1" >"$build/fuzz_$1.$2.log" 2>&1
}

for target in calls plain state; do
    link "fuzz_$target" "-fsanitize=${sanitizers}fuzzer"
done
failed=0
rm -f "$build"/fuzz_*.log "$build"/*.profraw
for target in calls plain state; do
    echo "[ RUN      ] fuzz_$target"
    pids=
    for process in $(seq "$processes"); do
        fuzz $target "$process" &
        pids="$pids $!"
    done
    result=OK
    process=1
    for pid in $pids; do
        if ! wait "$pid"; then
            tail -n 60 "$build/fuzz_$target.$process.log"
            result=FAILED
            failed=1
        fi
        process=$((process + 1))
    done
    awk -v target=$target '/number_of_executed_units/ { executed += $2 }
        END { printf "fuzz_%s: %d executed\n", target, executed }' "$build"/fuzz_$target.*.log
    case $result in
    OK) echo "[       OK ] fuzz_$target" ;;
    *) echo "[  FAILED  ] fuzz_$target" ;;
    esac
done
if test -n "$coverage"; then
    cmake/packages.sh llvm-14
    llvm-profdata-14 merge -o "$build/profile" "$build"/*.profraw
    llvm-cov-14 report -instr-profile="$build/profile" "$build/fuzz_calls" \
        -object "$build/fuzz_plain" -object "$build/fuzz_state" src
fi
exit $failed
