/* SPDX-License-Identifier: Apache-2.0 */
#include "daemons.h"

#include <stddef.h>
#include <string.h>

bool daemons_has(const char *path)
{
    static const char *const names[] = {"sluice-ingress", "sluice-dispatcher", "sluice-worker"};
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}
