/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process, in order: the loop stops; program.stop answers what it kept, and frees the
 * program; the loop turns on for a moment, without the program, so that the last answers leave;
 * then the server goes, then the loop. The server goes after the program since stop still answers
 * through it, and since an answer given in the loop's last turn is not written yet. */
#include "base/log.h"
#include "base/panic.h"
#include "daemon/health.h"
#include "daemon/inside.h"
#include "daemon/settings.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_WELL = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

enum {
    LOOK_EVERY_MS = 1000,  /* at the files */
    DRAIN_EXTRA_MS = 1000, /* the program's own timers, set to the drain time, come first */
    LINGER_MS = 1000,      /* for the last answers; idle connections make it last so long */
    LINGER_FORCED_MS = 50, /* the same when somebody has lost patience */
    LINGER_LOOK_MS = 10,
    HEAD_TIMEOUT_MS = 10000,
    BODY_TIMEOUT_MS = 60000,
    IDLE_TIMEOUT_MS = 75000, /* over the 60 s of the usual proxies, so that they close first */
    FDS_BESIDE_CONNECTIONS = 512
};

struct loop *daemon_loop(struct daemon *d)
{
    return d->loop;
}

const struct config *daemon_config(const struct daemon *d)
{
    return d->config;
}

struct metrics *daemon_metrics(struct daemon *d)
{
    return d->metrics;
}

struct httpd *daemon_httpd(struct daemon *d)
{
    return d->httpd;
}

bool daemon_is_draining(const struct daemon *d)
{
    return d->phase.state != PHASE_RUN;
}

/* --- shutdown --------------------------------------------------------------------------------- */

static void enter_drain(struct daemon *d)
{
    int64_t drain_ms = d->program->drain_ms != NULL ? d->program->drain_ms(d->self)
                                                    : d->program->server(d->config).drain_ms;

    drain_ms = drain_ms > 0 ? drain_ms : 0;
    log_event(LOG_INFO, "draining", "drain_ms=%lld msg=\"taking nothing new\"",
              (long long)drain_ms);
    loop_timer_set(d->overdue, drain_ms + DRAIN_EXTRA_MS);
    if (d->program->on_drain != NULL) {
        d->program->on_drain(d->self);
    } else {
        daemon_drained(d);
    }
}

static void enter_stop(struct daemon *d)
{
    loop_timer_cancel(d->overdue);
    loop_stop(d->loop);
}

/* Every event of the shutdown comes through here; what the table refuses is our own bug. */
static void move(struct daemon *d, enum phase_event event)
{
    enum phase_state before = d->phase.state;

    if (phase_move(&d->phase, event, loop_now(d->loop)) != ERR_OK) {
        PANIC("no move from %s on %s", phase_word(before), phase_event_word(event));
    }
    if (d->phase.state == before) {
        return;
    }
    if (d->phase.state == PHASE_DRAIN) {
        enter_drain(d);
    } else {
        enter_stop(d);
    }
}

void daemon_drained(struct daemon *d)
{
    move(d, PHASE_ON_DRAINED);
}

static void on_stop_signal(int signum, void *arg)
{
    struct daemon *d = arg;

    log_event(LOG_INFO, "signal", "signal=%s", signum == SIGINT ? "INT" : "TERM");
    move(d, PHASE_ON_SIGNAL);
}

static void on_overdue(struct loop_timer *t, void *arg)
{
    (void)t;
    move(arg, PHASE_ON_OVERDUE);
}

static void on_linger(struct loop_timer *t, void *arg)
{
    struct daemon *d = arg;

    if (httpd_connections(d->httpd) == 0 ||
        mono_since_ms(loop_now(d->loop), d->linger_until) <= 0) {
        loop_stop(d->loop);
        return;
    }
    loop_timer_set(t, LINGER_LOOK_MS);
}

static void linger(struct daemon *d)
{
    bool is_orderly = d->phase.because == PHASE_ON_DRAINED;

    d->linger_until = mono_plus_ms(loop_now(d->loop), is_orderly ? LINGER_MS : LINGER_FORCED_MS);
    httpd_quiesce(d->httpd);
    loop_timer_set(d->linger, LINGER_LOOK_MS);
    loop_run(d->loop);
}

/* --- reloading -------------------------------------------------------------------------------- */

static void log_mistakes(const struct buf *mistakes)
{
    struct str rest = buf_as_str(mistakes);
    struct str line;

    while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
        if (line.n > 0) {
            log_event(LOG_ERROR, "config_mistake", "msg=\"%.*s\"", STR_ARG(line));
        }
    }
}

