/* SPDX-License-Identifier: MIT */
/* A handle as bytes: all that it was told and all that it has learned.
 *
 * Numbers are 64 bits, least significant byte first, doubles as IEEE 754 has them:
 *
 *     magic, fields, checksum
 *     field: number, length in bytes, as many bytes, zeros up to a multiple of 8
 *
 * The top bit of a field's number says that who does not know the field must refuse the state.
 * Others are passed over: so a later version can add what an earlier one can do without.  Fields
 * stand in any order, each at most once.  A setting that is missing has its default.  The
 * checksum is the 64-bit FNV-1a hash of all bytes before it. */
#include "ghm_handle.h"

#include <assert.h>
#include <string.h>

#include "allocation.h"
#include "check.h"
#include "focalghm/version.h"

#define MAGIC UINT64_C(0x0a4d48474c41434f) /* the bytes "OCALGHM\n" */
#define MUST_KNOW (UINT64_C(1) << 63)
#define NUMBER 8 /* bytes */
#define HEAD (2 * NUMBER)

/* Fields beside the settings, whose numbers stand in their table. */
enum field {
    NUMERICS = 1, /* the revision that saved it: a note */
    KIND = 2,
    BINS = 3,
    HISTOGRAMS = 4,
    EDGES = 5, /* none: bins of equal width */
    HISTORY = 6
};

static const uint32_t others[] = {NUMERICS, KIND, BINS, HISTOGRAMS, EDGES, HISTORY};
#define OTHERS (sizeof others / sizeof others[0])

/* All known fields, in the order in which they are written: the settings first.  More than
 * twice as many have room as there are in 0.2. */
#define FIELDS_MAX 32

static size_t field_count(void) {
    assert(fghm_ghm_settings.count + OTHERS <= FIELDS_MAX);
    return fghm_ghm_settings.count + OTHERS;
}

static uint32_t field_number(size_t index) {
    const size_t settings = fghm_ghm_settings.count;
    return index < settings ? fghm_ghm_settings.rows[index].number : others[index - settings];
}

/* Bytes that are written, or, with `writes` false, read. */
struct bytes {
    unsigned char *at;
    bool writes;
};

static void exchange_u64(struct bytes *bytes, uint64_t *value) {
    if (bytes->writes) {
        for (int i = 0; i < NUMBER; i++) {
            bytes->at[i] = (unsigned char)(*value >> (8 * i));
        }
    } else {
        *value = 0;
        for (int i = 0; i < NUMBER; i++) {
            *value |= (uint64_t)bytes->at[i] << (8 * i);
        }
    }
    bytes->at += NUMBER;
}

static void exchange_double(struct bytes *bytes, double *value) {
    uint64_t bits = 0;
    if (bytes->writes) {
        memcpy(&bits, value, sizeof bits);
    }
    exchange_u64(bytes, &bits);
    if (!bytes->writes) {
        memcpy(value, &bits, sizeof bits);
    }
}

static void exchange_i32(struct bytes *bytes, int32_t *value) {
    uint64_t wide = bytes->writes ? (uint64_t)(int64_t)*value : 0;
    exchange_u64(bytes, &wide);
    if (!bytes->writes) {
        *value = wide > INT32_MAX ? -1 : (int32_t)wide;
    }
}

static void exchange_size(struct bytes *bytes, size_t *value) {
    uint64_t wide = bytes->writes ? *value : 0;
    exchange_u64(bytes, &wide);
    if (!bytes->writes) {
        *value = wide > SIZE_MAX ? SIZE_MAX : (size_t)wide;
    }
}

static void exchange_edges(struct bytes *bytes, size_t bins, double *edges) {
    for (size_t b = 0; b <= bins; b++) {
        exchange_double(bytes, &edges[b]);
    }
}

