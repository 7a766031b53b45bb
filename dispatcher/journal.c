/* SPDX-License-Identifier: Apache-2.0 */
/* A line that says what it is, then records: length of what follows the checksum (4), its checksum
 * (4), kind (1), number (8), length of the name (2), name, text. Numbers with the lowest byte
 * first. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"
#define BAD_SUFFIX ".unreadable"

enum {
    MODE = 0600,
    FRAME = 8,  /* length and checksum */
    FIXED = 11, /* kind, number, length of the name */
    CHUNK = 1024 * 1024,
    ERASED = 64 * 1024 * 1024,   /* at once: some milliseconds */
    WAITS_MAX = 64 * 1024 * 1024 /* bytes: some minutes of a full disk */
};

struct journal {
    char *dir;
    char *name; /* with its folder */
    int fd;
    int64_t end;      /* of what is safe in the file */
    struct buf waits; /* stands behind it */
    bool is_dir_due;  /* the name may not be safe yet */
    int erased_fd;    /* of a file that has no name any more, or -1 */
    int64_t erased_left;
};

struct journal_rewrite {
    struct journal *journal;
    char *name;
    int fd;
    int64_t end; /* of what was written */
    struct buf waits;
    struct buf bytes; /* of what is copied */
    int64_t from;     /* in the old file: what stands behind it is taken over as it is */
    int64_t followed; /* up to here it was */
    int64_t seen;     /* up to here the old one had come at the last step of that; 0: none */
    int64_t shift;    /* of it; known with its first byte */
};

static struct str head(void)
{
    return STR("sluice journal 1\n");
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* CRC-32C (Castagnoli), four bits at a time. */
static uint32_t crc_add(uint32_t crc, struct str bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= (unsigned char)bytes.p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

static void put_number(char *to, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (char)(unsigned char)(value >> (8 * i));
    }
}

static uint64_t get_number(const char *from, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value |= (uint64_t)(unsigned char)from[i] << (8 * i);
    }
    return value;
}

static void print_fixed(const struct journal_record *r, char to[FIXED])
{
    to[0] = r->kind;
    put_number(to + 1, (uint64_t)r->number, 8);
    put_number(to + 9, r->name.n, 2);
}

void journal_measure(const struct journal_record *r, struct journal_place *ret)
{
    char fixed[FIXED];
    uint32_t crc = UINT32_MAX;

    print_fixed(r, fixed);
    crc = crc_add(crc, (struct str){fixed, FIXED});
    crc = crc_add(crc, r->name);
    crc = crc_add(crc, r->text);
    ret->n = (uint32_t)(FRAME + FIXED + r->name.n + r->text.n);
    ret->checksum = ~crc;
}

/* Nothing is added without memory. */
static int print_record(const struct journal_record *r, struct buf *out, struct journal_place *ret)
{
    char frame[FRAME + FIXED];

    if (r->name.n > UINT16_MAX || r->text.n > JOURNAL_RECORD_MAX - FRAME - FIXED - r->name.n) {
        return ERR_TOO_LARGE;
    }
    struct journal_place p = {.at = (int64_t)out->n};
    journal_measure(r, &p);
    if (buf_reserve(out, p.n) == NULL) {
        return ERR_NOMEM;
    }
    put_number(frame, p.n - FRAME, 4);
    put_number(frame + 4, p.checksum, 4);
    print_fixed(r, frame + FRAME);
    buf_add(out, frame, sizeof frame);
    buf_str(out, r->name);
    buf_str(out, r->text);
    *ret = p;
    return ERR_OK;
}

/* The record at the front of `bytes`. Returns 0; ERR_MISSING: more bytes are needed; ERR_SYNTAX. */
static int parse_record(struct str bytes, struct journal_record *ret,
                        struct journal_place *ret_place)
{
    if (bytes.n < FRAME) {
        return ERR_MISSING;
    }
    uint64_t n = get_number(bytes.p, 4);
    if (n < FIXED || n > JOURNAL_RECORD_MAX - FRAME) {
        return ERR_SYNTAX;
    }
    if (bytes.n - FRAME < n) {
        return ERR_MISSING;
    }
    const char *p = bytes.p + FRAME;
    uint64_t name_n = get_number(p + 9, 2);
    uint32_t crc = ~crc_add(UINT32_MAX, (struct str){p, n});
    if (crc != get_number(bytes.p + 4, 4) || name_n > n - FIXED) {
        return ERR_SYNTAX;
    }
    *ret = (struct journal_record){.kind = p[0],
                                   .number = (int64_t)get_number(p + 1, 8),
                                   .name = {p + FIXED, name_n},
                                   .text = {p + FIXED + name_n, n - FIXED - name_n}};
    ret_place->n = (uint32_t)(FRAME + n);
    ret_place->checksum = crc;
    return ERR_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static char *beside(const char *name, const char *suffix)
{
    struct buf text = {0};

    buf_text(&text, name);
    buf_text(&text, suffix);
    return buf_take(&text, NULL);
}

static int write_at(int fd, struct str bytes, int64_t at)
{
    while (bytes.n > 0) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, at);
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        bytes.p += n > 0 ? n : 0;
        bytes.n -= n > 0 ? (size_t)n : 0;
        at += n > 0 ? n : 0;
    }
    return ERR_OK;
}

