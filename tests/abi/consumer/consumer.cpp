// SPDX-License-Identifier: MIT
//
// The same program, through a C++ compiler.
#include "consumer.c"
