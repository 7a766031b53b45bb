/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and DELETE of a schedule, in steps: what stands is read; where none stands, what is left of
 * an earlier one is ended; the word is said against it in one script, and said again if somebody
 * was faster; what is new is read back; where a schedule ends its cursor does, too (see
 * schedule_take_cursor), so that a leader that has not heard of it fires nothing any more. Only
 * then it is answered. */
#include "base/fault.h"
#include "daemon/keyring.h"
#include "inside.h"
#include "keep.h"

#include "cron/cron.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOT_KNOWN "The store did not answer: it is not known whether this holds. Send it again."

enum { NAME_SIZE = 80, PLACE = 14 }; /* "/v1/schedules/" */

struct put {
    struct list link;
    struct schedules *owner;
    struct httpd_req *req; /* NULL: answered, or its caller has gone */
    bool is_removal;
    bool is_saying; /* the word is on its way */
    bool is_said;   /* it holds */
    bool is_new;
    bool is_done; /* its answer only waits for the disk */
    char name[NAME_SIZE];
    char tenant[NAME_SIZE]; /* of what is put */
    char ended[NAME_SIZE];  /* the tenant under which it was until now, and is no longer; or "" */
    char *document;         /* what is put; NULL for a removal */
    bool is_cleared;        /* nothing is left of an earlier one of its name */
    bool is_end_owed;       /* what it ended has not heard of it: tried again until it has */
    int64_t revision;       /* of the store: the copy must have come that far */
};

/* --- answers ---------------------------------------------------------------------------------- */

static void put_free(struct put *p)
{
    list_remove(&p->link);
    free(p->document);
    free(p);
}

static void refuse(struct put *p, enum problem kind, const char *detail)
{
    struct problem_more more = {.detail = detail};

    if (p->req != NULL) {
        problem_answer(p->req, kind, &more);
        p->req = NULL;
    }
    put_free(p);
}

static void fail(struct put *p, int rc)
{
    if (rc == ERR_NOMEM) {
        refuse(p, PROBLEM_INTERNAL, "Out of memory.");
    } else {
        refuse(p, PROBLEM_UNAVAILABLE, NOT_KNOWN);
    }
}

static void answer_body(struct httpd_req *r, int status, struct buf *body)
{
    struct httpd_answer a = {
        .status = status, .content_type = "application/json", .body = buf_as_str(body)};

    if (buf_failed(body)) {
        problem_answer(r, PROBLEM_INTERNAL, NULL);
    } else {
        httpd_answer(r, &a);
    }
    buf_fini(body);
}

/* With what the store knows of it. */
static void show(struct put *p)
{
    struct buf body = {0};

    if (p->req != NULL && schedules_print(p->owner, str_of(p->name), &body)) {
        answer_body(p->req, p->is_new ? 201 : 200, &body);
    } else if (p->req != NULL) {
        struct problem_more more = {
            .detail = "It was deleted meanwhile: put it again if it is still wanted."};
        problem_answer(p->req, PROBLEM_NOT_FOUND, &more);
        buf_fini(&body);
    }
    p->req = NULL;
    put_free(p);
}

static void say_deleted(struct put *p)
{
    struct httpd_answer nothing = {.status = 204};

    if (p->req != NULL) {
        httpd_answer(p->req, &nothing);
    }
    p->req = NULL;
    put_free(p);
}

/* Whoever has the answer may count on the disk. By now it mostly was written: what others do in the
 * same turn goes with it. */
static void finish(struct put *p)
{
    if (schedules_keep_is_awaited(p->owner->keep)) {
        p->is_done = true;
    } else if (p->is_removal) {
        say_deleted(p);
    } else {
        show(p);
    }
}

void schedules_puts_written(struct schedules *s)
{
    struct list *next;

    for (struct list *at = s->puts.next; at != &s->puts; at = next) {
        struct put *p = LIST_OF(at, struct put, link);
        next = at->next;
        if (p->is_done) {
            finish(p);
        }
    }
}

