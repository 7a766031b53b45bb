/* SPDX-License-Identifier: Apache-2.0 */
/* A small program on the daemon, run for real: in a process of its own, asked over HTTP, stopped by
 * signals. Its requests: /hello answers; /keep waits for POST /release; POST /unready and /ready;
 * /drain_ms tells the configuration; /problem is a problem with everything. */
#include "daemon/daemon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the program ------------------------------------------------------------------------------ */

enum { MUCH = 16 * 1024 * 1024 };

struct sample {
    struct daemon *d;
    struct httpd_req *kept;
    bool is_unready;
    int64_t drain_ms; /* copied from the configuration */
};

static struct daemon_server sample_server(const struct config *c)
{
    return (struct daemon_server){.listen = c->ingress.listen,
                                  .max_header_bytes = c->ingress.max_header_bytes,
                                  .max_body_bytes = c->ingress.max_body_bytes,
                                  .max_connections = 100,
                                  .drain_ms = c->ingress.drain_ms};
}

static int sample_start(struct daemon *d, void **ret_self, struct buf *why)
{
    if (getenv("SAMPLE_FAILS") != NULL) {
        buf_text(why, "it was told to fail");
        return ERR_DOWN;
    }
    struct sample *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->d = d;
    s->drain_ms = daemon_config(d)->ingress.drain_ms;
    *ret_self = s;
    return ERR_OK;
}

static void say(struct httpd_req *r, const char *text)
{
    httpd_answer(r, &(struct httpd_answer){
                        .status = 200, .content_type = "text/plain", .body = str_of(text)});
}

/* More than the socket takes at once: it is still on its way when the loop is told to stop. */
static void say_much(struct httpd_req *r)
{
    char *p = malloc(MUCH);

    if (p == NULL) {
        problem_answer(r, PROBLEM_INTERNAL, NULL);
        return;
    }
    memset(p, 'x', MUCH);
    httpd_answer(r, &(struct httpd_answer){.status = 200, .body = {p, MUCH}, .free_body = free});
}

static void on_gone(struct httpd_req *r, void *arg)
{
    struct sample *s = arg;

    (void)r;
    s->kept = NULL;
}

static void release(struct sample *s)
{
    if (s->kept != NULL) {
        say_much(s->kept);
        s->kept = NULL;
    }
    if (daemon_is_draining(s->d)) {
        daemon_drained(s->d);
    }
}

static void say_drain_ms(struct httpd_req *r, const struct sample *s)
{
    char text[32];

    (void)snprintf(text, sizeof text, "drain_ms=%lld;", (long long)s->drain_ms);
    say(r, text);
}

static void say_problem(struct httpd_req *r)
{
    const struct httpd_field f = {STR("RateLimit-Policy"), STR("q")};

    problem_answer(r, PROBLEM_TOO_MANY,
                   &(struct problem_more){.detail = "Slower, please.",
                                          .job = STR("erp.abc"),
                                          .retry_after_s = 7,
                                          .fields = &f,
                                          .n_fields = 1});
}

static void sample_request(struct httpd_req *r, void *self)
{
    struct sample *s = self;
    struct str path = httpd_path(r);

    if (str_is(path, STR("/keep"))) {
        s->kept = r;
        httpd_keep(r, on_gone);
    } else if (str_is(path, STR("/release"))) {
        say(r, "releasing");
        release(s);
    } else if (str_is(path, STR("/ready")) || str_is(path, STR("/unready"))) {
        s->is_unready = str_is(path, STR("/unready"));
        say(r, "so be it");
    } else if (str_is(path, STR("/drain_ms"))) {
        say_drain_ms(r, s);
    } else if (str_is(path, STR("/problem"))) {
        say_problem(r);
    } else if (str_is(path, STR("/hello"))) {
        say(r, "hello");
    } else {
        problem_answer(r, PROBLEM_NOT_FOUND, NULL);
    }
}

static bool sample_is_ready(void *self, struct buf *why)
{
    const struct sample *s = self;

    if (s->is_unready) {
        buf_text(why, "The \"broker\" is not connected");
    }
    return !s->is_unready;
}

