/* SPDX-License-Identifier: MIT */
#ifndef TRAIN_ALLOCATE_H
#define TRAIN_ALLOCATE_H

#include <stddef.h>

/* realloc for count elements; ends the program if there is no memory. */
void *resize_or_exit(void *old, size_t count, size_t element_size);

#endif
