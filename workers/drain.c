/* SPDX-License-Identifier: Apache-2.0 */
#include "drain.h"

#include "attempt_inside.h"
#include "base/log.h"

enum { BESIDE_MS = 5000 /* to record what was answered, and to hand back what was not begun */ };

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A tenant that has left the registry may have something in hand still. */
static int64_t longest_ms(const struct worker *w)
{
    size_t cursor = 0;
    struct registry_entry *e;
    int64_t ms = 0;

    while (registry_next(w->registry, &cursor, &e)) {
        ms = longer(ms, e->tenant->timeouts.total_ms);
    }
    for (struct list *i = w->attempts.next; i != &w->attempts; i = i->next) {
        ms = longer(ms, LIST_OF(i, struct attempt, all)->tenant->tenant->timeouts.total_ms);
    }
    return ms;
}

int64_t drain_bound_ms(const struct worker *w)
{
    return w->drain_ms >= 0 ? w->drain_ms : longest_ms(w) + BESIDE_MS;
}

void drain_begin(struct worker *w)
{
    int64_t bound_ms = drain_bound_ms(w);
    int64_t ms = longest_ms(w);

    w->drained = mono_plus_ms(loop_now(w->loop), bound_ms);
    if (bound_ms < ms) {
        log_event(LOG_WARN, "drain_short",
                  "drain_ms=%lld longest_ms=%lld msg=\"attempts that take longer are cut off: "
                  "raise worker.drain_s\"",
                  (long long)bound_ms, (long long)ms);
    }
}

bool drain_has_time_for(const struct worker *w, int64_t limit_ms)
{
    return !w->is_draining ||
           mono_since_ms(mono_plus_ms(loop_now(w->loop), limit_ms), w->drained) >= 0;
}

void drain_say_cut(const struct worker *w)
{
    for (struct list *i = w->attempts.next; i != &w->attempts; i = i->next) {
        const struct attempt *a = LIST_OF(i, struct attempt, all);
        if (a->is_running) {
            log_event(LOG_WARN, "attempt_cut", "job=%.*s attempt=%u msg=\"the drain is over\"",
                      STR_ARG(a->message.id), a->number);
        }
    }
}
