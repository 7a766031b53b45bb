/* SPDX-License-Identifier: Apache-2.0 */
#include "store/objects.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64 << 10, /* the room that is kept */
    ALIGN = 16
};

struct block {
    struct block *next; /* the one that was full before */
    size_t room;
    size_t used;
    _Alignas(ALIGN) char bytes[];
};

struct redis_objects {
    struct block *newest;
    struct block *kept; /* the first of them: BLOCK bytes */
    size_t roots;       /* replies, whole or half read */
    bool is_released;
};

struct object {
    redisReply reply; /* first: hiredis looks into it */
    struct redis_objects *owner;
    bool is_root;
};

#if HIREDIS_MAJOR >= 1
typedef size_t elements_t;
#else
typedef int elements_t;
#endif

static struct block *block_new(struct block *next, size_t room)
{
    struct block *b = room > SIZE_MAX - sizeof *b ? NULL : malloc(sizeof *b + room);

    if (b != NULL) {
        b->next = next;
        b->room = room;
        b->used = 0;
    }
    return b;
}

static void *take(struct redis_objects *o, size_t n)
{
    struct block *b = o->newest;

    if (n > b->room - b->used) {
        b = block_new(o->newest, n > BLOCK ? n : BLOCK);
        if (b == NULL) {
            return NULL;
        }
        o->newest = b;
    }
    void *taken = b->bytes + b->used;
    size_t next = b->used + (n + ALIGN - 1) / ALIGN * ALIGN;
    b->used = next < b->room ? next : b->room;
    return taken;
}

static void clear(struct redis_objects *o)
{
    while (o->newest != o->kept) {
        struct block *b = o->newest;
        o->newest = b->next;
        free(b);
    }
    o->kept->used = 0;
}

static void free_if_left(struct redis_objects *o)
{
    if (o->is_released && o->roots == 0) {
        clear(o);
        free(o->kept);
        free(o);
    }
}

/* more: bytes right behind the object that are its own. */
static struct object *add(const redisReadTask *task, size_t more)
{
    struct redis_objects *o = task->privdata;
    struct object *made =
        more > SIZE_MAX - sizeof *made - ALIGN ? NULL : take(o, sizeof *made + more);

    if (made == NULL) {
        return NULL;
    }
    *made =
        (struct object){.reply = {.type = task->type}, .owner = o, .is_root = task->parent == NULL};
    if (task->parent == NULL) {
        o->roots++;
    } else {
        redisReply *parent = task->parent->obj;
        parent->element[task->idx] = &made->reply;
    }
    return made;
}

static void *create_text(const redisReadTask *task, char *text, size_t n)
{
    struct object *made = n == SIZE_MAX ? NULL : add(task, n + 1);

    if (made == NULL) {
        return NULL;
    }
    made->reply.str = (char *)(made + 1);
    made->reply.len = n;
    memcpy(made->reply.str, text, n);
    made->reply.str[n] = '\0';
    return made;
}

static void *create_array(const redisReadTask *task, elements_t n)
{
    size_t room = (size_t)n * sizeof(redisReply *);
    struct object *made = (size_t)n > SIZE_MAX / sizeof(redisReply *) ? NULL : add(task, room);

    if (made == NULL) {
        return NULL;
    }
    made->reply.elements = (size_t)n;
    made->reply.element = (redisReply **)(void *)(made + 1);
    memset(made + 1, 0, room);
    return made;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct object *made = add(task, 0);

    if (made != NULL) {
        made->reply.integer = value;
    }
    return made;
}

/* The task's type is that of the text or the array that is not there. */
static void *create_nil(const redisReadTask *task)
{
    struct object *made = add(task, 0);

    if (made != NULL) {
        made->reply.type = REDIS_REPLY_NIL;
    }
    return made;
}

/* hiredis frees whole replies, and half read ones from their root. */
static void free_object(void *object)
{
    struct object *it = object;

    if (it == NULL || !it->is_root) {
        return;
    }
    struct redis_objects *o = it->owner;
    o->roots--;
    if (o->roots == 0) {
        clear(o);
    }
    free_if_left(o);
}

/* hiredis does not write it, nor does it say so. */
static redisReplyObjectFunctions FUNCTIONS = {.createString = create_text,
                                              .createArray = create_array,
                                              .createInteger = create_integer,
                                              .createNil = create_nil,
                                              .freeObject = free_object};

int redis_objects_new(struct redisReader *reader, struct redis_objects **ret)
{
    struct redis_objects *o = calloc(1, sizeof *o);

    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->kept = block_new(NULL, BLOCK);
    if (o->kept == NULL) {
        free(o);
        return ERR_NOMEM;
    }
    o->newest = o->kept;
    reader->fn = &FUNCTIONS;
    reader->privdata = o;
    *ret = o;
    return ERR_OK;
}

void redis_objects_release(struct redis_objects *o)
{
    if (o != NULL) {
        o->is_released = true;
        free_if_left(o);
    }
}