/* The configuration file and its crontabs. */
static int watch_files(struct daemon *d)
{
    size_t n = d->config->n_crontabs;
    const char **paths = calloc(n + 1, sizeof *paths);
    size_t used = 0;

    if (paths == NULL) {
        return ERR_NOMEM;
    }
    if (d->flags.config != NULL) {
        paths[used++] = d->flags.config;
    }
    for (size_t i = 0; i < n; i++) {
        paths[used++] = d->config->crontabs[i];
    }
    int rc = filewatch_set(d->watch, paths, used);
    free(paths);
    return rc;
}

static void take_config(struct daemon *d, struct config *c)
{
    struct config *old = d->config;

    d->config = c;
    if (watch_files(d) != ERR_OK) {
        log_event(LOG_WARN, "watch_failed",
                  "msg=\"no memory: the files watched are the old ones\"");
    }
    if (d->flags.listen == NULL && strcmp(d->program->server(c).listen, d->listen) != 0) {
        log_event(LOG_WARN, "listen_kept",
                  "listen=%s msg=\"another address needs a restart of the process\"", d->listen);
    }
    d->program->on_reload(d->self, c);
    config_free(old);
}

static void reload(struct daemon *d)
{
    struct config *c = NULL;
    struct buf mistakes = {0};

    filewatch_look(
        d->watch); /* before reading: what changes from here on is found at the next look */
    int rc = settings_load(d->program, &d->flags, &c, &mistakes);
    if (rc == ERR_OK && settings_judge(&d->flags, c, d->listen, &mistakes) == EXPOSURE_REFUSED) {
        config_free(c);
        rc = ERR_INVALID;
    }
    if (rc == ERR_OK) {
        metric_add(d->reloads, NULL, 1);
        log_event(LOG_INFO, "config_reloaded", "file=\"%s\"", settings_name(&d->flags));
        take_config(d, c);
    } else {
        metric_add(d->reload_failures, NULL, 1);
        log_mistakes(&mistakes);
        log_event(LOG_ERROR, "config_kept", "file=\"%s\" error=%s msg=\"the old one goes on\"",
                  settings_name(&d->flags), err_word(rc));
    }
    buf_fini(&mistakes);
}

/* What is being drained keeps the configuration that it began with. */
static bool may_reload(const struct daemon *d)
{
    return d->watch != NULL && d->phase.state == PHASE_RUN;
}

static void on_look(struct loop_timer *t, void *arg)
{
    struct daemon *d = arg;

    if (may_reload(d) && filewatch_changed(d->watch)) {
        reload(d);
    }
    loop_timer_set(t, LOOK_EVERY_MS);
}

static void on_hup(int signum, void *arg)
{
    struct daemon *d = arg;

    (void)signum;
    if (may_reload(d)) {
        reload(d);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static int make_handles(struct daemon *d)
{
    int rc;

    if ((rc = loop_signal_new(d->loop, SIGTERM, on_stop_signal, d, &d->on_term)) != ERR_OK ||
        (rc = loop_signal_new(d->loop, SIGINT, on_stop_signal, d, &d->on_int)) != ERR_OK ||
        (rc = loop_signal_new(d->loop, SIGHUP, on_hup, d, &d->on_hup)) != ERR_OK ||
        (rc = loop_timer_new(d->loop, on_look, d, &d->look)) != ERR_OK ||
        (rc = loop_timer_new(d->loop, on_overdue, d, &d->overdue)) != ERR_OK ||
        (rc = loop_timer_new(d->loop, on_linger, d, &d->linger)) != ERR_OK) {
        return rc;
    }
    return ERR_OK;
}

static int make_metrics(struct daemon *d)
{
    d->metrics = metrics_new();
    if (d->metrics == NULL) {
        return ERR_NOMEM;
    }
    d->reloads = metrics_counter(d->metrics, "sluice_config_reloads_total",
                                 "Configurations taken while running.", "");
    d->reload_failures =
        metrics_counter(d->metrics, "sluice_config_reload_failures_total",
                        "Changed configurations that had mistakes; the old one went on.", "");
    d->connections = metrics_gauge(d->metrics, "sluice_http_connections", "Open connections.", "");
    d->pending = metrics_gauge(d->metrics, "sluice_http_pending",
                               "Requests that have not been answered yet.", "");
    metric_add(d->reloads, NULL, 0);
    metric_add(d->reload_failures, NULL, 0);
    return process_new(d->loop, d->metrics, SLUICE_VERSION, &d->process);
}

static int make_watch(struct daemon *d)
{
    if (d->program->on_reload == NULL) {
        return ERR_OK;
    }
    int rc = filewatch_new(&d->watch);
    return rc == ERR_OK ? watch_files(d) : rc;
}

static void warn_of_few_fds(uint64_t fds, unsigned int max_connections)
{
    if (fds < (uint64_t)max_connections + FDS_BESIDE_CONNECTIONS) {
        log_event(LOG_WARN, "nofile_low",
                  "nofile=%llu max_connections=%u msg=\"raise the hard limit of open files\"",
                  (unsigned long long)fds, max_connections);
    }
}

static int make_server(struct daemon *d)
{
    struct daemon_server s = d->program->server(d->config);
    struct httpd_options o = {.listen = d->listen,
                              .max_header_bytes = s.max_header_bytes,
                              .max_body_bytes = s.max_body_bytes,
                              .max_connections = s.max_connections,
                              .head_timeout_ms = HEAD_TIMEOUT_MS,
                              .body_timeout_ms = BODY_TIMEOUT_MS,
                              .idle_timeout_ms = IDLE_TIMEOUT_MS,
                              .on_head = serve_head,
                              .on_request = serve_request,
                              .on_refusal = serve_refusal,
                              .arg = d};

    warn_of_few_fds(process_raise_nofile(), s.max_connections);
    errno = 0;
    int rc = httpd_new(d->loop, &o, &d->httpd);
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "listen_failed", "listen=%s error=%s msg=\"%s\"", d->listen,
                  err_word(rc), errno != 0 ? strerror(errno) : err_text(rc));
    }
    return rc;
}