static void on_facts(int rc, void *arg)
{
    struct put *p = arg;

    (void)rc; /* what was put holds; without an answer it is shown as it was last known */
    if (p->owner->is_freed) {
        put_free(p);
    } else {
        finish(p);
    }
}

static void answer(struct put *p)
{
    struct schedule *one = map_get(&p->owner->by_name, str_of(p->name));

    if (p->is_removal ||
        schedules_read_facts(p->owner, &one, one == NULL ? 0 : 1, on_facts, p) != ERR_OK) {
        finish(p);
    }
}

/* --- the steps -------------------------------------------------------------------------------- */

static void go_on(struct put *p, const struct schedules_word *w);

/* Of what stood under the name in `tenant` nothing is left. Returns as store_call. */
static int end_in(struct put *p, const char *tenant, int64_t revision, store_cb cb)
{
    struct store_args a = {.n = 0};

    store_args_add(&a, str_of(p->name));
    store_args_number(&a, revision);
    int rc = store_call_tenant(p->owner->dispatcher->store, STORE_END_SCHEDULE, str_of(tenant),
                               a.at, a.n, cb, p);
    if (rc == ERR_OK) {
        p->owner->alive++;
    }
    return rc;
}

/* Its caller hears that it is not known; sent again there would be nothing to delete any more. So
 * it is ended all the same, unless somebody puts one of that name anew. */
static void leave_for_later(struct put *p)
{
    struct problem_more more = {.detail = NOT_KNOWN};

    if (p->req != NULL) {
        problem_answer(p->req, PROBLEM_UNAVAILABLE, &more);
        p->req = NULL;
    }
    p->is_end_owed = true;
}

static void on_ended(int rc, const struct store_value *v, void *arg)
{
    struct put *p = arg;
    struct schedules *all = p->owner;

    (void)v;
    if (all->is_freed) {
        put_free(p);
    } else if (rc != ERR_OK) {
        leave_for_later(p);
    } else {
        answer(p);
    }
    schedules_let_go(all);
}

/* From its answer on no leader fires what was. */
static void end(struct put *p)
{
    FAULT_HERE(dispatcher_schedule_deleted);
    p->is_end_owed = false;
    if (end_in(p, p->ended, p->revision, on_ended) != ERR_OK) {
        leave_for_later(p);
    }
}

static bool is_put_anew(const struct put *p)
{
    int64_t revision;
    struct str document = schedules_store_document(p->owner->store, str_of(p->name), &revision);

    return document.p != NULL && revision > p->revision;
}

void schedules_go_on_ending(struct schedules *s)
{
    struct list *next;

    for (struct list *at = s->puts.next; at != &s->puts; at = next) {
        struct put *p = LIST_OF(at, struct put, link);
        next = at->next;
        if (p->is_end_owed && is_put_anew(p)) {
            put_free(p);
        } else if (p->is_end_owed) {
            end(p);
        }
    }
}

/* True: refused, and answered. Who may do nothing here learns nothing of what is wrong. */
static bool refuse_stranger(const struct schedules *s, struct httpd_req *r)
{
    struct dispatcher *d = s->dispatcher;
    struct keyring_pass pass = keyring_check(d->keys, r, CONFIG_ADMIN | CONFIG_SUBMIT,
                                             (struct str){"", 0}, loop_now(d->loop));

    return keyring_refuse(&pass, r);
}

/* Likewise, of one that is none: a key of one tenant takes no schedule of another. */
static bool refuse_key(const struct schedules *s, struct httpd_req *r, const char *tenant)
{
    struct keyring_pass pass =
        keyring_check_again(s->dispatcher->keys, r, CONFIG_ADMIN | CONFIG_SUBMIT, str_of(tenant));

    return keyring_refuse(&pass, r);
}

static void say(struct put *p);

