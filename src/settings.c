/* SPDX-License-Identifier: MIT */
/* What all settings have in common, for any table of them. */
#include "settings.h"

#include <assert.h>
#include <string.h>

#include "check.h"

const struct fghm_setting *fghm_setting_of(const struct fghm_settings *settings, fghm_field field) {
    size_t i = 0;
    while (settings->rows[i].field != field) {
        i++;
        assert(i < settings->count);
    }
    return &settings->rows[i];
}

static const char *place_of(const struct fghm_setting *setting, const void *values) {
    return (const char *)values + setting->offset;
}

double fghm_setting_double(const struct fghm_setting *setting, const void *values) {
    double value;
    assert(setting->type == FGHM_SETTING_DOUBLE);
    memcpy(&value, place_of(setting, values), sizeof value);
    return value;
}

int32_t fghm_setting_int32(const struct fghm_setting *setting, const void *values) {
    int32_t value;
    assert(setting->type == FGHM_SETTING_INT32);
    memcpy(&value, place_of(setting, values), sizeof value);
    return value;
}

static void put_double(const struct fghm_setting *setting, double value, void *values) {
    memcpy((char *)values + setting->offset, &value, sizeof value);
}

static void put_int32(const struct fghm_setting *setting, int32_t value, void *values) {
    memcpy((char *)values + setting->offset, &value, sizeof value);
}

void fghm_settings_init(const struct fghm_settings *settings, void *values) {
    for (size_t i = 0; i < settings->count; i++) {
        const struct fghm_setting *const setting = &settings->rows[i];
        if (setting->type == FGHM_SETTING_DOUBLE) {
            put_double(setting, setting->initial, values);
        } else {
            put_int32(setting, (int32_t)setting->initial, values);
        }
    }
}

static bool accepts(const struct fghm_setting *setting, double value) {
    return (value >= setting->least && value <= setting->most) || (setting->or_zero && value == 0);
}

bool fghm_settings_fit(const struct fghm_settings *settings, const void *values) {
    bool fit = true;
    for (size_t i = 0; i < settings->count; i++) {
        const struct fghm_setting *const setting = &settings->rows[i];
        fit = fit && accepts(setting, setting->type == FGHM_SETTING_DOUBLE
                                          ? fghm_setting_double(setting, values)
                                          : fghm_setting_int32(setting, values));
    }
    return fit;
}

fghm_status fghm_setting_set_double(const struct fghm_setting *setting, double value,
                                    bool has_history, void *values) {
    FGHM_REQUIRE(accepts(setting, value), FGHM_ERROR_RANGE);
    if (value != fghm_setting_double(setting, values)) {
        FGHM_REQUIRE(!has_history || !setting->refuses_history, FGHM_ERROR_HISTORY);
        put_double(setting, value == 0 ? 0 : value, values); /* not -0 */
    }
    return FGHM_OK;
}

fghm_status fghm_setting_set_int32(const struct fghm_setting *setting, int32_t value,
                                   bool has_history, void *values) {
    FGHM_REQUIRE(accepts(setting, value), FGHM_ERROR_CONSTANT);
    if (value != fghm_setting_int32(setting, values)) {
        FGHM_REQUIRE(!has_history || !setting->refuses_history, FGHM_ERROR_HISTORY);
        put_int32(setting, value, values);
    }
    return FGHM_OK;
}
