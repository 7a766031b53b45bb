/* SPDX-License-Identifier: Apache-2.0 */
/* help — the help texts, made from the table of commands. Pure. */
#pragma once

#include "cli.h"

extern const struct command help_commands[];
extern const size_t help_n_commands;
/* Flags that every command takes. */
extern const struct flags help_common;

/* NULL: there is none of that name. */
const struct command *help_find(struct str name);
/* The name nearest to a mistyped one, or NULL. */
const char *help_nearest(struct str name);
void help_print(struct buf *out);
void help_print_command(const struct command *k, struct buf *out);