static void on_cleared(int rc, const struct store_value *v, void *arg)
{
    struct put *p = arg;
    struct schedules *all = p->owner;

    (void)v;
    if (all->is_freed) {
        put_free(p);
    } else if (rc != ERR_OK) {
        fail(p, rc);
    } else {
        p->is_cleared = true;
        say(p);
    }
    schedules_let_go(all);
}

/* Before a schedule stands where none was: whoever deleted one of that name may have died before it
 * had ended. */
static void clear(struct put *p)
{
    int rc = end_in(p, p->tenant, schedules_store_known(p->owner->store), on_cleared);

    if (rc != ERR_OK) {
        fail(p, rc);
    }
}

/* What was read is fresh: says the word against it. */
static void say(struct put *p)
{
    struct schedules *all = p->owner;
    const struct schedule *before = map_get(&all->by_name, str_of(p->name));
    struct schedules_word w = {.word = p->is_removal ? "del" : "set",
                               .name = str_of(p->name),
                               .document = str_of(p->is_removal ? "" : p->document)};
    bool is_put = schedules_store_document(all->store, w.name, &w.seen).p != NULL;

    if (p->is_removal && !is_put) {
        bool is_of_file = map_get(&all->of_file, w.name) != NULL;
        refuse(p, is_of_file ? PROBLEM_OWNED_BY_FILE : PROBLEM_NOT_FOUND,
               is_of_file ? "The schedule stands in the configuration: take it out there."
                          : SCHEDULES_UNKNOWN);
        return;
    }
    p->ended[0] = '\0';
    if (before != NULL && strcmp(before->job.tenant, p->tenant) != 0) {
        if (p->req == NULL || refuse_key(all, p->req, before->job.tenant)) {
            p->req = NULL;
            put_free(p);
            return;
        }
        (void)snprintf(p->ended, sizeof p->ended, "%s", before->job.tenant);
    }
    p->is_new = before == NULL;
    bool is_first = !p->is_removal && ((p->is_new && !is_put) || p->ended[0] != '\0');
    if (is_first && !p->is_cleared && RULE(put_anew_ends_what_was)) {
        clear(p);
    } else {
        go_on(p, &w);
    }
}

static void on_said(int rc, enum schedules_said said, int64_t revision, void *arg)
{
    struct put *p = arg;
    struct schedules *all = p->owner;
    struct schedules_word nothing = {0};

    if (rc == ERR_CLOSED) {
        put_free(p); /* the set may have gone */
        return;
    }
    if (rc != ERR_OK) {
        fail(p, rc);
        return;
    }
    if (p->is_saying) {
        p->is_said = said == SCHEDULES_SAID;
        p->is_cleared = false;
        p->is_saying = false;
        p->revision = revision;
    } else if (p->revision == 0) {
        p->revision = revision;
    }
    if (!schedules_store_is_read(all->store) || schedules_store_known(all->store) < p->revision) {
        go_on(p, &nothing);
    } else if (!p->is_said) {
        say(p);
    } else if (p->ended[0] != '\0') {
        end(p);
    } else {
        answer(p);
    }
}