static void sample_scrape(void *self)
{
    struct sample *s = self;

    metric_set(metrics_gauge(daemon_metrics(s->d), "sample_kept", "Kept.", ""), NULL,
               s->kept != NULL ? 1 : 0);
}

static void sample_reload(void *self, const struct config *c)
{
    struct sample *s = self;

    if (c == daemon_config(s->d)) {
        s->drain_ms = c->ingress.drain_ms;
    }
}

static void sample_drain(void *self)
{
    struct sample *s = self;

    if (s->kept == NULL) {
        daemon_drained(s->d);
    }
}

static void sample_stop(void *self)
{
    struct sample *s = self;

    if (s->kept != NULL) {
        problem_answer(s->kept, PROBLEM_DRAINING, NULL);
    }
    free(s);
    (void)fputs("the sample is gone\n", stderr);
}

static const struct daemon_program program = {.name = "sluice-sample",
                                              .server = sample_server,
                                              .start = sample_start,
                                              .on_request = sample_request,
                                              .is_ready = sample_is_ready,
                                              .on_scrape = sample_scrape,
                                              .on_reload = sample_reload,
                                              .on_drain = sample_drain,
                                              .stop = sample_stop};

/* --- running it ------------------------------------------------------------------------------- */

enum { ARGS = 8, PATIENCE_MS = 20000 };

struct fixture {
    char folder[64];
    char config[96], out[96], err[96], crontab[96];
    char probe[96]; /* what a second process says */
    uint16_t port;
    char listen[40];
    pid_t pid; /* 0: none */
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* As a careful operator does it: whole, by its name. */
static void replace_config(const struct fixture *x, const char *text)
{
    char beside[128];

    (void)snprintf(beside, sizeof beside, "%s.new", x->config);
    write_file(beside, text);
    assert_int_equal(rename(beside, x->config), 0);
}

static void read_file(const char *path, struct buf *to)
{
    FILE *f = fopen(path, "re");

    buf_clear(to);
    buf_text(to, "");
    if (f == NULL) {
        return;
    }
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        buf_char(to, (char)c);
    }
    (void)fclose(f);
}

static uint16_t free_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    (void)close(fd);
    return ntohs(sa.sin_port);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);

    assert_non_null(x);
    (void)snprintf(x->folder, sizeof x->folder, "/tmp/sluice_daemon_XXXXXX");
    assert_non_null(mkdtemp(x->folder));
    (void)snprintf(x->config, sizeof x->config, "%s/sluice.yaml", x->folder);
    (void)snprintf(x->crontab, sizeof x->crontab, "%s/crontab", x->folder);
    (void)snprintf(x->out, sizeof x->out, "%s/out", x->folder);
    (void)snprintf(x->err, sizeof x->err, "%s/err", x->folder);
    (void)snprintf(x->probe, sizeof x->probe, "%s/probe", x->folder);
    x->port = free_port();
    (void)snprintf(x->listen, sizeof x->listen, "127.0.0.1:%u", x->port);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    if (x->pid > 0) {
        (void)kill(x->pid, SIGKILL);
        (void)waitpid(x->pid, NULL, 0);
    }
    (void)unlink(x->config);
    (void)unlink(x->crontab);
    (void)unlink(x->out);
    (void)unlink(x->err);
    (void)unlink(x->probe);
    (void)rmdir(x->folder);
    free(x);
    return 0;
}

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || dup2(fd, to) < 0) {
        _exit(99);
    }
    (void)close(fd);
}

/* The process that runs daemon_main; "FILE" and "LISTEN" among the arguments are the fixture's. */
static void spawn(struct fixture *x, const char *const args[ARGS])
{
    char texts[ARGS + 1][96] = {"sluice-sample"};
    char *argv[ARGS + 2] = {texts[0]};
    int argc = 1;

    for (; argc <= ARGS && args[argc - 1] != NULL; argc++) {
        const char *text = args[argc - 1];
        text = strcmp(text, "FILE") == 0 ? x->config : text;
        text = strcmp(text, "LISTEN") == 0 ? x->listen : text;
        (void)snprintf(texts[argc], sizeof texts[argc], "%s", text);
        argv[argc] = texts[argc];
    }
    (void)fflush(NULL);
    x->pid = fork();
    assert_true(x->pid >= 0);
    if (x->pid == 0) {
        redirect(x->out, STDOUT_FILENO);
        redirect(x->err, STDERR_FILENO);
        exit(daemon_main(&program, argc, argv)); /* not _exit: leaks are to be found */
    }
}

