/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = 2048, IDS = 64, REPEATS_A_SECOND = 20 };

struct log_id {
    char id[48];
    int64_t second;
    unsigned int count;
    unsigned int dropped;
};

static const char *program = "sluice";
static enum log_level least_level = LOG_INFO;
static struct log_id ids[IDS];

static const char *const level_words[] = {"debug", "info", "warn", "error"};

void log_init(const char *name, enum log_level least)
{
    program = name;
    least_level = least;
}

/* The id's entry; an id that finds no place shares the last one. */
static struct log_id *entry_of(const char *id)
{
    for (int i = 0; i < IDS - 1; i++) {
        if (ids[i].id[0] == '\0') {
            (void)snprintf(ids[i].id, sizeof ids[i].id, "%s", id);
            return &ids[i];
        }
        if (strncmp(ids[i].id, id, sizeof ids[i].id - 1) == 0) {
            return &ids[i];
        }
    }
    return &ids[IDS - 1];
}

/* Whether this line may go out; *ret_dropped is what its id has to confess. */
static bool may_pass(const char *id, int64_t second, unsigned int *ret_dropped)
{
    struct log_id *e = entry_of(id);

    if (e->second != second) {
        e->second = second;
        e->count = 0;
    }
    if (e->count >= REPEATS_A_SECOND) {
        e->dropped++;
        return false;
    }
    e->count++;
    *ret_dropped = e->dropped;
    e->dropped = 0;
    return true;
}

void log_event(enum log_level level, const char *id, const char *format, ...)
{
    char line[LINE_SIZE];
    char when[WALL_TEXT_SIZE];
    unsigned int dropped = 0;
    struct wall now = clock_wall();
    va_list args;

    if (level < least_level || !may_pass(id, now.ms / 1000, &dropped)) {
        return;
    }
    wall_format(now, when);
    int n = snprintf(line, sizeof line, "ts=%s level=%s id=%s program=%s pid=%ld ", when,
                     level_words[level], id, program, (long)getpid());
    if (dropped > 0) {
        n += snprintf(line + n, sizeof line - (size_t)n, "dropped=%u ", dropped);
    }
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    n = more < 0 ? n : n + more;
    if (n > LINE_SIZE - 2) {
        n = LINE_SIZE - 2;
    }
    for (int i = 0; i < n; i++) {
        unsigned char c = (unsigned char)line[i];
        line[i] = c < 0x20 || c == 0x7F ? '?' : line[i];
    }
    line[n++] = '\n';
    /* A full disk or a closed pipe must not stop a dispatcher: the line is lost, and nothing else.
     */
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written;
}
