/* SPDX-License-Identifier: Apache-2.0 */
/* The names without sluice_ are those that Prometheus' own client libraries use. */
#include "daemon/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A lag shorter than this goes by between two looks, unless it happens to meet one. */
enum { LOOK_EVERY_MS = 100 };

struct process {
    struct loop *loop;
    struct loop_timer *look;
    struct mono expected;
    int64_t worst_lag_ns;
    double started_s; /* wall clock */
    struct metric *build, *memory, *cpu, *fds, *max_fds, *start, *lag;
    const char *version;
};

static void note_lag(struct process *p)
{
    int64_t lag = loop_now(p->loop).ns - p->expected.ns;

    p->worst_lag_ns = lag > p->worst_lag_ns ? lag : p->worst_lag_ns;
}

static void look_again(struct process *p)
{
    p->expected = mono_plus_ms(loop_now(p->loop), LOOK_EVERY_MS);
    loop_timer_set(p->look, LOOK_EVERY_MS);
}

static void on_look(struct loop_timer *t, void *arg)
{
    struct process *p = arg;

    (void)t;
    note_lag(p);
    look_again(p);
}

static void register_metrics(struct process *p, struct metrics *m)
{
    p->build =
        metrics_gauge(m, "sluice_build_info", "Always 1; the version is the label.", "version");
    p->memory = metrics_gauge(m, "process_resident_memory_bytes", "Resident memory.", "");
    p->cpu = metrics_counter(m, "process_cpu_seconds_total", "User and system CPU time.", "");
    p->fds = metrics_gauge(m, "process_open_fds", "Open file descriptors.", "");
    p->max_fds = metrics_gauge(m, "process_max_fds", "The limit of open file descriptors.", "");
    p->start = metrics_gauge(m, "process_start_time_seconds", "Start, since the Unix epoch.", "");
    p->lag = metrics_gauge(m, "sluice_loop_lag_seconds",
                           "The worst lateness of the event loop since the last scrape.", "");
}

int process_new(struct loop *l, struct metrics *m, const char *version, struct process **ret)
{
    struct process *p = calloc(1, sizeof *p);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->loop = l;
    p->version = version;
    p->started_s = (double)clock_wall().ms / 1000;
    int rc = loop_timer_new(l, on_look, p, &p->look);
    if (rc != ERR_OK) {
        free(p);
        return rc;
    }
    register_metrics(p, m);
    look_again(p);
    *ret = p;
    return ERR_OK;
}

void process_free(struct process *p)
{
    if (p != NULL) {
        loop_timer_free(p->look);
        free(p);
    }
}

/* The second figure of statm: resident pages. 0: not known. */
static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128] = "";
    char *rest = line;

    if (f == NULL) {
        return 0;
    }
    if (fgets(line, sizeof line, f) == NULL) {
        line[0] = '\0';
    }
    (void)fclose(f);
    (void)strtoul(line, &rest, 10);
    return (double)strtoul(rest, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

static double open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    double n = 0;

    if (d == NULL) {
        return 0;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += e->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(d);
    return n - 1; /* without the directory's own */
}

static double cpu_seconds(void)
{
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double max_fds(void)
{
    struct rlimit limit = {0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}

void process_scrape(struct process *p)
{
    const struct str version[] = {str_of(p->version)};

    note_lag(p); /* the turn that answers the scrape may be the late one */
    metric_set(p->build, version, 1);
    metric_set(p->memory, NULL, resident_bytes());
    metric_set(p->cpu, NULL, cpu_seconds());
    metric_set(p->fds, NULL, open_fds());
    metric_set(p->max_fds, NULL, max_fds());
    metric_set(p->start, NULL, p->started_s);
    metric_set(p->lag, NULL, (double)p->worst_lag_ns / 1e9);
    p->worst_lag_ns = 0;
}

uint64_t process_raise_nofile(void)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return before; /* the hard limit may lie over what the kernel allows now */
    }
    return limit.rlim_cur;
}
