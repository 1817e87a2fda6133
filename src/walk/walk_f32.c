/* SPDX-License-Identifier: MIT */
#define FGHM_REAL_BITS 32
#define FGHM_WALK fghm_walk_f32
#include "walk/walks.h"
