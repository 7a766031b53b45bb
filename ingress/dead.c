/* SPDX-License-Identifier: Apache-2.0 */
#include "dead.h"

#include "calls.h"
#include "daemon/keyring.h"
#include "daemon/problem.h"
#include "dead_filter.h"
#include "job/answer.h"
#include "job/json.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE = 100,       /* matches of one script */
    PAGE_LOOKS = 300, /* entries that one script looks at */
    LOOKS_MAX = 100000,
    REFUSALS_SHOWN = 20
};

/* One request's way along the shelf. A script of its own is under way as long as it lives. */
struct walk {
    struct ingress *ingress;
    struct httpd_req *request; /* NULL once its caller left */
    const char *mode;          /* of dead.lua */
    struct dead_filter filter; /* bound and last move along */
    bool is_over;              /* no entries are left */
    int64_t total;
    uint64_t looked;
    uint64_t matched;
    uint64_t redriven;
    uint64_t refused;
    struct buf rows; /* JSON, by commas */
};

static void walk_free(struct walk *w)
{
    struct ingress *g = w->ingress;

    buf_fini(&w->rows);
    free(w);
    g->n_asks--;
    ingress_note(g);
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct walk *w = httpd_data(r);

    (void)arg;
    w->request = NULL;
}

/* --- documents -------------------------------------------------------------------------------- */

static void print_time(struct buf *out, const char *member, struct str ms)
{
    char text[WALL_TEXT_SIZE];
    int64_t value;

    if (str_to_i64(ms, &value) == ERR_OK && value > 0) {
        wall_format((struct wall){value}, text);
        buf_printf(out, ",\"%s\":\"%s\"", member, text);
    }
}

static void print_text(struct buf *out, const char *member, struct str text)
{
    if (text.n > 0) {
        buf_printf(out, ",\"%s\":", member);
        buf_json_str(out, text);
    }
}

static void print_number(struct buf *out, const char *member, struct str text)
{
    int64_t value;

    buf_printf(out, ",\"%s\":", member);
    if (str_to_i64(text, &value) == ERR_OK) {
        buf_printf(out, "%" PRId64, value);
    } else {
        buf_text(out, "null");
    }
}

static void print_id(struct buf *out, const char *member, const char *tenant, struct str name)
{
    buf_printf(out, "\"%s\":\"%s.%.*s\"", member, tenant, STR_ARG(name));
}

/* What a message brought back after a loss of memory may be anything. */
static bool is_object(struct str text)
{
    struct json_trouble trouble;

    return text.n > 0 && text.p[0] == '{' && json_check(text, &trouble) == ERR_OK;
}

/* row: {name, shelved, state, error, created, ended, attempts, status, method, path, labels, bytes}
 */
static void print_entry(struct buf *out, const char *tenant, const struct store_value *row)
{
    struct str labels = store_word(row, 10);

    buf_char(out, '{');
    print_id(out, "id", tenant, store_word(row, 0));
    print_text(out, "state", store_word(row, 2));
    print_text(out, "error", store_word(row, 3));
    print_time(out, "shelved_at", store_word(row, 1));
    print_time(out, "created_at", store_word(row, 4));
    print_number(out, "attempts", store_word(row, 6));
    print_number(out, "status", store_word(row, 7));
    print_text(out, "method", store_word(row, 8));
    print_text(out, "path", store_word(row, 9));
    buf_printf(out, ",\"bytes\":%" PRId64 ",\"labels\":", store_number(row, 11));
    buf_str(out, is_object(labels) ? labels : STR("{}"));
    buf_char(out, '}');
}

static void print_refusal(struct buf *out, const char *tenant, const struct store_value *row)
{
    buf_char(out, '{');
    print_id(out, "id", tenant, store_word(row, 0));
    buf_text(out, ",\"reason\":\"key_taken\",");
    print_id(out, "holder", tenant, store_word(row, 1));
    buf_char(out, '}');
}

static void print_cursor(struct buf *out, const struct walk *w)
{
    char cursor[DEAD_CURSOR_SIZE];
    const struct dead_filter *f = &w->filter;

    if (w->is_over) {
        buf_text(out, ",\"cursor\":null}");
        return;
    }
    dead_cursor_print(f->bound_ms, f->last_ms, str_of(f->last_name), cursor);
    buf_printf(out, ",\"cursor\":\"%s\"}", cursor);
}

static void print_list(struct buf *out, const struct walk *w)
{
    buf_printf(out, "{\"tenant\":\"%s\",\"total\":%" PRId64 ",\"dead\":[", w->filter.tenant,
               w->total);
    buf_str(out, buf_as_str(&w->rows));
    buf_char(out, ']');
    print_cursor(out, w);
}