/* ERR_MISSING: the file ends before. */
static int read_at(int fd, char *to, size_t n, int64_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, at);
        if (got == 0) {
            return ERR_MISSING;
        }
        if (got < 0 && errno != EINTR) {
            return ERR_IO;
        }
        to += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
        at += got > 0 ? got : 0;
    }
    return ERR_OK;
}

static int sync_file(int fd)
{
    return fsync(fd) == 0 ? ERR_OK : ERR_IO;
}

/* What has become of names is only safe on disk when the folder is. */
static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return ERR_IO;
    }
    int rc = sync_file(fd);
    (void)close(fd); /* only read */
    return rc;
}

static int size_of(int fd, int64_t *ret)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return ERR_IO;
    }
    *ret = st.st_size;
    return ERR_OK;
}

/* An empty journal in place of what is there. */
static int write_head(struct journal *j)
{
    int rc = ftruncate(j->fd, 0) == 0 ? write_at(j->fd, head(), 0) : ERR_IO;

    rc = rc != ERR_OK ? rc : sync_file(j->fd);
    rc = rc != ERR_OK ? rc : sync_dir(j->dir);
    if (rc == ERR_OK) {
        j->end = (int64_t)head().n;
    }
    return rc;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* What stands from `from` on is kept for a person. */
static int save_rest(struct journal *j, int64_t from, int64_t end)
{
    char *aside = beside(j->name, BAD_SUFFIX);
    struct buf bytes = {0};
    int rc = aside == NULL ? ERR_NOMEM : ERR_OK;
    int fd = aside == NULL ? -1 : open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);

    if (rc == ERR_OK && fd < 0) {
        rc = ERR_IO;
    }
    for (int64_t at = from; rc == ERR_OK && at < end;) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        char *to = buf_reserve(&bytes, n);
        rc = to == NULL ? ERR_NOMEM : read_at(j->fd, to, n, at);
        rc = rc != ERR_OK ? rc : write_at(fd, (struct str){to, n}, at - from);
        at += (int64_t)n;
    }
    rc = rc != ERR_OK ? rc : sync_file(fd);
    if (fd >= 0 && close(fd) != 0) {
        rc = rc != ERR_OK ? rc : ERR_IO;
    }
    free(aside);
    buf_fini(&bytes);
    return rc;
}

/* From j->end on, which moves. Returns 0: all was read; ERR_MISSING: the last one is not whole;
 * ERR_SYNTAX: one is wrong; or another error. */
static int read_records(struct journal *j, int64_t size, journal_cb cb, void *arg)
{
    struct buf bytes = {0};
    int64_t at = j->end; /* up to here it was read */
    int rc = ERR_MISSING;

    while (rc == ERR_MISSING && at < size) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        char *to = buf_reserve(&bytes, n);
        rc = to == NULL ? ERR_NOMEM : read_at(j->fd, to, n, at);
        bytes.n += rc == ERR_OK ? n : 0;
        at += (int64_t)n;
        size_t done = 0;
        while (rc == ERR_OK) {
            struct journal_record r;
            struct journal_place p = {.at = j->end};
            rc = parse_record((struct str){bytes.p + done, bytes.n - done}, &r, &p);
            rc = rc != ERR_OK ? rc : cb(&r, &p, arg);
            if (rc == ERR_OK) {
                done += p.n;
                j->end += p.n;
            }
        }
        buf_drop(&bytes, done);
    }
    bool is_whole = j->end == size;
    buf_fini(&bytes);
    return rc == ERR_MISSING && is_whole ? ERR_OK : rc;
}

