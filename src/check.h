/* SPDX-License-Identifier: MIT */
#ifndef FGHM_CHECK_H
#define FGHM_CHECK_H

/* Leaves the function with `status` if a caller's argument is wrong. */
#define FGHM_REQUIRE(condition, status)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return (status);                                                                       \
        }                                                                                          \
    } while (0)

#endif
