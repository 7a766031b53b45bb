/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

void progress_begin(struct progress *p, struct mono now)
{
    p->is_on = p->to != NULL;
    p->since = now;
    p->attempts = 0;
    (void)snprintf(p->state, sizeof p->state, "asking");
}

void progress_set(struct progress *p, struct str state, unsigned int attempts)
{
    (void)snprintf(p->state, sizeof p->state, "%.*s", STR_ARG(state));
    p->attempts = attempts;
}

void progress_line(const struct progress *p, struct mono now, char *to, size_t size)
{
    long long s = (long long)(mono_since_ms(p->since, now) / 1000);

    if (s < 60) {
        (void)snprintf(to, size, "%s, attempts %u, %lld s", p->state, p->attempts, s);
    } else {
        (void)snprintf(to, size, "%s, attempts %u, %lld:%02lld min", p->state, p->attempts, s / 60,
                       s % 60);
    }
}

void progress_draw(struct progress *p, struct mono now)
{
    char line[sizeof p->line];

    if (!p->is_on) {
        return;
    }
    progress_line(p, now, line, sizeof line);
    if (p->is_shown && strcmp(line, p->line) == 0) {
        return;
    }
    memcpy(p->line, line, sizeof line);
    p->is_shown = true;
    (void)fprintf(p->to, "\r\033[K%s", line); /* the whole line anew */
    (void)fflush(p->to);
}

void progress_tick(void *arg)
{
    progress_draw(arg, clock_mono());
}

void progress_clear(struct progress *p)
{
    if (p->is_shown) {
        p->is_shown = false;
        (void)fprintf(p->to, "\r\033[K");
        (void)fflush(p->to);
    }
}

void progress_end(struct progress *p)
{
    progress_clear(p);
    p->is_on = false;
}
