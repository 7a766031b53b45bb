/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include "base/clock.h"
#include "config/node.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "/registry.json"
/* Beside it, so that the rename stays within one file system. */
#define NEW_NAME "/registry.json.new"
#define BAD_NAME "/registry.json.unreadable"

enum { EPOCH_SIZE = 64, MODE = 0600, DIR_MODE = 0700, FILE_MAX = NODE_BYTES };

struct snapshot {
    char *dir;
    char epoch[EPOCH_SIZE]; /* "" before the first reading of the store or of a file */
    int64_t revision;
    struct map fields; /* field → text, owned */
    struct map lost;   /* likewise; of an earlier epoch */
    bool is_stale;     /* the file does not say the same */
};

/* --- maps of texts ---------------------------------------------------------------------------- */

static void clear(struct map *m)
{
    size_t cursor = 0;
    struct str key;
    void *value;

    while (map_next(m, &cursor, &key, &value)) {
        free(value);
    }
    map_fini(m);
    *m = (struct map){0};
}

static int put(struct map *m, struct str field, struct str text)
{
    char *copy = str_dup(text);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    void *before = map_get(m, field);
    int rc = map_put(m, field, copy);
    free(rc == ERR_OK ? before : copy);
    return rc;
}

/* What `from` has and `now` has not, over what is there. */
static int add_lost(struct map *to, const struct map *from, const struct map *now)
{
    size_t cursor = 0;
    struct str field;
    void *text;
    int rc = ERR_OK;

    while (rc == ERR_OK && map_next(from, &cursor, &field, &text)) {
        const char *still = map_get(now, field);
        rc = still != NULL && strcmp(still, text) == 0 ? ERR_OK : put(to, field, str_of(text));
    }
    return rc;
}

static bool is_same(const struct map *a, const struct map *b)
{
    size_t cursor = 0;
    struct str field;
    void *text;

    if (a->n != b->n) {
        return false;
    }
    while (map_next(a, &cursor, &field, &text)) {
        const char *other = map_get(b, field);
        if (other == NULL || strcmp(other, text) != 0) {
            return false;
        }
    }
    return true;
}

/* --- the file --------------------------------------------------------------------------------- */

static char *name_in(const struct snapshot *s, const char *file)
{
    struct buf name = {0};

    buf_text(&name, s->dir);
    buf_text(&name, file);
    return buf_take(&name, NULL);
}

static int read_all(int fd, struct buf *out)
{
    for (;;) {
        char *to = buf_reserve(out, 65536);
        if (to == NULL) {
            return ERR_NOMEM;
        }
        ssize_t n = read(fd, to, 65536);
        if (n == 0) {
            return ERR_OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        out->n += n > 0 ? (size_t)n : 0;
        if (out->n > FILE_MAX) {
            return ERR_TOO_LARGE;
        }
    }
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        bytes.p += n > 0 ? n : 0;
        bytes.n -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? ERR_OK : ERR_IO;
}

static int write_file(const char *name, struct str bytes)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);

    if (fd < 0) {
        return ERR_IO;
    }
    int rc = write_all(fd, bytes);
    return close(fd) == 0 ? rc : ERR_IO;
}

/* A rename is only safe on disk when the directory is. */
static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return ERR_IO;
    }
    int rc = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    (void)close(fd); /* only read */
    return rc;
}

static void print_fields(const struct map *m, struct buf *out)
{
    size_t cursor = 0;
    struct str field;
    void *text;
    bool is_first = true;

    buf_char(out, '{');
    while (map_next(m, &cursor, &field, &text)) {
        buf_text(out, is_first ? "\n " : ",\n ");
        buf_json_str(out, field);
        buf_char(out, ':');
        buf_json_str(out, str_of(text));
        is_first = false;
    }
    buf_char(out, '}');
}

static int save(struct snapshot *s)
{
    char *new_name = name_in(s, NEW_NAME);
    char *name = name_in(s, FILE_NAME);
    char when[WALL_TEXT_SIZE];
    struct buf text = {0};
    int rc = ERR_NOMEM;

    wall_format(clock_wall(), when);
    buf_printf(&text, "{\"saved_at\":\"%s\",\"epoch\":", when);
    buf_json_str(&text, str_of(s->epoch));
    buf_printf(&text, ",\"revision\":\"%" PRId64 "\",\"fields\":", s->revision);
    print_fields(&s->fields, &text);
    buf_text(&text, ",\n\"lost\":");
    print_fields(&s->lost, &text);
    buf_text(&text, "}\n");
    if (new_name == NULL || name == NULL || buf_failed(&text)) {
        goto out;
    }
    rc = write_file(new_name, buf_as_str(&text));
    if (rc == ERR_OK && (rename(new_name, name) != 0 || sync_dir(s->dir) != ERR_OK)) {
        rc = ERR_IO;
    }
    s->is_stale = rc != ERR_OK;
out:
    free(new_name);
    free(name);
    buf_fini(&text);
    return rc;
}

static int take_fields(const struct node *map, struct map *to)
{
    int rc = ERR_OK;

    if (map == NULL || map->kind != NODE_MAP) {
        return ERR_SYNTAX;
    }
    for (const struct node *n = map->first; rc == ERR_OK && n != NULL; n = n->next) {
        rc = n->kind == NODE_TEXT ? put(to, str_of(n->key), node_text(n)) : ERR_SYNTAX;
    }
    return rc;
}

