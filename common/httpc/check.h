/* SPDX-License-Identifier: Apache-2.0 */
/* check — what may stand in a request's or an answer's head. Pure. */
#pragma once

#include "base/str.h"

/* A token of RFC 9110, section 5.6.2: methods and field names. */
bool httpc_is_token(struct str s);
/* Neither control characters nor DEL; a tab is allowed. */
bool httpc_is_clean(struct str s);
/* Absolute, http or https, a host right after the slashes, nothing that curl would cut, guess or
 * refuse later: no spaces, control characters or fragment. */
bool httpc_is_url(struct str s);
/* The field name of a "Name: value" line; empty when it has none or a bad one. */
struct str httpc_line_name(struct str line);
/* Fields of one hop, which end with it: the framing and what speaks of the connection. */
bool httpc_is_hop_by_hop(struct str name);
