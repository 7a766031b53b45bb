/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/state.h"

struct move {
    enum bus_state from;
    enum link_event event;
    enum bus_state to;
};

static const struct move MOVES[] = {
#define MOVE(from, event, to) {BUS_##from, LINK_##event, BUS_##to},
#include "bus/link.def"
#undef MOVE
};

static const char *const STATE_NAMES[BUS_STATES] = {
#define STATE(name, text) [BUS_##name] = #name,
#include "bus/link.def"
#undef STATE
};

static const char *const EVENT_NAMES[LINK_EVENTS] = {
#define EVENT(name, text) [LINK_##name] = #name,
#include "bus/link.def"
#undef EVENT
};

bool bus_state_next(enum bus_state from, enum link_event event, enum bus_state *ret)
{
    for (size_t i = 0; i < sizeof MOVES / sizeof MOVES[0]; i++) {
        if (MOVES[i].from == from && MOVES[i].event == event) {
            *ret = MOVES[i].to;
            return true;
        }
    }
    return false;
}

const char *bus_state_name(enum bus_state state)
{
    return STATE_NAMES[state];
}

const char *bus_state_event_name(enum link_event event)
{
    return EVENT_NAMES[event];
}
