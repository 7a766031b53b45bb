/* SPDX-License-Identifier: Apache-2.0 */
/* schedule — the table of a schedule's keys, the verdict on its job, and crontab files. */
#pragma once

#include "base/clock.h"
#include "base/map.h"
#include "config/config.h"
#include "config/field.h"

extern const struct table schedule_table;

/* What the decoding of schedules needs to know. */
struct schedule_context {
    const struct map *tenants; /* known names; NULL: any */
    config_cron_check cron_check;
    struct wall now;  /* bounds a job's not_before */
    bool is_of_store; /* it was judged when it was put: what is refused since then is taken still */
};

/* Decodes into zeroed memory. */
void schedule_decode(const struct schedule_context *x, struct mistakes *m, const struct path *path,
                     const char *name, const struct node *n, struct config_schedule *s);
void schedule_fini(struct config_schedule *s);
/* Judges s->job_json as POST /v1/jobs does, with its tenant known too, and fills s->tenant. Says at
 * most one mistake about the document; of one that is sound, each member that has no effect here.
 * n: the job as it stood, so that a mistake gets its member's line; NULL: all are at `line`.
 * path: of the job; NULL: the document as a whole. */
void schedule_judge_job(const struct schedule_context *x, struct mistakes *m,
                        const struct path *path, const struct node *n, int line,
                        struct config_schedule *s);

/* A growing list; owned by whoever empties it into a struct config. */
struct schedule_list {
    struct config_schedule *items;
    size_t n, room;
    struct map names; /* those that are taken, as value_take_name keeps them */
};
/* A zeroed place at the list's end, or NULL without memory. */
struct config_schedule *schedule_list_add(struct schedule_list *l);
void schedule_list_fini(struct schedule_list *l);

/* Reads the entries of a crontab's text; m->file is the crontab. */
void crontab_read(const struct schedule_context *x, struct mistakes *m, struct str text,
                  struct schedule_list *to);
