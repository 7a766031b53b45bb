/* SPDX-License-Identifier: Apache-2.0 */
/* daemons — which programs of the image are daemons. */
#pragma once

#include <stdbool.h>

/* `path`: a program's name, or where it lies. */
bool daemons_has(const char *path);