static void exchange_history(struct bytes *bytes, fghm_ghm *ghm) {
    struct ghm_history *const history = &ghm->history;
    exchange_u64(bytes, &history->steps);
    exchange_double(bytes, &history->start);
    for (size_t i = 0; i < ghm->histograms * (ghm->bins + 1); i++) {
        exchange_u64(bytes, &history->counts[i]);
    }
    for (size_t i = 0; i < ghm->histograms * ghm->bins; i++) {
        exchange_double(bytes, &history->averages[i]);
    }
    for (size_t i = 0; i < ghm->histograms; i++) {
        exchange_double(bytes, &history->average_totals[i]);
    }
}

static void exchange_setting(struct bytes *bytes, const struct fghm_setting *setting,
                             struct ghm_settings *settings) {
    unsigned char *const place = (unsigned char *)settings + setting->offset;
    if (setting->type == FGHM_SETTING_DOUBLE) {
        exchange_double(bytes, (double *)(void *)place);
    } else {
        exchange_i32(bytes, (int32_t *)(void *)place);
    }
}

/* What a field holds. */
static void exchange_field(struct bytes *bytes, size_t index, fghm_ghm *ghm) {
    int32_t revision = fghm_numerics_revision();
    switch (field_number(index)) {
    case NUMERICS:
        exchange_i32(bytes, &revision);
        break;
    case KIND:
        exchange_i32(bytes, &ghm->kind);
        break;
    case BINS:
        exchange_size(bytes, &ghm->bins);
        break;
    case HISTOGRAMS:
        exchange_size(bytes, &ghm->histograms);
        break;
    case EDGES:
        exchange_edges(bytes, ghm->bins, ghm->edges);
        break;
    case HISTORY:
        exchange_history(bytes, ghm);
        break;
    default:
        exchange_setting(bytes, &fghm_ghm_settings.rows[index], &ghm->settings);
    }
}

/* How long that is.  64 bits hold it for all numbers of bins and histograms that are allowed. */
static uint64_t length_of(size_t index, size_t bins, size_t histograms) {
    const uint64_t row = bins;
    switch (field_number(index)) {
    case EDGES:
        return (row + 1) * NUMBER;
    case HISTORY:
        return (2 + histograms * (row + 1 + row + 1)) * NUMBER;
    default:
        return NUMBER;
    }
}

static bool is_written(size_t index, const fghm_ghm *ghm) {
    return field_number(index) != EDGES || !ghm->uniform;
}

static uint64_t checksum(const unsigned char *bytes, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Writing ------------------------------------------------------------------------- */

static size_t size_of(const fghm_ghm *ghm) {
    uint64_t size = 2 * NUMBER;
    for (size_t i = 0; i < field_count(); i++) {
        if (is_written(i, ghm)) {
            size += HEAD + length_of(i, ghm->bins, ghm->histograms);
        }
    }
    return (size_t)size;
}

fghm_status fghm_ghm_get_state_size(const fghm_ghm *ghm, size_t *size) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(size != NULL, FGHM_ERROR_NULL_POINTER);
    *size = size_of(ghm);
    return FGHM_OK;
}

fghm_status fghm_ghm_save(const fghm_ghm *ghm, size_t capacity, void *state) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    FGHM_REQUIRE(state != NULL, FGHM_ERROR_NULL_POINTER);
    const size_t size = size_of(ghm);
    FGHM_REQUIRE(capacity >= size, FGHM_ERROR_CAPACITY);
    fghm_ghm copy = *ghm; /* nothing is written into its arrays */
    struct bytes bytes = {state, true};
    uint64_t magic = MAGIC;
    exchange_u64(&bytes, &magic);
    for (size_t i = 0; i < field_count(); i++) {
        if (is_written(i, ghm)) {
            const uint64_t must_know = field_number(i) == NUMERICS ? 0 : MUST_KNOW;
            uint64_t number = field_number(i) | must_know;
            uint64_t length = length_of(i, ghm->bins, ghm->histograms);
            exchange_u64(&bytes, &number);
            exchange_u64(&bytes, &length);
            exchange_field(&bytes, i, &copy);
        }
    }
    uint64_t sum = checksum(state, size - NUMBER);
    exchange_u64(&bytes, &sum);
    return FGHM_OK;
}

