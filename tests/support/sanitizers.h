/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_SANITIZERS_H
#define TESTS_SUPPORT_SANITIZERS_H

/* What the compiler has built this for.  The thread sanitizer does not follow a fork with threads;
 * none of them lives with limits of memory, or with a fork while another thread makes threads. */

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define HAS_THREAD_SANITIZER 1
#else
#define HAS_THREAD_SANITIZER 0
#endif

#if HAS_THREAD_SANITIZER || defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer) ||     \
    HAS_FEATURE(memory_sanitizer)
#define HAS_SANITIZER 1
#else
#define HAS_SANITIZER 0
#endif

#endif
