/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

enum { NEAR = 2, LEFT = 26 };

#define FLAGS(table)                                                                               \
    {                                                                                              \
        (table), sizeof(table) / sizeof(table)[0]                                                  \
    }
#define KEY_FLAG                                                                                   \
    {                                                                                              \
        "--idempotency-key", "--key-id", 0, FLAG_TEXT, "KEY",                                      \
            "the same key is the same job: a repetition has no second effect"                      \
    }
#define DATA_FLAG                                                                                  \
    {                                                                                              \
        "--data", NULL, 'd', FLAG_TEXT, "TEXT|@FILE",                                              \
            "the request's body; @FILE reads a file, @- standard input"                            \
    }
#define HEADER_FLAG                                                                                \
    {                                                                                              \
        "--header", NULL, 'H', FLAG_TEXT, "'NAME: VALUE'",                                         \
            "a field for the tenant; may be repeated"                                              \
    }
#define HEAD_FLAG                                                                                  \
    {                                                                                              \
        "--include", NULL, 'i', FLAG_SWITCH, NULL, "print the answer's status and head, too"       \
    }

static const struct flag common_flags[] = {
    {"--ingress", NULL, 0, FLAG_TEXT, "URL", "where jobs are taken ($SLUICE_INGRESS_URL)"},
    {"--dispatcher", NULL, 0, FLAG_TEXT, "URL",
     "where tenants and schedules are told ($SLUICE_DISPATCHER_URL)"},
    {"--key", NULL, 0, FLAG_TEXT, "TOKEN",
     "the API key; rather set $SLUICE_KEY, which nobody else sees"},
    {"--json", NULL, 0, FLAG_SWITCH, NULL, "print the server's JSON as it is"},
    {"--help", NULL, 'h', FLAG_SWITCH, NULL, "print help and exit"},
    {"--version", NULL, 0, FLAG_SWITCH, NULL, "print the version and exit"},
};

static const struct flag call_flags[] = {
    DATA_FLAG,
    HEADER_FLAG,
    {"--async", NULL, 0, FLAG_SWITCH, NULL, "do not wait for the answer: print the job's id"},
    {"--wait", NULL, 0, FLAG_COUNT, "SECONDS",
     "the answer if it comes in that time, else the job's id and exit 6"},
    {"--timeout", NULL, 0, FLAG_SECONDS, "SECONDS", "hang up after that time (300)"},
    KEY_FLAG,
    HEAD_FLAG,
};

static const struct flag submit_flags[] = {
    {"--method", NULL, 'X', FLAG_TEXT, "METHOD", "POST unless given"},
    DATA_FLAG,
    {"--data-file", NULL, 0, FLAG_TEXT, "FILE",
     "the request's body from a file, - from standard input"},
    HEADER_FLAG,
    KEY_FLAG,
    {"--ordering-key", NULL, 0, FLAG_TEXT, "KEY", "jobs of the same key run one after the other"},
    {"--priority", NULL, 0, FLAG_TEXT, "high|normal|low", "served 8:3:1; normal unless given"},
    {"--delay", NULL, 0, FLAG_SECONDS, "SECONDS", "start it that much later"},
    {"--ttl", NULL, 0, FLAG_SECONDS, "SECONDS", "do not start it later than that from now"},
    {"--timeout", NULL, 0, FLAG_SECONDS, "SECONDS", "how long one attempt may take"},
    {"--label", NULL, 0, FLAG_TEXT, "NAME=VALUE", "may be repeated"},
    {"--max-attempts", NULL, 0, FLAG_COUNT, "N", "send it at most that often"},
    {"--file", NULL, 0, FLAG_TEXT, "FILE",
     "the whole job as a JSON document, - from standard input"},
    {"--wait", NULL, 0, FLAG_SECONDS, "SECONDS", "wait that long for its end, as wait does"},
};

static const struct flag wait_flags[] = {
    {"--timeout", NULL, 0, FLAG_SECONDS, "SECONDS",
     "give up after that time and exit 6; without it, never"},
};

static const struct flag result_flags[] = {HEAD_FLAG};

