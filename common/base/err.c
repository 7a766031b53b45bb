/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

struct err_row {
    const char *word;
    const char *text;
    enum err_class class;
};

static const struct err_row rows[] = {
#define ERR(name, word, class, text) {word, text, ERR_CLASS_##class},
#include "base/err.def"
#undef ERR
};

static const struct err_row *err_row(int err)
{
    static const struct err_row ok = {"ok", "no error", ERR_CLASS_NONE};
    static const struct err_row stray = {"bug", "an error outside its table", ERR_CLASS_BUG};

    if (err == ERR_OK) {
        return &ok;
    }
    if (err <= ERR_FIRST_ || err >= ERR_LAST_) {
        return &stray;
    }
    return &rows[err - ERR_FIRST_ - 1];
}

const char *err_word(int err)
{
    return err_row(err)->word;
}

const char *err_text(int err)
{
    return err_row(err)->text;
}

enum err_class err_class(int err)
{
    return err_row(err)->class;
}
