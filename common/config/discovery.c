/* SPDX-License-Identifier: Apache-2.0 */
/* A service becomes a tenant of the same keys, whose servers are its instances. Further keys of a
 * tenant are welcome in a service. */
#include "config/discovery.h"

#include "config/field.h"

#include <stdlib.h>

bool discovery_is(const struct node *root)
{
    if (root->kind != NODE_MAP || node_get(root, "tenants") != NULL) {
        return false;
    }
    for (const struct node *n = root->first; n != NULL; n = n->next) {
        if (strcmp(n->key, "meta-info") == 0 || node_get(n, "servers") != NULL) {
            return true;
        }
    }
    return false;
}

/* "My Service" becomes "my-service". */
static void map_name(const char *service, char out[VALUE_NAME_MAX + 1])
{
    size_t n = 0;

    for (; *service != '\0' && n < VALUE_NAME_MAX; service++) {
        char c = *service >= 'A' && *service <= 'Z' ? (char)(*service + ('a' - 'A')) : *service;
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        out[n++] = is_fine ? c : '-';
    }
    out[n] = '\0';
}

static void add(struct mistakes *m, struct node *parent, const char *key, struct node *child)
{
    if (node_add(parent, key, child) != ERR_OK) {
        m->is_out_of_memory = true;
    }
}

static void move(struct mistakes *m, struct node *from, struct node *child, struct node *to,
                 const char *key)
{
    node_take(from, child);
    add(m, to, key, child);
}

/* meta-info */

static void set_listen(struct mistakes *m, const struct path *path, const struct node *port,
                       const char *section, struct node *to)
{
    uint64_t number = 0;

    if (port->kind != NODE_NUMBER || str_to_u64(node_text(port), 65535, &number) != ERR_OK ||
        number == 0) {
        field_wrong_kind(m, path, port, "a port from 1 to 65535");
        return;
    }
    struct buf listen = {0};
    struct node *map = node_new(NODE_MAP, NULL, port->line);
    buf_printf(&listen, "127.0.0.1:%u", (unsigned int)number);
    if (map == NULL || buf_failed(&listen)) {
        node_free(map);
        m->is_out_of_memory = true;
    } else {
        add(m, map, "listen", node_new(NODE_TEXT, listen.p, port->line));
        add(m, to, section, map);
    }
    buf_fini(&listen);
}

static void translate_meta(struct mistakes *m, const struct node *meta, struct node *to)
{
    static const char *const names[] = {"discovery_server_name", "request_processor_name",
                                        "discovery_server_port", "request_processor_port", NULL};
    struct path path = {.key = "meta-info"};

    if (meta->kind != NODE_MAP) {
        field_wrong_kind(m, &path, meta, "a map");
        return;
    }
    for (const struct node *n = meta->first; n != NULL; n = n->next) {
        struct path step = {&path, n->key, 0};
        if (strcmp(n->key, names[2]) == 0) {
            set_listen(m, &step, n, "dispatcher", to);
        } else if (strcmp(n->key, names[3]) == 0) {
            set_listen(m, &step, n, "ingress", to);
        } else if (strcmp(n->key, names[0]) != 0 && strcmp(n->key, names[1]) != 0) {
            const char *near = mistake_nearest(str_of(n->key), names);
            mistake_add(m, &step, n->key_line, "unknown key%s%s%s", near ? "; did you mean " : "",
                        near ? near : "", near ? "?" : "");
        } else if (n->kind != NODE_TEXT) {
            field_wrong_kind(m, &step, n, "text");
        }
    }
}

/* services */

static void check_method(struct mistakes *m, const struct path *path, const struct node *polling)
{
    if (polling->kind == NODE_MAP && node_get(polling, "method") == NULL) {
        mistake_add(m, path, polling->line, "the key method is missing");
    }
}

/* One server of a map: its value is its polling, with the priority among it. */
static struct node *make_instance(struct mistakes *m, const struct path *path, struct node *server)
{
    struct node *instance = node_new(NODE_MAP, NULL, server->key_line);

    if (instance == NULL) {
        m->is_out_of_memory = true;
        return NULL;
    }
    add(m, instance, "url", node_new(NODE_TEXT, server->key, server->key_line));
    struct node *priority = node_get(server, "priority");
    if (priority != NULL) {
        move(m, server, priority, instance, "priority");
    }
    if (server->kind == NODE_MAP && server->n == 0) {
        return instance;
    }
    if (server->kind != NODE_NULL) {
        check_method(m, path, server);
    }
    return instance;
}

