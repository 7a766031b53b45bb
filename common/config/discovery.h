/* SPDX-License-Identifier: Apache-2.0 */
/* discovery — a discovery server's configuration (services with servers, polling and apis;
 * meta-info beside them) turned into the tree of one of ours. */
#pragma once

#include "config/mistake.h"
#include "config/node.h"

bool discovery_is(const struct node *root);

/* Returns the tree of the same meaning, or NULL without memory. Moves what it needs out of `root`,
 * with the lines. */
struct node *discovery_translate(struct mistakes *m, struct node *root);
