#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Two copies of the library, built with FOCALGHM_PREFIX, link into one program: they share no
# global name.
. "${0%/*}/cases.sh"

work=$(fresh_dir prefix_copies)

# build_copy PREFIX
build_copy() {
    "$ABI_CMAKE" -S "$ABI_SOURCE" -B "$work/$1" -G "$ABI_GENERATOR" \
        -DCMAKE_C_COMPILER="$ABI_CC" -DCMAKE_BUILD_TYPE=Debug -DFOCALGHM_PREFIX="$1" \
        -DFOCALGHM_BUILD_TESTS=OFF -DFOCALGHM_BUILD_BENCH=OFF &&
        "$ABI_CMAKE" --build "$work/$1" -j 2 &&
        "$ABI_CMAKE" --install "$work/$1" --prefix "$work/$1/installed"
}

# has_only_names_of PREFIX
has_only_names_of() {
    "$ABI_NM" -g --defined-only "$work/$1/libfocalghm.a" | awk 'NF == 3 { print $3 }' |
        sort >"$work/$1/names"
    grep -q "^$1fghm_version$" "$work/$1/names" && ! grep -v "^$1" "$work/$1/names"
}

# exports_names_of PREFIX: as many as the list has.
exports_names_of() {
    library=$work/$1/libfocalghm.so
    count=$("$ABI_NM" -D --defined-only "$library" | grep -c " T $1fghm_")
    echo "$count functions"
    test "$count" -eq "$(grep -c '^fghm_' "$ABI_SOURCE/cmake/symbols.txt")"
}

cat >"$work/user.c" <<'END'
#include <focalghm/focalghm.h>
double USER(void);
double USER(void) {
    const float logits[] = {1, -2}, targets[] = {1, 0};
    fghm_focal *focal = 0;
    double loss = 0;
    if (fghm_focal_create(&focal) != FGHM_OK ||
        fghm_focal_f32(focal, 0, 2, logits, targets, 0, &loss, 0, 0, 0) != FGHM_OK) {
        return -1;
    }
    fghm_focal_destroy(focal);
    return loss;
}
END
cat >"$work/program.c" <<'END'
double one(void);
double two(void);
int main(void) {
    return !(one() > 0) || one() != two();
}
END

# compile_user NAME PREFIX
compile_user() {
    "$ABI_CC" -DFGHM_STATIC -DUSER="$1" -I"$work/$2/installed/include" -c "$work/user.c" \
        -o "$work/$1.o"
}

two_copies_in_one_program() {
    compile_user one one_ && compile_user two two_ &&
        "$ABI_CC" "$work/program.c" "$work/one.o" "$work/two.o" "$work/one_/libfocalghm.a" \
            "$work/two_/libfocalghm.a" -lm -lpthread -o "$work/program" && "$work/program"
}

for prefix in one_ two_; do
    run_case "builds_with_${prefix}" build_copy "$prefix"
    run_case "archive_has_only_names_of_${prefix}" has_only_names_of "$prefix"
    run_case "library_exports_names_of_${prefix}" exports_names_of "$prefix"
done
run_case two_copies_in_one_program two_copies_in_one_program
end_cases
