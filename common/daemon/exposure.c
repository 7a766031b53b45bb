/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/exposure.h"

#include "base/str.h"

#include <arpa/inet.h>

enum { HOST_SIZE = INET6_ADDRSTRLEN };

/* Splits "[::1]:80" into host "::1" and port "80". */
static int split(const char *listen, char host[HOST_SIZE], bool *ret_is_six, struct str *ret_port)
{
    const char *colon = strrchr(listen, ':');
    struct str h;

    if (colon == NULL) {
        return ERR_SYNTAX;
    }
    h = (struct str){listen, (size_t)(colon - listen)};
    bool is_six = h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (is_six) {
        h = (struct str){h.p + 1, h.n - 2};
    }
    if (h.n >= HOST_SIZE || (is_six && h.n == 0)) {
        return ERR_SYNTAX;
    }
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    *ret_is_six = is_six;
    *ret_port = str_of(colon + 1);
    return ERR_OK;
}

static bool set_four(const char *host, in_port_t port, struct exposure *e)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = port};

    if (host[0] != '\0' && inet_pton(AF_INET, host, &sa.sin_addr) != 1) {
        return false;
    }
    memcpy(&e->address, &sa, sizeof sa);
    e->address_len = sizeof sa;
    e->is_any = sa.sin_addr.s_addr == htonl(INADDR_ANY);
    e->is_loopback = ntohl(sa.sin_addr.s_addr) >> 24 == 127;
    return true;
}

static bool set_six(const char *host, in_port_t port, struct exposure *e)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = port};

    if (inet_pton(AF_INET6, host, &sa.sin6_addr) != 1) {
        return false;
    }
    memcpy(&e->address, &sa, sizeof sa);
    e->address_len = sizeof sa;
    e->is_any = IN6_IS_ADDR_UNSPECIFIED(&sa.sin6_addr);
    e->is_loopback = IN6_IS_ADDR_LOOPBACK(&sa.sin6_addr) ||
                     (IN6_IS_ADDR_V4MAPPED(&sa.sin6_addr) && sa.sin6_addr.s6_addr[12] == 127);
    return true;
}

int exposure_parse(const char *listen, struct exposure *ret)
{
    char host[HOST_SIZE];
    struct exposure e = {0};
    struct str port_text;
    uint64_t port;
    bool is_six;

    if (split(listen, host, &is_six, &port_text) != ERR_OK ||
        str_to_u64(port_text, 65535, &port) != ERR_OK || port == 0) {
        return ERR_SYNTAX;
    }
    in_port_t in_order = htons((uint16_t)port);
    bool is_set = is_six ? set_six(host, in_order, &e) : set_four(host, in_order, &e);
    if (!is_set) {
        return ERR_SYNTAX;
    }
    *ret = e;
    return ERR_OK;
}

enum exposure_verdict exposure_judge(const char *listen, size_t n_keys, bool is_insecure_allowed)
{
    struct exposure e;

    if (n_keys > 0) {
        return EXPOSURE_KEYED;
    }
    if (exposure_parse(listen, &e) == ERR_OK && e.is_loopback) {
        return EXPOSURE_LOOPBACK;
    }
    return is_insecure_allowed ? EXPOSURE_INSECURE : EXPOSURE_REFUSED;
}
