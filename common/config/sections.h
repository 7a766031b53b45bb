/* SPDX-License-Identifier: Apache-2.0 */
/* sections — the tables of struct config: the sections of single values, and one key. */
#pragma once

#include "config/config.h"
#include "config/field.h"

/* The whole document; what is no section of single values is FIELD_LATER. */
extern const struct table sections_root_table;
/* One of `keys`. */
extern const struct table sections_key_table;

/* Overrides single values by SLUICE_CFG_<SECTION>_<KEY>. m->file is "environment". */
void sections_apply_env(struct mistakes *m, struct config *c);
