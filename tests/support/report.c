/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>

#include "suite.h"

#define PRINT_AT_MOST 10

static unsigned long failures;

static void print_place(const struct place *p, double got) {
    printf("FAILED isa %s %s gamma %.17g alpha %.17g target %a logit %a %s: got %a (%.9g)",
           fghm_isa_name(), p->d->name, p->gamma, p->alpha, p->target, p->logit, p->output, got,
           got);
}

double report_check(const struct place *place, double got, mpfr_srcptr exact, mpfr_srcptr scale,
                    double bound) {
    double ulps = wide_ulps_scaled(place->d->format, got, exact, scale);
    if (!(ulps <= bound) && failures++ < PRINT_AT_MOST) {
        print_place(place, got);
        mpfr_printf(", want %.22Rg, %.2f ulp > %.2f, seed %llu\n", exact, ulps, bound,
                    (unsigned long long)random_run_seed());
    }
    return ulps;
}

void report_require(const struct place *place, double got, const char *wanted, int good) {
    if (!good && failures++ < PRINT_AT_MOST) {
        print_place(place, got);
        printf(", want %s, seed %llu\n", wanted, (unsigned long long)random_run_seed());
    }
}

unsigned long report_count(void) {
    return failures++;
}

int report_start(void **state) {
    (void)state;
    failures = 0;
    return 0;
}

void report_end(void) {
    unsigned long count = failures;
    failures = 0;
    if (count > 0) {
        fail_msg("%lu failures", count);
    }
}