static void print_redrive(struct buf *out, const struct walk *w)
{
    buf_printf(out,
               "{\"tenant\":\"%s\",\"state\":\"%s\",\"dry_run\":%s,\"matched\":%" PRIu64
               ",\"redriven\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"refusals\":[",
               w->filter.tenant, w->filter.state, w->filter.is_dry_run ? "true" : "false",
               w->matched, w->redriven, w->refused);
    buf_str(out, buf_as_str(&w->rows));
    buf_char(out, ']');
    print_cursor(out, w);
}

/* What a reader need not know: a tenant's own secrets. */
static bool is_secret(struct str name)
{
    static const char *const parts[] = {"authorization", "cookie",   "token",
                                        "secret",        "password", "api-key"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = strlen(parts[i]);
        for (size_t at = 0; at + n <= name.n; at++) {
            if (str_is_nocase((struct str){name.p + at, n}, str_of(parts[i]))) {
                return true;
            }
        }
    }
    return false;
}

static void print_headers(struct buf *out, struct str head)
{
    struct str name;
    struct str value;

    buf_text(out, ",\"headers\":[");
    for (bool is_first = true; job_head_next(&head, &name, &value); is_first = false) {
        buf_text(out, is_first ? "{\"name\":" : ",{\"name\":");
        buf_json_str(out, name);
        buf_text(out, ",\"value\":");
        buf_json_str(out, is_secret(name) ? STR("(hidden)") : value);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void print_request(struct buf *out, struct str head, int64_t bytes)
{
    struct job_message m;

    buf_text(out, ",\"request\":");
    if (job_message_unpack(head, (struct str){"", 0}, &m) != ERR_OK) {
        buf_text(out, "null"); /* it could not be read: that is why it is here */
        return;
    }
    buf_text(out, "{\"method\":");
    buf_json_str(out, m.method);
    print_text(out, "path", m.path);
    print_headers(out, m.head);
    buf_printf(out, ",\"body_bytes\":%" PRId64 "}", bytes - (int64_t)head.n);
}

int dead_print(struct str id, const struct store_value *v, struct buf *out)
{
    enum { FIELDS_MAX = 512 };
    struct job_record_field *fields = calloc(FIELDS_MAX, sizeof *fields);
    const struct store_value *record = &v->items[4];
    size_t n = 0;

    if (fields == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i + 1 < record->n_items && n < FIELDS_MAX; i += 2) {
        fields[n++] = (struct job_record_field){record->items[i].text, record->items[i + 1].text};
    }
    buf_text(out, "{\"job\":");
    int rc = job_record_print(id, fields, n, clock_wall(), out);
    print_time(out, "shelved_at", store_word(v, 1));
    print_request(out, store_word(v, 3), store_number(v, 2));
    bool is_doubtful = str_is(job_record_get(fields, n, "st"), STR("in_doubt"));
    buf_printf(out, ",\"actions\":[\"redrive\",\"%s\"]}", is_doubtful ? "resolve" : "drop");
    free(fields);
    return rc == ERR_OK && buf_failed(out) ? ERR_NOMEM : rc;
}

/* --- the walk --------------------------------------------------------------------------------- */

static void answer(struct walk *w)
{
    struct httpd_req *r = w->request;
    struct buf body = {0};

    w->request = NULL;
    if (r == NULL) {
        return;
    }
    (str_is(str_of(w->mode), STR("list")) ? print_list : print_redrive)(&body, w);
    if (buf_failed(&body) || buf_failed(&w->rows)) {
        problem_answer(r, PROBLEM_UNAVAILABLE, &(struct problem_more){.detail = "Out of memory."});
    } else {
        httpd_answer(r, &(struct httpd_answer){.status = 200,
                                               .content_type = "application/json",
                                               .body = buf_as_str(&body)});
    }
    buf_fini(&body);
}

/* rc: why the page under way brought nothing. */
static void answer_no_store(struct walk *w, int rc)
{
    struct httpd_req *r = w->request;
    bool is_harmless =
        !str_is(str_of(w->mode), STR("redrive")) || (rc != ERR_UNKNOWN && w->redriven == 0);
    char detail[200];

    w->request = NULL;
    if (r == NULL) {
        return;
    }
    if (is_harmless) {
        problem_answer(
            r, PROBLEM_UNAVAILABLE,
            &(struct problem_more){.detail = "The store does not answer. Repeat later."});
        return;
    }
    (void)snprintf(detail, sizeof detail,
                   "%" PRIu64 " jobs were run again, then the store did not answer; perhaps more "
                   "were. Repeat it: what has left the shelf is not run twice.",
                   w->redriven);
    problem_answer(r, PROBLEM_OUTCOME_UNKNOWN, &(struct problem_more){.detail = detail});
}

static void take_rows(struct walk *w, const struct store_value *v)
{
    enum { FIRST = 8 };
    bool is_list = str_is(str_of(w->mode), STR("list"));

    for (size_t i = FIRST; i < v->n_items; i++) {
        bool is_shown = is_list || w->refused + (i - FIRST) < REFUSALS_SHOWN;
        if (v->items[i].type != STORE_ARRAY || !is_shown) {
            continue;
        }
        buf_text(&w->rows, w->rows.n > 0 ? "," : "");
        (is_list ? print_entry : print_refusal)(&w->rows, w->filter.tenant, &v->items[i]);
    }
}

static void take_page(struct walk *w, const struct store_value *v)
{
    struct str last = store_word(v, 2);

    take_rows(w, v);
    w->filter.bound_ms = store_number(v, 0);
    w->filter.last_ms = store_number(v, 1);
    w->is_over = last.n == 0;
    (void)snprintf(w->filter.last_name, sizeof w->filter.last_name, "%.*s", STR_ARG(last));
    w->total = store_number(v, 3);
    w->looked += (uint64_t)store_number(v, 4);
    w->matched += (uint64_t)store_number(v, 5);
    w->redriven += (uint64_t)store_number(v, 6);
    w->refused += (uint64_t)store_number(v, 7);
}

static int ask_page(struct walk *w);

static void on_page(int rc, const struct store_value *v, void *arg)
{
    enum { LEAST_ITEMS = 8 };
    struct walk *w = arg;

    if (rc == ERR_OK && (v->type != STORE_ARRAY || v->n_items < LEAST_ITEMS)) {
        rc = ERR_PROTOCOL;
    }
    if (rc != ERR_OK) {
        answer_no_store(w, rc);
        walk_free(w);
        return;
    }
    take_page(w, v);
    bool goes_on = w->request != NULL && !w->is_over && !w->ingress->is_draining &&
                   w->matched < w->filter.limit && w->looked < LOOKS_MAX;
    if (goes_on) {
        rc = ask_page(w);
        if (rc == ERR_OK) {
            return;
        }
        answer_no_store(w, rc);
    } else {
        answer(w);
    }
    walk_free(w);
}

static int ask_page(struct walk *w)
{
    uint64_t left = w->filter.limit - w->matched;
    struct calls_dead page = {.mode = w->mode,
                              .filter = &w->filter,
                              .most = left < PAGE ? (int64_t)left : PAGE,
                              .looks = PAGE_LOOKS};

    return calls_dead(w->ingress, &page, on_page, w);
}

/* --- the entry -------------------------------------------------------------------------------- */

static void walk_begin(struct ingress *g, struct httpd_req *r, const char *mode,
                       const struct dead_filter *f)
{
    struct walk *w = calloc(1, sizeof *w);

    if (w == NULL) {
        problem_answer(r, PROBLEM_UNAVAILABLE, NULL);
        return;
    }
    w->ingress = g;
    w->request = r;
    w->mode = mode;
    w->filter = *f;
    g->n_asks++;
    int rc = ask_page(w);
    if (rc != ERR_OK) {
        answer_no_store(w, rc);
        walk_free(w);
        return;
    }
    httpd_set_data(r, w);
    httpd_keep(r, on_gone);
}

static void begin(struct ingress *g, struct httpd_req *r, bool is_redrive)
{
    struct dead_filter f;
    const char *why = dead_filter_read(httpd_query(r), is_redrive, &f);
    /* Who may not come in learns nothing of the query. */
    struct keyring_pass pass = keyring_check(g->keys, r, is_redrive ? CONFIG_ADMIN : CONFIG_READ,
                                             str_of(f.tenant), loop_now(g->loop));

    if (keyring_refuse(&pass, r)) {
        return;
    }
    if (why != NULL) {
        problem_answer(r, PROBLEM_INVALID, &(struct problem_more){.detail = why});
    } else if (!registry_is_read(g->registry)) {
        problem_answer(
            r, PROBLEM_UNAVAILABLE,
            &(struct problem_more){.detail = "No dispatcher has written the registry yet.",
                                   .retry_after_s = 1});
    } else if (registry_find(g->registry, str_of(f.tenant)) == NULL) {
        problem_answer(r, PROBLEM_UNKNOWN_TENANT, NULL);
    } else {
        walk_begin(g, r, is_redrive ? f.is_dry_run ? "count" : "redrive" : "list", &f);
    }
}

void dead_list(struct ingress *g, struct httpd_req *r)
{
    begin(g, r, /* is_redrive= */ false);
}

void dead_redrive(struct ingress *g, struct httpd_req *r)
{
    begin(g, r, /* is_redrive= */ true);
}
