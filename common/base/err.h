/* SPDX-License-Identifier: Apache-2.0 */
/* err — the errors of the whole project: functions return 0 or a negative enum err.
 *
 * The table is err.def; the class of an error is data, so that retry policy never switches on
 * names. */
#pragma once

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    ERR_OK = 0,
    ERR_FIRST_ = -1000,
#define ERR(name, word, class, text) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_LAST_
};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_RETRY,
    ERR_CLASS_PERMANENT,
    ERR_CLASS_REFUSED,
    ERR_CLASS_BUG
};

/* The stable word of an error ("timeout"), for logs and documents. Static; never NULL. */
const char *err_word(int err);

/* A sentence fragment for people. Static; never NULL. */
const char *err_text(int err);

enum err_class err_class(int err);
