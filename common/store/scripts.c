/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scripts.h"

#include "base/panic.h"

/* Generated: static const unsigned char SCRIPT_<NAME>[]. */
#include "scripts_lua.h"

static const struct {
    const char *name;
    const unsigned char *bytes;
    size_t n;
} SCRIPTS[] = {
#define SCRIPT(NAME, file, flags, text)                                                            \
    [STORE_##NAME] = {#NAME, SCRIPT_##NAME, sizeof SCRIPT_##NAME},
#include "store/scripts.def"
#undef SCRIPT
};

struct str store_script_text(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return (struct str){(const char *)SCRIPTS[script].bytes, SCRIPTS[script].n};
}

const char *store_script_name(enum store_script script)
{
    CHECK(script < STORE_SCRIPTS);
    return SCRIPTS[script].name;
}