/* A crash of the machine may leave zeros where the last records were to stand. */
static int is_zeros(struct journal *j, int64_t from, int64_t end, bool *ret)
{
    char bytes[4096];
    int rc = ERR_OK;

    *ret = true;
    while (rc == ERR_OK && *ret && from < end) {
        size_t n = end - from < (int64_t)sizeof bytes ? (size_t)(end - from) : sizeof bytes;
        rc = read_at(j->fd, bytes, n, from);
        for (size_t i = 0; rc == ERR_OK && i < n; i++) {
            *ret = *ret && bytes[i] == 0;
        }
        from += (int64_t)n;
    }
    return rc;
}

/* The checksum of the very last one is wrong: it was being written, too. */
static bool is_last(struct journal *j, int64_t size)
{
    char frame[FRAME];

    return read_at(j->fd, frame, FRAME, j->end) == ERR_OK &&
           j->end + FRAME + (int64_t)get_number(frame, 4) == size;
}

/* What stands behind the last whole record goes. */
static int cut(struct journal *j, int64_t size, bool is_torn, struct journal_found *found)
{
    bool is_nothing = true;
    int rc = is_torn ? ERR_OK : is_zeros(j, j->end, size, &is_nothing);

    if (rc == ERR_OK && !is_torn && !is_nothing && !is_last(j, size)) {
        rc = save_rest(j, j->end, size);
        found->unreadable = size - j->end;
    } else {
        found->cut = size - j->end;
    }
    if (rc == ERR_OK && ftruncate(j->fd, j->end) != 0) {
        rc = ERR_IO;
    }
    return rc != ERR_OK ? rc : sync_file(j->fd);
}

static int load(struct journal *j, journal_cb cb, void *arg, struct journal_found *found)
{
    char first[32];
    int64_t size = 0;
    size_t n = head().n;
    int rc = size_of(j->fd, &size);

    n = size < (int64_t)n ? (size_t)size : n;
    rc = rc != ERR_OK ? rc : read_at(j->fd, first, n, 0);
    if (rc != ERR_OK) {
        return rc;
    }
    if (memcmp(first, head().p, n) != 0) {
        rc = save_rest(j, 0, size);
        found->is_other = true;
        found->unreadable = size;
        return rc != ERR_OK ? rc : write_head(j);
    }
    if (n < head().n) {
        found->cut = size;
        return write_head(j);
    }
    j->end = (int64_t)n;
    rc = read_records(j, size, cb, arg);
    return rc == ERR_MISSING || rc == ERR_SYNTAX ? cut(j, size, rc == ERR_MISSING, found) : rc;
}

/* What a process that was killed left of a new file. */
static void remove_new(const struct journal *j)
{
    char *name = beside(j->name, NEW_SUFFIX);

    if (name != NULL) {
        (void)unlink(name); /* there is none, mostly */
    }
    free(name);
}

int journal_open(const char *dir, const char *name, journal_cb cb, void *arg, struct journal **ret,
                 struct journal_found *ret_found, struct buf *why)
{
    struct journal *j = calloc(1, sizeof *j);
    struct buf path = {0};
    struct journal_found found = {0};
    int rc = ERR_NOMEM;

    if (j == NULL) {
        return rc;
    }
    j->fd = j->erased_fd = -1;
    j->dir = str_dup(str_of(dir));
    buf_printf(&path, "%s/%s", dir, name);
    j->name = buf_take(&path, NULL);
    if (j->dir == NULL || j->name == NULL) {
        goto out;
    }
    j->fd = open(j->name, O_RDWR | O_CREAT | O_CLOEXEC, MODE);
    rc = j->fd < 0 ? ERR_IO : ERR_OK;
    if (rc == ERR_OK && flock(j->fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? ERR_BUSY : ERR_IO;
    }
    rc = rc != ERR_OK ? rc : load(j, cb, arg, &found);
    if (rc == ERR_OK) {
        remove_new(j);
    }
out:
    if (rc != ERR_OK) {
        buf_printf(why, "%s/%s: %s", dir, name,
                   rc == ERR_BUSY ? "another process has it"
                   : rc == ERR_IO ? strerror(errno)
                                  : err_text(rc));
        journal_close(j);
        return rc;
    }
    *ret = j;
    *ret_found = found;
    return ERR_OK;
}

static void erase_all(struct journal *j)
{
    if (j->erased_fd >= 0) {
        (void)close(j->erased_fd);
        j->erased_fd = -1;
    }
}

/* Nobody else has it by a name, and what took its place is safe. */
static bool may_be_cut(const struct journal *j)
{
    struct stat st;

    return !j->is_dir_due && fstat(j->erased_fd, &st) == 0 && st.st_nlink == 0;
}

bool journal_is_erasing(const struct journal *j)
{
    return j->erased_fd >= 0;
}

void journal_erase_some(struct journal *j)
{
    j->erased_left -= ERASED;
    if (j->erased_fd >= 0 &&
        (j->erased_left <= 0 || !may_be_cut(j) || ftruncate(j->erased_fd, j->erased_left) != 0)) {
        erase_all(j);
    }
}

void journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->fd >= 0) {
        (void)close(j->fd); /* what counts was fsynced */
    }
    erase_all(j);
    buf_fini(&j->waits);
    free(j->dir);
    free(j->name);
    free(j);
}