/* Reading ------------------------------------------------------------------------- */

/* Where the known fields are; NULL: nowhere. */
struct fields {
    unsigned char *at[FIELDS_MAX];
    uint64_t lengths[FIELDS_MAX];
};

/* Takes note of one field; false if that cannot be. */
static bool note_field(struct fields *fields, uint64_t number, uint64_t length, unsigned char *at) {
    for (size_t i = 0; i < field_count(); i++) {
        if ((number & ~MUST_KNOW) == field_number(i)) {
            const bool first = fields->at[i] == NULL;
            fields->at[i] = at;
            fields->lengths[i] = length;
            return first;
        }
    }
    /* One of a later version? */
    return number > 0 && number <= UINT32_MAX;
}

static bool find_fields(struct fields *fields, unsigned char *state, size_t size) {
    unsigned char *const end = state + size - NUMBER;
    struct bytes bytes = {state + NUMBER, false};
    while (bytes.at != end) {
        uint64_t number, length;
        if (end - bytes.at < HEAD) {
            return false;
        }
        exchange_u64(&bytes, &number);
        exchange_u64(&bytes, &length);
        /* What is left is a multiple of 8. */
        if (length > (uint64_t)(end - bytes.at) || !note_field(fields, number, length, bytes.at)) {
            return false;
        }
        bytes.at += (length + NUMBER - 1) / NUMBER * NUMBER;
    }
    return true;
}

/* Reads a field that has its length; false if there is none. */
static bool read_field(const struct fields *fields, size_t index, fghm_ghm *ghm) {
    const uint64_t length = length_of(index, ghm->bins, ghm->histograms);
    if (fields->at[index] == NULL || fields->lengths[index] != length) {
        return false;
    }
    struct bytes bytes = {fields->at[index], false};
    exchange_field(&bytes, index, ghm);
    return true;
}

static size_t index_of(enum field field) {
    size_t i = 0;
    while (field_number(i) != (uint32_t)field) {
        i++;
    }
    return i;
}

/* Reads what is no array into `head`. */
static bool read_head(const struct fields *fields, fghm_ghm *head) {
    fghm_settings_init(&fghm_ghm_settings, &head->settings);
    bool fit = read_field(fields, index_of(KIND), head) &&
               read_field(fields, index_of(BINS), head) &&
               read_field(fields, index_of(HISTOGRAMS), head);
    for (size_t i = 0; i < fghm_ghm_settings.count; i++) {
        fit = fit && (fields->at[i] == NULL || read_field(fields, i, head));
    }
    head->uniform = fields->at[index_of(EDGES)] == NULL;
    return fit && (head->kind == FGHM_GHM_CLASSIFICATION || head->kind == FGHM_GHM_REGRESSION) &&
           head->bins >= 1 && head->bins <= FGHM_BINS_MAX && head->histograms >= 1 &&
           head->histograms <= FGHM_HISTOGRAMS_MAX &&
           fghm_settings_fit(&fghm_ghm_settings, &head->settings);
}

/* Averages of counts: those of what was just counted weigh at least 1 - m, which is no less
 * than 2^-53, and none is above the largest count. */
static bool average_fits(uint64_t steps, uint64_t count, double average) {
    return average >= (count > 0 ? 0x1p-53 : 0) && average <= (steps > 0 ? 0x1p64 : 0);
}

static bool history_fits(const fghm_ghm *ghm) {
    const struct ghm_history *const history = &ghm->history;
    const uint64_t steps = history->steps;
    bool fits = steps > 0 ? history->start >= 0 && history->start < 1 : history->start == 1;
    fits = fits && fghm_counts_fit(ghm->histograms * (ghm->bins + 1), history->counts, NULL);
    for (size_t h = 0; h < ghm->histograms; h++) {
        const uint64_t *const counts = history->counts + h * (ghm->bins + 1);
        const double *const averages = history->averages + h * ghm->bins;
        for (size_t b = 0; b < ghm->bins; b++) {
            fits = fits && average_fits(steps, counts[b], averages[b]);
        }
        const uint64_t total = fghm_ghm_row_total(ghm, history->counts, h);
        fits = fits && average_fits(steps, total, history->average_totals[h]);
    }
    return fits;
}

