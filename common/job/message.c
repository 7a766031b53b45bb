/* SPDX-License-Identifier: Apache-2.0 */
#include "job/message.h"

#include "base/panic.h"
#include "job/id.h"

enum { FIELDS_MAX = 32, NUMBERS_SIZE = 8 * 24 };

struct field {
    const char *name;
    struct str value;
};

struct fields {
    struct field at[FIELDS_MAX];
    size_t n;
    char numbers[NUMBERS_SIZE]; /* the text of numbers; `at` points into it */
};

static void add(struct fields *f, const char *name, struct str value)
{
    CHECK(f->n < FIELDS_MAX);
    f->at[f->n++] = (struct field){name, value};
}

static void add_text(struct fields *f, const char *name, struct str value)
{
    if (value.n > 0) {
        add(f, name, value);
    }
}

static void add_number(struct fields *f, size_t *used, const char *name, int64_t value)
{
    char *at = f->numbers + *used;

    if (value == 0) {
        return;
    }
    CHECK(*used + STR_I64_SIZE <= sizeof f->numbers);
    struct str text = str_from_i64(value, at);
    *used += text.n;
    add(f, name, text);
}

/* Empty ones are left out. They borrow from the message and from `ret` itself. */
static void lay_out(const struct job_message *m, struct fields *ret)
{
    size_t used = 0;

    ret->n = 0;
#define TEXT(name, member) add_text(ret, name, m->member);
#define NUMBER(name, member) add_number(ret, &used, name, (int64_t)m->member);
#include "job/message_fields.def"
#undef TEXT
#undef NUMBER
}

int job_message_read(struct job_message *m, struct str name, struct str value)
{
    int64_t number = 0;

#define TEXT(header, member)                                                                       \
    if (str_is(name, STR(header))) {                                                               \
        m->member = value;                                                                         \
        return ERR_OK;                                                                             \
    }
#define NUMBER(header, member)                                                                     \
    if (str_is(name, STR(header))) {                                                               \
        if (str_to_i64(value, &number) != ERR_OK ||                                                \
            (int64_t)(__typeof__(m->member))number != number) {                                    \
            return ERR_SYNTAX;                                                                     \
        }                                                                                          \
        m->member = (__typeof__(m->member))number;                                                 \
        return ERR_OK;                                                                             \
    }
#include "job/message_fields.def"
#undef TEXT
#undef NUMBER
    return ERR_OK;
}

int job_message_check(const struct job_message *m)
{
    struct job_id id;

    if (!job_id_parse(m->id, &id) || m->method.n == 0 || m->path.n == 0 || m->path.p[0] != '/') {
        return ERR_PROTOCOL;
    }
    bool is_class = str_is(m->class, STR("sync")) || str_is(m->class, STR("normal")) ||
                    job_message_priority(m).n > 0;
    bool is_lane = m->lane.n == 0 || (m->lane.n == 1 && m->lane.p[0] >= '0' && m->lane.p[0] <= '7');
    return is_class && is_lane ? ERR_OK : ERR_PROTOCOL;
}

struct str job_message_kind(const struct job_message *m)
{
    return str_is(m->class, STR("sync")) ? m->class : STR("normal");
}

struct str job_message_priority(const struct job_message *m)
{
    bool is_unusual = str_is(m->class, STR("high")) || str_is(m->class, STR("low"));

    return is_unusual ? m->class : (struct str)
    {
        NULL, 0
    };
}

/* At most. */
static size_t packed_size(const char *name, struct str value)
{
    return strlen(name) + STR_I64_SIZE + value.n + 2;
}

static void pack_field(struct buf *b, const char *name, struct str value)
{
    buf_text(b, name);
    buf_char(b, ' ');
    buf_i64(b, (int64_t)value.n);
    buf_char(b, '\n');
    buf_str(b, value);
    buf_char(b, '\n');
}

void job_message_pack(const struct job_message *m, struct buf *ret_head)
{
    struct fields fields;

    lay_out(m, &fields);
    size_t n = packed_size("id", m->id);
    for (size_t i = 0; i < fields.n; i++) {
        n += packed_size(fields.at[i].name, fields.at[i].value);
    }
    (void)buf_reserve(ret_head, n);
    pack_field(ret_head, "id", m->id);
    for (size_t i = 0; i < fields.n; i++) {
        pack_field(ret_head, fields.at[i].name, fields.at[i].value);
    }
}

/* Cuts "name length\nvalue\n" off *rest. */
static int unpack_field(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    struct str line;
    struct str after = *rest;
    uint64_t n;

    if (!str_cut(&after, '\n', &line) || after.p == NULL) {
        return ERR_SYNTAX;
    }
    struct str length = line;
    if (!str_cut(&length, ' ', ret_name) || length.p == NULL ||
        str_to_u64(length, SIZE_MAX / 2, &n) != ERR_OK) {
        return ERR_SYNTAX;
    }
    if (after.n < n + 1 || after.p[n] != '\n') {
        return ERR_SYNTAX;
    }
    *ret_value = (struct str){after.p, (size_t)n};
    *rest = (struct str){after.p + n + 1, after.n - (size_t)n - 1};
    return ERR_OK;
}

int job_message_unpack(struct str head, struct str body, struct job_message *ret)
{
    struct job_message m = {.body = body};
    struct str name;
    struct str value;

    while (head.n > 0) {
        int rc = unpack_field(&head, &name, &value);
        if (rc != ERR_OK) {
            return rc;
        }
        if (str_is(name, STR("id"))) {
            m.id = value;
            continue;
        }
        rc = job_message_read(&m, name, value);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    *ret = m;
    return job_message_check(&m);
}