static void go_on(struct put *p, const struct schedules_word *w)
{
    p->is_saying = w->word != NULL;
    int rc = schedules_store_call(p->owner->store, w, on_said, p);
    if (rc != ERR_OK) {
        fail(p, rc);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void on_gone(struct httpd_req *r, void *arg)
{
    struct put *p = httpd_data(r);

    (void)arg;
    p->req = NULL; /* what was asked for goes on */
}

/* NULL: answered. The caller frees. */
static struct config_schedule *read_document(struct schedules *s, struct httpd_req *r,
                                             struct str name)
{
    struct config_schedule *c = NULL;
    struct buf mistakes = {0};
    int rc = config_schedule_decode(name, httpd_body(r), cron_check, &c, &mistakes);

    if (rc == ERR_OK && registry_find(s->dispatcher->registry, str_of(c->tenant)) == NULL) {
        buf_printf(&mistakes, "job.tenant: there is no tenant %s", c->tenant);
        rc = ERR_INVALID;
    }
    if (rc == ERR_NOMEM) {
        problem_answer(r, PROBLEM_INTERNAL, NULL);
    } else if (rc != ERR_OK) {
        problem_answer_mistakes(r, PROBLEM_INVALID, &mistakes);
    }
    if (rc != ERR_OK) {
        config_schedule_free(c);
        c = NULL;
    }
    buf_fini(&mistakes);
    return c;
}

/* c: what is put; NULL for a removal. */
static void begin(struct schedules *s, struct httpd_req *r, struct str name,
                  const struct config_schedule *c)
{
    struct put *p = calloc(1, sizeof *p);
    struct schedules_word nothing = {0};

    if (p != NULL && c != NULL) {
        p->document = config_schedule_to_json(c);
        (void)snprintf(p->tenant, sizeof p->tenant, "%s", c->tenant);
    }
    if (p == NULL || (c != NULL && p->document == NULL)) {
        free(p);
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return;
    }
    p->owner = s;
    p->req = r;
    p->is_removal = c == NULL;
    (void)snprintf(p->name, sizeof p->name, "%.*s", STR_ARG(name));
    list_push_back(&s->puts, &p->link);
    httpd_set_data(r, p);
    httpd_keep(r, on_gone);
    go_on(p, &nothing);
}

static void put(struct schedules *s, struct httpd_req *r, struct str name)
{
    struct config_schedule *c = NULL;

    if (refuse_stranger(s, r) || (c = read_document(s, r, name)) == NULL) {
        return;
    }
    if (!refuse_key(s, r, c->tenant)) {
        begin(s, r, name, c);
    }
    config_schedule_free(c);
}

static void refuse_method(struct httpd_req *r, struct str allowed)
{
    struct httpd_field allow[] = {{STR("Allow"), allowed}};
    struct problem_more more = {.fields = allow, .n_fields = 1};

    problem_answer(r, PROBLEM_METHOD, &more);
}

bool schedules_store_request(struct schedules *s, struct httpd_req *r)
{
    struct str path = httpd_path(r);
    struct str method = httpd_method(r);
    bool is_read = str_is(method, STR("GET")) || str_is(method, STR("HEAD"));

    if (str_is(path, STR("/v1/schedules")) && !is_read) {
        refuse_method(r, STR("GET, HEAD"));
        return true;
    }
    if (!str_starts(path, STR("/v1/schedules/")) || is_read) {
        return false;
    }
    struct str name = {path.p + PLACE, path.n - PLACE};
    if (memchr(name.p, '/', name.n) != NULL ||
        (str_is(method, STR("POST")) && str_is(name, STR("preview")))) {
        return false;
    }
    if (str_is(method, STR("PUT"))) {
        put(s, r, name);
    } else if (!str_is(method, STR("DELETE"))) {
        refuse_method(r, STR("GET, HEAD, PUT, DELETE"));
    } else if (!tenant_name_is_valid(name)) { /* the same rule */
        schedules_refuse_unknown(r);
    } else if (!refuse_stranger(s, r)) {
        begin(s, r, name, NULL);
    }
    return true;
}

void schedules_end_puts(struct schedules *s)
{
    for (struct list *at; (at = list_pop_front(&s->puts)) != NULL;) {
        struct put *p = LIST_OF(at, struct put, link);
        struct problem_more more = {
            .detail = "This dispatcher is stopping: it is not known whether this holds. Send it "
                      "again."};
        if (p->req != NULL) {
            problem_answer(p->req, PROBLEM_UNAVAILABLE, &more);
            p->req = NULL;
        }
        if (p->is_end_owed || p->is_done) {
            put_free(p); /* nothing under way will */
        }
    }
}
