/* SPDX-License-Identifier: Apache-2.0 */
/* value — what single texts of the configuration may look like. Pure.
 *
 * A check returns NULL when the text is sound, else a sentence for the mistake (static). */
#pragma once

#include "base/buf.h"
#include "base/map.h"

typedef const char *(*value_check)(struct str text);

enum { VALUE_NAME_MAX = 64, VALUE_INSTANCE_NAME_MAX = 128 };

bool value_is_name(struct str s); /* [a-z0-9_-]{1,64} */
const char *value_name(struct str s);
const char *value_instance_name(struct str s);
const char *value_some(struct str s); /* 1 to 255 bytes, no control characters */
const char *value_broker_url(struct str s);
const char *value_store_url(struct str s);
const char *value_sentinel(struct str s);
const char *value_listen(struct str s);
const char *value_instance_url(struct str s); /* with or without its scheme */
const char *value_path(struct str s);         /* "/…", no query */
const char *value_target(struct str s);       /* "/…", a query may follow */
const char *value_header_name(struct str s);
/* Of a key whose part is not built: whatever it says is refused. */
const char *value_not_yet(struct str s);
const char *value_timezone(struct str s);
const char *value_key_hash(struct str s);

/* "host:port" of a sound instance URL; the port of its scheme when none is given. */
void value_origin(struct str url, struct buf *out);
/* A URL with the password replaced by ***. */
void value_redacted(struct str url, struct buf *out);
/* The bytes of "sha256:<64 hex digits>", which was checked. */
void value_hash(struct str text, unsigned char out[32]);

/* Names that are taken: makes `name` one of them, with "-2", "-3", … behind it when it was one
 * already, cut to `max` bytes. O(1) however often the same is asked for. Returns 0 or ERR_NOMEM. */
MUST_CHECK int value_take_name(struct map *taken, struct buf *name, size_t max);
