/* SPDX-License-Identifier: Apache-2.0 */
/* panic — for our own bugs only; checks stay on in release builds. The outside world, input and a
 * full memory are never a panic. */
#pragma once

/* Writes one line to stderr and aborts. */
__attribute__((noreturn, format(printf, 3, 4))) void panic_at(const char *file, int line,
                                                              const char *format, ...);

#define PANIC(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            panic_at(__FILE__, __LINE__, "check failed: %s", #condition);                          \
        }                                                                                          \
    } while (0)
