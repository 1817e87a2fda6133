/* SPDX-License-Identifier: MIT */
#include "combinations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool inside;
static size_t current;

static const char *wanted(void) {
    const char *const text = getenv("FOCALGHM_TEST_ONLY");
    return text != NULL && *text != '\0' ? text : NULL;
}

struct combinations combinations(uint64_t test) {
    const struct combinations c = {.test = test};
    return c;
}

bool combinations_next(struct combinations *c) {
    const char *const only = wanted();
    c->number = c->started ? c->number + 1 : 0;
    c->started = true;
    if (only != NULL && strtoull(only, NULL, 0) != c->number) {
        return false;
    }
    c->random = random_for((uint64_t)(c->number + 1) << 32 | c->test);
    current = c->number;
    inside = true;
    return true;
}

bool combinations_end(const struct combinations *c) {
    const char *const only = wanted();
    inside = false;
    if (only != NULL && (!c->started || strtoull(only, NULL, 0) > c->number)) {
        printf("there is no combination %s here\n", only);
    }
    return only == NULL;
}

const char *combinations_repeat(size_t number) {
    static char text[96];
    snprintf(text, sizeof text, "FOCALGHM_TEST_SEED=%" PRIu64 " FOCALGHM_TEST_ONLY=%zu",
             random_run_seed(), number);
    return text;
}

void combinations_forget(void) {
    inside = false;
}

void combinations_tell(void) {
    if (inside) {
        printf("stopped in combination %zu: %s\n", current, combinations_repeat(current));
    }
    inside = false;
}
