/* SPDX-License-Identifier: Apache-2.0 */
#include "http/options.h"
#include "http/until_signal.h"
#include "tenant/tenant.h"

#include <stdio.h>

static int run(const struct tenant_options *o)
{
    struct loop *l = NULL;
    struct tenant *t = NULL;
    int rc = loop_new(&l);

    if (rc == 0) {
        rc = tenant_new(l, o, &t);
    }
    if (rc == 0) {
        (void)fprintf(stderr, "tenant %s listens on %s\n", o->name, o->listen);
        rc = run_until_signal(l);
    }
    tenant_free(t);
    loop_free(l);
    return rc;
}

int main(int argc, char **argv)
{
    struct tenant_options o = {.listen = "127.0.0.1:9001", .name = "sample"};
    const struct option_row rows[] = {
        {.name = "listen", .help = "ADDR:PORT", .text = &o.listen},
        {.name = "control", .help = "a second ADDR:PORT for /control", .text = &o.control},
        {.name = "ledger", .help = "the file of receipts", .text = &o.ledger},
        {.name = "name", .help = "the instance's name", .text = &o.name},
        {.name = "limit", .help = "calls at a time; more are dropped", .number = &o.limit},
        {.name = NULL},
    };
    int rc = options_parse(rows, argc, argv);

    if (rc != 0) {
        return rc == ERR_CLOSED ? 0 : 2;
    }
    return run(&o) == 0 ? 0 : 1;
}
