/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

/* How long a test waits for what only a defect keeps from happening, in seconds.  Nothing that
 * works is waited for that long, however slow the machine or the emulator and whatever else runs
 * on it, so that the limit fails nobody and costs nothing; it is there so that a call that hangs
 * fails its test, with a message, before CTest's own limit of 1500 seconds ends the program. */
#define PATIENCE_SECONDS 1200

#endif
