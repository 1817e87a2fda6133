/* SPDX-License-Identifier: MIT */
#ifndef TESTS_DIGEST_LINES_H
#define TESTS_DIGEST_LINES_H

/* Digests of the outputs of every function that computes, with many settings, for inputs that are
 * made of whole numbers alone.  It needs the library and the C library, nothing else, so that it
 * can be built wherever they can.  Where something is wrong it ends the program. */

#include <stddef.h>

/* The lines of digest.txt: digest, function, type, settings. */
#define DIGEST_LINE_MAX 120

/* Prints the lines. */
void digest_print(void);

/* Compares them with those of a file, and prints what differs; returns how many do. */
size_t digest_compare(const char *path);

#endif
