#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "image/internal.h"
#include "os/file.h"

enum { PROCESS_NAME_MAX = 48 };

static int open_folder(struct image_store *s, const char *name, mode_t mode, int *ret,
                       struct err *err)
{
    if (mkdirat(s->root, name, mode) < 0 && errno != EEXIST)
        return err_errno(err, "creating %s/%s", s->dir, name);
    *ret = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret < 0 ? err_errno(err, "opening %s/%s", s->dir, name) : 0;
}

int image_store_open(const char *dir, uid_t uid_base, struct image_store **ret, struct err *err)
{
    _cleanup_(image_store_closep) struct image_store *s = xcalloc(1, sizeof(*s));
    s->root = s->tmp = s->layers = s->blobs = s->refs = -1;
    s->uid_base = uid_base;
    if (uid_base > (uid_t)-1 - IMAGE_IDS)
        return err_set(err, ERR_INVALID, "no room for %d ids from %u on", IMAGE_IDS, uid_base);
    /* Others look for a blob whose digest they know, and what fetches writes into its own folder
     * below tmp/. */
    int r = path_exists(dir) ? 0 : dir_make(dir, 0711, err);
    if (r < 0)
        return err_wrap(err, "opening the image store");
    s->dir = realpath(dir, NULL);
    s->root = s->dir ? open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (s->root < 0)
        return err_errno(err, "opening the image store %s", dir);
    int unused = -1;
    /* Nobody looks into layers/, and into tmp/ who has no folder there: a layer may hold setuid
     * programs, and what an app is made of. */
    if ((r = open_folder(s, "tmp", 0711, &s->tmp, err)) < 0 ||
        (r = open_folder(s, "layers", 0700, &s->layers, err)) < 0 ||
        (r = open_folder(s, "blobs", 0755, &unused, err)) < 0 ||
        (r = open_folder(s, "blobs/sha256", 0755, &s->blobs, err)) < 0 ||
        (r = open_folder(s, "refs", 0755, &s->refs, err)) < 0) {
        closep(&unused);
        return r;
    }
    close(unused);
    *ret = TAKE_PTR(s);
    return 0;
}

void image_store_close(struct image_store *s)
{
    if (!s)
        return;
    for (int *fd = (int[]){s->root, s->tmp, s->layers, s->blobs, s->refs, -2}; *fd != -2; fd++)
        closep(fd);
    free(s->dir);
    free(s->authfile);
    free(s);
}

void image_store_authfile(struct image_store *s, const char *path)
{
    free(s->authfile);
    s->authfile = xstrdup(path);
}

static _Thread_local const volatile bool *interrupt;

void image_interrupt_on(const volatile bool *flag) { interrupt = flag; }

int image_interrupted(struct err *err)
{
    return interrupt && *interrupt ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

int store_names(int folder, struct strv *ret, struct err *err)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        closep(&copy);
        return err_errno(err, "reading the image store");
    }
    struct dirent *e;
    while ((errno = 0, e = readdir(dir)))
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            strv_add(ret, e->d_name);
    int r = errno ? err_errno(err, "reading the image store") : 0;
    closedir(dir);
    return r;
}

/* Who is process `pid`: "PID.START", START in ticks since the machine came up. So names that begin
 * with it tell whether who made them still lives. False: nobody is. */
static bool process_name(pid_t pid, char ret[PROCESS_NAME_MAX])
{
    char path[32];
    _cleanup_(buf_release) struct buf stat = BUF_CAP(4096);
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    const char *at = file_read(path, &stat, NULL) < 0 ? NULL : strrchr(stat.ptr, ')');
    for (int field = 2; at && field < 22; field++)
        if ((at = strchr(at, ' ')))
            at++;
    if (!at)
        return false;
    snprintf(ret, PROCESS_NAME_MAX, "%d.%.*s", pid, (int)strspn(at, "0123456789"), at);
    return true;
}

/* Our own leftovers are of before we were: image_store_clean comes first. */
static bool in_use(const char *name)
{
    char maker[PROCESS_NAME_MAX];
    pid_t pid = (pid_t)strtol(name, NULL, 10);
    return pid > 0 && pid != getpid() && process_name(pid, maker) &&
           str_starts(str_of(name), str_of(maker)) && name[strlen(maker)] == '-';
}

int image_store_clean(struct image_store *s, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    int r = store_names(s->tmp, &names, err);
    for (size_t i = 0; !r && i < names.n; i++)
        if (!in_use(names.items[i]))
            r = dir_remove_at(s->tmp, names.items[i], err);
    return r < 0 ? err_wrap(err, "emptying %s/tmp", s->dir) : 0;
}

const char *image_store_dir(const struct image_store *s) { return s->dir; }

char *image_layer_path(const struct image_store *s, const char *diff_id)
{
    const char *hex = digest_valid(diff_id) ? digest_hex(diff_id) : "-";
    return xasprintf("%s/layers/%s", s->dir, hex);
}

char *store_tmp_name(void)
{
    unsigned char id[12];
    char hex[2 * sizeof(id) + 1];
    random_bytes(id, sizeof(id));
    hex_encode(id, sizeof(id), hex);
    static _Thread_local pid_t known;
    static _Thread_local char maker[PROCESS_NAME_MAX] = "0";
    if (known != getpid() && process_name(getpid(), maker))
        known = getpid();
    return xasprintf("tmp/%s-%s", maker, hex);
}