static void moment(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* The exit code; a daemon that does not end fails the test. */
static int wait_exit(struct fixture *x)
{
    struct mono until = mono_plus_ms(clock_mono(), PATIENCE_MS);
    int status = 0;

    while (waitpid(x->pid, &status, WNOHANG) == 0) {
        assert_true(mono_since_ms(clock_mono(), until) > 0);
        moment();
    }
    x->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_contains(const char *text, const char *what)
{
    if (strstr(text, what) == NULL) {
        print_error("not there: %s\nin: %s\n", what, text);
        fail();
    }
}

static void assert_file_contains(const char *path, const char *what)
{
    struct buf text = {0};

    read_file(path, &text);
    assert_contains(text.p, what);
    buf_fini(&text);
}

/* --- asking it -------------------------------------------------------------------------------- */

/* A connection with the text sent; -1 when nobody listens. */
static int send_text(const struct fixture *x, const char *text)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(x->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        (void)close(fd);
        return -1;
    }
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

/* The same for a request line; the connection ends with the answer. */
static int send_request(const struct fixture *x, const char *line)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", line,
                   strncmp(line, "POST", 4) == 0 ? "Content-Length: 0\r\n" : "");
    return send_text(x, text);
}

/* All that comes until the end of the connection. */
static void receive(int fd, struct buf *to)
{
    char piece[4096];
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    ssize_t n;

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    buf_clear(to);
    buf_text(to, "");
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0) {
        buf_add(to, piece, (size_t)n);
    }
    (void)close(fd);
}

static void ask(const struct fixture *x, const char *line, struct buf *to)
{
    receive(send_request(x, line), to);
}

static bool is_said(const struct fixture *x, const char *line, const char *what)
{
    struct buf got = {0};
    int fd = send_request(x, line);
    bool is_there = false;

    if (fd >= 0) {
        receive(fd, &got);
        is_there = strstr(got.p, what) != NULL;
    }
    buf_fini(&got);
    return is_there;
}

/* Asks until the answer contains `what`. */
static void wait_said(struct fixture *x, const char *line, const char *what)
{
    struct mono until = mono_plus_ms(clock_mono(), PATIENCE_MS);

    while (!is_said(x, line, what)) {
        assert_true(mono_since_ms(clock_mono(), until) > 0);
        assert_int_equal(waitpid(x->pid, NULL, WNOHANG), 0);
        moment();
    }
}

static void assert_said(const struct fixture *x, const char *line, const char *what)
{
    struct buf got = {0};

    ask(x, line, &got);
    assert_contains(got.p, what);
    buf_fini(&got);
}

static void start(struct fixture *x, const char *config)
{
    write_file(x->config, config);
    spawn(x, (const char *const[ARGS]){"--config", "FILE", "--listen", "LISTEN"});
    wait_said(x, "GET /livez", "200");
}

static void send_signal(const struct fixture *x, int signum)
{
    assert_int_equal(kill(x->pid, signum), 0);
}

/* The keeping is done when the metrics say so. */
static int keep_one(struct fixture *x)
{
    int fd = send_request(x, "GET /keep");

    wait_said(x, "GET /metrics", "\nsample_kept 1\n");
    return fd;
}

/* --- the command line ------------------------------------------------------------------------- */

struct command {
    const char *name;
    const char *config;
    const char *args[ARGS];
    int code;
    const char *out, *err; /* parts of it */
};

