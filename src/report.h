/* SPDX-License-Identifier: MIT */
#ifndef FGHM_REPORT_H
#define FGHM_REPORT_H

/* Where a call over a batch went wrong: what the head of a result says besides the status. */

#include "focalghm/status.h"

struct fghm_report {
    fghm_field field, other_field;
    fghm_place place;
    int64_t offender;
};

/* No place. */
#define FGHM_REPORT_NONE                                                                           \
    { FGHM_FIELD_NONE, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1 }

/* Each notes a place and returns the status. */

static inline fghm_status fghm_fail(struct fghm_report *report, fghm_status status,
                                    fghm_field field) {
    *report = (struct fghm_report){field, FGHM_FIELD_NONE, FGHM_PLACE_NONE, -1};
    return status;
}

static inline fghm_status fghm_fail_both(struct fghm_report *report, fghm_status status,
                                         fghm_field field, fghm_field other) {
    *report = (struct fghm_report){field, other, FGHM_PLACE_NONE, -1};
    return status;
}

static inline fghm_status fghm_fail_at(struct fghm_report *report, fghm_status status,
                                       fghm_field field, fghm_place place, int64_t offender) {
    *report = (struct fghm_report){field, FGHM_FIELD_NONE, place, offender};
    return status;
}

#endif
