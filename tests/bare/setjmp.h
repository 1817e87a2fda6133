/* SPDX-License-Identifier: MIT */
/* In place of a header that cmocka.h wants to come behind, and which WebAssembly lacks. */