static const struct command commands[] = {
    {"version", "", {"--version"}, 0, "sluice-sample 0.1.0\n", ""},
    {"help", "", {"--help"}, 0, "Usage: sluice-sample", ""},
    {"usage", "", {"--what"}, 2, "", "sluice-sample: unknown argument \"--what\""},
    {"check, all well",
     "ingress: {drain_s: 3}\n",
     {"--check", "--config", "FILE"},
     0,
     "sluice.yaml: ok\n",
     ""},
    {"check, two mistakes",
     "ingress: {drain_s: []}\ncolour: red\n",
     {"--check", "--config", "FILE"},
     1,
     "sluice.yaml:2: colour",
     ""},
    {"check, no file", "", {"--check", "--config", "/nowhere/at/all"}, 1, "/nowhere/at/all", ""},
    {"check, open",
     "ingress: {listen: \"0.0.0.0:80\"}\n",
     {"--check", "--config", "FILE"},
     1,
     "sluice.yaml: keys: none, and 0.0.0.0:80 is not a loopback address",
     ""},
    {"check, open by wish",
     "ingress: {listen: \"0.0.0.0:80\", insecure_listen: true}\n",
     {"--check", "--config", "FILE"},
     0,
     ": ok\n",
     ""},
    {"print",
     "ingress: {drain_s: 3}\n",
     {"--print-config", "--config", "FILE"},
     0,
     "drain_s: 3",
     ""},
    {"print, the flag wins",
     "ingress: {listen: \"127.0.0.1:1\"}\n",
     {"--print-config", "--config", "FILE", "--listen", "127.0.0.1:4711"},
     0,
     "127.0.0.1:4711",
     ""},
    {"print, a mistake",
     "colour: red\n",
     {"--print-config", "--config", "FILE"},
     1,
     "",
     "sluice.yaml:1: colour"},
    {"run, a mistake", "colour: red\n", {"--config", "FILE"}, 1, "", "sluice.yaml:1: colour"},
    {"run, open", "", {"--listen", ":80"}, 1, "", "keys: none, and :80 is not a loopback address"},
    {"run, open by flag against the file",
     "ingress: {listen: \"127.0.0.1:80\"}\n",
     {"--config", "FILE", "--listen", "[::]:80"},
     1,
     "",
     "[::]:80 is not a loopback address"},
    {"run, no such address here",
     "ingress: {insecure_listen: true}\n",
     {"--config", "FILE", "--listen", "192.0.2.1:80"},
     1,
     "",
     "id=listen_failed"},
    {"health, nobody there", "", {"--health", "--listen", "LISTEN"}, 1, "", "127.0.0.1:"},
};

static void command_lines(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        print_message("case: %s\n", commands[i].name);
        write_file(x->config, commands[i].config);
        spawn(x, commands[i].args);
        assert_int_equal(wait_exit(x), commands[i].code);
        assert_file_contains(x->out, commands[i].out);
        assert_file_contains(x->err, commands[i].err);
    }
}

static void check_says_every_mistake(void **state)
{
    struct fixture *x = *state;

    write_file(x->config, "colour: red\nsize: big\n");
    spawn(x, (const char *const[ARGS]){"--check", "--config", "FILE"});
    assert_int_equal(wait_exit(x), 1);
    assert_file_contains(x->out, "sluice.yaml:1: colour");
    assert_file_contains(x->out, "sluice.yaml:2: size");
}

static void a_start_that_fails_says_why(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(setenv("SAMPLE_FAILS", "1", 1), 0);
    spawn(x, (const char *const[ARGS]){"--listen", "LISTEN"});
    assert_int_equal(unsetenv("SAMPLE_FAILS"), 0);
    assert_int_equal(wait_exit(x), 1);
    assert_file_contains(x->err, "id=start_failed");
    assert_file_contains(x->err, "msg=\"it was told to fail\"");
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void endpoints(void **state)
{
    struct fixture *x = *state;
    struct buf got = {0};

    start(x, "ingress: {drain_s: 3}\n");
    assert_file_contains(x->err, "id=listen_open");
    assert_said(x, "GET /livez", "HTTP/1.1 200");
    assert_said(x, "GET /readyz", "HTTP/1.1 200");
    assert_said(x, "GET /readyz?verbose", "HTTP/1.1 200");
    assert_said(x, "GET /hello", "\r\n\r\nhello");
    assert_said(x, "GET /livez/", "HTTP/1.1 404");
    ask(x, "HEAD /readyz", &got);
    assert_contains(got.p, "HTTP/1.1 200");
    assert_contains(got.p, "Content-Length: 6\r\n");
    assert_string_equal(got.p + got.n - 4, "\r\n\r\n");
    buf_fini(&got);
}

static void other_methods_are_refused(void **state)
{
    static const char *const lines[] = {"POST /livez", "DELETE /readyz", "OPTIONS /metrics"};
    struct fixture *x = *state;

    start(x, "");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        print_message("case: %s\n", lines[i]);
        assert_said(x, lines[i], "HTTP/1.1 405");
        assert_said(x, lines[i], "\r\nAllow: GET, HEAD\r\n");
        assert_said(x, lines[i], "urn:sluice:problem:method_not_allowed");
    }
}

