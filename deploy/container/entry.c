/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-entry — what a container of the image begins with: it becomes the program that its
 * arguments name, with SIGTERM and SIGINT waiting. The kernel throws away what process 1 of a
 * container has no handler for, unless it is blocked; and until a daemon can block it, the loader
 * has put two dozen libraries together, which takes a busy machine long enough for a `docker stop`
 * to be lost, and the container to be killed at the end of its grace.
 *
 * Linked statically: there is nothing to load. A daemon lets the signals in when it has its
 * handlers. Process 1 only, since any other would be ended by them as it should; daemons only,
 * since the others hold nothing back and may want to hear them. */
#include "daemons.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_NOT_FOUND = 127 };

static void hold_stop_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: sluice-entry PROGRAM [ARGUMENT…]\n");
        return EXIT_NOT_FOUND;
    }
    if (getpid() == 1 && daemons_has(argv[1])) {
        hold_stop_signals();
    }
    (void)execvp(argv[1], argv + 1);
    (void)fprintf(stderr, "sluice-entry: %s: %s\n", argv[1], strerror(errno));
    return EXIT_NOT_FOUND;
}