static const struct flag resolve_flags[] = {
    {"--note", NULL, 0, FLAG_TEXT, "TEXT", "why; kept with the job"},
};

static const struct flag dead_flags[] = {
    {"--tenant", NULL, 0, FLAG_TEXT, "NAME", "whose dead letters"},
    {"--state", NULL, 0, FLAG_TEXT, "STATE",
     "failed or in_doubt; a redrive takes failed unless given"},
    {"--error", NULL, 0, FLAG_TEXT, "WORD", "only with this error, as attempts_used_up"},
    {"--label", NULL, 0, FLAG_TEXT, "NAME=VALUE", "only with this label"},
    {"--after", NULL, 0, FLAG_TEXT, "TIME",
     "only what died then or later, as 2026-03-29T01:00:00Z"},
    {"--before", NULL, 0, FLAG_TEXT, "TIME", "only what died before then"},
    {"--limit", NULL, 0, FLAG_COUNT, "N", "no more than that many; list: 100"},
    {"--cursor", NULL, 0, FLAG_TEXT, "TEXT", "go on where an earlier one ended"},
    {"--dry-run", NULL, 0, FLAG_SWITCH, NULL, "redrive: count, and change nothing"},
};

static const struct flag tenants_flags[] = {
    {"--file", NULL, 'f', FLAG_TEXT, "FILE",
     "put, add: the document, YAML or JSON; - from standard input"},
    {"--concurrency", NULL, 0, FLAG_COUNT, "N", "add: calls at once; without it no limit"},
    {"--ttl", NULL, 0, FLAG_SECONDS, "SECONDS",
     "add: it leaves unless it is added again in that time"},
    {"--priority", NULL, 0, FLAG_TEXT, "high|med|low", "add: for balance: priority"},
    {"--weight", NULL, 0, FLAG_WHOLE, "N", "add: for balance: weighted; 0: no calls"},
    {"--region", NULL, 0, FLAG_TEXT, "NAME", "add: for balance: region"},
    {"--note", NULL, 0, FLAG_TEXT, "TEXT", "pause: why; everybody sees it"},
    {"--dry-run", NULL, 0, FLAG_SWITCH, NULL, "restore: show what would be put back"},
    {"--discard", NULL, 0, FLAG_SWITCH, NULL, "restore: forget what the store has lost"},
};

static const struct flag schedules_flags[] = {
    {"--note", NULL, 0, FLAG_TEXT, "TEXT", "pause: why; everybody sees it"},
    {"--idempotency-key", "--key-id", 0, FLAG_TEXT, "KEY", "run: the same key is the same job"},
    {"--all-ahead", NULL, 0, FLAG_SWITCH, NULL, "rewind: each that waits for the clock"},
    {"--from", NULL, 0, FLAG_TEXT, "TIME",
     "backfill: the first time; preview: only what is later (now)"},
    {"--until", NULL, 0, FLAG_TEXT, "TIME", "backfill, preview: only what is earlier"},
    {"--timezone", NULL, 0, FLAG_TEXT, "ZONE", "preview: of the expressions (UTC)"},
    {"--count", NULL, 0, FLAG_COUNT, "N", "preview: at most that many (10)"},
    {"--dst-gap", NULL, 0, FLAG_TEXT, "run_after|skip",
     "preview: times that the clock jumps over (run_after)"},
    {"--dst-overlap", NULL, 0, FLAG_TEXT, "once|twice", "preview: times that come twice (once)"},
    {"--exclude", NULL, 0, FLAG_TEXT, "EXPRESSION", "preview: not at these; may be repeated"},
    {"--start", NULL, 0, FLAG_TEXT, "TIME", "preview: as of a schedule"},
    {"--end", NULL, 0, FLAG_TEXT, "TIME", "preview: as of a schedule"},
};

static const struct flag crontab_flags[] = {
    {"--config", NULL, 0, FLAG_TEXT, "FILE", "its tenants are those that the entries may name"},
    {"--next", NULL, 0, FLAG_WHOLE, "N", "print the next N times of each entry, in UTC and local"},
};

