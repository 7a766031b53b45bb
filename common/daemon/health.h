/* SPDX-License-Identifier: Apache-2.0 */
/* health — --health: asks the /readyz of the daemon that listens at an address.
 * Blocks, three seconds at most: for a process of its own, never beside a loop. */
#pragma once

#include "base/buf.h"

/* Returns 0 when it answers 200; ERR_IO (nobody there), ERR_TIMEOUT, ERR_SYNTAX (no address),
 * ERR_DOWN (another answer); then a sentence is in `why`. A wildcard is asked on its loopback. */
MUST_CHECK int health_ask(const char *listen, struct buf *why);
