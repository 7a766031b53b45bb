/* SPDX-License-Identifier: Apache-2.0 */
/* json — a strict check of a whole JSON text (RFC 8259), and a walk over the raw members of what
 * passed it. Builds no tree: a body stays the bytes that stood in the text.
 *
 * Refused beyond the grammar: bytes that are not UTF-8, a byte order mark, NUL also as \u0000, lone
 * surrogates, a name twice in one object (compared unescaped), nesting over 64, numbers that are no
 * finite double. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum { JSON_DEPTH_MAX = 64 };

struct json_trouble {
    const char *what; /* static; continues "the document is not well-formed JSON: " */
    size_t at;        /* the byte, from 0 */
};

/* Returns 0, ERR_SYNTAX (then *ret says why), or ERR_NOMEM. O(n log n) time; memory for the names
 * of the objects that are open at one point, at most about four times the text. */
MUST_CHECK int json_check(struct str text, struct json_trouble *ret);

/* The rest is for texts that passed json_check only. */

/* The value without the white space around it. */
struct str json_trim(struct str text);
/* The members of an object's raw text, for json_next. */
struct str json_members(struct str object);
/* Cuts the next member off *rest: its name with quotes and escapes, and its value as it stands.
 * False at the end. */
bool json_next(struct str *rest, struct str *ret_name, struct str *ret_value);
/* Appends the characters of a raw string (with its quotes), escapes resolved. */
void json_unescape(struct str string, struct buf *out);
/* Whether the raw string's characters are `text`, which has at most 63 bytes. */
bool json_string_is(struct str string, struct str text);
