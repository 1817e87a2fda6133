#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The headers are the manual: doxygen finds nothing wrong with their comments, and each has an
# example.
. "${0%/*}/cases.sh"

work=$(fresh_dir manual)

# What a getter takes is what its setter takes, and a function of double takes what that of float
# does: these say so in a sentence, and have no parameters listed.  Of all others doxygen wants
# each parameter and what is returned; of these, all or none.
of_a_pair='\(parameters\|return type\) of member fghm_[a-z_]*\(_get_[a-z_]*\|_f64\) \(is\|are\) not'

# warnings SOURCE: all that is wrong with the headers there.
warnings() {
    mkdir -p "$work/pages"
    (cd "$1" && { cat "$ABI_SOURCE/cmake/Doxyfile" && echo "OUTPUT_DIRECTORY = $work/pages"; } |
        doxygen - 2>&1) | grep -v "$of_a_pair"
    rm -rf "$work/pages"
}

comments_are_complete() {
    warnings "$ABI_SOURCE" >"$work/warnings"
    cat "$work/warnings"
    test ! -s "$work/warnings"
}

# finds SCRIPT: the headers after this change by sed are not complete.
finds() {
    rm -rf "$work/changed" && mkdir "$work/changed" &&
        cp -R "$ABI_SOURCE/include" "$work/changed" || return
    sed -i "$1" "$work/changed/include/focalghm/focal.h" &&
        ! cmp "$ABI_SOURCE/include/focalghm/focal.h" "$work/changed/include/focalghm/focal.h" &&
        warnings "$work/changed" | grep 'focal\.h'
}

each_header_has_an_example() {
    ! grep -L '@code' "$ABI_SOURCE"/include/focalghm/*.h | grep .
}

run_case each_header_has_an_example each_header_has_an_example
if ! command -v doxygen >/dev/null; then
    skip_case comments_are_complete "there is no program \"doxygen\""
    end_cases
fi
version=$(doxygen --version)
case $version in
1.9.*)
    run_case comments_are_complete comments_are_complete
    run_case a_missing_parameter_is_found finds '/@param normalizer/d'
    run_case a_missing_result_is_found finds '/@return FGHM_OK or FGHM_ERROR_TARGET/,/two gammas)/d'
    run_case a_wrong_reference_is_found finds 's/::fghm_hessian_mode /::fghm_no_mode /'
    ;;
*) skip_case comments_are_complete "doxygen $version warns of other things than 1.9" ;;
esac
end_cases
