#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Julia package against the library of a build tree, installed into a temporary folder.
# julia.sh [BUILD]
#
# Debian 12 has no Julia.  With CI=true the one of Debian 11 is unpacked in the build tree.
. "${0%/*}/../abi/cases.sh"
here=$(cd "${0%/*}" && pwd)
source=$(cd "$here/../.." && pwd)
export ABI_SOURCE="$source"
. "$here/programs.sh"
package=$source/src/bindings/julia
build=$(cd "${1:-$source/build}" && pwd) || exit

# bullseye_apt COMMAND...: apt for Debian 11, with lists of its own, from where the machine's own
# packages come.
bullseye_apt() {
    command=$1
    shift
    "$command" -q -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$root/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$root/cache" -o APT::Sandbox::User="$(id -un)" "$@" </dev/null
}

unpack_julia() {
    command -v apt-get >/dev/null && mkdir -p "$root/lists/partial" "$root/cache/archives/partial" \
        "$root/debs" || return
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security |
        head -n 1)
    test -n "$mirror" || return
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bullseye main" \
        >"$root/sources.list"
    bullseye_apt apt-get update || return
    # What is so near the C library that the machine's own has to do.
    own='^(libc6|libgcc-s1|gcc-.*-base|c?debconf|dpkg|tar|perl.*|libperl.*|libcrypt1)$'
    packages=$(bullseye_apt apt-cache depends --recurse --no-recommends --no-suggests \
        --no-conflicts --no-breaks --no-replaces --no-enhances julia | grep -E '^[a-z]' | sort -u |
        grep -vE "$own")
    # shellcheck disable=SC2086 # a list of packages
    (cd "$root/debs" && bullseye_apt apt-get download $packages) || return
    for archive in "$root"/debs/*.deb; do
        dpkg-deb -x "$archive" "$root/tree" || return
    done
    rm -rf "$root/debs" "$root/lists" "$root/cache"
    touch "$root/complete"
}

root=$build/julia
triplet=$(uname -m)-linux-gnu
if test "${CI:-}" = true && ! command -v julia >/dev/null && ! test -f "$root/complete"; then
    mkdir -p "$root"
    unpack_julia >"$root/log" 2>&1 || { echo "Julia could not be unpacked:" && tail -n 3 "$root/log"; }
fi

# julia ARGUMENTS...
libraries=
if ! command -v julia >/dev/null; then
    if ! test -f "$root/complete"; then
        for name in tests threads loader install readme digits cases; do
            skip_case "julia_$name" "there is no Julia"
        done
        end_cases
    fi
    tree=$root/tree/usr
    libraries=$tree/lib/$triplet:$tree/lib/$triplet/julia:$root/tree/lib/$triplet:
    # Its folders are not where it was built for.
    julia() {
        "$tree/bin/julia" -J "$tree/lib/$triplet/julia/sys.so" "$@"
    }
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/install" || { cat "$work/install"; exit 1; }
libdir=$(dirname "$(find "$work/prefix" -name libfocalghm.so)")
export JULIA_DEPOT_PATH="$work/depot" JULIA_LOAD_PATH=@:@stdlib LD_LIBRARY_PATH="$libraries"
export FOCALGHM_LIBRARY="$libdir/libfocalghm.so"

in_package() {
    julia --startup-file=no --project="$package" "$@"
}

tests_pass() {
    in_package --depwarn=error --check-bounds=yes "$package/test/runtests.jl"
}

# Tasks on two threads, with one handle and one pool.
threads_agree() {
    JULIA_NUM_THREADS=2 in_package -e '
        using FocalGHM
        f, pool = Focal(), Pool(2)
        x, t = randn(Float32, 100000), zeros(Float32, 100000)
        losses = zeros(40)
        Threads.@threads for i in 1:40
            losses[i] = loss!(f, x, t; pool = pool).loss
        end
        all(isequal(losses[1]), losses) && Threads.nthreads() == 2 || exit(1)'
}

# Without FOCALGHM_LIBRARY the loader finds it; where there is none, an error says what to do.
loader_finds() {
    (unset FOCALGHM_LIBRARY && LD_LIBRARY_PATH="$libdir:$libraries" in_package -e 'using FocalGHM') &&
        ! FOCALGHM_LIBRARY=/nowhere/libfocalghm.so in_package -e 'using FocalGHM' || return
    (unset FOCALGHM_LIBRARY && in_package -e 'using FocalGHM') 2>"$work/error" ||
        grep FOCALGHM_LIBRARY "$work/error"
}

# As the README says it, in a folder of its own.  An empty registry, since the package needs none
# and Pkg would fetch one.
installs() {
    mkdir -p "$work/depot/registries/None" "$work/user" && cd "$work/user" &&
        printf '%s\n' 'name = "None"' 'uuid = "00000000-0000-4000-8000-000000000000"' 'repo = ""' \
            '[packages]' >"$work/depot/registries/None/Registry.toml" &&
        line=$(readme_line 'julia -e') && test -n "$line" && export JULIA_PROJECT=. &&
        eval "$line" && julia --startup-file=no -e 'using FocalGHM; println(Focal())'
}

readme_program_runs() {
    readme_example julia >"$work/readme.jl" && in_package "$work/readme.jl" >"$work/readme" &&
        grep -E '^[0-9.]+$' "$work/readme"
}

run_case julia_has_members has members "$package"/src/*.jl
run_case julia_tests tests_pass
run_case julia_threads threads_agree
run_case julia_loader loader_finds
run_case julia_install installs
run_case julia_readme readme_program_runs
case_of_digits julia_digits in_package "$package/examples/digits.jl"
case_of_bits julia_cases reads_cases in_package "$package/test/cases.jl"
end_cases
