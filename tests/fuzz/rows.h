/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_ROWS_H
#define TESTS_FUZZ_ROWS_H

/* The instruction set of the next calls.  The program is linked with --wrap=fghm_row, so that the
 * library asks here. */

#include <stdbool.h>
#include <stddef.h>

size_t rows_count(void);
/* Row 0 is the library's own choice; `scalar` is the one that the others are to equal. */
void rows_use(size_t row);
void rows_use_scalar(void);
bool rows_equal_scalar(void); /* the row in use is promised to */

#endif
