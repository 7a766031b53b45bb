/* SPDX-License-Identifier: Apache-2.0 */
#include "live_server.h"

#include "base/str.h"
#include "store/url.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &n) == 0) {
        port = ntohs(at.sin_port);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return port;
}

static void exec_server(const struct live_server *v)
{
    char port[16];
    int null = open("/dev/null", O_RDWR);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(null, 0);
    (void)dup2(null, 1);
    (void)snprintf(port, sizeof port, "%d", v->port);
    (void)execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
                 v->directory, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                 "--maxmemory-policy", "noeviction", "--enable-debug-command", "yes", (char *)NULL);
    _exit(127);
}

bool live_server_run(struct live_server *v)
{
    const struct timespec pause = {0, 5000000};

    v->pid = fork();
    if (v->pid == 0) {
        exec_server(v);
    }
    for (int i = 0; i < 2000; i++) {
        if (live_server_do(v, "PING") == 0) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool live_server_start(struct live_server *v)
{
    const char *url = getenv("SLUICE_REDIS_URL");
    const char *pid = getenv("SLUICE_REDIS_PID");

    *v = (struct live_server){.pid = 0};
    if (url != NULL) {
        struct redis_url u;
        uint64_t number = 0;
        if (redis_url_parse(url, &u) != ERR_OK || str_to_u64(str_of(u.port), 65535, &number) != 0) {
            return false;
        }
        v->port = (int)number;
        (void)snprintf(v->url, sizeof v->url, "%s", url);
        if (pid != NULL && str_to_u64(str_of(pid), 1 << 22, &number) == 0) {
            v->pid = (pid_t)number;
        }
        return true;
    }
    v->port = free_port();
    (void)snprintf(v->url, sizeof v->url, "redis://localhost:%d/0", v->port);
    (void)snprintf(v->directory, sizeof v->directory, "/tmp/store_live_XXXXXX");
    return mkdtemp(v->directory) != NULL && live_server_run(v);
}

bool live_server_is_ours(const struct live_server *v)
{
    return v->directory[0] != '\0';
}

void live_server_kill(struct live_server *v)
{
    if (live_server_is_ours(v) && v->pid > 0) {
        (void)kill(v->pid, SIGKILL);
        (void)waitpid(v->pid, NULL, 0);
        v->pid = 0;
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void live_server_stop(struct live_server *v)
{
    if (live_server_is_ours(v)) {
        live_server_kill(v);
        (void)nftw(v->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

long long live_server_do(const struct live_server *v, const char *format, ...)
{
    const struct timeval limit = {5, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", v->port, limit);
    long long result = -1;
    va_list args;

    if (c != NULL && c->err == 0) {
        va_start(args, format);
        redisReply *r = redisvCommand(c, format, args);
        va_end(args);
        if (r != NULL && r->type == REDIS_REPLY_ERROR) {
            (void)fprintf(stderr, "%s: %s\n", format, r->str);
        } else if (r != NULL) {
            result = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
        }
        freeReplyObject(r);
    }
    redisFree(c);
    return result;
}

/* The proxy, a process of its own. */

enum { MAX_PAIRS = 32 };

struct pair {
    int client;
    int server;
    bool is_subscribed;
};

struct proxy {
    int listener;
    int signals; /* a pipe */
    int server_port;
    bool is_deaf;
    struct pair pairs[MAX_PAIRS];
    nfds_t n;
};

static int deafen_pipe = -1;

static void on_deafen(int signum)
{
    (void)signum;
    (void)!write(deafen_pipe, "x", 1);
}

static int at_port(int port, bool is_listening)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (is_listening) {
        return bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 16) == 0 ? fd : -1;
    }
    return connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ? fd : -1;
}

/* False at the end of the connection. */
static bool pump(int from, int to, struct pair *p, bool is_deaf)
{
    char bytes[65536];
    ssize_t n = read(from, bytes, sizeof bytes);

    if (n <= 0) {
        return false;
    }
    if (from == p->server && memmem(bytes, (size_t)n, "subscribe", 9) != NULL) {
        p->is_subscribed = true;
    }
    if (from == p->server && p->is_subscribed && is_deaf) {
        return true;
    }
    return send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void serve(struct proxy *x, struct pollfd *fds)
{
    for (nfds_t i = 0; i < x->n; i++) {
        struct pair *p = &x->pairs[i];
        bool is_up = true;
        if (fds[2 + 2 * i].revents != 0) {
            is_up = pump(p->client, p->server, p, x->is_deaf);
        }
        if (is_up && fds[3 + 2 * i].revents != 0) {
            is_up = pump(p->server, p->client, p, x->is_deaf);
        }
        if (!is_up) {
            (void)close(p->client);
            (void)close(p->server);
            x->pairs[i] = x->pairs[--x->n];
            return; /* the order has changed: poll again */
        }
    }
}

static void run_proxy(struct proxy *x)
{
    for (;;) {
        struct pollfd fds[2 + 2 * MAX_PAIRS] = {{x->listener, POLLIN, 0}, {x->signals, POLLIN, 0}};
        for (nfds_t i = 0; i < x->n; i++) {
            fds[2 + 2 * i] = (struct pollfd){x->pairs[i].client, POLLIN, 0};
            fds[3 + 2 * i] = (struct pollfd){x->pairs[i].server, POLLIN, 0};
        }
        if (poll(fds, 2 + 2 * x->n, -1) < 0) {
            continue;
        }
        x->is_deaf = x->is_deaf || fds[1].revents != 0;
        serve(x, fds);
        if (fds[0].revents != 0 && x->n < MAX_PAIRS) {
            int client = accept(x->listener, NULL, NULL);
            x->pairs[x->n++] = (struct pair){client, at_port(x->server_port, false), false};
        }
    }
}

bool live_proxy_start(const struct live_server *v, struct live_server *ret)
{
    struct proxy x = {.server_port = v->port};
    int ends[2];

    *ret = (struct live_server){.port = free_port()};
    x.listener = at_port(ret->port, /* is_listening= */ true);
    if (x.listener < 0 || pipe(ends) != 0) {
        return false;
    }
    x.signals = ends[0];
    deafen_pipe = ends[1];
    (void)snprintf(ret->url, sizeof ret->url, "redis://127.0.0.1:%d/0", ret->port);
    (void)signal(SIGUSR1, on_deafen); /* before the fork: no gap in the child */
    ret->pid = fork();
    if (ret->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_proxy(&x);
    }
    (void)signal(SIGUSR1, SIG_DFL);
    (void)close(x.listener);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return ret->pid > 0;
}

void live_proxy_deafen(const struct live_server *proxy)
{
    (void)kill(proxy->pid, SIGUSR1);
}

void live_proxy_stop(struct live_server *proxy)
{
    (void)kill(proxy->pid, SIGKILL);
    (void)waitpid(proxy->pid, NULL, 0);
}
