#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Go module against the library of a build tree, installed into a temporary folder.
# go.sh [BUILD]
. "${0%/*}/../abi/cases.sh"
here=$(cd "${0%/*}" && pwd)
source=$(cd "$here/../.." && pwd)
module=$source/src/bindings/go
build=$(cd "${1:-$source/build}" && pwd) || exit

export ABI_SOURCE="$source"
. "$here/programs.sh"

cases="has_all format vet staticcheck tests race cgocheck benchmarks types readme digits"
skip_all() {
    for name in $cases; do
        skip_case "go_$name" "$1"
    done
    end_cases
}
command -v go >/dev/null || skip_all "there is no Go"
# No other toolchain than the one that is here, which go.mod may find too old.
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=1
(cd "$module" && go list ./... >/dev/null 2>&1) || skip_all "this Go is too old: $(go version)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/install" || { cat "$work/install"; exit 1; }
pkgconfig=$(dirname "$(find "$work/prefix" -name focalghm.pc)")
export PKG_CONFIG_PATH="$pkgconfig" LD_LIBRARY_PATH="$pkgconfig/.."
# Go keeps what pkg-config said in its cache, under a key that knows of these flags alone.
export CGO_LDFLAGS="-O2 -g -L$pkgconfig/.."
# TestCases reads this.
! has_fused_multiply_add || export FOCALGHM_CASES="$source/tests/bindings/cases.txt"
cd "$module" || exit

format_is_kept() {
    badly_formatted=$(gofmt -l .)
    test -z "$badly_formatted" || { echo "$badly_formatted"; return 1; }
}

# Shows each test of Go's as a case.
show_tests() {
    awk '/^--- (PASS|FAIL|SKIP): / {
        result = $2 == "PASS:" ? "[       OK ]" : $2 == "FAIL:" ? "[  FAILED  ]" : "[  SKIPPED ]"
        print "[ RUN      ] go_" $3 "\n" result " go_" $3
    }' "$1"
}

tests_pass() {
    go test -count=1 -v . >"$work/tests" 2>&1 || { cat "$work/tests"; return 1; }
}

get_staticcheck() {
    command -v staticcheck ||
        { test "${CI:-}" = true && GOBIN=$work/bin timeout 300 \
            go install honnef.co/go/tools/cmd/staticcheck@v0.8.2 >/dev/null 2>&1 &&
            echo "$work/bin/staticcheck"; }
}

# makes_module NAME: in a folder of its own, as the README says.
makes_module() {
    mkdir "$work/$1" && cd "$work/$1" && go mod init "$1" && line=$(readme_line 'go mod edit') &&
        test -n "$line" && eval "$line"
}

# Each of these lines is an error: a number that no array has, two types in a call, a type in which
# nothing is computed, a constant of another family, a copy of a handle for a call by pointer.
wrong_types_do_not_compile() {
    makes_module wrong && cat >main.go <<'END' || return
package main

import "focalghm"

func main() {
	_ = focalghm.Contiguous([]uint64{1})
	_ = focalghm.Elements[float32]{Inputs: []float64{1}}
	_ = focalghm.Elements[int32]{}
	_ = new(focalghm.Focal).SetReduction(focalghm.Linear)
	_, _ = new(focalghm.Focal).Float64(focalghm.Pool{}, focalghm.Elements[float64]{})
}
END
    ! go build . 2>errors && cat errors && test "$(grep -c '^\./main.go:' errors)" -eq 5
}

# The program in the README.
readme_program_runs() {
    makes_module readme && readme_example go >main.go && gofmt -l . >unformatted &&
        test ! -s unformatted && go run . >output && grep '^0.0076451' output
}

# shellcheck disable=SC2046 # a list of files
run_case go_has_all has_all $(find . -maxdepth 1 -name '*.[ch]' -o -maxdepth 1 -name '*.go' \
    ! -name '*_test.go')
run_case go_format format_is_kept
run_case go_vet go vet ./...
if staticcheck=$(get_staticcheck); then
    run_case go_staticcheck "$staticcheck" ./...
else
    skip_case go_staticcheck "there is no staticcheck"
fi
run_case go_tests tests_pass
show_tests "$work/tests"
run_case go_race go test -count=1 -race .
run_case go_cgocheck env GOEXPERIMENT=cgocheck2 go test -count=1 .
run_case go_benchmarks go test -run none -bench . -benchtime 3x .
run_case go_types wrong_types_do_not_compile
run_case go_readme readme_program_runs
case_of_digits go_digits go run ./examples/digits
end_cases
