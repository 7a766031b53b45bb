/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scripts.h"

#include "base/fault.h"
#include "base/panic.h"

#include <stdio.h>

enum { FREE = false, WAITS = true };

/* Generated: static const unsigned char SCRIPT_<NAME>[]. */
#include "scripts_lua.h"

static const struct {
    const char *name;
    const unsigned char *bytes;
    size_t n;
    bool waits;
} SCRIPTS[] = {
#define SCRIPT(NAME, file, flags, kept, text)                                                      \
    [STORE_##NAME] = {#NAME, SCRIPT_##NAME, sizeof SCRIPT_##NAME, kept},
#include "store/scripts.def"
#undef SCRIPT
};

struct str store_script_text(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return (struct str){(const char *)SCRIPTS[script].bytes, SCRIPTS[script].n};
}

#ifdef SLUICE_FAULTS
static bool is_broken(struct str line)
{
    static const char mark[] = "-- BREAK:";
    char rule[64];
    const char *at = memmem(line.p, line.n, mark, sizeof mark - 1);

    if (at == NULL) {
        return false;
    }
    at += sizeof mark - 1;
    (void)snprintf(rule, sizeof rule, "%.*s", (int)(line.p + line.n - at), at);
    return fault_is_broken(rule);
}

void store_script_write(enum store_script script, struct buf *ret)
{
    struct str rest = store_script_text(script);
    struct str line;

    while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
        if (!is_broken(line)) {
            buf_str(ret, line);
        }
        buf_char(ret, '\n');
    }
}
#else
void store_script_write(enum store_script script, struct buf *ret)
{
    buf_str(ret, store_script_text(script));
}
#endif

const char *store_script_name(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return SCRIPTS[script].name;
}

bool store_script_waits(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return SCRIPTS[script].waits;
}
