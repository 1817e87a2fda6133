#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh xgboost|lightgbm|torch|mpi: builds one consumer against the installed tree and runs
# it.  Ends with 77, and the reason, where the library that it joins is missing.  The tests
# call it; variables named ABI_... come from tests/abi.
set -u
name=$1
here=$(cd "$(dirname "$0")" && pwd)
# Seconds, for a consumer that hangs; none that works takes that long on any machine, and
# CTest's own limit is 1500.
patience=1200
libdir=$ABI_PREFIX/$ABI_LIBDIR

# The Python of the distribution, which sees its packages.
if test "$name" = torch; then
    python=/usr/bin/python3
    if ! "$python" -c 'import torch, torchvision' 2>/dev/null; then
        echo "torch: left out, python3-torch or python3-torchvision is missing"
        exit 77
    fi
    export FOCALGHM_LIBRARY="$libdir/libfocalghm.so" PYTHONDONTWRITEBYTECODE=1
    status=0
    for test in test_focal test_conventions test_ghm; do
        timeout "$patience" "$python" "$here/torch/$test.py" || status=1
    done
    exit $status
fi

build=$ABI_WORK/consumer_$name
rm -rf "$build" # libraries may have come or gone
mkdir -p "$build"
if ! {
    "$ABI_CMAKE" -S "$here" -B "$build" -G "$ABI_GENERATOR" -DCMAKE_C_COMPILER="$ABI_CC" \
        -DCMAKE_PREFIX_PATH="$ABI_PREFIX" -DCONSUMER="$name" \
        -DFOCALGHM_WERROR="$ABI_WERROR" &&
        "$ABI_CMAKE" --build "$build"
} >"$build/log" 2>&1; then
    cat "$build/log"
    exit 1
fi
if grep 'left out' "$build/log"; then
    exit 77
fi
export LD_LIBRARY_PATH="$libdir"
if test "$name" != mpi; then
    exec timeout "$patience" "$build/consumer_$name"
fi
if ! command -v mpiexec >/dev/null; then
    echo "mpi: left out, there is no program mpiexec"
    exit 77
fi
# Open MPI wants to be told that root, and more ranks than cores, are meant.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1
for ranks in 1 2 4; do
    timeout "$patience" mpiexec -n "$ranks" "$build/consumer_mpi" || exit 1
done
