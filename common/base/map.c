/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with tombstones; rehashed when three quarters are used. */
#include "base/map.h"

#include <stdlib.h>

struct map_slot {
    char *key; /* NULL: empty, or a tombstone when is_grave */
    size_t key_n;
    uint64_t hash;
    void *value;
    bool is_grave;
};

enum { ROOM_MIN = 16 };

/* FNV-1a with a final mix. Keys here are names and ids that we drew or bounded ourselves, so that
 * flooding is no concern. */
static uint64_t hash_of(struct str key)
{
    uint64_t h = 1469598103934665603u;

    for (size_t i = 0; i < key.n; i++) {
        h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
    }
    return h ^ (h >> 29);
}

void map_fini(struct map *m)
{
    for (size_t i = 0; i < m->room; i++) {
        free(m->slots[i].key);
    }
    free(m->slots);
    *m = (struct map){0};
}

static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    if (m->room == 0) {
        return NULL;
    }
    for (size_t i = hash & (m->room - 1);; i = (i + 1) & (m->room - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->key == NULL && !s->is_grave) {
            return NULL;
        }
        if (s->key != NULL && s->hash == hash && str_is((struct str){s->key, s->key_n}, key)) {
            return s;
        }
    }
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = find(m, key, hash_of(key));

    return s == NULL ? NULL : s->value;
}

/* Returns whether a slot that was empty, not a grave, was taken. */
static bool place(struct map_slot *slots, size_t room, struct map_slot slot)
{
    size_t i = slot.hash & (room - 1);

    while (slots[i].key != NULL) {
        i = (i + 1) & (room - 1);
    }
    bool was_empty = !slots[i].is_grave;
    slots[i] = slot;
    slots[i].is_grave = false;
    return was_empty;
}

static int rehash(struct map *m, size_t room)
{
    struct map_slot *slots = calloc(room, sizeof *slots);

    if (slots == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < m->room; i++) {
        if (m->slots[i].key != NULL) {
            (void)place(slots, room, m->slots[i]);
        }
    }
    free(m->slots);
    m->slots = slots;
    m->room = room;
    m->used = m->n;
    return ERR_OK;
}

/* Keeps a quarter of the slots truly empty, so that find() ends. */
static int make_room(struct map *m)
{
    if (m->room == 0) {
        return rehash(m, ROOM_MIN);
    }
    if ((m->used + 1) * 4 <= m->room * 3) {
        return ERR_OK;
    }
    return rehash(m, (m->n + 1) * 2 > m->room ? m->room * 2 : m->room);
}

int map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = hash_of(key);
    struct map_slot *s = find(m, key, hash);

    if (s != NULL) {
        s->value = value;
        return ERR_OK;
    }
    int rc = make_room(m);
    if (rc != ERR_OK) {
        return rc;
    }
    char *copy = str_dup(key);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    m->used += place(m->slots, m->room, (struct map_slot){copy, key.n, hash, value, false}) ? 1 : 0;
    m->n++;
    return ERR_OK;
}

void *map_remove(struct map *m, struct str key)
{
    struct map_slot *s = find(m, key, hash_of(key));

    if (s == NULL) {
        return NULL;
    }
    void *value = s->value;
    free(s->key);
    *s = (struct map_slot){.is_grave = true};
    m->n--;
    return value;
}

bool map_next(const struct map *m, size_t *cursor, struct str *ret_key, void **ret_value)
{
    for (; *cursor < m->room; ++*cursor) {
        struct map_slot *s = &m->slots[*cursor];
        if (s->key != NULL) {
            *ret_key = (struct str){s->key, s->key_n};
            *ret_value = s->value;
            ++*cursor;
            return true;
        }
    }
    return false;
}