int image_tmp_dir(struct image_store *s, char **ret, struct err *err)
{
    _cleanup_free_ char *name = store_tmp_name();
    if (mkdirat(s->root, name, 0755) < 0)
        return err_errno(err, "creating %s/%s", s->dir, name);
    _cleanup_close_ int fd = openat(s->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fchown(fd, s->uid_base, s->uid_base) < 0 || fchmod(fd, 0755) < 0) {
        int r = err_errno(err, "preparing %s/%s", s->dir, name);
        unlinkat(s->root, name, AT_REMOVEDIR);
        return r;
    }
    *ret = xasprintf("%s/%s", s->dir, name);
    return 0;
}

int store_lock(struct image_store *s, bool exclusive, int *ret, struct err *err)
{
    /* A descriptor of its own each time: flock belongs to the open file, not to the process. */
    _cleanup_close_ int fd = openat(s->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || TEMP_FAILURE_RETRY(flock(fd, exclusive ? LOCK_EX : LOCK_SH)) < 0)
        return err_errno(err, "locking the image store %s", s->dir);
    *ret = TAKE_FD(fd);
    return 0;
}

int store_put(struct image_store *s, const char *path, struct str data, struct err *err)
{
    _cleanup_free_ char *tmp = store_tmp_name();
    _cleanup_close_ int fd =
        openat(s->root, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, "creating %s/%s", s->dir, tmp);
    int r = fd_write_all(fd, data.ptr, data.len, err);
    if (!r && fsync(fd) < 0)
        r = err_errno(err, "syncing");
    if (!r && renameat(s->root, tmp, s->root, path) < 0)
        r = err_errno(err, "renaming");
    if (r < 0) {
        unlinkat(s->root, tmp, 0);
        err_wrap(err, "writing %s/%s", s->dir, path);
    }
    return r;
}

int store_sync(int dir, struct err *err)
{
    return fsync(dir) < 0 ? err_errno(err, "syncing the image store") : 0;
}

bool store_touch(struct image_store *s, const char *path)
{
    return utimensat(s->root, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_put_blob(struct image_store *s, struct str data, char ret_digest[DIGEST_LEN + 1],
                   struct err *err)
{
    char digest[DIGEST_LEN + 1];
    digest_of(data, digest);
    _cleanup_free_ char *path = digest_blob(digest);
    int r = store_touch(s, path) ? 0 : store_put(s, path, data, err);
    if (!r)
        memcpy(ret_digest, digest, sizeof(digest));
    return r;
}

int store_get_blob(struct image_store *s, const char *digest, size_t max, struct buf *ret,
                   struct err *err)
{
    _cleanup_free_ char *blob = digest_blob(digest), *path = xasprintf("%s/%s", s->dir, blob);
    _cleanup_(buf_release) struct buf b = BUF_CAP(max);
    int r = file_read(path, &b, err);
    if (r < 0)
        return err_wrap(err, "blob %s", digest);
    char found[DIGEST_LEN + 1];
    digest_of(buf_str(&b), found);
    if (!streq(found, digest))
        return err_set(err, ERR_IO, "blob %s is damaged: its content is %s", digest, found);
    buf_release(ret);
    *ret = b;
    b = BUF_CAP(0);
    return 0;
}

static bool ref_name_valid(const char *name)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name && path_is_component(name) && name[0] != '.' && strspn(name, chars) == strlen(name);
}

int image_ref_set(struct image_store *s, const char *name, const char *digest, struct err *err)
{
    if (!ref_name_valid(name))
        return err_set(err, ERR_INVALID, "'%.100s' is not a name for an image", name ? name : "");
    _cleanup_free_ char *path = xasprintf("refs/%s", name);
    if (!digest) {
        if (unlinkat(s->root, path, 0) < 0 && errno != ENOENT)
            return err_errno(err, "removing %s/%s", s->dir, path);
        return store_sync(s->refs, err);
    }
    int r = digest_check(digest, name, err);
    if (r < 0)
        return r;
    _cleanup_close_ int lock = -1;
    _cleanup_free_ char *blob = digest_blob(digest);
    _cleanup_free_ char *line = xasprintf("%s\n", digest);
    if ((r = store_lock(s, false, &lock, err)) < 0)
        return r;
    if (!store_touch(s, blob))
        return err_set(err, ERR_NOT_FOUND, "naming %s: there is no image %s", name, digest);
    r = store_put(s, path, str_of(line), err);
    return r < 0 ? r : store_sync(s->refs, err);
}

int image_refs(struct image_store *s, struct strv *ret, struct err *err)
{
    return store_names(s->refs, ret, err);
}

int64_t image_ref_time(struct image_store *s, const char *name)
{
    struct stat st;
    if (!ref_name_valid(name) || fstatat(s->refs, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return st.st_mtim.tv_sec * 1000000LL + st.st_mtim.tv_nsec / 1000;
}

int manifest_resolve(struct image_store *s, const char *ref, char ret[DIGEST_LEN + 1],
                     struct err *err)
{
    if (digest_valid(ref)) {
        memcpy(ret, ref, DIGEST_LEN + 1);
        return 0;
    }
    if (!ref_name_valid(ref))
        return err_set(err, ERR_NOT_FOUND, "there is no image '%.100s'", ref ? ref : "");
    _cleanup_free_ char *path = xasprintf("%s/refs/%s", s->dir, ref);
    _cleanup_(buf_release) struct buf line = BUF_CAP(256);
    struct err why = {0};
    int r = file_read(path, &line, &why);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no image named %s", ref);
    if (r < 0)
        return err_set(err, why.code, "%s", why.msg);
    struct str digest = str_trim(buf_str(&line));
    _cleanup_free_ char *text = xstrndup(digest.ptr, digest.len);
    if ((r = digest_check(text, path, err)) < 0)
        return r;
    memcpy(ret, text, DIGEST_LEN + 1);
    return 0;
}
