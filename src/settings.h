/* SPDX-License-Identifier: MIT */
#ifndef FGHM_SETTINGS_H
#define FGHM_SETTINGS_H

/* Settings of handles as tables: what a new handle has, what a setter accepts and what a
 * saved state may hold stand in one row. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "focalghm/status.h"

enum fghm_setting_type { FGHM_SETTING_DOUBLE, FGHM_SETTING_INT32 };

struct fghm_setting {
    fghm_field field;
    uint32_t number; /* in saved states, if the handle has any; never given to another setting */
    enum fghm_setting_type type;
    bool or_zero;         /* 0 is allowed though it is below `least` */
    bool refuses_history; /* does not change while there is a history */
    size_t offset;        /* in the handle's struct of settings */
    double least, most;   /* of constants, too: they have no gaps */
    double initial;       /* in a new handle, and where a state does not say */
};

struct fghm_settings {
    const struct fghm_setting *rows;
    size_t count;
};

/* The row of a setting, which must be there. */
const struct fghm_setting *fghm_setting_of(const struct fghm_settings *settings, fghm_field field);

/* `values` is the handle's struct of settings. */
void fghm_settings_init(const struct fghm_settings *settings, void *values);

/* Whether all are what a setter would accept. */
bool fghm_settings_fit(const struct fghm_settings *settings, const void *values);

double fghm_setting_double(const struct fghm_setting *setting, const void *values);
int32_t fghm_setting_int32(const struct fghm_setting *setting, const void *values);

/* FGHM_OK, FGHM_ERROR_RANGE or FGHM_ERROR_CONSTANT, or, where the value is another one than there
 * was, FGHM_ERROR_HISTORY.  After an error nothing has changed. */
fghm_status fghm_setting_set_double(const struct fghm_setting *setting, double value,
                                    bool has_history, void *values);
fghm_status fghm_setting_set_int32(const struct fghm_setting *setting, int32_t value,
                                   bool has_history, void *values);

#endif
