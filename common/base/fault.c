/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#ifdef SLUICE_FAULTS

#include "base/err.h"
#include "base/panic.h"
#include "base/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARMED_MAX = 16 };

enum action { ACTION_KILL, ACTION_STOP, ACTION_FAIL };

struct armed {
    struct str point;
    enum action action;
    uint64_t at; /* the pass that counts */
    bool is_lasting;
    uint64_t passed;
};

/* The one piece of global state outside a daemon's context: test builds only, and it must be
 * reachable from anywhere. */
static struct {
    bool is_read;
    size_t n;
    struct armed at[ARMED_MAX];
} faults;

static const char *const action_words[] = {"kill", "stop", "fail"};

static enum action parse_action(struct str word)
{
    for (size_t i = 0; i < sizeof action_words / sizeof action_words[0]; i++) {
        if (str_is(word, str_of(action_words[i]))) {
            return (enum action)i;
        }
    }
    PANIC("SLUICE_FAULT: no such action: %.*s", STR_ARG(word));
}

static void parse_pass(struct str word, struct armed *ret)
{
    ret->at = 1;
    if (word.n > 0 && word.p[word.n - 1] == '+') {
        ret->is_lasting = true;
        word.n--;
    }
    if (word.n > 0 && str_to_u64(word, UINT32_MAX, &ret->at) != ERR_OK) {
        PANIC("SLUICE_FAULT: no number: %.*s", STR_ARG(word));
    }
}

static void read_environment(void)
{
    const char *text = getenv("SLUICE_FAULT");
    struct str rest = str_of(text == NULL ? "" : text);
    struct str entry;

    faults.is_read = true;
    while (rest.n > 0 && str_cut(&rest, ',', &entry)) {
        struct armed a = {0};
        struct str word = {0};
        CHECK(faults.n < ARMED_MAX);
        (void)str_cut(&entry, ':', &a.point);
        (void)str_cut(&entry, ':', &word);
        a.action = parse_action(word);
        parse_pass(entry, &a);
        faults.at[faults.n++] = a;
    }
}

static void report(const struct armed *a)
{
    const char *file = getenv("SLUICE_FAULT_LOG");
    char line[128];
    int n =
        snprintf(line, sizeof line, "%.*s %s\n", STR_ARG(a->point), action_words[(int)a->action]);
    int fd = file == NULL ? -1 : open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd >= 0) {
        CHECK(write(fd, line, (size_t)n) == n);
        close(fd);
    }
}

static bool act(struct armed *a)
{
    a->passed++;
    if (a->passed < a->at || (a->passed > a->at && !a->is_lasting)) {
        return false;
    }
    report(a);
    if (a->action == ACTION_KILL) {
        (void)raise(SIGKILL);
    } else if (a->action == ACTION_STOP) {
        (void)raise(SIGSTOP);
    }
    return a->action == ACTION_FAIL;
}

bool fault_point(const char *point)
{
    bool fails = false;

    if (!faults.is_read) {
        read_environment();
    }
    for (size_t i = 0; i < faults.n; i++) {
        if (str_is(faults.at[i].point, str_of(point))) {
            fails = act(&faults.at[i]) || fails;
        }
    }
    return fails;
}

bool fault_is_broken(const char *rule)
{
    const char *text = getenv("SLUICE_BREAK");
    struct str rest = str_of(text == NULL ? "" : text);
    struct str word;

    while (rest.n > 0 && str_cut(&rest, ',', &word)) {
        if (str_is(word, str_of(rule))) {
            return true;
        }
    }
    return false;
}

int64_t fault_number(const char *name, int64_t value)
{
    const char *text = getenv("SLUICE_FAULT_SET");
    struct str rest = str_of(text == NULL ? "" : text);
    struct str entry;
    struct str key;

    while (rest.n > 0 && str_cut(&rest, ',', &entry)) {
        if (str_cut(&entry, '=', &key) && str_is(key, str_of(name)) &&
            str_to_i64(entry, &value) != ERR_OK) {
            PANIC("SLUICE_FAULT_SET: no number for %s", name);
        }
    }
    return value;
}

#endif