/* A new handle with the settings and edges of `head`, which has room for its edges. */
static fghm_status make_of(const struct fields *fields, fghm_ghm *head, fghm_ghm **made) {
    if (!head->uniform) {
        FGHM_REQUIRE(read_field(fields, index_of(EDGES), head), FGHM_ERROR_STATE);
        FGHM_REQUIRE(fghm_ghm_edges_fit(head->bins, head->edges), FGHM_ERROR_STATE);
    }
    return fghm_ghm_make(made, head->kind, &head->settings, head->bins,
                         head->uniform ? NULL : head->edges, head->histograms);
}

/* A new handle from fields that have been found, and their settings in `head`. */
static fghm_status make_from(const struct fields *fields, fghm_ghm *head, fghm_ghm **ghm) {
    const size_t history = index_of(HISTORY);
    FGHM_REQUIRE(fields->at[history] != NULL &&
                     fields->lengths[history] == length_of(history, head->bins, head->histograms),
                 FGHM_ERROR_STATE);
    head->edges = fghm_memory((head->bins + 1) * sizeof *head->edges);
    FGHM_REQUIRE(head->edges != NULL, FGHM_ERROR_MEMORY);
    fghm_ghm *made;
    const fghm_status status = make_of(fields, head, &made);
    fghm_free(head->edges);
    FGHM_REQUIRE(status == FGHM_OK, status);
    (void)read_field(fields, history, made);
    if (!history_fits(made)) {
        fghm_ghm_destroy(made);
        return FGHM_ERROR_STATE;
    }
    fghm_ghm_refresh_weights(made);
    *ghm = made;
    return FGHM_OK;
}

/* `kind`: which it must be, or FGHM_GHM_INVALID for any. */
static fghm_status make_from_state(fghm_ghm **ghm, fghm_ghm_kind kind, size_t size,
                                   const void *state) {
    FGHM_REQUIRE(state != NULL, FGHM_ERROR_NULL_POINTER);
    FGHM_REQUIRE(size >= 2 * NUMBER && size % NUMBER == 0, FGHM_ERROR_STATE);
    /* Reading changes no byte. */
    unsigned char *const first = (unsigned char *)(uintptr_t)state;
    struct bytes start = {first, false}, end = {first + size - NUMBER, false};
    uint64_t magic, sum;
    exchange_u64(&start, &magic);
    exchange_u64(&end, &sum);
    FGHM_REQUIRE(magic == MAGIC && sum == checksum(first, size - NUMBER), FGHM_ERROR_STATE);
    struct fields fields = {{NULL}, {0}};
    fghm_ghm head = {0};
    FGHM_REQUIRE(find_fields(&fields, first, size) && read_head(&fields, &head), FGHM_ERROR_STATE);
    FGHM_REQUIRE(kind == FGHM_GHM_INVALID || kind == head.kind, FGHM_ERROR_KIND);
    return make_from(&fields, &head, ghm);
}

fghm_status fghm_ghm_create_from_state(fghm_ghm **ghm, size_t size, const void *state) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    return make_from_state(ghm, FGHM_GHM_INVALID, size, state);
}

fghm_status fghm_ghm_load(fghm_ghm *ghm, size_t size, const void *state) {
    FGHM_REQUIRE(ghm != NULL, FGHM_ERROR_NULL_HANDLE);
    fghm_ghm *made;
    const fghm_status status = make_from_state(&made, ghm->kind, size, state);
    FGHM_REQUIRE(status == FGHM_OK, status);
    fghm_ghm_replace(ghm, made);
    return FGHM_OK;
}
