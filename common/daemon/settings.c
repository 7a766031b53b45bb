/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings.h"

#include <stdlib.h>

const char *settings_name(const struct flags *f)
{
    return f->config == NULL ? "defaults and environment" : f->config;
}

const char *settings_listen(const struct daemon_program *p, const struct flags *f,
                            const struct config *c)
{
    return f->listen == NULL ? p->server(c).listen : f->listen;
}

/* Which section is the program's, only the program knows: it is the one whose text it handed out.
 */
static char **listen_slot(const struct daemon_program *p, struct config *c)
{
    char **slots[] = {&c->ingress.listen, &c->dispatcher.listen, &c->worker.listen};
    const char *its = p->server(c).listen;

    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        if (its != NULL && *slots[i] == its) {
            return slots[i];
        }
    }
    return NULL;
}

static int put_listen(const struct daemon_program *p, const struct flags *f, struct config *c)
{
    char **slot = f->listen == NULL ? NULL : listen_slot(p, c);

    if (slot == NULL) {
        return ERR_OK;
    }
    char *copy = str_dup(str_of(f->listen));
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    free(*slot);
    *slot = copy;
    return ERR_OK;
}

int settings_load(const struct daemon_program *p, const struct flags *f, struct config **ret,
                  struct buf *mistakes)
{
    struct config *c = NULL;
    int rc;

    rc = config_load(f->config, p->cron_check, &c, mistakes);
    if (rc != ERR_OK) {
        goto out;
    }
    rc = put_listen(p, f, c);
    if (rc != ERR_OK) {
        goto out;
    }
    *ret = c;
    c = NULL;
out:
    if (c != NULL) {
        config_free(c);
    }
    return rc;
}

enum exposure_verdict settings_judge(const struct flags *f, const struct config *c,
                                     const char *listen, struct buf *mistakes)
{
    enum exposure_verdict verdict =
        exposure_judge(listen, c->n_keys, c->ingress.is_insecure_listen);

    if (verdict == EXPOSURE_REFUSED) {
        buf_printf(mistakes,
                   "%s: keys: none, and %s is not a loopback address: make keys (sluice keys new), "
                   "or listen on 127.0.0.1, or, in a private network only, set "
                   "ingress.insecure_listen: true\n",
                   settings_name(f), listen);
    }
    return verdict;
}
