/* SPDX-License-Identifier: Apache-2.0 */
/* scripts — the files of lua/, embedded at build time by embed.cmake. Each begins with its
 * "#!lua flags=…" line, then lua/_common.lua, then the file. */
#pragma once

#include "base/str.h"
#include "store/store.h"

/* Static. */
struct str store_script_text(enum store_script script);
/* Its name in scripts.def, for logs and complaints. Static. */
const char *store_script_name(enum store_script script);
