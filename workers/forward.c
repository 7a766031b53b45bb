/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include "job/answer.h"

#include <stdlib.h>

enum { OURS_ROOM = 320 }; /* for the lines that are not the caller's: mostly enough */

static void add_line(struct forward *f, size_t *n, const char *name, struct str value)
{
    buf_text(&f->text, name);
    buf_text(&f->text, ": ");
    buf_str(&f->text, value);
    buf_char(&f->text, '\0');
    ++*n;
}

static void add_optional(struct forward *f, size_t *n, const char *name, struct str value)
{
    if (value.n > 0) {
        add_line(f, n, name, value);
    }
}

static void add_attempt(struct forward *f, size_t *n, uint32_t number)
{
    buf_text(&f->text, "Sluice-Attempt: ");
    buf_i64(&f->text, number);
    buf_char(&f->text, '\0');
    ++*n;
}

static void add_callers(struct forward *f, size_t *n, struct str head)
{
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        buf_str(&f->text, name);
        buf_text(&f->text, ": ");
        buf_str(&f->text, value);
        buf_char(&f->text, '\0');
        ++*n;
    }
}

/* The lines' places are known only when the text has stopped growing. */
static int index_lines(struct forward *f, size_t n)
{
    f->lines = calloc(n + 1, sizeof *f->lines);
    if (f->lines == NULL || buf_failed(&f->text) || buf_failed(&f->url)) {
        return ERR_NOMEM;
    }
    char *at = f->text.p;
    for (size_t i = 0; i < n; i++) {
        f->lines[i] = at;
        at += strlen(at) + 1;
    }
    return ERR_OK;
}

/* Moves `f` to its caller, or frees it. */
static int finish(struct forward *f, size_t n, struct forward *ret)
{
    int rc = index_lines(f, n);

    if (rc != ERR_OK) {
        forward_fini(f);
        return rc;
    }
    *ret = *f;
    return ERR_OK;
}

/* Likewise, with the lines that say about which attempt a GET asks. */
static int finish_get(struct forward *f, size_t n, const struct job_message *m, uint32_t number,
                      struct forward *ret)
{
    add_line(f, &n, "Sluice-Job-Id", m->id);
    add_attempt(f, &n, number);
    add_optional(f, &n, "traceparent", m->traceparent);
    return finish(f, n, ret);
}

int forward_make(const struct job_message *m, struct str base, uint32_t number, struct str token,
                 struct forward *ret)
{
    struct forward f = {0};
    size_t n = 0;

    (void)buf_reserve(&f.url, base.n + m->path.n);
    (void)buf_reserve(&f.text, m->head.n + OURS_ROOM);
    buf_str(&f.url, base);
    buf_str(&f.url, m->path);
    add_callers(&f, &n, m->head);
    add_line(&f, &n, "Idempotency-Key", m->key_value.n > 0 ? m->key_value : m->id);
    add_line(&f, &n, "Sluice-Job-Id", m->id);
    add_attempt(&f, &n, number);
    add_optional(&f, &n, "Sluice-Complete-Token", token);
    add_optional(&f, &n, "traceparent", m->traceparent);
    add_optional(&f, &n, "Sluice-Schedule", m->schedule);
    add_optional(&f, &n, "Sluice-Scheduled-Time", m->scheduled_time);
    return finish(&f, n, ret);
}

static void add_path(struct buf *url, struct str path, struct str id)
{
    struct str place = STR("{id}");

    for (size_t i = 0; i < path.n;) {
        struct str rest = {path.p + i, path.n - i};
        if (str_starts(rest, place)) {
            buf_str(url, id);
            i += place.n;
        } else {
            buf_char(url, path.p[i++]);
        }
    }
}

int forward_make_question(const struct job_message *m, struct str base, struct str path,
                          uint32_t number, struct forward *ret)
{
    struct forward f = {0};
    size_t n = 0;

    buf_str(&f.url, base);
    add_path(&f.url, path, m->id);
    return finish_get(&f, n, m, number, ret);
}

static void add_polls(struct forward *f, size_t *n, struct str head)
{
    struct str name;
    struct str value;

    while (job_head_next(&head, &name, &value)) {
        if (str_is_nocase(name, STR("Authorization")) || str_is_nocase(name, STR("Cookie")) ||
            str_is_nocase(name, STR("Accept"))) {
            buf_str(&f->text, name);
            buf_text(&f->text, ": ");
            buf_str(&f->text, value);
            buf_char(&f->text, '\0');
            ++*n;
        }
    }
}

int forward_make_poll(const struct job_message *m, struct str url, uint32_t number,
                      struct forward *ret)
{
    struct forward f = {0};
    size_t n = 0;

    buf_str(&f.url, url);
    add_polls(&f, &n, m->head);
    return finish_get(&f, n, m, number, ret);
}

void forward_fini(struct forward *f)
{
    buf_fini(&f->url);
    buf_fini(&f->text);
    free(f->lines);
    f->lines = NULL;
}