/* --- appending and reading -------------------------------------------------------------------- */

int journal_append(struct journal *j, const struct journal_record *r, struct journal_place *ret)
{
    struct journal_place p;

    if (j->waits.n > WAITS_MAX) {
        return ERR_LIMIT;
    }
    int rc = print_record(r, &j->waits, &p);
    if (rc == ERR_OK) {
        *ret = (struct journal_place){j->end + p.at, p.n, p.checksum};
    }
    return rc;
}

int journal_flush(struct journal *j)
{
    int rc = ERR_OK;

    if (j->is_dir_due) {
        rc = sync_dir(j->dir);
        j->is_dir_due = rc != ERR_OK;
    }
    if (j->waits.n > 0) {
        rc = rc != ERR_OK ? rc : write_at(j->fd, buf_as_str(&j->waits), j->end);
        rc = rc != ERR_OK ? rc : fdatasync(j->fd) == 0 ? ERR_OK : ERR_IO;
    }
    if (rc == ERR_OK) {
        j->end += (int64_t)j->waits.n;
        buf_clear(&j->waits);
    }
    return rc;
}

/* Into `bytes`, which is cleared. */
static int get_bytes(struct journal *j, const struct journal_place *p, struct buf *bytes)
{
    int rc = ERR_OK;

    buf_clear(bytes);
    char *to = buf_reserve(bytes, p->n);
    if (to == NULL) {
        return ERR_NOMEM;
    }
    if (p->at >= j->end) {
        memcpy(to, j->waits.p + (p->at - j->end), p->n);
    } else {
        rc = read_at(j->fd, to, p->n, p->at);
    }
    bytes->n += rc == ERR_OK ? p->n : 0;
    return rc == ERR_MISSING ? ERR_SYNTAX : rc;
}

int journal_get(struct journal *j, const struct journal_place *p, struct buf *bytes,
                struct journal_record *ret)
{
    struct journal_place found = {0};
    int rc = get_bytes(j, p, bytes);

    rc = rc != ERR_OK ? rc : parse_record(buf_as_str(bytes), ret, &found);
    bool is_it = rc == ERR_OK && found.n == p->n && found.checksum == p->checksum;
    return rc == ERR_MISSING || (rc == ERR_OK && !is_it) ? ERR_SYNTAX : rc;
}

int64_t journal_size(const struct journal *j)
{
    return j->end + (int64_t)j->waits.n;
}

/* --- a new file ------------------------------------------------------------------------------- */

int journal_rewrite_begin(struct journal *j, struct journal_rewrite **ret)
{
    struct journal_rewrite *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return ERR_NOMEM;
    }
    w->journal = j;
    w->fd = -1;
    w->from = w->followed = journal_size(j);
    w->name = beside(j->name, NEW_SUFFIX);
    buf_str(&w->waits, head());
    int rc = w->name == NULL || buf_failed(&w->waits) ? ERR_NOMEM : ERR_OK;
    if (rc == ERR_OK) {
        w->fd = open(w->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
        rc = w->fd < 0 || flock(w->fd, LOCK_EX | LOCK_NB) != 0 ? ERR_IO : ERR_OK;
    }
    if (rc != ERR_OK) {
        journal_rewrite_give_up(w);
        return rc;
    }
    *ret = w;
    return ERR_OK;
}

/* One write for many. */
static int write_some(struct journal_rewrite *w, size_t least)
{
    if (w->waits.n < least) {
        return ERR_OK;
    }
    int rc = write_at(w->fd, buf_as_str(&w->waits), w->end);
    if (rc == ERR_OK) {
        w->end += (int64_t)w->waits.n;
        buf_clear(&w->waits);
    }
    return rc;
}

