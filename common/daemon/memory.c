/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/memory.h"

#include "base/log.h"

void memory_init(struct memory *m, struct metrics *all)
{
    m->changes = metrics_counter(all, "sluice_store_epoch_changes_total",
                                 "How often everything that the store knew was lost", "");
    metric_add(m->changes, NULL, 0); /* seen from the start: an alert looks for its growth */
    m->losses = metrics_counter(all, "sluice_store_lost_writes_total",
                                "How often a fail-over lost writes that had been acknowledged", "");
    metric_add(m->losses, NULL, 0);
    m->known = 0;
    m->known_losses = 0;
}

static void note_losses(struct memory *m, const struct store *s)
{
    uint64_t now = store_losses(s);

    if (now > m->known_losses) {
        log_event(LOG_ERROR, "store_lost_writes",
                  "generation=%lld msg=\"the store has lost writes that it had acknowledged\"",
                  (long long)store_generation(s));
        metric_add(m->losses, NULL, (double)(now - m->known_losses));
    }
    m->known_losses = now;
}

bool memory_note(struct memory *m, const struct store *s)
{
    uint64_t now = store_epoch_changes(s);
    bool was_lost = now > m->known;

    note_losses(m, s);
    if (was_lost) {
        log_event(LOG_ERROR, "store_forgot",
                  "epoch=%s msg=\"everything that the store knew is lost\"", store_epoch(s));
        metric_add(m->changes, NULL, (double)(now - m->known));
    }
    m->known = now;
    return was_lost;
}
