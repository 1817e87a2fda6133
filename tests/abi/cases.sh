# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Test cases in shell, reported as cmocka reports its own.  For scripts that say
# `. "${0%/*}/cases.sh"`, then `run_case` or `skip_case` for each case, and at
# last `end_cases`.

set -u
LC_ALL=C
export LC_ALL
failed_cases=0

# run_case NAME COMMAND...: passes if the command, run in a subshell, succeeds.
# Its output is shown if it does not.
run_case() {
    case_name=$1
    shift
    echo "[ RUN      ] $case_name"
    if case_output=$( ("$@") 2>&1); then
        echo "[       OK ] $case_name"
    else
        echo "$case_output"
        echo "[  FAILED  ] $case_name"
        failed_cases=$((failed_cases + 1))
    fi
}

# skip_case NAME REASON
skip_case() {
    echo "[ RUN      ] $1"
    echo "$2"
    echo "[  SKIPPED ] $1"
}

end_cases() {
    test "$failed_cases" -eq 0
    exit
}

# Makes an empty folder of this name below the build tree, and prints its path.
fresh_dir() {
    rm -rf "${ABI_WORK:?}/$1"
    mkdir -p "$ABI_WORK/$1"
    echo "$ABI_WORK/$1"
}

# compile COMPILER FLAGS ARGUMENTS...: FLAGS is one string, as pkg-config prints it.
compile() {
    compiler=$1
    flags=$2
    shift 2
    echo "flags: $flags"
    # shellcheck disable=SC2086 # a list of flags
    "$compiler" "$@" $flags
}
