/* SPDX-License-Identifier: Apache-2.0 */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void panic_at(const char *file, int line, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "panic %s:%d ", file, line);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}
