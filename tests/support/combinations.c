/* SPDX-License-Identifier: MIT */
#include "combinations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the case that is running. */
static bool inside, excused;
static size_t current, drawn, run;

static const char *wanted(void) {
    const char *const text = getenv("FOCALGHM_TEST_ONLY");
    return text != NULL && *text != '\0' ? text : NULL;
}

static bool is_wanted(size_t number) {
    const char *const text = wanted();
    char *end;
    return text == NULL || (strtoull(text, &end, 10) == number && *end == '\0');
}

struct combinations combinations(uint64_t test) {
    const struct combinations c = {.test = test};
    return c;
}

bool combinations_next(struct combinations *c) {
    c->number = c->started ? c->number + 1 : 0;
    c->started = true;
    drawn++;
    if (!is_wanted(c->number)) {
        return false;
    }
    c->random = random_for((uint64_t)(c->number + 1) << 32 | c->test);
    current = c->number;
    inside = true;
    run++;
    return true;
}

bool combinations_end(const struct combinations *c) {
    (void)c;
    inside = false;
    return wanted() == NULL;
}

const char *combinations_repeat(size_t number) {
    static char text[96];
    snprintf(text, sizeof text, "FOCALGHM_TEST_SEED=%" PRIu64 " FOCALGHM_TEST_ONLY=%zu",
             random_run_seed(), number);
    return text;
}

void combinations_excuse(void) {
    excused = true;
}

void combinations_forget(void) {
    inside = excused = false;
    drawn = run = 0;
}

bool combinations_tell(void) {
    if (inside) {
        printf("stopped in combination %zu: %s\n", current, combinations_repeat(current));
    }
    inside = false;
    if (wanted() == NULL || run > 0 || excused) {
        return true;
    }
    printf("FOCALGHM_TEST_ONLY=%s: there is no such combination, there are %zu\n", wanted(), drawn);
    return false;
}
