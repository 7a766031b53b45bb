/* SPDX-License-Identifier: Apache-2.0 */
/* state — the law of a link's states, from link.def. Pure. */
#pragma once

#include "bus/bus.h"

enum link_event {
#define EVENT(name, text) LINK_##name,
#include "bus/link.def"
#undef EVENT
    LINK_EVENTS
};

enum { BUS_STATES = BUS_CLOSED + 1 };

/* The state after `event`, or false when the table has no such move. */
bool bus_state_next(enum bus_state from, enum link_event event, enum bus_state *ret);
/* "DOWN"; static. */
const char *bus_state_name(enum bus_state state);
const char *bus_state_event_name(enum link_event event);
