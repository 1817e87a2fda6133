/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CASES_CASES_H
#define TESTS_CASES_CASES_H

#include <stddef.h>

/* The whole of cases.txt as the library is now; each result has been compared with the wide model.
 * Returns how many were wrong, and have been printed. */
#define CASES_TEXT_MAX ((size_t)1 << 18)
unsigned long cases_write(char text[CASES_TEXT_MAX]);

/* What the lines of a text say when C runs them. */
void cases_read(const char *lines, char text[CASES_TEXT_MAX]);

#endif