static int start_program(struct daemon *d)
{
    struct buf why = {0};
    int rc = d->program->start(d, &d->self, &why);

    d->is_started = rc == ERR_OK;
    if (rc != ERR_OK) {
        log_event(LOG_ERROR, "start_failed", "error=%s msg=\"%s\"", err_word(rc),
                  why.n > 0 ? why.p : err_text(rc));
    }
    buf_fini(&why);
    return rc;
}

static int make(struct daemon *d)
{
    int rc;

    if ((rc = loop_new(&d->loop)) != ERR_OK || (rc = make_handles(d)) != ERR_OK ||
        (rc = make_metrics(d)) != ERR_OK || (rc = make_watch(d)) != ERR_OK) {
        log_event(LOG_ERROR, "start_failed", "error=%s msg=\"%s\"", err_word(rc), err_text(rc));
        return rc;
    }
    rc = make_server(d);
    return rc == ERR_OK ? start_program(d) : rc;
}

/* Takes half-made ones. */
static void unmake(struct daemon *d)
{
    if (d->httpd != NULL) {
        httpd_free(d->httpd);
    }
    filewatch_free(d->watch);
    process_free(d->process);
    metrics_free(d->metrics);
    loop_timer_free(d->linger);
    loop_timer_free(d->overdue);
    loop_timer_free(d->look);
    loop_signal_free(d->on_hup);
    loop_signal_free(d->on_int);
    loop_signal_free(d->on_term);
    d->is_thread_left = !loop_free(d->loop);
}

static void log_exposure(enum exposure_verdict verdict, const char *listen)
{
    if (verdict == EXPOSURE_INSECURE) {
        log_event(LOG_WARN, "listen_insecure",
                  "listen=%s msg=\"no keys: whoever reaches this address may do everything\"",
                  listen);
    } else if (verdict == EXPOSURE_LOOPBACK) {
        log_event(LOG_INFO, "listen_open", "listen=%s msg=\"no keys: open to this machine only\"",
                  listen);
    }
}

/* Until there are handlers a signal waits. The first process of a container would never hear it:
 * for that one the kernel throws away what has no handler yet. */
static void mask_stop_signals(int how)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(how, &set, NULL);
}

static int live(struct daemon *d)
{
    int rc = make(d);

    mask_stop_signals(SIG_UNBLOCK);
    if (rc != ERR_OK) {
        unmake(d);
        return EXIT_REFUSED;
    }
    log_event(LOG_INFO, "listening", "listen=%s version=%s", d->listen, SLUICE_VERSION);
    loop_timer_set(d->look, LOOK_EVERY_MS);
    loop_run(d->loop);
    CHECK(d->phase.state == PHASE_STOP);
    d->program->stop(d->self);
    d->self = NULL;
    d->is_started = false;
    linger(d);
    bool is_orderly = d->phase.because == PHASE_ON_DRAINED;
    log_event(is_orderly ? LOG_INFO : LOG_WARN, "stopped", "because=%s",
              phase_event_word(d->phase.because));
    unmake(d);
    return is_orderly ? EXIT_WELL : EXIT_REFUSED;
}

/* --- the modes -------------------------------------------------------------------------------- */

static void ignore_sigpipe(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)sigaction(SIGPIPE, &ignore, NULL);
}

