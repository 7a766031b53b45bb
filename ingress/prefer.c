/* SPDX-License-Identifier: Apache-2.0 */
#include "prefer.h"

#include "base/err.h"

enum { KEY_MAX = 255 };

/* As str_cut, but what stands within quotes cuts nothing (RFC 9110, section 5.6.4). */
static bool cut_unquoted(struct str *rest, char separator, struct str *ret_piece)
{
    bool is_quoted = false;
    size_t n = 0;

    if (rest->p == NULL) {
        return false;
    }
    for (; n < rest->n && (is_quoted || rest->p[n] != separator); n++) {
        if (rest->p[n] == '"') {
            is_quoted = !is_quoted;
        } else if (is_quoted && rest->p[n] == '\\' && n + 1 < rest->n) {
            n++;
        }
    }
    *ret_piece = (struct str){rest->p, n};
    *rest = n < rest->n ? (struct str){rest->p + n + 1, rest->n - n - 1} : (struct str){NULL, 0};
    return true;
}

static void read_wait(struct str text, struct prefer *p)
{
    uint64_t seconds;

    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"') {
        text = (struct str){text.p + 1, text.n - 2};
    }
    int rc = str_to_u64(text, PREFER_WAIT_MAX_MS / 1000, &seconds);
    if (rc == ERR_OK || rc == ERR_TOO_LARGE) {
        p->wait_ms = rc == ERR_OK ? (int64_t)seconds * 1000 : PREFER_WAIT_MAX_MS;
        p->has_wait = true;
    }
}

static void read_one(struct str item, struct prefer *p)
{
    struct str name;
    struct str rest = item;

    /* Parameters after ';' are ignored. */
    if (!cut_unquoted(&rest, ';', &item)) {
        return;
    }
    rest = item;
    if (!str_cut(&rest, '=', &name)) {
        return;
    }
    name = str_trim(name);
    if (str_is_nocase(name, STR("respond-async"))) {
        p->is_async = true;
    } else if (str_is_nocase(name, STR("wait")) && rest.p != NULL && !p->has_wait) {
        read_wait(str_trim(rest), p);
    }
}

void prefer_read(struct str value, struct prefer *p)
{
    struct str item;

    while (cut_unquoted(&value, ',', &item)) {
        read_one(str_trim(item), p);
    }
}

bool prefer_idempotency_key(struct str field, struct str *ret)
{
    if (field.n >= 2 && field.p[0] == '"' && field.p[field.n - 1] == '"') {
        field = (struct str){field.p + 1, field.n - 2};
    }
    if (field.n == 0 || field.n > KEY_MAX) {
        return false;
    }
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] < 0x20 || field.p[i] > 0x7E) {
            return false;
        }
    }
    *ret = field;
    return true;
}