static void not_ready_says_why(void **state)
{
    struct fixture *x = *state;

    start(x, "");
    assert_said(x, "POST /unready", "200");
    assert_said(x, "GET /readyz", "HTTP/1.1 503");
    assert_said(x, "GET /readyz", "\r\nRetry-After: 1\r\n");
    assert_said(x, "GET /readyz", "\r\nContent-Type: application/problem+json\r\n");
    assert_said(x, "GET /readyz",
                "{\"type\":\"urn:sluice:problem:unavailable\",\"title\":\"Sluice cannot take work "
                "now\",\"status\":503,\"detail\":\"The \\\"broker\\\" is not connected\"}");
    assert_said(x, "GET /livez", "HTTP/1.1 200");
    assert_said(x, "POST /ready", "200");
    assert_said(x, "GET /readyz", "HTTP/1.1 200");
}

static void metrics_are_there(void **state)
{
    static const char *const lines[] = {
        "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
        "\nsluice_build_info{version=\"0.1.0\"} 1\n",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_cpu_seconds_total ",
        "\nprocess_open_fds ",
        "\nprocess_start_time_seconds ",
        "\nsluice_loop_lag_seconds ",
        "\nsluice_config_reload_failures_total 0\n",
        "\nsluice_config_reloads_total 0\n",
        "\nsluice_http_connections 1\n",
        "\nsample_kept 0\n",
    };
    struct fixture *x = *state;
    struct buf got = {0};

    start(x, "");
    ask(x, "GET /metrics", &got);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_contains(got.p, lines[i]);
    }
    buf_fini(&got);
}

static void problems_carry_their_fields(void **state)
{
    struct fixture *x = *state;

    start(x, "");
    assert_said(x, "GET /problem", "HTTP/1.1 429");
    assert_said(x, "GET /problem", "\r\nRetry-After: 7\r\n");
    assert_said(x, "GET /problem", "\r\nSluice-Job-Id: erp.abc\r\n");
    assert_said(x, "GET /problem", "\r\nRateLimit-Policy: q\r\n");
    assert_said(x, "GET /problem", "\"detail\":\"Slower, please.\",\"job\":\"erp.abc\"}");
}

/* What the server refuses by itself is a problem document, too. */
static void refusals_are_problems(void **state)
{
    struct fixture *x = *state;

    start(x, "");
    assert_said(x, "GET /a/../b", "HTTP/1.1 400");
    assert_said(x, "GET /a/../b", "\r\nContent-Type: application/problem+json\r\n");
    assert_said(x, "GET /a/../b", "\"type\":\"urn:sluice:problem:malformed\"");
}

static void health_asks_readyz(void **state)
{
    struct fixture *x = *state;
    struct fixture probe = *x;

    start(x, "");
    probe.pid = 0;
    memcpy(probe.out, x->probe, sizeof probe.out);
    memcpy(probe.err, x->probe, sizeof probe.err);
    spawn(&probe, (const char *const[ARGS]){"--health", "--listen", "LISTEN"});
    assert_int_equal(wait_exit(&probe), 0);
    assert_said(x, "POST /unready", "200");
    spawn(&probe, (const char *const[ARGS]){"--health", "--listen", "LISTEN"});
    assert_int_equal(wait_exit(&probe), 1);
    assert_file_contains(probe.err, "not ready (HTTP/1.1 503)");
}