static void write_out(FILE *to, const struct buf *text)
{
    (void)fwrite(text->p, 1, text->n, to);
    (void)fflush(to);
}

static int run_mode(struct daemon *d, const char *listen, enum exposure_verdict verdict)
{
    d->listen = str_dup(str_of(listen));
    if (d->listen == NULL) {
        return EXIT_REFUSED;
    }
    ignore_sigpipe();
    log_exposure(verdict, d->listen);
    int code = live(d);
    free(d->listen);
    return code;
}

static int print_mode(const struct config *c)
{
    struct buf text = {0};

    config_print(c, &text);
    bool is_failed = buf_failed(&text);
    write_out(stdout, &text);
    buf_fini(&text);
    return is_failed ? EXIT_REFUSED : EXIT_WELL;
}

/* The modes that need a configuration. Mistakes go to stdout where they were asked for. */
static int with_config(struct daemon *d)
{
    struct buf mistakes = {0};
    enum exposure_verdict verdict = EXPOSURE_REFUSED;
    int code = EXIT_REFUSED;
    const char *listen = NULL;

    int rc = settings_load(d->program, &d->flags, &d->config, &mistakes);
    if (rc == ERR_OK) {
        listen = settings_listen(d->program, &d->flags, d->config);
        verdict = settings_judge(&d->flags, d->config, listen, &mistakes);
    }
    if (rc != ERR_OK && mistakes.n == 0) {
        buf_printf(&mistakes, "%s: %s\n", settings_name(&d->flags), err_text(rc));
    }
    if (rc == ERR_OK && d->flags.mode == FLAGS_PRINT_CONFIG) {
        code = print_mode(d->config);
    } else if (verdict == EXPOSURE_REFUSED) {
        write_out(d->flags.mode == FLAGS_CHECK ? stdout : stderr, &mistakes);
    } else if (d->flags.mode == FLAGS_CHECK) {
        (void)printf("%s: ok\n", settings_name(&d->flags));
        code = EXIT_WELL;
    } else {
        code = run_mode(d, listen, verdict);
    }
    buf_fini(&mistakes);
    config_free(d->config);
    return code;
}

/* With --listen the file is not read: a mistake that somebody has just written into it must not
 * make a healthy daemon, which goes on with the old one, look ill. */
static int health_mode(const struct daemon *d)
{
    struct buf why = {0};
    struct config *c = NULL;
    const char *listen = d->flags.listen;
    int rc = ERR_OK;

    if (listen == NULL) {
        rc = settings_load(d->program, &d->flags, &c, &why);
        listen = rc == ERR_OK ? d->program->server(c).listen : NULL;
    }
    if (rc == ERR_OK) {
        rc = health_ask(listen, &why);
    }
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "%s: %s\n", d->program->name, why.n > 0 ? why.p : err_text(rc));
    }
    buf_fini(&why);
    config_free(c);
    return rc == ERR_OK ? EXIT_WELL : EXIT_REFUSED;
}

static int help_mode(const struct daemon *d)
{
    struct buf text = {0};

    flags_help(d->program->name, &text);
    write_out(stdout, &text);
    buf_fini(&text);
    return EXIT_WELL;
}

static int version_mode(const struct daemon *d)
{
    (void)printf("%s %s\n", d->program->name, SLUICE_VERSION);
    return EXIT_WELL;
}

static int usage(const struct daemon *d, struct buf *why)
{
    (void)fprintf(stderr, "%s: %s (see --help)\n", d->program->name, why->n > 0 ? why->p : "?");
    buf_fini(why);
    return EXIT_USAGE;
}

/* What runs has ended. With a name server that does not answer exit() would outlast the grace of
 * whoever told us to stop. */
static int leave(const struct daemon *d, int code)
{
    if (d->is_thread_left) {
        (void)fflush(NULL);
        _exit(code);
    }
    return code;
}

int daemon_main(const struct daemon_program *p, int argc, char **argv)
{
    struct daemon d = {.program = p};
    struct buf why = {0};

    log_init(p->name, LOG_INFO);
    if (flags_parse(argc, argv, &d.flags, &why) != ERR_OK) {
        return usage(&d, &why);
    }
    buf_fini(&why);
    switch (d.flags.mode) {
    case FLAGS_HELP:
        return help_mode(&d);
    case FLAGS_VERSION:
        return version_mode(&d);
    case FLAGS_HEALTH:
        return health_mode(&d);
    case FLAGS_RUN:
        mask_stop_signals(SIG_BLOCK);
        return leave(&d, with_config(&d));
    case FLAGS_CHECK:
    case FLAGS_PRINT_CONFIG:
    default:
        return with_config(&d);
    }
}