static const struct flag keys_flags[] = {
    {"--name", NULL, 0, FLAG_TEXT, "NAME", "what logs call the key; made up unless given"},
    {"--scopes", NULL, 0, FLAG_TEXT, "LIST", "of submit, read and admin, by commas (submit,read)"},
    {"--tenant", NULL, 0, FLAG_TEXT, "NAME", "only for this tenant; may be repeated"},
};

const struct flags help_common = FLAGS(common_flags);

const struct command help_commands[] = {
    {"call", call_run, "TENANT [METHOD] PATH", 2, 3, FLAGS(call_flags),
     "send a request to a tenant and print its answer",
     "METHOD is GET, or POST with --data. JSON data goes out as application/json unless a header\n"
     "says otherwise. The tenant's body goes to standard output as it is.\n"},
    {"submit", submit_run, "TENANT PATH | --file FILE", 0, 2, FLAGS(submit_flags),
     "hand in a job and print its id",
     "JSON data goes out as application/json unless a header says otherwise.\n"},
    {"status",
     job_status,
     "ID",
     1,
     1,
     {NULL, 0},
     "show a job",
     "Exits 0 whatever the job's state is; wait --timeout 0 exits by it.\n"},
    {"why",
     job_why,
     "ID",
     1,
     1,
     {NULL, 0},
     "say why a job is not running",
     "The reason is what a worker would be told now; - when nothing keeps it.\n"},
    {"wait", job_wait, "ID", 1, 1, FLAGS(wait_flags), "wait for a job's end, then show it",
     "A server that is away meanwhile is asked again for half a minute.\n"},
    {"result", job_result, "ID", 1, 1, FLAGS(result_flags),
     "print the tenant's answer to a job as it is", NULL},
    {"cancel", job_cancel, "ID", 1, 1, {NULL, 0}, "cancel a job that has not started", NULL},
    {"retry", job_retry, "ID", 1, 1, {NULL, 0}, "run a failed or in-doubt job again", NULL},
    {"resolve", job_resolve, "ID succeeded|failed|retry", 2, 2, FLAGS(resolve_flags),
     "settle an in-doubt job by hand", NULL},
    {"dead", dead_run, "list|show|redrive|drop [ID]", 1, 2, FLAGS(dead_flags),
     "list dead letters, show one, run them again, drop one",
     "list --tenant NAME [filters]     what is in doubt, or failed with its attempts used up\n"
     "show ID                          every attempt, the request, what can be done\n"
     "redrive ID                       run it again\n"
     "redrive --tenant NAME [filters]  run all that fit again; --dry-run counts them first\n"
     "drop ID                          it stays failed, and nobody can run it again\n"
     "With --json one request is made and its answer printed; its cursor goes into --cursor.\n"},
    {"tenants", tenants_run, "[list|show|put|delete|pause|resume|add|remove|drain|restore] …", 0, 4,
     FLAGS(tenants_flags), "list the tenants and their load; change them while work runs",
     "list                            all of them; also without a word\n"
     "show TENANT                     its instances and settings\n"
     "put TENANT -f FILE              its document, as in the configuration\n"
     "delete TENANT                   when it was put and has no unended jobs\n"
     "pause TENANT [--note TEXT]      start nothing more of it\n"
     "resume TENANT                   go on\n"
     "add TENANT INSTANCE URL         add an instance, or refresh or change it\n"
     "drain TENANT INSTANCE           it finishes what it has and gets no more; add undoes it\n"
     "remove TENANT INSTANCE          take it out at once\n"
     "restore [--dry-run|--discard]   put back what the store has lost\n"
     "With --json the server's document.\n"},
    {"schedules", schedules_run, "[ACTION] …", 0, 101, FLAGS(schedules_flags),
     "list the schedules; change, run and preview them",
     "list                                all of them; also without a word\n"
     "show NAME                           its state, times and settings\n"
     "put NAME FILE                       its document, as in the configuration; - from standard "
     "input\n"
     "delete NAME                         when it was put\n"
     "pause NAME [--note TEXT]            fire nothing more; times that pass are not made up\n"
     "resume NAME                         go on with the next time\n"
     "run NAME                            one job of it now, also when paused; prints the job's "
     "id\n"
     "backfill NAME --from T --until T    a job for each time from T to before T that did not "
     "fire\n"
     "history NAME                        its last fires and what became of them\n"
     "preview EXPRESSION… [--timezone Z]  when it would fire, one time a line\n"
     "Quote expressions. Times are given as 2026-03-29T01:00:00Z and shown in UTC. With --json "
     "the\n"
     "server's document.\n"},
    {"crontab", crontab_run, "check FILE|-", 1, 2, FLAGS(crontab_flags),
     "check a crontab: every mistake with its line",
     "Asks no server. Mistakes are printed as FILE:LINE: what, and it exits 3.\n"},
    {"health", overview_health, "", 0, 0, {NULL, 0}, "show the dispatcher's health", NULL},
    {"keys", keys_run, "new", 1, 1, FLAGS(keys_flags),
     "make an API key: its token, and its entry for the configuration",
     "Asks no server. Only the hash goes into the configuration; the token is shown this once.\n"},
};
const size_t help_n_commands = sizeof help_commands / sizeof help_commands[0];

