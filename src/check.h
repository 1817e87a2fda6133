/* SPDX-License-Identifier: MIT */
#ifndef FGHM_CHECK_H
#define FGHM_CHECK_H

/* How a function is left before its end.  Both return from it, which their names say. */

/* Leaves the function with `status` if a caller's argument is wrong. */
#define FGHM_REQUIRE(condition, status)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return (status);                                                                       \
        }                                                                                          \
    } while (0)

/* Hands on the error of a call. */
#define FGHM_TRY(call)                                                                             \
    do {                                                                                           \
        const fghm_status tried = (call);                                                          \
        if (tried != FGHM_OK) {                                                                    \
            return tried;                                                                          \
        }                                                                                          \
    } while (0)

#endif
