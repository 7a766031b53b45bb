/* SPDX-License-Identifier: Apache-2.0 */
/* link — the states of the store's link, as pure data. */
#pragma once

#include <stdbool.h>

enum link_state {
#define STATE(name, text) LINK_##name,
#include "store/link.def"
    LINK_STATES
};

enum link_event {
#define EVENT(name, text) LINK_##name,
#include "store/link.def"
    LINK_EVENTS
};

/* False when the law has no such move. */
bool store_link_next(enum link_state from, enum link_event event, enum link_state *ret);
/* For people. Static. */
const char *store_link_text(enum link_state state);