static void translate_server_map(struct mistakes *m, const struct path *path, struct node *servers,
                                 struct node *list)
{
    while (servers->first != NULL) {
        struct node *server = servers->first;
        struct path step = {path, server->key, 0};
        struct node *instance = make_instance(m, &step, server);
        node_take(servers, server);
        if (instance == NULL) {
            node_free(server);
            return;
        }
        if (server->kind == NODE_NULL || (server->kind == NODE_MAP && server->n == 0)) {
            node_free(server);
        } else {
            add(m, instance, "polling", server);
        }
        add(m, list, NULL, instance);
    }
}

/* A list of URLs; with a priority for all of them each becomes a map. */
static void translate_server_list(struct mistakes *m, struct node *servers, struct node *list)
{
    while (servers->first != NULL) {
        struct node *server = servers->first;
        if (server->kind != NODE_TEXT) {
            move(m, servers, server, list, NULL);
            continue;
        }
        struct node *instance = node_new(NODE_MAP, NULL, server->line);
        if (instance == NULL) {
            m->is_out_of_memory = true;
            return;
        }
        move(m, servers, server, instance, "url");
        add(m, list, NULL, instance);
    }
}

/* The service's own priority holds for the instances that have none. Says whether any has one. */
static bool spread_priority(struct mistakes *m, struct node *tenant, struct node *list)
{
    struct node *polling = node_get(tenant, "polling");
    struct node *shared = node_get(polling, "priority");
    bool is_any = shared != NULL;

    for (struct node *i = list->first; i != NULL; i = i->next) {
        if (node_get(i, "priority") != NULL) {
            is_any = true;
        } else if (shared != NULL && shared->kind == NODE_TEXT && i->kind == NODE_MAP) {
            add(m, i, "priority", node_new(NODE_TEXT, shared->text, shared->line));
        }
    }
    if (shared != NULL && shared->kind == NODE_TEXT) {
        node_take(polling, shared);
        node_free(shared);
    }
    return is_any;
}

static void translate_service(struct mistakes *m, const struct path *path, struct node *service)
{
    struct node *servers = node_get(service, "servers");
    struct node *polling = node_get(service, "polling");
    struct path at_servers = {path, "servers", 0};
    struct path at_polling = {path, "polling", 0};

    if (servers == NULL) {
        mistake_add(m, path, service->line, "the key servers is missing");
        return;
    }
    if ((servers->kind != NODE_LIST && servers->kind != NODE_MAP) || servers->n == 0) {
        field_wrong_kind(m, &at_servers, servers, "a list or map of servers that is not empty");
        node_take(service, servers);
        node_free(servers);
        return;
    }
    if (polling != NULL) {
        check_method(m, &at_polling, polling);
    }
    struct node *priority = node_get(service, "priority");
    if (priority != NULL) {
        struct path at_priority = {path, "priority", 0};
        mistake_add(m, &at_priority, priority->key_line,
                    "belongs into polling, of the service or of one server");
        node_take(service, priority);
        node_free(priority);
    }
    struct node *list = node_new(NODE_LIST, NULL, servers->line);
    if (list == NULL) {
        m->is_out_of_memory = true;
        return;
    }
    if (servers->kind == NODE_MAP) {
        translate_server_map(m, &at_servers, servers, list);
    } else {
        translate_server_list(m, servers, list);
    }
    if (spread_priority(m, service, list) && node_get(service, "balance") == NULL) {
        add(m, service, "balance", node_new(NODE_TEXT, "priority", servers->line));
    }
    add(m, service, "instances", list);
    node_take(service, servers);
    node_free(servers);
}

static void take_service(struct mistakes *m, struct node *service, struct node *tenants)
{
    char name[VALUE_NAME_MAX + 1];
    struct path path = {.key = service->key};

    map_name(service->key, name);
    if (node_get(tenants, name) != NULL) {
        mistake_add(m, &path, service->key_line, "another service is named %s, too", name);
    }
    if (service->kind != NODE_MAP) {
        field_wrong_kind(m, &path, service, "a map with servers, polling and apis");
        node_free(service);
        return;
    }
    translate_service(m, &path, service);
    add(m, tenants, name, service);
}

struct node *discovery_translate(struct mistakes *m, struct node *root)
{
    struct node *ours = node_new(NODE_MAP, NULL, root->line);
    struct node *tenants = node_new(NODE_MAP, NULL, root->line);

    if (ours == NULL || tenants == NULL) {
        node_free(ours);
        node_free(tenants);
        return NULL;
    }
    while (root->first != NULL) {
        struct node *n = root->first;
        node_take(root, n);
        if (strcmp(n->key, "meta-info") == 0) {
            translate_meta(m, n, ours);
            node_free(n);
        } else {
            take_service(m, n, tenants);
        }
    }
    add(m, ours, "tenants", tenants);
    return ours;
}
