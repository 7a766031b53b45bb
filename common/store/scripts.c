/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scripts.h"

#include "base/fault.h"
#include "base/panic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FREE = false, WAITS = true };
enum { ONE = false, MANY = true };

/* Generated: static const unsigned char BASE_<NAME>[] and SCRIPT_<NAME>[]. */
#include "scripts_lua.h"

#define TEXT(array)                                                                                \
    {                                                                                              \
        (const char *)(array), sizeof(array)                                                       \
    }

static const struct {
    const char *name;
    const char *file;
    const char *flags; /* "allow-oom", or "" */
    struct str base;   /* what it stands on */
    struct str text;
    bool waits;
    bool is_for_many;
} SCRIPTS[] = {
#define SCRIPT(NAME, file, flags, kept, jobs, text)                                                \
    [STORE_##NAME] = {#NAME, file, flags, TEXT(BASE_##NAME), TEXT(SCRIPT_##NAME), kept, jobs},
#include "store/scripts.def"
#undef SCRIPT
};

struct str store_script_text(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return SCRIPTS[script].text;
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

static void write_text(struct str text, struct buf *ret)
{
    struct str line;

    while (text.n > 0 && str_cut(&text, '\n', &line)) {
        if (!is_broken(line)) {
            buf_str(ret, line);
        }
        buf_char(ret, '\n');
    }
}
#else
static void write_text(struct str text, struct buf *ret)
{
    buf_str(ret, text);
}
#endif

/* FNV-1a, 64 bits: tells versions apart, nobody gains by a collision. */
static uint64_t digest_of(struct str text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < text.n; i++) {
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

int store_script_function(enum store_script script, char ret[STORE_FUNCTION_SIZE])
{
    const char *file = SCRIPTS[script].file;
    struct buf whole = {0};

    store_script_write(script, "", &whole);
    bool is_whole = !buf_failed(&whole);
    uint64_t digest = is_whole ? digest_of(buf_as_str(&whole)) : 0;
    buf_fini(&whole);
    if (!is_whole) {
        return ERR_NOMEM;
    }
    int stem = (int)(strchr(file, '.') - file);
    (void)snprintf(ret, STORE_FUNCTION_SIZE, "sluice_%.*s_%016" PRIx64, stem, file, digest);
    return ERR_OK;
}

void store_script_write(enum store_script script, const char *function, struct buf *ret)
{
    const char *quote = SCRIPTS[script].flags[0] != '\0' ? "'" : "";

    CHECK(script < STORE_SCRIPTS);
    buf_printf(ret, "#!lua name=%s\nlocal KEYS, ARGV\n", function);
    write_text(SCRIPTS[script].base, ret);
    buf_text(ret, "local function one()\n");
    write_text(SCRIPTS[script].text, ret);
    buf_printf(ret,
               "end\nredis.register_function{function_name='%s', flags={%s%s%s}, "
               "callback=function(keys, args)\n"
               "KEYS, ARGV = keys, args\nreturn %s\nend}\n",
               function, quote, SCRIPTS[script].flags, quote,
               SCRIPTS[script].is_for_many ? "call_many(args, one)" : "call_one(one)");
}

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

bool store_script_is_for_many(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return SCRIPTS[script].is_for_many;
}
