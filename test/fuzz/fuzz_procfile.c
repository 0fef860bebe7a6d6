#include "model/procfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct list l = {0};
    int r = procfile_parse((struct str){(const char *)data, size}, &l, &err);
    if (r == 0 && !l.n)
        abort(); /* success means at least one process */
    for (size_t i = 0; i < l.n; i++)
        process_release(list_at(&l, struct process, i));
    free(l.items);
    return 0;
}
