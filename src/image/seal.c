/* How a folder becomes a layer: its digest, its durability, its place. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "image/internal.h"
#include "image/tree.h"
#include "os/file.h"

/* Up to this many files are synced one by one; beyond, syncfs is cheaper, though it waits for what
 * others wrote too. */
enum { SYNC_EACH_MAX = 64 };

/* Two rounds: `start` sets all of the writing going, so that the first fsync of the second finds
 * most of it under way and takes it along into one commit of the journal. */
static int sync_each(int folder, bool start, struct err *err);

static int sync_entry(int folder, const char *name, bool start, struct err *err)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "looking at %s", name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", name);
    if (S_ISDIR(st.st_mode))
        return sync_each(fd, start, err);
    if (start)
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint: fsync is what counts */
    else if (fsync(fd) < 0)
        return err_errno(err, "syncing %s", name);
    return 0;
}

static int sync_each(int folder, bool start, struct err *err)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        closep(&copy);
        return err_errno(err, "reading a folder");
    }
    int r = 0;
    struct dirent *e;
    while (!r && (errno = 0, e = readdir(dir)))
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            r = sync_entry(dirfd(dir), e->d_name, start, err);
    if (!r && errno)
        r = err_errno(err, "reading a folder");
    closedir(dir);
    if (!r && !start && fsync(folder) < 0)
        r = err_errno(err, "syncing a folder");
    return r;
}

static int sync_tree(int dir, uint64_t files, struct err *err)
{
    if (files <= SYNC_EACH_MAX) {
        int r = sync_each(dir, true, err);
        return r < 0 ? r : sync_each(dir, false, err);
    }
    return syncfs(dir) < 0 ? err_errno(err, "syncing") : 0;
}

bool layer_exists(struct image_store *s, const char *diff_id)
{
    struct stat st;
    return digest_valid(diff_id) &&
           fstatat(s->layers, digest_hex(diff_id), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

bool image_layer_use(struct image_store *s, const char *diff_id)
{
    _cleanup_close_ int lock = -1;
    if (!digest_valid(diff_id) || store_lock(s, false, &lock, NULL) < 0)
        return false;
    _cleanup_free_ char *tar = xasprintf("layers/%s.tar", digest_hex(diff_id));
    return layer_exists(s, diff_id) && store_touch(s, tar);
}

static const char *const kinds[] = {[LAYER_SEALED] = "sealed-1", [LAYER_IMPORTED] = "imported-1"};

int layer_info_get(struct image_store *s, const char *diff_id, struct layer_info *ret,
                   struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%s/layers/%s.tar", s->dir, digest_hex(diff_id));
    _cleanup_(buf_release) struct buf line = BUF_CAP(256);
    int r = layer_exists(s, diff_id) ? file_read(path, &line, err)
                                     : err_set(err, ERR_NOT_FOUND, "there is no layer %s", diff_id);
    if (r < 0)
        return r;
    struct str rest = str_trim(buf_str(&line)), kind = str_cut(&rest, ' ');
    struct layer_info info = {0};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        info.kind = (enum layer_kind)i;
        if (str_eq(kind, str_of(kinds[i])) &&
            str_to_u64(rest, 1024, UINT64_MAX, &info.tar_size, NULL) == 0) {
            *ret = info;
            return 0;
        }
    }
    return err_set(err, ERR_IO, "%s can't be understood", path);
}

static int put_info(struct image_store *s, const char *hex, const struct layer_info *info,
                    struct err *err)
{
    _cleanup_free_ char *path = xasprintf("layers/%s.tar", hex);
    _cleanup_free_ char *line =
        xasprintf("%s %llu\n", kinds[info->kind], (unsigned long long)info->tar_size);
    return store_put(s, path, str_of(line), err);
}

/* The folder goes last: where it is, all of the layer is. */
static int move_in(struct image_store *s, const char *dir, const char *hex,
                   const struct layer_info *info, const char *recipe, struct err *err)
{
    _cleanup_free_ char *name = xasprintf("%s.recipe", hex);
    if (recipe && renameat(AT_FDCWD, recipe, s->layers, name) < 0)
        return err_errno(err, "renaming %s", recipe);
    int r = put_info(s, hex, info, err);
    if (r < 0)
        return r;
    if (renameat2(AT_FDCWD, dir, s->layers, hex, RENAME_NOREPLACE) < 0)
        return err_errno(err, "renaming %s", dir);
    return store_sync(s->layers, err);
}

int layer_publish(struct image_store *s, const char *dir, const char *diff_id,
                  const struct layer_info *info, const char *recipe, uint64_t files,
                  struct err *err)
{
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int lock = -1;
    int r = fd < 0 ? err_errno(err, "opening %s", dir) : sync_tree(fd, files, err);
    if (!r)
        r = store_lock(s, false, &lock, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *tar = xasprintf("layers/%s.tar", digest_hex(diff_id));
    if (!layer_exists(s, diff_id) || !store_touch(s, tar)) {
        struct err why = {0};
        r = move_in(s, dir, digest_hex(diff_id), info, recipe, &why);
        /* Somebody else was making the same layer and came first: it is the same. */
        if (r != -ERR_EXISTS)
            return r < 0 ? err_set(err, why.code, "%s", why.msg) : 0;
    }
    closep(&lock);
    lock = -1;
    return dir_remove(dir, err);
}

struct hash {
    struct sha256_ctx sum;
    uint64_t left; /* bytes it may still get */
};

static int hash_write(void *ctx, const void *data, size_t n, struct err *err)
{
    struct hash *h = ctx;
    if (n > h->left)
        return err_set(err, ERR_TOO_LARGE, "it is larger than the limit");
    h->left -= n;
    sha256_update(&h->sum, n, data);
    return image_interrupted(err);
}

static int too_large(const struct unpack_limits *limits, struct err *err)
{
    err_set(err, ERR_TOO_LARGE, "it has more than %llu MiB",
            (unsigned long long)limits->bytes >> 20);
    return limits->hint ? err_hint(err, "%s", limits->hint) : -ERR_TOO_LARGE;
}

int image_layer_seal_within(struct image_store *s, const char *dir,
                            const struct unpack_limits *limits, char **ret_diff_id, struct err *err)
{
    struct hash hash = {.left = limits->bytes ? limits->bytes : UINT64_MAX};
    struct tar_sink sink = {hash_write, &hash};
    struct tree_stats stats = {0};
    char diff_id[DIGEST_LEN + 1];
    sha256_init(&hash.sum);
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r =
        fd < 0 ? err_errno(err, "opening %s", dir) : tree_tar(fd, s->uid_base, &sink, &stats, err);
    if (r == -ERR_TOO_LARGE && limits->bytes)
        r = too_large(limits, err);
    if (!r) {
        digest_finish(&hash.sum, diff_id);
        struct layer_info info = {LAYER_SEALED, stats.tar_size};
        r = layer_publish(s, dir, diff_id, &info, NULL, stats.files, err);
    }
    if (r < 0)
        return err_wrap(err, "sealing a layer");
    *ret_diff_id = xstrdup(diff_id);
    return 0;
}

int image_layer_seal(struct image_store *s, const char *dir, char **ret_diff_id, struct err *err)
{
    return image_layer_seal_within(s, dir, &(struct unpack_limits){0}, ret_diff_id, err);
}
