/* SPDX-License-Identifier: MIT */
#ifndef TESTS_DIGEST_LINES_H
#define TESTS_DIGEST_LINES_H

/* Digests of the outputs of every function that computes, with many settings, for inputs that are
 * made of whole numbers alone.  It needs the library and the C library, nothing else, so that it
 * can be built wherever they can.  Where something is wrong it ends the program. */

#include <stdbool.h>
#include <stddef.h>

/* The lines of digest.txt: first the numerics revision that has these bits, then digest, function,
 * type, settings. */
#define DIGEST_LINE_MAX 120
#define DIGEST_LINES_MAX 2000

/* The lines as they are now; returns how many. */
size_t digest_lines(char lines[DIGEST_LINES_MAX][DIGEST_LINE_MAX]);

/* Why `count` lines of a file must not become those of now, or NULL: what has a digest in both has
 * another one if, and only if, the revision is another one. */
const char *digest_refusal(char old[DIGEST_LINES_MAX][DIGEST_LINE_MAX], size_t count);

/* Writes the file anew; returns what main returns.  With fused multiply-add, of whose bits the
 * revision is, not where it must not. */
int digest_write(const char *path, bool has_fma);

/* Compares them with those of a file, of one type or, with NULL, all, and prints what differs;
 * returns how many do. */
size_t digest_compare(const char *path, const char *type);

#endif
