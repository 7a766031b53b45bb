/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHUNK = 64 << 10 };
/* What max_body_bytes may be set to, at most. */
static const size_t data_max = (size_t)512 << 20;

static int read_all(int fd, struct buf *ret)
{
    for (;;) {
        char *to = buf_reserve(ret, CHUNK);
        if (to == NULL) {
            return ERR_NOMEM;
        }
        ssize_t n = read(fd, to, CHUNK);
        if (n == 0) {
            return ERR_OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        ret->n += n > 0 ? (size_t)n : 0;
        if (ret->n > data_max) {
            return ERR_TOO_LARGE;
        }
    }
}

int data_read_file(const char *path, struct buf *ret, struct buf *why)
{
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        buf_printf(why, "%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    int rc = read_all(fd, ret);
    if (rc == ERR_IO) {
        buf_printf(why, "%s: %s", path, strerror(errno));
    } else if (rc != ERR_OK) {
        buf_printf(why, "%s: %s", path, err_text(rc));
    }
    if (!is_input) {
        (void)close(fd);
    }
    return rc;
}

int data_read(const char *value, struct buf *ret, struct buf *why)
{
    if (value[0] == '@') {
        return data_read_file(value + 1, ret, why);
    }
    buf_text(ret, value);
    return buf_failed(ret) ? ERR_NOMEM : ERR_OK;
}
