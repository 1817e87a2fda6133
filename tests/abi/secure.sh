#!/bin/sh
# SPDX-License-Identifier: MIT
#
# secure.sh STATIC: a program that runs with the rights of another user does not look at
# FOCALGHM_ISA.
. "${0%/*}/cases.sh"

static=$1
work=$(fresh_dir secure)

cat >"$work/isa.c" <<'END'
#include <focalghm/focalghm.h>
#include <stdio.h>
int main(void) {
    puts(fghm_isa_name());
    return 0;
}
END

builds() {
    # shellcheck disable=SC2086 # a list of flags
    "$1" $ABI_CFLAGS -DFGHM_STATIC -I"$ABI_SOURCE/include" "$work/isa.c" "$static" -lm -lpthread \
        -o "$work/isa"
}

another_is_obeyed() {
    test "$(FOCALGHM_ISA=$another "$work/isa")" = "$another"
}

# Root lends a program to another user: that is as much a change of rights as the reverse.
lent_program_does_not_look() {
    cp "$work/isa" "$work/lent" && chown nobody "$work/lent" && chmod 4755 "$work/lent" &&
        test "$(FOCALGHM_ISA=$another "$work/lent")" = "$best"
}

# Whether the file system lends rights at all.
rights_can_be_lent() {
    test "$(id -u)" -eq 0 && cp "$(command -v id)" "$work/id" && chown nobody "$work/id" &&
        chmod 4755 "$work/id" && test "$("$work/id" -u)" != 0
}

run_case program_builds builds "$ABI_CC"
best=$("$work/isa")
another=sse2
if ! test "$(FOCALGHM_ISA=$another "$work/isa")" = $another || test "$best" = $another; then
    skip_case instruction_set_is_chosen "there is nothing to choose from here"
else
    run_case instruction_set_is_chosen another_is_obeyed
    if rights_can_be_lent >/dev/null 2>&1; then
        run_case lent_program_does_not_look lent_program_does_not_look
    else
        skip_case lent_program_does_not_look "rights cannot be lent here"
    fi
fi
end_cases
