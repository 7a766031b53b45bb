/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-health — the HEALTHCHECK of the image, which holds three daemons and cannot know which of
 * them a container runs, nor where it listens. Process 1 is the daemon: its command line with
 * --health at the end asks it by its own name and with its own arguments. */
#include "daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Plenty: the daemons take a handful of short arguments. */
enum { MOST_BYTES = 16384, MOST_WORDS = 256, EXIT_ILL = 1 };

/* The command line of process 1, each word ended by a NUL; 0: it cannot be had whole. */
static size_t read_line(char *line)
{
    size_t n = 0;
    ssize_t got = 1;
    int fd = open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && got > 0 && n < MOST_BYTES) {
        got = read(fd, line + n, MOST_BYTES - n);
        n += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return got == 0 && n > 0 && line[n - 1] == '\0' ? n : 0;
}

/* The words of the line and the option; false: too many. */
static bool split(char *line, size_t n, char *option, char *words[MOST_WORDS])
{
    size_t count = 0;

    for (char *p = line; p < line + n; p += strlen(p) + 1) {
        if (count + 2 >= MOST_WORDS) {
            return false;
        }
        words[count++] = p;
    }
    words[count++] = option;
    words[count] = NULL;
    return true;
}

int main(void)
{
    char line[MOST_BYTES];
    char option[] = "--health";
    char *words[MOST_WORDS];
    size_t n = read_line(line);

    if (n == 0 || !split(line, n, option, words)) {
        (void)fprintf(stderr, "sluice-health: the command line of process 1 cannot be read\n");
    } else if (!daemons_has(words[0])) {
        (void)fprintf(stderr, "sluice-health: process 1 is %s, which is no daemon of Sluice\n",
                      words[0]);
    } else {
        (void)execvp(words[0], words);
        (void)fprintf(stderr, "sluice-health: %s: %s\n", words[0], strerror(errno));
    }
    return EXIT_ILL;
}
