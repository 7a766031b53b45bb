/* SPDX-License-Identifier: Apache-2.0 */
/* json — reads members of a server's answer; what is missing or of another type is NULL, not an
 * error. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct cJSON;

/* The whole text as one JSON value, or NULL. Free with json_free. */
struct cJSON *json_parse(struct str text);
void json_free(struct cJSON *tree);
/* An object's member; NULL for a NULL tree, too. */
const struct cJSON *json_get(const struct cJSON *tree, const char *name);
/* A text member, borrowed from the tree; empty when there is none. */
struct str json_text(const struct cJSON *tree, const char *name);
bool json_number(const struct cJSON *tree, const char *name, double *ret);
