/* SPDX-License-Identifier: Apache-2.0 */
/* config_check FILE…: prints the mistakes of each, and "FILE: sound" for one without; exits 1 when
 * any has one. With --print first, prints the effective configuration of one file instead. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

static int check(const char *file, bool is_printed)
{
    struct config *c = NULL;
    struct buf out = {0};
    int rc = config_load(file, NULL, &c, &out);

    if (rc == ERR_OK && is_printed) {
        config_print(c, &out);
    } else if (rc == ERR_OK) {
        buf_printf(&out, "%s: sound\n", file);
    }
    (void)fputs(out.p == NULL ? err_text(rc) : out.p, stdout);
    buf_fini(&out);
    config_free(c);
    return rc;
}

int main(int argc, char **argv)
{
    bool is_printed = argc > 1 && strcmp(argv[1], "--print") == 0;
    int code = EXIT_SUCCESS;

    for (int i = is_printed ? 2 : 1; i < argc; i++) {
        if (check(argv[i], is_printed) != ERR_OK) {
            code = EXIT_FAILURE;
        }
    }
    return code;
}
