/* SPDX-License-Identifier: Apache-2.0 */
/* scripts — the files of lua/, embedded at build time by embed.cmake. Each begins with its
 * "#!lua flags=…" line, then lua/_common.lua, then the file. */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "store/store.h"

/* Static. */
struct str store_script_text(enum store_script script);
/* Appends the text as it is loaded: without the lines of the rules that a test takes out
 * (base/fault.h). */
void store_script_write(enum store_script script, struct buf *ret);
/* Its name in scripts.def, for logs and complaints. Static. */
const char *store_script_name(enum store_script script);
/* Its answer counts only when replicas have what it wrote. */
bool store_script_waits(enum store_script script);