static int take(struct snapshot *s, struct str text)
{
    struct node *tree = NULL;
    struct buf why = {0};
    int line;
    int rc = node_parse(text, &tree, &line, &why);
    const struct node *epoch = node_get(tree, "epoch");
    const struct node *revision = node_get(tree, "revision");

    if (rc == ERR_OK && (epoch == NULL || epoch->kind != NODE_TEXT || revision == NULL ||
                         revision->kind != NODE_TEXT || node_text(epoch).n >= sizeof s->epoch ||
                         str_to_i64(node_text(revision), &s->revision) != ERR_OK)) {
        rc = ERR_SYNTAX;
    }
    rc = rc != ERR_OK ? rc : take_fields(node_get(tree, "fields"), &s->fields);
    rc = rc != ERR_OK ? rc : take_fields(node_get(tree, "lost"), &s->lost);
    if (rc == ERR_OK) {
        (void)snprintf(s->epoch, sizeof s->epoch, "%s", epoch->text);
    }
    node_free(tree);
    buf_fini(&why);
    return rc;
}

/* A file that says nothing that we understand is kept for a person. */
static int move_aside(struct snapshot *s, const char *name)
{
    char *aside = name_in(s, BAD_NAME);
    int rc = aside == NULL ? ERR_NOMEM : rename(name, aside) == 0 ? ERR_OK : ERR_IO;

    free(aside);
    clear(&s->fields);
    clear(&s->lost);
    s->revision = 0;
    return rc;
}

static int load(struct snapshot *s)
{
    char *name = name_in(s, FILE_NAME);
    struct buf text = {0};
    int rc = ERR_NOMEM;

    if (name == NULL) {
        return rc;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        rc = errno == ENOENT ? ERR_OK : ERR_IO;
        goto out;
    }
    rc = read_all(fd, &text);
    (void)close(fd); /* only read */
    rc = rc != ERR_OK ? rc : take(s, buf_as_str(&text));
    if (rc == ERR_SYNTAX || rc == ERR_TOO_LARGE) {
        rc = move_aside(s, name);
    }
out:
    free(name);
    buf_fini(&text);
    return rc;
}

int snapshot_open(const char *dir, struct snapshot **ret, struct buf *why)
{
    struct snapshot *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dir = str_dup(str_of(dir));
    int rc = s->dir == NULL ? ERR_NOMEM : ERR_OK;
    if (rc == ERR_OK && mkdir(dir, DIR_MODE) != 0 && errno != EEXIST) {
        rc = ERR_IO;
    }
    rc = rc != ERR_OK ? rc : load(s);
    if (rc == ERR_OK && access(dir, W_OK | X_OK) != 0) {
        rc = ERR_IO;
    }
    if (rc != ERR_OK) {
        buf_printf(why, "dispatcher.state_dir %s: %s", dir,
                   rc == ERR_IO ? strerror(errno) : err_text(rc));
        snapshot_free(s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void snapshot_free(struct snapshot *s)
{
    if (s != NULL) {
        clear(&s->fields);
        clear(&s->lost);
        free(s->dir);
        free(s);
    }
}

/* Times of life go on by the store's clock: they are no part of it. */
static bool is_kept(struct str field)
{
    return field.n > 2 && field.p[1] == ' ' && field.p[0] != 'e';
}

int snapshot_keep(struct snapshot *s, const char *epoch, int64_t revision, const struct map *fields)
{
    bool is_other = strcmp(s->epoch, epoch) != 0;
    /* An earlier revision: a store that may forget its last second (durability fast) has. */
    bool is_lost = s->epoch[0] != '\0' && (is_other || revision < s->revision);
    bool is_restored = map_get(fields, STR(":restored")) != NULL;
    struct map now = {0};
    size_t cursor = 0;
    struct str field;
    void *text;
    int rc = ERR_OK;

    while (rc == ERR_OK && map_next(fields, &cursor, &field, &text)) {
        rc = is_kept(field) ? put(&now, field, str_of(text)) : ERR_OK;
    }
    if (rc == ERR_OK && is_lost) {
        rc = add_lost(&s->lost, &s->fields, &now);
    }
    if (rc != ERR_OK) {
        clear(&now);
        return rc;
    }
    bool is_news = is_lost || s->epoch[0] == '\0' || (is_restored && s->lost.n > 0) ||
                   !is_same(&now, &s->fields);
    if (is_restored && (is_other || !is_lost)) {
        clear(&s->lost);
    }
    clear(&s->fields);
    s->fields = now;
    s->revision = revision;
    (void)snprintf(s->epoch, sizeof s->epoch, "%s", epoch);
    return is_news || s->is_stale ? save(s) : ERR_OK;
}

bool snapshot_is_stale(const struct snapshot *s)
{
    return s->is_stale;
}

bool snapshot_next_lost(const struct snapshot *s, size_t *cursor, struct str *ret_field,
                        struct str *ret_value)
{
    void *text;

    if (!map_next(&s->lost, cursor, ret_field, &text)) {
        return false;
    }
    *ret_value = str_of(text);
    return true;
}

size_t snapshot_n_lost(const struct snapshot *s, char kind)
{
    size_t cursor = 0;
    size_t n = 0;
    struct str field;
    void *text;

    while (map_next(&s->lost, &cursor, &field, &text)) {
        n += field.p[0] == kind ? 1 : 0;
    }
    return n;
}
