/* SPDX-License-Identifier: Apache-2.0 */
#include "note.h"

#include "config/node.h"

const char *note_expected(void)
{
    return "Expected {\"note\": \"…\"}, of 1000 bytes at most and without control characters.";
}

bool note_read(struct str body, struct buf *note)
{
    struct node *tree = NULL;
    struct buf why = {0};
    int line = 0;
    int rc = body.n == 0 ? ERR_OK : node_parse(body, &tree, &line, &why);
    const struct node *n = node_get(tree, "note");
    size_t n_known = n != NULL ? 1 : 0;
    bool is_empty = tree == NULL || tree->kind == NODE_NULL;

    if (n != NULL && n->kind == NODE_TEXT) {
        buf_str(note, node_text(n));
    }
    bool is_sound = rc == ERR_OK && (is_empty || (tree->kind == NODE_MAP && tree->n == n_known)) &&
                    (n == NULL || n->kind == NODE_TEXT || n->kind == NODE_NULL) &&
                    note->n <= NOTE_MAX;
    for (size_t i = 0; i < note->n; i++) {
        is_sound = is_sound && (unsigned char)note->p[i] >= 0x20 && note->p[i] != 0x7F;
    }
    node_free(tree);
    buf_fini(&why);
    return is_sound;
}
