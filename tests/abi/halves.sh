#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Libraries that are half installed: what needs one is left out, with the reason, and all else is
# built.
. "${0%/*}/cases.sh"

work=$(fresh_dir halves)

# A package file without headers and library.
mkdir "$work/pkgconfig"
for module in cmocka mpfr jansson; do
    printf 'Name: %s\nDescription: half\nVersion: 9\nCflags: -I%s\nLibs: -L%s -l%s_half\n' \
        $module "$work/none" "$work/none" $module >"$work/pkgconfig/$module.pc"
done

# The others come from where they are.
configured_with() {
    module=$1
    mkdir "$work/of_$module"
    cp "$work/pkgconfig/$module.pc" "$work/of_$module"
    PKG_CONFIG_PATH=$work/of_$module "$ABI_CMAKE" -S "$ABI_SOURCE" -B "$work/build_$module" \
        -G "$ABI_GENERATOR" -DCMAKE_C_COMPILER="$ABI_CC" >"$work/log_$module" 2>&1 ||
        { cat "$work/log_$module"; return 1; }
    grep "$module: left out, it is there, but a small program with it does not build" \
        "$work/log_$module"
}

# consumer_is_left_out NAME ARGUMENTS OF CMAKE...
consumer_is_left_out() {
    name=$1
    shift
    "$ABI_CMAKE" -S "$ABI_SOURCE/bench/consumers" -B "$work/consumer_$name" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_PREFIX_PATH="$ABI_PREFIX" -DCONSUMER="$name" \
        "$@" >"$work/log_$name" 2>&1 || { cat "$work/log_$name"; return 1; }
    grep "$name: left out, .*, but " "$work/log_$name" || { cat "$work/log_$name"; return 1; }
}

for module in cmocka mpfr jansson; do
    run_case "half_of_$module" configured_with $module
done

mkdir "$work/xgboost" "$work/bin"
: >"$work/half.so"
mkdir "$work/xgboost/xgboost"
: >"$work/xgboost/xgboost/c_api.h"
printf '#!/bin/sh\necho "mpi.h is missing" >&2\nexit 1\n' >"$work/bin/mpicc"
chmod +x "$work/bin/mpicc"
if "$ABI_PKG_CONFIG" --exists cmocka; then
    run_case half_of_mpi consumer_is_left_out mpi -DMPICC="$work/bin/mpicc"
    run_case half_of_xgboost consumer_is_left_out xgboost \
        -DXGBOOST_LIBRARY="$work/half.so" -DXGBOOST_INCLUDE_DIRECTORY="$work/xgboost"
    run_case half_of_lightgbm consumer_is_left_out lightgbm -DLIGHTGBM_LIBRARY="$work/half.so"
fi
end_cases
