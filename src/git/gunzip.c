#include "git/gunzip.h"

#include <zlib.h>

#include "base/mem.h"
#include "os/file.h"

struct gunzip {
    z_stream z;
    size_t inflated, max;
};

int gunzip_new(size_t max, struct gunzip **ret, struct err *err)
{
    struct gunzip *g = xcalloc(1, sizeof(*g));
    g->max = max;
    if (inflateInit2(&g->z, 15 + 16 /* gzip */) != Z_OK) {
        free(g);
        return err_set(err, ERR_INTERNAL, "zlib didn't start");
    }
    *ret = g;
    return 0;
}

int gunzip_to(struct gunzip *g, const void *data, size_t n, int fd, struct err *err)
{
    char plain[16 * 1024];
    int r = Z_OK;
    g->z.next_in = (Bytef *)(uintptr_t)data;
    g->z.avail_in = (uInt)n;
    do {
        g->z.next_out = (Bytef *)plain;
        g->z.avail_out = sizeof(plain);
        r = inflate(&g->z, Z_NO_FLUSH);
        size_t got = sizeof(plain) - g->z.avail_out;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            return err_set(err, ERR_INVALID, "the body is not gzip");
        if ((g->inflated += got) > g->max)
            return err_set(err, ERR_TOO_LARGE, "the request is larger than %zu MiB", g->max >> 20);
        if (fd_write_all(fd, plain, got, err) < 0)
            return err_wrap(err, "taking in the request");
    } while (r == Z_OK && !g->z.avail_out);
    return 0;
}

void gunzip_free(struct gunzip *g)
{
    if (g)
        inflateEnd(&g->z);
    free(g);
}
