/* SPDX-License-Identifier: MIT */

/* The layout of the public structs, which the header checks, and what their initializers
 * write into them. */

#include "support/layout_expected.h"

#include <stdio.h>
#include <string.h>

#include "support/suite.h"

static void layout_is_as_ever(void **state) {
    (void)state;
    print_message("%s: fghm_batch %zu, fghm_result %zu\n", LAYOUT_NAME, sizeof(fghm_batch),
                  sizeof(fghm_result));
}

/* There is no padding, so all bytes count. */
static void initializers_agree_in_every_byte(void **state) {
    const fghm_batch batch = FGHM_BATCH_INIT;
    const fghm_result result = FGHM_RESULT_INIT;
    fghm_batch other_batch;
    fghm_result other_result;
    (void)state;
    memset(&other_batch, 0xa5, sizeof other_batch);
    memset(&other_result, 0xa5, sizeof other_result);
    assert_int_equal(fghm_batch_init(&other_batch, sizeof other_batch), FGHM_OK);
    assert_int_equal(fghm_result_init(&other_result, sizeof other_result), FGHM_OK);
    assert_memory_equal(&batch, &other_batch, sizeof batch);
    assert_memory_equal(&result, &other_result, sizeof result);
}

static const struct suite_test tests[] = {
    {"layout_is_as_ever", layout_is_as_ever, 0},
    {"initializers_agree_in_every_byte", initializers_agree_in_every_byte, 0},
};

int main(int argument_count, char **arguments) {
    return suite_run(argument_count, arguments, "layout", tests, SUITE_COUNT(tests));
}
