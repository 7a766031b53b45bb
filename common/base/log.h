/* SPDX-License-Identifier: Apache-2.0 */
/* log — one line an event, key=value, to stderr: ts level id … msg.
 *
 * `id` is stable (listed in sluice-log(7)); common/ logs at debug only, programs decide the rest.
 * Never blocks on a full pipe for long: a line that cannot be written is dropped and counted.
 * Secrets never go in. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The program's name, put into every line; `name` must live for ever. */
void log_init(const char *name, enum log_level least);

/* `id`: stable, snake_case. `format` gives further key=value pairs and the message, e.g.
 *     log_event(LOG_WARN, "broker_lost", "url=%s msg=\"%s\"", …);
 * Control characters of the result are replaced by '?'. Repeats of one id over 20 a second are
 * dropped and counted in the next line of that id. */
__attribute__((format(printf, 3, 4))) void log_event(enum log_level level, const char *id,
                                                     const char *format, ...);
