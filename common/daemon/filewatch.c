/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/filewatch.h"

#include "base/str.h"

#include <stdlib.h>
#include <sys/stat.h>

/* What a look finds; zeroed when the file is not there. The inode's own time shows a change of
 * permissions, and a copy that kept the file's time. */
struct sight {
    bool is_there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written;
    struct timespec touched;
};

struct file {
    char *path;
    struct sight seen; /* as it was read */
    struct sight last; /* at the last look */
};

struct filewatch {
    struct file *files;
    size_t n;
};

static struct sight look_at(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return (struct sight){0};
    }
    return (struct sight){.is_there = true,
                          .device = st.st_dev,
                          .inode = st.st_ino,
                          .size = st.st_size,
                          .written = st.st_mtim,
                          .touched = st.st_ctim};
}

static bool is_time_same(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct sight *a, const struct sight *b)
{
    return a->is_there == b->is_there && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && is_time_same(a->written, b->written) &&
           is_time_same(a->touched, b->touched);
}

int filewatch_new(struct filewatch **ret)
{
    struct filewatch *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return ERR_NOMEM;
    }
    *ret = w;
    return ERR_OK;
}

static void files_free(struct file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(files[i].path);
    }
    free(files);
}

void filewatch_free(struct filewatch *w)
{
    if (w != NULL) {
        files_free(w->files, w->n);
        free(w);
    }
}

static const struct file *find_file(const struct filewatch *w, const char *path)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->files[i].path, path) == 0) {
            return &w->files[i];
        }
    }
    return NULL;
}

int filewatch_set(struct filewatch *w, const char *const *paths, size_t n)
{
    struct file *files = calloc(n > 0 ? n : 1, sizeof *files);

    if (files == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct file *old = find_file(w, paths[i]);
        files[i].path = str_dup(str_of(paths[i]));
        if (files[i].path == NULL) {
            files_free(files, n);
            return ERR_NOMEM;
        }
        files[i].seen = old == NULL ? look_at(paths[i]) : old->seen;
        files[i].last = old == NULL ? files[i].seen : old->last;
    }
    files_free(w->files, w->n);
    w->files = files;
    w->n = n;
    return ERR_OK;
}

void filewatch_look(struct filewatch *w)
{
    for (size_t i = 0; i < w->n; i++) {
        w->files[i].seen = look_at(w->files[i].path);
        w->files[i].last = w->files[i].seen;
    }
}

bool filewatch_changed(struct filewatch *w)
{
    bool is_changed = false;
    bool is_settled = true;

    for (size_t i = 0; i < w->n; i++) {
        struct file *f = &w->files[i];
        struct sight now = look_at(f->path);
        is_settled = is_settled && is_same(&now, &f->last);
        is_changed = is_changed || !is_same(&now, &f->seen);
        f->last = now;
    }
    if (!is_changed || !is_settled) {
        return false;
    }
    for (size_t i = 0; i < w->n; i++) {
        w->files[i].seen = w->files[i].last;
    }
    return true;
}