const struct command *help_find(struct str name)
{
    for (size_t i = 0; i < help_n_commands; i++) {
        if (str_is(str_of(help_commands[i].name), name)) {
            return &help_commands[i];
        }
    }
    return NULL;
}

const char *help_nearest(struct str name)
{
    const char *nearest = NULL;
    size_t nearest_by = NEAR + 1;

    for (size_t i = 0; i < help_n_commands; i++) {
        size_t by = args_distance(name, str_of(help_commands[i].name));
        if (by < nearest_by) {
            nearest = help_commands[i].name;
            nearest_by = by;
        }
    }
    return nearest;
}

static void print_row(const char *left, const char *right, struct buf *out)
{
    if (strlen(left) > LEFT) {
        buf_printf(out, "  %s\n  %-*s  %s\n", left, LEFT, "", right);
    } else {
        buf_printf(out, "  %-*s  %s\n", LEFT, left, right);
    }
}

static void print_flag(const struct flag *f, struct buf *out)
{
    struct buf left = {0};

    if (f->letter != 0) {
        buf_printf(&left, "-%c, ", f->letter);
    }
    buf_printf(&left, "%s%s%s", f->name, f->value == NULL ? "" : " ",
               f->value == NULL ? "" : f->value);
    print_row(left.p == NULL ? "" : left.p, f->help, out);
    buf_fini(&left);
}

static void print_flags(const char *title, struct flags flags, struct buf *out)
{
    if (flags.n > 0) {
        buf_printf(out, "\n%s\n", title);
    }
    for (size_t i = 0; i < flags.n; i++) {
        print_flag(&flags.at[i], out);
    }
}

static void print_exits(struct buf *out)
{
    static const struct {
        int code;
        const char *text;
    } exits[] = {
#define EXIT(NAME, code, text) {code, text},
#include "exit.def"
#undef EXIT
    };

    buf_text(out, "\nExit status:\n");
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        buf_printf(out, "  %d  %s\n", exits[i].code, exits[i].text);
    }
    buf_text(out, "  128 + N  ended by signal N; a job that was handed in goes on\n");
}

void help_print(struct buf *out)
{
    buf_text(out, "Usage: sluice [FLAG...] COMMAND [FLAG...] [WORD...]\n\nCommands:\n");
    for (size_t i = 0; i < help_n_commands; i++) {
        print_row(help_commands[i].name, help_commands[i].help, out);
    }
    print_flags("Flags of every command:", help_common, out);
    print_exits(out);
    buf_text(out, "\nsluice COMMAND --help tells more; so does man sluice.\n");
}

void help_print_command(const struct command *k, struct buf *out)
{
    buf_printf(out, "Usage: sluice %s%s%s%s\n\n%s\n", k->name, k->words[0] == '\0' ? "" : " ",
               k->words, " [FLAG...]", k->help);
    if (k->more != NULL) {
        buf_printf(out, "%s", k->more);
    }
    print_flags("Flags:", k->flags, out);
    print_flags("Flags of every command:", help_common, out);
    print_exits(out);
}
