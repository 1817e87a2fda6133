# SPDX-License-Identifier: MIT
#
# Counts test cases.  Reads what ctest printed, for how each test program ended,
# then its LastTest.log, for the cases that each program reported:
#
#     [ RUN      ] name
#     [       OK ] name         or [  FAILED  ], [  ERROR   ], [  SKIPPED ]
#
# A case without an end, as after a crash, has failed.  A program that failed
# without a failed case, or reported no case at all, counts as one case.

function end_case(result) {
    if (running != "") {
        count[program, result]++
        running = ""
    }
}

FNR == 1 { file++ }

# " 3/12 Test  #3: test_focal .......   Passed    0.05 sec"
file == 1 && match($0, /Test +#[0-9]+: /) {
    line = substr($0, RSTART + RLENGTH)
    name = line
    sub(/ .*/, "", name)
    if (line ~ /\*\*\*Skipped/)
        ended[name] = "skipped"
    else if (line ~ / Passed +[0-9.]+ sec/)
        ended[name] = "passed"
    else
        ended[name] = "failed"
}

# "3/12 Testing: test_focal"
file == 2 && /^[0-9]+\/[0-9]+ Testing: / { program = $3 }
file == 2 && /^<end of output>/ { end_case("failed") }
file == 2 && /^\[ RUN      \] / {
    end_case("failed")
    running = substr($0, 14)
}
file == 2 && running != "" && substr($0, 14) == running {
    if (/^\[       OK \] /)
        end_case("passed")
    else if (/^\[  SKIPPED \] /)
        end_case("skipped")
    else if (/^\[  (FAILED |ERROR  ) \] /)
        end_case("failed")
}

END {
    for (name in ended) {
        cases = count[name, "passed"] + count[name, "failed"] + count[name, "skipped"]
        if (cases == 0 || (ended[name] == "failed" && count[name, "failed"] == 0))
            count[name, ended[name]]++
        passed += count[name, "passed"]
        failed += count[name, "failed"]
        skipped += count[name, "skipped"]
    }
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit (failed > 0 || passed == 0)
}
