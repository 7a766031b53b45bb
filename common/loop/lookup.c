/* SPDX-License-Identifier: Apache-2.0 */
/* libuv cannot call back a request that a thread of its pool works on: a freed lookup lives on,
 * without an owner, until that thread is done. */
#include "loop/lookup.h"

#include "loop/inside.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct loop_lookup {
    uv_getaddrinfo_t uv;
    loop_lookup_cb cb;
    void *arg;
    bool is_over;  /* libuv is done with the request */
    bool is_freed; /* its owner is */
};

static size_t gather(const struct addrinfo *list, struct loop_address to[LOOP_ADDRESSES])
{
    size_t n = 0;

    for (const struct addrinfo *a = list; a != NULL && n < LOOP_ADDRESSES; a = a->ai_next) {
        if (a->ai_addrlen <= sizeof to[n].at) {
            memcpy(&to[n].at, a->ai_addr, a->ai_addrlen);
            to[n].n = a->ai_addrlen;
            n++;
        }
    }
    return n;
}

static int verdict(int status, size_t n)
{
    if (status == 0) {
        return n > 0 ? ERR_OK : ERR_MISSING;
    }
    if (status == UV_EAI_MEMORY) {
        return ERR_NOMEM;
    }
    return status == UV_EAI_NONAME || status == UV_EAI_NODATA ? ERR_MISSING : ERR_DOWN;
}

static void on_found(uv_getaddrinfo_t *uv, int status, struct addrinfo *list)
{
    struct loop_lookup *x = uv->data;
    struct loop_address found[LOOP_ADDRESSES];
    size_t n = status == 0 ? gather(list, found) : 0;

    uv_freeaddrinfo(list);
    x->is_over = true;
    if (!x->is_freed) {
        loop_lookup_cb cb = x->cb;
        /* The callback may free it. */
        cb(verdict(status, n), found, n, x->arg);
    } else {
        free(x);
    }
}

int loop_lookup_new(struct loop *l, const char *host, const char *port, loop_lookup_cb cb,
                    void *arg, struct loop_lookup **ret)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct loop_lookup *x = calloc(1, sizeof *x);

    if (x == NULL) {
        return ERR_NOMEM;
    }
    x->uv.data = x;
    x->cb = cb;
    x->arg = arg;
    if (uv_getaddrinfo(loop_uv(l), &x->uv, on_found, host, port, &hints) != 0) {
        free(x);
        return ERR_NOMEM;
    }
    *ret = x;
    return ERR_OK;
}

void loop_lookup_free(struct loop_lookup *x)
{
    if (x == NULL) {
        return;
    }
    if (x->is_over) {
        free(x);
        return;
    }
    x->is_freed = true;
    /* If no thread has it yet; else it goes when the thread is done. Either way on_found runs. */
    (void)uv_cancel((uv_req_t *)&x->uv);
}

int loop_lookup_numeric(const char *host, const char *port, struct loop_address *ret)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct loop_address found[LOOP_ADDRESSES];
    struct addrinfo *list = NULL;

    if (getaddrinfo(host, port, &hints, &list) != 0) {
        return ERR_MISSING;
    }
    size_t n = gather(list, found);
    freeaddrinfo(list);
    if (n == 0) {
        return ERR_MISSING;
    }
    *ret = found[0];
    return ERR_OK;
}

void loop_address_text(const struct loop_address *a, char out[LOOP_ADDRESS_TEXT_SIZE])
{
    if (getnameinfo((const struct sockaddr *)&a->at, a->n, out, LOOP_ADDRESS_TEXT_SIZE, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        out[0] = '\0'; /* of a family that has no numeric form: it will be refused */
    }
}

int loop_address_port(const struct loop_address *a)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (a->at.ss_family == AF_INET6) {
        memcpy(&v6, &a->at, sizeof v6);
        return ntohs(v6.sin6_port);
    }
    memcpy(&v4, &a->at, sizeof v4);
    return ntohs(v4.sin_port);
}
