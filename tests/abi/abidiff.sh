#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What programs are compiled against (functions with their types, structs with their layout,
# enumerators with their values, symbols with their versions) is as in promised.xml.  Red are: a
# function, a constant or a field that is gone, another type of a parameter or result, another value
# of a constant, any change of a struct.  Not red are functions and constants that are added.  What
# version.h allows besides, a longer fghm_batch or fghm_result (see grow.sh) and a limit that has
# grown, is red until this is done:
#
#     ABI_WRITE=1 ctest --test-dir build -R abi_abidiff     # writes promised.xml anew
#
# which belongs to each release, and to a new SOVERSION, which may break everything; else only to a
# change of what is not released yet.  Its diff says what the change is.
#
# The interface is that of the headers: of a library with a body for each declaration, under the
# version script of the real one.  That this exports the same functions is tested in symbols.sh.
. "${0%/*}/cases.sh"

promised=$ABI_SOURCE/tests/abi/promised.xml
work=$(fresh_dir abidiff)

for program in abidw abidiff; do
    if ! command -v $program >/dev/null; then
        skip_case abi_is_as_promised "there is no program \"$program\" (Debian: abigail-tools)"
        end_cases
    fi
done
macros=$("$ABI_CC" -dM -E - </dev/null)
if ! echo "$macros" | grep -q '^#define __x86_64__ ' || ! echo "$macros" | grep -q '^#define __LP64__ '; then
    skip_case abi_is_as_promised "promised.xml is that of x86-64"
    end_cases
fi

# describe HEADERS NAME: writes NAME.xml.  Freestanding: nothing of the C library gets in.
describe() {
    {
        printf '%s\n' '#define FOCALGHM_EXPORT_H' '#define FGHM_API EXPORTED' \
            '#include <focalghm/focalghm.h>'
    } | "$ABI_CC" -E -P -ffreestanding -I"$1" - | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*EXPORTED \(.*\)$/\1 { __builtin_trap(); }/p' >"$work/$2.bodies" &&
        test -s "$work/$2.bodies" &&
        { echo '#include <focalghm/focalghm.h>' && cat "$work/$2.bodies"; } >"$work/$2.c" &&
        "$ABI_CC" -shared -fPIC -ffreestanding -nostdlib -std=c11 -g -gdwarf-4 \
            -fno-eliminate-unused-debug-types -fvisibility=hidden -DFGHM_BUILDING_SHARED -I"$1" \
            "$work/$2.c" -Wl,--version-script="$work/map" \
            -Wl,-soname,"libfocalghm.so.$soversion" -o "$work/$2.so" &&
        abidw --load-all-types --no-show-locs --no-corpus-path --no-comp-dir-path --no-elf-needed \
            --no-write-default-sizes --no-parameter-names --out-file "$work/$2.xml" "$work/$2.so"
}

# One name more, for a function that is added below.
sed 's/fghm_ghm_reset;/& fghm_ghm_added;/' "$ABI_BUILD/focalghm.map" >"$work/map"

# keeps NAME: whether NAME.xml keeps what is promised.
keeps() {
    abidiff --no-added-syms --non-reachable-types "$promised" "$work/$1.xml"
}

# While MAJOR is 0, it is 0.MINOR.
numbers=$(sed -n 's/^#define FGHM_VERSION_[A-Z]* \([0-9]*\)$/\1/p' \
    "$ABI_SOURCE/include/focalghm/version.h")
version=$(echo "$numbers" | paste -sd . -)
case $version in
0.*) soversion=${version%.*} ;;
*) soversion=${version%%.*} ;;
esac

abi_is_as_promised() {
    describe "$ABI_SOURCE/include" this || return
    if test -n "${ABI_WRITE:-}"; then
        # Where it was built is nobody's business.
        sed "s|$work/||g" "$work/this.xml" >"$promised"
    fi
    keeps this
}

# changed HEADER SED: the interface with another header.
changed() {
    rm -rf "$work/include" && cp -R "$ABI_SOURCE/include" "$work/include" &&
        sed -i "$2" "$work/include/focalghm/$1" &&
        ! diff -r "$ABI_SOURCE/include" "$work/include" >/dev/null &&
        describe "$work/include" changed
}

breaks() {
    changed "$@" && ! keeps changed
}

# adds NAME HEADER SED: and there it is.
adds() {
    added=$1
    shift
    changed "$@" && grep "$added" "$work/changed.xml" && keeps changed
}

# Once a release has the nodes of promised.xml, none gets another symbol.
released_nodes_are_closed() {
    sed -n "s/.*<elf-symbol name='\([^']*\)' version='\([^']*\)'.*/\1 \2/p" "$promised" |
        sort >"$work/promised_symbols"
    test -s "$work/promised_symbols" || return
    if grep "^### $version, not released yet" "$ABI_SOURCE/README.md"; then
        return 0
    fi
    sed -n "s/.*<elf-symbol name='\([^']*\)' version='\([^']*\)'.*/\1 \2/p" "$work/this.xml" |
        sort | comm -13 "$work/promised_symbols" - >"$work/added"
    ! cut -d' ' -f2 "$work/promised_symbols" | sort -u | grep -wFf - "$work/added"
}

run_case abi_is_as_promised abi_is_as_promised
run_case released_nodes_are_closed released_nodes_are_closed
run_case another_value_is_found breaks status.h 's/\(FGHM_ERROR_SCORE = -2\)8/\19/'
run_case another_name_is_found breaks status.h 's/FGHM_ERROR_SCORE = /FGHM_ERROR_SCORES = /'
run_case a_moved_field_is_found breaks batch.h \
    's/const double \*class_gamma;//; s/const double \*class_weights;/& const double *class_gamma;/'
run_case another_type_is_found breaks focal.h 's/\(set_gamma(fghm_focal \*focal, \)double/\1float/'
run_case a_longer_input_is_found breaks batch.h 's/^} fghm_input;/ double added;\n&/'
run_case a_lost_function_is_found breaks ghm.h 's/^FGHM_API fghm_status fghm_ghm_reset(.*;//'
run_case a_constant_is_added adds FGHM_ERROR_ADDED status.h 's/FGHM_ERROR_SCORE = -28/&, FGHM_ERROR_ADDED = -29/'
run_case a_function_is_added adds "name='fghm_ghm_added' version=" ghm.h \
    's/^FGHM_API fghm_status fghm_ghm_reset(/FGHM_API fghm_status fghm_ghm_added(int x);\n&/'
end_cases
