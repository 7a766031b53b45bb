/* SPDX-License-Identifier: Apache-2.0 */
#include "http/until_signal.h"

#include <signal.h>

static void on_signal(int signum, void *arg)
{
    (void)signum;
    loop_stop(arg);
}

int run_until_signal(struct loop *l)
{
    struct loop_signal *terminate = NULL;
    struct loop_signal *interrupt = NULL;
    int rc = loop_signal_new(l, SIGTERM, on_signal, l, &terminate);

    if (rc == 0) {
        rc = loop_signal_new(l, SIGINT, on_signal, l, &interrupt);
    }
    if (rc == 0) {
        loop_run(l);
    }
    loop_signal_free(terminate);
    loop_signal_free(interrupt);
    return rc;
}
