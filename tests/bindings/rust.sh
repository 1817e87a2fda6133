#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Rust crates against the installed library: declarations, format, lints, tests, documentation.
# Skipped, with the reason, where a tool or the crates of others are missing.
. "${0%/*}/../abi/cases.sh"
. "${0%/*}/programs.sh"

source=$ABI_SOURCE/src/bindings/rust
work=$(fresh_dir bindings_rust)
export PKG_CONFIG="$ABI_PKG_CONFIG" PKG_CONFIG_PATH="$ABI_PREFIX/$ABI_LIBDIR/pkgconfig"
export LD_LIBRARY_PATH="$ABI_PREFIX/$ABI_LIBDIR"

# All but `vendored`, which does without the library that is installed.
features=focalghm/ndarray,focalghm/static

# declarations FILE: one line for each function, constant, type, and field of a struct.  What
# bindgen adds for the tags of C enums, and for handles, is left out.
declarations() {
    rustfmt --emit stdout --quiet --config max_width=1000,use_small_heuristics=Max "$1" |
        sed -E 's/:*core::(ffi|option):://g; s/8usize/FGHM_AXES_MAX/' |
        awk '
            /^    pub fn / { print }
            /^pub struct / { struct = $3; place = 0 }
            /^    pub [a-z_]+: / { print struct, ++place $0 }
            /^pub type fghm_/ && !/_(values|limits|flags)/ { print }
            /^pub const FGHM_/ && !/_INVALID/ {
                sub(/0x4647_4d31/, "1179077937")
                print $3, $6
            }' |
        sort
}

declarations_are_those_of_the_headers() {
    echo '#include <focalghm/focalghm.h>' >"$work/all.h" &&
        bindgen "$work/all.h" --output "$work/bindgen.rs" --no-layout-tests --no-doc-comments \
            --no-prepend-enum-name --use-core --ctypes-prefix core::ffi --size_t-is-usize \
            --allowlist-function 'fghm_.*' --allowlist-type 'fghm_.*' --allowlist-var 'FGHM_.*' \
            -- -I"$ABI_PREFIX/include" &&
        declarations "$work/bindgen.rs" >"$work/expected" &&
        # Macros that bindgen cannot compute; the tests compare them with what C writes.
        declarations "$source/focalghm-sys/src/lib.rs" |
        grep -v '^FGHM_UNSET\|^FGHM_IGNORE_NONE' >"$work/found" &&
        grep -c 'pub fn' "$work/found" && diff "$work/expected" "$work/found"
}

in_crates() {
    cd "$work/crates" && "$@"
}

# The tests of the crates, a case each.
run_tests() {
    (in_crates cargo test --features "$features") >"$work/log" 2>&1
    status=$?
    awk '/^test .* \.\.\. / && !/\.\.\. ignored/ {
        result = $NF == "ok" ? "       OK" : "  FAILED "
        sub(/^test /, "")
        sub(/( - compile fail)? \.\.\. .*/, "")
        gsub(/[^A-Za-z0-9_:]+/, "_")
        printf "[ RUN      ] rust_%s\n[%s ] rust_%s\n", $0, result, $0
    }' "$work/log"
    run_case cargo_test test $status -eq 0
    test $status -eq 0 || cat "$work/log"
}

documentation_has_no_warnings() {
    in_crates env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features "$features"
}

# What would be published, with the C sources in it, takes the place of the crate.
packages() {
    version=$("$ABI_PKG_CONFIG" --modversion focalghm) &&
        sh "$source/stage.sh" "$work/crates" && cd "$work/crates" &&
        cargo package --workspace --allow-dirty --no-verify && rm -r focalghm-sys &&
        tar xzf "$CARGO_TARGET_DIR/package/focalghm-sys-$version.crate" &&
        mv "focalghm-sys-$version" focalghm-sys
}

# in_vendored COMMAND...: without the installed library.
in_vendored() {
    cd "$work/crates" && unset PKG_CONFIG_PATH LD_LIBRARY_PATH && "$@"
}

# In a package of its own, by the line of the README.
readme_program_runs() {
    line=$(readme_line 'cargo add') && test -n "$line" && cargo new --quiet --vcs none \
        --name readme "$work/readme" && cd "$work/readme" && readme_example rust >src/main.rs &&
        eval "$line" && cargo run --offline
}

links_static() {
    in_crates cargo build --example digits --features static &&
        ! readelf -d "$CARGO_TARGET_DIR/debug/examples/digits" | grep 'NEEDED.*libfocalghm'
}

run_case rust_has_all has_all "$source"/focalghm/src/*.rs
for tool in cargo rustfmt cargo-clippy; do
    if ! command -v $tool >/dev/null; then
        skip_case rust "there is no $tool"
        end_cases
    fi
done
if command -v bindgen >/dev/null; then
    run_case rust_declarations declarations_are_those_of_the_headers
else
    skip_case rust_declarations "there is no bindgen"
fi

# A copy, since cargo writes beside the sources; what it builds is kept for the next time.
cp -Rp "$source" "$work/crates"
export CARGO_TARGET_DIR="$ABI_WORK/bindings_rust_target" CARGO_NET_RETRY=1
run_case rust_format in_crates cargo fmt --check
if ! (in_crates cargo fetch) >"$work/log" 2>&1; then
    cat "$work/log"
    skip_case rust_tests "the crates of others cannot be had"
    end_cases
fi
run_case rust_lints in_crates cargo clippy --all-targets -- -D warnings
run_case rust_lints_with_ndarray in_crates cargo clippy --all-targets --features "$features" -- -D warnings
run_case rust_documentation documentation_has_no_warnings
run_tests
case_of_bits rust_cases in_crates env FOCALGHM_CASES="$ABI_SOURCE/tests/bindings/cases.txt" \
    cargo test --features "$features" --test cases -- --ignored
run_case rust_readme readme_program_runs
run_case rust_digits_compiles in_crates cargo build --example digits
case_of_digits rust_digits "$CARGO_TARGET_DIR/debug/examples/digits"
run_case rust_static links_static
case_of_digits rust_digits_static env -u LD_LIBRARY_PATH "$CARGO_TARGET_DIR/debug/examples/digits"
run_case rust_package packages
run_case rust_vendored_lints in_vendored cargo clippy --all-targets --features vendored -- -D warnings
run_case rust_vendored_tests in_vendored cargo test --lib --tests --features vendored
run_case rust_vendored_compiles in_vendored cargo build --example digits --features vendored
case_of_digits rust_vendored_digits env -u LD_LIBRARY_PATH "$CARGO_TARGET_DIR/debug/examples/digits"
skip_case rust_miri "Miri cannot call C, and every function of the crates does"
end_cases
