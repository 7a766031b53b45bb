/* SPDX-License-Identifier: Apache-2.0 */
#include "why.h"

#include "job/record.h"
#include "store/args.h"

/* As why.lua gives them. */
enum { STATE, DUE, ASKED, REASON, UNTIL, PLACE, NOTE };

static void print_text(struct buf *out, const char *member, struct str text)
{
    buf_printf(out, ",\"%s\":", member);
    if (text.n > 0) {
        buf_json_str(out, text);
    } else {
        buf_text(out, "null");
    }
}

static void print_until(const struct store_value *v, struct buf *out)
{
    char text[WALL_TEXT_SIZE] = "";

    if (store_word(v, UNTIL).n > 0) {
        wall_format((struct wall){store_number(v, UNTIL)}, text);
    }
    print_text(out, "until", str_of(text));
}

int why_print(const struct store_value *v, struct wall now, struct buf *out)
{
    /* The state that shows elsewhere, too. */
    const struct job_record_field fields[] = {{STR("st"), store_word(v, STATE)},
                                              {STR("due"), store_word(v, DUE)},
                                              {STR("q"), store_word(v, ASKED)}};
    enum job_state state;
    int rc = job_record_state(fields, sizeof fields / sizeof fields[0], now, &state);

    if (rc != ERR_OK) {
        return rc;
    }
    buf_printf(out, "{\"state\":\"%s\"", job_state_word(state));
    print_text(out, "reason", store_word(v, REASON));
    print_until(v, out);
    buf_text(out, ",\"place\":");
    buf_str(out, store_word(v, PLACE).n > 0 ? store_word(v, PLACE) : STR("null"));
    if (store_word(v, NOTE).n > 0) {
        print_text(out, "note", store_word(v, NOTE));
    }
    buf_char(out, '}');
    return ERR_OK;
}