/* --- stopping --------------------------------------------------------------------------------- */

static void stops_when_nothing_is_left(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct fixture *x = *state;

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        start(x, "");
        send_signal(x, signals[i]);
        assert_int_equal(wait_exit(x), 0);
        assert_file_contains(x->err, "id=stopped");
        assert_file_contains(x->err, "because=drained");
    }
}

static void drains_what_it_has(void **state)
{
    struct fixture *x = *state;
    struct buf got = {0};

    start(x, "ingress: {drain_s: 30}\n");
    int kept = keep_one(x);
    send_signal(x, SIGTERM);
    wait_said(x, "GET /readyz", "HTTP/1.1 503");
    assert_said(x, "GET /readyz", "urn:sluice:problem:draining");
    assert_said(x, "GET /readyz", "\r\nRetry-After: 1\r\n");
    assert_said(x, "GET /livez", "HTTP/1.1 200");
    /* The last answers are given in the turn in which the loop is told to stop. */
    assert_said(x, "POST /release", "releasing");
    receive(kept, &got);
    assert_contains(got.p, "HTTP/1.1 200");
    assert_string_equal(got.p + got.n - 4, "xxxx");
    assert_true(got.n > MUCH);
    assert_int_equal(wait_exit(x), 0);
    buf_fini(&got);
}