int journal_rewrite_put(struct journal_rewrite *w, const struct journal_record *r)
{
    struct journal_place p;
    int rc = print_record(r, &w->waits, &p);

    return rc != ERR_OK ? rc : write_some(w, CHUNK);
}

int journal_rewrite_copy(struct journal_rewrite *w, const struct journal_place *from,
                         int64_t *ret_at)
{
    struct journal_record r;
    int rc = journal_get(w->journal, from, &w->bytes, &r);

    if (rc != ERR_OK) {
        return rc;
    }
    *ret_at = w->end + (int64_t)w->waits.n;
    buf_str(&w->waits, buf_as_str(&w->bytes));
    return buf_failed(&w->waits) ? ERR_NOMEM : write_some(w, CHUNK);
}

int journal_rewrite_sync(struct journal_rewrite *w)
{
    int rc = write_some(w, 0);

    return rc != ERR_OK ? rc : fdatasync(w->fd) == 0 ? ERR_OK : ERR_IO;
}

/* A piece of the old file, from w->followed on. */
static int follow(struct journal_rewrite *w)
{
    int64_t left = w->journal->end - w->followed;

    if (w->followed == w->from) {
        w->shift = w->end + (int64_t)w->waits.n - w->from;
    }
    if (left <= 0) {
        return ERR_OK;
    }
    size_t n = left > CHUNK ? CHUNK : (size_t)left;
    char *to = buf_reserve(&w->waits, n);
    int rc = to == NULL ? ERR_NOMEM : read_at(w->journal->fd, to, n, w->followed);
    if (rc == ERR_OK) {
        w->waits.n += n;
        w->followed += (int64_t)n;
    }
    return rc == ERR_MISSING ? ERR_IO : rc;
}

int journal_rewrite_follow(struct journal_rewrite *w, bool *ret_more)
{
    int64_t end = w->journal->end;
    int64_t to = w->followed + CHUNK + (w->seen > 0 ? end - w->seen : 0);
    int rc = ERR_OK;

    while (rc == ERR_OK && w->followed < end && w->followed < to) {
        rc = follow(w);
        rc = rc != ERR_OK ? rc : write_some(w, CHUNK);
    }
    w->seen = end;
    *ret_more = end - w->followed > CHUNK;
    return rc != ERR_OK ? rc : journal_rewrite_sync(w);
}

/* What is left, with what only waits. */
static int follow_all(struct journal_rewrite *w)
{
    struct journal *j = w->journal;
    int rc = follow(w);

    while (rc == ERR_OK && w->followed < j->end) {
        rc = write_some(w, CHUNK);
        rc = rc != ERR_OK ? rc : follow(w);
    }
    if (rc == ERR_OK) {
        size_t done = (size_t)(w->followed - j->end); /* what waited before the beginning */
        buf_add(&w->waits, j->waits.p + done, j->waits.n - done);
        rc = buf_failed(&w->waits) ? ERR_NOMEM : ERR_OK;
    }
    return rc;
}

/* The new file stands under the name; where its folder could not be made safe, the next flush is to
 * do it. */
static void take_over(struct journal_rewrite *w)
{
    struct journal *j = w->journal;

    erase_all(j);
    j->erased_fd = j->fd; /* the file has no name any more */
    j->erased_left = j->end;
    j->fd = w->fd;
    j->end = w->end;
    buf_clear(&j->waits); /* it is in the new one */
    w->fd = -1;
    j->is_dir_due = sync_dir(j->dir) != ERR_OK;
}

void journal_rewrite_give_up(struct journal_rewrite *w)
{
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        (void)close(w->fd);
        (void)unlink(w->name); /* the next one empties it */
    }
    buf_fini(&w->waits);
    buf_fini(&w->bytes);
    free(w->name);
    free(w);
}

int journal_rewrite_end(struct journal_rewrite *w, int64_t *ret_shift)
{
    int rc = follow_all(w);

    rc = rc != ERR_OK ? rc : write_some(w, 0);
    rc = rc != ERR_OK ? rc : sync_file(w->fd);
    if (rc == ERR_OK && rename(w->name, w->journal->name) != 0) {
        rc = ERR_IO;
    }
    if (rc == ERR_OK) {
        take_over(w);
        *ret_shift = w->shift;
    }
    journal_rewrite_give_up(w); /* what is in place is no longer its own */
    return rc;
}
