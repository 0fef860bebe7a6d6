/* Any bytes as an image archive: index, manifests, configuration and layers in one. */
#include <fcntl.h>
#include <sys/mman.h>

#include "image/image.h"
#include "os/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct image_store *store;
static char base[] = "/dev/shm/davit-fuzz-XXXXXX";

static void remove_base(void)
{
    image_store_close(store);
    dir_remove(base, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store) {
        if (!mkdtemp(base) || image_store_open(base, 1000000, &store, NULL) < 0)
            abort();
        atexit(remove_base);
    }
    const struct unpack_limits limits = {.bytes = 1 << 20, .entries = 64};
    struct image_gc_stats gone;
    struct err err = {0};
    _cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0 || fd_write_all(fd, data, size, NULL) < 0)
        abort();
    for (const char *const *kind = (const char *const[]){"docker-archive", "oci-archive", NULL};
         *kind; kind++) {
        _cleanup_free_ char *source = xasprintf("%s:/proc/self/fd/%d", *kind, fd), *digest = NULL;
        _cleanup_(image_release) struct image i = {0};
        if (image_import(store, source, &limits, &digest, &err) < 0) {
            if (!*err.msg)
                abort();
            continue;
        }
        if (image_get(store, digest, &i, &err) < 0 || image_gc(store, NULL, -10, &gone, &err) < 0)
            abort();
    }
    return 0;
}
