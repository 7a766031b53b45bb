/* SPDX-License-Identifier: Apache-2.0 */
/* job_check FILE… — judges each as POST /v1/jobs would: prints "FILE: sound" or why not. Exits 0
 * when all are sound, 1 when one is not, 2 when it could not judge. */
#include "base/clock.h"
#include "job/document.h"

#include <stdio.h>

static int read_file(const char *path, struct buf *ret)
{
    FILE *f = fopen(path, "rb");
    char bytes[4096];
    size_t n;

    if (f == NULL) {
        return ERR_IO;
    }
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0) {
        buf_add(ret, bytes, n);
    }
    int rc = ferror(f) != 0 ? ERR_IO : buf_failed(ret) ? ERR_NOMEM : ERR_OK;
    (void)fclose(f); /* read only */
    return rc;
}

static int judge(const char *path)
{
    struct job_document d = {0};
    struct buf text = {0};
    struct buf why = {0};

    int rc = read_file(path, &text);
    if (rc == ERR_OK) {
        rc = job_document_parse(buf_as_str(&text), clock_wall().ms, &d, &why);
    }
    (void)printf("%s: %s\n", path, rc == ERR_OK ? "sound" : why.n > 0 ? why.p : err_text(rc));
    job_document_fini(&d);
    buf_fini(&text);
    buf_fini(&why);
    return rc == ERR_OK ? 0 : err_class(rc) == ERR_CLASS_PERMANENT ? 1 : 2;
}

int main(int argc, char **argv)
{
    int worst = argc > 1 ? 0 : 2;

    for (int i = 1; i < argc; i++) {
        int verdict = judge(argv[i]);
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}
