/* SPDX-License-Identifier: Apache-2.0 */
#include "config/sense.h"

#include "cron/walk.h"

void sense_say(struct mistakes *m, const struct path *path, const struct node *n, const char *key,
               const char *why)
{
    struct path at = {path, key, 0};
    const struct node *value = node_get(n, key);

    mistake_add(m, &at, value == NULL ? n->line : value->line, "%s", why);
}

int sense_check_zone(const char *name, char *why, size_t why_size)
{
    return cron_zone_check(name, why, why_size);
}

/* CRON_FIRES also when its parts cannot be read: that has been said. */
static enum cron_sense sense_of(const struct config_schedule *s)
{
    struct cron **crons = NULL;
    struct cron **excludes = NULL;
    struct zone *zone = NULL;
    size_t n_crons = 0;
    size_t n_excludes = 0;
    enum cron_sense sense = CRON_FIRES;

    if (cron_list_parse(s->crons, s->n_crons, &crons, &n_crons) == ERR_OK &&
        cron_list_parse(s->excludes, s->n_excludes, &excludes, &n_excludes) == ERR_OK &&
        zone_load(s->timezone, &zone) == ERR_OK) {
        struct cron_walk w = {
            .crons = crons,
            .n_crons = n_crons,
            .excludes = excludes,
            .n_excludes = n_excludes,
            .zone = zone,
            .rules = {s->is_gap_skipped, s->is_overlap_twice, {s->start_ms}},
            .start_ms = s->start_ms,
            .end_ms = s->end_ms,
        };
        sense = cron_walk_sense(&w);
    }
    cron_list_free(crons, n_crons);
    cron_list_free(excludes, n_excludes);
    zone_free(zone);
    return sense;
}

/* What has no bounds, excludes nothing and skips nothing fires: cron_check has seen to that. */
static bool is_bounded(const struct config_schedule *s)
{
    return s->start_ms != 0 || s->end_ms != 0 || s->n_excludes > 0 || s->is_gap_skipped;
}

void sense_check(struct mistakes *m, const struct path *path, const struct node *n,
                 const struct config_schedule *s)
{
    switch (is_bounded(s) ? sense_of(s) : CRON_FIRES) {
    case CRON_FIRES:
        break;
    case CRON_OUTSIDE:
        sense_say(m, path, n,
                  s->end_ms != 0     ? "end"
                  : s->start_ms != 0 ? "start"
                                     : "cron",
                  s->end_ms != 0 || s->start_ms != 0
                      ? "it would never fire: cron has no instant from start to end"
                      : "it would never fire: the clock skips all its times (dst_gap: skip)");
        break;
    case CRON_EXCLUDED:
        sense_say(m, path, n, "exclude", "it would never fire: each of its instants is excluded");
        break;
    }
}
