#!/bin/sh
# SPDX-License-Identifier: MIT
#
# libm.sh LIBRARY: the shared library needs no function of <math.h> or <fenv.h>, wherever the C
# library has it: results would be those of that library, and errno would be set by it.
. "${0%/*}/cases.sh"

library=$1
work=$(fresh_dir libm)

needs_no_libm() {
    readelf -d "$library" >"$work/dynamic" && grep NEEDED "$work/dynamic" &&
        ! grep 'NEEDED.*\[libm[.-]' "$work/dynamic"
}

# What these headers declare, and more, as every word before a parenthesis counts.
"$ABI_CC" -E -P -D_GNU_SOURCE -include math.h -include fenv.h -xc /dev/null |
    grep -oE '[A-Za-z_][A-Za-z0-9_]* *\(' | tr -d ' (' | sort -u >"$work/declared"

# calls_none LIBRARY
calls_none() {
    grep -x fma "$work/declared" && grep -x fesetround "$work/declared" || return
    "$ABI_NM" -D --undefined-only "$1" | awk '{ sub(/@.*/, "", $NF); print $NF }' |
        sort -u >"$work/undefined"
    grep -x malloc "$work/undefined" && ! comm -12 "$work/declared" "$work/undefined" | grep .
}

# The case above is one: a library that calls such a function fails it.
finds_a_call() {
    printf '%s\n' '#include <math.h>' '#include <stdlib.h>' 'void *memory(double x);' \
        'void *memory(double x) { return malloc((size_t)ldexp(x, 3)); }' >"$work/calls.c" &&
        "$ABI_CC" -O2 -fPIC -shared "$work/calls.c" -o "$work/libcalls.so" &&
        ! calls_none "$work/libcalls.so"
}

needs_no_environment() {
    echo 'static const int in_libm = FGHM_ENVIRONMENT_IN_LIBM;' |
        "$ABI_CC" -include "$ABI_SOURCE/src/environment.h" -E -P -xc - | grep 'in_libm = 0;'
}

if needs_no_environment >/dev/null; then
    if command -v readelf >/dev/null; then
        run_case needs_no_libm needs_no_libm
    else
        skip_case needs_no_libm 'there is no program "readelf"'
    fi
    run_case calls_no_function_of_math_h calls_none "$library"
    run_case such_a_call_is_found finds_a_call
else
    skip_case needs_no_libm "it may, on this architecture"
fi
end_cases
