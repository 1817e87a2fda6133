#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first C program of the README, as it is printed there, compiles without a
# warning against the installed library and runs.
. "${0%/*}/cases.sh"

readme=$ABI_SOURCE/README.md
libdir=$ABI_PREFIX/$ABI_LIBDIR
work=$(fresh_dir readme)

example_compiles_and_runs() {
    awk '/^```/ { if (inside) exit; inside = ($0 == "```c"); next } inside' "$readme" \
        >"$work/example.c"
    flags=$(PKG_CONFIG_PATH=$libdir/pkgconfig "$ABI_PKG_CONFIG" --cflags --libs focalghm) &&
        cat "$work/example.c" &&
        compile "$ABI_CC" "$flags" -Wall -Wextra -Werror "$work/example.c" -o "$work/example" &&
        LD_LIBRARY_PATH=$libdir "$work/example"
}

if test -f "$readme"; then
    run_case readme_example example_compiles_and_runs
else
    skip_case readme_example "there is no README.md"
fi
end_cases
