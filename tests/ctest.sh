#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ctest.sh BUILD [ARGUMENTS OF CTEST...]: runs the tests of a build tree.  The last
# line is `N passed, N failed, N skipped`, in test cases, not in programs; the exit
# status is 1 if any failed.  Where TOTALS names a file, that line is added to it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift

report=$build/Testing/report.log
mkdir -p "$build/Testing"
rm -f "$report" "$build/Testing/Temporary/LastTest.log"

(cd "$build" && ctest -j "$(nproc)" --output-on-failure "$@") 2>&1 | tee "$report"
test -f "$build/Testing/Temporary/LastTest.log" || {
    echo "ctest did not run"
    exit 1
}

# The report says how each program ended, the log what cases it ran.
totals=$(awk -f "$here/totals.awk" "$report" "$build/Testing/Temporary/LastTest.log")
status=$?
test -z "${TOTALS:-}" || echo "$totals" >>"$TOTALS"
echo "$totals"
exit $status