/* On a connection that is still open while the last answers leave. */
static void a_request_after_the_program_is_refused(void **state)
{
    static const char late[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *x = *state;
    struct buf text = {0};
    char piece[2048];

    start(x, "");
    int fd = send_text(x, late);
    assert_true(fd >= 0);
    assert_true(recv(fd, piece, sizeof piece, 0) > 0);
    send_signal(x, SIGTERM);
    struct mono until = mono_plus_ms(clock_mono(), PATIENCE_MS);
    do {
        assert_true(mono_since_ms(clock_mono(), until) > 0);
        moment();
        read_file(x->err, &text);
    } while (strstr(text.p, "the sample is gone") == NULL);
    assert_int_equal(send(fd, late, sizeof late - 1, MSG_NOSIGNAL), sizeof late - 1);
    receive(fd, &text);
    assert_contains(text.p, "HTTP/1.1 503");
    assert_contains(text.p, "urn:sluice:problem:unavailable"); /* no job of it goes on */
    assert_contains(text.p, "Nothing was accepted");
    assert_int_equal(wait_exit(x), 0);
    buf_fini(&text);
}

static void a_second_signal_stops_at_once(void **state)
{
    struct fixture *x = *state;
    struct buf got = {0};

    start(x, "ingress: {drain_s: 3600}\n");
    int kept = keep_one(x);
    send_signal(x, SIGTERM);
    wait_said(x, "GET /readyz", "HTTP/1.1 503");
    send_signal(x, SIGTERM);
    /* Answered by the program's stop. */
    receive(kept, &got);
    assert_contains(got.p, "HTTP/1.1 503");
    assert_contains(got.p, "urn:sluice:problem:draining");
    assert_int_equal(wait_exit(x), 1);
    assert_file_contains(x->err, "because=signal");
    buf_fini(&got);
}

static void an_endless_drain_ends(void **state)
{
    struct fixture *x = *state;
    struct buf got = {0};

    start(x, "ingress: {drain_s: 0}\n");
    int kept = keep_one(x);
    send_signal(x, SIGTERM);
    receive(kept, &got);
    assert_contains(got.p, "HTTP/1.1 503");
    assert_int_equal(wait_exit(x), 1);
    assert_file_contains(x->err, "because=overdue");
    buf_fini(&got);
}

/* --- reloading -------------------------------------------------------------------------------- */

static void a_changed_file_is_loaded(void **state)
{
    struct fixture *x = *state;

    start(x, "ingress: {drain_s: 3}\n");
    assert_said(x, "GET /drain_ms", "drain_ms=3000;");
    replace_config(x, "ingress: {drain_s: 45}\n");
    wait_said(x, "GET /drain_ms", "drain_ms=45000;");
    assert_said(x, "GET /metrics", "\nsluice_config_reloads_total 1\n");
    assert_file_contains(x->err, "id=config_reloaded");
    send_signal(x, SIGTERM);
    assert_int_equal(wait_exit(x), 0);
}

static void mistakes_keep_the_old_one(void **state)
{
    struct fixture *x = *state;

    start(x, "ingress: {drain_s: 3}\n");
    replace_config(x, "ingress: {drain_s: 45}\ncolour: red\nsize: big\n");
    send_signal(x, SIGHUP);
    wait_said(x, "GET /metrics", "\nsluice_config_reload_failures_total 1\n");
    assert_file_contains(x->err, "sluice.yaml:2: colour");
    assert_file_contains(x->err, "sluice.yaml:3: size");
    assert_file_contains(x->err, "id=config_kept");
    assert_said(x, "GET /drain_ms", "drain_ms=3000;");
    assert_said(x, "GET /metrics", "\nsluice_config_reloads_total 0\n");
    /* And it is watched on. */
    replace_config(x, "ingress: {drain_s: 46}\n");
    wait_said(x, "GET /drain_ms", "drain_ms=46000;");
    assert_said(x, "GET /metrics", "\nsluice_config_reload_failures_total 1\n");
    send_signal(x, SIGTERM);
    assert_int_equal(wait_exit(x), 0);
}

static void hangup_loads_again(void **state)
{
    struct fixture *x = *state;

    start(x, "");
    send_signal(x, SIGHUP);
    wait_said(x, "GET /metrics", "\nsluice_config_reloads_total 1\n");
    send_signal(x, SIGHUP);
    wait_said(x, "GET /metrics", "\nsluice_config_reloads_total 2\n");
}

static void a_crontab_is_watched(void **state)
{
    struct fixture *x = *state;
    char config[256];

    (void)snprintf(config, sizeof config, "crontabs: [%s]\n", x->crontab);
    write_file(x->crontab, "");
    start(x, config);
    write_file(x->crontab, "# nothing yet\n");
    wait_said(x, "GET /metrics", "\nsluice_config_reloads_total 1\n");
}

/* Keys that go away must not open what they closed. */
static void a_reload_cannot_open_the_door(void **state)
{
    struct fixture *x = *state;
    static const char keyed[] =
        "keys:\n  - {name: shop, scopes: [read], hash: \"sha256:"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}\n";

    (void)snprintf(x->listen, sizeof x->listen, "0.0.0.0:%u", x->port);
    start(x, keyed);
    replace_config(x, "keys: []\n");
    send_signal(x, SIGHUP);
    wait_said(x, "GET /metrics", "\nsluice_config_reload_failures_total 1\n");
    assert_file_contains(x->err, "is not a loopback address");
    assert_said(x, "GET /metrics", "\nsluice_config_reloads_total 0\n");
}

static void an_insecure_door_is_warned_of(void **state)
{
    struct fixture *x = *state;

    (void)snprintf(x->listen, sizeof x->listen, "0.0.0.0:%u", x->port);
    start(x, "ingress: {insecure_listen: true}\n");
    assert_file_contains(x->err, "level=warn id=listen_insecure");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(command_lines),
        CASE(check_says_every_mistake),
        CASE(a_start_that_fails_says_why),
        CASE(endpoints),
        CASE(other_methods_are_refused),
        CASE(not_ready_says_why),
        CASE(metrics_are_there),
        CASE(problems_carry_their_fields),
        CASE(refusals_are_problems),
        CASE(health_asks_readyz),
        CASE(stops_when_nothing_is_left),
        CASE(drains_what_it_has),
        CASE(a_request_after_the_program_is_refused),
        CASE(a_second_signal_stops_at_once),
        CASE(an_endless_drain_ends),
        CASE(a_changed_file_is_loaded),
        CASE(mistakes_keep_the_old_one),
        CASE(hangup_loads_again),
        CASE(a_crontab_is_watched),
        CASE(a_reload_cannot_open_the_door),
        CASE(an_insecure_door_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
