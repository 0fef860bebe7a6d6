/* Any bytes as a layer: nothing outside the folder changes, and what was unpacked can be sealed. */
#include <dirent.h>
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

static void open_store(void)
{
    if (!mkdtemp(base) || image_store_open(base, 1000000, &store, NULL) < 0)
        abort();
    atexit(remove_base);
}

/* The store's folders, and its lock; whatever else is there came out of an archive. */
static void check_nothing_escaped(void)
{
    DIR *dir = opendir(base);
    for (struct dirent *e; (e = readdir(dir));) {
        static const char *const known[] = {".", "..", "tmp", "layers", "blobs", "refs", "lock"};
        bool ok = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok = ok || streq(e->d_name, known[i]);
        if (!ok)
            abort();
    }
    closedir(dir);
}

/* Makes the checksums right, so that what is behind them gets tried. */
static void mend_headers(uint8_t *data, size_t size)
{
    for (uint8_t *h = data; size >= 512; h += 512, size -= 512) {
        char text[8];
        unsigned sum = 0;
        if (memcmp(h + 257, "ustar", 5) != 0)
            continue;
        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
            sum += h[i];
        snprintf(text, sizeof(text), "%06o", sum);
        memcpy(h + 148, text, 7);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store)
        open_store();
    const struct unpack_limits limits = {.bytes = 1 << 20, .entries = 64};
    char *dir, *id = NULL;
    _cleanup_close_ int fd = memfd_create("layer", MFD_CLOEXEC);
    _cleanup_free_ uint8_t *mended = xmalloc(size);
    if (size)
        memcpy(mended, data, size);
    mend_headers(mended, size);
    if (fd < 0 || image_tmp_dir(store, &dir, NULL) < 0 ||
        fd_write_all(fd, mended, size, NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    struct err err = {0};
    int r = image_unpack(store, fd, dir, true, NULL, &limits, &err);
    if (r < 0 && !*err.msg)
        abort();
    if (r == 0 && image_layer_seal(store, dir, &id, &err) == 0) {
        _cleanup_free_ char *path = image_layer_path(store, id);
        dir_remove(path, NULL);
    }
    dir_remove(dir, NULL);
    check_nothing_escaped();
    free(id);
    free(dir);
    return 0;
}
