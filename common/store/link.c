/* SPDX-License-Identifier: Apache-2.0 */
#include "store/link.h"

#include <stddef.h>

static const struct {
    enum link_state from;
    enum link_event event;
    enum link_state to;
} MOVES[] = {
#define MOVE(from, event, to) {LINK_##from, LINK_##event, LINK_##to},
#include "store/link.def"
};

bool store_link_next(enum link_state from, enum link_event event, enum link_state *ret)
{
    for (size_t i = 0; i < sizeof MOVES / sizeof MOVES[0]; i++) {
        if (MOVES[i].from == from && MOVES[i].event == event) {
            *ret = MOVES[i].to;
            return true;
        }
    }
    return false;
}

const char *store_link_text(enum link_state state)
{
    static const char *const TEXTS[] = {
#define STATE(name, text) [LINK_##name] = (text),
#include "store/link.def"
    };

    return TEXTS[state];
}
