/* SPDX-License-Identifier: Apache-2.0 */
/* The load of tests/bench/run and compare: POSTs of one size over kept connections. Its own limit
 * is measured by a run against the sample tenant itself. */
#include "http/options.h"
#include "load.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct load_options o = {.address = "127.0.0.1:8080",
                             .path = "/call/sample/bench",
                             .connections = 64,
                             .body = 1024,
                             .seconds = 5,
                             .bound_s = 120};
    const char *key = NULL;
    bool is_async = false;
    char headers[512];
    const struct option_row rows[] = {
        {.name = "to", .help = "ADDR:PORT", .text = &o.address},
        {.name = "path", .help = "of every request; see --paths", .text = &o.path},
        {.name = "paths",
         .help = "a '*' in --path is a number below this, in turn",
         .number = &o.paths},
        {.name = "key", .help = "for Authorization: Bearer", .text = &key},
        {.name = "connections",
         .help = "each with one request at a time",
         .number = &o.connections},
        {.name = "body", .help = "bytes", .number = &o.body},
        {.name = "count", .help = "requests in all; 0: by --seconds", .number = &o.count},
        {.name = "seconds", .help = "for how long", .number = &o.seconds},
        {.name = "bound", .help = "seconds until it gives up", .number = &o.bound_s},
        {.name = "async", .help = "Prefer: respond-async", .flag = &is_async},
        {.name = "await", .help = "until the last jobs have succeeded", .flag = &o.awaits},
        {.name = NULL},
    };
    int rc = options_parse(rows, argc, argv);

    if (rc != 0) {
        return rc == ERR_CLOSED ? 0 : 2;
    }
    (void)snprintf(headers, sizeof headers, "%s%s%.256s%s",
                   is_async ? "Prefer: respond-async\r\n" : "",
                   key != NULL ? "Authorization: Bearer " : "", key != NULL ? key : "",
                   key != NULL ? "\r\n" : "");
    o.headers = headers;
    rc = load_run(&o);
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "sluice-bench-load: %s\n", err_text(rc));
    }
    return rc == ERR_OK ? 0 : 1;
}
