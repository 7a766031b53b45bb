/* SPDX-License-Identifier: Apache-2.0 */
#include "http/options.h"
#include "http/until_signal.h"
#include "proxy/proxy.h"

#include <stdio.h>

static int run(const struct proxy_options *o)
{
    struct loop *l = NULL;
    struct proxy *p = NULL;
    int rc = loop_new(&l);

    if (rc == 0) {
        rc = proxy_new(l, o, &p);
    }
    if (rc == 0) {
        (void)fprintf(stderr, "proxy listens on %s for %s\n", o->listen, o->target);
        rc = run_until_signal(l);
    }
    proxy_free(p);
    loop_free(l);
    return rc;
}

int main(int argc, char **argv)
{
    struct proxy_options o = {
        .listen = "127.0.0.1:9101", .target = "127.0.0.1:9001", .direction = "answers"};
    const struct option_row rows[] = {
        {.name = "listen", .help = "ADDR:PORT", .text = &o.listen},
        {.name = "target", .help = "ADDR:PORT", .text = &o.target},
        {.name = "control", .help = "ADDR:PORT for /set, /cut, /stats ...", .text = &o.control},
        {.name = "direction", .help = "answers, requests or both", .text = &o.direction},
        {.name = "delay-ms", .help = "of every chunk", .number = &o.delay_ms},
        {.name = "ramp-ms-per-s", .help = "how fast it grows", .number = &o.ramp_ms_per_s},
        {.name = "max-ms", .help = "then it shrinks again", .number = &o.max_ms},
        {.name = "log", .help = "sizes of the conversation", .flag = &o.logs},
        {.name = NULL},
    };
    int rc = options_parse(rows, argc, argv);

    if (rc != 0) {
        return rc == ERR_CLOSED ? 0 : 2;
    }
    return run(&o) == 0 ? 0 : 1;
}
