/* Runs a fuzz target over the files and folders named, where libFuzzer isn't linked: the corpus is
 * replayed in every test run, with any compiler. Prints how many inputs it ran; none is a failure.
 */
#include <dirent.h>

#include "os/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct err err;
    _cleanup_(buf_release) struct buf b = BUF_CAP((size_t)64 << 20);
    if (file_read(path, &b, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    /* On the heap with its exact size, so that a sanitizer sees one byte too far. */
    uint8_t *exact = xmalloc(b.len);
    if (b.len)
        memcpy(exact, b.ptr, b.len);
    LLVMFuzzerTestOneInput(exact, b.len);
    free(exact);
    return 1;
}

static int replay(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return replay_file(path);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        char *inner = xasprintf("%s/%s", path, e->d_name);
        n += replay(inner);
        free(inner);
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%d inputs replayed\n", n);
    return n ? 0 : 1;
}
