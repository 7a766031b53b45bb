/* SPDX-License-Identifier: Apache-2.0 */
/* scripts — the files of lua/, embedded at build time by embed.cmake, as functions of Redis
 * (FUNCTION LOAD, FCALL): each is a library of its own, made once when it is loaded. (EVALSHA would
 * make lua/_common.lua and the like anew with each call, which took longer than all the rest.) A
 * library is named after its content: programs of two versions share a Redis. */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "store/store.h"

enum { STORE_FUNCTION_SIZE = 64 };

/* What the file says. Static. */
struct str store_script_text(enum store_script script);
/* The name of its function, and of its library: "sluice_accept_0123456789abcdef". ERR_NOMEM. */
MUST_CHECK int store_script_function(enum store_script script, char ret[STORE_FUNCTION_SIZE]);
/* Appends the library: without the lines of the rules that a test takes out (base/fault.h).
 * `function`: its name. */
void store_script_write(enum store_script script, const char *function, struct buf *ret);
/* Its name in scripts.def, for logs and complaints. Static. */
const char *store_script_name(enum store_script script);
/* Its answer counts only when replicas have what it wrote. */
bool store_script_waits(enum store_script script);
/* One call may be about many jobs: before the arguments of each stands their number, and the answer
 * is an array of answers. */
bool store_script_is_for_many(enum store_script script);
