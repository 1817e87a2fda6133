/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 64
#define FGHM_WALK fghm_walk_f64
#include "walk/walks.h"
