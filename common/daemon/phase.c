/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/phase.h"

#include "base/log.h"
#include "base/panic.h"

#include <stddef.h>

struct move {
    enum phase_state from;
    enum phase_event event;
    enum phase_state to;
};

static const struct move moves[] = {
#define MOVE(FROM, EVENT, TO) {PHASE_##FROM, PHASE_ON_##EVENT, PHASE_##TO},
#include "daemon/phase.def"
};

static const char *const state_words[] = {
#define PHASE(NAME, word) word,
#include "daemon/phase.def"
};

static const char *const event_words[] = {
#define EVENT(NAME, word) word,
#include "daemon/phase.def"
};

const char *phase_word(enum phase_state state)
{
    CHECK((unsigned int)state < PHASE_STATES);
    return state_words[state];
}

const char *phase_event_word(enum phase_event event)
{
    CHECK((unsigned int)event < PHASE_EVENTS);
    return event_words[event];
}

static const struct move *find_move(enum phase_state from, enum phase_event event)
{
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (moves[i].from == from && moves[i].event == event) {
            return &moves[i];
        }
    }
    return NULL;
}

int phase_move(struct phase *p, enum phase_event event, struct mono now)
{
    const struct move *m = find_move(p->state, event);

    if (m == NULL) {
        p->refused++;
        return ERR_DENIED;
    }
    if (m->to != p->state) {
        log_event(LOG_DEBUG, "phase", "from=%s event=%s to=%s", phase_word(p->state),
                  phase_event_word(event), phase_word(m->to));
        p->state = m->to;
        p->since = now;
        p->because = event;
    }
    return ERR_OK;
}
